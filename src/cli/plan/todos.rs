//! `plan --from todos`: drafts of the TODO comments in tracked files; no agent, nothing twice.

use super::drafts;
use crate::cli::context::Context;
use crate::cli::error::data;
use crate::cli::output;
use crate::cli::style::count;
use crate::domain::task::Task;
use crate::engine::handle::unexpected;
use crate::infra::repository::Repository;
use crate::protocol::engine_api::{ApiError, Command, Reply};
use crate::protocol::todos::{Todo, can_scan, scan_todo_bytes, todo_tasks};
use std::path::Path;

/// Larger files are generated or data; they are named and left out. In bytes.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;
/// How many drafts are listed in full.
const SHOWN: usize = 20;

/// Runs the command.
///
/// # Errors
///
/// When the repository cannot be read, or the queue cannot be written.
pub async fn run(context: &Context) -> Result<(), ApiError> {
    let (todos, skipped) = scan(&context.repository()?)?;
    for path in &skipped {
        output::err(&format!("{path} is too large to look for comments in\n"));
    }
    let handle = context.connect().await?;
    let known: Vec<Task> = handle.snapshot().await?.tasks.into_iter().map(|view| view.task).collect();
    let tasks = todo_tasks(&todos, &known);
    let already = todos.len() - tasks.len();
    if !tasks.is_empty() {
        match handle.call(Command::AddTasks { tasks: tasks.clone(), goals: Vec::new() }).await? {
            Reply::Tasks(_) => {}
            other => return Err(unexpected(&other)),
        }
    }
    output::out(&drafts::drafts_text(&tasks[..tasks.len().min(SHOWN)], context.style));
    output::out(&summary(tasks.len(), already));
    Ok(())
}

fn summary(added: usize, already: usize) -> String {
    let mut out = String::new();
    if added > SHOWN {
        out.push_str(&format!("and {} more: ralph-sidecar tasks list --state draft\n", added - SHOWN));
    }
    out.push_str(&format!("added {}, {already} were there already\n", count(added, "draft", "drafts")));
    if added > 0 {
        out.push_str(
            "nothing runs before you approve: ralph-sidecar approve ID…    or    ralph-sidecar approve --all\n",
        );
    }
    out
}

/// Reads every tracked file whose language is known, as it is in the working tree.
fn scan(repository: &Repository) -> Result<(Vec<Todo>, Vec<String>), ApiError> {
    let tracked = repository.tracked_files().map_err(|error| data(error.to_string()))?;
    let (mut todos, mut skipped) = (Vec::new(), Vec::new());
    for path in tracked.into_iter().filter(|path| can_scan(path)) {
        let absolute = repository.workdir().join(&path);
        // What was deleted or became a link or a folder since is not what git tracks.
        let Ok(metadata) = absolute.symlink_metadata() else { continue };
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > LARGEST_FILE {
            skipped.push(path);
            continue;
        }
        todos.extend(read(&absolute).map(|bytes| scan_todo_bytes(&path, &bytes))?);
    }
    Ok((todos, skipped))
}

fn read(path: &Path) -> Result<Vec<u8>, ApiError> {
    std::fs::read(path).map_err(|error| data(format!("read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::repository::sample::make_repository;

    #[test]
    fn tracked_files_are_read_as_they_are_now() {
        let folder = tempfile::tempdir().expect("folder");
        let files = [("a.rs", "// TODO: old words\n"), ("b.sh", "# FIXME quote it\n"), ("gone.rs", "// TODO: gone\n")];
        make_repository(folder.path(), &files).expect("made");
        std::fs::write(folder.path().join("a.rs"), "let s = \"TODO: no\"; // TODO: new words\n").expect("written");
        std::fs::write(folder.path().join("untracked.rs"), "// TODO: not tracked\n").expect("written");
        std::fs::remove_file(folder.path().join("gone.rs")).expect("removed");
        let repository = Repository::discover(folder.path()).expect("opened");
        let (todos, skipped) = scan(&repository).expect("scanned");
        let found: Vec<(&str, u32, &str)> =
            todos.iter().map(|todo| (todo.path.as_str(), todo.line, todo.text.as_str())).collect();
        assert_eq!(found, [("a.rs", 1, "new words"), ("b.sh", 1, "quote it")]);
        assert_eq!(skipped, Vec::<String>::new());

        let first = todo_tasks(&todos, &[]);
        assert_eq!(first.len(), 2);
        assert_eq!(todo_tasks(&todos, &first), vec![]);
    }

    #[test]
    fn the_numbers_are_told() {
        insta::assert_snapshot!(summary(0, 3), @"added 0 drafts, 3 were there already");
        insta::assert_snapshot!(summary(21, 0), @r"
        and 1 more: ralph-sidecar tasks list --state draft
        added 21 drafts, 0 were there already
        nothing runs before you approve: ralph-sidecar approve ID…    or    ralph-sidecar approve --all
        ");
    }
}
