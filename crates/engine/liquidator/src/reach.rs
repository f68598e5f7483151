//! Whose bounds are reached, and how much of what they have in common that uses.

use crate::ladder::{Entry, Ladder, Seat, code, least};
use atoll_state::{Workers, prefetch};

/// All of what an account's positions do not share.
const ALL: u32 = 1 << 16;
/// Entries ahead of the one read whose accounts are asked for.
const AHEAD: usize = 16;

/// A side of a line, and the danger that it has come to.
pub(crate) struct Side<'a> {
    pub(crate) ladder: &'a Ladder,
    pub(crate) danger: i128,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// Accounts that have used up what they have in common.
    pub(crate) spent: Vec<u32>,
    /// Accounts that have something left.
    pub(crate) waiting: Vec<u32>,
    /// By side: entries whose inner bound is reached, and whether any is still its account's own.
    pub(crate) sides: Vec<(usize, bool)>,
}

/// Some of the accounts, one after the other.
struct Part<'a> {
    first: u32,
    seats: &'a mut [Seat],
    reached: Reached,
}

/// How many entries are to be read.
pub(crate) fn bounds(sides: &[Side<'_>]) -> usize {
    let rows = sides.iter().flat_map(|side| side.ladder.rows(side.danger));
    rows.map(|(row, _)| row.len()).sum()
}

/// Reads all that is reached. Each of so many parts of the accounts reads all entries, which lie in rows,
/// and what is theirs of the accounts, which lie all over the memory.
pub(crate) fn reached(
    sides: &[Side<'_>],
    seats: &mut [Seat],
    (workers, parts): (&mut impl Workers, usize),
) -> Reached {
    let size = seats.len().div_ceil(parts.max(1)).max(1);
    let chunks = seats.chunks_mut(size).zip((0u32..).step_by(size));
    let part = |(seats, first)| Part { first, seats, reached: Reached::default() };
    let mut parts: Vec<Part<'_>> = chunks.map(part).collect();
    workers.each(&mut parts, &|_, part| part.read(sides));
    let mut parts = parts.into_iter().map(|part| part.reached);
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        all.spent.extend(part.spent);
        all.waiting.extend(part.waiting);
        for (side, more) in all.sides.iter_mut().zip(part.sides) {
            // Each has counted them all.
            side.1 |= more.1;
        }
    }
    all
}

impl Part<'_> {
    fn read(&mut self, sides: &[Side<'_>]) {
        self.reached.sides = sides.iter().map(|side| self.side(side)).collect();
        let Self { first, seats, reached: Reached { spent, waiting, .. } } = self;
        waiting.retain(|account| {
            let seat = &mut seats[(account - *first) as usize];
            let waits = std::mem::take(&mut seat.used) < ALL;
            if !waits {
                spent.push(*account);
            }
            waits
        });
    }

    fn side(&mut self, side: &Side<'_>) -> (usize, bool) {
        let (danger, exact) = (code(side.danger), side.danger as f64);
        let (mut read, mut own) = (0, false);
        for (row, mixed) in side.ladder.rows(side.danger) {
            for (nth, entry) in row.iter().enumerate() {
                if let Some(next) =
                    row.get(nth + AHEAD).and_then(|next| self.seats.get(self.at(next)))
                {
                    prefetch::line(next);
                }
                if mixed && entry.inner > danger {
                    continue;
                }
                read += 1;
                let at = self.at(entry);
                let Some(seat) = self.seats.get_mut(at) else { continue };
                if seat.version != entry.version {
                    continue;
                }
                own = true;
                if seat.used == 0 {
                    self.reached.waiting.push(entry.account);
                }
                seat.used = seat.used.saturating_add(used(entry, exact, danger));
            }
        }
        (read, own)
    }

    /// Where an entry's account is; beyond the end if it is of another part.
    fn at(&self, entry: &Entry) -> usize {
        entry.account.wrapping_sub(self.first) as usize
    }
}

/// How much of what is not shared a danger beyond an entry's inner bound uses, rounded up; at least
/// a little. `reached` is its code.
fn used(entry: &Entry, danger: f64, reached: u32) -> u32 {
    if entry.outer <= reached {
        return ALL;
    }
    let (inner, outer) = (least(entry.inner), least(entry.outer));
    // The outer bound is not reached: both differences are positive, and the quotient is below
    // one. That a danger of 2⁸⁰ has lost bits is a 2¹³th of the unit that is added.
    let part = (danger - inner) / (outer - inner);
    (part * f64::from(ALL)) as u32 + 1
}
