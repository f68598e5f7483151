//! Where a run stands: one screen on a terminal, plain lines elsewhere.

use crate::node::Shared;
use crate::stats::Stats;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often plain lines are printed.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// How often the screen is drawn.
const SCREEN_INTERVAL: Duration = Duration::from_millis(500);

/// How far a run that ends by itself has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Events replayed.
    pub(crate) events: u64,
    /// From 0 to 1; none for a run without an end.
    pub(crate) share: Option<f64>,
}

impl Progress {
    fn percent(self) -> Option<f64> {
        self.share.map(|share| (share * 100.0).clamp(0.0, 100.0))
    }
}

struct State {
    shown: Option<Instant>,
    lines: usize,
    orders: u64,
}

/// The status display of a run.
pub(crate) struct Screen {
    terminal: bool,
    quiet: bool,
    state: Mutex<State>,
}

impl Screen {
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = std::io::stdout().is_terminal() && !quiet;
        let state = State { shown: None, lines: 0, orders: 0 };
        Self { terminal, quiet, state: Mutex::new(state) }
    }

    /// Shows where the run stands, if it is time.
    pub(crate) fn show(&self, shared: &Shared, elapsed: Duration, progress: Progress) {
        let Ok(mut state) = self.state.lock() else { return };
        let interval = if self.terminal { SCREEN_INTERVAL } else { PLAIN_INTERVAL };
        let since = state.shown.map(|shown| shown.elapsed());
        if self.quiet || since.is_some_and(|since| since < interval) {
            return;
        }
        let orders = Stats::get(&shared.stats.orders);
        let per_s = (orders.saturating_sub(state.orders)) as f64
            / since.unwrap_or(elapsed).as_secs_f64().max(1e-3);
        (state.orders, state.shown) = (orders, Some(Instant::now()));
        let text = if self.terminal {
            screen(shared, elapsed, per_s, progress)
        } else {
            line(shared, elapsed, per_s, progress)
        };
        let mut out = std::io::stdout().lock();
        if self.terminal && state.lines > 0 {
            // Up to the first line of the last picture, and clear from there.
            let _ = write!(out, "\x1b[{}A\x1b[J", state.lines);
        }
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
        state.lines = text.lines().count();
    }

    /// Leaves the last picture where it is.
    pub(crate) fn close(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.lines = 0;
        }
    }
}

fn line(shared: &Shared, elapsed: Duration, per_s: f64, progress: Progress) -> String {
    let stats = &shared.stats;
    let latency = stats.latency_us();
    let mut text = format!(
        "{:>6.0} s  slot {} (final {})  orders {} ({per_s:.0}/s)  fills {}  p50 {} µs  p99 {} µs",
        elapsed.as_secs_f64(),
        shared.head.read().slot,
        shared.finalised.load(Relaxed),
        Stats::get(&stats.orders),
        Stats::get(&stats.fills),
        latency.p50,
        latency.p99,
    );
    if progress.events > 0 {
        let _ = write!(text, "  replayed {} events", progress.events);
    }
    if let Some(percent) = progress.percent() {
        let _ = write!(text, "  {percent:.0} %");
    }
    text
}

fn screen(shared: &Shared, elapsed: Duration, per_s: f64, progress: Progress) -> String {
    let stats = &shared.stats;
    let latency = stats.latency_us();
    let mut text = String::new();
    let head = shared.head.read().slot;
    let _ = writeln!(text, "────────────────────────────────────────────────────────────");
    let _ = writeln!(
        text,
        "  {:>5.0} s   slot {head}   finalised {}   ticks {}",
        elapsed.as_secs_f64(),
        shared.finalised.load(Relaxed),
        Stats::get(&stats.ticks)
    );
    let _ = writeln!(
        text,
        "  orders   {:>10}   {per_s:>8.0}/s   fills {}",
        Stats::get(&stats.orders),
        Stats::get(&stats.fills)
    );
    let _ = writeln!(
        text,
        "  latency  p50 {} µs   p99 {} µs   p99.9 {} µs",
        latency.p50, latency.p99, latency.p999
    );
    let rejects: Vec<_> =
        stats.rejects().iter().map(|(code, n)| format!("{} {n}", code.label())).collect();
    let rejects = if rejects.is_empty() { "none".into() } else { rejects.join(", ") };
    let _ = writeln!(text, "  rejects  {rejects}");
    if progress.events > 0 {
        let _ = writeln!(text, "  replay   {} events", progress.events);
    }
    if let Some(percent) = progress.percent() {
        let done = (percent / 2.5) as usize;
        let bar = format!("{}{}", "█".repeat(done), "░".repeat(40 - done));
        let _ = writeln!(text, "  progress {bar} {percent:.0} %");
    }
    let roots = shared.roots.lock().clone();
    for hosted in &shared.environments {
        let environment = hosted.environment();
        let root = roots.get(&environment.id()).copied().unwrap_or_default();
        let halted = environment.gate().halted().map_or("", |_| "   HALTED");
        let _ = writeln!(
            text,
            "  {:<8} root {}… at slot {}   {} objects{halted}",
            environment.spec().name,
            &root.root.to_string()[..14],
            root.slot,
            root.leaves
        );
    }
    text.trim_end().to_string()
}
