//! What a driver of an agent prints, line by line: the transcript of an attempt whose agent we drive ourselves.
//!
//! Each line is one JSON object with a `line` field. Lines that are none are an agent's raw words and are kept.

use crate::domain::ending::{Ending, Usage};
use serde::{Deserialize, Serialize};

/// One line of a driver's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum AgentLine {
    /// The agent's program is on. May come again when a session is continued.
    Started {
        /// The exact command line, without secrets.
        command: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// What of the user's own instructions, servers and settings is inherited or left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// Words of the agent; consecutive ones belong together.
    Said { text: String },
    /// What it thinks aloud.
    Thought { text: String },
    /// A tool call changed its state.
    Tool {
        id: String,
        title: String,
        status: ToolStatus,
        #[serde(default)]
        detail: String,
    },
    /// The agent's own list of steps, whole each time.
    Steps { steps: Vec<Step> },
    /// What was used since the start.
    Usage { usage: Usage },
    /// Something for whoever reads the transcript: a retry, a warning, a delivered message.
    Note { text: String },
    /// A line of the agent that its adapter does not know, kept as it came.
    Raw { text: String },
    /// The last line, exactly once unless the driver was killed.
    Ended { ending: Ending },
}

/// How far a tool call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    Started,
    Completed,
    Failed,
}

/// One step of the agent's own list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub text: String,
    /// `pending`, `in_progress` or `completed`.
    pub status: String,
}

impl AgentLine {
    /// Reads one line of output; a line that is none of ours is raw.
    pub fn read(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|_| Self::Raw { text: line.to_owned() })
    }

    /// Writes the line, without the line break.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"line\":\"note\",\"text\":\"{error}\"}}"))
    }

    /// Returns the line as a person reads it in a transcript; none for what only machines need.
    pub fn for_person(&self) -> Option<String> {
        Some(match self {
            Self::Started { command, session, model, notes } => {
                let mut text = format!("$ {command}");
                if let Some(model) = model {
                    text.push_str(&format!("\n  model {model}"));
                }
                if let Some(session) = session {
                    text.push_str(&format!("\n  session {session}"));
                }
                for note in notes {
                    text.push_str(&format!("\n  {note}"));
                }
                text
            }
            Self::Said { text } | Self::Raw { text } => text.clone(),
            Self::Thought { text } => format!("({text})"),
            Self::Tool { title, status, detail, .. } => {
                let mark = match status {
                    ToolStatus::Started => "▸",
                    ToolStatus::Completed => "✓",
                    ToolStatus::Failed => "✗",
                };
                let detail = if detail.is_empty() { String::new() } else { format!("\n{detail}") };
                format!("{mark} {title}{detail}")
            }
            Self::Steps { steps } => {
                let line =
                    |step: &Step| format!("  [{}] {}", if step.status == "completed" { "x" } else { " " }, step.text);
                steps.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            Self::Usage { .. } => return None,
            Self::Note { text } => format!("· {text}"),
            Self::Ended { ending } => match ending.failure {
                None => format!("ended: {}", ending.detail),
                Some(failure) => format!("ended, {}: {}", failure.words(), ending.detail),
            },
        })
    }

    /// Returns what the agent is doing right now in one short line, for progress; none when it tells nothing new.
    pub fn progress(&self) -> Option<String> {
        match self {
            Self::Tool { title, status: ToolStatus::Started, .. } => Some(title.clone()),
            Self::Steps { steps } => {
                steps.iter().find(|step| step.status == "in_progress").map(|step| step.text.clone())
            }
            _ => None,
        }
    }
}

/// Makes a driver's lines readable as they come: pieces of words and of thoughts are put together again.
#[derive(Debug, Default)]
pub struct Reading {
    flow: Flow,
}

/// What the last piece left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    None,
    Words,
    Thought,
}

impl Reading {
    /// Returns what the line adds to the text.
    pub fn push(&mut self, line: &AgentLine) -> String {
        let (flow, piece) = match line {
            AgentLine::Said { text } => (Flow::Words, text.clone()),
            AgentLine::Thought { text } => (Flow::Thought, text.clone()),
            other => match other.for_person() {
                Some(shown) => (Flow::None, shown + "\n"),
                None => return String::new(),
            },
        };
        if flow == self.flow && flow != Flow::None {
            return piece;
        }
        let mut text = self.end().to_owned();
        if flow == Flow::Thought {
            text.push('(');
        }
        text.push_str(&piece);
        self.flow = flow;
        text
    }

    /// Returns what closes the text after the last line.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.flow) {
            Flow::None => "",
            Flow::Words => "\n",
            Flow::Thought => ")\n",
        }
    }
}

/// Returns a driver's output as a person reads it.
pub fn readable(transcript: &str) -> String {
    let mut reading = Reading::default();
    let mut text: String = transcript.lines().map(|line| reading.push(&AgentLine::read(line))).collect();
    text.push_str(reading.end());
    text
}

/// Returns how the agent ended and the last words it said, from a driver's output or the end of it.
pub fn ending_of(transcript: &str) -> (Option<Ending>, String) {
    let (mut ending, mut words, mut joined) = (None, String::new(), false);
    for line in transcript.lines() {
        match AgentLine::read(line) {
            AgentLine::Said { text } => {
                if !joined {
                    words.clear();
                }
                words.push_str(&text);
                joined = true;
            }
            AgentLine::Ended { ending: last } => ending = Some(last),
            AgentLine::Usage { .. } => {}
            _ => joined = false,
        }
    }
    (ending, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written_and_others_are_raw() {
        let lines = [
            AgentLine::Said { text: "two\nlines".into() },
            AgentLine::Tool { id: "1".into(), title: "ls".into(), status: ToolStatus::Started, detail: String::new() },
            AgentLine::Ended { ending: Ending::regular("done") },
        ];
        for line in lines {
            assert!(!line.write().contains('\n'));
            assert_eq!(AgentLine::read(&line.write()), line);
        }
        assert_eq!(AgentLine::read("panic!"), AgentLine::Raw { text: "panic!".into() });
    }

    #[test]
    fn the_last_words_are_those_after_the_last_tool() {
        let said = |text: &str| AgentLine::Said { text: text.into() }.write();
        let tool = AgentLine::Tool {
            id: "1".into(),
            title: "ls".into(),
            status: ToolStatus::Completed,
            detail: String::new(),
        };
        let text = [said("first"), tool.write(), said("la"), said("st")].join("\n");
        assert_eq!(ending_of(&text), (None, "last".to_owned()));
    }

    #[test]
    fn pieces_of_words_and_thoughts_are_read_as_one() {
        let tool =
            AgentLine::Tool { id: "1".into(), title: "ls".into(), status: ToolStatus::Started, detail: String::new() };
        let lines = [
            AgentLine::Thought { text: "let me ".into() }.write(),
            AgentLine::Thought { text: "look".into() }.write(),
            AgentLine::Said { text: "He".into() }.write(),
            AgentLine::Usage { usage: Usage::default() }.write(),
            AgentLine::Said { text: "llo".into() }.write(),
            tool.write(),
            "panic!".to_owned(),
            AgentLine::Said { text: "Bye".into() }.write(),
        ];
        assert_eq!(readable(&lines.join("\n")), "(let me look)\nHello\n▸ ls\npanic!\nBye\n");
        assert_eq!(readable(""), "");
    }
}
