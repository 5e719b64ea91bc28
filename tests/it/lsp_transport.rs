//! The transport's hazards, each with a test that hangs, panics or misorders without its mitigation.

use crate::support::lsp_client::{TestClient, World};
use ralph_sidecar::lsp::capabilities::{ClientCapabilities, initialize_result};
use ralph_sidecar::lsp::gate::{End, MAX_IN_FLIGHT};
use ralph_sidecar::lsp::message::{Inbox, Message};
use ralph_sidecar::lsp::outbound::{Outbound, RequestError};
use ralph_sidecar::lsp::progress::Step;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// A session that answers the handshake and gives everything else to `on`.
async fn session(mut inbox: Inbox, outbound: Outbound, mut on: impl FnMut(Message, &Outbound)) {
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Initialize(params, reply) => {
                reply.ok(initialize_result(&ClientCapabilities::from_initialize(&params)));
            }
            Message::Initialized => outbound.open(),
            Message::Shutdown(reply) => reply.ok(()),
            Message::Closed => return,
            message => on(message, &outbound),
        }
    }
}

/// A client, after the handshake, of a session that gives its messages to `on`.
fn start(on: impl FnMut(Message, &Outbound) + Send + 'static) -> TestClient {
    start_in(World::default(), on)
}

fn start_in(world: World, on: impl FnMut(Message, &Outbound) + Send + 'static) -> TestClient {
    let mut client = TestClient::start(world, |inbox, outbound| session(inbox, outbound, on));
    client.initialize(json!({ "processId": 4242, "capabilities": {} }));
    client
}

fn hover(line: usize) -> Value {
    json!({ "textDocument": { "uri": "file:///f" }, "position": { "line": line, "character": 0 } })
}

#[test]
fn fifty_thousand_mixed_messages_arrive_in_order() {
    const COUNT: usize = 50_000;
    let (seen, arrived) = std::sync::mpsc::channel();
    let mut client = start(move |message, _| match message {
        Message::DidChange(params) => {
            let _ = seen.send(params.text_document.version as usize);
        }
        Message::Hover(params, reply) => {
            {
                let _ = seen.send(params.text_document_position_params.position.line as usize);
            };
            reply.ok(None);
        }
        Message::Command(_, params, reply) => {
            {
                let _ = seen.send(params["n"].as_u64().unwrap_or(0) as usize);
            };
            reply.ok(Value::Null);
        }
        other => panic!("{other:?} was not sent"),
    });
    let mut pending = std::collections::VecDeque::new();
    for n in 0..COUNT {
        match n % 3 {
            0 => client.notify(
                "textDocument/didChange",
                json!({ "textDocument": { "uri": "file:///f", "version": n }, "contentChanges": [] }),
            ),
            1 => pending.push_back(client.send_request("textDocument/hover", hover(n))),
            _ => pending.push_back(client.send_request("ralph/status", json!({ "n": n }))),
        }
        // A client bounds what it has under way; beyond the gate's cap it would be told so.
        if pending.len() > 256
            && let Some(id) = pending.pop_front()
        {
            client.response(id);
        }
    }
    for id in pending {
        assert_eq!(client.response(id)["error"], Value::Null);
    }
    let order: Vec<usize> = arrived.try_iter().collect();
    assert_eq!(order.len(), COUNT);
    assert!(order.iter().copied().eq(0..COUNT), "messages arrived out of order");
}

#[test]
fn a_panic_in_a_handler_fails_that_request_and_nothing_else() {
    use ralph_sidecar::lsp::gate::{Gate, Link};
    use tower::Service;
    use tower_lsp::jsonrpc::{Request, Response};

    /// Panics on `boom` at once and on `bang` while it is awaited.
    struct Fragile;
    impl Service<Request> for Fragile {
        type Response = Option<Response>;
        type Error = std::convert::Infallible;
        type Future = futures::future::BoxFuture<'static, Result<Option<Response>, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request) -> Self::Future {
            let (method, id, _) = request.into_parts();
            assert_ne!(method, "boom");
            Box::pin(async move {
                tokio::task::yield_now().await;
                assert_ne!(method, "bang");
                Ok(id.map(|id| Response::from_ok(id, json!("fine"))))
            })
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(async {
        let mut gate = Gate::new(Fragile, Arc::new(Link::default()), |_: &Value| {});
        for method in ["boom", "bang"] {
            let response = gate.call(Request::build(method).id(1).finish()).await.expect("infallible");
            let error = response.expect("a request is answered");
            assert_eq!(error.error().map(|error| error.code.code()), Some(-32603), "{method}");
            assert_eq!(gate.call(Request::build(method).finish()).await, Ok(None), "{method} as a notification");
        }
        let response = gate.call(Request::build("calm").id(2).finish()).await.expect("infallible");
        assert_eq!(response, Some(Response::from_ok(2.into(), json!("fine"))));
    });
}

#[test]
fn a_dropped_duty_is_answered_and_the_server_lives_on() {
    let mut client = start(|message, _| match message {
        Message::Hover(_, reply) => drop(reply),
        Message::CodeLens(_, reply) => reply.ok(None),
        other => panic!("{other:?} was not sent"),
    });
    let error = client.request_error("textDocument/hover", hover(0));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("given up")), "{error}");
    client.request("textDocument/codeLens", json!({ "textDocument": { "uri": "file:///f" } }));
}

#[test]
fn a_session_that_panics_ends_the_server_with_a_failure() {
    let mut client = start(|message, _| panic!("{message:?}"));
    let id = client.send_request("textDocument/hover", hover(0));
    assert!(client.response(id).get("error").is_some());
    let outcome = client.ended();
    assert_eq!((outcome.end, outcome.exit_code()), (End::SessionFailed, 1));
}

#[test]
fn requests_are_cancelled_under_full_load() {
    let (kept, mut waiting) = mpsc::unbounded_channel();
    let mut client = start(move |message, _| match message {
        Message::Hover(_, reply) => drop(kept.send(reply)),
        other => panic!("{other:?} was not sent"),
    });
    let ids: Vec<i64> = (0..MAX_IN_FLIGHT).map(|n| client.send_request("textDocument/hover", hover(n))).collect();
    let refused = client.request_error("textDocument/hover", hover(0));
    assert_eq!(refused["code"], -32803, "beyond the cap a request is refused: {refused}");
    for id in &ids[..300] {
        client.notify("$/cancelRequest", json!({ "id": id }));
    }
    for id in &ids[..300] {
        assert_eq!(client.response(*id)["error"]["code"], -32800);
    }
    // The session sees who left, and the others are answered as if nothing had been.
    let mut cancelled = 0;
    for _ in 0..MAX_IN_FLIGHT {
        let reply = waiting.blocking_recv().expect("each request arrived");
        cancelled += usize::from(reply.is_cancelled());
        reply.ok(None);
    }
    assert_eq!(cancelled, 300);
    for id in &ids[300..] {
        assert_eq!(client.response(*id)["result"], Value::Null);
    }
}

#[test]
fn exit_ends_the_server_while_the_input_stays_open() {
    let mut client = start(|_, _| {});
    client.request("shutdown", Value::Null);
    client.notify("exit", Value::Null);
    let outcome = client.ended();
    assert_eq!((outcome.end, outcome.exit_code()), (End::Exit, 0));
}

#[test]
fn exit_without_shutdown_is_an_error() {
    let mut client = start(|_, _| {});
    client.notify("exit", Value::Null);
    let outcome = client.ended();
    assert_eq!((outcome.end, outcome.exit_code()), (End::Exit, 1));
}

#[test]
fn shutdown_and_exit_in_one_breath_are_both_served() {
    let mut client = start(|_, _| {});
    let id = client.send_request("shutdown", Value::Null);
    client.notify("exit", Value::Null);
    let outcome = client.ended();
    assert_eq!(outcome.exit_code(), 0);
    // tower-lsp gives up what is under way at `exit`; the request is answered either way.
    assert_eq!(client.response(id)["id"], id);
}

#[test]
fn requests_after_shutdown_are_refused() {
    let mut client = start(|_, _| {});
    client.request("shutdown", Value::Null);
    assert_eq!(client.request_error("textDocument/hover", hover(0))["code"], -32600);
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().exit_code(), 0);
}

#[test]
fn a_closed_input_ends_the_server_although_a_request_waits() {
    let mut kept = Vec::new();
    let mut client = start(move |message, _| kept.push(message));
    client.send_request("textDocument/hover", hover(0));
    client.hang_up();
    let outcome = client.ended();
    assert_eq!((outcome.end, outcome.exit_code()), (End::Eof, 1));
}

#[test]
fn the_server_ends_when_its_parent_is_gone() {
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = {
        let alive = alive.clone();
        Arc::new(move |pid| pid == 4242 && alive.load(Ordering::SeqCst))
    };
    let mut client = start_in(World { is_alive, ..World::default() }, |_, _| {});
    alive.store(false, Ordering::SeqCst);
    assert_eq!(client.ended().end, End::ParentGone);
}

#[test]
fn a_parent_that_was_never_visible_is_not_watched() {
    let (asked, asks) = std::sync::mpsc::channel();
    let is_alive = Arc::new(move |pid| {
        let _ = asked.send(pid);
        false
    });
    let world = World { is_alive, poll: Duration::from_millis(1), ..World::default() };
    let mut client = start_in(world, |message, _| {
        if let Message::Hover(_, reply) = message {
            reply.ok(None);
        }
    });
    for _ in 0..50 {
        client.request("textDocument/hover", hover(0));
    }
    drop(client);
    assert_eq!(asks.try_iter().collect::<Vec<u32>>(), [4242]);
}

#[test]
fn a_signal_ends_the_server() {
    let (terminate, terminated) = tokio::sync::oneshot::channel();
    let mut client = start_in(World { terminate: Some(terminated), ..World::default() }, |_, _| {});
    drop(terminate);
    let outcome = client.ended();
    assert_eq!((outcome.end, outcome.exit_code()), (End::Terminated, 143));
}

/// A session that asks the client for something at each hover and answers the hover when it knows how that went.
fn asking(patience: Duration) -> impl FnMut(Message, &Outbound) + Send + 'static {
    move |message, outbound| match message {
        Message::Hover(_, reply) => {
            let asked = outbound.request("window/showMessageRequest", json!({ "type": 3, "message": "?" }), patience);
            tokio::spawn(async move {
                match asked.await {
                    Ok(answer) => {
                        let contents =
                            lsp_types::HoverContents::Scalar(lsp_types::MarkedString::String(answer.to_string()));
                        reply.ok(Some(lsp_types::Hover { contents, range: None }));
                    }
                    Err(RequestError::TimedOut { .. }) => reply.fail("timed out"),
                    Err(error) => reply.fail(error.to_string()),
                }
            });
        }
        Message::CodeLens(_, reply) => reply.ok(None),
        _ => {}
    }
}

#[test]
fn a_reply_that_comes_after_the_patience_ended_is_harmless() {
    let mut client = start(asking(Duration::from_millis(20)));
    let error = client.request_error("textDocument/hover", hover(0));
    assert_eq!(error["message"], "timed out");
    let (id, _) = client.server_request("window/showMessageRequest");
    client.reply(&id, Value::Null);
    client.request("textDocument/codeLens", json!({ "textDocument": { "uri": "file:///f" } }));
}

#[test]
fn three_hundred_messages_behind_four_waiting_requests_do_not_wedge_the_server() {
    let mut client = start(asking(Duration::from_secs(600)));
    let waiting: Vec<i64> = (0..4).map(|n| client.send_request("textDocument/hover", hover(n))).collect();
    let asked: Vec<Value> = (0..4).map(|_| client.server_request("window/showMessageRequest").0).collect();
    for version in 0..300 {
        client.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": "file:///f", "version": version }, "contentChanges": [] }),
        );
    }
    client.request("textDocument/codeLens", json!({ "textDocument": { "uri": "file:///f" } }));
    for (index, id) in asked.iter().enumerate() {
        client.reply(id, if index == 0 { Value::Null } else { json!({ "title": "ok" }) });
    }
    for id in waiting {
        assert!(client.response(id).get("error").is_none());
    }
}

#[test]
fn a_malformed_message_is_answered_and_the_next_one_is_served() {
    let mut client = start(asking(Duration::from_secs(600)));
    for body in [r#"{"jsonrpc":"2.0","method":"#, "[]", r#"{"jsonrpc":"2.0","id":[],"method":"shutdown"}"#] {
        client.send_raw(body);
        let answer = client.next_message();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)), "{answer}");
    }
    client.send_bytes(b"noise\r\n\r\n".to_vec());
    client.next_message();
    client.request("textDocument/codeLens", json!({ "textDocument": { "uri": "file:///f" } }));
}

#[test]
fn null_and_missing_parameters_are_taken_for_none() {
    let mut client = TestClient::start(World::default(), |inbox, outbound| {
        session(inbox, outbound, |message, _| {
            if let Message::Command(_, params, reply) = message {
                reply.ok(json!({ "got": params }));
            }
        })
    });
    // Values that no typed parameters know must not refuse the handshake.
    client.request("initialize", json!({ "processId": null, "trace": "compact", "capabilities": { "window": [] } }));
    client.send_raw(r#"{"jsonrpc":"2.0","method":"initialized"}"#);
    client.send_raw(r#"{"jsonrpc":"2.0","id":"text","method":"ralph/status"}"#);
    let answer = client.next_message();
    assert_eq!((&answer["id"], &answer["result"]["got"]), (&json!("text"), &Value::Null));
    client.request("shutdown", Value::Null);
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().exit_code(), 0);
}

#[test]
fn progress_begins_only_after_the_client_accepted_the_token() {
    let mut client = start(|message, outbound| {
        if let Message::Command(_, params, reply) = message {
            let token = params["token"].as_str().unwrap_or_default();
            let step = match params["step"].as_str() {
                Some("begin") => Step::Begin { title: "T".into(), message: None, cancellable: true },
                Some("report") => Step::Report { message: "working".into(), percentage: Some(50) },
                _ => Step::End { message: None },
            };
            outbound.progress(token, step);
            reply.ok(Value::Null);
        }
    });
    for (token, accept) in [("ralph/run/1", true), ("ralph/run/2", false)] {
        let step = |client: &mut TestClient, step: &str| {
            client.request("ralph/status", json!({ "token": token, "step": step }));
        };
        step(&mut client, "begin");
        let (id, params) = client.server_request("window/workDoneProgress/create");
        assert_eq!(params["token"], token);
        step(&mut client, "report");
        if accept {
            client.reply(&id, Value::Null);
            let begun = client.notification("$/progress", |_| true);
            assert_eq!(
                begun["value"],
                json!({ "kind": "begin", "title": "T", "cancellable": true, "message": "working", "percentage": 50 })
            );
            step(&mut client, "end");
            assert_eq!(client.notification("$/progress", |_| true)["value"], json!({ "kind": "end" }));
        } else {
            let refusal = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "no" } });
            client.send_raw(&refusal.to_string());
            step(&mut client, "end");
        }
    }
}

#[test]
fn what_a_slow_reader_missed_is_coalesced() {
    let (done, finished) = std::sync::mpsc::channel();
    let world = World { pipe: 64, ..World::default() };
    let mut client = start_in(world, move |message, outbound| {
        if let Message::Command(_, _, reply) = message {
            let uri = lsp_types::Url::parse("file:///f").expect("a URI");
            for round in 0..5000 {
                let text = format!("{round} {}", "x".repeat(200));
                let diagnostic = lsp_types::Diagnostic::new_simple(lsp_types::Range::default(), text);
                outbound.publish_diagnostics(&uri, &[diagnostic], None);
                outbound.refresh("workspace/codeLens/refresh");
            }
            outbound.notify("ralph/status", json!({ "last": true }));
            reply.ok(Value::Null);
            {
                let _ = done.send(());
            };
        }
    });
    client.request("ralph/status", Value::Null);
    finished.recv().expect("the session said everything");
    let last = client.notification("textDocument/publishDiagnostics", |params| {
        params["diagnostics"][0]["message"].as_str().is_some_and(|message| message.starts_with("4999 "))
    });
    assert_eq!(last["uri"], "file:///f");
    client.notification("ralph/status", |_| true);
    // 5,000 refreshes are at most the one under way and one after it.
    let (id, _) = client.server_request("workspace/codeLens/refresh");
    client.reply(&id, Value::Null);
    let (id, _) = client.server_request("workspace/codeLens/refresh");
    client.reply(&id, Value::Null);
    client.ignore("textDocument/publishDiagnostics");
}

#[test]
fn nothing_said_before_the_handshake_is_lost() {
    let mut client = TestClient::start(World::default(), |inbox, outbound| {
        outbound.notify("ralph/status", json!({ "early": true }));
        session(inbox, outbound, |_, _| {})
    });
    client.initialize(json!({ "capabilities": {} }));
    assert_eq!(client.notification("ralph/status", |_| true), json!({ "early": true }));
}
