//! The lines of `acked.log`: what a reader remembers of the messages it is done with.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::folder::HIGHEST;

/// More than any line is long.
const LINE_LIMIT: u64 = 512;
/// More than any log is long: some hundred thousand messages.
const LOG_LIMIT: u64 = 64 * 1024 * 1024;

/// One acknowledged message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub seq: u64,
    /// The highest arrival number acknowledged so far, this one's included.
    pub highest: u64,
    /// Nothing for a corrupt one.
    pub message: Option<(String, Digest)>,
}

/// Tells two messages with one id apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    pub fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content).to_hex()[..24].to_owned())
    }
}

impl Line {
    pub fn encode(&self) -> String {
        match &self.message {
            Some((id, Digest(digest))) => format!("{} {} {id} {digest}\n", self.seq, self.highest),
            None => format!("{} {}\n", self.seq, self.highest),
        }
    }

    fn decode(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let seq = words.next()?.parse().ok().filter(|seq| *seq <= HIGHEST)?;
        let highest = words.next()?.parse().ok().filter(|highest| *highest <= HIGHEST)?;
        let message = match (words.next(), words.next(), words.next()) {
            (Some(id), Some(digest), None) => Some((id.to_owned(), Digest(digest.to_owned()))),
            (None, None, None) => None,
            _ => return None,
        };
        Some(Self { seq, highest, message })
    }
}

/// Reads all lines, and cuts off one that a crash left incomplete: its message was not acknowledged.
pub fn read_all(file: &mut File) -> io::Result<Vec<Line>> {
    let mut text = Vec::new();
    if file.metadata()?.len() > LOG_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than any that was written by us"));
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if complete < text.len() {
        file.set_len(complete as u64)?;
    }
    Ok(String::from_utf8_lossy(&text[..complete]).lines().filter_map(Line::decode).collect())
}

/// Reads the highest arrival number of the last complete line; 0 without one.
pub fn highest(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LINE_LIMIT)))?;
    let mut text = Vec::new();
    file.take(LINE_LIMIT).read_to_end(&mut text)?;
    let complete = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..complete]);
    Ok(text.lines().next_back().and_then(Line::decode).map_or(0, |line| line.highest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_incomplete_line_is_cut_off() {
        let line = |seq| Line { seq, highest: seq + 10, message: Some((format!("id{seq}"), Digest::of(b"x"))) };
        let corrupt = Line { seq: 3, highest: 12, message: None };
        let mut file = tempfile::tempfile().expect("file");
        write!(file, "{}{}{}4 99 half", line(1).encode(), line(2).encode(), corrupt.encode()).expect("written");
        assert_eq!(highest(&mut file).expect("read"), 12);
        assert_eq!(read_all(&mut file).expect("read"), [line(1), line(2), corrupt.clone()]);
        let length = file.metadata().expect("metadata").len();
        assert_eq!(length, (line(1).encode() + &line(2).encode() + &corrupt.encode()).len() as u64);
        assert_eq!(highest(&mut tempfile::tempfile().expect("file")).expect("read"), 0);
    }
}
