//! Samples prove places, positions are well drawn, and confidence is exact.

mod common;

use atoll_da::{Axis, DaError, DaHeader, Position, Sample, samples_for_confidence};
use atoll_da::{confidence_bits, sample_positions};
use atoll_types::{B256, Decode, Encode};
use common::*;
use std::collections::BTreeSet;

#[test]
fn every_share_is_proven_at_its_place_and_at_no_other() {
    for width in [1, 2, 4] {
        let encoded = span_of_width(7, width);
        let header = encoded.header();
        let extended = 2 * width;
        for row in 0..extended {
            for column in 0..extended {
                for axis in [Axis::Row, Axis::Column] {
                    let sample = encoded.sample(at(row, column), axis).unwrap();
                    sample.verify(header).unwrap();
                    assert_eq!(Sample::from_bytes(&sample.to_bytes()).unwrap(), sample);
                    for (r, c) in (0..extended).flat_map(|r| (0..extended).map(move |c| (r, c))) {
                        let mut moved = sample.clone();
                        moved.position = at(r, c);
                        let same = encoded.squares()[0].share(r, c).unwrap() == &sample.share.0;
                        assert!((r, c) == (row, column) || same || moved.verify(header).is_err());
                    }
                    let mut other = sample.clone();
                    other.axis = axis.orthogonal();
                    assert!(other.verify(header).is_err() || width == 1);
                    let mut other = sample.clone();
                    other.share.0[511] ^= 1;
                    assert!(matches!(other.verify(header), Err(DaError::BadProof { .. })));
                    let mut other = sample.clone();
                    other.path.pop();
                    assert!(other.verify(header).is_err());
                    let mut other = sample.clone();
                    other.path.push(sample.path[0]);
                    assert!(other.verify(header).is_err());
                }
            }
        }
        let sample = encoded.sample(at(0, 0), Axis::Row).unwrap();
        for (square, row, column) in [(1, 0, 0), (0, extended, 0), (0, 0, extended), (9, 9, 9)] {
            let mut beyond = sample.clone();
            beyond.position = Position { square, row, column };
            assert!(matches!(beyond.verify(header), Err(DaError::OutOfRange { .. })));
        }
        assert!(encoded.sample(at(extended, 0), Axis::Row).is_err());
        assert!(encoded.sample(Position { square: 1, row: 0, column: 0 }, Axis::Row).is_err());
    }
}

/// (3/4)^s ≤ 2^-bits ⟺ 3^s · 2^bits ≤ 4^s, in whole numbers.
fn enough(samples: u32, bits: u32) -> bool {
    // Digits in base 2^32, little-endian: 4^309 has 618 bits.
    let multiply = |digits: &mut Vec<u32>, by: u64| {
        let mut carry = 0;
        for digit in digits.iter_mut() {
            let product = u64::from(*digit) * by + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            digits.push(carry as u32);
        }
    };
    let (mut left, mut right) = (vec![1], vec![1]);
    (0..samples).for_each(|_| multiply(&mut left, 3));
    (0..bits).for_each(|_| multiply(&mut left, 2));
    (0..samples).for_each(|_| multiply(&mut right, 4));
    (left.len(), left.iter().rev().collect::<Vec<_>>())
        <= (right.len(), right.iter().rev().collect::<Vec<_>>())
}

#[test]
fn confidence_is_exact() {
    assert_eq!(samples_for_confidence(0), 0);
    for bits in 1..=128 {
        let samples = samples_for_confidence(bits);
        assert!(enough(samples, bits), "{bits}");
        assert!(!enough(samples - 1, bits), "{bits}");
        assert_eq!(confidence_bits(samples), bits);
        assert!(confidence_bits(samples - 1) < bits);
    }
    assert_eq!([10, 20, 40].map(samples_for_confidence), [25, 49, 97]);
    assert_eq!(samples_for_confidence(u32::MAX), samples_for_confidence(128));
}

#[test]
fn positions_differ_lie_inside_and_depend_on_the_seed_alone() {
    let wide = span_of_width(1, 8);
    let narrow = span_of_width(1, 2);
    let squares = [wide.header().squares(), narrow.header().squares()].concat();
    let header = DaHeader::new(squares).unwrap();
    let draw = |byte, count| sample_positions(&header, B256::repeat_byte(byte), count);
    let first = draw(1, 49);
    assert_eq!(first, draw(1, 49));
    assert_ne!(first, draw(2, 49));
    assert_eq!(first.iter().filter(|p| p.square == 0).count(), 49);
    assert_eq!(first.iter().filter(|p| p.square == 1).count(), 16, "all of a small square");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 49 + 16);
    for position in &first {
        let extended = header.squares()[usize::from(position.square)].extended_width();
        assert!(position.row.max(position.column) < extended);
    }
    // 200 draws of 8 out of 256 positions: each position about 6 times.
    let mut hits = [0; 256];
    for seed in 0..200 {
        for p in draw(seed, 8).iter().filter(|p| p.square == 0) {
            hits[usize::from(p.row * 16 + p.column)] += 1;
        }
    }
    assert!(hits.iter().all(|hit| (0..20).contains(hit)));
    assert!(hits.iter().filter(|hit| **hit > 0).count() > 240);
}
