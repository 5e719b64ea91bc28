//! A turn of our driver with a real agent, heard line by line.

use crate::leftovers;
use ralph_sidecar::domain::ending::Ending;
use ralph_sidecar::protocol::agent_lines::AgentLine;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a silent driver is listened to before the test looks around again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A driver that is on.
pub struct Driving {
    child: Child,
    folder: PathBuf,
    begun: Instant,
    lines: Receiver<AgentLine>,
    heard: Vec<AgentLine>,
    errors: std::thread::JoinHandle<String>,
}

/// A turn that ended.
#[derive(Debug)]
pub struct Turn {
    pub lines: Vec<AgentLine>,
    pub ending: Ending,
    pub code: Option<i32>,
    pub took: Duration,
    pub errors: String,
}

impl Driving {
    pub fn new(mut child: Child, folder: PathBuf) -> Self {
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(AgentLine::read(&line)).is_err() {
                    return;
                }
            }
        });
        let mut err = child.stderr.take().expect("its errors");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        Self { child, folder, begun: Instant::now(), lines, heard: Vec::new(), errors }
    }

    /// Waits for a line; fails the test when the driver ends or the time is over before it comes.
    #[track_caller]
    pub fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&AgentLine) -> bool) -> AgentLine {
        let until = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(error) => self.give_up(&format!("the line did not come: {error}")),
            }
        }
    }

    /// Asks the driver to stop, as its supervisor would.
    pub fn stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("its id");
        kill_process(pid, Signal::TERM).expect("it is there");
    }

    /// Waits for the end; fails the test when it does not come in time or the driver does not say how it ended.
    #[track_caller]
    pub fn finish(self, patience: Duration) -> Turn {
        self.finish_or_stop(patience, || false)
    }

    /// As [`Self::finish`], but asks the driver to stop as soon as `enough` says so.
    #[track_caller]
    pub fn finish_or_stop(mut self, patience: Duration, enough: impl Fn() -> bool) -> Turn {
        let until = Instant::now() + patience;
        let mut stopped = false;
        loop {
            if !stopped && enough() {
                stopped = true;
                self.stop();
            }
            match self.lines.recv_timeout(LOOK_AGAIN) {
                Ok(line) => self.heard.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(RecvTimeoutError::Timeout) => self.give_up(&format!("no end within {patience:?}")),
            }
        }
        let code = self.child.wait().expect("it ended").code();
        let took = self.begun.elapsed();
        let Some(AgentLine::Ended { ending }) = self.heard.last().cloned() else {
            self.give_up("the last line is no end");
        };
        let ends = self.heard.iter().filter(|line| matches!(line, AgentLine::Ended { .. })).count();
        assert_eq!(ends, 1, "it ends once: {}", shown(&self.heard));
        Turn { ending, code, took, errors: self.errors.join().unwrap_or_default(), lines: self.heard }
    }

    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        leftovers::kill(&self.folder);
        let errors = std::mem::replace(&mut self.errors, std::thread::spawn(String::new));
        panic!("{why}\n{}\n--- stderr\n{}", shown(&self.heard), errors.join().unwrap_or_default());
    }
}

impl Turn {
    /// Returns everything the turn printed, for messages of failed tests.
    pub fn shown(&self) -> String {
        format!("{}\n--- stderr\n{}\n--- {:?} after {:?}", shown(&self.lines), self.errors, self.code, self.took)
    }
}

fn shown(lines: &[AgentLine]) -> String {
    lines.iter().map(AgentLine::write).collect::<Vec<_>>().join("\n")
}
