//! `atoll verify`: re-executes from a witness alone and says what differs.

use crate::cli::VerifyArgs;
use crate::node::witness;
use anyhow::{Context, Result, bail};
use atoll_executor::{Claim, EnvironmentSpec};
use atoll_types::{Decode, Encode, NetworkId};
use serde::Serialize;

#[derive(Serialize)]
struct Verified {
    environment: String,
    slot: u64,
    commands: usize,
    first_command: u32,
    receipts: usize,
    objects: usize,
    witness_bytes: usize,
    pre_root: String,
    post_root: String,
    receipts_root: String,
    outbox_root: String,
}

/// Runs the command; an error is a claim that does not hold.
pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let (network, specs) = witness::specs(&args.data_dir)?;
    let claims = match &args.claim {
        Some(file) => {
            let bytes =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let claim = Claim::from_bytes(&bytes)
                .with_context(|| format!("{} is not a claim", file.display()))?;
            vec![claim]
        }
        None => regenerate(args, &specs)?,
    };
    let mut all = Vec::new();
    for claim in claims {
        let verified = check(network, &specs, &claim)?;
        if !args.json {
            println!(
                "{} slot {}: {} commands from {}, {} objects, witness {} bytes",
                verified.environment,
                verified.slot,
                verified.commands,
                verified.first_command,
                verified.objects,
                verified.witness_bytes
            );
            println!("  root before  {}", verified.pre_root);
            println!("  root after   {}", verified.post_root);
            println!("  receipts     {} ({})", verified.receipts_root, verified.receipts);
            println!("  outbox       {}", verified.outbox_root);
        }
        if let Some(file) = &args.save {
            std::fs::write(file, claim.to_bytes())
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        all.push(verified);
    }
    match args.json {
        true => println!("{}", serde_json::to_string(&all)?),
        false => println!("verified from the witness alone: every root agrees"),
    }
    Ok(())
}

fn regenerate(args: &VerifyArgs, specs: &[EnvironmentSpec]) -> Result<Vec<Claim>> {
    let slot = args.slot.context("name a slot with --slot")?;
    let wanted: Vec<_> = specs
        .iter()
        .filter(|spec| args.environment.as_ref().is_none_or(|name| *name == spec.name))
        .collect();
    if wanted.is_empty() {
        let known: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        bail!("no such environment; this data folder has {}", known.join(", "));
    }
    wanted
        .into_iter()
        .map(|spec| witness::regenerate(&args.data_dir, slot, spec.id, args.commands))
        .collect()
}

fn check(network: NetworkId, specs: &[EnvironmentSpec], claim: &Claim) -> Result<Verified> {
    let statement = &claim.statement;
    let spec = specs
        .iter()
        .find(|spec| spec.id == statement.environment)
        .with_context(|| format!("no spec of environment {} here", statement.environment))?;
    // From here on: spec and claim, nothing else.
    let outcome = atoll_executor::verify(network, spec, claim)
        .with_context(|| format!("slot {} of {} does NOT verify", statement.slots.0, spec.name))?;
    Ok(Verified {
        environment: spec.name.clone(),
        slot: statement.slots.0,
        commands: claim.range.steps.len(),
        first_command: claim.range.start,
        receipts: outcome.receipts.len(),
        objects: claim.witness.objects.len(),
        witness_bytes: claim.witness.to_bytes().len(),
        pre_root: statement.pre_root.to_string(),
        post_root: statement.post_root.to_string(),
        receipts_root: statement.receipts.to_string(),
        outbox_root: statement.outbox.to_string(),
    })
}
