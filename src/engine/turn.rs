//! One turn of one agent in a role: its order, its start or adoption, listening while it works, and how it ended.
//!
//! ```text
//! prepare ──▶ (the caller journals that it starts) ──▶ start ──┐
//! adopt (the engine before this one started it) ───────────────┴──▶ listen: reports, output, stop ──▶ TurnEnd
//! ```

mod end;

pub use end::TurnEnd;

use super::checks::stopped;
use super::context::Context;
use super::ports::{Fence, Mail, MailItem, PortResult, ProcessEnd, ProcessOrder, Running};
use crate::domain::event::AttemptId;
use crate::domain::reduce::Input;
use crate::domain::report::Report;
use crate::protocol::agent_lines::{AgentLine, Reading};
use crate::protocol::config::{AgentConfig, AgentKind, Role, StopStep};
use crate::protocol::drive::{Budget, DriveOrder};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// How long after a mailbox could not be read it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often the mailbox of an agent that has ended is tried.
const LAST_TRIES: u32 = 3;
/// The longest piece of output without a line break that is kept together, in bytes.
const LONGEST_LINE: usize = 1024 * 1024;

/// Who works, on what and within which bounds.
pub struct Turn<'a> {
    pub context: &'a Context,
    pub role: Role,
    /// The agent's name in the configuration.
    pub name: &'a str,
    pub agent: &'a AgentConfig,
    /// The agent's own default when absent.
    pub model: Option<String>,
    /// Where its files go.
    pub folder: PathBuf,
    /// The slot.
    pub cwd: PathBuf,
    /// What to call it towards the agent: `TASK#N` for what belongs to an attempt.
    pub called: String,
    /// The number of the attempt, or of the round.
    pub number: u32,
    /// Key and number of its mailbox.
    pub mailbox: (String, u32),
    /// Proves that a fenced block was written by this agent.
    pub nonce: &'a str,
    /// Found again in every process of it.
    pub marker: String,
    /// The attempt it belongs to; absent for planners.
    pub attempt: Option<AttemptId>,
    /// Longest silence and longest time, in seconds.
    pub idle_seconds: u64,
    pub wall_seconds: u64,
    pub budget: Budget,
    /// A session of the agent to go on with.
    pub session: Option<String>,
    pub stop: watch::Receiver<bool>,
}

/// A turn that can be started.
pub struct Ready {
    order: ProcessOrder,
    mail: Box<dyn Mail>,
}

/// What was taken from the mailbox so far, each report once.
#[derive(Default)]
struct Taken {
    ids: HashSet<String>,
    reports: Vec<Report>,
}

impl Turn<'_> {
    /// Writes the prompt, makes the mailbox and the order.
    pub async fn prepare(&self, prompt: String) -> PortResult<Ready> {
        let processes = &self.context.world.processes;
        let file = self.folder.join("prompt.md");
        processes.write(file.clone(), prompt).await?;
        let (mailbox, mail) = processes.mailbox(&self.mailbox.0, self.mailbox.1, self.nonce).await?;
        let driven = self.agent.is_driven();
        let order = ProcessOrder {
            folder: self.folder.clone(),
            argv: self.argv(&file).await?,
            cwd: self.cwd.clone(),
            env: self.env(&file, &mailbox),
            stdin: (!driven).then_some(file),
            idle_seconds: Some(self.idle_seconds),
            wall_seconds: Some(self.wall_seconds),
            // A driver stops its agent in the agent's own order.
            stop: if driven { vec![StopStep::Terminate] } else { self.agent.stop_steps().to_vec() },
            fence: Some(Fence {
                slot: self.writes().then(|| self.cwd.clone()),
                mailbox: Some(mailbox.clone()),
                agent: Some(self.agent.clone()),
            }),
            activity: Some(mailbox),
            marker: self.marker.clone(),
        };
        Ok(Ready { order, mail })
    }

    /// Starts it and waits for its end.
    pub async fn start(&self, ready: Ready) -> PortResult<TurnEnd> {
        if *self.stop.borrow() {
            return Ok(self.end(ProcessEnd::Stopped, None, String::new()));
        }
        let running = self.context.world.processes.start(ready.order).await?;
        self.listen(running, ready.mail).await
    }

    /// Takes it over from the engine before this one; none when that one was killed before it could start it.
    pub async fn adopt(&self) -> PortResult<Option<TurnEnd>> {
        let processes = &self.context.world.processes;
        let Some(running) = processes.adopt(self.folder.clone(), self.marker.clone()).await? else { return Ok(None) };
        let (_, mail) = processes.mailbox(&self.mailbox.0, self.mailbox.1, self.nonce).await?;
        self.listen(running, mail).await.map(Some)
    }

    /// Tells whether the role changes files; the others may only read their slot, where a fence can hold them to it.
    fn writes(&self) -> bool {
        matches!(self.role, Role::Implementer | Role::Fixer)
    }

    /// Returns the command line that starts the agent, or its driver, whose order is written into the folder.
    async fn argv(&self, prompt: &Path) -> PortResult<Vec<String>> {
        let world = &self.context.world;
        let own_program = world.processes.own_program().display().to_string();
        if self.agent.is_driven() {
            let drive = DriveOrder {
                name: self.name.to_owned(),
                agent: self.agent.clone(),
                role: self.role,
                model: self.model.clone(),
                prompt: prompt.to_path_buf(),
                session: self.session.clone(),
                budget: self.budget,
                fenced: world.processes.fenced(),
            };
            let file = self.folder.join(DRIVE_FILE);
            let text = serde_json::to_string_pretty(&drive).unwrap_or_default();
            world.processes.write(file.clone(), text).await?;
            return Ok(vec![own_program, "agent".into(), file.display().to_string()]);
        }
        Ok(match &self.agent.script {
            Some(script) if self.agent.kind == AgentKind::Scripted => {
                vec![own_program, "scripted-agent".into(), world.root.join(script).display().to_string()]
            }
            _ => self.agent.command.clone(),
        })
    }

    fn env(&self, prompt: &Path, mailbox: &Path) -> BTreeMap<String, String> {
        let mut env = self.agent.env.clone();
        // Comes first in PATH too, before what the user has.
        env.insert("RALPH_TOOLS".into(), self.context.world.processes.tool_folder().display().to_string());
        env.insert("RALPH_ROLE".into(), self.role.as_str().into());
        env.insert("RALPH_ATTEMPT".into(), self.called.clone());
        env.insert("RALPH_ATTEMPT_NUMBER".into(), self.number.to_string());
        env.insert("RALPH_PROMPT_FILE".into(), prompt.display().to_string());
        env.insert("RALPH_MAILBOX".into(), mailbox.display().to_string());
        env.insert("RALPH_NONCE".into(), self.nonce.to_owned());
        if let Some(attempt) = &self.attempt {
            env.insert("RALPH_TASK_ID".into(), attempt.task.0.clone());
        }
        env
    }

    /// Waits for the agent's end, taking reports and passing output on meanwhile.
    async fn listen(&self, mut running: Box<dyn Running>, mut mail: Box<dyn Mail>) -> PortResult<TurnEnd> {
        let stopper = running.stopper();
        self.pass_on_output(running.as_mut());
        let mut taken = Taken::default();
        let mut stop = self.stop.clone();
        let mut stopping = false;
        let mut unread = None;
        let end = loop {
            tokio::select! {
                end = running.wait() => break end,
                () = arrived(mail.as_mut(), unread.is_some()) => {
                    // The agent goes on working: what could not be read is read later.
                    let failed = self.take_reports(mail.as_mut(), &mut taken).await.err();
                    if let Some(error) = failed.as_ref().filter(|_| unread.is_none()) {
                        self.context.notice(true, format!("{}: failed to {error}; trying again", self.called));
                    }
                    unread = failed;
                }
                () = stopped(&mut stop), if !stopping => {
                    stopping = true;
                    stopper.stop().await;
                }
            }
        };
        self.take_last_reports(mail.as_mut(), &mut taken).await?;
        let (ending, words) = self.told().await?;
        Ok(TurnEnd { reports: taken.reports, ..self.end(end, ending, words) })
    }

    fn pass_on_output(&self, running: &mut dyn Running) {
        let Some(mut output) = running.output() else { return };
        let (context, attempt, driven) = (self.context.clone(), self.attempt.clone(), self.agent.is_driven());
        tokio::spawn(async move {
            let (mut lines, mut reading) = (Lines::default(), Reading::default());
            while let Some(text) = output.recv().await {
                let mut shown = String::new();
                if driven {
                    for line in lines.push(&text) {
                        let line = AgentLine::read(&line);
                        if let Some(doing) = line.progress() {
                            context.progress(attempt.as_ref(), doing);
                        }
                        shown.push_str(&reading.push(&line));
                    }
                } else {
                    shown = text;
                }
                if let Some(attempt) = attempt.as_ref().filter(|_| !shown.is_empty()) {
                    context.output(attempt, shown);
                }
            }
        });
    }

    /// The agent is gone: what is in its mailbox now is all there will be.
    async fn take_last_reports(&self, mail: &mut dyn Mail, taken: &mut Taken) -> PortResult<()> {
        for _ in 1..LAST_TRIES {
            if self.take_reports(mail, taken).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        self.take_reports(mail, taken).await
    }

    async fn take_reports(&self, mail: &mut dyn Mail, taken: &mut Taken) -> PortResult<()> {
        for item in mail.take().await? {
            match item {
                MailItem::Report { id, seq, report } => {
                    let is_news = taken.ids.insert(id.clone());
                    if let Report::Progress { text } = &report
                        && is_news
                    {
                        self.context.progress(self.attempt.as_ref(), text.clone());
                    }
                    if self.role == Role::Implementer {
                        self.journal(id, report.clone()).await;
                        mail.acknowledge(seq).await?;
                    } else if is_news && matches!(report, Report::Learned { .. }) {
                        // The rest of what the other roles say counts when their turn is over.
                        self.journal(format!("{}-{id}", self.role), report.clone()).await;
                    }
                    if is_news {
                        taken.reports.push(report);
                    }
                }
                MailItem::Poisoned { detail } => {
                    self.context.notice(true, format!("{}: a report could not be read: {detail}", self.called));
                }
            }
        }
        Ok(())
    }

    async fn journal(&self, id: String, report: Report) {
        if let Some(attempt) = self.attempt.clone() {
            self.context.input(Input::Reported { attempt, id, report }).await;
        }
    }
}

/// The order of a driver, in the folder of its turn: where it is, the transcript holds lines of a driver.
pub const DRIVE_FILE: &str = "drive.json";

/// Waits until something may have arrived; after a failure, a while.
async fn arrived(mail: &mut dyn Mail, failed: bool) {
    if failed {
        tokio::time::sleep(TRY_AGAIN).await;
    } else {
        mail.arrived().await;
    }
}

/// Cuts output that comes in pieces at its line breaks.
#[derive(Default)]
struct Lines(String);

impl Lines {
    /// Returns the lines that the piece completes.
    fn push(&mut self, piece: &str) -> Vec<String> {
        self.0.push_str(piece);
        let Some(end) = self.0.rfind('\n') else {
            let too_long = self.0.len() > LONGEST_LINE;
            return if too_long { vec![std::mem::take(&mut self.0)] } else { Vec::new() };
        };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        whole.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_output_is_cut() {
        let text = "one\ntwo ü\n\nthree\nrest";
        for size in 1..text.chars().count() {
            let pieces: Vec<char> = text.chars().collect();
            let mut lines = Lines::default();
            let whole: Vec<String> =
                pieces.chunks(size).flat_map(|piece| lines.push(&piece.iter().collect::<String>())).collect();
            assert_eq!(whole, ["one", "two ü", "", "three"], "pieces of {size}");
            assert_eq!(lines.0, "rest");
        }
    }
}
