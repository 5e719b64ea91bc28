//! What is kept never differs from what would be made anew, and what is made again is all that changed.

use super::*;
use crate::domain::hunks::{FileChangeTexts, file_hunks};
use crate::domain::queue::LiveState;
use crate::domain::task::Task;
use crate::lsp::session::documents::Documents;
use crate::lsp::session::stale::{changed_since, concerned};
use crate::protocol::engine_api::{HunkSummary, ProposalView, RestsOn, ReviewView, TaskView};
use lsp_types::Url;
use proptest::prelude::*;
use serde_json::json;
use std::path::PathBuf;

/// A proposal of one task: files by path, before and after.
struct Proposed<'a> {
    task: &'a str,
    files: Vec<(&'a str, Option<&'a str>, &'a str, &'a str)>,
    rests_on: Vec<RestsOn>,
}

fn files(proposed: &Proposed<'_>) -> Vec<ProposalFile> {
    let file = |(path, old_path, old, new): &(&str, Option<&str>, &str, &str)| {
        let change = FileChangeTexts {
            path,
            old_path: *old_path,
            old: Some(old.as_bytes()),
            new: Some(new.as_bytes()),
            ..FileChangeTexts::default()
        };
        ProposalFile {
            path: (*path).to_owned(),
            old_path: old_path.map(str::to_owned),
            base_text: Some((*old).to_owned()),
            head_text: Some((*new).to_owned()),
            hunks: file_hunks(&change).into_iter().map(|hunk| (hunk, Mark::Pending)).collect(),
        }
    };
    proposed.files.iter().map(file).collect()
}

fn task_view(proposed: &Proposed<'_>) -> TaskView {
    let summary = |(hunk, _): &(Hunk, Mark)| HunkSummary {
        id: hunk.id.clone(),
        path: hunk.path.clone(),
        state: Mark::Pending,
        changed: false,
        again: false,
    };
    let summary = ProposalSummary {
        attempt: 1,
        outcome: Outcome::Verified,
        base: "base".into(),
        head: "head".into(),
        files: Vec::new(),
        hunks: files(proposed).iter().flat_map(|file| &file.hunks).map(summary).collect(),
        summary: None,
        part_kept: false,
        part: None,
        round: 1,
    };
    TaskView {
        task: Task::new(proposed.task, "T"),
        state: LiveState::Review,
        why: String::new(),
        attempts: Vec::new(),
        proposal: Some(summary),
        questions: Vec::new(),
        comments: Vec::new(),
        used: Default::default(),
        landed: None,
        landable: false,
    }
}

fn root(proposals: &[Proposed<'_>]) -> Root {
    let mut root = Root::new(PathBuf::from("/r"));
    root.snapshot.tasks = proposals.iter().map(task_view).collect();
    for (task, key) in root.sync_proposals() {
        let proposed = proposals.iter().find(|proposed| proposed.task == task.0).expect("it is one of them");
        let view = ProposalView {
            task: task.clone(),
            title: "T".into(),
            attempt: 1,
            outcome: Outcome::Verified,
            summary: None,
            checks: Vec::new(),
            acceptance: Vec::new(),
            findings: Vec::new(),
            files: files(proposed),
            review: ReviewView { rests_on: proposed.rests_on.clone(), ..ReviewView::default() },
        };
        root.set_proposal(&task, &key, Ok(view));
    }
    root
}

fn set_mark(root: &mut Root, number: usize, mark: Mark) {
    let hunks = root.snapshot.tasks.iter_mut().flat_map(|view| &mut view.proposal).flat_map(|it| &mut it.hunks);
    let mut hunks: Vec<&mut HunkSummary> = hunks.collect();
    let count = hunks.len();
    if count > 0 {
        hunks[number % count].state = mark;
    }
}

fn open(documents: &mut Documents, path: &str, text: &str) -> Url {
    let uri = format!("file:///r/{path}");
    let item = json!({ "textDocument": { "uri": uri, "languageId": "x", "version": 1, "text": text } });
    documents.open(serde_json::from_value(item).expect("parameters"))
}

fn change(documents: &mut Documents, uri: &Url, text: &str) {
    let params = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": text }] });
    documents.change(serde_json::from_value(params).expect("parameters"));
}

/// What both ways of asking say about a document.
fn told(root: &Root, documents: &Documents, uri: &Url) -> String {
    let document = documents.get(uri).expect("it is open");
    format!("{:?}\n{:?}", place(root, document), place_rejected(root, document))
}

#[derive(Clone, Debug)]
enum Step {
    Decide(usize, Mark),
    /// Accepts in the text, with the edit of the place.
    Accept(usize),
    Type(usize),
    Undo,
    /// The proposal is another one, with the same paths.
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mark = prop::sample::select(vec![Mark::Pending, Mark::Accepted, Mark::Rejected { why: None }]);
    let step = prop_oneof![
        (0usize..20, mark).prop_map(|(number, mark)| Step::Decide(number, mark)),
        (0usize..20).prop_map(Step::Accept),
        (0usize..20).prop_map(Step::Type),
        Just(Step::Undo),
        Just(Step::Again),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_what_would_be_made_anew(
        old in prop::collection::vec("[abc]", 1..20), new in prop::collection::vec("[abc]", 1..20), steps in steps(),
    ) {
        let texts = [old.join("\n") + "\n", new.join("\n") + "\n"];
        let proposed = |from: usize| Proposed {
            task: "t",
            files: vec![("a", None, texts[from].as_str(), texts[1 - from].as_str())],
            rests_on: Vec::new(),
        };
        let mut root_now = root(&[proposed(0)]);
        let mut turned = false;
        let mut documents = Documents::default();
        let uri = open(&mut documents, "a", &texts[0]);
        let mut before = vec![texts[0].clone()];
        for step in steps {
            let text = documents.get(&uri).expect("open").text.as_str().to_owned();
            match &step {
                Step::Decide(number, mark) => set_mark(&mut root_now, *number, mark.clone()),
                Step::Accept(number) => {
                    let document = documents.get(&uri).expect("open");
                    let placed = place(&root_now, document);
                    let Some(one) = placed.get(number % placed.len().max(1)) else { continue };
                    let Some(edit) = edit_in(&one.mapped, one.hunk, &text, document.text.line_starts()) else { continue };
                    let accepted = edit.apply(&text);
                    before.push(text);
                    change(&mut documents, &uri, &accepted);
                }
                Step::Type(at) => {
                    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                    lines.insert(at % (lines.len() + 1), "typed\n");
                    let typed = lines.concat();
                    before.push(text);
                    change(&mut documents, &uri, &typed);
                }
                Step::Undo => {
                    let Some(text) = before.pop() else { continue };
                    change(&mut documents, &uri, &text);
                }
                Step::Again => {
                    turned = !turned;
                    root_now = root(&[proposed(usize::from(turned))]);
                    // The commits tell the one from the other.
                    let head = if turned { "other" } else { "head" };
                    for view in &mut root_now.snapshot.tasks {
                        view.proposal.as_mut().expect("a proposal").head = head.into();
                    }
                    let view = root_now.proposals.values().next().and_then(|loaded| loaded.view.as_ref());
                    let view = view.and_then(|view| view.as_ref().ok()).map(|texts| ProposalView::clone(texts));
                    for (task, key) in root_now.sync_proposals() {
                        root_now.set_proposal(&task, &key, Ok(view.clone().expect("texts")));
                    }
                }
            }
            let mut fresh = Documents::default();
            open(&mut fresh, "a", documents.get(&uri).expect("open").text.as_str());
            let expected = told(&root_now, &fresh, &uri);
            // Twice: what was just made, and what is kept of it.
            prop_assert_eq!(&told(&root_now, &documents, &uri), &expected, "{:?}", step);
            prop_assert_eq!(&told(&root_now, &documents, &uri), &expected, "{:?}", step);
        }
    }
}

#[test]
fn a_decision_concerns_its_files_and_what_rests_on_it() {
    let lower = Proposed {
        task: "lower",
        files: vec![
            ("a", None, "1\n2\n", "one\n2\n"),
            ("b", Some("c"), "1\n2\n", "1\ntwo\n"),
            ("d", None, "1\n", "2\n"),
        ],
        rests_on: Vec::new(),
    };
    let on = files(&lower)[0].hunks[0].0.id.clone();
    let mut upper = Proposed { task: "upper", files: vec![("e", None, "1\n", "2\n")], rests_on: Vec::new() };
    let hunk = files(&upper)[0].hunks[0].0.id.clone();
    upper.rests_on = vec![RestsOn { hunk, task: "lower".into(), on: vec![on] }];
    let both = [lower, upper];
    let all_hunks: Vec<HunkId> = both.iter().flat_map(files).flat_map(|file| file.hunks).map(|it| it.0.id).collect();
    let cases: [(usize, &[&str]); 5] = [
        (0, &[".ralph/queue.json", "a", "e"]),
        // A rename takes the other hunks of its file along.
        (1, &[".ralph/queue.json", "b", "c", "e"]),
        (2, &[".ralph/queue.json", "b", "c", "e"]),
        (3, &[".ralph/queue.json", "d", "e"]),
        (4, &[".ralph/queue.json", "e"]),
    ];
    for (number, expected) in cases {
        let mut root = root(&both);
        let before = root.snapshot.clone();
        set_mark(&mut root, number, Mark::Accepted);
        let changed = changed_since(&root, &before).expect("the same proposals");
        assert_eq!(changed.iter().map(String::as_str).collect::<Vec<_>>(), expected, "hunk {number}");
        let task = TaskId::from(if number < 4 { "lower" } else { "upper" });
        assert_eq!(concerned(&root, &task, &all_hunks[number..=number]), changed, "hunk {number}");
    }
    let mut root = root(&both);
    let before = root.snapshot.clone();
    assert_eq!(changed_since(&root, &before).map(|paths| paths.len()), Some(1), "nothing but the queue");
    root.snapshot.tasks[0].proposal.as_mut().expect("a proposal").head = "other".into();
    assert_eq!(changed_since(&root, &before), None, "another proposal");
    root.snapshot = before.clone();
    root.snapshot.settings = json!({ "diagnostics": { "pending": false } });
    assert_eq!(changed_since(&root, &before), None, "other settings");
    root.snapshot = before.clone();
    root.snapshot.tasks.reverse();
    assert_eq!(changed_since(&root, &before), None, "another order");
}
