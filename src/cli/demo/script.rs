//! What the demonstration is made of: a repository of three small files, and everything its agent will do.

use crate::infra::scripted::SCRIPT_VERSION;
use serde_json::{Value, json};

/// Name of the repository's folder.
pub const REPOSITORY: &str = "greeter";
/// What the person asks for.
pub const GOAL: &str = "Greet people by name and say goodbye to them";

/// The task whose first attempt fails its check.
pub const GREET: &str = "greet-by-name-5e1f0a";
/// The task that asks a question.
pub const FAREWELL: &str = "say-goodbye-90b1d3";
/// The task that depends on both.
pub const CHAT: &str = "hold-a-conversation-c0ffee";

/// Returns the files of the first commit.
pub fn files() -> [(&'static str, &'static str); 2] {
    [
        ("greet.sh", "# Greets whoever it is started for.\necho \"Hello!\"\n"),
        ("README", "A small program that greets.\n\n    sh greet.sh Ada\n"),
    ]
}

/// Returns the check of a task, a shell command line.
fn check(program: &str, says: &str) -> String {
    format!("test \"$(sh {program} Ada)\" = \"{says}\"")
}

/// Returns the script of the agent: the plan, and what each attempt does.
pub fn script() -> Value {
    json!({ "version": SCRIPT_VERSION, "planner": planner(), "tasks": {
        GREET: { "1": greet_wrongly(), "*": greet() },
        FAREWELL: { "1": ask(), "*": farewell() },
        CHAT: { "*": chat() },
    } })
}

fn planner() -> Value {
    let plan = json!({ "tasks": [
        {
            "id": GREET,
            "title": "Greet by name",
            "description": "greet.sh must greet the person whose name is its first argument.",
            "acceptance": ["`sh greet.sh Ada` says `Hello, Ada!`"],
            "verify": [check("greet.sh", "Hello, Ada!")],
            "files": ["greet.sh"],
        },
        {
            "id": FAREWELL,
            "title": "Say goodbye",
            "description": "A new program that takes leave of the person. Which words it uses is for a person to say.",
            "acceptance": ["`sh farewell.sh Ada` takes leave of Ada"],
            "verify": ["sh farewell.sh Ada | grep Ada"],
            "files": ["farewell.sh"],
        },
        {
            "id": CHAT,
            "title": "Hold a conversation",
            "description": "A new program that greets and then takes leave, by the other two.",
            "depends_on": [GREET, FAREWELL],
            "acceptance": ["it greets first and takes leave last"],
            "verify": ["sh chat.sh Ada | head -n 1 | grep 'Hello, Ada!'", "test $(sh chat.sh Ada | wc -l) -eq 2"],
            "files": ["chat.sh"],
        },
    ] });
    json!([
        { "say": { "text": "Reading greet.sh and README." } },
        { "report": { "type": "submit_plan", "plan": plan } },
    ])
}

fn greet_wrongly() -> Value {
    json!([
        { "say": { "text": "I add the name, and forget the comma." } },
        { "replace": { "path": "greet.sh", "find": "Hello!", "with": "Hello $1!" } },
        { "report": { "type": "finished", "summary": "It greets by name." } },
    ])
}

fn greet() -> Value {
    json!([
        { "say": { "text": "The check failed: there must be a comma." } },
        { "replace": { "path": "greet.sh", "find": "Hello $1!", "with": "Hello, $1!" } },
        { "run": { "command": check("greet.sh", "Hello, Ada!") } },
        { "report": { "type": "finished", "summary": "It greets by name, with a comma." } },
    ])
}

fn ask() -> Value {
    json!([{ "report": {
        "type": "ask",
        "question": "How should it take leave?",
        "options": ["Goodbye", "See you"],
        "recommend": "See you",
    } }])
}

/// What the agent writes follows from the answer in its prompt, so the demonstration shows that it arrives there.
fn farewell() -> Value {
    let write = r#"if grep "See you" "$RALPH_PROMPT_FILE" >/dev/null; then words="See you"; else words="Goodbye"; fi
printf '# Takes leave of whoever it is started for.\necho "%s, $1!"\n' "$words" > farewell.sh"#;
    json!([
        { "run": { "command": write } },
        { "report": { "type": "finished", "summary": "It takes leave with the words that were chosen." } },
    ])
}

fn chat() -> Value {
    json!([
        { "write": {
            "path": "chat.sh",
            "text": "# Greets, then takes leave.\nsh \"$(dirname \"$0\")/greet.sh\" \"$1\"\nsh \"$(dirname \"$0\")/farewell.sh\" \"$1\"\n",
        } },
        { "append": { "path": "README", "text": "    sh chat.sh Ada\n" } },
        { "report": { "type": "finished", "summary": "It greets and takes leave." } },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::scripted::Script;
    use crate::protocol::plan_text::parse_plan;

    #[test]
    fn the_plan_keeps_its_ids_and_is_valid() {
        let script = script();
        let plan = &script["planner"][1]["report"]["plan"];
        let ids: Vec<String> =
            parse_plan(plan, &[], 7).expect("a valid plan").tasks.into_iter().map(|task| task.id.0).collect();
        assert_eq!(ids, [GREET, FAREWELL, CHAT]);
        let read: Script = serde_json::from_value(script).expect("a valid script");
        assert_eq!(read.tasks.len(), 3);
    }
}
