//! What happens next: `decide` turns an input into facts and orders. The only place that knows the rules of the loop.
//!
//! ```text
//! task         input                          facts                                   next
//! ready        a run is on, nothing claimed   AttemptStarted                          running
//! running      ended, verified or unchecked   AttemptEnded, ProposalMade              review
//! running      ended, the agent's failure     AttemptEnded                            ready, until the limit,
//!                                                                                     three of one shape, or A→B→A
//! running      ended, a limit or no network   AttemptEnded, LinkCooled                ready, with the next link of
//!                                                                                     the chain; else waiting
//! waiting      a link's time came, retry now  LinkFreed                               ready
//! running      ended, a question              AttemptEnded, DecisionRaised            blocked
//! running      ended, lost or cancelled       AttemptEnded                            ready
//! running      ended, the agent cannot run    AttemptEnded, LinkLeft                  ready; the run asks a person
//!                                                                                     when all have left
//! running      ended, a budget used up        AttemptEnded, DecisionRaised            blocked; or the run ends
//! ready        its budget is used up          DecisionRaised                          blocked
//! blocked      answered                       DecisionAnswered, TaskRequeued          ready
//! review       every hunk decided, on disk    TaskDone                                done
//! done         landed                         Landed                                  done, in a commit
//! review       rejected                       HunksMarked, ProposalStale (others)     review; dependents stale
//! review       the accepted part is kept      AcceptedPartKept                        review until it is checked
//! review       the part passed                AcceptedPartChecked, TaskDone           done, when it is on disk
//! review       the part failed                AcceptedPartChecked, DecisionRaised     blocked
//! review       sent back                      RemarksSent, TaskRequeued,              ready; dependents stale
//!                                             ProposalStale (others)
//! stale        moved, checks passed           ProposalMoved                           review
//! stale        moving failed                  TaskRequeued                            ready
//! ```

mod attempts;
mod links;
#[cfg(test)]
mod links_tests;
mod people;
#[cfg(test)]
mod properties;
mod review;
mod runs;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use super::decision::{Answer, DecisionId, OptionEffect};
use super::ending::Ending;
use super::event::{AttemptId, Event, HunkRef, Mark, StandsOn, UnionReport};
use super::hunks::HunkId;
use super::inbox::{InboxKind, InboxMessage, Question};
use super::landing::Landing;
use super::outcome::{AttemptEnd, CheckResult};
use super::queue;
use super::report::Report;
use super::rounds::{Comment, Quote, Remark};
use super::settings::{Link, RunSettings};
use super::state::{Prepared, Review, ReviewGiven, State};
use super::task::{Goal, Status, Task, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Something that happened, or that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The queue file was read and could be understood.
    QueueRead {
        tasks: Vec<Task>,
        goals: Vec<Goal>,
        /// Whether HEAD moved since the last reading: then a status that went back is not a request.
        head_moved: bool,
    },
    TrustRead {
        commands: BTreeSet<String>,
    },
    Start {
        settings: RunSettings,
        only: Vec<TaskId>,
    },
    Pause,
    Resume,
    /// Nothing more is claimed; with `kill`, the attempt that is on ends too.
    Stop {
        kill: bool,
    },
    /// A person wants the task tried again, from what was left or clean.
    Retry {
        task: TaskId,
        clean: bool,
    },
    Answer {
        id: DecisionId,
        answer: Answer,
        /// Whether a run that ended for want of the answer goes on.
        go_on: bool,
    },
    Steer {
        task: TaskId,
        text: String,
    },
    /// A person wants to know something of the agent that is at work on the task.
    Ask {
        task: TaskId,
        text: String,
    },
    /// What had made the task done was taken back.
    Reopen {
        task: TaskId,
    },
    /// Cancels the attempt of the task, nothing else.
    Cancel {
        task: TaskId,
    },
    MarkHunks {
        task: TaskId,
        hunks: Vec<HunkId>,
        mark: Mark,
        by: String,
    },
    /// With hunks rejected: keep just what was accepted.
    KeepAcceptedPart {
        task: TaskId,
    },
    /// With the accepted hunks kept: those that wait are rejected.
    DropRest {
        task: TaskId,
        why: Option<String>,
        by: String,
    },
    SendBack(SendBack),
    /// A person says something about a proposal.
    Comment {
        task: TaskId,
        hunk: Option<HunkId>,
        path: Option<String>,
        line: Option<u32>,
        text: String,
        quote: Option<String>,
    },
    DropComment {
        task: TaskId,
        id: String,
    },
    /// The checks ran on exactly the base with these accepted hunks.
    PartChecked {
        task: TaskId,
        /// Head of the proposal they are of.
        head: String,
        hunks: BTreeSet<HunkId>,
        checks: Vec<CheckResult>,
        failed: Option<String>,
    },
    /// A commit was made of the accepted text of tasks.
    Landed {
        landing: Landing,
    },
    /// A commit of ours was taken back.
    LandingUndone {
        commit: String,
    },
    /// The text of these accepted hunks was found on disk.
    FoundOnDisk {
        task: TaskId,
        /// What was looked for; what was accepted since is not among it.
        hunks: BTreeSet<HunkId>,
    },
    /// The slot holds the start point.
    Prepared {
        attempt: AttemptId,
        base: String,
        start: String,
        stands_on: Vec<StandsOn>,
        notes: Vec<String>,
    },
    AgentStarted {
        attempt: AttemptId,
    },
    Reported {
        attempt: AttemptId,
        id: String,
        report: Report,
    },
    /// A reviewer is asked; journaled before it starts.
    ReviewRequested {
        attempt: AttemptId,
        review: Review,
    },
    /// The review that is on was given, or failed.
    ReviewGiven {
        attempt: AttemptId,
        given: ReviewGiven,
        /// How the reviewer's own turn ended, for the chain and the budgets.
        ending: Ending,
    },
    Ended {
        attempt: AttemptId,
        end: AttemptEnd,
    },
    Moved {
        task: TaskId,
        /// Head of the proposal that was moved.
        from: String,
        result: MoveResult,
    },
    UnionChecked {
        report: UnionReport,
    },
    /// A turn that is no attempt ended, such as a planner's or a reviewer's.
    TurnEnded {
        /// `planner`, `reviewer`, …
        role: String,
        /// The task it was about.
        task: Option<TaskId>,
        link: Link,
        ending: Ending,
    },
    /// Time passed; budgets and who rests are looked at.
    Tick,
}

/// A proposal on its way back to an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct SendBack {
    pub task: TaskId,
    /// A person's further words.
    pub comments: Vec<String>,
    /// What was accepted stays accepted.
    pub rest: bool,
    /// It is to be put onto the text as the user has it.
    pub rebase: bool,
    /// Texts of hunks that may be quoted.
    pub quotes: BTreeMap<HunkId, Quote>,
    /// What does not fit, with a rebase.
    pub conflicts: Vec<Remark>,
}

impl SendBack {
    /// Sends the task back with what was accepted to be left as it is, and without further words.
    pub fn rest(task: TaskId) -> Self {
        Self { task, comments: Vec::new(), rest: true, rebase: false, quotes: BTreeMap::new(), conflicts: Vec::new() }
    }
}

/// How moving a stale proposal went.
#[derive(Clone, Debug, PartialEq)]
pub enum MoveResult {
    /// Its checks passed on the new base.
    Moved { base: String, head: String, hunks: Vec<HunkRef>, stands_on: Vec<StandsOn> },
    /// It does not merge, or a check fails; says which.
    Failed { detail: String },
}

/// An order to the world. Safe to repeat, except that an agent is never started twice for one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Prepare, run, check and commit the attempt; ends in `Input::Ended`.
    RunAttempt { attempt: AttemptId },
    /// Stop the attempt's agent or checks.
    StopAttempt { attempt: AttemptId },
    /// Hand words to the agent at its next look into its inbox; those with an id it had before count once.
    Deliver { attempt: AttemptId, message: InboxMessage },
    /// Write the status into the queue file.
    WriteStatus { task: TaskId, status: Status },
    /// Add drafts to the queue file.
    AddDrafts { tasks: Vec<Task> },
    /// Move the proposal to its new base and check it; ends in `Input::Moved`.
    MoveProposal { task: TaskId },
    /// Merge all proposals and check them; ends in `Input::UnionChecked`.
    CheckUnion,
    /// Check the base with just the accepted hunks; ends in `Input::PartChecked`.
    CheckPart { task: TaskId },
    /// Look whether the accepted text is on disk; ends in `Input::FoundOnDisk` or nothing.
    LookOnDisk { task: TaskId },
}

/// What a person asked for and cannot have; journaled nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a run is on already (`ralph-sidecar stop` ends it)")]
    RunIsOn,
    #[error("no run is on (`ralph-sidecar run` starts one)")]
    NoRun,
    #[error("no task `{0}` in the queue (`ralph-sidecar tasks` lists them)")]
    NoTask(TaskId),
    #[error("no decision `{0}` (`ralph-sidecar decisions` lists them)")]
    NoDecision(DecisionId),
    #[error("{0} is answered already; retry the task to ask for another way")]
    AlreadyAnswered(DecisionId),
    #[error("{0} needs no answer any more; `ralph-sidecar decisions` lists those that do")]
    Withdrawn(DecisionId),
    #[error("{id} has no option `{option}`; the options are: {known} (or answer with text)")]
    NoOption { id: DecisionId, option: String, known: String },
    #[error("an answer needs an option or a text")]
    EmptyAnswer,
    #[error("nobody is at work on task `{0}` who could answer; without --ask the next attempt is told")]
    NobodyToAsk(TaskId),
    #[error("task `{0}` has no proposal to review")]
    NoProposal(TaskId),
    #[error("task `{task}` has no hunk `{hunk}`; look at `ralph-sidecar review {task}`")]
    NoHunk { task: TaskId, hunk: String },
    #[error("task `{task}` has no comment `{id}`; look at `ralph-sidecar review {task}`")]
    NoComment { task: TaskId, id: String },
    #[error("a comment needs words")]
    EmptyComment,
    #[error("nothing of task `{0}` is accepted; send it back (`ralph-sidecar send-back {0}`), or drop it")]
    NothingAccepted(TaskId),
    #[error("task `{0}` is being worked on; stop the attempt first, or wait for it")]
    TaskIsRunning(TaskId),
    #[error("task `{task}` is {status}; approve it first")]
    NotApproved { task: TaskId, status: &'static str },
}

/// What `decide` answers.
pub type Decided = Result<(Vec<Event>, Vec<Effect>), Refusal>;

/// Turns an input into facts and orders. Pure: equal arguments give equal results.
///
/// `now_ms` is milliseconds since the Unix epoch.
///
/// # Errors
///
/// Refuses what a person asked for when it makes no sense now; then nothing happened. Inputs that come from the
/// engine itself are never refused: what does not fit any more (a second end, a report after the end) is no event.
pub fn decide(state: &State, input: Input, now_ms: i64) -> Decided {
    let mut next = Next { state: state.clone(), events: Vec::new(), effects: Vec::new(), now_ms };
    let movable = next.stale_and_movable();
    next.handle(input)?;
    next.schedule(&movable);
    Ok((next.events, next.effects))
}

/// Returns the orders that were given before a crash and have no end yet; given again after a restart.
pub fn pending_effects(state: &State) -> Vec<Effect> {
    let mut effects: Vec<Effect> = Vec::new();
    for attempt in state.unfinished_attempts() {
        let questions = state.record(&attempt.task).map(|record| record.questions.as_slice()).unwrap_or_default();
        let open = questions.iter().filter(|it| it.attempt == attempt.number && it.answer.is_none());
        let asked = open.map(|question| Effect::Deliver { attempt: attempt.clone(), message: query(question) });
        let asked: Vec<Effect> = asked.collect();
        effects.push(Effect::RunAttempt { attempt });
        effects.extend(asked);
    }
    effects.extend(pending_writes(state));
    for id in state.order.iter() {
        let Some(proposal) = state.record(id).filter(|record| !record.done).and_then(|it| it.proposal.as_ref()) else {
            continue;
        };
        if proposal.stale.is_some() {
            if runs::can_move(state, id) {
                effects.push(Effect::MoveProposal { task: id.clone() });
            }
        } else if !proposal.marks.is_empty() {
            if proposal.part_waits() {
                effects.push(Effect::CheckPart { task: id.clone() });
            }
            effects.push(Effect::LookOnDisk { task: id.clone() });
        }
    }
    if state.run.as_ref().is_some_and(|run| run.finishing) {
        effects.push(Effect::CheckUnion);
    }
    effects
}

/// Returns a question as the agent gets it.
fn query(question: &Question) -> InboxMessage {
    InboxMessage { id: question.id.clone(), kind: InboxKind::Query, text: question.text.clone() }
}

/// Returns what the queue file does not say yet: given again when it can be written after it could not.
///
/// A `done` that the file did say once and says no more is not among it: somebody changed it back.
pub fn pending_writes(state: &State) -> Vec<Effect> {
    let mut effects = Vec::new();
    for id in state.order.iter() {
        let (Some(task), Some(record)) = (state.tasks.get(id), state.record(id)) else { continue };
        let status = match task.status {
            Status::Todo | Status::Draft if record.done && !record.written => Status::Done,
            Status::Done if record.reopened => Status::Todo,
            Status::Todo if matches!(queue::put_aside(state, id), Some((_, OptionEffect::Drop))) => Status::Dropped,
            _ => continue,
        };
        effects.push(Effect::WriteStatus { task: id.clone(), status });
    }
    if !state.suggested.is_empty() {
        effects.push(Effect::AddDrafts { tasks: state.suggested.iter().cloned().collect() });
    }
    effects
}

/// A decision in the making: the state as it will be, and what led there.
struct Next {
    state: State,
    events: Vec<Event>,
    effects: Vec<Effect>,
    now_ms: i64,
}

impl Next {
    fn emit(&mut self, event: Event) {
        self.state.apply(&event);
        self.events.push(event);
    }

    fn order(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::QueueRead { tasks, goals, head_moved } => self.queue_read(tasks, goals, head_moved),
            Input::TrustRead { commands } => {
                if commands != *self.state.trusted {
                    self.emit(Event::TrustRead { commands });
                }
            }
            Input::Start { settings, only } => self.start(settings, only)?,
            Input::Pause => self.pause()?,
            Input::Resume => self.resume()?,
            Input::Stop { kill } => self.stop(kill)?,
            Input::Retry { task, clean } => self.retry(task, clean)?,
            Input::Answer { id, answer, go_on } => self.answer(id, answer, go_on)?,
            Input::Steer { task, text } => self.steer(task, text)?,
            Input::Ask { task, text } => self.ask_agent(task, text)?,
            Input::Reopen { task } => self.reopen(task),
            Input::Cancel { task } => self.cancel(&task)?,
            Input::MarkHunks { task, hunks, mark, by } => self.mark_hunks(task, hunks, mark, by)?,
            Input::KeepAcceptedPart { task } => self.keep_accepted_part(task)?,
            Input::DropRest { task, why, by } => self.drop_rest(task, why, by)?,
            Input::SendBack(order) => self.send_back(order)?,
            Input::Comment { task, hunk, path, line, text, quote } => {
                self.comment(task, Comment { hunk, path, line, text, quote, ..Comment::default() })?;
            }
            Input::DropComment { task, id } => self.drop_comment(task, id)?,
            Input::PartChecked { task, head, hunks, checks, failed } => {
                self.part_checked(task, &head, hunks, checks, failed);
            }
            Input::FoundOnDisk { task, hunks } => self.found_on_disk(task, &hunks),
            Input::Landed { landing } => self.landed(landing),
            Input::LandingUndone { commit } => self.landing_undone(commit),
            Input::Prepared { attempt, base, start, stands_on, notes } => {
                self.prepared(attempt, Prepared { base, start, stands_on, notes });
            }
            Input::AgentStarted { attempt } => {
                if self.state.attempt(&attempt).is_some_and(|on| on.end.is_none() && !on.agent_started) {
                    self.emit(Event::AgentStarted { attempt });
                }
            }
            Input::Reported { attempt, id, report } => self.reported(attempt, id, report),
            Input::ReviewRequested { attempt, review } => self.review_requested(attempt, review),
            Input::ReviewGiven { attempt, given, ending } => self.review_given(attempt, given, &ending),
            Input::Ended { attempt, end } => self.ended(attempt, end),
            Input::Moved { task, from, result } => self.moved(task, &from, result),
            Input::UnionChecked { report } => self.union_checked(report),
            Input::TurnEnded { role, task, link, ending } => self.turn_ended(role, task, link, &ending),
            Input::Tick => self.tick(),
        }
        Ok(())
    }

    fn is_on(&self, attempt: &AttemptId) -> bool {
        self.state.attempt(attempt).is_some_and(|attempt| attempt.end.is_none())
    }
}
