//! An environment's spec: everything about it that is fixed within a version.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes};
use atoll_types::{B256, Decode, Encode, EnvironmentId, Reader, sha256};
use atoll_vm::evm::EvmSpec;
use atoll_vm::exchange::ExchangeVmSpec;
use atoll_vm::router::RouterSpec;

/// Longest name of an environment.
pub const NAME_BYTES_MAX: u32 = 32;

/// The VM of an environment and its parameters.
#[allow(clippy::large_enum_variant, reason = "a network has few environments")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmSpec {
    /// The native exchange.
    Exchange(ExchangeVmSpec),
    /// An EVM chain.
    Evm(EvmSpec),
    /// The router of a network: environment 0.
    Router(RouterSpec),
}

impl VmSpec {
    /// The kind, as specs and APIs name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Evm(_) => "evm",
            Self::Router(_) => "router",
        }
    }

    /// Identifies the program that executes the environment: protocol and VM rules.
    pub fn program_id(&self) -> B256 {
        use atoll_state::Resident;
        use atoll_vm::Vm;
        let program = match self {
            Self::Exchange(_) => {
                <atoll_vm::exchange::ExchangeVm<Resident> as Vm<Resident>>::PROGRAM
            }
            Self::Evm(_) => <atoll_vm::evm::EvmVm<Resident> as Vm<Resident>>::PROGRAM,
            Self::Router(_) => <atoll_vm::router::RouterVm<Resident> as Vm<Resident>>::PROGRAM,
        };
        let version = atoll_types::statement::PROTOCOL_VERSION.to_le_bytes();
        sha256(&[b"atoll program", &version, program.as_bytes()])
    }
}

/// How transactions stand inside a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Cancels, then post-only orders, then the rest.
    Lanes,
    /// As they arrived.
    Arrival,
    /// As Hyperliquid sorts a block: what takes nothing, then cancels, then what may take.
    Hyperliquid,
}

/// An environment's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// Its number on the network.
    pub id: EnvironmentId,
    /// Its name, unique on the network: lower-case letters, digits and dashes.
    pub name: String,
    /// Slots from one state root to the next.
    pub commit_interval_slots: u32,
    /// Slots the root may lag before admission stops.
    pub root_lag_slots_max: u32,
    /// Order inside a tick.
    pub ordering: Ordering,
    /// The VM.
    pub vm: VmSpec,
}

impl EnvironmentSpec {
    /// What registry and statements bind.
    pub fn hash(&self) -> B256 {
        sha256(&[b"atoll spec", &self.to_bytes()])
    }
}

impl Encode for EnvironmentSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        put_bytes(out, self.name.as_bytes());
        out.extend_from_slice(&self.commit_interval_slots.to_le_bytes());
        out.extend_from_slice(&self.root_lag_slots_max.to_le_bytes());
        out.push(self.ordering as u8);
        match &self.vm {
            VmSpec::Exchange(spec) => {
                out.push(0);
                spec.encode(out);
            }
            VmSpec::Evm(spec) => {
                out.push(1);
                spec.encode(out);
            }
            VmSpec::Router(spec) => {
                out.push(2);
                spec.encode(out);
            }
        }
    }
}

impl Decode for EnvironmentSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let id = EnvironmentId(r.u32()?);
        let name = core::str::from_utf8(r.bytes("environment name", NAME_BYTES_MAX)?)
            .map_err(|_| CodecError::Invalid("environment name"))?
            .to_string();
        let (commit_interval_slots, root_lag_slots_max) = (r.u32()?, r.u32()?);
        let ordering = match r.u8()? {
            0 => Ordering::Lanes,
            1 => Ordering::Arrival,
            2 => Ordering::Hyperliquid,
            _ => return Err(CodecError::Invalid("ordering")),
        };
        let vm = match r.u8()? {
            0 => VmSpec::Exchange(ExchangeVmSpec::decode(r)?),
            1 => VmSpec::Evm(EvmSpec::decode(r)?),
            2 => VmSpec::Router(RouterSpec::decode(r)?),
            _ => return Err(CodecError::Invalid("vm kind")),
        };
        Ok(Self { id, name, commit_interval_slots, root_lag_slots_max, ordering, vm })
    }
}
