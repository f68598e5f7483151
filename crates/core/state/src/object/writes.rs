//! Sets of changed objects, encoded.

use super::Object;
use alloc::vec::Vec;
use atoll_types::codec::Encode;

/// Objects as bytes, back to back: what a range changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    bytes: Vec<u8>,
    /// Start of the key, start of the value, end of the value; a value that starts past its end
    /// is a removal.
    spans: Vec<(u32, u32, u32)>,
}

impl WriteSet {
    /// How many objects changed.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Each changed key with its new value, `None` where it became absent.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.spans.iter().map(|(key, value, end)| {
            if value > end {
                (&self.bytes[*key as usize..*end as usize], None)
            } else {
                let key = &self.bytes[*key as usize..*value as usize];
                (key, Some(&self.bytes[*value as usize..*end as usize]))
            }
        })
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Adds all of another set.
    pub fn append(&mut self, other: &Self) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        let moved = |span: &(u32, u32, u32)| (span.0 + start, span.1 + start, span.2 + start);
        self.spans.extend(other.spans.iter().map(moved));
    }

    /// Adds one changed object.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len() as u32;
        match value {
            Some(value) => {
                self.bytes.extend_from_slice(value);
                self.spans.push((start, middle, self.bytes.len() as u32));
            }
            None => self.spans.push((start, middle + 1, middle)),
        }
    }

    pub(super) fn push_object<O: Object>(&mut self, key: &O::Key, value: &O, absent: &O) {
        self.push_typed(key, (value != absent).then_some(value));
    }

    pub(super) fn push_typed<O: Object>(&mut self, key: &O::Key, value: Option<&O>) {
        let start = self.bytes.len() as u32;
        self.bytes.push(O::TAG);
        key.encode(&mut self.bytes);
        let middle = self.bytes.len() as u32;
        match value {
            None => self.spans.push((start, middle + 1, middle)),
            Some(value) => {
                value.encode(&mut self.bytes);
                self.spans.push((start, middle, self.bytes.len() as u32));
            }
        }
    }
}

/// What a range touched: every key with its value before the range.
pub type ReadSet = WriteSet;
