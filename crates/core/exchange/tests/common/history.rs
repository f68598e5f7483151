//! Histories that engine and twin go through side by side, and what is compared on the way.

use super::naive::{self, Objects};
use super::twin::Twin;
use super::*;

/// What a lot of an account's perpetuals may come to, and a little less.
pub(crate) const LOTS: u64 = 1 << 40;
/// The perpetuals' highest price.
pub(crate) const TOP: u64 = 10_000_000;

/// A command whose targets are chosen when it runs.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Place(u32, OrderRequest),
    Cancel(u32, usize),
    CancelClient(u32, u8),
    CancelAll(u32, Option<MarketId>),
    Modify(u32, usize, OrderRequest),
    /// Asks for a part of an order, in parts of 256.
    Shrink(u32, usize, u8),
    Input(Input),
    /// Time goes on.
    Advance(u64),
    /// A source tells a price, and maybe an external mark, so many microseconds ago.
    Report(MarketId, u8, u64, u64, u64),
    Other(u32, Command),
    ModifyTrigger(u32, usize, TriggerRequest),
    CancelTwap(u32, usize),
    /// A scheduled cancel so many milliseconds from now; none takes it back.
    Schedule(u32, Option<u64>),
    /// A tick so much later.
    Later(u64),
}

/// A spec whose limits are met often.
pub(crate) fn tight(policy: SelfTrade, fills: u32, orders: u32) -> ExchangeSpec {
    let limits =
        Limits { orders_per_account: orders, fills_per_command: fills, ..Limits::default() };
    ExchangeSpec { self_trade: policy, limits, ..spec() }
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub ranges: Vec<Vec<Plan>>,
    pub spec: ExchangeSpec,
    pub leave_out: bool,
}

pub(crate) fn concrete(plan: &Plan, twin: &Twin) -> Op {
    // Mostly the account's own orders, now and then somebody else's.
    let nth = |who: u32, nth: usize| {
        let open = twin.numbers();
        let own: Vec<_> = open.iter().filter(|o| o.0.0 == who || nth.is_multiple_of(16)).collect();
        own.get(nth % own.len().max(1)).map_or(OrderId(1 << 12), |o| o.1)
    };
    let (who, command) = match *plan {
        Plan::Place(who, order) => (who, Command::Place(order)),
        Plan::Cancel(who, n) => (who, Command::Cancel(OrderSelector::Order(nth(who, n)))),
        Plan::CancelClient(who, id) => (who, Command::Cancel(OrderSelector::Client([id; 16]))),
        Plan::CancelAll(who, market) => (who, Command::CancelAll { market }),
        Plan::Modify(who, n, order) => {
            (who, Command::Modify { target: OrderSelector::Order(nth(who, n)), order })
        }
        Plan::Shrink(who, n, part) => {
            let id = nth(who, n);
            let found = twin.orders.iter().find(|o| o.order == id);
            let order = found.map_or(OrderRequest::default(), |o| OrderRequest {
                market: o.market,
                side: o.side,
                price: o.price,
                size: (u128::from(o.remaining) * u128::from(part) / 250) as u64,
                tif: o.tif,
                reduce_only: o.reduce_only,
                client_id: if part % 3 == 0 { o.client_id } else { None },
                ..OrderRequest::default()
            });
            (who, Command::Modify { target: OrderSelector::Order(id), order })
        }
        Plan::Input(input) => return Op::In(input),
        Plan::Advance(by) => return Op::In(Input::Tick { time_us: twin.time_us() + by }),
        Plan::Report(market, source, price, external, ago) => {
            let time_us = (twin.time_us() + 500).saturating_sub(ago);
            return Op::In(Input::Oracle(OracleReport {
                market,
                source,
                price,
                external,
                time_us,
            }));
        }
        Plan::Other(who, ref command) => (who, command.clone()),
        Plan::ModifyTrigger(who, n, order) => {
            (who, Command::ModifyTrigger { target: OrderSelector::Order(nth(who, n)), order })
        }
        Plan::CancelTwap(who, nth) => {
            let twaps = twin.twaps();
            let twap = twaps.get(nth % twaps.len().max(1)).map_or(OrderId(5 << 12), |t| t.1);
            (who, Command::CancelTwap(twap))
        }
        Plan::Schedule(who, at) => {
            let at_ms = at.map(|at| twin.time_us() / 1000 + at);
            (who, Command::ScheduleCancel { at_ms })
        }
        Plan::Later(by) => return Op::In(Input::Tick { time_us: twin.time_us() + by }),
    };
    Op::Do(AccountId(who), command)
}

/// Runs a history on engine and twin, range by range; panics where they differ.
pub(crate) fn check(history: &History, accounts: u32) {
    let mut both = Both::new(&history.spec);
    both.each_step = true;
    both.harness.leave_out = history.leave_out;
    both.range(&funding(accounts));
    for plans in &history.ranges {
        for plan in plans {
            let op = concrete(plan, &both.twin);
            both.push(op);
        }
        both.seal();
    }
}

/// An answer and what it told.
pub(crate) type Reply = (Result<Outcome, RejectCode>, Vec<Event>);

/// The engine and its twin, which is a range ahead at most.
pub(crate) struct Both {
    pub harness: Harness,
    pub twin: Twin,
    /// Whether the bytes of books are compared after each command, and not only after each range.
    pub each_step: bool,
    ops: Vec<Op>,
    expected: Vec<Reply>,
    /// The twin's books after each command.
    books: Vec<Objects>,
}

impl Both {
    pub(crate) fn new(spec: &ExchangeSpec) -> Self {
        let (harness, twin) = (Harness::with_unwitnessed(spec.clone()), Twin::new(spec.clone()));
        let (ops, expected, books) = (Vec::new(), Vec::new(), Vec::new());
        Self { harness, twin, each_step: false, ops, expected, books }
    }

    /// How much of the range waits for its seal.
    pub(crate) fn waiting(&self) -> usize {
        self.ops.len()
    }

    /// Runs a command on the twin, and keeps it for the engine.
    pub(crate) fn push(&mut self, op: Op) -> &Reply {
        self.expected.push(self.twin.run(&op));
        if self.each_step {
            self.books.push(self.twin.objects());
        }
        self.ops.push(op);
        &self.expected[self.expected.len() - 1]
    }

    /// Runs these as a range.
    pub(crate) fn range(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| {
            self.push(op.clone());
        });
        self.seal();
    }

    /// Runs the range on the engine, and again on its witness alone, and compares all there is.
    pub(crate) fn seal(&mut self) {
        let (each_step, mut books) = (self.each_step, Vec::new());
        let answers = self.harness.range_seen(&self.ops, |full| {
            if each_step {
                books.push(naive::exported(full));
            }
        });
        let expected = std::mem::take(&mut self.expected);
        for ((op, (answer, events)), (reply, told)) in self.ops.iter().zip(answers).zip(expected) {
            assert_eq!(answer.map_err(|refusal| refusal.code), reply, "{op:?}");
            assert_eq!(events, told, "{op:?}");
        }
        for (op, (naive, fast)) in self.ops.iter().zip(self.books.iter().zip(&books)) {
            naive::assert_same(naive, fast, op);
        }
        let last = self.ops.pop();
        self.ops.clear();
        self.books.clear();
        self.compare_states(last);
        self.compare();
    }

    /// The same bytes in the state for all that tells of open orders, and so the same root.
    fn compare_states(&mut self, after: Option<Op>) {
        let (naive, fast) = (self.twin.objects(), naive::exported(&mut self.harness.full));
        naive::assert_same(&naive, &fast, &after);
        assert_eq!(naive::root(&naive), naive::root(&fast));
    }

    fn compare(&self) {
        let (full, twin) = (&self.harness.full, &self.twin);
        for market in (0..full.rules().spec().markets.len() as u16).map(MarketId) {
            for side in [Side::Buy, Side::Sell] {
                let levels = full.peek_levels(market, side, 1000);
                assert_eq!(levels, twin.levels(market, side), "{market:?} {side:?}");
            }
            let found = full.peek_prices(market);
            let scales = (found.margin_scale_ppm.0, found.margin_scale_ppm.1);
            let found = (found.mark, found.oracle, found.status, found.funding, scales);
            assert_eq!(found, twin.prices(market.0.into()), "{market:?}");
        }
        let listed = full.rules().listed_markets();
        let own = full.rules().spec_markets();
        let bond = |n: usize| full.peek_listing(MarketId((own + n) as u16)).unwrap().listing.bond;
        let bonds: Vec<_> = (0..listed).map(|n| i128::from(bond(n))).collect();
        assert_eq!(bonds, twin.bonds());
        for asset in [USDC, COIN] {
            let (ledger, at) = (full.peek_ledger(asset), usize::from(asset.0));
            let fund = (twin.ladder.insurance[at], twin.ladder.shortfall[at]);
            assert_eq!((ledger.insurance, ledger.shortfall), fund, "{asset:?}");
            assert!(fund.0 >= 0 && fund.1 >= 0, "{asset:?}");
        }
        assert_eq!(full.peek_global().accounts as usize, twin.accounts());
        for n in 0..full.peek_global().accounts {
            let margin = full.peek_margin(AccountId(n));
            let found = (margin.equity(), margin.initial(), margin.maintenance());
            assert_eq!(found, twin.account(n as usize), "account {n}");
        }
    }
}
