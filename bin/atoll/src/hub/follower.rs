//! Executes published data again and says what the commitment about it must be.

use super::assemble::{Assembled, Before, Draft, Part, Roots, Slots};
use super::published::SpanRoot;
use super::spans::{HeaderRecord, read_batches, read_headers};
use crate::node::SLOT_US;
use crate::node::archive::SlotRecord;
use crate::node::replica::{Executed, Replica};
use anyhow::{Context, Result, anyhow, bail, ensure};
use atoll_da::{Owner, SpanData};
use atoll_executor::{Batch, EnvironmentSpec, Range, Step};
use atoll_sequencer::running;
use atoll_state::PathProof;
use atoll_types::hub::{
    ROUTER, SLOT_ENTRIES_BYTES_MAX, SLOT_ENTRIES_MAX, WITHDRAWAL_TREE_DEPTH, WithdrawalTree,
    withdrawal_proof,
};
use atoll_types::slot::Parts;
use atoll_types::{
    Address, B256, EnvironmentId, HubEntry, Lane, NetworkId, SlotHeader, SlotOpening, Transaction,
    Withdrawal,
};
use std::collections::BTreeMap;

/// A network executed from nothing but its specs, the hub's queue and what was published.
pub(crate) struct Follower {
    network: NetworkId,
    /// In ascending order, the router first.
    specs: Vec<EnvironmentSpec>,
    replica: Replica,
    before: Before,
    roots: BTreeMap<u32, B256>,
    tree: WithdrawalTree,
    withdrawals: Vec<Withdrawal>,
    /// The last header; its default for genesis.
    header: SlotHeader,
    disorder: Disorder,
}

/// Ticks that do not stand in the order that their environment's spec names. Execution is what it
/// is all the same, so it is for people to judge and not for the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disorder {
    pub(crate) ticks: u64,
    /// The first one: slot, time and environment.
    pub(crate) first: Option<(u64, u64, String)>,
}

/// Slots behind the last derived entry: what an entry sets off is delivered two slots later, and
/// what comes back from there two slots after that.
const DERIVED_TRAILING_SLOTS: u32 = 4;

/// What one slot was, by environment; the router's part follows from the others'.
type Ranges = BTreeMap<EnvironmentId, BTreeMap<u64, Range>>;

impl Follower {
    /// Before the first slot.
    pub(crate) fn new(network: NetworkId, specs: &[EnvironmentSpec]) -> Self {
        let mut specs = specs.to_vec();
        specs.sort_by_key(|spec| spec.id);
        let replica = Replica::genesis(network, &specs);
        let roots = replica.roots().map(|(id, root)| (id.0, root)).collect();
        Self {
            network,
            specs,
            replica,
            before: Before::default(),
            roots,
            tree: WithdrawalTree::default(),
            withdrawals: Vec::new(),
            header: SlotHeader::default(),
            disorder: Disorder::default(),
        }
    }

    /// What was found out of order since this was asked last.
    pub(crate) fn take_disorder(&mut self) -> Disorder {
        std::mem::take(&mut self.disorder)
    }

    /// Number of the last commitment followed.
    pub(crate) fn number(&self) -> u64 {
        self.before.number
    }

    /// Hash of the last commitment followed.
    pub(crate) fn hash(&self) -> B256 {
        self.before.hash
    }

    /// The last slot executed.
    pub(crate) fn slot(&self) -> u64 {
        self.header.slot
    }

    /// Whether messages between environments are still to be delivered.
    pub(crate) fn is_under_way(&self) -> bool {
        self.replica.is_under_way(u64::from(DERIVED_TRAILING_SLOTS))
    }

    /// Entries of the hub's queue taken so far.
    pub(crate) fn cursor(&self) -> u64 {
        self.header.hub_cursor
    }

    /// All withdrawals so far, in the order of the tree.
    pub(crate) fn withdrawals(&self) -> &[Withdrawal] {
        &self.withdrawals
    }

    /// Whose parts a span can have.
    pub(crate) fn owners(&self) -> Vec<Owner> {
        let environments = self.specs.iter().map(|spec| spec.id).filter(|id| *id != ROUTER);
        environments.map(Owner::Environment).chain([Owner::Headers]).collect()
    }

    /// The siblings of a withdrawal in the tree as it is now.
    pub(crate) fn withdrawal_proof(&self, index: u64) -> Option<[B256; WITHDRAWAL_TREE_DEPTH]> {
        let leaves: Vec<B256> = self.withdrawals.iter().map(Withdrawal::leaf).collect();
        withdrawal_proof(&leaves, index)
    }

    /// Where an EVM environment keeps a token of the hub.
    pub(crate) fn bridged_token(
        &self,
        environment: EnvironmentId,
        token: Address,
    ) -> Option<Address> {
        self.replica.bridged_token(environment, token)
    }

    /// An object after the last slot followed, with its proof.
    pub(crate) fn object(
        &mut self,
        environment: EnvironmentId,
        key: &[u8],
    ) -> Result<Option<(Vec<u8>, PathProof)>> {
        self.replica.object(environment, key)
    }

    /// The cursor after spans, as their headers say.
    pub(crate) fn cursor_after(spans: &[SpanData]) -> Result<u64> {
        let headers = headers_of(spans.last().context("a commitment without spans")?)?;
        Ok(headers.last().context("a span without slots")?.sealed.header.hub_cursor)
    }

    /// Whether all headers of a span are signed by the sequencer.
    pub(crate) fn are_signed(&self, span: &SpanData, sequencer: Address) -> Result<()> {
        for HeaderRecord { sealed, .. } in headers_of(span)? {
            let signer = sealed.signature.recover(&sealed.header.digest(&self.network));
            ensure!(
                signer == Ok(sequencer),
                "the header of slot {} is not signed by the sequencer {sequencer}",
                sealed.header.slot
            );
        }
        Ok(())
    }

    /// Executes the spans of the next commitment; `entries` are the queue's from the cursor on. An
    /// error says what is wrong with what was published.
    pub(crate) fn follow(
        &mut self,
        roots: &[SpanRoot],
        spans: &[SpanData],
        entries: &[HubEntry],
    ) -> Result<Assembled> {
        let mut draft = Draft::new(self.network, self.before);
        let mut left = entries;
        for span in spans {
            let slots = self.execute_span(span, &mut left)?;
            draft.extend(&slots)?;
        }
        self.finish(draft, roots)
    }

    /// Executes one span; takes its entries off `entries`.
    fn execute_span(&mut self, span: &SpanData, entries: &mut &[HubEntry]) -> Result<Slots> {
        let mut ranges = Ranges::new();
        for (owner, stream) in &span.parts {
            let Owner::Environment(id) = owner else { continue };
            let batches = read_batches(stream).context("an environment's stream")?;
            let by_slot = batches.into_iter().map(|range| (range.context.slot, range));
            ranges.entry(*id).or_default().extend(by_slot);
        }
        let mut parts = self.parts();
        let mut headers = Vec::new();
        let cursor_before = self.header.hub_cursor;
        for record in headers_of(span)? {
            let header = record.sealed.header.clone();
            let slot = header.slot;
            self.continues(&record)?;
            let count = usize::try_from(header.hub_cursor - self.header.hub_cursor).ok();
            let taken = count.and_then(|count| entries.split_at_checked(count));
            let (taken, rest) = taken.with_context(|| {
                format!("slot {slot} takes entries that the hub's queue does not have")
            })?;
            *entries = rest;
            let own: BTreeMap<EnvironmentId, Range> =
                ranges.iter_mut().filter_map(|(id, of)| Some((*id, of.remove(&slot)?))).collect();
            self.execute(&header, taken, Some(own), &mut parts)?;
            self.header = header.clone();
            headers.push(header);
        }
        if let Some((id, _)) = ranges.iter().find(|(_, of)| !of.is_empty()) {
            bail!("the stream of environment {id} holds slots that have no header");
        }
        Ok(Slots { headers, parts, cursor_before })
    }

    fn parts(&self) -> Vec<Part> {
        let part = |spec: &EnvironmentSpec| Part { spec: spec.clone(), records: BTreeMap::new() };
        self.specs.iter().map(part).collect()
    }

    /// Executes what follows from the hub's queue alone, where nobody orders any more: slots of
    /// `entries`, as many in each as a slot takes, and then slots enough for what they set off to
    /// arrive (`docs/SETTLEMENT.md`, "Derivation").
    pub(crate) fn derive(&mut self, entries: &[HubEntry]) -> Result<Assembled> {
        let mut parts = self.parts();
        let cursor_before = self.header.hub_cursor;
        let (mut rest, mut plain, mut trailing) = (entries, Vec::new(), 0);
        while !rest.is_empty() || trailing < DERIVED_TRAILING_SLOTS {
            trailing += u32::from(rest.is_empty());
            let (taken, left) = rest.split_at(entries_of_a_slot(rest));
            rest = left;
            let last = &self.header;
            let entered_us = taken.last().map_or(0, |entry| entry.time_s.saturating_mul(1_000_000));
            let opening = SlotOpening {
                slot: last.slot + 1,
                term: last.term,
                time_us: (last.time_us + SLOT_US).max(entered_us),
                parent: if last.slot == 0 { B256::ZERO } else { last.hash() },
                // Everyone derives the same header: it names no block that not everyone would.
                hub_block: last.hub_block,
                hub_cursor: last.hub_cursor,
                entries: taken.to_vec(),
                inputs: Vec::new(),
            };
            let header = SlotHeader {
                slot: opening.slot,
                term: opening.term,
                time_us: opening.time_us,
                parent: opening.parent,
                ticks: 0,
                running: running::open(&last.running, &opening),
                batches: Parts::open(&opening).root(),
                hub_block: opening.hub_block,
                hub_cursor: opening.hub_cursor_after(),
            };
            self.execute(&header, taken, None, &mut parts)?;
            self.header = header.clone();
            plain.push(header);
        }
        let mut draft = Draft::new(self.network, self.before);
        draft.extend(&Slots { headers: plain, parts, cursor_before })?;
        self.finish(draft, &[])
    }

    /// The commitment about slots just executed.
    fn finish(&mut self, draft: Draft, spans: &[SpanRoot]) -> Result<Assembled> {
        let post: BTreeMap<u32, B256> =
            self.replica.roots().map(|(id, root)| (id.0, root)).collect();
        let roots = Roots { pre: &self.roots, post: &post };
        let assembled = draft.finish(&roots, &mut self.tree, spans)?;
        let commitment = &assembled.commitment;
        self.before = Before {
            hash: commitment.hash(),
            number: commitment.number,
            last_slot: commitment.slots.1,
            queue_hash: commitment.queue_hash,
        };
        self.roots = post;
        self.withdrawals.extend(assembled.withdrawals.iter().cloned());
        Ok(assembled)
    }

    /// Whether a header is that of the next slot.
    fn continues(&self, record: &HeaderRecord) -> Result<()> {
        let (header, last) = (&record.sealed.header, &self.header);
        let parent = if last.slot == 0 { B256::ZERO } else { last.hash() };
        let slot = last.slot + 1;
        ensure!(header.slot == slot, "there is no header of slot {slot}");
        ensure!(header.parent == parent, "slot {slot} does not continue the slot before it");
        ensure!(header.time_us >= last.time_us, "slot {slot} goes back in time");
        ensure!(header.hub_cursor >= last.hub_cursor, "slot {slot} puts entries back");
        ensure!(record.holds(), "the parts of slot {slot} are not those that its header names");
        Ok(())
    }

    fn execute(
        &mut self,
        header: &SlotHeader,
        entries: &[HubEntry],
        published: Option<BTreeMap<EnvironmentId, Range>>,
        parts: &mut [Part],
    ) -> Result<()> {
        // Of a slot that nobody ordered nothing is published.
        let derived = published.is_none();
        let mut ranges = published.unwrap_or_default();
        let slot = header.slot;
        let known: Vec<EnvironmentId> = self.specs.iter().map(|spec| spec.id).collect();
        let mut opening = SlotOpening {
            slot,
            term: header.term,
            time_us: header.time_us,
            parent: header.parent,
            hub_block: header.hub_block,
            hub_cursor: self.header.hub_cursor,
            entries: entries.to_vec(),
            inputs: Vec::new(),
        };
        let mut wrong = None;
        let done = self.replica.execute(|id, inbox| {
            let range = ranges.remove(&id);
            // What the opening gives an environment follows; inputs and ticks are the sequencer's.
            let steps = range.as_ref().map_or(&[][..], |range| &range.steps);
            opening.inputs = steps.iter().filter_map(|step| input(id, step)).collect();
            let mut batch = Batch::open(id, &opening, inbox);
            let ticks = steps.iter().skip_while(|step| !matches!(step, Step::Tick { .. }));
            batch.steps.extend(ticks.cloned());
            if let Err(error) = ticks_are_sound(header.time_us, &batch.steps) {
                wrong = Some(error);
                return None;
            }
            let whole = batch.whole();
            let same = range.map_or(whole.steps.is_empty(), |range| range == whole);
            if !same && !derived && id != ROUTER {
                wrong = Some(anyhow!("what is published of environment {id} is not its batch"));
                return None;
            }
            Some(batch)
        });
        if let Some(error) = wrong {
            return Err(error.context(format!("slot {slot}")));
        }
        let done: Vec<Executed> = done.context("a slot without environments")?;

        let mut given = Parts::begin(slot, header.time_us, header.parent);
        for entry in entries.iter().filter(|entry| !known.contains(&entry.environment)) {
            given.entry(entry.environment, &entry.hash());
        }
        for Executed { batch, receipts, disordered } in done {
            let id = batch.environment;
            let range = batch.whole();
            if id != ROUTER {
                range.add_to(&mut given);
            }
            let part = parts.iter_mut().find(|part| part.spec.id == id);
            let part = part.context("an environment without a spec")?;
            if let Some(time_us) = disordered.first() {
                self.disorder.ticks += disordered.len() as u64;
                let place = || (slot, *time_us, part.spec.name.clone());
                self.disorder.first.get_or_insert_with(place);
            }
            if !range.steps.is_empty() {
                part.records.insert(slot, SlotRecord { range, receipts, places: Vec::new() });
            }
        }
        ensure!(
            given.root() == header.batches,
            "the header of slot {slot} names other batches than were published"
        );
        Ok(())
    }
}

/// How many of these entries one slot takes.
fn entries_of_a_slot(entries: &[HubEntry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&HubEntry| {
        bytes += entry.data.len();
        bytes <= SLOT_ENTRIES_BYTES_MAX as usize
    };
    entries.iter().take(SLOT_ENTRIES_MAX as usize).take_while(fits).count()
}

/// Behind the first tick there is nothing but ticks, in order of time, and their transactions.
fn ticks_are_sound(opened_us: u64, steps: &[Step]) -> Result<()> {
    let mut last = opened_us;
    for step in steps.iter().skip_while(|step| !matches!(step, Step::Tick { .. })) {
        match step {
            Step::Tick { time_us } => {
                ensure!(*time_us >= last, "a tick goes back in time");
                last = *time_us;
            }
            Step::Transaction(_) => {}
            _ => bail!("a tick holds what belongs into the slot's opening"),
        }
    }
    Ok(())
}

fn headers_of(span: &SpanData) -> Result<Vec<HeaderRecord>> {
    let stream = span.parts.iter().find(|(owner, _)| *owner == Owner::Headers);
    let (_, stream) = stream.context("a span without headers")?;
    let headers = read_headers(stream).context("the stream of headers")?;
    let slots = (headers.first(), headers.last());
    let (Some(first), Some(last)) = slots else { bail!("a span without slots") };
    ensure!(
        (first.sealed.header.slot, last.sealed.header.slot) == (span.first_slot, span.last_slot),
        "the headers of a span are not those of its slots"
    );
    Ok(headers)
}

fn input(environment: EnvironmentId, step: &Step) -> Option<Transaction> {
    match step {
        Step::Input(bytes) => {
            Some(Transaction { environment, lane: Lane::Rest, bytes: bytes.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
