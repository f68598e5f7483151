//! The Hyperliquid-compatible doors: `/info`, `/exchange` and `/ws`.
//!
//! The shapes of requests and answers are Hyperliquid's. What they say is the business of the
//! [`Venue`]; this module reads requests, transcodes actions into the bytes that were signed, and
//! carries subscriptions.
//!
//! # Known limitations
//! No vaults, trigger orders, candles or funding history: each is refused with a sentence.

mod transcode;
mod venue;
mod ws;

pub use transcode::to_msgpack;
pub use venue::{ActionParts, Subscription, Topic, Venue, VenueEvent, VenueQuery};

use crate::metrics::Door;
use crate::port::{QueryError, Wait};
use crate::server::{Client, Refusal, Shared, refuse};
use atoll_types::{Reject, RejectCode};
use axum::body::{Body, Bytes};
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, post};
use axum::{Extension, Router};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// The routes of this API.
pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/info", post(info))
        .route("/exchange", post(exchange))
        .route("/ws", any(socket))
        .with_state(shared)
}

fn json_response(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn no_venue() -> Response {
    let sentence = "this node runs no exchange environment; /atoll/environments lists what it runs";
    let code = RejectCode::UnknownEnvironment;
    refuse(Door::Hyperliquid, &Refusal::new(StatusCode::NOT_FOUND, code, sentence))
}

async fn info(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Some(venue) = shared.ports.hyperliquid.clone() else { return no_venue() };
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let sentence = format!("the body is not JSON: {error}");
            return refuse(
                Door::Hyperliquid,
                &Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, RejectCode::Malformed, sentence),
            );
        }
    };
    match venue.info(request).await {
        Ok(answer) => json_response(answer.to_string()),
        Err(error) => {
            let status = match error {
                QueryError::NotFound(_) | QueryError::NotKept(_) => StatusCode::NOT_FOUND,
                QueryError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
                QueryError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
                QueryError::Invalid(_) | QueryError::TooLarge(_) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
            };
            refuse(Door::Hyperliquid, &Refusal::new(status, None, error.to_string()))
        }
    }
}

/// The body of an `/exchange` request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeRequest<'a> {
    #[serde(borrow)]
    action: &'a RawValue,
    nonce: u64,
    #[serde(default)]
    signature: Option<SignatureParts>,
    #[serde(default)]
    vault_address: Option<String>,
    #[serde(default)]
    expires_after: Option<u64>,
}

#[derive(Deserialize)]
struct SignatureParts {
    r: String,
    s: String,
    v: u64,
}

/// 32 bytes of hex; Hyperliquid's SDKs leave out leading zeros.
fn word(text: &str) -> Result<[u8; 32], Reject> {
    let malformed =
        || Reject::new(RejectCode::BadSignature, "r and s must be up to 64 hex digits with 0x");
    let digits = text.strip_prefix("0x").ok_or_else(malformed)?;
    if digits.len() > 64 {
        return Err(malformed());
    }
    let mut bytes = [0; 32];
    let padded = format!("{digits:0>64}");
    alloy_primitives::hex::decode_to_slice(padded, &mut bytes).map_err(|_| malformed())?;
    Ok(bytes)
}

/// Transcodes, submits and answers one action.
async fn act(shared: &Shared, venue: &dyn Venue, body: &[u8]) -> Result<Value, Reject> {
    let malformed = |error: serde_json::Error| {
        Reject::new(RejectCode::Malformed, format!("the request does not decode: {error}"))
    };
    let request: ExchangeRequest<'_> = serde_json::from_slice(body).map_err(malformed)?;
    let Some(signature) = request.signature else {
        let sentence = "there is no signature: sign the action and send r, s and v";
        return Err(Reject::new(RejectCode::Unsigned, sentence));
    };
    let vault =
        match request.vault_address {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Reject::new(RejectCode::Malformed, "vaultAddress is not an address")
            })?),
        };
    let parts = ActionParts {
        action: to_msgpack(request.action.get()).map_err(malformed)?,
        nonce: request.nonce,
        vault,
        expires_after: request.expires_after,
        signature: (word(&signature.r)?, word(&signature.s)?, signature.v),
    };
    let bytes = venue.assemble(parts)?;
    let accepted = shared.ports.submit.submit(venue.environment(), bytes, Wait::Execution).await?;
    let receipt = accepted.receipt.unwrap_or_default();
    if let Some(code) = receipt.code {
        return Err(Reject::new(code, receipt.message));
    }
    venue.answer(request.action.get(), &receipt.bytes)
}

/// Hyperliquid answers a refusal of the whole action with 200 and a sentence.
fn outcome(shared: &Shared, result: Result<Value, Reject>) -> Value {
    match result {
        Ok(response) => json!({ "status": "ok", "response": response }),
        Err(reject) => {
            shared.metrics.reject(reject.code);
            json!({
                "status": "err",
                "response": reject.message,
                "code": reject.code.number(),
                "label": reject.code.label(),
            })
        }
    }
}

async fn exchange(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Some(venue) = shared.ports.hyperliquid.clone() else { return no_venue() };
    let result = act(&shared, &*venue, &body).await;
    json_response(outcome(&shared, result).to_string())
}

async fn socket(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Arc<Client>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let Some(venue) = shared.ports.hyperliquid.clone() else { return no_venue() };
    match upgrade {
        Ok(upgrade) => {
            let context = shared.clone();
            crate::ws::accept(upgrade, shared, client, Door::Hyperliquid, move |outbox| {
                ws::Session::new(context, venue, outbox)
            })
        }
        Err(rejection) => {
            let sentence = format!("not a WebSocket handshake: {rejection}");
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, None, sentence);
            refuse(Door::Hyperliquid, &refusal)
        }
    }
}
