//! The JSON schema of the editor protocol: the types of every request, answer and notification of ours.

use super::{
    ATTEMPT, AcceptParams, AnswerParams, ApproveParams, AttemptNotification, CONTENT, Command, CommandResult,
    CommentParams, ContentParams, ContentResult, DECISION_REQUESTED, DECISION_RESOLVED, DecisionRequestedNotification,
    DecisionResolvedNotification, DropParams, INPUT, InputParams, InputResult, LandParams, PROPOSAL_CHANGED,
    PlanParams, ProposalChangedNotification, ProposalParams, ProposalResult, QUEUE_CHANGED, QueueChangedNotification,
    RUN_ENDED, RejectParams, RetryParams, RevisePlanParams, RootParams, RunEndedNotification, STATUS, SendBackParams,
    StartParams, StatusNotification, StatusResult, SteerParams, StopParams, TrustParams,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Returns the schema, pretty-printed with a final line break.
///
/// `requests` has `params` and `result` by method (the same types serve `workspace/executeCommand`, where the method has
/// a dot for the slash), `notifications` has `params` by method; the types they refer to are in `$defs`.
pub fn editor_schema_json() -> String {
    let mut types = SchemaSettings::draft2020_12().into_generator();
    let mut requests = Map::new();
    for command in Command::ALL {
        requests.insert(command.method().to_owned(), of_command(command, &mut types));
    }
    requests.insert(CONTENT.to_owned(), request::<ContentParams, ContentResult>(&mut types));
    requests.insert(INPUT.to_owned(), request::<InputParams, InputResult>(&mut types));
    let notifications = json!({
        STATUS: notification::<StatusNotification>(&mut types),
        ATTEMPT: notification::<AttemptNotification>(&mut types),
        PROPOSAL_CHANGED: notification::<ProposalChangedNotification>(&mut types),
        DECISION_REQUESTED: notification::<DecisionRequestedNotification>(&mut types),
        DECISION_RESOLVED: notification::<DecisionResolvedNotification>(&mut types),
        QUEUE_CHANGED: notification::<QueueChangedNotification>(&mut types),
        RUN_ENDED: notification::<RunEndedNotification>(&mut types),
    });
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ralph-sidecar editor protocol",
        "requests": requests,
        "notifications": notifications,
        "$defs": types.take_definitions(true),
    });
    format!("{document:#}\n")
}

fn of_command(command: Command, types: &mut SchemaGenerator) -> Value {
    match command {
        Command::Plan => request::<PlanParams, CommandResult>(types),
        Command::RevisePlan => request::<RevisePlanParams, CommandResult>(types),
        Command::Approve => request::<ApproveParams, CommandResult>(types),
        Command::Drop => request::<DropParams, CommandResult>(types),
        Command::Start => request::<StartParams, CommandResult>(types),
        Command::Stop => request::<StopParams, CommandResult>(types),
        Command::Pause | Command::Resume | Command::Undo => request::<RootParams, CommandResult>(types),
        Command::Retry => request::<RetryParams, CommandResult>(types),
        Command::Steer => request::<SteerParams, CommandResult>(types),
        Command::Answer => request::<AnswerParams, CommandResult>(types),
        // With `show`, the answer is only where it is shown.
        Command::Proposal => json!({
            "params": types.subschema_for::<ProposalParams>(),
            "result": { "anyOf": [types.subschema_for::<ProposalResult>(), types.subschema_for::<CommandResult>()] },
        }),
        Command::Accept => request::<AcceptParams, CommandResult>(types),
        Command::Reject => request::<RejectParams, CommandResult>(types),
        Command::Comment => request::<CommentParams, CommandResult>(types),
        Command::SendBack => request::<SendBackParams, CommandResult>(types),
        Command::Land => request::<LandParams, CommandResult>(types),
        Command::Status => request::<RootParams, StatusResult>(types),
        Command::Trust => request::<TrustParams, CommandResult>(types),
    }
}

fn request<P: JsonSchema, R: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    json!({ "params": types.subschema_for::<P>(), "result": types.subschema_for::<R>() })
}

fn notification<P: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    json!({ "params": types.subschema_for::<P>() })
}

#[cfg(test)]
mod tests {
    use super::super::NOTIFICATIONS;
    use super::*;

    #[test]
    fn every_name_is_there_and_every_reference_leads_somewhere() {
        let schema: Value = serde_json::from_str(&editor_schema_json()).expect("JSON");
        for command in Command::ALL {
            assert!(schema["requests"][command.method()]["params"].is_object(), "{command:?}");
        }
        for name in NOTIFICATIONS {
            assert!(schema["notifications"][name]["params"].is_object(), "{name}");
        }
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
