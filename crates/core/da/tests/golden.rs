//! Encodings that cross a wire or stand under a hash. Change one only on purpose, with its version.

mod common;

use atoll_da::{Axis, BadEncodingProof, EncodedSpan, LineShare, Namespace, Position, SpanData};
use atoll_da::{DaHeader, Node, SquareHeader, WIDTH_MAX, sample_positions};
use atoll_types::{B256, Encode};
use common::*;

fn small() -> EncodedSpan {
    // Noise is stored: nothing here depends on a compressor's choices.
    encode(&SpanData {
        first_slot: 10,
        last_slot: 59,
        parts: vec![(environment(1), noise(1, 900)), (environment(4), noise(2, 300))],
    })
}

#[test]
fn hashes_of_all_encodings_are_golden() {
    let span = small();
    let namespace = Namespace::of(NETWORK, environment(1)).unwrap();
    let absent = Namespace::of(NETWORK, environment(300)).unwrap();
    let sample = span.sample(at(1, 2), Axis::Column).unwrap();
    let share = LineShare {
        position: 1,
        by: Axis::Column,
        share: sample.share.clone(),
        path: sample.path.clone(),
    };
    let accusation =
        BadEncodingProof { square: 0, axis: Axis::Row, index: 3, shares: vec![share; 2] };
    let stream = span.namespace_proof(namespace).verify(span.header(), namespace).unwrap();
    let golden = [
        ("data root", format!("{}", span.data_root())),
        ("header", hash_of(&span.header().to_bytes())),
        ("sample", hash_of(&sample.to_bytes())),
        ("presence", hash_of(&span.namespace_proof(namespace).to_bytes())),
        ("absence", hash_of(&span.namespace_proof(absent).to_bytes())),
        ("accusation", hash_of(&accusation.to_bytes())),
        ("stream", hash_of(&stream.unwrap())),
    ];
    let expected = [
        "0xa54dbfb5b658b0316635937fd365016eee86b654f2350681d62199fb1d6a71f7",
        "0x98caff88c011932e27e7faedf86cf36734dde3408431e8a49498cff5d64a7acc",
        "0x0e75bb428f88910f91ebab9f75b8a1436bf255223aca3f38ac9aeccc1aeddd83",
        "0x681cb76f3520a4035677278cbe72485f42f907fe67d08e5a40f01295ca525cb0",
        "0x7f39d58d52e16b099fd85d3be4eb05e851e95d171effd5ff26833e7b854765d1",
        "0xc8acccef2b3be9dc9535c2fc1ec622c1bbd8318caae610fa4e6df917d31cf014",
        "0xa64bef021e7e5cae6c2df0f8306d14cec98b4370a2e5fe7e5f450d21f40da015",
    ];
    assert_eq!(golden.each_ref().map(|(_, hash)| hash.as_str()), expected);
}

#[test]
fn the_root_of_several_squares_is_golden() {
    let several = EncodedSpan::from_squares([small().squares(), small().squares()].concat());
    assert_eq!(
        format!("{}", several.unwrap().data_root()),
        "0xa54d3076633924fa3313bbd7e41d81463939c6ee67005d6439111e73a6bf5a01"
    );
}

#[test]
fn sampled_positions_are_golden() {
    let drawn = sample_positions(small().header(), B256::repeat_byte(7), 4);
    let cells: Vec<(u16, u16)> = drawn.iter().map(|p| (p.row, p.column)).collect();
    assert_eq!(cells, [(0, 1), (2, 0), (2, 2), (3, 3)]);
}

#[test]
fn sizes_are_as_documented() {
    let full = span_of_width(1, WIDTH_MAX);
    // Of its 512 roots half are parity; rows mostly hold one namespace, columns several.
    assert_eq!(full.header().to_bytes().len(), 28_093);
    let mut sizes = [(0, 255), (255, 0), (0, 0)].map(|(row, column)| {
        let position = Position { square: 0, row, column };
        full.sample(position, Axis::Row).unwrap().to_bytes().len()
    });
    sizes.sort_unstable();
    assert_eq!(sizes, [784, 813, 987]);
    let sample = full.sample(at(0, 0), Axis::Row).unwrap();
    let share =
        LineShare { position: 0, by: Axis::Row, share: sample.share.clone(), path: sample.path };
    let shares = vec![share; usize::from(WIDTH_MAX)];
    let accusation = BadEncodingProof { square: 0, axis: Axis::Row, index: 0, shares };
    assert_eq!(accusation.to_bytes().len(), 125_831);
    assert_eq!(atoll_da::share::capacity_of(atoll_da::span::SQUARE_SHARES_MAX), 7_897_084);
}

#[test]
fn sizes_are_bounded_as_documented() {
    // With two namespaces in each node, which no tree has throughout.
    let node = Node {
        min: Namespace::from_bytes([1; 29]),
        max: Namespace::from_bytes([2; 29]),
        hash: [0; 32],
    };
    let square = SquareHeader::new(vec![node; 256], vec![node; 256]).unwrap();
    let header = DaHeader::new(vec![square]).unwrap();
    assert_eq!(header.to_bytes().len(), 46_595);
    let full = span_of_width(1, WIDTH_MAX);
    let mut sample = full.sample(at(0, 0), Axis::Row).unwrap();
    sample.path = vec![node; 8];
    assert_eq!(sample.to_bytes().len(), 1_248);
    let share =
        LineShare { position: 0, by: Axis::Row, share: sample.share.clone(), path: sample.path };
    let shares = vec![share; usize::from(WIDTH_MAX)];
    let accusation = BadEncodingProof { square: 0, axis: Axis::Row, index: 0, shares };
    assert_eq!(accusation.to_bytes().len(), 159_239);
}
