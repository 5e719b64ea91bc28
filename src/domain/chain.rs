//! Which agent and model do the next piece of work, and what each way of ending does to that.
//!
//! A chain is a list of links, agents × models, per role. A link is *free*, *cooled* until a time, or has *left* the
//! run. Cooldowns outlive the run; what left comes back with the next one.
//!
//! ```text
//! how the turn ended                the link                                        the task's attempts
//! rate_limited until a time         cooled until then; its agent's other models     none spent
//!                                   too, unless the limit is the model's
//! rate_limited, no time told        cooled by backoff, up to six times the longest  none spent
//! overloaded                        cooled by backoff                               none spent
//! network                           cooled by twice the backoff, and every link     none spent
//!                                   by the backoff of the machine
//! the same, `cycles` in a row       leaves, except for the network                  none spent
//! auth, missing_binary              leaves with its agent                           none spent
//! model_unavailable                 leaves; the agent's other models go on          none spent
//! context_exhausted, timed_out,     works; after two on one task the next link is   one spent
//!   crashed, invalid_output         preferred, after two of each the first again
//! any other verdict on the work     works: its backoff starts over                  as the outcome says
//! attempt_lost, cancelled,          as it was: says nothing of the link             none spent
//!   budget_exceeded, needs_decision
//!   before the agent started
//!
//! what else happens                 the links
//! a cooldown's time has come        free; the failures in a row are still counted
//! a person says retry now           free, cooled and left ones; nothing is counted any more
//! a run starts                      what left is back; cooldowns of agents and models that are configured no more,
//!                                   or as another program or account, are forgotten
//! ```
//!
//! The choice is the first free link of the task's own agent or else of the role. When none is free and one is cooled,
//! the run waits for the earliest; when all have left, a person is asked.

use super::ending::{Ending, Scope};
use super::event::Event;
use super::outcome::{AttemptEnd, Outcome};
use super::settings::{AgentFacts, Link, Retry, RunSettings};
use super::state::{Record, State};
use super::task::Task;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest cooldown that is believed, in milliseconds: limits of a month exist, beyond that somebody misread a time.
const LONGEST: i64 = 32 * 24 * 3_600_000;
/// How much longer than other backoffs that of a limit without an end may become.
const LIMIT_FACTOR: i64 = 6;
/// Turns of one link on one task that end without a verdict on the work, after which the next link is preferred.
const STRIKES: usize = 2;

/// What a cooldown or a leave is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reach {
    /// Every agent of this machine when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Every model of the agent when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Reach {
    /// What the machine itself lacks, such as the network.
    pub fn machine() -> Self {
        Self::default()
    }

    fn agent(link: &Link) -> Self {
        Self { agent: Some(link.agent.clone()), model: None }
    }

    fn link(link: &Link) -> Self {
        Self { agent: Some(link.agent.clone()), model: link.model.clone() }
    }

    fn scoped(link: &Link, scope: Scope) -> Self {
        match scope {
            Scope::Agent => Self::agent(link),
            Scope::Model => Self::link(link),
        }
    }

    /// Tells whether it is about the link.
    pub fn covers(&self, link: &Link) -> bool {
        let agent = self.agent.as_ref().is_none_or(|agent| *agent == link.agent);
        agent && (self.model.is_none() || self.model == link.model)
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.agent, &self.model) {
            (None, _) => f.write_str("the network"),
            (Some(agent), None) => f.write_str(agent),
            (Some(agent), Some(model)) => write!(f, "{agent} ({model})"),
        }
    }
}

/// Why something is not tried before a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// Milliseconds since the Unix epoch.
    pub until_ms: i64,
    pub since_ms: i64,
    /// `rate_limited`, `overloaded` or `network`.
    pub why: Outcome,
    pub detail: String,
}

/// Why something is not tried again in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub why: Outcome,
    pub detail: String,
}

/// What outlives a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Of the set the cooldowns belong to; see [`RunSettings::signature`].
    pub signature: String,
    agents: BTreeMap<String, AgentFacts>,
    pub cooled: BTreeMap<Reach, Cooldown>,
    /// Failures in a row that were waited out by backoff.
    pub tries: BTreeMap<Reach, u32>,
}

impl Chain {
    /// Takes over the configured set of a run that starts. With the same set nothing changes.
    pub(super) fn adopt(&mut self, settings: &RunSettings) {
        let signature = settings.signature();
        if signature == self.signature {
            return;
        }
        let same = |reach: &Reach| {
            let Some(agent) = &reach.agent else { return true };
            let (old, new) = (self.agents.get(agent), settings.agents.get(agent));
            let identity = |facts: Option<&AgentFacts>| facts.map(|facts| facts.identity.clone());
            let model = |model: &String| new.is_some_and(|facts| facts.models.contains(model));
            // Before the first run there is nothing to compare with.
            let same = self.signature.is_empty() || identity(old) == identity(new);
            same && reach.model.as_ref().is_none_or(model)
        };
        let known = |reach: &Reach| {
            let agent = reach.agent.as_ref();
            same(reach)
                && agent.is_none_or(|agent| settings.agents.contains_key(agent) || settings.chain.contains(agent))
        };
        self.cooled =
            self.cooled.iter().filter(|(reach, _)| known(reach)).map(|(r, c)| (r.clone(), c.clone())).collect();
        self.tries = self.tries.iter().filter(|(reach, _)| known(reach)).map(|(r, n)| (r.clone(), *n)).collect();
        self.agents = settings.agents.clone();
        self.signature = signature;
    }

    /// Returns what is cooled and free again by now.
    pub(super) fn due(&self, now_ms: i64) -> Vec<Reach> {
        self.cooled.iter().filter(|(_, cooldown)| cooldown.until_ms <= now_ms).map(|(reach, _)| reach.clone()).collect()
    }

    /// Returns the cooldown that holds the link up longest, or none when it is free.
    fn hold(&self, link: &Link, now_ms: i64) -> Option<(&Reach, &Cooldown)> {
        let holds = |(reach, cooldown): &(&Reach, &Cooldown)| reach.covers(link) && cooldown.until_ms > now_ms;
        self.cooled.iter().filter(holds).max_by_key(|(_, cooldown)| cooldown.until_ms)
    }
}

/// What can be had of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The best link that is free.
    Free(Link),
    /// None is free before a time.
    Wait(Wait),
    /// All have left.
    Exhausted,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub reach: Reach,
    pub cooldown: Cooldown,
}

impl Wait {
    /// Says what is waited for, until when and why, in local time: `waits for claude until 15:04 (rate limited)`.
    pub fn words(&self, utc_offset_seconds: i32) -> String {
        let until = clock(self.cooldown.until_ms, self.cooldown.since_ms, utc_offset_seconds);
        match self.cooldown.why {
            Outcome::Network if self.reach.agent.is_none() => format!("waits for the network until {until}"),
            why => format!("waits for {} until {until} ({})", self.reach, why.words()),
        }
    }
}

/// Returns the local time of day in words, with the day of the week when that is another day than `from_ms`'s.
pub fn clock(at_ms: i64, from_ms: i64, utc_offset_seconds: i32) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let local = |ms: i64| ms.div_euclid(1000) + i64::from(utc_offset_seconds);
    let (at, from) = (local(at_ms), local(from_ms));
    let minutes = at.rem_euclid(86_400) / 60;
    let time = format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let day = at.div_euclid(86_400);
    if day == from.div_euclid(86_400) {
        return time;
    }
    // The epoch was a Thursday.
    let name = usize::try_from(day.rem_euclid(7)).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default();
    format!("{name} {time}")
}

/// Returns how long it takes in words that need no clock: `4 h 12 min`, `12 min`, `45 s`.
pub fn countdown(left_ms: i64) -> String {
    // Rounded up: what has not come yet is never shown as no time at all.
    let seconds = left_ms.max(0).saturating_add(999) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3600 => format!("{} min", (seconds + 59) / 60),
        _ => {
            let minutes = (seconds + 59) / 60;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// Picks the best link at `now_ms`: of those that are free, the one with the fewest strikes, counted in twos, then the
/// first.
pub fn pick(
    chain: &Chain,
    left: &BTreeMap<Reach, Left>,
    links: &[Link],
    strikes: impl Fn(&Link) -> usize,
    now_ms: i64,
) -> Pick {
    let mut best: Option<(usize, &Link)> = None;
    let mut wait: Option<(&Reach, &Cooldown)> = None;
    for link in links.iter().filter(|link| !left.keys().any(|reach| reach.covers(link))) {
        match chain.hold(link, now_ms) {
            None => {
                let rank = strikes(link) / STRIKES;
                if best.is_none_or(|(other, _)| rank < other) {
                    best = Some((rank, link));
                }
            }
            Some(held) if wait.is_none_or(|(_, earliest)| held.1.until_ms < earliest.until_ms) => wait = Some(held),
            Some(_) => {}
        }
    }
    match (best, wait) {
        (Some((_, link)), _) => Pick::Free(link.clone()),
        (None, Some((reach, cooldown))) => Pick::Wait(Wait { reach: reach.clone(), cooldown: cooldown.clone() }),
        (None, None) => Pick::Exhausted,
    }
}

/// Picks the link that does the task in the run that is on; exhausted when none is on.
///
/// With `now_ms` of `i64::MIN` a cooldown counts until the event that ends it, so that the answer depends on the state
/// alone.
pub fn pick_for_task(state: &State, task: &Task, now_ms: i64) -> Pick {
    let Some(run) = &state.run else { return Pick::Exhausted };
    let record = state.record(&task.id);
    let links = links_for(&run.settings, task, record.is_some_and(|record| record.rebase));
    pick(&state.chain, &run.left, &links, |link| record.map_or(0, |record| strikes(record, link)), now_ms)
}

/// Picks the link for a turn of another role, such as `planner` or `reviewer`, of a run with these settings.
pub fn pick_for_role(state: &State, settings: &RunSettings, role: &str, now_ms: i64) -> Pick {
    let none = BTreeMap::new();
    let left = state.run.as_ref().map_or(&none, |run| &run.left);
    pick(&state.chain, left, &settings.links(role), |_| 0, now_ms)
}

/// Returns the links that may do the task: those of its own agent, or of the implementer's chain; where a proposal is to
/// be put onto another text (`rebase`), of the fixer's.
pub fn links_for(settings: &RunSettings, task: &Task, rebase: bool) -> Vec<Link> {
    match &task.agent {
        Some(own) => settings.links_of(own),
        None if rebase => settings.links(super::settings::FIXER),
        None => settings.links(super::settings::IMPLEMENTER),
    }
}

/// Returns what the task waits for in the run that is on; none when a link is free, or all have left.
pub fn wait_of(state: &State, task: &Task) -> Option<Wait> {
    // The common case costs nothing.
    if state.chain.cooled.is_empty() {
        return None;
    }
    match pick_for_task(state, task, i64::MIN) {
        Pick::Wait(wait) => Some(wait),
        Pick::Free(_) | Pick::Exhausted => None,
    }
}

/// Returns what the run that is on waits for: with nothing on and tasks ready, the earliest time at which one of them
/// can be claimed.
pub fn run_waits(state: &State) -> Option<Wait> {
    let idle = state.run.as_ref().is_some_and(|run| run.active.is_none() && !run.paused && !run.stopping);
    if !idle || state.chain.cooled.is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    let tasks = super::queue::ready_tasks(state).filter_map(|id| state.tasks.get(id));
    let rebases = |task: &Task| state.record(&task.id).is_some_and(|record| record.rebase);
    let first_of_agent = tasks.filter(|task| seen.insert((task.agent.as_deref(), rebases(task))));
    first_of_agent.filter_map(|task| wait_of(state, task)).min_by_key(|wait| wait.cooldown.until_ms)
}

/// Counts the turns of the link in this round of the task that ended without a verdict on the work.
fn strikes(record: &Record, link: &Link) -> usize {
    let of_link = record.attempts.iter().skip(record.round_start);
    let of_link = of_link.filter(|attempt| attempt.agent == link.agent && attempt.model == link.model);
    of_link.filter(|attempt| attempt.end.as_ref().is_some_and(|end| is_strike(end.outcome))).count()
}

fn is_strike(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::ContextExhausted | Outcome::TimedOut | Outcome::Crashed | Outcome::InvalidOutput)
}

/// One turn that ended, as far as the chain is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub link: Link,
    /// How it ended for the chain; none when that says nothing of the link.
    pub outcome: Option<Outcome>,
    pub until_ms: Option<i64>,
    pub scope: Scope,
    pub detail: String,
    /// Spreads the waits of those who failed together.
    pub seed: u64,
}

impl Turn {
    /// Reads the end of an attempt. What the agent's own program says comes first: a limit that was reached after a
    /// claim is a limit all the same.
    pub fn of_attempt(link: Link, end: &AttemptEnd, agent_started: bool, seed: u64) -> Self {
        let heard = end.ending.as_ref().filter(|ending| ending.failure.is_some_and(is_of_chain));
        if let Some(ending) = heard {
            return Self::of_ending(link, ending, seed);
        }
        let outcome = end.otherwise.unwrap_or(end.outcome);
        let says_nothing = matches!(outcome, Outcome::AttemptLost | Outcome::Cancelled | Outcome::BudgetExceeded);
        let (until_ms, scope) = end.ending.as_ref().map_or_else(Default::default, |it| (it.until_ms, it.scope));
        let outcome = Some(outcome).filter(|_| !says_nothing && (agent_started || is_of_chain(outcome)));
        Self { link, outcome, until_ms, scope, detail: end.detail.clone(), seed }
    }

    /// Reads the end of a turn that belongs to no attempt.
    pub fn of_ending(link: Link, ending: &Ending, seed: u64) -> Self {
        // A regular end shows that the link works.
        let outcome = ending.failure.unwrap_or(Outcome::Verified);
        let says_nothing = matches!(outcome, Outcome::Cancelled | Outcome::BudgetExceeded);
        Self {
            link,
            outcome: (!says_nothing).then_some(outcome),
            until_ms: ending.until_ms,
            scope: ending.scope,
            detail: ending.detail.clone(),
            seed,
        }
    }
}

/// Tells whether the outcome is about the agent or the machine rather than about the work.
pub fn is_of_chain(outcome: Outcome) -> bool {
    passes(outcome) || leaves(outcome)
}

/// Tells whether the outcome passes by itself.
fn passes(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::RateLimited | Outcome::Overloaded | Outcome::Network)
}

fn leaves(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Auth | Outcome::ModelUnavailable | Outcome::MissingBinary)
}

/// What the end of a turn does to the links.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It works: nothing is counted against these any more.
    Frees(BTreeSet<Reach>),
    /// These rest; with each the time and the failures in a row, 0 when the time was told.
    Cools(Vec<(Reach, i64, u32)>),
    Leaves(Reach),
    Nothing,
}

/// Says what the end of a turn does to the links; the table is on top of this file.
pub fn step(chain: &Chain, retry: &Retry, turn: &Turn, now_ms: i64) -> Step {
    let Some(outcome) = turn.outcome else { return Step::Nothing };
    let link = &turn.link;
    match outcome {
        Outcome::RateLimited | Outcome::Overloaded => {
            let reach = Reach::scoped(link, turn.scope);
            let told = turn.until_ms.filter(|until| *until > now_ms && outcome == Outcome::RateLimited);
            if let Some(until) = told {
                return Step::Cools(vec![(reach, until.min(now_ms.saturating_add(LONGEST)), 0)]);
            }
            let tries = chain.tries.get(&reach).copied().unwrap_or(0).saturating_add(1);
            if tries >= retry.cycles.max(1) {
                return Step::Leaves(reach);
            }
            let factor = if outcome == Outcome::RateLimited { LIMIT_FACTOR } else { 1 };
            let wait = backoff(retry, tries, retry.max_ms.saturating_mul(factor), turn.seed);
            Step::Cools(vec![(reach, now_ms.saturating_add(wait), tries)])
        }
        Outcome::Network => {
            // Twice as long for the agent itself: if only its own endpoint is away, others are tried meanwhile.
            let own = Reach::agent(link);
            let cooled = [(Reach::machine(), 1), (own, 2)].map(|(reach, factor)| {
                let tries = chain.tries.get(&reach).copied().unwrap_or(0).saturating_add(1);
                let wait = backoff(retry, tries, retry.max_ms, turn.seed).saturating_mul(factor);
                (reach, now_ms.saturating_add(wait), tries)
            });
            Step::Cools(cooled.into())
        }
        Outcome::Auth | Outcome::MissingBinary => Step::Leaves(Reach::agent(link)),
        Outcome::ModelUnavailable => Step::Leaves(Reach::link(link)),
        _ => {
            // What rests was found out by another turn meanwhile, and stays.
            let counted = chain.tries.keys().filter(|reach| !chain.cooled.contains_key(*reach));
            let frees: BTreeSet<Reach> = counted.filter(|reach| reach.covers(link)).cloned().collect();
            if frees.is_empty() { Step::Nothing } else { Step::Frees(frees) }
        }
    }
}

/// Returns how long to wait after the `tries`-th failure in a row, in milliseconds: at least three quarters of
/// `min(max, delay × multiplier^(tries - 1))`, at most all of it, by the seed.
pub fn backoff(retry: &Retry, tries: u32, max_ms: i64, seed: u64) -> i64 {
    let power = i64::from(retry.multiplier.max(1)).saturating_pow(tries.saturating_sub(1));
    let whole = retry.delay_ms.max(1).saturating_mul(power).min(max_ms).max(1);
    let part = i64::try_from(seed % 1024).unwrap_or(0);
    whole - (whole / 4).saturating_mul(part) / 1024
}

/// Returns a seed from something that is the same when it happens again.
pub fn seed(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// Returns what a person can do about something that left.
pub fn fix(reach: &Reach, why: Outcome) -> String {
    let agent = reach.agent.as_deref().unwrap_or("it");
    match (why, &reach.model) {
        (Outcome::Auth, _) => format!("log in to `{agent}` again, or give it a key that is valid"),
        (Outcome::MissingBinary, _) => format!("install `{agent}`, or mend its `command` in `.ralph/config.json`"),
        (Outcome::ModelUnavailable, Some(model)) => format!("take `{model}` out of `models` of `{agent}`"),
        (Outcome::ModelUnavailable, None) => format!("name a model in `models` of `{agent}` that it has"),
        _ => format!("look whether `{agent}` answers, or add another agent to the chain"),
    }
}

impl State {
    /// Folds what changes the chain.
    pub(super) fn apply_chain(&mut self, event: &Event) {
        match event {
            Event::LinkCooled { reach, until_ms, tries, why, detail, at_ms } => {
                let cooldown = Cooldown { until_ms: *until_ms, since_ms: *at_ms, why: *why, detail: detail.clone() };
                self.chain.cooled.insert(reach.clone(), cooldown);
                if *tries > 0 {
                    self.chain.tries.insert(reach.clone(), *tries);
                }
            }
            Event::LinkFreed { reach, forgotten } => {
                self.chain.cooled.remove(reach);
                if *forgotten {
                    self.chain.tries.remove(reach);
                    if let Some(run) = &mut self.run {
                        run.left.remove(reach);
                    }
                }
            }
            Event::LinkLeft { reach, why, detail, .. } => self.leave(reach.clone(), *why, detail),
            Event::AgentLeft { agent, detail, .. } => {
                let reach = Reach { agent: Some(agent.clone()), model: None };
                self.leave(reach, Outcome::MissingBinary, detail);
            }
            _ => {}
        }
    }

    fn leave(&mut self, reach: Reach, why: Outcome, detail: &str) {
        self.chain.cooled.remove(&reach);
        self.chain.tries.remove(&reach);
        if let Some(run) = &mut self.run {
            run.left.insert(reach, Left { why, detail: detail.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
