//! The book of progress tokens: what may be sent about each, given what the client said about it.
//!
//! A token goes `Asked → Begun → gone`. Nothing is reported on a token before the client accepted it, and the last word
//! said in the meantime is not lost. A refused token is forgotten together with all that is said about it.

use super::outbound::PROGRESS;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What the outbound task has to send for a step of a token.
#[derive(Debug, PartialEq)]
pub enum Send {
    /// `window/workDoneProgress/create`; its answer comes back through [`Book::created`].
    Create(String),
    /// A `$/progress` notification with these parameters.
    Notify(&'static str, Value),
}

/// One step of a piece of work that is shown to the person.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Work begins under a title; `cancellable` offers a button.
    Begin { title: String, message: Option<String>, cancellable: bool },
    /// The state in words, and in percent where it is known.
    Report { message: String, percentage: Option<u32> },
    /// Work ended; the message is the last one shown.
    End { message: Option<String> },
}

#[derive(Debug)]
enum Token {
    Asked { title: String, cancellable: bool, message: Option<String>, percentage: Option<u32> },
    Begun,
}

/// The tokens that are alive.
#[derive(Debug, Default)]
pub struct Book {
    tokens: HashMap<String, Token>,
}

impl Book {
    /// Takes one step and returns what to send now.
    pub fn step(&mut self, token: &str, step: Step) -> Vec<Send> {
        match (self.tokens.get_mut(token), step) {
            (None, Step::Begin { title, message, cancellable }) => {
                let asked = Token::Asked { title, cancellable, message, percentage: None };
                self.tokens.insert(token.to_owned(), asked);
                vec![Send::Create(token.to_owned())]
            }
            (Some(Token::Asked { message, percentage, .. }), Step::Report { message: new, percentage: part }) => {
                *message = Some(new);
                *percentage = part;
                Vec::new()
            }
            (Some(Token::Begun), Step::Report { message, percentage }) => {
                vec![notify(token, json!({ "kind": "report", "message": message, "percentage": percentage }))]
            }
            (Some(Token::Asked { .. }), Step::End { .. }) => {
                self.tokens.remove(token);
                Vec::new()
            }
            (Some(Token::Begun), Step::End { message }) => {
                self.tokens.remove(token);
                vec![notify(token, json!({ "kind": "end", "message": message }))]
            }
            (None, Step::Report { .. } | Step::End { .. }) | (Some(_), Step::Begin { .. }) => Vec::new(),
        }
    }

    /// Takes the client's answer to `create`.
    pub fn created(&mut self, token: &str, accepted: bool) -> Vec<Send> {
        let Some(state @ Token::Asked { .. }) = self.tokens.get_mut(token) else { return Vec::new() };
        if !accepted {
            self.tokens.remove(token);
            return Vec::new();
        }
        let Token::Asked { title, cancellable, message, percentage } = std::mem::replace(state, Token::Begun) else {
            return Vec::new();
        };
        let begin = json!({
            "kind": "begin", "title": title, "cancellable": cancellable, "message": message, "percentage": percentage,
        });
        vec![notify(token, begin)]
    }
}

fn notify(token: &str, mut value: Value) -> Send {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, field| !field.is_null());
    }
    Send::Notify(PROGRESS, json!({ "token": token, "value": value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Step {
        Step::Begin { title: "T".into(), message: None, cancellable: true }
    }

    fn report(message: &str) -> Step {
        Step::Report { message: message.into(), percentage: None }
    }

    fn kinds(sends: &[Send]) -> Vec<String> {
        let kind = |send: &Send| match send {
            Send::Create(token) => format!("create {token}"),
            Send::Notify(_, params) => {
                format!("{} {}", params["value"]["kind"], params["value"]["message"]).replace('"', "")
            }
        };
        sends.iter().map(kind).collect()
    }

    #[test]
    fn nothing_is_said_before_the_token_was_accepted_and_the_last_word_is_kept() {
        let mut book = Book::default();
        assert_eq!(kinds(&book.step("a", begin())), ["create a"]);
        assert_eq!(book.step("a", report("one")), []);
        assert_eq!(book.step("a", report("two")), []);
        assert_eq!(kinds(&book.created("a", true)), ["begin two"]);
        assert_eq!(kinds(&book.step("a", report("three"))), ["report three"]);
        assert_eq!(kinds(&book.step("a", Step::End { message: Some("over".into()) })), ["end over"]);
        assert_eq!(book.step("a", report("late")), []);
    }

    #[test]
    fn a_refused_token_is_never_used() {
        let mut book = Book::default();
        book.step("a", begin());
        assert_eq!(book.created("a", false), []);
        assert_eq!(book.step("a", report("one")), []);
        assert_eq!(book.step("a", Step::End { message: None }), []);
    }

    #[test]
    fn work_that_ends_before_the_answer_shows_nothing() {
        let mut book = Book::default();
        book.step("a", begin());
        assert_eq!(book.step("a", Step::End { message: None }), []);
        assert_eq!(book.created("a", true), []);
    }
}
