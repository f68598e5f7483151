//! Filters that a client polls: `eth_newFilter` and its kin.
//!
//! A filter is a cursor into what the node keeps, not a buffer: nothing is lost between two polls
//! however far apart they are, and an unpolled filter costs nothing but its own bytes. One answer is
//! bounded; what it has no room for comes with the next. Blocks are never taken back, so no log is
//! ever reported as removed.
//!
//! Filters are bounded in number, in bytes and in age, altogether and for each address. An id is not
//! to be guessed by others: polling somebody's filter would take from them.

use super::args::FilterArgument;
use super::error::RpcError;
use super::{Context, render};
use crate::port::{EvmLog, EvmPort, OrderedPlace, QueryError};
use atoll_types::RejectCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

type Answer = Result<Value, RpcError>;

/// Memory of a filter besides what it looks for.
const FILTER_BYTES: usize = 256;

/// The filters of all clients.
#[derive(Default)]
pub(crate) struct Filters {
    table: Mutex<HashMap<u64, Arc<Filter>>>,
    /// Where ids come from: a keyed hash of a counter, the key random for each process.
    ids: RandomState,
    made: std::sync::atomic::AtomicU64,
}

struct Filter {
    /// The chain it was made on: its id means nothing on another.
    chain: Arc<dyn EvmPort>,
    address: IpAddr,
    polled: Mutex<Instant>,
    /// Held through a poll, so that two of them at once share what is new between them.
    cursor: tokio::sync::Mutex<Cursor>,
    logs: Option<FilterArgument>,
    _bytes: OwnedSemaphorePermit,
}

/// From where the next poll reads.
#[derive(Clone, Copy)]
enum Cursor {
    Block(u64),
    Log(u64),
    Transaction(OrderedPlace),
}

/// Reserves bytes for what a filter or a subscription looks for.
pub(super) fn reserve(context: &Context, bytes: usize) -> Result<OwnedSemaphorePermit, RpcError> {
    let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
    context.shared.filter_bytes.clone().try_acquire_many_owned(wanted).map_err(|_| {
        full(format!(
            "too many filters: they look for more than {} bytes of addresses and topics; \
             look for less or try again later",
            context.shared.limits().filter_bytes_max
        ))
    })
}

fn full(sentence: String) -> RpcError {
    let code = RejectCode::RateLimited;
    let data = json!({ "code": code.number(), "label": code.label() });
    RpcError { data: Some(data), ..RpcError::limit(sentence) }
}

fn not_found() -> RpcError {
    RpcError::server("filter not found")
}

pub(super) fn new_logs(context: &Context, asked: FilterArgument) -> Answer {
    let head = context.environment.port.block_number();
    // What cannot be asked for once cannot be asked for again and again.
    asked.clone().resolve(head, u64::MAX)?;
    let bytes = asked.weight();
    install(context, Cursor::Log(head.saturating_add(1)), Some(asked), bytes)
}

pub(super) fn new_blocks(context: &Context) -> Answer {
    let head = context.environment.port.block_number();
    install(context, Cursor::Block(head.saturating_add(1)), None, 0)
}

pub(super) fn new_transactions(context: &Context) -> Answer {
    let end = context.environment.port.ordered_end();
    install(context, Cursor::Transaction(end), None, 0)
}

fn install(
    context: &Context,
    cursor: Cursor,
    logs: Option<FilterArgument>,
    bytes: usize,
) -> Answer {
    let (filters, limits) = (&context.shared.filters, context.shared.limits());
    let mut table = filters.table.lock();
    let timeout = limits.filter_idle_timeout;
    table.retain(|_, filter| filter.polled.lock().elapsed() < timeout);
    let address = context.client.ip;
    let own = table.values().filter(|filter| filter.address == address).count();
    let within = |count: usize, max: usize, whose: &str| match count < max {
        true => Ok(()),
        false => Err(full(format!(
            "too many filters: at most {max} {whose}; end one with eth_uninstallFilter, or wait: \
             one that is not polled for {} s ends by itself",
            timeout.as_secs()
        ))),
    };
    within(own, limits.filters_per_address_max, "of one address")?;
    within(table.len(), limits.filters_max, "at this node")?;
    let filter = Filter {
        chain: context.environment.port.clone(),
        address,
        polled: Mutex::new(Instant::now()),
        cursor: tokio::sync::Mutex::new(cursor),
        logs,
        _bytes: reserve(context, FILTER_BYTES + bytes)?,
    };
    let id = loop {
        let made = filters.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = filters.ids.hash_one(made);
        if id != 0 && !table.contains_key(&id) {
            break id;
        }
    };
    table.insert(id, Arc::new(filter));
    Ok(render::quantity(id))
}

fn find(context: &Context, id: u64) -> Result<Arc<Filter>, RpcError> {
    let timeout = context.shared.limits().filter_idle_timeout;
    let found = context.shared.filters.table.lock().get(&id).cloned().ok_or_else(not_found)?;
    let own = Arc::ptr_eq(&found.chain, &context.environment.port);
    let mut polled = found.polled.lock();
    if !own || polled.elapsed() >= timeout {
        return Err(not_found());
    }
    *polled = Instant::now();
    drop(polled);
    Ok(found)
}

/// Whether there was one.
pub(super) fn remove(context: &Context, id: u64) -> bool {
    let found = find(context, id).is_ok();
    found && context.shared.filters.table.lock().remove(&id).is_some()
}

/// What is new since the last poll.
pub(super) async fn changes(context: &Context, id: u64) -> Answer {
    let filter = find(context, id)?;
    let (port, limits) = (context.environment.port.as_ref(), context.shared.limits());
    let mut cursor = filter.cursor.lock().await;
    let answer;
    // The cursor moves when the answer is there: who goes away before has missed nothing.
    (*cursor, answer) = match *cursor {
        Cursor::Block(next) => {
            let most = limits.filter_changes_max as u64;
            let Some(last) = last_of(next, port.block_number(), most) else {
                return Ok(json!([]));
            };
            let hashes = port.block_hashes(next, last).await?;
            (Cursor::Block(last + 1), json!(hashes))
        }
        Cursor::Transaction(place) => {
            let (hashes, end) = port.ordered_since(place, limits.filter_changes_max).await?;
            (Cursor::Transaction(end), json!(hashes))
        }
        Cursor::Log(next) => {
            let Some(asked) = &filter.logs else { return Err(not_found()) };
            let Some(last) = last_of(next, port.block_number(), limits.log_blocks_max) else {
                return Ok(json!([]));
            };
            let (logs, last) = new_logs_of(port, asked, next, last, limits.logs_max).await?;
            (Cursor::Log(last + 1), logs.iter().map(render::log).collect())
        }
    };
    Ok(answer)
}

/// The last block of one answer; none if there is nothing new.
fn last_of(next: u64, head: u64, most: u64) -> Option<u64> {
    (next <= head).then(|| head.min(next.saturating_add(most.saturating_sub(1))))
}

/// The logs of new blocks, of fewer of them if they are too many for one answer.
async fn new_logs_of(
    port: &dyn EvmPort,
    asked: &FilterArgument,
    next: u64,
    mut last: u64,
    logs_max: usize,
) -> Result<(Vec<EvmLog>, u64), RpcError> {
    loop {
        let Some(filter) = asked.within(next, last) else { return Ok((Vec::new(), last)) };
        match port.logs(filter, logs_max).await {
            Err(QueryError::TooLarge(_)) if last > next => last = next + (last - next) / 2,
            found => return Ok((found?, last)),
        }
    }
}

/// All logs that a log filter asks for, as `eth_getLogs` gives them.
pub(super) async fn logs(context: &Context, id: u64) -> Answer {
    let filter = find(context, id)?;
    let Some(asked) = filter.logs.clone() else { return Err(not_found()) };
    super::methods::logs(context, asked).await
}
