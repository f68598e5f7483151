//! A node in this process, for what cannot be brought about from outside.

use super::{Hosted, Node, NodeConfig};
use crate::market::{Trader, Venue};
use crate::specs;
use crate::stats::Stats;
use atoll_exchange::objects::{BookTop, MarketKey};
use atoll_exchange::{Command, MarketId, OrderRequest, Side, Tif};
use atoll_state::Object;
use atoll_storage::Durability;
use atoll_types::crypto::SigningKey;
use atoll_types::{Encode, EnvironmentId, RejectCode};
use atoll_vm::exchange::{ExchangeReceipt, Status};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const BTC: MarketId = MarketId(0);
const ETH: MarketId = MarketId(1);
/// In ticks, of either market.
const PRICE: u64 = 600_000;

/// Two exchanges on one sequencer.
fn boot(data_dir: &Path) -> Node {
    let perps = specs::load_all(None).unwrap().swap_remove(0);
    let mut second = perps.clone();
    (second.id, second.name) = (EnvironmentId(7), "second".into());
    let specs = vec![perps, second];
    let config = NodeConfig {
        slot_us: crate::node::SLOT_US,
        settles: false,
        censored: None,
        network: specs::network("test", &specs),
        specs,
        data_dir: data_dir.into(),
        reset: false,
        durability: Durability::Written,
        snapshot_interval_slots: 5,
        keep_log: false,
        accept_log_damage: false,
        key: SigningKey::from_label("sequencer"),
        observers: BTreeMap::new(),
        stats: Arc::new(Stats::new()),
    };
    Node::boot(config).unwrap()
}

fn venue(node: &Node, index: usize) -> Venue {
    let Hosted::Exchange(live) = &node.shared.environments[index] else { panic!("an exchange") };
    Venue { shared: node.shared.clone(), live: live.clone() }
}

/// Sends an order and gives the code with which it was refused, if it was.
fn sell(venue: &Venue, trader: &mut Trader, market: MarketId) -> Option<RejectCode> {
    let (price, size, tif) = (PRICE, 1_000, Tif::Gtc);
    let (side, reduce_only, client_id) = (Side::Sell, false, None);
    let order = OrderRequest {
        market,
        side,
        price,
        size,
        tif,
        reduce_only,
        client_id,
        ..OrderRequest::default()
    };
    match venue.send(trader, market, &Command::Place(order)) {
        Err(reject) => Some(reject.code),
        Ok(answer) => match answer.blocking_recv().unwrap() {
            Err(reject) => Some(reject.code),
            Ok((_, receipt)) => {
                match &ExchangeReceipt::of(&receipt.unwrap()).unwrap().statuses[0] {
                    Status::Rejected { code, .. } => Some(*code),
                    _ => None,
                }
            }
        },
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_panic_halts_one_environment_and_a_restart_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = boot(folder.path());
    let (first, second) = (venue(&node, 0), venue(&node, 1));
    let mut alice = Trader::new(SigningKey::from_label("agent-1"));
    // Marks, without which nothing trades.
    let mut oracle = Trader::new(SigningKey::from_label("oracle"));
    for venue in [&first, &second] {
        venue.oracle(&mut oracle, vec![(BTC, PRICE), (ETH, PRICE)]).unwrap();
        until("a mark", || sell(venue, &mut alice, BTC).is_none());
    }

    // What a bug in the program would do: a bid without an order. To sell to it breaks an
    // invariant, and invariants are asserted in production.
    let key = [vec![BookTop::TAG], MarketKey(ETH).to_bytes()].concat();
    let bid = BookTop { bid: PRICE, ..BookTop::default() };
    // While a slot has looked for it, there is an absent one in memory, until the slot is sealed.
    let load = || first.live.machine.write().load(&key, Some(&bid.to_bytes()));
    until("a slot that has not looked at ETH's book", || load().is_ok());
    assert_eq!(sell(&first, &mut alice, ETH), Some(RejectCode::Halted));
    let halted_after = first.live.gate.executed_slot.load(Relaxed);
    assert!(first.live.gate.halted().unwrap().contains("the best level has no order"));
    assert_eq!(sell(&first, &mut alice, BTC), Some(RejectCode::Halted), "admission is closed");

    // The other goes on, and so does the chain.
    let far = halted_after + 12;
    until("the other's roots", || {
        assert_eq!(sell(&second, &mut alice, BTC), None);
        second.live.gate.root_slot.load(Relaxed) >= far
    });
    assert!(first.live.gate.executed_slot.load(Relaxed) <= halted_after);
    assert_eq!(node.shared.archive.record(first.live.spec.id, far - 1).unwrap(), None);
    node.stop().unwrap();
    drop((first, second));

    // The corrected program executes the same slots: the order that was in them has its effect.
    let node = boot(folder.path());
    let (first, second) = (venue(&node, 0), venue(&node, 1));
    assert_eq!(first.live.gate.halted(), None);
    until("the root catches up", || first.live.gate.root_slot.load(Relaxed) > far);
    let asks = |venue: &Venue, market| {
        let machine = venue.live.machine.read();
        machine.vm().exchange().peek_levels(market, Side::Sell, 1).first().map(|level| level.count)
    };
    assert_eq!((asks(&first, BTC), asks(&first, ETH)), (Some(1), Some(1)));
    assert!(asks(&second, BTC) > Some(2));
    assert_eq!(sell(&first, &mut alice, ETH), None);

    // History has the part that was missing.
    let slots = node.shared.archive.record_slots(first.live.spec.id, halted_after, far).unwrap();
    let placed = slots.into_iter().any(|slot| {
        let record = node.shared.archive.record(first.live.spec.id, slot).unwrap().unwrap();
        record.receipts.iter().any(|receipt| {
            let done = ExchangeReceipt::of(receipt);
            done.is_ok_and(|done| matches!(done.statuses[..], [Status::Resting { .. }]))
        })
    });
    assert!(placed);
    node.stop().unwrap();
}
