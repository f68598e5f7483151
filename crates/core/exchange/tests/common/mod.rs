//! One harness for every test of the exchange: each range of commands runs on full state, and
//! again on nothing but its witness. Money is counted after each command, and somebody who sees nothing
//! but the events knows after each range what the state holds.
#![allow(dead_code, missing_docs)]

pub(crate) mod crash;
pub(crate) mod decoded;
pub(crate) mod fuzzed;
pub(crate) mod history;
pub(crate) mod listed;
pub(crate) mod naive;
pub(crate) mod observer;
pub(crate) mod sharded;
pub(crate) mod twin;

use atoll_exchange::*;
use atoll_state::object::{self, ReadSet};
use atoll_state::{Resident, Witnessed, WriteSet};
use atoll_types::{Address, RejectCode};
use sharded::{Crew, LastFirst, Sharded, Threads};

pub(crate) const USDC: AssetId = AssetId(0);
pub(crate) const COIN: AssetId = AssetId(1);
pub(crate) const BTC: MarketId = MarketId(0);
pub(crate) const ETH: MarketId = MarketId(1);
pub(crate) const SPOT: MarketId = MarketId(2);
pub(crate) const INV: MarketId = MarketId(3);

/// What the harness feeds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Do(AccountId, Command),
    In(Input),
}

pub(crate) type Answer = (Result<Outcome, Refusal>, Vec<Event>);

pub(crate) fn perpetual(name: &str) -> MarketSpec {
    MarketSpec {
        name: name.into(),
        product: Product::Perpetual {
            contract: Contract::Linear,
            initial_margin_ppm: 50_000,
            maintenance_margin_ppm: 25_000,
            mark_band_ppm: 10_000,
        },
        price_decimals: 1,
        size_decimals: 5,
        tick: 1,
        lot: 1,
        price_max: 10_000_000,
        order_size_max: 100_000_000_000,
        notional_min: 1_000,
        price_band_ppm: 200_000,
        maker_fee_ppm: -50,
        taker_fee_ppm: 350,
        risk: MarketRisk::default(),
        prices: PriceSpec::default(),
    }
}

pub(crate) fn asset(symbol: &str, decimals: u8) -> AssetSpec {
    AssetSpec { symbol: symbol.into(), decimals, pledge: None, borrow_ppm: 0 }
}

/// Two perpetuals and a spot market; a tick × lot of the perpetuals is one quote unit.
pub(crate) fn spec() -> ExchangeSpec {
    ExchangeSpec {
        assets: vec![asset("USDC", 6), asset("COIN", 8)],
        collateral: USDC,
        markets: vec![
            perpetual("BTC"),
            MarketSpec { maker_fee_ppm: 100, ..perpetual("ETH") },
            MarketSpec {
                name: "COIN/USDC".into(),
                product: Product::Spot { base: COIN, quote: USDC },
                price_decimals: 2,
                size_decimals: 4,
                price_max: 1_000_000,
                maker_fee_ppm: 200,
                taker_fee_ppm: 700,
                ..perpetual("")
            },
        ],
        self_trade: SelfTrade::CancelTaker,
        limits: Limits::default(),
        liquidation: LiquidationSpec::default(),
        oracle: OracleSpec::default(),
        listing: ListingSpec::default(),
    }
}

/// The same with all that margin knows: tiers, caps, and a fourth market, an inverse perpetual of
/// 100 dollars settled in coins, which are collateral at a tenth less than BTC's oracle price.
pub(crate) fn venue() -> ExchangeSpec {
    let mut spec = spec();
    spec.assets[0].borrow_ppm = 80_000;
    spec.assets[1].borrow_ppm = 20_000;
    spec.assets[1].pledge =
        Some(Pledge { market: BTC, haircut_ppm: 100_000, cap: 2_000_000_000_000 });
    spec.markets[0].risk = MarketRisk {
        tiers: vec![
            MarginTier {
                lower_bound: 400_000_000_000,
                initial_margin_ppm: 100_000,
                maintenance_margin_ppm: 50_000,
            },
            MarginTier {
                lower_bound: 5_000_000_000_000,
                initial_margin_ppm: 333_334,
                maintenance_margin_ppm: 166_667,
            },
        ],
        open_interest_max: 9_000_000_000,
        concentration_ppm: 600_000,
        isolated_only: false,
    };
    let inverse = Product::Perpetual {
        contract: Contract::Inverse { settle: COIN, face: 100 },
        initial_margin_ppm: 50_000,
        maintenance_margin_ppm: 25_000,
        mark_band_ppm: 10_000,
    };
    spec.markets.push(MarketSpec {
        product: inverse,
        size_decimals: 0,
        notional_min: 1_000_000,
        maker_fee_ppm: 100,
        ..perpetual("COIN-INV")
    });
    spec
}

pub(crate) fn address(n: u32) -> Address {
    Address::left_padding_from(&(n + 1).to_be_bytes())
}

/// A million dollars twice and ten thousand coins each; marks at 1000 ticks.
pub(crate) fn funding(accounts: u32) -> Vec<Op> {
    let mut ops = Vec::new();
    for n in 0..accounts {
        for (asset, wallet, amount) in [
            (USDC, Wallet::Collateral, 1_000_000_000_000),
            (USDC, Wallet::Spot, 1_000_000_000_000),
            (COIN, Wallet::Spot, 1_000_000_000_000),
        ] {
            ops.push(Op::In(Input::Credit { address: address(n), asset, wallet, amount }));
        }
    }
    for market in [BTC, ETH] {
        ops.push(Op::In(Input::Oracle(OracleReport::sole(market, 1000))));
    }
    ops.push(Op::In(Input::Tick { time_us: 1 }));
    ops
}

pub(crate) struct Harness {
    pub full: Exchange<Resident>,
    /// Leave each object out of each witness and see it noticed: quadratic, for small ranges.
    pub leave_out: bool,
    /// Goes through the same ranges without a witness, as nodes do.
    pub unwitnessed: Option<Exchange<Resident>>,
    /// Go through the same ranges in shards.
    pub sharded: Vec<Sharded>,
    /// Bytes and objects that the latest range wrote.
    pub written: (usize, usize),
    pub read: usize,
    /// Sees nothing but events.
    pub observer: observer::Observer,
}

impl Harness {
    pub(crate) fn new(spec: ExchangeSpec) -> Self {
        let mut full = Exchange::new(Rules::new(spec).unwrap(), 7);
        full.remember_from(1);
        Self {
            full,
            leave_out: false,
            unwitnessed: None,
            sharded: Vec::new(),
            written: (0, 0),
            read: 0,
            observer: Default::default(),
        }
    }

    /// The same, and beside it exchanges that run without witnesses: one by one, and in shards.
    pub(crate) fn with_unwitnessed(spec: ExchangeSpec) -> Self {
        let rules = Rules::new(spec.clone()).unwrap();
        let unwitnessed = Some(Exchange::new(rules.clone(), 8));
        let sharded = vec![
            Sharded::new(rules.clone(), 2, 2, Crew::Threads(Threads)),
            Sharded::new(rules, 3, 1, Crew::LastFirst(LastFirst)),
        ];
        Self { unwitnessed, sharded, ..Self::new(spec) }
    }

    /// `accounts` with a million dollars and ten thousand coins each, marks at 1000 ticks.
    pub(crate) fn funded(spec: ExchangeSpec, accounts: u32) -> Self {
        let mut harness = Self::new(spec);
        let ops = funding(accounts);
        for answer in harness.range(&ops) {
            answer.0.unwrap();
        }
        harness
    }

    /// Runs a range of commands, twice, and checks everything that must hold.
    pub(crate) fn range(&mut self, ops: &[Op]) -> Vec<Answer> {
        self.range_seen(ops, |_| {})
    }

    /// The same; shows the exchange after each command.
    pub(crate) fn range_seen(
        &mut self,
        ops: &[Op],
        mut see: impl FnMut(&mut Exchange<Resident>),
    ) -> Vec<Answer> {
        object::begin(&mut self.full);
        let mut answers = Vec::new();
        for op in ops {
            answers.append(&mut run(&mut self.full, std::slice::from_ref(op)));
            if let Some((_, events)) = answers.last() {
                self.observer.see(self.full.rules(), events);
            }
            let audit = self.full.audit();
            assert!(audit.holds(), "{op:?}: {audit:?}");
            see(&mut self.full);
        }
        let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
        object::seal(&mut self.full, &mut writes, Some(&mut reads));
        let bytes = |set: &WriteSet| {
            set.iter().map(|(k, v)| k.len() + v.map_or(0, <[u8]>::len)).sum::<usize>()
        };
        self.written = (bytes(&writes), writes.len());
        self.read = reads.len();

        let mut alone = self.witnessed(&reads, None);
        assert_eq!(run(&mut alone, ops), answers, "the witness alone gives other answers");
        assert_eq!(object::fault(&mut alone), None);
        let (mut writes_alone, mut reads_alone) = (WriteSet::default(), ReadSet::default());
        object::seal(&mut alone, &mut writes_alone, Some(&mut reads_alone));
        assert_eq!(writes_alone, writes, "the witness alone writes otherwise");
        assert_eq!(by_key(&reads_alone), by_key(&reads), "the witness alone reads otherwise");
        if self.leave_out {
            for index in 0..reads.len() {
                let mut alone = self.witnessed(&reads, Some(index));
                run(&mut alone, ops);
                assert!(object::fault(&mut alone).is_some(), "a missing object goes unnoticed");
            }
        }
        self.run_unwitnessed(ops, &answers, &writes, &reads);
        for sharded in &mut self.sharded {
            sharded.range(ops, &answers, &writes, &reads);
        }
        self.check_recorded_queries();
        self.observer.compare(&self.full);
        let wrong = self.full.inconsistencies();
        assert!(wrong.is_empty(), "{wrong:#?}");
        for (answer, events) in &answers {
            assert!(answer.is_ok() || events.is_empty(), "a refusal left events behind");
            for event in events {
                use atoll_types::{Decode, Encode};
                assert_eq!(Event::from_bytes(&event.to_bytes()).as_ref(), Ok(event));
            }
        }
        answers
    }

    /// A range without a witness has the same answers, tells all that a witnessed one writes, each
    /// object once, and what else it tells has the value of before.
    fn run_unwitnessed(
        &mut self,
        ops: &[Op],
        answers: &[Answer],
        writes: &WriteSet,
        reads: &ReadSet,
    ) {
        let Some(exchange) = &mut self.unwitnessed else { return };
        object::begin_unwitnessed(exchange);
        assert_eq!(run(exchange, ops), answers, "without a witness there are other answers");
        let mut told = WriteSet::default();
        object::seal(exchange, &mut told, None);
        let (told, writes, reads) = (by_key(&told), by_key(writes), by_key(reads));
        for (key, value) in &writes {
            assert_eq!(told.get(key), Some(value), "{key:02x?}");
        }
        for (key, value) in told.iter().filter(|(key, _)| !writes.contains_key(*key)) {
            assert_eq!(reads.get(key), Some(value), "{key:02x?}");
        }
    }

    /// What a state transition reads of an account is what a query sees.
    fn check_recorded_queries(&mut self) {
        object::begin(&mut self.full);
        for account in (0..self.full.accounts()).map(AccountId) {
            let margin = self.full.peek_margin(account);
            assert_eq!(self.full.margin(account), margin);
            for asset in [USDC, COIN] {
                let total = self.full.peek_balance(account, asset).total;
                assert_eq!(self.full.spot_total(account, asset), total);
            }
            let owner = *self.full.peek_owner(account).unwrap();
            assert_eq!(self.full.owner(account), owner.address);
            self.check_worth(account, &margin, owner.has_holdings());
        }
        let mut writes = WriteSet::default();
        object::seal(&mut self.full, &mut writes, None);
        assert!(writes.is_empty());
    }

    /// Claims: an account without other collateral has what its margin says; where there are
    /// several assets, what one is owed is taken from the others before any is below zero.
    fn check_worth(&mut self, account: AccountId, margin: &Margin, several: bool) {
        let views = self.full.peek_positions(account);
        let own = |asset: AssetId| {
            let of = views.iter().filter(|view| (view.market == INV) == (asset == COIN));
            of.filter_map(|view| view.isolated).map(|own| own.equity.max(0)).sum::<i128>()
        };
        let cross = [USDC, COIN].map(|asset| {
            let spot = self.full.spot_total(account, asset);
            self.full.worth(account, asset) - spot - own(asset)
        });
        let coins = views.iter().any(|view| view.market == INV && view.isolated.is_none());
        if several || coins {
            assert!(cross[1] >= 0 && (cross[0] >= 0 || cross[1] == 0), "{account}: {cross:?}");
        } else {
            assert_eq!(cross, [margin.equity(), 0]);
        }
    }

    fn witnessed(&self, reads: &ReadSet, leave_out: Option<usize>) -> Exchange<Witnessed> {
        let mut alone = Exchange::new(self.full.rules().unlisted(), 3);
        for (index, (key, value)) in reads.iter().enumerate() {
            if Some(index) != leave_out {
                object::load(&mut alone, key, value).unwrap();
            }
        }
        object::begin(&mut alone);
        alone
    }

    /// Runs one command.
    pub(crate) fn one(&mut self, account: u32, command: Command) -> Answer {
        self.range(&[Op::Do(AccountId(account), command)]).remove(0)
    }

    /// Runs one input.
    pub(crate) fn input(&mut self, input: Input) -> Answer {
        self.range(&[Op::In(input)]).remove(0)
    }

    /// Places an order that must be accepted.
    pub(crate) fn place(&mut self, account: u32, order: OrderRequest) -> Placed {
        match self.one(account, Command::Place(order)).0 {
            Ok(Outcome::Placed(placed)) => placed,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a command that must be refused with this code and change nothing.
    pub(crate) fn refused(&mut self, account: u32, command: Command, code: RejectCode) {
        let (answer, _) = self.one(account, command);
        assert_eq!(answer.map_err(|refusal| refusal.code), Err(code));
        assert_eq!(self.written.1, 1, "a refusal writes the count of commands and nothing else");
    }

    /// Moves marks: oracle and tick.
    pub(crate) fn mark(&mut self, market: MarketId, price: Price) {
        let time_us = self.full.peek_global().time_us + 500;
        let ops = [Input::Oracle(OracleReport::sole(market, price)), Input::Tick { time_us }];
        self.range(&ops.map(Op::In)).into_iter().for_each(|answer| {
            answer.0.unwrap();
        });
    }
}

/// How many cases to run: more by `PROPTEST_CASES`.
#[allow(clippy::disallowed_methods, reason = "a test may be asked for more")]
pub(crate) fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// What was read; in which order says nothing.
fn by_key(reads: &ReadSet) -> std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let all: std::collections::BTreeMap<_, _> =
        reads.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
    assert_eq!(all.len(), reads.len(), "an object is read twice");
    all
}

fn run<S: atoll_state::Source>(exchange: &mut Exchange<S>, ops: &[Op]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for op in ops {
        let mut events = Vec::new();
        let answer = match op {
            Op::Do(account, command) => exchange.execute(*account, command, &mut events),
            Op::In(input) => exchange.apply(input, &mut events),
        };
        answers.push((answer, events));
    }
    answers
}

pub(crate) fn order(market: MarketId, side: Side, price: Price, size: Size) -> OrderRequest {
    OrderRequest { market, side, price, size, ..OrderRequest::default() }
}

pub(crate) fn buy(price: Price, size: Size) -> OrderRequest {
    order(BTC, Side::Buy, price, size)
}

pub(crate) fn sell(price: Price, size: Size) -> OrderRequest {
    order(BTC, Side::Sell, price, size)
}

/// Chooses a leverage on cross margin.
pub(crate) fn leverage(market: MarketId, leverage: u8) -> Command {
    Command::SetLeverage { market, leverage, isolated: false }
}
