//! The hub's contracts on a chain: deploying them, registering the network's environments, funding
//! the escrows of genesis balances. Everything that is there already is left as it is.

use super::artifacts::{self, DEVELOPMENT_TOKENS, add_development_token};
use super::settler::Hub;
use super::view::HubView;
use crate::cli::TermsChoice;
use crate::node::SLOT_US;
use crate::specs;
use alloy_sol_types::{SolCall, SolEvent};
use anyhow::{Context, Result, bail};
use atoll_ethereum::abi::{
    Addresses, AnchorConfig, BridgeConfig, IBridge, IERC20, ITestToken, Policy, Registration,
    RegistryConfig, TokenUnit, Version, VmKind,
};
use atoll_ethereum::deploy::{DeployOptions, Step, call, deploy};
use atoll_ethereum::hub_deploy::{HubConfig, HubPlan, register, verify};
use atoll_ethereum::{BlockId, Client, Limits, LogFilter, logs};
use atoll_executor::{EnvironmentSpec, VmSpec};
use atoll_settlement::BlockRef;
use atoll_types::crypto::SigningKey;
use atoll_types::hub::ROUTER;
use atoll_types::{Address, B256, NetworkId, U256};
use serde_json::json;
use std::collections::BTreeMap;

/// Commitments that may await settlement, as the Anchor has it.
const UNSETTLED_MAX: u64 = 256;
/// Version of the VMs' programs, as the registry has it.
const VM_VERSION: u32 = 1;

/// Times and bonds that the hub holds the operator to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) challenge_window_s: u32,
    pub(crate) inclusion_deadline_s: u32,
    pub(crate) silence_s: u32,
    pub(crate) derivation_s: u32,
    pub(crate) freeze_max_s: u32,
    pub(crate) timelock_delay_s: u64,
    pub(crate) upgrade_delay_slots: u64,
    pub(crate) bond_wei: u128,
    /// How long a commitment should be. At most 256 await settlement, so 256 of them must take
    /// longer than the challenge window.
    pub(crate) commitment_s: u32,
}

impl Terms {
    /// Everything in seconds, so that a tour does not take a week.
    pub(crate) const DEVELOPMENT: Self = Self {
        challenge_window_s: 5,
        inclusion_deadline_s: 600,
        silence_s: 600,
        derivation_s: 600,
        freeze_max_s: 3_600,
        timelock_delay_s: 60,
        upgrade_delay_slots: 6_000,
        bond_wei: 100_000_000_000_000_000,
        commitment_s: 5,
    };
    /// Seven days to challenge, a day to include. The timelock leaves time to go and still decides a
    /// challenge before its freeze ends.
    pub(crate) const PRODUCTION: Self = Self {
        challenge_window_s: 7 * 86_400,
        inclusion_deadline_s: 86_400,
        silence_s: 7 * 86_400,
        derivation_s: 7 * 86_400,
        freeze_max_s: 30 * 86_400,
        timelock_delay_s: 14 * 86_400,
        upgrade_delay_slots: 30 * 86_400 * 10,
        bond_wei: 1_000_000_000_000_000_000,
        commitment_s: 3_600,
    };

    pub(crate) fn of(choice: TermsChoice) -> Self {
        match choice {
            TermsChoice::Development => Self::DEVELOPMENT,
            TermsChoice::Production => Self::PRODUCTION,
        }
    }

    /// Slots that a commitment should cover.
    pub(crate) fn commitment_slots(&self) -> u64 {
        (u64::from(self.commitment_s) * 1_000_000 / SLOT_US).max(1)
    }

    /// Slots whose data is kept: a month, and longer than any exit takes (every window, silence and
    /// freeze one after the other, and a week to act).
    pub(crate) fn keep_slots(&self) -> u64 {
        let exit = [
            self.challenge_window_s,
            self.inclusion_deadline_s,
            self.silence_s,
            self.derivation_s,
            self.freeze_max_s,
        ];
        let exit_s: u64 = exit.iter().map(|s| u64::from(*s)).sum();
        (exit_s + 7 * 86_400).max(30 * 86_400) * 1_000_000 / SLOT_US
    }

    /// What the terms themselves must hold to.
    pub(crate) fn check(&self) -> Result<()> {
        // A quarter of it for the hub to be slow in.
        let least_s = u64::from(self.challenge_window_s) * 5 / 4;
        if u64::from(self.commitment_s) * UNSETTLED_MAX < least_s {
            bail!(
                "commitments of {} s and a challenge window of {} s: at most {UNSETTLED_MAX} \
                 commitments may await settlement, so each must cover {} s or more",
                self.commitment_s,
                self.challenge_window_s,
                least_s.div_ceil(UNSETTLED_MAX)
            );
        }
        Ok(())
    }
}

/// What the hub is to know of a network.
pub(crate) struct Wanted {
    pub(crate) network: NetworkId,
    pub(crate) sequencer: Address,
    pub(crate) specs: Vec<EnvironmentSpec>,
    pub(crate) genesis_roots: BTreeMap<u32, B256>,
    pub(crate) terms: Terms,
}

impl Wanted {
    fn spec(&self, id: u32) -> Option<&EnvironmentSpec> {
        self.specs.iter().find(|spec| spec.id.0 == id)
    }

    fn version(&self, spec: &EnvironmentSpec) -> Version {
        Version {
            activationSlot: 1,
            vmVersion: VM_VERSION,
            vmKind: match spec.vm {
                VmSpec::Router(_) => VmKind::Router,
                VmSpec::Exchange(_) => VmKind::Exchange,
                VmSpec::Evm(_) => VmKind::Evm,
            },
            specHash: spec.hash(),
            programId: spec.vm.program_id(),
            policy: Policy {
                challengeWindow: self.terms.challenge_window_s,
                verifier: Address::ZERO,
            },
        }
    }

    fn registration(&self, spec: &EnvironmentSpec) -> Result<Registration> {
        let root = self.genesis_roots.get(&spec.id.0).copied();
        Ok(Registration {
            name: spec.name.clone(),
            version: self.version(spec),
            genesisRoot: root.with_context(|| format!("{} has no genesis root", spec.name))?,
            tokens: specs::hub_tokens(spec)
                .into_iter()
                .map(|(token, unit)| TokenUnit { token, unit })
                .collect(),
        })
    }

    /// The plan of the network's contracts when `owner` deploys them.
    pub(crate) fn plan(&self, owner: Address) -> Result<HubPlan> {
        let terms = &self.terms;
        let router = self.spec(ROUTER.0).context("the network has no router")?;
        let bond = alloy_primitives::aliases::U96::from(terms.bond_wei);
        let config = HubConfig {
            guardian: owner,
            timelock_delay_s: terms.timelock_delay_s,
            proposers: vec![owner],
            executors: vec![owner],
            registry: RegistryConfig {
                bond,
                minChallengeWindow: 1,
                maxChallengeWindow: 30 * 86_400,
                upgradeDelaySlots: terms.upgrade_delay_slots,
            },
            router: self.registration(router)?,
            anchor: AnchorConfig {
                network: self.network.0,
                sequencer: self.sequencer,
                committee: vec![self.sequencer],
                threshold: 1,
                blobs: false,
                inclusionDeadline: terms.inclusion_deadline_s,
                silence: terms.silence_s,
                derivation: terms.derivation_s,
                maxFreeze: terms.freeze_max_s,
                challengeBond: bond,
                derivedBond: bond,
            },
            bridge: BridgeConfig { maxPause: 7 * 86_400, pauseCooldown: 7 * 86_400 },
        };
        Ok(HubPlan::new(&config, &artifacts::hub()?))
    }
}

/// Deploys what is missing, registers the environments and funds their escrows; tells of each step.
pub(crate) fn establish(
    client: &Client,
    wanted: &Wanted,
    operator: &SigningKey,
    on_step: &mut dyn FnMut(&Step),
) -> Result<Addresses> {
    let hub = wanted.plan(operator.address())?;
    let contracts = hub.addresses.clone();
    let mut plan = hub.plan.clone();
    let tokens = wanted.development_tokens()?;
    for symbol in &tokens {
        add_development_token(&mut plan, symbol)?;
    }
    let options = DeployOptions { poll_ms: 100, ..DeployOptions::default() };
    deploy(client, operator, &plan, options, &mut *on_step)?;
    let since = deployed_in(client, &contracts)?;
    for spec in wanted.specs.iter().filter(|spec| spec.id != ROUTER) {
        let registration = wanted.registration(spec)?;
        let (id, step) = register(client, operator, &hub, &registration, since, options)?;
        on_step(&step);
        if id != spec.id.0 {
            bail!(
                "{} is environment {} here and {id} at the hub, whose registry numbers from 1 in \
                 order of registration: number the network's environments the same way",
                spec.name,
                spec.id
            );
        }
    }
    let mut send = |name: &str, to: Address, value: U256, data: Vec<u8>| -> Result<()> {
        let (step, _) = call(client, operator, name, to, value, data, options)?;
        on_step(&step);
        Ok(())
    };
    for spec in &wanted.specs {
        for funding in specs::funding(spec) {
            let (environment, token) = (spec.id.0, funding.token);
            let funded = funded(client, &contracts, environment, token, since)?;
            let Some(missing) = funding.amount.checked_sub(funded).filter(|m| !m.is_zero()) else {
                continue;
            };
            let name = format!("fund {}", spec.name);
            let data = IBridge::fundCall { environment, token, amount: missing }.abi_encode();
            if token.is_zero() {
                send(&name, contracts.bridge, missing, data)?;
                continue;
            }
            let development = |symbol: &&str| {
                artifacts::development_token(symbol).is_ok_and(|address| address == token)
            };
            if tokens.iter().any(development) {
                let mint = ITestToken::mintCall { to: operator.address(), amount: missing };
                send("mint", token, U256::ZERO, mint.abi_encode())?;
            }
            let approve = IERC20::approveCall { spender: contracts.bridge, amount: missing };
            send("approve", token, U256::ZERO, approve.abi_encode())?;
            send(&name, contracts.bridge, U256::ZERO, data)?;
        }
    }
    Ok(contracts)
}

/// The block in which the contracts were deployed.
fn deployed_in(client: &Client, contracts: &Addresses) -> Result<u64> {
    atoll_ethereum::hub::deployed_in(client, contracts.registry, client.block_number()?)?
        .context("the node does not tell when the hub was deployed: it has no such logs")
}

/// What an environment's escrow was given without a deposit.
fn funded(
    client: &Client,
    contracts: &Addresses,
    environment: u32,
    token: Address,
    since: u64,
) -> Result<U256> {
    let latest = client.block_number()?;
    let filter = LogFilter {
        address: contracts.bridge,
        topics: vec![
            Some(IBridge::Funded::SIGNATURE_HASH),
            Some(B256::from(U256::from(environment))),
            Some(token.into_word()),
        ],
        from: since,
        to: latest,
    };
    let mut sum = U256::ZERO;
    for log in logs::all(client, &filter)? {
        let event: IBridge::Funded =
            atoll_ethereum::hub::event(&log).map_err(anyhow::Error::msg)?;
        sum += event.amount;
    }
    Ok(sum)
}

impl Wanted {
    /// The development tokens that the network's environments use.
    fn development_tokens(&self) -> Result<Vec<&'static str>> {
        let used: Vec<Address> = self
            .specs
            .iter()
            .flat_map(|spec| specs::hub_tokens(spec).into_iter().map(|(token, _)| token))
            .collect();
        let mut symbols = Vec::new();
        for (_, symbol, _) in &DEVELOPMENT_TOKENS {
            if used.contains(&artifacts::development_token(symbol)?) {
                symbols.push(*symbol);
            }
        }
        Ok(symbols)
    }
}

/// Reaches the hub at `url`: deploys what is missing, and checks that everything is as it should.
pub(crate) fn reach(
    url: &str,
    wanted: &Wanted,
    operator: &SigningKey,
    view: &HubView,
) -> Result<Hub> {
    let client = Client::new(url, Limits::default())?;
    let chain_id = client.chain_id()?;
    establish(&client, wanted, operator, &mut |step| {
        if !step.skipped {
            tracing::debug!(step = %step.name, gas = step.gas_used, "hub");
        }
    })?;
    let hub = wanted.plan(operator.address())?;
    verify(&client, &hub, BlockId::Latest)?;
    let contracts = hub.addresses;
    // A block that stays: what is read from there on is read once.
    let finalized = client.block(BlockId::Finalized)?.map_or(0, |block| block.number);
    let first = BlockId::Number(deployed_in(&client, &contracts)?.min(finalized));
    let first = client.block(first)?.context("the hub has lost the block of the deployment")?;
    view.note("chain_id", json!(chain_id));
    view.note("contracts", render(&contracts));
    Ok(Hub {
        client,
        chain_id,
        key: operator.clone(),
        contracts,
        deployed: BlockRef { number: first.number, hash: first.hash },
    })
}

/// The contracts' addresses by name.
pub(crate) fn render(contracts: &Addresses) -> serde_json::Value {
    let text = |address: Address| address.to_string();
    json!({
        "timelock": text(contracts.timelock),
        "registry": text(contracts.registry),
        "queue": text(contracts.queue),
        "anchor": text(contracts.anchor),
        "bridge": text(contracts.bridge),
        "hatch": text(contracts.hatch),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_leave_time_for_what_they_promise() {
        for terms in [Terms::DEVELOPMENT, Terms::PRODUCTION] {
            terms.check().unwrap();
            // Data is there until everybody is out.
            let exit_s = terms.silence_s + terms.derivation_s + terms.challenge_window_s;
            assert!(terms.keep_slots() > u64::from(exit_s + terms.freeze_max_s) * 10);
        }
        let hasty = Terms { commitment_s: 5, ..Terms::PRODUCTION };
        assert!(hasty.check().is_err());
    }
}
