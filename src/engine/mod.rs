//! The loop: one actor owns the state; everything it needs from the world is a port.
//!
//! Reading order: how front ends reach it ([`handle`]), what it needs ([`ports`]), what everything that works for the actor
//! shares ([`context`]), the actor ([`actor`]) with what it
//! shows ([`view`]) and what it does when asked ([`commands`], and `landing` for what goes into git and comes back); then one attempt from claim to outcome ([`attempt`])
//! with its [`prompt`] and [`checks`], and planning ([`planner`]). Whatever the role, an agent works in a [`turn`].

pub mod actor;
pub mod attempt;
pub mod checks;
pub mod commands;
pub mod context;
pub mod handle;
mod landing;
pub mod planner;
pub mod ports;
pub mod prompt;
mod queue_writer;
pub mod rounds;
mod run_settings;
mod texts;
pub mod turn;
pub mod view;

#[cfg(test)]
mod tests;
