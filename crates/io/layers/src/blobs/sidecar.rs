//! Commitments, proofs and transactions, by alloy and c-kzg.

use crate::layer::LayerError;
use crate::receipt::{Attempt, BlobTransaction};
use alloy_consensus::{SignableTransaction, TxEip4844, TxEip4844WithSidecar};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::{Blob, BlobTransactionSidecar, kzg_to_versioned_hash};
use alloy_eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use atoll_types::crypto::{self, SigningKey};

/// Gas of a transaction that does nothing but carry blobs.
const GAS: u64 = 21_000;

/// What proves blobs to the nodes that take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// A proof for each cell (EIP-7594): chains since Osaka.
    Cells,
    /// A proof for each blob (EIP-4844): chains before.
    Blobs,
}

fn kzg(error: c_kzg::Error) -> LayerError {
    LayerError::Config(format!("KZG: {error:?}"))
}

/// Without tables that only pay when proofs are made all day.
fn settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

/// The versioned hash that a blob's content gives.
pub fn versioned_hash(blob: &Blob) -> Result<B256, LayerError> {
    let blob = c_kzg::Blob::from_bytes(blob.as_slice()).map_err(kzg)?;
    let forged = |_| LayerError::Forged("a blob is not of field elements".into());
    let commitment = settings().blob_to_kzg_commitment(&blob).map_err(forged)?;
    Ok(kzg_to_versioned_hash(commitment.as_slice()))
}

/// The transaction at the fees of an attempt, to the sender itself.
fn transaction(of: &BlobTransaction, fees: &Attempt) -> TxEip4844 {
    TxEip4844 {
        chain_id: of.chain_id,
        nonce: of.nonce,
        gas_limit: GAS,
        max_fee_per_gas: fees.max_fee_wei,
        max_priority_fee_per_gas: fees.tip_wei,
        to: of.from,
        value: U256::ZERO,
        access_list: Default::default(),
        blob_versioned_hashes: of.hashes.clone(),
        max_fee_per_blob_gas: fees.max_blob_fee_wei,
        input: Bytes::new(),
    }
}

/// Signs: the same key and transaction always give the same bytes.
fn sign(tx: &TxEip4844, key: &SigningKey) -> Signature {
    theirs(&key.sign(&tx.signature_hash()))
}

/// A signature in alloy's type.
fn theirs(signature: &crypto::Signature) -> Signature {
    let (r, s) = (U256::from_be_bytes(signature.r), U256::from_be_bytes(signature.s));
    Signature::new(r, s, signature.y_parity == 1)
}

/// The hash of the transaction at the fees of an attempt.
pub fn hash(of: &BlobTransaction, fees: &Attempt, key: &SigningKey) -> B256 {
    let tx = transaction(of, fees);
    let signature = sign(&tx, key);
    *tx.into_signed(signature).hash()
}

/// The bytes that a node takes, with blobs and proofs.
pub fn network_bytes(
    of: &BlobTransaction,
    fees: &Attempt,
    key: &SigningKey,
    blobs: Vec<Blob>,
    proofs: Proofs,
) -> Result<Vec<u8>, LayerError> {
    let sidecar: BlobTransactionSidecarVariant = match proofs {
        Proofs::Cells => {
            let made = BlobTransactionSidecarEip7594::try_from_blobs_with_settings;
            made(blobs, settings()).map_err(kzg)?.into()
        }
        Proofs::Blobs => {
            let made = BlobTransactionSidecar::try_from_blobs_with_settings;
            made(blobs, settings()).map_err(kzg)?.into()
        }
    };
    let tx = transaction(of, fees);
    let signature = sign(&tx, key);
    let tx = TxEip4844WithSidecar::from_tx_and_sidecar(tx, sidecar);
    Ok(tx.into_signed(signature).encoded_2718())
}

/// Who signed the transaction of an attempt, given its signature: an error if its hash is not that
/// of the attempt.
pub fn signer(
    of: &BlobTransaction,
    fees: &Attempt,
    signature: &crypto::Signature,
) -> Result<Address, LayerError> {
    let tx = transaction(of, fees);
    let digest = tx.signature_hash();
    if *tx.into_signed(theirs(signature)).hash() != fees.transaction {
        let what = format!("transaction {} has other blobs", fees.transaction);
        return Err(LayerError::Forged(what));
    }
    let forged = |_| LayerError::Forged("a transaction's signature is not one".into());
    signature.recover(&digest).map_err(forged)
}
