//! What comes out: events, outcomes and refusals.
//!
//! Events carry all that a gateway needs to serve fills, order updates, trades and ledger updates
//! without reading the state: an observer of the events alone can keep every book and account.

use crate::field::{Field, codec, enumeration, record};
use crate::ids::{
    AccountId, Amount, AssetId, ClientId, MarketId, MarketStatus, OrderId, Price, Side, Size, Tif,
    Wallet,
};
use alloc::string::String;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Reader};
use atoll_types::{Address, Reject, RejectCode};

/// All there is to know of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub order: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price in ticks.
    pub price: Price,
    /// Size as accepted, in lots (a reduce-only order is cut to the position first).
    pub size: Size,
    /// What is still open, in lots.
    pub remaining: Size,
    /// How long it lives.
    pub tif: Tif,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
    /// Time of the tick in which it was placed, microseconds.
    pub time_us: u64,
}
record!(Order {
    order,
    account,
    market,
    side,
    price,
    size,
    remaining,
    tif,
    reduce_only,
    client_id,
    time_us,
});

/// Why an order is gone without having traded in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// Its owner asked.
    Requested = 0,
    /// Replaced by [`crate::Command::Modify`].
    Modified = 1,
    /// What an immediate-or-cancel order could not trade.
    Immediate = 2,
    /// It would have traded with its own account.
    SelfTrade = 3,
    /// Reduce-only, and there is no more position to reduce.
    ReduceOnly = 4,
    /// The command used up its matching steps.
    TooManyFills = 5,
    /// The prices it met cost more than the account's margin allows; or it was met, and its
    /// account has no longer the margin for it.
    Margin = 6,
    /// Its time had come.
    Expired = 7,
}
enumeration!(CancelReason: "cancel reason" {
    Requested = 0, Modified = 1, Immediate = 2, SelfTrade = 3, ReduceOnly = 4, TooManyFills = 5,
    Margin = 6, Expired = 7,
});

/// Why an order's open size changed without a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResizeReason {
    /// Its owner asked for less of it.
    Modified = 0,
    /// It met another order of its own account: both lost the smaller one's size.
    SelfTrade = 1,
}
enumeration!(ResizeReason: "resize reason" { Modified = 0, SelfTrade = 1 });

/// One side of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Whose order.
    pub account: AccountId,
    /// The order.
    pub order: OrderId,
    /// The client's identifier of the order.
    pub client_id: Option<ClientId>,
    /// Size of the order as accepted, in lots.
    pub size: Size,
    /// What is still open of the order after this fill, in lots.
    pub remaining: Size,
    /// Fee paid (negative: rebate received), in units of `fee_asset`.
    pub fee: Amount,
    /// The asset of the fee: collateral for perpetuals, what was received for spot.
    pub fee_asset: AssetId,
    /// Profit realised, before fees, in quote units; zero for spot.
    pub closed_pnl: Amount,
    /// Position before this fill in lots; zero for spot.
    pub start_position: i64,
}
record!(Party {
    account,
    order,
    client_id,
    size,
    remaining,
    fee,
    fee_asset,
    closed_pnl,
    start_position,
});

/// Two orders traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The market.
    pub market: MarketId,
    /// Number of the trade in its market, from 1.
    pub trade: u64,
    /// The side of the taker.
    pub taker_side: Side,
    /// Price in ticks: that of the resting order.
    pub price: Price,
    /// Size in lots.
    pub size: Size,
    /// Value in quote units.
    pub notional: Amount,
    /// The resting order's side.
    pub maker: Party,
    /// The incoming order's side.
    pub taker: Party,
}
record!(Fill { market, trade, taker_side, price, size, notional, maker, taker });

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An order passed every check; fills, and then rest or cancel, follow in the same command.
    Accepted(Order),
    /// What remains of an order now rests in the book.
    Rested(Order),
    /// Two orders traded. `remaining` of zero ends the order.
    Filled(Fill),
    /// An order was cancelled; `remaining` is what was still open.
    Cancelled {
        /// The order.
        order: Order,
        /// Why.
        reason: CancelReason,
    },
    /// Follows the cancel and the accept of a modification.
    Modified {
        /// The order replaced.
        old: OrderId,
        /// The order in its place.
        new: OrderId,
    },
    /// An account was opened.
    AccountOpened {
        /// Its number.
        account: AccountId,
        /// Its owner.
        address: Address,
    },
    /// Money came in, left, or moved between wallets or accounts. Fills have events of their own.
    BalanceChanged {
        /// The account.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// The wallet.
        wallet: Wallet,
        /// What was added, negative for taken.
        change: Amount,
        /// The wallet's balance after it.
        balance: Amount,
        /// What it was.
        cause: BalanceCause,
    },
    /// A market's mark or oracle price moved.
    MarkChanged {
        /// The market.
        market: MarketId,
        /// The mark in ticks.
        mark: Price,
        /// The oracle price in ticks; zero if there is none.
        oracle: Price,
    },
    /// The account chose a leverage.
    LeverageSet {
        /// The account.
        account: AccountId,
        /// The market.
        market: MarketId,
        /// The leverage.
        leverage: u8,
    },
    /// An order's open size changed without a trade; `remaining` is what is open now.
    Resized {
        /// The order.
        order: Order,
        /// Why.
        reason: ResizeReason,
    },
    /// A position in a settled market was closed at the settlement price.
    PositionSettled {
        /// Whose.
        account: AccountId,
        /// The market.
        market: MarketId,
        /// The position, in lots.
        size: i64,
        /// The settlement price in ticks.
        price: Price,
        /// Profit realised, in quote units.
        closed_pnl: Amount,
    },
    /// What a market is doing changed.
    StatusChanged {
        /// The market.
        market: MarketId,
        /// What it does now.
        status: MarketStatus,
    },
    /// An hour's funding was paid: positions owe it from now on.
    FundingPaid {
        /// The market.
        market: MarketId,
        /// The rate of the hour, parts per billion; longs pay where it is positive.
        rate: i64,
        /// The mean of its premium samples, parts per billion.
        premium: i64,
        /// The oracle price it is paid at, in ticks.
        oracle: Price,
        /// The cumulative funding of a lot after it, in quote units × 10⁹.
        index: Amount,
    },
    /// Volatility changed what a market's requirements are multiplied by.
    MarginScaled {
        /// The market.
        market: MarketId,
        /// For initial requirements, parts per million.
        initial_ppm: u32,
        /// For maintenance requirements, parts per million.
        maintenance_ppm: u32,
    },
    /// An oracle source is ignored from now on, or counts again.
    SourceIgnored {
        /// The market.
        market: MarketId,
        /// The source's number.
        source: u8,
        /// Its price in ticks; 0 if it is stale.
        price: Price,
        /// The median of those that count, in ticks; 0 if none does.
        median: Price,
        /// Whether it is ignored.
        ignored: bool,
    },
    /// A market's oracle has no quorum any more, or has one again.
    OracleStale {
        /// The market.
        market: MarketId,
        /// Whether it has none: the oracle price stays as it is.
        stale: bool,
    },
    /// A price was not believed, or there was none for too long. If the market was open, it only
    /// takes orders that reduce from now on.
    Guarded {
        /// The market.
        market: MarketId,
        /// Why.
        reason: GuardReason,
        /// The price before, in ticks.
        from: Price,
        /// The price that was not believed, in ticks.
        to: Price,
    },
    /// An auction is over.
    Uncrossed {
        /// The market.
        market: MarketId,
        /// The price it traded at last, in ticks; 0 if nothing traded.
        price: Price,
        /// Lots traded.
        volume: u128,
    },
}

/// Why a market's prices are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GuardReason {
    /// The oracle made a larger step than is believed.
    OracleJump = 0,
    /// The mark that the market makes would have made a larger step than is believed.
    MarkJump = 1,
    /// The oracle's sources were no quorum for too long.
    OracleStale = 2,
}
enumeration!(GuardReason: "guard reason" { OracleJump = 0, MarkJump = 1, OracleStale = 2 });

/// Why a balance changed outside of trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BalanceCause {
    /// Deposited: came in from the hub.
    Credit = 0,
    /// Withdrawn: left for the hub.
    Debit = 1,
    /// Transferred to or from another account.
    Transfer = 2,
    /// Moved between the account's own wallets.
    Move = 3,
    /// Came in from another environment.
    Receive = 4,
    /// Left for another environment.
    Send = 5,
    /// Left, could not be delivered and came back.
    Return = 6,
}
enumeration!(BalanceCause: "balance cause" {
    Credit = 0, Debit = 1, Transfer = 2, Move = 3, Receive = 4, Send = 5, Return = 6,
});

impl Field for Event {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accepted(order) => {
                out.push(0);
                order.put(out);
            }
            Self::Rested(order) => {
                out.push(1);
                order.put(out);
            }
            Self::Filled(fill) => {
                out.push(2);
                fill.put(out);
            }
            Self::Cancelled { order, reason } => {
                out.push(3);
                order.put(out);
                reason.put(out);
            }
            Self::Modified { old, new } => {
                out.push(4);
                old.put(out);
                new.put(out);
            }
            Self::AccountOpened { account, address } => {
                out.push(5);
                account.put(out);
                address.put(out);
            }
            Self::BalanceChanged { account, asset, wallet, change, balance, cause } => {
                out.push(6);
                account.put(out);
                asset.put(out);
                wallet.put(out);
                change.put(out);
                balance.put(out);
                cause.put(out);
            }
            Self::MarkChanged { market, mark, oracle } => {
                out.push(7);
                market.put(out);
                mark.put(out);
                oracle.put(out);
            }
            Self::LeverageSet { account, market, leverage } => {
                out.push(8);
                account.put(out);
                market.put(out);
                leverage.put(out);
            }
            Self::StatusChanged { market, status } => {
                out.push(9);
                market.put(out);
                status.put(out);
            }
            Self::Resized { order, reason } => {
                out.push(10);
                order.put(out);
                reason.put(out);
            }
            Self::PositionSettled { account, market, size, price, closed_pnl } => {
                out.push(11);
                account.put(out);
                market.put(out);
                size.put(out);
                price.put(out);
                closed_pnl.put(out);
            }
            Self::FundingPaid { market, rate, premium, oracle, index } => {
                out.push(30);
                market.put(out);
                rate.put(out);
                premium.put(out);
                oracle.put(out);
                index.put(out);
            }
            Self::MarginScaled { market, initial_ppm, maintenance_ppm } => {
                out.push(31);
                market.put(out);
                initial_ppm.put(out);
                maintenance_ppm.put(out);
            }
            Self::SourceIgnored { market, source, price, median, ignored } => {
                out.push(32);
                market.put(out);
                source.put(out);
                price.put(out);
                median.put(out);
                ignored.put(out);
            }
            Self::OracleStale { market, stale } => {
                out.push(33);
                market.put(out);
                stale.put(out);
            }
            Self::Guarded { market, reason, from, to } => {
                out.push(34);
                market.put(out);
                reason.put(out);
                from.put(out);
                to.put(out);
            }
            Self::Uncrossed { market, price, volume } => {
                out.push(35);
                market.put(out);
                price.put(out);
                volume.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::Accepted(Field::get(r)?),
            1 => Self::Rested(Field::get(r)?),
            2 => Self::Filled(Field::get(r)?),
            3 => Self::Cancelled { order: Field::get(r)?, reason: Field::get(r)? },
            4 => Self::Modified { old: Field::get(r)?, new: Field::get(r)? },
            5 => Self::AccountOpened { account: Field::get(r)?, address: Field::get(r)? },
            6 => Self::BalanceChanged {
                account: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                change: Field::get(r)?,
                balance: Field::get(r)?,
                cause: Field::get(r)?,
            },
            7 => Self::MarkChanged {
                market: Field::get(r)?,
                mark: Field::get(r)?,
                oracle: Field::get(r)?,
            },
            8 => Self::LeverageSet {
                account: Field::get(r)?,
                market: Field::get(r)?,
                leverage: Field::get(r)?,
            },
            9 => Self::StatusChanged { market: Field::get(r)?, status: Field::get(r)? },
            10 => Self::Resized { order: Field::get(r)?, reason: Field::get(r)? },
            11 => Self::PositionSettled {
                account: Field::get(r)?,
                market: Field::get(r)?,
                size: Field::get(r)?,
                price: Field::get(r)?,
                closed_pnl: Field::get(r)?,
            },
            30 => Self::FundingPaid {
                market: Field::get(r)?,
                rate: Field::get(r)?,
                premium: Field::get(r)?,
                oracle: Field::get(r)?,
                index: Field::get(r)?,
            },
            31 => Self::MarginScaled {
                market: Field::get(r)?,
                initial_ppm: Field::get(r)?,
                maintenance_ppm: Field::get(r)?,
            },
            32 => Self::SourceIgnored {
                market: Field::get(r)?,
                source: Field::get(r)?,
                price: Field::get(r)?,
                median: Field::get(r)?,
                ignored: Field::get(r)?,
            },
            33 => Self::OracleStale { market: Field::get(r)?, stale: Field::get(r)? },
            34 => Self::Guarded {
                market: Field::get(r)?,
                reason: Field::get(r)?,
                from: Field::get(r)?,
                to: Field::get(r)?,
            },
            35 => Self::Uncrossed {
                market: Field::get(r)?,
                price: Field::get(r)?,
                volume: Field::get(r)?,
            },
            _ => return Err(CodecError::Invalid("exchange event")),
        })
    }
}
codec!(Event);

/// What a successful command did, in short; the events say it in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; nothing to add.
    Done,
    /// An order was accepted.
    Placed(Placed),
    /// So many orders were cancelled.
    Cancelled(u32),
}

/// What became of a new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The order.
    pub order: OrderId,
    /// What traded at once, in lots.
    pub filled: Size,
    /// What that cost or brought, in quote units.
    pub notional: Amount,
    /// What rests in the book, in lots.
    pub resting: Size,
}

/// Why a command did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: RejectCode,
    /// What was wrong and what to do.
    pub message: &'static str,
    /// What there is and what it would take, in the smallest unit, where the code is about money.
    pub have_need: Option<(Amount, Amount)>,
}

impl Refusal {
    pub(crate) const fn new(code: RejectCode, message: &'static str) -> Self {
        Self { code, message, have_need: None }
    }

    pub(crate) const fn money(
        code: RejectCode,
        message: &'static str,
        have: Amount,
        need: Amount,
    ) -> Self {
        Self { code, message, have_need: Some((have, need)) }
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.have_need {
            None => f.write_str(self.message),
            Some((have, need)) => {
                write!(f, "{} (have {have}, need {need} of the smallest unit)", self.message)
            }
        }
    }
}

impl core::error::Error for Refusal {}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        let message: String = alloc::format!("{refusal}");
        Self::new(refusal.code, message)
    }
}
