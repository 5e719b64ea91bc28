//! Who is on the other end: a person's program, or something that runs inside an attempt.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::processes;
use crate::protocol::engine_api::{ApiError, Command, ErrorKind};

/// The environment variable every process of an attempt is started with.
pub const ATTEMPT: &str = "RALPH_ATTEMPT";
/// The first argument of a supervisor.
const SUPERVISE: &str = "supervise";
const PROGRAM: &str = "ralph-sidecar";

/// Tells whether a process belongs to an attempt, and to which: it or one of its parents was started with [`ATTEMPT`]
/// (or the marker of attempts), or one of its parents is a `ralph-sidecar supervise` process.
///
/// A process that cannot be looked at (it has gone, or is in another process namespace) counts as one of an attempt:
/// a person's program waits for its answer.
///
/// What this does not stop: a number is looked up after the fact, so a process that connects, hands its connection to
/// another and ends may be confused with a later process of the same number; where orphans are not adopted by
/// their supervisor (anywhere but Linux) a process that cleared its environment and lost its parents is not
/// recognised; and what runs as the same user can write the state folder directly. Against these the sandbox helps,
/// which lets an attempt reach neither the socket nor the state folder.
pub fn inside_attempt(pid: u32) -> Option<String> {
    let mut seen = HashSet::new();
    let mut supervisor = None;
    let mut named = None;
    let mut current = pid;
    // A chain of parents that changes while it is read could be seen as a cycle.
    while current != 0 && seen.insert(current) {
        let Some(process) = processes::process(current) else {
            if current == pid {
                return Some(format!("unknown (process {pid} cannot be looked at)"));
            }
            // A parent in another namespace, or one that ended just now; what was seen below it counts.
            break;
        };
        // The name furthest up counts: what an agent starts, it can start with any name.
        named = named_attempt(current).or(named);
        if supervisor.is_none() && current != pid && is_supervisor(current) {
            supervisor = Some(format!("of supervisor {current}"));
        }
        current = process.parent;
    }
    named.or(supervisor)
}

/// As [`inside_attempt`], of the calling process.
pub fn own_attempt() -> Option<String> {
    inside_attempt(std::process::id())
}

/// Refuses a command from inside an attempt: everything but a report of that very attempt.
///
/// # Errors
///
/// `NotTrusted`, with what an agent cannot do.
pub fn check_command(command: &Command, attempt: Option<&str>) -> Result<(), ApiError> {
    match (command, attempt) {
        (_, None) => Ok(()),
        (Command::Report { attempt, .. }, Some(own)) if attempt.to_string() == own => Ok(()),
        (Command::Report { .. }, Some(own)) => Err(refusal("report for another attempt", own)),
        (command, Some(attempt)) => Err(refusal(deed(command), attempt)),
    }
}

/// Makes the error for something only a person may do, tried from inside `attempt`.
pub fn refusal(deed: &str, attempt: &str) -> ApiError {
    ApiError::new(ErrorKind::NotTrusted, format!("an agent cannot {deed} (this is inside the attempt {attempt})"))
        .with_hint("an agent asks for what it needs with `ralph-sidecar report`")
}

fn deed(command: &Command) -> &'static str {
    match command {
        Command::Answer { .. } => "answer a decision",
        Command::Approve { .. } => "approve tasks",
        Command::Trust { .. } => "trust commands",
        Command::Accept { .. } | Command::KeepAcceptedPart { .. } => "accept hunks",
        Command::Reject { .. } | Command::Withdraw { .. } | Command::SendBack { .. } => "review its work",
        Command::Comment { .. } | Command::DropComment { .. } => "review its work",
        Command::Start(_) => "start a run",
        Command::Stop { .. } | Command::Cancel { .. } | Command::Pause | Command::Resume | Command::Shutdown => {
            "steer the run"
        }
        _ => "use the engine for anything but reports",
    }
}

fn named_attempt(pid: u32) -> Option<String> {
    let environ = processes::environ_of(pid).ok()?;
    let value = |name: &str| environ.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    value(ATTEMPT).or_else(|| value(processes::MARKER)).map(|value| value.to_string_lossy().into_owned())
}

fn is_supervisor(pid: u32) -> bool {
    let arguments = arguments_of(pid);
    if arguments.get(1).is_none_or(|argument| argument != SUPERVISE) {
        return false;
    }
    let program = program_of(pid).or_else(|| file_name(Path::new(arguments.first()?)));
    let own = std::env::current_exe().ok().and_then(|path| file_name(&path));
    program.is_some_and(|program| program == PROGRAM || Some(&program) == own.as_ref())
}

/// The file name of a program, also of one that was replaced by an update since it was started.
fn file_name(path: &Path) -> Option<OsString> {
    let name = path.file_name()?;
    Some(name.to_str().and_then(|name| name.strip_suffix(" (deleted)")).map_or(name, OsStr::new).to_owned())
}

#[cfg(target_os = "linux")]
fn program_of(pid: u32) -> Option<OsString> {
    file_name(&std::fs::read_link(format!("/proc/{pid}/exe")).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn program_of(_pid: u32) -> Option<OsString> {
    None
}

#[cfg(target_os = "linux")]
fn arguments_of(pid: u32) -> Vec<OsString> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).take(2).map(|argument| OsStr::from_bytes(argument).to_owned()).collect()
}

/// Splits what `ps` prints at blanks: a program whose path has one is not recognised.
#[cfg(not(target_os = "linux"))]
fn arguments_of(pid: u32) -> Vec<OsString> {
    let output = std::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().take(2).map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::AttemptId;
    use crate::domain::report::Report;
    use crate::domain::task::TaskId;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command as Process, Stdio};

    /// Starts a command whose first line of output is the number of the process to look at.
    fn start(command: &mut Process) -> (Child, u32) {
        let mut child = command
            .env_remove(ATTEMPT)
            .env_remove(processes::MARKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let pid = line.trim().parse().expect("a number");
        (child, pid)
    }

    /// Lets it read the end of its input, and waits for all that have its output.
    fn finish(mut child: Child) {
        drop(child.stdin.take());
        let mut rest = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut rest).expect("read");
        child.wait().expect("reaped");
    }

    #[test]
    fn a_persons_program_is_outside() {
        let (child, pid) = start(Process::new("sh").args(["-c", "echo $$; read line"]));
        assert_eq!(inside_attempt(pid), None);
        finish(child);
    }

    #[test]
    fn the_variable_counts_also_when_a_child_cleared_it() {
        let own = "export RALPH_ATTEMPT=task-1/2; exec sh -c 'echo $$; read line'";
        let below = "export RALPH_ATTEMPT=task-1/2; sh -c 'env -i sh -c \"echo \\$\\$; read line\"; true'; true";
        let renamed =
            "export RALPH_ATTEMPT=task-1/2; sh -c 'RALPH_ATTEMPT=other sh -c \"echo \\$\\$; read line\"; true'; true";
        // The shell that exports is not itself started with the variable: a parent between carries it.
        for script in [own, below, renamed] {
            let (child, pid) = start(Process::new("sh").args(["-c", script]));
            assert_eq!(inside_attempt(pid).as_deref(), Some("task-1/2"), "{script}");
            finish(child);
        }
    }

    #[test]
    fn what_a_supervisor_started_is_inside_whatever_its_environment() {
        let folder = tempfile::tempdir().expect("folder");
        let program = folder.path().join("ralph-sidecar");
        let shell = std::fs::canonicalize("/bin/sh").expect("a shell");
        std::fs::copy(shell, &program).expect("copied");
        let script = "env -i /bin/sh -c 'echo $$; read line'; true";
        std::fs::write(folder.path().join(SUPERVISE), script).expect("written");
        std::fs::write(folder.path().join("other"), script).expect("written");
        let (child, pid) = start(Process::new(&program).arg(SUPERVISE).current_dir(folder.path()));
        assert_eq!(inside_attempt(pid), Some(format!("of supervisor {}", child.id())));
        assert_eq!(inside_attempt(child.id()), None, "a supervisor itself is not inside");
        finish(child);
        let (child, pid) = start(Process::new(&program).arg("other").current_dir(folder.path()));
        assert_eq!(inside_attempt(pid), None);
        finish(child);
    }

    #[test]
    fn a_process_that_has_gone_is_not_trusted() {
        let mut child = Process::new("true").spawn().expect("started");
        let pid = child.id();
        child.wait().expect("reaped");
        assert!(inside_attempt(pid).expect("refused").contains("unknown"));
    }

    #[test]
    fn an_agent_may_report_and_nothing_else() {
        let attempt = AttemptId { task: TaskId("t".into()), number: 1 };
        let report = Command::Report { attempt, report: Report::Progress { text: "half way".into() } };
        assert!(check_command(&report, Some("t#1")).is_ok());
        let spoofed = check_command(&report, Some("t#2")).expect_err("refused");
        assert!(spoofed.message.contains("cannot report for another attempt"), "{spoofed}");
        assert!(check_command(&Command::Snapshot, None).is_ok());
        for (command, words) in [
            (Command::Snapshot, "anything but reports"),
            (Command::Trust { commands: vec!["rm".into()] }, "cannot trust"),
            (Command::Approve { tasks: Vec::new(), trust: Vec::new() }, "cannot approve"),
            (Command::Shutdown, "cannot steer"),
        ] {
            let error = check_command(&command, Some("t#1")).expect_err("refused");
            assert_eq!(error.kind, ErrorKind::NotTrusted);
            assert!(error.message.contains(words) && error.message.contains("t#1"), "{error}");
        }
    }
}
