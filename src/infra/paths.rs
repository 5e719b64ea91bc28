//! Where things are kept outside the repository: state, the user's configuration, and the engine's socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::protocol::engine_api::{ApiError, ErrorKind};

/// Replaces the folder that holds the state of all repositories; for tests and containers.
pub const STATE_HOME: &str = "RALPH_STATE_HOME";
/// Replaces the folder that holds the user's own configuration file.
pub const CONFIG_HOME: &str = "RALPH_CONFIG_HOME";

const APPLICATION: &str = "ralph-sidecar";
/// A socket's address holds 104 bytes on macOS and 108 on Linux, with the zero at its end.
const SOCKET_PATH_LIMIT: usize = 100;
/// Bytes of the repository's name that are kept in the name of its state folder.
const NAME_LIMIT: usize = 40;

/// Why a folder cannot be used. [`PathsError::hint`] is the next step.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    #[error("the home folder of the user is not known: {0}")]
    NoHome(String),
    #[error("the repository at {path} cannot be read: {source}")]
    Repository { path: PathBuf, source: io::Error },
    #[error("the disk of {path} is read-only")]
    ReadOnly { path: PathBuf },
    #[error("the disk of {path} is full")]
    Full { path: PathBuf },
    #[error("{path} cannot be made or written: {source}")]
    Unusable { path: PathBuf, source: io::Error },
    #[error("{path} is not safe to use: {why}")]
    Unsafe { path: PathBuf, why: &'static str },
    #[error("the path of the socket would be too long in {path}")]
    SocketPath { path: PathBuf },
}

impl PathsError {
    /// Tells apart what a person does something different about.
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Unusable { path, source },
        }
    }

    /// Returns the next step.
    pub fn hint(&self) -> String {
        match self {
            Self::NoHome(_) => format!("set HOME, or set {STATE_HOME} and {CONFIG_HOME} to folders of your own"),
            Self::Repository { .. } => "check that the repository still is there and that you may read it".into(),
            Self::ReadOnly { .. } => format!("set {STATE_HOME} to a folder on a disk that can be written"),
            Self::Full { .. } => format!("free some space, or set {STATE_HOME} to a folder on another disk"),
            Self::Unusable { .. } => {
                format!("make it yours and writable, or set {STATE_HOME} to a folder that is")
            }
            Self::Unsafe { path, .. } => format!("remove {} when it is not in use, and try again", path.display()),
            Self::SocketPath { .. } => "set TMPDIR to a folder with a short path".into(),
        }
    }
}

impl From<PathsError> for ApiError {
    fn from(error: PathsError) -> Self {
        let hint = error.hint();
        Self::new(ErrorKind::Data, error.to_string()).with_hint(hint)
    }
}

/// The folders everything starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homes {
    /// Holds one folder per repository.
    pub state: PathBuf,
    /// Holds `config.json`.
    pub config: PathBuf,
    /// Where the socket may be, best first; not made yet. See [`StatePaths::socket`].
    pub runtime: Vec<PathBuf>,
}

impl Homes {
    /// Reads them from the environment: [`STATE_HOME`] and [`CONFIG_HOME`], then the platform's conventions.
    ///
    /// # Errors
    ///
    /// When they are needed and the user has no home.
    pub fn from_env() -> Result<Self, PathsError> {
        let state = match folder_from_env(STATE_HOME) {
            Some(state) => state,
            None => {
                let strategy = strategy()?;
                strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join(APPLICATION)
            }
        };
        let config = match folder_from_env(CONFIG_HOME) {
            Some(config) => config,
            None => strategy()?.config_dir().join(APPLICATION),
        };
        Ok(Self { state, config, runtime: runtime_candidates() })
    }

    /// The user's own configuration file; it need not be there.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.json")
    }
}

/// Where one checkout's state is kept.
///
/// One engine serves all checkouts of a repository, so [`lock`](Self::lock), [`engine_log`](Self::engine_log) and
/// [`trust`](Self::trust) are common to them. Everything else is the checkout's own: see
/// [`checkout_state`](Self::checkout_state).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePaths {
    /// The folder of everything below that is the checkout's own.
    pub root: PathBuf,
    pub journal: PathBuf,
    pub slots: PathBuf,
    pub attempts: PathBuf,
    pub mailboxes: PathBuf,
    /// Where what is no longer needed is moved before it is removed.
    pub trash: PathBuf,
    pub plans: PathBuf,
    pub engine_log: PathBuf,
    /// Held by the one engine of the repository.
    pub lock: PathBuf,
    pub trust: PathBuf,
    /// The folder of the repository; [`root`](Self::root) is it or below it.
    pub repository: PathBuf,
    common_git_dir: PathBuf,
    runtime: Vec<PathBuf>,
}

impl StatePaths {
    /// Names the paths of a repository by its common git directory, and makes its folder, private to the user.
    ///
    /// # Errors
    ///
    /// When the git directory cannot be read, or the folder cannot be made or is not the user's.
    pub fn open(homes: &Homes, common_git_dir: &Path) -> Result<Self, PathsError> {
        let common_git_dir = common_git_dir
            .canonicalize()
            .map_err(|source| PathsError::Repository { path: common_git_dir.to_path_buf(), source })?;
        let folder = format!("{}-{}", repository_name(&common_git_dir), path_hash(&common_git_dir));
        make_private(&homes.state.join(folder)).map(|root| {
            let root = root.canonicalize().unwrap_or(root);
            Self::below(&root, &root, common_git_dir, homes.runtime.clone())
        })
    }

    /// [`StatePaths::open`] with the folders of the environment.
    ///
    /// # Errors
    ///
    /// As [`StatePaths::open`] and [`Homes::from_env`].
    pub fn from_env(common_git_dir: &Path) -> Result<Self, PathsError> {
        Self::open(&Homes::from_env()?, common_git_dir)
    }

    /// The paths of one checkout: the repository's own for its main checkout, and below `checkouts/` for a linked
    /// worktree, so that journals, attempts and slots of two checkouts never clash. The folder is made.
    ///
    /// # Errors
    ///
    /// When the checkout cannot be read, or the folder cannot be made.
    pub fn checkout_state(&self, checkout_root: &Path) -> Result<Self, PathsError> {
        let unreadable = |source| PathsError::Repository { path: checkout_root.to_path_buf(), source };
        let checkout = checkout_root.canonicalize().map_err(unreadable)?;
        let root = if git_dir_of(&checkout).map_err(unreadable)? == self.common_git_dir {
            self.repository.clone()
        } else {
            make_private(&self.repository.join("checkouts").join(path_hash(&checkout)))?
        };
        Ok(Self::below(&root, &self.repository, self.common_git_dir.clone(), self.runtime.clone()))
    }

    /// Where a new engine listens: in the user's runtime folder, which is made, private, and checked.
    ///
    /// The name is a hash of the state folder, so engines of two state folders do not meet. Front ends whose
    /// environments differ may compute different paths; they learn the one in use from what the engine announced.
    ///
    /// # Errors
    ///
    /// When no runtime folder is safe and short enough.
    pub fn socket(&self) -> Result<PathBuf, PathsError> {
        let name = format!("{}.sock", path_hash(&self.repository));
        let mut problem = None;
        for folder in &self.runtime {
            let socket = folder.join(&name);
            if socket.as_os_str().len() >= SOCKET_PATH_LIMIT {
                problem.get_or_insert(PathsError::SocketPath { path: folder.clone() });
                continue;
            }
            match make_private_strict(folder) {
                Ok(()) => return Ok(socket),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| PathsError::SocketPath { path: self.repository.clone() }))
    }

    fn below(root: &Path, repository: &Path, common_git_dir: PathBuf, runtime: Vec<PathBuf>) -> Self {
        Self {
            journal: root.join("journal.db"),
            slots: root.join("slots"),
            attempts: root.join("attempts"),
            mailboxes: root.join("mailboxes"),
            trash: root.join("trash"),
            plans: root.join("plans"),
            root: root.to_path_buf(),
            engine_log: repository.join("engine.log"),
            lock: repository.join("engine.lock"),
            trust: repository.join("trust.json"),
            repository: repository.to_path_buf(),
            common_git_dir,
            runtime,
        }
    }
}

/// Makes a folder that is missing, with its parents, each private to the user; one that is there is made private.
///
/// # Errors
///
/// Names the folder: no space, a read-only disk, something else in the way, someone else's folder.
pub fn make_private(folder: &Path) -> Result<PathBuf, PathsError> {
    let failed = |source| PathsError::from_io(folder, source);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let metadata = fs::metadata(folder).map_err(failed)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(PathsError::Unsafe { path: folder.to_path_buf(), why: "it belongs to another user" });
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(folder.to_path_buf())
}

/// Makes one folder in a place where others may write; what is there must be a folder of this user, and private.
///
/// It is not made private when it is not: someone may have put something into it before.
fn make_private_strict(folder: &Path) -> Result<(), PathsError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(PathsError::from_io(folder, error)),
    }
    let metadata = fs::symlink_metadata(folder).map_err(|source| PathsError::from_io(folder, source))?;
    let refuse = |why| Err(PathsError::Unsafe { path: folder.to_path_buf(), why });
    if metadata.file_type().is_symlink() {
        return refuse("it is a symbolic link");
    }
    if !metadata.is_dir() {
        return refuse("it is not a folder");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return refuse("other users may look into it");
    }
    Ok(())
}

/// Makes a folder for temporary files, private to the user, that only this name leads to.
///
/// Its path is short, wherever the state is kept: programs put sockets there, whose paths have a hundred bytes.
///
/// # Errors
///
/// When the folder of this user in the system's temporary folder is not safe to use, or cannot be made.
pub fn private_temporary(of: &Path) -> Result<PathBuf, PathsError> {
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("ralph-{user}"));
    make_private_strict(&folder)?;
    let folder = folder.join(format!("t-{}", path_hash(of)));
    make_private_strict(&folder)?;
    Ok(folder)
}

fn strategy() -> Result<impl BaseStrategy, PathsError> {
    etcetera::choose_base_strategy().map_err(|error| PathsError::NoHome(error.to_string()))
}

fn folder_from_env(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    std::path::absolute(&value).ok()
}

/// The runtime folder of the session first; it is absent in cron and in containers, and someone else's under `sudo`.
fn runtime_candidates() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let session = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .filter(|folder| fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user))
        .map(|folder| folder.join(APPLICATION));
    let temporary = std::env::temp_dir();
    let mut candidates: Vec<PathBuf> = session.into_iter().collect();
    for folder in [temporary.as_path(), Path::new("/tmp")] {
        let folder = folder.join(format!("ralph-{user}"));
        if folder.is_absolute() && !candidates.contains(&folder) {
            candidates.push(folder);
        }
    }
    candidates
}

/// The git directory of a checkout: `.git` itself, or what the file `.git` points to.
fn git_dir_of(checkout: &Path) -> io::Result<PathBuf> {
    let dot_git = checkout.join(".git");
    if fs::metadata(&dot_git)?.is_dir() {
        return dot_git.canonicalize();
    }
    let text = fs::read(&dot_git)?;
    let target = text.strip_prefix(b"gitdir:").ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "its .git is neither a folder nor a pointer to one")
    })?;
    checkout.join(Path::new(std::ffi::OsStr::from_bytes(target.trim_ascii()))).canonicalize()
}

/// The name a person would call the repository, as part of a file name.
fn repository_name(common_git_dir: &Path) -> String {
    let named = match common_git_dir.file_name() {
        Some(name) if name == ".git" => common_git_dir.parent().and_then(Path::file_name),
        other => other,
    };
    let name = named.map(|name| name.to_string_lossy()).unwrap_or_default();
    let mut kept: String = name
        .strip_suffix(".git")
        .unwrap_or(&name)
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-') { char } else { '-' })
        .take(NAME_LIMIT)
        .collect();
    if kept.starts_with('.') {
        kept.replace_range(..1, "_");
    }
    if kept.is_empty() { "repository".into() } else { kept }
}

fn path_hash(path: &Path) -> String {
    blake3::hash(path.as_os_str().as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Place {
        folder: tempfile::TempDir,
        homes: Homes,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().expect("folder");
        let homes = Homes {
            state: folder.path().join("state"),
            config: folder.path().join("config"),
            runtime: vec![folder.path().join("run")],
        };
        Place { folder, homes }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o777
    }

    #[test]
    fn repositories_have_folders_of_their_own() {
        let place = place();
        for name in ["a/shop/.git", "b/shop/.git"] {
            fs::create_dir_all(place.folder.path().join(name)).expect("folder");
        }
        let first = StatePaths::open(&place.homes, &place.folder.path().join("a/shop/.git")).expect("opened");
        let second = StatePaths::open(&place.homes, &place.folder.path().join("b/shop/.git")).expect("opened");
        assert_ne!(first.root, second.root);
        assert_ne!(first.socket().expect("socket"), second.socket().expect("socket"));
        let name = first.root.file_name().expect("name").to_str().expect("utf-8");
        assert!(name.starts_with("shop-") && name.len() == "shop-".len() + 16, "{name}");
        assert_eq!((mode(&first.root), mode(&place.homes.state)), (0o700, 0o700));
        let other_home = Homes { state: place.folder.path().join("elsewhere"), ..place.homes.clone() };
        let elsewhere = StatePaths::open(&other_home, &place.folder.path().join("a/shop/.git")).expect("opened");
        assert_ne!(first.socket().expect("socket"), elsewhere.socket().expect("socket"));
    }

    #[test]
    fn a_path_through_a_link_is_the_same_repository() {
        let place = place();
        fs::create_dir_all(place.folder.path().join("real/.git")).expect("folder");
        symlink("real", place.folder.path().join("alias")).expect("link");
        let direct = StatePaths::open(&place.homes, &place.folder.path().join("real/.git")).expect("opened");
        let linked = StatePaths::open(&place.homes, &place.folder.path().join("alias/.git")).expect("opened");
        assert_eq!(direct, linked);
    }

    #[test]
    fn a_linked_worktree_shares_the_engine_and_nothing_else() {
        let place = place();
        let main = place.folder.path().join("main");
        let linked = place.folder.path().join("linked");
        fs::create_dir_all(main.join(".git/worktrees/linked")).expect("folder");
        fs::create_dir(&linked).expect("folder");
        fs::write(linked.join(".git"), format!("gitdir: {}\n", main.join(".git/worktrees/linked").display()))
            .expect("written");
        let paths = StatePaths::open(&place.homes, &main.join(".git")).expect("opened");
        assert_eq!(paths.checkout_state(&main).expect("main"), paths);
        let own = paths.checkout_state(&linked).expect("linked");
        assert!(own.root.starts_with(paths.root.join("checkouts")) && own.root.is_dir());
        assert_ne!(own.journal, paths.journal);
        assert_eq!((&own.lock, &own.trust, &own.engine_log), (&paths.lock, &paths.trust, &paths.engine_log));
        assert_eq!(own.socket().expect("socket"), paths.socket().expect("socket"));
        assert_eq!(own.checkout_state(&main).expect("back"), paths);
        assert!(paths.checkout_state(place.folder.path()).is_err());
    }

    #[test]
    fn a_main_checkout_may_keep_its_git_directory_elsewhere() {
        let place = place();
        fs::create_dir_all(place.folder.path().join("separate")).expect("folder");
        fs::create_dir_all(place.folder.path().join("work")).expect("folder");
        fs::write(place.folder.path().join("work/.git"), "gitdir: ../separate\n").expect("written");
        let paths = StatePaths::open(&place.homes, &place.folder.path().join("separate")).expect("opened");
        assert_eq!(paths.checkout_state(&place.folder.path().join("work")).expect("state"), paths);
    }

    #[test]
    fn unsafe_runtime_folders_are_refused() {
        let mut place = place();
        fs::create_dir_all(place.folder.path().join("repo/.git")).expect("folder");
        let run = place.folder.path().join("run");
        let refused = |place: &Place| {
            let paths = StatePaths::open(&place.homes, &place.folder.path().join("repo/.git")).expect("opened");
            paths.socket().expect_err("refused").to_string()
        };
        fs::create_dir(place.folder.path().join("target")).expect("folder");
        symlink("target", &run).expect("link");
        assert!(refused(&place).contains("symbolic link"));
        fs::remove_file(&run).expect("removed");
        fs::write(&run, "").expect("written");
        assert!(refused(&place).contains("not a folder"));
        fs::remove_file(&run).expect("removed");
        fs::create_dir(&run).expect("folder");
        fs::set_permissions(&run, Permissions::from_mode(0o750)).expect("permissions");
        assert!(refused(&place).contains("other users"));
        place.homes.runtime.push(place.folder.path().join("second"));
        let paths = StatePaths::open(&place.homes, &place.folder.path().join("repo/.git")).expect("opened");
        assert!(paths.socket().expect("the next one").starts_with(place.folder.path().join("second")));
        assert_eq!(mode(&place.folder.path().join("second")), 0o700);
        place.homes.runtime = vec![place.folder.path().join("x".repeat(90))];
        assert!(refused(&place).contains("too long"));
    }

    #[test]
    fn problems_name_the_folder_and_the_next_step() {
        let place = place();
        fs::create_dir_all(place.folder.path().join("repo/.git")).expect("folder");
        fs::write(&place.homes.state, "in the way").expect("written");
        let error = StatePaths::open(&place.homes, &place.folder.path().join("repo/.git")).expect_err("refused");
        assert!(error.to_string().contains("state/repo-"), "{error}");
        let missing = StatePaths::open(&place.homes, &place.folder.path().join("none/.git")).expect_err("refused");
        assert!(missing.to_string().contains("none/.git"), "{missing}");
        for (kind, words, hint) in [
            (io::ErrorKind::ReadOnlyFilesystem, "read-only", STATE_HOME),
            (io::ErrorKind::StorageFull, "full", "free some space"),
            (io::ErrorKind::QuotaExceeded, "full", "free some space"),
            (io::ErrorKind::PermissionDenied, "cannot be made", "make it yours"),
        ] {
            let error = PathsError::from_io(Path::new("/there"), kind.into());
            assert!(error.to_string().contains(words) && error.to_string().contains("/there"), "{error}");
            assert!(ApiError::from(error).hint.expect("hint").contains(hint));
        }
    }

    #[test]
    fn names_are_plain() {
        for (path, name) in [
            ("/home/ann/shop/.git", "shop"),
            ("/srv/git/shop.git", "shop"),
            ("/home/ann/my shop:1/.git", "my-shop-1"),
            ("/home/ann/.dotfiles/.git", "_dotfiles"),
            ("/.git", "repository"),
        ] {
            assert_eq!(repository_name(Path::new(path)), name, "{path}");
        }
        assert_eq!(repository_name(Path::new(&format!("/{}/.git", "é".repeat(99)))).len(), NAME_LIMIT);
    }
}
