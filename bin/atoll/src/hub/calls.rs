//! Between the node's types and the contracts': calldata out, logs in.

use super::assemble::Assembled;
use super::certificate::Certificate;
use super::published::Published;
use alloy_primitives::I256;
use alloy_sol_types::SolCall;
use atoll_ethereum::abi::{self, IAnchor};
use atoll_types::hub::FORCED_BYTES_MAX;
use atoll_types::{
    Commitment, EntryKind, EnvironmentId, HubEntry, NetTransfer, Signature, Statement,
};

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

pub(crate) fn commitment(c: &Commitment) -> abi::Commitment {
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
        c: commitment(&published.commitment),
        s: published.statements.iter().map(statement).collect(),
        t: transfers(&published.transfers),
        signature: signature(&published.signature).into(),
        availability: vec![signature(&published.availability).into()],
        blobIndexes: Vec::new(),
    }
    .abi_encode()
}

/// The call that anchors a commitment which nobody signed: about published slots with the
/// certificate of these, without one where no data is needed but the queue's.
pub(crate) fn anchor_derived(
    Assembled { commitment: c, statements, transfers: net, .. }: &Assembled,
    certificate: Option<&Certificate>,
) -> Vec<u8> {
    IAnchor::anchorCall {
        c: commitment(c),
        s: statements.iter().map(statement).collect(),
        t: transfers(net),
        signature: Vec::new().into(),
        availability: certificate.iter().map(|c| signature(&c.signature).into()).collect(),
        blobIndexes: Vec::new(),
    }
    .abi_encode()
}

/// An entry of the queue as contracts take it.
pub(crate) fn to_abi(entry: &HubEntry) -> abi::Entry {
    abi::Entry {
        index: entry.index,
        kind: entry.kind as u8,
        environment: entry.environment.0,
        from: entry.from,
        to: entry.to,
        token: entry.token,
        amount: entry.amount,
        data: entry.data.clone().into(),
        time: entry.time_s,
    }
}

/// An entry of the queue as the engine has it.
pub(crate) fn entry(entry: &abi::Entry) -> Result<atoll_settlement::Entry, String> {
    let kind = match entry.kind {
        1 => atoll_settlement::EntryKind::Deposit,
        2 if entry.data.len() <= FORCED_BYTES_MAX as usize => atoll_settlement::EntryKind::Forced,
        kind => return Err(format!("entry {} of the queue has kind {kind}", entry.index)),
    };
    Ok(atoll_settlement::Entry {
        index: entry.index,
        kind,
        environment: EnvironmentId(entry.environment),
        from: entry.from,
        to: entry.to,
        token: entry.token,
        amount: entry.amount,
        data: entry.data.to_vec(),
        time_s: entry.time,
    })
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
