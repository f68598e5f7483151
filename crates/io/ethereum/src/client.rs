//! A blocking JSON-RPC client: one request at a time per call, any number of threads.

use crate::error::ClientError;
use crate::json::{self, Read};
use crate::transaction::Signed;
use crate::view::{Block, BlockId, CallRequest, Log, LogFilter, Receipt, TransactionView};
use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time to reach the node, milliseconds.
    pub connect_ms: u64,
    /// Longest time for a request from beginning to end, milliseconds.
    pub request_ms: u64,
    /// Longest answer that is read, bytes.
    pub response_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect_ms: 5_000, request_ms: 15_000, response_bytes_max: 32 << 20 }
    }
}

/// A client of one node. It retries nothing by itself: what an error means is for the caller.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    limits: Limits,
    id: AtomicU64,
}

impl Client {
    /// A client of the node at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is not `http://`, or `https://` in a build with feature `tls`.
    pub fn new(url: &str, limits: Limits) -> Result<Self, ClientError> {
        let refuse = |what| Err(ClientError::Url { url: url.into(), what });
        if url.starts_with("https://") {
            if !cfg!(feature = "tls") {
                return refuse("this build has no TLS: build it with feature `tls`");
            }
        } else if !url.starts_with("http://") {
            return refuse("it must begin with http:// or https://");
        }
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                // What a library does is not for the environment to decide.
                .proxy(None)
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(Duration::from_millis(limits.connect_ms)))
                .timeout_global(Some(Duration::from_millis(limits.request_ms)))
                .build(),
        );
        Ok(Self { agent, url: url.into(), limits, id: AtomicU64::new(1) })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls any method.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn request(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let transport = |error: ureq::Error| match error {
            ureq::Error::BodyExceedsLimit(limit) => {
                ClientError::TooLong { method: method.into(), limit }
            }
            error => ClientError::Transport { method: method.into(), what: error.to_string() },
        };
        let mut response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(body.to_string().as_bytes())
            .map_err(transport)?;
        let status = response.status().as_u16();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(self.limits.response_bytes_max)
            .read_to_vec()
            .map_err(transport)?;
        match serde_json::from_slice::<Value>(&bytes) {
            // Some nodes send JSON-RPC errors with an HTTP error status.
            Ok(answer) if answer.is_object() => unwrap(method, id, answer),
            _ if !(200..300).contains(&status) => Err(ClientError::Status {
                method: method.into(),
                status,
                body: String::from_utf8_lossy(&bytes).chars().take(200).collect(),
            }),
            _ => Err(decode(method, "it is not a JSON object".into())),
        }
    }

    fn ask<T>(
        &self,
        method: &str,
        params: Value,
        read: impl FnOnce(&Value) -> Read<T>,
    ) -> Result<T, ClientError> {
        let result = self.request(method, params)?;
        read(&result).map_err(|what| decode(method, what))
    }

    /// As [`Client::ask`], where null means that there is nothing.
    fn find<T>(
        &self,
        method: &str,
        params: Value,
        read: impl FnOnce(&Value) -> Read<T>,
    ) -> Result<Option<T>, ClientError> {
        self.ask(method, params, |value| match value.is_null() {
            true => Ok(None),
            false => read(value).map(Some),
        })
    }

    /// The chain's id.
    ///
    /// # Errors
    /// See [`ClientError`]; so for all methods below.
    pub fn chain_id(&self) -> Result<u64, ClientError> {
        self.ask("eth_chainId", json!([]), |value| json::u64(value, "chain id"))
    }

    /// Number of the newest block.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn block_number(&self) -> Result<u64, ClientError> {
        self.ask("eth_blockNumber", json!([]), |value| json::u64(value, "block number"))
    }

    /// A block; `None` if the node has none by that name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn block(&self, id: BlockId) -> Result<Option<Block>, ClientError> {
        match id {
            BlockId::Hash(hash) => {
                self.find("eth_getBlockByHash", json!([hash.to_string(), false]), Block::read)
            }
            _ => self.find("eth_getBlockByNumber", json!([id.to_json(), false]), Block::read),
        }
    }

    /// An account's next nonce: at a block, or with [`BlockId::Pending`] what waits included.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn nonce(&self, account: Address, at: BlockId) -> Result<u64, ClientError> {
        let params = json!([account.to_string(), at.to_json()]);
        self.ask("eth_getTransactionCount", params, |value| json::u64(value, "nonce"))
    }

    /// An account's balance, wei.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn balance(&self, account: Address, at: BlockId) -> Result<U256, ClientError> {
        let params = json!([account.to_string(), at.to_json()]);
        self.ask("eth_getBalance", params, |value| json::u256(value, "balance"))
    }

    /// A contract's code; empty if there is none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn code(&self, account: Address, at: BlockId) -> Result<Vec<u8>, ClientError> {
        let params = json!([account.to_string(), at.to_json()]);
        self.ask("eth_getCode", params, |value| json::bytes(value, "code"))
    }

    /// A word of a contract's storage.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn storage(&self, account: Address, key: U256, at: BlockId) -> Result<B256, ClientError> {
        let params = json!([account.to_string(), json::quantity(key), at.to_json()]);
        self.ask("eth_getStorageAt", params, |value| json::u256(value, "word").map(B256::from))
    }

    /// The priority fee that the node suggests, wei; from recent blocks where it has no opinion.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn suggested_tip_wei(&self) -> Result<u128, ClientError> {
        let suggested =
            self.ask("eth_maxPriorityFeePerGas", json!([]), |value| json::u128(value, "tip"));
        match suggested {
            Err(ClientError::Rpc { code: -32_601, .. }) => {
                let params = json!(["0xa", "latest", [50]]);
                self.ask("eth_feeHistory", params, |value| {
                    let rewards = json::member(value, "reward")?.as_array();
                    let tips = (rewards.into_iter().flatten())
                        .filter_map(|block| block.get(0))
                        .map(|tip| json::u128(tip, "reward"));
                    let mut tips = tips.collect::<Read<Vec<_>>>()?;
                    tips.sort_unstable();
                    Ok(tips.get(tips.len() / 2).copied().unwrap_or(0))
                })
            }
            other => other,
        }
    }

    /// Gas that a call would use.
    ///
    /// # Errors
    /// See [`ClientError`]; a call that would revert is [`ClientError::Rpc`] with its data.
    pub fn estimate_gas(&self, call: &CallRequest) -> Result<u64, ClientError> {
        self.ask("eth_estimateGas", json!([call.to_json()]), |value| json::u64(value, "gas"))
    }

    /// Simulates a call and returns what it returns.
    ///
    /// # Errors
    /// See [`ClientError`]; a revert is [`ClientError::Rpc`] with its data.
    pub fn call(&self, call: &CallRequest, at: BlockId) -> Result<Vec<u8>, ClientError> {
        let params = json!([call.to_json(), at.to_json()]);
        self.ask("eth_call", params, |value| json::bytes(value, "returned data"))
    }

    /// Calls a function of a contract that only reads, and decodes what it returns.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn view<C: alloy_sol_types::SolCall>(
        &self,
        contract: Address,
        call: &C,
        at: BlockId,
    ) -> Result<C::Return, ClientError> {
        let returned = self.call(&CallRequest::read(contract, call.abi_encode()), at)?;
        C::abi_decode_returns(&returned).map_err(|error| {
            let what = match returned.is_empty() {
                true => format!("no contract answers at {contract}"),
                false => error.to_string(),
            };
            decode("eth_call", format!("{}: {what}", C::SIGNATURE))
        })
    }

    /// Sends a signed transaction. After an error that [`ClientError::is_temporary`] names, it may
    /// have got in.
    ///
    /// # Errors
    /// See [`ClientError`] and [`ClientError::send_refusal`].
    pub fn send(&self, transaction: &Signed) -> Result<(), ClientError> {
        self.send_raw(&transaction.raw).map(|_| ())
    }

    /// Sends a transaction's bytes and returns its hash.
    ///
    /// # Errors
    /// See [`Client::send`].
    pub fn send_raw(&self, raw: &[u8]) -> Result<B256, ClientError> {
        let params = json!([json::data(raw)]);
        self.ask("eth_sendRawTransaction", params, |value| json::b256(value, "hash"))
    }

    /// The receipt of a transaction that is in a block.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ClientError> {
        self.find("eth_getTransactionReceipt", json!([transaction.to_string()]), Receipt::read)
    }

    /// A transaction, in a block or waiting for one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn transaction(&self, hash: B256) -> Result<Option<TransactionView>, ClientError> {
        let params = json!([hash.to_string()]);
        self.find("eth_getTransactionByHash", params, TransactionView::read)
    }

    /// Logs, in the order of the chain.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ClientError> {
        let mut logs = self.ask("eth_getLogs", json!([filter.to_json()]), |value| {
            let logs = value.as_array().ok_or("logs are not a list")?;
            logs.iter().map(Log::read).collect::<Read<Vec<_>>>()
        })?;
        let asked = |log: &Log| {
            log.address == filter.address && (filter.from..=filter.to).contains(&log.block)
        };
        if !logs.iter().all(asked) {
            return Err(decode("eth_getLogs", "it has logs that were not asked for".into()));
        }
        logs.sort_by_key(|log| (log.block, log.index));
        Ok(logs)
    }
}

fn decode(method: &str, what: String) -> ClientError {
    ClientError::Decode { method: method.into(), what }
}

fn unwrap(method: &str, id: u64, mut answer: Value) -> Result<Value, ClientError> {
    if let Some(error) = json::optional(&answer, "error") {
        return Err(ClientError::Rpc {
            method: method.into(),
            code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
            message: match error.get("message").and_then(Value::as_str) {
                Some(message) => message.chars().take(500).collect(),
                None => json::short(error),
            },
            data: error.get("data").and_then(revert_data),
        });
    }
    if answer.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(decode(method, "it answers another request".into()));
    }
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(decode(method, "it has neither result nor error".into())),
    }
}

/// Nodes disagree on where revert data stands.
fn revert_data(data: &Value) -> Option<Vec<u8>> {
    match data {
        Value::String(text) => {
            let digits = text.strip_prefix("Reverted ").unwrap_or(text);
            json::bytes(&Value::String(digits.into()), "data").ok()
        }
        Value::Object(object) => object.get("data").and_then(revert_data),
        _ => None,
    }
}
