//! A node of its own for a test, and a small HTTP client.
#![allow(dead_code)] // each test binary uses its part

use atoll_types::Encode;
use atoll_types::crypto::SigningKey;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) fn atoll() -> Command {
    Command::new(env!("CARGO_BIN_EXE_atoll"))
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str], data_dir: &Path) -> Output {
    atoll().args(args).arg("--data-dir").arg(data_dir).output().expect("the binary runs")
}

/// A running `atoll dev`.
pub(crate) struct Node {
    child: Child,
    pub(crate) address: String,
}

impl Node {
    /// Starts a node and waits until it listens.
    pub(crate) fn start(data_dir: &Path, args: &[&str]) -> Self {
        let mut child = atoll()
            .arg("dev")
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let address = loop {
            let line = lines.next().expect("the node says where it listens").expect("utf-8");
            if let Some((_, rest)) = line.split_once("gateway on http://") {
                break rest.trim().to_string();
            }
        };
        // Keep reading, so that the node never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// SIGKILL, and wait until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the node runs");
        self.child.wait().expect("the node ends");
    }

    /// GET; the status and the JSON.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        http(&self.address, "GET", path, "").expect("the gateway answers")
    }

    /// POST of JSON; the status and the JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        http(&self.address, "POST", path, &body.to_string()).expect("the gateway answers")
    }

    /// Submits a transaction; none if the node went away meanwhile.
    pub(crate) fn submit(&self, environment: &str, bytes: &[u8]) -> Option<(u16, Value)> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({ "environment": environment, "bytes": format!("0x{hex}") });
        http(&self.address, "POST", "/atoll/transactions", &body.to_string())
    }

    /// Asks again until the answer is there.
    pub(crate) fn eventually(&self, path: &str) -> Value {
        self.eventually_get(path, |_| true)
    }

    /// Asks again until the answer is as wanted.
    pub(crate) fn eventually_get(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(path, || self.get(path), wanted)
    }

    /// Asks again until the answer is as wanted.
    pub(crate) fn eventually_post(
        &self,
        path: &str,
        body: &Value,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        until(path, || self.post(path, body), wanted)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(path: &str, ask: impl Fn() -> (u16, Value), wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, value) = ask();
        if status == 200 && wanted(&value) {
            return value;
        }
        assert!(Instant::now() < end, "{path}: {status} {value}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// One HTTP request on a connection of its own, answered with JSON.
pub(crate) fn http(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let (status, body) = exchange(address, method, path, body)?;
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

/// GET of plain text.
pub(crate) fn text(address: &str, path: &str) -> String {
    exchange(address, "GET", path, "").expect("the gateway answers").1
}

fn exchange(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_string()))
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as u64
}

/// A signed action that does nothing but use its nonce.
pub(crate) fn noop(key: &SigningKey, nonce: u64) -> Vec<u8> {
    use atoll_vm::exchange::{build, sign};
    sign::sign_action(key, build::noop(), nonce).to_bytes()
}

/// Somebody with a key on the exchange.
pub(crate) struct Trader {
    pub(crate) key: SigningKey,
    nonce: u64,
}

impl Trader {
    /// The development key of this name.
    pub(crate) fn new(label: &str) -> Self {
        Self { key: SigningKey::from_label(label), nonce: 0 }
    }

    pub(crate) fn user(&self) -> String {
        format!("{:#x}", self.key.address())
    }

    pub(crate) fn nonce(&mut self) -> u64 {
        self.nonce = now_ms().max(self.nonce + 1);
        self.nonce
    }

    /// Signs and submits an action, which must reach the exchange.
    pub(crate) fn act(&mut self, node: &Node, action: Vec<u8>) {
        let nonce = self.nonce();
        let signed = atoll_vm::exchange::sign::sign_action(&self.key, action, nonce);
        let (status, answer) = node.submit("perps", &signed.to_bytes()).unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    /// BTC at a whole price.
    pub(crate) fn order(
        &mut self,
        node: &Node,
        buy: bool,
        price: u64,
        size: &str,
        client: Option<u8>,
    ) {
        use atoll_vm::exchange::build;
        let order = build::OrderWire {
            asset: 0,
            buy,
            price: price.to_string(),
            size: size.into(),
            reduce_only: false,
            tif: atoll_exchange::Tif::Gtc,
            client_id: client.map(|n| [n; 16]),
            ..Default::default()
        };
        self.act(node, build::orders(&[order]));
    }
}

/// An address that nothing listens on.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The JSON on the last line of what a command said, which must have succeeded.
pub(crate) fn last_json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{error}");
    serde_json::from_str(said.lines().last().unwrap_or_default()).expect("JSON on the last line")
}

/// A chain that is not ours; ends with it.
pub(crate) struct Anvil(Child, pub(crate) String);

impl Anvil {
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("ATOLL_ANVIL") else {
            println!("skipped: ATOLL_ANVIL does not name an anvil");
            return None;
        };
        let address = free_address();
        let (host, port) = address.split_once(':').unwrap();
        let child = Command::new(program)
            .args(["--host", host, "--port", port, "--balance", "1000000", "--silent"])
            .args(["--block-time", "1", "--slots-in-an-epoch", "1"])
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let anvil = Self(child, address);
        let end = Instant::now() + Duration::from_secs(20);
        while rpc(&anvil.1, "/", "eth_chainId", json!([])).is_none() {
            assert!(Instant::now() < end, "anvil does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(anvil)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.1)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A JSON-RPC call; none if it fails.
pub(crate) fn rpc(address: &str, path: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let (status, answer) = http(address, "POST", path, &body.to_string())?;
    (status == 200 && !answer["result"].is_null()).then(|| answer["result"].clone())
}

/// The first account that every anvil funds; its key is public.
pub(crate) const ANVIL_KEY: &str =
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
