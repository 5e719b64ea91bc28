//! `run`: a command of the agent in its slot, with an end.

use super::paths::Slot;
use crate::infra::processes;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a command may take unless it asks for more.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a command may take at most: silence of ten minutes ends the attempt.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(480);
/// How long the end of the output is waited for after the shell has ended.
const DRAIN: Duration = Duration::from_millis(300);
/// How long ending a tree may take.
const KILLING: Duration = Duration::from_secs(3);

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Ran {
    pub end: RunEnd,
    /// Both streams as they came, cut in the middle.
    pub output: String,
}

impl Ran {
    pub fn is_success(&self) -> bool {
        matches!(self.end, RunEnd::Ended(status) if status.success())
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Ended(ExitStatus),
    TimedOut(Duration),
    Stopped,
}

/// Runs the command by `sh -c` in a process group of its own, with no input, and kills what is left of it: all of its
/// tree when the time is up or the turn is stopped, the group when the shell has ended.
///
/// # Errors
///
/// When the shell cannot be started or waited for.
pub async fn run(
    slot: &Slot,
    command: &str,
    without: &[String],
    timeout: Duration,
    limit: usize,
    stop: &CancellationToken,
) -> io::Result<Ran> {
    let mut shell = Command::new("sh");
    for name in without {
        shell.env_remove(name);
    }
    shell.arg("-c").arg(command).current_dir(slot.root());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = shell.spawn()?;
    let pid = child.id();
    let (sender, mut chunks) = mpsc::channel(64);
    if let Some(out) = child.stdout.take() {
        tokio::spawn(forward(out, sender.clone()));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(forward(err, sender));
    }
    let mut output = Capped::new(limit);
    let clock = tokio::time::sleep(timeout);
    tokio::pin!(clock);
    let end = loop {
        tokio::select! {
            Some(chunk) = chunks.recv() => output.add(&chunk),
            status = child.wait() => break RunEnd::Ended(status?),
            () = &mut clock => break RunEnd::TimedOut(timeout),
            () = stop.cancelled() => break RunEnd::Stopped,
        }
    };
    if !matches!(end, RunEnd::Ended(_)) {
        kill_tree(&mut child).await;
    }
    // What the shell left behind in its group would go on writing into the slot.
    if let Some(group) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let drain = async {
        while let Some(chunk) = chunks.recv().await {
            output.add(&chunk);
        }
    };
    // Whoever made a session of its own may hold the streams open.
    let _ = tokio::time::timeout(DRAIN, drain).await;
    Ok(Ran { end, output: output.text() })
}

/// Kills the shell and all that descends from it, in whatever session.
async fn kill_tree(child: &mut Child) {
    if let Some(root) = child.id().and_then(processes::process) {
        let find = move |show: &mut dyn FnMut(processes::Process)| {
            // The root last: what is stopped keeps its children in its tree.
            processes::descendants(root.id.pid)?.into_iter().for_each(&mut *show);
            if processes::alive(root.id) {
                show(root);
            }
            Ok(true)
        };
        let _ = tokio::task::spawn_blocking(move || processes::kill_all(find, KILLING)).await;
    }
    let _ = child.start_kill();
    let _ = child.wait().await;
}

async fn forward<R: AsyncRead + Unpin>(mut stream: R, sender: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 || sender.send(buffer[..read].to_vec()).await.is_err() {
            return;
        }
    }
}

/// The beginning and the end of an output: the first quarter of the limit and the last three, where the errors are.
#[derive(Debug)]
struct Capped {
    head: Vec<u8>,
    tail: Vec<u8>,
    limit: usize,
    left_out: usize,
}

impl Capped {
    fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: Vec::new(), limit, left_out: 0 }
    }

    fn add(&mut self, chunk: &[u8]) {
        let room = (self.limit / 4).saturating_sub(self.head.len());
        let (head, rest) = chunk.split_at(room.min(chunk.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        let most = self.limit - self.limit / 4;
        // Cut seldom: moving the rest for every chunk would be quadratic.
        if self.tail.len() > most * 2 + 64 * 1024 {
            self.trim(most);
        }
    }

    fn trim(&mut self, most: usize) {
        let over = self.tail.len().saturating_sub(most);
        self.tail.drain(..over);
        self.left_out += over;
    }

    fn text(mut self) -> String {
        self.trim(self.limit - self.limit / 4);
        if self.left_out == 0 {
            self.head.extend_from_slice(&self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        format!("{head}\n(… {} bytes left out …)\n{tail}", self.left_out)
    }
}

/// Says in words how a command ended.
pub fn ended(end: RunEnd) -> String {
    use std::os::unix::process::ExitStatusExt;
    match end {
        RunEnd::Ended(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        RunEnd::TimedOut(after) => {
            format!("killed after {} seconds; ask for more by `timeout_seconds`", after.as_secs_f32())
        }
        RunEnd::Stopped => "stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn outputs_keep_their_ends(chunks in prop::collection::vec("[a-z]{0,40}", 0..20), limit in 8usize..200) {
            let mut capped = Capped::new(limit);
            chunks.iter().for_each(|chunk| capped.add(chunk.as_bytes()));
            let whole = chunks.concat();
            let text = capped.text();
            if whole.len() <= limit {
                prop_assert_eq!(text, whole);
            } else {
                prop_assert!(text.starts_with(&whole[..limit / 4]));
                prop_assert!(text.ends_with(&whole[whole.len() - (limit - limit / 4)..]));
                let told = format!("{} bytes left out", whole.len() - limit);
                prop_assert!(text.contains(&told), "{}", text);
            }
        }
    }

    fn slot() -> (tempfile::TempDir, Slot) {
        let folder = tempfile::tempdir().expect("folder");
        let slot = Slot::at(folder.path()).expect("slot");
        (folder, slot)
    }

    async fn ran(slot: &Slot, command: &str, timeout: Duration) -> Ran {
        run(slot, command, &["SECRET".into()], timeout, 4096, &CancellationToken::new()).await.expect("ran")
    }

    fn alive(file: std::path::PathBuf) -> bool {
        let pid = std::fs::read_to_string(file).expect("a pid").trim().parse().expect("a number");
        processes::process(pid).is_some_and(|process| !process.zombie)
    }

    #[tokio::test]
    async fn a_command_says_how_it_ended() {
        let (_folder, slot) = slot();
        let ran = ran(&slot, "pwd; echo no >&2; exit 3", TIMEOUT).await;
        assert_eq!(ended(ran.end), "exit code 3");
        assert!(ran.output.contains(&slot.root().display().to_string()) && ran.output.contains("no\n"), "{ran:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_its_tree() {
        let (_folder, slot) = slot();
        // One in the group, one in a session of its own; both say who they are before the time can be up.
        let script = "sleep 300 & echo $! > a; setsid sh -c 'echo $$ > b; sleep 300' & while ! [ -s b ]; do :; done; echo on; wait";
        let ran = ran(&slot, script, Duration::from_secs(3)).await;
        assert!(matches!(ran.end, RunEnd::TimedOut(_)), "{ran:?}");
        assert_eq!(ran.output, "on\n");
        assert!(!alive(slot.root().join("a")) && !alive(slot.root().join("b")));
    }

    #[tokio::test]
    async fn what_stays_in_the_background_is_ended_with_its_shell() {
        let (_folder, slot) = slot();
        let ran = ran(&slot, "sleep 300 & echo $! > a; echo done", TIMEOUT).await;
        assert_eq!((ended(ran.end).as_str(), ran.output.as_str()), ("exit code 0", "done\n"));
        let pid = std::fs::read_to_string(slot.root().join("a")).expect("a pid").trim().parse().expect("a number");
        if let Some(left) = processes::process(pid) {
            assert!(processes::wait_until_gone(&[left.id], KILLING).expect("waited"));
        }
    }

    #[tokio::test]
    async fn stopping_ends_a_command_at_once() {
        let (_folder, slot) = slot();
        let stop = CancellationToken::new();
        let stopping = async {
            while !slot.root().join("on").exists() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let running = run(&slot, "echo > on; sleep 300", &[], TIMEOUT, 4096, &stop);
        let (ran, ()) = tokio::join!(running, stopping);
        assert_eq!(ran.expect("ran").end, RunEnd::Stopped);
    }
}
