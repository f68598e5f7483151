//! Authenticated ordered sets: what price levels, triggers, timers and expiries stand on.
//!
//! Keys of the state are hashed, so the trie gives no range proofs. An ordered set is therefore
//! kept *inside* the state as a radix tree of 256-bit pages: the page at level 0 holds one bit for
//! each of 256 neighbouring members, the page above one bit for each non-empty page below. Finding
//! the smallest member, or the next one, reads at most two pages a level, and a witness that holds
//! those pages proves that nothing comes before.
//!
//! A member of 56 bits is seven digits of eight; the page of its lowest digit is at level 0, and the
//! key of each page is set, level and the digits above. The pages are a function of the members alone
//! (no history, no balancing), neighbours share a page, and an insertion writes one page unless its
//! neighbourhood was empty.

use crate::object::{Key, Object, Source, Table};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Decode, Encode, Reader, put_varint};

/// Bits of a member.
pub const MEMBER_BITS: u32 = 56;
/// Largest member.
pub const MEMBER_MAX: u64 = (1 << MEMBER_BITS) - 1;
/// Levels of pages.
pub const LEVELS: u8 = (MEMBER_BITS / 8) as u8;

/// Finds a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    /// The set, numbered by its owner.
    pub set: u64,
    /// 0 holds members; each level above holds the non-empty pages below it.
    pub level: u8,
    /// The members' common leading bits.
    pub prefix: u64,
}

impl Encode for PageKey {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.set);
        out.push(self.level);
        put_varint(out, self.prefix);
    }
}

impl Decode for PageKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { set: r.varint()?, level: r.u8()?, prefix: r.varint()? })
    }
}

impl Key for PageKey {}

/// 256 bits, of which at least one is set. Encoded as four words, least first and each least byte
/// first, of which those without a bit are left out: a byte before them has a bit for each that is
/// there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page([u64; 4]);

impl Page {
    fn has(&self, bit: u8) -> bool {
        self.0[usize::from(bit >> 6)] >> (bit & 63) & 1 == 1
    }

    /// The lowest set bit that is `from` or above.
    fn first_from(&self, from: u32) -> Option<u8> {
        if from > 255 {
            return None;
        }
        let mut word = (from >> 6) as usize;
        let mut bits = self.0[word] & (u64::MAX << (from & 63));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        Some((word as u32 * 64 + bits.trailing_zeros()) as u8)
    }

    /// The highest set bit that is `to` or below.
    fn last_to(&self, to: u8) -> Option<u8> {
        let mut word = usize::from(to >> 6);
        let mut bits = self.0[word] & (u64::MAX >> (63 - (to & 63)));
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.0[word];
        }
        Some((word as u32 * 64 + 63 - bits.leading_zeros()) as u8)
    }
}

impl Encode for Page {
    fn encode(&self, out: &mut Vec<u8>) {
        let mask = (0..4).fold(0, |mask, i| mask | u8::from(self.0[i] != 0) << i);
        out.push(mask);
        for word in self.0.iter().filter(|word| **word != 0) {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

impl Decode for Page {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mask = r.u8()?;
        if mask > 15 {
            return Err(CodecError::Invalid("page mask"));
        }
        let mut words = [0; 4];
        for (i, word) in words.iter_mut().enumerate() {
            if mask >> i & 1 == 1 {
                *word = r.u64()?;
                if *word == 0 {
                    return Err(CodecError::Invalid("page word"));
                }
            }
        }
        Ok(Self(words))
    }
}

impl Object for Page {
    const TAG: u8 = 1;
    const NAME: &'static str = "ordered-set page";
    type Key = PageKey;
}

/// One ordered set inside a table of pages. Members are at most [`MEMBER_MAX`]; a larger one is a
/// bug of the caller and is asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedSet(pub u64);

impl OrderedSet {
    fn page(self, level: u8, member: u64) -> PageKey {
        PageKey { set: self.0, level, prefix: member >> (8 * (u32::from(level) + 1)) }
    }

    fn bit(level: u8, member: u64) -> u8 {
        (member >> (8 * u32::from(level))) as u8
    }

    /// Asks the memory for a member's page; see [`Table::prefetch`].
    #[inline]
    pub fn prefetch<S: Source>(self, pages: &Table<Page, S>, member: u64) {
        pages.prefetch(&self.page(0, member));
    }

    /// Adds a member; does nothing if it is there.
    pub fn insert<S: Source>(self, pages: &mut Table<Page, S>, member: u64) {
        assert!(member <= MEMBER_MAX, "ordered-set member above 56 bits");
        for level in 0..LEVELS {
            let page = pages.get_mut(&self.page(level, member));
            let bit = Self::bit(level, member);
            let was_empty = page.0 == [0; 4];
            page.0[usize::from(bit >> 6)] |= 1 << (bit & 63);
            if !was_empty {
                return;
            }
        }
    }

    /// Removes a member; does nothing if it is not there.
    pub fn remove<S: Source>(self, pages: &mut Table<Page, S>, member: u64) {
        assert!(member <= MEMBER_MAX, "ordered-set member above 56 bits");
        for level in 0..LEVELS {
            let page = pages.get_mut(&self.page(level, member));
            let bit = Self::bit(level, member);
            page.0[usize::from(bit >> 6)] &= !(1 << (bit & 63));
            if page.0 != [0; 4] {
                return;
            }
        }
    }

    /// Whether it is a member.
    pub fn contains<S: Source>(self, pages: &mut Table<Page, S>, member: u64) -> bool {
        pages.get(&self.page(0, member)).has(Self::bit(0, member))
    }

    /// The smallest member.
    pub fn first<S: Source>(self, pages: &mut Table<Page, S>) -> Option<u64> {
        self.first_from(pages, 0)
    }

    /// The largest member.
    pub fn last<S: Source>(self, pages: &mut Table<Page, S>) -> Option<u64> {
        self.last_to(pages, MEMBER_MAX)
    }

    /// The smallest member that is `from` or above.
    pub fn first_from<S: Source>(self, pages: &mut Table<Page, S>, from: u64) -> Option<u64> {
        self.first_by(from, |key, bound| pages.get(key).first_from(bound))
    }

    /// As [`Self::first_from`], read as [`Table::peek`] does.
    pub fn peek_first_from<S: Source>(self, pages: &Table<Page, S>, from: u64) -> Option<u64> {
        self.first_by(from, |key, bound| pages.peek(key)?.first_from(bound))
    }

    /// The largest member that is `to` or below.
    pub fn last_to<S: Source>(self, pages: &mut Table<Page, S>, to: u64) -> Option<u64> {
        self.last_by(to, |key, bound| pages.get(key).last_to(bound?))
    }

    /// As [`Self::last_to`], read as [`Table::peek`] does.
    pub fn peek_last_to<S: Source>(self, pages: &Table<Page, S>, to: u64) -> Option<u64> {
        self.last_by(to, |key, bound| pages.peek(key)?.last_to(bound?))
    }

    /// `lowest` gives the lowest bit of a page that is at a bound or above.
    fn first_by(
        self,
        from: u64,
        mut lowest: impl FnMut(&PageKey, u32) -> Option<u8>,
    ) -> Option<u64> {
        if from > MEMBER_MAX {
            return None;
        }
        // Up until a page has a bit at or past ours, then down along the lowest bits.
        let mut level = 0;
        let mut bound = u32::from(Self::bit(0, from));
        let mut found = loop {
            if let Some(bit) = lowest(&self.page(level, from), bound) {
                let high = from.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
                break (high << 8) | u64::from(bit);
            }
            level += 1;
            if level == LEVELS {
                return None;
            }
            bound = u32::from(Self::bit(level, from)) + 1;
        };
        while level > 0 {
            level -= 1;
            let page = PageKey { set: self.0, level, prefix: found };
            // A set bit above an empty page cannot be: both are written together. In the witness
            // source an unproven page reads as empty, the fault is set, and any answer will do.
            found = (found << 8) | u64::from(lowest(&page, 0).unwrap_or(0));
        }
        Some(found)
    }

    /// `highest` gives the highest bit of a page that is at a bound or below; none below nothing.
    fn last_by(
        self,
        to: u64,
        mut highest: impl FnMut(&PageKey, Option<u8>) -> Option<u8>,
    ) -> Option<u64> {
        let to = to.min(MEMBER_MAX);
        let mut level = 0;
        let mut bound = Some(Self::bit(0, to));
        let mut found = loop {
            if let Some(bit) = highest(&self.page(level, to), bound) {
                let high = to.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
                break (high << 8) | u64::from(bit);
            }
            level += 1;
            if level == LEVELS {
                return None;
            }
            bound = Self::bit(level, to).checked_sub(1);
        };
        while level > 0 {
            level -= 1;
            let page = PageKey { set: self.0, level, prefix: found };
            found = (found << 8) | u64::from(highest(&page, Some(255)).unwrap_or(0));
        }
        Some(found)
    }
}
