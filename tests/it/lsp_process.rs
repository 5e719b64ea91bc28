//! The server as a process: how it ends, and what is on its standard output.

use crate::support::editor::NEOVIM;
use crate::support::lsp_client::TestClient;
use crate::support::repository;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

fn start(parent: u32) -> (TestClient, [TempDir; 2]) {
    let folder = repository::make(&[("a.txt", "a\n"), (".ralph/config.json", "{ \"version\": 1 }\n")]);
    let homes = tempfile::tempdir().expect("a folder can be made");
    let mut client = TestClient::spawn(repository::server(folder.path(), homes.path()));
    client.ignore("ralph/status");
    client.ignore("ralph/queueChanged");
    let root = format!("file://{}", folder.path().display());
    let params = NEOVIM.replace("file:///repo", &root).replace("4242", &parent.to_string());
    let mut params: Value = serde_json::from_str(&params).expect("the fixture is JSON");
    params["capabilities"]["workspace"]["configuration"] = json!(false);
    client.initialize(params);
    client.request("ralph/status", Value::Null);
    (client, [folder, homes])
}

fn exits(client: &mut TestClient, code: i32) {
    assert_eq!(client.exit_code(), Some(code));
}

#[test]
fn shutdown_and_exit_end_the_process_while_its_input_stays_open() {
    let (mut client, _folders) = start(std::process::id());
    client.request("shutdown", Value::Null);
    client.notify("exit", Value::Null);
    exits(&mut client, 0);
}

#[test]
fn a_closed_input_ends_the_process() {
    let (mut client, _folders) = start(std::process::id());
    client.hang_up();
    exits(&mut client, 1);
}

#[test]
fn a_termination_signal_ends_the_process() {
    let (mut client, _folders) = start(std::process::id());
    let pid = client.pid.and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a process");
    kill_process(pid, Signal::TERM).expect("it can be signalled");
    exits(&mut client, 143);
}

#[test]
fn the_end_of_the_parent_ends_the_process() {
    let mut parent = std::process::Command::new("sleep").arg("1000").spawn().expect("a process can be started");
    let (mut client, _folders) = start(parent.id());
    parent.kill().expect("it can be killed");
    parent.wait().expect("it is gone");
    exits(&mut client, 1);
}
