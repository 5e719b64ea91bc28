//! An agent's own program as its driver talks to it: lines in and out, and an end in the agent's own order.

use crate::protocol::config::StopStep;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

/// Bytes of one line that are kept; what is longer is cut there.
const LINE_LIMIT: usize = 16 * 1024 * 1024;
/// Lines that may wait for the driver.
const WAITING: usize = 256;
/// How long a program's last lines may take to arrive after it has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);
/// The same, where its last lines are no more than kept, so that only a loaded machine takes as long.
const REST: Duration = Duration::from_secs(1);

/// How the program is started; the working folder and the rest of the environment are the driver's own.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Variables of the driver that the program must not see.
    pub without: Vec<String>,
}

impl Launch {
    /// The command line as a person would type it; only for showing.
    pub fn shown(&self) -> String {
        shlex::try_join(self.argv.iter().map(String::as_str)).unwrap_or_else(|_| self.argv.join(" "))
    }
}

/// A line the program printed, without the line break; what is no UTF-8 is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildLine {
    Out(String),
    Err(String),
}

/// What the program does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    Line(ChildLine),
    /// It ended. Lines it printed just before may still come, see [`AgentChild::rest`].
    Ended(ExitStatus),
}

/// The program's input, written by a task of its own, so that a program that does not read holds up nobody. Dropped to
/// close it.
#[derive(Debug)]
pub struct ChildInput(mpsc::UnboundedSender<String>);

impl ChildInput {
    /// Writes a line after those before it. What a program that has closed its input misses is its own loss.
    pub fn line(&self, line: String) {
        let _ = self.0.send(line);
    }
}

/// The program, which is killed when this is dropped.
pub struct AgentChild {
    child: Child,
    /// Its input; taken or dropped to end it.
    pub stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<ChildLine>,
}

impl AgentChild {
    /// Starts the program in a process group of its own, so that signals to the driver do not reach it.
    ///
    /// # Errors
    ///
    /// `NotFound` and `PermissionDenied` as the system tells them.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        let [program, arguments @ ..] = launch.argv.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let mut command = Command::new(program);
        for name in &launch.without {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .envs(&launch.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (sender, lines) = mpsc::channel(WAITING);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(read_lines(out, sender.clone(), ChildLine::Out));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(read_lines(err, sender, ChildLine::Err));
        }
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, lines })
    }

    /// Returns the next line of either stream; none when both are closed.
    pub async fn line(&mut self) -> Option<ChildLine> {
        self.lines.recv().await
    }

    /// As [`Self::line`], but also none when the program has ended and nothing more comes for a moment, although
    /// something that it left behind still holds its streams open. Nothing is lost when this is not waited for.
    pub async fn line_or_exit(&mut self) -> Option<ChildLine> {
        tokio::select! {
            biased;
            line = self.lines.recv() => line,
            _ = self.child.wait() => tokio::time::timeout(LEFT_BEHIND, self.lines.recv()).await.ok().flatten(),
        }
    }

    /// Returns the next line of either stream, or the end of the program, which need not close its streams: what it
    /// started may hold them. Can be cancelled without losing anything.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub async fn event(&mut self) -> io::Result<ChildEvent> {
        tokio::select! {
            biased;
            Some(line) = self.lines.recv() => Ok(ChildEvent::Line(line)),
            status = self.child.wait() => Ok(ChildEvent::Ended(status?)),
        }
    }

    /// Returns the lines that are left of a program that has ended, as far as they come within a second: something that
    /// it left behind may hold its streams open.
    pub async fn rest(&mut self) -> Vec<ChildLine> {
        let deadline = tokio::time::Instant::now() + REST;
        let mut rest = Vec::new();
        while let Ok(Some(line)) = tokio::time::timeout_at(deadline, self.lines.recv()).await {
            rest.push(line);
        }
        rest
    }

    /// Takes the program's input; none when it was taken before.
    pub fn input(&mut self) -> Option<ChildInput> {
        let mut stdin = self.stdin.take()?;
        let (sender, mut lines) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if stdin.write_all(line.as_bytes()).await.is_err()
                    || stdin.write_all(b"\n").await.is_err()
                    || stdin.flush().await.is_err()
                {
                    return;
                }
            }
        });
        Some(ChildInput(sender))
    }

    /// Writes a line to its input and flushes it.
    ///
    /// # Errors
    ///
    /// When its input is closed.
    pub async fn write_line(&mut self, line: &str) -> io::Result<()> {
        let stdin =
            self.stdin.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::BrokenPipe, "its input is closed"))?;
        stdin.write_all(line.as_bytes()).await?;
        stdin.write_all(b"\n").await?;
        stdin.flush().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it: its input is closed, it gets `patience` to end by itself, then each signal in order gets `grace`, then
    /// it is killed. What it started in sessions of its own is the supervisor's to sweep.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub async fn end(&mut self, patience: Duration, steps: &[StopStep], grace: Duration) -> io::Result<ExitStatus> {
        self.stdin = None;
        if let Some(status) = self.ends_within(patience).await {
            return status;
        }
        for step in steps {
            self.signal(match step {
                StopStep::Interrupt => Signal::INT,
                StopStep::Terminate => Signal::TERM,
            });
            if let Some(status) = self.ends_within(grace).await {
                return status;
            }
        }
        self.signal(Signal::KILL);
        self.child.wait().await
    }

    /// Waits so long for the end. Lines that come meanwhile are kept for [`Self::line`] as far as they fit.
    async fn ends_within(&mut self, patience: Duration) -> Option<io::Result<ExitStatus>> {
        tokio::time::timeout(patience, self.child.wait()).await.ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended just now.
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// Sends each line, until the stream or the receiver ends.
async fn read_lines<R: AsyncRead + Unpin>(stream: R, sender: mpsc::Sender<ChildLine>, make: fn(String) -> ChildLine) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let Ok(chunk) = reader.fill_buf().await else { return };
        if chunk.is_empty() {
            if !line.is_empty() {
                let _ = sender.send(make(String::from_utf8_lossy(&line).into_owned())).await;
            }
            return;
        }
        let (part, found) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&chunk[..at], true),
            None => (chunk, false),
        };
        let room = LINE_LIMIT.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(found);
        reader.consume(used);
        if found {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if sender.send(make(text)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> AgentChild {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        AgentChild::start(&Launch { argv, ..Launch::default() }).expect("started")
    }

    #[tokio::test]
    async fn lines_of_both_streams_come_whole() {
        let mut child = shell("printf 'a\\r\\nb'; printf 'e\\n' >&2");
        let mut lines = Vec::new();
        while let Some(line) = child.line().await {
            lines.push(line);
        }
        let out = |text: &str| ChildLine::Out(text.into());
        assert!(lines.contains(&out("a")) && lines.contains(&out("b")) && lines.contains(&ChildLine::Err("e".into())));
        assert!(child.wait().await.expect("ended").success());
    }

    #[tokio::test]
    async fn each_signal_is_tried_in_order() {
        let script = "trap 'echo int' INT; trap 'echo term; exit 7' TERM; echo on; while :; do sleep 0.05; done";
        let mut child = shell(script);
        assert_eq!(child.line().await, Some(ChildLine::Out("on".into())));
        let steps = [StopStep::Interrupt, StopStep::Terminate];
        let status = child.end(Duration::ZERO, &steps, Duration::from_secs(3)).await.expect("ended");
        assert_eq!(status.code(), Some(7));
        let mut said = Vec::new();
        while let Some(line) = child.line().await {
            // The shell says on its other stream what became of its children.
            if let ChildLine::Out(line) = line {
                said.push(line);
            }
        }
        assert_eq!(said, ["int", "term"]);
    }
}
