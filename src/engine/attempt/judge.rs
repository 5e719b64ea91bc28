//! What an attempt is worth: guards, checks, and the outcome. The agent's word is only where it begins.

use super::Job;
use super::agent::AgentEnd;
use super::start::listed;
use crate::domain::event::{HunkRef, Mark};
use crate::domain::outcome::{AttemptEnd, CheckResult, Outcome};
use crate::domain::report::Report;
use crate::engine::checks::{self, checks_for, tail};
use crate::engine::ports::{OutsideState, PortError, PortResult, SlotWork, all_hunks};
use globset::{Glob, GlobSetBuilder};
use std::path::PathBuf;

/// Paths nobody may change, whatever the configuration says.
const ALWAYS_PROTECTED: [&str; 2] = [".ralph/**", ".git/**"];

/// How much of an agent's last words goes into the next prompt, in bytes.
const LAST_WORDS: usize = 8 * 1024;

impl Job {
    pub(super) async fn judge(&self, base: &str, agent: AgentEnd) -> PortResult<AttemptEnd> {
        let workshop = &self.context.world.workshop;
        self.progress("committing what is in the slot");
        let work = self.keep_work(base).await?;
        let mut leaks = self.leaks().await?;
        let mut end = match self.end_before_review().await? {
            Some(end) => end,
            None => self.verdict_of(&agent, base, &work).await?,
        };
        end.ending = agent.turn.ending.clone();
        if end.outcome.is_success() && self.has_reviewer(&work) {
            end = self.review(base, &work, end).await?;
            leaks = self.leaks().await?;
        }
        end.head = Some(work.head.clone());
        end.changed = work.changed.clone();
        end.diff_hash = work.diff_hash.clone();
        if end.outcome.is_success() {
            let files = workshop.files(base, &work.head).await?;
            end.hunks = all_hunks(&files).map(HunkRef::of).collect();
            self.note_what_is_there(base, &work.head, &mut end.hunks).await?;
            workshop.publish(&self.key.0, base, &work.head).await?;
        }
        // A program that is not there has changed nothing.
        if leaks.is_empty() || end.outcome == Outcome::MissingBinary {
            return Ok(end);
        }
        if self.context.world.processes.fenced() {
            // Nothing it started could write there: it was the user, and the record says what.
            end.detail.push_str(&format!("; outside the slot you changed meanwhile: {}", listed(&leaks)));
        } else {
            end.otherwise = Some(end.outcome);
            end.outcome = Outcome::Leaked;
            end.detail = format!("something outside the slot changed meanwhile: {}", listed(&leaks));
            end.paths = leaks;
        }
        Ok(end)
    }

    /// Marks the hunks that are in the checkout already: an acceptance of an earlier round counts for those only.
    async fn note_what_is_there(&self, base: &str, head: &str, hunks: &mut [HunkRef]) -> PortResult<()> {
        let record = self.state.record(&self.id.task);
        if !record.is_some_and(|record| record.decided.marks.iter().any(|(_, mark)| *mark == Mark::Accepted)) {
            return Ok(());
        }
        let all = hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let there = self.context.world.workshop.on_disk(base, head, all).await?;
        for hunk in hunks {
            hunk.there = there.contains(&hunk.id);
        }
        Ok(())
    }

    /// Commits what the agent left, once: after a restart the slot may hold what checks wrote since.
    async fn keep_work(&self, base: &str) -> PortResult<SlotWork> {
        let world = &self.context.world;
        if let Some(work) = self.kept_work().await? {
            return Ok(work);
        }
        let (slot, number, message) = (&self.record.slot, self.id.number, self.message("as left"));
        let work = world.workshop.commit_slot(slot, base, &self.key.0, number, &message).await?;
        if let Ok(text) = serde_json::to_string(&work) {
            world.processes.write(self.work_file(), text).await?;
        }
        Ok(work)
    }

    /// Returns what was committed of the agent's work, if it was.
    pub(super) async fn kept_work(&self) -> PortResult<Option<SlotWork>> {
        let known = self.context.world.processes.read_tail(self.work_file(), u64::MAX).await?;
        Ok(known.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn work_file(&self) -> PathBuf {
        self.folder.join(format!("work-{}.json", &self.nonce[..8]))
    }

    async fn verdict_of(&self, agent: &AgentEnd, base: &str, work: &SlotWork) -> PortResult<AttemptEnd> {
        if *self.stop.borrow() {
            return Ok(AttemptEnd::new(Outcome::Cancelled, "it was stopped; what it had done is kept in its ref"));
        }
        let failure = agent.turn.failure();
        if let Some((outcome, detail)) = failure.clone().filter(|_| agent.turn.is_unheard()) {
            return Ok(AttemptEnd::new(outcome, detail));
        }
        let protected = self.protected(&work.changed)?;
        let failed = failure.filter(|_| agent.turn.ending.is_some());
        // Without a claim a limit that was reached is the news; the paths are put back all the same.
        if !protected.is_empty() && (agent.verdict.is_some() || failed.is_none()) {
            return Ok(AttemptEnd {
                failure: Some(format!("you changed paths that are protected: {}", protected.join(", "))),
                paths: protected.clone(),
                ..AttemptEnd::new(Outcome::ProtectedPath, format!("it changed protected paths: {}", listed(&protected)))
            });
        }
        match (&agent.verdict, failed) {
            (Some(Report::Finished { summary, no_change, .. }), failed) => {
                let mut end = self.check_claim(base, work, no_change.as_deref()).await?;
                // An agent that was cut off before it wrote anything did not lie.
                if let Some((outcome, detail)) = failed.filter(|_| end.outcome == Outcome::NoChange) {
                    end = AttemptEnd::new(outcome, detail);
                }
                end.summary = Some(summary.clone());
                Ok(end)
            }
            (Some(Report::Ask { question, .. }), _) => Ok(AttemptEnd::new(Outcome::NeedsDecision, question.clone())),
            (Some(Report::Blocked { reason }), _) => Ok(AttemptEnd::new(Outcome::Blocked, reason.clone())),
            _ => Ok(AttemptEnd { paths: protected, ..without_report(agent) }),
        }
    }

    /// The agent claims that it is finished: now it is checked.
    async fn check_claim(&self, base: &str, work: &SlotWork, no_change: Option<&str>) -> PortResult<AttemptEnd> {
        if work.changed.is_empty() && !self.took_back(base).await? {
            return Ok(match no_change {
                Some(reason) => AttemptEnd::new(Outcome::Unchecked, format!("nothing had to change: {reason}")),
                None => AttemptEnd {
                    failure: Some(
                        "you reported that the task is finished, but nothing in the worktree changed; change what the \
                         task asks for, or say with --no-change why nothing has to"
                            .into(),
                    ),
                    ..AttemptEnd::new(Outcome::NoChange, "it claims to be finished, and has changed nothing")
                },
            });
        }
        let checks = checks_for(&self.state, &self.settings, &self.task);
        if checks.is_empty() {
            return Ok(AttemptEnd::new(Outcome::Unchecked, "there was nothing to check it with"));
        }
        // The checks see what was committed, not what a process that was still alive may have written since.
        let slot = self.context.world.workshop.fill_slot(&self.record.slot, &work.head).await?;
        let commands = if checks.len() == 1 { "command" } else { "commands" };
        self.progress(format!("checking: {} {commands}", checks.len()));
        let results = checks::run_all(&self.context, &self.check_site(&slot, "head"), &checks, base).await?;
        if *self.stop.borrow() {
            return Ok(AttemptEnd::new(Outcome::Cancelled, "it was stopped while it was being checked"));
        }
        Ok(checked(results))
    }

    /// Tells whether the agent took out what the person did not want of work of which they accepted the rest: then nothing
    /// is left to propose, and that is its result.
    async fn took_back(&self, base: &str) -> PortResult<bool> {
        let state = self.context.state().await?;
        let rest = state.record(&self.id.task).is_some_and(|record| record.rest);
        let prepared = state.attempt(&self.id).and_then(|attempt| attempt.prepared.as_ref());
        Ok(rest && prepared.is_some_and(|prepared| prepared.start != base))
    }

    fn protected(&self, changed: &[String]) -> PortResult<Vec<String>> {
        let mut builder = GlobSetBuilder::new();
        let own = self.settings.protect.iter().map(String::as_str);
        for glob in own.chain(ALWAYS_PROTECTED) {
            let glob = Glob::new(glob).map_err(|error| {
                PortError { data: true, ..PortError::new(format!("understand `protect`: {error}")) }
                    .with_hint("mend it in `.ralph/config.json`")
            })?;
            builder.add(glob);
        }
        let set = builder.build().map_err(|error| PortError::new(format!("understand `protect`: {error}")))?;
        Ok(changed.iter().filter(|path| set.is_match(path)).cloned().collect())
    }

    /// Returns what changed outside the slot that no connected editor saved and git did not move.
    async fn leaks(&self) -> PortResult<Vec<String>> {
        let world = &self.context.world;
        let Some(text) = world.processes.read_tail(self.folder.join("outside.json"), u64::MAX).await? else {
            return Ok(Vec::new());
        };
        let Ok(before) = serde_json::from_str(&text) else { return Ok(Vec::new()) };
        let change = world.workshop.outside_since(&OutsideState(before)).await?;
        let saved = self.context.saved_since(self.record.started_at_ms);
        // A branch of that name is one that a person landed on.
        let mut leaks: Vec<String> = change.places.into_iter().filter(|place| !saved.contains(place)).collect();
        if !change.head_moved {
            leaks.extend(change.files.into_iter().filter(|path| !saved.contains(path)));
        }
        Ok(leaks)
    }
}

/// Returns the end of an attempt whose agent neither claimed nor asked anything.
fn without_report(agent: &AgentEnd) -> AttemptEnd {
    let regular = || (Outcome::Incomplete, "it ended without a report".to_owned());
    let (outcome, detail) = agent.turn.failure().unwrap_or_else(regular);
    let words = tail(&agent.turn.last_words, LAST_WORDS);
    AttemptEnd { failure: (!words.trim().is_empty()).then_some(words), ..AttemptEnd::new(outcome, detail) }
}

fn checked(results: Vec<CheckResult>) -> AttemptEnd {
    let failed: Vec<&CheckResult> = results.iter().filter(|result| !result.passed).collect();
    let mut end = if failed.is_empty() {
        let proofs = results.iter().filter(|result| result.is_proof()).count();
        let mut words = match (proofs, results.len()) {
            (0, 1) => "its check passes, as before".to_owned(),
            (_, 1) => "its check passes, and failed before".to_owned(),
            (0, all) => format!("{all} checks pass, as before"),
            (proofs, all) => format!("{all} checks pass, {proofs} of them failed before"),
        };
        // Whoever reads the verdict has to know that it may have been luck.
        for flaky in results.iter().filter(|result| result.flaky) {
            words.push_str(&format!("; `{}` is flaky: it failed and passed on the same files", flaky.run));
        }
        AttemptEnd::new(Outcome::Verified, words)
    } else {
        let names: Vec<String> = failed.iter().map(|result| format!("`{}`", result.run)).collect();
        let output = |result: &&CheckResult| {
            let code = result.exit_code.map_or("no exit status".to_owned(), |code| format!("exit status {code}"));
            format!("$ {}\n{}\n[{code}]", result.run, result.output_tail)
        };
        AttemptEnd {
            failure: Some(failed.iter().map(output).collect::<Vec<_>>().join("\n\n")),
            ..AttemptEnd::new(Outcome::VerifyFailed, format!("{} failed", names.join(", ")))
        }
    };
    end.checks = results;
    end
}
