//! Every row of the table on top of `chain`, and what the words and times are made of.

use super::*;
use crate::domain::settings::IMPLEMENTER;

const NOW: i64 = 1_000_000_000;
const RETRY: Retry = Retry { cycles: 3, delay_ms: 10_000, multiplier: 2, max_ms: 15_000 };

fn link(text: &str) -> Link {
    let (agent, model) = text.split_once('/').map_or((text, None), |(agent, model)| (agent, Some(model.to_owned())));
    Link { agent: agent.to_owned(), model }
}

fn turn(outcome: Outcome) -> Turn {
    Turn {
        link: link("a/m"),
        outcome: Some(outcome),
        until_ms: None,
        scope: Scope::Agent,
        detail: String::new(),
        seed: 0,
    }
}

fn failed_before(tries: u32) -> Chain {
    let mut chain = Chain::default();
    for reach in [Reach::machine(), Reach::agent(&link("a/m")), Reach::link(&link("a/m"))] {
        chain.tries.insert(reach, tries);
    }
    chain
}

/// Says what a step does in one line; times are seconds from now.
fn told(step: Step) -> String {
    match step {
        Step::Nothing => "nothing".to_owned(),
        Step::Leaves(reach) => format!("{reach} leaves"),
        Step::Frees(reaches) => {
            let reaches: Vec<String> = reaches.iter().map(ToString::to_string).collect();
            format!("frees {}", reaches.join(", "))
        }
        Step::Cools(cooled) => {
            let words =
                cooled.iter().map(|(reach, until, tries)| format!("{reach} {} s, {tries}", (until - NOW) / 1000));
            words.collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn every_row_of_the_table() {
    use Outcome::*;
    let first = Chain::default();
    let rows = [
        (turn(RateLimited), "a 10 s, 1"),
        (Turn { until_ms: Some(NOW + 18_000_000), ..turn(RateLimited) }, "a 18000 s, 0"),
        (Turn { until_ms: Some(NOW + 60_000), scope: Scope::Model, ..turn(RateLimited) }, "a (m) 60 s, 0"),
        // An agent with nothing but its default model has no other way out.
        (Turn { link: link("a"), scope: Scope::Model, ..turn(RateLimited) }, "a 10 s, 1"),
        // A time that is over already, and one that nobody can have meant.
        (Turn { until_ms: Some(NOW), ..turn(RateLimited) }, "a 10 s, 1"),
        (Turn { until_ms: Some(i64::MAX), ..turn(RateLimited) }, "a 2764800 s, 0"),
        (turn(Overloaded), "a 10 s, 1"),
        (Turn { scope: Scope::Model, ..turn(Overloaded) }, "a (m) 10 s, 1"),
        (turn(Network), "the network 10 s, 1; a 20 s, 1"),
        (turn(Auth), "a leaves"),
        (turn(MissingBinary), "a leaves"),
        (turn(ModelUnavailable), "a (m) leaves"),
        (Turn { link: link("a"), ..turn(ModelUnavailable) }, "a leaves"),
        (turn(Verified), "nothing"),
        (turn(Crashed), "nothing"),
        (Turn { outcome: None, ..turn(Verified) }, "nothing"),
    ];
    for (number, (turn, expected)) in rows.into_iter().enumerate() {
        assert_eq!(told(step(&first, &RETRY, &turn, NOW)), expected, "row {number}");
    }
}

#[test]
fn failures_in_a_row_wait_longer_and_then_leave() {
    use Outcome::*;
    let rows = [
        (1, turn(Overloaded), "a 15 s, 2"),
        (1, turn(RateLimited), "a 20 s, 2"),
        (2, turn(Overloaded), "a leaves"),
        (2, turn(RateLimited), "a leaves"),
        (2, Turn { scope: Scope::Model, ..turn(Overloaded) }, "a (m) leaves"),
        // A time that is told is believed, however often it failed before.
        (2, Turn { until_ms: Some(NOW + 60_000), ..turn(RateLimited) }, "a 60 s, 0"),
        // The network comes back some day.
        (40, turn(Network), "the network 15 s, 41; a 30 s, 41"),
        (2, turn(Verified), "frees the network, a, a (m)"),
        (2, turn(TimedOut), "frees the network, a, a (m)"),
        (2, Turn { outcome: None, ..turn(Verified) }, "nothing"),
        (2, Turn { link: link("b"), ..turn(Verified) }, "frees the network"),
    ];
    for (number, (tries, turn, expected)) in rows.into_iter().enumerate() {
        assert_eq!(told(step(&failed_before(tries), &RETRY, &turn, NOW)), expected, "row {number}");
    }
}

#[test]
fn the_end_of_an_attempt_is_read_as_its_agent_told_it() {
    let read = |end: &AttemptEnd, started: bool| Turn::of_attempt(link("a"), end, started, 0).outcome;
    let limited = Ending { until_ms: Some(9), ..Ending::failed(Outcome::RateLimited, "limited") };
    let with = |outcome, ending| AttemptEnd { ending: Some(ending), ..AttemptEnd::new(outcome, "it ended") };
    // The claim counts for the task, and the limit for the chain.
    let claimed = with(Outcome::Verified, limited.clone());
    assert_eq!(read(&claimed, true), Some(Outcome::RateLimited));
    assert_eq!(Turn::of_attempt(link("a"), &claimed, true, 0).until_ms, Some(9));
    let leaked = AttemptEnd { otherwise: Some(Outcome::RateLimited), ..with(Outcome::Leaked, limited) };
    assert_eq!(read(&leaked, true), Some(Outcome::RateLimited));
    assert_eq!(read(&AttemptEnd::new(Outcome::Auth, "no"), true), Some(Outcome::Auth));
    assert_eq!(read(&AttemptEnd::new(Outcome::MissingBinary, "no"), false), Some(Outcome::MissingBinary));
    for outcome in [Outcome::AttemptLost, Outcome::Cancelled, Outcome::BudgetExceeded] {
        assert_eq!(read(&AttemptEnd::new(outcome, "it ended"), true), None, "{outcome:?}");
    }
    // A check that is red before anything changed says nothing of an agent that was not started.
    assert_eq!(read(&AttemptEnd::new(Outcome::NeedsDecision, "red"), false), None);
    assert_eq!(read(&AttemptEnd::new(Outcome::NeedsDecision, "which?"), true), Some(Outcome::NeedsDecision));
}

#[test]
fn backoff_is_bounded_and_spread() {
    let retry = Retry { cycles: 20, delay_ms: 1_000, multiplier: 2, max_ms: 60_000 };
    for tries in [1, 2, 5, 6, 7, 63, 64, 1_000, u32::MAX] {
        let whole = if tries < 7 { 1_000 << (tries - 1) } else { 60_000 };
        let waits: Vec<i64> = (0..2_048).map(|seed| backoff(&retry, tries, retry.max_ms, seed)).collect();
        assert_eq!(waits.iter().max(), Some(&whole));
        assert!(waits.iter().all(|wait| *wait >= whole - whole / 4), "{tries}");
        assert!(waits.iter().collect::<BTreeSet<_>>().len() > 200, "{tries}: all at once is what jitter is against");
    }
    let broken = Retry { cycles: 0, delay_ms: -5, multiplier: 0, max_ms: 0 };
    assert_eq!(backoff(&broken, 0, 0, 7), 1, "no setting makes a wait that is none");
    let longest = Retry { delay_ms: i64::MAX, max_ms: i64::MAX, ..retry };
    assert!(backoff(&longest, 9, i64::MAX, 1_023) > 0);
}

#[test]
fn the_first_free_link_with_the_fewest_strikes_is_picked() {
    let links = ["a/m", "a/n", "b"].map(link);
    let cooled = |reaches: &[(&str, i64)]| {
        let mut chain = Chain::default();
        for (reach, until_ms) in reaches {
            let reach = match *reach {
                "*" => Reach::machine(),
                text => Reach::link(&link(text)),
            };
            let cooldown =
                Cooldown { until_ms: *until_ms, since_ms: 0, why: Outcome::RateLimited, detail: String::new() };
            chain.cooled.insert(reach, cooldown);
        }
        chain
    };
    let words = |reaches: &[(&str, i64)], gone: &[&str], strikes: [usize; 3]| {
        let left =
            gone.iter().map(|text| (Reach::link(&link(text)), Left { why: Outcome::Auth, detail: String::new() }));
        let of = |link: &Link| strikes[links.iter().position(|other| other == link).expect("it is known")];
        match pick(&cooled(reaches), &left.collect(), &links, of, 100) {
            Pick::Free(link) => link.to_string(),
            Pick::Wait(wait) => format!("{} until {}", wait.reach, wait.cooldown.until_ms),
            Pick::Exhausted => "exhausted".to_owned(),
        }
    };
    assert_eq!(words(&[], &[], [0; 3]), "a (m)");
    assert_eq!(words(&[("a/m", 200)], &[], [0; 3]), "a (n)");
    assert_eq!(words(&[("a", 200)], &[], [0; 3]), "b");
    assert_eq!(words(&[("a", 100)], &[], [0; 3]), "a (m)", "its time has come");
    assert_eq!(words(&[("a", 300), ("b", 200)], &[], [0; 3]), "b until 200");
    assert_eq!(
        words(&[("a", 300), ("a/m", 400), ("b", 350)], &[], [0; 3]),
        "a until 300",
        "its other model is free then"
    );
    assert_eq!(words(&[("*", 500), ("b", 200)], &[], [0; 3]), "the network until 500");
    assert_eq!(words(&[("a", 300)], &["b"], [0; 3]), "a until 300");
    assert_eq!(words(&[], &["a", "b"], [0; 3]), "exhausted");
    assert_eq!(words(&[], &["a/m"], [0; 3]), "a (n)");
    // Two strikes, then the next; two of each, then the first again.
    assert_eq!(words(&[], &[], [1, 0, 0]), "a (m)");
    assert_eq!(words(&[], &[], [2, 0, 0]), "a (n)");
    assert_eq!(words(&[], &[], [2, 2, 1]), "b");
    assert_eq!(words(&[], &[], [2, 2, 2]), "a (m)");
    assert_eq!(words(&[("a/n", 200), ("b", 200)], &[], [5, 0, 0]), "a (m)", "one that is free is taken all the same");
}

#[test]
fn with_another_set_only_cooldowns_of_links_that_are_still_there_stay() {
    let facts = |models: &[&str], identity: &str| AgentFacts {
        models: models.iter().map(ToString::to_string).collect(),
        identity: identity.to_owned(),
    };
    let settings = |agents: Vec<(&str, AgentFacts)>| RunSettings {
        chain: agents.iter().map(|(name, _)| (*name).to_owned()).collect(),
        agents: agents.into_iter().map(|(name, facts)| (name.to_owned(), facts)).collect(),
        ..RunSettings::default()
    };
    let first = settings(vec![("a", facts(&["m", "n"], "1")), ("b", facts(&[], "2")), ("c", facts(&[], "3"))]);
    let mut chain = Chain::default();
    chain.adopt(&first);
    for text in ["a", "a/m", "a/n", "b", "c"] {
        let cooldown = Cooldown { until_ms: 1, since_ms: 0, why: Outcome::RateLimited, detail: String::new() };
        chain.cooled.insert(Reach::link(&link(text)), cooldown);
        chain.tries.insert(Reach::link(&link(text)), 1);
    }
    let before = chain.clone();
    let mut moved = first.clone();
    moved.chain.reverse();
    chain.adopt(&moved);
    assert_eq!(chain, before, "the order is not the set");
    // Model n is gone, b is another account now, c is gone, d is new.
    chain.adopt(&settings(vec![("d", facts(&[], "4")), ("a", facts(&["m"], "1")), ("b", facts(&[], "other"))]));
    let kept: Vec<String> = chain.cooled.keys().map(ToString::to_string).collect();
    assert_eq!(kept, ["a", "a (m)"]);
    assert_eq!(chain.tries.len(), 2);
    assert_eq!(first.links(IMPLEMENTER).len(), 4);
}

#[test]
fn times_are_local_and_name_another_day() {
    // 2026-01-01 00:00 UTC, a Thursday.
    let midnight = 1_767_225_600_000;
    let hour = 3_600_000;
    let rows = [
        (midnight + 15 * hour + 240_000, midnight, 0, "15:04"),
        (midnight + 15 * hour, midnight, 3_600, "16:00"),
        (midnight + 24 * hour, midnight, 0, "Fri 00:00"),
        (midnight + 23 * hour, midnight, 7_200, "Fri 01:00"),
        (midnight + 4 * hour, midnight + 3 * hour, -18_000, "23:00"),
        (midnight + 6 * hour, midnight, -18_000, "Thu 01:00"),
        (midnight + 6 * 24 * hour, midnight, 0, "Wed 00:00"),
        (-hour, -hour, 0, "23:00"),
    ];
    for (at, from, offset, expected) in rows {
        assert_eq!(clock(at, from, offset), expected);
    }
    let rows = [
        (-5, "0 s"),
        (1, "1 s"),
        (45_000, "45 s"),
        (119_001, "2 min"),
        (120_001, "3 min"),
        (3_599_000, "60 min"),
        (3_600_000, "1 h 0 min"),
        (17_999_000, "5 h 0 min"),
    ];
    for (left, expected) in rows {
        assert_eq!(countdown(left), expected);
    }
}
