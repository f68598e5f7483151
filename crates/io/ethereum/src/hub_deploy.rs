//! The whole hub as a deployment plan.
//!
//! The Registry, the HubQueue, the Anchor, the Bridge and the EscapeHatch stand behind transparent
//! proxies that belong to a timelock. One contract, `Hub`, creates and initialises all five in its
//! constructor, so that nobody can come in between. Addresses follow from the network's id, the
//! configuration and the bytecode alone: two networks share a chain without meeting, and their
//! implementations are the same contracts.

use crate::abi::{
    Addresses, AnchorConfig, BridgeConfig, HubSetup, IAnchor, IBridge, IEscapeHatch, IHub,
    IHubQueue, IRegistry, Implementations, Registration, RegistryConfig,
};
use crate::client::Client;
use crate::deploy::{self, Bytecode, DeployError, DeployOptions, Plan, Step};
use crate::error::ClientError;
use crate::json;
use crate::view::{BlockId, LogFilter};
use crate::{hub, logs};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use atoll_types::crypto::SigningKey;
use atoll_types::sha256;
use serde_json::Value;

/// What a hub is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Who may pause environments for a while.
    pub guardian: Address,
    /// Shortest delay of the timelock, seconds.
    pub timelock_delay_s: u64,
    /// Who may propose and cancel what the timelock does.
    pub proposers: Vec<Address>,
    /// Who may carry it out; the zero address stands for everyone.
    pub executors: Vec<Address>,
    /// The Registry's settings.
    pub registry: RegistryConfig,
    /// Environment 0.
    pub router: Registration,
    /// The Anchor's settings; its `network` is part of every address.
    pub anchor: AnchorConfig,
    /// The Bridge's settings.
    pub bridge: BridgeConfig,
}

/// The hub's contracts as they were compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubBytecode {
    registry: Bytecode,
    queue: Bytecode,
    anchor: Bytecode,
    bridge: Bytecode,
    hatch: Bytecode,
    hub: Bytecode,
    timelock: Bytecode,
    proxy: Bytecode,
}

/// Why an artifact cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("contracts/artifacts/{name}.json: {what}: build the contracts again")]
pub struct ArtifactError {
    /// Which contract.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl HubBytecode {
    /// Reads the compiler's artifacts: `artifact` gives the JSON text of a contract.
    ///
    /// # Errors
    /// An artifact that is missing or damaged.
    pub fn read<T: AsRef<str>>(
        artifact: impl Fn(&'static str) -> Option<T>,
    ) -> Result<Self, ArtifactError> {
        let get = |name: &'static str| {
            let text = artifact(name)
                .ok_or_else(|| ArtifactError { name, what: "it is missing".into() })?;
            bytecode(text.as_ref()).map_err(|what| ArtifactError { name, what })
        };
        Ok(Self {
            registry: get("Registry")?,
            queue: get("HubQueue")?,
            anchor: get("Anchor")?,
            bridge: get("Bridge")?,
            hatch: get("EscapeHatch")?,
            hub: get("Hub")?,
            timelock: get("TimelockController")?,
            proxy: get("TransparentUpgradeableProxy")?,
        })
    }
}

/// Reads one artifact of the compiler.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn bytecode(text: &str) -> Result<Bytecode, String> {
    let artifact: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let part = |name| json::bytes(json::member(&artifact, name)?, name);
    let bytecode = Bytecode { init_code: part("bytecode")?, code: part("deployedBytecode")? };
    match bytecode.init_code.is_empty() || bytecode.code.is_empty() {
        true => Err("it has no bytecode".into()),
        false => Ok(bytecode),
    }
}

/// A hub with every address, before any of it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPlan {
    /// What is created, in order.
    pub plan: Plan,
    /// The contract that creates the others and knows where they are.
    pub hub: Address,
    /// The hub's contracts.
    pub addresses: Addresses,
    router_spec: B256,
    bond: alloy_primitives::aliases::U96,
}

impl HubPlan {
    /// Plans a hub.
    pub fn new(config: &HubConfig, bytecode: &HubBytecode) -> Self {
        let mut plan = Plan::default();
        // No salt, no arguments: whoever has the same code shares it.
        let mut shared = |name, bytecode| plan.add(name, B256::ZERO, bytecode, &[]);
        let i = Implementations {
            registry: shared("Registry implementation", &bytecode.registry),
            queue: shared("HubQueue implementation", &bytecode.queue),
            anchor: shared("Anchor implementation", &bytecode.anchor),
            bridge: shared("Bridge implementation", &bytecode.bridge),
            hatch: shared("EscapeHatch implementation", &bytecode.hatch),
        };
        let salt = sha256(&[b"atoll hub", config.anchor.network.as_slice()]);
        // Nobody stands above the timelock: no admin.
        let (proposers, executors) = (config.proposers.clone(), config.executors.clone());
        let delay_s = U256::from(config.timelock_delay_s);
        let arguments = (delay_s, proposers, executors, Address::ZERO).abi_encode_params();
        let timelock = plan.add("Timelock", salt, &bytecode.timelock, &arguments);
        let guardian = config.guardian;
        let setup = HubSetup {
            registry: config.registry.clone(),
            anchor: config.anchor.clone(),
            bridge: config.bridge.clone(),
            router: config.router.clone(),
        };
        let arguments = (i.clone(), timelock, guardian, setup).abi_encode_params();
        let hub = plan.add("Hub", salt, &bytecode.hub, &arguments);
        let mut proxy =
            |name, implementation| plan.with_proxy(name, &bytecode.proxy, implementation, timelock);
        let addresses = Addresses {
            timelock,
            guardian,
            registry: proxy("Registry", i.registry),
            queue: proxy("HubQueue", i.queue),
            anchor: proxy("Anchor", i.anchor),
            bridge: proxy("Bridge", i.bridge),
            hatch: proxy("EscapeHatch", i.hatch),
        };
        let (router_spec, bond) = (config.router.version.specHash, config.registry.bond);
        Self { plan, hub, addresses, router_spec, bond }
    }
}

/// Compares a hub on the chain with its plan: code, implementations, who may upgrade, and that
/// the contracts answer.
///
/// # Errors
/// [`DeployError::Mismatch`] with the first difference.
pub fn verify(client: &Client, hub: &HubPlan, at: BlockId) -> Result<(), DeployError> {
    deploy::verify(client, &hub.plan, at)?;
    // That they answer at all, through their proxies.
    let failed = |error| DeployError::Client { step: "verification".into(), error };
    let a = &hub.addresses;
    client.view(a.anchor, &IAnchor::lastCall {}, at).map_err(failed)?;
    client.view(a.queue, &IHubQueue::lengthCall {}, at).map_err(failed)?;
    client.view(a.hatch, &IEscapeHatch::isOpenCall {}, at).map_err(failed)?;
    let found = client.view(hub.hub, &IHub::addressesCall {}, at).map_err(failed)?;
    if found != *a {
        return Err(DeployError::Mismatch {
            name: "Hub".into(),
            address: hub.hub,
            what: "list of contracts",
            expected: format!("{a:?}"),
            found: format!("{found:?}"),
        });
    }
    let (environment, token) = (0, Address::ZERO);
    let escrow = IBridge::escrowCall { environment, token };
    client.view(a.bridge, &escrow, at).map_err(failed)?;
    let version = IRegistry::versionAtCall { environment, slot: 1 };
    let router = client.view(a.registry, &version, at).map_err(failed)?;
    let (expected, found) = (hub.router_spec, router.specHash);
    if expected != found {
        return Err(DeployError::Mismatch {
            name: "Registry".into(),
            address: a.registry,
            what: "spec hash of the router",
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }
    Ok(())
}

/// Registers an environment for the owner of `key`, unless it has one of that name already, and
/// returns its number.
///
/// # Errors
/// See [`DeployError`]; the Registry's refusals are in words.
pub fn register(
    client: &Client,
    key: &SigningKey,
    hub: &HubPlan,
    registration: &Registration,
    since_block: u64,
    options: DeployOptions,
) -> Result<(u32, Step), DeployError> {
    let registry = hub.addresses.registry;
    let name = format!("environment {:?}", registration.name);
    let failed = |error| DeployError::Client { step: name.clone(), error };
    let decode = |what| failed(ClientError::Decode { method: "eth_getLogs".into(), what });
    deploy::wait_for_earlier(client, key, options)?;
    let to = client.block_number().map_err(failed)?;
    let owner = Some(key.address().into_word());
    let topics = vec![Some(IRegistry::Registered::SIGNATURE_HASH), None, owner];
    let filter = LogFilter { address: registry, topics, from: since_block, to };
    for log in logs::all(client, &filter).map_err(failed)? {
        let event = hub::event::<IRegistry::Registered>(&log).map_err(decode)?;
        if event.name == registration.name {
            let step = Step {
                name,
                address: registry,
                transaction: None,
                gas_used: 0,
                cost_wei: U256::ZERO,
                skipped: true,
            };
            return Ok((event.environment, step));
        }
    }
    let call = IRegistry::registerCall { registration: registration.clone() }.abi_encode();
    let bond = U256::from(hub.bond);
    let (step, receipt) = deploy::call(client, key, &name, registry, bond, call, options)?;
    let mut events = receipt.logs.iter().filter(|log| log.address == registry);
    let event = events.find_map(|log| hub::event::<IRegistry::Registered>(log).ok());
    let event = event.ok_or_else(|| decode("the receipt has no Registered event".into()))?;
    Ok((event.environment, step))
}
