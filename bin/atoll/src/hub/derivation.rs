//! Derivation (`docs/SETTLEMENT.md`): what the hub has is executed again, and what must come after it
//! where the operator brings nothing. Who leaves anchors what comes out of this, who watches compares
//! it with what others have anchored.

use super::assemble::Assembled;
use super::certificate::{Certificate, Run, data_of};
use super::follower::Follower;
use super::onchain::Entries;
use super::outside::Outside;
use super::published::SpanRoot;
use super::source::Sources;
use anyhow::{Context, Result, anyhow, ensure};
use atoll_da::SpanData;
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::{IAnchor, IHubQueue, Record};
use atoll_types::{Address, B256, HubEntry};

/// Why published slots are not executed.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The hub does not answer, or not yet.
    Hub(anyhow::Error),
    /// From this slot on their data cannot be had.
    Missing(u64, anyhow::Error),
    /// From this slot on they are not what the order and the hub's queue give.
    Wrong(u64, anyhow::Error),
}

impl From<Unfit> for anyhow::Error {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Hub(error) | Unfit::Missing(_, error) | Unfit::Wrong(_, error) => error,
        }
    }
}

/// Why a certificate counts for nothing.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// Whether it might count for somebody who has the data.
    pub(crate) missing: bool,
}

/// A network executed again along what the hub has.
pub(crate) struct Deriver {
    pub(crate) outside: Outside,
    pub(crate) sources: Sources,
    pub(crate) follower: Follower,
    entries: Entries,
    from_block: u64,
}

impl Deriver {
    /// Before the first slot.
    pub(crate) fn new(outside: Outside, sources: Sources, from_block: Option<u64>) -> Result<Self> {
        let from_block = outside.on.first_block(from_block)?;
        let follower = Follower::new(outside.network, &outside.specs);
        Ok(Self { outside, sources, follower, entries: Entries::new(from_block), from_block })
    }

    /// Back to before the first slot.
    pub(crate) fn reset(&mut self) {
        self.follower = Follower::new(self.outside.network, &self.outside.specs);
        self.entries = Entries::new(self.from_block);
    }

    /// What the hub says of a commitment.
    pub(crate) fn record(&self, number: u64) -> Result<Record> {
        self.outside.on.anchor(&IAnchor::recordCall { number })
    }

    /// Entries in the hub's queue, as of a block.
    pub(crate) fn queue_length(&self, at: BlockId) -> Result<u64> {
        let on = &self.outside.on;
        Ok(on.client.view(on.contracts.queue, &IHubQueue::lengthCall {}, at)?)
    }

    /// Final entries of the hub's queue from where the follower stands on, up to but without `to`.
    pub(crate) fn entries(&mut self, to: u64) -> Result<Vec<HubEntry>> {
        let from = self.follower.cursor();
        self.entries.get(&self.outside.on, from, to.max(from))
    }

    /// The data of spans, and whether all are encoded as they should be.
    pub(crate) fn read(&self, roots: &[SpanRoot]) -> Result<(Vec<SpanData>, bool), Unfit> {
        let owners = self.follower.owners();
        let (mut spans, mut all_sound) = (Vec::new(), true);
        for root in roots {
            let read = self.sources.span(root, &owners);
            let (span, sound) = read.map_err(|error| Unfit::Missing(root.slots.0, error))?;
            spans.push(span);
            all_sound &= sound;
        }
        Ok((spans, all_sound))
    }

    /// Executes spans as the next commitment.
    pub(crate) fn execute(
        &mut self,
        roots: &[SpanRoot],
        spans: &[SpanData],
    ) -> Result<Assembled, Unfit> {
        let from = self.follower.cursor();
        let next = self.follower.slot() + 1;
        let to = Follower::cursor_after(spans).map_err(|error| Unfit::Wrong(next, error))?;
        self.entries.read_until(&self.outside.on, Some(to)).map_err(Unfit::Hub)?;
        let entries = match self.entries.range(from, to) {
            Ok(entries) => entries,
            // What is in the queue and not final yet will be.
            Err(error) if to <= self.queue_length(BlockId::Latest).map_err(Unfit::Hub)? => {
                return Err(Unfit::Hub(error));
            }
            Err(error) => return Err(Unfit::Wrong(next, error)),
        };
        let done = self.follower.follow(roots, spans, &entries);
        let done = done.map_err(|error| Unfit::Wrong(self.follower.slot() + 1, error))?;
        self.entries.forget_before(self.follower.cursor());
        Ok(done)
    }

    /// Reads spans and executes them as the next commitment.
    pub(crate) fn follow(&mut self, roots: &[SpanRoot]) -> Result<Assembled, Unfit> {
        let (spans, sound) = self.read(roots)?;
        if !sound {
            let error = anyhow!("its data is not encoded as the data root says");
            return Err(Unfit::Wrong(self.follower.slot() + 1, error));
        }
        self.execute(roots, &spans)
    }

    /// Whether spans are of slots that the sequencer signed.
    pub(crate) fn are_signed(&self, roots: &[SpanRoot]) -> Result<(), Unfit> {
        let sequencer: Result<Address> = self.outside.on.anchor(&IAnchor::sequencerCall {});
        let sequencer = sequencer.map_err(Unfit::Hub)?;
        for root in roots {
            let (spans, _) = self.read(std::slice::from_ref(root))?;
            for span in spans {
                let signed = self.follower.are_signed(&span, sequencer);
                signed.map_err(|error| Unfit::Wrong(root.slots.0, error))?;
            }
        }
        Ok(())
    }

    /// Executes certified spans, which must be of slots that the sequencer signed.
    pub(crate) fn follow_certified(&mut self, roots: &[SpanRoot]) -> Result<Assembled, Unfit> {
        self.are_signed(roots)?;
        self.follow(roots)
    }

    /// Executes what must come next of published spans: those of the longest certificate that
    /// counts. `None` where none does; the follower then stands where it stood.
    pub(crate) fn derive_published(
        &mut self,
        mut run: Run,
        mut refused: impl FnMut(Refusal),
    ) -> Result<Option<(Assembled, Certificate)>> {
        let number = self.follower.number();
        loop {
            let Outside { network, on, .. } = &self.outside;
            let certificate = run.cut(
                network,
                |signer| on.is_committee(signer),
                |why| refused(Refusal { why, missing: false }),
            )?;
            let Some(certificate) = certificate else { return Ok(None) };
            let (bad, missing, error) = match self.follow_certified(&run.spans) {
                Ok(right) => return Ok(Some((right, certificate))),
                Err(Unfit::Hub(error)) => return Err(error),
                Err(Unfit::Missing(slot, error)) => (slot, true, error),
                Err(Unfit::Wrong(slot, error)) => (slot, false, error),
            };
            refused(Refusal { why: format!("from slot {bad} on: {error:#}"), missing });
            if !missing {
                self.start_over(number)?;
            }
            // What is before that slot has a certificate of its own.
            run.before(bad);
        }
    }

    /// Executes slots that nobody ordered, of the queue's entries up to but without `to`.
    pub(crate) fn derive_queue(&mut self, to: u64) -> Result<Assembled> {
        let entries = self.entries(to)?;
        let right = self.follower.derive(&entries)?;
        self.entries.forget_before(self.follower.cursor());
        Ok(right)
    }

    /// The spans from the follower's slot on up to a slot, where those that are known here are of
    /// this data.
    pub(crate) fn spans_of(&self, data: B256, last_slot: u64) -> Result<Option<Vec<SpanRoot>>> {
        let mut run = self.sources.run(self.follower.slot() + 1)?;
        run.before(last_slot + 1);
        Ok((data_of(&run.spans) == data).then_some(run.spans))
    }

    /// Executes the next commitment of the hub, signed or derived, from what is known of it here.
    pub(crate) fn follow_hub(&mut self, record: &Record) -> Result<Assembled> {
        let number = self.follower.number() + 1;
        let published = self.sources.commitment(number, self.follower.hash());
        let right = match published {
            Ok(Some(p)) if p.commitment.hash() == record.hash => self.follow(&p.spans)?,
            _ => {
                let data = self.outside.on.commitment(number, record.hash)?.data;
                match self.spans_of(data, record.lastSlot)? {
                    _ if data.is_zero() => self.derive_queue(record.cursor)?,
                    Some(spans) => self.follow(&spans)?,
                    None => return Err(self.not_kept(number, record.lastSlot)),
                }
            }
        };
        ensure!(
            right.commitment.hash() == record.hash,
            "commitment {number} on the hub is not what the published data gives"
        );
        Ok(right)
    }

    /// What of the next commitment's data is missing, and where it was looked for.
    pub(crate) fn not_kept(&self, number: u64, last_slot: u64) -> anyhow::Error {
        let first = self.follower.slot() + 1;
        let kept = self.sources.run(first).ok().and_then(|run| run.last_slot());
        let missing = match kept {
            Some(kept) if kept < last_slot => {
                format!("slots {} to {last_slot} are not kept", kept + 1)
            }
            Some(_) => "of these other data is kept".into(),
            None => "none are kept".into(),
        };
        let gateway = match &self.sources.gateway {
            None => "no gateway is named (--url)".into(),
            Some(gateway) => match gateway.find("/atoll/status") {
                Ok(_) => format!("{} does not serve them", gateway.url()),
                Err(_) => format!("{} does not answer", gateway.url()),
            },
        };
        anyhow!(
            "commitment {number} is of published slots {first} to {last_slot}; {missing} in {}, and \
             {gateway}. Name another folder of published data with --from, or a gateway with --url",
            self.sources.places()
        )
    }

    /// Executes again from the first slot to a commitment of the hub: what came after it came to
    /// nothing.
    pub(crate) fn start_over(&mut self, number: u64) -> Result<()> {
        self.reset();
        while self.follower.number() < number {
            let next = self.follower.number() + 1;
            let record = self.record(next)?;
            self.follow_hub(&record).with_context(|| format!("commitment {next}"))?;
        }
        Ok(())
    }
}
