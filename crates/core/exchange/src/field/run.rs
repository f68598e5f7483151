//! Values of bounded length, written without asking for room at each.
//!
//! Sealing a slot encodes some fifty numbers for each command of it. Asking a vector for room at every
//! one of them cost more than the numbers, so a record asks once and gives back what it did not use.

use super::Field;
use alloc::vec::Vec;

/// How far a write reaches at most: numbers are written eight bytes at a time, and a varint of 128 bits
/// has nineteen.
const REACH: usize = 24;

/// A field of bounded length.
pub(crate) trait Short: Field {
    /// Longest encoding, in bytes.
    const BYTES_MAX: usize;

    /// Writes the value.
    fn write(&self, run: &mut Run<'_>);
}

/// Room at the end of a buffer, and how much of it is written.
pub(crate) struct Run<'a> {
    room: &'a mut [u8],
    at: usize,
}

/// Appends what `write` writes, at most `BYTES_MAX` bytes.
#[inline(always)]
pub(crate) fn append<const BYTES_MAX: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut Run<'_>)) {
    let start = out.len();
    out.resize(start + BYTES_MAX + REACH, 0);
    let mut run = Run { room: &mut out[start..start + BYTES_MAX + REACH], at: 0 };
    write(&mut run);
    let end = start + run.at;
    out.truncate(end);
}

impl Run<'_> {
    /// The next bytes: `len` of the lowest of `word`.
    #[inline(always)]
    fn word(&mut self, word: u64, len: usize) {
        // Beyond the room only if a type says a smaller bound than it has, which its test shows.
        let end = self.room.len() - REACH;
        assert!(self.at <= end, "a field is longer than its type says");
        self.room[self.at..self.at + 8].copy_from_slice(&word.to_le_bytes());
        self.at += len;
    }

    /// A byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.word(byte.into(), 1);
    }

    /// Two bytes.
    #[inline(always)]
    pub(crate) fn pair(&mut self, pair: [u8; 2]) {
        self.word(u16::from_le_bytes(pair).into(), 2);
    }

    /// A varint in its shortest form.
    #[inline(always)]
    pub(crate) fn number(&mut self, value: u64) {
        if value >> 56 != 0 {
            return self.long(value.into());
        }
        let (word, len) = spread(value);
        self.word(word, len);
    }

    /// The same for one that is below 128 nearly always: that can be predicted.
    #[inline(always)]
    pub(crate) fn small(&mut self, value: u64) {
        if value < 0x80 { self.byte(value as u8) } else { self.number(value) }
    }

    /// A varint of up to 128 bits.
    #[inline(always)]
    pub(crate) fn wide(&mut self, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.number(value),
            Err(_) => self.long(value),
        }
    }

    /// A signed number, zigzag.
    #[inline(always)]
    pub(crate) fn signed(&mut self, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.number(((value << 1) ^ (value >> 63)) as u64),
            Err(_) => self.long(((value << 1) ^ (value >> 127)) as u128),
        }
    }

    #[inline(always)]
    fn long(&mut self, value: u128) {
        // By value, so that a run stays in registers.
        self.at = long(self.room, self.at, value);
    }
}

/// Writes a varint of more than 56 bits, or any; gives where it ends.
#[cold]
#[inline(never)]
fn long(room: &mut [u8], mut at: usize, mut value: u128) -> usize {
    while value >= 0x80 {
        room[at] = (value as u8) | 0x80;
        value >>= 7;
        at += 1;
    }
    room[at] = value as u8;
    at + 1
}

/// The varint of a number below 2⁵⁶, and its length.
///
/// Without a branch, because nobody can predict the lengths: groups of 28, 14 and 7 bits move apart
/// until each has a byte of its own.
#[inline(always)]
fn spread(value: u64) -> (u64, usize) {
    /// By length less one: which bytes another one follows.
    const MORE: [u64; 8] = {
        let mut more = [0; 8];
        let mut last = 0;
        while last < 8 {
            more[last] = 0x0080_8080_8080_8080 & !(u64::MAX << (8 * last));
            last += 1;
        }
        more
    };
    let mut x = value;
    x = x & 0x0fff_ffff | (x & 0x00ff_ffff_f000_0000) << 4;
    x = x & 0x0000_3fff_0000_3fff | (x & 0x0fff_c000_0fff_c000) << 2;
    x = x & 0x007f_007f_007f_007f | (x & 0x3f80_3f80_3f80_3f80) << 1;
    // The last byte's place: bits / 7, for numbers below 64.
    let last = ((63 - (value | 1).leading_zeros()).wrapping_mul(37) >> 8 & 7) as usize;
    (x | MORE[last], last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::codec::{put_signed, put_varint128};

    fn numbers() -> impl Iterator<Item = u128> {
        let near =
            |shift: u32| [1 << shift, (1 << shift) - 1, (1 << shift) + 1, u128::MAX >> shift];
        (0..128).flat_map(near)
    }

    #[test]
    fn numbers_of_every_length_are_those_of_the_codec() {
        for value in numbers() {
            let (mut ours, mut theirs) = (Vec::from([7]), Vec::from([7]));
            append::<{ 3 * 19 }>(&mut ours, |run| {
                run.wide(value);
                run.signed(value as i128);
                run.signed((value as i128).wrapping_neg());
            });
            put_varint128(&mut theirs, value);
            put_signed(&mut theirs, value as i128);
            put_signed(&mut theirs, (value as i128).wrapping_neg());
            assert_eq!(ours, theirs, "{value:#x}");
            let Ok(value) = u64::try_from(value) else { continue };
            let (mut alone, mut small) = (Vec::from([7]), Vec::from([7]));
            value.put(&mut alone);
            append::<10>(&mut small, |run| run.small(value));
            assert_eq!((&alone[..], &small[..]), (&ours[..alone.len()], &alone[..]), "{value:#x}");
        }
    }

    #[test]
    fn no_number_is_longer_than_its_type_says() {
        fn longest<T: Short>(values: &[T]) {
            let length = |value: &T| {
                let mut out = Vec::new();
                append::<64>(&mut out, |run| value.write(run));
                out.len()
            };
            assert_eq!(values.iter().map(length).max(), Some(T::BYTES_MAX));
        }
        longest(&[u8::MAX]);
        longest(&[u16::MAX]);
        longest(&[u32::MAX]);
        longest(&[u64::MAX]);
        longest(&[u128::MAX]);
        longest(&[i32::MAX, i32::MIN]);
        longest(&[i64::MAX, i64::MIN]);
        longest(&[i128::MAX, i128::MIN]);
    }

    #[test]
    fn a_run_that_is_full_to_its_last_byte_loses_nothing() {
        let mut out = Vec::new();
        append::<{ 4 * 19 }>(&mut out, |run| (0..4).for_each(|_| run.wide(u128::MAX)));
        append::<3>(&mut out, |run| (0..3).for_each(|_| run.byte(9)));
        assert_eq!((out.len(), &out[76..]), (79, &[9; 3][..]));
    }
}
