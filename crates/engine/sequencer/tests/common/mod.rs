//! What the tests share: a seeded generator, a supply, a log in memory.
#![allow(dead_code, unreachable_pub)]

use atoll_sequencer::{
    ClosedTick, Finalised, HubQueue, LanePolicy, LogRecord, Pending, Sequencer, SequencerEvent,
    Solo, SoloConfig, Supply, Tip,
};
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, Decode, EnvironmentId, HubEntry, Lane, NetworkId, Transaction};
use std::collections::VecDeque;

pub const EXCHANGE: EnvironmentId = EnvironmentId(1);
pub const EVM: EnvironmentId = EnvironmentId(2);
pub const LANES: [Lane; 4] = [Lane::Cancel, Lane::PostOnly, Lane::Rest, Lane::Aside];

pub fn network() -> NetworkId {
    NetworkId(B256::repeat_byte(0x11))
}

pub fn key() -> SigningKey {
    SigningKey::from_label("leader")
}

pub fn config() -> SoloConfig {
    let mut config = SoloConfig::new(network(), 1);
    config.policies.insert(EXCHANGE, LanePolicy::Lanes);
    config.policies.insert(EVM, LanePolicy::Arrival);
    config
}

pub fn solo(config: SoloConfig) -> Solo {
    Solo::new(config, key(), Tip::genesis(&network())).unwrap()
}

pub fn transaction(number: u64, environment: EnvironmentId, lane: Lane, len: usize) -> Transaction {
    let mut bytes = vec![0; len.max(8)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Transaction { environment, lane, bytes }
}

pub fn pending(number: u64, environment: EnvironmentId, lane: Lane, received_us: u64) -> Pending {
    sized(number, environment, lane, received_us, 8)
}

pub fn sized(
    number: u64,
    environment: EnvironmentId,
    lane: Lane,
    received_us: u64,
    len: usize,
) -> Pending {
    let transaction = transaction(number, environment, lane, len);
    Pending { hash: transaction.hash(), transaction, received_us, ticket: number }
}

/// A plain queue.
#[derive(Default)]
pub struct Queue {
    pub inputs: Vec<Transaction>,
    pub pending: VecDeque<Pending>,
    /// The hub's queue.
    pub hub: Vec<HubEntry>,
    /// Gives more than was asked for.
    pub lavish: bool,
}

impl Supply for Queue {
    fn inputs(&mut self, _slot: u64, _time_us: u64) -> Vec<Transaction> {
        std::mem::take(&mut self.inputs)
    }

    fn hub(&mut self, cursor: u64) -> HubQueue {
        let entries = self.hub.iter().filter(|entry| entry.index >= cursor).cloned().collect();
        HubQueue { block: 7, entries }
    }

    fn pending(&mut self, transactions_max: u32, bytes_max: u32) -> Vec<Pending> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while let Some(head) = self.pending.front() {
            bytes += head.transaction.bytes.len();
            let fits = out.len() < transactions_max as usize && bytes <= bytes_max as usize;
            if !fits && !self.lavish {
                break;
            }
            out.extend(self.pending.pop_front());
        }
        out
    }
}

/// What came of a run: the log and what was let out.
#[derive(Clone, Default)]
pub struct Outcome {
    pub log: Vec<LogRecord>,
    pub ticks: Vec<ClosedTick>,
    pub finalised: Vec<Finalised>,
    pub refused: Vec<(Option<u64>, atoll_types::Reject)>,
}

impl Outcome {
    pub fn take(&mut self, events: Vec<SequencerEvent>) {
        for event in events {
            let mut bytes = Vec::new();
            if event.encode_record(&mut bytes) {
                self.log.push(LogRecord::from_bytes(&bytes).unwrap());
            }
            match event {
                SequencerEvent::TickClosed(closed) => self.ticks.push(closed),
                SequencerEvent::Finalised(finalised) => self.finalised.push(finalised),
                SequencerEvent::Refused { ticket, reject, .. } => {
                    self.refused.push((ticket, reject));
                }
                SequencerEvent::SlotOpened(_) | SequencerEvent::SlotSealed(_) => {}
            }
        }
    }

    pub fn tickets(&self) -> Vec<Vec<u64>> {
        self.ticks.iter().map(|t| t.places.iter().map(|p| p.ticket).collect()).collect()
    }

    pub fn headers(&self) -> Vec<atoll_types::SlotHeader> {
        let sealed = |record: &LogRecord| match record {
            LogRecord::Sealed(sealed) => Some(sealed.header.clone()),
            _ => None,
        };
        self.log.iter().filter_map(sealed).collect()
    }
}

/// Polls at each deadline up to and including `until_us`.
pub fn drive(solo: &mut Solo, queue: &mut Queue, from_us: u64, until_us: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut now_us = from_us;
    loop {
        outcome.take(solo.poll(now_us, queue));
        match solo.next_deadline_us() {
            Some(next_us) if next_us <= until_us => now_us = next_us.max(now_us),
            _ => break,
        }
    }
    outcome
}

/// A seeded generator (splitmix64), so that a failing run can be named.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
