//! Plan mode: an agent reads the repository in a slot, read-only in effect, and hands in drafts.

use super::commands::{commands_of, edit, settings_for};
use super::context::{Context, from_port};
use super::ports::{PortError, PortResult, ProcessEnd, QueueEdit};
use super::prompt::{self, Kind, PlanPrompt, Repair, Template};
use super::run_settings::run_settings;
use super::turn::{Turn, TurnEnd};
use crate::domain::budget::{Reached, of_day, remaining, smaller};
use crate::domain::chain::{Pick, pick};
use crate::domain::outcome::Outcome;
use crate::domain::reduce::Input;
use crate::domain::report::Report;
use crate::domain::settings::{Allowance, Link};
use crate::domain::state::State;
use crate::domain::task::{Goal, Status, Task, TaskId};
use crate::protocol::config::{AgentConfig, Role, Settings};
use crate::protocol::drive::Budget;
use crate::protocol::engine_api::{ApiError, ErrorKind, PlanReply, PlanRequest, Reply};
use crate::protocol::plan_text::{Plan, parse_plan};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The slot of planners.
const SLOT: &str = "plan";
/// Where planners' files go, below those of attempts.
pub(super) const FOLDER: &str = "plans";

/// Plans that were shown and not applied yet, and the way to stop the planner that is on.
pub struct Plans {
    shown: Mutex<HashMap<String, PlanReply>>,
    stop: watch::Sender<bool>,
}

impl Default for Plans {
    fn default() -> Self {
        Self { shown: Mutex::default(), stop: watch::channel(false).0 }
    }
}

impl Plans {
    /// Asks the planner that is on to stop.
    pub fn cancel(&self) {
        self.stop.send_replace(true);
    }
}

/// Runs the planner and adds its drafts to the queue; with `revise`, only shows what would change.
pub async fn plan(context: &Context, request: PlanRequest) -> Result<PlanReply, ApiError> {
    if request.goal.trim().is_empty() {
        return Err(ApiError::new(ErrorKind::Usage, "a plan needs a goal")
            .with_hint("say what you want: `ralph-sidecar plan \"…\"`"));
    }
    let Ok(_one_at_a_time) = context.planning.try_lock() else {
        return Err(ApiError::new(ErrorKind::Busy, "a planner is on already").with_hint("wait for it, or cancel it"));
    };
    context.read_queue().await;
    context.world.workshop.preflight().await.map_err(from_port)?;
    let settings = settings_for(&context.world, &request.layers, request.agent.as_deref(), Role::Planner).await?;
    let trusted = context.world.settings.trusted().await.map_err(from_port)?;
    let untrusted: Vec<String> =
        commands_of(&settings, Role::Planner).into_iter().filter(|command| !trusted.contains(command)).collect();
    if !untrusted.is_empty() {
        let mut error = ApiError::new(ErrorKind::NotTrusted, "the planner's command is not trusted here yet")
            .with_hint("look at it, then run `ralph-sidecar trust`");
        error.commands = untrusted;
        return Err(error);
    }
    let state = context.state().await.map_err(from_port)?;
    let drafts = drafts(&state, &request.revise)?;
    context.plans.stop.send_replace(false);
    let id = format!("p{:08x}", context.world.clock.random() as u32);
    let session = Session { context, id: &id, settings: &settings, request: &request, state: &state };
    let (plan, discarded) = session.run(&drafts).await?;
    let reply = finish(context, &request, &state, drafts, plan, id, discarded);
    if request.revise.is_empty() {
        let goals = goals_of(context, &request, &reply.tasks);
        edit(context, vec![QueueEdit::Put { tasks: reply.tasks.clone(), goals }]).await?;
        return Ok(PlanReply { applied: true, ..reply });
    }
    let mut shown = context.plans.shown.lock().unwrap_or_else(PoisonError::into_inner);
    shown.insert(reply.plan.clone(), reply.clone());
    Ok(reply)
}

/// Replaces the drafts a plan revises by its own.
pub async fn apply(context: &Context, plan: &str) -> Result<Reply, ApiError> {
    let shown = context.plans.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(plan);
    let shown = shown.ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("no plan `{plan}` waits to be applied")).with_hint("plan again")
    })?;
    let state = context.state().await.map_err(from_port)?;
    let gone = shown.replaces.iter().filter(|id| !shown.tasks.iter().any(|task| task.id == **id));
    let gone: Vec<TaskId> =
        gone.filter(|id| state.tasks.get(*id).is_some_and(|task| task.status == Status::Draft)).cloned().collect();
    let ids = shown.tasks.iter().map(|task| task.id.clone()).collect();
    let mut edits = vec![QueueEdit::Put { tasks: shown.tasks, goals: Vec::new() }];
    if !gone.is_empty() {
        edits.push(QueueEdit::Remove { tasks: gone });
    }
    edit(context, edits).await?;
    Ok(Reply::Tasks(ids))
}

/// Returns the drafts to revise; refuses what is not a draft any more.
fn drafts(state: &State, wanted: &[TaskId]) -> Result<Vec<Task>, ApiError> {
    let mut drafts = Vec::new();
    for id in wanted {
        let task = state
            .tasks
            .get(id)
            .ok_or_else(|| ApiError::new(ErrorKind::Usage, format!("no task `{id}` in the queue")))?;
        if task.status != Status::Draft {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("task `{id}` is {}, not a draft", task.status.as_str()),
            )
            .with_hint("only drafts are revised; edit the task, or drop it"));
        }
        drafts.push(Task::clone(task));
    }
    Ok(drafts)
}

fn goals_of(context: &Context, request: &PlanRequest, tasks: &[Task]) -> Vec<Goal> {
    let id = tasks.iter().find_map(|task| task.goal.clone());
    let goal = |id| Goal { id, text: request.goal.clone(), created_at: Some(timestamp(context)) };
    id.map(goal).into_iter().collect()
}

fn timestamp(context: &Context) -> String {
    jiff::Timestamp::from_millisecond(context.world.clock.now_ms()).unwrap_or_default().to_string()
}

fn finish(
    context: &Context,
    request: &PlanRequest,
    state: &State,
    drafts: Vec<Task>,
    plan: Plan,
    id: String,
    discarded: Vec<String>,
) -> PlanReply {
    let mut tasks = plan.tasks;
    let goal = drafts.iter().find_map(|draft| draft.goal.clone()).unwrap_or_else(|| format!("goal-{}", &id[1..]));
    for task in &mut tasks {
        task.status = Status::Draft;
        task.goal.get_or_insert_with(|| goal.clone());
        task.created_at.get_or_insert_with(|| timestamp(context));
        // Never over a task that is not a draft being revised.
        let taken = state.tasks.contains_key(&task.id) && !drafts.iter().any(|draft| draft.id == task.id);
        if taken {
            let old = task.id.clone();
            task.id = TaskId(format!("{}-{}", old.0, &id[1..5]));
        }
    }
    let json = |tasks: &[Task]| {
        let twins: Vec<_> = tasks.iter().map(crate::protocol::queue_schema::TaskEntry::from_domain).collect();
        serde_json::to_string_pretty(&twins).unwrap_or_default()
    };
    let (before, after) = (json(&drafts), json(&tasks));
    let diff = similar::TextDiff::from_lines(&before, &after);
    let diff =
        if request.revise.is_empty() { String::new() } else { diff.unified_diff().context_radius(2).to_string() };
    PlanReply { plan: id, tasks, applied: false, diff, discarded, replaces: request.revise.clone() }
}

/// One planning session: at most two turns of each planner, the next planner only where one could not work at all.
struct Session<'a> {
    context: &'a Context,
    id: &'a str,
    settings: &'a Settings,
    request: &'a PlanRequest,
    state: &'a State,
}

/// One turn of a planner.
struct Round<'a> {
    link: &'a Link,
    agent: &'a AgentConfig,
    /// Counts the turns of the whole session, from 1.
    number: u32,
    drafts: &'a [Task],
    /// What was wrong with its plan before.
    errors: &'a [String],
    /// The session of its turn before.
    session: Option<String>,
}

/// What a planner's turn led to.
struct Answer {
    submitted: Submitted,
    /// What it wrote into its slot.
    wrote: Vec<String>,
    session: Option<String>,
}

impl Session<'_> {
    async fn run(&self, drafts: &[Task]) -> Result<(Plan, Vec<String>), ApiError> {
        let mut discarded = Vec::new();
        let mut number = 0;
        let mut impossible = None;
        let mut resting = Vec::new();
        for link in self.links()? {
            let state = self.context.state().await.map_err(from_port)?;
            let day = self.day(&state).map_err(from_port)?;
            if day.is_used_up() {
                let message = format!("the budget of the day is used up: {}", day.words());
                let hint = "raise `limits.day_tokens` or `limits.day_usd`, or plan tomorrow";
                return Err(ApiError::new(ErrorKind::Other, message).with_hint(hint));
            }
            match pick(&state.chain, &BTreeMap::new(), std::slice::from_ref(&link), |_| 0, self.now_ms()) {
                Pick::Free(_) => {}
                Pick::Wait(wait) => {
                    resting.push(wait.words(state.days.utc_offset_seconds));
                    continue;
                }
                Pick::Exhausted => continue,
            }
            match self.with(&link, drafts, &mut number, &mut discarded).await? {
                Ok(plan) => return Ok((plan, discarded)),
                Err(error) => {
                    self.context.notice(true, format!("the planner {link}: {}", error.message));
                    impossible = Some(error);
                }
            }
        }
        let rest = || {
            let words = if resting.is_empty() { "no planner is configured".to_owned() } else { resting.join("; ") };
            ApiError::new(ErrorKind::Other, format!("no planner can work now: {words}"))
                .with_hint("try again then, or name another with --agent")
        };
        Err(impossible.unwrap_or_else(rest))
    }

    /// Returns what was used of the day's budget, which no run need be on for.
    fn day(&self, state: &State) -> PortResult<Reached> {
        let settings = run_settings(self.settings, Vec::new(), 0)
            .map_err(|error| PortError::new(format!("keep the settings: {error}")))?;
        Ok(of_day(state, &settings.budgets, self.now_ms()))
    }

    fn now_ms(&self) -> i64 {
        self.context.world.clock.now_ms()
    }

    /// Returns the planners in the order they are tried, each with each of its models.
    fn links(&self) -> Result<Vec<Link>, ApiError> {
        let settings = run_settings(self.settings, Vec::new(), 0)
            .map_err(|error| ApiError::new(ErrorKind::Other, format!("failed to keep the settings: {error}")))?;
        let mut links = settings.links(Role::Planner.as_str());
        links.retain(|link| self.settings.agents.contains_key(&link.agent));
        Ok(links)
    }

    /// Asks one planner, and once more where its plan cannot be used.
    ///
    /// # Errors
    ///
    /// The outer one ends the session; the inner one says why this planner could not work, another may.
    async fn with(
        &self,
        link: &Link,
        drafts: &[Task],
        number: &mut u32,
        discarded: &mut Vec<String>,
    ) -> Result<Result<Plan, ApiError>, ApiError> {
        let Some(agent) = self.settings.agents.get(&link.agent) else {
            return Ok(Err(ApiError::new(ErrorKind::Data, "the agent is not configured")));
        };
        let mut errors: Vec<String> = Vec::new();
        let mut session = None;
        let queued = self.state.tasks.values().filter(|task| !drafts.iter().any(|draft| draft.id == task.id));
        let others: Vec<Task> = queued.map(|task| Task::clone(task)).collect();
        for turn in 1..=2 {
            *number += 1;
            let round = Round { link, agent, number: *number, drafts, errors: &errors, session: session.take() };
            let answer = self.ask(round).await.map_err(from_port)?;
            discarded.extend(answer.wrote);
            session = answer.session;
            let seed = self.context.world.clock.random();
            match answer.submitted {
                Submitted::Plan(value) => match parse_plan(&value, &others, seed) {
                    Ok(plan) => {
                        // Worth asking for once; a plan without is still better than none.
                        errors = without_acceptance(&plan);
                        if errors.is_empty() || turn == 2 {
                            return Ok(Ok(plan));
                        }
                    }
                    Err(found) => errors = found.iter().map(ToString::to_string).collect(),
                },
                Submitted::Nothing { detail } => errors = vec![format!("no plan was submitted: {detail}")],
                Submitted::Cancelled => {
                    return Err(ApiError::new(ErrorKind::Other, "planning was cancelled"));
                }
                Submitted::Impossible { detail } => {
                    let error = ApiError::new(ErrorKind::Data, detail);
                    return Ok(Err(error.with_hint(self.transcript(*number))));
                }
            }
        }
        let message = format!("the planner handed in no usable plan: {}", errors.join("; "));
        Err(ApiError::new(ErrorKind::Other, message).with_hint(self.transcript(*number)))
    }

    fn folder(&self, number: u32) -> PathBuf {
        self.context.world.attempts.join(FOLDER).join(self.id).join(number.to_string())
    }

    fn transcript(&self, number: u32) -> String {
        format!("its transcript is in {}", self.folder(number).display())
    }

    /// Has the planner work once.
    async fn ask(&self, round: Round<'_>) -> PortResult<Answer> {
        let world = &self.context.world;
        let nonce = format!("{:016x}", world.clock.random());
        let text = self.prompt(&round, &nonce).await?;
        self.context.progress(None, format!("{} is planning", round.link));
        let point = world.workshop.snapshot(self.context.buffers().await).await?;
        let slot = world.workshop.fill_slot(SLOT, &point.commit).await?;
        let limits = &self.settings.limits;
        let own = Allowance { tokens: limits.attempt_tokens, usd: limits.attempt_usd };
        let state = self.context.state().await?;
        let left = smaller(own, remaining(&state, None, self.now_ms()));
        let left = smaller(left, self.day(&state)?.rest());
        let turn = Turn {
            context: self.context,
            role: Role::Planner,
            name: &round.link.agent,
            agent: round.agent,
            model: round.link.model.clone(),
            folder: self.folder(round.number),
            cwd: slot,
            called: format!("{}#{}", self.id, round.number),
            number: round.number,
            mailbox: (format!("plan-{}", self.id), round.number),
            nonce: &nonce,
            marker: format!("plan-{}-{}", self.id, round.number),
            attempt: None,
            idle_seconds: limits.idle_seconds,
            wall_seconds: limits.attempt_seconds,
            budget: Budget { tokens: left.tokens, usd: left.usd },
            session: round.session,
            stop: self.context.plans.stop.subscribe(),
        };
        let ready = turn.prepare(text).await?;
        let end = turn.start(ready).await?;
        let told = Input::TurnEnded {
            role: Role::Planner.to_string(),
            task: None,
            link: round.link.clone(),
            ending: end.as_ending(),
        };
        self.context.input(told).await;
        // What the planner wrote is kept in a ref, reported, and never becomes part of anything.
        let message = format!("ralph: what the planner of {} wrote", self.id);
        let key = format!("plans-{}", self.id);
        let work = world.workshop.commit_slot(SLOT, &point.commit, &key, round.number, &message).await?;
        Ok(Answer { wrote: work.changed, session: end.session(), submitted: submitted(&end, &nonce) })
    }

    /// Makes the whole prompt; for a session that goes on, only what was wrong.
    async fn prompt(&self, round: &Round<'_>, nonce: &str) -> PortResult<String> {
        let world = &self.context.world;
        let tools = round.agent.is_driven();
        if round.session.is_some() {
            let repair = Repair { role: Role::Planner, title: &self.request.goal, errors: round.errors, nonce, tools };
            return prompt::repair(&Template::read(world, Kind::Repair).await?, &repair);
        }
        let twins: Vec<_> = round.drafts.iter().map(crate::protocol::queue_schema::TaskEntry::from_domain).collect();
        let prompt = PlanPrompt {
            goal: &self.request.goal,
            context: &self.request.context,
            drafts: (!twins.is_empty()).then(|| serde_json::to_string_pretty(&twins).unwrap_or_default()),
            existing: self.existing(round.drafts),
            errors: round.errors,
            nonce,
            tools,
        };
        prompt::planner(&Template::read(world, Kind::Planner).await?, &prompt)
    }

    fn existing(&self, drafts: &[Task]) -> Vec<String> {
        let open = self.state.order.iter().filter_map(|id| self.state.tasks.get(id));
        let open = open.filter(|task| matches!(task.status, Status::Draft | Status::Todo));
        let others = open.filter(|task| !drafts.iter().any(|draft| draft.id == task.id));
        others.map(|task| format!("`{}`: {}", task.id, task.title)).collect()
    }
}

fn without_acceptance(plan: &Plan) -> Vec<String> {
    let bare = plan.tasks.iter().filter(|task| task.acceptance.is_empty());
    bare.map(|task| format!("task `{}` has no `acceptance`: say what must be true when it is finished", task.id))
        .collect()
}

/// What a planner handed in.
enum Submitted {
    Plan(serde_json::Value),
    Nothing {
        detail: String,
    },
    Cancelled,
    /// Asking it again would not help; asking another may.
    Impossible {
        detail: String,
    },
}

/// Looks for the plan: the last one reported, else the fenced block; one that was handed in counts however it ended.
fn submitted(end: &TurnEnd, nonce: &str) -> Submitted {
    if end.end == ProcessEnd::Stopped {
        return Submitted::Cancelled;
    }
    let reported = end.reports.iter().rev().find(|report| matches!(report, Report::SubmitPlan { .. })).cloned();
    if let Some(Report::SubmitPlan { plan }) = reported.or_else(|| end.fenced_report(nonce)) {
        return Submitted::Plan(plan);
    }
    match end.failure() {
        None => Submitted::Nothing { detail: "it ended without one".into() },
        Some((Outcome::Incomplete | Outcome::InvalidOutput | Outcome::Crashed | Outcome::TimedOut, detail)) => {
            Submitted::Nothing { detail }
        }
        Some((_, detail)) => Submitted::Impossible { detail },
    }
}
