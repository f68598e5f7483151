//! Follows a network: headers, then the commitment over them, then its data, then the hub.

use super::accusation::Accusation;
use super::anchor::{Anchor, Standing};
use super::commitments::{self, Last};
use super::headers::{self, HeaderChain};
use super::refusal::{Kind, Refusal};
use super::sampling::{self, Sampled, insist};
use super::store::{State, Store};
use crate::gateway::Gateway;
use crate::hub::published::Published;
use anyhow::{Context, Result, bail};
use atoll_types::{Address, B256, Decode, NetworkId, Reader, SignedHeader};
use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most headers asked for at a time.
const HEADERS_AT_ONCE: usize = 1000;
/// Longest answer with headers that is read.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// Looks in vain for something that the hub or the headers say must be there, before it counts as
/// withheld: they are a second apart.
const MISSED_MAX: u32 = 8;
/// Most hashes kept of commitments that are not settled: a week of one every five seconds.
const KNOWN_MAX: usize = 1 << 17;

/// Whom to follow, and how closely.
pub(crate) struct Options {
    pub(crate) network: NetworkId,
    pub(crate) sequencer: Address,
    /// Confidence in bits.
    pub(crate) confidence: u32,
    /// End after so many headers.
    pub(crate) slots: Option<u64>,
    /// What others prove to be badly encoded.
    pub(crate) accusations: Vec<Accusation>,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) headers: u64,
    pub(crate) commitments: u64,
    pub(crate) samples: u64,
    /// Times of the first and the last header, microseconds.
    pub(crate) times_us: (u64, u64),
}

/// A commitment that was checked, with what its check took.
pub(crate) struct Checked {
    pub(crate) published: Published,
    pub(crate) sampled: Sampled,
}

pub(crate) struct Follower {
    pub(crate) gateway: Gateway,
    /// Other gateways, which must tell the same.
    pub(crate) others: Vec<Gateway>,
    pub(crate) anchor: Anchor,
    pub(crate) options: Options,
    pub(crate) counts: Counts,
    store: Store,
    /// Whether there was an earlier run.
    resumed: bool,
    chain: HeaderChain,
    last: Last,
    /// Commitments that are not settled, by number.
    known: VecDeque<(u64, B256)>,
    standing: Standing,
    /// The last of them that was seen at the hub.
    anchored: u64,
    /// The last settled commitment of those checked; 0 for none.
    settled: u64,
    missed: u32,
}

/// The header of a slot as a gateway gives it, not checked.
fn header_of(gateway: &Gateway, slot: u64) -> Result<Option<SignedHeader>> {
    let bytes = gateway.bytes(&format!("/atoll/headers/{slot}"), HEADERS_BYTES_MAX)?;
    let sealed = bytes.map(|bytes| SignedHeader::from_bytes(&bytes)).transpose();
    sealed.with_context(|| format!("{}: the header of slot {slot} cannot be read", gateway.url()))
}

impl Follower {
    /// A client that goes on where an earlier run was, if there was one.
    pub(crate) fn open(
        gateway: Gateway,
        anchor: Anchor,
        store: Store,
        options: Options,
    ) -> Result<Self> {
        let network = options.network;
        let state = store.load()?;
        if let Some(state) = state.as_ref().filter(|state| state.network != network) {
            bail!(
                "the data folder is of network {}, the gateway's is {}: name another --data-dir",
                state.network.0,
                network.0
            );
        }
        let resumed = state.is_some();
        let (last, base, tip) = match state {
            Some(state) => (state.last, state.base, state.tip),
            None => (Last::default(), None, None),
        };
        let known = (last.number > 0).then_some((last.number, last.hash));
        Ok(Self {
            chain: HeaderChain::new(network, options.sequencer, base, tip),
            gateway,
            others: Vec::new(),
            anchor,
            options,
            counts: Counts::default(),
            store,
            resumed,
            last,
            known: known.into_iter().collect(),
            standing: Standing::default(),
            anchored: 0,
            settled: 0,
            missed: 0,
        })
    }

    /// Without an earlier run: begins at the last settled commitment, which it gives, or at the
    /// first slot if there is none or `from_genesis` says so.
    pub(crate) fn begin(&mut self, from_genesis: bool) -> Result<Option<Checked>> {
        self.standing = self.anchor.standing()?;
        match self.standing.settled {
            number if number > 0 && !self.resumed && !from_genesis => {
                self.begin_at(number).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Begins at a commitment that the hub has settled.
    fn begin_at(&mut self, number: u64) -> Result<Checked> {
        let withheld = |what: &str| {
            let message = format!("{what} of commitment {number}, which the hub has settled");
            Refusal::new(Kind::Withheld, message)
        };
        let get = || commitments::get(&self.gateway, number);
        let published = insist(|| withheld("the gateway does not give the parts"), get)?;
        commitments::holds_together(&published, number)?;
        commitments::covers_its_slots(&published)?;
        self.same_as_anchored(number, published.commitment.hash())?;
        let c = &published.commitment;
        if c.network != self.options.network {
            bail!("the hub settles network {}, the gateway's is another", c.network.0);
        }
        let slot = c.slots.1;
        let ask = || header_of(&self.gateway, slot);
        let header = insist(|| withheld("the gateway does not give the last header"), ask)?;
        if header.header.hash() != c.slot_hash || !self.chain.is_signed(&header) {
            let who = self.options.sequencer;
            let message = format!(
                "the header of slot {slot} is not the one that the hub settled, signed by the \
                 sequencer {who}"
            );
            return Err(Refusal::new(Kind::BadHeader, message).slot(slot).into());
        }
        self.chain =
            HeaderChain::new(self.options.network, self.options.sequencer, Some(header), None);
        let sampled = self.sample(&published)?;
        self.last = Last::of(&published);
        self.settled = number;
        self.save()?;
        Ok(Checked { published, sampled })
    }

    pub(crate) fn last(&self) -> Last {
        self.last
    }

    /// The last settled commitment of those checked; 0 for none.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    pub(crate) fn tip(&self) -> Option<&SignedHeader> {
        self.chain.last()
    }

    /// How old the last header is by this machine's clock.
    pub(crate) fn behind(&self) -> Option<Duration> {
        let time = Duration::from_micros(self.tip()?.header.time_us);
        Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.saturating_sub(time))
    }

    /// Whether all headers that were asked for are there.
    pub(crate) fn has_all(&self) -> bool {
        self.options.slots.is_some_and(|slots| self.counts.headers >= slots)
    }

    pub(crate) fn save(&self) -> Result<()> {
        self.store.save(&State {
            network: self.options.network,
            last: self.last,
            base: self.chain.base().cloned(),
            tip: self.chain.last().cloned(),
        })
    }

    /// Takes the headers there are. Whether there may be more at once.
    pub(crate) fn headers(&mut self) -> Result<bool> {
        let left = self.options.slots.map_or(u64::MAX, |most| most - self.counts.headers);
        let room = self.chain.room().min(HEADERS_AT_ONCE);
        let count = usize::try_from(left).map_or(room, |left| left.min(room));
        if count == 0 {
            return Ok(false);
        }
        let from = self.chain.next_slot();
        let path = format!("/atoll/headers?from={from}&count={count}");
        let bytes = self.gateway.bytes(&path, HEADERS_BYTES_MAX)?;
        let bytes = bytes.context("the gateway serves no headers: is it a node that settles?")?;
        let unreadable = || {
            let message = format!("the headers from slot {from} on cannot be read");
            Refusal::new(Kind::BadHeader, message).slot(from)
        };
        let mut reader = Reader::new(&bytes);
        let mut taken = 0;
        while !reader.rest().is_empty() && taken < count {
            self.follow(SignedHeader::decode(&mut reader).with_context(unreadable)?)?;
            taken += 1;
        }
        reader.finish().with_context(unreadable)?;
        Ok(taken == count)
    }

    fn follow(&mut self, sealed: SignedHeader) -> Result<()> {
        let time_us = sealed.header.time_us;
        if let Err(refusal) = self.chain.follow(sealed) {
            // A child of another header: is there another header of that slot to be had?
            if refusal.kind == Kind::Equivocation
                && let Some(tip) = self.chain.last()
                && let Ok(Some(other)) = header_of(&self.gateway, tip.header.slot)
                && other.header != tip.header
                && self.chain.is_signed(&other)
            {
                return Err(headers::two_headers(tip, &other).into());
            }
            return Err(refusal.into());
        }
        if self.counts.headers == 0 {
            self.counts.times_us.0 = time_us;
        }
        self.counts.times_us.1 = time_us;
        self.counts.headers += 1;
        Ok(())
    }

    /// Checks the next commitment, if it is there.
    pub(crate) fn commitment(&mut self) -> Result<Option<Checked>> {
        let number = self.last.number + 1;
        let Some(published) = commitments::get(&self.gateway, number)? else {
            return self.missing(self.standing.last >= number, || {
                let message = format!("the hub has commitment {number}; the gateway gives none");
                Refusal::new(Kind::Withheld, message)
            });
        };
        commitments::holds_together(&published, number)?;
        commitments::is_signed(&published, self.options.sequencer)?;
        commitments::covers_its_slots(&published)?;
        let slot = published.commitment.slots.1;
        let Some(header) = self.chain.at(slot) else {
            if slot <= self.last.slot {
                let message = format!("commitment {number} ends before the one before it");
                return Err(Refusal::new(Kind::BadCommitment, message).into());
            }
            if slot - self.last.slot > headers::AHEAD_MAX as u64 {
                let most = headers::AHEAD_MAX;
                bail!("commitment {number} covers more than {most} slots: not for this client");
            }
            return self.missing(!self.has_all(), || {
                let message = format!("commitment {number} ends with slot {slot}, whose header");
                Refusal::new(Kind::Withheld, message + " is not given").slot(slot)
            });
        };
        self.missed = 0;
        commitments::follows(&published, &self.last, self.options.network, header)?;
        self.compare(header)?;
        let sampled = self.sample(&published)?;
        self.last = Last::of(&published);
        self.known.push_back((number, self.last.hash));
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        self.chain.cover(slot);
        self.counts.commitments += 1;
        self.save()?;
        Ok(Some(Checked { published, sampled }))
    }

    /// Something is not there; is it withheld?
    fn missing<T>(
        &mut self,
        must_be_there: bool,
        refusal: impl FnOnce() -> Refusal,
    ) -> Result<Option<T>> {
        self.missed = if must_be_there { self.missed + 1 } else { 0 };
        if self.missed > MISSED_MAX { Err(refusal().into()) } else { Ok(None) }
    }

    /// Holds a header against what other gateways tell.
    fn compare(&self, header: &SignedHeader) -> Result<()> {
        let slot = header.header.slot;
        for other in &self.others {
            match header_of(other, slot) {
                Ok(Some(told)) if told.header == header.header => {}
                Ok(Some(told)) if self.chain.is_signed(&told) => {
                    return Err(headers::two_headers(header, &told).into());
                }
                Ok(Some(_)) => eprintln!("{}: a forged header of slot {slot}", other.url()),
                // It may be behind, or away: then it says nothing.
                Ok(None) => {}
                Err(error) => eprintln!("{error:#}"),
            }
        }
        Ok(())
    }

    fn sample(&mut self, published: &Published) -> Result<Sampled> {
        let mut sum = Sampled::default();
        for span in &published.spans {
            let Options { confidence, accusations, .. } = &self.options;
            let one = sampling::sample_span(&self.gateway, span, *confidence, accusations)?;
            sum.squares += one.squares;
            sum.samples += one.samples;
            sum.bytes += one.bytes;
        }
        self.counts.samples += sum.samples as u64;
        Ok(sum)
    }

    fn same_as_anchored(&self, number: u64, hash: B256) -> Result<()> {
        let anchored = self.anchor.record(number)?.1.hash;
        if anchored == hash {
            return Ok(());
        }
        let message = format!(
            "the gateway shows commitment {number} with hash {hash}, the hub has anchored {anchored}"
        );
        Err(Refusal::new(Kind::NotAnchored, message).into())
    }

    /// Looks at the hub: what it anchored and settled must be what was followed.
    pub(crate) fn hub(&mut self) -> Result<()> {
        self.standing = self.anchor.standing()?;
        let known = |most: u64| self.known.iter().rev().find(|(n, _)| *n <= most).copied();
        // Each commitment names the one before: the last that the hub has speaks for all.
        if let Some((number, hash)) = known(self.standing.last)
            && number > self.anchored
        {
            self.same_as_anchored(number, hash)?;
            self.anchored = number;
        }
        if let Some((number, hash)) = known(self.standing.settled) {
            self.same_as_anchored(number, hash)?;
            self.settled = self.settled.max(number);
            self.known.retain(|(n, _)| *n > number);
        }
        Ok(())
    }
}
