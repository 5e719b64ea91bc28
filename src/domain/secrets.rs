//! Secrets in what programs print: found by their shape, or because they are the value of a variable that is named like
//! one, and replaced before anything is stored or shown.

use regex::bytes::{Captures, Regex};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Bytes of one word that may be held back until its end is known; longer ones are let through in pieces.
const WORD_LIMIT: usize = 4 * 1024;
/// Bytes of a private key that are left out at most; what claims to be a longer one is none.
const KEY_LIMIT: usize = 32 * 1024;
/// Values that are shorter say little and would hit innocent words.
const SHORTEST_VALUE: usize = 8;

/// Parts of a variable's name that say that its value is a secret.
const NAMES: [&str; 9] =
    ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "CREDENTIAL", "CREDENTIALS"];

/// Shapes of secrets, as their issuers document them. None matches across a blank.
const SHAPES: [&str; 10] = [
    // Anthropic, OpenAI, Stripe.
    r"\b(?:sk|rk)[-_][A-Za-z0-9_-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    r"\bgithub_pat_[A-Za-z0-9_]{30,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    // JSON Web Tokens.
    r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
];

/// The lines around a private key.
const KEY_BEGIN: &str = r"-----BEGIN[A-Z ]{0,20}PRIVATE[A-Z ]{0,10}-----";
const KEY_END: &[u8] = b"-----END";

/// Tells whether a variable is named like a secret, and its value can be told from innocent words.
pub fn is_secret(name: &str, value: &str) -> bool {
    let named = name.split('_').any(|part| NAMES.contains(&part.to_ascii_uppercase().as_str()));
    let is_word = value.len() >= SHORTEST_VALUE && !value.contains(char::is_whitespace);
    // A path, a number or a plain word is where a secret is, how many there are, or what kind.
    let is_random = !value.starts_with(['/', '~', '.'])
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    named && is_word && is_random
}

/// Replaces secrets in a stream of bytes that comes in pieces of any size.
pub struct Redactor {
    secrets: Regex,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    /// Bytes of a private key that were left out so far, while inside one.
    key: Option<usize>,
}

impl Redactor {
    /// Knows the usual shapes, and the values of those variables that are named like secrets.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut values: Vec<&str> =
            variables.into_iter().filter(|(name, value)| is_secret(name, value)).map(|(_, value)| value).collect();
        // One that begins like another must not leave the other's end behind.
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        let values = values.iter().map(|value| regex::escape(value));
        let shapes = SHAPES.into_iter().map(str::to_owned);
        let all: Vec<String> = values.chain(shapes).chain([format!("(?P<key>{KEY_BEGIN})")]).collect();
        // Made of escaped texts and constants; should values be too many, their shapes are still known.
        let secrets = Regex::new(&all.join("|")).unwrap_or_else(|_| shapes_alone());
        Self { secrets, held: Vec::new(), key: None }
    }

    /// Takes the next piece and returns what can be passed on. The last word may come with the next piece.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let end = self.end_of_words();
        let rest = self.held.split_off(end);
        let whole = std::mem::replace(&mut self.held, rest);
        self.redact(&whole)
    }

    /// Returns what was held back; nothing comes after it.
    pub fn finish(&mut self) -> Vec<u8> {
        let whole = std::mem::take(&mut self.held);
        self.redact(&whole)
    }

    /// Replaces the secrets in one whole text.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = self.feed(text.as_bytes());
        out.extend(self.finish());
        self.key = None;
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Replaces the secrets in every text of a JSON value; the names of its fields stay.
    pub fn json(&mut self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.text(text),
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| self.json(field)),
            _ => {}
        }
    }

    /// Returns where the last word begins, or how much has to be let through of one that is too long.
    fn end_of_words(&self) -> usize {
        // The line that begins a private key holds blanks.
        let line = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let opens = self.held[line..].windows(5).position(|part| part == b"-----").map(|at| line + at);
        let word = self.held.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        opens.map_or(word, |at| at.min(word)).max(self.held.len().saturating_sub(WORD_LIMIT))
    }

    fn redact(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            bytes = match self.key {
                Some(_) => self.leave_out_key(bytes),
                None => self.redact_words(bytes, &mut out),
            };
        }
        out
    }

    /// Replaces secrets up to the beginning of a private key; returns what comes after that.
    fn redact_words<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut at = 0;
        for found in self.secrets.captures_iter(bytes) {
            let whole = match_of(&found);
            out.extend_from_slice(&bytes[at..whole.0]);
            out.extend_from_slice(REDACTED.as_bytes());
            at = whole.1;
            if found.name("key").is_some() {
                self.key = Some(0);
                return &bytes[at..];
            }
        }
        out.extend_from_slice(&bytes[at..]);
        &[]
    }

    /// Leaves out a private key; returns what comes after it.
    fn leave_out_key<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let left_out = self.key.unwrap_or_default();
        let end = bytes.windows(KEY_END.len()).position(|part| part == KEY_END);
        let end = end.map(|at| {
            let line = &bytes[at..];
            at + line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len())
        });
        let limit = KEY_LIMIT.saturating_sub(left_out);
        match end.filter(|end| *end <= limit) {
            Some(end) => {
                self.key = None;
                &bytes[end..]
            }
            None if bytes.len() > limit => {
                self.key = None;
                &bytes[limit..]
            }
            None => {
                self.key = Some(left_out + bytes.len());
                &[]
            }
        }
    }
}

fn match_of(found: &Captures<'_>) -> (usize, usize) {
    found.get(0).map_or((0, 0), |whole| (whole.start(), whole.end()))
}

#[expect(clippy::expect_used, reason = "a constant, which a test compiles")]
fn shapes_alone() -> Regex {
    Regex::new(&format!("{}|(?P<key>{KEY_BEGIN})", SHAPES.join("|"))).expect("the shapes are regular expressions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUE: &str = "Zx81-Spectrum-48k";

    fn redactor() -> Redactor {
        Redactor::new([("MY_API_KEY", VALUE), ("HOME", "/home/ada1"), ("KEYBOARD", "us-intl-105")])
    }

    fn redacted(text: &str) -> String {
        let mut redactor = redactor();
        let mut out = redactor.feed(text.as_bytes());
        out.extend(redactor.finish());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn secrets_go_and_words_stay() {
        shapes_alone();
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----";
        for (text, expected) in [
            (format!("key={VALUE}."), "key=[redacted].".to_owned()),
            ("export A=sk-ant-api03-abcdefghij0123456789".into(), "export A=[redacted]".into()),
            ("{\"token\":\"ghp_0123456789abcdefghijABCDEFGHIJ012345\"}".into(), "{\"token\":\"[redacted]\"}".into()),
            ("AKIAIOSFODNN7EXAMPLE".into(), "[redacted]".into()),
            (format!("before\n{key}\nafter {key}"), "before\n[redacted]\nafter [redacted]".into()),
        ] {
            assert_eq!(redacted(&text), expected);
        }
        for text in
            ["task-something-quite-long-with-dashes", "/home/ada1", "us-intl-105", "risk_free_of_any_kind_at_all_1"]
        {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn what_only_begins_like_a_key_does_not_swallow_the_rest() {
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}\nthe end", "x".repeat(2 * KEY_LIMIT));
        assert!(redacted(&text).ends_with("the end"));
    }

    #[test]
    fn texts_of_a_value_are_clean_and_apart() {
        let mut value =
            serde_json::json!({ "a": [format!("is {VALUE}"), "-----BEGIN PRIVATE KEY-----"], "b": "stays" });
        redactor().json(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["is [redacted]", "[redacted]"], "b": "stays" }));
    }

    #[test]
    fn names_and_values() {
        for (name, value, expected) in [
            ("OPENAI_API_KEY", "abcdefgh1", true),
            ("GITHUB_TOKEN", "abcdefgh1", true),
            ("KEYBOARD", "abcdefgh1", false),
            ("SECRET_FILE_PASS", "/etc/secret1", false),
            ("TOKEN", "short1", false),
            ("MAX_TOKEN", "123456789", false),
            ("API_KEY", "two words 12", false),
        ] {
            assert_eq!(is_secret(name, value), expected, "{name}={value}");
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(
            words in proptest::collection::vec(prop_oneof![
                Just(VALUE.to_owned()),
                Just("sk-abcdefghij0123456789".to_owned()),
                Just("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n".to_owned()),
                "[ \n\ta-c-]{0,6}",
            ], 0..12),
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            // A token is a word of its own.
            let text = words.join(" ");
            let (mut redactor, mut out, mut rest) = (redactor(), Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                out.extend(redactor.feed(piece));
                rest = after;
            }
            out.extend(redactor.finish());
            let out = String::from_utf8(out).expect("text");
            prop_assert!(!out.contains(VALUE), "{}", out);
            prop_assert!(!out.contains("sk-abcdefghij0123456789"), "{}", out);
            prop_assert!(!out.contains("\nabc\n-----END"), "{}", out);
            prop_assert_eq!(out, redacted(&text));
        }
    }
}
