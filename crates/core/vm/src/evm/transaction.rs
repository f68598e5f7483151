//! Ethereum transactions: decoding, and every check that needs no state.

use super::fees::FeeToken;
use super::rlp::{Items, list_hash, malformed, refuse};
use super::spec::EvmSpec;
use super::transition;
use crate::{Checked, Identity};
use alloc::vec::Vec;
use alloy_rlp::Encodable;
use atoll_types::slot::TRANSACTION_BYTES_MAX;
use atoll_types::{
    Address, B256, Lane, Reject, RejectCode, Signature, SignatureError, Transaction, U256,
    keccak256,
};
use revm::context::TxEnv;
use revm::context::result::InvalidTransaction;
use revm::context_interface::cfg::gas_params::GasParams;
use revm::context_interface::either::Either;
use revm::context_interface::transaction::{
    AccessList, AccessListItem, Authorization, RecoveredAuthority, RecoveredAuthorization,
};
use revm::handler::validation::validate_initial_tx_gas_with_gas_params;
use revm::primitives::{Bytes, TxKind, eip3860};

/// A signed EIP-7702 authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAuthorization {
    /// Chain id; 0 for any chain.
    pub chain_id: U256,
    /// Whose code the authority takes on.
    pub address: Address,
    /// The authority's nonce.
    pub nonce: u64,
    /// Parity of the signature.
    pub y_parity: u8,
    /// r of the signature.
    pub r: U256,
    /// s of the signature.
    pub s: U256,
}

impl SignedAuthorization {
    /// Who signed it; none where the signature fits no key: such an entry has no effect.
    ///
    /// This costs a signature recovery, so nobody asks before the transaction has paid for it.
    pub fn authority(&self) -> Option<Address> {
        const MAGIC: u8 = 5;
        let mut fields = Vec::new();
        self.chain_id.encode(&mut fields);
        self.address.encode(&mut fields);
        self.nonce.encode(&mut fields);
        let digest = list_hash(&[MAGIC], &[&fields]);
        let (y_parity, r, s) = (u64::from(self.y_parity), self.r, self.s);
        if y_parity > 1 {
            return None;
        }
        recover(&Signed { y_parity, r, s, digest }).ok().map(|(_, authority)| authority)
    }
}

/// A decoded Ethereum transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmTransaction {
    /// Ethereum hash: Keccak-256 of the signed bytes.
    pub hash: B256,
    /// EIP-2718 type: 0, 1, 2 or 4.
    pub kind: u8,
    /// Sender's nonce.
    pub nonce: u64,
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Most wei it pays per gas, base fee and tip together.
    pub max_fee_per_gas: u128,
    /// Most wei it pays per gas as tip; none for types 0 and 1, which pay exactly their price.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Callee; none creates a contract.
    pub to: Option<Address>,
    /// Wei sent along.
    pub value: U256,
    /// Call data or init code.
    pub input: Bytes,
    /// EIP-2930 access list; empty for type 0.
    pub access_list: Vec<(Address, Vec<B256>)>,
    /// EIP-7702 authorizations; empty for other types.
    pub authorizations: Vec<SignedAuthorization>,
    /// Signature.
    pub signature: Signature,
}

impl EvmTransaction {
    /// Wei paid per gas in a block with this base fee.
    pub fn effective_gas_price(&self, base_fee: u64) -> u128 {
        match self.max_priority_fee_per_gas {
            None => self.max_fee_per_gas,
            Some(tip) => self.max_fee_per_gas.min(tip.saturating_add(u128::from(base_fee))),
        }
    }

    /// The largest fee, in wei; none above 2^256.
    fn max_fee(&self) -> Option<U256> {
        U256::from(self.max_fee_per_gas).checked_mul(U256::from(self.gas_limit))
    }

    /// The most it can cost its sender, in wei; none above 2^256.
    pub fn max_cost(&self) -> Option<U256> {
        self.max_fee()?.checked_add(self.value)
    }

    /// Whether a sender with this balance in wei, and `held` of each token, can pay for it.
    pub(super) fn payable(
        &self,
        balance: U256,
        tokens: &[FeeToken],
        mut held: impl FnMut(&FeeToken) -> U256,
    ) -> bool {
        let (Some(max_fee), Some(left)) = (self.max_fee(), balance.checked_sub(self.value)) else {
            return false;
        };
        let mut pays =
            |token| FeeToken::amount(token, max_fee).is_some_and(|due| due <= held(token));
        left >= max_fee || tokens.iter().any(&mut pays)
    }

    /// revm's form of it; authorizations without their authorities unless its sender `pays` for them.
    pub fn env(&self, signer: Address, chain_id: u64, pays: bool) -> TxEnv {
        TxEnv {
            tx_type: self.kind,
            caller: signer,
            gas_limit: self.gas_limit,
            gas_price: self.max_fee_per_gas,
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.input.clone(),
            nonce: self.nonce,
            chain_id: Some(chain_id),
            access_list: AccessList(access_list(&self.access_list)),
            gas_priority_fee: self.max_priority_fee_per_gas,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: authorizations(&self.authorizations, pays),
        }
    }
}

/// revm's form of an access list.
pub(super) fn access_list(list: &[(Address, Vec<B256>)]) -> Vec<AccessListItem> {
    let item = |(address, storage_keys): &(Address, Vec<B256>)| AccessListItem {
        address: *address,
        storage_keys: storage_keys.clone(),
    };
    list.iter().map(item).collect()
}

/// revm's form of authorizations; without their authorities unless they are paid for.
pub(super) fn authorizations(
    list: &[SignedAuthorization],
    paid: bool,
) -> Vec<Either<transition::SignedAuthorization, RecoveredAuthorization>> {
    let form = |signed: &SignedAuthorization| {
        let (chain_id, address, nonce) = (signed.chain_id, signed.address, signed.nonce);
        let authority = match paid.then(|| signed.authority()).flatten() {
            Some(authority) => RecoveredAuthority::Valid(authority),
            _ => RecoveredAuthority::Invalid,
        };
        let inner = Authorization { chain_id, address, nonce };
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
    };
    list.iter().map(form).collect()
}

/// The signature's fields and the digest that was signed.
struct Signed {
    y_parity: u64,
    r: U256,
    s: U256,
    digest: B256,
}

const UNSIGNED: &str = "the transaction carries no signature; sign it with the sender's key";

fn read_signature(items: &mut Items<'_>) -> Result<(U256, U256, U256), Reject> {
    if items.is_empty() {
        return refuse(RejectCode::Unsigned, UNSIGNED);
    }
    let signature = (items.u256("v")?, items.u256("r")?, items.u256("s")?);
    items.finish("the end of the transaction")?;
    if signature.1.is_zero() && signature.2.is_zero() {
        return refuse(RejectCode::Unsigned, UNSIGNED);
    }
    Ok(signature)
}

fn wrong_chain<T>(spec: &EvmSpec, found: impl core::fmt::Display) -> Result<T, Reject> {
    let message = alloc::format!(
        "the transaction is signed for chain {found}; sign it for chain {}",
        spec.chain_id
    );
    refuse(RejectCode::WrongChain, message)
}

const FEE: RejectCode = RejectCode::Overflow;
const GAS: RejectCode = RejectCode::GasLimit;
const NONCE: RejectCode = RejectCode::NonceTooHigh;

fn decode_legacy(spec: &EvmSpec, bytes: &[u8]) -> Result<(EvmTransaction, Signed), Reject> {
    let mut outer = Items::new(bytes);
    let mut items = outer.list("the transaction")?;
    outer.finish("the end of the transaction")?;
    let mut transaction = EvmTransaction {
        hash: keccak256(bytes),
        kind: 0,
        nonce: items.number("nonce", NONCE)?,
        max_fee_per_gas: items.number("gas price", FEE)?,
        gas_limit: items.number("gas limit", GAS)?,
        max_priority_fee_per_gas: None,
        to: items.callee()?,
        value: items.u256("value")?,
        input: Bytes::new(),
        access_list: Vec::new(),
        authorizations: Vec::new(),
        signature: Signature { r: [0; 32], s: [0; 32], y_parity: 0 },
    };
    transaction.input = Bytes::copy_from_slice(items.bytes("input")?);
    let fields = items.before();
    let (v, r, s) = read_signature(&mut items)?;
    if v == U256::from(27) || v == U256::from(28) {
        return refuse(
            RejectCode::WrongChain,
            alloc::format!(
                "the signature names no chain (before EIP-155), so anyone could replay it here; \
                 sign it for chain {}",
                spec.chain_id
            ),
        );
    }
    let Some(rest) = v.checked_sub(U256::from(35)) else {
        return refuse(RejectCode::BadSignature, "v of the signature is out of range");
    };
    let chain_id: U256 = rest >> 1;
    if chain_id != U256::from(spec.chain_id) {
        return wrong_chain(spec, chain_id);
    }
    let mut domain = Vec::new();
    spec.chain_id.encode(&mut domain);
    domain.extend_from_slice(&[0x80, 0x80]);
    let digest = list_hash(&[], &[fields, &domain]);
    Ok((transaction, Signed { y_parity: u64::from(rest.bit(0)), r, s, digest }))
}

fn decode_typed(spec: &EvmSpec, bytes: &[u8]) -> Result<(EvmTransaction, Signed), Reject> {
    let kind = bytes[0];
    let mut outer = Items::new(&bytes[1..]);
    let mut items = outer.list("the transaction")?;
    outer.finish("the end of the transaction")?;
    let chain_id = items.u256("chain id")?;
    if chain_id != U256::from(spec.chain_id) {
        return wrong_chain(spec, chain_id);
    }
    let nonce = items.number("nonce", NONCE)?;
    let max_priority_fee_per_gas = match kind {
        1 => None,
        _ => Some(items.number("max priority fee per gas", FEE)?),
    };
    let transaction = EvmTransaction {
        hash: keccak256(bytes),
        kind,
        nonce,
        max_priority_fee_per_gas,
        max_fee_per_gas: items.number("max fee per gas", FEE)?,
        gas_limit: items.number("gas limit", GAS)?,
        to: match kind {
            4 => Some(items.address("to")?),
            _ => items.callee()?,
        },
        value: items.u256("value")?,
        input: Bytes::copy_from_slice(items.bytes("input")?),
        access_list: items.access_list()?,
        authorizations: if kind == 4 { items.authorizations()? } else { Vec::new() },
        signature: Signature { r: [0; 32], s: [0; 32], y_parity: 0 },
    };
    let digest = list_hash(&[kind], &[items.before()]);
    let (v, r, s) = read_signature(&mut items)?;
    let y_parity = u64::try_from(v).unwrap_or(u64::MAX);
    if y_parity > 1 {
        return refuse(RejectCode::BadSignature, "the parity of the signature is neither 0 nor 1");
    }
    Ok((transaction, Signed { y_parity, r, s, digest }))
}

fn decode(spec: &EvmSpec, bytes: &[u8]) -> Result<(EvmTransaction, Signed), Reject> {
    match bytes.first() {
        None => refuse(RejectCode::Malformed, "the transaction is empty"),
        Some(0xc0..) => decode_legacy(spec, bytes),
        Some(1 | 2) => decode_typed(spec, bytes),
        Some(4) if spec.hardfork >= super::Hardfork::Prague => decode_typed(spec, bytes),
        Some(3) => refuse(
            RejectCode::Unsupported,
            "blob transactions (type 3) are not supported: this chain publishes its data itself; \
             send the data as a transaction of type 2",
        ),
        Some(kind @ 0..=0x7f) => refuse(
            RejectCode::Unsupported,
            alloc::format!("transaction type {kind} is not supported; use type 0, 1, 2 or 4"),
        ),
        Some(_) => malformed("the transaction"),
    }
}

/// What can be wrong with a well-formed transaction whatever the state.
fn check_limits(spec: &EvmSpec, transaction: &EvmTransaction) -> Result<(), Reject> {
    if transaction.nonce == u64::MAX {
        return refuse(NONCE, "nonce has max value: 2^64 - 1 can never be used (EIP-2681)");
    }
    let gas_max = spec.hardfork.transaction_gas_limit().unwrap_or(u64::MAX);
    let gas_max = gas_max.min(spec.block_gas_limit);
    if transaction.gas_limit > gas_max {
        let words = match gas_max < spec.block_gas_limit {
            true => "transaction gas limit too high",
            false => "exceeds block gas limit",
        };
        let message = alloc::format!(
            "{words}: {} is asked for, at most {gas_max} may be; lower it",
            transaction.gas_limit
        );
        return refuse(GAS, message);
    }
    if transaction.max_priority_fee_per_gas > Some(transaction.max_fee_per_gas) {
        return refuse(
            RejectCode::FeeTooLow,
            "max priority fee per gas higher than max fee per gas; raise the max fee",
        );
    }
    if transaction.to.is_none() && transaction.input.len() > eip3860::MAX_INITCODE_SIZE {
        let message = alloc::format!(
            "max initcode size exceeded: {} bytes, at most {} are allowed (EIP-3860); split the \
             contract",
            transaction.input.len(),
            eip3860::MAX_INITCODE_SIZE
        );
        return refuse(RejectCode::Oversized, message);
    }
    if transaction.max_cost().is_none() {
        let message = "insufficient funds for gas * price + value: that is above 2^256 wei";
        return refuse(RejectCode::Overflow, message);
    }
    if transaction.kind == 4 && transaction.authorizations.is_empty() {
        return refuse(
            RejectCode::Malformed,
            "EIP-7702 transaction with empty auth list; send a transaction of type 2 instead",
        );
    }
    let env = transaction.env(Address::ZERO, spec.chain_id, false);
    // Of what is paid before a transaction runs a spec can raise the price of access lists alone, and
    // its table is made anew each time.
    let hardfork = spec.hardfork.spec_id();
    let prices = match transaction.access_list.is_empty() {
        true => GasParams::new_spec(hardfork),
        false => spec.gas.table(hardfork),
    };
    let checked = validate_initial_tx_gas_with_gas_params(
        &env,
        hardfork,
        &prices,
        false,
        false,
        spec.hardfork.transaction_gas_limit().unwrap_or(u64::MAX),
        None,
    );
    checked.map(|_| ()).or_else(|error| refuse(GAS, too_little_gas(&error)))
}

/// What Ethereum's nodes say of a gas limit below what a transaction costs before it runs.
pub(super) fn too_little_gas(error: &InvalidTransaction) -> alloc::string::String {
    match error {
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => alloc::format!(
            "insufficient gas for floor data gas cost: {gas_limit} is the limit, {gas_floor} is \
             needed (EIP-7623); raise it"
        ),
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            alloc::format!(
                "intrinsic gas too low: {gas_limit} is the limit, {initial_gas} is needed; raise it"
            )
        }
        other => alloc::format!("{other}"),
    }
}

fn recover(signed: &Signed) -> Result<(Signature, Address), SignatureError> {
    let (r, s) = (signed.r.to_be_bytes::<32>(), signed.s.to_be_bytes::<32>());
    let signature = Signature::from_parts(r, s, signed.y_parity)?;
    Ok((signature, signature.recover(&signed.digest)?))
}

/// Decodes a transaction that was checked before: who signed it is known from elsewhere, and its
/// signature is not checked again.
///
/// # Errors
/// The bytes are not a transaction of this chain.
pub fn decode_checked(spec: &EvmSpec, bytes: &[u8]) -> Result<EvmTransaction, Reject> {
    let (mut transaction, signed) = decode(spec, bytes)?;
    let (r, s) = (signed.r.to_be_bytes::<32>(), signed.s.to_be_bytes::<32>());
    transaction.signature = Signature::from_parts(r, s, signed.y_parity)
        .map_err(|error| Reject::new(RejectCode::BadSignature, alloc::format!("{error}")))?;
    Ok(transaction)
}

/// Decodes a transaction and checks everything that needs no state.
pub(super) fn check(
    identity: &Identity,
    spec: &EvmSpec,
    bytes: &[u8],
) -> Result<Checked<EvmTransaction>, Reject> {
    if bytes.len() > TRANSACTION_BYTES_MAX as usize {
        let message = alloc::format!(
            "the transaction has {} bytes, at most {TRANSACTION_BYTES_MAX} are allowed",
            bytes.len()
        );
        return refuse(RejectCode::Oversized, message);
    }
    let (mut transaction, signed) = decode(spec, bytes)?;
    check_limits(spec, &transaction)?;
    let signer;
    (transaction.signature, signer) = recover(&signed).or_else(|error| {
        refuse(RejectCode::BadSignature, alloc::format!("{error}; sign the transaction again"))
    })?;
    Ok(Checked {
        hash: Transaction::hash_parts(identity.environment, bytes),
        signer,
        lane: Lane::Rest,
        transaction,
    })
}
