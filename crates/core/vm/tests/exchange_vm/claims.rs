//! Claims: what each account could take out, and that the totals are their sums.

use crate::common::{
    IDENTITY, START_MS, UBTC_TOKEN, UBTC_UNIT, USDC, USDC_TOKEN, Venue, key, marks, naive_claim,
    order, spec, transfer,
};
use atoll_exchange::{AccountId, AssetId, MarketId, OrderRequest, Side, Tif, Wallet};
use atoll_state::{ReadSet, Resident, WriteSet, object};
use atoll_types::{Address, B256, Decode, Encode, U256};
use atoll_vm::exchange::claims::{Claim, ClaimCursor, ClaimKey, ClaimTotal, CursorKey, TokenKey};
use atoll_vm::exchange::sign::sign_oracle;
use atoll_vm::exchange::{AtollMessage, ExchangeVm, ExchangeVmSpec, Status};
use atoll_vm::{SlotContext, Vm};
use proptest::prelude::*;

fn open_slot(vm: &mut ExchangeVm<Resident>, slot: u64) {
    let time_us = START_MS * 1000 + slot;
    vm.open_slot(&SlotContext { slot, time_us, parent: B256::ZERO });
}

fn accounts(vm: &ExchangeVm<Resident>) -> Vec<Address> {
    let count = vm.exchange().peek_global().accounts;
    (0..count).map(|n| vm.exchange().peek_owner(AccountId(n)).unwrap().address).collect()
}

/// One pass over all accounts.
fn renew_all(vm: &mut ExchangeVm<Resident>) {
    let slots = accounts(vm).len().div_ceil(vm.spec().claims_per_slot as usize);
    for slot in 0..slots {
        open_slot(vm, 100 + slot as u64);
    }
}

fn check_all(vm: &ExchangeVm<Resident>) {
    for token in [USDC_TOKEN, UBTC_TOKEN] {
        let mut sum = U256::ZERO;
        for account in accounts(vm) {
            let claim = vm.claim(account, token);
            assert_eq!(claim, naive_claim(vm, account, token), "{account} {token}");
            sum += claim;
        }
        assert_eq!(vm.claim_total(token), sum);
    }
    assert_eq!(vm.inconsistencies(), Vec::<String>::new());
}

fn sealed(vm: &mut ExchangeVm<Resident>) -> (WriteSet, ReadSet) {
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(vm, &mut writes, Some(&mut reads));
    object::begin(vm);
    (writes, reads)
}

/// Moves the mark of ETH.
fn mark(venue: &mut Venue, eth: u64) {
    venue.nonce += 1_000;
    let time_ms = venue.nonce;
    let signed = sign_oracle(&key("oracle"), &IDENTITY, time_ms, &marks(eth, 60_000));
    venue.submit(&signed.to_bytes()).unwrap();
    venue.vm.open_tick(time_ms * 1000);
}

#[test]
fn the_objects_are_golden() {
    let key = ClaimKey { account: Address::repeat_byte(1), token: Address::repeat_byte(2) };
    assert_eq!(key.to_bytes(), [[1; 20], [2; 20]].concat());
    assert_eq!(ClaimKey::from_bytes(&key.to_bytes()), Ok(key));
    assert_eq!(TokenKey(Address::repeat_byte(3)).to_bytes(), [3; 20]);
    assert_eq!(CursorKey.to_bytes(), [0u8; 0]);
    let amount = U256::from(0x0102_0304u32);
    let mut word = [0; 32];
    word[28..].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(Claim(amount).to_bytes(), word);
    assert_eq!(ClaimTotal(amount).to_bytes(), word);
    assert_eq!(Claim::from_bytes(&word), Ok(Claim(amount)));
    assert_eq!(ClaimTotal::from_bytes(&word), Ok(ClaimTotal(amount)));
    assert_eq!(ClaimCursor(300).to_bytes(), [0xac, 2]);
    assert_eq!(ClaimCursor::from_bytes(&[0xac, 2]), Ok(ClaimCursor(300)));
    // As the hub reads them.
    let mut vm = ExchangeVm::<Resident>::new(IDENTITY, spec(true), 1);
    object::begin(&mut vm);
    vm.genesis();
    let all = object::export(&mut vm);
    let find = |tag: u8| -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = all.iter().filter(|(key, _)| key[0] == tag);
        found.map(|(key, value)| (key.to_vec(), value.unwrap().to_vec())).collect()
    };
    let (claims, totals) = (find(0x50), find(0x51));
    assert_eq!(claims.len(), 3);
    assert_eq!((claims[0].0.len(), claims[0].1.len()), (41, 32));
    let total = U256::from(3_000_000_000_000u64).to_be_bytes::<32>().to_vec();
    assert_eq!(totals, [([&[0x51][..], USDC_TOKEN.as_slice()].concat(), total)]);
}

#[test]
fn a_slot_renews_the_next_accounts_and_writes_only_what_changed() {
    let mut venue = Venue::new(true);
    sealed(&mut venue.vm);
    // Two of three accounts a slot, after the two of the first slot; nobody traded, so only the
    // cursor moves.
    for first in [2u32, 1, 0, 2] {
        open_slot(&mut venue.vm, 9);
        let (writes, reads) = sealed(&mut venue.vm);
        let written: Vec<_> = writes.iter().map(|(key, _)| key[0]).collect();
        assert_eq!(written, [0x52], "from account {first}");
        let read = |account: u32| {
            let who = accounts(&venue.vm)[account as usize];
            let key = [&[0x50][..], who.as_slice(), USDC_TOKEN.as_slice()].concat();
            reads.iter().any(|(found, _)| found == &key[..])
        };
        let expected = |account| account == first || account == (first + 1) % 3;
        assert_eq!([0, 1, 2].map(read), [0, 1, 2].map(expected), "from account {first}");
    }
    // Trading renews nothing by itself; the slots do.
    venue.place("alice", order(Side::Sell, 200_000, 10_000_000, Tif::Gtc));
    venue.place("bob", order(Side::Buy, 200_000, 10_000_000, Tif::Gtc));
    mark(&mut venue, 201_000);
    let bob = key("bob").address();
    assert_ne!(venue.vm.claim(bob, USDC_TOKEN), naive_claim(&venue.vm, bob, USDC_TOKEN));
    assert!(venue.vm.audit().iter().all(|asset| asset.conserved));
    renew_all(&mut venue.vm);
    check_all(&venue.vm);
}

#[test]
fn without_tokens_on_the_hub_nothing_is_read() {
    let mut spec = spec(true);
    spec.hub_assets.clear();
    let mut vm = ExchangeVm::<Resident>::new(IDENTITY, spec, 1);
    object::begin(&mut vm);
    vm.genesis();
    let (writes, _) = sealed(&mut vm);
    assert!(writes.iter().all(|(key, _)| !(0x50..=0x52).contains(&key[0])));
    open_slot(&mut vm, 1);
    let (writes, reads) = sealed(&mut vm);
    assert!(writes.is_empty());
    assert!(reads.iter().all(|(key, _)| !(0x50..=0x52).contains(&key[0])));
}

#[test]
fn transfers_inside_renew_both_sides() {
    let mut venue = Venue::new(true);
    let (alice, bob) = (key("alice").address(), key("bob").address());
    let message = AtollMessage::Transfer {
        to: bob,
        asset: "USDC".into(),
        wallet: Wallet::Collateral,
        amount: 77,
    };
    assert_eq!(venue.tell("alice", &message), Ok(Status::Success));
    assert_eq!(venue.vm.claim(alice, USDC_TOKEN), U256::from(1_000_000_000_000u64 - 77));
    check_all(&venue.vm);
    assert_eq!(venue.vm.claim(bob, USDC_TOKEN), U256::from(1_000_000_000_000u64 + 77));
}

#[test]
fn a_bankrupt_account_claims_nothing_and_the_total_exceeds_the_ledger_by_the_shortfall() {
    let mut venue = Venue::new(true);
    // Alice buys nineteen times what she has; the mark falls by more than a nineteenth.
    let lots = 95_000_000;
    venue.place("bob", order(Side::Sell, 200_000, lots, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, lots, Tif::Gtc));
    mark(&mut venue, 180_000);
    renew_all(&mut venue.vm);
    check_all(&venue.vm);
    let alice = key("alice").address();
    let account = venue.vm.account_of(&alice).unwrap();
    let equity = venue.vm.exchange().peek_margin(account).equity();
    assert!(equity < 0);
    assert_eq!(venue.vm.claim(alice, USDC_TOKEN), U256::ZERO);
    let state = venue.vm.exchange().state();
    let ledger = state.ledgers.peek(&atoll_exchange::objects::LedgerKey(USDC)).unwrap();
    let holds = ledger.balance() - ledger.fees - ledger.rounding;
    let expected = U256::from((holds - equity) as u128);
    assert_eq!(venue.vm.claim_total(USDC_TOKEN), expected);
    assert!(expected > U256::from(ledger.balance() as u128));
    // A deposit pays the debt first.
    let debt = equity.unsigned_abs();
    let deposit = |amount: u128| transfer(0, alice, USDC_TOKEN, U256::from(amount));
    venue.receive(&deposit(debt - 1)).unwrap();
    assert_eq!(venue.vm.claim(alice, USDC_TOKEN), U256::ZERO);
    venue.receive(&deposit(6)).unwrap();
    assert_eq!(venue.vm.claim(alice, USDC_TOKEN), U256::from(5));
}

#[derive(Clone, Debug)]
enum Op {
    Order { who: usize, market: u16, side: bool, offset: u64, size: u64 },
    Deposit { who: usize, bitcoin: bool, amount: u64, hub: bool },
    Send { who: usize, bitcoin: bool, amount: u64, back: bool },
    Transfer { who: usize, amount: u64, spot: bool },
    Mark { eth: u64 },
    Slot,
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..5usize;
    prop_oneof![
        6 => (who.clone(), 0..3u16, any::<bool>(), 0..20u64, 1..40_000u64).prop_map(
            |(who, market, side, offset, size)| Op::Order { who, market, side, offset, size }
        ),
        2 => (who.clone(), any::<bool>(), 1..1u64 << 40, any::<bool>()).prop_map(
            |(who, bitcoin, amount, hub)| Op::Deposit { who, bitcoin, amount, hub }
        ),
        3 => (who.clone(), any::<bool>(), 1..1u64 << 38, any::<bool>())
            .prop_map(|(who, bitcoin, amount, back)| Op::Send { who, bitcoin, amount, back }),
        2 => (who, 1..1u64 << 36, any::<bool>())
            .prop_map(|(who, amount, spot)| Op::Transfer { who, amount, spot }),
        2 => (150_000..250_000u64).prop_map(|eth| Op::Mark { eth }),
        1 => Just(Op::Slot),
    ]
}

const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

fn run(venue: &mut Venue, op: &Op) {
    match *op {
        Op::Order { who, market, side, offset, size } => {
            let side = if side { Side::Buy } else { Side::Sell };
            let eth = venue.vm.exchange().peek_prices(MarketId(0)).mark;
            let middle = [eth, 60_000, 300_000][usize::from(market)];
            let request = OrderRequest {
                market: MarketId(market),
                ..order(side, middle + offset - 10, size * 100, Tif::Gtc)
            };
            let wire = crate::common::wire(&venue.spec, &request);
            let _ = venue.act(NAMES[who], atoll_vm::exchange::build::orders(&[wire]));
        }
        Op::Deposit { who, bitcoin, amount, hub } => {
            let (token, unit) = if bitcoin { (UBTC_TOKEN, UBTC_UNIT) } else { (USDC_TOKEN, 1) };
            let amount = U256::from(amount) * U256::from(unit);
            let to = key(NAMES[who]).address();
            venue.receive(&transfer(u32::from(!hub) * 9, to, token, amount)).unwrap();
        }
        Op::Send { who, bitcoin, amount, back } => {
            let message = AtollMessage::Send {
                destination: atoll_types::EnvironmentId(9 * u32::from(amount % 2 == 0)),
                to: Address::repeat_byte(8),
                asset: if bitcoin { "UBTC" } else { "USDC" }.into(),
                wallet: if bitcoin { Wallet::Spot } else { Wallet::Collateral },
                amount: amount.into(),
            };
            let _ = venue.tell(NAMES[who], &message);
            if let (true, Some(sent)) = (back, venue.sent.pop()) {
                venue.receive(&sent.bounced()).unwrap();
            }
        }
        Op::Transfer { who, amount, spot } => {
            let message = match spot {
                true => AtollMessage::Move { to: Wallet::Spot, amount: amount.into() },
                false => AtollMessage::Transfer {
                    to: key(NAMES[(who + 1) % 5]).address(),
                    asset: "USDC".into(),
                    wallet: Wallet::Collateral,
                    amount: amount.into(),
                },
            };
            let _ = venue.tell(NAMES[who], &message);
        }
        Op::Mark { eth } => mark(venue, eth),
        Op::Slot => open_slot(&mut venue.vm, 5),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn claims_are_what_a_naive_sum_says_after_one_pass(
        ops in prop::collection::vec(op(), 1..60),
        per_slot in 1..7u32,
    ) {
        let mut venue = Venue::of(ExchangeVmSpec { claims_per_slot: per_slot, ..spec(true) });
        for op in &ops {
            run(&mut venue, op);
            // After each one the totals are the sums: the audit says so.
            let audit = venue.vm.audit();
            prop_assert!(audit.iter().all(|asset| asset.conserved), "{op:?}: {audit:?}");
        }
        renew_all(&mut venue.vm);
        check_all(&venue.vm);
        prop_assert_eq!(venue.vm.spec().hub_asset(AssetId(2)), None);
    }
}
