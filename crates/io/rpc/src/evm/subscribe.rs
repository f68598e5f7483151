//! `eth_subscribe` over a WebSocket: `newHeads` and `logs`.

use super::args::filter;
use super::error::RpcError;
use super::parse::{Params, kind};
use super::{Context, batch, render};
use crate::port::{BlockId, EvmHead, LogFilter};
use crate::ws::{self, Close, Outbox};
use atoll_types::RejectCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

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

/// What is subscribed to.
#[derive(Clone)]
enum Topic {
    Heads,
    Logs(LogFilter),
}

/// One client's subscriptions.
pub(super) struct Subscriptions {
    context: Context,
    next: u64,
    /// Subscribed, but not started: the answer with the id goes out before the first event.
    waiting: Vec<(u64, Topic, broadcast::Receiver<Arc<EvmHead>>)>,
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
        let topic = match name.as_str() {
            "newHeads" => Topic::Heads,
            "logs" => Topic::Logs(match params.get(1) {
                None => LogFilter::default(),
                Some(_) => {
                    let asked = params.required(1, filter)?;
                    let live = asked.hash.is_none()
                        && asked.from == BlockId::Latest
                        && asked.to == BlockId::Latest;
                    if !live {
                        let sentence = "a log subscription is for new logs; \
                                        ask eth_getLogs for those of a block range";
                        return Err(RpcError::params(sentence));
                    }
                    LogFilter {
                        addresses: asked.addresses,
                        topics: asked.topics,
                        ..LogFilter::default()
                    }
                }
            }),
            other => {
                let other: String = other.chars().take(64).collect();
                let sentence = format!("no \"{other}\" subscription; there are: newHeads, logs");
                return Err(RpcError::params(sentence));
            }
        };
        let id = self.next;
        self.next += 1;
        self.waiting.push((id, topic, self.context.environment.port.heads()));
        Ok(render::quantity(id))
    }

    pub(super) fn unsubscribe(&mut self, params: Option<Value>) -> Result<Value, RpcError> {
        let id = Params::new(params, 1)?.required(0, super::parse::quantity_u64)?;
        let before = self.running.len() + self.waiting.len();
        self.running.remove(&id);
        self.waiting.retain(|(waiting, _, _)| *waiting != id);
        if self.running.len() + self.waiting.len() == before {
            return Err(RpcError::server("subscription not found"));
        }
        Ok(json!(true))
    }

    fn start(&mut self, outbox: &Outbox) {
        for (id, topic, heads) in self.waiting.drain(..) {
            let task = tokio::spawn(forward(id, topic, heads, outbox.clone()));
            self.running.insert(id, Running(task));
        }
    }
}

async fn forward(
    id: u64,
    topic: Topic,
    mut heads: broadcast::Receiver<Arc<EvmHead>>,
    outbox: Outbox,
) {
    let id = render::quantity(id);
    let send = |result: Value| {
        let params = json!({ "subscription": id, "result": result });
        let event = json!({
            "jsonrpc": "2.0", "method": "eth_subscription", "params": params,
        });
        outbox.send(event.to_string())
    };
    loop {
        let head = match heads.recv().await {
            Ok(head) => head,
            // Events were lost: the client must know, and a new connection starts clean.
            Err(RecvError::Lagged(_)) => return outbox.slow(),
            Err(RecvError::Closed) => return,
        };
        let open = match &topic {
            Topic::Heads => send(render::header(&head.block)),
            Topic::Logs(filter) => {
                head.logs.iter().filter(|log| filter.matches(log)).all(|log| send(render::log(log)))
            }
        };
        if !open {
            return;
        }
    }
}
