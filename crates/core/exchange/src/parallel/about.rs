//! What commands are about, as far as the state before their batch tells: found out in parallel, as
//! the time goes into waiting for memory.

use crate::command::{Command, OrderRequest, OrderSelector};
use crate::exchange::Exchange;
use crate::ids::{AccountId, MarketId, Price, Side, Size};
use crate::objects::{
    BookId, ChunkKey, ClientKey, LevelKey, MarketKey, OrderPage, OrderRef, State,
};
use alloc::vec::Vec;
use atoll_state::{Resident, Workers};

/// How many commands ahead of the one that is looked at the memory is asked for its order.
const ORDERS_AHEAD: usize = 8;
/// How many of the accounts that a taker will meet are looked up.
const MAKERS: usize = 8;
/// Fewer commands than this are not worth a worker.
const SHARE_MIN: usize = 64;

/// Where a command is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Between batches: it is about more than one market, or that is not known before.
    #[default]
    Between,
    /// With those of a market.
    Market(MarketId),
    /// With the caller's others. It names an order that is not there yet, or at all.
    Caller,
}

/// What a command is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    pub(super) place: Place,
    /// Whether it may change the queue of what is due, which all markets share.
    pub(super) timed: bool,
    makers: [AccountId; MAKERS],
    met: u8,
}

impl About {
    /// Whose orders it will meet first.
    pub(super) fn makers(&self) -> &[AccountId] {
        &self.makers[..usize::from(self.met)]
    }
}

/// A worker's share of the commands.
struct Share<'a> {
    from: usize,
    about: &'a mut [About],
}

/// Finds out what each command is about.
pub(super) fn look_up(
    exchange: &Exchange<Resident>,
    commands: &[(AccountId, Command)],
    workers: &mut impl Workers,
    shares: usize,
    about: &mut Vec<About>,
) {
    about.clear();
    about.resize(commands.len(), About::default());
    let share = commands.len().div_ceil(shares.max(1)).max(SHARE_MIN);
    let shares = about.chunks_mut(share).enumerate();
    let mut shares: Vec<_> = shares.map(|(n, about)| Share { from: n * share, about }).collect();
    workers.each(&mut shares, &|_, share: &mut Share<'_>| {
        let commands = &commands[share.from..][..share.about.len()];
        for (n, (caller, command)) in commands.iter().enumerate() {
            foresee(&exchange.state, commands, n);
            share.about[n] = of(&exchange.state, *caller, command);
            if share.about[n].place == Place::Between {
                // The batch ends before it.
                return;
            }
        }
    });
}

fn of(state: &State<Resident>, caller: AccountId, command: &Command) -> About {
    let about = |place, timed| About { place, timed, ..About::default() };
    let placed = |order: &OrderRequest| {
        let about = about(Place::Market(order.market), order.expires_us != 0);
        with_makers(state, about, order.market, order.side, Some(order.price), order.size)
    };
    // Whatever an order has beside its place in the book is due at some time.
    let timed = |order: &OrderRef| !order.flags.is_plain();
    match command {
        Command::Place(order) => placed(order),
        Command::PlaceMarket(order) => {
            let about = about(Place::Market(order.market), false);
            with_makers(state, about, order.market, order.side, None, order.size)
        }
        Command::Cancel(target) => match found(state, caller, target) {
            Some(order) => about(Place::Market(order.market), timed(order)),
            None => about(Place::Caller, false),
        },
        Command::Modify { target, order } => match found(state, caller, target) {
            Some(old) if old.market != order.market => About::default(),
            Some(old) => {
                let about = placed(order);
                About { timed: about.timed || timed(old), ..about }
            }
            None => placed(order),
        },
        _ => About::default(),
    }
}

/// Adds whose orders a taker will meet first, as the book is before the batch: until its size is
/// filled, and one more, as takers before it may have met the first.
fn with_makers(
    state: &State<Resident>,
    mut about: About,
    market: MarketId,
    side: Side,
    limit: Option<Price>,
    size: Size,
) -> About {
    let side_met = side.opposite();
    let book = BookId::new(market, side_met);
    let mut best = state.tops.peek(&MarketKey(market)).and_then(|top| top.best(side_met));
    let mut left = Some(size);
    while let Some(price) = best
        && limit.is_none_or(|limit| side.crosses(limit, price))
    {
        let head = state.levels.peek(&LevelKey { book, price }).map_or(0, |level| level.head);
        let mut next = head.checked_sub(1);
        while let Some(chunk) =
            next.and_then(|chunk| state.chunks.peek(&ChunkKey { book, price, chunk }))
        {
            for (_, order) in chunk.iter() {
                about.makers[usize::from(about.met)] = order.account;
                about.met += 1;
                if left.is_none() || usize::from(about.met) == MAKERS {
                    return about;
                }
                left = left.and_then(|left| left.checked_sub(order.size)).filter(|left| *left > 0);
            }
            next = chunk.next.checked_sub(1);
        }
        best = book.peek_behind(&state.pages, side_met, price);
    }
    about
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
