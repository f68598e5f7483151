//! Authenticated state: the trie with NOMT roots, proofs, witnesses, typed objects and ordered
//! sets.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod db;
pub mod index;
pub mod object;
pub mod ordered;
pub mod path;
pub mod prefetch;
pub mod proof;
pub mod trie;

pub use object::shard::{Shard, Sharing, Workers};
pub use object::{
    Handle, Key, MissingObject, Object, Purpose, ReadSet, Resident, Savepoint, Source, Table,
    TableVisitor, Tables, Witnessed, WriteSet,
};
pub use ordered::{OrderedSet, Page};
pub use path::PathProof;
