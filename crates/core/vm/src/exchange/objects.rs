//! The objects that signatures need: who may sign for whom, and which nonces were used.
//!
//! Tags begin at 64; those below are the exchange's own.

use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::{Key, Object};
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{Address, Decode, Encode, Reader, Reject, RejectCode};

/// Longest name of an agent, in bytes.
pub const AGENT_NAME_BYTES_MAX: u32 = 64;
/// How many of a signer's nonces are kept: the highest ones.
pub const NONCES_KEPT: usize = 100;
/// How far a nonce may lie behind the tick's time, in milliseconds.
pub const NONCE_PAST_MS: u64 = 2 * 24 * 3600 * 1000;
/// How far a nonce may lie ahead of the tick's time, in milliseconds.
pub const NONCE_FUTURE_MS: u64 = 24 * 3600 * 1000;

/// The key of what a signer has one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignerKey(pub Address);

impl Encode for SignerKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
}

impl Decode for SignerKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(r.address()?))
    }
}

impl Key for SignerKey {}

/// An agent key: signs orders for a master account, moves no money. Found by its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The account it signs for; zero if it is no agent.
    pub master: Address,
    /// Milliseconds since the Unix epoch until which it may sign.
    pub valid_until_ms: u64,
    /// Its name, unique among the agents of its master; empty for the unnamed one.
    pub name: String,
}

impl Encode for Agent {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.master.as_slice());
        out.extend_from_slice(&self.valid_until_ms.to_le_bytes());
        put_bytes(out, self.name.as_bytes());
    }
}

impl Decode for Agent {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (master, valid_until_ms) = (r.address()?, r.u64()?);
        let name = core::str::from_utf8(r.bytes("agent name", AGENT_NAME_BYTES_MAX)?)
            .map_err(|_| CodecError::Invalid("agent name"))?;
        Ok(Self { master, valid_until_ms, name: name.into() })
    }
}

impl Object for Agent {
    const TAG: u8 = 64;
    const NAME: &'static str = "agent";
    type Key = SignerKey;
}

/// The agents of a master account, in the order in which they were approved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentList(pub Vec<Address>);

impl Encode for AgentList {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|agent| out.extend_from_slice(agent.as_slice()));
    }
}

impl Decode for AgentList {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.length("agents", super::spec::AGENTS_PER_ACCOUNT_BOUND)?;
        (0..count).map(|_| r.address()).collect::<Result<_, _>>().map(Self)
    }
}

impl Object for AgentList {
    const TAG: u8 = 65;
    const NAME: &'static str = "agent list";
    type Key = SignerKey;
}

/// The highest nonces that a signer used: Hyperliquid's rule, which lets many processes sign with
/// one key out of order.
///
/// A nonce is never accepted twice: below the lowest kept one nothing is accepted once
/// [`NONCES_KEPT`] are kept, and until then all that were ever used are kept. The object outlives
/// the approval of an agent, so approving a key again does not open its old actions to replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nonces(Vec<u64>);

impl Nonces {
    /// Whether the nonce may be used at this time.
    pub fn check(&self, nonce: u64, now_ms: u64) -> Result<(), Reject> {
        let low = |message: String| Err(Reject::new(RejectCode::NonceTooLow, message));
        if nonce <= now_ms.saturating_sub(NONCE_PAST_MS) && nonce < now_ms {
            return low(alloc::format!(
                "nonce {nonce} is two days or more before the venue's time {now_ms} ms; \
                 use the current time in milliseconds",
            ));
        }
        if nonce >= now_ms.saturating_add(NONCE_FUTURE_MS) {
            let message = alloc::format!(
                "nonce {nonce} is a day or more after the venue's time {now_ms} ms; \
                 use the current time in milliseconds",
            );
            return Err(Reject::new(RejectCode::NonceTooHigh, message));
        }
        if self.0.binary_search(&nonce).is_ok() {
            let message = alloc::format!("nonce {nonce} was used by this signer; use a new one");
            return Err(Reject::new(RejectCode::NonceUsed, message));
        }
        match self.0.first() {
            Some(lowest) if self.0.len() >= NONCES_KEPT && nonce < *lowest => low(alloc::format!(
                "nonce {nonce} is below the {NONCES_KEPT} highest used by this signer \
                 (lowest: {lowest}); use the current time in milliseconds",
            )),
            _ => Ok(()),
        }
    }

    /// Uses a nonce that [`Nonces::check`] accepts.
    pub fn insert(&mut self, nonce: u64) {
        if let Err(place) = self.0.binary_search(&nonce) {
            self.0.insert(place, nonce);
            if self.0.len() > NONCES_KEPT {
                self.0.remove(0);
            }
        }
    }

    /// Whether `nonce` may follow, where nonces only ever rise.
    pub fn check_rising(&self, nonce: u64, now_ms: u64) -> Result<(), Reject> {
        self.check(nonce, now_ms)?;
        match self.0.last() {
            Some(last) if nonce < *last => {
                let message = alloc::format!("nonce {nonce} is older than the latest, {last}");
                Err(Reject::new(RejectCode::NonceTooLow, message))
            }
            _ => Ok(()),
        }
    }

    /// Uses a nonce that [`Nonces::check_rising`] accepts; older ones need not be kept.
    pub fn advance(&mut self, nonce: u64) {
        self.0.clear();
        self.0.push(nonce);
    }

    /// The nonces kept, ascending.
    pub fn kept(&self) -> &[u64] {
        &self.0
    }
}

impl Encode for Nonces {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut last = 0;
        for nonce in &self.0 {
            put_varint(out, nonce - last);
            last = *nonce;
        }
    }
}

impl Decode for Nonces {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut nonces = Vec::new();
        let mut last = 0u64;
        for i in 0..r.length("nonces", NONCES_KEPT as u32)? {
            let step = r.varint()?;
            last = match last.checked_add(step) {
                Some(next) if step > 0 || i == 0 => next,
                _ => return Err(CodecError::Invalid("nonce")),
            };
            nonces.push(last);
        }
        Ok(Self(nonces))
    }
}

impl Object for Nonces {
    const TAG: u8 = 66;
    const NAME: &'static str = "nonces";
    type Key = SignerKey;
}
