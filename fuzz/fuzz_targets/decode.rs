//! What the exchange reads, out of bytes: refused, or written back as the same bytes.
#![no_main]

#[path = "../../crates/core/exchange/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::decoded::check(bytes));
