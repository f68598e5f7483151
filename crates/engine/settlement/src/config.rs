//! Settings of the engine.

/// Settings of [`crate::Engine`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Time between two looks at the hub, milliseconds.
    pub observe_interval_ms: u64,
    /// How long a request may take; then it has failed, and its answer is ignored.
    pub request_timeout_ms: u64,
    /// Wait after the first failure of a request; doubles with each further one.
    pub retry_ms_min: u64,
    /// Longest wait after a failure.
    pub retry_ms_max: u64,
    /// Oldest head on which something new is posted, milliseconds behind our clock. `u64::MAX` for
    /// a development chain that makes blocks only on demand.
    pub head_age_ms_max: u64,
    /// Transactions that wait for a block at the same time. With 1 (the default) a commitment is
    /// never mined in vain; with more, those behind one that fails revert and are posted again.
    pub in_flight_max: u32,
    /// Transactions mined and not yet final that are remembered; then the engine waits.
    pub unfinal_max: u32,
    /// Hub blocks after which a transaction that waits is replaced by one that pays more.
    pub bump_blocks: u64,
    /// Time after which it is replaced, whatever the blocks say, milliseconds.
    pub bump_ms: u64,
    /// By how much a replacement raises both fees, parts per 1,000. Nodes ask for 100 or 125.
    pub bump_permille: u32,
    /// Highest fee per gas that is ever offered, wei. What needs more waits.
    pub max_fee_cap_wei: u128,
    /// Lowest priority fee per gas that is offered, wei.
    pub tip_min_wei: u128,
    /// How long a pending transaction of our key that is not ours to know keeps its nonce.
    pub stranger_wait_ms: u64,
    /// How often a commitment may revert before posting halts.
    pub reverts_max: u32,
    /// Most blocks in one request for logs.
    pub log_blocks_max: u64,
    /// Most queue entries waiting to be taken; then no more are asked for.
    pub buffer_entries_max: u32,
    /// Most bytes of data in them.
    pub buffer_bytes_max: u32,
    /// How many answers in a row must contradict what was final before the engine halts. Output
    /// stops with the first.
    pub contradictions_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            observe_interval_ms: 3_000,
            request_timeout_ms: 15_000,
            retry_ms_min: 500,
            retry_ms_max: 30_000,
            head_age_ms_max: 300_000,
            in_flight_max: 1,
            unfinal_max: 512,
            bump_blocks: 3,
            bump_ms: 60_000,
            bump_permille: 125,
            max_fee_cap_wei: 500_000_000_000,
            tip_min_wei: 1_000_000,
            stranger_wait_ms: 60_000,
            reverts_max: 3,
            log_blocks_max: 2_000,
            buffer_entries_max: 1_024,
            buffer_bytes_max: 8 << 20,
            contradictions_max: 3,
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("settlement setting `{what}` is {value}: give it a value from {least} to {most}")]
pub struct ConfigError {
    /// Which setting.
    pub what: &'static str,
    /// What it was.
    pub value: u128,
    /// What it must be at least.
    pub least: u128,
    /// What it may be at most.
    pub most: u128,
}

impl Config {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        const HOUR: u64 = 3_600_000;
        let u = u128::from;
        for (what, value, least, most) in [
            ("observe_interval_ms", u(self.observe_interval_ms), 1, u(HOUR)),
            ("request_timeout_ms", u(self.request_timeout_ms), 1, u(HOUR)),
            ("retry_ms_min", u(self.retry_ms_min), 1, u(HOUR)),
            ("retry_ms_max", u(self.retry_ms_max), u(self.retry_ms_min), u(HOUR)),
            ("head_age_ms_max", u(self.head_age_ms_max), 1_000, u(u64::MAX)),
            ("in_flight_max", self.in_flight_max.into(), 1, 64),
            ("unfinal_max", self.unfinal_max.into(), self.in_flight_max.into(), 65_536),
            ("bump_blocks", u(self.bump_blocks), 1, 1_000_000),
            ("bump_ms", u(self.bump_ms), 1, u(24 * HOUR)),
            // Nodes refuse a replacement that pays less than a tenth more.
            ("bump_permille", self.bump_permille.into(), 100, 1_000),
            ("max_fee_cap_wei", self.max_fee_cap_wei, 1, 1 << 100),
            ("tip_min_wei", self.tip_min_wei, 0, self.max_fee_cap_wei),
            ("stranger_wait_ms", u(self.stranger_wait_ms), 0, u(24 * HOUR)),
            ("reverts_max", self.reverts_max.into(), 1, 1_000),
            ("log_blocks_max", u(self.log_blocks_max), 1, 1_000_000),
            ("buffer_entries_max", self.buffer_entries_max.into(), 1, 1 << 20),
            ("buffer_bytes_max", self.buffer_bytes_max.into(), 1 << 16, 1 << 30),
            // The first one asks how deep it goes.
            ("contradictions_max", self.contradictions_max.into(), 2, 1_000),
        ] {
            if value < least || value > most {
                return Err(ConfigError { what, value, least, most });
            }
        }
        Ok(())
    }
}
