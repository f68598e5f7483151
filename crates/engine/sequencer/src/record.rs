//! The records of the slot log.

use atoll_types::{
    CodecError, Decode, Encode, Reader, SignedHeader, SlotOpening, Tick, TickConfirmation,
};

const OPENED: u8 = 1;
const TICK: u8 = 2;
const SEALED: u8 = 3;

/// What a sequencer's event leaves in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// A slot has begun.
    Opened(SlotOpening),
    /// A tick has closed.
    Tick(Tick, TickConfirmation),
    /// A slot has ended.
    Sealed(SignedHeader),
}

impl LogRecord {
    /// The slot it belongs to.
    pub fn slot(&self) -> u64 {
        match self {
            Self::Opened(opening) => opening.slot,
            Self::Tick(tick, _) => tick.slot,
            Self::Sealed(sealed) => sealed.header.slot,
        }
    }

    pub(crate) fn encode_opening(opening: &SlotOpening, out: &mut Vec<u8>) {
        out.push(OPENED);
        opening.encode(out);
    }

    pub(crate) fn encode_tick(tick: &Tick, confirmation: &TickConfirmation, out: &mut Vec<u8>) {
        out.push(TICK);
        tick.encode(out);
        confirmation.encode(out);
    }

    pub(crate) fn encode_sealed(header: &SignedHeader, out: &mut Vec<u8>) {
        out.push(SEALED);
        header.encode(out);
    }
}

impl Encode for LogRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened(opening) => Self::encode_opening(opening, out),
            Self::Tick(tick, confirmation) => Self::encode_tick(tick, confirmation, out),
            Self::Sealed(header) => Self::encode_sealed(header, out),
        }
    }
}

impl Decode for LogRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            OPENED => Ok(Self::Opened(SlotOpening::decode(r)?)),
            TICK => Ok(Self::Tick(Tick::decode(r)?, TickConfirmation::decode(r)?)),
            SEALED => Ok(Self::Sealed(SignedHeader::decode(r)?)),
            _ => Err(CodecError::Invalid("kind of log record")),
        }
    }
}
