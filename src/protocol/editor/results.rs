//! What the server answers, and how it describes tasks, decisions and hunks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What most commands answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CommandResult {
    /// What happened, in one sentence.
    pub message: String,
    /// Ids of the tasks it happened to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Ids of hunks whose mark changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<String>,
    /// Hunks that do not fit the text as it is now, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<HunkConflict>,
    /// A document that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// A hunk that cannot be accepted by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HunkConflict {
    pub hunk: String,
    pub reason: String,
}

/// `ralph.status`: everything about one folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusResult {
    /// URI of the folder.
    pub root: String,
    pub run: Option<RunStatus>,
    /// The run before.
    pub last_run: Option<LastRunStatus>,
    /// In file order.
    pub tasks: Vec<TaskStatus>,
    /// The open ones, oldest first.
    pub decisions: Vec<DecisionStatus>,
    /// Why the queue file cannot be used now.
    pub queue_problem: Option<String>,
    /// Names of the configured agents.
    pub agents: Vec<String>,
    /// The effective settings and where each comes from.
    pub settings: serde_json::Value,
}

/// The run that is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RunStatus {
    pub id: String,
    pub paused: bool,
    pub stopping: bool,
    pub task: Option<String>,
    pub attempt: Option<u32>,
    pub agent: Option<String>,
    /// When an agent is free again, in milliseconds since the Unix epoch, while all who could work rest.
    pub waiting_until_ms: Option<i64>,
    /// For whom, until when in local time, and why.
    pub waiting_why: Option<String>,
}

/// The run before, as it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LastRunStatus {
    pub id: String,
    /// `finished`, `needs_person`, `budget` or `stopped`.
    pub reason: String,
    /// In milliseconds since the Unix epoch.
    pub ended_at_ms: i64,
    /// What is left of it now, and what it cost: `3 to review, 1 needs you, 0 failed; $1.20, 2 h 5 min`.
    pub summary: String,
}

/// A task with what happens to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TaskStatus {
    pub id: String,
    pub title: String,
    /// As in the file.
    pub status: String,
    /// `draft`, `done`, `dropped`, `waiting`, `ready`, `running`, `blocked`, `review` or `stale`.
    pub state: String,
    /// One sentence: why it does not run, or what waits.
    pub why: String,
    pub attempts: Vec<AttemptStatus>,
    /// Hunks of the proposal, with `pending`, `accepted` or `rejected` each.
    pub hunks: Vec<HunkStatus>,
    /// What people asked its agents at work, oldest first.
    pub questions: Vec<QuestionStatus>,
    /// Whether its accepted text can be made a commit.
    pub landable: bool,
    /// The commit its accepted text is in: `1a2b3c4d on main`; null while it is in none of ours.
    pub landed: Option<String>,
}

/// What a person asked an agent at work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct QuestionStatus {
    pub id: String,
    pub attempt: u32,
    pub text: String,
    /// The newest reply; null while there is none.
    pub answer: Option<String>,
}

/// One attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AttemptStatus {
    pub number: u32,
    pub agent: String,
    /// The agent's own default when null.
    pub model: Option<String>,
    /// Null while it is on.
    pub outcome: Option<String>,
    pub detail: String,
    /// What it used, as far as its agent tells: `$0.12, 34k tokens`; null while it is on and where nothing is known.
    pub used: Option<String>,
    /// Virtual documents with what it was told, what it said and what the checks said.
    pub prompt_uri: String,
    pub transcript_uri: String,
    pub checks_uri: String,
}

/// A hunk without its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HunkStatus {
    pub id: String,
    /// Relative to the root.
    pub path: String,
    /// `pending`, `accepted` or `rejected`.
    pub mark: String,
}

/// A question to the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DecisionStatus {
    pub id: String,
    pub task: Option<String>,
    pub kind: String,
    pub question: String,
    pub options: Vec<DecisionChoice>,
    pub recommended: Option<String>,
    /// Relative to the root.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
}

/// One possible answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DecisionChoice {
    pub label: String,
    pub detail: String,
}

/// `ralph.proposal`: a proposal with its texts and its places in the open documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProposalResult {
    pub task: String,
    pub title: String,
    pub attempt: u32,
    pub outcome: String,
    pub summary: Option<String>,
    pub acceptance: Vec<String>,
    pub checks: Vec<CheckStatus>,
    /// What the reviewer wants changed.
    pub findings: Vec<FindingStatus>,
    /// 1-based: how often the task came to review since it was started or reopened.
    pub round: u32,
    /// What was said about the task's proposals, oldest first.
    pub comments: Vec<CommentStatus>,
    /// How the accepted part stands by itself where just that was kept: `accepted part not verified`, `accepted part fails:
    /// …`; null where nothing is to be said.
    pub accepted_part: Option<String>,
    /// What needs to be looked at most first: what may weaken tests, waits for another task, is proved by nothing, or has
    /// findings; then what changed since the round before; what is decided last. Equals are sorted by path.
    pub files: Vec<ProposalFileResult>,
    /// The review document.
    pub uri: String,
}

/// What one check said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CheckStatus {
    pub run: String,
    pub passed: bool,
    /// It failed before and passes now.
    pub proof: bool,
}

/// Something a reviewer wants changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FindingStatus {
    /// Relative to the root.
    pub file: Option<String>,
    /// 1-based, in the proposed text.
    pub line: Option<u32>,
    pub text: String,
}

/// Something a person said about a proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CommentStatus {
    /// Unique within the task.
    pub id: String,
    pub hunk: Option<String>,
    /// Relative to the root.
    pub path: Option<String>,
    /// 1-based, in the proposed text.
    pub line: Option<u32>,
    pub text: String,
    /// The round it was made in.
    pub round: u32,
    /// It went to an agent.
    pub sent: bool,
}

/// One file of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProposalFileResult {
    /// Relative to the root.
    pub path: String,
    pub old_path: Option<String>,
    /// The document in the checkout.
    pub uri: String,
    /// Virtual documents with both sides.
    pub base_uri: String,
    pub proposal_uri: String,
    pub hunks: Vec<ProposalHunk>,
}

/// One hunk of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProposalHunk {
    pub id: String,
    /// `text`, `create`, `delete`, `rename`, `mode` or `binary`.
    pub kind: String,
    /// `pending`, `accepted` or `rejected`.
    pub mark: String,
    /// How it stands in the open document: `pending`, `accepted`, `reverted` or `conflict`; null where none is open.
    pub state: Option<String>,
    /// 0-based half-open lines in the open document, or in the base where none is open.
    pub start_line: u32,
    pub end_line: u32,
    /// First line in the base, 0-based; for lines that are not there, the line they go before.
    pub old_start: u32,
    /// As `old_start`, in the proposed text.
    pub new_start: u32,
    /// With their line ends.
    pub old_lines: Vec<String>,
    pub new_lines: Vec<String>,
    /// Why it may weaken the tests.
    pub weakens_test: Option<String>,
    /// What the reviewer wants changed here or, where no hunk has the line, nearest to here.
    pub findings: Vec<String>,
    /// What was said about it, what was not sent yet first.
    pub comments: Vec<String>,
    /// New or different since the round before; false in round 1.
    pub changed: bool,
    /// Rejected before, and here again as it was.
    pub again: bool,
    /// Id of the task whose pending hunk it rests on.
    pub waits_for: Option<String>,
}

/// Text of a virtual document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentResult {
    pub text: String,
}
