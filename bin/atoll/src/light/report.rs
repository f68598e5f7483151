//! What a run of the light client was: lines as it goes, and a summary.

use super::follow::{Checked, Follower};
use super::refusal::Refusal;
use super::sampling;
use serde_json::{Value, json};
use std::time::Duration;

const DAY_S: f64 = 86_400.0;

/// One line for a commitment.
pub(crate) fn line(checked: &Checked, confidence: u32, what: &str) -> String {
    let (c, sampled) = (&checked.published.commitment, &checked.sampled);
    format!(
        "commitment {} {what}: slots {} to {}, {} samples of {} square{}, {} bits, {} bytes",
        c.number,
        c.slots.0,
        c.slots.1,
        sampled.samples,
        sampled.squares,
        if sampled.squares == 1 { "" } else { "s" },
        sampling::confidence(confidence),
        sampled.bytes,
    )
}

/// Bytes a day at the rate of the network's own time that was followed: catching up does not count
/// as bandwidth that is needed all the time.
fn bytes_per_day(bytes: u64, times_us: (u64, u64)) -> Option<u64> {
    let seconds = times_us.1.saturating_sub(times_us.0) as f64 / 1e6;
    (seconds > 0.0).then(|| (bytes as f64 / seconds * DAY_S) as u64)
}

/// The summary, with the keys that `docs/CLI.md` lists.
pub(crate) fn summary(
    follower: &Follower,
    trusted: &[&str],
    proofs: &[Value],
    elapsed: Duration,
    refused: Option<&Refusal>,
) -> Value {
    let counts = &follower.counts;
    let bytes = follower.gateway.received();
    let peak = crate::bench::resident_peak_bytes();
    let tip = follower.tip().map(|tip| &tip.header);
    json!({
        "network": follower.options.network.0.to_string(),
        "sequencer": follower.options.sequencer.to_string(),
        "trusted": trusted,
        "headers": counts.headers,
        "last_slot": tip.map_or(0, |tip| tip.slot),
        "last_hash": tip.map(|tip| tip.hash().to_string()),
        "behind_s": follower.behind().map(|behind| behind.as_secs_f64()),
        "commitments": counts.commitments,
        "last_commitment": follower.last().number,
        "anchored": follower.standing().last,
        "settled": follower.settled(),
        "samples": counts.samples,
        "confidence_bits": sampling::confidence(follower.options.confidence),
        "bytes": bytes,
        "bytes_per_day": bytes_per_day(bytes, counts.times_us),
        "peak_memory_bytes": (peak > 0).then_some(peak),
        "seconds": elapsed.as_secs_f64(),
        "proofs": proofs,
        "refused": refused.map(Refusal::render),
    })
}

/// The same for people.
pub(crate) fn text(summary: &Value) -> String {
    let mega = |value: &Value| match value.as_u64() {
        Some(bytes) => format!("{:.1} MB", bytes as f64 / 1e6),
        None => "unknown".into(),
    };
    format!(
        "{} headers up to slot {}, {} commitments up to {} (settled: {}), {} samples\n\
         {} received, {} a day at this rate, {} of memory at most",
        summary["headers"],
        summary["last_slot"],
        summary["commitments"],
        summary["last_commitment"],
        summary["settled"],
        summary["samples"],
        mega(&summary["bytes"]),
        mega(&summary["bytes_per_day"]),
        mega(&summary["peak_memory_bytes"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_as_many_times_the_time_that_was_followed() {
        assert_eq!(bytes_per_day(1_000, (0, 1_000_000)), Some(86_400_000));
        assert_eq!(bytes_per_day(1_000, (5, 5)), None);
    }
}
