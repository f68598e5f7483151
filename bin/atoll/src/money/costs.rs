//! What each step of money costs on the hub, for the benchmark.

use super::session::{Session, wait};
use anyhow::{Context, Result};
use atoll_ethereum::abi::Addresses;
use atoll_types::{EnvironmentId, U256};
use serde_json::{Value, json};

const KEY: &str = "development:bench";

/// The network's contracts, once they are deployed and the first commitment is settled.
pub(crate) fn deployed(url: &str) -> Result<Addresses> {
    let session = Session::open(url, None, KEY)?;
    wait("the first commitment to be settled", || {
        let status = session.gateway.get("/atoll/settlement")?;
        Ok((status["settled"].as_u64() > Some(0)).then_some(()))
    })?;
    Ok(session.contracts)
}

/// Deposits, moves, withdraws and claims; gas of every call on the hub.
pub(crate) fn of_calls(url: &str) -> Result<Value> {
    let session = Session::open(url, None, KEY)?;
    let me = session.key.address();
    let perps = session.of_kind("exchange")?.clone();
    let evm = session.of_kind("evm")?.clone();
    let usdc = session.token(&perps, "USDC")?;
    let ether = session.token(&evm, "ETH")?;
    let amount = U256::from(100_000_000u64);
    let wei = U256::from(10).pow(U256::from(18));
    session.fund_gas(me)?;
    session.fund(&ether, me, wei * U256::from(4))?;
    session.fund(&usdc, me, amount * U256::from(4))?;
    // The second of each: the first pays for storage that others find.
    session.deposit(&evm, &ether, me, wei)?;
    let deposit_ether = session.deposit(&evm, &ether, me, wei)?;
    session.deposit(&perps, &usdc, me, amount)?;
    let deposit_token = session.deposit(&perps, &usdc, me, amount)?;
    session.receipt(deposit_token.entry)?;
    session.receipt(deposit_ether.entry)?;
    // From one environment into the other, so that a commitment carries transfers.
    session.send(&perps, &usdc, evm.id, me, amount / U256::from(2))?;
    let mut claims = Vec::new();
    for (environment, token, amount) in [(&perps, &usdc, amount), (&evm, &ether, wei)] {
        let before = session.withdrawals()?;
        session.send(environment, token, EnvironmentId(0), me, amount)?;
        let found = session.settled_withdrawal(environment, me, amount, Some(before), |_| {})?;
        claims.push(session.claim(&found)?.gas_used);
    }
    let (forced, _) = session.force(&perps, &usdc, EnvironmentId(0), me, U256::from(1_000_000))?;
    let [token, ether] = claims[..] else { return None.context("two claims were made") };
    Ok(json!({
        "deposit_eth": deposit_ether.sent.gas_used,
        "deposit_erc20": deposit_token.sent.gas_used,
        "claim_erc20": token,
        "claim_eth": ether,
        "force": forced.gas_used,
    }))
}
