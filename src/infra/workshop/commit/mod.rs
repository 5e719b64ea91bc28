//! Accepted work as a commit, made by the user's own `git` so that their hooks, signing and identity count.
//!
//! In reading order: `plan` says what a commit holds, `program` runs `git` as the user would, `index` brings the user's
//! index up to the commit; this file puts them together and takes a landing back.
//!
//! A commit holds what it stands on and the accepted hunks, nothing else: it is made through an index of our own. Refs
//! move by compare-and-swap. The working tree is never written.

mod index;
mod plan;
mod program;
#[cfg(test)]
mod tests;

use super::Inside;
use super::undo::Entry;
use crate::domain::landing::{LandTo, LandWords, Landing, message, short};
use crate::engine::ports::{LandOrder, LandOutcome, LandPart, PortError, PortResult};
use index::{IndexChange, Staged};
use plan::Plan;
use program::UserGit;
use serde::{Deserialize, Serialize};

/// What takes a landing back.
#[derive(Serialize, Deserialize)]
pub(super) struct LandingRecord {
    landing: Landing,
    /// What the landing changed in the user's index.
    index: Vec<IndexChange>,
}

/// Makes the commit of an order, on the branch that is checked out or on another.
pub(super) fn land(inside: &Inside, order: &LandOrder) -> PortResult<LandOutcome> {
    let git = UserGit::new(inside)?;
    match &order.branch {
        None => on_head(inside, &git, order),
        Some(branch) => on_branch(inside, &git, order, branch),
    }
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
    git.commit(&private, &text)?;
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
    let (index, problem) = match index.follow(inside, git, &head.commit, &commit, &paths) {
        Ok(changes) => (changes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let landing = Landing { tasks: plan.tasks(), to: LandTo::Commit, commit, previous: Some(head.commit), branch };
    keep(inside, order, plan, landing, index, paths, problem)
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
    let commit = git.commit_tree(&tree, &parent, &text_of(order, &plan)?)?;
    let about =
        format!("ralph: land {}", order.parts.iter().map(|part| part.task.0.as_str()).collect::<Vec<_>>().join(", "));
    git.set_branch(branch, &commit, tip.as_deref(), &about)?;
    let paths = inside.repository.changed_paths(&parent, &commit)?;
    let landing = Landing { tasks: plan.tasks(), to: LandTo::Branch, commit, previous: tip, branch: branch.to_owned() };
    keep(inside, order, plan, landing, Vec::new(), paths, None)
}

/// Keeps what takes the landing back, and tells it. The commit is there, so nothing here fails any more.
fn keep(
    inside: &Inside,
    order: &LandOrder,
    plan: Plan,
    landing: Landing,
    index: Vec<IndexChange>,
    paths: Vec<String>,
    problem: Option<PortError>,
) -> PortResult<LandOutcome> {
    let record = LandingRecord { landing: landing.clone(), index };
    let mut left_out = plan.left_out;
    let problems = [problem, inside.undo.keep(&Entry::of_landing(record)).err()];
    for problem in problems.into_iter().flatten() {
        tracing::warn!(%problem, tasks = order.parts.len(), "the commit was made, but not all that follows");
        let task = landing.tasks.first().cloned().unwrap_or_else(|| "?".into());
        left_out.push((task, format!("it is landed, but ralph failed to {problem}")));
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
    if inside.repository.branch_tip(&landing.branch)?.as_deref() != Some(landing.commit.as_str()) {
        return Err(refused(format!("undo the landing {name}: {} has moved on since", landing.branch), &revert));
    }
    let reason = format!("ralph: undo landing {name}");
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
    git.move_branch(&landing.branch, landing.previous.as_deref(), &landing.commit, &reason)?;
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
