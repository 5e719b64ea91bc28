//! What front ends see of the state: snapshots, deltas and milestones.

use crate::domain::chain::{self, Reach};
use crate::domain::decision::DecisionKind;
use crate::domain::event::{Event, RunId};
use crate::domain::landing;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{LiveState, live_state};
use crate::domain::report::Report;
use crate::domain::state::{Part, Proposal, Record, State, effective_status};
use crate::domain::task::{Task, TaskId};
use crate::protocol::engine_api::{
    AttemptView, AwayView, Delta, EndedRunView, HunkSummary, Milestone, ProposalSummary, RunView, Snapshot, TaskView,
};
use std::collections::BTreeSet;

/// Makes the snapshot of a state at a time, which says what counts as today. Its `settings` are those of the run that is on, and null when none is: then they, as the
/// `agents` always, come from the configuration.
pub fn snapshot(state: &State, seq: u64, queue_problem: Option<String>, now_ms: i64) -> Snapshot {
    let (decisions, answered) = state.decisions.iter().cloned().partition(|decision| decision.is_open());
    Snapshot {
        seq,
        tasks: state.order.iter().filter_map(|id| task_view(state, id)).collect(),
        goals: state.goals.to_vec(),
        decisions,
        answered,
        run: run_view(state),
        last_run: ended_view(state),
        queue_problem,
        away: away_views(state, now_ms),
        today: state.days.used_on(now_ms),
        settings: state.run.as_ref().map(|run| run.settings.effective.clone()).unwrap_or_default(),
        ..Snapshot::default()
    }
}

/// Makes the delta that brings a snapshot of the state before `events` to the state after.
pub fn delta(state: &State, seq: u64, events: &[Event], queue_problem: Option<String>, now_ms: i64) -> Delta {
    let touched = touched(state, events);
    let of_decisions = |event: &Event| {
        matches!(event, Event::DecisionRaised { .. } | Event::DecisionAnswered { .. } | Event::DecisionWithdrawn { .. })
    };
    let reshaped = |event: &Event| matches!(event, Event::QueueChanged { .. });
    Delta {
        seq,
        tasks: touched.iter().filter_map(|id| task_view(state, id)).collect(),
        order: events.iter().any(reshaped).then(|| state.order.to_vec()),
        decisions: events
            .iter()
            .any(of_decisions)
            .then(|| state.decisions.iter().cloned().partition(|decision| decision.is_open())),
        run: run_view(state),
        last_run: ended_view(state),
        queue_problem,
        goals: events.iter().any(reshaped).then(|| state.goals.to_vec()),
        away: away_views(state, now_ms),
        today: state.days.used_on(now_ms),
    }
}

/// Returns the tasks whose view may differ after the events.
pub fn touched(state: &State, events: &[Event]) -> BTreeSet<TaskId> {
    let mut touched = BTreeSet::new();
    for event in events {
        match event {
            Event::QueueChanged { upserted, removed, order: None, .. } if removed.is_empty() => {
                touched.extend(upserted.iter().map(|task| task.id.clone()));
            }
            Event::QueueChanged { .. }
            | Event::TrustRead { .. }
            | Event::RunStarted { .. }
            | Event::RunEnded { .. }
            | Event::AgentLeft { .. }
            | Event::LinkLeft { .. }
            | Event::LinkCooled { .. }
            | Event::LinkFreed { .. } => return state.order.iter().cloned().collect(),
            // A question about a check of the configuration holds up every task.
            _ if of_setup(state, event) => return state.order.iter().cloned().collect(),
            Event::Landed { landing, .. } => touched.extend(landing.tasks.iter().cloned()),
            Event::LandingUndone { tasks, .. } => touched.extend(tasks.iter().cloned()),
            _ => touched.extend(subject(state, event)),
        }
    }
    // What depends on a task changes its own words and state with it.
    let dependents: Vec<TaskId> = touched.iter().flat_map(|id| state.dependents(id)).cloned().collect();
    touched.extend(dependents);
    touched
}

fn of_setup(state: &State, event: &Event) -> bool {
    let decision = match event {
        Event::DecisionRaised { decision } => Some(decision),
        Event::DecisionAnswered { id, .. } | Event::DecisionWithdrawn { id } => state.decision(id),
        _ => None,
    };
    decision.is_some_and(|decision| decision.kind == DecisionKind::Setup)
}

fn subject(state: &State, event: &Event) -> Option<TaskId> {
    match event {
        Event::AttemptStarted { attempt, .. }
        | Event::AttemptPrepared { attempt, .. }
        | Event::AgentStarted { attempt }
        | Event::Asked { attempt, .. }
        | Event::ReportTaken { attempt, .. }
        | Event::ReviewRequested { attempt, .. }
        | Event::ReviewGiven { attempt, .. }
        | Event::AttemptEnded { attempt, .. }
        | Event::ProposalMade { attempt, .. } => Some(attempt.task.clone()),
        Event::ProposalStale { task, .. }
        | Event::ProposalMoved { task, .. }
        | Event::HunksMarked { task, .. }
        | Event::AcceptedPartKept { task }
        | Event::AcceptedPartChecked { task, .. }
        | Event::AcceptedPartTaken { task }
        | Event::CommentMade { task, .. }
        | Event::CommentDropped { task, .. }
        | Event::RemarksSent { task, .. }
        | Event::TaskDone { task }
        | Event::AcceptanceUndone { task }
        | Event::TaskReopened { task }
        | Event::TaskRequeued { task, .. } => Some(task.clone()),
        Event::UsageCounted { task, .. } | Event::BudgetRaised { task, .. } => task.clone(),
        Event::DecisionRaised { decision } => decision.task.clone(),
        Event::DecisionAnswered { id, .. } | Event::DecisionWithdrawn { id } => state.decision(id)?.task.clone(),
        _ => None,
    }
}

/// Returns the lines of `run --json` for the events, `before` being the state they were folded into.
pub fn milestones(before: &State, after: &State, events: &[Event]) -> Vec<Milestone> {
    let mut lines = Vec::new();
    for event in events {
        match event {
            Event::RunStarted { run: RunId(run), .. } => lines.push(Milestone::RunStarted { run: run.clone() }),
            Event::AttemptStarted { attempt, agent, .. } => lines.push(Milestone::AttemptStarted {
                task: attempt.task.clone(),
                attempt: attempt.number,
                agent: agent.clone(),
            }),
            Event::AttemptEnded { attempt, end, .. } => lines.push(Milestone::AttemptEnded {
                task: attempt.task.clone(),
                attempt: attempt.number,
                outcome: end.outcome,
                detail: end.detail.clone(),
            }),
            Event::ReviewRequested { attempt, round, agent, .. } => lines.push(Milestone::ReviewRequest {
                task: attempt.task.clone(),
                attempt: attempt.number,
                round: *round,
                agent: agent.clone(),
            }),
            Event::ReviewGiven { attempt, round, summary, findings, failure, .. } => {
                lines.push(Milestone::ReviewFeedback {
                    task: attempt.task.clone(),
                    attempt: attempt.number,
                    round: *round,
                    summary: summary.clone(),
                    findings: findings.clone(),
                    failure: failure.clone(),
                });
            }
            Event::ReportTaken { attempt, report: Report::Reply { to, text }, .. } => {
                let questions = after.record(&attempt.task).map(|record| record.questions.as_slice());
                let asked = questions.unwrap_or_default().iter().find(|question| question.id == *to);
                lines.push(Milestone::Replied {
                    task: attempt.task.clone(),
                    id: to.clone(),
                    question: asked.map(|question| question.text.clone()).unwrap_or_default(),
                    answer: text.clone(),
                });
            }
            Event::DecisionRaised { decision } => {
                lines.push(Milestone::DecisionRequested { decision: decision.clone() });
            }
            Event::DecisionAnswered { id, .. } | Event::DecisionWithdrawn { id } => {
                let answer = after.decision(id).and_then(|decision| decision.answer.clone());
                lines.push(Milestone::DecisionResolved { id: id.clone(), answer });
            }
            _ => {}
        }
    }
    for id in touched(after, events) {
        let from = live_state(before, &id).map(|live| live.state);
        let to = live_state(after, &id).map(|live| live.state);
        if let Some(to) = to.filter(|to| Some(*to) != from) {
            lines.push(Milestone::TaskState { task: id, from, to });
        }
    }
    let waits = chain::run_waits(after).filter(|wait| chain::run_waits(before).as_ref() != Some(wait));
    if let Some(wait) = waits {
        let why = wait.words(offset(after));
        lines.push(Milestone::Waiting { until_ms: wait.cooldown.until_ms, why });
    }
    for event in events {
        if let Event::RunEnded { run: RunId(run), reason, union, .. } = event {
            lines.push(Milestone::RunEnded { run: run.clone(), reason: *reason, union: union.clone() });
        }
    }
    lines
}

fn task_view(state: &State, id: &TaskId) -> Option<TaskView> {
    let task = state.tasks.get(id)?;
    let live = live_state(state, id)?;
    let record = state.record(id);
    let mut task = Task::clone(task);
    task.status = effective_status(&task, record);
    let attempts = record.map(attempt_views).unwrap_or_default();
    let proposal = record.filter(|_| live.state != LiveState::Done).and_then(proposal_summary);
    let questions = record.map(|record| record.questions.clone()).unwrap_or_default();
    let comments = record.map(|record| record.comments.clone()).unwrap_or_default();
    let used = record.map(|record| record.used).unwrap_or_default();
    let landed = record.and_then(|record| record.landed.clone());
    let landable = landing::landable(record).is_ok();
    Some(TaskView {
        task,
        state: live.state,
        why: live.why,
        attempts,
        proposal,
        questions,
        comments,
        used,
        landed,
        landable,
    })
}

fn attempt_views(record: &Record) -> Vec<AttemptView> {
    let view = |attempt: &crate::domain::state::Attempt| AttemptView {
        number: attempt.number,
        agent: attempt.agent.clone(),
        model: attempt.model.clone(),
        outcome: attempt.end.as_ref().map(|end| end.outcome),
        detail: attempt.end.as_ref().map(|end| end.detail.clone()).unwrap_or_default(),
        started_at_ms: attempt.started_at_ms,
        ended_at_ms: attempt.ended_at_ms,
        checks: attempt.end.as_ref().map(|end| end.checks.clone()).unwrap_or_default(),
        used: attempt.end.as_ref().and_then(|end| end.ending.as_ref()).map(|ending| ending.usage).unwrap_or_default(),
    };
    record.attempts.iter().map(view).collect()
}

/// Returns a proposal without its texts.
pub fn proposal_summary(record: &Record) -> Option<ProposalSummary> {
    let proposal = record.proposal.as_ref()?;
    let end = record.attempts.iter().find(|attempt| attempt.number == proposal.attempt)?.end.as_ref();
    let files: BTreeSet<&String> = proposal.hunks.iter().map(|hunk| &hunk.path).collect();
    let hunk = |hunk: &crate::domain::event::HunkRef| HunkSummary {
        id: hunk.id.clone(),
        path: hunk.path.clone(),
        state: proposal.mark(&hunk.id),
        changed: proposal.changed.contains(&hunk.id),
        again: proposal.again.contains(&hunk.id),
    };
    Some(ProposalSummary {
        attempt: proposal.attempt,
        outcome: end.map_or(Outcome::Unchecked, |end| match end.outcome {
            Outcome::Leaked => end.otherwise.unwrap_or(Outcome::Unchecked),
            outcome => outcome,
        }),
        base: proposal.base.clone(),
        head: proposal.head.clone(),
        files: files.into_iter().cloned().collect(),
        hunks: proposal.hunks.iter().map(hunk).collect(),
        summary: end.and_then(|end| end.summary.clone()),
        part_kept: proposal.part_kept,
        part: part_words(proposal),
        round: record.round,
    })
}

/// Says how the accepted part stands by itself, where a person kept just that.
pub fn part_words(proposal: &Proposal) -> Option<String> {
    match &proposal.part {
        _ if proposal.part_waits() => Some("accepted part not verified".to_owned()),
        _ if !proposal.part_kept || proposal.rejected().is_empty() => None,
        Part::NotVerified => None,
        Part::Failed(detail) => Some(format!("accepted part fails: {}", detail.lines().next().unwrap_or_default())),
        Part::Verified(checks) if checks.is_empty() => Some("accepted part: nothing to check it with".to_owned()),
        Part::Verified(_) => Some("accepted part verified".to_owned()),
        Part::Taken => Some("accepted part taken though its checks fail".to_owned()),
    }
}

fn run_view(state: &State) -> Option<RunView> {
    let run = state.run.as_ref()?;
    let attempt = run.active.as_ref().and_then(|active| state.attempt(active));
    let wait = chain::run_waits(state);
    Some(RunView {
        id: run.id.0.clone(),
        started_at_ms: run.started_at_ms,
        paused: run.paused,
        stopping: run.stopping,
        task: run.active.as_ref().map(|active| active.task.clone()),
        attempt: run.active.as_ref().map(|active| active.number),
        agent: attempt.map(|attempt| attempt.agent.clone()),
        waiting_until_ms: wait.as_ref().map(|wait| wait.cooldown.until_ms),
        waiting_why: wait.map(|wait| wait.words(offset(state))),
        used: run.used,
    })
}

fn away_views(state: &State, now_ms: i64) -> Vec<AwayView> {
    let view = |reach: &Reach, why, detail: &str| AwayView {
        agent: reach.agent.clone(),
        model: reach.model.clone(),
        until_ms: None,
        until: None,
        why,
        detail: detail.to_owned(),
    };
    let rests = state.chain.cooled.iter().filter(|(_, it)| it.until_ms > now_ms).map(|(reach, it)| AwayView {
        until_ms: Some(it.until_ms),
        until: Some(chain::clock(it.until_ms, now_ms, offset(state))),
        ..view(reach, it.why, &it.detail)
    });
    let left = state.run.iter().flat_map(|run| &run.left).map(|(reach, it)| view(reach, it.why, &it.detail));
    rests.chain(left).collect()
}

fn offset(state: &State) -> i32 {
    state.days.utc_offset_seconds
}

fn ended_view(state: &State) -> Option<EndedRunView> {
    let last = state.last_run.as_ref()?;
    Some(EndedRunView {
        id: last.id.0.clone(),
        reason: last.reason,
        union: last.union.clone(),
        started_at_ms: last.started_at_ms,
        ended_at_ms: last.ended_at_ms,
        used: last.used,
    })
}
