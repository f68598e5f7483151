//! What history keeps of an exchange beyond its receipts: trades of a market, fills of an account,
//! orders that are gone. Ordered by time, so that the latest are one range read away.
//!
//! | key | value |
//! | --- | --- |
//! | 0, market, time, trade | fill |
//! | 1, account, time, trade | fill |
//! | 2, account, time, order | ended order |
//! | 3, account, order | time it ended |
//! | 4, account, client id | time it ended, order |
//!
//! Numbers in keys are big-endian, times microseconds of the tick.

use crate::node::archive::Archive;
use crate::node::environment::IndexEntry;
use atoll_exchange::{AccountId, ClientId, Fill, MarketId, Order, OrderId, Party, Side};
use atoll_types::{B256, CodecError, Decode, Encode, EnvironmentId, Reader};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// A fill, with when and in which transaction it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FillRecord {
    pub(super) time_us: u64,
    pub(super) hash: B256,
    pub(super) fill: Fill,
}

impl FillRecord {
    /// The part of an account in it, its side, and whether it took.
    pub(super) fn of(&self, account: AccountId) -> (&Party, Side, bool) {
        let Fill { maker, taker, taker_side, .. } = &self.fill;
        if taker.account == account {
            return (taker, *taker_side, true);
        }
        let side = match taker_side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        (maker, side, false)
    }
}

impl Encode for FillRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(self.hash.as_slice());
        self.fill.encode(out);
    }
}

impl Decode for FillRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { time_us: r.u64()?, hash: r.b256()?, fill: Fill::decode(r)? })
    }
}

/// What became of an order, in Hyperliquid's words.
const STATUSES: [&str; 5] =
    ["filled", "canceled", "marginCanceled", "reduceOnlyCanceled", "selfTradeCanceled"];

/// An order that is gone: as it was last, what became of it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndedOrder {
    pub(super) order: Order,
    pub(super) status: &'static str,
    pub(super) time_us: u64,
}

impl Encode for EndedOrder {
    fn encode(&self, out: &mut Vec<u8>) {
        // Statuses are this node's own words: each is in the list.
        let status = STATUSES.iter().position(|status| *status == self.status);
        out.push(status.unwrap_or(STATUSES.len()) as u8);
        out.extend_from_slice(&self.time_us.to_le_bytes());
        self.order.encode(out);
    }
}

impl Decode for EndedOrder {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let status = STATUSES.get(usize::from(r.u8()?));
        let status = status.copied().ok_or(CodecError::Invalid("order status"))?;
        Ok(Self { status, time_us: r.u64()?, order: Order::decode(r)? })
    }
}

fn key(kind: u8, of: impl Into<u32>, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&of.into().to_be_bytes());
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// What one slot adds, in the order of keys.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct Latest {
    /// The open slot.
    open: Entries,
    /// Sealed slots that history does not have yet.
    sealed: VecDeque<(u64, Entries)>,
}

/// Records on their way into history. Queries see both.
#[derive(Default)]
pub(super) struct Records(Mutex<Latest>);

impl Records {
    pub(super) fn fill(&self, record: &FillRecord) {
        let value = record.to_bytes();
        let at = [&record.time_us.to_be_bytes()[..], &record.fill.trade.to_be_bytes()];
        let open = &mut self.0.lock().open;
        for party in [&record.fill.maker, &record.fill.taker] {
            open.insert(key(1, party.account.0, &at), value.clone());
        }
        open.insert(key(0, record.fill.market.0, &at), value);
    }

    pub(super) fn ended(&self, ended: &EndedOrder) {
        let Order { account, order, client_id, .. } = ended.order;
        let (time, number) = (ended.time_us.to_be_bytes(), order.0.to_be_bytes());
        let open = &mut self.0.lock().open;
        open.insert(key(2, account.0, &[&time, &number]), ended.to_bytes());
        open.insert(key(3, account.0, &[&number]), time.to_vec());
        if let Some(id) = client_id {
            open.insert(key(4, account.0, &[&id]), [time, number].concat());
        }
    }

    /// Ends the slot: what history is to take in of it. Slots up to `indexed` are there already.
    pub(super) fn seal(&self, slot: u64, indexed: u64) -> Vec<IndexEntry> {
        let mut latest = self.0.lock();
        while latest.sealed.front().is_some_and(|(slot, _)| *slot <= indexed) {
            latest.sealed.pop_front();
        }
        let entries = std::mem::take(&mut latest.open);
        let index = entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if !entries.is_empty() && slot > indexed {
            latest.sealed.push_back((slot, entries));
        }
        index
    }
}

/// The records of one environment, those in history and those that are not there yet.
pub(super) struct RecordView<'a> {
    pub(super) records: &'a Records,
    pub(super) archive: &'a Archive,
    pub(super) environment: EnvironmentId,
}

impl RecordView<'_> {
    /// The latest trades of a market, newest first.
    pub(super) fn trades(&self, market: MarketId, most: usize) -> anyhow::Result<Vec<FillRecord>> {
        self.range(key(0, market.0, &[]), 0, u64::MAX, most, true)
    }

    /// Fills of an account from one time to another, both included.
    pub(super) fn fills(
        &self,
        account: AccountId,
        (from_us, to_us): (u64, u64),
        most: usize,
        newest_first: bool,
    ) -> anyhow::Result<Vec<FillRecord>> {
        self.range(key(1, account.0, &[]), from_us, to_us, most, newest_first)
    }

    /// The latest orders of an account that are gone, newest first.
    pub(super) fn ended(&self, account: AccountId, most: usize) -> anyhow::Result<Vec<EndedOrder>> {
        self.range(key(2, account.0, &[]), 0, u64::MAX, most, true)
    }

    /// An order that is gone.
    pub(super) fn order(
        &self,
        account: AccountId,
        order: OrderId,
    ) -> anyhow::Result<Option<EndedOrder>> {
        let number = order.0.to_be_bytes();
        let Some(time) = self.get(&key(3, account.0, &[&number]))? else { return Ok(None) };
        self.get(&key(2, account.0, &[&time, &number]))?.map(|v| decode(&v)).transpose()
    }

    /// The latest order with a client's identifier that is gone.
    pub(super) fn client_order(
        &self,
        account: AccountId,
        id: ClientId,
    ) -> anyhow::Result<Option<EndedOrder>> {
        let Some(at) = self.get(&key(4, account.0, &[&id]))? else { return Ok(None) };
        self.get(&key(2, account.0, &[&at]))?.map(|v| decode(&v)).transpose()
    }

    fn get(&self, key: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let latest = self.records.0.lock();
        let sealed = latest.sealed.iter().rev().map(|(_, entries)| entries);
        let found = std::iter::once(&latest.open).chain(sealed).find_map(|e| e.get(key).cloned());
        drop(latest);
        match found {
            Some(value) => Ok(Some(value)),
            None => self.archive.indexed(self.environment, key),
        }
    }

    fn range<T: Decode>(
        &self,
        prefix: Vec<u8>,
        from_us: u64,
        to_us: u64,
        most: usize,
        newest_first: bool,
    ) -> anyhow::Result<Vec<T>> {
        let from = [&prefix[..], &from_us.to_be_bytes()].concat();
        let to = [&prefix[..], &to_us.to_be_bytes(), &[0xff; 8]].concat();
        // The latest first: what moves into history meanwhile is then found twice, and never
        // missed.
        let mut found = Entries::new();
        if from <= to {
            let latest = self.records.0.lock();
            let sealed = latest.sealed.iter().map(|(_, entries)| entries);
            for entries in sealed.chain(std::iter::once(&latest.open)) {
                let inside = entries.range(from.clone()..=to.clone());
                found.extend(inside.map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        let old = self.archive.index_range(self.environment, &from, &to, most, newest_first)?;
        found.extend(old);
        match newest_first {
            true => found.into_values().rev().take(most).map(|v| decode(&v)).collect(),
            false => found.into_values().take(most).map(|v| decode(&v)).collect(),
        }
    }
}

fn decode<T: Decode>(bytes: &[u8]) -> anyhow::Result<T> {
    Ok(T::from_bytes(bytes)?)
}
