//! When a limit lifts, read from response headers and from the words of agents.
//!
//! A wrong time costs more than none: what is not understood gives none, and so does a time further ahead than any
//! limit lasts. Named time zones are looked up in the system's database, which is the only thing read besides the
//! arguments.

mod words;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use words::Words;

/// The longest limits known are weekly; a time further ahead was misread.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(8 * 24);
/// A time that passed this recently counts as now: agents print whole minutes, and clocks differ.
const JUST_PASSED: SignedDuration = SignedDuration::from_mins(2);

/// Returns when the limit lifts according to response headers; names may be in any case.
///
/// A subscription's own reset counts first when it refused the request, then `retry-after-ms` and `retry-after` (seconds
/// or an HTTP date), then the limits of which nothing remains, then the latest of all resets. Sources: the public
/// documentation of the Anthropic and OpenAI interfaces, RFC 9110 section 10.2.3.
pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, now: Timestamp) -> Option<Timestamp> {
    let headers: Vec<(String, &str)> =
        headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
    let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    if value("anthropic-ratelimit-unified-status") == Some("rejected")
        && let Some(time) = value("anthropic-ratelimit-unified-reset").and_then(|value| header_moment(value, now))
    {
        return Some(time);
    }
    let milliseconds = |value: &str| ahead(now, value.parse::<f64>().ok()?);
    if let Some(time) = value("retry-after-ms").and_then(milliseconds).and_then(|time| in_range(time, now)) {
        return Some(time);
    }
    if let Some(time) = value("retry-after").and_then(|value| header_moment(value, now)) {
        return Some(time);
    }
    let resets: Vec<(Timestamp, bool)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let remaining = remaining_name(name)?;
            let spent = headers.iter().any(|(name, value)| *name == remaining && is_zero(value));
            Some((header_moment(value, now)?, spent))
        })
        .collect();
    let latest =
        |spent_only: bool| resets.iter().filter(|(_, spent)| *spent || !spent_only).map(|(time, _)| *time).max();
    latest(true).or_else(|| latest(false))
}

/// Returns when the limit lifts according to a message, such as `try again at 12:11 PM`, `resets 3pm (Europe/Zurich)`,
/// `in 2 days 3 hours`, `reset_at: 2026-11-22T05:00:00Z` or `usage limit reached|1763856000`.
///
/// Times without a zone are in `zone`; a time without a date is the next such time.
pub fn from_text(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let lower = text.to_ascii_lowercase();
    Words::new(&lower, now, zone).moments().find_map(|time| in_range(time, now))
}

/// Returns the time if it is neither past nor too far ahead; what has just passed becomes now.
fn in_range(time: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let distance = time.duration_since(now);
    (distance >= -JUST_PASSED && distance <= MAX_AHEAD).then_some(time.max(now))
}

/// Returns the time so many milliseconds from now, rounded up.
fn ahead(now: Timestamp, milliseconds: f64) -> Option<Timestamp> {
    if !milliseconds.is_finite() || milliseconds < 0.0 {
        return None;
    }
    // Far more than is in range anyway, and far less than would overflow.
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the same expression")]
    let whole = milliseconds.min(1e13).ceil() as i64;
    now.checked_add(SignedDuration::from_millis(whole)).ok()
}

/// Reads a number that stands for a point in time: seconds or milliseconds since the epoch, by its size.
fn epoch(number: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the ranges")]
    match number {
        1e9..1e11 => Timestamp::from_millisecond((number * 1000.0).ceil() as i64).ok(),
        1e12..1e14 => Timestamp::from_millisecond(number.ceil() as i64).ok(),
        _ => None,
    }
}

/// Reads the value of a header: seconds, a duration such as `6m0s`, an instant, an HTTP date, or seconds of the epoch.
fn header_moment(value: &str, now: Timestamp) -> Option<Timestamp> {
    let time = if let Ok(number) = value.parse::<f64>() {
        epoch(number).or_else(|| ahead(now, number * 1000.0))
    } else if let Ok(time) = value.parse::<Timestamp>() {
        Some(time)
    } else if let Ok(date) = jiff::fmt::rfc2822::parse(value) {
        Some(date.timestamp())
    } else {
        let lower = value.to_ascii_lowercase();
        Words::new(&lower, now, &TimeZone::UTC).whole_duration()
    };
    in_range(time?, now)
}

/// Returns the header that tells what remains of the limit whose reset the given header tells; none for others.
fn remaining_name(name: &str) -> Option<String> {
    if let Some(limit) = name.strip_prefix("anthropic-ratelimit-") {
        return limit.strip_suffix("-reset").map(|limit| format!("anthropic-ratelimit-{limit}-remaining"));
    }
    for prefix in ["x-ratelimit-", "ratelimit-"] {
        if let Some(limit) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("reset")) {
            return Some(format!("{prefix}remaining{limit}"));
        }
    }
    None
}

fn is_zero(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(|number| number <= 0.0)
}

#[cfg(test)]
mod tests;
