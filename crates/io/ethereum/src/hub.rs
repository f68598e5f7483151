//! What the hub's contracts say, read at one block.
//!
//! Everything takes the hash of the block to read at, so that what is read together belongs
//! together, whatever the chain does meanwhile; a node that no longer has the block on its chain
//! answers with an error.

use crate::abi::{Addresses, Entry, IAnchor, IEscapeHatch, IHubQueue, IRegistry, Record, Status};
use crate::client::Client;
use crate::error::ClientError;
use crate::logs;
use crate::view::{Block, BlockId, Log, LogFilter};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;

/// The Anchor at a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorState {
    /// Number of the last commitment that stands, 0 for none.
    pub last: u64,
    /// What the hub keeps of it; `None` for none.
    pub last_record: Option<Record>,
    /// Number of the last settled commitment, 0 for none.
    pub settled: u64,
    /// Last slot of it, 0 for none.
    pub settled_slot: u64,
    /// What the hub keeps of the commitment after it; `None` if there is none.
    pub next: Option<Record>,
    /// First rejected commitment whose effects were not taken back yet, 0 for none.
    pub unwind_from: u64,
    /// No further commitment is accepted: the snapshot exit is open.
    pub closed: bool,
}

impl AnchorState {
    /// First timestamp at which the commitment after the last settled one can be settled, seconds;
    /// `None` if there is none or it is not its turn (it is under challenge, or rejected).
    pub fn settle_from_s(&self) -> Option<u64> {
        let next = self.next.as_ref().filter(|next| next.status == Status::Anchored)?;
        Some(next.countedFrom.saturating_add(next.challengeWindow.into()))
    }

    /// Whether the commitment after the last settled one is under challenge.
    pub fn is_challenged(&self) -> bool {
        self.next.as_ref().is_some_and(|next| next.status == Status::Challenged)
    }
}

/// Reads the Anchor and the hatch.
///
/// # Errors
/// See [`ClientError`].
pub fn anchor_at(client: &Client, hub: &Addresses, at: B256) -> Result<AnchorState, ClientError> {
    let at = BlockId::Hash(at);
    let last = client.view(hub.anchor, &IAnchor::lastCall {}, at)?;
    let settled = client.view(hub.anchor, &IAnchor::lastSettledCall {}, at)?;
    let record = |number: u64| client.view(hub.anchor, &IAnchor::recordCall { number }, at);
    let some = |number: u64, there: bool| there.then(|| record(number)).transpose();
    Ok(AnchorState {
        last,
        last_record: some(last, last > 0)?,
        settled,
        settled_slot: some(settled, settled > 0)?.map_or(0, |record| record.lastSlot),
        next: some(settled + 1, settled < last)?,
        unwind_from: client.view(hub.anchor, &IAnchor::unwindFromCall {}, at)?,
        closed: client.view(hub.anchor, &IAnchor::closedCall {}, at)?
            || client.view(hub.hatch, &IEscapeHatch::isOpenCall {}, at)?,
    })
}

/// The contracts that an Anchor works with. Nobody is guardian here: it is not asked for.
///
/// # Errors
/// See [`ClientError`].
pub fn addresses(client: &Client, anchor: Address, at: BlockId) -> Result<Addresses, ClientError> {
    Ok(Addresses {
        timelock: client.view(anchor, &IAnchor::timelockCall {}, at)?,
        guardian: Address::ZERO,
        registry: client.view(anchor, &IAnchor::registryCall {}, at)?,
        queue: client.view(anchor, &IAnchor::queueCall {}, at)?,
        anchor,
        bridge: client.view(anchor, &IAnchor::bridgeCall {}, at)?,
        hatch: client.view(anchor, &IAnchor::hatchCall {}, at)?,
    })
}

/// Number of entries in the queue, and the running hash over them.
///
/// # Errors
/// See [`ClientError`].
pub fn queue_at(client: &Client, queue: Address, at: B256) -> Result<(u64, B256), ClientError> {
    let at = BlockId::Hash(at);
    let cursor = client.view(queue, &IHubQueue::lengthCall {}, at)?;
    Ok((cursor, client.view(queue, &IHubQueue::hashAtCall { cursor }, at)?))
}

/// An entry of the queue and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The entry.
    pub entry: Entry,
    /// Running hash after it, as the hub says.
    pub queue_hash: B256,
    /// Number of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// The transaction that made it.
    pub transaction: B256,
}

impl Enqueued {
    /// Reads it from a log of the queue.
    ///
    /// # Errors
    /// A sentence, if the log is another event or damaged.
    pub fn from_log(log: &Log) -> Result<Self, String> {
        let event = event::<IHubQueue::Enqueued>(log)?;
        Ok(Self {
            entry: Entry {
                index: event.index,
                kind: event.kind,
                environment: event.environment,
                from: event.from,
                to: event.to,
                token: event.token,
                amount: event.amount,
                data: event.data,
                time: event.time,
            },
            queue_hash: event.queueHash,
            block: log.block,
            block_hash: log.block_hash,
            transaction: log.transaction,
        })
    }
}

/// All entries that came in these blocks, both included, in order; and the block `to` as the same
/// node has it after answering.
///
/// # Errors
/// See [`ClientError`]; a node that does not have the block `to` is one.
pub fn entries(
    client: &Client,
    queue: Address,
    from: u64,
    to: u64,
) -> Result<(Vec<Enqueued>, Block), ClientError> {
    let topics = vec![Some(IHubQueue::Enqueued::SIGNATURE_HASH)];
    let logs = client.logs(&LogFilter { address: queue, topics, from, to })?;
    let failed = |what: String| ClientError::Decode { method: "eth_getLogs".into(), what };
    let entries = logs.iter().map(Enqueued::from_log).collect::<Result<Vec<_>, _>>();
    let last = client.block(BlockId::Number(to))?;
    let last = last.ok_or_else(|| failed(format!("the node does not have block {to}")))?;
    Ok((entries.map_err(failed)?, last))
}

/// The block in which a hub was deployed: that in which its registry took up the router. `None` if
/// that is not to be found up to `latest`.
///
/// # Errors
/// See [`ClientError`].
pub fn deployed_in(
    client: &Client,
    registry: Address,
    latest: u64,
) -> Result<Option<u64>, ClientError> {
    let topics = vec![Some(IRegistry::Registered::SIGNATURE_HASH), Some(B256::ZERO)];
    let filter = LogFilter { address: registry, topics, from: 0, to: latest };
    Ok(logs::last(client, &filter)?.map(|log| log.block))
}

/// How many commitments were rejected in these blocks, both included.
///
/// # Errors
/// See [`ClientError`].
pub fn rejections(
    client: &Client,
    anchor: Address,
    from: u64,
    to: u64,
) -> Result<u64, ClientError> {
    let topics = vec![Some(IAnchor::Rejected::SIGNATURE_HASH)];
    let logs = logs::all(client, &LogFilter { address: anchor, topics, from, to })?;
    Ok(logs.len() as u64)
}

/// Decodes an event, topics included.
///
/// # Errors
/// A sentence, if the log is another event or damaged.
pub fn event<E: SolEvent>(log: &Log) -> Result<E, String> {
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data)
        .map_err(|error| format!("a log of {} is not {}: {error}", log.address, E::SIGNATURE))
}
