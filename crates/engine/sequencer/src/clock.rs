//! The chain's time: the caller's clock, made monotone.

/// Follows a clock that may be set back or jump.
///
/// Set forward, the chain's time follows at once. Set back, it stands still for that moment and
/// then runs at half speed until the clock has caught up: slots go on, and the two meet again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What the caller's clock said last; `None` before the first time.
    given_us: Option<u64>,
    chain_us: u64,
    /// The half microsecond that integer division has left over.
    odd: u64,
}

impl Clock {
    /// A clock that never shows less than `least_us`.
    pub(crate) fn new(least_us: u64) -> Self {
        Self { given_us: None, chain_us: least_us, odd: 0 }
    }

    /// Takes the caller's time and returns the chain's.
    pub(crate) fn advance(&mut self, given_us: u64) -> u64 {
        let passed = given_us.saturating_sub(self.given_us.unwrap_or(given_us)) + self.odd;
        self.odd = passed % 2;
        self.given_us = Some(given_us);
        let slow = self.chain_us.saturating_add(passed / 2);
        self.chain_us = slow.max(given_us);
        self.chain_us
    }

    /// What the caller's clock said last.
    pub(crate) fn given_us(&self) -> Option<u64> {
        self.given_us
    }

    /// When, on the caller's clock, the chain's time will be `chain_us`.
    pub(crate) fn given_at(&self, chain_us: u64) -> u64 {
        let Some(given_us) = self.given_us else { return 0 };
        let ahead = chain_us.saturating_sub(self.chain_us).saturating_mul(2);
        given_us.saturating_add(ahead).min(chain_us).max(given_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_forward_slows_when_ahead_and_meets_again() {
        let mut clock = Clock::new(50);
        assert_eq!(clock.advance(100), 100);
        assert_eq!(clock.advance(1_000_000), 1_000_000);
        assert_eq!(clock.advance(999_000), 1_000_000);
        assert_eq!(clock.advance(999_500), 1_000_250);
        assert_eq!(clock.given_at(1_000_300), 999_600);
        assert_eq!(clock.advance(999_600), 1_000_300);
        assert_eq!(clock.given_at(5_000_000), 5_000_000);
        assert_eq!(clock.advance(2_000_000), 2_000_000);
    }

    #[test]
    fn single_microseconds_add_up_while_it_is_slow() {
        let mut clock = Clock::new(1_000);
        for given in 0..=100 {
            clock.advance(given);
        }
        assert_eq!(clock.advance(100), 1_050);
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut clock = Clock::new(u64::MAX);
        clock.advance(0);
        assert_eq!(clock.advance(u64::MAX - 1), u64::MAX);
        assert_eq!(clock.given_at(u64::MAX), u64::MAX - 1);
    }
}
