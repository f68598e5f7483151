//! The router against a naive twin: what each environment may still pay, what is delivered when,
//! which withdrawals there are.

use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_state::object::{self, ReadSet};
use atoll_state::proof::VerifiedWitness;
use atoll_state::{Resident, Witnessed, WriteSet};
use atoll_types::hub::{ROUTER, WithdrawalTree};
use atoll_types::{
    Address, B256, Decode, Encode, EnvironmentId, Message, MessageKind, NetworkId, RejectCode,
    U256, Withdrawal,
};
use atoll_vm::router::{
    Funding, OBSERVE_EVERY_SLOTS_MAX, Observes, RoutedEnvironment, RouterSpec, RouterVm,
    net_transfers,
};
use atoll_vm::{Identity, Receipt, SlotContext, Vm};
use proptest::prelude::*;
use std::collections::BTreeMap;

const A: EnvironmentId = EnvironmentId(1);
const B: EnvironmentId = EnvironmentId(2);
const NOWHERE: EnvironmentId = EnvironmentId(9);
const DELAY: u64 = 2;

fn token(n: u8) -> Address {
    Address::repeat_byte(n)
}

fn spec() -> RouterSpec {
    let funded = vec![Funding { token: token(0), amount: U256::from(100) }];
    RouterSpec {
        message_delay_slots: DELAY as u32,
        environments: vec![
            RoutedEnvironment { id: A, funded, observes: None },
            RoutedEnvironment { id: B, funded: Vec::new(), observes: None },
        ],
    }
}

/// A network in which B is shown A.
fn observing(every_slots: u32) -> RouterSpec {
    let mut spec = spec();
    spec.environments[1].observes = Some(Observes { environment: A, every_slots });
    spec
}

fn identity() -> Identity {
    Identity { network: NetworkId(B256::ZERO), environment: ROUTER }
}

fn message(
    source: EnvironmentId,
    destination: EnvironmentId,
    token: Address,
    amount: u64,
) -> Message {
    Message {
        kind: MessageKind::Transfer,
        number: 0,
        source,
        destination,
        from: Address::repeat_byte(0xaa),
        to: Address::repeat_byte(0xbb),
        token,
        amount: U256::from(amount),
        data: Vec::new(),
    }
}

fn data(
    kind: MessageKind,
    source: EnvironmentId,
    destination: EnvironmentId,
    bytes: usize,
) -> Message {
    Message { kind, data: vec![7; bytes], ..message(source, destination, token(0), 0) }
}

/// What the router asks A for.
fn question(number: u64) -> Message {
    let (from, to) = (Address::ZERO, Address::ZERO);
    Message { from, to, number, ..data(MessageKind::Observe, B, A, 0) }
}

fn context(slot: u64) -> SlotContext {
    SlotContext { slot, ..SlotContext::default() }
}

/// A router on full state that checks each slot again from its witness alone.
struct Twice {
    spec: RouterSpec,
    vm: RouterVm<Resident>,
    db: MemoryDb,
}

impl Twice {
    fn new() -> Self {
        Self::of(spec())
    }

    fn of(spec: RouterSpec) -> Self {
        let mut vm = RouterVm::new(identity(), spec.clone(), 7);
        object::begin(&mut vm);
        vm.genesis();
        let mut writes = WriteSet::default();
        object::seal(&mut vm, &mut writes, None);
        let mut db = MemoryDb::default();
        db.commit(&writes);
        Self { spec, vm, db }
    }

    fn slot(&mut self, slot: u64, messages: &[Message]) -> Vec<Receipt> {
        let run = |vm: &mut dyn FnMut(&Message) -> Receipt| messages.iter().map(vm).collect();
        object::begin(&mut self.vm);
        self.vm.open_slot(&context(slot));
        let vm = &mut self.vm;
        let receipts: Vec<Receipt> = run(&mut |message| vm.receive(message.hash(), message));
        let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
        object::seal(&mut self.vm, &mut writes, Some(&mut reads));

        let keys: Vec<_> = reads.iter().map(|(key, _)| db::key_path(key)).collect();
        let claims: Vec<_> =
            reads.iter().map(|(k, v)| (db::key_path(k), v.map(db::value_hash))).collect();
        let proof = self.db.prove(&keys);
        let proven = VerifiedWitness::verify(self.db.root().0, &proof, &claims).unwrap();
        let mut again = RouterVm::<Witnessed>::new(identity(), self.spec.clone(), 8);
        for (key, value) in reads.iter() {
            object::load(&mut again, key, value).unwrap();
        }
        object::begin(&mut again);
        again.open_slot(&context(slot));
        let others: Vec<Receipt> = run(&mut |message| again.receive(message.hash(), message));
        assert_eq!(object::fault(&mut again), None);
        assert_eq!(others, receipts);
        let mut again_writes = WriteSet::default();
        object::seal(&mut again, &mut again_writes, None);
        let root = proven.verify_update(&db::operations(&again_writes)).unwrap();
        self.db.commit(&writes);
        assert_eq!(B256::from(root), self.db.root());
        receipts
    }
}

#[test]
fn money_is_delivered_two_slots_later_and_withdrawals_grow_the_tree() {
    let mut router = Twice::new();
    let out = message(A, ROUTER, token(0), 30);
    let sent = [message(A, B, token(0), 60), out.clone(), message(A, B, token(0), 11)];
    let receipts = router.slot(1, &sent);
    assert_eq!(
        receipts.iter().map(|r| r.code).collect::<Vec<_>>(),
        [0, 0, RejectCode::InsufficientBalance.number()]
    );
    assert_eq!(router.vm.deliveries(2, B), []);
    let delivered = router.vm.deliveries(3, B);
    assert_eq!(delivered, [Message { number: 1, ..sent[0].clone() }]);
    // The third was 1 above what was left: it comes back to who sent it.
    let back = router.vm.deliveries(3, A);
    assert_eq!(back, [Message { number: 2, ..sent[2].bounced() }]);
    assert_eq!((back[0].kind, back[0].to), (MessageKind::Bounce, sent[2].from));
    let withdrawal = Withdrawal::from_bytes(&receipts[1].payload).unwrap();
    assert_eq!((withdrawal.index, withdrawal.environment, withdrawal.to), (0, A, out.to));
    let mut tree = WithdrawalTree::default();
    tree.push(withdrawal.leaf());
    assert_eq!(router.vm.withdrawals(), tree);
    assert_eq!(router.vm.ledger(A, token(0)).balance(), U256::from(10));
    assert_eq!(router.vm.ledger(B, token(0)).balance(), U256::from(60));
    let net = net_transfers(receipts.iter());
    assert_eq!(
        net.iter().map(|t| (t.environment, t.delta)).collect::<Vec<_>>(),
        [(A, -60), (B, 60)]
    );
    router.slot(2, &[]);
    router.slot(3, &[]);
    // What was delivered is gone.
    assert_eq!((router.vm.deliveries(3, A), router.vm.deliveries(3, B)), (vec![], vec![]));
}

#[test]
fn deposits_credit_the_ledger_and_strangers_get_theirs_back() {
    let mut router = Twice::new();
    let receipts = router.slot(
        1,
        &[
            message(ROUTER, B, token(1), 5),
            message(ROUTER, NOWHERE, token(1), 7),
            message(A, NOWHERE, token(0), 1),
            message(A, A, token(0), 1),
            Message { amount: U256::MAX, ..message(ROUTER, B, token(1), 0) },
            Message { amount: U256::from(1) << 96, ..message(B, A, token(1), 0) },
        ],
    );
    let unknown = RejectCode::UnknownEnvironment.number();
    let overflow = RejectCode::Overflow.number();
    let codes: Vec<u16> = receipts.iter().map(|r| r.code).collect();
    assert_eq!(codes, [0, unknown, unknown, unknown, 0, overflow]);
    let back = Withdrawal::from_bytes(&receipts[1].payload).unwrap();
    assert_eq!(
        (back.environment, back.to, back.amount),
        (NOWHERE, Address::repeat_byte(0xaa), U256::from(7))
    );
    assert_eq!(router.vm.ledger(NOWHERE, token(1)).balance(), U256::ZERO);
    assert!(RouterVm::<Resident>::check(&identity(), &spec(), &[1]).is_err());
}

#[test]
fn data_is_delivered_or_dropped_and_moves_no_money() {
    let mut router = Twice::new();
    let (action, observation) = (MessageKind::Action, MessageKind::Observation);
    let ledgers = |router: &Twice| {
        let mut all: Vec<_> = router.vm.ledgers().map(|(k, l)| (k.to_bytes(), *l)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let before = ledgers(&router);
    let (unknown, refused) =
        (RejectCode::UnknownEnvironment.number(), RejectCode::NotAllowed.number());
    let sent = [
        (data(action, A, B, 8192), 0),
        (data(observation, B, A, 8192), 0),
        (data(action, A, B, 0), 0),
        (data(action, A, NOWHERE, 1), unknown),
        (data(action, A, ROUTER, 1), unknown),
        (data(action, A, A, 1), unknown),
        (data(observation, B, NOWHERE, 1), unknown),
        (data(action, A, B, 8193), refused),
        (data(observation, B, A, 8193), refused),
        (data(MessageKind::Observe, B, A, 0), refused),
        (data(MessageKind::Observe, B, A, 1), refused),
    ];
    let messages: Vec<Message> = sent.iter().map(|(message, _)| message.clone()).collect();
    let receipts = router.slot(1, &messages);
    for (receipt, (message, code)) in receipts.iter().zip(&sent) {
        assert_eq!(receipt.code, *code, "{:?} of {} bytes", message.kind, message.data.len());
        assert_eq!(receipt.messages.len(), usize::from(*code == 0));
        assert!(receipt.payload.is_empty());
    }
    let numbered = |at: usize, number| Message { number, ..messages[at].clone() };
    assert_eq!(router.vm.deliveries(3, B), [numbered(0, 1), numbered(2, 3)]);
    assert_eq!(router.vm.deliveries(3, A), [numbered(1, 2)]);
    assert_eq!(ledgers(&router), before);
    assert_eq!(router.vm.withdrawals().count(), 0);
    assert_eq!(net_transfers(receipts.iter()), []);
    router.slot(2, &[]);
    router.slot(3, &[]);
    assert_eq!((router.vm.deliveries(3, A), router.vm.deliveries(3, B)), (vec![], vec![]));
}

#[test]
fn who_is_observed_is_asked_in_its_slots() {
    let mut router = Twice::of(observing(3));
    let mut asked = Vec::new();
    for slot in 1..=10 {
        let sent = [data(MessageKind::Action, B, A, 1)];
        router.slot(slot, &sent);
        // Once: not again where a range begins in the middle of a slot.
        router.vm.resume(&context(slot), None);
        let all = router.vm.deliveries(slot + DELAY, A);
        let (questions, others): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|message| message.kind == MessageKind::Observe);
        assert_eq!(others.len(), 1);
        // Before what was sent.
        assert_eq!(all.first() == questions.first(), !questions.is_empty());
        assert!(router.vm.deliveries(slot + DELAY, B).is_empty());
        asked.extend(questions.into_iter().map(|message| (slot, message)));
    }
    assert_eq!(asked, [(3, question(3)), (6, question(7)), (9, question(11))]);
    assert_eq!(MessageKind::Observe as u8, 4);
}

#[test]
fn the_spec_is_golden_and_bounded() {
    let spec = observing(0x0102);
    let golden = [
        &[2, 0, 0, 0, 2, 1, 0, 0, 0, 1][..],
        &[0; 20],
        &[0; 31],
        &[100, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 1, 0, 0],
    ];
    assert_eq!(spec.to_bytes(), golden.concat());
    assert_eq!(RouterSpec::from_bytes(&spec.to_bytes()), Ok(spec));
    let read = |of: EnvironmentId, observes: Observes| {
        let mut spec = self::spec();
        spec.environments[usize::from(of == B)].observes = Some(observes);
        RouterSpec::from_bytes(&spec.to_bytes()).is_ok()
    };
    let observes = |environment, every_slots| Observes { environment, every_slots };
    // A is before what it observes.
    assert!(read(A, observes(B, 1)));
    assert!(read(B, observes(A, OBSERVE_EVERY_SLOTS_MAX)));
    for refused in [
        observes(A, 0),
        observes(A, OBSERVE_EVERY_SLOTS_MAX + 1),
        observes(B, 1),
        observes(NOWHERE, 1),
        observes(ROUTER, 1),
    ] {
        assert!(!read(B, refused), "{refused:?}");
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let environment = || prop_oneof![Just(ROUTER), Just(A), Just(B), Just(NOWHERE)];
    let source = prop_oneof![1 => Just(ROUTER), 3 => Just(A), 3 => Just(B)];
    let money = (source, environment(), 0..2u8, 0..60u64)
        .prop_map(|(source, to, t, amount)| message(source, to, token(t), amount));
    let kinds = [MessageKind::Action, MessageKind::Observe, MessageKind::Observation];
    let bytes = prop_oneof![6 => 0..40usize, 1 => 8190..8196usize];
    let other = (prop::sample::select(kinds.to_vec()), any::<bool>(), environment(), bytes)
        .prop_map(|(kind, first, to, bytes)| data(kind, if first { A } else { B }, to, bytes));
    prop_oneof![2 => money, 1 => other]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_environment_pays_more_than_it_has(
        slots in prop::collection::vec(prop::collection::vec(any_message(), 0..80), 1..6)
    ) {
        let mut router = Twice::of(observing(2));
        let mut balances: BTreeMap<(EnvironmentId, Address), u64> = BTreeMap::new();
        balances.insert((A, token(0)), 100);
        let (mut out, mut number) = (0u64, 0u64);
        let mut expected: BTreeMap<(u64, EnvironmentId), Vec<Message>> = BTreeMap::new();
        for (slot, messages) in slots.iter().enumerate() {
            let slot = slot as u64 + 1;
            if slot.is_multiple_of(2) {
                number += 1;
                expected.entry((slot + DELAY, A)).or_default().push(question(number));
            }
            for m in messages {
                let amount = m.amount.to::<u64>();
                let balance = *balances.entry((m.source, m.token)).or_default();
                let runs = m.destination == A || m.destination == B;
                let mut deliver = |message: Message| {
                    number += 1;
                    let at = (slot + DELAY, message.destination);
                    expected.entry(at).or_default().push(Message { number, ..message });
                };
                if m.kind != MessageKind::Transfer {
                    let own = m.kind != MessageKind::Observe && m.data.len() <= 8192;
                    if own && runs && m.destination != m.source {
                        deliver(m.clone());
                    }
                } else if m.source == ROUTER {
                    if runs {
                        *balances.entry((m.destination, m.token)).or_default() += amount;
                    } else {
                        out += 1;
                    }
                } else if m.destination == ROUTER && balance >= amount {
                    *balances.get_mut(&(m.source, m.token)).unwrap() -= amount;
                    out += 1;
                } else if runs && m.destination != m.source && balance >= amount {
                    *balances.get_mut(&(m.source, m.token)).unwrap() -= amount;
                    *balances.entry((m.destination, m.token)).or_default() += amount;
                    deliver(m.clone());
                } else {
                    deliver(m.bounced());
                }
            }
            router.slot(slot, messages);
            for environment in [A, B] {
                let at = (slot + DELAY, environment);
                let wanted = expected.get(&at).cloned().unwrap_or_default();
                prop_assert_eq!(router.vm.deliveries(at.0, at.1), wanted);
                for t in 0..2 {
                    let found = router.vm.ledger(environment, token(t)).balance();
                    let wanted = balances.get(&(environment, token(t))).copied();
                    prop_assert_eq!(found, U256::from(wanted.unwrap_or_default()));
                }
            }
            prop_assert_eq!(router.vm.withdrawals().count(), out);
            prop_assert!(router.vm.audit().iter().all(|asset| asset.conserved));
        }
    }
}
