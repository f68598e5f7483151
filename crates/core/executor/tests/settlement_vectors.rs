//! The vectors that Rust and Solidity share: every hash and proof of `docs/SETTLEMENT.md`.
//!
//! Regenerate on purpose, with `ATOLL_WRITE_VECTORS=1 cargo test -p atoll-executor --test
//! settlement_vectors`; the contracts' tests read the same file.

use atoll_state::Object;
use atoll_state::db::{MemoryDb, StateDb, key_path, value_hash};
use atoll_types::hub::{ROUTER, WithdrawalTree, withdrawal_proof};
use atoll_types::statement::{
    availability_digest, router_outbox, span_leaf, statements_root, transfers_hash,
};
use atoll_types::{
    Address, B256, Commitment, Encode, EntryKind, EnvironmentId, HubEntry, NetTransfer, NetworkId,
    Statement, U256, Withdrawal, keccak256, merkle_proof, merkle_root,
};
use atoll_vm::evm::objects::{Account, AccountKey, SlotKey, StorageSlot};
use atoll_vm::exchange::claims::{Claim, ClaimKey, ClaimTotal, TokenKey};
use atoll_vm::router::objects::{Ledger, LedgerKey};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

fn word(seed: &str) -> B256 {
    keccak256(seed)
}

fn address(seed: &str) -> Address {
    Address::from_slice(&keccak256(seed)[12..])
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn words(list: &[B256]) -> Vec<String> {
    list.iter().map(text).collect()
}

fn queue() -> Value {
    let mut queue_hash = B256::ZERO;
    let entries = (0..6u64).map(|index| {
        let forced = index % 3 == 2;
        let or_zero = |address: Address| if forced { Address::ZERO } else { address };
        let entry = HubEntry {
            index,
            kind: if forced { EntryKind::Forced } else { EntryKind::Deposit },
            environment: EnvironmentId(1 + index as u32 % 2),
            from: address(&format!("from {index}")),
            to: or_zero(address(&format!("to {index}"))),
            token: or_zero(if index == 0 { Address::ZERO } else { address("token") }),
            amount: if forced { U256::ZERO } else { U256::from(10).pow(U256::from(6 * index + 1)) },
            data: if forced { vec![index as u8; 40] } else { Vec::new() },
            time_s: 1_700_000_000 + index,
        };
        queue_hash = entry.extend(&queue_hash);
        json!({
            "index": index, "kind": entry.kind as u8, "environment": entry.environment.0,
            "from": text(entry.from), "to": text(entry.to), "token": text(entry.token),
            "amount": text(entry.amount), "data": hex(&entry.data), "time": entry.time_s,
            "entry_hash": text(entry.hash()), "queue_hash": text(queue_hash),
        })
    });
    Value::Array(entries.collect())
}

fn withdrawals() -> (Value, WithdrawalTree) {
    let mut tree = WithdrawalTree::default();
    let list = (0..7u64).map(|index| Withdrawal {
        index,
        environment: EnvironmentId(1 + index as u32 % 2),
        from: address(&format!("sender {index}")),
        to: address(&format!("receiver {index}")),
        token: if index % 2 == 0 { Address::ZERO } else { address("token") },
        amount: U256::from(1_000_000u64 * (index + 1)),
    });
    let list: Vec<Withdrawal> = list.collect();
    let leaves: Vec<B256> = list.iter().map(Withdrawal::leaf).collect();
    leaves.iter().for_each(|leaf| assert!(tree.push(*leaf).is_some()));
    let proof = |index| words(&withdrawal_proof(&leaves, index).unwrap());
    let item = |w: &Withdrawal| {
        json!({
            "index": w.index, "environment": w.environment.0, "from": text(w.from),
            "to": text(w.to), "token": text(w.token), "amount": text(w.amount),
            "leaf": text(w.leaf()),
        })
    };
    let value = json!({
        "leaves": list.iter().map(item).collect::<Vec<_>>(),
        "root": text(tree.root()),
        "proofs": (0..7).map(proof).collect::<Vec<_>>(),
    });
    (value, tree)
}

fn transfers() -> Vec<NetTransfer> {
    let transfer = |environment, token, delta| NetTransfer {
        environment: EnvironmentId(environment),
        token,
        delta,
    };
    let token = address("token");
    vec![
        transfer(1, Address::ZERO, -5),
        transfer(1, token, 1 << 90),
        transfer(2, Address::ZERO, 5),
        transfer(2, token, -(1 << 90)),
    ]
}

fn statement(network: NetworkId, environment: u32, outbox: B256) -> Statement {
    let part = |name: &str| word(&format!("{name} {environment}"));
    Statement {
        protocol_version: 1,
        network,
        environment: EnvironmentId(environment),
        spec_hash: part("spec"),
        program_id: part("program"),
        slots: (41, 60),
        times_us: (1_700_000_004_100_000, 1_700_000_006_012_345 + u64::from(environment)),
        pre_root: part("pre"),
        post_root: part("post"),
        batch: part("batch"),
        hub_cursor: (2, 6),
        inbox: part("inbox"),
        outbox,
        receipts: part("receipts"),
        foreign_roots: B256::ZERO,
    }
}

fn statement_json(s: &Statement) -> Value {
    json!({
        "protocol_version": s.protocol_version, "network": text(s.network.0),
        "environment": s.environment.0, "spec_hash": text(s.spec_hash),
        "program_id": text(s.program_id), "first_slot": s.slots.0, "last_slot": s.slots.1,
        "first_time_us": s.times_us.0, "last_time_us": s.times_us.1,
        "pre_root": text(s.pre_root), "post_root": text(s.post_root), "batch": text(s.batch),
        "cursor_before": s.hub_cursor.0, "cursor_after": s.hub_cursor.1,
        "inbox": text(s.inbox), "outbox": text(s.outbox), "receipts": text(s.receipts),
        "foreign_roots": text(s.foreign_roots), "hash": text(s.hash()),
    })
}

/// An object's key and value as they stand in the state.
fn object<T: Object>(key: &T::Key, value: &T) -> (Vec<u8>, Vec<u8>) {
    ([&[T::TAG][..], &key.to_bytes()].concat(), value.to_bytes())
}

fn ledger() -> Ledger {
    Ledger {
        deposits: U256::from(1_000_000),
        inbound: U256::from(50),
        outbound: U256::from(40),
        withdrawals: U256::from(300),
    }
}

/// The objects that the escape hatch reads: it makes their keys itself, and takes the amounts out
/// of their values.
fn objects() -> Value {
    let (environment, token, holder) = (EnvironmentId(1), address("token"), address("holder"));
    let amount = U256::from(777);
    let render = |(key, value): (Vec<u8>, Vec<u8>), amount: U256| {
        let (key, value) = (hex(&key), hex(&value));
        json!({"key": key, "value": value, "amount": text(amount)})
    };
    let ledger = ledger();
    let sums = [ledger.deposits, ledger.inbound, ledger.outbound, ledger.withdrawals];
    let balances = [U256::ZERO, U256::from(255), U256::from(10).pow(U256::from(24)), U256::MAX];
    let account = |(at, balance): (usize, &U256)| {
        let account =
            Account { nonce: [0, 127, 128, u64::MAX][at], balance: *balance, ..coded(at) };
        render(object(&AccountKey(holder), &account), *balance)
    };
    let slot = U256::from_be_bytes(keccak256([holder.into_word().0, [0; 32]].concat()).0);
    let held = |balance: &U256| {
        render(object(&SlotKey { address: token, slot }, &StorageSlot(*balance)), *balance)
    };
    let total = U256::from(999_710);
    json!({
        "environment": environment.0, "token": text(token), "holder": text(holder),
        "ledger": {
            "sums": sums.map(text),
            "object": render(object(&LedgerKey { environment, token }, &ledger), U256::ZERO),
        },
        "claim": render(object(&ClaimKey { account: holder, token }, &Claim(amount)), amount),
        "claim_total": render(object(&TokenKey(token), &ClaimTotal(total)), total),
        "evm_accounts": balances.iter().enumerate().map(account).collect::<Vec<_>>(),
        "evm_slots": balances.iter().map(held).collect::<Vec<_>>(),
    })
}

/// Every other account is a contract.
fn coded(at: usize) -> Account {
    match at % 2 {
        0 => Account::default(),
        _ => Account { code_hash: word("code"), ..Account::default() },
    }
}

/// A state with objects of all kinds, and proofs of some.
fn state() -> Value {
    let token = address("token");
    let mut objects: Vec<(Vec<u8>, Vec<u8>)> =
        (0..60u8).map(|i| (vec![9, i], vec![i; usize::from(i) + 1])).collect();
    objects.push(object(&LedgerKey { environment: EnvironmentId(1), token }, &ledger()));
    let holder = ClaimKey { account: address("holder"), token };
    objects.push(object(&holder, &Claim(U256::from(777))));
    objects.push(object(&TokenKey(token), &ClaimTotal(U256::from(999_710))));
    let leaves = objects.iter().map(|(key, value)| (key_path(key), value_hash(value)));
    let db = MemoryDb::from_leaves(leaves.collect());
    let proofs = objects.iter().skip(55).map(|(key, value)| {
        let proof = db.prove_path(&key_path(key)).unwrap();
        assert!(proof.verify(&db.root(), &key_path(key), &value_hash(value)));
        json!({"key": hex(key), "value": hex(value), "siblings": words(&proof.0)})
    });
    json!({"root": text(db.root()), "proofs": proofs.collect::<Vec<_>>()})
}

/// Trees of one to nine leaves, odd ones among them: how a statement stands in a commitment.
fn merkle() -> Value {
    let tree = |n: usize| {
        let leaves: Vec<B256> = (0..n).map(|at| word(&format!("leaf {at} of {n}"))).collect();
        let slices: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.as_slice()).collect();
        let proof = |at| words(&merkle_proof(&slices, at).unwrap());
        json!({
            "leaves": words(&leaves),
            "root": text(merkle_root(slices.iter().copied())),
            "proofs": (0..n).map(proof).collect::<Vec<_>>(),
        })
    };
    (1..=9).map(tree).collect()
}

fn vectors() -> Value {
    let network = NetworkId(word("network"));
    let (withdrawals, tree) = withdrawals();
    let transfers = transfers();
    let moved = transfers_hash(&transfers);
    let outbox = router_outbox(tree.root(), tree.count(), moved);
    let statements = vec![
        statement(network, ROUTER.0, outbox),
        statement(network, 1, word("outbox 1")),
        statement(network, 2, word("outbox 2")),
    ];
    let spans = [((41, 50), word("data 1")), ((51, 60), word("data 2"))];
    let leaves = spans.map(|(slots, root)| span_leaf(slots, root));
    let data = merkle_root(leaves.iter().map(|leaf| leaf.as_slice()));
    let queue = queue();
    let commitment = Commitment {
        network,
        previous: word("commitment before"),
        number: 3,
        slots: (41, 60),
        slot_hash: word("slot 60"),
        cursor: 6,
        queue_hash: queue[5]["queue_hash"].as_str().unwrap().parse().unwrap(),
        statements: statements_root(&statements),
        withdrawals_root: tree.root(),
        withdrawals_count: tree.count(),
        transfers: moved,
        data,
    };
    let transfer = |t: &NetTransfer| {
        json!({
            "environment": t.environment.0, "token": text(t.token), "delta": text(t.delta),
        })
    };
    let span = |((slots, root), leaf): (&((u64, u64), B256), &B256)| {
        json!({
            "first_slot": slots.0, "last_slot": slots.1, "data_root": text(root),
            "leaf": text(leaf),
        })
    };
    json!({
        "queue": queue,
        "withdrawals": withdrawals,
        "transfers": {
            "list": transfers.iter().map(transfer).collect::<Vec<_>>(),
            "hash": text(moved),
        },
        "router_outbox": text(outbox),
        "statements": statements.iter().map(statement_json).collect::<Vec<_>>(),
        "statements_root": text(commitment.statements),
        "spans": spans.iter().zip(&leaves).map(span).collect::<Vec<_>>(),
        "availability": {
            "network": text(network.0), "first_slot": 41, "last_slot": 60, "data": text(data),
            "hash": text(availability_digest(&network, (41, 60), data)),
        },
        "commitment": {
            "network": text(network.0), "previous": text(commitment.previous), "number": 3,
            "first_slot": 41, "last_slot": 60, "slot_hash": text(commitment.slot_hash),
            "cursor": 6, "queue_hash": text(commitment.queue_hash),
            "statements": text(commitment.statements),
            "withdrawals_root": text(commitment.withdrawals_root),
            "withdrawals_count": commitment.withdrawals_count,
            "transfers": text(commitment.transfers), "data": text(data),
            "hash": text(commitment.hash()),
        },
        "objects": objects(),
        "state": state(),
        "merkle": merkle(),
    })
}

#[test]
fn rust_gives_the_vectors_that_solidity_is_held_to() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/settlement.json");
    let made = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    if std::env::var_os("ATOLL_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(made == kept, "testdata/settlement.json is not what this code gives");
}
