//! Drafts as text: what each would do, how it would be proved, and how to approve them.

use crate::cli::status_text::quoted;
use crate::cli::style::{Style, clean, count};
use crate::domain::task::Task;
use crate::protocol::config::trust_string;
use crate::protocol::engine_api::PlanReply;
use std::fmt::Write;

/// Renders what planning led to.
pub fn plan_text(reply: &PlanReply, style: Style) -> String {
    let mut out = drafts_text(&reply.tasks, style);
    if !reply.discarded.is_empty() {
        let _ = writeln!(out, "the planner wrote {}; that was thrown away", clean(&reply.discarded.join(", ")));
    }
    let number = count(reply.tasks.len(), "draft", "drafts");
    if reply.tasks.is_empty() {
        out.push_str("the planner found nothing to do\n");
    } else if reply.applied {
        let approve = approve(&reply.tasks);
        let _ = writeln!(out, "{number} in .ralph/queue.json; nothing runs before you approve:\n  {approve}");
    } else {
        let _ = writeln!(out, "{number}, not in the queue yet");
    }
    out
}

fn approve(tasks: &[Task]) -> String {
    let ids: Vec<String> = tasks.iter().take(3).map(|task| quoted(&task.id.0)).collect();
    let one_by_one = if tasks.len() <= 3 { ids.join(" ") } else { "ID…".to_owned() };
    format!("ralph-sidecar approve {one_by_one}    or    ralph-sidecar approve --all")
}

/// Renders tasks in full: title, what they need, what is accepted, what is run.
pub fn drafts_text(tasks: &[Task], style: Style) -> String {
    let mut out = String::new();
    for task in tasks {
        let _ = writeln!(out, "{}  {}", style.bold(&clean(&task.id.0)), clean(&task.title));
        if !task.depends_on.is_empty() {
            let ids: Vec<&str> = task.depends_on.iter().map(|id| id.0.as_str()).collect();
            let _ = writeln!(out, "  after    {}", clean(&ids.join(", ")));
        }
        for text in &task.acceptance {
            let _ = writeln!(out, "  accept   {}", indented(&clean(text)));
        }
        for command in &task.verify {
            let _ = writeln!(out, "  verify   {}", style.cyan(&indented(&clean(&trust_string(command)))));
        }
        if task.verify.is_empty() {
            let _ = writeln!(out, "  verify   {}", style.dim("only what the configuration checks"));
        }
    }
    out
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n           ")
}

/// Renders a unified diff.
pub fn diff_text(diff: &str, style: Style) -> String {
    if diff.trim().is_empty() {
        return "the plan is the same as before\n".to_owned();
    }
    let mut out = String::new();
    for line in clean(diff).lines() {
        let painted = match line.as_bytes().first() {
            Some(b'+') => style.green(line),
            Some(b'-') => style.red(line),
            Some(b'@') => style.cyan(line),
            _ => line.to_owned(),
        };
        out.push_str(&painted);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::VerifyCommand;

    #[test]
    fn drafts_say_how_they_are_proved_and_approved() {
        let mut first = Task::new("greet", "Greet by name");
        first.acceptance = vec!["says hello\nto Ada".into()];
        first.verify = vec![VerifyCommand { run: "sh test.sh".into(), cwd: Some("my app".into()) }];
        let mut second = Task::new("chat", "Chat");
        second.depends_on = vec!["greet".into()];
        let reply = PlanReply {
            plan: "p1".into(),
            tasks: vec![first, second],
            applied: true,
            diff: String::new(),
            discarded: vec!["notes.txt".into()],
            replaces: vec![],
        };
        insta::assert_snapshot!(plan_text(&reply, Style::PLAIN), @r"
        greet  Greet by name
          accept   says hello
                   to Ada
          verify   cd 'my app' && sh test.sh
        chat  Chat
          after    greet
          verify   only what the configuration checks
        the planner wrote notes.txt; that was thrown away
        2 drafts in .ralph/queue.json; nothing runs before you approve:
          ralph-sidecar approve greet chat    or    ralph-sidecar approve --all
        ");
    }

    #[test]
    fn diffs_are_coloured_by_line() {
        let text = diff_text("@@ -1 +1 @@\n-a\n+b\n", Style { colour: true });
        assert_eq!(text, "\u{1b}[36m@@ -1 +1 @@\u{1b}[0m\n\u{1b}[31m-a\u{1b}[0m\n\u{1b}[32m+b\u{1b}[0m\n");
        assert_eq!(diff_text("\n", Style::PLAIN), "the plan is the same as before\n");
    }
}
