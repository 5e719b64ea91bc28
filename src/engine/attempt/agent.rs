//! The agent's part: starting or adopting it, and listening to its mailbox while it works.

use super::Job;
use super::start::Start;
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::reduce::Input;
use crate::domain::report::Report;
use crate::engine::checks::stopped;
use crate::engine::ports::{Mail, MailItem, PortError, PortResult, ProcessEnd, ProcessOrder, Running, World};
use crate::engine::prompt;
use crate::protocol::config::{AgentConfig, AgentKind, Claims, Role};
use crate::protocol::drive::{Budget, DriveOrder};
use crate::protocol::plan_text::last_fenced_block;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How much of a transcript's end is looked at for the fenced block and the last words, in bytes.
const LAST_WORDS: u64 = 64 * 1024;

/// How long after a mailbox could not be read it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often the mailbox of an agent that has ended is tried.
const LAST_TRIES: u32 = 3;

/// Waits until something may have arrived; after a failure, a while.
async fn arrived(mail: &mut dyn Mail, failed: bool) {
    if failed {
        tokio::time::sleep(TRY_AGAIN).await;
    } else {
        mail.arrived().await;
    }
}

/// How the agent ended.
pub(in crate::engine) struct AgentEnd {
    pub end: ProcessEnd,
    /// The first report that claims, asks or gives up.
    pub verdict: Option<Report>,
    /// The end of its output.
    pub last_words: String,
}

impl Job {
    /// Returns the end of an attempt whose agent nobody configured, or none.
    pub(super) fn unknown_agent(&self) -> Option<AttemptEnd> {
        let error = self.agent().err()?;
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Some(AttemptEnd::new(Outcome::MissingBinary, format!("failed to {error}{hint}")))
    }

    fn agent(&self) -> PortResult<&AgentConfig> {
        self.settings.agents.get(&self.record.agent).ok_or_else(|| {
            let known: Vec<&str> = self.settings.agents.keys().map(String::as_str).collect();
            PortError { data: true, ..PortError::new(format!("find the agent `{}`", self.record.agent)) }
                .with_hint(format!("configured agents: {}", known.join(", ")))
        })
    }

    pub(super) async fn start_agent(&self, start: &Start) -> PortResult<AgentEnd> {
        let agent = self.agent()?;
        let world = &self.context.world;
        let state = self.context.state().await?;
        let text =
            prompt::implementer(world, &self.settings, &state, &self.task, &self.nonce, start.continued, &start.words)
                .await?;
        let prompt = self.folder.join("prompt.md");
        world.processes.write(prompt.clone(), text).await?;
        let (mailbox, mail) = world.processes.mailbox(&self.key.0, self.id.number, &self.nonce).await?;
        let limits = self.settings.limits.for_task(&self.task.limits);
        let drive = DriveOrder {
            name: self.record.agent.clone(),
            agent: agent.clone(),
            role: Role::Implementer,
            model: self.record.model.clone(),
            prompt: prompt.clone(),
            session: None,
            budget: Budget::default(),
            fenced: false,
        };
        let order = ProcessOrder {
            folder: self.folder.clone(),
            argv: agent_argv(world, drive, &self.folder).await?,
            cwd: start.slot.clone(),
            env: self.agent_env(agent, &prompt, &mailbox, &world.processes.tool_folder()),
            stdin: Some(prompt),
            idle_seconds: Some(limits.idle_seconds),
            wall_seconds: Some(limits.attempt_seconds),
            stop: agent.stop_steps().to_vec(),
            activity: Some(mailbox),
            marker: self.marker.clone(),
            fence: None,
        };
        if *self.stop.borrow() {
            return Ok(AgentEnd { end: ProcessEnd::Stopped, verdict: None, last_words: String::new() });
        }
        // Journaled before it happens: an agent is never started twice for one attempt.
        self.context.input(Input::AgentStarted { attempt: self.id.clone() }).await;
        self.progress(format!("{} is working", self.record.agent));
        let running = world.processes.start(order).await?;
        self.listen(running, mail).await
    }

    /// Takes over the agent; none when the engine before this one was killed before it could start it.
    pub(super) async fn adopt_agent(&self) -> PortResult<Option<AgentEnd>> {
        let world = &self.context.world;
        let Some(running) = world.processes.adopt(self.folder.clone(), self.marker.clone()).await? else {
            return Ok(None);
        };
        let (_, mail) = world.processes.mailbox(&self.key.0, self.id.number, &self.nonce).await?;
        self.listen(running, mail).await.map(Some)
    }

    fn agent_env(&self, agent: &AgentConfig, prompt: &Path, mailbox: &Path, tools: &Path) -> BTreeMap<String, String> {
        let mut env = agent.env.clone();
        // Comes first in PATH too, before what the user has.
        env.insert("RALPH_TOOLS".into(), tools.display().to_string());
        env.insert("RALPH_ROLE".into(), "implementer".into());
        env.insert("RALPH_TASK_ID".into(), self.id.task.0.clone());
        env.insert("RALPH_ATTEMPT".into(), self.id.to_string());
        env.insert("RALPH_ATTEMPT_NUMBER".into(), self.id.number.to_string());
        env.insert("RALPH_PROMPT_FILE".into(), prompt.display().to_string());
        env.insert("RALPH_MAILBOX".into(), mailbox.display().to_string());
        env.insert("RALPH_NONCE".into(), self.nonce.clone());
        env
    }

    /// Waits for the agent's end, taking reports and passing output on meanwhile.
    async fn listen(&self, mut running: Box<dyn Running>, mut mail: Box<dyn Mail>) -> PortResult<AgentEnd> {
        let stopper = running.stopper();
        if let Some(mut output) = running.output() {
            let (context, id) = (self.context.clone(), self.id.clone());
            tokio::spawn(async move {
                while let Some(text) = output.recv().await {
                    context.output(&id, text);
                }
            });
        }
        let mut stop = self.stop.clone();
        let mut stopping = false;
        let mut unread = None;
        let end = loop {
            tokio::select! {
                end = running.wait() => break end,
                () = arrived(mail.as_mut(), unread.is_some()) => {
                    // The agent goes on working: what could not be read is read later.
                    let failed = self.take_reports(mail.as_mut()).await.err();
                    if let Some(error) = failed.as_ref().filter(|_| unread.is_none()) {
                        self.context.notice(true, format!("{}: failed to {error}; trying again", self.id));
                    }
                    unread = failed;
                }
                () = stopped(&mut stop), if !stopping => {
                    stopping = true;
                    stopper.stop().await;
                }
            }
        };
        self.take_last_reports(mail.as_mut()).await?;
        let transcript = self.folder.join("transcript.log");
        let last_words = self.context.world.processes.read_tail(transcript, LAST_WORDS).await?.unwrap_or_default();
        if self.verdict().await?.is_none() {
            self.last_resort(&end, &last_words).await?;
        }
        Ok(AgentEnd { end, verdict: self.verdict().await?, last_words })
    }

    async fn verdict(&self) -> PortResult<Option<Report>> {
        let state = self.context.state().await?;
        Ok(state.attempt(&self.id).and_then(|attempt| attempt.verdict.clone()))
    }

    /// Without a report: the fenced block in the last message, or the exit status where the agent claims by it.
    async fn last_resort(&self, end: &ProcessEnd, last_words: &str) -> PortResult<()> {
        let by_status = self.agent().is_ok_and(|agent| agent.claims == Claims::ExitStatus);
        let report = last_fenced_block(last_words, &self.nonce).and_then(|value| serde_json::from_value(value).ok());
        let report = report.or_else(|| {
            let claimed = by_status && *end == ProcessEnd::Exited(0);
            claimed.then(|| Report::Finished {
                summary: format!("{} exited with status 0", self.record.agent),
                no_change: None,
                evidence: None,
            })
        });
        if let Some(report) = report {
            self.context.input(Input::Reported { attempt: self.id.clone(), id: "last-words".into(), report }).await;
        }
        Ok(())
    }

    /// The agent is gone: what is in its mailbox now is all there will be.
    async fn take_last_reports(&self, mail: &mut dyn Mail) -> PortResult<()> {
        for _ in 1..LAST_TRIES {
            if self.take_reports(mail).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        self.take_reports(mail).await
    }

    async fn take_reports(&self, mail: &mut dyn Mail) -> PortResult<()> {
        for item in mail.take().await? {
            match item {
                MailItem::Report { id, seq, report } => {
                    if let Report::Progress { text } = &report {
                        self.progress(text.clone());
                    }
                    self.context.input(Input::Reported { attempt: self.id.clone(), id, report }).await;
                    mail.acknowledge(seq).await?;
                }
                MailItem::Poisoned { detail } => {
                    self.context.notice(true, format!("{}: a report could not be read: {detail}", self.id));
                }
            }
        }
        Ok(())
    }
}

/// Returns the command line that starts the agent, or its driver, whose order is written into the folder.
pub(in crate::engine) async fn agent_argv(world: &World, drive: DriveOrder, folder: &Path) -> PortResult<Vec<String>> {
    let own_program = world.processes.own_program().display().to_string();
    let agent = &drive.agent;
    if agent.is_driven() {
        let file = folder.join("drive.json");
        let text = serde_json::to_string_pretty(&drive).unwrap_or_default();
        world.processes.write(file.clone(), text).await?;
        return Ok(vec![own_program, "agent".into(), file.display().to_string()]);
    }
    Ok(match &agent.script {
        Some(script) if agent.kind == AgentKind::Scripted => {
            vec![own_program, "scripted-agent".into(), world.root.join(script).display().to_string()]
        }
        _ => agent.command.clone(),
    })
}
