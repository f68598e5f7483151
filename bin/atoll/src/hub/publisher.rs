//! Publishes what was executed: spans of data, and commitments about them, one after the other, on
//! a thread of its own. Everything is durable here before the hub is told of it.

use super::assemble::{Assembled, Before, Draft, Roots, Slots};
use super::certificate::Certificate;
use super::published::{Published, PublishedStore, SpanRoot};
use super::spans::{SpanStore, span_data};
use crate::node::Shared;
use anyhow::{Context, Result, bail};
use atoll_da::{Owner, SpanPlan};
use atoll_types::crypto::SigningKey;
use atoll_types::hub::WithdrawalTree;
use atoll_types::statement::availability_digest;
use atoll_types::{B256, SignedHeader, sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Slots after which data is published: five seconds.
pub(crate) const SPAN_SLOTS: u64 = 50;
/// How often the publisher looks for slots to publish.
const POLL: Duration = Duration::from_millis(50);

/// What the publisher works with.
pub(crate) struct Publisher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<PublishedStore>,
    pub(crate) spans: Arc<SpanStore>,
    pub(crate) key: SigningKey,
    /// Slots in one commitment: a multiple of every environment's commit interval.
    pub(crate) commitment_slots: u64,
    /// Slots of the first commitment: environments are live at the hub from then on.
    pub(crate) first_slots: u64,
    /// State roots at genesis, by environment.
    pub(crate) genesis_roots: BTreeMap<u32, B256>,
    /// Slots whose data is kept.
    pub(crate) keep_slots: u64,
    /// For tests of whoever watches: the number of a commitment to lie in, about one state root.
    pub(crate) false_root: Option<u64>,
}

/// The least number of slots, at least `wanted`, after which every environment has a state root.
pub(crate) fn commitment_slots(intervals: impl Iterator<Item = u64>, wanted: u64) -> u64 {
    fn gcd(a: u64, b: u64) -> u64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let common = intervals.fold(1, |common, n| common / gcd(common, n) * n);
    wanted.div_ceil(common).max(1) * common
}

impl Publisher {
    /// Publishes until `stopped`; `told` hears of each commitment.
    pub(crate) fn run(self, stopped: &AtomicBool, mut told: impl FnMut(u64)) -> Result<()> {
        let mut tree = WithdrawalTree::default();
        for index in 0..self.store.withdrawals() {
            let withdrawal = self.store.withdrawal(index)?;
            tree.push(withdrawal.context("a withdrawal is missing in the store")?.leaf());
        }
        let mut latest = self.store.latest();
        told(latest.as_ref().map_or(0, |latest| latest.commitment.number));
        let network = self.shared.network;
        let mut draft = Draft::new(network, Before::of(latest.as_deref()));
        let mut spans = Vec::new();
        // What was certified before a restart is not published in any other way after it.
        let mut certified = VecDeque::from(self.store.run(draft.last_slot() + 1)?.spans);
        while !stopped.load(Relaxed) {
            let before = Before::of(latest.as_deref());
            let step = match before.number {
                0 => self.first_slots.min(self.commitment_slots),
                _ => self.commitment_slots,
            };
            let covered = draft.last_slot() - before.last_slot;
            let end = before.last_slot + covered.div_ceil(step).max(1) * step;
            if draft.last_slot() == end {
                let published = self.publish(draft, spans, latest.as_deref(), &mut tree)?;
                told(published.commitment.number);
                draft = Draft::new(network, Before::of(Some(&published)));
                spans = Vec::new();
                latest = Some(published);
                continue;
            }
            let first = draft.last_slot() + 1;
            let last = match certified.front() {
                Some(span) => span.slots.1,
                None => end.min(first + SPAN_SLOTS - 1),
            };
            if last > self.ready() {
                std::thread::sleep(POLL);
                continue;
            }
            // Data is published as it comes, however long the commitment about it takes.
            let slots = Slots::read(&self.shared, (first, last))?;
            match certified.pop_front() {
                Some(span) => spans.push(span),
                None => self.publish_spans(&slots, (first, last), &mut spans)?,
            }
            draft.extend(&slots)?;
        }
        Ok(())
    }

    /// The last slot that is final and in history, with its roots.
    fn ready(&self) -> u64 {
        let gates = self.shared.environments.iter().map(|hosted| {
            let environment = hosted.environment();
            environment.gate().indexed_slot.load(Relaxed)
        });
        gates.chain([self.shared.finalised.load(Relaxed)]).min().unwrap_or(0)
    }

    /// Makes and signs the commitment.
    fn publish(
        &self,
        draft: Draft,
        spans: Vec<SpanRoot>,
        latest: Option<&Published>,
        tree: &mut WithdrawalTree,
    ) -> Result<Arc<Published>> {
        let number = Before::of(latest).number + 1;
        let last = draft.last_slot();
        let pre_roots = match latest {
            None => self.genesis_roots.clone(),
            Some(latest) => {
                let roots = latest.statements.iter();
                roots.map(|s| (s.environment.0, s.post_root)).collect()
            }
        };
        let mut post_roots = BTreeMap::new();
        for hosted in &self.shared.environments {
            let id = hosted.environment().id();
            if let Some(root) = self.shared.archive.root(id, last)? {
                post_roots.insert(id.0, root);
            }
        }
        if self.false_root == Some(number)
            && let Some((_, root)) = post_roots.last_key_value()
        {
            let wrong = sha256(&[root.as_slice()]);
            post_roots.last_entry().map(|mut last| last.insert(wrong));
        }
        let roots = Roots { pre: &pre_roots, post: &post_roots };
        let Assembled { commitment, statements, transfers, withdrawals } =
            draft.finish(&roots, tree, &spans)?;
        let signature = self.key.sign(&commitment.hash());
        let promise = availability_digest(&commitment.network, commitment.slots, commitment.data);
        let availability = self.key.sign(&promise);
        let published =
            Published { commitment, statements, transfers, spans, signature, availability };
        self.store.add(published, &withdrawals)?;
        if number.is_multiple_of(100) {
            let before = last.saturating_sub(self.keep_slots);
            self.spans.prune(before)?;
            self.store.forget_certificates(before)?;
        }
        self.store.latest().context("the commitment just stored is gone")
    }

    /// Publishes the range in as few spans as squares allow, behind the `spans` since the last
    /// commitment.
    fn publish_spans(
        &self,
        slots: &Slots,
        range: (u64, u64),
        spans: &mut Vec<SpanRoot>,
    ) -> Result<()> {
        let sealed = |slot| {
            self.shared.archive.sealed(slot)?.with_context(|| format!("slot {slot} has no header"))
        };
        let mut plan = SpanPlan::new();
        let mut open: Vec<SignedHeader> = Vec::new();
        for slot in range.0..=range.1 {
            let sealed: SignedHeader = sealed(slot)?;
            // The stream's own framing is a few bytes a slot.
            let size = |bytes: usize| bytes as u64 + 16;
            let mut bytes: Vec<(Owner, u64)> = Vec::new();
            for part in &slots.parts {
                if let Some(record) = part.records.get(&slot) {
                    let owner = Owner::Environment(part.spec.id);
                    bytes.push((owner, size(record.range.encoded_len())));
                }
            }
            bytes.push((Owner::Headers, size(256 + 36 * slots.parts.len())));
            if !open.is_empty() && !plan.fits(&bytes) {
                self.publish_span(slots, &std::mem::take(&mut open), spans)?;
                plan.clear();
            }
            plan.add(&bytes);
            open.push(sealed);
        }
        self.publish_span(slots, &open, spans)
    }

    /// Publishes one span, and promises that it is available once it is durable here.
    fn publish_span(
        &self,
        slots: &Slots,
        sealed: &[SignedHeader],
        spans: &mut Vec<SpanRoot>,
    ) -> Result<()> {
        let data = span_data(slots, sealed);
        if data.first_slot > data.last_slot {
            bail!("a span without slots");
        }
        let encoded = self.spans.add(&data)?;
        let slots = (data.first_slot, data.last_slot);
        spans.push(SpanRoot { slots, data_root: encoded.data_root() });
        self.store.certify(Certificate::sign(&self.key, &self.shared.network, spans)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commitments_end_where_every_environment_has_a_root() {
        assert_eq!(commitment_slots([10, 10].into_iter(), 50), 50);
        assert_eq!(commitment_slots([4, 6].into_iter(), 50), 60);
        assert_eq!(commitment_slots([7].into_iter(), 1), 7);
        assert_eq!(commitment_slots([].into_iter(), 3), 3);
    }
}
