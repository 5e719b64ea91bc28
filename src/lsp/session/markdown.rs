//! Puts text that agents wrote into Markdown so that it stays text: no link, no image, no HTML, no command.

/// Returns the text in a fence that nothing inside it can close.
pub fn fence(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// Returns the text with everything escaped that Markdown or HTML could act on, and line breaks kept.
///
/// Nothing else is escaped: some editors show a hover with its backslashes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            escaped.push_str("  \n");
        }
        escape_line(line, &mut escaped);
    }
    escaped
}

fn escape_line(line: &str, escaped: &mut String) {
    // Before the first word a few more characters mean something: headings, lists, rules.
    let mut start = Start::Blank;
    let mut before = ' ';
    let mut rest = line.chars().filter(|c| !c.is_control() || *c == '\t').peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let is_markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '~' | '|' | '@' => true,
            // Inside a word it is a part of a name.
            '_' => !(before.is_alphanumeric() && after.is_alphanumeric()),
            '#' | '+' | '-' | '=' => start == Start::Blank,
            ')' => start == Start::Number,
            // A bare host name becomes a link.
            '.' => start == Start::Number || before.eq_ignore_ascii_case(&'w'),
            _ => false,
        };
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A bare URL becomes a link in many editors; a zero-width space ends it.
            ':' if !after.is_whitespace() => escaped.push_str(":\u{200b}"),
            c if is_markup => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
        start = match start {
            Start::Blank if c.is_whitespace() => Start::Blank,
            Start::Blank | Start::Number if c.is_ascii_digit() => Start::Number,
            _ => Start::Over,
        };
        before = c;
    }
}

/// What a line holds so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Blank,
    Number,
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_closes_a_fence() {
        let text = "```\n[run](command:evil)\n`````\n";
        let fenced = fence("diff", text);
        assert!(fenced.starts_with("``````diff\n"), "{fenced}");
        assert!(fenced.ends_with("\n``````\n"), "{fenced}");
        assert_eq!(fence("diff", "a\n"), "```diff\na\n```\n");
    }

    #[test]
    fn escaped_text_has_no_live_markup() {
        let cases = [
            ("[x](command:y)", "\\[x\\](command:\u{200b}y)"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("a\nb", "a  \nb"),
            ("![i](u) *b* `c` #", "!\\[i\\](u) \\*b\\* \\`c\\` #"),
            ("it's 1, 2; ok? a/b", "it's 1, 2; ok? a/b"),
            ("no-panic-3fa9c1: bad_input() is None!", "no-panic-3fa9c1: bad_input() is None!"),
            ("_b_ __init__", "\\_b\\_ \\_\\_init\\_\\_"),
            ("# a\n - b\n12. c\n1) d\n===", "\\# a  \n \\- b  \n12\\. c  \n1\\) d  \n\\==="),
            ("see www.evil.example, https://e or a@b.c", "see www\\.evil.example, https:\u{200b}//e or a\\@b.c"),
        ];
        for (text, escaped) in cases {
            assert_eq!(escape(text), escaped);
        }
    }
}
