//! Merges the save of a stale text with what came to disk meanwhile, by task and field.

use super::edit::{editable, remove_member, set_member};
use super::members::{Placement, append, item_spans, remove};
use super::style::Style;
use super::{EditError, TextEdit, apply_edits};
use crate::protocol::jsonc::{self, Node};
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The person's text with the changes of the disk in it; formatting and comments are the person's.
    pub text: String,
    /// Where both sides changed the same thing; the person's side is in the text.
    pub conflicts: Vec<Conflict>,
}

/// One thing that both sides changed differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Id of the task or goal; absent for a field of the file itself.
    pub id: Option<String>,
    /// The field; absent where one side removed the whole entry.
    pub field: Option<String>,
    /// What the disk had and the merged text does not; absent where the disk had removed it.
    pub disk: Option<serde_json::Value>,
}

/// Which of the three texts cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    #[error("merge the saved queue with the text it was based on: {0}")]
    Base(EditError),
    #[error("merge the saved queue with the one on disk: {0}")]
    Disk(EditError),
    #[error("merge the saved queue: {0}")]
    Mine(EditError),
}

/// Carries the changes from `base` to `disk` into `mine`, the person's text, which was edited from `base`.
///
/// Where both changed the same field the person's value stays and the conflict is returned.
pub fn merge(base: &str, disk: &str, mine: &str) -> Result<Merged, MergeError> {
    if base == disk || disk == mine {
        return Ok(Merged { text: mine.to_owned(), conflicts: Vec::new() });
    }
    if base == mine {
        return Ok(Merged { text: disk.to_owned(), conflicts: Vec::new() });
    }
    let base_root = editable(base).map_err(MergeError::Base)?;
    let disk_root = editable(disk).map_err(MergeError::Disk)?;
    let mine_root = editable(mine).map_err(MergeError::Mine)?;
    let mut merger = Merger { style: Style::detect(mine, mine_root.as_ref()), conflicts: Vec::new() };
    let (Some(disk_root), Some(mine_root)) = (disk_root, mine_root) else {
        // One side is empty: nothing to go by but whole texts, and neither may be lost.
        let text = if mine.trim().is_empty() { disk } else { mine };
        return Ok(Merged { text: text.to_owned(), conflicts: Vec::new() });
    };
    let mut text = merger.entries(mine, base_root.as_ref(), &disk_root, &mine_root);
    text = merger.additions(text, disk, base_root.as_ref(), &disk_root, "goals");
    text = merger.additions(text, disk, base_root.as_ref(), &disk_root, "tasks");
    let skip = ["goals", "tasks"];
    let text = merger.fields(text, base_root.as_ref(), &disk_root, None, &skip);
    Ok(Merged { text, conflicts: merger.conflicts })
}

struct Merger {
    style: Style,
    conflicts: Vec<Conflict>,
}

/// The entries of a list by what identifies them: the id, or the whole entry where there is none, and which of the
/// equal ones it is.
fn keyed<'a>(root: Option<&'a Node>, list: &str) -> Vec<((String, usize), &'a Node)> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let elements = root.and_then(|root| root.get(list)).map(Node::elements).unwrap_or_default();
    elements
        .iter()
        .map(|node| {
            let id = node.get("id").and_then(Node::as_str);
            let key = id.map_or_else(|| format!("\0{}", node.to_json()), str::to_owned);
            let count = seen.entry(key.clone()).or_default();
            *count += 1;
            ((key, *count), node)
        })
        .collect()
}

impl Merger {
    /// Merges the entries that `mine` has, and drops those the disk dropped.
    fn entries(&mut self, mine: &str, base: Option<&Node>, disk: &Node, root: &Node) -> String {
        let mut edits = Vec::new();
        for list in ["goals", "tasks"] {
            let base: HashMap<_, _> = keyed(base, list).into_iter().collect();
            let on_disk = keyed(Some(disk), list);
            let own = keyed(Some(root), list);
            let own_keys: HashSet<_> = own.iter().map(|(key, _)| key).collect();
            for (key, theirs) in on_disk.iter().filter(|(key, _)| !own_keys.contains(key)) {
                // The person removed it; that the disk changed it meanwhile is worth a word.
                if base.get(key).is_some_and(|old| old.to_json() != theirs.to_json()) {
                    self.conflict(Some(&key.0), None, Some(theirs));
                }
            }
            let theirs: HashMap<_, _> = on_disk.into_iter().collect();
            let mut gone = HashSet::new();
            for (index, (key, node)) in own.iter().enumerate() {
                match (theirs.get(key), base.get(key)) {
                    (Some(theirs), old) => {
                        let slice = &mine[node.span.clone()];
                        let merged = self.fields(slice.to_owned(), old.copied(), theirs, Some(&key.0), &[]);
                        if merged != slice {
                            edits.push(TextEdit { range: node.span.clone(), new_text: merged });
                        }
                    }
                    (None, Some(old)) if old.to_json() == node.to_json() => {
                        gone.insert(index);
                    }
                    (None, Some(_)) => self.conflict(Some(&key.0), None, None),
                    (None, None) => {}
                }
            }
            if let Some(node) = root.get(list).filter(|_| !gone.is_empty()) {
                edits.extend(remove(mine, &item_spans(node), |index| gone.contains(&index)));
            }
        }
        edits.sort_by_key(|edit| edit.range.start);
        apply_edits(mine, &edits)
    }

    /// Appends the entries that only the disk has, word for word.
    fn additions(&mut self, text: String, disk_text: &str, base: Option<&Node>, disk: &Node, list: &str) -> String {
        let Some(root) = jsonc::parse(&text).root else { return text };
        let base: HashSet<_> = keyed(base, list).into_iter().map(|(key, _)| key).collect();
        let own: HashSet<_> = keyed(Some(&root), list).into_iter().map(|(key, _)| key).collect();
        let new: Vec<&Node> = keyed(Some(disk), list)
            .into_iter()
            .filter(|(key, _)| !base.contains(key) && !own.contains(key))
            .map(|(_, node)| node)
            .collect();
        if new.is_empty() {
            return text;
        }
        let edits = match root.get(list) {
            Some(node) => {
                let items: Vec<String> = new.iter().map(|node| disk_text[node.span.clone()].to_owned()).collect();
                append(&text, node, &self.style, &Placement::at_end(&text, node, &self.style), &items)
            }
            None => {
                let value = new.iter().map(|node| node.to_json()).collect();
                set_member(&text, &root, &self.style, list, &value, 2)
            }
        };
        apply_edits(&text, &edits)
    }

    /// Carries changed fields of one object into `text`, which is exactly that object.
    fn fields(&mut self, text: String, base: Option<&Node>, disk: &Node, id: Option<&str>, skip: &[&str]) -> String {
        let mut text = text;
        let old_members = base.map(Node::members).unwrap_or_default();
        let mut names = HashSet::new();
        for member in disk.members().iter().chain(old_members) {
            let name = member.key.as_str();
            if skip.contains(&name) || !names.insert(name) {
                continue;
            }
            let old = base.and_then(|base| base.get(name)).map(Node::to_json);
            let theirs = disk.get(name).map(Node::to_json);
            if old == theirs {
                continue;
            }
            let Some(object) = jsonc::parse(&text).root else { return text };
            let own = object.get(name).map(Node::to_json);
            if own == theirs {
                continue;
            }
            if own != old {
                self.conflict(id, Some(name), disk.get(name));
                continue;
            }
            let edits = match theirs {
                Some(value) => set_member(&text, &object, &self.style, name, &value, 0),
                None => remove_member(&text, &object, name),
            };
            text = apply_edits(&text, &edits);
        }
        text
    }

    fn conflict(&mut self, id: Option<&str>, field: Option<&str>, disk: Option<&Node>) {
        self.conflicts.push(Conflict {
            id: id.map(str::to_owned),
            field: field.map(str::to_owned),
            disk: disk.map(Node::to_json),
        });
    }
}
