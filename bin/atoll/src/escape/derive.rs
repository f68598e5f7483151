//! Anchoring what the operator left behind: commitments it signed, slots it published and certified,
//! and after these what follows from the hub's queue.

use super::Leaving;
use crate::hub::assemble::Assembled;
use crate::hub::calls;
use crate::hub::certificate::{Certificate, Run, data_of};
use crate::hub::follower::Follower;
use crate::hub::onchain::Entries;
use crate::hub::source::Source;
use anyhow::{Context, Result, ensure};
use atoll_ethereum::abi::{IAnchor, Record};
use atoll_types::{Address, U256};
use serde_json::json;

/// Most spans asked of a gateway: days of them.
const SPANS_MAX: usize = 1 << 16;

/// What was anchored without the operator.
#[derive(Default)]
struct Derived {
    /// Number of the last commitment; none if nothing was.
    number: Option<u64>,
    /// Slots that the operator had published.
    slots: u64,
    /// Entries of the queue after these.
    entries: u64,
    /// Why not more of what is kept.
    refused: Vec<String>,
}

impl Leaving<'_> {
    /// Anchors what the sequencer left behind, and what follows from the queue.
    pub(super) fn derive(mut self) -> Result<()> {
        ensure!(
            !self.outside.on.anchor(&IAnchor::closedCall {})?,
            "the snapshot exit is open, nothing is anchored any more: atoll escape exit"
        );
        let carried = self.carry()?;
        let mut derived = Derived::default();
        if let Err(error) = self.derive_all(&mut derived) {
            // What was carried is something already.
            ensure!(carried > 0, error);
            self.say(&format!("{error:#}"));
        }
        let settled = self.settle(self.args.wait)?;
        let Derived { number, slots, entries, refused } = derived;
        let value = json!({
            "carried": carried, "derived": number, "slots": slots, "entries": entries,
            "refused": refused, "settled": settled, "transactions": self.transactions,
        });
        match self.args.json {
            true => println!("{}", serde_json::to_string(&value)?),
            false => println!(
                "{carried} signed commitments anchored, {slots} published slots and {entries} \
                 entries of the queue derived; settled through commitment {settled}"
            ),
        }
        Ok(())
    }

    /// Brings commitments to the hub that the sequencer signed; how many.
    fn carry(&mut self) -> Result<u64> {
        let anchor = self.outside.on.contracts.anchor;
        let mut carried = 0;
        loop {
            let last = self.outside.on.anchor(&IAnchor::lastCall {})?;
            self.settle_behind(last)?;
            let Some(published) = self.published(last + 1)? else { return Ok(carried) };
            self.follow_to(last)?;
            let right = self.follow_published(last + 1)?;
            ensure!(
                right.commitment == published.commitment,
                "the commitment {} that was kept is not what its data gives",
                last + 1
            );
            let data = calls::anchor(&published);
            let sent = self.send(&format!("anchor {}", last + 1), anchor, U256::ZERO, data);
            if let Err(error) = sent {
                // An entry may be overdue that it leaves behind. Its slots are derived instead, for
                // which it has to be silent.
                self.ensure_silent().map_err(|_| error)?;
                self.start_over(last)?;
                return Ok(carried);
            }
            self.last = Some(right);
            carried += 1;
        }
    }

    /// At most 256 commitments await settlement.
    fn settle_behind(&mut self, last: u64) -> Result<()> {
        if last - self.outside.on.anchor(&IAnchor::lastSettledCall {})? >= 250 {
            self.settle(true)?;
        }
        Ok(())
    }

    fn ensure_silent(&self) -> Result<()> {
        let silence = self.silence()?;
        let wait = silence.derive_after_s.saturating_sub(silence.sequencer_s);
        ensure!(
            wait == 0,
            "the operator was heard {} s ago; anyone may anchor what it left and what follows from \
             the queue after {} s of silence, in {wait} s",
            silence.sequencer_s,
            silence.derive_after_s
        );
        Ok(())
    }

    fn derive_all(&mut self, derived: &mut Derived) -> Result<()> {
        self.ensure_silent()?;
        let last = self.outside.on.anchor(&IAnchor::lastCall {})?;
        self.follow_to(last)?;
        while self.derive_from_published(derived)? {}
        self.derive_from_queue(derived)
    }

    /// What was published from the slot on that follows the last one executed.
    fn kept(&self) -> Result<Run> {
        let first = self.follower.slot() + 1;
        let mut run = self.folder.store.run(first)?;
        if let Some(gateway) = &self.outside.gateway {
            let mut next = run.last_slot().map_or(first, |last| last + 1);
            // One that does not answer any more is no obstacle.
            while run.spans.len() < SPANS_MAX
                && let Ok(Some(certificate)) = gateway.certificate(next)
                && certificate.span.slots.1 >= next
            {
                next = certificate.span.slots.1 + 1;
                run.spans.push(certificate.span.clone());
                run.certificates.push(certificate);
            }
        }
        Ok(run)
    }

    /// Anchors the slots of what would have been the next commitment, as far as they are certified
    /// and what is published of them is what they were. Whether there were any.
    fn derive_from_published(&mut self, derived: &mut Derived) -> Result<bool> {
        let number = self.follower.number();
        let sequencer = self.outside.on.anchor(&IAnchor::sequencerCall {})?;
        let mut run = self.kept()?;
        loop {
            let on = &self.outside.on;
            let mut refused = Vec::new();
            let certificate = run.cut(
                &self.outside.network,
                |signer| on.is_committee(signer),
                |why| refused.push(why),
            );
            for why in refused {
                self.refuse(derived, why);
            }
            let Some(certificate) = certificate else { return Ok(false) };
            match self.follow_certified(&run, sequencer) {
                Ok(right) => {
                    self.anchor_derived(right, Some(&certificate), derived)?;
                    let (first, last) = certificate.slots();
                    derived.slots += last - first + 1;
                    return Ok(true);
                }
                Err((bad, error)) => {
                    // What is before that slot has a certificate of its own.
                    self.refuse(derived, format!("from slot {bad} on: {error:#}"));
                    self.start_over(number)?;
                    run.before(bad);
                }
            }
        }
    }

    fn refuse(&self, derived: &mut Derived, why: String) {
        self.say(&format!("not derived: {why}"));
        derived.refused.push(why);
    }

    /// Executes certified spans, which must be of the slots that the sequencer signed; or says from
    /// which slot on that cannot be done.
    fn follow_certified(
        &mut self,
        run: &Run,
        sequencer: Address,
    ) -> Result<Assembled, (u64, anyhow::Error)> {
        for root in &run.spans {
            let read = self.span(root);
            let signed = read.and_then(|span| self.follower.are_signed(&span, sequencer));
            signed.map_err(|error| (root.slots.0, error))?;
        }
        self.follow(&run.spans).map_err(|error| (self.follower.slot() + 1, error))
    }

    /// Executes again from genesis to a commitment of the hub: what came after it came to nothing.
    fn start_over(&mut self, number: u64) -> Result<()> {
        self.follower = Follower::new(self.outside.network, &self.outside.specs);
        let first = self.outside.on.first_block(self.args.outside.from_block)?;
        self.entries = Entries::new(first);
        self.last = None;
        self.follow_to(number)
    }

    fn derive_from_queue(&mut self, derived: &mut Derived) -> Result<()> {
        let (from, to) = (self.follower.cursor(), self.queue_length()?);
        if from >= to && !self.follower.is_under_way() {
            self.say("the queue holds nothing that is not anchored");
            return Ok(());
        }
        let entries = self.entries.get(&self.outside.on, from, to.max(from))?;
        let right = self.follower.derive(&entries)?;
        self.anchor_derived(right, None, derived)?;
        derived.entries = entries.len() as u64;
        Ok(())
    }

    fn anchor_derived(
        &mut self,
        right: Assembled,
        certificate: Option<&Certificate>,
        derived: &mut Derived,
    ) -> Result<()> {
        let bond = U256::from(self.outside.on.anchor(&IAnchor::derivedBondCall {})?);
        let (number, anchor) = (right.commitment.number, self.outside.on.contracts.anchor);
        let data = calls::anchor_derived(&right, certificate);
        self.send(&format!("anchor {number}, derived"), anchor, bond, data)?;
        self.last = Some(right);
        derived.number = Some(number);
        Ok(())
    }

    /// Executes a commitment of the hub that was anchored without the operator.
    pub(super) fn follow_derived(&mut self, number: u64, record: &Record) -> Result<Assembled> {
        let data = self.outside.on.commitment(number)?.data;
        if data.is_zero() {
            let from = self.follower.cursor();
            let entries = self.entries.get(&self.outside.on, from, record.cursor)?;
            return self.follower.derive(&entries);
        }
        let mut run = self.kept()?;
        run.before(record.lastSlot + 1);
        ensure!(
            data_of(&run.spans) == data,
            "commitment {number} was derived from published slots {} to {} that nobody has kept in \
             {}: name another folder with --from, or a gateway with --url",
            self.follower.slot() + 1,
            record.lastSlot,
            self.args.from.display()
        );
        self.follow(&run.spans).context("what was derived from published slots")
    }
}
