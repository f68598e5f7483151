//! Spans go in and come out; what is hostile is refused.

mod common;

use atoll_da::compress::{PART_HEADER_BYTES, RATIO_MAX};
use atoll_da::{
    Axis, DaError, DaHeader, EncodedSpan, Namespace, NamespaceProof, Owner, Part, SpanData,
};
use atoll_da::{NamespaceRow, Node, SquareHeader, Tree};
use atoll_da::{Repair, Sample, SpanPlan, Square, WIDTH_MAX};
use atoll_types::{Decode, Encode, EnvironmentId};
use common::*;
use proptest::prelude::*;

fn read(span: &EncodedSpan, owner: Owner) -> Option<Part> {
    let namespace = Namespace::of(NETWORK, owner).unwrap();
    let proof = span.namespace_proof(namespace);
    // Everything crosses a wire on the way.
    let proof = NamespaceProof::from_bytes(&proof.to_bytes()).unwrap();
    let header = DaHeader::from_bytes(&span.header().to_bytes()).unwrap();
    assert_eq!(header.data_root(), span.data_root());
    let stream = proof.verify(&header, namespace).unwrap()?;
    Some(Part::from_stream(&stream).unwrap())
}

#[test]
fn parts_come_out_as_they_went_in() {
    let mut data = span(1, &[0, 1, 478, 100_000]);
    data.parts.insert(4, (environment(100), b"compress me ".repeat(5_000)));
    let encoded = encode(&data);
    for (owner, bytes) in &data.parts {
        let part = read(&encoded, *owner).unwrap();
        assert_eq!((part.first_slot, part.last_slot), (10, 59));
        assert_eq!(&part.data, bytes, "{owner:?}");
    }
    assert_eq!(read(&encoded, environment(1)), None);
}

#[test]
fn what_fits_into_no_square_goes_on_in_the_next() {
    // Two and a bit squares, with streams that run over both seams.
    let data = span(2, &[3_000, 7_900_000, 7_000_000, 2_000_000]);
    let encoded = EncodedSpan::encode(NETWORK, &data, 2).unwrap();
    let widths: Vec<u16> = encoded.squares().iter().map(Square::width).collect();
    assert_eq!(widths, [WIDTH_MAX, WIDTH_MAX, 64]);
    for (owner, bytes) in &data.parts {
        assert_eq!(&read(&encoded, *owner).unwrap().data, bytes, "{owner:?}");
    }
    assert_eq!(read(&encoded, environment(1)), None);
    let one = encoded.squares()[2].header().data_root();
    assert_ne!(encoded.data_root(), one);
}

#[test]
fn threads_do_not_change_a_square() {
    let data = span(5, &[60_000, 60_000]);
    let one = EncodedSpan::encode(NETWORK, &data, 1).unwrap();
    for threads in [0, 2, 3, 64, 10_000] {
        let other = EncodedSpan::encode(NETWORK, &data, threads).unwrap();
        assert_eq!(one.header(), other.header());
    }
}

#[test]
fn a_planned_span_is_one_square_and_a_full_one_nearly_fills_it() {
    let mut plan = SpanPlan::new();
    assert!(plan.is_empty());
    let slot = [(environment(1), 150_000), (environment(7), 40_001), (Owner::Headers, 131)];
    let mut slots = 0;
    while plan.fits(&slot) {
        plan.add(&slot);
        slots += 1;
    }
    let parts = |slots: u64| {
        let part = |(owner, bytes): &(Owner, u64)| (*owner, noise(1, (bytes * slots) as usize));
        slot.iter().map(part).collect()
    };
    let squares = |slots| {
        let span = SpanData { first_slot: 1, last_slot: slots, parts: parts(slots) };
        EncodedSpan::encode(NETWORK, &span, 2).unwrap().squares().len()
    };
    assert_eq!(slots, 41);
    assert_eq!(squares(slots), 1);
    assert_eq!(squares(slots + 1), 2);
    plan.clear();
    assert!(plan.fits(&slot));
    assert!(!plan.fits(&[(environment(1), u64::MAX), (environment(1), 1)]));
}

#[test]
fn spans_that_are_none_are_refused() {
    let refuse = |span: SpanData| EncodedSpan::encode(NETWORK, &span, 1).unwrap_err();
    let twice = vec![(environment(1), vec![1]), (environment(1), vec![2])];
    let span = |first_slot, parts| SpanData { first_slot, last_slot: 5, parts };
    assert!(matches!(refuse(span(6, Vec::new())), DaError::BadSpan(_)));
    assert!(matches!(refuse(span(1, twice)), DaError::BadSpan(_)));
    let nobody = Owner::Environment(EnvironmentId(u32::MAX));
    assert!(matches!(refuse(span(1, vec![(nobody, vec![1])])), DaError::BadSpan(_)));
    let large = vec![0; atoll_da::PART_BYTES_MAX + 1];
    let error = refuse(span(1, vec![(environment(1), large)]));
    assert!(matches!(error, DaError::PartTooLarge { part: 0, .. }));
    assert!(matches!(Square::extend(&[0; 512 * 2], 1), Err(DaError::BadSquare(_))));
    assert!(matches!(Square::extend(&[], 1), Err(DaError::BadSquare(_))));
    let falling: Vec<u8> = [[9; 512], [8; 512], [7; 512], [6; 512]].concat();
    assert!(matches!(Square::extend(&falling, 1), Err(DaError::BadSquare(_))));
}

#[test]
fn hostile_streams_are_refused_before_they_cost_memory() {
    let stream = |data: &[u8]| {
        let span =
            SpanData { first_slot: 1, last_slot: 1, parts: vec![(environment(1), data.to_vec())] };
        let namespace = Namespace::of(NETWORK, environment(1)).unwrap();
        let encoded = encode(&span);
        encoded.namespace_proof(namespace).verify(encoded.header(), namespace).unwrap().unwrap()
    };
    let good = stream(&b"an order and ".repeat(40));
    assert_eq!(good[1], 1, "it is compressed");
    assert!(Part::from_stream(&good).is_ok());
    for cut in 0..good.len() {
        assert!(Part::from_stream(&good[..cut]).is_err());
    }
    let with = |index: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[index..index + bytes.len()].copy_from_slice(bytes);
        Part::from_stream(&bad).unwrap_err()
    };
    assert!(with(0, &[2]).to_string().contains("version"));
    assert!(with(1, &[9]).to_string().contains("unknown way"));
    assert!(with(1, &[0]).to_string().contains("another length"));
    assert!(with(18, &u32::MAX.to_le_bytes()).to_string().contains("larger than a part"));
    assert!(with(18, &521u32.to_le_bytes()).to_string().contains("another length"));
    assert!(with(18, &519u32.to_le_bytes()).to_string().contains("decompressed"));
    assert!(with(22, &[!good[22]]).to_string().contains("another hash"));
    // What compresses too well to be read back is stored.
    let zeros = stream(&vec![0; 200_000]);
    assert_eq!(zeros.len(), PART_HEADER_BYTES + 200_000);
    assert_eq!(RATIO_MAX, 64);
}

#[test]
fn a_namespace_proof_that_leaves_something_out_is_refused() {
    let data = span(6, &[3_000, 20_000, 3_000]);
    let encoded = encode(&data);
    let namespace = Namespace::of(NETWORK, environment(2)).unwrap();
    let good = encoded.namespace_proof(namespace);
    let header = encoded.header();
    assert!(good.verify(header, namespace).unwrap().is_some());
    assert!(good.squares[0].len() > 3);
    let refused = |change: &dyn Fn(&mut NamespaceProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.verify(header, namespace).unwrap_err()
    };
    refused(&|p| p.squares.clear());
    refused(&|p| p.squares[0].clear());
    refused(&|p| {
        let _ = p.squares[0].pop();
    });
    refused(&|p| {
        let _ = p.squares[0].remove(1);
    });
    refused(&|p| p.squares[0].swap(1, 2));
    refused(&|p| p.squares[0][1].row += 1);
    for row in 0..good.squares[0].len() {
        refused(&|p| {
            let _ = p.squares[0][row].shares.pop();
        });
        refused(&|p| {
            let _ = p.squares[0][row].shares.remove(0);
        });
        refused(&|p| p.squares[0][row].start += 1);
        refused(&|p| p.squares[0][row].shares.clear());
        refused(&|p| p.squares[0][row].shares[0].0[100] ^= 1);
        refused(&|p| {
            let extra = p.squares[0][row].shares[0].clone();
            p.squares[0][row].shares.push(extra);
        });
    }
    refused(&|p| {
        // The last row also holds shares of the next namespace.
        let row = p.squares[0].last_mut().unwrap();
        let column = row.start + row.shares.len() as u16;
        let next = *encoded.squares()[0].share(row.row, column).unwrap();
        row.shares.push(atoll_da::Share(next));
    });
    refused(&|p| p.squares[0][1].nodes.extend_from_within(..1));
    refused(&|p| p.squares[0][1].nodes.clear());
    refused(&|p| p.squares[0][0].absent = Some(p.squares[0][0].nodes[0]));
    // True shares with true nodes, yet not all of them.
    let square = &encoded.squares()[0];
    for row in 0..good.squares[0].len() {
        let whole = &good.squares[0][row];
        let tree = square.tree(Axis::Row, whole.row).unwrap();
        let count = whole.shares.len();
        for (from, to) in (0..count).flat_map(|from| (from + 1..=count).map(move |to| (from, to))) {
            let part = |p: &mut NamespaceProof| {
                let row = &mut p.squares[0][row];
                let start = row.start;
                row.start = start + from as u16;
                row.shares = row.shares[from..to].to_vec();
                row.nodes = tree.range(row.start, start + to as u16);
            };
            if (from, to) == (0, count) {
                let mut same = good.clone();
                part(&mut same);
                assert_eq!(same, good);
            } else {
                refused(&part);
            }
        }
    }
    // Absence cannot be claimed with a leaf of another place, nor with the namespace's own.
    for column in 0..encoded.squares()[0].extended_width() {
        let row = good.squares[0][0].row;
        let tree = encoded.squares()[0].tree(Axis::Row, row).unwrap();
        refused(&|p| {
            let row = &mut p.squares[0][0];
            row.shares.clear();
            row.start = column;
            row.absent = tree.leaf(usize::from(column)).copied();
            row.nodes = tree.range(column, column + 1);
        });
    }
}

#[test]
fn shares_that_state_another_namespace_than_they_are_hashed_under_are_refused() {
    let namespace = Namespace::of(NETWORK, environment(1)).unwrap();
    let other = encode(&SpanData {
        first_slot: 1,
        last_slot: 1,
        parts: vec![(environment(2), vec![1; 5])],
    });
    let square = &other.squares()[0];
    let liar = Node::leaf(namespace, square.share(0, 0).unwrap());
    let parity = *square.tree(Axis::Row, 0).unwrap().leaf(1).unwrap();
    let tree = Tree::new(&[liar, parity]).unwrap();
    let columns = square.header().roots(Axis::Column).to_vec();
    let rows = vec![tree.root(), square.header().roots(Axis::Row)[1]];
    let header = DaHeader::new(vec![SquareHeader::new(rows, columns).unwrap()]).unwrap();
    let row = NamespaceRow {
        row: 0,
        start: 0,
        shares: vec![atoll_da::Share(*square.share(0, 0).unwrap())],
        absent: None,
        nodes: tree.range(0, 1),
    };
    let proof = NamespaceProof { squares: vec![vec![row]] };
    let error = proof.verify(&header, namespace).unwrap_err();
    assert!(matches!(error, DaError::BadNamespaceProof { .. }), "{error}");
}

#[test]
fn what_is_there_cannot_be_denied_and_what_is_not_cannot_be_made_up() {
    let parts = [1, 3, 5].map(|id| (environment(id), noise(1, 100))).to_vec();
    let encoded = encode(&SpanData { first_slot: 1, last_slot: 1, parts });
    let square = &encoded.squares()[0];
    let tree = square.tree(Axis::Row, 0).unwrap();
    let of = |id| Namespace::of(NETWORK, environment(id)).unwrap();
    // Environment 1 has one share, the first: its own leaf must not pass for its absence.
    let denial = NamespaceRow {
        row: 0,
        start: 0,
        shares: Vec::new(),
        absent: tree.leaf(0).copied(),
        nodes: tree.range(0, 1),
    };
    let deny = NamespaceProof { squares: vec![vec![denial]] };
    assert!(deny.verify(encoded.header(), of(1)).is_err());
    // Environment 2 has none, and a good proof of that must not carry any.
    let mut invent = encoded.namespace_proof(of(2));
    assert_eq!(invent.verify(encoded.header(), of(2)), Ok(None));
    assert_eq!(invent.squares[0].len(), 1);
    let mut share = *square.share(0, 0).unwrap();
    share[..29].copy_from_slice(of(2).as_bytes());
    invent.squares[0][0].shares.push(atoll_da::Share(share));
    assert!(invent.verify(encoded.header(), of(2)).is_err());
    // Nor may a row that cannot hold any.
    let mut invent = encoded.namespace_proof(of(9));
    assert_eq!(invent.verify(encoded.header(), of(9)), Ok(None));
    invent.squares[0].insert(0, encoded.namespace_proof(of(1)).squares[0][0].clone());
    assert!(invent.verify(encoded.header(), of(9)).is_err());
}

#[test]
fn malformed_sequences_are_refused() {
    let read = |change: &dyn Fn(&mut Vec<u8>)| {
        let namespace = Namespace::of(NETWORK, environment(1)).unwrap();
        let square = &span_of_width(3, 2).squares()[0].clone();
        let one = square.share(0, 0).unwrap();
        assert_eq!(&one[..29], namespace.as_bytes());
        // Four shares of the one namespace, of which the last is not full.
        let mut shares = vec![0; 4 * 512];
        for share in shares.chunks_mut(512) {
            share[..29].copy_from_slice(namespace.as_bytes());
        }
        shares[29] = 1;
        shares[30..34].copy_from_slice(&1_500u32.to_be_bytes());
        change(&mut shares);
        let span = EncodedSpan::from_squares(vec![Square::extend(&shares, 1).unwrap()]).unwrap();
        span.namespace_proof(namespace).verify(span.header(), namespace)
    };
    assert_eq!(read(&|_| ()).unwrap().unwrap(), vec![0; 1_500]);
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let changes: [Change<'_>; 7] = [
        &|shares| shares[29] = 0,
        &|shares| shares[29] = 3,
        &|shares| shares[512 + 29] = 1,
        &|shares| shares[2_047] = 1,
        &|shares| shares[30..34].copy_from_slice(&1_000u32.to_be_bytes()),
        &|shares| shares[30..34].copy_from_slice(&2_000u32.to_be_bytes()),
        &|shares| shares[30..34].copy_from_slice(&u32::MAX.to_be_bytes()),
    ];
    for change in changes {
        assert!(matches!(read(change), Err(DaError::BadPart(_))));
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_span_comes_out_as_it_went_in(
        lengths in prop::collection::vec(0usize..6_000, 0..6),
        seed in any::<u64>(),
        repeat in any::<bool>(),
    ) {
        let mut data = span(seed >> 8, &lengths);
        if repeat {
            data.parts.iter_mut().for_each(|(_, bytes)| *bytes = bytes.repeat(3));
        }
        let encoded = encode(&data);
        for (owner, bytes) in &data.parts {
            prop_assert_eq!(&read(&encoded, *owner).unwrap().data, bytes);
        }
        prop_assert_eq!(read(&encoded, environment(3)), None);
    }

    #[test]
    fn mutated_bytes_never_panic_and_never_verify_as_something_else(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let encoded = encode(&span(8, &[2_000, 900]));
        let namespace = Namespace::of(NETWORK, environment(0)).unwrap();
        let proof = encoded.namespace_proof(namespace);
        let good = proof.verify(encoded.header(), namespace).unwrap();
        let mutate = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let index = at.index(bytes.len());
            bytes[index] ^= value;
            bytes
        };
        let proof_bytes = proof.to_bytes();
        let header_bytes = encoded.header().to_bytes();
        let position = common::at(1, 2);
        let sample = encoded.sample(position, Axis::Column).unwrap();
        if let Ok(proof) = NamespaceProof::from_bytes(&mutate(&proof_bytes))
            && let Ok(read) = proof.verify(encoded.header(), namespace)
        {
            prop_assert_eq!(read, good.clone());
        }
        if let Ok(header) = DaHeader::from_bytes(&mutate(&header_bytes)) {
            prop_assert!(value == 0 || header.data_root() != encoded.data_root());
            if let Ok(read) = proof.verify(&header, namespace) {
                prop_assert_eq!(read, good);
            }
            let mut repair = Repair::new(0, header.squares()[0].clone());
            let _ = repair.add(&sample);
            let _ = repair.run();
        }
        if let Ok(changed) = Sample::from_bytes(&mutate(&sample.to_bytes()))
            && changed.verify(encoded.header()).is_ok()
        {
            prop_assert_eq!(changed, sample.clone());
        }
        fn part(bytes: &[u8], cut: prop::sample::Index) -> &[u8] {
            &bytes[..cut.index(bytes.len())]
        }
        prop_assert!(NamespaceProof::from_bytes(part(&proof_bytes, cut)).is_err());
        prop_assert!(DaHeader::from_bytes(part(&header_bytes, cut)).is_err());
        prop_assert!(Sample::from_bytes(part(&sample.to_bytes(), cut)).is_err());
    }
}
