use super::*;
use proptest::prelude::*;

/// 15:00 in Zurich on a Saturday.
const NOW: &str = "2026-11-21T14:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("an instant")
}

fn zurich() -> TimeZone {
    TimeZone::get("Europe/Zurich").expect("the system knows zones")
}

fn text(text: &str) -> Option<String> {
    from_text(text, now(), &zurich()).map(|time| time.to_string())
}

#[test]
fn times_in_words() {
    let table = [
        // Claude.
        ("Claude AI usage limit reached|1795274000", "2026-11-21T15:13:20Z"),
        ("You've hit your limit · resets 3pm (America/New_York)", "2026-11-21T20:00:00Z"),
        ("You've hit your session limit · resets 6:30pm (Europe/Zurich)", "2026-11-21T17:30:00Z"),
        ("You've hit your weekly limit · resets Nov 24, 5am (UTC)", "2026-11-24T05:00:00Z"),
        ("Your limit will reset at 2pm.", "2026-11-22T13:00:00Z"),
        ("limit resets Mon 9:00 AM", "2026-11-23T08:00:00Z"),
        // Codex.
        ("You've hit your usage limit. Upgrade or try again at 4:11 PM.", "2026-11-21T15:11:00Z"),
        ("You've hit your usage limit. Try again at 12:11 PM.", "2026-11-22T11:11:00Z"),
        ("You've hit your usage limit. Please try again at Nov 25th, 2026 5:12 PM.", "2026-11-25T16:12:00Z"),
        ("Try again in 2 days 3 hours 10 minutes.", "2026-11-23T17:10:00Z"),
        (r#"{"type":"usage_limit_reached","resets_in_seconds":18000}"#, "2026-11-21T19:00:00Z"),
        (r#"{"type":"usage_limit_reached","resets_at":1795274000}"#, "2026-11-21T15:13:20Z"),
        // OpenAI, Gemini and others.
        (
            "Rate limit reached for x on tokens: Limit 30000, Used 29000. Please try again in 6m0s.",
            "2026-11-21T14:06:00Z",
        ),
        ("Please try again in 1.5s. Visit the docs.", "2026-11-21T14:00:01.5Z"),
        ("Please retry in 34.074824224s.", "2026-11-21T14:00:34.075Z"),
        (r#""retryDelay": "34s""#, "2026-11-21T14:00:34Z"),
        ("Your quota will reset after 18h31m10s.", "2026-11-22T08:31:10Z"),
        ("retry after 30", "2026-11-21T14:00:30Z"),
        ("retry-after: 30 seconds", "2026-11-21T14:00:30Z"),
        ("retry_after_ms=1500", "2026-11-21T14:00:01.5Z"),
        ("try again in 250ms", "2026-11-21T14:00:00.25Z"),
        // Forms of dates and times.
        ("resets at Nov 22, 5:00 AM", "2026-11-22T04:00:00Z"),
        ("resets on 22 November at 17:00 UTC", "2026-11-22T17:00:00Z"),
        ("resets at 2026-11-22T05:00:00Z.", "2026-11-22T05:00:00Z"),
        ("resets at 2026-11-22T05:00:00+01:00", "2026-11-22T04:00:00Z"),
        ("reset_at: \"2026-11-22 05:00:00\"", "2026-11-22T04:00:00Z"),
        ("available again 2026-11-22 05:00 UTC", "2026-11-22T05:00:00Z"),
        ("wait until 2026-11-22", "2026-11-21T23:00:00Z"),
        ("resets in 5 hours", "2026-11-21T19:00:00Z"),
        ("resets in an hour and 5 minutes", "2026-11-21T15:05:00Z"),
        ("try again tomorrow at 9 a.m.", "2026-11-22T08:00:00Z"),
        ("resets at midnight UTC", "2026-11-22T00:00:00Z"),
        ("resets 16:30", "2026-11-21T15:30:00Z"),
        ("resets 4pm CET", "2026-11-21T15:00:00Z"),
        // Just passed: the minute it names is still on, or the clocks differ.
        ("try again at 3:00 PM", NOW),
        ("try again at 2:59 PM", NOW),
        ("try again in 0s", NOW),
        // The first that can be understood counts.
        ("Please try again later. Your limit resets in 20s.", "2026-11-21T14:00:20Z"),
    ];
    for (said, lifts) in table {
        assert_eq!(text(said).as_deref(), Some(lifts), "{said}");
    }
}

#[test]
fn words_without_a_time_give_none() {
    let table = [
        "",
        "Please try again later.",
        "exceeded retry limit, last status: 429 Too Many Requests",
        "API Error: Request rejected (429) · retry attempt 3 of 10",
        "try again 3 times",
        "Limit 30000, Used 29000, Requested 2000.",
        "try again in a few minutes",
        "resets at 5",
        "resets at 25:00",
        "resets 13pm",
        "resets 3pm (Nowhere/Land)",
        "resets Feb 30, 5am",
        // Long past, and too far ahead.
        "usage limit reached|1763856000",
        "resets 2026-11-20T05:00:00Z",
        "resets in 9 days",
        "resets Dec 24, 5am",
        "try again in 99999999999999999999999 days",
        "available since version 5",
        "5 hours of work",
    ];
    for said in table {
        assert_eq!(text(said), None, "{said}");
    }
}

#[test]
fn a_date_without_a_year_may_be_in_the_next() {
    let new_years_eve: Timestamp = "2026-12-31T20:00:00Z".parse().expect("an instant");
    let lifts = from_text("resets Jan 2, 5am (UTC)", new_years_eve, &zurich()).expect("understood");
    assert_eq!(lifts.to_string(), "2027-01-02T05:00:00Z");
}

#[test]
fn a_time_that_the_clocks_skip_is_the_one_after() {
    let before: Timestamp = "2026-03-28T20:00:00Z".parse().expect("an instant");
    let lifts = from_text("resets 2:30am", before, &zurich()).expect("understood");
    assert_eq!(lifts.to_string(), "2026-03-29T01:30:00Z");
}

/// Headers, and when the limit lifts by them.
type Row = (&'static [(&'static str, &'static str)], Option<&'static str>);

#[test]
fn times_in_headers() {
    let table: &[Row] = &[
        (&[("Retry-After", "3600")], Some("2026-11-21T15:00:00Z")),
        (&[("retry-after", "Sat, 21 Nov 2026 15:00:00 GMT")], Some("2026-11-21T15:00:00Z")),
        (&[("retry-after-ms", "250"), ("retry-after", "1")], Some("2026-11-21T14:00:00.25Z")),
        (&[("anthropic-ratelimit-tokens-reset", "2026-11-21T14:01:00Z")], Some("2026-11-21T14:01:00Z")),
        (
            &[
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("anthropic-ratelimit-unified-reset", "1795274000"),
                ("retry-after", "5"),
            ],
            Some("2026-11-21T15:13:20Z"),
        ),
        (
            &[("anthropic-ratelimit-unified-status", "allowed"), ("anthropic-ratelimit-unified-reset", "1795274000")],
            Some("2026-11-21T15:13:20Z"),
        ),
        // The one that is used up counts, not the one that takes longest.
        (
            &[
                ("x-ratelimit-reset-requests", "6m0s"),
                ("x-ratelimit-remaining-requests", "9"),
                ("x-ratelimit-reset-tokens", "20.5s"),
                ("x-ratelimit-remaining-tokens", "0"),
            ],
            Some("2026-11-21T14:00:20.5Z"),
        ),
        (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")], Some("2026-11-21T14:06:00Z")),
        (&[("x-ratelimit-reset", "1795274000000")], Some("2026-11-21T15:13:20Z")),
        (&[("ratelimit-reset", "50")], Some("2026-11-21T14:00:50Z")),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "nan")], None),
        (&[("retry-after", "864000")], None),
        (&[("content-type", "text/html")], None),
        (&[], None),
    ];
    for (headers, lifts) in table {
        let found = from_headers(headers.iter().copied(), now()).map(|time| time.to_string());
        assert_eq!(found.as_deref(), *lifts, "{headers:?}");
    }
}

fn check_range(found: Option<Timestamp>, now: Timestamp) -> Result<(), TestCaseError> {
    if let Some(time) = found {
        prop_assert!(time >= now, "{time} is before {now}");
        prop_assert!(time.duration_since(now) <= MAX_AHEAD, "{time} is too far after {now}");
    }
    Ok(())
}

/// Pieces of which messages are made, so that the parser is led into all its corners.
fn message() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "resets",
            "try again",
            "retry",
            "after",
            "at",
            "in",
            "until",
            "|",
            ":",
            ",",
            "(",
            ")",
            "-",
            "am",
            "pm",
            "a.m.",
            "nov",
            "february",
            "monday",
            "tomorrow",
            "utc",
            "(Europe/Zurich)",
            "hours",
            "days",
            "m",
            "s",
            "ms",
            "and",
            "2026-11-22",
            "T05:00:00Z",
            "12:11",
            "1763856000",
            "noon",
            "·",
        ])
        .prop_map(str::to_owned),
        "[0-9]{1,12}",
        "\\PC{0,3}",
    ];
    prop::collection::vec((piece, prop::sample::select(vec!["", " "])), 0..14)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, space)| piece + space).collect())
}

proptest! {
    #[test]
    fn no_text_gives_the_past_or_the_far_future(said in message(), seconds in 0_i64..4_000_000_000) {
        let now = Timestamp::from_second(seconds).expect("in range");
        check_range(from_text(&said, now, &zurich()), now)?;
    }

    #[test]
    fn no_header_gives_the_past_or_the_far_future(value in "\\PC{0,30}|[0-9.hms]{0,12}|-?[0-9e.]{1,20}") {
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "anthropic-ratelimit-unified-reset"] {
            check_range(from_headers([(name, value.as_str())], now()), now())?;
        }
    }

    #[test]
    fn every_number_of_hours_in_range_is_understood(hours in 0_i64..=192) {
        let lifts = from_text(&format!("limit resets in {hours} hours"), now(), &zurich());
        prop_assert_eq!(lifts, Some(now() + SignedDuration::from_hours(hours)));
    }
}
