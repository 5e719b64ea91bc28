//! The three ways a run is shown: lines of JSON, plain lines, or lines above a spinner.

use super::lines;
use crate::cli::output;
use crate::cli::style::{Style, one_line};
use crate::protocol::engine_api::{ApiError, EngineEvent, Milestone};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Longest text behind the spinner, in characters; the terminal may show less.
const MESSAGE_WIDTH: usize = 200;

/// Shows what happens.
pub trait View {
    /// Shows a milestone that was not shown before.
    fn milestone(&mut self, milestone: &Milestone) -> Result<(), ApiError>;

    /// Shows what an agent is doing right now, and short notices.
    fn passing(&mut self, _event: &EngineEvent) {}

    /// Shows a line that is ours.
    fn note(&mut self, text: &str);

    /// Takes away what would stand in the way of the last lines.
    fn finish(&mut self) {}
}

/// One JSON object per line; nothing else goes to standard output.
pub struct JsonLines;

impl View for JsonLines {
    fn milestone(&mut self, milestone: &Milestone) -> Result<(), ApiError> {
        let text = serde_json::to_string(milestone);
        output::line(&text.map_err(|error| crate::cli::error::other(format!("write an event as JSON: {error}")))?);
        Ok(())
    }

    fn note(&mut self, text: &str) {
        output::err(&format!("{text}\n"));
    }
}

/// Plain lines for a pipe or a dumb terminal.
pub struct PlainLines {
    pub style: Style,
}

impl View for PlainLines {
    fn milestone(&mut self, milestone: &Milestone) -> Result<(), ApiError> {
        if let Some(line) = lines::line(milestone, self.style) {
            output::line(&line);
        }
        Ok(())
    }

    fn passing(&mut self, event: &EngineEvent) {
        if let EngineEvent::Notice { text, .. } = event {
            output::line(&one_line(text, 200));
        }
    }

    fn note(&mut self, text: &str) {
        output::line(text);
    }
}

/// Lines above a spinner that says what goes on.
pub struct Display {
    style: Style,
    bar: ProgressBar,
    /// What is on, in front of the spinner's passing text.
    subject: String,
}

impl Display {
    /// Draws on standard error.
    pub fn new(style: Style) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(template) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(template);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { style, bar, subject: String::new() }
    }

    fn message(&self, doing: &str) {
        let gap = if self.subject.is_empty() || doing.is_empty() { "" } else { ": " };
        self.bar.set_message(one_line(&format!("{}{gap}{doing}", self.subject), MESSAGE_WIDTH));
    }
}

impl View for Display {
    fn milestone(&mut self, milestone: &Milestone) -> Result<(), ApiError> {
        if let Some(line) = lines::line(milestone, self.style) {
            self.note(&line);
        }
        match milestone {
            Milestone::AttemptStarted { task, attempt, .. } => {
                self.subject = format!("{task} #{attempt}");
                self.bar.reset_elapsed();
                self.message("");
            }
            Milestone::AttemptEnded { .. } => {
                self.subject.clear();
                self.message("");
            }
            Milestone::Waiting { why, .. } => self.message(why),
            _ => {}
        }
        Ok(())
    }

    fn passing(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Progress { text, .. } => self.message(text),
            EngineEvent::Output { text, .. } => {
                if let Some(last) = text.lines().rev().find(|line| !line.trim().is_empty()) {
                    self.message(last);
                }
            }
            EngineEvent::Waiting { text, .. } => self.message(text),
            EngineEvent::Notice { text, .. } => self.note(&one_line(text, 200)),
            _ => {}
        }
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| output::line(text));
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
