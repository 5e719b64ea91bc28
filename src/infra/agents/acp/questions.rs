//! Questions of an agent as questions to a person, and words of people as the agent reads them. Pure.

use super::updates::clipped;
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::domain::report::Report;
use serde_json::Value;

/// Characters of a question that are kept.
const LIMIT: usize = 2000;
/// Options shown of a question that offers more.
const OPTIONS: usize = 8;

/// Makes the question about something that was denied.
pub(super) fn of_permission(question: String, agent: &str) -> Report {
    let without = "Do without it".to_owned();
    Report::Ask {
        question: format!(
            "{question} To allow a folder for good, add it to `write` of agent `{agent}` before you answer."
        ),
        options: vec![without.clone(), "I have allowed it, or done it myself".to_owned()],
        recommend: Some(without),
        file: None,
        line: None,
        permission: true,
    }
}

/// Writes words of people as one prompt.
pub(super) fn of_people(messages: &[InboxMessage]) -> String {
    let one = |message: &InboxMessage| match message.kind {
        InboxKind::Steer => format!("A person says about your task, and it counts from now on:\n\n{}", message.text),
        InboxKind::Query => format!(
            "A person asks you `{id}`. Answer it by a reply to `{id}` with your report tools, and change nothing for \
             it:\n\n{}",
            message.text,
            id = message.id
        ),
    };
    messages.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

/// Makes a question of an elicitation: its message, its fields, and the choices of the first field that has some.
pub(super) fn of_elicitation(params: &Value) -> Report {
    let mut question = params["message"].as_str().unwrap_or("The agent asks for something.").trim().to_owned();
    let mut options = Vec::new();
    for (name, field) in params["requestedSchema"]["properties"].as_object().into_iter().flatten() {
        let title = field["title"].as_str().unwrap_or(name);
        let about = field["description"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
        if !question.contains(title) || !about.is_empty() {
            question.push_str(&format!("\n{title}{about}"));
        }
        if options.is_empty() {
            options = choices(field);
        }
    }
    if let Some(url) = params["url"].as_str() {
        question.push_str(&format!("\n{url}"));
    }
    let question = clipped(&question, LIMIT);
    Report::Ask { question, options, recommend: None, file: None, line: None, permission: false }
}

/// Returns the choices of a field: an enumeration, or titled constants, of one value or of several.
fn choices(field: &Value) -> Vec<String> {
    let places = [field, &field["items"]];
    let plain = places.iter().find_map(|place| place["enum"].as_array());
    let titled = || places.iter().find_map(|place| place["oneOf"].as_array().or_else(|| place["anyOf"].as_array()));
    let label = |value: &Value| {
        let text = value.as_str().or_else(|| value["title"].as_str()).or_else(|| value["const"].as_str())?;
        Some(clipped(text, 200))
    };
    let found = plain.or_else(titled).into_iter().flatten().filter_map(label);
    found.take(OPTIONS).collect()
}

/// Returns the question of a report that asks.
pub(super) fn question_of(report: &Report) -> &str {
    match report {
        Report::Ask { question, .. } => question,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_becomes_a_question_with_the_choices_of_its_first_list() {
        let report = of_elicitation(&json!({
            "mode": "form", "message": "Which database?",
            "requestedSchema": { "type": "object", "properties": {
                "name": { "type": "string", "title": "Name" },
                "kind": { "type": "string", "description": "the engine", "oneOf": [
                    { "const": "pg", "title": "Postgres" }, { "const": "sqlite" } ] },
                "more": { "type": "array", "items": { "enum": ["x"] } },
            } },
        }));
        let Report::Ask { question, options, .. } = report else { panic!("it asks") };
        assert_eq!(question, "Which database?\nName\nkind: the engine\nmore");
        assert_eq!(options, ["Postgres", "sqlite"]);
    }

    #[test]
    fn a_question_without_anything_is_still_one() {
        assert!(!question_of(&of_elicitation(&json!(null))).is_empty());
        let Report::Ask { recommend, options, permission, .. } = of_permission("May it?".into(), "a") else {
            panic!("it asks")
        };
        assert_eq!((recommend.as_deref(), permission), (options.first().map(String::as_str), true));
    }
}
