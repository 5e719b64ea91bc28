//! The choice of a model by the protocol's own means, pure: a session's option of the category `model`, or the list of
//! models of an earlier draft.

use serde_json::Value;

/// How a session lets its model be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Models {
    pub current: Option<String>,
    /// What the agent calls its models.
    pub offered: Vec<String>,
    pub means: Means,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// By the session's option with this id.
    Option(String),
    /// By `session/set_model`.
    Model,
    /// Not at all.
    None,
}

impl Models {
    /// Reads them from the answer to `session/new`, `session/load` or `session/resume`.
    pub fn of_session(answer: &Value) -> Self {
        let options = answer["configOptions"].as_array();
        if let Some(option) = options.and_then(|options| options.iter().find(|option| option["category"] == "model"))
            && let Some(id) = option["id"].as_str()
        {
            let mut offered = Vec::new();
            values_of(&option["options"], &mut offered);
            return Self { current: text(&option["currentValue"]), offered, means: Means::Option(id.to_owned()) };
        }
        let models = &answer["models"];
        if let Some(list) = models["availableModels"].as_array() {
            let offered = list.iter().filter_map(|model| text(&model["modelId"])).collect();
            return Self { current: text(&models["currentModelId"]), offered, means: Means::Model };
        }
        Self { current: None, offered: Vec::new(), means: Means::None }
    }

    /// Returns the agent's own name for a model: the same, or the only one that ends in it after a `/`.
    pub fn name_of(&self, wanted: &str) -> String {
        if self.offered.iter().any(|offered| offered == wanted) {
            return wanted.to_owned();
        }
        let ends = |offered: &&String| offered.rsplit('/').next() == Some(wanted);
        let mut found = self.offered.iter().filter(ends);
        match (found.next(), found.next()) {
            (Some(only), None) => only.clone(),
            _ => wanted.to_owned(),
        }
    }

    /// The names of some models, for a person.
    pub fn some(&self) -> String {
        let names: Vec<&str> = self.offered.iter().take(12).map(String::as_str).collect();
        let more = if self.offered.len() > names.len() { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

/// Collects the values of a select, whose options may stand in groups.
fn values_of(options: &Value, into: &mut Vec<String>) {
    for option in options.as_array().into_iter().flatten() {
        match text(&option["value"]) {
            Some(value) => into.push(value),
            None => values_of(&option["options"], into),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways_of_offering_models_are_read() {
        let grouped = json!({ "configOptions": [
            { "id": "mode", "category": "mode", "type": "select", "currentValue": "a", "options": [] },
            { "id": "m", "category": "model", "type": "select", "currentValue": "p/one", "options": [
                { "group": "p", "name": "P", "options": [{ "value": "p/one", "name": "One" }] },
                { "value": "q/two", "name": "Two" },
            ] },
        ] });
        let models = Models::of_session(&grouped);
        assert_eq!(models.means, Means::Option("m".into()));
        assert_eq!((models.current.as_deref(), models.some().as_str()), (Some("p/one"), "p/one, q/two"));
        let listed =
            json!({ "models": { "currentModelId": "x", "availableModels": [{ "modelId": "x" }, { "modelId": "y" }] } });
        let models = Models::of_session(&listed);
        assert_eq!((models.means.clone(), models.offered.len()), (Means::Model, 2));
        assert_eq!(Models::of_session(&json!({ "sessionId": "s" })).means, Means::None);
    }

    #[test]
    fn a_model_is_found_without_its_provider_when_only_one_fits() {
        let offered = ["p/one", "q/one", "q/two"].map(str::to_owned).to_vec();
        let models = Models { current: None, offered, means: Means::Model };
        for (wanted, expected) in [("q/two", "q/two"), ("two", "q/two"), ("one", "one"), ("three", "three")] {
            assert_eq!(models.name_of(wanted), expected);
        }
    }
}
