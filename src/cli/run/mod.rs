//! `ralph-sidecar run`: starts the loop and shows it until nothing more can run.
//!
//! Reading order: this file starts, `follow` waits, `tracker` knows what was told, `view` shows, `lines` words it.

mod follow;
mod lines;
mod tracker;
mod view;

pub use follow::{Link, follow};
pub use tracker::Tracker;
pub use view::{Display, JsonLines, PlainLines, View};

use super::context::{Context, find_task, ids};
use super::error::usage;
use super::interrupts::interrupts;
use super::style::clean;
use super::{output, summary};
use crate::domain::budget::money;
use crate::protocol::engine_api::{ApiError, Command, Snapshot, StartRequest};
use clap::Args;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;

/// Options of `run`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct RunArgs {
    /// Only these tasks and what they depend on; all approved ones when none is named.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// The agent to use: its name in the configuration, `command:PROGRAM ARGS` or `scripted:FILE`.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Return at once; the run goes on in the background.
    #[arg(long)]
    pub detach: bool,
    /// One JSON object per event on standard output.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Bounds for this run; those of the configuration for what is not given.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitArgs {
    /// Failed attempts per task before you are asked.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: Option<u32>,
    /// Longest time of one attempt, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub attempt_seconds: Option<u64>,
    /// Longest silence of an agent, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub idle_seconds: Option<u64>,
    /// Longest time of the run, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub run_seconds: Option<u64>,
    /// Most tokens of the run.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub run_tokens: Option<u64>,
    /// Most money of the run, in US dollars.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub run_usd: Option<f64>,
}

/// Reads an amount of money.
fn dollars(text: &str) -> Result<f64, String> {
    let usd: f64 = text.parse().map_err(|_| "write an amount such as 2.50".to_owned())?;
    if usd.is_finite() && usd > 0.0 { Ok(usd) } else { Err("it must be more than 0".to_owned()) }
}

impl LimitArgs {
    /// Returns the layer of settings these make; none when nothing was given.
    pub fn layer(self) -> Option<Value> {
        let given = [
            ("attempts", self.attempts.map(u64::from)),
            ("attempt_seconds", self.attempt_seconds),
            ("idle_seconds", self.idle_seconds),
            ("run_seconds", self.run_seconds),
            ("run_tokens", self.run_tokens),
        ];
        let mut limits: Map<String, Value> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
        limits.extend(self.run_usd.map(|usd| ("run_usd".to_owned(), usd.into())));
        (!limits.is_empty()).then(|| json!({ "limits": limits }))
    }
}

/// Runs the command; returns the exit code.
///
/// # Errors
///
/// What keeps the run from starting or from being followed.
pub async fn run(context: &Context, args: RunArgs) -> Result<u8, ApiError> {
    if args.detach && context.local.is_some() {
        return Err(usage("run with --detach and --in-process: nobody would carry the run on"));
    }
    let link = open(context).await?;
    let before = link.handle.snapshot().await?;
    for task in &args.tasks {
        find_task(&before, task)?;
    }
    let tracker = Tracker::new(&before);
    start(context, &link, &args).await?;
    let mut interrupts = interrupts()?;
    outlive_terminal();

    let mut view = view_for(context, args.json);
    // The run fixed its settings when it started, so these are the ones in force.
    let started = link.handle.snapshot().await?;
    for line in opening(&started, args.limits) {
        view.note(&line);
    }
    if args.detach {
        view.note("the run goes on in the background; see ralph-sidecar status");
        return Ok(0);
    }
    let end = follow(link, tracker, view.as_mut(), &mut interrupts, || open(context)).await;
    view.finish();
    let end = end?;
    let closing = summary::closing(&end.snapshot, end.reason);
    if args.json {
        output::err(&closing)
    } else {
        output::out(&closing)
    }
    Ok(summary::exit_code(end.reason))
}

async fn open(context: &Context) -> Result<Link, ApiError> {
    let handle = context.connect().await?;
    let events = handle.subscribe();
    Ok(Link { handle, events })
}

async fn start(context: &Context, link: &Link, args: &RunArgs) -> Result<(), ApiError> {
    let layers = args.limits.layer().into_iter().collect();
    let request = StartRequest { tasks: ids(&args.tasks), agent: args.agent.clone(), layers };
    let Err(refused) = link.handle.tell(Command::Start(request.clone())).await else { return Ok(()) };
    if args.json {
        return Err(refused);
    }
    context.offer_trust(&link.handle, refused).await?;
    link.handle.tell(Command::Start(request)).await
}

fn view_for(context: &Context, json: bool) -> Box<dyn View> {
    if json {
        Box::new(JsonLines)
    } else if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        Box::new(Display::new(context.style))
    } else {
        Box::new(PlainLines { style: context.style })
    }
}

/// From now on a closed terminal ends only the watching.
fn outlive_terminal() {
    tokio::spawn(async move {
        // Taking the signal keeps it from ending this process, which may be the one the engine lives in.
        if let Ok(mut hangups) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
            while hangups.recv().await.is_some() {}
        }
    });
}

/// Returns what is said at the start: the limits in force, and what of the queue cannot be read.
pub fn opening(snapshot: &Snapshot, given: LimitArgs) -> Vec<String> {
    let limit = |name: &str, given: Option<u64>| given.or_else(|| snapshot.settings["limits"][name].as_u64());
    let mut parts = Vec::new();
    if let Some(attempts) = limit("attempts", given.attempts.map(u64::from)) {
        parts.push(format!("{attempts} attempts a task"));
    }
    for (name, given, what) in [
        ("attempt_seconds", given.attempt_seconds, "an attempt"),
        ("idle_seconds", given.idle_seconds, "of silence"),
        ("run_seconds", given.run_seconds, "in all"),
    ] {
        if let Some(seconds) = limit(name, given) {
            parts.push(format!("{} {what}", duration(seconds)));
        }
    }
    for (name, what) in [("attempt", "an attempt"), ("", "a task"), ("run", "a run"), ("day", "a day")] {
        let setting = |unit: &str| {
            &snapshot.settings["limits"][if name.is_empty() { unit.to_owned() } else { format!("{name}_{unit}") }]
        };
        parts.extend(setting("usd").as_f64().map(|usd| format!("{} {what}", money(usd))));
        parts.extend(setting("tokens").as_u64().map(|tokens| format!("{tokens} tokens {what}")));
    }
    let capped = ["usd", "run_usd", "day_usd"].iter().any(|name| !snapshot.settings["limits"][*name].is_null());
    if !parts.is_empty() && !capped {
        parts.push("no cap on money (`--run-usd` or `limits.run_usd` sets one)".to_owned());
    }
    let mut lines = Vec::new();
    if !parts.is_empty() {
        lines.push(format!("limits: {}", parts.join(", ")));
    }
    // What cannot be read is left out of the run, which nobody would notice otherwise.
    lines.extend(snapshot.queue_problem.as_ref().map(|problem| format!("queue: {}", clean(problem))));
    lines
}

/// Returns a duration in the largest unit that says it exactly.
fn duration(seconds: u64) -> String {
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_tells_the_limits_in_force() {
        let settings =
            json!({ "limits": { "attempts": 4, "attempt_seconds": 2700, "idle_seconds": 600, "run_seconds": 28_800 } });
        let snapshot = Snapshot { settings, ..Snapshot::default() };
        let given = LimitArgs { attempt_seconds: Some(90), ..LimitArgs::default() };
        insta::assert_snapshot!(opening(&snapshot, given).join("\n"), @r"
        limits: 4 attempts a task, 90 s an attempt, 10 min of silence, 8 h in all, no cap on money (`--run-usd` or `limits.run_usd` sets one)
        ");
    }

    #[test]
    fn the_start_tells_the_budgets_in_force() {
        let limits = json!({ "attempts": 4, "run_usd": 5.0, "usd": 1.5, "day_tokens": 1_000_000, "attempt_usd": null });
        let snapshot = Snapshot { settings: json!({ "limits": limits }), ..Snapshot::default() };
        let lines = opening(&snapshot, LimitArgs::default());
        assert_eq!(lines[0], "limits: 4 attempts a task, $1.50 a task, $5.00 a run, 1000000 tokens a day");
    }

    #[test]
    fn the_start_names_what_of_the_queue_cannot_be_read() {
        let problem = "`.ralph/queue.json`, line 3, column 1: task `b` is left out".to_owned();
        let snapshot = Snapshot { queue_problem: Some(problem.clone()), ..Snapshot::default() };
        assert_eq!(opening(&snapshot, LimitArgs::default()), [format!("queue: {problem}")]);
        assert_eq!(opening(&Snapshot::default(), LimitArgs::default()), Vec::<String>::new());
    }

    #[test]
    fn only_given_limits_make_a_layer() {
        assert_eq!(LimitArgs::default().layer(), None);
        let given = LimitArgs { attempts: Some(2), ..LimitArgs::default() };
        assert_eq!(given.layer(), Some(json!({ "limits": { "attempts": 2 } })));
        let given = LimitArgs { run_tokens: Some(9), run_usd: Some(2.5), ..LimitArgs::default() };
        assert_eq!(given.layer(), Some(json!({ "limits": { "run_tokens": 9, "run_usd": 2.5 } })));
    }

    #[test]
    fn money_is_a_positive_amount() {
        assert_eq!(dollars("2.50"), Ok(2.5));
        for wrong in ["0", "-1", "inf", "NaN", "$2", ""] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }
}
