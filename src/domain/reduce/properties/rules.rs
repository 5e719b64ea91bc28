//! What must hold at every event, and after every step.

use super::watched::Watched;
use crate::domain::budget;
use crate::domain::chain::{self, Cooldown, Reach};
use crate::domain::event::{Event, Mark};
use crate::domain::outcome::Outcome;
use crate::domain::queue::{LiveState, live_state};
use crate::domain::reduce::{Effect, pending_effects};
use crate::domain::settings::Link;
use crate::domain::state::{Record, State};
use crate::domain::task::{Status, TaskId};
use std::collections::BTreeSet;

/// The texts of the hunks that count as rejected, in this round or those before.
fn rejected(record: &Record) -> BTreeSet<&str> {
    let decided = record.decided.marks.iter().filter(|(_, mark)| matches!(mark, Mark::Rejected { .. }));
    let decided = decided.map(|(hunk, _)| hunk.text.as_str());
    match &record.proposal {
        Some(proposal) => proposal.rejections().map(|(hunk, _)| hunk.text.as_str()).collect(),
        None => decided.collect(),
    }
}

/// What was said stays until it is taken back, and what was rejected stays so over rounds, moves and retries.
pub(super) fn keeps(before: &State, after: &State, event: &Event) {
    for (id, old) in &before.records {
        let new = after.record(id).expect("a record stays");
        for comment in &old.comments {
            let kept = new.comments.iter().any(|it| it.id == comment.id && (it.sent || !comment.sent));
            let dropped = matches!(event, Event::CommentDropped { id, .. } if *id == comment.id);
            assert!(kept || dropped, "a comment on {id} is gone after {event:?}");
        }
        if let (Some(landed), None) = (&old.landed, &new.landed) {
            let taken_off = match event {
                Event::LandingUndone { commit, .. } => *commit == landed.commit,
                Event::TaskReopened { task } | Event::AcceptanceUndone { task } => task == id,
                _ => false,
            };
            assert!(taken_off, "{id} is in {} and nobody knows it after {event:?}", landed.commit);
        }
        if matches!(event, Event::HunksMarked { task, .. } | Event::TaskReopened { task } if task == id) {
            continue;
        }
        let no = rejected(old);
        match &new.proposal {
            Some(proposal) => {
                let there = proposal.hunks.iter().filter(|hunk| no.contains(hunk.text.as_str()));
                for hunk in there {
                    assert_eq!(proposal.mark(&hunk.id), Mark::Rejected { why: None }, "after {event:?}");
                }
            }
            None => assert_eq!(no, rejected(new), "after {event:?}"),
        }
    }
}

impl Watched {
    /// Checks an event against the state it is applied to.
    pub(super) fn legal(&mut self, state: &State, event: &Event) {
        match event {
            Event::AttemptStarted { attempt, agent, model, .. } => {
                let link = Link { agent: agent.clone(), model: model.clone() };
                let run = state.run.as_ref().expect("only a run claims");
                let rests = |(reach, it): (&Reach, &Cooldown)| reach.covers(&link) && it.until_ms > self.it.now;
                assert!(!state.chain.cooled.iter().any(rests), "{link} rests, and another is free or it is waited");
                assert!(!run.left.keys().any(|reach| reach.covers(&link)), "{link} has left");
                let reached = budget::reached(state, Some(&attempt.task), self.it.now);
                assert_eq!(reached, None, "nothing may be used on {attempt}");
                let live = live_state(state, &attempt.task).expect("what is claimed is in the queue");
                assert_eq!(live.state, LiveState::Ready, "claimed though {}", live.why);
                let before = state.record(&attempt.task).map_or(0, |record| record.attempts.len());
                assert_eq!(attempt.number as usize, before + 1, "numbers are never reused");
                assert!(self.ends.insert(attempt.clone(), 0).is_none());
            }
            Event::AttemptEnded { attempt, .. } => {
                let ends = self.ends.get_mut(attempt).expect("only what started ends");
                *ends += 1;
                assert_eq!(*ends, 1, "{attempt} ended twice");
            }
            Event::AgentStarted { attempt } => {
                let found = state.attempt(attempt).expect("it was claimed");
                assert!(found.end.is_none() && !found.agent_started, "an agent starts once");
            }
            Event::TaskDone { task } => {
                let record = state.record(task);
                let by_hand = state.tasks.get(task).is_some_and(|task| task.status == Status::Done);
                let proposal = record.and_then(|record| record.proposal.as_ref());
                let decided =
                    proposal.is_some_and(|it| it.is_decided() && (it.part_holds() || it.rejected().is_empty()));
                assert!(by_hand || decided, "{task} is done without being decided");
            }
            Event::ProposalMade { attempt, .. } => {
                let end = state.attempt(attempt).and_then(|attempt| attempt.end.as_ref()).expect("it has ended");
                assert!(end.outcome.is_success() || end.otherwise.is_some_and(Outcome::is_success));
            }
            Event::Landed { landing, .. } => {
                assert!(!landing.tasks.is_empty(), "a commit of nothing");
                for task in &landing.tasks {
                    let record = state.record(task).expect("what lands was done");
                    let known = record.landed.as_ref().is_some_and(|landed| landed.commit == landing.commit);
                    assert!(record.done && !known, "{task} lands, undone or twice");
                }
            }
            Event::LandingUndone { tasks, commit } => {
                let in_it = |task: &TaskId| {
                    let landed = state.record(task).and_then(|record| record.landed.as_ref());
                    landed.is_some_and(|landed| landed.commit == *commit)
                };
                assert!(!tasks.is_empty() && tasks.iter().all(in_it), "{tasks:?} are not all in {commit}");
            }
            Event::RunEnded { .. } => assert!(state.run.as_ref().is_some_and(|run| run.active.is_none())),
            Event::DecisionRaised { decision } => {
                assert!(state.decision(&decision.id).is_none(), "ids are never reused")
            }
            Event::DecisionAnswered { id, .. } => assert!(state.decision(id).is_some_and(|it| it.is_open())),
            _ => {}
        }
    }

    /// A run that is on works, is held by a person, waits for a time to come, or for a move or a check of its results.
    pub(super) fn gets_on(&self) {
        let state = &self.it.state;
        let Some(run) = &state.run else { return };
        if run.active.is_some() || run.paused || run.finishing {
            return;
        }
        match chain::run_waits(state) {
            Some(wait) => assert!(wait.cooldown.until_ms > self.it.now, "it waits for what is over"),
            None => {
                let on = |effect: &Effect| matches!(effect, Effect::MoveProposal { .. } | Effect::CheckUnion);
                assert!(pending_effects(state).iter().any(on), "it does nothing: {}", self.it.told());
            }
        }
    }

    /// A task that failed as often as its limit allows is not ready.
    pub(super) fn bounded(&self) {
        for (id, record) in &self.it.state.records {
            let own = self.it.state.tasks.get(id).and_then(|task| task.limits.attempts);
            let limit = own.unwrap_or(self.it.settings.attempts);
            assert!(record.failures <= limit, "{id} failed {} times of {limit}", record.failures);
        }
    }
}
