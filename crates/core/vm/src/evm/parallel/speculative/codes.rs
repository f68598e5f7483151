//! Codes that one thread alone holds.

use atoll_types::B256;
use revm::bytecode::Bytecode;
use revm::primitives::B256Map;

/// Most codes that a thread has of its own; of others it shares the count.
const CODES_MAX: usize = 1 << 10;

/// A thread's codes: the bytes are everybody's, the count of who holds them is its own.
#[derive(Debug)]
pub(super) struct Codes {
    empty: Bytecode,
    found: B256Map<Bytecode>,
}

impl Default for Codes {
    fn default() -> Self {
        Self { empty: own(&Bytecode::default()), found: B256Map::default() }
    }
}

impl Codes {
    /// No code.
    pub(super) fn empty(&self) -> Bytecode {
        self.empty.clone()
    }

    pub(super) fn get(&self, hash: B256) -> Option<Bytecode> {
        self.found.get(&hash).cloned()
    }

    /// Keeps the code of a hash, unless there is none. Gives the one to use.
    pub(super) fn keep(&mut self, hash: B256, code: &Bytecode) -> Bytecode {
        if code.is_empty() || self.found.len() >= CODES_MAX {
            return code.clone();
        }
        self.found.entry(hash).or_insert_with(|| own(code)).clone()
    }
}

/// The same code with a count of its own.
#[allow(unsafe_code, reason = "revm has no other way to make a code of one that is analysed")]
fn own(code: &Bytecode) -> Bytecode {
    let Some(table) = code.legacy_jump_table() else { return code.clone() };
    // SAFETY: bytes, with what they are padded by, and table are those of an analysed code.
    unsafe { Bytecode::new_analyzed(code.bytecode().clone(), code.len(), table.clone()) }
}
