//! Codex, driven through `codex app-server`: JSON-RPC over its standard streams, for its typed errors.
//!
//! ```text
//! initialize ─▶ (config/read) ─▶ thread/start or thread/resume ─▶ turn/start ─▶ … turn/completed ─▶ input closed ─▶ end
//!                                                                  ├ turn/steer: words of a person
//!                                                                  └ turn/interrupt: stop
//! ```

mod failure;
mod item;
mod launch;
mod stream;
#[cfg(test)]
mod tests;

use super::driving::{ErrorTail, Pulse, RAW, clip, in_sentence, not_started, plain};
use super::session::Session;
use super::steering::Steering;
use super::{AgentChild, ChildEvent, ChildInput, ChildLine, McpServer};
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::config::StopStep;
use crate::protocol::drive::DriveOrder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use stream::{Answer, Stream, TurnEnd};
use tokio::time::{Instant, sleep_until};

/// How it is stopped when closing its input does not do.
const STOP: [StopStep; 2] = [StopStep::Interrupt, StopStep::Terminate];
const GRACE: Duration = Duration::from_millis(700);
/// How long it gets to end after its input was closed, when it is stopped.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it gets to end its turn after it was asked to.
const INTERRUPT: Duration = Duration::from_millis(1_200);
/// How long it may take to end after its turn.
const AFTER_TURN: Duration = Duration::from_secs(5);
/// How long it may take to answer each request before the turn.
const ANSWER: Duration = Duration::from_secs(60);
/// How long it may wait for a network or repeat a request without any other sign of life.
const RETRYING: Duration = Duration::from_secs(90);

/// Why we ended it.
#[derive(Clone, Debug, PartialEq)]
enum Stopped {
    ByPerson,
    /// With the bound that was reached.
    ByBudget(String),
    /// It did not answer a request.
    Mute(&'static str),
    /// It refused a request.
    Refused(&'static str, String),
    /// It went on trying for too long.
    Retrying,
}

/// The request whose answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Initialize,
    Config,
    Thread,
    TurnStart,
    On,
}

/// Returns the command line of such a turn.
pub(super) fn command_line(order: &DriveOrder) -> Vec<String> {
    launch::launch(order).argv
}

/// Drives it through one turn.
pub(super) async fn drive(session: &mut Session) -> Ending {
    let found = McpServer::ours().and_then(|server| Ok((server, std::env::current_dir()?)));
    let (server, folder) = match found {
        Ok(found) => found,
        Err(error) => return Ending::failed(Outcome::Crashed, format!("failed to find this program: {error}")),
    };
    let launch = launch::launch(session.order());
    let mut child = match AgentChild::start(&launch) {
        Ok(child) => child,
        Err(error) => return not_started(&launch.argv[0], &error),
    };
    let mut turn = Turn::new(child.input(), server, folder, launch.shown());
    let (ended, stopped) = turn.run(session, &mut child).await;
    for line in child.rest().await {
        turn.hear(session, line);
    }
    // Where it came to no thread, what was started still has to be known.
    turn.say_started(session, &[]);
    match ended {
        Ok(status) => turn.ending(status, stopped),
        Err(error) => Ending::failed(Outcome::Crashed, format!("the system does not tell how it ended: {error}")),
    }
}

/// One turn while it is on.
struct Turn {
    input: Option<ChildInput>,
    server: McpServer,
    folder: PathBuf,
    /// The command line, until it was shown.
    command: Option<String>,
    stream: Stream,
    errors: ErrorTail,
    pulse: Pulse,
    zone: TimeZone,
    requests: u64,
    phase: Phase,
    /// The number of the request whose answer is waited for.
    awaited: u64,
    answer_due: Instant,
    /// Servers of the user that are turned off.
    without: Vec<String>,
    /// Since when it only repeats.
    retrying_since: Option<Instant>,
    /// Why it has to be ended, when what it said is the reason.
    given_up: Option<Stopped>,
}

impl Turn {
    fn new(input: Option<ChildInput>, server: McpServer, folder: PathBuf, command: String) -> Self {
        Self {
            input,
            server,
            folder,
            command: Some(command),
            stream: Stream::default(),
            errors: ErrorTail::default(),
            pulse: Pulse::new(),
            zone: TimeZone::system(),
            requests: 0,
            phase: Phase::Initialize,
            awaited: 0,
            answer_due: Instant::now() + ANSWER,
            without: Vec::new(),
            retrying_since: None,
            given_up: None,
        }
    }

    /// Hears it until it ends or has to be ended.
    async fn run(
        &mut self,
        session: &mut Session,
        child: &mut AgentChild,
    ) -> (io::Result<ExitStatus>, Option<Stopped>) {
        self.request("initialize", launch::initialize());
        let (stop, mut steering) = (session.stop(), Steering::new(session.mailbox()));
        loop {
            let may_steer = self.phase == Phase::On && self.stream.turn().is_some();
            let waits = self.stream.retrying().is_some_and(failure::TurnError::waits);
            let give_up = self.retrying_since.map(|since| since + RETRYING).filter(|_| waits);
            let why = tokio::select! {
                event = child.event() => match event {
                    Ok(ChildEvent::Line(line)) => {
                        self.hear(session, line);
                        None
                    }
                    Ok(ChildEvent::Ended(status)) => return (Ok(status), None),
                    Err(error) => return (Err(error), None),
                },
                () = stop.cancelled() => Some(Stopped::ByPerson),
                words = steering.next(), if may_steer => {
                    self.steer(session, &words);
                    None
                }
                () = sleep_until(self.answer_due), if self.phase != Phase::On => Some(Stopped::Mute(self.phase.name())),
                () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => Some(Stopped::Retrying),
            };
            if self.stream.end().is_some() {
                return (self.after_turn(session, child).await, None);
            }
            let why = why
                .or_else(|| self.given_up.take())
                .or_else(|| session.over_budget().filter(|_| self.stream.is_between_steps()).map(Stopped::ByBudget));
            if let Some(why) = why {
                return (self.stop(session, child).await, Some(why));
            }
        }
    }

    /// Closes its input after its turn, and waits for its end.
    async fn after_turn(&mut self, session: &mut Session, child: &mut AgentChild) -> io::Result<ExitStatus> {
        self.input = None;
        let deadline = Instant::now() + AFTER_TURN;
        loop {
            tokio::select! {
                event = child.event() => match event? {
                    ChildEvent::Line(line) => self.hear(session, line),
                    ChildEvent::Ended(status) => return Ok(status),
                },
                () = sleep_until(deadline) => {
                    child.end(Duration::ZERO, &STOP, GRACE).await?;
                    // It had ended its turn, so how it took the signal says nothing.
                    return Ok(ExitStatus::default());
                }
            }
        }
    }

    /// Ends its turn and then itself, within the time a driver has.
    async fn stop(&mut self, session: &mut Session, child: &mut AgentChild) -> io::Result<ExitStatus> {
        let on = self.stream.thread().zip(self.stream.turn());
        if let Some((thread, turn)) = on.map(|(thread, turn)| (thread.to_owned(), turn.to_owned())) {
            self.request("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
            let deadline = Instant::now() + INTERRUPT;
            while self.stream.end().is_none() {
                tokio::select! {
                    event = child.event() => match event? {
                        ChildEvent::Line(line) => self.hear(session, line),
                        ChildEvent::Ended(status) => return Ok(status),
                    },
                    () = sleep_until(deadline) => break,
                }
            }
        }
        self.input = None;
        child.end(PATIENCE, &STOP, GRACE).await
    }

    /// Takes in one line of the program.
    fn hear(&mut self, session: &mut Session, line: ChildLine) {
        let retries = self.stream.retries();
        let heard = match &line {
            ChildLine::Out(text) => self.stream.line(text),
            ChildLine::Err(text) => {
                let text = plain(text);
                self.errors.push(&text);
                stream::Heard { lines: vec![AgentLine::Raw { text: clip(&text, RAW) }], ..stream::Heard::default() }
            }
        };
        if let Some((id, answer)) = heard.answer {
            self.answered(session, (id, answer));
        }
        for line in &heard.lines {
            session.say(line);
            self.pulse.printed();
        }
        if let (Some(reply), Some(input)) = (heard.reply, &self.input) {
            input.line(reply.to_string());
        }
        if let Some(doing) = heard.doing {
            self.pulse.beat(session, doing);
        }
        match self.stream.retrying() {
            Some(_) => self.retrying_since = self.retrying_since.or_else(|| Some(Instant::now())),
            None => self.retrying_since = None,
        }
        // While it waits between two, a model may be thinking.
        let repeats = self.stream.retries() > retries;
        if repeats && self.retrying_since.is_some_and(|since| since.elapsed() >= RETRYING) {
            self.given_up = Some(Stopped::Retrying);
        }
        session.used(self.stream.usage());
    }

    /// Sends a request, whose answer is the one that is waited for.
    fn request(&mut self, method: &str, parameters: Value) {
        self.requests += 1;
        (self.awaited, self.answer_due) = (self.requests, Instant::now() + ANSWER);
        self.write(&json!({ "id": self.requests, "method": method, "params": parameters }));
    }

    fn write(&self, message: &Value) {
        if let Some(input) = &self.input {
            input.line(message.to_string());
        }
    }

    /// Takes the next step of the beginning.
    fn answered(&mut self, session: &mut Session, (id, answer): Answer) {
        let answer = match answer {
            Ok(answer) if id == self.awaited => answer,
            Ok(_) => return,
            Err(error) if self.phase == Phase::On => {
                session.note(format!("it did not take the last words: {error}"));
                return;
            }
            // An older version need not know how to tell its settings.
            Err(_) if self.phase == Phase::Config => Value::Null,
            Err(error) => {
                self.given_up = Some(Stopped::Refused(self.phase.name(), error));
                return;
            }
        };
        match self.phase {
            Phase::Initialize => {
                self.write(&json!({ "method": "initialized" }));
                if launch::inherits(session.order()) {
                    self.ask_for_thread(session);
                } else {
                    self.phase = Phase::Config;
                    self.request("config/read", launch::read_config(&self.folder));
                }
            }
            Phase::Config => {
                self.without = launch::servers_of(&answer);
                self.ask_for_thread(session);
            }
            Phase::Thread => {
                let Some(thread) = self.stream.begin_thread(&answer) else {
                    self.given_up = Some(Stopped::Refused(self.phase.name(), "it named no thread".into()));
                    return;
                };
                let sources = answer.get("instructionSources").and_then(Value::as_array);
                let sources: Vec<&str> = sources.into_iter().flatten().filter_map(Value::as_str).collect();
                self.say_started(session, &sources);
                self.phase = Phase::TurnStart;
                let input = [text_input(session.prompt())];
                self.request("turn/start", json!({ "threadId": thread, "input": input }));
            }
            Phase::TurnStart => match self.stream.begin_turn(&answer) {
                Some(_) => self.phase = Phase::On,
                None => self.given_up = Some(Stopped::Refused(self.phase.name(), "it named no turn".into())),
            },
            Phase::On => {}
        }
    }

    fn ask_for_thread(&mut self, session: &Session) {
        self.phase = Phase::Thread;
        let (method, parameters) = launch::thread(session.order(), &self.server, &self.folder, &self.without);
        self.request(method, parameters);
    }

    /// Hands on words of a person while the turn is on.
    fn steer(&mut self, session: &mut Session, text: &str) {
        let Some((thread, turn)) = self.stream.thread().zip(self.stream.turn()) else { return };
        let input = [text_input(text)];
        let parameters = json!({ "threadId": thread, "expectedTurnId": turn, "input": input });
        self.request("turn/steer", parameters);
        session.note(format!("said to it: {}", clip(text, RAW)));
    }

    /// Prints what was started, once.
    fn say_started(&mut self, session: &mut Session, sources: &[&str]) {
        if let Some(command) = self.command.take() {
            session.say(&AgentLine::Started {
                command,
                session: self.stream.thread().map(str::to_owned),
                model: self.stream.model().or_else(|| session.order().model.clone()),
                notes: launch::notes(session.order(), sources, &self.without),
            });
        }
    }

    fn ending(&self, status: ExitStatus, stopped: Option<Stopped>) -> Ending {
        Ending {
            session: self.stream.thread().map(str::to_owned),
            model: self.stream.model(),
            usage: self.stream.usage(),
            ..self.class(status, stopped)
        }
    }

    fn class(&self, status: ExitStatus, stopped: Option<Stopped>) -> Ending {
        let now = Timestamp::now();
        let of_error =
            |error: &failure::TurnError| error.ending(self.stream.retrying(), self.stream.reset(), now, &self.zone);
        match (stopped, self.stream.end()) {
            (Some(Stopped::ByBudget(words)), _) => Ending::failed(Outcome::BudgetExceeded, words),
            (Some(Stopped::Mute(request)), _) => {
                Ending::failed(Outcome::Crashed, format!("it did not answer `{request}` within {} s", ANSWER.as_secs()))
            }
            (Some(Stopped::Refused(request, error)), _) => {
                Ending::failed(Outcome::InvalidOutput, format!("it refused `{request}`: {}", in_sentence(&error)))
            }
            (Some(Stopped::Retrying), _) => self.after_retrying(&of_error),
            (_, Some(TurnEnd::Completed)) if status.success() => {
                Ending::regular(in_sentence(self.stream.last_words().unwrap_or("it ended its turn without a word")))
            }
            (Some(Stopped::ByPerson), _) => Ending::failed(Outcome::Cancelled, "it was stopped on request"),
            (None, Some(TurnEnd::Completed)) => self.errors.crashed("it failed after its turn", status),
            (None, Some(TurnEnd::Failed(error))) => of_error(error),
            (None, Some(TurnEnd::Interrupted)) => self.errors.crashed("something interrupted its turn", status),
            (None, None) => match self.stream.error() {
                Some(error) => of_error(error),
                None => self.without_turn(status),
            },
        }
    }

    /// Makes the ending of a program that ended before its turn did, or came to none.
    fn without_turn(&self, status: ExitStatus) -> Ending {
        let is_refusal = |line: &&str| line.starts_with("error: ") || line.starts_with("Error loading");
        match self.errors.lines().find(is_refusal).filter(|_| self.phase == Phase::Initialize) {
            Some(words) => {
                let words = in_sentence(words);
                let hint = "update Codex, or change its settings or what `command` of this agent adds";
                Ending::failed(Outcome::InvalidOutput, format!("it refused to start: {words} · {hint}"))
            }
            None => self.errors.crashed("it ended before its turn did", status),
        }
    }

    /// Makes the ending of a turn that was given up because it only repeated.
    fn after_retrying(&self, of_error: &dyn Fn(&failure::TurnError) -> Ending) -> Ending {
        let Some(error) = self.stream.retrying() else {
            return Ending::failed(Outcome::Network, "it waited for the network for too long");
        };
        let ending = of_error(error);
        let detail = format!("given up after {} s: {}", RETRYING.as_secs(), ending.detail);
        Ending { detail, ..ending }
    }
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Config => "config/read",
            Self::Thread => "thread/start",
            Self::TurnStart => "turn/start",
            Self::On => "turn",
        }
    }
}

fn text_input(text: &str) -> Value {
    json!({ "type": "text", "text": text, "text_elements": [] })
}
