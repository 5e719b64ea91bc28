//! The texts of an attempt, for people: its prompt, its transcript, what its checks said.

use super::attempt::SECOND_TURN;
use super::context::{Context, from_port};
use super::prompt::{self, Kind, Template};
use super::turn::DRIVE_FILE;
use crate::domain::state::State;
use crate::domain::task::TaskId;
use crate::protocol::agent_lines::readable;
use crate::protocol::config::Settings;
use crate::protocol::engine_api::{ApiError, AttemptText, ErrorKind};
use std::path::Path;

/// How much of a text is shown, in bytes from its end.
const SHOWN: u64 = 4 * 1024 * 1024;

/// Returns a text of an attempt, of the last one when none is named.
///
/// # Errors
///
/// When there is no such attempt or text, or it cannot be read.
pub async fn text(
    context: &Context,
    task: &TaskId,
    attempt: Option<u32>,
    what: AttemptText,
) -> Result<String, ApiError> {
    let state = context.state().await.map_err(from_port)?;
    let record = state.record(task);
    let on = record.and_then(|record| record.active()).map(|attempt| attempt.number);
    if what == AttemptText::NextPrompt && on.is_none() {
        return next_prompt(context, &state, task).await;
    }
    let last = record.and_then(|record| record.attempts.last()).map(|attempt| attempt.number);
    let number =
        attempt.or(last).ok_or_else(|| ApiError::new(ErrorKind::Usage, format!("task `{task}` has no attempt yet")))?;
    let folder = context.world.attempts.join(&task.key().0).join(number.to_string());
    let text = match what {
        AttemptText::Prompt => read(context, &folder.join("prompt.md")).await?,
        AttemptText::NextPrompt => match read(context, &folder.join("prompt.md")).await? {
            Some(text) => Some(text),
            // It is claimed and not that far yet.
            None => Some(next_prompt(context, &state, task).await?),
        },
        AttemptText::Transcript => transcripts(context, &state, task, number, &folder, false).await?,
        AttemptText::RawTranscript => transcripts(context, &state, task, number, &folder, true).await?,
        AttemptText::Checks => Some(checks(context, &state, task, number, &folder).await?),
    };
    text.ok_or_else(|| ApiError::new(ErrorKind::Usage, format!("attempt {number} of `{task}` has no such text")))
}

async fn read(context: &Context, path: &Path) -> Result<Option<String>, ApiError> {
    context.world.processes.read_tail(path.to_path_buf(), SHOWN).await.map_err(from_port)
}

/// Makes the prompt that the next attempt would get, by the settings of the run that is on, else the files'.
async fn next_prompt(context: &Context, state: &State, task: &TaskId) -> Result<String, ApiError> {
    let wanted = state.tasks.get(task).ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("no task `{task}` in the queue"))
            .with_hint("`ralph-sidecar tasks` lists them")
    })?;
    let of_run = state.run.as_ref().and_then(|run| serde_json::from_value(run.settings.effective.clone()).ok());
    let settings = match of_run {
        Some(settings) => settings,
        None => Settings::resolve(&context.world.settings.layers().await.map_err(from_port)?.0),
    };
    let template = Template::read(&context.world, Kind::Implementer).await.map_err(from_port)?;
    prompt::preview(&template, &settings, state, wanted).map_err(from_port)
}

/// Returns the transcripts of everyone who worked on the attempt, in order.
async fn transcripts(
    context: &Context,
    state: &State,
    task: &TaskId,
    number: u32,
    folder: &Path,
    raw: bool,
) -> Result<Option<String>, ApiError> {
    let mut whole = transcript(context, folder, raw).await?;
    let attempts = state.record(task).map(|record| record.attempts.as_slice()).unwrap_or_default();
    let reviews = attempts.iter().find(|attempt| attempt.number == number).map(|attempt| attempt.reviews.as_slice());
    let reviews = reviews.unwrap_or_default().iter().enumerate();
    let reviews = reviews.map(|(index, review)| {
        (format!("review-{}", index + 1), format!("review {} by {}", review.round, review.agent))
    });
    let second = (SECOND_TURN.to_owned(), "asked once more, in the same session".to_owned());
    for (part, title) in std::iter::once(second).chain(reviews) {
        if let Some(text) = transcript(context, &folder.join(part), raw).await? {
            let whole = whole.get_or_insert_default();
            if !whole.is_empty() && !whole.ends_with('\n') {
                whole.push('\n');
            }
            whole.push_str(&format!("[ralph: {title}]\n{text}"));
        }
    }
    Ok(whole)
}

/// Returns one transcript; that of a driver as a person reads it, unless the lines themselves are wanted.
async fn transcript(context: &Context, folder: &Path, raw: bool) -> Result<Option<String>, ApiError> {
    let path = folder.join("transcript.log");
    let Some(text) = read(context, &path).await? else { return Ok(None) };
    let cut = text.len() as u64 >= SHOWN;
    let is_driven = !raw && read(context, &folder.join(DRIVE_FILE)).await?.is_some();
    let text = match is_driven {
        // The first line is the rest of one that was cut.
        true if cut => readable(text.split_once('\n').map_or("", |(_, rest)| rest)),
        true => readable(&text),
        false => text,
    };
    // Cut text that does not say so would pass for the whole.
    Ok(Some(if cut { format!("[ralph: the end of {}]\n{text}", path.display()) } else { text }))
}

async fn checks(
    context: &Context,
    state: &State,
    task: &TaskId,
    number: u32,
    folder: &Path,
) -> Result<String, ApiError> {
    let attempts = state.record(task).map(|record| record.attempts.as_slice()).unwrap_or_default();
    let end = attempts.iter().find(|attempt| attempt.number == number).and_then(|attempt| attempt.end.as_ref());
    let mut text = String::new();
    for (index, check) in end.map(|end| end.checks.as_slice()).unwrap_or_default().iter().enumerate() {
        let path = folder.join("checks/head").join(format!("{index}-head/transcript.log"));
        let output = read(context, &path).await?.unwrap_or_default();
        let verdict = if check.passed { "passed" } else { "failed" };
        text.push_str(&format!("$ {}\n{output}[{verdict}]\n\n", check.run));
    }
    Ok(text)
}
