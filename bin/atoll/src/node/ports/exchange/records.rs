//! What history keeps of an exchange beyond its receipts: trades of a market, fills of an account,
//! orders that are gone. Ordered by time, so that the latest are one range read away.
//!
//! | key | value |
//! | --- | --- |
//! | 0, market, time, trade | fill |
//! | 1, account, time, trade | market of the fill |
//! | 2, account, order | ended order |
//! | 3, account, client id | order |
//! | 4, market, time | rate and premium of a funding payment |
//!
//! Numbers are big-endian, times microseconds of the tick. Numbers of orders rise with the order in
//! which they were placed.

use crate::node::archive::Archive;
use crate::node::environment::IndexEntry;
use anyhow::Context;
use atoll_exchange::{AccountId, ClientId, Fill, MarketId, Order, OrderId, Party, Price, Side};
use atoll_types::{Address, B256, CodecError, Decode, Encode, EnvironmentId, Reader};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// A fill, with when and in which transaction it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FillRecord {
    pub(super) time_us: u64,
    pub(super) hash: B256,
    pub(super) fill: Fill,
    /// If a liquidation took: whose, and the mark then.
    pub(super) liquidation: Option<(Address, Price)>,
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
        out.push(self.liquidation.is_some().into());
        if let Some((user, mark)) = self.liquidation {
            out.extend_from_slice(user.as_slice());
            out.extend_from_slice(&mark.to_le_bytes());
        }
    }
}

impl Decode for FillRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (time_us, hash, fill) = (r.u64()?, r.b256()?, Fill::decode(r)?);
        let liquidation = if r.bool()? { Some((r.address()?, r.u64()?)) } else { None };
        Ok(Self { time_us, hash, fill, liquidation })
    }
}

/// What became of an order, in Hyperliquid's words.
const STATUSES: [&str; 14] = [
    "filled",
    "canceled",
    "marginCanceled",
    "reduceOnlyCanceled",
    "selfTradeCanceled",
    "expired",
    "siblingFilledCanceled",
    "scheduledCancel",
    "perpMarginRejected",
    "reduceOnlyRejected",
    "marketOrderNoLiquidityRejected",
    "minTradeNtlRejected",
    "rejected",
    "liquidatedCanceled",
];

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

/// A payment of funding: rate and mean premium of the hour, parts per billion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FundingRecord {
    pub(super) time_us: u64,
    pub(super) rate: i64,
    pub(super) premium: i64,
}

impl Encode for FundingRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(&self.rate.to_le_bytes());
        out.extend_from_slice(&self.premium.to_le_bytes());
    }
}

impl Decode for FundingRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut number = || r.u64().map(|bits| bits as i64);
        Ok(Self { time_us: number()? as u64, rate: number()?, premium: number()? })
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
        let at = [&record.time_us.to_be_bytes()[..], &record.fill.trade.to_be_bytes()];
        let market = record.fill.market.0;
        let open = &mut self.0.lock().open;
        for party in [&record.fill.maker, &record.fill.taker] {
            open.insert(key(1, party.account.0, &at), market.to_be_bytes().to_vec());
        }
        open.insert(key(0, market, &at), record.to_bytes());
    }

    pub(super) fn ended(&self, ended: &EndedOrder) {
        let Order { account, order, client_id, .. } = ended.order;
        let number = order.0.to_be_bytes();
        let open = &mut self.0.lock().open;
        open.insert(key(2, account.0, &[&number]), ended.to_bytes());
        if let Some(id) = client_id {
            open.insert(key(3, account.0, &[&id]), number.to_vec());
        }
    }

    pub(super) fn funding(&self, market: MarketId, record: &FundingRecord) {
        let key = key(4, market.0, &[&record.time_us.to_be_bytes()]);
        self.0.lock().open.insert(key, record.to_bytes());
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
        let found = self.range(&key(0, market.0, &[]), (0, u64::MAX), most, true)?;
        found.iter().map(|(_, value)| decode(value)).collect()
    }

    /// Fills of an account from one time to another, both included.
    pub(super) fn fills(
        &self,
        account: AccountId,
        times_us: (u64, u64),
        most: usize,
        newest_first: bool,
    ) -> anyhow::Result<Vec<FillRecord>> {
        let prefix = key(1, account.0, &[]);
        let found = self.range(&prefix, times_us, most, newest_first)?;
        let fill = |(at, market): &IndexEntry| {
            let market = u16::from_be_bytes(market[..].try_into()?);
            let value = self.get(&key(0, market, &[&at[prefix.len()..]]))?;
            decode(&value.context("the index names a fill that is not there")?)
        };
        found.iter().map(fill).collect()
    }

    /// Payments of funding in a market from one time to another, both included, oldest first.
    pub(super) fn funding(
        &self,
        market: MarketId,
        times_us: (u64, u64),
        most: usize,
    ) -> anyhow::Result<Vec<FundingRecord>> {
        let found = self.range(&key(4, market.0, &[]), times_us, most, false)?;
        found.iter().map(|(_, value)| decode(value)).collect()
    }

    /// The orders of an account that are gone, those placed last first.
    pub(super) fn ended(&self, account: AccountId, most: usize) -> anyhow::Result<Vec<EndedOrder>> {
        let found = self.range(&key(2, account.0, &[]), (0, u64::MAX), most, true)?;
        found.iter().map(|(_, value)| decode(value)).collect()
    }

    /// An order that is gone.
    pub(super) fn order(
        &self,
        account: AccountId,
        order: OrderId,
    ) -> anyhow::Result<Option<EndedOrder>> {
        let found = self.get(&key(2, account.0, &[&order.0.to_be_bytes()]))?;
        found.map(|value| decode(&value)).transpose()
    }

    /// The latest order with a client's identifier that is gone.
    pub(super) fn client_order(
        &self,
        account: AccountId,
        id: ClientId,
    ) -> anyhow::Result<Option<EndedOrder>> {
        let Some(number) = self.get(&key(3, account.0, &[&id]))? else { return Ok(None) };
        self.order(account, OrderId(u64::from_be_bytes(number[..].try_into()?)))
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

    /// Entries whose key goes on with a number in a range behind `prefix`.
    fn range(
        &self,
        prefix: &[u8],
        (from, to): (u64, u64),
        most: usize,
        newest_first: bool,
    ) -> anyhow::Result<Vec<IndexEntry>> {
        if from > to {
            return Ok(Vec::new());
        }
        let from = [prefix, &from.to_be_bytes()].concat();
        let to = [prefix, &to.to_be_bytes(), &[0xff; 8]].concat();
        // The latest first: what moves into history meanwhile is then found twice, and never
        // missed.
        let mut found = Entries::new();
        let latest = self.records.0.lock();
        let sealed = latest.sealed.iter().map(|(_, entries)| entries);
        for entries in sealed.chain(std::iter::once(&latest.open)) {
            let inside = entries.range(from.clone()..=to.clone());
            found.extend(inside.map(|(key, value)| (key.clone(), value.clone())));
        }
        drop(latest);
        let old = self.archive.index_range(self.environment, &from, &to, most, newest_first)?;
        found.extend(old);
        Ok(match newest_first {
            true => found.into_iter().rev().take(most).collect(),
            false => found.into_iter().take(most).collect(),
        })
    }
}

fn decode<T: Decode>(bytes: &[u8]) -> anyhow::Result<T> {
    Ok(T::from_bytes(bytes)?)
}
