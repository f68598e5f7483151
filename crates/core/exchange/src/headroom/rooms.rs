//! Bounds by account; a shard's over those of the state.

#[cfg(feature = "std")]
use super::Headroom;
use super::Room;
use crate::by_account::ByAccount;
use crate::ids::AccountId;
#[cfg(feature = "std")]
use crate::objects::MarketPrices;
#[cfg(feature = "std")]
use crate::rules::Rules;
use alloc::sync::Arc;
use alloc::vec::Vec;
use atoll_state::prefetch;
#[cfg(feature = "std")]
use atoll_state::{Resident, Table};

#[derive(Debug, Default)]
pub(super) struct Rooms {
    all: Vec<Room>,
    /// In a shard: what it stands on, and what it has changed.
    below: Option<Arc<Vec<Room>>>,
    changed: ByAccount<Room>,
}

impl Rooms {
    #[inline]
    pub(super) fn get(&self, account: AccountId) -> Option<&Room> {
        match &self.below {
            None => self.all.get(account.0 as usize),
            Some(below) => self.changed.get(account).or_else(|| below.get(account.0 as usize)),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, account: AccountId) -> Option<&mut Room> {
        let Some(below) = &self.below else { return self.all.get_mut(account.0 as usize) };
        let room = *below.get(account.0 as usize).unwrap_or(&Room::NONE);
        Some(self.changed.get_or_insert(account, room))
    }

    #[inline]
    pub(super) fn set(&mut self, account: AccountId, room: Room) {
        if self.below.is_some() {
            *self.changed.get_or_insert(account, room) = room;
            return;
        }
        let at = account.0 as usize;
        if self.all.len() <= at {
            self.all.resize(at + 1, Room::NONE);
        }
        self.all[at] = room;
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    #[inline]
    pub(super) fn prefetch(&self, account: AccountId) {
        let rooms = self.below.as_deref().unwrap_or(&self.all);
        if let Some(room) = rooms.get(account.0 as usize) {
            prefetch::line(room);
        }
    }
}

#[cfg(feature = "std")]
impl Headroom {
    /// Lets shards stand on these bounds until [`Self::join`].
    pub(crate) fn split<'a>(
        &mut self,
        rules: &Rules,
        prices: &Table<MarketPrices, Resident>,
        shards: impl Iterator<Item = &'a mut Headroom>,
    ) {
        self.follow(rules, prices);
        let below = Arc::new(core::mem::take(&mut self.rooms.all));
        for shard in shards {
            if shard.version != self.version {
                shard.seen.clone_from(&self.seen);
            }
            (shard.version, shard.drift, shard.stale) = (self.version, self.drift, false);
            shard.at_once = self.at_once;
            shard.changed.clear();
            shard.used.clear();
            shard.rooms.changed.clear();
            shard.rooms.below = Some(below.clone());
        }
        self.rooms.below = Some(below);
    }

    /// Takes over what the shards have changed, if that is kept.
    pub(crate) fn join<'a>(&mut self, shards: impl Iterator<Item = &'a mut Headroom>, kept: bool) {
        let mut changed = Vec::new();
        for shard in shards {
            shard.rooms.below = None;
            if kept {
                changed.extend(shard.rooms.changed.iter().map(|(account, room)| (account, *room)));
            }
        }
        self.rooms.all = self.rooms.below.take().and_then(Arc::into_inner).unwrap_or_default();
        for (n, (account, room)) in changed.iter().enumerate() {
            if let Some((ahead, _)) = changed.get(n + 8) {
                self.rooms.prefetch(*ahead);
            }
            self.set(*account, *room);
        }
    }
}
