//! `/evm/<environment>` and `/hub`: Ethereum JSON-RPC, over HTTP POST and WebSocket.
//!
//! The conventions are those of the execution API specification and, where it is silent, of geth,
//! because that is what clients match on. A refused transaction's `error.data` carries Atoll's
//! stable code and label.

mod args;
mod batch;
mod chain;
mod debug;
mod error;
mod filters;
mod methods;
mod overrides;
mod parse;
mod proof;
mod render;
mod simulate;
mod subscribe;
mod txpool;

pub use error::RpcError;
pub(crate) use filters::Filters;
pub(crate) use methods::EARLY_MAX;

use crate::metrics::Door;
use crate::server::{Client, EvmEnvironment, Refusal, Shared, refuse};
use crate::ws;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, FromRequestParts, Path, State, WebSocketUpgrade};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use http_body_util::BodyExt;
use std::sync::Arc;

/// What a method may use.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) environment: EvmEnvironment,
    pub(crate) client: Arc<Client>,
}

/// The routes of this API.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/evm/{environment}", any(serve))
        .route("/evm/{environment}/chain.json", any(describe))
        .route("/hub", any(serve_hub))
        .route("/hub/chain.json", any(describe_hub))
        .fallback(|State(shared): State<Arc<Shared>>, request: Request<Body>| async move {
            crate::atoll::unknown_path(&shared, request.uri().path())
        })
        .with_state(shared)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Extension(client): Extension<Arc<Client>>,
    request: Request<Body>,
) -> Response {
    let found = shared.ports.evm.iter().find(|environment| environment.name == name);
    let Some(environment) = found.cloned() else { return unknown(&shared, &name) };
    serve_chain(shared, environment, client, request).await
}

async fn serve_hub(
    State(shared): State<Arc<Shared>>,
    Extension(client): Extension<Arc<Client>>,
    request: Request<Body>,
) -> Response {
    let Some(hub) = shared.ports.hub.clone() else { return no_hub() };
    serve_chain(shared, hub, client, request).await
}

fn unknown(shared: &Shared, name: &str) -> Response {
    let known: Vec<&str> = shared.ports.evm.iter().map(|e| e.name.as_str()).collect();
    let sentence = format!("there is no EVM environment '{name}'; there are: {}", known.join(", "));
    let code = atoll_types::RejectCode::UnknownEnvironment;
    refuse(Door::Evm, &Refusal::new(StatusCode::NOT_FOUND, code, sentence))
}

fn no_hub() -> Response {
    let sentence = "this node runs no hub of its own; ask the chain that it settles on";
    refuse(Door::Evm, &Refusal::new(StatusCode::NOT_FOUND, None, sentence))
}

/// What a wallet needs to know to add a chain (the parameters of EIP-3085).
async fn describe(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    let Some(found) = shared.ports.evm.iter().find(|environment| environment.name == name) else {
        return unknown(&shared, &name);
    };
    chain::parameters(&shared, found, &format!("/evm/{name}"), &request)
}

async fn describe_hub(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    match &shared.ports.hub {
        Some(hub) => chain::parameters(&shared, hub, "/hub", &request),
        None => no_hub(),
    }
}

async fn serve_chain(
    shared: Arc<Shared>,
    environment: EvmEnvironment,
    client: Arc<Client>,
    request: Request<Body>,
) -> Response {
    let context = Context { shared: shared.clone(), environment, client: client.clone() };
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::POST {
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes);
        return answer(&context, &bytes.unwrap_or_default()).await;
    }
    if parts.headers.contains_key(header::UPGRADE) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => ws::accept(upgrade, shared, client, Door::Evm, |outbox| {
                subscribe::Session::new(context, outbox)
            }),
            Err(rejection) => {
                let sentence = format!("not a WebSocket handshake: {rejection}");
                refuse(Door::Evm, &Refusal::new(StatusCode::BAD_REQUEST, None, sentence))
            }
        };
    }
    let sentence = "POST JSON-RPC requests here, or open a WebSocket";
    refuse(Door::Evm, &Refusal::new(StatusCode::METHOD_NOT_ALLOWED, None, sentence))
}

async fn answer(context: &Context, body: &Bytes) -> Response {
    let text = batch::answer(context, body, None).await;
    let mut response = Response::new(Body::from(text.unwrap_or_default()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
