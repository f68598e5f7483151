//! The highest rate that a door sustains: steps upward until one fails, then halving in between.

use super::flow::Flow;
use super::step;
use crate::bench::load::client::Offer;
use crate::bench::load::report::{describe, line, quantile};
use crate::bench::load::wire::Door;
use crate::cli::E2eArgs;
use anyhow::Result;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const FIRST_RATE: u32 = 2_000;
const GROWTH: f64 = 1.4;
/// A rate that nobody will reach here: the end of the search, whatever happens.
const RATE_MAX: u32 = 1_000_000;
/// Steps between the last good rate and the first bad one.
const REFINEMENTS: usize = 3;
/// Longest step: an order flow that grows a queue shows it in seconds.
const STEP_MAX: Duration = Duration::from_secs(3);
/// A rate is too high when it fails so often: other load on the machine fails a step too.
const TRIES: usize = 3;
/// A step is good if 99 of 100 answers come within this time …
const P99_US_MAX: u64 = 50_000;
/// … and this part of the orders is accepted.
const ACCEPTED_MIN: f64 = 0.95;

fn is_good(offer: &Offer) -> bool {
    let accepted = offer.accepted as f64 / offer.offered as f64;
    offer.unanswered == 0
        && quantile(&offer.latency_us, 0.99) <= P99_US_MAX
        && accepted >= ACCEPTED_MIN
}

/// Searches.
pub(super) fn run(
    flow: &mut Flow,
    door: Door,
    address: SocketAddr,
    args: &E2eArgs,
) -> Result<Value> {
    let time = args.run_for.min(STEP_MAX);
    let mut steps = Vec::new();
    let mut best: Option<(u32, Offer)> = None;
    let mut bad: Option<u32> = None;
    let mut refined = 0;
    let mut rate = FIRST_RATE;
    while rate <= RATE_MAX {
        let mut offer = step(flow, door, address, args, rate, time)?;
        for tried in 1..=TRIES {
            let good = is_good(&offer);
            println!("{}{}", line(door, "orders", &offer), if good { "" } else { "  (too much)" });
            steps.push(json!({ "rate": rate, "good": good, "result": describe(&offer) }));
            if good || tried == TRIES {
                break;
            }
            offer = step(flow, door, address, args, rate, time)?;
        }
        let good = is_good(&offer);
        match good {
            true => best = Some((rate, offer)),
            false => bad = Some(rate),
        }
        let last_good = best.as_ref().map_or(0, |(rate, _)| *rate);
        rate = match bad {
            None => (f64::from(rate) * GROWTH) as u32,
            Some(bad) if refined < REFINEMENTS => {
                refined += 1;
                last_good.midpoint(bad)
            }
            Some(_) => break,
        };
    }
    let sustained = best.as_ref().map_or(0, |(rate, _)| *rate);
    println!("{:>9}: {sustained} orders/s sustained", door.name());
    let mut result = best.as_ref().map_or(json!({}), |(_, offer)| describe(offer));
    result["sustained_per_s"] = sustained.into();
    result["steps"] = steps.into();
    Ok(result)
}
