//! The beacon interface of a consensus node, as far as blobs need it.
//!
//! Blobs are asked for by slot: `GET /eth/v1/beacon/blobs/{slot}`, or `blob_sidecars` from nodes
//! that do not know that yet. A block's slot follows from its time. A development chain without
//! slots (it answers 404 to `/eth/v1/config/spec`) is asked by block number.

use crate::layer::LayerError;
use crate::receipt::Block;
use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob};
use alloy_primitives::hex;
use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;

/// Longest answer that is read: more blobs than any block has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a chain numbers what it has blobs for.
#[derive(Clone, Copy, Debug)]
enum Numbering {
    Slots { genesis_s: u64, slot_s: u64 },
    Blocks,
}

/// A consensus node.
#[derive(Debug)]
pub(super) struct Beacon {
    agent: ureq::Agent,
    url: String,
    numbering: OnceLock<Numbering>,
}

impl Beacon {
    pub(super) fn new(url: &str) -> Self {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .proxy(None)
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_global(Some(TIMEOUT))
                .build(),
        );
        Self { agent, url: url.trim_end_matches('/').into(), numbering: OnceLock::new() }
    }

    /// An answer; none where the node has nothing by that path.
    fn get(&self, path: &str) -> Result<Option<Value>, LayerError> {
        let fails = |error: ureq::Error| LayerError::Unreachable(format!("{path}: {error}"));
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().map_err(fails)?;
        let status = response.status().as_u16();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(fails)?;
        match status {
            200 => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| LayerError::Unreachable(format!("{path}: {error}"))),
            404 | 405 | 410 | 501 => Ok(None),
            _ => Err(LayerError::Unreachable(format!(
                "{path}: HTTP status {status}: {}",
                String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>()
            ))),
        }
    }

    fn number(&self, value: Option<&Value>, name: &str) -> Result<u64, LayerError> {
        let number = value.and_then(|value| value["data"][name].as_str()?.parse().ok());
        number.ok_or_else(|| LayerError::Unreachable(format!("{} tells no {name}", self.url)))
    }

    fn numbering(&self) -> Result<Numbering, LayerError> {
        if let Some(known) = self.numbering.get() {
            return Ok(*known);
        }
        let spec = self.get("/eth/v1/config/spec")?;
        let found = match &spec {
            None => Numbering::Blocks,
            spec => {
                let genesis = self.get("/eth/v1/beacon/genesis")?;
                Numbering::Slots {
                    genesis_s: self.number(genesis.as_ref(), "genesis_time")?,
                    slot_s: self.number(spec.as_ref(), "SECONDS_PER_SLOT")?.max(1),
                }
            }
        };
        Ok(*self.numbering.get_or_init(|| found))
    }

    /// All blobs of a block, as the node has them.
    pub(super) fn blobs(&self, block: &Block) -> Result<Vec<Blob>, LayerError> {
        let id = match self.numbering()? {
            Numbering::Blocks => block.number,
            Numbering::Slots { genesis_s, slot_s } => {
                block.time_s.saturating_sub(genesis_s) / slot_s
            }
        };
        let missing =
            || LayerError::Missing(format!("{} has no blobs of block {}", self.url, block.number));
        let found = match self.get(&format!("/eth/v1/beacon/blobs/{id}"))? {
            Some(found) => found,
            None => self.get(&format!("/eth/v1/beacon/blob_sidecars/{id}"))?.ok_or_else(missing)?,
        };
        let list = found["data"].as_array().ok_or_else(missing)?;
        let blob = |value: &Value| {
            let text = value.as_str().or_else(|| value["blob"].as_str()).unwrap_or_default();
            let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() == BYTES_PER_BLOB);
            bytes.and_then(|bytes| Blob::try_from(bytes.as_slice()).ok())
        };
        let blobs: Option<Vec<Blob>> = list.iter().map(blob).collect();
        blobs.ok_or_else(|| {
            LayerError::Unreachable(format!("{} gives blobs that are none", self.url))
        })
    }
}
