//! Which shard executes which command: parts that share no market and no caller, spread evenly.

use super::about::{self, About, Place};
use crate::by_account::ByAccount;
use crate::command::Command;
use crate::exchange::Exchange;
use crate::ids::AccountId;
use alloc::vec::Vec;
use atoll_state::{Resident, Workers};

/// Most shards.
pub(super) const SHARDS_MAX: usize = 64;

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
    about: Vec<About>,
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
        workers: &mut impl Workers,
    ) -> usize {
        let markets = exchange.rules.markets.len() as u16;
        self.group.clear();
        self.group.extend(0..=markets);
        self.weight.clear();
        self.weight.resize(usize::from(markets) + 1, 0);
        self.callers.clear();
        self.of.clear();
        let mut all = core::mem::take(&mut self.about);
        about::look_up(exchange, commands, workers, shards, &mut all);
        for (about, (caller, _)) in all.iter().zip(commands) {
            let market = match about.place {
                Place::Between => break,
                Place::Market(market) => market.0,
                Place::Caller => self.callers.get(*caller).copied().unwrap_or_default(),
            };
            if market >= markets {
                // Refused before anything else is looked at.
                self.of.push(0);
                self.weight[0] += 1;
                continue;
            }
            for account in about.makers().iter().chain([caller]) {
                let first = *self.callers.get_or_insert(*account, market);
                self.join(first, market);
            }
            if about.timed {
                self.join(market, markets);
            }
            self.weight[usize::from(market)] += 1;
            self.of.push(market);
        }
        self.about = all;
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
