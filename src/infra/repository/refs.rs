//! Keeps commits reachable by refs under `refs/ralph/`, few of them however many attempts there are.

use std::fs;
use std::time::{Duration, Instant};

use git2::{ErrorCode, Reference};

use super::objects::{commit_tree, find_commit};
use super::{CommitId, Repository, RepositoryError};

/// The only place refs are written.
const PREFIX: &str = "refs/ralph/";
/// How many of a task's newest attempts have a ref of their own; older ones are folded in bunches of as many.
const KEPT_ATTEMPTS: usize = 8;
/// How old the lock of a ref is when a killed writer left it: a living one has it for moments.
const STALE_LOCK: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Repository {
    /// Points a ref under `refs/ralph/` at a commit, creating or moving it; leaves no reflog.
    pub fn set_ref(&self, name: &str, commit: &str) -> Result<(), RepositoryError> {
        set_ref(&self.handle()?, name, commit)
    }

    /// Reads a ref under `refs/ralph/`; none when there is none.
    pub fn read_ref(&self, name: &str) -> Result<Option<CommitId>, RepositoryError> {
        read_ref(&self.handle()?, name)
    }

    /// Deletes a ref under `refs/ralph/`; one that is not there is no error.
    pub fn delete_ref(&self, name: &str) -> Result<(), RepositoryError> {
        delete_ref(&self.handle()?, name)
    }

    /// Lists the refs whose full name begins with `prefix`, sorted by name, with what they point at.
    pub fn list_refs(&self, prefix: &str) -> Result<Vec<(String, CommitId)>, RepositoryError> {
        list_refs(&self.handle()?, prefix)
    }

    /// Makes attempt `number` of a task reachable as `refs/ralph/<key>/attempt-<number>`. When there are many, the
    /// oldest become parents of the commit `refs/ralph/<key>/attempts` instead, which
    /// [`Self::attempt_commit`] looks through. Repeating it is harmless.
    ///
    /// # Errors
    /// [`RepositoryError::AttemptTaken`] when the number already stands for another commit.
    pub fn record_attempt(&self, key: &str, number: u32, commit: &str) -> Result<(), RepositoryError> {
        let handle = self.handle()?;
        match find_attempt(&handle, key, number)? {
            Some(existing) if existing == commit => return Ok(()),
            Some(existing) => return Err(RepositoryError::AttemptTaken { key: key.to_owned(), number, existing }),
            None => set_ref(&handle, &attempt_ref(key, number), commit)?,
        }
        fold_attempts(&handle, key)
    }

    /// Keeps a proposal's two commits reachable for good, as `refs/ralph/<key>/rounds`: a chain of commits, each with the
    /// one before it and the two as parents. Later rounds and landing need them. Repeating the newest is harmless.
    pub fn keep_round(&self, key: &str, base: &str, head: &str, unix_time: i64) -> Result<(), RepositoryError> {
        let handle = self.handle()?;
        let name = format!("{PREFIX}{key}/rounds");
        let before = read_ref(&handle, &name)?;
        let two = if base == head { vec![head.to_owned()] } else { vec![base.to_owned(), head.to_owned()] };
        let mut parents: Vec<CommitId> = before.iter().cloned().collect();
        if let Some(before) = &before {
            let kept = find_commit(&handle, before)?.parent_ids().map(|id| id.to_string()).collect::<Vec<_>>();
            if kept.ends_with(&two) {
                return Ok(());
            }
        }
        parents.extend(two);
        let tree = find_commit(&handle, head)?.tree_id().to_string();
        let chain = commit_tree(&handle, &tree, &parents, "Proposals that were made", unix_time)?;
        set_ref(&handle, &name, &chain)
    }

    /// Finds the commit of an attempt recorded earlier; none when there was none.
    pub fn attempt_commit(&self, key: &str, number: u32) -> Result<Option<CommitId>, RepositoryError> {
        find_attempt(&self.handle()?, key, number)
    }
}

/// See [`Repository::set_ref`].
pub(in crate::infra) fn set_ref(handle: &git2::Repository, name: &str, commit: &str) -> Result<(), RepositoryError> {
    check(name)?;
    let id = find_commit(handle, commit)?.id();
    unlocked(handle, name, || handle.reference(name, id, true, ""))
        .map_err(RepositoryError::git(format!("write {name}")))?;
    // Written only where the user configured reflogs for every ref.
    if handle.reference_has_log(name).unwrap_or(false) {
        handle.reflog_delete(name).map_err(RepositoryError::git(format!("remove the log of {name}")))?;
    }
    Ok(())
}

/// See [`Repository::read_ref`].
pub(in crate::infra) fn read_ref(handle: &git2::Repository, name: &str) -> Result<Option<CommitId>, RepositoryError> {
    check(name)?;
    match handle.find_reference(name) {
        Ok(reference) => Ok(reference.target().map(|id| id.to_string())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(RepositoryError::git(format!("read {name}"))(error)),
    }
}

/// See [`Repository::delete_ref`].
pub(in crate::infra) fn delete_ref(handle: &git2::Repository, name: &str) -> Result<(), RepositoryError> {
    check(name)?;
    match unlocked(handle, name, || handle.find_reference(name).and_then(|mut reference| reference.delete())) {
        Err(error) if error.code() != ErrorCode::NotFound => Err(RepositoryError::git(format!("delete {name}"))(error)),
        _ => Ok(()),
    }
}

/// See [`Repository::list_refs`].
pub(in crate::infra) fn list_refs(
    handle: &git2::Repository,
    prefix: &str,
) -> Result<Vec<(String, CommitId)>, RepositoryError> {
    if !prefix.starts_with(PREFIX) {
        return Err(RepositoryError::InvalidRef { name: prefix.to_owned() });
    }
    let mut found = Vec::new();
    for reference in
        handle.references_glob("refs/ralph/*").map_err(RepositoryError::git("list refs under refs/ralph/"))?
    {
        let reference = reference.map_err(RepositoryError::git("read a ref under refs/ralph/"))?;
        let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
        if let Some(target) = reference.target().filter(|_| name.starts_with(prefix)) {
            found.push((name, target.to_string()));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a ref of ours as soon as nobody else does, removing the lock that a killed writer left.
fn unlocked<T>(
    handle: &git2::Repository,
    name: &str,
    mut write: impl FnMut() -> Result<T, git2::Error>,
) -> Result<T, git2::Error> {
    let lock = handle.commondir().join(format!("{name}.lock"));
    let begun = Instant::now();
    loop {
        match write() {
            Err(error) if error.code() == ErrorCode::Locked && begun.elapsed() < 2 * STALE_LOCK => {
                let modified = fs::metadata(&lock).and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|modified| modified.elapsed().ok());
                // Seen all the time counts as old too, for clocks are set back.
                if age.unwrap_or_default().max(begun.elapsed()) >= STALE_LOCK {
                    let _ = fs::remove_file(&lock);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            done => return done,
        }
    }
}

fn check(name: &str) -> Result<(), RepositoryError> {
    if name.starts_with(PREFIX) && Reference::is_valid_name(name) {
        Ok(())
    } else {
        Err(RepositoryError::InvalidRef { name: name.to_owned() })
    }
}

fn attempt_ref(key: &str, number: u32) -> String {
    format!("{PREFIX}{key}/attempt-{number}")
}

fn chain_ref(key: &str) -> String {
    format!("{PREFIX}{key}/attempts")
}

fn find_attempt(handle: &git2::Repository, key: &str, number: u32) -> Result<Option<CommitId>, RepositoryError> {
    if let Some(commit) = read_ref(handle, &attempt_ref(key, number))? {
        return Ok(Some(commit));
    }
    let mut next = read_ref(handle, &chain_ref(key))?;
    while let Some(link) = next {
        let commit = find_commit(handle, &link)?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        next = None;
        for line in message.lines() {
            match line.split_once(' ') {
                Some(("previous", id)) => next = Some(id.to_owned()),
                Some((name, id)) if name == format!("attempt-{number}") => return Ok(Some(id.to_owned())),
                _ => {}
            }
        }
    }
    Ok(None)
}

/// Moves the oldest attempts into the chain once there are twice as many as are kept. The chain is written before
/// refs go, so an interruption leaves attempts reachable twice, never unreachable.
fn fold_attempts(handle: &git2::Repository, key: &str) -> Result<(), RepositoryError> {
    let prefix = format!("{PREFIX}{key}/attempt-");
    let mut attempts: Vec<(u32, String, CommitId)> = list_refs(handle, &prefix)?
        .into_iter()
        .filter_map(|(name, commit)| Some((name.strip_prefix(&prefix)?.parse().ok()?, name, commit)))
        .collect();
    if attempts.len() < 2 * KEPT_ATTEMPTS {
        return Ok(());
    }
    attempts.sort();
    let folded = &attempts[..attempts.len() - KEPT_ATTEMPTS];
    let mut message = String::from("Earlier attempts\n\n");
    let mut parents: Vec<CommitId> = Vec::new();
    if let Some(previous) = read_ref(handle, &chain_ref(key))? {
        message.push_str(&format!("previous {previous}\n"));
        parents.push(previous);
    }
    let mut newest = 0;
    for (number, _, commit) in folded {
        message.push_str(&format!("attempt-{number} {commit}\n"));
        newest = newest.max(find_commit(handle, commit)?.time().seconds());
        if !parents.contains(commit) {
            parents.push(commit.clone());
        }
    }
    let tree = find_commit(handle, &parents[parents.len() - 1])?.tree_id().to_string();
    let chain = commit_tree(handle, &tree, &parents, &message, newest)?;
    set_ref(handle, &chain_ref(key), &chain)?;
    for (_, name, _) in folded {
        delete_ref(handle, name)?;
    }
    Ok(())
}

/// Names a commit that reaches all of `commits`, for keeping: the only one, or a new one with them as parents.
pub(in crate::infra) fn fold(
    handle: &git2::Repository,
    commits: &[CommitId],
    message: &str,
    unix_time: i64,
) -> Result<Option<CommitId>, RepositoryError> {
    match commits {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        [first, ..] => {
            let tree = find_commit(handle, first)?.tree_id().to_string();
            commit_tree(handle, &tree, commits, message, unix_time).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn only_well_formed_names_of_ours_are_written() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let (repository, head) = (fixture.repository(), fixture.rev("HEAD"));
        for name in ["refs/heads/x", "HEAD", "refs/ralph/../heads/x", "refs/ralph/a b", "refs/ralph/"] {
            assert!(matches!(repository.set_ref(name, &head), Err(RepositoryError::InvalidRef { .. })), "{name}");
            assert!(repository.delete_ref(name).is_err(), "{name}");
        }
    }

    #[test]
    fn refs_are_written_moved_listed_and_deleted_without_a_log() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        fixture.git(&["config", "core.logAllRefUpdates", "always"]);
        let first = fixture.rev("HEAD");
        let second = fixture.commit_files(&[("a", "2\n")]);
        let repository = fixture.repository();
        repository.set_ref("refs/ralph/k/base", &first).unwrap();
        repository.set_ref("refs/ralph/k/base", &second).unwrap();
        repository.set_ref("refs/ralph/k/head", &first).unwrap();
        repository.set_ref("refs/ralph/kk/head", &first).unwrap();
        fixture.git(&["pack-refs", "--all"]);
        assert_eq!(repository.read_ref("refs/ralph/k/base").unwrap().as_deref(), Some(second.as_str()));
        let listed = repository.list_refs("refs/ralph/k/").unwrap();
        let base = ("refs/ralph/k/base".to_owned(), second);
        assert_eq!(listed, [base, ("refs/ralph/k/head".to_owned(), first)]);
        assert!(!fixture.workdir().join(".git/logs/refs/ralph/k/base").exists());
        repository.delete_ref("refs/ralph/k/base").unwrap();
        repository.delete_ref("refs/ralph/k/base").unwrap();
        assert_eq!(repository.read_ref("refs/ralph/k/base").unwrap(), None);
    }

    #[test]
    fn the_lock_of_a_killed_writer_is_in_nobodys_way() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let (repository, head) = (fixture.repository(), fixture.rev("HEAD"));
        repository.set_ref("refs/ralph/k/base", &head).unwrap();
        let path = fixture.workdir().join(".git/refs/ralph/k/base.lock");
        let old = std::time::SystemTime::now() - 2 * STALE_LOCK;
        let waited = [false, true].map(|young| {
            let lock = fs::File::create(&path).unwrap();
            if !young {
                lock.set_modified(old).unwrap();
            }
            let begun = Instant::now();
            repository.set_ref("refs/ralph/k/base", &head).unwrap();
            assert!(!path.exists());
            begun.elapsed()
        });
        // A young one may be a living writer's.
        assert!(waited[1] >= STALE_LOCK / 2 && waited[0] < waited[1], "{waited:?}");
        fs::File::create(&path).unwrap().set_modified(old).unwrap();
        repository.delete_ref("refs/ralph/k/base").unwrap();
        assert_eq!(repository.read_ref("refs/ralph/k/base").unwrap(), None);
    }

    #[test]
    fn many_attempts_are_few_refs_and_all_stay_reachable() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let (repository, head) = (fixture.repository(), fixture.rev("HEAD"));
        let tree = repository.tree_of(&head).unwrap();
        let commits: Vec<String> = (1..=100)
            .map(|number| {
                repository.commit_tree(&tree, std::slice::from_ref(&head), &format!("{number}"), number).unwrap()
            })
            .collect();
        for (number, commit) in (1..).zip(&commits) {
            repository.record_attempt("task", number, commit).unwrap();
            repository.record_attempt("task", number, commit).unwrap();
        }
        assert!(repository.list_refs("refs/ralph/task/").unwrap().len() <= 2 * KEPT_ATTEMPTS);
        let reachable = fixture.git(&["rev-list", "--glob=refs/ralph/*"]);
        for (number, commit) in (1..).zip(&commits) {
            assert_eq!(repository.attempt_commit("task", number).unwrap().as_ref(), Some(commit));
            assert!(reachable.contains(commit.as_str()), "attempt {number}");
        }
        assert_eq!(repository.attempt_commit("task", 101).unwrap(), None);
        let taken = repository.record_attempt("task", 3, &commits[9]);
        assert!(matches!(taken, Err(RepositoryError::AttemptTaken { number: 3, .. })));
    }
}
