//! A person at a real Helix: approves a draft, starts the loop, answers, accepts and saves, by code actions and keys alone.

use crate::terminal::{Terminal, installed, told_to_users};
use crate::world::World;

/// Plays the main job from the draft to the saved file, with the settings that `editors/README.md` gives.
pub fn play() {
    let world = World::new();
    world.bring_to_draft();
    let settings = world.folder().join("home/.config/helix");
    std::fs::create_dir_all(&settings).expect("a folder is made");
    std::fs::write(settings.join("languages.toml"), told_to_users("Helix", "toml")).expect("the settings are written");
    let terminal = Terminal::start(&world, "helix", &installed("RALPH_TEST_HELIX"), &[".ralph/queue.json"]);
    let helix = Helix { terminal: &terminal };

    // Approve and start: from the queue, after the check was shown.
    terminal.wait_for("NOR");
    helix.code_action("Approve all drafts");
    terminal.wait_for("grep 'Hello, Ada!'");
    terminal.wait_for("Trust and approve");
    terminal.keep_screen("trust");
    terminal.keys(&["Enter"]);
    terminal.wait_until("the approval on disk", |_| world.read(".ralph/queue.json").contains("\"todo\""));
    helix.code_action("Start the loop");
    std::fs::write(world.gate(), "").expect("the gate is opened");

    // Answer: the question stands at the line it is about.
    helix.command("open talk.sh");
    terminal.wait_for("How should it take leave?");
    terminal.keep_screen("question");
    helix.go_to_line(10);
    helix.code_action("Answer: See you");

    // Review: two hunks, of which nothing is in the buffer yet.
    let waiting = |screen: &str| screen.matches(HUNK).count();
    terminal.wait_until("two hunks", |screen| waiting(screen) == 2);
    terminal.wait_without("How should it take leave?");
    terminal.keep_screen("review");
    assert!(terminal.screen().contains("echo \"Hello!\""), "{}", terminal.screen());
    // To the first of them, and its diff in a hover.
    terminal.text("gg]d");
    terminal.wait_for(" 5:");
    terminal.text(" k");
    terminal.wait_for("+  echo \"Hello, $1!\"");
    terminal.keep_screen("hover");
    terminal.keys(&["Escape"]);
    terminal.wait_without("+  echo");
    helix.code_action("Accept this change");
    terminal.wait_until("one hunk", |screen| waiting(screen) == 1);
    terminal.wait_for("echo \"Hello, $1!\"");

    // Undo brings the hunk back; then everything is accepted.
    terminal.keys(&["u"]);
    terminal.wait_until("two hunks again", |screen| waiting(screen) == 2);
    helix.go_to_line(5);
    helix.code_action("Accept all in this file");
    terminal.wait_until("no hunks", |screen| waiting(screen) == 0);
    assert!(!world.read("talk.sh").contains("Hello, $1!"), "nothing is written before the person saves");

    // Save: disk has it, and the task is done.
    helix.command("write");
    terminal.wait_until("the task to be done", |_| world.read(".ralph/queue.json").contains("\"done\""));
    helix.command("quit-all");
    terminal.wait_for_end();
    drop(terminal);
    world.check_done();
}

/// What the diagnostics of a waiting hunk have in common.
const HUNK: &str = "replaces 1 line by 1 line";

/// How the titles of code actions begin.
const ANY_ACTION: [&str; 10] = [
    "Approve ",
    "Accept this",
    "Accept all",
    "Reject this",
    "Answer: ",
    "Answer the",
    "Plan ",
    "Start the",
    "Stop ",
    "Run ",
];

struct Helix<'a> {
    terminal: &'a Terminal<'a>,
}

impl Helix<'_> {
    fn command(&self, line: &str) {
        self.terminal.text(&format!(":{line}"));
        self.terminal.keys(&["Enter"]);
    }

    fn go_to_line(&self, line: usize) {
        self.terminal.text(&format!("{line}G"));
        self.terminal.wait_for(&format!(" {line}:1\n"));
    }

    /// Chooses the code action at the cursor that begins so.
    fn code_action(&self, title: &str) {
        let terminal = self.terminal;
        terminal.retry(&format!("choose `{title}`"), || {
            terminal.text(" a");
            // The server may still be starting.
            let answered = |screen: &str| !actions(screen).is_empty() || screen.contains("\nNo c");
            let screen = terminal.wait_until("a menu", answered);
            let position = actions(&screen).iter().position(|action| action.starts_with(title));
            let Some(position) = position else {
                terminal.keys(&["Escape"]);
                terminal.wait_until("no menu", |screen| actions(screen).is_empty());
                return false;
            };
            // The first is selected when the menu opens.
            for _ in 0..position {
                terminal.keys(&["Down"]);
            }
            terminal.keys(&["Enter"]);
            true
        });
        terminal.wait_until("no menu", |screen| actions(screen).is_empty());
    }
}

/// Returns the titles in the menu of code actions, from the top.
fn actions(screen: &str) -> Vec<&str> {
    let titles = screen
        .lines()
        .filter_map(|line| ANY_ACTION.iter().filter_map(|begin| line.find(begin)).map(|at| &line[at..]).next());
    titles.collect()
}
