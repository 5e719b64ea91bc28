//! Copies ignored files the user named in `.worktreeinclude`, such as `.env`, from the checkout into a slot.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use git2::{Status, StatusOptions};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::infra::repository::work_area::{WorkArea, lossy, to_path, with_suffix};
use crate::infra::repository::{LeftOut, RepositoryError};

use super::{Slot, SlotError, Slots};

/// The list, in `.gitignore` syntax, at the root of the checkout.
const LIST: &str = ".worktreeinclude";

/// What was brought along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Included {
    /// Files copied because they were missing or different, sorted.
    pub copied: Vec<String>,
    /// What matched and was not copied, with the reason.
    pub skipped: Vec<LeftOut>,
}

impl Slots {
    /// Copies the ignored files of the user's checkout that its `.worktreeinclude` matches; modes are kept and links
    /// stay links. A file of the same name in the slot is replaced when it differs, if it is ignored there too.
    ///
    /// Folders ignored as a whole are copied when they match, and looked into only for patterns that spell out
    /// their path (`config/local/*.json`, not `*.json`): dependency folders are too large to search. Folders that
    /// hold a repository or worktree are never copied.
    pub fn copy_included(&self, slot: &Slot) -> Result<Included, SlotError> {
        let root = self.repository.workdir();
        let list = root.join(LIST);
        let text = match fs::read_to_string(&list) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Included::default()),
            Err(error) => return Err(RepositoryError::io("read", &list)(error).into()),
        };
        let mut builder = GitignoreBuilder::new(root);
        for line in text.lines() {
            let invalid = |error: ignore::Error| RepositoryError::InvalidGlob {
                glob: line.to_owned(),
                reason: error.to_string(),
            };
            builder.add_line(None, line).map_err(invalid)?;
        }
        let matcher = builder
            .build()
            .map_err(|error| RepositoryError::InvalidGlob { glob: LIST.to_owned(), reason: error.to_string() })?;
        let _lock = self.lock(slot)?;
        let mut copy = Copy {
            root,
            slot,
            area: self.area(slot)?,
            matcher,
            spelled: spelled_folders(&text),
            slots_dir: &self.folder,
            done: Included::default(),
        };
        for (path, folder) in self.ignored()? {
            if folder { copy.folder(&path, false)? } else { copy.file_if_matched(&path)? }
        }
        copy.done.copied.sort();
        Ok(copy.done)
    }

    /// Ignored files and folders of the user's checkout, without looking into ignored folders.
    fn ignored(&self) -> Result<Vec<(Vec<u8>, bool)>, RepositoryError> {
        let handle = self.repository.handle()?;
        let mut options = StatusOptions::new();
        // Neither the user's index nor its stat cache is written.
        options.include_ignored(true).include_untracked(true).recurse_untracked_dirs(true).update_index(false);
        let statuses = handle.statuses(Some(&mut options)).map_err(RepositoryError::git("list ignored files"))?;
        let ignored = statuses.iter().filter(|entry| entry.status() == Status::IGNORED);
        Ok(ignored
            .map(|entry| match entry.path_bytes().strip_suffix(b"/") {
                Some(folder) => (folder.to_vec(), true),
                None => (entry.path_bytes().to_vec(), false),
            })
            .collect())
    }
}

struct Copy<'a> {
    root: &'a Path,
    slot: &'a Slot,
    area: WorkArea<'a>,
    matcher: Gitignore,
    /// Folders that patterns spell out, each with its parents.
    spelled: Vec<String>,
    slots_dir: &'a Path,
    done: Included,
}

impl Copy<'_> {
    /// Copies an ignored folder if it, or a folder above it, matches; else looks into it where a pattern says to.
    fn folder(&mut self, path: &[u8], inherited: bool) -> Result<(), SlotError> {
        let name = lossy(path);
        let source = self.root.join(to_path(path));
        let verdict = self.matcher.matched(&name, true);
        let matched = !verdict.is_whitelist() && (verdict.is_ignore() || inherited);
        if !matched && !self.spelled.contains(&name) {
            return Ok(());
        }
        if fs::symlink_metadata(source.join(".git")).is_ok() || self.slots_dir.starts_with(&source) {
            self.skip(path, "holds a repository or worktree");
            return Ok(());
        }
        for entry in fs::read_dir(&source).map_err(RepositoryError::io("read", &source))? {
            let entry = entry.map_err(RepositoryError::io("read", &source))?;
            let below = [path, b"/", entry.file_name().as_encoded_bytes()].concat();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.folder(&below, matched)?;
            } else {
                let verdict = self.matcher.matched(lossy(&below), false);
                if !verdict.is_whitelist() && (matched || verdict.is_ignore()) {
                    self.file(&below)?;
                }
            }
        }
        Ok(())
    }

    fn file_if_matched(&mut self, path: &[u8]) -> Result<(), SlotError> {
        if self.matcher.matched_path_or_any_parents(lossy(path), false).is_ignore() {
            self.file(path)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8]) -> Result<(), SlotError> {
        let (source, target) = (self.root.join(to_path(path)), self.slot.path.join(to_path(path)));
        if self.area.entry(path).is_some() || !self.area.is_ignored(path, false) {
            self.skip(path, "not ignored in the slot, so it would become part of the result");
            return Ok(());
        }
        if !self.has_real_parents(path) {
            self.skip(path, "a link or file is in the way");
            return Ok(());
        }
        match copy_one(&source, &target) {
            Ok(true) => self.done.copied.push(lossy(path)),
            Ok(false) => {}
            Err(error) => self.skip(path, &error.to_string()),
        }
        Ok(())
    }

    /// Whether every folder above the path is, or can become, a real folder of the slot.
    fn has_real_parents(&self, path: &[u8]) -> bool {
        to_path(path)
            .ancestors()
            .skip(1)
            .all(|folder| fs::symlink_metadata(self.slot.path.join(folder)).map_or(true, |metadata| metadata.is_dir()))
    }

    fn skip(&mut self, path: &[u8], reason: &str) {
        self.done.skipped.push(LeftOut { path: lossy(path), reason: reason.to_owned() });
    }
}

/// Copies a file or link by replacing what is there; says whether anything was to do.
fn copy_one(source: &Path, target: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(source)?;
    let existing = fs::symlink_metadata(target).ok();
    if existing.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::Error::other("a folder is in the way"));
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = with_suffix(target, ".ralph-copy");
    if metadata.is_symlink() {
        let link = fs::read_link(source)?;
        if fs::read_link(target).is_ok_and(|present| present == link) {
            return Ok(false);
        }
        let _ = fs::remove_file(&temporary);
        std::os::unix::fs::symlink(link, &temporary)?;
    } else if metadata.is_file() {
        let same = existing.is_some_and(|present| {
            present.is_file()
                && present.len() == metadata.len()
                && present.permissions().mode() == metadata.permissions().mode()
        });
        if same && fs::read(source)? == fs::read(target)? {
            return Ok(false);
        }
        let _ = fs::remove_file(&temporary);
        fs::copy(source, &temporary)?;
    } else {
        return Err(io::Error::other("neither a file nor a link"));
    }
    fs::rename(&temporary, target)?;
    Ok(true)
}

/// The folders patterns name literally from the root on: `a/b/*.json` gives `a` and `a/b`.
fn spelled_folders(text: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_start_matches('!')).filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.trim_matches('/').split('/').collect();
        let literal = parts.iter().take(parts.len() - 1).take_while(|part| !part.contains(['*', '?', '[']));
        let mut folder = String::new();
        for part in literal {
            if !folder.is_empty() {
                folder.push('/');
            }
            folder.push_str(part);
            folders.push(folder.clone());
        }
    }
    folders
}
