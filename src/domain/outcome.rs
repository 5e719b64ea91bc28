//! The typed end of an attempt, and the evidence kept with it; see section 6 of the design.

use super::ending::Ending;
use super::report::Finding;
use serde::{Deserialize, Serialize};

/// How an attempt ended. Decided by the engine; an agent's claim is only one of the things it looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Claimed, changed something, checks ran and passed, guards passed.
    Verified,
    /// As `Verified`, but there was nothing to check with, or nothing changed for a stated reason.
    Unchecked,
    /// Ended without a report.
    Incomplete,
    /// A check failed.
    VerifyFailed,
    /// Claimed to be finished, changed nothing and gave no reason.
    NoChange,
    /// Asked a person to choose.
    NeedsDecision,
    /// Said that it cannot go on.
    Blocked,
    /// Changed a protected path.
    ProtectedPath,
    /// Something outside the slot changed meanwhile.
    Leaked,
    RateLimited,
    Overloaded,
    Network,
    Auth,
    ModelUnavailable,
    /// The agent's program is not there or cannot be executed.
    MissingBinary,
    ContextExhausted,
    /// Silent for too long, or ran for too long.
    TimedOut,
    /// Ended with a failing exit status or by a signal, without a report.
    Crashed,
    InvalidOutput,
    BudgetExceeded,
    /// The supervisor or the engine died and nothing tells how the agent ended.
    AttemptLost,
    /// A person stopped it.
    Cancelled,
}

impl Outcome {
    /// Returns the public word, as in the journal and in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
            Self::Incomplete => "incomplete",
            Self::VerifyFailed => "verify_failed",
            Self::NoChange => "no_change",
            Self::NeedsDecision => "needs_decision",
            Self::Blocked => "blocked",
            Self::ProtectedPath => "protected_path",
            Self::Leaked => "leaked",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Network => "network",
            Self::Auth => "auth",
            Self::ModelUnavailable => "model_unavailable",
            Self::MissingBinary => "missing_binary",
            Self::ContextExhausted => "context_exhausted",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
            Self::InvalidOutput => "invalid_output",
            Self::BudgetExceeded => "budget_exceeded",
            Self::AttemptLost => "attempt_lost",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns it in words for people, to be read after the name of an attempt or of an agent.
    pub fn words(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
            Self::Incomplete => "incomplete",
            Self::VerifyFailed => "failed its checks",
            Self::NoChange => "changed nothing",
            Self::NeedsDecision => "has a question",
            Self::Blocked => "blocked",
            Self::ProtectedPath => "changed a protected file",
            Self::Leaked => "changed something outside its worktree",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::Network => "no network",
            Self::Auth => "not signed in",
            Self::ModelUnavailable => "model not available",
            Self::MissingBinary => "program missing",
            Self::ContextExhausted => "context full",
            Self::TimedOut => "timed out",
            Self::Crashed => "crashed",
            Self::InvalidOutput => "gave no usable answer",
            Self::BudgetExceeded => "over budget",
            Self::AttemptLost => "was lost",
            Self::Cancelled => "was stopped",
        }
    }

    /// Tells whether the outcome makes a proposal.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Verified | Self::Unchecked)
    }

    /// Tells whether the attempt counts against the task's limit: only what the agent itself caused does.
    pub fn spends_attempt(self) -> bool {
        matches!(
            self,
            Self::Incomplete
                | Self::VerifyFailed
                | Self::NoChange
                | Self::ProtectedPath
                | Self::ContextExhausted
                | Self::TimedOut
                | Self::Crashed
                | Self::InvalidOutput
        )
    }
}

/// What one check said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The command line.
    pub run: String,
    pub passed: bool,
    /// The exit code; absent when it was killed or could not start.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// How the same command ended on the untouched base.
    pub on_base: BaseCheck,
    /// Red first, green when repeated (or the other way round on the base).
    #[serde(default)]
    pub flaky: bool,
    /// The last part of its output, at most 8 KiB; the whole is beside the transcript.
    #[serde(default)]
    pub output_tail: String,
    pub milliseconds: u64,
    /// Whether the task brought it, rather than the configuration.
    #[serde(default)]
    pub from_task: bool,
}

impl CheckResult {
    /// Tells whether the check is proof: it failed before and passes now.
    pub fn is_proof(&self) -> bool {
        self.passed && self.on_base == BaseCheck::Failed
    }
}

/// How a check ended on the untouched base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseCheck {
    #[default]
    NotRun,
    Passed,
    Failed,
}

/// The record of how an attempt ended; journaled once per attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    pub outcome: Outcome,
    /// One sentence for a person: what happened and, where there is one, the next step.
    pub detail: String,
    /// The agent's own summary, when it claimed anything.
    #[serde(default)]
    pub summary: Option<String>,
    /// Commit of what was in the slot; present whenever a slot was filled.
    #[serde(default)]
    pub head: Option<String>,
    /// Paths that differ between base and head, sorted.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Hash of the diff; equal diffs have equal hashes. Empty when nothing changed.
    #[serde(default)]
    pub diff_hash: String,
    #[serde(default)]
    pub checks: Vec<CheckResult>,
    /// What failed, whole, for the next prompt: check output, guard finding, last words of the agent.
    #[serde(default)]
    pub failure: Option<String>,
    /// Protected paths the agent changed, or places outside the slot that changed.
    #[serde(default)]
    pub paths: Vec<String>,
    /// With `leaked`: how it would have ended had nothing leaked.
    #[serde(default)]
    pub otherwise: Option<Outcome>,
    /// The hunks of base..head, when the outcome makes a proposal or may still make one.
    #[serde(default)]
    pub hunks: Vec<super::event::HunkRef>,
    /// A check of the configuration that is red on the untouched base: a `setup` decision, charged to nobody.
    #[serde(default)]
    pub red_on_base: Option<String>,
    /// How the agent's own program ended, where a driver of ours heard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What the reviewer wants changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl AttemptEnd {
    /// Makes an end with nothing but an outcome and its sentence.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            summary: None,
            head: None,
            changed: Vec::new(),
            diff_hash: String::new(),
            checks: Vec::new(),
            failure: None,
            paths: Vec::new(),
            otherwise: None,
            hunks: Vec::new(),
            red_on_base: None,
            ending: None,
            findings: Vec::new(),
        }
    }

    /// Returns the shape of the failure: equal shapes mean the same failure again.
    ///
    /// Class, diff and failure text without colours, numbers, times and paths, hashed.
    pub fn shape(&self) -> String {
        let text = normalise_failure(self.failure.as_deref().unwrap_or(&self.detail));
        let joined = format!("{}\0{}\0{text}", self.outcome.as_str(), self.diff_hash);
        blake3::hash(joined.as_bytes()).to_hex()[..16].to_owned()
    }
}

/// Returns the text without what changes from run to run: colours, digits and hexadecimal runs, and absolute paths.
pub fn normalise_failure(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A control sequence ends at its first letter.
                for c in chars.by_ref() {
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
            c if c.is_ascii_digit() => {
                while chars.peek().is_some_and(|c| c.is_ascii_hexdigit() || *c == '.' || *c == ':') {
                    chars.next();
                }
                out.push('#');
            }
            '/' => {
                while chars.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, '\'' | '"' | ':' | ')')) {
                    chars.next();
                }
                out.push('/');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_ignores_what_changes_from_run_to_run() {
        let failing = |text: &str| AttemptEnd {
            failure: Some(text.to_owned()),
            diff_hash: "d".into(),
            ..AttemptEnd::new(Outcome::VerifyFailed, "a check failed")
        };
        let first = failing("\u{1b}[31merror\u{1b}[0m at /tmp/a/b.rs:12 after 0.31s");
        let second = failing("error at /tmp/c/b.rs:99 after 12.5s");
        assert_eq!(first.shape(), second.shape());
        assert_ne!(first.shape(), failing("warning at /tmp/c/b.rs:99 after 12.5s").shape());
    }

    #[test]
    fn words_match_what_serde_writes() {
        for outcome in [Outcome::Verified, Outcome::TimedOut, Outcome::AttemptLost, Outcome::ModelUnavailable] {
            assert_eq!(serde_json::to_value(outcome).expect("serialises"), outcome.as_str());
        }
    }

    #[test]
    fn people_read_words_and_not_names() {
        for (outcome, words) in [
            (Outcome::VerifyFailed, "failed its checks"),
            (Outcome::RateLimited, "rate limited"),
            (Outcome::Auth, "not signed in"),
            (Outcome::ModelUnavailable, "model not available"),
            (Outcome::MissingBinary, "program missing"),
            (Outcome::BudgetExceeded, "over budget"),
        ] {
            assert_eq!(outcome.words(), words);
        }
    }
}
