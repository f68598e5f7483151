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

/// Asset numbers of spot markets begin here.
pub const SPOT_ASSETS_FROM: u64 = 10_000;
/// Most keys of an action.
const KEYS_MAX: u32 = 16;

/// One command of an action, or why the spec refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let Self::Commands(steps) = self else { return Lane::Aside };
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

/// The market with this asset number: perpetuals from 0 in the order of the spec, spot markets
/// from [`SPOT_ASSETS_FROM`].
pub fn market_of_asset(rules: &Rules, asset: u64) -> Option<MarketId> {
    let perpetuals = perpetuals(rules);
    let place = match asset.checked_sub(SPOT_ASSETS_FROM) {
        Some(spot) => perpetuals.checked_add(spot)?,
        None if asset < perpetuals => asset,
        None => return None,
    };
    let market = MarketId(u16::try_from(place).ok()?);
    rules.market(market).map(|_| market)
}

/// The asset number of a market.
pub fn asset_of_market(rules: &Rules, market: MarketId) -> u64 {
    let (place, perpetuals) = (u64::from(market.0), perpetuals(rules));
    if place < perpetuals { place } else { SPOT_ASSETS_FROM + place - perpetuals }
}

/// The spec lists perpetuals first ([`super::ExchangeVmSpec::validate`]).
fn perpetuals(rules: &Rules) -> u64 {
    let perpetual = |m: &atoll_exchange::MarketSpec| matches!(m.product, Product::Perpetual { .. });
    rules.spec().markets.partition_point(perpetual) as u64
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
    fn read(bytes: &'a [u8]) -> Result<Self, MsgpackError> {
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
    let mut fields = Fields::read(bytes).map_err(malformed)?;
    let kind = fields.take("type").and_then(|mut r| r.string()).map_err(malformed)?;
    let decoder = Decoder { rules: &spec.exchange, commands_max: spec.commands_per_action_max };
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
    commands_max: u32,
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
            let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
            let spec = self.rules.market_spec(market).ok_or(unknown)?;
            let lots = |size: Decimal| self.lots(market, size);
            let ticks = |price: Decimal| {
                let ticks = price.steps(spec.price_decimals, spec.tick);
                ticks.map_err(|error| step_refusal(error, RejectCode::OffTick, OFF_TICK))
            };
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

    pub(super) fn lots(&self, market: MarketId, size: Decimal) -> Result<u64, Refusal> {
        let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
        let spec = self.rules.market_spec(market).ok_or(unknown)?;
        let lots = size.steps(spec.size_decimals, spec.lot);
        lots.map_err(|error| step_refusal(error, RejectCode::OffLot, OFF_LOT))
    }

    pub(super) fn market(&self, asset: u64) -> Result<MarketId, Refusal> {
        let unknown = refusal(RejectCode::UnknownMarket, UNKNOWN_MARKET);
        market_of_asset(self.rules, asset).ok_or(unknown)
    }

    fn cancel_step(&self, asset: u64, target: OrderSelector) -> Step {
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
