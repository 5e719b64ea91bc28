//! Agents that lie, break things or break down: none ends verified that should not, and the run goes on after each.
//!
//! One file per kind: `claims` (what an agent says), `guards` (what it must not touch), `git` (what it does to git),
//! `tree` (processes and time), `mail` (its mailbox), `person` (it plays the user), `checks` (checks that mislead).

mod checks;
mod claims;
mod git;
mod guards;
mod mail;
mod person;
mod tree;

use crate::sandbox::{Ran, Sandbox, Status};
use serde_json::{Value, json};

/// Begins every script: the prompt is read, the second task is done honestly, `finished` claims.
const PREAMBLE: &str = r#"
PROMPT=$(cat)
finished() { ralph-sidecar report finished --summary "all good"; }
told() { printf '%s' "$PROMPT" | grep -q -e "$1"; }
N=$RALPH_ATTEMPT_NUMBER
if [ "$RALPH_TASK_ID" = after ]; then echo done > after.txt; finished; exit 0; fi
"#;

/// A repository with two tasks: `liar`, worked on by a script, and `after`, which must get done all the same.
struct Stage {
    sandbox: Sandbox,
    agent: String,
}

impl Stage {
    /// With the checks of `liar`; both tasks are approved.
    fn new(verify: &[&str], script: &str) -> Self {
        Self::configured(&json!({}), verify, script)
    }

    fn configured(config: &Value, verify: &[&str], script: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.config(config.clone());
        sandbox.queue(json!([
            {"id": "liar", "title": "Lie", "status": "todo", "verify": verify},
            {"id": "after", "title": "Work", "status": "todo", "verify": ["grep -q done after.txt"]},
        ]));
        let agent = sandbox.agent(&format!("{PREAMBLE}\n{script}"));
        Self { sandbox, agent }
    }

    /// Runs the loop to its end; the honest task must have been verified in its only attempt.
    #[track_caller]
    fn run(&self, options: &[&str]) -> (Ran, Status) {
        let ran = self.sandbox.run_loop(&self.agent, options);
        let status = self.sandbox.status();
        assert_eq!(status.outcomes("after"), ["verified"], "{}\n{}\n{:#}", ran.out, ran.err, status.json());
        (ran, status)
    }

    /// Runs it once more, after an answer.
    fn again(&self, options: &[&str]) -> (Ran, Status) {
        let ran = self.sandbox.run_loop(&self.agent, options);
        (ran, self.sandbox.status())
    }

    /// Answers the only open question about `liar`.
    #[track_caller]
    fn answer(&self, words: &[&str]) {
        let status = self.sandbox.status();
        let id = status.question("liar")["id"].as_str().expect("an id").to_owned();
        self.sandbox.run(&[&["answer", id.as_str()], words].concat()).exits(0);
    }
}
