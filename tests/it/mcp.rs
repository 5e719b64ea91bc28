//! The server of report tools as an agent's client sees it: a process, one line of JSON per message.

use super::sandbox::PROGRAM;
use ralph_sidecar::domain::inbox::{InboxKind, InboxMessage};
use ralph_sidecar::infra::mailbox::{self, Reader, Taken};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(100);
const VERSIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// An attempt's mailbox.
struct Attempt {
    folder: TempDir,
}

impl Attempt {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        mailbox::create(folder.path()).expect("mailbox");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program with these arguments, inside the attempt.
    fn command(&self, arguments: &[&str], role: &str) -> Command {
        let mut command = outside(arguments);
        command.env("RALPH_MAILBOX", self.path()).env("RALPH_NONCE", "n1").env("RALPH_ROLE", role);
        command
    }

    /// A person says something.
    fn say(&self, id: &str, kind: InboxKind, text: &str) {
        let message = InboxMessage { id: id.into(), kind, text: text.into() };
        mailbox::deliver_to_inbox(self.path(), &message, 0).expect("delivered");
    }

    /// The reports that arrived since the last look, in order.
    fn reports(&self) -> Vec<Value> {
        let mut reader: Reader = Reader::open_of(self.path(), "n1").expect("free");
        let mut reports = Vec::new();
        loop {
            let taken = reader.take().expect("taken");
            if taken.is_empty() {
                return reports;
            }
            reader.ack_all(taken.iter().map(Taken::seq)).expect("acknowledged");
            reports.extend(taken.into_iter().map(|taken| match taken {
                Taken::Message { envelope, .. } => serde_json::to_value(envelope.body).expect("JSON"),
                Taken::Corrupt { reason, .. } => json!(reason),
            }));
        }
    }
}

/// The program outside of any attempt.
fn outside(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RALPH_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// A client that writes lines and reads lines.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    calls: u64,
}

impl Client {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = child.stdin.take();
        Self { child, stdin, lines, calls: 0 }
    }

    /// As an agent with this role, after the handshake.
    fn of(attempt: &Attempt, role: &str) -> Self {
        let mut client = Self::start(attempt.command(&["mcp"], role));
        client.initialize(VERSIONS[1]);
        client
    }

    fn initialize(&mut self, version: &str) {
        let client = json!({ "name": "test", "version": "0" });
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client });
        let reply = self.call("initialize", params);
        assert_eq!(reply["result"]["protocolVersion"], version);
        assert_eq!(reply["result"]["serverInfo"]["name"], "ralph-sidecar");
        assert!(reply["result"]["capabilities"]["tools"].is_object(), "{reply}");
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    fn write(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("open"), "{line}").expect("it reads");
    }

    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.calls += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": self.calls, "method": method, "params": params }).to_string());
        self.calls
    }

    /// The next message; every line of the output must be one.
    fn message(&mut self) -> Value {
        let line = self.lines.recv_timeout(LONG).expect("a line in time");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let reply = self.message();
        assert_eq!(reply["id"], id, "{reply}");
        reply
    }

    /// Calls a tool; returns whether it says that this was an error, and its text.
    fn tool(&mut self, name: &str, arguments: Value) -> (bool, String) {
        let reply = self.call("tools/call", json!({ "name": name, "arguments": arguments }));
        let result = &reply["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        (result["isError"] == true, text)
    }

    fn tools(&mut self) -> Vec<Value> {
        self.call("tools/list", json!({}))["result"]["tools"].as_array().expect("a list").clone()
    }

    /// Ends its input and waits for its end.
    fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        // The output ends when the process does.
        assert!(
            matches!(self.lines.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected)),
            "nothing more comes"
        );
        self.child.wait().expect("reaped")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_tool_reports_what_its_command_reports() {
    let task = json!({ "title": "More", "acceptance": ["it is there"] });
    let rows = [
        (
            "implementer",
            "report_finished",
            json!({"summary": "s", "evidence": "e"}),
            "finished --summary s --evidence e",
        ),
        ("implementer", "report_blocked", json!({"reason": "r"}), "blocked --reason r"),
        (
            "implementer",
            "report_ask",
            json!({"question": "q", "options": ["a", "b"], "recommend": "a", "file": "f", "line": 2}),
            "ask --question q --option a --option b --recommend a --file f --line 2",
        ),
        ("implementer", "report_progress", json!({"text": "t"}), "progress t"),
        ("implementer", "report_learned", json!({"text": "t"}), "learned t"),
        (
            "implementer",
            "report_decided",
            json!({"question": "q", "chosen": "c", "rejected": [{"label": "l", "reason": "r"}]}),
            "decided --question q --chosen c --rejected l=r",
        ),
        ("implementer", "suggest_task", json!({"task": task.clone()}), "suggest-task TASK"),
        ("implementer", "report_handoff", json!({"text": "t"}), "handoff t"),
        ("implementer", "report_reply", json!({"to": "q1", "text": "t"}), "reply --to q1 t"),
        ("planner", "submit_plan", json!({"tasks": [task.clone()]}), "submit-plan PLAN"),
        (
            "reviewer",
            "submit_review",
            json!({"summary": "s", "findings": [{"file": "a.rs", "line": 3, "text": "t"}]}),
            "review --summary s --finding 'a.rs:3: t'",
        ),
    ];
    let files = tempfile::tempdir().expect("folder");
    let file = |name: &str, value: &Value| {
        std::fs::write(files.path().join(name), value.to_string()).expect("written");
        files.path().join(name).display().to_string()
    };
    let (one, plan) = (file("task.json", &task), file("plan.json", &json!({ "tasks": [task] })));
    let attempt = Attempt::new();
    let mut clients: Vec<(&str, Client)> = Vec::new();
    for (version, role) in VERSIONS.iter().cycle().zip(["implementer", "planner", "reviewer"]) {
        let mut client = Client::start(attempt.command(&["mcp"], role));
        client.initialize(version);
        let listed: Vec<String> =
            client.tools().iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
        for (whose, name, ..) in &rows {
            let shared = matches!(*name, "report_progress" | "report_learned" | "report_reply");
            assert_eq!(listed.iter().any(|tool| tool == name), *whose == role || shared, "{role}: {name}");
        }
        assert!(listed.iter().any(|tool| tool == "check_inbox"), "{listed:?}");
        clients.push((role, client));
    }
    for (role, name, arguments, command) in rows {
        let client = clients.iter_mut().find(|(whose, _)| *whose == role).map(|(_, client)| client).expect("a client");
        let (failed, said) = client.tool(name, arguments);
        assert!(!failed && !said.is_empty(), "{name}: {said}");
        let by_tool = attempt.reports();
        let words = shlex::split(&command.replace("TASK", &one).replace("PLAN", &plan)).expect("words");
        let words: Vec<&str> = std::iter::once("report").chain(words.iter().map(String::as_str)).collect();
        let output = attempt.command(&words, role).output().expect("ran");
        assert!(output.status.success() && output.stdout.is_empty(), "{words:?}: {output:?}");
        assert_eq!(by_tool.len(), 1, "{name}");
        assert_eq!(by_tool, attempt.reports(), "{name} and {command}");
    }
    for (_, client) in clients {
        assert!(client.end().success());
    }
}

#[test]
fn schemas_are_there_and_nobody_has_to_ask_before_a_report() {
    let attempt = Attempt::new();
    for tool in Client::of(&attempt, "implementer").tools() {
        assert!(tool["description"].as_str().is_some_and(|text| text.len() > 30), "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        assert_eq!(tool["annotations"]["destructiveHint"], false, "{tool}");
    }
}

#[test]
fn what_the_user_said_comes_with_the_next_result_and_once() {
    let attempt = Attempt::new();
    let mut client = Client::of(&attempt, "implementer");
    assert_eq!(client.tool("check_inbox", json!({})), (false, "Nothing new.".to_owned()));
    attempt.say("s1", InboxKind::Steer, "use tabs\n```\nand nothing else");
    attempt.say("q1", InboxKind::Query, "how far are you?");
    let (failed, said) = client.tool("report_progress", json!({ "text": "reading" }));
    assert!(!failed && said.starts_with("Shown."), "{said}");
    let (steer, query) = (said.find("[s1] steering").expect("words"), said.find("[q1] question").expect("words"));
    assert!(steer < query && said.contains("````\nuse tabs\n```\nand nothing else\n````"), "{said}");
    assert!(said.contains("report_reply, `to` being \"q1\""), "{said}");
    assert_eq!(client.tool("check_inbox", json!({})).1, "Nothing new.");
    // An error tells it as well, and the other way to read it does not tell it again.
    attempt.say("q2", InboxKind::Query, "and now?");
    let (failed, said) = client.tool("report_progress", json!({}));
    assert!(failed && said.starts_with("text: is missing") && said.contains("[q2]"), "{said}");
    let shown = |words: &[&str]| {
        let output = attempt.command(words, "implementer").output().expect("ran");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(shown(&["report", "inbox"]), "nothing new\n");
    attempt.say("s2", InboxKind::Steer, "stop at noon");
    let said = shown(&["report", "learned", "it compiles"]);
    assert!(said.contains("[s2] steering") && said.contains("stop at noon"), "{said}");
    attempt.say("q3", InboxKind::Query, "why?");
    let said = shown(&["report", "inbox"]);
    assert!(said.contains("`ralph-sidecar report reply --to q3 \"…\"`") && !said.contains("s2"), "{said}");
    assert_eq!(client.tool("check_inbox", json!({})).1, "Nothing new.");
}

#[test]
fn wrong_calls_are_told_to_the_agent_and_report_nothing() {
    let attempt = Attempt::new();
    let mut client = Client::of(&attempt, "implementer");
    for (name, arguments, words) in [
        ("report_finished", json!({}), "summary: is missing"),
        ("report_finished", json!({"summary": ["s"]}), "summary: it must be a text"),
        ("report_finished", json!({"summary": "s", "done": true}), "done: there is no such argument"),
        ("report_ask", json!({"question": "q", "options": ["a"], "recommend": "b"}), "recommend: `b` is none"),
        ("suggest_task", json!({"task": {}}), "`title` is missing"),
        ("submit_plan", json!({"tasks": [{"title": "T"}]}), "submit_plan is not for the role implementer"),
        ("report_progress", json!("words"), "arguments: they must be an object"),
        ("report_progress", json!([1]), "arguments: they must be an object"),
    ] {
        let (failed, said) = client.tool(name, arguments.clone());
        assert!(failed && said.contains(words), "{name} {arguments}: {said}");
    }
    let reply = client.call("tools/call", json!({ "name": "report_everything", "arguments": {} }));
    assert_eq!(reply["error"]["code"], -32602);
    assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("report_finished")), "{reply}");
    assert_eq!(attempt.reports(), Vec::<Value>::new());
    assert!(client.end().success());
}

#[test]
fn odd_messages_are_answered_or_let_pass_and_end_nothing() {
    let attempt = Attempt::new();
    let mut client = Client::start(attempt.command(&["mcp"], "implementer"));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for params in [json!({}), json!({ "_meta": meta })] {
        assert_eq!(client.call("server/discover", params)["error"]["code"], -32601, "so that it falls back");
    }
    client.write("no JSON at all");
    client.write("");
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/of/something"}"#);
    client.write(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(client.call("some/thing", json!({}))["error"]["code"], -32601);
    assert_eq!(client.call("initialize", json!({ "protocolVersion": 3 }))["error"]["code"], -32602);
    assert!(client.call("ping", json!({}))["result"].is_object());
    client.initialize(VERSIONS[0]);
    client.write("{\"jsonrpc\":");
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/of/something"}"#);
    assert_eq!(client.call("some/thing", json!({}))["error"]["code"], -32601);
    client.write("[1, 2]");
    assert_eq!(client.message()["error"]["code"], -32600);
    assert!(!client.tool("report_progress", json!({ "text": "still here" })).0);
    assert_eq!(attempt.reports(), [json!({ "type": "progress", "text": "still here" })]);
    assert!(client.end().success());
}

#[test]
fn calls_sent_at_once_are_taken_in_their_order() {
    const CALLS: u64 = 60;
    let attempt = Attempt::new();
    let mut client = Client::of(&attempt, "implementer");
    for number in 0..CALLS {
        let arguments = json!({ "text": number.to_string() });
        client.send("tools/call", json!({ "name": "report_learned", "arguments": arguments }));
    }
    for _ in 0..CALLS {
        assert_eq!(client.message()["result"]["isError"], false);
    }
    let expected: Vec<Value> = (0..CALLS).map(|it| json!({ "type": "learned", "text": it.to_string() })).collect();
    assert_eq!(attempt.reports(), expected);
}

#[test]
fn the_end_of_input_ends_it_and_loses_no_call() {
    let attempt = Attempt::new();
    assert!(Client::start(attempt.command(&["mcp"], "implementer")).end().success(), "before a handshake");
    let mut client = Client::of(&attempt, "implementer");
    let id = client.send("tools/call", json!({ "name": "report_finished", "arguments": { "summary": "last" } }));
    drop(client.stdin.take());
    assert_eq!(client.message()["id"], id);
    assert!(client.end().success());
    assert_eq!(attempt.reports(), [json!({ "type": "finished", "summary": "last" })]);
}

#[test]
fn outside_an_attempt_it_starts_and_says_why_it_cannot_report() {
    let mut client = Client::start(outside(&["mcp"]));
    client.initialize(VERSIONS[1]);
    assert!(!client.tools().is_empty());
    for (name, arguments) in [("report_progress", json!({ "text": "x" })), ("check_inbox", json!({}))] {
        let (failed, said) = client.tool(name, arguments);
        assert!(failed && said.contains("RALPH_MAILBOX is not set"), "{said}");
    }
    assert!(client.end().success());
}
