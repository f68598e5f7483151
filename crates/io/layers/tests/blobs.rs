//! Blobs on a real EVM chain: `ATOLL_ANVIL` names an anvil; without it these tests say that they
//! are skipped.

mod common;

use atoll_ethereum::{Client, Limits};
use atoll_layers::blobs::{BLOBS_PER_TRANSACTION, EthereumBlobs, Options};
use atoll_layers::{DataLayer, Layer, LayerError, Publication, Receipt};
use atoll_types::crypto::SigningKey;
use common::{Kept, batch, has_root};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Anvil(Child, String);

impl Anvil {
    fn start(more: &[&str]) -> Option<Self> {
        let Some(program) = std::env::var_os("ATOLL_ANVIL") else {
            println!("skipped: ATOLL_ANVIL does not name an anvil");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--silent"])
            .args(["--slots-in-an-epoch", "1"])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let anvil = Self(child, format!("http://127.0.0.1:{port}"));
        let end = Instant::now() + Duration::from_secs(20);
        while anvil.client().chain_id().is_err() {
            assert!(Instant::now() < end, "anvil does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        anvil.ask("anvil_setBalance", json!([key().address().to_string(), "0x56bc75e2d63100000"]));
        Some(anvil)
    }

    fn client(&self) -> Client {
        Client::new(&self.1, Limits::default()).unwrap()
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.client().request(method, params).unwrap()
    }

    fn options(&self) -> Options {
        Options { key: Some(key()), poll_ms: 50, wait_ms: 60_000, ..Options::new(&self.1) }
    }

    fn layer(&self) -> EthereumBlobs {
        EthereumBlobs::new(self.options()).unwrap()
    }

    /// Transactions that our account has in blocks.
    fn sent(&self) -> u64 {
        self.client().nonce(key().address(), atoll_ethereum::BlockId::Latest).unwrap()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key() -> SigningKey {
    SigningKey::from_label("blobs")
}

#[test]
fn a_span_larger_than_a_transaction_goes_there_and_back() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]) else { return };
    let (batch, root) = batch(1, 900_000);
    let mut layer = anvil.layer();
    let (mut kept, mut receipt) = (Kept::default(), Receipt::new(Layer::EthereumBlobs, &batch));
    layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert_eq!(kept.receipt(), receipt);
    let hashes = |part: &Publication| match part {
        Publication::Blobs(transaction) => transaction.hashes.len(),
        Publication::Celestia(_) => 0,
    };
    let counts: Vec<usize> = receipt.parts.iter().map(hashes).collect();
    assert_eq!(counts, [BLOBS_PER_TRANSACTION, 2]);

    // Whoever has only the receipt gets the span, and it is the one that was committed to.
    let reader = EthereumBlobs::new(Options::new(&anvil.1)).unwrap();
    let back = reader.retrieve(&receipt).unwrap();
    assert_eq!(back, batch);
    assert!(has_root(&back, root));
    let inclusion = reader.verify(&receipt, &back).unwrap();
    assert_eq!((inclusion.first_block, inclusion.last_block), receipt.blocks().unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    while !reader.verify(&receipt, &back).unwrap().finalised {
        assert!(Instant::now() < end, "never final");
        std::thread::sleep(Duration::from_millis(200));
    }

    // Once more is no more.
    layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert_eq!(anvil.sent(), 2);

    // A receipt that names other blobs, another transaction, another span.
    let (other, _) = common::batch(1, 900_001);
    assert!(matches!(reader.verify(&receipt, &other), Err(LayerError::BadReceipt(_))));
    assert!(!has_root(&other, root));
    let mut changed = receipt.clone();
    if let Publication::Blobs(transaction) = &mut changed.parts[0] {
        transaction.hashes.swap(0, 1);
    }
    assert!(matches!(reader.verify(&changed, &batch), Err(LayerError::BadReceipt(_))));
    assert!(matches!(reader.retrieve(&changed), Err(LayerError::Forged(_))));
    let mut changed = receipt.clone();
    if let Publication::Blobs(transaction) = &mut changed.parts[0] {
        transaction.attempts[0].tip_wei += 1;
    }
    assert!(matches!(reader.verify(&changed, &batch), Err(LayerError::Forged(_))));
    let mut changed = receipt.clone();
    changed.parts.swap(0, 1);
    assert!(matches!(reader.verify(&changed, &batch), Err(LayerError::BadReceipt(_))));
}

#[test]
fn a_process_that_dies_goes_on_and_pays_once() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let mine = || anvil.ask("anvil_mine", json!(["0x1"]));
    let (batch, _) = batch(51, 800_000);
    let mut kept = Kept { dies_after: Some(1), ..Kept::default() };
    let mut receipt = Receipt::new(Layer::EthereumBlobs, &batch);
    // Dies after writing down what it is about to send.
    let died = anvil.layer().publish(&batch, &mut receipt, &mut |r| kept.keep(r));
    assert!(matches!(died, Err(LayerError::Keep(_))), "{died:?}");
    assert_eq!(anvil.ask("txpool_status", json!([]))["pending"], "0x0");
    // Sends it, and dies before a block has it.
    let options = Options { wait_ms: 300, ..anvil.options() };
    for _ in 0..2 {
        let mut receipt = kept.receipt();
        kept.dies_after = None;
        let mut layer = EthereumBlobs::new(options.clone()).unwrap();
        let waits = layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r));
        assert!(matches!(&waits, Err(LayerError::Waiting(_))), "{waits:?}");
        assert!(waits.unwrap_err().is_temporary());
        assert_eq!(anvil.ask("txpool_status", json!([]))["pending"], "0x1");
    }
    // The block came while it was away: found, noted, and the second transaction sent.
    mine();
    let mut receipt = kept.receipt();
    let mut layer = EthereumBlobs::new(options).unwrap();
    assert!(layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).is_err());
    assert_eq!((kept.receipt().parts.len(), kept.receipt().is_complete()), (2, false));
    mine();
    let mut receipt = kept.receipt();
    anvil.layer().publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert!(receipt.is_complete());
    assert_eq!(anvil.sent(), 2);
    assert_eq!(anvil.layer().retrieve(&receipt).unwrap(), batch);
}

fn in_another_block(receipt: &Receipt) -> Receipt {
    let mut receipt = receipt.clone();
    if let Publication::Blobs(transaction) = &mut receipt.parts[0] {
        transaction.block.as_mut().unwrap().hash.0[0] ^= 1;
    }
    receipt
}

#[test]
fn fees_rise_until_a_block_takes_it_and_a_reorganisation_is_repaired() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (batch, _) = batch(101, 1_000);
    let mut kept = Kept::default();
    let mut receipt = Receipt::new(Layer::EthereumBlobs, &batch);
    let options = Options { bump_ms: 100, wait_ms: 2_000, ..anvil.options() };
    let mut layer = EthereumBlobs::new(options).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let open = loop {
        let waits = layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r));
        assert!(matches!(waits, Err(LayerError::Waiting(_))), "{waits:?}");
        let Publication::Blobs(open) = receipt.parts[0].clone() else { panic!("another layer") };
        if open.attempts.len() >= 2 {
            break open;
        }
        assert!(Instant::now() < end, "{open:?}");
    };
    for pair in open.attempts.windows(2) {
        assert!(pair[1].max_blob_fee_wei >= 2 * pair[0].max_blob_fee_wei);
        assert!(pair[1].max_fee_wei >= 2 * pair[0].max_fee_wei);
    }
    let snapshot = anvil.ask("evm_snapshot", json!([]));
    anvil.ask("anvil_mine", json!(["0x1"]));
    layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert!(receipt.is_complete() && layer.verify(&receipt, &batch).is_ok());

    // Another chain, without the block.
    let before = receipt.clone();
    anvil.ask("evm_revert", json!([snapshot]));
    anvil.ask("anvil_dropAllTransactions", json!([]));
    anvil.ask("anvil_mine", json!(["0x2"]));
    let gone = layer.verify(&receipt, &batch);
    assert!(matches!(gone, Err(LayerError::NotIncluded(_))), "{gone:?}");
    assert!(layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).is_err());
    anvil.ask("anvil_mine", json!(["0x1"]));
    layer.publish(&batch, &mut receipt, &mut |r| kept.keep(r)).unwrap();
    assert!(layer.verify(&receipt, &batch).is_ok());
    assert_eq!(anvil.sent(), 1);
    // What was noted of a block that is gone does not hold for the one that came.
    for receipt in [before, in_another_block(&receipt)] {
        let elsewhere = layer.verify(&receipt, &batch);
        assert!(matches!(elsewhere, Err(LayerError::NotIncluded(_))), "{elsewhere:?}");
    }
}

/// Whether a raw transaction comes with a proof for each cell (EIP-7594): behind the transaction's
/// list stands the wrapper's version.
fn has_cell_proofs(raw: &[u8]) -> bool {
    let skip_header = |bytes: &[u8]| match bytes[0] {
        first @ 0xf8.. => 1 + usize::from(first - 0xf7),
        _ => 1,
    };
    let outer = &raw[1 + skip_header(&raw[1..])..];
    let header = skip_header(outer);
    let length = match outer[0] {
        first @ 0xf8.. => outer[1..=usize::from(first - 0xf7)]
            .iter()
            .fold(0, |n, byte| n << 8 | usize::from(*byte)),
        first => usize::from(first - 0xc0),
    };
    outer[header + length] == 1
}

/// A node before Osaka in front of anvil, which takes any proofs: it refuses those of cells.
fn old_node(anvil: &Anvil) -> (String, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (client, refused) = (anvil.client(), Arc::new(AtomicU8::new(0)));
    let count = refused.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some((_, body)) = request(&mut stream) else { continue };
            let call: Value = serde_json::from_slice(&body).unwrap();
            let (method, params) = (call["method"].as_str().unwrap(), &call["params"]);
            let raw = params[0].as_str().and_then(|text| alloy_primitives::hex::decode(text).ok());
            let cells =
                method == "eth_sendRawTransaction" && raw.is_some_and(|raw| has_cell_proofs(&raw));
            let answer = match cells {
                true => {
                    count.fetch_add(1, Relaxed);
                    json!({"error": {"code": -32_000, "message": "unexpected sidecar version 1"}})
                }
                false => match client.request(method, params.clone()) {
                    Ok(result) => json!({ "result": result }),
                    Err(error) => json!({"error": {"code": -32_000, "message": error.to_string()}}),
                },
            };
            let mut answer = answer;
            answer["id"] = call["id"].clone();
            respond(&mut stream, "200 OK", &answer.to_string());
        }
    });
    (url, refused)
}

#[test]
fn chains_before_osaka_are_given_the_proofs_they_take() {
    let Some(anvil) = Anvil::start(&["--block-time", "1", "--hardfork", "prague"]) else { return };
    let (url, refused) = old_node(&anvil);
    let options = Options { rpc_url: url, ..anvil.options() };
    let mut layer = EthereumBlobs::new(options).unwrap();
    for first_slot in [151, 201] {
        let (batch, root) = batch(first_slot, 1_000);
        let mut receipt = Receipt::new(Layer::EthereumBlobs, &batch);
        layer.publish(&batch, &mut receipt, &mut |_| Ok(())).unwrap();
        assert!(has_root(&layer.retrieve(&receipt).unwrap(), root));
        assert!(layer.verify(&receipt, &batch).is_ok());
    }
    assert_eq!(refused.load(Relaxed), 1, "it remembers what the chain takes");
}

#[test]
fn what_cannot_be_paid_or_kept_is_not_sent() {
    let Some(anvil) = Anvil::start(&["--no-mining"]) else { return };
    let (batch, _) = batch(201, 1_000);
    let fresh = || Receipt::new(Layer::EthereumBlobs, &batch);
    let publish = |options: Options| {
        EthereumBlobs::new(options).unwrap().publish(&batch, &mut fresh(), &mut |_| Ok(()))
    };
    let poor = SigningKey::from_label("poor");
    let refused = publish(Options { key: Some(poor), ..anvil.options() });
    assert!(matches!(refused, Err(LayerError::Refused(_))), "{refused:?}");
    let refused = publish(Options { key: None, ..anvil.options() });
    assert!(matches!(refused, Err(LayerError::Config(_))), "{refused:?}");
    let waits = publish(Options { max_fee_cap_wei: 1, ..anvil.options() });
    assert!(matches!(waits, Err(LayerError::Waiting(_))), "{waits:?}");
    let refused =
        anvil.layer().publish(&batch, &mut fresh(), &mut |_| Err(LayerError::Keep("disk".into())));
    assert!(matches!(refused, Err(LayerError::Keep(_))), "{refused:?}");
    let (other, _) = common::batch(202, 1_000);
    let refused = anvil.layer().publish(&other, &mut fresh(), &mut |_| Ok(()));
    assert!(matches!(refused, Err(LayerError::BadReceipt(_))), "{refused:?}");
    assert_eq!(anvil.ask("txpool_status", json!([]))["pending"], "0x0");
}

/// A beacon node with slots of 12 s that answers with anvil's blobs, changed as `mode` says.
struct Liar {
    url: String,
    mode: Arc<AtomicU8>,
}

impl Liar {
    fn start(blobs: Vec<String>, slot: u64, sidecars: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mode = Arc::new(AtomicU8::new(0));
        let seen = mode.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &blobs, slot, sidecars, seen.load(Relaxed));
            }
        });
        Self { url, mode }
    }
}

/// Path and body of an HTTP request.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
            if request.len() >= end + 4 + length {
                let path = head.split(' ').nth(1).unwrap_or_default().to_string();
                return Some((path, request[end + 4..].to_vec()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

fn respond(stream: &mut TcpStream, status: &str, body: &str) {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn answer(mut stream: TcpStream, blobs: &[String], slot: u64, sidecars: bool, mode: u8) {
    let Some((path, _)) = request(&mut stream) else { return };
    let mut blobs = blobs.to_vec();
    match mode {
        // A byte of a field element's value.
        1 => {
            let other = if blobs[0].ends_with("00") { "01" } else { "00" };
            let end = blobs[0].len();
            blobs[0].replace_range(end - 2.., other);
        }
        // No field element.
        2 => blobs[0].replace_range(2..4, "ff"),
        3 => drop(blobs.pop()),
        4 => blobs[0].truncate(100),
        _ => {}
    }
    let asked = if sidecars { "blob_sidecars" } else { "blobs" };
    let found = match path.as_str() {
        "/eth/v1/config/spec" => Some(json!({"data": {"SECONDS_PER_SLOT": "12"}})),
        "/eth/v1/beacon/genesis" => Some(json!({"data": {"genesis_time": "1000"}})),
        path if path == format!("/eth/v1/beacon/{asked}/{slot}") => {
            let data = blobs.iter().map(|blob| match sidecars {
                true => json!({"index": "0", "blob": blob}),
                false => json!(blob),
            });
            Some(json!({ "data": data.collect::<Vec<_>>() }))
        }
        _ => None,
    };
    let (status, body) = match found {
        Some(found) => ("200 OK", found.to_string()),
        None => ("404 Not Found", "{}".into()),
    };
    respond(&mut stream, status, &body);
}

#[test]
fn a_lying_beacon_node_is_found_out_and_slots_are_computed() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]) else { return };
    let (batch, _) = batch(251, 200_000);
    let mut receipt = Receipt::new(Layer::EthereumBlobs, &batch);
    anvil.layer().publish(&batch, &mut receipt, &mut |_| Ok(())).unwrap();
    let Publication::Blobs(part) = &receipt.parts[0] else { panic!("another layer") };
    let block = part.block.unwrap();
    let hash = part.attempts[usize::from(block.attempt)].transaction.to_string();
    let blobs = anvil.ask("anvil_getBlobsByTransactionHash", json!([hash]));
    let blobs: Vec<String> =
        blobs.as_array().unwrap().iter().map(|b| b.as_str().unwrap().to_string()).collect();
    assert_eq!(blobs.len(), 2);
    let slot = (block.time_s - 1_000) / 12;
    for sidecars in [false, true] {
        let liar = Liar::start(blobs.clone(), slot, sidecars);
        let options = Options { beacon_url: liar.url.clone(), ..Options::new(&anvil.1) };
        let reader = EthereumBlobs::new(options).unwrap();
        assert_eq!(reader.retrieve(&receipt).unwrap(), batch);
        for (mode, temporary) in [(1, false), (2, false), (3, false), (4, true)] {
            liar.mode.store(mode, Relaxed);
            let refused = reader.retrieve(&receipt).unwrap_err();
            assert_eq!(refused.is_temporary(), temporary, "{mode}: {refused}");
        }
    }
}
