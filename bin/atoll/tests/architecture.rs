//! The house of docs/ARCHITECTURE.md: a crate may use only what stands below it.

use std::collections::BTreeMap;
use std::process::Command;

/// (crate, the workspace crates it may depend on). Anything not listed is forbidden.
const ALLOWED: &[(&str, &[&str])] = &[
    ("atoll-types", &[]),
    ("atoll-state", &["atoll-types"]),
    ("atoll-exchange", &["atoll-types", "atoll-state"]),
    ("atoll-vm", &["atoll-types", "atoll-state", "atoll-exchange"]),
    ("atoll-executor", &["atoll-types", "atoll-state", "atoll-exchange", "atoll-vm"]),
    ("atoll-da", &["atoll-types"]),
    // Engines own their ports: none uses another, none does I/O.
    ("atoll-mempool", &["atoll-types"]),
    ("atoll-sequencer", &["atoll-types"]),
    ("atoll-settlement", &["atoll-types"]),
    ("atoll-liquidator", &["atoll-state", "atoll-exchange"]),
    // Disk and sockets speak in the words of `types`; adapters live in the composition root.
    ("atoll-storage", &["atoll-types"]),
    ("atoll-rpc", &["atoll-types"]),
    ("atoll-feed", &["atoll-types"]),
    ("atoll-ethereum", &["atoll-types"]),
    // Other data layers take spans; one of them is reached through an Ethereum node.
    ("atoll-layers", &["atoll-types", "atoll-da", "atoll-ethereum"]),
];

/// What a pure, deterministic crate must never pull in.
const NOT_IN_CORE: &[&str] = &["tokio", "rand", "hyper", "axum", "redb", "reqwest", "mio"];

struct Package {
    path: String,
    dependencies: Vec<String>,
}

fn workspace() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    let text = |value: &serde_json::Value| value.as_str().expect("string").to_string();
    json["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(|d| text(&d["name"]))
                .collect();
            (
                text(&package["name"]),
                Package { path: text(&package["manifest_path"]), dependencies },
            )
        })
        .collect()
}

/// Every edge that the house forbids, as "from -> to".
fn forbidden(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut found = Vec::new();
    for (name, package) in packages.iter().filter(|(name, _)| *name != "atoll") {
        for dependency in &package.dependencies {
            let known = packages.contains_key(dependency);
            let fine = allowed.get(name.as_str()).is_some_and(|l| l.contains(&dependency.as_str()));
            let impure =
                package.path.contains("crates/core/") && NOT_IN_CORE.contains(&dependency.as_str());
            if (known && !fine) || impure {
                found.push(format!("{name} -> {dependency}"));
            }
        }
    }
    found
}

#[test]
fn no_crate_uses_what_does_not_stand_below_it() {
    let packages = workspace();
    for name in packages.keys().filter(|name| *name != "atoll") {
        assert!(ALLOWED.iter().any(|(n, _)| n == name), "{name} has no place in the house yet");
    }
    assert_eq!(forbidden(&packages), Vec::<String>::new());
}

#[test]
fn the_check_sees_a_forbidden_edge() {
    let mut packages = workspace();
    let exchange = packages.get_mut("atoll-exchange").expect("the exchange crate");
    exchange.dependencies.extend(["atoll-rpc".to_string(), "tokio".to_string()]);
    let found = forbidden(&packages);
    assert_eq!(found, ["atoll-exchange -> atoll-rpc", "atoll-exchange -> tokio"]);
}
