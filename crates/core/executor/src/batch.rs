//! What the order gave one environment in one slot, as a flat list of steps.
//!
//! `--commands A..B` counts these steps: a delivered message, an entry of the hub's queue and an
//! input of the slot's opening, the beginning of a tick, and a transaction are one step each. The
//! opening of the slot itself belongs to step 0.

use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::hub::ROUTER;
use atoll_types::slot::{Parts, SLOT_TICKS_MAX, TICK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX};
use atoll_types::{
    B256, Decode, Encode, EnvironmentId, HubEntry, Message, Reader, SlotOpening, Tick, Transaction,
    merkle_root, sha256,
};
use atoll_vm::SlotContext;

/// One step of an environment's batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An input of the slot's opening.
    Input(Vec<u8>),
    /// A tick begins.
    Tick {
        /// When it closed, microseconds since the Unix epoch.
        time_us: u64,
    },
    /// A transaction.
    Transaction(Vec<u8>),
    /// Money or data that the router delivers; for the router, what an environment sent.
    Message(Message),
    /// An entry of the hub's queue.
    Entry(HubEntry),
}

impl Encode for Step {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Input(bytes) => {
                out.push(0);
                put_bytes(out, bytes);
            }
            Self::Tick { time_us } => {
                out.push(1);
                out.extend_from_slice(&time_us.to_le_bytes());
            }
            Self::Transaction(bytes) => {
                out.push(2);
                put_bytes(out, bytes);
            }
            Self::Message(message) => {
                out.push(3);
                message.encode(out);
            }
            Self::Entry(entry) => {
                out.push(4);
                entry.encode(out);
            }
        }
    }
}

impl Decode for Step {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Input(r.bytes("input", TRANSACTION_BYTES_MAX)?.to_vec())),
            1 => Ok(Self::Tick { time_us: r.u64()? }),
            2 => Ok(Self::Transaction(r.bytes("transaction", TRANSACTION_BYTES_MAX)?.to_vec())),
            3 => Ok(Self::Message(Message::decode(r)?)),
            4 => Ok(Self::Entry(HubEntry::decode(r)?)),
            _ => Err(CodecError::Invalid("step")),
        }
    }
}

/// An environment's part of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose.
    pub environment: EnvironmentId,
    /// The slot's context.
    pub context: SlotContext,
    /// Hub queue cursor before and after the slot.
    pub hub_cursor: (u64, u64),
    /// Its steps in the order of execution.
    pub steps: Vec<Step>,
}

impl Batch {
    /// An environment's part of an opening, with what the router delivers in it; ticks follow with
    /// [`Batch::push_tick`]. The router's own part holds all entries (of a forced transaction
    /// it takes note and no more), and `inbox` is what the environments sent in the slot.
    pub fn open(environment: EnvironmentId, opening: &SlotOpening, inbox: &[Message]) -> Self {
        let context =
            SlotContext { slot: opening.slot, time_us: opening.time_us, parent: opening.parent };
        let hub_cursor = (opening.hub_cursor, opening.hub_cursor_after());
        let messages = inbox.iter().cloned().map(Step::Message);
        let steps = if environment == ROUTER {
            let entries = opening.entries.iter().cloned().map(Step::Entry);
            entries.chain(messages).collect()
        } else {
            let entries = opening.entries.iter().filter(|e| e.environment == environment);
            let inputs = opening.inputs.iter().filter(|t| t.environment == environment);
            let entries = entries.cloned().map(Step::Entry);
            let inputs = inputs.map(|t| Step::Input(t.bytes.clone()));
            messages.chain(entries).chain(inputs).collect()
        };
        Self { environment, context, hub_cursor, steps }
    }

    /// Adds the environment's part of a tick. A tick that holds nothing for the environment does
    /// not exist for it.
    pub fn push_tick(&mut self, tick: &Tick) {
        let own: Vec<&Transaction> =
            tick.transactions.iter().filter(|t| t.environment == self.environment).collect();
        if !own.is_empty() {
            self.steps.push(Step::Tick { time_us: tick.time_us });
            self.steps.extend(own.into_iter().map(|t| Step::Transaction(t.bytes.clone())));
        }
    }

    /// The steps from `start` up to but without `end`, with what is needed to resume there.
    /// `None` if the range is not inside the batch.
    pub fn range(&self, start: u32, end: u32) -> Option<Range> {
        let steps = self.steps.get(start as usize..end as usize)?.to_vec();
        let tick_time_us = self.steps[..start as usize].iter().rev().find_map(|s| match s {
            Step::Tick { time_us } => Some(*time_us),
            _ => None,
        });
        let Self { environment, context, hub_cursor, .. } = *self;
        Some(Range { environment, context, hub_cursor, start, tick_time_us, steps })
    }

    /// All of the batch.
    pub fn whole(&self) -> Range {
        Range {
            environment: self.environment,
            context: self.context,
            hub_cursor: self.hub_cursor,
            start: 0,
            tick_time_us: None,
            steps: self.steps.clone(),
        }
    }
}

/// Consecutive steps of a batch: what a witness, a dispute or a proof is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whose.
    pub environment: EnvironmentId,
    /// The slot's context.
    pub context: SlotContext,
    /// Hub queue cursor before and after the slot.
    pub hub_cursor: (u64, u64),
    /// Index of the first step inside the batch; 0 includes the opening of the slot.
    pub start: u32,
    /// Time of the latest tick before the range, if any.
    pub tick_time_us: Option<u64>,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Range {
    /// What a statement commits to.
    pub fn hash(&self) -> B256 {
        sha256(&[b"atoll batch", &self.to_bytes()])
    }

    /// Adds what the order gave the environment in this slot, as the slot's header commits to it.
    /// For all of a batch; not for the router, whose part follows from the others'.
    pub fn add_to(&self, parts: &mut Parts) {
        let environment = self.environment;
        let mut tick: Option<(u64, Vec<(EnvironmentId, B256)>)> = None;
        let close = |parts: &mut Parts, tick: Option<(u64, Vec<(EnvironmentId, B256)>)>| {
            tick.into_iter().for_each(|(time_us, hashes)| parts.tick(time_us, hashes.into_iter()));
        };
        for step in &self.steps {
            match step {
                Step::Message(_) => {}
                Step::Entry(entry) => parts.entry(environment, &entry.hash()),
                Step::Input(bytes) => {
                    parts.input(environment, &Transaction::hash_parts(environment, bytes));
                }
                Step::Tick { time_us } => close(parts, tick.replace((*time_us, Vec::new()))),
                Step::Transaction(bytes) => {
                    let hash = Transaction::hash_parts(environment, bytes);
                    tick.iter_mut().for_each(|(_, hashes)| hashes.push((environment, hash)));
                }
            }
        }
        close(parts, tick);
    }

    /// Merkle root of the messages delivered; zero for none.
    pub fn inbox_root(&self) -> B256 {
        let encoded = self.steps.iter().filter_map(|step| match step {
            Step::Message(message) => Some(message.to_bytes()),
            _ => None,
        });
        let encoded: Vec<Vec<u8>> = encoded.collect();
        merkle_root(encoded.iter().map(Vec::as_slice))
    }

    /// About how many bytes its encoding has: never less.
    pub fn encoded_len(&self) -> usize {
        let step = |step: &Step| match step {
            Step::Input(bytes) | Step::Transaction(bytes) => bytes.len() + 6,
            Step::Tick { .. } => 9,
            Step::Message(message) => message.data.len() + 112,
            Step::Entry(entry) => entry.data.len() + 128,
        };
        96 + self.steps.iter().map(step).sum::<usize>()
    }

    /// Time of the last step, microseconds.
    pub fn last_time_us(&self) -> u64 {
        let last = self.steps.iter().rev().find_map(|step| match step {
            Step::Tick { time_us } => Some(*time_us),
            _ => None,
        });
        last.or(self.tick_time_us).unwrap_or(self.context.time_us)
    }
}

impl Encode for Range {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(&self.context.slot.to_le_bytes());
        out.extend_from_slice(&self.context.time_us.to_le_bytes());
        out.extend_from_slice(self.context.parent.as_slice());
        out.extend_from_slice(&self.hub_cursor.0.to_le_bytes());
        out.extend_from_slice(&self.hub_cursor.1.to_le_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
        out.push(u8::from(self.tick_time_us.is_some()));
        if let Some(time_us) = self.tick_time_us {
            out.extend_from_slice(&time_us.to_le_bytes());
        }
        put_varint(out, self.steps.len() as u64);
        for step in &self.steps {
            step.encode(out);
        }
    }
}

impl Decode for Range {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let environment = EnvironmentId(r.u32()?);
        let context = SlotContext { slot: r.u64()?, time_us: r.u64()?, parent: r.b256()? };
        let hub_cursor = (r.u64()?, r.u64()?);
        let start = r.u32()?;
        let tick_time_us = if r.bool()? { Some(r.u64()?) } else { None };
        let bound = SLOT_TICKS_MAX.saturating_mul(TICK_TRANSACTIONS_MAX.min(1024));
        let mut steps = Vec::new();
        for _ in 0..r.length("steps", bound)? {
            steps.push(Step::decode(r)?);
        }
        Ok(Self { environment, context, hub_cursor, start, tick_time_us, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::{Address, MessageKind, U256};

    #[test]
    fn a_range_is_never_longer_than_it_says() {
        for bytes in [0, 1, 127, 128, 8192] {
            let message = Message {
                kind: MessageKind::Observation,
                number: u64::MAX,
                source: EnvironmentId(1),
                destination: EnvironmentId(2),
                from: Address::ZERO,
                to: Address::ZERO,
                token: Address::ZERO,
                amount: U256::ZERO,
                data: alloc::vec![9; bytes],
            };
            let range = Range {
                environment: EnvironmentId(2),
                context: SlotContext::default(),
                hub_cursor: (0, 0),
                start: 0,
                tick_time_us: Some(1),
                steps: alloc::vec![Step::Message(message); 300],
            };
            assert!(range.to_bytes().len() <= range.encoded_len(), "{bytes}");
        }
    }
}
