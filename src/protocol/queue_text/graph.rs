//! Problems between entries: repeated ids, dependencies and goals that do not exist, cycles.

use super::read::problem;
use super::{Problem, ProblemCode, QueueText, Severity};
use std::collections::{HashMap, HashSet, VecDeque};

/// Unknown ids for which the nearest known one is searched; the rest get no suggestion, so that a broken file of ten
/// thousand tasks stays cheap.
const MAX_SUGGESTIONS: usize = 20;

/// Members of a cycle that are named in full.
const MAX_NAMED: usize = 12;

/// Adds the problems; with `complete` false (broken text) what merely seems missing is not reported.
pub(super) fn check(queue: &mut QueueText, complete: bool) {
    let mut problems = duplicate_ids(queue);
    let ids: HashMap<&str, usize> = first_of_each(queue);
    if complete {
        problems.extend(unknown_dependencies(queue, &ids));
        problems.extend(unknown_goals(queue));
    }
    problems.extend(cycles(queue, &ids));
    let repeated: Vec<usize> = (0..queue.tasks.len())
        .filter(|index| queue.tasks[*index].id.as_deref().is_some_and(|id| ids.get(id) != Some(index)))
        .collect();
    for index in repeated {
        queue.tasks[index].task = None;
    }
    queue.problems.extend(problems);
}

fn first_of_each(queue: &QueueText) -> HashMap<&str, usize> {
    let mut ids = HashMap::new();
    for (index, task) in queue.tasks.iter().enumerate() {
        if let Some(id) = task.id.as_deref().filter(|id| !id.trim().is_empty()) {
            ids.entry(id).or_insert(index);
        }
    }
    ids
}

fn duplicate_ids(queue: &mut QueueText) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ids = first_of_each(queue);
    for (index, task) in queue.tasks.iter().enumerate() {
        let Some(id) = task.id.as_deref() else { continue };
        if let Some(first) = ids.get(id).filter(|first| **first != index) {
            let message = format!("task `{id}` is left out: another task has this id");
            let mut found = problem(task.label_range(), ProblemCode::DuplicateId, message);
            found.related.push((queue.tasks[*first].label_range(), "the first one".to_owned()));
            problems.push(found);
        }
    }
    let mut goals: HashMap<&str, usize> = HashMap::new();
    let mut repeated = Vec::new();
    for (index, goal) in queue.goals.iter().enumerate() {
        let (Some(id), Some(range)) = (goal.id.as_deref(), goal.id_range.clone()) else { continue };
        let first = *goals.entry(id).or_insert(index);
        if first != index {
            let message = format!("goal `{id}` is left out: another goal has this id");
            let mut found = problem(range, ProblemCode::DuplicateId, message);
            let place = queue.goals[first].id_range.clone().unwrap_or(queue.goals[first].range.clone());
            found.related.push((place, "the first one".to_owned()));
            problems.push(found);
            repeated.push(index);
        }
    }
    for index in repeated {
        queue.goals[index].goal = None;
    }
    problems
}

fn unknown_dependencies(queue: &QueueText, ids: &HashMap<&str, usize>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for task in &queue.tasks {
        for (id, range) in task.depends_on.iter().filter(|(id, _)| !ids.contains_key(id.as_str())) {
            let suggestion = (problems.len() < MAX_SUGGESTIONS).then(|| nearest(id, ids.keys().copied())).flatten();
            let hint = suggestion.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("no task has the id `{id}`{hint}");
            problems.push(problem(range.clone(), ProblemCode::UnknownDependency, message));
        }
    }
    problems
}

fn unknown_goals(queue: &QueueText) -> Vec<Problem> {
    let goals: HashSet<&str> = queue.goals.iter().filter_map(|goal| goal.id.as_deref()).collect();
    let mut problems = Vec::new();
    for span in &queue.tasks {
        let goal = span.task.as_ref().and_then(|task| task.goal.as_deref()).filter(|goal| !goals.contains(goal));
        let range = span.field("goal").and_then(|field| field.value.clone());
        if let (Some(goal), Some(range)) = (goal, range) {
            let suggestion = (problems.len() < MAX_SUGGESTIONS).then(|| nearest(goal, goals.iter().copied())).flatten();
            let hint = suggestion.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let mut found = problem(range, ProblemCode::UnknownGoal, format!("no goal has the id `{goal}`{hint}"));
            found.severity = Severity::Warning;
            problems.push(found);
        }
    }
    problems
}

/// Finds one shortest cycle in each knot of tasks that wait for each other.
fn cycles(queue: &QueueText, ids: &HashMap<&str, usize>) -> Vec<Problem> {
    let edges: Vec<Vec<usize>> = queue
        .tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            let counted = task.id.as_deref().and_then(|id| ids.get(id)) == Some(&index);
            let known = task.depends_on.iter().filter_map(|(id, _)| ids.get(id.as_str()).copied());
            if counted { known.collect() } else { Vec::new() }
        })
        .collect();
    let mut problems = Vec::new();
    let knots = knots(&edges);
    let mut seen = HashSet::new();
    for start in 0..edges.len() {
        if edges[start].contains(&start) {
            let id = queue.tasks[start].id.as_deref().unwrap_or_default();
            if let Some(range) = dependency_range(queue, start, start) {
                problems.push(problem(range, ProblemCode::SelfDependency, format!("task `{id}` waits for itself")));
            }
        }
        if !seen.insert(knots[start]) {
            continue;
        }
        let Some(cycle) = shortest_cycle(&edges, &knots, start) else { continue };
        let name = |index: &usize| queue.tasks[*index].id.as_deref().unwrap_or_default();
        let mut names: Vec<&str> = cycle.iter().take(MAX_NAMED).map(name).collect();
        if cycle.len() > MAX_NAMED {
            names.push("…");
        }
        names.push(name(&start));
        let message = format!("these tasks wait for each other: {}", names.join(" → "));
        let mut places = (0..cycle.len()).filter_map(|i| {
            let (from, to) = (cycle[i], cycle[(i + 1) % cycle.len()]);
            Some((dependency_range(queue, from, to)?, format!("`{}` waits for `{}`", name(&from), name(&to))))
        });
        if let Some((range, _)) = places.next() {
            let mut found = problem(range, ProblemCode::Cycle, message);
            found.related = places.collect();
            problems.push(found);
        }
    }
    problems
}

fn dependency_range(queue: &QueueText, from: usize, to: usize) -> Option<super::Span> {
    let id = queue.tasks[to].id.as_deref()?;
    queue.tasks[from].depends_on.iter().find(|(dependency, _)| dependency == id).map(|(_, range)| range.clone())
}

/// Numbers the strongly connected components (Tarjan, without recursion): equal numbers wait for each other.
fn knots(edges: &[Vec<usize>]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let n = edges.len();
    let (mut order, mut low, mut component) = (vec![NONE; n], vec![0; n], vec![NONE; n]);
    let (mut stack, mut calls, mut next, mut count) = (Vec::new(), Vec::new(), 0, 0);
    for root in 0..n {
        if order[root] != NONE {
            continue;
        }
        calls.push((root, 0));
        while let Some((node, edge)) = calls.pop() {
            if edge == 0 {
                order[node] = next;
                low[node] = next;
                next += 1;
                stack.push(node);
            }
            if let Some(&to) = edges[node].get(edge) {
                calls.push((node, edge + 1));
                if order[to] == NONE {
                    calls.push((to, 0));
                } else if component[to] == NONE {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            if low[node] == order[node] {
                while let Some(member) = stack.pop() {
                    component[member] = count;
                    if member == node {
                        break;
                    }
                }
                count += 1;
            }
            if let Some((parent, _)) = calls.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
        }
    }
    component
}

/// Returns the members of a shortest cycle of at least two tasks through `start`, which comes first.
fn shortest_cycle(edges: &[Vec<usize>], knots: &[usize], start: usize) -> Option<Vec<usize>> {
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &to in edges[node].iter().filter(|to| knots[**to] == knots[start]) {
            if to == start && node != start {
                let mut cycle = vec![node];
                let mut at = node;
                while let Some(&before) = from.get(&at) {
                    cycle.push(before);
                    at = before;
                }
                cycle.reverse();
                return Some(cycle);
            }
            if to != start && !from.contains_key(&to) {
                from.insert(to, node);
                queue.push_back(to);
            }
        }
    }
    None
}

/// Returns the known id nearest to a mistyped one, if any is near enough to be meant.
pub(super) fn nearest<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = id.chars().count();
    let limit = (length / 3).max(1);
    if length > 64 {
        return None;
    }
    known
        .filter(|other| other.len() <= 256 && other.chars().count().abs_diff(length) <= limit)
        .map(|other| (distance(id, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

/// Counts the edits between two short texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
