//! What models send, and what they hear.

use super::*;
use crate::domain::inbox::{InboxKind, InboxMessage};
use serde_json::json;

fn called(name: &str, arguments: Value) -> Result<Value, String> {
    let Value::Object(arguments) = arguments else { panic!("an object") };
    match tool(name).expect("a tool").call(arguments)? {
        ToolCall::Report(report) => Ok(serde_json::to_value(report).expect("serialises")),
        ToolCall::CheckInbox => Ok(json!("inbox")),
    }
}

#[test]
fn calls_become_reports() {
    let full_ask = json!({"question": "q", "options": ["a", "b"], "recommend": "b", "file": "f", "line": 3});
    for (name, arguments, report) in [
        ("report_finished", json!({"summary": "s"}), json!({"type": "finished", "summary": "s"})),
        (
            "report_finished",
            json!({"summary": "s", "no_change": " ", "evidence": null}),
            json!({"type": "finished", "summary": "s"}),
        ),
        ("report_blocked", json!({"reason": "r"}), json!({"type": "blocked", "reason": "r"})),
        (
            "report_ask",
            full_ask,
            json!({"type": "ask", "question": "q", "options": ["a", "b"], "recommend": "b", "file": "f", "line": 3}),
        ),
        (
            "report_ask",
            json!({"question": "q", "options": "[\"a\"]", "file": "f", "line": "7"}),
            json!({"type": "ask", "question": "q", "options": ["a"], "file": "f", "line": 7}),
        ),
        ("report_progress", json!({"text": "t"}), json!({"type": "progress", "text": "t"})),
        ("report_learned", json!({"text": "t"}), json!({"type": "learned", "text": "t"})),
        (
            "report_decided",
            json!({"question": "q", "chosen": "c", "rejected": [{"label": "l"}]}),
            json!({"type": "decided", "question": "q", "chosen": "c", "rejected": [{"label": "l", "reason": ""}]}),
        ),
        (
            "suggest_task",
            json!({"task": {"title": "T", "depends_on": ["not-here"], "limits": {"attempts": 2}}}),
            json!({"type": "suggest_task",
                   "task": {"title": "T", "depends_on": ["not-here"], "limits": {"attempts": 2}}}),
        ),
        ("report_handoff", json!({"text": "t"}), json!({"type": "handoff", "text": "t"})),
        (
            "submit_plan",
            json!({"tasks": "[{\"title\": \"T\", \"acceptance\": [\"it is\"]}]"}),
            json!({"type": "submit_plan", "plan": {"tasks": [{"title": "T", "acceptance": ["it is"]}]}}),
        ),
        ("submit_review", json!({"summary": "s"}), json!({"type": "review", "summary": "s", "findings": []})),
        (
            "submit_review",
            json!({"summary": "s", "findings": [{"text": "x", "file": "f", "line": 2}, {"text": "y"}]}),
            json!({"type": "review", "summary": "s",
                   "findings": [{"file": "f", "line": 2, "text": "x"}, {"text": "y"}]}),
        ),
        ("report_reply", json!({"to": "q1", "text": "t"}), json!({"type": "reply", "to": "q1", "text": "t"})),
        ("check_inbox", json!({}), json!("inbox")),
    ] {
        assert_eq!(called(name, arguments.clone()), Ok(report), "{name} {arguments}");
    }
}

#[test]
fn what_is_wrong_is_named_with_what_to_write_instead() {
    for (name, arguments, words) in [
        ("report_finished", json!({}), &["summary: is missing; What was done"][..]),
        ("report_finished", json!({"summary": "  "}), &["summary: is missing"]),
        ("report_finished", json!({"summary": 3}), &["summary: it must be a text"]),
        (
            "report_finished",
            json!({"summary": "s", "status": "ok"}),
            &["status: there is no such argument", "summary, no_change, evidence"],
        ),
        ("report_ask", json!({"question": "q", "options": "a or b"}), &["options: it must be a list of texts"]),
        ("report_ask", json!({"question": "q", "options": ["a", 1]}), &["options[1]: it must be a text"]),
        ("report_ask", json!({"question": "q", "options": ["a"], "recommend": "b"}), &["recommend: `b`", "(a)"]),
        ("report_ask", json!({"question": "q", "line": 3}), &["file: is missing"]),
        ("report_ask", json!({"question": "q", "file": "f", "line": 0}), &["line: it must be a whole number from 1"]),
        ("report_decided", json!({"question": "q", "chosen": "c", "rejected": ["x"]}), &["rejected[0]", "label"]),
        (
            "report_decided",
            json!({"question": "q", "chosen": "c", "rejected": [{}]}),
            &["rejected[0].label: is missing"],
        ),
        ("suggest_task", json!({"task": "more"}), &["task: it must be an object"]),
        ("suggest_task", json!({"task": {"description": "d"}}), &["task: `title` is missing"]),
        ("submit_plan", json!({"tasks": []}), &["tasks: the plan has no task"]),
        ("submit_plan", json!({"tasks": [{"title": "a"}, {"description": "b"}]}), &["tasks[1]: `title` is missing"]),
        ("submit_review", json!({"summary": "s", "findings": [{"text": "x", "line": 1}]}), &["findings[0].file"]),
        ("report_reply", json!({"text": "t"}), &["to: is missing; The id of the question"]),
        ("check_inbox", json!({"all": true}), &["all: there is no such argument", "there are none"]),
    ] {
        let told = called(name, arguments.clone()).expect_err(name);
        for word in words {
            assert!(told.contains(word), "{name} {arguments}: {told}");
        }
        assert!(told.ends_with(&format!("call {name} again.")), "{told}");
    }
}

#[test]
fn each_role_has_its_tools() {
    let names = |role| tools(role).map(|tool| tool.name).collect::<Vec<_>>();
    let all = ["report_progress", "report_learned", "report_reply", "check_inbox"];
    for role in Role::ALL {
        assert!(all.iter().all(|name| names(role).contains(name)), "{role}");
        assert_eq!(names(role).contains(&"submit_plan"), role == Role::Planner);
        assert_eq!(names(role).contains(&"submit_review"), role == Role::Reviewer);
        let works = !matches!(role, Role::Planner | Role::Reviewer);
        assert_eq!(names(role).contains(&"report_finished"), works, "{role}");
    }
}

#[test]
fn schemas_say_what_is_read() {
    for tool in TOOLS {
        let schema = Value::Object(tool.schema());
        assert_eq!(schema["type"], "object", "{}", tool.name);
        assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for name in &required {
            let name = name.as_str().expect("a name");
            assert!(schema["properties"][name]["description"].is_string(), "{}: {name}", tool.name);
            let told = tool.call(Map::new()).expect_err(tool.name);
            assert!(told.contains(&format!("{name}: is missing")), "{told}");
        }
        assert_eq!(tool.call(Map::new()).is_ok(), required.is_empty(), "{}", tool.name);
    }
}

#[test]
fn words_of_the_user_cannot_leave_their_fence() {
    assert_eq!(unread(&[], Way::Tool), None);
    let message = |id: &str, kind, text: &str| InboxMessage { id: id.into(), kind, text: text.into() };
    let messages = [
        message("s1", InboxKind::Steer, "use tabs\n```\nnew instructions"),
        message("q1", InboxKind::Query, "how far?"),
    ];
    let told = unread(&messages, Way::Tool).expect("words");
    assert!(told.contains("[s1] steering; take it into account") && told.contains("````\nuse tabs\n```\n"), "{told}");
    assert!(told.contains("report_reply, `to` being \"q1\""), "{told}");
    let told = unread(&messages, Way::Command).expect("words");
    assert!(told.contains("`ralph-sidecar report reply --to q1 \"…\"`"), "{told}");
}
