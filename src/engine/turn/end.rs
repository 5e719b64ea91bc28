//! How a turn ended, and the class of its failure.
//!
//! ```text
//! process              the driver says          failure
//! stopped by us        anything                 cancelled
//! not found, …         nothing                  missing_binary
//! lost, not started    anything                 attempt_lost
//! any other end        a regular end            none
//! any other end        a class but cancelled    that class
//! silent, too long     cancelled, or nothing    timed_out
//! exited, signaled     cancelled                attempt_lost (somebody else ended it)
//! exited 0             no driver                none
//! exited, signaled     nothing                  crashed
//! ```

use super::Turn;
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use crate::domain::report::Report;
use crate::engine::checks::tail;
use crate::engine::ports::{PortResult, ProcessEnd};
use crate::protocol::agent_lines::{ending_of, readable};
use crate::protocol::plan_text::last_fenced_block;

/// How much of a transcript's end is looked at for the ending, the fenced block and the last words, in bytes.
const TAIL: u64 = 1024 * 1024;
/// How much of the transcript stands for the last words of an agent that said none, in bytes.
const LAST_LINES: usize = 8 * 1024;

/// How a turn ended.
#[derive(Clone, Debug)]
pub struct TurnEnd {
    pub end: ProcessEnd,
    /// How the agent's own program ended, where a driver of ours heard it.
    pub ending: Option<Ending>,
    /// What it reported, each report once, in order.
    pub reports: Vec<Report>,
    /// The last words it said; for an agent without a driver, the end of its output.
    pub last_words: String,
    pub(super) is_driven: bool,
    pub(super) idle_seconds: u64,
    pub(super) wall_seconds: u64,
}

impl Turn<'_> {
    pub(super) fn end(&self, end: ProcessEnd, ending: Option<Ending>, last_words: String) -> TurnEnd {
        TurnEnd {
            end,
            ending,
            reports: Vec::new(),
            last_words,
            is_driven: self.agent.is_driven(),
            idle_seconds: self.idle_seconds,
            wall_seconds: self.wall_seconds,
        }
    }

    /// Reads off the transcript how the agent ended and its last words.
    pub async fn told(&self) -> PortResult<(Option<Ending>, String)> {
        let transcript = self.folder.join("transcript.log");
        let text = self.context.world.processes.read_tail(transcript, TAIL).await?.unwrap_or_default();
        if !self.agent.is_driven() {
            return Ok((None, text));
        }
        let (ending, words) = ending_of(&text);
        // Without words there may be a message of the program itself.
        let words = if words.trim().is_empty() { tail(&readable(&text), LAST_LINES) } else { words };
        Ok((ending, words))
    }
}

impl TurnEnd {
    /// Returns the class of the failure and one sentence for a person; none when the turn came to its regular end.
    pub fn failure(&self) -> Option<(Outcome, String)> {
        let failed = |outcome: Outcome, detail: String| Some((outcome, detail));
        match &self.end {
            ProcessEnd::Stopped => {
                return failed(Outcome::Cancelled, "it was stopped; what it had done is kept in its ref".into());
            }
            ProcessEnd::NotFound(program) => {
                let detail =
                    format!("the program `{program}` was not found; install it, or mend the agent's `command`");
                return failed(Outcome::MissingBinary, detail);
            }
            ProcessEnd::NotExecutable(program) => {
                let detail = format!("`{program}` cannot be executed; check its permissions");
                return failed(Outcome::MissingBinary, detail);
            }
            ProcessEnd::SpawnFailed(why) => {
                return failed(Outcome::AttemptLost, format!("the agent could not be started: {why}"));
            }
            ProcessEnd::Lost => {
                let detail =
                    "its supervisor was killed; what was in the slot is kept and the next attempt goes on from it";
                return failed(Outcome::AttemptLost, detail.into());
            }
            ProcessEnd::Exited(_) | ProcessEnd::Signaled(_) | ProcessEnd::Idle | ProcessEnd::Wall => {}
        }
        match self.ending.as_ref().map(|ending| (ending.failure, &ending.detail)) {
            Some((None, _)) => return None,
            Some((Some(class), detail)) if class != Outcome::Cancelled => return failed(class, detail.clone()),
            _ => {}
        }
        let heard = self.ending.is_some();
        match &self.end {
            ProcessEnd::Idle => {
                failed(Outcome::TimedOut, format!("it was silent for {} seconds (idle timeout)", self.idle_seconds))
            }
            ProcessEnd::Wall => {
                failed(Outcome::TimedOut, format!("it ran for {} seconds (wall timeout)", self.wall_seconds))
            }
            _ if heard => failed(Outcome::AttemptLost, "somebody else ended it; it was not us".into()),
            ProcessEnd::Exited(0) if !self.is_driven => None,
            ProcessEnd::Exited(code) if self.is_driven => {
                failed(Outcome::Crashed, format!("its driver ended with exit status {code} and not told how it ended"))
            }
            ProcessEnd::Exited(code) => {
                failed(Outcome::Crashed, format!("it ended with exit status {code} and no report"))
            }
            ProcessEnd::Signaled(signal) => failed(Outcome::Crashed, format!("it was ended by signal {signal}")),
            _ => failed(Outcome::Crashed, "it ended without a report".into()),
        }
    }

    /// Tells whether nothing it may have reported counts: it never ran, was stopped, or nobody knows how it ended.
    pub fn is_unheard(&self) -> bool {
        !matches!(self.end, ProcessEnd::Exited(_) | ProcessEnd::Signaled(_) | ProcessEnd::Idle | ProcessEnd::Wall)
    }

    /// Returns the end as the chain hears it: what the driver said, or what the end of the process tells.
    pub fn as_ending(&self) -> Ending {
        match (&self.ending, self.failure()) {
            (Some(ending), _) if !self.is_unheard() => ending.clone(),
            (_, Some((class, detail))) => Ending::failed(class, detail),
            (_, None) => Ending::regular("it ended"),
        }
    }

    /// Returns the agent's session, when the turn came to its regular end and the agent can go on with it.
    pub fn session(&self) -> Option<String> {
        if self.failure().is_some() {
            return None;
        }
        self.ending.as_ref().and_then(|ending| ending.session.clone()).filter(|session| !session.is_empty())
    }

    /// Returns the report of the fenced block that ends the last words, when it carries the nonce.
    pub fn fenced_report(&self, nonce: &str) -> Option<Report> {
        last_fenced_block(&self.last_words, nonce).and_then(|value| serde_json::from_value(value).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::*;

    /// How the process ended, whether a driver of ours spoke with the agent, what that said, and what it amounts to.
    type Row = (ProcessEnd, bool, Option<Option<Outcome>>, Option<Outcome>);

    #[test]
    fn every_end_has_its_class() {
        let says = |class: Option<Outcome>| Some(class);
        let table: &[Row] = &[
            (ProcessEnd::Stopped, true, says(None), Some(Cancelled)),
            (ProcessEnd::Stopped, false, None, Some(Cancelled)),
            (ProcessEnd::NotFound("x".into()), false, None, Some(MissingBinary)),
            (ProcessEnd::NotExecutable("x".into()), false, None, Some(MissingBinary)),
            (ProcessEnd::SpawnFailed("x".into()), true, None, Some(AttemptLost)),
            (ProcessEnd::Lost, true, says(None), Some(AttemptLost)),
            (ProcessEnd::Exited(0), true, says(None), None),
            (ProcessEnd::Exited(0), false, None, None),
            (ProcessEnd::Exited(0), true, None, Some(Crashed)),
            (ProcessEnd::Exited(1), true, says(Some(RateLimited)), Some(RateLimited)),
            (ProcessEnd::Exited(1), true, says(Some(Cancelled)), Some(AttemptLost)),
            (ProcessEnd::Exited(3), false, None, Some(Crashed)),
            (ProcessEnd::Signaled(9), true, None, Some(Crashed)),
            (ProcessEnd::Idle, true, says(Some(Cancelled)), Some(TimedOut)),
            (ProcessEnd::Wall, true, None, Some(TimedOut)),
            (ProcessEnd::Wall, true, says(Some(Network)), Some(Network)),
            (ProcessEnd::Idle, false, None, Some(TimedOut)),
        ];
        for (end, is_driven, says, expected) in table {
            let ending = says.map(|class| Ending { failure: class, ..Ending::regular("so it said") });
            let turn = TurnEnd {
                end: end.clone(),
                ending,
                reports: Vec::new(),
                last_words: String::new(),
                is_driven: *is_driven,
                idle_seconds: 1,
                wall_seconds: 2,
            };
            let failure = turn.failure();
            assert_eq!(failure.as_ref().map(|(class, _)| *class), *expected, "{turn:?}");
            assert!(failure.is_none_or(|(_, detail)| !detail.is_empty()));
        }
    }
}
