//! The tools themselves, and the report that each of their calls is.

use super::arguments::Shape::{Number, Objects, Open, OpenList, Text, Texts};
use super::arguments::{Field, needed, optional};
use super::{Tool, ToolCall};
use crate::domain::report::Report;
use crate::protocol::config::Role;
use crate::protocol::plan_text::parse_plan;
use serde_json::{Map, Value, json};

/// Those who work in a slot on a task.
const WORKERS: &[Role] = &[Role::Implementer, Role::Fixer, Role::Committer];

const TASK: &[Field] = &[
    needed("title", Text, "One line that says what will be different."),
    optional("id", Text, "A short name; others refer to the task by it."),
    optional("description", Text, "Everything an agent must know that the repository does not tell."),
    optional("acceptance", Texts, "What must be true when it is finished, one sentence each."),
    optional("verify", Texts, "Commands that prove it: they fail now and exit 0 when it is done."),
    optional("depends_on", Texts, "Ids of tasks that really must come first."),
    optional("files", Texts, "Globs of the files it will change."),
    optional("priority", Text, "One of critical, high, medium, low."),
];

const FINDING: &[Field] = &[
    needed("text", Text, "What is wrong and what would be right."),
    optional("file", Text, "The path, relative to the root of the repository."),
    optional("line", Number, "The line in the new text, from 1."),
];

const REJECTED: &[Field] =
    &[needed("label", Text, "The option that was not taken."), optional("reason", Text, "Why it was not taken.")];

pub const TOOLS: &[Tool] = &[
    Tool {
        name: "report_finished",
        about: "Say that the task is finished. Call it exactly once, as the last thing you do, when everything the task \
                asks for is in the working folder. Your work is then checked by running commands, so say it only when \
                they will pass.",
        fields: &[
            needed("summary", Text, "What was done, in a few sentences."),
            optional("no_change", Text, "Why nothing had to change; only when you changed no file."),
            optional("evidence", Text, "What shows that it works: the commands you ran and what they said."),
        ],
        roles: WORKERS,
        taken: "Taken; the work is checked as soon as you end. End your turn now.",
    },
    Tool {
        name: "report_blocked",
        about: "Say that you cannot go on and that no answer of the user would help. Where one would, call report_ask.",
        fields: &[needed("reason", Text, "What keeps you from going on, and what you tried.")],
        roles: WORKERS,
        taken: "Taken; a person will look at it. End your turn now.",
    },
    Tool {
        name: "report_ask",
        about: "Ask the user to choose when you cannot decide it yourself, then end your turn. Nobody answers while you \
                wait: the task goes on later in a fresh context that is told the answer.",
        fields: &[
            needed("question", Text, "One question that can be understood without anything else."),
            optional("options", Texts, "The possible answers, as short labels."),
            optional("recommend", Text, "The option you would take; one of the options, word for word."),
            optional("file", Text, "The file it is about, relative to the root of the repository."),
            optional("line", Number, "The line in that file, from 1."),
        ],
        roles: WORKERS,
        taken: "Taken; the user is asked. End your turn now, without waiting for the answer.",
    },
    Tool {
        name: "report_progress",
        about: "Say in one line what you are doing right now, for the user who watches. Call it when you begin with \
                something else.",
        fields: &[needed("text", Text, "What you are doing, in one line.")],
        roles: &Role::ALL,
        taken: "Shown.",
    },
    Tool {
        name: "report_learned",
        about: "Keep something that later attempts and other tasks should know about this repository: how to build and \
                test it, what it does unexpectedly. Not what you did.",
        fields: &[needed("text", Text, "One fact, in a sentence or two.")],
        roles: &Role::ALL,
        taken: "Kept.",
    },
    Tool {
        name: "report_decided",
        about: "Record a choice that you made yourself and that somebody may want to know of later: a design, a library, \
                a way left aside.",
        fields: &[
            needed("question", Text, "What there was to decide."),
            needed("chosen", Text, "What you took."),
            optional("rejected", Objects(REJECTED), "What you did not take, and why."),
        ],
        roles: WORKERS,
        taken: "Recorded.",
    },
    Tool {
        name: "suggest_task",
        about: "Suggest further work that does not belong to your task. It becomes a draft that the user may approve; do \
                not do it yourself.",
        fields: &[needed("task", Open(TASK), "The task, which must say everything whoever does it needs to know.")],
        roles: WORKERS,
        taken: "Taken as a draft.",
    },
    Tool {
        name: "report_handoff",
        about: "Leave a note for whoever goes on with this task when you cannot finish it yourself: what is done, what is \
                left, what to look out for. The newest one counts. It does not end your work.",
        fields: &[needed("text", Text, "The note.")],
        roles: WORKERS,
        taken: "Kept for the next attempt.",
    },
    Tool {
        name: "submit_plan",
        about: "Hand in the plan: all its tasks at once. Call it once, as the last thing you do. When it is refused, mend \
                what is named and call it again.",
        fields: &[
            needed(
                "tasks",
                OpenList(TASK),
                "The tasks, each with acceptance. Others do them, and see only their text.",
            ),
            optional("goal", Text, "The goal in one sentence."),
        ],
        roles: &[Role::Planner],
        taken: "Taken. End your turn now.",
    },
    Tool {
        name: "submit_review",
        about: "Hand in your review. Without findings you approve the work. Call it once, as the last thing you do.",
        fields: &[
            needed("summary", Text, "Your judgement, in a few sentences."),
            optional("findings", Objects(FINDING), "What must change before it is good; leave it out to approve."),
        ],
        roles: &[Role::Reviewer],
        taken: "Taken. End your turn now.",
    },
    Tool {
        name: "report_reply",
        about: "Answer a question of the user that came with the result of a tool or from check_inbox. Then go on with \
                what you were doing: a question changes nothing about the task.",
        fields: &[needed("to", Text, "The id of the question, such as q1."), needed("text", Text, "The answer.")],
        roles: &Role::ALL,
        taken: "Sent. Go on with your work.",
    },
    Tool {
        name: "check_inbox",
        about: "Look whether the user has said or asked something since you began. Every other tool here tells it with \
                its result as well; call this between long steps.",
        fields: &[],
        roles: &Role::ALL,
        taken: "Nothing new.",
    },
];

/// Makes a call of arguments that have the right shapes.
pub fn call(tool: &Tool, mut arguments: Map<String, Value>) -> Result<ToolCall, Vec<String>> {
    let kind = match tool.name {
        "check_inbox" => return Ok(ToolCall::CheckInbox),
        "submit_plan" => {
            let plan = Value::Object(arguments);
            checked(&plan, |path| path.to_owned())?;
            return Ok(ToolCall::Report(Report::SubmitPlan { plan }));
        }
        "suggest_task" => {
            let task = arguments.shift_remove("task").unwrap_or_default();
            checked(&json!({ "tasks": [task] }), |path| path.replacen("tasks[0]", "task", 1))?;
            return Ok(ToolCall::Report(Report::SuggestTask { task }));
        }
        "submit_review" => "review",
        name => name.strip_prefix("report_").unwrap_or(name),
    };
    arguments.insert("type".to_owned(), json!(kind));
    match serde_json::from_value(Value::Object(arguments)) {
        Ok(report) => fits_together(&report).map(|()| ToolCall::Report(report)),
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// Looks into a plan as far as it can be judged without the queue: what it depends on may be there.
fn checked(plan: &Value, path: impl Fn(&str) -> String) -> Result<(), Vec<String>> {
    let Err(errors) = parse_plan(plan, &[], 0) else { return Ok(()) };
    let errors = errors.iter().filter(|error| !error.path.contains("depends_on["));
    let errors: Vec<String> = errors.map(|error| format!("{}: {}", path(&error.path), error.message)).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn fits_together(report: &Report) -> Result<(), Vec<String>> {
    match report {
        Report::Ask { options, recommend: Some(label), .. } if !options.contains(label) => {
            let known = if options.is_empty() { "there are none".to_owned() } else { options.join(", ") };
            Err(vec![format!(
                "recommend: `{label}` is none of the options ({known}); recommend one of them word for word"
            )])
        }
        Report::Ask { file: None, line: Some(_), .. } => {
            Err(vec!["file: is missing; a line needs its file".to_owned()])
        }
        Report::Review { findings, .. } => {
            let bare = |at: usize| format!("findings[{at}].file: is missing; a line needs its file");
            let wrong = findings.iter().enumerate().filter(|(_, it)| it.line.is_some() && it.file.is_none());
            let wrong: Vec<String> = wrong.map(|(at, _)| bare(at)).collect();
            if wrong.is_empty() { Ok(()) } else { Err(wrong) }
        }
        _ => Ok(()),
    }
}
