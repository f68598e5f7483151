//! Objects as they are encoded: read one, put one in, give all.

use super::{Object, Source, Table, TableVisitor, Tables, WriteSet};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Decode};

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
