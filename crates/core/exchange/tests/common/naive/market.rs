//! A recorded market, naively: its book is the naive one, and around it there is what commands need
//! besides a book, by client id: directories and their numbers. Nobody lacks margin, no order expires
//! or hides, nobody trades with himself; what is met of that is a panic.

use super::book::{Book, MARKET, Naive};
use super::bytes::{Listed, directories};
use super::history::Reply;
use super::*;

#[derive(Clone)]
pub(crate) struct Market {
    limits: Limits,
    commands: u64,
    time_us: u64,
    pub(crate) book: Naive,
    /// Open orders by account and slot.
    listed: BTreeMap<(u32, u32), Listed>,
    /// Lots by account, negative for short.
    positions: BTreeMap<u32, i64>,
    events: Vec<Event>,
}

/// What a book tells of what happened, as far as this market knows it.
pub(crate) fn of_book(event: &Event) -> Option<Event> {
    match event {
        Event::Filled(fill) => {
            let party = |party: Party| Party { closed_pnl: 0, ..party };
            Some(Event::Filled(Fill {
                maker: party(fill.maker),
                taker: party(fill.taker),
                ..*fill
            }))
        }
        Event::Accepted(_)
        | Event::Rested(_)
        | Event::Cancelled { .. }
        | Event::Resized { .. }
        | Event::Modified { .. } => Some(*event),
        _ => None,
    }
}

impl Market {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            commands: 0,
            time_us: 0,
            book: Naive::new(),
            listed: BTreeMap::new(),
            positions: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, op: &Op) -> Reply {
        self.commands += 1;
        let reply = match op {
            Op::In(Input::Tick { time_us }) => {
                self.time_us = *time_us;
                Ok(Outcome::Done)
            }
            Op::In(_) => Ok(Outcome::Done),
            Op::Do(account, Command::Place(request)) => self
                .refused(*account, request, None)
                .map_or_else(|| Ok(Outcome::Placed(self.place(*account, request))), Err),
            Op::Do(account, Command::Cancel(target)) => self.find(*account, target).map(|slot| {
                self.end(*account, slot, CancelReason::Requested);
                Outcome::Cancelled(1)
            }),
            Op::Do(account, Command::Modify { target, order }) => {
                self.modify(*account, target, order)
            }
            other => unreachable!("{other:?} is in no recording"),
        };
        (reply, std::mem::take(&mut self.events))
    }

    pub(crate) fn open(&self) -> usize {
        self.listed.len()
    }

    pub(crate) fn objects(&mut self) -> Objects {
        let long: i64 = self.positions.values().map(|size| (*size).max(0)).sum();
        self.book.traded.open_interest = long as u128;
        let mut objects = self.book.objects();
        let listed: Vec<Listed> = self.listed.values().copied().collect();
        let numbered = listed
            .into_iter()
            .map(|found| Listed { sequence: self.book.queues.number(found.order.order), ..found });
        directories(&numbered.collect::<Vec<_>>(), &mut objects);
        objects
    }

    fn mine(&self, account: AccountId) -> impl Iterator<Item = (u32, &Order)> {
        let mine = self.listed.range((account.0, 0)..(account.0 + 1, 0));
        mine.map(|((_, slot), found)| (*slot, &found.order))
    }

    fn find(&self, account: AccountId, target: &OrderSelector) -> Result<u32, RejectCode> {
        let is = |order: &Order| match target {
            OrderSelector::Order(number) => order.order == *number,
            OrderSelector::Client(client_id) => order.client_id == Some(*client_id),
        };
        let found = self.mine(account).find(|(_, order)| is(order));
        found.map(|(slot, _)| slot).ok_or(RejectCode::UnknownOrder)
    }

    /// The lowest slot that is free.
    fn free_slot(&self, account: AccountId) -> u32 {
        let taken = self.mine(account).map(|(slot, _)| slot);
        (0..).zip(taken.chain([u32::MAX])).find(|(n, slot)| n != slot).unwrap().0
    }

    /// Why an order that takes the place of another is refused.
    fn refused(
        &self,
        account: AccountId,
        r: &OrderRequest,
        replaces: Option<u32>,
    ) -> Option<RejectCode> {
        let others = || self.mine(account).filter(|(slot, _)| Some(*slot) != replaces);
        let crosses = self.book.crosses(r.side, r.price);
        let immediate = r.tif == Tif::Ioc;
        let twice = r.client_id.is_some() && others().any(|(_, o)| o.client_id == r.client_id);
        let most = self.limits.orders_per_account as usize;
        assert!(immediate || [Tif::Gtc, Tif::PostOnly].contains(&r.tif), "{r:?}");
        assert_eq!((r.reduce_only, r.expires_us, r.display), (false, 0, 0));
        match () {
            () if twice => Some(RejectCode::DuplicateClientId),
            () if !immediate && others().count() >= most => Some(RejectCode::TooManyOrders),
            () if immediate && !crosses => Some(RejectCode::NoLiquidity),
            () if r.tif == Tif::PostOnly && crosses => Some(RejectCode::WouldCross),
            () => None,
        }
    }

    fn place(&mut self, account: AccountId, r: &OrderRequest) -> Placed {
        let immediate = r.tif == Tif::Ioc;
        let slot = if immediate { 0 } else { self.free_slot(account) };
        let mut order = Order {
            order: OrderId(self.commands * 4096 + u64::from(slot)),
            account,
            market: MARKET,
            side: r.side,
            price: r.price,
            size: r.size,
            remaining: r.size,
            tif: r.tif,
            reduce_only: false,
            client_id: r.client_id,
            time_us: self.time_us,
            trigger: None,
        };
        self.events.push(Event::Accepted(order));
        let before = self.book.traded.trades;
        let (number, side, price, size) = (order.order, r.side, r.price, r.size);
        let bare = BareOrder { order: number, account, side, price, size, immediate };
        let (trades, rests) = self.book.add(&bare);
        assert!(trades.len() < self.limits.fills_per_command as usize, "a very long walk");
        let mut notional = 0;
        for (trade, n) in trades.iter().zip(before + 1..) {
            order.remaining -= trade.size;
            notional += i128::from(trade.price) * i128::from(trade.size);
            self.filled(&order, trade, n);
        }
        if rests {
            let listed = Listed { order, sequence: 0, position: 0, linked: false, extra: None };
            self.listed.insert((account.0, slot), listed);
            self.events.push(Event::Rested(order));
        } else if order.remaining > 0 {
            self.events.push(Event::Cancelled { order, reason: CancelReason::Immediate });
        }
        let filled = r.size - order.remaining;
        let resting = if rests { order.remaining } else { 0 };
        Placed { order: order.order, filled, notional, resting }
    }

    fn filled(&mut self, taker: &Order, trade: &Trade, number: u64) {
        let all = self.listed.iter_mut();
        let (key, maker) = all
            .map(|(key, found)| (*key, &mut found.order))
            .find(|(_, order)| order.order == trade.maker)
            .unwrap();
        maker.remaining = trade.remaining;
        let maker = *maker;
        assert_ne!(maker.account, taker.account, "a participant trades with himself");
        if trade.remaining == 0 {
            self.listed.remove(&key);
        }
        let mut party = |order: &Order| {
            let held = self.positions.entry(order.account.0).or_default();
            let start_position = *held;
            *held += if order.side == Side::Buy { trade.size as i64 } else { -(trade.size as i64) };
            Party {
                account: order.account,
                order: order.order,
                client_id: order.client_id,
                size: order.size,
                remaining: order.remaining,
                fee: 0,
                fee_asset: USDC,
                closed_pnl: 0,
                start_position,
            }
        };
        let (maker, taker_side) = (party(&maker), taker.side);
        let taker = party(taker);
        let Trade { price, size, .. } = *trade;
        self.events.push(Event::Filled(Fill {
            market: MARKET,
            trade: number,
            taker_side,
            price,
            size,
            notional: i128::from(price) * i128::from(size),
            maker,
            taker,
        }));
    }

    fn end(&mut self, account: AccountId, slot: u32, reason: CancelReason) -> OrderId {
        let mut order = self.listed.remove(&(account.0, slot)).unwrap().order;
        order.remaining = self.book.cancel(order.order).unwrap();
        self.events.push(Event::Cancelled { order, reason });
        order.order
    }

    fn modify(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        r: &OrderRequest,
    ) -> Result<Outcome, RejectCode> {
        let slot = self.find(account, target)?;
        let named = self.listed[&(account.0, slot)].order.client_id;
        assert!(r.client_id.is_some() && r.client_id != named, "a new order has a name of its own");
        if let Some(code) = self.refused(account, r, Some(slot)) {
            return Err(code);
        }
        let old = self.end(account, slot, CancelReason::Modified);
        let placed = self.place(account, r);
        self.events.push(Event::Modified { old, new: placed.order });
        Ok(Outcome::Placed(placed))
    }
}
