//! One request: its body, its bounds, its panics, and the convention in which it is refused.

use super::connection::Client;
use super::{Shared, door_of};
use crate::metrics::{Answered, Door, Timed};
use atoll_types::RejectCode;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// A body larger than allowed is still read, and thrown away, up to so many times the bound: a
/// client that is cut off while it writes never sees the answer that says why.
const DISCARD_FACTOR: usize = 8;

/// A request that is refused before its handler, or instead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// The code, where it is one of the network's.
    pub code: Option<RejectCode>,
    /// What was wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(
        status: StatusCode,
        code: impl Into<Option<RejectCode>>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }
}

/// Renders a refusal in the convention of the API it came to.
pub fn refuse(door: Door, refusal: &Refusal) -> Response<Body> {
    let Refusal { status, code, message } = refusal;
    let label = code.map_or_else(|| label_of(*status), RejectCode::label);
    let number = code.map(RejectCode::number);
    let body = match door {
        Door::Evm => json!({
            "jsonrpc": "2.0",
            "id": null,
            "error": {
                "code": json_rpc_code(*status),
                "message": message,
                "data": { "code": number, "label": label },
            },
        }),
        Door::Hyperliquid => json!({ "status": "err", "response": message }),
        Door::Atoll => {
            json!({ "error": { "code": number, "label": label, "message": message } })
        }
    };
    let mut response = json_response(*status, &body);
    if matches!(*status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn label_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "too_slow",
        StatusCode::GATEWAY_TIMEOUT => "timeout",
        StatusCode::INTERNAL_SERVER_ERROR => "internal",
        StatusCode::GONE => "not_kept",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        _ => "invalid",
    }
}

fn json_rpc_code(status: StatusCode) -> i64 {
    match status {
        StatusCode::TOO_MANY_REQUESTS => -32005,
        StatusCode::SERVICE_UNAVAILABLE => -32002,
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::GATEWAY_TIMEOUT => -32603,
        _ => -32600,
    }
}

/// Serves one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    client: Arc<Client>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    client.busy();
    let begun = Instant::now();
    let door = door_of(request.uri().path());
    let answered = AssertUnwindSafe(answer(&shared, &client, router, request)).catch_unwind().await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => refuse(door, &refusal),
        Err(_) => {
            shared.metrics.panics.inc();
            tracing::error!(?door, "a handler panicked");
            let sentence = "the node failed to answer this request; its log says why";
            refuse(door, &Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, None, sentence))
        }
    };
    allow_browsers(response.headers_mut());
    let status = response.status().as_u16();
    shared.metrics.requests.get_or_create(&Answered { door, status }).inc();
    let seconds = begun.elapsed().as_secs_f64();
    shared.metrics.request_seconds.get_or_create(&Timed { door }).observe(seconds);
    client.idle();
    Ok(response)
}

async fn answer(
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if let Some(rate) = &shared.rate
        && !rate.allow(client.ip)
    {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            RejectCode::RateLimited,
            format!("more than {} requests per second from your address; slow down", rate.per_s),
        ));
    }
    if request.method() == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let (parts, incoming) = request.into_parts();
    let (body, _budget) = read_body(shared, &parts.headers, incoming).await?;
    let Ok(_permit) = shared.in_flight.try_acquire() else {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            RejectCode::Busy,
            "the node has as many requests in flight as it takes; try again in a second",
        ));
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(client.clone());
    let limit = shared.limits().handler_timeout;
    match tokio::time::timeout(limit, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(response)) => Ok(response),
        Err(_) => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            None,
            format!("no answer within {} s; ask for less or try again", limit.as_secs_f32()),
        )),
    }
}

/// Reads a body into memory, within its bound, its time, and the budget of all bodies.
async fn read_body(
    shared: &Shared,
    headers: &HeaderMap,
    mut incoming: Incoming,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    if incoming.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let limits = shared.limits();
    let max = limits.body_bytes_max;
    let oversized = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            RejectCode::Oversized,
            format!("the body is larger than {max} bytes; send less in one request"),
        )
    };
    let claimed = incoming.size_hint().lower();
    // A client that waits to be asked for its body has sent none of it.
    if claimed > max as u64 && headers.contains_key(header::EXPECT) {
        return Err(oversized());
    }
    let collect = async {
        let mut body = Vec::new();
        let (mut total, mut budget) = (0usize, None::<OwnedSemaphorePermit>);
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| {
                Refusal::new(
                    StatusCode::BAD_REQUEST,
                    RejectCode::Malformed,
                    format!("the body ended early: {error}"),
                )
            })?;
            let Ok(data) = frame.into_data() else { continue };
            total = total.saturating_add(data.len());
            if claimed > max as u64 || total > max {
                body = Vec::new();
                budget = None;
                if total > max.saturating_mul(DISCARD_FACTOR) {
                    break;
                }
                continue;
            }
            let wanted = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let Ok(more) = shared.bodies.clone().try_acquire_many_owned(wanted) else {
                return Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    RejectCode::Busy,
                    "too many bytes of requests are in memory; try again in a second",
                ));
            };
            match &mut budget {
                Some(budget) => budget.merge(more),
                None => budget = Some(more),
            }
            body.extend_from_slice(&data);
        }
        if total > max || claimed > max as u64 {
            return Err(oversized());
        }
        Ok((Bytes::from(body), budget))
    };
    tokio::time::timeout(limits.body_timeout, collect).await.unwrap_or_else(|_| {
        shared.metrics.cut("slow_body");
        Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            RejectCode::Malformed,
            format!("the body took longer than {} s", limits.body_timeout.as_secs_f32()),
        ))
    })
}

/// Lets web pages of any origin call the gateway.
///
/// Nothing here trusts where a request comes from: there are no cookies and no logins, reads are
/// public, and writes carry their own signature. So a page may ask what any program may ask, and
/// no credentials are allowed along.
fn allow_browsers(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    let methods = HeaderValue::from_static("GET, POST, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let content = HeaderValue::from_static("content-type");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, content);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

/// A token bucket per address.
pub(crate) struct Rate {
    per_s: u32,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Rate {
    pub(crate) fn new(per_s: u32) -> Self {
        Self { per_s: per_s.max(1), buckets: Mutex::default() }
    }

    /// Takes a token; false when there is none.
    pub(crate) fn allow(&self, ip: IpAddr) -> bool {
        let (now, full) = (Instant::now(), f64::from(self.per_s));
        let mut buckets = self.buckets.lock();
        let (tokens, last) = buckets.entry(ip).or_insert((full, now));
        *tokens = (*tokens + now.duration_since(*last).as_secs_f64() * full).min(full);
        *last = now;
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        }
        allowed
    }

    /// Forgets addresses whose bucket is full again.
    pub(crate) fn forget_idle(&self) {
        self.buckets.lock().retain(|_, (_, last)| last.elapsed() < Duration::from_secs(2));
    }
}
