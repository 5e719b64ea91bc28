//! What a client asks for: the parameters of the commands and requests.
//!
//! Each command takes one object, as the only argument of `workspace/executeCommand` or as the parameters of the
//! request. Everything is optional where a default makes sense, so that a person can type it by hand. `root` is the URI
//! of a workspace folder, or of anything inside it; it may be left out where only one folder is open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `ralph.plan`: asks a planner for drafts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PlanParams {
    pub root: Option<String>,
    /// What to plan. Asked for by `ralph/input` when absent.
    pub goal: Option<String>,
    /// What the goal is about.
    pub context: Vec<PlanPlace>,
    /// An agent's name, or `command:PROGRAM ARGS`; the planner chain when absent.
    pub agent: Option<String>,
    /// Instead of all that: the TODO comment at this place, which becomes a draft without an agent, once.
    pub todo: Option<TodoPlace>,
}

/// Where a TODO comment is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TodoPlace {
    /// An open document.
    pub uri: String,
    /// Any line of the comment, 0-based.
    pub line: u32,
}

/// A place in a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PlanPlace {
    pub uri: Option<String>,
    /// First line, 0-based.
    pub start_line: u32,
    /// Last line, 0-based and inclusive.
    pub end_line: u32,
    /// What is there, or what is said about it.
    pub text: String,
}

/// `ralph.revisePlan`: sends drafts back to the planner with instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RevisePlanParams {
    pub root: Option<String>,
    /// Ids of drafts; all when empty.
    pub tasks: Vec<String>,
    /// Asked for by `ralph/input` when absent.
    pub instructions: Option<String>,
    pub agent: Option<String>,
    /// Replace the drafts without asking; else the difference is shown and the person asked.
    pub apply: bool,
}

/// `ralph.approve`: makes drafts `todo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ApproveParams {
    pub root: Option<String>,
    /// Ids; all drafts when empty.
    pub tasks: Vec<String>,
    /// Command strings the person has been shown and trusts. Others that need trust are asked about.
    pub trust: Vec<String>,
}

/// `ralph.drop`: makes tasks `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DropParams {
    pub root: Option<String>,
    /// Ids; at least one.
    pub tasks: Vec<String>,
}

/// `ralph.start`: starts the loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StartParams {
    pub root: Option<String>,
    /// Only these tasks and what they depend on; all approved ones when empty.
    pub tasks: Vec<String>,
    /// As in [`PlanParams`]; the implementer chain when absent.
    pub agent: Option<String>,
    /// As in [`ApproveParams`].
    pub trust: Vec<String>,
}

/// `ralph.stop`: ends the run after its attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StopParams {
    pub root: Option<String>,
    /// At once instead.
    pub kill: bool,
}

/// `ralph.pause`, `ralph.resume`, `ralph.undo` and `ralph.status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RootParams {
    pub root: Option<String>,
}

/// `ralph.retry`: tries a task again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RetryParams {
    pub root: Option<String>,
    pub task: String,
    /// Without what earlier attempts left.
    pub clean: bool,
}

/// `ralph.steer`: tells the agent at work and the next attempt something, or asks the one at work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SteerParams {
    pub root: Option<String>,
    pub task: String,
    /// Asked for by `ralph/input` when absent.
    pub text: Option<String>,
    /// The text is a question, for the agent at work alone; its reply changes nothing about the task.
    pub ask: bool,
}

/// `ralph.answer`: answers a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AnswerParams {
    pub root: Option<String>,
    /// The oldest open one when absent.
    pub decision: Option<String>,
    /// Label of an option. With neither option nor text the person is asked.
    pub option: Option<String>,
    pub text: Option<String>,
    /// Ask for the text by `ralph/input`.
    pub ask_text: bool,
}

/// `ralph.proposal`: the proposal of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProposalParams {
    pub root: Option<String>,
    pub task: String,
    /// Show it: the review document where the client can, else the first place with a pending hunk.
    pub show: bool,
}

/// `ralph.accept`: accepts hunks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AcceptParams {
    pub root: Option<String>,
    /// The task; found by the hunks when absent.
    pub task: Option<String>,
    /// Ids; all pending ones when empty.
    pub hunks: Vec<String>,
    /// Only those in this document.
    pub uri: Option<String>,
    /// With hunks rejected: keep just what was accepted, and be done with the task.
    pub keep_accepted_part: bool,
}

/// `ralph.reject`: rejects hunks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RejectParams {
    pub root: Option<String>,
    pub task: Option<String>,
    /// Ids; all pending ones when empty.
    pub hunks: Vec<String>,
    pub uri: Option<String>,
    /// For the next attempt.
    pub why: Option<String>,
    /// Ask for `why` by `ralph/input`; cancelling that rejects nothing.
    pub ask_why: bool,
    /// Drop the rest: all that wait are rejected, and what was accepted is kept.
    pub rest: bool,
    /// Take the rejection back instead: rejected hunks wait again, all that are meant when none is named.
    pub undo: bool,
}

/// `ralph.comment`: says something about a proposal; it is kept, and goes with the next send back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CommentParams {
    pub root: Option<String>,
    pub task: String,
    pub hunk: Option<String>,
    /// Relative to the root.
    pub path: Option<String>,
    /// 1-based, in the proposed text.
    pub line: Option<u32>,
    /// Asked for by `ralph/input` when absent.
    pub text: Option<String>,
    /// Id of a comment to take back instead.
    pub drop: Option<String>,
}

/// `ralph.sendBack`: sends a proposal back to an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SendBackParams {
    pub root: Option<String>,
    pub task: String,
    pub comments: Vec<String>,
    /// What was accepted stays accepted; so it does when absent.
    pub rest: Option<bool>,
    /// Have it put onto the text as it is now; what does not fit is told.
    pub rebase: bool,
}

/// `ralph.land`: lands accepted work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LandParams {
    pub root: Option<String>,
    /// One task.
    pub task: Option<String>,
    /// Several; all that are done and not landed when neither is given.
    pub tasks: Vec<String>,
    /// `tree`, `commit` or `branch`; the setting `land.to` when absent.
    pub to: Option<String>,
    /// Message of the commit; the setting `land.message` when absent.
    pub message: Option<String>,
    /// Name of the branch; the setting `land.branch` when absent.
    pub branch: Option<String>,
}

/// `ralph.trust`: trusts command strings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TrustParams {
    pub root: Option<String>,
    /// What the person was shown; when empty, the person is asked about everything that needs trust.
    pub commands: Vec<String>,
}

/// `ralph/content` and `workspace/textDocumentContent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentParams {
    /// A `ralph:` URI that the server gave out.
    pub uri: String,
}

/// `ralph/input`, from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputParams {
    /// What is asked for.
    pub prompt: String,
    /// Shown in the empty field.
    pub placeholder: Option<String>,
}

/// The client's answer to `ralph/input`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InputResult {
    /// Null when the person cancelled.
    pub text: Option<String>,
}
