//! Payments through a whole node's JSON-RPC: signed beforehand, offered open loop.
//!
//! Over HTTP the request is `eth_sendRawTransactionSync` (EIP-7966), whose answer is the receipt; a
//! connection waits for it, so there have to be as many as payments are under way. Over a WebSocket it is
//! `eth_sendRawTransaction`, whose answer says that the payment is ordered and executed; its block is
//! sealed within a slot. How many are in blocks in the end is counted by the senders' nonces.

use super::args::EvmBenchArgs;
use super::state::address;
use super::workload::BASE_FEE;
use crate::bench::load::client::{self, Request};
use crate::bench::load::report::{describe, line};
use crate::bench::load::wire::{Api, Destination, Door};
use crate::bench::work::{Folder, dev_args};
use crate::dev;
use alloy_primitives::hex;
use anyhow::{Context, Result, anyhow};
use atoll_ethereum::Transaction;
use atoll_executor::{EnvironmentSpec, VmSpec};
use atoll_types::U256;
use atoll_types::crypto::SigningKey;
use atoll_vm::evm::GenesisAccount;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Senders at most: one that sends again has long been answered.
const SENDERS_MAX: usize = 20_000;
const TIP: u128 = 1_000_000;
const TRANSFER_GAS: u64 = 21_000;
/// How long the node may take to have in a block what it accepted.
const INCLUDED_WITHIN: Duration = Duration::from_secs(10);
/// Nonces asked for in one request.
const BATCH: usize = 100;

/// Who pays, and what for.
struct Plan {
    keys: Vec<SigningKey>,
    count: usize,
    chain_id: u64,
}

impl Plan {
    fn new(args: &EvmBenchArgs) -> Result<Self> {
        let count = (f64::from(args.rate) * args.run_for.as_secs_f64()).ceil().max(1.0) as usize;
        let labels: Vec<usize> = (0..count.min(SENDERS_MAX)).collect();
        let key = |n: &usize| Ok(SigningKey::from_label(&format!("bench-evm-{n}")));
        Ok(Self { keys: on_all_cores(&labels, &key)?, count, chain_id: 0 })
    }

    /// Gives the senders money at genesis.
    fn fund(&mut self, spec: &mut EnvironmentSpec) {
        let VmSpec::Evm(vm) = &mut spec.vm else { return };
        self.chain_id = vm.chain_id;
        let balance = U256::from(1_000_000_000_000_000_000_u64);
        let account = |key: &SigningKey| GenesisAccount {
            address: key.address(),
            balance,
            ..GenesisAccount::default()
        };
        vm.genesis.extend(self.keys.iter().map(account));
    }

    fn requests(&self, destination: Destination) -> Result<Vec<Request>> {
        let method = match destination.door {
            Door::Http => "eth_sendRawTransactionSync",
            Door::WebSocket => "eth_sendRawTransaction",
        };
        let request = |id: &usize| {
            let account = id % self.keys.len();
            let payment = Transaction {
                chain_id: self.chain_id,
                nonce: (id / self.keys.len()) as u64,
                tip_wei: TIP,
                max_fee_wei: u128::from(BASE_FEE) * 1_000,
                gas_limit: TRANSFER_GAS,
                to: Some(address("recipient", *id as u64)),
                value: U256::ONE,
                input: Vec::new(),
            };
            let raw = hex::encode_prefixed(payment.sign(&self.keys[account]).raw);
            let payload =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["{raw}"]}}"#);
            Ok(Request { account, bytes: destination.request(*id, &payload) })
        };
        on_all_cores(&(0..self.count).collect::<Vec<_>>(), &request)
    }

    /// Payments that are in blocks, by the senders' nonces; waits until there are so many.
    fn included(&self, address: SocketAddr, wanted: usize) -> Result<usize> {
        let gateway = crate::gateway::Gateway::new(&format!("http://{address}"))?;
        let end = Instant::now() + INCLUDED_WITHIN;
        loop {
            let mut sum = 0;
            for keys in self.keys.chunks(BATCH) {
                let nonce = |key: &SigningKey| {
                    json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount",
                        "params": [key.address(), "latest"] })
                };
                let asked: Vec<Value> = keys.iter().map(nonce).collect();
                let answers = gateway.post("/evm/evm", &json!(asked))?;
                for answer in answers.as_array().context("a batch of answers")? {
                    let text = answer["result"].as_str().context("a nonce")?;
                    sum += usize::from_str_radix(text.trim_start_matches("0x"), 16)?;
                }
            }
            if sum >= wanted || Instant::now() > end {
                return Ok(sum);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Does something with each of a list, on all cores.
fn on_all_cores<T: Sync, R: Send>(
    list: &[T],
    work: &(dyn Fn(&T) -> Result<R> + Sync),
) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let chunk = list.len().div_ceil(threads).max(1);
        let part = |part| scope.spawn(move || <[T]>::iter(part).map(work).collect());
        let parts: Vec<_> = list.chunks(chunk).map(part).collect();
        let mut done = Vec::with_capacity(list.len());
        for part in parts {
            let part: Result<Vec<R>> = part.join().map_err(|_| anyhow!("a thread panicked"))?;
            done.extend(part?);
        }
        Ok(done)
    })
}

pub(super) fn run(args: &EvmBenchArgs) -> Result<Value> {
    atoll_rpc::raise_open_files_limit();
    let folder = Folder::new(args.dir.as_deref(), "evm");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(args, &folder))
}

async fn measure(args: &EvmBenchArgs, folder: &Folder) -> Result<Value> {
    let mut plan = Plan::new(args)?;
    let dev_args = dev_args(0)?;
    let mut specs = crate::specs::load_all(None)?;
    specs.iter_mut().for_each(|spec| plan.fund(spec));
    let network = dev::boot(&dev_args, specs, "bench", &folder.0).await?;
    let (address, options) = (network.address, args.clone());
    // The generator is a thread that waits for sockets: none of the runtime's.
    let work = move || -> Result<Value> {
        let destination = Destination { api: Api::Evm, door: options.door, address };
        eprintln!("signing {} payments of {} accounts …", plan.count, plan.keys.len());
        let requests = plan.requests(destination)?;
        let rate = f64::from(options.rate);
        let offer = client::offer(destination, options.connections, &requests, rate)?;
        println!("{}", line(options.door, "payments", &offer));
        let included = plan.included(address, offer.accepted)?;
        let included_per_s = included as f64 / offer.answer_s.max(f64::EPSILON);
        println!("{:>9}  {included} in blocks, {included_per_s:.0}/s", "");
        let mut report = describe(&offer);
        report["included"] = included.into();
        report["included_per_s"] = included_per_s.into();
        report["accounts"] = plan.keys.len().into();
        Ok(report)
    };
    let generator = std::thread::Builder::new().name("generator".into()).spawn(work)?;
    let report = tokio::task::block_in_place(|| generator.join());
    let node = network.close().await?;
    tokio::task::block_in_place(|| node.stop())?;
    let mut report = report.map_err(|_| anyhow!("the generator panicked"))??;
    report["bench"] = json!("evm-rpc");
    report["rate"] = args.rate.into();
    report["door"] = json!(args.door.name());
    report["connections"] = args.connections.into();
    Ok(report)
}
