//! The loop with an observer: every input is checked as it goes in.

use super::rules::keeps;
use super::steps::{OUTCOMES, Step, TASKS};
use crate::domain::chain;
use crate::domain::decision::{Answer, DecisionId};
use crate::domain::ending::{Ending, Scope};
use crate::domain::event::{AttemptId, Event, HunkRef, Mark, UnionReport};
use crate::domain::landing::{self, LandTo, Landing};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue::to_fold;
use crate::domain::reduce::testing::{self, Loop};
use crate::domain::reduce::{Effect, Input, MoveResult, SendBack, pending_effects};
use crate::domain::report::Report;
use crate::domain::settings::AgentFacts;
use crate::domain::state::State;
use crate::domain::task::{Status, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// The loop with what an outside observer checks at every event.
pub(super) struct Watched {
    pub it: Loop,
    /// Ends by attempt.
    pub ends: BTreeMap<AttemptId, u32>,
    pub made: usize,
    /// Commits that were landed.
    pub landed: usize,
    /// Orders given and not carried out yet.
    pub orders: Vec<Effect>,
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
    pub(super) fn new() -> Self {
        let mut it = Loop::new("a b:a c:b!high d%2");
        it.settings.chain = vec!["one".into(), "two".into()];
        let facts = AgentFacts { models: vec!["m".into(), "n".into()], identity: String::new() };
        it.settings.agents.insert("two".into(), facts);
        it.settings.retry.cycles = 3;
        it.settings.budgets.task.tokens = Some(150);
        it.settings.budgets.run.tokens = Some(400);
        it.settings.budgets.day.tokens = Some(1_000);
        Self { it, ends: BTreeMap::new(), made: 0, landed: 0, orders: Vec::new() }
    }

    pub(super) fn input(&mut self, input: Input) -> Vec<Event> {
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

    pub(super) fn end(&mut self, attempt: AttemptId, outcome: Outcome, diff: u8, ending: Option<Ending>) {
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

    pub(super) fn begin(&mut self, attempt: &AttemptId) {
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

    pub(super) fn moved(&mut self, task: &TaskId, ok: bool) {
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

    pub(super) fn part_checked(&mut self, task: &TaskId, ok: bool) {
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

    pub(super) fn found(&mut self, task: &TaskId) {
        let proposal = self.it.state.record(task).and_then(|record| record.proposal.as_ref());
        let hunks = proposal.map(|proposal| proposal.accepted()).unwrap_or_default();
        let input = Input::FoundOnDisk { task: task.clone(), hunks };
        self.input(input.clone());
        assert_eq!(self.input(input), [], "what is done is done once");
    }

    fn land(&mut self, tasks: BTreeSet<TaskId>) {
        let landable = |task: &TaskId| landing::landable(self.it.state.record(task)).is_ok();
        let tasks: Vec<TaskId> = tasks.into_iter().filter(landable).collect();
        self.landed += 1;
        let (commit, previous) = (format!("landed{}", self.landed), Some("head".to_owned()));
        let landing = Landing { tasks: tasks.clone(), to: LandTo::Commit, commit, previous, branch: "main".into() };
        let input = Input::Landed { landing };
        assert_eq!(self.input(input.clone()).is_empty(), tasks.is_empty());
        assert_eq!(self.input(input), [], "a landing counts once, also when an engine that died had told it");
        for task in &tasks {
            assert!(landing::landable(self.it.state.record(task)).is_err(), "{task} would land again");
        }
    }

    /// As the engine does when the files are as before the accept.
    fn undo(&mut self, task: &TaskId) {
        let Some(record) = self.it.state.record(task) else { return };
        let hunks: Vec<_> = record.proposal.iter().flat_map(|proposal| proposal.accepted()).collect();
        if hunks.is_empty() {
            return;
        }
        if record.done {
            self.input(Input::Reopen { task: task.clone() });
            if self.it.state.record(task).is_some_and(|record| record.done) {
                return;
            }
        }
        self.input(Input::MarkHunks { task: task.clone(), hunks, mark: Mark::Pending, by: "test".into() });
        let record = self.it.state.record(task).expect("a record stays");
        assert!(!record.done && record.landed.is_none(), "{task} is done though its text is gone");
    }

    pub(super) fn step(&mut self, step: Step) {
        let id = |task: usize| TaskId::from(TASKS[task]);
        match step {
            Step::Queue { statuses, without, head_moved } => {
                let mut tasks = testing::queue("a b:a c:b!high d%2");
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
            Step::SendBack { task, all, rebase } => {
                let order = SendBack { rest: !all, rebase, ..SendBack::rest(id(task)) };
                drop(self.input(Input::SendBack(order)));
            }
            Step::Land { task, with } => self.land([task, with].map(id).into()),
            Step::Unland { landing } => {
                let input = Input::LandingUndone { commit: format!("landed{}", self.landed.saturating_sub(landing)) };
                self.input(input.clone());
                assert_eq!(self.input(input), [], "a landing is taken back once");
            }
            Step::Undo { task } => self.undo(&id(task)),
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
}

/// What the world does after a restart: agents are lost, moves and unions work, files are written.
pub(super) fn recover(events: &[Event]) -> State {
    let mut world = Watched { it: Loop::new(""), ends: BTreeMap::new(), made: 1000, landed: 1000, orders: Vec::new() };
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
