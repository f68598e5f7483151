//! The accept loop, one task per connection, and shutdown.

use super::Shared;
use super::connection::{Client, Watched};
use super::request::handle;
use crate::config::Limits;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a socket is told that finds the table full, as far as its buffer takes it.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 98\r\n\r\n\
    {\"error\":{\"code\":601,\"label\":\"busy\",\"message\":\"all connections are taken; try again in a second\"}}";

pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let sweeper = tokio::spawn(sweep(shared.clone()));
    tokio::select! {
        () = shutdown => {}
        () = accept(&listener, &shared, &router) => {}
    }
    drop(listener);
    sweeper.abort();
    shared.stopping.send_replace(true);
    let drained = async {
        while shared.connections.len() > 0 {
            shared.connections.gone.notified().await;
        }
    };
    if tokio::time::timeout(shared.limits().shutdown_grace, drained).await.is_err() {
        tracing::warn!(open = shared.connections.len(), "connections outlived the shutdown grace");
        shared.connections.cut_all();
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, router: &Router) {
    let max = shared.limits().connections_max;
    // Evicting several at once keeps a flood from costing a walk over the table per socket.
    let batch = (max / 64).max(1);
    let mut backoff = Duration::from_millis(5);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
                ) =>
            {
                continue;
            }
            Err(error) => {
                // Out of files or memory: make room, wait, go on.
                shared.metrics.accept_errors.inc();
                shared.connections.evict(batch, &shared.metrics);
                tracing::warn!(%error, "cannot accept a connection; waiting");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(Duration::from_secs(1));
                continue;
            }
        };
        backoff = Duration::from_millis(5);
        shared.metrics.connections_accepted.inc();
        let full = shared.connections.len() >= max;
        if full && shared.connections.evict(batch, &shared.metrics) == 0 {
            shared.metrics.cut("full");
            let _ = stream.try_write(FULL);
            continue;
        }
        // Answers are written whole: waiting to coalesce them only adds latency.
        let _ = stream.set_nodelay(true);
        let watched = shared.connections.admit(stream, peer.ip());
        tokio::spawn(connection(watched, shared.clone(), router.clone()));
    }
}

async fn connection(watched: Watched, shared: Arc<Shared>, router: Router) {
    let client = watched.client();
    shared.metrics.connections.inc();
    let limits = shared.limits();
    let mut builder = http1::Builder::new();
    builder
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max.max(8192))
        // Heads are timed by the table of connections.
        .header_read_timeout(None);
    let service = {
        let (shared, client) = (shared.clone(), client.clone());
        service_fn(move |request| handle(shared.clone(), client.clone(), router.clone(), request))
    };
    let served = builder.serve_connection(TokioIo::new(watched), service).with_upgrades();
    drive(served, &client, &shared).await;
    shared.metrics.connections.dec();
}

async fn drive<S>(
    served: http1::UpgradeableConnection<TokioIo<Watched>, S>,
    client: &Client,
    shared: &Shared,
) where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = axum::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        () = client.cut() => return,
        () = shared.stopped() => served.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = served => {}
        () = client.cut() => {}
    }
}

async fn sweep(shared: Arc<Shared>) {
    let limits: &Limits = shared.limits();
    let shortest = limits.head_timeout.min(limits.idle_timeout).min(limits.write_timeout);
    let period = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_millis(500));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.connections.sweep(limits, &shared.metrics);
        if let Some(rate) = &shared.rate {
            rate.forget_idle();
        }
    }
}
