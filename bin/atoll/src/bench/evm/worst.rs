//! Blocks of what costs most time for its gas: how long the block gas limit keeps a node busy.

use super::code::{self, repeat};
use super::input::{self, Group};
use super::measure::{Rules, SPEC};
use super::state::address;
use super::workload::{Builder, Workload};
use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result};
use atoll_executor::VmSpec;
use atoll_vm::evm::Precompile;
use atoll_vm::evm::precompiles::{BATCH_GAS, GasSchedule as PrecompilePrices, SINGLE_GAS};

/// Bytes of memory that are hashed at once.
const MEMORY_BYTES: u32 = 1 << 20;
/// Bytes that a precompiled contract hashes at once.
const HASHED_BYTES: usize = 1 << 15;
/// Signatures in a batch.
const BATCH: usize = 64;
/// A transaction ends when it has less gas left than what it repeats uses, and so much.
const SPARE: u32 = 10_000;

/// Something to fill a block with.
struct Case {
    name: &'static str,
    does: Does,
}

enum Does {
    /// Calls a precompiled contract, for so much gas where its price is not raised, again and again.
    Precompile { at: Address, input: Vec<u8>, gas: u64 },
    /// Hashes a large memory.
    HashMemory,
    /// Asks for what nobody asked for before: an account's code size, or a slot.
    Cold { opcode: u8, gas: u32 },
    /// Contracts that create themselves, as deep as gas lasts.
    DeepCreate2,
}

fn cases() -> Vec<Case> {
    let precompile = |name, at: u16, gas, input| {
        let at = Address::left_padding_from(&at.to_be_bytes());
        Case { name, does: Does::Precompile { at, input, gas } }
    };
    let own = |name, precompile: Precompile, prices: PrecompilePrices, input: Vec<u8>| {
        let signatures = if precompile == Precompile::Ed25519 { 1 } else { BATCH };
        let gas = prices.cost(signatures, input.len());
        Case { name, does: Does::Precompile { at: precompile.address(), input, gas } }
    };
    vec![
        precompile("bn254 pairing, 2 pairs", 0x08, 113_000, input::bn254_pairing(2)),
        precompile("bn254 pairing, 16 pairs", 0x08, 589_000, input::bn254_pairing(16)),
        precompile("bn254 addition", 0x06, 150, input::bn254_add()),
        precompile("bn254 multiplication", 0x07, 6_000, input::bn254_mul()),
        precompile("bls12-381 addition, G1", 0x0b, 375, input::bls_add(Group::G1)),
        precompile("bls12-381 addition, G2", 0x0d, 600, input::bls_add(Group::G2)),
        precompile("bls12-381 msm, G1, 1", 0x0c, 12_000, input::bls_msm(Group::G1, 1)),
        precompile("bls12-381 msm, G1, 16", 0x0c, 129_984, input::bls_msm(Group::G1, 16)),
        precompile("bls12-381 msm, G2, 1", 0x0e, 22_500, input::bls_msm(Group::G2, 1)),
        precompile("bls12-381 msm, G2, 16", 0x0e, 258_120, input::bls_msm(Group::G2, 16)),
        precompile("bls12-381 map to G1", 0x10, 5_500, input::bls_map(1)),
        precompile("bls12-381 map to G2", 0x11, 23_800, input::bls_map(2)),
        precompile("bls12-381 pairing, 2 pairs", 0x0f, 102_900, input::bls_pairing(2)),
        precompile("bls12-381 pairing, 8 pairs", 0x0f, 298_500, input::bls_pairing(8)),
        precompile("p256 verification", 0x0100, 6_900, input::p256()),
        precompile("sha256 of 32 KiB", 0x02, 12_348, input::zeros(HASHED_BYTES)),
        precompile("ripemd160 of 32 KiB", 0x03, 123_480, input::zeros(HASHED_BYTES)),
        precompile("ecrecover", 0x01, 3_000, input::ecrecover()),
        precompile("point evaluation", 0x0a, 50_000, input::point_evaluation()),
        precompile("modexp, 32 bytes", 0x05, 4_100, input::modexp(32, &[0xff; 32])),
        precompile("modexp, 256 bytes", 0x05, 600_000, input::modexp(256, &[0xff; 32])),
        precompile("modexp, 1024 bytes, cube", 0x05, 33_000, input::modexp(1024, &[3])),
        precompile("blake2f, 100,000 rounds", 0x09, 100_000, input::blake2f(100_000)),
        own("ed25519", Precompile::Ed25519, SINGLE_GAS, input::ed25519()),
        own(
            "ed25519 batch of 64",
            Precompile::Ed25519Batch,
            BATCH_GAS,
            input::ed25519_batch(BATCH),
        ),
        Case { name: "keccak256 of 1 MiB", does: Does::HashMemory },
        Case {
            name: "EXTCODESIZE, cold accounts",
            does: Does::Cold { opcode: code::EXTCODESIZE, gas: 2_600 },
        },
        Case { name: "SLOAD, cold slots", does: Does::Cold { opcode: code::SLOAD, gas: 2_100 } },
        Case { name: "CREATE2, deep", does: Does::DeepCreate2 },
    ]
}

impl Does {
    /// The contract that does it, and the call data for its so-many-th call.
    fn program(&self, rules: &Rules) -> Bytes {
        let spared = |gas: u64| u32::try_from(gas).unwrap_or(u32::MAX).saturating_add(SPARE);
        match self {
            Self::Precompile { at, gas, .. } => {
                let gas = gas * rules.gas.factors().of(at);
                repeat(&code::LOAD_INPUT, &code::call_precompile(*at), spared(gas))
            }
            Self::HashMemory => {
                let hash = code::hash_memory(MEMORY_BYTES);
                let gas = rules.gas.table(SPEC).keccak256_cost(MEMORY_BYTES as usize);
                repeat(&hash, &hash, spared(gas))
            }
            Self::Cold { opcode, gas } => {
                repeat(&code::FIRST_WORD, &code::count(*opcode), *gas + SPARE)
            }
            Self::DeepCreate2 => {
                repeat(&code::LOAD_INPUT, &code::create2(code::CALLDATASIZE), 10 * SPARE)
            }
        }
    }

    fn input(&self, call: u64) -> Vec<u8> {
        match self {
            Self::Precompile { input, .. } => input.clone(),
            Self::HashMemory => Vec::new(),
            Self::Cold { .. } => B256::from(first(call)).to_vec(),
            Self::DeepCreate2 => {
                let create = code::create2(code::CODESIZE);
                repeat(&code::LOAD_OWN_CODE, &create, 10 * SPARE).to_vec()
            }
        }
    }
}

/// Where a call begins to count.
fn first(call: u64) -> U256 {
    U256::from(call + 1) << 64
}

/// A block for each case: transactions of `transaction_gas` at most, as many as have room in `gas`.
pub(super) fn blocks(gas: u64, transaction_gas: u64, rules: &Rules) -> Vec<Workload> {
    let block = |Case { name, does }: Case| {
        let mut builder = Builder::new();
        let contract = address("worst", 0);
        builder.state.put_code(contract, &does.program(rules));
        let (mut left, mut call) = (gas, 0);
        while left >= transaction_gas.min(gas) / 2 {
            let limit = left.min(transaction_gas);
            let input = does.input(call);
            if let Does::Cold { opcode, gas } = does {
                fill(&mut builder, (contract, opcode), first(call), limit / u64::from(gas));
            }
            builder.send(address("account", call), contract, limit, input.into());
            (left, call) = (left - limit, call + 1);
        }
        builder.finish(name)
    };
    cases().into_iter().map(block).collect()
}

/// Accounts with code, or slots, for who counts through them.
fn fill(builder: &mut Builder, (contract, opcode): (Address, u8), from: U256, count: u64) {
    for index in 0..count {
        let at = from + U256::from(index);
        match opcode {
            code::SLOAD => builder.state.put_slot(contract, at, U256::ONE),
            _ => {
                // Another code each, so that each has to be found.
                let own = B256::from(at);
                let account = Address::from_word(own);
                builder.state.put_code(account, &Bytes::copy_from_slice(own.as_slice()));
            }
        }
    }
}

/// Gas limits of the built-in EVM environment, of a block and of a transaction, and its rules.
pub(super) fn built_in() -> Result<(u64, u64, Rules)> {
    let specs = crate::specs::load_all(None)?;
    let evm = specs.iter().find_map(|spec| match &spec.vm {
        VmSpec::Evm(evm) => Some(evm),
        _ => None,
    });
    let evm = evm.context("the built-in specs have no EVM environment")?;
    let block = evm.block_gas_limit;
    let transaction = evm.hardfork.transaction_gas_limit().unwrap_or(block).min(block);
    Ok((block, transaction, Rules { gas: evm.gas.clone(), precompiles: evm.precompiles }))
}
