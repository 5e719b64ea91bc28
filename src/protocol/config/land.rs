//! Where accepted work goes, and in which words.

use crate::domain::landing;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Where `land` puts accepted work when it is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct LandConfig {
    /// Where accepted work goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<LandTo>,
    /// Message of the commit: `{title}`, `{id}`, `{summary}` (the agent's own) and `{list}` (a line for each task) are
    /// filled in; `{title}`, an empty line and `{summary}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Name of the branch: `{id}` and `{title}` are filled in; `ralph/{id}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How long the hooks and the signing of a commit may take before they are ended, in seconds; 600 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u64>,
}

impl LandConfig {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where accepted work goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LandTo {
    /// Into the files of your checkout, uncommitted.
    #[default]
    Tree,
    /// As a commit on the branch that is checked out.
    Commit,
    /// As a commit on another branch.
    Branch,
}

impl LandTo {
    /// Returns what the rules call it.
    pub fn to_domain(self) -> landing::LandTo {
        match self {
            Self::Tree => landing::LandTo::Tree,
            Self::Commit => landing::LandTo::Commit,
            Self::Branch => landing::LandTo::Branch,
        }
    }
}

/// The same in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandSettings {
    pub to: LandTo,
    pub message: String,
    pub branch: String,
    pub timeout_seconds: u64,
}

impl Default for LandSettings {
    fn default() -> Self {
        Self {
            to: LandTo::default(),
            message: "{title}\n\n{summary}".to_owned(),
            branch: "ralph/{id}".to_owned(),
            timeout_seconds: 600,
        }
    }
}

/// Reads what a run was started with. Older versions wrote one word, and landed nowhere but in the files.
pub(super) fn of_run<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LandSettings, D::Error> {
    let written = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(written).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::protocol::config::{LandSettings, Layer, Settings, parse_config};

    fn resolve(text: &str) -> Settings {
        Settings::resolve(&[(Layer::Repository, parse_config(text).expect(text).0)])
    }

    #[test]
    fn every_part_has_a_default_of_its_own() {
        let settings = resolve(r#"{"land": {"to": "commit", "branch": "x/{id}"}}"#);
        let land = &settings.land;
        assert_eq!((land.to.to_domain().as_str(), land.branch.as_str()), ("commit", "x/{id}"));
        assert_eq!(land.message, LandSettings::default().message);
        assert_eq!(settings.origins.get("land.to"), Some(&Layer::Repository));
        assert_eq!(settings.origins.get("land.message"), Some(&Layer::Default));
        let word = parse_config(r#"{"land": "commit"}"#).expect_err("it is an object");
        assert_eq!((word.path.as_str(), word.line), ("land", 1));
    }

    #[test]
    fn a_run_of_an_older_version_has_settings_still() {
        let mut settings = serde_json::to_value(Settings::default()).expect("JSON");
        settings["land"] = "working-tree".into();
        let read: Settings = serde_json::from_value(settings).expect("reads");
        assert_eq!(read.land, LandSettings::default());
    }
}
