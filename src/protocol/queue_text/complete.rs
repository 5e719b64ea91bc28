//! What could be typed at a place of a possibly broken text.

use super::{QueueText, Span};
use crate::protocol::jsonc::{TokenKind, next_token, skip_trivia};

/// What belongs at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompletionContext {
    InStatus,
    InPriority,
    InDependsOn {
        /// Ids the list has already, besides the one being typed.
        existing: Vec<String>,
        /// The task's own id, which it cannot wait for.
        own_id: Option<String>,
    },
    InAgent,
    InGoal,
    /// A key of a task.
    InTaskKey {
        /// Keys the task has already, besides the one being typed.
        present: Vec<String>,
    },
    None,
}

/// What belongs at a place, and the text it replaces, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub context: CompletionContext,
    pub replace: Span,
}

/// An open container on the way to the place.
struct Frame {
    array: bool,
    /// Of an object: the key whose value is next or open.
    key: Option<String>,
    after_colon: bool,
}

/// Looks only at what stands before `offset` for the structure, so it works in text that is being typed.
///
/// `offset` must be on a character boundary; one beyond the text is taken as its end.
pub fn completion_at(text: &str, offset: usize) -> Completion {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    let mut replace = offset..offset;
    loop {
        let (start, unclosed) = skip_trivia(text, at);
        if unclosed.is_some_and(|comment| comment.start < offset) {
            return Completion { context: CompletionContext::None, replace };
        }
        if start > offset || start >= text.len() {
            if in_comment(text, at, offset) {
                return Completion { context: CompletionContext::None, replace };
            }
            break;
        }
        let token = next_token(text, start);
        let word = matches!(
            token.kind,
            TokenKind::String(..) | TokenKind::Junk | TokenKind::True | TokenKind::False | TokenKind::Null
        );
        if word && start <= offset && offset <= token.span.end {
            let closed = offset == token.span.end
                && token.span.len() > 1
                && matches!(&token.kind, TokenKind::String(_, defect) if defect.is_none());
            if !closed {
                replace = start..replaced_end(text, offset, token.span.end);
                break;
            }
        }
        if start >= offset {
            break;
        }
        step(&mut frames, &token.kind);
        at = token.span.end;
    }
    Completion { context: context(text, &frames, &replace), replace }
}

/// An unclosed quote swallows the rest of its line; only what can belong to the word being typed is replaced.
fn replaced_end(text: &str, offset: usize, end: usize) -> usize {
    let rest = &text[offset..end];
    if rest.contains([',', ':', '{', '}', '[', ']', ' ']) { offset } else { end }
}

fn in_comment(text: &str, from: usize, offset: usize) -> bool {
    if from >= offset {
        return false;
    }
    let (stop, unclosed) = skip_trivia(&text[..offset], from);
    // A line comment that reaches the offset swallows whatever is typed there.
    let line = &text[text[..offset].rfind(['\n', '\r']).map_or(0, |newline| newline + 1).max(from)..offset];
    unclosed.is_some() || (stop == offset && line.contains("//"))
}

fn step(frames: &mut Vec<Frame>, token: &TokenKind) {
    match token {
        TokenKind::OpenBrace => frames.push(Frame { array: false, key: None, after_colon: false }),
        TokenKind::OpenBracket => frames.push(Frame { array: true, key: None, after_colon: false }),
        TokenKind::CloseBrace | TokenKind::CloseBracket => {
            let array = *token == TokenKind::CloseBracket;
            if let Some(open) = frames.iter().rposition(|frame| frame.array == array) {
                frames.truncate(open);
            }
        }
        TokenKind::Comma => {
            if let Some(frame) = frames.last_mut().filter(|frame| !frame.array) {
                frame.key = None;
                frame.after_colon = false;
            }
        }
        TokenKind::Colon => {
            if let Some(frame) = frames.last_mut() {
                frame.after_colon = true;
            }
        }
        TokenKind::String(text, _) => {
            if let Some(frame) = frames.last_mut().filter(|frame| !frame.array && !frame.after_colon) {
                frame.key = Some(text.clone());
            }
        }
        _ => {}
    }
}

fn context(text: &str, frames: &[Frame], replace: &Span) -> CompletionContext {
    let [root, tasks, task, inner @ ..] = frames else { return CompletionContext::None };
    if root.key.as_deref() != Some("tasks") || !tasks.array || task.array {
        return CompletionContext::None;
    }
    let queue = QueueText::parse(text);
    let span = queue.task_at(replace.start);
    match (inner, task.key.as_deref().filter(|_| task.after_colon)) {
        ([], Some("status")) => CompletionContext::InStatus,
        ([], Some("priority")) => CompletionContext::InPriority,
        ([], Some("agent")) => CompletionContext::InAgent,
        ([], Some("goal")) => CompletionContext::InGoal,
        ([], None) => {
            let fields = span.map(|span| span.fields.as_slice()).unwrap_or_default();
            let present =
                fields.iter().filter(|field| field.key.end <= replace.start || field.key.start >= replace.end);
            CompletionContext::InTaskKey { present: present.map(|field| field.name.clone()).collect() }
        }
        ([list], Some("depends_on")) if list.array => {
            let others = span.map(|span| span.depends_on.as_slice()).unwrap_or_default();
            let others = others.iter().filter(|(_, range)| range.end <= replace.start || range.start >= replace.end);
            CompletionContext::InDependsOn {
                existing: others.map(|(id, _)| id.clone()).collect(),
                own_id: span.and_then(|span| span.id.clone()),
            }
        }
        _ => CompletionContext::None,
    }
}
