//! What real agents printed, recorded against a scripted model server and cleaned of places and long lists: opencode
//! 1.18.33, gemini 0.61.0, claude-agent-acp 0.49.0, codex-acp 2.6.0. Each file is all that the agent wrote in one turn.

use super::super::connection::RpcError;
use super::super::failures::{Clock, Told};
use super::super::models::Models;
use super::super::permissions::{Rules, Verdict, option_for};
use super::super::quirks::{Program, Signs};
use super::super::turn::{is_message, usage_of};
use super::super::updates::Updates;
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use crate::infra::agents::recorded;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use crate::protocol::config::Role;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a recording says.
#[derive(Default)]
struct Played {
    ending: Option<Ending>,
    lines: Vec<AgentLine>,
    /// One mark for each permission asked for: allowed, denied.
    permissions: String,
    tokens: u64,
    models: usize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acp")
}

fn recordings() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder())
        .expect("the corpus is there")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("readable"))
        })
        .collect();
    found.sort();
    found
}

/// Plays what an agent wrote as a turn would hear it.
fn play(name: &str, text: &str) -> Played {
    let program = Program::of([name]);
    let clock = Clock { now: "2026-11-21T12:00:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC };
    let (mut updates, mut signs, mut played) = (Updates::default(), Signs::default(), Played::default());
    for line in text.lines().filter(|line| is_message(line)) {
        let message: Value = serde_json::from_str(line).expect("a message is JSON");
        let params = &message["params"];
        match (message["method"].as_str(), message["id"].as_u64()) {
            (Some("session/update"), _) => {
                signs.hear(&params["update"], &mut updates);
                if signs.is_stuck(program) {
                    played.ending = Some(super::super::stuck());
                }
                played.lines.extend(updates.hear(&params["update"], Path::new("/slot")));
            }
            (Some("session/request_permission"), _) => {
                let rules = Rules { slot: Path::new("/slot"), write: &[], role: Role::Implementer, fenced: false };
                let verdict = rules.decide(&updates.tool_of(&params["toolCall"]), Path::to_path_buf);
                assert!(option_for(&verdict, &params["options"]).is_some(), "{name}: no option fits: {line}");
                played.permissions.push(if verdict == Verdict::Allowed { 'a' } else { 'd' });
            }
            (None, Some(2)) => played.models = Models::of_session(&message["result"]).offered.len(),
            // The first corpus numbers its requests; later recordings have stand-ins for their names.
            (None, number) if number == Some(3) || number.is_none() && is_end(&message) => {
                let result = &message["result"];
                let error = &message["error"];
                played.tokens = usage_of(result).map_or(0, |usage| usage.tokens());
                played.ending.get_or_insert(match error.is_object() {
                    true => {
                        let code = error["code"].as_i64().and_then(|code| i32::try_from(code).ok()).expect("a code");
                        let message = error["message"].as_str().unwrap_or_default().to_owned();
                        Told::by_error(&RpcError { code, message, data: error["data"].clone(), gone: false })
                            .ending(&clock)
                    }
                    false => signs.ending(program, result, &updates, &clock),
                });
            }
            _ => {}
        }
    }
    played
}

/// Tells whether an answer ends the turn: to a prompt, or to whatever failed.
fn is_end(message: &Value) -> bool {
    message["result"]["stopReason"].is_string() || message["error"].is_object()
}

#[test]
fn each_recording_ends_as_what_happened_to_it() {
    use Outcome::{Auth, ContextExhausted, InvalidOutput, ModelUnavailable, Network, Overloaded, RateLimited};
    let failures = [
        ("auth", Auth),
        ("billing", Auth),
        ("context", ContextExhausted),
        ("dropped", Network),
        // A refusal without a class or a word that tells.
        ("error", InvalidOutput),
        ("limit", RateLimited),
        ("model", ModelUnavailable),
        ("overload", Overloaded),
        ("quota", RateLimited),
    ];
    let recordings = recordings();
    assert!(recordings.len() >= 24, "{} recordings", recordings.len());
    for (name, text) in recordings {
        let (_, what) = name.split_once('-').expect("agent and what happened");
        let ending = play(&name, &text).ending.unwrap_or_else(|| panic!("{name}: no end"));
        let expected = failures.iter().find(|(happened, _)| *happened == what).map(|(_, outcome)| *outcome);
        assert_eq!(ending.failure, expected, "{name}: {}", ending.detail);
        assert!(!ending.detail.contains("Warning"), "{name}: {}", ending.detail);
    }
}

#[test]
fn recordings_of_the_real_programs_end_as_their_tests_saw() {
    for agent in ["claude-agent-acp", "codex-acp", "gemini", "opencode"] {
        for recording in recorded::of(agent) {
            for line in recording.text.lines() {
                assert!(is_message(line), "{agent}, {}: {line}", recording.name);
                // A line that is not whole is no message, so the turn is as it was before it.
                assert!(recorded::cuts(line).all(|cut| !is_message(&line[..cut])), "{agent}, {}", recording.name);
            }
            let Some(outcome) = recording.outcome else { continue };
            let ending = play(agent, &recording.text).ending.unwrap_or_else(|| panic!("{agent}, {}", recording.name));
            let failure = ending.failure.map(|failure| failure.as_str().to_owned());
            assert_eq!(failure, outcome, "{agent}, {}: {}", recording.name, ending.detail);
        }
    }
}

#[test]
fn work_is_told_and_its_questions_are_answered() {
    let rows = [("opencode", "aa", 150), ("gemini", "aa", 450), ("claude", "a", 640), ("codex", "", 450)];
    for (agent, permissions, tokens) in rows {
        let name = format!("{agent}-write");
        let played = play(&name, &std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).expect("readable"));
        assert_eq!((played.permissions.as_str(), played.tokens), (permissions, tokens), "{name}");
        assert!(played.models >= 2, "{name}: {} models", played.models);
        let tools = |wanted: ToolStatus| {
            played
                .lines
                .iter()
                .filter(|line| matches!(line, AgentLine::Tool { status, .. } if *status == wanted))
                .count()
        };
        assert!(tools(ToolStatus::Completed) >= 2, "{name}: {:?}", played.lines);
        let writes = played.lines.iter().any(|line| match line {
            AgentLine::Tool { title, detail, .. } => format!("{title} {detail}").contains("hello.txt"),
            _ => false,
        });
        assert!(writes, "{name}: {:?}", played.lines);
        let said = |line: &AgentLine| matches!(line, AgentLine::Said { text } if text.contains("done."));
        assert!(played.lines.iter().any(said), "{name}");
        assert!(!played.lines.iter().any(|line| matches!(line, AgentLine::Raw { .. })), "{name}: {:?}", played.lines);
    }
    for agent in ["opencode", "claude"] {
        let name = format!("{agent}-outside");
        let played = play(&name, &std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).expect("readable"));
        assert!(played.permissions.starts_with('d'), "{name}: {}", played.permissions);
    }
}

#[test]
fn a_recording_may_be_cut_at_every_byte() {
    for (name, text) in recordings() {
        let whole = play(&name, &text);
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            let end = begin + line.trim_end().len();
            // A line that is not whole is no message, so the turn is as it was before it.
            for cut in (begin..end).filter(|cut| text.is_char_boundary(*cut)) {
                assert!(!is_message(&text[begin..cut]), "{name}: cut at {cut}");
            }
            let before = play(&name, &text[..begin]);
            assert!(before.ending.is_none() || begin >= text.len() || before.ending == whole.ending, "{name}: {begin}");
            assert!(
                before.lines.len() <= whole.lines.len() && whole.lines.starts_with(&before.lines),
                "{name}: {begin}"
            );
            begin += line.len();
        }
    }
}
