//! Agents and checks that are played, and the mailboxes of the agents.

use super::{Port, Shared};
use crate::domain::inbox::InboxMessage;
use crate::domain::report::Report;
use crate::engine::ports::*;
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Notify, mpsc};

#[async_trait]
impl Processes for Port {
    async fn start(&self, order: ProcessOrder) -> PortResult<Box<dyn Running>> {
        let driven = order.argv.get(1).is_some_and(|word| word == "agent");
        let agent = driven || order.argv == ["agent"];
        let name = order.argv.last().cloned().unwrap_or_default();
        let role = order.env.get("RALPH_ROLE").cloned().unwrap_or_default();
        let (call, detail) = match role.as_str() {
            "implementer" => ("start agent", ""),
            "reviewer" => ("start reviewer", ""),
            "planner" => ("start planner", ""),
            _ => ("start check", name.as_str()),
        };
        self.0.call(call, detail)?;
        let end = if agent {
            assert_eq!(order.stdin.is_some(), !driven, "a driver reads the prompt itself");
            let mailbox = order.activity.clone().unwrap_or_default();
            let fence = order.fence.clone().expect("agents have a fence");
            assert_eq!(fence.slot.is_some(), role == "implementer", "only who works may write");
            let played = self.0.perform(&role, &order.folder, &mailbox, driven);
            let end = played.or(self.0.agent_end.lock().expect("end").clone());
            end.unwrap_or(ProcessEnd::Exited(0))
        } else {
            let slot = order.cwd.file_name().map(|slot| slot.to_string_lossy().into_owned()).unwrap_or_default();
            let filled = self.0.filled.lock().expect("filled").get(&slot).cloned().unwrap_or_default();
            ProcessEnd::Exited(i32::from(self.0.red.load(Ordering::SeqCst) && filled.contains("work")))
        };
        let endless = agent && self.0.endless.load(Ordering::SeqCst);
        if agent {
            let now = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_running.fetch_max(now, Ordering::SeqCst);
        }
        Ok(Box::new(Process { shared: self.0.clone(), end, endless, agent, stop: Arc::default() }))
    }

    async fn adopt(&self, folder: PathBuf, _marker: String) -> PortResult<Option<Box<dyn Running>>> {
        self.0.call("adopt", &folder.display().to_string())?;
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let left_on = self.0.left_on.lock().expect("left on").contains(&name.as_str());
        let first_turn = name.parse::<u32>().is_ok();
        if !(first_turn && self.0.adoptable.load(Ordering::SeqCst) || left_on) {
            return Ok(None);
        }
        if left_on {
            let role = if name.starts_with("review") { "reviewer" } else { "implementer" };
            let attempt = folder.parent().expect("an attempt's folder");
            let words = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (number, key) = (words(attempt), words(attempt.parent().expect("a task's folder")));
            let key = if role == "reviewer" { format!("{name}-{key}") } else { key };
            let mailbox = PathBuf::from("/mail").join(key).join(number);
            let end = self.0.perform(role, &folder, &mailbox, true).unwrap_or(ProcessEnd::Exited(0));
            return Ok(Some(Box::new(Process {
                shared: self.0.clone(),
                end,
                endless: false,
                agent: false,
                stop: Arc::default(),
            })));
        }
        let end = self.0.agent_end.lock().expect("end").clone().unwrap_or(ProcessEnd::Exited(0));
        Ok(Some(Box::new(Process { shared: self.0.clone(), end, endless: false, agent: false, stop: Arc::default() })))
    }

    async fn end_left(&self, folder: PathBuf) -> PortResult<()> {
        self.0.call("end left", &folder.display().to_string())
    }

    async fn mailbox(&self, key: &str, number: u32, _nonce: &str) -> PortResult<(PathBuf, Box<dyn Mail>)> {
        self.0.call("mailbox", "")?;
        let folder = PathBuf::from("/mail").join(key).join(number.to_string());
        Ok((folder.clone(), Box::new(Letters { shared: self.0.clone(), number, folder })))
    }

    async fn deliver(&self, _key: &str, _number: u32, message: &InboxMessage) -> PortResult<()> {
        self.0.call("deliver", &message.text)
    }

    async fn write(&self, path: PathBuf, text: String) -> PortResult<()> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.0.call("write", &name)?;
        self.0.files.lock().expect("files").insert(path, text);
        Ok(())
    }

    async fn read_tail(&self, path: PathBuf, _limit: u64) -> PortResult<Option<String>> {
        self.0.call("read", "")?;
        Ok(self.0.files.lock().expect("files").get(&path).cloned())
    }

    fn fenced(&self) -> bool {
        self.0.fenced.load(Ordering::SeqCst)
    }

    fn tool_folder(&self) -> PathBuf {
        "/tools".into()
    }

    fn own_program(&self) -> PathBuf {
        "/ralph-sidecar".into()
    }
}

struct Process {
    shared: Arc<Shared>,
    end: ProcessEnd,
    endless: bool,
    agent: bool,
    stop: Arc<Notify>,
}

#[async_trait]
impl Running for Process {
    fn output(&mut self) -> Option<mpsc::Receiver<String>> {
        None
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        Arc::new(Stop(self.stop.clone()))
    }

    async fn wait(&mut self) -> ProcessEnd {
        if self.endless {
            self.stop.notified().await;
            self.endless = false;
            self.end = ProcessEnd::Stopped;
        }
        if std::mem::take(&mut self.agent) {
            self.shared.running.fetch_sub(1, Ordering::SeqCst);
        }
        self.end.clone()
    }
}

struct Stop(Arc<Notify>);

#[async_trait]
impl Stopper for Stop {
    async fn stop(&self) {
        self.0.notify_one();
    }
}

struct Letters {
    shared: Arc<Shared>,
    number: u32,
    folder: PathBuf,
}

#[async_trait]
impl Mail for Letters {
    async fn take(&mut self) -> PortResult<Vec<MailItem>> {
        self.shared.call("take mail", "")?;
        if let Some(reports) = self.shared.mailboxes.lock().expect("mailboxes").get(&self.folder) {
            let item = |(at, report): (usize, &Report)| {
                let words = serde_json::to_string(report).unwrap_or_default();
                let id = blake3::hash(words.as_bytes()).to_hex()[..8].to_owned();
                MailItem::Report { id, seq: at as u64 + 1, report: report.clone() }
            };
            return Ok(reports.iter().enumerate().map(item).collect());
        }
        // Only who works has it by itself.
        let own =
            !self.folder.to_string_lossy().contains("/review-") && !self.folder.to_string_lossy().contains("/plan-");
        let report = self.shared.report.lock().expect("report").clone().filter(|_| own);
        let id = format!("m{}", self.number);
        Ok(report.map(|report| MailItem::Report { id, seq: 1, report }).into_iter().collect())
    }

    async fn acknowledge(&mut self, _seq: u64) -> PortResult<()> {
        self.shared.call("acknowledge", "")
    }

    async fn arrived(&mut self) {
        std::future::pending::<()>().await;
    }
}
