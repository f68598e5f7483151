//! What settlement costs and how long it takes, on the embedded hub with the very contracts that
//! any chain gets: gas of each call, the time from a slot to its settlement, gas per order.

use super::median;
use super::work::{Folder, dev_args};
use crate::cli::{DevArgs, SettleArgs};
use crate::dev;
use crate::money::costs;
use alloy_sol_types::SolEvent;
use anyhow::{Context, Result, ensure};
use atoll_ethereum::abi::{Addresses, IAnchor};
use atoll_ethereum::{Client, Limits, LogFilter, hub};
use atoll_types::{B256, SlotHeader};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two looks at where settlement stands.
const LOOK: Duration = Duration::from_millis(10);
/// Orders per second and seconds per commitment that the arithmetic is shown for.
const RATES: [u64; 2] = [1_000, 100_000];
const INTERVALS_S: [u64; 3] = [5, 60, 3_600];

pub(crate) fn run(args: &SettleArgs) -> Result<()> {
    atoll_rpc::raise_open_files_limit();
    let folder = Folder::new(args.dir.as_deref(), "settle");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(args, &folder))?;
    if args.json {
        println!("{report}");
    }
    Ok(())
}

async fn measure(args: &SettleArgs, folder: &Folder) -> Result<Value> {
    let dev_args: DevArgs = dev_args(args.rate)?;
    let specs = crate::specs::load_all(None)?;
    eprintln!("booting a network that settles on its own hub …");
    let network = dev::boot(&dev_args, specs, "bench", &folder.0).await?;
    let market =
        dev::start_market(&dev_args, &network.shared, None, &network.stopped, &<_>::default());
    let (shared, url) = (network.shared.clone(), format!("http://{}", network.address));
    let commitments = args.commitments;
    let work = move || -> Result<Value> {
        let contracts = costs::deployed(&url)?;
        eprintln!("following {commitments} commitments until they are settled …");
        let times = follow(&url, commitments, |slot| shared.archive.header(slot))?;
        eprintln!("money in, across and out …");
        let calls = costs::of_calls(&url)?;
        let client = Client::new(&format!("{url}/hub"), Limits::default())?;
        let posted = gas_of_commitments(&client, &contracts)?;
        Ok(json!({ "times_ms": times, "calls": calls, "commitments": posted }))
    };
    let worker = std::thread::Builder::new().name("bench".into()).spawn(work)?;
    let measured = tokio::task::block_in_place(|| worker.join());
    let measured = measured.map_err(|_| anyhow::anyhow!("the benchmark panicked"))?;
    drop(market);
    let node = network.close().await?;
    tokio::task::block_in_place(|| node.stop())?;
    let mut report = measured?;
    report["bench"] = json!("settle");
    report["per_order"] = per_order(&report["commitments"]);
    if !args.json {
        tell(&report);
    }
    Ok(report)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// When commitments were made, anchored and settled, from the end of their last slot on; medians.
fn follow(
    url: &str,
    count: u64,
    header: impl Fn(u64) -> Result<Option<SlotHeader>>,
) -> Result<Value> {
    let gateway = crate::gateway::Gateway::new(url)?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut seen: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
    let mut first = None;
    let end = Instant::now() + Duration::from_secs(60 + 10 * count);
    loop {
        let status = gateway.get("/atoll/settlement")?;
        let at = now_ms();
        let reached = [
            number(&status["latest"]["number"]),
            number(&status["anchored"]),
            number(&status["settled"]),
        ];
        // What stood there before we looked has no time.
        let first = *first.get_or_insert(reached[0] + 1);
        for (stage, reached) in reached.into_iter().enumerate() {
            for commitment in first..=reached {
                let times = seen.entry(commitment).or_default();
                if times[stage] == 0 {
                    times[stage] = at;
                }
            }
        }
        if reached[2] >= first + count - 1 {
            break;
        }
        ensure!(Instant::now() < end, "settlement stands still at {status}");
        std::thread::sleep(LOOK);
    }
    let mut stages = [Vec::new(), Vec::new(), Vec::new()];
    for (commitment, times) in seen.iter().filter(|(_, times)| times[2] > 0) {
        let found = gateway.get(&format!("/atoll/commitments/{commitment}"))?;
        let last = header(number(&found["last_slot"]))?.context("a slot without a header")?;
        let ended = last.time_us / 1_000 + crate::node::SLOT_US / 1_000;
        for (stage, at) in times.iter().enumerate() {
            stages[stage].push(at.saturating_sub(ended) as f64);
        }
    }
    let [made, anchored, settled] = stages.map(median);
    Ok(json!({
        "commitments": count, "made": made, "anchored": anchored, "settled": settled,
        "challenge_window": crate::hub::deployment::Terms::DEVELOPMENT.challenge_window_s * 1_000,
    }))
}

/// Gas of the transactions that anchored and settled, by what they carried; medians.
fn gas_of_commitments(client: &Client, contracts: &Addresses) -> Result<Value> {
    let last = client.block_number()?;
    let logs = |signature: B256| {
        let topics = vec![Some(signature)];
        client.logs(&LogFilter { address: contracts.anchor, topics, from: 0, to: last })
    };
    let gas = |hash: B256| -> Result<f64> {
        let receipt = client.receipt(hash)?.context("a transaction without a receipt")?;
        Ok(receipt.gas_used as f64)
    };
    let moved: Vec<B256> =
        logs(IAnchor::Transfers::SIGNATURE_HASH)?.iter().map(|log| log.transaction).collect();
    let mut moving = Vec::new();
    let (mut plain, mut with_transfers) = (Vec::new(), Vec::new());
    for log in logs(IAnchor::Anchored::SIGNATURE_HASH)? {
        let event = hub::event::<IAnchor::Anchored>(&log).map_err(anyhow::Error::msg)?;
        // The first commitment pays for storage that all others find.
        if event.number == 1 {
            continue;
        }
        match moved.contains(&log.transaction) {
            true => {
                moving.push(event.number);
                with_transfers.push(gas(log.transaction)?);
            }
            false => plain.push(gas(log.transaction)?),
        }
    }
    let (mut settled, mut settled_transfers) = (Vec::new(), Vec::new());
    for log in logs(IAnchor::Settled::SIGNATURE_HASH)? {
        let event = hub::event::<IAnchor::Settled>(&log).map_err(anyhow::Error::msg)?;
        match moving.contains(&event.number) {
            true => settled_transfers.push(gas(log.transaction)?),
            false => settled.push(gas(log.transaction)?),
        }
    }
    let middle = |values: Vec<f64>| match values.is_empty() {
        true => Value::Null,
        false => json!(median(values) as u64),
    };
    Ok(json!({
        "anchor": middle(plain), "anchor_with_transfers": middle(with_transfers),
        "settle": middle(settled), "settle_with_transfers": middle(settled_transfers),
    }))
}

/// Gas per order: that of a commitment and its settlement, over the orders that it covers.
fn per_order(commitments: &Value) -> Value {
    let gas = |name: &str| {
        let of = |name: String| commitments[name.as_str()].as_u64();
        of(format!("{name}_with_transfers")).or_else(|| of(name.to_string())).unwrap_or(0)
    };
    let total = gas("anchor") + gas("settle");
    let mut rows = Vec::new();
    for rate in RATES {
        for interval in INTERVALS_S {
            let orders = rate * interval;
            rows.push(json!({
                "orders_per_s": rate, "interval_s": interval, "orders": orders,
                "gas": total, "gas_per_order": total as f64 / orders as f64,
            }));
        }
    }
    Value::Array(rows)
}

fn tell(report: &Value) {
    println!("\nfrom the end of a commitment's last slot until it is, median");
    let times = &report["times_ms"];
    for stage in ["made", "anchored", "settled"] {
        println!("  {stage:<28} {:>9} ms", times[stage].as_f64().unwrap_or_default() as u64);
    }
    println!(
        "  of which the challenge window {:>8} ms (in whole seconds)",
        times["challenge_window"]
    );
    println!("\ngas, two environments and the router");
    let empty = Map::new();
    let lists = [&report["commitments"], &report["calls"]];
    for (name, gas) in lists.iter().flat_map(|list| list.as_object().unwrap_or(&empty)) {
        if let Some(gas) = gas.as_u64() {
            println!("  {:<28} {gas:>9}", name.replace('_', " "));
        }
    }
    println!("\ngas per order = (anchor + settle) / (orders per second x seconds per commitment)");
    for row in report["per_order"].as_array().into_iter().flatten() {
        println!(
            "  {} / ({} x {}) = {:.4}",
            row["gas"],
            row["orders_per_s"],
            row["interval_s"],
            row["gas_per_order"].as_f64().unwrap_or_default()
        );
    }
}
