//! Every transition of the table in `reduce`, one row each: a queue, what happens, how things are then.

use super::testing::{Loop, check};
use super::{Effect, Input, pending_effects, pending_writes};
use crate::domain::event::{AttemptId, Event, Mark};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::state::State;
use crate::domain::task::{Status, TaskId};

#[test]
fn a_run_claims_one_task_after_the_other() {
    check("a b", "start", "a=running b=ready | on a#1 | run a#1");
    check("a b", "start; end verified", "a=review b=running | on b#1 | run b#1");
    check("a b", "start b", "a=ready b=running | on b#1 | run b#1");
    check("a b:a c:b", "start b", "a=running b=waiting c=waiting | on a#1 | run a#1");
    check("a b:a", "start; end verified", "a=review b=running | on b#1 | run b#1");
    check("a?draft b:a", "start", "a=draft b=waiting | finished");
    check("a", "start; start", "a=running | on a#1 | refused: a run is on already (`ralph-sidecar stop` ends it)");
    check("a", "start b", "a=ready | off | refused: no task `b` in the queue (`ralph-sidecar tasks` lists them)");
    check("a?draft", "start a", "a=draft | off | refused: task `a` is draft; approve it first");
}

#[test]
fn every_outcome_leads_where_the_design_says() {
    let rows = [
        ("verified", "a=review | finished"),
        ("unchecked", "a=review | finished"),
        ("incomplete", "a=running | on a#2 | run a#2"),
        ("verify_failed", "a=running | on a#2 | run a#2"),
        ("no_change", "a=running | on a#2 | run a#2"),
        ("needs_decision", "a=blocked | needs_person | d1:clarification a"),
        ("needs_decision permission", "a=blocked | needs_person | d1:permission a"),
        ("blocked", "a=blocked | needs_person | d1:clarification a"),
        ("blocked early", "a=blocked | needs_person | d1:conflict a"),
        ("protected_path", "a=running | on a#2 | run a#2"),
        ("leaked otherwise=verified", "a=blocked | needs_person | d1:permission a"),
        ("rate_limited", "a=waiting | on"),
        ("overloaded", "a=waiting | on"),
        ("network", "a=waiting | on"),
        ("auth", "a=ready | needs_person | d1:setup"),
        ("model_unavailable", "a=ready | needs_person | d1:setup"),
        ("missing_binary", "a=ready | needs_person | d1:setup"),
        ("context_exhausted", "a=running | on a#2 | run a#2"),
        ("timed_out", "a=running | on a#2 | run a#2"),
        ("crashed", "a=running | on a#2 | run a#2"),
        ("invalid_output", "a=running | on a#2 | run a#2"),
        ("budget_exceeded", "a=blocked | needs_person | d1:budget a"),
        ("attempt_lost", "a=running | on a#2 | run a#2"),
        ("cancelled", "a=running | on a#2 | run a#2"),
        ("needs_decision red=lint", "a=blocked | needs_person | d1:setup a"),
    ];
    for (outcome, expected) in rows {
        check("a", &format!("start; end {outcome}"), expected);
    }
}

#[test]
fn failures_end_in_a_decision_and_never_in_a_restart() {
    let fail = |diff: &str, text: &str| format!("end verify_failed diff={diff} fail={text};");
    let different = ["one", "two", "three", "four"].map(|word| fail(word, word)).concat();
    check("a", &format!("start; {different}"), "a=blocked | needs_person | d1:budget a");
    check("a%2", &format!("start; {}{}", fail("x", "x"), fail("y", "y")), "a=blocked | needs_person | d1:budget a");
    // Numbers and paths are not the shape.
    let same = [fail("x", "line1:/tmp/a"), fail("x", "line2:/tmp/b"), fail("x", "line3:/tmp/c")].concat();
    check("a", &format!("start; {same}"), "a=blocked | needs_person | d1:repeated_failure a");
    let two = [fail("x", "same"), fail("x", "same")].concat();
    check("a", &format!("start; {two}"), "a=running | on a#3 | run a#3");
    let swings = [fail("x", "one"), fail("y", "two"), fail("x", "three")].concat();
    check("a", &format!("start; {swings}"), "a=blocked | needs_person | d1:repeated_failure a");
    // What was lost in between is neither the agent's nor a B between two As.
    let lost = format!("{}end attempt_lost;{}", fail("x", "one"), fail("x", "two"));
    check("a", &format!("start; {lost}"), "a=running | on a#4 | run a#4");
    check("a", "start; end no_change; end no_change", "a=blocked | needs_person | d1:repeated_failure a");
    check("a", "start; end no_change; end crashed; end no_change", "a=running | on a#4 | run a#4");
    let lost = "start; end attempt_lost; end attempt_lost";
    check("a", lost, "a=running | on a#3 | run a#3");
    check("a", &format!("{lost}; end attempt_lost"), "a=blocked | needs_person | d1:repeated_failure a");
    // What the chain waits for is not lost, however often it comes.
    let rests = "end rate_limited; tick 3600; end overloaded; tick 3600; end network; tick 3600;";
    check("a", &format!("start; end attempt_lost; {rests} {rests} end attempt_lost"), "a=running | on a#9 | run a#9");
    // A blocked task never stops the others.
    check("a%1 b", "start; end crashed", "a=blocked b=running | on b#1 | d1:budget a | run b#1");
}

#[test]
fn answers_do_what_their_option_says() {
    let stuck = "start; end crashed";
    check("a%1", &format!("{stuck}; answer d1 Try again"), "a=running | on a#2 | run a#2");
    check("a%1", &format!("{stuck}; answer d1 1; end crashed"), "a=blocked | needs_person | d2:budget a");
    check("a%1", &format!("{stuck}; answer d1 Leave it"), "a=blocked | needs_person");
    check("a%1", &format!("{stuck}; answer d1 Leave it; retry a; start"), "a=running | on a#2 | run a#2");
    // Until the file says so it is not claimed.
    check("a%1 b", "start; end crashed; answer d1 Drop it", "a=blocked b=running | on b#1 | write a dropped");
    check("a%1", &format!("{stuck}; answer d1 Drop it; queue a%1?dropped"), "a=dropped | finished");
    check("a%1", &format!("{stuck}; answer d1 text use the other one"), "a=running | on a#2 | run a#2");
    check("a", "start; end needs_decision; answer d1 right", "a=running | on a#2 | run a#2");
    check("a b", "start; end needs_decision", "a=blocked b=running | on b#1 | d1:clarification a | run b#1");
    check("a b", "start; end needs_decision; answer d1 2", "a=ready b=running | on b#1");
    let refused = "refused: d1 has no option `up`; the options are: left, right (or answer with text)";
    check(
        "a",
        "start; end needs_decision; answer d1 up",
        &format!("a=blocked | needs_person | d1:clarification a | {refused}"),
    );
    check("a", "answer d1 1", "a=ready | off | refused: no decision `d1` (`ralph-sidecar decisions` lists them)");
    let other = "refused: d1 is answered already; retry the task to ask for another way";
    check(
        "a b",
        "start; end needs_decision; answer d1 2; answer d1 left",
        &format!("a=ready b=running | on b#1 | {other}"),
    );
    // A run for tasks that are gone must not become a run for all.
    check("a%1 b", "start a; end crashed; queue b; answer d1 1", "b=ready | needs_person");
}

#[test]
fn a_clean_start_is_for_one_attempt() {
    let mut it = Loop::new("a%1");
    it.play("start; end crashed; answer d1 Start clean; end crashed; answer d2 Try again");
    let clean: Vec<bool> = it.state.record(&"a".into()).expect("a record").attempts.iter().map(|it| it.clean).collect();
    assert_eq!(clean, [false, true, false]);
}

#[test]
fn answering_twice_is_answering_once() {
    let mut it = Loop::new("a b");
    it.play("start; end needs_decision; answer d1 2");
    let (events, told) = (it.events.len(), it.told());
    for again in ["answer d1 2", "answer d1 right"] {
        it.play(again);
        assert_eq!((it.events.len(), it.told()), (events, told.clone()), "{again}");
    }
}

#[test]
fn a_leak_has_three_answers() {
    let leaked = |otherwise: &str, answer: &str| format!("start; end leaked otherwise={otherwise}; answer d1 {answer}");
    check("a", &leaked("verified", "It was me"), "a=review | finished");
    check("a", &leaked("verified", "It was the agent"), "a=running | on a#2 | run a#2");
    check("a", &leaked("verified", "Leave it"), "a=blocked | needs_person");
    // Its own outcome counts then, a question included.
    check("a", &leaked("verify_failed", "It was me"), "a=running | on a#2 | run a#2");
    check("a", &leaked("needs_decision", "It was me"), "a=blocked | needs_person | d2:clarification a");
}

#[test]
fn an_agent_that_cannot_run_leaves_the_chain() {
    let mut it = Loop::new("a b");
    it.settings.chain = vec!["one".into(), "two".into()];
    it.play("start; end missing_binary");
    let agents: Vec<_> = it.state.record(&"a".into()).expect("a record").attempts.iter().map(|it| &it.agent).collect();
    assert_eq!(agents, ["one", "two"]);
    it.play("end missing_binary");
    assert_eq!(it.told(), "a=ready b=ready | needs_person | d1:setup");
    // A task with an agent of its own goes on when the chain is empty.
    check("a b@own", "start; end missing_binary", "a=blocked b=running | on b#1 | run b#1");
    // One that names an agent that has left is not started for ever.
    check("a@one b@own", "start; end missing_binary", "a=blocked b=running | on b#1 | run b#1");
    check("a@own b", "start; end missing_binary", "a=blocked b=running | on b#1 | d1:setup a | run b#1");
}

#[test]
fn a_check_that_is_red_before_anything_changed_is_one_question() {
    let red = "start; end needs_decision red=lint";
    check("a b c", red, "a=blocked b=blocked c=blocked | needs_person | d1:setup a");
    check("a b", &format!("{red}; answer d1 Ignore it"), "a=running b=ready | on a#2 | run a#2");
    check("a%1", &format!("{red}; answer d1 1; end crashed"), "a=blocked | needs_person | d2:budget a");
}

#[test]
fn stopping_pausing_and_cancelling() {
    check("a b", "start; stop", "a=running b=ready | on a#1");
    check("a b", "start; stop; end verified", "a=review b=ready | stopped");
    check("a b", "start; kill", "a=running b=ready | on a#1 | stop a#1");
    check("a b", "start; kill; end cancelled", "a=ready b=ready | stopped");
    check("a b", "start; stop; resume; end verified", "a=review b=running | on b#1 | run b#1");
    check("a b", "start; pause; end verified", "a=review b=ready | on");
    check("a b", "start; pause; end verified; resume", "a=review b=running | on b#1 | run b#1");
    check("a b", "start; pause; end verified; stop", "a=review b=ready | stopped");
    check("a b", "start; cancel a", "a=running b=ready | on a#1 | stop a#1");
    let none = "refused: no run is on (`ralph-sidecar run` starts one)";
    for word in ["pause", "resume", "stop", "cancel a"] {
        check("a", word, &format!("a=ready | off | {none}"));
    }
    check(
        "a",
        "start; retry a",
        "a=running | on a#1 | refused: task `a` is being worked on; stop the attempt first, or wait for it",
    );
    check("a", "start; steer a", "a=running | on a#1 | tell a#1 s1");
}

#[test]
fn a_run_ends_with_its_time() {
    check("a b", "start; tick 28800", "a=running b=ready | on a#1 | d1:budget | stop a#1");
    check("a b", "start; tick 28800; tick 1", "a=running b=ready | on a#1 | d1:budget");
    check("a b", "start; tick 28800; end cancelled", "a=ready b=ready | budget | d1:budget");
    check("a b", "start; tick 28800; end verified", "a=review b=ready | budget | d1:budget");
    check("a b", "start; tick 28800; end cancelled; answer d1 Go on", "a=running b=ready | on a#2 | run a#2");
    check("a b", "start; tick 28800; end cancelled; answer d1 Leave it", "a=ready b=ready | budget");
    check("a b", "start; tick 28800; end cancelled; start", "a=running b=ready | on a#2 | run a#2");
    let mut it = Loop::new("a");
    it.play("start; tick 28800; end cancelled");
    let record = it.state.record(&"a".into()).expect("a record");
    assert_eq!(record.last_end().expect("an end").outcome, Outcome::BudgetExceeded);
    assert_eq!(record.failures, 0, "the clock of the run is nobody's failure");
}

#[test]
fn a_proposal_is_done_when_all_of_it_is_decided_and_on_disk() {
    let made = "start; end verified";
    check("a", &format!("{made}; accept a h1"), "a=review | finished | look a");
    check("a", &format!("{made}; accept a h1; found a"), "a=review | finished");
    check("a", &format!("{made}; accept a; found a"), "a=done | finished | write a done");
    check("a", &format!("{made}; accept a; found a; found a"), "a=done | finished");
    check("a", &format!("{made}; accept a h1; reject a h2; found a"), "a=review | finished");
    check("a", &format!("{made}; accept a h1; reject a h2; keep a"), "a=review | finished | check part a | look a");
    let kept = format!("{made}; accept a h1; reject a h2; keep a");
    check("a", &format!("{kept}; found a"), "a=review | finished");
    check("a", &format!("{kept}; part a"), "a=review | finished | look a");
    check("a", &format!("{kept}; part a; found a"), "a=done | finished | write a done");
    check("a", &format!("{kept}; part a make"), "a=blocked | finished | d1:conflict a");
    check("a", &format!("{kept}; part a make; found a"), "a=blocked | finished | d1:conflict a");
    let failed = format!("{kept}; part a make; answer d1");
    check("a", &format!("{failed} Keep it all the same; found a"), "a=done | finished | write a done");
    check("a", &format!("{failed} Send the rest back"), "a=ready | finished");
    check("a", &format!("{failed} Leave it"), "a=review | finished");
    check("a", &format!("{failed} Leave it; keep a"), "a=review | finished | check part a | look a");
    check("a", &format!("{kept}; part a make; keep a"), "a=review | finished | check part a | look a");
    // Another part is another question.
    check("a", &format!("{kept}; part a make; accept a h2"), "a=review | finished | look a");
    check("a", &format!("{made}; accept a h1; rest a"), "a=review | finished | look a | check part a");
    check(
        "a",
        &format!("{made}; rest a"),
        "a=review | finished | refused: nothing of task `a` is accepted; send it back (`ralph-sidecar send-back a`), or drop it",
    );
    check("a", &format!("{made}; reject a; keep a; found a"), "a=review | finished");
    check("a", &format!("{made}; accept a; withdraw a h1; found a"), "a=review | finished");
    check(
        "a",
        &format!("{made}; accept a h9"),
        "a=review | finished | refused: task `a` has no hunk `h9`; look at `ralph-sidecar review a`",
    );
    check("a", "accept a", "a=ready | off | refused: task `a` has no proposal to review");
    check("a", "accept b", "a=ready | off | refused: no task `b` in the queue (`ralph-sidecar tasks` lists them)");
}

#[test]
fn what_was_accepted_while_the_disk_was_looked_at_is_not_on_disk() {
    let mut it = Loop::new("a");
    it.play("start; end verified; accept a h1; accept a h2");
    it.input(Input::FoundOnDisk { task: "a".into(), hunks: ["h1".into()].into() });
    assert_eq!(it.told(), "a=review | finished");
}

#[test]
fn done_is_latched_until_somebody_opens_it() {
    let done = "start; end verified; accept a; found a";
    check("a", &format!("{done}; queue a?done"), "a=done | finished");
    // Taken back in the editor: the file still says done until it is written.
    check("a", &format!("{done}; queue a?done; reopen a"), "a=review | finished | write a todo");
    check("a", &format!("{done}; queue a?done; reopen a; queue a"), "a=review | finished");
    check("a", &format!("{done}; queue a?done; retry a"), "a=ready | finished | write a todo");
    check("a", &format!("{done}; queue a?done; retry a; start"), "a=running | on a#2 | run a#2");
    // What we wrote ourselves and read too late, as an engine does that comes after one that died, is no word of a person.
    check("a", &format!("{done}; reopen a; queue a?done"), "a=review | finished | write a todo");
    check("a", &format!("{done}; reopen a; queue a?done; queue a"), "a=review | finished");
    check("a", &format!("{done}; reopen a; queue a; queue a?done"), "a=done | finished");
    check("a", &format!("{done}; retry a; queue a?done"), "a=ready | finished | write a todo");
    // By hand, with HEAD where it was, it is a request; with HEAD moved it is not.
    check("a", &format!("{done}; queue a?done; queue a"), "a=ready | finished");
    check("a", &format!("{done}; queue a?done; switch a"), "a=done | finished");
    check("a", &format!("{done}; queue a?done; switch a; queue a"), "a=done | finished");
    check("a", &format!("{done}; queue a?dropped"), "a=dropped | finished");
    check("a", "queue a?done", "a=done | off");
    check("a", "queue a?done; queue a", "a=ready | off");
}

#[test]
fn changes_of_the_queue_reach_the_loop() {
    check("a b", "start; queue b", "b=ready | on a#1");
    check("a b", "start; queue b; end verified", "b=running | on b#1 | run b#1");
    check("a b", "start; queue b; end verified; queue a b", "a=review b=running | on b#1");
    check("a b", "start; queue a?dropped b", "a=running b=ready | on a#1 | stop a#1");
    check("a b", "start; queue a?dropped b; end cancelled", "a=dropped b=running | on b#1 | run b#1");
    check("a b", "start; end needs_decision; queue a?dropped b", "a=dropped b=running | on b#1");
    check("a", "start; end needs_decision; queue a?done", "a=done | needs_person");
    check("a b", "start; queue a b!critical; end verified", "a=review b=running | on b#1 | run b#1");
    check("a$make", "start", "a=blocked | needs_person");
    check("a$make", "trust make; start", "a=running | on a#1 | run a#1");
    check("a:b b:a", "start", "a=waiting b=waiting | finished");
    check("a:zz", "start", "a=waiting | finished");
}

#[test]
fn what_stands_on_something_rejected_is_stale_until_it_is_moved() {
    let both = "start; end verified; end verified";
    check("a b:a", &format!("{both}; union"), "a=review b=review | finished");
    check("a b:a", both, "a=review b=review | on | check union");
    let off = format!("{both}; union");
    // A rejected part cannot be stood on, so there is nowhere to move to yet.
    check("a b:a", &format!("{off}; reject a h1"), "a=review b=stale | finished | look a");
    check("a b:a", &format!("{off}; reject a h1; withdraw a h1"), "a=review b=stale | finished | look a | move b");
    check(
        "a b:a",
        &format!("{off}; reject a h1; accept a h2; keep a; part a; found a"),
        "a=done b=stale | finished | write a done | move b",
    );
    let again = format!("{off}; back a; start; end verified");
    check("a b:a", &format!("{off}; back a"), "a=ready b=stale | finished");
    check("a b:a", &again, "a=review b=stale | on | move b");
    check("a b:a", &format!("{again}; moved b"), "a=review b=review | on | check union");
    check("a b:a", &format!("{again}; unmovable b"), "a=review b=running | on b#2 | run b#2");
    check(
        "a b:a c:b",
        "start; end verified; end verified; end verified; union; back a",
        "a=ready b=stale c=stale | finished",
    );
    check("a b:a", &format!("{off}; queue a?dropped b:a"), "a=dropped b=stale | finished | move b");
}

#[test]
fn a_move_is_ordered_once_and_its_late_answer_does_not_count() {
    let mut it = Loop::new("a b:a");
    it.play("start; end verified; end verified; union; back a; start; end verified");
    assert_eq!(it.effects, [Effect::MoveProposal { task: "b".into() }]);
    it.play("tick 1; tick 1");
    assert_eq!(it.effects, [], "a move that is on is not ordered again");
    // While it is being moved, what it moves onto is sent back and made again.
    it.play("back a");
    let told = it.told();
    it.play("moved b");
    assert_eq!(it.told(), told.replace(" | run a#3", ""), "moved onto something that is no more");
}

#[test]
fn a_result_built_on_something_that_changed_meanwhile_is_stale() {
    check("a b:a", "start; end verified; begin; back a; end verified", "a=running b=stale | on a#2 | run a#2");
}

#[test]
fn what_agents_suggest_becomes_drafts_of_their_own() {
    let report = |json: &str| format!(r#"start; report {{"type":"suggest_task","task":{json}}}"#);
    check("a", &report(r#"{"id":"n","title":"New"}"#), "a=running | on a#1 | add n");
    // It never takes the place of a task.
    check("a", &report(r#"{"id":"a","title":"New","status":"todo"}"#), "a=running | on a#1 | add a-2");
    let made = format!("a=running | on a#1 | add {}", TaskId::from("New").key());
    check("a", &report(r#"{"title":"New","verify":["make"]}"#), &made);
    check("a", &report(r#""words""#), "a=running | on a#1");
    let mut it = Loop::new("a");
    it.play(&report(r#"{"id":"n","title":"New","status":"todo"}"#));
    let adds = |it: &Loop| pending_writes(&it.state).iter().any(|effect| matches!(effect, Effect::AddDrafts { .. }));
    assert!(adds(&it), "it is added after a restart");
    assert_eq!(it.state.suggested[0].status, Status::Draft);
    it.play("queue a n?draft; queue a");
    assert!(!adds(&it), "what a person removed does not come back");
}

#[test]
fn the_engines_own_inputs_count_once() {
    let mut it = Loop::new("a b");
    it.play("start; begin");
    let attempt = AttemptId { task: "a".into(), number: 1 };
    let again = |it: &mut Loop, input: Input| it.input(input).len();
    let prepared = Input::Prepared {
        attempt: attempt.clone(),
        base: "base".into(),
        start: "base".into(),
        stands_on: Vec::new(),
        notes: Vec::new(),
    };
    assert_eq!(again(&mut it, prepared.clone()), 0);
    assert_eq!(again(&mut it, Input::AgentStarted { attempt: attempt.clone() }), 0);
    it.play("end verified");
    let end = AttemptEnd::new(Outcome::Crashed, "late");
    assert_eq!(again(&mut it, Input::Ended { attempt: attempt.clone(), end }), 0);
    assert_eq!(again(&mut it, prepared), 0);
    let report = crate::domain::report::Report::Progress { text: "late".into() };
    assert_eq!(again(&mut it, Input::Reported { attempt, id: "x".into(), report }), 0);
    assert_eq!(again(&mut it, Input::UnionChecked { report: Default::default() }), 0);
}

#[test]
fn orders_without_an_end_are_given_again() {
    let pending = |tasks: &str, script: &str| {
        let mut it = Loop::new(tasks);
        it.play(script);
        let state = State::fold(&it.events);
        it.effects = pending_effects(&state);
        it.told().split(" | ").skip(2).map(str::to_owned).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(pending("a b", "start"), "run a#1");
    assert_eq!(pending("a b:a", "start; end verified; end verified"), "check union");
    assert_eq!(pending("a", "start; end verified; accept a"), "look a");
    assert_eq!(pending("a", "start; end verified; accept a; found a"), "write a done");
    assert_eq!(pending("a", "start; end verified; accept a; found a; queue a?done"), "");
    // The file went back with a branch: the journal wins, and the branch's file is left alone.
    assert_eq!(pending("a", "start; end verified; accept a; found a; queue a?done; switch a"), "");
    assert_eq!(pending("a", "start; end verified; accept a; found a; queue a?done; reopen a"), "write a todo | look a");
    assert_eq!(pending("a%1", "start; end crashed; answer d1 Drop it"), "write a dropped");
    let stale = "start; end verified; end verified; union; back a; start; end verified";
    assert_eq!(pending("a b:a", stale), "move b");
}

#[test]
fn a_second_end_in_a_journal_changes_nothing() {
    let mut it = Loop::new("a");
    it.play("start; end crashed");
    let attempt = AttemptId { task: "a".into(), number: 1 };
    let before = it.state.clone();
    it.state.apply(&Event::AttemptEnded { attempt, end: AttemptEnd::new(Outcome::Crashed, "again"), at_ms: 9 });
    assert_eq!(it.state, before);
}

#[test]
fn an_agent_at_work_is_steered_and_asked() {
    check("a b", "start; steer a; steer a", "a=running b=ready | on a#1 | tell a#1 s2");
    check("a b", "start; steer b", "a=running b=ready | on a#1");
    check("a b", "start; ask a", "a=running b=ready | on a#1 | tell a#1 q1");
    let nobody = "nobody is at work on task `b` who could answer; without --ask the next attempt is told";
    check("a b", "start; ask b", &format!("a=running b=ready | on a#1 | refused: {nobody}"));
    let reply = r#"report {"type":"reply","to":"q1","text":"half way"}"#;
    let mut it = Loop::new("a");
    it.play("start; begin; ask a");
    let asked = |it: &Loop| {
        let pending = pending_effects(&State::fold(&it.events));
        pending.iter().filter(|effect| matches!(effect, Effect::Deliver { .. })).count()
    };
    assert_eq!(asked(&it), 1, "nobody knows whether it was delivered, so it is again, under its id");
    it.play(reply);
    assert_eq!(asked(&it), 0);
    it.play(r#"ask a; report {"type":"reply","to":"q9","text":"to nobody"}; end crashed; ask a"#);
    let questions = &it.state.record(&"a".into()).expect("a record").questions;
    let told: Vec<_> = questions.iter().map(|it| (it.id.as_str(), it.attempt, it.answer.as_deref())).collect();
    assert_eq!(told, [("q1", 1, Some("half way")), ("q2", 1, None), ("q3", 2, None)]);
}

#[test]
fn what_an_agent_hands_over_is_for_those_who_go_on() {
    let left = r#"start; begin; report {"type":"handoff","text":"first"}; report {"type":"handoff","text":"left"}; "#;
    for (then, kept) in [
        ("end crashed", true),
        ("end needs_decision; answer d1 left", true),
        ("end verified", true),
        ("end verified; back a", false),
        ("end blocked; answer d1 Start clean", false),
        ("end blocked; retry a", false),
        ("end crashed; end crashed; report {\"type\":\"handoff\",\"text\":\"left\"}", true),
    ] {
        let mut it = Loop::new("a");
        it.play(&format!("{left}{then}"));
        let handoff = it.state.record(&"a".into()).and_then(|record| record.handoff.clone());
        assert_eq!(handoff.as_deref(), kept.then_some("left"), "{then}");
    }
}

#[test]
fn what_was_said_goes_with_the_next_send_back_once() {
    let mut it = Loop::new("a");
    it.play("start; end verified; comment a h1; comment a; uncomment a c2; reject a h2; back a");
    let record = it.state.record(&"a".into()).expect("a record").clone();
    let said: Vec<_> = record.remarks.iter().map(|it| (it.comment.as_deref(), it.path.as_deref(), &*it.text)).collect();
    assert_eq!(said, [(None, Some("f"), ""), (Some("c1"), Some("f"), "why?")]);
    assert_eq!(record.notes, ["please"]);
    assert!(record.comments[0].sent && record.proposal.is_none());
    // What was sent is not sent again; what is said while nobody proposes anything waits for the next round.
    it.play("comment a; start; end verified; comment a");
    let record = it.state.record(&"a".into()).expect("a record").clone();
    assert!(record.remarks.is_empty() && record.notes.is_empty(), "the attempt was told");
    assert_eq!((record.round, record.comments.len()), (2, 3));
    it.play("retry a");
    let record = it.state.record(&"a".into()).expect("a record");
    let told: Vec<_> = record.remarks.iter().filter_map(|remark| remark.comment.as_deref()).collect();
    assert_eq!(told, ["c3", "c4"], "a retry tells them too");
}

#[test]
fn a_hunk_that_comes_again_keeps_what_was_decided() {
    let mut it = Loop::new("a");
    it.play("start; end verified; accept a h1; reject a h2; back a; start; end verified");
    let proposal = it.state.record(&"a".into()).and_then(|record| record.proposal.clone()).expect("a proposal");
    assert_eq!(proposal.mark(&"h1".into()), Mark::Accepted);
    assert_eq!(proposal.mark(&"h2".into()), Mark::Rejected { why: None });
    assert_eq!(proposal.again.iter().map(|id| id.0.as_str()).collect::<Vec<_>>(), ["h2"]);
    assert!(proposal.changed.is_empty() && proposal.pending().is_empty());
}
