//! The part of an EVM environment's spec that joins it to an exchange.

use super::EXCHANGE_PORT_ADDRESS;
use crate::evm::spec::{CODE_BYTES_MAX, SpecError, expect};
use crate::evm::system;
use crate::router::OBSERVE_EVERY_SLOTS_MAX;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes};
use atoll_types::hub::ROUTER;
use atoll_types::{Address, Decode, Encode, EnvironmentId, Reader};
use revm::primitives::Bytes;

/// The exchange environment that contracts trade on and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmExchange {
    /// Code of the port's contract.
    pub code: Bytes,
    /// The exchange.
    pub environment: EnvironmentId,
    /// How often the prices of its markets come in, in slots.
    pub every_slots: u32,
}

impl EvmExchange {
    /// Checks every value against the genesis accounts it must not collide with.
    pub(in crate::evm) fn validate(
        &self,
        genesis: impl Iterator<Item = Address>,
    ) -> Result<(), SpecError> {
        system::validate(
            "exchange",
            (EXCHANGE_PORT_ADDRESS, &self.code),
            genesis,
            (
                "the port to the exchange or the system",
                "whoever had code there could act for anybody",
            ),
        )?;
        expect(
            self.environment != ROUTER,
            "exchange.environment",
            self.environment.0,
            "the id of an exchange environment: 0 is the router",
        )?;
        expect(
            (1..=OBSERVE_EVERY_SLOTS_MAX).contains(&self.every_slots),
            "exchange.every_slots",
            self.every_slots,
            alloc::format!("1 to {OBSERVE_EVERY_SLOTS_MAX}"),
        )
    }
}

impl Encode for EvmExchange {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.code);
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(&self.every_slots.to_le_bytes());
    }
}

impl Decode for EvmExchange {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            code: Bytes::copy_from_slice(r.bytes("code of the port", CODE_BYTES_MAX)?),
            environment: EnvironmentId(r.u32()?),
            every_slots: r.u32()?,
        })
    }
}
