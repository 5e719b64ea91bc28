//! The chain and the budgets at work: what a turn's end does to the links, who is claimed for, and what is asked when
//! nobody is left or nothing may be used any more.

use super::{Effect, Next};
use crate::domain::budget::{self, BudgetOf, Reached};
use crate::domain::chain::{self, Pick, Reach, Step, Turn};
use crate::domain::decision::{DecisionKind, DecisionOption, Evidence, OptionEffect};
use crate::domain::ending::{Ending, Usage};
use crate::domain::event::{AttemptId, Event};
use crate::domain::outcome::AttemptEnd;
use crate::domain::queue::{self, LiveState, live_state};
use crate::domain::settings::Link;
use crate::domain::task::{Task, TaskId};
use std::collections::HashMap;

/// What can be done for the next task.
enum Claim {
    Task(TaskId, Link),
    /// Nothing more may be used on it.
    UsedUp(TaskId, Reached),
    /// Tasks are ready, and all whom they could be given to rest.
    Wait,
    Nothing,
}

fn option(label: &str, detail: impl Into<String>, does: OptionEffect) -> DecisionOption {
    DecisionOption { label: label.into(), detail: detail.into(), pros: Vec::new(), cons: Vec::new(), does }
}

impl Next {
    /// Counts what a turn used that is no attempt's own, and does what its end means for the chain.
    pub(super) fn turn_ended(&mut self, role: String, task: Option<TaskId>, link: Link, ending: &Ending) {
        let run = self.state.run.as_ref().map(|run| run.id.clone());
        let seed = chain::seed(&format!("{role} {link} {}", self.now_ms));
        if ending.usage != Usage::default() {
            self.emit(Event::UsageCounted { task, run, role, usage: ending.usage, at_ms: self.now_ms });
        }
        let turn = Turn::of_ending(link, ending, seed);
        match self.step(&turn) {
            Step::Leaves(reach) => self.leave(reach, &turn),
            step => self.follow_step(step, &turn),
        }
    }

    /// Does what the end of an attempt means for the chain.
    pub(super) fn follow_on_chain(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let Some(on) = self.state.attempt(attempt) else { return };
        let link = Link { agent: on.agent.clone(), model: on.model.clone() };
        let turn = Turn::of_attempt(link, end, on.agent_started, chain::seed(&attempt.to_string()));
        let reach = match self.step(&turn) {
            Step::Leaves(reach) => reach,
            step => return self.follow_step(step, &turn),
        };
        if self.is_of_a_chain(&turn.link.agent) || self.has_other_links(&reach, &turn.link.agent) {
            self.leave(reach, &turn);
        } else {
            // The task names an agent of its own: only a person can change that.
            let question = format!("the task's own agent `{}` could not run: {}", turn.link.agent, turn.detail);
            self.ask(attempt, DecisionKind::Setup, question, super::attempts::way_out(), end);
        }
    }

    fn step(&self, turn: &Turn) -> Step {
        let retry = self.state.run.as_ref().map(|run| run.settings.retry).unwrap_or_default();
        chain::step(&self.state.chain, &retry, turn, self.now_ms)
    }

    fn follow_step(&mut self, step: Step, turn: &Turn) {
        match step {
            Step::Frees(reaches) => {
                for reach in reaches {
                    self.emit(Event::LinkFreed { reach, forgotten: true });
                }
            }
            Step::Cools(reaches) => {
                let Some(why) = turn.outcome else { return };
                for (reach, until_ms, tries) in reaches {
                    let (detail, at_ms) = (turn.detail.clone(), self.now_ms);
                    self.emit(Event::LinkCooled { reach, until_ms, tries, why, detail, at_ms });
                }
            }
            Step::Leaves(_) | Step::Nothing => {}
        }
    }

    fn leave(&mut self, reach: Reach, turn: &Turn) {
        let (Some(run), Some(why)) = (&self.state.run, turn.outcome) else { return };
        let run = run.id.clone();
        self.emit(Event::LinkLeft { run, reach, why, detail: turn.detail.clone() });
    }

    fn is_of_a_chain(&self, agent: &String) -> bool {
        let settings = self.state.run.as_ref().map(|run| &run.settings);
        settings.is_some_and(|settings| {
            settings.chain.contains(agent) || settings.chains.values().any(|names| names.contains(agent))
        })
    }

    /// Tells whether the agent has a link besides what leaves.
    fn has_other_links(&self, leaving: &Reach, agent: &str) -> bool {
        let Some(run) = &self.state.run else { return false };
        let here = |link: &Link| !leaving.covers(link) && !run.left.keys().any(|reach| reach.covers(link));
        run.settings.links_of(agent).iter().any(here)
    }

    /// Frees what rested and whose time has come.
    pub(super) fn free_due(&mut self) {
        for reach in self.state.chain.due(self.now_ms) {
            self.emit(Event::LinkFreed { reach, forgotten: false });
        }
    }

    /// A person wants what rests tried now.
    pub(super) fn free_cooled(&mut self) {
        for reach in self.state.chain.cooled.keys().cloned().collect::<Vec<_>>() {
            self.emit(Event::LinkFreed { reach, forgotten: true });
        }
    }

    /// A person has mended what made agents leave.
    pub(super) fn free_left(&mut self) {
        let left = self.state.run.as_ref().map(|run| run.left.keys().cloned().collect::<Vec<_>>());
        for reach in left.unwrap_or_default() {
            self.emit(Event::LinkFreed { reach, forgotten: true });
        }
    }

    /// Tells whether the run is on, and all who could take a task that is ready rest.
    pub(super) fn is_waiting(&self) -> bool {
        let idle = self.state.run.as_ref().is_some_and(|run| run.active.is_none() && !run.paused && !run.stopping);
        idle && matches!(self.next_claim(), Claim::Wait)
    }

    /// Claims the next task somebody is free for; tells whether the run has something to do or to wait for.
    pub(super) fn claim_next(&mut self) -> bool {
        loop {
            match self.next_claim() {
                Claim::Task(task, link) => {
                    self.claim(task, link);
                    return true;
                }
                // Then it is blocked, and the next one is looked at.
                Claim::UsedUp(task, reached) => self.ask_about_used_up(task, &reached),
                Claim::Wait => return true,
                Claim::Nothing => return false,
            }
        }
    }

    fn next_claim(&self) -> Claim {
        // Whom a task without a record waits for depends only on the agent it names.
        let mut waits: HashMap<Option<&str>, bool> = HashMap::new();
        let mut waiting = false;
        for id in queue::ready_tasks(&self.state) {
            let Some(task) = self.state.tasks.get(id) else { continue };
            let agent = task.agent.as_deref();
            if waits.get(&agent).copied().unwrap_or(false) {
                continue;
            }
            match chain::pick_for_task(&self.state, task, i64::MIN) {
                Pick::Free(link) => {
                    return match budget::reached(&self.state, Some(id), self.now_ms) {
                        Some(reached) if reached.of == BudgetOf::Task => Claim::UsedUp(id.clone(), reached),
                        _ => Claim::Task(id.clone(), link),
                    };
                }
                Pick::Wait(_) => {
                    waits.insert(agent, true);
                    waiting = true;
                }
                Pick::Exhausted => {}
            }
        }
        if waiting { Claim::Wait } else { Claim::Nothing }
    }

    fn claim(&mut self, task: TaskId, link: Link) {
        let Some(run) = self.state.run.as_ref().map(|run| run.id.clone()) else { return };
        let record = self.state.record(&task);
        let number = record.and_then(|record| record.attempts.last()).map_or(1, |last| last.number + 1);
        let clean = record.is_some_and(|record| record.clean);
        let attempt = AttemptId { task, number };
        self.order(Effect::RunAttempt { attempt: attempt.clone() });
        let slot = "slot-1".to_owned();
        let Link { agent, model } = link;
        self.emit(Event::AttemptStarted { attempt, run, agent, model, slot, clean, at_ms: self.now_ms });
    }

    /// Asks a person when tasks could run but for want of an agent.
    pub(super) fn ask_about_agents(&mut self) {
        let Some(run) = self.state.run.as_ref().filter(|run| !run.left.is_empty()) else { return };
        let wanted = queue::wanted(&self.state);
        let mut about = self.state.order.iter().filter(|id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
        let without = |task: &Task| !queue::has_agent(&self.state, task);
        let stuck = about.any(|id| {
            self.state.tasks.get(id).is_some_and(|task| without(task))
                && live_state(&self.state, id).is_some_and(|live| live.state == LiveState::Blocked)
        });
        if stuck {
            let reasons = run.left.iter().map(|(reach, left)| format!("`{reach}`: {}", left.detail));
            let question = format!("no agent is left to run; {}", reasons.collect::<Vec<_>>().join("; "));
            let fixes = run.left.iter().map(|(reach, left)| chain::fix(reach, left.why));
            let fixes = format!("First {}.", fixes.collect::<Vec<_>>().join("; "));
            let options = vec![
                option("Try again now", fixes, OptionEffect::Retry),
                option("Leave it", "Nothing more runs until you start again.", OptionEffect::Park),
            ];
            self.raise(None, None, DecisionKind::Setup, question, options, Evidence::default(), None);
        }
    }

    /// An agent was stopped by a budget: asks about the task or its attempt. Those of the run and the day are asked about
    /// before the next claim.
    pub(super) fn ask_about_budget(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        match budget::reached(&self.state, Some(&attempt.task), self.now_ms) {
            Some(reached) if reached.of == BudgetOf::Task => self.ask_about_used_up(attempt.task.clone(), &reached),
            Some(_) => {}
            None => {
                let words = budget::of_attempt(&self.state, attempt).words();
                let what = if words.is_empty() { end.detail.clone() } else { format!("it used {words}") };
                let question = format!("attempt {} reached its budget: {what}; go on?", attempt.number);
                let (task, number) = (attempt.task.clone(), attempt.number);
                self.raise_budget(Some((task, number)), BudgetOf::Attempt, question, end.failure.clone());
            }
        }
    }

    fn ask_about_used_up(&mut self, task: TaskId, reached: &Reached) {
        let question = format!("the budget of task `{task}` is used up: {}; go on?", reached.words());
        let last = self.state.record(&task).and_then(|record| record.attempts.last()).map_or(0, |last| last.number);
        self.raise_budget(Some((task, last)), BudgetOf::Task, question, None);
    }

    fn raise_budget(&mut self, about: Option<(TaskId, u32)>, of: BudgetOf, question: String, output: Option<String>) {
        let mut options =
            vec![option("Allow as much again", "It goes on from what was left.", OptionEffect::RaiseLimit)];
        if about.is_some() {
            options.push(option("Leave it", "The task stays blocked; the others go on.", OptionEffect::Park));
            options.push(option("Drop it", "The task will not be done.", OptionEffect::Drop));
        } else {
            options.push(option("Leave it", "Nothing more runs until you start again.", OptionEffect::Park));
        }
        let evidence = Evidence { output, budget: Some(of), ..Evidence::default() };
        let (task, attempt) = about.unzip();
        self.raise(task, attempt.filter(|number| *number > 0), DecisionKind::Budget, question, options, evidence, None);
    }

    /// Ends the run when its own budget or the day's is used up; tells whether it did.
    pub(super) fn ask_about_spent_run(&mut self) -> bool {
        let Some(reached) = budget::reached(&self.state, None, self.now_ms) else { return false };
        let Some(run) = self.state.run.as_ref().map(|run| run.id.clone()) else { return false };
        // With nothing to do it ends by itself, and nobody has to be asked.
        if queue::ready_tasks(&self.state).next().is_none() {
            return false;
        }
        let question = format!("the budget of the {} is used up: {}; go on?", reached.of.as_str(), reached.words());
        self.raise_budget(None, reached.of, question, None);
        self.emit(Event::RunStopping { run });
        true
    }
}
