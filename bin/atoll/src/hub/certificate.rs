//! What the sequencer promises of each span as soon as it is published, long before the commitment
//! about it: the certificate with which anyone may derive that commitment should it never come.

use super::published::SpanRoot;
use anyhow::{Context, Result, bail, ensure};
use atoll_types::codec::CodecError;
use atoll_types::crypto::SigningKey;
use atoll_types::statement::{availability_digest, span_leaf};
use atoll_types::{Address, B256, Decode, Encode, NetworkId, Reader, Signature, merkle_root};

/// The certificate of a span. It covers everything published since the last commitment, so that it
/// is what a commitment which ended here would need: the hub takes it as it takes any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// First slot covered: the one after the last commitment's.
    pub(crate) first_slot: u64,
    /// The last span covered.
    pub(crate) span: SpanRoot,
    /// `data` of all spans covered, as a commitment has it.
    pub(crate) data: B256,
    pub(crate) signature: Signature,
}

/// `data` of a commitment about these spans.
pub(crate) fn data_of(spans: &[SpanRoot]) -> B256 {
    let leaves: Vec<B256> = spans.iter().map(|s| span_leaf(s.slots, s.data_root)).collect();
    merkle_root(leaves.iter().map(|leaf| leaf.as_slice()))
}

impl Certificate {
    /// Signs for the last of these spans, which are all since the last commitment.
    pub(crate) fn sign(key: &SigningKey, network: &NetworkId, spans: &[SpanRoot]) -> Result<Self> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            bail!("a certificate covers at least one span")
        };
        let (first_slot, data) = (first.slots.0, data_of(spans));
        let promise = availability_digest(network, (first_slot, last.slots.1), data);
        Ok(Self { first_slot, span: last.clone(), data, signature: key.sign(&promise) })
    }

    /// First and last slot covered.
    pub(crate) fn slots(&self) -> (u64, u64) {
        (self.first_slot, self.span.slots.1)
    }

    /// Whose promise it is that exactly these spans are available.
    pub(crate) fn signer(&self, network: &NetworkId, spans: &[SpanRoot]) -> Result<Address> {
        let (first, last) = self.slots();
        let mut next = first;
        for span in spans {
            ensure!(
                span.slots.0 == next && span.slots.1 >= next,
                "the certificate of slots {first} to {last} covers slot {next}, whose span is not \
                 there"
            );
            next = span.slots.1 + 1;
        }
        ensure!(
            next == last + 1 && spans.last() == Some(&self.span) && self.data == data_of(spans),
            "the certificate of slots {first} to {last} is of other data than was published"
        );
        let promise = availability_digest(network, (first, last), self.data);
        let signer = self.signature.recover(&promise).ok();
        signer.with_context(|| format!("the certificate of slots {first} to {last} is not signed"))
    }

    /// Whether somebody whose promise counts gives it for exactly these spans.
    pub(crate) fn check(
        &self,
        network: &NetworkId,
        spans: &[SpanRoot],
        counts: impl Fn(Address) -> Result<bool>,
    ) -> Result<()> {
        let signer = self.signer(network, spans)?;
        ensure!(counts(signer)?, "{}", self.foreign(signer));
        Ok(())
    }

    fn foreign(&self, signer: Address) -> String {
        let (first, last) = self.slots();
        format!(
            "the certificate of slots {first} to {last} is signed by {signer}, who is not of the \
             availability committee"
        )
    }
}

impl Encode for Certificate {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first_slot.to_le_bytes());
        self.span.encode(out);
        out.extend_from_slice(self.data.as_slice());
        self.signature.encode(out);
    }
}

impl Decode for Certificate {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            first_slot: r.u64()?,
            span: SpanRoot::decode(r)?,
            data: r.b256()?,
            signature: Signature::decode(r)?,
        })
    }
}

/// Spans that follow one another, with the certificates that were kept of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) spans: Vec<SpanRoot>,
    /// Each of some span of these, in the same order.
    pub(crate) certificates: Vec<Certificate>,
}

impl Run {
    /// The last slot, if there is a span.
    pub(crate) fn last_slot(&self) -> Option<u64> {
        self.spans.last().map(|span| span.slots.1)
    }

    /// Cuts the spans to those that a commitment beginning with the first of them may be derived
    /// from, and returns the certificate that says so: the longest good one. `refused` hears of each
    /// that is not good; an error says that it is not known whose promise counts.
    pub(crate) fn cut(
        &mut self,
        network: &NetworkId,
        counts: impl Fn(Address) -> Result<bool>,
        mut refused: impl FnMut(String),
    ) -> Result<Option<Certificate>> {
        let (Some(first), Some(last)) = (self.spans.first(), self.last_slot()) else {
            return Ok(None);
        };
        let first = first.slots.0;
        match self.certificates.last() {
            None => refused(format!("of slots {first} to {last} no certificate was kept")),
            Some(kept) if kept.slots().1 < last => {
                let from = kept.slots().1 + 1;
                refused(format!("of slots {from} to {last} no certificate was kept"));
            }
            Some(_) => {}
        }
        while let Some(certificate) = self.certificates.pop() {
            let end = certificate.slots().1;
            self.spans.truncate(self.spans.partition_point(|span| span.slots.1 <= end));
            let begin = certificate.first_slot;
            if begin != first {
                // Of a later commitment, whose turn comes when this one is on the hub?
                if !self.certificates.iter().any(|other| other.slots().1 + 1 == begin) {
                    refused(format!(
                        "the certificate of slots {begin} to {end} does not begin with slot {first}, \
                         the one after the last commitment"
                    ));
                }
                continue;
            }
            match certificate.signer(network, &self.spans) {
                Ok(signer) if counts(signer)? => return Ok(Some(certificate)),
                Ok(signer) => refused(certificate.foreign(signer)),
                Err(error) => refused(format!("{error:#}")),
            }
        }
        self.spans.clear();
        Ok(None)
    }

    /// The same with these of the certificates only, and what they cover.
    pub(crate) fn with(&self, certificates: Vec<Certificate>) -> Self {
        let last = certificates.last().map_or(0, |certificate| certificate.slots().1);
        let covered = self.spans.iter().filter(|span| span.slots.1 <= last);
        Self { spans: covered.cloned().collect(), certificates }
    }

    /// Without the span of a slot and what follows it.
    pub(crate) fn before(&mut self, slot: u64) {
        self.spans.retain(|span| span.slots.1 < slot);
        self.certificates.retain(|certificate| certificate.slots().1 < slot);
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
