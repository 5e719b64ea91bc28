//! Random sequences of inputs, with whatever order people, agents and crashes find: what must hold after each.
//!
//! In reading order: `steps` says what may happen, `watched` feeds it to the loop, `rules` says what must hold.

mod rules;
mod steps;
mod watched;

use super::{Input, decide};
use crate::domain::chain;
use crate::domain::event::{Event, UnionReport};
use crate::domain::outcome::Outcome;
use crate::domain::queue::{LiveState, live_state};
use crate::domain::state::State;
use crate::domain::task::TaskId;
use proptest::prelude::*;
use steps::{OUTCOMES, Step, TASKS, step};
use watched::{Watched, recover};

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold(steps in prop::collection::vec(step(), 1..60)) {
        let mut watched = Watched::new();
        for step in steps {
            watched.step(step);
        }
        let folded = State::fold(&watched.it.events);
        prop_assert!(folded == watched.it.state, "folding the journal gives the live state");
    }

    #[test]
    fn any_prefix_of_a_journal_recovers(
        steps in prop::collection::vec(step(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut watched = Watched::new();
        for step in steps {
            watched.step(step);
        }
        let events = &watched.it.events[..=cut.index(watched.it.events.len())];
        let before = State::fold(events);
        let after = recover(events);
        for (id, record) in &before.records {
            let later = after.record(id).expect("a record stays");
            prop_assert!(!record.done || later.done, "{} was done", id);
            prop_assert!(later.attempts.len() >= record.attempts.len());
            // A result that waits for review still waits, or was found on disk; only a stale one may need work.
            if let Some(proposal) = record.proposal.as_ref().filter(|it| it.stale.is_none() && !record.done) {
                let kept = later.proposal.as_ref().is_some_and(|it| it.hunks == proposal.hunks || it.attempt >= proposal.attempt);
                prop_assert!(kept, "the proposal of {} is gone", id);
            }
        }
        prop_assert_eq!(after.unfinished_attempts(), vec![]);
    }

    #[test]
    fn a_chain_comes_to_an_end(
        ends in prop::collection::vec((0..OUTCOMES.len(), 0..3u8, prop::option::of(-5..90_000i64), any::<bool>()), 1..200),
    ) {
        let mut watched = Watched::new();
        watched.it.settings.run_seconds = 100_000_000;
        watched.input(Input::Start { settings: watched.it.settings.clone(), only: Vec::new() });
        // No person does anything; time passes when the run waits.
        for (outcome, diff, seconds, model) in ends {
            if let Some(attempt) = watched.it.active() {
                watched.step(Step::End { outcome, diff, seconds, model, tokens: 1 });
                prop_assert!(watched.it.state.attempt(&attempt).is_some_and(|attempt| attempt.end.is_some()));
            }
            if let Some(wait) = chain::run_waits(&watched.it.state) {
                prop_assert!(wait.cooldown.until_ms > watched.it.now);
                watched.it.now = wait.cooldown.until_ms;
                watched.input(Input::Tick);
                prop_assert!(watched.it.active().is_some(), "when its time comes, it is taken");
            }
        }
        // Then every attempt fails for good: it ends in results or in questions.
        for number in 0..200u8 {
            let Some(attempt) = watched.it.active() else { break };
            watched.begin(&attempt);
            watched.end(attempt, Outcome::VerifyFailed, number, None);
        }
        if watched.it.active().is_none() && watched.it.state.run.as_ref().is_some_and(|run| run.finishing) {
            watched.input(Input::UnionChecked { report: UnionReport::default() });
        }
        prop_assert!(watched.it.state.run.is_none(), "{}", watched.it.told());
        let settled = |id: &TaskId| live_state(&watched.it.state, id).map(|live| live.state);
        let open = watched.it.state.open_decisions().count();
        let ready = TASKS.iter().filter(|id| settled(&TaskId::from(**id)) == Some(LiveState::Ready)).count();
        prop_assert!(ready == 0 || open > 0, "it gave up without a word: {}", watched.it.told());
    }

    #[test]
    fn restarts_change_nothing(steps in prop::collection::vec(step(), 1..40), restarts in prop::collection::vec(any::<bool>(), 40)) {
        let (mut straight, mut restarted) = (Watched::new(), Watched::new());
        for (step, restart) in steps.into_iter().zip(restarts) {
            straight.step(step.clone());
            restarted.step(step);
            if restart {
                let written: Vec<String> =
                    restarted.it.events.iter().map(|event| serde_json::to_string(event).expect("it serialises")).collect();
                let read: Vec<Event> = written.iter().map(|line| serde_json::from_str(line).expect("it reads")).collect();
                restarted.it.state = State::fold(&read);
            }
            prop_assert_eq!(&straight.it.state, &restarted.it.state);
        }
        prop_assert_eq!(&straight.it.events, &restarted.it.events);
    }

    #[test]
    fn equal_inputs_have_equal_ends(steps in prop::collection::vec(step(), 1..30)) {
        let mut first = Watched::new();
        let mut second = Watched::new();
        for step in steps {
            first.step(step.clone());
            second.step(step);
        }
        prop_assert_eq!(&first.it.events, &second.it.events);
        let again = decide(&first.it.state, Input::Tick, first.it.now);
        prop_assert_eq!(again, decide(&second.it.state, Input::Tick, second.it.now));
    }
}
