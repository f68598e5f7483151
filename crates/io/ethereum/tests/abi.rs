//! Our declarations of the hub's contracts are those that were compiled: every function, event and
//! error that we know is in the committed ABI. (What that has beyond them are getters, and errors
//! of the libraries that the contracts are built on.)

use alloy_primitives::keccak256;
use alloy_sol_types::{SolCall, SolEventInterface, SolInterface};
use atoll_ethereum::abi::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A parameter's canonical type: structs as tuples.
fn canonical(parameter: &Value) -> String {
    let name = parameter["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        Some(suffix) => {
            let members = parameter["components"].as_array().unwrap();
            let members: Vec<String> = members.iter().map(canonical).collect();
            format!("({}){suffix}", members.join(","))
        }
        None => name.to_string(),
    }
}

/// First four bytes of functions and errors, all of events, by kind.
fn compiled(contract: &str) -> Option<[BTreeSet<Vec<u8>>; 3]> {
    let path = format!("../../../contracts/artifacts/{contract}.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).ok()?;
    let artifact: Value = serde_json::from_str(&text).unwrap();
    let mut found = [const { BTreeSet::new() }; 3];
    for item in artifact["abi"].as_array().unwrap() {
        let Some(inputs) = item["inputs"].as_array() else { continue };
        let Some(name) = item["name"].as_str() else { continue };
        let inputs: Vec<String> = inputs.iter().map(canonical).collect();
        let signature = format!("{}({})", name, inputs.join(","));
        let hash = keccak256(signature);
        match item["type"].as_str().unwrap() {
            "function" => found[0].insert(hash[..4].to_vec()),
            "error" => found[1].insert(hash[..4].to_vec()),
            "event" => found[2].insert(hash.to_vec()),
            _ => continue,
        };
    }
    Some(found)
}

fn ours<C: SolInterface, R: SolInterface, E: SolEventInterface>(
    events: &[[u8; 32]],
) -> [BTreeSet<Vec<u8>>; 3] {
    assert_eq!(events.len(), E::COUNT);
    let four = |selectors: &mut dyn Iterator<Item = [u8; 4]>| selectors.map(Vec::from).collect();
    [
        four(&mut C::selectors()),
        four(&mut R::selectors()),
        events.iter().map(|hash| hash.to_vec()).collect(),
    ]
}

#[test]
fn declarations_are_those_that_were_compiled() {
    use IAnchor::{IAnchorCalls, IAnchorErrors, IAnchorEvents};
    use IBridge::{IBridgeCalls, IBridgeErrors, IBridgeEvents};
    use IEscapeHatch::{IEscapeHatchCalls, IEscapeHatchErrors, IEscapeHatchEvents};
    use IHubQueue::{IHubQueueCalls, IHubQueueErrors, IHubQueueEvents};
    use IRegistry::{IRegistryCalls, IRegistryErrors, IRegistryEvents};
    for (name, ours) in [
        ("Anchor", ours::<IAnchorCalls, IAnchorErrors, IAnchorEvents>(IAnchorEvents::SELECTORS)),
        ("Bridge", ours::<IBridgeCalls, IBridgeErrors, IBridgeEvents>(IBridgeEvents::SELECTORS)),
        (
            "EscapeHatch",
            ours::<IEscapeHatchCalls, IEscapeHatchErrors, IEscapeHatchEvents>(
                IEscapeHatchEvents::SELECTORS,
            ),
        ),
        (
            "IHubQueue",
            ours::<IHubQueueCalls, IHubQueueErrors, IHubQueueEvents>(IHubQueueEvents::SELECTORS),
        ),
        (
            "IRegistry",
            ours::<IRegistryCalls, IRegistryErrors, IRegistryEvents>(IRegistryEvents::SELECTORS),
        ),
    ] {
        let Some(theirs) = compiled(name) else {
            println!("skipped: contracts/artifacts has no {name}.json");
            continue;
        };
        for (kind, (ours, theirs)) in
            ["functions", "errors", "events"].iter().zip(ours.iter().zip(&theirs))
        {
            let unknown: Vec<_> = ours.difference(theirs).collect();
            assert!(unknown.is_empty(), "{kind} of {name} that it does not have: {unknown:02x?}");
        }
        let setup = match name {
            "Anchor" => IAnchorSetup::initializeCall::SELECTOR,
            "Bridge" => IBridgeSetup::initializeCall::SELECTOR,
            "EscapeHatch" => IEscapeHatchSetup::initializeCall::SELECTOR,
            "HubQueue" => IHubQueueSetup::initializeCall::SELECTOR,
            _ => IRegistrySetup::initializeCall::SELECTOR,
        };
        assert!(theirs[0].contains(setup.as_slice()), "{name} is initialised otherwise");
    }
}
