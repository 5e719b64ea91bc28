//! Starts the supervised command: exact environment, no inherited descriptors, behind its fence, dead when its supervisor
//! is.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::spec::{SpawnFailure, Status, SuperviseSpec};
use crate::infra::processes::{MARKER, die_with_parent};
use crate::infra::sandbox::Held;

/// Starts the command with both output streams on `output`; returns its process number.
///
/// Must be called on a thread that lives as long as the supervisor: the kernel's "parent died" means that thread.
pub fn spawn(spec: &SuperviseSpec, output: io::PipeWriter) -> Result<u32, Status> {
    start(spec, output).map_err(|error| explain(spec, &error))
}

/// Keeps what the supervisor itself inherited (an editor's sockets, a terminal's pipes) from reaching the command.
pub fn close_inherited_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/dev/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if number <= 2 {
            continue;
        }
        // SAFETY: the descriptor is only borrowed for one call, which reports a closed one as an error.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        // The one used for reading the folder is closed by now or has the flag already.
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
    }
    Ok(())
}

fn start(spec: &SuperviseSpec, output: io::PipeWriter) -> io::Result<u32> {
    let [program, arguments @ ..] = spec.argv.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
    };
    let stdin = match &spec.stdin_file {
        Some(path) => Stdio::from(File::open(path).map_err(|error| {
            io::Error::other(format!("the input file {} cannot be opened: {error}", path.display()))
        })?),
        None => Stdio::null(),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(&spec.env)
        .env(MARKER, &spec.marker)
        .stdin(stdin)
        .stdout(output.try_clone()?)
        .stderr(output);
    let supervisor = std::process::id();
    let mut fence =
        spec.fence.as_ref().map(Held::prepare).transpose().map_err(|error| {
            io::Error::other(format!("the fence around what it may write to cannot be made: {error}"))
        })?;
    // SAFETY: between fork and exec only system calls are made; nothing is allocated and no lock is taken. What the fence
    // needs was opened before.
    unsafe {
        command.pre_exec(move || {
            // A session of its own: signals can go to its group, and no terminal can.
            rustix::process::setsid()?;
            die_with_parent(supervisor)?;
            fence.as_mut().map_or(Ok(()), Held::enter)
        });
    }
    // Dropping the command closes the supervisor's copies of the pipe; without that its end would never be seen.
    Ok(command.spawn()?.id())
}

fn explain(spec: &SuperviseSpec, error: &io::Error) -> Status {
    let program = spec.argv.first().map_or("", String::as_str);
    if !spec.cwd.is_dir() {
        let message = format!("the working folder {} is missing or cannot be entered", spec.cwd.display());
        return Status::SpawnFailed { kind: SpawnFailure::Other, message };
    }
    let found = locate(program, spec);
    let (kind, message) = match (error.kind(), found) {
        // A folder of PATH that may not be read makes the system report a missing program as "permission denied".
        (io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied, None) => {
            (SpawnFailure::NotFound, format!("there is no program {program}; install it or set its path"))
        }
        (io::ErrorKind::NotFound, Some(path)) => (
            SpawnFailure::NotFound,
            format!("{} is there, but the interpreter or loader it names is not", path.display()),
        ),
        (io::ErrorKind::PermissionDenied, Some(path)) => {
            (SpawnFailure::PermissionDenied, format!("{} may not be executed; check its mode", path.display()))
        }
        (_, _) => (SpawnFailure::Other, format!("{program} could not be started: {error}")),
    };
    Status::SpawnFailed { kind, message }
}

/// Finds the file a program's name stands for, executable or not.
fn locate(program: &str, spec: &SuperviseSpec) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(spec.cwd.join(program)).filter(|path| path.exists());
    }
    let path = spec.env.get("PATH")?;
    path.split(':').map(|folder| spec.cwd.join(Path::new(folder)).join(program)).find(|path| path.exists())
}
