//! The tools that tell the engine something: arguments become a report of section 7 of the design.

use super::given::Given;
use crate::domain::report::{Finding, RejectedOption, Report};
use crate::protocol::plan_text::parse_plan;
use serde_json::Value;

/// Returns the report that a call makes; none for a tool that is no report.
pub fn report(name: &str, given: &Given<'_>) -> Option<Result<Report, String>> {
    Some(match name {
        "report_finished" => finished(given),
        "report_blocked" => given.words("reason").map(|reason| Report::Blocked { reason }),
        "report_ask" => ask(given),
        "report_progress" => given.words("text").map(|text| Report::Progress { text }),
        "report_learned" => given.words("text").map(|text| Report::Learned { text }),
        "report_decided" => decided(given),
        "suggest_task" => suggested(given),
        "submit_plan" => plan(given),
        "submit_review" => review(given),
        _ => return None,
    })
}

/// Tells whether nothing is left to do after the report.
pub fn is_last(report: &Report) -> bool {
    report.is_verdict() || matches!(report, Report::SubmitPlan { .. } | Report::Review { .. })
}

fn finished(given: &Given<'_>) -> Result<Report, String> {
    Ok(Report::Finished {
        summary: given.words("summary")?,
        no_change: given.optional_words("no_change")?,
        evidence: given.optional_words("evidence")?,
    })
}

fn ask(given: &Given<'_>) -> Result<Report, String> {
    let options = given.texts("options")?;
    let recommend = given.optional_words("recommend")?;
    if let Some(label) = recommend.as_ref().filter(|label| !options.contains(label)) {
        return Err(given.wrong("recommend", &format!("is `{label}`, which is none of the `options`")));
    }
    let file = given.optional_words("file")?;
    let line = line(given, given.number("line")?)?.filter(|_| file.is_some());
    Ok(Report::Ask { question: given.words("question")?, options, recommend, file, line })
}

fn line(given: &Given<'_>, line: Option<u64>) -> Result<Option<u32>, String> {
    line.map(|line| u32::try_from(line).map_err(|_| given.wrong("line", "is too large"))).transpose()
}

fn decided(given: &Given<'_>) -> Result<Report, String> {
    let rejected = match given.value("rejected") {
        None => Vec::new(),
        Some(Value::Array(list)) => list
            .into_iter()
            .map(|item| match item {
                Value::String(label) => Ok(RejectedOption { label, reason: String::new() }),
                item => serde_json::from_value(item),
            })
            .collect::<Result<_, _>>()
            .map_err(|error| given.wrong("rejected", &format!("must be a list of objects with `label`: {error}")))?,
        Some(_) => return Err(given.wrong("rejected", "must be a list of objects with `label` and `reason`")),
    };
    Ok(Report::Decided { question: given.words("question")?, chosen: given.words("chosen")?, rejected })
}

fn suggested(given: &Given<'_>) -> Result<Report, String> {
    // Some models put the task into a field of that name, as the command line does with its file.
    let task = match given.value("task") {
        Some(task @ Value::Object(_)) => task,
        _ => {
            given.words("title")?;
            given.whole()
        }
    };
    Ok(Report::SuggestTask { task })
}

fn plan(given: &Given<'_>) -> Result<Report, String> {
    let plan = match given.value("plan") {
        Some(plan @ (Value::Object(_) | Value::Array(_))) => plan,
        _ => {
            let mut whole = given.whole();
            // A list that came as text is a list.
            if let (Some(tasks @ Value::Array(_)), Some(fields)) = (given.value("tasks"), whole.as_object_mut()) {
                fields.insert("tasks".into(), tasks);
            }
            whole
        }
    };
    // What it depends on may be in the queue, which only the engine knows.
    let errors = parse_plan(&plan, &[], 0).err().unwrap_or_default();
    let errors: Vec<String> =
        errors.iter().filter(|error| !error.path.contains("depends_on")).map(ToString::to_string).collect();
    if errors.is_empty() {
        return Ok(Report::SubmitPlan { plan });
    }
    Err(format!("the plan cannot be used:\n- {}\nMend it and call `submit_plan` again.", errors.join("\n- ")))
}

fn review(given: &Given<'_>) -> Result<Report, String> {
    let findings = match given.value("findings") {
        None => Vec::new(),
        Some(Value::Array(list)) => {
            list.into_iter().enumerate().map(|(index, item)| finding(given, index, item)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(given.wrong("findings", "must be a list of objects with `text`, `file` and `line`")),
    };
    Ok(Report::Review { summary: given.words("summary")?, findings })
}

fn finding(given: &Given<'_>, index: usize, item: Value) -> Result<Finding, String> {
    let finding = match item {
        Value::String(text) => Ok(Finding { file: None, line: None, text }),
        item => serde_json::from_value::<Finding>(item),
    };
    let wrong = |what: &str| given.wrong(&format!("findings[{index}]"), what);
    let finding =
        finding.map_err(|error| wrong(&format!("must be an object with `text`, and `file` and `line`: {error}")))?;
    if finding.text.trim().is_empty() { Err(wrong("needs a `text`")) } else { Ok(finding) }
}
