//! `eth_subscribe` over a WebSocket: `newHeads`, `logs` and `newPendingTransactions`.
//!
//! A transaction is announced when it is ordered, which is when it is executed: some milliseconds
//! before the block that holds it is sealed.

use super::args::filter;
use super::error::RpcError;
use super::parse::{Params, kind};
use super::{Context, batch, filters, render};
use crate::port::{BlockId, EvmHead, EvmPort, EvmTransaction, LogFilter};
use crate::ws::{self, Close, Outbox};
use atoll_types::RejectCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::task::JoinHandle;

/// How long an event waits for history to have its block.
const READABLE_WAIT_MAX: Duration = Duration::from_secs(5);
const READABLE_PAUSE: Duration = Duration::from_millis(2);

/// One client's session.
pub(super) struct Session {
    context: Context,
    outbox: Outbox,
    subscriptions: Subscriptions,
}

impl Session {
    pub(super) fn new(context: Context, outbox: Outbox) -> Self {
        let subscriptions = Subscriptions {
            context: context.clone(),
            next: 1,
            waiting: Vec::new(),
            running: BTreeMap::new(),
        };
        Self { context, outbox, subscriptions }
    }
}

impl ws::Session for Session {
    async fn receive(&mut self, text: &str) -> Result<(), Close> {
        let Ok(_permit) = self.context.shared.in_flight.acquire().await else { return Ok(()) };
        let answer =
            batch::answer(&self.context, text.as_bytes(), Some(&mut self.subscriptions)).await;
        if let Some(answer) = answer {
            self.outbox.send(answer);
        }
        self.subscriptions.start(&self.outbox);
        Ok(())
    }
}

/// What is subscribed to, and where it comes from.
enum Topic {
    Heads(broadcast::Receiver<Arc<EvmHead>>),
    /// Holds its part of the bytes that log filters may have.
    Logs(broadcast::Receiver<Arc<EvmHead>>, LogFilter, OwnedSemaphorePermit),
    /// In full, or hashes alone.
    Transactions(broadcast::Receiver<Arc<Vec<EvmTransaction>>>, bool),
}

/// One client's subscriptions.
pub(super) struct Subscriptions {
    context: Context,
    next: u64,
    /// Subscribed, but not started: the answer with the id goes out before the first event.
    waiting: Vec<(u64, Topic)>,
    running: BTreeMap<u64, Running>,
}

/// A task that ends with its handle.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscriptions {
    pub(super) fn subscribe(&mut self, params: Option<Value>) -> Result<Value, RpcError> {
        let params = Params::new(params, 2)?;
        let max = self.context.shared.limits().ws_subscriptions_max;
        if self.running.len() + self.waiting.len() >= max {
            let sentence = format!("too many subscriptions: at most {max} on one connection");
            let data = json!({
                "code": RejectCode::RateLimited.number(),
                "label": RejectCode::RateLimited.label(),
            });
            return Err(RpcError { data: Some(data), ..RpcError::limit(sentence) });
        }
        let name = params.required(0, |value| match value.as_str() {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!("expected a string, got {}", kind(value))),
        })?;
        let port = &self.context.environment.port;
        let topic = match name.as_str() {
            "newHeads" => Topic::Heads(port.heads()),
            "logs" => self.logs(&params)?,
            "newPendingTransactions" => {
                let full = params.optional(1, super::methods::boolean)?;
                Topic::Transactions(port.arrivals(), full)
            }
            other => {
                let other: String = other.chars().take(64).collect();
                let sentence = format!(
                    "no \"{other}\" subscription; there are: newHeads, logs, \
                     newPendingTransactions"
                );
                return Err(RpcError::params(sentence));
            }
        };
        let id = self.next;
        self.next += 1;
        self.waiting.push((id, topic));
        Ok(render::quantity(id))
    }

    fn logs(&self, params: &Params) -> Result<Topic, RpcError> {
        let asked = match params.get(1) {
            None => filter(&json!({})).map_err(RpcError::params)?,
            Some(_) => params.required(1, filter)?,
        };
        let live =
            asked.hash.is_none() && asked.from == BlockId::Latest && asked.to == BlockId::Latest;
        if !live {
            let sentence = "a log subscription is for new logs; \
                            ask eth_getLogs for those of a block range";
            return Err(RpcError::params(sentence));
        }
        let bytes = filters::reserve(&self.context, asked.weight())?;
        let (addresses, topics) = (asked.addresses, asked.topics);
        let filter = LogFilter { addresses, topics, ..LogFilter::default() };
        Ok(Topic::Logs(self.context.environment.port.heads(), filter, bytes))
    }

    pub(super) fn unsubscribe(&mut self, params: Option<Value>) -> Result<Value, RpcError> {
        let id = Params::new(params, 1)?.required(0, super::parse::quantity_u64)?;
        let before = self.running.len() + self.waiting.len();
        self.running.remove(&id);
        self.waiting.retain(|(waiting, _)| *waiting != id);
        if self.running.len() + self.waiting.len() == before {
            return Err(RpcError::server("subscription not found"));
        }
        Ok(json!(true))
    }

    fn start(&mut self, outbox: &Outbox) {
        for (id, topic) in self.waiting.drain(..) {
            let port = self.context.environment.port.clone();
            let task = tokio::spawn(forward(port, id, topic, outbox.clone()));
            self.running.insert(id, Running(task));
        }
    }
}

/// Sends events until the client or the node goes away.
async fn forward(port: Arc<dyn EvmPort>, id: u64, topic: Topic, outbox: Outbox) {
    let id = render::quantity(id);
    let send = |result: Value| {
        let params = json!({ "subscription": id, "result": result });
        let event = json!({
            "jsonrpc": "2.0", "method": "eth_subscription", "params": params,
        });
        outbox.send(event.to_string())
    };
    let ended = match topic {
        Topic::Heads(heads) => {
            blocks(&*port, heads, |head| send(render::header(&head.block))).await
        }
        Topic::Logs(heads, filter, _bytes) => {
            let event = |head: &EvmHead| {
                let mut matching = head.logs.iter().filter(|log| filter.matches(log));
                matching.all(|log| send(render::log(log)))
            };
            blocks(&*port, heads, event).await
        }
        Topic::Transactions(arrivals, full) => {
            let event = |transaction: &EvmTransaction| match full {
                true => render::transaction(transaction),
                false => json!(transaction.hash),
            };
            transactions(arrivals, |list| list.iter().all(|t| send(event(t)))).await
        }
    };
    // Events were lost: the client must know, and a new connection starts clean.
    if let Ended::Lagged = ended {
        outbox.slow();
    }
}

enum Ended {
    Lagged,
    Gone,
}

/// Hands over sealed blocks as long as `send` says that somebody takes them.
async fn blocks(
    port: &dyn EvmPort,
    mut heads: broadcast::Receiver<Arc<EvmHead>>,
    send: impl Fn(&EvmHead) -> bool,
) -> Ended {
    loop {
        match heads.recv().await {
            Ok(head) => {
                readable(port, head.block.number).await;
                if !send(&head) {
                    return Ended::Gone;
                }
            }
            Err(RecvError::Closed) => return Ended::Gone,
            Err(RecvError::Lagged(_)) => return Ended::Lagged,
        }
    }
}

/// Waits until history has a block: who hears of one asks for it at once, and for its logs.
pub(super) async fn readable(port: &dyn EvmPort, number: u64) {
    let end = tokio::time::Instant::now() + READABLE_WAIT_MAX;
    while port.block_number() < number && tokio::time::Instant::now() < end {
        tokio::time::sleep(READABLE_PAUSE).await;
    }
}

async fn transactions(
    mut arrivals: broadcast::Receiver<Arc<Vec<EvmTransaction>>>,
    send: impl Fn(&[EvmTransaction]) -> bool,
) -> Ended {
    loop {
        match arrivals.recv().await {
            Ok(list) if send(&list) => {}
            Ok(_) | Err(RecvError::Closed) => return Ended::Gone,
            Err(RecvError::Lagged(_)) => return Ended::Lagged,
        }
    }
}
