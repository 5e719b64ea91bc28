//! The URIs of the virtual documents: made in one place, read in the same.

use crate::protocol::editor::SCHEME;
use crate::protocol::engine_api::AttemptText;
use lsp_types::Url;
use std::path::{Path, PathBuf};

/// A read-only document that is not a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A whole proposal as one diff.
    Review {
        task: String,
    },
    /// One side of one file of a proposal.
    Base {
        task: String,
        path: String,
    },
    Proposal {
        task: String,
        path: String,
    },
    /// A text of an attempt; the last one when no number is given.
    Attempt {
        task: String,
        attempt: Option<u32>,
        what: AttemptText,
    },
    /// The difference a revised plan makes.
    Plan {
        plan: String,
    },
}

/// Makes the URI of a link of the checkout at `root`.
///
/// The root is in the query, so that the path can end in the file's own name and editors choose its colours.
pub fn to_uri(root: &Path, link: &Link) -> String {
    let mut uri = Url::parse(&format!("{SCHEME}:/")).unwrap_or_else(|_| unreachable!("a constant URI"));
    let segments: Vec<String> = match link {
        Link::Review { task } => vec!["review".into(), format!("{task}.diff")],
        Link::Base { task, path } => side("base", task, path),
        Link::Proposal { task, path } => side("proposal", task, path),
        Link::Attempt { task, attempt, what } => {
            let last = if *what == AttemptText::NextPrompt { "next" } else { "last" };
            let attempt = attempt.map_or(last.to_owned(), |attempt| attempt.to_string());
            vec![word(*what).into(), task.clone(), format!("{attempt}.{}", extension(*what))]
        }
        Link::Plan { plan } => vec!["plan".into(), format!("{plan}.diff")],
    };
    if let Ok(mut path) = uri.path_segments_mut() {
        path.clear().extend(segments);
    }
    uri.query_pairs_mut().append_pair("root", &root.to_string_lossy());
    uri.into()
}

/// Reads a URI that [`to_uri`] made: the root, when it names one, and the link.
pub fn from_uri(uri: &str) -> Option<(Option<PathBuf>, Link)> {
    let uri = Url::parse(uri).ok().filter(|uri| uri.scheme() == SCHEME)?;
    let root = uri.query_pairs().find(|(key, _)| key == "root").map(|(_, root)| PathBuf::from(root.into_owned()));
    let segments: Vec<String> = uri.path_segments()?.map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let link = match segments.as_slice() {
        ["review", file] => Link::Review { task: file.strip_suffix(".diff")?.to_owned() },
        ["plan", file] => Link::Plan { plan: file.strip_suffix(".diff")?.to_owned() },
        ["base", task, path @ ..] if !path.is_empty() => Link::Base { task: (*task).to_owned(), path: path.join("/") },
        ["proposal", task, path @ ..] if !path.is_empty() => {
            Link::Proposal { task: (*task).to_owned(), path: path.join("/") }
        }
        ["prompt", task, "next.md"] => {
            Link::Attempt { task: (*task).to_owned(), attempt: None, what: AttemptText::NextPrompt }
        }
        [what, task, file] => {
            let what = TEXTS.into_iter().find(|known| word(*known) == *what)?;
            let attempt = file.strip_suffix(extension(what))?.strip_suffix('.')?;
            let attempt = if attempt == "last" { None } else { Some(attempt.parse().ok()?) };
            Link::Attempt { task: (*task).to_owned(), attempt, what }
        }
        _ => return None,
    };
    Some((root, link))
}

const TEXTS: [AttemptText; 4] =
    [AttemptText::Prompt, AttemptText::Transcript, AttemptText::RawTranscript, AttemptText::Checks];

fn side(word: &str, task: &str, path: &str) -> Vec<String> {
    [word, task].into_iter().chain(path.split('/')).map(str::to_owned).collect()
}

fn word(what: AttemptText) -> &'static str {
    match what {
        AttemptText::Prompt | AttemptText::NextPrompt => "prompt",
        AttemptText::Transcript => "transcript",
        AttemptText::RawTranscript => "raw-transcript",
        AttemptText::Checks => "checks",
    }
}

fn extension(what: AttemptText) -> &'static str {
    match what {
        AttemptText::Prompt | AttemptText::NextPrompt => "md",
        AttemptText::Transcript | AttemptText::RawTranscript | AttemptText::Checks => "log",
    }
}

fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_back_whatever_the_ids_are() {
        let root = Path::new("/tmp/my repo/ü");
        for task in ["a", "a/b", "../x", "fix: the #1 thing?", "100%", "日本"] {
            let task = task.to_owned();
            let links = [
                Link::Review { task: task.clone() },
                Link::Base { task: task.clone(), path: "src/a b.rs".into() },
                Link::Proposal { task: task.clone(), path: "ü.rs".into() },
                Link::Attempt { task: task.clone(), attempt: Some(3), what: AttemptText::Prompt },
                Link::Attempt { task: task.clone(), attempt: None, what: AttemptText::Checks },
                Link::Attempt { task: task.clone(), attempt: None, what: AttemptText::Prompt },
                Link::Attempt { task: task.clone(), attempt: None, what: AttemptText::NextPrompt },
                Link::Attempt { task: task.clone(), attempt: Some(1), what: AttemptText::RawTranscript },
                Link::Plan { plan: task.clone() },
            ];
            for link in links {
                let uri = to_uri(root, &link);
                assert_eq!(from_uri(&uri), Some((Some(root.to_owned()), link)), "{uri}");
            }
        }
    }

    #[test]
    fn other_uris_are_not_links() {
        for uri in ["file:///review/a.diff", "ralph:/", "ralph:/review/a", "ralph:/prompt/a/x.md", "nonsense"] {
            assert_eq!(from_uri(uri), None, "{uri}");
        }
    }
}
