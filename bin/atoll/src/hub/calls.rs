//! Between the node's types and the contracts': calldata out, logs in.

use super::published::Published;
use alloy_primitives::{I256, Log, LogData};
use alloy_sol_types::{SolCall, SolEvent};
use atoll_ethereum::abi::{self, IAnchor, IHubQueue};
use atoll_types::hub::FORCED_BYTES_MAX;
use atoll_types::{EntryKind, EnvironmentId, HubEntry, NetTransfer, Signature, Statement};

/// A signature as contracts take it: r ‖ s ‖ v, v 27 or 28.
pub(crate) fn signature(signature: &Signature) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(65);
    bytes.extend_from_slice(&signature.r);
    bytes.extend_from_slice(&signature.s);
    bytes.push(27 + signature.y_parity);
    bytes
}

pub(crate) fn transfers(list: &[NetTransfer]) -> Vec<abi::NetTransfer> {
    let transfer = |t: &NetTransfer| abi::NetTransfer {
        environment: t.environment.0,
        token: t.token,
        delta: I256::try_from(t.delta).unwrap_or_default(),
    };
    list.iter().map(transfer).collect()
}

pub(crate) fn statement(s: &Statement) -> abi::Statement {
    abi::Statement {
        environment: s.environment.0,
        specHash: s.spec_hash,
        programId: s.program_id,
        firstTimeUs: s.times_us.0,
        lastTimeUs: s.times_us.1,
        preRoot: s.pre_root,
        postRoot: s.post_root,
        batch: s.batch,
        inbox: s.inbox,
        outbox: s.outbox,
        receipts: s.receipts,
        foreignRoots: s.foreign_roots,
    }
}

pub(crate) fn commitment(published: &Published) -> abi::Commitment {
    let c = &published.commitment;
    abi::Commitment {
        number: c.number,
        firstSlot: c.slots.0,
        lastSlot: c.slots.1,
        cursor: c.cursor,
        withdrawalsCount: c.withdrawals_count,
        slotHash: c.slot_hash,
        queueHash: c.queue_hash,
        withdrawalsRoot: c.withdrawals_root,
        data: c.data,
    }
}

/// The call that anchors a commitment.
pub(crate) fn anchor(published: &Published) -> Vec<u8> {
    IAnchor::anchorCall {
        c: commitment(published),
        s: published.statements.iter().map(statement).collect(),
        t: transfers(&published.transfers),
        signature: signature(&published.signature).into(),
        availability: vec![signature(&published.availability).into()],
        blobIndexes: Vec::new(),
    }
    .abi_encode()
}

/// An entry of the queue from its log.
pub(crate) fn entry(log: &atoll_ethereum::Log) -> Result<HubEntry, String> {
    let data = LogData::new_unchecked(log.topics.clone(), log.data.clone().into());
    let decoded = IHubQueue::Enqueued::decode_log(&Log { address: log.address, data })
        .map_err(|error| format!("a log of the hub's queue cannot be read: {error}"))?;
    let event = decoded.data;
    let kind = match event.kind {
        1 => EntryKind::Deposit,
        2 if event.data.len() <= FORCED_BYTES_MAX as usize => EntryKind::Forced,
        other => {
            return Err(format!("an entry of the hub's queue has kind {other} or is too long"));
        }
    };
    Ok(HubEntry {
        index: event.index,
        kind,
        environment: EnvironmentId(event.environment),
        from: event.from,
        to: event.to,
        token: event.token,
        amount: event.amount,
        data: event.data.to_vec(),
        time_s: event.time,
    })
}

/// The engine's own type of the same.
pub(crate) fn to_engine(entry: HubEntry) -> atoll_settlement::Entry {
    let HubEntry { index, kind, environment, from, to, token, amount, data, time_s } = entry;
    let kind = match kind {
        EntryKind::Deposit => atoll_settlement::EntryKind::Deposit,
        EntryKind::Forced => atoll_settlement::EntryKind::Forced,
    };
    atoll_settlement::Entry { index, kind, environment, from, to, token, amount, data, time_s }
}

/// The node's own type of the same.
pub(crate) fn from_engine(entry: atoll_settlement::Entry) -> HubEntry {
    let atoll_settlement::Entry { index, kind, environment, from, to, token, amount, data, time_s } =
        entry;
    let kind = match kind {
        atoll_settlement::EntryKind::Deposit => EntryKind::Deposit,
        atoll_settlement::EntryKind::Forced => EntryKind::Forced,
    };
    HubEntry { index, kind, environment, from, to, token, amount, data, time_s }
}
