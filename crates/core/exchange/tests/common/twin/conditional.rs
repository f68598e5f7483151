//! What waits, naively: lists of triggers, ties and times, sorted anew whenever something is due.

use super::margin::notional;
use super::*;
use atoll_exchange::conditional as rules;

/// A trigger order.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub order: Order,
    armed: u64,
    due_ms: Option<u64>,
}

#[derive(Clone)]
struct Running {
    view: TwapView,
    next_ms: u64,
}

#[derive(Clone, Copy, Default)]
struct Schedule {
    at_ms: Option<u64>,
    number: u64,
    fired: Option<u64>,
    slot: u32,
    /// Day and firings on it.
    fires: (u64, u32),
}

/// A mark that was reached, and the last trigger looked at behind it.
#[derive(Clone, Copy)]
struct Reached {
    mark: u64,
    at_ms: u64,
    command: u64,
    looked: Option<(u64, u64)>,
}

#[derive(Clone, Default)]
pub(crate) struct Waits {
    pub triggers: Vec<Waiting>,
    /// Child → parent, in order of placement.
    parents: Vec<(u64, u64)>,
    /// What parents filled.
    filled: BTreeMap<u64, u64>,
    siblings: Vec<(u64, u64)>,
    attached: Vec<(AccountId, MarketId, u64)>,
    reached: BTreeMap<(u16, Direction), Reached>,
    twaps: Vec<Running>,
    schedules: BTreeMap<u32, Schedule>,
}

enum As {
    Alone,
    Child(u64),
    Attached,
}

fn trigger(order: &Order) -> Trigger {
    order.trigger.unwrap()
}

fn direction(order: &Order) -> Direction {
    match (trigger(order).kind, order.side) {
        (TriggerKind::Stop, Side::Sell) | (TriggerKind::TakeProfit, Side::Buy) => Direction::Below,
        _ => Direction::Above,
    }
}

fn is_reached(direction: Direction, mark: u64, price: u64) -> bool {
    if direction == Direction::Above { mark >= price } else { mark <= price }
}

/// Nearest first.
fn rank(direction: Direction, price: u64) -> u64 {
    if direction == Direction::Above { price } else { u64::MAX - price }
}

impl Twin {
    fn now_ms(&self) -> u64 {
        self.time_us / 1000
    }

    /// All open orders of an account, those that wait included.
    pub(super) fn mine(&self, account: AccountId) -> Vec<Order> {
        let waiting = self.waits.triggers.iter().map(|w| w.order);
        self.orders.iter().copied().chain(waiting).filter(|o| o.account == account).collect()
    }

    /// The numbers of all open orders, for tests to choose from.
    pub(crate) fn numbers(&self) -> Vec<(AccountId, OrderId)> {
        let waiting = self.waits.triggers.iter().map(|w| &w.order);
        self.orders.iter().chain(waiting).map(|o| (o.account, o.order)).collect()
    }

    pub(crate) fn twaps(&self) -> Vec<(AccountId, OrderId)> {
        self.waits.twaps.iter().map(|t| (t.view.account, t.view.twap)).collect()
    }

    pub(crate) fn time_us(&self) -> u64 {
        self.time_us
    }

    pub(super) fn free_slot(&self, account: AccountId) -> u32 {
        let mine = self.mine(account);
        (0..).find(|slot| mine.iter().all(|o| o.order.slot() != *slot)).unwrap()
    }

    pub(super) fn conditional(&mut self, account: AccountId, command: &Command) -> Reply {
        match command {
            Command::PlaceTrigger(r) => {
                self.check_trigger(r, &As::Alone)?;
                self.check_place(account, r)?;
                let number = self.commands << 12 | u64::from(self.free_slot(account));
                self.set(account, r, number, &As::Alone);
                Ok(Outcome::Waiting(OrderId(number)))
            }
            Command::ModifyTrigger { target, order } => self.replace(account, target, order),
            Command::PlaceGroup { parent, children } => {
                self.commands += 1;
                let before = self.clone();
                let grouped = self.group(account, parent, children);
                if grouped.is_err() {
                    *self = before;
                }
                grouped
            }
            Command::AttachTriggers(orders) => {
                let before = self.clone();
                let grouped = self.attach(account, orders);
                if grouped.is_err() {
                    *self = before;
                }
                grouped
            }
            Command::PlaceTwap(r) => self.place_twap(account, r),
            Command::CancelTwap(twap) => {
                let mine = |t: &Running| t.view.twap == *twap && t.view.account == account;
                let at = self.waits.twaps.iter().position(mine).ok_or(RejectCode::UnknownOrder)?;
                let twap = self.waits.twaps.remove(at).view;
                self.events.push(Event::TwapEnded { twap, reason: TwapEnd::Cancelled });
                Ok(Outcome::Done)
            }
            Command::ScheduleCancel { at_ms } => {
                let (now, number) = (self.now_ms(), self.commands);
                let schedule = self.waits.schedules.entry(account.0).or_default();
                if let Some(at) = *at_ms {
                    if at < now + 5000 || at >= 1 << 53 {
                        return Err(RejectCode::TimeOutOfRange);
                    }
                    if schedule.fires.0 == now / 86_400_000 && schedule.fires.1 >= 10 {
                        return Err(RejectCode::RateLimited);
                    }
                }
                let fires = schedule.fires;
                *schedule = Schedule { at_ms: *at_ms, number, fired: None, slot: 0, fires };
                self.events.push(Event::CancelScheduled { account, at_ms: *at_ms });
                Ok(Outcome::Done)
            }
            _ => unreachable!(),
        }
    }

    fn check_trigger(&self, r: &TriggerRequest, kind: &As) -> Result<(), RejectCode> {
        let n = usize::from(r.market.0);
        let spec = self.spec.markets.get(n).ok_or(RejectCode::UnknownMarket)?;
        let venue = &self.venues[n];
        let worth = notional(r.market, r.limit.unwrap_or(r.trigger_price), r.size);
        let up = (r.kind == TriggerKind::Stop) == (r.side == Side::Buy);
        let crossed =
            if up { venue.mark >= r.trigger_price } else { venue.mark <= r.trigger_price };
        for (wrong, code) in [
            (r.trigger_price == 0 || r.limit == Some(0), RejectCode::OffTick),
            (r.size == 0 && !matches!(kind, As::Attached), RejectCode::OffLot),
            (r.trigger_price > spec.price_max, RejectCode::Overflow),
            (r.limit.is_some_and(|limit| limit > spec.price_max), RejectCode::Overflow),
            (r.size > spec.order_size_max, RejectCode::Overflow),
            (r.reduce_only && n == 2, RejectCode::Unsupported),
            (!self.takes(n, r.reduce_only), RejectCode::MarketPaused),
            (venue.mark == 0, RejectCode::NoMark),
            (worth < spec.notional_min.into() && !r.reduce_only, RejectCode::Dust),
            (crossed && !matches!(kind, As::Child(_)), RejectCode::TriggerCrossed),
        ] {
            if wrong {
                return Err(code);
            }
        }
        Ok(())
    }

    fn check_place(&self, account: AccountId, r: &TriggerRequest) -> Result<(), RejectCode> {
        let taken = |o: &Order| o.client_id == r.client_id;
        if r.client_id.is_some() && self.mine(account).iter().any(taken) {
            return Err(RejectCode::DuplicateClientId);
        }
        if self.free_slot(account) >= self.spec.limits.orders_per_account {
            return Err(RejectCode::TooManyOrders);
        }
        Ok(())
    }

    fn set(&mut self, account: AccountId, r: &TriggerRequest, number: u64, kind: &As) {
        let open = if let As::Child(filled) = kind { r.size.min(*filled) } else { r.size };
        let waits = matches!(kind, As::Child(0));
        let order = Order {
            order: OrderId(number),
            account,
            market: r.market,
            side: r.side,
            price: r.limit.unwrap_or(r.trigger_price),
            size: r.size,
            remaining: open,
            tif: if r.limit.is_none() { Tif::Ioc } else { Tif::Gtc },
            reduce_only: r.reduce_only,
            client_id: r.client_id,
            time_us: self.time_us,
            trigger: Some(Trigger {
                price: r.trigger_price,
                kind: r.kind,
                limit: r.limit,
                state: if waits { TriggerState::Waiting } else { TriggerState::Armed },
                position: matches!(kind, As::Attached),
            }),
        };
        self.waits.triggers.push(Waiting { order, armed: self.commands, due_ms: None });
        self.events.push(Event::TriggerSet(order));
    }

    fn group(
        &mut self,
        account: AccountId,
        parent: &OrderRequest,
        children: &[Option<TriggerRequest>; 2],
    ) -> Reply {
        match parent.market.0 {
            n if usize::from(n) >= self.spec.markets.len() => {
                return Err(RejectCode::UnknownMarket);
            }
            2 => return Err(RejectCode::Unsupported),
            _ => {}
        }
        if children.iter().all(Option::is_none) {
            return Err(RejectCode::Unsupported);
        }
        for child in children.iter().flatten() {
            if child.market != parent.market {
                return Err(RejectCode::Unsupported);
            }
            if child.side == parent.side || !child.reduce_only {
                return Err(RejectCode::NotReducing);
            }
            self.check_trigger(child, &As::Child(0))?;
        }
        self.commands -= 1;
        let placed = self.place(account, parent, None)?;
        self.commands += 1;
        let mut numbers = children.map(|child| child.map(|_| OrderId(0)));
        if placed.filled > 0 || placed.resting > 0 {
            for (number, child) in numbers.iter_mut().zip(children) {
                let Some(child) = child else { continue };
                self.check_place(account, child)?;
                let own = self.commands << 12 | u64::from(self.free_slot(account));
                self.set(account, child, own, &As::Child(placed.filled));
                *number = Some(OrderId(own));
                if placed.resting > 0 {
                    self.waits.parents.push((own, placed.order.0));
                    self.waits.filled.insert(placed.order.0, placed.filled);
                }
            }
            self.pair(numbers);
        }
        let waiting = placed.filled == 0;
        Ok(Outcome::Grouped(Grouped { parent: Some(placed), children: numbers, waiting }))
    }

    fn pair(&mut self, numbers: [Option<OrderId>; 2]) {
        if let [Some(a), Some(b)] = numbers {
            self.waits.siblings.push((a.0, b.0));
        }
    }

    fn attach(&mut self, account: AccountId, orders: &[Option<TriggerRequest>; 2]) -> Reply {
        let market = orders.iter().flatten().next().ok_or(RejectCode::Unsupported)?.market;
        let held = match usize::from(market.0) {
            n if n >= self.spec.markets.len() => return Err(RejectCode::UnknownMarket),
            2 => return Err(RejectCode::Unsupported),
            n => self.owners[account.0 as usize].positions[n].size,
        };
        if held == 0 {
            return Err(RejectCode::NotReducing);
        }
        for order in orders.iter().flatten() {
            if order.market != market {
                return Err(RejectCode::Unsupported);
            }
            if !order.reduce_only || (held > 0) == (order.side == Side::Buy) {
                return Err(RejectCode::NotReducing);
            }
            self.check_trigger(order, &As::Attached)?;
        }
        let there = self.waits.attached.iter().filter(|a| (a.0, a.1) == (account, market)).count();
        if there + orders.iter().flatten().count() > 8 {
            return Err(RejectCode::TooManyOrders);
        }
        let mut numbers = [None; 2];
        for (number, order) in numbers.iter_mut().zip(orders) {
            let Some(order) = order else { continue };
            self.check_place(account, order)?;
            let own = self.commands << 12 | u64::from(self.free_slot(account));
            self.set(account, order, own, &As::Attached);
            self.waits.attached.push((account, market, own));
            *number = Some(OrderId(own));
        }
        self.pair(numbers);
        Ok(Outcome::Grouped(Grouped { parent: None, children: numbers, waiting: false }))
    }

    fn replace(&mut self, account: AccountId, target: &OrderSelector, r: &TriggerRequest) -> Reply {
        let is = |o: &&Order| match target {
            OrderSelector::Order(order) => o.order == *order,
            OrderSelector::Client(client) => o.client_id == Some(*client),
        };
        let mine = self.mine(account);
        let old = **mine.iter().find(is).as_ref().ok_or(RejectCode::UnknownOrder)?;
        if old.trigger.is_none() || (old.market, old.side) != (r.market, r.side) {
            return Err(RejectCode::Unsupported);
        }
        let parent = self.waits.parents.iter().find(|p| p.0 == old.order.0).map(|p| p.1);
        let paired = self.waits.siblings.iter().any(|s| s.0 == old.order.0 || s.1 == old.order.0);
        let attached = trigger(&old).position;
        if !r.reduce_only && (parent.is_some() || paired || attached) {
            return Err(RejectCode::NotReducing);
        }
        let kind = match parent {
            _ if attached => As::Attached,
            Some(parent) => As::Child(self.waits.filled[&parent]),
            None => As::Alone,
        };
        self.check_trigger(r, &kind)?;
        let other = |o: &&Order| o.order != old.order && o.client_id == r.client_id;
        if r.client_id.is_some() && mine.iter().any(|o| other(&o)) {
            return Err(RejectCode::DuplicateClientId);
        }
        let new = self.commands << 12 | u64::from(old.order.slot());
        let swap = |number: &mut u64| {
            if *number == old.order.0 {
                *number = new;
            }
        };
        self.waits.attached.iter_mut().for_each(|a| swap(&mut a.2));
        self.waits.parents.iter_mut().for_each(|p| swap(&mut p.0));
        self.waits.siblings.iter_mut().for_each(|(a, b)| {
            swap(a);
            swap(b);
        });
        self.waits.triggers.retain(|w| w.order.order != old.order);
        self.end_fronts();
        self.events.push(Event::Cancelled { order: old, reason: CancelReason::Modified });
        self.set(account, r, new, &kind);
        self.events.push(Event::Modified { old: old.order, new: OrderId(new) });
        Ok(Outcome::Waiting(OrderId(new)))
    }

    /// Cancels a trigger order if it is (still) there.
    pub(super) fn drop_trigger(&mut self, number: u64, reason: CancelReason) {
        let at = self.waits.triggers.iter().position(|w| w.order.order.0 == number);
        let Some(at) = at else { return };
        let order = self.waits.triggers.remove(at).order;
        self.end_fronts();
        self.waits.attached.retain(|a| a.2 != number);
        self.events.push(Event::Cancelled { order, reason });
        self.untie(number);
    }

    /// Whether an order has a parent, children or a sibling.
    pub(super) fn is_tied(&self, order: OrderId) -> bool {
        let is = |pair: &(u64, u64)| pair.0 == order.0 || pair.1 == order.0;
        self.waits.parents.iter().any(is) || self.waits.siblings.iter().any(is)
    }

    /// An order is gone.
    pub(super) fn untie(&mut self, number: u64) {
        self.waits.siblings.retain(|s| s.0 != number && s.1 != number);
        self.waits.parents.retain(|p| p.0 != number);
        let children: Vec<u64> =
            self.waits.parents.iter().filter(|p| p.1 == number).map(|p| p.0).collect();
        self.waits.parents.retain(|p| p.1 != number);
        if self.waits.filled.remove(&number) == Some(0) {
            for child in children {
                self.drop_trigger(child, CancelReason::Parent);
            }
        }
    }

    /// Two orders traded: `held` is each one's position before it.
    pub(super) fn traded(&mut self, maker: &Order, taker: &Order, size: u64, held: [i64; 2]) {
        self.tied_filled(maker.order.0, size, maker.remaining - size);
        for (order, held) in [(maker, held[0]), (taker, held[1])] {
            let change = if order.side == Side::Buy { size as i64 } else { -(size as i64) };
            if order.market != SPOT && held != 0 && (held + change).signum() != held.signum() {
                self.position_ended(order.account, order.market);
            }
        }
    }

    /// What is tied to an order that filled by so much, of which so much is left.
    pub(super) fn tied_filled(&mut self, number: u64, size: u64, left: u64) {
        if let Some(filled) = self.waits.filled.get_mut(&number) {
            *filled += size;
            let filled = *filled;
            let children: Vec<u64> =
                self.waits.parents.iter().filter(|p| p.1 == number).map(|p| p.0).collect();
            for child in children {
                let commands = self.commands;
                let found = self.waits.triggers.iter_mut().find(|w| w.order.order.0 == child);
                let found = found.unwrap();
                let open = found.order.size.min(filled);
                if open == found.order.remaining {
                    continue;
                }
                found.order.remaining = open;
                let state = &mut found.order.trigger.as_mut().unwrap().state;
                if *state == TriggerState::Waiting {
                    (*state, found.armed) = (TriggerState::Armed, commands);
                }
                self.events.push(Event::TriggerSet(found.order));
            }
        }
        self.shrink_sibling(number, size);
        if left == 0 {
            self.untie(number);
        }
    }

    /// What is attached to a position ends with it.
    pub(super) fn position_ended(&mut self, account: AccountId, market: MarketId) {
        let ends = self.waits.attached.iter().filter(|a| (a.0, a.1) == (account, market));
        let ends: Vec<u64> = ends.map(|a| a.2).collect();
        ends.into_iter().for_each(|n| self.drop_trigger(n, CancelReason::PositionClosed));
    }

    /// Whether a market takes an order that trades later.
    fn takes(&self, n: usize, reduce_only: bool) -> bool {
        match self.venues[n].status {
            MarketStatus::Open | MarketStatus::Auction | MarketStatus::PostOnly => true,
            MarketStatus::ReduceOnly => reduce_only && n != 2,
            MarketStatus::CancelOnly | MarketStatus::Halted | MarketStatus::Settled => false,
        }
    }

    fn shrink_sibling(&mut self, number: u64, by: u64) {
        let pair = self.waits.siblings.iter().find(|s| s.0 == number || s.1 == number);
        let Some(&(a, b)) = pair else { return };
        let other = if a == number { b } else { a };
        let reason = ResizeReason::Sibling;
        if let Some(found) = self.waits.triggers.iter_mut().find(|w| w.order.order.0 == other) {
            let order = &mut found.order;
            if trigger(order).position && order.size == 0 {
            } else if order.remaining <= by {
                self.drop_trigger(other, CancelReason::Sibling);
            } else {
                order.remaining -= by;
                self.events.push(Event::Resized { order: *order, reason });
            }
            return;
        }
        let found = self.orders.iter_mut().find(|o| o.order.0 == other).unwrap();
        if found.remaining <= by {
            let order = *found;
            self.drop_order(&order, CancelReason::Sibling);
        } else {
            let order = *found;
            self.lessen(&order, by, reason);
        }
    }

    fn place_twap(&mut self, account: AccountId, r: &TwapRequest) -> Reply {
        let n = usize::from(r.market.0);
        let spec = self.spec.markets.get(n).ok_or(RejectCode::UnknownMarket)?;
        let venue = &self.venues[n];
        let slices = u64::from(r.minutes) * 2;
        let running = self.waits.twaps.iter().filter(|t| t.view.account == account).count();
        let worth = || notional(r.market, venue.mark, r.size.div_ceil(slices));
        for (wrong, code) in [
            (r.size == 0, RejectCode::OffLot),
            (r.size >= 1 << 40, RejectCode::Overflow),
            (r.minutes < 5 || r.minutes > 1440, RejectCode::TimeOutOfRange),
            (r.reduce_only && n == 2, RejectCode::Unsupported),
            (!self.takes(n, r.reduce_only), RejectCode::MarketPaused),
            (venue.mark == 0, RejectCode::NoMark),
        ] {
            if wrong {
                return Err(code);
            }
        }
        if worth() < spec.notional_min.into() && !r.reduce_only {
            return Err(RejectCode::Dust);
        }
        if running >= 16 {
            return Err(RejectCode::TooManyOrders);
        }
        let twap = OrderId(self.commands << 12);
        let (time_us, request) = (self.time_us, *r);
        let view = TwapView { twap, account, request, filled: 0, notional: 0, time_us };
        self.waits.twaps.push(Running { view, next_ms: self.now_ms() });
        self.events.push(Event::TwapStarted(view));
        Ok(Outcome::Waiting(twap))
    }

    /// The end of a tick: what the marks reached becomes due, what is due happens.
    pub(super) fn work_off(&mut self) {
        let mut looks = self.spec.limits.triggers_per_tick;
        for n in 0..self.spec.markets.len() as u16 {
            for direction in [Direction::Above, Direction::Below] {
                self.reach(n, direction, &mut looks);
            }
        }
        let mut budget = self.spec.limits.due_per_tick;
        while budget > 0 {
            let triggers = self.waits.triggers.iter();
            let triggers = triggers.filter_map(|w| Some((w.due_ms?, w.order.order.0, 0)));
            let twaps = self.waits.twaps.iter().map(|t| (t.next_ms, t.view.twap.0, 1));
            let schedules = self.waits.schedules.iter();
            let schedules =
                schedules.filter_map(|(a, s)| Some((s.at_ms?, s.number << 12, 2 + *a as usize)));
            let expiries = self.orders.iter().filter_map(|o| {
                let expires_us = self.extras.get(&o.order).map(|extra| extra.0);
                Some((expires_us.filter(|at| *at != 0)?.div_ceil(1000), o.order.0, usize::MAX))
            });
            let all = triggers.chain(twaps).chain(schedules).chain(expiries);
            let first = all.map(|(at, number, what)| (at.max(1), number, what)).min();
            let Some((_, number, what)) = first.filter(|f| f.0 <= self.now_ms()) else { break };
            budget -= 1;
            match what {
                0 => self.fire(number),
                1 => self.slice(number),
                usize::MAX => {
                    let order = self.orders.iter().find(|o| o.order.0 == number).copied().unwrap();
                    self.drop_order(&order, CancelReason::Expired);
                }
                account => {
                    let mut cancels = budget + 1;
                    self.fire_schedule(AccountId(account as u32 - 2), &mut cancels);
                    budget = budget.min(cancels);
                }
            }
        }
    }

    fn reach(&mut self, n: u16, towards: Direction, looks: &mut u32) {
        let venue = &self.venues[usize::from(n)];
        let (mark, open) = (venue.mark, [MarketStatus::Open, MarketStatus::ReduceOnly]);
        if !open.contains(&venue.status) || mark == 0 {
            return;
        }
        let mut waiting: Vec<(u64, u64, u64)> = Vec::new();
        for w in &self.waits.triggers {
            let armed = trigger(&w.order).state == TriggerState::Armed;
            if armed && w.order.market.0 == n && direction(&w.order) == towards {
                let price = trigger(&w.order).price;
                waiting.push((rank(towards, price), w.order.order.0, price));
            }
        }
        waiting.sort();
        let key = (n, towards);
        let fresh = match self.waits.reached.get(&key) {
            Some(before) => mark != before.mark && is_reached(towards, mark, before.mark),
            None => waiting.iter().any(|w| is_reached(towards, mark, w.2)),
        };
        if fresh {
            let (at_ms, command) = (self.now_ms(), self.commands);
            self.waits.reached.insert(key, Reached { mark, at_ms, command, looked: None });
        }
        let Some(mut reached) = self.waits.reached.remove(&key) else { return };
        for (rank, number, price) in waiting {
            if !is_reached(towards, reached.mark, price)
                || reached.looked.is_some_and(|looked| (rank, number) <= looked)
            {
                continue;
            }
            if *looks == 0 {
                self.waits.reached.insert(key, reached);
                return;
            }
            *looks -= 1;
            reached.looked = Some((rank, number));
            let found = self.waits.triggers.iter_mut().find(|w| w.order.order.0 == number);
            let found = found.unwrap();
            if found.armed < reached.command {
                found.order.trigger.as_mut().unwrap().state = TriggerState::Due;
                found.due_ms = Some(reached.at_ms);
            }
        }
    }

    /// A front with nothing armed in its direction ends.
    fn end_fronts(&mut self) {
        let triggers = &self.waits.triggers;
        self.waits.reached.retain(|(market, towards), _| {
            triggers.iter().any(|w| {
                let armed = trigger(&w.order).state == TriggerState::Armed;
                armed && w.order.market.0 == *market && direction(&w.order) == *towards
            })
        });
    }

    fn slipped(&self, n: usize, side: Side, ppm: u64) -> u64 {
        let spec = &self.spec.markets[n];
        let (mark, oracle) = (self.venues[n].mark, self.venues[n].oracle);
        let near = if oracle == 0 { mark } else { oracle };
        let band = near * u64::from(spec.price_band_ppm) / 1_000_000;
        let off = mark * ppm / 1_000_000;
        match side {
            Side::Buy => spec.price_max.min(mark + off).min(near + band),
            Side::Sell => (mark - off).max(1).max(near - band.min(near)),
        }
    }

    fn fire(&mut self, number: u64) {
        if let Some(parent) = self.waits.parents.iter().find(|p| p.0 == number).map(|p| p.1) {
            let parent = *self.orders.iter().find(|o| o.order.0 == parent).unwrap();
            self.drop_order(&parent, CancelReason::ChildFired);
        }
        let at = self.waits.triggers.iter().position(|w| w.order.order.0 == number).unwrap();
        let mut order = self.waits.triggers.remove(at).order;
        self.waits.attached.retain(|a| a.2 != number);
        let n = usize::from(order.market.0);
        if trigger(&order).position && order.size == 0 {
            order.remaining = self.reducible(&order);
        }
        order.remaining = order.remaining.min(self.spec.markets[n].order_size_max);
        self.events.push(Event::TriggerFired(order));
        let limit = trigger(&order).limit;
        let slippage = rules::TRIGGER_SLIPPAGE_PPM.into();
        let request = OrderRequest {
            market: order.market,
            side: order.side,
            price: limit.unwrap_or_else(|| self.slipped(n, order.side, slippage)),
            size: order.remaining,
            tif: if limit.is_some() { Tif::Gtc } else { Tif::Ioc },
            reduce_only: order.reduce_only,
            client_id: order.client_id,
            ..OrderRequest::default()
        };
        match self.place(order.account, &request, Some(number)) {
            Ok(placed) => {
                if placed.filled > 0 {
                    self.shrink_sibling(number, placed.filled);
                }
                if placed.resting == 0 {
                    self.untie(number);
                }
            }
            Err(code) => {
                self.events.push(Event::TriggerRefused { order, code });
                self.untie(number);
            }
        }
    }

    fn slice(&mut self, number: u64) {
        let at = self.waits.twaps.iter().position(|t| t.view.twap.0 == number).unwrap();
        let Running { mut view, .. } = self.waits.twaps[at].clone();
        let r = view.request;
        let n = usize::from(r.market.0);
        let slices = u64::from(r.minutes) * 2;
        let begun = view.time_us / 1000;
        let due = slices.min((self.now_ms() - begun) / 30_000 + 1);
        let behind = u128::from(r.size) * u128::from(due) / u128::from(slices);
        let behind = (behind as u64).saturating_sub(view.filled);
        let most = 3 * r.size.div_ceil(slices);
        let size = behind.min(most).min(self.spec.markets[n].order_size_max);
        if size > 0 {
            self.commands += 1;
            let request = OrderRequest {
                market: r.market,
                side: r.side,
                price: self.slipped(n, r.side, 30_000),
                size,
                tif: Tif::Ioc,
                reduce_only: r.reduce_only,
                ..OrderRequest::default()
            };
            let placed = self.place(view.account, &request, None);
            if let Ok(placed) = placed {
                view.filled += placed.filled;
                view.notional += placed.notional;
            }
            self.events.push(Event::TwapSlice { twap: view, size, refused: placed.err() });
        }
        let reason = match () {
            () if view.filled == r.size => Some(TwapEnd::Filled),
            () if due == slices => Some(TwapEnd::Elapsed),
            () => None,
        };
        match reason {
            Some(reason) => {
                self.waits.twaps.remove(at);
                self.events.push(Event::TwapEnded { twap: view, reason });
            }
            None => self.waits.twaps[at] = Running { view, next_ms: begun + due * 30_000 },
        }
    }

    fn fire_schedule(&mut self, account: AccountId, budget: &mut u32) {
        let mut schedule = self.waits.schedules[&account.0];
        let (day, command) = (self.now_ms() / 86_400_000, self.commands);
        let fired = *schedule.fired.get_or_insert_with(|| {
            let same = schedule.fires.0 == day;
            schedule.fires = (day, if same { schedule.fires.1 + 1 } else { 1 });
            command
        });
        let mut mine = self.mine(account);
        mine.sort_by_key(|o| o.order.slot());
        mine.retain(|o| o.order.0 >> 12 < fired && o.order.slot() >= schedule.slot);
        for order in mine {
            if self.mine(account).iter().all(|o| o.order != order.order) {
                continue;
            }
            if *budget == 0 {
                schedule.slot = order.order.slot();
                self.waits.schedules.insert(account.0, schedule);
                return;
            }
            *budget -= 1;
            self.drop_any(&order, CancelReason::Scheduled);
        }
        let fires = schedule.fires;
        self.waits.schedules.insert(account.0, Schedule { fires, ..Schedule::default() });
        self.events.push(Event::ScheduleDone { account });
    }

    /// Cancels an order in a book or one that waits.
    pub(super) fn drop_any(&mut self, order: &Order, reason: CancelReason) {
        match order.trigger {
            Some(_) => self.drop_trigger(order.order.0, reason),
            None => self.drop_order(order, reason),
        }
    }
}
