//! What a person says to an agent that is at work; see section 7 of the design.

use serde::{Deserialize, Serialize};

/// What the words are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxKind {
    /// Changes what the agent does.
    Steer,
    /// Is answered by [`super::report::Report::Reply`], and changes nothing about the task.
    Query,
}

/// Words for an agent at its next look into its inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxMessage {
    /// Unique within the task, such as `s1` or `q2`; a reply names it, and words given twice count once by it.
    pub id: String,
    pub kind: InboxKind,
    pub text: String,
}

/// Something a person asked an agent that was at work, and what it replied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Unique within the task: `q1`, `q2`, …
    pub id: String,
    /// The attempt that was on.
    pub attempt: u32,
    pub text: String,
    /// The newest reply.
    #[serde(default)]
    pub answer: Option<String>,
}
