//! Listing markets: who may, what they must be, what becomes of the bond, and that the rules
//! follow from the state alone. The numbers are those of `docs/exchange/listing.md`.

use crate::common::*;
use atoll_exchange::objects::ListingHead;
use atoll_exchange::*;
use atoll_state::object::{self, ReadSet};
use atoll_state::{Resident, WriteSet};
use atoll_types::RejectCode::*;

const SECOND: u64 = 1_000_000;
const DOGE: MarketId = MarketId(4);
/// 10,000 dollars.
const BOND: u64 = 10_000_000_000;

/// Account 0 is the authority; anyone lists with a bond of 10,000 dollars.
fn open_spec() -> ExchangeSpec {
    let open = Permissionless {
        bond: BOND,
        leverage_max: 10,
        jump_ppm_max: 50_000,
        open_interest_max: 1_000_000_000_000,
    };
    let (authorities, permissionless) = (vec![address(0)], Some(open));
    let listing = ListingSpec { authorities, markets_max: 3, permissionless };
    ExchangeSpec { listing, ..venue() }
}

/// What anyone may list.
fn harmless(name: &str) -> Listing {
    let mut market = perpetual(name);
    market.product = Product::Perpetual {
        contract: Contract::Linear,
        initial_margin_ppm: 100_000,
        maintenance_margin_ppm: 50_000,
        mark_band_ppm: 10_000,
    };
    market.risk =
        MarketRisk { open_interest_max: 100_000, isolated_only: true, ..MarketRisk::default() };
    market.prices = PriceSpec {
        mark: MarkRule::Robust { interval_us: SECOND },
        sanity: Some(SanitySpec {
            jump_ppm: 50_000,
            confirm_us: SECOND,
            rate_ppm: 10_000,
            hold_us: 5 * SECOND,
            limit_us: 60 * SECOND,
            auction_us: 5 * SECOND,
            wide_us: 30 * SECOND,
        }),
        ..PriceSpec::default()
    };
    let rules = OracleSpec { weights: vec![1, 1], quorum: 2, ..OracleSpec::default() };
    let oracle = Some(ListedOracle { keys: vec![address(50), address(51)], rules });
    Listing { market, oracle, bond: BOND }
}

fn list(listing: Listing) -> Command {
    Command::ListMarket(Box::new(listing))
}

fn report(market: MarketId, source: u8, price: Price) -> Op {
    Op::In(Input::Oracle(OracleReport { source, ..OracleReport::sole(market, price) }))
}

/// Both of the market's own sources tell a price, and a tick passes.
fn priced(h: &mut Harness, market: MarketId, price: Price) {
    let time_us = h.full.peek_global().time_us + SECOND;
    let tick = Op::In(Input::Tick { time_us });
    let ops = [report(market, 0, price), report(market, 1, price), tick];
    h.range(&ops).into_iter().for_each(|answer| {
        answer.0.unwrap();
    });
}

fn status(market: MarketId, status: MarketStatus) -> Command {
    Command::SetStatus { market, status }
}

#[test]
fn a_market_lives_from_its_listing_to_its_bond() {
    let mut h = Harness::funded(open_spec(), 4);
    h.leave_out = true;
    let free = h.full.peek_balance(AccountId(1), USDC).total;
    let (answer, events) = h.one(1, list(harmless("DOGE")));
    answer.unwrap();
    assert_eq!(h.full.peek_balance(AccountId(1), USDC).total, free - i128::from(BOND));
    let account = AccountId(1);
    let bond = i128::from(BOND);
    assert_eq!(events[1], Event::MarketListed { market: DOGE, account, bond });
    assert_eq!(h.full.rules().market_named("DOGE"), Some(DOGE));
    assert_eq!(h.full.rules().lister(DOGE), Some(&address(1)));
    // No price, no orders; its prices come from its own sources, both of them.
    let dear = |n, size| order(DOGE, if n == 2 { Side::Buy } else { Side::Sell }, 1000, size);
    let isolate = || Command::SetLeverage { market: DOGE, leverage: 10, isolated: true };
    for n in [2, 3] {
        h.one(n, isolate()).0.unwrap();
    }
    h.refused(2, Command::Place(dear(2, 10)), NoMark);
    let answers = h.range(&[report(DOGE, 2, 1000), report(DOGE, 1, 1000)]);
    assert_eq!(answers[0].0.map_err(|r| r.code), Err(NotAllowed));
    priced(&mut h, DOGE, 1000);
    // Positions have a margin of their own: a tenth of 5,000 lots at 1,000 is half a dollar.
    let cross = Command::SetLeverage { market: DOGE, leverage: 10, isolated: false };
    h.refused(2, cross, Unsupported);
    h.refused(0, Command::Place(dear(2, 10)), Unsupported);
    h.place(3, dear(3, 5_000));
    assert_eq!(h.place(2, dear(2, 5_000)).filled, 5_000);
    let margin = |h: &Harness, n| {
        h.full.peek_positions(AccountId(n))[0].isolated.map(|isolated| isolated.margin)
    };
    assert_eq!(margin(&h, 2), Some(500_000));
    // The lister settles it, everybody is paid at the mark, and the bond comes back.
    h.refused(1, Command::ClaimBond { market: DOGE }, PositionOpen);
    h.refused(2, status(DOGE, MarketStatus::Halted), NotAllowed);
    h.one(1, status(DOGE, MarketStatus::Settled)).0.unwrap();
    h.refused(1, Command::ClaimBond { market: DOGE }, PositionOpen);
    for n in [2, 3] {
        h.one(3, Command::SettlePosition { owner: address(n), market: DOGE }).0.unwrap();
    }
    h.refused(2, Command::ClaimBond { market: DOGE }, NotAllowed);
    let (answer, events) = h.one(1, Command::ClaimBond { market: DOGE });
    answer.unwrap();
    let (market, amount) = (DOGE, bond);
    assert_eq!(events[1], Event::BondReleased { market, account, amount, forfeited: false });
    assert_eq!(h.full.peek_balance(AccountId(1), USDC).total, free);
    h.refused(1, Command::ClaimBond { market: DOGE }, Unsupported);
    h.refused(1, status(DOGE, MarketStatus::Open), MarketPaused);
}

#[test]
fn nobody_lists_where_the_spec_lets_nobody() {
    let mut h = Harness::funded(spec(), 2);
    h.refused(0, list(harmless("DOGE")), NotAllowed);
    h.refused(0, status(BTC, MarketStatus::Halted), NotAllowed);
    h.refused(0, status(DOGE, MarketStatus::Halted), UnknownMarket);
    h.refused(0, Command::ClaimBond { market: BTC }, Unsupported);
    h.refused(0, Command::ForfeitBond { market: DOGE }, UnknownMarket);
}

#[test]
fn an_authority_lists_what_the_spec_could_have() {
    let mut h = Harness::funded(open_spec(), 2);
    // Without a bond, with cross margin and the venue's oracle; a spot market; a third one.
    let plain = |market| Listing { market, oracle: None, bond: 0 };
    h.one(0, list(plain(perpetual("SOL")))).0.unwrap();
    let coins = MarketSpec { name: "COIN/B".into(), ..spec().markets[2].clone() };
    h.one(0, list(plain(coins))).0.unwrap();
    h.mark(MarketId(4), 2000);
    let bid = order(MarketId(4), Side::Buy, 1999, 5);
    assert_eq!(h.place(1, bid).resting, 5);
    h.place(1, order(MarketId(5), Side::Buy, 500, 5000));
    let (perpetuals, spots) = h.full.rules().listed_by_kind();
    assert_eq!((perpetuals, spots), (&[MarketId(4)][..], &[MarketId(5)][..]));
    h.one(0, list(plain(perpetual("XRP")))).0.unwrap();
    h.refused(0, list(plain(perpetual("ADA"))), AtCap);
    // Any market's status is its to set.
    h.one(0, status(BTC, MarketStatus::Halted)).0.unwrap();
    h.refused(1, Command::Place(buy(990, 5)), MarketPaused);
    h.one(0, status(BTC, MarketStatus::Open)).0.unwrap();
    assert_eq!(h.place(1, buy(990, 5)).resting, 5);
    h.refused(0, Command::ForfeitBond { market: MarketId(4) }, Unsupported);
}

#[test]
fn a_bond_may_be_forfeited() {
    let mut h = Harness::funded(open_spec(), 3);
    h.one(1, list(harmless("DOGE"))).0.unwrap();
    h.refused(1, Command::ForfeitBond { market: DOGE }, NotAllowed);
    h.refused(0, Command::ForfeitBond { market: BTC }, Unsupported);
    let (answer, events) = h.one(0, Command::ForfeitBond { market: DOGE });
    answer.unwrap();
    let (market, account, amount) = (DOGE, AccountId(1), i128::from(BOND));
    assert_eq!(events, [Event::BondReleased { market, account, amount, forfeited: true }]);
    assert_eq!(h.full.peek_ledger(USDC).insurance, amount);
    h.refused(0, Command::ForfeitBond { market: DOGE }, Unsupported);
}

#[test]
fn what_anyone_lists_is_bounded() {
    type Change = (&'static str, fn(&mut Listing));
    let wrong: [Change; 13] = [
        ("listing.bond", |l| l.bond = BOND - 1),
        ("listing.oracle", |l| l.oracle = None),
        ("listing.risk.isolated_only", |l| l.market.risk.isolated_only = false),
        ("listing.risk.open_interest_max", |l| l.market.risk.open_interest_max = 0),
        ("listing.risk.open_interest_max", |l| l.market.risk.open_interest_max = 100_001),
        ("listing.prices.sanity.jump_ppm", |l| l.market.prices.sanity = None),
        ("listing.prices.sanity.jump_ppm", |l| {
            l.market.prices.sanity.as_mut().unwrap().jump_ppm = 50_001;
        }),
        ("listing.product.initial_margin_ppm", |l| {
            if let Product::Perpetual { initial_margin_ppm, .. } = &mut l.market.product {
                *initial_margin_ppm = 99_999;
            }
        }),
        // And what nobody may list.
        ("markets[4].name", |l| l.market.name = "BTC".into()),
        ("markets[4].price_max", |l| l.market.price_max = 1 << 40),
        ("markets[4].tick", |l| l.market.tick = 0),
        ("listing.oracle.keys", |l| l.oracle.as_mut().unwrap().keys.truncate(1)),
        ("listing.quorum", |l| l.oracle.as_mut().unwrap().rules.quorum = 3),
    ];
    let mut h = Harness::funded(open_spec(), 2);
    for (n, (key, change)) in wrong.into_iter().enumerate() {
        let mut listing = harmless("DOGE");
        change(&mut listing);
        let error = h.full.rules().check_listing(&listing, false).unwrap_err();
        assert_eq!(error.key, key);
        h.refused(1, list(listing.clone()), InvalidMarket);
        // An authority is bound by what the spec itself is bound by alone.
        assert_eq!(h.full.rules().check_listing(&listing, true).is_err(), n >= 8, "{key}");
    }
    let poor = Listing { bond: 2_000_000_000_000, ..harmless("DOGE") };
    h.refused(1, list(poor), InsufficientBalance);
    assert_eq!(h.full.peek_listing_head(), ListingHead::default());
    h.one(1, list(harmless("DOGE"))).0.unwrap();
}

#[test]
fn what_is_undone_leaves_no_trace_in_the_rules() {
    let mut exchange: Exchange<Resident> = Exchange::new(Rules::new(open_spec()).unwrap(), 1);
    let mut events = Vec::new();
    object::begin(&mut exchange);
    for op in funding(2) {
        if let Op::In(input) = op {
            exchange.apply(&input, &mut events).unwrap();
        }
    }
    let point = object::savepoint(&mut exchange);
    exchange.execute(AccountId(0), &list(harmless("DOGE")), &mut events).unwrap();
    assert!(exchange.rules().market_named("DOGE").is_some());
    object::rollback(&mut exchange, point);
    // Another one in its place: the rules are those of the state before the command looks at them.
    exchange.execute(AccountId(0), &list(harmless("SOL")), &mut events).unwrap();
    let point = object::savepoint(&mut exchange);
    exchange.execute(AccountId(0), &list(harmless("XRP")), &mut events).unwrap();
    object::rollback(&mut exchange, point);
    let cancel = Command::CancelAll { market: Some(MarketId(5)) };
    let refused = exchange.execute(AccountId(0), &cancel, &mut events).unwrap_err();
    assert_eq!(refused.code, UnknownMarket);
    assert_eq!(exchange.rules().market_named("DOGE"), None);
    assert_eq!(exchange.rules().market_named("XRP"), None);
    assert_eq!(exchange.rules().market_named("SOL"), Some(DOGE));
    let mut writes = WriteSet::default();
    object::seal(&mut exchange, &mut writes, None);
    assert_eq!(exchange.inconsistencies(), Vec::<String>::new());
}

#[test]
fn the_rules_are_built_from_a_loaded_state() {
    let mut h = Harness::funded(open_spec(), 2);
    h.one(1, list(harmless("DOGE"))).0.unwrap();
    priced(&mut h, DOGE, 1000);
    let mut again: Exchange<Resident> = Exchange::new(Rules::new(open_spec()).unwrap(), 9);
    for (key, value) in object::export(&mut h.full).iter() {
        object::load(&mut again, key, value).unwrap();
    }
    assert_eq!(again.rules().listed_markets(), 0);
    again.loaded();
    assert_eq!(again.rules(), h.full.rules());
    // And without being asked, by the first command.
    let mut alone: Exchange<Resident> = Exchange::new(Rules::new(open_spec()).unwrap(), 9);
    for (key, value) in object::export(&mut h.full).iter() {
        object::load(&mut alone, key, value).unwrap();
    }
    object::begin(&mut alone);
    let halt = status(DOGE, MarketStatus::Halted);
    alone.execute(AccountId(1), &halt, &mut Vec::new()).unwrap();
    assert_eq!(alone.rules(), h.full.rules());
    // A range reads the head and each listed market once, whatever it does.
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(&mut alone, &mut writes, Some(&mut reads));
    let tagged = |tag: u8| reads.iter().filter(|(key, _)| key[0] == tag).count();
    assert_eq!((tagged(60), tagged(61)), (1, 1));
}

#[test]
fn rules_with_listed_markets_are_encoded_as_their_spec() {
    use atoll_types::{Decode, Encode};
    let mut h = Harness::funded(open_spec(), 2);
    let bytes = h.full.rules().to_bytes();
    h.one(1, list(harmless("DOGE"))).0.unwrap();
    assert_eq!(h.full.rules().to_bytes(), bytes);
    assert_eq!(Rules::from_bytes(&bytes).as_ref(), Ok(&h.full.rules().unlisted()));
}
