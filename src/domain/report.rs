//! What an agent tells the engine about its attempt; see section 7 of the design.

use serde::{Deserialize, Serialize};

/// One message of an agent. A claim or a request, never a fact: the engine decides what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// The agent claims that the task is finished.
    Finished {
        summary: String,
        /// Why nothing had to change; a claim without a diff is believed only with this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_change: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// The agent cannot go on and knows no question that would help.
    Blocked { reason: String },
    /// The agent needs a person to choose.
    Ask {
        question: String,
        /// Labels of the options, in the order to show them.
        #[serde(default)]
        options: Vec<String>,
        /// One of the labels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recommend: Option<String>,
        /// Path relative to the repository root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// 1-based.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        /// Whether it is about something that the agent may not do by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permission: bool,
    },
    /// What the agent is doing right now; shown, not kept in prompts.
    Progress { text: String },
    /// Something later attempts and tasks should know.
    Learned { text: String },
    /// A choice the agent made itself, for the record.
    Decided {
        question: String,
        chosen: String,
        #[serde(default)]
        rejected: Vec<RejectedOption>,
    },
    /// A further task, in the form of a queue entry; becomes a draft.
    SuggestTask { task: serde_json::Value },
    /// The plan of plan mode.
    SubmitPlan { plan: serde_json::Value },
    /// What a reviewer found; without findings it approves.
    Review {
        summary: String,
        #[serde(default)]
        findings: Vec<Finding>,
    },
    /// An answer to a question that came through the inbox.
    Reply { to: String, text: String },
    /// What whoever goes on with the task has to know.
    Handoff { text: String },
}

/// Something a reviewer wants changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Path relative to the repository root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// 1-based, in the new text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What is wrong and what would be right.
    pub text: String,
}

impl std::fmt::Display for Finding {
    /// Writes it on one line after its place, as compilers do.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.text)
    }
}

impl Finding {
    /// Reads `FILE:LINE: TEXT`, `FILE: TEXT` or just a text. What stands before a colon is a file only when it looks
    /// like one: no blanks, and a dot or a slash in it.
    pub fn read(words: &str) -> Self {
        let bare = |text: &str| Self { file: None, line: None, text: text.trim().to_owned() };
        let Some((place, text)) = words.split_once(": ").filter(|(_, text)| !text.trim().is_empty()) else {
            return bare(words);
        };
        let numbered = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line) = match numbered {
            Some((file, line)) if line > 0 => (file, Some(line)),
            _ => (place, None),
        };
        let file = file.trim();
        let is_file = !file.is_empty() && !file.contains(char::is_whitespace) && file.contains(['.', '/']);
        if is_file || line.is_some() && !file.is_empty() {
            Self { file: Some(file.to_owned()), line, ..bare(text) }
        } else {
            bare(words)
        }
    }
}

/// An option the agent did not take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedOption {
    pub label: String,
    #[serde(default)]
    pub reason: String,
}

impl Report {
    /// Tells whether the report ends the agent's claim on the attempt; the first one of these counts.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Blocked { .. } | Self::Ask { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_from_a_line() {
        let rows: [(&str, Option<&str>, Option<u32>, &str); 8] = [
            ("src/a.rs:12: no test", Some("src/a.rs"), Some(12), "no test"),
            ("a.rs: it: fails", Some("a.rs"), None, "it: fails"),
            ("Makefile:3: tabs", Some("Makefile"), Some(3), "tabs"),
            ("note: it fails", None, None, "note: it fails"),
            ("in short: see a.rs", None, None, "in short: see a.rs"),
            ("src/a.rs:0: x", Some("src/a.rs:0"), None, "x"),
            ("src/a.rs:3: ", None, None, "src/a.rs:3:"),
            (" plain ", None, None, "plain"),
        ];
        for (words, file, line, text) in rows {
            let expected = Finding { file: file.map(str::to_owned), line, text: text.to_owned() };
            assert_eq!(Finding::read(words), expected, "{words}");
        }
    }
}
