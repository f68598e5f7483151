#![allow(warnings, clippy::all)]
use atoll_executor::parallel::*;
use atoll_state::{Resident, WriteSet, object};
use atoll_types::{Address, B256, U256};
use atoll_vm::evm::Bytes;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::*;
use serde_json::Value;
use std::time::Instant;
fn u(v: &Value) -> U256 {
    match v {
        Value::String(s) => s.parse().unwrap_or_default(),
        Value::Number(n) => U256::from(n.as_u64().unwrap()),
        _ => U256::ZERO,
    }
}
fn n(v: &Value) -> u64 {
    u(v).to::<u64>()
}
fn by(v: &Value) -> Bytes {
    v.as_str().map(|s| s.parse().unwrap()).unwrap_or_default()
}
fn spec(number: u64, t: u64) -> SpecId {
    use SpecId::*;
    match number {
        0..1150000 => FRONTIER,
        1150000..2463000 => HOMESTEAD,
        2463000..2675000 => TANGERINE,
        2675000..4370000 => SPURIOUS_DRAGON,
        4370000..7280000 => BYZANTIUM,
        7280000..9069000 => PETERSBURG,
        9069000..12244000 => ISTANBUL,
        12244000..12965000 => BERLIN,
        12965000..15537394 => LONDON,
        15537394..17034870 => MERGE,
        17034870..19426587 => SHANGHAI,
        _ => CANCUN,
    }
}
fn med(v: &mut Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runs: usize = args[2].parse().unwrap();
    let threads: usize = args[3].parse().unwrap();
    let mode = args.get(4).map(String::as_str).unwrap_or("both");
    let mut par = EvmParallel::new(threads, 1).unwrap();
    let mut limits = Limits::default();
    if let Ok(w) = std::env::var("W") {
        limits.weight_min = w.parse().unwrap();
    }
    if let Ok(w) = std::env::var("G") {
        limits.give_up_below = w.parse().unwrap();
    }
    par = par.with_limits(limits);
    let mut files: Vec<_> = if args[1].ends_with("json") {
        vec![args[1].clone().into()]
    } else {
        std::fs::read_dir(&args[1]).unwrap().map(|f| f.unwrap().path()).collect()
    };
    files.sort_by_key(|f: &std::path::PathBuf| {
        f.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap()
    });
    let (mut lg, mut cnt, mut min) = (0.0, 0, 9.0_f64);
    for f in files {
        let v: Value = serde_json::from_slice(&std::fs::read(&f).unwrap()).unwrap();
        let b = &v["block"];
        let number = n(&b["number"]);
        let spec = spec(number, 0);
        let mut cfg = CfgEnv::new_with_spec(spec);
        cfg.chain_id = 1;
        let block = BlockEnv {
            number: U256::from(number),
            beneficiary: b["miner"].as_str().unwrap().parse().unwrap(),
            timestamp: u(&b["timestamp"]),
            gas_limit: n(&b["gasLimit"]),
            basefee: if b["baseFeePerGas"].is_null() { 0 } else { n(&b["baseFeePerGas"]) },
            difficulty: u(&b["difficulty"]),
            prevrandao: b["mixHash"].as_str().map(|s| s.parse().unwrap()),
            blob_excess_gas_and_price: (spec >= SpecId::CANCUN).then(|| {
                BlobExcessGasAndPrice::new(
                    n(&b["excessBlobGas"]),
                    cfg.blob_base_fee_update_fraction_(),
                )
            }),
            slot_num: 0,
        };
        let known = |k: u64| Some(B256::from(U256::from(k)));
        let ctx =
            TransitionContext { config: &cfg, block: &block, hashes: BlockHashes::Known(&known) };
        let txs: Vec<TxEnv> = b["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| {
                let ty = if t["type"].is_null() { 0 } else { n(&t["type"]) as u8 };
                TxEnv {
                    tx_type: ty,
                    caller: t["from"].as_str().unwrap().parse().unwrap(),
                    gas_limit: n(&t["gas"]),
                    gas_price: if t["maxFeePerGas"].is_null() {
                        u(&t["gasPrice"])
                    } else {
                        u(&t["maxFeePerGas"])
                    }
                    .to::<u128>(),
                    kind: t["to"]
                        .as_str()
                        .map(|s| TxKind::Call(s.parse().unwrap()))
                        .unwrap_or(TxKind::Create),
                    value: u(&t["value"]),
                    data: by(&t["input"]),
                    nonce: n(&t["nonce"]),
                    chain_id: (!t["chainId"].is_null()).then(|| n(&t["chainId"])),
                    access_list: AccessList(
                        t["accessList"]
                            .as_array()
                            .map(|a| {
                                a.iter()
                                    .map(|i| AccessListItem {
                                        address: i["address"].as_str().unwrap().parse().unwrap(),
                                        storage_keys: i["storageKeys"]
                                            .as_array()
                                            .unwrap()
                                            .iter()
                                            .map(|k| k.as_str().unwrap().parse().unwrap())
                                            .collect(),
                                    })
                                    .collect()
                            })
                            .unwrap_or_default(),
                    ),
                    gas_priority_fee: (ty >= 2).then(|| u(&t["maxPriorityFeePerGas"]).to::<u128>()),
                    blob_hashes: t["blobVersionedHashes"]
                        .as_array()
                        .map(|a| a.iter().map(|k| k.as_str().unwrap().parse().unwrap()).collect())
                        .unwrap_or_default(),
                    max_fee_per_blob_gas: u(&t["maxFeePerBlobGas"]).to::<u128>(),
                    authorization_list: vec![],
                }
            })
            .collect();
        let load = || {
            let mut t = EvmTables::new(0);
            for (a, p) in v["pre_state"].as_object().unwrap() {
                put_account(
                    &mut t,
                    spec,
                    a.parse().unwrap(),
                    (n(&p["nonce"]), u(&p["balance"])),
                    by(&p["code"]),
                    p["storage"]
                        .as_object()
                        .map(|s| {
                            s.iter()
                                .map(|(k, v)| (k.parse::<U256>().unwrap(), u(v)))
                                .collect::<Vec<_>>()
                        })
                        .unwrap_or_default(),
                );
            }
            object::seal(&mut t, &mut WriteSet::default(), None);
            object::begin(&mut t);
            t
        };
        let (mut ts, mut tp) = (vec![], vec![]);
        let mut info = String::new();
        for r in 0..runs {
            for way in 0..2 {
                match (way + r) % 2 {
                    0 if mode != "par" => {
                        let mut t = load();
                        let s = Instant::now();
                        let e = execute_block(&mut t, &ctx, &txs);
                        ts.push(s.elapsed().as_secs_f64());
                        if let Err(e) = &e {
                            if r == 0 {
                                println!("{number} {e}");
                            }
                        }
                    }
                    1 if mode != "ser" => {
                        let mut t = load();
                        let s = Instant::now();
                        let e = par.execute_block(&mut t, &ctx, &txs, false, &mut |_| {});
                        tp.push(s.elapsed().as_secs_f64());
                        if let Ok((_, rep)) = &e {
                            info = format!(
                                "{:?} settled {} exec {} useful {:.2}ms",
                                rep.ended,
                                rep.report.settled,
                                rep.report.executions,
                                rep.report.useful.as_secs_f64() * 1e3
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
        if mode == "both" {
            let (s, p) = (med(&mut ts), med(&mut tp));
            let x = s / p;
            println!(
                "{number:>9} txs {:>4} ser {:>8.3} par {:>8.3} x {:.3} {info}",
                txs.len(),
                s * 1e3,
                p * 1e3,
                x
            );
            lg += x.ln();
            cnt += 1;
            min = min.min(x);
        }
    }
    if cnt > 0 {
        println!("geomean {:.3} min {:.3}", (lg / cnt as f64).exp(), min);
    }
}
trait Frac {
    fn blob_base_fee_update_fraction_(&self) -> u64;
}
impl Frac for CfgEnv {
    fn blob_base_fee_update_fraction_(&self) -> u64 {
        3338477
    }
}
