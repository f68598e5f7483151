//! The hub as somebody reads it who trusts the contracts and nobody else.

use alloy_sol_types::{SolCall, SolEvent};
use anyhow::{Context, Result, bail, ensure};
use atoll_ethereum::abi::{Addresses, Commitment, IAnchor};
use atoll_ethereum::{BlockId, Client, Log, LogFilter, hub, logs};
use atoll_types::{Address, B256, HubEntry, NetworkId, U256};
use serde_json::json;
use std::collections::VecDeque;

/// Blocks asked for at once; nodes bound what they answer.
const BLOCKS_AT_ONCE: u64 = 1_000;

/// A network's contracts.
pub(crate) struct OnChain {
    pub(crate) client: Client,
    pub(crate) contracts: Addresses,
}

impl OnChain {
    /// Reaches the contracts behind an Anchor and checks that they are the network's.
    pub(crate) fn open(client: Client, anchor: Address, network: NetworkId) -> Result<Self> {
        let contracts = hub::addresses(&client, anchor, BlockId::Latest)
            .with_context(|| format!("there is no Anchor at {anchor} on {}", client.url()))?;
        let found = client.view(anchor, &IAnchor::networkCall {}, BlockId::Latest)?;
        ensure!(
            found == network.0,
            "the Anchor {anchor} is of network {found}; the spec files give {}. Name the folder of \
             the network's spec files with --environments, and its name with --network",
            network.0
        );
        Ok(Self { client, contracts })
    }

    /// The call that anchored a commitment: the transaction itself, or one that a contract made in
    /// it, which only a node tells that traces.
    pub(crate) fn anchored(&self, number: u64) -> Result<IAnchor::anchorCall> {
        let hash = self.anchored_log(number)?.transaction;
        let found = self.client.transaction(hash)?;
        let found = found.context("the transaction that anchored it is not there")?;
        let of_it = |input: &[u8]| {
            IAnchor::anchorCall::abi_decode(input).ok().filter(|call| call.c.number == number)
        };
        if let Some(call) = of_it(&found.input) {
            return Ok(call);
        }
        let traced = json!([hash, { "tracer": "callTracer" }]);
        let traced = self.client.request("debug_traceTransaction", traced).with_context(|| {
            format!(
                "commitment {number} was anchored through a contract, and {} does not trace \
                 transactions: name a node that does with --hub-rpc",
                self.client.url()
            )
        })?;
        let mut calls = vec![&traced];
        while let Some(call) = calls.pop() {
            let to = call["to"].as_str().and_then(|to| to.parse::<Address>().ok());
            let input = call["input"].as_str().map(alloy_primitives::hex::decode);
            if to == Some(self.contracts.anchor)
                && call["error"].is_null()
                && let Some(found) = input.and_then(Result::ok).and_then(|input| of_it(&input))
            {
                return Ok(found);
            }
            calls.extend(call["calls"].as_array().into_iter().flatten());
        }
        bail!("the transaction {hash} holds no call that anchored commitment {number}")
    }

    /// The commitment with a hash, which is the last that was anchored with this number.
    pub(crate) fn commitment(&self, number: u64, hash: B256) -> Result<Commitment> {
        let Log { topics, data, .. } = self.anchored_log(number)?;
        let event = IAnchor::Anchored::decode_raw_log_validate(topics.iter().copied(), &data);
        let event = event.context("the Anchor's event cannot be read")?;
        ensure!(event.hash == hash, "commitment {number} was replaced on the hub just now");
        Ok(event.commitment)
    }

    fn anchored_log(&self, number: u64) -> Result<Log> {
        let last = self.client.block_number()?;
        let topics =
            vec![Some(IAnchor::Anchored::SIGNATURE_HASH), Some(B256::from(U256::from(number)))];
        let filter = LogFilter { address: self.contracts.anchor, topics, from: 0, to: last };
        logs::last(&self.client, &filter)?.context("nothing on the hub anchored it")
    }

    /// The block from which on the contracts say something: the one named, or that in which they
    /// were deployed.
    pub(crate) fn first_block(&self, named: Option<u64>) -> Result<u64> {
        if let Some(named) = named {
            return Ok(named);
        }
        let latest = self.client.block_number()?;
        hub::deployed_in(&self.client, self.contracts.registry, latest)?
            .context("the hub's node does not tell when it was deployed: say it with --from-block")
    }

    /// Whether the Anchor counts an account's promise that data is available.
    pub(crate) fn is_committee(&self, account: Address) -> Result<bool> {
        self.anchor(&IAnchor::isCommitteeCall { account })
    }

    /// A call of the Anchor that reads.
    pub(crate) fn anchor<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        Ok(self.client.view(self.contracts.anchor, call, BlockId::Latest)?)
    }
}

/// Entries of the hub's queue, read as they are needed.
pub(crate) struct Entries {
    /// From this index on.
    first: u64,
    kept: VecDeque<HubEntry>,
    next_block: u64,
    hash: B256,
}

impl Entries {
    /// From the queue's beginning, which is not before `from_block`.
    pub(crate) fn new(from_block: u64) -> Self {
        Self { first: 0, kept: VecDeque::new(), next_block: from_block, hash: B256::ZERO }
    }

    /// Forgets entries before an index.
    pub(crate) fn forget_before(&mut self, index: u64) {
        while self.first < index && self.kept.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// The entries from `start` up to but without `end`, all of them in final blocks.
    pub(crate) fn get(&mut self, on: &OnChain, start: u64, end: u64) -> Result<Vec<HubEntry>> {
        self.read_until(on, Some(end))?;
        self.range(start, end)
    }

    /// The same of those that were read; an error if there are not so many.
    pub(crate) fn range(&self, start: u64, end: u64) -> Result<Vec<HubEntry>> {
        let kept = |index: u64| usize::try_from(index.checked_sub(self.first)?).ok();
        let range = kept(start).zip(kept(end));
        let range = range.filter(|(start, end)| start <= end && *end <= self.kept.len());
        let Some((start_at, end_at)) = range else {
            bail!(
                "the hub's queue has {} final entries; entries {start} to {end} were wanted",
                self.first + self.kept.len() as u64
            );
        };
        Ok(self.kept.range(start_at..end_at).cloned().collect())
    }

    /// Reads on until there are `end` entries, or all there are.
    pub(crate) fn read_until(&mut self, on: &OnChain, end: Option<u64>) -> Result<()> {
        let finalized = on.client.block(BlockId::Finalized)?.map_or(0, |block| block.number);
        while self.next_block <= finalized
            && end.is_none_or(|end| self.first + (self.kept.len() as u64) < end)
        {
            let to = finalized.min(self.next_block + BLOCKS_AT_ONCE - 1);
            let (found, _) = hub::entries(&on.client, on.contracts.queue, self.next_block, to)?;
            for logged in found {
                let entry = super::calls::entry(&logged.entry).map_err(anyhow::Error::msg)?;
                let entry = super::calls::from_engine(entry);
                self.hash = entry.extend(&self.hash);
                ensure!(
                    entry.index == self.first + self.kept.len() as u64
                        && self.hash == logged.queue_hash,
                    "entry {} does not continue the hub's queue; is --from-block behind its start?",
                    entry.index
                );
                self.kept.push_back(entry);
            }
            self.next_block = to + 1;
        }
        Ok(())
    }
}
