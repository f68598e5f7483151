//! Judging what was anchored without the sequencer (`docs/SETTLEMENT.md`, "Derivation"): it must be
//! what follows from published slots and the queue, and leave out nothing that was published in time.

use super::{Judged, Look, Watch};
use crate::hub::assemble::Assembled;
use crate::hub::certificate::{Certificate, Run, data_of};
use crate::hub::derivation::{Refusal, Unfit};
use crate::hub::published::{Published, SpanRoot};
use anyhow::Result;
use atoll_ethereum::abi::Record;

/// How long before a derived commitment is on the hub a certificate must have been published to
/// count against it, seconds.
const PUBLISHED_BEFORE_S: u64 = 300;

/// What a commitment was derived from.
enum Chosen {
    Queue,
    Published(Vec<SpanRoot>),
    /// From published slots that are not kept anywhere.
    Unknown,
}

impl Judged {
    /// What is wrong with a derived commitment that leaves out what was published.
    pub(super) fn leaves_out(&self, right: &Assembled, record: &Record) -> String {
        let (first, last) = right.commitment.slots;
        // Slots of the queue are none of those that were published.
        let taken = if self.of_queue { first - 1 } else { record.lastSlot };
        format!(
            "it was derived without the sequencer and leaves out slots {} to {last}, which were \
             published and certified before",
            taken + 1
        )
    }
}

impl Watch<'_> {
    /// Judges the next commitment, which is on the hub and was derived.
    pub(super) fn judge_derived(&mut self, record: &Record) -> Result<Look> {
        let (number, before) = (self.chain.follower.number() + 1, self.chain.follower.slot());
        if self.chain.record(number - 1)?.hash != self.chain.follower.hash() {
            return self.rebase("what came before it was replaced on the hub");
        }
        let commitment = self.chain.outside.on.commitment(number, record.hash)?;
        let run = self.chain.sources.run(before + 1)?;
        let chosen = match self.chain.spans_of(commitment.data, record.lastSlot)? {
            _ if commitment.data.is_zero() => Chosen::Queue,
            Some(spans) => Chosen::Published(spans),
            None => Chosen::Unknown,
        };
        let of_queue = matches!(chosen, Chosen::Queue);
        let taken = if of_queue { before } else { record.lastSlot };
        let (expected, left_out) = match self.left_out(&run, taken, record)? {
            Some((right, certificate)) => (Ok(right), Some(certificate)),
            None => {
                self.report_longer(run, taken, number, record)?;
                (self.right(chosen, record)?, None)
            }
        };
        self.judged.push_back(Judged {
            number,
            published: None,
            expected,
            against: Some(record.hash),
            of_queue,
            left_out,
        });
        Ok(Look::Progress)
    }

    /// What was published in time behind slot `taken`, executed. The follower stands where it stood
    /// if there is nothing.
    fn left_out(
        &mut self,
        run: &Run,
        taken: u64,
        record: &Record,
    ) -> Result<Option<(Assembled, Certificate)>> {
        let number = self.chain.follower.number();
        let mut timely = Vec::new();
        for certificate in &run.certificates {
            if self.in_time(certificate.span.slots.0, record)? {
                timely.push(certificate.clone());
            }
        }
        let owed = run.with(timely);
        if owed.last_slot().is_none_or(|last| last <= taken) {
            return Ok(None);
        }
        let mut missing = Vec::new();
        let found = self.chain.derive_published(owed, |Refusal { why, missing: unread }| {
            if unread {
                missing.push(why);
            }
        })?;
        let found = match found {
            Some((_, certificate)) if certificate.slots().1 <= taken => {
                self.chain.start_over(number)?;
                None
            }
            found => found,
        };
        if found.is_none() {
            for why in missing {
                self.alarm_once(format!(
                    "commitment {} was derived without the sequencer and leaves out slots of which \
                     a certificate is kept; not challenged, because their data cannot be had: {why}",
                    number + 1
                ));
            }
        }
        Ok(found)
    }

    /// Whether the certificate of the span that begins with a slot was published in time for who
    /// derived a commitment.
    fn in_time(&self, first_slot: u64, record: &Record) -> Result<bool> {
        let noted = self.chain.sources.noted(first_slot)?;
        Ok(noted.is_some_and(|at| at + PUBLISHED_BEFORE_S <= record.anchoredAt))
    }

    /// What a commitment must be that takes what it has to take, or why there is no right one.
    fn right(&mut self, chosen: Chosen, record: &Record) -> Result<Result<Assembled, String>> {
        let follower = &self.chain.follower;
        match chosen {
            Chosen::Queue if follower.cursor() == record.cursor && !follower.is_under_way() => {
                let why = "it was derived without the sequencer where there was nothing to derive";
                Ok(Err(why.into()))
            }
            Chosen::Queue => Ok(Ok(self.chain.derive_queue(record.cursor)?)),
            Chosen::Published(spans) => match self.chain.follow_certified(&spans) {
                Ok(right) => Ok(Ok(right)),
                Err(Unfit::Wrong(_, error)) => Ok(Err(format!(
                    "it was derived without the sequencer from what was not ordered: {error:#}"
                ))),
                Err(unfit) => Err(unfit.into()),
            },
            Chosen::Unknown => Err(self.chain.not_kept(follower.number() + 1, record.lastSlot)),
        }
    }

    /// Reports slots that are certified, but were not published in time to count.
    fn report_longer(
        &mut self,
        mut run: Run,
        taken: u64,
        number: u64,
        record: &Record,
    ) -> Result<()> {
        let on = &self.chain.outside.on;
        let network = &self.chain.outside.network;
        let longest = run.cut(network, |signer| on.is_committee(signer), |_| ())?;
        let longest = longest.filter(|certificate| certificate.slots().1 > taken);
        if let Some(Certificate { span, .. }) = longest
            && !self.in_time(span.slots.0, record)?
        {
            let last = span.slots.1;
            self.alarm_once(format!(
                "commitment {number} was derived without the sequencer and leaves out slots {} to \
                 {last}, which are certified; not challenged, because they are not known to have \
                 been published {PUBLISHED_BEFORE_S} s before it",
                taken + 1
            ));
        }
        Ok(())
    }

    /// Whether a commitment that was derived is wrong by what the sequencer published and this
    /// watch has executed already. `None` if that does not say.
    pub(super) fn against_published(
        &self,
        published: &Published,
        record: &Record,
    ) -> Result<Option<(bool, Option<Certificate>)>> {
        let commitment =
            self.chain.outside.on.commitment(published.commitment.number, record.hash)?;
        let of_queue = commitment.data.is_zero();
        if commitment.data == data_of(&published.spans) {
            return Ok(Some((of_queue, None)));
        }
        let shorter = of_queue || record.lastSlot < published.commitment.slots.1;
        let Some(span) = published.spans.last().filter(|_| shorter) else { return Ok(None) };
        if !self.in_time(span.slots.0, record)? {
            return Ok(None);
        }
        let certificate = Certificate {
            first_slot: published.commitment.slots.0,
            span: span.clone(),
            data: published.commitment.data,
            signature: published.availability,
        };
        let on = &self.chain.outside.on;
        let signer = certificate.signer(&self.chain.outside.network, &published.spans);
        let Some(signer) = signer.ok() else { return Ok(None) };
        let counts = on.is_committee(signer)? && self.chain.are_signed(&published.spans).is_ok();
        Ok(counts.then_some((of_queue, Some(certificate))))
    }
}
