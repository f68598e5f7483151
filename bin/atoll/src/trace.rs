//! `atoll trace`: why the transactions of an EVM block had to follow one another, or what one of them
//! did, as a running network tells.

use crate::gateway::Gateway;
use anyhow::{Context, Result, bail};
use atoll_types::B256;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;

/// Keys in the table; `--json` has all.
const KEYS_SHOWN: usize = 20;
/// Transactions of a key or of the chain in the table.
const PLACES_SHOWN: usize = 8;

#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// A block's number, latest, or a transaction's hash
    #[arg(value_name = "BLOCK|HASH", value_parser = parse_target)]
    target: Target,
    /// Of a block: which keys its transactions depended on one another by
    #[arg(long)]
    conflicts: bool,
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    url: String,
    /// The EVM environment, by its name
    #[arg(long, default_value = "evm", value_name = "NAME")]
    environment: String,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone)]
enum Target {
    Block(String),
    Transaction(B256),
}

fn parse_target(text: &str) -> Result<Target, String> {
    if let Ok(hash) = text.parse() {
        return Ok(Target::Transaction(hash));
    }
    match text {
        "latest" => Ok(Target::Block(text.to_owned())),
        _ => text.parse().map(|number: u64| Target::Block(format!("{number:#x}"))).map_err(|_| {
            "expected a block's number, latest, or a transaction's hash of 64 hex digits with 0x"
                .to_owned()
        }),
    }
}

/// Asks, and prints what is answered.
pub(crate) fn run(args: &TraceArgs) -> Result<()> {
    let gateway = Gateway::new(&args.url)?;
    let ask = |method: &str, params: Value| -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = gateway.post(&format!("/evm/{}", args.environment), &body)?;
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => bail!("{method}: {}", error["message"].as_str().unwrap_or("refused")),
        }
    };
    let (answer, text) = match (&args.target, args.conflicts) {
        (Target::Block(block), true) => {
            let found = ask("atoll_getConflicts", json!([block]))?;
            if found.is_null() {
                bail!("there is no such block");
            }
            let text = conflicts(&found)?;
            (found, text)
        }
        (Target::Transaction(hash), false) => {
            let options = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
            let found = ask("debug_traceTransaction", json!([hash, options]))?;
            let mut text = String::new();
            calls(&found, 0, &mut text)?;
            (found, text)
        }
        (Target::Block(_), false) => {
            bail!(
                "of a block there are its conflicts: add --conflicts, or name a transaction's hash"
            )
        }
        (Target::Transaction(_), true) => {
            bail!("--conflicts are a block's: name its number, or latest")
        }
    };
    match args.json {
        true => println!("{answer}"),
        false => print!("{text}"),
    }
    Ok(())
}

fn places(found: &Value) -> Vec<usize> {
    let numbers = found.as_array().into_iter().flatten();
    numbers.filter_map(|place| usize::try_from(place.as_u64()?).ok()).collect()
}

fn some(places: &[usize]) -> String {
    let shown: Vec<_> = places.iter().take(PLACES_SHOWN).map(usize::to_string).collect();
    let more = if places.len() > PLACES_SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn conflicts(found: &Value) -> Result<String> {
    let mut out = String::new();
    let block = found["block"].as_str().unwrap_or_default().trim_start_matches("0x");
    let block = u64::from_str_radix(block, 16).context("the block's number is no quantity")?;
    let hashes = found["transactions"].as_array().map_or(0, Vec::len);
    let gas: u64 = found["gas"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    writeln!(out, "block {block}: {hashes} transactions, {gas} gas")?;
    let chain = places(&found["chain"]);
    let speedup = found["speedupMax"].as_f64().unwrap_or(1.0);
    writeln!(
        out,
        "at most {speedup:.2} times as fast in parallel: {} must follow one another ({})",
        chain.len(),
        some(&chain)
    )?;
    let keys = found["keys"].as_array().cloned().unwrap_or_default();
    if keys.is_empty() {
        writeln!(out, "none looked at what another one had written")?;
        return Ok(out);
    }
    writeln!(out, "\n{:>7}  {:>7}  {:<32}  key", "writers", "readers", "read by")?;
    for key in keys.iter().take(KEYS_SHOWN) {
        let (writers, readers) = (places(&key["writers"]), places(&key["readers"]));
        let name = key["key"].as_str().unwrap_or_default();
        let by = some(&readers);
        writeln!(out, "{:>7}  {:>7}  {by:<32}  {name}", writers.len(), readers.len())?;
    }
    let left_out = found["keysLeftOut"].as_u64().unwrap_or(0);
    let more = keys.len().saturating_sub(KEYS_SHOWN) as u64 + left_out;
    if more > 0 {
        writeln!(out, "and {more} more keys (--json)")?;
    }
    writeln!(out, "\nWho reads a key waits for who wrote it before: give them keys of their own.")?;
    Ok(out)
}

/// A call and those that it made, one to a line.
fn calls(call: &Value, depth: usize, out: &mut String) -> Result<()> {
    let text = |key: &str| call[key].as_str().unwrap_or_default();
    let gas = u64::from_str_radix(text("gasUsed").trim_start_matches("0x"), 16).unwrap_or(0);
    let input = text("input");
    let (function, rest) = input.split_at_checked(10).unwrap_or((input, ""));
    let bytes = rest.len() / 2;
    write!(out, "{:indent$}{} {} {function}", "", text("type"), text("to"), indent = 2 * depth)?;
    if bytes > 0 {
        write!(out, " + {bytes} bytes")?;
    }
    if !matches!(text("value"), "" | "0x0") {
        write!(out, ", value {}", text("value"))?;
    }
    write!(out, ", {gas} gas")?;
    match text("error") {
        "" => writeln!(out)?,
        error => writeln!(out, ", FAILED: {error} {}", text("revertReason"))?,
    }
    for log in call["logs"].as_array().into_iter().flatten() {
        let topic = log["topics"][0].as_str().unwrap_or("no topic");
        let address = log["address"].as_str().unwrap_or_default();
        writeln!(out, "{:indent$}log {address} {topic}", "", indent = 2 * depth + 2)?;
    }
    // Ethereum's calls are at most 1024 deep, and the node bounds a trace's size.
    for inner in call["calls"].as_array().into_iter().flatten() {
        calls(inner, depth + 1, out)?;
    }
    Ok(())
}
