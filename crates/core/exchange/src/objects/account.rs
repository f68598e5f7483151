//! Accounts, positions, balances and counters.

use crate::field::{Field, record};
use crate::ids::{AccountId, Amount, AssetId, MarketId, Size};
use crate::spec::POSITIONS_BOUND;
use alloc::vec::Vec;
use atoll_state::{Key, Object, prefetch};
use atoll_types::Address;
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// The key of an object of which there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GlobalKey;
impl Encode for GlobalKey {
    fn encode(&self, _out: &mut Vec<u8>) {}
}
impl Decode for GlobalKey {
    fn decode(_r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self)
    }
}
impl Key for GlobalKey {
    fn dense(&self) -> Option<u32> {
        Some(0)
    }
}

/// Counters and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// Accounts opened.
    pub accounts: u32,
    /// Commands executed, refused ones included: the number of a command is known before it
    /// runs, so commands of different markets need not wait for one another to number orders.
    pub commands: u64,
    /// Time of the latest tick, microseconds.
    pub time_us: u64,
}
record!(Global { accounts, commands, time_us });
impl Object for Global {
    const TAG: u8 = 2;
    const NAME: &'static str = "counters";
    type Key = GlobalKey;
}

/// The key of what is found by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(pub Address);
impl Encode for AddressKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for AddressKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(r.address()?))
    }
}
impl Key for AddressKey {}

/// The number of an address's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountEntry {
    /// The number plus one.
    pub number: u32,
}
record!(AccountEntry { number });
impl Object for AccountEntry {
    const TAG: u8 = 3;
    const NAME: &'static str = "account number";
    type Key = AddressKey;
}

/// The key of what an account has one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountKey(pub AccountId);
impl Encode for AccountKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for AccountKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for AccountKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        Some(self.0.0)
    }
}

/// An account: its collateral, and the markets that its position slots are for.
///
/// In memory the fields lie in the order given: what every order reads is in the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Account {
    /// Collateral, settled: unrealised profit is not in it.
    pub collateral: Amount,
    /// Its owner.
    pub address: Address,
    /// Position slots in use.
    slots: u8,
    /// Whether it has other collateral.
    holdings: bool,
    /// The market of each slot. A slot outlives its position until another market needs it:
    /// quoting in and out of a market rewrites no list.
    markets: [MarketId; POSITIONS_BOUND as usize],
}

impl Default for Account {
    fn default() -> Self {
        Self {
            address: Address::ZERO,
            collateral: 0,
            slots: 0,
            holdings: false,
            markets: [MarketId(0); 64],
        }
    }
}

impl Account {
    /// The markets of its position slots, in order of slots.
    #[inline]
    pub fn markets(&self) -> &[MarketId] {
        &self.markets[..usize::from(self.slots)]
    }

    /// The slot of a market.
    #[inline]
    pub fn slot(&self, market: MarketId) -> Option<u32> {
        self.markets().iter().position(|m| *m == market).map(|slot| slot as u32)
    }

    /// Whether it has collateral besides the collateral asset: [`super::Holdings`].
    #[inline]
    pub fn has_holdings(&self) -> bool {
        self.holdings
    }

    pub(crate) fn set_holdings(&mut self, some: bool) {
        self.holdings = some;
    }

    pub(crate) fn set_slot(&mut self, slot: u32, market: MarketId) {
        self.markets[slot as usize] = market;
        self.slots = self.slots.max(slot as u8 + 1);
    }
}

/// Set in the encoded number of slots where the account has other collateral.
const HOLDINGS_BIT: u8 = 1 << 7;

impl Encode for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        self.address.put(out);
        self.collateral.put(out);
        (self.slots | if self.holdings { HOLDINGS_BIT } else { 0 }).put(out);
        self.markets().iter().for_each(|market| market.put(out));
    }
}

impl Decode for Account {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (address, collateral) = (Field::get(r)?, Field::get(r)?);
        let first = r.u8()?;
        let (slots, holdings) = (first & !HOLDINGS_BIT, first & HOLDINGS_BIT != 0);
        if u32::from(slots) > POSITIONS_BOUND {
            let bound = u64::from(POSITIONS_BOUND);
            return Err(CodecError::Bound { what: "position slots", bound });
        }
        let mut account = Self { address, collateral, slots, holdings, ..Self::default() };
        for market in &mut account.markets[..usize::from(slots)] {
            *market = Field::get(r)?;
        }
        Ok(account)
    }
}

impl Object for Account {
    const TAG: u8 = 4;
    const NAME: &'static str = "account";
    type Key = AccountKey;

    #[inline]
    fn prefetch(&self) {
        prefetch::line(&self.collateral);
        prefetch::line(&self.markets[32]);
    }
}

/// Finds a group of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// Whose.
    pub account: AccountId,
    /// Position slot ≫ 2.
    pub group: u8,
}
record!(GroupKey { account, group });
impl Key for GroupKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        let groups = POSITIONS_BOUND / PositionGroup::SLOTS;
        if u32::from(self.group) >= groups {
            return None;
        }
        self.account.0.checked_mul(groups)?.checked_add(u32::from(self.group))
    }
}

/// What an account has in a perpetual market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Lots, negative for short.
    pub size: i64,
    /// Quote paid for the open position, negative for received: the signed cost basis.
    pub cost: Amount,
    /// Lots of open bids that may enlarge the position.
    pub bids: Size,
    /// Lots of open asks that may enlarge the position.
    pub asks: Size,
    /// Value of those bids at their prices.
    pub bid_notional: Amount,
    /// Value of those asks at their prices.
    pub ask_notional: Amount,
    /// All open orders in the market, those that only reduce included.
    pub orders: u32,
    /// The market's cumulative funding when it was last settled; 0 without a position.
    pub funding: i128,
    /// Leverage chosen; 0 for the market's maximum.
    pub leverage: u8,
    /// Whether it has a margin of its own ([`super::IsolatedMargin`]) in place of the account's.
    pub isolated: bool,
    /// Whether orders are attached that end with it ([`crate::objects::Attached`]).
    pub attached: bool,
}

impl Position {
    /// Equality with the default, without a branch for each field.
    fn is_default(&self) -> bool {
        let lots = self.size as u64 | self.bids | self.asks | u64::from(self.orders);
        let money = self.cost | self.bid_notional | self.ask_notional | self.funding;
        let mode = u128::from(self.leverage) | u128::from(self.flags());
        (u128::from(lots) | money as u128 | mode) == 0
    }

    fn flags(&self) -> u8 {
        u8::from(self.isolated) | u8::from(self.attached) << 1
    }

    /// Whether its encoding says more than that of a cross position that owes no funding index.
    fn is_extended(&self) -> bool {
        self.funding != 0 || self.flags() != 0
    }

    /// Whether the slot may be given to another market.
    pub(crate) fn is_idle(&self) -> bool {
        self.size == 0 && self.orders == 0 && self.leverage == 0 && !self.isolated
    }
}

/// Neighbouring position slots of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionGroup(pub [Position; PositionGroup::SLOTS as usize]);

impl PositionGroup {
    /// Slots in a group.
    pub const SLOTS: u32 = 4;
}

impl Encode for PositionGroup {
    /// A mask of the slots in use, above it one of those with funding or flags.
    fn encode(&self, out: &mut Vec<u8>) {
        let mask = (0..4).fold(0u8, |mask, i| {
            let position = &self.0[i];
            let bits = u8::from(!position.is_default()) | u8::from(position.is_extended()) << 4;
            mask | bits << i
        });
        out.push(mask);
        for (_, p) in self.0.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1) {
            p.size.put(out);
            p.cost.put(out);
            p.bids.put(out);
            p.asks.put(out);
            p.bid_notional.put(out);
            p.ask_notional.put(out);
            p.orders.put(out);
            p.leverage.put(out);
            if p.is_extended() {
                p.flags().put(out);
                p.funding.put(out);
            }
        }
    }
}

impl Decode for PositionGroup {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mask = r.u8()?;
        if mask >> 4 & !mask != 0 {
            return Err(CodecError::Invalid("position mask"));
        }
        let mut group = Self::default();
        for (i, slot) in group.0.iter_mut().enumerate() {
            if mask >> i & 1 == 1 {
                *slot = Position {
                    size: Field::get(r)?,
                    cost: Field::get(r)?,
                    bids: Field::get(r)?,
                    asks: Field::get(r)?,
                    bid_notional: Field::get(r)?,
                    ask_notional: Field::get(r)?,
                    orders: Field::get(r)?,
                    leverage: Field::get(r)?,
                    ..Position::default()
                };
                let extended = mask >> (i + 4) & 1 == 1;
                if extended {
                    let flags = r.u8()?;
                    if flags > 3 {
                        return Err(CodecError::Invalid("position flags"));
                    }
                    (slot.isolated, slot.attached) = (flags & 1 != 0, flags & 2 != 0);
                    slot.funding = Field::get(r)?;
                }
                if *slot == Position::default() || extended != slot.is_extended() {
                    return Err(CodecError::Invalid("position"));
                }
            }
        }
        Ok(group)
    }
}

impl Object for PositionGroup {
    const TAG: u8 = 5;
    const NAME: &'static str = "position group";
    type Key = GroupKey;

    #[inline]
    fn prefetch(&self) {
        self.0.iter().for_each(prefetch::line);
    }
}

/// Finds a spot balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BalanceKey {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
}
record!(BalanceKey { account, asset });
impl Key for BalanceKey {}

/// A spot balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpotBalance {
    /// All of it.
    pub total: Amount,
    /// The part that open orders hold.
    pub hold: Amount,
}
record!(SpotBalance { total, hold });

impl SpotBalance {
    /// What can be spent.
    pub fn available(&self) -> Amount {
        self.total - self.hold
    }
}
impl Object for SpotBalance {
    const TAG: u8 = 6;
    const NAME: &'static str = "spot balance";
    type Key = BalanceKey;
}
