//! Checks: the commands that decide, run by us in the slot, on the base and on the result.

use super::context::Context;
use super::ports::{Fence, PortError, PortResult, ProcessEnd, ProcessOrder};
use crate::domain::decision::{DecisionKind, OptionEffect};
use crate::domain::outcome::{BaseCheck, CheckResult, normalise_failure};
use crate::domain::state::State;
use crate::domain::task::{Task, VerifyCommand};
use crate::protocol::config::{Settings, trust_string};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// The longest a check may take, in seconds.
const CHECK_SECONDS: u64 = 1800;
/// How often a check is begun again whose supervisor was killed: that says nothing about the result.
const LOST_LIMIT: u32 = 3;
/// How much of a check's output goes into a prompt, in bytes from its end.
const OUTPUT_TAIL: u64 = 64 * 1024;

/// One command to check with.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub command: VerifyCommand,
    pub from_task: bool,
    /// The person said that it counts only what it did not report on the base.
    pub only_new: bool,
}

/// Where and how checks run.
pub struct CheckSite<'a> {
    pub slot: &'a Path,
    /// Where their output goes.
    pub folder: PathBuf,
    pub marker: String,
    pub stop: watch::Receiver<bool>,
}

/// How a check ended on one tree.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CheckRun {
    pub passed: bool,
    pub exit_code: Option<i32>,
    pub output: String,
    pub milliseconds: u64,
}

/// Returns what checks the task: its own commands, then the configuration's; without those a person chose to ignore.
pub fn checks_for(state: &State, settings: &Settings, task: &Task) -> Vec<Check> {
    let mut chosen: HashMap<String, OptionEffect> = HashMap::new();
    for decision in state.decisions.iter().filter(|decision| decision.kind == DecisionKind::Setup) {
        let option = decision.answer.as_ref().and_then(|answer| decision.option(answer.option.as_deref()?));
        if let (Some(check), Some(option)) = (&decision.evidence.check, option) {
            chosen.insert(check.clone(), option.does);
        }
    }
    let own = task.verify.iter().map(|command| (command, true));
    let all = own.chain(settings.verify.iter().map(|command| (command, false)));
    all.filter_map(|(command, from_task)| {
        let choice = chosen.get(&trust_string(command)).copied();
        let ignored = choice == Some(OptionEffect::IgnoreCheck) && !from_task;
        let only_new = choice == Some(OptionEffect::CountNewFailures);
        (!ignored).then(|| Check { command: command.clone(), from_task, only_new })
    })
    .collect()
}

/// Runs a command in the slot under a supervisor.
///
/// # Errors
///
/// When it cannot be started, or its supervisor is killed again and again.
pub async fn run(context: &Context, site: &CheckSite<'_>, command: &VerifyCommand, name: &str) -> PortResult<CheckRun> {
    for _ in 0..LOST_LIMIT {
        if let Some(run) = run_once(context, site, command, name).await? {
            return Ok(run);
        }
    }
    Err(PortError::new(format!("run the check `{}`: its supervisor was killed {LOST_LIMIT} times", command.run)))
}

/// As [`run`]; none when the supervisor was killed and nobody wanted the check to stop.
async fn run_once(
    context: &Context,
    site: &CheckSite<'_>,
    command: &VerifyCommand,
    name: &str,
) -> PortResult<Option<CheckRun>> {
    let folder = site.folder.join(name);
    let started = context.world.clock.now_ms();
    let cwd = match &command.cwd {
        Some(cwd) => site.slot.join(cwd),
        None => site.slot.to_path_buf(),
    };
    let order = ProcessOrder {
        folder: folder.clone(),
        argv: vec!["/bin/sh".into(), "-c".into(), command.run.clone()],
        cwd,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        stdin: None,
        idle_seconds: None,
        wall_seconds: Some(CHECK_SECONDS),
        stop: Vec::new(),
        activity: None,
        marker: site.marker.clone(),
        fence: Some(Fence { slot: Some(site.slot.to_path_buf()), ..Fence::default() }),
    };
    let mut running = context.world.processes.start(order).await?;
    let stopper = running.stopper();
    let mut stop = site.stop.clone();
    let end = tokio::select! {
        end = running.wait() => end,
        () = stopped(&mut stop) => {
            stopper.stop().await;
            running.wait().await
        }
    };
    if end == ProcessEnd::Lost && !*site.stop.borrow() {
        return Ok(None);
    }
    let transcript = folder.join("transcript.log");
    let output = context.world.processes.read_tail(transcript, OUTPUT_TAIL).await?.unwrap_or_default();
    let output = match &end {
        ProcessEnd::Exited(_) => output,
        end => format!("{output}\n[{end:?}]"),
    };
    Ok(Some(CheckRun {
        passed: end == ProcessEnd::Exited(0),
        exit_code: if let ProcessEnd::Exited(code) = end { Some(code) } else { None },
        output,
        milliseconds: (context.world.clock.now_ms() - started).max(0) as u64,
    }))
}

/// Waits until the flag is raised; for ever when nobody can raise it any more.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Results on untouched trees, by tree and command; equal trees are checked once.
#[derive(Default)]
pub struct BaseCache(std::sync::Mutex<HashMap<(String, String), Arc<CheckRun>>>);

impl BaseCache {
    /// Returns the earlier result.
    pub fn get(&self, base: &str, command: &VerifyCommand) -> Option<Arc<CheckRun>> {
        let cache = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.get(&(base.to_owned(), trust_string(command))).cloned()
    }

    /// Remembers a result.
    pub fn put(&self, base: &str, command: &VerifyCommand, run: CheckRun) -> Arc<CheckRun> {
        let run = Arc::new(run);
        let mut cache = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cache.insert((base.to_owned(), trust_string(command)), run.clone());
        run
    }
}

/// Runs every check on the result; a red one is repeated once, so that flakiness has a name.
pub async fn run_all(
    context: &Context,
    site: &CheckSite<'_>,
    checks: &[Check],
    base: &str,
) -> PortResult<Vec<CheckResult>> {
    let mut results = Vec::new();
    for (index, check) in checks.iter().enumerate() {
        let on_base = context.base_cache.get(base, &check.command);
        let mut run = run(context, site, &check.command, &format!("{index}-head")).await?;
        let mut flaky = false;
        if !run.passed && !*site.stop.borrow() {
            let again = self::run(context, site, &check.command, &format!("{index}-again")).await?;
            flaky = again.passed;
            if again.passed {
                run = again;
            }
        }
        let known = |base: &CheckRun| !base.passed && normalise_failure(&base.output) == normalise_failure(&run.output);
        let excused = check.only_new && on_base.as_deref().is_some_and(known);
        results.push(CheckResult {
            run: trust_string(&check.command),
            passed: run.passed || excused,
            exit_code: run.exit_code,
            on_base: match on_base.as_deref() {
                None => BaseCheck::NotRun,
                Some(base) if base.passed => BaseCheck::Passed,
                Some(_) => BaseCheck::Failed,
            },
            flaky,
            output_tail: tail(&run.output, 8 * 1024),
            milliseconds: run.milliseconds,
            from_task: check.from_task,
        });
    }
    Ok(results)
}

/// Returns at most the last `limit` bytes, cut at a line.
pub fn tail(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut start = text.len() - limit;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let cut = &text[start..];
    cut.find('\n').map_or(cut, |newline| &cut[newline + 1..]).to_owned()
}
