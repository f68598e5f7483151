//! Blocks of EVM transactions in parallel give what they give one after the other: results, errors, state,
//! and what was read, under every hardfork that differs in what is destroyed, empty or delegated.

use atoll_executor::parallel::{BlockError, BlockReport, Ended, EvmParallel, Limits};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::{Address, B256, U256, keccak256};
use atoll_vm::evm::objects::{EvmTables, SlotKey};
use atoll_vm::evm::parallel::{EvmBatch, EvmKey, EvmValue, Invalid};
use atoll_vm::evm::transition::{
    self, AccessList, AccessListItem, Authorization, BlockEnv, BlockHashes, CfgEnv, Either,
    Executed, RecoveredAuthority, RecoveredAuthorization, SpecId, TransitionContext, TxEnv, TxKind,
};
use atoll_vm::evm::{Bytes, FeeToken};
use atoll_vm::parallel::{Aspect, Batch, Interrupted, Version, Versions, View};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

const SPECS: [SpecId; 7] = [
    SpecId::FRONTIER,
    SpecId::TANGERINE,
    SpecId::SPURIOUS_DRAGON,
    SpecId::ISTANBUL,
    SpecId::SHANGHAI,
    SpecId::CANCUN,
    SpecId::OSAKA,
];
const CONTRACTS: u8 = 4;
const MINER: Address = Address::repeat_byte(0x3e);

fn sender(n: u8) -> Address {
    Address::repeat_byte(0x10 + n)
}

fn contract(n: u8) -> Address {
    Address::repeat_byte(0xc0 + n)
}

/// What a contract does, one step after the other.
#[derive(Clone, Debug)]
enum Step {
    /// `slot = n`
    Store(u8, u8),
    /// `slot = other slot + 1`
    Count(u8, u8),
    /// `slot = balance of it`
    Balance(u8, u8),
    /// `slot = own balance`
    OwnBalance(u8),
    /// `slot = code hash of it`
    CodeHash(u8, u8),
    /// Calls it with so much money.
    Call(u8, u8),
    /// Executes its code here.
    Delegate(u8),
    /// Creates a child with CREATE2 and so much money.
    Create(u8, u8),
    /// Destroys itself in favour of it.
    Destroy(u8),
    /// Logs a slot.
    Log(u8),
    /// Goes on only if the slot is even.
    IfEven(u8),
    /// One more of this contract's token for somebody.
    Mint(u8),
    Revert,
    Invalid,
}

/// Destroys itself in favour of the caller if it is called with money; else counts its calls.
const CHILD: [u8; 16] = [
    0x34, 0x60, 0x0d, 0x57, 0x60, 0x01, 0x54, 0x60, 0x01, 0x01, 0x60, 0x01, 0x55, 0x5b, 0x33, 0xff,
];

/// Deploys [`CHILD`]; slot 1 is 7 from the beginning.
fn child_init() -> Vec<u8> {
    let mut code = vec![0x60, 7, 0x60, 1, 0x55];
    // The code before it and what copies it: 11 bytes more.
    code.extend([0x60, 16, 0x60, 17, 0x60, 0, 0x39, 0x60, 16, 0x60, 0, 0xf3]);
    code.extend(CHILD);
    code
}

/// Everybody that anything is done to: by a number.
fn somebody(n: u8) -> Address {
    match n % 16 {
        n @ 0..4 => sender(n),
        n @ 4..8 => contract(n - 4),
        // Children of contracts 0 and 1.
        n @ 8..12 => {
            let salt = B256::with_last_byte((n - 8) % 2);
            contract((n - 8) / 2).create2(salt, keccak256(child_init()))
        }
        12 => MINER,
        // Rich beyond counting.
        13 => Address::repeat_byte(0xff),
        n => Address::repeat_byte(0x77 + n),
    }
}

fn push_address(code: &mut Vec<u8>, n: u8) {
    code.push(0x73);
    code.extend(somebody(n).as_slice());
}

fn assemble(steps: &[Step], spec: SpecId) -> Vec<u8> {
    let mut code = Vec::new();
    let store = |code: &mut Vec<u8>, slot: u8| code.extend([0x60, slot, 0x55]);
    for step in steps {
        match *step {
            Step::Store(slot, n) => code.extend([0x60, n, 0x60, slot, 0x55]),
            Step::Count(slot, from) => {
                code.extend([0x60, from, 0x54, 0x60, 1, 0x01]);
                store(&mut code, slot);
            }
            Step::Balance(slot, of) => {
                push_address(&mut code, of);
                code.push(0x31);
                store(&mut code, slot);
            }
            Step::OwnBalance(slot) if spec.is_enabled_in(SpecId::ISTANBUL) => {
                code.push(0x47);
                store(&mut code, slot);
            }
            Step::OwnBalance(slot) => {
                code.extend([0x30, 0x31]);
                store(&mut code, slot);
            }
            Step::CodeHash(slot, of) => {
                push_address(&mut code, of);
                let petersburg = spec.is_enabled_in(SpecId::PETERSBURG);
                code.push(if petersburg { 0x3f } else { 0x3b });
                store(&mut code, slot);
            }
            Step::Call(to, value) => {
                code.extend([0x60, 0, 0x60, 0, 0x60, 0, 0x60, 0, 0x60, value]);
                push_address(&mut code, to);
                code.extend([0x61, 0xc3, 0x50, 0xf1, 0x50]);
            }
            Step::Delegate(to) if spec.is_enabled_in(SpecId::HOMESTEAD) => {
                code.extend([0x60, 0, 0x60, 0, 0x60, 0, 0x60, 0]);
                push_address(&mut code, to);
                code.extend([0x61, 0xc3, 0x50, 0xf4, 0x50]);
            }
            Step::Delegate(_) => {}
            Step::Create(salt, value) => {
                let init = child_init();
                for (at, byte) in init.iter().enumerate() {
                    code.extend([0x60, *byte, 0x60, at as u8, 0x53]);
                }
                match spec.is_enabled_in(SpecId::PETERSBURG) {
                    true => {
                        let size = init.len() as u8;
                        code.extend([0x60, salt % 2, 0x60, size, 0x60, 0, 0x60, value, 0xf5, 0x50]);
                    }
                    false => {
                        code.extend([0x60, init.len() as u8, 0x60, 0, 0x60, value, 0xf0, 0x50]);
                    }
                }
            }
            Step::Destroy(to) => {
                push_address(&mut code, to);
                code.push(0xff);
            }
            Step::Log(slot) => {
                code.extend([0x60, slot, 0x54, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xa0]);
            }
            Step::IfEven(slot) => {
                let [high, low] = (code.len() as u16 + 12).to_be_bytes();
                code.extend([0x60, 1, 0x60, slot, 0x54, 0x16, 0x15, 0x61, high, low, 0x57]);
                code.extend([0x00, 0x5b]);
            }
            Step::Mint(to) => {
                let slot = token(0).slot_of(somebody(to)).to_be_bytes::<32>();
                code.push(0x7f);
                code.extend(slot);
                code.extend([0x54, 0x60, 1, 0x01, 0x7f]);
                code.extend(slot);
                code.push(0x55);
            }
            // REVERT came with Byzantium.
            Step::Revert => code.extend([0x60, 0, 0x60, 0, 0xfd]),
            Step::Invalid => code.push(0xfe),
        }
    }
    code
}

/// A contract that fees may be paid in the token of.
fn token(n: u8) -> FeeToken {
    let price = 10u128.pow(18 - u32::from(n));
    FeeToken { token: contract(n), balances_slot: U256::from(9), price }
}

#[derive(Clone, Debug)]
struct Sent {
    from: u8,
    /// Of everybody; above that a creation.
    to: u8,
    value: u64,
    gas: u64,
    nonce_off: bool,
    kind: u8,
    listed: u8,
}

#[derive(Clone, Debug)]
struct Case {
    spec: usize,
    codes: Vec<Vec<Step>>,
    sent: Vec<Sent>,
    gas_limit: u64,
    base_fee: u64,
    /// Whether the fee recipient exists in the beginning: 0 no, 1 empty, 2 with money.
    miner: u8,
    /// Money of the last sender.
    poor: u64,
    /// How many of the contracts are tokens that fees may be paid in.
    tokens: u8,
    /// What the last sender has of each of them.
    held: u64,
    /// What the fee recipient has of each of them.
    received: U256,
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, who, few) = (0..4u8, 0..16u8, 0..4u8);
    prop_oneof![
        3 => (slot.clone(), few.clone()).prop_map(|(slot, n)| Step::Store(slot, n)),
        4 => (slot.clone(), slot.clone()).prop_map(|(slot, from)| Step::Count(slot, from)),
        2 => (slot.clone(), who.clone()).prop_map(|(slot, of)| Step::Balance(slot, of)),
        2 => slot.clone().prop_map(Step::OwnBalance),
        1 => (slot.clone(), who.clone()).prop_map(|(slot, of)| Step::CodeHash(slot, of)),
        4 => (who.clone(), few.clone()).prop_map(|(to, value)| Step::Call(to, value)),
        1 => (4..12u8).prop_map(Step::Delegate),
        2 => (few.clone(), few).prop_map(|(salt, value)| Step::Create(salt, value)),
        2 => who.prop_map(Step::Destroy),
        1 => slot.clone().prop_map(Step::Log),
        1 => slot.prop_map(Step::IfEven),
        1 => prop_oneof![Just(3u8), Just(12)].prop_map(Step::Mint),
        1 => prop_oneof![Just(Step::Revert), Just(Step::Invalid)],
    ]
}

prop_compose! {
    fn sent()(
        from in 0..5u8,
        to in 0..17u8,
        value in prop_oneof![3 => 0..5u64, 1 => 0..2_000_000u64],
        gas in prop_oneof![4 => Just(300_000u64), 1 => Just(60_000), 1 => 20_900..90_000u64],
        nonce_off in prop::bool::weighted(0.004),
        kind in 0..5u8,
        listed in 0..8u8,
    ) -> Sent {
        Sent { from, to, value, gas, nonce_off, kind, listed }
    }
}

prop_compose! {
    fn case()(
        spec in 0..SPECS.len(),
        codes in prop::collection::vec(prop::collection::vec(step(), 0..6), CONTRACTS as usize),
        sent in prop::collection::vec(sent(), 1..24),
        gas_limit in prop_oneof![3 => Just(30_000_000u64), 1 => 300_000..3_000_000u64],
        base_fee in 0..3u64,
        miner in 0..3u8,
        poor in prop_oneof![Just(1 << 40), 0..3_000_000u64],
        tokens in 0..3u8,
        held in prop_oneof![3 => Just(1 << 40), 1 => 0..3_000_000u64],
        received in prop_oneof![
            2 => Just(U256::ZERO),
            2 => Just(U256::from(7)),
            1 => Just(U256::MAX - U256::from(200_000)),
        ],
    ) -> Case {
        Case { spec, codes, sent, gas_limit, base_fee, miner, poor, tokens, held, received }
    }
}

impl Case {
    fn spec(&self) -> SpecId {
        SPECS[self.spec]
    }

    /// Environments have no older rules.
    fn fee_tokens(&self) -> Vec<FeeToken> {
        let any = self.spec().is_enabled_in(SpecId::CANCUN);
        (0..if any { self.tokens } else { 0 }).map(token).collect()
    }

    fn tables(&self) -> EvmTables<Resident> {
        let (spec, mut tables) = (self.spec(), EvmTables::new(0));
        let mut put = |address, account, code: Vec<u8>, slots: Vec<(U256, U256)>| {
            transition::put_account(&mut tables, spec, address, account, code.into(), slots);
        };
        for n in 0..4 {
            let balance = if n == 3 { self.poor } else { 1 << 40 };
            put(sender(n), (u64::from(n), U256::from(balance)), vec![], vec![]);
        }
        for (n, steps) in (0..).zip(&self.codes) {
            let mut slots = vec![(U256::from(1), U256::from(n)), (U256::from(2), U256::from(5))];
            slots.push((token(n).slot_of(sender(3)), U256::from(self.held)));
            slots.push((token(n).slot_of(MINER), self.received));
            put(contract(n), (1, U256::from(20)), assemble(steps, spec), slots);
        }
        put(somebody(13), (1, U256::MAX - U256::from(30)), vec![], vec![]);
        match self.miner {
            0 => {}
            1 => put(MINER, (0, U256::ZERO), vec![], vec![]),
            _ => put(MINER, (0, U256::from(7)), vec![], vec![]),
        }
        object::seal(&mut tables, &mut WriteSet::default(), None);
        object::begin(&mut tables);
        tables
    }

    fn transactions(&self) -> Vec<TxEnv> {
        // The fee recipient sends, too, once it has been paid.
        let mut nonces: BTreeMap<u8, u64> = (0..4).map(|n| (n, u64::from(n))).collect();
        let sent = self.sent.iter().map(|sent| {
            let from = if sent.from < 4 || self.miner < 2 { sent.from % 4 } else { 12 };
            let nonce = nonces.entry(from).or_default();
            let spec = self.spec();
            let kind = match sent.kind {
                1 if spec.is_enabled_in(SpecId::BERLIN) => 1,
                2 if spec.is_enabled_in(SpecId::LONDON) => 2,
                4 if spec.is_enabled_in(SpecId::PRAGUE) && sent.to < 16 => 4,
                _ => 0,
            };
            let listed = AccessListItem {
                address: contract(sent.listed % CONTRACTS),
                storage_keys: vec![B256::with_last_byte(1), B256::with_last_byte(2)],
            };
            // A sender lends itself the code of a contract.
            let authority = RecoveredAuthority::Valid(sender(sent.listed % 4));
            let nonce_of = u64::from(sent.listed % 4) + u64::from(sent.listed / 4);
            let lent = Authorization {
                chain_id: U256::ZERO,
                address: contract(sent.listed % CONTRACTS),
                nonce: nonce_of,
            };
            let lent = Either::Right(RecoveredAuthorization::new_unchecked(lent, authority));
            let transaction = TxEnv {
                tx_type: kind,
                caller: somebody(from),
                gas_limit: sent.gas,
                gas_price: 3,
                kind: match sent.to {
                    16 => TxKind::Create,
                    to => TxKind::Call(somebody(to)),
                },
                value: U256::from(if from == 12 { 0 } else { sent.value }),
                data: if sent.to == 16 { child_init().into() } else { Bytes::new() },
                nonce: *nonce + u64::from(sent.nonce_off),
                chain_id: Some(1),
                access_list: AccessList(if kind > 0 { vec![listed] } else { vec![] }),
                gas_priority_fee: (kind >= 2).then_some(u128::from(sent.listed % 2)),
                blob_hashes: vec![],
                max_fee_per_blob_gas: 0,
                authorization_list: if kind == 4 { vec![lent] } else { vec![] },
            };
            *nonce += 1;
            transaction
        });
        sent.collect()
    }

    fn block(&self) -> BlockEnv {
        let london = self.spec().is_enabled_in(SpecId::LONDON);
        BlockEnv {
            number: U256::from(300),
            beneficiary: MINER,
            timestamp: U256::from(1000),
            gas_limit: self.gas_limit,
            basefee: if london { self.base_fee } else { 0 },
            ..BlockEnv::default()
        }
    }
}

/// What can be told apart from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    results: Result<Vec<String>, String>,
    writes: WriteSet,
    reads: WriteSet,
}

fn seen<E: std::fmt::Display>(
    results: Result<Vec<Executed>, E>,
    mut tables: EvmTables<Resident>,
) -> Seen {
    let results = results.map(|all| all.iter().map(|one| format!("{one:?}")).collect());
    let (mut writes, mut reads) = (WriteSet::default(), WriteSet::default());
    object::seal(&mut tables, &mut writes, Some(&mut reads));
    Seen { results: results.map_err(|error| error.to_string()), writes, reads }
}

/// How many threads, and up to how many have versions of their own.
type Way = (usize, usize);

const WAYS: [Way; 8] = [(1, 9), (2, 9), (3, 9), (8, 9), (2, 0), (8, 0), (2, NODE), (8, NODE)];

/// Stands for limits of a node, but that everything is worth the while and long: some goes serially before
/// there are threads to share with, some after it was given up.
const NODE: usize = 5;

fn limits(few_threads: usize) -> Limits {
    match few_threads {
        NODE => {
            let (weight_min, give_up_mean, chained_max, batch_max) = (0, 1, u64::MAX, 7);
            Limits { weight_min, give_up_mean, chained_max, batch_max, ..Limits::default() }
        }
        _ => Limits { few_threads, ..Limits::always() },
    }
}

fn with_threads<R>(way: Way, run: impl FnOnce(&mut EvmParallel) -> R) -> R {
    static POOLS: Mutex<BTreeMap<Way, EvmParallel>> = Mutex::new(BTreeMap::new());
    let taken = POOLS.lock().unwrap().remove(&way);
    let (threads, few_threads) = way;
    let new = || EvmParallel::new(threads, 3).expect("threads").with_limits(limits(few_threads));
    let mut parallel = taken.unwrap_or_else(new);
    let result = run(&mut parallel);
    POOLS.lock().unwrap().insert(way, parallel);
    result
}

fn differs(way: Way, parallel: &Seen, serial: &Seen) -> String {
    let (Ok(found), Ok(expected)) = (&parallel.results, &serial.results) else {
        let short = |seen: &Seen| seen.results.as_ref().map(Vec::len).map_err(Clone::clone);
        return format!("{way:?}: {:?}, serially {:?}", short(parallel), short(serial));
    };
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let at = at.unwrap_or_default();
    format!("{way:?}, {at}: {:?}, serially {:?}", found.get(at), expected.get(at))
}

/// Where two states differ.
fn state_differs(way: Way, parallel: &Seen, serial: &Seen) -> String {
    let has = |seen: &Seen| -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        seen.writes.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect()
    };
    let (found, expected) = (has(parallel), has(serial));
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differing = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let differing: Vec<_> = differing
        .map(|key| {
            format!("{key:02x?}: {:02x?}, serially {:02x?}", found.get(key), expected.get(key))
        })
        .collect();
    format!("{way:?}: another state, or written in another order: {differing:#?}")
}

/// Says whether the block was executed to its end.
fn check(case: &Case) -> bool {
    let (mut config, block) = (CfgEnv::new_with_spec(case.spec()), case.block());
    config.disable_eip3607 = true;
    let hashes = BlockHashes::Known(&|number| Some(B256::from(U256::from(number))));
    let tokens = case.fee_tokens();
    let ethereum = TransitionContext::ethereum(&config, &block, hashes);
    let context = TransitionContext { fee_tokens: &tokens, ..ethereum };
    let transactions = case.transactions();
    let mut tables = case.tables();
    let serial = transition::execute_block(&mut tables, &context, &transactions);
    let whole = serial.is_ok();
    let serial = seen(serial, tables);
    for way in WAYS {
        let (mut tables, mut told) = (case.tables(), Vec::new());
        let parallel = with_threads(way, |parallel| {
            let told = &mut |index| told.push(index);
            parallel.execute_block(&mut tables, &context, &transactions, true, told)
        });
        if let Ok((executed, _)) = &parallel {
            assert_eq!(told, (0..executed.len()).collect::<Vec<_>>(), "told in order, once");
        }
        let parallel = seen::<BlockError>(parallel.map(|(executed, _)| executed), tables);
        assert!(parallel.results == serial.results, "{}", differs(way, &parallel, &serial));
        let same = parallel.writes == serial.writes;
        assert!(same, "{}", state_differs(way, &parallel, &serial));
        assert!(parallel.reads == serial.reads, "{way:?}: other reads");
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn random_blocks(case in case()) {
        check(&case);
    }
}

fn plain(spec: SpecId, codes: Vec<Vec<Step>>, sent: Vec<(u8, u8, u64)>) -> Case {
    let sent = sent.into_iter().map(|(from, to, value)| Sent {
        from,
        to,
        value,
        gas: 300_000,
        nonce_off: false,
        kind: 0,
        listed: 0,
    });
    Case {
        spec: SPECS.iter().position(|other| *other == spec).expect("a spec of the list"),
        codes: codes.into_iter().chain(std::iter::repeat(vec![])).take(4).collect(),
        sent: sent.collect(),
        gas_limit: 30_000_000,
        base_fee: 1,
        miner: 2,
        poor: 1 << 40,
        tokens: 0,
        held: 0,
        received: U256::ZERO,
    }
}

#[test]
fn who_is_only_paid_makes_nobody_wait() {
    // Three senders, one recipient with a history, one fee recipient: nothing but the senders' own
    // order is in the way.
    let sent = (0..60).map(|n| (n % 3, 7, 3)).collect();
    let case = plain(SpecId::OSAKA, vec![], sent);
    assert!(check(&case));
    let (config, block) = (CfgEnv::new_with_spec(case.spec()), case.block());
    let hashes = BlockHashes::Known(&|_| None);
    let context = TransitionContext::ethereum(&config, &block, hashes);
    let (_, report) = with_threads((8, 0), |parallel| {
        let (tables, transactions) = (&mut case.tables(), case.transactions());
        parallel.execute_block(tables, &context, &transactions, true, &mut |_| {}).expect("valid")
    });
    let conflicts = atoll_executor::parallel::Conflicts::of(
        &report.accesses,
        vec![1; 60],
        &report.report.clashes,
    );
    assert_eq!(conflicts.chain.len(), 20, "{conflicts:?}");
    assert_eq!(conflicts.keys.len(), 6, "nonces and balances of senders: {conflicts:?}");
}

#[test]
fn fees_in_a_token_make_nobody_wait() {
    // Three senders without native currency: what the fee recipient gets is added up.
    let sent = (0..60).map(|n| (n % 3, 7, 0)).collect();
    let mut case = Case { tokens: 1, ..plain(SpecId::OSAKA, vec![], sent) };
    case.received = U256::from(7);
    let fill = |tables: &mut EvmTables<Resident>| {
        let slot = |n| (token(0).slot_of(sender(n)), U256::from(1u64 << 40));
        let spec = case.spec();
        for n in 0..3 {
            let nonce_and_balance = (u64::from(n), U256::ZERO);
            transition::put_account(tables, spec, sender(n), nonce_and_balance, Bytes::new(), []);
        }
        let slots = (0..3).map(slot).chain([(token(0).slot_of(MINER), case.received)]);
        transition::put_account(
            tables,
            spec,
            contract(0),
            (1, U256::ZERO),
            Bytes::from_static(&[0]),
            slots,
        );
        object::seal(tables, &mut WriteSet::default(), None);
        object::begin(tables);
    };
    let (config, block, tokens) = (CfgEnv::new_with_spec(case.spec()), case.block(), [token(0)]);
    let ethereum = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&|_| None));
    let context = TransitionContext { fee_tokens: &tokens, ..ethereum };
    let transactions = case.transactions();
    let (mut one, mut other) = (case.tables(), case.tables());
    [&mut one, &mut other].into_iter().for_each(fill);
    let serial = transition::execute_block(&mut one, &context, &transactions).expect("valid");
    assert!(serial.iter().all(|executed| executed.fee_token == Some(contract(0))));
    let (executed, report) = with_threads((8, 0), |parallel| {
        parallel
            .execute_block(&mut other, &context, &transactions, true, &mut |_| {})
            .expect("valid")
    });
    let conflicts = atoll_executor::parallel::Conflicts::of(
        &report.accesses,
        vec![1; 60],
        &report.report.clashes,
    );
    assert_eq!(conflicts.chain.len(), 20, "{conflicts:?}");
    // What 60 payments of 21,000 gas at 3 wei cost.
    let key = SlotKey { address: contract(0), slot: token(0).slot_of(MINER) };
    let received = other.storage().find(|(other, _)| **other == key).map(|(_, held)| held);
    assert_eq!(received, Some(U256::from(7 + 60 * 21_000 * 3)));
    assert_eq!(seen::<BlockError>(Ok(executed), other), seen::<BlockError>(Ok(serial), one));
}

#[test]
fn a_fee_of_nothing_reads_what_any_other_reads() {
    // The largest fee is one, and so the token is who pays; the price is nothing.
    let mut sent = plain(SpecId::OSAKA, vec![], vec![(3, 7, 0); 3]).sent;
    sent.iter_mut().for_each(|sent| sent.kind = 2);
    let tokens = Case {
        tokens: 1,
        poor: 5,
        held: 1 << 40,
        base_fee: 0,
        sent,
        ..plain(SpecId::OSAKA, vec![], vec![])
    };
    assert!(check(&tokens));
}

#[test]
fn tokens_that_do_not_fit_are_found_in_order() {
    // The recipient has room for the fees of three transactions.
    let sent = (0..20).map(|n| (if n % 2 == 0 { 3 } else { n % 3 }, 7, 0)).collect();
    let case = Case {
        tokens: 1,
        poor: 5,
        held: 1 << 40,
        received: U256::MAX - U256::from(200_000),
        ..plain(SpecId::OSAKA, vec![], sent)
    };
    assert!(check(&case));
    // Somebody adds to what it has in between, and reads it.
    let codes = vec![vec![Step::Mint(12)]];
    let sent = (0..20).map(|n| (if n % 2 == 0 { 3 } else { n % 3 }, 4, 0)).collect();
    let case = Case { received: U256::from(7), ..Case { codes: vec![], ..case.clone() } };
    let minting = plain(SpecId::OSAKA, codes, sent);
    assert!(check(&Case { codes: minting.codes, sent: minting.sent, ..case }));
}

#[test]
fn what_is_destroyed_and_created_again_has_no_storage() {
    for spec in [SpecId::ISTANBUL, SpecId::SHANGHAI, SpecId::CANCUN, SpecId::OSAKA] {
        // Contract 0 makes a child, which others call (it counts) and destroy, again and again.
        let codes = vec![vec![Step::Create(0, 0)], vec![Step::Call(8, 0), Step::Call(8, 1)]];
        let turns = [(0, 4, 0), (1, 8, 0), (2, 8, 0), (0, 5, 0), (1, 8, 0), (2, 4, 0), (0, 8, 0)];
        let case = plain(spec, codes, turns.into_iter().cycle().take(42).collect());
        // What is wrong here may need a rare schedule.
        (0..10).for_each(|_| assert!(check(&case), "{spec:?}"));
    }
}

#[test]
fn money_that_does_not_fit_is_found_in_order() {
    // Account 13 has room for 30 wei.
    let sent = (0..20).map(|n| (n % 3, 13, 4)).collect();
    assert!(check(&plain(SpecId::OSAKA, vec![], sent)));
    let by_call = vec![vec![Step::Call(13, 3), Step::Count(1, 1)]];
    assert!(check(&plain(SpecId::OSAKA, by_call, (0..20).map(|n| (n % 3, 4, 0)).collect())));
}

/// The state before a block, for every transaction of it.
struct Before<'a, 's>(&'a EvmBatch<'s>);

impl<'s> Versions<EvmBatch<'s>> for Before<'_, 's> {
    fn see(&self, _: Version, key: &EvmKey, _: Aspect) -> Result<EvmValue, Interrupted> {
        Ok(self.0.base(key))
    }
}

#[test]
fn whether_money_fits_is_looked_at_where_it_may_not() {
    // Account 13 has room for 30: what it has when its turn comes decides, whatever is seen before.
    let codes = vec![vec![Step::Call(13, 12)], vec![Step::Destroy(13)]];
    let sent = vec![(0, 13, 31), (1, 4, 0), (2, 5, 0), (3, 7, 1)];
    let case = plain(SpecId::OSAKA, codes, sent);
    let (config, block, tables) = (CfgEnv::new_with_spec(case.spec()), case.block(), case.tables());
    let context = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&|_| None));
    let transactions = case.transactions();
    let batch = EvmBatch::new(&tables, &context, &transactions, block.gas_limit, Invalid::Ends);
    let before = Before(&batch);
    let mut worker = batch.worker(&before);
    let mut aspects = |index, of| {
        let mut view = View::new(&before, Version { index, incarnation: 0 }, false);
        batch.execute(&mut worker, &mut view).expect("not interrupted");
        let reads = view.into_access().reads;
        let of = EvmKey::Balance(somebody(of));
        reads.into_iter().filter(|read| read.key == of).map(|read| read.aspect).collect::<Vec<_>>()
    };
    for index in 0..3 {
        assert_eq!(aspects(index, 13), [Aspect::Whole], "transaction {index}");
    }
    // Anybody else is added to.
    assert_eq!(aspects(3, 7), [Aspect::Nothing]);
    assert!(check(&case));
}

#[test]
fn one_senders_chain_is_executed_serially() {
    let code = vec![(0..20).map(|n| Step::Count(n, n)).collect()];
    // By how many hundredths of the calls are the first sender's; payments weigh nothing.
    let of = |hundredths: u32| -> Vec<(u8, u8, u64)> {
        let turn = |n: u32| if n * 61 % 100 < hundredths { 0 } else { 1 + n as u8 % 3 };
        (0..100).map(|n| (turn(n), 4, 0)).chain((0..100).map(|n| (n as u8 % 3, 7, 1))).collect()
    };
    let executed = |hundredths, limits| {
        let case = plain(SpecId::OSAKA, code.clone(), of(hundredths));
        let case = Case { gas_limit: 100_000_000, ..case };
        let (config, block) = (CfgEnv::new_with_spec(case.spec()), case.block());
        let context = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&|_| None));
        let (transactions, mut tables) = (case.transactions(), case.tables());
        let mut batch = EvmBatch::new(&tables, &context, &transactions, u64::MAX, Invalid::Ends);
        batch.chain();
        assert_eq!(batch.chained(), u64::from(hundredths));
        let mut parallel = EvmParallel::new(2, 0).expect("threads").with_limits(limits);
        parallel.wake(&tables, &context, &transactions);
        let each = &mut |_| {};
        let ended = parallel.execute_block(&mut tables, &context, &transactions, false, each);
        let (executed, BlockReport { ended, report, .. }) = ended.expect("a block");
        assert_eq!(executed.len(), 200);
        (ended, report.executions > 0)
    };
    // What pays by time and by weight is no question here.
    let limits = Limits { give_up_mean: 0, short_mean: 0, weight_min: 0, ..Limits::default() };
    assert_eq!(executed(60, limits), (Ended::Serial, false));
    // Threads that are busy elsewhere may come too late.
    let in_parallel =
        |hundredths, limits| (0..50).any(|_| executed(hundredths, limits) == (Ended::All, true));
    assert!(in_parallel(60, Limits { chained_max: 61, ..limits }));
    assert!(in_parallel(50, limits));
}

#[test]
fn gas_that_runs_out_at_a_conflict() {
    // Every call counts in the same slot, some with too little gas for it.
    let codes = vec![vec![Step::Count(1, 1), Step::Count(2, 1), Step::Count(3, 2)]];
    let mut case = plain(SpecId::OSAKA, codes, (0..40).map(|n| (n % 3, 4, 0)).collect());
    for (n, sent) in case.sent.iter_mut().enumerate() {
        sent.gas = [300_000, 26_000, 29_000, 31_000][n % 4];
    }
    assert!(check(&case));
    // And the block's.
    case.gas_limit = 700_000;
    assert!(!check(&case), "there is no room for all");
}

#[test]
fn a_nonce_gap_and_missing_money_end_a_block_where_they_do_serially() {
    let count = vec![vec![Step::Count(1, 1)]];
    let mut case = plain(SpecId::OSAKA, count, (0..30).map(|n| (n % 4, 4, 0)).collect());
    assert!(check(&case));
    case.poor = 1_000_000;
    assert!(!check(&case), "the fourth sender cannot pay");
    case.poor = 1 << 40;
    case.sent[17].nonce_off = true;
    assert!(!check(&case), "a gap");
}

#[test]
fn a_balance_that_is_looked_at_sees_all_that_was_paid() {
    // Contract 0 writes the fee recipient's balance down, contract 1 its own; both are paid by all.
    let codes = vec![
        vec![Step::Balance(1, 12), Step::Log(1)],
        vec![Step::OwnBalance(1), Step::Log(1)],
        vec![Step::Call(5, 1), Step::Call(12, 1), Step::Count(3, 3)],
    ];
    let turns = [(0, 6, 0), (1, 6, 9), (2, 5, 1), (3, 4, 1), (0, 5, 2), (1, 15, 3), (2, 6, 2)];
    for spec in SPECS {
        let case = plain(spec, codes.clone(), turns.into_iter().cycle().take(35).collect());
        assert!(check(&case), "{spec:?}");
    }
}
