//! The conversations behind the commands: the engine is asked, the person where needed, the engine again.
//!
//! A flow runs in a task of its own and owns everything it needs; it reaches the session only by messages.

use super::queue_edits::{EditQueue, QueueEdit};
use super::root::Told;
use super::{Connector, Internal, PROMPT};
use crate::domain::decision::DecisionId;
use crate::domain::hunks::HunkId;
use crate::domain::task::{Status, Task, TaskId};
use crate::engine::handle::{Handle, unexpected};
use crate::lsp::capabilities::ClientCapabilities;
use crate::lsp::outbound::{Outbound, RequestError};
use crate::protocol::editor::{
    ApproveParams, CommandResult, CommentParams, DecisionStatus, DropParams, INPUT, InputParams, InputResult,
    SendBackParams, StartParams,
};
use crate::protocol::engine_api::{ApiError, Command, ErrorKind, PlanReply, PlanRequest, Reply, StartRequest};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a question to a person may stay open.
const PERSON: Duration = Duration::from_secs(24 * 60 * 60);

/// What a flow leads to: a result, or a sentence for the person.
pub type FlowResult = Result<CommandResult, String>;

/// Everything a flow needs.
#[derive(Clone)]
pub struct Flow {
    pub handle: Handle,
    /// The way of what is told in order and must not be overtaken.
    pub tell: mpsc::UnboundedSender<Told>,
    pub outbound: Outbound,
    pub client: Arc<ClientCapabilities>,
    pub root: PathBuf,
    pub post: mpsc::UnboundedSender<Internal>,
    /// The editor's settings, in the form of the configuration.
    pub settings: Value,
    pub connector: Arc<dyn Connector>,
}

impl Flow {
    /// Carries out a command of the engine that is done when it replies.
    pub async fn simply(self, command: Command, message: &str) -> FlowResult {
        self.call(command).await.map(|_| done(message))
    }

    /// Approves drafts, after the person saw the commands that are not trusted yet.
    pub async fn approve(self, params: ApproveParams, drafts: Vec<TaskId>) -> FlowResult {
        if drafts.is_empty() {
            return Err("there is no draft to approve".to_owned());
        }
        let untrusted = Command::Untrusted { tasks: drafts.clone(), agent: None };
        let commands = match self.call(untrusted).await? {
            Reply::Commands(commands) => commands,
            other => return Err(unexpected(&other).to_string()),
        };
        let mut trust = params.trust;
        let unseen: Vec<String> = commands.into_iter().filter(|command| !trust.contains(command)).collect();
        if !unseen.is_empty() {
            self.ask_trust("Approve", &unseen).await?;
            trust.extend(unseen);
        }
        let edit = QueueEdit::SetStatus { tasks: drafts.clone(), status: Status::Todo };
        match self.edit_queue(edit).await? {
            EditQueue::NotNeeded => drop(self.call(Command::Approve { tasks: drafts.clone(), trust }).await?),
            EditQueue::Done if trust.is_empty() => {}
            EditQueue::Done => drop(self.call(Command::Trust { commands: trust }).await?),
            EditQueue::Failed(reason) => return Err(reason),
        }
        Ok(CommandResult { tasks: names(&drafts), ..done("approved") })
    }

    /// Adds one draft.
    pub async fn add_draft(self, task: Task) -> FlowResult {
        let id = task.id.0.clone();
        match self.edit_queue(QueueEdit::Add { tasks: vec![task.clone()] }).await? {
            EditQueue::NotNeeded => {
                drop(self.call(Command::AddTasks { tasks: vec![task], goals: Vec::new() }).await?);
            }
            EditQueue::Done => {}
            EditQueue::Failed(reason) => return Err(reason),
        }
        self.say(&format!("planned as `{id}`"));
        Ok(CommandResult { tasks: vec![id], ..done("planned") })
    }

    /// Drops tasks.
    pub async fn drop_tasks(self, params: DropParams) -> FlowResult {
        let tasks: Vec<TaskId> = params.tasks.iter().map(|id| TaskId(id.clone())).collect();
        if tasks.is_empty() {
            return Err("name the tasks to drop in `tasks`".to_owned());
        }
        match self.edit_queue(QueueEdit::SetStatus { tasks: tasks.clone(), status: Status::Dropped }).await? {
            EditQueue::NotNeeded => drop(self.call(Command::Drop { tasks }).await?),
            EditQueue::Done => {}
            EditQueue::Failed(reason) => return Err(reason),
        }
        Ok(CommandResult { tasks: params.tasks, ..done("dropped") })
    }

    /// Starts the loop; where something is not trusted the person is shown it and the start tried once more.
    pub async fn start(self, params: StartParams) -> FlowResult {
        if !params.trust.is_empty() {
            self.call(Command::Trust { commands: params.trust }).await?;
        }
        let request = StartRequest {
            tasks: params.tasks.iter().map(|id| TaskId(id.clone())).collect(),
            agent: params.agent,
            layers: self.layers(),
        };
        match self.handle.call(Command::Start(request.clone())).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotTrusted && !error.commands.is_empty() => {
                self.ask_trust("Start", &error.commands).await?;
                self.call(Command::Trust { commands: error.commands }).await?;
                self.call(Command::Start(request)).await?;
            }
            Err(error) => return Err(explain(&error)),
        }
        Ok(CommandResult { tasks: params.tasks, ..done("started") })
    }

    /// Queues a task again, and starts the loop when none is on.
    pub async fn retry(self, task: TaskId, clean: bool, is_running: bool) -> FlowResult {
        self.call(Command::Retry { task: task.clone(), clean }).await?;
        if is_running {
            return Ok(CommandResult { tasks: vec![task.0], ..done("queued again") });
        }
        self.start(StartParams { tasks: vec![task.0], ..StartParams::default() }).await
    }

    /// Answers a decision; with neither option nor text the person is asked.
    pub async fn answer(
        self,
        decision: DecisionStatus,
        option: Option<String>,
        text: Option<String>,
        ask_text: bool,
    ) -> FlowResult {
        const TEXT: &str = "Answer with text…";
        let (option, text) = match (option, text) {
            (None, None) if ask_text => (None, Some(self.ask_text(&decision.question, None).await?)),
            (None, None) => {
                let mut choices: Vec<&str> = decision.options.iter().map(|option| option.label.as_str()).collect();
                if self.client.input {
                    choices.push(TEXT);
                }
                if choices.is_empty() {
                    return Err(format!("{} has no options; answer it with `text`", decision.id));
                }
                match self.ask_choice(3, &decision.question, &choices).await {
                    Ok(choice) if choice == TEXT => (None, Some(self.ask_text(&decision.question, None).await?)),
                    Ok(choice) => (Some(choice), None),
                    Err(NoChoice::Impossible) => {
                        return Err(format!("answer {} with `option`: {}", decision.id, choices.join(", ")));
                    }
                    Err(no_choice) => return Err(no_choice.to_string()),
                }
            }
            given => given,
        };
        let id = DecisionId(decision.id);
        self.call(Command::Answer { id, option, text, go_on: true }).await?;
        Ok(CommandResult { tasks: decision.task.into_iter().collect(), ..done("answered") })
    }

    /// Asks the agent that is at work on a task. The reply comes as a milestone, whenever it comes.
    pub async fn ask_agent(self, task: TaskId, text: Option<String>) -> FlowResult {
        let text = self.given_or_asked(text, &format!("What do you ask the agent of `{task}`?"), "text").await?;
        self.call(Command::Ask { task: task.clone(), text }).await?;
        Ok(CommandResult { tasks: vec![task.0], ..done("asked; the reply comes as a message") })
    }

    /// Says something to the next attempt.
    pub async fn steer(self, task: TaskId, text: Option<String>) -> FlowResult {
        let text =
            self.given_or_asked(text, &format!("What should the next attempt at `{task}` know?"), "text").await?;
        self.call(Command::Steer { task: task.clone(), text }).await?;
        Ok(CommandResult { tasks: vec![task.0], ..done("the next attempt will be told") })
    }

    /// Says something about a proposal, or takes that back.
    pub async fn comment(self, params: CommentParams) -> FlowResult {
        let task = TaskId(params.task);
        if let Some(id) = params.drop {
            self.call(Command::DropComment { task: task.clone(), id }).await?;
            return Ok(CommandResult { tasks: vec![task.0], ..done("the comment is taken back") });
        }
        let text = self.given_or_asked(params.text, &format!("What is to be said about `{task}`?"), "text").await?;
        let hunk = params.hunk.map(HunkId);
        let hunks = hunk.iter().map(ToString::to_string).collect();
        let (path, line) = (params.path, params.line);
        self.call(Command::Comment { task: task.clone(), hunk, path, line, text }).await?;
        Ok(CommandResult { tasks: vec![task.0], hunks, ..done("kept; it goes with the next send back") })
    }

    /// Sends a proposal back with what was said about it.
    pub async fn send_back(self, params: SendBackParams) -> FlowResult {
        let (task, comments) = (TaskId(params.task), params.comments);
        let (rest, rebase) = (params.rest.unwrap_or(true), params.rebase);
        self.call(Command::SendBack { task: task.clone(), comments, rest, rebase }).await?;
        let message = if rebase { "sent back, to be put onto the text as it is now" } else { "sent back" };
        Ok(CommandResult { tasks: vec![task.0], ..done(message) })
    }

    /// Rejects hunks, each with the same reason.
    pub async fn reject(self, hunks: Vec<(TaskId, Vec<HunkId>)>, why: Option<String>, ask_why: bool) -> FlowResult {
        let why = match why {
            None if ask_why && self.client.input => {
                let why = self.input("Why? (for the next attempt; may stay empty)", None).await?;
                Some(why.ok_or("nothing was rejected")?)
            }
            why => why,
        };
        let why = why.filter(|why| !why.trim().is_empty());
        let mut result = done("rejected");
        for (task, hunks) in hunks {
            result.hunks.extend(hunks.iter().map(ToString::to_string));
            result.tasks.push(task.0.clone());
            self.call(Command::Reject { task, hunks, why: why.clone(), rest: false }).await?;
        }
        Ok(result)
    }

    /// Trusts commands; without a list, everything that is not trusted is shown to the person first.
    pub async fn trust(self, commands: Vec<String>) -> FlowResult {
        let commands = if commands.is_empty() {
            let untrusted = match self.call(Command::Untrusted { tasks: Vec::new(), agent: None }).await? {
                Reply::Commands(commands) => commands,
                other => return Err(unexpected(&other).to_string()),
            };
            if untrusted.is_empty() {
                return Ok(done("everything is trusted already"));
            }
            self.ask_trust("Trust", &untrusted).await?;
            untrusted
        } else {
            commands
        };
        let count = commands.len();
        self.call(Command::Trust { commands }).await?;
        Ok(done(&format!("{count} commands are trusted now")))
    }

    /// Where no agent is configured: finds those of this machine, and with the person's consent writes a first
    /// configuration and trusts what they were shown. Then plans.
    pub async fn set_up_and_plan(self, request: PlanRequest) -> FlowResult {
        let Some(first) = self.connector.propose(&self.root).await? else { return self.plan(request).await };
        let yes = format!("Use {}", first.chain.join(", "));
        match self.ask_choice(3, &visible_lines(&first.question), &[&yes, "Not now"]).await {
            Ok(choice) if choice == yes => {}
            Ok(_) | Err(NoChoice::Dismissed) => {
                return Err("nothing was written, and nothing was planned".to_owned());
            }
            Err(NoChoice::Impossible) => {
                return Err(
                    "no agent is configured, and this editor cannot ask; run `ralph-sidecar init` in a terminal"
                        .to_owned(),
                );
            }
            Err(NoChoice::Failed(reason)) => return Err(reason),
        }
        let commands = first.commands.clone();
        self.connector.set_up(&self.root, first).await?;
        self.call(Command::Trust { commands }).await?;
        self.plan(request).await
    }

    /// Plans and tells the person how that went.
    pub async fn plan(self, mut request: PlanRequest) -> FlowResult {
        if request.goal.trim().is_empty() {
            if !self.client.input {
                let way = "write the goal on a line of its own, select it and choose *Plan from selection*; or run \
                           `ralph-sidecar plan \"…\"` in a terminal (or pass `goal`)";
                return Err(format!("this editor cannot ask for the goal: {way}"));
            }
            request.goal = self.given_or_asked(None, "What should be planned?", "goal").await?;
        }
        request.layers = self.layers();
        let plan = self.call_plan(request).await?;
        let message = match plan.tasks.len() {
            0 => "the planner found nothing to do".to_owned(),
            1 => format!("1 task was planned: {}", plan.tasks[0].title),
            count => format!("{count} tasks were planned"),
        };
        self.say(&message);
        Ok(CommandResult { tasks: plan.tasks.iter().map(|task| task.id.0.clone()).collect(), ..done(&message) })
    }

    /// Sends drafts back to the planner; the difference is shown before it replaces anything.
    pub async fn revise(self, mut request: PlanRequest, apply: bool, uri_of: impl Fn(&str) -> String) -> FlowResult {
        if request.goal.trim().is_empty() {
            request.goal = self.given_or_asked(None, "How should the plan change?", "instructions").await?;
        }
        request.layers = self.layers();
        let plan = self.call_plan(request).await?;
        let uri = uri_of(&plan.plan);
        drop(self.post.send(Internal::PlanDiff { plan: plan.plan.clone(), diff: plan.diff.clone() }));
        let tasks = plan.tasks.iter().map(|task| task.id.0.clone()).collect();
        if plan.applied {
            return Ok(CommandResult { tasks, uri: Some(uri), ..done("the drafts were revised") });
        }
        if !apply {
            self.show_document(&uri, None).await;
            let question = format!("Replace the drafts by the revised plan?\n\n{}", plan.diff);
            self.ask_choice(3, &question, &["Replace", "Keep the drafts"])
                .await
                .map_err(|no_choice| no_choice.to_string())
                .and_then(
                    |choice| {
                        if choice == "Replace" { Ok(()) } else { Err("the drafts stay as they were".to_owned()) }
                    },
                )?;
        }
        self.call(Command::ApplyPlan { plan: plan.plan }).await?;
        Ok(CommandResult { tasks, uri: Some(uri), ..done("the drafts were revised") })
    }

    async fn call_plan(&self, request: PlanRequest) -> Result<PlanReply, String> {
        match self.handle.call(Command::Plan(request.clone())).await {
            Ok(Reply::Plan(plan)) => Ok(plan),
            Ok(other) => Err(unexpected(&other).to_string()),
            Err(error) if error.kind == ErrorKind::NotTrusted && !error.commands.is_empty() => {
                self.ask_trust("Plan", &error.commands).await?;
                self.call(Command::Trust { commands: error.commands }).await?;
                match self.call(Command::Plan(request)).await? {
                    Reply::Plan(plan) => Ok(plan),
                    other => Err(unexpected(&other).to_string()),
                }
            }
            Err(error) => Err(explain(&error)),
        }
    }

    /// Shows a document the person asked for, where the client can.
    pub async fn show_document(&self, uri: &str, selection: Option<lsp_types::Range>) {
        if uri.starts_with("ralph:") && !self.client.text_document_content || !self.client.show_document {
            return;
        }
        let params = json!({ "uri": uri, "takeFocus": true, "selection": selection });
        if let Err(error) = self.outbound.request("window/showDocument", params, PROMPT).await {
            tracing::info!(%error, uri, "the document was not shown");
        }
    }

    /// Carries out a command; the error is a sentence for the person.
    pub async fn call(&self, command: Command) -> Result<Reply, String> {
        // An undo that was told a moment ago must not arrive after the rejection that followed it, nor a save after a
        // landing.
        let (done, all_so_far) = oneshot::channel();
        if self.tell.send(Told::AllSoFar(done)).is_ok() {
            drop(all_so_far.await);
        }
        self.handle.call(command).await.map_err(|error| explain(&error))
    }

    fn say(&self, message: &str) {
        self.outbound.notify("window/showMessage", json!({ "type": 3, "message": format!("Ralph: {message}") }));
    }

    /// The editor's settings come before those of the command line, of which an editor has none.
    fn layers(&self) -> Vec<Value> {
        if self.settings.is_object() { vec![self.settings.clone(), json!({})] } else { Vec::new() }
    }

    async fn edit_queue(&self, edit: QueueEdit) -> Result<EditQueue, String> {
        let (done, edited) = oneshot::channel();
        drop(self.post.send(Internal::EditQueue { root: self.root.clone(), edit, done }));
        edited.await.map_err(|_| "the session ended".to_owned())
    }

    /// Shows the commands that would run and asks whether that is meant.
    async fn ask_trust(&self, doing: &str, commands: &[String]) -> Result<(), String> {
        // A mark before each, because some editors show a message on one line.
        let list: String = commands.iter().map(|command| format!("\n• {}", visible(command))).collect();
        let yes = if doing == "Trust" { doing.to_owned() } else { format!("Trust and {}", doing.to_lowercase()) };
        let question = format!("{doing}: this repository may then run these commands in its worktrees:{list}");
        match self.ask_choice(2, &question, &[&yes, "Cancel"]).await {
            Ok(choice) if choice == yes => Ok(()),
            Ok(_) | Err(NoChoice::Dismissed) => Err("nothing was trusted, and nothing was done".to_owned()),
            Err(NoChoice::Impossible) => Err(format!(
                "these commands are not trusted yet; pass them as `trust`, or run `ralph-sidecar trust`:{list}"
            )),
            Err(NoChoice::Failed(reason)) => Err(reason),
        }
    }

    async fn ask_choice(&self, kind: u8, message: &str, choices: &[&str]) -> Result<String, NoChoice> {
        if !self.client.show_message_actions {
            return Err(NoChoice::Impossible);
        }
        let actions: Vec<Value> = choices.iter().map(|title| json!({ "title": title })).collect();
        let params = json!({ "type": kind, "message": message, "actions": actions });
        match self.outbound.request("window/showMessageRequest", params, PERSON).await {
            Ok(answer) => answer["title"].as_str().map(str::to_owned).ok_or(NoChoice::Dismissed),
            Err(RequestError::Refused { .. }) => Err(NoChoice::Impossible),
            Err(error) => Err(NoChoice::Failed(error.to_string())),
        }
    }

    async fn given_or_asked(&self, given: Option<String>, prompt: &str, field: &str) -> Result<String, String> {
        match given.filter(|text| !text.trim().is_empty()) {
            Some(text) => Ok(text),
            None if self.client.input => self.ask_text(prompt, None).await,
            None => Err(format!("pass `{field}`: this editor cannot be asked for it")),
        }
    }

    async fn ask_text(&self, prompt: &str, placeholder: Option<String>) -> Result<String, String> {
        let text = self.input(prompt, placeholder).await?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| "nothing was entered".to_owned())
    }

    async fn input(&self, prompt: &str, placeholder: Option<String>) -> Result<Option<String>, String> {
        let params = InputParams { prompt: prompt.to_owned(), placeholder };
        let answer = self.outbound.request(INPUT, params, PERSON).await.map_err(|error| error.to_string())?;
        let result: Option<InputResult> = serde_json::from_value(answer).map_err(|error| error.to_string())?;
        Ok(result.unwrap_or_default().text)
    }
}

/// Why a person chose nothing.
#[derive(Debug, thiserror::Error)]
enum NoChoice {
    /// They closed the question.
    #[error("nothing was chosen")]
    Dismissed,
    /// The client asks no questions.
    #[error("this editor cannot ask; use `ralph-sidecar` in a terminal")]
    Impossible,
    #[error("{0}")]
    Failed(String),
}

/// Returns a command string with everything written out that could make it look like another one.
fn visible(command: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    command.chars().flat_map(|c| if hidden(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// As [`visible`], line by line.
fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// Makes a result with a sentence.
pub fn done(message: &str) -> CommandResult {
    CommandResult { message: message.to_owned(), ..CommandResult::default() }
}

/// Returns an engine's error with its next step, for a person.
pub fn explain(error: &ApiError) -> String {
    match &error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message.clone(),
    }
}

fn names(tasks: &[TaskId]) -> Vec<String> {
    tasks.iter().map(|task| task.0.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_command_cannot_look_like_another_one() {
        let cases = [
            ("cargo test --all 'ü'", "cargo test --all 'ü'"),
            ("true\nrm -rf /", "true\\nrm -rf /"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{1b}[2K", "a\\u{1b}[2K"),
            ("a\u{200b}b", "a\\u{200b}b"),
        ];
        for (command, shown) in cases {
            assert_eq!(visible(command), shown);
        }
    }
}
