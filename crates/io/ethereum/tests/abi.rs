//! Our declarations of the hub's contracts are those that were compiled: every function, event and
//! error that we know is in the committed ABI. (What that has beyond them are getters, and errors
//! of the libraries that the contracts are built on.)

use alloy_primitives::keccak256;
use alloy_sol_types::{SolEventInterface, SolInterface};
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
    macro_rules! of {
        ($name:literal, $module:ident, $calls:ident, $errors:ident, $events:ident) => {
            (
                $name,
                ours::<$module::$calls, $module::$errors, $module::$events>(
                    $module::$events::SELECTORS,
                ),
            )
        };
    }
    for (name, ours) in [
        of!("Anchor", IAnchor, IAnchorCalls, IAnchorErrors, IAnchorEvents),
        of!("Bridge", IBridge, IBridgeCalls, IBridgeErrors, IBridgeEvents),
        of!("EscapeHatch", IEscapeHatch, IEscapeHatchCalls, IEscapeHatchErrors, IEscapeHatchEvents),
        of!("Hub", IHub, IHubCalls, IHubErrors, IHubEvents),
        of!("HubQueue", IHubQueue, IHubQueueCalls, IHubQueueErrors, IHubQueueEvents),
        of!("Registry", IRegistry, IRegistryCalls, IRegistryErrors, IRegistryEvents),
        of!(
            "EnvironmentBridge",
            IEnvironmentBridge,
            IEnvironmentBridgeCalls,
            IEnvironmentBridgeErrors,
            IEnvironmentBridgeEvents
        ),
        of!("TestToken", IERC20, IERC20Calls, IERC20Errors, IERC20Events),
        of!("BridgedToken", IERC20, IERC20Calls, IERC20Errors, IERC20Events),
    ] {
        let Some(theirs) = compiled(name) else {
            panic!("contracts/artifacts has no {name}.json");
        };
        for (kind, (ours, theirs)) in
            ["functions", "errors", "events"].iter().zip(ours.iter().zip(&theirs))
        {
            let unknown: Vec<_> = ours.difference(theirs).collect();
            assert!(unknown.is_empty(), "{kind} of {name} that it does not have: {unknown:02x?}");
        }
    }
}
