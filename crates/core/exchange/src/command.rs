//! What goes in: commands of accounts, and inputs of the environment.

use crate::conditional::{TriggerRequest, TwapRequest};
use crate::field::{Field, codec, enumeration, record};
use crate::ids::{
    Amount, AssetId, ClientId, MarketId, MarketStatus, OrderId, Price, Side, Size, Tif, Wallet,
};
use crate::spec::listing::Listing;
use alloc::boxed::Box;
use alloc::vec::Vec;
use atoll_types::Address;
use atoll_types::codec::{CodecError, Reader};

/// A new order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderRequest {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// The worst price accepted, in ticks.
    pub price: Price,
    /// Size in lots.
    pub size: Size,
    /// How long it lives.
    pub tif: Tif,
    /// Whether it may only make a position smaller. Perpetuals only.
    pub reduce_only: bool,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
    /// When what rests of it is cancelled, microseconds since the Unix epoch (good till date); 0
    /// for never.
    pub expires_us: u64,
    /// Iceberg: how much of what rests the book shows at a time, in lots; 0 for all of it. Each
    /// further part comes to the end of its price's queue.
    pub display: Size,
}
record!(OrderRequest {
    market,
    side,
    price,
    size,
    tif,
    reduce_only,
    client_id,
    expires_us,
    display,
});

/// An order at whatever price the market gives, within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketOrderRequest {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// Size in lots. What does not trade at once is cancelled.
    pub size: Size,
    /// How far from the mark the worst price accepted is, parts per million of the mark.
    pub slippage_ppm: u32,
    /// Whether it may only make a position smaller. Perpetuals only.
    pub reduce_only: bool,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
}
record!(MarketOrderRequest { market, side, size, slippage_ppm, reduce_only, client_id });

/// Names an open order of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderSelector {
    /// By the venue's number.
    Order(OrderId),
    /// By the client's identifier.
    Client(ClientId),
}

impl Field for OrderSelector {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Order(order) => {
                out.push(0);
                order.put(out);
            }
            Self::Client(client) => {
                out.push(1);
                client.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Order(Field::get(r)?)),
            1 => Ok(Self::Client(Field::get(r)?)),
            _ => Err(CodecError::Invalid("order selector")),
        }
    }
}
codec!(OrderSelector);

/// What an account asks for. Who asks is given beside it ([`crate::Exchange::execute`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Places an order.
    Place(OrderRequest),
    /// Cancels one open order.
    Cancel(OrderSelector),
    /// Cancels all open orders, or those of one market.
    CancelAll {
        /// The market; all of them if none.
        market: Option<MarketId>,
    },
    /// Replaces an open order by a new one with a new number, or does nothing at all.
    Modify {
        /// The order to replace.
        target: OrderSelector,
        /// The order that takes its place.
        order: OrderRequest,
    },
    /// Sends money to another account of the environment, from and to the same kind of wallet.
    Transfer {
        /// Who receives it; must have an account.
        to: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Moves an asset that is collateral between the caller's two wallets.
    Move {
        /// The asset.
        asset: AssetId,
        /// The wallet that receives it.
        to: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Chooses the leverage of a perpetual market: the initial margin is at least 1 / leverage.
    SetLeverage {
        /// The market.
        market: MarketId,
        /// 1 to the market's maximum.
        leverage: u8,
        /// Whether the market's position has a margin of its own; changes only without one.
        isolated: bool,
    },
    /// Moves money between the account and one of its isolated positions.
    AdjustMargin {
        /// The market.
        market: MarketId,
        /// Into the position if above zero, out of it if below, in the asset that it settles in.
        amount: Amount,
    },
    /// Places a trigger order.
    PlaceTrigger(TriggerRequest),
    /// Replaces a trigger order by another one of the same market and side, which takes its place
    /// in its group; or does nothing at all.
    ModifyTrigger {
        /// The order to replace.
        target: OrderSelector,
        /// The order that takes its place.
        order: TriggerRequest,
    },
    /// Places an order with one or two trigger orders that wait until it fills; these are then one
    /// another's siblings. All of it, or nothing. Perpetuals only. Uses two command numbers.
    PlaceGroup {
        /// The order.
        parent: OrderRequest,
        /// Reduce-only trigger orders on the other side of its market.
        children: [Option<TriggerRequest>; 2],
    },
    /// Attaches one or two trigger orders, siblings of one another, to the caller's position; they
    /// end with it. All of it, or nothing.
    AttachTriggers([Option<TriggerRequest>; 2]),
    /// Places a TWAP.
    PlaceTwap(TwapRequest),
    /// Cancels a TWAP.
    CancelTwap(OrderId),
    /// Cancels all of the caller's open orders at a time: a dead man's switch.
    ScheduleCancel {
        /// When, in milliseconds since the Unix epoch; none takes the schedule back.
        at_ms: Option<u64>,
    },
    /// Places an order that trades at once at up to so much from the mark.
    PlaceMarket(MarketOrderRequest),
    /// Closes an account's position in a settled market at the settlement price. Anyone may.
    SettlePosition {
        /// Whose position.
        owner: Address,
        /// The market.
        market: MarketId,
    },
    /// Does the next step of the liquidation of an account that does not cover its maintenance
    /// margin. Anyone may.
    Liquidate {
        /// Whose account.
        owner: Address,
        /// The market of an isolated position; none for the cross account.
        market: Option<MarketId>,
    },
    /// Goes on with deleveraging: ranks counterparties of what bankrupt accounts left, or has the
    /// next ones take it over. Anyone may.
    Deleverage {
        /// The market.
        market: MarketId,
        /// The side of what was left.
        side: Side,
    },
    /// Gives collateral to the insurance fund.
    FundInsurance {
        /// The asset.
        asset: AssetId,
        /// How much; above zero.
        amount: Amount,
    },
    /// Lists a market; who may is in the spec.
    ListMarket(Box<Listing>),
    /// Changes what a market is doing: its lister may, and the listing's authorities. As
    /// [`Input::SetStatus`].
    SetStatus {
        /// The market.
        market: MarketId,
        /// What it does from now on.
        status: MarketStatus,
    },
    /// Gives the bond of a market that is settled and holds no position back to its lister, who
    /// asks.
    ClaimBond {
        /// The market.
        market: MarketId,
    },
    /// Takes a listed market's bond for the insurance fund; an authority may.
    ForfeitBond {
        /// The market.
        market: MarketId,
    },
}

impl Field for Command {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Place(order) => {
                out.push(0);
                order.put(out);
            }
            Self::Cancel(target) => {
                out.push(1);
                target.put(out);
            }
            Self::CancelAll { market } => {
                out.push(2);
                market.put(out);
            }
            Self::Modify { target, order } => {
                out.push(3);
                target.put(out);
                order.put(out);
            }
            Self::Transfer { to, asset, wallet, amount } => {
                out.push(4);
                to.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Move { asset, to, amount } => {
                out.push(5);
                asset.put(out);
                to.put(out);
                amount.put(out);
            }
            Self::SetLeverage { market, leverage, isolated } => {
                out.push(6);
                market.put(out);
                leverage.put(out);
                isolated.put(out);
            }
            Self::AdjustMargin { market, amount } => {
                out.push(40);
                market.put(out);
                amount.put(out);
            }
            Self::PlaceTrigger(order) => {
                out.push(20);
                order.put(out);
            }
            Self::ModifyTrigger { target, order } => {
                out.push(21);
                target.put(out);
                order.put(out);
            }
            Self::PlaceGroup { parent, children } => {
                out.push(22);
                parent.put(out);
                children.iter().for_each(|child| child.put(out));
            }
            Self::AttachTriggers(orders) => {
                out.push(23);
                orders.iter().for_each(|order| order.put(out));
            }
            Self::PlaceTwap(twap) => {
                out.push(24);
                twap.put(out);
            }
            Self::CancelTwap(twap) => {
                out.push(25);
                twap.put(out);
            }
            Self::ScheduleCancel { at_ms } => {
                out.push(26);
                at_ms.put(out);
            }
            Self::PlaceMarket(order) => {
                out.push(7);
                order.put(out);
            }
            Self::SettlePosition { owner, market } => {
                out.push(8);
                owner.put(out);
                market.put(out);
            }
            Self::Liquidate { owner, market } => {
                out.push(50);
                owner.put(out);
                market.put(out);
            }
            Self::Deleverage { market, side } => {
                out.push(51);
                market.put(out);
                side.put(out);
            }
            Self::FundInsurance { asset, amount } => {
                out.push(52);
                asset.put(out);
                amount.put(out);
            }
            Self::ListMarket(listing) => {
                out.push(60);
                listing.put(out);
            }
            Self::SetStatus { market, status } => {
                out.push(61);
                market.put(out);
                status.put(out);
            }
            Self::ClaimBond { market } => {
                out.push(62);
                market.put(out);
            }
            Self::ForfeitBond { market } => {
                out.push(63);
                market.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::Place(Field::get(r)?),
            1 => Self::Cancel(Field::get(r)?),
            2 => Self::CancelAll { market: Field::get(r)? },
            3 => Self::Modify { target: Field::get(r)?, order: Field::get(r)? },
            4 => Self::Transfer {
                to: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            5 => Self::Move { asset: Field::get(r)?, to: Field::get(r)?, amount: Field::get(r)? },
            6 => Self::SetLeverage {
                market: Field::get(r)?,
                leverage: Field::get(r)?,
                isolated: Field::get(r)?,
            },
            7 => Self::PlaceMarket(Field::get(r)?),
            8 => Self::SettlePosition { owner: Field::get(r)?, market: Field::get(r)? },
            20 => Self::PlaceTrigger(Field::get(r)?),
            21 => Self::ModifyTrigger { target: Field::get(r)?, order: Field::get(r)? },
            22 => Self::PlaceGroup {
                parent: Field::get(r)?,
                children: [Field::get(r)?, Field::get(r)?],
            },
            23 => Self::AttachTriggers([Field::get(r)?, Field::get(r)?]),
            24 => Self::PlaceTwap(Field::get(r)?),
            25 => Self::CancelTwap(Field::get(r)?),
            26 => Self::ScheduleCancel { at_ms: Field::get(r)? },
            40 => Self::AdjustMargin { market: Field::get(r)?, amount: Field::get(r)? },
            50 => Self::Liquidate { owner: Field::get(r)?, market: Field::get(r)? },
            51 => Self::Deleverage { market: Field::get(r)?, side: Field::get(r)? },
            52 => Self::FundInsurance { asset: Field::get(r)?, amount: Field::get(r)? },
            60 => Self::ListMarket(Box::new(Field::get(r)?)),
            61 => Self::SetStatus { market: Field::get(r)?, status: Field::get(r)? },
            62 => Self::ClaimBond { market: Field::get(r)? },
            63 => Self::ForfeitBond { market: Field::get(r)? },
            _ => return Err(CodecError::Invalid("exchange command")),
        })
    }
}
codec!(Command);

/// Where money is that left the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Outside {
    /// On the hub, or on its way there.
    #[default]
    Hub = 0,
    /// In another environment, or on its way there.
    Environment = 1,
}
enumeration!(Outside: "place outside" { Hub = 0, Environment = 1 });

/// What one oracle source tells of one market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OracleReport {
    /// The market.
    pub market: MarketId,
    /// The source: its place in [`crate::OracleSpec::weights`].
    pub source: u8,
    /// The price of the underlying, in ticks.
    pub price: Price,
    /// The mark of the same perpetual elsewhere, in ticks; 0 for none.
    pub external: Price,
    /// When the source says it was so, microseconds since the Unix epoch; a time after the latest
    /// tick's counts as that tick's.
    pub time_us: u64,
}
record!(OracleReport { market, source, price, external, time_us });

impl OracleReport {
    /// What a venue's only source says now.
    pub fn sole(market: MarketId, price: Price) -> Self {
        Self { market, source: 0, price, external: 0, time_us: u64::MAX }
    }
}

/// What enters from outside the accounts: bridge, oracle, operator, time. Whoever calls
/// [`crate::Exchange::apply`] has checked that the source may do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Money that came in from the hub; opens the account if there is none.
    Credit {
        /// Whose account.
        address: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet that receives it.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Money that leaves for the hub.
    Debit {
        /// Whose account.
        address: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet it leaves.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// What an oracle source tells of a market; takes effect at the next tick.
    Oracle(OracleReport),
    /// Changes what a market is doing. A settled market stays settled.
    SetStatus {
        /// The market.
        market: MarketId,
        /// What it does from now on.
        status: MarketStatus,
    },
    /// A tick's barrier: time, oracle prices and marks move here and nowhere else.
    Tick {
        /// Microseconds since the Unix epoch; monotone.
        time_us: u64,
    },
    /// Money that came in from another environment; opens the account if there is none.
    Receive {
        /// Whose account.
        address: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet that receives it.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Money that leaves for another environment.
    Send {
        /// Whose account.
        address: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet it leaves.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Money that left and came back: undoes in the ledger what leaving booked.
    Return {
        /// Where it was to go.
        outside: Outside,
        /// Whose account; opened if there is none.
        address: Address,
        /// The asset.
        asset: AssetId,
        /// The wallet that receives it.
        wallet: Wallet,
        /// How much; above zero.
        amount: Amount,
    },
    /// Moves a market's cumulative funding.
    Funding {
        /// The market.
        market: MarketId,
        /// What one lot held long pays, in quote units × 10⁻⁹.
        change: i128,
    },
    /// Sets what a market's margin requirements are multiplied by.
    MarginScale {
        /// The market.
        market: MarketId,
        /// Of initial and maintenance requirements, parts per million, at least a million.
        scale_ppm: (u32, u32),
    },
}

impl Field for Input {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Credit { address, asset, wallet, amount } => {
                out.push(0);
                address.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Debit { address, asset, wallet, amount } => {
                out.push(1);
                address.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Oracle(report) => {
                out.push(2);
                report.put(out);
            }
            Self::SetStatus { market, status } => {
                out.push(3);
                market.put(out);
                status.put(out);
            }
            Self::Tick { time_us } => {
                out.push(4);
                time_us.put(out);
            }
            Self::Receive { address, asset, wallet, amount } => {
                out.push(5);
                address.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Send { address, asset, wallet, amount } => {
                out.push(6);
                address.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Return { outside, address, asset, wallet, amount } => {
                out.push(7);
                outside.put(out);
                address.put(out);
                asset.put(out);
                wallet.put(out);
                amount.put(out);
            }
            Self::Funding { market, change } => {
                out.push(40);
                market.put(out);
                change.put(out);
            }
            Self::MarginScale { market, scale_ppm } => {
                out.push(41);
                market.put(out);
                scale_ppm.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::Credit {
                address: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            1 => Self::Debit {
                address: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            2 => Self::Oracle(Field::get(r)?),
            3 => Self::SetStatus { market: Field::get(r)?, status: Field::get(r)? },
            4 => Self::Tick { time_us: Field::get(r)? },
            5 => Self::Receive {
                address: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            6 => Self::Send {
                address: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            7 => Self::Return {
                outside: Field::get(r)?,
                address: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                amount: Field::get(r)?,
            },
            40 => Self::Funding { market: Field::get(r)?, change: Field::get(r)? },
            41 => Self::MarginScale { market: Field::get(r)?, scale_ppm: Field::get(r)? },
            _ => return Err(CodecError::Invalid("exchange input")),
        })
    }
}
codec!(Input);
