//! `/atoll/…`: environments, slots, roots, receipts, transactions, witnesses; and `/metrics`.
//!
//! Plain JSON over GET, integers as JSON numbers (all of them below 2⁵³ except where a string says
//! otherwise), hashes and bytes as `0x` hex. Errors are `{"error": {code, label, message}}`, where
//! `code` is one of the network's stable codes or null.

mod markets;
mod query;
mod render;
mod settlement;

use crate::metrics::Door;
use crate::port::{EnvironmentInfo, MetricsPort, QueryError, SlotId, Wait};
use crate::server::{Refusal, Shared, json_response, refuse};
use alloy_primitives::{B256, hex};
use atoll_types::{EnvironmentId, Reject, RejectCode};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use query::Query;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;

type Gateway = State<Arc<Shared>>;
type Answer = Result<Response, Failure>;

/// A refusal in this API's convention.
struct Failure(Refusal);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        refuse(Door::Atoll, &self.0)
    }
}

/// Most roots in one answer.
const ROOTS_MAX: usize = 1000;

/// Most liquidatable accounts and positions in one answer.
const UNITS_MAX: usize = 1000;

/// The API, as `/atoll` and every 404 list it.
const INDEX: &[(&str, &str)] = &[
    ("GET /atoll", "this list"),
    ("GET /atoll/status", "where the node and each environment stand"),
    ("GET /atoll/environments", "every environment: name, id, kind, spec hash, chain id"),
    ("GET /atoll/slots/{number|latest|finalised}", "a sealed slot and its environments' batches"),
    ("GET /atoll/roots?environment=NAME&slot=N&limit=N", "state roots at commitments"),
    (
        "GET /atoll/liquidatable?environment=NAME&limit=N",
        "accounts and isolated positions that can be liquidated, by the node's own index",
    ),
    ("GET /atoll/markets?environment=NAME", "every market of an exchange with its prices"),
    ("GET /atoll/markets/{name}", "a market: every parameter, prices, book, funding, estates"),
    ("GET /atoll/accounts/{address}", "an account: margin, collateral, positions, orders, agents"),
    ("GET /atoll/transactions/{hash}", "an ordered transaction and its confirmation"),
    ("GET /atoll/receipts/{hash}", "a transaction's receipt and place"),
    (
        "GET /atoll/witnesses?environment=NAME&slot=N&commands=A..B",
        "the witness of a range of a slot's commands, as bytes",
    ),
    (
        "POST /atoll/transactions",
        "submit {\"environment\": NAME, \"bytes\": \"0x…\", \"wait\": \
         \"admission\"|\"confirmation\"|\"execution\"}",
    ),
    ("GET /atoll/settlement", "the hub, its contracts, and how far commitments have come there"),
    ("GET /atoll/commitments/{number|latest|settled}", "a commitment with its statements"),
    ("GET /atoll/withdrawals?to=ADDRESS", "withdrawals to an address of the hub"),
    ("GET /atoll/withdrawals/{index}", "a withdrawal, with its proof once it is settled"),
    ("GET /atoll/headers/{slot}", "a slot's header with its leader's signature"),
    (
        "GET /atoll/headers?from=SLOT&count=N",
        "up to 1,000 of them, one after the other, as far as slots are sealed",
    ),
    ("GET /atoll/da/{slot}", "the roots of the data published about a slot's span"),
    ("GET /atoll/da/{slot}/sample?square=N&row=N&column=N", "a share of it with its proof"),
    (
        "GET /atoll/da/{slot}/namespace/{environment|headers}",
        "all of a namespace in it, with the proof that it is all",
    ),
    (
        "GET /atoll/proof?environment=NAME&key=HEX",
        "an object of the last settled state, or that there is none, with its proof",
    ),
    ("GET /metrics", "OpenMetrics text for Prometheus"),
    ("POST /evm/{environment}", "Ethereum JSON-RPC; the same over WebSocket"),
    ("POST /hub", "Ethereum JSON-RPC of the embedded settlement hub; the same over WebSocket"),
    ("POST /info, POST /exchange, WebSocket /ws", "the Hyperliquid API"),
];

/// The routes of this API.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let only = |methods: MethodRouter<Arc<Shared>>| methods.fallback(wrong_method);
    Router::new()
        .route("/", only(get(index)))
        .route("/atoll", only(get(index)))
        .route("/atoll/status", only(get(status)))
        .route("/atoll/environments", only(get(environments)))
        .route("/atoll/slots/{slot}", only(get(slot)))
        .route("/atoll/roots", only(get(roots)))
        .route("/atoll/liquidatable", only(get(liquidatable)))
        .route("/atoll/markets", only(get(markets::markets)))
        .route("/atoll/markets/{*name}", only(get(markets::market)))
        .route("/atoll/accounts/{address}", only(get(markets::account)))
        .route("/atoll/transactions", only(post(submit)))
        .route("/atoll/transactions/{hash}", only(get(transaction)))
        .route("/atoll/receipts/{hash}", only(get(receipt)))
        .route("/atoll/witnesses", only(get(witness)))
        .route("/atoll/settlement", only(get(settlement::status)))
        .route("/atoll/commitments/{commitment}", only(get(settlement::commitment)))
        .route("/atoll/withdrawals", only(get(settlement::withdrawals)))
        .route("/atoll/withdrawals/{index}", only(get(settlement::withdrawal)))
        .route("/atoll/headers", only(get(settlement::headers)))
        .route("/atoll/headers/{slot}", only(get(settlement::header)))
        .route("/atoll/da/{slot}", only(get(settlement::span)))
        .route("/atoll/da/{slot}/sample", only(get(settlement::sample)))
        .route("/atoll/da/{slot}/namespace/{owner}", only(get(settlement::namespace)))
        .route("/atoll/proof", only(get(settlement::proof)))
        .route("/metrics", only(get(metrics)))
        .with_state(shared)
}

fn error(status: StatusCode, code: Option<RejectCode>, message: impl Into<String>) -> Failure {
    Failure(Refusal::new(status, code, message))
}

fn invalid(message: impl Into<String>) -> Failure {
    error(StatusCode::BAD_REQUEST, Some(RejectCode::Malformed), message)
}

fn failed(failure: QueryError) -> Failure {
    let status = match &failure {
        QueryError::NotFound(_) => StatusCode::NOT_FOUND,
        QueryError::NotKept(_) => StatusCode::GONE,
        QueryError::Invalid(_) | QueryError::TooLarge(_) => StatusCode::BAD_REQUEST,
        QueryError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        QueryError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, None, failure.to_string())
}

/// A refused transaction over plain HTTP.
fn rejected(reject: &Reject) -> Failure {
    let status = match reject.code {
        RejectCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        RejectCode::Busy | RejectCode::Halted => StatusCode::SERVICE_UNAVAILABLE,
        RejectCode::Oversized => StatusCode::PAYLOAD_TOO_LARGE,
        RejectCode::UnknownEnvironment => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    error(status, Some(reject.code), reject.message.as_str())
}

fn ok(value: &Value) -> Answer {
    Ok(json_response(StatusCode::OK, value))
}

fn list_index() -> Value {
    INDEX
        .iter()
        .map(|(path, what)| (path.to_string(), json!(what)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A path that does not exist, answered in the convention of where it looks like it belongs.
pub(crate) fn unknown_path(shared: &Shared, path: &str) -> Response {
    let path: String = path.chars().take(128).collect();
    let environments: Vec<String> =
        shared.ports.evm.iter().map(|environment| format!("/evm/{}", environment.name)).collect();
    let body = json!({
        "error": {
            "code": null,
            "label": "not_found",
            "message": format!("there is no {path} here"),
        },
        "paths": list_index(),
        "evm": environments,
    });
    json_response(StatusCode::NOT_FOUND, &body)
}

async fn wrong_method(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    let mut response = error(
        StatusCode::METHOD_NOT_ALLOWED,
        None,
        format!("{path} does not take this method; GET /atoll lists what there is"),
    )
    .into_response();
    let allowed = if path == "/atoll/transactions" { "POST" } else { "GET" };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn index(State(shared): Gateway) -> Answer {
    ok(&json!({ "version": shared.config.client_version, "paths": list_index() }))
}

async fn environments(State(shared): Gateway) -> Answer {
    let list = shared.ports.atoll.environments();
    ok(&json!({ "environments": list.iter().map(render::environment).collect::<Value>() }))
}

async fn status(State(shared): Gateway) -> Answer {
    let status = shared.ports.atoll.status().await.map_err(failed)?;
    let names = shared.ports.atoll.environments();
    let mut value = render::status(&status, &names);
    value["version"] = json!(shared.config.client_version);
    ok(&value)
}

async fn slot(State(shared): Gateway, Path(slot): Path<String>) -> Answer {
    let id = match slot.as_str() {
        "latest" => SlotId::Latest,
        "finalised" | "finalized" => SlotId::Finalised,
        number => SlotId::Number(decimal("slot", number)?),
    };
    let found = shared.ports.atoll.slot(id).await.map_err(failed)?;
    ok(&render::slot(&found, &shared.ports.atoll.environments()))
}

async fn roots(State(shared): Gateway, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["environment", "slot", "limit"])?;
    let list = shared.ports.atoll.environments();
    let environment = query.get("environment").map(|name| find(&list, name)).transpose()?;
    let slot = query.get("slot").map(|text| decimal("slot", text)).transpose()?;
    let limit = query.get("limit").map(|text| decimal("limit", text)).transpose()?;
    let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(ROOTS_MAX).clamp(1, ROOTS_MAX);
    let found = shared.ports.atoll.roots(environment, slot, limit).await.map_err(failed)?;
    let found: Value = found.iter().map(|root| render::root(root, &list)).collect();
    ok(&json!({ "roots": found }))
}

async fn liquidatable(State(shared): Gateway, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["environment", "limit"])?;
    let list = shared.ports.atoll.environments();
    let environment = query.get("environment").map(|name| find(&list, name)).transpose()?;
    let limit = query.get("limit").map(|text| decimal("limit", text)).transpose()?;
    let limit = usize::try_from(limit.unwrap_or(100)).unwrap_or(UNITS_MAX).clamp(1, UNITS_MAX);
    let found = shared.ports.atoll.liquidatable(environment, limit).await.map_err(failed)?;
    let found: Value = found.iter().map(|unit| render::liquidatable(unit, &list)).collect();
    ok(&json!({ "liquidatable": found }))
}

async fn transaction(State(shared): Gateway, Path(text): Path<String>) -> Answer {
    let found = shared.ports.atoll.transaction(hash(&text)?).await.map_err(failed)?;
    ok(&render::transaction(&found, &shared.ports.atoll.environments()))
}

async fn receipt(State(shared): Gateway, Path(text): Path<String>) -> Answer {
    let found = shared.ports.atoll.receipt(hash(&text)?).await.map_err(failed)?;
    ok(&render::placed_receipt(&found, &shared.ports.atoll.environments()))
}

async fn witness(State(shared): Gateway, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["environment", "slot", "commands"])?;
    let list = shared.ports.atoll.environments();
    let (Some(name), Some(slot)) = (query.get("environment"), query.get("slot")) else {
        return Err(invalid("name what to prove: ?environment=NAME&slot=N, and commands=A..B"));
    };
    let (environment, slot) = (find(&list, name)?, decimal("slot", slot)?);
    let commands = query.get("commands").map(range).transpose()?;
    let mut chunks =
        shared.ports.atoll.witness(slot, environment, commands).await.map_err(failed)?;
    // The first chunk decides between an error that can still be told and an answer.
    let first = match chunks.recv().await {
        None => alloy_primitives::Bytes::new(),
        Some(first) => first.map_err(failed)?,
    };
    let body = futures_util::stream::unfold(Some((first, chunks)), |state| async {
        let (chunk, mut chunks) = state?;
        let next = match chunks.recv().await {
            None => None,
            Some(Ok(next)) => Some((next, chunks)),
            // Too late for a status: the body is cut off, and the client sees that it is.
            Some(Err(error)) => return Some((Err(std::io::Error::other(error)), None)),
        };
        Some((Ok(chunk.0), next))
    });
    let mut response = Response::new(Body::from_stream(body));
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    environment: Value,
    bytes: String,
    #[serde(default)]
    wait: Option<String>,
}

async fn submit(State(shared): Gateway, body: Bytes) -> Answer {
    let submission: Submission = serde_json::from_slice(&body).map_err(|error| {
        invalid(format!(
            "expected {{\"environment\": NAME, \"bytes\": \"0x…\", \"wait\": …}}: {error}"
        ))
    })?;
    let list = shared.ports.atoll.environments();
    let environment = match &submission.environment {
        Value::String(name) => find(&list, name)?,
        Value::Number(id) => find(&list, &id.to_string())?,
        _ => return Err(invalid("environment must be a name or an id")),
    };
    let wait = match submission.wait.as_deref() {
        Some("admission") => Wait::Admission,
        Some("confirmation") => Wait::Confirmation,
        None | Some("execution") => Wait::Execution,
        Some(_) => return Err(invalid("wait must be admission, confirmation or execution")),
    };
    let digits = submission.bytes.strip_prefix("0x");
    let bytes = digits.and_then(|digits| hex::decode(digits).ok());
    let bytes = bytes.ok_or_else(|| invalid("bytes must be hex with 0x in front"))?;
    match shared.ports.submit.submit(environment, bytes, wait).await {
        Ok(accepted) => ok(&render::accepted(&accepted)),
        Err(reject) => {
            shared.metrics.reject(reject.code);
            Err(rejected(&reject))
        }
    }
}

async fn metrics(State(shared): Gateway) -> Response {
    let mut text = String::new();
    for port in &shared.ports.metrics {
        port.render(&mut text);
    }
    shared.metrics.registry().render(&mut text);
    text.push_str("# EOF\n");
    let mut response = Response::new(Body::from(text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The environment with this name or id.
fn find(list: &[EnvironmentInfo], name: &str) -> Result<EnvironmentId, Failure> {
    let id = name.parse().ok().map(EnvironmentId);
    let found = list.iter().find(|one| one.name == name || Some(one.id) == id);
    found.map(|one| one.id).ok_or_else(|| {
        let known: Vec<&str> = list.iter().map(|one| one.name.as_str()).collect();
        let name: String = name.chars().take(64).collect();
        error(
            StatusCode::NOT_FOUND,
            Some(RejectCode::UnknownEnvironment),
            format!("there is no environment '{name}'; there are: {}", known.join(", ")),
        )
    })
}

fn decimal(what: &str, text: &str) -> Result<u64, Failure> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| invalid(format!("{what} must be a decimal number of at most 64 bits")))
}

fn hash(text: &str) -> Result<B256, Failure> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) => Ok(B256::from(bytes)),
        Err(_) => Err(invalid("a hash is 0x and 64 hex digits")),
    }
}

fn range(text: &str) -> Result<Range<u32>, Failure> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse::<u32>().ok()?..to.parse::<u32>().ok()?));
    match parsed {
        Some(range) if range.start < range.end => Ok(range),
        _ => Err(invalid("commands must be A..B: from A, up to and without B")),
    }
}
