//! The one reader of a mailbox: takes messages in order, remembers them until they are acknowledged, and yields none twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folder::{Content, Folder, parse_new_name, parse_taken_name, taken_name};
use super::log::{self, Digest, Line};
use super::{CORRUPT, CUR, Envelope, MailboxError, NEW, is_valid_id};
use crate::domain::report::Report;
use crate::infra::durable::{FileLock, append_to};
use crate::infra::watch::FolderWatch;

pub(super) const LOG: &str = "acked.log";
const LOCK: &str = "reader.lock";
/// Messages and bytes read in one go.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
const BAD_NAME: &str = "its name is none that a writer gives";
const OTHER_WITH_ID: &str = "another message has the same id";
const OF_ANOTHER: &str = "it does not carry the nonce of this attempt";

/// One thing taken from a mailbox. Numbers are given once and grow; a repetition after a crash has the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken<T = Report> {
    Message {
        seq: u64,
        envelope: Envelope<T>,
    },
    /// Something that is no message. It is kept as `file`.
    Corrupt {
        seq: u64,
        file: PathBuf,
        reason: String,
    },
}

impl<T> Taken<T> {
    /// The number to acknowledge it by.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Message { seq, .. } | Self::Corrupt { seq, .. } => *seq,
        }
    }
}

/// The reader. All its functions block on the disk; call them where that is allowed.
#[derive(Debug)]
pub struct Reader<T = Report> {
    new: Folder,
    cur: Folder,
    corrupt: Folder,
    log: File,
    next_seq: u64,
    highest: u64,
    /// Of every message taken or acknowledged, so that a message sent twice is yielded once.
    seen: HashMap<String, Digest>,
    /// Taken and not acknowledged.
    held: BTreeMap<u64, Held>,
    /// Moved and not yielded yet.
    ready: VecDeque<Taken<T>>,
    /// Something was moved and may not be on stable storage.
    unsynced: bool,
    /// What could not be moved out of `new`; told once.
    stuck: HashSet<OsString>,
    /// The nonce that every message must carry; any when absent.
    attempt: Option<String>,
    _lock: FileLock,
}

#[derive(Debug)]
struct Held {
    /// Nothing for what is corrupt, which stays when acknowledged.
    name: Option<String>,
    arrival: u64,
    message: Option<(String, Digest)>,
}

enum Verdict<T> {
    Message(Envelope<T>, Digest),
    Corrupt(String),
}

impl<T: Serialize + DeserializeOwned> Reader<T> {
    /// Opens a mailbox; fails with [`MailboxError::Busy`] when there is a reader already.
    ///
    /// What an earlier reader took and did not acknowledge is yielded again, first, with the same numbers.
    pub fn open(mailbox: &Path) -> Result<Self, MailboxError> {
        Self::open_with(mailbox, None)
    }

    /// As [`Reader::open`], of the mailbox of the attempt with this nonce: what carries another is kept as corrupt.
    pub fn open_of(mailbox: &Path, attempt: &str) -> Result<Self, MailboxError> {
        Self::open_with(mailbox, Some(attempt.to_owned()))
    }

    fn open_with(mailbox: &Path, attempt: Option<String>) -> Result<Self, MailboxError> {
        let failed = |what, name: &str| {
            let path = mailbox.join(name);
            move |source: io::Error| MailboxError::Io { what, path, source }
        };
        let whole = Folder::open(mailbox.to_path_buf())?;
        let lock = FileLock::try_exclusive(&mailbox.join(LOCK))
            .map_err(failed("lock", LOCK))?
            .ok_or_else(|| MailboxError::Busy(mailbox.to_path_buf()))?;
        let mut log = whole.open_log(LOG)?;
        whole.sync()?;
        let lines = log::read_all(&mut log).map_err(failed("read", LOG))?;
        let mut reader = Self {
            new: whole.folder(NEW)?,
            cur: whole.folder(CUR)?,
            corrupt: whole.folder(CORRUPT)?,
            log,
            next_seq: lines.iter().map(|line| line.seq).max().map_or(1, |seq| seq + 1),
            highest: lines.last().map_or(0, |line| line.highest),
            seen: lines.iter().filter_map(|line| line.message.clone()).collect(),
            held: BTreeMap::new(),
            ready: VecDeque::new(),
            unsynced: false,
            stuck: HashSet::new(),
            attempt,
            _lock: lock,
        };
        reader.recover(&lines.iter().map(|line| line.seq).collect())?;
        Ok(reader)
    }

    /// Takes what has arrived, in order of arrival; at most a few hundred at once, so call it until it is empty.
    ///
    /// An error is one of the system, such as no free descriptors or a full disk. It says nothing about any message,
    /// and none is lost by it: call again.
    pub fn take(&mut self) -> Result<Vec<Taken<T>>, MailboxError> {
        if self.ready.is_empty() {
            let batch = self.examine()?;
            for (name, verdict) in batch {
                self.unsynced = true;
                self.move_one(name, verdict)?;
            }
        }
        if self.unsynced {
            // Before anything is yielded, or a power cut could give its number to another.
            self.cur.sync()?;
            self.corrupt.sync()?;
            self.new.sync()?;
            self.unsynced = false;
        }
        Ok(self.ready.drain(..).collect())
    }

    /// Says that a message was dealt with for good; it is removed, a corrupt one stays in its folder.
    pub fn ack(&mut self, seq: u64) -> Result<(), MailboxError> {
        self.ack_all([seq])
    }

    /// Acknowledges many with one write to the disk. Numbers that are not held are ignored: they were acknowledged.
    pub fn ack_all(&mut self, seqs: impl IntoIterator<Item = u64>) -> Result<(), MailboxError> {
        let mut highest = self.highest;
        let mut text = String::new();
        let mut done = BTreeSet::new();
        for seq in seqs {
            let Some(held) = self.held.get(&seq) else { continue };
            highest = highest.max(held.arrival);
            text.push_str(&Line { seq, highest, message: held.message.clone() }.encode());
            done.insert(seq);
        }
        if done.is_empty() {
            return Ok(());
        }
        // First remembered, then removed: after a crash in between the message is known to be done.
        append_to(&mut self.log, text.as_bytes()).map_err(|source| {
            let path = self.cur.path().with_file_name(LOG);
            MailboxError::Io { what: "write", path, source }
        })?;
        self.highest = highest;
        // Reopened, and known from the journal to be done before it was taken again.
        self.ready.retain(|taken| !done.contains(&taken.seq()));
        for seq in done {
            if let Some(name) = self.held.remove(&seq).and_then(|held| held.name) {
                self.cur.remove(name.as_ref())?;
            }
        }
        Ok(())
    }

    /// Starts telling about arrivals. Start this first, then take until it is empty, then wait for a change.
    pub fn watch(&self) -> FolderWatch {
        FolderWatch::new(self.new.path())
    }

    /// Brings back what was taken and not acknowledged.
    fn recover(&mut self, acknowledged: &HashSet<u64>) -> Result<(), MailboxError> {
        let mut found = BTreeMap::new();
        for name in self.corrupt.names()? {
            if let Some((seq, arrival)) = parse_taken_name(&name) {
                self.note(seq);
                if !acknowledged.contains(&seq) {
                    let reason = match self.corrupt.read(&name)? {
                        Content::Bytes(_) if arrival == 0 => BAD_NAME.to_owned(),
                        Content::Bytes(bytes) => match self.judge(&bytes) {
                            Verdict::Message(..) => OTHER_WITH_ID.to_owned(),
                            Verdict::Corrupt(reason) => reason,
                        },
                        Content::Not(reason) => reason.to_owned(),
                        Content::Gone => continue,
                    };
                    let file = self.corrupt.path().join(&name);
                    self.held.insert(seq, Held { name: None, arrival, message: None });
                    found.insert(seq, Taken::Corrupt { seq, file, reason });
                }
            }
        }
        for name in self.cur.names()? {
            let Some((seq, arrival)) = parse_taken_name(&name) else { continue };
            self.note(seq);
            if acknowledged.contains(&seq) {
                self.cur.remove(&name)?;
                continue;
            }
            let verdict = match self.cur.read(&name)? {
                Content::Bytes(bytes) => self.judge(&bytes),
                Content::Not(reason) => Verdict::Corrupt(reason.to_owned()),
                Content::Gone => continue,
            };
            match verdict {
                Verdict::Message(envelope, digest) => {
                    self.hold(seq, arrival, &envelope, digest);
                    found.insert(seq, Taken::Message { seq, envelope });
                }
                Verdict::Corrupt(reason) => {
                    let new_name = taken_name(seq, arrival);
                    self.cur.rename(&name, &self.corrupt, &new_name)?;
                    self.held.insert(seq, Held { name: None, arrival, message: None });
                    let file = self.corrupt.path().join(new_name);
                    found.insert(seq, Taken::Corrupt { seq, file, reason });
                }
            }
        }
        self.ready = found.into_values().collect();
        Ok(())
    }

    /// Reads the next messages and moves nothing, so that an error leaves all as it was.
    fn examine(&self) -> Result<Vec<(OsString, Verdict<T>)>, MailboxError> {
        // A listing is no snapshot: it may show a message and miss one that was there before it. What was there before
        // anything the first listing shows is certainly in the second, so nothing later than the first shows is taken.
        let mut latest = 0;
        self.new.each_name(|name| latest = latest.max(parse_new_name(name).unwrap_or(0)))?;
        let mut names = self.new.names()?;
        names.retain(|name| !self.stuck.contains(name) && parse_new_name(name).is_none_or(|number| number <= latest));
        // What has no number comes last.
        names.sort_by_cached_key(|name| (parse_new_name(name).unwrap_or(u64::MAX), name.clone()));
        let mut batch = Vec::new();
        let mut size = 0;
        for name in names {
            if batch.len() == BATCH || size >= BATCH_BYTES {
                break;
            }
            let verdict = match self.new.read(&name)? {
                Content::Gone => continue,
                Content::Not(reason) => Verdict::Corrupt(reason.to_owned()),
                Content::Bytes(_) if parse_new_name(&name).is_none() => Verdict::Corrupt(BAD_NAME.to_owned()),
                Content::Bytes(bytes) => {
                    size += bytes.len();
                    self.judge(&bytes)
                }
            };
            batch.push((name, verdict));
        }
        Ok(batch)
    }

    fn move_one(&mut self, name: OsString, verdict: Verdict<T>) -> Result<(), MailboxError> {
        let arrival = parse_new_name(&name).unwrap_or(0);
        let seq = self.next_seq;
        let new_name = taken_name(seq, arrival);
        let verdict = match verdict {
            Verdict::Message(envelope, digest) => match self.seen.get(&envelope.id) {
                Some(known) if *known == digest => return self.new.remove(&name),
                Some(_) => Verdict::Corrupt(OTHER_WITH_ID.to_owned()),
                None => Verdict::Message(envelope, digest),
            },
            corrupt => corrupt,
        };
        match verdict {
            Verdict::Message(envelope, digest) => {
                self.new.rename(&name, &self.cur, &new_name)?;
                self.hold(seq, arrival, &envelope, digest);
                self.ready.push_back(Taken::Message { seq, envelope });
            }
            Verdict::Corrupt(reason) => {
                let file = match self.new.rename(&name, &self.corrupt, &new_name) {
                    Ok(()) => self.corrupt.path().join(new_name),
                    // A folder without write permission cannot be moved: it stays, and holds up nothing.
                    Err(MailboxError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                        self.stuck.insert(name.clone());
                        self.new.path().join(&name)
                    }
                    Err(error) => return Err(error),
                };
                self.held.insert(seq, Held { name: None, arrival, message: None });
                self.ready.push_back(Taken::Corrupt { seq, file, reason });
            }
        }
        self.note(seq);
        Ok(())
    }

    fn hold(&mut self, seq: u64, arrival: u64, envelope: &Envelope<T>, digest: Digest) {
        self.seen.insert(envelope.id.clone(), digest.clone());
        let message = Some((envelope.id.clone(), digest));
        self.held.insert(seq, Held { name: Some(taken_name(seq, arrival)), arrival, message });
    }

    fn note(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq + 1);
    }

    /// Reads a message; two with the same sender and body are the same whenever they were sent.
    fn judge(&self, bytes: &[u8]) -> Verdict<T> {
        let envelope: Envelope<T> = match serde_json::from_slice(bytes) {
            Ok(envelope) => envelope,
            Err(error) => return Verdict::Corrupt(format!("it cannot be understood: {error}")),
        };
        if !is_valid_id(&envelope.id) {
            return Verdict::Corrupt("its id is not a valid one".to_owned());
        }
        if self.attempt.as_ref().is_some_and(|attempt| *attempt != envelope.attempt) {
            return Verdict::Corrupt(OF_ANOTHER.to_owned());
        }
        match serde_json::to_vec(&(&envelope.attempt, &envelope.body)) {
            Ok(content) => Verdict::Message(envelope, Digest::of(&content)),
            Err(error) => Verdict::Corrupt(format!("it cannot be written again: {error}")),
        }
    }
}
