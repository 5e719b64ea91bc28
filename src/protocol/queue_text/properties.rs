//! Properties of reading, editing and merging over random documents in random layouts.

use super::*;
use crate::domain::task::Status;
use crate::protocol::jsonc;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Writes a value with random blanks, comments and trailing commas; every comment is recorded in order.
struct Scribe {
    state: u64,
    eol: &'static str,
    lines: bool,
    out: String,
    comments: usize,
}

impl Scribe {
    fn roll(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % n
    }

    fn trivia(&mut self) {
        match self.roll(14) {
            0 if self.lines => {
                self.comments += 1;
                self.out.push_str(&format!("// c{} é, \"x\" {}", self.comments, self.eol));
            }
            1 => {
                self.comments += 1;
                self.out.push_str(&format!("/* c{} 😀 }} */", self.comments));
            }
            2 | 3 if self.lines => {
                self.out.push_str(self.eol);
                self.out.push_str("   ");
            }
            4..=8 => self.out.push(' '),
            _ => {}
        }
    }

    fn write(&mut self, value: &Value, depth: usize) {
        self.trivia();
        match value {
            Value::Array(items) => {
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.line(depth + 1);
                    self.write(item, depth + 1);
                    self.comma(i + 1 == items.len());
                }
                self.line(depth);
                self.out.push(']');
            }
            Value::Object(members) => {
                self.out.push('{');
                for (i, (key, item)) in members.iter().enumerate() {
                    self.line(depth + 1);
                    self.out.push_str(&Value::from(key.as_str()).to_string());
                    self.trivia();
                    self.out.push(':');
                    self.write(item, depth + 1);
                    self.comma(i + 1 == members.len());
                }
                self.line(depth);
                self.out.push('}');
            }
            scalar => self.out.push_str(&scalar.to_string()),
        }
    }

    fn line(&mut self, depth: usize) {
        if self.lines && self.roll(8) > 0 {
            self.out.push_str(self.eol);
            self.out.push_str(&"\t".repeat(depth));
        }
    }

    fn comma(&mut self, last: bool) {
        self.trivia();
        if !last || self.roll(4) == 0 {
            self.out.push(',');
            self.trivia();
        }
    }
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let text = "[a-zé日😀\"\\\\\\n ]{0,8}";
    prop_oneof![
        prop::sample::select(vec!["todo", "draft", "done", "dropped"]).prop_map(|s| ("status".to_owned(), json!(s))),
        prop::sample::select(vec!["low", "high"]).prop_map(|s| ("priority".to_owned(), json!(s))),
        text.prop_map(|s| ("notes".to_owned(), json!(s))),
        text.prop_map(|s| ("x-unknown".to_owned(), json!({"deep": [s, 1.5, null]}))),
        prop::collection::vec(text, 0..4).prop_map(|v| ("acceptance".to_owned(), json!(v))),
        Just(("limits".to_owned(), json!({"attempts": 2}))),
    ]
}

fn queue() -> impl Strategy<Value = Value> {
    let task = prop::collection::vec(field(), 0..5);
    (prop::collection::vec(task, 0..6), any::<bool>()).prop_map(|(tasks, extra)| {
        let tasks: Vec<Value> = tasks
            .into_iter()
            .enumerate()
            .map(|(i, fields)| {
                let mut task = Map::new();
                task.insert("id".to_owned(), json!(format!("t{i}é")));
                task.insert("title".to_owned(), json!(format!("Title {i}")));
                task.extend(fields);
                Value::Object(task)
            })
            .collect();
        let mut root = Map::new();
        root.insert("version".to_owned(), json!(1));
        root.insert("tasks".to_owned(), json!(tasks));
        if extra {
            root.insert("mine".to_owned(), json!({"a": [true]}));
        }
        Value::Object(root)
    })
}

/// A queue, and one text of it with the number of its comments.
fn document() -> impl Strategy<Value = (Value, String)> {
    (queue(), any::<u64>(), 0..3u8, any::<bool>()).prop_map(|(value, seed, layout, bom)| {
        let eol = if layout == 0 { "\r\n" } else { "\n" };
        let out = if bom { "\u{feff}".to_owned() } else { String::new() };
        let mut scribe = Scribe { state: seed | 1, eol, lines: layout != 2, out, comments: 0 };
        scribe.write(&value, 0);
        scribe.trivia();
        (value, scribe.out)
    })
}

fn to_json(text: &str) -> Value {
    let document = jsonc::parse(text);
    assert_eq!(document.errors, [], "{text}");
    document.root.expect("a value").to_json()
}

/// The comments of a text, in order, found independently of the parser's tree.
fn comments(text: &str) -> Vec<String> {
    let options =
        jsonc_parser::CollectOptions { comments: jsonc_parser::CommentCollectionStrategy::Separate, tokens: false };
    let parsed = jsonc_parser::parse_to_ast(text.trim_start_matches('\u{feff}'), &options, &Default::default())
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut found: Vec<_> = parsed.comments.iter().flat_map(|map| map.values().flat_map(|list| list.iter())).collect();
    found.sort_by_key(|comment| jsonc_parser::common::Ranged::range(*comment).start);
    found.dedup_by_key(|comment| jsonc_parser::common::Ranged::range(*comment).start);
    found.iter().map(|comment| comment.text().to_owned()).collect()
}

fn check_shape(text: &str, edits: &[TextEdit]) {
    for pair in edits.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "overlap: {edits:?} in {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn documents_read_as_what_was_written((value, text) in document()) {
        prop_assert_eq!(&to_json(&text), &value);
        let queue = QueueText::parse(&text);
        prop_assert!(queue.valid);
        prop_assert_eq!(queue.problems, vec![]);
        let tasks = value["tasks"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(queue.tasks.len(), tasks.len());
        for (span, task) in queue.tasks.iter().zip(&tasks) {
            prop_assert_eq!(&to_json(&text[span.range.clone()]), task);
            prop_assert_eq!(span.id.as_deref(), task["id"].as_str());
            prop_assert!(span.task.is_some());
            for field in &span.fields {
                prop_assert_eq!(to_json(&text[field.key.clone()]), json!(field.name));
                let value = field.value.clone().expect("well formed");
                prop_assert_eq!(&to_json(&text[value]), &task[&field.name]);
            }
        }
    }

    #[test]
    fn setting_a_field_changes_exactly_that((mut value, text) in document(), at in any::<prop::sample::Index>(), (name, new) in field()) {
        let count = value["tasks"].as_array().map_or(0, Vec::len);
        prop_assume!(count > 0);
        let index = at.index(count);
        let id = value["tasks"][index]["id"].as_str().unwrap().to_owned();
        let old = QueueText::parse(&text).task(&id).and_then(|task| task.field(&name)?.value.clone());
        let edits = set_field(&text, &id, &name, &new).unwrap();
        check_shape(&text, &edits);
        if let (Some(old), [edit]) = (&old, &edits[..]) {
            prop_assert_eq!(&edit.range, old);
        }
        let result = apply_edits(&text, &edits);
        value["tasks"][index][&name] = new;
        prop_assert_eq!(&to_json(&result), &value, "{}\n=>\n{}", text, result);
        if old.is_none() {
            prop_assert_eq!(comments(&result), comments(&text));
            let inserted: usize = edits.iter().map(|edit| edit.new_text.len() ).sum();
            prop_assert_eq!(result.len(), text.len() + inserted);
        }
        prop_assert!(set_field(&result, &id, &name, &value["tasks"][index][&name]).unwrap().is_empty());
    }

    #[test]
    fn removing_a_field_keeps_the_rest((mut value, text) in document(), at in any::<prop::sample::Index>(), (name, _) in field()) {
        let count = value["tasks"].as_array().map_or(0, Vec::len);
        prop_assume!(count > 0);
        let index = at.index(count);
        let id = value["tasks"][index]["id"].as_str().unwrap().to_owned();
        let inner = QueueText::parse(&text).task(&id).and_then(|task| task.field(&name)?.value.clone());
        let edits = remove_field(&text, &id, &name).unwrap();
        check_shape(&text, &edits);
        let result = apply_edits(&text, &edits);
        value["tasks"][index].as_object_mut().unwrap().shift_remove(&name);
        prop_assert_eq!(&to_json(&result), &value, "{}\n=>\n{}", text, result);
        prop_assert_eq!(inner.is_none(), edits.is_empty());
        if inner.is_none_or(|inner| !text[inner].contains("/")) {
            let before = comments(&text);
            let after = comments(&result);
            // Only a comment between the key and its colon or value goes with the field.
            prop_assert!(before.len() - after.len() <= 3, "{}\n=>\n{}", text, result);
        }
    }

    #[test]
    fn removing_a_task_keeps_the_rest((mut value, text) in document(), at in any::<prop::sample::Index>()) {
        let count = value["tasks"].as_array().map_or(0, Vec::len);
        prop_assume!(count > 0);
        let index = at.index(count);
        let id = value["tasks"][index]["id"].as_str().unwrap().to_owned();
        let span = QueueText::parse(&text).task(&id).unwrap().range.clone();
        let edits = remove_task(&text, &id).unwrap();
        check_shape(&text, &edits);
        let result = apply_edits(&text, &edits);
        value["tasks"].as_array_mut().unwrap().remove(index);
        prop_assert_eq!(&to_json(&result), &value, "{}\n=>\n{}", text, result);
        let mut rest = text.clone();
        rest.replace_range(span, "0");
        prop_assert_eq!(comments(&result), comments(&rest));
    }

    #[test]
    fn adding_tasks_keeps_the_rest((mut value, text) in document(), n in 1usize..4) {
        let tasks: Vec<_> = (0..n).map(|i| crate::domain::task::Task::new(format!("new{i}"), "N\u{1F600}")).collect();
        let goal = crate::domain::task::Goal { id: "g".into(), text: "why".into(), created_at: None };
        let edits = add_tasks(&text, &tasks, std::slice::from_ref(&goal)).unwrap();
        check_shape(&text, &edits);
        let result = apply_edits(&text, &edits);
        let entries = tasks.iter().map(|task| json!({"id": task.id, "title": task.title, "status": "draft"}));
        value["tasks"].as_array_mut().unwrap().extend(entries);
        value["goals"] = json!([{"id": "g", "text": "why"}]);
        prop_assert_eq!(&to_json(&result), &value, "{}\n=>\n{}", text, result);
        prop_assert_eq!(comments(&result), comments(&text));
        if !text.contains('\n') {
            prop_assert!(!result.contains('\n') || text.contains("//"));
        }
        if text.contains("\r\n") {
            prop_assert!(!result.replace("\r\n", "").contains('\n'));
        }
        let again = QueueText::parse(&result);
        let read: Vec<_> = again.usable_tasks().filter(|task| task.id.0.starts_with("new")).cloned().collect();
        prop_assert_eq!(read, tasks);
    }

    #[test]
    fn nothing_panics_and_ranges_hold_on_cut_or_damaged_text((_, text) in document(), cut in any::<prop::sample::Index>(), drop in 0usize..12) {
        let mut from = cut.index(text.len() + 1);
        while !text.is_char_boundary(from) { from -= 1; }
        let mut to = (from + drop).min(text.len());
        while !text.is_char_boundary(to) { to += 1; }
        for damaged in [text[..from].to_owned(), format!("{}{}", &text[..from], &text[to..])] {
            let queue = QueueText::parse(&damaged);
            for problem in &queue.problems {
                prop_assert!(damaged.get(problem.range.clone()).is_some());
            }
            let strict = jsonc_parser::parse_to_ast(damaged.trim_start_matches('\u{feff}'), &Default::default(), &strict());
            let syntax = queue.problems.iter().any(|problem| problem.code == ProblemCode::Syntax);
            prop_assert_eq!(strict.is_err(), syntax, "{:?}: {}", strict.err(), damaged);
            for task in &queue.tasks {
                prop_assert!(damaged.get(task.range.clone()).is_some());
            }
            let completion = completion_at(&damaged, from);
            prop_assert!(damaged.get(completion.replace).is_some());
        }
        // Every task that ended before the cut is still there.
        let whole = QueueText::parse(&text);
        let kept = QueueText::parse(&text[..from]);
        for task in whole.tasks.iter().filter(|task| task.range.end <= from) {
            prop_assert_eq!(kept.task(task.id.as_deref().unwrap()).map(|task| &task.task), Some(&task.task));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[\\[\\]{}:,\"/*\\\\a-c0-9 \\n\u{feff}é-]{0,80}", at in 0usize..90) {
        let queue = QueueText::parse(&text);
        for problem in queue.problems {
            prop_assert!(text.get(problem.range).is_some());
        }
        prop_assert!(text.get(completion_at(&text, at).replace).is_some());
        if let Ok(edits) = add_tasks(&text, &[crate::domain::task::Task::new("zz", "Z")], &[]) {
            let result = apply_edits(&text, &edits);
            prop_assert!(QueueText::parse(&result).task("zz").is_some(), "{}", result);
        }
    }

    #[test]
    fn merging_applies_both_sides((value, base) in document(), at in any::<prop::sample::Index>(), mine_status in 0usize..4, (name, new) in field()) {
        let count = value["tasks"].as_array().map_or(0, Vec::len);
        prop_assume!(count > 0);
        let id = format!("t{}é", at.index(count));
        let status = Status::ALL[mine_status];
        let mine = apply_edits(&base, &set_status(&base, &id, status).unwrap());
        let disk = apply_edits(&base, &set_field(&base, &id, &name, &new).unwrap());
        let disk = apply_edits(&disk, &add_tasks(&disk, &[crate::domain::task::Task::new("n", "N")], &[]).unwrap());
        let merged = merge(&base, &disk, &mine).unwrap();
        let mut expected = to_json(&disk);
        let base_status = value["tasks"][at.index(count)].get("status").cloned();
        if base_status.as_ref() != Some(&json!(status.as_str())) {
            expected["tasks"][at.index(count)]["status"] = json!(status.as_str());
        }
        let both = name == "status" && new != json!(status.as_str())
            && base_status != Some(new) && base_status != Some(json!(status.as_str()));
        prop_assert_eq!(merged.conflicts.len(), usize::from(both));
        prop_assert_eq!(&to_json(&merged.text), &expected, "{}", merged.text);
    }
}

/// One change of a side; tasks are chosen by number.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, String, Value),
    Unset(usize, String),
    Drop(usize),
    Add(&'static str, String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..6usize, field()).prop_map(|(at, (name, value))| Change::Set(at, name, value)),
        1 => (0..6usize, field()).prop_map(|(at, (name, _))| Change::Unset(at, name)),
        1 => (0..6usize).prop_map(Change::Drop),
        1 => (prop::sample::select(vec!["new-a", "new-b"]), "[a-c]").prop_map(|(id, title)| Change::Add(id, title)),
    ]
}

fn apply(text: &str, changes: &[Change]) -> String {
    let mut text = text.to_owned();
    for change in changes {
        let edits = match change {
            Change::Set(at, name, value) => set_field(&text, &format!("t{at}é"), name, value),
            Change::Unset(at, name) => remove_field(&text, &format!("t{at}é"), name),
            Change::Drop(at) => remove_task(&text, &format!("t{at}é")),
            Change::Add(id, title) => add_tasks(&text, &[crate::domain::task::Task::new(*id, title.as_str())], &[]),
        };
        // A task that is not there, or there already, cannot be changed; the side then says nothing about it.
        text = edits.map(|edits| apply_edits(&text, &edits)).unwrap_or(text);
    }
    text
}

type Fields = Map<String, Value>;

fn by_id(text: &str) -> std::collections::BTreeMap<String, Fields> {
    let root = to_json(text);
    let tasks = root["tasks"].as_array().cloned().unwrap_or_default();
    tasks.into_iter().filter_map(|task| Some((task["id"].as_str()?.to_owned(), task.as_object()?.clone()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Compares with a merge of plain maps.
    #[test]
    fn merging_agrees_with_a_merge_of_values(
        (_, base) in document(),
        theirs in prop::collection::vec(change(), 0..5),
        own in prop::collection::vec(change(), 0..5),
    ) {
        let (disk, mine) = (apply(&base, &theirs), apply(&base, &own));
        let merged = merge(&base, &disk, &mine).unwrap();
        let (b, d, m) = (by_id(&base), by_id(&disk), by_id(&mine));
        let mut expected = m.clone();
        let mut conflicts = 0;
        let none = Fields::new();
        for id in b.keys().chain(d.keys()).collect::<std::collections::BTreeSet<_>>() {
            match (b.get(id), d.get(id), m.get(id)) {
                (Some(old), None, Some(kept)) if old == kept => { expected.remove(id); }
                (Some(_), None, Some(_)) => conflicts += 1,
                (Some(old), Some(new), None) => conflicts += usize::from(old != new),
                (None, Some(new), None) => { expected.insert(id.clone(), new.clone()); }
                (old, Some(new), Some(kept)) => {
                    let old = old.unwrap_or(&none);
                    for name in old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>() {
                        let (o, n, k) = (old.get(name), new.get(name), kept.get(name));
                        if o == n || k == n { continue; }
                        if k != o { conflicts += 1; continue; }
                        let task = expected.get_mut(id).unwrap();
                        match n {
                            Some(value) => { task.insert(name.clone(), value.clone()); }
                            None => { task.shift_remove(name); }
                        }
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!(by_id(&merged.text), expected, "{}\n{}\n{}\n=>\n{}", base, disk, mine, merged.text);
        prop_assert_eq!(merged.conflicts.len(), conflicts);
    }
}

/// The dialect we accept, as the other parser names it.
fn strict() -> jsonc_parser::ParseOptions {
    jsonc_parser::ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}
