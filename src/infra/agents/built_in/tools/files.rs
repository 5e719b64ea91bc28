//! The tools that look at files and change them.

use super::given::Given;
use super::paths::Slot;
use std::fs;
use std::io;
use std::path::Path;

/// Bytes of a file that is read or edited; what is larger is for `search` and `run`.
const FILE_LIMIT: u64 = 8 * 1024 * 1024;
/// Lines of one read unless more are asked for.
const LINES: u64 = 400;
/// Characters of one line that are shown.
const LINE_LENGTH: usize = 2_000;
/// Entries of one list.
const ENTRIES: usize = 400;

/// `read`: numbered lines of a file, as many as fit into `limit` bytes.
pub fn read(slot: &Slot, given: &Given<'_>, limit: usize) -> Result<String, String> {
    let path = given.text("path")?;
    let from = given.number("offset")?.unwrap_or(1);
    let count = given.number("limit")?.unwrap_or(LINES);
    let text = text_of(&slot.resolve(path)?, path)?;
    if text.is_empty() {
        return Ok(format!("(`{path}` is empty)"));
    }
    let total = text.lines().count() as u64;
    if from > total {
        return Err(given.wrong("offset", &format!("is {from}, but `{path}` has {total} lines")));
    }
    let mut out = String::new();
    let mut next = from;
    for (number, line) in
        (1u64..).zip(text.lines()).skip((from - 1) as usize).take(count.min(u64::from(u32::MAX)) as usize)
    {
        let line = cut(line, LINE_LENGTH);
        // At least one line is shown, however long.
        if !out.is_empty() && out.len() + line.len() > limit {
            break;
        }
        out.push_str(&format!("{number}\t{line}\n"));
        next = number + 1;
    }
    if from > 1 || next <= total {
        let more = if next <= total { format!("; go on with offset {next}") } else { String::new() };
        out.push_str(&format!("(lines {from} to {} of {total}{more})\n", next - 1));
    }
    Ok(out)
}

/// `list`: what is in a folder, without what git ignores.
pub fn list(slot: &Slot, given: &Given<'_>, limit: usize) -> Result<String, String> {
    let path = given.optional_words("path")?.unwrap_or_else(|| ".".to_owned());
    let depth = given.number("depth")?.unwrap_or(1);
    let folder = slot.resolve(&path)?;
    if !folder.is_dir() {
        return Err(format!("`{path}` is no folder that exists"));
    }
    let mut entries = Vec::new();
    for entry in walk(&folder).max_depth(usize::try_from(depth).ok()).build().flatten() {
        if entry.depth() == 0 {
            continue;
        }
        let slash = if entry.file_type().is_some_and(|kind| kind.is_dir()) { "/" } else { "" };
        entries.push(format!("{}{slash}", slot.shown(entry.path())));
    }
    entries.sort();
    if entries.is_empty() {
        return Ok(format!("(`{path}` holds nothing that git does not ignore)"));
    }
    let (mut out, mut shown) = (String::new(), 0);
    for entry in entries.iter().take(ENTRIES) {
        if out.len() + entry.len() > limit {
            break;
        }
        out.push_str(entry);
        out.push('\n');
        shown += 1;
    }
    if shown < entries.len() {
        out.push_str(&format!("({} more; list a folder of it)\n", entries.len() - shown));
    }
    Ok(out)
}

/// Returns how the files of a folder are walked: as git sees them, links not followed.
pub fn walk(folder: &Path) -> ignore::WalkBuilder {
    let mut walk = ignore::WalkBuilder::new(folder);
    walk.hidden(false).require_git(false).parents(false).git_global(false).follow_links(false);
    walk.filter_entry(|entry| entry.file_name() != ".git");
    walk
}

/// `write`: a whole file, with the folders it needs.
pub fn write(slot: &Slot, given: &Given<'_>) -> Result<String, String> {
    let path = given.text("path")?;
    let content = given.text("content")?;
    let place = slot.resolve_to_write(path)?;
    let existed = match place.symlink_metadata() {
        Ok(found) if found.is_file() => true,
        Ok(_) => return Err(format!("`{path}` is no plain file, so it cannot be written")),
        Err(_) => false,
    };
    let failed = |error: io::Error| format!("failed to write `{path}`: {error}");
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(&place, content).map_err(failed)?;
    let what = if existed { "replaced" } else { "new" };
    Ok(format!("wrote `{path}` ({what}, {} lines)", content.lines().count()))
}

/// `edit`: one exact text of a file becomes another.
pub fn edit(slot: &Slot, given: &Given<'_>) -> Result<String, String> {
    let path = given.text("path")?;
    let (old, new) = (given.text("old")?, given.text("new")?);
    let place = slot.resolve_to_write(path)?;
    let text = text_of(&place, path)?;
    let (edited, line) = replaced(&text, old, new).map_err(|problem| match problem {
        Misfit::Empty => given.wrong("old", "must not be empty; to make a new file, use `write`"),
        Misfit::Same => given.wrong("new", "is the same as `old`, so nothing would change"),
        Misfit::Missing { near: Some(line) } => format!(
            "`old` of `edit` is not in `{path}` exactly as given; line {line} has it with other spaces. Read the file and \
             copy the text as it is, without line numbers."
        ),
        Misfit::Missing { near: None } => format!(
            "`old` of `edit` is not in `{path}`. Read the file and copy the text as it is, without line numbers."
        ),
        Misfit::Several(lines) => {
            let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
            format!(
                "`old` of `edit` is in `{path}` {} times, at lines {}; add lines before or after it until it is unique.",
                lines.len(),
                lines.join(", ")
            )
        }
    })?;
    fs::write(&place, edited).map_err(|error| format!("failed to write `{path}`: {error}"))?;
    Ok(format!("edited `{path}` at line {line}"))
}

/// Why a text cannot be replaced; lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Misfit {
    Empty,
    Same,
    Missing {
        /// Where it would be if spaces did not count.
        near: Option<u64>,
    },
    Several(Vec<u64>),
}

/// Replaces the one place of `old`, and returns the text and the line where it was. In a text whose lines end with a
/// carriage return as well, those of `old` and `new` may lack it.
fn replaced(text: &str, old: &str, new: &str) -> Result<(String, u64), Misfit> {
    if old.is_empty() {
        return Err(Misfit::Empty);
    }
    if old == new {
        return Err(Misfit::Same);
    }
    if !text.contains(old) && text.contains("\r\n") && !old.contains('\r') {
        let with = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
        if text.contains(&with(old)) {
            return replaced(text, &with(old), &with(new));
        }
    }
    let line_at = |at: usize| 1 + text[..at].matches('\n').count() as u64;
    // Overlapping places count: which one is meant is open all the same.
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find(old) {
        let at = from + found;
        places.push(at);
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    match places.as_slice() {
        [at] => Ok((format!("{}{new}{}", &text[..*at], &text[at + old.len()..]), line_at(*at))),
        [] => Err(Misfit::Missing { near: near(text, old) }),
        several => Err(Misfit::Several(several.iter().map(|at| line_at(*at)).collect())),
    }
}

/// Finds the first line where the lines of `old` are when spaces do not count.
fn near(text: &str, old: &str) -> Option<u64> {
    let bare = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = old.lines().map(bare).skip_while(String::is_empty).collect();
    if wanted.is_empty() {
        return None;
    }
    let lines: Vec<String> = text.lines().map(bare).collect();
    let at = lines.windows(wanted.len()).position(|lines| lines == wanted.as_slice())?;
    Some(at as u64 + 1)
}

/// Reads a file that holds text.
fn text_of(place: &Path, path: &str) -> Result<String, String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("`{path}` does not exist; use `list` or `search` to find it"),
        _ => format!("failed to read `{path}`: {error}"),
    };
    let found = fs::metadata(place).map_err(failed)?;
    if found.is_dir() {
        return Err(format!("`{path}` is a folder; use `list`"));
    }
    // Reading a pipe or a device might never end.
    if !found.is_file() {
        return Err(format!("`{path}` is no plain file"));
    }
    if found.len() > FILE_LIMIT {
        return Err(format!("`{path}` is too large to read whole ({} bytes); use `search`", found.len()));
    }
    String::from_utf8(fs::read(place).map_err(failed)?).map_err(|_| format!("`{path}` is no UTF-8 text"))
}

/// Returns the beginning of a line, marked where it is cut.
pub fn cut(line: &str, limit: usize) -> std::borrow::Cow<'_, str> {
    match line.char_indices().nth(limit) {
        Some((at, _)) => format!("{}… ({} bytes more)", &line[..at], line.len() - at).into(),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_place_is_replaced_and_nothing_else() {
        for (text, old, new, expected) in [
            ("a\nb\nc\n", "b", "B", Ok(("a\nB\nc\n", 2))),
            ("a\nb\n", "a\nb\n", "", Ok(("", 1))),
            ("a\r\nb\r\n", "a\nb", "a\nx", Ok(("a\r\nx\r\n", 1))),
            ("a\n", "", "x", Err(Misfit::Empty)),
            ("a\n", "a", "a", Err(Misfit::Same)),
            ("a\n", "z", "x", Err(Misfit::Missing { near: None })),
            ("x\n\tif a {\n", "  if a {", "y", Err(Misfit::Missing { near: Some(2) })),
            ("b\na\nb\n", "b", "x", Err(Misfit::Several(vec![1, 3]))),
            ("aaa", "aa", "x", Err(Misfit::Several(vec![1, 1]))),
            ("ää", "ä", "x", Err(Misfit::Several(vec![1, 1]))),
        ] {
            let expected = expected.map(|(text, line)| (text.to_owned(), line));
            assert_eq!(replaced(text, old, new), expected, "{text:?} {old:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_replaced_can_be_put_back(before in "[a-d\n]{0,20}", old in "[x-z\n]{1,6}x", after in "[a-d\n]{0,20}") {
            let text = format!("{before}{old}{after}");
            if let Ok((edited, _)) = replaced(&text, &old, "<new>") {
                prop_assert_eq!(&edited, &format!("{before}<new>{after}"));
                prop_assert_eq!(replaced(&edited, "<new>", &old).expect("there").0, text);
            }
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,30}", old in "\\PC{0,3}", new in "\\PC{0,3}") {
            let _ = replaced(&text, &old, &new);
            let _ = cut(&text, 3);
        }
    }
}
