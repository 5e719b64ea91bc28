//! The chain and the budgets in the loop: a queue and a chain, what happens, how things are then.

use super::testing::{Loop, chained};
use super::{Input, pending_effects};
use crate::domain::budget::{self, BudgetOf};
use crate::domain::chain::run_waits;
use crate::domain::queue::live_state;
use crate::domain::settings::{Allowance, Budgets};
use crate::domain::state::State;
use crate::domain::task::TaskId;

/// Returns with whom the attempts of task `a` were, in order.
fn links(it: &Loop) -> String {
    let attempts = it.state.record(&"a".into()).map(|record| record.attempts.clone()).unwrap_or_default();
    let link = |attempt: &crate::domain::state::Attempt| match &attempt.model {
        Some(model) => format!("{}/{model}", attempt.agent),
        None => attempt.agent.clone(),
    };
    attempts.iter().map(link).collect::<Vec<_>>().join(" ")
}

fn why(it: &Loop, task: &str) -> String {
    live_state(&it.state, &TaskId::from(task)).map(|live| live.why).unwrap_or_default()
}

#[test]
fn the_next_attempt_is_with_the_link_the_table_says() {
    let rows = [
        ("one two", "end rate_limited in=18000", "one two", "a=running"),
        ("one/m,n two", "end rate_limited in=18000", "one/m two", "a=running"),
        ("one/m,n two", "end rate_limited in=18000 model", "one/m one/n", "a=running"),
        ("one/m,n two", "end rate_limited in=60 model; end rate_limited in=60", "one/m one/n two", "a=running"),
        ("one two", "end overloaded", "one two", "a=running"),
        ("one two", "end rate_limited in=60; end crashed; tick 60; end crashed", "one two two one", "a=running"),
        ("one two", "end rate_limited in=60; end overloaded", "one two", "a=waiting"),
        ("one two", "end rate_limited in=60; end overloaded; tick 30", "one two two", "a=running"),
        ("one two", "end rate_limited in=60; end overloaded; tick 30; tick 30", "one two two", "a=running"),
        // The network is the machine's: nobody is tried, then another first.
        ("one two", "end network", "one", "a=waiting"),
        ("one two", "end network; tick 30", "one two", "a=running"),
        ("one two", "end network; tick 30; end verify_failed", "one two two", "a=running"),
        ("one two", "end auth", "one two", "a=running"),
        ("one/m,n two", "end auth", "one/m two", "a=running"),
        ("one/m,n two", "end model_unavailable", "one/m one/n", "a=running"),
        ("one/m,n two", "end model_unavailable; end model_unavailable", "one/m one/n two", "a=running"),
        ("one two", "end missing_binary", "one two", "a=running"),
        ("one two", "end crashed", "one one", "a=running"),
        ("one two", "end crashed fail=x; end timed_out fail=y", "one one two", "a=running"),
        (
            "one two",
            "end crashed fail=x; end timed_out fail=y; end invalid_output fail=z",
            "one one two two",
            "a=running",
        ),
        ("one/m,n", "end context_exhausted fail=x; end context_exhausted fail=y", "one/m one/m one/n", "a=running"),
        ("one two", "end verify_failed diff=x; end verify_failed diff=y", "one one one", "a=running"),
        ("one two", "end attempt_lost", "one one", "a=running"),
        ("one two", "end cancelled", "one one", "a=running"),
        // A claim that came before the limit counts, and the limit as well.
        ("one two", "end verified heard=rate_limited in=60", "one", "a=review"),
        ("one two", "end verify_failed heard=rate_limited in=60", "one two", "a=running"),
    ];
    for (chain, script, expected, state) in rows {
        let mut it = chained("a%9", chain);
        it.play("start").play(script);
        assert_eq!((links(&it).as_str(), it.told().split(' ').next()), (expected, Some(state)), "{chain}: {script}");
        assert_eq!(State::fold(&it.events), it.state, "{chain}: {script}");
    }
}

#[test]
fn what_waits_says_for_whom_until_when_and_why() {
    let mut it = chained("a b@own c:zz", "one two");
    it.settings.utc_offset_seconds = 7_200;
    it.play("start; end rate_limited in=3600; end rate_limited in=1800");
    // The one with an agent of its own goes on.
    assert_eq!(it.told(), "a=waiting b=running c=waiting | on b#1 | run b#1");
    assert_eq!(why(&it, "a"), "waits for two until 02:30 (rate limited)");
    assert_eq!(run_waits(&it.state), None, "an attempt is on");
    it.play("end network");
    assert_eq!(it.told(), "a=waiting b=waiting c=waiting | on");
    assert_eq!(why(&it, "b"), "waits for own until 02:00 (no network)");
    let until = run_waits(&it.state).expect("it waits").cooldown.until_ms;
    it.now = until - 1;
    it.play("tick 0");
    assert_eq!(it.active(), None, "not before its time");
    it.now = until;
    it.play("tick 0");
    assert_eq!(it.active().expect("claimed").task, TaskId::from("b"));
}

#[test]
fn a_restart_during_a_wait_goes_on_waiting_and_a_new_run_knows_it() {
    let mut it = chained("a", "one two");
    it.play("start; end rate_limited in=18000; end rate_limited in=20000");
    it.state = State::fold(&it.events);
    assert_eq!(pending_effects(&it.state), []);
    it.play("tick 17000");
    assert_eq!(it.told(), "a=waiting | on");
    it.play("stop; start");
    assert_eq!(it.told(), "a=waiting | on", "the run after it waits as well");
    // The clock may have been set, or the machine have slept: what counts is what time it is.
    it.play("tick 2000");
    assert_eq!((it.told().as_str(), links(&it).as_str()), ("a=running | on a#3 | run a#3", "one two one"));
}

#[test]
fn resuming_a_run_that_waits_tries_now() {
    let mut it = chained("a", "one");
    it.play("start; end rate_limited in=18000; pause; resume");
    assert_eq!(it.told(), "a=waiting | on", "that only undoes the pause");
    it.play("resume");
    assert_eq!(it.told(), "a=running | on a#2 | run a#2");
    it.play("end rate_limited");
    assert_eq!(it.state.chain.tries.values().copied().collect::<Vec<_>>(), [1], "nothing is counted from before");
    // Nothing rests for a run that is busy.
    let mut it = chained("a", "one two");
    it.play("start; end rate_limited in=60; resume");
    assert_eq!(it.state.chain.cooled.len(), 1);
}

#[test]
fn no_limit_spends_an_attempt_and_none_is_asked_about_as_lost() {
    let mut it = chained("a%1", "one");
    it.play("start");
    for outcome in ["rate_limited in=60", "overloaded", "network", "rate_limited", "overloaded", "network"] {
        it.play(&format!("end {outcome}"));
        assert_eq!(it.told(), "a=waiting | on", "{outcome}");
        it.now = run_waits(&it.state).expect("it waits").cooldown.until_ms;
        it.play("tick 0");
    }
    assert_eq!(it.state.record(&"a".into()).map(|record| record.failures), Some(0));
    it.play("end crashed");
    assert_eq!(it.told(), "a=blocked | needs_person | d1:budget a");
}

#[test]
fn what_never_passes_leaves_in_the_end_and_a_person_is_asked() {
    let mut it = chained("a", "one");
    it.settings.retry.cycles = 3;
    it.settings.run_seconds = 1_000_000;
    it.play("start; end overloaded; tick 600; end overloaded; tick 600; end overloaded");
    assert_eq!(it.told(), "a=ready | needs_person | d1:setup");
    let decision = it.state.open_decisions().next().expect("a question").clone();
    assert_eq!(decision.question, "no agent is left to run; `one`: it ended overloaded");
    let options: Vec<&str> = decision.options.iter().map(|option| option.label.as_str()).collect();
    assert_eq!(options, ["Try again now", "Leave it"]);
    it.play("answer d1 Leave it");
    assert_eq!(it.told(), "a=ready | needs_person");
    // A success in between starts over.
    let mut it = chained("a b c d", "one");
    it.settings.retry.cycles = 2;
    it.play("start; end overloaded; tick 600; end verified; end overloaded; tick 600; end verified; end overloaded");
    assert_eq!(it.told(), "a=review b=review c=waiting d=waiting | on");
}

#[test]
fn when_all_have_left_each_reason_and_its_fix_are_named() {
    let mut it = chained("a b", "one two/m three");
    it.play("start; end auth; end model_unavailable; end missing_binary");
    assert_eq!(it.told(), "a=ready b=ready | needs_person | d1:setup");
    let decision = it.state.open_decisions().next().expect("a question");
    assert_eq!(
        decision.question,
        "no agent is left to run; `one`: it ended auth; `three`: it ended missing_binary; `two (m)`: it ended model_unavailable"
    );
    assert_eq!(
        decision.options[0].detail,
        "First log in to `one` again, or give it a key that is valid; install `three`, or mend its `command` in \
         `.ralph/config.json`; take `m` out of `models` of `two`."
    );
    it.play("answer d1 Try again now");
    assert_eq!(
        (it.told().as_str(), links(&it).as_str()),
        ("a=running b=ready | on a#4 | run a#4", "one two/m three one")
    );
}

#[test]
fn what_left_comes_back_to_a_run_that_is_still_checking() {
    let mut it = chained("a b c", "one");
    it.play("start; end verified; end verified; end auth");
    assert_eq!(it.told(), "a=review b=review c=blocked | on | d1:setup | check union");
    it.play("answer d1 1");
    assert_eq!(it.told(), "a=review b=review c=running | on c#2 | run c#2");
}

#[test]
fn an_agent_of_the_tasks_own_has_models_too() {
    let mut it = chained("a@own b", "one own/m,n");
    it.settings.chain.pop();
    it.play("start; end model_unavailable");
    assert_eq!((links(&it).as_str(), it.told().as_str()), ("own/m own/n", "a=running b=ready | on a#2 | run a#2"));
    it.play("end model_unavailable");
    assert_eq!(it.told(), "a=blocked b=running | on b#1 | d1:setup a | run b#1");
    it.play("answer d1 1; end verified");
    assert_eq!(links(&it), "own/m own/n own/n");
}

#[test]
fn turns_of_other_roles_move_the_chain_and_are_counted() {
    let mut it = chained("a b", "one two");
    it.play("start; turn one overloaded; end verified");
    assert_eq!(it.state.record(&"b".into()).map(|record| record.attempts[0].agent.clone()), Some("two".into()));
    it.play("tick 30; end verify_failed");
    assert_eq!(it.state.record(&"b".into()).map(|record| record.attempts[1].agent.clone()), Some("one".into()));
    assert_eq!(it.state.chain.tries.len(), 1, "its time has come, but it has not worked yet");
    it.play("turn one regular");
    assert_eq!(it.state.chain.tries.len(), 0);
    // Without a run there is nothing to leave, and a limit is known all the same.
    let mut it = chained("a", "one two");
    it.play("turn one auth; turn one rate_limited; start");
    assert_eq!(links(&it), "two");
}

fn budgets(tasks: &str, of: BudgetOf, allowance: Allowance) -> Loop {
    let mut it = chained(tasks, "one");
    let mut budgets = Budgets::default();
    match of {
        BudgetOf::Attempt => budgets.attempt = allowance,
        BudgetOf::Task => budgets.task = allowance,
        BudgetOf::Run => budgets.run = allowance,
        BudgetOf::Day => budgets.day = allowance,
    }
    it.settings.budgets = budgets;
    it
}

fn tokens(tokens: u64) -> Allowance {
    Allowance { tokens: Some(tokens), usd: None }
}

fn usd(usd: f64) -> Allowance {
    Allowance { tokens: None, usd: Some(usd) }
}

fn question(it: &Loop) -> String {
    it.state.open_decisions().last().map(|decision| decision.question.clone()).unwrap_or_default()
}

#[test]
fn a_task_whose_budget_is_used_up_is_not_claimed() {
    let mut it = budgets("a b", BudgetOf::Task, tokens(100));
    it.play("start; end verify_failed tokens=60 diff=x");
    assert_eq!(budget::remaining(&it.state, Some(&"a".into()), it.now).tokens, Some(40));
    it.play("end verify_failed tokens=50 diff=y");
    assert_eq!(it.told(), "a=blocked b=running | on b#1 | d1:budget a | run b#1");
    assert_eq!(question(&it), "the budget of task `a` is used up: 110 of 100 tokens; go on?");
    it.play("end verified; answer d1 Allow as much again");
    assert_eq!(it.told(), "a=running b=review | on a#3 | run a#3");
    assert_eq!(budget::remaining(&it.state, Some(&"a".into()), it.now).tokens, Some(90));
    it.play("end budget_exceeded tokens=90");
    assert_eq!(it.told(), "a=blocked b=review | needs_person | d2:budget a");
    it.play("answer d2 Leave it; start");
    assert_eq!(it.told(), "a=blocked b=review | finished".replace("finished", "needs_person"));
    it.play("retry a; start");
    assert_eq!(it.told(), "a=blocked b=review | needs_person | d3:budget a", "a retry raises nothing");
    it.play("answer d3 Drop it");
    assert_eq!(it.told(), "a=blocked b=review | finished | write a dropped");
}

#[test]
fn an_attempts_own_budget_ends_in_a_question_about_it() {
    let mut it = budgets("a", BudgetOf::Attempt, usd(0.5));
    it.play("start; end budget_exceeded usd=0.52");
    assert_eq!(it.told(), "a=blocked | needs_person | d1:budget a");
    assert_eq!(question(&it), "attempt 1 reached its budget: it used $0.52 of $0.50; go on?");
    assert_eq!(it.state.record(&"a".into()).map(|record| record.failures), Some(0));
    it.play("answer d1 1");
    assert_eq!(it.told(), "a=running | on a#2 | run a#2");
    assert_eq!(budget::remaining(&it.state, Some(&"a".into()), it.now).usd, Some(0.5));
}

#[test]
fn a_run_ends_with_its_budget_and_a_day_with_its_own() {
    let mut it = budgets("a b", BudgetOf::Run, usd(1.0));
    it.play("start; end verified usd=1.25");
    assert_eq!(it.told(), "a=review b=ready | budget | d1:budget");
    assert_eq!(question(&it), "the budget of the run is used up: $1.25 of $1.00; go on?");
    it.play("answer d1 1");
    assert_eq!(it.told(), "a=review b=running | on b#1 | run b#1");
    it.play("end verified usd=2");
    assert_eq!(it.told(), "a=review b=review | on | check union", "nobody is asked when there is nothing to do");

    let mut it = budgets("a b c", BudgetOf::Day, tokens(10));
    it.play("start; end verified tokens=10");
    assert_eq!(it.told(), "a=review b=ready c=ready | budget | d1:budget");
    it.play("answer d1 Leave it; start");
    assert_eq!(it.told(), "a=review b=ready c=ready | budget | d2:budget", "another run is of the same day");
    it.play("answer d2 1; end verified tokens=5");
    assert_eq!(it.told(), "a=review b=review c=running | on c#1 | run c#1");
    // Another day, another budget; the hour of midnight is the local one.
    let mut it = budgets("a b", BudgetOf::Day, tokens(10));
    it.settings.utc_offset_seconds = 3_600;
    it.now = 82_799_000;
    it.play("start; end verified tokens=10");
    assert_eq!(it.told(), "a=review b=ready | budget | d1:budget");
    it.play("tick 1; start");
    assert_eq!(it.told(), "a=review b=running | on b#1 | run b#1");
}

#[test]
fn what_a_reviewer_uses_counts_and_the_smallest_rest_is_what_a_turn_gets() {
    let mut it = budgets("a b", BudgetOf::Run, usd(1.0));
    it.settings.budgets.attempt = Allowance { tokens: Some(50), usd: Some(0.75) };
    it.settings.budgets.day = tokens(60);
    it.play("start");
    let rest = |it: &Loop| budget::remaining(&it.state, Some(&"a".into()), it.now);
    assert_eq!(rest(&it), Allowance { tokens: Some(50), usd: Some(0.75) });
    let mut ending = crate::domain::ending::Ending::regular("approved");
    (ending.usage.input_tokens, ending.usage.usd) = (20, Some(0.5));
    let link = it.settings.links("reviewer").remove(0);
    it.input(Input::TurnEnded { role: "reviewer".into(), task: Some("a".into()), link, ending });
    assert_eq!(rest(&it), Allowance { tokens: Some(40), usd: Some(0.5) });
    assert_eq!(it.state.record(&"a".into()).map(|record| record.used.tokens()), Some(20));
    assert_eq!(budget::remaining(&it.state, None, it.now).tokens, Some(40));
}
