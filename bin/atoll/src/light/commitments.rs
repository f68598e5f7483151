//! The chain of commitments: what belongs to each, who signed it, and that it follows from the one
//! before and from the headers.

use super::refusal::{Kind, Refusal};
use crate::gateway::Gateway;
use crate::hub::published::Published;
use anyhow::{Context, Result};
use atoll_types::hub::ROUTER;
use atoll_types::statement::{availability_digest, span_leaf, statements_root, transfers_hash};
use atoll_types::{Address, B256, Decode, Encode, NetworkId, SignedHeader, merkle_root};

/// Longest encoding of a commitment that is read.
const BYTES_MAX: u64 = 8 << 20;

/// The last commitment that was followed; zeros before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) slot: u64,
}

impl Last {
    pub(crate) fn of(published: &Published) -> Self {
        let c = &published.commitment;
        Self { number: c.number, hash: c.hash(), slot: c.slots.1 }
    }
}

fn refuse(number: u64, why: impl AsRef<str>) -> Refusal {
    Refusal::new(Kind::BadCommitment, format!("commitment {number} {}", why.as_ref()))
}

/// A commitment from the gateway, if it gives one; nothing of it is checked.
pub(crate) fn get(gateway: &Gateway, number: u64) -> Result<Option<Published>> {
    let found = gateway.bytes(&format!("/atoll/commitments/{number}"), BYTES_MAX)?;
    let published = found.map(|bytes| Published::from_bytes(&bytes));
    published.transpose().with_context(|| refuse(number, "cannot be read"))
}

/// Whether everything that came with a commitment is what it commits to.
pub(crate) fn holds_together(published: &Published, number: u64) -> Result<(), Refusal> {
    let c = &published.commitment;
    let leaves: Vec<B256> =
        published.spans.iter().map(|span| span_leaf(span.slots, span.data_root)).collect();
    let holds = c.number == number
        && c.statements == statements_root(&published.statements)
        && c.transfers == transfers_hash(&published.transfers)
        && c.data == merkle_root(leaves.iter().map(|leaf| leaf.as_slice()));
    if holds { Ok(()) } else { Err(refuse(number, "has parts that do not belong together")) }
}

/// Whether the sequencer signed it, and promised that its data is available.
pub(crate) fn is_signed(published: &Published, sequencer: Address) -> Result<(), Refusal> {
    let c = &published.commitment;
    if published.signature.recover(&c.hash()) != Ok(sequencer) {
        return Err(refuse(c.number, format!("is not signed by the sequencer {sequencer}")));
    }
    let promise = availability_digest(&c.network, c.slots, c.data);
    if published.availability.recover(&promise) != Ok(sequencer) {
        return Err(refuse(c.number, format!("has no promise of availability by {sequencer}")));
    }
    Ok(())
}

/// Whether its spans cover its slots, and its statements are about them.
pub(crate) fn covers_its_slots(published: &Published) -> Result<(), Refusal> {
    let c = &published.commitment;
    let no = |why: &str| Err(refuse(c.number, why));
    let mut next = c.slots.0;
    for span in &published.spans {
        let (first, last) = span.slots;
        if first != next || last < first {
            return no("has spans that do not cover its slots one after the other");
        }
        next = last.saturating_add(1);
    }
    if c.slots.1 < c.slots.0 || next != c.slots.1.saturating_add(1) {
        return no("has spans that do not cover all of its slots");
    }
    let ids: Vec<_> = published.statements.iter().map(|s| s.environment).collect();
    if ids.first() != Some(&ROUTER) || !ids.is_sorted_by(|a, b| a < b) {
        return no("has statements out of order");
    }
    let own = |s: &atoll_types::Statement| s.slots == c.slots && s.network == c.network;
    if !published.statements.iter().all(own) {
        return no("has a statement about other slots than its own");
    }
    Ok(())
}

/// Whether it follows from the one before, and ends with the header that was followed.
pub(crate) fn follows(
    published: &Published,
    last: &Last,
    network: NetworkId,
    header: &SignedHeader,
) -> Result<(), Refusal> {
    let c = &published.commitment;
    let no = |why: &str| Err(refuse(c.number, why));
    if c.network != network {
        return no("is of another network");
    }
    if c.number != last.number + 1 || c.previous != last.hash {
        return no("does not name the hash of the commitment before");
    }
    if c.slots.0 != last.slot + 1 {
        return no("does not begin with the slot after the last one");
    }
    if c.slot_hash != header.header.hash() {
        let message = format!(
            "the sequencer signed commitment {} with another header of slot {} than it gave out",
            c.number, c.slots.1
        );
        return Err(Refusal::new(Kind::Equivocation, message)
            .slot(c.slots.1)
            .evidence("header", header.to_bytes())
            .evidence("commitment", published.to_bytes()));
    }
    if c.cursor != header.header.hub_cursor {
        return no("has another hub cursor than its last header");
    }
    Ok(())
}
