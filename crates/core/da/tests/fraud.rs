//! Badly encoded squares are proven to be; honest ones cannot be accused.

mod common;

use atoll_da::{Axis, BadEncodingProof, DaHeader, LineShare, NotProven, Repair, Sample, Share};
use atoll_da::{SquareHeader, Unrepaired};
use atoll_types::{Decode, Encode};
use common::*;
use proptest::prelude::*;

const AXES: [Axis; 2] = [Axis::Row, Axis::Column];

fn header_of(square: SquareHeader) -> DaHeader {
    DaHeader::new(vec![square]).unwrap()
}

/// Collects every share of the square but `lost`, as an honest node would, and expects it to end
/// with a proof that holds, after crossing a wire.
fn convict(
    forged: &Forged,
    header: &SquareHeader,
    by: &dyn Fn(u16, u16) -> Axis,
    lost: &dyn Fn(u16, u16) -> bool,
) -> BadEncodingProof {
    let mut repair = Repair::new(0, header.clone());
    for row in 0..forged.extended() {
        for column in (0..forged.extended()).filter(|column| !lost(row, *column)) {
            repair.add(&forged.sample(row, column, by(row, column))).unwrap();
        }
    }
    let Err(Unrepaired::BadEncoding(proof)) = repair.run() else { panic!("it was not noticed") };
    let header = header_of(header.clone());
    assert_eq!(proof.verify(&header), Ok(()));
    assert_eq!(BadEncodingProof::from_bytes(&proof.to_bytes()).unwrap(), *proof);
    *proof
}

/// Under every way in which an honest node may have come by the shares.
fn convict_always(forged: &Forged) -> Vec<BadEncodingProof> {
    let header = forged.header();
    let width = forged.width;
    let mut proofs = Vec::new();
    let bys: [&dyn Fn(u16, u16) -> Axis; 3] =
        [&|_, _| Axis::Row, &|_, _| Axis::Column, &|row, column| {
            AXES[usize::from((row + column) % 2)]
        }];
    let losts: [&dyn Fn(u16, u16) -> bool; 4] = [
        &|_, _| false,
        &|row, column| row < width && column < width,
        &|row, column| row >= width && column >= width,
        &|row, column| (row + column) % 4 == 0,
    ];
    for by in bys {
        for lost in losts {
            proofs.push(convict(forged, &header, by, lost));
        }
    }
    proofs
}

#[test]
fn a_wrong_parity_share_is_proven() {
    for width in [1, 2, 4, 8] {
        let good = Forged::from(&span_of_width(1, width));
        let last = 2 * width - 1;
        for (row, column) in [(0, width), (width, 0), (width, width), (last, last)] {
            let mut forged = good.clone();
            forged.share(row, column)[17] ^= 1;
            convict_always(&forged);
        }
    }
}

#[test]
fn a_wrong_parity_row_and_a_wrong_parity_column_are_proven() {
    for width in [2, 4, 8] {
        for axis in AXES {
            let mut forged = Forged::from(&span_of_width(2, width));
            for position in 0..2 * width {
                let (row, column) = axis.cell(2 * width - 1, position);
                *forged.share(row, column) = noise(u64::from(position), 512).try_into().unwrap();
            }
            convict_always(&forged);
        }
    }
}

#[test]
fn a_line_that_is_a_codeword_of_its_own_is_proven() {
    // The last parity row is a copy of the one above: a codeword, but of another row.
    for axis in AXES {
        let mut forged = Forged::from(&span_of_width(3, 4));
        for position in 0..8 {
            let (from, to) = (axis.cell(6, position), axis.cell(7, position));
            *forged.share(to.0, to.1) = *forged.share(from.0, from.1);
        }
        for proof in convict_always(&forged) {
            assert_eq!(proof.axis, axis.orthogonal());
        }
    }
}

#[test]
fn swapped_and_moved_shares_are_proven() {
    let good = Forged::from(&span_of_width(4, 4));
    for (a, b) in [((4, 4), (5, 6)), ((0, 5), (0, 6)), ((5, 0), (6, 0)), ((1, 4), (4, 1))] {
        let mut forged = good.clone();
        let share = *forged.share(a.0, a.1);
        *forged.share(a.0, a.1) = *forged.share(b.0, b.1);
        *forged.share(b.0, b.1) = share;
        convict_always(&forged);
    }
    // All parity columns rotated by one.
    let mut forged = good.clone();
    for row in 0..8 {
        for column in 4..8 {
            let from = 4 + (column - 3) % 4;
            *forged.share(row, column) = *good.clone().share(row, from);
        }
    }
    convict_always(&forged);
}

#[test]
fn originals_that_parity_contradicts_are_proven() {
    // Originals were changed after extension; also into a namespace out of order.
    let good = Forged::from(&span_of_width(5, 4));
    let mut forged = good.clone();
    forged.share(1, 2)[300] ^= 0x55;
    convict_always(&forged);
}

#[test]
fn rows_and_columns_that_commit_to_different_squares_are_proven() {
    let (one, two) = (Forged::from(&span_of_width(6, 4)), Forged::from(&span_of_width(7, 4)));
    let header = SquareHeader::new(one.roots(Axis::Row), two.roots(Axis::Column)).unwrap();
    // Each half is well encoded, so only shares of the other axis accuse a line.
    let mut repair = Repair::new(0, header.clone());
    for row in 0..8 {
        for column in 0..8 {
            if (row + column) % 2 == 0 {
                repair.add(&one.sample(row, column, Axis::Row)).unwrap();
            } else {
                repair.add(&two.sample(row, column, Axis::Column)).unwrap();
            }
        }
    }
    let Err(Unrepaired::BadEncoding(proof)) = repair.run() else { panic!("it was not noticed") };
    assert_eq!(proof.verify(&header_of(header.clone())), Ok(()));
    // With rows alone, the rows are rebuilt and the columns accused by row proofs.
    let proof = convict(&one, &header, &|_, _| Axis::Row, &|row, column| row == column);
    assert_eq!(proof.axis, Axis::Column);
    assert!(proof.shares.iter().all(|share| share.by == Axis::Row));
}

#[test]
fn what_the_line_decides_depends_on_no_choice_of_shares() {
    // The accused line is a codeword under its own root and one parity share across differs:
    // the first half of the line would acquit it.
    let good = Forged::from(&span_of_width(8, 4));
    let mut other = good.clone();
    other.share(2, 7)[0] ^= 1;
    let mut columns = good.roots(Axis::Column);
    columns[7] = other.tree(Axis::Column, 7).unwrap().root();
    let header = SquareHeader::new(good.roots(Axis::Row), columns).unwrap();
    let mut repair = Repair::new(0, header.clone());
    for column in 0..7 {
        repair.add(&good.sample(2, column, Axis::Column)).unwrap();
    }
    repair.add(&other.sample(2, 7, Axis::Column)).unwrap();
    let Err(Unrepaired::BadEncoding(proof)) = repair.run() else { panic!("it was not noticed") };
    assert_eq!((proof.axis, proof.index), (Axis::Row, 2));
    assert_eq!(proof.shares.last().unwrap().position, 7);
    assert_eq!(proof.verify(&header_of(header)), Ok(()));
}

fn line_share(sample: Sample, position: u16) -> LineShare {
    LineShare { position, by: sample.axis, share: sample.share, path: sample.path }
}

/// An accusation of an honest line, with true shares at their true places.
fn accusation(
    good: &Forged,
    axis: Axis,
    index: u16,
    positions: &[u16],
    by: Axis,
) -> BadEncodingProof {
    let share = |position: &u16| {
        let (row, column) = axis.cell(index, *position);
        line_share(good.sample(row, column, by), *position)
    };
    BadEncodingProof { square: 0, axis, index, shares: positions.iter().map(share).collect() }
}

#[test]
fn shares_from_wrong_places_accuse_nobody() {
    let good = Forged::from(&span_of_width(9, 4));
    let header = header_of(good.header());
    for (axis, by) in AXES.into_iter().flat_map(|axis| AXES.map(|by| (axis, by))) {
        let honest = accusation(&good, axis, 3, &[0, 2, 5, 7], by);
        assert_eq!(honest.verify(&header), Err(NotProven::WellEncoded { axis, index: 3 }));
        let refused = |change: &dyn Fn(&mut BadEncodingProof)| {
            let mut bad = honest.clone();
            change(&mut bad);
            let error = bad.verify(&header).unwrap_err();
            assert!(!matches!(error, NotProven::WellEncoded { .. }), "{error}");
        };
        let more = accusation(&good, axis, 3, &[0, 2, 5, 6, 7], by);
        assert!(matches!(more.verify(&header), Err(NotProven::Malformed(_))));
        // A true share with a true proof, moved along the line: what celestia-types lets pass.
        refused(&|p| p.shares[0].position = 1);
        refused(&|p| p.shares[3].position = 6);
        refused(&|p| {
            let (a, b) = (p.shares[1].position, p.shares[2].position);
            p.shares.swap(1, 2);
            p.shares[1].position = a;
            p.shares[2].position = b;
        });
        // The same line's shares under another index.
        refused(&|p| p.index = 4);
        // Shares of the next line, in place of the line's own.
        refused(&|p| p.shares = accusation(&good, axis, 4, &[0, 2, 5, 7], by).shares);
        refused(&|p| p.shares[0].by = by.orthogonal());
        refused(&|p| p.axis = axis.orthogonal());
        refused(&|p| p.square = 1);
        refused(&|p| p.index = 8);
        refused(&|p| {
            let _ = p.shares.pop();
        });
        refused(&|p| p.shares.extend_from_within(3..));
        refused(&|p| p.shares[1] = p.shares[0].clone());
        refused(&|p| p.shares.reverse());
        refused(&|p| p.shares[3].position = 8);
        refused(&|p| p.shares[2].share.0[9] ^= 1);
        refused(&|p| p.shares[2].path.truncate(2));
        refused(&|p| p.shares[2].path.extend_from_within(..1));
        // A node of the tree passed off as a leaf of a lower tree.
        refused(&|p| p.shares[2].path.rotate_left(1));
        refused(&|p| p.shares[2].path = p.shares[2].path.split_off(1));
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn an_honest_square_is_never_accused(
        width in prop::sample::select(vec![1u16, 2, 4, 8]),
        seed in any::<u64>(),
        axis in prop::sample::select(AXES.to_vec()),
        index in any::<prop::sample::Index>(),
        picks in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()),
            8,
        ),
        honest_position in any::<bool>(),
        sorted in any::<bool>(),
    ) {
        let good = Forged::from(&span_of_width(seed, width));
        let header = header_of(good.header());
        let extended = usize::from(good.extended());
        let index = index.index(extended) as u16;
        // Shares of anywhere in the square, each with a true proof, claimed to be of one line.
        let mut shares: Vec<LineShare> = picks
            .iter()
            .take(usize::from(width))
            .map(|(position, line, by)| {
                let position = position.index(extended) as u16;
                let line = if honest_position { index } else { line.index(extended) as u16 };
                let (row, column) = axis.cell(line, position);
                line_share(good.sample(row, column, AXES[usize::from(*by)]), position)
            })
            .collect();
        if sorted {
            shares.sort_by_key(|share| share.position);
        }
        let proof = BadEncodingProof { square: 0, axis, index, shares };
        prop_assert!(proof.verify(&header).is_err());
    }

    #[test]
    fn any_damage_to_a_square_is_proven(
        seed in any::<u64>(),
        damage in prop::collection::vec((0u16..8, 0u16..8, 1u8..), 1..10),
        lost in prop::collection::btree_set((0u16..8, 0u16..8), 0..16),
    ) {
        let mut forged = Forged::from(&span_of_width(seed, 4));
        let good = forged.clone();
        for (row, column, by) in damage {
            // Beyond the namespace, so that the trees still have roots.
            forged.share(row, column)[200] ^= by;
        }
        prop_assume!(forged.shares != good.shares);
        convict(&forged, &forged.header(), &|_, _| Axis::Row, &|r, c| lost.contains(&(r, c)));
    }

    #[test]
    fn mutated_proofs_never_panic_and_never_accuse(
        at in any::<prop::sample::Index>(),
        value in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let good = Forged::from(&span_of_width(3, 2));
        let header = header_of(good.header());
        let mut bytes = accusation(&good, Axis::Row, 1, &[0, 3], Axis::Column).to_bytes();
        let cut = cut.index(bytes.len());
        prop_assert!(BadEncodingProof::from_bytes(&bytes[..cut]).is_err());
        let index = at.index(bytes.len());
        bytes[index] ^= value;
        if let Ok(proof) = BadEncodingProof::from_bytes(&bytes) {
            prop_assert!(proof.verify(&header).is_err());
        }
    }
}

#[test]
fn a_namespace_out_of_order_has_no_root_and_is_proven() {
    // Row 0 states namespaces out of order. Its shares are proven by the columns, in which they
    // are in order; the row itself has no root, so the header's is a lie.
    let mut forged = Forged::from(&span_of_width(5, 2));
    let (first, second) = (*forged.share(0, 0), *forged.share(1, 1));
    assert_ne!(first[..29], second[..29]);
    let mut columns = Vec::new();
    *forged.share(0, 0) = second;
    *forged.share(1, 0) = second;
    *forged.share(0, 1) = first;
    *forged.share(1, 1) = second;
    assert!(forged.tree(Axis::Row, 0).is_none());
    for column in 0..4 {
        columns.push(forged.tree(Axis::Column, column).unwrap().root());
    }
    let rows = Forged::from(&span_of_width(5, 2)).roots(Axis::Row);
    let header = SquareHeader::new(rows, columns).unwrap();
    let mut repair = Repair::new(0, header.clone());
    for column in 0..2 {
        repair.add(&forged.sample(0, column, Axis::Column)).unwrap();
    }
    let Err(Unrepaired::BadEncoding(proof)) = repair.run() else { panic!("it was not noticed") };
    assert_eq!(proof.verify(&header_of(header)), Ok(()));
    assert_eq!(proof.shares[0].share, Share(second));
}
