//! The snapshot exit: what an account has in the last settled state, with proof, and taking it out.

use super::Leaving;
use crate::hub::calls;
use crate::specs;
use alloy_sol_types::{SolCall, SolEvent};
use anyhow::{Context, Result, ensure};
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::{self, IAnchor, IBridge, IEscapeHatch, Ledger, ProvenStatement};
use atoll_executor::VmSpec;
use atoll_types::hub::ROUTER;
use atoll_types::{Address, B256, EnvironmentId, U256, Withdrawal, keccak256, merkle_proof};
use serde_json::{Value, json};

/// What an account has of a token in an environment, as the state records it.
pub(super) struct Holding {
    environment: EnvironmentId,
    name: String,
    symbol: String,
    token: Address,
    decimals: u32,
    amount: U256,
    /// The object that says so, and its proof.
    object: Vec<u8>,
    siblings: Vec<B256>,
}

impl Holding {
    pub(super) fn render(&self) -> Value {
        json!({
            "environment": self.environment.0, "name": self.name, "symbol": self.symbol,
            "token": self.token.to_string(), "amount": self.amount.to_string(),
        })
    }

    pub(super) fn text(&self) -> String {
        let unit = U256::from(10).pow(U256::from(self.decimals));
        let fraction = (self.amount % unit).to_string();
        let width = self.decimals as usize;
        let number = format!("{}.{fraction:0>width$}", self.amount / unit);
        let number = number.trim_end_matches('0').trim_end_matches('.');
        format!("{number} {} in {}", self.symbol, self.name)
    }
}

/// The first varint's length and the balance behind it, of an EVM account object.
fn account_balance(object: &[u8]) -> Option<U256> {
    let nonce = object.iter().position(|byte| byte & 0x80 == 0)? + 1;
    short_word(object.get(nonce..)?)
}

/// `length (1 byte) ‖ big-endian without leading zeros`.
fn short_word(bytes: &[u8]) -> Option<U256> {
    let (length, rest) = bytes.split_first()?;
    U256::try_from_be_slice(rest.get(..usize::from(*length))?)
}

impl Leaving<'_> {
    /// What the account has where the follower stands.
    pub(super) fn holdings(&mut self) -> Result<Vec<Holding>> {
        let mut holdings = Vec::new();
        for spec in self.chain.outside.specs.clone() {
            for (symbol, token, decimals, _) in specs::hub_token_names(&spec) {
                let key = match &spec.vm {
                    VmSpec::Exchange(_) => {
                        Some([&[0x50][..], self.account.as_slice(), token.as_slice()].concat())
                    }
                    VmSpec::Evm(_) => self.evm_key(spec.id, token),
                    VmSpec::Router(_) => None,
                };
                let Some(key) = key else { continue };
                let Some((object, proof)) = self.chain.follower.object(spec.id, &key)? else {
                    continue;
                };
                let amount = match (&spec.vm, token.is_zero()) {
                    (VmSpec::Exchange(_), _) => U256::try_from_be_slice(&object),
                    (_, true) => account_balance(&object),
                    (_, false) => short_word(&object),
                };
                let amount = amount.context("an object of the state does not decode")?;
                if !amount.is_zero() {
                    holdings.push(Holding {
                        environment: spec.id,
                        name: spec.name.clone(),
                        symbol,
                        token,
                        decimals,
                        amount,
                        object,
                        siblings: proof.0,
                    });
                }
            }
        }
        Ok(holdings)
    }

    /// Where an EVM environment's state says what the account has.
    fn evm_key(&self, environment: EnvironmentId, token: Address) -> Option<Vec<u8>> {
        if token.is_zero() {
            return Some([&[0x01][..], self.account.as_slice()].concat());
        }
        let contract = self.chain.follower.bridged_token(environment, token)?;
        let slot = keccak256([self.account.into_word(), B256::ZERO].concat());
        Some([&[0x02][..], contract.as_slice(), slot.as_slice()].concat())
    }

    pub(super) fn exit(mut self) -> Result<()> {
        let settled = self.open_exit()?;
        self.follow_to(settled)?;
        ensure!(settled > 0, "nothing was ever settled: there is no state to be paid by");
        let holdings = self.holdings()?;
        let claimed = self.claim_withdrawals(settled)?;
        let refunded = self.refund()?;
        let mut paid = Vec::new();
        for holding in &holdings {
            paid.extend(self.pay(holding)?);
        }
        let value = json!({
            "account": self.account.to_string(), "commitment": settled,
            "paid": paid, "refunded": refunded, "claimed": claimed,
            "transactions": self.transactions,
        });
        match self.args.json {
            true => println!("{}", serde_json::to_string(&value)?),
            false => println!(
                "{} claims paid, {} deposits refunded, {} withdrawals claimed, to {}",
                paid.len(),
                refunded.len(),
                claimed.len(),
                self.account
            ),
        }
        Ok(())
    }

    /// Opens the exit if that is not done; returns the commitment that everyone is paid by.
    fn open_exit(&mut self) -> Result<u64> {
        let (anchor, hatch) =
            (self.chain.outside.on.contracts.anchor, self.chain.outside.on.contracts.hatch);
        if !self.chain.outside.on.anchor(&IAnchor::closedCall {})? {
            let silence = self.silence()?;
            let wait = silence.exit_after_s.saturating_sub(silence.anyone_s);
            ensure!(
                wait == 0,
                "the last commitment is {} s old; the exit can be opened after {} s, in {wait} s. \
                 `atoll escape status` says what can be done meanwhile",
                silence.anyone_s,
                silence.exit_after_s
            );
            self.settle(false)?;
            let data = IEscapeHatch::openCall {}.abi_encode();
            self.send("open the exit", hatch, U256::ZERO, data)?;
        }
        let from = self.chain.outside.on.anchor(&IAnchor::unwindFromCall {})?;
        if from != 0 {
            let last = self.chain.outside.on.anchor(&IAnchor::lastCall {})?;
            let lists = self.transfers_downward(from, last)?;
            let data = IAnchor::unwindCall { lists }.abi_encode();
            self.send("unwind", anchor, U256::ZERO, data)?;
        }
        self.chain.outside.on.anchor(&IAnchor::lastSettledCall {})
    }

    /// Claims the account's settled withdrawals.
    fn claim_withdrawals(&mut self, settled: u64) -> Result<Vec<Value>> {
        let own = |w: &&Withdrawal| w.to == self.account;
        let own: Vec<Withdrawal> =
            self.chain.follower.withdrawals().iter().filter(own).cloned().collect();
        let bridge = self.chain.outside.on.contracts.bridge;
        let mut done = Vec::new();
        for w in own {
            let call = IBridge::isClaimedCall { index: w.index };
            if self.chain.outside.on.client.view(bridge, &call, BlockId::Latest)? {
                continue;
            }
            let proof = self.chain.follower.withdrawal_proof(w.index);
            let call = IBridge::claimCall {
                commitment: settled,
                w: abi::Withdrawal {
                    index: w.index,
                    environment: w.environment.0,
                    from: w.from,
                    to: w.to,
                    token: w.token,
                    amount: w.amount,
                },
                proof: proof.context("a withdrawal outside of the tree")?,
            };
            let step = format!("claim withdrawal {}", w.index);
            self.send(&step, bridge, U256::ZERO, call.abi_encode())?;
            done.push(json!({
                "index": w.index, "token": w.token.to_string(), "amount": w.amount.to_string(),
            }));
        }
        Ok(done)
    }

    /// Takes back deposits that no settled slot consumed.
    fn refund(&mut self) -> Result<Vec<Value>> {
        let hatch = self.chain.outside.on.contracts.hatch;
        let mut done = Vec::new();
        for entry in self.unconsumed()? {
            let call = IEscapeHatch::isRefundedCall { index: entry.index };
            if self.chain.outside.on.client.view(hatch, &call, BlockId::Latest)? {
                continue;
            }
            let call = IEscapeHatch::refundDepositCall { entry: calls::to_abi(&entry) };
            let step = format!("refund deposit {}", entry.index);
            self.send(&step, hatch, U256::ZERO, call.abi_encode())?;
            done.push(json!({
                "index": entry.index, "token": entry.token.to_string(),
                "amount": entry.amount.to_string(),
            }));
        }
        Ok(done)
    }

    /// Takes out one holding; none if that was done before.
    fn pay(&mut self, holding: &Holding) -> Result<Option<Value>> {
        let hatch = self.chain.outside.on.contracts.hatch;
        let (environment, token, account) = (holding.environment.0, holding.token, self.account);
        let view = &self.chain.outside.on.client;
        let call = IEscapeHatch::hasExitedCall { environment, token, account };
        if view.view(hatch, &call, BlockId::Latest)? {
            self.say(&format!("{} was paid before", holding.text()));
            return Ok(None);
        }
        let call = IEscapeHatch::exitOfCall { environment, token };
        if !view.view(hatch, &call, BlockId::Latest)?.opened {
            let data = self.open_call(holding.environment, token)?;
            let step = format!("open {} {}", holding.name, holding.symbol);
            self.send(&step, hatch, U256::ZERO, data)?;
        }
        let call = IEscapeHatch::exitCall {
            environment,
            token,
            account,
            object: holding.object.clone().into(),
            siblings: holding.siblings.clone(),
        };
        let step = format!("exit {} {}", holding.name, holding.symbol);
        let receipt = self.send(&step, hatch, U256::ZERO, call.abi_encode())?;
        let logs = receipt.logs.iter().filter(|log| log.address == hatch);
        let mut exited = logs.filter_map(|log| {
            IEscapeHatch::Exited::decode_raw_log_validate(log.topics.iter().copied(), &log.data)
                .ok()
        });
        let exited = exited.next_back().context("the exit says nothing of what it paid")?;
        let mut value = holding.render();
        value["paid"] = json!(exited.paid.to_string());
        Ok(Some(value))
    }

    /// The call that opens a token's exit: it proves what all claims of it are, and what the ledger
    /// says.
    fn open_call(&mut self, environment: EnvironmentId, token: Address) -> Result<Vec<u8>> {
        let ledger = [&[0x01][..], &environment.0.to_be_bytes(), token.as_slice()].concat();
        let found = self.chain.follower.object(ROUTER, &ledger)?;
        let (ledger, ledger_proof) = found.context("the router keeps no ledger of the token")?;
        let word = |at: usize| {
            let word = ledger.get(32 * at..32 * at + 32).and_then(U256::try_from_be_slice);
            word.context("a ledger does not decode")
        };
        let ledger = Ledger {
            deposits: word(0)?,
            inflow: word(1)?,
            outflow: word(2)?,
            withdrawals: word(3)?,
        };
        let total = [&[0x51][..], token.as_slice()].concat();
        // Only an exchange has one; an EVM's total is the ledger's balance.
        let (total, total_siblings) = match self.chain.follower.object(environment, &total)? {
            Some((value, proof)) => {
                (U256::try_from_be_slice(&value).context("a total does not decode")?, proof.0)
            }
            None => (U256::ZERO, Vec::new()),
        };
        Ok(IEscapeHatch::openExitCall {
            token,
            router: self.proven(ROUTER)?,
            environment: self.proven(environment)?,
            ledger,
            ledgerSiblings: ledger_proof.0,
            total,
            totalSiblings: total_siblings,
        }
        .abi_encode())
    }

    /// An environment's statement in the last settled commitment, with its proof.
    fn proven(&self, environment: EnvironmentId) -> Result<ProvenStatement> {
        let last = self.last.as_ref().context("no commitment was executed")?;
        let at = last.statements.iter().position(|s| s.environment == environment);
        let at = at.context("the settled commitment has no such environment")?;
        let hashes: Vec<B256> = last.statements.iter().map(atoll_types::Statement::hash).collect();
        let leaves: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_slice()).collect();
        Ok(ProvenStatement {
            statement: calls::statement(&last.statements[at]),
            index: U256::from(at),
            proof: merkle_proof(&leaves, at).context("a statement without a place")?,
        })
    }
}
