//! What a transaction that reached the exchange did.

use crate::Receipt;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{Amount, ClientId, Event, OrderId, Size};
use atoll_types::codec::{CodecError, put_bytes, put_signed, put_varint};
use atoll_types::{Decode, Encode, Reader, Reject, RejectCode};

/// Most statuses of a receipt.
const STATUSES_MAX: u32 = super::spec::COMMANDS_PER_ACTION_BOUND;
/// Most events of a receipt: bounded by the payload.
const EVENTS_MAX: u32 = Receipt::PAYLOAD_BYTES_MAX;
/// Longest sentence.
const DETAIL_BYTES_MAX: u32 = 512;

/// What became of one command of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The order rests in the book; nothing of it traded yet.
    Resting {
        /// Its number.
        order: OrderId,
        /// The client's identifier.
        client_id: Option<ClientId>,
    },
    /// The order traded at once, in part or in full.
    Filled {
        /// Its number.
        order: OrderId,
        /// The client's identifier.
        client_id: Option<ClientId>,
        /// What traded, in lots. The average price is `notional / size`.
        size: Size,
        /// What that cost or brought, in quote units.
        notional: Amount,
        /// What rests in the book, in lots.
        resting: Size,
    },
    /// Done.
    Success,
    /// A member of a group waits.
    Waiting {
        /// Its number; zero if its parent ended at once without a fill, and it with it.
        order: OrderId,
        /// The client's identifier.
        client_id: Option<ClientId>,
        /// Whether it waits for its parent to fill; else for its trigger price.
        parent: bool,
    },
    /// The command did nothing.
    Rejected {
        /// The stable code.
        code: RejectCode,
        /// What was wrong and what to do.
        detail: String,
    },
}

/// The payload of a receipt with code 0: the action reached the exchange and its nonce is used,
/// whatever became of each command. A receipt with another code has the sentence as its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeReceipt {
    /// One status per command, in the order of the action.
    pub statuses: Vec<Status>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl ExchangeReceipt {
    /// What a receipt says: the statuses and events, or why nothing reached the exchange.
    pub fn of(receipt: &Receipt) -> Result<Self, Reject> {
        if receipt.code == 0 {
            return Self::from_bytes(&receipt.payload).map_err(|error| {
                let message = alloc::format!("the receipt's payload does not decode: {error}");
                Reject::new(RejectCode::Malformed, message)
            });
        }
        let code = receipt.rejection().unwrap_or(RejectCode::Reverted);
        let message = match core::str::from_utf8(&receipt.payload) {
            Ok(message) if !message.is_empty() => message,
            _ => code.label(),
        };
        Err(Reject::new(code, message))
    }
}

fn put_client_id(out: &mut Vec<u8>, client_id: &Option<ClientId>) {
    out.push(u8::from(client_id.is_some()));
    if let Some(client_id) = client_id {
        out.extend_from_slice(client_id);
    }
}

fn client_id(r: &mut Reader<'_>) -> Result<Option<ClientId>, CodecError> {
    if r.bool()? { r.array().map(Some) } else { Ok(None) }
}

impl Encode for Status {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Success => out.push(0),
            Self::Resting { order, client_id } => {
                out.push(1);
                order.encode(out);
                put_client_id(out, client_id);
            }
            Self::Filled { order, client_id, size, notional, resting } => {
                out.push(2);
                order.encode(out);
                put_client_id(out, client_id);
                put_varint(out, *size);
                put_signed(out, *notional);
                put_varint(out, *resting);
            }
            Self::Waiting { order, client_id, parent } => {
                out.push(4);
                order.encode(out);
                put_client_id(out, client_id);
                out.push(u8::from(*parent));
            }
            Self::Rejected { code, detail } => {
                out.push(3);
                out.extend_from_slice(&code.number().to_le_bytes());
                put_bytes(out, detail.as_bytes());
            }
        }
    }
}

impl Decode for Status {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::Success,
            1 => Self::Resting { order: OrderId::decode(r)?, client_id: client_id(r)? },
            2 => Self::Filled {
                order: OrderId::decode(r)?,
                client_id: client_id(r)?,
                size: r.varint()?,
                notional: r.signed()?,
                resting: r.varint()?,
            },
            3 => Self::Rejected {
                code: RejectCode::from_number(r.u16()?)
                    .ok_or(CodecError::Invalid("reject code"))?,
                detail: core::str::from_utf8(r.bytes("detail", DETAIL_BYTES_MAX)?)
                    .map_err(|_| CodecError::Invalid("detail"))?
                    .into(),
            },
            4 => Self::Waiting {
                order: OrderId::decode(r)?,
                client_id: client_id(r)?,
                parent: r.bool()?,
            },
            _ => return Err(CodecError::Invalid("status")),
        })
    }
}

impl Encode for ExchangeReceipt {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.statuses.len() as u64);
        self.statuses.iter().for_each(|status| status.encode(out));
        put_varint(out, self.events.len() as u64);
        self.events.iter().for_each(|event| event.encode(out));
    }
}

impl Decode for ExchangeReceipt {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut receipt = Self::default();
        for _ in 0..r.length("statuses", STATUSES_MAX)? {
            receipt.statuses.push(Status::decode(r)?);
        }
        for _ in 0..r.length("events", EVENTS_MAX)? {
            receipt.events.push(Event::decode(r)?);
        }
        Ok(receipt)
    }
}
