//! `/metrics`: what the node counts, in the OpenMetrics text format.

use crate::node::Shared;
use crate::stats::Stats;
use atoll_rpc::port::MetricsPort;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The node's counters.
pub(crate) struct NodeMetrics(pub(crate) Arc<Shared>);

impl MetricsPort for NodeMetrics {
    fn render(&self, out: &mut String) {
        let stats = &self.0.stats;
        let counters = [
            ("orders", "Orders, cancels and modifications executed.", &stats.orders),
            ("fills", "Fills.", &stats.fills),
            ("evm_transactions", "EVM transactions executed.", &stats.evm_transactions),
            ("transactions", "Transactions ordered.", &stats.transactions),
            ("transaction_bytes", "Bytes of transactions ordered.", &stats.bytes),
            ("ticks", "Ticks closed.", &stats.ticks),
            ("slots", "Slots sealed.", &stats.slots),
        ];
        // Writing to a string cannot fail.
        for (name, help, counter) in counters {
            let value = Stats::get(counter);
            let _ = writeln!(out, "# HELP atoll_{name} {help}\n# TYPE atoll_{name} counter");
            let _ = writeln!(out, "atoll_{name}_total {value}");
        }
        let _ =
            writeln!(out, "# HELP atoll_rejects Refusals by code.\n# TYPE atoll_rejects counter");
        for (code, n) in stats.rejects() {
            let _ = writeln!(out, "atoll_rejects_total{{code=\"{}\"}} {n}", code.label());
        }
        let latency = stats.latency_us();
        let _ = writeln!(
            out,
            "# HELP atoll_latency_seconds Receipt to confirmation with execution, since start.\n\
             # TYPE atoll_latency_seconds gauge\n# UNIT atoll_latency_seconds seconds"
        );
        for (quantile, us) in [("0.5", latency.p50), ("0.99", latency.p99), ("0.999", latency.p999)]
        {
            let seconds = us as f64 / 1e6;
            let _ = writeln!(out, "atoll_latency_seconds{{quantile=\"{quantile}\"}} {seconds}");
        }
        let head = self.0.head.read().slot;
        let finalised = self.0.finalised.load(Relaxed);
        let _ = writeln!(out, "# HELP atoll_slot Slots of the chain.\n# TYPE atoll_slot gauge");
        let _ = writeln!(out, "atoll_slot{{stage=\"sealed\"}} {head}");
        let _ = writeln!(out, "atoll_slot{{stage=\"finalised\"}} {finalised}");
        let roots = self.0.roots.lock().clone();
        let _ = writeln!(
            out,
            "# HELP atoll_root_slot Slot of the latest state root.\n# TYPE atoll_root_slot gauge"
        );
        let name = |id| self.0.environment(id).map(|e| e.spec().name.clone()).unwrap_or_default();
        for (id, root) in &roots {
            let _ = writeln!(out, "atoll_root_slot{{environment=\"{}\"}} {}", name(*id), root.slot);
        }
        let _ = writeln!(
            out,
            "# HELP atoll_state_objects Objects in the state.\n# TYPE atoll_state_objects gauge"
        );
        for (id, root) in &roots {
            let _ = writeln!(
                out,
                "atoll_state_objects{{environment=\"{}\"}} {}",
                name(*id),
                root.leaves
            );
        }
        let _ = writeln!(
            out,
            "# HELP atoll_state_trie_bytes Memory of the state's trie.\n\
             # TYPE atoll_state_trie_bytes gauge\n# UNIT atoll_state_trie_bytes bytes"
        );
        for (id, root) in &roots {
            let _ = writeln!(
                out,
                "atoll_state_trie_bytes{{environment=\"{}\"}} {}",
                name(*id),
                root.memory_bytes
            );
        }
    }
}
