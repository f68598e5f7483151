//! What the exchange shows to other environments: observations that messages carry.
//!
//! The data is a byte for the kind and then what Solidity's `abi.encode` makes of the values named
//! here. Everything is a recorded read of the state at that step of the slot's opening: what the slot
//! before left, what was due since, and what was delivered before.
//!
//! * [`MARKETS`]: `uint64 slot, uint64 timeMicros, (uint32 asset, uint128 oracle, uint128 mark,
//!   uint8 state)[]`, prices 10⁸ × the decimal number, 0 for none yet; the state is a
//!   [`MarketStatus`]. For the environment that the router asks for, the first
//!   [`OBSERVED_MARKETS_MAX`] markets, in messages of at most [`MARKETS_PER_MESSAGE`].
//! * [`ACCOUNT`]: `uint64 slot, uint64 timeMicros, address account, bool exists, int256 value,
//!   int256 free, (uint32 asset, int256 size, int256 entryNotional)[], (address token, uint256
//!   amount)[]`. For whoever asks, in the order asked for. Amounts are in the smallest unit of the
//!   token on the hub (of an asset without one, in the asset's own), sizes 10⁸ × the decimal number.
//!   * `value`: what the collateral wallet is worth at the marks, funding due and isolated positions
//!     included; other collateral with its haircut.
//!   * `free`: what of the collateral asset could be withdrawn.
//!   * `entryNotional`: what was paid for the open position, signed as its size.

use super::contract::{Asked, SCALE};
use super::vm::receipt;
use super::{ExchangeReceipt, ExchangeVm, Status, asset_of_market, market_of_asset};
use crate::Receipt;
use alloc::format;
use alloc::vec::Vec;
use atoll_exchange::{Amount, AssetId, MarketId, Price, Size};
use atoll_state::Source;
use atoll_types::words::Word;
use atoll_types::{Address, B256, Message, MessageKind, RejectCode, U256};

#[cfg(doc)]
use atoll_exchange::MarketStatus;

/// Kind of an observation of markets: the first byte.
pub const MARKETS: u8 = 1;
/// Kind of an observation of an account: the first byte.
pub const ACCOUNT: u8 = 2;
/// Most markets that are shown without being asked for.
pub const OBSERVED_MARKETS_MAX: u16 = 256;
/// Most markets in one message.
pub const MARKETS_PER_MESSAGE: usize = 50;

/// An observation in the making.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8, words: usize) -> Self {
        let mut bytes = Vec::with_capacity(1 + 32 * words);
        bytes.push(kind);
        Self(bytes)
    }

    fn put(&mut self, words: &[&dyn Word]) {
        words.iter().for_each(|word| self.0.extend_from_slice(word.word().as_slice()));
    }
}

/// An amount with its sign, as an `int256`.
fn signed(magnitude: U256, negative: bool) -> U256 {
    if negative { magnitude.wrapping_neg() } else { magnitude }
}

/// Steps of `step / 10^decimals` as 10⁸ × the decimal number, rounded toward zero.
fn fixed(steps: u64, step: u64, decimals: u8) -> U256 {
    let ten = U256::from(10u64);
    // Below 2⁶⁴ × 2⁶⁴ × 2²⁷.
    let units = U256::from(steps) * U256::from(step) * ten.pow(U256::from(SCALE));
    units / ten.pow(U256::from(decimals))
}

impl<S: Source> ExchangeVm<S> {
    /// [`crate::Vm::receive`] of the router's question: all markets, for the environment that the
    /// question comes from.
    pub(super) fn show_markets(&mut self, hash: B256, message: &Message) -> Receipt {
        self.exchange.follow();
        let count = self.exchange.rules().spec().markets.len().min(OBSERVED_MARKETS_MAX.into());
        let all: Vec<MarketId> = (0..count as u16).map(MarketId).collect();
        let messages = all.chunks(MARKETS_PER_MESSAGE).map(|markets| {
            let data = self.markets(markets);
            self.observation(message, data)
        });
        let messages = messages.collect();
        let statuses = alloc::vec![Status::Success];
        let done = ExchangeReceipt { statuses, events: Vec::new() };
        Receipt { messages, ..receipt(hash, Ok(done)) }
    }

    fn markets(&mut self, markets: &[MarketId]) -> Vec<u8> {
        let mut out = Writer::new(MARKETS, 4 + 4 * markets.len());
        // The list lies behind the three words of the head.
        out.put(&[&self.slot, &self.now_us, &96u64, &(markets.len() as u64)]);
        for market in markets {
            let prices = self.exchange.prices(*market);
            let (oracle, mark) =
                (self.price(*market, prices.oracle), self.price(*market, prices.mark));
            let asset = asset_of_market(self.exchange.rules(), *market);
            out.put(&[&asset, &oracle, &mark, &(prices.status as u8)]);
        }
        out.0
    }

    fn price(&self, market: MarketId, ticks: Price) -> u128 {
        let price = self
            .exchange
            .rules()
            .market_spec(market)
            .map_or(U256::ZERO, |spec| fixed(ticks, spec.tick, spec.price_decimals));
        u128::try_from(price).unwrap_or(u128::MAX)
    }

    fn size(&self, market: MarketId, lots: Size) -> U256 {
        let spec = self.exchange.rules().market_spec(market);
        spec.map_or(U256::ZERO, |spec| fixed(lots, spec.lot, spec.size_decimals))
    }

    /// An amount without its sign in the smallest unit of the asset's token on the hub.
    fn hub_units(&self, asset: AssetId, amount: Amount) -> U256 {
        match self.spec.hub_asset(asset) {
            Some(hub) => hub.to_hub(amount),
            None => U256::from(amount.unsigned_abs()),
        }
    }

    /// Answers who asked for an account, which need not be there.
    pub(super) fn show_account(
        &mut self,
        message: &Message,
        asked: &Asked,
        messages: &mut Vec<Message>,
    ) -> ExchangeReceipt {
        let rejected = |code, detail| ExchangeReceipt {
            statuses: alloc::vec![Status::Rejected { code, detail }],
            events: Vec::new(),
        };
        let mut markets = Vec::new();
        for asset in &asked.assets {
            let Some(market) = market_of_asset(self.exchange.rules(), u64::from(*asset)) else {
                let detail = format!("there is no market with the asset number {asset}");
                return rejected(RejectCode::UnknownMarket, detail);
            };
            markets.push((*asset, market));
        }
        let mut assets = Vec::new();
        for token in &asked.tokens {
            let Some(hub) = self.spec.hub_asset_of(token) else {
                let detail = format!("this venue has no asset for the hub's token {token}");
                return rejected(RejectCode::Unsupported, detail);
            };
            assets.push((*token, hub.asset));
        }
        let data = self.account_data(asked.account, &markets, &assets);
        messages.push(self.observation(message, data));
        ExchangeReceipt { statuses: alloc::vec![Status::Success], events: Vec::new() }
    }

    fn account_data(
        &mut self,
        owner: Address,
        markets: &[(u32, MarketId)],
        assets: &[(Address, AssetId)],
    ) -> Vec<u8> {
        let base = self.exchange.rules().spec().collateral;
        let account = self.exchange.account(&owner);
        let (mut value, mut free) = (0, 0);
        if let Some(account) = account {
            let margin = self.exchange.margin(account);
            let isolated = self.exchange.isolated_worth(account, base);
            value = margin.equity().saturating_add(isolated);
            free = margin.withdrawable();
        }
        let value = signed(self.hub_units(base, value), value < 0);
        let free = self.hub_units(base, free);
        let mut out = Writer::new(ACCOUNT, 10 + 3 * markets.len() + 2 * assets.len());
        // Both lists lie behind the eight words of the head, the first with its length.
        let positions_at = 8 * 32;
        let balances_at = positions_at + 32 * (1 + 3 * markets.len() as u64);
        out.put(&[&self.slot, &self.now_us, &owner, &account.is_some(), &value, &free]);
        out.put(&[&positions_at, &balances_at, &(markets.len() as u64)]);
        for (asset, market) in markets {
            let position = account.map(|of| self.exchange.position(of, *market));
            let (lots, cost) = position.map_or((0, 0), |position| (position.size, position.cost));
            let quote = self.exchange.rules().market(*market).map_or(base, |rules| rules.quote);
            let size = signed(self.size(*market, lots.unsigned_abs()), lots < 0);
            out.put(&[asset, &size, &signed(self.hub_units(quote, cost), lots < 0)]);
        }
        out.put(&[&(assets.len() as u64)]);
        for (token, asset) in assets {
            let total = account.map_or(0, |of| self.exchange.spot_total(of, *asset));
            out.put(&[token, &self.hub_units(*asset, total)]);
        }
        out.0
    }

    /// An observation on its way to the environment that a message came from.
    fn observation(&self, message: &Message, data: Vec<u8>) -> Message {
        Message {
            kind: MessageKind::Observation,
            number: 0,
            source: self.identity.environment,
            destination: message.source,
            from: Address::ZERO,
            to: message.from,
            token: Address::ZERO,
            amount: U256::ZERO,
            data,
        }
    }
}
