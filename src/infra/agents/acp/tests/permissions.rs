use super::*;
use crate::infra::agents::acp::updates::Updates;
use serde_json::json;

const SLOT: &str = "/slots/a";

fn rules(role: Role, fenced: bool, write: &[PathBuf]) -> Rules<'_> {
    Rules { slot: Path::new(SLOT), write, role, fenced }
}

/// `a` is allowed, `d` denied, `?` denied with a question to a person.
fn mark(verdict: &Verdict) -> char {
    match verdict {
        Verdict::Allowed => 'a',
        Verdict::Denied { question: None, .. } => 'd',
        Verdict::Denied { question: Some(_), .. } => '?',
    }
}

/// Decides for an implementer, an implementer behind the fence, a reviewer, a planner behind the fence.
fn marks(call: &Value) -> String {
    let tool = Updates::default().tool_of(call);
    let write = [PathBuf::from("/caches/x")];
    let roles = [(Role::Implementer, false), (Role::Implementer, true), (Role::Reviewer, false), (Role::Planner, true)];
    // A link of the slot that leads out of it.
    let real = |path: &Path| match path.strip_prefix("/slots/a/link") {
        Ok(rest) => Path::new("/etc").join(rest),
        Err(_) => path.to_path_buf(),
    };
    roles.iter().map(|(role, fenced)| mark(&rules(*role, *fenced, &write).decide(&tool, real))).collect()
}

#[test]
fn what_is_asked_is_decided_by_kind_place_and_role() {
    let rows = [
        // Edits, where each agent names the file elsewhere.
        ("aadd", json!({ "kind": "edit", "locations": [{ "path": "/slots/a/x.rs" }] })),
        ("aadd", json!({ "kind": "edit", "rawInput": { "file_path": "/slots/a/x.rs" } })),
        ("aadd", json!({ "kind": "edit", "rawInput": { "filepath": "src/x.rs" } })),
        ("aadd", json!({ "kind": "edit", "content": [{ "type": "diff", "path": "/slots/a/x.rs", "newText": "" }] })),
        ("aadd", json!({ "kind": "edit", "rawInput": { "path": "/slots/a/b/../x.rs" } })),
        ("aadd", json!({ "kind": "edit", "rawInput": { "path": "file:///slots/a/x.rs" } })),
        ("aadd", json!({ "kind": "delete", "locations": [{ "path": "x.rs" }] })),
        ("aadd", json!({ "kind": "edit", "locations": [{ "path": "/caches/x/y" }] })),
        // Outside, also by a detour, a link, or one file of several.
        ("??dd", json!({ "kind": "edit", "locations": [{ "path": "/slots/ab/x.rs" }] })),
        ("??dd", json!({ "kind": "edit", "rawInput": { "path": "../x.rs" } })),
        ("??dd", json!({ "kind": "edit", "rawInput": { "path": "/slots/a/../b/x.rs" } })),
        ("??dd", json!({ "kind": "edit", "rawInput": { "path": "link/passwd" } })),
        ("??dd", json!({ "kind": "edit", "locations": [{ "path": "x.rs" }, { "path": "/etc/hosts" }] })),
        ("??dd", json!({ "kind": "move", "rawInput": { "source": "x", "destination": "/tmp/x" } })),
        (
            "??dd",
            json!({ "kind": "edit", "locations": [{ "path": "x.rs" }],
            "content": [{ "type": "diff", "path": "/etc/hosts", "newText": "" }] }),
        ),
        // A change is a change, whatever it is called.
        ("??dd", json!({ "kind": "read", "content": [{ "type": "diff", "path": "/etc/hosts", "newText": "" }] })),
        ("aadd", json!({ "kind": "think", "content": [{ "type": "diff", "path": "x", "newText": "" }] })),
        // Git's own files, and changes of nobody knows what.
        ("dddd", json!({ "kind": "edit", "locations": [{ "path": "/slots/a/.git/config" }] })),
        ("dddd", json!({ "kind": "edit", "locations": [{ "path": "/slots/a/.git" }] })),
        ("aadd", json!({ "kind": "edit", "locations": [{ "path": "/slots/a/.gitignore" }] })),
        ("?add", json!({ "kind": "edit" })),
        // Looking is free.
        ("aaaa", json!({ "kind": "read", "locations": [{ "path": "/etc/hosts" }] })),
        ("aaaa", json!({ "kind": "search" })),
        ("aaaa", json!({ "kind": "think" })),
        // Commands, also in a folder of their own.
        ("aada", json!({ "kind": "execute", "rawInput": { "command": "cargo test" } })),
        ("aada", json!({ "kind": "execute", "rawInput": { "command": ["ls"], "cwd": SLOT } })),
        ("??dd", json!({ "kind": "execute", "rawInput": { "command": "ls", "workdir": "/etc" } })),
        ("aada", json!({ "kind": "fetch", "rawInput": { "url": "https://example.com" } })),
        ("aadd", json!({ "kind": "switch_mode" })),
        // Tools that nobody knows.
        ("??dd", json!({ "kind": "other", "title": "mcp__tracker__close" })),
        ("??dd", json!({ "title": "close" })),
        ("aadd", json!({ "kind": "other", "rawInput": { "path": "x" } })),
        ("??dd", json!({ "kind": "other", "locations": [{ "path": "/elsewhere/x" }] })),
        ("??dd", json!({})),
        // Reports, under each agent's name for them, and what only looks like one.
        ("aaaa", json!({ "kind": "other", "title": "mcp__ralph__report_finished" })),
        ("aaaa", json!({ "kind": "other", "title": "ralph_report_finished" })),
        ("aaaa", json!({ "title": "report_finished (ralph MCP Server)" })),
        ("aaaa", json!({ "kind": "other", "title": "mcp.ralph.report_ask" })),
        ("??dd", json!({ "kind": "other", "title": "ralphie_x" })),
        ("aada", json!({ "kind": "execute", "title": "ralph_report_finished", "rawInput": { "command": "rm -r x" } })),
        (
            "aadd",
            json!({ "kind": "other", "title": "ralph_x",
            "content": [{ "type": "diff", "path": "x", "newText": "" }] }),
        ),
    ];
    for (expected, call) in rows {
        assert_eq!(marks(&call), expected, "{call}");
    }
}

#[test]
fn what_the_call_told_before_counts_in_the_question() {
    let mut updates = Updates::default();
    let call = json!({ "sessionUpdate": "tool_call", "toolCallId": "1", "title": "cat", "kind": "read",
        "locations": [{ "path": "/etc/hosts" }] });
    updates.hear(&call, Path::new(SLOT));
    let tool = updates.tool_of(&json!({ "toolCallId": "1", "kind": "other" }));
    assert_eq!(rules(Role::Implementer, false, &[]).decide(&tool, Path::to_path_buf), Verdict::Allowed);
}

#[test]
fn options_are_taken_by_their_kind_and_once_before_always() {
    let denied = Verdict::Denied { why: String::new(), question: None };
    let option = |id: &str, kind: &str| json!({ "optionId": id, "kind": kind, "name": "Yes" });
    let all = json!([
        option("4", "reject_always"),
        option("1", "allow_always"),
        option("2", "allow_once"),
        option("3", "reject_once"),
    ]);
    let always = json!([option("r", "reject_always"), option("a", "allow_always")]);
    let rows = [
        (&Verdict::Allowed, all.clone(), Some("2")),
        (&denied, all, Some("3")),
        (&Verdict::Allowed, always.clone(), Some("a")),
        (&denied, always, Some("r")),
        (&denied, json!([option("a", "allow_once")]), None),
        (&Verdict::Allowed, json!([option("n", "something_new")]), None),
        (&Verdict::Allowed, json!(null), None),
    ];
    for (verdict, options, expected) in rows {
        assert_eq!(option_for(verdict, &options).as_deref(), expected, "{options}");
    }
}
