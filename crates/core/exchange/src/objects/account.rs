//! Accounts, positions, balances and counters.

use crate::field::{Field, Short, append, record, short};
use crate::ids::{AccountId, Amount, AssetId, MarketId, Size};
use crate::spec::POSITIONS_BOUND;
use alloc::vec::Vec;
use atoll_state::{Key, Object, Sharing, prefetch};
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
    const SHARING: Sharing = Sharing::Outside;
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
/// In memory the fields lie in the order given: what every order reads comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Account {
    /// Collateral, settled: unrealised profit is not in it.
    pub collateral: Amount,
    /// Position slots in use.
    slots: u8,
    /// Whether it has other collateral.
    holdings: bool,
    /// The market of each slot. A slot outlives its position until another market needs it:
    /// quoting in and out of a market rewrites no list.
    markets: [MarketId; POSITIONS_BOUND as usize],
    /// Its owner.
    pub address: Address,
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
        prefetch::line(&self.markets[16]);
    }
}

/// Finds a group of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// Whose.
    pub account: AccountId,
    /// Position slot ≫ 1.
    pub group: u8,
}
short!(GroupKey { account: AccountId, group: u8 });

impl GroupKey {
    /// Groups that an account can have.
    pub const PER_ACCOUNT: u8 = (POSITIONS_BOUND / PositionGroup::SLOTS) as u8;
}

impl Key for GroupKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        // The first groups hold nearly all positions; the rest are found by hash.
        if self.group >= 8 {
            return None;
        }
        self.account.0.checked_mul(8)?.checked_add(self.group.into())
    }
}

/// What an account has in a perpetual market.
///
/// In memory the fields lie in the order given: what a margin check reads of a position without
/// open orders is in the first 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Position {
    /// Lots, negative for short.
    pub size: i64,
    /// Lots of open bids that may enlarge the position.
    pub bids: Size,
    /// Lots of open asks that may enlarge the position.
    pub asks: Size,
    /// All open orders in the market, those that only reduce included.
    pub orders: u32,
    /// Leverage chosen; 0 for the market's maximum.
    pub leverage: u8,
    /// Whether it has a margin of its own ([`super::IsolatedMargin`]) in place of the account's.
    pub isolated: bool,
    /// Whether orders are attached that end with it ([`crate::objects::Attached`]).
    pub attached: bool,
    /// Quote paid for the open position, negative for received: the signed cost basis.
    pub cost: Amount,
    /// The market's cumulative funding when it was last settled; 0 without a position.
    pub funding: i128,
    /// Value of those bids at their prices.
    pub bid_notional: Amount,
    /// Value of those asks at their prices.
    pub ask_notional: Amount,
}

impl Position {
    /// Which parts differ from the default: the first byte of its encoding, a bit for each of
    /// [`parts`]. Without branches, because nobody can predict them.
    fn parts(&self) -> u8 {
        let some = |part: u8, some: bool| if some { part } else { 0 };
        let orders = |lots: Size, notional: Amount| u128::from(lots) | notional as u128 != 0;
        some(parts::HELD, i128::from(self.size) | self.cost != 0)
            | some(parts::BIDS, orders(self.bids, self.bid_notional))
            | some(parts::ASKS, orders(self.asks, self.ask_notional))
            | some(parts::ORDERS, self.orders != 0)
            | some(parts::LEVERAGE, self.leverage != 0)
            | some(parts::FUNDING, self.funding != 0)
            | some(parts::ISOLATED, self.isolated)
            | some(parts::ATTACHED, self.attached)
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
    pub const SLOTS: u32 = 2;
}

/// Parts of an encoded position, in their order; of the last two the bit is all.
mod parts {
    pub(super) const HELD: u8 = 1;
    pub(super) const BIDS: u8 = 1 << 1;
    pub(super) const ASKS: u8 = 1 << 2;
    pub(super) const ORDERS: u8 = 1 << 3;
    pub(super) const LEVERAGE: u8 = 1 << 4;
    pub(super) const FUNDING: u8 = 1 << 5;
    pub(super) const ISOLATED: u8 = 1 << 6;
    pub(super) const ATTACHED: u8 = 1 << 7;
}

impl Encode for PositionGroup {
    fn encode(&self, out: &mut Vec<u8>) {
        for p in &self.0 {
            append::<{ 2 + u32::BYTES_MAX + 3 * u64::BYTES_MAX + 4 * i128::BYTES_MAX }>(
                out,
                |run| {
                    let parts = p.parts();
                    run.byte(parts);
                    if parts & parts::HELD != 0 {
                        p.size.write(run);
                        p.cost.write(run);
                    }
                    if parts & parts::BIDS != 0 {
                        p.bids.write(run);
                        p.bid_notional.write(run);
                    }
                    if parts & parts::ASKS != 0 {
                        p.asks.write(run);
                        p.ask_notional.write(run);
                    }
                    if parts & parts::ORDERS != 0 {
                        run.small(p.orders.into());
                    }
                    if parts & parts::LEVERAGE != 0 {
                        p.leverage.write(run);
                    }
                    if parts & parts::FUNDING != 0 {
                        p.funding.write(run);
                    }
                },
            );
        }
    }
}

impl Decode for PositionGroup {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut group = Self::default();
        for p in &mut group.0 {
            let parts = r.u8()?;
            if parts & parts::HELD != 0 {
                (p.size, p.cost) = (Field::get(r)?, Field::get(r)?);
            }
            if parts & parts::BIDS != 0 {
                (p.bids, p.bid_notional) = (Field::get(r)?, Field::get(r)?);
            }
            if parts & parts::ASKS != 0 {
                (p.asks, p.ask_notional) = (Field::get(r)?, Field::get(r)?);
            }
            if parts & parts::ORDERS != 0 {
                p.orders = Field::get(r)?;
            }
            if parts & parts::LEVERAGE != 0 {
                p.leverage = Field::get(r)?;
            }
            if parts & parts::FUNDING != 0 {
                p.funding = Field::get(r)?;
            }
            p.isolated = parts & parts::ISOLATED != 0;
            p.attached = parts & parts::ATTACHED != 0;
            if p.parts() != parts {
                return Err(CodecError::Invalid("position"));
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
        // A position lies in two lines.
        for position in &self.0 {
            prefetch::line(&position.size);
            prefetch::line(&position.ask_notional);
        }
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
