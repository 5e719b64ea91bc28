//! Real agent programs against a scripted model server on loopback; `tests/run agents` installs and runs them.

mod bench;
mod mock;

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
