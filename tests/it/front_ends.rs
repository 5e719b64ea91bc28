//! Several front ends on one repository: what one does, the others see; the run needs none of them.

use super::coming_back::harness::{Gate, LONG, PROGRAM, Place, git};
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::domain::task::TaskId;
use ralph_sidecar::engine::handle::{Events, Handle};
use ralph_sidecar::infra::launch::Launcher;
use ralph_sidecar::infra::processes::{alive, wait_until_gone};
use ralph_sidecar::protocol::engine_api::{
    API_VERSION, Command, EngineEvent, FrontEnd, Hello, Milestone, Reply, Snapshot, StartRequest,
};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

const CHECK: &str = "grep -q done TASK.txt";

/// An editor: a connection, its events, and what it would show.
struct Editor {
    handle: Handle,
    events: Events,
    shown: Snapshot,
}

impl Editor {
    async fn open(place: &Place) -> Self {
        Self::open_in(place, &place.repo).await
    }

    async fn open_in(place: &Place, root: &Path) -> Self {
        let at = |name: &str| place.folder.join(name).into_os_string();
        let environment = [
            ("RALPH_CONFIG_HOME", at("config")),
            ("XDG_RUNTIME_DIR", at("rt")),
            ("HOME", at("")),
            ("RALPH_ENGINE_IDLE_SECONDS", "1".into()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
        ];
        let launcher = Launcher {
            program: Some(PROGRAM.into()),
            environment: environment.map(|(name, value)| (name.into(), value)).to_vec(),
            patience: LONG,
        };
        let hello = Hello { api_version: API_VERSION, root: root.to_path_buf(), front_end: FrontEnd::Editor };
        let handle = Handle::new(launcher.open(&place.paths, &hello).await.expect("connected"));
        let events = handle.subscribe();
        let shown = handle.snapshot().await.expect("snapshot");
        Self { handle, events, shown }
    }

    async fn tell(&self, command: Command) {
        self.handle.tell(command).await.expect("done");
    }

    async fn start(&self, agent: &str) {
        self.tell(Command::Start(StartRequest { agent: Some(agent.to_owned()), ..StartRequest::default() })).await;
    }

    /// Takes the next event, putting what changed over what is shown; with a new snapshot after a loss.
    async fn next(&mut self) -> EngineEvent {
        let event = tokio::time::timeout(LONG, self.events.next()).await.expect("in time").expect("the engine is on");
        match event.as_ref() {
            EngineEvent::Changed(delta) => self.shown.apply(delta.clone()),
            EngineEvent::Lagged => self.shown = self.handle.snapshot().await.expect("snapshot"),
            _ => {}
        }
        EngineEvent::clone(&event)
    }

    /// Takes events until what is shown is so.
    async fn until(&mut self, what: impl Fn(&Snapshot) -> bool) {
        while !what(&self.shown) {
            self.next().await;
        }
    }

    /// Takes events until a milestone is the one.
    async fn milestone(&mut self, which: impl Fn(&Milestone) -> bool) {
        loop {
            if let EngineEvent::Milestone(milestone) = self.next().await
                && which(&milestone)
            {
                return;
            }
        }
    }

    async fn prompt(&self, attempt: u32) -> String {
        let what = ralph_sidecar::protocol::engine_api::AttemptText::Prompt;
        let text = Command::Text { task: "one".into(), attempt: Some(attempt), what };
        match self.handle.call(text).await.expect("text") {
            Reply::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

fn state(snapshot: &Snapshot, task: &str) -> LiveState {
    snapshot.task(&TaskId::from(task)).expect("the task").state
}

fn drafts(place: &Place) {
    let path = place.repo.join(".ralph/queue.json");
    let text = fs::read_to_string(&path).expect("queue").replace("\"todo\"", "\"draft\"");
    fs::write(path, text).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn approving_is_seen_by_the_others() {
    let place = Place::new(&["one", "two"], CHECK);
    drafts(&place);
    let (left, mut right) = (Editor::open(&place).await, Editor::open(&place).await);
    assert_eq!(state(&right.shown, "one"), LiveState::Draft);
    left.tell(Command::Approve { tasks: vec!["one".into()], trust: Vec::new() }).await;
    right.until(|shown| state(shown, "one") == LiveState::Ready).await;
    assert_eq!(place.task_state("one"), "ready");
    place.ok(&["approve", "two", "--yes"]);
    right.until(|shown| state(shown, "two") == LiveState::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_one_and_resolved_in_the_others() {
    let place = Place::new(&["one"], CHECK);
    let agent = place.script(
        "asks.sh",
        "cat >/dev/null\nif [ \"$RALPH_ATTEMPT\" = 'one#1' ]; then\n\
         exec ralph-sidecar report ask --question 'Which?' --option Red --option Blue\nfi\n\
         echo done > one.txt\nexec ralph-sidecar report finished --summary 'did it'\n",
    );
    let (mut left, mut right) = (Editor::open(&place).await, Editor::open(&place).await);
    left.start(&format!("command:{}", agent.display())).await;
    right.until(|shown| !shown.decisions.is_empty()).await;
    let id = right.shown.decisions[0].id.clone();
    assert!(place.ok(&["decisions"]).contains("Which?"));
    // The run ends for want of the answer, and goes on by it.
    left.milestone(|milestone| matches!(milestone, Milestone::RunEnded { .. })).await;
    let answer = Command::Answer { id: id.clone(), option: Some("Blue".into()), text: None, go_on: true };
    right.tell(answer.clone()).await;
    left.milestone(
        |milestone| matches!(milestone, Milestone::DecisionResolved { id: resolved, .. } if *resolved == id),
    )
    .await;
    assert!(left.shown.decisions.is_empty());
    left.tell(answer).await;
    let (code, said) = place.run(&["answer", &id.0, "Red"]);
    assert_eq!(code, 2, "another answer comes too late: {said}");
    left.until(|shown| state(shown, "one") == LiveState::Review).await;
    assert!(left.prompt(2).await.contains("Blue"));
    assert_eq!(place.outcomes("one"), ["needs_decision", "verified"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_from_a_terminal_reaches_the_agent_and_the_next_prompt() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let mut editor = Editor::open(&place).await;
    editor.start(&agent).await;
    let working = gate.wait();
    place.ok(&["steer", "one", "use tabs, please"]);
    assert!(ralph_sidecar::infra::processes::signal(working, Signal::KILL).expect("sent"));
    gate.wait();
    let key = TaskId::from("one").key();
    let inbox = place.paths.mailboxes.join(key.0).join("1/inbox/new");
    let words = fs::read_dir(inbox).expect("inbox").map(|entry| fs::read_to_string(entry.expect("entry").path()));
    let words: Vec<String> = words.map(|text| text.expect("text")).collect();
    assert!(matches!(&words[..], [text] if text.contains("use tabs, please")), "{words:?}");
    assert!(editor.prompt(2).await.contains("use tabs, please"));
    gate.open();
    editor.until(|shown| state(shown, "one") == LiveState::Review).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_agent_at_work() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.script(
        "answers.sh",
        &format!(
            "cat >/dev/null\n\
             until ralph-sidecar report progress 'at work' | tee -a FOLDER/heard | grep -q q1; do sleep 0.1; done\n\
             ralph-sidecar report reply --to q1 'half way' && ralph-sidecar report handoff 'mind the tabs'\n{}\n\
             echo done > one.txt\nexec ralph-sidecar report finished --summary 'did it'\n",
            gate.pass()
        ),
    );
    let mut editor = Editor::open(&place).await;
    let (code, said) = place.run(&["steer", "one", "--ask", "how far?"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nobody is at work on task `one`"), "{said}");
    editor.start(&format!("command:{}", agent.display())).await;
    editor.milestone(|milestone| matches!(milestone, Milestone::AttemptStarted { .. })).await;
    assert!(place.ok(&["steer", "one", "--ask", "how far?"]).contains("asked"));
    editor
        .milestone(|milestone| {
            let Milestone::Replied { task, id, question, answer } = milestone else { return false };
            let told = (task.0.as_str(), id.as_str(), question.as_str(), answer.as_str());
            assert_eq!(told, ("one", "q1", "how far?", "half way"));
            true
        })
        .await;
    gate.wait();
    let heard = fs::read_to_string(place.folder.join("heard")).expect("heard");
    assert_eq!(heard.matches("[q1] question").count(), 1, "{heard}");
    let shown = editor.shown.task(&"one".into()).expect("the task").questions.clone();
    assert!(matches!(&shown[..], [asked] if asked.answer.as_deref() == Some("half way")), "{shown:?}");
    assert!(place.ok(&["status"]).contains("q1: how far? half way"));
    let log = place.ok(&["log", "one"]);
    assert!(log.contains("q1 you asked: how far?\nq1 it said: half way"), "{log}");
    gate.open();
    editor.until(|shown| state(shown, "one") == LiveState::Review).await;
    // It was no steering: nothing of it is for the next attempt.
    assert_eq!(place.outcomes("one"), ["verified"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_in_one_is_done_in_the_others_and_undo_too() {
    let place = Place::new(&["one"], CHECK);
    let agent = place.agent(None);
    let (mut left, mut right) = (Editor::open(&place).await, Editor::open(&place).await);
    left.start(&agent).await;
    left.until(|shown| state(shown, "one") == LiveState::Review).await;
    right.until(|shown| state(shown, "one") == LiveState::Review).await;
    left.tell(Command::Accept { task: "one".into(), hunks: Vec::new(), write: true }).await;
    right.until(|shown| state(shown, "one") == LiveState::Done).await;
    assert_eq!(fs::read_to_string(place.repo.join("one.txt")).expect("written"), "one#1\ndone\n");
    assert_eq!(place.task_state("one"), "done");
    place.ok(&["undo"]);
    right.until(|shown| state(shown, "one") == LiveState::Review).await;
    left.until(|shown| state(shown, "one") == LiveState::Done).await;
    left.until(|shown| state(shown, "one") == LiveState::Review).await;
    assert!(!place.repo.join("one.txt").exists());
    place.ok(&["accept", "one"]);
    left.until(|shown| state(shown, "one") == LiveState::Done).await;
}

/// The engine writes `done`, `todo` and perhaps both again while it reads what it wrote a moment ago.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_right_after_the_accept_that_made_it_done_keeps_the_proposal() {
    const TIMES: u64 = 20;
    let place = Place::new(&["one"], CHECK);
    let agent = place.agent(None);
    let mut editor = Editor::open(&place).await;
    editor.start(&agent).await;
    editor.until(|shown| state(shown, "one") == LiveState::Review).await;
    for time in 0..TIMES {
        editor.tell(Command::Accept { task: "one".into(), hunks: Vec::new(), write: true }).await;
        // Before, while and after the task becomes done by it.
        tokio::time::sleep(Duration::from_millis(time % 4 * 10)).await;
        let undone = editor.handle.call(Command::Undo).await;
        assert!(matches!(undone, Ok(Reply::Undone(_))), "time {time}: {undone:?}");
        // What the file says counts when this has been answered.
        editor.tell(Command::Saved { paths: vec![".ralph/queue.json".into()] }).await;
        let shown = editor.handle.snapshot().await.expect("snapshot");
        let task = shown.task(&"one".into()).expect("the task");
        assert_eq!(task.state, LiveState::Review, "time {time}: {task:?}");
        assert!(task.proposal.is_some(), "time {time}: {task:?}");
    }
    place.ok(&["accept", "one"]);
    editor.until(|shown| state(shown, "one") == LiveState::Done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_lags_is_told_and_its_new_snapshot_is_that_of_the_others() {
    /// More than a front end keeps.
    const MANY: usize = 1100;
    let place = Place::new(&["one"], CHECK);
    let (mut slow, mut busy) = (Editor::open(&place).await, Editor::open(&place).await);
    for number in 0..MANY {
        busy.tell(Command::Steer { task: "one".into(), text: format!("word {number}") }).await;
        // This one keeps up.
        busy.next().await;
    }
    while slow.next().await != EngineEvent::Lagged {}
    busy.shown = busy.handle.snapshot().await.expect("snapshot");
    assert_eq!(slow.shown, busy.shown);
    // What had been waiting is older than the snapshot and changes nothing; what comes is the same for both.
    place.ok(&["drop", "one"]);
    slow.until(|shown| state(shown, "one") == LiveState::Dropped).await;
    busy.until(|shown| state(shown, "one") == LiveState::Dropped).await;
    let same = slow.handle.snapshot().await.expect("snapshot");
    assert_eq!((&slow.shown.tasks, slow.shown.seq), (&same.tasks, same.seq));
    assert_eq!((&busy.shown.tasks, busy.shown.seq), (&same.tasks, same.seq));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_goes_on_when_every_front_end_is_closed() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let (left, right) = (Editor::open(&place).await, Editor::open(&place).await);
    left.start(&agent).await;
    gate.wait();
    let engine = place.engine();
    drop((left, right));
    gate.open();
    gate.wait();
    gate.open();
    assert!(wait_until_gone(&[engine], LONG).expect("waited"));
    for task in ["one", "two"] {
        assert_eq!(place.outcomes(task), ["verified"]);
        assert_eq!(place.task_state(task), "review");
    }
    place.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_run_returns_at_once_and_is_paused_resumed_and_stopped_from_a_terminal() {
    let place = Place::new(&["one", "two", "three"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let mut editor = Editor::open(&place).await;
    place.ok(&["run", "--detach", "--agent", &agent]);
    let first = gate.wait();
    assert!(alive(first), "it works on");
    place.ok(&["pause"]);
    gate.open();
    editor.until(|shown| state(shown, "one") == LiveState::Review).await;
    let run = editor.handle.snapshot().await.expect("snapshot").run.expect("on");
    assert!(run.paused && run.task.is_none(), "{run:?}");
    place.ok(&["resume"]);
    gate.wait();
    place.ok(&["stop"]);
    gate.open();
    editor.milestone(|milestone| matches!(milestone, Milestone::RunEnded { .. })).await;
    assert_eq!(place.outcomes("two"), ["verified"]);
    assert_eq!(place.starts(), ["one#1", "two#1"]);
    assert_eq!(place.run(&["stop"]).0, 2, "no run is on");
    // One that nobody looks at any more.
    drop(editor);
    place.ok(&["run", "--detach", "--agent", &agent]);
    gate.wait();
    let engine = place.engine();
    gate.open();
    assert!(wait_until_gone(&[engine], LONG).expect("waited"));
    assert_eq!(place.outcomes("three"), ["verified"]);
    place.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_interrupt_stops_after_the_attempt_and_two_kill_it() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let mut editor = Editor::open(&place).await;
    let stopping = |shown: &Snapshot| shown.run.as_ref().is_some_and(|run| run.stopping);

    let front = place.start(&["run", "--agent", &agent]);
    gate.wait();
    front.signal(Signal::INT);
    editor.until(stopping).await;
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 130, "{said}");
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.starts(), ["one#1"]);

    let front = place.start(&["run", "--agent", &agent]);
    let working = gate.wait();
    editor.until(|shown| shown.run.as_ref().is_some_and(|run| !run.stopping)).await;
    front.signal(Signal::INT);
    editor.until(stopping).await;
    assert!(alive(working));
    front.signal(Signal::INT);
    let (code, said) = front.end();
    assert_eq!(code, 130, "{said}");
    assert!(!alive(working));
    assert_eq!(place.outcomes("two"), ["cancelled"]);
    assert_eq!(place.in_attempt("two", 1, "two.txt").as_deref(), Some("two#1\n"), "what it did is kept");
    assert_eq!(place.task_state("two"), "ready");
    drop(editor);
    place.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_worktree_has_its_own_queue_and_waits_for_its_turn() {
    let place = Place::new(&["one"], CHECK);
    let linked = place.folder.join("linked");
    git(&place.repo, &["worktree", "add", "-q", linked.to_str().expect("text")]);
    place.write_queue(&linked, &["other"], CHECK);
    assert_eq!(place.start_in(&linked, &["trust", "--yes"]).end().0, 0);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let editor = Editor::open_in(&place, &linked).await;
    assert_eq!(editor.shown.tasks.iter().map(|view| view.task.id.0.as_str()).collect::<Vec<_>>(), ["other"]);
    let front = place.start(&["run", "--agent", &agent]);
    gate.wait();
    let (code, said) = place.start_in(&linked, &["run", "--agent", &agent]).end();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("in another checkout") && said.contains(place.repo.to_str().expect("text")), "{said}");
    gate.open();
    assert_eq!(front.end().0, 0);

    // Its turn now; the engine is killed, and started by a front end of the other checkout.
    editor.start(&agent).await;
    gate.wait();
    place.kill_engine();
    drop(editor);
    let (code, said) = place.run(&["run", "--agent", &agent]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains(linked.to_str().expect("text")), "{said}");
    let engine = place.engine();
    gate.open();
    assert!(wait_until_gone(&[engine], LONG).expect("waited"));
    let (_, said) = place.start_in(&linked, &["status", "--json"]).end();
    let status: serde_json::Value = serde_json::from_str(&said).expect("json");
    assert_eq!(status["tasks"][0]["state"], "review", "{said}");
    assert_eq!(place.starts(), ["one#1", "other#1"]);
    place.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_below_an_unsaved_queue() {
    let place = Place::new(&["one"], CHECK);
    drafts(&place);
    let (mut typing, other) = (Editor::open(&place).await, Editor::open(&place).await);
    typing.tell(Command::HoldQueue { held: true }).await;
    let approve = Command::Approve { tasks: vec!["one".into()], trust: Vec::new() };
    let refused = other.handle.call(approve.clone()).await.expect_err("the editor would undo it at its next save");
    assert!(refused.message.contains("unsaved changes"), "{refused}");
    let before = fs::read_to_string(place.repo.join(".ralph/queue.json")).expect("queue");
    let handle = other.handle.clone();
    let tasks = vec![ralph_sidecar::domain::task::Task::new("two", "Second")];
    let adding = tokio::spawn(async move { handle.call(Command::AddTasks { tasks, goals: Vec::new() }).await });
    while !matches!(typing.next().await, EngineEvent::Notice { warning: true, .. }) {}
    assert_eq!(fs::read_to_string(place.repo.join(".ralph/queue.json")).expect("queue"), before);
    assert!(!adding.is_finished());
    // The editor goes away without saving: what waited goes in.
    drop(typing);
    adding.await.expect("no panic").expect("added");
    assert!(fs::read_to_string(place.repo.join(".ralph/queue.json")).expect("queue").contains("Second"));
    other.tell(approve).await;
    drop(other);
    place.nothing_left();
}

#[test]
fn status_tells_the_settings_of_the_run_that_is_on() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let attempts = || {
        let status: serde_json::Value = serde_json::from_str(&place.ok(&["status", "--json"])).expect("JSON");
        status["settings"]["limits"]["attempts"].clone()
    };
    let front = place.start(&["run", "--agent", &agent, "--attempts", "2"]);
    gate.wait();
    assert_eq!(attempts(), 2, "of the run");
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(attempts(), 4, "of the configuration");
    place.nothing_left();
}
