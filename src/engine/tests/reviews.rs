//! The reviewer between checks and proposal: it may send the task back, for so long, and never stands in the way.

use super::fakes::{Played, Shared};
use super::turns::{attempts, driven, ends};
use super::{Bench, open};
use crate::domain::ending::{Ending, Usage};
use crate::domain::event::{Event, RunEndReason};
use crate::domain::outcome::Outcome;
use crate::domain::report::{Finding, Report};
use crate::engine::ports::ProcessEnd;
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::engine_api::{Command, EngineEvent, Milestone, Reply};
use serde_json::json;
use std::sync::Arc;

fn reviewed(tasks: &str, reviewer: serde_json::Value, chain: &[&str]) -> Arc<Shared> {
    let shared = driven(tasks);
    let config = json!({
        "agents": { "one": { "kind": "claude" }, "two": { "command": ["agent"] }, "three": { "kind": "claude" } },
        "chains": { "implementer": ["one"], "reviewer": chain },
        "verify": ["check"],
        "reviewer": reviewer,
    });
    *shared.config.lock().expect("config") = Some(config);
    shared
}

fn says(findings: &[&str]) -> Played {
    let finding = |text: &&str| Finding { file: Some("f".into()), line: Some(7), text: (*text).to_owned() };
    let findings = findings.iter().map(finding).collect();
    let usage = Usage { input_tokens: 5, ..Usage::default() };
    let report = Report::Review { summary: "I read it".into(), findings };
    ends(Ending { usage, ..Ending::regular("done") }, vec![report])
}

impl Bench {
    fn reviews(&self) -> Vec<(u32, usize, Option<String>)> {
        let given = |event: &Event| match event {
            Event::ReviewGiven { round, findings, failure, .. } => Some((*round, findings.len(), failure.clone())),
            _ => None,
        };
        self.journal().iter().filter_map(given).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_reviewer_of_its_own_nothing_is_reviewed() {
    let mut bench = open(&driven("a")).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!((bench.count("start reviewer"), bench.reviews().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_approval_leaves_the_result_as_it_is() {
    let shared = reviewed("a", json!({}), &["three"]);
    shared.play("reviewer", says(&[]));
    let mut bench = open(&shared).await;
    bench.start().await;
    let mut told = Vec::new();
    loop {
        let event = bench.events.next().await.expect("the engine is there");
        match &*event {
            EngineEvent::Milestone(Milestone::ReviewRequest { round, agent, .. }) => {
                told.push(format!("asked {agent} in round {round}"));
            }
            EngineEvent::Milestone(Milestone::ReviewFeedback { summary, findings, .. }) => {
                told.push(format!("{summary}: {}", findings.len()));
            }
            EngineEvent::Milestone(Milestone::RunEnded { reason, .. }) => {
                assert_eq!(*reason, RunEndReason::Finished);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(told, ["asked three in round 1", "I read it: 0"]);
    assert_eq!(bench.outcomes(), [Outcome::Verified]);
    assert!(bench.ends()[0].detail.ends_with("; three approves"), "{}", bench.ends()[0].detail);
    // It looks at what was committed, after the checks.
    let log = bench.shared.log();
    let at = |line: &str| log.iter().rposition(|found| found == line).unwrap_or_else(|| panic!("no {line}: {log:#?}"));
    assert!(at("start check check") < at("start reviewer") && at("fill slot-1 work-1") < at("start reviewer"));
    assert!(at("append review_requested") < at("start reviewer"));
    let prompt = bench.file(&attempts().join("1/review-1/prompt.md").display().to_string());
    assert!(prompt.contains("# Review of task a") && prompt.contains("`check` passes"), "{prompt}");
    let used = bench.journal().iter().find_map(|event| match event {
        Event::ReviewGiven { usage, .. } => Some(usage.tokens()),
        _ => None,
    });
    assert_eq!(used, Some(5));
}

#[tokio::test(start_paused = true)]
async fn findings_go_into_the_next_prompt_until_the_rounds_are_used_up() {
    for (settings, sent_back) in [(json!({}), 2), (json!({ "rounds": 1 }), 1), (json!({ "rounds": 0 }), 0)] {
        let shared = reviewed("a", settings, &["three"]);
        for text in ["first thing", "second thing", "third thing"] {
            shared.play("reviewer", says(&[text]));
        }
        let mut bench = open(&shared).await;
        assert_eq!(bench.run().await, RunEndReason::Finished);
        let mut expected = vec![Outcome::VerifyFailed; sent_back];
        expected.push(Outcome::Verified);
        assert_eq!(bench.outcomes(), expected);
        let rounds: Vec<u32> = bench.reviews().iter().map(|(round, ..)| *round).collect();
        assert_eq!(rounds, (1..=sent_back as u32 + 1).collect::<Vec<_>>());
        if sent_back > 0 {
            let prompt = bench.file(&attempts().join("2/prompt.md").display().to_string());
            assert!(prompt.contains("- f:7: first thing") && prompt.contains("verify_failed"), "{prompt}");
        }
        // The last findings come with the proposal.
        let reply = bench.handle.call(Command::Proposal { task: "a".into() }).await.expect("a proposal");
        let Reply::Proposal(view) = reply else { panic!("a proposal, not {reply:?}") };
        assert_eq!(view.findings.len(), 1);
        assert_eq!(view.outcome, Outcome::Verified);
    }
}

#[tokio::test(start_paused = true)]
async fn findings_may_go_to_the_person_at_once() {
    let shared = reviewed("a", json!({ "findings": "with-proposal" }), &["three"]);
    shared.play("reviewer", says(&["one", "two"]));
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    let ends = bench.ends();
    assert_eq!((ends[0].outcome, ends[0].findings.len()), (Outcome::Verified, 2));
    assert!(ends[0].detail.contains("three would change 2 things: f:7: one"), "{}", ends[0].detail);
}

#[tokio::test(start_paused = true)]
async fn a_reviewer_that_fails_never_blocks_and_the_next_is_asked() {
    let limit = || ends(Ending::failed(Outcome::RateLimited, "no more today"), Vec::new());
    // One that says nothing; one without a driver, which crashes.
    let crash = || Played { end: ProcessEnd::Signaled(11), lines: Vec::new(), reports: Vec::new() };
    let silent = || ends(Ending::regular("done"), Vec::new());
    for (first, second, words) in [
        (limit(), crash(), "three: rate_limited, no more today; two: crashed, it was ended by signal 11"),
        (silent(), crash(), "three: it handed in no review; two: crashed"),
    ] {
        let shared = reviewed("a", json!({}), &["three", "two"]);
        shared.play("reviewer", first);
        shared.play("reviewer", second);
        let mut bench = open(&shared).await;
        assert_eq!(bench.run().await, RunEndReason::Finished);
        assert_eq!(bench.outcomes(), [Outcome::Verified]);
        let detail = &bench.ends()[0].detail;
        assert!(detail.contains("; not reviewed: ") && detail.contains(words), "{detail}");
    }
    let shared = reviewed("a", json!({}), &["three", "two"]);
    shared.play("reviewer", limit());
    shared.play("reviewer", says(&[]));
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert!(bench.ends()[0].detail.ends_with("; two approves"), "{}", bench.ends()[0].detail);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_fails_during_the_review_costs_the_review_only() {
    let shared = reviewed("a", json!({}), &["three"]);
    shared.fail("start reviewer", 0);
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), [Outcome::Verified]);
    assert!(bench.ends()[0].detail.contains("failed to do start reviewer"), "{}", bench.ends()[0].detail);
}

#[tokio::test(start_paused = true)]
async fn the_fenced_block_is_a_review_as_well() {
    let shared = reviewed("a", json!({ "findings": "with-proposal" }), &["three"]);
    // The nonce follows from the folder and the times, which are the same in every run of this world.
    let mut first = open(&shared).await;
    first.run().await;
    let prompt = first.file(&attempts().join("1/review-1/prompt.md").display().to_string());
    let nonce = prompt.split('`').find(|word| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    let nonce = nonce.expect("a nonce").to_owned();
    let block =
        json!({ "nonce": nonce, "report": { "type": "review", "summary": "s", "findings": [{ "text": "no" }] } });
    let text = format!("Here it is.\n```ralph\n{block}\n```\n");
    let again = reviewed("a", json!({ "findings": "with-proposal" }), &["three"]);
    let lines = vec![AgentLine::Said { text }, AgentLine::Ended { ending: Ending::regular("done") }];
    again.play("reviewer", Played { end: ProcessEnd::Exited(0), lines, reports: Vec::new() });
    let mut second = open(&again).await;
    second.run().await;
    let end = &second.ends()[0];
    assert_eq!(end.findings.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>(), ["no"], "{}", end.detail);
}

#[tokio::test(start_paused = true)]
async fn a_restart_during_the_review_goes_on_with_it() {
    let shared = reviewed("a", json!({}), &["three"]);
    shared.play("reviewer", says(&[]));
    let mut first = open(&shared).await;
    assert_eq!(first.run().await, RunEndReason::Finished);
    let mut journal = first.journal();
    let asked = journal.iter().position(|event| matches!(event, Event::ReviewRequested { .. })).expect("it was asked");
    journal.truncate(asked + 1);
    for alive in [true, false] {
        let again = reviewed("a", json!({}), &["three"]);
        *again.events.lock().expect("events") = journal.clone();
        *again.files.lock().expect("files") = shared.files.lock().expect("files").clone();
        again.adoptable.store(true, std::sync::atomic::Ordering::SeqCst);
        if alive {
            again.left_on.lock().expect("left on").push("review-1");
        }
        again.play("reviewer", says(&["a thing"]));
        again.play("reviewer", says(&[]));
        let mut second = open(&again).await;
        second.taken_up().await;
        assert_eq!(second.outcomes(), [Outcome::VerifyFailed, Outcome::Verified], "{alive}");
        assert_eq!(second.count("start reviewer"), if alive { 1 } else { 2 });
        let requests = second.journal().iter().filter(|event| matches!(event, Event::ReviewRequested { .. })).count();
        assert_eq!(requests, 2, "the one that was on is not asked for again");
        // The first attempt's checks are not run again: only those of the second are, on its result.
        assert_eq!(second.count("start check check"), 2, "the base's and the second attempt's: {:#?}", again.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_event_of_a_reviewed_run_is_come_back_from() {
    let play = |shared: &Arc<Shared>| {
        for _ in 0..3 {
            shared.play("reviewer", says(&[]));
        }
    };
    let shared = reviewed("a", json!({}), &["three"]);
    play(&shared);
    let mut first = open(&shared).await;
    assert_eq!(first.run().await, RunEndReason::Finished);
    let journal = first.journal();
    let run = journal.iter().position(|event| matches!(event, Event::RunStarted { .. })).expect("a run started");
    for cut in run + 1..journal.len() {
        let again = reviewed("a", json!({}), &["three"]);
        play(&again);
        *again.events.lock().expect("events") = journal[..cut].to_vec();
        *again.files.lock().expect("files") = shared.files.lock().expect("files").clone();
        again.adoptable.store(true, std::sync::atomic::Ordering::SeqCst);
        let mut bench = open(&again).await;
        bench.taken_up().await;
        assert_eq!(bench.outcomes().last(), Some(&Outcome::Verified), "cut at {cut}");
        // Each result is reviewed exactly once.
        let rounds: Vec<_> = bench
            .reviews()
            .into_iter()
            .map(|(round, found, failed)| (round, found + usize::from(failed.is_some())))
            .collect();
        let expected: Vec<_> = (1..=bench.outcomes().len() as u32).map(|round| (round, 0)).collect();
        assert_eq!(rounds, expected, "cut at {cut}");
    }
}
