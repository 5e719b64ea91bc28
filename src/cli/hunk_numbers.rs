//! The numbers people type for hunks: what `review` prints is what `accept --hunk` takes.

use super::error::usage;
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkId};
use crate::protocol::engine_api::{ApiError, ProposalView};

/// Returns every hunk with its 1-based number, by file and position.
pub fn numbered(view: &ProposalView) -> impl Iterator<Item = (usize, &Hunk, &Mark)> {
    let hunks = view.files.iter().flat_map(|file| &file.hunks);
    hunks.enumerate().map(|(index, (hunk, mark))| (index + 1, hunk, mark))
}

/// Returns the hunks that were typed as numbers, ids or unique beginnings of ids; all for none typed stays empty.
///
/// # Errors
///
/// `Usage`, naming what fits no hunk or several.
pub fn resolve(view: &ProposalView, typed: &[String]) -> Result<Vec<HunkId>, ApiError> {
    typed.iter().map(|text| resolve_one(view, text)).collect()
}

fn resolve_one(view: &ProposalView, text: &str) -> Result<HunkId, ApiError> {
    let exact = numbered(view).find(|(_, hunk, _)| hunk.id.0 == text);
    // Ids are twelve digits long, so a short number is always a position.
    let by_number = || {
        let number: usize = text.parse().ok().filter(|_| text.len() < 6)?;
        numbered(view).find(|(position, ..)| *position == number)
    };
    if let Some((_, hunk, _)) = exact.or_else(by_number) {
        return Ok(hunk.id.clone());
    }
    let mut fitting = numbered(view).filter(|(_, hunk, _)| text.len() >= 6 && hunk.id.0.starts_with(text));
    match (fitting.next(), fitting.next()) {
        (Some((_, hunk, _)), None) => Ok(hunk.id.clone()),
        (Some(_), Some(_)) => Err(usage(format!("find hunk `{text}` of task `{}`: several begin so", view.task))),
        _ => {
            let last = numbered(view).count();
            let hint = format!("its hunks are 1 to {last}; see ralph-sidecar review {}", view.task);
            Err(usage(format!("find hunk `{text}` of task `{}`: there is none", view.task)).with_hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn hunks_by_number_id_and_beginning() {
        let view = samples::proposal();
        let typed = |text: &str| resolve(&view, &[text.to_owned()]).map(|ids| ids[0].0.clone());
        assert_eq!(typed("1").as_deref(), Ok("111111aaaaaa"));
        assert_eq!(typed("2").as_deref(), Ok("222222bbbbbb"));
        assert_eq!(typed("222222bbbbbb").as_deref(), Ok("222222bbbbbb"));
        assert_eq!(typed("222222").as_deref(), Ok("222222bbbbbb"));
        for bad in ["0", "3", "x", "2222", "", "-1"] {
            assert!(typed(bad).is_err(), "{bad}");
        }
        assert_eq!(resolve(&view, &[]), Ok(vec![]));
    }
}
