//! Audits of a node and of tests: money is conserved, and the state agrees with itself.

mod conditional;
mod estates;

use crate::engine::{is_crossed, trades};
use crate::exchange::Exchange;
use crate::ids::{AccountId, Amount, AssetId, MarketId, MarketStatus, PPM, Side, Size};
use crate::objects::{
    BookId, ChunkKey, EstateKey, Imposed, LevelKey, MarketKey, OrderChunk, OrderExtra, OrderFlags,
    OrderPage, OrderRef, Position, PositionGroup,
};
use crate::rules::ProductRules;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::Source;

/// The money of one asset: `owed = held` is the law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetConservation {
    /// The asset.
    pub asset: AssetId,
    /// Deposits + inbound − withdrawals − outbound.
    pub owed: Amount,
    /// Balances less cost bases, bonds, fees, insurance, the rounding ledger and funding on its way.
    pub held: Amount,
    /// Whether the two are equal.
    pub holds: bool,
}

/// The outcome of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conservation {
    /// By asset.
    pub assets: Vec<AssetConservation>,
    /// Markets whose positions do not sum to zero, with the sum in lots.
    pub unbalanced: Vec<(MarketId, i128)>,
    /// Assets whose funding still to be paid is not what the ledger says, with both × 10⁹.
    pub funding: Vec<(AssetId, i128, i128)>,
}

impl Conservation {
    /// Whether all money is conserved.
    pub fn holds(&self) -> bool {
        self.unbalanced.is_empty()
            && self.funding.is_empty()
            && self.assets.iter().all(|asset| asset.holds)
    }
}

impl<S: Source> Exchange<S> {
    /// Sums up all money. Walks all accounts.
    pub fn audit(&self) -> Conservation {
        let assets = &self.rules.spec().assets;
        let mut held: Vec<Amount> = assets.iter().map(|_| 0).collect();
        let mut owed = held.clone();
        let collateral = usize::from(self.rules.spec().collateral.0);
        for (_, account) in self.state.accounts.local_iter() {
            held[collateral] += account.collateral;
        }
        for (key, balance) in self.state.balances.local_iter() {
            held[usize::from(key.asset.0)] += balance.total;
        }
        for (_, listed) in self.state.listings.local_iter() {
            held[collateral] += listed.0.as_ref().map_or(0, |of| Amount::from(of.listing.bond));
        }
        for (_, holdings) in self.state.holdings.local_iter() {
            for holding in holdings.list() {
                held[usize::from(holding.asset.0)] += holding.amount;
            }
        }
        let mut sizes: BTreeMap<MarketId, i128> = BTreeMap::new();
        // What positions have still to pay for funding, × 10⁹; the sum wraps where no sum of real
        // positions comes.
        let mut due: Vec<i128> = assets.iter().map(|_| 0).collect();
        for (_, market, position) in self.all_positions() {
            let Some(rules) = self.rules.market(market) else { continue };
            held[usize::from(rules.quote.0)] -= position.cost;
            *sizes.entry(market).or_default() += i128::from(position.size);
            let change = self.peek_prices(market).margin().funding - position.funding;
            let owed = i128::from(position.size).wrapping_mul(change);
            due[usize::from(rules.quote.0)] = due[usize::from(rules.quote.0)].wrapping_add(owed);
        }
        for (key, isolated) in self.state.isolated.local_iter() {
            let owner = self.peek_owner(key.account);
            let market = owner.and_then(|owner| owner.markets().get(usize::from(key.slot)));
            let rules = market.and_then(|market| self.rules.market(*market));
            held[rules.map_or(collateral, |rules| usize::from(rules.quote.0))] += isolated.margin;
        }
        let mut funding = Vec::new();
        for (key, settlement) in self.state.settlements.local_iter() {
            let quote = self.rules.market(key.0).map_or(collateral, |r| usize::from(r.quote.0));
            held[quote] -= settlement.cost;
            *sizes.entry(key.0).or_default() += settlement.size;
        }
        for (key, estate) in self.state.estates.local_iter() {
            let market = MarketId((key.0.0 >> 1) as u16);
            let Some(rules) = self.rules.market(market) else { continue };
            let quote = usize::from(rules.quote.0);
            held[quote] -= estate.cost;
            *sizes.entry(market).or_default() += i128::from(estate.size);
            let change = self.peek_prices(market).funding - estate.funding;
            due[quote] = due[quote].wrapping_add(i128::from(estate.size).wrapping_mul(change));
        }
        for (key, ledger) in self.state.ledgers.local_iter() {
            let asset = usize::from(key.0.0);
            held[asset] += ledger.fees + ledger.rounding + ledger.insurance + ledger.funding;
            held[asset] -= ledger.shortfall;
            let booked = ledger.funding.wrapping_mul(crate::margin::funding::FUNDING_SCALE);
            let expected = i128::from(ledger.funding_dust).wrapping_sub(booked);
            if due[asset] != expected {
                funding.push((key.0, due[asset], expected));
            }
            owed[asset] += ledger.balance();
        }
        let pairs = owed.into_iter().zip(held).enumerate();
        let assets = pairs.map(|(asset, (owed, held))| AssetConservation {
            asset: AssetId(asset as u16),
            owed,
            held,
            holds: owed == held,
        });
        Conservation {
            assets: assets.collect(),
            unbalanced: sizes.into_iter().filter(|(_, sum)| *sum != 0).collect(),
            funding,
        }
    }

    pub(crate) fn all_positions(&self) -> impl Iterator<Item = (AccountId, MarketId, &Position)> {
        let slots = PositionGroup::SLOTS as usize;
        self.state.positions.local_iter().flat_map(move |(key, group)| {
            let owner = self.peek_owner(key.account);
            group.0.iter().enumerate().filter_map(move |(place, position)| {
                let slot = usize::from(key.group) * slots + place;
                let market = owner?.markets().get(slot)?;
                Some((key.account, *market, position))
            })
        })
    }

    /// Whether books, directories, reserves and tops agree; says what does not. Walks everything.
    pub fn inconsistencies(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut listed: BTreeMap<(AccountId, u64), OrderRef> = BTreeMap::new();
        for (key, page) in self.state.orders.local_iter() {
            for order in page.iter() {
                listed.insert((key.account, order.order.0), *order);
                let (found, place) = OrderPage::of(key.account, order.order.slot());
                if found != *key || page.get(place, order.order).is_none() {
                    wrong.push(format!("order {} is in another slot than its own", order.order));
                }
            }
        }
        self.check_conditional(&mut listed, &mut wrong);
        let reserved = self.check_chunks(&mut listed, &mut wrong);
        if let Some(((account, order), _)) = listed.first_key_value() {
            wrong.push(format!("order {order} of account {account} is in no book"));
        }
        for (account, market, position) in self.all_positions() {
            let expected = reserved.get(&(account, market)).copied().unwrap_or_default();
            let found = (position.bids, position.asks, position.orders);
            let notionals = (position.bid_notional, position.ask_notional);
            if (found, notionals)
                != ((expected.0, expected.1, expected.2), (expected.3, expected.4))
            {
                wrong
                    .push(format!("reserves of {account} in {market}: {position:?}, {expected:?}"));
            }
        }
        self.check_links(&mut wrong);
        self.check_tops(&mut wrong);
        self.check_collateral(&mut wrong);
        self.check_headroom(&mut wrong);
        self.check_prices(&mut wrong);
        self.check_listings(&mut wrong);
        self.check_estates(&mut wrong);
        wrong
    }

    /// Whether statuses, scales and prices fit one another.
    fn check_prices(&self, wrong: &mut Vec<String>) {
        for rules in &self.rules.markets {
            let market = rules.market;
            let prices = self.peek_prices(market);
            let (initial, maintenance) = prices.margin_scale_ppm;
            let scaled = initial >= maintenance && maintenance >= PPM;
            let priced = (prices.mark == 0) == (prices.oracle == 0);
            if !scaled || (rules.is_perpetual() && !priced) {
                wrong.push(format!("{market}: {prices:?}"));
            }
            let called = self.state.auctions.peek(&MarketKey(market));
            let calls = matches!(prices.status, MarketStatus::Auction | MarketStatus::CancelOnly);
            if called.is_some_and(|auction| auction.until_us != 0 && !calls) {
                wrong.push(format!("{market} is {:?} during {called:?}", prices.status));
            }
            let guard = self.state.guards.peek(&MarketKey(market)).copied().unwrap_or_default();
            let imposes = guard.imposed != Imposed::No;
            if imposes && prices.status != MarketStatus::ReduceOnly {
                wrong.push(format!("{market} is {:?} under {guard:?}", prices.status));
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn check_chunks(
        &self,
        listed: &mut BTreeMap<(AccountId, u64), OrderRef>,
        wrong: &mut Vec<String>,
    ) -> BTreeMap<(AccountId, MarketId), (Size, Size, u32, Amount, Amount)> {
        let mut reserved: BTreeMap<_, (Size, Size, u32, Amount, Amount)> = BTreeMap::new();
        let mut holds: BTreeMap<(AccountId, AssetId), Amount> = BTreeMap::new();
        let mut levels: BTreeMap<(BookId, u64), (u128, u128, u32)> = BTreeMap::new();
        let mut extras = 0;
        for (key, chunk) in self.state.chunks.local_iter() {
            let market = MarketId((key.book.0 >> 1) as u16);
            let side = if key.book.0 & 1 == 0 { Side::Buy } else { Side::Sell };
            let Some(rules) = self.rules.market(market) else { continue };
            for (place, order) in chunk.iter() {
                let extra = self.peek_extra(order.order);
                let open = order.size + extra.hidden;
                let level = levels.entry((key.book, key.price)).or_default();
                level.0 += u128::from(order.size);
                level.1 += u128::from(extra.hidden);
                level.2 += 1;
                let expected = listed.remove(&(order.account, order.order.0));
                let agrees = expected.is_some_and(|o| {
                    ChunkKey::of(key.book, key.price, o.sequence) == (*key, place)
                        && (o.side, o.price, o.market) == (side, key.price, market)
                        && o.size >= open
                        && o.flags.has(OrderFlags::EXTRA) == (extra != OrderExtra::default())
                        && order.size > 0
                });
                if !agrees {
                    wrong.push(format!("resting {order:?} is listed as {expected:?}"));
                }
                extras += u32::from(extra != OrderExtra::default());
                let notional = rules.notional(key.price, open);
                let reserve = rules.reserved(key.price, open);
                match (rules.kind, side) {
                    (ProductRules::Perpetual { .. }, _) => {
                        let sums = reserved.entry((order.account, market)).or_default();
                        sums.2 += 1;
                        match (order.reduce_only, side) {
                            (true, _) => {}
                            (false, Side::Buy) => {
                                (sums.0, sums.3) = (sums.0 + open, sums.3 + reserve);
                            }
                            (false, Side::Sell) => {
                                (sums.1, sums.4) = (sums.1 + open, sums.4 + reserve);
                            }
                        }
                    }
                    (ProductRules::Spot { .. }, Side::Buy) => {
                        *holds.entry((order.account, rules.quote)).or_default() += notional;
                    }
                    (ProductRules::Spot { base, lot_units }, Side::Sell) => {
                        *holds.entry((order.account, base)).or_default() +=
                            Amount::from(lot_units) * Amount::from(open);
                    }
                }
            }
        }
        for (key, balance) in self.state.balances.local_iter() {
            let hold = holds.remove(&(key.account, key.asset)).unwrap_or(0);
            if balance.hold != hold || balance.total < hold {
                wrong.push(format!("{key:?} is {balance:?}, orders hold {hold}"));
            }
        }
        if !holds.is_empty() {
            wrong.push(format!("orders hold what is not there: {holds:?}"));
        }
        for ((book, price), expected) in levels {
            let level = self.state.levels.peek(&LevelKey { book, price });
            if level.is_none_or(|level| (level.size, level.hidden, level.count) != expected) {
                wrong.push(format!("{book:?} at {price}: {level:?}, orders {expected:?}"));
            }
        }
        let all = self.state.extras.local_iter().count();
        if all != extras as usize {
            wrong.push(format!("{all} orders have extras, {extras} of them rest"));
        }
        reserved
    }

    /// Whether no account has less headroom than the node remembers.
    fn check_headroom(&self, wrong: &mut Vec<String>) {
        for (key, _) in self.state.accounts.local_iter() {
            let margin = self.peek_margin(key.0);
            let free = (margin.equity() - margin.initial()) * Amount::from(PPM);
            if let Some(bound) = self.state.peek_room(&self.rules, key.0)
                // The requirement is rounded up.
                && bound >= free + Amount::from(PPM)
            {
                wrong.push(format!("account {} is said to have {bound} free: {margin:?}", key.0));
            }
        }
    }

    /// Whether flags say where other collateral is, and margin is where isolated positions are.
    fn check_collateral(&self, wrong: &mut Vec<String>) {
        for (key, account) in self.state.accounts.local_iter() {
            let held = self.peek_holdings(key.0);
            if account.has_holdings() == held.list().is_empty() {
                wrong.push(format!("account {} is flagged wrongly: {held:?}", key.0));
            }
            if held.list().iter().any(|holding| self.rules.pledge(holding.asset).is_none()) {
                wrong.push(format!("account {} holds what is no collateral: {held:?}", key.0));
            }
        }
        for (key, isolated) in self.state.isolated.local_iter() {
            let group = self.state.positions.peek(&crate::objects::GroupKey {
                account: key.account,
                group: key.slot / PositionGroup::SLOTS as u8,
            });
            let place = usize::from(key.slot) % PositionGroup::SLOTS as usize;
            let position = group.map(|group| group.0[place]).unwrap_or_default();
            if isolated.margin != 0 && (!position.isolated || position.size == 0) {
                wrong.push(format!("{key:?} has {isolated:?}, the position is {position:?}"));
            }
        }
    }

    /// Whether each level's chunks are linked both ways, in order, and are all there are.
    fn check_links(&self, wrong: &mut Vec<String>) {
        let mut linked = 0;
        for (key, level) in self.state.levels.local_iter() {
            let LevelKey { book, price } = *key;
            let (mut before, mut next) = (0, level.head);
            while let Some(chunk) = next.checked_sub(1) {
                let found = self.state.chunks.peek(&ChunkKey { book, price, chunk });
                let fits = |found: &&OrderChunk| {
                    !found.is_empty() && found.prev == before && (before == 0 || before < next)
                };
                let Some(found) = found.filter(fits) else {
                    wrong.push(format!("{key:?}: chunk {chunk} after {before} is {found:?}"));
                    break;
                };
                linked += 1;
                (before, next) = (next, found.next);
            }
            if before != level.tail {
                wrong.push(format!("{key:?} ends at {before}: {level:?}"));
            }
        }
        let all = self.state.chunks.local_iter().count();
        if linked != all {
            wrong.push(format!("{linked} chunks are linked, there are {all}"));
        }
    }

    fn check_tops(&self, wrong: &mut Vec<String>) {
        for rules in &self.rules.markets {
            let top = self.peek_top(rules.market);
            let mut best = [0u64; 2];
            for (key, _) in self.state.levels.local_iter() {
                match key.book {
                    id if id == BookId::new(rules.market, Side::Buy) => {
                        best[0] = best[0].max(key.price);
                    }
                    id if id == BookId::new(rules.market, Side::Sell) => {
                        best[1] = if best[1] == 0 { key.price } else { best[1].min(key.price) };
                    }
                    _ => {}
                }
            }
            let status = self.peek_prices(rules.market).status;
            let crossed = is_crossed(&top) && trades(status);
            if [top.bid, top.ask] != best || crossed {
                wrong.push(format!("{}: {top:?}, levels {best:?}", rules.market));
            }
            let long = self.all_positions().filter(|(_, market, _)| *market == rules.market);
            let long: u128 = long.map(|(_, _, p)| p.size.max(0) as u128).sum();
            let estate = EstateKey(BookId::new(rules.market, Side::Buy));
            let left = self.state.estates.peek(&estate).map_or(0, |estate| estate.size.max(0));
            let long = long + left as u128;
            if long != top.open_interest {
                wrong.push(format!("{}: {top:?}, but {long} lots are long", rules.market));
            }
        }
    }
}
