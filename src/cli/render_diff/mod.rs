//! A proposal as text for a terminal: a unified diff with numbered hunks, their ids and states.
//!
//! Everything that an agent or a repository wrote goes through [`escaped`]: control characters are shown, never sent, so no
//! text can move the cursor, set the title or hide a line.

#[cfg(test)]
mod tests;

use crate::domain::hunks::{Hunk, HunkKind, Span, emphasis, line_content, line_ending, split_lines};
use std::fmt::Write as _;
use std::ops::Range;

/// Unchanged lines shown on each side of a hunk.
const CONTEXT: usize = 3;
/// Widest rule drawn between parts, in columns.
const MAX_RULE: usize = 100;

/// How a hunk stands, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Pending,
    Accepted,
    /// Accepted once, and taken back in the text since.
    Reverted,
    Rejected,
    Conflict,
    /// Waits for a hunk of this task.
    WaitsFor(String),
}

impl Standing {
    fn word(&self) -> String {
        match self {
            Self::Pending => "pending".to_owned(),
            Self::Accepted => "accepted".to_owned(),
            Self::Reverted => "reverted".to_owned(),
            Self::Rejected => "rejected".to_owned(),
            Self::Conflict => "conflict".to_owned(),
            Self::WaitsFor(task) => format!("waits for {}", escaped(task)),
        }
    }

    fn colour(&self) -> &'static str {
        match self {
            Self::Pending => YELLOW,
            Self::Accepted => GREEN,
            Self::Rejected | Self::Conflict => RED,
            Self::Reverted | Self::WaitsFor(_) => MAGENTA,
        }
    }
}

/// A hunk as it is shown.
#[derive(Clone, Debug)]
pub struct ShownHunk<'a> {
    /// The number people type; counted over the whole proposal from 1.
    pub number: usize,
    pub hunk: &'a Hunk,
    pub standing: Standing,
    /// Lines below its heading, such as what was said about it.
    pub remarks: Vec<String>,
}

/// One file of a proposal, with its hunks in the order to show them.
#[derive(Clone, Debug)]
pub struct ShownFile<'a> {
    pub path: &'a str,
    /// The base text, for context lines; none are shown without it.
    pub base: Option<&'a str>,
    pub hunks: Vec<ShownHunk<'a>>,
}

/// A proposal as it is shown.
#[derive(Clone, Debug)]
pub struct ShownProposal<'a> {
    pub task: &'a str,
    pub title: &'a str,
    pub attempt: u32,
    /// Lines under the header, such as the outcome and the checks.
    pub notes: Vec<String>,
    pub files: Vec<ShownFile<'a>>,
}

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub struct RenderOptions {
    pub color: bool,
    /// Columns of the terminal, for rules only: lines of code are never cut.
    pub width: usize,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const MAGENTA: &str = "35";
const CYAN: &str = "36";
const RED_MARKED: &str = "31;7";
const GREEN_MARKED: &str = "32;7";

/// Returns the whole proposal as text, ending with a newline.
pub fn render(proposal: &ShownProposal<'_>, options: RenderOptions) -> String {
    let mut page = Page { text: String::new(), options };
    page.header(proposal);
    for file in &proposal.files {
        page.file(file);
    }
    if proposal.files.iter().all(|file| file.hunks.is_empty()) {
        page.line(DIM, "no changes");
    }
    page.text
}

/// Returns text in which no character can act on a terminal or reorder what is read: controls other than tab, bidirectional
/// overrides and line separators become `\u{…}` or the usual short form.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push(c),
            '\r' | '\n' => safe.extend(c.escape_default()),
            '\u{1b}' => safe.push_str("\\e"),
            // Marks that hide or reorder text, and the byte order mark.
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}' => {
                safe.extend(c.escape_unicode());
            }
            c if c.is_control() => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

struct Page {
    text: String,
    options: RenderOptions,
}

impl Page {
    fn header(&mut self, proposal: &ShownProposal<'_>) {
        let title = format!("{}  {}", escaped(proposal.task), escaped(proposal.title));
        self.line(BOLD, &title);
        let hunks: Vec<&ShownHunk<'_>> = proposal.files.iter().flat_map(|file| &file.hunks).collect();
        let pending = hunks.iter().filter(|shown| shown.standing == Standing::Pending).count();
        let files = proposal.files.len();
        let mut summary =
            format!("attempt {}, {}, {}", proposal.attempt, count(files, "file"), count(hunks.len(), "hunk"));
        let _ = write!(summary, ", {pending} pending");
        self.line("", &summary);
        for note in &proposal.notes {
            self.line("", &escaped(note));
        }
        let weakened = hunks.iter().filter(|shown| shown.hunk.weakens_test.is_some()).count();
        if weakened > 0 {
            self.line(YELLOW, &format!("! {} may weaken tests", count(weakened, "hunk")));
        }
    }

    fn file(&mut self, file: &ShownFile<'_>) {
        let rule = "─".repeat(self.options.width.min(MAX_RULE));
        self.text.push('\n');
        self.line(DIM, &rule);
        let (name, change) = file_heading(file);
        self.line(BOLD, &format!("{name}{change}"));
        let base = file.base.map(split_lines);
        // Context stops at the neighbouring hunks, so that no changed line is shown as unchanged.
        let mut taken: Vec<Range<usize>> =
            file.hunks.iter().filter(|shown| shown.hunk.is_text()).map(|shown| shown.hunk.old_range()).collect();
        taken.sort_by_key(|range| (range.start, range.end));
        for shown in &file.hunks {
            self.hunk_heading(shown);
            match shown.hunk.kind {
                HunkKind::Text => self.text_hunk(shown.hunk, base.as_deref(), &taken),
                HunkKind::Create | HunkKind::Delete => self.changed_lines(shown.hunk),
                _ => self.line(CYAN, &format!("  {}", whole_file_text(shown.hunk))),
            }
        }
    }

    fn hunk_heading(&mut self, shown: &ShownHunk<'_>) {
        let number = format!("hunk {}", shown.number);
        let number = self.painted(BOLD, &number);
        let state = self.painted(shown.standing.colour(), &shown.standing.word());
        let id = self.painted(DIM, &escaped(&shown.hunk.id.0));
        let _ = writeln!(self.text, "{number}  {id}  {state}");
        if let Some(reason) = &shown.hunk.weakens_test {
            self.line(YELLOW, &format!("! may weaken tests: {}", escaped(reason)));
        }
        for remark in &shown.remarks {
            self.line(MAGENTA, &format!("  {}", escaped(remark)));
        }
    }

    fn text_hunk(&mut self, hunk: &Hunk, base: Option<&[&str]>, taken: &[Range<usize>]) {
        let old = hunk.old_range();
        let index = taken.partition_point(|range| (range.start, range.end) < (old.start, old.end));
        let previous = index.checked_sub(1).map_or(0, |index| taken[index].end);
        let next = taken[index..].iter().find(|range| **range != old).map_or(usize::MAX, |range| range.start);
        let lines = base.unwrap_or_default();
        let start = old.start.saturating_sub(CONTEXT).max(previous.min(old.start)).min(lines.len());
        let before = lines.get(start..old.start).unwrap_or_default();
        let end = (old.end + CONTEXT).min(next).min(lines.len());
        let after = lines.get(old.end..end).unwrap_or_default();
        let around = before.len() + after.len();
        let side = |first: u32, changed: usize| {
            let count = changed + around;
            // A side without lines names the line before it, as git does.
            let first = (first as usize).saturating_sub(before.len()) + usize::from(count > 0);
            if count == 1 { first.to_string() } else { format!("{first},{count}") }
        };
        let (from, to) = (side(hunk.old_start, hunk.old_lines.len()), side(hunk.new_start, hunk.new_lines.len()));
        self.line(CYAN, &format!("@@ -{from} +{to} @@"));
        before.iter().for_each(|line| self.code(' ', line, &[], ""));
        self.changed_lines(hunk);
        after.iter().for_each(|line| self.code(' ', line, &[], ""));
    }

    fn changed_lines(&mut self, hunk: &Hunk) {
        let marks = emphasis(hunk).unwrap_or_default();
        // Where only line ends change they are all there is to see.
        let contents = |lines: &[String]| lines.iter().map(|line| line_content(line).to_owned()).collect::<Vec<_>>();
        let ends = !hunk.old_lines.is_empty() && contents(&hunk.old_lines) == contents(&hunk.new_lines);
        let end = |line: &str| if ends && line_ending(line) == "\r\n" { "\\r" } else { "" };
        for (index, line) in hunk.old_lines.iter().enumerate() {
            self.code('-', line, marks.old.get(index).map_or(&[], Vec::as_slice), end(line));
        }
        for (index, line) in hunk.new_lines.iter().enumerate() {
            self.code('+', line, marks.new.get(index).map_or(&[], Vec::as_slice), end(line));
        }
    }

    /// Writes one line of code with its sign, the marked parts standing out.
    fn code(&mut self, sign: char, line: &str, marks: &[Span], end: &str) {
        let (plain, marked) = match sign {
            '-' => (RED, RED_MARKED),
            '+' => (GREEN, GREEN_MARKED),
            _ => ("", ""),
        };
        let content = line_content(line);
        let mut shown = self.painted(plain, &sign.to_string());
        let mut done = 0;
        for mark in marks {
            let (start, stop) = (mark.start.clamp(done, content.len()), mark.end.clamp(done, content.len()));
            shown += &self.painted(plain, &escaped(&content[done..start]));
            shown += &self.painted(marked, &escaped(&content[start..stop]));
            done = stop;
        }
        shown += &self.painted(plain, &escaped(&content[done..]));
        shown += &self.painted(marked, end);
        self.text += &shown;
        self.text.push('\n');
        if line_ending(line).is_empty() {
            self.line(DIM, "\\ No newline at end of file");
        }
    }

    fn line(&mut self, colour: &str, text: &str) {
        let line = self.painted(colour, text);
        self.text += &line;
        self.text.push('\n');
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.options.color && !colour.is_empty() && !text.is_empty() {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Returns a file's name and what happens to it as a whole.
fn file_heading(file: &ShownFile<'_>) -> (String, String) {
    let hunk = |kind| file.hunks.iter().map(|shown| shown.hunk).find(|hunk| hunk.kind == kind);
    let mut change = String::new();
    if hunk(HunkKind::Create).is_some() || hunk(HunkKind::Binary).is_some_and(|hunk| hunk.old_blob.is_none()) {
        change += "  (new file)";
    }
    if hunk(HunkKind::Delete).is_some() || hunk(HunkKind::Binary).is_some_and(|hunk| hunk.new_blob.is_none()) {
        change += "  (deleted)";
    }
    let old_path = file.hunks.iter().find_map(|shown| shown.hunk.old_path.as_deref());
    if let Some(old_path) = old_path {
        let _ = write!(change, "  (renamed from {})", escaped(old_path));
    }
    if hunk(HunkKind::Mode).is_some() {
        change += "  (mode)";
    }
    (escaped(file.path), change)
}

/// Returns what a hunk without lines does.
fn whole_file_text(hunk: &Hunk) -> String {
    let mode = |mode: Option<u32>| mode.map_or_else(|| "?".to_owned(), |mode| format!("{mode:o}"));
    match hunk.kind {
        HunkKind::Rename => {
            format!("rename {} → {}", escaped(hunk.old_path.as_deref().unwrap_or_default()), escaped(&hunk.path))
        }
        HunkKind::Mode => format!("mode {} → {}", mode(hunk.old_mode), mode(hunk.new_mode)),
        _ => {
            let size = |blob: &Option<crate::domain::hunks::Blob>| match blob {
                Some(blob) => format!(
                    "{} ({})",
                    count(blob.len as usize, "byte"),
                    escaped(blob.hash.get(..8).unwrap_or(&blob.hash))
                ),
                None => "nothing".to_owned(),
            };
            let modes = if hunk.old_mode.is_some() && hunk.new_mode.is_some() && hunk.old_mode != hunk.new_mode {
                format!(", mode {} → {}", mode(hunk.old_mode), mode(hunk.new_mode))
            } else {
                String::new()
            };
            format!("not text: {} → {}{modes}", size(&hunk.old_blob), size(&hunk.new_blob))
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
