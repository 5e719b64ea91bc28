//! A program in a terminal of its own, which the test types into and looks at as a person does.

use crate::world::World;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two looks at the screen or the disk.
const GLANCE: Duration = Duration::from_millis(50);

/// Size of the terminal, in characters.
const COLUMNS: &str = "120";
const ROWS: &str = "32";

/// A session of tmux with one program in it; dropping it ends both.
pub struct Terminal<'a> {
    world: &'a World,
    socket: PathBuf,
    /// First part of the names of kept screens.
    name: &'static str,
}

impl<'a> Terminal<'a> {
    /// Starts a program in the world's repository, which finds the program under test by its name.
    pub fn start(world: &'a World, name: &'static str, program: &Path, arguments: &[&str]) -> Self {
        let terminal = Self { world, socket: world.folder().join("tmux"), name };
        let own = Path::new(crate::world::PROGRAM).parent().expect("the program is in a folder");
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(own.to_owned()).chain(std::env::split_paths(&others));
        let mut command = terminal.tmux();
        command.args(["-f", "/dev/null", "new-session", "-d", "-x", COLUMNS, "-y", ROWS, "--"]);
        command.arg(program).args(arguments);
        command.env("PATH", std::env::join_paths(path).expect("a search path")).env("LC_ALL", "C.UTF-8");
        run(command);
        terminal
    }

    /// Presses keys by the names tmux has for them, such as `C-x` or `Enter`.
    pub fn keys(&self, keys: &[&str]) {
        let mut command = self.tmux();
        command.arg("send-keys").args(keys);
        run(command);
    }

    /// Types text as it is.
    pub fn text(&self, text: &str) {
        self.keys(&["-l", text]);
    }

    /// Returns the lines on the screen.
    pub fn screen(&self) -> String {
        let mut command = self.tmux();
        command.args(["capture-pane", "-p"]);
        run(command)
    }

    /// Waits until the screen shows a text, and returns the screen.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(&format!("`{text}` on the screen"), |screen| screen.contains(text))
    }

    /// Waits until the screen does not show a text any more.
    pub fn wait_without(&self, text: &str) {
        self.wait_until(&format!("no `{text}` on the screen"), |screen| !screen.contains(text));
    }

    /// Waits until something is true; the screen is given and returned.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            let log = || self.world.engine_log();
            assert!(start.elapsed() < PATIENCE, "{}: waited for {what}, seen:\n{screen}\n{}", self.name, log());
            std::thread::sleep(GLANCE);
        }
    }

    /// Tries until something is done: what the server offers follows what it has heard, which takes a moment.
    pub fn retry(&self, what: &str, attempt: impl Fn() -> bool) {
        let start = Instant::now();
        while !attempt() {
            assert!(start.elapsed() < PATIENCE, "{}: tried to {what}, seen:\n{}", self.name, self.screen());
        }
    }

    /// Keeps the screen among the artefacts, where there is a place for them.
    pub fn keep_screen(&self, what: &str) {
        if let Some(folder) = std::env::var_os("RALPH_TEST_ARTEFACTS") {
            let file = Path::new(&folder).join(format!("{}-{what}.txt", self.name));
            std::fs::write(&file, self.screen()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }

    /// Waits until the program has ended by itself, which the person asked it to.
    pub fn wait_for_end(&self) {
        let start = Instant::now();
        let is_there = || self.tmux().arg("has-session").output().is_ok_and(|output| output.status.success());
        while is_there() {
            assert!(start.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, self.screen());
            std::thread::sleep(GLANCE);
        }
    }

    fn tmux(&self) -> Command {
        let mut command = self.world.command(Path::new("tmux"));
        command.env_remove("TMUX").arg("-u").arg("-S").arg(&self.socket);
        command
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}

/// Returns the path of an editor that `tests/run` installed.
pub fn installed(variable: &str) -> PathBuf {
    let program = std::env::var_os(variable).map(PathBuf::from);
    program.unwrap_or_else(|| panic!("{variable} names no editor: run `tests/run editors`"))
}

/// Returns the first fenced block of a language below a heading of `editors/README.md`: what users are told to write.
pub fn told_to_users(heading: &str, language: &str) -> String {
    let page = include_str!("../../editors/README.md");
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("the page has no heading {heading}"));
    let block = section.split_once(&format!("\n```{language}\n")).and_then(|(_, rest)| rest.split_once("\n```"));
    format!("{}\n", block.unwrap_or_else(|| panic!("{heading} has no block of {language}")).0)
}

fn run(mut command: Command) -> String {
    let program = command.get_program().to_owned();
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", OsStr::display(&program)));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{errors}", OsStr::display(&program), output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
