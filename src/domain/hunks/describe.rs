//! A hunk in words and as a diff.

use super::{Hunk, HunkKind};

/// Lines of a diff that are quoted.
const QUOTED: usize = 200;

/// Returns the hunk as a diff, without file names.
pub fn as_diff(hunk: &Hunk) -> String {
    let mut diff = String::new();
    let mut put = |sign: char, line: &str| {
        diff.push(sign);
        diff.push_str(line);
        if !line.ends_with('\n') {
            diff.push_str("\n\\ No newline at end of file\n");
        }
    };
    for line in &hunk.old_lines {
        put('-', line);
    }
    for line in &hunk.new_lines {
        put('+', line);
    }
    if diff.is_empty() {
        diff = format!("{}\n", describe(hunk));
    }
    diff
}

/// Returns the hunk as a diff for an agent; of a long one the first lines, and how many there are more.
pub fn quoted(hunk: &Hunk) -> String {
    let diff = as_diff(hunk);
    let lines = diff.lines().count();
    if lines <= QUOTED {
        return diff;
    }
    let mut quoted: String = diff.split_inclusive('\n').take(QUOTED).collect();
    quoted.push_str(&format!("[and {} more lines]\n", lines - QUOTED));
    quoted
}

/// Returns what a hunk does, in a few words.
pub fn describe(hunk: &Hunk) -> String {
    let count = |n: usize| if n == 1 { "1 line".to_owned() } else { format!("{n} lines") };
    match hunk.kind {
        HunkKind::Text => match (hunk.old_lines.len(), hunk.new_lines.len()) {
            (0, new) => format!("adds {}", count(new)),
            (old, 0) => format!("removes {}", count(old)),
            (old, new) => format!("replaces {} by {}", count(old), count(new)),
        },
        HunkKind::Create => format!("makes the file {} with {}", hunk.path, count(hunk.new_lines.len())),
        HunkKind::Delete => format!("removes the file {}", hunk.path),
        HunkKind::Rename => format!("moves {} to {}", hunk.old_path.as_deref().unwrap_or("the file"), hunk.path),
        HunkKind::Mode => match hunk.new_mode {
            Some(mode) if mode & 0o111 != 0 => format!("makes {} executable", hunk.path),
            _ => format!("makes {} not executable", hunk.path),
        },
        HunkKind::Binary => format!("changes {}, which is not text", hunk.path),
    }
}
