//! Prompts: the templates beside this file, or the repository's own, filled with what a fresh context has to know.
//!
//! What a person wrote for the agent is instruction; whatever came from the repository or out of a model (output of
//! checks, findings, learnings, words of earlier agents, diffs) is data and stands between fences it cannot close.

mod plan;
mod review;
mod work;

pub use plan::{PlanPrompt, planner};
pub use review::{Change, ReviewPrompt, change_text, reviewer};
pub use work::{Conflict, Facts, Repair, conflict, implementer, preview, repair};

use super::ports::{PortError, PortResult, World};
use minijinja::{Environment, UndefinedBehavior};
use std::path::Path;

/// Which prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An attempt of a task.
    Implementer,
    Planner,
    Reviewer,
    /// The part of an attempt's prompt about earlier work that does not merge any more.
    Conflict,
    /// What an agent is told in the same session when its answer could not be used.
    Repair,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Implementer, Self::Planner, Self::Reviewer, Self::Conflict, Self::Repair];

    /// Returns the name of the file in `.ralph/prompts/`, without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::Implementer => "implementer",
            Self::Planner => "planner",
            Self::Reviewer => "reviewer",
            Self::Conflict => "conflict",
            Self::Repair => "repair",
        }
    }

    fn built_in(self) -> &'static str {
        match self {
            Self::Implementer => include_str!("prompts/implementer.md"),
            Self::Planner => include_str!("prompts/planner.md"),
            Self::Reviewer => include_str!("prompts/reviewer.md"),
            Self::Conflict => include_str!("prompts/conflict.md"),
            Self::Repair => include_str!("prompts/repair.md"),
        }
    }

    /// Returns where the repository's own template is, relative to its root.
    pub fn path(self) -> String {
        format!(".ralph/prompts/{}.md", self.name())
    }
}

/// A template: the repository's own where it has one.
#[derive(Clone, Debug)]
pub struct Template {
    kind: Kind,
    /// Its file, for messages, and its text.
    own: Option<(String, String)>,
}

impl Template {
    /// Takes the repository's own text, or the built-in one for none.
    pub fn new(kind: Kind, root: &Path, own: Option<String>) -> Self {
        let file = root.join(kind.path()).display().to_string();
        Self { kind, own: own.map(|text| (file, text)) }
    }

    /// Reads the repository's own text.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read.
    pub async fn read(world: &World, kind: Kind) -> PortResult<Self> {
        let own = world.processes.read_tail(world.root.join(kind.path()), u64::MAX).await?;
        Ok(Self::new(kind, &world.root, own))
    }

    /// Tells whether the template's text names a value.
    pub fn mentions(&self, value: &str) -> bool {
        self.own.as_ref().map_or(self.kind.built_in(), |(_, text)| text.as_str()).contains(value)
    }

    /// Fills in the values.
    ///
    /// # Errors
    ///
    /// When the repository's own template does not render; names it and the line.
    pub fn render(&self, values: serde_json::Value) -> PortResult<String> {
        let source = self.own.as_ref().map_or(self.kind.built_in(), |(_, text)| text.as_str());
        let shown = match &self.own {
            Some((file, _)) => file.clone(),
            None => format!("the built-in {} prompt", self.kind.name()),
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let values = minijinja::Value::from(minijinja::value::Serde(values));
        environment.render_named_str(self.kind.name(), source, values).map_err(|error| {
            PortError { data: true, ..PortError::new(format!("render {shown}: {error:#}")) }
                .with_hint("mend the template, or remove it to use the built-in one")
        })
    }
}

/// Returns lines as one list to be put between fences.
fn as_list<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().map(|line| format!("- {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_does_not_render_is_named() {
        let own = Template::new(Kind::Repair, Path::new("/r"), Some("{{ nothing.at.all }}".into()));
        let error = own.render(serde_json::json!({})).expect_err("refused");
        assert!(error.data && error.message.contains("/r/.ralph/prompts/repair.md"), "{error}");
        assert!(error.hint.is_some());
    }
}
