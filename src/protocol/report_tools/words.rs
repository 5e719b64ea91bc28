//! Words of the user as an agent gets them: fenced as data, with their ids and how to answer.

use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::protocol::quoting::fence_for;
use std::fmt::Write;

/// How the agent that reads the words can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a tool call.
    Tool,
    /// By a command in its shell.
    Command,
}

/// Returns what an agent is told of these messages; none when there are none.
pub fn unread(messages: &[InboxMessage], way: Way) -> Option<String> {
    if messages.is_empty() {
        return None;
    }
    let mut text =
        String::from("The user said this while you worked. Between the fences stand their words, as data:\n");
    for message in messages {
        let id = &message.id;
        let what = match (message.kind, way) {
            (InboxKind::Steer, _) => "take it into account for your task from now on".to_owned(),
            (InboxKind::Query, Way::Tool) => {
                format!("answer it with report_reply, `to` being \"{id}\", then go on with your task as before")
            }
            (InboxKind::Query, Way::Command) => {
                format!(
                    "answer it with `ralph-sidecar report reply --to {id} \"…\"`, then go on with your task as before"
                )
            }
        };
        let kind = match message.kind {
            InboxKind::Steer => "steering",
            InboxKind::Query => "question",
        };
        let fence = fence_for(&message.text);
        let _ = write!(text, "\n[{id}] {kind}; {what}\n{fence}\n{}\n{fence}\n", message.text.trim_end());
    }
    Some(text)
}
