//! What text looks like on a terminal: colours that can be off, and text of others made harmless.

use std::borrow::Cow;
use std::io::IsTerminal;

/// Whether to write colours. Copied around freely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub colour: bool,
}

impl Style {
    /// Writes no colours.
    #[cfg(test)]
    pub const PLAIN: Self = Self { colour: false };

    /// Decides for standard output: colours on a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    pub fn for_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns the text without characters that steer a terminal: agents and files wrote it, not we.
///
/// Line breaks and tabs stay; other control characters become their visible pictures, marks that reorder text go.
pub fn clean(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || reorders(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().filter(|c| !reorders(*c)).map(|c| match c {
        '\n' | '\t' => c,
        '\u{7f}' => '␡',
        c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        c if c.is_control() => '\u{fffd}',
        c => c,
    });
    Cow::Owned(shown.collect())
}

/// Tells whether the character changes the direction of text around it, which can hide what a command says.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text on one line, at most `width` characters, the last being `…` when something was cut.
pub fn one_line(text: &str, width: usize) -> String {
    let joined = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= width {
        return joined;
    }
    let cut: String = joined.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// Returns the text, filled with spaces to `width` characters.
pub fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// Returns `1 task`, `2 tasks`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_steers_the_terminal() {
        for (text, expected) in [
            ("plain ä\n\tb", "plain ä\n\tb"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("a\rb", "a␍b"),
            ("rm \u{202e}txt", "rm txt"),
            ("\u{9b}31m", "\u{fffd}31m"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn lines_are_cut_by_characters() {
        assert_eq!(one_line("a  b\nc", 10), "a b c");
        assert_eq!(one_line("äöüß", 4), "äöüß");
        assert_eq!(one_line("äöü ßx", 5), "äöü…");
    }

    #[test]
    fn colours_can_be_off() {
        assert_eq!(Style { colour: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Style::PLAIN.red("x"), "x");
    }
}
