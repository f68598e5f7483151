//! What a full square costs: `cargo bench -p atoll-da`.
#![allow(clippy::disallowed_types, reason = "a benchmark needs a clock")]

use atoll_da::{Axis, EncodedSpan, Owner, Position, Repair, Sample, SpanData, Square};
use atoll_da::{sample_positions, samples_for_confidence};
use atoll_types::{B256, EnvironmentId, NetworkId};
use std::time::{Duration, Instant};

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

fn median(runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..runs).map(|_| run()).collect();
    times.sort();
    times[runs / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let out = work();
    (start.elapsed(), out)
}

fn main() {
    let network = NetworkId(B256::ZERO);
    let parts = vec![(Owner::Environment(EnvironmentId(1)), noise(7_890_000))];
    let data = SpanData { first_slot: 1, last_slot: 50, parts };
    let span = EncodedSpan::encode(network, &data, 1).expect("a span");
    assert_eq!(span.squares()[0].width(), 128);
    let original: Vec<u8> = (0..128)
        .flat_map(|row| (0..128).map(move |column| (row, column)))
        .flat_map(|(row, column)| *span.squares()[0].share(row, column).expect("inside"))
        .collect();
    for threads in [1, 2] {
        let time = median(9, || timed(|| Square::extend(&original, threads)).0);
        println!("extend and commit 8 MiB, {threads} thread(s): {time:?}");
    }
    let time = median(5, || timed(|| EncodedSpan::encode(network, &data, 1)).0);
    println!("the same from uncompressible data, compression tried: {time:?}");

    let count = samples_for_confidence(20);
    let positions = sample_positions(span.header(), B256::ZERO, 1_000);
    let (made, samples) = timed(|| {
        let sample = |p: &Position| span.sample(*p, Axis::Row).expect("inside");
        positions.iter().map(sample).collect::<Vec<Sample>>()
    });
    println!("sample made: {:?}", made / 1_000);
    let time = median(9, || {
        timed(|| samples.iter().for_each(|s| s.verify(span.header()).expect("proven"))).0
    });
    let per_second = 1_000.0 / time.as_secs_f64();
    println!("samples verified: {per_second:.0}/s; 20 bits of confidence: {count}");

    let square = &span.squares()[0];
    type Lost = fn(u16, u16) -> bool;
    let lost: [(&str, Lost); 3] = [
        ("originals lost", |row, column| row < 128 && column < 128),
        ("a quarter lost, scattered", |row, column| (row * 7 + column * 13) % 4 == 0),
        ("three quarters lost", |row, column| row >= 128 || column < 128),
    ];
    for (name, lost) in lost {
        let mut repair = Repair::new(0, square.header().clone());
        let (added, ()) = timed(|| {
            for row in 0..256 {
                let tree = square.tree(Axis::Row, row).expect("inside");
                for column in (0..256).filter(|column| !lost(row, *column)) {
                    let share = *square.share(row, column).expect("inside");
                    let sample = Sample {
                        position: Position { square: 0, row, column },
                        axis: Axis::Row,
                        share: atoll_da::Share(share),
                        path: tree.path(column),
                    };
                    repair.add(&sample).expect("proven");
                }
            }
        });
        let time = median(3, || timed(|| repair.clone().run().expect("rebuilt")).0);
        println!("rebuild, {name}: {time:?} (proofs of its shares made and checked in {added:?})");
    }
}
