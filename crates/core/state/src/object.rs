//! Typed objects over two sources: *resident* (all of the state in memory) and *witness* (only
//! what was proven).
//!
//! Code of a VM reads and writes objects through a [`Table`] per type. The first touch of an
//! object in a *range* of commands records it, and the first write keeps its pre-image; that one
//! mechanism yields the read set, the witness, the list of what changed, and undo. A later touch
//! costs one predicted compare.
//!
//! * An object that equals its default is absent: it has no leaf in the trie. Reading an absent
//!   object records that it was absent, so a witness proves it.
//! * A range begins with [`begin`] and ends with [`seal`]. Nothing that a table remembers across
//!   ranges influences results: any range can be executed again from its witness.
//! * [`savepoint`] and [`rollback`] nest inside a range; a savepoint costs nothing until an object
//!   is written after it.
//! * In the witness source, touching an object that was not proven sets a *fault* and reads as
//!   absent; the caller must check [`fault`] before it believes any result.
//!
//! Known limitation: handles are valid only inside the range in which they were taken.

mod writes;

pub use writes::{ReadSet, WriteSet};

use crate::prefetch;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Decode, Encode};
use core::fmt::Debug;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use hashbrown::HashTable;

/// Largest encoded key, in bytes, type tag included.
pub const KEY_BYTES_MAX: u32 = 128;
/// Largest encoded object, in bytes.
pub const VALUE_BYTES_MAX: u32 = 1 << 20;
/// Dense keys below this bound are found by index instead of by hash.
const DENSE_MAX: u32 = 1 << 24;
/// How many objects ahead of the one that is encoded a seal asks the memory for.
const SEAL_AHEAD: usize = 6;

/// The key of an object inside its table.
pub trait Key: Copy + Eq + Hash + Debug + Encode + Decode {
    /// Small consecutive keys (account numbers, market numbers) give their number here and are
    /// found without hashing.
    fn dense(&self) -> Option<u32> {
        None
    }
}

/// A typed object of the state. Equal to its default means absent.
pub trait Object: Clone + Default + PartialEq + Debug + Encode + Decode {
    /// First byte of every key of this type; unique inside an environment.
    const TAG: u8;
    /// For errors: what an auditor calls it.
    const NAME: &'static str;
    /// What finds it.
    type Key: Key;

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
}

/// All of the state is in memory.
#[derive(Debug, Default)]
pub struct Resident;

/// Only proven objects are in memory.
#[derive(Debug, Default)]
pub struct Witnessed;

impl Source for Resident {
    const COMPLETE: bool = true;
}

impl Source for Witnessed {
    const COMPLETE: bool = false;
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

/// Where the index finds an object.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// A part of the key's hash: tells nearly all others apart without a look at the object, so
    /// that asking the memory for it does not wait for it.
    tag: u32,
    at: u32,
}

fn tag(hash: u64) -> u32 {
    (hash >> 16) as u32
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
    index: HashTable<Slot>,
    dense: Vec<u32>,
    hasher: foldhash::fast::FixedState,
    /// Epoch of the current range and of the latest savepoint in it.
    range: u32,
    save: u32,
    touched: Vec<u32>,
    /// What was looked for in this range and was not there.
    fresh: Vec<u32>,
    undo: Vec<Undo<O>>,
    fault: Option<O::Key>,
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
            index: HashTable::new(),
            dense: Vec::new(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            range: 1,
            save: 1,
            touched: Vec::new(),
            fresh: Vec::new(),
            undo: Vec::new(),
            fault: None,
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
        self.fresh.push(at);
        Handle(at)
    }

    /// Reads by handle.
    #[inline]
    pub fn at(&mut self, handle: Handle) -> &O {
        self.touch(handle.0);
        &self.slab[handle.0 as usize].value
    }

    /// Writes by handle.
    #[inline]
    pub fn at_mut(&mut self, handle: Handle) -> &mut O {
        self.touch(handle.0);
        let entry = &mut self.slab[handle.0 as usize];
        if entry.written < self.save {
            let written = core::mem::replace(&mut entry.written, self.save);
            self.undo.push(Undo { at: handle.0, written, value: entry.value.clone() });
        }
        &mut entry.value
    }

    /// Asks the memory for an object that a command will touch and says whether it seems to be there;
    /// see [`crate::prefetch`]. Records nothing and changes nothing.
    #[inline]
    pub fn prefetch(&self, key: &O::Key) -> bool {
        let at = if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            self.dense.get(number as usize).and_then(|at| at.checked_sub(1))
        } else {
            let hash = self.hasher.hash_one(key);
            self.index.find(hash, |slot| slot.tag == tag(hash)).map(|slot| slot.at)
        };
        if let Some(at) = at {
            self.slab[at as usize].prefetch();
        }
        at.is_some()
    }

    /// Reads without recording: for queries of a node, never for a state transition.
    pub fn peek(&self, key: &O::Key) -> Option<&O> {
        self.find(key).map(|at| &self.slab[at as usize].value)
    }

    /// An object as it was when the range began: what was written since is passed over. Takes time
    /// in proportion to what was written.
    pub fn peek_before(&self, key: &O::Key) -> Option<&O> {
        let at = self.find(key)?;
        let entry = &self.slab[at as usize];
        if entry.written < self.range {
            return Some(&entry.value);
        }
        let first = |undo: &&Undo<O>| undo.at == at && undo.written < self.range;
        self.undo.iter().find(first).map(|undo| &undo.value)
    }

    /// All objects present, in no meaningful order: for queries and audits of a node, never for a
    /// state transition.
    pub fn local_iter(&self) -> impl Iterator<Item = (&O::Key, &O)> {
        let absent = O::default();
        self.slab.iter().filter(move |e| e.value != absent).map(|e| (&e.key, &e.value))
    }

    #[inline]
    fn touch(&mut self, at: u32) {
        let entry = &mut self.slab[at as usize];
        if entry.touched < self.range {
            entry.touched = self.range;
            self.touched.push(at);
        }
    }

    #[inline]
    fn find(&self, key: &O::Key) -> Option<u32> {
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            let at = *self.dense.get(number as usize)?;
            return at.checked_sub(1);
        }
        let hash = self.hasher.hash_one(key);
        let same = |slot: &Slot| slot.tag == tag(hash) && self.slab[slot.at as usize].key == *key;
        self.index.find(hash, same).map(|slot| slot.at)
    }

    /// Adds an absent object.
    fn insert(&mut self, key: O::Key) -> u32 {
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
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            if self.dense.len() <= number as usize {
                self.dense.resize(number as usize + 1, 0);
            }
            self.dense[number as usize] = at + 1;
        } else {
            let hash = self.hasher.hash_one(key);
            let (slab, hasher) = (&self.slab, &self.hasher);
            let slot = Slot { tag: tag(hash), at };
            self.index
                .insert_unique(hash, slot, |other| hasher.hash_one(slab[other.at as usize].key));
        }
        at
    }

    /// Forgets an absent object, so that reading nonsense does not fill memory.
    fn discard(&mut self, at: u32) {
        let key = self.slab[at as usize].key;
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            self.dense[number as usize] = 0;
        } else {
            let hash = self.hasher.hash_one(key);
            if let Ok(found) = self.index.find_entry(hash, |slot| slot.at == at) {
                found.remove();
            }
        }
        self.free.push(at);
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

/// Something done to every table of an environment.
pub trait TableVisitor<S: Source> {
    /// Visits one table.
    fn visit<O: Object>(&mut self, table: &mut Table<O, S>);
}

/// The tables of an environment's state.
pub trait Tables<S: Source> {
    /// Visits every table, in a fixed order.
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>);
}

/// Begins a range: forgets what the previous one touched.
pub fn begin<S: Source>(tables: &mut impl Tables<S>) {
    struct Begin;
    impl<S: Source> TableVisitor<S> for Begin {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            debug_assert!(table.touched.is_empty(), "the previous range was not sealed");
            if table.save > u32::MAX / 2 {
                for entry in &mut table.slab {
                    (entry.touched, entry.written) = (0, 0);
                }
                table.save = 0;
            }
            table.save += 1;
            table.range = table.save;
            table.touched.clear();
            table.fresh.clear();
            table.undo.clear();
        }
    }
    tables.visit(&mut Begin);
}

/// The encoding of one object, found by its encoded key, tag included: for queries of a node, never
/// for a state transition. `None` if it is absent or no key of any table.
pub fn peek<S: Source>(tables: &mut impl Tables<S>, key: &[u8]) -> Option<Vec<u8>> {
    struct Peek<'a> {
        key: &'a [u8],
        found: Option<Vec<u8>>,
    }
    impl<S: Source> TableVisitor<S> for Peek<'_> {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let Some((tag, rest)) = self.key.split_first() else { return };
            if *tag == O::TAG
                && let Ok(key) = O::Key::from_bytes(rest)
            {
                self.found = table.peek(&key).filter(|o| **o != O::default()).map(O::to_bytes);
            }
        }
    }
    let mut peek = Peek { key, found: None };
    tables.visit(&mut peek);
    peek.found
}

/// A point inside a range to which [`rollback`] returns.
#[derive(Clone, Debug, Default)]
pub struct Savepoint(Vec<u32>);

/// Marks a point to return to. Savepoints nest; an inner one ends when an outer one is rolled back.
pub fn savepoint<S: Source>(tables: &mut impl Tables<S>) -> Savepoint {
    struct Mark(Vec<u32>);
    impl<S: Source> TableVisitor<S> for Mark {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            table.save += 1;
            self.0.push(table.undo.len() as u32);
        }
    }
    let mut mark = Mark(Vec::new());
    tables.visit(&mut mark);
    Savepoint(mark.0)
}

/// Undoes every write since `point`. What was read stays recorded: the decision to undo may rest
/// on it.
pub fn rollback<S: Source>(tables: &mut impl Tables<S>, point: Savepoint) {
    struct Rollback(alloc::vec::IntoIter<u32>);
    impl<S: Source> TableVisitor<S> for Rollback {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let keep = self.0.next().unwrap_or(0) as usize;
            while table.undo.len() > keep {
                if let Some(Undo { at, written, value }) = table.undo.pop() {
                    let entry = &mut table.slab[at as usize];
                    (entry.value, entry.written) = (value, written);
                }
            }
            // The next write must keep a pre-image for the outer savepoint again.
            table.save += 1;
        }
    }
    tables.visit(&mut Rollback(point.0.into_iter()));
}

/// Ends a range: appends what changed to `writes` and, if asked, what was touched to `reads`.
pub fn seal<S: Source>(
    tables: &mut impl Tables<S>,
    writes: &mut WriteSet,
    reads: Option<&mut ReadSet>,
) {
    struct Seal<'a> {
        writes: &'a mut WriteSet,
        reads: Option<&'a mut ReadSet>,
    }
    impl<S: Source> TableVisitor<S> for Seal<'_> {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let absent = O::default();
            let (range, mut undo) = (table.range, core::mem::take(&mut table.undo));
            let mut fresh = core::mem::take(&mut table.fresh);
            // Only the first pre-image of the range counts; later ones belong to savepoints.
            for (n, Undo { at, written, value: before }) in undo.iter().enumerate() {
                if let Some(ahead) = undo.get(n + SEAL_AHEAD) {
                    table.slab[ahead.at as usize].prefetch();
                }
                if *written >= range {
                    continue;
                }
                let entry = &table.slab[*at as usize];
                if let Some(reads) = &mut self.reads {
                    reads.push_object(&entry.key, before, &absent);
                }
                if entry.value != *before {
                    let gone = entry.value == absent;
                    self.writes.push_typed::<O>(&entry.key, (!gone).then_some(&entry.value));
                    if gone {
                        fresh.push(*at);
                    }
                }
            }
            if let Some(reads) = &mut self.reads {
                for at in &table.touched {
                    let entry = &table.slab[*at as usize];
                    if entry.written < range {
                        reads.push_object(&entry.key, &entry.value, &absent);
                    }
                }
            }
            // What was not there before or is not there any more; one after another, so that their
            // lookups wait together.
            for at in fresh.drain(..) {
                if S::COMPLETE && table.slab[at as usize].value == absent {
                    table.discard(at);
                }
            }
            undo.clear();
            table.touched.clear();
            (table.undo, table.fresh) = (undo, fresh);
        }
    }
    tables.visit(&mut Seal { writes, reads });
}

/// The first object that was touched but not proven, if any.
pub fn fault<S: Source>(tables: &mut impl Tables<S>) -> Option<MissingObject> {
    struct Fault(Option<MissingObject>);
    impl<S: Source> TableVisitor<S> for Fault {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            if let (None, Some(key)) = (&self.0, table.fault) {
                let key = Table::<O, S>::encoded_key(&key);
                self.0 = Some(MissingObject { name: O::NAME, key });
            }
        }
    }
    let mut first = Fault(None);
    tables.visit(&mut first);
    first.0
}

/// Why bytes are not an object of these tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No table has this tag.
    #[error("no object type has tag {0}")]
    UnknownTag(u8),
    /// The key or the value does not decode.
    #[error("the {part} of a {name} object does not decode: {error}")]
    Codec {
        /// The object's type.
        name: &'static str,
        /// "key" or "value".
        part: &'static str,
        /// What is wrong.
        error: CodecError,
    },
    /// The key is there already.
    #[error("a {0} object is given twice")]
    Duplicate(&'static str),
    /// An absent object must be given as absent, not as a value.
    #[error("a {0} object is given as a value equal to absence")]
    Default(&'static str),
}

/// Puts one object, as encoded in a snapshot or a witness, into its table. `None` states that it
/// is proven absent.
pub fn load<S: Source>(
    tables: &mut impl Tables<S>,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), LoadError> {
    struct Load<'a> {
        key: &'a [u8],
        value: Option<&'a [u8]>,
        result: Result<(), LoadError>,
    }
    impl Load<'_> {
        fn load<O: Object, S: Source>(&self, table: &mut Table<O, S>) -> Result<(), LoadError> {
            let codec = |part| move |error| LoadError::Codec { name: O::NAME, part, error };
            let key = O::Key::from_bytes(&self.key[1..]).map_err(codec("key"))?;
            if table.find(&key).is_some() {
                return Err(LoadError::Duplicate(O::NAME));
            }
            let value = match self.value {
                None => O::default(),
                Some(bytes) => {
                    let value = O::from_bytes(bytes).map_err(codec("value"))?;
                    if value == O::default() {
                        return Err(LoadError::Default(O::NAME));
                    }
                    value
                }
            };
            let at = table.insert(key);
            table.slab[at as usize].value = value;
            Ok(())
        }
    }
    impl<S: Source> TableVisitor<S> for Load<'_> {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            if self.key.first() == Some(&O::TAG) {
                self.result = self.load(table);
            }
        }
    }
    let tag = key.first().copied().unwrap_or(0);
    let mut load = Load { key, value, result: Err(LoadError::UnknownTag(tag)) };
    tables.visit(&mut load);
    load.result
}

/// Every object present, encoded: the whole state, for snapshots of a new network and for audits.
pub fn export<S: Source>(tables: &mut impl Tables<S>) -> WriteSet {
    struct Export(WriteSet);
    impl<S: Source> TableVisitor<S> for Export {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let absent = O::default();
            for (key, value) in table.local_iter() {
                self.0.push_object(key, value, &absent);
            }
        }
    }
    let mut export = Export(WriteSet::default());
    tables.visit(&mut export);
    export.0
}
