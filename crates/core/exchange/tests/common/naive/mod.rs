//! Books a second time, down to the bytes: what of the state tells of open orders, written from the
//! documented layouts (`objects/mod.rs` and the objects' own docs) out of plain lists.
//!
//! [`bytes`] writes the objects, [`queues`] keeps the only thing about them that is not in an order
//! itself, [`book`] is a book alone and [`market`] a recorded market on top of it. The naive twin of
//! the whole exchange (`super::twin`) has its own orders and uses the first two.

pub(crate) mod book;
pub(crate) mod bytes;
pub(crate) mod market;
pub(crate) mod queues;

use super::*;
use atoll_exchange::objects::*;
use atoll_state::db::{MemoryDb, StateDb, key_path, value_hash};
use atoll_state::ordered::PageKey;
use atoll_state::{Object, Page};
use atoll_types::{B256, Decode};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Keys of the state with what is there, as bytes.
pub(crate) type Objects = BTreeMap<Vec<u8>, Vec<u8>>;

/// Ordered sets from this number on are not of prices of books.
const OTHER_SETS: u64 = 1 << 60;

/// The part of the exchange's state that tells of open orders: books with their tops and sets of
/// prices, directories, client ids, expiries and icebergs.
pub(crate) fn exported(exchange: &mut Exchange<Resident>) -> Objects {
    let books = [
        Directory::TAG,
        OrderPage::TAG,
        ClientOrder::TAG,
        BookTop::TAG,
        Level::TAG,
        OrderChunk::TAG,
        OrderExtra::TAG,
    ];
    let of_books = |key: &[u8]| match key.split_first() {
        Some((&Page::TAG, rest)) => PageKey::from_bytes(rest).unwrap().set < OTHER_SETS,
        Some((tag, _)) => books.contains(tag),
        None => false,
    };
    let all = object::export(exchange);
    let all = all.iter().filter(|(key, _)| of_books(key));
    all.map(|(key, value)| (key.to_vec(), value.unwrap().to_vec())).collect()
}

/// The state root of a state that has these objects and no more.
pub(crate) fn root(objects: &Objects) -> B256 {
    let leaves = objects.iter().map(|(key, value)| (key_path(key), value_hash(value)));
    MemoryDb::from_leaves(leaves.collect()).root()
}

/// Panics where two states differ, with the first object that does, read.
pub(crate) fn assert_same(naive: &Objects, fast: &Objects, after: &dyn Debug) {
    if naive == fast {
        return;
    }
    let keys: BTreeSet<_> = naive.keys().chain(fast.keys()).collect();
    let differ: Vec<_> = keys.into_iter().filter(|key| naive.get(*key) != fast.get(*key)).collect();
    let key = differ[0];
    let (of_naive, of_fast) = (read(key, naive.get(key)), read(key, fast.get(key)));
    panic!(
        "the books' states differ in {} objects after {after:?}\nfirst: {}\nnaive: {of_naive}\nfast: \
         {of_fast}",
        differ.len(),
        name(key),
    );
}

/// A function for each object of books and directories.
macro_rules! of_books {
    ($of:ident) => {
        [
            $of::<Page>,
            $of::<Directory>,
            $of::<OrderPage>,
            $of::<ClientOrder>,
            $of::<BookTop>,
            $of::<Level>,
            $of::<OrderChunk>,
            $of::<OrderExtra>,
        ]
    };
}

fn name(key: &[u8]) -> String {
    fn of<O: Object>(key: &[u8]) -> Option<String> {
        let found = (key[0] == O::TAG).then(|| O::Key::from_bytes(&key[1..]))?;
        Some(format!("{} {:?}", O::NAME, found.ok()?))
    }
    let known = of_books!(of);
    known.iter().find_map(|of| of(key)).unwrap_or_else(|| format!("{key:02x?}"))
}

fn read(key: &[u8], value: Option<&Vec<u8>>) -> String {
    fn of<O: Object>(key: &[u8], value: &[u8]) -> Option<String> {
        let found = (key[0] == O::TAG).then(|| O::from_bytes(value))?;
        Some(format!("{:#?}, as bytes {value:02x?}", found.ok()?))
    }
    let known = of_books!(of);
    let Some(value) = value else { return "absent".into() };
    known.iter().find_map(|of| of(key, value)).unwrap_or_else(|| format!("{value:02x?}"))
}
