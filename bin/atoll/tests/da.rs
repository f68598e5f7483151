//! Data availability through the binary: sampling, rebuilding after a loss, and what is refused.

mod common;

use atoll_types::statement::{availability_digest, span_leaf};
use atoll_types::{B256, Decode, NetworkId, Reader, Signature, SignedHeader, merkle_root};
use common::*;
use serde_json::Value;
use std::process::Output;

fn sample(node: &Node, more: &[&str]) -> Output {
    let url = format!("http://{}", node.address);
    atoll().args(["da", "sample", "--json", "--url", &url]).args(more).output().unwrap()
}

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn a_span_is_sampled_and_rebuilt_after_a_quarter_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("data"), &["--rate", "300"]);
    node.eventually_get("/atoll/settlement", |s| s["latest"]["last_slot"].as_u64() >= Some(50));

    let sequencer = node.get("/atoll/settlement").1["sequencer"].as_str().unwrap().to_string();
    let known = ["--slot", "20", "--sequencer", &sequencer, "--reconstruct"];
    let output = sample(&node, &known);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((value["first_slot"].as_u64(), value["last_slot"].as_u64()), (Some(1), Some(50)));
    assert!(value["confidence_bits"].as_u64() >= Some(20), "{value}");
    let rebuilt = &value["rebuilt"];
    assert_eq!(rebuilt["slots"], 50);
    assert!(rebuilt["batches"].as_u64() >= Some(50), "{value}");
    assert!(rebuilt["steps"].as_u64() > Some(500), "{value}");

    // Another sequencer's word is not this one's.
    let stranger = "0x00000000000000000000000000000000000000aa";
    let other = refused(&sample(&node, &["--slot", "20", "--sequencer", stranger]));
    assert!(other.contains("not signed by the sequencer"), "{other}");
    let late = refused(&sample(&node, &["--slot", "1000000"]));
    assert!(late.contains("no such thing"), "{late}");
    // What is asked outside of the square is refused, and nothing breaks.
    let (status, answer) = node.get("/atoll/da/20/sample?square=7&row=9999&column=0");
    assert_eq!(status, 400, "{answer}");
    assert_eq!(node.get("/atoll/da/20/sample?row=x").0, 400);

    // Headers come many at a time, as far as there are any.
    let (status, answer) = node.get("/atoll/headers?from=11&count=20");
    assert_eq!((status, answer["count"].as_u64()), (200, Some(20)), "{answer}");
    let bytes = alloy_primitives::hex::decode(answer["bytes"].as_str().unwrap()).unwrap();
    let mut reader = Reader::new(&bytes);
    let slots: Vec<u64> =
        (0..20).map(|_| SignedHeader::decode(&mut reader).unwrap().header.slot).collect();
    assert!(slots.into_iter().eq(11..31) && reader.rest().is_empty());
    assert_eq!(node.get("/atoll/headers?from=18446744073709551615").1["count"], 0);
    for bad in ["", "?from=0", "?from=1&count=0", "?from=1&count=1001", "?from=x", "?count=5"] {
        assert_eq!(node.get(&format!("/atoll/headers{bad}")).0, 400, "{bad}");
    }
}

#[test]
fn data_is_published_long_before_the_commitment_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--rate", "100", "--commitment-interval", "12s"];
    let mut node = Node::start(&folder.path().join("data"), &args);
    // The first commitment comes at once, so that environments are live; then come long ones.
    let early = node.eventually_get("/atoll/da/60", |span| span["slot"] == 60);
    assert_eq!(early["commitment"], Value::Null, "{early}");
    assert_eq!(node.get("/atoll/settlement").1["latest"]["last_slot"], 50);
    // It is promised to be available, as it would be if the commitment ended here.
    let certificate = &early["certificate"];
    assert_eq!(
        (&certificate["first_slot"], &certificate["last_slot"]),
        (&51.into(), &100.into()),
        "{early}"
    );
    let settlement = node.get("/atoll/settlement").1;
    let word = |value: &Value| value.as_str().unwrap().parse::<B256>().unwrap();
    let leaf = span_leaf((51, 100), word(&early["data_root"]));
    assert_eq!(word(&certificate["data"]), merkle_root([leaf.as_slice()].into_iter()));
    let network = NetworkId(word(&settlement["network"]));
    let promise = availability_digest(&network, (51, 100), word(&certificate["data"]));
    let signature = alloy_primitives::hex::decode(certificate["signature"].as_str().unwrap());
    let signature = Signature::from_bytes(&signature.unwrap()).unwrap();
    let sequencer = settlement["sequencer"].as_str().unwrap().parse().unwrap();
    assert_eq!(signature.recover(&promise), Ok(sequencer));
    // What was promised once is not published in another way after a crash.
    node.kill();
    node = Node::start(&folder.path().join("data"), &args);
    let again = node.eventually_get("/atoll/da/60", |span| span["slot"] == 60);
    assert_eq!(
        (&again["certificate"], &again["data_root"]),
        (&early["certificate"], &early["data_root"])
    );
    let committed = node.eventually_get("/atoll/da/60", |span| !span["commitment"].is_null());
    assert_eq!(
        (&committed["commitment"], &committed["data_root"]),
        (&2.into(), &early["data_root"])
    );
    let commitment = node.get("/atoll/commitments/2").1;
    let spans = commitment["spans"].as_array().unwrap();
    let slots: Vec<_> =
        spans.iter().map(|s| (s["first_slot"].as_u64(), s["last_slot"].as_u64())).collect();
    assert_eq!(slots, [(Some(51), Some(100)), (Some(101), Some(150)), (Some(151), Some(170))]);
    // Whoever executes the spans again comes to the same commitment.
    let url = format!("http://{}", node.address);
    let watched = atoll()
        .args(["watch", "--url", &url, "--slots", "170", "--for", "30s", "--json", "--data-dir"])
        .arg(folder.path().join("watch"))
        .output()
        .unwrap();
    let watched = last_json(&watched);
    assert_eq!(
        (&watched["commitments"], &watched["last_slot"]),
        (&2.into(), &170.into()),
        "{watched}"
    );

    // Settlement would stand still: 256 commitments are over before the first window is.
    let terms = ["--terms", "production", "--commitment-interval", "5s"];
    let output = run(&[&["dev", "--for", "1s"][..], &terms].concat(), &folder.path().join("other"));
    assert!(refused(&output).contains("each must cover 2954 s or more"), "{}", refused(&output));
}
