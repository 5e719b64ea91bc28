//! What an agent may do when it asks: the policy of an attempt, pure.
//!
//! | asks to | inside the slot | outside, or nobody can tell |
//! | --- | --- | --- |
//! | report to us | allowed | |
//! | read, search, think | allowed | allowed |
//! | edit, delete, move | allowed to who implements, but not git's own files | denied, and a person is asked |
//! | run a command, fetch | allowed to who implements, and to everybody behind our fence | a folder outside: denied, and a person is asked |
//! | change its mode | allowed to who implements | |
//! | use another tool | allowed to who implements, if it names files | denied, and a person is asked |
//!
//! A role that only reads is denied without a question: there is nothing for a person to decide.

use super::updates::Tool;
use crate::infra::agents::MCP_NAME;
use crate::protocol::config::Role;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Fields of a tool's input that hold a path, over all the agents that were seen.
const PATH_FIELDS: [&str; 16] = [
    "path",
    "file",
    "filePath",
    "file_path",
    "filepath",
    "absolute_path",
    "abs_path",
    "notebook_path",
    "parentDir",
    "dir_path",
    "directory",
    "old_path",
    "new_path",
    "source",
    "destination",
    "target",
];
/// Fields of a tool's input that hold the folder in which a command runs.
const FOLDER_FIELDS: [&str; 4] = ["cwd", "workdir", "working_directory", "directory"];

/// What the attempt allows.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    pub slot: &'a Path,
    /// Further folders that the configuration lets the agent write to.
    pub write: &'a [PathBuf],
    pub role: Role,
    /// What it writes to is bounded by the system as well.
    pub fenced: bool,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// The reason reads after "denied: ".
    Denied {
        why: String,
        /// What a person is asked, when it is for a person to decide.
        question: Option<String>,
    },
}

impl Rules<'_> {
    /// Decides about a tool call. `real` resolves the links of a path as far as it exists.
    pub fn decide(&self, tool: &Tool, real: impl Fn(&Path) -> PathBuf) -> Verdict {
        if is_report(tool) {
            return Verdict::Allowed;
        }
        let writes = !tool.diffs.is_empty();
        match tool.kind.as_str() {
            "read" | "search" | "think" if !writes => Verdict::Allowed,
            "execute" | "fetch" if !writes => self.command(tool, real),
            "switch_mode" if !writes && self.implements() => Verdict::Allowed,
            "switch_mode" if !writes => denied("this role only reads"),
            kind => self.change(kind, tool, real),
        }
    }

    fn implements(&self) -> bool {
        !matches!(self.role, Role::Planner | Role::Reviewer)
    }

    fn command(&self, tool: &Tool, real: impl Fn(&Path) -> PathBuf) -> Verdict {
        if !self.implements() && !self.fenced {
            return denied("this role only reads, and nothing bounds what a command writes to");
        }
        let folders = FOLDER_FIELDS.iter().filter_map(|field| tool.input[*field].as_str());
        let outside =
            folders.chain(tool.locations.iter().map(String::as_str)).find(|path| !self.may_write(path, &real));
        match outside {
            Some(path) => self.asked(format!("run a command in {path}, which is outside its slot"), tool),
            None => Verdict::Allowed,
        }
    }

    fn change(&self, kind: &str, tool: &Tool, real: impl Fn(&Path) -> PathBuf) -> Verdict {
        if !self.implements() {
            return denied("this role only reads");
        }
        let paths = paths_of(tool);
        if let Some(path) = paths.iter().find(|path| !self.may_write(path, &real)) {
            return self.asked(format!("write to {path}, which is outside its slot"), tool);
        }
        if let Some(path) = paths.iter().find(|path| self.is_of_git(path)) {
            return denied(format!("{path} belongs to git and is not the agent's to change"));
        }
        match kind {
            _ if !paths.is_empty() => Verdict::Allowed,
            "edit" | "delete" | "move" if self.fenced => Verdict::Allowed,
            "edit" | "delete" | "move" => self.asked("change files without telling which".to_owned(), tool),
            _ => self.asked("use a tool that may reach outside its slot".to_owned(), tool),
        }
    }

    /// Tells whether a path, of which relative ones are meant below the slot, lies where the agent may write.
    fn may_write(&self, path: &str, real: impl Fn(&Path) -> PathBuf) -> bool {
        let path = path.strip_prefix("file://").unwrap_or(path);
        let lexical = normal(&self.slot.join(path));
        let resolved = normal(&real(&lexical));
        let mut places = std::iter::once(self.slot).chain(self.write.iter().map(PathBuf::as_path));
        places.any(|place| resolved.starts_with(place) || resolved.starts_with(real(place)))
    }

    fn is_of_git(&self, path: &str) -> bool {
        let path = normal(&self.slot.join(path.strip_prefix("file://").unwrap_or(path)));
        path.strip_prefix(self.slot).is_ok_and(|path| path.starts_with(".git"))
    }

    fn asked(&self, what: String, tool: &Tool) -> Verdict {
        if !self.implements() {
            return denied(format!("it wanted to {what}"));
        }
        let title = super::updates::clipped(&tool.title, 300);
        let question = format!("The agent asks for permission to {what} ({title}). It was denied. What now?");
        Verdict::Denied { why: format!("it wanted to {what}"), question: Some(question) }
    }
}

/// Returns the option to take: what allows or denies once before what does so for good; none when nothing fits, which
/// cancels the question. Agents name their options as they like, so only the kind counts.
pub(super) fn option_for(verdict: &Verdict, options: &Value) -> Option<String> {
    let kinds = match verdict {
        Verdict::Allowed => ["allow_once", "allow_always"],
        Verdict::Denied { .. } => ["reject_once", "reject_always"],
    };
    let of_kind = |kind: &str| {
        let option = options.as_array()?.iter().find(|option| option["kind"] == kind)?;
        Some(option["optionId"].as_str()?.to_owned())
    };
    kinds.into_iter().find_map(of_kind)
}

fn denied(why: impl Into<String>) -> Verdict {
    Verdict::Denied { why: why.into(), question: None }
}

/// Tells whether the call goes to our own server. Agents name its tools `mcp__ralph__x`, `mcp_ralph_x`, `ralph_x`,
/// `ralph/x`, `mcp.ralph.x` or `x (ralph MCP Server)`; a command or a change of files is never one, whatever its name.
fn is_report(tool: &Tool) -> bool {
    let other = matches!(tool.kind.as_str(), "" | "other") && tool.diffs.is_empty() && tool.command().is_none();
    let title = tool.title.trim();
    let name = title.split_whitespace().next().unwrap_or_default();
    let name = name.trim_start_matches("mcp").trim_start_matches(['_', '.', ':', '/']);
    let prefixed = name.strip_prefix(MCP_NAME).is_some_and(|rest| rest.starts_with(['_', '/', '.', ':']));
    other && (prefixed || title.contains(&format!("({MCP_NAME} MCP Server)")))
}

/// Returns the paths a call names, each once: of its diffs, its input, its locations.
fn paths_of(tool: &Tool) -> Vec<String> {
    let inputs = PATH_FIELDS.iter().filter_map(|field| tool.input[*field].as_str());
    let mut found: Vec<String> = Vec::new();
    for path in tool.diffs.iter().map(String::as_str).chain(inputs).chain(tool.locations.iter().map(String::as_str)) {
        if !path.is_empty() && !found.iter().any(|known| known == path) {
            found.push(path.to_owned());
        }
    }
    found
}

/// Takes `.` and `..` out of an absolute path by its words alone.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
#[path = "tests/permissions.rs"]
mod tests;
