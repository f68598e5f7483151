//! Ethereum's blobs (EIP-4844, EIP-7594).
//!
//! A batch's encoding is cut into [chunks](crate::chunk), one a blob ([`field`]), and published by
//! transactions of at most six blobs from an account that does nothing else: its nonces are the
//! order. A transaction's fees double when no block takes it. Names are versioned hashes; blobs
//! that are retrieved are named again from their content, so nothing is believed about them.
//!
//! What remains the execution node's word: that a transaction is in the block it names and that
//! the block is final. The transaction itself is rebuilt and its hash compared.
//!
//! Nodes keep blobs for some 18 days; later, `beacon_url` must be an archive's.

mod beacon;
pub mod field;
mod sending;
pub mod sidecar;

use crate::batch::SpanBatch;
use crate::chunk::{self, Chunk};
use crate::layer::{DataLayer, Inclusion, Keep, LayerError};
use crate::receipt::{BlobTransaction, Block, Layer, Publication, Receipt};
use alloy_eips::eip4844::Blob;
use alloy_primitives::{B256, U256};
use atoll_ethereum::{BlockId, Client, ClientError, Limits};
use atoll_types::crypto::{Signature, SigningKey};
use atoll_types::{Decode, Encode, sha256};
use beacon::Beacon;
use field::BLOB_CAPACITY;
use serde_json::{Value, json};
use sidecar::Proofs;
use std::collections::BTreeMap;

/// Blobs in one transaction: what chains since Osaka take.
pub const BLOBS_PER_TRANSACTION: usize = 6;

/// How to publish to Ethereum, and what to spend.
#[derive(Clone, Debug)]
pub struct Options {
    /// The execution node's JSON-RPC.
    pub rpc_url: String,
    /// The consensus node's beacon interface.
    pub beacon_url: String,
    /// Pays for blobs. Nothing else may send from it. `None` only reads.
    pub key: Option<SigningKey>,
    /// Longest that one call of [`DataLayer::publish`] waits for blocks, milliseconds.
    pub wait_ms: u64,
    /// How often it looks, milliseconds.
    pub poll_ms: u64,
    /// After how long in no block fees are doubled, milliseconds.
    pub bump_ms: u64,
    /// Most that is paid per gas, wei.
    pub max_fee_cap_wei: u128,
    /// Most that is paid per gas of blobs, wei.
    pub max_blob_fee_cap_wei: u128,
}

impl Options {
    /// With a node that answers both interfaces at `url`, and usual limits.
    pub fn new(url: &str) -> Self {
        Self {
            rpc_url: url.into(),
            beacon_url: url.into(),
            key: None,
            wait_ms: 60_000,
            poll_ms: 1_000,
            bump_ms: 60_000,
            max_fee_cap_wei: 500_000_000_000,
            max_blob_fee_cap_wei: 500_000_000_000,
        }
    }
}

/// Ethereum as a layer.
#[derive(Debug)]
pub struct EthereumBlobs {
    client: Client,
    beacon: Beacon,
    options: Options,
    chain_id: Option<u64>,
    proofs: Proofs,
}

pub(crate) fn fails(error: ClientError) -> LayerError {
    match error.is_temporary() {
        true => LayerError::Unreachable(error.to_string()),
        false => LayerError::Refused(error.to_string()),
    }
}

/// The blobs of a batch, in order.
fn blobs_of(batch: &SpanBatch) -> Result<Vec<Blob>, LayerError> {
    let chunks = chunk::cut(batch.slots(), &batch.to_bytes(), BLOB_CAPACITY)?;
    chunks.iter().map(|chunk| field::pack(chunk)).collect()
}

fn as_blobs(part: &Publication) -> Result<&BlobTransaction, LayerError> {
    match part {
        Publication::Blobs(transaction) => Ok(transaction),
        Publication::Celestia(_) => Err(LayerError::BadReceipt("it is of another layer")),
    }
}

impl EthereumBlobs {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub fn new(options: Options) -> Result<Self, LayerError> {
        let config = |error: ClientError| LayerError::Config(error.to_string());
        let client = Client::new(&options.rpc_url, Limits::default()).map_err(config)?;
        let beacon = Beacon::new(&options.beacon_url);
        Ok(Self { client, beacon, options, chain_id: None, proofs: Proofs::Cells })
    }

    fn chain_id(&mut self) -> Result<u64, LayerError> {
        if let Some(known) = self.chain_id {
            return Ok(known);
        }
        let id = self.client.chain_id().map_err(fails)?;
        Ok(*self.chain_id.insert(id))
    }

    /// The block that has a transaction, if it is on the chain.
    fn block_of(&self, transaction: B256, attempt: u8) -> Result<Option<Block>, LayerError> {
        let Some(found) = self.client.receipt(transaction).map_err(fails)? else {
            return Ok(None);
        };
        let block = self.client.block(BlockId::Number(found.block)).map_err(fails)?;
        Ok(block.filter(|block| block.hash == found.block_hash).map(|block| Block {
            number: block.number,
            hash: block.hash,
            time_s: block.time_s,
            attempt,
        }))
    }

    /// Checks one transaction: its hashes, its hash, its block. Gives whether the block is final.
    fn check(&self, part: &BlobTransaction, hashes: &[B256]) -> Result<bool, LayerError> {
        let block = part.block.ok_or(LayerError::BadReceipt("a part is in no block"))?;
        let attempt = part.attempts.get(usize::from(block.attempt));
        let attempt = attempt.ok_or(LayerError::BadReceipt("a part has no transaction"))?;
        if part.hashes != hashes {
            return Err(LayerError::BadReceipt("it names other blobs than the batch's"));
        }
        let hash = attempt.transaction;
        let gone = || LayerError::NotIncluded(format!("transaction {hash} is in no block"));
        let params = json!([hash.to_string()]);
        let tx = self.client.request("eth_getTransactionByHash", params).map_err(fails)?;
        if tx.is_null() {
            return Err(gone());
        }
        let word = |name: &str| -> Result<U256, LayerError> {
            let text = tx.get(name).and_then(Value::as_str).unwrap_or_default();
            let word = text.strip_prefix("0x").and_then(|s| U256::from_str_radix(s, 16).ok());
            word.ok_or_else(|| LayerError::Unreachable(format!("transaction {hash} has no {name}")))
        };
        let parity = word("yParity").or_else(|_| word("v"))?;
        let (r, s) = (word("r")?.to_be_bytes(), word("s")?.to_be_bytes());
        let signature = Signature { r, s, y_parity: u8::from(parity == U256::from(1)) };
        if sidecar::signer(part, attempt, &signature)? != part.from {
            return Err(LayerError::Forged(format!("transaction {hash} is of another sender")));
        }
        match self.block_of(hash, block.attempt)? {
            Some(found) if found == block => {}
            Some(found) => {
                return Err(LayerError::NotIncluded(format!(
                    "transaction {hash} is in block {} now: publish again to note that",
                    found.number
                )));
            }
            None => return Err(gone()),
        }
        let finalised = self.client.block(BlockId::Finalized).map_err(fails)?;
        Ok(finalised.is_some_and(|last| last.number >= block.number))
    }
}

impl DataLayer for EthereumBlobs {
    fn layer(&self) -> Layer {
        Layer::EthereumBlobs
    }

    fn publish(
        &mut self,
        batch: &SpanBatch,
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        if !receipt.is_about(Layer::EthereumBlobs, batch) {
            return Err(LayerError::BadReceipt("it is of another batch or layer"));
        }
        let blobs = blobs_of(batch)?;
        let groups = blobs.chunks(BLOBS_PER_TRANSACTION);
        receipt.planned = groups.len() as u32;
        for (index, group) in groups.enumerate() {
            self.publish_part(index, group, receipt, keep)?;
        }
        Ok(())
    }

    fn retrieve(&self, receipt: &Receipt) -> Result<SpanBatch, LayerError> {
        let slots = (receipt.first_slot, receipt.last_slot);
        receipt.blocks()?;
        let mut found = Vec::new();
        // Blobs by their content's name, of the block last asked for.
        let mut of_block: (Option<B256>, BTreeMap<B256, Blob>) = Default::default();
        for part in &receipt.parts {
            let part = as_blobs(part)?;
            let block = part.block.ok_or(LayerError::BadReceipt("a part is in no block"))?;
            if of_block.0 != Some(block.hash) {
                let mut named = BTreeMap::new();
                for blob in self.beacon.blobs(&block)? {
                    named.insert(sidecar::versioned_hash(&blob)?, blob);
                }
                of_block = (Some(block.hash), named);
            }
            for hash in &part.hashes {
                let blob = of_block.1.get(hash).ok_or_else(|| {
                    LayerError::Missing(format!("blob {hash} is not in block {}", block.number))
                })?;
                found.push(field::unpack(blob)?);
            }
        }
        let chunks = found.iter().map(|bytes| Chunk::read(bytes)).collect::<Result<Vec<_>, _>>()?;
        let payload = chunk::join(slots, &chunks)?;
        if sha256(&[&payload]) != receipt.payload {
            return Err(LayerError::Forged("it has another hash than the receipt's".into()));
        }
        Ok(SpanBatch::from_bytes(&payload)?)
    }

    fn verify(&self, receipt: &Receipt, batch: &SpanBatch) -> Result<Inclusion, LayerError> {
        if !receipt.is_about(Layer::EthereumBlobs, batch) {
            return Err(LayerError::BadReceipt("it is of another batch or layer"));
        }
        let (first_block, last_block) = receipt.blocks()?;
        let blobs = blobs_of(batch)?;
        let groups = blobs.chunks(BLOBS_PER_TRANSACTION);
        if groups.len() != receipt.parts.len() {
            return Err(LayerError::BadReceipt("it has another number of parts"));
        }
        let mut finalised = true;
        for (group, part) in groups.zip(&receipt.parts) {
            let hashes =
                group.iter().map(sidecar::versioned_hash).collect::<Result<Vec<_>, _>>()?;
            finalised &= self.check(as_blobs(part)?, &hashes)?;
        }
        Ok(Inclusion { first_block, last_block, finalised })
    }
}
