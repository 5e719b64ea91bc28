//! Writes to the terminal or pipe without ever failing: a reader that went away must not end a run.

use super::error;
use crate::protocol::engine_api::ApiError;
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Write};

/// Writes to standard output.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Nobody reads any more; what we do matters more than what we say.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to standard error.
pub fn err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a line to standard output.
pub fn line(text: &str) {
    out(&format!("{text}\n"));
}

/// Writes a document as indented JSON.
///
/// # Errors
///
/// When the value has no JSON form, which is a fault of ours.
pub fn json(document: &impl Serialize) -> Result<(), ApiError> {
    let text = serde_json::to_string_pretty(document);
    line(&text.map_err(|problem| error::other(format!("write the document as JSON: {problem}")))?);
    Ok(())
}

/// Tells whether a person can be asked: they see the question and can type the answer.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question and returns the typed line, trimmed; none at the end of input.
pub fn ask(question: &str) -> Option<String> {
    err(question);
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(answer.trim().to_owned()),
    }
}

/// Asks a question whose default answer is no.
pub fn confirm(question: &str) -> bool {
    let answer = ask(&format!("{question} [y/N] "));
    answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}
