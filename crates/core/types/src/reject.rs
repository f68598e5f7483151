//! Rejections: a stable numeric code and a sentence that says what to do.

use alloc::string::String;
use core::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $label:literal;)*) => {
        /// Stable codes. A number, once published, keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum RejectCode { $($(#[$doc])* $name = $value,)* }

        impl RejectCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code's stable snake-case label.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// The code with this number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    // 1xx: the bytes
    /// The bytes are not a transaction.
    Malformed = 100, "malformed";
    /// The transaction or body is larger than allowed.
    Oversized = 101, "oversized";
    /// No such environment on this network.
    UnknownEnvironment = 102, "unknown_environment";
    /// The transaction names another chain id.
    WrongChain = 103, "wrong_chain";
    /// The action or transaction type is not supported here.
    Unsupported = 104, "unsupported";
    // 2xx: the signer
    /// There is no signature.
    Unsigned = 200, "unsigned";
    /// The signature is malformed or fits no key.
    BadSignature = 201, "bad_signature";
    /// The signer has no account here and is no approved agent.
    UnknownAccount = 202, "unknown_account";
    /// The signature is for another venue, network or environment.
    WrongDomain = 203, "wrong_domain";
    /// Signed by a key that may not do this.
    NotAllowed = 204, "not_allowed";
    // 3xx: nonces and time
    /// The nonce was used before.
    NonceUsed = 300, "nonce_used";
    /// The nonce is below the window of accepted ones.
    NonceTooLow = 301, "nonce_too_low";
    /// The nonce leaves a gap or is too far in the future.
    NonceTooHigh = 302, "nonce_too_high";
    /// The action's expiry has passed.
    Expired = 303, "expired";
    // 4xx: money
    /// Not enough free collateral.
    InsufficientMargin = 400, "insufficient_margin";
    /// Not enough of the asset.
    InsufficientBalance = 401, "insufficient_balance";
    /// An amount leaves the range of its type or of the venue's limits.
    Overflow = 402, "overflow";
    /// The fee offered is below what is asked.
    FeeTooLow = 403, "fee_too_low";
    // 5xx: orders
    /// No such market.
    UnknownMarket = 500, "unknown_market";
    /// The price is not a multiple of the tick size.
    OffTick = 501, "off_tick";
    /// The size is not a multiple of the lot size.
    OffLot = 502, "off_lot";
    /// The order's value is below the market's minimum.
    Dust = 503, "dust";
    /// A post-only order would have taken liquidity.
    WouldCross = 504, "would_cross";
    /// An immediate order found nothing to trade with.
    NoLiquidity = 505, "no_liquidity";
    /// A reduce-only order would open or increase a position.
    NotReducing = 506, "not_reducing";
    /// No such open order for this account.
    UnknownOrder = 507, "unknown_order";
    /// The client order id is in use.
    DuplicateClientId = 508, "duplicate_client_id";
    /// The account has as many open orders as it may.
    TooManyOrders = 509, "too_many_orders";
    /// The price is too far from the oracle price.
    PriceBand = 510, "price_band";
    /// The order would have traded with the same account.
    SelfTrade = 511, "self_trade";
    /// The market is paused.
    MarketPaused = 512, "market_paused";
    /// The market has no mark price yet.
    NoMark = 513, "no_mark";
    /// The account is in as many markets as it may.
    TooManyPositions = 514, "too_many_positions";
    /// The order takes more matching steps than one command may.
    TooManyFills = 515, "too_many_fills";
    /// The mark is already at the trigger price or beyond it.
    TriggerCrossed = 520, "trigger_crossed";
    /// The time or duration is outside of what the venue allows.
    TimeOutOfRange = 521, "time_out_of_range";
    /// A parameter of a market that was to be listed is not valid.
    InvalidMarket = 522, "invalid_market";
    /// The position has to be closed first.
    PositionOpen = 530, "position_open";
    /// A cap of the venue, on open interest, on an account's part of it or on an asset as
    /// collateral, leaves no room.
    AtCap = 531, "at_cap";
    /// The account or isolated position covers its maintenance margin, or there is none.
    NotLiquidatable = 540, "not_liquidatable";
    /// Liquidations have done what they may in this slot.
    LiquidationsBusy = 541, "liquidations_busy";
    // 6xx: the door
    /// The sender or the node is over its rate.
    RateLimited = 600, "rate_limited";
    /// The node is behind and admits nothing for the moment.
    Busy = 601, "busy";
    /// The environment is halted at its last good root.
    Halted = 602, "halted";
    /// A transaction with this hash is already here.
    AlreadyKnown = 603, "already_known";
    /// A replacement needs a higher fee.
    Underpriced = 604, "underpriced";
    // 7xx: execution
    /// The transaction ran and failed; it paid for what it used.
    Reverted = 700, "reverted";
    /// The transaction's gas limit is above the block's or below its intrinsic cost.
    GasLimit = 701, "gas_limit";
}

impl RejectCode {
    /// The number.
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A refusal: the code is stable, the sentence may improve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What machines read.
    pub code: RejectCode,
    /// What people read: what was wrong and what to do.
    pub message: String,
}

impl Reject {
    /// A refusal with its sentence.
    pub fn new(code: RejectCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl core::error::Error for Reject {}
