//! Hyperliquid's actions around orders that wait: groupings, `twapOrder`, `twapCancel`,
//! `scheduleCancel`.

use super::action::{Action, Decoder, Fields, Order, Step, decimal, malformed, once, unsupported};
use super::msgpack::{MsgpackError, MsgpackReader};
use alloc::vec::Vec;
use atoll_exchange::{Command, OrderId, Refusal, Side, TriggerKind, TriggerRequest, TwapRequest};
use atoll_types::{Reject, RejectCode};

/// `{"isMarket": …, "triggerPx": …, "tpsl": "tp" | "sl"}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TriggerType {
    pub(super) market: bool,
    pub(super) price: super::decimal::Decimal,
    pub(super) kind: TriggerKind,
}

impl TriggerType {
    pub(super) fn read(reader: &mut MsgpackReader<'_>) -> Result<Self, MsgpackError> {
        let (mut market, mut price, mut kind) = (None, None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "isMarket" => once(&mut market, r.bool()?),
                "triggerPx" => once(&mut price, decimal("triggerPx", r)?),
                "tpsl" => once(&mut kind, tpsl(r)?),
                _ => false,
            })
        })?;
        let missing = MsgpackError::Missing;
        Ok(Self {
            market: market.ok_or(missing("isMarket"))?,
            price: price.ok_or(missing("triggerPx"))?,
            kind: kind.ok_or(missing("tpsl"))?,
        })
    }
}

fn tpsl(reader: &mut MsgpackReader<'_>) -> Result<TriggerKind, MsgpackError> {
    match reader.string()? {
        "tp" => Ok(TriggerKind::TakeProfit),
        "sl" => Ok(TriggerKind::Stop),
        _ => Err(MsgpackError::Value { key: "tpsl", expected: "\"tp\" or \"sl\"" }),
    }
}

/// How the orders of an action belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Not at all.
    None,
    /// The first is the parent of the others.
    Parent,
    /// They belong to the position.
    Position,
}

impl Grouping {
    pub(super) fn read(reader: &mut MsgpackReader<'_>) -> Result<Self, Reject> {
        match reader.string().map_err(malformed)? {
            "na" => Ok(Self::None),
            "normalTpsl" => Ok(Self::Parent),
            "positionTpsl" => Ok(Self::Position),
            _ => Err(unsupported(
                "only the groupings \"na\", \"normalTpsl\" and \"positionTpsl\" are supported",
            )),
        }
    }

    /// One step for all orders of a group, or a refused one for each.
    pub(super) fn steps(self, orders: &[Order]) -> Vec<Step> {
        if self == Self::None {
            return orders.iter().map(Order::step).collect();
        }
        match self.command(orders) {
            Ok(command) => Vec::from([Step { target_market: None, command: Ok(command) }]),
            Err(refusal) => {
                let refused = Step { target_market: None, command: Err(refusal) };
                orders.iter().map(|_| refused.clone()).collect()
            }
        }
    }

    fn command(self, orders: &[Order]) -> Result<Command, Refusal> {
        let refusal = |message| Refusal { code: RejectCode::Unsupported, message, have_need: None };
        if let Some(refused) = orders.iter().find_map(|order| match order {
            Order::Refused(refusal) => Some(*refusal),
            _ => None,
        }) {
            return Err(refused);
        }
        let members = |orders: &[Order]| -> Result<[Option<TriggerRequest>; 2], Refusal> {
            let mut members = [None; 2];
            if orders.is_empty() || orders.len() > members.len() {
                return Err(refusal("a group has one or two trigger orders"));
            }
            for (member, order) in members.iter_mut().zip(orders) {
                let Order::Trigger(trigger) = order else {
                    return Err(refusal("the orders of a group are trigger orders"));
                };
                *member = Some(*trigger);
            }
            Ok(members)
        };
        match (self, orders) {
            (Self::Parent, [Order::Limit(parent), children @ ..]) => {
                Ok(Command::PlaceGroup { parent: *parent, children: members(children)? })
            }
            (Self::Parent, _) => {
                Err(refusal("the first order of the grouping \"normalTpsl\" is a limit order"))
            }
            _ => Ok(Command::AttachTriggers(members(orders)?)),
        }
    }
}

impl Decoder<'_> {
    /// `{"a": asset, "b": buy, "s": size, "r": reduce-only, "m": minutes, "t": randomize}`.
    pub(super) fn twap(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut reader = fields.take("twap").map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let (mut asset, mut buy, mut size) = (None, None, None);
        let (mut reduce_only, mut minutes, mut random) = (None, None, None);
        let read = reader.entries(|key, r| {
            Ok(match key {
                "a" => once(&mut asset, r.unsigned()?),
                "b" => once(&mut buy, r.bool()?),
                "s" => once(&mut size, decimal("s", r)?),
                "r" => once(&mut reduce_only, r.bool()?),
                "m" => once(&mut minutes, r.unsigned()?),
                "t" => once(&mut random, r.bool()?),
                _ => false,
            })
        });
        read.map_err(malformed)?;
        let missing = |key| malformed(MsgpackError::Missing(key));
        let asset = asset.ok_or_else(|| missing("a"))?;
        let side = if buy.ok_or_else(|| missing("b"))? { Side::Buy } else { Side::Sell };
        let size = size.ok_or_else(|| missing("s"))?;
        let reduce_only = reduce_only.ok_or_else(|| missing("r"))?;
        let minutes = minutes.ok_or_else(|| missing("m"))?;
        if random.ok_or_else(|| missing("t"))? {
            return Err(unsupported("slices are not randomized here; set \"t\" to false"));
        }
        // A duration that no 16 bits hold is above the longest.
        let minutes = u16::try_from(minutes).unwrap_or(u16::MAX);
        let command = self.market(asset).and_then(|market| {
            let size = self.lots(market, size)?;
            Ok(Command::PlaceTwap(TwapRequest { market, side, size, reduce_only, minutes }))
        });
        Ok(Action::Commands(Vec::from([Step { target_market: None, command }])))
    }

    pub(super) fn twap_cancel(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || Ok((fields.take("a")?.unsigned()?, fields.take("t")?.unsigned()?));
        let (asset, twap) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let command = self.market(asset).map(|_| Command::CancelTwap(OrderId(twap)));
        Ok(Action::Commands(Vec::from([Step { target_market: None, command }])))
    }

    pub(super) fn schedule_cancel(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut at_ms = None;
        if fields.has("time") {
            let mut time = fields.take("time").map_err(malformed)?;
            if !time.nil() {
                at_ms = Some(time.unsigned().map_err(malformed)?);
            }
        }
        fields.finish().map_err(malformed)?;
        Ok(Action::Commands(Vec::from([Command::ScheduleCancel { at_ms }.into()])))
    }
}
