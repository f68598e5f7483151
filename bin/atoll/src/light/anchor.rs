//! What the hub's Anchor says, read from a node of the hub's chain at its finalised block.

use anyhow::{Context, Result};
use atoll_ethereum::abi::{IAnchor, Record};
use atoll_ethereum::{BlockId, Client, Limits};
use atoll_types::Address;
use std::time::Duration;

/// Tries to read at one block: a node may keep the state of its last block alone, and have another
/// one between two questions.
const TRIES: u32 = 8;
const WAIT: Duration = Duration::from_millis(50);

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
}

impl Anchor {
    pub(crate) fn new(rpc_url: &str, address: Address) -> Result<Self> {
        Ok(Self { client: Client::new(rpc_url, Limits::default())?, address })
    }

    /// Asks until everything was answered as of one finalised block.
    fn at_one_block<T>(&self, ask: impl Fn(BlockId) -> Result<T>) -> Result<T> {
        let mut tries = 1;
        loop {
            let block = self.client.block(BlockId::Finalized).map_err(anyhow::Error::from);
            let answer = block.and_then(|block| {
                let block = block.context("its chain has no finalised block yet")?;
                ask(BlockId::Hash(block.hash))
            });
            match answer {
                Err(_) if tries < TRIES => std::thread::sleep(WAIT * tries),
                other => return other.context("the hub cannot be asked"),
            }
            tries += 1;
        }
    }

    fn standing_at(&self, at: BlockId) -> Result<Standing> {
        Ok(Standing {
            last: self.client.view(self.address, &IAnchor::lastCall {}, at)?,
            settled: self.client.view(self.address, &IAnchor::lastSettledCall {}, at)?,
        })
    }

    pub(crate) fn standing(&self) -> Result<Standing> {
        self.at_one_block(|at| self.standing_at(at))
    }

    /// What the hub keeps of a commitment, and where it stands at the same block.
    pub(crate) fn record(&self, number: u64) -> Result<(Standing, Record)> {
        self.at_one_block(|at| {
            let record = self.client.view(self.address, &IAnchor::recordCall { number }, at)?;
            Ok((self.standing_at(at)?, record))
        })
    }
}
