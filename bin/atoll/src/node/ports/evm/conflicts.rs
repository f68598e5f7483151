//! Which keys made the transactions of a past block depend on one another.

use super::{Inner, internal};
use crate::evm::runs::finding_clashes;
use atoll_executor::parallel::EvmParallel;
use atoll_rpc::port::{BlockConflicts, BlockId, KeyConflict, QueryError};

/// Most keys that are told of a block.
const KEYS_MAX: usize = 1_000;
/// Two threads show all there is to show.
const THREADS: usize = 2;

impl Inner {
    pub(super) fn conflicts(&self, block: BlockId) -> Result<Option<BlockConflicts>, QueryError> {
        let Some(number) = self.number(block)? else { return Ok(None) };
        if number == 0 {
            return Ok(Some(BlockConflicts { speedup_max: 1.0, ..BlockConflicts::default() }));
        }
        let threads = EvmParallel::new(THREADS, 0).map_err(|error| internal(error.into()))?;
        let mut threads = threads.with_limits(finding_clashes());
        let (transactions, found) = self.depending(number, &mut threads)?;
        let keys = found.keys.iter().take(KEYS_MAX).map(|conflict| KeyConflict {
            key: conflict.key.to_string(),
            writers: conflict.writers.clone(),
            readers: conflict.readers.clone(),
            clashes: conflict.clashes,
        });
        Ok(Some(BlockConflicts {
            block: number,
            transactions,
            speedup_max: found.speedup_max(),
            keys_left_out: found.keys.len().saturating_sub(KEYS_MAX),
            keys: keys.collect(),
            gas: found.work,
            chain: found.chain,
        }))
    }
}
