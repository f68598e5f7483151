//! One transaction until a block has it.

use super::sidecar::{self, Proofs};
use super::{EthereumBlobs, as_blobs, fails};
use crate::layer::{Keep, LayerError};
use crate::receipt::{Attempt, BlobTransaction, Publication, Receipt};
use alloy_eips::eip4844::Blob;
use alloy_primitives::B256;
use atoll_ethereum::{BlockId, ClientError, SendRefusal};
use atoll_types::crypto::SigningKey;
use serde_json::json;
use std::time::{Duration, Instant};

/// Most attempts at one transaction: fees have grown some thousandfold by then.
const ATTEMPTS_MAX: usize = 12;

/// What became of sending.
#[derive(PartialEq, Eq)]
enum Sent {
    /// The node has it.
    Taken,
    /// Its nonce is used.
    NonceUsed,
    /// The node wants higher fees.
    Underpriced,
}

impl EthereumBlobs {
    /// Publishes `blobs` as part `index` of a receipt whose earlier parts are in blocks.
    pub(super) fn publish_part(
        &mut self,
        index: usize,
        blobs: &[Blob],
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        let (started, mut sent) = (Instant::now(), None::<Instant>);
        loop {
            if receipt.parts.len() <= index {
                let part = self.new_part(blobs)?;
                receipt.parts.push(Publication::Blobs(part));
                // Kept before anything is sent: after a crash the same transaction is sent again.
                keep(receipt)?;
            }
            let part = as_blobs(&receipt.parts[index])?.clone();
            if let Some(found) = self.find(&part)? {
                if part.block != Some(found) {
                    receipt.parts[index] =
                        Publication::Blobs(BlobTransaction { block: Some(found), ..part });
                    keep(receipt)?;
                }
                return Ok(());
            }
            let key = self.key()?.clone();
            if part.from != key.address() {
                return Err(LayerError::Config(format!(
                    "{} has begun to publish this span: its key is needed to go on",
                    part.from
                )));
            }
            let due = sent.is_none_or(|at| at.elapsed().as_millis() as u64 > self.options.bump_ms);
            if due {
                let mut outcome = match sent {
                    None => self.send(&part, &key, blobs)?,
                    Some(_) => Sent::Underpriced,
                };
                if outcome == Sent::Underpriced {
                    let part = self.bumped(&part, &key)?;
                    receipt.parts[index] = Publication::Blobs(part.clone());
                    keep(receipt)?;
                    outcome = self.send(&part, &key, blobs)?;
                }
                if outcome == Sent::NonceUsed {
                    self.nonce_used(index, receipt, keep)?;
                    continue;
                }
                sent = Some(Instant::now());
            }
            if started.elapsed() > Duration::from_millis(self.options.wait_ms) {
                let last = part.attempts.last().map(|attempt| attempt.transaction);
                let what = format!("transaction {}", last.unwrap_or_default());
                return Err(LayerError::Waiting(what));
            }
            std::thread::sleep(Duration::from_millis(self.options.poll_ms));
        }
    }

    fn key(&self) -> Result<&SigningKey, LayerError> {
        let key = self.options.key.as_ref();
        key.ok_or_else(|| LayerError::Config("no key to pay for blobs with".into()))
    }

    /// The block of any of a part's attempts.
    fn find(&self, part: &BlobTransaction) -> Result<Option<crate::Block>, LayerError> {
        for (attempt, fees) in (0u8..).zip(&part.attempts) {
            if let Some(block) = self.block_of(fees.transaction, attempt)? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// The nonce of a part is used by something on the chain. By one of its own attempts, if that
    /// came into a block just now; else the part begins again.
    fn nonce_used(
        &self,
        index: usize,
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        let part = as_blobs(&receipt.parts[index])?;
        let used = self.client.nonce(part.from, BlockId::Latest).map_err(fails)? > part.nonce;
        if used && self.find(part)?.is_none() {
            // Later parts of a reorganised receipt begin again with it.
            receipt.parts.truncate(index);
            keep(receipt)?;
        }
        Ok(())
    }

    fn new_part(&mut self, blobs: &[Blob]) -> Result<BlobTransaction, LayerError> {
        let chain_id = self.chain_id()?;
        let key = self.key()?.clone();
        let from = key.address();
        let nonce = self.client.nonce(from, BlockId::Latest).map_err(fails)?;
        let hashes = blobs.iter().map(sidecar::versioned_hash).collect::<Result<Vec<_>, _>>()?;
        let fees = self.fees()?;
        let mut part =
            BlobTransaction { chain_id, from, nonce, hashes, attempts: Vec::new(), block: None };
        let transaction = sidecar::hash(&part, &fees, &key);
        part.attempts.push(Attempt { transaction, ..fees });
        Ok(part)
    }

    /// Fees for the next block, with room for a few full ones.
    fn fees(&self) -> Result<Attempt, LayerError> {
        let latest = self.client.block(BlockId::Latest).map_err(fails)?;
        let base_wei = latest.map_or(0, |block| block.base_fee_wei);
        let answer = self.client.request("eth_blobBaseFee", json!([])).map_err(fails)?;
        let digits = answer.as_str().and_then(|text| text.strip_prefix("0x"));
        let blob_base_wei = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let blob_base_wei = blob_base_wei
            .ok_or_else(|| LayerError::Unreachable("it tells no base fee of blobs".into()))?;
        let (cap, blob_cap) = (self.options.max_fee_cap_wei, self.options.max_blob_fee_cap_wei);
        if base_wei > cap || blob_base_wei > blob_cap {
            let what = format!(
                "fees of {base_wei} wei per gas and {blob_base_wei} per gas of blobs are above \
                 what may be paid"
            );
            return Err(LayerError::Waiting(what));
        }
        let tip_wei = self.client.suggested_tip_wei().map_err(fails)?.clamp(1, cap.max(1));
        Ok(Attempt {
            transaction: B256::ZERO,
            tip_wei,
            max_fee_wei: base_wei.saturating_mul(2).saturating_add(tip_wei).min(cap),
            max_blob_fee_wei: blob_base_wei.saturating_mul(2).max(1).min(blob_cap),
        })
    }

    /// The part with one more attempt, at twice the fees: less does not replace a transaction with
    /// blobs.
    fn bumped(
        &self,
        part: &BlobTransaction,
        key: &SigningKey,
    ) -> Result<BlobTransaction, LayerError> {
        let last = part.attempts.last().ok_or(LayerError::BadReceipt("a part has no attempt"))?;
        let now = self.fees()?;
        let fees = Attempt {
            transaction: B256::ZERO,
            tip_wei: now.tip_wei.max(last.tip_wei.saturating_mul(2)),
            max_fee_wei: now.max_fee_wei.max(last.max_fee_wei.saturating_mul(2)),
            max_blob_fee_wei: now.max_blob_fee_wei.max(last.max_blob_fee_wei.saturating_mul(2)),
        };
        let Attempt { max_fee_wei, max_blob_fee_wei, .. } = fees;
        let options = &self.options;
        if max_fee_wei > options.max_fee_cap_wei
            || max_blob_fee_wei > options.max_blob_fee_cap_wei
            || part.attempts.len() >= ATTEMPTS_MAX
        {
            let what = format!("transaction {}, and fees may not be higher", last.transaction);
            return Err(LayerError::Waiting(what));
        }
        let transaction = sidecar::hash(part, &fees, key);
        let mut part = part.clone();
        part.attempts.push(Attempt { transaction, ..fees });
        Ok(part)
    }

    /// Sends the last attempt of a part.
    fn send(
        &mut self,
        part: &BlobTransaction,
        key: &SigningKey,
        blobs: &[Blob],
    ) -> Result<Sent, LayerError> {
        let fees = part.attempts.last().ok_or(LayerError::BadReceipt("a part has no attempt"))?;
        let mut refused: Option<ClientError> = None;
        let other = match self.proofs {
            Proofs::Cells => Proofs::Blobs,
            Proofs::Blobs => Proofs::Cells,
        };
        // The proofs are not under the transaction's hash: a chain that does not take the one kind
        // is given the other.
        for proofs in [self.proofs, other] {
            let raw = sidecar::network_bytes(part, fees, key, blobs.to_vec(), proofs)?;
            let Err(error) = self.client.send_raw(&raw) else {
                self.proofs = proofs;
                return Ok(Sent::Taken);
            };
            match error.send_refusal() {
                SendRefusal::AlreadyKnown => return Ok(Sent::Taken),
                SendRefusal::NonceTooLow => return Ok(Sent::NonceUsed),
                SendRefusal::Underpriced => return Ok(Sent::Underpriced),
                SendRefusal::InsufficientFunds => return Err(fails(error)),
                SendRefusal::Other if error.is_temporary() => return Err(fails(error)),
                SendRefusal::Other => refused = refused.or(Some(error)),
            }
        }
        Err(refused.map_or(LayerError::Refused("no reason given".into()), fails))
    }
}
