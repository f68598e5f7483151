//! Ed25519 as precompiled contracts: layout of the input, price, answer.

use super::ed25519::{Claim, all_hold};
use alloc::vec::Vec;
use revm::precompile::{PrecompileHalt, PrecompileOutput, PrecompileResult};
use revm::primitives::{B256, Bytes};

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasSchedule {
    /// Each call.
    pub base: u64,
    /// Each signature.
    pub signature: u64,
    /// Each 32 bytes of input, or part of them: what it takes to hash them.
    pub word: u64,
}

/// What one signature costs. `cargo bench -p atoll-vm --bench precompiles` shows what a gas takes
/// here and in ecrecover.
pub const SINGLE_GAS: GasSchedule = GasSchedule { base: 0, signature: 4_000, word: 12 };
/// What a batch costs.
pub const BATCH_GAS: GasSchedule = GasSchedule { base: 4_000, signature: 2_000, word: 12 };

impl GasSchedule {
    /// Gas of a call with so many signatures and so many bytes of input.
    pub fn cost(&self, signatures: usize, input_bytes: usize) -> u64 {
        let part = |count: usize, price: u64| (count as u64).saturating_mul(price);
        let signatures = part(signatures, self.signature);
        let words = part(input_bytes.div_ceil(32), self.word);
        self.base.saturating_add(signatures).saturating_add(words)
    }
}

/// A word of one for yes, nothing for no.
fn answer(yes: bool) -> Bytes {
    if yes { B256::with_last_byte(1).into() } else { Bytes::new() }
}

/// Does the work if there is gas for it.
fn priced(
    cost: u64,
    gas_limit: u64,
    reservoir: u64,
    work: impl FnOnce() -> bool,
) -> PrecompileResult {
    Ok(match cost > gas_limit {
        true => PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir),
        false => PrecompileOutput::new(cost, answer(work()), reservoir),
    })
}

/// Public key and signature, and what follows them.
fn key_and_signature(input: &[u8]) -> Option<(&[u8; 32], &[u8; 64], &[u8])> {
    let (public_key, rest) = input.split_first_chunk()?;
    let (signature, rest) = rest.split_first_chunk()?;
    Some((public_key, signature, rest))
}

/// Public key, signature, and everything behind them as the message.
pub(super) fn single(input: &[u8], gas_limit: u64, reservoir: u64) -> PrecompileResult {
    priced(SINGLE_GAS.cost(1, input.len()), gas_limit, reservoir, || {
        key_and_signature(input).is_some_and(|(public_key, signature, message)| {
            Claim { public_key, signature, message }.holds()
        })
    })
}

/// The first entry of a batch, and the others: four bytes big-endian that say how long the message
/// is, public key, signature, message.
fn entry(input: &[u8]) -> Option<(Claim<'_>, &[u8])> {
    let (length, rest) = input.split_first_chunk()?;
    let (public_key, signature, rest) = key_and_signature(rest)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (message, rest) = rest.split_at_checked(length)?;
    Some((Claim { public_key, signature, message }, rest))
}

fn entries(mut input: &[u8]) -> Option<Vec<Claim<'_>>> {
    let mut claims = Vec::new();
    while !input.is_empty() {
        let (claim, rest) = entry(input)?;
        claims.push(claim);
        input = rest;
    }
    // A caller that forgot its input must not take that for a proof.
    (!claims.is_empty()).then_some(claims)
}

/// One entry or more. Input that is none has no signatures to pay for.
pub(super) fn batch(input: &[u8], gas_limit: u64, reservoir: u64) -> PrecompileResult {
    let least = BATCH_GAS.cost(1, input.len());
    if least > gas_limit {
        return priced(least, gas_limit, reservoir, || false);
    }
    let claims = entries(input).unwrap_or_default();
    let cost = BATCH_GAS.cost(claims.len().max(1), input.len());
    priced(cost, gas_limit, reservoir, || !claims.is_empty() && all_hold(&claims))
}
