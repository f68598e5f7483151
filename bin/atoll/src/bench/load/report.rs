//! What came of an offer, for people and for programs.

use super::client::Offer;
use super::wire::Door;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

pub(in crate::bench) fn quantile(histogram: &Histogram<u64>, quantile: f64) -> u64 {
    match histogram.is_empty() {
        true => 0,
        false => histogram.value_at_quantile(quantile),
    }
}

/// One line for people.
pub(in crate::bench) fn line(door: Door, what: &str, offer: &Offer) -> String {
    let latency = |q| quantile(&offer.latency_us, q);
    format!(
        "{:>9}: {:.0} {what}/s offered, {:.0} answered, {:.2} % accepted; p50 {} µs, p99 {} µs, \
         p99.9 {} µs; sent late by {} µs (p99); {:.2} + {:.2} cores (generator + node){}",
        door.name(),
        offer.offered as f64 / offer.send_s,
        offer.answered_per_s(),
        100.0 * offer.accepted as f64 / offer.offered as f64,
        latency(0.5),
        latency(0.99),
        latency(0.999),
        quantile(&offer.lag_us, 0.99),
        offer.generator_s / offer.answer_s,
        offer.node_s / offer.answer_s,
        match offer.refused.is_empty() && offer.unanswered == 0 {
            true => String::new(),
            false => format!("; refused {:?}, unanswered {}", offer.refused, offer.unanswered),
        }
    )
}

/// One object for programs.
pub(in crate::bench) fn describe(offer: &Offer) -> Value {
    let (latency, lag) = (&offer.latency_us, &offer.lag_us);
    json!({
        "offered": offer.offered,
        "offered_per_s": offer.offered as f64 / offer.send_s,
        "answered": offer.answered(),
        "answered_per_s": offer.answered_per_s(),
        "accepted": offer.accepted,
        "refused": offer.refused,
        "unanswered": offer.unanswered,
        "latency_us": {
            "p50": quantile(latency, 0.5),
            "p99": quantile(latency, 0.99),
            "p999": quantile(latency, 0.999),
            "max": latency.max(),
        },
        "late_us": {
            "p50": quantile(lag, 0.5),
            "p99": quantile(lag, 0.99),
            "max": lag.max(),
        },
        "cores": {
            "generator": offer.generator_s / offer.answer_s,
            "node": offer.node_s / offer.answer_s,
        },
    })
}
