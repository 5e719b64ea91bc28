//! Finds TODO, FIXME, XXX and HACK comments in source text and makes draft tasks of them.

mod comments;
mod language;
mod tasks;

pub use tasks::todo_tasks;

use comments::CommentLine;

/// Comment lines a note may continue over.
const MAX_LINES: usize = 20;

/// Longest note kept, in characters; a minified file would otherwise be quoted whole.
const MAX_TEXT: usize = 2000;

/// Lines searched for the code around a note.
const MAX_CONTEXT: usize = 200;

/// What a comment calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    Todo,
    Fixme,
    Xxx,
    Hack,
}

impl Marker {
    pub const ALL: [Self; 4] = [Self::Todo, Self::Fixme, Self::Xxx, Self::Hack];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "TODO",
            Self::Fixme => "FIXME",
            Self::Xxx => "XXX",
            Self::Hack => "HACK",
        }
    }
}

/// A note in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Todo {
    /// As given to [`scan_todos`].
    pub path: String,
    /// 1-based line of the marker.
    pub line: u32,
    /// 1-based last line of the note.
    pub end_line: u32,
    pub marker: Marker,
    /// What stands in parentheses behind the marker, often a name or an issue.
    pub author: Option<String>,
    /// The note without marker and decoration, its lines joined by spaces; may be empty.
    pub text: String,
    /// The line of code it is about: the one it ends, else the one that encloses it, else the next one.
    pub context: Option<String>,
}

/// Tells whether the language of a path is known, so that scanning it can find anything.
pub fn can_scan(path: &str) -> bool {
    language::of_path(path).is_some()
}

/// Finds the notes of one file, in line order; the language follows from the path, strings are not searched.
pub fn scan_todos(path: &str, text: &str) -> Vec<Todo> {
    let Some(syntax) = language::of_path(path) else { return Vec::new() };
    let lines: Vec<&str> = text.lines().collect();
    let comments = comments::comments(text, syntax);
    let mut todos = Vec::new();
    for (index, comment) in comments.iter().enumerate() {
        let Some(found) = marker_in(&comment.text) else { continue };
        let mut text = found.rest.to_owned();
        let mut end_line = comment.line;
        let rest = &comments[index + 1..];
        for next in rest.iter().take(MAX_LINES) {
            let words = next.text.trim();
            if !continues(comment, next, end_line) || words.is_empty() || marker_in(words).is_some() {
                break;
            }
            end_line = next.line;
            text.push(' ');
            text.push_str(words);
        }
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_TEXT).collect();
        todos.push(Todo {
            path: path.to_owned(),
            line: comment.line,
            end_line,
            marker: found.marker,
            author: found.author,
            text,
            context: context(&lines, &comments, comment, end_line),
        });
    }
    todos
}

/// Like [`scan_todos`] for the bytes of a file; binary files hold no notes, bad UTF-8 is replaced.
pub fn scan_todo_bytes(path: &str, bytes: &[u8]) -> Vec<Todo> {
    if bytes.iter().take(8192).any(|b| *b == 0) {
        return Vec::new();
    }
    scan_todos(path, &String::from_utf8_lossy(bytes))
}

fn continues(first: &CommentLine, next: &CommentLine, last_line: u32) -> bool {
    let adjacent = next.line == last_line + 1;
    match (first.block, next.block) {
        (Some(block), Some(other)) => adjacent && block == other,
        (None, None) => adjacent && next.own_line && next.column == first.column,
        _ => false,
    }
}

struct Found<'a> {
    marker: Marker,
    author: Option<String>,
    rest: &'a str,
}

/// Finds a marker that opens the line, or one anywhere that a colon or an author shows to be meant.
fn marker_in(line: &str) -> Option<Found<'_>> {
    let opening = line.len() - line.trim_start_matches(|c: char| c.is_whitespace() || "*-!/#@;<>[]".contains(c)).len();
    let mut best: Option<(usize, Found<'_>)> = None;
    for marker in Marker::ALL {
        let lower = format!("@{}", marker.as_str().to_ascii_lowercase());
        let upper = line.match_indices(marker.as_str());
        // The tag of documentation tools is written in small letters.
        for (at, word) in upper.chain(line.match_indices(lower.as_str())) {
            let before = line[..at].chars().next_back();
            let rest = &line[at + word.len()..];
            let bounded = !before.is_some_and(|c| c.is_alphanumeric() || "_-`'\"".contains(c))
                && !rest.starts_with(|c: char| c.is_alphanumeric() || "_-`'\"".contains(c));
            let at_start = at == opening || (word.starts_with('@') && at < opening);
            if !bounded || !(at_start || rest.starts_with([':', '('])) {
                continue;
            }
            let (author, rest) = author_of(rest);
            let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ":-!.,—–".contains(c));
            if best.as_ref().is_none_or(|(found, _)| at < *found) {
                best = Some((at, Found { marker, author, rest: rest.trim_end() }));
            }
            break;
        }
    }
    best.map(|(_, found)| found)
}

fn author_of(rest: &str) -> (Option<String>, &str) {
    let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    match inside {
        Some((author, rest)) => {
            let author = author.trim();
            ((!author.is_empty()).then(|| author.to_owned()), rest)
        }
        None => (None, rest),
    }
}

fn context(lines: &[&str], comments: &[CommentLine], comment: &CommentLine, end_line: u32) -> Option<String> {
    let clip = |line: &str| line.trim().chars().take(160).collect::<String>();
    let index = comment.line as usize - 1;
    let own = lines.get(index)?;
    let before = own.get(..comment.column).unwrap_or_default();
    if !before.trim().is_empty() {
        return Some(clip(before));
    }
    let is_code = |index: usize| {
        let line = lines[index].trim();
        let number = index as u32 + 1;
        let at = comments.partition_point(|comment| comment.line < number);
        let commented = comments.get(at).is_some_and(|comment| comment.line == number && comment.own_line);
        line.chars().any(char::is_alphanumeric) && !commented
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(own);
    let above = (index.saturating_sub(MAX_CONTEXT)..index).rev().find(|i| indent(lines[*i]) < depth && is_code(*i));
    let below = || (end_line as usize..lines.len().min(end_line as usize + 20)).find(|i| is_code(*i));
    above.or_else(below).map(|index| clip(lines[index]))
}

#[cfg(test)]
mod tests;
