//! A question to a person as a stored object: options, evidence, answer; see section 8 of the design.

use super::budget::BudgetOf;
use super::task::TaskId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a decision within one journal, for example `d3`; short because people type it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub String);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    Clarification,
    Permission,
    Budget,
    Conflict,
    RepeatedFailure,
    Plan,
    Setup,
}

/// One possible answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionOption {
    /// What the person picks; unique within the decision.
    pub label: String,
    #[serde(default)]
    pub detail: String,
    #[serde(default)]
    pub pros: Vec<String>,
    #[serde(default)]
    pub cons: Vec<String>,
    /// What choosing it does to the task.
    #[serde(default)]
    pub does: OptionEffect,
}

/// What choosing an option does, beside being told to the next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionEffect {
    /// The task is tried again with the answer in its prompt.
    #[default]
    Retry,
    /// As `Retry`, from a clean start instead of from what the last attempt left.
    RetryClean,
    /// As `Retry`, with as many further attempts as the limit allowed.
    RaiseLimit,
    /// The task stays blocked.
    Park,
    /// The task is dropped.
    Drop,
    /// The attempt's result is taken as if nothing had leaked.
    KeepResult,
    /// From now on the named check counts only what it did not report before.
    CountNewFailures,
    /// From now on the named check is not run.
    IgnoreCheck,
    /// The accepted part of a proposal is taken though its checks fail by themselves.
    TakePart,
    /// What was not accepted goes back to the agent; what was accepted stays.
    SendRestBack,
}

/// What the question rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Path relative to the repository root.
    #[serde(default)]
    pub file: Option<String>,
    /// 1-based.
    #[serde(default)]
    pub line: Option<u32>,
    #[serde(default)]
    pub output: Option<String>,
    /// With `setup`: the command line of the check it is about.
    #[serde(default)]
    pub check: Option<String>,
    /// With `budget`: what of tokens or money is used up; absent when it is attempts or time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetOf>,
}

/// What a person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Label of the option, when one was picked.
    #[serde(default)]
    pub option: Option<String>,
    /// Free words, instead of an option or beside it.
    #[serde(default)]
    pub text: Option<String>,
    /// Through which front end, for example `editor` or `terminal`.
    pub by: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: DecisionId,
    /// The task it holds up; none when it holds up the whole run.
    #[serde(default)]
    pub task: Option<TaskId>,
    #[serde(default)]
    pub attempt: Option<u32>,
    pub kind: DecisionKind,
    pub question: String,
    #[serde(default)]
    pub options: Vec<DecisionOption>,
    /// Label of the option the asker would take.
    #[serde(default)]
    pub recommended: Option<String>,
    #[serde(default)]
    pub evidence: Evidence,
    /// Equal for the same question asked again; a changed counter does not change it.
    pub fingerprint: String,
    pub raised_at_ms: i64,
    #[serde(default)]
    pub answer: Option<Answer>,
    /// A later event made the question moot.
    #[serde(default)]
    pub withdrawn: bool,
}

impl Decision {
    /// Tells whether a person still has to answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && !self.withdrawn
    }

    /// Returns the option with this label; when there is none, the one whose 1-based number it is.
    pub fn option(&self, label_or_number: &str) -> Option<&DecisionOption> {
        self.options.iter().find(|option| option.label == label_or_number).or_else(|| {
            let number: usize = label_or_number.parse().ok()?;
            self.options.get(number.checked_sub(1)?)
        })
    }
}

/// Returns the fingerprint of a question: its kind, task and words without numbers and paths.
pub fn fingerprint(kind: DecisionKind, task: Option<&TaskId>, question: &str) -> String {
    let words = super::outcome::normalise_failure(question).to_lowercase();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let joined = format!("{kind:?}\0{}\0{words}", task.map_or("", |task| task.0.as_str()));
    blake3::hash(joined.as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_counter_is_the_same_question() {
        let task = TaskId::from("a");
        let ask = |words: &str| fingerprint(DecisionKind::Budget, Some(&task), words);
        assert_eq!(ask("tried 4 times, go on?"), ask("Tried 5 times,  go on?"));
        assert_ne!(ask("tried 4 times, go on?"), ask("go on?"));
    }
}
