//! Fuzzing of everything that reads bytes from outside: what a peer, a file or a client may send is
//! decoded, refused or executed, and never panics; what decodes is written again as it was read.
//!
//! The corpus is what a real network wrote and sent; mutants that still decode join it. Runs on
//! stable Rust, for `ATOLL_FUZZ_SECONDS` (5 when not set) in all, from `ATOLL_FUZZ_SEED`; one
//! target alone with `ATOLL_FUZZ_TARGET`. A failure prints the input.

mod doors;
mod mutate;
mod targets;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// Inputs that a target's corpus may have.
const CORPUS_MAX: usize = 2_000;

/// Says whether bytes meant something; a panic is a finding.
type Reading = Box<dyn FnMut(&[u8]) -> bool>;

/// Something that reads bytes.
struct Target {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    read: Reading,
}

impl Target {
    fn new(
        name: &'static str,
        corpus: Vec<Vec<u8>>,
        read: impl FnMut(&[u8]) -> bool + 'static,
    ) -> Self {
        assert!(!corpus.is_empty(), "{name} has no corpus");
        Self { name, corpus, read: Box::new(read) }
    }
}

fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether reading panics.
fn panics(target: &mut Target, input: &[u8]) -> bool {
    std::panic::catch_unwind(AssertUnwindSafe(|| (target.read)(input))).is_err()
}

/// Cuts an input down while it still fails.
fn smallest(target: &mut Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut step = input.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at + step <= input.len() {
            let mut shorter = input.clone();
            shorter.drain(at..at + step);
            if panics(target, &shorter) { input = shorter } else { at += step }
        }
        step /= 2;
    }
    input
}

fn fuzz(target: &mut Target, time: Duration, seed: u64) {
    for input in target.corpus.clone() {
        assert!((target.read)(&input), "{}: the corpus is sound: {}", target.name, hex(&input));
    }
    let mut rng = SmallRng::seed_from_u64(seed);
    let (start, found) = (Instant::now(), target.corpus.len());
    let mut runs = 0u64;
    while start.elapsed() < time {
        for _ in 0..32 {
            let input = mutate::mutant(&target.corpus, &mut rng);
            runs += 1;
            let read = std::panic::catch_unwind(AssertUnwindSafe(|| (target.read)(&input)));
            match read {
                Ok(true) if !target.corpus.contains(&input) => {
                    if target.corpus.len() < CORPUS_MAX {
                        target.corpus.push(input);
                    } else {
                        let at = rng.random_range(found..CORPUS_MAX);
                        target.corpus[at] = input;
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    let input = smallest(target, input);
                    panic!("{} (seed {seed}) panics on {}", target.name, hex(&input));
                }
            }
        }
    }
    let per_s = runs as f64 / start.elapsed().as_secs_f64();
    println!(
        "{:<24} {runs:>9} inputs ({per_s:>7.0}/s), corpus {found} → {}",
        target.name,
        target.corpus.len()
    );
}

#[test]
fn nothing_that_is_read_panics() {
    let seconds: f64 = setting("ATOLL_FUZZ_SECONDS", 5.0);
    let seed: u64 = setting("ATOLL_FUZZ_SEED", 1);
    let only: String = setting("ATOLL_FUZZ_TARGET", String::new());
    let world = targets::World::record();
    let mut targets = targets::all(&world);
    let names: Vec<_> = targets.iter().map(|target| target.name).collect();
    targets.retain(|target| only.is_empty() || target.name == only);
    assert!(!targets.is_empty(), "no target {only}; there are {}", names.join(", "));
    let time = Duration::from_secs_f64(seconds / targets.len() as f64);
    for target in &mut targets {
        fuzz(target, time, seed);
    }
}

#[test]
fn the_fuzzer_finds_what_it_is_there_for() {
    // A length is trusted: the kind of mistake that decoders make.
    let corpus = vec![vec![3, 1, 2, 3], vec![1, 9]];
    let mut naive = Target::new("naive", corpus, |bytes| {
        bytes.first().is_some_and(|length| bytes[1..=usize::from(*length)].len() < 300)
    });
    let run = || fuzz(&mut naive, Duration::from_secs(20), 7);
    let found = std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    let text = found.downcast_ref::<String>().unwrap();
    let input = text.rsplit(' ').next().unwrap();
    assert_eq!(input.len(), 2, "one byte is the smallest such input: {text}");
}
