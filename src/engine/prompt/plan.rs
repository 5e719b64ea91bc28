//! The planner's prompt.

use super::{Template, as_list};
use crate::engine::ports::PortResult;
use crate::protocol::engine_api::PlanContext;
use crate::protocol::quoting::fence_for;
use serde_json::json;

/// What the planner has to know.
pub struct PlanPrompt<'a> {
    pub goal: &'a str,
    pub context: &'a [PlanContext],
    /// The drafts to revise, as JSON.
    pub drafts: Option<String>,
    pub existing: Vec<String>,
    /// What was wrong with the last plan.
    pub errors: &'a [String],
    pub nonce: &'a str,
    /// Whether it has our tools by MCP; else it runs commands.
    pub tools: bool,
}

/// Makes the prompt of the planner.
///
/// # Errors
///
/// As [`Template::render`].
pub fn planner(template: &Template, prompt: &PlanPrompt<'_>) -> PortResult<String> {
    let item = |item: &PlanContext| {
        json!({
            "file": item.file,
            "lines": item.lines,
            "text": item.text,
            "fence": fence_for(&item.text),
        })
    };
    let errors = as_list(prompt.errors.iter().map(String::as_str));
    template.render(json!({
        "goal": prompt.goal,
        "context": prompt.context.iter().map(item).collect::<Vec<_>>(),
        "drafts": prompt.drafts,
        "drafts_fence": fence_for(prompt.drafts.as_deref().unwrap_or_default()),
        "existing": prompt.existing,
        "errors": prompt.errors,
        "errors_fence": fence_for(&errors),
        "nonce": prompt.nonce,
        "tools": prompt.tools,
    }))
}
