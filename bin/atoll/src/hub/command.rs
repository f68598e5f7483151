//! `atoll hub deploy|status`: the contracts on any EVM chain.

use super::deployment::{Terms, Wanted, establish, render};
use super::service::roots_at_genesis;
use crate::cli::{HubArgs, HubCommand};
use crate::money::parse_key;
use crate::specs;
use anyhow::{Context, Result};
use atoll_ethereum::abi::IAnchor;
use atoll_ethereum::hub_deploy::verify;
use atoll_ethereum::{BlockId, Client, Limits, hub};
use atoll_types::U256;
use atoll_types::crypto::SigningKey;
use serde_json::json;

pub(crate) fn run(command: &HubCommand) -> Result<()> {
    match command {
        HubCommand::Deploy(args) => deploy(args),
        HubCommand::Status(args) => status(args),
    }
}

fn wanted(args: &HubArgs) -> Result<Wanted> {
    let mut specs = specs::load_all(args.environments.as_deref())?;
    specs.push(specs::router(&specs));
    let network = specs::network(&args.network, &specs);
    let genesis_roots = roots_at_genesis(network, &specs);
    let sequencer = args.sequencer.unwrap_or_else(|| SigningKey::from_label("sequencer").address());
    let terms = Terms::of(args.terms);
    Ok(Wanted { network, sequencer, specs, genesis_roots, terms })
}

fn deploy(args: &HubArgs) -> Result<()> {
    let key = parse_key(&args.key)?;
    let wanted = wanted(args)?;
    let client = Client::new(&args.rpc_url, Limits::default())?;
    let mut steps = Vec::new();
    let (mut gas, mut cost) = (0, U256::ZERO);
    let contracts = establish(&client, &wanted, &key, &mut |step| {
        gas += step.gas_used;
        cost += step.cost_wei;
        if !args.json {
            let what = match step.transaction {
                Some(hash) => format!("{:>9} gas  {hash}", step.gas_used),
                None => "    there already".into(),
            };
            println!("{:<28} {}  {what}", step.name, step.address);
        }
        steps.push(json!({
            "name": step.name,
            "address": step.address.to_string(),
            "transaction": step.transaction.map(|hash| hash.to_string()),
            "gas_used": step.gas_used,
            "cost_wei": step.cost_wei.to_string(),
            "skipped": step.skipped,
        }));
    })?;
    let plan = wanted.plan(key.address())?;
    verify(&client, &plan, BlockId::Latest).context("what was deployed does not verify")?;
    if args.json {
        let value = json!({
            "network": wanted.network.0.to_string(),
            "contracts": render(&contracts),
            "steps": steps,
            "gas_used": gas,
            "cost_wei": cost.to_string(),
            "verified": true,
        });
        println!("{}", serde_json::to_string(&value)?);
    } else {
        println!("deployed and verified: {gas} gas, {cost} wei with what was sent along");
    }
    Ok(())
}

fn status(args: &HubArgs) -> Result<()> {
    let key = parse_key(&args.key)?;
    let wanted = wanted(args)?;
    let client = Client::new(&args.rpc_url, Limits::default())?;
    let plan = wanted.plan(key.address())?;
    verify(&client, &plan, BlockId::Latest)
        .context("the hub is not as it should be; `atoll hub deploy` deploys what is missing")?;
    let contracts = &plan.addresses;
    let head = client.block(BlockId::Latest)?.context("the chain has no block")?;
    let at = BlockId::Hash(head.hash);
    let anchor = hub::anchor_at(&client, contracts, head.hash)?;
    let (entries, _) = hub::queue_at(&client, contracts.queue, head.hash)?;
    let silent_s = client.view(contracts.anchor, &IAnchor::silentForCall {}, at)?;
    let value = json!({
        "network": wanted.network.0.to_string(),
        "chain_id": client.chain_id()?,
        "block": head.number,
        "contracts": render(contracts),
        "anchored": anchor.last,
        "anchored_slot": anchor.last_record.as_ref().map_or(0, |record| record.lastSlot),
        "settled": anchor.settled,
        "settled_slot": anchor.settled_slot,
        "challenged": anchor.is_challenged(),
        "closed": anchor.closed,
        "queue": entries,
        "silent_s": silent_s.to_string(),
        "verified": true,
    });
    if args.json {
        println!("{}", serde_json::to_string(&value)?);
        return Ok(());
    }
    println!("verified at block {} of chain {}", value["block"], value["chain_id"]);
    for (name, address) in value["contracts"].as_object().into_iter().flatten() {
        println!("{name:<10} {}", address.as_str().unwrap_or_default());
    }
    println!("anchored   commitment {} (slot {})", anchor.last, value["anchored_slot"]);
    println!("settled    commitment {} (slot {})", anchor.settled, anchor.settled_slot);
    println!("queue      {entries} entries");
    println!("silence    {silent_s} s");
    if anchor.is_challenged() {
        println!("challenged the next commitment is frozen until its challenge is resolved");
    }
    if anchor.closed {
        println!("closed     the snapshot exit is open");
    }
    Ok(())
}
