//! What every agent is put through. Each case fails on what must hold for all agents, and compares with the record what
//! differs from agent to agent.

use super::Bench;
use super::driving::Turn;
use super::seen::saw;
use super::subjects::Subject;
use crate::leftovers;
use crate::mock::dialect;
use crate::mock::play::{FILE, GREETING, SUMMARY, Step};
use ralph_sidecar::domain::ending::Usage;
use ralph_sidecar::domain::outcome::Outcome;
use ralph_sidecar::domain::report::Report;
use ralph_sidecar::protocol::agent_lines::{AgentLine, ToolStatus};
use ralph_sidecar::protocol::config::Role;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer than any turn here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// How long a driver has to stop its agent.
const STOPPING: Duration = Duration::from_secs(10);
/// Seconds by which a time that an agent tells may be off: some tell minutes only.
const TOLERANCE: i64 = 90;

/// The features of the page that are no failures, in its order.
pub const FEATURES: &[&str] = &[
    "edits files",
    "reports by MCP",
    "reports by command",
    "plans",
    "tokens",
    "cost",
    "resumes a session",
    "hears words while it works",
    "stops on request",
    "stops when the model hangs",
    "keeps to a budget",
    "survives a passing failure",
    "whole loop",
    "asks a person",
    "says that it is blocked",
    "reviews",
    "gives way at its limit",
    "waits for its limit",
    "works behind the fence",
    "runs out of time",
    "an endless loop",
];

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Fails unless the turn came to its regular end.
#[track_caller]
fn regular(turn: &Turn) {
    assert_eq!(turn.ending.failure, None, "{}", turn.shown());
    assert_eq!(turn.code, Some(0), "{}", turn.shown());
}

#[track_caller]
fn failed(turn: &Turn, outcome: Outcome) {
    assert_eq!(turn.ending.failure, Some(outcome), "{}", turn.shown());
    assert_eq!(turn.code, Some(1), "{}", turn.shown());
    assert!(!turn.ending.detail.trim().is_empty(), "it says what happened");
}

/// Fails unless the agent's own program is gone; its shells are the supervisor's to sweep.
#[track_caller]
fn program_is_gone(bench: &Bench) {
    let program = bench.program.display().to_string();
    let left: Vec<_> = leftovers::of(bench.base()).into_iter().filter(|(_, words)| words.contains(&program)).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn finished() -> Report {
    Report::Finished { summary: SUMMARY.to_owned(), no_change: None, evidence: None }
}

/// The agent edits a file with its own tool and reports through our server; what it used is told.
pub fn reports_by_tool(subject: &'static Subject) {
    let bench = Bench::new(subject, "reports");
    let turn = bench.start(&bench.order()).finish(PATIENCE);
    regular(&turn);
    assert_eq!(bench.read(FILE).as_deref(), Some(GREETING), "{}", turn.shown());
    let reports = bench.reports();
    let kinds: Vec<String> = reports.iter().map(|report| json!(report)["type"].to_string()).collect();
    let expected = ["progress", "learned", "decided", "suggest_task", "finished"];
    assert_eq!(kinds, expected.map(|kind| format!("\"{kind}\"")), "{}", turn.shown());
    assert_eq!(reports.last(), Some(&finished()), "{}", turn.shown());
    bench.record("reports");
    saw(subject.name, "edits files", "yes");
    saw(subject.name, "reports by MCP", "yes");
    let usage = turn.ending.usage;
    // The model says of every request that it cost the same.
    let turns = bench.mock.turns(Bench::RUN) as u64;
    let whole = subject.counted && usage != Usage::default()
        || (usage.input_tokens, usage.output_tokens) == (turns * dialect::INPUT_TOKENS, turns * dialect::OUTPUT_TOKENS);
    let told = if whole { "yes" } else { "in part" };
    saw(subject.name, "tokens", if usage.tokens() == 0 { "no" } else { told });
    saw(subject.name, "cost", yes_or_no(usage.usd.is_some_and(|usd| usd > 0.0)));
    let started = turn.lines.iter().find(|line| matches!(line, AgentLine::Started { .. }));
    assert!(started.is_some(), "{}", turn.shown());
    let completed = |line: &&AgentLine| matches!(line, AgentLine::Tool { status: ToolStatus::Completed, .. });
    assert!(turn.lines.iter().filter(completed).count() >= 2, "tool calls are told: {}", turn.shown());
    program_is_gone(&bench);
}

/// The agent reports by running our command in its shell.
pub fn reports_by_command(subject: &'static Subject) {
    let bench = Bench::new(subject, "write");
    let turn = bench.start(&bench.order()).finish(PATIENCE);
    regular(&turn);
    assert_eq!(bench.reports(), [finished()], "{}", turn.shown());
    bench.record("write");
    saw(subject.name, "reports by command", "yes");
}

/// The planner submits a plan.
pub fn plans(subject: &'static Subject) {
    let bench = Bench::new(subject, "plan");
    let mut order = bench.order();
    order.role = Role::Planner;
    let turn = bench.start(&order).finish(PATIENCE);
    regular(&turn);
    match bench.reports().as_slice() {
        [Report::SubmitPlan { plan }] => assert_eq!(plan["tasks"][0]["id"], "greet"),
        other => panic!("{other:?}\n{}", turn.shown()),
    }
    saw(subject.name, "plans", "yes");
}

/// A failure in the middle leaves a session, which a second turn continues: the model sees what was done before.
pub fn resumes(subject: &'static Subject, fault: &str) {
    let mut bench = Bench::new(subject, &format!("after.1.{fault}.mcp"));
    let turn = bench.start(&bench.order()).finish(PATIENCE);
    assert!(turn.ending.failure.is_some(), "{}", turn.shown());
    let session = turn.ending.session.clone().unwrap_or_else(|| panic!("no session: {}", turn.shown()));
    let before = bench.mock.entries(Bench::RUN).len();
    bench.scenario = "mcp".to_owned();
    let mut order = bench.order();
    order.session = Some(session.clone());
    std::fs::write(&order.prompt, "Go on.\n").expect("a prompt");
    let turn = bench.start(&order).finish(PATIENCE);
    regular(&turn);
    let entries = bench.mock.entries(Bench::RUN);
    let first = entries[before..].iter().find(|entry| entry.turn.is_some()).expect("a turn");
    assert!(first.results >= 1, "the model sees what was done before: {first:?}");
    assert_eq!(bench.reports(), [finished()], "{}", turn.shown());
    bench.record("resume");
    let same = turn.ending.session.as_deref() == Some(session.as_str());
    saw(subject.name, "resumes a session", if same { "yes" } else { "yes, under a new name" });
}

/// A running tool and the agent are stopped on request, soon.
pub fn stops(subject: &'static Subject) {
    let bench = Bench::new(subject, "slow");
    let mut driving = bench.start(&bench.order());
    driving.wait_for(PATIENCE, |line| matches!(line, AgentLine::Tool { status: ToolStatus::Started, .. }));
    driving.stop();
    let turn = driving.finish(STOPPING);
    failed(&turn, Outcome::Cancelled);
    program_is_gone(&bench);
    bench.record("stop");
    saw(subject.name, "stops on request", "yes");
}

/// An agent whose model hangs in the middle of an answer is stopped on request, soon.
pub fn stops_when_the_model_hangs(subject: &'static Subject) {
    let bench = Bench::new(subject, "hang-mid");
    let driving = bench.start(&bench.order());
    assert!(bench.mock.wait_for_turns(Bench::RUN, 1, PATIENCE), "the model is asked");
    driving.stop();
    let turn = driving.finish(STOPPING);
    failed(&turn, Outcome::Cancelled);
    program_is_gone(&bench);
    saw(subject.name, "stops when the model hangs", "yes");
}

/// An agent that never ends is ended by what it may use.
pub fn keeps_to_a_budget(subject: &'static Subject) {
    let bench = Bench::new(subject, "runaway");
    let mut order = bench.order();
    order.budget.tokens = Some(4 * (dialect::INPUT_TOKENS + dialect::OUTPUT_TOKENS));
    let driving = bench.start(&order);
    // An agent that tells only in the end what it used cannot be held to a budget meanwhile.
    let turn = driving.finish_or_stop(PATIENCE, || bench.mock.turns(Bench::RUN) > 12);
    let kept = turn.ending.failure == Some(Outcome::BudgetExceeded);
    // Some agents notice by themselves that they repeat themselves.
    let noticed = turn.ending.failure == Some(Outcome::TimedOut);
    let otherwise = if noticed { Outcome::TimedOut } else { Outcome::Cancelled };
    failed(&turn, if kept { Outcome::BudgetExceeded } else { otherwise });
    program_is_gone(&bench);
    saw(subject.name, "keeps to a budget", yes_or_no(kept));
}

/// One overload is survived by the agent itself.
pub fn survives(subject: &'static Subject, fault: &str) {
    let bench = Bench::new(subject, &format!("fail.1.{fault}.mcp"));
    let turn = bench.start(&bench.order()).finish(PATIENCE);
    bench.record("survived");
    let survived = turn.ending.failure.is_none();
    if survived {
        assert_eq!(bench.reports(), [finished()], "{}", turn.shown());
    }
    saw(subject.name, "survives a passing failure", yes_or_no(survived));
}

/// Words that come while the agent works reach the model in the same turn: by the driver, where the agent can take
/// them, else with what the next report gives back.
pub fn hears(subject: &'static Subject) {
    const WORDS: &str = "Prefer the shorter greeting.";
    let bench = Bench::new(subject, "script");
    let gate = bench.base().join("gate");
    // Gives up in the end, so that nothing is left running when the test is killed.
    let wait = format!("n=0; until [ -e '{}' ] || [ $n -gt 300 ]; do sleep 0.1; n=$((n + 1)); done", gate.display());
    let progress = Step::Report { tool: "report_progress".into(), arguments: json!({ "text": "half way" }) };
    let steps = [Step::Shell(wait), progress, Step::Shell("true".into())];
    bench.mock.script(Bench::RUN, &steps);
    let mut driving = bench.start(&bench.order());
    driving.wait_for(PATIENCE, |line| matches!(line, AgentLine::Tool { status: ToolStatus::Started, .. }));
    bench.say(WORDS);
    std::fs::write(&gate, "").expect("the gate is opened");
    let turn = driving.finish(PATIENCE);
    regular(&turn);
    let heard = bench.mock.entries(Bench::RUN).iter().any(|entry| entry.body.to_string().contains(WORDS));
    saw(subject.name, "hears words while it works", yes_or_no(heard));
}

/// Plans, approves and runs by the program as a person would: the agent's work is checked and waits for review, and the
/// checkout is as it was.
pub fn goes_through_the_whole_loop(subject: &'static Subject) {
    let bench = Bench::new(subject, "work");
    let agent = subject.agent(&bench, "work");
    let config = json!({
        "version": 1,
        "agents": { "worker": agent },
        "chains": { "planner": ["worker"], "implementer": ["worker"] },
    });
    bench.write(".ralph/config.json", &config.to_string());
    bench.ralph(&["trust", "--yes"], PATIENCE);
    bench.ralph(&["plan", "Greet whoever reads this"], PATIENCE);
    bench.ralph(&["approve", "--all"], PATIENCE);
    let run = bench.ralph(&["run"], PATIENCE);
    let status = bench.ralph(&["status", "--json"], PATIENCE);
    let status: serde_json::Value = serde_json::from_str(&status).expect("a document");
    let task = &status["tasks"][0];
    assert_eq!(task["id"], "greet", "{status:#}\n{run}");
    assert_eq!(task["state"], "review", "{status:#}\n{run}");
    let attempts = task["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 1, "{attempts:#?}\n{run}");
    assert_eq!(attempts[0]["outcome"], "verified", "{attempts:#?}\n{run}");
    assert_eq!(bench.read(FILE), None, "the checkout is as it was");
    let left = leftovers::of(bench.base());
    assert!(left.is_empty(), "processes outlived the run: {left:#?}");
    saw(subject.name, "whole loop", "planned, worked, verified");
}

/// What a failure must be told as.
pub struct Failure<'a> {
    /// The scenario of the model server.
    pub scenario: &'a str,
    /// What the failure may be taken for.
    pub outcomes: &'a [Outcome],
    /// Seconds from now until the limit lifts; the agent need not tell.
    pub lifts: Option<u64>,
}

/// The model fails in every request; the turn ends in the right class within a bounded time.
pub fn fails(subject: &'static Subject, failure: &Failure<'_>) {
    let bench = Bench::new(subject, failure.scenario);
    let turn = bench.start(&bench.order()).finish(PATIENCE);
    bench.record(failure.scenario);
    let outcome = turn.ending.failure.unwrap_or_else(|| panic!("it ended regularly: {}", turn.shown()));
    assert!(failure.outcomes.contains(&outcome), "{outcome:?} is none of {:?}: {}", failure.outcomes, turn.shown());
    assert!(!turn.ending.detail.trim().is_empty(), "it says what happened: {}", turn.shown());
    assert!(bench.mock.turns(Bench::RUN) >= 1, "the model was asked: {}", turn.shown());
    assert_eq!(bench.reports(), [], "{}", turn.shown());
    let mut words = format!("`{}`", outcome.as_str());
    if let Some(until) = turn.ending.until_ms {
        let seconds = until / 1000 - now();
        let lifts = failure.lifts.and_then(|seconds| i64::try_from(seconds).ok());
        let lifts = lifts.unwrap_or_else(|| panic!("a time in {seconds} s that nobody told: {}", turn.shown()));
        assert!((seconds - lifts).abs() <= TOLERANCE, "{seconds} s is not {lifts} s: {}", turn.shown());
        words.push_str(" with its time");
    }
    program_is_gone(&bench);
    saw(subject.name, failure.scenario, &words);
}

/// A command that is not there is told as such, with its name.
pub fn is_missing(subject: &'static Subject) {
    let bench = Bench::new(subject, "ok");
    let mut order = bench.order();
    order.agent.command = vec![bench.base().join("nothing-here").display().to_string()];
    let turn = bench.start(&order).finish(PATIENCE);
    failed(&turn, Outcome::MissingBinary);
    assert!(turn.ending.detail.contains("nothing-here"), "{}", turn.shown());
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("a time")
}
