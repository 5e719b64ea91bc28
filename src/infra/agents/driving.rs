//! What the drivers of particular agents have in common: texts cut short, the end of a program in words, and signs of
//! life of an agent that works without saying anything.

use super::session::Session;
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::Instant;

/// Characters of a tool's title.
pub(super) const TITLE: usize = 120;
/// Characters kept of what a tool printed: the end of it, where errors are.
pub(super) const TOOL_OUTPUT: usize = 2_000;
/// Characters kept of a line that is not known.
pub(super) const RAW: usize = 4_000;
/// Characters of an agent's own words in the sentence about its end.
const DETAIL: usize = 400;
/// Lines of the error stream that are remembered, and told about a crash.
const ERROR_LINES: usize = 20;
const TOLD_LINES: usize = 3;
/// How often an agent that works in silence is said to be at work.
const PULSE: Duration = Duration::from_secs(30);

/// Cuts a text after so many characters.
pub(super) fn clip(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Keeps the last so many characters of a text.
pub(super) fn clip_front(text: &str, characters: usize) -> String {
    let count = text.chars().count();
    if count <= characters {
        return text.to_owned();
    }
    format!("…{}", text.chars().skip(count - characters).collect::<String>())
}

/// Returns a line without the colours a terminal would show.
pub(super) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // `ESC [ … letter`; what else begins with ESC is left without it.
        match part.strip_prefix('[') {
            Some(rest) => {
                plain.push_str(rest.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap_or(""))
            }
            None => plain.push_str(part),
        }
    }
    plain
}

/// Returns the first line that says something, cut to the length of a title.
pub(super) fn first_line(text: &str) -> String {
    clip(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default(), TITLE)
}

/// Returns an agent's words as one line that fits into a sentence.
pub(super) fn in_sentence(words: &str) -> String {
    clip(&words.split_whitespace().collect::<Vec<_>>().join(" "), DETAIL)
}

/// Says how a program ended.
pub(super) fn exit_in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "it was killed, perhaps because memory ran out".to_owned(),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "its end is unknown".to_owned(),
    }
}

/// Makes the ending of an agent whose program could not be started.
pub(super) fn not_started(program: &str, error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::NotFound => Ending::failed(
            Outcome::MissingBinary,
            format!("`{program}` is not on the PATH; install it or set `command`"),
        ),
        io::ErrorKind::PermissionDenied => {
            Ending::failed(Outcome::MissingBinary, format!("`{program}` cannot be executed: {error}"))
        }
        _ => Ending::failed(Outcome::Crashed, format!("`{program}` could not be started: {error}")),
    }
}

/// The last lines of an error stream.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorTail(VecDeque<String>);

impl ErrorTail {
    pub(super) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == ERROR_LINES {
            self.0.pop_front();
        }
        self.0.push_back(clip(line, RAW));
    }

    /// Returns the remembered lines, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns the last lines for a sentence; none when nothing was said.
    pub(super) fn last_words(&self) -> Option<String> {
        let from = self.0.len().saturating_sub(TOLD_LINES);
        let words = self.0.iter().skip(from).map(String::as_str).collect::<Vec<_>>().join(" / ");
        (!words.is_empty()).then(|| in_sentence(&words))
    }

    /// Makes the ending of a program that ended without telling how the turn did.
    pub(super) fn crashed(&self, what: &str, status: ExitStatus) -> Ending {
        let exit = exit_in_words(status);
        let detail = match self.last_words() {
            Some(words) => format!("{what} ({exit}): {words}"),
            None => format!("{what} ({exit}) and said nothing about it"),
        };
        Ending::failed(Outcome::Crashed, detail)
    }
}

/// Signs of life of an agent that works without saying anything, such as one that writes a long file: a line now and
/// then while parts of it arrive, and none when nothing does.
#[derive(Debug)]
pub(super) struct Pulse(Instant);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Notes that something was printed.
    pub(super) fn printed(&mut self) {
        self.0 = Instant::now();
    }

    /// Notes that a part arrived, and prints what the agent is doing when that was not said for a while.
    pub(super) fn beat(&mut self, session: &mut Session, doing: &str) {
        if self.0.elapsed() >= PULSE {
            session.note(doing);
            self.printed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü", 2), "äö…");
        assert_eq!(clip_front("äöü", 2), "…öü");
        assert_eq!(first_line("\n  cargo test  \nsecond"), "cargo test");
        assert_eq!(in_sentence("a\n  b\tc"), "a b c");
        assert_eq!(plain("\u{1b}[2mtime\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m: x\u{1b}["), "time ERROR: x");
    }

    #[test]
    fn a_crash_is_told_with_the_last_lines() {
        let mut tail = ErrorTail::default();
        for line in 0..30 {
            tail.push(&format!("line {line}"));
        }
        tail.push("  ");
        assert_eq!(tail.lines().count(), ERROR_LINES);
        let ending = tail.crashed("it ended without a result", ExitStatus::from_raw(0x100));
        assert_eq!(ending.failure, Some(Outcome::Crashed));
        assert_eq!(ending.detail, "it ended without a result (exit status 1): line 27 / line 28 / line 29");
        let silent = ErrorTail::default().crashed("it ended without a result", ExitStatus::from_raw(9));
        assert!(silent.detail.contains("memory"), "{}", silent.detail);
    }
}
