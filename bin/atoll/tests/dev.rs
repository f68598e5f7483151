//! `atoll dev` as its users run it: again, elsewhere, wrongly, and until they have seen enough.

mod common;

use common::{atoll, run};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const DEV: [&str; 5] = ["dev", "--listen", "127.0.0.1:0", "--rate", "300"];

fn dev(args: &[&str], data: &Path) -> Output {
    run(&[&DEV[..], args].concat(), data)
}

fn summary(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{said}");
    serde_json::from_str(stdout.lines().last().expect("a last line")).expect("one JSON object")
}

#[test]
fn it_goes_on_where_it_was_until_it_is_told_to_start_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = summary(&dev(&["--for", "1500ms", "--json"], &data));
    let second = summary(&dev(&["--slots", "5", "--json"], &data));
    let over = summary(&dev(&["--slots", "3", "--json", "--reset"], &data));
    for run in [&first, &second, &over] {
        assert_eq!(run["conserved"], true, "{run}");
        assert!(run["latency_us"]["p99"].as_u64().unwrap() > 0, "{run}");
        assert!(run["environments"]["perps"]["state_root"].is_string(), "{run}");
        assert!(run["environments"]["evm"]["state_root"].is_string(), "{run}");
    }
    assert!(first["orders"].as_u64().unwrap() > 100 && first["fills"].as_u64().unwrap() > 0);
    let head = |run: &Value| run["head_slot"].as_u64().unwrap();
    assert!(head(&second) >= head(&first) + 5, "{first} {second}");
    assert!(head(&over) < head(&first), "{first} {over}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_with_its_summary() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = atoll()
            .args(DEV)
            .arg("--json")
            .arg("--data-dir")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().contains("gateway on") {}
        std::thread::sleep(std::time::Duration::from_millis(700));
        let pid = child.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success()
        );
        let last = lines.map_while(Result::ok).last().unwrap();
        assert!(child.wait().unwrap().success(), "{signal}");
        let summary: Value = serde_json::from_str(&last).unwrap();
        assert!(summary["orders"].as_u64().unwrap() > 0, "{summary}");
        // A whole slot at the end, and nothing left to make durable.
        assert_eq!(summary["head_slot"], summary["finalised_slot"], "{summary}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = common::Node::start(&data, &["--rate", "0"]);
    let refused = |output: Output, needle: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(needle), "{needle}: {said}");
    };
    refused(dev(&["--slots", "1"], &data), "in use by another atoll process");
    let taken = ["dev", "--slots", "1", "--listen", &node.address];
    refused(run(&taken, &folder.path().join("other")), "in use");
    drop(node);
    refused(dev(&["--slots", "1", "--environments", "/no/such/folder"], &data), "/no/such/folder");
    refused(dev(&["--slots", "1", "--replay", "/no/such/file"], &data), "/no/such/file");
    refused(dev(&["--for", "soon"], &data), "expected a time");

    let specs = folder.path().join("specs");
    std::fs::create_dir(&specs).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../environments/perps.toml");
    let spec = std::fs::read_to_string(root).unwrap();
    let other = spec.replace("tick = \"0.1\"", "tick = \"0.2\"");
    assert_ne!(spec, other);
    std::fs::write(specs.join("perps.toml"), &other).unwrap();
    let specs_arg = specs.to_str().unwrap();
    refused(dev(&["--slots", "1", "--environments", specs_arg], &data), "belongs to network");
    std::fs::write(specs.join("perps.toml"), spec.replace("tick = \"0.1\"", "tick = \"zero\""))
        .unwrap();
    let wrong = dev(&["--slots", "1", "--environments", specs_arg], &data);
    refused(wrong, "perps.toml");
}
