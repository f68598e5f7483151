//! The state transition of a slot, and its verification from a witness alone.
//!
//! The same code runs in a node (on full state), in a challenger and in the proof guest (on
//! nothing but a witness). A [`Batch`] is what the order gave one environment in one slot;
//! a [`Machine`] executes it; [`verify`](verify::verify) checks a [`Claim`] about any range of it.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
pub mod machine;
#[cfg(feature = "std")]
pub mod parallel;
pub mod spec;
pub mod verify;
pub mod witness;
#[cfg(feature = "std")]
pub mod workers;

pub use batch::{Batch, Range, Step};
pub use machine::{Machine, Outcome};
pub use spec::{EnvironmentSpec, VmSpec};
pub use verify::{Claim, VerifyError, verify};
pub use witness::Witness;
