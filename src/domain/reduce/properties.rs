//! Random sequences of inputs, with whatever order people, agents and crashes find: what must hold after each.

use super::testing::Loop;
use super::{Effect, Input, MoveResult, SendBack, decide, pending_effects};
use crate::domain::budget;
use crate::domain::chain::{self, Cooldown, Reach};
use crate::domain::decision::{Answer, DecisionId};
use crate::domain::ending::{Ending, Scope};
use crate::domain::event::{AttemptId, Event, HunkRef, Mark, UnionReport};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue::{LiveState, live_state, to_fold};
use crate::domain::report::Report;
use crate::domain::settings::{AgentFacts, Link};
use crate::domain::state::{Record, State};
use crate::domain::task::{Status, TaskId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TASKS: [&str; 4] = ["a", "b", "c", "d"];
const OUTCOMES: [Outcome; 20] = [
    Outcome::Verified,
    Outcome::Unchecked,
    Outcome::Incomplete,
    Outcome::VerifyFailed,
    Outcome::NoChange,
    Outcome::NeedsDecision,
    Outcome::Blocked,
    Outcome::Leaked,
    Outcome::MissingBinary,
    Outcome::AttemptLost,
    Outcome::Cancelled,
    Outcome::Crashed,
    Outcome::RateLimited,
    Outcome::Overloaded,
    Outcome::Network,
    Outcome::Auth,
    Outcome::ModelUnavailable,
    Outcome::ContextExhausted,
    Outcome::TimedOut,
    Outcome::BudgetExceeded,
];

/// One thing that happens; what does not fit the moment is refused or means nothing, as in life.
#[derive(Clone, Debug)]
enum Step {
    Queue {
        statuses: [usize; 4],
        without: Option<usize>,
        head_moved: bool,
    },
    Start {
        only: Option<usize>,
    },
    Pause,
    Resume,
    Stop {
        kill: bool,
    },
    Begin,
    /// With the seconds until a limit lifts, as far as it tells, its scope, and what was used.
    End {
        outcome: usize,
        diff: u8,
        seconds: Option<i64>,
        model: bool,
        tokens: u64,
    },
    Suggest,
    Answer {
        decision: usize,
        option: usize,
    },
    Retry {
        task: usize,
        clean: bool,
    },
    Mark {
        task: usize,
        hunk: usize,
        mark: usize,
    },
    Keep {
        task: usize,
    },
    Rest {
        task: usize,
    },
    Part {
        task: usize,
        ok: bool,
    },
    Comment {
        task: usize,
        hunk: Option<usize>,
    },
    DropComment {
        task: usize,
        comment: u32,
    },
    SendBack {
        task: usize,
    },
    Reopen {
        task: usize,
    },
    Found {
        task: usize,
    },
    Moved {
        task: usize,
        ok: bool,
    },
    Union,
    Tick {
        seconds: i64,
    },
    Cancel {
        task: usize,
    },
    /// A turn that is no attempt ends.
    Turn {
        outcome: usize,
        agent: usize,
        seconds: Option<i64>,
    },
    Restart,
}

/// The texts of the hunks that count as rejected, in this round or those before.
fn rejected(record: &Record) -> BTreeSet<&str> {
    let decided = record.decided.marks.iter().filter(|(_, mark)| matches!(mark, Mark::Rejected { .. }));
    let decided = decided.map(|(hunk, _)| hunk.text.as_str());
    match &record.proposal {
        Some(proposal) => proposal.rejections().map(|(hunk, _)| hunk.text.as_str()).collect(),
        None => decided.collect(),
    }
}

/// What was said stays until it is taken back, and what was rejected stays so over rounds, moves and retries.
fn keeps(before: &State, after: &State, event: &Event) {
    for (id, old) in &before.records {
        let new = after.record(id).expect("a record stays");
        for comment in &old.comments {
            let kept = new.comments.iter().any(|it| it.id == comment.id && (it.sent || !comment.sent));
            let dropped = matches!(event, Event::CommentDropped { id, .. } if *id == comment.id);
            assert!(kept || dropped, "a comment on {id} is gone after {event:?}");
        }
        if matches!(event, Event::HunksMarked { task, .. } | Event::TaskReopened { task } if task == id) {
            continue;
        }
        let no = rejected(old);
        match &new.proposal {
            Some(proposal) => {
                let there = proposal.hunks.iter().filter(|hunk| no.contains(hunk.text.as_str()));
                for hunk in there {
                    assert_eq!(proposal.mark(&hunk.id), Mark::Rejected { why: None }, "after {event:?}");
                }
            }
            None => assert_eq!(no, rejected(new), "after {event:?}"),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0..TASKS.len();
    prop_oneof![
        2 => (prop::array::uniform4(0..8usize), prop::option::weighted(0.2, task.clone()), any::<bool>())
            .prop_map(|(statuses, without, head_moved)| Step::Queue { statuses, without, head_moved }),
        4 => prop::option::weighted(0.2, task.clone()).prop_map(|only| Step::Start { only }),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => any::<bool>().prop_map(|kill| Step::Stop { kill }),
        4 => Just(Step::Begin),
        10 => (0..OUTCOMES.len(), 0..3u8, prop::option::of(-5..20_000i64), any::<bool>(), 0..60u64).prop_map(
            |(outcome, diff, seconds, model, tokens)| Step::End { outcome, diff, seconds, model, tokens }
        ),
        1 => Just(Step::Suggest),
        4 => (0..6usize, 0..5usize).prop_map(|(decision, option)| Step::Answer { decision, option }),
        1 => (task.clone(), any::<bool>()).prop_map(|(task, clean)| Step::Retry { task, clean }),
        4 => (task.clone(), 0..2usize, 0..4usize).prop_map(|(task, hunk, mark)| Step::Mark { task, hunk, mark }),
        1 => task.clone().prop_map(|task| Step::Keep { task }),
        1 => task.clone().prop_map(|task| Step::Rest { task }),
        2 => (task.clone(), any::<bool>()).prop_map(|(task, ok)| Step::Part { task, ok }),
        2 => (task.clone(), prop::option::of(0..2usize)).prop_map(|(task, hunk)| Step::Comment { task, hunk }),
        1 => (task.clone(), 1..4u32).prop_map(|(task, comment)| Step::DropComment { task, comment }),
        2 => task.clone().prop_map(|task| Step::SendBack { task }),
        1 => task.clone().prop_map(|task| Step::Reopen { task }),
        3 => task.clone().prop_map(|task| Step::Found { task }),
        3 => (task.clone(), any::<bool>()).prop_map(|(task, ok)| Step::Moved { task, ok }),
        2 => Just(Step::Union),
        1 => (0..40_000i64).prop_map(|seconds| Step::Tick { seconds }),
        1 => task.prop_map(|task| Step::Cancel { task }),
        1 => (0..OUTCOMES.len(), 0..2usize, prop::option::of(1..20_000i64))
            .prop_map(|(outcome, agent, seconds)| Step::Turn { outcome, agent, seconds }),
        1 => Just(Step::Restart),
    ]
}

/// The loop with what an outside observer checks at every event.
struct Watched {
    it: Loop,
    /// Ends by attempt.
    ends: BTreeMap<AttemptId, u32>,
    made: usize,
    /// Orders given and not carried out yet.
    orders: Vec<Effect>,
}

fn hunks(number: usize) -> Vec<HunkRef> {
    (0..2)
        .map(|at| HunkRef {
            id: format!("h{number}-{at}").as_str().into(),
            path: "f".into(),
            // The same two changes every time, with other lines around them.
            text: format!("text{at}"),
            there: number.is_multiple_of(2),
        })
        .collect()
}

impl Watched {
    fn new() -> Self {
        let mut it = Loop::new("a b:a c:b!high d%2");
        it.settings.chain = vec!["one".into(), "two".into()];
        let facts = AgentFacts { models: vec!["m".into(), "n".into()], identity: String::new() };
        it.settings.agents.insert("two".into(), facts);
        it.settings.retry.cycles = 3;
        it.settings.budgets.task.tokens = Some(150);
        it.settings.budgets.run.tokens = Some(400);
        it.settings.budgets.day.tokens = Some(1_000);
        Self { it, ends: BTreeMap::new(), made: 0, orders: Vec::new() }
    }

    fn input(&mut self, input: Input) -> Vec<Event> {
        let before = self.it.state.clone();
        let events = self.it.input(input);
        self.orders.append(&mut self.it.effects);
        let mut state = before;
        for event in &events {
            self.legal(&state, event);
            let old = state.clone();
            state.apply(event);
            keeps(&old, &state, event);
        }
        assert!(state == self.it.state);
        if let Some(run) = &state.run {
            let open = state.unfinished_attempts();
            assert_eq!(
                run.active.iter().cloned().collect::<Vec<_>>(),
                open,
                "one active attempt per run, and no other"
            );
        } else {
            assert_eq!(state.unfinished_attempts(), [], "no attempt outlives its run");
        }
        events
    }

    /// Checks an event against the state it is applied to.
    fn legal(&mut self, state: &State, event: &Event) {
        match event {
            Event::AttemptStarted { attempt, agent, model, .. } => {
                let link = Link { agent: agent.clone(), model: model.clone() };
                let run = state.run.as_ref().expect("only a run claims");
                let rests = |(reach, it): (&Reach, &Cooldown)| reach.covers(&link) && it.until_ms > self.it.now;
                assert!(!state.chain.cooled.iter().any(rests), "{link} rests, and another is free or it is waited");
                assert!(!run.left.keys().any(|reach| reach.covers(&link)), "{link} has left");
                let reached = budget::reached(state, Some(&attempt.task), self.it.now);
                assert_eq!(reached, None, "nothing may be used on {attempt}");
                let live = live_state(state, &attempt.task).expect("what is claimed is in the queue");
                assert_eq!(live.state, LiveState::Ready, "claimed though {}", live.why);
                let before = state.record(&attempt.task).map_or(0, |record| record.attempts.len());
                assert_eq!(attempt.number as usize, before + 1, "numbers are never reused");
                assert!(self.ends.insert(attempt.clone(), 0).is_none());
            }
            Event::AttemptEnded { attempt, .. } => {
                let ends = self.ends.get_mut(attempt).expect("only what started ends");
                *ends += 1;
                assert_eq!(*ends, 1, "{attempt} ended twice");
            }
            Event::AgentStarted { attempt } => {
                let found = state.attempt(attempt).expect("it was claimed");
                assert!(found.end.is_none() && !found.agent_started, "an agent starts once");
            }
            Event::TaskDone { task } => {
                let record = state.record(task);
                let by_hand = state.tasks.get(task).is_some_and(|task| task.status == Status::Done);
                let proposal = record.and_then(|record| record.proposal.as_ref());
                let decided =
                    proposal.is_some_and(|it| it.is_decided() && (it.part_holds() || it.rejected().is_empty()));
                assert!(by_hand || decided, "{task} is done without being decided");
            }
            Event::ProposalMade { attempt, .. } => {
                let end = state.attempt(attempt).and_then(|attempt| attempt.end.as_ref()).expect("it has ended");
                assert!(end.outcome.is_success() || end.otherwise.is_some_and(Outcome::is_success));
            }
            Event::RunEnded { .. } => assert!(state.run.as_ref().is_some_and(|run| run.active.is_none())),
            Event::DecisionRaised { decision } => {
                assert!(state.decision(&decision.id).is_none(), "ids are never reused")
            }
            Event::DecisionAnswered { id, .. } => assert!(state.decision(id).is_some_and(|it| it.is_open())),
            _ => {}
        }
    }

    fn end(&mut self, attempt: AttemptId, outcome: Outcome, diff: u8, ending: Option<Ending>) {
        let failures = |it: &Loop| it.state.record(&attempt.task).map_or(0, |record| record.failures);
        let before = failures(&self.it);
        let mut end = AttemptEnd::new(outcome, "it ended");
        end.diff_hash = format!("diff{diff}");
        end.failure = Some(["left", "right", "middle"][usize::from(diff) % 3].into());
        if outcome == Outcome::Leaked {
            end.otherwise = Some(if diff == 0 { Outcome::Verified } else { Outcome::VerifyFailed });
        }
        if outcome.is_success() || outcome == Outcome::Leaked {
            self.made += 1;
            end.head = Some(format!("head{}", self.made));
            end.hunks = hunks(self.made);
        }
        end.ending = ending;
        let input = Input::Ended { attempt: attempt.clone(), end };
        self.input(input.clone());
        assert_eq!(self.input(input), [], "an end counts once");
        if !outcome.spends_attempt() {
            assert!(failures(&self.it) <= before, "{outcome:?} spent an attempt");
        }
    }

    fn begin(&mut self, attempt: &AttemptId) {
        let stands_on = to_fold(&self.it.state, &attempt.task);
        let text = || "base".to_owned();
        let prepared =
            Input::Prepared { attempt: attempt.clone(), base: text(), start: text(), stands_on, notes: Vec::new() };
        let started = Input::AgentStarted { attempt: attempt.clone() };
        for input in [prepared, started] {
            self.input(input.clone());
            assert_eq!(self.input(input), [], "what the engine says twice counts once");
        }
    }

    fn moved(&mut self, task: &TaskId, ok: bool) {
        let Some(proposal) = self.it.state.record(task).and_then(|record| record.proposal.clone()) else { return };
        self.made += 1;
        let result = match ok {
            true => MoveResult::Moved {
                base: format!("base{}", self.made),
                head: format!("head{}", self.made),
                hunks: hunks(self.made),
                stands_on: to_fold(&self.it.state, task),
            },
            false => MoveResult::Failed { detail: "it clashes".into() },
        };
        let input = Input::Moved { task: task.clone(), from: proposal.head, result };
        self.input(input.clone());
        assert_eq!(self.input(input), [], "a move counts once");
    }

    fn part_checked(&mut self, task: &TaskId, ok: bool) {
        let Some(proposal) = self.it.state.record(task).and_then(|record| record.proposal.clone()) else { return };
        let failed = (!ok).then(|| "make: no".to_owned());
        let (head, hunks) = (proposal.head.clone(), proposal.accepted());
        let input = Input::PartChecked { task: task.clone(), head, hunks, checks: Vec::new(), failed };
        self.input(input.clone());
        assert_eq!(self.input(input), [], "a part is checked once");
    }

    fn comment(&mut self, task: TaskId, hunk: Option<usize>) {
        let proposal = self.it.state.record(&task).and_then(|record| record.proposal.as_ref());
        let hunk = hunk.and_then(|at| Some(proposal?.hunks.get(at)?.id.clone()));
        self.input(Input::Comment { task, hunk, path: None, line: None, text: "why?".into(), quote: None });
    }

    fn found(&mut self, task: &TaskId) {
        let proposal = self.it.state.record(task).and_then(|record| record.proposal.as_ref());
        let hunks = proposal.map(|proposal| proposal.accepted()).unwrap_or_default();
        let input = Input::FoundOnDisk { task: task.clone(), hunks };
        self.input(input.clone());
        assert_eq!(self.input(input), [], "what is done is done once");
    }

    fn step(&mut self, step: Step) {
        let id = |task: usize| TaskId::from(TASKS[task]);
        match step {
            Step::Queue { statuses, without, head_moved } => {
                let mut tasks = super::testing::queue("a b:a c:b!high d%2");
                for (task, status) in tasks.iter_mut().zip(statuses) {
                    // Mostly approved; what is done stays what the file said.
                    task.status = *Status::ALL.get(status).unwrap_or(&Status::Todo);
                }
                if let Some(without) = without {
                    tasks.remove(without);
                }
                let input = Input::QueueRead { tasks, goals: Vec::new(), head_moved };
                self.input(input.clone());
                let again = self.input(input);
                assert_eq!(again, [], "an unchanged file says nothing new");
            }
            Step::Start { only } => {
                let only = only.map(id).into_iter().collect();
                self.input(Input::Start { settings: self.it.settings.clone(), only });
            }
            Step::Pause => drop(self.input(Input::Pause)),
            Step::Resume => drop(self.input(Input::Resume)),
            Step::Stop { kill } => drop(self.input(Input::Stop { kill })),
            Step::Begin => {
                if let Some(attempt) = self.it.active() {
                    self.begin(&attempt);
                }
            }
            Step::End { outcome, diff, seconds, model, tokens } => {
                if let Some(attempt) = self.it.active() {
                    self.begin(&attempt);
                    let mut ending = self.ending(OUTCOMES[outcome], seconds);
                    ending.scope = if model { Scope::Model } else { Scope::Agent };
                    ending.usage.output_tokens = tokens;
                    self.end(attempt, OUTCOMES[outcome], diff, Some(ending));
                }
            }
            Step::Turn { outcome, agent, seconds } => {
                let link = self.it.settings.links("reviewer").swap_remove(agent);
                let ending = self.ending(OUTCOMES[outcome], seconds);
                self.input(Input::TurnEnded { role: "reviewer".into(), task: None, link, ending });
            }
            Step::Suggest => {
                if let Some(attempt) = self.it.active() {
                    let report = Report::SuggestTask { task: serde_json::json!({ "id": "a", "title": "More" }) };
                    let input = Input::Reported { attempt, id: format!("s{}", self.it.events.len()), report };
                    self.input(input.clone());
                    assert_eq!(self.input(input), [], "a report counts once");
                }
            }
            Step::Answer { decision, option } => {
                let id = DecisionId(format!("d{}", decision + 1));
                let option = (option > 0).then(|| option.to_string());
                let text = option.is_none().then(|| "do".to_owned());
                let answer = Answer { option, text, by: "test".into(), at_ms: 0 };
                let input = Input::Answer { id, answer, go_on: true };
                self.input(input.clone());
                assert_eq!(self.input(input), [], "answering twice is answering once");
            }
            Step::Retry { task, clean } => drop(self.input(Input::Retry { task: id(task), clean })),
            Step::Mark { task, hunk, mark } => {
                let proposal = self.it.state.record(&id(task)).and_then(|record| record.proposal.as_ref());
                let Some(hunk) = proposal.and_then(|proposal| proposal.hunks.get(hunk)) else { return };
                let marks = [Mark::Accepted, Mark::Accepted, Mark::Pending, Mark::Rejected { why: None }];
                let (hunks, mark) = (vec![hunk.id.clone()], marks[mark].clone());
                self.input(Input::MarkHunks { task: id(task), hunks, mark, by: "test".into() });
            }
            Step::Keep { task } => drop(self.input(Input::KeepAcceptedPart { task: id(task) })),
            Step::Rest { task } => drop(self.input(Input::DropRest { task: id(task), why: None, by: "test".into() })),
            Step::Part { task, ok } => self.part_checked(&id(task), ok),
            Step::Comment { task, hunk } => self.comment(id(task), hunk),
            Step::DropComment { task, comment } => {
                drop(self.input(Input::DropComment { task: id(task), id: format!("c{comment}") }));
            }
            Step::SendBack { task } => drop(self.input(Input::SendBack(SendBack::rest(id(task))))),
            Step::Reopen { task } => drop(self.input(Input::Reopen { task: id(task) })),
            Step::Found { task } => self.found(&id(task)),
            Step::Moved { task, ok } => self.moved(&id(task), ok),
            Step::Union => drop(self.input(Input::UnionChecked { report: UnionReport::default() })),
            Step::Tick { seconds } => {
                self.it.now += seconds * 1000;
                self.input(Input::Tick);
            }
            Step::Cancel { task } => drop(self.input(Input::Cancel { task: id(task) })),
            Step::Restart => self.it.state = State::fold(&self.it.events),
        }
        self.bounded();
        self.gets_on();
    }

    fn ending(&self, outcome: Outcome, seconds: Option<i64>) -> Ending {
        let failure = Some(outcome).filter(|outcome| chain::is_of_chain(*outcome));
        let until_ms = seconds.map(|seconds| self.it.now + seconds * 1000);
        Ending { failure, until_ms, ..Ending::regular("it ended") }
    }

    /// A run that is on works, is held by a person, waits for a time to come, or for a move or a check of its results.
    fn gets_on(&self) {
        let state = &self.it.state;
        let Some(run) = &state.run else { return };
        if run.active.is_some() || run.paused || run.finishing {
            return;
        }
        match chain::run_waits(state) {
            Some(wait) => assert!(wait.cooldown.until_ms > self.it.now, "it waits for what is over"),
            None => {
                let on = |effect: &Effect| matches!(effect, Effect::MoveProposal { .. } | Effect::CheckUnion);
                assert!(pending_effects(state).iter().any(on), "it does nothing: {}", self.it.told());
            }
        }
    }

    /// A task that failed as often as its limit allows is not ready.
    fn bounded(&self) {
        for (id, record) in &self.it.state.records {
            let own = self.it.state.tasks.get(id).and_then(|task| task.limits.attempts);
            let limit = own.unwrap_or(self.it.settings.attempts);
            assert!(record.failures <= limit, "{id} failed {} times of {limit}", record.failures);
        }
    }
}

/// What the world does after a restart: agents are lost, moves and unions work, files are written.
fn recover(events: &[Event]) -> State {
    let mut world = Watched { it: Loop::new(""), ends: BTreeMap::new(), made: 1000, orders: Vec::new() };
    world.it.events = events.to_vec();
    world.it.state = State::fold(events);
    world.it.now = 10_000_000;
    for event in events {
        match event {
            Event::AttemptStarted { attempt, .. } => drop(world.ends.insert(attempt.clone(), 0)),
            Event::AttemptEnded { attempt, .. } => drop(world.ends.insert(attempt.clone(), 1)),
            _ => {}
        }
    }
    world.orders = pending_effects(&world.it.state);
    // No person does anything, so it must come to rest by itself.
    for _ in 0..200 {
        if world.orders.is_empty() {
            world.input(Input::Tick);
            if world.orders.is_empty() {
                return world.it.state;
            }
        }
        match world.orders.remove(0) {
            Effect::RunAttempt { attempt } => {
                world.end(attempt, Outcome::AttemptLost, 0, None);
            }
            Effect::MoveProposal { task } => world.moved(&task, true),
            Effect::CheckUnion => drop(world.input(Input::UnionChecked { report: UnionReport::default() })),
            Effect::CheckPart { task } => world.part_checked(&task, true),
            Effect::LookOnDisk { task } => world.found(&task),
            Effect::WriteStatus { task, status } => {
                let state = &world.it.state;
                let mut tasks: Vec<_> = state.order.iter().map(|id| (*state.tasks[id]).clone()).collect();
                for found in tasks.iter_mut().filter(|found| found.id == task) {
                    found.status = status;
                }
                world.input(Input::QueueRead { tasks, goals: Vec::new(), head_moved: false });
            }
            Effect::AddDrafts { tasks } => {
                let state = &world.it.state;
                let mut all: Vec<_> = state.order.iter().map(|id| (*state.tasks[id]).clone()).collect();
                all.extend(tasks.into_iter().filter(|task| !state.tasks.contains_key(&task.id)));
                world.input(Input::QueueRead { tasks: all, goals: Vec::new(), head_moved: false });
            }
            Effect::StopAttempt { .. } | Effect::Deliver { .. } => {}
        }
    }
    panic!("it does not come to rest: {}", world.it.told());
}

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
