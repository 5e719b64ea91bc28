//! One attempt from claim to outcome; see section 6 of the design.
//!
//! ```text
//! claimed ──▶ start point ──▶ slot ──▶ setup, base checks ──▶ prompt ──▶ agent ──▶ guards ──▶ checks ──▶ reviewer ──▶ outcome
//!    │                                                          │          │
//!    └── a restart before this line starts over ────────────────┘          └── a restart after it adopts the agent
//! ```
//!
//! Every step may be repeated, except starting the agent: that it was started is journaled first.

mod agent;
mod judge;
mod moving;
mod review;
mod start;

pub(super) use agent::SECOND_TURN;
pub(super) use moving::MOVES;
pub use moving::{check_part, check_union, move_proposal};

use super::checks::CheckSite;
use super::context::Context;
use super::ports::{PortError, PortResult};
use crate::domain::event::AttemptId;
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::reduce::Input;
use crate::domain::state::{Attempt, State};
use crate::domain::task::{Task, TaskKey};
use crate::protocol::config::Settings;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// What the steps of one attempt share.
pub(super) struct Job {
    pub context: Context,
    pub id: AttemptId,
    pub key: TaskKey,
    pub task: Arc<Task>,
    pub settings: Settings,
    /// As it was when the attempt was claimed.
    pub state: State,
    pub record: Attempt,
    /// Where its files go.
    pub folder: PathBuf,
    /// Found again in every process of the attempt.
    pub marker: String,
    /// Proves that a fenced block was written by this attempt's agent.
    pub nonce: String,
    pub stop: watch::Receiver<bool>,
}

/// Runs the attempt and tells the actor how it ended. Never panics the engine, never leaves an attempt without an end.
pub async fn run(context: Context, id: AttemptId, stop: watch::Receiver<bool>) {
    let end = match Job::open(&context, &id, stop).await {
        Ok(job) => match job.work().await {
            Ok(end) => end,
            Err(error) => {
                let stopped = *job.stop.borrow();
                let end = give_up(&context, &id, machine_failed(&error)).await;
                if stopped { AttemptEnd { outcome: Outcome::Cancelled, ..end } } else { end }
            }
        },
        Err(error) => give_up(&context, &id, machine_failed(&error)).await,
    };
    context.input(Input::Ended { attempt: id, end }).await;
}

/// Ends an attempt that cannot go on: whatever runs of it is killed, and what the agent left in the slot is committed.
pub(super) async fn give_up(context: &Context, id: &AttemptId, mut end: AttemptEnd) -> AttemptEnd {
    let key = id.task.key();
    if let Err(error) = context.world.processes.end_left(folder_of(context, &key, id.number)).await {
        context.notice(true, format!("failed to {error}; end it by hand before the next attempt"));
    }
    let state = context.state().await.ok();
    let Some(attempt) = state.as_ref().and_then(|state| state.attempt(id)) else { return end };
    // Before the agent's start there is nothing of this attempt in the slot, and perhaps something of another.
    if let Some(prepared) = attempt.prepared.as_ref().filter(|_| attempt.agent_started) {
        let message = format!("ralph: what attempt {id} left when it was lost");
        let workshop = &context.world.workshop;
        match workshop.commit_slot(&attempt.slot, &prepared.base, &key.0, id.number, &message).await {
            Ok(work) => {
                end.head = Some(work.head);
                end.changed = work.changed;
            }
            Err(error) => context.notice(true, format!("failed to {error}; the files stay in the slot")),
        }
    }
    end
}

fn folder_of(context: &Context, key: &TaskKey, number: u32) -> PathBuf {
    context.world.attempts.join(&key.0).join(number.to_string())
}

fn machine_failed(error: &PortError) -> AttemptEnd {
    let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    AttemptEnd {
        failure: Some(error.message.clone()),
        ..AttemptEnd::new(Outcome::AttemptLost, format!("failed to {}{hint}", error.message))
    }
}

impl Job {
    async fn open(context: &Context, id: &AttemptId, stop: watch::Receiver<bool>) -> PortResult<Self> {
        let state = context.state().await?;
        let record = state.attempt(id).cloned();
        let record = record.ok_or_else(|| PortError::new(format!("find attempt {id} in the journal")))?;
        // As it was claimed: the queue may have lost or changed it since.
        let task = state.record(&id.task).and_then(|record| record.claimed.clone());
        let task = task.ok_or_else(|| PortError::new(format!("find task `{}` as it was claimed", id.task)))?;
        let run = state.run.as_ref().ok_or_else(|| PortError::new("find the run of the attempt"))?;
        let settings: Settings = serde_json::from_value(run.settings.effective.clone())
            .map_err(|error| PortError::new(format!("read the settings of the run: {error}")))?;
        let key = id.task.key();
        let folder = folder_of(context, &key, id.number);
        let secret = format!("{}\0{}\0{}", folder.display(), run.started_at_ms, record.started_at_ms);
        let nonce = blake3::hash(secret.as_bytes()).to_hex()[..16].to_owned();
        Ok(Self {
            context: context.clone(),
            id: id.clone(),
            marker: format!("{key}-{}-{}", id.number, &nonce[..8]),
            key,
            task,
            settings,
            record,
            folder,
            nonce,
            stop,
            state,
        })
    }

    async fn work(&self) -> PortResult<AttemptEnd> {
        // Checks that a restart left on would go on in the slot while it is filled again.
        self.context.world.processes.end_left(self.folder.join("checks")).await?;
        // Where the agent was started before a restart, it is adopted; all before that is simply done again.
        let adopted = if self.record.agent_started { self.adopt_agent().await? } else { None };
        let (base, agent) = if let Some(agent) = adopted {
            let prepared = self.record.prepared.as_ref();
            let base = prepared.map(|prepared| prepared.base.clone());
            (base.ok_or_else(|| PortError::new(format!("find the base of attempt {}", self.id)))?, agent)
        } else {
            if let Some(end) = self.unknown_agent() {
                return Ok(end);
            }
            let start = match self.prepare().await? {
                start::Preparation::Ready(start) => start,
                start::Preparation::Over(end) => return Ok(*end),
            };
            (start.base.clone(), self.start_agent(&start).await?)
        };
        self.judge(&base, agent).await
    }

    fn message(&self, outcome: &str) -> String {
        format!("ralph: {} (attempt {}, {outcome})\n\n{}", self.task.title, self.id.number, self.id.task)
    }

    fn check_site<'a>(&self, slot: &'a Path, part: &str) -> CheckSite<'a> {
        CheckSite {
            slot,
            folder: self.folder.join("checks").join(part),
            marker: self.marker.clone(),
            stop: self.stop.clone(),
        }
    }

    fn progress(&self, text: impl Into<String>) {
        self.context.progress(Some(&self.id), text.into());
    }
}
