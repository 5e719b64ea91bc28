//! What is particular about each agent, in one place: its environment, how it ends, and how it hides a failure in a
//! turn that looks regular. Pure; measured with the versions named.
//!
//! | agent | quirk |
//! | --- | --- |
//! | codex-acp 2.6.0 | overload, limits and a full context come as `end_turn` with `usage: null`; the thread's status is `systemError`, the reason the last words; its own sandbox does not work inside ours; its shell forgets our PATH, unless it is told not to; it takes 2 s to end with its input |
//! | gemini 0.61.0 | starts itself again as a child that signals do not reach; errors carry the status of HTTP as code, or 500 whatever it was; an answer that breaks off comes as `end_turn`; tells its tokens in `_meta` |
//! | opencode 1.18.33 | errors name only the class of its own error; an answer that breaks off is asked for again without end; tells editors of each edit by `fs/write_text_file`, offered or not, and writes the file itself; a refusal costs pages of its own source on its other stream |
//! | claude-agent-acp | errors carry `data.errorKind`; `-32000` is for logging in |
//! | the older adapters | do not end with their input |

use super::failures::{Clock, Told};
use super::turn::usage_of;
use super::updates::Updates;
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;

/// The agents with quirks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Claude,
    Codex,
    Gemini,
    OpenCode,
    Other,
}

impl Program {
    /// Recognises an agent by its command line, or by the name it gives itself.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let known =
            [("opencode", Self::OpenCode), ("gemini", Self::Gemini), ("codex", Self::Codex), ("claude", Self::Claude)];
        for word in words {
            // The folder something is installed in names nothing.
            let word = if word.starts_with('@') { word } else { word.rsplit('/').next().unwrap_or(word) };
            let word = word.to_ascii_lowercase();
            if let Some((_, program)) = known.iter().find(|(name, _)| word.contains(name)) {
                return *program;
            }
        }
        Self::Other
    }

    /// Variables it is started with, unless the configuration or the user's environment sets them.
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // The slot is a copy of what its user has trusted, and nobody is there to be asked.
            Self::Gemini => &[("GEMINI_CLI_NO_RELAUNCH", "true"), ("GEMINI_CLI_TRUST_WORKSPACE", "true")],
            Self::OpenCode => &[("OPENCODE_DISABLE_AUTOUPDATE", "1")],
            // Else it hides the tools of servers behind a search.
            Self::Claude => &[("ENABLE_TOOL_SEARCH", "false"), ("DISABLE_AUTOUPDATER", "1")],
            // A login shell would set PATH anew, without our program in it.
            Self::Codex => &[("CODEX_CONFIG", r#"{"allow_login_shell":false}"#)],
            Self::Other => &[],
        }
    }

    /// The option of a session, and its value, that turns the agent's own sandbox off, which keeps its shell from
    /// reporting and fails inside ours.
    pub fn without_sandbox(self) -> Option<(&'static str, &'static str)> {
        (self == Self::Codex).then_some(("mode", "agent-full-access"))
    }

    /// Tells whether a request that was not offered only tells us of what the agent does itself.
    pub fn only_tells(self, method: &str) -> bool {
        self == Self::OpenCode && method == "fs/write_text_file"
    }

    /// How long it gets to end after its input has ended.
    pub fn patience(self) -> Duration {
        match self {
            Self::Codex => Duration::from_millis(3500),
            _ => Duration::from_millis(2000),
        }
    }
}

/// Messages of opencode in a row, without a tool call between two, that cannot all have come to their end: one that does
/// ends the turn.
const UNFINISHED: usize = 6;

/// What updates tell of a failure that the answer to the prompt may not.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// The messages said since the last tool call.
    messages: HashSet<String>,
    /// The agent's own word for its state is a failure.
    failed: bool,
    /// The last typed error it told of.
    error: Value,
}

impl Signs {
    /// Looks at an update; returns a note when it tells of an error that the agent tries to get over.
    pub fn hear(&mut self, update: &Value, updates: &mut Updates) -> Option<String> {
        match update["sessionUpdate"].as_str() {
            Some("agent_message_chunk") => {
                self.messages.extend(update["messageId"].as_str().map(str::to_owned));
                None
            }
            Some("tool_call" | "tool_call_update") => {
                self.messages.clear();
                None
            }
            Some("session_info_update") => self.hear_codex(update, updates),
            _ => None,
        }
    }

    /// Forgets what was said, with a prompt that the agent may answer with anything.
    pub fn begin_turn(&mut self) {
        self.messages.clear();
    }

    /// Tells whether the agent asks for the same answer again and again, because the answers break off.
    pub fn is_stuck(&self, program: Program) -> bool {
        program == Program::OpenCode && self.messages.len() >= UNFINISHED
    }

    fn hear_codex(&mut self, update: &Value, updates: &mut Updates) -> Option<String> {
        let codex = &update["_meta"]["codex"];
        match codex["threadStatus"]["type"].as_str() {
            Some("systemError") => {
                self.failed = true;
                // The words that come now are the reason.
                updates.end_words();
            }
            Some(_) => self.failed = false,
            None => {}
        }
        let error = &codex["error"];
        let message = error["message"].as_str()?;
        self.error = error.clone();
        let details = error["additionalDetails"].as_str().map(|details| format!(": {details}")).unwrap_or_default();
        Some(format!("{message}{details}"))
    }

    /// Returns how a turn ended that was answered; regular only with `end_turn` and a sign of work.
    pub fn ending(&self, program: Program, answer: &Value, updates: &Updates, clock: &Clock) -> Ending {
        let reason = answer["stopReason"].as_str().unwrap_or_default();
        // It only spoke, and no model was used for that.
        let silent = updates.active && !updates.worked && answer["usage"].is_null();
        match reason {
            "end_turn" if self.failed || (program == Program::Codex && silent) => self.hidden(&updates.words, clock),
            "end_turn" if program == Program::Gemini && !updates.worked && used_nothing(answer) => Ending::failed(
                Outcome::Network,
                "the model's answer broke off: no request of this turn came to its end",
            ),
            "end_turn" if !updates.active => {
                Ending::failed(Outcome::InvalidOutput, "the agent ended its turn without a word and without any work")
            }
            "end_turn" => Ending::regular("the agent ended its turn"),
            "max_tokens" => Ending::failed(
                Outcome::ContextExhausted,
                "the model reached the most tokens it may write or hold, before it was done",
            ),
            "max_turn_requests" => Ending::failed(
                Outcome::TimedOut,
                "the agent reached its own limit of requests in one turn; raise it in the agent's settings, or make the task smaller",
            ),
            "refusal" => Ending::failed(Outcome::InvalidOutput, "the model refused to go on with this prompt"),
            "cancelled" => {
                Ending::failed(Outcome::Crashed, "the agent says that its turn was cancelled, but nobody cancelled it")
            }
            other => Ending::failed(
                Outcome::InvalidOutput,
                format!("the agent ended its turn for a reason that the protocol does not know: `{other}`"),
            ),
        }
    }

    /// The failure behind a turn that looks regular: from the words, which are the agent's own and about what came of all
    /// its tries, and else from the typed error of one of them.
    fn hidden(&self, words: &str, clock: &Clock) -> Ending {
        let ending = Told::new(words, &Value::Null, 0).ending(clock);
        if ending.failure != Some(Outcome::Crashed) {
            return ending;
        }
        let mut error = self.error.clone();
        if let Some(fields) = error.as_object_mut() {
            fields.retain(|name, _| name == "codexErrorInfo");
        }
        Told::new(words, &error, 0).ending(clock)
    }
}

/// Tells whether the agent counted what it used, and that was nothing.
fn used_nothing(answer: &Value) -> bool {
    usage_of(answer).is_some_and(|usage| usage.tokens() == 0)
}

#[cfg(test)]
#[path = "tests/quirks.rs"]
mod tests;
