//! A kept part whose check an engine does not live to see the end of.

use super::harness::{Gate, Place, git};
use ralph_sidecar::domain::event::Event;
use ralph_sidecar::infra::processes::alive;
use rustix::process::Signal;

/// Waits for review: two files, of which the check of a part that lacks the second waits at the gate.
fn place() -> (Place, Gate) {
    let place = Place::new(&["one"], "sh FOLDER/check.sh");
    let gate = Gate::new(&place, "part");
    let text = format!("[ -f one.txt ] || exit 1\n[ -f extra.txt ] || {{ {}; }}\ntest ! -f FOLDER/broken", gate.pass());
    place.script("check.sh", &text);
    let agent = place.script(
        "agent.sh",
        "cat > /dev/null; echo one > one.txt; echo extra > extra.txt\nexec ralph-sidecar report finished --summary done\n",
    );
    place.ok(&["run", "--agent", &format!("command:{}", agent.display())]);
    // By path: `extra.txt`, then `one.txt`.
    place.ok(&["accept", "one", "--hunk", "2"]);
    (place, gate)
}

fn checked(place: &Place) -> Vec<Event> {
    let of_it = |event: &Event| matches!(event, Event::AcceptedPartChecked { .. });
    place.events().into_iter().filter(of_it).collect()
}

#[test]
fn the_check_of_a_kept_part_that_was_on_is_ended_and_run_again() {
    for good in [true, false] {
        let (place, gate) = place();
        let front = place.start(&["reject", "one", "--rest"]);
        let first = gate.wait();
        front.signal(Signal::KILL);
        place.kill_engine();
        assert!(alive(first), "its supervisor goes on");
        assert!(checked(&place).is_empty());
        // Any front end brings the next engine, which stays until the check is over.
        place.ok(&["comment", "one", "still on"]);
        let second = gate.wait();
        assert!(!alive(first) && alive(second), "two checks at once in one slot");
        if !good {
            std::fs::write(place.folder.join("broken"), "").expect("written");
        }
        gate.open();
        if !good {
            // A check that fails is run once more.
            gate.wait();
            gate.open();
        }
        place.nothing_left();
        assert_eq!(checked(&place).len(), 1, "{}", place.log());
        assert_eq!(place.task_state("one"), if good { "done" } else { "blocked" });
        assert!(place.repo.join("one.txt").exists() && !place.repo.join("extra.txt").exists());
        git(&place.repo, &["diff", "--quiet", "HEAD", "--", "a.txt"]);
    }
}
