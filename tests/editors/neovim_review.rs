//! What reviewing in Neovim takes: the whole path with two rounds and the landing, the costs in keys and milliseconds, and
//! proposals far larger than usual.

use crate::neovim::{Played, play_script};
use crate::world::World;
use serde_json::{Value, json};
use std::path::Path;

/// The task that all of it is about.
const TASK: &str = "tidy-5e1f0a";

/// A file of numbered lines that tell it from the others.
fn chapter(name: &str, lines: usize) -> String {
    (1..=lines).map(|line| format!("{name}: line {line}\n")).collect()
}

/// A shell command that writes other words into lines of a file.
fn rewrite(path: &str, lines: impl IntoIterator<Item = usize>, words: &str) -> Value {
    let edits: Vec<String> = lines.into_iter().map(|line| format!("{line}s/.*/{words} {line}/")).collect();
    // The script goes through standard input: it may be longer than a command line.
    json!({ "run": { "command": format!("sed -i -f - '{path}' <<'EDITS'\n{}\nEDITS", edits.join("\n")) } })
}

/// Plans the one task; its first attempt does `first` and all later ones do `then`.
fn script(title: &str, first: Vec<Value>, then: Vec<Value>) -> Value {
    let plan = json!({ "tasks": [{ "id": TASK, "title": title, "verify": ["grep -q tidy one.txt"] }] });
    let finished = json!({ "report": { "type": "finished", "summary": "It is tidy." } });
    let steps = |mut steps: Vec<Value>| {
        steps.push(finished.clone());
        steps
    };
    json!({
        "version": 1,
        "planner": [{ "report": { "type": "submit_plan", "plan": plan } }],
        "tasks": { TASK: { "1": steps(first), "*": steps(then) } },
    })
}

/// Three files with two places each, which an agent tidies after a question; when it is sent back with a comment that says
/// so, it makes one of them shorter.
pub fn three_files() -> World {
    let names = ["one.txt", "two.txt", "three.txt"];
    let files = names.map(|name| (name, chapter(name, 30)));
    let ask = json!({ "report": { "type": "ask", "question": "Tidy what?", "options": ["Lines", "Pages"] } });
    let tidy = |words: &str| {
        let mut steps = vec![json!({ "run": { "command": "grep -q Lines \"$RALPH_PROMPT_FILE\"" } })];
        steps.extend(names.map(|name| rewrite(name, [5], &format!("tidy {name}"))));
        steps.extend(names.map(|name| rewrite(name, [20], words)));
        steps
    };
    World::of(&files, |_| {
        let mut script = script("Tidy three files", vec![ask], tidy("a long and winding line"));
        let mut second = tidy("a long and winding line");
        second.insert(0, json!({ "run": { "command": "grep -q 'make it shorter' \"$RALPH_PROMPT_FILE\"" } }));
        second.push(rewrite("two.txt", [20], "short"));
        second.push(json!({ "report": { "type": "finished", "summary": "It is shorter." } }));
        script["tasks"][TASK]["3"] = Value::Array(second);
        script
    })
}

/// A proposal of 12 hunks in five files.
fn twelve_hunks() -> World {
    const PLACES: [(&str, &[usize]); 5] = [
        ("one.txt", &[5, 20, 35]),
        ("two.txt", &[8, 30]),
        ("three.txt", &[3, 18, 40]),
        ("four.txt", &[12]),
        ("five.txt", &[6, 22, 44]),
    ];
    let files = PLACES.map(|(name, _)| (name, chapter(name, 50)));
    let steps = PLACES.map(|(name, lines)| rewrite(name, lines.iter().copied(), &format!("tidy {name}")));
    World::of(&files, |_| script("Tidy five files", steps.to_vec(), Vec::new()))
}

/// A proposal of `hunks` in each of `files` files, of `lines` lines.
fn large(files: usize, hunks: usize, lines: usize) -> World {
    let name = |number: usize| if number == 0 { "one.txt".to_owned() } else { format!("file{number:03}.txt") };
    let names: Vec<String> = (0..files).map(name).collect();
    let texts: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), chapter(name, lines))).collect();
    let places = |_: &String| (0..hunks).map(move |hunk| 2 + hunk * (lines / hunks)).collect::<Vec<_>>();
    let steps = names.iter().map(|name| rewrite(name, places(name), &format!("tidy {name}"))).collect();
    World::of(&texts, |_| script("Tidy a lot", steps, Vec::new()))
}

/// Three tasks, each about two places of a file of its own.
fn three_tasks() -> World {
    let files = ["one.txt", "two.txt", "three.txt"].map(|name| (name, chapter(name, 30)));
    World::of(&files, |_| {
        let (mut plan, mut tasks) = (Vec::new(), serde_json::Map::new());
        for (name, path) in [("keep", "one.txt"), ("drop", "two.txt"), ("base", "three.txt")] {
            let id = format!("{name}-5e1f0a");
            plan.push(json!({ "id": id, "title": format!("Tidy {path}"), "verify": [format!("grep -q tidy {path}")] }));
            let finished = json!({ "report": { "type": "finished", "summary": "It is tidy." } });
            tasks.insert(id, json!({ "*": [rewrite(path, [5, 20], &format!("tidy {path}")), finished] }));
        }
        let planner = [json!({ "report": { "type": "submit_plan", "plan": { "tasks": plan } } })];
        json!({ "version": 1, "planner": planner, "tasks": tasks })
    })
}

/// Three drafts: one whose agent waits for the gate, and two whose agent is blocked.
fn three_drafts() -> World {
    let files = ["one.txt", "two.txt"].map(|name| (name, chapter(name, 30)));
    World::of(&files, |world| {
        let task = |name: &str, path: &str| {
            let verify = format!("grep -q tidy {path}");
            json!({ "id": format!("{name}-5e1f0a"), "title": format!("Tidy {path}"), "verify": [verify] })
        };
        let plan = json!({ "tasks": [task("wait", "one.txt"), task("stuck", "two.txt"), task("much", "two.txt")] });
        let waits = [
            json!({ "report": { "type": "progress", "text": "waiting" } }),
            json!({ "run": { "command": world.wait_for_gate() } }),
            rewrite("one.txt", [5, 20], "tidy one.txt"),
            json!({ "report": { "type": "finished", "summary": "It is tidy." } }),
        ];
        let blocked = json!({ "report": { "type": "blocked", "reason": "there are two of them" } });
        json!({
            "version": 1,
            "planner": [{ "report": { "type": "submit_plan", "plan": plan } }],
            "tasks": { "wait-5e1f0a": { "*": waits }, "*": { "*": [blocked] } },
        })
    })
}

/// Plans, approves and runs in the terminal until the proposal waits.
fn bring_to_review(world: &World) {
    let program = Path::new(crate::world::PROGRAM);
    for arguments in [&["trust", "--yes"][..], &["plan", "Tidy"], &["approve", "--all"], &["run"]] {
        world.run(program, arguments);
    }
}

/// From the plan to the landing, with two rounds.
pub fn play_rounds(variable: &str) {
    let Played { world, .. } = play_script(variable, "rounds", TASK, three_files());
    let log = world.run(Path::new("git"), &["log", "--format=%s", "-1"]);
    assert_ne!(log, "Start\n", "it landed as a commit");
    let landed = world.run(Path::new("git"), &["show", "HEAD:two.txt"]);
    assert!(landed.contains("short 20\n") && landed.contains("tidy two.txt 5\n"), "{landed}");
    world.wait_for_end_of_engine();
}

/// Every subcommand.
pub fn play_commands(variable: &str) {
    let Played { world, .. } = play_script(variable, "commands", "wait-5e1f0a", three_drafts());
    let status = world.status();
    let states = ["wait-5e1f0a", "stuck-5e1f0a", "much-5e1f0a"].map(|id| {
        let tasks = status["tasks"].as_array().expect("tasks");
        tasks.iter().find(|task| task["id"] == id).map(|task| task["state"].clone())
    });
    assert_eq!(states, [Some(json!("ready")), Some(json!("blocked")), Some(json!("dropped"))], "{status:#}");
    world.wait_for_end_of_engine();
}

/// Keeps a part, drops a rest, asks for another base, and takes back what was rejected, written and landed.
pub fn play_decisions(variable: &str) {
    let world = three_tasks();
    bring_to_review(&world);
    let Played { world, .. } = play_script(variable, "decisions", "keep-5e1f0a", world);
    assert_eq!(world.run(Path::new("git"), &["log", "--format=%s"]), "Mine\nStart\n", "the landing was taken back");
    let changed = world.run(Path::new("git"), &["diff", "HEAD", "--unified=0", "--no-color"]);
    let added: Vec<&str> = changed.lines().filter(|line| line.starts_with("+") && !line.starts_with("+++")).collect();
    assert_eq!(added, ["+tidy one.txt 5", "+tidy three.txt 5", "+tidy three.txt 20", "+tidy two.txt 5"]);
    world.wait_for_end_of_engine();
}

/// Reviews and lands in one round.
pub fn play_landing(variable: &str) {
    let world = twelve_hunks();
    bring_to_review(&world);
    let Played { world, .. } = play_script(variable, "landing", TASK, world);
    let changed = world.run(Path::new("git"), &["diff", "--name-only", "HEAD~1", "HEAD"]);
    assert_eq!(changed, "five.txt\nfour.txt\none.txt\nthree.txt\ntwo.txt\n");
    world.wait_for_end_of_engine();
}

/// Counts the keys of reviewing 12 hunks in five files, and measures what they take.
pub fn play_costs(variable: &str) {
    let world = twelve_hunks();
    bring_to_review(&world);
    let Played { world, said } = play_script(variable, "costs", TASK, world);
    crate::costs::check("Neovim", &said);
    world.wait_for_end_of_engine();
}

/// Reviews 2,000 hunks in 300 files, and one file of 50,000 lines, and prints what it takes.
pub fn play_large(variable: &str) {
    for (what, files, hunks, lines) in
        [("2,000 hunks in 300 files", 300, 7, 70), ("50,000 lines, 500 hunks", 1, 500, 50_000)]
    {
        let world = large(files, hunks, lines);
        bring_to_review(&world);
        let Played { world, said } = play_script(variable, "large", TASK, world);
        println!("{what}:\n{said}");
        drop(world);
    }
}
