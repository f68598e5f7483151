//! `atoll verify` through the binary: slots and ranges verify, whatever is tampered with does not.

mod common;

use atoll_executor::Claim;
use atoll_state::WriteSet;
use atoll_types::{Decode, Encode};
use common::{Node, run};
use std::path::Path;
use std::process::Output;

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn verify(data: &Path, args: &[&str]) -> Output {
    run(&[&["verify"], args].concat(), data)
}

/// Trades for a while and ends by itself.
fn traded(data: &Path) -> serde_json::Value {
    let args =
        ["dev", "--listen", "127.0.0.1:0", "--for", "4s", "--rate", "400", "--keep-log", "--json"];
    let output = run(&args, data);
    assert!(output.status.success(), "{}", text(&output));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(out.trim().lines().last().unwrap()).unwrap()
}

#[test]
fn slots_and_ranges_verify_and_tampering_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let summary = traded(&data);
    assert_eq!(summary["conserved"], true);
    assert!(summary["orders"].as_u64().unwrap() > 100, "{summary}");

    for slot in ["1", "20", "30"] {
        let output = verify(&data, &["--slot", slot]);
        assert!(output.status.success(), "{}", text(&output));
    }

    // Ranges join: where one ends the next begins.
    let range = |commands: &str| {
        let args = ["--slot", "30", "--environment", "perps", "--commands", commands, "--json"];
        let output = verify(&data, &args);
        assert!(output.status.success(), "{}", text(&output));
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        json[0].clone()
    };
    let whole = range("0..12");
    let parts: Vec<_> = (0..12).map(|i| range(&format!("{i}..{}", i + 1))).collect();
    assert_eq!(parts[0]["pre_root"], whole["pre_root"]);
    for pair in parts.windows(2) {
        assert_eq!(pair[0]["post_root"], pair[1]["pre_root"]);
    }
    assert_eq!(parts[11]["post_root"], whole["post_root"]);

    // One byte anywhere: detected, and the error says what.
    let file = folder.path().join("claim");
    let name = file.to_str().unwrap();
    let output = verify(&data, &["--slot", "30", "--environment", "perps", "--save", name]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(verify(&data, &["--claim", name]).status.success());
    let good = std::fs::read(&file).unwrap();
    let (network, specs) = load(&data);
    let spec = specs.iter().find(|spec| spec.name == "perps").unwrap();
    let check = |bytes: &[u8]| -> Result<(), String> {
        let claim = Claim::from_bytes(bytes).map_err(|error| error.to_string())?;
        atoll_executor::verify(network, spec, &claim).map(|_| ()).map_err(|e| e.to_string())
    };
    check(&good).unwrap();
    let step = (good.len() / 1500).max(1);
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(check(&bad).is_err(), "byte {at} of {}", good.len());
    }
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bad).unwrap();
    let output = verify(&data, &["--claim", name]);
    assert!(!output.status.success() && text(&output).contains("witness"), "{}", text(&output));

    // Leave out any object, a page of price levels among them: the execution misses it.
    let claim = Claim::from_bytes(&good).unwrap();
    let mut pages = 0;
    for leave_out in 0..claim.witness.objects.len() {
        let mut objects = WriteSet::default();
        for (i, (key, value)) in claim.witness.objects.iter().enumerate() {
            match i == leave_out {
                true => pages += u32::from(key.first() == Some(&1)),
                false => objects.push(key, value),
            }
        }
        let mut bad = claim.clone();
        bad.witness.objects = objects;
        check(&bad.to_bytes()).unwrap_err();
    }
    assert!(pages > 0, "the slot touched price levels");
}

fn load(data: &Path) -> (atoll_types::NetworkId, Vec<atoll_executor::EnvironmentSpec>) {
    let view = atoll_storage::DataDirView::open(data).unwrap();
    let network = atoll_types::NetworkId(atoll_types::B256::from(view.network()));
    let mut specs = Vec::new();
    for entry in std::fs::read_dir(view.node_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "spec") {
            let bytes = std::fs::read(path).unwrap();
            specs.push(atoll_executor::EnvironmentSpec::from_bytes(&bytes).unwrap());
        }
    }
    (network, specs)
}

#[test]
fn a_data_folder_has_one_process_one_network_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = Node::start(&data, &["--rate", "0"]);
    let second = run(&["dev", "--listen", "127.0.0.1:0", "--slots", "1"], &data);
    assert!(!second.status.success());
    assert!(text(&second).contains("in use by another atoll process"), "{}", text(&second));
    let before = node.get("/atoll/status").1["head_slot"].as_u64().unwrap();
    drop(node);
    let node = Node::start(&data, &["--rate", "0"]);
    assert!(node.get("/atoll/status").1["head_slot"].as_u64().unwrap() >= before);
    drop(node);

    let specs = folder.path().join("specs");
    std::fs::create_dir(&specs).unwrap();
    let own = include_str!("../../../environments/evm.toml").replace("3002", "3003");
    std::fs::write(specs.join("evm.toml"), own).unwrap();
    let specs = specs.to_str().unwrap();
    let other = ["dev", "--listen", "127.0.0.1:0", "--slots", "1", "--environments", specs];
    let refused = run(&other, &data);
    assert!(text(&refused).contains("belongs to network"), "{}", text(&refused));
    let reset = run(&[&other[..], &["--reset"]].concat(), &data);
    assert!(reset.status.success(), "{}", text(&reset));
}
