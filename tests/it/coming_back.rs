//! What comes back after `kill -9` of engine, supervisor, agent or front end, on the real program.

pub mod harness;
mod parts;

use harness::{Gate, LONG, Place, arguments, kill};
use ralph_sidecar::infra::engine_lock::Announcement;
use ralph_sidecar::infra::processes::{self, alive, wait_until_gone};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

const CHECK: &str = "grep -q done TASK.txt";

#[test]
fn an_engine_killed_while_the_agent_works_is_followed_by_one_that_adopts_it() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    let working = gate.wait();
    front.signal(Signal::KILL);
    place.kill_engine();
    assert_eq!(place.supervisors().len(), 1, "the supervisor goes on");
    assert!(alive(working));
    // The next front end has the run that is on.
    let front = place.start(&["run", "--agent", &agent]);
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.starts(), ["one#1"], "the agent was started once");
    let transcript = fs::read_to_string(place.attempt("one", 1).join("transcript.log")).expect("one transcript");
    assert_eq!((transcript.matches("began").count(), transcript.matches("ends").count()), (1, 1), "{transcript}");
    assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\ndone\n"));
    place.nothing_left();
}

#[test]
fn a_front_end_finds_the_next_engine_by_itself() {
    let place = Place::new(&["one", "two", "three", "four", "five"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    for _ in 0..5 {
        gate.wait();
        place.kill_engine();
        gate.open();
    }
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    for task in ["one", "two", "three", "four", "five"] {
        assert_eq!(place.outcomes(task), ["verified"]);
    }
    assert_eq!(place.starts().len(), 5);
    place.nothing_left();
}

#[test]
fn an_engine_killed_after_the_agent_ended_and_before_the_checks_goes_on_with_them() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    gate.wait();
    front.signal(Signal::KILL);
    let engine = place.engine();
    processes::signal(engine, Signal::STOP).expect("stopped");
    let (supervisor, _) = place.supervisors()[0];
    gate.open();
    // The stopped engine has not reaped it, so it stays as a zombie; ended it is.
    assert!(wait_until_gone(&[supervisor], LONG).expect("waited"));
    kill(engine);
    assert_eq!(place.run(&["run", "--agent", &agent]).0, 0);
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.starts(), ["one#1"]);
    place.nothing_left();
}

#[test]
fn a_check_that_was_on_is_ended_and_run_again_and_what_it_wrote_is_nobodys_work() {
    let place = Place::new(&["one"], "sh FOLDER/check.sh TASK");
    let gate = Gate::new(&place, "check");
    let text =
        format!("[ -f \"$1.txt\" ] || exit 1\necho litter > litter.txt\n{}\ngrep -q done \"$1.txt\"", gate.pass());
    place.script("check.sh", &text);
    let agent = place.agent(None);
    let front = place.start(&["run", "--agent", &agent]);
    let first = gate.wait();
    front.signal(Signal::KILL);
    place.kill_engine();
    assert!(alive(first), "its supervisor goes on");
    let front = place.start(&["run", "--agent", &agent]);
    let second = gate.wait();
    assert!(!alive(first) && alive(second), "two checks at once in one slot");
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.starts(), ["one#1"]);
    assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\ndone\n"));
    assert_eq!(place.in_attempt("one", 1, "litter.txt"), None);
    assert!(!place.ok(&["review", "one"]).contains("litter"));
    place.nothing_left();
}

#[test]
fn an_engine_killed_between_the_claim_and_the_agent_does_those_steps_again() {
    let place = Place::with_config(&["one"], CHECK, r#"{ "version": 1, "setup": ["sh FOLDER/setup.sh"] }"#);
    let gate = Gate::new(&place, "setup");
    place.script("setup.sh", &format!("echo setup >> FOLDER/setups\n{}", gate.pass()));
    let agent = place.agent(None);
    let front = place.start(&["run", "--agent", &agent]);
    let first = gate.wait();
    front.signal(Signal::KILL);
    place.kill_engine();
    assert!(alive(first));
    let front = place.start(&["run", "--agent", &agent]);
    let second = gate.wait();
    assert!(!alive(first) && alive(second), "two setups at once in one slot");
    assert_eq!(place.starts(), [""; 0]);
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.starts(), ["one#1"]);
    place.nothing_left();
}

#[test]
fn a_killed_supervisor_takes_its_agent_along_and_the_next_attempt_continues() {
    for engine_too in [false, true] {
        let place = Place::new(&["one"], CHECK);
        let (gate, child) = (Gate::new(&place, "agent"), Gate::new(&place, "child"));
        place.script("child.sh", &child.pass());
        let agent = place.agent(Some(&gate));
        let text = fs::read_to_string(place.folder.join("agent.sh")).expect("agent");
        let text = text.replace("cat >/dev/null", "cat >/dev/null\nsetsid FOLDER/child.sh &");
        place.script("agent.sh", text.trim_start_matches("#!/bin/sh\n"));
        let front = place.start(&["run", "--agent", &agent]);
        let (working, forked) = (gate.wait(), child.wait());
        let (supervisor, _) = place.supervisors()[0];
        if engine_too {
            // The child is nobody's until the next engine comes, which the front end starts.
            place.kill_engine();
        }
        kill(supervisor);
        assert!(wait_until_gone(&[working, forked], LONG).expect("waited"), "something of the attempt goes on");
        let second = gate.wait();
        assert_ne!(working, second);
        assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\n"));
        gate.open();
        let (code, said) = front.end();
        assert_eq!(code, 0, "{said}");
        assert_eq!(place.outcomes("one"), ["attempt_lost", "verified"]);
        assert_eq!(place.in_attempt("one", 2, "one.txt").as_deref(), Some("one#1\none#2\ndone\n"));
        // The one the second attempt forked was ended with it.
        place.nothing_left();
    }
}

#[test]
fn a_killed_agent_has_crashed_and_what_it_wrote_is_kept() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    processes::signal(gate.wait(), Signal::KILL).expect("sent");
    gate.wait();
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["crashed", "verified"]);
    assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\n"));
    assert_eq!(place.in_attempt("one", 2, "one.txt").as_deref(), Some("one#1\none#2\ndone\n"));
    place.nothing_left();
}

#[test]
fn with_everything_killed_at_once_the_attempt_is_lost_and_its_work_is_not() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    let working = gate.wait();
    let (supervisor, _) = place.supervisors()[0];
    let all = [front.id, place.engine(), supervisor, working];
    // Stopped first, so that none sees another's end.
    assert!(all.iter().all(|id| processes::signal(*id, Signal::STOP).expect("sent")));
    for id in all {
        // The kernel ends the agent with its supervisor, perhaps before this does.
        processes::signal(id, Signal::KILL).expect("sent");
    }
    assert!(wait_until_gone(&all, LONG).expect("waited"));
    // What a crash in the middle of other steps leaves.
    let admin = place.repo.join(".git/worktrees/ralph-slot-1");
    fs::write(admin.join("HEAD.lock"), "").expect("a stale lock");
    fs::write(admin.join("index.lock"), "").expect("a stale lock");
    for name in ["snapshot", "slots/slot-1/leftover"] {
        let path = place.repo.join(format!(".git/refs/ralph/{name}.lock"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, "").expect("a stale lock");
    }
    let stray = place.repo.join(".ralph/.queue.json.x1y2z3.tmp");
    fs::write(&stray, "{").expect("half a queue");
    fs::remove_file(admin.join("gitdir")).expect("half an administration");
    fs::remove_file(place.paths.slots.join("slot-1/.git")).expect("half a slot");
    let socket = Announcement::read(&place.paths).expect("said").socket.expect("listened");
    assert!(socket.exists() && place.paths.lock.exists(), "a stale socket and a stale lock file");

    let front = place.start(&["run", "--agent", &agent]);
    for _ in 0..2 {
        gate.wait();
        gate.open();
    }
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["attempt_lost", "verified"]);
    assert_eq!(place.outcomes("two"), ["verified"]);
    assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\n"));
    assert_eq!(place.in_attempt("one", 2, "one.txt").as_deref(), Some("one#1\none#2\ndone\n"));
    assert_eq!(place.in_attempt("two", 1, "one.txt"), None, "nothing of one attempt gets into another");
    assert!(!stray.exists(), "nothing of ours is left in the checkout");
    place.nothing_left();
}

#[test]
fn a_slot_made_by_half_is_made_whole() {
    for half in 0..3 {
        let place = Place::new(&["one"], CHECK);
        let admin = place.repo.join(".git/worktrees/ralph-slot-1");
        let slot = place.paths.slots.join("slot-1");
        if half != 0 {
            fs::create_dir_all(&slot).expect("folder");
        }
        if half != 1 {
            fs::create_dir_all(&admin).expect("folder");
            fs::write(admin.join("commondir"), "../..\n").expect("file");
        }
        if half == 2 {
            fs::create_dir_all(place.paths.slots.join(".state")).expect("folder");
            fs::write(place.paths.slots.join(".state/slot-1.json"), "{\"prep").expect("half a record");
            fs::write(place.paths.slots.join(".state/slot-1.lock"), "4711").expect("a stale lock");
            fs::write(admin.join("HEAD"), "ref: refs/heads/gone\n").expect("file");
        }
        let agent = place.agent(None);
        assert_eq!(place.run(&["run", "--agent", &agent]).0, 0, "{half}\n{}", place.log());
        assert_eq!(place.outcomes("one"), ["verified"]);
        place.nothing_left();
    }
}

#[test]
fn an_attempt_whose_task_left_the_queue_is_adopted_all_the_same() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    let working = gate.wait();
    // Twice by hand, and once by the engine in between, which has seen the first then.
    place.write_queue(&place.repo, &["two"], CHECK);
    place.ok(&["drop", "two"]);
    place.write_queue(&place.repo, &["two"], CHECK);
    front.signal(Signal::KILL);
    place.kill_engine();
    let front = place.start(&["run", "--agent", &agent]);
    gate.open();
    assert!(wait_until_gone(&[working], LONG).expect("waited"));
    gate.wait();
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    for task in ["one", "two"] {
        assert_eq!(place.outcomes(task), ["verified"]);
        assert_eq!(place.in_attempt(task, 1, &format!("{task}.txt")), Some(format!("{task}#1\ndone\n")));
    }
    place.nothing_left();
}

#[test]
fn events_are_told_once_over_a_killed_engine() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--json", "--agent", &agent]);
    for _ in 0..2 {
        gate.wait();
        place.kill_engine();
        gate.open();
    }
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    let told: Vec<String> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["type"] != "task_state")
        .map(|event| {
            format!("{} {}", event["type"].as_str().unwrap_or_default(), event["task"].as_str().unwrap_or("-"))
        })
        .collect();
    let expected = [
        "run_started -",
        "attempt_started one",
        "attempt_ended one",
        "attempt_started two",
        "attempt_ended two",
        "run_ended -",
    ];
    assert_eq!(told, expected, "{said}");
    place.nothing_left();
}

#[test]
fn a_planner_nobody_waits_for_is_ended() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "planner");
    let planner = place.script("planner.sh", &format!("cat >/dev/null\n{}", gate.pass()));
    let front = place.start(&["plan", "a goal", "--agent", &format!("command:{}", planner.display())]);
    let working = gate.wait();
    place.kill_engine();
    let (code, said) = front.end();
    assert_eq!(code, 1, "{said}");
    assert!(alive(working));
    place.ok(&["trust", "--list"]);
    assert!(!alive(working));
    place.nothing_left();
}

#[test]
fn a_check_of_all_proposals_together_that_was_on_is_ended_and_run_again() {
    let place = Place::new(&["one", "two"], "sh FOLDER/check.sh TASK");
    let gate = Gate::new(&place, "union");
    let text = format!("if [ -f one.txt ] && [ -f two.txt ]; then {}; fi\ngrep -q done \"$1.txt\"", gate.pass());
    place.script("check.sh", &text);
    let agent = place.agent(None);
    let front = place.start(&["run", "--agent", &agent]);
    let first = gate.wait();
    place.kill_engine();
    let second = gate.wait();
    assert!(!alive(first) && alive(second), "two checks at once in one slot");
    gate.open();
    gate.wait();
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!([place.outcomes("one"), place.outcomes("two")], [["verified"], ["verified"]]);
    place.nothing_left();
}

#[test]
fn an_accept_that_was_cut_off_is_finished_by_the_next() {
    let place = Place::new(&["one"], CHECK);
    let agent = place.agent(None);
    assert_eq!(place.run(&["run", "--agent", &agent]).0, 0);
    // Written, and the engine killed before it could say so.
    fs::write(place.repo.join("one.txt"), "one#1\ndone\n").expect("written");
    assert_eq!(place.task_state("one"), "review");
    place.ok(&["accept", "one"]);
    assert_eq!(place.task_state("one"), "done");
    assert_eq!(fs::read_to_string(place.repo.join("one.txt")).expect("there"), "one#1\ndone\n");
}

#[test]
fn with_the_journal_gone_nothing_of_the_time_before_is_taken_for_new_work() {
    let place = Place::new(&["one"], CHECK);
    let agent = place.agent(None);
    assert_eq!(place.run(&["run", "--agent", &agent]).0, 0);
    place.nothing_left();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(place.paths.root.join(name));
    }
    fs::write(place.folder.join("agent.sh"), "#!/bin/sh\nexit 0\n").expect("an agent that does nothing");
    let (_, said) = place.run(&["run", "--attempts", "1", "--agent", &agent]);
    assert_eq!(place.outcomes("one"), ["incomplete"], "{said}");
    assert_eq!(place.in_attempt("one", 1, "one.txt").as_deref(), Some("one#1\ndone\n"), "the work is still there");
    place.nothing_left();
}

#[test]
fn what_was_written_by_us_while_the_agent_worked_is_known_after_a_restart() {
    let place = Place::new(&["one", "two"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    gate.wait();
    // Changes the queue file, which no agent may.
    place.ok(&["drop", "two"]);
    place.kill_engine();
    gate.open();
    let (code, said) = front.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.outcomes("one"), ["verified"]);
    place.nothing_left();
}

#[test]
fn a_killed_front_end_leaves_the_run_to_the_engine() {
    let place = Place::new(&["one"], CHECK);
    let gate = Gate::new(&place, "agent");
    let agent = place.agent(Some(&gate));
    let front = place.start(&["run", "--agent", &agent]);
    gate.wait();
    front.signal(Signal::KILL);
    drop(front);
    let (code, said) = place.run(&["run", "--agent", &agent]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("a run is on already"), "{said}");
    let status: serde_json::Value = serde_json::from_str(&place.ok(&["status", "--json"])).expect("json");
    assert_eq!((&status["run"]["task"], place.task_state("one").as_str()), (&"one".into(), "running"), "{status}");
    let engine = place.engine();
    gate.open();
    assert!(wait_until_gone(&[engine], LONG).expect("waited"), "the engine ends when the run has");
    assert_eq!(place.outcomes("one"), ["verified"]);
    assert_eq!(place.task_state("one"), "review");
    place.nothing_left();
}

/// A source of moments and choices; the seed is printed with a failure.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

#[test]
fn killed_at_random_moments_it_ends_all_the_same() {
    const TASKS: [&str; 4] = ["one", "two", "three", "four"];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.subsec_nanos().into());
    eprintln!("SEED={seed}");
    let mut dice = Dice(seed);
    let place = Place::new(&TASKS, "sh FOLDER/check.sh TASK");
    place.script("check.sh", "echo litter >> litter.txt\ngrep -q done \"$1.txt\"");
    let agent = place.agent(None);
    // Three lost attempts in a row are a person's to look at, so supervisors are killed less often than that.
    let mut supervisors_left = 2;
    for _ in 0..10 {
        let front = place.start(&["run", "--agent", &agent]);
        let moment = Duration::from_millis(dice.roll(700));
        if wait_until_gone(&[front.id], moment).expect("waited") {
            let (code, said) = front.end();
            assert_eq!(code, 0, "{said}\n{}", place.log());
            continue;
        }
        let victims = dice.roll(8);
        if victims & 1 == 1 {
            processes::signal(front.id, Signal::KILL).expect("sent");
        }
        if victims & 2 == 2
            && supervisors_left > 0
            && let Some((supervisor, _)) = place.supervisors().first()
        {
            supervisors_left -= 1;
            processes::signal(*supervisor, Signal::KILL).expect("sent");
        }
        let engine = Announcement::read(&place.paths).and_then(|said| processes::process(said.pid));
        if let Some(engine) = engine.filter(|engine| arguments(engine.id.pid).contains(&"--detached".to_owned())) {
            kill(engine.id);
        }
        drop(front);
    }
    let (code, said) = place.run(&["run", "--agent", &agent]);
    assert_eq!(code, 0, "{said}\n{}", place.log());
    let starts = place.starts();
    let distinct: std::collections::BTreeSet<_> = starts.iter().collect();
    assert_eq!(starts.len(), distinct.len(), "an agent was started twice for one attempt: {starts:?}");
    for task in TASKS {
        assert_eq!(place.task_state(task), "review");
        let outcomes = place.outcomes(task);
        let (last, before) = outcomes.split_last().expect("an attempt");
        assert_eq!(*last, "verified");
        // A supervisor that has just forked looks like its agent, which then was killed by itself.
        assert!(before.iter().all(|outcome| ["attempt_lost", "crashed"].contains(outcome)), "{outcomes:?}");
        let mut lines = 0;
        for number in (1..).take(outcomes.len()) {
            if !starts.contains(&format!("{task}#{number}")) {
                continue;
            }
            // Each goes on from what the one before left, so nothing that was written is ever missing later.
            let text = place.in_attempt(task, number, &format!("{task}.txt")).unwrap_or_default();
            assert!(text.lines().count() >= lines, "{text}");
            lines = text.lines().count();
            assert_eq!(place.in_attempt(task, number, "litter.txt"), None);
        }
        let number = u32::try_from(outcomes.len()).expect("few");
        let text = place.in_attempt(task, number, &format!("{task}.txt")).expect("its work");
        assert!(text.ends_with(&format!("{task}#{number}\ndone\n")), "{text}");
    }
    place.nothing_left();
}
