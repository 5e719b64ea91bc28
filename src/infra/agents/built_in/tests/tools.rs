use super::*;
use serde_json::{Map, Value, json};
use std::os::unix::fs::symlink;

struct Desk {
    folder: tempfile::TempDir,
    mailbox: tempfile::TempDir,
    toolbox: Toolbox,
}

fn desk(role: Role) -> Desk {
    let folder = tempfile::tempdir().expect("folder");
    let mailbox = tempfile::tempdir().expect("folder");
    crate::infra::mailbox::create(mailbox.path()).expect("a mailbox");
    let slot = Slot::at(folder.path()).expect("slot");
    let to = Some(Attempt { mailbox: mailbox.path().to_path_buf(), nonce: "nonce".into() });
    let toolbox = Toolbox::new(slot, specs(role, None), to, 2_000, vec!["HOME".into()], CancellationToken::new());
    Desk { folder, mailbox, toolbox }
}

impl Desk {
    fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }

    async fn call(&self, name: &str, arguments: Value) -> Outcome {
        let arguments = Arguments::from_value(Some(arguments));
        self.toolbox.call(&ToolCall { id: "1".into(), name: name.into(), arguments, echo: Map::new() }).await
    }

    async fn done(&self, name: &str, arguments: Value) -> String {
        match self.call(name, arguments.clone()).await {
            Outcome::Done(text) => text,
            other => panic!("{name} {arguments}: {other:?}"),
        }
    }

    async fn wrong(&self, name: &str, arguments: Value) -> String {
        match self.call(name, arguments.clone()).await {
            Outcome::Wrong(text) => text,
            other => panic!("{name} {arguments}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn files_are_read_in_parts() {
    let desk = desk(Role::Planner);
    desk.file("a", "one\ntwo\nthree\n");
    desk.file("empty", "");
    desk.file("long", "some words\n".repeat(1_000));
    desk.file("binary", [0xff, 0xfe, 0]);
    assert_eq!(desk.done("read", json!({"path": "a"})).await, "1\tone\n2\ttwo\n3\tthree\n");
    let part = desk.done("read", json!({"path": "a", "offset": "2", "limit": 1})).await;
    assert_eq!(part, "2\ttwo\n(lines 2 to 2 of 3; go on with offset 3)\n");
    assert_eq!(desk.done("read", json!({"path": "empty"})).await, "(`empty` is empty)");
    let long = desk.done("read", json!({"path": "long"})).await;
    assert!(long.len() < 3_000 && long.contains("of 1000; go on with offset"), "{long}");
    for (arguments, words) in [
        (json!({"path": "a", "offset": 9}), "`offset` of `read` is 9, but `a` has 3 lines"),
        (json!({"path": "a", "offset": 0}), "must be a whole number from 1"),
        (json!({"path": "a", "limit": "few"}), "`limit` of `read` must be"),
        (json!({"path": 3}), "`path` of `read` must be a text, not a number"),
        (json!({"file": "a"}), "`file` is no field of it"),
        (json!({"path": "b"}), "`b` does not exist"),
        (json!({"path": "."}), "is a folder"),
        (json!({"path": "binary"}), "is no UTF-8 text"),
        (json!("{\"path\": \"a"), "cannot be read"),
    ] {
        let told = desk.wrong("read", arguments.clone()).await;
        assert!(told.contains(words), "{arguments}: {told}");
    }
}

#[tokio::test]
async fn what_is_no_plain_file_is_not_waited_for() {
    let desk = desk(Role::Implementer);
    let made = desk.done("run", json!({"command": "mkfifo pipe"})).await;
    assert!(made.contains("exit code 0"), "{made}");
    assert!(desk.wrong("read", json!({"path": "pipe"})).await.contains("no plain file"));
    assert!(desk.wrong("write", json!({"path": "pipe", "content": "x"})).await.contains("no plain file"));
}

#[tokio::test]
async fn lists_and_searches_leave_out_what_git_ignores() {
    let desk = desk(Role::Reviewer);
    desk.file(".gitignore", "target\n");
    desk.file("target/x.rs", "fn main() {}\n");
    desk.file(".git/x.rs", "fn main() {}\n");
    desk.file("src/main.rs", "use a;\nfn main() {}\n");
    desk.file("src/deep/b.txt", "fn main\n");
    desk.file("binary", [b'f', b'n', b' ', 0xff]);
    assert_eq!(desk.done("list", json!({})).await, ".gitignore\nbinary\nsrc/\n");
    let deep = desk.done("list", json!({"path": "src", "depth": 2})).await;
    assert_eq!(deep, "src/deep/\nsrc/deep/b.txt\nsrc/main.rs\n");
    assert!(desk.wrong("list", json!({"path": "src/main.rs"})).await.contains("no folder"));

    let found = desk.done("search", json!({"pattern": "^fn m.*"})).await;
    assert_eq!(found, "src/deep/b.txt:1: fn main\nsrc/main.rs:2: fn main() {}\n");
    let found = desk.done("search", json!({"pattern": "fn", "files": "*.rs"})).await;
    assert_eq!(found, "src/main.rs:2: fn main() {}\n");
    assert_eq!(desk.done("search", json!({"pattern": "nothing", "path": "src"})).await, "(no line matches)");
    for (arguments, words) in [
        (json!({"pattern": "("}), "no regular expression"),
        (json!({"pattern": ""}), "must not be empty"),
        (json!({"pattern": "a", "path": "gone"}), "does not exist"),
        (json!({"pattern": "a", "files": "["}), "no glob"),
        (json!({}), "`pattern` of `search` is missing"),
    ] {
        let told = desk.wrong("search", arguments).await;
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn edits_are_exact_and_unique() {
    let desk = desk(Role::Implementer);
    desk.file("a", "x = 1\ny = 1\n");
    assert_eq!(desk.done("edit", json!({"path": "a", "old": "x = 1", "new": "x = 2"})).await, "edited `a` at line 1");
    for (old, words) in
        [("= ", "2 times, at lines 1, 2"), ("z", "is not in `a`"), ("x  = 2", "line 1 has it"), ("", "empty")]
    {
        let told = desk.wrong("edit", json!({"path": "a", "old": old, "new": "?"})).await;
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(desk.text("a"), "x = 2\ny = 1\n");
    let told = desk.done("write", json!({"path": "new/b", "content": "b\n"})).await;
    assert!(told.contains("new, 1 lines") && desk.text("new/b") == "b\n", "{told}");
}

#[tokio::test]
async fn nothing_outside_is_touched() {
    let outside = tempfile::tempdir().expect("folder");
    std::fs::write(outside.path().join("secret"), "secret").expect("written");
    let desk = desk(Role::Implementer);
    symlink(outside.path(), desk.folder.path().join("link")).expect("linked");
    symlink(outside.path().join("secret"), desk.folder.path().join("one")).expect("linked");
    let absolute = outside.path().join("secret").display().to_string();
    for path in ["../secret", "link/secret", "one", "link/new", &absolute, "/etc/passwd"] {
        for (name, arguments) in [
            ("read", json!({"path": path})),
            ("write", json!({"path": path, "content": "gone"})),
            ("edit", json!({"path": path, "old": "secret", "new": "gone"})),
            ("list", json!({"path": path})),
            ("search", json!({"pattern": "s", "path": path})),
        ] {
            let told = desk.wrong(name, arguments).await;
            assert!(told.contains(path) && !told.contains("does not exist"), "{name} {path}: {told}");
        }
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).expect("there"), "secret");
    assert_eq!(std::fs::read_dir(outside.path()).expect("a folder").count(), 1);
    assert!(desk.wrong("write", json!({"path": ".git/hooks/x", "content": "x"})).await.contains("belongs to git"));
    // A search from above does not follow links either.
    assert_eq!(desk.done("search", json!({"pattern": "secret"})).await, "(no line matches)");
}

#[tokio::test]
async fn commands_run_in_the_slot_without_the_key() {
    let desk = desk(Role::Reviewer);
    let told = desk.done("run", json!({"command": "echo home=$HOME; ls -a; exit 4"})).await;
    assert!(told.starts_with("(exit code 4)\nhome=\n"), "{told}");
    assert!(desk.done("run", json!({"command": "true"})).await.contains("(no output)"));
    let told = desk.done("run", json!({"command": "sleep 300", "timeout_seconds": 1})).await;
    assert!(told.contains("killed after 1 seconds"), "{told}");
    assert!(desk.wrong("run", json!({"command": " "})).await.contains("must be a shell command"));
}

#[tokio::test]
async fn reports_are_what_their_arguments_say() {
    let desk = desk(Role::Implementer);
    for (name, arguments, report, last) in [
        (
            "report_finished",
            json!({"summary": "s", "no_change": "", "evidence": "e"}),
            Report::Finished { summary: "s".into(), no_change: None, evidence: Some("e".into()) },
            true,
        ),
        ("report_progress", json!({"text": "half"}), Report::Progress { text: "half".into() }, false),
        ("report_learned", json!({"text": "x"}), Report::Learned { text: "x".into() }, false),
        (
            "report_ask",
            json!({"question": "q", "options": "[\"a\", \"b\"]", "recommend": "b", "file": "f", "line": "3"}),
            Report::Ask {
                question: "q".into(),
                options: vec!["a".into(), "b".into()],
                recommend: Some("b".into()),
                file: Some("f".into()),
                line: Some(3),
                permission: false,
            },
            true,
        ),
        (
            "report_decided",
            json!({"question": "q", "chosen": "a", "rejected": "[{\"label\": \"b\"}]"}),
            Report::Decided {
                question: "q".into(),
                chosen: "a".into(),
                rejected: vec![crate::domain::report::RejectedOption { label: "b".into(), reason: String::new() }],
            },
            false,
        ),
        ("suggest_task", json!({"task": {"title": "t"}}), Report::SuggestTask { task: json!({"title": "t"}) }, false),
        ("report_reply", json!({"to": "q1", "text": "x"}), Report::Reply { to: "q1".into(), text: "x".into() }, false),
    ] {
        let outcome = desk.call(name, arguments).await;
        match (outcome, last) {
            (Outcome::Last(delivered), true) => assert_eq!(delivered, report),
            (Outcome::Done(text), false) => assert!(!text.is_empty()),
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
        let mut reader = crate::infra::mailbox::Reader::<Report>::open(desk.mailbox.path()).expect("a reader");
        let taken = reader.take().expect("reports");
        let [crate::infra::mailbox::Taken::Message { seq, envelope }] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!(envelope.body, report);
        reader.ack(*seq).expect("acknowledged");
    }
    for (name, arguments, words) in [
        ("report_finished", json!({}), "summary: is missing"),
        ("report_finished", json!("{"), "cannot be read"),
        ("report_ask", json!({"question": "q", "options": ["a"], "recommend": "z"}), "none of the options"),
        ("suggest_task", json!({"description": "d"}), "task: is missing"),
    ] {
        let told = desk.wrong(name, arguments).await;
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn plans_and_reviews_that_cannot_be_used_come_back() {
    let planner = desk(Role::Planner);
    let told = planner.wrong("submit_plan", json!({"tasks": [{"description": "no title"}]})).await;
    assert!(told.contains("tasks[0]") && told.contains("title"), "{told}");
    for arguments in
        [json!({"tasks": [{"title": "t", "depends_on": ["in-the-queue"]}]}), json!({"tasks": "[{\"title\": \"t\"}]"})]
    {
        let outcome = planner.call("submit_plan", arguments.clone()).await;
        let Outcome::Last(Report::SubmitPlan { plan }) = outcome else { panic!("{arguments}: {outcome:?}") };
        assert_eq!(plan["tasks"][0]["title"], "t");
    }
    let reviewer = desk(Role::Reviewer);
    let told = reviewer.wrong("submit_review", json!({"summary": "s", "findings": [{"file": "a"}]})).await;
    assert!(told.contains("findings[0]"), "{told}");
    let outcome = reviewer.call("submit_review", json!({"summary": "fine"})).await;
    assert_eq!(outcome, Outcome::Last(Report::Review { summary: "fine".into(), findings: Vec::new() }));
}

#[test]
fn a_command_that_reports_the_end_is_known() {
    for (line, is_last) in [
        ("ralph-sidecar report finished --summary x", true),
        ("cargo test && /usr/bin/ralph-sidecar report ask --question x\n", true),
        ("cat plan.json | ralph-sidecar report submit-plan -", true),
        ("cargo test || ralph-sidecar report blocked --reason x", false),
        ("ralph-sidecar report finished --summary x; cargo test", false),
        ("ralph-sidecar report progress half", false),
        ("grep -r 'ralph-sidecar report finished' src", false),
        ("", false),
    ] {
        assert_eq!(ends_with_last_report(line), is_last, "{line}");
    }
}
