//! Durations as people write them: `90s`, `5m`, `2h`.

/// Returns a duration in seconds.
pub fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "s" => Some(number),
        "m" => Some(number * 60),
        "h" => Some(number * 3600),
        _ => None,
    }
}
