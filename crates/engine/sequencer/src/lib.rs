//! Orders transactions into ticks and slots and signs the chain of confirmations.
//!
//! [`Sequencer`] is the port; [`Solo`] is the implementation with one validator. Both are state
//! machines: time comes in as microseconds, events go out, and there is no thread and no I/O.
//!
//! # The chain
//! One running hash goes over everything ordered (see [`running`]): each opening with its inputs,
//! the beginning of each tick with its time, and each transaction. A slot's header names the
//! running hash after it and the header before it; a tick's confirmation signs the running hashes
//! before its first and after its last transaction. Header hashes and confirmations therefore
//! commit to all that execution depends on, tick boundaries and times included.
//!
//! # Ordering
//! Inside a tick each environment's transactions stand in its own order ([`LanePolicy`]): by lane
//! and then arrival, or by arrival alone. Which environment stands where follows arrival.
//!
//! # Restart
//! [`Recovery`] re-verifies a recovered log and yields the [`Tip`] from which a sequencer goes on:
//! a slot left open is continued with its next tick, and with the same term the chain is unbroken.
//!
//! # Driving it
//! ```
//! use atoll_sequencer::{Sequencer, SequencerEvent, Supply};
//!
//! /// One turn of the thread that drives a sequencer; returns when to come back, unless
//! /// transactions arrive before.
//! fn turn(
//!     sequencer: &mut dyn Sequencer,
//!     supply: &mut dyn Supply,
//!     now_us: u64,
//!     log: &mut dyn std::io::Write,
//!     let_out: &mut dyn FnMut(SequencerEvent),
//! ) -> std::io::Result<Option<u64>> {
//!     let events = sequencer.poll(now_us, supply);
//!     let mut record = Vec::new();
//!     for event in events {
//!         record.clear();
//!         if event.encode_record(&mut record) {
//!             log.write_all(&record)?; // on an error: end the process
//!         }
//!         let_out(event); // execute, confirm, publish
//!     }
//!     Ok(sequencer.next_deadline_us())
//! }
//! ```
//!
//! # Known limitations
//! * A lane byte is not part of a transaction's hash, so the chain does not commit to it. It has
//!   no effect on execution; [`LanePolicy`] is checked against the lane that the VM derives.
//! * One [`Solo`] with one key in two processes at once signs contradictions: the data folder's
//!   lock is what prevents that.

mod clock;
mod config;
mod confirmations;
mod evidence;
mod lanes;
mod port;
mod record;
mod recovery;
pub mod running;
mod solo;
mod tip;

pub use config::{ConfigError, SoloConfig};
pub use confirmations::{ChainError, ConfirmationChain, Link, includes};
pub use evidence::{Contradiction, Evidence, evidence};
pub use lanes::{LanePolicy, obeys, order};
pub use port::{
    ClosedTick, Finalised, Finality, HubQueue, Pending, Place, Sequencer, SequencerEvent, Supply,
};
pub use record::LogRecord;
pub use recovery::{Leaders, Recovery, RecoveryError, Signatures};
pub use solo::Solo;
pub use tip::{OpenSlot, Tip};
