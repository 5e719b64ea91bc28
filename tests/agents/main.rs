//! Real agent programs against a scripted model server on loopback; `tests/run agents` installs and runs them.
//!
//! Each agent has a file with its tables: what it is put through, and what each failure of the model must end as.

#[macro_use]
mod tables;

mod bench;
mod leftovers;
mod mock;

mod built_in;
mod claude;
mod claude_agent_acp;
mod codex;
mod codex_acp;
mod gemini;
mod opencode;
mod page;

/// Serves until it is killed, for trials by hand.
#[test]
#[ignore = "serves until it is killed"]
fn serve() {
    let port = std::env::var("RALPH_MOCK_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    let mock = mock::Mock::start(port);
    println!("{}/s/SCENARIO@RUN", mock.address());
    loop {
        std::thread::park();
    }
}
