//! From the table to the list for one process: what is not there is made or left out, what would open more than it
//! says is left out.

use super::table::{Allowed, Kind, allowed};
use crate::engine::ports::Fence;
use crate::infra::slots::admin_folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a process and all it starts may write; nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFence {
    /// Folders with all below them, and files; absolute. What is not there when the process starts stays closed.
    pub writable: Vec<PathBuf>,
}

/// What the fence is there to protect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub checkout: PathBuf,
    /// The git folder that all checkouts share.
    pub common_dir: PathBuf,
    /// The repository's state folder.
    pub state: PathBuf,
}

/// Makes the fence of a process that will have this environment and this temporary folder.
pub fn write_fence(
    fence: &Fence,
    places: &Places,
    env: &BTreeMap<String, String>,
    temporary: Option<&Path>,
) -> WriteFence {
    let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let mut writable = ours(fence, places);
    writable.extend(temporary.map(Path::to_path_buf));
    let rows = outermost(allowed(fence.agent.as_ref(), env));
    for row in &rows {
        let believed = row.kind != Kind::Habit;
        let harmless = |path: &Path| believed || is_harmless(path, places, home.as_deref());
        if row.make && harmless(&resolved(&row.path)) {
            // What cannot be made stays closed; the program says what it misses.
            let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&row.path);
        }
        // Links that the user made are followed; nobody behind a fence can make one where these rows begin.
        if let Some(path) = row.path.canonicalize().ok().filter(|path| harmless(path)) {
            writable.push(path);
        }
    }
    writable.retain(|path| path.exists());
    writable.dedup();
    WriteFence { writable }
}

/// The slot, what git in it must write, and the mailbox. Where they are is known by us, not read from the slot.
fn ours(fence: &Fence, places: &Places) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(slot) = &fence.slot {
        paths.push(slot.clone());
        if let Some(name) = slot.file_name() {
            paths.push(admin_folder(&places.common_dir, &name.to_string_lossy()));
        }
        // Content-addressed: what is added there changes nothing until a reference names it.
        paths.push(places.common_dir.join("objects"));
        paths.push(places.common_dir.join("lfs"));
    }
    paths.extend(fence.mailbox.clone());
    paths
}

/// Leaves out rows below others: they add nothing, and an agent could have replaced them by links.
fn outermost(mut rows: Vec<Allowed>) -> Vec<Allowed> {
    let paths: Vec<PathBuf> = rows.iter().map(|row| row.path.clone()).collect();
    rows.retain(|row| !paths.iter().any(|other| row.path != *other && row.path.starts_with(other)));
    rows
}

/// Tells whether a folder of a program neither holds what is protected nor lies in it, wherever its variable points.
fn is_harmless(path: &Path, places: &Places, home: Option<&Path>) -> bool {
    let protected = [&places.checkout, &places.common_dir, &places.state];
    let touches = |place: &&PathBuf| path.starts_with(place) || place.starts_with(path);
    let home = home.map(|home| home.canonicalize().unwrap_or_else(|_| home.to_path_buf()));
    !protected.iter().any(touches) && !home.is_some_and(|home| home.starts_with(path))
}

/// Where a path leads, or would lead if it were made.
fn resolved(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = there else { return path.to_path_buf() };
    path.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{AgentConfig, AgentKind};
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Machine {
        folder: tempfile::TempDir,
        places: Places,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let base = folder.path().canonicalize().expect("canonical");
            for path in ["repo/.git/objects", "repo/.git/worktrees/ralph-s1", "state/slots/s1", "state/mail", "home"] {
                fs::create_dir_all(base.join(path)).expect("made");
            }
            let places =
                Places { checkout: base.join("repo"), common_dir: base.join("repo/.git"), state: base.join("state") };
            Self { folder, places }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().canonicalize().expect("canonical").join(path)
        }

        /// The writable paths below the machine's folder, for an agent of this kind.
        fn writable(&self, agent: AgentConfig, env: &[(&str, PathBuf)]) -> Vec<String> {
            let mut env: BTreeMap<String, String> =
                env.iter().map(|(name, path)| ((*name).to_owned(), path.display().to_string())).collect();
            env.entry("HOME".to_owned()).or_insert(self.at("home").display().to_string());
            let fence = Fence {
                slot: Some(self.at("state/slots/s1")),
                mailbox: Some(self.at("state/mail")),
                agent: Some(agent),
            };
            let fence = write_fence(&fence, &self.places, &env, None);
            let base = self.at("");
            let inside = fence.writable.iter().filter_map(|path| path.strip_prefix(&base).ok());
            inside.map(|path| path.display().to_string()).collect()
        }
    }

    const OURS: [&str; 4] = ["state/slots/s1", "repo/.git/worktrees/ralph-s1", "repo/.git/objects", "state/mail"];

    fn codex() -> AgentConfig {
        AgentConfig { kind: AgentKind::Codex, ..AgentConfig::default() }
    }

    #[test]
    fn it_is_the_slot_and_what_git_in_it_writes() {
        let machine = Machine::new();
        assert_eq!(machine.writable(AgentConfig::default(), &[]), [&OURS[..], &["home/.cache"]].concat());
        assert!(!machine.at("home/.codex").exists(), "folders of other agents are not made");
        let with_codex = machine.writable(codex(), &[]);
        assert_eq!(with_codex, [&OURS[..], &["home/.cache", "home/.codex"]].concat());
        assert!(machine.at("home/.codex").is_dir(), "its session folder is made");
    }

    #[test]
    fn a_variable_cannot_open_what_is_protected() {
        let machine = Machine::new();
        fs::create_dir_all(machine.at("repo/cache")).expect("made");
        fs::create_dir_all(machine.at("elsewhere")).expect("made");
        for place in ["repo", "repo/cache", "repo/new/deep", "repo/.git", "state", "", "home"] {
            let found = machine.writable(AgentConfig::default(), &[("XDG_CACHE_HOME", machine.at(place))]);
            assert_eq!(found, OURS, "{place}");
        }
        assert!(!machine.at("repo/new").exists(), "nothing is made there either");
        let found = machine.writable(AgentConfig::default(), &[("XDG_CACHE_HOME", machine.at("elsewhere"))]);
        assert_eq!(found, [&OURS[..], &["elsewhere"]].concat());
    }

    #[test]
    fn a_link_that_an_agent_could_have_made_opens_nothing() {
        let machine = Machine::new();
        fs::create_dir_all(machine.at("home/.cache")).expect("made");
        fs::create_dir_all(machine.at("home/secret")).expect("made");
        symlink(machine.at("home/secret"), machine.at("home/.cache/uv")).expect("linked");
        assert_eq!(machine.writable(AgentConfig::default(), &[]), [&OURS[..], &["home/.cache"]].concat());
        // One where only the user could: their sessions are kept elsewhere.
        fs::create_dir_all(machine.at("dotfiles")).expect("made");
        symlink(machine.at("dotfiles"), machine.at("home/.codex")).expect("linked");
        assert!(machine.writable(codex(), &[]).contains(&"dotfiles".to_owned()));
    }

    #[test]
    fn folders_of_installed_tools_are_made_and_programs_stay_closed() {
        let machine = Machine::new();
        fs::create_dir_all(machine.at("bin")).expect("made");
        fs::write(machine.at("bin/cargo"), "").expect("written");
        let found = machine.writable(AgentConfig::default(), &[("PATH", machine.at("bin"))]);
        assert_eq!(found, [&OURS[..], &["home/.cache", "home/.cargo/registry", "home/.cargo/git"]].concat());
        assert!(!machine.at("home/.npm").exists());
    }

    #[test]
    fn what_the_configuration_names_is_opened() {
        let machine = Machine::new();
        let agent = AgentConfig { write: vec!["~".to_owned()], ..AgentConfig::default() };
        assert_eq!(machine.writable(agent, &[]), [&OURS[..], &["home"]].concat());
    }

    #[test]
    fn who_may_only_read_gets_no_slot() {
        let machine = Machine::new();
        let fence = Fence { mailbox: Some(machine.at("state/mail")), ..Fence::default() };
        let fence = write_fence(&fence, &machine.places, &BTreeMap::new(), Some(&machine.at("state/tmp")));
        let inside = fence.writable.iter().filter(|path| path.starts_with(machine.at("")));
        assert_eq!(inside.collect::<Vec<_>>(), [&machine.at("state/mail")]);
    }
}
