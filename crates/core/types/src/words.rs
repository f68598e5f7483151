//! Hashes that the hub's contracts compute too: SHA-256 over 32-byte words.
//!
//! `H(tag, w₁, …)` is `sha256(abi.encode(bytes32(tag), w₁, …))` in Solidity. Every value is a
//! big-endian word; the tag is ASCII, left-aligned. The number of words is fixed by the tag, or the
//! last of them counts the rest, so that no two values share an encoding.

use crate::hash::sha256;
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, U256};

/// A value as a 32-byte big-endian word.
pub trait Word {
    /// The word.
    fn word(&self) -> B256;
}

impl Word for B256 {
    fn word(&self) -> B256 {
        *self
    }
}

impl Word for U256 {
    fn word(&self) -> B256 {
        B256::from(self.to_be_bytes::<32>())
    }
}

impl Word for Address {
    fn word(&self) -> B256 {
        self.into_word()
    }
}

macro_rules! unsigned {
    ($($t:ty),*) => {$(
        impl Word for $t {
            fn word(&self) -> B256 {
                U256::from(*self).word()
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64, u128);

impl Word for bool {
    fn word(&self) -> B256 {
        u8::from(*self).word()
    }
}

/// Two's complement, as Solidity's `int256`.
impl Word for i128 {
    fn word(&self) -> B256 {
        let mut word = [if *self < 0 { 0xff } else { 0 }; 32];
        word[16..].copy_from_slice(&self.to_be_bytes());
        B256::from(word)
    }
}

/// An ASCII tag of at most 32 bytes as a word, left-aligned.
pub const fn tag(text: &str) -> B256 {
    let bytes = text.as_bytes();
    let mut word = [0; 32];
    let mut at = 0;
    while at < bytes.len() {
        word[at] = bytes[at];
        at += 1;
    }
    B256::new(word)
}

/// `H(tag, words…)`.
pub fn hash_words(text: &str, words: &[&dyn Word]) -> B256 {
    let mut bytes = Vec::with_capacity(32 * (words.len() + 1));
    bytes.extend_from_slice(tag(text).as_slice());
    words.iter().for_each(|word| bytes.extend_from_slice(word.word().as_slice()));
    sha256(&[&bytes])
}
