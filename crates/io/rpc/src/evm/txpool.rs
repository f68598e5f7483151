//! `txpool_…`: transactions that are ordered and executed, and in no block yet.
//!
//! There is no queue for nonces that come early: `queued` is always empty.

use super::error::RpcError;
use super::render;
use crate::port::{EvmPort, EvmTransaction};
use alloy_primitives::Address;
use serde_json::{Map, Value, json};

pub(super) fn status(port: &dyn EvmPort) -> Value {
    json!({ "pending": render::quantity(port.pending().len() as u64), "queued": "0x0" })
}

pub(super) fn content(port: &dyn EvmPort) -> Result<Value, RpcError> {
    Ok(json!({ "pending": by_sender(port, render::transaction)?, "queued": {} }))
}

pub(super) fn inspect(port: &dyn EvmPort) -> Result<Value, RpcError> {
    Ok(json!({ "pending": by_sender(port, summary)?, "queued": {} }))
}

pub(super) fn content_from(port: &dyn EvmPort, sender: Address) -> Value {
    let waiting = port.pending();
    let own = waiting.iter().filter(|transaction| transaction.from == sender);
    let own =
        own.map(|transaction| (transaction.nonce.to_string(), render::transaction(transaction)));
    json!({ "pending": own.collect::<Map<_, _>>(), "queued": {} })
}

/// Most transactions of one answer.
const TRANSACTIONS_MAX: usize = 10_000;

fn by_sender(
    port: &dyn EvmPort,
    show: impl Fn(&EvmTransaction) -> Value,
) -> Result<Value, RpcError> {
    let waiting = port.pending();
    if waiting.len() > TRANSACTIONS_MAX {
        return Err(RpcError::limit(format!(
            "{} transactions wait, at most {TRANSACTIONS_MAX} are shown; ask with \
             txpool_contentFrom",
            waiting.len()
        )));
    }
    let mut senders: Map<String, Value> = Map::new();
    for transaction in &waiting {
        // With its checksum: clients look their address up as they write it.
        let own = senders.entry(transaction.from.to_string()).or_insert_with(|| json!({}));
        own[transaction.nonce.to_string()] = show(transaction);
    }
    Ok(Value::Object(senders))
}

fn summary(transaction: &EvmTransaction) -> Value {
    let to = match transaction.to {
        Some(to) => to.to_string(),
        None => "contract creation".to_owned(),
    };
    json!(format!(
        "{to}: {} wei + {} gas × {} wei",
        transaction.value, transaction.gas, transaction.gas_price
    ))
}
