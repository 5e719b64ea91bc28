//! The commands: from a name and an argument to what the session or a flow does, in one table.

use super::flows::{Flow, FlowResult, done, explain};
use super::landing::{land, undo};
use super::links::{self, Link};
use super::notices::PLAN_TOKEN;
use super::plan_actions::todo_task;
use super::review::place;
use super::root::Link as EngineLink;
use super::{Internal, Session, Waiting, status};
use crate::domain::queue::LiveState;
use crate::domain::task::{Task, TaskId};
use crate::lsp::convert::to_path;
use crate::lsp::message::Reply;
use crate::lsp::progress::Step;
use crate::protocol::editor::{
    AcceptParams, AnswerParams, ApproveParams, Command, CommandResult, CommentParams, LandParams, PlanParams,
    ProposalParams, RejectParams, RetryParams, RevisePlanParams, SendBackParams, SteerParams, StopParams, TodoPlace,
    TrustParams,
};
use crate::protocol::engine_api::{Command as EngineCommand, PlanContext, PlanRequest};
use lsp_types::{ExecuteCommandParams, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl Session {
    /// Carries out `workspace/executeCommand`.
    pub(super) fn execute_named(&mut self, params: ExecuteCommandParams, reply: Reply<Option<Value>>) {
        let Some(command) = Command::from_name(&params.command) else {
            return reply.fail(format!("there is no command `{}`", params.command));
        };
        let argument = params.arguments.into_iter().next().unwrap_or(Value::Null);
        let (inner, answer) = Reply::new();
        self.execute(command, argument, inner);
        tokio::spawn(async move {
            if let Ok(answer) = answer.await {
                reply.send(answer.map(Some));
            }
        });
    }

    /// Carries out a command, as soon as the engine of its folder has spoken.
    pub(super) fn execute(&mut self, command: Command, argument: Value, reply: Reply<Value>) {
        let argument = if argument.is_null() { json!({}) } else { argument };
        let index = match self.root_for(argument["root"].as_str()) {
            Ok(index) => index,
            Err(_) if self.locating > 0 => {
                return self.waiting.push((PathBuf::new(), Waiting::Command(command, argument, reply)));
            }
            Err(message) => return reply.fail(message),
        };
        let needs_texts = matches!(command, Command::Accept | Command::Reject | Command::Proposal);
        let root = &self.roots[index];
        let is_ready = root.handle().is_some() && root.is_ready && !(needs_texts && root.is_loading());
        if !is_ready {
            self.want(index);
            return self.waiting.push((self.roots[index].path.clone(), Waiting::Command(command, argument, reply)));
        }
        if let Err(message) = self.dispatch(index, command, argument, reply) {
            tracing::debug!(%message, command = command.name(), "a command was refused");
        }
    }

    /// The table of the commands. What it refuses is answered here already.
    fn dispatch(&mut self, index: usize, command: Command, argument: Value, reply: Reply<Value>) -> Result<(), String> {
        let parsed = match Parsed::new(command, argument) {
            Ok(parsed) => parsed,
            Err(message) => {
                reply.fail(message.clone());
                return Err(message);
            }
        };
        let Some(flow) = self.flow(index) else { return Ok(()) };
        let is_running = self.roots[index].snapshot.run.is_some();
        match parsed {
            Parsed::Status => reply.ok(json!(status::status(&self.roots[index]))),
            Parsed::Plan(params) => self.plan(index, flow, params, reply),
            Parsed::RevisePlan(params) => self.revise_plan(index, flow, params, reply),
            Parsed::Approve(params) => {
                let drafts = self.named_or_drafts(index, &params.tasks);
                spawn(reply, flow.approve(params, drafts));
            }
            Parsed::Drop(params) => spawn(reply, flow.drop_tasks(params)),
            Parsed::Start(params) => {
                let unsaved = self.roots[index].holds_queue;
                let start = async move {
                    let hint = if unsaved { " (the queue has unsaved changes; save it first)" } else { "" };
                    flow.start(params).await.map_err(|message| format!("{message}{hint}"))
                };
                spawn(reply, start);
            }
            Parsed::Stop(params) => {
                let message = if params.kill { "stopped" } else { "stops after this attempt" };
                spawn(reply, flow.simply(EngineCommand::Stop { kill: params.kill }, message));
            }
            Parsed::Pause => spawn(reply, flow.simply(EngineCommand::Pause, "paused")),
            Parsed::Resume => spawn(reply, flow.simply(EngineCommand::Resume, "resumed")),
            Parsed::Land(params) => match self.land_request(index, params) {
                Ok(request) => spawn(reply, land(flow, request)),
                Err(message) => reply.fail(message),
            },
            Parsed::Undo => spawn(reply, undo(flow)),
            Parsed::Retry(params) => spawn(reply, flow.retry(TaskId(params.task), params.clean, is_running)),
            Parsed::Steer(params) if params.ask => spawn(reply, flow.ask_agent(TaskId(params.task), params.text)),
            Parsed::Steer(params) => spawn(reply, flow.steer(TaskId(params.task), params.text)),
            Parsed::Comment(params) => spawn(reply, flow.comment(params)),
            Parsed::Answer(params) => self.answer(index, flow, params, reply),
            Parsed::Proposal(params) => self.proposal(index, flow, params, reply),
            Parsed::Accept(params) => self.accept(index, flow, params, reply),
            Parsed::Reject(params) => self.reject(index, flow, params, reply),
            Parsed::SendBack(params) => spawn(reply, flow.send_back(params)),
            Parsed::Trust(params) => spawn(reply, flow.trust(params.commands)),
        }
        Ok(())
    }

    /// Finds the root a command is about.
    fn root_for(&self, named: Option<&str>) -> Result<usize, String> {
        match named {
            Some(named) => {
                let path = Url::parse(named).ok().and_then(|uri| to_path(&uri)).unwrap_or_else(|| PathBuf::from(named));
                self.root_of_path(&path).ok_or_else(|| format!("{named} is in no open folder"))
            }
            None => match self.roots.as_slice() {
                [_] => Ok(0),
                [] => Err("no folder is open".to_owned()),
                _ => Err("several folders are open; name one as `root`".to_owned()),
            },
        }
    }

    fn flow(&self, index: usize) -> Option<Flow> {
        let root = &self.roots[index];
        let EngineLink::Up(up) = &root.link else { return None };
        Some(Flow {
            handle: up.handle.clone(),
            tell: up.tell.clone(),
            outbound: self.outbound.clone(),
            client: self.client.clone(),
            root: root.path.clone(),
            post: self.post.clone(),
            settings: self.settings.clone(),
            connector: self.connector.clone(),
        })
    }

    fn named_or_drafts(&self, index: usize, named: &[String]) -> Vec<TaskId> {
        if !named.is_empty() {
            return named.iter().cloned().map(TaskId).collect();
        }
        let drafts = self.roots[index].snapshot.tasks.iter().filter(|view| view.state == LiveState::Draft);
        drafts.map(|view| view.task.id.clone()).collect()
    }

    fn plan(&mut self, index: usize, flow: Flow, params: PlanParams, reply: Reply<Value>) {
        let root = &self.roots[index];
        if let Some(place) = &params.todo {
            return match self.todo_draft(index, place) {
                Ok(task) => spawn(reply, flow.add_draft(task)),
                Err(message) => reply.fail(message),
            };
        }
        let context = params.context.into_iter().map(|place| PlanContext {
            file: place.uri.and_then(|uri| root.relative_uri(&Url::parse(&uri).ok()?)),
            lines: Some((place.start_line + 1, place.end_line + 1)),
            text: place.text,
        });
        let request = PlanRequest {
            goal: params.goal.unwrap_or_default(),
            context: context.collect(),
            agent: params.agent,
            ..PlanRequest::default()
        };
        let without_agents = request.agent.is_none() && self.has_no_agents(index);
        let progress = self.begin_plan(index, "Planning");
        if without_agents {
            return spawn(reply, ending(progress, flow.set_up_and_plan(request)));
        }
        spawn(reply, ending(progress, flow.plan(request)));
    }

    /// Tells whether no layer of settings names an agent.
    fn has_no_agents(&self, index: usize) -> bool {
        let named = |settings: &Value| settings["agents"].as_object().map(|agents| !agents.is_empty());
        named(&self.roots[index].snapshot.settings) == Some(false) && named(&self.settings) != Some(true)
    }

    /// Makes the draft of a TODO comment of an open document.
    fn todo_draft(&self, index: usize, place: &TodoPlace) -> Result<Task, String> {
        let root = &self.roots[index];
        let uri = Url::parse(&place.uri).map_err(|error| format!("{}: {error}", place.uri))?;
        let document = self.documents.get(&uri).ok_or_else(|| format!("{uri} is not open"))?;
        let path = root.relative_uri(&uri).ok_or_else(|| format!("{uri} is not in {}", root.path.display()))?;
        let mut existing: Vec<Task> = root.snapshot.tasks.iter().map(|view| view.task.clone()).collect();
        if let Some(queue) = self.documents.at(&root.queue_path()) {
            existing.extend(queue.queue().parsed.usable_tasks().cloned());
        }
        todo_task(&path, document.text.as_str(), place.line, &existing)
    }

    fn revise_plan(&mut self, index: usize, flow: Flow, params: RevisePlanParams, reply: Reply<Value>) {
        let drafts = self.named_or_drafts(index, &params.tasks);
        if drafts.is_empty() {
            return reply.fail("there is no draft to revise");
        }
        let request = PlanRequest {
            goal: params.instructions.unwrap_or_default(),
            agent: params.agent,
            revise: drafts,
            ..PlanRequest::default()
        };
        let root = self.roots[index].path.clone();
        let uri_of = move |plan: &str| links::to_uri(&root, &Link::Plan { plan: plan.to_owned() });
        let progress = self.begin_plan(index, "Revising the plan");
        spawn(reply, ending(progress, flow.revise(request, params.apply, uri_of)));
    }

    /// Shows a planner as progress; returns what ends it.
    fn begin_plan(&mut self, index: usize, title: &str) -> impl FnOnce() + Send + use<> {
        self.plans += 1;
        let token = format!("{PLAN_TOKEN}{}@{}", self.plans, self.roots[index].uri());
        let shown = self.client.work_done_progress;
        if shown {
            self.plan_tokens.insert(token.clone());
            let begin = Step::Begin { title: format!("Ralph: {title}"), message: None, cancellable: true };
            self.outbound.progress(&token, begin);
        }
        let (outbound, post) = (self.outbound.clone(), self.post.clone());
        move || {
            if shown {
                outbound.progress(&token, Step::End { message: None });
                drop(post.send(Internal::PlanEnded { token }));
            }
        }
    }

    fn answer(&self, index: usize, flow: Flow, params: AnswerParams, reply: Reply<Value>) {
        let open = &self.roots[index].snapshot.decisions;
        let decision = match &params.decision {
            Some(id) => open.iter().find(|decision| decision.id.0 == *id),
            None => open.first(),
        };
        let Some(decision) = decision else {
            return reply.fail(match params.decision {
                Some(id) => format!("there is no open question `{id}`"),
                None => "there is no open question".to_owned(),
            });
        };
        let decision = status::decision(decision);
        spawn(reply, flow.answer(decision, params.option, params.text, params.ask_text));
    }

    fn proposal(&self, index: usize, flow: Flow, params: ProposalParams, reply: Reply<Value>) {
        let root = &self.roots[index];
        let Some((summary, view)) = root.proposal(&TaskId(params.task.clone())) else {
            return reply.fail(format!("`{}` has no proposal that waits for review", params.task));
        };
        let placed: Vec<_> = self.documents.iter().flat_map(|document| place(root, document)).collect();
        let proposal = status::proposal(root, summary, view, &placed);
        if !params.show {
            return reply.ok(json!(proposal));
        }
        let pending = proposal.files.iter().flat_map(|file| file.hunks.iter().map(move |hunk| (file, hunk)));
        let first = pending.clone().find(|(_, hunk)| hunk.mark == "pending" && hunk.kind == "text");
        let (uri, range) = match first.or_else(|| pending.clone().next()) {
            Some((file, hunk)) if !self.client.text_document_content => {
                let line = |line: u32| lsp_types::Position::new(line, 0);
                (file.uri.clone(), Some(lsp_types::Range::new(line(hunk.start_line), line(hunk.start_line))))
            }
            _ => (proposal.uri.clone(), None),
        };
        spawn(reply, async move {
            flow.show_document(&uri, range).await;
            Ok(CommandResult { tasks: vec![params.task], uri: Some(uri), ..done("shown") })
        });
    }

    /// Returns why an engine cannot be had.
    pub(super) fn engine_problem(&self, path: &Path) -> Option<String> {
        match &self.roots[self.root_index(path)?].link {
            EngineLink::Down(error) => Some(explain(error)),
            _ => None,
        }
    }
}

/// A command with its argument read.
enum Parsed {
    Plan(PlanParams),
    RevisePlan(RevisePlanParams),
    Approve(ApproveParams),
    Drop(crate::protocol::editor::DropParams),
    Start(crate::protocol::editor::StartParams),
    Stop(StopParams),
    Pause,
    Resume,
    Retry(RetryParams),
    Steer(SteerParams),
    Answer(AnswerParams),
    Proposal(ProposalParams),
    Accept(AcceptParams),
    Reject(RejectParams),
    Comment(CommentParams),
    SendBack(SendBackParams),
    Land(LandParams),
    Undo,
    Status,
    Trust(TrustParams),
}

impl Parsed {
    fn new(command: Command, argument: Value) -> Result<Self, String> {
        fn read<T: DeserializeOwned>(command: Command, argument: Value) -> Result<T, String> {
            serde_json::from_value(argument).map_err(|error| format!("the argument of {}: {error}", command.name()))
        }
        Ok(match command {
            Command::Plan => Self::Plan(read(command, argument)?),
            Command::RevisePlan => Self::RevisePlan(read(command, argument)?),
            Command::Approve => Self::Approve(read(command, argument)?),
            Command::Drop => Self::Drop(read(command, argument)?),
            Command::Start => Self::Start(read(command, argument)?),
            Command::Stop => Self::Stop(read(command, argument)?),
            Command::Pause => Self::Pause,
            Command::Resume => Self::Resume,
            Command::Retry => Self::Retry(read(command, argument)?),
            Command::Steer => Self::Steer(read(command, argument)?),
            Command::Answer => Self::Answer(read(command, argument)?),
            Command::Proposal => Self::Proposal(read(command, argument)?),
            Command::Accept => Self::Accept(read(command, argument)?),
            Command::Reject => Self::Reject(read(command, argument)?),
            Command::Comment => Self::Comment(read(command, argument)?),
            Command::SendBack => Self::SendBack(read(command, argument)?),
            Command::Land => Self::Land(read(command, argument)?),
            Command::Undo => Self::Undo,
            Command::Status => Self::Status,
            Command::Trust => Self::Trust(read(command, argument)?),
        })
    }
}

/// Runs a flow and answers with what it leads to; it goes on when the client cancels the request.
pub(super) fn spawn(reply: Reply<Value>, flow: impl Future<Output = FlowResult> + Send + 'static) {
    tokio::spawn(async move {
        match flow.await {
            Ok(result) => reply.ok(json!(result)),
            Err(message) => reply.fail(message),
        }
    });
}

async fn ending(end: impl FnOnce() + Send, flow: impl Future<Output = FlowResult> + Send) -> FlowResult {
    let result = flow.await;
    end();
    result
}
