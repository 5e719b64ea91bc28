//! What `status --json` says, in the words of the tests.

use serde_json::Value;

/// The document.
#[derive(Clone, Debug)]
pub struct Status(Value);

impl Status {
    pub(super) fn new(document: Value) -> Self {
        assert_eq!(document["version"], 1, "{document}");
        Self(document)
    }

    /// Returns the document itself.
    pub fn json(&self) -> &Value {
        &self.0
    }

    #[track_caller]
    fn task(&self, id: &str) -> &Value {
        let mut tasks = self.0["tasks"].as_array().expect("tasks").iter();
        tasks.find(|task| task["id"] == id).unwrap_or_else(|| panic!("no task {id} in {:#}", self.0))
    }

    /// Returns the live state.
    #[track_caller]
    pub fn state(&self, id: &str) -> &str {
        self.task(id)["state"].as_str().expect("a state")
    }

    /// Returns why it does not run.
    #[track_caller]
    pub fn why(&self, id: &str) -> &str {
        self.task(id)["why"].as_str().expect("a sentence")
    }

    /// Returns the outcomes of the task's attempts, in order.
    #[track_caller]
    pub fn outcomes(&self, id: &str) -> Vec<&str> {
        let attempts = self.task(id)["attempts"].as_array().expect("attempts").iter();
        attempts.map(|attempt| attempt["outcome"].as_str().unwrap_or("none")).collect()
    }

    /// Returns what is said about the end of an attempt, counted from 1.
    #[track_caller]
    pub fn detail(&self, id: &str, attempt: usize) -> &str {
        self.task(id)["attempts"][attempt - 1]["detail"].as_str().expect("a sentence")
    }

    /// Returns the check results of an attempt, counted from 1.
    #[track_caller]
    pub fn checks(&self, id: &str, attempt: usize) -> &Value {
        &self.task(id)["attempts"][attempt - 1]["checks"]
    }

    /// Returns the open questions about a task.
    pub fn questions(&self, id: &str) -> Vec<&Value> {
        let decisions = self.0["decisions"].as_array().expect("decisions").iter();
        decisions.filter(|decision| decision["task"] == id).collect()
    }

    /// Returns the only open question about a task.
    #[track_caller]
    pub fn question(&self, id: &str) -> &Value {
        let questions = self.questions(id);
        assert_eq!(questions.len(), 1, "{:#}", self.0["decisions"]);
        questions[0]
    }

    /// Returns the labels of a question's options.
    #[track_caller]
    pub fn options(&self, id: &str) -> Vec<&str> {
        let options = self.question(id)["options"].as_array().expect("options").iter();
        options.map(|option| option["label"].as_str().expect("a label")).collect()
    }

    /// Returns the proposal of a task.
    pub fn proposal(&self, id: &str) -> Option<&Value> {
        self.0["proposals"].as_array().expect("proposals").iter().find(|proposal| proposal["task"] == id)
    }
}
