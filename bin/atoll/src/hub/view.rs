//! What the node knows of the hub, for queries and the screen.

use parking_lot::RwLock;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where settlement stands.
#[derive(Debug, Default)]
pub(crate) struct HubView {
    anchored: AtomicU64,
    settled: AtomicU64,
    facts: RwLock<Map<String, Value>>,
}

impl HubView {
    /// The last commitment that the hub has settled; 0 for none.
    pub(crate) fn settled_number(&self) -> u64 {
        self.settled.load(Relaxed)
    }

    /// The last commitment that is on the hub; 0 for none.
    pub(crate) fn anchored_number(&self) -> u64 {
        self.anchored.load(Relaxed)
    }

    pub(crate) fn set_numbers(&self, anchored: u64, settled: u64) {
        self.anchored.store(anchored, Relaxed);
        self.settled.store(settled, Relaxed);
    }

    /// Notes something that clients of this node need: an address, a state, an alarm.
    pub(crate) fn note(&self, name: &str, value: Value) {
        self.facts.write().insert(name.to_string(), value);
    }

    pub(crate) fn status_of(&self, number: u64) -> &'static str {
        match number {
            n if n <= self.settled_number() => "settled",
            n if n <= self.anchored_number() => "anchored",
            _ => "made",
        }
    }

    pub(crate) fn render(&self) -> Value {
        let mut value = Value::Object(self.facts.read().clone());
        value["anchored"] = json!(self.anchored_number());
        value["settled"] = json!(self.settled_number());
        value
    }
}
