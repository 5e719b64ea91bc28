//! The only code that touches disk, git, processes, sockets and time.
//!
//! Reading order: writing safely ([`durable`], [`watch`]); where things are kept ([`paths`], [`journal`],
//! [`queue_store`], [`settings_source`], [`trust`]); git ([`repository`], [`slots`], [`checkout`], and [`workshop`],
//! which is all of them as the engine asks for it); processes ([`processes`], [`supervisor`], [`mailbox`], [`scripted`],
//! [`agents`], and [`runner`], likewise); the agent's side ([`agent_side`], [`mcp`]); and how front ends reach an engine ([`engine_lock`], [`identity`], [`socket`],
//! [`launch`]).

pub mod agent_side;
pub mod agents;
pub mod checkout;
pub mod durable;
pub mod engine_lock;
pub mod identity;
pub mod init_files;
pub mod journal;
pub mod launch;
pub mod mailbox;
pub mod mcp;
pub mod paths;
pub mod processes;
pub mod queue_store;
pub mod repository;
pub mod runner;
pub mod scripted;
pub mod settings_source;
pub mod slots;
pub mod socket;
pub mod supervisor;
pub mod trust;
pub mod watch;
pub mod workshop;
