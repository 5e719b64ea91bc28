//! How front ends reach an engine: in this process or over the socket, they cannot tell.

use crate::protocol::engine_api::{ApiError, Command, EngineEvent, ErrorKind, Reply};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;

/// The two implementations' common face; front ends use [`Handle`].
#[async_trait]
pub trait Engine: Send + Sync {
    /// Carries out one command. Long ones (`Plan`) reply when they are done.
    async fn call(&self, command: Command) -> Result<Reply, ApiError>;

    /// Returns the events from now on.
    fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>>;
}

/// A front end's connection to the engine of one checkout. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<dyn Engine>);

impl Handle {
    /// Wraps an implementation.
    pub fn new(engine: impl Engine + 'static) -> Self {
        Self(Arc::new(engine))
    }

    /// Carries out one command.
    ///
    /// # Errors
    ///
    /// What the engine refuses, and `Other` when it is gone.
    pub async fn call(&self, command: Command) -> Result<Reply, ApiError> {
        self.0.call(command).await
    }

    /// Carries out a command and forgets its reply.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`].
    pub async fn tell(&self, command: Command) -> Result<(), ApiError> {
        self.call(command).await.map(|_| ())
    }

    /// Asks for a snapshot.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`].
    pub async fn snapshot(&self) -> Result<crate::protocol::engine_api::Snapshot, ApiError> {
        match self.call(Command::Snapshot).await? {
            Reply::Snapshot(snapshot) => Ok(snapshot),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the events from now on. A receiver that lags loses the oldest ones and is told so.
    pub fn subscribe(&self) -> Events {
        Events(self.0.subscribe())
    }
}

/// A stream of events that turns lag into [`EngineEvent::Lagged`].
pub struct Events(broadcast::Receiver<Arc<EngineEvent>>);

impl Events {
    /// Waits for the next event; none when the engine is gone.
    pub async fn next(&mut self) -> Option<Arc<EngineEvent>> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Arc::new(EngineEvent::Lagged)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Makes the error for a reply of the wrong kind, which only a broken engine sends.
pub fn unexpected(reply: &Reply) -> ApiError {
    ApiError::new(ErrorKind::Other, format!("the engine sent an unexpected reply: {reply:?}"))
}
