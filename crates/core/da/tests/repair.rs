//! A quarter of the shares may be lost, whichever; more is named.

mod common;

use atoll_da::{Axis, EncodedSpan, Position, Repair, Square, Unrepaired};
use common::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

type Cell = (u16, u16);

fn cells(extended: u16) -> impl Iterator<Item = Cell> {
    (0..extended).flat_map(move |row| (0..extended).map(move |column| (row, column)))
}

/// Rebuilds the span's square from all shares but `lost`, given with proofs of either axis.
fn rebuild(span: &EncodedSpan, lost: &BTreeSet<Cell>) -> Result<Square, Unrepaired> {
    let square = &span.squares()[0];
    let extended = square.extended_width();
    let mut repair = Repair::new(0, square.header().clone());
    let trees: Vec<_> = [Axis::Row, Axis::Column]
        .map(|axis| (0..extended).map(|i| square.tree(axis, i).unwrap()).collect::<Vec<_>>())
        .into();
    for (row, column) in cells(extended).filter(|cell| !lost.contains(cell)) {
        let axis = if (row ^ column) % 3 == 0 { Axis::Row } else { Axis::Column };
        let (index, at) = axis.line(row, column);
        let sample = atoll_da::Sample {
            position: Position { square: 0, row, column },
            axis,
            share: atoll_da::Share(*square.share(row, column).unwrap()),
            path: trees[axis as usize][usize::from(index)].path(at),
        };
        assert!(repair.add(&sample).unwrap());
        assert!(!repair.add(&sample).unwrap());
    }
    assert_eq!(repair.known(), usize::from(extended) * usize::from(extended) - lost.len());
    repair.run()
}

fn assert_rebuilt(span: &EncodedSpan, lost: &BTreeSet<Cell>) {
    let rebuilt = EncodedSpan::from_squares(vec![rebuild(span, lost).unwrap()]).unwrap();
    assert_eq!(rebuilt.data_root(), span.data_root());
    let (old, new) = (&span.squares()[0], &rebuilt.squares()[0]);
    for (row, column) in cells(old.extended_width()) {
        assert_eq!(old.share(row, column), new.share(row, column));
    }
    // It serves as well as the first.
    new.sample(at(1, 0), Axis::Column).unwrap().verify(span.header()).unwrap();
}

#[test]
fn whole_quadrants_bands_and_diagonals_may_be_lost() {
    for width in [1u16, 2, 4, 8] {
        let span = span_of_width(3, width);
        let extended = 2 * width;
        let quarter = usize::from(width) * usize::from(width);
        let patterns: [&dyn Fn(Cell) -> bool; 8] = [
            &|(row, column)| row < width && column < width,
            &|(row, column)| row >= width && column >= width,
            &|(row, column)| row < width && column >= width,
            &|(row, _)| row < width / 2,
            &|(row, _)| row % 4 == 1,
            &|(_, column)| column % 4 == 2,
            &|(row, column)| (row + column) % 4 == 0,
            &|(row, column)| row % 2 == 0 && column % 2 == 0,
        ];
        for pattern in patterns {
            let lost: BTreeSet<Cell> = cells(extended).filter(|cell| pattern(*cell)).collect();
            // The narrowest squares are too small for some patterns.
            if lost.len() <= quarter {
                assert_rebuilt(&span, &lost);
            } else {
                assert_eq!(width, 1);
            }
        }
    }
}

#[test]
fn what_cannot_be_rebuilt_is_named_share_by_share() {
    for width in [1u16, 2, 4, 8] {
        let span = span_of_width(4, width);
        // The least that stops it: width + 1 rows times width + 1 columns.
        let kernel: BTreeSet<Cell> =
            cells(2 * width).filter(|(r, c)| *r <= width && *c <= width).collect();
        let mut lost = kernel.clone();
        lost.insert((2 * width - 1, 2 * width - 1));
        let Err(Unrepaired::Missing(missing)) = rebuild(&span, &lost) else { panic!("{width}") };
        assert_eq!(missing.into_iter().collect::<BTreeSet<_>>(), kernel);
        // One share of it suffices.
        let mut lost = kernel;
        lost.remove(&(0, width));
        assert_rebuilt(&span, &lost);
    }
}

#[test]
fn samples_may_be_added_after_a_failure() {
    let span = span_of_width(5, 4);
    let mut repair = Repair::new(0, span.header().squares()[0].clone());
    for (row, column) in cells(8).filter(|(row, column)| row % 2 == 0 && column % 2 == 1) {
        repair.add(&span.sample(at(row, column), Axis::Row).unwrap()).unwrap();
    }
    let before = repair.known();
    assert_eq!(before, 16, "a quarter is there, and it is enough: half of half of the lines");
    assert!(repair.run().is_ok());

    let mut repair = Repair::new(0, span.header().squares()[0].clone());
    for row in 0..4 {
        for column in 0..3 {
            repair.add(&span.sample(at(row, column), Axis::Row).unwrap()).unwrap();
        }
    }
    let Err(Unrepaired::Missing(missing)) = repair.run() else { panic!() };
    assert_eq!(missing.len(), 64 - 24, "three columns could be rebuilt");
    repair.add(&span.sample(at(7, 7), Axis::Row).unwrap()).unwrap();
    assert!(repair.run().is_err());
    for row in 0..3 {
        repair.add(&span.sample(at(row, 6), Axis::Column).unwrap()).unwrap();
    }
    let square = repair.run().unwrap();
    assert_eq!(square.header(), &span.header().squares()[0]);
}

#[test]
fn samples_of_another_square_are_refused() {
    let span = span_of_width(6, 2);
    let other = span_of_width(7, 2);
    let mut repair = Repair::new(0, span.header().squares()[0].clone());
    assert!(repair.add(&other.sample(at(0, 0), Axis::Row).unwrap()).is_err());
    let mut elsewhere = span.sample(at(0, 0), Axis::Row).unwrap();
    elsewhere.position.square = 1;
    assert!(repair.add(&elsewhere).is_err());
    elsewhere.position = at(4, 0);
    assert!(repair.add(&elsewhere).is_err());
    assert_eq!(repair.known(), 0);
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_quarter_may_be_lost(
        width in prop::sample::select(vec![1u16, 2, 4, 8]),
        seed in any::<u64>(),
        order in any::<u64>(),
    ) {
        let span = span_of_width(seed, width);
        let mut all: Vec<(Vec<u8>, Cell)> = cells(2 * width)
            .map(|cell| (noise(order ^ (u64::from(cell.0) << 20 | u64::from(cell.1)), 8), cell))
            .collect();
        all.sort();
        let quarter = usize::from(width) * usize::from(width);
        let lost = all.into_iter().take(quarter).map(|(_, cell)| cell).collect();
        assert_rebuilt(&span, &lost);
    }

    #[test]
    fn any_loss_is_rebuilt_or_stopped_by_a_kernel(
        seed in any::<u64>(),
        lost in prop::collection::btree_set((0u16..8, 0u16..8), 0..60),
    ) {
        let span = span_of_width(seed, 4);
        match rebuild(&span, &lost) {
            Ok(square) => prop_assert_eq!(square.header(), &span.header().squares()[0]),
            Err(Unrepaired::Missing(missing)) => {
                // The naive twin: peel lines with at most half missing until none is left.
                let mut left = lost.clone();
                loop {
                    let before = left.len();
                    for axis in [Axis::Row, Axis::Column] {
                        for index in 0..8 {
                            let of_line = |cell: &Cell| axis.line(cell.0, cell.1).0 == index;
                            if left.iter().filter(|cell| of_line(cell)).count() <= 4 {
                                left.retain(|cell| !of_line(cell));
                            }
                        }
                    }
                    if left.len() == before {
                        break;
                    }
                }
                prop_assert!(!left.is_empty());
                prop_assert_eq!(missing.into_iter().collect::<BTreeSet<_>>(), left);
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
