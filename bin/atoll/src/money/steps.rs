//! The steps of money, one at a time: in from the hub, between environments, out again.

use super::session::{Environment, Session, Token, address_of, number_of, options, wait, word_of};
use crate::gateway::Gateway;
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, bail};
use atoll_ethereum::abi::{IBridge, IERC20, IEnvironmentBridge, IHubQueue, IRegistry, ITestToken};
use atoll_ethereum::deploy::call as send;
use atoll_ethereum::{BlockId, Receipt, Transaction};
use atoll_exchange::Wallet;
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, Encode, EnvironmentId, HubEntry, U256};
use atoll_vm::Identity;
use atoll_vm::evm::BRIDGE_ADDRESS;
use atoll_vm::exchange::AtollMessage;
use atoll_vm::exchange::sign::sign_message;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// A transaction on the hub or an environment, with what it used.
pub(super) struct Sent {
    pub(super) hash: B256,
    pub(super) gas_used: u64,
}

/// A deposit on its way in.
pub(super) struct Deposited {
    pub(super) sent: Sent,
    /// Place in the hub's queue.
    pub(super) index: u64,
    /// Identifies the delivery: its receipt is found by it.
    pub(super) entry: B256,
}

/// What pays for transactions on the hub for a while: a tenth of its unit.
pub(super) const GAS_MONEY: U256 = U256::from_limbs([100_000_000_000_000_000, 0, 0, 0]);
/// Gas of a forced call of an environment's bridge: nobody is asked for an estimate.
const FORCED_GAS: u64 = 300_000;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

impl Session {
    /// Balance of a token on the hub.
    pub(super) fn hub_balance(&self, token: &Token, owner: Address) -> Result<U256> {
        if token.token.is_zero() {
            return Ok(self.hub.balance(owner, BlockId::Latest)?);
        }
        let call = IERC20::balanceOfCall { account: owner };
        Ok(self.hub.view(token.token, &call, BlockId::Latest)?)
    }

    /// What an environment's escrow holds on the hub.
    pub(super) fn escrow(&self, environment: &Environment, token: &Token) -> Result<U256> {
        let call = IBridge::escrowCall { environment: environment.id.0, token: token.token };
        Ok(self.hub.view(self.contracts.bridge, &call, BlockId::Latest)?)
    }

    /// Balance of a token in an environment, in its smallest unit on the hub.
    pub(super) fn balance(
        &self,
        environment: &Environment,
        token: &Token,
        owner: Address,
    ) -> Result<U256> {
        match environment.kind.as_str() {
            "exchange" => self.exchange_balance(token, owner),
            "evm" => {
                let evm = self.evm(environment)?;
                if token.token.is_zero() {
                    return Ok(evm.balance(owner, BlockId::Latest)?);
                }
                let call = IEnvironmentBridge::tokenOfCall { token: token.token };
                let here = evm.view(BRIDGE_ADDRESS, &call, BlockId::Latest)?;
                if evm.code(here, BlockId::Latest)?.is_empty() {
                    // The contract comes with the first token.
                    return Ok(U256::ZERO);
                }
                Ok(evm.view(here, &IERC20::balanceOfCall { account: owner }, BlockId::Latest)?)
            }
            kind => bail!("balances in an environment of kind {kind} are not known here"),
        }
    }

    fn exchange_balance(&self, token: &Token, owner: Address) -> Result<U256> {
        let ask = |kind: &str| {
            self.gateway.post("/info", &json!({"type": kind, "user": owner.to_string()}))
        };
        let spot = ask("spotClearinghouseState")?;
        let balances = spot["balances"].as_array().cloned().unwrap_or_default();
        let own = balances.iter().find(|b| b["coin"] == token.symbol.as_str());
        let mut sum = match own.and_then(|b| b["total"].as_str()) {
            Some(total) => token.parse(total)?,
            None => U256::ZERO,
        };
        if token.symbol == "USDC" {
            let margin = ask("clearinghouseState")?;
            let value = margin["withdrawable"].as_str().unwrap_or("0");
            sum += token.parse(value)?;
        }
        Ok(sum)
    }

    /// Makes sure that a development key has something on the hub.
    pub(super) fn fund(&self, token: &Token, owner: Address, amount: U256) -> Result<Option<Sent>> {
        let have = self.hub_balance(token, owner)?;
        let Some(missing) = amount.checked_sub(have).filter(|m| !m.is_zero()) else {
            return Ok(None);
        };
        let operator = SigningKey::from_label("operator");
        let (to, value, data) = match token.token.is_zero() {
            true => (owner, missing, Vec::new()),
            false => {
                let mint = ITestToken::mintCall { to: owner, amount: missing };
                (token.token, U256::ZERO, mint.abi_encode())
            }
        };
        self.on_hub("fund", &operator, to, value, data).map(Some)
    }

    /// Makes sure that a development key can pay for transactions on the hub.
    pub(super) fn fund_gas(&self, owner: Address) -> Result<()> {
        if self.hub.balance(owner, BlockId::Latest)? < GAS_MONEY {
            let operator = SigningKey::from_label("operator");
            let some = GAS_MONEY.saturating_mul(U256::from(10));
            self.on_hub("fund", &operator, owner, some, Vec::new())?;
        }
        Ok(())
    }

    pub(super) fn on_hub(
        &self,
        step: &str,
        key: &SigningKey,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<Sent> {
        let (_, receipt) = send(&self.hub, key, step, to, value, data, options())?;
        Ok(Sent { hash: receipt.transaction, gas_used: receipt.gas_used })
    }

    /// Deposits; the money is in the hub's queue when this returns.
    pub(super) fn deposit(
        &self,
        environment: &Environment,
        token: &Token,
        to: Address,
        amount: U256,
    ) -> Result<Deposited> {
        let bridge = self.contracts.bridge;
        let id = environment.id.0;
        // From the first commitment on that names it.
        wait("the environment to be live at the hub", || {
            let call = IRegistry::requireLiveCall { environment: id };
            Ok(self.hub.view(self.contracts.registry, &call, BlockId::Latest).ok())
        })?;
        let (value, data) = if token.token.is_zero() {
            (amount, IBridge::depositETHCall { environment: id, to }.abi_encode())
        } else {
            let owner = self.key.address();
            let allowance = IERC20::allowanceCall { owner, spender: bridge };
            if self.hub.view(token.token, &allowance, BlockId::Latest)? < amount {
                let approve = IERC20::approveCall { spender: bridge, amount };
                self.on_hub("approve", &self.key, token.token, U256::ZERO, approve.abi_encode())?;
            }
            let token = token.token;
            (U256::ZERO, IBridge::depositCall { environment: id, token, to, amount }.abi_encode())
        };
        let (_, receipt) = send(&self.hub, &self.key, "deposit", bridge, value, data, options())?;
        let entry = self.entry_of(&receipt)?;
        Ok(Deposited {
            sent: Sent { hash: receipt.transaction, gas_used: receipt.gas_used },
            index: entry.index,
            entry: entry.hash(),
        })
    }

    /// The receipt of a delivery or transaction, once it is executed.
    pub(super) fn receipt(&self, hash: B256) -> Result<Value> {
        wait("the receipt", || {
            let receipt = self.gateway.find(&format!("/atoll/receipts/{hash}"))?;
            Ok(receipt)
        })
    }

    /// Sends money from an environment to another, or out to the hub (destination 0). Returns the
    /// transaction's hash on the network.
    pub(super) fn send(
        &self,
        environment: &Environment,
        token: &Token,
        destination: EnvironmentId,
        to: Address,
        amount: U256,
    ) -> Result<B256> {
        match environment.kind.as_str() {
            "exchange" => {
                let bytes = self.exchange_send(environment, token, destination, to, amount);
                self.submit(environment, &bytes)
            }
            "evm" => {
                let evm = self.evm(environment)?;
                let (value, data) = evm_send(token, destination, to, amount);
                let (_, receipt) =
                    send(&evm, &self.key, "send", BRIDGE_ADDRESS, value, data, options())?;
                Ok(receipt.transaction)
            }
            kind => bail!("sending from an environment of kind {kind} is not known here"),
        }
    }

    fn exchange_send(
        &self,
        environment: &Environment,
        token: &Token,
        destination: EnvironmentId,
        to: Address,
        amount: U256,
    ) -> Vec<u8> {
        let message = AtollMessage::Send {
            destination,
            to,
            asset: token.symbol.clone(),
            wallet: match token.symbol.as_str() {
                "USDC" => Wallet::Collateral,
                _ => Wallet::Spot,
            },
            amount: (amount / token.unit).to::<u128>(),
        };
        let identity = Identity { network: self.network, environment: environment.id };
        sign_message(&self.key, &identity, environment.chain_id, &message, now_ms()).to_bytes()
    }

    /// The same as [`Session::send`], through the hub's queue: the gateway is not asked for anything
    /// but, of an EVM, the nonce. Returns the hub's transaction and the entry's hash.
    pub(super) fn force(
        &self,
        environment: &Environment,
        token: &Token,
        destination: EnvironmentId,
        to: Address,
        amount: U256,
    ) -> Result<(Sent, B256)> {
        let data = match environment.kind.as_str() {
            "exchange" => self.exchange_send(environment, token, destination, to, amount),
            "evm" => {
                let evm = self.evm(environment)?;
                let (value, input) = evm_send(token, destination, to, amount);
                let head = evm.block(BlockId::Latest)?.context("the environment has no block")?;
                Transaction {
                    chain_id: environment.chain_id,
                    nonce: evm.nonce(self.key.address(), BlockId::Latest)?,
                    tip_wei: 0,
                    max_fee_wei: 4 * head.base_fee_wei,
                    gas_limit: FORCED_GAS,
                    to: Some(BRIDGE_ADDRESS),
                    value,
                    input,
                }
                .sign(&self.key)
                .raw
            }
            kind => bail!("sending from an environment of kind {kind} is not known here"),
        };
        let call = IHubQueue::forceCall { environment: environment.id.0, data: data.into() };
        let queue = self.contracts.queue;
        let (_, receipt) =
            send(&self.hub, &self.key, "force", queue, U256::ZERO, call.abi_encode(), options())?;
        Ok((
            Sent { hash: receipt.transaction, gas_used: receipt.gas_used },
            self.entry_of(&receipt)?.hash(),
        ))
    }

    /// What a transaction has put into the hub's queue.
    fn entry_of(&self, receipt: &Receipt) -> Result<HubEntry> {
        let log = receipt.logs.iter().find(|log| log.address == self.contracts.queue);
        let log = log.context("the transaction left nothing in the hub's queue")?;
        let entry = atoll_ethereum::hub::Enqueued::from_log(log).map_err(anyhow::Error::msg)?;
        let entry = crate::hub::calls::entry(&entry.entry).map_err(anyhow::Error::msg)?;
        Ok(crate::hub::calls::from_engine(entry))
    }

    /// Submits a transaction and checks that it did what was asked.
    pub(super) fn submit(&self, environment: &Environment, bytes: &[u8]) -> Result<B256> {
        submit_action(&self.gateway, &environment.name, bytes)
    }

    /// The newest withdrawal to an address of so much, once it is in a commitment that is settled.
    pub(super) fn settled_withdrawal(
        &self,
        environment: &Environment,
        to: Address,
        amount: U256,
        after: Option<u64>,
        mut on_progress: impl FnMut(&str),
    ) -> Result<Value> {
        let mut told = 0;
        let index = wait("the withdrawal to be in a commitment", || {
            let found = self.gateway.get(&format!("/atoll/withdrawals?to={to}"))?;
            let list = found["withdrawals"].as_array().cloned().unwrap_or_default();
            let own = list.iter().find(|w| {
                w["environment"] == environment.id.0
                    && w["amount"] == amount.to_string()
                    && w["index"].as_u64() >= after
            });
            own.map(|w| number_of(&w["index"], "index of the withdrawal")).transpose()
        })?;
        wait("the withdrawal's commitment to be settled", || {
            let withdrawal = self.gateway.get(&format!("/atoll/withdrawals/{index}"))?;
            if withdrawal["settled"] == true {
                return Ok(Some(withdrawal));
            }
            if told == 0 {
                on_progress("it is in a commitment; the hub's challenge window is open");
                told += 1;
            }
            Ok(None)
        })
    }

    /// Withdrawals so far.
    pub(super) fn withdrawals(&self) -> Result<u64> {
        let settlement = self.gateway.get("/atoll/settlement")?;
        number_of(&settlement["withdrawals"], "number of withdrawals")
    }

    /// Claims a withdrawal that is settled.
    pub(super) fn claim(&self, withdrawal: &Value) -> Result<Sent> {
        use atoll_ethereum::abi::Withdrawal;
        let proof = withdrawal["proof"].as_array().context("the withdrawal has no proof yet")?;
        let proof = proof.iter().map(|sibling| word_of(sibling, "sibling"));
        let proof: [B256; 32] = proof
            .collect::<Result<Vec<_>>>()?
            .try_into()
            .map_err(|_| anyhow::anyhow!("a proof of a withdrawal has 32 siblings"))?;
        let amount = withdrawal["amount"].as_str().and_then(|a| a.parse().ok());
        let call = IBridge::claimCall {
            commitment: number_of(&withdrawal["commitment"], "commitment")?,
            w: Withdrawal {
                index: number_of(&withdrawal["index"], "index")?,
                environment: number_of(&withdrawal["environment"], "environment")? as u32,
                from: address_of(&withdrawal["from"], "the sender")?,
                to: address_of(&withdrawal["to"], "the receiver")?,
                token: address_of(&withdrawal["token"], "the token")?,
                amount: amount.context("the withdrawal has no amount")?,
            },
            proof,
        };
        self.on_hub("claim", &self.key, self.contracts.bridge, U256::ZERO, call.abi_encode())
    }
}

/// What the bridge of an EVM environment is called with.
fn evm_send(
    token: &Token,
    destination: EnvironmentId,
    to: Address,
    amount: U256,
) -> (U256, Vec<u8>) {
    let value = if token.token.is_zero() { amount } else { U256::ZERO };
    let call =
        IEnvironmentBridge::sendCall { destination: destination.0, token: token.token, to, amount };
    (value, call.abi_encode())
}

impl Token {
    /// A decimal number as the gateway writes it, rounded down to the smallest unit.
    pub(super) fn parse(&self, text: &str) -> Result<U256> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let cut: String = fraction.chars().take(self.decimals as usize).collect();
        let short = if cut.is_empty() { whole.to_string() } else { format!("{whole}.{cut}") };
        let scaled = crate::specs::Decimal::parse(&short).and_then(|d| d.scaled(self.decimals));
        scaled.map(U256::from).with_context(|| format!("'{text}' is no amount"))
    }
}

/// Submits a transaction to an exchange and checks that it did what was asked.
pub(crate) fn submit_action(gateway: &Gateway, environment: &str, bytes: &[u8]) -> Result<B256> {
    let body = json!({
        "environment": environment,
        "bytes": alloy_primitives::hex::encode_prefixed(bytes),
        "wait": "execution",
    });
    let answer = gateway.post("/atoll/transactions", &body)?;
    let hash = word_of(&answer["hash"], "hash of the transaction")?;
    let receipt = &answer["receipt"];
    if !receipt["code"].is_null() {
        bail!("refused: {} ({})", receipt["message"], receipt["label"]);
    }
    let bytes = receipt["bytes"].as_str().unwrap_or_default();
    let bytes = alloy_primitives::hex::decode(bytes).unwrap_or_default();
    use atoll_types::Decode;
    let receipt = atoll_vm::Receipt::from_bytes(&bytes).context("the receipt is damaged")?;
    let done = atoll_vm::exchange::ExchangeReceipt::of(&receipt)
        .map_err(|reject| anyhow::anyhow!("refused: {}", reject.message))?;
    for status in done.statuses {
        if let atoll_vm::exchange::Status::Rejected { code, detail } = status {
            bail!("refused: {detail} ({})", code.label());
        }
    }
    Ok(hash)
}
