//! Any range runs again from its witness alone, to the same receipts, writes and reads.

use crate::common::{
    IDENTITY, START_MS, UBTC_TOKEN, UBTC_UNIT, USDC_TOKEN, context, execute, key, marks, order,
    spec, transfer, wire,
};
use crate::contract::{EVM, a, account_of, any_data, asked_by, n, raw};
use crate::observation::shown;
use atoll_exchange::{MarketId, OrderId, OrderRequest, OrderSelector, Side, Tif, Wallet};
use atoll_state::{ReadSet, Resident, Source, Witnessed, WriteSet, object};
use atoll_types::{Address, Encode, EnvironmentId, Message, MessageKind, RejectCode, U256};
use atoll_vm::exchange::sign::{sign_action, sign_message, sign_oracle};
use atoll_vm::exchange::{
    AtollMessage, ExchangeReceipt, ExchangeVm, ExchangeVmSpec, Status, build,
};
use atoll_vm::{Receipt, Vm};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Order { who: u8, market: u8, side: bool, offset: u64, size: u64, tif: u8, client: u8 },
    Cancel { who: u8, market: u8, order: u64, client: Option<u8> },
    Modify { who: u8, market: u8, client: u8, offset: u64 },
    Approve { who: u8, agent: u8, revoke: bool },
    Money { who: u8, amount: u64, transfer: bool },
    Oracle { eth: u64 },
    Tick,
    Slot,
    Arrive { who: u8, kind: u8, amount: u64 },
    Leave { who: u8, destination: u8, bitcoin: bool, amount: u64 },
    Fund { contract: u8, bitcoin: bool, amount: u64 },
    Ask { contract: u8, data: Vec<u8> },
    Show,
}

fn contract(number: u8) -> Address {
    Address::repeat_byte(0xc0 + number)
}

fn op() -> impl Strategy<Value = Op> {
    let (who, market) = (0..6u8, 0..3u8);
    prop_oneof![
        6 => (who.clone(), market.clone(), any::<bool>(), 0..20u64, 1..40u64, 0..3u8, 0..6u8)
            .prop_map(|(who, market, side, offset, size, tif, client)| {
                Op::Order { who, market, side, offset, size, tif, client }
            }),
        3 => (who.clone(), market.clone(), 0..60u64, prop::option::of(0..6u8))
            .prop_map(|(who, market, order, client)| Op::Cancel { who, market, order, client }),
        2 => (who.clone(), market, 0..6u8, 0..20u64)
            .prop_map(|(who, market, client, offset)| Op::Modify { who, market, client, offset }),
        2 => (who.clone(), 0..3u8, any::<bool>())
            .prop_map(|(who, agent, revoke)| Op::Approve { who, agent, revoke }),
        1 => (who, 1..2_000_000u64, any::<bool>())
            .prop_map(|(who, amount, transfer)| Op::Money { who, amount, transfer }),
        1 => (199_000..201_000u64).prop_map(|eth| Op::Oracle { eth }),
        1 => Just(Op::Tick),
        1 => Just(Op::Slot),
        2 => (0..6u8, 0..8u8, 1..3_000u64)
            .prop_map(|(who, kind, amount)| Op::Arrive { who, kind, amount }),
        2 => (0..6u8, 0..4u8, any::<bool>(), 0..3_000u64).prop_map(
            |(who, destination, bitcoin, amount)| Op::Leave { who, destination, bitcoin, amount }
        ),
        2 => (0..3u8, any::<bool>(), 1..1u64 << 36)
            .prop_map(|(contract, bitcoin, amount)| Op::Fund { contract, bitcoin, amount }),
        5 => (0..3u8, any_data()).prop_map(|(contract, data)| Op::Ask { contract, data }),
        1 => Just(Op::Show),
    ]
}

const NAMES: [&str; 6] = ["alice", "bob", "carol", "agent 0", "agent 1", "stranger"];

/// One step: a tick, a slot, a message or the bytes of a transaction.
#[derive(Clone, Debug)]
enum Step {
    Tick(u64),
    Slot,
    Message(Message),
    Transaction(Vec<u8>),
}

fn requested(market: u8, side: bool, offset: u64, size: u64, tif: u8) -> OrderRequest {
    let side = if side { Side::Buy } else { Side::Sell };
    let tif = [Tif::Gtc, Tif::Ioc, Tif::PostOnly][usize::from(tif)];
    let middle = [199_990, 59_990, 299_990][usize::from(market)];
    let market = MarketId(u16::from(market));
    OrderRequest { market, size: size * 100, ..order(side, middle + offset, size, tif) }
}

fn steps(spec: &ExchangeVmSpec, ops: &[Op], nonce: &mut u64) -> Vec<Step> {
    let asset = |market: u8| [0, 1, 10_000][usize::from(market)];
    let mut step = |op: &Op| {
        *nonce += 1;
        let act = |who: u8, action| sign_action(&key(NAMES[usize::from(who)]), action, *nonce);
        let transaction = match *op {
            Op::Tick => return Step::Tick(*nonce * 1000),
            Op::Slot => return Step::Slot,
            Op::Arrive { who, kind, amount } => {
                let to = key(NAMES[usize::from(who)]).address();
                let (token, unit) = [
                    (USDC_TOKEN, 1),
                    (UBTC_TOKEN, UBTC_UNIT),
                    (UBTC_TOKEN, 1),
                    (Address::repeat_byte(5), 1),
                ][usize::from(kind / 2)];
                let source = u32::from(amount % 2 == 0) * 9;
                let message = transfer(source, to, token, U256::from(amount) * U256::from(unit));
                let bounce = Message { kind: MessageKind::Bounce, ..message.clone() };
                return Step::Message(if kind % 2 == 0 { message } else { bounce });
            }
            Op::Fund { contract: number, bitcoin, amount } => {
                let (token, unit) = if bitcoin { (UBTC_TOKEN, UBTC_UNIT) } else { (USDC_TOKEN, 1) };
                let to = account_of(EVM, contract(number));
                let amount = U256::from(amount) * U256::from(unit);
                return Step::Message(transfer(EVM, to, token, amount));
            }
            Op::Ask { contract: number, ref data } => {
                return Step::Message(asked_by(EVM, contract(number), data.clone()));
            }
            Op::Show => return Step::Message(shown(EVM)),
            Op::Leave { who, destination, bitcoin, amount } => {
                let message = AtollMessage::Send {
                    destination: EnvironmentId(destination.into()),
                    to: Address::repeat_byte(6),
                    asset: if bitcoin { "UBTC" } else { "USDC" }.into(),
                    wallet: if bitcoin { Wallet::Spot } else { Wallet::Collateral },
                    amount: amount.into(),
                };
                sign_message(&key(NAMES[usize::from(who)]), &IDENTITY, 4242, &message, *nonce)
            }
            Op::Order { who, market, side, offset, size, tif, client } => {
                let client_id = (client > 2).then_some([client; 16]);
                let request = requested(market, side, offset, size, tif);
                let request = OrderRequest { client_id, ..request };
                act(who, build::orders(&[wire(spec, &request), wire(spec, &request)]))
            }
            Op::Cancel { who, market, client: Some(client), .. } => {
                act(who, build::cancels_by_client_id(&[(asset(market), [client; 16])]))
            }
            Op::Cancel { who, market, order, .. } => {
                let orders: Vec<_> =
                    (0..3).map(|slot| (asset(market), OrderId(order << 12 | slot))).collect();
                act(who, build::cancels(&orders))
            }
            Op::Modify { who, market, client, offset } => {
                let request = requested(market, true, offset, 10, 0);
                let target = OrderSelector::Client([client; 16]);
                act(who, build::modify(&target, &wire(spec, &request)))
            }
            Op::Approve { who, agent, revoke } => {
                let message = AtollMessage::ApproveAgent {
                    agent: key(&format!("agent {agent}")).address(),
                    name: format!("{}", agent % 2),
                    valid_until_ms: if revoke { 0 } else { *nonce + 20 },
                };
                sign_message(&key(NAMES[usize::from(who)]), &IDENTITY, 4242, &message, *nonce)
            }
            Op::Money { who, amount, transfer } => {
                let (to, amount) = (key("bob").address(), u128::from(amount));
                let (asset, wallet) = ("USDC".into(), Wallet::Collateral);
                let message = match transfer {
                    true => AtollMessage::Transfer { to, asset, wallet, amount },
                    false => AtollMessage::Move { to: Wallet::Spot, amount },
                };
                sign_message(&key(NAMES[usize::from(who)]), &IDENTITY, 4242, &message, *nonce)
            }
            Op::Oracle { eth } => {
                sign_oracle(&key("oracle"), &IDENTITY, *nonce, &marks(eth, 60_000))
            }
        };
        Step::Transaction(transaction.to_bytes())
    };
    ops.iter().map(&mut step).collect()
}

fn run<S: Source>(vm: &mut ExchangeVm<S>, spec: &ExchangeVmSpec, steps: &[Step]) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for step in steps {
        match step {
            Step::Tick(time_us) => vm.open_tick(*time_us),
            Step::Slot => vm.open_slot(&context()),
            Step::Message(message) => receipts.push(vm.receive(message.hash(), message)),
            Step::Transaction(bytes) => receipts.push(execute(vm, spec, bytes)),
        }
    }
    receipts
}

fn sealed<S: Source>(vm: &mut ExchangeVm<S>) -> (WriteSet, ReadSet) {
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(vm, &mut writes, Some(&mut reads));
    object::begin(vm);
    (writes, reads)
}

fn alone(spec: &ExchangeVmSpec, reads: &ReadSet, out: Option<usize>) -> ExchangeVm<Witnessed> {
    let mut vm = ExchangeVm::new(IDENTITY, spec.clone(), 99);
    for (i, (key, value)) in reads.iter().enumerate() {
        if Some(i) != out {
            object::load(&mut vm, key, value).unwrap();
        }
    }
    object::begin(&mut vm);
    vm
}

/// Runs steps on the full state, then on their witness, then on one that leaves an object out.
/// Gives the receipts.
fn again(
    full: &mut ExchangeVm<Resident>,
    spec: &ExchangeVmSpec,
    tick_us: u64,
    steps: &[Step],
    picked: Option<prop::sample::Index>,
) -> Vec<Receipt> {
    let receipts = run(full, spec, steps);
    let (writes, reads) = sealed(full);
    assert!(full.audit().iter().all(|asset| asset.conserved));

    let mut witnessed = alone(spec, &reads, None);
    witnessed.resume(&context(), Some(tick_us));
    assert_eq!(run(&mut witnessed, spec, steps), receipts);
    assert_eq!(object::fault(&mut witnessed), None);
    let (writes_again, reads_again) = sealed(&mut witnessed);
    assert_eq!(writes_again, writes);
    assert_eq!(reads_again, reads);

    // Without any one object that was read, the run notices and does not panic.
    let outs = match picked {
        Some(picked) if !reads.is_empty() => vec![picked.index(reads.len())],
        _ => (0..reads.len()).collect(),
    };
    for out in outs {
        let mut without = alone(spec, &reads, Some(out));
        without.resume(&context(), Some(tick_us));
        run(&mut without, spec, steps);
        assert!(object::fault(&mut without).is_some(), "object {out}");
    }
    receipts
}

fn opened(spec: &ExchangeVmSpec) -> ExchangeVm<Resident> {
    let mut full = ExchangeVm::<Resident>::new(IDENTITY, spec.clone(), 1);
    object::begin(&mut full);
    full.genesis();
    full.open_slot(&context());
    let oracle = sign_oracle(&key("oracle"), &IDENTITY, START_MS, &marks(200_000, 60_000));
    execute(&mut full, spec, &oracle.to_bytes());
    full.open_tick(START_MS * 1000);
    sealed(&mut full);
    full
}

#[test]
fn what_only_an_earlier_range_touched_is_in_the_witness() {
    let spec = spec(true);
    let mut full = opened(&spec);
    let mut nonce = START_MS;
    let start = START_MS * 1000;
    let mut range = |full: &mut ExchangeVm<Resident>, tick_us: u64, ops: &[Op]| {
        let steps = steps(&spec, ops, &mut nonce);
        again(full, &spec, tick_us, &steps, None)
    };
    let order = Op::Order { who: 0, market: 0, side: true, offset: 0, size: 5, tif: 0, client: 4 };
    let approve = Op::Approve { who: 0, agent: 0, revoke: false };
    range(&mut full, start, &[order, approve]);
    // A cancel and a modification that name another market than the order's.
    let wrong = Op::Cancel { who: 0, market: 1, order: 0, client: Some(4) };
    let receipts = range(&mut full, start, &[wrong]);
    let done = ExchangeReceipt::of(&receipts[0]).unwrap();
    assert!(matches!(done.statuses[0], Status::Rejected { code: RejectCode::UnknownOrder, .. }));
    range(&mut full, start, &[Op::Modify { who: 0, market: 1, client: 4, offset: 1 }]);
    // An agent whose validity ended in an earlier range.
    let by_agent = Op::Cancel { who: 3, market: 0, order: 0, client: Some(4) };
    let mut ticks = vec![Op::Tick; 30];
    ticks.push(by_agent.clone());
    assert_eq!(range(&mut full, start, &ticks)[0].code, RejectCode::NotAllowed.number());
    let later = full.now_ms() * 1000;
    let receipts = range(&mut full, later, &[by_agent]);
    assert_eq!(receipts[0].code, RejectCode::NotAllowed.number());
}

#[test]
fn what_is_shown_of_an_earlier_range_is_in_the_witness() {
    let spec = spec(true);
    let (mut full, mut nonce, start) = (opened(&spec), START_MS, START_MS * 1000);
    let mut range = |ops: &[Op]| {
        let steps = steps(&spec, ops, &mut nonce);
        again(&mut full, &spec, start, &steps, None)
    };
    let alias = a(account_of(EVM, contract(0)));
    let buy = [n(0), n(1), n(200_100_000_000), n(100_000_000), n(0), n(2), n(9)];
    let look = [alias, n(2), n(0), n(1), n(2), a(USDC_TOKEN), a(UBTC_TOKEN)];
    let ask = |number, words: &[U256]| Op::Ask { contract: 0, data: raw(number, words) };
    let codes = |receipts: &[Receipt]| receipts.iter().map(|r| r.code).collect::<Vec<_>>();
    let sell = Op::Order { who: 0, market: 0, side: false, offset: 20, size: 2, tif: 0, client: 0 };
    range(&[sell]);
    // The first money, an order, and a look at both: each in a range of its own.
    for bitcoin in [false, true] {
        range(&[Op::Fund { contract: 0, bitcoin, amount: 1 << 33 }]);
    }
    assert_eq!(codes(&range(&[ask(1, &buy)])), [0]);
    let shown = range(&[ask(0x101, &look)]);
    assert_eq!(shown[0].messages.len(), 1);
    // It exists.
    assert_eq!(shown[0].messages[0].data[1 + 4 * 32 - 1], 1);
    assert_eq!(range(&[Op::Show])[0].messages.len(), 1);
    assert_eq!(codes(&range(&[ask(11, &[n(0), n(9)]), ask(7, &[n(5), n(0)])])), [0, 0]);
    let send = [n(0), a(contract(0)), a(UBTC_TOKEN), n(1), n(UBTC_UNIT)];
    assert_eq!(range(&[ask(0x100, &send)])[0].messages.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ranges_run_again_from_their_witness(
        dev: bool,
        ranges in prop::collection::vec(prop::collection::vec(op(), 1..14), 1..5),
        picked: prop::sample::Index,
    ) {
        let spec = spec(dev);
        let (mut full, mut now) = (opened(&spec), START_MS * 1000);
        let mut nonce = START_MS;
        for ops in &ranges {
            let steps = steps(&spec, ops, &mut nonce);
            again(&mut full, &spec, now, &steps, Some(picked));
            let mut times = steps.iter().filter_map(|step| match step {
                Step::Tick(time_us) => Some(*time_us),
                Step::Slot => Some(context().time_us),
                Step::Message(_) | Step::Transaction(_) => None,
            });
            now = times.next_back().unwrap_or(now);
        }
    }
}
