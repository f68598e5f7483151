//! Deploys contracts: idempotent, resumable, and verified on the chain afterwards.
//!
//! Every contract has its address before it exists ([`Plan`]). A step whose contract is there is
//! skipped, so that a deployment that was cut off anywhere goes on when it is run again. What the
//! chain says is compared with what should be there by [`verify`], best at its finalised block.

use crate::abi::IOwnable;
use crate::client::Client;
use crate::create;
use crate::error::ClientError;
use crate::sending::{Sending, cost};
use crate::view::{BlockId, Receipt};
use alloy_primitives::{Address, B256, U256, b256};
use atoll_types::crypto::SigningKey;
use atoll_types::sha256;

/// A proxy that a contract creates in its constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proxy {
    name: &'static str,
    address: Address,
    code: Vec<u8>,
    implementation: Address,
    /// Whose its `ProxyAdmin` is.
    owner: Address,
}

/// How one contract comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Creation {
    name: &'static str,
    address: Address,
    /// Calldata for the deterministic deployer.
    data: Vec<u8>,
    /// What its code must look like; zero bytes stand for what its constructor filled in.
    code: Vec<u8>,
    proxies: Vec<Proxy>,
}

/// Contracts with their addresses, in the order in which they are created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    creations: Vec<Creation>,
}

/// A contract as its compiler made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytecode {
    /// What creates it, without arguments.
    pub init_code: Vec<u8>,
    /// What then stands on the chain; zero bytes where the constructor fills something in.
    pub code: Vec<u8>,
}

impl Plan {
    /// Adds a contract, created with these ABI-encoded arguments, and returns its address, which
    /// depends on all three and nothing else.
    pub fn add(
        &mut self,
        name: &'static str,
        salt: B256,
        bytecode: &Bytecode,
        arguments: &[u8],
    ) -> Address {
        let init_code = [&bytecode.init_code, arguments].concat();
        let address = create::create2_address(salt, &init_code);
        let data = [salt.as_slice(), &init_code].concat();
        let code = bytecode.code.clone();
        self.creations.push(Creation { name, address, data, code, proxies: Vec::new() });
        address
    }

    /// Says that the contract added last creates, as its next one, a transparent proxy of its own
    /// before `implementation`, whose admin belongs to `owner`; returns the proxy's address.
    ///
    /// # Panics
    /// Before anything was added.
    pub fn with_proxy(
        &mut self,
        name: &'static str,
        bytecode: &Bytecode,
        implementation: Address,
        owner: Address,
    ) -> Address {
        let creator = self.creations.last_mut().expect("a contract that creates the proxy");
        // A contract's nonce begins with 1.
        let address = creator.address.create(creator.proxies.len() as u64 + 1);
        let code = bytecode.code.clone();
        creator.proxies.push(Proxy { name, address, code, implementation, owner });
        address
    }

    /// Every contract by name and address, in the order of deployment.
    pub fn contracts(&self) -> impl Iterator<Item = (&'static str, Address)> + '_ {
        self.creations.iter().flat_map(|creation| {
            let proxies = creation.proxies.iter().map(|proxy| (proxy.name, proxy.address));
            std::iter::once((creation.name, creation.address)).chain(proxies)
        })
    }

    /// How many transactions it takes, the deterministic deployer's not counted.
    pub fn transactions(&self) -> usize {
        self.creations.len()
    }
}

/// One step of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was deployed.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The transaction; `None` if it was there already.
    pub transaction: Option<B256>,
    /// Gas used.
    pub gas_used: u64,
    /// What it cost, wei; what was sent along is included.
    pub cost_wei: U256,
    /// It was there already.
    pub skipped: bool,
}

/// How to pay and how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeployOptions {
    /// Most per gas, wei.
    pub max_fee_cap_wei: u128,
    /// Longest wait for one transaction's block, milliseconds.
    pub wait_ms: u64,
    /// Time between two looks for it, milliseconds.
    pub poll_ms: u64,
}

impl Default for DeployOptions {
    fn default() -> Self {
        Self { max_fee_cap_wei: 500_000_000_000, wait_ms: 300_000, poll_ms: 250 }
    }
}

/// Why a deployment stopped. Run again, it goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The node.
    #[error("{step}: {error}")]
    Client {
        /// In which step.
        step: String,
        /// What it said.
        error: ClientError,
    },
    /// A transaction did not get into a block in time.
    #[error(
        "{step}: transaction {hash} waits for a block for more than {wait_ms} ms: run the \
         deployment again later, it goes on where it stopped"
    )]
    Waiting {
        /// In which step.
        step: String,
        /// The transaction; zero if it is one of an earlier run.
        hash: B256,
        /// How long was waited.
        wait_ms: u64,
    },
    /// A transaction failed.
    #[error("{step}: transaction {hash} failed on the chain: look at it with a block explorer")]
    Failed {
        /// In which step.
        step: String,
        /// The transaction.
        hash: B256,
    },
    /// The sending account has too little.
    #[error("{account} has {balance} wei, {step} may need {needed}: fund it")]
    Funds {
        /// In which step.
        step: String,
        /// The account.
        account: Address,
        /// What it has, wei.
        balance: U256,
        /// What may be needed, wei.
        needed: U256,
    },
    /// Gas is dearer than allowed.
    #[error("gas costs {base_fee_wei} wei, above the cap of {cap_wei}: wait, or raise the cap")]
    Cap {
        /// The base fee.
        base_fee_wei: u128,
        /// The cap.
        cap_wei: u128,
    },
    /// What stands on the chain is not what should.
    #[error("{name} at {address}: {what} is {found}, must be {expected}")]
    Mismatch {
        /// Which contract.
        name: String,
        /// Where.
        address: Address,
        /// What differs.
        what: &'static str,
        /// What must be there.
        expected: String,
        /// What is there.
        found: String,
    },
}

/// EIP-1967: where a proxy keeps its implementation, and its admin.
const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
const ADMIN_SLOT: B256 = b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");

/// Waits until no transaction of this key waits for a block: what an earlier run sent may be what
/// is missing.
///
/// # Errors
/// See [`DeployError`].
pub fn wait_for_earlier(
    client: &Client,
    key: &SigningKey,
    options: DeployOptions,
) -> Result<(), DeployError> {
    Sending::new(client, key, options)?.settle("earlier transactions").map(|_| ())
}

/// Sends one call to a contract and waits for its block, as a step of a deployment.
///
/// # Errors
/// See [`DeployError`].
pub fn call(
    client: &Client,
    key: &SigningKey,
    name: &str,
    to: Address,
    value: U256,
    data: Vec<u8>,
    options: DeployOptions,
) -> Result<(Step, Receipt), DeployError> {
    let sending = Sending::new(client, key, options)?;
    sending.settle("earlier transactions")?;
    let receipt = sending.call(name, to, value, data)?;
    let step = Step {
        name: name.into(),
        address: to,
        transaction: Some(receipt.transaction),
        gas_used: receipt.gas_used,
        cost_wei: cost(&receipt) + value,
        skipped: false,
    };
    Ok((step, receipt))
}

/// Deploys what is missing of a plan, step by step, and tells of each. It can be stopped anywhere
/// and run again.
///
/// # Errors
/// See [`DeployError`].
pub fn deploy(
    client: &Client,
    key: &SigningKey,
    plan: &Plan,
    options: DeployOptions,
    mut on_step: impl FnMut(&Step),
) -> Result<Vec<Step>, DeployError> {
    let sending = Sending::new(client, key, options)?;
    sending.settle("earlier transactions")?;
    let mut steps = vec![sending.deployer()?];
    on_step(&steps[0]);
    for creation in &plan.creations {
        let mut step = Step {
            name: creation.name.into(),
            address: creation.address,
            transaction: None,
            gas_used: 0,
            cost_wei: U256::ZERO,
            skipped: true,
        };
        if !sending.exists(creation.name, creation.address)? {
            let data = creation.data.clone();
            let receipt = sending.call(creation.name, create::DEPLOYER, U256::ZERO, data)?;
            step.transaction = Some(receipt.transaction);
            step.gas_used = receipt.gas_used;
            step.cost_wei = cost(&receipt);
            step.skipped = false;
        }
        on_step(&step);
        steps.push(step);
    }
    Ok(steps)
}

/// Compares everything that stands on the chain with what should.
///
/// # Errors
/// [`DeployError::Mismatch`] with the first difference.
pub fn verify(client: &Client, plan: &Plan, at: BlockId) -> Result<(), DeployError> {
    for creation in &plan.creations {
        verify_code(client, creation.name, creation.address, &creation.code, at)?;
        for proxy in &creation.proxies {
            let Proxy { name, address, .. } = *proxy;
            verify_code(client, name, address, &proxy.code, at)?;
            let failed = Sending::at(name);
            let slot = |slot: B256| client.storage(address, slot.into(), at).map_err(&failed);
            let implementation = Address::from_word(slot(IMPLEMENTATION_SLOT)?);
            let admin = Address::from_word(slot(ADMIN_SLOT)?);
            let owner = client.view(admin, &IOwnable::ownerCall {}, at).map_err(&failed)?;
            for (what, expected, found) in [
                ("implementation", proxy.implementation, implementation),
                ("owner", proxy.owner, owner),
            ] {
                if expected != found {
                    let (expected, found) = (expected.to_string(), found.to_string());
                    let name = name.into();
                    return Err(DeployError::Mismatch { name, address, what, expected, found });
                }
            }
        }
    }
    Ok(())
}

fn verify_code(
    client: &Client,
    name: &str,
    address: Address,
    ours: &[u8],
    at: BlockId,
) -> Result<(), DeployError> {
    let there = client.code(address, at).map_err(Sending::at(name))?;
    let same = ours.len() == there.len()
        && ours.iter().zip(&there).all(|(ours, there)| *ours == 0 || ours == there);
    if same {
        return Ok(());
    }
    let shown = |code: &[u8]| format!("{} bytes, {}", code.len(), sha256(&[code]));
    let (expected, found) = (shown(ours), shown(&there));
    Err(DeployError::Mismatch { name: name.into(), address, what: "code", expected, found })
}
