//! One transaction from its first attempt until its nonce is final.

use crate::checkpoint::{HASHES_MAX, Post};
use crate::config::Config;
use crate::fees;
use crate::port::{
    Call, Fees, Observation, Purpose, SignedTransaction, TransactionRequest, Wallet,
};
use crate::retry::Retry;
use atoll_types::{B256, U256, sha256};

/// Gas of a plain transfer, with room for chains that charge more for it.
const FILL_GAS: u64 = 100_000;
/// Commits to everything of a call.
pub(crate) fn digest(call: &Call) -> B256 {
    let value = call.value.to_be_bytes::<32>();
    sha256(&[call.to.as_slice(), &value, &call.gas_limit.to_be_bytes(), &call.data])
}

#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) post: Post,
    pub(crate) call: Option<Call>,
    pub(crate) retry: Retry,
    /// When the last attempt was accepted: our time and the hub's head.
    pub(crate) sent: Option<(u64, u64)>,
    /// The next attempt must pay more.
    pub(crate) raise: bool,
    pub(crate) mined: bool,
    pub(crate) reverted: bool,
    /// Its receipts were asked for.
    pub(crate) looked: bool,
}

impl Live {
    pub(crate) fn new(post: Post, call: Option<Call>) -> Self {
        let retry = Retry::default();
        Self {
            post,
            call,
            retry,
            sent: None,
            raise: false,
            mined: false,
            reverted: false,
            looked: false,
        }
    }

    /// The transaction to send now, if any, and whether it is another than was persisted.
    pub(crate) fn attempt(
        &mut self,
        now_ms: u64,
        view: &Observation,
        suggested: Fees,
        first: bool,
        config: &Config,
        wallet: &dyn Wallet,
    ) -> Option<(SignedTransaction, bool)> {
        let late = self.sent.is_none_or(|(at_ms, block)| {
            now_ms >= at_ms.saturating_add(config.bump_ms)
                || view.head.number >= block.saturating_add(config.bump_blocks)
        });
        if !(late || self.raise) || !self.retry.due(now_ms, config) {
            return None;
        }
        let blank = self.post.withdrawn || self.post.purpose == Purpose::Fill;
        let call = match &self.call {
            _ if blank => Call {
                to: wallet.address(),
                data: Vec::new(),
                value: U256::ZERO,
                gas_limit: FILL_GAS,
            },
            Some(call) => call.clone(),
            None => return None,
        };
        let fees = if self.post.hashes.is_empty() {
            suggested
        } else if self.raise || (first && self.sent.is_some()) {
            fees::bump(self.post.fees, suggested, config).unwrap_or(self.post.fees)
        } else {
            self.post.fees
        };
        let request = TransactionRequest { nonce: self.post.nonce, fees, call };
        let transaction = wallet.sign(&request);
        let new = self.post.hashes.last() != Some(&transaction.hash);
        if new {
            self.post.hashes.push(transaction.hash);
            if self.post.hashes.len() > HASHES_MAX {
                self.post.hashes.remove(0);
            }
        }
        self.post.fees = fees;
        // Until a node has it, what follows is the same attempt, and pays no more.
        (self.sent, self.raise) = (None, false);
        Some((transaction, new))
    }
}
