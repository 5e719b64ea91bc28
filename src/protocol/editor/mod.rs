//! The editor protocol: every name and type that is ours, not the Language Server Protocol's.
//!
//! Reading order: this file (names), `params` (what is asked), `results` (what is answered), `notifications` (what the
//! server says by itself). `docs/protocol.md` documents each entry, and a test ties the two together. Everything here is a convenience of rich
//! clients: code actions, lenses and `workspace/executeCommand` reach the same things.

mod notifications;
mod params;
mod results;
mod schema;

pub use notifications::*;
pub use params::*;
pub use results::*;
pub use schema::editor_schema_json;

/// Key of everything of ours under `capabilities.experimental`, in `initializationOptions` and in the settings.
pub const SECTION: &str = "ralph";

/// Scheme of the virtual documents.
pub const SCHEME: &str = "ralph";

/// Request of the client for the text of a virtual document, for clients without `workspace/textDocumentContent`.
pub const CONTENT: &str = "ralph/content";

/// Request of the server for a line of text from the person, for clients that announce `experimental.ralph.input`.
pub const INPUT: &str = "ralph/input";

/// A thing that can be asked for, by `workspace/executeCommand` (`ralph.plan`) or as a request (`ralph/plan`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    Plan,
    RevisePlan,
    Approve,
    Drop,
    Start,
    Stop,
    Pause,
    Resume,
    Retry,
    Steer,
    Answer,
    Proposal,
    Accept,
    Reject,
    Comment,
    SendBack,
    Land,
    Undo,
    Status,
    Trust,
}

impl Command {
    /// Every command; what is not in here is neither advertised nor dispatched.
    pub const ALL: [Self; 20] = [
        Self::Plan,
        Self::RevisePlan,
        Self::Approve,
        Self::Drop,
        Self::Start,
        Self::Stop,
        Self::Pause,
        Self::Resume,
        Self::Retry,
        Self::Steer,
        Self::Answer,
        Self::Proposal,
        Self::Accept,
        Self::Reject,
        Self::Comment,
        Self::SendBack,
        Self::Land,
        Self::Undo,
        Self::Status,
        Self::Trust,
    ];

    /// Returns the name in `workspace/executeCommand`.
    pub const fn name(self) -> &'static str {
        self.names().0
    }

    /// Returns the name as a request.
    pub const fn method(self) -> &'static str {
        self.names().1
    }

    /// Finds the command of a name in `workspace/executeCommand`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Plan => ("ralph.plan", "ralph/plan"),
            Self::RevisePlan => ("ralph.revisePlan", "ralph/revisePlan"),
            Self::Approve => ("ralph.approve", "ralph/approve"),
            Self::Drop => ("ralph.drop", "ralph/drop"),
            Self::Start => ("ralph.start", "ralph/start"),
            Self::Stop => ("ralph.stop", "ralph/stop"),
            Self::Pause => ("ralph.pause", "ralph/pause"),
            Self::Resume => ("ralph.resume", "ralph/resume"),
            Self::Retry => ("ralph.retry", "ralph/retry"),
            Self::Steer => ("ralph.steer", "ralph/steer"),
            Self::Answer => ("ralph.answer", "ralph/answer"),
            Self::Proposal => ("ralph.proposal", "ralph/proposal"),
            Self::Accept => ("ralph.accept", "ralph/accept"),
            Self::Reject => ("ralph.reject", "ralph/reject"),
            Self::Comment => ("ralph.comment", "ralph/comment"),
            Self::SendBack => ("ralph.sendBack", "ralph/sendBack"),
            Self::Land => ("ralph.land", "ralph/land"),
            Self::Undo => ("ralph.undo", "ralph/undo"),
            Self::Status => ("ralph.status", "ralph/status"),
            Self::Trust => ("ralph.trust", "ralph/trust"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_methods_agree_and_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for command in Command::ALL {
            assert_eq!(command.name().replace('.', "/"), command.method());
            assert_eq!(Command::from_name(command.name()), Some(command));
            assert!(seen.insert(command.name()));
        }
        assert_eq!(Command::from_name("ralph.unheard"), None);
    }
}
