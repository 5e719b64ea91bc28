//! The service around tower-lsp's: sees every message first, in order, and keeps tower-lsp alive.

use super::framing::MALFORMED;
use super::message::failed;
use futures::FutureExt;
use futures::future::{self, BoxFuture};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tower_lsp::jsonrpc::{Error, Id, Request, Response};

/// Requests that may wait for the session at once. Below tower-lsp's concurrency level, so that a cancellation always
/// finds a free place.
pub const MAX_IN_FLIGHT: usize = 512;

/// Why serving ends; the first reason wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent `exit`.
    Exit,
    /// The client closed its side.
    Eof,
    /// The process named in `initialize` is gone.
    ParentGone,
    /// The operating system asked to stop.
    Terminated,
    /// The session itself ended, which it must not.
    SessionFailed,
}

/// What the gate, the handlers and [`super::serve`] share about the connection.
#[derive(Debug, Default)]
pub struct Link {
    end: OnceLock<End>,
    stop: CancellationToken,
    shutdown: AtomicBool,
    in_flight: AtomicUsize,
    initialize: Mutex<Handshake>,
}

#[derive(Debug, Default)]
struct Handshake {
    params: Option<Value>,
    result: Option<Value>,
}

impl Link {
    /// Ends the connection for `reason` unless it is ending already.
    pub fn end(&self, reason: End) {
        if self.end.set(reason).is_ok() {
            tracing::debug!(?reason, "the connection ends");
        }
        self.stop.cancel();
    }

    /// Returns why the connection ends, once it does.
    pub fn ended(&self) -> Option<End> {
        self.end.get().copied()
    }

    /// Returns the token that is cancelled when the connection ends.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells whether the client asked for `shutdown`.
    pub fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::SeqCst)
    }

    /// Takes the parameters of `initialize` as sent.
    pub fn take_initialize_params(&self) -> Value {
        self.handshake().params.take().unwrap_or(Value::Null)
    }

    /// Sets what the client gets as the result of `initialize`, in place of what tower-lsp's types can say.
    pub fn set_initialize_result(&self, result: Value) {
        self.handshake().result = Some(result);
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.initialize.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type OnInitialize = Box<dyn FnOnce(&Value) + Send>;

/// Wraps the service `S`; see the module.
pub struct Gate<S> {
    inner: S,
    link: Arc<Link>,
    on_initialize: Option<OnInitialize>,
}

impl<S> Gate<S> {
    /// Wraps `inner`; `on_initialize` sees the raw parameters of the first `initialize`.
    pub fn new(inner: S, link: Arc<Link>, on_initialize: impl FnOnce(&Value) + Send + 'static) -> Self {
        Self { inner, link, on_initialize: Some(Box::new(on_initialize)) }
    }

    /// Keeps the raw parameters and hands on empty ones: tower-lsp refuses the whole request over one unknown value.
    fn capture_initialize(&mut self, request: Request) -> Request {
        let Some(hook) = self.on_initialize.take() else { return request };
        let (method, id, params) = request.into_parts();
        let params = params.unwrap_or(Value::Null);
        hook(&params);
        self.link.handshake().params = Some(params);
        rebuild(method.into_owned(), id, Some(json!({ "capabilities": {} })))
    }
}

impl<S> Service<Request> for Gate<S>
where
    S: Service<Request, Response = Option<Response>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: std::fmt::Display + Send + 'static,
{
    type Response = Option<Response>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Option<Response>, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.inner.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            // A service that has exited refuses to be ready; `call` knows that itself, and an error here would leave
            // tower-lsp waiting for a reader that returned.
            Poll::Ready(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let id = request.id().cloned();
        if self.link.ended().is_some() {
            return answer(id.map(|id| Response::from_error(id, Error::invalid_request())));
        }
        let mut initializes = false;
        let request = match request.method() {
            MALFORMED => return answer(Some(malformed(request))),
            "exit" => {
                let exited = self.inner.call(request);
                self.link.end(End::Exit);
                return exited.map(|_| Ok(None)).boxed();
            }
            "initialize" => {
                initializes = self.on_initialize.is_some();
                self.capture_initialize(request)
            }
            "shutdown" => {
                self.link.shutdown.store(true, Ordering::SeqCst);
                let (method, id, _) = request.into_parts();
                rebuild(method.into_owned(), id, None)
            }
            "initialized" => rebuild("initialized".to_owned(), None, Some(json!({}))),
            method if request.params().is_none() && method.starts_with("ralph/") => {
                let (method, id, _) = request.into_parts();
                rebuild(method.into_owned(), id, Some(Value::Null))
            }
            _ => request,
        };
        let permit = match &id {
            Some(id) if request.method() != "shutdown" => match Permit::take(&self.link) {
                Some(permit) => Some(permit),
                None => {
                    let error = failed(format!("{MAX_IN_FLIGHT} requests are waiting already; try again"));
                    return answer(Some(Response::from_error(id.clone(), error)));
                }
            },
            _ => None,
        };
        let method = request.method().to_owned();
        let link = self.link.clone();
        let Ok(handler) = std::panic::catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) else {
            tracing::error!(%method, "a handler panicked");
            return answer(id.map(|id| Response::from_error(id, Error::internal_error())));
        };
        async move {
            let _permit = permit;
            let response = match AssertUnwindSafe(handler).catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    tracing::debug!(%method, %error, "a request came after exit");
                    id.map(|id| Response::from_error(id, Error::invalid_request()))
                }
                Err(_) => {
                    tracing::error!(%method, "a handler panicked");
                    id.map(|id| Response::from_error(id, Error::internal_error()))
                }
            };
            Ok(if initializes { response.map(|response| with_full_result(response, &link)) } else { response })
        }
        .boxed()
    }
}

/// Puts the session's own result in place of tower-lsp's typed one, which cannot carry LSP 3.18.
fn with_full_result(response: Response, link: &Link) -> Response {
    match link.handshake().result.take() {
        Some(result) if response.is_ok() => Response::from_ok(response.id().clone(), result),
        _ => response,
    }
}

fn answer(response: Option<Response>) -> BoxFuture<'static, Result<Option<Response>, std::convert::Infallible>> {
    future::ready(Ok(response)).boxed()
}

fn malformed(request: Request) -> Response {
    let (_, id, params) = request.into_parts();
    let mut error = Error::parse_error();
    if let Some(Value::String(problem)) = params {
        error.message = format!("{}: {problem}", error.message).into();
    }
    Response::from_error(id.unwrap_or(Id::Null), error)
}

fn rebuild(method: String, id: Option<Id>, params: Option<Value>) -> Request {
    let builder = Request::build(method);
    let builder = match id {
        Some(id) => builder.id(id),
        None => builder,
    };
    match params {
        Some(params) => builder.params(params).finish(),
        None => builder.finish(),
    }
}

/// One request's place among those in flight.
struct Permit(Arc<Link>);

impl Permit {
    fn take(link: &Arc<Link>) -> Option<Self> {
        let permit = Self(link.clone());
        (link.in_flight.fetch_add(1, Ordering::SeqCst) < MAX_IN_FLIGHT).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
