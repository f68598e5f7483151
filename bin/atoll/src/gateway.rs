//! A blocking client of a gateway's HTTP API: bounded, with timeouts, for commands.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// A gateway.
pub(crate) struct Gateway {
    agent: ureq::Agent,
    url: String,
    received: AtomicU64,
    answer_bytes_max: u64,
}

/// Bytes of an answer, heads included as they are in HTTP/1.1.
fn size(answer: &ureq::http::Response<ureq::Body>, body: usize) -> u64 {
    let line = "HTTP/1.1 200 OK\r\n\r\n".len();
    let fields = answer.headers().iter();
    let head: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + head + body) as u64
}

impl Gateway {
    /// A client of the gateway at `url`; nothing is sent yet.
    pub(crate) fn new(url: &str) -> Result<Self> {
        if !url.starts_with("http://") {
            bail!("{url} is no address of a gateway: it must begin with http://");
        }
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Ok(Self {
            agent: ureq::Agent::new_with_config(config),
            url: url.trim_end_matches('/').to_string(),
            received: AtomicU64::new(0),
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }

    /// A client that reads shorter answers only.
    pub(crate) fn limited(mut self, answer_bytes_max: u64) -> Self {
        self.answer_bytes_max = answer_bytes_max;
        self
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Bytes of all answers so far, heads included.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let found = self.find(path)?;
        found.with_context(|| format!("{}{path}: there is no such thing, or not yet", self.url))
    }

    /// The same for a person: what the gateway says of what it does not have, and what to do where
    /// there is no gateway.
    pub(crate) fn ask(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let answer = self.agent.get(&url).call();
        let (status, body) = self.body(&url, answer, self.answer_bytes_max).with_context(|| {
            format!(
                "no node at {}: start one with `atoll dev`, or name another with --url",
                self.url
            )
        })?;
        let value: Value = serde_json::from_slice(&body)
            .with_context(|| format!("{url} answers with status {status} and no JSON"))?;
        match (status, value["error"]["message"].as_str()) {
            (200..300, _) => Ok(value),
            (_, Some(message)) => bail!("{message}"),
            _ => Err(refused(&url, status, &value)),
        }
    }

    /// What is at a path, if anything is.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Value>> {
        let url = format!("{}{path}", self.url);
        let answer = self.agent.get(&url).call();
        self.read(&url, answer)
    }

    /// The canonical encoding of what is at a path, if anything is: at most `most` bytes.
    pub(crate) fn bytes(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let url = format!("{}{path}", self.url);
        let answer = self.agent.get(&url).header("accept", "application/octet-stream").call();
        let (status, body) = self.body(&url, answer, most)?;
        match status {
            200..300 => Ok(Some(body)),
            404 => Ok(None),
            _ => Err(refused(&url, status, &serde_json::from_slice(&body).unwrap_or_default())),
        }
    }

    /// Posts a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.post(&url).header("content-type", "application/json");
        let found = self.read(&url, request.send(body.to_string().as_bytes()))?;
        found.with_context(|| format!("{url}: there is no such path"))
    }

    fn read(&self, url: &str, answer: Answer) -> Result<Option<Value>> {
        let (status, body) = self.body(url, answer, self.answer_bytes_max)?;
        let value: Value = serde_json::from_slice(&body)
            .with_context(|| format!("{url} answers with status {status} and no JSON"))?;
        match status {
            200..300 => Ok(Some(value)),
            404 => Ok(None),
            _ => Err(refused(url, status, &value)),
        }
    }

    fn body(&self, url: &str, answer: Answer, most: u64) -> Result<(u16, Vec<u8>)> {
        let mut answer = answer.with_context(|| format!("{url} does not answer"))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(most).read_to_vec();
        let body = body.with_context(|| format!("{url} does not answer in full"))?;
        self.received.fetch_add(size(&answer, body.len()), Relaxed);
        Ok((status, body))
    }
}

type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn refused(url: &str, status: u16, value: &Value) -> anyhow::Error {
    let message = value["error"]["message"].as_str().unwrap_or("no reason given");
    anyhow!("{url}: {message} (status {status})")
}
