//! The agent's part: its turn, and a second one in the same session where it ended without a word.

use super::Job;
use super::start::Start;
use crate::domain::budget;
use crate::domain::ending::Usage;
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::reduce::Input;
use crate::domain::report::Report;
use crate::engine::ports::{PortError, PortResult, ProcessEnd};
use crate::engine::prompt::{self, Facts, Kind, Repair, Template};
use crate::engine::turn::{Turn, TurnEnd};
use crate::protocol::config::{AgentConfig, Claims, Role};
use crate::protocol::drive::Budget;
use std::path::PathBuf;

/// Where the files of the second turn go, below the attempt's folder.
pub(in crate::engine) const SECOND_TURN: &str = "turn-2";
/// The shortest time a second turn gets, in seconds.
const SHORTEST: u64 = 60;

/// How the agent ended.
pub(in crate::engine) struct AgentEnd {
    pub turn: TurnEnd,
    /// The first report that claims, asks or gives up.
    pub verdict: Option<Report>,
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
        let turn = self.turn(self.folder.clone(), start.slot.clone())?;
        let state = self.context.state().await?;
        let template = Template::read(&self.context.world, Kind::Implementer).await?;
        let facts = Facts {
            nonce: &self.nonce,
            continued: start.continued,
            stands_on: &start.words,
            conflict: start.conflict.clone(),
            tools: turn.agent.is_driven(),
        };
        let text = prompt::implementer(&template, &self.settings, &state, &self.task, &facts)?;
        let ready = turn.prepare(text).await?;
        if !*self.stop.borrow() {
            // Journaled before it happens: an agent is never started twice for one attempt.
            self.context.input(Input::AgentStarted { attempt: self.id.clone() }).await;
            self.progress(format!("{} is working", self.record.agent));
        }
        let first = self.heard(turn.start(ready).await?).await?;
        self.ask_again(first, &start.slot).await
    }

    /// Takes over the agent; none when the engine before this one was killed before it could start it.
    pub(super) async fn adopt_agent(&self) -> PortResult<Option<AgentEnd>> {
        // Where the slot is matters to what is started, not to what is taken over.
        let first = self.turn(self.folder.clone(), PathBuf::new())?;
        if first.agent.is_driven() {
            let second = Turn { folder: self.folder.join(SECOND_TURN), ..self.turn(PathBuf::new(), PathBuf::new())? };
            if let Some(end) = second.adopt().await? {
                let used = first.told().await?.0.map(|ending| ending.usage);
                return self.heard(with_usage(end, used)).await.map(Some);
            }
        }
        match first.adopt().await? {
            Some(end) => self.ask_adopted_again(self.heard(end).await?).await.map(Some),
            None => Ok(None),
        }
    }

    /// As [`Self::ask_again`], for a first turn that was taken over. What it left is committed before the slot is filled
    /// with it again; once the work was judged, the engine before this one had come further than that.
    async fn ask_adopted_again(&self, first: AgentEnd) -> PortResult<AgentEnd> {
        let base = self.record.prepared.as_ref().map(|prepared| &prepared.base);
        let Some(base) = base.filter(|_| self.goes_on_in(&first).is_some()) else { return Ok(first) };
        if self.kept_work().await?.is_some() {
            return Ok(first);
        }
        let workshop = &self.context.world.workshop;
        let (slot, number, message) = (&self.record.slot, self.id.number, self.message("before it is asked once more"));
        let work = workshop.commit_slot(slot, base, &self.key.0, number, &message).await?;
        let folder = workshop.fill_slot(slot, &work.head).await?;
        self.ask_again(first, &folder).await
    }

    /// Returns the session in which an agent that ended without a word is asked once more.
    fn goes_on_in(&self, first: &AgentEnd) -> Option<String> {
        first.turn.session().filter(|_| first.verdict.is_none() && !*self.stop.borrow())
    }

    fn turn(&self, folder: PathBuf, cwd: PathBuf) -> PortResult<Turn<'_>> {
        let limits = self.settings.limits.for_task(&self.task.limits);
        Ok(Turn {
            context: &self.context,
            role: Role::Implementer,
            name: &self.record.agent,
            agent: self.agent()?,
            model: self.record.model.clone(),
            folder,
            cwd,
            called: self.id.to_string(),
            number: self.id.number,
            mailbox: (self.key.0.clone(), self.id.number),
            nonce: &self.nonce,
            marker: self.marker.clone(),
            attempt: Some(self.id.clone()),
            idle_seconds: limits.idle_seconds,
            wall_seconds: limits.attempt_seconds,
            budget: self.budget(Usage::default()),
            session: None,
            stop: self.stop.clone(),
        })
    }

    /// Returns what a turn for the task may still use of tokens and money, after what was used and is not journaled yet.
    pub(super) fn budget(&self, used: Usage) -> Budget {
        let left = budget::remaining(&self.state, Some(&self.id.task), self.context.world.clock.now_ms());
        Budget {
            tokens: left.tokens.map(|tokens| tokens.saturating_sub(used.tokens())),
            usd: left.usd.map(|usd| (usd - used.usd.unwrap_or(0.0)).max(0.0)),
        }
    }

    /// An agent that came to its regular end without a report is asked once more, in the same session.
    async fn ask_again(&self, first: AgentEnd, slot: &std::path::Path) -> PortResult<AgentEnd> {
        let Some(session) = self.goes_on_in(&first) else { return Ok(first) };
        let world = &self.context.world;
        let used_seconds = (world.clock.now_ms() - self.record.started_at_ms).max(0) as u64 / 1000;
        let turn = self.turn(self.folder.join(SECOND_TURN), slot.to_path_buf())?;
        let wall_seconds = turn.wall_seconds.saturating_sub(used_seconds).max(SHORTEST.min(turn.wall_seconds));
        let used = first.turn.ending.as_ref().map(|ending| ending.usage).unwrap_or_default();
        let turn = Turn { session: Some(session), wall_seconds, budget: self.budget(used), ..turn };
        let repair = Repair {
            role: Role::Implementer,
            title: &self.task.title,
            errors: &[],
            nonce: &self.nonce,
            tools: turn.agent.is_driven(),
        };
        let text = prompt::repair(&Template::read(world, Kind::Repair).await?, &repair)?;
        self.progress(format!("{} ended without a report; asking it once more", self.record.agent));
        let ready = turn.prepare(text).await?;
        let end = turn.start(ready).await?;
        self.heard(with_usage(end, Some(used))).await
    }

    /// Finds the verdict among the reports; without one, in the last words.
    async fn heard(&self, turn: TurnEnd) -> PortResult<AgentEnd> {
        if self.verdict().await?.is_none() {
            self.last_resort(&turn).await?;
        }
        Ok(AgentEnd { verdict: self.verdict().await?, turn })
    }

    async fn verdict(&self) -> PortResult<Option<Report>> {
        let state = self.context.state().await?;
        Ok(state.attempt(&self.id).and_then(|attempt| attempt.verdict.clone()))
    }

    /// Without a report: the fenced block in the last message, or the exit status where the agent claims by it.
    async fn last_resort(&self, turn: &TurnEnd) -> PortResult<()> {
        let by_status = self.agent().is_ok_and(|agent| agent.claims == Claims::ExitStatus);
        let report = turn.fenced_report(&self.nonce).or_else(|| {
            let claimed = by_status && turn.end == ProcessEnd::Exited(0) && turn.failure().is_none();
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
}

/// Adds what an earlier turn of the same attempt used.
fn with_usage(mut end: TurnEnd, used: Option<Usage>) -> TurnEnd {
    if let (Some(ending), Some(used)) = (end.ending.as_mut(), used) {
        ending.usage.add(&used);
    }
    end
}
