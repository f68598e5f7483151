//! Whether what waits agrees with itself: directories, triggers, their index, ties, the due queue,
//! TWAPs and schedules.

use crate::conditional::{Direction, TriggerState};
use crate::exchange::Exchange;
use crate::ids::{AccountId, MarketId, OrderId, Side};
use crate::objects::conditional::{DUE_TIMES, due_at, trigger_prices, triggers_at};
use crate::objects::{DueKind, OrderFlags, OrderRef, holders};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::Encode;

type Listed = BTreeMap<u64, (AccountId, OrderRef)>;

impl<S: Source> Exchange<S> {
    /// Checks all that waits; takes trigger orders out of `listed`.
    pub(super) fn check_conditional(
        &self,
        listed: &mut BTreeMap<(AccountId, u64), OrderRef>,
        wrong: &mut Vec<String>,
    ) {
        let all: Listed = listed.iter().map(|((a, o), l)| (*o, (*a, *l))).collect();
        listed.retain(|_, order| !order.flags.has(OrderFlags::TRIGGER));
        let mut sets: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        self.check_triggers(&all, &mut sets, wrong);
        self.check_due(&all, &mut sets, wrong);
        for (account, market, position) in self.all_positions().filter(|(.., p)| p.size != 0) {
            let side = if position.size > 0 { Side::Buy } else { Side::Sell };
            let set = holders(market, side).0;
            sets.entry(set).or_default().insert(u64::from(account.0));
        }
        self.check_sets(&sets, wrong);
        self.check_ties(&all, wrong);
        self.check_attached(&all, wrong);
    }

    fn check_triggers(
        &self,
        all: &Listed,
        sets: &mut BTreeMap<u64, BTreeSet<u64>>,
        wrong: &mut Vec<String>,
    ) {
        let waiting = all.values().filter(|(_, l)| l.flags.has(OrderFlags::TRIGGER)).count();
        let mut nearest: BTreeMap<(MarketId, Direction), u64> = BTreeMap::new();
        let mut found = 0;
        for (key, trigger) in self.state.triggers.local_iter() {
            let Some((account, listed)) = all.get(&key.0.0) else {
                wrong.push(format!("trigger {} is not listed", key.0));
                continue;
            };
            found += 1;
            let state = trigger.trigger.state;
            let sized = match state {
                TriggerState::Waiting => trigger.open == 0,
                _ if trigger.trigger.position && listed.size == 0 => trigger.open == 0,
                _ => trigger.open > 0 && trigger.open <= listed.size,
            };
            if *account != trigger.account || !listed.flags.has(OrderFlags::TRIGGER) || !sized {
                wrong.push(format!("trigger {trigger:?} is listed as {listed:?}"));
            }
            if state == TriggerState::Armed {
                let direction = trigger.trigger.kind.direction(listed.side);
                let (market, price) = (listed.market, trigger.trigger.price);
                sets.entry(triggers_at(market, direction, price).0).or_default().insert(key.0.0);
                sets.entry(trigger_prices(market, direction).0).or_default().insert(price);
                let near = nearest.entry((market, direction)).or_insert(price);
                if direction.reached(*near, price) {
                    *near = price;
                }
            }
        }
        if found != waiting {
            wrong.push(format!("{waiting} triggers are listed, there are {found}"));
        }
        for rules in &self.rules.markets {
            let key = crate::objects::MarketKey(rules.market);
            let top = self.state.trigger_tops.peek(&key).copied().unwrap_or_default();
            let of = |direction| nearest.get(&(rules.market, direction)).copied().unwrap_or(0);
            if top.nearest != Direction::ALL.map(of) {
                wrong.push(format!("{}: {top:?}, but triggers at {nearest:?}", rules.market));
            }
        }
    }

    fn check_due(
        &self,
        all: &Listed,
        sets: &mut BTreeMap<u64, BTreeSet<u64>>,
        wrong: &mut Vec<String>,
    ) {
        let mut kinds: BTreeMap<u64, DueKind> = BTreeMap::new();
        let mut next_ms = 0;
        for (key, entry) in self.state.due.local_iter() {
            let number = key.0;
            kinds.insert(number.0, entry.kind);
            sets.entry(due_at(entry.at_ms).0).or_default().insert(number.0);
            sets.entry(DUE_TIMES.0).or_default().insert(entry.at_ms);
            next_ms = if next_ms == 0 { entry.at_ms } else { entry.at_ms.min(next_ms) };
            let order = all.get(&number.0).filter(|(account, _)| *account == entry.account);
            let flagged = |flag| order.is_some_and(|(_, listed)| listed.flags.has(flag));
            let account = crate::objects::AccountKey(entry.account);
            let there = match entry.kind {
                DueKind::Expire => flagged(OrderFlags::EXPIRES),
                DueKind::Trigger => {
                    let found = self.state.triggers.peek(key);
                    found.is_some_and(|found| found.trigger.state == TriggerState::Due)
                }
                DueKind::Slice => {
                    let list = self.state.twap_lists.peek(&account);
                    self.state.twaps.peek(key).is_some_and(|twap| twap.account == entry.account)
                        && list.is_some_and(|list| list.0.contains(&number))
                }
                DueKind::Cancel => {
                    self.state.schedules.peek(&account).is_some_and(|s| s.entry == number)
                }
            };
            if !there {
                wrong.push(format!("{number} is due as {entry:?}, but is not there"));
            }
        }
        let head = self.state.due_head.peek(&crate::objects::GlobalKey).copied();
        if head.unwrap_or_default().next_ms != next_ms {
            wrong.push(format!("{head:?}, but {next_ms} is next"));
        }
        let armed = |t: &&crate::objects::TriggerOrder| t.trigger.state == TriggerState::Armed;
        let armed = self.state.triggers.local_iter().map(|(_, t)| t).filter(armed).count();
        if head.unwrap_or_default().armed != armed as u64 {
            wrong.push(format!("{head:?}, but {armed} triggers are armed"));
        }
        let mut expected: BTreeMap<u64, DueKind> = BTreeMap::new();
        for (order, (_, listed)) in all {
            let found = self.state.triggers.peek(&crate::objects::OrderKey(OrderId(*order)));
            if listed.flags.has(OrderFlags::EXPIRES) {
                expected.insert(*order, DueKind::Expire);
            }
            if found.is_some_and(|found| found.trigger.state == TriggerState::Due) {
                expected.insert(*order, DueKind::Trigger);
            }
        }
        expected.extend(self.state.twaps.local_iter().map(|(key, _)| (key.0.0, DueKind::Slice)));
        let schedules = self.state.schedules.local_iter().filter(|(_, s)| s.entry.0 != 0);
        expected.extend(schedules.map(|(_, s)| (s.entry.0, DueKind::Cancel)));
        if kinds != expected {
            wrong.push(format!("due are {kinds:?}, expected {expected:?}"));
        }
        let listed = self.state.twap_lists.local_iter().map(|(_, list)| list.0.len());
        if listed.sum::<usize>() != self.state.twaps.local_iter().count() {
            wrong.push(String::from("lists of TWAPs and TWAPs differ"));
        }
    }

    /// Whether the lowest pages hold exactly these members.
    fn check_sets(&self, sets: &BTreeMap<u64, BTreeSet<u64>>, wrong: &mut Vec<String>) {
        let mut found: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (key, page) in self.state.pages.local_iter() {
            if key.level != 0 || key.set >> 60 == 0 || self.is_ranking(key.set) {
                continue;
            }
            let bytes = page.to_bytes();
            let mut words = bytes[1..].chunks_exact(8);
            for word in (0..4u64).filter(|word| bytes[0] >> word & 1 == 1) {
                let bits = words.next().map_or(0, |w| {
                    w.iter().rev().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte))
                });
                let members = (0..64).filter(|bit| bits >> bit & 1 == 1);
                let members = members.map(|bit| key.prefix << 8 | word << 6 | bit);
                found.entry(key.set).or_default().extend(members);
            }
        }
        if found != *sets {
            wrong.push(format!("sets are {found:?}, expected {sets:?}"));
        }
    }

    fn check_ties(&self, all: &Listed, wrong: &mut Vec<String>) {
        let links: BTreeMap<u64, _> =
            self.state.links.local_iter().map(|(key, link)| (key.0.0, *link)).collect();
        for (order, link) in &links {
            let at = |other: OrderId| links.get(&other.0).copied().unwrap_or_default();
            let mine = |other: OrderId| other.0 == 0 || other.0 == *order;
            let children = link.children.iter().all(|c| c.0 == 0 || mine(at(*c).parent));
            let parent =
                link.parent.0 == 0 || at(link.parent).children.iter().any(|c| c.0 == *order);
            let sibling = link.sibling.0 == 0 || at(link.sibling).sibling.0 == *order;
            let listed = all.get(order).is_some_and(|(_, l)| l.flags.has(OrderFlags::LINKED));
            if !(children && parent && sibling && listed) || link.is_loose() {
                wrong.push(format!("{order} is tied by {link:?} to what is not tied to it"));
            }
        }
        for (order, _) in all.iter().filter(|(_, (_, l))| l.flags.has(OrderFlags::LINKED)) {
            if !links.contains_key(order) {
                wrong.push(format!("{order} is flagged as tied, but is not"));
            }
        }
    }

    fn check_attached(&self, all: &Listed, wrong: &mut Vec<String>) {
        let mut attached: BTreeMap<(AccountId, MarketId), BTreeSet<u64>> = BTreeMap::new();
        for (key, _) in self.state.triggers.local_iter().filter(|(_, t)| t.trigger.position) {
            if let Some((account, listed)) = all.get(&key.0.0) {
                attached.entry((*account, listed.market)).or_default().insert(key.0.0);
            }
        }
        let mut listed: BTreeMap<(AccountId, MarketId), BTreeSet<u64>> = BTreeMap::new();
        for (key, list) in self.state.attached.local_iter().filter(|(_, list)| !list.0.is_empty()) {
            let orders = list.0.iter().map(|order| order.0).collect();
            listed.insert((key.account, key.market), orders);
        }
        let flagged: BTreeSet<_> = self
            .all_positions()
            .filter(|(_, _, position)| position.attached && position.size != 0)
            .map(|(account, market, _)| (account, market))
            .collect();
        let flags = self.all_positions().filter(|(_, _, position)| position.attached).count();
        let keys: BTreeSet<_> = attached.keys().copied().collect();
        if attached != listed || keys != flagged || flags != flagged.len() {
            wrong.push(format!("attached {attached:?}, listed {listed:?}, flagged {flagged:?}"));
        }
    }
}
