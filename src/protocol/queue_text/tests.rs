//! Tables: what is reported where, how edits look in each layout, what can be completed.

use super::*;
use crate::domain::task::Status;
use serde_json::json;

/// Problems as `code|text in range|message`.
fn problems(text: &str) -> Vec<String> {
    let queue = QueueText::parse(text);
    let show = |p: &Problem| format!("{}|{}|{}", p.code.as_str(), &text[p.range.clone()], p.message);
    queue.problems.iter().map(show).collect()
}

fn tasks(body: &str) -> String {
    format!("{{\"tasks\": [{body}]}}")
}

fn id_title(id: &str) -> String {
    format!("\"id\": \"{id}\", \"title\": \"T\"")
}

#[test]
fn problems_stand_at_the_value() {
    let a = id_title("a");
    let table = [
        (
            tasks(&format!("{{{a}, \"status\": \"doing\"}}")),
            "schema|\"doing\"|task `a` is left out: `status` is `doing`, expected one of `draft`, `todo`, `done`, `dropped`",
        ),
        (
            tasks(&format!("{{{a}, \"priority\": 3}}")),
            "schema|3|task `a` is left out: `priority` is a number, expected one of `critical`, `high`, `medium`, `low`",
        ),
        (tasks("{\"title\": \"T\"}"), "schema|\"T\"|task 1 is left out: `id` is missing"),
        (tasks("{\"id\": \"a\"}"), "schema|\"a\"|task `a` is left out: `title` is missing"),
        (tasks("{\"id\": \" \", \"title\": \"T\"}"), "schema|\" \"|task ` ` is left out: `id` is empty"),
        (tasks("7"), "schema|7|task 1 is left out: a task is an object, not a number"),
        (
            tasks(&format!("{{{a}, \"verify\": [\"ok\", {{\"run\": 3}}]}}")),
            "schema|3|task `a` is left out: `verify[1].run`: invalid type: integer `3`, expected a string",
        ),
        (
            tasks(&format!("{{{a}, \"context\": [{{\"file\": \"f\", \"range\": [9, 2]}}]}}")),
            "schema|[9, 2]|task `a` is left out: `context[0].range`: lines count from 1, and the last must not be before the first",
        ),
        (
            tasks(&format!("{{{a}, \"limits\": {{\"attempts\": 0}}}}")),
            "schema|0|task `a` is left out: `limits.attempts` leaves no room to run",
        ),
        (tasks(&format!("{{{a}}}, {{{a}}}")), "duplicate-id|\"a\"|task `a` is left out: another task has this id"),
        (
            tasks(&format!("{{{}}}, {{{a}, \"depends_on\": [\"loginn\"]}}", id_title("login"))),
            "unknown-dependency|\"loginn\"|no task has the id `loginn`; did you mean `login`?",
        ),
        (
            tasks(&format!("{{{a}, \"depends_on\": [\"zzzzz\"]}}")),
            "unknown-dependency|\"zzzzz\"|no task has the id `zzzzz`",
        ),
        (tasks(&format!("{{{a}, \"depends_on\": [\"a\"]}}")), "self-dependency|\"a\"|task `a` waits for itself"),
        (tasks(&format!("{{{a}, \"goal\": \"g\"}}")), "unknown-goal|\"g\"|no goal has the id `g`"),
        (
            tasks(&format!("{{{a}, \"title\": \"U\"}}")),
            "duplicate-field|\"title\"|`title` is given twice; the last one counts",
        ),
        (
            "{\"version\": 2}".to_owned(),
            "version|2|version 2 was written by a newer version of ralph-sidecar; it is left alone until you update",
        ),
        ("{\"tasks\": {}}".to_owned(), "schema|{}|`tasks` is a list, not an object"),
        ("[1]".to_owned(), "schema|[1]|a queue is an object with `tasks`, not an array"),
        ("{\"a\": tru}".to_owned(), "syntax|tru|`tru` is not a value; a text needs double quotes"),
        ("{\"a\": 1".to_owned(), "syntax|{|this `{` is never closed"),
        ("{\"a\" 1}".to_owned(), "syntax|\"a\"|expected `:` and a value after this key"),
        ("{\"a\": \"x\\qy\"}".to_owned(), "syntax|\\q|this is not an escape of JSON; a backslash is written as \\\\"),
    ];
    for (text, expected) in table {
        let found = problems(&text);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{text}");
    }
}

#[test]
fn one_bad_task_costs_only_itself() {
    let text = tasks(&format!("{{{}}}, {{\"id\": 3}}, {{{}}}", id_title("a"), id_title("b")));
    let queue = QueueText::parse(&text);
    assert!(queue.valid);
    let ids: Vec<_> = queue.usable_tasks().map(|task| task.id.0.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(QueueText::parse("").valid && QueueText::parse("\u{feff}// nothing yet").valid);
    for bad in ["[]", "{\"version\": 9}", "{\"tasks\": 1}", "{", "{\"version\": \"1\"}"] {
        assert!(!QueueText::parse(bad).valid, "{bad}");
    }
}

#[test]
fn a_cycle_names_its_members_in_order() {
    let body = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
        .map(|(id, on)| format!("{{{}, \"depends_on\": [\"{on}\"]}}", id_title(id)))
        .join(",");
    let text = tasks(&body);
    let queue = QueueText::parse(&text);
    let [cycle] = &queue.problems[..] else { panic!("{:?}", queue.problems) };
    assert_eq!(cycle.message, "these tasks wait for each other: a → b → c → a");
    assert_eq!(&text[cycle.range.clone()], "\"b\"");
    let related: Vec<_> = cycle.related.iter().map(|(range, _)| &text[range.clone()]).collect();
    assert_eq!(related, ["\"c\"", "\"a\""]);
    assert_eq!(queue.usable_tasks().count(), 4);
}

#[test]
fn unclosed_text_costs_only_its_line() {
    let text = "{\"tasks\": [\n{\"id\": \"a\", \"title\": \"T\"},\n{\"id\": \"b\", \"title\": \"half\n},\n\
                {\"id\": \"c\", \"title\": \n},\n{\"id\": \"d\", \"title\": \"T\"\n{\"id\": \"e\", \"title\": \"T\"}\n]}";
    let queue = QueueText::parse(text);
    let ids: Vec<_> = queue.tasks.iter().filter_map(|task| task.id.as_deref()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    let syntax: Vec<_> = problems(text).into_iter().filter(|p| p.starts_with("syntax")).collect();
    assert_eq!(
        syntax,
        [
            "syntax|\"half|this string is never closed",
            "syntax|\"title\"|expected a value after this key",
            "syntax|{|this `{` is never closed",
            "syntax|{|expected `,` before this",
        ]
    );
}

fn edited(text: &str, edits: Result<Vec<TextEdit>, EditError>) -> String {
    apply_edits(text, &edits.expect(text))
}

#[test]
fn edits_follow_the_layout() {
    let text = "{\n    // mine\n    \"tasks\": [\n        {\n            \"id\": \"a\", // first\n            \"title\": \"T\" // last\n        }\n    ]\n}\n";
    let with = text.replace("\"T\" // last", "\"T\", // last\n            \"status\": \"done\"");
    assert_eq!(edited(text, set_status(text, "a", Status::Done)), with);
    assert_eq!(edited(&with, remove_field(&with, "a", "status")), text);
    assert_eq!(edited(&with, set_status(&with, "a", Status::Todo)), with.replace("\"done\"", "\"todo\""));
    let task = Task::new("b", "New");
    let block = ",\n        {\n            \"id\": \"b\",\n            \"title\": \"New\",\n            \"status\": \"draft\"\n        }\n    ]";
    assert_eq!(edited(text, add_tasks(text, std::slice::from_ref(&task), &[])), text.replace("\n    ]", block));
    let line = "{\"tasks\":[{\"id\":\"a\",\"title\":\"T\"}]}";
    assert_eq!(
        edited(line, add_tasks(line, std::slice::from_ref(&task), &[])),
        "{\"tasks\":[{\"id\":\"a\",\"title\":\"T\"},{\"id\":\"b\",\"title\":\"New\",\"status\":\"draft\"}]}"
    );
    let rows = "{\"tasks\": [\r\n  {\"id\": \"a\", \"title\": \"T\"},\r\n]}";
    let rows_after = "{\"tasks\": [\r\n  {\"id\": \"a\", \"title\": \"T\"},\r\n  {\"id\": \"b\", \"title\": \"New\", \"status\": \"draft\"},\r\n]}";
    assert_eq!(edited(rows, add_tasks(rows, std::slice::from_ref(&task), &[])), rows_after);
    assert_eq!(edited(rows_after, remove_task(rows_after, "b")), rows);
    let long = json!(["x".repeat(60), "y".repeat(60)]);
    let list = edited(text, set_field(text, "a", "acceptance", &long));
    assert!(list.contains("\"acceptance\": [\n                \"xx"), "{list}");
    let skeleton = edited("", add_tasks("", &[task], &[]));
    assert_eq!(
        skeleton,
        "{\n  \"version\": 1,\n  \"goals\": [],\n  \"tasks\": [\n    {\n      \"id\": \"b\",\n      \"title\": \"New\",\n      \"status\": \"draft\"\n    }\n  ]\n}\n"
    );
}

#[test]
fn edits_refuse_what_they_would_guess() {
    let text = tasks(&format!("{{{}}}, {{{}}}", id_title("a"), id_title("b")));
    assert_eq!(set_status(&text, "z", Status::Done), Err(EditError::UnknownTask { id: "z".into() }));
    assert_eq!(remove_task("", "z"), Err(EditError::UnknownTask { id: "z".into() }));
    assert_eq!(add_tasks(&text, &[Task::new("a", "A")], &[]), Err(EditError::DuplicateTask { id: "a".into() }));
    assert_eq!(set_field(&text, "a", "id", &json!("b")), Err(EditError::DuplicateTask { id: "b".into() }));
    for bad in ["{\"tasks\": [", "[]", "{\"version\": 2}", "{\"tasks\": {}}"] {
        assert!(matches!(add_tasks(bad, &[], &[]), Err(EditError::Unusable { .. })), "{bad}");
    }
}

#[test]
fn stale_saves_merge_by_field() {
    let base = "{\"tasks\": [\n  {\"id\": \"a\", \"title\": \"T\", \"status\": \"todo\"},\n  {\"id\": \"b\", \"title\": \"T\"}\n]}";
    let disk = base
        .replace("\"todo\"", "\"done\"")
        .replace("\"b\", \"title\": \"T\"}", "\"b\", \"title\": \"T\"},\n  {\"id\": \"c\", \"title\": \"C\"}");
    let mine = base
        .replace("\"a\", \"title\": \"T\"", "\"a\", \"title\": \"Mine\"")
        .replace("{\"id\": \"b\"", "/* why */ {\"id\": \"b\"");
    let merged = merge(base, &disk, &mine).unwrap();
    assert_eq!(merged.conflicts, []);
    let expected = "{\"tasks\": [\n  {\"id\": \"a\", \"title\": \"Mine\", \"status\": \"done\"},\n  /* why */ {\"id\": \"b\", \"title\": \"T\"}, {\"id\": \"c\", \"title\": \"C\"}\n]}";
    assert_eq!(merged.text, expected);

    let mine = base.replace("\"todo\"", "\"dropped\"");
    let merged = merge(base, &disk, &mine).unwrap();
    let conflict = Conflict { id: Some("a".into()), field: Some("status".into()), disk: Some(json!("done")) };
    assert_eq!(merged.conflicts, [conflict]);
    assert!(merged.text.contains("dropped") && merged.text.contains("\"c\""));

    let without_a = edited(base, remove_task(base, "a"));
    let merged = merge(base, &disk, &without_a).unwrap();
    assert_eq!(merged.conflicts.len(), 1, "the person removed what the disk changed");
    assert_eq!(QueueText::parse(&merged.text).tasks.len(), 2);
    let merged = merge(base, &without_a, &base.replace("\"b\", \"title\": \"T\"", "\"b\", \"title\": \"B\"")).unwrap();
    assert_eq!((merged.conflicts.len(), QueueText::parse(&merged.text).tasks.len()), (0, 1));
    assert!(matches!(merge(base, &disk, "{"), Err(MergeError::Mine(_))));

    let line = "{\"tasks\": [{\"id\": \"a\", \"title\": \"A\"}, {\"id\": \"b\", \"title\": \"B\"}, {\"id\": \"c\", \"title\": \"C\"}]}";
    let shorter =
        edited(&edited(line, remove_task(line, "c")), remove_task(&edited(line, remove_task(line, "c")), "b"));
    let merged = merge(line, &shorter, &line.replace("\"A\"", "\"AA\"")).unwrap();
    assert_eq!(merged.text, "{\"tasks\": [{\"id\": \"a\", \"title\": \"AA\"} ]}");
}

#[test]
fn completion_knows_the_place_in_broken_text() {
    use CompletionContext as C;
    let other = "{\"id\": \"o\", \"title\": \"O\"}";
    // `|` is the place; the replaced text follows.
    let table: Vec<(String, C, &str)> = vec![
        (tasks("{\"id\": \"a\", \"status\": |}"), C::InStatus, ""),
        (tasks("{\"id\": \"a\", \"status\": \"d|\", \"title\": \"T\"}"), C::InStatus, "\"d\""),
        (tasks("{\"id\": \"a\", \"status\": dr|\n}"), C::InStatus, "dr"),
        ("{\"tasks\": [{\"id\": \"a\", \"status\": \"dr|".into(), C::InStatus, "\"dr"),
        ("{\"tasks\": [{\"status\": \"dr|, \"title\": \"x\"}".into(), C::InStatus, "\"dr"),
        (tasks("{\"priority\": \"|\"}"), C::InPriority, "\"\""),
        (tasks("{\"agent\": \"|\"}"), C::InAgent, "\"\""),
        (tasks("{\"goal\": \"|\"}"), C::InGoal, "\"\""),
        (
            tasks(&format!("{other}, {{\"id\": \"a\", \"depends_on\": [\"o\", \"|\"]}}")),
            C::InDependsOn { existing: vec!["o".into()], own_id: Some("a".into()) },
            "\"\"",
        ),
        (tasks("{\"id\": \"a\", |}"), C::InTaskKey { present: vec!["id".into()] }, ""),
        (
            tasks("{\"id\": \"a\", \"ti|\": 1, \"status\": \"todo\"}"),
            C::InTaskKey { present: vec!["id".into(), "status".into()] },
            "\"ti\"",
        ),
        (tasks("{\"id\": \"a\", \"ti|}"), C::InTaskKey { present: vec!["id".into()] }, "\"ti"),
        (tasks("{\"id\": \"a\" // |\n}"), C::None, ""),
        (tasks("{\"id\": \"a\", \"limits\": {\"status\": \"|\"}}"), C::None, "\"\""),
        ("{\"goals\": [{\"status\": |}]}".into(), C::None, ""),
        ("|".into(), C::None, ""),
    ];
    for (marked, context, replaced) in table {
        let at = marked.find('|').unwrap();
        let text = marked.replace('|', "");
        let found = completion_at(&text, at);
        assert_eq!((&found.context, &text[found.replace.clone()]), (&context, replaced), "{marked}");
    }
}

#[test]
fn places_are_found() {
    let text = tasks(&format!("{{{}, \"depends_on\": [\"b\"]}}, {{{}}}", id_title("a"), id_title("b")));
    let queue = QueueText::parse(&text);
    let at = text.find("[\"b\"").unwrap() + 2;
    let (task, id, range) = queue.dependency_at(at).unwrap();
    assert_eq!((task.id.as_deref(), id, &text[range]), (Some("a"), "b", "\"b\""));
    assert_eq!(queue.task_at(text.len() - 3).and_then(|task| task.id.as_deref()), Some("b"));
    assert!(queue.task_at(0).is_none() && queue.dependency_at(at + 4).is_none());
}

#[test]
fn a_long_line_takes_linear_time() {
    let build = |n: usize| {
        let one = |i: usize| {
            format!(
                "{{\"id\":\"t{i}\",\"title\":\"é 😀\",\"depends_on\":[\"t{}\",\"no{i}\"],\"notes\":\"{}\"}}",
                i.saturating_sub(1),
                "x".repeat(350)
            )
        };
        tasks(&(0..n).map(one).collect::<Vec<_>>().join(","))
    };
    let time = |text: &str| {
        let start = std::time::Instant::now();
        let queue = QueueText::parse(text);
        let lines = LineIndex::new(text);
        let last = queue.tasks.iter().map(|task| lines.position(task.range.end).character).max();
        assert!(last > Some(0));
        start.elapsed()
    };
    let (small, large) = (build(1250), build(10_000));
    assert!(large.len() > 4_000_000);
    let once = time(&small).max(std::time::Duration::from_millis(5));
    // Eight times the text; a quadratic step would take sixty-four times as long. The machine may be busy, so the
    // better of several tries counts.
    let best = (0..4).map(|_| time(&large)).min().unwrap_or_default();
    assert!(best < once * 32, "{best:?} against {once:?} for an eighth");
}
