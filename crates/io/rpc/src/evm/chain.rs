//! `/evm/<environment>/chain.json`: what a wallet needs to know to add a chain.

use super::render;
use crate::server::{EvmEnvironment, Refusal, Shared, json_response, refuse};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use serde_json::json;

/// The parameters of EIP-3085's `wallet_addEthereumChain`, with the addresses under which the
/// client reached this node.
pub(super) fn parameters(
    shared: &Shared,
    chain: &EvmEnvironment,
    path: &str,
    request: &Request<Body>,
) -> Response {
    if request.method() != Method::GET {
        let refusal =
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, None, "GET the chain's parameters here");
        return refuse(crate::metrics::Door::Evm, &refusal);
    }
    let said = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let plain = |host: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        !host.is_empty() && host.len() <= 255 && host.chars().all(allowed)
    };
    let listens = shared.config.listen.to_string();
    let host = said(header::HOST).filter(plain).unwrap_or(&listens);
    // A proxy that ends TLS says so.
    let secure = request.headers().get("x-forwarded-proto").is_some_and(|value| value == "https");
    let (http, ws) = if secure { ("https", "wss") } else { ("http", "ws") };
    let symbol = chain.port.symbol();
    let body = json!({
        "chainId": render::quantity(chain.port.chain_id()),
        "chainName": format!("Atoll {}", chain.name),
        "nativeCurrency": { "name": symbol, "symbol": symbol, "decimals": 18 },
        "rpcUrls": [format!("{http}://{host}{path}"), format!("{ws}://{host}{path}")],
        "blockExplorerUrls": [],
    });
    json_response(StatusCode::OK, &body)
}
