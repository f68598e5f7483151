//! What the hub's Anchor says, read from a node of the hub's chain at its finalised block.

use anyhow::{Context, Result};
use atoll_ethereum::abi::{IAnchor, Record};
use atoll_ethereum::{BlockId, Client, Limits};
use atoll_types::{Address, B256};

/// The contract.
pub(crate) struct Anchor {
    client: Client,
    address: Address,
}

/// How far commitments have come there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// The last commitment that stands, 0 for none.
    pub(crate) last: u64,
    /// The last settled one, 0 for none.
    pub(crate) settled: u64,
    /// The block at which this is so.
    pub(crate) block: B256,
}

impl Anchor {
    pub(crate) fn new(rpc_url: &str, address: Address) -> Result<Self> {
        Ok(Self { client: Client::new(rpc_url, Limits::default())?, address })
    }

    pub(crate) fn standing(&self) -> Result<Standing> {
        let block = self.client.block(BlockId::Finalized)?;
        let block = block.context("the hub's chain has no finalised block yet")?.hash;
        let at = BlockId::Hash(block);
        Ok(Standing {
            last: self.client.view(self.address, &IAnchor::lastCall {}, at)?,
            settled: self.client.view(self.address, &IAnchor::lastSettledCall {}, at)?,
            block,
        })
    }

    /// What the hub keeps of a commitment.
    pub(crate) fn record(&self, number: u64, standing: &Standing) -> Result<Record> {
        let at = BlockId::Hash(standing.block);
        Ok(self.client.view(self.address, &IAnchor::recordCall { number }, at)?)
    }
}
