//! Landlock: the kernel holds a process, and all that descends from it, to a list of places it may write to.

use super::{Support, WriteFence};
use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};
use rustix::io::Errno;
use std::io;
use std::os::unix::fs::FileTypeExt;

/// The newest interface whose rights are used; older kernels know fewer of them and get those.
const NEWEST: ABI = ABI::V7;

/// A fence that is ready to be entered: everything that allocates or looks at the disk is done.
#[derive(Debug)]
pub struct Held(Option<RulesetCreated>);

impl Held {
    /// Opens the places of the fence; one that is not there is left out.
    ///
    /// # Errors
    ///
    /// When the kernel has no Landlock or refuses: then nothing that must be held may start.
    pub fn prepare(fence: &WriteFence) -> io::Result<Self> {
        let mut rules = Vec::new();
        for path in &fence.writable {
            let place = match PathFd::new(path) {
                Ok(place) => place,
                Err(_) if std::fs::symlink_metadata(path).is_err() => continue,
                Err(error) => return Err(io::Error::other(error)),
            };
            let access = match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => writing(),
                Ok(metadata) if metadata.is_file() || metadata.file_type().is_char_device() => of_a_file(),
                _ => continue,
            };
            rules.push(Ok(PathBeneath::new(place, access)));
        }
        let ruleset = empty().and_then(|ruleset| ruleset.add_rules(rules)).map_err(io::Error::other)?;
        Ok(Self(Some(ruleset)))
    }

    /// Puts the calling thread, and everything it will start, behind the fence for good. Makes system calls only, so
    /// that it can be called between fork and exec.
    ///
    /// # Errors
    ///
    /// `ENOSYS` when the kernel did not do it.
    pub fn enter(&mut self) -> io::Result<()> {
        let status = self.0.take().map(RulesetCreated::restrict_self);
        match status {
            Some(Ok(status)) if status.ruleset != RulesetStatus::NotEnforced => Ok(()),
            _ => Err(Errno::NOSYS.into()),
        }
    }
}

/// The rights that are held back outside the listed places. Requests to devices that are open already (terminals) are
/// no writing.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(NEWEST) & !BitFlags::from(AccessFs::IoctlDev)
}

fn of_a_file() -> BitFlags<AccessFs> {
    AccessFs::WriteFile | AccessFs::Truncate
}

fn empty() -> Result<RulesetCreated, landlock::RulesetError> {
    Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(writing())?.create()
}

/// Asks the kernel by holding a thread that ends at once: a container may forget, or forbid, what its kernel has.
pub(super) fn try_out() -> Support {
    let open = |why: String| Support::Open { why };
    let held = std::thread::spawn(|| empty().and_then(RulesetCreated::restrict_self)).join();
    match held {
        Ok(Ok(status)) => told_by(&status),
        Ok(Err(error)) => open(format!("the kernel refuses Landlock: {error}")),
        Err(_) => open("Landlock could not be tried".to_owned()),
    }
}

fn told_by(status: &RestrictionStatus) -> Support {
    match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } if status.ruleset != RulesetStatus::NotEnforced => {
            let known = effective_abi as i32;
            Support::Held { abi: kernel_abi.unwrap_or(known).unsigned_abs() }
        }
        LandlockStatus::NotEnabled => {
            Support::Open { why: "this kernel has Landlock, but it is not switched on (`lsm=` at boot)".to_owned() }
        }
        _ => Support::Open { why: "this kernel has no Landlock; Linux 5.13 and later do".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Runs something on a thread behind the fence; none where the kernel has no Landlock.
    fn behind<T: Send + 'static>(fence: WriteFence, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if !try_out().is_held() {
            eprintln!("SKIPPED: this kernel has no Landlock");
            return None;
        }
        let mut held = Held::prepare(&fence).expect("prepared");
        let thread = std::thread::spawn(move || {
            held.enter().expect("entered");
            work()
        });
        Some(thread.join().expect("ended"))
    }

    #[test]
    fn only_listed_places_can_be_written() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["in", "also", "out"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("old"), "old").expect("written");
        }
        fs::write(at("single"), "old").expect("written");
        let fence =
            WriteFence { writable: vec![at("in"), at("also"), at("single"), at("missing"), "/dev/null".into()] };
        let base = folder.path().to_path_buf();
        let failed = behind(fence, move || {
            let at = |name: &str| base.join(name);
            let mut failed = Vec::new();
            let mut must = |what: &str, may: bool, result: io::Result<()>| {
                let refused = |error: &io::Error| {
                    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::CrossesDevices)
                };
                let right = if may { result.is_ok() } else { result.as_ref().is_err_and(refused) };
                if !right {
                    failed.push(format!("{what}: {result:?}"));
                }
            };
            must("write inside", true, fs::write(at("in/new"), "x"));
            must("move across", true, fs::rename(at("in/new"), at("also/new")));
            must("link across", true, fs::hard_link(at("also/new"), at("in/linked")));
            must("remove inside", true, fs::remove_file(at("also/new")));
            must("make a folder", true, fs::create_dir(at("in/deep")));
            must("a listed file", true, fs::write(at("single"), "y"));
            must("a device", true, fs::write("/dev/null", "z"));
            must("a socket", true, std::os::unix::net::UnixListener::bind(at("in/socket")).map(drop));
            must("read outside", true, fs::read(at("out/old")).map(drop));
            must("write outside", false, fs::write(at("out/new"), "x"));
            must("append outside", false, fs::OpenOptions::new().append(true).open(at("out/old")).map(drop));
            must("remove outside", false, fs::remove_file(at("out/old")));
            must("rename outside", false, fs::rename(at("out/old"), at("out/other")));
            must("take out of it", false, fs::rename(at("out/old"), at("in/taken")));
            must("link out of it", false, fs::hard_link(at("out/old"), at("in/taken")));
            must("put into it", false, fs::rename(at("in/linked"), at("out/put")));
            must("remove a listed file", false, fs::remove_file(at("single")));
            must("through a link", false, {
                std::os::unix::fs::symlink(at("out"), at("in/way")).and_then(|()| fs::write(at("in/way/new"), "x"))
            });
            failed
        });
        if let Some(failed) = failed {
            assert!(failed.is_empty(), "{failed:#?}");
            assert_eq!(fs::read_to_string(at("out/old")).expect("there"), "old");
            assert_eq!(fs::read_dir(at("out")).expect("read").count(), 1);
        }
    }
}
