//! Encodings that cross a wire or stand under a hash. Change one only on purpose, with its version.

mod common;

use atoll_da::{Axis, BadEncodingProof, EncodedSpan, LineShare, Namespace, Position, SpanData};
use atoll_da::{WIDTH_MAX, sample_positions};
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
    let absent = Namespace::of(NETWORK, environment(2)).unwrap();
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
        "0xc5b767f86a4122071b3f798a61b3045ce555d77bf4f1710415476fb52b9aecd6",
        "0xf64e9a0da99e710884ec41d7e7cc7d12c53b9b51d8952e1b329827cdce352fc6",
        "0xbf768d9c668096eb6c45e0b1e73edd643a2363054e412381cbd7589c38fa4d75",
        "0x47dc540c94ceb704a23875c11273e16bb0b8a87aed84de911f2133568115f254",
        "0x72a00c1ede632cdb5f1424c215c80bd5c7823f49b34e5a5667937eaaa8159277",
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
    assert_eq!(full.header().to_bytes().len(), 46_083);
    let position = Position { square: 0, row: 255, column: 0 };
    let sample = full.sample(position, Axis::Row).unwrap();
    assert_eq!(sample.to_bytes().len(), 1_240);
    let share =
        LineShare { position: 0, by: Axis::Row, share: sample.share.clone(), path: sample.path };
    let shares = vec![share; usize::from(WIDTH_MAX)];
    let accusation = BadEncodingProof { square: 0, axis: Axis::Row, index: 0, shares };
    assert_eq!(accusation.to_bytes().len(), 158_215);
    assert_eq!(atoll_da::share::capacity_of(atoll_da::span::SQUARE_SHARES_MAX), 7_897_084);
}
