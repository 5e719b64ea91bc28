//! Who may write where, and why: the one table.
//!
//! A row names a folder (with all below it) or a file. What is in nobody's rows is written by nobody: the checkout,
//! references, the stash, configuration and hooks of git, other slots, the state folder, and the rest of the home
//! folder, with the programs that are installed there.

use crate::protocol::config::AgentConfig;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A place, and why it may be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    pub path: PathBuf,
    pub kind: Kind,
    /// The program would make this folder, so it is made when it is missing.
    pub make: bool,
    pub why: &'static str,
}

/// Where a row comes from, which decides what it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the system.
    Device,
    /// Of a program that is used here: left out where it would open what must stay closed.
    Habit,
    /// What the user's configuration names: believed.
    Own,
}

/// Devices that programs write to without storing anything, and memory that is shared by name.
const DEVICES: [(&str, &str); 9] = [
    ("/dev/null", "discards"),
    ("/dev/zero", "discards"),
    ("/dev/full", "always full, for tests"),
    ("/dev/random", "takes entropy"),
    ("/dev/urandom", "takes entropy"),
    ("/dev/tty", "the terminal of the process, if any"),
    ("/dev/ptmx", "makes terminals, for tests and tool shells"),
    ("/dev/pts", "terminals"),
    ("/dev/shm", "shared memory of browsers, databases and test runners"),
];

/// Caches of build tools: the program, the variable that moves them, the default below the home folder, and the parts
/// meant. Folders of programs that are installed are made. Parts that hold programs or settings (`~/.cargo/bin`,
/// `~/.gradle/init.d`) are left out on purpose. Cargo's locks are files beside its folders, which it can do without.
const CACHES: [(&str, &str, &str, &[&str], &str); 17] = [
    ("", "XDG_CACHE_HOME", ".cache", &[""], "the caches of most tools"),
    ("cargo", "CARGO_HOME", ".cargo", &["registry", "git"], "crates that cargo downloads"),
    (NEVER, "CARGO_HOME", ".cargo", &[".package-cache", ".package-cache-mutate", ".global-cache"], "cargo's locks"),
    ("npm", "npm_config_cache", ".npm", &[""], "packages and logs of npm"),
    ("yarn", "YARN_CACHE_FOLDER", ".yarn/berry", &[""], "packages of yarn"),
    ("pnpm", "PNPM_HOME", ".local/share/pnpm", &["store"], "packages of pnpm"),
    ("bun", "BUN_INSTALL", ".bun", &["install/cache"], "packages of bun"),
    ("deno", "DENO_DIR", ".cache/deno", &[""], "modules of deno, where they were moved"),
    ("go", "GOPATH", "go", &["pkg"], "modules of go"),
    ("go", "GOMODCACHE", "go/pkg/mod", &[""], "modules of go, where they were moved"),
    ("go", "GOCACHE", ".cache/go-build", &[""], "builds of go, where they were moved"),
    (NEVER, "GRADLE_USER_HOME", ".gradle", &["caches", "daemon", "native", "notifications", "wrapper"], "gradle"),
    ("mvn", "MAVEN_USER_HOME", ".m2", &["repository", "wrapper"], "artefacts of maven"),
    ("dotnet", "NUGET_PACKAGES", ".nuget/packages", &[""], "packages of .NET"),
    ("uv", "UV_CACHE_DIR", ".cache/uv", &[""], "packages of uv, where they were moved"),
    ("pip", "PIP_CACHE_DIR", ".cache/pip", &[""], "packages of pip, where they were moved"),
    ("ccache", "CCACHE_DIR", ".ccache", &[""], "results of compilers"),
];

/// Where build tools put results when they are told to: there is no such place otherwise.
const BUILDS: [(&str, &str); 3] = [
    ("CARGO_TARGET_DIR", "a target folder that several checkouts share"),
    ("CARGO_BUILD_TARGET_DIR", "a target folder that several checkouts share"),
    ("SCCACHE_DIR", "results of compilers"),
];

/// In place of a program: what is missing is not made.
const NEVER: &str = "/";

/// Where agents keep sessions, logins and logs: a word in the name of the program, the variable that moves the folder,
/// and the default below the home folder. Seen with claude 2.1, codex 0.169 and opencode 1.18: none needs more, not even
/// the system's temporary folder, when `TMPDIR` is set. Claude cannot replace its settings file, and overwrites it then.
const SESSIONS: [(&str, &str, &str, &str); 10] = [
    ("claude", "CLAUDE_CONFIG_DIR", ".claude", "sessions and login of claude"),
    ("claude", "", CLAUDE_SETTINGS, "settings of claude, which it writes at each start"),
    ("codex", "CODEX_HOME", ".codex", "sessions and login of codex"),
    ("opencode", "XDG_DATA_HOME", ".local/share", "sessions and login of opencode"),
    ("opencode", "XDG_STATE_HOME", ".local/state", "state of opencode"),
    ("opencode", "XDG_CONFIG_HOME", ".config", "plug-ins that opencode installs"),
    ("gemini", "", ".gemini", "sessions and login of gemini"),
    ("qwen", "", ".qwen", "sessions and login of qwen"),
    ("goose", "XDG_DATA_HOME", ".local/share", "sessions of goose"),
    ("goose", "XDG_STATE_HOME", ".local/state", "logs of goose"),
];

/// A file; claude makes it or does without.
const CLAUDE_SETTINGS: &str = ".claude.json";

/// Returns the rows for a process with this environment: of every process, and of this agent.
pub fn allowed(agent: Option<&AgentConfig>, env: &BTreeMap<String, String>) -> Vec<Allowed> {
    let device = |path: &str, why| Allowed { path: path.into(), kind: Kind::Device, make: false, why };
    let devices = DEVICES.iter().map(|(path, why)| device(path, why));
    let mut rows: Vec<Allowed> = devices.collect();
    let set = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = set("HOME");
    let below = |variable: &str, default: &str| set(variable).or_else(|| Some(home.as_ref()?.join(default)));
    for (program, variable, default, parts, why) in CACHES {
        let Some(base) = below(variable, default) else { continue };
        let make = program.is_empty() || is_installed(program, env);
        rows.extend(parts.iter().map(|part| Allowed { path: join(&base, part), kind: Kind::Habit, make, why }));
    }
    let builds = BUILDS.iter().filter_map(|(variable, why)| Some((set(variable)?, *why)));
    rows.extend(builds.map(|(path, why)| Allowed { path, kind: Kind::Habit, make: true, why }));
    let Some(agent) = agent else { return rows };
    let names = program_names(agent);
    for (program, variable, default, why) in SESSIONS.iter().filter(|row| names.iter().any(|name| name.contains(row.0)))
    {
        let Some(base) = below(variable, default) else { continue };
        // Folders of the desktop's conventions are shared by all programs, each of which has one of its own in them.
        let path = if variable.starts_with("XDG_") { base.join(program) } else { base };
        rows.push(Allowed { path, kind: Kind::Habit, make: *default != CLAUDE_SETTINGS, why });
    }
    let own = agent.write.iter().filter_map(|path| expand(path, home.as_deref()));
    rows.extend(own.map(|path| Allowed { path, kind: Kind::Own, make: false, why: "the configuration says so" }));
    rows
}

fn is_installed(program: &str, env: &BTreeMap<String, String>) -> bool {
    let folders = env.get("PATH").map(String::as_str).unwrap_or_default().split(':');
    program != NEVER
        && folders.filter(|folder| !folder.is_empty()).any(|folder| Path::new(folder).join(program).is_file())
}

fn join(base: &Path, part: &str) -> PathBuf {
    if part.is_empty() { base.to_path_buf() } else { base.join(part) }
}

/// The names of the programs in a command line, for `npx some-agent` starts one as well.
fn program_names(agent: &AgentConfig) -> Vec<String> {
    let words = agent.program().iter().take_while(|word| word.as_str() != "--");
    words.filter_map(|word| Some(Path::new(word).file_name()?.to_string_lossy().to_lowercase())).collect()
}

/// `~` is the home folder; a path that is relative otherwise names nothing.
fn expand(path: &str, home: Option<&Path>) -> Option<PathBuf> {
    let expanded = match path.strip_prefix('~') {
        Some("") => home?.to_path_buf(),
        Some(rest) => home?.join(rest.strip_prefix('/')?),
        None => PathBuf::from(path),
    };
    Some(expanded).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::AgentKind;

    fn paths(agent: Option<&AgentConfig>, env: &[(&str, &str)]) -> Vec<String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        allowed(agent, &env).iter().map(|row| row.path.display().to_string()).collect()
    }

    /// An agent, its environment, folders it may write to, and folders it may not.
    type Case<'a> = (AgentConfig, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

    #[test]
    fn agents_have_the_folders_of_their_kind() {
        let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let agent = |kind, line: &[&str]| AgentConfig { kind, command: words(line), ..AgentConfig::default() };
        let home = [("HOME", "/h")];
        let moved = [
            ("HOME", "/h"),
            ("CODEX_HOME", "/c"),
            ("XDG_DATA_HOME", "/d"),
            ("CARGO_HOME", "/k"),
            ("CARGO_TARGET_DIR", "/t"),
        ];
        let cases: [Case; 6] = [
            (agent(AgentKind::Claude, &[]), &home, &["/h/.claude", "/h/.claude.json"], &["/h/.codex"]),
            (agent(AgentKind::Codex, &[]), &home, &["/h/.codex", "/h/.cargo/registry"], &["/h/.claude", "/h/.cargo"]),
            (agent(AgentKind::Codex, &[]), &moved, &["/c", "/k/registry", "/t"], &["/h/.codex", "/h/.cargo/registry"]),
            (
                agent(AgentKind::Acp, &["/opt/bin/opencode", "acp"]),
                &moved,
                &["/d/opencode", "/h/.local/state/opencode", "/h/.config/opencode"],
                &["/d", "/h/.config"],
            ),
            (agent(AgentKind::Acp, &["npx", "@x/claude-agent-acp"]), &home, &["/h/.claude"], &[]),
            (agent(AgentKind::Command, &["sh", "-c", "true"]), &home, &["/h/.cache"], &["/h/.claude", "/h", "/tmp"]),
        ];
        for (agent, env, has, has_not) in cases {
            let found = paths(Some(&agent), env);
            for path in has {
                assert!(found.iter().any(|found| found == path), "{path} is not in {found:#?}");
            }
            for path in has_not {
                assert!(!found.iter().any(|found| found == path), "{path} is in {found:#?}");
            }
        }
    }

    #[test]
    fn the_configuration_adds_folders() {
        let write = ["~", "~/data", "/srv/x", "relative", "~other/x"].map(str::to_owned).to_vec();
        let agent = AgentConfig { write, ..AgentConfig::default() };
        let own = |env: &BTreeMap<String, String>| {
            let rows = allowed(Some(&agent), env);
            let own = rows.into_iter().filter(|row| row.kind == Kind::Own);
            own.map(|row| row.path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(own(&BTreeMap::from([("HOME".to_owned(), "/h".to_owned())])), ["/h", "/h/data", "/srv/x"]);
        assert_eq!(own(&BTreeMap::new()), ["/srv/x"]);
    }

    #[test]
    fn without_a_home_only_devices_are_left() {
        assert!(paths(None, &[]).iter().all(|path| path.starts_with("/dev/")));
        assert!(paths(None, &[("HOME", "")]).iter().all(|path| path.starts_with("/dev/")));
    }
}
