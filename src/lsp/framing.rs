//! Cuts the client's bytes into messages and repairs or replaces those the decoder behind it would die of.
//!
//! tower-lsp's reader ends for good at the first message it cannot decode. A client that sends one (JavaScript strings
//! may hold half a surrogate pair, which is not valid JSON text for Rust) must not lose its server for that.

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Method of the request that stands in for a message that could not be understood; [`super::gate`] answers it.
pub const MALFORMED: &str = "$/ralph/malformed";

/// Longest header block that is looked at before it counts as garbage, in bytes.
const MAX_HEADER: usize = 8 * 1024;

/// Largest body that is kept, in bytes; a larger one is skipped and answered as malformed.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// Why [`pump`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpEnd {
    /// The client closed its side, or reading failed.
    Eof,
    /// `stop` was cancelled, or the reader behind went away.
    Stopped,
}

/// Copies messages from `input` to `output`, each one well-formed, until the input ends or `stop` is cancelled.
///
/// Dropping `output` on return is what ends the reader behind it, also while the client keeps its side open.
pub async fn pump(
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    stop: CancellationToken,
) -> PumpEnd {
    let mut framer = Framer::default();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        while let Some(body) = framer.next_body() {
            let body = checked(body);
            let mut frame = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
            frame.extend_from_slice(&body);
            let written = tokio::select! {
                biased;
                () = stop.cancelled() => return PumpEnd::Stopped,
                written = output.write_all(&frame) => written,
            };
            if written.is_err() {
                return PumpEnd::Stopped;
            }
        }
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return PumpEnd::Stopped,
            read = input.read(&mut chunk) => read,
        };
        match read {
            Ok(0) | Err(_) => return PumpEnd::Eof,
            Ok(count) => framer.push(&chunk[..count]),
        }
    }
}

/// An incremental cutter of `Content-Length` framed messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Everything before this offset has been handed out.
    start: usize,
    /// Length of the body being collected, once its header was read.
    body: Option<usize>,
    /// Bytes of an oversized body still to be thrown away.
    skip: usize,
}

impl Framer {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete body, or `None` until more bytes arrive. Garbage between messages is skipped.
    pub fn next_body(&mut self) -> Option<Vec<u8>> {
        loop {
            if self.skip > 0 {
                let drop = self.skip.min(self.buffer.len() - self.start);
                self.start += drop;
                self.skip -= drop;
                if self.skip > 0 {
                    return None;
                }
            }
            if let Some(length) = self.body {
                let rest = &self.buffer[self.start..];
                if rest.len() < length {
                    return None;
                }
                let body = rest[..length].to_vec();
                self.start += length;
                self.body = None;
                return Some(body);
            }
            match parse_header(&self.buffer[self.start..]) {
                Header::Partial => return None,
                Header::Length { consumed, length } => {
                    self.start += consumed;
                    if length > MAX_BODY {
                        self.skip = length;
                        return Some(malformed(&format!("the message is larger than {MAX_BODY} bytes")));
                    }
                    self.body = Some(length);
                }
                Header::Garbage { consumed } => {
                    self.start += consumed;
                    return Some(malformed("the header has no valid Content-Length"));
                }
            }
        }
    }
}

enum Header {
    Partial,
    Length { consumed: usize, length: usize },
    Garbage { consumed: usize },
}

fn parse_header(bytes: &[u8]) -> Header {
    let Some((text, consumed)) = split_header(bytes) else {
        if bytes.len() <= MAX_HEADER {
            return Header::Partial;
        }
        return Header::Garbage { consumed: resume_at(bytes) };
    };
    let length = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.trim().split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    match length {
        Some(length) => Header::Length { consumed, length },
        None => Header::Garbage { consumed: resume_at(bytes) },
    }
}

/// Returns the header block without its empty line, and the offset of the body.
fn split_header(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let bytes = &bytes[..bytes.len().min(MAX_HEADER)];
    let find =
        |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).map(|at| (at, at + mark.len()));
    let (at, end) = match (find(b"\r\n\r\n"), find(b"\n\n")) {
        (Some(crlf), Some(lf)) => crlf.min(lf),
        (found, other) => found.or(other)?,
    };
    Some((&bytes[..at], end))
}

/// Returns where the next header may begin: at the next `Content-Length`, but never at the very start.
fn resume_at(bytes: &[u8]) -> usize {
    let mark = b"Content-Length";
    bytes.windows(mark.len()).skip(1).position(|window| window == mark).map_or(bytes.len(), |at| at + 1)
}

#[derive(Deserialize)]
struct Shape {
    jsonrpc: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    id: Option<ShapeId>,
    #[serde(default)]
    error: Option<ShapeError>,
    #[serde(default, rename = "params")]
    _params: IgnoredAny,
    #[serde(default, rename = "result")]
    _result: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ShapeId {
    Number(#[expect(dead_code, reason = "only its type matters")] i64),
    Text(#[expect(dead_code, reason = "only its type matters")] String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeError {
    #[serde(rename = "code")]
    _code: i64,
    #[serde(rename = "message")]
    _message: String,
    #[serde(default, rename = "data")]
    _data: IgnoredAny,
}

/// Returns `body`, repaired where needed, when the decoder will understand it, else a body that says why not.
fn checked(mut body: Vec<u8>) -> Vec<u8> {
    replace_lone_surrogates(&mut body);
    let Some(problem) = shape_problem(&body) else { return body };
    tracing::warn!(%problem, "a message of the client could not be understood");
    malformed(&problem)
}

fn shape_problem(body: &[u8]) -> Option<String> {
    let shape: Shape = match serde_json::from_slice(body) {
        Ok(shape) => shape,
        Err(error) => return Some(error.to_string()),
    };
    if shape.jsonrpc != "2.0" {
        return Some(format!("unknown JSON-RPC version {:?}", shape.jsonrpc));
    }
    match (shape.method, shape.id, shape.error) {
        (None, None, None) => Some("neither a request nor a response".to_owned()),
        _ => None,
    }
}

/// Turns each escaped half of a surrogate pair into an escaped U+FFFD, which has the same length in bytes and in UTF-16.
fn replace_lone_surrogates(body: &mut [u8]) {
    let mut at = 0;
    while at + 1 < body.len() {
        if body[at] != b'\\' {
            at += 1;
            continue;
        }
        let Some(unit) = escaped_unit(&body[at..]) else {
            at += 2;
            continue;
        };
        let paired = (0xD800..0xDC00).contains(&unit)
            && body.get(at + 6..).and_then(escaped_unit).is_some_and(|low| (0xDC00..0xE000).contains(&low));
        if paired {
            at += 12;
            continue;
        }
        if (0xD800..0xE000).contains(&unit) {
            body[at + 2..at + 6].copy_from_slice(b"fffd");
        }
        at += 6;
    }
}

/// Returns the code unit of an escape such as `\ud83d` at the start of `bytes`.
fn escaped_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn malformed(problem: &str) -> Vec<u8> {
    serde_json::json!({ "jsonrpc": "2.0", "id": null, "method": MALFORMED, "params": problem }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(body: &str) -> Vec<u8> {
        format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn bodies(chunks: &[&[u8]]) -> Vec<String> {
        let mut framer = Framer::default();
        let mut bodies = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(body) = framer.next_body() {
                bodies.push(String::from_utf8_lossy(&checked(body)).into_owned());
            }
        }
        bodies
    }

    const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#;

    #[test]
    fn well_formed_messages_pass_untouched() {
        let cases = [
            GOOD,
            r#"{"jsonrpc":"2.0","method":"initialized"}"#,
            r#"{"jsonrpc":"2.0","id":"a","result":null}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"m","data":{}}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"applied":true}}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":{"text":"\ud83d\ude00 \\ud800"}}"#,
        ];
        for case in cases {
            assert_eq!(bodies(&[&frame(case)]), [case]);
        }
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        let sent = r#"{"jsonrpc":"2.0","method":"m","params":{"text":"a\ud83d!\ude00"}}"#;
        let got = r#"{"jsonrpc":"2.0","method":"m","params":{"text":"a\ufffd!\ufffd"}}"#;
        assert_eq!(bodies(&[&frame(sent)]), [got]);
    }

    #[test]
    fn what_cannot_be_understood_is_replaced_and_the_next_message_arrives() {
        let bad: Vec<Vec<u8>> = vec![
            frame(r#"{"jsonrpc":"2.0","method":"#),
            frame("[]"),
            frame("{}"),
            frame(r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#),
            frame(r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#),
            b"Content-Length: nonsense\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ];
        for bytes in bad {
            let got = bodies(&[&bytes, &frame(GOOD)]);
            assert!(got.first().is_some_and(|body| body.contains(MALFORMED)), "{got:?}");
            assert_eq!(got.last().map(String::as_str), Some(GOOD), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    proptest! {
        #[test]
        fn cutting_is_independent_of_how_the_bytes_arrive(cut in proptest::collection::vec(1usize..40, 1..60)) {
            let sent: Vec<String> = (0..5).map(|n| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"m"}}"#)).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|body| frame(body)).collect();
            let mut chunks = Vec::new();
            let mut rest = bytes.as_slice();
            for size in cut.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, tail) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(bodies(&chunks), sent);
        }

        #[test]
        fn no_input_panics(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            bodies(&chunks);
        }

        #[test]
        fn no_body_panics(body in "[\\\\ud8cDC0-9a-f\"{}:,]{0,80}") {
            checked(body.into_bytes());
        }
    }
}
