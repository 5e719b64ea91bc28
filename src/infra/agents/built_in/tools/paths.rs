//! Where the agent may read and write: inside its slot.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The folder the agent works in.
#[derive(Clone, Debug)]
pub struct Slot {
    /// As it was named to the agent.
    named: PathBuf,
    /// Without symbolic links.
    root: PathBuf,
}

impl Slot {
    /// # Errors
    ///
    /// When the folder cannot be found.
    pub fn at(folder: &Path) -> io::Result<Self> {
        Ok(Self { named: folder.to_path_buf(), root: folder.canonicalize()? })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where a path of the agent leads; it need not exist. No symbolic link on the way leads outside.
    ///
    /// # Errors
    ///
    /// Says why the path is refused, and what to write instead.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let relative = self.relative(path)?;
        let mut place = self.root.clone();
        let mut parts = relative.components();
        while let Some(part) = parts.next() {
            let next = place.join(part);
            match next.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    place = next.canonicalize().map_err(|_| format!("`{path}` is a symbolic link to nothing"))?;
                    if !place.starts_with(&self.root) {
                        return Err(format!("`{path}` is a symbolic link that leads out of the repository"));
                    }
                }
                Ok(_) => place = next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    place = next;
                    place.extend(parts);
                    break;
                }
                Err(error) => return Err(format!("failed to look at `{path}`: {error}")),
            }
        }
        Ok(place)
    }

    /// Returns where a path leads that is to be written: as [`Self::resolve`], and never git's own files.
    ///
    /// # Errors
    ///
    /// Says why the path is refused.
    pub fn resolve_to_write(&self, path: &str) -> Result<PathBuf, String> {
        let place = self.resolve(path)?;
        let inside = place.strip_prefix(&self.root).unwrap_or(&place);
        if inside.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
            return Err(format!("`{path}` belongs to git and must not be written"));
        }
        if inside.as_os_str().is_empty() {
            return Err(format!("`{path}` is the folder of the repository; name a file in it"));
        }
        Ok(place)
    }

    /// Returns a place as the agent knows it: relative to the slot, with slashes.
    pub fn shown(&self, place: &Path) -> String {
        place.strip_prefix(&self.root).unwrap_or(place).display().to_string()
    }

    fn relative(&self, path: &str) -> Result<PathBuf, String> {
        let given = Path::new(path.trim());
        let relative = if given.is_absolute() {
            let inside = given.strip_prefix(&self.root).or_else(|_| given.strip_prefix(&self.named));
            inside.map_err(|_| {
                format!("`{path}` is outside of the repository; paths are relative to its root, such as `src/main.rs`")
            })?
        } else {
            given
        };
        tidy(relative).ok_or_else(|| {
            format!("`{path}` must not go up by `..`; paths are relative to the root of the repository, such as `src/main.rs`")
        })
    }
}

/// Returns the path without `.` parts; none when a part goes up.
fn tidy(path: &Path) -> Option<PathBuf> {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => tidy.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(tidy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out() {
        let outside = tempfile::tempdir().expect("folder");
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path();
        std::fs::create_dir(root.join("src")).expect("made");
        std::fs::write(root.join("src/a"), "a").expect("written");
        std::fs::write(outside.path().join("secret"), "s").expect("written");
        symlink(outside.path(), root.join("out")).expect("linked");
        symlink(outside.path().join("secret"), root.join("one")).expect("linked");
        symlink(outside.path().join("missing"), root.join("dangling")).expect("linked");
        symlink("src", root.join("in")).expect("linked");
        symlink("../..", root.join("src/up")).expect("linked");
        let slot = Slot::at(root).expect("slot");
        let whole = |name: &str| slot.root().join(name);

        for (path, place) in [
            ("src/a", "src/a"),
            ("./src//a", "src/a"),
            (" src/a ", "src/a"),
            ("in/a", "src/a"),
            ("in/new/b", "src/new/b"),
            ("new/deep/file", "new/deep/file"),
            (".", ""),
        ] {
            assert_eq!(slot.resolve(path), Ok(whole(place)), "{path}");
        }
        let absolute = root.join("src/a").display().to_string();
        assert_eq!(slot.resolve(&absolute), Ok(whole("src/a")));

        let other = outside.path().join("secret").display().to_string();
        for path in
            ["../x", "src/../../x", "src/..", "/etc/passwd", "out", "out/secret", "one", "dangling", "src/up/x", &other]
        {
            let error = slot.resolve(path).expect_err(path);
            assert!(error.contains(path), "{error}");
        }
        for path in [".git", ".git/config", "src/.GIT/hooks/x", "."] {
            assert!(slot.resolve_to_write(path).is_err(), "{path}");
        }
        assert!(slot.resolve_to_write(".gitignore").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_resolved_is_inside(path in "[a-c./ ]{0,12}") {
            let folder = tempfile::tempdir().expect("folder");
            let slot = Slot::at(folder.path()).expect("slot");
            if let Ok(place) = slot.resolve(&path) {
                prop_assert!(place.starts_with(slot.root()));
                prop_assert!(!place.components().any(|part| part == Component::ParentDir));
            }
        }
    }
}
