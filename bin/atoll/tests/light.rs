//! The light client through the binary, against a real network: what it follows and proves, and
//! what a gateway that lies cannot make it believe.

mod common;

use atoll_types::crypto::SigningKey;
use atoll_types::{Decode, Encode, NetworkId, Reader, SignedHeader};
use common::*;
use serde_json::Value;
use std::cmp::Ordering;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// r, s and the parity of y.
const SIGNATURE_BYTES: usize = 65;

/// What a lying gateway makes of an answer: the path, the status, the body.
type Lie = dyn Fn(&str, &mut u16, &mut Vec<u8>) + Send + Sync;

/// A gateway between the light client and a node. Gives its address.
fn proxy(node: &str, lie: impl Fn(&str, &mut u16, &mut Vec<u8>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (node, lie): (_, Arc<Lie>) = (node.to_string(), Arc::new(lie));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (node, lie) = (node.clone(), lie.clone());
            std::thread::spawn(move || serve(stream, &node, &*lie));
        }
    });
    address
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Passes one GET on, and what comes of it back.
fn serve(mut stream: TcpStream, node: &str, lie: &Lie) -> Option<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while head_end(&request).is_none() {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).ok()?;
    let path = request.split(' ').nth(1)?.to_string();
    let octets = request.to_ascii_lowercase().contains("application/octet-stream");
    let accept = if octets { "application/octet-stream" } else { "*/*" };
    let mut upstream = TcpStream::connect(node).ok()?;
    let ask = format!(
        "GET {path} HTTP/1.1\r\nhost: {node}\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    );
    upstream.write_all(ask.as_bytes()).ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).ok()?;
    let mut body = answer.split_off(head_end(&answer)?);
    let mut status = String::from_utf8(answer).ok()?.split(' ').nth(1)?.parse().ok()?;
    lie(&path, &mut status, &mut body);
    let head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn last_json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON at the end: {said}\n{error}"))
}

fn well(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{error}");
    last_json(output)
}

/// A node with something settled on its hub, and what a careful client knows of it beforehand.
struct Network {
    node: Node,
    known: Vec<String>,
}

impl Network {
    fn start(data_dir: &Path) -> Self {
        let node = Node::start(data_dir, &["--rate", "100"]);
        let settlement =
            node.eventually_get("/atoll/settlement", |told| told["contracts"].is_object());
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let hub = format!("http://{}/hub", node.address);
        let anchor = text(&settlement["contracts"]["anchor"]);
        let known = ["--hub-rpc", &hub, "--anchor", &anchor].map(str::to_string).to_vec();
        Self { node, known }
    }

    fn url(&self) -> String {
        format!("http://{}", self.node.address)
    }

    fn sequencer(&self) -> String {
        SigningKey::from_label("sequencer").address().to_string()
    }

    fn light(&self, folder: &Path, url: &str, more: &[&str]) -> Output {
        let mut command = atoll();
        command.args(["light", "--json", "--url", url, "--data-dir"]).arg(folder);
        command.args(&self.known).args(["--sequencer", &self.sequencer()]).args(more);
        command.output().unwrap()
    }

    fn prove(&self, url: &str, more: &[&str]) -> Output {
        let mut command = atoll();
        command.args(["light", "prove", "--json", "--url", url]);
        command.args(&self.known).args(more).output().unwrap()
    }

    /// Waits until the hub has settled this commitment.
    fn settled(&self, number: u64) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.node.get("/atoll/settlement").1["settled"].as_u64() < Some(number) {
            assert!(Instant::now() < end, "commitment {number} is not settled");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn it_follows_a_network_proves_a_deposit_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("node"));
    let data = folder.path().join("light");
    let url = network.url();
    let me = SigningKey::from_label("light").address().to_string();
    let mut deposit = atoll();
    deposit.args(["deposit", "--url", &url, "--key", "development:light", "--fund"]);
    deposit.args(["--environment", "perps", "--token", "USDC", "--amount", "12.5"]);
    let deposit = deposit.stdout(std::process::Stdio::null()).spawn().unwrap();

    // Nothing is settled yet: it begins with the first slot and sees the first one settled.
    let first = well(&network.light(&data, &url, &["--until-settled", "--prove", "perps:0x02"]));
    assert!(first["headers"].as_u64() >= Some(50), "{first}");
    assert!(first["commitments"].as_u64() >= Some(1), "{first}");
    assert!(first["settled"].as_u64() >= Some(1) && first["refused"].is_null(), "{first}");
    assert!(first["samples"].as_u64() >= Some(49) && first["confidence_bits"] == 20, "{first}");
    assert!(first["bytes"].as_u64() > Some(40_000), "{first}");
    assert!(first["bytes_per_day"].as_u64() > first["bytes"].as_u64(), "{first}");
    assert!(first["proofs"][0]["objects"][0]["value"].is_string(), "{first}");
    assert!(first["behind_s"].as_f64().is_some_and(|behind| behind < 20.0), "{first}");
    assert_eq!(first["trusted"], serde_json::json!([]));
    if cfg!(target_os = "linux") {
        assert!(first["peak_memory_bytes"].as_u64() < Some(64 << 20), "{first}");
    }

    // Again, from where it was; another gateway of the same node tells the same.
    let again = network.light(&data, &url, &["--slots", "60", "--also", &url]);
    let again = well(&again);
    assert_eq!(again["headers"], 60);
    let was = first["last_commitment"].as_u64().unwrap();
    assert_eq!(again["last_slot"].as_u64(), Some(50 * was + 60), "{again}");
    assert!(again["last_commitment"].as_u64() > Some(was), "{again}");

    // A new client begins at what is settled, and not with the first slot.
    let late = well(&network.light(&folder.path().join("late"), &url, &["--slots", "5"]));
    assert!(late["last_slot"].as_u64() >= Some(55) && late["headers"] == 5, "{late}");

    // The deposit, proven against the hub.
    assert!(deposit.wait_with_output().unwrap().status.success());
    let end = Instant::now() + Duration::from_secs(40);
    let proof = loop {
        let asked = ["--environment", "perps", "--account", &me, "--asset", "USDC"];
        let output = network.prove(&url, &asked);
        if output.status.success() && last_json(&output)["facts"]["number"].is_u64() {
            break last_json(&output);
        }
        // Before it is settled the proof says that there is no such account.
        assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&output.stderr));
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_eq!(proof["facts"]["collateral"], "12.5 USDC", "{proof}");
    // Its number, the account, and that there is no spot balance.
    assert_eq!(proof["objects"].as_array().unwrap().len(), 3, "{proof}");
    assert_eq!(
        (&proof["objects"][2]["value"], &proof["facts"]["spot_usdc"]),
        (&Value::Null, &"0 USDC".into())
    );
    let agent = SigningKey::from_label("agent-0").address().to_string();
    let asked = ["--environment", "perps", "--account", &agent, "--position", "BTC"];
    let position = well(&network.prove(&url, &asked));
    assert!(position["facts"]["size"].as_str().unwrap().parse::<f64>().is_ok(), "{position}");
    // An account of the genesis state that nobody uses.
    let idle = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    let native = well(&network.prove(&url, &["--environment", "evm", "--account", idle]));
    assert_eq!(native["facts"]["balance"], "10000 ETH", "{native}");
    open_order(&network, &url);
}

/// An order that some agent has open, while commitments are settled.
fn open_order(network: &Network, url: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    let agents: Vec<String> = (0..20)
        .map(|n| SigningKey::from_label(&format!("agent-{n}")).address().to_string())
        .collect();
    let orders: Vec<(String, String)> = agents
        .iter()
        .filter_map(|agent| {
            let body = serde_json::json!({ "type": "openOrders", "user": agent });
            let orders = network.node.post("/info", &body).1;
            let order = orders.as_array()?.first()?["oid"].as_u64()?;
            Some((agent.clone(), order.to_string()))
        })
        .collect();
    assert!(!orders.is_empty(), "no agent has an open order");
    // Each is settled some seconds later; most of them are gone by then, which is proven as well.
    loop {
        for (agent, order) in &orders {
            let asked = ["--environment", "perps", "--account", agent, "--order", order];
            let output = network.prove(url, &asked);
            let proof = if output.status.success() { last_json(&output) } else { continue };
            if proof["facts"]["open"] != "0" {
                assert!(proof["facts"]["price"].is_string(), "{proof}");
                assert!(proof["objects"].as_array().unwrap().len() == 4, "{proof}");
                return;
            }
        }
        assert!(Instant::now() < end, "no open order was ever settled");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn flip(body: &mut [u8], at: usize) {
    body[at] ^= 1;
}

/// Headers of which the first is another one, signed by the sequencer's own key.
fn second_header(network: NetworkId, body: &mut Vec<u8>) {
    let mut reader = Reader::new(body);
    let Ok(mut sealed) = SignedHeader::decode(&mut reader) else { return };
    let rest = reader.rest().to_vec();
    sealed.header.ticks += 1;
    sealed.signature = SigningKey::from_label("sequencer").sign(&sealed.header.digest(&network));
    *body = sealed.to_bytes();
    body.extend_from_slice(&rest);
}

/// A commitment of which one field is another, signed by the sequencer's own key.
fn other_commitment(body: &mut Vec<u8>) {
    let mut reader = Reader::new(body);
    let Ok(mut commitment) = atoll_types::Commitment::decode(&mut reader) else { return };
    let rest = reader.rest();
    let availability = &rest[rest.len() - SIGNATURE_BYTES..];
    let parts = &rest[..rest.len() - 2 * SIGNATURE_BYTES];
    commitment.queue_hash.0[0] ^= 1;
    let signature = SigningKey::from_label("sequencer").sign(&commitment.hash());
    *body = [&commitment.to_bytes(), parts, &signature.to_bytes(), availability].concat();
}

#[test]
fn what_a_gateway_withholds_or_forges_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::start(&folder.path().join("node"));
    network.settled(1);
    let node = network.node.address.clone();
    let id = network.node.get("/atoll/settlement").1["network"].as_str().unwrap().to_string();
    let id = NetworkId(id.parse().unwrap());
    let mut number = 0;
    let mut fresh = || -> PathBuf {
        number += 1;
        folder.path().join(format!("light-{number}"))
    };
    let patience = ["--for", "30s", "--until-settled"];
    let mut failures = Vec::new();
    let mut expect = |name: &str, kind: &str, shown: &[&str], output: &Output| -> Value {
        let refused = last_json(output)["refused"].clone();
        let shows = |what: &&str| refused.pointer(what).is_some_and(|value| !value.is_null());
        if output.status.success() || refused["kind"] != kind || !shown.iter().all(shows) {
            failures.push(format!("{name}: {refused}"));
        }
        refused
    };
    let place = ["/slot", "/square", "/row", "/column"];

    // In between and honest, the proxy changes nothing.
    let honest = proxy(&node, |_, _, _| {});
    assert!(well(&network.light(&fresh(), &honest, &patience))["refused"].is_null());

    let row = proxy(&node, |path, status, _| {
        // Half of the rows: a sample of 49 meets one of them.
        let asked = path.split_once("&row=").and_then(|(_, rest)| rest.split_once('&'));
        if asked.is_some_and(|(row, _)| row.parse::<u32>().is_ok_and(|row| row % 2 == 1)) {
            *status = 404;
        }
    });
    expect("row", "withheld", &place, &network.light(&fresh(), &row, &patience));

    let roots = proxy(&node, |path, status, _| {
        if path.starts_with("/atoll/da/") && !path.contains("sample") {
            *status = 410;
        }
    });
    expect("roots", "withheld", &["/slot"], &network.light(&fresh(), &roots, &patience));

    let share = proxy(&node, |path, _, body| {
        if path.contains("/sample") {
            flip(body, 200);
        }
    });
    expect("share", "bad_share", &place, &network.light(&fresh(), &share, &patience));

    let header = proxy(&node, |path, _, body| {
        if path.starts_with("/atoll/headers?") && !body.is_empty() {
            flip(body, 100);
        }
    });
    expect("header", "bad_header", &["/slot"], &network.light(&fresh(), &header, &patience));

    let twice = proxy(&node, move |path, _, body| {
        if path.starts_with("/atoll/headers?") {
            second_header(id, body);
        }
    });
    let both = ["/evidence/header", "/evidence/other"];
    let evidence =
        expect("twice", "equivocation", &both, &network.light(&fresh(), &twice, &patience));
    for text in both.iter().filter_map(|name| evidence.pointer(name)?.as_str()) {
        let bytes = alloy_primitives::hex::decode(text).unwrap();
        let sealed = SignedHeader::from_bytes(&bytes).unwrap();
        let signer = sealed.signature.recover(&sealed.header.digest(&id)).unwrap();
        assert_eq!(signer.to_string(), network.sequencer(), "{evidence}");
        assert_eq!(Some(sealed.header.slot), evidence["slot"].as_u64(), "{evidence}");
    }

    // Another gateway that was told another story.
    let also = proxy(&node, move |path, _, body| {
        if path.starts_with("/atoll/headers/") {
            second_header(id, body);
        }
    });
    let mut more = patience.to_vec();
    more.extend(["--also", &also]);
    expect("two gateways", "equivocation", &both, &network.light(&fresh(), &network.url(), &more));

    let settled = network.node.get("/atoll/settlement").1["settled"].as_u64().unwrap();
    // One commitment is another, and nothing comes after it that would not fit.
    let forged = proxy(&node, move |path, status, body| {
        let number = path.strip_prefix("/atoll/commitments/").and_then(|n| n.parse::<u64>().ok());
        match number.map(|number| number.cmp(&(settled + 3))) {
            Some(Ordering::Equal) => other_commitment(body),
            Some(Ordering::Greater) => *status = 404,
            _ => {}
        }
    });
    expect("forged", "not_anchored", &[], &network.light(&fresh(), &forged, &["--for", "40s"]));

    let torn = proxy(&node, |path, _, body| {
        if path.starts_with("/atoll/commitments/") {
            flip(body, 150);
        }
    });
    let mut more = patience.to_vec();
    more.push("--from-genesis");
    expect("torn", "bad_commitment", &[], &network.light(&fresh(), &torn, &more));

    let stranger = "0x00000000000000000000000000000000000000aa";
    let mut command = atoll();
    command.args(["light", "--json", "--url", &network.url(), "--data-dir"]).arg(fresh());
    let output = command.args(&network.known).args(["--sequencer", stranger]).args(patience);
    expect("stranger", "bad_header", &[], &output.output().unwrap());

    // A richer state than the one settled.
    let rich = proxy(&node, |path, _, body| {
        if path.starts_with("/atoll/proof") {
            let mut answer: Value = serde_json::from_slice(body).unwrap();
            let value = answer["value"].as_str().unwrap().to_string();
            answer["value"] = format!("{}ff", &value[..value.len() - 2]).into();
            *body = answer.to_string().into_bytes();
        }
    });
    let account = SigningKey::from_label("agent-0").address().to_string();
    let asked = ["--environment", "evm", "--account", &account];
    let output = network.prove(&rich, &asked);
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !said.contains("BAD PROOF") {
        failures.push(format!("rich: {said}"));
    }
    well(&network.prove(&honest, &asked));
    let poor = proxy(&node, |path, _, body| {
        if path.starts_with("/atoll/proof") {
            let mut answer: Value = serde_json::from_slice(body).unwrap();
            answer["value"] = Value::Null;
            answer["absence"] = "0x00".into();
            *body = answer.to_string().into_bytes();
        }
    });
    let said = network.prove(&poor, &asked).stderr;
    if !String::from_utf8_lossy(&said).contains("BAD PROOF") {
        failures.push("poor".into());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
