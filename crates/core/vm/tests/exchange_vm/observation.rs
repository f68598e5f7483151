//! What the exchange shows to other environments, read back by a decoder of its own.

use crate::common::{
    BTC, IDENTITY, START_MS, UBTC, UBTC_TOKEN, UBTC_UNIT, USDC_TOKEN, Venue, context, key, marks,
    order, spec, transfer,
};
use crate::contract::{CONTRACT, EVM, a, alias, asked, n, raw};
use atoll_exchange::{
    Contract, FundingSpec, ListingSpec, MarketStatus, Pledge, Product, Rules, Side, Tif,
};
use atoll_types::{Address, Encode, EnvironmentId, Message, MessageKind, RejectCode, U256};
use atoll_vm::exchange::sign::sign_oracle;
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVmSpec, Status, build};
use atoll_vm::{SlotContext, Vm};

/// The router's question, in the name of an environment.
pub(crate) fn shown(source: u32) -> Message {
    let plain = transfer(source, Address::ZERO, Address::ZERO, U256::ZERO);
    Message { kind: MessageKind::Observe, from: Address::ZERO, ..plain }
}

/// Words of an observation behind its kind.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn of(message: &'a Message, kind: u8) -> Self {
        assert_eq!(message.kind, MessageKind::Observation);
        assert_eq!(
            (message.source, message.destination),
            (IDENTITY.environment, EnvironmentId(EVM))
        );
        assert!((message.token, message.amount) == (Address::ZERO, U256::ZERO));
        assert_eq!(message.data[0], kind);
        assert_eq!(message.data.len() % 32, 1);
        assert!(message.data.len() <= 8192);
        Self(&message.data[1..])
    }

    fn at(&self, word: usize) -> U256 {
        U256::from_be_slice(&self.0[32 * word..32 * (word + 1)])
    }

    fn number(&self, word: usize) -> u128 {
        u128::try_from(self.at(word)).unwrap()
    }

    /// An `int256`.
    fn signed(&self, word: usize) -> i128 {
        let value = self.at(word);
        match value.bit(255) {
            true => -i128::try_from(value.wrapping_neg()).unwrap(),
            false => i128::try_from(value).unwrap(),
        }
    }

    fn address(&self, word: usize) -> Address {
        assert!(self.at(word).bit_len() <= 160);
        Address::from_slice(&self.0[32 * word + 12..32 * (word + 1)])
    }

    /// The items of a list whose place is in a word, each of so many words, by their first word.
    fn list(&self, word: usize, width: usize) -> Vec<usize> {
        let at = self.number(word) as usize;
        assert_eq!(at % 32, 0);
        let (at, count) = (at / 32, self.number(at / 32) as usize);
        (0..count).map(|item| at + 1 + width * item).collect()
    }
}

type Market = (u128, u128, u128, u128);

fn markets(message: &Message) -> (u128, u128, Vec<Market>) {
    let words = Words::of(message, 1);
    let all = words.list(2, 4);
    assert_eq!(words.0.len(), 32 * (4 + 4 * all.len()));
    let of = |at: usize| {
        (words.number(at), words.number(at + 1), words.number(at + 2), words.number(at + 3))
    };
    (words.number(0), words.number(1), all.into_iter().map(of).collect())
}

#[derive(Debug, PartialEq)]
struct Account {
    slot: u128,
    time_us: u128,
    account: Address,
    exists: bool,
    value: i128,
    free: i128,
    positions: Vec<(u128, i128, i128)>,
    balances: Vec<(Address, u128)>,
}

fn account(message: &Message) -> Account {
    let words = Words::of(message, 2);
    let (positions, balances) = (words.list(6, 3), words.list(7, 2));
    assert_eq!(words.0.len(), 32 * (10 + 3 * positions.len() + 2 * balances.len()));
    Account {
        slot: words.number(0),
        time_us: words.number(1),
        account: words.address(2),
        exists: [false, true][words.number(3) as usize],
        value: words.signed(4),
        free: words.signed(5),
        positions: positions
            .into_iter()
            .map(|at| (words.number(at), words.signed(at + 1), words.signed(at + 2)))
            .collect(),
        balances: balances
            .into_iter()
            .map(|at| (words.address(at), words.number(at + 1)))
            .collect(),
    }
}

fn observe(who: Address, assets: &[u32], tokens: &[Address]) -> Message {
    let mut words = vec![a(who), n(assets.len() as u128)];
    words.extend(assets.iter().map(|asset| n(u128::from(*asset))));
    words.push(n(tokens.len() as u128));
    words.extend(tokens.iter().map(|token| a(*token)));
    asked(raw(0x101, &words))
}

/// Asks for an account; gives what is shown of it.
fn look(venue: &mut Venue, who: Address, assets: &[u32], tokens: &[Address]) -> Account {
    let receipt = venue.receive(&observe(who, assets, tokens)).unwrap();
    assert_eq!((receipt.statuses, receipt.events), (vec![Status::Success], vec![]));
    let [sent] = &venue.sent[..] else { panic!("{:?}", venue.sent) };
    assert_eq!((sent.from, sent.to), (Address::ZERO, CONTRACT));
    account(sent)
}

fn changed(change: impl FnOnce(&mut atoll_exchange::ExchangeSpec)) -> ExchangeVmSpec {
    let mut vm = spec(true);
    let mut exchange = vm.exchange.spec().clone();
    change(&mut exchange);
    vm.exchange = Rules::new(exchange).unwrap();
    vm
}

#[test]
fn markets_are_shown_to_the_environment_that_observes() {
    let mut venue = Venue::of(changed(|exchange| {
        exchange.listing =
            ListingSpec { authorities: vec![key("alice").address()], ..exchange.listing.clone() };
    }));
    let receipt = venue.receive(&shown(EVM)).unwrap();
    assert_eq!((receipt.statuses, receipt.events), (vec![Status::Success], vec![]));
    let [sent] = &venue.sent[..] else { panic!("{:?}", venue.sent) };
    assert_eq!((sent.from, sent.to), (Address::ZERO, Address::ZERO));
    let (slot, time_us, all) = markets(sent);
    assert_eq!((slot, time_us), (1, u128::from(START_MS) * 1000));
    let (eth, btc) = (2_000 * 100_000_000, 30_000 * 100_000_000);
    // The spot market has no oracle, and no mark before its first trade.
    assert_eq!(all, [(0, eth, eth, 0), (1, btc, btc, 0), (10_000, 0, 0, 0)]);

    let halt = build::listing::set_market_status(1, MarketStatus::Halted);
    assert_eq!(venue.act("alice", halt).unwrap().statuses, [Status::Success]);
    // One tick of 0.01 more; in a later slot.
    venue.nonce += 1_000;
    let prices = sign_oracle(&key("oracle"), &IDENTITY, venue.nonce, &marks(200_001, 60_000));
    venue.submit(&prices.to_bytes()).unwrap();
    venue.vm.open_tick(venue.nonce * 1000);
    let time_us = (START_MS + 1_100) * 1000;
    venue.vm.open_slot(&SlotContext { slot: 12, time_us, ..context() });
    venue.receive(&shown(EVM)).unwrap();
    let (slot, time, all) = markets(&venue.sent[0]);
    assert_eq!((slot, time), (12, u128::from(time_us)));
    let eth = 200_001 * 1_000_000;
    assert_eq!(all, [(0, eth, eth, 0), (1, btc, btc, 5), (10_000, 0, 0, 0)]);
    // Nothing of it is written: it may be asked for at any time.
    let refused = venue.receive(&Message { kind: MessageKind::Observation, ..shown(EVM) });
    assert_eq!(refused.unwrap_err().code, RejectCode::Unsupported);
}

#[test]
fn of_many_markets_the_first_are_shown_in_messages_of_fifty() {
    for (of, expected) in [(49, vec![49]), (50, vec![50]), (51, vec![50, 1]), (300, vec![50; 6])] {
        let mut venue = Venue::of(changed(|exchange| {
            // Perpetuals come first; the third and last is the spot market.
            let like = exchange.markets[0].clone();
            for at in 3..of {
                let market = atoll_exchange::MarketSpec { name: format!("M{at}"), ..like.clone() };
                exchange.markets.insert(2, market);
            }
        }));
        venue.receive(&shown(EVM)).unwrap();
        let all: Vec<_> = venue.sent.iter().map(|message| markets(message).2).collect();
        let mut counts: Vec<usize> = all.iter().map(Vec::len).collect();
        if of == 300 {
            assert_eq!(counts.pop(), Some(6));
            assert_eq!(counts.len(), 5);
            assert!(counts.iter().all(|count| *count == 50));
        } else {
            assert_eq!(counts, expected);
        }
        let numbers: Vec<u128> = all.concat().iter().map(|market| market.0).collect();
        let last = if of == 300 { 255 } else { 10_000 };
        assert_eq!(numbers.last(), Some(&last));
        let shown = numbers.len() as u128;
        assert!(numbers[..numbers.len() - 1].iter().copied().eq(0..shown - 1));
    }
}

/// The example of `docs/exchange/contracts.md`.
#[test]
fn an_account_is_shown_with_funding_that_is_not_settled() {
    let mut venue = Venue::of(changed(|exchange| {
        exchange.markets[0].prices.funding = Some(FundingSpec::hyperliquid(1_000_000));
    }));
    venue.receive(&transfer(EVM, alias(), USDC_TOKEN, n(100_000_000_000))).unwrap();
    venue.receive(&transfer(EVM, alias(), UBTC_TOKEN, n(3 * UBTC_UNIT))).unwrap();
    venue.place("bob", order(Side::Sell, 200_000, 50_000, Tif::Gtc));
    // Two ETH at 2000 at most, immediate or cancel.
    let words = [n(0), n(1), n(200_000_000_000), n(200_000_000), n(0), n(3), n(0)];
    let mut receipt = venue.receive(&asked(raw(1, &words))).unwrap();
    let Status::Filled { size: 20_000, notional: 4_000_000_000, .. } = receipt.statuses.remove(0)
    else {
        panic!("{receipt:?}")
    };
    // In the same opening: what was just bought is seen. The fee is 0.04 % of 4000.
    let seen = look(&mut venue, alias(), &[0], &[]);
    assert_eq!((seen.slot, seen.time_us), (1, u128::from(START_MS) * 1000));
    assert_eq!(seen.value, 100_000_000_000 - 1_600_000);
    assert_eq!(seen.positions, [(0, 200_000_000, 4_000_000_000)]);
    // The rest of bob's order goes, so that the last price is all there is of the book.
    let bob = venue.vm.account_of(&key("bob").address()).unwrap();
    let ask = venue.vm.exchange().peek_orders(bob, 1)[0].order;
    venue.act("bob", build::cancels(&[(0, ask)])).unwrap();

    // A sample, an oracle price of 2100, and the hour's end.
    venue.vm.open_tick((START_MS + 5_000) * 1000);
    venue.nonce = START_MS + 2_790_000;
    let prices = sign_oracle(&key("oracle"), &IDENTITY, venue.nonce, &marks(210_000, 60_000));
    venue.submit(&prices.to_bytes()).unwrap();
    venue.vm.open_tick((START_MS + 2_800_000) * 1000);
    let time_us = (START_MS + 2_800_100) * 1000;
    venue.vm.open_slot(&SlotContext { slot: 28_001, time_us, ..context() });
    let seen = look(&mut venue, alias(), &[10_000, 0, 1, 0], &[UBTC_TOKEN, USDC_TOKEN]);
    // Nobody quotes, so the mark is the oracle's. The account has 99,998.40 of collateral and 200 of
    // profit, and owes 2 × 2100 × 0.00125 % of funding: 0.0525.
    let expected = Account {
        slot: 28_001,
        time_us: time_us.into(),
        account: alias(),
        exists: true,
        value: 100_198_347_500,
        // Less 5 % of 4200.
        free: 99_988_347_500,
        positions: vec![
            (10_000, 0, 0),
            (0, 200_000_000, 4_000_000_000),
            (1, 0, 0),
            (0, 200_000_000, 4_000_000_000),
        ],
        balances: vec![(UBTC_TOKEN, 3 * UBTC_UNIT), (USDC_TOKEN, 0)],
    };
    assert_eq!(seen, expected);
    let account = venue.vm.account_of(&alias()).unwrap();
    let [view] = &venue.vm.exchange().peek_positions(account)[..] else { panic!() };
    assert_eq!((view.funding_due, view.mark), (52_500, 210_000));
    let margin = venue.vm.exchange().peek_margin(account);
    assert_eq!((margin.equity(), margin.withdrawable()), (seen.value, seen.free));
    // A user sees the same of it, and a short has the signs of one.
    let seen = look(&mut venue, key("bob").address(), &[0], &[]);
    assert_eq!(seen.positions, [(0, -200_000_000, -4_000_000_000)]);
}

#[test]
fn amounts_are_the_hubs() {
    // A collateral token with 18 decimals on the hub and 6 here.
    let unit = 1_000_000_000_000;
    let mut spec = spec(true);
    spec.hub_assets[0].unit = unit;
    let mut venue = Venue::of(spec);
    venue.receive(&transfer(EVM, alias(), USDC_TOKEN, n(7_000_000 * unit))).unwrap();
    let seen = look(&mut venue, alias(), &[], &[]);
    assert_eq!((seen.value, seen.free), (7_000_000 * unit as i128, 7_000_000 * unit as i128));
    // Half into the spot wallet: then it is a balance.
    venue.receive(&asked(raw(7, &[n(3_000_000), n(0)]))).unwrap();
    let seen = look(&mut venue, alias(), &[], &[USDC_TOKEN]);
    assert_eq!(seen.value, 4_000_000 * unit as i128);
    assert_eq!(seen.balances, [(USDC_TOKEN, 3_000_000 * unit)]);
    // A debt is below zero.
    let mut venue = Venue::of(ExchangeVmSpec { hub_assets: vec![], ..crate::common::spec(true) });
    venue.place("bob", order(Side::Sell, 200_000, 95_000_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 95_000_000, Tif::Gtc));
    venue.nonce += 1_000;
    let prices = sign_oracle(&key("oracle"), &IDENTITY, venue.nonce, &marks(170_000, 60_000));
    venue.submit(&prices.to_bytes()).unwrap();
    venue.vm.open_tick(venue.nonce * 1000);
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    let seen = look(&mut venue, key("alice").address(), &[], &[]);
    assert!(seen.value < 0 && seen.free == 0, "{seen:?}");
    // Without a token on the hub, in the asset's own unit.
    assert_eq!(seen.value, venue.vm.exchange().peek_margin(alice).equity());
}

#[test]
fn an_inverse_position_is_shown_in_its_coin() {
    let mut venue = Venue::of(changed(|exchange| {
        exchange.assets[1].pledge = Some(Pledge { market: BTC, haircut_ppm: 100_000, cap: 0 });
        exchange.markets[0].size_decimals = 0;
        exchange.markets[0].product = Product::Perpetual {
            contract: Contract::Inverse { settle: UBTC, face: 100 },
            initial_margin_ppm: 100_000,
            maintenance_margin_ppm: 50_000,
            mark_band_ppm: 10_000,
        };
    }));
    venue.place("bob", order(Side::Sell, 200_000, 10, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 10, Tif::Gtc));
    // Ten contracts of 100 dollars, bought at 2000 a coin: half a coin, which a long owes.
    let half = 50_000_000 * UBTC_UNIT as i128;
    let seen = look(&mut venue, key("alice").address(), &[0], &[]);
    assert_eq!(seen.positions, [(0, 1_000_000_000, half)]);
    let seen = look(&mut venue, key("bob").address(), &[0], &[]);
    assert_eq!(seen.positions, [(0, -1_000_000_000, -half)]);
}

#[test]
fn isolated_positions_are_part_of_the_value() {
    let mut venue = Venue::new(true);
    let alice = key("alice").address();
    venue.act("alice", build::update_leverage(0, false, 5)).unwrap();
    venue.place("bob", order(Side::Sell, 200_000, 150_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 150_000, Tif::Gtc));
    // Fifteen ETH for 30,000: a fee of 12, and a fifth is the position's.
    let seen = look(&mut venue, alice, &[0], &[]);
    assert_eq!(seen.positions, [(0, 1_500_000_000, 30_000_000_000)]);
    assert_eq!(seen.value, 1_000_000_000_000 - 12_000_000);
    assert_eq!(seen.free, 1_000_000_000_000 - 12_000_000 - 6_000_000_000);
}

#[test]
fn who_is_not_there_is_shown_so_and_what_is_not_there_is_refused() {
    let mut venue = Venue::new(true);
    let nobody = Address::repeat_byte(0x99);
    // Who asks needs no account either.
    let seen = look(&mut venue, nobody, &[1, 10_000], &[UBTC_TOKEN]);
    assert!(!seen.exists && seen.account == nobody);
    assert_eq!((seen.value, seen.free), (0, 0));
    assert_eq!(seen.positions, [(1, 0, 0), (10_000, 0, 0)]);
    assert_eq!(seen.balances, [(UBTC_TOKEN, 0)]);
    let most = look(&mut venue, key("alice").address(), &[0; 8], &[USDC_TOKEN; 8]);
    assert_eq!((most.positions.len(), most.balances.len()), (8, 8));
    for (assets, tokens, expected) in [
        (vec![0, 2], vec![], RejectCode::UnknownMarket),
        (vec![10_001], vec![], RejectCode::UnknownMarket),
        (vec![u32::MAX], vec![], RejectCode::UnknownMarket),
        (vec![], vec![USDC_TOKEN, Address::repeat_byte(1)], RejectCode::Unsupported),
    ] {
        let message = observe(nobody, &assets, &tokens);
        let receipt: ExchangeReceipt = venue.receive(&message).unwrap();
        let [Status::Rejected { code, detail }] = &receipt.statuses[..] else { panic!() };
        assert_eq!(*code, expected, "{detail}");
        assert!(detail.len() > 20);
        assert!(venue.sent.is_empty());
    }
}
