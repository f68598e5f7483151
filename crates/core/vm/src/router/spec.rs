//! The router's spec: derived from the specs of the network's environments.

use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::{Address, Decode, Encode, EnvironmentId, Reader, U256};

/// Most environments of a network.
pub(super) const ENVIRONMENTS_MAX: u32 = 1 << 16;
/// Most tokens that an environment is funded in.
pub(super) const TOKENS_MAX: u32 = 1 << 16;
/// Longest delay of a message.
pub(super) const MESSAGE_DELAY_SLOTS_MAX: u32 = 1000;
/// Bound of [`Observes::every_slots`].
pub const OBSERVE_EVERY_SLOTS_MAX: u32 = 10_000;

/// What an environment's genesis balances are of one token: its opening balance in the ledger, and
/// what its escrow on the hub is funded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The token, by its address on the hub.
    pub token: Address,
    /// How much, in the token's smallest unit on the hub.
    pub amount: U256,
}

/// What an environment is shown of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observes {
    /// The other one; the router runs it.
    pub environment: EnvironmentId,
    /// In every slot that is a multiple of this it is asked, 1 to [`OBSERVE_EVERY_SLOTS_MAX`].
    pub every_slots: u32,
}

/// An environment that this network runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedEnvironment {
    /// Its number; never 0.
    pub id: EnvironmentId,
    /// What its genesis holds, by token.
    pub funded: Vec<Funding>,
    /// What it is shown without asking for it.
    pub observes: Option<Observes>,
}

/// The router's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterSpec {
    /// Slots from sending to delivery; at least 1. With more than one, an environment that is slow
    /// for less than the difference holds up nobody.
    pub message_delay_slots: u32,
    /// The environments, in ascending order.
    pub environments: Vec<RoutedEnvironment>,
}

impl Encode for RouterSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.message_delay_slots.to_le_bytes());
        put_varint(out, self.environments.len() as u64);
        for routed in &self.environments {
            out.extend_from_slice(&routed.id.0.to_le_bytes());
            put_varint(out, routed.funded.len() as u64);
            for Funding { token, amount } in &routed.funded {
                out.extend_from_slice(token.as_slice());
                out.extend_from_slice(&amount.to_be_bytes::<32>());
            }
            out.push(u8::from(routed.observes.is_some()));
            if let Some(Observes { environment, every_slots }) = routed.observes {
                out.extend_from_slice(&environment.0.to_le_bytes());
                out.extend_from_slice(&every_slots.to_le_bytes());
            }
        }
    }
}

impl Observes {
    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (environment, every_slots) = (EnvironmentId(r.u32()?), r.u32()?);
        if !(1..=OBSERVE_EVERY_SLOTS_MAX).contains(&every_slots) {
            return Err(CodecError::Invalid("slots between observations"));
        }
        Ok(Self { environment, every_slots })
    }
}

impl Decode for RouterSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let message_delay_slots = r.u32()?;
        if !(1..=MESSAGE_DELAY_SLOTS_MAX).contains(&message_delay_slots) {
            return Err(CodecError::Invalid("message delay"));
        }
        let mut environments: Vec<RoutedEnvironment> = Vec::new();
        for _ in 0..r.length("environments", ENVIRONMENTS_MAX)? {
            let id = EnvironmentId(r.u32()?);
            let after = environments.last().map_or(EnvironmentId(0), |last| last.id);
            if id <= after {
                return Err(CodecError::Invalid("order of environments"));
            }
            let mut funded = Vec::new();
            for _ in 0..r.length("funded tokens", TOKENS_MAX)? {
                funded.push(Funding { token: r.address()?, amount: r.u256()? });
            }
            let observes = if r.bool()? { Some(Observes::read(r)?) } else { None };
            environments.push(RoutedEnvironment { id, funded, observes });
        }
        let runs = |id| environments.binary_search_by_key(&id, |routed| routed.id).is_ok();
        let fits = |routed: &RoutedEnvironment| {
            routed.observes.is_none_or(|of| of.environment != routed.id && runs(of.environment))
        };
        if !environments.iter().all(fits) {
            return Err(CodecError::Invalid("observed environment"));
        }
        Ok(Self { message_delay_slots, environments })
    }
}
