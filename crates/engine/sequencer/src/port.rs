//! The port: what the rest of the node may assume of a sequencer, whoever orders.

use crate::{LogRecord, Tip};
use atoll_types::{
    B256, Confirmation, HubEntry, Reject, SignedHeader, SlotOpening, Tick, TickConfirmation,
    Transaction,
};

/// A transaction that waits to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The transaction, at most [`atoll_types::slot::TRANSACTION_BYTES_MAX`] bytes.
    pub transaction: Transaction,
    /// Its hash; must be that of [`Transaction::hash`].
    pub hash: B256,
    /// When it was received, microseconds on the caller's clock.
    pub received_us: u64,
    /// Carried through to [`Place`], so that whoever waits can be answered.
    pub ticket: u64,
}

/// What is known of the hub's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubQueue {
    /// The finalised hub block up to which the queue was read; 0 without a hub.
    pub block: u64,
    /// Entries from the cursor on, in order. What is too much for a slot is left for the next.
    pub entries: Vec<HubEntry>,
}

/// What a sequencer pulls from the node. Pulling keeps the backlog where its bounds are: in the
/// mempool.
pub trait Supply {
    /// Oracle and model inputs for a slot about to open. May be called more than once for a slot
    /// that is then opened by somebody else.
    fn inputs(&mut self, slot: u64, time_us: u64) -> Vec<Transaction>;

    /// The hub's queue from entry number `cursor` on, for a slot about to open. May be called more
    /// than once for the same entries.
    fn hub(&mut self, cursor: u64) -> HubQueue;

    /// Transactions in order of arrival: at most so many, of at most so many bytes together.
    fn pending(&mut self, transactions_max: u32, bytes_max: u32) -> Vec<Pending>;
}

/// Where one transaction of a tick stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// [`Pending::ticket`].
    pub ticket: u64,
    /// [`Pending::received_us`].
    pub received_us: u64,
    /// The transaction's hash.
    pub hash: B256,
    /// Running hash after it.
    pub running: B256,
}

/// A closed tick with its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedTick {
    /// The tick.
    pub tick: Tick,
    /// The leader's promise about it.
    pub confirmation: TickConfirmation,
    /// One for each of the tick's transactions, in the same order.
    pub places: Vec<Place>,
}

impl ClosedTick {
    /// The promise about the transaction at `index`.
    pub fn confirmation_of(&self, index: u32) -> Option<Confirmation> {
        let place = self.places.get(usize::try_from(index).ok()?)?;
        Some(Confirmation { tick: self.confirmation.clone(), index, running: place.running })
    }
}

/// Why a slot is final.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finality {
    /// The only validator has it on disk.
    Durable,
}

/// A slot that can no longer be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalised {
    /// The slot; all earlier ones are final too.
    pub slot: u64,
    /// Hash of its header.
    pub header_hash: B256,
    /// What makes it final.
    pub finality: Finality,
}

/// What a sequencer tells the node, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequencerEvent {
    /// A slot has begun: a log record.
    SlotOpened(SlotOpening),
    /// A tick has closed: a log record.
    TickClosed(ClosedTick),
    /// A slot has ended: a log record.
    SlotSealed(SignedHeader),
    /// A slot is final. Not a log record.
    Finalised(Finalised),
    /// Something supplied cannot be ordered. Not a log record.
    Refused {
        /// Whose; `None` for an input.
        ticket: Option<u64>,
        /// The hash of what was refused.
        hash: B256,
        /// Why.
        reject: Reject,
    },
}

impl SequencerEvent {
    /// Appends the event's log record, the encoding of a [`LogRecord`], and says whether it has
    /// one.
    pub fn encode_record(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::SlotOpened(opening) => LogRecord::encode_opening(opening, out),
            Self::TickClosed(closed) => {
                LogRecord::encode_tick(&closed.tick, &closed.confirmation, out);
            }
            Self::SlotSealed(header) => LogRecord::encode_sealed(header, out),
            Self::Finalised(_) | Self::Refused { .. } => return false,
        }
        true
    }
}

/// A sequencer, as a state machine that one thread drives.
///
/// # Ordering
/// Events are in the order of the chain: an opening, its ticks with indices from 0 without a gap,
/// the header that seals it, the next opening. Times never decrease. A slot without ticks is
/// still sealed; a tick without transactions is not made. Numbers of slots have no gap, their
/// times may: a node that slept does not fill in the slots it missed.
///
/// # Durability
/// The caller writes each log record before it lets anything of the event out of the process, in
/// the order of the events. If writing fails it must end the process: the sequencer has gone on,
/// and nothing of what it says from then on may be let out. A tick that was signed and not
/// written does not exist; after a restart another may be signed in its place.
///
/// # Restart
/// The log's records, as far as they were recovered, are everything: replayed through
/// [`crate::Recovery`] they give the [`Tip`] to go on from, and no confirmation that was let out
/// changes.
///
/// # Finality
/// A confirmation is a leader's promise, not finality: a slot is final only when
/// [`SequencerEvent::Finalised`] says so, and it may be another than the one confirmed, in which
/// case two signatures are evidence against the leader. Nothing above this port may assume that
/// there is one validator, that this node leads, that terms stay the same, or that finality comes
/// after any given time.
///
/// # Retry
/// A transaction that was pulled is ordered once, or refused, or lost with the process.
pub trait Sequencer {
    /// Moves on to `now_us`, microseconds since the Unix epoch on the caller's clock, and closes
    /// at most one tick, so that it can be logged and executed before the next is made.
    ///
    /// To be called when [`Sequencer::next_deadline_us`] has come, when transactions arrive at an
    /// empty mempool, and at any other time without harm.
    fn poll(&mut self, now_us: u64, supply: &mut dyn Supply) -> Vec<SequencerEvent>;

    /// When to poll next, on the caller's clock, if nothing arrives before; `None` when there is
    /// nothing to do until [`Sequencer::on_durable`]. A time that has passed means at once.
    fn next_deadline_us(&self) -> Option<u64>;

    /// The caller reports that all records up to the one that seals `slot` are on disk.
    fn on_durable(&mut self, slot: u64);

    /// Where the chain stands.
    fn tip(&self) -> &Tip;
}
