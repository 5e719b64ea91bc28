//! Finds an agent's own tool for a step: names and fields are read off what the request offers.

use super::conversation::{Request, Tool};
use super::play::Step;
use serde_json::{Map, Value, json};

/// What the model answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Words that end the turn.
    Words(String),
    /// A call of a tool.
    Call { name: String, namespace: Option<String>, arguments: Value },
}

impl Answer {
    /// Returns the answer in a few words, for the journal.
    pub fn shown(&self) -> String {
        match self {
            Self::Words(text) => format!("says {text:?}"),
            Self::Call { name, arguments, .. } => format!("calls {name} {arguments}"),
        }
    }
}

/// Names of the field of a tool, whichever of them its schema has.
const PATH: &[&str] = &["file_path", "filePath", "path", "absolute_path", "target_file"];
const CONTENT: &[&str] = &["content", "contents", "text"];
const COMMAND: &[&str] = &["command", "cmd", "script"];
const OLD: &[&str] = &["old_string", "oldString", "old_text", "old", "find"];
const NEW: &[&str] = &["new_string", "newString", "new_text", "new", "replace"];

/// Turns a step into a call of a tool the request offers; words that say what is missing, if it offers none.
pub fn answer(step: &Step, request: &Request) -> Answer {
    match step {
        Step::Say(text) => Answer::Words(text.clone()),
        Step::Shell(command) => shell(request, command),
        Step::Write { path, text } => write(request, path, text),
        Step::Edit { path, old, new } => edit(request, path, old, new),
        Step::Read { path } => match find(request, &["Read", "read", "read_file"]) {
            Some(tool) => call(tool, &[(PATH, json!(path))]),
            None => shell(request, &format!("cat {path}")),
        },
        Step::Report { tool, arguments } => report(request, tool, arguments),
        Step::Call { name, arguments } => match find(request, &[name]) {
            Some(tool) => given(tool, arguments.clone()),
            None => missing(request, name),
        },
    }
}

fn shell(request: &Request, command: &str) -> Answer {
    let names = ["Bash", "exec_command", "shell_command", "bash", "run_shell_command", "run", "shell"];
    match find(request, &names) {
        Some(tool) => call(tool, &[(COMMAND, json!(command))]),
        None => missing(request, "a shell"),
    }
}

fn write(request: &Request, path: &str, text: &str) -> Answer {
    if let Some(tool) = find(request, &["Write", "write", "write_file"]) {
        return call(tool, &[(PATH, json!(path)), (CONTENT, json!(text))]);
    }
    // Codex edits by a command of its own, which it takes out of the shell.
    let added: String = text.lines().map(|line| format!("+{line}\n")).collect();
    patch(request, &format!("*** Add File: {path}\n{added}"))
}

fn edit(request: &Request, path: &str, old: &str, new: &str) -> Answer {
    if let Some(tool) = find(request, &["Edit", "edit", "replace", "edit_file"]) {
        return call(tool, &[(PATH, json!(path)), (OLD, json!(old)), (NEW, json!(new))]);
    }
    patch(request, &format!("*** Update File: {path}\n@@\n-{old}\n+{new}\n"))
}

fn patch(request: &Request, body: &str) -> Answer {
    shell(request, &format!("apply_patch <<'EOF'\n*** Begin Patch\n{body}*** End Patch\nEOF\n"))
}

/// Calls a tool of our server, under whatever name the agent gives it.
fn report(request: &Request, name: &str, arguments: &Value) -> Answer {
    let ours = |tool: &&Tool| {
        tool.name == name || tool.name.ends_with(&format!("_{name}")) || tool.name.ends_with(&format!(".{name}"))
    };
    if let Some(tool) = request.tools.iter().find(ours) {
        return given(tool, arguments.clone());
    }
    // Claude loads the tools of some servers only when they are searched for.
    match find(request, &["ToolSearch"]) {
        Some(tool) => given(tool, json!({ "query": format!("select:mcp__ralph__{name}"), "max_results": 1 })),
        None => missing(request, name),
    }
}

fn find<'a>(request: &'a Request, names: &[&str]) -> Option<&'a Tool> {
    names.iter().find_map(|name| request.tools.iter().find(|tool| tool.name == *name))
}

fn given(tool: &Tool, arguments: Value) -> Answer {
    Answer::Call { name: tool.name.clone(), namespace: tool.namespace.clone(), arguments }
}

/// Makes a call with each value under the field the tool has for it, and words for a description it insists on.
fn call(tool: &Tool, values: &[(&[&str], Value)]) -> Answer {
    let properties = &tool.schema["properties"];
    let mut arguments = Map::new();
    for (names, value) in values {
        let name = names.iter().find(|name| properties.get(**name).is_some()).unwrap_or(&names[0]);
        arguments.insert((*name).to_owned(), value.clone());
    }
    let insists = |name: &str| tool.schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    if insists("description") {
        arguments.insert("description".to_owned(), json!("The next step"));
    }
    given(tool, Value::Object(arguments))
}

fn missing(request: &Request, what: &str) -> Answer {
    let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    Answer::Words(format!("MOCK: there is no tool for {what} among {names:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(tools: &[(&str, Option<&str>, &[&str])]) -> Request {
        let tool = |(name, namespace, fields): &(&str, Option<&str>, &[&str])| Tool {
            name: (*name).to_owned(),
            namespace: namespace.map(str::to_owned),
            schema: json!({ "properties": fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect::<Map<_, _>>() }),
        };
        Request { tools: tools.iter().map(tool).collect(), ..Request::default() }
    }

    #[test]
    fn every_agents_own_tool_is_found() {
        let write = Step::Write { path: "a".into(), text: "b\n".into() };
        let called = |tools: &[(&str, Option<&str>, &[&str])], step: &Step| match answer(step, &request(tools)) {
            Answer::Call { name, namespace, arguments } => (name, namespace, arguments),
            Answer::Words(words) => panic!("{words}"),
        };
        let (name, _, arguments) = called(&[("Write", None, &["file_path", "content"])], &write);
        assert_eq!((name.as_str(), arguments), ("Write", json!({ "file_path": "a", "content": "b\n" })));
        let (name, _, arguments) = called(&[("write", None, &["filePath", "content"])], &write);
        assert_eq!((name.as_str(), arguments), ("write", json!({ "filePath": "a", "content": "b\n" })));
        let (name, _, arguments) = called(&[("exec_command", None, &["cmd"])], &write);
        assert_eq!(name, "exec_command");
        assert!(arguments["cmd"].as_str().is_some_and(|cmd| cmd.contains("*** Add File: a\n+b\n")), "{arguments}");
        let finished = Step::Report { tool: "report_finished".into(), arguments: json!({}) };
        for (tool, namespace) in [
            ("mcp__ralph__report_finished", None),
            ("report_finished", Some("mcp__ralph")),
            ("ralph_report_finished", None),
            ("mcp_ralph_report_finished", None),
        ] {
            let (name, group, _) = called(&[(tool, namespace, &[])], &finished);
            assert_eq!((name.as_str(), group.as_deref()), (tool, namespace));
        }
        let (name, ..) = called(&[("ToolSearch", None, &["query"])], &finished);
        assert_eq!(name, "ToolSearch");
        assert!(
            matches!(answer(&finished, &request(&[("a", None, &[])])), Answer::Words(words) if words.contains("no tool"))
        );
    }
}
