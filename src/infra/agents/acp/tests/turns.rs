//! What happens within a turn: its regular end, every way of going wrong, questions, bounds, a stop.

use super::{command_play, play};
use crate::domain::ending::Usage;
use crate::domain::outcome::Outcome;
use crate::domain::report::Report;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use crate::protocol::config::{Role, StopStep};
use std::time::Duration;

#[tokio::test]
async fn a_turn_is_told_from_its_start_to_its_end() {
    let played = play(
        r#"open
        say 'I will. '
        tool t1 in_progress
        tool t1 completed
        update '{"sessionUpdate":"usage_update","used":40,"size":100,"cost":{"amount":0.25,"currency":"USD"}}'
        say Done.
        answer '{"stopReason":"end_turn","usage":{"inputTokens":60,"cachedReadTokens":30,"outputTokens":10,"totalTokens":100}}'
        next"#,
    )
    .order(|order| order.agent.inherit = Some(false))
    .run()
    .await;
    assert_eq!((played.ending.failure, played.ending.session.as_deref()), (None, Some("s1")), "{:?}", played.ending);
    let used = Usage { input_tokens: 90, cached_tokens: 30, output_tokens: 10, usd: Some(0.25) };
    assert_eq!(played.ending.usage, used);
    assert_eq!(played.said(), "I will. Done.");
    let Some(AgentLine::Started { command, session, notes, .. }) = played.lines.first() else {
        panic!("{:?}", played.lines.first())
    };
    assert!(command.starts_with("sh -c") && session.as_deref() == Some("s1"));
    assert!(notes[0] == "fake 7" && notes[1].contains("all the same"), "{notes:?}");
    let states: Vec<ToolStatus> = played
        .lines
        .iter()
        .filter_map(|line| match line {
            AgentLine::Tool { status, .. } => Some(*status),
            _ => None,
        })
        .collect();
    assert_eq!(states, [ToolStatus::Started, ToolStatus::Completed]);
    assert!(matches!(played.lines.last(), Some(AgentLine::Ended { .. })));
    // What the agent was told: no files, no terminals, our server, the prompt.
    let heard: Vec<&str> = played.heard.lines().collect();
    assert!(heard[0].contains(r#""readTextFile":false"#) && heard[0].contains(r#""terminal":false"#), "{}", heard[0]);
    assert!(heard[1].contains(r#""name":"ralph""#) && heard[1].contains(r#"{"name":"A","value":"b"}"#), "{}", heard[1]);
    assert!(heard[2].contains(r#"{"type":"text","text":"Do it."}"#), "{}", heard[2]);
}

#[tokio::test]
async fn a_program_that_is_not_there_or_cannot_run_is_missing() {
    for command in [vec![], vec!["no-such-agent-anywhere".to_owned()], vec!["/".to_owned()]] {
        let played = command_play(command.clone()).run().await;
        assert_eq!(played.ending.failure, Some(Outcome::MissingBinary), "{command:?}: {}", played.ending.detail);
        assert!(played.ending.detail.contains("`command`"), "{}", played.ending.detail);
    }
}

#[tokio::test]
async fn a_program_that_does_not_speak_the_protocol_is_told_with_what_it_printed() {
    for script in ["echo usage: fake; cat > /dev/null", "echo usage: fake"] {
        let played = play(script).limits(|limits| limits.initialize = Duration::from_secs(3)).run().await;
        assert_eq!(played.ending.failure, Some(Outcome::InvalidOutput), "{}", played.ending.detail);
        assert!(played.ending.detail.contains("Agent Client Protocol"), "{}", played.ending.detail);
        assert!(played.ending.detail.contains("usage: fake"), "{}", played.ending.detail);
    }
    let played = play(r#"next; answer '{"protocolVersion":2}'; next"#).run().await;
    assert_eq!(played.ending.failure, Some(Outcome::InvalidOutput));
    assert!(played.ending.detail.contains("version 1 of the protocol"), "{}", played.ending.detail);
    let played = play(r#"hello; next; answer '{}'; next"#).run().await;
    assert_eq!(played.ending.failure, Some(Outcome::InvalidOutput), "{}", played.ending.detail);
}

#[tokio::test]
async fn an_agent_that_dies_is_told_with_its_last_words() {
    let scripts = [
        "open; say working; echo boom >&2; exit 3",
        // Something that it left behind holds its streams open.
        "open; say working; echo boom >&2; sleep 100 & exit 3",
        "echo boom >&2; exit 3",
        "hello; echo boom >&2; exit 3",
    ];
    for script in scripts {
        let played = play(script).run().await;
        assert_eq!(played.ending.failure, Some(Outcome::Crashed), "{script}: {}", played.ending.detail);
        assert!(played.ending.detail.contains("exit status: 3"), "{script}: {}", played.ending.detail);
        assert!(played.ending.detail.contains("boom"), "{script}: {}", played.ending.detail);
        assert!(played.took < Duration::from_secs(60), "{script}: {:?}", played.took);
    }
    let played = play("open; kill -9 $$").run().await;
    assert!(played.ending.detail.contains("signal: 9"), "{}", played.ending.detail);
}

#[tokio::test]
async fn what_is_no_message_is_kept_and_disturbs_nothing() {
    let played = play(
        r#"echo 'Loading…'; hello; echo '{"level":"info"}'; next; printf '\377\376\n\n'; answer '{"sessionId":"s1"}'; next
        echo '{"jsonrpc":"2.0","method":'
        echo '[1,2]'
        head -c 100000 /dev/zero | tr '\0' x; echo
        printf '{"jsonrpc":"2.0","method":"_fake/news","params":{"a":1}}\n'
        printf '{"jsonrpc":"2.0","id":"unknown","result":{}}\n'
        update '{"sessionUpdate":"dance"}'
        echo warning >&2
        say fine; end"#,
    )
    .run()
    .await;
    assert_eq!((played.ending.failure, played.said().as_str()), (None, "fine"), "{}", played.ending.detail);
    let raw = played.raw();
    for kept in ["Loading…", r#"{"level":"info"}"#, "\u{fffd}\u{fffd}", "[1,2]", r#"_fake/news {"a":1}"#, "warning"] {
        assert!(raw.contains(&kept), "{kept}: {raw:?}");
    }
    assert!(raw.iter().any(|line| line.contains("dance")));
    let long = raw.iter().find(|line| line.starts_with("xxx")).expect("the long line");
    assert!(long.len() < 5000 && long.contains("characters left out"), "{}", long.len());
}

#[tokio::test]
async fn a_flood_is_bounded_and_ends() {
    let played = play(
        r#"open
        i=0; while [ $i -lt 3000 ]; do echo "noise $i ........................................................................................" >&2; i=$((i+1)); done
        i=0; while [ $i -lt 3000 ]; do say x; i=$((i+1)); done
        say last; end"#,
    )
    .run()
    .await;
    assert_eq!(played.ending.failure, None, "{}", played.ending.detail);
    assert_eq!(played.said().len(), 3000 + "last".len());
    let kept: usize = played.raw().iter().map(|line| line.len()).sum();
    assert!((200_000..300_000).contains(&kept), "{kept}");
    assert!(played.notes().contains("left out"), "{}", played.notes());
}

#[tokio::test]
async fn errors_of_the_agent_have_their_outcome() {
    let rows = [
        (r#"open; refuse '{"code":429,"message":"slow down"}'; next"#, Outcome::RateLimited),
        (r#"open; refuse '{"code":-32000,"message":"Authentication required"}'; next"#, Outcome::Auth),
        (r#"open; say hm; answer '{"stopReason":"refusal"}'; next"#, Outcome::InvalidOutput),
        ("open; end", Outcome::InvalidOutput),
    ];
    for (script, expected) in rows {
        let played = play(script).run().await;
        assert_eq!(played.ending.failure, Some(expected), "{script}: {}", played.ending.detail);
        assert_eq!(played.ending.session.as_deref(), Some("s1"), "{script}");
    }
}

#[tokio::test]
async fn permissions_are_answered_by_policy_and_a_person_is_asked_once() {
    let played = play(
        r#"open
        options='[{"optionId":"yes","kind":"allow_once","name":"x"},{"optionId":"no","kind":"reject_once","name":"y"}]'
        ask() { request "$1" session/request_permission '{"sessionId":"s1","options":'"$options"',"toolCall":{"toolCallId":"t","title":"Write","kind":"edit","locations":[{"path":"'"$2"'"}]}}'; next; }
        ask 71 "$SLOT/new/a.rs"; ask 72 /etc/hosts; ask 73 /etc/passwd
        request 74 session/request_permission '{"sessionId":"s1","options":[],"toolCall":{"toolCallId":"u","title":"Run","kind":"execute"}}'; next
        say done; id=$first; end"#
            .replace("open\n", "open; first=$id\n")
            .as_str(),
    )
    .run()
    .await;
    assert_eq!(played.ending.failure, None, "{}", played.ending.detail);
    let answer = |id: u32| {
        let start = format!(r#""id":{id},"#);
        played.heard.lines().find(|line| line.contains(&start)).unwrap_or_default().to_owned()
    };
    assert!(answer(71).contains(r#""optionId":"yes""#), "{}", played.heard);
    assert!(answer(72).contains(r#""optionId":"no""#) && answer(73).contains(r#""optionId":"no""#), "{}", played.heard);
    assert!(answer(74).contains("cancelled"), "{}", played.heard);
    let [Report::Ask { question, options, recommend, permission: true, .. }] = played.reports.as_slice() else {
        panic!("{:?}", played.reports)
    };
    assert!(question.contains("/etc/hosts") && question.contains("`write` of agent `fake`"), "{question}");
    assert!(options.len() == 2 && recommend.as_ref() == options.first());
    let notes = played.notes();
    assert_eq!(notes.matches("denied: Write").count(), 2, "{notes}");
    // Who only reads is denied without a question.
    let played = play(
        r#"open; first=$id
        request 71 session/request_permission '{"options":[{"optionId":"no","kind":"reject_once"}],"toolCall":{"kind":"edit","locations":[{"path":"a"}]}}'; next
        say done; id=$first; end"#,
    )
    .order(|order| order.role = Role::Reviewer)
    .run()
    .await;
    assert!(played.reports.is_empty() && played.notes().contains("only reads"), "{}", played.notes());
}

#[tokio::test]
async fn a_question_by_form_becomes_one_for_a_person_and_what_was_not_offered_is_refused() {
    let played = play(
        r#"open; first=$id
        request 81 elicitation/create '{"sessionId":"s1","mode":"form","message":"Which one?","requestedSchema":{"type":"object","properties":{"pick":{"type":"string","enum":["red","blue"]}}}}'; next
        request 82 fs/read_text_file '{"sessionId":"s1","path":"/etc/hosts"}'; next
        say done; id=$first; end"#,
    )
    .run()
    .await;
    assert_eq!(played.ending.failure, None, "{}", played.ending.detail);
    let [Report::Ask { question, options, .. }] = played.reports.as_slice() else { panic!("{:?}", played.reports) };
    assert!(question.starts_with("Which one?") && options == &["red", "blue"], "{question} {options:?}");
    assert!(played.heard.contains(r#""action":"decline""#), "{}", played.heard);
    assert!(
        played.heard.lines().any(|line| line.contains(r#""id":82,"#) && line.contains("-32601")),
        "{}",
        played.heard
    );
    assert!(played.notes().contains("fs/read_text_file"), "{}", played.notes());
}

#[tokio::test]
async fn an_agent_that_only_tells_of_its_edits_is_not_disturbed() {
    let script = r#"next; answer '{"protocolVersion":1,"agentInfo":{"name":"OpenCode"}}'; next; answer '{"sessionId":"s1"}'; next; first=$id
        request 83 fs/write_text_file '{"sessionId":"s1","path":"/x","content":"y"}'; next
        say done; id=$first; end"#;
    let played = play(script).run().await;
    assert!(
        played.heard.lines().any(|line| line.contains(r#""id":83,"#) && line.contains("result")),
        "{}",
        played.heard
    );
    assert_eq!((played.ending.failure, played.notes().as_str()), (None, ""));
    let other = play(&script.replace("OpenCode", "other")).run().await;
    assert!(other.heard.contains("-32601"), "{}", other.heard);
}

#[tokio::test]
async fn a_stop_cancels_the_turn_and_is_over_soon() {
    let scripts = [
        // As agents should, as some do not, and as none should.
        r#"open; first=$id; say working; next; id=$first; answer '{"stopReason":"cancelled"}'; next"#,
        "open; say working; cat > /dev/null",
        "trap '' TERM INT; open; say working; while :; do sleep 1; done",
    ];
    for script in scripts {
        let played = play(script)
            .order(|order| order.agent.stop = vec![StopStep::Interrupt, StopStep::Terminate])
            .stop_at("working")
            .run()
            .await;
        assert_eq!(played.ending.failure, Some(Outcome::Cancelled), "{script}");
        // A few seconds, and what a busy machine adds; the second and third would never end.
        assert!(played.took < Duration::from_secs(30), "{script}: {:?}", played.took);
    }
    let patient = play(scripts[0]).limits(|limits| limits.cancel = Duration::from_secs(30));
    let polite = patient.stop_at("working").run().await;
    assert!(polite.heard.contains("session/cancel"), "{}", polite.heard);
    // Before there is a session there is nothing to cancel.
    let played = play("hello; echo opening >&2; cat > /dev/null").stop_at("opening").run().await;
    assert_eq!(played.ending.failure, Some(Outcome::Cancelled));
}

#[tokio::test]
async fn a_bound_ends_the_turn_after_the_step_it_is_in() {
    let played = play(
        r#"open; first=$id
        tool t1 in_progress
        update '{"sessionUpdate":"usage_update","used":10,"size":100,"cost":{"amount":2.5,"currency":"USD"}}'
        request 91 session/request_permission '{"options":[{"optionId":"yes","kind":"allow_once"}],"toolCall":{"toolCallId":"t2","kind":"execute"}}'; next
        tool t1 completed
        next; id=$first; answer '{"stopReason":"cancelled"}'; next"#,
    )
    .order(|order| order.budget.usd = Some(2.0))
    .run()
    .await;
    assert_eq!(played.ending.failure, Some(Outcome::BudgetExceeded), "{}", played.ending.detail);
    assert!(played.ending.detail.contains("$2.50 of $2.00"), "{}", played.ending.detail);
    assert!(played.heard.contains("session/cancel") && !played.heard.contains("yes\""), "{}", played.heard);
    let done = |line: &AgentLine| matches!(line, AgentLine::Tool { status: ToolStatus::Completed, .. });
    assert!(played.lines.iter().any(done), "{:?}", played.lines);
    // A step that does not end is waited for only so long.
    let played = play(
        r#"open; tool t1 in_progress
        update '{"sessionUpdate":"usage_update","used":1000,"size":100}'; cat > /dev/null"#,
    )
    .order(|order| order.budget.tokens = Some(500))
    .limits(|limits| limits.step = Duration::from_millis(200))
    .run()
    .await;
    assert_eq!(played.ending.failure, Some(Outcome::BudgetExceeded));
    assert!(played.ending.detail.contains("1000 tokens of 500"), "{}", played.ending.detail);
}

#[tokio::test]
async fn an_agent_that_ignores_the_end_of_its_input_is_ended() {
    let script = "open; say done; answer '{\"stopReason\":\"end_turn\"}'; while :; do sleep 1; done";
    for trap in ["", "trap '' TERM; "] {
        let played = play(&format!("{trap}{script}")).run().await;
        assert_eq!(played.ending.failure, None, "{}", played.ending.detail);
        assert!(played.took < Duration::from_secs(30), "{:?}", played.took);
    }
}
