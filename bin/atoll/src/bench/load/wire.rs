//! What a client of either door writes and reads, by hand: requests are made before the clock
//! starts and answers are cut out of the bytes as they come, so that the generator, which shares
//! the machine with the node, costs little more than its system calls.

pub(in crate::bench) use crate::cli::Door;
use anyhow::{Result, bail};
use std::net::SocketAddr;

impl Door {
    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }

    /// The next whole message at the beginning of `bytes`, with its length; none if it is not
    /// all there.
    pub(in crate::bench) fn next_message(
        self,
        bytes: &[u8],
    ) -> Result<Option<(Message<'_>, usize)>> {
        match self {
            Self::Http => response(bytes),
            Self::WebSocket => unframe(bytes),
        }
    }
}

/// An interface of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Api {
    /// That of an exchange, as Hyperliquid has it.
    Exchange,
    /// Ethereum JSON-RPC of the built-in EVM environment.
    Evm,
}

impl Api {
    fn path(self, door: Door) -> &'static str {
        match (self, door) {
            (Self::Exchange, Door::Http) => "/exchange",
            (Self::Exchange, Door::WebSocket) => "/ws",
            (Self::Evm, _) => "/evm/evm",
        }
    }

    /// Why an answer is not a success; none if it is one.
    pub(in crate::bench) fn refusal(self, answer: &[u8]) -> Option<String> {
        match self {
            Self::Exchange => refusal(answer),
            Self::Evm => rpc_refusal(answer),
        }
    }
}

/// Where requests go.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Destination {
    pub(in crate::bench) api: Api,
    pub(in crate::bench) door: Door,
    pub(in crate::bench) address: SocketAddr,
}

impl Destination {
    /// The bytes of a request: an action for an exchange; of JSON-RPC the whole request, with the same id.
    /// `id` comes back over the WebSocket.
    pub(in crate::bench) fn request(&self, id: usize, payload: &str) -> Vec<u8> {
        let Self { api, door, address } = self;
        match (door, api) {
            (Door::Http, _) => format!(
                "POST {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{payload}",
                api.path(*door),
                payload.len()
            )
            .into_bytes(),
            (Door::WebSocket, Api::Evm) => frame(TEXT, payload.as_bytes()),
            (Door::WebSocket, Api::Exchange) => frame(
                TEXT,
                format!(
                    r#"{{"method":"post","id":{id},"request":{{"type":"action","payload":{payload}}}}}"#
                )
                .as_bytes(),
            ),
        }
    }

    /// The request that turns a connection into a WebSocket.
    pub(in crate::bench) fn handshake(&self) -> Vec<u8> {
        format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: YXRvbGwgYmVuY2htYXJrLg==\r\n\r\n",
            self.api.path(Door::WebSocket),
            self.address,
        )
        .into_bytes()
    }
}

/// Something the node said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bench) enum Message<'a> {
    /// An answer.
    Answer(&'a [u8]),
    /// A ping, to be answered with the same bytes.
    Ping(&'a [u8]),
    /// Nothing that asks for a reaction.
    Other,
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A client's frame. It has to be masked; a mask of zeros leaves the bytes as they are.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(0x80 | opcode);
    match payload.len() {
        n @ 0..126 => out.push(0x80 | n as u8),
        n @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// The answer to a ping.
pub(in crate::bench) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(PONG, payload)
}

fn unframe(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>> {
    let &[head, short, ..] = bytes else { return Ok(None) };
    let (length, start) = match short & 0x7f {
        126 => match bytes.get(2..4) {
            Some(n) => (usize::from(u16::from_be_bytes([n[0], n[1]])), 4),
            None => return Ok(None),
        },
        127 => bail!("the node sent a frame over 64 KiB"),
        n => (usize::from(n), 2),
    };
    let Some(payload) = bytes.get(start..start + length) else { return Ok(None) };
    let message = match head & 0x0f {
        TEXT => Message::Answer(payload),
        PING => Message::Ping(payload),
        CLOSE => {
            let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
            bail!("the node closed a WebSocket: {reason}");
        }
        _ => Message::Other,
    };
    Ok(Some((message, start + length)))
}

/// The end of a head: the index after the empty line.
pub(in crate::bench) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn response(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>> {
    let Some(start) = head_end(bytes) else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..start])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let Some(length) = length.transpose()? else {
        bail!("an answer without content-length: {}", head.lines().next().unwrap_or_default());
    };
    let answer = bytes.get(start..start + length);
    Ok(answer.map(|body| (Message::Answer(body), start + length)))
}

/// The id in a WebSocket's answer.
pub(in crate::bench) fn id_of(answer: &[u8]) -> Option<usize> {
    let at = find(answer, b"\"id\":")? + 5;
    let digits = answer[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |id: Option<usize>, byte| {
        id.unwrap_or(0).checked_mul(10)?.checked_add(usize::from(byte - b'0'))
    })
}

fn refusal(answer: &[u8]) -> Option<String> {
    if find(answer, br#""status":"ok""#).is_some() && find(answer, b"\"error\"").is_none() {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    Some(label(&value).unwrap_or_else(|| "not understood".to_string()))
}

/// The same of an answer by JSON-RPC: an error, or a receipt that says that it failed.
fn rpc_refusal(answer: &[u8]) -> Option<String> {
    if find(answer, br#""error":"#).is_none() && find(answer, br#""status":"0x0""#).is_none() {
        return find(answer, br#""result":"#).is_none().then(|| "not understood".to_string());
    }
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let message = || value["error"]["message"].as_str().map(str::to_string);
    Some(label(&value).or_else(message).unwrap_or_else(|| "failed".to_string()))
}

/// The first stable label inside an answer.
fn label(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Object(map) => match map.get("label") {
            Some(label) => label.as_str().map(str::to_string),
            None => map.values().find_map(label),
        },
        serde_json::Value::Array(list) => list.iter().find_map(label),
        _ => None,
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_cut_where_they_end() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200";
        let (message, length) = Door::Http.next_message(bytes).unwrap().unwrap();
        assert_eq!((message, length), (Message::Answer(b"{}"), 40));
        for cut in 0..40 {
            assert_eq!(Door::Http.next_message(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        assert!(Door::Http.next_message(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn frames_are_cut_where_they_end() {
        for length in [0usize, 5, 125, 126, 4_000] {
            let mut bytes = frame(TEXT, &vec![b'x'; length]);
            // As a server sends it: without a mask.
            let mask = bytes.len() - length - 4;
            bytes.drain(mask..mask + 4);
            bytes[1] &= 0x7f;
            let whole = bytes.len();
            assert_eq!(Door::WebSocket.next_message(&bytes[..whole - 1]).unwrap(), None);
            bytes.push(0x81);
            let (message, end) = Door::WebSocket.next_message(&bytes).unwrap().unwrap();
            assert_eq!((message, end), (Message::Answer(&vec![b'x'; length]), whole));
        }
        assert_eq!(
            Door::WebSocket.next_message(b"\x89\x01a").unwrap(),
            Some((Message::Ping(b"a"), 3))
        );
        assert!(Door::WebSocket.next_message(b"\x88\x02\x03\xe8").is_err());
    }

    #[test]
    fn answers_are_told_apart() {
        let good = br#"{"channel":"post","data":{"id":17,"response":{"payload":{"response":{"data":{"statuses":["success"]}},"status":"ok"}}}}"#;
        assert_eq!((id_of(good), refusal(good)), (Some(17), None));
        let item = br#"{"response":{"data":{"statuses":[{"code":1,"error":"no","label":"unknown_order"}]}},"status":"ok"}"#;
        assert_eq!(refusal(item).as_deref(), Some("unknown_order"));
        let whole = br#"{"status":"err","response":"later","code":601,"label":"busy"}"#;
        assert_eq!(refusal(whole).as_deref(), Some("busy"));
        let sent = br#"{"jsonrpc":"2.0","id":3,"result":{"status":"0x1","type":"0x2"}}"#;
        assert_eq!((id_of(sent), Api::Evm.refusal(sent)), (Some(3), None));
        let failed = br#"{"jsonrpc":"2.0","id":3,"result":{"status":"0x0"}}"#;
        assert_eq!(Api::Evm.refusal(failed).as_deref(), Some("failed"));
        let refused = br#"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"nonce too low","data":{"code":5,"label":"nonce_too_low"}}}"#;
        assert_eq!(Api::Evm.refusal(refused).as_deref(), Some("nonce_too_low"));
        assert_eq!(Api::Evm.refusal(b"{}").as_deref(), Some("not understood"));
        assert_eq!(refusal(b"garbage").as_deref(), Some("not understood"));
        assert_eq!(id_of(b"{}"), None);
    }
}
