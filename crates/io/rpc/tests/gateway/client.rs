//! A client that can misbehave: raw bytes over TCP.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("connect"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("write");
    }

    /// Reads one answer; none when the server closes instead.
    pub(crate) async fn read(&mut self) -> Option<Answer> {
        tokio::time::timeout(Duration::from_secs(20), self.read_inner()).await.expect("an answer")
    }

    async fn read_inner(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("ascii head");
        let mut body = bytes[end..].to_vec();
        let length = header(&head, "content-length").and_then(|length| length.parse().ok());
        while length.is_none_or(|length: usize| body.len() < length) {
            if length.is_none() && body.ends_with(b"0\r\n\r\n") {
                break;
            }
            if self.0.read_buf(&mut body).await.ok()? == 0 {
                break;
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body })
    }

    /// Whether the server closes the connection within `limit`.
    pub(crate) async fn closes_within(&mut self, limit: Duration) -> bool {
        let closed = async { while !matches!(self.0.read(&mut [0; 64]).await, Ok(0) | Err(_)) {} };
        tokio::time::timeout(limit, closed).await.is_ok()
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

pub(crate) fn post_bytes(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(post_bytes(path, body)).await;
    client.read().await.expect("an answer")
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    client.read().await.expect("an answer")
}
