//! What everything that works for the actor shares: the ports, the way to the actor, and the way to the front ends.

use super::checks::BaseCache;
use super::planner;
use super::ports::{PortError, PortResult, QueueRead, World};
use crate::domain::event::AttemptId;
use crate::domain::reduce::{Input, Refusal};
use crate::domain::state::State;
use crate::protocol::engine_api::{ApiError, Buffer, EngineEvent, ErrorKind};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// How long editors have to answer for their unsaved buffers.
const BUFFERS_WAIT: Duration = Duration::from_millis(300);
/// The same while no editor has ever answered.
const BUFFERS_WAIT_UNKNOWN: Duration = Duration::from_millis(60);
/// Where it is kept which paths were written, beside the attempts' folders, and about how many.
pub(super) const SAVED_FILE: &str = "saved.json";
const SAVED_KEPT: usize = 4096;

/// Hears what became of an input.
pub(super) type Done = oneshot::Sender<Result<(), InputError>>;

/// What wakes the actor: all of it.
pub(super) enum Message {
    Input(Input, Option<Done>),
    State(oneshot::Sender<(State, u64, Option<String>)>),
    /// The queue file may have changed; the sender hears when it has been read.
    QueueTouched(Option<oneshot::Sender<()>>),
    /// The queue file was read.
    QueueRead(QueueReading, Option<oneshot::Sender<()>>),
    /// An editor holds the queue file open and changed, so that its text on disk must not change.
    HoldQueue(bool),
}

/// One reading of the queue file.
pub(super) struct QueueReading {
    pub read: PortResult<QueueRead>,
    /// HEAD after the reading.
    pub head: Option<String>,
    /// It is the second look, so that what it says counts whatever it is.
    pub settled: bool,
    /// The newest of the engine's own writes that had ended when it began.
    pub written: u64,
}

/// Why an input changed nothing.
pub enum InputError {
    Refused(Refusal),
    NotDurable(PortError),
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Refused(refusal) => {
                let kind = match refusal {
                    Refusal::RunIsOn | Refusal::TaskIsRunning(_) => ErrorKind::Busy,
                    _ => ErrorKind::Usage,
                };
                Self::new(kind, refusal.to_string())
            }
            InputError::NotDurable(error) => from_port(error),
        }
    }
}

/// Turns a port's error into a front end's.
pub fn from_port(error: PortError) -> ApiError {
    let kind = if error.data { ErrorKind::Data } else { ErrorKind::Other };
    let api = ApiError::new(kind, format!("failed to {}", error.message));
    match error.hint {
        Some(hint) => api.with_hint(hint),
        None => api,
    }
}

/// What everything that works for the actor shares. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub world: World,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) events: broadcast::Sender<Arc<EngineEvent>>,
    pub base_cache: Arc<BaseCache>,
    /// Held by whoever uses the slot for checks that belong to no attempt.
    pub check_slot: Arc<tokio::sync::Mutex<()>>,
    /// Held by whoever writes into the checkout.
    pub writes: Arc<tokio::sync::Mutex<()>>,
    /// The landing that is on.
    pub(super) landings: Arc<super::landing::Landings>,
    /// Held by the planner that is on.
    pub planning: Arc<tokio::sync::Mutex<()>>,
    pub plans: Arc<planner::Plans>,
    pub(super) stops: Arc<Mutex<HashMap<AttemptId, watch::Sender<bool>>>>,
    /// Attempts somebody works on: none is ever carried out twice at the same time.
    pub(super) on: Arc<Mutex<HashSet<AttemptId>>>,
    /// Held from reading the queue file to handing it over, so that an older reading never comes last.
    pub(super) reads: Arc<tokio::sync::Mutex<()>>,
    /// The newest write of the engine's own into the queue file that has ended.
    pub(super) queue_written: Arc<AtomicU64>,
    /// Paths that editors or we wrote, with when; also on disk, for the engine after this one.
    pub(super) saved: Arc<Mutex<HashMap<String, i64>>>,
    /// Held while they are written to disk.
    pub(super) saving: Arc<tokio::sync::Mutex<()>>,
    /// How many editors hold the queue file open with changes that are not on disk.
    pub held: Arc<watch::Sender<usize>>,
    pub(super) buffers: Arc<BufferRound>,
    /// The run was on when this engine started, and nobody has asked for it since.
    pub recovered_run: Arc<std::sync::atomic::AtomicBool>,
}

#[derive(Default)]
pub(super) struct BufferRound {
    token: AtomicU64,
    /// How many editors answered the last time.
    editors: AtomicUsize,
    answers: Mutex<Vec<Vec<Buffer>>>,
    answered: tokio::sync::Notify,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Context {
    /// Hands an input of the engine's own to the actor and waits until it is durable.
    pub async fn input(&self, input: Input) {
        let (done, wait) = oneshot::channel();
        if self.inbox.send(Message::Input(input, Some(done))).is_ok() {
            // The actor keeps what belongs to the engine until it is durable; a refusal means that it came too late.
            let _ = wait.await;
        }
    }

    /// Hands a person's input to the actor.
    ///
    /// # Errors
    ///
    /// When it is refused, or cannot be made durable; then nothing happened.
    pub async fn ask(&self, input: Input) -> Result<(), ApiError> {
        let (done, wait) = oneshot::channel();
        self.inbox.send(Message::Input(input, Some(done))).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?.map_err(ApiError::from)
    }

    /// Returns the state as it is.
    pub async fn state(&self) -> PortResult<State> {
        self.state_and_seq().await.map(|(state, _, _)| state).map_err(|error| PortError::new(error.message))
    }

    /// Returns the state, the sequence number of its last event, and what is wrong with the queue file.
    pub async fn state_and_seq(&self) -> Result<(State, u64, Option<String>), ApiError> {
        let (reply, wait) = oneshot::channel();
        self.inbox.send(Message::State(reply)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())
    }

    /// Reads the queue file and waits until what it says counts.
    pub async fn read_queue(&self) {
        let (done, wait) = oneshot::channel();
        if self.inbox.send(Message::QueueTouched(Some(done))).is_ok() {
            let _ = wait.await;
        }
    }

    /// An editor holds the queue file open and changed, or no longer does.
    pub fn hold_queue(&self, held: bool) {
        self.held.send_modify(|editors| *editors = if held { *editors + 1 } else { editors.saturating_sub(1) });
        let _ = self.inbox.send(Message::HoldQueue(self.is_queue_held()));
    }

    /// Tells whether an editor has changes of the queue that are not on disk.
    pub fn is_queue_held(&self) -> bool {
        *self.held.borrow() > 0
    }

    /// Waits until no editor holds the queue: writing below an unsaved buffer would make its save undo what was written.
    pub async fn queue_released(&self) {
        if self.is_queue_held() {
            self.notice(
                true,
                "`.ralph/queue.json` has unsaved changes in an editor; what is new goes in when it is saved",
            );
            // The sender lives as long as this.
            let _ = self.held.subscribe().wait_for(|editors| *editors == 0).await;
        }
    }

    /// Shows an event to every front end. Not for facts: those go through the journal.
    pub fn show(&self, event: EngineEvent) {
        // Nobody listening is fine.
        let _ = self.events.send(Arc::new(event));
    }

    /// Shows a short line.
    pub fn notice(&self, warning: bool, text: impl Into<String>) {
        self.show(EngineEvent::Notice { warning, text: text.into() });
    }

    /// Shows what an attempt or a planner is doing.
    pub fn progress(&self, attempt: Option<&AttemptId>, text: String) {
        let (task, number) = (attempt.map(|id| id.task.clone()), attempt.map(|id| id.number));
        self.show(EngineEvent::Progress { task, attempt: number, text });
    }

    /// Shows output.
    pub fn output(&self, attempt: &AttemptId, text: String) {
        self.show(EngineEvent::Output { task: attempt.task.clone(), attempt: attempt.number, text });
    }

    /// Remembers that these paths of the checkout were written by an editor or by us, also over a restart: without it
    /// a person would be asked who wrote them.
    pub async fn note_saved(&self, paths: impl IntoIterator<Item = String>) {
        let now = self.world.clock.now_ms();
        let _one_at_a_time = self.saving.lock().await;
        let newest = {
            let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
            saved.extend(paths.into_iter().map(|path| (path, now)));
            if saved.len() > SAVED_KEPT {
                let mut times: Vec<i64> = saved.values().copied().collect();
                times.sort_unstable();
                let oldest = times[times.len() - SAVED_KEPT];
                saved.retain(|_, at| *at >= oldest);
            }
            serde_json::to_string(&*saved).unwrap_or_default()
        };
        if let Err(error) = self.world.processes.write(self.world.attempts.join(SAVED_FILE), newest).await {
            tracing::warn!(%error, "what was saved is not known after a restart");
        }
    }

    /// Returns the paths written since.
    pub fn saved_since(&self, since_ms: i64) -> BTreeSet<String> {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.iter().filter(|(_, at)| **at >= since_ms).map(|(path, _)| path.clone()).collect()
    }

    /// Asks the connected editors for their unsaved buffers.
    pub async fn buffers(&self) -> Vec<Buffer> {
        let round = &self.buffers;
        let _one_at_a_time = round.one_at_a_time.lock().await;
        if self.events.receiver_count() == 0 {
            return Vec::new();
        }
        round.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let token = round.token.fetch_add(1, Ordering::SeqCst) + 1;
        let known = round.editors.load(Ordering::SeqCst);
        self.show(EngineEvent::BuffersWanted { token });
        let wait = if known == 0 { BUFFERS_WAIT_UNKNOWN } else { BUFFERS_WAIT };
        let all_answered = async {
            loop {
                let answered = round.answered.notified();
                let count = round.answers.lock().unwrap_or_else(PoisonError::into_inner).len();
                if known > 0 && count >= known {
                    return;
                }
                answered.await;
            }
        };
        // Late editors are not waited for: their buffers count at the next start.
        let _ = tokio::time::timeout(wait, all_answered).await;
        let answers = std::mem::take(&mut *round.answers.lock().unwrap_or_else(PoisonError::into_inner));
        round.editors.store(answers.len(), Ordering::SeqCst);
        answers.into_iter().flatten().collect()
    }

    /// Takes an editor's answer.
    pub fn take_buffers(&self, token: u64, buffers: Vec<Buffer>) {
        if token == self.buffers.token.load(Ordering::SeqCst) {
            self.buffers.answers.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
            self.buffers.answered.notify_one();
        }
    }

    pub(super) fn stop_flag(&self, attempt: &AttemptId) -> watch::Receiver<bool> {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.entry(attempt.clone()).or_insert_with(|| watch::channel(false).0).subscribe()
    }

    pub(super) fn raise_stop(&self, attempt: &AttemptId) {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.entry(attempt.clone()).or_insert_with(|| watch::channel(false).0).send_replace(true);
    }

    /// Reads the queue file and hands it to the actor.
    pub(super) async fn read_and_post(&self, settled: bool, done: Option<oneshot::Sender<()>>) {
        let _in_order = self.reads.lock().await;
        let reading = self.reading(settled).await;
        let _ = self.inbox.send(Message::QueueRead(reading, done));
    }

    pub(super) async fn reading(&self, settled: bool) -> QueueReading {
        let written = self.queue_written.load(Ordering::SeqCst);
        let read = self.world.queue.read().await;
        let head = self.world.workshop.head().await.ok().flatten();
        QueueReading { read, head, settled, written }
    }
}

fn gone() -> ApiError {
    ApiError::new(ErrorKind::Other, "the engine has gone").with_hint("try again; it starts by itself")
}
