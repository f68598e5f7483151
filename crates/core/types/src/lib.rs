//! Identifiers, codec, signatures, slots, confirmations and statements: the words every other
//! crate uses.
//!
//! Everything here is pure, `no_std` and encoded canonically: one value has one encoding, every
//! decoder is bounded by the length of its input, and integers are little-endian.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;

pub mod codec;
pub mod confirmation;
pub mod crypto;
pub mod hash;
pub mod hub;
pub mod id;
pub mod reject;
pub mod slot;
pub mod statement;
pub mod words;

pub use alloy_primitives::{Address, B256, U256};
pub use codec::{CodecError, Decode, Encode, Reader};
pub use confirmation::{Confirmation, TickConfirmation};
pub use crypto::{Signature, SignatureError};
pub use hash::{keccak256, merkle_proof, merkle_root, sha256};
pub use hub::{EntryKind, HubEntry, Message, MessageKind, Withdrawal};
pub use id::{EnvironmentId, NetworkId};
pub use reject::{Reject, RejectCode};
pub use slot::{Lane, SignedHeader, SlotHeader, SlotOpening, Tick, Transaction};
pub use statement::{Commitment, NetTransfer, Statement};
