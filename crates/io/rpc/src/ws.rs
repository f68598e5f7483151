//! Bounded WebSocket sessions, shared by every API that has one.
//!
//! A session reads one message after the other and answers through its [`Outbox`], a queue bounded
//! in messages and bytes: a client that does not take what it subscribed to is disconnected with a
//! reason, never waited for. Work that should overlap is spawned with a clone of the outbox.

use crate::metrics::Ended;
use crate::server::{Client, Refusal, Shared, refuse};
use atoll_types::RejectCode;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{FutureExt, SinkExt, StreamExt, stream::SplitSink};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// How long a closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a session over its rate waits before it looks again.
const RATE_PAUSE: Duration = Duration::from_millis(20);

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// RFC 6455 close code.
    pub code: u16,
    /// What the client is told, and the label of the metric.
    pub reason: &'static str,
}

impl Close {
    /// The client did not take its messages.
    pub const SLOW: Self = Self {
        code: close_code::POLICY,
        reason: "slow consumer: take messages faster or subscribe to less",
    };
    const GONE: Self = Self { code: close_code::NORMAL, reason: "closed by the client" };
    const SILENT: Self = Self { code: close_code::POLICY, reason: "nothing was heard in time" };
    const STOPPING: Self = Self { code: close_code::AWAY, reason: "the node is stopping" };
    const FAILED: Self = Self { code: close_code::ERROR, reason: "the node failed" };
    const TIMEOUT: Self = Self { code: close_code::ERROR, reason: "no answer in time" };
    const TOO_LARGE: Self = Self { code: close_code::SIZE, reason: "a message was too large" };
    const BROKEN: Self = Self { code: close_code::PROTOCOL, reason: "not a WebSocket frame" };
    const BINARY: Self = Self { code: close_code::UNSUPPORTED, reason: "send text in UTF-8" };
}

/// The bounded queue of what goes out to one client.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Utf8Bytes>,
    shared: Arc<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: AtomicUsize,
    bytes_max: usize,
    slow: Notify,
}

impl Outbox {
    /// Queues a message; false when the session is over. A queue that overflows ends it.
    pub fn send(&self, text: impl Into<Utf8Bytes>) -> bool {
        let text = text.into();
        let length = text.len();
        let waiting = self.shared.bytes.fetch_add(length, Relaxed);
        if waiting.saturating_add(length) <= self.shared.bytes_max || waiting == 0 {
            match self.queue.try_send(text) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(_)) => {}
            }
        }
        self.slow();
        false
    }

    /// Ends the session: its client is too slow, here or upstream.
    pub fn slow(&self) {
        self.shared.slow.notify_one();
    }
}

/// What an API does with a client's messages.
pub trait Session: Send + 'static {
    /// Handles one text message. The next is read when the future resolves; one that outlasts
    /// [`crate::Limits::handler_timeout`] is dropped and ends the session.
    fn receive(&mut self, text: &str) -> impl Future<Output = Result<(), Close>> + Send;
}

/// Upgrades a request to a session.
pub fn accept<S: Session>(
    upgrade: WebSocketUpgrade,
    shared: Arc<Shared>,
    client: Arc<Client>,
    door: crate::metrics::Door,
    open: impl FnOnce(Outbox) -> S + Send + 'static,
) -> Response {
    let Ok(permit) = shared.websockets.clone().try_acquire_owned() else {
        shared.metrics.cut("websockets_full");
        let sentence = "all WebSockets are taken; try again in a second";
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, RejectCode::Busy, sentence);
        return refuse(door, &refusal);
    };
    let limits = shared.limits();
    upgrade
        .max_message_size(limits.ws_message_bytes_max)
        .max_frame_size(limits.ws_message_bytes_max)
        // The library's 128 KiB for each is too much for thousands of quiet sockets.
        .read_buffer_size(8 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(limits.ws_queue_bytes_max.max(32 * 1024))
        .on_upgrade(move |socket| async move {
            client.upgraded();
            shared.metrics.websockets.inc();
            let close = run(socket, &shared, &client, open).await;
            shared.metrics.websockets.dec();
            let reason = close.reason;
            shared.metrics.websockets_ended.get_or_create(&Ended { reason }).inc();
            drop(permit);
        })
}

async fn run<S: Session>(
    socket: WebSocket,
    shared: &Shared,
    client: &Client,
    open: impl FnOnce(Outbox) -> S,
) -> Close {
    let limits = shared.limits();
    let (mut sink, mut source) = socket.split();
    let (queue, mut queued) = mpsc::channel(limits.ws_queue_max);
    let waiting = Arc::new(Waiting {
        bytes: AtomicUsize::new(0),
        bytes_max: limits.ws_queue_bytes_max,
        slow: Notify::new(),
    });
    let mut session = open(Outbox { queue, shared: waiting.clone() });

    let read = async {
        loop {
            let next = tokio::time::timeout(limits.ws_idle_timeout, source.next()).await;
            let text = match next {
                Err(_) => return Close::SILENT,
                Ok(None | Some(Ok(Message::Close(_)))) => return Close::GONE,
                Ok(Some(Err(error))) => return close_of(&error),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                // web3.py sends its JSON so.
                Ok(Some(Ok(Message::Binary(bytes)))) => match Utf8Bytes::try_from(bytes) {
                    Ok(text) => text,
                    Err(_) => return Close::BINARY,
                },
                Ok(Some(Ok(Message::Text(text)))) => text,
            };
            while let Some(rate) = &shared.rate
                && !rate.allow(client.ip)
            {
                // A stream is slowed down rather than refused: its next bytes wait in its socket.
                tokio::time::sleep(RATE_PAUSE).await;
            }
            match tokio::time::timeout(limits.handler_timeout, session.receive(&text)).await {
                Ok(Ok(())) => {}
                Ok(Err(close)) => return close,
                Err(_) => return Close::TIMEOUT,
            }
        }
    };
    let write = write(&mut sink, &mut queued, &waiting, shared);
    let ended = AssertUnwindSafe(async {
        tokio::select! {
            close = read => close,
            close = write => close,
            () = waiting.slow.notified() => Close::SLOW,
            () = client.cut() => Close::SLOW,
            () = shared.stopped() => Close::STOPPING,
        }
    });
    let close = ended.catch_unwind().await.unwrap_or_else(|_| {
        shared.metrics.panics.inc();
        tracing::error!("a WebSocket session panicked");
        Close::FAILED
    });
    if close != Close::GONE {
        let frame = CloseFrame { code: close.code, reason: Utf8Bytes::from_static(close.reason) };
        let farewell = async {
            let _ = sink.send(Message::Close(Some(frame))).await;
            // Dropping a socket with unread bytes resets it, and the reason is lost.
            while let Some(Ok(_)) = source.next().await {}
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }
    close
}

async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    queued: &mut mpsc::Receiver<Utf8Bytes>,
    waiting: &Waiting,
    shared: &Shared,
) -> Close {
    let limits = shared.limits();
    let mut pings = tokio::time::interval(limits.ws_ping_interval);
    pings.tick().await;
    loop {
        let message = tokio::select! {
            message = queued.recv() => match message {
                Some(text) => Message::Text(text),
                // The session holds an outbox: the queue ends with it, and the reader says why.
                None => return std::future::pending().await,
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        let push = async {
            let mut length = text_length(&message);
            let mut outcome = sink.feed(message).await;
            // What has piled up goes out in one write, up to a bound: the first must not wait on.
            for _ in 0..256 {
                let (true, Ok(text)) = (outcome.is_ok(), queued.try_recv()) else { break };
                length += text.len();
                outcome = sink.feed(Message::Text(text)).await;
            }
            waiting.bytes.fetch_sub(length, Relaxed);
            match outcome {
                Ok(()) => sink.flush().await,
                failed => failed,
            }
        };
        match tokio::time::timeout(limits.write_timeout, push).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Close::GONE,
            Err(_) => return Close::SLOW,
        }
    }
}

fn text_length(message: &Message) -> usize {
    if let Message::Text(text) = message { text.len() } else { 0 }
}

fn close_of(error: &axum::Error) -> Close {
    use std::error::Error;
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    if text.contains("too long") || text.contains("too big") {
        Close::TOO_LARGE
    } else if text.contains("protocol") || text.contains("UTF-8") || text.contains("utf-8") {
        Close::BROKEN
    } else {
        Close::GONE
    }
}
