//! `search`: lines of files that match a regular expression.

use super::files::{cut, walk};
use super::given::Given;
use super::paths::Slot;
use globset::{Glob, GlobMatcher};
use regex::{Regex, RegexBuilder};
use std::fs;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Lines of one answer.
const LINES: usize = 200;
/// Characters of one line that are shown.
const LINE_LENGTH: usize = 240;
/// Bytes of a file that is looked into.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// What to look for, and where.
#[derive(Debug)]
pub struct Query {
    pattern: Regex,
    place: PathBuf,
    files: Option<GlobMatcher>,
}

impl Query {
    /// # Errors
    ///
    /// Names the field that is wrong.
    pub fn read(slot: &Slot, given: &Given<'_>) -> Result<Self, String> {
        let pattern = given.text("pattern")?;
        if pattern.is_empty() {
            return Err(given.wrong("pattern", "must not be empty"));
        }
        let pattern = RegexBuilder::new(pattern).size_limit(1 << 22).build();
        let pattern = pattern.map_err(|error| given.wrong("pattern", &format!("is no regular expression: {error}")))?;
        let path = given.optional_words("path")?.unwrap_or_else(|| ".".to_owned());
        let place = slot.resolve(&path)?;
        if !place.exists() {
            return Err(given.wrong("path", &format!("is `{path}`, which does not exist")));
        }
        let files = match given.optional_words("files")? {
            Some(glob) => {
                let glob = Glob::new(&glob).map_err(|error| given.wrong("files", &format!("is no glob: {error}")))?;
                Some(glob.compile_matcher())
            }
            None => None,
        };
        Ok(Self { pattern, place, files })
    }

    /// Looks through the files in the order of their names, and returns at most `limit` bytes of `path:line: text`.
    pub fn run(&self, slot: &Slot, limit: usize, stop: &CancellationToken) -> String {
        let (mut out, mut found) = (String::new(), 0);
        let mut full = false;
        let walk = walk(&self.place).sort_by_file_name(|a, b| a.cmp(b)).build();
        for entry in walk.flatten() {
            if full || stop.is_cancelled() {
                break;
            }
            let is_small = entry.metadata().is_ok_and(|found| found.is_file() && found.len() <= FILE_LIMIT);
            let path = slot.shown(entry.path());
            let is_meant = |glob: &GlobMatcher| glob.is_match(&path) || glob.is_match(entry.file_name());
            if !is_small || !self.files.as_ref().is_none_or(is_meant) {
                continue;
            }
            // What is no text is not looked into.
            let Ok(Ok(text)) = fs::read(entry.path()).map(String::from_utf8) else { continue };
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| self.pattern.is_match(line)) {
                let line: String = format!("{path}:{number}: {}\n", cut(line.trim_end(), LINE_LENGTH));
                if found == LINES || (found > 0 && out.len() + line.len() > limit) {
                    full = true;
                    break;
                }
                out.push_str(&line);
                found += 1;
            }
        }
        if full {
            out.push_str("(there is more; narrow it by `path`, `files` or the pattern)\n");
        }
        if found == 0 { "(no line matches)".to_owned() } else { out }
    }
}
