//! A toy VM: programs over numbered cells, and their execution one after the other.

use atoll_vm::parallel::{Admission, Aspect, Batch, Interrupted, Versions, View};
use std::collections::BTreeMap;

/// What a program does. `acc` is its only register, zero in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `acc = acc * 31 + cell`
    Read(u16),
    /// `acc += 1` if the cell is zero
    IsZero(u16),
    /// `cell = acc + n`
    Write(u16, u64),
    /// `cell = cell + n`, where nobody looks at the sum
    Add(u16, u64),
    /// Reads the cell of number `acc % n`
    ReadAt(u16),
    /// Writes `acc` to the cell of number `acc % n`
    WriteAt(u16),
    /// Ends here if `acc` is odd
    StopIfOdd,
    /// Panics if `acc % n` is 1
    PanicAt(u64),
    /// Keeps a thread busy
    Spin(u16),
}

/// Sums above this do not fit.
pub(crate) const CELL_MAX: u64 = u64::MAX >> 8;

/// Programs, each with what it needs of a common budget. One that needs more than is left is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    pub(crate) cells: BTreeMap<u16, u64>,
    pub(crate) list: Vec<(Vec<Op>, u64)>,
    pub(crate) budget: u64,
    /// Whether the batch ends where the budget does.
    pub(crate) ends: bool,
    /// Whether a program is said to follow the one before with the same first operation.
    pub(crate) chains: bool,
    /// A value whose sum does not fit.
    pub(crate) sums_fit_below: Option<u64>,
}

pub(crate) fn spin(turns: u16) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

fn run(
    ops: &[Op],
    read: &mut dyn FnMut(u16, Aspect) -> Result<u64, Interrupted>,
    write: &mut dyn FnMut(u16, Option<u64>, u64) -> Result<(), Interrupted>,
) -> Result<u64, Interrupted> {
    let mut acc = 0_u64;
    for op in ops {
        match *op {
            Op::Read(cell) => acc = acc.wrapping_mul(31).wrapping_add(read(cell, Aspect::Whole)?),
            Op::IsZero(cell) => acc += u64::from(read(cell, Aspect::Presence)? == 0),
            Op::Write(cell, n) => write(cell, Some(acc.wrapping_add(n) & 0xffff), 0)?,
            Op::Add(cell, n) => write(cell, None, n)?,
            Op::ReadAt(n) => {
                let cell = (acc % u64::from(n)) as u16;
                acc = acc.wrapping_mul(31).wrapping_add(read(cell, Aspect::Whole)?);
            }
            Op::WriteAt(n) => write((acc % u64::from(n)) as u16, Some(acc & 0xffff), 0)?,
            Op::StopIfOdd if acc % 2 == 1 => return Ok(acc),
            Op::StopIfOdd => {}
            Op::PanicAt(n) => assert!(acc % n != 1, "planted"),
            Op::Spin(turns) => spin(turns),
        }
    }
    Ok(acc)
}

impl Programs {
    fn sum(&self, value: u64, more: u64) -> Option<u64> {
        value.checked_add(more).filter(|sum| *sum < self.sums_fit_below.unwrap_or(CELL_MAX))
    }

    /// One after the other: what each gave (`None` if refused), and the cells in the end.
    pub(crate) fn serial(&self) -> (Vec<Option<u64>>, BTreeMap<u16, u64>) {
        let (mut cells, mut budget) = (self.cells.clone(), self.budget);
        let mut outputs = Vec::new();
        for (ops, needs) in &self.list {
            if *needs > budget {
                if self.ends {
                    break;
                }
                outputs.push(None);
                continue;
            }
            let mut written: BTreeMap<u16, u64> = BTreeMap::new();
            let before = cells.clone();
            let mut read = |cell: u16, _| Ok(before.get(&cell).copied().unwrap_or_default());
            let mut write = |cell: u16, set: Option<u64>, add: u64| {
                let value = before.get(&cell).copied().unwrap_or_default();
                // What does not fit is left as it is.
                let value = set.unwrap_or_else(|| self.sum(value, add).unwrap_or(value));
                written.insert(cell, value);
                Ok(())
            };
            let output = run(ops, &mut read, &mut write).expect("nothing interrupts it");
            cells.extend(written);
            budget -= needs.min(&(output % 16 + 1));
            outputs.push(Some(output));
        }
        (outputs, cells)
    }
}

/// Cells with the bound of their sums, which [`Batch::sum`] has to know.
pub(crate) type Cell = (u64, u64);

impl Batch for Programs {
    type Key = u16;
    type Value = Cell;
    type Output = u64;
    type Worker<'a> = ();
    type Ledger = u64;

    fn len(&self) -> usize {
        self.list.len()
    }

    fn ledger(&self) -> u64 {
        self.budget
    }

    fn worker<'a>(&'a self, _: &'a dyn Versions<Self>) {}

    fn base(&self, key: &u16) -> Cell {
        let bound = self.sums_fit_below.unwrap_or(CELL_MAX);
        (self.cells.get(key).copied().unwrap_or_default(), bound)
    }

    fn same(aspect: Aspect, one: &Cell, other: &Cell) -> bool {
        match aspect {
            Aspect::Nothing => true,
            Aspect::Presence => (one.0 == 0) == (other.0 == 0),
            Aspect::Whole => one == other,
        }
    }

    fn sum(value: &Cell, addend: &Cell) -> Option<Cell> {
        let sum = value.0.checked_add(addend.0).filter(|sum| *sum < value.1)?;
        Some((sum, value.1))
    }

    fn follows(&self, index: usize) -> Option<usize> {
        let before = &self.list[..index];
        let first = self.list[index].0.first();
        before.iter().rposition(|(ops, _)| ops.first() == first).filter(|_| self.chains)
    }

    fn declared(&self, index: usize) -> Vec<u16> {
        match self.list[index].0.first() {
            Some(Op::Read(cell)) if self.chains => vec![*cell],
            _ => Vec::new(),
        }
    }

    fn execute<'a>(&'a self, (): &mut (), view: &mut View<'a, Self>) -> Result<u64, Interrupted> {
        let bound = self.sums_fit_below.unwrap_or(CELL_MAX);
        let ops = &self.list[view.index()].0;
        let view = std::cell::RefCell::new(view);
        let mut read =
            |cell: u16, aspect| view.borrow_mut().read(cell, aspect).map(|(seen, _)| seen.0);
        let mut write = |cell: u16, set: Option<u64>, add: u64| {
            let mut view = view.borrow_mut();
            match set {
                Some(value) => view.set(cell, (value, bound)),
                None if view.is_exact() => {
                    let (seen, _) = view.read(cell, Aspect::Whole)?;
                    let sum = self.sum(seen.0, add).unwrap_or(seen.0);
                    view.set(cell, (sum, bound));
                }
                None => view.add(cell, (add, bound)),
            }
            Ok(())
        };
        run(ops, &mut read, &mut write)
    }

    fn admit(&self, budget: &u64, index: usize) -> Admission {
        match (self.list[index].1 > *budget, self.ends) {
            (false, _) => Admission::Admitted,
            (true, false) => Admission::Refused,
            (true, true) => Admission::End,
        }
    }

    fn count(&self, budget: &mut u64, index: usize, output: &u64) -> bool {
        *budget -= self.list[index].1.min(output % 16 + 1);
        true
    }
}
