//! `celestia-types` is the reference: the same shares, squares, roots and proofs.

mod common;

use atoll_da::{Axis, EncodedSpan, Namespace, Owner, SHARE_BYTES, SpanData};
use celestia_types::nmt::Namespace as TheirNamespace;
use celestia_types::{Blob, DataAvailabilityHeader, ExtendedDataSquare, Share as TheirShare};
use common::*;

fn theirs(span: &EncodedSpan, square: usize) -> ExtendedDataSquare {
    let square = &span.squares()[square];
    let width = square.width();
    let originals = (0..width).flat_map(|row| (0..width).map(move |column| (row, column)));
    let originals = originals.map(|(row, column)| square.share(row, column).unwrap().to_vec());
    ExtendedDataSquare::from_ods(originals.collect()).unwrap()
}

#[test]
fn squares_and_roots_are_celestias() {
    for width in [1, 2, 4, 8, 16, 32] {
        let ours = span_of_width(u64::from(width), width);
        let eds = theirs(&ours, 0);
        let square = &ours.squares()[0];
        for (index, share) in eds.data_square().iter().enumerate() {
            let extended = usize::from(square.extended_width());
            let (row, column) = ((index / extended) as u16, (index % extended) as u16);
            assert_eq!(
                share.as_ref(),
                square.share(row, column).unwrap(),
                "{width} {row} {column}"
            );
        }
        let dah = DataAvailabilityHeader::from_eds(&eds);
        let bytes = |roots: &[celestia_types::nmt::NamespacedHash]| -> Vec<Vec<u8>> {
            roots.iter().map(|root| root.iter().collect()).collect()
        };
        let mine = |axis| -> Vec<Vec<u8>> {
            square.header().roots(axis).iter().map(|root| root.bytes().to_vec()).collect()
        };
        assert_eq!(bytes(dah.row_roots()), mine(Axis::Row));
        assert_eq!(bytes(dah.column_roots()), mine(Axis::Column));
        assert_eq!(dah.hash().as_bytes(), ours.data_root().as_slice());
    }
}

#[test]
fn the_empty_span_is_celestias_empty_block() {
    let empty = encode(&SpanData { first_slot: 1, last_slot: 1, parts: Vec::new() });
    let theirs = DataAvailabilityHeader::from_eds(&ExtendedDataSquare::empty());
    assert_eq!(theirs.hash().as_bytes(), empty.data_root().as_slice());
    // Known to every Celestia node.
    assert_eq!(
        format!("{}", empty.data_root()),
        "0x3d96b7d238e7e0456f6af8e7cdf0a67bd6cf9c2089ecb559c659dcaa1f880353"
    );
}

#[test]
fn parts_are_blobs_and_namespace_proofs_are_theirs() {
    let data = span(3, &[100, 5_000, 40_000]);
    let ours = encode(&data);
    let eds = theirs(&ours, 0);
    let dah = DataAvailabilityHeader::from_eds(&eds);
    for (owner, _) in &data.parts {
        let namespace = Namespace::of(NETWORK, *owner).unwrap();
        let their_namespace = TheirNamespace::from_raw(namespace.as_bytes()).unwrap();
        let proof = ours.namespace_proof(namespace);
        let rows = eds.get_namespace_data(their_namespace, &dah, 1).unwrap();
        assert_eq!(rows.len(), proof.squares[0].len());
        let mut shares: Vec<TheirShare> = Vec::new();
        for ((id, theirs), ours) in rows.iter().zip(&proof.squares[0]) {
            theirs.verify(*id, &dah).unwrap();
            assert_eq!(id.row_index(), ours.row);
            assert_eq!(theirs.proof.start_idx(), u32::from(ours.start));
            let siblings: Vec<Vec<u8>> =
                theirs.proof.siblings().iter().map(|node| node.iter().collect()).collect();
            let nodes: Vec<Vec<u8>> = ours.nodes.iter().map(|n| n.bytes().to_vec()).collect();
            assert_eq!(siblings, nodes);
            shares.extend(ours.shares.iter().map(|s| TheirShare::from_raw(&s.0).unwrap()));
        }
        let blob = Blob::reconstruct(&shares).unwrap();
        let stream = proof.verify(ours.header(), namespace).unwrap().unwrap();
        assert_eq!(blob.data, stream);
        // And the shares that they make of the blob are the shares that we made of it.
        let again = Blob::new(their_namespace, stream, None).unwrap().to_shares().unwrap();
        assert_eq!(again, shares);
    }
}

#[test]
fn absence_is_proven_as_they_do() {
    let ours = encode(&span(4, &[9_000, 9_000, 9_000]));
    let eds = theirs(&ours, 0);
    let dah = DataAvailabilityHeader::from_eds(&eds);
    let mut proven_by_a_leaf = 0;
    for id in [1, 3, 7, 1_000] {
        let namespace = Namespace::of(NETWORK, environment(id)).unwrap();
        let their_namespace = TheirNamespace::from_raw(namespace.as_bytes()).unwrap();
        let rows = eds.get_namespace_data(their_namespace, &dah, 1).unwrap();
        let proof = ours.namespace_proof(namespace);
        assert_eq!(proof.verify(ours.header(), namespace).unwrap(), None);
        assert_eq!(rows.len(), proof.squares[0].len());
        for ((id, theirs), ours) in rows.iter().zip(&proof.squares[0]) {
            theirs.verify(*id, &dah).unwrap();
            assert_eq!(theirs.proof.start_idx(), u32::from(ours.start));
            let siblings: Vec<Vec<u8>> =
                theirs.proof.siblings().iter().map(|node| node.iter().collect()).collect();
            let nodes: Vec<Vec<u8>> = ours.nodes.iter().map(|n| n.bytes().to_vec()).collect();
            assert_eq!(siblings, nodes);
            proven_by_a_leaf += 1;
        }
    }
    assert!(proven_by_a_leaf > 0);
}

#[test]
fn the_limits_are_theirs() {
    use celestia_types::consts::appconsts;
    assert_eq!(appconsts::SHARE_SIZE, SHARE_BYTES);
    assert_eq!(TheirNamespace::TAIL_PADDING.as_bytes(), Namespace::TAIL_PADDING.as_bytes());
    assert_eq!(TheirNamespace::PARITY_SHARE.as_bytes(), Namespace::PARITY.as_bytes());
    for owner in [environment(0), environment(u32::MAX - 1), Owner::Headers] {
        let ours = Namespace::of(NETWORK, owner).unwrap();
        assert!(!TheirNamespace::from_raw(ours.as_bytes()).unwrap().is_reserved());
    }
}
