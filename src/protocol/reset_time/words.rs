//! Points in time in running text: after a word that announces one, such as `resets` or `try again`, the forms agents use.

use super::{JUST_PASSED, ahead, epoch};
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// Words and signs between the announcement and the time, at most.
const MAX_FILLERS: usize = 8;
const FILLERS: &[&str] = &[
    "about",
    "after",
    "again",
    "approximately",
    "at",
    "available",
    "be",
    "by",
    "date",
    "delay",
    "for",
    "from",
    "in",
    "is",
    "it",
    "limit",
    "ms",
    "on",
    "or",
    "sec",
    "seconds",
    "secs",
    "the",
    "this",
    "time",
    "to",
    "until",
    "will",
    "within",
    "you",
    "your",
];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Abbreviations of zones in use by the services, in hours from UTC. Others are not understood, rather than guessed.
const ZONES: &[(&str, i8)] = &[
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    ("cet", 1),
    ("cest", 2),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// Digits, perhaps with a fraction.
    Number(&'a str),
    /// ASCII letters.
    Word(&'a str),
    Sign(char),
}

/// A text cut into words, with the offset of each in bytes.
pub(super) struct Words<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token<'a>)>,
    now: Timestamp,
    zone: &'a TimeZone,
}

impl<'a> Words<'a> {
    /// Cuts the text, which is in lower case.
    pub(super) fn new(text: &'a str, now: Timestamp, zone: &'a TimeZone) -> Self {
        Self { text, tokens: cut(text), now, zone }
    }

    /// Returns the announced points in time, in the order of the text.
    pub(super) fn moments(&self) -> impl Iterator<Item = Timestamp> {
        (0..self.tokens.len()).filter_map(|at| match self.token(at)? {
            Token::Word(word) if announces(word) => self.announced(at),
            // `usage limit reached|1763856000`
            Token::Sign('|') => self.number(at + 1).and_then(epoch),
            _ => None,
        })
    }

    /// Returns the end of the duration that is the whole text, such as `6m0s`.
    pub(super) fn whole_duration(&self) -> Option<Timestamp> {
        let (time, next) = self.duration(0)?;
        (next == self.tokens.len()).then_some(time)
    }

    fn token(&self, at: usize) -> Option<Token<'a>> {
        self.tokens.get(at).map(|(_, token)| *token)
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        match self.token(at)? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn number(&self, at: usize) -> Option<f64> {
        match self.token(at)? {
            Token::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.token(at) == Some(Token::Sign(sign))
    }

    /// Reads the time that the word at `cue` announces.
    fn announced(&self, cue: usize) -> Option<Timestamp> {
        // What a number without a unit would count, in milliseconds.
        let mut bare = unit_in_name(self.word(cue)?);
        for at in cue + 1..=cue + 1 + MAX_FILLERS {
            if let Some(time) = self.moment(at, bare) {
                return Some(time);
            }
            match self.token(at)? {
                Token::Word(word) if FILLERS.contains(&word) || announces(word) => bare = unit_in_name(word).or(bare),
                Token::Sign(sign) if !matches!(sign, ';' | '!' | '?' | '{' | '}') => {}
                _ => return None,
            }
        }
        None
    }

    /// Reads a time in any of the forms, from the word at `at`.
    fn moment(&self, at: usize, bare: Option<f64>) -> Option<Timestamp> {
        self.iso(at)
            .or_else(|| self.dated(at))
            .or_else(|| self.on_weekday(at))
            .or_else(|| self.time_only(at))
            .or_else(|| Some(self.duration(at)?.0))
            .or_else(|| self.bare_number(at, bare))
    }

    /// `2026-11-22T05:00:00Z`, `2026-11-22 05:00 UTC`, `2026-11-22`.
    fn iso(&self, at: usize) -> Option<Timestamp> {
        let (start, Token::Number(year)) = *self.tokens.get(at)? else { return None };
        if year.len() != 4 || self.text.as_bytes().get(start + 4) != Some(&b'-') {
            return None;
        }
        let run = |from: usize| {
            let in_run = |byte: &u8| byte.is_ascii_digit() || b":.+-tz".contains(byte);
            from + self.text.as_bytes().iter().skip(from).take_while(|byte| in_run(byte)).count()
        };
        let mut end = run(start);
        let mut text = self.text.get(start..end)?.to_owned();
        let rest = self.text.as_bytes().get(end..)?;
        if text.len() == 10 && rest.first() == Some(&b' ') && rest.get(1).is_some_and(u8::is_ascii_digit) {
            let time_end = run(end + 1);
            text = format!("{text}t{}", self.text.get(end + 1..time_end)?);
            end = time_end;
        }
        let text = text.trim_end_matches(['.', '-', ':', '+']);
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time);
        }
        let local: DateTime = text.parse().ok()?;
        let next = self.tokens.iter().position(|(offset, _)| *offset >= end).unwrap_or(self.tokens.len());
        self.zone_at(next)?.to_timestamp(local).ok()
    }

    /// `nov 22, 5:00 am`, `nov 25th, 2026 5:12 pm`, `22 november at 17:00 utc`.
    fn dated(&self, at: usize) -> Option<Timestamp> {
        let (month, day, mut next) = match (self.token(at)?, self.token(at + 1)?) {
            (Token::Word(word), Token::Number(day)) => (month(word)?, day, at + 2),
            (Token::Number(day), Token::Word(word)) => (month(word)?, day, at + 2),
            _ => return None,
        };
        let day: i8 = day.parse().ok()?;
        if self.word(next).is_some_and(|word| matches!(word, "st" | "nd" | "rd" | "th")) {
            next += 1;
        }
        next = self.after_comma(next);
        let mut year = None;
        if let Some(Token::Number(digits)) = self.token(next)
            && digits.len() == 4
        {
            year = Some(digits.parse::<i16>().ok()?);
            next = self.after_comma(next + 1);
        }
        if self.word(next) == Some("at") {
            next += 1;
        }
        let (time, next) = self.clock(next).unwrap_or((Time::midnight(), next));
        let zone = self.zone_at(next)?;
        let in_year = |year: i16| zone.to_timestamp(Date::new(year, month, day).ok()?.to_datetime(time)).ok();
        if let Some(year) = year {
            return in_year(year);
        }
        let this_year = self.now.to_zoned(zone.clone()).year();
        [this_year, this_year + 1].into_iter().filter_map(in_year).find(|time| self.is_ahead(*time))
    }

    /// `monday 9:00 am`, `tomorrow at 3pm`.
    fn on_weekday(&self, at: usize) -> Option<Timestamp> {
        let word = self.word(at)?;
        let weekday = WEEKDAYS.iter().find(|(name, _)| word.starts_with(name)).map(|(_, weekday)| *weekday);
        let mut next = self.after_comma(at + 1);
        if self.word(next) == Some("at") {
            next += 1;
        }
        let (time, next) = self.clock(next)?;
        let zone = self.zone_at(next)?;
        let today = self.now.to_zoned(zone.clone()).date();
        let on = |days: i32| zone.to_timestamp(today.checked_add(days.days()).ok()?.to_datetime(time)).ok();
        match (weekday, word) {
            (Some(weekday), _) => (0..=7)
                .filter(|days| today.checked_add(days.days()).is_ok_and(|date| date.weekday() == weekday))
                .filter_map(on)
                .find(|time| self.is_ahead(*time)),
            (None, "today") => on(0),
            (None, "tomorrow") => on(1),
            (None, _) => None,
        }
    }

    /// `3pm (europe/zurich)`, `12:11 pm`: the next such time.
    fn time_only(&self, at: usize) -> Option<Timestamp> {
        let (time, next) = self.clock(at)?;
        let zone = self.zone_at(next)?;
        let today = self.now.to_zoned(zone.clone()).date();
        let on = |days: i32| zone.to_timestamp(today.checked_add(days.days()).ok()?.to_datetime(time)).ok();
        (0..=1).filter_map(on).find(|time| self.is_ahead(*time))
    }

    /// Reads a time of day: with minutes, or with the half of the day, or both. Returns what follows it.
    fn clock(&self, at: usize) -> Option<(Time, usize)> {
        match self.word(at) {
            Some("noon") => return Some((Time::constant(12, 0, 0, 0), at + 1)),
            Some("midnight") => return Some((Time::midnight(), at + 1)),
            _ => {}
        }
        let part = |at: usize| match self.token(at)? {
            Token::Number(digits) if digits.len() <= 2 => digits.parse::<i8>().ok(),
            _ => None,
        };
        let (hour, mut minute, mut second, mut next) = (part(at)?, None, 0, at + 1);
        if self.is_sign(next, ':') {
            minute = Some(part(next + 1)?);
            next += 2;
            if self.is_sign(next, ':')
                && let Some(value) = part(next + 1)
            {
                second = value;
                next += 2;
            }
        }
        let hour = match self.half(next) {
            Some((afternoon, after)) if (1..=12).contains(&hour) => {
                next = after;
                hour % 12 + if afternoon { 12 } else { 0 }
            }
            None if minute.is_some() => hour,
            _ => return None,
        };
        Some((Time::new(hour, minute.unwrap_or(0), second, 0).ok()?, next))
    }

    /// Reads `am`, `pm`, `a.m.` or `p.m.`: whether it is after noon, and what follows.
    fn half(&self, at: usize) -> Option<(bool, usize)> {
        match self.word(at)? {
            "am" => Some((false, at + 1)),
            "pm" => Some((true, at + 1)),
            letter @ ("a" | "p") if self.is_sign(at + 1, '.') && self.word(at + 2) == Some("m") => {
                Some((letter == "p", at + 3 + usize::from(self.is_sign(at + 3, '.'))))
            }
            _ => None,
        }
    }

    /// Returns the zone that is named at `at`, or the local one when none is; none for a name that is not known.
    fn zone_at(&self, at: usize) -> Option<TimeZone> {
        let open = self.is_sign(at, '(');
        let at = at + usize::from(open);
        let Some((start, Token::Word(word))) = self.tokens.get(at).copied() else { return Some(self.zone.clone()) };
        if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == word) {
            return Some(TimeZone::fixed(Offset::constant(*hours)));
        }
        let rest = self.text.get(start..)?;
        let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "/_+-".contains(c))).next()?;
        if name.contains('/') || open {
            // Names are found in any case.
            return TimeZone::get(name).ok();
        }
        Some(self.zone.clone())
    }

    /// `5 hours`, `2 days 3 hours`, `6m0s`, `1h 30m`, `an hour`: the end of it, and what follows.
    fn duration(&self, at: usize) -> Option<(Timestamp, usize)> {
        let (mut total, mut next, mut found) = (0.0, at, false);
        loop {
            let joined = found && (self.is_sign(next, ',') || self.word(next) == Some("and"));
            let from = next + usize::from(joined);
            let count = match self.token(from) {
                Some(Token::Number(_)) => self.number(from),
                Some(Token::Word("a" | "an" | "one")) => Some(1.0),
                _ => None,
            };
            let Some((count, unit)) = count.zip(self.word(from + 1).and_then(unit)) else { break };
            (total, next, found) = (total + count * unit, from + 2, true);
        }
        found.then_some((ahead(self.now, total)?, next))
    }

    /// A number by itself: a point of the epoch, or a count of what the words before it name.
    fn bare_number(&self, at: usize, bare: Option<f64>) -> Option<Timestamp> {
        let number = self.number(at)?;
        // A count of something else.
        if self.word(at + 1).is_some() {
            return None;
        }
        epoch(number).or_else(|| ahead(self.now, number * bare?))
    }

    fn after_comma(&self, at: usize) -> usize {
        at + usize::from(self.is_sign(at, ','))
    }

    fn is_ahead(&self, time: Timestamp) -> bool {
        time.duration_since(self.now) >= -JUST_PASSED
    }
}

/// Tells whether a word announces when a limit lifts; names of fields do, too.
fn announces(word: &str) -> bool {
    word.starts_with("reset")
        || word.starts_with("retry")
        || matches!(word, "again" | "wait" | "until" | "available" | "lifts" | "renews")
}

/// Returns what a number after this word counts, in milliseconds, when the word says so.
fn unit_in_name(word: &str) -> Option<f64> {
    match word {
        "ms" => Some(1.0),
        "after" | "retryafter" | "retrydelay" | "sec" | "secs" | "seconds" => Some(1000.0),
        _ => None,
    }
}

/// Returns the unit in milliseconds.
fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
        "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600e3,
        "d" | "day" | "days" => 24.0 * 3600e3,
        "w" | "week" | "weeks" => 7.0 * 24.0 * 3600e3,
        _ => return None,
    })
}

/// Returns the number of the month whose name or abbreviation this is.
fn month(word: &str) -> Option<i8> {
    let long = word.len() == 3 || word == "sept" || LONG_MONTHS.contains(&word);
    let index = MONTHS.iter().position(|name| word.starts_with(name)).filter(|_| long)?;
    i8::try_from(index + 1).ok()
}

const LONG_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Cuts a text into numbers, words and signs; spaces are left out.
fn cut(text: &str) -> Vec<(usize, Token<'_>)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let run = |from: usize, test: fn(&u8) -> bool| from + bytes.iter().skip(from).take_while(|byte| test(byte)).count();
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let start = at;
        if first.is_ascii_digit() {
            at = run(start, u8::is_ascii_digit);
            if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                at = run(at + 1, u8::is_ascii_digit);
            }
            tokens.push((start, Token::Number(&text[start..at])));
        } else if first.is_ascii_alphabetic() {
            at = run(start, u8::is_ascii_alphabetic);
            tokens.push((start, Token::Word(&text[start..at])));
        } else {
            at += first.len_utf8();
            if !first.is_whitespace() {
                tokens.push((start, Token::Sign(first)));
            }
        }
    }
    tokens
}
