//! Hyperliquid's actions: from msgpack to the exchange's commands.
//!
//! What the venue's spec decides (markets, ticks, lots) is decided here, without any state: an
//! order off the tick or in an unknown market becomes a refused step and the rest of the batch
//! goes on. An action that cannot be read at all is refused as a whole.

use super::conditional::Grouping;
use super::decimal::{Decimal, StepError};
use super::msgpack::{MsgpackError, MsgpackReader};
use super::order_type::OrderType;
use super::{ExchangeVmSpec, Sending, typed};
use crate::Identity;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{
    ClientId, Command, MarketId, MarketOrderRequest, OrderId, OrderRequest, OrderSelector, Product,
    Refusal, Rules, Side, Tif, TriggerRequest,
};
use atoll_types::{Address, B256, Lane, Reject, RejectCode};
use core::cell::Cell;

/// Asset numbers of spot markets begin here.
pub const SPOT_ASSETS_FROM: u64 = 10_000;
/// Most keys of an action.
const KEYS_MAX: u32 = 16;

/// One command of an action, or why the spec refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The market that the order named by a cancel or modification must be in.
    pub target_market: Option<MarketId>,
    /// The command.
    pub command: Result<Command, Refusal>,
}

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Self { target_market: None, command: Ok(command) }
    }
}

impl Step {
    pub(super) fn refused(code: RejectCode, message: &'static str) -> Self {
        let refusal = Refusal { code, message, have_need: None };
        Self { target_market: None, command: Err(refusal) }
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Commands of the signer's account, in order. Empty for a no-op, which only uses its nonce.
    Commands(Vec<Step>),
    /// Lets an agent key sign orders for the signer's account.
    ApproveAgent {
        /// The agent's address.
        agent: Address,
        /// Its name; an agent of the same name is replaced.
        name: String,
        /// Milliseconds since the Unix epoch until which it may sign; 0 revokes.
        valid_until_ms: u64,
    },
    /// Prices of the oracle.
    Oracle(super::OraclePrices),
    /// Money of the signer's account leaves the environment.
    Send(Sending),
    /// Commands of which some name a market that the spec does not have: they are read when they
    /// execute, with the markets that are listed by then.
    Late {
        /// The action, as it was signed.
        body: Vec<u8>,
        /// The most that it does to any book.
        lane: Lane,
    },
}

impl From<Result<Sending, Refusal>> for Action {
    /// What can never leave is a refused step, as an order off the tick is.
    fn from(sending: Result<Sending, Refusal>) -> Self {
        match sending {
            Ok(sending) => Self::Send(sending),
            Err(refusal) => {
                Self::Commands(alloc::vec![Step { target_market: None, command: Err(refusal) }])
            }
        }
    }
}

impl Action {
    /// The most that the action does to any book. A refused step does nothing to one.
    pub fn lane(&self) -> Lane {
        let steps = match self {
            Self::Commands(steps) => steps,
            Self::Late { lane, .. } => return *lane,
            _ => return Lane::Aside,
        };
        let of = |step: &Step| match &step.command {
            Ok(Command::Cancel(_) | Command::CancelAll { .. }) => Lane::Cancel,
            Ok(Command::Place(order) | Command::Modify { order, .. }) => match order.tif {
                Tif::PostOnly => Lane::PostOnly,
                Tif::Gtc | Tif::Ioc | Tif::Fok => Lane::Rest,
            },
            Ok(
                Command::PlaceMarket(_)
                | Command::Liquidate { .. }
                | Command::PlaceTrigger(_)
                | Command::ModifyTrigger { .. }
                | Command::PlaceGroup { .. }
                | Command::AttachTriggers(_),
            ) => Lane::Rest,
            _ => Lane::Aside,
        };
        let weight = |lane: &Lane| match lane {
            Lane::Aside => 0,
            Lane::Cancel => 1,
            Lane::PostOnly => 2,
            Lane::Rest => 3,
        };
        steps.iter().map(of).max_by_key(weight).unwrap_or(Lane::Aside)
    }
}

/// A decoded action with what signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) action: Action,
    /// The digest and the nonce of an action that is signed as typed data.
    pub(super) typed: Option<(B256, u64)>,
}

/// The market with this asset number: perpetuals from 0 in the order of the spec and then of their
/// listing, spot markets likewise from [`SPOT_ASSETS_FROM`]. A number never changes.
pub fn market_of_asset(rules: &Rules, asset: u64) -> Option<MarketId> {
    let (perpetuals, spots) = kinds(rules);
    let (listed_perpetuals, listed_spots) = rules.listed_by_kind();
    let (place, own, from, listed) = match asset.checked_sub(SPOT_ASSETS_FROM) {
        Some(spot) => (spot, spots, perpetuals, listed_spots),
        None => (asset, perpetuals, 0, listed_perpetuals),
    };
    match place.checked_sub(own) {
        None => Some(MarketId(u16::try_from(from + place).ok()?)),
        Some(place) => listed.get(usize::try_from(place).ok()?).copied(),
    }
}

/// The asset number of a market.
pub fn asset_of_market(rules: &Rules, market: MarketId) -> u64 {
    let (place, (perpetuals, spots)) = (u64::from(market.0), kinds(rules));
    let (listed_perpetuals, listed_spots) = rules.listed_by_kind();
    if place < perpetuals {
        place
    } else if place < perpetuals + spots {
        SPOT_ASSETS_FROM + place - perpetuals
    } else if let Ok(at) = listed_perpetuals.binary_search(&market) {
        perpetuals + at as u64
    } else {
        SPOT_ASSETS_FROM + spots + listed_spots.partition_point(|of| *of < market) as u64
    }
}

/// How many perpetuals and spot markets the spec has; perpetuals come first
/// ([`super::ExchangeVmSpec::validate`]).
fn kinds(rules: &Rules) -> (u64, u64) {
    let perpetual = |m: &atoll_exchange::MarketSpec| matches!(m.product, Product::Perpetual { .. });
    let own = rules.spec().markets.get(..rules.spec_markets()).unwrap_or_default();
    let perpetuals = own.partition_point(perpetual) as u64;
    (perpetuals, own.len() as u64 - perpetuals)
}

/// Stands for a market that is listed by the time the action executes, or is not.
const LATE: MarketId = MarketId(u16::MAX);

/// Whether an asset number that the spec does not have may be a listed market's.
fn may_be_listed(rules: &Rules, asset: u64) -> bool {
    let (perpetuals, spots) = kinds(rules);
    let most = u64::from(rules.spec().listing.markets_max);
    match asset.checked_sub(SPOT_ASSETS_FROM) {
        Some(spot) => spot < spots.saturating_add(most),
        None => asset < perpetuals.saturating_add(most),
    }
}

pub(super) fn malformed(error: MsgpackError) -> Reject {
    let message = alloc::format!("the action does not decode: {error}");
    Reject::new(RejectCode::Malformed, message)
}

pub(super) fn unsupported(message: impl Into<String>) -> Reject {
    Reject::new(RejectCode::Unsupported, message)
}

/// The keys of an action, each with the bytes of its value.
pub(super) struct Fields<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Fields<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, MsgpackError> {
        let mut reader = MsgpackReader::new(bytes);
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        reader.entries(|key, reader| {
            // A key given twice is taken once, and so refused by `finish`.
            if fields.len() >= KEYS_MAX as usize {
                return Ok(false);
            }
            fields.push((key, reader.skip()?));
            Ok(true)
        })?;
        reader.finish()?;
        Ok(Self(fields))
    }

    /// Takes a value out.
    pub(super) fn take(&mut self, key: &'static str) -> Result<MsgpackReader<'a>, MsgpackError> {
        let place = self.0.iter().position(|(k, _)| *k == key).ok_or(MsgpackError::Missing(key))?;
        Ok(MsgpackReader::new(self.0.swap_remove(place).1))
    }

    /// Takes a map out, or nothing where there is nil.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Self>, MsgpackError> {
        let mut reader = self.take(key)?;
        if reader.nil() { Ok(None) } else { Self::read(reader.skip()?).map(Some) }
    }

    /// Takes a number that is not negative out.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &'static str) -> Result<T, MsgpackError> {
        let expected = "a smaller number";
        let wrong = MsgpackError::Value { key, expected };
        T::try_from(self.take(key)?.unsigned()?).map_err(|_| wrong)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| *k == key)
    }

    /// Fails if a key was not taken.
    pub(super) fn finish(self) -> Result<(), MsgpackError> {
        match self.0.first() {
            Some((key, _)) => Err(MsgpackError::Key(key.chars().take(32).collect())),
            None => Ok(()),
        }
    }
}

/// Reads an action.
pub(super) fn decode(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    bytes: &[u8],
) -> Result<Decoded, Reject> {
    let late = Cell::new(Some(false));
    let decoded = read(identity, spec, &spec.exchange, &late, bytes)?;
    if late.get() != Some(true) {
        return Ok(decoded);
    }
    let action = Action::Late { body: bytes.to_vec(), lane: decoded.action.lane() };
    Ok(Decoded { action, ..decoded })
}

/// Reads the commands of an [`Action::Late`], with the markets that are listed by now.
pub(super) fn decode_late(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    rules: &Rules,
    bytes: &[u8],
) -> Result<Vec<Step>, Reject> {
    match read(identity, spec, rules, &Cell::new(None), bytes)?.action {
        Action::Commands(steps) => Ok(steps),
        // Only commands name markets.
        _ => Err(unsupported("the action names no market")),
    }
}

fn read(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    rules: &Rules,
    late: &Cell<Option<bool>>,
    bytes: &[u8],
) -> Result<Decoded, Reject> {
    let mut fields = Fields::read(bytes).map_err(malformed)?;
    let kind = fields.take("type").and_then(|mut r| r.string()).map_err(malformed)?;
    let decoder = Decoder { rules, late, commands_max: spec.commands_per_action_max };
    let action = match kind {
        "order" => decoder.orders(fields)?,
        "cancel" => decoder.list(fields, "cancels", |r| decoder.cancel(r))?,
        "cancelByCloid" => decoder.list(fields, "cancels", |r| decoder.cancel_by_client_id(r))?,
        "modify" => decoder.modify(fields)?,
        "batchModify" => decoder.list(fields, "modifies", |r| decoder.modification(r))?,
        "updateLeverage" => decoder.leverage(fields)?,
        "updateIsolatedMargin" => decoder.isolated_margin(fields)?,
        "twapOrder" => decoder.twap(fields)?,
        "twapCancel" => decoder.twap_cancel(fields)?,
        "scheduleCancel" => decoder.schedule_cancel(fields)?,
        "liquidate" => decoder.liquidate(fields)?,
        "deleverage" => decoder.deleverage(fields)?,
        "settlePosition" => decoder.settle_position(fields)?,
        "fundInsurance" => decoder.fund_insurance(fields)?,
        "listMarket" => decoder.list_market(fields)?,
        "setMarketStatus" => decoder.set_market_status(fields)?,
        "claimBond" => decoder.claim_bond(fields)?,
        "forfeitBond" => decoder.forfeit_bond(fields)?,
        "noop" => {
            fields.finish().map_err(malformed)?;
            Action::Commands(Vec::new())
        }
        "usdSend" | "spotSend" | "usdClassTransfer" | "approveAgent" | "withdraw3" => {
            return typed::decode(identity, spec, kind, fields);
        }
        _ => {
            let kind: String = kind.chars().take(32).collect();
            return Err(unsupported(alloc::format!(
                "action type \"{kind}\" is not supported here"
            )));
        }
    };
    Ok(Decoded { action, typed: None })
}

/// Sets a value that may be given once.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> bool {
    place.replace(value).is_none()
}

#[derive(Clone, Copy)]
pub(super) struct Decoder<'s> {
    pub(super) rules: &'s Rules,
    /// Where the markets of the spec alone are known: whether another one was named.
    late: &'s Cell<Option<bool>>,
    commands_max: u32,
}

impl<'s> Decoder<'s> {
    /// For one command, with the markets that are listed by now; `late` is none.
    pub(super) fn of_one(rules: &'s Rules, late: &'s Cell<Option<bool>>) -> Self {
        Self { rules, late, commands_max: 1 }
    }
}

impl Decoder<'_> {
    fn batch<'a, T>(
        &self,
        reader: &mut MsgpackReader<'a>,
        mut item: impl FnMut(&mut MsgpackReader<'a>) -> Result<T, MsgpackError>,
    ) -> Result<Vec<T>, Reject> {
        let count = reader.array().map_err(malformed)?;
        if count > self.commands_max {
            let message = alloc::format!(
                "the action has {count} commands, at most {} are accepted; split the batch",
                self.commands_max,
            );
            return Err(Reject::new(RejectCode::Oversized, message));
        }
        if count == 0 {
            return Err(Reject::new(RejectCode::Malformed, "the action's list is empty"));
        }
        let items: Result<Vec<T>, _> = (0..count).map(|_| item(reader)).collect();
        items.map_err(malformed)
    }

    fn list<'a>(
        &self,
        mut fields: Fields<'a>,
        key: &'static str,
        step: impl FnMut(&mut MsgpackReader<'a>) -> Result<Step, MsgpackError>,
    ) -> Result<Action, Reject> {
        let mut reader = fields.take(key).map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        self.batch(&mut reader, step).map(Action::Commands)
    }

    fn orders(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut grouping = fields.take("grouping").map_err(malformed)?;
        if !grouping.at_string() {
            return Err(unsupported("priority fees are not supported; name a grouping"));
        }
        let grouping = Grouping::read(&mut grouping)?;
        if fields.has("builder") && !fields.take("builder").map_err(malformed)?.nil() {
            return Err(unsupported("builder fees are not supported; leave \"builder\" out"));
        }
        let mut reader = fields.take("orders").map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let orders = self.batch(&mut reader, |r| self.order(r))?;
        Ok(Action::Commands(grouping.steps(&orders)))
    }

    fn order(&self, reader: &mut MsgpackReader<'_>) -> Result<Order, MsgpackError> {
        let (mut asset, mut buy, mut price, mut size) = (None, None, None, None);
        let (mut reduce_only, mut kind, mut client_id) = (None, None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "a" => once(&mut asset, r.unsigned()?),
                "b" => once(&mut buy, r.bool()?),
                "p" => once(&mut price, decimal("p", r)?),
                "s" => once(&mut size, decimal("s", r)?),
                "r" => once(&mut reduce_only, r.bool()?),
                "t" => once(&mut kind, OrderType::read(r)?),
                "c" if r.nil() => once(&mut client_id, None),
                "c" => once(&mut client_id, Some(self::client_id("c", r)?)),
                _ => false,
            })
        })?;
        let missing = MsgpackError::Missing;
        let asset = asset.ok_or(missing("a"))?;
        let (price, size) = (price.ok_or(missing("p"))?, size.ok_or(missing("s"))?);
        let side = if buy.ok_or(missing("b"))? { Side::Buy } else { Side::Sell };
        let reduce_only = reduce_only.ok_or(missing("r"))?;
        let kind = kind.ok_or(missing("t"))?;
        let client_id = client_id.flatten();
        let order = || {
            let market = self.market(asset)?;
            if market == LATE {
                return Ok(late(&kind, side));
            }
            let lots = |size: Decimal| self.lots(market, size);
            let ticks = |price: Decimal| self.ticks(market, price);
            let plain = OrderRequest::default();
            match kind {
                OrderType::Limit { tif, expires_ms, display } => {
                    let expires_us = expires_ms.saturating_mul(1000);
                    let (price, size) = (ticks(price)?, lots(size)?);
                    let display = display.map_or(Ok(0), lots)?;
                    let of = OrderRequest { market, side, price, size, tif, ..plain };
                    let order = OrderRequest { reduce_only, client_id, expires_us, display, ..of };
                    Ok(Order::Limit(order))
                }
                OrderType::Market { slippage } => {
                    if ticks(price)? != 0 {
                        return Err(refusal(RejectCode::OffTick, MARKET_PRICE));
                    }
                    let ppm = slippage.steps(6, 1);
                    let ppm = ppm.ok().and_then(|ppm| u32::try_from(ppm).ok());
                    let slippage_ppm = ppm.ok_or(refusal(RejectCode::Overflow, SLIPPAGE))?;
                    let size = lots(size)?;
                    Ok(Order::Market(MarketOrderRequest {
                        market,
                        side,
                        size,
                        slippage_ppm,
                        reduce_only,
                        client_id,
                    }))
                }
                OrderType::Trigger(trigger) => Ok(Order::Trigger(TriggerRequest {
                    market,
                    side,
                    trigger_price: ticks(trigger.price)?,
                    kind: trigger.kind,
                    limit: if trigger.market { None } else { Some(ticks(price)?) },
                    size: lots(size)?,
                    reduce_only,
                    client_id,
                })),
            }
        };
        Ok(order().unwrap_or_else(Order::Refused))
    }

    pub(super) fn ticks(&self, market: MarketId, price: Decimal) -> Result<u64, Refusal> {
        let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
        let spec = self.rules.market_spec(market).ok_or(unknown)?;
        let ticks = price.steps(spec.price_decimals, spec.tick);
        ticks.map_err(|error| step_refusal(error, RejectCode::OffTick, OFF_TICK))
    }

    pub(super) fn lots(&self, market: MarketId, size: Decimal) -> Result<u64, Refusal> {
        if market == LATE {
            return Ok(0);
        }
        let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
        let spec = self.rules.market_spec(market).ok_or(unknown)?;
        let lots = size.steps(spec.size_decimals, spec.lot);
        lots.map_err(|error| step_refusal(error, RejectCode::OffLot, OFF_LOT))
    }

    pub(super) fn market(&self, asset: u64) -> Result<MarketId, Refusal> {
        let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
        let found = market_of_asset(self.rules, asset);
        if found.is_none() && self.late.get().is_some() && may_be_listed(self.rules, asset) {
            self.late.set(Some(true));
            return Ok(LATE);
        }
        found.ok_or(unknown)
    }

    pub(super) fn cancel_step(&self, asset: u64, target: OrderSelector) -> Step {
        match self.market(asset) {
            Ok(market) => {
                Step { target_market: Some(market), command: Ok(Command::Cancel(target)) }
            }
            Err(refusal) => Step { target_market: None, command: Err(refusal) },
        }
    }

    fn cancel(&self, reader: &mut MsgpackReader<'_>) -> Result<Step, MsgpackError> {
        let (mut asset, mut order) = (None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "a" => once(&mut asset, r.unsigned()?),
                "o" => once(&mut order, r.unsigned()?),
                _ => false,
            })
        })?;
        let asset = asset.ok_or(MsgpackError::Missing("a"))?;
        let order = OrderId(order.ok_or(MsgpackError::Missing("o"))?);
        Ok(self.cancel_step(asset, OrderSelector::Order(order)))
    }

    fn cancel_by_client_id(&self, reader: &mut MsgpackReader<'_>) -> Result<Step, MsgpackError> {
        let (mut asset, mut client) = (None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "asset" => once(&mut asset, r.unsigned()?),
                "cloid" => once(&mut client, client_id("cloid", r)?),
                _ => false,
            })
        })?;
        let asset = asset.ok_or(MsgpackError::Missing("asset"))?;
        let client = client.ok_or(MsgpackError::Missing("cloid"))?;
        Ok(self.cancel_step(asset, OrderSelector::Client(client)))
    }

    fn modify(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || {
            let target = selector(&mut fields.take("oid")?)?;
            let order = self.order(&mut fields.take("order")?)?;
            Ok(order.into_modification(target))
        };
        let step = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        Ok(Action::Commands(alloc::vec![step]))
    }

    fn modification(&self, reader: &mut MsgpackReader<'_>) -> Result<Step, MsgpackError> {
        let (mut target, mut order) = (None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "oid" => once(&mut target, selector(r)?),
                "order" => once(&mut order, self.order(r)?),
                _ => false,
            })
        })?;
        let target = target.ok_or(MsgpackError::Missing("oid"))?;
        Ok(order.ok_or(MsgpackError::Missing("order"))?.into_modification(target))
    }
}

/// What an order is, as far as its lane goes, before its market is known.
fn late(kind: &OrderType, side: Side) -> Order {
    let (market, size, reduce_only, client_id) = (LATE, 0, false, None);
    match kind {
        OrderType::Limit { tif, .. } => {
            Order::Limit(OrderRequest { market, side, tif: *tif, ..OrderRequest::default() })
        }
        OrderType::Market { .. } => Order::Market(MarketOrderRequest {
            market,
            side,
            size,
            slippage_ppm: 0,
            reduce_only,
            client_id,
        }),
        OrderType::Trigger(trigger) => Order::Trigger(TriggerRequest {
            market,
            side,
            trigger_price: 0,
            kind: trigger.kind,
            limit: None,
            size,
            reduce_only,
            client_id,
        }),
    }
}

/// An order as the spec sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Limit(OrderRequest),
    Market(MarketOrderRequest),
    Trigger(TriggerRequest),
    Refused(Refusal),
}

impl Order {
    pub(super) fn step(&self) -> Step {
        Step {
            target_market: None,
            command: match *self {
                Self::Limit(order) => Ok(Command::Place(order)),
                Self::Market(order) => Ok(Command::PlaceMarket(order)),
                Self::Trigger(order) => Ok(Command::PlaceTrigger(order)),
                Self::Refused(refusal) => Err(refusal),
            },
        }
    }

    fn into_modification(self, target: OrderSelector) -> Step {
        match self {
            Self::Limit(order) => Step {
                target_market: Some(order.market),
                command: Ok(Command::Modify { target, order }),
            },
            Self::Trigger(order) => Step {
                target_market: Some(order.market),
                command: Ok(Command::ModifyTrigger { target, order }),
            },
            Self::Market(_) => Step::refused(RejectCode::Unsupported, MODIFIED),
            Self::Refused(refusal) => Step { target_market: None, command: Err(refusal) },
        }
    }
}

const UNKNOWN_MARKET: &str = "there is no market with this asset number; ask for meta or spotMeta";
const MODIFIED: &str = "an order becomes a limit or trigger order by modification, no other one";
const MARKET_PRICE: &str = "a market order has no price; let \"p\" be \"0\"";
const SLIPPAGE: &str = "the slippage is a fraction with at most six decimals";
const OFF_TICK: &str = "the price is not a multiple of the market's tick";
const OFF_LOT: &str = "the size is not a multiple of the market's lot";

pub(super) fn refusal(code: RejectCode, message: &'static str) -> Refusal {
    Refusal { code, message, have_need: None }
}

pub(super) fn step_refusal(error: StepError, off: RejectCode, message: &'static str) -> Refusal {
    match error {
        StepError::Off => refusal(off, message),
        StepError::Overflow => {
            refusal(RejectCode::Overflow, "the number is above every limit of the venue")
        }
    }
}

/// A decimal in a string.
pub(super) fn decimal(
    key: &'static str,
    reader: &mut MsgpackReader<'_>,
) -> Result<Decimal, MsgpackError> {
    let expected = "a decimal number: digits, at most one point, no sign, no exponent";
    Decimal::parse(reader.string()?).ok_or(MsgpackError::Value { key, expected })
}

/// An order's number, or its client id.
fn selector(reader: &mut MsgpackReader<'_>) -> Result<OrderSelector, MsgpackError> {
    if reader.at_string() {
        client_id("oid", reader).map(OrderSelector::Client)
    } else {
        reader.unsigned().map(|order| OrderSelector::Order(OrderId(order)))
    }
}

fn client_id(key: &'static str, r: &mut MsgpackReader<'_>) -> Result<ClientId, MsgpackError> {
    let expected = "0x and 32 hexadecimal digits";
    hex(r.string()?).ok_or(MsgpackError::Value { key, expected })
}

/// `0x` and exactly the digits of `N` bytes.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (char::from(pair[0]).to_digit(16)?, char::from(pair[1]).to_digit(16)?);
        *byte = (high << 4 | low) as u8;
    }
    Some(out)
}
