//! `ralph-sidecar report`: how an agent tells the engine about its attempt; the only command served from inside one.

use super::error::{data, other, usage};
use super::output;
use crate::domain::report::{Finding, RejectedOption, Report};
use crate::infra::agent_side::{Attempt, NOT_INSIDE, ReportError};
use crate::protocol::engine_api::ApiError;
use crate::protocol::report_tools::{Way, unread};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The messages; section 7 of the design.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum ReportCommand {
    /// Claim that the task is finished; the engine checks it.
    Finished(FinishedArgs),
    /// Say that you cannot go on, and why.
    Blocked {
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Ask a person to choose, then end.
    Ask(AskArgs),
    /// Say what you are doing right now.
    Progress {
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Keep something that later attempts and tasks should know.
    Learned {
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Record a choice you made yourself.
    Decided(DecidedArgs),
    /// Suggest a further task, as a JSON entry of the queue.
    SuggestTask {
        /// A file, or `-` for standard input.
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Hand in the plan, as JSON; plan mode only.
    SubmitPlan {
        /// A file, or `-` for standard input.
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Hand in a review; without findings it approves. Reviewers only.
    Review(ReviewArgs),
    /// Answer a question of the user.
    Reply {
        /// The id of the question, such as q1.
        #[arg(long, value_name = "ID")]
        to: String,
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Leave a note for whoever goes on with the task.
    Handoff {
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Show what the user said since you began; every other report shows it as well.
    Inbox,
}

/// Options of `report finished`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct FinishedArgs {
    /// What was done, in a few sentences.
    #[arg(long, value_name = "TEXT")]
    pub summary: String,
    /// Why nothing had to change.
    #[arg(long, value_name = "REASON")]
    pub no_change: Option<String>,
    /// What shows that it works.
    #[arg(long, value_name = "TEXT")]
    pub evidence: Option<String>,
}

/// Options of `report ask`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct AskArgs {
    #[arg(long, value_name = "TEXT")]
    pub question: String,
    /// A possible answer; may be given several times.
    #[arg(long = "option", value_name = "LABEL")]
    pub options: Vec<String>,
    /// The option you would take.
    #[arg(long, value_name = "LABEL")]
    pub recommend: Option<String>,
    /// The file it is about, relative to the root of the repository.
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[arg(long, value_name = "N", requires = "file", value_parser = clap::value_parser!(u32).range(1..))]
    pub line: Option<u32>,
}

/// Options of `report decided`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DecidedArgs {
    #[arg(long, value_name = "TEXT")]
    pub question: String,
    #[arg(long, value_name = "LABEL")]
    pub chosen: String,
    /// An option that was not taken, and why; may be given several times.
    #[arg(long, value_name = "LABEL=REASON")]
    pub rejected: Vec<String>,
}

/// Options of `report review`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewArgs {
    /// The judgement, in a few sentences.
    #[arg(long, value_name = "TEXT")]
    pub summary: String,
    /// Something that must change; may be given several times.
    #[arg(long = "finding", value_name = "FILE:LINE: TEXT")]
    pub findings: Vec<String>,
}

/// Runs the command, and shows what is unread in the inbox.
///
/// # Errors
///
/// `Usage` outside an attempt, `Data` for JSON that cannot be read, `Other` when the mailbox cannot be written.
pub fn run(command: ReportCommand) -> Result<(), ApiError> {
    let Some(attempt) = Attempt::own() else {
        return Err(usage(NOT_INSIDE).with_hint("only an agent that ralph-sidecar started has somebody to report to"));
    };
    if command == ReportCommand::Inbox {
        return show_unread(&attempt, "nothing new\n").map_err(|error| other(error.to_string()));
    }
    attempt.report(to_report(command)?).map_err(|error| other(error.to_string()))?;
    if let Err(error) = show_unread(&attempt, "") {
        // The report is delivered, so the command has done what it was for.
        output::err(&format!("note: what the user may have said is unread: failed to {error}\n"));
    }
    Ok(())
}

/// Writes what is unread, or `nothing`, to standard output. What could not be written stays unread.
fn show_unread(attempt: &Attempt, nothing: &str) -> Result<(), ReportError> {
    attempt.hand_on(|messages| {
        let text = unread(messages, Way::Command).unwrap_or_else(|| nothing.to_owned());
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    })
}

/// Makes the message of what was typed; reads the files it names.
fn to_report(command: ReportCommand) -> Result<Report, ApiError> {
    Ok(match command {
        ReportCommand::Review(args) => Report::Review {
            summary: args.summary,
            findings: args.findings.iter().map(|words| Finding::read(words)).collect(),
        },
        ReportCommand::Reply { to, text } => Report::Reply { to, text },
        ReportCommand::Handoff { text } => Report::Handoff { text },
        ReportCommand::Inbox => return Err(usage("report: the inbox is read, and nothing reported")),
        ReportCommand::Finished(args) => {
            Report::Finished { summary: args.summary, no_change: args.no_change, evidence: args.evidence }
        }
        ReportCommand::Blocked { reason } => Report::Blocked { reason },
        ReportCommand::Ask(args) => {
            if let Some(label) = args.recommend.as_ref().filter(|label| !args.options.contains(label)) {
                let hint = format!("add --option '{label}', or recommend one of the options");
                return Err(usage(format!("report ask: `{label}` is recommended but is no option")).with_hint(hint));
            }
            Report::Ask {
                question: args.question,
                options: args.options,
                recommend: args.recommend,
                file: args.file,
                line: args.line,
                permission: false,
            }
        }
        ReportCommand::Progress { text } => Report::Progress { text },
        ReportCommand::Learned { text } => Report::Learned { text },
        ReportCommand::Decided(args) => Report::Decided {
            question: args.question,
            chosen: args.chosen,
            rejected: args.rejected.iter().map(|text| rejected(text)).collect(),
        },
        ReportCommand::SuggestTask { file } => Report::SuggestTask { task: read_json(&file)? },
        ReportCommand::SubmitPlan { file } => Report::SubmitPlan { plan: read_json(&file)? },
    })
}

fn rejected(text: &str) -> RejectedOption {
    let (label, reason) = text.split_once('=').unwrap_or((text, ""));
    RejectedOption { label: label.trim().to_owned(), reason: reason.trim().to_owned() }
}

fn read_json(file: &Path) -> Result<Value, ApiError> {
    let from_stdin = file == Path::new("-");
    let name = if from_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let text = if from_stdin { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| data(format!("read {name}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        data(format!("read {name} as JSON: {error}")).with_hint("the file must hold one JSON value and nothing else")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: ReportCommand,
    }

    fn made(words: &[&str]) -> Result<Value, ApiError> {
        let line = Line::try_parse_from(["report"].iter().chain(words)).map_err(|error| usage(error.to_string()))?;
        to_report(line.command).map(|report| serde_json::to_value(report).expect("serialises"))
    }

    #[test]
    fn words_become_messages() {
        for (words, message) in [
            (&["finished", "--summary", "done"][..], json!({"type": "finished", "summary": "done"})),
            (
                &["finished", "--summary", "s", "--no-change", "was there", "--evidence", "e"],
                json!({"type": "finished", "summary": "s", "no_change": "was there", "evidence": "e"}),
            ),
            (&["blocked", "--reason", "no key"], json!({"type": "blocked", "reason": "no key"})),
            (
                &[
                    "ask",
                    "--question",
                    "q",
                    "--option",
                    "a",
                    "--option",
                    "b",
                    "--recommend",
                    "b",
                    "--file",
                    "f",
                    "--line",
                    "3",
                ],
                json!({"type": "ask", "question": "q", "options": ["a", "b"], "recommend": "b", "file": "f", "line": 3}),
            ),
            (
                &["review", "--summary", "s", "--finding", "a.rs:3: no test", "--finding", "too long"],
                json!({"type": "review", "summary": "s", "findings":
                    [{"file": "a.rs", "line": 3, "text": "no test"}, {"text": "too long"}]}),
            ),
            (&["reply", "--to", "q1", "half"], json!({"type": "reply", "to": "q1", "text": "half"})),
            (&["handoff", "left"], json!({"type": "handoff", "text": "left"})),
            (&["progress", "half"], json!({"type": "progress", "text": "half"})),
            (&["learned", "x"], json!({"type": "learned", "text": "x"})),
            (
                &["decided", "--question", "q", "--chosen", "a", "--rejected", "b = too slow", "--rejected", "c"],
                json!({"type": "decided", "question": "q", "chosen": "a", "rejected":
                    [{"label": "b", "reason": "too slow"}, {"label": "c", "reason": ""}]}),
            ),
        ] {
            assert_eq!(made(words), Ok(message), "{words:?}");
        }
    }

    #[test]
    fn json_is_read_from_files() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("plan.json");
        std::fs::write(&path, r#"{"tasks": []}"#).expect("written");
        let name = path.to_str().expect("utf-8");
        assert_eq!(made(&["submit-plan", name]), Ok(json!({"type": "submit_plan", "plan": {"tasks": []}})));
        std::fs::write(&path, "{").expect("written");
        let error = made(&["suggest-task", name]).expect_err("broken");
        assert!(error.message.contains("plan.json") && error.message.contains("line 1"), "{error}");
    }

    #[test]
    fn senseless_words_are_refused() {
        for words in [
            &["finished"][..],
            &["ask", "--question", "q", "--option", "a", "--recommend", "b"],
            &["ask", "--question", "q", "--line", "3"],
            &["ask", "--question", "q", "--file", "f", "--line", "0"],
            &["dance"],
        ] {
            assert!(made(words).is_err(), "{words:?}");
        }
    }
}
