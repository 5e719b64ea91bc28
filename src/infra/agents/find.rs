//! Finding the agents of a machine, and proposing a chain of them. Nothing is started and no request is made, but to an
//! Ollama on this machine.

use super::built_in;
use crate::infra::sandbox::Support;
use crate::protocol::config::{AgentConfig, AgentKind, Role};
use crate::protocol::drive::{Budget, DriveOrder};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// An agent that can be used, or what is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its name in the configuration.
    pub name: &'static str,
    pub kind: AgentKind,
    /// Absent where it is not installed; for the built-in agent the address of the endpoint.
    pub program: Option<PathBuf>,
    pub signed_in: SignedIn,
    /// What the configuration says about it.
    pub config: AgentConfig,
    /// How that was told; where it cannot be used, what to do, as one line.
    pub why: String,
}

/// Whether somebody is signed in, as far as files and the environment tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedIn {
    Yes,
    No,
    Unknown,
}

impl Found {
    /// Tells whether it belongs into a chain.
    pub fn is_usable(&self) -> bool {
        self.program.is_some() && self.signed_in != SignedIn::No
    }
}

/// What is proposed to be written into a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proposal {
    pub agents: BTreeMap<String, AgentConfig>,
    /// The order to try them in, for every role.
    pub chain: Vec<String>,
}

/// The surroundings of one look.
pub struct Surroundings<'a> {
    pub path: Option<&'a OsStr>,
    pub home: Option<&'a Path>,
    pub var: &'a dyn Fn(&str) -> Option<String>,
}

/// Best first: agents that tell most about how they end, then those that are told the same by a common protocol.
const PROGRAMS: [Program; 4] = [
    Program {
        name: "claude",
        kind: AgentKind::Claude,
        command: &[],
        install: "npm install -g @anthropic-ai/claude-code, then run `claude` once and sign in",
        sign_in: "run `claude` once and sign in, or set ANTHROPIC_API_KEY",
        keys: &[
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
        ],
        logins: &[("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json")],
        // The system's keychain, or a helper that the settings name.
        maybe: &[("CLAUDE_CONFIG_DIR", ".claude", "settings.json"), ("", "Library/Keychains", "")],
    },
    Program {
        name: "codex",
        kind: AgentKind::Codex,
        command: &[],
        install: "npm install -g @openai/codex, then run `codex login`",
        sign_in: "run `codex login`",
        keys: &["CODEX_API_KEY"],
        logins: &[("CODEX_HOME", ".codex", "auth.json")],
        // It may name a provider with a key of its own, or none.
        maybe: &[("CODEX_HOME", ".codex", "config.toml")],
    },
    Program {
        name: "opencode",
        kind: AgentKind::Acp,
        command: &["opencode", "acp"],
        install: "npm install -g opencode-ai, then run `opencode auth login`",
        sign_in: "run `opencode auth login`",
        keys: &["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY"],
        logins: &[("XDG_DATA_HOME", ".local/share", "opencode/auth.json")],
        // Its own models need no login.
        maybe: &[("", "", "")],
    },
    Program {
        name: "gemini",
        kind: AgentKind::Acp,
        command: &["gemini", "--acp"],
        install: "npm install -g @google/gemini-cli, then run `gemini` once and sign in",
        sign_in: "run `gemini` once and sign in, or set GEMINI_API_KEY",
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"],
        logins: &[("", ".gemini", "oauth_creds.json")],
        maybe: &[("", "Library/Keychains", "")],
    },
];

/// What is known about one agent. Files are told by the variable that moves their folder, the folder's default below the
/// home folder, and the name in it.
struct Program {
    name: &'static str,
    kind: AgentKind,
    command: &'static [&'static str],
    install: &'static str,
    sign_in: &'static str,
    /// Variables that sign in.
    keys: &'static [&'static str],
    /// Files that are there when somebody is signed in.
    logins: &'static [(&'static str, &'static str, &'static str)],
    /// Files with which somebody may be signed in otherwise.
    maybe: &'static [(&'static str, &'static str, &'static str)],
}

/// Looks for programs; those that are not installed are told as well.
pub fn find_programs(around: &Surroundings<'_>) -> Vec<Found> {
    PROGRAMS.iter().map(|program| program.look(around)).collect()
}

/// As [`find_programs`], with the surroundings of this process, and with the built-in agent on Ollama.
pub async fn find() -> Vec<Found> {
    let (path, home) = (std::env::var_os("PATH"), std::env::var_os("HOME").map(PathBuf::from));
    let var = |name: &str| std::env::var(name).ok();
    let mut found = find_programs(&Surroundings { path: path.as_deref(), home: home.as_deref(), var: &var });
    found.push(find_built_in().await);
    found
}

async fn find_built_in() -> Found {
    let config = AgentConfig { kind: AgentKind::BuiltIn, ..AgentConfig::default() };
    built_in_found(built_in::find(&config).await, config)
}

/// Tells what the endpoint of the built-in agent is good for.
fn built_in_found(found: Result<built_in::Found, String>, mut config: AgentConfig) -> Found {
    let (program, signed_in, why) = match found {
        Err(_) => {
            let why = "no Ollama answers here: start it and pull a model that calls tools; or name another endpoint \
                       under `agents`, of kind `built-in` with `url`, `key_env` and `models`";
            (None, SignedIn::No, why.to_owned())
        }
        Ok(found) => {
            let program = Some(PathBuf::from(&found.url));
            match found.models.iter().find(|model| model.may_loop()) {
                Some(model) => {
                    config.models = vec![model.name.clone()];
                    (program, SignedIn::Yes, format!("Ollama has `{}`; no login is needed", model.name))
                }
                None if found.models.is_empty() => {
                    (program, SignedIn::No, "Ollama has no model: pull one that calls tools".to_owned())
                }
                None => {
                    let names: Vec<&str> = found.models.iter().map(|model| model.name.as_str()).collect();
                    let why = format!(
                        "too weak to loop: {}; pull a model that calls tools and has a window of {} tokens",
                        names.join(", "),
                        built_in::LEAST_WINDOW
                    );
                    (program, SignedIn::No, why)
                }
            }
        }
    };
    Found { name: "built-in", kind: AgentKind::BuiltIn, program, signed_in, config, why }
}

impl Program {
    fn look(&self, around: &Surroundings<'_>) -> Found {
        let command: Vec<String> = self.command.iter().map(|word| (*word).to_owned()).collect();
        let config = AgentConfig { kind: self.kind, command, ..AgentConfig::default() };
        let program = find_program(self.name, around.path, Path::new("/"));
        let (signed_in, why) = match &program {
            None => (SignedIn::Unknown, format!("it is not installed: {}", self.install)),
            Some(_) => self.signed_in(around),
        };
        Found { name: self.name, kind: self.kind, program, signed_in, config, why }
    }

    fn signed_in(&self, around: &Surroundings<'_>) -> (SignedIn, String) {
        let is_set = |name: &&&str| (around.var)(name).is_some_and(|value| !value.trim().is_empty());
        if let Some(key) = self.keys.iter().find(is_set) {
            return (SignedIn::Yes, format!("{key} is set"));
        }
        let place = |(variable, default, name): &(&str, &str, &str)| {
            let moved = (around.var)(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            Some(moved.or_else(|| Some(around.home?.join(default)))?.join(name))
        };
        if let Some(login) = self.logins.iter().filter_map(place).find(|path| has_content(path)) {
            return (SignedIn::Yes, format!("{} is there", login.display()));
        }
        if self.maybe.iter().filter_map(place).any(|path| path.exists()) {
            return (SignedIn::Unknown, "whether somebody is signed in shows at its first request".to_owned());
        }
        (SignedIn::No, format!("nobody is signed in: {}", self.sign_in))
    }
}

/// Tells whether a file says something; logins that were left are `{}`.
fn has_content(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| !matches!(text.trim(), "" | "{}"))
}

/// Finds a program as the system would: with a slash relative to the root, else in the folders of `PATH`.
pub fn find_program(program: &str, path: Option<&OsStr>, root: &Path) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(root.join(program)).filter(executable);
    }
    std::env::split_paths(path?).map(|folder| folder.join(program)).find(executable)
}

/// Proposes the agents that can be used, in the order in which they were found.
pub fn propose(found: &[Found]) -> Proposal {
    let usable = || found.iter().filter(|found| found.is_usable());
    Proposal {
        agents: usable().map(|found| (found.name.to_owned(), found.config.clone())).collect(),
        chain: usable().map(|found| found.name.to_owned()).collect(),
    }
}

/// Returns the line that says what would be started for a role, as a shell would read it.
pub fn command_line(name: &str, agent: &AgentConfig, role: Role, support: &Support) -> String {
    let order = DriveOrder {
        name: name.to_owned(),
        agent: agent.clone(),
        role,
        model: agent.models.first().cloned(),
        prompt: PathBuf::from("PROMPT"),
        session: None,
        budget: Budget::default(),
        fenced: support.is_held(),
    };
    let words = super::command_line(&order, "ralph-sidecar");
    let words = words.unwrap_or_else(|| vec!["ralph-sidecar".into(), "agent".into(), "ORDER".into()]);
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A machine with these programs, files in its home and variables.
    fn look(programs: &[&str], files: &[(&str, &str)], vars: &[(&str, &str)]) -> Vec<Found> {
        let folder = tempfile::tempdir().expect("folder");
        let (bin, home) = (folder.path().join("bin"), folder.path().join("home"));
        fs::create_dir_all(&bin).expect("made");
        fs::create_dir_all(&home).expect("made");
        for program in programs {
            fs::write(bin.join(program), "").expect("written");
            fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).expect("executable");
        }
        for (name, text) in files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        let var = |name: &str| vars.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        find_programs(&Surroundings { path: Some(bin.as_os_str()), home: Some(&home), var: &var })
    }

    fn signed_in(found: &[Found], name: &str) -> Option<SignedIn> {
        let found = found.iter().find(|found| found.name == name)?;
        found.program.is_some().then_some(found.signed_in)
    }

    #[test]
    fn logins_are_told_by_files_and_variables() {
        use SignedIn::{No, Unknown, Yes};
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], SignedIn);
        let cases: [Case<'_>; 14] = [
            ("claude", &[], &[], No),
            ("claude", &[], &[("ANTHROPIC_API_KEY", "k")], Yes),
            ("claude", &[], &[("ANTHROPIC_API_KEY", " ")], No),
            ("claude", &[(".claude/.credentials.json", "{\"a\":1}")], &[], Yes),
            ("claude", &[(".claude/.credentials.json", "{}")], &[], No),
            ("claude", &[(".claude/settings.json", "{}")], &[], Unknown),
            ("codex", &[], &[], No),
            ("codex", &[(".codex/auth.json", "{\"a\":1}")], &[], Yes),
            ("codex", &[(".codex/config.toml", "")], &[], Unknown),
            ("codex", &[], &[("CODEX_API_KEY", "k")], Yes),
            ("opencode", &[], &[], Unknown),
            ("opencode", &[(".local/share/opencode/auth.json", "{\"a\":1}")], &[], Yes),
            ("gemini", &[], &[], No),
            ("gemini", &[(".gemini/oauth_creds.json", "{\"a\":1}")], &[], Yes),
        ];
        for (name, files, vars, expected) in cases {
            assert_eq!(signed_in(&look(&[name], files, vars), name), Some(expected), "{name} {files:?} {vars:?}");
        }
    }

    #[test]
    fn folders_that_were_moved_are_looked_into() {
        let elsewhere = tempfile::tempdir().expect("folder");
        fs::write(elsewhere.path().join("auth.json"), "{\"a\":1}").expect("written");
        let moved = elsewhere.path().display().to_string();
        assert_eq!(signed_in(&look(&["codex"], &[], &[("CODEX_HOME", &moved)]), "codex"), Some(SignedIn::Yes));
    }

    #[test]
    fn the_chain_has_what_can_be_used_in_order() {
        let key = [("ANTHROPIC_API_KEY", "k")];
        assert_eq!(propose(&look(&["opencode", "claude", "codex"], &[], &key)).chain, ["claude", "opencode"]);
        assert_eq!(propose(&look(&["codex"], &[], &key)).chain, Vec::<String>::new());
        let none = look(&[], &[], &key);
        assert_eq!(propose(&none), Proposal::default());
        assert!(none.iter().all(|found| found.why.contains("install")), "{none:#?}");
        let proposal = propose(&look(&["opencode"], &[], &[]));
        assert_eq!(proposal.agents["opencode"].command, ["opencode", "acp"]);
    }

    #[test]
    fn a_model_that_can_loop_is_chosen() {
        let model = |name: &str, window, tools| built_in::FoundModel { name: name.to_owned(), window, tools };
        let ollama = |models: Vec<built_in::FoundModel>| {
            let found = built_in::Found { url: "http://127.0.0.1:11434".to_owned(), is_ollama: true, models };
            built_in_found(Ok(found), AgentConfig { kind: AgentKind::BuiltIn, ..AgentConfig::default() })
        };
        let good = ollama(vec![model("tiny", Some(2048), Some(true)), model("big", Some(65536), Some(true))]);
        assert_eq!((good.config.models.as_slice(), good.is_usable()), (&["big".to_owned()][..], true));
        let weak = ollama(vec![model("tiny", Some(2048), Some(true)), model("mute", Some(65536), Some(false))]);
        assert!(!weak.is_usable() && weak.why.contains("too weak to loop: tiny, mute"), "{}", weak.why);
        assert!(!ollama(Vec::new()).is_usable());
        assert!(!built_in_found(Err("refused".to_owned()), AgentConfig::default()).is_usable());
    }

    #[test]
    fn command_lines_are_those_of_the_adapters() {
        let line = |kind, command: &[&str], role| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            command_line("a", &AgentConfig { kind, command, ..AgentConfig::default() }, role, &Support::Held { abi: 7 })
        };
        assert!(line(AgentKind::Claude, &[], Role::Implementer).starts_with("claude -p --output-format stream-json"));
        assert_ne!(line(AgentKind::Claude, &[], Role::Implementer), line(AgentKind::Claude, &[], Role::Planner));
        assert_eq!(line(AgentKind::Codex, &[], Role::Implementer), "codex app-server");
        assert_eq!(line(AgentKind::Acp, &["opencode", "acp"], Role::Planner), "opencode acp");
        assert_eq!(line(AgentKind::BuiltIn, &[], Role::Planner), "ralph-sidecar agent ORDER");
    }

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        let folder = tempfile::tempdir().expect("folder");
        for (name, mode) in [("agent", 0o755), ("data", 0o644)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        }
        let path = std::env::join_paths(["/nonexistent".as_ref(), folder.path()]).expect("a path");
        let find = |program: &str| find_program(program, Some(&path), folder.path()).is_some();
        for (program, there) in
            [("agent", true), ("data", false), ("none", false), ("./agent", true), ("./data", false), ("/bin/sh", true)]
        {
            assert_eq!(find(program), there, "{program}");
        }
    }
}
