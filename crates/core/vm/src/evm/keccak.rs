//! KECCAK256 that remembers.
//!
//! Most of what contracts hash are 64 bytes: a key and the slot of a mapping. A transfer of a token hashes the
//! same ones to read a balance and to write it, and so does the next transfer of the same sender.

use super::interpreter::EvmContext;
use alloc::vec;
use alloc::vec::Vec;
use atoll_types::U256;
use core::fmt;
use revm::Database;
use revm::context_interface::Cfg;
use revm::interpreter::instructions::system;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::MemoryTr;
use revm::interpreter::{InstructionContext, InstructionExecResult, Interpreter};

/// Bytes of an input that is remembered.
const INPUT_BYTES: usize = 64;
/// Hashes that are remembered at most: 24 KiB.
const HASHES_MAX: usize = 256;

type Input = [u64; INPUT_BYTES / 8];

#[derive(Clone, Copy)]
struct Known {
    input: Input,
    hash: U256,
}

/// What is known from the beginning: an entry that nothing was put into is no exception.
const OF_ZEROS: Known = Known {
    input: [0; INPUT_BYTES / 8],
    hash: U256::from_limbs([
        0x4058_49e5_97ba_5fb5,
        0x2b36_e491_b30a_40b2,
        0x4284_a544_3f17_f196,
        0xad32_28b6_76f7_d3cd,
    ]),
};

/// Hashes that were computed, each at the one place where it is looked for.
#[derive(Clone, Default)]
pub struct Hashes {
    /// Empty as long as nothing was hashed.
    known: Vec<Known>,
}

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashes")
    }
}

impl Hashes {
    /// Where the hash of an input is, if it is known. Who makes inputs fall together has them hashed as without
    /// this.
    fn place(&mut self, input: &Input) -> &mut Known {
        /// Digits of the golden ratio and of π.
        const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x2438_6a8d_85a3_08d3];
        if self.known.is_empty() {
            self.known = vec![OF_ZEROS; HASHES_MAX];
        }
        let folded = |one: u64, other: u64| {
            let product = u128::from(one ^ ODD[0]) * u128::from(other ^ ODD[1]);
            product as u64 ^ (product >> 64) as u64
        };
        let [a, b, c, d, e, f, g, h] = *input;
        let key = folded(folded(a ^ b, c), d);
        let slot = folded(folded(e ^ f, g), h);
        &mut self.known[folded(key, slot) as usize % HASHES_MAX]
    }
}

/// What an instruction KECCAK256 is about to hash, if it is of that size and within the memory that there is.
fn input(interpreter: &Interpreter<EthInterpreter>) -> Option<Input> {
    let (from, bytes) = (interpreter.stack.peek(0).ok()?, interpreter.stack.peek(1).ok()?);
    if bytes != U256::from(INPUT_BYTES) {
        return None;
    }
    let from = usize::try_from(from).ok()?;
    if from.checked_add(INPUT_BYTES)? > interpreter.memory.size() {
        return None;
    }
    let memory = interpreter.memory.slice_len(from, INPUT_BYTES);
    let mut input = Input::default();
    for (word, bytes) in input.iter_mut().zip(memory.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(input)
}

/// The instruction.
pub(super) fn keccak256<DB: Database>(
    context: InstructionContext<'_, EvmContext<DB>, EthInterpreter>,
) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let Some(input) = input(interpreter) else {
        return system::keccak256(InstructionContext { interpreter, host });
    };
    let known = *host.chain.place(&input);
    let cost = host.cfg.gas_params().keccak256_cost(INPUT_BYTES);
    if known.input == input && interpreter.gas.record_regular_cost(cost) {
        if let Some(([_], top)) = interpreter.stack.popn_top() {
            *top = known.hash;
        }
        return Ok(());
    }
    system::keccak256(InstructionContext { interpreter, host: &mut *host })?;
    if let Ok(hash) = interpreter.stack.peek(0) {
        *host.chain.place(&input) = Known { input, hash };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::keccak256;

    #[test]
    fn zeros_have_their_hash() {
        assert_eq!(OF_ZEROS.hash.to_be_bytes(), keccak256([0; INPUT_BYTES]).0);
    }
}
