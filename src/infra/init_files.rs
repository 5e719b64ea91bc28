//! Writes what `init` writes: a first configuration, and the line that keeps `.ralph/` out of git.

use super::durable::atomic_write;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// The line in `info/exclude` that keeps everything of ours out of git.
pub const EXCLUDED: &str = "/.ralph/";

/// Writes a file that is not there yet, with its folder; tells whether it did.
///
/// # Errors
///
/// When it cannot be written; a file that is there is no error and stays as it is.
pub fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds [`EXCLUDED`] to the repository's own list of ignored files; tells whether it was missing.
///
/// # Errors
///
/// When the list cannot be read or written; then it is as it was.
pub fn exclude(common_git_dir: &Path) -> io::Result<bool> {
    let path = common_git_dir.join("info").join("exclude");
    let old = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let known: [&[u8]; 4] = [b"/.ralph/", b".ralph/", b"/.ralph", b".ralph"];
    if old.split(|byte| *byte == b'\n').any(|line| known.contains(&line.trim_ascii())) {
        return Ok(false);
    }
    let mut new = old;
    if !new.is_empty() && !new.ends_with(b"\n") {
        new.push(b'\n');
    }
    new.extend_from_slice(EXCLUDED.as_bytes());
    new.push(b'\n');
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    atomic_write(&path, &new)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(".ralph/config.json");
        assert!(write_new(&path, "one").expect("written"));
        assert!(!write_new(&path, "two").expect("left alone"));
        assert_eq!(fs::read_to_string(path).expect("there"), "one");
    }

    #[test]
    fn the_list_of_ignored_files_grows_by_one_line_once() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(exclude(folder.path()).expect("written"));
        assert!(!exclude(folder.path()).expect("there"));
        let path = folder.path().join("info/exclude");
        assert_eq!(fs::read_to_string(&path).expect("there"), "/.ralph/\n");
        fs::write(&path, "# mine\n*.log").expect("written");
        assert!(exclude(folder.path()).expect("written"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "# mine\n*.log\n/.ralph/\n");
    }
}
