//! The only code that names `tower_lsp` or `lsp_types`: a thin adapter between an editor and the engine's handle.
//!
//! Reading order, outside in. tower-lsp 0.20 polls every handler inside one task, starts handlers unordered once they
//! wait, stops reading when its queue is full, and unwinds as a whole when a handler panics. So nothing here relies on
//! it for more than decoding:
//!
//! * [`framing`]: bytes to frames; a malformed message is answered, not fatal.
//! * [`gate`]: the service around tower-lsp's: raw `initialize`, `exit`, panics, the cap on waiting requests.
//! * [`server`]: handlers that only post a [`message::Message`] to the session and wait for its answer.
//! * [`outbound`]: the one task that talks to the client; [`progress`] is its book of progress tokens.
//! * [`serve`]: starts all of it and ends it, in time and with the right exit code.
//! * [`session`]: the actor behind all of it, which knows documents, folders and engines.
//! * [`capabilities`]: what the client can do, as booleans; what the server says it can do.
//! * [`convert`]: the only place where UTF-16 positions and URIs are converted.

pub mod capabilities;
pub mod convert;
pub mod framing;
pub mod gate;
pub mod message;
pub mod outbound;
pub mod progress;
pub mod serve;
pub mod server;
pub mod session;
