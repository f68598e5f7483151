//! The committed inputs of the fuzz targets, on stable Rust: what fuzzing once found stays fixed.

use crate::common::{decoded, fuzzed};
use std::path::Path;

/// Runs every input of a target; says which one it was that failed.
fn replay(target: &str, check: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "{} has lost its inputs", root.display());
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
            eprintln!("the input was {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn histories_that_fuzzing_kept() {
    replay("exchange", fuzzed::check);
}

#[test]
fn encodings_that_fuzzing_kept() {
    replay("decode", decoded::check);
}
