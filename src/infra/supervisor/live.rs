//! Live output to whoever started the supervisor: bounded, coalesced, and dropped rather than waited for.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::spec::{ExitRecord, Line, Output};

/// At most one line in this time.
const INTERVAL: Duration = Duration::from_millis(50);
/// Bytes that wait to be written; what comes on top is counted as missed.
const WAITING: usize = 64 * 1024;
/// How long the last line may take when the reader is slow.
const FAREWELL: Duration = Duration::from_millis(500);

/// Prints lines on standard output without ever blocking the supervisor or failing it.
pub struct Live {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    missed_before: u64,
    missed_after: u64,
    last: Option<Box<ExitRecord>>,
}

impl Live {
    /// Prints the first line and starts the writing. Without a pipe on standard output nothing more is printed.
    pub fn start(first: &Line) -> Self {
        // The starter waits for this line, and the pipe is still empty; when nobody reads any more, nobody minds.
        let _ = print(first);
        let shared = Arc::new(Shared::default());
        let pipe = io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd);
        let writer = pipe.ok().map(|pipe| tokio::spawn(write_lines(pipe, Arc::clone(&shared))));
        Self { shared, writer }
    }

    /// Takes a piece of output.
    pub fn push(&self, bytes: &[u8]) {
        if self.writer.as_ref().is_none_or(JoinHandle::is_finished) {
            return;
        }
        let mut state = self.shared.lock();
        let room = if state.missed_after > 0 { 0 } else { WAITING.saturating_sub(state.bytes.len()).min(bytes.len()) };
        state.bytes.extend_from_slice(&bytes[..room]);
        state.missed_after += (bytes.len() - room) as u64;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Prints what waits and the last line, if the reader takes them soon.
    pub async fn finish(self, record: ExitRecord) {
        self.shared.lock().last = Some(Box::new(record));
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer {
            // The record is on disk already; the line only saves the reader a look.
            let _ = tokio::time::timeout(FAREWELL, writer).await;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints one line at once; for the time before there is a runtime.
pub fn print(line: &Line) -> io::Result<()> {
    use io::Write;
    let mut out = io::stdout().lock();
    out.write_all(&encode(line)?)?;
    out.flush()
}

async fn write_lines(mut pipe: Sender, shared: Arc<Shared>) {
    loop {
        shared.changed.notified().await;
        if shared.lock().last.is_none() {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = until_last(&shared) => {}
            }
        }
        let (output, last) = {
            let mut state = shared.lock();
            let last = state.last.take();
            (state.take(last.is_some()), last)
        };
        if let Some(output) = output
            && write(&mut pipe, &Line::Output(output)).await.is_err()
        {
            return;
        }
        if let Some(record) = last {
            // The reader may be gone; the record on disk is what counts.
            let _ = write(&mut pipe, &Line::Exit { record: *record }).await;
            return;
        }
    }
}

/// Waits until the last line is there, so that the end is not held up by the interval.
async fn until_last(shared: &Shared) {
    while shared.lock().last.is_none() {
        shared.changed.notified().await;
    }
}

async fn write(pipe: &mut Sender, line: &Line) -> io::Result<()> {
    pipe.write_all(&encode(line)?).await
}

fn encode(line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl State {
    /// Takes what waits; a character that is not complete yet stays, except at the end.
    fn take(&mut self, all: bool) -> Option<Output> {
        let complete = match std::str::from_utf8(&self.bytes) {
            _ if all || self.missed_after > 0 => self.bytes.len(),
            Ok(_) => self.bytes.len(),
            Err(_) => complete_length(&self.bytes),
        };
        let rest = self.bytes.split_off(complete);
        let taken = std::mem::replace(&mut self.bytes, rest);
        let output = Output { text: String::from_utf8_lossy(&taken).into_owned(), missed: self.missed_before };
        self.missed_before = std::mem::take(&mut self.missed_after);
        if output == Output::default() { None } else { Some(output) }
    }
}

/// The length without a character cut off at the end; at most three bytes are held back.
fn complete_length(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    for at in (from..bytes.len()).rev() {
        let needs = match bytes[at] {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return bytes.len(),
        };
        return if bytes.len() - at < needs { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let text = "aé€😀".as_bytes();
        for cut in 0..=text.len() {
            let mut state = State { bytes: text[..cut].to_vec(), ..State::default() };
            let first = state.take(false).map_or(String::new(), |output| output.text);
            state.bytes.extend_from_slice(&text[cut..]);
            let second = state.take(true).map_or(String::new(), |output| output.text);
            assert_eq!(first + &second, "aé€😀");
        }
        let mut broken = State { bytes: b"a\xff\xffb".to_vec(), ..State::default() };
        assert_eq!(broken.take(false).expect("text").text, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn missed_bytes_are_counted_where_they_are_missing() {
        let mut state = State { bytes: b"one".to_vec(), missed_after: 5, ..State::default() };
        assert_eq!(state.take(false), Some(Output { text: "one".to_owned(), missed: 0 }));
        state.bytes.extend_from_slice(b"two");
        assert_eq!(state.take(false), Some(Output { text: "two".to_owned(), missed: 5 }));
        assert_eq!(state.take(false), None);
    }
}
