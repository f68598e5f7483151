//! What the hub and the environments say to each other: queue entries that come in, messages
//! between environments, withdrawals that go out. `docs/SETTLEMENT.md` specifies every hash.

mod tree;

pub use tree::{WITHDRAWAL_TREE_DEPTH, WithdrawalTree, verify_withdrawal, withdrawal_proof};

use crate::codec::{CodecError, Decode, Encode, Reader, put_bytes};
use crate::hash::sha256;
use crate::id::EnvironmentId;
use crate::words::hash_words;
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, U256};

/// Largest forced transaction, in bytes.
pub const FORCED_BYTES_MAX: u32 = 32 * 1024;
/// Most queue entries in one slot.
pub const SLOT_ENTRIES_MAX: u32 = 64;
/// Most bytes of queue entries in one slot.
pub const SLOT_ENTRIES_BYTES_MAX: u32 = 256 * 1024;
/// The router: environment 0. As a destination it means the hub itself.
pub const ROUTER: EnvironmentId = EnvironmentId(0);

/// What an entry of the hub queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// Money for an environment.
    Deposit = 1,
    /// A signed transaction that the sequencer must include.
    Forced = 2,
}

/// An entry of the hub queue: a deposit or a forced transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubEntry {
    /// Its place in the queue, from 0.
    pub index: u64,
    /// What it is.
    pub kind: EntryKind,
    /// The environment it is for.
    pub environment: EnvironmentId,
    /// Who sent it on the hub.
    pub from: Address,
    /// Who is credited; zero for a forced transaction.
    pub to: Address,
    /// The token; zero is the hub's native currency.
    pub token: Address,
    /// How much, in the token's smallest unit on the hub.
    pub amount: U256,
    /// A forced transaction's bytes; empty for a deposit.
    pub data: Vec<u8>,
    /// The hub block's timestamp, seconds.
    pub time_s: u64,
}

impl HubEntry {
    /// The entry's hash; the receipt of a deposit is found by it.
    pub fn hash(&self) -> B256 {
        let data = sha256(&[&self.data]);
        hash_words(
            "atoll hub entry",
            &[
                &self.index,
                &(self.kind as u8),
                &self.environment.0,
                &self.from,
                &self.to,
                &self.token,
                &self.amount,
                &data,
                &self.time_s,
            ],
        )
    }

    /// The queue's running hash after this entry.
    pub fn extend(&self, queue: &B256) -> B256 {
        hash_words("atoll hub queue", &[queue, &self.hash()])
    }

    /// The deposit as a message from the hub; `None` for a forced transaction.
    pub fn message(&self) -> Option<Message> {
        (self.kind == EntryKind::Deposit).then_some(Message {
            kind: MessageKind::Transfer,
            number: self.index,
            source: ROUTER,
            destination: self.environment,
            from: self.from,
            to: self.to,
            token: self.token,
            amount: self.amount,
            data: Vec::new(),
        })
    }
}

impl Encode for HubEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(self.from.as_slice());
        out.extend_from_slice(self.to.as_slice());
        out.extend_from_slice(self.token.as_slice());
        out.extend_from_slice(&self.amount.to_be_bytes::<32>());
        put_bytes(out, &self.data);
        out.extend_from_slice(&self.time_s.to_le_bytes());
    }
}

impl Decode for HubEntry {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let index = r.u64()?;
        let kind = match r.u8()? {
            1 => EntryKind::Deposit,
            2 => EntryKind::Forced,
            _ => return Err(CodecError::Invalid("kind of hub entry")),
        };
        let entry = Self {
            index,
            kind,
            environment: EnvironmentId(r.u32()?),
            from: r.address()?,
            to: r.address()?,
            token: r.address()?,
            amount: r.u256()?,
            data: r.bytes("forced transaction", FORCED_BYTES_MAX)?.to_vec(),
            time_s: r.u64()?,
        };
        let fits = match kind {
            EntryKind::Deposit => entry.data.is_empty(),
            EntryKind::Forced => {
                entry.to.is_zero() && entry.token.is_zero() && entry.amount.is_zero()
            }
        };
        if fits { Ok(entry) } else { Err(CodecError::Invalid("hub entry")) }
    }
}

/// Largest [`Message::data`], in bytes.
pub const MESSAGE_DATA_BYTES_MAX: u32 = 8 * 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageKind {
    /// Money that somebody sent.
    Transfer = 1,
    /// Money that could not be delivered and comes back to who sent it.
    Bounce = 2,
    /// What the sender wants done at the destination, in the name of [`Message::account`].
    Action = 3,
    /// Asks an environment what it shows to the one that it comes from. Only the router makes them.
    Observe = 4,
    /// What the sending environment shows to the destination.
    Observation = 5,
}

impl MessageKind {
    /// Whether it carries money. All others carry data.
    pub fn is_money(self) -> bool {
        matches!(self, Self::Transfer | Self::Bounce)
    }
}

/// Money, or data, on its way from one environment to another, or money out to the hub.
///
/// Money has a token and an amount and no data; anything else has data alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// The router's count of messages; 0 until it is routed. For a deposit, the queue's index.
    pub number: u64,
    /// Where it comes from; [`ROUTER`] for a deposit.
    pub source: EnvironmentId,
    /// Where it goes; [`ROUTER`] is out to the hub.
    pub destination: EnvironmentId,
    /// Who sent it.
    pub from: Address,
    /// Who receives it.
    pub to: Address,
    /// The token, by its address on the hub; zero is the hub's native currency.
    pub token: Address,
    /// How much, in the token's smallest unit on the hub.
    pub amount: U256,
    /// What is no money; at most [`MESSAGE_DATA_BYTES_MAX`].
    pub data: Vec<u8>,
}

impl Message {
    /// Identifies the message once it is routed; the receipt of a delivery is found by it.
    pub fn hash(&self) -> B256 {
        let data = sha256(&[&self.data]);
        hash_words(
            "atoll message",
            &[
                &self.number,
                &(self.kind as u8),
                &self.source.0,
                &self.destination.0,
                &self.from,
                &self.to,
                &self.token,
                &self.amount,
                &data,
            ],
        )
    }

    /// In whose name an action is done at the destination: an account of its own for every address
    /// of every environment, with no key to it.
    ///
    /// A contract's address may belong to other code in another environment, and an environment
    /// whose VM is broken may say that anybody sent something. So nobody acts through a message for
    /// an account that a key signs for, and no environment for another's.
    pub fn account(&self) -> Address {
        account_of(self.source, self.from)
    }

    /// The message that returns the money, from whoever could not take it.
    pub fn bounced(&self) -> Self {
        Self {
            kind: MessageKind::Bounce,
            number: 0,
            source: self.destination,
            destination: self.source,
            from: self.to,
            to: self.from,
            token: self.token,
            amount: self.amount,
            data: Vec::new(),
        }
    }
}

/// The account through which an address of one environment acts in the others: the last 20 bytes of
/// H("atoll account", environment, address).
pub fn account_of(environment: EnvironmentId, address: Address) -> Address {
    Address::from_word(hash_words("atoll account", &[&environment.0, &address]))
}

impl Encode for Message {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.source.0.to_le_bytes());
        out.extend_from_slice(&self.destination.0.to_le_bytes());
        out.extend_from_slice(self.from.as_slice());
        out.extend_from_slice(self.to.as_slice());
        out.extend_from_slice(self.token.as_slice());
        out.extend_from_slice(&self.amount.to_be_bytes::<32>());
        put_bytes(out, &self.data);
    }
}

impl Decode for Message {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let kind = match r.u8()? {
            1 => MessageKind::Transfer,
            2 => MessageKind::Bounce,
            3 => MessageKind::Action,
            4 => MessageKind::Observe,
            5 => MessageKind::Observation,
            _ => return Err(CodecError::Invalid("kind of message")),
        };
        let message = Self {
            kind,
            number: r.u64()?,
            source: EnvironmentId(r.u32()?),
            destination: EnvironmentId(r.u32()?),
            from: r.address()?,
            to: r.address()?,
            token: r.address()?,
            amount: r.u256()?,
            data: r.bytes("data of a message", MESSAGE_DATA_BYTES_MAX)?.to_vec(),
        };
        let fits = match kind.is_money() {
            true => message.data.is_empty(),
            false => message.token.is_zero() && message.amount.is_zero(),
        };
        if fits { Ok(message) } else { Err(CodecError::Invalid("message")) }
    }
}

/// A leaf of the tree of withdrawals: money that leaves for the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its place in the tree, from 0; pays once.
    pub index: u64,
    /// The environment whose escrow pays.
    pub environment: EnvironmentId,
    /// Who sent it.
    pub from: Address,
    /// Who is paid on the hub.
    pub to: Address,
    /// The token; zero is the hub's native currency.
    pub token: Address,
    /// How much, in the token's smallest unit on the hub.
    pub amount: U256,
}

impl Withdrawal {
    /// The leaf.
    pub fn leaf(&self) -> B256 {
        hash_words(
            "atoll withdrawal",
            &[&self.index, &self.environment.0, &self.from, &self.to, &self.token, &self.amount],
        )
    }
}

impl Encode for Withdrawal {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(self.from.as_slice());
        out.extend_from_slice(self.to.as_slice());
        out.extend_from_slice(self.token.as_slice());
        out.extend_from_slice(&self.amount.to_be_bytes::<32>());
    }
}

impl Decode for Withdrawal {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            index: r.u64()?,
            environment: EnvironmentId(r.u32()?),
            from: r.address()?,
            to: r.address()?,
            token: r.address()?,
            amount: r.u256()?,
        })
    }
}
