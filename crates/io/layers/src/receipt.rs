//! Receipts: where a batch of spans was published, and how far publishing has come.
//!
//! Version 1. Integers are little-endian, numbers of things varints, options a byte and the thing:
//!
//! ```text
//! version (1) ‖ layer (1) ‖ first slot (8) ‖ last slot (8) ‖ bytes (8) ‖ sha256 (32)
//!   ‖ planned (varint) ‖ count (varint) ‖ count × publication
//! ```

use crate::batch::SpanBatch;
use crate::layer::LayerError;
use atoll_da::Namespace;
use atoll_types::codec::put_varint;
use atoll_types::{Address, B256, CodecError, Decode, Encode, Reader, sha256};
use std::fmt;

/// Version of the encoding.
pub const RECEIPT_VERSION: u8 = 1;
/// Most transactions that one batch is published by.
pub const PARTS_MAX: u32 = 4_096;
/// Most blobs in one transaction, of any layer.
const NAMES_MAX: u32 = 4_096;
/// Most times that one transaction is sent with higher fees.
const ATTEMPTS_MAX: u32 = 64;

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Celestia.
    Celestia,
    /// Ethereum's blobs.
    EthereumBlobs,
}

impl Layer {
    /// The name that the command line and files know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Celestia => "celestia",
            Self::EthereumBlobs => "blobs",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a batch is on a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The layer.
    pub layer: Layer,
    /// First slot of the batch.
    pub first_slot: u64,
    /// Last slot of the batch.
    pub last_slot: u64,
    /// Bytes of the batch's encoding.
    pub bytes: u64,
    /// Hash of the batch's encoding.
    pub payload: B256,
    /// Transactions that it takes; 0 before that is known.
    pub planned: u32,
    /// The transactions so far, in order; only the last may not be in a block yet.
    pub parts: Vec<Publication>,
}

/// One transaction of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// On Celestia.
    Celestia(Submission),
    /// On Ethereum.
    Blobs(BlobTransaction),
}

/// Blobs that a Celestia node was given together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The blobs, in order.
    pub blobs: Vec<SubmittedBlob>,
    /// The chain's height when they were given.
    pub after: u64,
    /// The height whose block has them.
    pub height: Option<u64>,
}

/// A blob on Celestia.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmittedBlob {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its share commitment.
    pub commitment: B256,
}

/// A transaction with blobs on Ethereum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobTransaction {
    /// The chain.
    pub chain_id: u64,
    /// Who sends it.
    pub from: Address,
    /// The sender's nonce.
    pub nonce: u64,
    /// Versioned hashes of its blobs, in order.
    pub hashes: Vec<B256>,
    /// The transaction with each of its fees so far, the last sent last.
    pub attempts: Vec<Attempt>,
    /// The block that has one of them, and which.
    pub block: Option<Block>,
}

/// A transaction at its fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its hash.
    pub transaction: B256,
    /// Priority fee per gas, wei.
    pub tip_wei: u128,
    /// Most per gas, wei.
    pub max_fee_wei: u128,
    /// Most per gas of blobs, wei.
    pub max_blob_fee_wei: u128,
}

/// A block of Ethereum with one of our transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, seconds.
    pub time_s: u64,
    /// Which of the attempts it has.
    pub attempt: u8,
}

impl Publication {
    /// The layer's block that has it.
    pub fn block(&self) -> Option<u64> {
        match self {
            Self::Celestia(submission) => submission.height,
            Self::Blobs(transaction) => transaction.block.map(|block| block.number),
        }
    }
}

impl Receipt {
    /// Of a batch of which nothing was published yet.
    pub fn new(layer: Layer, batch: &SpanBatch) -> Self {
        let (payload, (first_slot, last_slot)) = (batch.to_bytes(), batch.slots());
        Self {
            layer,
            first_slot,
            last_slot,
            bytes: payload.len() as u64,
            payload: sha256(&[&payload]),
            planned: 0,
            parts: Vec::new(),
        }
    }

    /// Whether all of the batch is in blocks.
    pub fn is_complete(&self) -> bool {
        self.planned > 0
            && self.parts.len() as u64 == u64::from(self.planned)
            && self.parts.iter().all(|part| part.block().is_some())
    }

    /// Whether it is about this batch on this layer.
    pub fn is_about(&self, layer: Layer, batch: &SpanBatch) -> bool {
        let fresh = Self::new(layer, batch);
        Self { planned: 0, parts: Vec::new(), ..self.clone() } == fresh
    }

    /// First and last block, of a receipt that is complete.
    ///
    /// # Errors
    /// A receipt that is not.
    pub fn blocks(&self) -> Result<(u64, u64), LayerError> {
        let blocks = || self.parts.iter().filter_map(Publication::block);
        match (self.is_complete(), blocks().min(), blocks().max()) {
            (true, Some(first), Some(last)) => Ok((first, last)),
            _ => Err(LayerError::BadReceipt("not all of it is published yet")),
        }
    }
}

fn put_option(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
}

impl Encode for Receipt {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(RECEIPT_VERSION);
        out.push(match self.layer {
            Layer::Celestia => 1,
            Layer::EthereumBlobs => 2,
        });
        for word in [self.first_slot, self.last_slot, self.bytes] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(self.payload.as_slice());
        put_varint(out, u64::from(self.planned));
        put_varint(out, self.parts.len() as u64);
        for part in &self.parts {
            match part {
                Publication::Celestia(submission) => submission.encode(out),
                Publication::Blobs(transaction) => transaction.encode(out),
            }
        }
    }
}

impl Decode for Receipt {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.u8()? != RECEIPT_VERSION {
            return Err(CodecError::Invalid("version of a receipt"));
        }
        let layer = match r.u8()? {
            1 => Layer::Celestia,
            2 => Layer::EthereumBlobs,
            _ => return Err(CodecError::Invalid("layer of a receipt")),
        };
        let (first_slot, last_slot, bytes) = (r.u64()?, r.u64()?, r.u64()?);
        let payload = r.b256()?;
        let planned = r.length("planned parts of a receipt", PARTS_MAX)?;
        let mut parts = Vec::new();
        for _ in 0..r.length("parts of a receipt", PARTS_MAX)? {
            parts.push(match layer {
                Layer::Celestia => Publication::Celestia(Submission::decode(r)?),
                Layer::EthereumBlobs => Publication::Blobs(BlobTransaction::decode(r)?),
            });
        }
        if parts.len() as u64 > u64::from(planned) {
            return Err(CodecError::Invalid("parts of a receipt: more than planned"));
        }
        Ok(Self { layer, first_slot, last_slot, bytes, payload, planned, parts })
    }
}

impl Encode for Submission {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.blobs.len() as u64);
        for blob in &self.blobs {
            blob.namespace.encode(out);
            out.extend_from_slice(blob.commitment.as_slice());
        }
        out.extend_from_slice(&self.after.to_le_bytes());
        put_option(out, self.height.map(u64::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
    }
}

impl Decode for Submission {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut blobs = Vec::new();
        for _ in 0..r.length("blobs of a submission", NAMES_MAX)? {
            let (namespace, commitment) = (Namespace::decode(r)?, r.b256()?);
            blobs.push(SubmittedBlob { namespace, commitment });
        }
        let after = r.u64()?;
        let height = if r.bool()? { Some(r.u64()?) } else { None };
        Ok(Self { blobs, after, height })
    }
}

impl Encode for BlobTransaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chain_id.to_le_bytes());
        out.extend_from_slice(self.from.as_slice());
        out.extend_from_slice(&self.nonce.to_le_bytes());
        put_varint(out, self.hashes.len() as u64);
        self.hashes.iter().for_each(|hash| out.extend_from_slice(hash.as_slice()));
        put_varint(out, self.attempts.len() as u64);
        for attempt in &self.attempts {
            out.extend_from_slice(attempt.transaction.as_slice());
            for fee in [attempt.tip_wei, attempt.max_fee_wei, attempt.max_blob_fee_wei] {
                out.extend_from_slice(&fee.to_le_bytes());
            }
        }
        let block = self.block.map(|block| {
            let Block { number, hash, time_s, attempt } = block;
            [&number.to_le_bytes()[..], &hash[..], &time_s.to_le_bytes(), &[attempt]].concat()
        });
        put_option(out, block.as_deref());
    }
}

impl Decode for BlobTransaction {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (chain_id, from, nonce) = (r.u64()?, r.address()?, r.u64()?);
        let mut hashes = Vec::new();
        for _ in 0..r.length("blobs of a transaction", NAMES_MAX)? {
            hashes.push(r.b256()?);
        }
        let mut attempts = Vec::new();
        for _ in 0..r.length("attempts of a transaction", ATTEMPTS_MAX)? {
            let transaction = r.b256()?;
            let mut fee = || r.array().map(u128::from_le_bytes);
            let (tip_wei, max_fee_wei, max_blob_fee_wei) = (fee()?, fee()?, fee()?);
            attempts.push(Attempt { transaction, tip_wei, max_fee_wei, max_blob_fee_wei });
        }
        let mut block = None;
        if r.bool()? {
            let (number, hash, time_s, attempt) = (r.u64()?, r.b256()?, r.u64()?, r.u8()?);
            if usize::from(attempt) >= attempts.len() {
                return Err(CodecError::Invalid("attempt of a transaction"));
            }
            block = Some(Block { number, hash, time_s, attempt });
        }
        Ok(Self { chain_id, from, nonce, hashes, attempts, block })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(layer: Layer) -> Receipt {
        let part = match layer {
            Layer::Celestia => Publication::Celestia(Submission {
                blobs: vec![SubmittedBlob {
                    namespace: Namespace::from_bytes([3; 29]),
                    commitment: B256::repeat_byte(4),
                }],
                after: 77,
                height: Some(80),
            }),
            Layer::EthereumBlobs => Publication::Blobs(BlobTransaction {
                chain_id: 1,
                from: Address::repeat_byte(5),
                nonce: 6,
                hashes: vec![B256::repeat_byte(1); 2],
                attempts: vec![Attempt {
                    transaction: B256::repeat_byte(7),
                    tip_wei: 1,
                    max_fee_wei: 2,
                    max_blob_fee_wei: 3,
                }],
                block: Some(Block {
                    number: 9,
                    hash: B256::repeat_byte(8),
                    time_s: 1_700_000_000,
                    attempt: 0,
                }),
            }),
        };
        Receipt {
            layer,
            first_slot: 1,
            last_slot: 50,
            bytes: 1_000,
            payload: B256::repeat_byte(9),
            planned: 1,
            parts: vec![part],
        }
    }

    #[test]
    fn encodings_are_golden_and_read_back_strictly() {
        for (layer, golden) in [
            (Layer::Celestia, "0x5cf1c9a9b8ce48919486ffcd9e16cd022dfcc092b6a19db3f97fcc10a6d5513a"),
            (
                Layer::EthereumBlobs,
                "0x7a2d4926869567a234f69476a3084411fcd2eb9ac112bb18f971387375eecf0c",
            ),
        ] {
            let receipt = receipt(layer);
            let bytes = receipt.to_bytes();
            assert_eq!(sha256(&[&bytes]).to_string(), golden);
            assert_eq!(Receipt::from_bytes(&bytes).unwrap(), receipt);
            assert!((0..bytes.len()).all(|n| Receipt::from_bytes(&bytes[..n]).is_err()));
            assert!(Receipt::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
            assert!(receipt.is_complete());
        }
        let mut more = receipt(Layer::Celestia);
        more.planned = 0;
        assert!(Receipt::from_bytes(&more.to_bytes()).is_err());
        let mut open = receipt(Layer::EthereumBlobs);
        open.planned = 2;
        assert!(!open.is_complete() && open.blocks().is_err());
        if let Publication::Blobs(transaction) = &mut open.parts[0] {
            transaction.block.as_mut().unwrap().attempt = 1;
        }
        assert!(Receipt::from_bytes(&open.to_bytes()).is_err());
    }
}
