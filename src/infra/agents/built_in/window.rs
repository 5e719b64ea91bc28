//! How a conversation is kept inside a model's context window, without touching the world.
//!
//! The task, the rules and what people said are never touched. What goes first is what can be got again: the oldest outputs of tools,
//! then long arguments of old calls, then whole old steps, and only then what the last step gave.

use super::chat::{Arguments, Message, Spoken};
use serde_json::Value;

/// Bytes per token, times ten: what tokenizers make of code and English is seldom below.
const BYTES_PER_TEN_TOKENS: u64 = 35;
/// What a message costs beside its text.
const PER_MESSAGE: u64 = 6;
/// Outputs and arguments up to so many bytes cost less than the line that would stand for them.
const SHORT: usize = 160;

/// Estimates tokens; learns from what the endpoint counted.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// What the tools cost in every call, as an uncorrected estimate.
    tools: u64,
    /// By how much this model's tokens are more than the plain estimate; never below 1.
    factor: f64,
    /// What was counted last, in relation to the plain estimate.
    ratio: Option<f64>,
}

impl Gauge {
    pub fn new(tools: &[Value]) -> Self {
        Self { tools: size_of(tools), factor: 1.0, ratio: None }
    }

    /// Goes on with other tools. What was learnt of the model's tokens stays.
    pub fn tell(&mut self, tools: &[Value]) {
        self.tools = size_of(tools);
    }

    /// Estimates the whole prompt, rather too high than too low.
    pub fn estimate(&self, messages: &[Message]) -> u64 {
        (self.plain(messages) as f64 * self.factor).ceil() as u64
    }

    /// Takes over what the endpoint counted for a prompt that it read whole. A count below the estimate does not lower
    /// later estimates: it may leave out what came from a cache.
    pub fn learn(&mut self, messages: &[Message], counted: u64) {
        let plain = self.plain(messages);
        if counted > 0 && plain > 0 {
            let ratio = counted as f64 / plain as f64;
            self.ratio = Some(ratio);
            self.factor = self.factor.max(ratio);
        }
    }

    /// Estimates half as much again from now on, after a prompt turned out not to fit.
    pub fn mistrust(&mut self) {
        self.factor *= 1.5;
    }

    /// Tells whether a count shows that the prompt may not have been read whole: it is nearer to the window than any prompt
    /// is meant to be, or far below what such a prompt must have. Only a prompt near the window is suspected of the
    /// latter; a count of 0 tells nothing.
    pub fn is_cut(&self, messages: &[Message], counted: u64, window: u64) -> bool {
        let plain = self.plain(messages) as f64;
        let near = self.factor.max(1.0) * plain >= window as f64 * 0.6;
        let least = plain * self.ratio.unwrap_or(0.7) * 0.7;
        counted > 0 && (counted > room(window) || (near && (counted as f64) < least))
    }

    fn plain(&self, messages: &[Message]) -> u64 {
        self.tools + messages.iter().map(size).sum::<u64>()
    }
}

/// The estimate of tools before any correction.
fn size_of(tools: &[Value]) -> u64 {
    tools.iter().map(|tool| plain(&tool.to_string())).sum()
}

/// The estimate of a text before any correction.
fn plain(text: &str) -> u64 {
    (text.len() as u64 * 10).div_ceil(BYTES_PER_TEN_TOKENS)
}

fn size(message: &Message) -> u64 {
    PER_MESSAGE
        + match message {
            Message::System { text } | Message::User { text } | Message::Heard { text } => plain(text),
            Message::Tool { text, name, .. } => plain(text) + plain(name),
            Message::Assistant(spoken) => spoken_size(spoken),
        }
}

fn spoken_size(spoken: &Spoken) -> u64 {
    let echo: u64 = spoken.echo.values().map(|value| plain(&value.to_string())).sum();
    let calls = spoken.calls.iter().map(|call| {
        let arguments = match &call.arguments {
            Arguments::Read(map) => plain(&Value::Object(map.clone()).to_string()),
            Arguments::Broken { .. } => 1,
        };
        PER_MESSAGE + plain(&call.name) + arguments
    });
    plain(&spoken.text) + echo + calls.sum::<u64>()
}

/// How much of the window is left for the prompt: an eighth, at most 4,096 tokens, is for the answer.
pub fn room(window: u64) -> u64 {
    window - (window / 8).min(4096)
}

/// How many bytes one output of a tool may have, so that a few of them fit.
pub fn output_limit(window: Option<u64>) -> usize {
    const MOST: u64 = 32 * 1024;
    let bytes = window.map_or(MOST, |window| (window * 3 / 4).min(MOST));
    usize::try_from(bytes).unwrap_or(usize::MAX).max(512)
}

/// It does not fit, whatever is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Tokens of what must stay, as estimated.
    pub needed: u64,
    pub room: u64,
}

/// The conversation: the rules, the task, then steps, each an answer with the outputs of its tools or a word of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    messages: Vec<Message>,
    /// How many of the first messages are never touched.
    kept: usize,
    steps_left_out: usize,
}

impl Conversation {
    pub fn new(rules: String, task: String) -> Self {
        let messages = vec![Message::System { text: rules }, Message::User { text: task }];
        Self { messages, kept: 2, steps_left_out: 0 }
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// Makes it fit into `room` tokens; returns how many things were dropped, none when it fits as it is.
    ///
    /// Where anything has to go, a quarter of the room is freed beyond need: every change of an early message makes
    /// the endpoint read all that follows again.
    ///
    /// # Errors
    ///
    /// When rules, task and the calls of the last step alone are too large. Then all that can be dropped was dropped.
    pub fn fit(&mut self, gauge: &Gauge, room: u64) -> Result<usize, NoRoom> {
        let mut dropped = 0;
        if gauge.estimate(&self.messages) <= room {
            return Ok(dropped);
        }
        let target = room / 4 * 3;
        let ways: [fn(&mut Self) -> bool; 3] = [Self::drop_an_output, Self::drop_an_argument, Self::drop_a_step];
        for way in ways {
            while gauge.estimate(&self.messages) > target && way(self) {
                dropped += 1;
            }
        }
        while gauge.estimate(&self.messages) > room && self.drop_a_last_output() {
            dropped += 1;
        }
        let needed = gauge.estimate(&self.messages);
        if needed <= room { Ok(dropped) } else { Err(NoRoom { needed, room }) }
    }

    /// Drops the oldest output of a tool but the very last one.
    fn drop_an_output(&mut self) -> bool {
        let last = self.messages.iter().rposition(|message| matches!(message, Message::Tool { .. }));
        for message in self.messages.iter_mut().take(last.unwrap_or(0)) {
            if let Message::Tool { name, text, .. } = message
                && text.len() > SHORT
            {
                *text =
                    format!("(The output of this call of `{name}` was dropped to save room: {} bytes.)", text.len());
                return true;
            }
        }
        false
    }

    /// Drops the oldest output of the last step that is still there, and asks for less.
    fn drop_a_last_output(&mut self) -> bool {
        let last = self.last_answer();
        for message in self.messages.iter_mut().skip(last) {
            if let Message::Tool { text, .. } = message
                && text.len() > SHORT
            {
                *text = format!(
                    "(This output has {} bytes, too many for the room left. Ask for a smaller part.)",
                    text.len()
                );
                return true;
            }
        }
        false
    }

    /// Shortens the oldest long argument, or forgets the oldest reasoning, of any step but the last.
    fn drop_an_argument(&mut self) -> bool {
        let last = self.last_answer();
        for message in self.messages.iter_mut().take(last) {
            let Message::Assistant(spoken) = message else { continue };
            if !spoken.echo.is_empty() {
                spoken.echo.clear();
                return true;
            }
            for call in &mut spoken.calls {
                let Arguments::Read(map) = &mut call.arguments else { continue };
                let long = map.values_mut().find(|value| value.to_string().len() > SHORT);
                if let Some(value) = long {
                    *value = Value::String(format!("({} bytes, dropped to save room)", value.to_string().len()));
                    return true;
                }
            }
        }
        false
    }

    /// Leaves out the oldest step but the last one, and says so in one line after the task. What people said in it stays.
    fn drop_a_step(&mut self) -> bool {
        let last = self.last_answer();
        let is_answer = |message: &Message| matches!(message, Message::Assistant(_));
        let Some(begin) = self.messages.iter().position(is_answer).filter(|begin| *begin < last) else { return false };
        let next = self.messages[begin + 1..].iter().position(is_answer).map_or(last, |at| begin + 1 + at);
        let mut step: Vec<Message> = self.messages.drain(begin..next).collect();
        step.retain(|message| matches!(message, Message::Heard { .. }));
        self.messages.splice(begin..begin, step);
        self.steps_left_out += 1;
        let text = format!("(To save room, your first {} steps of this task are left out here.)", self.steps_left_out);
        if self.steps_left_out == 1 {
            self.messages.insert(self.kept, Message::User { text });
        } else {
            self.messages[self.kept] = Message::User { text };
        }
        true
    }

    /// Where the last answer of the model is; at the end when there is none.
    fn last_answer(&self) -> usize {
        let last = self.messages.iter().rposition(|message| matches!(message, Message::Assistant(_)));
        last.unwrap_or(self.messages.len())
    }
}

#[cfg(test)]
#[path = "tests/window.rs"]
mod tests;
