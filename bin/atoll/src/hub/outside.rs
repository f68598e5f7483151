//! A network as it is reached by whoever takes nobody's word: specs, contracts, and a gateway where
//! one answers.

use super::onchain::OnChain;
use crate::cli::OutsideArgs;
use crate::gateway::Gateway;
use crate::specs;
use anyhow::{Context, Result, bail, ensure};
use atoll_ethereum::{Client, Limits};
use atoll_executor::EnvironmentSpec;
use atoll_types::NetworkId;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A network as somebody outside of it knows it: by its spec files, and by its contracts.
pub(crate) struct Outside {
    pub(crate) network: NetworkId,
    pub(crate) specs: Vec<EnvironmentSpec>,
    pub(crate) on: OnChain,
}

/// Reaches a network. What is not given is taken from the gateway's word, and from what `remembered`
/// has of an earlier time.
pub(crate) fn outside(
    args: &OutsideArgs,
    remembered: Option<&Path>,
) -> Result<(Outside, Option<Gateway>)> {
    let mut specs = specs::load_all(args.environments.as_deref())?;
    specs.push(specs::router(&specs));
    let network = specs::network(&args.network, &specs);
    let kept: Value = remembered
        .and_then(|folder| std::fs::read(folder.join("hub.json")).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let gateway = args.url.as_deref().map(Gateway::new).transpose()?;
    let mut word = "the gateway's word";
    let said = match &gateway {
        Some(gateway) if args.hub_rpc.is_none() || args.anchor.is_none() => match said(gateway) {
            Ok(said) => said,
            Err(error) if !kept.is_object() => return Err(error),
            Err(_) => {
                word = EARLIER;
                kept
            }
        },
        _ => {
            word = EARLIER;
            kept
        }
    };
    let rpc_url = args.hub_rpc.as_deref().or(said["rpc_url"].as_str());
    let rpc_url = rpc_url.context("where is the hub? name a node of its chain with --hub-rpc")?;
    let anchor = match (args.anchor, said["contracts"]["anchor"].as_str()) {
        (Some(anchor), _) => anchor,
        (None, Some(anchor)) => {
            eprintln!("believing {word}: the Anchor is {anchor} (name it with --anchor)");
            anchor.parse()?
        }
        (None, None) => bail!("which Anchor is the network's? name it with --anchor"),
    };
    let client = Client::new(rpc_url, Limits::default())?;
    let on = OnChain::open(client, anchor, network)?;
    if let Some(folder) = remembered {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let facts = json!({ "rpc_url": rpc_url, "contracts": { "anchor": anchor.to_string() } });
        std::fs::write(folder.join("hub.json"), facts.to_string())?;
    }
    Ok((Outside { network, specs, on }, gateway))
}

/// Whom an address is believed from.
const EARLIER: &str = "what an earlier run was told";

/// What the gateway says of settlement, once the contracts are there.
fn said(gateway: &Gateway) -> Result<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let settlement = gateway.get("/atoll/settlement")?;
        if settlement["contracts"].is_object() {
            return Ok(settlement);
        }
        ensure!(Instant::now() < until, "the network's contracts are not deployed yet");
        std::thread::sleep(LOOK);
    }
}
