//! Signed orders over loopback HTTP and WebSocket through a whole node.
//!
//! A network is booted in this process, as `atoll dev --rate 0` does it, on a temporary folder.
//! Orders are signed beforehand and offered open loop; the answer that a client waits for says
//! that the order is ordered, logged, confirmed and executed. The generator and the node share
//! the machine, and the report says how much of it each took.

mod flow;
mod ramp;

use super::load::client::{self, Offer, Request};
use super::load::report::{describe, line};
use super::load::wire::{Api, Destination, Door};
use super::work::{Folder, dev_args};
use crate::cli::{E2eArgs, Rate};
use crate::dev;
use anyhow::{Result, bail};
use flow::{Flow, Signed};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How fast the book is filled before anything is measured, orders per second.
const OPENING_RATE: u32 = 2_000;
/// How long the oracle may take to speak.
const PRICES_WITHIN: Duration = Duration::from_secs(20);

/// Runs the benchmark.
pub(crate) fn run(args: &E2eArgs) -> Result<()> {
    atoll_rpc::raise_open_files_limit();
    let folder = Folder::new(args.dir.as_deref(), "e2e");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(args, &folder))?;
    if args.json {
        println!("{report}");
    }
    Ok(())
}

async fn measure(args: &E2eArgs, folder: &Folder) -> Result<Value> {
    let dev_args = dev_args(0)?;
    let mut specs = crate::specs::load_all(None)?;
    specs.iter_mut().for_each(flow::fund);
    let network = dev::boot(&dev_args, specs, "bench", &folder.0).await?;
    let _ = dev::start_market(&dev_args, &network.shared, None, &network.stopped, &<_>::default());
    let address = network.address;
    let mut flow = Flow::new(&network)?;
    let end = Instant::now() + PRICES_WITHIN;
    while !flow.priced() {
        if Instant::now() > end {
            bail!("the oracle has not spoken within {} s", PRICES_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The generator is a thread that waits for sockets: none of the runtime's. Its name tells a
    // profiler apart what is measured and what measures.
    let options = args.clone();
    let work = move || -> Result<Value> {
        open_market(&mut flow, address, &options)?;
        let doors = options.door.map_or(vec![Door::Http, Door::WebSocket], |door| vec![door]);
        let mut results = serde_json::Map::new();
        for door in doors {
            let result = match options.rate {
                Rate::PerSecond(rate) => {
                    let offer = step(&mut flow, door, address, &options, rate, options.run_for)?;
                    println!("{}", line(door, "orders", &offer));
                    describe(&offer)
                }
                Rate::Max => ramp::run(&mut flow, door, address, &options)?,
            };
            results.insert(door.name().to_string(), result);
        }
        Ok(Value::Object(results))
    };
    let generator = std::thread::Builder::new().name("generator".into()).spawn(work)?;
    let doors = tokio::task::block_in_place(|| generator.join());
    let doors = doors.map_err(|_| anyhow::anyhow!("the generator panicked"))??;
    let node = network.close().await?;
    tokio::task::block_in_place(|| node.stop())?;
    Ok(json!({
        "bench": "e2e",
        "rate": match args.rate {
            Rate::PerSecond(rate) => json!(rate),
            Rate::Max => json!("max"),
        },
        "connections": args.connections,
        "accounts": flow::ACCOUNTS,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "doors": doors,
    }))
}

/// Fills the book.
fn open_market(flow: &mut Flow, address: SocketAddr, args: &E2eArgs) -> Result<()> {
    eprintln!("signing and posting {} orders that rest …", flow::RESTING);
    let opening = flow.opening()?;
    let destination = Destination { api: Api::Exchange, door: Door::Http, address };
    let requests = requests(destination, &opening);
    let rate = f64::from(OPENING_RATE);
    let offer = client::offer(destination, args.connections, &requests, rate)?;
    if offer.accepted < offer.offered {
        bail!(
            "of {} orders that open the market only {} rest: {:?}",
            offer.offered,
            offer.accepted,
            offer.refused
        );
    }
    Ok(())
}

fn requests(destination: Destination, signed: &[Signed]) -> Vec<Request> {
    let request = |(id, Signed { account, payload, .. }): (usize, &Signed)| Request {
        account: *account,
        bytes: destination.request(id, payload),
    };
    signed.iter().enumerate().map(request).collect()
}

/// Signs orders, then offers them at a rate for a time.
fn step(
    flow: &mut Flow,
    door: Door,
    address: SocketAddr,
    args: &E2eArgs,
    rate: u32,
    time: Duration,
) -> Result<Offer> {
    let count = (f64::from(rate) * time.as_secs_f64()).ceil().max(1.0) as usize;
    eprintln!("{}: signing {count} orders …", door.name());
    let signed = flow.take(count)?;
    let destination = Destination { api: Api::Exchange, door, address };
    let requests = requests(destination, &signed);
    let offer = client::offer(destination, args.connections, &requests, f64::from(rate))?;
    let lost: HashSet<_> = offer.failed.iter().filter_map(|at| signed[*at].rests).collect();
    flow.forget(&lost);
    Ok(offer)
}
