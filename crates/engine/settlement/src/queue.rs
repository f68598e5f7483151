//! The hub queue's entries and hashes, word for word as docs/SETTLEMENT.md gives them.

use atoll_types::{Address, B256, EnvironmentId, U256, sha256};

/// Most bytes of data in an entry.
pub const ENTRY_DATA_BYTES_MAX: usize = 32 << 10;

/// What an entry of the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Money for an account in an environment.
    Deposit,
    /// A transaction that the environment must execute.
    Forced,
}

/// One entry of the hub queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in the queue, from 0.
    pub index: u64,
    /// What it is.
    pub kind: EntryKind,
    /// For which environment.
    pub environment: EnvironmentId,
    /// Who called the hub.
    pub from: Address,
    /// Who is credited.
    pub to: Address,
    /// Which token; zero is the hub's native currency.
    pub token: Address,
    /// How much, in the token's smallest unit.
    pub amount: U256,
    /// A forced transaction's bytes.
    pub data: Vec<u8>,
    /// Timestamp of its hub block, seconds.
    pub time_s: u64,
}

/// `H(tag, words…)` of docs/SETTLEMENT.md.
pub fn tagged_hash(tag: &str, words: &[B256]) -> B256 {
    assert!(tag.len() <= 32, "a tag is a 32-byte word");
    let mut head = [0; 32];
    head[..tag.len()].copy_from_slice(tag.as_bytes());
    let mut parts: Vec<&[u8]> = vec![&head];
    parts.extend(words.iter().map(|word| word.as_slice()));
    sha256(&parts)
}

/// A small integer as a word.
pub fn word(value: u64) -> B256 {
    B256::from(U256::from(value))
}

impl Entry {
    /// The entry's hash.
    pub fn hash(&self) -> B256 {
        let kind = match self.kind {
            EntryKind::Deposit => 1,
            EntryKind::Forced => 2,
        };
        tagged_hash(
            "atoll hub entry",
            &[
                word(self.index),
                word(kind),
                word(self.environment.0.into()),
                self.from.into_word(),
                self.to.into_word(),
                self.token.into_word(),
                B256::from(self.amount),
                sha256(&[&self.data]),
                word(self.time_s),
            ],
        )
    }
}

/// The queue's running hash after an entry.
pub fn extend(queue: B256, entry: B256) -> B256 {
    tagged_hash("atoll hub queue", &[queue, entry])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib from the text of docs/SETTLEMENT.md.
    #[test]
    fn hashes_are_those_of_the_specification() {
        let entry = Entry {
            index: 7,
            kind: EntryKind::Deposit,
            environment: EnvironmentId(2),
            from: Address::repeat_byte(0x11),
            to: Address::repeat_byte(0x22),
            token: Address::repeat_byte(0x33),
            amount: U256::from(1_000_000u64),
            data: Vec::new(),
            time_s: 1_700_000_000,
        };
        assert_eq!(entry.hash().to_string(), GOLDEN_DEPOSIT);
        assert_eq!(extend(B256::ZERO, entry.hash()).to_string(), GOLDEN_QUEUE);
        let forced = Entry {
            kind: EntryKind::Forced,
            to: Address::ZERO,
            token: Address::ZERO,
            amount: U256::ZERO,
            data: b"transaction".to_vec(),
            ..entry
        };
        assert_eq!(forced.hash().to_string(), GOLDEN_FORCED);
    }

    const GOLDEN_DEPOSIT: &str =
        "0xeec656c680681276871dd47819b93db0f0f65f1ecbeb850196be64275f2613e7";
    const GOLDEN_QUEUE: &str = "0x940e4112e00946159931c6358678eda23066795254afe6aa148ae6581b6a77ad";
    const GOLDEN_FORCED: &str =
        "0x9f6e2ec077700a0359a347be114a71af4e363bb42d3e69e64a655ea37bd40685";
}
