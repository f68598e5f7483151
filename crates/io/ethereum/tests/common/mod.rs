//! A real node: anvil, if `ATOLL_ANVIL` names its binary.
#![allow(dead_code, unreachable_pub)]

use atoll_ethereum::{Client, Limits, Receipt};
use atoll_types::B256;
use atoll_types::crypto::SigningKey;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Anvil {
    process: Child,
    pub client: Client,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// Starts one on a free port; `None`, and a line that says so, without the variable.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let Ok(binary) = std::env::var("ATOLL_ANVIL") else {
            println!("skipped: ATOLL_ANVIL does not name anvil's binary");
            return None;
        };
        let mut process = Command::new(binary)
            .args(["--port", "0", "--host", "127.0.0.1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("anvil says where it listens").unwrap();
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.to_string();
            }
        };
        // So that it never waits for somebody to read.
        std::thread::spawn(move || lines.for_each(drop));
        let client = Client::new(&format!("http://{address}"), Limits::default()).unwrap();
        Some(Self { process, client })
    }

    pub fn automine(&self, on: bool) {
        self.client.request("evm_setAutomine", json!([on])).unwrap();
    }

    /// The receipt of a transaction; anvil mines soon, not at once.
    pub fn receipt(&self, transaction: B256) -> Receipt {
        for _ in 0..500 {
            if let Some(receipt) = self.client.receipt(transaction).unwrap() {
                return receipt;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{transaction} was not mined");
    }

    pub fn mine(&self, blocks: u64) {
        self.client.request("anvil_mine", json!([format!("{blocks:#x}")])).unwrap();
    }
}

/// Anvil's account with this number, from 0 to 2.
pub fn account(number: usize) -> SigningKey {
    let keys = [
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ];
    let bytes = alloy_primitives::hex::decode_to_array(keys[number]).unwrap();
    SigningKey::from_bytes(bytes).unwrap()
}
