//! The Atoll API's JSON.

use crate::port::{
    Accepted, EnvironmentInfo, LiquidatableView, PlacedReceipt, ReceiptView, RootView, SlotView,
    Status, TransactionView,
};
use alloy_primitives::hex;
use atoll_types::{Confirmation, EnvironmentId, Lane, RejectCode};
use serde_json::{Value, json};

fn name(list: &[EnvironmentInfo], id: EnvironmentId) -> Value {
    let found = list.iter().find(|one| one.id == id);
    found.map_or_else(|| json!(id.0.to_string()), |one| json!(one.name))
}

pub(super) fn environment(one: &EnvironmentInfo) -> Value {
    json!({
        "name": one.name,
        "id": one.id.0,
        "kind": one.kind,
        "spec_hash": one.spec_hash,
        "program_id": one.program_id,
        "chain_id": one.chain_id,
        "commit_interval_slots": one.commit_interval_slots,
    })
}

pub(super) fn status(status: &Status, list: &[EnvironmentInfo]) -> Value {
    let environments = status.environments.iter().map(|one| {
        json!({
            "environment": name(list, one.environment),
            "commands": one.commands,
            "root_slot": one.root_slot,
            "state_root": one.state_root,
            "halted": one.halted,
            "conserved": one.conserved,
        })
    });
    json!({
        "network": status.network.0,
        "sequencer": status.sequencer,
        "term": status.term,
        "head_slot": status.head_slot,
        "finalised_slot": status.finalised_slot,
        "head_time_us": status.head_time_us,
        "environments": environments.collect::<Value>(),
    })
}

pub(super) fn slot(slot: &SlotView, list: &[EnvironmentInfo]) -> Value {
    let header = &slot.header;
    let environments = slot.environments.iter().map(|one| {
        json!({
            "environment": name(list, one.environment),
            "commands": one.commands,
            "batch": one.batch,
            "receipts": one.receipts,
            "outbox": one.outbox,
            "state_root": one.state_root,
        })
    });
    json!({
        "slot": header.slot,
        "hash": header.hash(),
        "term": header.term,
        "time_us": header.time_us,
        "parent": header.parent,
        "ticks": header.ticks,
        "running": header.running,
        "hub_block": header.hub_block,
        "hub_cursor": header.hub_cursor,
        "transactions": slot.transactions,
        "finalised": slot.finalised,
        "environments": environments.collect::<Value>(),
    })
}

pub(super) fn root(root: &RootView, list: &[EnvironmentInfo]) -> Value {
    json!({
        "environment": name(list, root.environment),
        "slot": root.slot,
        "state_root": root.state_root,
    })
}

/// What can be liquidated, as the action that does it names it.
pub(super) fn liquidatable(unit: &LiquidatableView, list: &[EnvironmentInfo]) -> Value {
    let market = unit.market.as_ref();
    json!({
        "environment": name(list, unit.environment),
        "user": unit.user,
        "asset": market.map(|(asset, _)| asset),
        "market": market.map(|(_, name)| name),
    })
}

/// A confirmation: the place, the running hash, and the signed tick that anyone can check.
fn confirmation(confirmation: &Confirmation) -> Value {
    let tick = &confirmation.tick;
    let signature = &tick.signature;
    let bytes = [&signature.r[..], &signature.s, &[signature.y_parity]].concat();
    json!({
        "term": tick.term,
        "slot": tick.slot,
        "tick": tick.tick,
        "index": confirmation.index,
        "running": confirmation.running,
        "time_us": tick.time_us,
        "before": tick.before,
        "after": tick.after,
        "signature": hex::encode_prefixed(bytes),
    })
}

fn receipt(receipt: &ReceiptView) -> Value {
    json!({
        "success": receipt.code.is_none(),
        "code": receipt.code.map(RejectCode::number),
        "label": receipt.code.map(RejectCode::label),
        "message": receipt.message,
        "bytes": receipt.bytes,
    })
}

pub(super) fn accepted(accepted: &Accepted) -> Value {
    json!({
        "hash": accepted.hash,
        "confirmation": accepted.confirmation.as_ref().map(confirmation),
        "receipt": accepted.receipt.as_ref().map(receipt),
    })
}

pub(super) fn transaction(transaction: &TransactionView, list: &[EnvironmentInfo]) -> Value {
    let lane = match transaction.lane {
        Lane::Cancel => "cancel",
        Lane::PostOnly => "post_only",
        Lane::Rest => "rest",
        Lane::Aside => "aside",
    };
    json!({
        "hash": transaction.hash,
        "environment": name(list, transaction.environment),
        "lane": lane,
        "bytes": transaction.bytes,
        "confirmation": confirmation(&transaction.confirmation),
        "finalised": transaction.finalised,
    })
}

pub(super) fn placed_receipt(placed: &PlacedReceipt, list: &[EnvironmentInfo]) -> Value {
    let mut value = receipt(&placed.receipt);
    value["transaction"] = json!(placed.transaction);
    value["environment"] = name(list, placed.environment);
    value["slot"] = json!(placed.slot);
    value["command"] = json!(placed.command);
    value
}
