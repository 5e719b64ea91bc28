//! Agents that speak the Agent Client Protocol, version 1, over their standard streams: opencode, gemini, the adapters
//! of claude and codex, and every other.
//!
//! * `connection`: the crate that speaks the protocol, which only that file names.
//! * `turn`: what is heard and answered while a turn is on.
//! * `updates`: what the agent tells, as lines of a transcript.
//! * `permissions`, `questions`: what it may do when it asks, and what a person is asked.
//! * `models`: how its model is chosen.
//! * `quirks`, `failures`: what is particular about each agent, and what its errors mean.
//!
//! Everything but `connection`, `turn` and this file is pure.

mod connection;
mod failures;
mod models;
mod permissions;
mod questions;
mod quirks;
#[cfg(test)]
mod tests;
mod turn;
mod updates;

use super::{AgentChild, Launch, McpServer, Session};
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::infra::agent_side::NONCE;
use crate::infra::mailbox::{Inbox, MailboxError};
use crate::protocol::agent_lines::AgentLine;
use connection::{Answer, Connection, RpcError};
use failures::Told;
use models::{Means, Models};
use quirks::Program;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use turn::{Turn, Waited, clock};

/// Prompts with words of people that may follow the first in one turn.
const FURTHER_PROMPTS: usize = 3;

/// What a turn has around it.
struct Surroundings {
    /// The slot, which is the working folder.
    cwd: PathBuf,
    /// Further folders the agent may write to.
    write: Vec<PathBuf>,
    server: McpServer,
    /// The attempt's mailbox and nonce.
    mailbox: Option<(PathBuf, String)>,
    limits: Limits,
}

/// How long each thing may take.
struct Limits {
    /// Until `initialize` is answered.
    initialize: Duration,
    /// Until a session is open, which may mean to start servers; and until a setting is made.
    open: Duration,
    /// Until a cancelled turn says that it ended.
    cancel: Duration,
    /// Until a signal works.
    grace: Duration,
    /// How long a step may go on after a bound was reached.
    step: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            initialize: Duration::from_secs(60),
            open: Duration::from_secs(120),
            cancel: Duration::from_millis(1500),
            grace: Duration::from_millis(600),
            step: Duration::from_secs(60),
        }
    }
}

impl Surroundings {
    fn of_process(session: &Session) -> io::Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let nonce = std::env::var(NONCE).unwrap_or_default();
        Ok(Self {
            cwd: std::env::current_dir()?,
            write: session.order().agent.write.iter().map(|path| below_home(path, home.as_deref())).collect(),
            server: McpServer::ours()?,
            mailbox: session.mailbox().map(|mailbox| (mailbox, nonce)),
            limits: Limits::default(),
        })
    }
}

/// Drives the agent through one turn. It is over when this returns, its program included.
pub async fn drive(session: &mut Session) -> Ending {
    match Surroundings::of_process(session) {
        Ok(around) => run(session, &around).await,
        Err(error) => Ending::failed(Outcome::Crashed, format!("the driver cannot tell where it is: {error}")),
    }
}

async fn run(session: &mut Session, around: &Surroundings) -> Ending {
    let order = session.order();
    let program = Program::of(order.agent.command.iter().map(String::as_str));
    let mut env = order.agent.env.clone();
    for (name, value) in program.environment().iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        env.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
    }
    let launch = Launch { argv: order.agent.command.clone(), env, without: Vec::new() };
    let (child, link) = match start(&launch).await {
        Ok(started) => started,
        Err(error) => return not_started(&error, &launch, &order.name),
    };
    let mut turn = Turn::new(session, around, child, link, program);
    let mut open = Opened::default();
    let mut ending = match converse(&mut turn, &launch, &mut open).await {
        Ok(ending) | Err(ending) => ending,
    };
    let stopped = turn.session.stop().is_cancelled();
    close(turn, stopped).await;
    ending.session = open.session;
    ending.model = open.model;
    ending
}

/// What is known of the session once it is open.
#[derive(Default)]
struct Opened {
    session: Option<String>,
    model: Option<String>,
}

async fn start(launch: &Launch) -> io::Result<(AgentChild, Connection)> {
    let mut child = AgentChild::start(launch)?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("its input is missing"))?;
    let link = Connection::open(input).await?;
    Ok((child, link))
}

fn not_started(error: &io::Error, launch: &Launch, name: &str) -> Ending {
    let Some(program) = launch.argv.first() else {
        return Ending::failed(Outcome::MissingBinary, format!("agent `{name}` has no `command`; write one"));
    };
    match error.kind() {
        io::ErrorKind::NotFound => Ending::failed(
            Outcome::MissingBinary,
            format!("`{program}` is not there; install it, or correct the `command` of agent `{name}`"),
        ),
        io::ErrorKind::PermissionDenied => Ending::failed(
            Outcome::MissingBinary,
            format!(
                "`{program}` cannot be executed; look at its permissions, or correct the `command` of agent `{name}`"
            ),
        ),
        _ => Ending::failed(Outcome::Crashed, format!("`{program}` cannot be started: {error}")),
    }
}

/// Ends the program: first its input, then the signals of its configuration, then by force. Within three and a half
/// seconds when somebody waits for it.
async fn close(mut turn: Turn<'_>, hurried: bool) {
    let limits = &turn.around.limits;
    let patience = if hurried { limits.grace } else { turn.program.patience() };
    let steps = turn.session.order().agent.stop_steps().to_vec();
    turn.link.close();
    // The supervisor sweeps what is left, and how it ended no longer matters.
    let _ = turn.child.end(patience, &steps, limits.grace).await;
    turn.keep_rest().await;
}

/// Speaks with the agent from `initialize` to the end of its turn. An error is an early end.
async fn converse(turn: &mut Turn<'_>, launch: &Launch, open: &mut Opened) -> Result<Ending, Ending> {
    let limits = &turn.around.limits;
    let mut asked = turn.link.initialize();
    let abilities = match turn.wait(&mut asked, Some(limits.initialize)).await {
        Waited::Silent => return Err(turn.no_protocol(&format!("{} s went by", limits.initialize.as_secs()))),
        Waited::Answered(Err(error)) if !error.gone => return Err(not_agreed(&error)),
        waited => settled(turn, waited).await?,
    };
    if turn.program == Program::Other {
        turn.program = Program::of(abilities["agentInfo"]["name"].as_str());
    }
    let (session, answer) = open_session(turn, &abilities).await?;
    open.session = Some(session.clone());
    let models = Models::of_session(&answer);
    open.model = models.current.clone();
    choose_model(turn, &session, &models, open).await?;
    leave_sandbox(turn, &session, &answer).await?;
    let started = AgentLine::Started {
        command: launch.shown(),
        session: Some(session.clone()),
        model: open.model.clone(),
        notes: notes_of(turn.session, &abilities),
    };
    turn.session.say(&started);
    prompt(turn, &session).await
}

/// Returns the ending of an agent that answered `initialize` with an error, or with a version that is not ours, which the
/// connection refuses.
fn not_agreed(error: &RpcError) -> Ending {
    let ending = Told::by_error(error).ending(&clock());
    match ending.failure {
        Some(Outcome::Crashed) => Ending::failed(
            Outcome::InvalidOutput,
            format!("the agent does not agree to speak version 1 of the protocol: {}", ending.detail),
        ),
        _ => ending,
    }
}

/// Opens the session of the order again where the agent can, and else a fresh one.
async fn open_session(turn: &mut Turn<'_>, abilities: &Value) -> Result<(String, Value), Ending> {
    let (cwd, server) = (&turn.around.cwd, &turn.around.server);
    if let Some(session) = turn.session.order().session.clone() {
        let can = &abilities["agentCapabilities"];
        let resumes = can["sessionCapabilities"]["resume"].is_object();
        if resumes || can["loadSession"] == true {
            let mut asked = match resumes {
                true => turn.link.resume_session(&session, cwd, server),
                false => turn.link.load_session(&session, cwd, server),
            };
            turn.muted = true;
            let waited = turn.wait(&mut asked, Some(turn.around.limits.open)).await;
            turn.muted = false;
            turn.updates.begin_session();
            match waited {
                Waited::Answered(Err(RpcError { gone: false, message, .. })) => {
                    turn.session
                        .note(format!("session {session} cannot be continued ({message}); this is a fresh one"));
                }
                waited => return Ok((session, settled(turn, waited).await?)),
            }
        } else {
            turn.session.note(format!("the agent cannot continue session {session}; this is a fresh one"));
        }
    }
    let mut asked = turn.link.new_session(cwd, server);
    let waited = turn.wait(&mut asked, Some(turn.around.limits.open)).await;
    let answer = settled(turn, waited).await.map_err(|ending| with_login(ending, abilities))?;
    match answer["sessionId"].as_str() {
        Some(session) => Ok((session.to_owned(), answer)),
        None => Err(Ending::failed(Outcome::InvalidOutput, "the agent opened a session without a name")),
    }
}

/// Adds to a refusal how the agent wants to be logged in to.
fn with_login(mut ending: Ending, abilities: &Value) -> Ending {
    if ending.failure == Some(Outcome::Auth) {
        let method = |method: &Value| {
            let text = |name: &str| method[name].as_str().filter(|text| !text.is_empty());
            text("description").or_else(|| text("name")).map(str::to_owned)
        };
        let methods: Vec<String> =
            abilities["authMethods"].as_array().into_iter().flatten().filter_map(method).collect();
        if !methods.is_empty() {
            ending.detail = format!("{}; log in by one of: {}", ending.detail, methods.join("; "));
        }
    }
    ending
}

async fn choose_model(turn: &mut Turn<'_>, session: &str, models: &Models, open: &mut Opened) -> Result<(), Ending> {
    let Some(wanted) = turn.session.order().model.clone() else { return Ok(()) };
    let name = models.name_of(&wanted);
    if models.current.as_deref() == Some(name.as_str()) {
        return Ok(());
    }
    let mut asked = match &models.means {
        Means::Option(option) => turn.link.set_option(session, option, &name),
        Means::Model => turn.link.set_model(session, &name),
        Means::None => {
            turn.session.note(format!("the agent does not let its model be chosen, so `{wanted}` is not asked for"));
            return Ok(());
        }
    };
    match turn.wait(&mut asked, Some(turn.around.limits.open)).await {
        Waited::Answered(Err(error)) if !error.gone => {
            let detail = format!(
                "the agent has no model `{wanted}` ({}); it offers {}",
                Told::by_error(&error).words,
                models.some()
            );
            Err(Ending { scope: Scope::Model, ..Ending::failed(Outcome::ModelUnavailable, detail) })
        }
        waited => {
            settled(turn, waited).await?;
            open.model = Some(name);
            Ok(())
        }
    }
}

/// Turns the agent's own sandbox off where our fence holds it, and where it lets it be turned off.
async fn leave_sandbox(turn: &mut Turn<'_>, session: &str, answer: &Value) -> Result<(), Ending> {
    let Some((option, value)) = turn.program.without_sandbox().filter(|_| turn.session.order().fenced) else {
        return Ok(());
    };
    let mut options = answer["configOptions"].as_array().into_iter().flatten();
    let values = options.find(|offered| offered["id"] == option).and_then(|offered| offered["options"].as_array());
    if !values.into_iter().flatten().any(|offered| offered["value"] == value) {
        return Ok(());
    }
    let mut asked = turn.link.set_option(session, option, value);
    match turn.wait(&mut asked, Some(turn.around.limits.open)).await {
        Waited::Answered(Err(error)) if !error.gone => {
            turn.session.note(format!("the agent's own sandbox stays on: {}", Told::by_error(&error).words));
            Ok(())
        }
        waited => settled(turn, waited).await.map(|_| ()),
    }
}

/// What of the user's own setup applies.
fn notes_of(session: &Session, abilities: &Value) -> Vec<String> {
    let info = &abilities["agentInfo"];
    let name = info["title"].as_str().or_else(|| info["name"].as_str()).unwrap_or("the agent");
    let version = info["version"].as_str().map(|version| format!(" {version}")).unwrap_or_default();
    let inherited = if session.order().agent.inherit == Some(false) {
        "your own instructions, servers and settings of the agent apply all the same: the protocol cannot leave them out"
    } else {
        "your own instructions, servers and settings of the agent apply"
    };
    vec![format!("{name}{version}"), inherited.to_owned()]
}

/// Gives the agent its prompt, and returns how its turn ended. What people said to it meanwhile and nobody handed on is
/// given to it afterwards, in the same session.
async fn prompt(turn: &mut Turn<'_>, session: &str) -> Result<Ending, Ending> {
    let text = turn.session.prompt().to_owned();
    turn.begin();
    let mut asked = turn.link.prompt(session, &text);
    let waited = turn.wait(&mut asked, None).await;
    let mut ending = answered(turn, session, &mut asked, waited).await?;
    for _ in 0..FURTHER_PROMPTS {
        if ending.failure.is_some() || turn.is_over_budget() {
            break;
        }
        let Some((inbox, words)) = unread(turn).await else { break };
        turn.session.note(format!("given to the agent: {words}"));
        turn.begin();
        let mut asked = turn.link.prompt(session, &words);
        acknowledge(turn, inbox).await;
        let waited = turn.wait(&mut asked, None).await;
        ending = answered(turn, session, &mut asked, waited).await?;
    }
    Ok(ending)
}

/// Returns the inbox and what is unread in it, as the agent reads it; none when there is nothing.
async fn unread(turn: &mut Turn<'_>) -> Option<(Inbox, String)> {
    let (mailbox, _) = turn.around.mailbox.clone()?;
    let read = tokio::task::spawn_blocking(move || {
        let mut inbox = Inbox::open(&mailbox)?;
        let unread = inbox.unread()?;
        Ok::<_, MailboxError>((inbox, unread))
    });
    match read.await {
        Ok(Ok((_, unread))) if unread.is_empty() => None,
        Ok(Ok((inbox, unread))) => Some((inbox, questions::of_people(&unread))),
        Ok(Err(error)) => {
            turn.session.note(format!("failed to look for words of people: {error}"));
            None
        }
        Err(_) => None,
    }
}

async fn acknowledge(turn: &mut Turn<'_>, mut inbox: Inbox) {
    let done = tokio::task::spawn_blocking(move || inbox.acknowledge());
    if let Ok(Err(error)) = done.await {
        turn.session.note(format!("failed to mark words of people as given, so they may come again: {error}"));
    }
}

async fn answered(turn: &mut Turn<'_>, session: &str, asked: &mut Answer, waited: Waited) -> Result<Ending, Ending> {
    match waited {
        Waited::Answered(Ok(answer)) => {
            turn.count_turn(&answer);
            Ok(turn.signs.ending(turn.program, &answer, &turn.updates, &clock()))
        }
        Waited::OverBudget(which) => {
            turn.cancel(session, asked).await;
            Err(Ending::failed(Outcome::BudgetExceeded, which))
        }
        Waited::Stopped => {
            turn.cancel(session, asked).await;
            Err(stopped())
        }
        Waited::Stuck => {
            turn.cancel(session, asked).await;
            Err(stuck())
        }
        waited => settled(turn, waited).await.map(|_| stopped()),
    }
}

/// Returns the answer, or how the turn ended without one.
async fn settled(turn: &mut Turn<'_>, waited: Waited) -> Result<Value, Ending> {
    match waited {
        Waited::Answered(Ok(answer)) => Ok(answer),
        Waited::Answered(Err(error)) if error.gone => Err(turn.death().await),
        Waited::Answered(Err(error)) => Err(Told::by_error(&error).after(turn.silence()).ending(&clock())),
        Waited::Silent => Err(Ending::failed(
            Outcome::TimedOut,
            format!("the agent did not open its session within {} s", turn.around.limits.open.as_secs()),
        )),
        Waited::Stopped => Err(stopped()),
        Waited::OverBudget(which) => Err(Ending::failed(Outcome::BudgetExceeded, which)),
        Waited::Stuck => Err(stuck()),
    }
}

fn stuck() -> Ending {
    Ending::failed(
        Outcome::Network,
        "the model's answers break off before their end, and the agent asks for them again and again",
    )
}

fn stopped() -> Ending {
    Ending::failed(Outcome::Cancelled, "the turn was stopped")
}

fn below_home(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_path_buf(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}
