//! What an order costs in data: the orders of the built-in market, signed, in slots and spans as a
//! node publishes them.
//!
//! Agents decide as in `atoll dev`; the book is left out (the touch is the oracle's price and its
//! half-spread), because an order's bytes do not depend on what it meets.

use crate::hub::assemble::{Part as Environment, Slots};
use crate::hub::spans::span_data;
use crate::market::agents::{Arrivals, Crowd, Intent, Kind, Side, View};
use crate::market::builtin::scale;
use crate::node::archive::SlotRecord;
use crate::specs;
use anyhow::{Context, Result, bail};
use atoll_da::{EncodedSpan, Owner, Part, SpanData, SpanPlan};
use atoll_exchange::{MarketId, OrderId, OrderRequest, Rules, Side as BookSide, Tif};
use atoll_executor::spec::VmSpec;
use atoll_executor::{EnvironmentSpec, Range, Step};
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, Encode, NetworkId, SignedHeader, SlotHeader, sha256};
use atoll_vm::exchange::build::{self, OrderWire};
use atoll_vm::exchange::{OraclePrices, asset_of_market, sign};
use atoll_vm::{Identity, SlotContext};
use serde_json::{Value, json};
use std::collections::VecDeque;

const NETWORK: NetworkId = NetworkId(B256::ZERO);
/// Slots in a span at most, as a node cuts them: five seconds.
const SPAN_SLOTS: usize = 50;
const SLOTS_PER_S: f64 = 10.0;
const SLOT_US: u64 = 100_000;
const TICK_US: u64 = 500;
const HEADER_BYTES: u64 = 308;
const AGENTS_PER_MARKET: usize = 15;
/// Bytes of data in a blob: 4,096 field elements, 31 bytes of each.
const BLOB_BYTES: f64 = 4_096.0 * 31.0;
const ETHEREUM_BLOCK_S: f64 = 12.0;
/// When the flow begins, microseconds since the Unix epoch: any recent time.
const BEGIN_US: u64 = 1_790_000_000_000_000;

struct Market {
    id: MarketId,
    crowd: Crowd,
    traders: Vec<Trader>,
    oracle: u64,
    due_us: f64,
}

struct Trader {
    key: SigningKey,
    resting: VecDeque<OrderId>,
    last_nonce: u64,
}

/// The built-in market, without a book.
struct Flow {
    spec: EnvironmentSpec,
    rules: Rules,
    markets: Vec<Market>,
    oracle: SigningKey,
    commands: u64,
    transaction_bytes: u64,
}

/// What a rate costs.
pub(super) struct Measured {
    rate: u32,
    orders: u64,
    slots: usize,
    spans: usize,
    squares: usize,
    /// Signed orders alone.
    transaction_bytes: u64,
    /// What is published, before compression: batches and headers.
    published_bytes: u64,
    header_bytes: u64,
    /// Streams, compressed.
    stream_bytes: u64,
}

impl Flow {
    fn new(rate: u32) -> Result<Self> {
        let spec = specs::load_all(None)?.into_iter().find(|spec| spec.vm.kind() == "exchange");
        let spec = spec.context("no exchange is built in")?;
        let VmSpec::Exchange(vm) = &spec.vm else { bail!("an exchange of another kind") };
        let rules = vm.exchange.clone();
        let listed = &rules.spec().markets;
        // The first market gets most, as in `atoll dev`.
        let weight = |i: usize| 1.0 / f64::from(1u32 << i.min(4));
        let total: f64 = (0..listed.len()).map(weight).sum();
        let markets = listed.iter().enumerate().map(|(i, market)| {
            let scale = scale(market);
            let arrivals = Arrivals::with_mean(f64::from(rate) * weight(i) / total, 0.6);
            let traders = (0..AGENTS_PER_MARKET).map(|agent| Trader {
                key: SigningKey::from_label(&format!("agent-{}", i * AGENTS_PER_MARKET + agent)),
                resting: VecDeque::new(),
                last_nonce: 0,
            });
            let mut crowd = Crowd::new(i as u64 + 1, AGENTS_PER_MARKET, arrivals, scale);
            Market {
                id: MarketId(i as u16),
                due_us: crowd.next_arrival().after_s * 1e6,
                crowd,
                traders: traders.collect(),
                oracle: scale.anchor,
            }
        });
        let markets = markets.collect();
        let oracle = SigningKey::from_label("oracle");
        Ok(Self { markets, rules, spec, oracle, commands: 0, transaction_bytes: 0 })
    }

    /// The next order of a market, signed; none if the agent has nothing to withdraw.
    fn order(&mut self, market: usize, now_us: u64) -> Option<Vec<u8>> {
        let Market { id, crowd, traders, oracle, due_us } = &mut self.markets[market];
        let arrival = crowd.next_arrival();
        *due_us += arrival.after_s * 1e6;
        let trader = &mut traders[arrival.agent];
        let view = View { best_bid: None, best_ask: None, oracle: *oracle };
        let intent = crowd.decide(arrival.agent, &view, trader.resting.len());
        let action = match intent {
            Intent::CancelOldest => {
                let oldest = trader.resting.pop_front()?;
                build::cancels(&[(asset_of_market(&self.rules, *id), oldest)])
            }
            Intent::Place { side, price, size, kind } => {
                if kind != Kind::Immediate {
                    let place = trader.resting.len() as u64;
                    trader.resting.push_back(OrderId(self.commands << OrderId::SLOT_BITS | place));
                }
                let order = OrderRequest {
                    market: *id,
                    side: if side == Side::Bid { BookSide::Buy } else { BookSide::Sell },
                    price,
                    size,
                    tif: match kind {
                        Kind::Limit => Tif::Gtc,
                        Kind::PostOnly => Tif::PostOnly,
                        Kind::Immediate => Tif::Ioc,
                    },
                    reduce_only: false,
                    client_id: None,
                    ..OrderRequest::default()
                };
                build::orders(&[OrderWire::of(&self.rules, &order)?])
            }
        };
        self.commands += 1;
        trader.last_nonce = (now_us / 1_000).max(trader.last_nonce + 1);
        let signed = sign::sign_action(&trader.key, action, trader.last_nonce).to_bytes();
        self.transaction_bytes += signed.len() as u64;
        Some(signed)
    }

    /// The exchange's part of a slot: oracle prices, then ticks with their orders.
    fn slot(&mut self, context: SlotContext) -> Range {
        let prices = self.markets.iter_mut().map(|market| {
            market.oracle = market.crowd.next_oracle();
            (market.id, market.oracle)
        });
        let prices = OraclePrices { prices: prices.collect() };
        let identity = Identity { network: NETWORK, environment: self.spec.id };
        let time_ms = context.time_us / 1_000;
        let prices = sign::sign_oracle(&self.oracle, &identity, time_ms, &prices);
        let mut steps = vec![Step::Input(prices.to_bytes())];
        let end_us = (context.time_us - BEGIN_US + SLOT_US) as f64;
        let mut tick_end = 0;
        while let Some((at, due_us)) = self
            .markets
            .iter()
            .enumerate()
            .map(|(at, market)| (at, market.due_us))
            .filter(|(_, due)| *due < end_us)
            .min_by(|a, b| a.1.total_cmp(&b.1))
        {
            let now_us = BEGIN_US + due_us as u64;
            let Some(order) = self.order(at, now_us) else { continue };
            // A tick closes half a millisecond after its first order.
            if now_us >= tick_end {
                tick_end = now_us + TICK_US;
                steps.push(Step::Tick { time_us: tick_end });
            }
            steps.push(Step::Transaction(order));
        }
        let environment = self.spec.id;
        Range { environment, context, hub_cursor: (0, 0), start: 0, tick_time_us: None, steps }
    }
}

/// Makes about this many orders at this rate and publishes them.
pub(super) fn measure(rate: u32, orders: u64) -> Result<Measured> {
    let mut flow = Flow::new(rate)?;
    let sequencer = SigningKey::from_label("sequencer");
    let mut parent = B256::ZERO;
    let (mut headers, mut records) = (Vec::new(), Vec::new());
    for slot in 1.. {
        let time_us = BEGIN_US + (slot - 1) * SLOT_US;
        let range = flow.slot(SlotContext { slot, time_us, parent });
        let ticks = range.steps.iter().filter(|step| matches!(step, Step::Tick { .. })).count();
        // What a header commits to is random to whoever compresses it.
        let hash = |what: &str| sha256(&[what.as_bytes(), &range.hash()[..]]);
        let header = SlotHeader {
            slot,
            term: 1,
            time_us,
            parent,
            ticks: ticks as u32,
            running: hash("running"),
            batches: hash("batches"),
            hub_block: slot / SLOTS_PER_S as u64,
            hub_cursor: 0,
        };
        parent = header.hash();
        let signature = sequencer.sign(&header.digest(&NETWORK));
        headers.push(SignedHeader { header, signature });
        records.push(SlotRecord { range, receipts: Vec::new(), places: Vec::new() });
        if flow.commands >= orders {
            break;
        }
    }
    publish(&flow, rate, &headers, records)
}

/// Cuts slots into spans as a node does, and publishes each.
fn publish(
    flow: &Flow,
    rate: u32,
    sealed: &[SignedHeader],
    records: Vec<SlotRecord>,
) -> Result<Measured> {
    let mut measured = Measured {
        rate,
        orders: flow.commands,
        slots: sealed.len(),
        spans: 0,
        squares: 0,
        transaction_bytes: flow.transaction_bytes,
        published_bytes: 0,
        header_bytes: 0,
        stream_bytes: 0,
    };
    let owner = Owner::Environment(flow.spec.id);
    // A batch with its framing, and a header: what a node reckons with.
    let sizes: Vec<u64> = records.iter().map(|r| r.range.to_bytes().len() as u64 + 16).collect();
    let slots = Slots {
        headers: sealed.iter().map(|sealed| sealed.header.clone()).collect(),
        parts: vec![Environment {
            spec: flow.spec.clone(),
            records: records.into_iter().map(|r| (r.range.context.slot, r)).collect(),
        }],
        cursor_before: 0,
    };
    let mut plan = SpanPlan::new();
    let mut first = 0;
    for at in 0..=sealed.len() {
        let size = sizes.get(at).map(|bytes| [(owner, *bytes), (Owner::Headers, HEADER_BYTES)]);
        let full = at - first == SPAN_SLOTS
            || size.as_ref().is_none_or(|size| !plan.is_empty() && !plan.fits(size));
        if full && at > first {
            measured.add(&span_data(&slots, &sealed[first..at]))?;
            plan.clear();
            first = at;
        }
        size.iter().for_each(|size| plan.add(size));
    }
    Ok(measured)
}

impl Measured {
    fn add(&mut self, span: &SpanData) -> Result<()> {
        for (owner, data) in &span.parts {
            self.published_bytes += data.len() as u64;
            if *owner == Owner::Headers {
                self.header_bytes += data.len() as u64;
            }
            let stream = Part::stream(span.first_slot, span.last_slot, data);
            self.stream_bytes += stream.len() as u64;
        }
        self.spans += 1;
        self.squares += EncodedSpan::encode(NETWORK, span, 2)?.squares().len();
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.slots as f64 / SLOTS_PER_S
    }

    fn per_order(&self, bytes: u64) -> f64 {
        bytes as f64 / self.orders.max(1) as f64
    }

    /// Bytes of data a second at the rate named.
    fn bytes_per_s(&self) -> f64 {
        self.per_order(self.stream_bytes) * f64::from(self.rate)
    }

    pub(super) fn render(&self) -> Value {
        let blobs_per_s = self.bytes_per_s() / BLOB_BYTES;
        json!({
            "rate_per_s": self.rate,
            "orders": self.orders,
            "slots": self.slots,
            "spans": self.spans,
            "bytes_per_order": {
                "transaction": self.per_order(self.transaction_bytes),
                "published": self.per_order(self.published_bytes),
                "headers": self.per_order(self.header_bytes),
                "compressed": self.per_order(self.stream_bytes),
            },
            "bytes_per_s": self.bytes_per_s(),
            "squares_per_s": self.squares as f64 / self.seconds(),
            "blobs_per_s": blobs_per_s,
            "blobs_per_ethereum_block": blobs_per_s * ETHEREUM_BLOCK_S,
        })
    }
}

/// How the figures come about, for people.
pub(super) fn arithmetic(m: &Measured) -> String {
    let per_s = m.bytes_per_s();
    format!(
        "{} orders a second: {} orders in {} slots\n\
         \x20 signed orders                {:>12} bytes   {:>6.1} an order\n\
         \x20 with ticks, oracle, headers  {:>12} bytes   {:>6.1} an order ({:.1} of it headers)\n\
         \x20 compressed                   {:>12} bytes   {:>6.1} an order\n\
         \x20 data        {:.1} × {} = {:.3} MB/s\n\
         \x20 squares     {} in {} spans of {:.1} s: {:.2} a second\n\
         \x20 as blobs    {:.0} / {BLOB_BYTES} = {:.2} a second, {:.1} in {ETHEREUM_BLOCK_S} s",
        m.rate,
        m.orders,
        m.slots,
        m.transaction_bytes,
        m.per_order(m.transaction_bytes),
        m.published_bytes,
        m.per_order(m.published_bytes),
        m.per_order(m.header_bytes),
        m.stream_bytes,
        m.per_order(m.stream_bytes),
        m.per_order(m.stream_bytes),
        m.rate,
        per_s / 1e6,
        m.squares,
        m.spans,
        m.seconds() / m.spans.max(1) as f64,
        m.squares as f64 / m.seconds(),
        per_s,
        per_s / BLOB_BYTES,
        per_s / BLOB_BYTES * ETHEREUM_BLOCK_S,
    )
}
