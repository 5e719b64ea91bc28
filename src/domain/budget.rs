//! What was used of tokens and money, and what may still be: per attempt, task, run and day. Wall time is counted where
//! it passes.

use super::ending::Usage;
use super::event::AttemptId;
use super::settings::{Allowance, Budgets};
use super::state::State;
use super::task::TaskId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a budget is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    Attempt,
    Task,
    Run,
    Day,
}

impl BudgetOf {
    /// Returns the word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Task => "task",
            Self::Run => "run",
            Self::Day => "day",
        }
    }
}

/// What was used on each day, and how often a day's budget was raised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Days {
    /// By local day since the epoch.
    pub used: BTreeMap<i64, Usage>,
    pub raised: BTreeMap<i64, u32>,
    /// How far local time is ahead of UTC, in seconds, as the last run found it.
    pub utc_offset_seconds: i32,
}

impl Days {
    /// Returns the local day of a time in milliseconds since the epoch.
    pub fn day_of(&self, at_ms: i64) -> i64 {
        at_ms.div_euclid(1000).saturating_add(i64::from(self.utc_offset_seconds)).div_euclid(86_400)
    }

    pub(super) fn add(&mut self, at_ms: i64, usage: &Usage) {
        let day = self.day_of(at_ms);
        self.used.entry(day).or_default().add(usage);
    }

    /// Returns what was used on the day of a time.
    pub fn used_on(&self, at_ms: i64) -> Usage {
        self.used.get(&self.day_of(at_ms)).copied().unwrap_or_default()
    }
}

/// A budget that is used up.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    pub of: BudgetOf,
    pub used: Usage,
    pub allowed: Allowance,
}

impl Reached {
    /// Tells whether nothing of it is left.
    pub fn is_used_up(&self) -> bool {
        is_used_up(&self.used, self.allowed)
    }

    /// Returns what is left of it.
    pub fn rest(&self) -> Allowance {
        rest(&self.used, self.allowed)
    }

    /// Says what was used of what was allowed.
    pub fn words(&self) -> String {
        let tokens = self.allowed.tokens.filter(|allowed| self.used.tokens() >= *allowed);
        let mut parts: Vec<String> =
            tokens.iter().map(|allowed| format!("{} of {allowed} tokens", self.used.tokens())).collect();
        let spent = self.used.usd.unwrap_or(0.0);
        let spend = self.allowed.usd.filter(|allowed| spent >= *allowed);
        parts.extend(spend.map(|allowed| format!("{} of {}", money(spent), money(allowed))));
        parts.join(" and ")
    }
}

fn times(allowance: Allowance, raised: u32) -> Allowance {
    let factor = raised.saturating_add(1);
    Allowance {
        tokens: allowance.tokens.map(|tokens| tokens.saturating_mul(u64::from(factor))),
        usd: allowance.usd.map(|usd| usd * f64::from(factor)),
    }
}

fn is_used_up(used: &Usage, allowed: Allowance) -> bool {
    allowed.tokens.is_some_and(|allowed| used.tokens() >= allowed)
        || allowed.usd.is_some_and(|allowed| used.usd.unwrap_or(0.0) >= allowed)
}

fn rest(used: &Usage, allowed: Allowance) -> Allowance {
    Allowance {
        tokens: allowed.tokens.map(|allowed| allowed.saturating_sub(used.tokens())),
        usd: allowed.usd.map(|allowed| (allowed - used.usd.unwrap_or(0.0)).max(0.0)),
    }
}

/// Returns the smaller of each bound.
pub fn smaller(one: Allowance, other: Allowance) -> Allowance {
    let usd = [one.usd, other.usd].into_iter().flatten().reduce(f64::min);
    Allowance { tokens: [one.tokens, other.tokens].into_iter().flatten().min(), usd }
}

/// Returns what is allowed and used of every budget that counts for the task, or for a turn that belongs to no task.
fn counted(state: &State, task: Option<&TaskId>, now_ms: i64) -> Vec<Reached> {
    let Some(run) = &state.run else { return Vec::new() };
    let budgets = &run.settings.budgets;
    let mut counted =
        vec![of_day(state, budgets, now_ms), Reached { of: BudgetOf::Run, used: run.used, allowed: budgets.run }];
    if let Some(id) = task {
        let record = state.record(id);
        let own = state.tasks.get(id).map(|task| &task.limits);
        let allowed = Allowance {
            tokens: own.and_then(|limits| limits.tokens).or(budgets.task.tokens),
            usd: own.and_then(|limits| limits.usd).or(budgets.task.usd),
        };
        let (used, raised) = record.map(|record| (record.used, record.raised)).unwrap_or_default();
        counted.push(Reached { of: BudgetOf::Task, used, allowed: times(allowed, raised) });
    }
    counted
}

/// Returns what the next turn on the task, or of another role without one, may use: the smallest rest of all budgets
/// of the run that is on. Wall time is not among it.
pub fn remaining(state: &State, task: Option<&TaskId>, now_ms: i64) -> Allowance {
    let Some(run) = &state.run else { return Allowance::default() };
    let rests = counted(state, task, now_ms).into_iter().map(|budget| rest(&budget.used, budget.allowed));
    rests.fold(run.settings.budgets.attempt, smaller)
}

/// Returns the widest budget that is used up, so that nothing may be started on the task; with none, whatever the task.
pub fn reached(state: &State, task: Option<&TaskId>, now_ms: i64) -> Option<Reached> {
    counted(state, task, now_ms).into_iter().find(|budget| is_used_up(&budget.used, budget.allowed))
}

/// Returns what was used of the day's budget, which counts without a run as well; `budgets` are those in force.
pub fn of_day(state: &State, budgets: &Budgets, now_ms: i64) -> Reached {
    let raised = state.days.raised.get(&state.days.day_of(now_ms)).copied().unwrap_or(0);
    Reached { of: BudgetOf::Day, used: state.days.used_on(now_ms), allowed: times(budgets.day, raised) }
}

/// Returns what the attempt used of its own budget.
pub fn of_attempt(state: &State, attempt: &AttemptId) -> Reached {
    let ending = state.attempt(attempt).and_then(|attempt| attempt.end.as_ref()?.ending.as_ref());
    let allowed = state.run.as_ref().map(|run| run.settings.budgets.attempt).unwrap_or_default();
    Reached { of: BudgetOf::Attempt, used: ending.map(|ending| ending.usage).unwrap_or_default(), allowed }
}

/// Returns an amount in US dollars: `$1.20`, and below a cent `$0.0019`, so that something never reads as nothing.
pub fn money(usd: f64) -> String {
    if usd > 0.0 && usd < 0.01 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

/// Returns what was used in words: `$1.20, 34k tokens`; empty when nothing is known.
pub fn words(usage: &Usage) -> String {
    let mut parts: Vec<String> = usage.usd.iter().map(|usd| money(*usd)).collect();
    match usage.tokens() {
        0 => {}
        few @ 1..10_000 => parts.push(format!("{few} tokens")),
        some @ 10_000..10_000_000 => parts.push(format!("{}k tokens", some / 1000)),
        many => parts.push(format!("{}M tokens", many / 1_000_000)),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_below_a_cent_are_not_nothing() {
        for (usd, words) in [(0.0, "$0.00"), (0.0019, "$0.0019"), (0.01, "$0.01"), (1.2, "$1.20"), (12.5, "$12.50")] {
            assert_eq!(money(usd), words);
        }
        let used = Usage { usd: Some(0.0016), ..Usage::default() };
        assert_eq!(words(&used), "$0.0016");
    }
}
