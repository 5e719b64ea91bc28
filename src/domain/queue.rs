//! What can run: the live state of each task, why it does not run, and which task is next.

use super::chain::{self, Pick};
use super::decision::{DecisionId, OptionEffect};
use super::event::StandsOn;
use super::settings::Link;
use super::state::{Part, Record, State, effective_status};
use super::task::{Status, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What is happening to a task; shown beside the file, never written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    Draft,
    Done,
    Dropped,
    /// On dependencies, a watch, a time.
    Waiting,
    Ready,
    Running,
    /// Needs a person.
    Blocked,
    /// A proposal waits.
    Review,
    /// Built on something that was rejected or sent back since.
    Stale,
}

impl LiveState {
    /// Returns the public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Done => "done",
            Self::Dropped => "dropped",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Review => "review",
            Self::Stale => "stale",
        }
    }
}

/// A live state and the one sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub state: LiveState,
    /// Why it does not run, or what waits; a whole sentence without a full stop.
    pub why: String,
}

fn live(state: LiveState, why: impl Into<String>) -> Live {
    Live { state, why: why.into() }
}

/// Returns the live state of the task, or none when the queue does not name it.
pub fn live_state(state: &State, id: &TaskId) -> Option<Live> {
    let found = live_but_for_rest(state, id)?;
    let wait = Some(())
        .filter(|()| found.state == LiveState::Ready)
        .and_then(|()| chain::wait_of(state, state.tasks.get(id)?));
    let offset = state.run.as_ref().map_or(0, |run| run.settings.utc_offset_seconds);
    Some(wait.map_or(found, |wait| live(LiveState::Waiting, wait.words(offset))))
}

/// Returns the live state the task would have if no agent rested.
fn live_but_for_rest(state: &State, id: &TaskId) -> Option<Live> {
    let task = state.tasks.get(id)?;
    let record = state.record(id);
    if let Some(attempt) = record.and_then(|record| record.active()) {
        let link = Link { agent: attempt.agent.clone(), model: attempt.model.clone() };
        return Some(live(LiveState::Running, format!("attempt {} is on with {link}", attempt.number)));
    }
    match effective_status(task, record) {
        Status::Done => return Some(live(LiveState::Done, "accepted")),
        Status::Dropped => return Some(live(LiveState::Dropped, "it was dropped")),
        Status::Draft => return Some(live(LiveState::Draft, "it is not approved yet")),
        Status::Todo => {}
    }
    if let Some(decision) = state.decisions_of(id).find(|decision| decision.is_open()) {
        return Some(live(LiveState::Blocked, format!("it needs an answer to {}: {}", decision.id, decision.question)));
    }
    if let Some(proposal) = record.and_then(|record| record.proposal.as_ref()) {
        return Some(match &proposal.stale {
            Some(because) => live(LiveState::Stale, format!("it stands on `{because}`, which has changed since")),
            None => {
                let pending = proposal.hunks.iter().filter(|hunk| !proposal.marks.contains_key(&hunk.id)).count();
                let words = match (&proposal.part, proposal.hunks.len()) {
                    _ if proposal.part_waits() => "accepted part not verified: its checks are still to pass".to_owned(),
                    (Part::Failed(detail), _) if proposal.part_kept => {
                        format!("accepted part fails: {}", detail.lines().next().unwrap_or_default())
                    }
                    (_, 1) if pending == 1 => "1 hunk waits for review".to_owned(),
                    (_, all) => format!("{pending} of {all} hunks wait for review"),
                };
                live(LiveState::Review, words)
            }
        });
    }
    if let Some((decision, does)) = put_aside(state, id) {
        let words = match does {
            OptionEffect::Drop => format!("it is being dropped by the answer to {decision}"),
            _ => format!("it was parked by the answer to {decision}; retry it to go on"),
        };
        return Some(live(LiveState::Blocked, words));
    }
    if let Some(why) = waits_on(state, task) {
        return Some(live(LiveState::Waiting, why));
    }
    let untrusted = untrusted_commands(state, task);
    if let Some(command) = untrusted.first() {
        return Some(live(
            LiveState::Blocked,
            format!("its command `{command}` is not trusted here; run `ralph-sidecar trust`"),
        ));
    }
    if let Some(gate) = state.index.gates.iter().find_map(|at| state.decisions.get(*at)) {
        return Some(live(
            LiveState::Blocked,
            format!("nothing can be checked before {} is answered: {}", gate.id, gate.question),
        ));
    }
    if let Some(why) = without_agent(state, task) {
        return Some(live(LiveState::Blocked, why));
    }
    Some(live(LiveState::Ready, "it is ready to run"))
}

/// Tells whether the run that is on has an agent for the task, one that rests included.
pub fn has_agent(state: &State, task: &Task) -> bool {
    let Some(run) = &state.run else { return false };
    // Asked for every task of a queue, so the common case must cost nothing.
    let nobody_left = run.left.is_empty() && (task.agent.is_some() || !run.settings.chain.is_empty());
    nobody_left || chain::pick_for_task(state, task, i64::MIN) != Pick::Exhausted
}

/// Returns the sentence that says that no agent is left for the task in the run that is on, or none.
fn without_agent(state: &State, task: &Task) -> Option<String> {
    let run = state.run.as_ref().filter(|_| !has_agent(state, task))?;
    Some(match &task.agent {
        Some(own) => {
            let about = run.left.iter().find(|(reach, _)| reach.agent.as_ref() == Some(own));
            let why = about.map(|(_, left)| left.detail.as_str()).unwrap_or_default();
            format!("its agent `{own}` has left this run: {why}")
        }
        None => "no agent is left in this run".to_owned(),
    })
}

/// Returns the decision whose answer parked or dropped the task, unless it was queued again since.
pub(super) fn put_aside(state: &State, id: &TaskId) -> Option<(DecisionId, OptionEffect)> {
    let record = state.record(id)?;
    let since = record.decisions.iter().skip(record.asked_before).filter_map(|at| state.decisions.get(*at));
    let last = since.rev().find(|decision| !decision.withdrawn)?;
    let does = last.option(last.answer.as_ref()?.option.as_deref()?)?.does;
    matches!(does, OptionEffect::Park | OptionEffect::Drop).then(|| (last.id.clone(), does))
}

/// Returns the task's own command strings that nobody trusts yet, in order.
pub fn untrusted_commands(state: &State, task: &Task) -> Vec<String> {
    let untrusted = task.verify.iter().filter(|command| !state.trusted.contains(&command.run));
    untrusted.map(|command| command.run.clone()).collect()
}

/// Returns the first dependency that holds the task up, or none.
fn unmet<'a>(state: &State, task: &'a Task) -> Option<&'a TaskId> {
    let each = state.run.as_ref().is_some_and(|run| run.settings.review_each);
    task.depends_on.iter().find(|dependency| {
        let Some(other) = state.tasks.get(*dependency) else { return true };
        let record = state.record(dependency);
        match effective_status(other, record) {
            Status::Done => false,
            Status::Dropped | Status::Draft => true,
            Status::Todo => each || record.is_none_or(|record| record.active().is_some() || !has_usable_result(record)),
        }
    })
}

/// Tells whether dependents may start from the task's proposal.
pub(super) fn has_usable_result(record: &Record) -> bool {
    // A rejected hunk means that the result is not what the dependent would stand on.
    record.proposal.as_ref().is_some_and(|proposal| proposal.stale.is_none() && proposal.rejected().is_empty())
}

/// Returns the sentence that says which dependency holds the task up, or none.
fn waits_on(state: &State, task: &Task) -> Option<String> {
    let dependency = unmet(state, task)?;
    let Some(other) = state.tasks.get(dependency) else {
        return Some(format!("it depends on `{dependency}`, which is not in the queue"));
    };
    if let Some(cycle) = cycle_of(state, &task.id) {
        let names: Vec<_> = cycle.iter().map(|id| format!("`{id}`")).collect();
        return Some(format!("its dependencies form a cycle: {}", names.join(" → ")));
    }
    Some(match effective_status(other, state.record(dependency)) {
        Status::Dropped => format!("it depends on `{dependency}`, which was dropped"),
        Status::Draft => format!("it waits for `{dependency}`, which is not approved yet"),
        _ if state.record(dependency).is_some_and(has_usable_result) => {
            format!("it waits for the review of `{dependency}`")
        }
        _ => format!("it waits for `{dependency}`"),
    })
}

/// Tells whether the task can be claimed as soon as an agent is free.
pub(super) fn is_ready(state: &State, task: &Task) -> bool {
    effective_status(task, state.record(&task.id)) == Status::Todo
        && unmet(state, task).is_none()
        && live_but_for_rest(state, &task.id).is_some_and(|live| live.state == LiveState::Ready)
}

/// Returns the members of the dependency cycle the task is in or leads into, in order, the first repeated at the end.
pub fn cycle_of(state: &State, start: &TaskId) -> Option<Vec<TaskId>> {
    if !state.index.tangled.contains(start) {
        return None;
    }
    // Depth first with an explicit stack: a chain of 10,000 tasks must not overflow the real one.
    let mut finished: HashSet<&TaskId> = HashSet::new();
    let mut path: Vec<&TaskId> = Vec::new();
    let mut on_path: HashSet<&TaskId> = HashSet::new();
    let mut stack: Vec<(&TaskId, bool)> = vec![(state.tasks.get_key_value(start)?.0, false)];
    while let Some((id, leaving)) = stack.pop() {
        if leaving {
            path.pop();
            on_path.remove(id);
            finished.insert(id);
            continue;
        }
        if on_path.contains(id)
            && let Some(at) = path.iter().position(|member| *member == id)
        {
            let mut cycle: Vec<TaskId> = path[at..].iter().map(|id| (*id).clone()).collect();
            cycle.push(id.clone());
            return Some(cycle);
        }
        let Some(task) = state.tasks.get(id) else { continue };
        // What is done holds nobody up, so a cycle through it does not matter.
        if finished.contains(id) || effective_status(task, state.record(id)) == Status::Done {
            continue;
        }
        path.push(id);
        on_path.insert(id);
        stack.push((id, true));
        stack.extend(task.depends_on.iter().map(|dependency| (dependency, false)));
    }
    None
}

/// Returns the dependencies of the task, direct and indirect, whose proposals still wait, in an order to fold them in.
pub fn to_fold(state: &State, id: &TaskId) -> Vec<StandsOn> {
    let mut seen = HashSet::new();
    let mut folded = Vec::new();
    let mut stack = vec![(id.clone(), false)];
    while let Some((current, leaving)) = stack.pop() {
        if leaving {
            let dropped = state.tasks.get(&current).is_some_and(|task| task.status == Status::Dropped);
            let record = state.record(&current).filter(|record| !record.done && !dropped);
            if let Some(proposal) = record.and_then(|record| record.proposal.as_ref())
                && current != *id
            {
                folded.push(StandsOn { task: current, attempt: proposal.attempt, head: proposal.head.clone() });
            }
            continue;
        }
        if !seen.insert(current.clone()) {
            continue;
        }
        stack.push((current.clone(), true));
        if let Some(task) = state.tasks.get(&current) {
            stack.extend(task.depends_on.iter().rev().map(|dependency| (dependency.clone(), false)));
        }
    }
    folded
}

/// Returns the tasks the run is about: those it was started for and what they depend on; none when all are.
pub fn wanted(state: &State) -> Option<HashSet<&TaskId>> {
    let only = state.run.as_ref().map(|run| &run.only).filter(|only| !only.is_empty())?;
    let mut wanted: HashSet<&TaskId> = only.iter().collect();
    let mut stack: Vec<&TaskId> = only.iter().collect();
    // Asking for a task asks for what it depends on.
    while let Some(id) = stack.pop() {
        let needs = state.tasks.get(id).map(|task| task.depends_on.as_slice()).unwrap_or_default();
        stack.extend(needs.iter().filter(|dependency| wanted.insert(dependency)));
    }
    Some(wanted)
}

/// Returns the tasks that can be claimed as soon as an agent is free, the next one first: by priority, then by how many
/// tasks it unblocks, then by file order.
pub fn ready_tasks(state: &State) -> impl Iterator<Item = &TaskId> {
    let wanted = wanted(state);
    let ready = state.index.ready.iter().map(|(_, _, _, id)| id);
    ready.filter(move |id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)))
}

/// Returns the first of [`ready_tasks`].
pub fn next_task(state: &State) -> Option<TaskId> {
    ready_tasks(state).next().cloned()
}

/// Returns the tasks whose proposals stand on the given task's, direct or not, in file order.
pub fn standing_on(state: &State, id: &TaskId) -> Vec<TaskId> {
    let stands = |candidate: &&TaskId| {
        let proposal = state.record(candidate).and_then(|record| record.proposal.as_ref());
        proposal.is_some_and(|proposal| proposal.stands_on.iter().any(|on| on.task == *id))
    };
    state.order.iter().filter(stands).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reduce::testing::Loop;

    /// Returns the order in which the tasks of the queue are claimed when each is verified at once.
    fn claimed(tasks: &str, start: &str) -> String {
        let mut it = Loop::new(tasks);
        it.play(start);
        let mut order = Vec::new();
        while let Some(attempt) = it.active() {
            order.push(attempt.task.0);
            it.play("end verified");
        }
        order.join(" ")
    }

    #[test]
    fn next_is_by_priority_then_by_what_it_unblocks_then_by_file_order() {
        let rows = [
            ("a b c", "start", "a b c"),
            ("a b!high c!critical d!low", "start", "c b a d"),
            ("a b c:b", "start", "b a c"),
            ("a b c:a d:b e:b", "start", "b a c d e"),
            // Done and dropped tasks are unblocked by nobody.
            ("a b c:b?done d:b?dropped", "start", "a b"),
            ("a!low b:a!critical", "start", "a b"),
            ("a b c", "start c b", "b c"),
            ("a b:a c", "start b", "a b"),
            ("a?draft b c?dropped d?done", "start", "b"),
            ("a:b b:a c", "start", "c"),
        ];
        for (tasks, start, expected) in rows {
            assert_eq!(claimed(tasks, start), expected, "{tasks}, {start}");
        }
    }

    #[test]
    fn why_is_one_sentence() {
        let rows = [
            ("a", "", "a: it is ready to run"),
            ("a?draft", "", "a: it is not approved yet"),
            ("a?done", "", "a: accepted"),
            ("a?dropped", "", "a: it was dropped"),
            ("a:b b", "", "a: it waits for `b`"),
            ("a:b b?draft", "", "a: it waits for `b`, which is not approved yet"),
            ("a:b b?dropped", "", "a: it depends on `b`, which was dropped"),
            ("a:zz", "", "a: it depends on `zz`, which is not in the queue"),
            ("a:b b:a", "", "a: its dependencies form a cycle: `a` → `b` → `a`"),
            ("a:a", "", "a: its dependencies form a cycle: `a` → `a`"),
            ("a:b b:c c:b", "", "a: its dependencies form a cycle: `b` → `c` → `b`"),
            ("a$make", "", "a: its command `make` is not trusted here; run `ralph-sidecar trust`"),
            ("a", "start", "a: attempt 1 is on with one"),
            ("a", "start; end verified", "a: 2 of 2 hunks wait for review"),
            ("a", "start; end verified; accept a h1", "a: 1 of 2 hunks wait for review"),
            ("a", "start; end needs_decision", "a: it needs an answer to d1: which?"),
            (
                "a%1",
                "start; end crashed; answer d1 Leave it",
                "a: it was parked by the answer to d1; retry it to go on",
            ),
            ("a%1", "start; end crashed; answer d1 Drop it", "a: it is being dropped by the answer to d1"),
            (
                "b a:b",
                "start; end verified; end verified; union; reject b",
                "a: it stands on `b`, which has changed since",
            ),
            ("b a", "start b; pause; end missing_binary", "a: no agent is left in this run"),
            (
                "b a",
                "start; end needs_decision red=lint",
                "a: nothing can be checked before d1 is answered: the check `lint` fails before anything is changed",
            ),
        ];
        for (tasks, script, expected) in rows {
            let mut it = Loop::new(tasks);
            let why = live_state(&it.play(script).state, &"a".into()).expect("it is in the queue").why;
            assert_eq!(format!("a: {why}"), expected, "{tasks}, {script}");
        }
    }

    #[test]
    fn waiting_for_each_review_is_said() {
        let mut it = Loop::new("b a:b");
        it.settings.review_each = true;
        it.play("start; pause; end verified");
        let live = live_state(&it.state, &"a".into()).expect("it is in the queue");
        assert_eq!((live.state, live.why.as_str()), (LiveState::Waiting, "it waits for the review of `b`"));
    }

    #[test]
    fn a_long_chain_and_a_cycle_behind_it_are_walked() {
        let chain: Vec<String> = (0..10_000).map(|number| format!("t{number}:t{}", number + 1)).collect();
        let mut it = Loop::new(&format!("{} t10000:t9999", chain.join(" ")));
        let cycle = cycle_of(&it.state, &"t0".into()).expect("there is a cycle");
        assert_eq!(cycle.len(), 3);
        it.play(&format!("queue {} t10000", chain.join(" ")));
        assert_eq!(cycle_of(&it.state, &"t0".into()), None);
        assert_eq!(next_task(&it.state), Some("t10000".into()));
    }

    #[test]
    fn what_is_folded_in_comes_in_the_order_of_the_dependencies() {
        let mut it = Loop::new("a b:a c:b,a");
        it.play("start; end verified; end verified");
        let folded: Vec<String> = to_fold(&it.state, &"c".into()).into_iter().map(|on| on.task.0).collect();
        assert_eq!(folded, ["a", "b"]);
        it.play("accept a; found a");
        let folded: Vec<String> = to_fold(&it.state, &"c".into()).into_iter().map(|on| on.task.0).collect();
        assert_eq!(folded, ["b"], "what is accepted is in the checkout");
    }
}
