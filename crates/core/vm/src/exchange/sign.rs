//! Signing, for agents, benches and tests; not part of the state transition.

use super::domain::{Source, agent_digest, connection_id, oracle_digest};
use super::{AtollMessage, ExchangeTransaction, Kind, OraclePrices};
use crate::Identity;
use alloc::vec::Vec;
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, Encode};

/// Signs an action over its bytes, as Hyperliquid's SDKs do. A venue of Atoll takes source
/// [`Source::Testnet`].
pub fn sign_l1_action(
    key: &SigningKey,
    source: Source,
    action: Vec<u8>,
    nonce: u64,
    vault: Option<Address>,
    expires_after: Option<u64>,
) -> ExchangeTransaction {
    let connection_id = connection_id(&action, nonce, vault.as_ref(), expires_after);
    let signature = key.sign(&agent_digest(source, &connection_id));
    let kind = Kind::Hyperliquid;
    ExchangeTransaction { kind, nonce, vault, expires_after, body: action, signature }
}

/// Signs an action without vault and expiry for a venue of Atoll.
pub fn sign_action(key: &SigningKey, action: Vec<u8>, nonce: u64) -> ExchangeTransaction {
    sign_l1_action(key, Source::Testnet, action, nonce, None, None)
}

/// Signs a message of Atoll's own for one environment of one network.
pub fn sign_message(
    key: &SigningKey,
    identity: &Identity,
    chain_id: u64,
    message: &AtollMessage,
    nonce: u64,
) -> ExchangeTransaction {
    let signature = key.sign(&message.digest(identity, chain_id, nonce));
    let (kind, body) = (Kind::Atoll, message.to_bytes());
    ExchangeTransaction { kind, nonce, vault: None, expires_after: None, body, signature }
}

/// Signs prices with the oracle's key; `time_ms` must rise from one update to the next.
pub fn sign_oracle(
    key: &SigningKey,
    identity: &Identity,
    time_ms: u64,
    prices: &OraclePrices,
) -> ExchangeTransaction {
    let body = prices.to_bytes();
    let signature = key.sign(&oracle_digest(identity, time_ms, &body));
    let (kind, nonce) = (Kind::Oracle, time_ms);
    ExchangeTransaction { kind, nonce, vault: None, expires_after: None, body, signature }
}
