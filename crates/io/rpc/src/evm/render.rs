//! Blocks, transactions, receipts and logs as Ethereum JSON.

use crate::port::{
    AccessListItem, BlockTransactions, EvmBlock, EvmLog, EvmReceipt, EvmTransaction, FeeHistory,
};
use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, B256, U256, b256};
use serde_json::{Value, json};

/// Keccak-256 of the RLP of an empty list: no block has uncles.
const NO_UNCLES: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// A quantity: hex without leading zeros.
pub(super) fn quantity<T>(number: T) -> Value
where
    U256: UintTryFrom<T>,
{
    Value::String(format!("{:#x}", U256::from(number)))
}

/// Tokens that fees may be paid in.
pub(super) fn fee_tokens(tokens: &[(Address, u128)]) -> Value {
    let token =
        |(token, price): &(Address, u128)| json!({ "token": token, "price": quantity(*price) });
    tokens.iter().map(token).collect()
}

/// A block.
pub(super) fn block(block: &EvmBlock) -> Value {
    let mut value = header(block);
    value["size"] = quantity(block.size);
    value["uncles"] = json!([]);
    value["transactions"] = match &block.transactions {
        BlockTransactions::Hashes(hashes) => json!(hashes),
        BlockTransactions::Full(list) => list.iter().map(transaction).collect(),
    };
    value
}

/// A block's header, as `newHeads` sends it.
pub(super) fn header(block: &EvmBlock) -> Value {
    json!({
        "number": quantity(block.number),
        "hash": block.hash,
        "parentHash": block.parent_hash,
        "nonce": "0x0000000000000000",
        "sha3Uncles": NO_UNCLES,
        "logsBloom": block.logs_bloom,
        "transactionsRoot": block.transactions_root,
        "stateRoot": block.state_root,
        "receiptsRoot": block.receipts_root,
        "miner": block.beneficiary,
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": block.extra_data,
        "gasLimit": quantity(block.gas_limit),
        "gasUsed": quantity(block.gas_used),
        "timestamp": quantity(block.timestamp),
        "baseFeePerGas": quantity(block.base_fee_per_gas),
        "mixHash": block.prev_randao,
    })
}

/// An access list.
pub(super) fn access_list(list: &[AccessListItem]) -> Value {
    list.iter()
        .map(|item| json!({ "address": item.address, "storageKeys": item.storage_keys }))
        .collect()
}

/// A transaction.
pub(super) fn transaction(transaction: &EvmTransaction) -> Value {
    let (r, s, odd) = transaction.signature;
    let place = transaction.place;
    let mut value = json!({
        "hash": transaction.hash,
        "blockHash": place.map(|place| place.hash),
        "blockNumber": place.map(|place| quantity(place.number)),
        "blockTimestamp": place.map(|place| quantity(place.timestamp)),
        "transactionIndex": place.map(|place| quantity(place.index)),
        "type": quantity(transaction.kind),
        "nonce": quantity(transaction.nonce),
        "from": transaction.from,
        "to": transaction.to,
        "value": quantity(transaction.value),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(transaction.gas_price),
        "input": transaction.input,
        "r": quantity(r),
        "s": quantity(s),
    });
    if let Some(chain_id) = transaction.chain_id {
        value["chainId"] = quantity(chain_id);
    }
    if let Some((maximum, tip)) = transaction.dynamic_fees {
        value["maxFeePerGas"] = quantity(maximum);
        value["maxPriorityFeePerGas"] = quantity(tip);
    }
    if let Some(list) = &transaction.access_list {
        value["accessList"] = access_list(list);
    }
    if let Some(list) = &transaction.authorization_list {
        let entry = |entry: &crate::port::EvmAuthorization| {
            let (r, s, odd) = entry.signature;
            json!({
                "chainId": quantity(entry.chain_id),
                "address": entry.address,
                "nonce": quantity(entry.nonce),
                "yParity": quantity(u8::from(odd)),
                "r": quantity(r),
                "s": quantity(s),
            })
        };
        value["authorizationList"] = list.iter().map(entry).collect();
    }
    let parity = u64::from(odd);
    if transaction.kind == 0 {
        // EIP-155: the chain id is in v.
        let base = transaction.chain_id.map_or(27, |id| id.saturating_mul(2).saturating_add(35));
        value["v"] = quantity(base.saturating_add(parity));
    } else {
        value["v"] = quantity(parity);
        value["yParity"] = quantity(parity);
    }
    value
}

/// A receipt.
pub(super) fn receipt(receipt: &EvmReceipt) -> Value {
    json!({
        "transactionHash": receipt.transaction_hash,
        "transactionIndex": quantity(receipt.place.index),
        "blockHash": receipt.place.hash,
        "blockNumber": quantity(receipt.place.number),
        "type": quantity(receipt.kind),
        "from": receipt.from,
        "to": receipt.to,
        "contractAddress": receipt.contract_address,
        "status": quantity(u8::from(receipt.success)),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas_used),
        "effectiveGasPrice": quantity(receipt.effective_gas_price),
        "logsBloom": receipt.logs_bloom,
        "logs": receipt.logs.iter().map(log).collect::<Value>(),
    })
}

/// A log.
pub(super) fn log(log: &EvmLog) -> Value {
    json!({
        "address": log.address,
        "topics": log.topics,
        "data": log.data,
        "blockNumber": quantity(log.place.number),
        "blockHash": log.place.hash,
        "blockTimestamp": quantity(log.place.timestamp),
        "transactionHash": log.transaction_hash,
        "transactionIndex": quantity(log.place.index),
        "logIndex": quantity(log.log_index),
        "removed": false,
    })
}

/// A fee history.
pub(super) fn fee_history(history: &FeeHistory) -> Value {
    let ratio = |(used, limit): &(u64, u64)| {
        if *limit == 0 { 0.0 } else { *used as f64 / *limit as f64 }
    };
    let prices = |prices: &Vec<u128>| prices.iter().copied().map(quantity).collect::<Value>();
    let mut value = json!({
        "oldestBlock": quantity(history.oldest_block),
        "baseFeePerGas": prices(&history.base_fee_per_gas),
        "gasUsedRatio": history.gas_used.iter().map(ratio).collect::<Vec<f64>>(),
    });
    if let Some(reward) = &history.reward {
        value["reward"] = reward.iter().map(prices).collect();
    }
    value
}
