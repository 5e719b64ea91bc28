//! Texts of others inside texts of ours.

/// Returns a fence of backticks longer than any run of them in the text, so that the text cannot end it.
pub fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_cannot_be_closed_by_what_it_holds() {
        for text in ["", "a ``` b", "`````\n```", "no ticks"] {
            let fence = fence_for(text);
            assert!(fence.len() >= 3 && !text.contains(&fence), "{text:?}");
        }
    }
}
