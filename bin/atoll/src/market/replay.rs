//! Drives the book with a recorded market.
//!
//! The recording becomes a market of its own, whose ticks and lots are the recording's, with a few
//! synthetic participants. Orders are named by client ids, so commands need not wait for answers:
//! up to a bound they are in flight together, and the venue takes them in the order of sending.
//! What its matching did is told back to the order flow, so that nothing is applied twice.

use super::{Trader, Venue};
use crate::cli::Speed;
use crate::node::driver::Outcome;
use crate::summary::ReplaySummary;
use anyhow::{Context, Result, bail};
use atoll_exchange::{
    AssetSpec, CancelReason, ClientId, Command, Event, ExchangeSpec, Limits, MarketId, MarketSpec,
    OracleSpec, OrderRequest, OrderSelector, PriceSpec, Product, Rules, SelfTrade, Side, Tif,
    Wallet,
};
use atoll_executor::spec::Ordering;
use atoll_executor::{EnvironmentSpec, VmSpec};
use atoll_feed::{Action, Feed, FlowCommand, FlowConfig, Options, OrderFlow, OrderKind};
use atoll_types::crypto::SigningKey;
use atoll_types::{EnvironmentId, RejectCode};
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVmSpec, GenesisBalance, Status};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;
use tokio::sync::watch;
use tokio::time::Instant;

/// Commands in flight.
const IN_FLIGHT_MAX: usize = 256;
/// Collateral of each participant: enough that margin never shapes a recorded flow.
const COLLATERAL: i128 = 1 << 88;

/// A recording, opened, with the spec of an exchange that trades it.
pub(crate) struct Recording {
    feed: Feed,
    pub(crate) spec: EnvironmentSpec,
    first_price: Option<u64>,
}

fn label(actor: u32) -> String {
    format!("replay-{actor}")
}

/// The first price that the recording's oracle has.
fn first_price(path: &Path) -> Result<Option<u64>> {
    let feed = Feed::open(path, &Options::default())?;
    let mut flow = OrderFlow::new(flow_config());
    let mut commands = Vec::new();
    for event in feed {
        flow.apply(&event, &mut commands);
        for command in commands.drain(..) {
            if let Action::Oracle { price } = command.action {
                return Ok(Some(price));
            }
        }
    }
    Ok(None)
}

/// Opens a recording and makes the spec of an exchange that trades it.
pub(crate) fn open(path: &Path) -> Result<Recording> {
    let first_price = first_price(path)?;
    let feed = Feed::open(path, &Options::default())?;
    let instrument = feed.instrument();
    let decimals = u32::from(instrument.price_decimals) + u32::from(instrument.size_decimals);
    let Ok(decimals) = u8::try_from(decimals) else {
        bail!("the recording's numbers are too fine")
    };
    let symbol = |s: &str, or: &str| if s.is_empty() { or.to_string() } else { s.to_string() };
    let unit = 10u64.pow(u32::from(decimals));
    let market = MarketSpec {
        name: symbol(&instrument.symbol, "MARKET"),
        product: Product::Perpetual {
            contract: atoll_exchange::Contract::Linear,
            initial_margin_ppm: 20_000,
            maintenance_margin_ppm: 10_000,
            mark_band_ppm: 50_000,
        },
        price_decimals: instrument.price_decimals,
        size_decimals: instrument.size_decimals,
        tick: 1,
        lot: 1,
        price_max: (1 << 40) - 1,
        order_size_max: (1 << 39) - 1,
        notional_min: unit.min(1),
        price_band_ppm: 100_000_000,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        risk: atoll_exchange::MarketRisk::default(),
        // No sanity bounds: a recording has gaps, and what is not believed would be another market.
        prices: PriceSpec::default(),
    };
    let spec = ExchangeSpec {
        assets: vec![AssetSpec {
            symbol: symbol(&instrument.quote, "USD"),
            decimals,
            pledge: None,
            borrow_ppm: 0,
        }],
        collateral: atoll_exchange::AssetId(0),
        markets: vec![market],
        self_trade: SelfTrade::CancelMaker,
        limits: Limits {
            orders_per_account: 4096,
            positions_per_account: 4,
            fills_per_command: 1000,
            ..Limits::default()
        },
        liquidation: atoll_exchange::LiquidationSpec::default(),
        oracle: OracleSpec::default(),
        listing: Default::default(),
    };
    let participants = OrderFlow::new(flow_config()).participants();
    let genesis = (0..participants)
        .map(|actor| GenesisBalance {
            address: SigningKey::from_label(&label(actor)).address(),
            asset: atoll_exchange::AssetId(0),
            wallet: Wallet::Collateral,
            amount: COLLATERAL,
        })
        .collect();
    let vm = ExchangeVmSpec {
        exchange: Rules::new(spec).context("the recording does not make a valid market")?,
        oracles: vec![SigningKey::from_label("oracle").address()],
        chain_id: 3001,
        accept_hyperliquid_master: true,
        commands_per_action_max: 100,
        agents_per_account_max: 16,
        hub_assets: Vec::new(),
        claims_per_slot: 100,
        genesis,
    };
    vm.validate().context("the recording does not make a valid venue")?;
    let spec = EnvironmentSpec {
        id: EnvironmentId(1),
        name: "perps".into(),
        commit_interval_slots: 10,
        root_lag_slots_max: 20,
        // Recorded order is what is replayed.
        ordering: Ordering::Arrival,
        vm: VmSpec::Exchange(vm),
    };
    Ok(Recording { feed, spec, first_price })
}

fn flow_config() -> FlowConfig {
    // A fill is told only when its answer comes: the flow waits longer for it than that takes.
    FlowConfig { participants_per_group: 32, grace_events: 512, ..FlowConfig::default() }
}

struct InFlight {
    /// The order that a placement or modification makes.
    client_id: Option<u64>,
    answer: Receiver<Outcome>,
}

/// The order flow's number of an order as the client id on the wire, and back.
fn wire_id(client_id: u64) -> ClientId {
    u128::from(client_id).to_be_bytes()
}

fn flow_id(client_id: ClientId) -> u64 {
    u128::from_be_bytes(client_id) as u64
}

/// A replay under way.
pub(crate) struct Replay {
    venue: Venue,
    first_price: Option<u64>,
    feed: Feed,
    flow: OrderFlow,
    traders: Vec<Trader>,
    oracle: Trader,
    in_flight: VecDeque<InFlight>,
    commands: u64,
    refused: BTreeMap<String, u64>,
}

impl Replay {
    pub(crate) fn new(venue: Venue, recording: Recording) -> Self {
        let Recording { feed, first_price, .. } = recording;
        let flow = OrderFlow::new(flow_config());
        let traders = (0..flow.participants())
            .map(|actor| Trader::new(SigningKey::from_label(&label(actor))))
            .collect();
        Self {
            venue,
            first_price,
            feed,
            flow,
            traders,
            oracle: Trader::new(SigningKey::from_label("oracle")),
            in_flight: VecDeque::new(),
            commands: 0,
            refused: BTreeMap::new(),
        }
    }

    /// Replays until the end or until told to stop; `progress` is told of every event
    /// and of how much of the file was read, from 0 to 1.
    pub(crate) async fn run(
        mut self,
        speed: Speed,
        mut stop: watch::Receiver<bool>,
        progress: impl Fn(u64, f64),
    ) -> ReplaySummary {
        self.set_first_mark().await;
        let begin = Instant::now();
        let mut first_ns = None;
        let mut last_ns = 0;
        let mut commands = Vec::new();
        let mut events = 0;
        let mut complete = true;
        while let Some(event) = self.feed.next() {
            events += 1;
            last_ns = event.time_ns;
            if let Speed::Times(times) = speed {
                let first = *first_ns.get_or_insert(event.time_ns);
                let ahead = event.time_ns.saturating_sub(first) as f64 / 1e9 / times;
                let due = begin + Duration::from_secs_f64(ahead);
                if due > Instant::now() + Duration::from_millis(1) {
                    self.settle().await;
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                }
            }
            if *stop.borrow() {
                complete = false;
                break;
            }
            self.flow.apply(&event, &mut commands);
            for command in commands.drain(..) {
                self.send(command).await;
            }
            progress(events, self.feed.progress());
        }
        self.flow.finish(last_ns, &mut commands);
        for command in std::mem::take(&mut commands) {
            self.send(command).await;
        }
        self.settle().await;
        self.summary(complete)
    }

    /// A venue takes no orders without a mark; the recording's market had one before its first
    /// line. The oracle's first price takes effect with the next slot.
    async fn set_first_mark(&mut self) {
        let Some(price) = self.first_price else { return };
        for _ in 0..50 {
            if self.venue.live.machine.read().vm().exchange().peek_prices(MarketId(0)).mark > 0 {
                return;
            }
            let _ = self.venue.oracle(&mut self.oracle, vec![(MarketId(0), price)]);
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }

    async fn send(&mut self, command: FlowCommand) {
        self.take_ready();
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.take_one().await;
        }
        let market = MarketId(0);
        let (actor, client_id, command) = match command.action {
            Action::Oracle { price } => {
                self.commands += 1;
                if let Err(reject) = self.venue.oracle(&mut self.oracle, vec![(market, price)]) {
                    self.refuse(reject.code.label());
                }
                return;
            }
            Action::Place { actor, client_id, side, price, size, kind } => {
                let order = request(client_id, side, price, size, kind);
                (actor, Some(client_id), Command::Place(order))
            }
            Action::Modify { actor, client_id, new_client_id, side, price, size, kind } => {
                let target = OrderSelector::Client(wire_id(client_id));
                let order = request(new_client_id, side, price, size, kind);
                (actor, Some(new_client_id), Command::Modify { target, order })
            }
            Action::Cancel { actor, client_id } => {
                let target = OrderSelector::Client(wire_id(client_id));
                (actor, None, Command::Cancel(target))
            }
        };
        self.commands += 1;
        loop {
            let trader = &mut self.traders[actor as usize];
            match self.venue.send(trader, market, &command) {
                Ok(answer) => {
                    self.in_flight.push_back(InFlight { client_id, answer });
                    return;
                }
                // The node asks to slow down: a recording can wait.
                Err(reject) if reject.code == RejectCode::Busy => {
                    self.settle().await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(reject) => {
                    client_id.iter().for_each(|id| self.flow.on_gone(*id));
                    return self.refuse(reject.code.label());
                }
            }
        }
    }

    fn refuse(&mut self, why: &str) {
        *self.refused.entry(why.to_string()).or_default() += 1;
    }

    /// Waits for every answer, in order.
    async fn settle(&mut self) {
        while !self.in_flight.is_empty() {
            self.take_one().await;
        }
    }

    async fn take_one(&mut self) {
        let Some(InFlight { client_id, answer }) = self.in_flight.pop_front() else { return };
        if let Ok(outcome) = answer.await {
            self.learn(client_id, outcome);
        }
    }

    /// Takes the answers that are there.
    fn take_ready(&mut self) {
        while let Some(front) = self.in_flight.front_mut() {
            let Ok(outcome) = front.answer.try_recv() else { return };
            let client_id = front.client_id;
            self.in_flight.pop_front();
            self.learn(client_id, outcome);
        }
    }

    /// Tells the order flow what the venue did.
    fn learn(&mut self, client_id: Option<u64>, outcome: Outcome) {
        let receipt = match outcome {
            Ok((_, Some(receipt))) => ExchangeReceipt::of(&receipt),
            Ok((_, None)) => return,
            Err(reject) => Err(reject),
        };
        let receipt = match receipt {
            Ok(receipt) => receipt,
            Err(reject) => {
                self.refuse(reject.code.label());
                client_id.iter().for_each(|id| self.flow.on_gone(*id));
                return;
            }
        };
        for status in &receipt.statuses {
            if let Status::Rejected { code, .. } = status {
                self.refuse(code.label());
                client_id.iter().for_each(|id| self.flow.on_gone(*id));
            }
        }
        for event in &receipt.events {
            match event {
                Event::Filled(fill) => {
                    for party in [&fill.maker, &fill.taker] {
                        if let Some(client_id) = party.client_id {
                            self.flow.on_fill(flow_id(client_id), fill.size);
                        }
                    }
                }
                Event::Cancelled { order, reason } => {
                    use CancelReason::{Immediate, Modified, Requested};
                    let expected = matches!(reason, Requested | Modified | Immediate);
                    if let (false, Some(client_id)) = (expected, order.client_id) {
                        self.refuse("ended_by_the_venue");
                        self.flow.on_gone(flow_id(client_id));
                    }
                }
                _ => {}
            }
        }
    }

    fn summary(&self, complete: bool) -> ReplaySummary {
        let (read, flow) = (self.feed.report(), self.flow.report());
        let mut not_reproduced = self.refused.clone();
        for (reason, n) in [
            ("fills_not_reproduced", flow.unreproduced_fills),
            ("filled_instead_of_cancelled", flow.filled_instead_of_cancelled),
            ("unknown_orders", flow.unknown_orders),
            ("duplicate_orders", flow.duplicate_orders),
            ("stale_events", flow.stale_events),
            ("trades_without_a_side", flow.unbooked_trades),
            ("depth_gaps", flow.depth_gaps),
            ("left_out", flow.left_out),
        ] {
            if n > 0 {
                not_reproduced.insert(reason.into(), n);
            }
        }
        ReplaySummary {
            file: String::new(),
            format: self.feed.format().to_string(),
            lines: read.lines,
            events: read.events,
            damaged: read.damaged.iter().map(|(k, n)| (k.code().to_string(), *n)).collect(),
            commands: self.commands,
            complete,
            not_reproduced,
        }
    }
}

fn request(
    client_id: u64,
    side: atoll_feed::Side,
    price: u64,
    size: u64,
    kind: OrderKind,
) -> OrderRequest {
    OrderRequest {
        market: MarketId(0),
        side: match side {
            atoll_feed::Side::Bid => Side::Buy,
            atoll_feed::Side::Ask => Side::Sell,
        },
        price,
        size,
        tif: match kind {
            OrderKind::Limit => Tif::Gtc,
            OrderKind::PostOnly => Tif::PostOnly,
            OrderKind::Ioc => Tif::Ioc,
        },
        reduce_only: false,
        client_id: Some(wire_id(client_id)),
        ..OrderRequest::default()
    }
}
