//! What the end of an agent's turn makes of an attempt: every class, the second turn, plans that are mended.

use super::fakes::{Played, Shared};
use super::{Bench, open, shared};
use crate::domain::ending::{Ending, Usage};
use crate::domain::event::{Event, RunEndReason};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::report::Report;
use crate::engine::ports::ProcessEnd;
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::drive::DriveOrder;
use crate::protocol::engine_api::{AttemptText, Command, PlanRequest, Reply};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A world whose only agent is driven by us.
pub fn driven(tasks: &str) -> Arc<Shared> {
    let shared = shared(tasks);
    let config = json!({ "agents": { "one": { "kind": "claude" } }, "verify": ["check"] });
    *shared.config.lock().expect("config") = Some(config);
    shared
}

fn finished() -> Report {
    Report::Finished { summary: "did it".into(), no_change: None, evidence: None }
}

/// A turn that ends as its driver says, after some words.
pub fn ends(ending: Ending, reports: Vec<Report>) -> Played {
    let code = i32::from(ending.failure.is_some());
    let lines = vec![AgentLine::Said { text: "my last words".into() }, AgentLine::Ended { ending }];
    Played { end: ProcessEnd::Exited(code), lines, reports }
}

fn with_session(session: &str) -> Ending {
    let usage = Usage { input_tokens: 10, output_tokens: 1, ..Usage::default() };
    Ending { session: Some(session.into()), usage, ..Ending::regular("end_turn") }
}

impl Bench {
    pub fn ends(&self) -> Vec<AttemptEnd> {
        let end = |event: &Event| match event {
            Event::AttemptEnded { end, .. } => Some(end.clone()),
            _ => None,
        };
        self.journal().iter().filter_map(end).collect()
    }

    pub fn file(&self, path: &str) -> String {
        let files = self.shared.files.lock().expect("files");
        let known = || files.keys().map(|path| path.display().to_string()).collect::<Vec<_>>();
        files.get(Path::new(path)).cloned().unwrap_or_else(|| panic!("no {path} in {:#?}", known()))
    }

    pub fn count(&self, call: &str) -> usize {
        self.shared.log().iter().filter(|line| *line == call).count()
    }
}

/// The folder of the attempts of the only task, which is called `a`.
pub fn attempts() -> PathBuf {
    Path::new("/state/attempts").join(crate::domain::task::TaskId::from("a").key().0)
}

#[tokio::test(start_paused = true)]
async fn every_class_of_ending_is_an_outcome_and_the_work_is_kept() {
    for class in [
        Outcome::RateLimited,
        Outcome::Overloaded,
        Outcome::Network,
        Outcome::Auth,
        Outcome::ModelUnavailable,
        Outcome::MissingBinary,
        Outcome::ContextExhausted,
        Outcome::Crashed,
        Outcome::InvalidOutput,
        Outcome::BudgetExceeded,
        Outcome::TimedOut,
    ] {
        let shared = driven("a");
        let ending = Ending { until_ms: Some(77), ..Ending::failed(class, "so said the agent") };
        shared.play("implementer", ends(ending.clone(), Vec::new()));
        let mut bench = open(&shared).await;
        bench.start().await;
        while bench.ends().is_empty() {
            bench.events.next().await.expect("the engine is there");
        }
        let end = &bench.ends()[0];
        assert_eq!((end.outcome, end.detail.as_str()), (class, "so said the agent"));
        assert_eq!(end.ending.as_ref(), Some(&ending), "{class:?}");
        assert_eq!((end.head.as_deref(), end.failure.as_deref()), (Some("work-1"), Some("my last words")));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_limit_the_next_attempt_goes_on_and_is_told_so() {
    let shared = driven("a");
    shared.play("implementer", ends(Ending::failed(Outcome::Overloaded, "529"), Vec::new()));
    let mut bench = open(&shared).await;
    bench.start().await;
    while bench.ends().len() < 2 {
        bench.events.next().await.expect("the engine is there");
    }
    assert_eq!(bench.outcomes(), [Outcome::Overloaded, Outcome::Verified]);
    assert!(bench.shared.log().iter().any(|line| line == "fill slot-1 seen+work-1"), "{:#?}", bench.shared.log());
    let prompt = bench.file(&attempts().join("2/prompt.md").display().to_string());
    assert!(prompt.contains("was cut off: overloaded") && prompt.contains("is in the worktree"), "{prompt}");
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_checked_however_the_turn_ended_and_a_question_counts() {
    let limit = || Ending::failed(Outcome::RateLimited, "no more today");
    let ask = Report::Ask {
        question: "which?".into(),
        options: vec![],
        recommend: None,
        file: None,
        line: None,
        permission: false,
    };
    let blocked = Report::Blocked { reason: "no network".into() };
    for (report, red, expected) in [
        (finished(), false, Outcome::Verified),
        (finished(), true, Outcome::VerifyFailed),
        (ask, false, Outcome::NeedsDecision),
        (blocked, false, Outcome::Blocked),
    ] {
        let shared = driven("a");
        shared.red.store(red, Ordering::SeqCst);
        shared.play("implementer", ends(limit(), vec![report]));
        let mut bench = open(&shared).await;
        bench.start().await;
        while bench.ends().is_empty() {
            bench.events.next().await.expect("the engine is there");
        }
        let end = &bench.ends()[0];
        assert_eq!(end.outcome, expected);
        assert_eq!(end.ending.as_ref(), Some(&limit()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_tells_no_end_has_crashed() {
    let shared = driven("a");
    let lines = vec![AgentLine::Said { text: "hm".into() }];
    shared.play("implementer", Played { end: ProcessEnd::Signaled(9), lines, reports: Vec::new() });
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), [Outcome::Crashed, Outcome::Verified]);
    assert_eq!(bench.ends()[0].ending, None);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_without_a_word_is_asked_once_more_in_its_session() {
    let shared = driven("a");
    shared.play("implementer", ends(with_session("s1"), Vec::new()));
    shared.play("implementer", ends(with_session("s1"), vec![finished()]));
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), [Outcome::Verified]);
    let usage = bench.ends()[0].ending.as_ref().map(|ending| ending.usage.tokens());
    assert_eq!(usage, Some(22), "what both turns used");
    let folder = attempts().join("1/turn-2");
    let order: DriveOrder =
        serde_json::from_str(&bench.file(&folder.join("drive.json").display().to_string())).expect("an order");
    assert_eq!(order.session.as_deref(), Some("s1"));
    let prompt = bench.file(&folder.join("prompt.md").display().to_string());
    assert!(prompt.starts_with("You ended without a report") && prompt.contains("`report_finished`"), "{prompt}");
    // Both are in the transcript, as a person reads it and as they came.
    let text = |what| Command::Text { task: "a".into(), attempt: None, what };
    let Ok(Reply::Text(shown)) = bench.handle.call(text(AttemptText::Transcript)).await else { panic!("a text") };
    assert_eq!(shown.matches("my last words\nended: end_turn\n").count(), 2, "{shown}");
    assert!(shown.contains("[ralph: asked once more"), "{shown}");
    let Ok(Reply::Text(raw)) = bench.handle.call(text(AttemptText::RawTranscript)).await else { panic!("a text") };
    assert_eq!(raw.matches("{\"line\":\"ended\"").count(), 2, "{raw}");
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_only_once_and_only_where_it_can_go_on() {
    let silent = |session: &str| ends(with_session(session), Vec::new());
    for (first, turns) in [(silent("s1"), 2), (silent(""), 1)] {
        let shared = driven("a%1");
        *shared.report.lock().expect("report") = None;
        shared.play("implementer", first);
        shared.play("implementer", silent("s1"));
        let mut bench = open(&shared).await;
        assert_eq!(bench.run().await, RunEndReason::NeedsPerson);
        assert_eq!(bench.outcomes(), [Outcome::Incomplete]);
        assert_eq!(bench.count("start agent"), turns);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_turn_is_adopted_after_a_restart() {
    let shared = driven("a");
    let mut first = open(&shared).await;
    assert_eq!(first.run().await, RunEndReason::Finished);
    let mut journal = first.journal();
    let started = journal.iter().position(|event| matches!(event, Event::AgentStarted { .. })).expect("it was started");
    journal.truncate(started + 1);
    let again = driven("a");
    *again.events.lock().expect("events") = journal;
    *again.report.lock().expect("report") = None;
    let transcript = ends(with_session("s1"), Vec::new()).lines.iter().map(|line| line.write() + "\n").collect();
    again.files.lock().expect("files").insert(attempts().join("1/transcript.log"), transcript);
    again.left_on.lock().expect("left on").push("turn-2");
    again.play("implementer", ends(with_session("s1"), vec![finished()]));
    let mut second = open(&again).await;
    second.taken_up().await;
    assert_eq!(second.outcomes(), [Outcome::Verified]);
    assert_eq!(second.count("start agent"), 0);
    let usage = second.ends()[0].ending.as_ref().map(|ending| ending.usage.tokens());
    assert_eq!(usage, Some(22));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_agent_that_ended_without_a_word_is_asked_once_more() {
    // Once the work was committed for good, the engine before this one had judged it.
    for judged in [false, true] {
        let shared = driven("a%1");
        let mut first = open(&shared).await;
        assert_eq!(first.run().await, RunEndReason::Finished);
        let mut journal = first.journal();
        let started =
            journal.iter().position(|event| matches!(event, Event::AgentStarted { .. })).expect("it was started");
        journal.truncate(started + 1);
        let again = driven("a%1");
        *again.events.lock().expect("events") = journal;
        *again.report.lock().expect("report") = None;
        let transcript = ends(with_session("s1"), Vec::new()).lines.iter().map(|line| line.write() + "\n").collect();
        again.files.lock().expect("files").insert(attempts().join("1/transcript.log"), transcript);
        if judged {
            let kept = shared.files.lock().expect("files").clone().into_iter();
            let kept = kept.filter(|(path, _)| path.display().to_string().contains("/1/work-"));
            again.files.lock().expect("files").extend(kept);
        }
        again.adoptable.store(true, Ordering::SeqCst);
        again.play("implementer", ends(with_session("s1"), vec![finished()]));
        let mut second = open(&again).await;
        second.taken_up().await;
        let expected = if judged { (Outcome::Incomplete, 0) } else { (Outcome::Verified, 1) };
        assert_eq!((second.ends()[0].outcome, second.count("start agent")), expected);
        if !judged {
            assert!(again.position("commit slot-1") < again.position("start agent"), "{:#?}", again.log());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn protected_paths_are_put_back_after_a_limit_too() {
    let shared = driven("a");
    let config = json!({ "agents": { "one": { "kind": "claude" } }, "verify": ["check"], "protect": ["f"] });
    *shared.config.lock().expect("config") = Some(config);
    shared.play("implementer", ends(Ending::failed(Outcome::RateLimited, "later"), Vec::new()));
    let mut bench = open(&shared).await;
    bench.start().await;
    while bench.ends().len() < 2 {
        bench.events.next().await.expect("the engine is there");
    }
    assert_eq!(bench.outcomes()[..2], [Outcome::RateLimited, Outcome::ProtectedPath]);
    assert_eq!(bench.ends()[0].paths, ["f"]);
    assert!(bench.shared.position("restore work-1") < bench.shared.position("merge seen..work-1-restored"));
}

#[tokio::test(start_paused = true)]
async fn what_changes_outside_a_fence_is_the_users() {
    for (fenced, expected) in [(false, Outcome::Leaked), (true, Outcome::Verified)] {
        let shared = driven("a");
        shared.leaking.store(true, Ordering::SeqCst);
        shared.fenced.store(fenced, Ordering::SeqCst);
        let mut bench = open(&shared).await;
        bench.run().await;
        let end = &bench.ends()[0];
        assert_eq!(end.outcome, expected);
        assert!(end.detail.contains("elsewhere"), "{}", end.detail);
        let order: DriveOrder =
            serde_json::from_str(&bench.file(&attempts().join("1/drive.json").display().to_string()))
                .expect("an order");
        assert_eq!(order.fenced, fenced);
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_clashes_is_in_the_next_prompt() {
    let shared = driven("a%2");
    shared.red.store(true, Ordering::SeqCst);
    shared.clashing.store(true, Ordering::SeqCst);
    let mut bench = open(&shared).await;
    bench.run().await;
    let prompt = bench.file(&attempts().join("2/prompt.md").display().to_string());
    assert!(prompt.contains("## Earlier work that does not merge any more") && prompt.contains("- `f`"), "{prompt}");
}

#[tokio::test(start_paused = true)]
async fn budgets_are_what_the_task_has_left() {
    let shared = driven("a");
    let config = json!({ "agents": { "one": { "kind": "claude" } }, "verify": ["check"], "limits": { "tokens": 100 } });
    *shared.config.lock().expect("config") = Some(config);
    let usage = Usage { input_tokens: 30, output_tokens: 10, ..Usage::default() };
    shared.play("implementer", ends(Ending { usage, ..Ending::failed(Outcome::Crashed, "oh") }, Vec::new()));
    let mut bench = open(&shared).await;
    bench.run().await;
    let tokens = |number: u32| {
        let file = bench.file(&attempts().join(format!("{number}/drive.json")).display().to_string());
        serde_json::from_str::<DriveOrder>(&file).expect("an order").budget.tokens
    };
    assert_eq!((tokens(1), tokens(2)), (Some(100), Some(60)));
}

fn plan(tasks: serde_json::Value) -> Report {
    Report::SubmitPlan { plan: json!({ "tasks": tasks }) }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_used_is_mended_in_the_same_session() {
    let shared = driven("");
    let good = json!([{ "id": "greet", "title": "Greet", "acceptance": ["it greets"] }]);
    shared.play("planner", ends(with_session("p1"), vec![plan(json!([{ "id": "greet" }]))]));
    shared.play("planner", ends(with_session("p1"), vec![plan(good)]));
    let bench = open(&shared).await;
    let request = PlanRequest { goal: "be kind".into(), ..PlanRequest::default() };
    let reply = bench.handle.call(Command::Plan(request)).await.expect("a plan");
    let Reply::Plan(reply) = reply else { panic!("a plan, not {reply:?}") };
    assert_eq!(reply.tasks.iter().map(|task| task.title.as_str()).collect::<Vec<_>>(), ["Greet"]);
    let folder = Path::new("/state/attempts/plans").join(&reply.plan);
    let order = |round: u32| {
        let file = bench.file(&folder.join(format!("{round}/drive.json")).display().to_string());
        serde_json::from_str::<DriveOrder>(&file).expect("an order").session
    };
    assert_eq!((order(1), order(2).as_deref()), (None, Some("p1")));
    let prompt = bench.file(&folder.join("2/prompt.md").display().to_string());
    assert!(prompt.contains("title") && !prompt.contains("## A good plan"), "only what was wrong: {prompt}");
}

#[tokio::test(start_paused = true)]
async fn a_planner_keeps_to_the_budget_of_the_day_without_a_run() {
    let shared = driven("");
    let config = json!({ "agents": { "one": { "kind": "claude" } }, "limits": { "day_tokens": 20 } });
    *shared.config.lock().expect("config") = Some(config);
    let good = json!([{ "id": "greet", "title": "Greet", "acceptance": ["it greets"] }]);
    shared.play("planner", ends(with_session("p1"), vec![plan(json!([{ "id": "greet" }]))]));
    shared.play("planner", ends(with_session("p1"), vec![plan(good)]));
    let bench = open(&shared).await;
    let request = PlanRequest { goal: "be kind".into(), ..PlanRequest::default() };
    let Ok(Reply::Plan(reply)) = bench.handle.call(Command::Plan(request.clone())).await else { panic!("a plan") };
    let folder = Path::new("/state/attempts/plans").join(&reply.plan);
    let allowed = [1, 2].map(|round| {
        let file = bench.file(&folder.join(format!("{round}/drive.json")).display().to_string());
        serde_json::from_str::<DriveOrder>(&file).expect("an order").budget.tokens
    });
    assert_eq!(allowed, [Some(20), Some(9)], "each turn uses 11");
    let error = bench.handle.call(Command::Plan(request)).await.expect_err("nothing is left");
    assert!(error.message.contains("22 of 20 tokens"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_cannot_work_makes_room_for_the_next() {
    let shared = driven("");
    let config = json!({
        "agents": { "one": { "kind": "claude" }, "two": { "command": ["agent"] } },
        "chains": { "implementer": ["one"], "planner": ["one", "two"] },
    });
    *shared.config.lock().expect("config") = Some(config);
    shared.play("planner", ends(Ending::failed(Outcome::Auth, "log in again"), Vec::new()));
    let tasks = json!([{ "id": "greet", "title": "Greet", "acceptance": ["it greets"] }]);
    shared.play("planner", ends(Ending::regular("done"), vec![plan(tasks)]));
    let bench = open(&shared).await;
    let request = PlanRequest { goal: "be kind".into(), ..PlanRequest::default() };
    assert!(bench.handle.call(Command::Plan(request.clone())).await.is_ok());
    shared.play("planner", ends(Ending::failed(Outcome::Auth, "log in again"), Vec::new()));
    shared.play("planner", ends(Ending::failed(Outcome::Auth, "and you too"), Vec::new()));
    let error = bench.handle.call(Command::Plan(request)).await.expect_err("nobody can");
    assert!(error.hint.is_some_and(|hint| hint.contains("transcript")), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn the_next_prompt_is_shown_before_and_while_it_is_used() {
    let shared = driven("a");
    shared.endless.store(true, Ordering::SeqCst);
    let mut bench = open(&shared).await;
    let next = || Command::Text { task: "a".into(), attempt: None, what: AttemptText::NextPrompt };
    let Ok(Reply::Text(before)) = bench.handle.call(next()).await else { panic!("a text") };
    assert!(before.starts_with("# Task a") && before.contains("as it is when the attempt starts"), "{before}");
    bench.start().await;
    while bench.count("start agent") == 0 {
        bench.events.next().await.expect("the engine is there");
    }
    let Ok(Reply::Text(on)) = bench.handle.call(next()).await else { panic!("a text") };
    assert_eq!(on, bench.file(&attempts().join("1/prompt.md").display().to_string()));
    bench.handle.tell(Command::Stop { kill: true }).await.expect("it stops");
    assert_eq!(bench.ended().await, RunEndReason::Stopped);
    assert_eq!(bench.outcomes(), [Outcome::Cancelled], "a stop stays one, whatever the driver says");
}
