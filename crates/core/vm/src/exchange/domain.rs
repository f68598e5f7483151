//! What is signed: typed-data digests (EIP-712) of Hyperliquid's and of Atoll's domains.
//!
//! Hyperliquid: an action's connection id is keccak-256 over its msgpack, the nonce, the vault
//! and the expiry; an `Agent` with that id is signed under a domain that names no venue, with
//! source "a" for Hyperliquid's mainnet and "b" for everything else. Transfers and approvals are
//! typed data of their own.
//!
//! Atoll: the domain's salt is SHA-256 over network and environment, so that a message is valid
//! nowhere else.

use crate::Identity;
use alloc::vec::Vec;
use atoll_types::{Address, B256, keccak256, sha256};

/// Which source an `Agent` is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Hyperliquid's mainnet.
    Mainnet,
    /// Anything else.
    Testnet,
}

/// `keccak256(msgpack ‖ nonce ‖ vault ‖ expiry)`: what an `Agent` connects to.
pub fn connection_id(
    action: &[u8],
    nonce: u64,
    vault: Option<&Address>,
    expires_after: Option<u64>,
) -> B256 {
    let mut bytes = Vec::with_capacity(action.len() + 38);
    bytes.extend_from_slice(action);
    bytes.extend_from_slice(&nonce.to_be_bytes());
    bytes.push(u8::from(vault.is_some()));
    if let Some(vault) = vault {
        bytes.extend_from_slice(vault.as_slice());
    }
    if let Some(expires_after) = expires_after {
        bytes.push(0);
        bytes.extend_from_slice(&expires_after.to_be_bytes());
    }
    keccak256(&bytes)
}

/// Separator of the domain `{name: "Exchange", version: "1", chainId: 1337, verifyingContract: 0}`.
const EXCHANGE_SEPARATOR: B256 = constant(EXCHANGE_SEPARATOR_HEX);
const EXCHANGE_SEPARATOR_HEX: &str =
    "d79297fcdf2ffcd4ae223d01edaa2ba214ff8f401d7c9300d995d17c82aa4040";
/// Hash of the type `Agent(string source,bytes32 connectionId)`.
const AGENT_TYPE: B256 = constant(AGENT_TYPE_HEX);
const AGENT_TYPE_HEX: &str = "26f05c2f7239b6983075e58321292d77b3aa173d19b27257ac96ab362570f508";
/// Hash of "a".
const SOURCE_A: B256 = constant(SOURCE_A_HEX);
const SOURCE_A_HEX: &str = "3ac225168df54212a25c1c01fd35bebfea408fdac2e31ddd6f80a4bbf9a5f1cb";
/// Hash of "b".
const SOURCE_B: B256 = constant(SOURCE_B_HEX);
const SOURCE_B_HEX: &str = "b5553de315e0edf504d9150af82dafa5c4667fa618ed0a6f19c69b41166c5510";

const fn constant(hex: &str) -> B256 {
    const fn digit(byte: u8) -> u8 {
        if byte <= b'9' { byte - b'0' } else { byte - b'a' + 10 }
    }
    let (hex, mut out, mut i) = (hex.as_bytes(), [0u8; 32], 0);
    while i < 32 {
        out[i] = digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]);
        i += 1;
    }
    B256::new(out)
}

/// What is signed for an action that Hyperliquid signs over its bytes.
pub fn agent_digest(source: Source, connection_id: &B256) -> B256 {
    let source = match source {
        Source::Mainnet => SOURCE_A,
        Source::Testnet => SOURCE_B,
    };
    let words = [AGENT_TYPE.0, source.0, connection_id.0];
    typed_digest(&EXCHANGE_SEPARATOR, &keccak256(words.as_flattened()))
}

/// Digest of a message under a domain.
fn typed_digest(separator: &B256, message: &B256) -> B256 {
    let mut bytes = [0u8; 66];
    bytes[..2].copy_from_slice(&[0x19, 0x01]);
    bytes[2..34].copy_from_slice(separator.as_slice());
    bytes[34..].copy_from_slice(message.as_slice());
    keccak256(bytes)
}

/// One word of a typed message.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// A string: its hash.
    Text(&'a str),
    /// An integer.
    Number(u128),
    /// An address.
    Address(&'a Address),
    /// A boolean.
    Bool(bool),
}

impl Word<'_> {
    fn bytes(&self) -> [u8; 32] {
        let mut word = [0; 32];
        match self {
            Self::Text(text) => return keccak256(text.as_bytes()).0,
            Self::Number(number) => word[16..].copy_from_slice(&number.to_be_bytes()),
            Self::Address(address) => word[12..].copy_from_slice(address.as_slice()),
            Self::Bool(value) => word[31] = u8::from(*value),
        }
        word
    }
}

/// Hash of a message of this type; `signature` is the type as EIP-712 writes it.
fn struct_hash(signature: &str, words: &[Word<'_>]) -> B256 {
    let mut bytes = Vec::with_capacity(32 * (words.len() + 1));
    bytes.extend_from_slice(keccak256(signature.as_bytes()).as_slice());
    words.iter().for_each(|word| bytes.extend_from_slice(&word.bytes()));
    keccak256(&bytes)
}

/// What is signed for a message that Hyperliquid signs as typed data.
pub fn hyperliquid_digest(chain_id: u64, signature: &str, words: &[Word<'_>]) -> B256 {
    let domain = "EIP712Domain(string name,string version,uint256 chainId,\
        address verifyingContract)";
    let separator = struct_hash(
        domain,
        &[
            Word::Text("HyperliquidSignTransaction"),
            Word::Text("1"),
            Word::Number(chain_id.into()),
            Word::Address(&Address::ZERO),
        ],
    );
    typed_digest(&separator, &struct_hash(signature, words))
}

/// The salt of the Atoll domain: names network and environment.
pub fn atoll_salt(identity: &Identity) -> B256 {
    sha256(&[identity.network.0.as_slice(), &identity.environment.0.to_le_bytes()])
}

/// What is signed for a message of Atoll's own.
pub fn atoll_digest(
    identity: &Identity,
    chain_id: u64,
    signature: &str,
    words: &[Word<'_>],
) -> B256 {
    let domain = "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)";
    let mut bytes = [0u8; 160];
    let head = [Word::Text("Atoll"), Word::Text("1"), Word::Number(chain_id.into())];
    bytes[..32].copy_from_slice(keccak256(domain.as_bytes()).as_slice());
    for (place, word) in bytes[32..128].chunks_exact_mut(32).zip(head) {
        place.copy_from_slice(&word.bytes());
    }
    bytes[128..].copy_from_slice(atoll_salt(identity).as_slice());
    typed_digest(&keccak256(bytes), &struct_hash(signature, words))
}

/// What the oracle signs: its prices at a time, for one environment of one network.
pub fn oracle_digest(identity: &Identity, time_ms: u64, body: &[u8]) -> B256 {
    sha256(&[
        b"atoll oracle",
        identity.network.0.as_slice(),
        &identity.environment.0.to_le_bytes(),
        &time_ms.to_le_bytes(),
        body,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_constants_are_what_they_are_constants_of() {
        let separator = struct_hash(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
            &[
                Word::Text("Exchange"),
                Word::Text("1"),
                Word::Number(1337),
                Word::Address(&Address::ZERO),
            ],
        );
        let agent = keccak256(b"Agent(string source,bytes32 connectionId)");
        assert_eq!(EXCHANGE_SEPARATOR.to_string(), separator.to_string());
        assert_eq!(AGENT_TYPE.to_string(), agent.to_string());
        assert_eq!(SOURCE_A.to_string(), keccak256(b"a").to_string());
        assert_eq!(SOURCE_B.to_string(), keccak256(b"b").to_string());
    }
}
