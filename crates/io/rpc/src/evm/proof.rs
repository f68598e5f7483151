//! `atoll_getProof`: an account and its storage, proven against the last settled root.
//!
//! The state is no Merkle-Patricia trie, so a proof of it is not what `eth_getProof` promises; that
//! method says so.

use super::Context;
use super::args::list;
use super::error::RpcError;
use super::parse::{Params, address, storage_key};
use super::render;
use crate::port::SettlementQuery;
use alloy_primitives::Bytes;
use serde_json::{Value, json};

/// Storage slots of one question: each is a search of its own.
const SLOTS_MAX: usize = 64;

/// What `eth_getProof` answers.
pub(super) fn not_ethereum() -> RpcError {
    RpcError::server(
        "eth_getProof is not available: the state of this chain is a binary trie of SHA-256, not a \
         Merkle-Patricia trie; ask atoll_getProof, which takes the same arguments, for a proof in \
         its own format",
    )
}

pub(super) async fn account(context: &Context, params: &Params) -> Result<Value, RpcError> {
    let account = params.required(0, address)?;
    let slots = params.optional(1, |value| {
        let slots = list(value)?;
        if slots.len() > SLOTS_MAX {
            return Err(format!("{} storage keys, at most {SLOTS_MAX}", slots.len()));
        }
        slots.iter().map(storage_key).collect::<Result<Vec<_>, _>>()
    })?;
    let settled = params
        .get(2)
        .is_none_or(|tag| ["latest", "safe", "finalized"].iter().any(|known| tag == known));
    if !settled {
        let sentence = "invalid argument 2: only the last settled state is proven; \
                        leave it out, or say \"latest\"";
        return Err(RpcError::params(sentence));
    }
    let chain = &context.environment;
    let hub = context.shared.ports.hub.as_ref();
    let own = hub.is_none_or(|hub| !std::sync::Arc::ptr_eq(&hub.port, &chain.port));
    let Some(settlement) = context.shared.ports.settlement.as_ref().filter(|_| own) else {
        return Err(RpcError::server("nothing is proven here: this chain settles on no hub"));
    };
    let prove =
        |key: Bytes| settlement.answer(SettlementQuery::Proof { environment: chain.id, key });
    let (key, keys) = chain.port.object_keys(account, &slots);
    let shown = prove(key).await?;
    let mut storage = Vec::with_capacity(slots.len());
    for (slot, key) in slots.iter().zip(keys) {
        storage.push(json!({ "key": render::quantity(*slot), "proof": prove(key).await? }));
    }
    Ok(json!({ "address": account, "account": shown, "storage": storage }))
}
