//! Bad input: a clear message with the next step and an exit code by kind, and nothing lost.
//!
//! One file per kind: `queue` and `config` (files of the repository), `repository` (where it runs), `disk` (where it
//! writes).

mod config;
pub mod disk;
mod queue;
mod repository;

/// An agent that does any task at once, by a file of its name.
const HONEST: &str = r#"
cat > /dev/null
echo done > "$RALPH_TASK_ID.txt"
ralph-sidecar report finished --summary "done"
"#;
