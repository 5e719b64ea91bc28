//! A person at a real Emacs with eglot: approves a draft, starts the loop, answers, accepts and saves, by code actions and keys alone.

use crate::terminal::{Terminal, installed, told_to_users};
use crate::world::World;
use std::path::Path;

/// Plays the main job from the draft to the saved file, with the settings that `editors/README.md` gives.
pub fn play() {
    let world = World::new();
    world.bring_to_draft();
    let settings = world.folder().join("settings.el");
    std::fs::write(&settings, told_to_users("Emacs", "elisp")).expect("the settings are written");
    // No files beside the saved ones, and no compiler in the background: neither is about us.
    let quiet = "(setq make-backup-files nil create-lockfiles nil native-comp-jit-compilation nil)";
    let settings = settings.to_str().expect("a path in UTF-8");
    let arguments = ["-nw", "-Q", "--eval", quiet, "-l", settings, ".ralph/queue.json"];
    let terminal = Terminal::start(&world, "emacs", &installed("RALPH_TEST_EMACS"), &arguments);
    let emacs = Emacs { terminal: &terminal };

    // Approve and start: from the queue, after the check was shown.
    terminal.wait_for("[eglot:");
    emacs.code_action("Approve all drafts");
    terminal.wait_for("grep 'Hello, Ada!'");
    terminal.wait_for("Trust and approve");
    terminal.keep_screen("trust");
    // The first choice is there already.
    terminal.keys(&["Enter"]);
    terminal.wait_until("the approval on disk", |_| world.read(".ralph/queue.json").contains("\"todo\""));
    emacs.code_action("Start");
    std::fs::write(world.gate(), "").expect("the gate is opened");

    // Answer: the question is in the list of diagnostics and at its line.
    emacs.open("talk.sh");
    emacs.command("flymake-show-buffer-diagnostics");
    terminal.wait_for("How should it take leave?");
    terminal.keep_screen("question");
    emacs.go_to_line(10);
    emacs.code_action("Answer: See");

    // Review: two hunks, of which nothing is in the buffer yet.
    let waiting = |screen: &str| screen.matches(HUNK).count();
    terminal.wait_until("two hunks", |screen| waiting(screen) == 2);
    terminal.wait_without("How should it take leave?");
    terminal.keep_screen("review");
    assert!(terminal.screen().contains("echo \"Hello!\""), "{}", terminal.screen());
    emacs.go_to_line(5);
    emacs.code_action("Accept this");
    terminal.wait_until("one hunk", |screen| waiting(screen) == 1);
    terminal.wait_for("echo \"Hello, $1!\"");

    // Undo brings the hunk back; then everything is accepted.
    terminal.keys(&["C-_"]);
    terminal.wait_until("two hunks again", |screen| waiting(screen) == 2);
    emacs.code_action("Accept all in");
    terminal.wait_until("no hunks", |screen| waiting(screen) == 0);
    assert!(!world.read("talk.sh").contains("Hello, $1!"), "nothing is written before the person saves");

    // Save: disk has it, and the task is done.
    terminal.keys(&["C-x", "C-s"]);
    terminal.wait_until("the task to be done", |_| world.read(".ralph/queue.json").contains("\"done\""));
    terminal.keys(&["C-x", "C-c"]);
    terminal.wait_for_end();
    drop(terminal);
    world.check_done();
}

/// What the diagnostics of a waiting hunk have in common.
const HUNK: &str = "replaces 1 line by 1 line";

struct Emacs<'a> {
    terminal: &'a Terminal<'a>,
}

impl Emacs<'_> {
    fn command(&self, name: &str) {
        self.terminal.keys(&["M-x"]);
        self.terminal.wait_for("M-x");
        self.terminal.text(name);
        self.terminal.keys(&["Enter"]);
    }

    fn open(&self, path: &str) {
        let name = Path::new(path).file_name().expect("a file").to_string_lossy();
        // The queue is in a folder of its own, from which the question for the name starts.
        self.terminal.keys(&["C-x", "C-f"]);
        self.terminal.wait_for("Find file:");
        self.terminal.text(&format!("../{path}"));
        self.terminal.keys(&["Enter"]);
        self.terminal.wait_for(&format!("{name} "));
    }

    fn go_to_line(&self, line: usize) {
        self.terminal.keys(&["M-g", "g"]);
        self.terminal.wait_for("Goto line");
        self.terminal.text(&line.to_string());
        self.terminal.keys(&["Enter"]);
    }

    /// Chooses the code action at the cursor that begins so.
    fn code_action(&self, beginning: &str) {
        let terminal = self.terminal;
        terminal.retry(&format!("choose `{beginning}`"), || {
            terminal.keys(&["C-c", "a"]);
            terminal.wait_for("Pick an action");
            for (index, word) in beginning.split(' ').enumerate() {
                if index > 0 {
                    // A bare space would complete.
                    terminal.keys(&["C-q", "Space"]);
                }
                terminal.text(word);
            }
            terminal.keys(&["Tab", "Enter"]);
            let screen = terminal.wait_until("a match or none", |screen| {
                !screen.contains("Pick an action") || screen.contains("[No match]")
            });
            let matched = !screen.contains("[No match]");
            if !matched {
                terminal.keys(&["C-g"]);
                terminal.wait_without("Pick an action");
            }
            matched
        });
    }
}
