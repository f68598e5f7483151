//! Which shard executes which command: parts that share no market and no caller, spread evenly.

use crate::by_account::ByAccount;
use crate::command::{Command, OrderRequest, OrderSelector};
use crate::exchange::Exchange;
use crate::ids::{AccountId, MarketId};
use crate::objects::{
    BookId, ChunkKey, ClientKey, LevelKey, MarketKey, OrderFlags, OrderPage, OrderRef, State,
};
use alloc::vec::Vec;
use atoll_state::Resident;

/// Most shards.
pub(super) const SHARDS_MAX: usize = 64;
/// How many commands ahead of the one that is planned the memory is asked for its order.
const ORDERS_AHEAD: usize = 8;

/// What a command is about.
enum About {
    Market(MarketId),
    /// A market, and the queue of what is due, which all markets share.
    Timed(MarketId),
    /// Nothing there is; to be refused.
    Nothing,
}

/// Groups of markets that callers tie together, and their shards.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By market, the queue last: one of the same group, which is nearer to the one that stands for
    /// it; that one names itself.
    group: Vec<u16>,
    /// Of who stands for a group: how many commands, then which shard.
    weight: Vec<u32>,
    /// One market of each caller, and of each maker who is expected.
    callers: ByAccount<u16>,
    /// One market of each command, then its shard.
    of: Vec<u16>,
    /// Commands by shard.
    loads: Vec<u32>,
    order: Vec<u16>,
    /// The shard that each market was at last: its book is in that core's cache.
    homes: Vec<u16>,
}

impl Plan {
    /// Plans the first of these commands, up to one that no shard can execute; gives how many.
    pub(super) fn make(
        &mut self,
        exchange: &Exchange<Resident>,
        commands: &[(AccountId, Command)],
        shards: usize,
    ) -> usize {
        let markets = exchange.rules.markets.len() as u16;
        self.group.clear();
        self.group.extend(0..=markets);
        self.weight.clear();
        self.weight.resize(usize::from(markets) + 1, 0);
        self.callers.clear();
        self.of.clear();
        for (n, (caller, command)) in commands.iter().enumerate() {
            foresee(&exchange.state, commands, n);
            let (market, timed) = match about(exchange, *caller, command) {
                Some(About::Market(market)) => (market.0, false),
                Some(About::Timed(market)) => (market.0, true),
                Some(About::Nothing) => ((caller.0 % u32::from(markets.max(1))) as u16, false),
                None => break,
            };
            if market >= markets {
                // Refused before anything else is looked at.
                self.of.push(0);
                self.weight[0] += 1;
                continue;
            }
            let first = *self.callers.get_or_insert(*caller, market);
            self.join(first, market);
            if timed {
                self.join(market, markets);
            }
            if let Some(maker) = maker(&exchange.state, command) {
                let first = *self.callers.get_or_insert(maker, market);
                self.join(first, market);
            }
            self.weight[usize::from(market)] += 1;
            self.of.push(market);
        }
        self.spread(shards);
        self.of.len()
    }

    fn root(&mut self, mut market: u16) -> u16 {
        loop {
            let next = self.group[usize::from(market)];
            if next == market {
                return market;
            }
            let after = self.group[usize::from(next)];
            self.group[usize::from(market)] = after;
            market = after;
        }
    }

    fn join(&mut self, a: u16, b: u16) {
        if a != b {
            let (a, b) = (self.root(a), self.root(b));
            self.group[usize::from(a.max(b))] = a.min(b);
        }
    }

    /// Gives the largest group to its shard of before, or, if that has its part, to the one that has
    /// the least; and so on.
    fn spread(&mut self, shards: usize) {
        for market in (0..self.group.len() as u16).rev() {
            let root = self.root(market);
            if root != market {
                let weight = core::mem::take(&mut self.weight[usize::from(market)]);
                self.weight[usize::from(root)] += weight;
            }
        }
        self.homes.resize(self.group.len(), 0);
        self.order.clear();
        self.order.extend(0..self.group.len() as u16);
        let Self { order, weight, loads, homes, .. } = self;
        order.retain(|market| weight[usize::from(*market)] > 0);
        order.sort_unstable_by_key(|market| core::cmp::Reverse(weight[usize::from(*market)]));
        loads.clear();
        loads.resize(shards, 0);
        let part = self.of.len().div_ceil(shards) as u32;
        for market in order {
            let weight = &mut weight[usize::from(*market)];
            let home = usize::from(homes[usize::from(*market)]);
            let shard = if home < shards && loads[home] + *weight <= part + part / 16 {
                home
            } else {
                let least = loads.iter().enumerate().min_by_key(|(_, load)| **load);
                least.map_or(0, |(shard, _)| shard)
            };
            loads[shard] += *weight;
            *weight = shard as u32;
        }
        for n in 0..self.of.len() {
            let market = self.of[n];
            let root = self.root(market);
            let shard = self.weight[usize::from(root)] as u16;
            self.homes[usize::from(market)] = shard;
            self.of[n] = shard;
        }
    }

    /// Whether more than one shard has something to do.
    pub(super) fn is_split(&self) -> bool {
        self.loads.iter().filter(|load| **load > 0).count() > 1
    }

    /// The shard of each command.
    pub(super) fn shards(&self) -> impl Iterator<Item = usize> {
        self.of.iter().map(|shard| usize::from(*shard))
    }
}

/// What a command is about; none if that is more than one market, or not known before it runs.
fn about(exchange: &Exchange<Resident>, caller: AccountId, command: &Command) -> Option<About> {
    let placed = |order: &OrderRequest| match order.expires_us {
        0 => About::Market(order.market),
        _ => About::Timed(order.market),
    };
    Some(match command {
        Command::Place(order) => placed(order),
        Command::PlaceMarket(order) => About::Market(order.market),
        Command::Cancel(target) => match found(&exchange.state, caller, target) {
            Some(order) => held(order),
            None => About::Nothing,
        },
        Command::Modify { target, order } => match found(&exchange.state, caller, target) {
            Some(old) if old.market != order.market => return None,
            Some(old) => match (held(old), placed(order)) {
                (About::Market(market), About::Market(_)) => About::Market(market),
                _ => About::Timed(order.market),
            },
            None => placed(order),
        },
        _ => return None,
    })
}

fn held(order: &OrderRef) -> About {
    let timed = !order.flags.is_plain() || order.flags.has(OrderFlags::EXPIRES);
    if timed { About::Timed(order.market) } else { About::Market(order.market) }
}

/// Whose order a taker will meet first, as the book is before the batch.
fn maker(state: &State<Resident>, command: &Command) -> Option<AccountId> {
    let (market, side, limit) = match command {
        Command::Place(order) | Command::Modify { order, .. } => {
            (order.market, order.side, Some(order.price))
        }
        Command::PlaceMarket(order) => (order.market, order.side, None),
        _ => return None,
    };
    let price = state.tops.peek(&MarketKey(market))?.best(side.opposite())?;
    if limit.is_some_and(|limit| !side.crosses(limit, price)) {
        return None;
    }
    let book = BookId::new(market, side.opposite());
    let chunk = state.levels.peek(&LevelKey { book, price })?.head.checked_sub(1)?;
    let chunk = state.chunks.peek(&ChunkKey { book, price, chunk })?;
    Some(chunk.get(chunk.first()?)?.account)
}

/// The open order that is meant, if there is one.
fn found<'a>(
    state: &'a State<Resident>,
    caller: AccountId,
    target: &OrderSelector,
) -> Option<&'a OrderRef> {
    let order = match target {
        OrderSelector::Order(order) => *order,
        OrderSelector::Client(client_id) => {
            state.clients.peek(&ClientKey { account: caller, client_id: *client_id })?.order
        }
    };
    let (key, place) = OrderPage::of(caller, order.slot());
    state.orders.peek(&key)?.get(place, order)
}

/// Asks the memory for the orders that the next commands name.
#[inline]
fn foresee(state: &State<Resident>, commands: &[(AccountId, Command)], n: usize) {
    let key = |n: usize| match commands.get(n) {
        Some((
            caller,
            Command::Cancel(OrderSelector::Order(order))
            | Command::Modify { target: OrderSelector::Order(order), .. },
        )) => Some(OrderPage::of(*caller, order.slot()).0),
        _ => None,
    };
    if let Some(key) = key(n + 2 * ORDERS_AHEAD) {
        state.orders.foresee(&key);
    }
    if let Some(key) = key(n + ORDERS_AHEAD) {
        state.orders.prefetch(&key);
    }
}
