//! How an error reaches the person: the lines on stderr and the exit code.

use super::style::clean;
use crate::protocol::engine_api::{ApiError, ErrorKind};
use std::fmt::Write;

/// Exit code of `run` when a person is needed.
pub const NEEDS_PERSON: u8 = 10;
/// Exit code of `run` when it was stopped, as a shell reports an interrupt.
pub const STOPPED: u8 = 130;

/// Returns the exit code of a kind of error.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Other => 1,
        ErrorKind::Usage => 2,
        ErrorKind::Data => 3,
        ErrorKind::NotTrusted => 4,
        ErrorKind::Busy => 5,
    }
}

/// Returns the lines for stderr, each ended.
pub fn render(error: &ApiError) -> String {
    let mut out = format!("error: {}\n", clean(&error.message));
    for command in &error.commands {
        let _ = writeln!(out, "  {}", clean(command));
    }
    if error.kind == ErrorKind::NotTrusted {
        out.push_str("hint: to look at them and trust them: ralph-sidecar trust\n");
        out.push_str("hint: in a script, when you have read them: ralph-sidecar trust --yes\n");
    } else if let Some(hint) = &error.hint {
        let _ = writeln!(out, "hint: {}", clean(hint));
    }
    out
}

/// Makes an error of the command line itself.
pub fn usage(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Usage, message)
}

/// Makes an error of a file or of the repository.
pub fn data(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Data, message)
}

/// Makes an error of the world around: a disk, a process, a socket.
pub fn other(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Other, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let kinds = [ErrorKind::Other, ErrorKind::Usage, ErrorKind::Data, ErrorKind::NotTrusted, ErrorKind::Busy]
            .map(exit_code);
        assert_eq!(kinds, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn untrusted_commands_are_listed_with_the_way_out() {
        let mut error = ApiError::new(ErrorKind::NotTrusted, "2 commands are not trusted in this repository");
        error.commands = vec!["make test".into(), "sh -c '\u{1b}[2Kx'".into()];
        insta::assert_snapshot!(render(&error), @r"
        error: 2 commands are not trusted in this repository
          make test
          sh -c '␛[2Kx'
        hint: to look at them and trust them: ralph-sidecar trust
        hint: in a script, when you have read them: ralph-sidecar trust --yes
        ");
    }

    #[test]
    fn a_hint_has_its_own_line() {
        let error = data("read .ralph/queue.json: line 3 is not JSON").with_hint("a comma is missing");
        insta::assert_snapshot!(render(&error), @r"
        error: read .ralph/queue.json: line 3 is not JSON
        hint: a comma is missing
        ");
    }
}
