//! One side of one market: entries in order of the bound at which their account must be looked at.
//!
//! A side is seen as a *danger* that rises as things get worse for its positions. Bounds are
//! danger too, squeezed into 32 bits by a function that never falls ([`code`]), so that a danger
//! that has reached a bound is never taken for one that has not.
//!
//! Entries lie in buckets of neighbouring bounds (a four-hundredth of the bound wide), unsorted: an
//! insertion is a push, and all that has been reached is whole buckets and a part of one. Nothing
//! is removed when an account's bounds are replaced: its version says which entries are still
//! its own, and the others go when they are met or when there are more of them than of live ones.

use std::collections::BTreeMap;

/// Bits of a bound that tell entries of one bucket apart.
const BUCKET_BITS: u32 = 15;
/// Bits of a number's mantissa that are kept.
const MANTISSA_BITS: u32 = 24;
/// New entries before old ones are looked for, besides as many as there are.
const COMPACT_MIN: usize = 1024;

/// Squeezes a danger into 32 bits, six parts in 10⁸ wide. It never falls: `a ≤ b` gives
/// `code(a) ≤ code(b)`.
pub(crate) fn code(danger: i128) -> u32 {
    if danger < 0 {
        return !code(!danger);
    }
    let bits = 128 - danger.leading_zeros();
    // Exponent and mantissa together rise with the number; the leading one is not stored.
    let mantissa = match bits {
        0 | 1 => 0,
        _ if bits > MANTISSA_BITS => danger >> (bits - 1 - MANTISSA_BITS),
        _ => danger << (MANTISSA_BITS + 1 - bits),
    };
    let mantissa = mantissa as u32 & ((1 << MANTISSA_BITS) - 1);
    (1 << 31) | bits << MANTISSA_BITS | mantissa
}

/// The least danger that is squeezed into this code: exact, since it has few bits.
pub(crate) fn least(code: u32) -> f64 {
    if code >> 31 == 0 {
        // What is squeezed into the next code, seen from the other side, begins behind all of this.
        return (!code).checked_add(1).map_or(f64::MIN, |next| -least(next));
    }
    let bits = u64::from(code >> MANTISSA_BITS & 0x7f);
    let mantissa = u64::from(code & ((1 << MANTISSA_BITS) - 1));
    if bits == 0 {
        return if mantissa == 0 { 0.0 } else { 1.0 };
    }
    // The same leading one, exponent and mantissa; f64 keeps 52 bits of it.
    let value = f64::from_bits((bits + 1022) << 52 | mantissa << (52 - MANTISSA_BITS));
    if bits > u64::from(MANTISSA_BITS) { value } else { value.ceil() }
}

/// What the index keeps of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seat {
    /// Which of the entries that name it are its own.
    pub(crate) version: u32,
    /// What a tick has used so far of what its positions do not share.
    pub(crate) used: u32,
}

/// Bounds of an account in a market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Up to here the market's own share of the account's slack lasts.
    pub(crate) inner: u32,
    /// Up to here it lasts with all that is not shared.
    pub(crate) outer: u32,
    pub(crate) account: u32,
    /// The account's when the bounds were set.
    pub(crate) version: u32,
}

impl Entry {
    pub(crate) fn is_own(&self, seats: &[Seat]) -> bool {
        seats[self.account as usize].version == self.version
    }
}

/// The entries of one side.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    buckets: BTreeMap<u32, Vec<Entry>>,
    entries: usize,
    pushed: usize,
    kept: usize,
}

impl Ladder {
    pub(crate) fn push(&mut self, entry: Entry, seats: &[Seat]) {
        self.buckets.entry(entry.inner >> BUCKET_BITS).or_default().push(entry);
        self.entries += 1;
        self.pushed += 1;
        if self.pushed > self.kept + COMPACT_MIN {
            self.compact(seats);
        }
    }

    /// Drops what is no longer anybody's.
    pub(crate) fn compact(&mut self, seats: &[Seat]) {
        self.entries = 0;
        self.buckets.retain(|_, entries| {
            entries.retain(|entry| entry.is_own(seats));
            if entries.capacity() > 2 * entries.len() {
                entries.shrink_to_fit();
            }
            self.entries += entries.len();
            !entries.is_empty()
        });
        (self.kept, self.pushed) = (self.entries, 0);
    }

    /// Gives back memory that pushing left over.
    pub(crate) fn shrink(&mut self) {
        self.buckets.values_mut().for_each(Vec::shrink_to_fit);
        (self.kept, self.pushed) = (self.entries, 0);
    }

    /// Rows of entries that hold all whose inner bound a danger has reached: where it says so, with some
    /// of which it has not.
    pub(crate) fn rows(&self, danger: i128) -> impl Iterator<Item = (&[Entry], bool)> {
        let last = code(danger) >> BUCKET_BITS;
        let rows = self.buckets.range(..=last);
        rows.map(move |(bucket, entries)| (entries.as_slice(), *bucket == last))
    }

    /// Calls `each` on the entries whose inner bound a danger has reached.
    pub(crate) fn reached(&self, danger: i128, mut each: impl FnMut(&Entry)) {
        let danger_code = code(danger);
        for (entries, mixed) in self.rows(danger) {
            let reached = entries.iter().filter(|entry| !mixed || entry.inner <= danger_code);
            reached.for_each(&mut each);
        }
    }

    /// Drops what is no longer anybody's among what a danger has reached.
    pub(crate) fn clean(&mut self, danger: i128, seats: &[Seat]) {
        let last = code(danger) >> BUCKET_BITS;
        let mut empty = Vec::new();
        for (bucket, entries) in self.buckets.range_mut(..=last) {
            let before = entries.len();
            entries.retain(|entry| entry.is_own(seats));
            self.entries -= before - entries.len();
            if entries.is_empty() {
                empty.push(*bucket);
            }
        }
        for bucket in empty {
            self.buckets.remove(&bucket);
        }
    }

    /// Drops all that is an account's.
    pub(crate) fn forget(&mut self, account: u32) {
        self.buckets.values_mut().for_each(|bucket| bucket.retain(|e| e.account != account));
        self.entries = self.buckets.values().map(Vec::len).sum();
    }

    /// The accounts that have an entry.
    pub(crate) fn accounts(&self, seats: &[Seat]) -> impl Iterator<Item = u32> {
        let entries = self.buckets.values().flatten();
        let own = entries.filter(|entry| entry.is_own(seats));
        own.map(|entry| entry.account)
    }

    /// Entries, old ones included, and the bytes that they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        // A map's node holds up to eleven keys and values; two thirds are taken in the mean.
        let node = (size_of::<u32>() + size_of::<Vec<Entry>>()) * 3 / 2;
        let bytes = |entries: &Vec<Entry>| entries.capacity() * size_of::<Entry>() + node;
        (self.entries, self.buckets.values().map(bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_never_falls_and_is_fine() {
        let mut all: Vec<i128> = vec![0, 1, 2, 3, 1 << 24, (1 << 24) + 1, (1 << 25) - 1, 1 << 25];
        for shift in 0..126 {
            for offset in [-3i128, -1, 0, 1, 7] {
                all.push(((1i128 << shift) + offset).max(0));
                all.push((3i128 << shift.min(124)) + offset);
            }
        }
        let negative: Vec<i128> = all.iter().map(|n| -n).collect();
        all.extend(negative);
        all.extend([i128::MAX, i128::MIN]);
        all.sort_unstable();
        for pair in all.windows(2) {
            assert!(code(pair[0]) <= code(pair[1]), "{pair:?}");
        }
        for n in all {
            let least = least(code(n)) as i128;
            assert!(least <= n, "{n} {least}");
            assert!(least == i128::MIN || code(least) == code(n), "{n} {least}");
            assert!(least == i128::MIN || code(least - 1) < code(least), "{n} {least}");
        }
        for n in [1i128 << 30, 77 << 60, 1 - (5 << 90)] {
            assert_eq!(code(n), code(n + n.abs() / (1 << 26)));
            assert!(code(n) < code(n + n.abs() / (1 << 23)), "{n}");
        }
        assert_eq!((code(1) - code(0), code(0) - code(-1)), (1 << 24, 1));
    }

    #[test]
    fn what_is_reached_is_found_and_what_is_old_goes() {
        let mut ladder = Ladder::default();
        let mut seats = vec![Seat::default(); 5000];
        for account in 0..5000u32 {
            let inner = code(i128::from(account) * 1_000_000);
            ladder.push(Entry { inner, outer: inner, account, version: 0 }, &seats);
        }
        let reached = |ladder: &Ladder, danger| {
            let mut found = Vec::new();
            ladder.reached(danger, |entry| {
                found.push(entry.account);
            });
            found.sort_unstable();
            found
        };
        assert_eq!(reached(&ladder, 10_999_999), (0..11).collect::<Vec<u32>>());
        assert_eq!(reached(&ladder, -1), Vec::<u32>::new());
        seats[..10].fill(Seat { version: 1, used: 0 });
        ladder.clean(20_000_000, &seats);
        assert_eq!(reached(&ladder, 10_999_999), vec![10]);
        assert_eq!(ladder.size().0, 4990);
        seats[10..4000].fill(Seat { version: 1, used: 0 });
        ladder.compact(&seats);
        assert_eq!(ladder.size().0, 1000);
    }
}
