//! Git as the engine asks for it: start points, slots, proposals, and writes into the checkout.

mod commit;
mod landing;
mod outside;
mod part;
mod proposed;
#[cfg(test)]
mod tests;
mod undo;

use super::paths::StatePaths;
use super::repository::{FileChange, MergeOutcome, Repository, RepositoryError, SnapshotRequest};
use super::slots::{Slot, SlotError, Slots};
use crate::domain::event::Mark;
use crate::domain::hunks::{FileChangeTexts, FileVersion, HunkId, read_version};
use crate::domain::landing::Landing;
use crate::domain::task::TaskId;
use crate::engine::ports::{
    LandOrder, LandOutcome, Merge, OutsideChange, OutsideState, PortError, PortResult, SlotWork, StartPoint, TakenBack,
    Workshop,
};
use crate::protocol::engine_api::{AcceptReply, Buffer, ProposalFile};
use async_trait::async_trait;
use proposed::ProposedFile;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The lockfiles that decide whether `setup` runs again.
const LOCKFILES: [&str; 13] = [
    "Cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "poetry.lock",
    "uv.lock",
    "requirements.txt",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "mix.lock",
];

/// The git side of one checkout. Cheap to clone.
#[derive(Clone)]
pub struct GitWorkshop(Arc<Inside>);

struct Inside {
    repository: Repository,
    slots: Slots,
    /// The private index of snapshots.
    index: PathBuf,
    undo: undo::UndoLog,
    proposed: proposed::Kept,
    /// Put before keys in refs and before slot names: empty for the main checkout.
    prefix: String,
}

impl From<RepositoryError> for PortError {
    fn from(error: RepositoryError) -> Self {
        if let RepositoryError::Format { hint, .. } = &error {
            return Self { data: true, ..Self::new(error.to_string()) }.with_hint(*hint);
        }
        let data = matches!(
            error,
            RepositoryError::NotARepository { .. } | RepositoryError::Bare { .. } | RepositoryError::NoCommits { .. }
        );
        // What the operating system refused says itself what is wrong.
        let damaged = matches!(&error, RepositoryError::Git { source, .. } if source.class() != git2::ErrorClass::Os);
        let port = Self { data, ..Self::new(error.to_string()) };
        if damaged { port.with_hint("`git status` and `git fsck` there may tell more") } else { port }
    }
}

impl From<SlotError> for PortError {
    fn from(error: SlotError) -> Self {
        Self::new(error.to_string())
    }
}

impl GitWorkshop {
    /// Opens the git side of a checkout whose state is kept at `paths`.
    ///
    /// # Errors
    ///
    /// When the folder of the slots cannot be made.
    pub fn open(repository: Repository, paths: &StatePaths) -> PortResult<Self> {
        // Names of worktrees and refs are common to all checkouts of a repository.
        let linked = repository.git_dir() != repository.common_dir();
        let name = repository.git_dir().file_name().map(|name| name.to_string_lossy().into_owned());
        let prefix = name.filter(|_| linked).map(|name| format!("{name}-")).unwrap_or_default();
        let slots = Slots::new(repository.clone(), &paths.slots)?;
        let undo = undo::UndoLog::new(paths.root.join("undo"));
        let (index, proposed) = (paths.root.join("snapshot.index"), proposed::Kept::default());
        Ok(Self(Arc::new(Inside { repository, slots, index, undo, proposed, prefix })))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inside) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let inside = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inside)).await;
        done.map_err(|error| PortError::new(format!("finish git's work: {error}")))?
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Inside {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn slot(&self, name: &str) -> PortResult<Slot> {
        Ok(self.slots.acquire(&format!("{}{name}", self.prefix))?)
    }

    fn snapshot(&self, buffers: Vec<Buffer>) -> PortResult<super::repository::Snapshot> {
        let mut request = SnapshotRequest::new(&self.index, now());
        request.overlays = buffers.into_iter().map(|buffer| (buffer.path, buffer.text.into_bytes())).collect();
        let snapshot = self.repository.snapshot(&request)?;
        self.repository.set_ref(&format!("refs/ralph/{}snapshot", self.prefix), &snapshot.commit)?;
        Ok(snapshot)
    }

    fn merge(&self, ancestor: &str, ours: &str, theirs: &str, message: &str) -> PortResult<Merge> {
        match self.repository.merge_trees(ancestor, ours, theirs)? {
            MergeOutcome::Merged { tree } if tree == self.repository.tree_of(ours)? => {
                Ok(Merge::Clean(ours.to_owned()))
            }
            MergeOutcome::Merged { tree } => {
                let parents = [ours.to_owned(), theirs.to_owned()];
                Ok(Merge::Clean(self.repository.commit_tree(&tree, &parents, message, now())?))
            }
            MergeOutcome::Conflicts(conflicts) => {
                Ok(Merge::Conflict(conflicts.into_iter().map(|conflict| conflict.path).collect()))
            }
        }
    }

    fn commit_slot(&self, slot: &str, base: &str, key: &str, number: u32, message: &str) -> PortResult<SlotWork> {
        let slot = self.slot(slot)?;
        let key = self.key(key);
        let before = self.repository.attempt_commit(&key, number)?;
        if let Some(before) = before.as_ref().filter(|before| self.slots.holds(&slot, before)) {
            // A repetition after a restart: what checks have written since is not the agent's work.
            return self.work_of(base, before);
        }
        let mut work = self.slots.commit(&slot, base, message, now())?;
        match before {
            Some(before) if self.repository.tree_of(&before)? == work.tree => work.commit = before,
            // Of a journal that was lost.
            Some(_) => {
                let short = &work.commit[..8.min(work.commit.len())];
                self.repository.set_ref(&format!("refs/ralph/{key}/attempt-{number}.{short}"), &work.commit)?;
            }
            None => self.repository.record_attempt(&key, number, &work.commit)?,
        }
        self.work(work.commit, work.changed)
    }

    fn work_of(&self, base: &str, head: &str) -> PortResult<SlotWork> {
        let changes = self.changes(base, head)?;
        let paths: BTreeSet<String> =
            changes.into_iter().flat_map(|change| [Some(change.path), change.old_path]).flatten().collect();
        self.work(head.to_owned(), paths.into_iter().collect())
    }

    fn work(&self, head: String, changed: Vec<String>) -> PortResult<SlotWork> {
        let mut hasher = blake3::Hasher::new();
        for path in &changed {
            hasher.update(path.as_bytes());
            hasher.update(&[0]);
            hasher.update(&self.repository.read_file(&head, path)?.unwrap_or_default());
            hasher.update(&[0]);
        }
        let diff_hash = if changed.is_empty() { String::new() } else { hasher.finalize().to_hex()[..16].to_owned() };
        Ok(SlotWork { head, changed, diff_hash })
    }

    fn with_paths_of(&self, commit: &str, base: &str, paths: &[String]) -> PortResult<String> {
        let failed = |error: git2::Error| PortError::new(format!("put protected paths back: {error}"));
        let handle = self.repository.handle_on(self.repository.workdir())?;
        let tree = |name: &str| {
            let id = git2::Oid::from_str(name)?;
            handle.find_commit(id)?.tree()
        };
        let (ours, original) = (tree(commit).map_err(failed)?, tree(base).map_err(failed)?);
        let mut update = git2::build::TreeUpdateBuilder::new();
        for path in paths {
            match original.get_path(std::path::Path::new(path)) {
                Ok(entry) => {
                    let mode = match entry.filemode() {
                        0o100_755 => git2::FileMode::BlobExecutable,
                        0o120_000 => git2::FileMode::Link,
                        0o160_000 => git2::FileMode::Commit,
                        _ => git2::FileMode::Blob,
                    };
                    update.upsert(path, entry.id(), mode);
                }
                Err(_) => {
                    update.remove(path);
                }
            }
        }
        let tree = update.create_updated(&handle, &ours).map_err(failed)?.to_string();
        let parents = [commit.to_owned()];
        Ok(self.repository.commit_tree(&tree, &parents, "ralph: protected paths put back", now())?)
    }

    fn changes(&self, base: &str, head: &str) -> PortResult<Vec<FileChange>> {
        if base == head {
            return Ok(Vec::new());
        }
        Ok(self.repository.diff(base, head)?)
    }

    /// Returns what changed between two commits, with its hunks.
    fn proposed(&self, base: &str, head: &str) -> PortResult<Arc<[ProposedFile]>> {
        self.proposed.get(base, head, || self.changes(base, head))
    }
}

/// Returns one file of a proposal with its hunks.
fn proposal_file(ProposedFile { change, hunks }: &ProposedFile) -> ProposalFile {
    let text = |bytes: Option<&[u8]>| match read_version(bytes) {
        FileVersion::Text(text) => Some(text.to_owned()),
        _ => None,
    };
    ProposalFile {
        path: change.path.clone(),
        old_path: change.old_path.clone(),
        base_text: text(change.old.as_deref()),
        head_text: text(change.new.as_deref()),
        hunks: hunks.iter().map(|hunk| (hunk.clone(), Mark::Pending)).collect(),
    }
}

fn texts_of(change: &FileChange) -> FileChangeTexts<'_> {
    FileChangeTexts {
        path: &change.path,
        old_path: change.old_path.as_deref(),
        old: change.old.as_deref(),
        new: change.new.as_deref(),
        old_mode: change.old.is_some().then_some(change.old_mode),
        new_mode: change.new.is_some().then_some(change.new_mode),
    }
}

#[async_trait]
impl Workshop for GitWorkshop {
    async fn preflight(&self) -> PortResult<Vec<String>> {
        self.blocking(|inside| {
            let problems = inside.repository.preflight()?;
            if let Some(blocking) = problems.iter().find(|problem| problem.blocking) {
                return Err(PortError { data: true, ..PortError::new(format!("start: {}", blocking.message)) });
            }
            Ok(problems.into_iter().map(|problem| problem.message).collect())
        })
        .await
    }

    async fn head(&self) -> PortResult<Option<String>> {
        self.blocking(|inside| Ok(inside.repository.head()?.map(|head| head.commit))).await
    }

    async fn snapshot(&self, buffers: Vec<Buffer>) -> PortResult<StartPoint> {
        self.blocking(|inside| {
            let snapshot = inside.snapshot(buffers)?;
            Ok(StartPoint {
                commit: snapshot.commit,
                head: snapshot.head.map(|head| head.commit),
                uncommitted: snapshot.uncommitted,
                left_out: snapshot.left_out.into_iter().map(|left| (left.path, left.reason)).collect(),
            })
        })
        .await
    }

    async fn merge(&self, ancestor: &str, ours: &str, theirs: &str, message: &str) -> PortResult<Merge> {
        let (ancestor, ours, theirs) = (ancestor.to_owned(), ours.to_owned(), theirs.to_owned());
        let message = message.to_owned();
        self.blocking(move |inside| inside.merge(&ancestor, &ours, &theirs, &message)).await
    }

    async fn fill_slot(&self, slot: &str, commit: &str) -> PortResult<PathBuf> {
        let (slot, commit) = (slot.to_owned(), commit.to_owned());
        self.blocking(move |inside| {
            let slot = inside.slot(&slot)?;
            inside.slots.prepare(&slot, &commit)?;
            Ok(slot.path)
        })
        .await
    }

    async fn include_ignored(&self, slot: &str) -> PortResult<()> {
        let slot = slot.to_owned();
        self.blocking(move |inside| {
            let slot = inside.slot(&slot)?;
            inside.slots.copy_included(&slot)?;
            Ok(())
        })
        .await
    }

    async fn commit_slot(&self, slot: &str, base: &str, key: &str, number: u32, message: &str) -> PortResult<SlotWork> {
        let (slot, base, key, message) = (slot.to_owned(), base.to_owned(), key.to_owned(), message.to_owned());
        self.blocking(move |inside| inside.commit_slot(&slot, &base, &key, number, &message)).await
    }

    async fn with_paths_of(&self, commit: &str, base: &str, paths: &[String]) -> PortResult<String> {
        let (commit, base, paths) = (commit.to_owned(), base.to_owned(), paths.to_vec());
        self.blocking(move |inside| inside.with_paths_of(&commit, &base, &paths)).await
    }

    async fn publish(&self, key: &str, base: &str, head: &str) -> PortResult<()> {
        let (key, base, head) = (key.to_owned(), base.to_owned(), head.to_owned());
        self.blocking(move |inside| {
            let key = inside.key(&key);
            inside.repository.set_ref(&format!("refs/ralph/{key}/base"), &base)?;
            inside.repository.set_ref(&format!("refs/ralph/{key}/head"), &head)?;
            Ok(inside.repository.keep_round(&key, &base, &head, now())?)
        })
        .await
    }

    async fn outside_before(&self) -> PortResult<OutsideState> {
        self.blocking(outside::before).await
    }

    async fn outside_since(&self, before: &OutsideState) -> PortResult<OutsideChange> {
        let before = before.clone();
        self.blocking(move |inside| outside::since(inside, &before)).await
    }

    async fn files(&self, base: &str, head: &str) -> PortResult<Vec<ProposalFile>> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.blocking(move |inside| Ok(inside.proposed(&base, &head)?.iter().map(proposal_file).collect())).await
    }

    async fn write_hunks(
        &self,
        base: &str,
        head: &str,
        accepted: BTreeSet<HunkId>,
        rejected: BTreeSet<HunkId>,
        wanted: BTreeSet<HunkId>,
    ) -> PortResult<AcceptReply> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.blocking(move |inside| {
            let files = inside.proposed(&base, &head)?;
            landing::write(inside, &files, &landing::Choice { accepted, rejected, wanted })
        })
        .await
    }

    async fn part(&self, base: &str, head: &str, accepted: BTreeSet<HunkId>) -> PortResult<String> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.blocking(move |inside| part::commit(inside, &base, &head, &accepted)).await
    }

    async fn on_disk(&self, base: &str, head: &str, accepted: BTreeSet<HunkId>) -> PortResult<BTreeSet<HunkId>> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.blocking(move |inside| landing::on_disk(inside, &inside.proposed(&base, &head)?, &accepted)).await
    }

    async fn misfits(
        &self,
        base: &str,
        head: &str,
        accepted: BTreeSet<HunkId>,
        rejected: BTreeSet<HunkId>,
    ) -> PortResult<Vec<(HunkId, String)>> {
        let (base, head) = (base.to_owned(), head.to_owned());
        self.blocking(move |inside| landing::misfits(inside, &inside.proposed(&base, &head)?, &accepted, &rejected))
            .await
    }

    async fn land(&self, order: LandOrder, stop: watch::Receiver<bool>) -> PortResult<LandOutcome> {
        self.blocking(move |inside| commit::land(inside, &order, stop)).await
    }

    async fn left_landing(&self) -> PortResult<Option<Landing>> {
        self.blocking(commit::take_up).await
    }

    async fn landing_known(&self) -> PortResult<()> {
        self.blocking(commit::forget).await
    }

    async fn keep_rejection(&self, task: &TaskId, hunks: Vec<HunkId>) -> PortResult<()> {
        let task = task.clone();
        self.blocking(move |inside| inside.undo.keep(&undo::Entry::of_rejection(task, hunks))).await
    }

    async fn take_back(&self, landing: bool) -> PortResult<TakenBack> {
        self.blocking(move |inside| undo::take_back(inside, landing)).await
    }

    async fn lockfiles(&self, slot: &str) -> PortResult<String> {
        let slot = slot.to_owned();
        self.blocking(move |inside| {
            let slot = inside.slot(&slot)?;
            let mut hasher = blake3::Hasher::new();
            for name in LOCKFILES {
                if let Ok(bytes) = std::fs::read(slot.path.join(name)) {
                    hasher.update(name.as_bytes());
                    hasher.update(&bytes);
                }
            }
            Ok(hasher.finalize().to_hex().to_string())
        })
        .await
    }
}
