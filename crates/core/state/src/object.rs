//! Typed objects over two sources: *resident* (all of the state in memory) and *witness* (only
//! what was proven).
//!
//! Code of a VM reads and writes objects through a [`Table`] per type. The first touch of an
//! object in a *range* of commands records it, and the first write keeps its pre-image; that one
//! mechanism yields the read set, the witness, the list of what changed, and undo. A later touch
//! costs one predicted compare. A range that nobody asks for its witness keeps pre-images only
//! behind a savepoint ([`begin_unwitnessed`]).
//!
//! * An object that equals its default is absent: it has no leaf in the trie. Reading an absent
//!   object records that it was absent, so a witness proves it.
//! * A range begins with [`begin`] and ends with [`seal`]. Nothing that a table remembers across
//!   ranges influences results: any range can be executed again from its witness.
//! * Savepoints nest inside a range, and end by [`rollback`] or [`release`]; one costs nothing until
//!   an object is written after it.
//! * In the witness source, touching an object that was not proven sets a *fault* and reads as
//!   absent; the caller must check [`fault`] before it believes any result.
//!
//! Known limitation: handles are valid only inside the range in which they were taken.

mod load;
mod place;
mod range;
pub mod shard;
mod writes;

pub use load::{LoadError, export, load, peek};
pub use range::{Savepoint, begin, begin_unwitnessed, fault, release, rollback, savepoint, seal};
pub use writes::{ReadSet, WriteSet};

use crate::index::Index;
use crate::prefetch;
use alloc::vec::Vec;
use atoll_types::codec::{Decode, Encode};
use core::fmt::Debug;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use place::Base;
use shard::Sharing;

/// Largest encoded key, in bytes, type tag included.
pub const KEY_BYTES_MAX: u32 = 128;
/// Largest encoded object, in bytes.
pub const VALUE_BYTES_MAX: u32 = 1 << 20;
/// Dense keys below this bound are found by index instead of by hash.
const DENSE_MAX: u32 = 1 << 24;
/// How many objects ahead of the one that is encoded a seal asks the memory for.
const SEAL_AHEAD: usize = 6;

/// The key of an object inside its table.
pub trait Key: Copy + Eq + Hash + Debug + Encode + Decode + Send + Sync + 'static {
    /// Small consecutive keys (account numbers, market numbers) give their number here and are
    /// found without hashing.
    fn dense(&self) -> Option<u32> {
        None
    }
}

/// A typed object of the state. Equal to its default means absent.
pub trait Object:
    Clone + Default + PartialEq + Debug + Encode + Decode + Send + Sync + 'static
{
    /// First byte of every key of this type; unique inside an environment.
    const TAG: u8;
    /// For errors: what an auditor calls it.
    const NAME: &'static str;
    /// What finds it.
    type Key: Key;
    /// What [shards](shard) have of it.
    const SHARING: Sharing = Sharing::Claimed;

    /// Asks the memory for all of it; see [`crate::prefetch`]. Objects of more than a cache line
    /// name their parts.
    #[inline]
    fn prefetch(&self) {
        prefetch::line(self);
    }
}

/// Where objects come from; chosen at compile time.
pub trait Source: Debug + Default + 'static {
    /// Whether an object that is not in memory is known to be absent.
    const COMPLETE: bool;
    /// Whether the tables stand on those of another state.
    const SHARD: bool = false;

    /// An invariant of the state does not hold.
    fn broken(what: &str);
}

/// All of the state is in memory.
#[derive(Debug, Default)]
pub struct Resident;

/// Only proven objects are in memory.
#[derive(Debug, Default)]
pub struct Witnessed;

impl Source for Resident {
    const COMPLETE: bool = true;

    #[track_caller]
    fn broken(what: &str) {
        panic!("{what}");
    }
}

impl Source for Witnessed {
    const COMPLETE: bool = false;

    /// An object was left out: the fault is set and nobody believes the result.
    fn broken(_: &str) {}
}

/// An object that the witness does not prove but the execution touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the witness leaves out {name} object {key:02x?}, which the execution reads")]
pub struct MissingObject {
    /// The object's type.
    pub name: &'static str,
    /// Its encoded key, tag included.
    pub key: Vec<u8>,
}

/// A place in a table, valid until the range is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

impl Handle {
    /// Its number, for who can keep nothing else.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The handle with this number.
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// An object before a write.
#[derive(Clone, Debug)]
struct Undo<O> {
    at: u32,
    /// Its epoch of writing before that; older than the range at the range's first write.
    written: u32,
    value: O,
}

#[derive(Clone, Debug)]
struct Entry<O: Object> {
    key: O::Key,
    /// Epoch of the range in which it was last touched.
    touched: u32,
    /// Epoch of the savepoint after which it was last written.
    written: u32,
    value: O,
}

impl<O: Object> Entry<O> {
    #[inline]
    fn prefetch(&self) {
        prefetch::line(&self.written);
        self.value.prefetch();
    }
}

/// All objects of one type.
#[derive(Debug)]
pub struct Table<O: Object, S: Source> {
    slab: Vec<Entry<O>>,
    free: Vec<u32>,
    index: Index,
    dense: Vec<u32>,
    hasher: foldhash::fast::FixedState,
    /// Epoch of the current range and of the latest savepoint in it.
    range: u32,
    save: u32,
    touched: Vec<u32>,
    /// What was looked for in this range and was not there.
    fresh: Vec<u32>,
    /// What was written in this range.
    written: Vec<u32>,
    /// What somebody may ask pre-images for: open savepoints, and the range if it is witnessed.
    keepers: u32,
    undo: Vec<Undo<O>>,
    fault: Option<O::Key>,
    /// The table that a shard's table stands on.
    base: Base<O>,
    source: PhantomData<S>,
}

impl<O: Object, S: Source> Default for Table<O, S> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<O: Object, S: Source> Table<O, S> {
    /// An empty table. `seed` keys the in-memory index, so that keys chosen by an attacker do not
    /// collide; results never depend on it.
    pub fn new(seed: u64) -> Self {
        Self {
            slab: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            dense: Vec::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            range: 1,
            save: 1,
            touched: Vec::new(),
            fresh: Vec::new(),
            written: Vec::new(),
            keepers: 0,
            undo: Vec::new(),
            fault: None,
            base: Base::default(),
            source: PhantomData,
        }
    }

    /// Number of the current range: another one after each [`begin`]. For caches of what follows from
    /// the objects; results never depend on it.
    #[inline]
    pub fn range(&self) -> u32 {
        self.range
    }

    /// Objects in memory (in a range: the ones recorded as absent included).
    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads an object; its default where it is absent.
    #[inline]
    pub fn get(&mut self, key: &O::Key) -> &O {
        let handle = self.handle(key);
        self.at(handle)
    }

    /// Opens an object for writing; its default where it is absent.
    #[inline]
    pub fn get_mut(&mut self, key: &O::Key) -> &mut O {
        let handle = self.handle(key);
        self.at_mut(handle)
    }

    /// Replaces an object.
    pub fn set(&mut self, key: &O::Key, value: O) {
        *self.get_mut(key) = value;
    }

    /// Makes an object absent and returns what it was.
    pub fn remove(&mut self, key: &O::Key) -> O {
        core::mem::take(self.get_mut(key))
    }

    /// Finds an object once, to read it and write it several times.
    #[inline]
    pub fn handle(&mut self, key: &O::Key) -> Handle {
        match self.find(key) {
            Some(at) => Handle(at),
            None => self.absent(key),
        }
    }

    #[cold]
    #[inline(never)]
    fn absent(&mut self, key: &O::Key) -> Handle {
        if !S::COMPLETE && self.fault.is_none() {
            self.fault = Some(*key);
        }
        let at = self.insert(*key);
        if !S::SHARD {
            self.fresh.push(at);
        }
        Handle(at)
    }

    /// Reads by handle.
    #[inline]
    pub fn at(&mut self, handle: Handle) -> &O {
        let at = self.touch(handle.0, false);
        self.value(at)
    }

    /// Writes by handle.
    #[inline]
    pub fn at_mut(&mut self, handle: Handle) -> &mut O {
        let at = self.touch(handle.0, true);
        let (value, written) = place::parts_mut::<O, S>(&mut self.slab, &mut self.base, at);
        if *written < self.save {
            let written = core::mem::replace(written, self.save);
            if written < self.range {
                self.written.push(at);
            }
            if self.keepers > 0 {
                self.undo.push(Undo { at, written, value: value.clone() });
            }
        }
        value
    }

    /// Asks the memory for what finds an object: for before [`Self::prefetch`].
    #[inline]
    pub fn foresee(&self, key: &O::Key) {
        if S::SHARD {
            return self.foresee_below(key);
        }
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            if let Some(at) = self.dense.get(number as usize) {
                prefetch::line(at);
            }
        } else {
            self.index.prefetch(self.hash(key));
        }
    }

    #[inline]
    fn hash(&self, key: &O::Key) -> u32 {
        let hash = self.hasher.hash_one(key);
        (hash ^ (hash >> 32)) as u32
    }

    /// Asks the memory for an object that a command will touch and says whether it seems to be there;
    /// see [`crate::prefetch`]. Records nothing and changes nothing.
    #[inline]
    pub fn prefetch(&self, key: &O::Key) -> bool {
        if S::SHARD {
            return self.prefetch_below(key);
        }
        let at = if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            self.dense.get(number as usize).and_then(|at| at.checked_sub(1))
        } else {
            // Whose hash is the same is nearly always the one; to be sure, it would have to be here.
            self.index.find(self.hash(key), |_| true)
        };
        if let Some(at) = at {
            self.slab[at as usize].prefetch();
        }
        at.is_some()
    }

    /// Reads without recording: for queries of a node, never for a state transition.
    pub fn peek(&self, key: &O::Key) -> Option<&O> {
        let at = self.find(key)?;
        if S::SHARD {
            return self.peek_below(at);
        }
        Some(&self.slab[at as usize].value)
    }

    /// An object as it was when a witnessed range began: what was written since is passed over.
    /// Takes time in proportion to what was written. In an unwitnessed range it is as it is.
    pub fn peek_before(&self, key: &O::Key) -> Option<&O> {
        let at = self.find(key)?;
        let entry = &self.slab[at as usize];
        if entry.written < self.range {
            return Some(&entry.value);
        }
        let first = |undo: &&Undo<O>| undo.at == at && undo.written < self.range;
        Some(self.undo.iter().find(first).map_or(&entry.value, |undo| &undo.value))
    }

    /// All objects present, in no meaningful order: for queries and audits of a node, never for a
    /// state transition.
    pub fn local_iter(&self) -> impl Iterator<Item = (&O::Key, &O)> {
        let absent = O::default();
        self.slab.iter().filter(move |e| e.value != absent).map(|e| (&e.key, &e.value))
    }

    /// Records a touch, or in a shard claims the object; gives the place where it is.
    #[inline]
    fn touch(&mut self, at: u32, write: bool) -> u32 {
        if S::SHARD {
            return self.claim(at, write);
        }
        let entry = &mut self.slab[at as usize];
        if entry.touched < self.range {
            entry.touched = self.range;
            self.touched.push(at);
        }
        at
    }

    #[inline]
    fn find(&self, key: &O::Key) -> Option<u32> {
        if S::SHARD {
            return self.find_below(key);
        }
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            let at = *self.dense.get(number as usize)?;
            return at.checked_sub(1);
        }
        self.index.find(self.hash(key), |at| self.slab[at as usize].key == *key)
    }

    /// Adds an absent object.
    fn insert(&mut self, key: O::Key) -> u32 {
        if S::SHARD {
            return self.insert_own(key);
        }
        let at = match self.free.pop() {
            Some(at) => {
                // What was discarded is equal to its default.
                let entry = &mut self.slab[at as usize];
                (entry.key, entry.touched, entry.written) = (key, 0, 0);
                at
            }
            None => {
                self.slab.push(Entry { key, touched: 0, written: 0, value: O::default() });
                (self.slab.len() - 1) as u32
            }
        };
        self.enter(&key, at);
        at
    }

    /// Lets a key be found.
    fn enter(&mut self, key: &O::Key, at: u32) {
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            if self.dense.len() <= number as usize {
                self.dense.resize(number as usize + 1, 0);
            }
            self.dense[number as usize] = at + 1;
        } else {
            self.index.insert(self.hash(key), at);
        }
    }

    /// Forgets an absent object, so that reading nonsense does not fill memory.
    fn discard(&mut self, at: u32) {
        let key = self.slab[at as usize].key;
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            self.dense[number as usize] = 0;
        } else {
            self.index.remove(self.hash(&key), at);
        }
        self.free.push(at);
        self.slab[at as usize].written = 0;
        if core::mem::needs_drop::<O>() {
            self.slab[at as usize].value = O::default();
        }
    }

    fn encoded_key(key: &O::Key) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        bytes.push(O::TAG);
        key.encode(&mut bytes);
        bytes
    }
}

/// What a visit of all tables is for: for whoever keeps something beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A range begins.
    Begin,
    /// A range ends.
    Seal {
        /// Whether what was touched is asked for.
        reads: bool,
    },
    /// Writes of the range are undone.
    Rollback,
    /// Something that changes no object.
    Other,
}

/// Something done to every table of an environment.
pub trait TableVisitor<S: Source> {
    /// What for.
    fn purpose(&self) -> Purpose {
        Purpose::Other
    }

    /// Visits one table.
    fn visit<O: Object>(&mut self, table: &mut Table<O, S>);
}

/// The tables of an environment's state.
pub trait Tables<S: Source> {
    /// Visits every table, in a fixed order.
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>);
}
