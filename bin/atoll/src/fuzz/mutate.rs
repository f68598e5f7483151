//! Mutants of a corpus.

use rand::Rng;
use rand::rngs::SmallRng;

/// Longest mutant.
const BYTES_MAX: usize = 64 << 10;
/// Where counters, signs and lengths turn over.
const TELLING: [u8; 9] = [0, 1, 0x7f, 0x80, 0x81, 0xc0, 0xf7, 0xfe, 0xff];

/// One to six changes of an input that was read well.
pub(super) fn mutant(corpus: &[Vec<u8>], rng: &mut SmallRng) -> Vec<u8> {
    let pick = |rng: &mut SmallRng| &corpus[rng.random_range(0..corpus.len())];
    let mut bytes = pick(rng).clone();
    for _ in 0..rng.random_range(1..=6) {
        let other = pick(rng);
        change(&mut bytes, other, rng);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut SmallRng) {
    let length = bytes.len();
    let at = rng.random_range(0..=length);
    let span = |rng: &mut SmallRng, from: usize, length: usize| {
        from..(from + rng.random_range(0..=16)).min(length)
    };
    match rng.random_range(0..9) {
        0 if at < length => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < length => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
        2 if at < length => bytes[at] = bytes[at].wrapping_add(rng.random_range(1..=255)),
        3 => bytes.truncate(at),
        4 => {
            // A number far too large, as varint or as integer of fixed width.
            let huge: &[u8] = match rng.random_range(0..3) {
                0 => &[0xff, 0xff, 0xff, 0xff, 0x0f],
                1 => &[0xff; 8],
                _ => &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            };
            let end = (at + huge.len()).min(length);
            bytes.splice(at..end, huge.iter().copied());
        }
        5 => {
            let from = span(rng, at, length);
            let again = bytes[from].to_vec();
            bytes.splice(at..at, again);
        }
        6 => {
            let gone = span(rng, at, length);
            bytes.drain(gone);
        }
        7 => {
            let from = rng.random_range(0..=other.len());
            let to = rng.random_range(from..=other.len());
            let end = (at + to - from).min(length);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        }
    }
}
