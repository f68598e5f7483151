//! The methods.

use super::Context;
use super::args::{FilterArgument, block, filter, number};
use super::error::RpcError;
use super::parse::{Params, address, bytes, hash, kind, quantity_u64, storage_key};
use super::{debug, filters, proof, render, simulate, txpool};
use crate::port::{Accepted, BlockId, BlockTransactions, EvmPort, Wait};
use alloy_primitives::{Bytes, keccak256};
use atoll_types::{Reject, RejectCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

type Answer = Result<Value, RpcError>;

/// Most blocks of one `eth_feeHistory`.
const FEE_HISTORY_BLOCKS_MAX: u64 = 1024;
/// Most percentiles of one `eth_feeHistory`.
const PERCENTILES_MAX: usize = 100;
/// Most transactions that wait at once for what their senders have sent before.
pub(crate) const EARLY_MAX: usize = 256;
/// How long one waits.
const EARLY_WAIT_MAX: Duration = Duration::from_secs(1);
const EARLY_PAUSE: Duration = Duration::from_millis(5);

/// Every method there is, with the most arguments it takes.
const METHODS: &[(&str, usize)] = &[
    ("web3_clientVersion", 0),
    ("web3_sha3", 1),
    ("net_version", 0),
    ("net_listening", 0),
    ("net_peerCount", 0),
    ("eth_chainId", 0),
    ("eth_syncing", 0),
    ("eth_accounts", 0),
    ("eth_blockNumber", 0),
    ("eth_gasPrice", 0),
    ("eth_maxPriorityFeePerGas", 0),
    ("eth_feeHistory", 3),
    ("eth_getBalance", 2),
    ("eth_getTransactionCount", 2),
    ("eth_getCode", 2),
    ("eth_getStorageAt", 3),
    ("eth_call", 4),
    ("eth_estimateGas", 4),
    ("eth_createAccessList", 4),
    ("eth_simulateV1", 2),
    ("eth_sendRawTransaction", 1),
    ("eth_sendRawTransactionSync", 2),
    ("eth_getTransactionByHash", 1),
    ("eth_getTransactionReceipt", 1),
    ("eth_getTransactionByBlockNumberAndIndex", 2),
    ("eth_getTransactionByBlockHashAndIndex", 2),
    ("eth_getBlockByNumber", 2),
    ("eth_getBlockByHash", 2),
    ("eth_getBlockReceipts", 1),
    ("eth_getBlockTransactionCountByNumber", 1),
    ("eth_getBlockTransactionCountByHash", 1),
    ("eth_getUncleCountByBlockNumber", 1),
    ("eth_getUncleCountByBlockHash", 1),
    ("eth_getLogs", 1),
    ("eth_newFilter", 1),
    ("eth_newBlockFilter", 0),
    ("eth_newPendingTransactionFilter", 0),
    ("eth_getFilterChanges", 1),
    ("eth_getFilterLogs", 1),
    ("eth_uninstallFilter", 1),
    ("eth_getProof", 3),
    ("atoll_getProof", 3),
    ("atoll_getConflicts", 1),
    ("atoll_getFeeTokens", 0),
    ("debug_traceCall", 3),
    ("debug_traceTransaction", 2),
    ("debug_traceBlockByNumber", 2),
    ("debug_traceBlockByHash", 2),
    ("txpool_status", 0),
    ("txpool_content", 0),
    ("txpool_contentFrom", 1),
    ("txpool_inspect", 0),
];

/// Answers one call.
pub(super) async fn call(context: &Context, method: &str, params: Option<Value>) -> Answer {
    let known = METHODS.iter().find(|(name, _)| *name == method);
    let Some((_, arguments_max)) = known else { return Err(RpcError::method(method)) };
    let params = Params::new(params, *arguments_max)?;
    let port = context.environment.port.as_ref();
    match method {
        "web3_clientVersion" => Ok(json!(context.shared.config.client_version)),
        "web3_sha3" => Ok(json!(keccak256(params.required(0, bytes)?))),
        "net_version" => Ok(json!(port.chain_id().to_string())),
        "net_listening" => Ok(json!(true)),
        "net_peerCount" => Ok(render::quantity(0u64)),
        "eth_chainId" => Ok(render::quantity(port.chain_id())),
        "eth_syncing" => Ok(json!(false)),
        "eth_accounts" => Ok(json!([])),
        "eth_blockNumber" => Ok(render::quantity(port.block_number())),
        "eth_gasPrice" => Ok(render::quantity(port.gas_price())),
        "eth_maxPriorityFeePerGas" => Ok(render::quantity(port.max_priority_fee())),
        "eth_feeHistory" => fee_history(port, &params).await,
        "eth_getBalance" => {
            let (account, at) = (params.required(0, address)?, params.optional(1, block)?);
            Ok(render::quantity(port.balance(account, at).await?))
        }
        "eth_getTransactionCount" => {
            let (account, at) = (params.required(0, address)?, params.optional(1, block)?);
            Ok(render::quantity(port.nonce(account, at).await?))
        }
        "eth_getCode" => {
            let (account, at) = (params.required(0, address)?, params.optional(1, block)?);
            Ok(json!(port.code(account, at).await?))
        }
        "eth_getStorageAt" => {
            let (account, key) = (params.required(0, address)?, params.required(1, storage_key)?);
            Ok(json!(port.storage(account, key, params.optional(2, block)?).await?))
        }
        "eth_call" => simulate::call(port, &params).await,
        "eth_estimateGas" => simulate::estimate_gas(port, &params).await,
        "eth_createAccessList" => simulate::access_list(port, &params).await,
        "eth_simulateV1" => simulate::blocks(context, &params).await,
        "eth_getProof" => Err(proof::not_ethereum()),
        "atoll_getProof" => proof::account(context, &params).await,
        "atoll_getConflicts" => debug::conflicts(port, &params).await,
        "atoll_getFeeTokens" => Ok(render::fee_tokens(&port.fee_tokens())),
        "debug_traceCall" => debug::call(port, &params).await,
        "debug_traceTransaction" => debug::transaction(port, &params).await,
        "debug_traceBlockByNumber" => debug::block_by_number(port, &params).await,
        "debug_traceBlockByHash" => debug::block_by_hash(port, &params).await,
        "txpool_status" => Ok(txpool::status(port)),
        "txpool_content" => txpool::content(port),
        "txpool_inspect" => txpool::inspect(port),
        "txpool_contentFrom" => Ok(txpool::content_from(port, params.required(0, address)?)),
        "eth_sendRawTransaction" => {
            let raw = params.required(0, bytes)?;
            Ok(json!(submit(context, raw).await?))
        }
        "eth_sendRawTransactionSync" => send_sync(context, &params).await,
        "eth_getTransactionByHash" => {
            let found = port.transaction(params.required(0, hash)?).await?;
            Ok(found.map_or(Value::Null, |transaction| render::transaction(&transaction)))
        }
        "eth_getTransactionReceipt" => {
            let found = port.receipt(params.required(0, hash)?).await?;
            Ok(found.map_or(Value::Null, |receipt| render::receipt(&receipt)))
        }
        "eth_getTransactionByBlockNumberAndIndex" => {
            transaction_at(port, params.required(0, number)?, &params).await
        }
        "eth_getTransactionByBlockHashAndIndex" => {
            transaction_at(port, BlockId::Hash(params.required(0, hash)?), &params).await
        }
        "eth_getBlockByNumber" => {
            block_with(port, params.required(0, number)?, params.optional(1, boolean)?).await
        }
        "eth_getBlockByHash" => {
            let at = BlockId::Hash(params.required(0, hash)?);
            block_with(port, at, params.optional(1, boolean)?).await
        }
        "eth_getBlockReceipts" => {
            let found = port.block_receipts(params.required(0, block)?).await?;
            Ok(found.map_or(Value::Null, |list| list.iter().map(render::receipt).collect()))
        }
        "eth_getBlockTransactionCountByNumber" => {
            let found = port.block(params.required(0, number)?, false).await?;
            Ok(found.map_or(Value::Null, |b| render::quantity(b.transactions.len() as u64)))
        }
        "eth_getBlockTransactionCountByHash" => {
            let found = port.block(BlockId::Hash(params.required(0, hash)?), false).await?;
            Ok(found.map_or(Value::Null, |b| render::quantity(b.transactions.len() as u64)))
        }
        "eth_getUncleCountByBlockNumber" => {
            let found = port.block(params.required(0, number)?, false).await?;
            Ok(found.map_or(Value::Null, |_| render::quantity(0u64)))
        }
        "eth_getUncleCountByBlockHash" => {
            let found = port.block(BlockId::Hash(params.required(0, hash)?), false).await?;
            Ok(found.map_or(Value::Null, |_| render::quantity(0u64)))
        }
        "eth_getLogs" => logs(context, params.required(0, filter)?).await,
        "eth_newFilter" => filters::new_logs(context, params.required(0, filter)?),
        "eth_newBlockFilter" => filters::new_blocks(context),
        "eth_newPendingTransactionFilter" => filters::new_transactions(context),
        "eth_getFilterChanges" => {
            filters::changes(context, params.required(0, quantity_u64)?).await
        }
        "eth_getFilterLogs" => filters::logs(context, params.required(0, quantity_u64)?).await,
        "eth_uninstallFilter" => {
            Ok(json!(filters::remove(context, params.required(0, quantity_u64)?)))
        }
        _ => Err(RpcError::method(method)),
    }
}

/// The logs that a filter asks for.
pub(super) async fn logs(context: &Context, asked: FilterArgument) -> Answer {
    let (port, limits) = (context.environment.port.as_ref(), context.shared.limits());
    let filter = asked.resolve(port.block_number(), limits.log_blocks_max)?;
    let logs = port.logs(filter, limits.logs_max).await?;
    Ok(logs.iter().map(render::log).collect())
}

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("expected a boolean, got {}", kind(value)))
}

/// Sends a transaction and returns its Ethereum hash.
///
/// The sequencer executes as it orders, so this waits a millisecond for execution: a transaction
/// that was ordered without effect (its nonce came too early) is an error here, not a hash that
/// never gets a receipt. Before that it waits a little for what belongs before it, and sends it again:
/// tools send several at once, and they come in any order.
async fn submit(context: &Context, raw: Bytes) -> Result<alloy_primitives::B256, RpcError> {
    let hash = keccak256(&raw);
    let shared = &context.shared;
    let chain = &context.environment;
    let send = || chain.submit.submit(chain.id, raw.to_vec(), Wait::Execution);
    let mut sent = send().await;
    if came_early(&sent) && turn_comes(context, &raw).await {
        sent = send().await;
    }
    let refused = match sent {
        // What ran and failed is in its block like any other; its receipt says so.
        Ok(accepted) => accepted.receipt.and_then(|receipt| {
            let code = receipt.code.filter(|code| *code != RejectCode::Reverted)?;
            Some(Reject::new(code, receipt.message))
        }),
        // The same once more, and its block is not there yet.
        Err(reject) if reject.code == RejectCode::NonceTooLow => {
            let known = chain.port.pending().iter().any(|waiting| waiting.hash == hash);
            let code = if known { RejectCode::AlreadyKnown } else { reject.code };
            Some(Reject { code, ..reject })
        }
        Err(reject) => Some(reject),
    };
    match refused {
        None => Ok(hash),
        Some(reject) => {
            shared.metrics.reject(reject.code);
            Err(reject.into())
        }
    }
}

/// Whether it was ordered, and refused because of what is not there before it.
fn came_early(sent: &Result<Accepted, Reject>) -> bool {
    let code = sent.as_ref().ok().and_then(|accepted| accepted.receipt.as_ref()?.code);
    code == Some(RejectCode::NonceTooHigh)
}

/// Waits until what a sender has sent before is executed; gives up after [`EARLY_WAIT_MAX`], and at
/// once where many wait.
async fn turn_comes(context: &Context, raw: &[u8]) -> bool {
    let port = context.environment.port.as_ref();
    let Ok(_permit) = context.shared.early.try_acquire() else { return false };
    let Some((sender, nonce)) = port.sender(raw) else { return false };
    let turn = async {
        loop {
            match port.nonce(sender, BlockId::Latest).await {
                Ok(next) if next < nonce => tokio::time::sleep(EARLY_PAUSE).await,
                found => return found.is_ok(),
            }
        }
    };
    tokio::time::timeout(EARLY_WAIT_MAX, turn).await.unwrap_or(false)
}

/// EIP-7966: sends and waits for the receipt, which is there as soon as the slot is sealed.
async fn send_sync(context: &Context, params: &Params) -> Answer {
    let raw = params.required(0, bytes)?;
    let timeout_ms = params.optional(1, |value| match value.as_u64() {
        Some(number) => Ok(number),
        None => quantity_u64(value),
    })?;
    let hash = keccak256(&raw);
    let handler_ms = context.shared.limits().handler_timeout.as_millis();
    let most_ms = u64::try_from(handler_ms).unwrap_or(u64::MAX);
    let wait_ms = if timeout_ms == 0 { most_ms } else { timeout_ms.min(most_ms) };
    let wait = std::time::Duration::from_millis(wait_ms);
    let port = context.environment.port.as_ref();
    let mut heads = port.heads();
    let sent = tokio::time::timeout(wait, async {
        let sent = submit(context, raw).await?;
        loop {
            if let Some(receipt) = port.receipt(sent).await? {
                return Ok(render::receipt(&receipt));
            }
            // It is executed, and its block is sealed within a slot.
            match heads.recv().await {
                Ok(head) => super::subscribe::readable(port, head.block.number).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => {
                    return Err(RpcError::internal("the node is shutting down"));
                }
            }
        }
    });
    sent.await.unwrap_or_else(|_| {
        let sentence = format!(
            "the transaction was added and has no receipt after {wait_ms} ms; ask for it later"
        );
        Err(RpcError { data: Some(json!(hash)), ..RpcError::new(4, sentence) })
    })
}

async fn transaction_at(port: &dyn EvmPort, at: BlockId, params: &Params) -> Answer {
    let index = params.required(1, quantity_u64)?;
    let Some(found) = port.block(at, true).await? else { return Ok(Value::Null) };
    let BlockTransactions::Full(list) = &found.transactions else {
        return Err(RpcError::internal("the block came without its transactions"));
    };
    let transaction = usize::try_from(index).ok().and_then(|index| list.get(index));
    Ok(transaction.map_or(Value::Null, render::transaction))
}

async fn block_with(port: &dyn EvmPort, at: BlockId, full: bool) -> Answer {
    Ok(port.block(at, full).await?.map_or(Value::Null, |block| render::block(&block)))
}

async fn fee_history(port: &dyn EvmPort, params: &Params) -> Answer {
    let count = params.required(0, |value| match value.as_u64() {
        Some(number) => Ok(number),
        None => quantity_u64(value),
    })?;
    let newest = params.required(1, number)?;
    let percentiles = params.optional(2, |value| {
        let list = value.as_array().ok_or("expected an array of percentiles")?;
        if list.len() > PERCENTILES_MAX {
            return Err(format!("over the limit of {PERCENTILES_MAX} percentiles"));
        }
        let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        let numbers = numbers.ok_or("percentiles must be numbers")?;
        let ascending = numbers.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ascending || numbers.iter().any(|p| !(0.0..=100.0).contains(p)) {
            return Err("percentiles must ascend from 0 to 100".to_owned());
        }
        Ok(numbers)
    })?;
    if count == 0 {
        return Ok(json!({ "oldestBlock": "0x0", "gasUsedRatio": [] }));
    }
    let count = count.min(FEE_HISTORY_BLOCKS_MAX);
    Ok(render::fee_history(&port.fee_history(count, newest, percentiles).await?))
}

#[cfg(test)]
mod tests {
    use super::METHODS;

    #[test]
    fn every_method_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/API.md");
        let page = std::fs::read_to_string(path).expect("the page");
        for (name, _) in METHODS {
            assert!(page.contains(&format!("`{name}`")), "docs/API.md does not name {name}");
        }
    }
}
