//! Commands and inputs out of bytes, on the engine and on its naive twin.
#![no_main]

#[path = "../../crates/core/exchange/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzed::check(bytes));
