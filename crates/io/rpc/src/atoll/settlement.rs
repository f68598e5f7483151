//! `/atoll/…` on settlement and data availability.

use super::{Answer, Gateway, Query, decimal, error, failed, find, invalid, ok};
use crate::port::{CommitmentId, SettlementQuery};
use crate::server::Shared;
use alloy_primitives::{Address, hex};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};

/// Longest key of an object that a proof can be asked for.
const KEY_BYTES_MAX: usize = 128;

async fn answer(shared: &Shared, query: SettlementQuery) -> Answer {
    let Some(port) = &shared.ports.settlement else {
        let message = "this node does not settle: it was started without a hub";
        return Err(error(StatusCode::NOT_FOUND, None, message));
    };
    ok(&port.answer(query).await.map_err(failed)?)
}

pub(super) async fn status(State(shared): Gateway) -> Answer {
    answer(&shared, SettlementQuery::Status).await
}

pub(super) async fn commitment(State(shared): Gateway, Path(text): Path<String>) -> Answer {
    let id = match text.as_str() {
        "latest" => CommitmentId::Latest,
        "settled" => CommitmentId::Settled,
        number => CommitmentId::Number(decimal("commitment", number)?),
    };
    answer(&shared, SettlementQuery::Commitment(id)).await
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

pub(super) async fn header(State(shared): Gateway, Path(slot): Path<String>) -> Answer {
    answer(&shared, SettlementQuery::Header(decimal("slot", &slot)?)).await
}

pub(super) async fn span(State(shared): Gateway, Path(slot): Path<String>) -> Answer {
    answer(&shared, SettlementQuery::Span(decimal("slot", &slot)?)).await
}

pub(super) async fn sample(State(shared): Gateway, Path(slot): Path<String>, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["square", "row", "column"])?;
    let place = |name: &str| {
        let text = query.get(name).unwrap_or("0");
        u16::try_from(decimal(name, text)?)
            .map_err(|_| invalid(format!("{name} must be below 65536")))
    };
    let slot = decimal("slot", &slot)?;
    let (square, row, column) = (place("square")?, place("row")?, place("column")?);
    answer(&shared, SettlementQuery::Sample { slot, square, row, column }).await
}

pub(super) async fn namespace(
    State(shared): Gateway,
    Path((slot, owner)): Path<(String, String)>,
) -> Answer {
    let environment = match owner.as_str() {
        "headers" => None,
        name => Some(find(&shared.ports.atoll.environments(), name)?),
    };
    let slot = decimal("slot", &slot)?;
    answer(&shared, SettlementQuery::Namespace { slot, environment }).await
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
