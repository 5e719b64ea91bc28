//! The reviewer: an agent with a fresh context looks at what passed its checks. It may send the task back for a bounded
//! number of rounds; one that fails never stands in the way.
//!
//! ```text
//! reviewer says            rounds left, `next-attempt`    otherwise
//! nothing to change        proposal                       proposal
//! findings                 verify_failed, with them       proposal, with them
//! nothing, or it failed    the next reviewer of the chain; after the last the proposal, "not reviewed: …"
//! ```

use super::Job;
use crate::domain::chain::{Pick, pick};
use crate::domain::ending::Ending;
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::reduce::Input;
use crate::domain::report::{Finding, Report};
use crate::domain::settings::Link;
use crate::domain::state::{Review, ReviewGiven};
use crate::engine::ports::{PortError, PortResult, SlotWork};
use crate::engine::prompt::{self, Kind, ReviewPrompt, Template, change_text};
use crate::engine::turn::{Turn, TurnEnd};
use crate::protocol::config::{FindingsMode, Role};
use std::path::PathBuf;

impl Job {
    /// Tells whether what passed its checks is reviewed.
    pub(super) fn has_reviewer(&self, work: &SlotWork) -> bool {
        self.settings.is_named(Role::Reviewer) && !work.changed.is_empty()
    }

    /// Returns the end as it was before its review began, when a restart came between.
    pub(super) async fn end_before_review(&self) -> PortResult<Option<AttemptEnd>> {
        if self.record.reviews.is_empty() {
            return Ok(None);
        }
        let text = self.context.world.processes.read_tail(self.checked_file(), u64::MAX).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn checked_file(&self) -> PathBuf {
        self.folder.join(format!("checked-{}.json", &self.nonce[..8]))
    }

    /// Has the result reviewed, and returns what that makes of its end.
    pub(super) async fn review(&self, base: &str, work: &SlotWork, end: AttemptEnd) -> PortResult<AttemptEnd> {
        if let Ok(text) = serde_json::to_string(&end) {
            self.context.world.processes.write(self.checked_file(), text).await?;
        }
        let (mut tried, mut failures) = (Vec::new(), Vec::new());
        while let Some(link) = self.reviewer_after(&tried).await? {
            let index = tried.len();
            tried.push(link.clone());
            let given = match self.record.reviews.get(index).and_then(|review| review.given.clone()) {
                Some(given) => given,
                None => self.reviewed_by(index, &link, base, work, &end).await?,
            };
            match &given.failure {
                None => return Ok(self.weigh(end, &link.agent, given)),
                Some(failure) => failures.push(format!("{link}: {failure}")),
            }
            if *self.stop.borrow() {
                break;
            }
        }
        if failures.is_empty() {
            failures.push("no reviewer is free now".to_owned());
        }
        let detail = format!("{}; not reviewed: {}", end.detail, failures.join("; "));
        Ok(AttemptEnd { detail, ..end })
    }

    /// Returns who reviews after those who could not: as before a restart, else the next one that neither rests nor left.
    async fn reviewer_after(&self, tried: &[Link]) -> PortResult<Option<Link>> {
        if let Some(before) = self.record.reviews.get(tried.len()) {
            return Ok(Some(Link { agent: before.agent.clone(), model: before.model.clone() }));
        }
        let state = self.context.state().await?;
        let Some(run) = &state.run else { return Ok(None) };
        let now_ms = self.context.world.clock.now_ms();
        let free = |link: &Link| {
            let picked = pick(&state.chain, &run.left, std::slice::from_ref(link), |_| 0, now_ms);
            matches!(picked, Pick::Free(_)) && !tried.contains(link)
        };
        Ok(run.settings.links(Role::Reviewer.as_str()).into_iter().find(free))
    }

    /// Asks a reviewer and journals what it said.
    async fn reviewed_by(
        &self,
        index: usize,
        link: &Link,
        base: &str,
        work: &SlotWork,
        end: &AttemptEnd,
    ) -> PortResult<ReviewGiven> {
        let review = Review {
            round: self.round(),
            agent: link.agent.clone(),
            model: link.model.clone(),
            base: base.to_owned(),
            head: work.head.clone(),
            given: None,
        };
        self.context.input(Input::ReviewRequested { attempt: self.id.clone(), review }).await;
        self.progress(format!("{link} is reviewing"));
        let (given, ending) = match self.ask_reviewer(index, link, base, work, end).await {
            Ok(turn) => (self.given(&turn), turn.as_ending()),
            // Whatever is wrong with a review, the result is not worse for it; and the agent is not to blame.
            Err(error) => {
                let failure = format!("failed to {error}");
                let ending = Ending::failed(Outcome::AttemptLost, failure.clone());
                (ReviewGiven { failure: Some(failure), ..ReviewGiven::default() }, ending)
            }
        };
        let told = Input::ReviewGiven { attempt: self.id.clone(), given: given.clone(), ending };
        self.context.input(told).await;
        Ok(given)
    }

    /// Returns which review of the task this is since a person last looked at it, from 1.
    fn round(&self) -> u32 {
        let record = self.state.record(&self.id.task);
        let attempts = record.map(|record| record.attempts.iter().skip(record.round_start));
        let before = attempts.into_iter().flatten().filter(|attempt| attempt.number != self.id.number);
        before.filter(|attempt| !attempt.reviews.is_empty()).count() as u32 + 1
    }

    /// Returns how often findings sent the task back since a person last looked at it.
    fn sent_back(&self) -> usize {
        let Some(record) = self.state.record(&self.id.task) else { return 0 };
        let ends = record.ends_of_round();
        ends.filter(|end| end.outcome == Outcome::VerifyFailed && !end.findings.is_empty()).count()
    }

    fn weigh(&self, end: AttemptEnd, reviewer: &str, given: ReviewGiven) -> AttemptEnd {
        let findings = given.findings;
        let Some(first) = findings.first() else {
            let detail = format!("{}; {reviewer} approves", end.detail);
            return AttemptEnd { detail, ..end };
        };
        let rules = self.settings.reviewer;
        let count = match findings.len() {
            1 => "1 thing".to_owned(),
            all => format!("{all} things"),
        };
        let goes_back = rules.findings == FindingsMode::NextAttempt && self.sent_back() < rules.rounds as usize;
        if !goes_back {
            let detail = format!("{}; {reviewer} would change {count}: {first}", end.detail);
            return AttemptEnd { detail, findings, ..end };
        }
        let list: String = findings.iter().map(|finding| format!("- {finding}\n")).collect();
        AttemptEnd {
            outcome: Outcome::VerifyFailed,
            detail: format!("its checks pass, and the reviewer {reviewer} wants {count} changed: {first}"),
            failure: Some(format!("A reviewer looked at the change and wants this changed:\n{list}{}", given.summary)),
            findings,
            ..end
        }
    }

    async fn ask_reviewer(
        &self,
        index: usize,
        link: &Link,
        base: &str,
        work: &SlotWork,
        end: &AttemptEnd,
    ) -> PortResult<TurnEnd> {
        let agent = self.settings.agents.get(&link.agent);
        let agent = agent.ok_or_else(|| PortError::new(format!("find the agent `{}`", link.agent)))?;
        let used = end.ending.as_ref().map(|ending| ending.usage).unwrap_or_default();
        let budget = self.budget(used);
        if budget.tokens == Some(0) || budget.usd.is_some_and(|usd| usd <= 0.0) {
            return Err(PortError::new("review: the task's budget is used up"));
        }
        let part = format!("review-{}", index + 1);
        let limits = self.settings.limits.for_task(&self.task.limits);
        let turn = Turn {
            context: &self.context,
            role: Role::Reviewer,
            name: &link.agent,
            agent,
            model: link.model.clone(),
            folder: self.folder.join(&part),
            cwd: PathBuf::new(),
            called: self.id.to_string(),
            number: self.id.number,
            mailbox: (format!("{part}-{}", self.key), self.id.number),
            nonce: &self.nonce,
            marker: self.marker.clone(),
            attempt: Some(self.id.clone()),
            idle_seconds: limits.idle_seconds,
            wall_seconds: limits.attempt_seconds,
            budget,
            session: None,
            stop: self.stop.clone(),
        };
        let was_on = self.record.reviews.get(index).is_some();
        if was_on && let Some(taken_over) = turn.adopt().await? {
            return Ok(taken_over);
        }
        // It sees what was committed, whatever the checks left.
        let slot = self.context.world.workshop.fill_slot(&self.record.slot, &work.head).await?;
        let turn = Turn { cwd: slot, ..turn };
        let change = change_text(&self.context.world.workshop.files(base, &work.head).await?);
        let state = self.context.state().await?;
        let goal = self.task.goal.as_ref().and_then(|id| state.goals.iter().find(|goal| goal.id == *id));
        let prompt = ReviewPrompt {
            task: &self.task,
            goal: goal.map(|goal| goal.text.as_str()),
            change: &change,
            checks: &end.checks,
            nonce: &self.nonce,
            tools: agent.is_driven(),
        };
        let text = prompt::reviewer(&Template::read(&self.context.world, Kind::Reviewer).await?, &prompt)?;
        let ready = turn.prepare(text).await?;
        turn.start(ready).await
    }

    /// Reads the review off the turn: a report counts before the fenced block, and one that was handed in counts however
    /// the turn ended.
    fn given(&self, turn: &TurnEnd) -> ReviewGiven {
        let usage = turn.ending.as_ref().map(|ending| ending.usage).unwrap_or_default();
        let reported = turn.reports.iter().rev().find(|report| matches!(report, Report::Review { .. })).cloned();
        match reported.or_else(|| turn.fenced_report(&self.nonce)) {
            Some(Report::Review { summary, findings }) => {
                let findings = findings.into_iter().filter_map(cleaned).collect();
                ReviewGiven { summary, findings, failure: None, usage }
            }
            _ => {
                let failure = turn.failure().map_or("it handed in no review".to_owned(), |(class, detail)| {
                    format!("{}, {detail}", class.as_str())
                });
                ReviewGiven { failure: Some(failure), usage, ..ReviewGiven::default() }
            }
        }
    }
}

/// Drops a finding without words, and the place of one that lies outside the repository.
fn cleaned(finding: Finding) -> Option<Finding> {
    if finding.text.trim().is_empty() {
        return None;
    }
    let inside = |file: &String| {
        let path = std::path::Path::new(file);
        let plain = |part: std::path::Component<'_>| {
            matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
        };
        !file.is_empty() && path.components().all(plain)
    };
    let file = finding.file.filter(inside).map(|file| file.trim_start_matches("./").to_owned());
    let line = finding.line.filter(|line| *line > 0 && file.is_some());
    Some(Finding { file, line, text: finding.text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside_the_repository_are_dropped() {
        let finding = |file: &str, line| Finding { file: Some(file.into()), line: Some(line), text: "x".into() };
        for (file, line, expected) in [
            ("src/a.rs", 3, (Some("src/a.rs"), Some(3))),
            ("./a.rs", 3, (Some("a.rs"), Some(3))),
            ("a.rs", 0, (Some("a.rs"), None)),
            ("/etc/passwd", 1, (None, None)),
            ("../x", 1, (None, None)),
            ("a/../../x", 1, (None, None)),
            ("", 1, (None, None)),
        ] {
            let cleaned = cleaned(finding(file, line)).expect("it has words");
            assert_eq!((cleaned.file.as_deref(), cleaned.line), expected, "{file}");
        }
        assert_eq!(cleaned(Finding { file: None, line: None, text: " ".into() }), None);
    }
}
