//! The agents, and how each is pointed at the model server: with its own settings, as a user would write them.

use super::Bench;
use ralph_sidecar::protocol::config::{AgentConfig, AgentKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One agent.
pub struct Subject {
    /// As in `tests/agents/install` and in `docs/agents.md`.
    pub name: &'static str,
    /// The variable with the path of its program; none for our own.
    pub variable: Option<&'static str>,
    pub model: Option<&'static str>,
    /// Whether its model counts the tokens of each request, rather than naming the same number each time.
    pub counted: bool,
    /// Writes the agent's own settings for a program and an address, and returns ours.
    pub configure: fn(&Bench, &str, &str) -> AgentConfig,
}

impl Subject {
    /// Configures the agent for a scenario of the bench's model server.
    pub fn agent(&self, bench: &Bench, scenario: &str) -> AgentConfig {
        let program = self.program().display().to_string();
        let mut agent = (self.configure)(bench, &program, &bench.mock.url(scenario, Bench::RUN));
        agent.models = self.model.map(str::to_owned).into_iter().collect();
        agent
    }

    /// Returns the agent's program.
    pub fn program(&self) -> PathBuf {
        let Some(variable) = self.variable else { return PathBuf::from(super::PROGRAM) };
        let path = std::env::var_os(variable);
        PathBuf::from(path.unwrap_or_else(|| panic!("{variable} is not set; `tests/run agents` installs the agents")))
    }
}

pub const CLAUDE: Subject = Subject {
    name: "claude",
    variable: Some("RALPH_TEST_CLAUDE"),
    model: Some("claude-sonnet-4-5"),
    counted: false,
    configure: |bench, program, url| AgentConfig {
        kind: AgentKind::Claude,
        command: vec![program.into()],
        env: anthropic(bench, url),
        ..AgentConfig::default()
    },
};

pub const CODEX: Subject = Subject {
    name: "codex",
    variable: Some("RALPH_TEST_CODEX"),
    model: Some("mock-model"),
    counted: false,
    configure: |bench, program, url| AgentConfig {
        kind: AgentKind::Codex,
        command: vec![program.into()],
        env: openai(bench, url),
        ..AgentConfig::default()
    },
};

pub const OPENCODE: Subject = Subject {
    name: "opencode",
    variable: Some("RALPH_TEST_OPENCODE"),
    model: None,
    counted: false,
    configure: |bench, program, url| {
        let settings = json!({
            "provider": { "mock": {
                "npm": "@ai-sdk/openai-compatible",
                "options": { "baseURL": format!("{url}/v1"), "apiKey": "dummy" },
                "models": { "mock-model": { "limit": { "context": 100_000, "output": 4000 },
                    "cost": { "input": 3, "output": 15 } } },
            } },
            "model": "mock/mock-model",
            "small_model": "mock/mock-model",
            "autoupdate": false,
            "share": "disabled",
        });
        bench.settings("config/opencode/opencode.json", &settings.to_string());
        let switches = ["OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_PURE"];
        AgentConfig {
            kind: AgentKind::Acp,
            command: vec![program.into(), "acp".into()],
            env: switches.map(|name| (name.to_owned(), "1".to_owned())).into(),
            ..AgentConfig::default()
        }
    },
};

pub const GEMINI: Subject = Subject {
    name: "gemini",
    variable: Some("RALPH_TEST_GEMINI"),
    model: None,
    counted: false,
    configure: |bench, program, url| {
        let settings = json!({
            "security": { "auth": { "selectedType": "gemini-api-key" } },
            "privacy": { "usageStatisticsEnabled": false },
            "general": { "enableAutoUpdate": false, "maxAttempts": 1 },
        });
        bench.settings("home/.gemini/settings.json", &settings.to_string());
        let env = [
            ("GOOGLE_GEMINI_BASE_URL", url),
            ("GEMINI_API_KEY", "dummy"),
            ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
            ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ];
        AgentConfig {
            kind: AgentKind::Acp,
            command: [program, "--acp", "-m", "gemini-2.5-pro"].map(str::to_owned).into(),
            env: owned(&env),
            ..AgentConfig::default()
        }
    },
};

pub const CLAUDE_AGENT_ACP: Subject = Subject {
    name: "claude-agent-acp",
    variable: Some("RALPH_TEST_CLAUDE_AGENT_ACP"),
    model: None,
    counted: false,
    configure: |bench, program, url| AgentConfig {
        kind: AgentKind::Acp,
        command: vec![program.into()],
        env: anthropic(bench, url),
        ..AgentConfig::default()
    },
};

pub const CODEX_ACP: Subject = Subject {
    name: "codex-acp",
    variable: Some("RALPH_TEST_CODEX_ACP"),
    model: None,
    counted: false,
    configure: |bench, program, url| AgentConfig {
        kind: AgentKind::Acp,
        command: vec![program.into()],
        env: openai(bench, url),
        ..AgentConfig::default()
    },
};

/// Our own agent, with Ollama.
pub const OLLAMA: Subject = Subject {
    name: "built-in on Ollama",
    variable: None,
    model: Some("mock-model"),
    counted: true,
    configure: |_, _, url| AgentConfig {
        kind: AgentKind::BuiltIn,
        url: Some(format!("{url}/api")),
        ..AgentConfig::default()
    },
};

/// Our own agent, with an endpoint that speaks as OpenAI does.
pub const OPENAI: Subject = Subject {
    name: "built-in on OpenAI's API",
    variable: None,
    model: Some("mock-model"),
    counted: false,
    configure: |_, _, url| AgentConfig {
        kind: AgentKind::BuiltIn,
        // Beside `/v1` it would find Ollama, and rather speak to that.
        url: Some(format!("{url}/openai")),
        key_env: Some("MOCK_KEY".into()),
        env: owned(&[("MOCK_KEY", "dummy")]),
        ..AgentConfig::default()
    },
};

fn owned(env: &[(&str, &str)]) -> BTreeMap<String, String> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Points Claude Code at the server, with few retries and short patience, so that every case is bounded.
fn anthropic(bench: &Bench, url: &str) -> BTreeMap<String, String> {
    let folder = bench.base().join("home/.claude").display().to_string();
    owned(&[
        ("ANTHROPIC_BASE_URL", url),
        ("ANTHROPIC_API_KEY", "sk-ant-dummy"),
        ("CLAUDE_CONFIG_DIR", &folder),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", "1"),
        ("API_TIMEOUT_MS", "5000"),
    ])
}

/// Points codex at the server, with few retries and short patience, so that every case is bounded.
fn openai(bench: &Bench, url: &str) -> BTreeMap<String, String> {
    let settings = format!(
        r#"model = "mock-model"
model_provider = "mock"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.mock]
name = "mock"
base_url = "{url}/v1"
env_key = "MOCK_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 1
stream_idle_timeout_ms = 3000
"#
    );
    bench.settings("home/.codex/config.toml", &settings);
    let folder = bench.base().join("home/.codex").display().to_string();
    owned(&[("CODEX_HOME", &folder), ("MOCK_KEY", "dummy")])
}

impl Bench {
    /// Writes a file of settings, at a path inside the bench's folder.
    fn settings(&self, path: &str, text: &str) {
        let path = self.base().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("settings");
    }
}
