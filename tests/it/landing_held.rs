//! A landing that is held up: by a hook or a signature that does not end, and by the death of the engine in the middle.

use crate::coming_back::harness::{Gate, LONG, Place, git};
use ralph_sidecar::domain::event::Event;
use ralph_sidecar::infra::processes::{ProcessId, alive, wait_until_gone};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A repository in which these tasks wait for review; each makes a file of its name.
fn place(tasks: &[&str]) -> Place {
    let place = Place::new(tasks, "grep -q done TASK.txt");
    for (name, value) in [("user.name", "Ann"), ("user.email", "ann@example.org")] {
        git(&place.repo, &["config", name, value]);
    }
    place.ok(&["run", "--agent", &place.agent(None)]);
    place
}

fn hook(place: &Place, name: &str, script: &str) {
    let path = place.repo.join(".git/hooks").join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

fn told(place: &Place, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git").args(arguments).current_dir(&place.repo).output().expect("git");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a landing that comes to nothing leaves as it was.
fn seen(place: &Place) -> [String; 4] {
    let git = |arguments: &[&str]| told(place, arguments);
    assert!(!place.repo.join(".git/index.lock").exists());
    [
        git(&["ls-files", "--stage"]),
        git(&["for-each-ref", "refs/heads"]),
        git(&["--no-optional-locks", "status", "--porcelain"]),
        git(&["rev-parse", "HEAD"]),
    ]
}

fn landings(place: &Place) -> Vec<String> {
    let landed = |event: Event| match event {
        Event::Landed { landing, .. } => Some(landing.commit),
        _ => None,
    };
    place.events().into_iter().filter_map(landed).collect()
}

fn gone(id: ProcessId) {
    assert!(wait_until_gone(&[id], LONG).expect("waited"), "{id:?} stays");
}

#[test]
fn a_hook_that_takes_longer_than_the_limit_is_ended_and_nothing_is_lost() {
    let place = place(&["one"]);
    place.ok(&["accept", "one"]);
    fs::write(place.repo.join(".ralph/config.json"), r#"{"version": 1, "land": {"timeout_seconds": 1}}"#)
        .expect("config");
    let before = seen(&place);
    hook(&place, "pre-commit", "echo lint begins >&2; while :; do sleep 1000; done");
    let (code, said) = place.run(&["land", "--commit"]);
    assert_eq!(code, 3, "{said}");
    for words in ["had not ended after 1 second, and was ended", "nothing was landed", "`land.timeout_seconds`"] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    assert_eq!(seen(&place), before);
    assert_eq!(landings(&place), [""; 0]);
    fs::remove_file(place.repo.join(".ralph/config.json")).expect("removed");
    hook(&place, "pre-commit", "exit 0");
    assert!(place.ok(&["land", "--commit"]).contains("landed one as"));
    place.nothing_left();
}

#[test]
fn while_a_hook_is_on_everything_else_goes_on_and_a_person_ends_it() {
    let place = place(&["one", "two"]);
    place.ok(&["accept", "one"]);
    let gate = Gate::new(&place, "hook");
    hook(&place, "pre-commit", &format!("echo lint begins >&2\n{}", gate.pass()));
    let before = seen(&place);
    for way in ["stop", "land --stop", "signal"] {
        let landing = place.start(&["land", "one", "--commit"]);
        let held = gate.wait();
        if way == "stop" {
            let (code, said) = place.run(&["land", "one", "--commit"]);
            assert!(code != 0 && said.contains("a landing is on") && said.contains("land --stop"), "{said}");
            let (code, said) = place.run(&["undo"]);
            assert!(code != 0 && said.contains("a landing is on"), "{said}");
            assert_eq!(place.task_state("two"), "review");
        }
        match way {
            "signal" => landing.signal(Signal::INT),
            words => drop(place.ok(&words.split(' ').collect::<Vec<_>>())),
        }
        let (code, said) = landing.end();
        assert_eq!(code, 3, "{way}: {said}");
        for words in ["the hook `pre-commit` was on when you stopped", "lint begins", "nothing was landed"] {
            assert!(said.contains(words), "{way}: `{words}` is not in {said}");
        }
        gone(held);
        assert_eq!(seen(&place), before, "{way}");
    }
    let (code, said) = place.run(&["land", "--stop"]);
    assert!(code == 2 && said.contains("no landing is on"), "{said}");
    // What is accepted meanwhile is written, and does not come into the commit.
    let landing = place.start(&["land", "one", "--commit"]);
    gate.wait();
    assert!(place.ok(&["accept", "two"]).contains("accepted 1 hunk"));
    assert!(place.repo.join("two.txt").exists());
    gate.open();
    let (code, said) = landing.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(told(&place, &["show", "--format=", "--name-only", "HEAD"]), "one.txt");
    place.nothing_left();
}

#[test]
fn a_signature_that_does_not_end_is_named() {
    let place = place(&["one"]);
    place.ok(&["accept", "one"]);
    let gate = Gate::new(&place, "signing");
    let program = place.script("sign.sh", &gate.pass());
    git(&place.repo, &["config", "gpg.program", &program.display().to_string()]);
    git(&place.repo, &["config", "commit.gpgsign", "true"]);
    let before = seen(&place);
    for to in [&["--commit"][..], &["--branch", "side"]] {
        let landing = place.start(&[&["land"], to].concat());
        let held = gate.wait();
        place.ok(&["land", "--stop"]);
        let (code, said) = landing.end();
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("signing by `") && said.contains("sign.sh` was on"), "{said}");
        gone(held);
        assert_eq!(seen(&place), before);
    }
    place.nothing_left();
}

#[test]
fn a_hook_that_is_ended_after_the_commit_was_made_leaves_it_landed() {
    let place = place(&["one"]);
    place.ok(&["accept", "one"]);
    let gate = Gate::new(&place, "hook");
    hook(&place, "post-commit", &gate.pass());
    let landing = place.start(&["land", "--commit"]);
    let held = gate.wait();
    place.ok(&["land", "--stop"]);
    let (code, said) = landing.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("landed one as") && said.contains("the hook `post-commit` was on"), "{said}");
    gone(held);
    assert_eq!(landings(&place), [told(&place, &["rev-parse", "HEAD"])]);
    assert_eq!(told(&place, &["status", "--porcelain", "--", "one.txt"]), "");
    place.ok(&["land", "--undo"]);
    place.nothing_left();
}

#[test]
fn an_engine_killed_before_the_commit_leaves_nothing_landed() {
    let place = place(&["one"]);
    place.ok(&["accept", "one"]);
    let gate = Gate::new(&place, "hook");
    hook(&place, "pre-commit", &gate.pass());
    let before = seen(&place);
    let landing = place.start(&["land", "--commit"]);
    let held = gate.wait();
    place.kill_engine();
    let (code, said) = landing.end();
    assert_ne!(code, 0, "{said}");
    assert!(alive(held), "git goes on without its engine");
    // The next engine ends it: no commit comes that nobody knows of.
    place.ok(&["undo"]);
    gone(held);
    assert!(!place.repo.join("one.txt").exists());
    place.ok(&["accept", "one"]);
    assert_eq!((seen(&place), landings(&place)), (before, Vec::new()));
    hook(&place, "pre-commit", "exit 0");
    place.ok(&["land", "--commit"]);
    place.nothing_left();
}

#[test]
fn an_engine_killed_after_the_commit_and_before_it_wrote_it_down_is_caught_up_with() {
    let place = place(&["one"]);
    place.ok(&["accept", "one"]);
    fs::write(place.repo.join("mine.txt"), "mine\n").expect("written");
    git(&place.repo, &["add", "mine.txt"]);
    let before = seen(&place);
    let gate = Gate::new(&place, "hook");
    // The formatter makes the commit another than was planned; it is ours all the same.
    hook(&place, "pre-commit", "echo formatted > formatted.txt; git add formatted.txt; rm formatted.txt");
    hook(&place, "post-commit", &gate.pass());
    let landing = place.start(&["land", "--commit"]);
    gate.wait();
    place.kill_engine();
    gate.open();
    let (code, said) = landing.end();
    assert_ne!(code, 0, "{said}");
    assert_eq!(landings(&place), [""; 0], "the journal did not have it");
    // Any front end brings the next engine.
    let (code, said) = place.run(&["land", "one", "--commit"]);
    assert!(code != 0 && said.contains("is landed already"), "{said}");
    let commit = told(&place, &["rev-parse", "HEAD"]);
    assert_eq!(landings(&place), [commit.as_str()]);
    assert_eq!(told(&place, &["status", "--porcelain", "--", "one.txt", "mine.txt"]), "A  mine.txt");
    hook(&place, "post-commit", "exit 0");
    place.ok(&["land", "--undo"]);
    assert_eq!(seen(&place), before);
    place.nothing_left();
}
