//! The plan an agent submits, checked so that the agent can repair it, and the fenced block that carries a report.

use super::jsonc;
use super::queue_text::{ProblemCode, QueueText, read_task};
use crate::domain::report::Report;
use crate::domain::task::{Goal, Status, Task, TaskId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use thiserror::Error;

/// What planning came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The goal as the agent put it, if it did; every task of the plan then points to it.
    pub goal: Option<Goal>,
    /// In the agent's order; drafts with ids made here and dependencies that exist.
    pub tasks: Vec<Task>,
}

/// One thing the agent has to repair.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct PlanError {
    /// Such as `tasks[2].depends_on[0]`; `plan` for the whole.
    pub path: String,
    /// Says what is wrong and what to write instead.
    pub message: String,
}

/// Reads a plan: `{goal?, tasks: […]}` or just the list.
///
/// Local ids and titles in `depends_on` are rewritten to made ids; ids and titles of `existing` tasks are understood as
/// well. Made ids depend on nothing but the plan and `seed`, which the caller draws anew for each plan. All errors are
/// returned together, in the order of the plan.
pub fn parse_plan(value: &Value, existing: &[Task], seed: u64) -> Result<Plan, Vec<PlanError>> {
    let (goal_value, entries) = match value {
        Value::Array(entries) => (None, entries),
        Value::Object(plan) => match plan.get("tasks") {
            Some(Value::Array(entries)) => (plan.get("goal"), entries),
            _ => return Err(vec![error("tasks", "the plan needs `tasks`, a list of tasks")]),
        },
        _ => return Err(vec![error("plan", "submit an object with `tasks`, a list of tasks")]),
    };
    if entries.is_empty() {
        return Err(vec![error("tasks", "the plan has no task; submit at least one")]);
    }
    let mut reader = Reader { errors: Vec::new(), seed };
    let goal = reader.goal(goal_value);
    let drafts: Vec<Draft> = entries.iter().enumerate().map(|(index, entry)| reader.draft(index, entry)).collect();
    let ids = reader.ids(&drafts, existing);
    let tasks = reader.resolve(drafts, &ids, existing, goal.as_ref());
    if reader.errors.is_empty() { Ok(Plan { goal, tasks }) } else { Err(reader.errors) }
}

fn error(path: impl Into<String>, message: impl Into<String>) -> PlanError {
    PlanError { path: path.into(), message: message.into() }
}

/// A task before its id and dependencies are settled.
struct Draft {
    /// As the agent wrote it.
    local_id: Option<String>,
    title: String,
    /// As the agent wrote them.
    depends_on: Vec<String>,
    /// Absent after an error.
    task: Option<Task>,
}

struct Reader {
    errors: Vec<PlanError>,
    seed: u64,
}

impl Reader {
    fn goal(&mut self, value: Option<&Value>) -> Option<Goal> {
        let text = match value? {
            Value::Null => return None,
            Value::String(text) => Some(text.as_str()),
            Value::Object(goal) => goal.get("text").and_then(Value::as_str),
            _ => None,
        };
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(Goal { id: self.id("goal", text, 0, 6), text: text.to_owned(), created_at: None }),
            None => {
                self.errors.push(error("goal", "write the goal as a text, or leave it out"));
                None
            }
        }
    }

    fn draft(&mut self, index: usize, entry: &Value) -> Draft {
        let path = format!("tasks[{index}]");
        let mut entry = entry.clone();
        let local_id = entry.get("id").and_then(as_name).filter(|id| !id.trim().is_empty());
        if let Some(fields) = entry.as_object_mut() {
            // What an agent may not decide is not worth an error either.
            for field in ["status", "origin", "created_at"] {
                fields.shift_remove(field);
            }
            fields.insert("id".to_owned(), json!(local_id.as_deref().unwrap_or("new")));
            if let Some(Value::Array(dependencies)) = fields.get_mut("depends_on") {
                for dependency in dependencies.iter_mut() {
                    if let Some(name) = as_name(dependency) {
                        *dependency = json!(name);
                    }
                }
            }
        }
        let title = entry.get("title").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let Some(node) = jsonc::parse(&entry.to_string()).root else {
            self.errors.push(error(path, "this entry cannot be read as a task"));
            return Draft { local_id, title, depends_on: Vec::new(), task: None };
        };
        let (task, problems) = read_task(&node);
        self.errors.extend(problems.into_iter().map(|problem| {
            let dot = if problem.path.is_empty() { "" } else { "." };
            error(format!("{path}{dot}{}", problem.path), problem.message)
        }));
        let depends_on: Vec<String> =
            task.iter().flat_map(|task| &task.depends_on).map(|dependency| dependency.0.clone()).collect();
        if let Some(task) = &task {
            for (n, _) in task.acceptance.iter().enumerate().filter(|(_, text)| text.trim().is_empty()) {
                self.errors
                    .push(error(format!("{path}.acceptance[{n}]"), "this condition is empty; write or remove it"));
            }
        }
        Draft { local_id, title, depends_on, task }
    }

    /// Makes the final id of each draft. A name the agent chose is kept, so that a plan can be revised and talked about;
    /// a bare number is not: two branches would number their tasks alike.
    fn ids(&mut self, drafts: &[Draft], existing: &[Task]) -> Vec<String> {
        let mut taken: HashSet<String> = existing.iter().map(|task| task.id.0.clone()).collect();
        let mut local: HashMap<&str, usize> = HashMap::new();
        let mut ids = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            if let Some(id) = draft.local_id.as_deref() {
                if let Some(first) = local.insert(id, index) {
                    let message = format!("`{id}` is the id of tasks[{first}] as well; give each task its own or none");
                    self.errors.push(error(format!("tasks[{index}].id"), message));
                }
                if existing.iter().any(|task| task.id.0 == id) {
                    let message = format!("`{id}` is a task of the queue already; leave `id` out for a new task");
                    self.errors.push(error(format!("tasks[{index}].id"), message));
                }
            }
            let kept = draft.local_id.clone().filter(|id| is_name(id) && !taken.contains(id));
            let slug = slug(&draft.title);
            let id = kept.unwrap_or_else(|| {
                let made = (6..=64).step_by(2).map(|length| self.id(&slug, &draft.title, index, length));
                made.into_iter().find(|id| !taken.contains(id)).unwrap_or_else(|| format!("{slug}-{index}"))
            });
            taken.insert(id.clone());
            ids.push(id);
        }
        ids
    }

    fn id(&self, slug: &str, text: &str, index: usize, length: usize) -> String {
        let hash = blake3::hash(format!("{}\0{index}\0{text}", self.seed).as_bytes()).to_hex();
        format!("{slug}-{}", &hash[..length])
    }

    fn resolve(&mut self, drafts: Vec<Draft>, ids: &[String], existing: &[Task], goal: Option<&Goal>) -> Vec<Task> {
        let names = Names::new(&drafts, existing);
        let mut inner: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
        let mut tasks = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let mut depends_on = Vec::new();
            for (n, name) in draft.depends_on.iter().enumerate() {
                match names.find(name) {
                    Ok(Target::Draft(target)) => {
                        inner[index].push(target);
                        depends_on.push(TaskId(ids[target].clone()));
                    }
                    Ok(Target::Existing(id)) => depends_on.push(id),
                    Err(message) => self.errors.push(error(format!("tasks[{index}].depends_on[{n}]"), message)),
                }
            }
            if let Some(mut task) = draft.task.clone() {
                depends_on.dedup();
                task.id = TaskId(ids[index].clone());
                task.status = Status::Draft;
                task.depends_on = depends_on;
                task.goal = goal.map(|goal| goal.id.clone()).or(task.goal);
                tasks.push(task);
            }
        }
        self.cycles(&drafts, &inner);
        tasks
    }

    /// Names cycles in the agent's own words, which are the only ones it can repair.
    fn cycles(&mut self, drafts: &[Draft], inner: &[Vec<usize>]) {
        let label = |index: usize| {
            let draft = &drafts[index];
            format!("tasks[{index}] ({})", draft.local_id.as_deref().unwrap_or(&draft.title))
        };
        let entry = |(index, targets): (usize, &Vec<usize>)| {
            let targets: Vec<String> = targets.iter().map(|target| label(*target)).collect();
            json!({"id": label(index), "title": "-", "depends_on": targets})
        };
        let text = json!({"tasks": inner.iter().enumerate().map(entry).collect::<Vec<_>>()}).to_string();
        let queue = QueueText::parse(&text);
        for problem in &queue.problems {
            if matches!(problem.code, ProblemCode::Cycle | ProblemCode::SelfDependency) {
                let index = queue.tasks.iter().position(|task| task.range.contains(&problem.range.start)).unwrap_or(0);
                let message = format!("{}; remove one of these dependencies", problem.message);
                self.errors.push(error(format!("tasks[{index}].depends_on"), message));
            }
        }
    }
}

enum Target {
    Draft(usize),
    Existing(TaskId),
}

/// What `depends_on` may say, in the order in which it is understood.
struct Names<'a> {
    local: HashMap<&'a str, usize>,
    existing: HashSet<&'a str>,
    titles: HashMap<String, Vec<usize>>,
    existing_titles: BTreeMap<String, &'a TaskId>,
}

impl<'a> Names<'a> {
    fn new(drafts: &'a [Draft], existing: &'a [Task]) -> Self {
        let mut titles: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.title.is_empty()) {
            titles.entry(draft.title.to_lowercase()).or_default().push(index);
        }
        let local = drafts.iter().enumerate().filter_map(|(index, draft)| Some((draft.local_id.as_deref()?, index)));
        Self {
            local: local.collect(),
            existing: existing.iter().map(|task| task.id.0.as_str()).collect(),
            titles,
            existing_titles: existing.iter().map(|task| (task.title.trim().to_lowercase(), &task.id)).collect(),
        }
    }

    fn find(&self, name: &str) -> Result<Target, String> {
        if let Some(index) = self.local.get(name) {
            return Ok(Target::Draft(*index));
        }
        if self.existing.contains(name) {
            return Ok(Target::Existing(name.into()));
        }
        let title = name.trim().to_lowercase();
        match self.titles.get(&title).map(Vec::as_slice) {
            Some([index]) => return Ok(Target::Draft(*index)),
            Some(_) => return Err(format!("several tasks have the title `{name}`; give them ids and use those")),
            None => {}
        }
        if let Some(id) = self.existing_titles.get(&title) {
            return Ok(Target::Existing((*id).clone()));
        }
        let mut known: Vec<&str> = self.local.keys().copied().collect();
        known.sort_unstable();
        known.truncate(20);
        let known = if known.is_empty() { "no task of the plan has an id".to_owned() } else { known.join(", ") };
        Err(format!("`{name}` is neither an id nor a title of this plan or the queue; ids of the plan: {known}"))
    }
}

/// Agents like to number their tasks.
fn as_name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_name(id: &str) -> bool {
    id.chars().any(char::is_alphabetic)
}

/// The first words of a title, at most 24 characters of `[a-z0-9-]`; `task` where nothing is left.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let gap = usize::from(!slug.is_empty());
        if slug.len() + gap + word.len() > 24 {
            break;
        }
        if gap > 0 {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    if slug.is_empty() { "task".to_owned() } else { slug }
}

/// Returns `report` of the last fenced `ralph` block of an agent's final message, if it carries the attempt's nonce.
///
/// The block is JSON, `{"nonce": "…", "report": {…}}`. An earlier block counts for nothing, whatever it carries.
pub fn last_fenced_block(text: &str, nonce: &str) -> Option<Value> {
    let lines: Vec<&str> = text.lines().collect();
    let fence = |line: &str| {
        let line = line.trim_start();
        let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = line.chars().take_while(|c| *c == sign).count();
        (length >= 3).then(|| (sign, length, line[length..].trim().to_owned()))
    };
    let open = lines.iter().rposition(|line| fence(line).is_some_and(|(.., info)| info == "ralph"))?;
    let (sign, length, _) = fence(lines[open])?;
    let body = &lines[open + 1..];
    let close = body.iter().position(|line| {
        fence(line).is_some_and(|(other, count, info)| other == sign && count >= length && info.is_empty())
    })?;
    let value: Value = serde_json::from_str(&body[..close].join("\n")).ok()?;
    if nonce.is_empty() || value.get("nonce")?.as_str()? != nonce {
        return None;
    }
    value.get("report").cloned()
}

/// Decodes the block of [`last_fenced_block`]; the error says why a block with the right nonce is no report.
pub fn fenced_report(text: &str, nonce: &str) -> Option<Result<Report, String>> {
    let value = last_fenced_block(text, nonce)?;
    Some(serde_json::from_value(value).map_err(|error| format!("read the report of the fenced block: {error}")))
}

#[cfg(test)]
mod tests;
