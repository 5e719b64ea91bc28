//! Follows a run until it ends, over lost events, interrupts and an engine that comes back.

use super::tracker::Tracker;
use super::view::View;
use crate::cli::error::other;
use crate::domain::event::RunEndReason;
use crate::engine::handle::{Events, Handle};
use crate::protocol::engine_api::{ApiError, Command, EngineEvent, Milestone, Snapshot};
use std::future::Future;
use tokio::sync::mpsc;

/// How often a vanished engine is looked for again, with nothing told in between, before giving up.
const RECONNECTS: u32 = 3;

/// How a followed run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub reason: RunEndReason,
    /// Everything that is known afterwards.
    pub snapshot: Snapshot,
}

/// A connection and the events that came over it since before the run was started.
pub struct Link {
    pub handle: Handle,
    pub events: Events,
}

/// Follows the run that is on, or that ended since the tracker's snapshot.
///
/// The first interrupt stops after the attempt, the second kills it, the third gives up following.
/// `reconnect` is asked for a new connection when the engine is gone: the next engine adopts the run.
///
/// # Errors
///
/// When the engine is gone for good, and when a third interrupt came.
pub async fn follow<F: Future<Output = Result<Link, ApiError>>>(
    mut link: Link,
    mut tracker: Tracker,
    view: &mut dyn View,
    interrupts: &mut mpsc::UnboundedReceiver<()>,
    reconnect: impl Fn() -> F,
) -> Result<End, ApiError> {
    let mut interrupted = 0;
    let mut reconnected = 0;
    loop {
        tokio::select! {
            Some(()) = interrupts.recv() => {
                interrupted += 1;
                if interrupted > 2 {
                    return Err(other("wait for the run to stop: interrupted; it is being stopped in the background"));
                }
                let kill = interrupted == 2;
                view.note(if kill {
                    "stopping now"
                } else {
                    "stopping after this attempt; press Ctrl-C again to kill it"
                });
                // A run that ended meanwhile needs no stopping; its end is among the events.
                let _ = link.handle.tell(Command::Stop { kill }).await;
            }
            event = link.events.next() => match event.as_deref() {
                Some(EngineEvent::Milestone(milestone)) => {
                    if tracker.take(milestone) {
                        // An engine that gets somewhere is no engine that goes away again and again.
                        reconnected = 0;
                        view.milestone(milestone)?;
                    }
                    if let Milestone::RunEnded { reason, .. } = milestone {
                        let snapshot = link.handle.snapshot().await?;
                        return Ok(End { reason: *reason, snapshot });
                    }
                }
                Some(EngineEvent::Lagged) => {
                    if let Some(end) = catch_up(&link.handle, &mut tracker, view).await? {
                        return Ok(end);
                    }
                }
                Some(event) => view.passing(event),
                None => {
                    reconnected += 1;
                    if reconnected > RECONNECTS {
                        return Err(other("follow the run: its engine went away again and again")
                            .with_hint("ralph-sidecar doctor"));
                    }
                    view.note("the engine went away; looking for the next one");
                    link = reconnect().await?;
                    if let Some(end) = catch_up(&link.handle, &mut tracker, view).await? {
                        return Ok(end);
                    }
                }
            },
        }
    }
}

/// Shows what was missed; returns the end when the run is over.
async fn catch_up(handle: &Handle, tracker: &mut Tracker, view: &mut dyn View) -> Result<Option<End>, ApiError> {
    let snapshot = handle.snapshot().await?;
    for milestone in tracker.catch_up(&snapshot) {
        view.milestone(&milestone)?;
    }
    if snapshot.run.is_some() {
        return Ok(None);
    }
    let reason = snapshot.last_run.as_ref().map(|last| last.reason);
    Ok(reason.map(|reason| End { reason, snapshot }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::domain::outcome::Outcome;
    use crate::engine::handle::Engine;
    use crate::protocol::engine_api::Reply;
    use async_trait::async_trait;
    use std::sync::{Arc, Mutex};
    use tokio::sync::broadcast;

    /// An engine that notes commands and whose events the test sends.
    struct Puppet {
        events: Mutex<Option<broadcast::Sender<Arc<EngineEvent>>>>,
        stops: mpsc::UnboundedSender<bool>,
        snapshot: Snapshot,
    }

    #[async_trait]
    impl Engine for Arc<Puppet> {
        async fn call(&self, command: Command) -> Result<Reply, ApiError> {
            match command {
                Command::Snapshot => Ok(Reply::Snapshot(self.snapshot.clone())),
                Command::Stop { kill } => {
                    let _ = self.stops.send(kill);
                    Ok(Reply::Done)
                }
                other => Err(ApiError::new(crate::protocol::engine_api::ErrorKind::Other, format!("{other:?}"))),
            }
        }

        fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
            self.events.lock().expect("unpoisoned").as_ref().expect("open").subscribe()
        }
    }

    #[derive(Default)]
    struct Recorder(Vec<String>);

    impl View for Recorder {
        fn milestone(&mut self, milestone: &Milestone) -> Result<(), ApiError> {
            let value = serde_json::to_value(milestone).expect("serialises");
            self.0.push(value["type"].as_str().expect("a type").to_owned());
            Ok(())
        }

        fn note(&mut self, text: &str) {
            self.0.push(format!("note: {text}"));
        }
    }

    struct Stage {
        puppet: Arc<Puppet>,
        link: Link,
        stops: mpsc::UnboundedReceiver<bool>,
    }

    fn stage(capacity: usize) -> Stage {
        let (events, _) = broadcast::channel(capacity);
        let (stops_sender, stops) = mpsc::unbounded_channel();
        let puppet =
            Arc::new(Puppet { events: Mutex::new(Some(events)), stops: stops_sender, snapshot: samples::snapshot() });
        let handle = Handle::new(puppet.clone());
        let events = handle.subscribe();
        Stage { puppet, link: Link { handle, events }, stops }
    }

    impl Puppet {
        fn tell(&self, milestone: Milestone) {
            let events = self.events.lock().expect("unpoisoned");
            let _ = events.as_ref().expect("open").send(Arc::new(EngineEvent::Milestone(milestone)));
        }

        fn end(&self, reason: RunEndReason) {
            self.tell(Milestone::RunEnded { run: "r2".into(), reason, union: None });
        }
    }

    async fn never() -> Result<Link, ApiError> {
        Err(other("reconnect"))
    }

    #[tokio::test]
    async fn one_interrupt_stops_and_two_kill() {
        let Stage { puppet, link, mut stops } = stage(16);
        let (presses, mut interrupts) = mpsc::unbounded_channel();
        presses.send(()).expect("open");
        let script = async {
            assert_eq!(stops.recv().await, Some(false));
            presses.send(()).expect("open");
            assert_eq!(stops.recv().await, Some(true));
            puppet.end(RunEndReason::Stopped);
        };
        let mut view = Recorder::default();
        let (end, ()) = tokio::join!(follow(link, Tracker::default(), &mut view, &mut interrupts, never), script);
        assert_eq!(end.expect("ended").reason, RunEndReason::Stopped);
        assert_eq!(view.0.last().map(String::as_str), Some("run_ended"));
    }

    #[tokio::test]
    async fn lost_events_end_the_run_all_the_same() {
        let Stage { puppet, link, .. } = stage(2);
        for attempt in 1..9 {
            puppet.tell(Milestone::AttemptEnded {
                task: "add-greeting".into(),
                attempt,
                outcome: Outcome::Incomplete,
                detail: String::new(),
            });
        }
        let (_presses, mut interrupts) = mpsc::unbounded_channel();
        let mut view = Recorder::default();
        let end = follow(link, Tracker::default(), &mut view, &mut interrupts, never).await.expect("ended");
        assert_eq!(end.reason, RunEndReason::NeedsPerson);
        assert!(view.0.contains(&"decision_requested".to_owned()), "{:?}", view.0);
    }

    #[tokio::test]
    async fn an_engine_that_is_gone_is_looked_for_again() {
        let Stage { puppet, link, .. } = stage(4);
        puppet.events.lock().expect("unpoisoned").take();
        let (_presses, mut interrupts) = mpsc::unbounded_channel();
        let mut view = Recorder::default();
        let reconnect = || async { Ok(stage(4).link) };
        let end = follow(link, Tracker::default(), &mut view, &mut interrupts, reconnect).await.expect("ended");
        assert_eq!(end.reason, RunEndReason::NeedsPerson);

        let Stage { puppet, link, .. } = stage(4);
        puppet.events.lock().expect("unpoisoned").take();
        let failed = follow(link, Tracker::default(), &mut view, &mut interrupts, never).await;
        assert_eq!(failed.map(|end| end.reason), Err(other("reconnect")));
    }
}
