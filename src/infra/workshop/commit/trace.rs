//! What git was waiting for when it was ended, from its own trace of events (`GIT_TRACE2_EVENT`,
//! Documentation/technical/api-trace2).

use serde::Deserialize;

/// What may hold up a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holdup {
    Hook(String),
    /// The program that signs.
    Signing(String),
    Program(String),
}

impl Holdup {
    /// Returns it for a person.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Hook(name) => format!("the hook `{name}`"),
            Self::Signing(program) => format!("signing by `{program}`"),
            Self::Program(program) => format!("`{program}`"),
        }
    }
}

/// One line of the trace; other events and fields are of no matter.
#[derive(Deserialize)]
struct Line {
    event: String,
    /// The session; that of a git below another has the other's before a slash.
    sid: String,
    child_id: Option<u64>,
    #[serde(default)]
    argv: Vec<String>,
    hook_name: Option<String>,
}

/// Returns what the outermost git had started last and not seen the end of. A line that is cut off counts as absent.
pub(super) fn holdup(trace: &str) -> Option<Holdup> {
    let lines = trace.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let mut on: Vec<Line> = Vec::new();
    for line in lines.filter(|line| !line.sid.contains('/')) {
        match line.event.as_str() {
            "child_start" => on.push(line),
            "child_exit" => on.retain(|started| started.child_id != line.child_id),
            _ => {}
        }
    }
    let last = on.pop()?;
    if let Some(hook) = last.hook_name {
        return Some(Holdup::Hook(hook));
    }
    let program = last.argv.first()?.clone();
    // As git calls OpenPGP and X.509 programs, and those for SSH keys.
    let signs = last.argv.iter().any(|word| word == "-bsau") || last.argv.windows(2).any(|two| two == ["-Y", "sign"]);
    Some(if signs { Holdup::Signing(program) } else { Holdup::Program(program) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(sid: &str, id: u64, rest: &str) -> String {
        format!(r#"{{"event":"child_start","sid":"{sid}","thread":"main","child_id":{id},{rest}}}"#)
    }

    fn exit(sid: &str, id: u64) -> String {
        format!(r#"{{"event":"child_exit","sid":"{sid}","child_id":{id},"pid":7,"code":0,"t_rel":0.1}}"#)
    }

    #[test]
    fn the_last_that_has_not_ended_holds_up() {
        let hook = |name: &str| format!(r#""child_class":"hook","hook_name":"{name}","argv":[".git/hooks/{name}"]"#);
        let gpg = r#""child_class":"?","argv":["gpg2","--status-fd=2","-bsau","Ann"]"#;
        let ssh = r#""child_class":"?","argv":["ssh-keygen","-Y","sign","-n","git"]"#;
        let held = |lines: &[String]| holdup(&lines.join("\n")).map(|holdup| holdup.words());
        let first = start("A", 0, &hook("pre-commit"));
        assert_eq!(held(&[]), None);
        assert_eq!(held(std::slice::from_ref(&first)), Some("the hook `pre-commit`".into()));
        assert_eq!(held(&[first.clone(), exit("A", 0)]), None);
        let second = start("A", 1, &hook("commit-msg"));
        assert_eq!(held(&[first.clone(), exit("A", 0), second]), Some("the hook `commit-msg`".into()));
        assert_eq!(held(&[first.clone(), exit("A", 0), start("A", 1, gpg)]), Some("signing by `gpg2`".into()));
        assert_eq!(held(&[start("A", 0, ssh)]), Some("signing by `ssh-keygen`".into()));
        assert_eq!(held(&[start("A", 0, r#""argv":["git","gc"]"#)]), Some("`git`".into()));
        // What a git inside the hook starts, and a line that is cut off.
        let inside = start("A/B", 0, &hook("post-checkout"));
        assert_eq!(held(&[first.clone(), inside, exit("A/B", 0)]), Some("the hook `pre-commit`".into()));
        assert_eq!(held(&[first, exit("A", 0)[..30].to_owned()]), Some("the hook `pre-commit`".into()));
    }
}
