//! What comes out: events, outcomes and refusals.
//!
//! Events carry all that a gateway needs to serve fills, order updates, trades and ledger updates
//! without reading the state: an observer of the events alone can keep every open order with its
//! place in its queue, every position and balance, and the insurance fund
//! (`docs/exchange/events.md` says what not). The harness of the tests has such an observer,
//! `tests/common/observer.rs`.

mod encoding;

use crate::conditional::{Trigger, TwapEnd, TwapView};
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
    /// What it waits for; none for an order that is or was in a book. Of a market trigger `price`
    /// is the trigger price; `remaining` is what it would trade if it fired now.
    pub trigger: Option<Trigger>,
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
    trigger,
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
    /// A sibling filled all that was left for both.
    Sibling = 20,
    /// Its parent ended without a fill.
    Parent = 21,
    /// One of its children fired.
    ChildFired = 22,
    /// The position that it belonged to was closed or turned round.
    PositionClosed = 23,
    /// A scheduled cancel fired.
    Scheduled = 24,
    /// Its account was liquidated.
    Liquidation = 50,
}
enumeration!(CancelReason: "cancel reason" {
    Requested = 0, Modified = 1, Immediate = 2, SelfTrade = 3, ReduceOnly = 4, TooManyFills = 5,
    Margin = 6, Expired = 7, Sibling = 20, Parent = 21, ChildFired = 22, PositionClosed = 23,
    Scheduled = 24, Liquidation = 50,
});

/// A step of a liquidation; see `docs/exchange/liquidation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LiquidationStep {
    /// Open orders were cancelled.
    Orders = 0,
    /// A position was closed by the book, in part or in full.
    Book = 1,
    /// The backstop vault took over.
    Backstop = 2,
    /// The insurance fund paid what was owed, as far as it had.
    Insurance = 3,
    /// What is left is for others to take over.
    Deleveraging = 4,
}
enumeration!(LiquidationStep: "liquidation step" {
    Orders = 0, Book = 1, Backstop = 2, Insurance = 3, Deleveraging = 4,
});

/// Why an order's open size changed without a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResizeReason {
    /// Its owner asked for less of it.
    Modified = 0,
    /// It met another order of its own account: both lost the smaller one's size.
    SelfTrade = 1,
    /// A sibling filled.
    Sibling = 20,
}
enumeration!(ResizeReason: "resize reason" {
    Modified = 0, SelfTrade = 1, Sibling = 20,
});

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
        /// Whether the market's position has a margin of its own.
        isolated: bool,
    },
    /// A position's funding was settled.
    FundingPaid {
        /// The account.
        account: AccountId,
        /// The market.
        market: MarketId,
        /// Lots that it was paid for.
        size: i64,
        /// What was paid, negative for received, in the asset that the position settles in. It is
        /// taken from the account's collateral; from the position's margin where that is isolated
        /// (the change is then also in an [`Event::IsolatedMargin`] that follows).
        amount: Amount,
        /// What one lot held long paid since it was settled last, in quote units × 10⁻⁹.
        change: i128,
    },
    /// Interest was charged on what an account owes of an asset.
    InterestPaid {
        /// The account.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// How much.
        amount: Amount,
    },
    /// The margin of an isolated position changed, by a fill, by funding, by command or by what the
    /// fund paid: from or to the account's collateral.
    IsolatedMargin {
        /// The account.
        account: AccountId,
        /// The market.
        market: MarketId,
        /// What was added, negative for taken.
        change: Amount,
        /// The margin after it.
        margin: Amount,
    },
    /// An order's open size changed without a trade; `remaining` is what is open now.
    Resized {
        /// The order.
        order: Order,
        /// Why.
        reason: ResizeReason,
    },
    /// An iceberg shows so much of itself from now on, and stands at the end of its level: it has
    /// rested, or what it showed has traded.
    Displayed {
        /// The market.
        market: MarketId,
        /// The order.
        order: OrderId,
        /// What the book shows of it, in lots; less than what is open.
        displayed: Size,
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
    /// A step of a liquidation begins; what it does follows.
    Liquidated {
        /// Whose.
        account: AccountId,
        /// The market of the isolated position; none for the cross account.
        market: Option<MarketId>,
        /// What is done.
        step: LiquidationStep,
        /// What it was worth.
        equity: Amount,
        /// What it had to cover.
        maintenance: Amount,
    },
    /// A position was taken over outside of the book: by the backstop vault, from a bankrupt
    /// account for its estate, or from an estate by a counterparty, which closes its own with it;
    /// or an estate closed another one, or was settled: from nobody to nobody.
    PositionTaken {
        /// The market.
        market: MarketId,
        /// From whom; none for an estate.
        from: Option<AccountId>,
        /// By whom; none for an estate.
        to: Option<AccountId>,
        /// Lots, negative for short.
        size: i64,
        /// What who takes it pays for it, negative for what they get, in quote units.
        value: Amount,
        /// Profit realised by who gave it.
        closed_pnl: Amount,
        /// Profit realised by who took it.
        taker_pnl: Amount,
    },
    /// The insurance fund paid for a bankrupt account.
    InsurancePaid {
        /// For whom.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// How much.
        amount: Amount,
    },
    /// What a bankrupt account owed and nobody covered was taken off it and booked.
    ShortfallBooked {
        /// Whose it was.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// How much.
        amount: Amount,
    },
    /// The insurance fund got what a bankrupt account had left, or the gain of an estate; or it
    /// bore an estate's loss, as far as it had, and the rest was booked as missing.
    InsuranceChanged {
        /// The asset.
        asset: AssetId,
        /// What it got, negative for what it bore.
        amount: Amount,
    },
    /// Counterparties of an estate were ranked.
    Ranked {
        /// The market.
        market: MarketId,
        /// The side of the estate.
        side: Side,
        /// How many.
        count: u32,
        /// Whether the list is complete.
        done: bool,
    },
    /// What a market is doing changed.
    StatusChanged {
        /// The market.
        market: MarketId,
        /// What it does now.
        status: MarketStatus,
    },
    /// A trigger order waits: it was placed, or its parent filled and what it is to trade grew.
    TriggerSet(Order),
    /// The mark reached a trigger and its turn came: it is placed, or refused, by what follows.
    TriggerFired(Order),
    /// A trigger order that fired was refused, and is gone.
    TriggerRefused {
        /// The order.
        order: Order,
        /// Why.
        code: RejectCode,
    },
    /// A TWAP began.
    TwapStarted(TwapView),
    /// A slice of a TWAP was placed (its fills come before), or refused.
    TwapSlice {
        /// The TWAP after it.
        twap: TwapView,
        /// Lots that the slice was to trade.
        size: Size,
        /// Why it was refused; none if it was placed.
        refused: Option<RejectCode>,
    },
    /// A TWAP ended.
    TwapEnded {
        /// The TWAP.
        twap: TwapView,
        /// Why.
        reason: TwapEnd,
    },
    /// All of an account's orders will be cancelled at a time, or no longer.
    CancelScheduled {
        /// The account.
        account: AccountId,
        /// When, in milliseconds.
        at_ms: Option<u64>,
    },
    /// A scheduled cancel fired and is done.
    ScheduleDone {
        /// The account.
        account: AccountId,
    },
    /// An hour's funding is due: positions owe it from now on.
    FundingAccrued {
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
    /// A market was listed; its parameters are in the command and in the state.
    MarketListed {
        /// Its number.
        market: MarketId,
        /// Who listed it.
        account: AccountId,
        /// The bond left for it, in the collateral asset.
        bond: Amount,
    },
    /// A listed market's bond went back to who listed it, or to the insurance fund.
    BondReleased {
        /// The market.
        market: MarketId,
        /// Who listed it.
        account: AccountId,
        /// The bond, in the collateral asset.
        amount: Amount,
        /// Whether the insurance fund has it.
        forfeited: bool,
    },
}

impl Field for RejectCode {
    fn put(&self, out: &mut Vec<u8>) {
        self.number().put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::from_number(Field::get(r)?).ok_or(CodecError::Invalid("reject code"))
    }
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
    /// Changed hands in a liquidation.
    Liquidation = 7,
    /// Given to the insurance fund.
    Insurance = 8,
    /// Left as a listed market's bond, or came back from it.
    Bond = 9,
}
enumeration!(BalanceCause: "balance cause" {
    Credit = 0, Debit = 1, Transfer = 2, Move = 3, Receive = 4, Send = 5, Return = 6,
    Liquidation = 7, Insurance = 8, Bond = 9,
});

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
    /// A trigger order or a TWAP was accepted.
    Waiting(OrderId),
    /// An order and its children, or the orders attached to a position, were accepted.
    Grouped(Grouped),
}

/// What became of a group of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// The parent; none where the orders are attached to a position.
    pub parent: Option<Placed>,
    /// The children asked for: their numbers, zero for those that ended with an unfilled parent.
    pub children: [Option<OrderId>; 2],
    /// Whether the children wait for the parent to fill.
    pub waiting: bool,
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
