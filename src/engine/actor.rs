//! The actor: the only owner of the state. An input becomes facts, the facts become durable, then visible, then orders
//! go out. Nobody sees an event before it is in the journal.

use super::context::{Context, Done, InputError, Message, QueueReading, SAVED_FILE};
use super::handle::{Engine, Handle};
use super::ports::{Journal, PortResult, QueueEdit, QueueRead, World};
use super::queue_writer::QueueWriter;
use super::{attempt, commands, landing, planner, view};
use crate::domain::chain;
use crate::domain::event::AttemptId;
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::domain::reduce::{Effect, Input, decide, pending_effects, pending_writes};
use crate::domain::state::State;
use crate::domain::task::{Status, Task};
use crate::protocol::engine_api::{ApiError, Command, EngineEvent, ErrorKind, Reply};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// How many events a front end may lag behind before it has to ask for a snapshot.
const EVENTS_KEPT: usize = 4096;
/// How often budgets and who rests are looked at and a journal that could not be written is tried again. Times are
/// compared with the wall clock, so that a machine that slept wakes an agent no later than one tick after it.
const TICK: Duration = Duration::from_secs(1);
/// How long a status that went back waits before it counts: git changes files first and HEAD last.
const SETTLE: Duration = Duration::from_secs(1);

/// The engine of one checkout, in this process.
struct Local(Context);

#[async_trait]
impl Engine for Local {
    async fn call(&self, command: Command) -> Result<Reply, ApiError> {
        // A task of its own: a front end that hangs up does not cut a command in half.
        let context = self.0.clone();
        let done = tokio::spawn(async move { commands::execute(&context, command).await }).await;
        done.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorKind::Other, "the engine stumbled over the command; see its log"))
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
        self.0.events.subscribe()
    }
}

/// Folds the journal, takes up what was left, and starts the actor.
///
/// # Errors
///
/// When the journal cannot be read.
pub async fn start(world: World, mut journal: Box<dyn Journal>) -> PortResult<Handle> {
    let events = journal.load()?;
    let state = State::fold(&events);
    let seq = events.len() as u64;
    let (inbox, messages) = mpsc::unbounded_channel();
    let recovered = state.run.is_some();
    let saved = world.processes.read_tail(world.attempts.join(SAVED_FILE), u64::MAX).await.ok().flatten();
    let saved = saved.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let context = Context {
        world,
        inbox,
        events: broadcast::channel(EVENTS_KEPT).0,
        base_cache: Arc::default(),
        check_slot: Arc::default(),
        writes: Arc::default(),
        landings: Arc::default(),
        planning: Arc::default(),
        plans: Arc::default(),
        stops: Arc::default(),
        on: Arc::default(),
        reads: Arc::default(),
        queue_written: Arc::default(),
        saved: Arc::new(Mutex::new(saved)),
        saving: Arc::default(),
        held: Arc::new(watch::channel(0).0),
        buffers: Arc::default(),
        recovered_run: Arc::new(recovered.into()),
    };
    let (touched, mut touches) = mpsc::unbounded_channel();
    context.world.queue.watch(touched);
    let weak = context.inbox.downgrade();
    tokio::spawn(async move {
        while touches.recv().await.is_some() {
            let Some(inbox) = weak.upgrade() else { break };
            let _ = inbox.send(Message::QueueTouched(None));
        }
    });
    let (letters, outgoing) = mpsc::unbounded_channel();
    tokio::spawn(deliver_all(context.clone(), outgoing));
    let actor = Actor {
        context: context.clone(),
        journal,
        state,
        seq,
        queue_problem: None,
        queue_held: false,
        last_head: None,
        letters,
        queue_writer: QueueWriter::start(context.clone()),
        waiting: VecDeque::new(),
        told_wait: String::new(),
    };
    tokio::spawn(actor.run(messages));
    // The actor answers when it has taken up what was left and read the queue.
    context.state().await?;
    Ok(Handle::new(Local(context)))
}

struct Actor {
    context: Context,
    journal: Box<dyn Journal>,
    state: State,
    seq: u64,
    queue_problem: Option<String>,
    queue_held: bool,
    /// HEAD at the last reading of the queue.
    last_head: Option<Option<String>>,
    /// Words for agents, to whoever delivers them.
    letters: mpsc::UnboundedSender<(AttemptId, InboxMessage)>,
    queue_writer: QueueWriter,
    /// Inputs of the engine's own that could not be made durable yet, oldest first.
    waiting: VecDeque<(Input, Option<Done>)>,
    /// What was last said about how long the run waits.
    told_wait: String,
}

impl Actor {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        self.take_up().await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(message) => self.handle(message),
                    None => break,
                },
                _ = tick.tick() => self.tick(),
            }
        }
    }

    /// Gives again the orders that had no end when the engine before this one went.
    async fn take_up(&mut self) {
        self.post_run();
        end_left(&self.context).await;
        // Before any input: an input may lead to orders of its own, which must not be given twice.
        for effect in pending_effects(&self.state) {
            self.carry_out(effect);
        }
        self.take_up_landing().await;
        let reading = self.context.reading(false).await;
        self.queue_read(reading, None);
        match self.context.world.settings.trusted().await {
            Ok(commands) => self.input(Input::TrustRead { commands }, None),
            Err(error) => self.context.notice(true, format!("failed to {error}; nothing new is trusted until then")),
        }
        // A run without an attempt goes on by itself.
        self.input(Input::Tick, None);
    }

    /// Writes down the landing whose commit was made when the engine before this one died.
    async fn take_up_landing(&mut self) {
        match self.context.world.workshop.left_landing().await {
            Ok(None) => {}
            Ok(Some(landing)) => {
                let (done, durable) = oneshot::channel();
                self.input(Input::Landed { landing }, Some(done));
                let context = self.context.clone();
                tokio::spawn(async move {
                    if let Ok(Ok(())) = durable.await {
                        landing::known(&context).await;
                    }
                });
            }
            Err(error) => {
                self.context.notice(true, format!("failed to {error}; a landing may be in git and not known here"));
                tracing::error!(%error, "a landing was not taken up");
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Input(input, done) => self.input(input, done),
            Message::State(reply) => {
                let _ = reply.send((self.state.clone(), self.seq, self.queue_problem.clone()));
            }
            Message::QueueTouched(done) => {
                let context = self.context.clone();
                tokio::spawn(async move { context.read_and_post(false, done).await });
            }
            Message::QueueRead(reading, done) => self.queue_read(reading, done),
            Message::HoldQueue(held) => {
                self.queue_held = held;
                if !held {
                    self.write_pending();
                }
            }
        }
    }

    /// Writes into the queue file what could not be written before.
    fn write_pending(&mut self) {
        for effect in pending_writes(&self.state) {
            self.carry_out(effect);
        }
    }

    /// Tells whether a task that is done would be opened again by what the file says.
    fn goes_back(&self, tasks: &[Task]) -> bool {
        tasks.iter().any(|task| {
            let done = self.state.record(&task.id).is_some_and(|record| record.done);
            let said_done = self.state.tasks.get(&task.id).is_some_and(|known| known.status == Status::Done);
            done && said_done && matches!(task.status, Status::Todo | Status::Draft)
        })
    }

    fn queue_read(&mut self, reading: QueueReading, done: Option<oneshot::Sender<()>>) {
        let QueueReading { read, head, settled, written } = reading;
        let usable = matches!(read, Ok(QueueRead::Good { .. }));
        let before = match self.state.order.is_empty() {
            true => "",
            false => "; what it said before is still in force",
        };
        let problem = match read {
            Ok(QueueRead::Good { tasks, goals, .. }) => {
                let tasks = self.queue_writer.without_unfinished(tasks, written, &self.state);
                let head_moved = self.last_head.as_ref() != Some(&head);
                // A branch switch may be half done, or a save that empties the file before it writes it: look again when
                // HEAD, or the text, has had time to follow.
                let half_done =
                    !head_moved && self.goes_back(&tasks) || tasks.is_empty() && !self.state.order.is_empty();
                if !settled && half_done {
                    let context = self.context.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(SETTLE).await;
                        context.read_and_post(true, done).await;
                    });
                    return;
                }
                self.last_head = Some(head);
                self.input(Input::QueueRead { tasks, goals, head_moved }, None);
                None
            }
            Ok(QueueRead::Missing) if self.state.order.is_empty() => None,
            Ok(QueueRead::Missing) => {
                Some("`.ralph/queue.json` is gone; what it said last is still in force until it is back".to_owned())
            }
            Ok(QueueRead::Broken { problem }) => Some(format!("`.ralph/queue.json` cannot be used: {problem}{before}")),
            Err(error) => Some(format!("failed to {}{before}", error.message)),
        };
        if problem != self.queue_problem {
            self.queue_problem = problem;
            let delta =
                view::delta(&self.state, self.seq, &[], self.queue_problem.clone(), self.context.world.clock.now_ms());
            self.context.show(EngineEvent::Changed(delta));
            if usable {
                self.write_pending();
            }
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn input(&mut self, input: Input, done: Option<Done>) {
        // Order is kept: what came while the journal could not be written waits behind what came before.
        if !self.write_waiting() && is_ours(&input) {
            self.waiting.push_back((input, done));
            return;
        }
        match self.try_input(&input) {
            Ok(()) => {
                if let Some(done) = done {
                    let _ = done.send(Ok(()));
                }
            }
            Err(InputError::NotDurable(error)) if is_ours(&input) => {
                let hint = error.hint.as_deref().unwrap_or("free some space; the work goes on by itself then");
                self.context.notice(true, format!("failed to {}; {hint}", error.message));
                tracing::error!(%error, "the journal cannot be written; waiting");
                self.waiting.push_back((input, done));
            }
            Err(error) => {
                if let Some(done) = done {
                    let _ = done.send(Err(error));
                }
            }
        }
    }

    /// Tries again what could not be made durable; tells whether nothing waits any more.
    fn write_waiting(&mut self) -> bool {
        while let Some((input, done)) = self.waiting.pop_front() {
            if let Err(InputError::NotDurable(_)) = self.try_input(&input) {
                self.waiting.push_front((input, done));
                return false;
            }
            if let Some(done) = done {
                let _ = done.send(Ok(()));
            }
        }
        true
    }

    fn tick(&mut self) {
        if self.write_waiting() && self.state.run.is_some() {
            self.input(Input::Tick, None);
            self.count_down();
        }
    }

    /// Says how long the run still waits, when that reads differently than before.
    fn count_down(&mut self) {
        let Some(wait) = chain::run_waits(&self.state) else { return };
        let left_ms = wait.cooldown.until_ms.saturating_sub(self.context.world.clock.now_ms());
        let words = wait.words(self.state.days.utc_offset_seconds);
        let text = format!("{words}, {} left", chain::countdown(left_ms));
        if text != self.told_wait {
            self.told_wait.clone_from(&text);
            self.context.show(EngineEvent::Waiting { left_ms, text });
        }
    }

    fn try_input(&mut self, input: &Input) -> Result<(), InputError> {
        let now = self.context.world.clock.now_ms();
        let (events, effects) = decide(&self.state, input.clone(), now).map_err(InputError::Refused)?;
        if !events.is_empty() {
            self.seq = self.journal.append(&events).map_err(InputError::NotDurable)?;
            let before = self.state.clone();
            for event in &events {
                self.state.apply(event);
            }
            self.post_run();
            let delta = view::delta(&self.state, self.seq, &events, self.queue_problem.clone(), now);
            self.context.show(EngineEvent::Changed(delta));
            for milestone in view::milestones(&before, &self.state, &events) {
                tracing::info!(?milestone, "milestone");
                self.context.show(EngineEvent::Milestone(milestone));
            }
        }
        for effect in effects {
            self.carry_out(effect);
        }
        Ok(())
    }

    fn post_run(&self) {
        self.context.world.runs.set(&self.context.world.root, self.state.run.is_some());
    }

    fn carry_out(&mut self, effect: Effect) {
        let context = self.context.clone();
        // Whoever ends the engine waits for these; attempts outlive it.
        let order = context.world.runs.order();
        match effect {
            Effect::RunAttempt { attempt: id } => {
                if !context.on.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
                    return;
                }
                let stop = context.stop_flag(&id);
                tokio::spawn(async move {
                    let work = tokio::spawn(attempt::run(context.clone(), id.clone(), stop));
                    if work.await.is_err() {
                        let detail = "the engine stumbled; see its log";
                        let end = crate::domain::outcome::AttemptEnd::new(
                            crate::domain::outcome::Outcome::AttemptLost,
                            detail,
                        );
                        let end = attempt::give_up(&context, &id, end).await;
                        context.input(Input::Ended { attempt: id.clone(), end }).await;
                    }
                    context.stops.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    context.on.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                });
            }
            Effect::StopAttempt { attempt } => context.raise_stop(&attempt),
            // One after the other, so that an agent hears them in the order in which they were said.
            Effect::Deliver { attempt, message } => {
                let _ = self.letters.send((attempt, message));
            }
            // While an editor holds the text, the status is written when it lets go.
            Effect::WriteStatus { .. } | Effect::AddDrafts { .. } if self.queue_held => {}
            Effect::WriteStatus { task, status } => {
                self.queue_writer.give(QueueEdit::SetStatus { task, status }, order);
            }
            Effect::AddDrafts { tasks } => self.queue_writer.give(QueueEdit::Put { tasks, goals: Vec::new() }, order),
            Effect::MoveProposal { task } => {
                tokio::spawn(async move {
                    attempt::move_proposal(context, task).await;
                    drop(order);
                });
            }
            Effect::CheckPart { task } => {
                tokio::spawn(async move {
                    attempt::check_part(context, task).await;
                    drop(order);
                });
            }
            Effect::CheckUnion => {
                tokio::spawn(attempt::check_union(context));
            }
            Effect::LookOnDisk { task } => {
                tokio::spawn(async move {
                    commands::look_on_disk(&context, &task).await;
                    drop(order);
                });
            }
        }
    }
}

/// Delivers words to agents in the order in which they come.
async fn deliver_all(context: Context, mut letters: mpsc::UnboundedReceiver<(AttemptId, InboxMessage)>) {
    while let Some((attempt, message)) = letters.recv().await {
        let key = attempt.task.key();
        if let Err(error) = context.world.processes.deliver(&key.0, attempt.number, &message).await {
            let left = match message.kind {
                InboxKind::Steer => "the next attempt has them",
                InboxKind::Query => "ask again",
            };
            context.notice(true, format!("the words did not reach {attempt}: failed to {error}; {left}"));
        }
    }
}

/// Ends planners and checks of proposals that the engine before this one left on: nobody waits for them.
async fn end_left(context: &Context) {
    for folder in [planner::FOLDER, attempt::MOVES] {
        if let Err(error) = context.world.processes.end_left(context.world.attempts.join(folder)).await {
            context.notice(true, format!("failed to {error}"));
            tracing::error!(%error, "something is left on");
        }
    }
}

/// Tells whether the input must not be lost, because nobody would repeat it.
fn is_ours(input: &Input) -> bool {
    matches!(
        input,
        Input::Prepared { .. }
            | Input::AgentStarted { .. }
            | Input::Reported { .. }
            | Input::TurnEnded { .. }
            | Input::ReviewRequested { .. }
            | Input::ReviewGiven { .. }
            | Input::Ended { .. }
            | Input::Moved { .. }
            | Input::PartChecked { .. }
            | Input::Landed { .. }
            | Input::UnionChecked { .. }
            | Input::FoundOnDisk { .. }
            | Input::QueueRead { .. }
            | Input::TrustRead { .. }
    )
}
