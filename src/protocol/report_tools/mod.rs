//! The tools through which agents report, as models see them: names, descriptions, schemas, and what a call means.
//!
//! Section 7 of the design. Our MCP server and our own agent offer the same ones; the `report` command is their twin.

mod arguments;
mod list;
#[cfg(test)]
mod tests;
mod words;

pub use words::{Way, unread};

use super::config::Role;
use crate::domain::report::Report;
use arguments::{Field, schema};
use list::TOOLS;
use serde_json::{Map, Value};

/// One tool.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    /// For the model that is to use it.
    pub about: &'static str,
    fields: &'static [Field],
    roles: &'static [Role],
    /// What the agent hears when the report has been taken.
    pub taken: &'static str,
}

/// What a call asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolCall {
    Report(Report),
    /// Nothing but what is unread.
    CheckInbox,
}

/// Returns the tools of a role, in the order to list them.
pub fn tools(role: Role) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.roles.contains(&role))
}

/// Finds a tool of any role by its name.
pub fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    /// Tells whether the role may use it.
    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Returns the JSON schema of its arguments.
    pub fn schema(&self) -> Map<String, Value> {
        schema(self.fields)
    }

    /// Reads the arguments of a call.
    ///
    /// What models are known to do without harm is let pass: null for what is absent, a number or a list as a text.
    ///
    /// # Errors
    ///
    /// One line for each argument that is wrong, naming it and what to write instead.
    pub fn call(&self, arguments: Map<String, Value>) -> Result<ToolCall, String> {
        let read = arguments::read(self.fields, arguments).and_then(|arguments| list::call(self, arguments));
        read.map_err(|problems| format!("{}\nMend it and call {} again.", problems.join("\n"), self.name))
    }
}
