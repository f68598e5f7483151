//! The running hash over everything ordered.
//!
//! ```text
//! genesis      r = sha256("atoll running" ‖ network)
//! opening      r = sha256("atoll slot opens" ‖ r ‖ sha256(encoding of the opening))   80 bytes
//! tick begins  r = sha256("atoll tick opens" ‖ r ‖ slot ‖ index ‖ time_us)            68 bytes
//! transaction  r = sha256(r ‖ hash)                                                   64 bytes
//! ```
//!
//! The three steps hash inputs of different lengths, so none can pass for another. The opening
//! holds the hash of the previous header and all inputs; a tick's step stands before its first
//! transaction, so that a confirmation's `after` is the running hash after the last one.

use atoll_types::{B256, Encode, NetworkId, SlotOpening, sha256};

/// The running hash before the first slot.
pub fn genesis(network: &NetworkId) -> B256 {
    sha256(&[b"atoll running", network.0.as_slice()])
}

/// The running hash after a slot's opening.
pub fn open(running: &B256, opening: &SlotOpening) -> B256 {
    let opening = sha256(&[&opening.to_bytes()]);
    sha256(&[b"atoll slot opens", running.as_slice(), opening.as_slice()])
}

/// The running hash before a tick's first transaction: what its confirmation calls `before`.
pub fn begin_tick(running: &B256, slot: u64, index: u32, time_us: u64) -> B256 {
    sha256(&[
        b"atoll tick opens",
        running.as_slice(),
        &slot.to_le_bytes(),
        &index.to_le_bytes(),
        &time_us.to_le_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::confirmation::extend_running;

    #[test]
    fn the_steps_are_golden() {
        let running = genesis(&NetworkId(B256::repeat_byte(1)));
        let running = open(&running, &SlotOpening { slot: 1, ..SlotOpening::default() });
        let running = begin_tick(&running, 1, 0, 7);
        let running = extend_running(&running, &B256::repeat_byte(2));
        assert_eq!(
            running.to_string(),
            "0x35a3c12e1bbb787e1990e5de3300da743c6f7b920e23aba774214073c16ee646"
        );
    }
}
