//! What the follower refuses: published data that is not what the order and the hub's queue give.

use super::*;
use crate::hub::spans::{span_data, write_stream};
use crate::specs;
use atoll_exchange::{OrderId, Wallet};
use atoll_types::crypto::SigningKey;
use atoll_types::{Decode, Encode, EntryKind, SignedHeader, Tick, U256};
use atoll_vm::Identity;
use atoll_vm::exchange::sign::{sign_action, sign_message};
use atoll_vm::exchange::{AtollMessage, build};

const PERPS: EnvironmentId = EnvironmentId(1);
const EVM: EnvironmentId = EnvironmentId(2);
const GENESIS_US: u64 = 1_800_000_000_000_000;
const SLOTS: u64 = 8;

/// Eight slots: a deposit in the second, a transfer to the other environment in the fourth, which
/// arrives in the sixth, and a forced withdrawal in the seventh.
struct Operator {
    network: NetworkId,
    specs: Vec<EnvironmentSpec>,
    entries: Vec<HubEntry>,
    span: SpanData,
    honest: Assembled,
}

fn operator() -> Operator {
    ordering(false)
}

/// In the fourth slot there is a cancel beside the transfer: before it, as the spec of the exchange
/// says, or behind it.
fn ordering(disordered: bool) -> Operator {
    let mut specs = specs::load_all(None).unwrap();
    specs.push(specs::router(&specs));
    let network = specs::network("test", &specs);
    specs.sort_by_key(|spec| spec.id);
    let perps = specs.iter().find(|spec| spec.id == PERPS).unwrap();
    let usdc = specs::hub_token_names(perps).into_iter().find(|token| token.0 == "USDC").unwrap();
    let atoll_executor::VmSpec::Exchange(exchange) = &perps.vm else { panic!("an exchange") };
    let chain_id = exchange.chain_id;

    let key = SigningKey::from_label("leaver");
    let send = |destination: EnvironmentId, slot: u64| {
        let message = AtollMessage::Send {
            destination,
            to: key.address(),
            asset: "USDC".into(),
            wallet: Wallet::Collateral,
            amount: 1_000_000,
        };
        let identity = Identity { network, environment: PERPS };
        let nonce = (GENESIS_US + slot * SLOT_US) / 1_000;
        sign_message(&key, &identity, chain_id, &message, nonce).to_bytes()
    };
    let entry = |index: u64, kind: EntryKind, data: Vec<u8>| HubEntry {
        index,
        kind,
        environment: PERPS,
        from: key.address(),
        to: if kind == EntryKind::Deposit { key.address() } else { Address::ZERO },
        token: if kind == EntryKind::Deposit { usdc.1 } else { Address::ZERO },
        amount: U256::from(if kind == EntryKind::Deposit { 5_000_000 } else { 0 }),
        data,
        time_s: GENESIS_US / 1_000_000,
    };
    let entries = vec![
        entry(0, EntryKind::Deposit, Vec::new()),
        entry(1, EntryKind::Forced, send(ROUTER, 7)),
    ];

    let mut replica = Replica::genesis(network, &specs);
    let pre: BTreeMap<u32, B256> = replica.roots().map(|(id, root)| (id.0, root)).collect();
    let mut parts: Vec<Part> =
        specs.iter().map(|spec| Part { spec: spec.clone(), records: BTreeMap::new() }).collect();
    let sequencer = SigningKey::from_label("sequencer");
    let (mut sealed, mut parent, mut cursor) = (Vec::<SignedHeader>::new(), B256::ZERO, 0);
    for slot in 1..=SLOTS {
        let taken: Vec<HubEntry> = match slot {
            2 => vec![entries[0].clone()],
            7 => vec![entries[1].clone()],
            _ => Vec::new(),
        };
        let opening = SlotOpening {
            slot,
            term: 1,
            time_us: GENESIS_US + slot * SLOT_US,
            parent,
            hub_block: slot,
            hub_cursor: cursor,
            entries: taken,
            inputs: Vec::new(),
        };
        let mut given = Parts::open(&opening);
        let mut ticks = Vec::new();
        if slot == 4 {
            let nonce = (GENESIS_US + slot * SLOT_US) / 1_000 + 1;
            let cancel = build::cancels(&[(0, OrderId(1))]);
            let cancel = sign_action(&key, cancel, nonce).to_bytes();
            let transaction = |(lane, bytes)| Transaction { environment: PERPS, lane, bytes };
            let mut transactions =
                [(Lane::Cancel, cancel), (Lane::Rest, send(EVM, slot))].map(transaction).to_vec();
            if disordered {
                transactions.reverse();
            }
            let time_us = opening.time_us + 500;
            given.tick(time_us, transactions.iter().map(|t| (t.environment, t.hash())));
            ticks.push(Tick { slot, index: 0, time_us, transactions });
        }
        let done = replica.execute(|id, inbox| {
            let mut batch = Batch::open(id, &opening, inbox);
            if id != ROUTER {
                ticks.iter().for_each(|tick| batch.push_tick(tick));
            }
            Some(batch)
        });
        for Executed { batch, receipts, .. } in done.unwrap() {
            let part = parts.iter_mut().find(|part| part.spec.id == batch.environment).unwrap();
            let range = batch.whole();
            if !range.steps.is_empty() {
                part.records.insert(slot, SlotRecord { range, receipts, places: Vec::new() });
            }
        }
        cursor = opening.hub_cursor_after();
        let header = SlotHeader {
            slot,
            term: 1,
            time_us: opening.time_us,
            parent,
            ticks: ticks.len() as u32,
            running: B256::repeat_byte(slot as u8),
            batches: given.root(),
            hub_block: slot,
            hub_cursor: cursor,
        };
        parent = header.hash();
        let signature = sequencer.sign(&header.digest(&network));
        sealed.push(SignedHeader { header, signature });
    }
    let headers = sealed.iter().map(|sealed| sealed.header.clone()).collect();
    let slots = Slots { headers, parts, cursor_before: 0 };
    let span = span_data(&slots, &sealed);
    let post: BTreeMap<u32, B256> = replica.roots().map(|(id, root)| (id.0, root)).collect();
    let roots = Roots { pre: &pre, post: &post };
    let mut tree = WithdrawalTree::default();
    let mut draft = Draft::new(network, Before::default());
    draft.extend(&slots).unwrap();
    let honest = draft.finish(&roots, &mut tree, &spans()).unwrap();
    Operator { network, specs, entries, span, honest }
}

fn spans() -> Vec<SpanRoot> {
    vec![SpanRoot { slots: (1, SLOTS), data_root: B256::repeat_byte(7) }]
}

impl Operator {
    fn follow(&self, span: SpanData) -> Result<Assembled> {
        let mut follower = Follower::new(self.network, &self.specs);
        follower.follow(&spans(), &[span], &self.entries)
    }

    fn refusal(&self, span: SpanData) -> String {
        format!("{:#}", self.follow(span).err().expect("it should have been refused"))
    }

    /// The span with another stream of the exchange.
    fn with_batches(&self, change: impl FnOnce(&mut Vec<Range>)) -> SpanData {
        let mut span = self.span.clone();
        let own = |(owner, _): &&mut (Owner, Vec<u8>)| *owner == Owner::Environment(PERPS);
        let (_, stream) = span.parts.iter_mut().find(own).unwrap();
        let mut batches = read_batches(stream).unwrap();
        change(&mut batches);
        *stream = write_stream(batches.iter().map(Encode::to_bytes));
        span
    }

    fn with_headers(&self, change: impl FnOnce(&mut Vec<HeaderRecord>)) -> SpanData {
        let mut span = self.span.clone();
        let own = |(owner, _): &&mut (Owner, Vec<u8>)| *owner == Owner::Headers;
        let (_, stream) = span.parts.iter_mut().find(own).unwrap();
        let mut headers = read_headers(stream).unwrap();
        change(&mut headers);
        *stream = write_stream(headers.iter().map(Encode::to_bytes));
        span
    }
}

fn of(batches: &mut [Range], slot: u64) -> &mut Range {
    batches.iter_mut().find(|range| range.context.slot == slot).unwrap()
}

#[test]
fn honest_data_gives_the_publishers_commitment() {
    let operator = operator();
    let followed = operator.follow(operator.span.clone()).unwrap();
    assert_eq!(followed.commitment, operator.honest.commitment);
    assert_eq!(followed.statements, operator.honest.statements);
    assert_eq!(followed.transfers.len(), 2, "one token, from one environment to the other");
    assert_eq!(followed.withdrawals.len(), 1, "what was forced out");
    // The delivery in the sixth slot is a batch of the other environment's.
    let arrived = operator.honest.statements.iter().find(|s| s.environment == EVM).unwrap();
    assert_ne!(arrived.inbox, B256::ZERO);
}

#[test]
fn a_tick_out_of_the_environments_order_is_noticed_and_executed_all_the_same() {
    for disordered in [false, true] {
        let operator = ordering(disordered);
        let mut follower = Follower::new(operator.network, &operator.specs);
        let span = std::slice::from_ref(&operator.span);
        let followed = follower.follow(&spans(), span, &operator.entries).unwrap();
        assert_eq!(followed.commitment, operator.honest.commitment);
        let at_us = GENESIS_US + 4 * SLOT_US + 500;
        let found = Disorder { ticks: 1, first: Some((4, at_us, "perps".into())) };
        let expected = if disordered { found } else { Disorder::default() };
        assert_eq!(follower.take_disorder(), expected);
        assert_eq!(follower.take_disorder(), Disorder::default());
    }
}

#[test]
fn what_the_opening_gives_is_not_the_operators_to_say() {
    let operator = operator();
    // A deposit left out, one made larger, a forced transaction left out.
    let refused = operator.refusal(operator.with_batches(|b| of(b, 2).steps.clear()));
    assert!(refused.contains("slot 2: what is published of environment 1 is not its batch"));
    let larger = operator.with_batches(|b| {
        let Step::Entry(entry) = &mut of(b, 2).steps[0] else { panic!("an entry") };
        entry.amount += U256::from(1);
    });
    assert!(operator.refusal(larger).contains("slot 2"));
    let censored = operator.with_batches(|b| b.retain(|range| range.context.slot != 7));
    assert!(operator.refusal(censored).contains("slot 7"));
    // An entry that the queue does not have.
    let mut short = Follower::new(operator.network, &operator.specs);
    let refused =
        short.follow(&spans(), std::slice::from_ref(&operator.span), &operator.entries[..1]);
    let refused = format!("{:#}", refused.err().unwrap());
    assert!(refused.contains("slot 7 takes entries that the hub's queue does not have"));
    // The delivery to the EVM left out: its whole stream is that one batch.
    let mut undelivered = operator.span.clone();
    undelivered.parts.retain(|(owner, _)| *owner != Owner::Environment(EVM));
    assert!(operator.refusal(undelivered).contains("environment 2 is not its batch"));
}

#[test]
fn transactions_and_ticks_are_those_of_the_headers() {
    let operator = operator();
    let dropped = operator.with_batches(|b| of(b, 4).steps.clear());
    assert!(operator.refusal(dropped).contains("slot 4 names other batches"));
    let doubled = operator.with_batches(|b| {
        let steps = &mut of(b, 4).steps;
        steps.push(steps[2].clone());
    });
    assert!(operator.refusal(doubled).contains("slot 4 names other batches"));
    let early = operator.with_batches(|b| {
        of(b, 4).steps[0] = Step::Tick { time_us: GENESIS_US };
    });
    assert!(operator.refusal(early).contains("a tick goes back in time"));
    let smuggled = operator.with_batches(|b| of(b, 4).steps.push(Step::Input(vec![1])));
    assert!(operator.refusal(smuggled).contains("belongs into the slot's opening"));
    let elsewhere = operator.with_batches(|b| of(b, 4).context.slot = 99);
    let refused = operator.refusal(elsewhere);
    assert!(refused.contains("names other batches") || refused.contains("no header"), "{refused}");
}

#[test]
fn headers_continue_one_another() {
    let operator = operator();
    let gap = operator.with_headers(|h| {
        h.remove(3);
    });
    assert!(operator.refusal(gap).contains("there is no header of slot 4"));
    let other = operator.with_headers(|h| h[4].sealed.header.parent = B256::ZERO);
    assert!(operator.refusal(other).contains("slot 5 does not continue"));
    let back = operator.with_headers(|h| h[0].sealed.header.time_us = u64::MAX);
    assert!(operator.refusal(back).contains("slot 2"));
    let parts = operator.with_headers(|h| h[3].parts.clear());
    assert!(operator.refusal(parts).contains("the parts of slot 4"));
    let cut = operator.with_headers(|h| h.truncate(5));
    assert!(operator.refusal(cut).contains("not those of its slots"));
    let mut none = operator.span.clone();
    none.parts.retain(|(owner, _)| *owner != Owner::Headers);
    assert!(operator.refusal(none).contains("without headers"));
    let mut garbage = operator.span.clone();
    garbage.parts[0].1 = vec![0xff; 40];
    assert!(HeaderRecord::from_bytes(&garbage.parts[0].1).is_err());
    assert!(!operator.refusal(garbage).is_empty());
}

#[test]
fn whoever_derives_gives_the_same() {
    let operator = operator();
    let mut one = Follower::new(operator.network, &operator.specs);
    one.follow(&spans(), std::slice::from_ref(&operator.span), &operator.entries).unwrap();
    let mut two = Follower::new(operator.network, &operator.specs);
    two.follow(&spans(), std::slice::from_ref(&operator.span), &operator.entries).unwrap();
    let mut late = operator.entries[0].clone();
    (late.index, late.time_s) = (2, late.time_s + 900_000);
    let derived = one.derive(std::slice::from_ref(&late)).unwrap();
    assert_eq!(derived.commitment, two.derive(&[late]).unwrap().commitment);
    let c = &derived.commitment;
    assert_eq!((c.slots, c.cursor, c.data), ((SLOTS + 1, SLOTS + 5), 3, B256::ZERO));
    assert_eq!(c.previous, operator.honest.commitment.hash());
    // It was credited: the account's claim is 3 + 5 USDC.
    let key = [&[0x50][..], SigningKey::from_label("leaver").address().as_slice()].concat();
    let usdc = specs::hub_token_names(&operator.specs[1]).into_iter().find(|t| t.0 == "USDC");
    let key = [&key[..], usdc.unwrap().1.as_slice()].concat();
    let (value, _) = one.object(PERPS, &key).unwrap().unwrap();
    assert_eq!(U256::from_be_slice(&value), U256::from(8_000_000));
}

#[test]
fn what_is_under_way_after_the_last_published_slot_arrives() {
    let operator = operator();
    // Published up to the slot that sends something to the other environment.
    let mut span = operator.with_headers(|headers| headers.truncate(4));
    span.last_slot = 4;
    for (owner, stream) in &mut span.parts {
        if matches!(owner, Owner::Environment(_)) {
            let mut batches = read_batches(stream).unwrap();
            batches.retain(|range| range.context.slot <= 4);
            *stream = write_stream(batches.iter().map(Encode::to_bytes));
        }
    }
    let sequencer = SigningKey::from_label("sequencer").address();
    let mut follower = Follower::new(operator.network, &operator.specs);
    follower.are_signed(&span, sequencer).unwrap();
    let refused = follower.are_signed(&span, Address::ZERO).unwrap_err().to_string();
    assert!(refused.contains("slot 1 is not signed by the sequencer"), "{refused}");
    let roots = [SpanRoot { slots: (1, 4), data_root: B256::repeat_byte(7) }];
    follower.follow(&roots, &[span], &operator.entries[..1]).unwrap();
    assert!(follower.is_under_way());
    let derived = follower.derive(&[]).unwrap();
    assert!(!follower.is_under_way());
    assert_eq!(derived.commitment.slots, (5, 8));
    let arrived = derived.statements.iter().find(|s| s.environment == EVM).unwrap();
    assert_ne!(arrived.inbox, merkle_root_of_nothing());
}

/// The inbox of four slots in which nothing is delivered.
fn merkle_root_of_nothing() -> B256 {
    atoll_types::merkle_root([B256::ZERO.as_slice(); 4].into_iter())
}
