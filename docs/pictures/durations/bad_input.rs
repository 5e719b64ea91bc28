#[test]
fn bad_durations_are_none() {
    for bad in ["", "m", "5", "5µ", "-1s", "x5m", "99999999999999999999h"] {
        assert_eq!(durations::seconds(bad), None, "{bad}");
    }
    assert_eq!(durations::seconds("2h"), Some(7200));
}
