//! The router's objects. Keys and ledgers are big-endian words: the hub's escape hatch reads them.

use alloc::vec::Vec;
use atoll_state::{Key, Object};
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::hub::WithdrawalTree;
use atoll_types::{Address, Decode, Encode, EnvironmentId, Message, Reader, U256};

/// Messages in one object.
pub(super) const PAGE_MESSAGES: usize = 64;

/// Key of the objects there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Singleton;

impl Encode for Singleton {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Decode for Singleton {
    fn decode(_: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self)
    }
}

impl Key for Singleton {
    fn dense(&self) -> Option<u32> {
        Some(0)
    }
}

fn environment(r: &mut Reader<'_>) -> Result<EnvironmentId, CodecError> {
    Ok(EnvironmentId(u32::from_be_bytes(r.array()?)))
}

/// Key of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LedgerKey {
    /// Whose.
    pub environment: EnvironmentId,
    /// The token, by its address on the hub.
    pub token: Address,
}

impl Encode for LedgerKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.environment.0.to_be_bytes());
        out.extend_from_slice(self.token.as_slice());
    }
}

impl Decode for LedgerKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { environment: environment(r)?, token: r.address()? })
    }
}

impl Key for LedgerKey {}

/// What came into an environment and what left it, ever, in the token's smallest unit on the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// From the hub, genesis included.
    pub deposits: U256,
    /// From other environments.
    pub inbound: U256,
    /// To other environments.
    pub outbound: U256,
    /// To the hub.
    pub withdrawals: U256,
}

impl Ledger {
    /// What the environment may still pay out.
    pub fn balance(&self) -> U256 {
        let came = self.deposits.saturating_add(self.inbound);
        came.saturating_sub(self.outbound).saturating_sub(self.withdrawals)
    }
}

impl Encode for Ledger {
    fn encode(&self, out: &mut Vec<u8>) {
        for sum in [self.deposits, self.inbound, self.outbound, self.withdrawals] {
            out.extend_from_slice(&sum.to_be_bytes::<32>());
        }
    }
}

impl Decode for Ledger {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            deposits: r.u256()?,
            inbound: r.u256()?,
            outbound: r.u256()?,
            withdrawals: r.u256()?,
        })
    }
}

impl Object for Ledger {
    const TAG: u8 = 1;
    const NAME: &'static str = "ledger";
    type Key = LedgerKey;
}

/// The tree of withdrawals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawals(pub WithdrawalTree);

impl Encode for Withdrawals {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Withdrawals {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        WithdrawalTree::decode(r).map(Self)
    }
}

impl Object for Withdrawals {
    const TAG: u8 = 2;
    const NAME: &'static str = "withdrawals";
    type Key = Singleton;
}

/// Messages delivered so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// How many.
    pub messages: u64,
}

impl Encode for Counter {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.messages.to_le_bytes());
    }
}

impl Decode for Counter {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { messages: r.u64()? })
    }
}

impl Object for Counter {
    const TAG: u8 = 3;
    const NAME: &'static str = "count of messages";
    type Key = Singleton;
}

/// Key of a page of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    /// The slot in whose opening they stand.
    pub slot: u64,
    /// For whom.
    pub environment: EnvironmentId,
    /// Which page, from 0.
    pub page: u32,
}

impl Encode for DeliveryKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slot.to_be_bytes());
        out.extend_from_slice(&self.environment.0.to_be_bytes());
        out.extend_from_slice(&self.page.to_be_bytes());
    }
}

impl Decode for DeliveryKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            slot: u64::from_be_bytes(r.array()?),
            environment: environment(r)?,
            page: u32::from_be_bytes(r.array()?),
        })
    }
}

impl Key for DeliveryKey {}

/// Messages on their way into an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries(pub Vec<Message>);

impl Encode for Deliveries {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|message| message.encode(out));
    }
}

impl Decode for Deliveries {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.length("messages of a page", PAGE_MESSAGES as u32)?;
        (0..count).map(|_| Message::decode(r)).collect::<Result<_, _>>().map(Self)
    }
}

impl Object for Deliveries {
    const TAG: u8 = 4;
    const NAME: &'static str = "deliveries";
    type Key = DeliveryKey;
}
