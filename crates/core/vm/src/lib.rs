//! The `Vm` trait and the virtual machines: `exchange` (native) and `evm` (revm).
//!
//! A VM decodes and statically checks a transaction without any state ([`Vm::check`]: who signed
//! it, which lane it belongs to), and executes a checked transaction against its objects
//! ([`Vm::execute`]). It knows nothing of slots' storage, networks or threads, and reads nothing
//! but its objects, its spec and the [`SlotContext`].
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;

pub mod evm;
pub mod exchange;
pub mod parallel;
pub mod router;

use alloc::vec::Vec;
use atoll_state::{Source, Tables};
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{
    Address, B256, Decode, Encode, EnvironmentId, Lane, Message, NetworkId, Reader, Reject,
    RejectCode,
};

/// Which environment of which network a VM runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The network; signatures bind it.
    pub network: NetworkId,
    /// The environment.
    pub environment: EnvironmentId,
}

/// What a VM may know of the slot it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SlotContext {
    /// The slot's number.
    pub slot: u64,
    /// Start of the slot, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Hash of the previous slot's header: block hashes derive from it.
    pub parent: B256,
}

/// A transaction that passed every check that needs no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<T> {
    /// Hash of the transaction on the network ([`atoll_types::Transaction::hash`]).
    pub hash: B256,
    /// Who signed it.
    pub signer: Address,
    /// Where inside a tick it belongs.
    pub lane: Lane,
    /// The decoded transaction.
    pub transaction: T,
}

/// The outcome of one transaction: what the receipts root commits to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Hash of the transaction.
    pub hash: B256,
    /// 0 for success, else the number of a [`RejectCode`].
    pub code: u16,
    /// What happened, as the VM defines it.
    pub payload: Vec<u8>,
    /// What left the environment with it, on its way to the router: money, or data for another one.
    pub messages: Vec<Message>,
}

impl Receipt {
    /// Largest payload, in bytes.
    pub const PAYLOAD_BYTES_MAX: u32 = 1 << 24;
    /// Most messages of one receipt.
    pub const MESSAGES_MAX: u32 = 1 << 16;

    /// Why it failed, if it did.
    pub fn rejection(&self) -> Option<RejectCode> {
        RejectCode::from_number(self.code)
    }
}

impl Encode for Receipt {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.hash.as_slice());
        out.extend_from_slice(&self.code.to_le_bytes());
        put_bytes(out, &self.payload);
        put_varint(out, self.messages.len() as u64);
        self.messages.iter().for_each(|message| message.encode(out));
    }
}

impl Decode for Receipt {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (hash, code) = (r.b256()?, r.u16()?);
        let payload = r.bytes("receipt payload", Self::PAYLOAD_BYTES_MAX)?.to_vec();
        let mut messages = Vec::new();
        for _ in 0..r.length("messages of a receipt", Self::MESSAGES_MAX)? {
            messages.push(Message::decode(r)?);
        }
        Ok(Self { hash, code, payload, messages })
    }
}

/// Money of one asset inside an environment, as an audit finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetAudit {
    /// The asset's symbol.
    pub asset: alloc::string::String,
    /// What came in less what went out, in the asset's smallest unit.
    pub owed: alloc::string::String,
    /// What accounts, fees, funds and the rounding ledger hold together.
    pub held: alloc::string::String,
    /// Whether the two are equal.
    pub conserved: bool,
}

/// A virtual machine over its objects.
///
/// # Obligations
/// * Deterministic: the result is a function of spec, objects, context and transaction.
/// * No hidden state across [`Vm::execute`] calls except through the objects and the context that
///   [`Vm::resume`] sets.
/// * `execute` never panics on any transaction that passed `check`, and its cost is bounded by
///   what the transaction pays for.
/// * A failed transaction leaves no trace beyond what its receipt says.
pub trait Vm<S: Source>: Tables<S> + Sized {
    /// The spec: everything about the environment that never changes within a version.
    type Spec: Encode + Decode + Clone;
    /// A decoded transaction.
    type Transaction: Clone;
    /// Names the VM and the version of its rules; part of the program id.
    const PROGRAM: &'static str;
    /// Whether queries ask for objects as they were when the range began
    /// ([`atoll_state::Table::peek_before`]).
    const PEEKS_BEFORE: bool = false;

    /// A VM with an empty state. `seed` keys in-memory indexes and never changes results.
    fn new(identity: Identity, spec: Self::Spec, seed: u64) -> Self;

    /// Writes the genesis state: balances and contracts of the spec.
    fn genesis(&mut self);

    /// Decodes a transaction and checks all that needs no state: form, bounds, domain, signature.
    fn check(
        identity: &Identity,
        spec: &Self::Spec,
        bytes: &[u8],
    ) -> Result<Checked<Self::Transaction>, Reject>;

    /// Begins a slot (an EVM block).
    fn open_slot(&mut self, context: &SlotContext);

    /// Continues inside a slot that was opened already, with the time of its latest tick if there
    /// was one: sets what [`Vm::open_slot`] and [`Vm::open_tick`] would set outside the objects,
    /// and touches no object. A range of commands is re-executed from its middle this way.
    fn resume(&mut self, context: &SlotContext, tick_time_us: Option<u64>);

    /// Begins a tick: time, oracle prices and marks move here and nowhere else.
    fn open_tick(&mut self, time_us: u64);

    /// How many transactions ahead [`Self::prefetch`] is of use; 0 for never.
    const AHEAD: usize = 0;

    /// Asks the memory for what a transaction will touch that runs so many transactions later, from
    /// [`Self::AHEAD`] down to 1. Records nothing and changes nothing.
    fn prefetch(&self, _transaction: &Checked<Self::Transaction>, _ahead: usize) {}

    /// Executes one transaction.
    fn execute(&mut self, transaction: &Checked<Self::Transaction>) -> Receipt;

    /// Executes an input of the slot's opening (an oracle update); called between `open_slot` and
    /// the first `open_tick`.
    fn execute_input(&mut self, transaction: &Checked<Self::Transaction>) -> Receipt {
        self.execute(transaction)
    }

    /// Takes in what the router delivers: money (a deposit, a transfer from another environment, or its
    /// own message that came back), or what another environment wants done or shows. `hash` identifies
    /// the delivery and is that of the receipt.
    ///
    /// Money is never lost: what cannot be credited goes back as a message of the receipt
    /// ([`Message::bounced`]), and what came back and still cannot be credited goes out to the hub.
    fn receive(&mut self, hash: B256, message: &Message) -> Receipt;

    /// Objects were loaded from outside of a range: derives anew what queries want to know before
    /// the next command. Records nothing, and results never depend on it.
    fn loaded(&mut self) {}

    /// From now on keeps about so many bytes of what ranges change, if the VM answers questions about
    /// states that have passed. Beside the objects; results never depend on it.
    fn keep_recent(&mut self, _bytes_max: usize) {}

    /// The range is about to be sealed. Changes nothing that results depend on.
    fn sealing(&mut self) {}

    /// Checks that money is conserved; walks all accounts, so for audits and tests only.
    fn audit(&self) -> Vec<AssetAudit>;
}
