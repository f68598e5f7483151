//! Token buckets per sender in a bounded table.

use crate::RateLimit;
use crate::queue::queue_of;
use atoll_types::{Address, Lane};
use std::collections::HashMap;

/// Microseconds in a second: a bucket counts millionths of a unit, so that a rate per second
/// fills it exactly with each microsecond and nothing is rounded.
const SCALE: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a unit.
    level: u64,
    at_us: u64,
}

/// Buckets of the senders seen lately, in two generations: when the young one is full it becomes
/// the old one, and the old one is dropped. Constant time, and a sender who keeps sending is
/// never forgotten.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: Option<RateLimit>,
    generation_max: usize,
    young: HashMap<Address, Bucket>,
    old: HashMap<Address, Bucket>,
}

impl Buckets {
    pub(crate) fn new(rate: Option<RateLimit>, senders_max: u64) -> Self {
        let generation_max = usize::try_from(senders_max.div_ceil(2)).unwrap_or(usize::MAX);
        Self { rate, generation_max, young: HashMap::new(), old: HashMap::new() }
    }

    /// Spends the price of one transaction, or says how many microseconds are missing.
    pub(crate) fn spend(&mut self, sender: Address, lane: Lane, now_us: u64) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let full = u64::from(rate.burst_units) * SCALE;
        let price = u64::from(rate.lane_units[queue_of(lane)]) * SCALE;
        let mut bucket = match self.young.get(&sender).or_else(|| self.old.get(&sender)) {
            Some(bucket) => *bucket,
            None => Bucket { level: full, at_us: now_us },
        };
        // A clock that was set back gives nothing, and does not stop the flow until it is past
        // the old time again.
        let elapsed_us = now_us.saturating_sub(bucket.at_us);
        let inflow = elapsed_us.saturating_mul(u64::from(rate.units_per_s));
        bucket.level = bucket.level.saturating_add(inflow).min(full);
        bucket.at_us = now_us;
        let missing = price.saturating_sub(bucket.level);
        if missing == 0 {
            bucket.level -= price;
        }
        self.put(sender, bucket);
        if missing == 0 { Ok(()) } else { Err(missing.div_ceil(u64::from(rate.units_per_s))) }
    }

    fn put(&mut self, sender: Address, bucket: Bucket) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&sender) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(sender, bucket);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: RateLimit = RateLimit { units_per_s: 10, burst_units: 4, lane_units: [1, 2, 2] };

    #[test]
    fn a_bucket_fills_by_the_microsecond_and_no_further_than_its_burst() {
        let mut buckets = Buckets::new(Some(RATE), 8);
        let who = Address::repeat_byte(1);
        assert_eq!(buckets.spend(who, Lane::Rest, 0), Ok(()));
        assert_eq!(buckets.spend(who, Lane::Rest, 0), Ok(()));
        assert_eq!(buckets.spend(who, Lane::Rest, 0), Err(200_000));
        assert_eq!(buckets.spend(who, Lane::Cancel, 99_999), Err(1));
        assert_eq!(buckets.spend(who, Lane::Cancel, 100_000), Ok(()));
        // An hour later: the burst, not an hour's worth.
        let later = 3_600_000_000;
        for _ in 0..4 {
            assert_eq!(buckets.spend(who, Lane::Cancel, later), Ok(()));
        }
        assert_eq!(buckets.spend(who, Lane::Cancel, later), Err(100_000));
        // The clock is set back: the flow goes on from there.
        assert!(buckets.spend(who, Lane::Cancel, 5).is_err());
        assert_eq!(buckets.spend(who, Lane::Cancel, 100_005), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_an_active_sender_is_not_forgotten() {
        let mut buckets = Buckets::new(Some(RATE), 8);
        let busy = Address::repeat_byte(0xff);
        for _ in 0..4 {
            assert_eq!(buckets.spend(busy, Lane::Cancel, 0), Ok(()));
        }
        for i in 0..200u8 {
            assert!(buckets.spend(Address::repeat_byte(i), Lane::Cancel, 0).is_ok());
            assert!(buckets.spend(busy, Lane::Cancel, 0).is_err());
            assert!(buckets.len() <= 8);
        }
    }
}
