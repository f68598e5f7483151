//! What every format is turned into: integer events of one instrument.

use std::fmt;

/// Side of the book: a bid buys, an ask sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buying.
    Bid,
    /// Selling.
    Ask,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }
}

/// Total size at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    /// Price in units of `10^-price_decimals`.
    pub price: u64,
    /// Size in units of `10^-size_decimals`; zero says that the level is gone.
    pub size: u64,
}

/// One recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the Unix epoch; since midnight where the file names no date.
    pub time_ns: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. Prices and sizes are in the units of [`Instrument`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// An order entered the book (Bitstamp `created`, LOBSTER 1).
    Add {
        /// The venue's order id.
        id: u64,
        /// Side of the order.
        side: Side,
        /// Limit price.
        price: u64,
        /// Size, not zero.
        size: u64,
    },
    /// An order has this price and remaining size from now on, mostly after a fill
    /// (Bitstamp `changed`).
    Change {
        /// The venue's order id.
        id: u64,
        /// Side of the order.
        side: Side,
        /// Price from now on.
        price: u64,
        /// Remaining size from now on.
        size: u64,
    },
    /// Part of an order was cancelled by its owner (LOBSTER 2).
    Reduce {
        /// The venue's order id.
        id: u64,
        /// Side of the order.
        side: Side,
        /// Its price.
        price: u64,
        /// Cancelled size, not zero.
        by: u64,
    },
    /// An order left the book (Bitstamp `deleted`, LOBSTER 3).
    Remove {
        /// The venue's order id.
        id: u64,
        /// Side of the order.
        side: Side,
        /// Its price.
        price: u64,
        /// Size that was still open; zero says that it was filled.
        size: u64,
    },
    /// A resting order was hit by an order that is not recorded by itself (LOBSTER 4 and 5).
    Execute {
        /// The resting order; `None` when it was hidden.
        id: Option<u64>,
        /// Side of the order that took the liquidity.
        aggressor: Side,
        /// Price of the execution.
        price: u64,
        /// Executed size, not zero.
        size: u64,
    },
    /// The whole book, by price level.
    Snapshot {
        /// Number of the last book update that it contains.
        update: u64,
        /// Bids in recorded order.
        bids: Vec<Level>,
        /// Asks in recorded order.
        asks: Vec<Level>,
    },
    /// New sizes of some price levels, all at once.
    Depth {
        /// Number of the first book update in it.
        first_update: u64,
        /// Number of the last book update in it.
        last_update: u64,
        /// Last update of the message before this one, where the venue says so: a gap shows.
        previous_update: Option<u64>,
        /// Bids; size zero removes the level.
        bids: Vec<Level>,
        /// Asks; size zero removes the level.
        asks: Vec<Level>,
    },
    /// Best bid and ask.
    Quote {
        /// Number of the book update.
        update: u64,
        /// Best bid.
        bid: Level,
        /// Best ask.
        ask: Level,
    },
    /// A trade, known by its price and size only.
    Trade {
        /// Price.
        price: u64,
        /// Size, not zero.
        size: u64,
        /// Side of the order that took the liquidity; `None` in an auction.
        aggressor: Option<Side>,
    },
    /// Trading stopped (`halted`) or resumed (LOBSTER 7).
    Halt {
        /// Whether trading is stopped from now on.
        halted: bool,
    },
}

impl EventKind {
    /// Stable name of the kind, as in [`FeedReport::by_kind`](crate::FeedReport::by_kind).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Change { .. } => "change",
            Self::Reduce { .. } => "reduce",
            Self::Remove { .. } => "remove",
            Self::Execute { .. } => "execute",
            Self::Snapshot { .. } => "snapshot",
            Self::Depth { .. } => "depth",
            Self::Quote { .. } => "quote",
            Self::Trade { .. } => "trade",
            Self::Halt { .. } => "halt",
        }
    }
}

/// What is traded and in which units, as far as the file or its name says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The venue's name of it, upper case, e.g. `BTCUSDT`.
    pub symbol: String,
    /// What is bought and sold, e.g. `BTC`; the whole symbol when it cannot be split.
    pub base: String,
    /// What it is paid in, e.g. `USDT`; empty when unknown.
    pub quote: String,
    /// Decimals of a price unit: the fewest that write every scanned price exactly.
    pub price_decimals: u8,
    /// Decimals of a size unit: the fewest that write every scanned size exactly.
    pub size_decimals: u8,
    /// Greatest step that all scanned prices are multiples of, in price units.
    pub tick: u64,
    /// Greatest step that all scanned sizes are multiples of, in size units.
    pub lot: u64,
    /// Whether the scan reached the end of the file, so that the units fit all of it.
    pub whole_file: bool,
}

/// The recorded formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Bitstamp order-by-order CSV.
    BitstampL3,
    /// Binance messages, one JSON object a line.
    Binance,
    /// LOBSTER message CSV.
    Lobster,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BitstampL3 => "Bitstamp L3 CSV",
            Self::Binance => "Binance JSON lines",
            Self::Lobster => "LOBSTER message CSV",
        })
    }
}
