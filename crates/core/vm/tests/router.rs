//! The router against a naive twin: what each environment may still pay, what is delivered when,
//! which withdrawals there are.

use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_state::object::{self, ReadSet};
use atoll_state::proof::VerifiedWitness;
use atoll_state::{Resident, Witnessed, WriteSet};
use atoll_types::hub::{ROUTER, WithdrawalTree};
use atoll_types::{
    Address, B256, Decode, EnvironmentId, Message, MessageKind, NetworkId, RejectCode, U256,
    Withdrawal,
};
use atoll_vm::router::{Funding, RoutedEnvironment, RouterSpec, RouterVm, net_transfers};
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

fn context(slot: u64) -> SlotContext {
    SlotContext { slot, ..SlotContext::default() }
}

/// A router on full state that checks each slot again from its witness alone.
struct Twice {
    vm: RouterVm<Resident>,
    db: MemoryDb,
}

impl Twice {
    fn new() -> Self {
        let mut vm = RouterVm::new(identity(), spec(), 7);
        object::begin(&mut vm);
        vm.genesis();
        let mut writes = WriteSet::default();
        object::seal(&mut vm, &mut writes, None);
        let mut db = MemoryDb::default();
        db.commit(&writes);
        Self { vm, db }
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
        let mut again = RouterVm::<Witnessed>::new(identity(), spec(), 8);
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

fn any_message() -> impl Strategy<Value = Message> {
    let environment = prop_oneof![Just(ROUTER), Just(A), Just(B), Just(NOWHERE)];
    let source = prop_oneof![1 => Just(ROUTER), 3 => Just(A), 3 => Just(B)];
    (source, environment, 0..2u8, 0..60u64)
        .prop_map(|(source, to, t, amount)| message(source, to, token(t), amount))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_environment_pays_more_than_it_has(
        slots in prop::collection::vec(prop::collection::vec(any_message(), 0..80), 1..6)
    ) {
        let mut router = Twice::new();
        let mut balances: BTreeMap<(EnvironmentId, Address), u64> = BTreeMap::new();
        balances.insert((A, token(0)), 100);
        let (mut out, mut number) = (0u64, 0u64);
        let mut expected: BTreeMap<(u64, EnvironmentId), Vec<Message>> = BTreeMap::new();
        for (slot, messages) in slots.iter().enumerate() {
            let slot = slot as u64 + 1;
            for m in messages {
                let amount = m.amount.to::<u64>();
                let balance = *balances.entry((m.source, m.token)).or_default();
                let runs = m.destination == A || m.destination == B;
                let mut deliver = |message: Message| {
                    number += 1;
                    let at = (slot + DELAY, message.destination);
                    expected.entry(at).or_default().push(Message { number, ..message });
                };
                if m.source == ROUTER {
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
