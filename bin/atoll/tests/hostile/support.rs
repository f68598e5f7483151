//! Networks that their operators leave, and who uses them.

use crate::common::*;
use alloy_sol_types::SolCall;
use atoll_ethereum::abi::{Addresses, IBridge, IERC20};
use atoll_ethereum::deploy::DeployOptions;
use atoll_ethereum::{BlockId, Client, Limits};
use atoll_exchange::{MarketId, Tif};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, Encode, EnvironmentId, NetworkId, U256};
use atoll_vm::Identity;
use atoll_vm::exchange::build::{self, OrderWire};
use atoll_vm::exchange::{OraclePrices, sign};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn error(output: &Output) -> String {
    assert!(!output.status.success(), "it should have been refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn address(name: &str) -> Address {
    SigningKey::from_label(name).address()
}

/// A command of money against a node.
pub(crate) fn money(node: &Node, command: &str, who: &str, args: &[&str]) -> Output {
    let url = format!("http://{}", node.address);
    let key = format!("development:{who}");
    let fixed = [command, "--url", &url, "--key", &key, "--json"];
    atoll().args(fixed).args(args).output().unwrap()
}

/// A process that ends with the test.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network that settles on anvil, with somebody who watches.
pub(crate) struct Abandoned {
    pub(crate) anvil: Anvil,
    pub(crate) anchor: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Abandoned {
    /// Boots a network, lets `live` use it, and kills the operator once everything is settled.
    pub(crate) fn after(
        args: &[&str],
        specs: Option<&Path>,
        live: impl FnOnce(&Node),
    ) -> Option<Self> {
        Self::when(args, specs, |node, _| {
            live(node);
            // What was done is settled: two commitments more than there are now.
            let latest = node.get("/atoll/settlement").1["latest"]["number"].as_u64().unwrap();
            let end = Instant::now() + Duration::from_secs(120);
            while node.get("/atoll/settlement").1["settled"].as_u64() < Some(latest + 1) {
                assert!(Instant::now() < end, "settlement stands still");
                std::thread::sleep(Duration::from_millis(200));
            }
        })
    }

    /// Boots a network, lets `live` use it, who also sees the folder of who watches, and kills the
    /// operator right then.
    pub(crate) fn when(
        args: &[&str],
        specs: Option<&Path>,
        live: impl FnOnce(&Node, &Path),
    ) -> Option<Self> {
        let anvil = Anvil::start()?;
        let folder = tempfile::tempdir().unwrap();
        let operator = json!([address("operator").to_string(), "0x56bc75e2d63100000000"]);
        rpc(&anvil.1, "/", "anvil_setBalance", operator);
        let url = anvil.url();
        let specs = specs.map(|specs| specs.to_str().unwrap());
        let environments: Vec<&str> = specs.iter().flat_map(|s| ["--environments", s]).collect();
        let fixed = ["--hub", &url, "--hub-key", ANVIL_KEY];
        let data = folder.path().join("data");
        let mut node = Node::start(&data, &[&fixed[..], args, &environments].concat());
        let gateway = format!("http://{}", node.address);
        let settlement = deployed(&node);
        let anchor = settlement["contracts"]["anchor"].as_str().unwrap().to_string();
        let watching = atoll()
            .args(["watch", "--url", &gateway, "--anchor", &anchor, "--data-dir"])
            .arg(folder.path().join("watch"))
            .args(&environments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let watching = Guard(watching);
        live(&node, &folder.path().join("watch"));
        node.kill();
        drop(watching);
        Some(Self { anvil, anchor, folder })
    }

    pub(crate) fn pass(&self, seconds: u64) {
        rpc(&self.anvil.1, "/", "evm_increaseTime", json!([seconds]));
        rpc(&self.anvil.1, "/", "evm_mine", json!([]));
    }

    /// The operator's folder is gone with the operator: what was watched is enough.
    pub(crate) fn escape(&self, what: &str, who: &str, specs: Option<&Path>) -> Output {
        self.escape_for(what, address(who), specs)
    }

    pub(crate) fn escape_for(&self, what: &str, who: Address, specs: Option<&Path>) -> Output {
        self.escape_from(&self.folder.path().join("watch"), what, who, specs)
    }

    pub(crate) fn escape_from(
        &self,
        from: &Path,
        what: &str,
        who: Address,
        specs: Option<&Path>,
    ) -> Output {
        let mut command = self.outside(&["escape", what, "--wait"]);
        command.arg("--from").arg(from);
        command.args(specs.iter().flat_map(|s| ["--environments", s.to_str().unwrap()]));
        command.args(["--account", &who.to_string()]);
        command.output().unwrap()
    }

    /// A command of somebody who has nothing but the hub; anyone may pay for its transactions.
    pub(crate) fn outside(&self, args: &[&str]) -> Command {
        self.outside_as(ANVIL_KEY, args)
    }

    pub(crate) fn outside_as(&self, key: &str, args: &[&str]) -> Command {
        let mut command = atoll();
        command.args(args).args(["--json", "--key", key]);
        command.args(["--hub-rpc", &self.anvil.url(), "--anchor", &self.anchor]);
        command
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.anvil.url(), Limits::default()).unwrap()
    }

    pub(crate) fn contracts(&self) -> Addresses {
        atoll_ethereum::hub::addresses(
            &self.client(),
            self.anchor.parse().unwrap(),
            BlockId::Latest,
        )
        .unwrap()
    }

    pub(crate) fn balance(&self, token: Address, who: Address) -> U256 {
        match token.is_zero() {
            true => self.client().balance(who, BlockId::Latest).unwrap(),
            false => {
                let call = IERC20::balanceOfCall { account: who };
                self.client().view(token, &call, BlockId::Latest).unwrap()
            }
        }
    }

    /// Calls a contract.
    pub(crate) fn call(&self, to: Address, wei: U256, data: Vec<u8>) {
        let key = alloy_primitives::hex::decode(ANVIL_KEY).unwrap();
        let key = SigningKey::from_bytes(key.try_into().unwrap()).unwrap();
        let options = DeployOptions { poll_ms: 100, ..DeployOptions::default() };
        atoll_ethereum::deploy::call(&self.client(), &key, "call", to, wei, data, options).unwrap();
    }

    /// Deposits ether for somebody, straight to the contract: there is no gateway any more.
    pub(crate) fn deposit_ether(&self, environment: u32, to: Address, wei: u128) {
        let data = IBridge::depositETHCall { environment, to }.abi_encode();
        self.call(self.contracts().bridge, U256::from(wei), data);
        // Two epochs of one slot: the block is final.
        self.pass(3);
        self.pass(3);
        self.pass(3);
    }
}

/// Waits until the contracts are deployed.
pub(crate) fn deployed(node: &Node) -> Value {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let settlement = node.get("/atoll/settlement").1;
        if settlement["contracts"].is_object() && !settlement["latest"].is_null() {
            return settlement;
        }
        assert!(Instant::now() < end, "{settlement}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What an escape has paid of a token in an environment: the claim, and the payment.
pub(crate) fn paid(escaped: &Value, environment: u64, symbol: &str) -> (U256, U256) {
    let list = escaped["paid"].as_array().unwrap();
    let found = list.iter().find(|p| p["environment"] == environment && p["symbol"] == symbol);
    let found = found.unwrap_or_else(|| panic!("nothing of {symbol} in {environment}: {escaped}"));
    let number = |name: &str| found[name].as_str().unwrap().parse().unwrap();
    (number("amount"), number("paid"))
}

/// The built-in specs, but with an exchange that nothing is funded in and whose oracle is ours.
pub(crate) fn specs_with_own_oracle(folder: &Path) {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(built_in.join("evm.toml"), folder.join("evm.toml")).unwrap();
    let perps = std::fs::read_to_string(built_in.join("perps.toml")).unwrap();
    let (perps, _) = perps.split_once("# Genesis balances.").unwrap();
    // What the judge says moves the mark at once.
    let perps = perps.replace("development:oracle", "development:judge");
    let perps = perps.replace("jump = \"0.05\"", "jump = \"0.5\"");
    std::fs::write(folder.join("perps.toml"), perps).unwrap();
}

/// The exchange of [`specs_with_own_oracle`], as who trades there and its oracle reach it.
pub(crate) struct Perps<'a> {
    node: &'a Node,
    pub(crate) identity: Identity,
    pub(crate) usdc: Address,
}

impl<'a> Perps<'a> {
    /// Gives these people so much USDC; one of them is "long".
    pub(crate) fn open(node: &'a Node, funded: &[(&str, &str)]) -> Self {
        let settlement = node.get("/atoll/settlement").1;
        let network = NetworkId(settlement["network"].as_str().unwrap().parse().unwrap());
        let tokens = settlement["tokens"].as_array().unwrap();
        let found = tokens.iter().find(|token| token["symbol"] == "USDC").unwrap();
        for (who, amount) in funded {
            let args = ["--environment", "perps", "--token", "USDC", "--amount", amount, "--fund"];
            assert_eq!(last_json(&money(node, "deposit", who, &args))["credited"], true);
        }
        Self {
            node,
            identity: Identity { network, environment: EnvironmentId(1) },
            usdc: found["token"].as_str().unwrap().parse().unwrap(),
        }
    }

    pub(crate) fn submit(&self, bytes: Vec<u8>) {
        let (status, answer) = self.node.submit("perps", &bytes).unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    pub(crate) fn oracle(&self, ticks: u64) {
        let prices = OraclePrices { prices: vec![(MarketId(0), ticks)], marks: Vec::new() };
        let key = SigningKey::from_label("judge");
        self.submit(sign::sign_oracle(&key, &self.identity, now_ms(), &prices).to_bytes());
        // In force with the next slot, and in the mark with the next tick.
        std::thread::sleep(Duration::from_millis(400));
        self.submit(noop(&SigningKey::from_label("long"), now_ms()));
    }

    /// An order for BTC at 50,000.
    pub(crate) fn order(&self, who: &str, buy: bool, size: &str, tif: Tif) {
        let order = OrderWire {
            asset: 0,
            buy,
            price: "50000".into(),
            size: size.into(),
            reduce_only: false,
            tif,
            client_id: None,
            ..Default::default()
        };
        let key = SigningKey::from_label(who);
        let signed = sign::sign_action(&key, build::orders(&[order]), now_ms());
        self.submit(signed.to_bytes());
    }
}

/// The spans in a folder of published data, by first and last slot.
pub(crate) fn spans_in(folder: &Path) -> Vec<(u64, u64, std::path::PathBuf)> {
    let Ok(files) = std::fs::read_dir(folder.join("spans")) else { return Vec::new() };
    let slots = |path: std::path::PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".span")?.to_string();
        let (first, last) = name.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?, path))
    };
    files.filter_map(|file| slots(file.unwrap().path())).collect()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &to),
            false => drop(std::fs::copy(file.path(), to).unwrap()),
        }
    }
}
