//! A request to a model, whatever its dialect: the tools on offer and what was said so far.

use serde_json::Value;

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    /// The group it is called by, which codex has for the tools of a server.
    pub namespace: Option<String>,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

/// One thing of a conversation, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Words of the person, or of the agent's program in their name.
    Person(String),
    /// Words of the model.
    Model(String),
    /// A tool the model called.
    Call { id: String, name: String },
    /// What the tool gave back.
    Result { id: String, text: String },
}

/// What was asked of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub model: String,
    /// Whether the answer is wanted as a stream of events.
    pub stream: bool,
    pub tools: Vec<Tool>,
    pub items: Vec<Item>,
}

impl Request {
    /// Tells whether this is a turn of the agent, rather than one of the small questions agents ask beside it, such as
    /// for a title.
    pub fn is_turn(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Returns how many tool results the current turn holds. A turn begins with words of a person that follow last
    /// words of the model, so neither a resumed session nor steering in the middle starts it again.
    pub fn results(&self) -> usize {
        let (mut count, mut closed) = (0, true);
        for item in &self.items {
            match item {
                Item::Person(_) if closed => count = 0,
                Item::Person(_) => {}
                Item::Model(_) => closed = true,
                Item::Call { .. } => closed = false,
                Item::Result { id, .. } => {
                    closed = false;
                    count += usize::from(!self.is_search(id));
                }
            }
        }
        count
    }

    /// Returns the last words of a person.
    pub fn words(&self) -> &str {
        let person = |item: &'_ Item| matches!(item, Item::Person(_));
        match self.items.iter().rev().find(|item| person(item)) {
            Some(Item::Person(text)) => text,
            _ => "",
        }
    }

    /// Returns what the last tool gave back.
    pub fn last_result(&self) -> Option<&str> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Result { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }

    /// Tells whether the call only looked for a tool, which claude needs for servers it loads late.
    fn is_search(&self, id: &str) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, Item::Call { id: call, name } if call == id && name == "ToolSearch"))
    }
}

/// Returns the words of a content field: a string, or a list of blocks with texts.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str().or(block.as_str()));
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Object(_) => content["text"].as_str().map_or_else(|| content.to_string(), str::to_owned),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> [Item; 2] {
        [Item::Call { id: id.into(), name: "bash".into() }, Item::Result { id: id.into(), text: "ok".into() }]
    }

    #[test]
    fn results_are_those_of_the_current_turn() {
        let person = || [Item::Person("do it".into())];
        let model = || [Item::Model("done".into())];
        let count = |items: &[&[Item]]| Request { items: items.concat(), ..Request::default() }.results();
        assert_eq!(count(&[&person()]), 0);
        assert_eq!(count(&[&person(), &call("1"), &call("2")]), 2);
        assert_eq!(count(&[&person(), &call("1"), &person(), &call("2")]), 2, "steering does not start again");
        assert_eq!(count(&[&person(), &call("1"), &model(), &person()]), 0, "a resumed session does");
        let search = Item::Call { id: "s".into(), name: "ToolSearch".into() };
        let found = Item::Result { id: "s".into(), text: String::new() };
        assert_eq!(count(&[&person(), &[search, found], &call("1")]), 1, "looking for a tool is no step");
    }
}
