use super::*;
use crate::infra::agents::built_in::chat::ToolCall;
use proptest::prelude::*;
use serde_json::{Map, json};

fn step(talk: &mut Conversation, number: usize, argument: &str, outputs: &[String]) {
    let call = |index: usize| ToolCall {
        id: format!("call_{number}_{index}"),
        name: "read".into(),
        arguments: Arguments::from_value(Some(json!({"path": argument}))),
        echo: Map::new(),
    };
    let calls = (0..outputs.len()).map(call).collect();
    talk.push(Message::Assistant(Spoken { calls, ..Spoken::default() }));
    for (index, text) in outputs.iter().enumerate() {
        let call = format!("call_{number}_{index}");
        talk.push(Message::Tool { call, name: "read".into(), text: text.clone() });
    }
}

fn talk(steps: &[(String, Vec<String>)]) -> Conversation {
    let mut talk = Conversation::new("the rules".into(), "the task".into());
    for (number, (argument, outputs)) in steps.iter().enumerate() {
        step(&mut talk, number, argument, outputs);
    }
    talk
}

fn texts(talk: &Conversation) -> Vec<&str> {
    let text = |message| match message {
        &Message::System { ref text }
        | &Message::User { ref text }
        | &Message::Heard { ref text }
        | &Message::Tool { ref text, .. } => text.as_str(),
        Message::Assistant(_) => "calls",
    };
    talk.messages().iter().map(text).collect()
}

fn gauge() -> Gauge {
    Gauge::new(&[])
}

#[test]
fn the_oldest_output_goes_first() {
    let long = "x".repeat(3_500);
    let mut talk =
        talk(&[("a".into(), vec![long.clone()]), ("b".into(), vec!["short".into()]), ("c".into(), vec![long.clone()])]);
    let all = gauge().estimate(talk.messages());
    assert_eq!(talk.fit(&gauge(), all), Ok(0));
    assert_eq!(talk.fit(&gauge(), all - 100), Ok(1));
    let dropped = "(The output of this call of `read` was dropped to save room: 3500 bytes.)";
    assert_eq!(texts(&talk), ["the rules", "the task", "calls", dropped, "calls", "short", "calls", &long]);
}

#[test]
fn then_arguments_then_steps_then_the_last_output() {
    let long = "x".repeat(3_500);
    let steps = [(long.clone(), vec!["a".into()]), (long.clone(), vec!["b".into()]), ("c".into(), vec![long.clone()])];
    let mut first = talk(&steps);
    first.fit(&gauge(), 2_500).expect("fits");
    assert_eq!(first.messages().len(), 8);
    let Message::Assistant(spoken) = &first.messages()[2] else { panic!("an answer") };
    let Arguments::Read(map) = &spoken.calls[0].arguments else { panic!("arguments") };
    assert_eq!(map["path"], "(3502 bytes, dropped to save room)");

    let mut second = talk(&steps);
    second.fit(&gauge(), 1_100).expect("fits");
    let note = "(To save room, your first 2 steps of this task are left out here.)";
    assert_eq!(texts(&second), ["the rules", "the task", note, "calls", &long]);

    let mut third = talk(&steps);
    third.fit(&gauge(), 200).expect("fits");
    assert!(texts(&third)[4].starts_with("(This output has 3500 bytes"), "{third:?}");

    let mut fourth = talk(&steps);
    let error = fourth.fit(&gauge(), 20).expect_err("the task alone is larger");
    assert!(error.needed > 20 && error.room == 20);
}

#[test]
fn what_people_said_stays_when_its_step_goes() {
    let mut talk = Conversation::new("rules".into(), "task".into());
    for number in 0..4 {
        step(&mut talk, number, "a", &["some output of a tool, which is short".repeat(3)]);
        talk.push(Message::Heard { text: format!("word {number}") });
    }
    talk.fit(&gauge(), 140).expect("fits");
    let note = "(To save room, your first 3 steps of this task are left out here.)";
    assert_eq!(texts(&talk)[..6], ["rules", "task", note, "word 0", "word 1", "word 2"]);
}

#[test]
fn a_task_that_is_too_large_is_never_touched() {
    let task = "t".repeat(20_000);
    let mut talk = Conversation::new("rules".into(), task.clone());
    step(&mut talk, 0, "a", &["x".repeat(2_000)]);
    assert!(talk.fit(&gauge(), 4_000).is_err());
    assert_eq!(texts(&talk)[1], task);
}

#[test]
fn estimates_learn_from_counts() {
    let talk = talk(&[("a".into(), vec!["x".repeat(3_500)])]);
    let mut gauge = gauge();
    let before = gauge.estimate(talk.messages());
    gauge.learn(talk.messages(), before / 2);
    assert_eq!(gauge.estimate(talk.messages()), before, "a low count may leave out what was cached");
    gauge.learn(talk.messages(), before * 2);
    assert_eq!(gauge.estimate(talk.messages()), before * 2);
    gauge.mistrust();
    assert_eq!(gauge.estimate(talk.messages()), before * 3);
}

#[test]
fn counts_show_what_was_cut() {
    let talk = talk(&[("a".into(), vec!["x".repeat(35_000)])]);
    let mut gauge = gauge();
    let estimate = gauge.estimate(talk.messages());
    for (counted, window, cut) in [
        (0, 4_096, false),
        (4_096, 4_096, true),
        (5_000, 4_096, true),
        // About 10,000 tokens that count as 4,000 of 4,096 were not read whole.
        (4_000, 4_096, true),
        // There was ample room, so the count is believed.
        (4_000, 32_768, false),
        (estimate * 8 / 10, 12_000, false),
        (estimate / 3, 12_000, true),
    ] {
        assert_eq!(gauge.is_cut(talk.messages(), counted, window), cut, "{counted} of {window}");
    }
    // A model that counts few tokens for all texts is not suspected.
    gauge.learn(talk.messages(), estimate * 4 / 10);
    assert!(!gauge.is_cut(talk.messages(), estimate * 4 / 10, 12_000));
    assert!(gauge.is_cut(talk.messages(), estimate / 5, 12_000));
}

#[test]
fn the_window_leaves_room_for_the_answer() {
    assert_eq!((room(4_096), room(32_768), room(200_000)), (3_584, 28_672, 195_904));
    assert_eq!((output_limit(Some(4_096)), output_limit(None)), (3_072, 32 * 1024));
}

fn steps() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
    let text = prop_oneof!["[a-z ]{0,40}", "[a-zäß]{500,3000}"];
    prop::collection::vec((text.clone(), prop::collection::vec(text, 0..3)), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_is_dropped_the_rest_makes_sense(steps in steps(), room in 0u64..4_000, factor in 0u8..3) {
        let mut gauge = gauge();
        (0..factor).for_each(|_| gauge.mistrust());
        let before = talk(&steps);
        let mut after = before.clone();
        let fitted = after.fit(&gauge, room);
        let size = gauge.estimate(after.messages());
        match fitted {
            Ok(0) => prop_assert_eq!(&after, &before),
            Ok(_) => prop_assert!(size <= room),
            Err(NoRoom { needed, room: told }) => {
                prop_assert!(needed == size && needed > room && told == room);
                // Everything that could go went.
                prop_assert!(after.messages().len() <= 4 + steps.last().map_or(0, |(_, outputs)| outputs.len()));
            }
        }
        prop_assert_eq!(&after.messages()[..2], &before.messages()[..2], "rules and task stay");
        // The line that stands for a step that was left out may be longer than a step in which nothing happened.
        prop_assert!(size <= gauge.estimate(before.messages()).max(room) + 100);
        // Each output belongs to a call of the answer before it, in order, and each call has its output.
        let mut open: Vec<String> = Vec::new();
        for message in after.messages() {
            match message {
                Message::Assistant(spoken) => {
                    prop_assert!(open.is_empty());
                    open = spoken.calls.iter().rev().map(|call| call.id.clone()).collect();
                }
                Message::Tool { call, .. } => prop_assert_eq!(open.pop(), Some(call.clone())),
                Message::System { .. } | Message::User { .. } | Message::Heard { .. } => prop_assert!(open.is_empty()),
            }
        }
        // The last step is still there.
        if let Some(Message::Assistant(last)) = before.messages().iter().rfind(|message| matches!(message, Message::Assistant(_))) {
            let kept = after.messages().iter().rfind(|message| matches!(message, Message::Assistant(_)));
            prop_assert_eq!(kept, Some(&Message::Assistant(last.clone())));
        }
        // A second look changes nothing more.
        let again = after.clone().fit(&gauge, room);
        prop_assert_eq!(again.is_ok(), fitted.is_ok());
        if fitted.is_ok() {
            prop_assert_eq!(again, Ok(0));
        }
    }
}
