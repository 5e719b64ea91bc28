//! The start point: what the user sees, with the dependencies folded in, in the slot, ready to work in.

use super::Job;
use crate::domain::event::{AttemptId, StandsOn};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue::to_fold;
use crate::domain::reduce::Input;
use crate::domain::state::State;
use crate::domain::task::TaskId;
use crate::engine::checks::{self, checks_for};
use crate::engine::context::Context;
use crate::engine::ports::{Merge, PortResult};
use crate::engine::prompt::{self, Conflict, Kind, Template, change_text};
use crate::protocol::config::{Base, trust_string};
use std::path::PathBuf;

/// Where the agent starts.
pub(in crate::engine) struct Start {
    /// What the proposal will be compared with.
    pub base: String,
    /// The slot's folder.
    pub slot: PathBuf,
    /// What the prompt says about what is there already.
    pub words: Vec<String>,
    /// Whether the last attempt's changes are there.
    pub continued: bool,
    /// The part of the prompt about changes that are not there because they no longer merge.
    pub conflict: Option<String>,
}

/// Whether the agent can start.
pub(in crate::engine) enum Preparation {
    Ready(Start),
    /// The attempt is over before an agent was started.
    Over(Box<AttemptEnd>),
}

/// A base with the dependencies' proposals in it.
pub(in crate::engine) enum Folded {
    Base { commit: String, stands_on: Vec<StandsOn> },
    Conflict { with: TaskId, paths: Vec<String> },
}

/// Folds the proposals the task stands on into what the user sees, each with its own base as ancestor.
pub(in crate::engine) async fn fold(context: &Context, state: &State, seen: &str, task: &TaskId) -> PortResult<Folded> {
    let mut commit = seen.to_owned();
    let stands_on = to_fold(state, task);
    for on in &stands_on {
        let proposal = state.record(&on.task).and_then(|record| record.proposal.as_ref());
        let Some(proposal) = proposal.filter(|proposal| proposal.head != proposal.base) else { continue };
        let message = format!("ralph: start of {task} with the proposal of {}", on.task);
        match context.world.workshop.merge(&proposal.base, &commit, &proposal.head, &message).await? {
            Merge::Clean(merged) => commit = merged,
            Merge::Conflict(paths) => return Ok(Folded::Conflict { with: on.task.clone(), paths }),
        }
    }
    Ok(Folded::Base { commit, stands_on })
}

impl Job {
    pub(super) async fn prepare(&self) -> PortResult<Preparation> {
        let workshop = &self.context.world.workshop;
        self.progress("taking a snapshot of the checkout");
        let buffers = self.context.buffers().await;
        let point = workshop.snapshot(buffers).await?;
        let rebase = self.state.record(&self.id.task).is_some_and(|record| record.rebase);
        let seen = match (self.settings.base, &point.head) {
            // What clashed was the text as the user has it, so that is where it has to fit.
            (Base::Head, Some(head)) if !rebase => head.clone(),
            _ => point.commit.clone(),
        };
        let (base, stands_on) = match fold(&self.context, &self.state, &seen, &self.id.task).await? {
            Folded::Base { commit, stands_on } => (commit, stands_on),
            Folded::Conflict { with, paths } => {
                let detail = format!(
                    "the proposal of `{with}` does not merge with your checkout any more ({}); review `{with}` first, \
                     or send it back",
                    paths.join(", ")
                );
                return Ok(Preparation::Over(Box::new(AttemptEnd {
                    paths,
                    ..AttemptEnd::new(Outcome::Blocked, detail)
                })));
            }
        };
        let mut words = Vec::new();
        if seen == point.commit && !point.uncommitted.is_empty() {
            words.push(format!("uncommitted work of the user: {}", listed(&point.uncommitted)));
        }
        let left_out: Vec<String> = point.left_out.iter().map(|(path, why)| format!("{path} ({why})")).collect();
        if !left_out.is_empty() {
            words.push(format!("not there, though the user has it: {}", listed(&left_out)));
        }
        for on in &stands_on {
            words.push(format!("the result of task `{}`, not yet accepted by the user", on.task));
        }
        let mut conflict = None;
        let (start, continued) = self.continue_from(&base, &mut words, &mut conflict).await?;
        let input = Input::Prepared {
            attempt: self.id.clone(),
            base: base.clone(),
            start: start.clone(),
            stands_on,
            notes: words.clone(),
        };
        self.context.input(input).await;
        if let Some(end) = self.check_base(&base).await? {
            return Ok(Preparation::Over(Box::new(end)));
        }
        self.progress("filling the slot");
        let slot = workshop.fill_slot(&self.record.slot, &start).await?;
        workshop.include_ignored(&self.record.slot).await?;
        if let Some(end) = self.run_setup(&slot).await? {
            return Ok(Preparation::Over(Box::new(end)));
        }
        let before = workshop.outside_before().await?;
        let text = serde_json::to_string(&before.0).unwrap_or_default();
        self.context.world.processes.write(self.folder.join("outside.json"), text).await?;
        Ok(Preparation::Ready(Start { base, slot, words, continued, conflict }))
    }

    /// Returns the last attempt's tree moved to the base, or the base.
    async fn continue_from(
        &self,
        base: &str,
        words: &mut Vec<String>,
        conflict: &mut Option<String>,
    ) -> PortResult<(String, bool)> {
        let workshop = &self.context.world.workshop;
        let before = self.state.record(&self.id.task).map(|record| record.attempts.as_slice()).unwrap_or_default();
        let before = before.iter().rev().filter(|attempt| attempt.number != self.id.number);
        // What never had an agent left nothing of its own, whatever its end says.
        let before = before.filter(|attempt| attempt.agent_started);
        let mut candidates = before.take_while(|_| !self.record.clean).filter_map(|attempt| {
            let (prepared, end) = (attempt.prepared.as_ref()?, attempt.end.as_ref()?);
            Some((attempt.number, prepared.base.clone(), end.head.clone()?, end.clone()))
        });
        let Some((number, old_base, old_head, end)) = candidates.next() else { return Ok((base.to_owned(), false)) };
        if end.changed.is_empty() {
            return Ok((base.to_owned(), false));
        }
        // Also of what was cut off before anybody could say so.
        let old_head = if end.outcome != Outcome::Leaked && !end.paths.is_empty() {
            words.push(format!("the protected paths attempt {number} changed, put back: {}", listed(&end.paths)));
            workshop.with_paths_of(&old_head, &old_base, &end.paths).await?
        } else {
            old_head
        };
        let id = AttemptId { task: self.id.task.clone(), number };
        let message = format!("ralph: start of {} from what attempt {number} left", self.id);
        match workshop.merge(&old_base, base, &old_head, &message).await? {
            Merge::Clean(start) => {
                words.push(format!("what attempt {number} left"));
                Ok((start, true))
            }
            Merge::Conflict(paths) => {
                words.push(format!(
                    "not there: what attempt {id} left, because it no longer merges ({})",
                    listed(&paths)
                ));
                let change = change_text(&workshop.files(&old_base, &old_head).await?);
                let template = Template::read(&self.context.world, Kind::Conflict).await?;
                *conflict = Some(prompt::conflict(&template, &Conflict { number, paths: &paths, change: &change })?);
                Ok((base.to_owned(), false))
            }
        }
    }

    /// Runs each check once on the untouched base; equal trees are checked once.
    async fn check_base(&self, base: &str) -> PortResult<Option<AttemptEnd>> {
        let cache = &self.context.base_cache;
        let checks = checks_for(&self.state, &self.settings, &self.task);
        // What was red is looked at again where red stops the attempt: a person may have mended the machine.
        let known = |check: &&checks::Check| {
            let run = cache.get(base, &check.command);
            run.is_some_and(|run| run.passed || check.from_task || check.only_new)
        };
        let missing: Vec<_> = checks.iter().filter(|check| !known(check)).collect();
        if !missing.is_empty() {
            let slot = self.context.world.workshop.fill_slot(&self.record.slot, base).await?;
            self.context.world.workshop.include_ignored(&self.record.slot).await?;
            if let Some(end) = self.run_setup(&slot).await? {
                return Ok(Some(end));
            }
            let site = self.check_site(&slot, "base");
            for (index, check) in missing.iter().enumerate() {
                self.progress(format!("checking the base: {}", check.command.run));
                let run = checks::run(&self.context, &site, &check.command, &index.to_string()).await?;
                if *self.stop.borrow() {
                    return Ok(Some(AttemptEnd::new(Outcome::Cancelled, "it was stopped before the agent started")));
                }
                cache.put(base, &check.command, run);
            }
        }
        let red = checks.iter().filter(|check| !check.from_task && !check.only_new).find_map(|check| {
            let run = cache.get(base, &check.command)?;
            (!run.passed).then(|| (trust_string(&check.command), run))
        });
        Ok(red.map(|(check, run)| AttemptEnd {
            failure: Some(run.output.clone()),
            red_on_base: Some(check.clone()),
            ..AttemptEnd::new(Outcome::NeedsDecision, format!("the check `{check}` fails before anything is changed"))
        }))
    }

    /// Runs the `setup` commands, once per slot and state of the lockfiles.
    async fn run_setup(&self, slot: &std::path::Path) -> PortResult<Option<AttemptEnd>> {
        if self.settings.setup.is_empty() {
            return Ok(None);
        }
        let processes = &self.context.world.processes;
        let commands: Vec<String> = self.settings.setup.iter().map(trust_string).collect();
        let locks = self.context.world.workshop.lockfiles(&self.record.slot).await?;
        let wanted = blake3::hash(format!("{}\0{locks}", commands.join("\0")).as_bytes()).to_hex().to_string();
        let marker = self.context.world.attempts.join(format!("setup-{}", self.record.slot));
        if processes.read_tail(marker.clone(), 256).await?.as_deref() == Some(wanted.as_str()) {
            return Ok(None);
        }
        let site = self.check_site(slot, "setup");
        for (index, command) in self.settings.setup.iter().enumerate() {
            self.progress(format!("setting up: {}", command.run));
            let run = checks::run(&self.context, &site, command, &index.to_string()).await?;
            if *self.stop.borrow() {
                return Ok(Some(AttemptEnd::new(Outcome::Cancelled, "it was stopped while setting up")));
            }
            if !run.passed {
                let command = trust_string(command);
                return Ok(Some(AttemptEnd {
                    failure: Some(run.output),
                    red_on_base: Some(command.clone()),
                    ..AttemptEnd::new(Outcome::NeedsDecision, format!("the setup command `{command}` failed"))
                }));
            }
        }
        processes.write(marker, wanted).await?;
        Ok(None)
    }
}

/// Returns the first few, and how many more there are.
pub(super) fn listed(items: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}
