//! Claude Code, driven through `claude -p` with JSON lines in both directions.
//!
//! The prompt is the first line of its input; what a person says meanwhile is a further one, which it takes up between
//! two tool calls. Its input is closed after the result, and then it ends.

mod ending;
mod launch;
mod stream;
#[cfg(test)]
mod tests;
mod tool;

use super::driving::{ErrorTail, Pulse, RAW, clip, not_started, plain};
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
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::process::ExitStatus;
use std::time::Duration;
use stream::Stream;
use tokio::time::Instant;

/// How it is stopped: an interrupt ends its tools as well, which a termination does not.
const STOP: [StopStep; 2] = [StopStep::Interrupt, StopStep::Terminate];
/// What each signal gets; both together stay within what a driver has.
const GRACE: Duration = Duration::from_millis(1_900);
/// How long it may take to end after its result.
const AFTER_RESULT: Duration = Duration::from_secs(10);

/// Why we ended it.
#[derive(Clone, Debug, PartialEq)]
enum Stopped {
    ByPerson,
    /// With the bound that was reached.
    ByBudget(String),
    /// It did not end after its result.
    AfterResult,
}

/// Returns the command line of such a turn; what would name its session is a word.
pub(super) fn command_line(order: &DriveOrder, server: &McpServer) -> Vec<String> {
    launch::plan(order, server, |name| std::env::var_os(name).is_some(), "SESSION".to_owned()).launch.argv
}

/// Drives it through one turn.
pub(super) async fn drive(session: &mut Session) -> Ending {
    let server = match McpServer::ours() {
        Ok(server) => server,
        Err(error) => return Ending::failed(Outcome::Crashed, format!("failed to find this program: {error}")),
    };
    let plan = launch::plan(session.order(), &server, |name| std::env::var_os(name).is_some(), fresh_session());
    let mut child = match AgentChild::start(&plan.launch) {
        Ok(child) => child,
        Err(error) => return not_started(&plan.launch.argv[0], &error),
    };
    session.say(&AgentLine::Started {
        command: plan.launch.shown(),
        session: Some(plan.session.clone()),
        model: session.order().model.clone(),
        notes: plan.notes,
    });
    let mut turn = Turn::new(child.input(), plan.session);
    turn.send(session.prompt());
    let (status, stopped) = turn.run(session, &mut child).await;
    for line in child.rest().await {
        turn.hear(session, line);
    }
    match status {
        Ok(status) => turn.ending(status, stopped),
        Err(error) => Ending::failed(Outcome::Crashed, format!("the system does not tell how it ended: {error}")),
    }
}

/// One turn while it is on.
struct Turn {
    input: Option<ChildInput>,
    stream: Stream,
    errors: ErrorTail,
    pulse: Pulse,
    /// Lines written to it that it has not taken up.
    unanswered: usize,
}

impl Turn {
    fn new(input: Option<ChildInput>, session: String) -> Self {
        let stream = Stream::new(session, TimeZone::system());
        Self { input, stream, errors: ErrorTail::default(), pulse: Pulse::new(), unanswered: 0 }
    }

    /// Writes a message of the user.
    fn send(&mut self, text: &str) {
        let content = [json!({ "type": "text", "text": text })];
        let line = json!({ "type": "user", "message": { "role": "user", "content": content } });
        if let Some(input) = &self.input {
            input.line(line.to_string());
            self.unanswered += 1;
        }
    }

    /// Hears it until it ends or has to be ended.
    async fn run(
        &mut self,
        session: &mut Session,
        child: &mut AgentChild,
    ) -> (std::io::Result<ExitStatus>, Option<Stopped>) {
        let (stop, mut steering) = (session.stop(), Steering::new(session.mailbox()));
        let mut result_since: Option<Instant> = None;
        loop {
            let overdue = result_since.map_or_else(|| Instant::now() + AFTER_RESULT, |since| since + AFTER_RESULT);
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
                words = steering.next(), if self.input.is_some() => {
                    session.note(format!("said to it: {}", clip(&words, RAW)));
                    self.send(&words);
                    None
                }
                () = tokio::time::sleep_until(overdue), if result_since.is_some() => Some(Stopped::AfterResult),
            };
            let why =
                why.or_else(|| session.over_budget().filter(|_| self.stream.is_between_steps()).map(Stopped::ByBudget));
            if let Some(why) = why {
                return (child.end(Duration::ZERO, &STOP, GRACE).await, Some(why));
            }
            if self.stream.result().is_some() {
                // No more words; what it was given and has not taken up is still its work.
                self.input = None;
                if self.unanswered <= self.stream.taken_up() {
                    result_since = result_since.or_else(|| Some(Instant::now()));
                }
            } else {
                result_since = None;
            }
        }
    }

    /// Takes in one line of the program.
    fn hear(&mut self, session: &mut Session, line: ChildLine) {
        let lines = match &line {
            ChildLine::Out(text) => self.stream.line(text, Timestamp::now()),
            ChildLine::Err(text) => {
                let text = plain(text);
                self.errors.push(&text);
                vec![AgentLine::Raw { text: clip(&text, RAW) }]
            }
        };
        for line in &lines {
            session.say(line);
            self.pulse.printed();
        }
        if let Some(doing) = self.stream.doing() {
            self.pulse.beat(session, doing);
        }
        session.used(self.stream.usage());
    }

    fn ending(&self, status: ExitStatus, stopped: Option<Stopped>) -> Ending {
        let ending = match stopped {
            Some(Stopped::ByPerson) if !self.stream.is_success() => {
                Ending::failed(Outcome::Cancelled, "it was stopped on request")
            }
            Some(Stopped::ByBudget(words)) => Ending::failed(Outcome::BudgetExceeded, words),
            Some(Stopped::AfterResult) => ending::after_result(&self.stream),
            // It was done when it was stopped, so how it took the signal says nothing.
            Some(Stopped::ByPerson) => ending::after_result(&self.stream),
            None => ending::of(&self.stream, status, &self.errors),
        };
        Ending { session: self.stream.session(), model: self.stream.model(), usage: self.stream.usage(), ..ending }
    }
}

/// Makes the name of a fresh session: a random UUID, the only form it takes.
fn fresh_session() -> String {
    // Each state is keyed by the system's randomness.
    let part = || RandomState::new().hash_one(0_u8);
    let bits = (u128::from(part()) << 64) | u128::from(part());
    // Version 4, variant 1; RFC 9562 section 5.4.
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
