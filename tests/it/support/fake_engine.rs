//! An engine for tests of the session: it keeps a snapshot, does the simplest thing each command means, and tells the
//! test what it was asked.

use async_trait::async_trait;
use ralph_sidecar::domain::decision::{Decision, DecisionId, DecisionKind, DecisionOption, Evidence};
use ralph_sidecar::domain::event::Mark;
use ralph_sidecar::domain::hunks::{FileChangeTexts, HunkId, file_hunks};
use ralph_sidecar::domain::outcome::Outcome;
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::domain::report::Finding;
use ralph_sidecar::domain::task::{Status, Task, TaskId};
use ralph_sidecar::engine::handle::{Engine, Handle};
use ralph_sidecar::lsp::session::{Connector, Located};
use ralph_sidecar::protocol::engine_api::{
    AcceptReply, ApiError, Command, Delta, EngineEvent, ErrorKind, HunkSummary, ProposalFile, ProposalSummary,
    ProposalView, Reply, ReviewView, Snapshot, TaskView,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

/// Replaces what the engine does with a command.
type Override = Box<dyn Fn(&Command) -> Option<Result<Reply, ApiError>> + Send>;

/// The engine's inside, shared by the test and the session.
pub struct FakeEngine {
    state: Mutex<State>,
    events: Mutex<broadcast::Sender<Arc<EngineEvent>>>,
    asked: Mutex<Sender<Command>>,
    answer: Mutex<Override>,
}

#[derive(Default)]
struct State {
    snapshot: Snapshot,
    proposals: HashMap<TaskId, ProposalView>,
}

/// A test's hold on a fake engine.
pub struct Fake {
    pub engine: Arc<FakeEngine>,
    asked: Receiver<Command>,
}

impl Fake {
    pub fn new() -> Self {
        let (asked, receiver) = std::sync::mpsc::channel();
        let engine = FakeEngine {
            state: Mutex::default(),
            events: Mutex::new(broadcast::Sender::new(256)),
            asked: Mutex::new(asked),
            answer: Mutex::new(Box::new(|_| None)),
        };
        Self { engine: Arc::new(engine), asked: receiver }
    }

    /// Waits for a command that the filter recognises; what comes before it is passed over.
    #[track_caller]
    pub fn asked<T>(&self, wanted: impl Fn(&Command) -> Option<T>) -> T {
        let mut passed = Vec::new();
        loop {
            match self.asked.recv_timeout(super::lsp_client::PATIENCE) {
                Ok(command) => match wanted(&command) {
                    Some(found) => return found,
                    None => passed.push(command),
                },
                Err(_) => panic!("the engine was not asked; it was asked {passed:#?}"),
            }
        }
    }

    /// Returns the commands that came and were not waited for.
    pub fn passed(&self) -> Vec<Command> {
        self.asked.try_iter().collect()
    }

    /// Changes the snapshot and tells the session.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.engine.change(change);
    }

    /// Sends an event.
    pub fn send(&self, event: EngineEvent) {
        drop(self.engine.events.lock().expect("not poisoned").send(Arc::new(event)));
    }

    /// Ends all connections, as a killed engine does.
    pub fn drop_connections(&self) {
        *self.engine.events.lock().expect("not poisoned") = broadcast::Sender::new(256);
    }

    /// Replaces what the engine does.
    pub fn answer(&self, answer: impl Fn(&Command) -> Option<Result<Reply, ApiError>> + Send + 'static) {
        *self.engine.answer.lock().expect("not poisoned") = Box::new(answer);
    }

    /// Puts a task into the queue, in a state.
    pub fn task(&self, id: &str, state: LiveState) {
        self.change(|snapshot| snapshot.tasks.push(task_view(id, state)));
    }

    /// Makes a proposal of a task that is in the queue: for each file the path, the text before and the text after.
    pub fn propose(&self, task: &str, files: &[(&str, Option<&str>, Option<&str>)]) -> Vec<HunkId> {
        let id = TaskId::from(task);
        let files: Vec<ProposalFile> = files.iter().map(|(path, old, new)| proposal_file(path, *old, *new)).collect();
        let hunks: Vec<HunkSummary> = files
            .iter()
            .flat_map(|file| &file.hunks)
            .map(|(hunk, mark)| HunkSummary {
                id: hunk.id.clone(),
                path: hunk.path.clone(),
                state: mark.clone(),
                changed: false,
                again: false,
            })
            .collect();
        let ids = hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let summary = ProposalSummary {
            attempt: 1,
            outcome: Outcome::Verified,
            base: "base".to_owned(),
            head: "head".to_owned(),
            files: files.iter().map(|file| file.path.clone()).collect(),
            hunks,
            summary: Some("did <b>it</b>".to_owned()),
            part_kept: false,
            part: None,
            round: 1,
        };
        let view = ProposalView {
            task: id.clone(),
            title: format!("Title of {task}"),
            attempt: 1,
            outcome: Outcome::Verified,
            summary: summary.summary.clone(),
            checks: Vec::new(),
            findings: vec![],
            acceptance: Vec::new(),
            files,
            review: ReviewView { round: 1, ..ReviewView::default() },
        };
        self.engine.state.lock().expect("not poisoned").proposals.insert(id.clone(), view);
        self.change(|snapshot| {
            let task = snapshot.tasks.iter_mut().find(|view| view.task.id == id).expect("the task is in the queue");
            task.state = LiveState::Review;
            task.proposal = Some(summary);
        });
        ids
    }
}

impl Fake {
    /// Lets a reviewer find something in a proposal; to be said before an editor is there.
    pub fn find(&self, task: &str, finding: Finding) {
        let mut state = self.engine.state.lock().expect("not poisoned");
        state.proposals.get_mut(&TaskId::from(task)).expect("it is proposed").findings.push(finding);
    }
}

/// Makes a task as the engine shows it.
pub fn task_view(id: &str, state: LiveState) -> TaskView {
    let mut task = Task::new(id, format!("Title of {id}"));
    task.status = match state {
        LiveState::Draft => Status::Draft,
        LiveState::Done => Status::Done,
        LiveState::Dropped => Status::Dropped,
        _ => Status::Todo,
    };
    let why = format!("because of {}", state.as_str());
    TaskView {
        task,
        state,
        why,
        attempts: Vec::new(),
        proposal: None,
        questions: Vec::new(),
        comments: Vec::new(),
        used: Default::default(),
        landed: None,
        landable: false,
    }
}

/// Makes an open question of a task, about line 3 of `src/lib.rs`.
pub fn question(id: &str, task: &str) -> Decision {
    let option = |label: &str| DecisionOption {
        label: label.to_owned(),
        detail: String::new(),
        pros: Vec::new(),
        cons: Vec::new(),
        does: Default::default(),
    };
    Decision {
        id: DecisionId(id.to_owned()),
        task: Some(TaskId::from(task)),
        attempt: Some(1),
        kind: DecisionKind::Clarification,
        question: format!("Which way, {id}?"),
        options: vec![option("left"), option("right")],
        recommended: Some("right".to_owned()),
        evidence: Evidence { file: Some("src/lib.rs".to_owned()), line: Some(3), ..Evidence::default() },
        fingerprint: id.to_owned(),
        raised_at_ms: 0,
        answer: None,
        withdrawn: false,
    }
}

fn proposal_file(path: &str, old: Option<&str>, new: Option<&str>) -> ProposalFile {
    let change = FileChangeTexts {
        path,
        old_path: None,
        old: old.map(str::as_bytes),
        new: new.map(str::as_bytes),
        old_mode: old.map(|_| 0o100_644),
        new_mode: new.map(|_| 0o100_644),
    };
    ProposalFile {
        path: path.to_owned(),
        old_path: None,
        base_text: old.map(str::to_owned),
        head_text: new.map(str::to_owned),
        hunks: file_hunks(&change).into_iter().map(|hunk| (hunk, Mark::Pending)).collect(),
    }
}

impl FakeEngine {
    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut state = self.state.lock().expect("not poisoned");
        change(&mut state.snapshot);
        state.snapshot.seq += 1;
        let snapshot = state.snapshot.clone();
        let delta = Delta {
            seq: snapshot.seq,
            order: Some(snapshot.tasks.iter().map(|view| view.task.id.clone()).collect()),
            tasks: snapshot.tasks,
            decisions: Some((snapshot.decisions, snapshot.answered)),
            run: snapshot.run,
            last_run: snapshot.last_run,
            queue_problem: snapshot.queue_problem,
            goals: Some(snapshot.goals),
            away: snapshot.away,
            today: snapshot.today,
        };
        drop(self.events.lock().expect("not poisoned").send(Arc::new(EngineEvent::Changed(delta))));
    }

    fn mark(&self, task: &TaskId, hunks: &[HunkId], mark: &Mark) {
        self.change(|snapshot| {
            for view in snapshot.tasks.iter_mut().filter(|view| view.task.id == *task) {
                for hunk in view.proposal.iter_mut().flat_map(|proposal| &mut proposal.hunks) {
                    if hunks.contains(&hunk.id) {
                        hunk.state = mark.clone();
                    }
                }
            }
        });
    }

    fn set_status(&self, tasks: &[TaskId], status: Status, live: LiveState) {
        self.change(|snapshot| {
            for view in snapshot.tasks.iter_mut().filter(|view| tasks.contains(&view.task.id)) {
                view.task.status = status;
                view.state = live;
            }
        });
    }

    fn answered(&self, id: &DecisionId) {
        self.change(|snapshot| snapshot.decisions.retain(|decision| decision.id != *id));
    }
}

#[async_trait]
impl Engine for Shared {
    async fn call(&self, command: Command) -> Result<Reply, ApiError> {
        let engine = &self.0;
        drop(engine.asked.lock().expect("not poisoned").send(command.clone()));
        if let Some(answer) = (engine.answer.lock().expect("not poisoned"))(&command) {
            return answer;
        }
        Ok(match command {
            Command::Snapshot => Reply::Snapshot(engine.state.lock().expect("not poisoned").snapshot.clone()),
            Command::Proposal { task } => match engine.state.lock().expect("not poisoned").proposals.get(&task) {
                Some(view) => Reply::Proposal(view.clone()),
                None => return Err(ApiError::new(ErrorKind::Data, format!("`{task}` has no proposal"))),
            },
            Command::Accept { task, hunks, .. } => {
                engine.mark(&task, &hunks, &Mark::Accepted);
                Reply::Accepted(AcceptReply { hunks, ..AcceptReply::default() })
            }
            Command::Withdraw { task, hunks } => {
                engine.mark(&task, &hunks, &Mark::Pending);
                Reply::Done
            }
            Command::Reject { task, hunks, why, .. } => {
                engine.mark(&task, &hunks, &Mark::Rejected { why });
                Reply::Done
            }
            Command::Answer { id, .. } => {
                engine.answered(&id);
                Reply::Done
            }
            Command::Approve { tasks, .. } => {
                engine.set_status(&tasks, Status::Todo, LiveState::Ready);
                Reply::Done
            }
            Command::Drop { tasks } => {
                engine.set_status(&tasks, Status::Dropped, LiveState::Dropped);
                Reply::Done
            }
            Command::Untrusted { .. } => Reply::Commands(Vec::new()),
            _ => Reply::Done,
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
        self.0.events.lock().expect("not poisoned").subscribe()
    }
}

struct Shared(Arc<FakeEngine>);

/// Connects every folder to one fake engine, and reads the real disk.
pub struct FakeConnector(pub Arc<FakeEngine>);

#[async_trait]
impl Connector for FakeConnector {
    async fn locate(&self, folder: &Path) -> Located {
        Located { root: folder.to_owned(), is_set_up: folder.join(".ralph").is_dir() }
    }

    async fn connect(&self, _root: &Path) -> Result<Handle, ApiError> {
        Ok(Handle::new(Shared(self.0.clone())))
    }

    async fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }
}

/// Connects each folder to the engine of its name.
pub struct FoldersConnector(pub Vec<(String, Arc<FakeEngine>)>);

#[async_trait]
impl Connector for FoldersConnector {
    async fn locate(&self, folder: &Path) -> Located {
        Located { root: folder.to_owned(), is_set_up: folder.join(".ralph").is_dir() }
    }

    async fn connect(&self, root: &Path) -> Result<Handle, ApiError> {
        match self.0.iter().find(|(name, _)| root.ends_with(name)) {
            Some((_, engine)) => Ok(Handle::new(Shared(engine.clone()))),
            None => Err(ApiError::new(ErrorKind::Data, format!("{} has no engine", root.display()))),
        }
    }

    async fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }
}
