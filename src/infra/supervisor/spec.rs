//! What a supervisor is told, what it records and what it prints: the contract between it and the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::infra::sandbox::WriteFence;
use serde::{Deserialize, Serialize};

/// The version written into every exit record.
pub const RECORD_VERSION: u32 = 1;

/// Everything a supervisor needs to run one command once. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuperviseSpec {
    /// Program and arguments, at least one; never seen by a shell. A bare name is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    pub cwd: PathBuf,
    /// The complete environment; nothing is inherited. The marker is added to it. Stored only until the start.
    pub env: BTreeMap<String, String>,
    /// What the command reads; nothing when `None`.
    #[serde(default)]
    pub stdin_file: Option<PathBuf>,
    /// Where output goes, both streams interleaved as they come, as raw bytes. Must not exist yet.
    pub transcript: PathBuf,
    /// Where the [`ExitRecord`] goes. Must not exist yet. The specification is kept beside it.
    pub exit_record: PathBuf,
    /// Locked for as long as the supervisor lives; belongs to this one start.
    pub lock: PathBuf,
    /// The fifo on which stop requests arrive.
    pub control: PathBuf,
    /// Ends the command after so long without output or activity.
    #[serde(default)]
    pub idle_seconds: Option<u64>,
    /// A folder whose changes, and those of the folders in it, count as activity: the mailbox.
    #[serde(default)]
    pub activity_dir: Option<PathBuf>,
    /// Ends the command after so long. Time asleep (a closed laptop) does not count.
    #[serde(default)]
    pub wall_seconds: Option<u64>,
    /// How long each step of `stop_order` gets before the next.
    pub grace_ms: u64,
    /// How long the rest of the tree gets to end by itself once the command has.
    pub leftover_grace_ms: u64,
    /// The signals to try, in order; killing comes last always.
    pub stop_order: Vec<StopSignal>,
    /// Bytes of output kept from the start.
    pub transcript_head: u64,
    /// Bytes of output kept from the end, once the head is full.
    pub transcript_tail: u64,
    /// Names the attempt in the environment of all its processes.
    pub marker: String,
    /// Where the command and all it starts may write; anywhere when `None`. Where it cannot be held to that, it is not
    /// started.
    #[serde(default)]
    pub fence: Option<WriteFence>,
    /// A folder of its own for temporary files, which is there; removed with all in it when the tree is gone.
    #[serde(default)]
    pub temporary: Option<PathBuf>,
}

impl SuperviseSpec {
    /// Where the specification is stored for the supervisor and for a later engine: beside the exit record.
    pub fn path(&self) -> PathBuf {
        self.exit_record.with_extension("spec.json")
    }

    /// What is wrong with it, as a sentence; `None` when it can be started.
    pub fn problem(&self) -> Option<String> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Some("the command is empty".to_owned());
        }
        if self.argv.iter().any(|argument| argument.contains('\0')) {
            return Some("an argument holds a zero byte".to_owned());
        }
        let bad = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if self.env.keys().any(bad) || self.env.values().any(|value| value.contains('\0')) {
            return Some("a name or value of the environment holds a zero byte or an equals sign".to_owned());
        }
        if self.marker.is_empty() || self.marker.contains('\0') {
            return Some("the marker is empty or holds a zero byte".to_owned());
        }
        let paths: [&Path; 5] = [&self.cwd, &self.transcript, &self.exit_record, &self.lock, &self.control];
        let optional = [self.stdin_file.as_deref(), self.activity_dir.as_deref(), self.temporary.as_deref()];
        let fenced = self.fence.iter().flat_map(|fence| fence.writable.iter().map(PathBuf::as_path));
        let relative =
            paths.into_iter().chain(optional.into_iter().flatten()).chain(fenced).find(|path| !path.is_absolute());
        relative.map(|path| format!("the path {} is not absolute", path.display()))
    }
}

/// A step of stopping before the kill. Sent to the command's process group, as a terminal would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSignal {
    Interrupt,
    Terminate,
}

/// How a supervised command ended. Written once, atomically, when its whole tree is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub version: u32,
    pub argv0: String,
    /// Milliseconds since 1970.
    pub started_at_ms: u64,
    /// Milliseconds since 1970, when the last process was gone.
    pub ended_at_ms: u64,
    pub status: Status,
    /// Why the supervisor stopped it; `None` when it ended by itself.
    #[serde(default)]
    pub stopped_by: Option<StoppedBy>,
    /// Processes killed beside the command itself: what it would have left running.
    pub leftover_killed: u32,
    /// Processes that could not be ended (another user's, or stuck in the kernel). The slot is not safe to reuse.
    #[serde(default)]
    pub survivors: u32,
    /// Bytes of output in the transcript, without the line that tells about dropped ones.
    pub transcript_bytes: u64,
    /// Bytes of output between head and tail that were not kept.
    pub dropped_bytes: u64,
    /// What went wrong with the transcript itself, such as a full disk; output after it is missing.
    #[serde(default)]
    pub transcript_error: Option<String>,
}

/// How the command's own process ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Status {
    Exited { code: i32 },
    Signaled { signal: i32 },
    SpawnFailed { kind: SpawnFailure, message: String },
}

/// Why a command could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFailure {
    /// There is no such program.
    NotFound,
    /// There is one, and it may not be executed.
    PermissionDenied,
    /// Anything else: no working folder, no interpreter, out of memory.
    Other,
}

/// Why the supervisor stopped a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StoppedBy {
    Idle,
    Wall,
    Request { reason: String },
}

/// One line of a supervisor's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    /// The lock is held and the command was started, or could not be.
    Ready {
        pid: u32,
    },
    /// Nothing was started and nothing will be.
    Refused {
        message: String,
    },
    Output(Output),
    Exit {
        record: ExitRecord,
    },
}

/// A piece of live output, for showing. The transcript is the complete text: parse that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Broken UTF-8 is replaced.
    pub text: String,
    /// Bytes left out just before `text` because nobody read fast enough.
    #[serde(default)]
    pub missed: u64,
}

/// One line on the control fifo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Control {
    /// Follow the stop order.
    Stop { reason: String },
    /// Kill at once, whatever step was reached.
    Kill { reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_records_keep_their_form() {
        let text = r#"{"version":1,"argv0":"claude","started_at_ms":1,"ended_at_ms":2,"status":{"type":"signaled","signal":15},"stopped_by":{"type":"request","reason":"user"},"leftover_killed":3,"survivors":0,"transcript_bytes":4,"dropped_bytes":5,"transcript_error":null}"#;
        let record: ExitRecord = serde_json::from_str(text).expect("reads");
        assert_eq!(record.stopped_by, Some(StoppedBy::Request { reason: "user".to_owned() }));
        assert_eq!(serde_json::to_string(&record).expect("writes"), text);
    }
}
