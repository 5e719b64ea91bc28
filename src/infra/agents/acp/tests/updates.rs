use super::*;
use proptest::prelude::*;
use serde_json::json;

fn heard(updates: &mut Updates, update: &Value) -> Vec<String> {
    updates.hear(update, Path::new("/slot")).iter().map(shown).collect()
}

fn shown(line: &AgentLine) -> String {
    match line {
        AgentLine::Said { text } => format!("said {text}"),
        AgentLine::Thought { text } => format!("thought {text}"),
        AgentLine::Tool { id, title, status, detail } => format!("{id} {status:?} {title} | {detail}"),
        AgentLine::Steps { steps } => {
            steps.iter().map(|step| format!("[{}] {}", step.status, step.text)).collect::<Vec<_>>().join(", ")
        }
        AgentLine::Raw { text } => format!("raw {text}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn each_kind_of_update_becomes_its_line() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let rows = [
        (json!({ "sessionUpdate": "agent_message_chunk", "content": text("hi") }), vec!["said hi"]),
        (json!({ "sessionUpdate": "agent_message_chunk", "content": text("") }), vec![]),
        (
            json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "image", "data": "" } }),
            vec!["said [image]"],
        ),
        (json!({ "sessionUpdate": "agent_thought_chunk", "content": text("hm") }), vec!["thought hm"]),
        (json!({ "sessionUpdate": "user_message_chunk", "content": text("we") }), vec![]),
        (json!({ "sessionUpdate": "available_commands_update", "availableCommands": [] }), vec![]),
        (json!({ "sessionUpdate": "usage_update", "used": 5, "size": 9 }), vec![]),
        (
            json!({ "sessionUpdate": "plan", "entries": [
                { "content": "a", "status": "completed" }, { "content": "b", "status": "in_progress" },
                { "content": "c", "status": "new" } ] }),
            vec!["[completed] a, [in_progress] b, [pending] c"],
        ),
        (json!({ "sessionUpdate": "dance", "steps": 2 }), vec![r#"raw {"sessionUpdate":"dance","steps":2}"#]),
        (json!(7), vec!["raw 7"]),
    ];
    for (update, expected) in rows {
        assert_eq!(heard(&mut Updates::default(), &update), expected, "{update}");
    }
}

#[test]
fn what_a_terminal_printed_is_told_with_the_end_of_its_call() {
    let mut updates = Updates::default();
    let mut call = |status: &str, piece: &str| {
        let meta = json!({ "terminal_output_delta": { "data": piece } });
        let content = json!([{ "type": "terminal", "terminalId": "1" }]);
        let update = json!({ "sessionUpdate": "tool_call_update", "toolCallId": "1", "title": "ls", "status": status,
            "content": content, "_meta": meta });
        heard(&mut updates, &update)
    };
    assert_eq!(call("in_progress", "a\n"), ["1 Started ls | "]);
    assert!(call("in_progress", &"b".repeat(2 * TERMINAL_LIMIT)).is_empty());
    let end = call("failed", "c\n").remove(0);
    assert!(end.starts_with("1 Failed ls | a\nbbb") && end.len() < TERMINAL_LIMIT, "{end}");
}

#[test]
fn a_tool_call_is_told_when_it_is_known_once_per_state() {
    let mut updates = Updates::default();
    let mut call = |fields: Value| {
        let mut update = json!({ "sessionUpdate": "tool_call_update", "toolCallId": "1" });
        update.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        heard(&mut updates, &update)
    };
    // As opencode does: announced, named, repeated as its output grows, ended.
    assert!(call(json!({ "title": "bash", "kind": "execute", "status": "pending", "rawInput": {} })).is_empty());
    let input = json!({ "command": "cargo test", "description": "Test" });
    assert_eq!(
        call(json!({ "title": "Test", "status": "in_progress", "rawInput": input })),
        ["1 Started Test | cargo test"]
    );
    let content = json!([{ "type": "content", "content": { "type": "text", "text": "running" } }]);
    assert!(call(json!({ "status": "in_progress", "content": content })).is_empty());
    assert_eq!(call(json!({ "status": "completed", "rawOutput": { "output": "ok" } })), ["1 Completed Test | running"]);
    // Late words begin nothing again.
    assert!(call(json!({ "status": "in_progress" })).is_empty());
    assert!(updates.open_tools().is_empty());
}

#[test]
fn the_end_of_a_tool_call_tells_what_came_of_it() {
    let diff = json!([{ "type": "diff", "path": "/slot/a.rs", "oldText": null, "newText": "x" }]);
    let rows = [
        (
            json!({ "status": "completed", "kind": "edit", "title": "Edit", "content": diff }),
            "1 Completed Edit | changed a.rs",
        ),
        (json!({ "status": "completed", "title": "Read", "rawOutput": "text" }), "1 Completed Read | text"),
        (json!({ "status": "failed", "kind": "execute", "rawOutput": { "error": "no" } }), "1 Failed execute | no"),
        (json!({ "status": "completed", "rawOutput": { "exit_code": 0 } }), "1 Completed a tool | "),
    ];
    for (fields, expected) in rows {
        let mut update = json!({ "sessionUpdate": "tool_call", "toolCallId": "1" });
        update.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        assert_eq!(heard(&mut Updates::default(), &update), [expected]);
    }
}

#[test]
fn the_last_words_begin_anew_after_work() {
    let mut updates = Updates::default();
    let say =
        |text: &str| json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } });
    heard(&mut updates, &say("first"));
    heard(&mut updates, &json!({ "sessionUpdate": "tool_call", "toolCallId": "1", "status": "completed" }));
    heard(&mut updates, &say("la"));
    heard(&mut updates, &json!({ "sessionUpdate": "usage_update", "used": 1, "size": 2 }));
    heard(&mut updates, &say("st"));
    assert_eq!((updates.words.as_str(), updates.active, updates.worked), ("last", true, true));
    updates.begin_turn();
    assert_eq!((updates.words.as_str(), updates.active), ("", false));
}

/// Takes in a word about the window.
fn window(updates: &mut Updates, used: u64) -> u64 {
    heard(updates, &json!({ "sessionUpdate": "usage_update", "used": used, "size": 9 }));
    updates.usage().input_tokens
}

#[test]
fn every_request_reads_its_window_and_a_tool_call_stands_between_two() {
    let mut updates = Updates::default();
    let calls = |updates: &mut Updates, id: &str, kind: &str| {
        heard(updates, &json!({ "sessionUpdate": kind, "toolCallId": id, "status": "in_progress", "title": "t" }));
    };
    assert_eq!([10, 12, 11].map(|used| window(&mut updates, used)), [10, 12, 12], "one request says it twice");
    calls(&mut updates, "a", "tool_call");
    calls(&mut updates, "b", "tool_call");
    calls(&mut updates, "a", "tool_call_update");
    assert_eq!([20, 21].map(|used| window(&mut updates, used)), [32, 33], "calls at once are of one request");
    calls(&mut updates, "b", "tool_call_update");
    assert_eq!(window(&mut updates, 5), 33, "news of a call is no call");
    calls(&mut updates, "c", "tool_call");
    assert_eq!(window(&mut updates, 5), 38, "a window that was emptied is read all the same");
    updates.begin_session();
    assert_eq!(updates.usage().input_tokens, 0, "what is told again was read before");
}

#[test]
fn usage_is_the_most_of_the_window_and_the_last_cost_in_dollars() {
    let mut updates = Updates::default();
    let usage =
        |used: u64, cost: Value| json!({ "sessionUpdate": "usage_update", "used": used, "size": 9, "cost": cost });
    heard(&mut updates, &usage(50, json!({ "amount": 0.5, "currency": "USD" })));
    heard(&mut updates, &usage(20, json!(null)));
    heard(&mut updates, &usage(20, json!({ "amount": 9.0, "currency": "EUR" })));
    heard(&mut updates, &usage(20, json!({ "amount": -1.0, "currency": "USD" })));
    assert_eq!(updates.usage(), Usage { input_tokens: 50, usd: Some(0.5), ..Usage::default() });
}

#[test]
fn an_unknown_message_that_comes_again_and_again_is_told_once() {
    let mut updates = Updates::default();
    let beat = json!({ "sessionUpdate": "heartbeat" });
    assert_eq!(heard(&mut updates, &beat).len(), 1);
    assert!(heard(&mut updates, &beat).is_empty());
    assert_eq!(heard(&mut updates, &json!({ "sessionUpdate": "other" })).len(), 1);
}

#[test]
fn clipping_keeps_both_ends() {
    assert_eq!(clipped("short", 10), "short");
    let clip = clipped(&format!("{}{}", "ä".repeat(100), "z".repeat(100)), 40);
    assert!(clip.starts_with("ääää") && clip.ends_with("zzzz") && clip.contains("170 characters left out"), "{clip}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["text", "diff", "completed", "pending", "1", "edit"]).prop_map(Value::from),
    ];
    let names =
        vec!["type", "text", "content", "path", "status", "title", "kind", "locations", "rawInput", "rawOutput"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.clone()), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_update_is_too_strange(fields in prop::collection::vec(any_json(), 1..6), kind in 0usize..6) {
        let kinds = ["tool_call", "tool_call_update", "plan", "usage_update", "agent_message_chunk", "x"];
        let mut updates = Updates::default();
        for field in fields {
            let mut update = json!({ "sessionUpdate": kinds[kind], "toolCallId": "1", "entries": field.clone() });
            if let (Value::Object(update), Value::Object(more)) = (&mut update, &field) {
                update.extend(more.clone());
            }
            for line in updates.hear(&update, Path::new("/slot")) {
                prop_assert_eq!(AgentLine::read(&line.write()), line);
            }
            updates.tool_of(&field);
        }
    }
}
