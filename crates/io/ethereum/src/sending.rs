//! Sends one transaction after the other from one key, and waits for each.

use crate::client::Client;
use crate::create;
use crate::deploy::{DeployError, DeployOptions, Step};
use crate::error::{ClientError, SendRefusal};
use crate::transaction::{Signed, Transaction};
use crate::view::{BlockId, CallRequest, Receipt};
use alloy_primitives::{Address, B256, U256};
use atoll_types::crypto::SigningKey;
use std::time::{Duration, Instant};

/// How often a transaction is made anew because somebody else with the same key was first.
const OVERTAKEN_MAX: u32 = 5;

/// Sends one transaction after the other and waits for each.
pub(crate) struct Sending<'a> {
    client: &'a Client,
    key: &'a SigningKey,
    options: DeployOptions,
    chain_id: u64,
}

impl<'a> Sending<'a> {
    pub(crate) fn new(
        client: &'a Client,
        key: &'a SigningKey,
        options: DeployOptions,
    ) -> Result<Self, DeployError> {
        let chain_id = client.chain_id().map_err(Self::at("chain id"))?;
        Ok(Self { client, key, options, chain_id })
    }

    pub(crate) fn at(step: &str) -> impl Fn(ClientError) -> DeployError {
        move |error| DeployError::Client { step: step.into(), error }
    }

    pub(crate) fn exists(&self, step: &str, address: Address) -> Result<bool, DeployError> {
        let code = self.client.code(address, BlockId::Latest).map_err(Self::at(step))?;
        Ok(!code.is_empty())
    }

    pub(crate) fn settle(&self, step: &str) -> Result<u64, DeployError> {
        let started = Instant::now();
        loop {
            let account = self.key.address();
            let nonce = self.client.nonce(account, BlockId::Latest).map_err(Self::at(step))?;
            let next = self.client.nonce(account, BlockId::Pending).map_err(Self::at(step))?;
            if next <= nonce {
                return Ok(nonce);
            }
            self.pause(step, started, B256::ZERO)?;
        }
    }

    fn pause(&self, step: &str, started: Instant, hash: B256) -> Result<(), DeployError> {
        let wait_ms = self.options.wait_ms;
        if started.elapsed() > Duration::from_millis(wait_ms) {
            return Err(DeployError::Waiting { step: step.into(), hash, wait_ms });
        }
        std::thread::sleep(Duration::from_millis(self.options.poll_ms));
        Ok(())
    }

    /// Calls a contract. Where another sender with this key takes the nonce first, with another one.
    pub(crate) fn call(
        &self,
        step: &str,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<Receipt, DeployError> {
        let mut overtaken = 0;
        loop {
            match self.call_once(step, to, value, data.clone()) {
                Err(DeployError::Client { error, .. })
                    if error.send_refusal() == SendRefusal::NonceTooLow
                        && overtaken < OVERTAKEN_MAX =>
                {
                    overtaken += 1;
                }
                done => return done,
            }
        }
    }

    fn call_once(
        &self,
        step: &str,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<Receipt, DeployError> {
        let at = Self::at(step);
        let from = self.key.address();
        let nonce = self.client.nonce(from, BlockId::Latest).map_err(&at)?;
        let request = CallRequest { from: Some(from), to: Some(to), value, data };
        let gas = self.client.estimate_gas(&request).map_err(&at)?;
        let latest = self.client.block(BlockId::Latest).map_err(&at)?;
        let base_fee_wei = latest.map_or(0, |block| block.base_fee_wei);
        let cap_wei = self.options.max_fee_cap_wei;
        if base_fee_wei > cap_wei {
            return Err(DeployError::Cap { base_fee_wei, cap_wei });
        }
        let tip_wei = self.client.suggested_tip_wei().map_err(&at)?.min(cap_wei);
        let transaction = Transaction {
            chain_id: self.chain_id,
            nonce,
            tip_wei,
            max_fee_wei: (base_fee_wei * 2).saturating_add(tip_wei).min(cap_wei),
            gas_limit: gas + gas / 5,
            to: Some(to),
            value,
            input: request.data,
        };
        let (needed, account) = (transaction.cost_max(), from);
        let balance = self.client.balance(from, BlockId::Latest).map_err(&at)?;
        if balance < needed {
            return Err(DeployError::Funds { step: step.into(), account, balance, needed });
        }
        let signed = transaction.sign(self.key);
        self.send(step, &signed)?;
        self.receipt(step, signed.hash)
    }

    /// Sends; an answer that is lost is no answer, and the same bytes do no harm twice.
    fn send(&self, step: &str, signed: &Signed) -> Result<(), DeployError> {
        let started = Instant::now();
        loop {
            match self.client.send(signed) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_temporary() => self.pause(step, started, signed.hash)?,
                Err(error) => {
                    let known = self.client.transaction(signed.hash).map_err(Self::at(step))?;
                    return match known {
                        Some(_) => Ok(()),
                        None => Err(Self::at(step)(error)),
                    };
                }
            }
        }
    }

    fn receipt(&self, step: &str, hash: B256) -> Result<Receipt, DeployError> {
        let started = Instant::now();
        loop {
            match self.client.receipt(hash) {
                Ok(Some(receipt)) if receipt.success => return Ok(receipt),
                Ok(Some(_)) => return Err(DeployError::Failed { step: step.into(), hash }),
                Ok(None) => {}
                Err(error) if error.is_temporary() => {}
                Err(error) => return Err(Self::at(step)(error)),
            }
            self.pause(step, started, hash)?;
        }
    }

    /// The deployer, where a chain does not have it: by its one transaction, whose sender is
    /// funded first.
    pub(crate) fn deployer(&self) -> Result<Step, DeployError> {
        let step = "deterministic deployer";
        let done = |transaction, gas_used, cost_wei| Step {
            name: step.into(),
            address: create::DEPLOYER,
            transaction,
            gas_used,
            cost_wei,
            skipped: transaction.is_none(),
        };
        if self.exists(step, create::DEPLOYER)? {
            return Ok(done(None, 0, U256::ZERO));
        }
        let balance = self.client.balance(create::DEPLOYER_SIGNER, BlockId::Latest);
        let needed = U256::from(create::DEPLOYER_COST_WEI);
        let missing = needed.saturating_sub(balance.map_err(Self::at(step))?);
        let (mut gas_used, mut cost_wei) = (0, missing);
        if !missing.is_zero() {
            let receipt = self.call(step, create::DEPLOYER_SIGNER, missing, Vec::new())?;
            gas_used += receipt.gas_used;
            cost_wei += cost(&receipt);
        }
        let hash = self.client.send_raw(create::DEPLOYER_TRANSACTION).map_err(Self::at(step))?;
        gas_used += self.receipt(step, hash)?.gas_used;
        Ok(done(Some(hash), gas_used, cost_wei))
    }
}

pub(crate) fn cost(receipt: &Receipt) -> U256 {
    U256::from(receipt.gas_used) * U256::from(receipt.gas_price_wei)
}
