//! Ethereum transactions of every type, signed.

use alloy_rlp::{Encodable, Header};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, U256, keccak256};

/// A transaction to sign.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) kind: u8,
    pub(crate) nonce: u64,
    pub(crate) to: Option<Address>,
    pub(crate) input: Vec<u8>,
    pub(crate) access_list: Vec<(Address, Vec<B256>)>,
    /// Signed EIP-7702 authorizations.
    pub(crate) authorizations: Vec<Vec<u8>>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            kind: 2,
            nonce: 0,
            to: None,
            input: vec![],
            access_list: vec![],
            authorizations: vec![],
        }
    }
}

const CHAIN_ID: u64 = 3002;
const FEE: u128 = 2_000_000_000;
const GAS: u64 = 500_000;

fn rlp(item: &dyn Encodable) -> Vec<u8> {
    let mut out = vec![];
    item.encode(&mut out);
    out
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![];
    Header { list: true, payload_length: items.iter().map(Vec::len).sum() }.encode(&mut out);
    out.extend(items.concat());
    out
}

impl Draft {
    pub(crate) fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut fields = match self.kind {
            0 => vec![rlp(&self.nonce), rlp(&FEE)],
            1 => vec![rlp(&CHAIN_ID), rlp(&self.nonce), rlp(&FEE)],
            _ => vec![rlp(&CHAIN_ID), rlp(&self.nonce), rlp(&1u8), rlp(&FEE)],
        };
        let to = self.to.map_or(vec![0x80], |to| rlp(&to));
        fields.extend([rlp(&GAS), to, rlp(&U256::ZERO), rlp(&self.input.as_slice())]);
        if self.kind > 0 {
            let item = |(address, keys): &(Address, Vec<B256>)| {
                list(&[rlp(address), list(&keys.iter().map(|key| rlp(key)).collect::<Vec<_>>())])
            };
            fields.push(list(&self.access_list.iter().map(item).collect::<Vec<_>>()));
        }
        if self.kind == 4 {
            fields.push(list(&self.authorizations));
        }
        let mut signed = fields.clone();
        if self.kind == 0 {
            signed.extend([rlp(&CHAIN_ID), vec![0x80], vec![0x80]]);
        }
        let prefix = if self.kind == 0 { vec![] } else { vec![self.kind] };
        let signature = key.sign(&keccak256([prefix.clone(), list(&signed)].concat()));
        let parity = u64::from(signature.y_parity);
        let v = if self.kind == 0 { 35 + 2 * CHAIN_ID + parity } else { parity };
        fields.push(rlp(&v));
        fields.push(rlp(&U256::from_be_bytes(signature.r)));
        fields.push(rlp(&U256::from_be_bytes(signature.s)));
        [prefix, list(&fields)].concat()
    }
}

/// A signed EIP-7702 authorization.
pub(crate) fn authorize(key: &SigningKey, chain_id: u64, address: Address, nonce: u64) -> Vec<u8> {
    let mut fields = vec![rlp(&chain_id), rlp(&address), rlp(&nonce)];
    let signature = key.sign(&keccak256([vec![5], list(&fields)].concat()));
    fields.push(rlp(&u64::from(signature.y_parity)));
    fields.push(rlp(&U256::from_be_bytes(signature.r)));
    fields.push(rlp(&U256::from_be_bytes(signature.s)));
    list(&fields)
}
