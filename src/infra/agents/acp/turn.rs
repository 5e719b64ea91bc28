//! One turn while it is on: lines of the program go to the protocol, what the protocol hears becomes lines of the
//! transcript, questions are answered, and bounds are kept.

use super::Surroundings;
use super::connection::{Answer, Connection, Incoming, Reply, RpcError};
use super::failures::Clock;
use super::permissions::{Rules, Verdict, option_for};
use super::questions;
use super::quirks::{Program, Signs};
use super::updates::{Updates, clipped};
use crate::domain::ending::{Ending, Usage};
use crate::domain::outcome::Outcome;
use crate::domain::report::Report;
use crate::infra::agent_side;
use crate::infra::agents::{AgentChild, ChildLine, Session};
use crate::protocol::agent_lines::AgentLine;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Characters of one line that is no message which are kept.
const LINE_LIMIT: usize = 4 * 1024;
/// Characters of such lines that are kept altogether.
const NOISE_LIMIT: usize = 256 * 1024;
/// The last lines that tell of a death.
const LAST_LINES: usize = 12;
/// A wait that has no end of its own: the engine's own limits of silence and of time end it.
const LONG: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a wait ended with.
pub(super) enum Waited {
    Answered(Result<Value, RpcError>),
    /// The time is over.
    Silent,
    /// Somebody wants the turn to end.
    Stopped,
    /// A bound of the order was reached, and the step that was on has ended.
    OverBudget(String),
    /// The agent asks for the same again and again, and would not end.
    Stuck,
}

/// A turn that is on.
pub(super) struct Turn<'a> {
    pub session: &'a mut Session,
    pub around: &'a Surroundings,
    pub child: AgentChild,
    pub link: Connection,
    pub program: Program,
    pub updates: Updates,
    pub signs: Signs,
    /// A session is told again: nothing of it is news.
    pub muted: bool,
    /// Whether the program sent any message of the protocol.
    pub spoke: bool,
    /// The last lines it printed that are no messages.
    pub printed: VecDeque<String>,
    noise: usize,
    /// A line for which the protocol has no room yet.
    held: Option<String>,
    /// The program's output has ended.
    closed: bool,
    asked: bool,
    over: Option<Over>,
    /// What earlier prompts of this turn used, by the agent's own count.
    counted: Usage,
    /// When the agent last gave a sign of work, or was given a prompt.
    heard_at: Instant,
}

/// A bound that was reached, the steps that are still on, and when they are waited for no longer.
struct Over {
    which: String,
    steps: HashSet<String>,
    until: Instant,
}

/// The part of a line that tells whether it is a message of the protocol.
#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "jsonrpc")]
    _version: IgnoredAny,
}

impl<'a> Turn<'a> {
    pub fn new(
        session: &'a mut Session,
        around: &'a Surroundings,
        child: AgentChild,
        link: Connection,
        program: Program,
    ) -> Self {
        Self {
            session,
            around,
            child,
            link,
            program,
            updates: Updates::default(),
            signs: Signs::default(),
            muted: false,
            spoke: false,
            printed: VecDeque::new(),
            noise: 0,
            held: None,
            closed: false,
            asked: false,
            over: None,
            counted: Usage::default(),
            heard_at: Instant::now(),
        }
    }

    /// Begins with a prompt, which the agent may answer with anything.
    pub fn begin(&mut self) {
        self.updates.begin_turn();
        self.signs.begin_turn();
        self.heard_at = Instant::now();
    }

    /// Returns for how long the agent gave no sign of work.
    pub fn silence(&self) -> Duration {
        self.heard_at.elapsed()
    }

    /// Waits for an answer and handles everything else meanwhile; a stop ends the wait.
    pub async fn wait(&mut self, answer: &mut Answer, limit: Option<Duration>) -> Waited {
        self.pump(answer, limit.unwrap_or(LONG), true).await
    }

    /// As [`Self::wait`], for an answer that is wanted although the turn is to end.
    pub async fn wait_all_the_same(&mut self, answer: &mut Answer, limit: Duration) -> Waited {
        self.pump(answer, limit, false).await
    }

    async fn pump(&mut self, answer: &mut Answer, limit: Duration, heed: bool) -> Waited {
        let stop = self.session.stop();
        let deadline = Instant::now() + limit;
        loop {
            if heed && self.signs.is_stuck(self.program) {
                return Waited::Stuck;
            }
            if heed && let Some(over) = &self.over {
                let steps_are_done = over.steps.iter().all(|step| !self.updates.is_open(step));
                if steps_are_done || Instant::now() >= over.until {
                    return Waited::OverBudget(over.which.clone());
                }
            }
            let until = self.over.as_ref().map_or(deadline, |over| deadline.min(over.until));
            tokio::select! {
                biased;
                () = stop.cancelled(), if heed => return Waited::Stopped,
                Some(incoming) = self.link.incoming.recv() => self.hear(incoming),
                result = &mut *answer => {
                    // What came before the answer is heard before it.
                    while let Ok(incoming) = self.link.incoming.try_recv() {
                        self.hear(incoming);
                    }
                    return Waited::Answered(result);
                }
                room = self.link.lines.clone().reserve_owned(), if self.held.is_some() => {
                    // Without room the protocol has ended; the answer says so.
                    if let (Ok(room), Some(line)) = (room, self.held.take()) {
                        room.send(line);
                    }
                }
                line = self.child.line_or_exit(), if self.held.is_none() && !self.closed => self.line(line),
                () = sleep_until(until) => if Instant::now() >= deadline {
                    return Waited::Silent;
                },
            }
        }
    }

    fn line(&mut self, line: Option<ChildLine>) {
        match line {
            Some(ChildLine::Out(line)) if is_message(&line) => {
                self.spoke = true;
                self.held = Some(line);
            }
            Some(ChildLine::Out(line) | ChildLine::Err(line)) => self.noise(&line),
            None => {
                self.closed = true;
                self.link.end_lines();
            }
        }
    }

    /// Keeps what a program that has ended printed last besides the protocol: its two streams come in any order, so that
    /// may be from long before its last message.
    pub async fn keep_rest(&mut self) {
        for line in self.child.rest().await {
            match line {
                ChildLine::Out(line) if is_message(&line) => {}
                ChildLine::Out(line) | ChildLine::Err(line) => self.noise(&line),
            }
        }
    }

    /// Keeps a line that is no message, as far as there is room for such.
    fn noise(&mut self, line: &str) {
        let line = clipped(line.trim_end(), LINE_LIMIT);
        if line.trim().is_empty() {
            return;
        }
        let before = self.noise;
        self.noise = self.noise.saturating_add(line.len());
        if self.noise <= NOISE_LIMIT {
            self.session.say(&AgentLine::Raw { text: line.clone() });
        } else if before <= NOISE_LIMIT {
            self.session.note("the agent prints so much besides the protocol that the rest of it is left out");
        }
        if self.printed.len() == LAST_LINES {
            self.printed.pop_front();
        }
        self.printed.push_back(line);
    }

    fn hear(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Update(update) => self.update(&update),
            Incoming::Notification { method, params } => {
                let message = format!("{method} {params}");
                if let Some(line) = self.updates.unknown(&message).filter(|_| !self.muted) {
                    self.session.say(&line);
                }
            }
            Incoming::Permission { params, reply } => self.permission(&params, reply),
            Incoming::Elicitation { params, reply } => {
                let report = questions::of_elicitation(&params);
                self.session.note(format!("the agent asks: {}", questions::question_of(&report)));
                reply.decline();
                self.ask(report);
            }
            Incoming::Unknown { method, reply } if self.program.only_tells(&method) => reply.done(),
            Incoming::Unknown { method, reply } => {
                self.session.note(format!("the agent asked for `{method}`, which it was not offered"));
                reply.not_offered();
            }
        }
    }

    fn update(&mut self, update: &Value) {
        let note = self.signs.hear(update, &mut self.updates);
        let lines = self.updates.hear(update, &self.around.cwd);
        if self.muted {
            return;
        }
        if !lines.is_empty() {
            self.heard_at = Instant::now();
        }
        note.into_iter().for_each(|note| self.session.note(note));
        lines.iter().for_each(|line| self.session.say(line));
        self.count();
    }

    /// Takes over what is known to be used, and looks at the bounds.
    fn count(&mut self) {
        let told = self.updates.usage();
        let mut usage = self.counted;
        // What a window held was read or written; what the agent itself counts is told apart.
        usage.input_tokens = usage.input_tokens.max(told.input_tokens.saturating_sub(usage.output_tokens));
        usage.usd = told.usd.or(usage.usd);
        self.session.used(usage);
        if self.over.is_none()
            && let Some(which) = self.session.over_budget()
        {
            let until = Instant::now() + self.around.limits.step;
            self.over = Some(Over { which, steps: self.updates.open_tools(), until });
        }
    }

    /// Adds what the answer to a prompt says that its turn used.
    pub fn count_turn(&mut self, answer: &Value) {
        if let Some(usage) = usage_of(answer) {
            self.counted.add(&usage);
        }
        self.count();
    }

    /// Tells whether a bound was reached.
    pub fn is_over_budget(&self) -> bool {
        self.over.is_some()
    }

    fn permission(&mut self, params: &Value, reply: Reply) {
        if self.over.is_some() {
            // The turn ends; nothing more is begun.
            return reply.permission(None);
        }
        let tool = self.updates.tool_of(&params["toolCall"]);
        let order = self.session.order();
        let rules = Rules { slot: &self.around.cwd, write: &self.around.write, role: order.role, fenced: order.fenced };
        let verdict = rules.decide(&tool, real);
        let option = option_for(&verdict, &params["options"]);
        reply.permission(option.as_deref());
        let title = clipped(&tool.title, 300);
        match verdict {
            Verdict::Allowed if option.is_none() => {
                self.session.note(format!("cancelled a question that no option answers: {title}"));
            }
            Verdict::Allowed => self.begins(&params["toolCall"]),
            Verdict::Denied { why, question } => {
                self.session.note(format!("denied: {title}: {why}"));
                if let Some(question) = question {
                    let name = self.session.order().name.clone();
                    self.ask(questions::of_permission(question, &name));
                }
            }
        }
    }

    /// Takes a call that was allowed for begun: gemini tells nothing more of it until it is over.
    fn begins(&mut self, call: &Value) {
        let mut call = call.clone();
        if let Some(fields) = call.as_object_mut() {
            fields.insert("sessionUpdate".into(), "tool_call_update".into());
            fields.insert("status".into(), "in_progress".into());
            self.update(&call);
        }
    }

    /// Puts a question to a person, through the mailbox of the attempt; only the first, which ends the attempt.
    fn ask(&mut self, report: Report) {
        if std::mem::replace(&mut self.asked, true) {
            return;
        }
        match &self.around.mailbox {
            Some((mailbox, nonce)) => match agent_side::deliver(mailbox, nonce.clone(), report) {
                Ok(()) => self.session.note("a person is asked"),
                Err(error) => self.session.note(format!("failed to ask a person: {error}")),
            },
            None => self.session.note("nobody can be asked: this is not inside an attempt"),
        }
    }

    /// Returns how a program ended that went away before it answered.
    pub async fn death(&mut self) -> Ending {
        let limits = &self.around.limits;
        let ended = self.child.end(limits.grace, self.session.order().agent.stop_steps(), limits.grace).await;
        // What it printed last is on its way.
        while let Some(line) = self.child.line_or_exit().await {
            self.line(Some(line));
        }
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        if !self.spoke && !self.printed.is_empty() && ended_well(&how) {
            return self.no_protocol("it ended");
        }
        let words = self.last_words();
        let detail = if words.is_empty() {
            format!("the agent's program ended before its turn did ({how}) and printed nothing")
        } else {
            format!("the agent's program ended before its turn did ({how}); it printed:\n{words}")
        };
        // Its words may hold code and anything else, so they class nothing.
        Ending::failed(Outcome::Crashed, detail)
    }

    /// Returns the ending of a program that does not speak the protocol.
    pub fn no_protocol(&self, what: &str) -> Ending {
        let order = self.session.order();
        let words = self.last_words();
        let printed =
            if words.is_empty() { "; it printed nothing".to_owned() } else { format!("; it printed:\n{words}") };
        let detail = format!(
            "the program of agent `{}` does not seem to speak the Agent Client Protocol: {what} without an answer to \
             `initialize`; look at its `command`{printed}",
            order.name
        );
        Ending::failed(Outcome::InvalidOutput, detail)
    }

    fn last_words(&self) -> String {
        let lines: Vec<&str> = self.printed.iter().map(String::as_str).collect();
        clipped(&lines.join("\n"), LINE_LIMIT)
    }

    /// Asks the agent to end its turn and gives it a moment to say that it did.
    pub async fn cancel(&mut self, session: &str, answer: &mut Answer) {
        self.link.cancel(session);
        if let Waited::Answered(Ok(value)) = self.wait_all_the_same(answer, self.around.limits.cancel).await {
            self.count_turn(&value);
        }
    }
}

fn ended_well(how: &str) -> bool {
    how.ends_with(": 0")
}

/// Tells whether a line is a message of the protocol.
pub(super) fn is_message(line: &str) -> bool {
    serde_json::from_str::<Probe>(line).is_ok()
}

/// Reads the usage of a turn off the answer to its prompt. The protocol counts tokens of a cache beside the others, and
/// some agents count thoughts within the output.
pub(super) fn usage_of(answer: &Value) -> Option<Usage> {
    let usage = &answer["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    if !usage.is_object() {
        return usage_beside(answer);
    }
    let cached = count("cachedReadTokens").saturating_add(count("cachedWriteTokens"));
    let (input, output) = (count("inputTokens").saturating_add(cached), count("outputTokens"));
    let beside = count("totalTokens") > input.saturating_add(output);
    let output_tokens = if beside { output.saturating_add(count("thoughtTokens")) } else { output };
    Some(Usage { input_tokens: input, cached_tokens: count("cachedReadTokens"), output_tokens, usd: None })
}

/// Reads what gemini tells of a turn's usage, beside the protocol.
fn usage_beside(answer: &Value) -> Option<Usage> {
    let told = &answer["_meta"]["quota"]["token_count"];
    let (input, output) = (told["input_tokens"].as_u64(), told["output_tokens"].as_u64());
    let told = Usage { input_tokens: input?, output_tokens: output?, ..Usage::default() };
    Some(told)
}

/// Resolves the links of a path as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        if let Ok(resolved) = there.canonicalize() {
            return missing.iter().rev().fold(resolved, |path, name| path.join(name));
        }
        let (Some(name), Some(parent)) = (there.file_name(), there.parent()) else { return path.to_path_buf() };
        missing.push(name);
        there = parent;
    }
}

pub(super) fn clock() -> Clock {
    Clock { now: jiff::Timestamp::now(), zone: jiff::tz::TimeZone::system() }
}
