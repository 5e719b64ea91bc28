//! Reads and writes messages as lines of JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes a hello may have; every later line comes from a peer that was looked at, and may be as long as it needs.
pub const HELLO_LIMIT: u64 = 64 * 1024;

/// Reads one line without its end; none at the end of the stream.
///
/// # Errors
///
/// `UnexpectedEof` when the stream ends within a line.
pub async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    complete(line)
}

/// As [`read_line`], of at most `limit` bytes.
///
/// # Errors
///
/// Also `InvalidData` for a longer line.
pub async fn read_short_line(reader: &mut (impl AsyncBufRead + Unpin), limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(limit).read_until(b'\n', &mut line).await?;
    if line.len() as u64 == limit && line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the first line is longer than {limit} bytes")));
    }
    complete(line)
}

fn complete(mut line: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Parses a message.
///
/// # Errors
///
/// `InvalidData` with what is wrong.
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> io::Result<T> {
    serde_json::from_slice(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Makes the line of a message, with its end.
///
/// # Errors
///
/// `InvalidData` for a value that JSON cannot hold.
pub fn to_line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    line.push(b'\n');
    Ok(line)
}

/// Writes one message.
///
/// # Errors
///
/// As [`to_line`], and the stream's own.
pub async fn write(writer: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    writer.write_all(&to_line(message)?).await
}
