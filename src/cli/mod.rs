//! The command line: what can be typed, and the one place that puts the parts together.
//!
//! One file per command. Shared by them: `context` (ways to the engine and the journal), `error` (exit codes),
//! `interrupts`, `output`, `style`, `documents` (JSON), `status_text` (words). `connect`, `engine` and `compose` put the parts of the
//! program together.

mod accept;
mod agent;
mod answer;
mod approve;
pub mod compose;
pub mod connect;
mod context;
mod control;
mod decisions;
mod demo;
mod doctor;
mod documents;
mod drop;
pub mod engine;
mod error;
mod hunk_numbers;
mod init;
mod interrupts;
mod land;
mod log;
pub mod lsp;
mod mcp;
mod output;
mod plan;
pub mod render_diff;
mod report;
mod review;
mod run;
#[cfg(test)]
mod samples;
mod schema;
mod scripted_agent;
mod status;
mod status_text;
mod style;
mod summary;
mod tasks;
mod trust;

use crate::infra::identity;
use crate::protocol::engine_api::ApiError;
use clap::{Parser, Subcommand};
use connect::LocalEngines;
use context::Context;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Plans, runs and reviews coding-agent loops beside your editor.
#[derive(Parser, Debug)]
#[command(name = "ralph-sidecar", version, propagate_version = true, max_term_width = 100)]
pub struct CommandLine {
    /// Act as if started in DIR.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Keep the engine in this process instead of one of its own; for tests and containers.
    #[arg(long, global = true)]
    pub in_process: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Every command.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Find the agents of this machine, and write a first .ralph/config.json.
    Init(init::InitArgs),
    /// Turn a goal, a file or the TODO comments into draft tasks.
    Plan(plan::PlanArgs),
    /// Approve drafts, and the commands they bring.
    Approve(approve::ApproveArgs),
    /// Say that tasks will not be done.
    Drop(drop::DropArgs),
    /// Work on the approved tasks until nothing more can run.
    #[command(alias = "start")]
    Run(run::RunArgs),
    /// Show what is going on.
    Status(status::StatusArgs),
    /// List tasks, or ask why one does not run.
    Tasks(tasks::TasksArgs),
    /// Show proposals as diffs with numbered hunks.
    Review(review::ReviewArgs),
    /// Take a proposal, or hunks of it, into your files.
    Accept(accept::AcceptArgs),
    /// Say no to a proposal, or to hunks of it.
    Reject(accept::RejectArgs),
    /// Say something about a proposal, for the next send back.
    Comment(accept::CommentArgs),
    /// Have the agent do a proposal again.
    SendBack(accept::SendBackArgs),
    /// Make a commit of accepted work, or write it into the files.
    Land(land::LandArgs),
    /// Take back what was last accepted, rejected or landed.
    Undo,
    /// List the questions that wait for you.
    Decisions(decisions::DecisionsArgs),
    /// Answer a question.
    Answer(answer::AnswerArgs),
    /// Start nothing new until resumed.
    Pause,
    /// Go on after a pause, or try now instead of waiting for a limit.
    Resume,
    /// End the run after its attempt.
    Stop(control::StopArgs),
    /// Tell the agent of a task something, or ask it.
    Steer(control::SteerArgs),
    /// Let a task that gave up try again.
    Retry(control::RetryArgs),
    /// Show the transcript, prompt or checks of an attempt.
    Log(log::LogArgs),
    /// Trust the commands of the configuration and of approved tasks.
    Trust(trust::TrustArgs),
    /// Look for what would keep a loop from running.
    Doctor(doctor::DoctorArgs),
    /// Print a JSON schema.
    Schema {
        #[arg(value_enum)]
        name: schema::SchemaName,
    },
    /// See the whole loop at work in a temporary folder, with a scripted agent.
    Demo(demo::DemoArgs),
    /// Tell the engine about your attempt; for agents.
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Serve the tools through which an agent reports, over standard input and output; started by the agent.
    Mcp,
    /// Serve an editor over standard input and output; started by the editor.
    Lsp,
    /// Be the engine of this repository; started by the others.
    Engine(engine::EngineArgs),
    #[command(hide = true)]
    Supervise { spec: PathBuf },
    #[command(hide = true)]
    ScriptedAgent { script: PathBuf },
    /// Drives an agent through one turn.
    #[command(hide = true)]
    Agent { order: PathBuf },
}

impl Verb {
    /// Names what only a person may do; none for reading, for reports and for what the engine starts.
    fn deed(&self) -> Option<&'static str> {
        Some(match self {
            Self::Status(_)
            | Self::Tasks(_)
            | Self::Decisions(_)
            | Self::Schema { .. }
            | Self::Report(_)
            | Self::Mcp
            | Self::Supervise { .. }
            | Self::ScriptedAgent { .. }
            | Self::Agent { .. } => return None,
            Self::Init(_) => "write the configuration",
            Self::Plan(_) => "plan",
            Self::Approve(_) => "approve tasks",
            Self::Drop(_) => "drop tasks",
            Self::Run(_) => "start a run",
            Self::Review(_) | Self::Log(_) | Self::Doctor(_) => "use the engine for anything but reports",
            Self::Accept(_) | Self::Undo => "accept hunks",
            Self::Land(_) => "land its work",
            Self::Reject(_) | Self::Comment(_) | Self::SendBack(_) => "review its work",
            Self::Answer(_) => "answer a decision",
            Self::Pause | Self::Resume | Self::Stop(_) | Self::Steer(_) | Self::Retry(_) => "steer the run",
            Self::Trust(_) => "trust commands",
            Self::Demo(_) => "start a demonstration",
            Self::Lsp => "serve an editor",
            Self::Engine(_) => "be an engine",
        })
    }
}

/// Runs the program on these words, the first being its own name.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => {
            // Help and the version come this way too, and are no errors.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(line) {
        Ok(code) => code,
        Err(error) => {
            output::err(&error::render(&error));
            ExitCode::from(error::exit_code(error.kind))
        }
    }
}

fn dispatch(line: CommandLine) -> Result<ExitCode, ApiError> {
    // Before anything else: a supervisor must start no threads of ours.
    if let Verb::Supervise { spec } = &line.verb {
        return Ok(crate::infra::supervisor::main(spec));
    }
    if let Verb::Engine(args) = &line.verb {
        return engine::run(args, &compose::compose()).map(|()| ExitCode::SUCCESS);
    }
    if let Some(deed) = line.verb.deed()
        && let Some(attempt) = identity::own_attempt()
    {
        return Err(identity::refusal(deed, &attempt));
    }
    let dir = match line.dir {
        Some(dir) => dir,
        None => std::env::current_dir()
            .map_err(|error| error::other(format!("find the current folder: {error}")).with_hint("use -C DIR"))?,
    };
    let local = line.in_process.then(|| Arc::new(LocalEngines::new(compose::compose())));
    let context = Context { dir, local, style: style::Style::for_stdout() };
    perform(&context, line.verb).map(ExitCode::from)
}

fn perform(context: &Context, verb: Verb) -> Result<u8, ApiError> {
    match verb {
        Verb::Init(args) => block_on(context, init::run(context, &args))?,
        Verb::Plan(args) => block_on(context, plan::run(context, args))?,
        Verb::Approve(args) => block_on(context, approve::run(context, args))?,
        Verb::Drop(args) => block_on(context, drop::run(context, args))?,
        Verb::Run(args) => return block_on(context, run::run(context, args)),
        Verb::Status(args) => status::run(context, &args)?,
        Verb::Tasks(args) => tasks::run(context, &args)?,
        Verb::Review(args) => block_on(context, review::run(context, args))?,
        Verb::Accept(args) => block_on(context, accept::accept(context, args))?,
        Verb::Reject(args) => block_on(context, accept::reject(context, args))?,
        Verb::Comment(args) => block_on(context, accept::comment(context, args))?,
        Verb::SendBack(args) => block_on(context, accept::send_back(context, args))?,
        Verb::Land(args) => block_on(context, land::run(context, args))?,
        Verb::Undo => block_on(context, accept::undo(context))?,
        Verb::Decisions(args) => decisions::run(context, &args)?,
        Verb::Answer(args) => block_on(context, answer::run(context, args))?,
        Verb::Pause => block_on(context, control::pause(context))?,
        Verb::Resume => block_on(context, control::resume(context))?,
        Verb::Stop(args) => block_on(context, control::stop(context, args))?,
        Verb::Steer(args) => block_on(context, control::steer(context, args))?,
        Verb::Retry(args) => block_on(context, control::retry(context, args))?,
        Verb::Log(args) => block_on(context, log::run(context, args))?,
        Verb::Trust(args) => block_on(context, trust::run(context, args))?,
        Verb::Doctor(args) => return block_on(context, doctor::run(context, &args)),
        Verb::Schema { name } => schema::run(name),
        Verb::Demo(args) => return block_on(context, demo::run(context, args)),
        Verb::Lsp => return block_on(context, lsp::run(context)),
        Verb::Report(command) => report::run(command)?,
        Verb::Mcp => mcp::run()?,
        Verb::ScriptedAgent { script } => return scripted_agent::run(&script),
        Verb::Agent { order } => return agent::run(&order),
        // These need nothing of what the others get, and never come this far.
        Verb::Supervise { .. } | Verb::Engine(_) => {}
    }
    Ok(0)
}

/// Runs a command that waits for others.
fn block_on<T>(context: &Context, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error::other(format!("start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        let result = work.await;
        if let Some(engines) = &context.local {
            engines.shutdown().await;
        }
        result
    });
    // A read of the terminal that nobody waits for must not keep the program.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<CommandLine, clap::Error> {
        let words = shlex::split(words).expect("splits");
        CommandLine::try_parse_from(std::iter::once("ralph-sidecar".to_owned()).chain(words))
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_issue_is_there() {
        let names: Vec<String> =
            CommandLine::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in "init plan approve drop run status tasks review accept reject send-back land decisions answer pause \
                     resume stop steer log undo doctor trust schema report mcp lsp engine demo supervise scripted-agent agent"
            .split_whitespace()
        {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        for name in "import export".split_whitespace() {
            assert!(!names.iter().any(|known| known == name), "{name} belongs to a later issue");
        }
    }

    #[test]
    fn lines_that_are_understood() {
        for words in [
            "status --json",
            "--in-process -C /tmp status",
            "status -C /tmp --in-process",
            "init --agent claude -p --private",
            "init --agent 'claude -p'",
            "plan 'make it fast'",
            "plan --from todos",
            "plan --from SPEC.md --agent claude",
            "plan --revise a b 'make it smaller' --yes",
            "approve a b",
            "approve --all --yes",
            "drop a",
            "start",
            "run a b --agent 'command:sh agent.sh' --attempts 2 --run-seconds 60 --json",
            "run --detach",
            "tasks list --state review --json",
            "tasks why a",
            "review",
            "review a --json",
            "accept a --hunk 1 2 --hunk 3,4",
            "reject a --hunk 1 --why 'too long'",
            "send-back a --comment x --comment y",
            "land",
            "land a b --commit -m 'Say hello'",
            "land --branch ralph/hello a",
            "land --undo",
            "reject a --hunk 1 --undo",
            "decisions --all",
            "answer d1 2 --go-on",
            "answer d1 --text 'call it Ada'",
            "stop --kill",
            "steer a 'use tabs'",
            "steer a --ask 'how far?'",
            "report review --summary fine --finding 'a.rs:3: no test'",
            "report reply --to q1 half",
            "report inbox",
            "mcp",
            "retry a --clean",
            "log a --attempt 2 --checks",
            "trust --list",
            "schema queue",
            "report finished --summary done",
            "demo --keep",
        ] {
            assert!(
                parse(words).is_ok(),
                "{words}: {}",
                parse(words).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
            );
        }
    }

    #[test]
    fn lines_that_are_refused() {
        for words in [
            "",
            "dance",
            "approve",
            "approve a --all",
            "drop",
            "run --attempts 0",
            "run --attempts many",
            "tasks list --state asleep",
            "accept",
            "land --commit --branch x",
            "land --undo a",
            "land --tree -m x",
            "reject a --undo --why x",
            "answer d1",
            "log a --prompt --checks",
            "trust --yes --list",
            "schema all",
            "plan --from todos --revise a b",
            "init --private --shared",
            "report",
        ] {
            let error = parse(words).expect_err(words);
            assert!(error.use_stderr(), "{words}");
        }
    }

    #[test]
    fn hunks_are_collected_from_every_form() {
        let Ok(CommandLine { verb: Verb::Accept(args), .. }) = parse("accept a --hunk 1 2 --hunk 3,4") else {
            panic!("accept")
        };
        assert_eq!((args.task.as_str(), args.hunks.join(" ").as_str()), ("a", "1 2 3 4"));
    }

    #[test]
    fn an_agent_may_only_read_and_report() {
        for (words, deed) in [
            ("report blocked --reason x", false),
            ("status", false),
            ("decisions", false),
            ("approve a", true),
            ("accept a", true),
            ("land a --commit", true),
            ("answer d1 1", true),
            ("trust --yes", true),
            ("engine", true),
            ("run", true),
        ] {
            let line = parse(words).expect(words);
            assert_eq!(line.verb.deed().is_some(), deed, "{words}");
        }
    }
}
