//! Anchoring what the operator left behind: commitments it signed, slots it published and certified,
//! and after these what follows from the hub's queue.

use super::Leaving;
use crate::hub::assemble::Assembled;
use crate::hub::calls;
use crate::hub::certificate::Certificate;
use crate::hub::derivation::{Refusal, Unfit};
use anyhow::{Result, ensure};
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::IAnchor;
use atoll_types::U256;
use serde_json::json;

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
            !self.chain.outside.on.anchor(&IAnchor::closedCall {})?,
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
        let anchor = self.chain.outside.on.contracts.anchor;
        let mut carried = 0;
        loop {
            let last = self.chain.outside.on.anchor(&IAnchor::lastCall {})?;
            self.settle_behind(last)?;
            self.follow_to(last)?;
            let previous = self.chain.follower.hash();
            let published = self.chain.sources.commitment(last + 1, previous)?;
            let Some(published) = published else { return Ok(carried) };
            let right = match self.chain.follow(&published.spans) {
                Ok(right) if right.commitment == published.commitment => right,
                Err(Unfit::Hub(error)) => return Err(error),
                unfit => {
                    // Its slots are derived instead, as far as that can be.
                    let (executed, why) = match unfit {
                        Ok(_) => (true, "it is not what its data gives".into()),
                        Err(Unfit::Missing(_, error)) => (false, format!("{error:#}")),
                        Err(unfit) => (true, format!("{:#}", anyhow::Error::from(unfit))),
                    };
                    self.say(&format!("signed commitment {} is not anchored: {why}", last + 1));
                    if executed {
                        self.last = None;
                        self.chain.start_over(last)?;
                    }
                    return Ok(carried);
                }
            };
            let data = calls::anchor(&published);
            let sent = self.send(&format!("anchor {}", last + 1), anchor, U256::ZERO, data);
            if let Err(error) = sent {
                // An entry may be overdue that it leaves behind. Its slots are derived instead, for
                // which it has to be silent.
                self.ensure_silent().map_err(|_| error)?;
                self.last = None;
                self.chain.start_over(last)?;
                return Ok(carried);
            }
            self.last = Some(right);
            carried += 1;
        }
    }

    /// At most 256 commitments await settlement.
    fn settle_behind(&mut self, last: u64) -> Result<()> {
        if last - self.chain.outside.on.anchor(&IAnchor::lastSettledCall {})? >= 250 {
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
        let last = self.chain.outside.on.anchor(&IAnchor::lastCall {})?;
        self.follow_to(last)?;
        while self.derive_from_published(derived)? {}
        self.derive_from_queue(derived)
    }

    /// Anchors the slots of what would have been the next commitment, as far as they are certified
    /// and what is published of them is what they were. Whether there were any.
    fn derive_from_published(&mut self, derived: &mut Derived) -> Result<bool> {
        let run = self.chain.sources.run(self.chain.follower.slot() + 1)?;
        let mut refused = Vec::new();
        let found = self.chain.derive_published(run, |Refusal { why, .. }| refused.push(why))?;
        refused.iter().for_each(|why| self.say(&format!("not derived: {why}")));
        derived.refused.extend(refused);
        let Some((right, certificate)) = found else { return Ok(false) };
        let (first, last) = certificate.slots();
        self.anchor_derived(right, Some(&certificate), derived)?;
        derived.slots += last - first + 1;
        Ok(true)
    }

    fn derive_from_queue(&mut self, derived: &mut Derived) -> Result<()> {
        let follower = &self.chain.follower;
        let (from, to) = (follower.cursor(), self.chain.queue_length(BlockId::Finalized)?);
        if from >= to && !follower.is_under_way() {
            self.say("the queue holds nothing that is not anchored");
            return Ok(());
        }
        let right = self.chain.derive_queue(to)?;
        derived.entries = self.chain.follower.cursor() - from;
        self.anchor_derived(right, None, derived)?;
        Ok(())
    }

    fn anchor_derived(
        &mut self,
        right: Assembled,
        certificate: Option<&Certificate>,
        derived: &mut Derived,
    ) -> Result<()> {
        let bond = U256::from(self.chain.outside.on.anchor(&IAnchor::derivedBondCall {})?);
        let (number, anchor) = (right.commitment.number, self.chain.outside.on.contracts.anchor);
        let data = calls::anchor_derived(&right, certificate);
        self.send(&format!("anchor {number}, derived"), anchor, bond, data)?;
        self.last = Some(right);
        derived.number = Some(number);
        Ok(())
    }
}
