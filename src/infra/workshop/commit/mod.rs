//! Accepted work as a commit, made by the user's own `git` so that their hooks, signing and identity count.
//!
//! In reading order: `plan` says what a commit holds, `program` runs `git` as the user would, within the bounds of
//! `bounded` and with the help of `trace`, `index` brings the user's index up to the commit, `left` finds what an engine
//! that died had begun; this file puts them together and takes a landing back.
//!
//! A commit holds what it stands on and the accepted hunks, nothing else: it is made through an index of our own. Refs
//! move by compare-and-swap. The working tree is never written.

mod bounded;
mod index;
mod left;
mod plan;
mod program;
#[cfg(test)]
mod tests;
mod trace;

use super::Inside;
use super::undo::Entry;
use crate::domain::landing::{LandTo, LandWords, Landing, message, short};
use crate::engine::ports::{LandOrder, LandOutcome, LandPart, PortError, PortResult};
use bounded::Patience;
use index::{IndexChange, Staged};
use left::{DEED, Left, with_process};
pub(super) use left::{forget, take_up};
use plan::Plan;
use program::{Uncommitted, UserGit};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use tokio::sync::watch;

/// What takes a landing back.
#[derive(Serialize, Deserialize)]
pub(super) struct LandingRecord {
    pub(super) landing: Landing,
    /// What the landing changed in the user's index.
    index: Vec<IndexChange>,
}

/// Makes the commit of an order, on the branch that is checked out or on another. Where that fails nothing is left to be
/// taken up; where it is made, until [`forget`].
pub(super) fn land(inside: &Inside, order: &LandOrder, stop: watch::Receiver<bool>) -> PortResult<LandOutcome> {
    let git = UserGit::patient(inside, Patience { limit: order.limit, stop: Some(stop) })?;
    let landed = match &order.branch {
        None => on_head(inside, &git, order),
        Some(branch) => on_branch(inside, &git, order, branch),
    };
    if landed.is_err()
        && let Err(error) = forget(inside)
    {
        tracing::warn!(%error, "the next start looks for a landing that failed");
    }
    landed
}

fn on_head(inside: &Inside, git: &UserGit<'_>, order: &LandOrder) -> PortResult<LandOutcome> {
    if let Some(what) = inside.repository.operation()? {
        return Err(refused(format!("land as a commit: {what} is in progress"), "finish or abort it first"));
    }
    let head = head(inside)?;
    let Some(branch) = head.branch else {
        return Err(refused(
            "land as a commit: HEAD is on no branch, and a commit there is easily lost".to_owned(),
            "`git switch -c NAME` first, or land with --branch NAME",
        ));
    };
    let plan = Plan::make(inside, order, &head.commit)?;
    // Everything that can refuse does so before hooks run.
    let index = Staged::plan(inside, git, &plan, &order.parts)?;
    let tree = inside.repository.tree_with(&head.commit, &plan.entries)?;
    let text = text_of(order, &plan)?;
    let private = index::private(inside, git, &tree)?;
    index::free(inside)?;
    if inside.repository.head()?.is_none_or(|now| now.commit != head.commit) {
        return Err(moved());
    }
    let left = RefCell::new(Left {
        tasks: plan.tasks(),
        to: LandTo::Commit,
        branch: branch.clone(),
        parent: head.commit.clone(),
        previous: Some(head.commit.clone()),
        tree: tree.clone(),
        commit: None,
        staged: index.list(),
        process: None,
    });
    left.borrow().keep(inside)?;
    let mut problems = Vec::new();
    match git.commit(&private, &text, DEED, &|process| with_process(inside, &left, process)) {
        Ok(()) => {}
        Err(Uncommitted::Ended { message, .. }) if left.borrow().made(inside)?.is_some() => problems.push(message),
        Err(error) => return Err(unlanded(error)),
    }
    let commit = match inside.repository.head()? {
        Some(now) if inside.repository.parents_of(&now.commit)? == [head.commit.clone()] => now.commit,
        Some(now) => {
            // Between the last look and git's own: what was made there is taken away again, where it is on top.
            if let [parent] = inside.repository.parents_of(&now.commit)?.as_slice()
                && inside.repository.tree_of(&now.commit)? == tree
            {
                git.move_branch(&branch, Some(parent), &now.commit, "ralph: landing taken back, for HEAD had moved")?;
            }
            return Err(moved());
        }
        None => return Err(moved()),
    };
    let paths = inside.repository.changed_paths(&head.commit, &commit)?;
    let wanted = index.changes(inside, &head.commit, &commit, &paths);
    let index = match wanted.and_then(|wanted| index::change(inside, git, &wanted)) {
        Ok(changes) => changes,
        Err(error) => {
            problems.push(format!("ralph failed to {error}"));
            Vec::new()
        }
    };
    let landing = left.borrow().landing(commit);
    keep(inside, order, plan, LandingRecord { landing, index }, paths, problems)
}

/// What was ended before it made a commit has changed nothing.
fn unlanded(error: Uncommitted) -> PortError {
    match error {
        Uncommitted::Refused(error) => error,
        Uncommitted::Ended { message, hint } => {
            refused(format!("land: {message}"), &format!("nothing was landed; {hint}"))
        }
    }
}

fn on_branch(inside: &Inside, git: &UserGit<'_>, order: &LandOrder, branch: &str) -> PortResult<LandOutcome> {
    git.check_branch_name(branch)?;
    if let Some(place) = git.checked_out(branch)? {
        return Err(refused(
            format!("land on the branch {branch}: it is checked out in {place}"),
            "land there with --commit, or take another name",
        ));
    }
    let head = head(inside)?.commit;
    let tip = inside.repository.branch_tip(branch)?;
    let parent = match &tip {
        None => head,
        Some(tip) if order.ours.contains(tip) || inside.repository.descends(tip, &head)? => tip.clone(),
        Some(tip) if inside.repository.descends(&head, tip)? => head,
        Some(_) => {
            return Err(refused(
                format!("land on the branch {branch}: it has commits of its own that are not below HEAD"),
                "take another name, or switch to it and land with --commit",
            ));
        }
    };
    let plan = Plan::make(inside, order, &parent)?;
    let tree = inside.repository.tree_with(&parent, &plan.entries)?;
    let left = RefCell::new(Left {
        tasks: plan.tasks(),
        to: LandTo::Branch,
        branch: branch.to_owned(),
        parent: parent.clone(),
        previous: tip.clone(),
        tree: tree.clone(),
        commit: None,
        staged: Vec::new(),
        process: None,
    });
    let text = text_of(order, &plan)?;
    let started = |process| with_process(inside, &left, process);
    let commit = git.commit_tree(&tree, &parent, &text, &started).map_err(unlanded)?;
    left.borrow_mut().commit = Some(commit.clone());
    left.borrow().keep(inside)?;
    let about =
        format!("{DEED} {}", order.parts.iter().map(|part| part.task.0.as_str()).collect::<Vec<_>>().join(", "));
    git.set_branch(branch, &commit, tip.as_deref(), &about)?;
    let paths = inside.repository.changed_paths(&parent, &commit)?;
    let landing = left.borrow().landing(commit);
    keep(inside, order, plan, LandingRecord { landing, index: Vec::new() }, paths, Vec::new())
}

/// Keeps what takes the landing back, and tells it. The commit is there, so nothing here fails any more.
fn keep(
    inside: &Inside,
    order: &LandOrder,
    plan: Plan,
    record: LandingRecord,
    paths: Vec<String>,
    mut problems: Vec<String>,
) -> PortResult<LandOutcome> {
    let landing = record.landing.clone();
    let mut left_out = plan.left_out;
    problems.extend(inside.undo.keep(&Entry::of_landing(record)).err().map(|error| format!("ralph failed to {error}")));
    for problem in problems {
        tracing::warn!(%problem, tasks = order.parts.len(), "the commit was made, but not all that follows");
        let task = landing.tasks.first().cloned().unwrap_or_else(|| "?".into());
        left_out.push((task, format!("it is landed, but {problem}")));
    }
    Ok(LandOutcome { landing, paths, left_out })
}

/// Takes a landing back: the branch is where it was, the index as before for the paths that are still as it left them.
pub(super) fn undo(inside: &Inside, record: LandingRecord) -> PortResult<Landing> {
    let git = UserGit::new(inside)?;
    let LandingRecord { landing, index } = record;
    let name = short(&landing.commit).to_owned();
    let revert = format!("`git revert {name}` takes it back by a commit of its own");
    if let Some(remote) = git.remote_with(&landing.commit)? {
        return Err(refused(format!("undo the landing {name}: it is on {remote} already"), &revert));
    }
    let tip = inside.repository.branch_tip(&landing.branch)?;
    // Off already: by an engine that died then, or by hand.
    let is_off = tip == landing.previous;
    if !is_off && tip.as_deref() != Some(landing.commit.as_str()) {
        return Err(refused(format!("undo the landing {name}: {} has moved on since", landing.branch), &revert));
    }
    let reason = format!("ralph: undo landing {name}");
    if landing.to == LandTo::Branch && is_off {
        return Ok(landing);
    }
    if landing.to == LandTo::Branch {
        if let Some(place) = git.checked_out(&landing.branch)? {
            return Err(refused(
                format!("undo the landing {name}: the branch {} is checked out in {place}", landing.branch),
                &revert,
            ));
        }
        git.move_branch(&landing.branch, landing.previous.as_deref(), &landing.commit, &reason)?;
        return Ok(landing);
    }
    if let Some(what) = inside.repository.operation()? {
        return Err(refused(format!("undo the landing {name}: {what} is in progress"), "finish or abort it first"));
    }
    if head(inside)?.branch.as_deref() != Some(landing.branch.as_str()) {
        let hint = format!("`git switch {}` first, or {revert}", landing.branch);
        return Err(refused(format!("undo the landing {name}: {} is not checked out here", landing.branch), &hint));
    }
    if !is_off {
        git.move_branch(&landing.branch, landing.previous.as_deref(), &landing.commit, &reason)?;
    }
    index::change(inside, &git, &index.iter().map(IndexChange::reversed).collect::<Vec<_>>())?;
    Ok(landing)
}

fn head(inside: &Inside) -> PortResult<crate::infra::repository::Head> {
    inside.repository.head()?.ok_or_else(|| {
        refused("land: the repository has no commits yet".to_owned(), "make a first commit (`git commit`)")
    })
}

fn text_of(order: &LandOrder, plan: &Plan) -> PortResult<String> {
    let landed = |part: &&LandPart| plan.landed.contains(&part.task);
    let words: Vec<LandWords> = order.parts.iter().filter(landed).map(|part| part.words.clone()).collect();
    let text = message(&order.message, &words);
    if text.is_empty() {
        return Err(refused("land: the message of the commit is empty".to_owned(), "give one, or mend `land.message`"));
    }
    Ok(text)
}

fn moved() -> PortError {
    refused("land as a commit: HEAD moved meanwhile, and nothing was landed".to_owned(), "try again")
}

fn refused(message: String, hint: &str) -> PortError {
    PortError { data: true, ..PortError::new(message) }.with_hint(hint)
}
