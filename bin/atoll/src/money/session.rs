//! A user's connections: the gateway of a network, the hub behind it, and the key that signs.

use crate::gateway::Gateway;
use anyhow::{Context, Result, anyhow, bail};
use atoll_ethereum::abi::Addresses;
use atoll_ethereum::deploy::DeployOptions;
use atoll_ethereum::{Client, Limits};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, EnvironmentId, NetworkId, U256};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a step of settlement is waited for: a deposit until it is credited, a withdrawal until
/// it can be claimed.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// An environment as the gateway tells of it.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub(super) id: EnvironmentId,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) chain_id: u64,
}

/// A token of the hub in an environment.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) symbol: String,
    pub(super) token: Address,
    /// Decimals on the hub.
    pub(super) decimals: u32,
    /// The smallest amount on the hub that the environment takes.
    pub(super) unit: U256,
}

pub(super) struct Session {
    pub(super) gateway: Gateway,
    pub(super) hub: Client,
    pub(super) contracts: Addresses,
    pub(super) network: NetworkId,
    pub(super) environments: Vec<Environment>,
    pub(super) key: SigningKey,
    settlement: Value,
}

/// Reads a key: 32 bytes in hex, or a development key by name.
pub(crate) fn parse_key(text: &str) -> Result<SigningKey> {
    if let Some(label) = text.strip_prefix("development:") {
        return Ok(SigningKey::from_label(label));
    }
    let bytes = alloy_primitives::hex::decode(text).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
    let key = bytes.and_then(SigningKey::from_bytes);
    key.ok_or_else(|| anyhow!("a key is 64 hex digits, or development:NAME"))
}

pub(super) fn address_of(value: &Value, what: &str) -> Result<Address> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.with_context(|| format!("the gateway gives no address of {what}: {value}"))
}

pub(super) fn word_of(value: &Value, what: &str) -> Result<B256> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.with_context(|| format!("the gateway gives no {what}: {value}"))
}

pub(super) fn number_of(value: &Value, what: &str) -> Result<u64> {
    value.as_u64().with_context(|| format!("the gateway gives no {what}: {value}"))
}

impl Session {
    /// Connects; waits for a node that has only just started until its hub is ready.
    pub(super) fn open(url: &str, hub_rpc: Option<&str>, key: &str) -> Result<Self> {
        let gateway = Gateway::new(url)?;
        let key = parse_key(key)?;
        let settlement = wait("the network's hub to be deployed", || {
            let settlement = gateway.get("/atoll/settlement")?;
            Ok(settlement["contracts"].is_object().then_some(settlement))
        })?;
        let rpc_url = match (hub_rpc, settlement["rpc_url"].as_str()) {
            (Some(url), _) | (None, Some(url)) => url.to_string(),
            (None, None) => bail!("the gateway does not say where its hub is: use --hub-rpc"),
        };
        let contract = |name: &str| address_of(&settlement["contracts"][name], name);
        let contracts = Addresses {
            timelock: contract("timelock")?,
            guardian: Address::ZERO,
            registry: contract("registry")?,
            queue: contract("queue")?,
            anchor: contract("anchor")?,
            bridge: contract("bridge")?,
            hatch: contract("hatch")?,
        };
        let environments = gateway.get("/atoll/environments")?;
        let environments = environments["environments"].as_array().cloned().unwrap_or_default();
        let environments = environments.iter().map(|e| {
            Ok(Environment {
                id: EnvironmentId(number_of(&e["id"], "id of an environment")? as u32),
                name: e["name"].as_str().unwrap_or_default().into(),
                kind: e["kind"].as_str().unwrap_or_default().into(),
                chain_id: e["chain_id"].as_u64().unwrap_or_default(),
            })
        });
        let environments = environments.collect::<Result<Vec<_>>>()?;
        let network = NetworkId(word_of(&settlement["network"], "network")?);
        let hub = Client::new(&rpc_url, Limits::default())?;
        Ok(Self { gateway, hub, contracts, network, environments, key, settlement })
    }

    pub(super) fn environment(&self, name: &str) -> Result<&Environment> {
        let id = name.parse().ok().map(EnvironmentId);
        let found = self.environments.iter().find(|e| e.name == name || Some(e.id) == id);
        found.with_context(|| {
            let known: Vec<&str> = self.environments.iter().map(|e| e.name.as_str()).collect();
            format!("there is no environment '{name}'; there are: {}", known.join(", "))
        })
    }

    /// The first environment of a kind.
    pub(super) fn of_kind(&self, kind: &str) -> Result<&Environment> {
        let found = self.environments.iter().find(|e| e.kind == kind);
        found.with_context(|| format!("this network has no environment of kind {kind}"))
    }

    /// A token that an environment takes, by symbol or address.
    pub(super) fn token(&self, environment: &Environment, name: &str) -> Result<Token> {
        let all = self.settlement["tokens"].as_array().cloned().unwrap_or_default();
        let own = all.iter().filter(|t| t["environment"] == environment.id.0);
        let mut known = Vec::new();
        for entry in own {
            let token = Token {
                symbol: entry["symbol"].as_str().unwrap_or_default().into(),
                token: address_of(&entry["token"], "a token")?,
                decimals: number_of(&entry["decimals"], "decimals")? as u32,
                unit: entry["unit"].as_str().and_then(|u| u.parse().ok()).unwrap_or(U256::from(1)),
            };
            if token.symbol == name || name.parse() == Ok(token.token) {
                return Ok(token);
            }
            known.push(token.symbol);
        }
        bail!("{} takes no {name}; it takes {}", environment.name, known.join(", "))
    }

    /// A client of an EVM environment.
    pub(super) fn evm(&self, environment: &Environment) -> Result<Client> {
        let url = format!("{}/evm/{}", self.gateway.url(), environment.name);
        Ok(Client::new(&url, Limits::default())?)
    }
}

/// Options for transactions that a person waits for.
pub(crate) fn options() -> DeployOptions {
    DeployOptions { wait_ms: 60_000, poll_ms: 100, ..DeployOptions::default() }
}

/// Looks again and again until there is something.
pub(super) fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    let mut last;
    loop {
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = None,
            Err(error) => last = Some(error),
        }
        if started.elapsed() > PATIENCE {
            let waited = format!("waited {} s for {what}", PATIENCE.as_secs());
            return Err(last.unwrap_or_else(|| anyhow!("it did not come")).context(waited));
        }
        std::thread::sleep(LOOK);
    }
}

impl Token {
    /// A decimal number of the token in its smallest unit.
    pub(super) fn amount(&self, text: &str) -> Result<U256> {
        let decimal = crate::specs::Decimal::parse(text);
        let units = decimal.and_then(|decimal| decimal.scaled(self.decimals));
        let amount = units.map(U256::from).with_context(|| {
            format!("'{text}' is no amount of {} ({} decimals)", self.symbol, self.decimals)
        })?;
        if amount.is_zero() || !(amount % self.unit).is_zero() {
            bail!("the amount must be above zero and a multiple of {} units", self.unit);
        }
        Ok(amount)
    }

    /// An amount as people write it.
    pub(super) fn text(&self, amount: U256) -> String {
        let digits = amount.to_string();
        let decimals = self.decimals as usize;
        let digits = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        match fraction.trim_end_matches('0') {
            "" => format!("{whole} {}", self.symbol),
            fraction => format!("{whole}.{fraction} {}", self.symbol),
        }
    }
}
