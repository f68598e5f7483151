//! The objects of books and directories as bytes, from their documented layouts. Nothing of the
//! crate's own encoders is used.

use super::queues::Queues;
use super::*;

/// An order in a book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resting {
    pub order: OrderId,
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub price: Price,
    pub shown: Size,
    pub hidden: Size,
    pub reduce_only: bool,
}

/// What matching moves of a market besides its orders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traded {
    pub last: Price,
    pub trades: u64,
    pub open_interest: u128,
}

/// An open order as its owner's directory has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub order: Order,
    /// Its number in its level; 0 for one that is in no book.
    pub sequence: u64,
    /// Slot of the position in its market.
    pub position: u8,
    /// Whether it has a parent, children or a sibling.
    pub linked: bool,
    /// Expiry, iceberg's display and hidden part.
    pub extra: Option<(u64, Size, Size)>,
}

/// A number in groups of seven bits, lowest first; all but the last have the eighth bit.
fn number(out: &mut Vec<u8>, value: impl Into<u128>) {
    let mut value = value.into();
    while value >= 128 {
        out.push((value % 128) as u8 + 128);
        value /= 128;
    }
    out.push(value as u8);
}

fn numbers(out: &mut Vec<u8>, values: &[u128]) {
    values.iter().for_each(|value| number(out, *value));
}

fn key(tag: u8, parts: &[u128]) -> Vec<u8> {
    let mut out = vec![tag];
    numbers(&mut out, parts);
    out
}

fn book_of(market: u16, asks: bool) -> u128 {
    u128::from(market) * 2 + u128::from(asks)
}

/// Levels, chunks, sets of prices and tops.
pub(crate) fn books(resting: &[Resting], queues: &Queues, traded: &[Traded], into: &mut Objects) {
    let mut levels: BTreeMap<(u128, u64), Vec<(u64, Resting)>> = BTreeMap::new();
    for order in resting {
        let book = book_of(order.market.0, order.side == Side::Sell);
        let level = levels.entry((book, order.price)).or_default();
        level.push((queues.number(order.order), *order));
    }
    for ((book, price), mut orders) in levels.clone() {
        orders.sort_by_key(|(sequence, _)| *sequence);
        let (market, asks) = ((book / 2) as u16, book % 2 == 1);
        let mut chunks: Vec<u64> = orders.iter().map(|(sequence, _)| sequence / 8).collect();
        chunks.dedup();
        let mut value = Vec::new();
        numbers(
            &mut value,
            &[
                orders.iter().map(|(_, order)| u128::from(order.shown)).sum(),
                orders.iter().map(|(_, order)| u128::from(order.hidden)).sum(),
                orders.len() as u128,
                queues.came[&(market, asks, price)].into(),
                u128::from(chunks[0]) + 1,
                u128::from(chunks[chunks.len() - 1]) + 1,
            ],
        );
        into.insert(key(13, &[book, price.into()]), value);
        // Chunks know their neighbours; 0 is none.
        let beside = |at: Option<usize>| at.and_then(|at| chunks.get(at)).map_or(0, |n| n + 1);
        for (at, chunk) in chunks.iter().enumerate() {
            let here: Vec<_> = orders.iter().filter(|(n, _)| n / 8 == *chunk).collect();
            let mut value = vec![here.iter().map(|(n, _)| 1u8 << (n % 8)).sum()];
            number(&mut value, beside(at.checked_sub(1)));
            number(&mut value, beside(Some(at + 1)));
            for (_, order) in here {
                let whose = u128::from(order.account.0) * 2 + u128::from(order.reduce_only);
                numbers(&mut value, &[order.order.0.into(), whose, order.shown.into()]);
            }
            into.insert(key(14, &[book, price.into(), (*chunk).into()]), value);
        }
    }
    let mut sets: BTreeMap<u128, Vec<u64>> = BTreeMap::new();
    levels.keys().for_each(|(book, price)| sets.entry(*book).or_default().push(*price));
    sets.iter().for_each(|(set, members)| set_pages(*set, members, into));
    for (market, traded) in traded.iter().enumerate() {
        let side = |asks| sets.get(&book_of(market as u16, asks)).map(Vec::as_slice).unwrap_or(&[]);
        let best = [side(false).iter().max(), side(true).iter().min()];
        let best = best.map(|price| u128::from(price.copied().unwrap_or(0)));
        let Traded { last, trades, open_interest } = *traded;
        let fields = [best[0], best[1], last.into(), trades.into(), open_interest];
        if fields != [0; 5] {
            let mut value = Vec::new();
            numbers(&mut value, &fields);
            into.insert(key(11, &[market as u128]), value);
        }
    }
}

/// The pages of an ordered set: a bit for each member at level 0, and above a bit for each page
/// below, seven levels of eight bits.
fn set_pages(set: u128, members: &[u64], into: &mut Objects) {
    for level in 0..7u8 {
        let mut pages: BTreeMap<u64, [u8; 32]> = BTreeMap::new();
        for member in members {
            let digit = (member >> (8 * level)) % 256;
            let prefix = (member >> (8 * level)) / 256;
            pages.entry(prefix).or_default()[digit as usize / 8] |= 1 << (digit % 8);
        }
        for (prefix, bits) in pages {
            let mut name = key(1, &[set]);
            name.push(level);
            number(&mut name, prefix);
            // Words without bits are left out, and a mask says which there are.
            let words: Vec<&[u8]> = bits.chunks(8).collect();
            let there = |n: &usize| words[*n].iter().any(|byte| *byte != 0);
            let mut value = vec![(0..4).filter(there).map(|n| 1u8 << n).sum()];
            (0..4).filter(there).for_each(|n| value.extend_from_slice(words[n]));
            into.insert(name, value);
        }
    }
}

/// Directories, their pages, client ids and extras.
pub(crate) fn directories(listed: &[Listed], into: &mut Objects) {
    let mut pages: BTreeMap<(u32, u32), BTreeMap<u32, Listed>> = BTreeMap::new();
    for order in listed {
        let slot = (order.order.order.0 % 4096) as u32;
        let page = pages.entry((order.order.account.0, slot / 4)).or_default();
        let before = page.insert(slot % 4, *order);
        assert!(before.is_none(), "two orders in slot {slot}");
    }
    let mut stretches: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    for ((account, page), orders) in &pages {
        let mut value = vec![orders.keys().map(|place| 1u8 << place).sum()];
        orders.values().for_each(|order| listed_order(&mut value, order));
        into.insert(key(9, &[(*account).into(), (*page).into()]), value);
        let (used, full) = stretches.entry((*account, page / 64)).or_default();
        *used |= 1 << (page % 64);
        *full |= u64::from(orders.len() == 4) << (page % 64);
    }
    for ((account, stretch), (used, full)) in stretches {
        let mut name = key(8, &[account.into()]);
        name.push(stretch as u8);
        let mut value = Vec::new();
        numbers(&mut value, &[used.into(), full.into()]);
        into.insert(name, value);
    }
    for Listed { order, extra, .. } in listed {
        if let Some(client_id) = order.client_id {
            let mut name = key(10, &[order.account.0.into()]);
            name.extend_from_slice(&client_id);
            let mut value = Vec::new();
            number(&mut value, order.order.0);
            into.insert(name, value);
        }
        if let Some((expires_us, display, hidden)) = *extra {
            let mut value = Vec::new();
            numbers(&mut value, &[expires_us.into(), display.into(), hidden.into()]);
            into.insert(key(15, &[order.order.0.into()]), value);
        }
    }
}

fn listed_order(out: &mut Vec<u8>, listed: &Listed) {
    let order = &listed.order;
    let tif = match order.tif {
        Tif::Gtc => 0,
        Tif::Ioc => 1,
        Tif::PostOnly => 2,
        Tif::Fok => 3,
    };
    number(out, order.order.0);
    let bit = |set: bool, value: u8| if set { value } else { 0 };
    let first = bit(order.trigger.is_some(), 1)
        + bit(listed.linked, 2)
        + bit(listed.extra.is_some_and(|extra| extra.0 != 0), 4)
        + bit(listed.extra.is_some(), 8)
        + bit(order.side == Side::Sell, 16)
        + bit(order.reduce_only, 32)
        + 64 * tif;
    out.extend_from_slice(&[first, listed.position + bit(order.client_id.is_some(), 128)]);
    let Order { market, price, size, time_us, .. } = *order;
    let sequence = listed.sequence;
    numbers(out, &[market.0.into(), price.into(), sequence.into(), size.into(), time_us.into()]);
    out.extend(order.client_id.iter().flatten());
}
