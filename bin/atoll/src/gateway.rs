//! A blocking client of a gateway's HTTP API: bounded, with timeouts, for commands.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::time::Duration;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// A gateway.
pub(crate) struct Gateway {
    agent: ureq::Agent,
    url: String,
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
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let found = self.find(path)?;
        found.with_context(|| format!("{}{path}: there is no such thing, or not yet", self.url))
    }

    /// What is at a path, if anything is.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Value>> {
        let url = format!("{}{path}", self.url);
        let answer = self.agent.get(&url).call();
        read(&url, answer)
    }

    /// Posts a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.post(&url).header("content-type", "application/json");
        let found = read(&url, request.send(body.to_string().as_bytes()))?;
        found.with_context(|| format!("{url}: there is no such path"))
    }
}

fn read(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Option<Value>> {
    let mut answer = answer.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.with_context(|| format!("{url} does not answer in full"))?;
    let value: Value = serde_json::from_slice(&body)
        .with_context(|| format!("{url} answers with status {status} and no JSON"))?;
    match status {
        200..300 => Ok(Some(value)),
        404 => Ok(None),
        _ => {
            let message = value["error"]["message"].as_str().unwrap_or("no reason given");
            bail!("{url}: {message} (status {status})")
        }
    }
}
