//! The compiled contracts, as committed: no Node.js and no compiler is needed to deploy them.

use alloy_primitives::hex;
use alloy_sol_types::SolValue;
use anyhow::{Context, Result};
use atoll_ethereum::deploy::Plan;
use atoll_ethereum::hub_deploy::HubBytecode;
use atoll_types::{Address, B256, U256};
use serde_json::Value;

macro_rules! artifacts {
    ($($name:ident),*) => {
        const ALL: &[(&str, &str)] = &[$((
            stringify!($name),
            include_str!(concat!("../../../../contracts/artifacts/", stringify!($name), ".json")),
        )),*];
    };
}
artifacts!(
    Anchor,
    BenchPair,
    BenchToken,
    Bridge,
    EnvironmentBridge,
    EscapeHatch,
    ExchangePort,
    Hub,
    HubQueue,
    Registry,
    TestToken,
    TimelockController,
    TransparentUpgradeableProxy
);

fn artifact(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, json)| *json)
}

/// The hub's contracts.
pub(crate) fn hub() -> Result<HubBytecode> {
    Ok(HubBytecode::read(artifact)?)
}

/// Runtime code of the contract that every EVM environment with a bridge has.
pub(crate) fn environment_bridge() -> Result<Vec<u8>> {
    runtime_code("EnvironmentBridge")
}

/// Runtime code of a contract without immutable values.
pub(crate) fn runtime_code(name: &str) -> Result<Vec<u8>> {
    let json: Value = serde_json::from_str(artifact(name).context("no artifact")?)?;
    let code = json["deployedBytecode"].as_str().context("the artifact has no code")?;
    Ok(hex::decode(code)?)
}

/// A token for development: its name, symbol and decimals.
pub(crate) const DEVELOPMENT_TOKENS: [(&str, &str, u8); 2] =
    [("USD Coin (development)", "USDC", 6), ("Atoll (development)", "ATOLL", 18)];

/// Adds a development token to a plan; it has the same address on every chain.
pub(crate) fn add_development_token(plan: &mut Plan, symbol: &str) -> Result<Address> {
    let known = DEVELOPMENT_TOKENS.iter().find(|(_, known, _)| *known == symbol);
    let (name, symbol, decimals) = known
        .with_context(|| format!("there is no development token {symbol}; name an address"))?;
    let code = atoll_ethereum::hub_deploy::bytecode(
        artifact("TestToken").context("no artifact of the token")?,
    )
    .map_err(anyhow::Error::msg)?;
    let arguments =
        (name.to_string(), symbol.to_string(), U256::from(*decimals)).abi_encode_params();
    Ok(plan.add(symbol, B256::ZERO, &code, &arguments))
}

/// Where a development token is.
pub(crate) fn development_token(symbol: &str) -> Result<Address> {
    add_development_token(&mut Plan::default(), symbol)
}
