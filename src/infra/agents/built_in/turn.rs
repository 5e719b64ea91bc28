//! The loop: the model says which tools to call, we call them, until it has reported or a bound is reached.

use super::chat::{Answer, Finish, Message, Spoken, ToolCall};
use super::client::Model;
use super::failure::{Failure, Meaning, shorten};
use super::tools::{self, Outcome as Called, Toolbox, title};
use super::window::{Conversation, Gauge, NoRoom, room};
use crate::domain::ending::{Ending, Scope, Usage};
use crate::domain::outcome::Outcome;
use crate::infra::agents::Session;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use crate::protocol::report_tools::{Way, unread};
use jiff::Timestamp;

/// Answers of the model in one turn.
const MOST_ANSWERS: u32 = 200;
/// Equal wrong calls in a row after which the model is given up.
const EQUAL_WRONG_CALLS: u32 = 3;
/// Characters of a tool's output in the transcript.
const SHOWN: usize = 2_000;

/// One turn of one model.
pub struct Turn<'a> {
    session: &'a mut Session,
    model: Model,
    toolbox: Toolbox,
    talk: Conversation,
    gauge: Gauge,
    /// Whether it was told, since its last call, that it has to report.
    reminded: bool,
    /// The last wrong call and how often it came in a row.
    wrong: Option<(ToolCall, u32)>,
    tells_usage: bool,
    /// The model that answered last, by its own name.
    answered_by: Option<String>,
    /// Whether its last answer was cut though the window had room.
    cut_short: bool,
}

/// How an answer is to be gone on from.
enum Heard {
    Answer(Answer),
    /// It was cut, room was made, ask again.
    Again,
}

impl<'a> Turn<'a> {
    pub fn new(session: &'a mut Session, model: Model, toolbox: Toolbox, rules: String) -> Self {
        let talk = Conversation::new(rules, session.prompt().to_owned());
        let gauge = Gauge::new(&toolbox.as_told());
        Self {
            session,
            model,
            toolbox,
            talk,
            gauge,
            reminded: false,
            wrong: None,
            tells_usage: true,
            answered_by: None,
            cut_short: false,
        }
    }

    /// Goes on until there is an end.
    pub async fn go(mut self) -> Ending {
        let mut ending = None;
        for number in 1..=MOST_ANSWERS {
            if let Err(reached) = self.step(number).await {
                ending = Some(*reached);
                break;
            }
        }
        let mut ending = ending.unwrap_or_else(|| {
            Ending::regular(format!("ended after {MOST_ANSWERS} answers of the model without a report"))
        });
        if ending.model.is_none() {
            ending.model = self.answered_by.or(Some(self.model.name));
        }
        ending
    }

    /// Asks once and carries out what is answered; the error is how the turn ends.
    async fn step(&mut self, number: u32) -> Result<(), Box<Ending>> {
        self.hear().await;
        let answer = match self.ask(number).await? {
            Heard::Answer(answer) => answer,
            Heard::Again => return self.within_budget(),
        };
        let spoken = answer.spoken;
        self.show(&spoken);
        self.talk.push(Message::Assistant(spoken.clone()));
        if spoken.calls.is_empty() {
            self.no_call(&spoken)?;
        } else {
            self.reminded = false;
            for call in &spoken.calls {
                self.call(call).await?;
            }
        }
        self.within_budget()
    }

    /// Takes in what a person said since the last look. What cannot be read now stays unread.
    async fn hear(&mut self) {
        let Some(attempt) = self.toolbox.attempt() else { return };
        let look = move || {
            let mut heard = None;
            let told = attempt.hand_on(|messages| {
                heard = unread(messages, Way::Tool);
                Ok(())
            });
            (heard, told)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok((heard, told)) => {
                if let Err(error) = told {
                    self.session.note(format!("failed to {error}"));
                }
                if let Some(text) = heard {
                    self.session.note("words of the user were handed on");
                    self.talk.push(Message::Heard { text });
                }
            }
            Err(error) => self.session.note(format!("failed to look into the inbox: {error}")),
        }
    }

    fn within_budget(&self) -> Result<(), Box<Ending>> {
        match self.session.over_budget() {
            Some(why) => end(Ending::failed(Outcome::BudgetExceeded, format!("stopped: {why}"))),
            None => Ok(()),
        }
    }

    /// Makes the conversation fit, asks the model to go on, and takes over what it cost.
    async fn ask(&mut self, number: u32) -> Result<Heard, Box<Ending>> {
        if let Some(window) = self.model.window {
            self.fit(room(window))?;
        }
        let session = &mut *self.session;
        let mut retried = |why: &str| session.note(format!("{}; trying once more", shorten(why, 200)));
        let asked = self.model.ask(self.talk.messages(), self.toolbox.specs(), number, &mut retried).await;
        match asked {
            Ok(answer) => {
                self.answered_by = answer.model.clone().or(self.answered_by.take());
                self.cost(answer.usage);
                Ok(if self.check(&answer)? { Heard::Answer(answer) } else { Heard::Again })
            }
            Err(failure) => match failure.meaning(&self.model.subject(), Timestamp::now()) {
                Meaning::TooLong { window, words } => self.too_long(window, &words).map(|()| Heard::Again),
                Meaning::Ends(ending) => end(self.with_models(ending, &failure).await),
            },
        }
    }

    /// Adds what a call cost to what the turn cost.
    fn cost(&mut self, usage: Option<Usage>) {
        match usage {
            Some(usage) => {
                let mut sum = self.session.usage();
                sum.add(&usage);
                self.session.used(sum);
            }
            None if self.tells_usage => {
                self.tells_usage = false;
                self.session
                    .note("the endpoint does not tell how many tokens a call takes, so a limit of them is not kept");
            }
            None => {}
        }
    }

    /// Tells whether the prompt was read whole and the answer written whole; learns from the count if they were. If not,
    /// makes room, or tells the model where room was not what it lacked.
    fn check(&mut self, answer: &Answer) -> Result<bool, Box<Ending>> {
        let Usage { input_tokens, output_tokens, .. } = answer.usage.unwrap_or_default();
        let messages = self.talk.messages();
        let window = self.model.window;
        if !window.is_some_and(|window| self.gauge.is_cut(messages, input_tokens, window)) {
            self.gauge.learn(messages, input_tokens);
            if answer.finish == Finish::Whole {
                self.cut_short = false;
                return Ok(true);
            }
            let had_room = window.is_none_or(|window| (input_tokens + output_tokens).saturating_mul(10) < window * 9);
            if had_room && !self.cut_short {
                self.cut_short = true;
                self.tell_it_was_cut(&answer.spoken);
                return Ok(false);
            }
        }
        let name = &self.model.name;
        self.shrink(&format!(
            "the context window of `{name}` is full: it read {input_tokens} tokens and wrote {output_tokens}"
        ))?;
        Ok(false)
    }

    /// The endpoint bounds answers: what was cut is not carried out, and the model is asked for smaller steps.
    fn tell_it_was_cut(&mut self, spoken: &Spoken) {
        let text = if spoken.text.is_empty() { "(cut off)".to_owned() } else { spoken.text.clone() };
        self.talk.push(Message::Assistant(Spoken { text, ..Spoken::default() }));
        let text = "Your answer was too long and was cut off; nothing of it was done. Take a smaller step: write a large \
                    file in several edits.";
        self.session.note(text);
        self.talk.push(Message::User { text: text.to_owned() });
    }

    /// Takes over a window that a refusal names, which is the truth, and makes room in it: fewer tools in fewer words, then
    /// fewer outputs and steps. A window no smaller than the one we knew says that our estimate is off.
    fn too_long(&mut self, window: Option<u64>, words: &str) -> Result<(), Box<Ending>> {
        let what = format!("the prompt is too long for `{}`: {words}", self.model.name);
        let news = window.filter(|window| self.model.window.is_none_or(|known| *window < known));
        let Some(window) = news else { return self.shrink(&what) };
        self.model.window = Some(window);
        let before = self.gauge.estimate(self.talk.messages());
        let fewer = if self.narrow(window) { "; offers fewer tools, in fewer words" } else { "" };
        let dropped = match self.talk.fit(&self.gauge, room(window)) {
            Ok(0) => String::new(),
            Ok(dropped) => format!("; dropped {dropped} of the oldest outputs and steps"),
            Err(_) => "; dropped all old outputs and steps".to_owned(),
        };
        if self.gauge.estimate(self.talk.messages()) >= before {
            return self.shrink(&what);
        }
        self.session.note(format!("{what}{fewer}{dropped}"));
        Ok(())
    }

    /// Offers only what fits a window that was not known when the turn began; tells whether that is less than before.
    fn narrow(&mut self, window: u64) -> bool {
        let before = self.toolbox.as_told();
        self.toolbox.fit(self.session.order().role, window);
        let now = self.toolbox.as_told();
        self.gauge.tell(&now);
        now != before
    }

    /// Drops a part of the conversation, and mistrusts the estimate from now on.
    fn shrink(&mut self, what: &str) -> Result<(), Box<Ending>> {
        let estimate = self.gauge.estimate(self.talk.messages());
        let mut target = estimate / 4 * 3;
        if let Some(window) = self.model.window {
            target = target.min(room(window));
        }
        match self.talk.fit(&self.gauge, target) {
            Ok(dropped) => {
                self.gauge.mistrust();
                self.session.note(format!("{what}; dropped {dropped} of the oldest outputs and steps"));
                Ok(())
            }
            // Something went, if not enough; the next answer shows whether it was.
            Err(_) if self.gauge.estimate(self.talk.messages()) < estimate => {
                self.session.note(format!("{what}; dropped all old outputs and steps"));
                Ok(())
            }
            // A refusal need not name the window; nobody is refused this much but by a small one.
            Err(_) if self.model.window.is_none() && self.narrow(tools::SMALL - 1) => {
                self.session.note(format!("{what}; offers fewer tools, in fewer words"));
                Ok(())
            }
            Err(NoRoom { needed, .. }) => end(Ending {
                scope: Scope::Model,
                ..Ending::failed(
                    Outcome::ContextExhausted,
                    format!(
                        "{what}; nothing is left to drop: the task and the last step take about {needed} tokens{}. \
                         Split the task, or take a model with a larger window",
                        self.model.window.map_or_else(String::new, |window| format!(" of {window}"))
                    ),
                )
            }),
        }
    }

    fn fit(&mut self, room: u64) -> Result<(), Box<Ending>> {
        match self.talk.fit(&self.gauge, room) {
            Ok(0) => Ok(()),
            Ok(dropped) => {
                self.session
                    .note(format!("dropped {dropped} of the oldest outputs and steps to stay below {room} tokens"));
                Ok(())
            }
            Err(NoRoom { needed, room }) => end(Ending {
                scope: Scope::Model,
                ..Ending::failed(
                    Outcome::ContextExhausted,
                    format!(
                        "the task takes about {needed} tokens with its tools and last step, and `{}` has room for {room} \
                         beside its answer. Split the task, or take a model with a larger window",
                        self.model.name
                    ),
                )
            }),
        }
    }

    /// Adds to a missing model which ones there are.
    async fn with_models(&self, mut ending: Ending, failure: &Failure) -> Ending {
        let is_missing = ending.failure == Some(Outcome::ModelUnavailable) && ending.scope == Scope::Model;
        if is_missing
            && !matches!(failure, Failure::Stopped)
            && let Ok(models) = self.model.endpoint.models().await
            && !models.is_empty()
        {
            ending.detail.push_str(&format!(". It has {}", super::client::named(&models)));
        }
        ending
    }

    fn show(&mut self, spoken: &Spoken) {
        for (text, is_thought) in [(&spoken.thought, true), (&spoken.text, false)] {
            let text = text.trim();
            if !text.is_empty() {
                let text = text.to_owned();
                self.session.say(&if is_thought { AgentLine::Thought { text } } else { AgentLine::Said { text } });
            }
        }
    }

    /// It called nothing: it is reminded once, then that was it.
    fn no_call(&mut self, spoken: &Spoken) -> Result<(), Box<Ending>> {
        // The last resort of the prompt, which the engine reads from the last words.
        let reports_in_words = spoken.text.lines().any(|line| line.trim_start().starts_with("```ralph"));
        if self.reminded || reports_in_words {
            return end(Ending::regular("the model stopped calling tools"));
        }
        self.reminded = true;
        let last = tools::last_tools(self.session.order().role);
        let text = format!("You called no tool. Go on with the task by calling tools; when it is over, call {last}.");
        self.session.note(text.clone());
        self.talk.push(Message::User { text });
        Ok(())
    }

    /// Carries out one call, shows it, and puts its output into the conversation.
    async fn call(&mut self, call: &ToolCall) -> Result<(), Box<Ending>> {
        let title = title(call);
        let line = |status, detail: &str| AgentLine::Tool {
            id: call.id.clone(),
            title: title.clone(),
            status,
            detail: shown(detail),
        };
        self.session.say(&line(ToolStatus::Started, ""));
        let called = self.toolbox.call(call).await;
        if self.session.stop().is_cancelled() {
            return end(Ending::failed(Outcome::Cancelled, "stopped as asked"));
        }
        let (status, text) = match &called {
            Called::Done(text) => (ToolStatus::Completed, text.clone()),
            Called::Over(text) => (ToolStatus::Completed, text.clone()),
            Called::Last(_) => (ToolStatus::Completed, "reported".to_owned()),
            Called::Wrong(text) => (ToolStatus::Failed, text.clone()),
            Called::Broken(text) => (ToolStatus::Failed, format!("failed to {text}")),
        };
        self.session.say(&line(status, &text));
        match called {
            Called::Last(_) | Called::Over(_) => return end(Ending::regular(format!("reported by `{}`", call.name))),
            Called::Broken(text) => return end(Ending::failed(Outcome::Crashed, format!("failed to {text}"))),
            Called::Wrong(_) => self.count_wrong(call, &text)?,
            Called::Done(_) => self.wrong = None,
        }
        self.talk.push(Message::Tool { call: call.id.clone(), name: call.name.clone(), text });
        Ok(())
    }

    fn count_wrong(&mut self, call: &ToolCall, why: &str) -> Result<(), Box<Ending>> {
        let is_equal = |other: &ToolCall| other.name == call.name && other.arguments == call.arguments;
        let times = 1 + self.wrong.as_ref().filter(|(other, _)| is_equal(other)).map_or(0, |(_, times)| *times);
        if times >= EQUAL_WRONG_CALLS {
            let detail = format!(
                "the model made the same wrong call of `{}` {times} times in a row: {}",
                call.name,
                shorten(why, 300)
            );
            return end(Ending::failed(Outcome::InvalidOutput, detail));
        }
        self.wrong = Some((call.clone(), times));
        Ok(())
    }
}

/// Ends the turn.
fn end<T>(ending: Ending) -> Result<T, Box<Ending>> {
    Err(Box::new(ending))
}

/// How the transcript shows an output: its beginning.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}\n… ({} bytes more)", &text[..at], text.len() - at),
        None => text.to_owned(),
    }
}
