//! The table of open connections: what each is doing and since when, so that slow and silent ones
//! are cut and make room.
//!
//! hyper's own header timer runs through keep-alive pauses too, and costs a timer per request.
//! Here each connection notes its phase in an atomic as bytes pass, and one sweep cuts whoever
//! overstays it.

use crate::config::Limits;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What a connection is doing.
mod phase {
    /// Connected, and not one byte has come.
    pub(super) const FRESH: u8 = 0;
    /// A request's head is coming.
    pub(super) const HEAD: u8 = 1;
    /// A request is being read or handled: other bounds hold.
    pub(super) const BUSY: u8 = 2;
    /// Between two requests.
    pub(super) const IDLE: u8 = 3;
    /// A WebSocket: other bounds hold.
    pub(super) const UPGRADED: u8 = 4;
}

/// One connection's client.
#[derive(Debug)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    id: u64,
    start: Instant,
    phase: AtomicU8,
    /// When the phase began, ms after `start`.
    since_ms: AtomicU64,
    /// Since when a write makes no progress, ms after `start`; 0 for not.
    stalled_ms: AtomicU64,
    cut: Notify,
}

impl Client {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: u8) {
        self.since_ms.store(self.now_ms(), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    /// A request's head is complete.
    pub(crate) fn busy(&self) {
        self.enter(phase::BUSY);
    }

    /// The request's answer has begun.
    pub(crate) fn idle(&self) {
        self.enter(phase::IDLE);
    }

    /// It has become a WebSocket.
    pub(crate) fn upgraded(&self) {
        self.enter(phase::UPGRADED);
    }

    /// Resolves when the connection shall be dropped.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Why the connection has overstayed, if it has.
    fn overstayed(&self, limits: &Limits) -> Option<&'static str> {
        let now = self.now_ms();
        let longer =
            |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) > limit.as_millis();
        let stalled = self.stalled_ms.load(Relaxed);
        if stalled != 0 && longer(stalled, limits.write_timeout) {
            return Some("slow_reader");
        }
        let since = self.since_ms.load(Relaxed);
        match self.phase.load(Relaxed) {
            phase::FRESH if longer(since, limits.head_timeout) => Some("silent"),
            phase::HEAD if longer(since, limits.head_timeout) => Some("slow_head"),
            phase::IDLE if longer(since, limits.idle_timeout) => Some("idle"),
            _ => None,
        }
    }
}

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    pub(crate) gone: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Client>>,
}

impl Connections {
    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().open.len()
    }

    /// Takes a socket into the table.
    pub(crate) fn admit(self: &Arc<Self>, stream: TcpStream, ip: IpAddr) -> Watched {
        let mut table = self.table.lock();
        table.next += 1;
        let client = Arc::new(Client {
            ip,
            id: table.next,
            start: Instant::now(),
            phase: AtomicU8::new(phase::FRESH),
            since_ms: AtomicU64::new(0),
            stalled_ms: AtomicU64::new(0),
            cut: Notify::new(),
        });
        table.open.insert(client.id, client.clone());
        Watched { stream, client, connections: self.clone() }
    }

    /// Cuts whoever has overstayed.
    pub(crate) fn sweep(&self, limits: &Limits, metrics: &Metrics) {
        for client in self.table.lock().open.values() {
            if let Some(reason) = client.overstayed(limits) {
                // Entering the phase anew keeps the next sweep from counting it twice.
                client.stalled_ms.store(0, Relaxed);
                client.enter(client.phase.load(Relaxed));
                client.cut.notify_one();
                metrics.cut(reason);
            }
        }
    }

    /// Makes room: takes the oldest `n` connections that never asked anything out of the table,
    /// and failing those the longest idle ones. Returns how many.
    pub(crate) fn evict(&self, n: usize, metrics: &Metrics) -> usize {
        let mut table = self.table.lock();
        let mut candidates: Vec<(u8, Instant, u64)> = table
            .open
            .values()
            .filter_map(|client| {
                let since = client.start + Duration::from_millis(client.since_ms.load(Relaxed));
                match client.phase.load(Relaxed) {
                    phase::FRESH | phase::HEAD => Some((0, since, client.id)),
                    phase::IDLE if since.elapsed() > IDLE_AT_LEAST => Some((1, since, client.id)),
                    _ => None,
                }
            })
            .collect();
        if candidates.len() > n {
            candidates.select_nth_unstable(n);
            candidates.truncate(n);
        }
        for (_, _, id) in &candidates {
            if let Some(client) = table.open.remove(id) {
                client.cut.notify_one();
                metrics.cut("evicted");
            }
        }
        candidates.len()
    }

    /// Cuts all.
    pub(crate) fn cut_all(&self) {
        for client in self.table.lock().open.values() {
            client.cut.notify_one();
        }
    }
}

/// A client that was heard from so recently is not evicted.
const IDLE_AT_LEAST: Duration = Duration::from_secs(5);

/// A socket in the table; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    client: Arc<Client>,
    connections: Arc<Connections>,
}

impl Watched {
    pub(crate) fn client(&self) -> Arc<Client> {
        self.client.clone()
    }

    fn wrote<T>(&self, outcome: &Poll<T>) {
        let client = &self.client;
        if outcome.is_pending() {
            if client.stalled_ms.load(Relaxed) == 0 {
                client.stalled_ms.store(client.now_ms().max(1), Relaxed);
            }
            return;
        }
        client.stalled_ms.store(0, Relaxed);
        if client.phase.load(Relaxed) == phase::IDLE {
            // An answer that is still being written is not idleness.
            client.since_ms.store(client.now_ms(), Relaxed);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.connections.table.lock().open.remove(&self.client.id);
        self.connections.gone.notify_one();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            let phase = self.client.phase.load(Relaxed);
            if phase == phase::FRESH || phase == phase::IDLE {
                self.client.enter(phase::HEAD);
            }
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
