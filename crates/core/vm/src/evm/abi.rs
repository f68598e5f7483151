//! Words of Solidity's ABI, as the calls and logs of the system contracts need them.

use alloc::vec::Vec;
use atoll_types::{Address, U256, keccak256};

pub(super) fn selector(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature.as_bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

pub(super) fn put_word(out: &mut Vec<u8>, value: U256) {
    out.extend_from_slice(&value.to_be_bytes::<32>());
}

/// A `string` or `bytes`: its length, then it, padded to whole words.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_word(out, U256::from(bytes.len()));
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(32), 0);
}

pub(super) fn word_of(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// An address that a word holds; none where there is more in it.
pub(super) fn address_of(word: &[u8]) -> Option<Address> {
    let (high, low) = word.split_at_checked(12)?;
    high.iter().all(|byte| *byte == 0).then(|| Address::try_from(low).ok())?
}

/// What stands for a single argument of type `bytes`; none where it is anything else.
pub(super) fn sole_bytes(data: &[u8], bytes_max: usize) -> Option<&[u8]> {
    let (head, rest) = data.split_at_checked(64)?;
    let [start, length] = [&head[..32], &head[32..]].map(|word| U256::from_be_slice(word));
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max)?;
    let whole = start == U256::from(32) && rest.len() == length.next_multiple_of(32);
    whole.then(|| &rest[..length])
}
