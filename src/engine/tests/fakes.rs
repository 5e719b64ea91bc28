//! A world in memory: every call is written into one log, and any call can be made to fail. Its processes are in
//! `processes`.

mod processes;

use crate::domain::ending::Ending;
use crate::domain::event::Event;
use crate::domain::hunks::HunkId;
use crate::domain::landing::{LandTo, Landing};
use crate::domain::report::Report;
use crate::domain::task::{Task, TaskId};
use crate::engine::ports::*;
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::config::{Config, Layer};
use crate::protocol::engine_api::{AcceptReply, Buffer, ProposalFile};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc, watch};

/// What an agent does in one turn.
pub struct Played {
    pub end: ProcessEnd,
    /// What its driver prints.
    pub lines: Vec<AgentLine>,
    pub reports: Vec<Report>,
}

/// What all ports share.
#[derive(Default)]
pub struct Shared {
    log: Mutex<Vec<String>>,
    /// Which call of which name fails, counted from 1; 0 fails every one.
    faults: Mutex<HashMap<&'static str, u32>>,
    calls: Mutex<HashMap<&'static str, u32>>,
    pub events: Mutex<Vec<Event>>,
    /// Nothing can be appended to the journal.
    pub full: AtomicBool,
    pub appended: Notify,
    pub queue: Mutex<Vec<Task>>,
    pub head: Mutex<String>,
    pub files: Mutex<BTreeMap<PathBuf, String>>,
    /// What the agent reports; without one it just exits.
    pub report: Mutex<Option<Report>>,
    /// What agents do in their next turns, by role; without any, they do as the fields below say.
    pub turns: Mutex<HashMap<&'static str, VecDeque<Played>>>,
    /// What was reported into each mailbox by a turn that was played.
    mailboxes: Mutex<HashMap<PathBuf, Vec<Report>>>,
    /// Folders of turns that an engine before this one started.
    pub left_on: Mutex<Vec<&'static str>>,
    /// The configuration, where it is not the usual one.
    pub config: Mutex<Option<serde_json::Value>>,
    /// Files outside the slot change while an agent works.
    pub leaking: AtomicBool,
    pub fenced: AtomicBool,
    /// Merges of earlier work do not work out.
    pub clashing: AtomicBool,
    /// How the agent ends.
    pub agent_end: Mutex<Option<ProcessEnd>>,
    /// Checks fail where an agent's work is in the slot.
    pub red: AtomicBool,
    /// The commit each slot was last filled with.
    filled: Mutex<HashMap<String, String>>,
    /// Agents run until they are stopped.
    pub endless: AtomicBool,
    /// Agents that run right now, and the most that ever did.
    running: AtomicU32,
    pub most_running: AtomicU32,
    now: AtomicI64,
    /// A process that was started before this engine can be taken over.
    pub adoptable: AtomicBool,
    /// A landing goes on until it is stopped.
    pub hooks_hang: AtomicBool,
    /// A commit that was made and that the journal may not have.
    pub left_landing: Mutex<Option<Landing>>,
}

impl Shared {
    /// Writes the call into the log, and fails it when planned.
    pub fn call(&self, name: &'static str, detail: &str) -> PortResult<()> {
        let line = if detail.is_empty() { name.to_owned() } else { format!("{name} {detail}") };
        let mut calls = self.calls.lock().expect("calls");
        let count = calls.entry(name).or_default();
        *count += 1;
        let fails = self.faults.lock().expect("faults").get(name).is_some_and(|at| *at == 0 || *at == *count);
        self.log.lock().expect("log").push(if fails { format!("{line} FAILED") } else { line });
        if fails { Err(PortError::new(format!("do {name}"))) } else { Ok(()) }
    }

    pub fn fail(&self, name: &'static str, at: u32) {
        self.faults.lock().expect("faults").insert(name, at);
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("log").clone()
    }

    /// Lets the next turn of a role be as given, after those that were given before.
    pub fn play(&self, role: &'static str, turn: Played) {
        self.turns.lock().expect("turns").entry(role).or_default().push_back(turn);
    }

    /// Returns the end of the next turn of the role, after what it prints and reports has been put where it belongs.
    fn perform(&self, role: &str, folder: &Path, mailbox: &Path, driven: bool) -> Option<ProcessEnd> {
        let played = self.turns.lock().expect("turns").get_mut(role).and_then(VecDeque::pop_front);
        let (end, lines) = match played {
            Some(played) => {
                self.mailboxes.lock().expect("mailboxes").insert(mailbox.to_path_buf(), played.reports);
                (Some(played.end), played.lines)
            }
            None if driven => (None, vec![AgentLine::Ended { ending: Ending::regular("done") }]),
            None => return None,
        };
        let text: String = lines.iter().map(|line| line.write() + "\n").collect();
        self.files.lock().expect("files").insert(folder.join("transcript.log"), text);
        end
    }

    pub fn position(&self, line: &str) -> usize {
        let log = self.log();
        log.iter().position(|found| found.starts_with(line)).unwrap_or_else(|| panic!("no `{line}` in {log:#?}"))
    }
}

/// Makes a world over the shared parts.
pub fn world(shared: &Arc<Shared>) -> World {
    World {
        root: "/checkout".into(),
        queue: Arc::new(Port(shared.clone())),
        settings: Arc::new(Port(shared.clone())),
        workshop: Arc::new(Port(shared.clone())),
        processes: Arc::new(Port(shared.clone())),
        clock: Arc::new(Port(shared.clone())),
        attempts: "/state/attempts".into(),
        runs: RunBoard::default(),
    }
}

/// Every port at once.
pub struct Port(pub Arc<Shared>);

impl Clock for Port {
    fn now_ms(&self) -> i64 {
        self.0.now.fetch_add(1, Ordering::SeqCst) + 1_000_000
    }

    fn random(&self) -> u64 {
        4
    }
}

impl Journal for Port {
    fn load(&mut self) -> PortResult<Vec<Event>> {
        self.0.call("load", "")?;
        Ok(self.0.events.lock().expect("events").clone())
    }

    fn append(&mut self, events: &[Event]) -> PortResult<u64> {
        let name = |event: &Event| {
            let value = serde_json::to_value(event).expect("events serialise");
            value["event"].as_str().unwrap_or_default().to_owned()
        };
        let names: Vec<_> = events.iter().map(name).collect();
        let full = self.0.full.load(Ordering::SeqCst);
        let appended = self.0.call("append", &names.join(","));
        self.0.appended.notify_waiters();
        if full {
            return Err(PortError::new("write the journal: no space left"));
        }
        appended?;
        let mut journal = self.0.events.lock().expect("events");
        journal.extend_from_slice(events);
        Ok(journal.len() as u64)
    }
}

#[async_trait]
impl QueueFile for Port {
    async fn read(&self) -> PortResult<QueueRead> {
        self.0.call("read queue", "")?;
        let tasks = self.0.queue.lock().expect("queue").clone();
        Ok(QueueRead::Good { tasks, goals: Vec::new(), warnings: Vec::new() })
    }

    async fn edit(&self, edits: Vec<QueueEdit>) -> PortResult<()> {
        self.0.call("edit queue", "")?;
        let mut queue = self.0.queue.lock().expect("queue");
        for edit in edits {
            match edit {
                QueueEdit::SetStatus { task, status } => {
                    queue.iter_mut().filter(|found| found.id == task).for_each(|found| found.status = status);
                }
                QueueEdit::Put { tasks, .. } => queue.extend(tasks),
                QueueEdit::Remove { tasks } => queue.retain(|task| !tasks.contains(&task.id)),
            }
        }
        Ok(())
    }

    fn watch(&self, _changed: mpsc::UnboundedSender<()>) {}
}

#[async_trait]
impl SettingsSource for Port {
    async fn layers(&self) -> PortResult<(Vec<(Layer, Config)>, Vec<String>)> {
        let usual = serde_json::json!({ "agents": { "one": { "command": ["agent"] } }, "verify": ["check"] });
        let config = self.0.config.lock().expect("config").clone().unwrap_or(usual);
        let config: Config = serde_json::from_value(config).expect("a configuration");
        let mut config = config;
        config.chains.set(crate::protocol::config::Role::Implementer, vec!["one".into()]);
        Ok((vec![(Layer::Repository, config)], Vec::new()))
    }

    async fn trusted(&self) -> PortResult<BTreeSet<String>> {
        Ok(["agent", "claude", "check"].map(str::to_owned).into())
    }

    async fn trust(&self, _commands: &[String]) -> PortResult<()> {
        Ok(())
    }
}

#[async_trait]
impl Workshop for Port {
    async fn preflight(&self) -> PortResult<Vec<String>> {
        self.0.call("preflight", "").map(|()| Vec::new())
    }

    async fn head(&self) -> PortResult<Option<String>> {
        Ok(Some(self.0.head.lock().expect("head").clone()))
    }

    async fn snapshot(&self, _buffers: Vec<Buffer>) -> PortResult<StartPoint> {
        self.0.call("snapshot", "")?;
        Ok(StartPoint { commit: "seen".into(), head: Some("head".into()), uncommitted: vec![], left_out: vec![] })
    }

    async fn merge(&self, ancestor: &str, ours: &str, theirs: &str, _message: &str) -> PortResult<Merge> {
        self.0.call("merge", &format!("{ancestor}..{theirs} onto {ours}"))?;
        Ok(match self.0.clashing.load(Ordering::SeqCst) {
            true => Merge::Conflict(vec!["f".into()]),
            false => Merge::Clean(format!("{ours}+{theirs}")),
        })
    }

    async fn fill_slot(&self, slot: &str, commit: &str) -> PortResult<PathBuf> {
        self.0.call("fill", &format!("{slot} {commit}"))?;
        self.0.filled.lock().expect("filled").insert(slot.to_owned(), commit.to_owned());
        Ok(PathBuf::from("/slots").join(slot))
    }

    async fn include_ignored(&self, _slot: &str) -> PortResult<()> {
        self.0.call("include", "")
    }

    async fn commit_slot(
        &self,
        slot: &str,
        base: &str,
        key: &str,
        number: u32,
        _message: &str,
    ) -> PortResult<SlotWork> {
        self.0.call("commit", &format!("{slot} {key} {number} on {base}"))?;
        Ok(SlotWork { head: format!("work-{number}"), changed: vec!["f".into()], diff_hash: format!("diff-{number}") })
    }

    async fn with_paths_of(&self, commit: &str, _base: &str, _paths: &[String]) -> PortResult<String> {
        self.0.call("restore", commit)?;
        Ok(format!("{commit}-restored"))
    }

    async fn publish(&self, _key: &str, _base: &str, head: &str) -> PortResult<()> {
        self.0.call("publish", head)
    }

    async fn outside_before(&self) -> PortResult<OutsideState> {
        self.0.call("outside before", "")?;
        Ok(OutsideState(serde_json::json!({})))
    }

    async fn outside_since(&self, _before: &OutsideState) -> PortResult<OutsideChange> {
        self.0.call("outside since", "")?;
        let leaking = self.0.leaking.load(Ordering::SeqCst);
        Ok(OutsideChange { files: leaking.then(|| "elsewhere".to_owned()).into_iter().collect(), ..Default::default() })
    }

    async fn files(&self, _base: &str, head: &str) -> PortResult<Vec<ProposalFile>> {
        self.0.call("files", head)?;
        Ok(Vec::new())
    }

    async fn write_hunks(
        &self,
        _base: &str,
        _head: &str,
        _accepted: BTreeSet<HunkId>,
        _rejected: BTreeSet<HunkId>,
        wanted: BTreeSet<HunkId>,
    ) -> PortResult<AcceptReply> {
        self.0.call("write hunks", "")?;
        Ok(AcceptReply { hunks: wanted.into_iter().collect(), ..AcceptReply::default() })
    }

    async fn part(&self, base: &str, _head: &str, accepted: BTreeSet<HunkId>) -> PortResult<String> {
        let accepted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
        self.0.call("part", &accepted.join(","))?;
        Ok(format!("{base}+part"))
    }

    async fn on_disk(&self, _base: &str, _head: &str, accepted: BTreeSet<HunkId>) -> PortResult<BTreeSet<HunkId>> {
        self.0.call("on disk", "")?;
        Ok(accepted)
    }

    async fn misfits(
        &self,
        _base: &str,
        _head: &str,
        _accepted: BTreeSet<HunkId>,
        _rejected: BTreeSet<HunkId>,
    ) -> PortResult<Vec<(HunkId, String)>> {
        self.0.call("misfits", "").map(|()| Vec::new())
    }

    async fn land(&self, order: LandOrder, mut stop: watch::Receiver<bool>) -> PortResult<LandOutcome> {
        self.0.call("land", &order.message)?;
        if self.0.hooks_hang.load(Ordering::SeqCst) {
            let _ = stop.wait_for(|stop| *stop).await;
            return Err(PortError::new("land: it was stopped"));
        }
        let tasks = order.parts.into_iter().map(|part| part.task).collect();
        let (commit, previous) = ("landed".to_owned(), Some("head".to_owned()));
        let branch = order.branch.unwrap_or_else(|| "main".to_owned());
        let landing = Landing { tasks, to: LandTo::Commit, commit, previous, branch };
        *self.0.left_landing.lock().expect("landing") = Some(landing.clone());
        Ok(LandOutcome { landing, paths: vec!["f".into()], left_out: Vec::new() })
    }

    async fn left_landing(&self) -> PortResult<Option<Landing>> {
        self.0.call("left landing", "")?;
        Ok(self.0.left_landing.lock().expect("landing").clone())
    }

    async fn landing_known(&self) -> PortResult<()> {
        self.0.call("landing known", "")?;
        *self.0.left_landing.lock().expect("landing") = None;
        Ok(())
    }

    async fn keep_rejection(&self, _task: &TaskId, _hunks: Vec<HunkId>) -> PortResult<()> {
        self.0.call("keep rejection", "")
    }

    async fn take_back(&self, _landing: bool) -> PortResult<TakenBack> {
        self.0.call("take back", "")?;
        Ok(TakenBack::Files { hunks: Vec::new(), restored: Vec::new(), kept: Vec::new() })
    }

    async fn lockfiles(&self, _slot: &str) -> PortResult<String> {
        Ok(String::new())
    }
}
