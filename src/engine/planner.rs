//! Plan mode: an agent reads the repository in a slot, read-only in effect, and hands in drafts.

use super::attempt::agent_argv;
use super::checks::stopped;
use super::commands::{commands_of, edit, settings_for};
use super::context::{Context, from_port};
use super::ports::{MailItem, PortError, PortResult, ProcessEnd, ProcessOrder, QueueEdit};
use super::prompt::{PlanPrompt, planner};
use crate::domain::report::Report;
use crate::domain::state::State;
use crate::domain::task::{Goal, Status, Task, TaskId};
use crate::protocol::config::{AgentConfig, Role, Settings};
use crate::protocol::drive::{Budget, DriveOrder};
use crate::protocol::engine_api::{ApiError, ErrorKind, PlanReply, PlanRequest, Reply};
use crate::protocol::plan_text::{Plan, last_fenced_block, parse_plan};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The slot of planners.
const SLOT: &str = "plan";
/// Where planners' files go, below those of attempts.
pub(super) const FOLDER: &str = "plans";
/// How much of the planner's last words is looked at, in bytes.
const LAST_WORDS: u64 = 1024 * 1024;

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

/// One planning session: at most two runs of the planner.
struct Session<'a> {
    context: &'a Context,
    id: &'a str,
    settings: &'a Settings,
    request: &'a PlanRequest,
    state: &'a State,
}

impl Session<'_> {
    async fn run(&self, drafts: &[Task]) -> Result<(Plan, Vec<String>), ApiError> {
        let mut errors: Vec<String> = Vec::new();
        let mut discarded = Vec::new();
        let queued = self.state.tasks.values().filter(|task| !drafts.iter().any(|draft| draft.id == task.id));
        let others: Vec<Task> = queued.map(|task| Task::clone(task)).collect();
        for round in 1..=2 {
            let (submitted, wrote) = self.ask(round, drafts, &errors).await.map_err(from_port)?;
            discarded.extend(wrote);
            let seed = self.context.world.clock.random();
            match submitted {
                Submitted::Plan(value) => match parse_plan(&value, &others, seed) {
                    Ok(plan) => {
                        // Worth asking for once; a plan without is still better than none.
                        errors = without_acceptance(&plan);
                        if errors.is_empty() || round == 2 {
                            return Ok((plan, discarded));
                        }
                    }
                    Err(found) => errors = found.iter().map(ToString::to_string).collect(),
                },
                Submitted::Nothing { detail } => errors = vec![format!("no plan was submitted: {detail}")],
                Submitted::Cancelled => {
                    return Err(ApiError::new(ErrorKind::Other, "planning was cancelled"));
                }
                Submitted::Impossible { detail, hint } => {
                    return Err(ApiError::new(ErrorKind::Data, detail).with_hint(hint));
                }
            }
        }
        let folder = self.folder(2);
        Err(ApiError::new(ErrorKind::Other, format!("the planner handed in no usable plan: {}", errors.join("; ")))
            .with_hint(format!("its transcript is in {}", folder.display())))
    }

    fn folder(&self, round: u32) -> PathBuf {
        self.context.world.attempts.join(FOLDER).join(self.id).join(round.to_string())
    }

    /// Runs the planner once; returns what it handed in and what it wrote into its slot.
    async fn ask(&self, round: u32, drafts: &[Task], errors: &[String]) -> PortResult<(Submitted, Vec<String>)> {
        let world = &self.context.world;
        let (name, agent) = self.settings.agent_for(Role::Planner).ok_or_else(|| PortError::new("find the planner"))?;
        let folder = self.folder(round);
        let nonce = format!("{:016x}", world.clock.random());
        let twins: Vec<_> = drafts.iter().map(crate::protocol::queue_schema::TaskEntry::from_domain).collect();
        let text = planner(
            world,
            PlanPrompt {
                goal: &self.request.goal,
                context: &self.request.context,
                drafts: (!drafts.is_empty()).then(|| serde_json::to_string_pretty(&twins).unwrap_or_default()),
                existing: self.existing(drafts),
                errors,
                nonce: &nonce,
            },
        )
        .await?;
        let prompt = folder.join("prompt.md");
        world.processes.write(prompt.clone(), text).await?;
        self.context.progress(None, format!("{name} is planning"));
        let point = world.workshop.snapshot(self.context.buffers().await).await?;
        let slot = world.workshop.fill_slot(SLOT, &point.commit).await?;
        let (mailbox, mut mail) = world.processes.mailbox(&format!("plan-{}", self.id), round, &nonce).await?;
        let limits = &self.settings.limits;
        let drive = DriveOrder {
            name: name.to_owned(),
            agent: agent.clone(),
            role: Role::Planner,
            model: agent.models.first().cloned(),
            prompt: prompt.clone(),
            session: None,
            budget: Budget::default(),
            fenced: false,
        };
        let order = ProcessOrder {
            folder: folder.clone(),
            argv: agent_argv(world, drive, &folder).await?,
            cwd: slot,
            env: self.env(agent, &prompt, &mailbox, &nonce, round),
            stdin: Some(prompt),
            idle_seconds: Some(limits.idle_seconds),
            wall_seconds: Some(limits.attempt_seconds),
            stop: agent.stop_steps().to_vec(),
            activity: Some(mailbox),
            marker: format!("plan-{}-{round}", self.id),
            fence: None,
        };
        let mut running = world.processes.start(order).await?;
        let stopper = running.stopper();
        let mut stop = self.context.plans.stop.subscribe();
        let end = tokio::select! {
            end = running.wait() => end,
            () = stopped(&mut stop) => {
                stopper.stop().await;
                running.wait().await
            }
        };
        let mut plan = None;
        for item in mail.take().await? {
            match item {
                MailItem::Report { report: Report::SubmitPlan { plan: value }, .. } => plan = Some(value),
                MailItem::Report { .. } => {}
                MailItem::Poisoned { detail } => {
                    self.context.notice(true, format!("a report of the planner: {detail}"))
                }
            }
        }
        if plan.is_none() {
            let words = world.processes.read_tail(folder.join("transcript.log"), LAST_WORDS).await?.unwrap_or_default();
            let block = last_fenced_block(&words, &nonce).and_then(|value| serde_json::from_value(value).ok());
            if let Some(Report::SubmitPlan { plan: value }) = block {
                plan = Some(value);
            }
        }
        // What the planner wrote is kept in a ref, reported, and never becomes part of anything.
        let message = format!("ralph: what the planner of {} wrote", self.id);
        let key = format!("plans-{}", self.id);
        let wrote = world.workshop.commit_slot(SLOT, &point.commit, &key, round, &message).await?.changed;
        Ok((submitted(plan, end), wrote))
    }

    fn existing(&self, drafts: &[Task]) -> Vec<String> {
        let open = self.state.order.iter().filter_map(|id| self.state.tasks.get(id));
        let open = open.filter(|task| matches!(task.status, Status::Draft | Status::Todo));
        let others = open.filter(|task| !drafts.iter().any(|draft| draft.id == task.id));
        others.map(|task| format!("`{}`: {}", task.id, task.title)).collect()
    }

    fn env(
        &self,
        agent: &AgentConfig,
        prompt: &std::path::Path,
        mailbox: &std::path::Path,
        nonce: &str,
        round: u32,
    ) -> BTreeMap<String, String> {
        let mut env = agent.env.clone();
        env.insert("RALPH_TOOLS".into(), self.context.world.processes.tool_folder().display().to_string());
        env.insert("RALPH_ROLE".into(), "planner".into());
        env.insert("RALPH_ATTEMPT".into(), format!("{}#{round}", self.id));
        env.insert("RALPH_ATTEMPT_NUMBER".into(), round.to_string());
        env.insert("RALPH_PROMPT_FILE".into(), prompt.display().to_string());
        env.insert("RALPH_MAILBOX".into(), mailbox.display().to_string());
        env.insert("RALPH_NONCE".into(), nonce.to_owned());
        env
    }
}

fn without_acceptance(plan: &Plan) -> Vec<String> {
    let bare = plan.tasks.iter().filter(|task| task.acceptance.is_empty());
    bare.map(|task| format!("task `{}` has no `acceptance`: say what must be true when it is finished", task.id))
        .collect()
}

/// What a planner's run led to.
enum Submitted {
    Plan(serde_json::Value),
    Nothing {
        detail: String,
    },
    Cancelled,
    /// Asking again would not help.
    Impossible {
        detail: String,
        hint: String,
    },
}

fn submitted(plan: Option<serde_json::Value>, end: ProcessEnd) -> Submitted {
    match (plan, end) {
        (_, ProcessEnd::Stopped) => Submitted::Cancelled,
        (_, ProcessEnd::NotFound(program)) => Submitted::Impossible {
            detail: format!("the planner's program `{program}` was not found"),
            hint: "install it, or mend the agent's `command`".into(),
        },
        (_, ProcessEnd::NotExecutable(program)) => Submitted::Impossible {
            detail: format!("the planner's program `{program}` cannot be executed"),
            hint: "check its permissions".into(),
        },
        (Some(plan), _) => Submitted::Plan(plan),
        (None, ProcessEnd::Exited(code)) => Submitted::Nothing { detail: format!("it exited with status {code}") },
        (None, ProcessEnd::Idle) => Submitted::Nothing { detail: "it was silent for too long".into() },
        (None, ProcessEnd::Wall) => Submitted::Nothing { detail: "it ran for too long".into() },
        (None, end) => Submitted::Nothing { detail: format!("it ended: {end:?}") },
    }
}
