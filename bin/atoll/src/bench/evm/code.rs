//! Small EVM programs that repeat something until little gas is left.

use alloy_primitives::{Address, Bytes};

/// Jumps over a place that fails, which is at [`FAIL`].
const HEAD: [u8; 6] = [0x60, 0x05, 0x56, 0x5b, 0xfe, 0x5b];
const FAIL: u8 = 3;

/// Copies the call data to the beginning of the memory.
pub(super) const LOAD_INPUT: [u8; 4] = [0x36, 0x5f, 0x5f, 0x37];
/// Copies its own code there.
pub(super) const LOAD_OWN_CODE: [u8; 4] = [0x38, 0x5f, 0x5f, 0x39];
/// Puts the first word of the call data on the stack.
pub(super) const FIRST_WORD: [u8; 2] = [0x5f, 0x35];

/// `before`, then `again` as long as more than so much gas is left.
pub(super) fn repeat(before: &[u8], again: &[u8], gas: u32) -> Bytes {
    let mut code = [&HEAD, before].concat();
    let begin = code.len() as u8;
    code.push(0x5b);
    code.extend_from_slice(again);
    // GAS > so much: back to the beginning.
    code.push(0x63);
    code.extend_from_slice(&gas.to_be_bytes());
    code.extend_from_slice(&[0x5a, 0x11, 0x60, begin, 0x57, 0x00]);
    code.into()
}

/// Calls a precompiled contract with the memory's first bytes, as many as there is call data, and fails if
/// it does.
pub(super) fn call_precompile(address: Address) -> Vec<u8> {
    let (before, after) = ([0x5f, 0x5f, 0x36, 0x5f, 0x73], [0x5a, 0xfa, 0x15, 0x60, FAIL, 0x57]);
    [&before[..], address.as_slice(), &after].concat()
}

/// Applies an instruction that takes one word and gives one to a counter, and counts on.
pub(super) fn count(opcode: u8) -> [u8; 6] {
    [0x80, opcode, 0x50, 0x60, 0x01, 0x01]
}

/// Hashes so many bytes of the memory.
pub(super) fn hash_memory(bytes: u32) -> Vec<u8> {
    let [_, a, b, c] = bytes.to_be_bytes();
    vec![0x62, a, b, c, 0x5f, 0x20, 0x50]
}

/// Creates a contract of all the bytes that the memory holds (as many as the call data, or its own code),
/// under a salt that is another one each time.
pub(super) fn create2(size: u8) -> [u8; 6] {
    [0x5a, size, 0x5f, 0x5f, 0xf5, 0x50]
}

/// The instructions that say how long call data and code are.
pub(super) const CALLDATASIZE: u8 = 0x36;
pub(super) const CODESIZE: u8 = 0x38;
pub(super) const EXTCODESIZE: u8 = 0x3b;
pub(super) const SLOAD: u8 = 0x54;
