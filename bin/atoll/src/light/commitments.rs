//! The chain of commitments: what belongs to each, who signed it, and that it follows from the one
//! before and from the headers.

use super::refusal::{Kind, Refusal};
use crate::gateway::Gateway;
use crate::hub::certificate::data_of;
use crate::hub::published::Published;
use anyhow::{Context, Result};
use atoll_types::hub::ROUTER;
use atoll_types::statement::{availability_digest, statements_root, transfers_hash};
use atoll_types::{Address, B256, Decode, Encode, NetworkId, SignedHeader};

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
    let holds = c.number == number
        && c.statements == statements_root(&published.statements)
        && c.transfers == transfers_hash(&published.transfers)
        && c.data == data_of(&published.spans);
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

/// A commitment that the gateway must have, whole and signed.
pub(crate) fn signed(gateway: &Gateway, number: u64, sequencer: Address) -> Result<Published> {
    let published = get(gateway, number)?;
    let published = published.context("the gateway does not give the span's commitment")?;
    holds_together(&published, number)?;
    is_signed(&published, sequencer)?;
    Ok(published)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::published::SpanRoot;
    use atoll_types::crypto::SigningKey;
    use atoll_types::{Commitment, EnvironmentId, SlotHeader, Statement};

    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));

    fn header(slot: u64) -> SignedHeader {
        let header = SlotHeader { slot, hub_cursor: 3, ..SlotHeader::default() };
        let signature = SigningKey::from_label("sequencer").sign(&header.digest(&NETWORK));
        SignedHeader { header, signature }
    }

    fn blank() -> Statement {
        let zero = B256::ZERO;
        Statement {
            protocol_version: 1,
            network: NETWORK,
            environment: EnvironmentId(0),
            spec_hash: zero,
            program_id: zero,
            slots: (0, 0),
            times_us: (0, 0),
            pre_root: zero,
            post_root: zero,
            batch: zero,
            hub_cursor: (0, 0),
            inbox: zero,
            outbox: zero,
            receipts: zero,
            foreign_roots: zero,
        }
    }

    /// A good commitment over slots 11 to 20, changed, and then sealed.
    fn made(change: impl FnOnce(&mut Published)) -> Published {
        let key = SigningKey::from_label("sequencer");
        let nothing = key.sign(&B256::ZERO);
        let statement = |id| Statement {
            environment: EnvironmentId(id),
            network: NETWORK,
            slots: (11, 20),
            ..blank()
        };
        let span = |first, last| SpanRoot { slots: (first, last), data_root: B256::ZERO };
        let mut published = Published {
            commitment: Commitment {
                network: NETWORK,
                previous: B256::repeat_byte(1),
                number: 2,
                slots: (11, 20),
                slot_hash: header(20).header.hash(),
                cursor: 3,
                queue_hash: B256::ZERO,
                statements: B256::ZERO,
                withdrawals_root: B256::ZERO,
                withdrawals_count: 0,
                transfers: B256::ZERO,
                data: B256::ZERO,
            },
            statements: vec![statement(0), statement(1)],
            transfers: Vec::new(),
            spans: vec![span(11, 15), span(16, 20)],
            signature: nothing,
            availability: nothing,
        };
        change(&mut published);
        let c = &mut published.commitment;
        c.statements = statements_root(&published.statements);
        c.transfers = transfers_hash(&published.transfers);
        c.data = data_of(&published.spans);
        published.signature = key.sign(&c.hash());
        published.availability = key.sign(&availability_digest(&c.network, c.slots, c.data));
        published
    }

    fn check(published: &Published) -> Result<(), Refusal> {
        let last = Last { number: 1, hash: B256::repeat_byte(1), slot: 10 };
        holds_together(published, 2)?;
        is_signed(published, SigningKey::from_label("sequencer").address())?;
        covers_its_slots(published)?;
        follows(published, &last, NETWORK, &header(20))
    }

    #[test]
    fn a_commitment_that_follows_is_taken_and_every_other_refused() {
        check(&made(|_| {})).unwrap();
        type Change = fn(&mut Published);
        let changes: [(&str, Change); 12] = [
            ("number", |p| p.commitment.number = 3),
            ("hash of the commitment before", |p| p.commitment.previous = B256::ZERO),
            ("another network", |p| {
                p.commitment.network = NetworkId(B256::ZERO);
                p.statements.iter_mut().for_each(|s| s.network = NetworkId(B256::ZERO));
            }),
            ("slot after the last", |p| {
                p.commitment.slots.0 = 12;
                p.statements.iter_mut().for_each(|s| s.slots.0 = 12);
                p.spans[0].slots.0 = 12;
            }),
            ("one after the other", |p| p.spans[1].slots.0 = 17),
            ("one after the other", |p| p.spans.swap(0, 1)),
            ("one after the other", |p| p.spans[0].slots = (11, 9)),
            ("cover all", |p| p.spans.truncate(1)),
            ("cover all", |p| p.spans.clear()),
            ("out of order", |p| p.statements.swap(0, 1)),
            ("other slots", |p| p.statements[1].slots.1 = 19),
            ("hub cursor", |p| p.commitment.cursor = 4),
        ];
        for (says, change) in changes {
            let refusal = check(&made(change)).unwrap_err();
            assert_eq!(refusal.kind, Kind::BadCommitment, "{says}");
            let number = says == "number";
            assert!(number || refusal.message.contains(says), "{says}: {}", refusal.message);
        }
        let other = made(|p| p.commitment.slot_hash = B256::ZERO);
        let refusal = check(&other).unwrap_err();
        assert_eq!((refusal.kind, refusal.evidence.len()), (Kind::Equivocation, 2));

        // What is changed after it was signed.
        let forged = |change: Change| {
            let mut published = made(|_| {});
            change(&mut published);
            check(&published).unwrap_err().message
        };
        assert!(forged(|p| p.commitment.cursor = 9).contains("not signed"));
        assert!(forged(|p| p.statements[0].post_root.0[0] ^= 1).contains("belong together"));
        assert!(forged(|p| p.spans[0].data_root.0[0] ^= 1).contains("belong together"));
        assert!(forged(|p| p.availability = p.signature).contains("availability"));
    }
}
