//! `/atoll/…` on settlement and data availability.
//!
//! What has a canonical encoding is answered as those bytes alone to whoever accepts
//! `application/octet-stream`: half of the size of hex, and what a light client checks anyway.

use super::{Answer, Failure, Gateway, Query, decimal, error, failed, find, invalid, ok};
use crate::port::{CommitmentId, SettlementQuery};
use crate::server::Shared;
use alloy_primitives::{Address, hex};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header as http_header};
use axum::response::Response;
use serde_json::Value;

/// Longest key of an object that a proof can be asked for.
const KEY_BYTES_MAX: usize = 128;
/// Most headers in one answer.
const HEADERS_MAX: u64 = 1000;

const OCTETS: &[u8] = b"application/octet-stream";

async fn value_of(shared: &Shared, query: SettlementQuery) -> Result<Value, Failure> {
    let Some(port) = &shared.ports.settlement else {
        let message = "this node does not settle: it was started without a hub";
        return Err(error(StatusCode::NOT_FOUND, None, message));
    };
    port.answer(query).await.map_err(failed)
}

async fn answer(shared: &Shared, query: SettlementQuery) -> Answer {
    ok(&value_of(shared, query).await?)
}

/// The same, or the bytes in one field of it if that is what the client accepts.
async fn encoded(
    shared: &Shared,
    asked: &HeaderMap,
    query: SettlementQuery,
    field: &str,
) -> Answer {
    let value = value_of(shared, query).await?;
    let accepts = asked.get(http_header::ACCEPT).is_some_and(|kind| kind.as_bytes() == OCTETS);
    let bytes = value[field].as_str().filter(|_| accepts).and_then(|text| hex::decode(text).ok());
    let Some(bytes) = bytes else { return ok(&value) };
    let mut response = Response::new(Body::from(bytes));
    let octets = HeaderValue::from_bytes(OCTETS).map_err(|e| invalid(e.to_string()))?;
    response.headers_mut().insert(http_header::CONTENT_TYPE, octets);
    Ok(response)
}

pub(super) async fn status(State(shared): Gateway) -> Answer {
    answer(&shared, SettlementQuery::Status).await
}

pub(super) async fn commitment(
    State(shared): Gateway,
    Path(text): Path<String>,
    asked: HeaderMap,
) -> Answer {
    let id = match text.as_str() {
        "latest" => CommitmentId::Latest,
        "settled" => CommitmentId::Settled,
        number => CommitmentId::Number(decimal("commitment", number)?),
    };
    encoded(&shared, &asked, SettlementQuery::Commitment(id), "bytes").await
}

pub(super) async fn withdrawal(State(shared): Gateway, Path(index): Path<String>) -> Answer {
    answer(&shared, SettlementQuery::Withdrawal(decimal("withdrawal", &index)?)).await
}

pub(super) async fn withdrawals(State(shared): Gateway, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["to"])?;
    let to = query.get("to").and_then(|text| text.parse::<Address>().ok());
    let to = to.ok_or_else(|| invalid("name an address of the hub: ?to=0x…"))?;
    answer(&shared, SettlementQuery::Withdrawals(to)).await
}

pub(super) async fn header(
    State(shared): Gateway,
    Path(slot): Path<String>,
    asked: HeaderMap,
) -> Answer {
    let query = SettlementQuery::Header(decimal("slot", &slot)?);
    encoded(&shared, &asked, query, "bytes").await
}

pub(super) async fn headers(State(shared): Gateway, uri: Uri, asked: HeaderMap) -> Answer {
    let query = Query::parse(&uri, &["from", "count"])?;
    let from = query.get("from").ok_or_else(|| invalid("name the first slot: ?from=N"))?;
    let from = decimal("from", from)?;
    let count = query.get("count").map(|text| decimal("count", text)).transpose()?;
    let count = count.unwrap_or(HEADERS_MAX);
    if from == 0 || count == 0 || count > HEADERS_MAX {
        return Err(invalid(format!("slots begin at 1, and count is 1 to {HEADERS_MAX}")));
    }
    encoded(&shared, &asked, SettlementQuery::Headers { from, count }, "bytes").await
}

pub(super) async fn span(
    State(shared): Gateway,
    Path(slot): Path<String>,
    asked: HeaderMap,
) -> Answer {
    let query = SettlementQuery::Span(decimal("slot", &slot)?);
    encoded(&shared, &asked, query, "header").await
}

pub(super) async fn sample(
    State(shared): Gateway,
    Path(slot): Path<String>,
    uri: Uri,
    asked: HeaderMap,
) -> Answer {
    let query = Query::parse(&uri, &["square", "row", "column"])?;
    let place = |name: &str| {
        let text = query.get(name).unwrap_or("0");
        u16::try_from(decimal(name, text)?)
            .map_err(|_| invalid(format!("{name} must be below 65536")))
    };
    let slot = decimal("slot", &slot)?;
    let (square, row, column) = (place("square")?, place("row")?, place("column")?);
    let query = SettlementQuery::Sample { slot, square, row, column };
    encoded(&shared, &asked, query, "sample").await
}

pub(super) async fn namespace(
    State(shared): Gateway,
    Path((slot, owner)): Path<(String, String)>,
    asked: HeaderMap,
) -> Answer {
    let environment = match owner.as_str() {
        "headers" => None,
        name => Some(find(&shared.ports.atoll.environments(), name)?),
    };
    let slot = decimal("slot", &slot)?;
    encoded(&shared, &asked, SettlementQuery::Namespace { slot, environment }, "proof").await
}

pub(super) async fn proof(State(shared): Gateway, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["environment", "key"])?;
    let (Some(name), Some(key)) = (query.get("environment"), query.get("key")) else {
        return Err(invalid("name what to prove: ?environment=NAME&key=0x…"));
    };
    let environment = find(&shared.ports.atoll.environments(), name)?;
    let key = key.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    let key = key.filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let key = key.ok_or_else(|| invalid("key must be hex with 0x in front, 1 to 128 bytes"))?;
    answer(&shared, SettlementQuery::Proof { environment, key: key.into() }).await
}
