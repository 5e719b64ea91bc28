//! Reads a configuration text; errors name the place and the way out.

use super::{AgentConfig, AgentKind, CONFIG_VERSION, Config};
use crate::protocol::jsonc::{self, Node, Span};
use crate::protocol::line_index::LineIndex;
use thiserror::Error;

/// Something in the file that is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Dotted path in the JSON, `agents.claude.modles`.
    pub path: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in UTF-16 units.
    pub column: u32,
    pub message: String,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("read the configuration at line {line}, column {column}{}: {message}", at_path(path))]
pub struct ConfigError {
    /// Dotted path in the JSON; empty for the whole file.
    pub path: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in UTF-16 units.
    pub column: u32,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

fn at_path(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" (`{path}`)") }
}

/// Reads JSON with comments; an empty text is an empty configuration, fields nobody knows become warnings.
pub fn parse_config(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    let reader = Reader { lines: LineIndex::new(text) };
    let document = jsonc::parse(text);
    if let Some(error) = document.errors.first() {
        let hint = "comments and trailing commas are fine; the rest must be JSON".to_owned();
        return Err(reader.error("", &error.span, error.message.clone(), Some(hint)));
    }
    let Some(root) = document.root else { return Ok((Config::default(), Vec::new())) };
    reader.version(&root)?;
    if root.members().is_empty() && !matches!(root.value, jsonc::Value::Object(_)) {
        return Err(reader.error("", &root.span, format!("expected an object, not {}", root.type_name()), None));
    }
    let (config, ignored) = jsonc::decode::<Config>(&root).map_err(|error| {
        let hint = error.path.ends_with(".kind").then(|| {
            "`command` starts any program with the prompt on its standard input, `scripted` follows a script".to_owned()
        });
        reader.error(&error.path, &error.span, error.message, hint)
    })?;
    reader.check(&config, &root)?;
    let warnings = ignored
        .into_iter()
        .map(|field| {
            let position = reader.lines.position(field.span.start);
            Warning {
                message: format!("`{}` is not a setting of this version and is ignored", field.path),
                path: field.path,
                line: position.line + 1,
                column: position.character + 1,
            }
        })
        .collect();
    Ok((config, warnings))
}

struct Reader {
    lines: LineIndex,
}

impl Reader {
    fn error(&self, path: &str, span: &Span, message: String, hint: Option<String>) -> ConfigError {
        let position = self.lines.position(span.start);
        ConfigError { path: path.to_owned(), line: position.line + 1, column: position.character + 1, message, hint }
    }

    /// Fails at the value that `path` names, or at the deepest part of it that exists.
    fn fail<T>(&self, root: &Node, path: &[&str], message: &str, hint: Option<&str>) -> Result<T, ConfigError> {
        let mut node = root;
        for key in path {
            node = match key.parse::<usize>().ok().and_then(|index| node.elements().get(index)).or(node.get(key)) {
                Some(child) => child,
                None => break,
            };
        }
        Err(self.error(&path.join("."), &node.span, message.to_owned(), hint.map(str::to_owned)))
    }

    /// Looks at the version first: a newer form may well have fields this program cannot decode.
    fn version(&self, root: &Node) -> Result<(), ConfigError> {
        let Some(version) = root.get("version") else { return Ok(()) };
        if version.to_json().as_u64() == Some(u64::from(CONFIG_VERSION)) {
            return Ok(());
        }
        let hint = format!("update ralph-sidecar, or write `\"version\": {CONFIG_VERSION}`");
        let message = match version.to_json().as_u64() {
            Some(found) if found > u64::from(CONFIG_VERSION) => {
                format!("version {found} was written by a newer version of ralph-sidecar")
            }
            _ => "this is not a known version of the configuration".to_owned(),
        };
        Err(self.error("version", &version.span, message, Some(hint)))
    }

    fn check(&self, config: &Config, root: &Node) -> Result<(), ConfigError> {
        for (name, agent) in &config.agents {
            self.check_agent(name, agent, root)?;
        }
        if config.parallel == Some(0) {
            return self.fail(root, &["parallel"], "at least one attempt must be able to run", Some("use 1 or more"));
        }
        let limits = &config.limits;
        let zero = [
            ("attempts", limits.attempts == Some(0)),
            ("attempt_seconds", limits.attempt_seconds == Some(0)),
            ("idle_seconds", limits.idle_seconds == Some(0)),
            ("run_seconds", limits.run_seconds == Some(0)),
            ("attempt_tokens", limits.attempt_tokens == Some(0)),
            ("run_tokens", limits.run_tokens == Some(0)),
            ("day_tokens", limits.day_tokens == Some(0)),
        ];
        for (field, is_zero) in zero {
            if is_zero {
                return self.fail(root, &["limits", field], "with 0 nothing could ever run", Some("use 1 or more"));
            }
        }
        let money = [
            ("usd", limits.usd),
            ("attempt_usd", limits.attempt_usd),
            ("run_usd", limits.run_usd),
            ("day_usd", limits.day_usd),
        ];
        for (field, usd) in money {
            if usd.is_some_and(|usd| usd < 0.0) {
                return self.fail(root, &["limits", field], "money cannot be negative", None);
            }
        }
        let retry = &config.retry;
        let zero = [
            ("cycles", retry.cycles == Some(0)),
            ("delay_seconds", retry.delay_seconds == Some(0)),
            ("multiplier", retry.multiplier == Some(0)),
            ("max_seconds", retry.max_seconds == Some(0)),
        ];
        for (field, is_zero) in zero {
            if is_zero {
                return self.fail(root, &["retry", field], "with 0 nothing could be waited out", Some("use 1 or more"));
            }
        }
        for (index, glob) in config.protect.iter().flatten().enumerate() {
            if let Err(error) = globset::Glob::new(glob) {
                let message = format!("this is not a glob: {}", error.kind());
                return self.fail(root, &["protect", &index.to_string()], &message, None);
            }
        }
        Ok(())
    }

    fn check_agent(&self, name: &str, agent: &AgentConfig, root: &Node) -> Result<(), ConfigError> {
        let path = ["agents", name];
        if name.trim().is_empty() {
            return self.fail(root, &path, "an agent needs a name", None);
        }
        if agent.kind == AgentKind::Command && agent.command.is_empty() {
            let hint = "add `\"command\": [\"program\", \"argument\"]`";
            return self.fail(root, &path, "an agent of kind `command` needs `command`", Some(hint));
        }
        if agent.kind == AgentKind::Scripted && agent.script.as_deref().is_none_or(|path| path.trim().is_empty()) {
            let hint = "add `\"script\": \"path/to/script.json\"`";
            return self.fail(root, &path, "an agent of kind `scripted` needs `script`", Some(hint));
        }
        for (variable, value) in &agent.env {
            let named = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if variable.is_empty() || !named || value.contains('\0') {
                return self.fail(
                    root,
                    &["agents", name, "env", variable],
                    "this is not an environment variable",
                    None,
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ConfigError {
        parse_config(text).expect_err(text)
    }

    #[test]
    fn reads_comments_and_both_forms_of_a_command() {
        let text = r#"{ // mine
            "agents": { "a": { "command": "sh -c 'x y'" }, "b": { "kind": "scripted", "script": "s.json" },
                        "c": { "kind": "command", "command": ["p", "q r"], "stop": ["interrupt", "terminate"] }, },
            "verify": ["make", { "run": "npm test", "cwd": "web" }], }"#;
        let (config, warnings) = parse_config(text).unwrap();
        assert_eq!(config.agents["a"].command, ["sh", "-c", "x y"]);
        assert_eq!(config.agents["c"].command, ["p", "q r"]);
        assert_eq!(config.verify.as_ref().map(Vec::len), Some(2));
        assert_eq!(warnings, []);
        let again = parse_config(&serde_json::to_string(&config).unwrap()).unwrap().0;
        assert_eq!(again, config);
    }

    #[test]
    fn unknown_fields_only_warn() {
        let (_, warnings) =
            parse_config("{\n  \"agents\": {\"a\": {\"command\": \"x\", \"modles\": [1]}},\n  \"foo\": 1}").unwrap();
        let found: Vec<_> = warnings.iter().map(|w| (w.path.as_str(), w.line, w.column)).collect();
        assert_eq!(found, [("agents.a.modles", 2, 36), ("foo", 3, 3)]);
    }

    #[test]
    fn errors_name_place_and_way_out() {
        let e = error("{\n \"agents\": {\"a\": {\"kind\": \"magic\"}}}");
        assert_eq!((e.path.as_str(), e.line, e.column), ("agents.a.kind", 2, 27));
        assert!(e.message.contains("`command`") && e.message.contains("`scripted`"), "{e}");
        assert!(e.hint.is_some());
        let e = error("{\"verify\": [\"ok\", 3]}");
        assert_eq!((e.path.as_str(), e.column), ("verify[1]", 19));
        let e = error("{\"agents\": {\"a\": {\"command\": \"open 'quote\"}}}");
        assert_eq!((e.path.as_str(), e.column), ("agents.a.command", 30));
        for (text, path) in [
            ("{\"version\": 2}", "version"),
            ("{\"version\": \"1\"}", "version"),
            ("{\"parallel\": 0}", "parallel"),
            ("{\"limits\": {\"attempts\": 0}}", "limits.attempts"),
            ("{\"limits\": {\"usd\": -1}}", "limits.usd"),
            ("{\"limits\": {\"day_usd\": -1}}", "limits.day_usd"),
            ("{\"limits\": {\"run_tokens\": 0}}", "limits.run_tokens"),
            ("{\"retry\": {\"cycles\": 0}}", "retry.cycles"),
            ("{\"agents\": {\"a\": {}}}", "agents.a"),
            ("{\"agents\": {\"a\": {\"kind\": \"scripted\"}}}", "agents.a"),
            ("{\"agents\": {\"a\": {\"command\": []}}}", "agents.a.command"),
            ("{\"agents\": {\"a\": {\"command\": \"x\", \"env\": {\"A=B\": \"\"}}}}", "agents.a.env.A=B"),
            ("{\"protect\": [\"a\", \"[\"]}", "protect.1"),
            ("{\"autonomy\": \"wild\"}", "autonomy"),
            ("[]", ""),
            ("{", ""),
        ] {
            assert_eq!(error(text).path, path, "{text}");
        }
        assert_eq!(error("{\"agents\": {\"a\": \"x\"}}").message, "invalid type: string \"x\", expected an object");
        assert_eq!(parse_config("").unwrap().0, Config::default());
    }
}
