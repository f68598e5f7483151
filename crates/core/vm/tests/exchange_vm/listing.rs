//! Markets listed while the venue runs: from the signed action to the first trade, and from a
//! witness alone.

use crate::common::{
    BTC, ETH, IDENTITY, START_MS, USDC_TOKEN, Venue, context, execute, key, naive_claim, spec,
};
use atoll_exchange::{
    ClientId, Contract, Event, FundingSpec, ListedOracle, Listing, ListingSpec, MarginTier,
    MarkRule, MarketId, MarketRisk, MarketSpec, MarketStatus, OracleSpec, OrderId, Permissionless,
    Product, Rules, SanitySpec, Tif, VolatilityModel, VolatilitySpec, Wallet,
};
use atoll_state::{ReadSet, Resident, Source, Witnessed, WriteSet, object};
use atoll_types::{Encode, Lane, RejectCode};
use atoll_vm::exchange::build::{self, OrderWire, listing as listed};
use atoll_vm::exchange::sign::{sign_action, sign_oracle};
use atoll_vm::exchange::{
    Action, AtollMessage, ExchangeVm, ExchangeVmSpec, OraclePrices, Status, asset_of_market,
    market_of_asset,
};
use atoll_vm::{Receipt, Vm};

const DOGE: MarketId = MarketId(3);
/// 1,000 dollars.
const BOND: u64 = 1_000_000_000;

/// Alice is the authority; anyone lists with a bond of a thousand dollars.
fn open_spec() -> ExchangeVmSpec {
    let mut spec = spec(true);
    let mut exchange = spec.exchange.spec().clone();
    exchange.listing = ListingSpec {
        authorities: vec![key("alice").address()],
        markets_max: 2,
        permissionless: Some(Permissionless {
            bond: BOND,
            leverage_max: 10,
            jump_ppm_max: 50_000,
            open_interest_max: 1 << 80,
        }),
    };
    spec.exchange = Rules::new(exchange).unwrap();
    spec
}

fn harmless(name: &str) -> Listing {
    let mut market = spec(true).exchange.spec().markets[0].clone();
    market.name = name.into();
    market.product = Product::Perpetual {
        contract: Contract::Linear,
        initial_margin_ppm: 100_000,
        maintenance_margin_ppm: 50_000,
        mark_band_ppm: 10_000,
    };
    market.risk =
        MarketRisk { open_interest_max: 1_000_000, isolated_only: true, ..MarketRisk::default() };
    market.prices.mark = MarkRule::Robust { interval_us: 1_000_000 };
    market.prices.sanity = Some(SanitySpec {
        jump_ppm: 50_000,
        confirm_us: 1_000_000,
        rate_ppm: 10_000,
        hold_us: 5_000_000,
        limit_us: 60_000_000,
        auction_us: 5_000_000,
        wide_us: 30_000_000,
    });
    let rules = OracleSpec::default();
    let oracle = Some(ListedOracle { keys: vec![key("doge oracle").address()], rules });
    Listing { market, oracle, bond: BOND }
}

fn list(spec: &ExchangeVmSpec, listing: &Listing) -> Vec<u8> {
    let of = spec.exchange.spec();
    listed::list_market(&of.assets, of.collateral, listing)
}

fn limit(asset: u64, buy: bool, tif: Tif, client_id: Option<ClientId>) -> Vec<u8> {
    build::orders(&[OrderWire {
        asset,
        buy,
        price: "1000".into(),
        size: "0.5".into(),
        tif,
        client_id,
        ..OrderWire::default()
    }])
}

fn rejected(status: &Status, expected: RejectCode) -> String {
    match status {
        Status::Rejected { code, detail } if *code == expected => detail.clone(),
        other => panic!("{other:?}, not {expected:?}"),
    }
}

fn only(venue: &mut Venue, who: &str, action: Vec<u8>) -> Status {
    venue.act(who, action).unwrap().statuses.remove(0)
}

fn prices(market: MarketId, price: u64) -> OraclePrices {
    OraclePrices { prices: vec![(market, price)], marks: Vec::new() }
}

#[test]
fn a_market_is_listed_traded_settled_and_its_bond_comes_back() {
    let mut venue = Venue::of(open_spec());
    let carol = key("carol").address();
    let claim = |venue: &Venue| venue.vm.claim(carol, USDC_TOKEN);
    let to_spot = AtollMessage::Move { to: Wallet::Spot, amount: 2 * u128::from(BOND) };
    assert_eq!(venue.tell("carol", &to_spot), Ok(Status::Success));
    let before = naive_claim(&venue.vm, carol, USDC_TOKEN);
    // Not listed yet: the number could be a market's, and is none when it executes.
    let early = only(&mut venue, "bob", limit(2, true, Tif::Gtc, None));
    rejected(&early, RejectCode::UnknownMarket);
    rejected(&only(&mut venue, "bob", limit(4, true, Tif::Gtc, None)), RejectCode::UnknownMarket);
    let action = list(&venue.spec, &harmless("DOGE"));
    let receipt = venue.act("carol", action).unwrap();
    assert_eq!(receipt.statuses, [Status::Success]);
    let is_listed = |event: &Event| matches!(event, Event::MarketListed { market: DOGE, .. });
    assert!(receipt.events.iter().any(is_listed));
    // A bond is no balance: what carol may claim on the hub is less by it.
    assert_eq!(claim(&venue), naive_claim(&venue.vm, carol, USDC_TOKEN));
    assert!(claim(&venue) < before);
    // Its own source tells its price, and nobody else does; it tells no other one's.
    let tell = |venue: &mut Venue, who: &str, market, price| {
        let time_ms = venue.next_nonce();
        let signed = sign_oracle(&key(who), &IDENTITY, time_ms, &prices(market, price));
        venue.send(&signed).map(|mut receipt| receipt.statuses.remove(0))
    };
    let stranger = tell(&mut venue, "stranger", DOGE, 100_000).unwrap_err();
    assert_eq!(stranger.code, RejectCode::NotAllowed);
    let source = "doge oracle";
    rejected(&tell(&mut venue, source, ETH, 100_000).unwrap(), RejectCode::NotAllowed);
    rejected(&tell(&mut venue, "oracle", DOGE, 100_000).unwrap(), RejectCode::NotAllowed);
    assert_eq!(tell(&mut venue, source, DOGE, 100_000), Ok(Status::Success));
    venue.vm.open_tick((START_MS + 1000) * 1000);
    // A perpetual: the asset number goes on after the spec's, at place 2 of `meta`'s universe.
    let rules = venue.vm.exchange().rules().clone();
    assert_eq!((asset_of_market(&rules, DOGE), market_of_asset(&rules, 2)), (2, Some(DOGE)));
    assert_eq!(market_of_asset(&rules, 10_000), Some(MarketId(2)));
    assert_eq!(market_of_asset(&rules, 3), None);
    for who in ["alice", "bob"] {
        let isolate = build::update_leverage(2, false, 10);
        assert_eq!(only(&mut venue, who, isolate), Status::Success);
    }
    let resting = only(&mut venue, "bob", limit(2, false, Tif::PostOnly, Some([7; 16])));
    assert!(matches!(resting, Status::Resting { .. }), "{resting:?}");
    let filled = only(&mut venue, "alice", limit(2, true, Tif::Gtc, None));
    assert!(matches!(filled, Status::Filled { size: 5_000, .. }), "{filled:?}");
    // What names another market than the order's is refused, and an order off the tick.
    let off = build::orders(&[OrderWire {
        asset: 2,
        price: "1000.001".into(),
        size: "1".into(),
        ..OrderWire::default()
    }]);
    rejected(&only(&mut venue, "bob", off), RejectCode::OffTick);
    let resting = only(&mut venue, "bob", limit(2, false, Tif::Gtc, Some([8; 16])));
    assert!(matches!(resting, Status::Resting { .. }), "{resting:?}");
    let elsewhere = build::cancels_by_client_id(&[(0, [8; 16])]);
    rejected(&only(&mut venue, "bob", elsewhere), RejectCode::UnknownOrder);
    let cancel = build::cancels_by_client_id(&[(2, [8; 16])]);
    assert_eq!(only(&mut venue, "bob", cancel), Status::Success);
    // Its end.
    let settle = listed::set_market_status(2, MarketStatus::Settled);
    rejected(&only(&mut venue, "bob", settle.clone()), RejectCode::NotAllowed);
    assert_eq!(only(&mut venue, "carol", settle), Status::Success);
    let early = only(&mut venue, "carol", listed::claim_bond(2));
    rejected(&early, RejectCode::PositionOpen);
    let settle_position = |who: &str| {
        let mut w = atoll_vm::exchange::msgpack::MsgpackWriter::new();
        w.map(3).string("type").string("settlePosition");
        w.string("user").string(&format!("{:#x}", key(who).address()));
        w.string("asset").unsigned(2);
        w.into_bytes()
    };
    for who in ["alice", "bob"] {
        assert_eq!(only(&mut venue, "carol", settle_position(who)), Status::Success);
    }
    assert_eq!(only(&mut venue, "carol", listed::claim_bond(2)), Status::Success);
    assert_eq!(claim(&venue), before);
    rejected(&only(&mut venue, "carol", listed::forfeit_bond(2)), RejectCode::Unsupported);
}

#[test]
fn what_is_wrong_with_a_listing_is_said_in_full() {
    let mut venue = Venue::of(open_spec());
    let mut tight = harmless("DOGE");
    tight.market.risk.isolated_only = false;
    let action = list(&venue.spec, &tight);
    let said = rejected(&only(&mut venue, "carol", action), RejectCode::InvalidMarket);
    assert_eq!(said, "listing.risk.isolated_only is 0; expected true");
    let mut wide = harmless("DOGE");
    wide.market.price_max = 1 << 41;
    let action = list(&venue.spec, &wide);
    // By an authority as well: nothing is listed that could overflow.
    let said = rejected(&only(&mut venue, "alice", action), RejectCode::InvalidMarket);
    assert_eq!(said, "markets[3].price_max is 2199023255552; expected 1 to 2^40 - 1 ticks");
    // Without money in the spot wallet there is no bond.
    let action = list(&venue.spec, &harmless("DOGE"));
    rejected(&only(&mut venue, "carol", action.clone()), RejectCode::InsufficientBalance);
    // And where nobody may list, nobody does; the default.
    let mut closed = Venue::new(true);
    rejected(&only(&mut closed, "alice", action), RejectCode::NotAllowed);
    let halt = listed::set_market_status(0, MarketStatus::Halted);
    rejected(&only(&mut closed, "alice", halt), RejectCode::NotAllowed);
    let signed = sign_oracle(&key("doge oracle"), &IDENTITY, START_MS + 9, &prices(ETH, 1));
    assert_eq!(closed.check(&signed.to_bytes()).unwrap_err().code, RejectCode::NotAllowed);
}

/// Every part of a market there is.
fn full() -> Listing {
    let mut listing = harmless("FULL");
    let MarketSpec { product, risk, prices, .. } = &mut listing.market;
    *product = Product::Perpetual {
        contract: Contract::Inverse { settle: crate::common::UBTC, face: 100 },
        initial_margin_ppm: 100_000,
        maintenance_margin_ppm: 50_000,
        mark_band_ppm: 10_000,
    };
    risk.tiers = vec![MarginTier {
        lower_bound: 1 << 40,
        initial_margin_ppm: 200_000,
        maintenance_margin_ppm: 100_000,
    }];
    risk.concentration_ppm = 7;
    prices.funding = Some(FundingSpec::hyperliquid(5));
    prices.volatility = Some(VolatilitySpec {
        model: VolatilityModel::Garch { alpha_ppm: 1, beta_ppm: 2 },
        interval_us: 3,
        reference_ppm: 4,
        scale_max_ppm: 5,
        grace_us: 6,
        rise_ppm: 7,
    });
    listing.market.maker_fee_ppm = -50;
    listing.bond = BOND + 1;
    listing
}

#[test]
fn what_is_built_is_what_is_read() {
    let venue = Venue::of(open_spec());
    let action = |action: Vec<u8>| {
        let signed = sign_action(&key("carol"), action, START_MS + 1);
        venue.check(&signed.to_bytes()).map(|checked| (checked.transaction.action, checked.lane))
    };
    let mut ewma = harmless("EWMA");
    ewma.market.prices.volatility = Some(VolatilitySpec {
        model: VolatilityModel::default(),
        ..full().market.prices.volatility.unwrap()
    });
    let mut spot = Listing { oracle: None, bond: 0, ..harmless("UBTC/P") };
    spot.market =
        MarketSpec { name: "UBTC/P".into(), ..venue.spec.exchange.spec().markets[2].clone() };
    for listing in [harmless("DOGE"), full(), ewma, spot] {
        let (Action::Commands(steps), lane) = action(list(&venue.spec, &listing)).unwrap() else {
            panic!("{listing:?}")
        };
        assert_eq!(lane, Lane::Aside);
        let expected = atoll_exchange::Command::ListMarket(Box::new(listing));
        assert_eq!(steps[0].command, Ok(expected));
    }
    // A prefix or one key more is malformed, never anything else.
    let whole = list(&venue.spec, &full());
    for cut in 0..whole.len() {
        assert_eq!(action(whole[..cut].to_vec()).unwrap_err().code, RejectCode::Malformed);
    }
    for status in [MarketStatus::Open, MarketStatus::PostOnly, MarketStatus::Settled] {
        let (read, _) = action(listed::set_market_status(1, status)).unwrap();
        let Action::Commands(steps) = read else { panic!("{read:?}") };
        let expected = atoll_exchange::Command::SetStatus { market: BTC, status };
        assert_eq!(steps[0].command, Ok(expected));
    }
    // Of a market that may be listed by then, only the lane is known.
    let lane = |bytes: Vec<u8>| match action(bytes).unwrap() {
        (Action::Late { .. }, lane) => lane,
        other => panic!("{other:?}"),
    };
    assert_eq!(lane(limit(2, true, Tif::PostOnly, None)), Lane::PostOnly);
    assert_eq!(lane(limit(3, true, Tif::Ioc, None)), Lane::Rest);
    assert_eq!(lane(build::cancels(&[(10_002, OrderId(1))])), Lane::Cancel);
    assert_eq!(lane(build::update_leverage(2, true, 3)), Lane::Aside);
    let never = action(limit(4, true, Tif::Gtc, None)).unwrap();
    assert!(matches!(never, (Action::Commands(_), Lane::Aside)), "{never:?}");
}

/// The steps of a range: transactions, with a tick before the last one.
fn run<S: Source>(
    vm: &mut ExchangeVm<S>,
    spec: &ExchangeVmSpec,
    bytes: &[Vec<u8>],
) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for (n, transaction) in bytes.iter().enumerate() {
        if n + 1 == bytes.len() {
            vm.open_tick((START_MS + 2000) * 1000);
        }
        receipts.push(execute(vm, spec, transaction));
    }
    receipts
}

/// Any range runs again from its witness alone: one that lists, one that trades what was listed
/// before, one that knows nothing of it.
#[test]
fn ranges_with_listed_markets_run_from_their_witness_alone() {
    let mut venue = Venue::of(open_spec());
    let mut nonce = START_MS + 10;
    let mut act = |who: &str, action: Vec<u8>| {
        nonce += 1;
        sign_action(&key(who), action, nonce).to_bytes()
    };
    let spec = venue.spec.clone();
    let free = |name: &str| Listing { bond: 0, ..harmless(name) };
    let tell = |time_ms: u64, market| {
        sign_oracle(&key("doge oracle"), &IDENTITY, time_ms, &prices(market, 100_000)).to_bytes()
    };
    let isolate = build::update_leverage(2, false, 10);
    let ranges = [
        vec![
            act("alice", list(&spec, &free("DOGE"))),
            act("bob", isolate.clone()),
            tell(START_MS + 50, DOGE),
            act("bob", limit(2, false, Tif::Gtc, None)),
        ],
        vec![
            act("alice", isolate),
            act("alice", list(&spec, &free("SOL"))),
            act("alice", list(&spec, &free("XRP"))),
            act("alice", limit(2, true, Tif::Gtc, None)),
        ],
        vec![tell(START_MS + 60, MarketId(4)), act("bob", limit(0, true, Tif::Gtc, None))],
        vec![act("carol", limit(3, true, Tif::Gtc, None)), act("carol", build::noop())],
    ];
    object::seal(&mut venue.vm, &mut WriteSet::default(), None);
    for range in &ranges {
        object::begin(&mut venue.vm);
        venue.vm.resume(&context(), Some((START_MS + 2000) * 1000));
        let receipts = run(&mut venue.vm, &spec, range);
        let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
        object::seal(&mut venue.vm, &mut writes, Some(&mut reads));
        let alone = |left_out: usize| {
            let mut vm: ExchangeVm<Witnessed> = ExchangeVm::new(IDENTITY, spec.clone(), 3);
            for (n, (key, value)) in reads.iter().enumerate() {
                if n != left_out {
                    object::load(&mut vm, key, value).unwrap();
                }
            }
            object::begin(&mut vm);
            vm.resume(&context(), Some((START_MS + 2000) * 1000));
            let receipts = run(&mut vm, &spec, range);
            (vm, receipts)
        };
        let (mut vm, again) = alone(usize::MAX);
        assert_eq!(again, receipts);
        assert_eq!(object::fault(&mut vm), None);
        let (mut writes_alone, mut reads_alone) = (WriteSet::default(), ReadSet::default());
        object::seal(&mut vm, &mut writes_alone, Some(&mut reads_alone));
        assert_eq!((writes_alone, reads_alone), (writes, reads.clone()));
        for left_out in 0..reads.len() {
            let (mut vm, _) = alone(left_out);
            assert!(object::fault(&mut vm).is_some(), "a missing object goes unnoticed");
        }
    }
    let rules = venue.vm.exchange().rules();
    assert_eq!((rules.listed_markets(), rules.market_named("SOL")), (2, Some(MarketId(4))));
    assert_eq!(rules.market_named("XRP"), None);
    // The same state loaded elsewhere shows the same markets before anything executes.
    let mut other: ExchangeVm<Resident> = ExchangeVm::new(IDENTITY, spec.clone(), 5);
    for (key, value) in object::export(&mut venue.vm).iter() {
        object::load(&mut other, key, value).unwrap();
    }
    other.loaded();
    assert_eq!(other.exchange().rules(), venue.vm.exchange().rules());
    assert_eq!(venue.vm.inconsistencies(), Vec::<String>::new());
}
