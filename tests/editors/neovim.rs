//! Plays a Lua script in a real Neovim, in a repository of its own, and checks what is left on disk.

use crate::world::{PROGRAM, TASK, World};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A world after a script was played in it, with what the script printed.
pub struct Played {
    pub world: World,
    pub said: String,
}

/// Plays `neovim/SCRIPT.lua` about a task in the Neovim that the environment variable names.
pub fn play_script(variable: &str, script: &str, task: &str, world: World) -> Played {
    let program = std::env::var_os(variable).map(PathBuf::from);
    let program = program.unwrap_or_else(|| panic!("{variable} names no Neovim: run `tests/run editors`"));
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/editors/neovim");
    let mut command = world.command(&program);
    command.args(["--clean", "-n", "-i", "NONE", "--headless", "--cmd"]);
    command.arg(format!("lua package.path = '{}/?.lua;' .. package.path", scripts.display()));
    command.arg("-l").arg(scripts.join(format!("{script}.lua")));
    command.env("TEST_PLUGIN", Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/neovim"));
    command.env("TEST_PROGRAM", PROGRAM).env("TEST_TASK", task).env("TEST_GATE", world.gate());
    if let Some(folder) = std::env::var_os("RALPH_TEST_ARTEFACTS") {
        command.env("TEST_ARTEFACTS", folder);
    }
    let output = command.output().expect("Neovim starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}\n{}", output.status, world.engine_log());
    Played { world, said }
}

/// As [`play_script`], in a world of one file that is prepared first.
pub fn play_in_world(variable: &str, script: &str, prepare: impl FnOnce(&World)) -> World {
    let world = World::new();
    prepare(&world);
    play_script(variable, script, TASK, world).world
}

/// As [`play_in_world`]. The script brings the one task of the world to its end; file, queue and status must say so.
pub fn play(variable: &str, script: &str, prepare: impl FnOnce(&World)) {
    play_in_world(variable, script, prepare).check_done();
}

/// Help, completion and the check of the set-up.
pub fn play_set_up(variable: &str) {
    play_in_world(variable, "set_up", |_| ()).wait_for_end_of_engine();
}

/// The plug-in, hunk by hunk: the script accepts the first, takes it back, accepts it again and rejects the second.
pub fn play_plugin(variable: &str) {
    let world = play_in_world(variable, "plugin", World::bring_to_review);
    assert_eq!(world.read("talk.sh").matches("Hello, $1!").count(), 1, "what was accepted and saved");
    assert!(world.read("talk.sh").contains("echo \"Bye\""), "what was rejected");
    let status = world.status();
    let hunks = status["proposals"][0]["hunks"].as_array().expect("a proposal that is not done");
    let marks: Vec<&Value> = hunks.iter().map(|hunk| &hunk["state"]).collect();
    assert_eq!(marks, ["accepted", "rejected"]);
    world.wait_for_end_of_engine();
}
