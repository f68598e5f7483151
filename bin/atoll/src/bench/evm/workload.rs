//! Blocks of one kind of transaction each, made from a seed.

use super::args::EvmWorkload;
use super::state::{State, address, mapped, word};
use crate::hub::artifacts;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use anyhow::Result;
use atoll_vm::evm::transition::{TxEnv, TxKind};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

sol! {
    function transfer(address to, uint256 value) external returns (bool);
    function swap(bool zeroForOne, uint256 amountIn, uint256 amountOutMin, address to)
        external returns (uint256);
}

pub(super) const CHAIN_ID: u64 = 3002;
/// Wei per gas.
pub(super) const BASE_FEE: u64 = 1_000_000;
const TIP: u128 = 1_000_000;
const POOLS: u64 = 1_000;
/// What somebody holds of a token, and what a pool does.
const TOKENS: u128 = 1_000_000_000_000_000_000_000_000;
const RESERVES: u128 = 1_000_000_000_000_000_000_000_000;
/// Most that is swapped at once: a millionth of the reserves.
const SWAP_MAX: u128 = RESERVES / 1_000_000;

/// Slots of `BenchToken` and `BenchPair`.
const BALANCES: U256 = U256::ZERO;
const ALLOWANCES: U256 = U256::from_limbs([1, 0, 0, 0]);
const RESERVES_SLOT: U256 = U256::from_limbs([2, 0, 0, 0]);
const PRICE_SLOTS: [u64; 2] = [3, 4];
const LOCK_SLOT: U256 = U256::from_limbs([5, 0, 0, 0]);

/// A block to execute.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) transactions: Vec<TxEnv>,
}

/// What is common to the transactions of a block: nonces in a row, money for who sends.
pub(super) struct Builder {
    pub(super) state: State,
    nonces: HashMap<Address, u64>,
    transactions: Vec<TxEnv>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { state: State::default(), nonces: HashMap::new(), transactions: Vec::new() }
    }

    pub(super) fn send(&mut self, from: Address, to: Address, gas_limit: u64, data: Bytes) {
        let nonce = self.nonces.entry(from).or_default();
        if *nonce == 0 {
            self.state.fund(from);
        }
        self.transactions.push(TxEnv {
            tx_type: 2,
            caller: from,
            gas_limit,
            gas_price: u128::from(BASE_FEE) * 2,
            gas_priority_fee: Some(TIP),
            kind: TxKind::Call(to),
            value: if data.is_empty() { U256::ONE } else { U256::ZERO },
            data,
            nonce: *nonce,
            chain_id: Some(CHAIN_ID),
            ..TxEnv::default()
        });
        *nonce += 1;
    }

    pub(super) fn finish(self, name: &'static str) -> Workload {
        Workload { name, state: self.state, transactions: self.transactions }
    }
}

impl EvmWorkload {
    pub(super) const ALL: [Self; 4] =
        [Self::Transfers, Self::Erc20, Self::OnePool, Self::ManyPools];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::OnePool => "one-pool",
            Self::ManyPools => "many-pools",
        }
    }

    /// About what one of its transactions uses.
    fn gas_each(self) -> u64 {
        match self {
            Self::Transfers => 21_000,
            Self::Erc20 => 35_000,
            Self::OnePool | Self::ManyPools => 95_000,
        }
    }

    /// A block of about so much gas.
    pub(super) fn block(self, gas: u64, accounts: u64, seed: u64) -> Result<Workload> {
        let count = (gas / self.gas_each()).max(2);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut builder = Builder::new();
        match self {
            Self::Transfers => transfers(&mut builder, count),
            Self::Erc20 => erc20(&mut builder, &mut rng, count, accounts)?,
            Self::OnePool => swaps(&mut builder, &mut rng, (count, accounts), 1)?,
            Self::ManyPools => swaps(&mut builder, &mut rng, (count, accounts), POOLS)?,
        }
        Ok(builder.finish(self.name()))
    }
}

fn transfers(builder: &mut Builder, count: u64) {
    for index in 0..count {
        let to = address("recipient", index);
        builder.state.fund(to);
        builder.send(address("account", index), to, 21_000, Bytes::new());
    }
}

fn erc20(builder: &mut Builder, rng: &mut SmallRng, count: u64, accounts: u64) -> Result<()> {
    let token = address("token", 0);
    builder.state.put_code(token, &artifacts::runtime_code("BenchToken")?.into());
    for _ in 0..count {
        let from = rng.random_range(0..accounts);
        let to = (from + rng.random_range(1..accounts)) % accounts;
        let (from, to) = (address("account", from), address("account", to));
        for holder in [from, to] {
            let slot = mapped(word(holder), BALANCES);
            builder.state.put_slot(token, slot, U256::from(TOKENS));
        }
        let value = U256::from(rng.random_range(1..=1_000_000_u64));
        let call = transferCall { to, value }.abi_encode();
        builder.send(from, token, 60_000, call.into());
    }
    Ok(())
}

/// A pool and its two tokens.
struct Pool {
    pair: Address,
    tokens: [Address; 2],
}

impl Pool {
    fn new(state: &mut State, index: u64, (pair, token): &(Bytes, Bytes)) -> Self {
        let tokens = [address("token", 2 * index), address("token", 2 * index + 1)];
        let pool = Self { pair: address("pair", index), tokens };
        state.put_code(pool.pair, pair);
        for (at, held) in tokens.into_iter().enumerate() {
            state.put_code(held, token);
            state.put_slot(pool.pair, U256::from(at), word(held));
            state.put_slot(held, mapped(word(pool.pair), BALANCES), U256::from(RESERVES));
        }
        // Two reserves of 112 bits and the time, which is that of the block.
        let reserves = U256::from(RESERVES);
        let packed = reserves | reserves << 112 | U256::from(super::measure::TIMESTAMP - 1) << 224;
        state.put_slot(pool.pair, RESERVES_SLOT, packed);
        for slot in PRICE_SLOTS {
            state.put_slot(pool.pair, U256::from(slot), U256::ONE);
        }
        state.put_slot(pool.pair, LOCK_SLOT, U256::ONE);
        pool
    }
}

fn swaps(
    builder: &mut Builder,
    rng: &mut SmallRng,
    (count, accounts): (u64, u64),
    pools: u64,
) -> Result<()> {
    let pair = artifacts::runtime_code("BenchPair")?.into();
    let codes = (pair, artifacts::runtime_code("BenchToken")?.into());
    let pools: Vec<Pool> =
        (0..pools).map(|index| Pool::new(&mut builder.state, index, &codes)).collect();
    for _ in 0..count {
        let trader = address("account", rng.random_range(0..accounts));
        let pool = &pools[rng.random_range(0..pools.len())];
        let zero_for_one = rng.random_bool(0.5);
        let state = &mut builder.state;
        for token in pool.tokens {
            state.put_slot(token, mapped(word(trader), BALANCES), U256::from(TOKENS));
            let allowances = mapped(word(trader), ALLOWANCES);
            state.put_slot(token, mapped(word(pool.pair), allowances), U256::MAX);
        }
        let call = swapCall {
            zeroForOne: zero_for_one,
            amountIn: U256::from(rng.random_range(1_000..=SWAP_MAX)),
            amountOutMin: U256::ONE,
            to: trader,
        };
        builder.send(trader, pool.pair, 250_000, call.abi_encode().into());
    }
    Ok(())
}
