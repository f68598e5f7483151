//! Who signed a transaction, and for which account that key may act.

use super::action::{self, Action, malformed};
use super::domain::{Source, agent_digest, connection_id, oracle_digest};
use super::message::{AtollMessage, OraclePrices};
use super::msgpack::MsgpackError;
use super::objects::Agent;
use super::{ExchangeTransaction, ExchangeVmSpec, Kind};
use crate::{Checked, Identity};
use atoll_types::{Address, B256, Decode, Reject, RejectCode, Signature, Transaction};

/// Under which domain a transaction was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Hyperliquid's, over the action's bytes.
    Hyperliquid {
        /// What the signed `Agent` connects to.
        connection_id: B256,
        /// The signature.
        signature: Signature,
    },
    /// Hyperliquid's, as typed data.
    HyperliquidTyped,
    /// Atoll's, naming network and environment.
    Atoll,
    /// The oracle's, naming network and environment.
    Oracle,
}

/// A transaction as decoded: what was asked for, and how it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAction {
    /// The nonce, milliseconds since the Unix epoch; of an oracle, the time of its prices.
    pub nonce: u64,
    /// Milliseconds since the Unix epoch after which the action is void.
    pub expires_after: Option<u64>,
    /// How it was signed.
    pub domain: Domain,
    /// What was asked for.
    pub action: Action,
}

fn recover(signature: &Signature, digest: &B256) -> Result<Address, Reject> {
    signature.recover(digest).map_err(|error| {
        let message = alloc::format!("{error}; sign the action again");
        Reject::new(RejectCode::BadSignature, message)
    })
}

/// All that needs no state: form, bounds, domain, signature.
pub(super) fn check(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    bytes: &[u8],
) -> Result<Checked<SignedAction>, Reject> {
    let transaction = ExchangeTransaction::parse(bytes)?;
    if transaction.vault.is_some() {
        let message = "vaults and subaccounts are not supported; leave vaultAddress out";
        return Err(Reject::new(RejectCode::Unsupported, message));
    }
    let (digest, domain, action) = match transaction.kind {
        Kind::Hyperliquid => hyperliquid(identity, spec, &transaction)?,
        Kind::Atoll => {
            plain(&transaction)?;
            let message = AtollMessage::from_bytes(&transaction.body).map_err(body)?;
            let digest = message.digest(identity, spec.chain_id, transaction.nonce);
            (digest, Domain::Atoll, message.into_action(identity, spec))
        }
        Kind::Oracle => {
            plain(&transaction)?;
            let prices = OraclePrices::from_bytes(&transaction.body).map_err(body)?;
            let digest = oracle_digest(identity, transaction.nonce, &transaction.body);
            (digest, Domain::Oracle, Action::Oracle(prices))
        }
    };
    let signer = recover(&transaction.signature, &digest)?;
    // Listed markets may have sources of their own: then the state says who is one.
    let listing = spec.exchange.spec().listing.markets_max > 0;
    if domain == Domain::Oracle && spec.oracle_source(&signer).is_none() && !listing {
        return Err(no_source(&signer));
    }
    Ok(Checked {
        hash: Transaction::hash_parts(identity.environment, bytes),
        signer,
        lane: action.lane(),
        transaction: SignedAction {
            nonce: transaction.nonce,
            expires_after: transaction.expires_after,
            domain,
            action,
        },
    })
}

fn no_source(signer: &Address) -> Reject {
    let message = alloc::format!(
        "{signer} is no oracle source of this environment: the prices are signed with another \
         key, or for another network or environment",
    );
    Reject::new(RejectCode::NotAllowed, message)
}

fn hyperliquid(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    transaction: &ExchangeTransaction,
) -> Result<(B256, Domain, Action), Reject> {
    let ExchangeTransaction { nonce, expires_after, body, signature, .. } = transaction;
    let decoded = action::decode(identity, spec, body)?;
    let Some((digest, signed_nonce)) = decoded.typed else {
        let connection_id = connection_id(body, *nonce, None, *expires_after);
        let domain = Domain::Hyperliquid { connection_id, signature: *signature };
        return Ok((agent_digest(Source::Testnet, &connection_id), domain, decoded.action));
    };
    if !spec.accept_hyperliquid_master {
        let message = "Hyperliquid's signing domain names no venue; sign this as an Atoll message";
        return Err(Reject::new(RejectCode::WrongDomain, message));
    }
    plain(transaction)?;
    if signed_nonce != *nonce {
        let expected = "the nonce of the request";
        return Err(malformed(MsgpackError::Value { key: "nonce", expected }));
    }
    Ok((digest, Domain::HyperliquidTyped, decoded.action))
}

/// An expiry is signed only with the actions that are signed over their bytes.
fn plain(transaction: &ExchangeTransaction) -> Result<(), Reject> {
    if transaction.expires_after.is_none() {
        return Ok(());
    }
    let message = "this action does not sign an expiry; leave expiresAfter out";
    Err(Reject::new(RejectCode::Malformed, message))
}

fn body(error: atoll_types::CodecError) -> Reject {
    let message = alloc::format!("the message does not decode: {error}");
    Reject::new(RejectCode::Malformed, message)
}

/// What the state knows about a signer. Asked in execution through recorded reads, in admission
/// through unrecorded ones.
pub(super) trait Signers {
    /// Whether the address has an account.
    fn has_account(&mut self, address: &Address) -> bool;
    /// The agent with this address; no master if there is none.
    fn agent(&mut self, address: &Address) -> Agent;
    /// Whether the address is an oracle source of a listed market.
    fn is_listed_source(&mut self, address: &Address) -> bool;
    /// Whether the signer may use this nonce.
    fn check_nonce(&mut self, signer: &Address, signed: &SignedAction) -> Result<(), Reject>;
}

/// The account that a transaction acts for.
pub(super) fn authorize(
    spec: &ExchangeVmSpec,
    now_ms: u64,
    checked: &Checked<SignedAction>,
    signers: &mut impl Signers,
) -> Result<Address, Reject> {
    let (signer, signed) = (&checked.signer, &checked.transaction);
    if let Some(expires_after) = signed.expires_after
        && now_ms > expires_after
    {
        let message = alloc::format!(
            "the action was void after {expires_after} ms, and the venue's time is {now_ms} ms",
        );
        return Err(Reject::new(RejectCode::Expired, message));
    }
    let account = match signed.domain {
        Domain::Oracle => {
            if spec.oracle_source(signer).is_none() && !signers.is_listed_source(signer) {
                return Err(no_source(signer));
            }
            *signer
        }
        Domain::Hyperliquid { .. } => trader(spec, now_ms, signer, signers)?,
        Domain::HyperliquidTyped | Domain::Atoll => {
            if !signers.has_account(signer) {
                if !signers.agent(signer).master.is_zero() {
                    let message = "an agent may only trade; sign this with the master key";
                    return Err(Reject::new(RejectCode::NotAllowed, message));
                }
                return Err(unknown(signer));
            }
            *signer
        }
    };
    signers.check_nonce(signer, signed)?;
    Ok(account)
}

/// The account that the signer of an order trades for. A key that may sign for its own account
/// does so, whoever calls it an agent.
fn trader(
    spec: &ExchangeVmSpec,
    now_ms: u64,
    signer: &Address,
    signers: &mut impl Signers,
) -> Result<Address, Reject> {
    if spec.accept_hyperliquid_master && signers.has_account(signer) {
        return Ok(*signer);
    }
    let agent = signers.agent(signer);
    if !agent.master.is_zero() {
        if now_ms <= agent.valid_until_ms {
            return Ok(agent.master);
        }
        let message = alloc::format!(
            "the approval of agent {signer} ended at {} ms; approve it again or another one",
            agent.valid_until_ms,
        );
        return Err(Reject::new(RejectCode::NotAllowed, message));
    }
    if !spec.accept_hyperliquid_master && signers.has_account(signer) {
        let message = "Hyperliquid's signing domain names no venue, so a master key may not sign \
            orders with it; approve an agent key with an Atoll message and sign with that";
        return Err(Reject::new(RejectCode::WrongDomain, message));
    }
    Err(unknown(signer))
}

fn unknown(signer: &Address) -> Reject {
    let message = alloc::format!(
        "the signature recovers to {signer}, which has no account here and is no approved agent: \
         deposit first, or check the key and what was signed, and for which network, environment \
         and chain",
    );
    Reject::new(RejectCode::UnknownAccount, message)
}

/// [`authorize`] for admission: says in addition whether an unknown signer's action was signed
/// for Hyperliquid's mainnet by someone who is known here.
pub(super) fn explain(
    spec: &ExchangeVmSpec,
    now_ms: u64,
    checked: &Checked<SignedAction>,
    signers: &mut impl Signers,
) -> Result<Address, Reject> {
    let refused = match authorize(spec, now_ms, checked, signers) {
        Err(reject) if reject.code == RejectCode::UnknownAccount => reject,
        decided => return decided,
    };
    if let Domain::Hyperliquid { connection_id, signature } = &checked.transaction.domain
        && let Ok(other) = signature.recover(&agent_digest(Source::Mainnet, connection_id))
        && (signers.has_account(&other) || !signers.agent(&other).master.is_zero())
    {
        let message = alloc::format!(
            "the action was signed by {other} for Hyperliquid's mainnet (source \"a\"); \
             sign it for this venue (source \"b\")",
        );
        return Err(Reject::new(RejectCode::WrongDomain, message));
    }
    Err(refused)
}
