//! Atoll's own messages: what a master key signs under a domain that names network and
//! environment, and what the oracle signs.

use super::action::{Action, Step};
use super::domain::{Word, atoll_digest};
use super::objects::AGENT_NAME_BYTES_MAX;
use super::{ExchangeVmSpec, Sending};
use crate::Identity;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{Command, MarketId, Price, Refusal, Wallet, spec::MARKETS_BOUND};
use atoll_types::codec::{CodecError, put_bytes, put_varint, put_varint128};
use atoll_types::{Address, B256, Decode, Encode, EnvironmentId, Reader, RejectCode};

/// Longest symbol of an asset, in bytes.
const SYMBOL_BYTES_MAX: u32 = 64;

/// A message of a master key. Signed as typed data (EIP-712) of the domain `{name: "Atoll",
/// version: "1", chainId: spec, salt: SHA-256(network ‖ environment)}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtollMessage {
    /// `ApproveAgent(address agent,string name,uint64 validUntilMs,uint64 nonce)`: lets an agent
    /// key sign orders. An agent of the same name is replaced; `validUntilMs` of 0 revokes.
    ApproveAgent {
        /// The agent's address.
        agent: Address,
        /// Its name.
        name: String,
        /// Milliseconds since the Unix epoch until which it may sign.
        valid_until_ms: u64,
    },
    /// `Transfer(address to,string asset,string wallet,uint128 amount,uint64 nonce)`: sends money
    /// to another account, from and to the same kind of wallet ("collateral" or "spot").
    Transfer {
        /// Who receives it.
        to: Address,
        /// The asset's symbol.
        asset: String,
        /// The wallet.
        wallet: Wallet,
        /// How much, in the asset's smallest unit.
        amount: u128,
    },
    /// `Withdraw(uint32 destination,address to,string asset,string wallet,uint128 amount,uint64
    /// nonce)`: money leaves the environment, to the hub (destination 0) or another environment.
    Send {
        /// Where it goes; 0 is the hub.
        destination: EnvironmentId,
        /// Who receives it there.
        to: Address,
        /// The asset's symbol.
        asset: String,
        /// The wallet that it leaves.
        wallet: Wallet,
        /// How much, in the asset's smallest unit.
        amount: u128,
    },
    /// `Move(string toWallet,uint128 amount,uint64 nonce)`: moves collateral between the signer's
    /// own wallets.
    Move {
        /// The wallet that receives it.
        to: Wallet,
        /// How much, in the asset's smallest unit.
        amount: u128,
    },
    /// `MoveAsset(string toWallet,string asset,uint128 amount,uint64 nonce)`: the same for any
    /// asset that is collateral.
    MoveAsset {
        /// The wallet that receives it.
        to: Wallet,
        /// The asset's symbol.
        asset: String,
        /// How much, in the asset's smallest unit.
        amount: u128,
    },
}

const NO_ASSET: &str = "this venue has no such asset";

fn wallet_name(wallet: Wallet) -> &'static str {
    match wallet {
        Wallet::Collateral => "collateral",
        Wallet::Spot => "spot",
    }
}

impl AtollMessage {
    /// What is signed.
    pub fn digest(&self, identity: &Identity, chain_id: u64, nonce: u64) -> B256 {
        let nonce = Word::Number(nonce.into());
        let digest = |signature: &str, words: &[Word<'_>]| {
            atoll_digest(identity, chain_id, signature, words)
        };
        match self {
            Self::ApproveAgent { agent, name, valid_until_ms } => digest(
                "ApproveAgent(address agent,string name,uint64 validUntilMs,uint64 nonce)",
                &[
                    Word::Address(agent),
                    Word::Text(name),
                    Word::Number((*valid_until_ms).into()),
                    nonce,
                ],
            ),
            Self::Transfer { to, asset, wallet, amount } => digest(
                "Transfer(address to,string asset,string wallet,uint128 amount,uint64 nonce)",
                &[
                    Word::Address(to),
                    Word::Text(asset),
                    Word::Text(wallet_name(*wallet)),
                    Word::Number(*amount),
                    nonce,
                ],
            ),
            Self::Send { destination, to, asset, wallet, amount } => digest(
                "Withdraw(uint32 destination,address to,string asset,string wallet,\
                 uint128 amount,uint64 nonce)",
                &[
                    Word::Number(destination.0.into()),
                    Word::Address(to),
                    Word::Text(asset),
                    Word::Text(wallet_name(*wallet)),
                    Word::Number(*amount),
                    nonce,
                ],
            ),
            Self::Move { to, amount } => digest(
                "Move(string toWallet,uint128 amount,uint64 nonce)",
                &[Word::Text(wallet_name(*to)), Word::Number(*amount), nonce],
            ),
            Self::MoveAsset { to, asset, amount } => digest(
                "MoveAsset(string toWallet,string asset,uint128 amount,uint64 nonce)",
                &[Word::Text(wallet_name(*to)), Word::Text(asset), Word::Number(*amount), nonce],
            ),
        }
    }

    /// What the message asks of the exchange.
    pub(super) fn into_action(self, identity: &Identity, spec: &ExchangeVmSpec) -> Action {
        let rules = &spec.exchange;
        let amount_of = |amount: u128| {
            let message = "the amount is above every limit of the venue";
            let error = Refusal { code: RejectCode::Overflow, message, have_need: None };
            i128::try_from(amount).map_err(|_| error)
        };
        let step = match self {
            Self::ApproveAgent { agent, name, valid_until_ms } => {
                return Action::ApproveAgent { agent, name, valid_until_ms };
            }
            Self::Transfer { to, asset, wallet, amount } => match rules.asset_named(&asset) {
                Some(asset) => Step {
                    target_market: None,
                    command: amount_of(amount).map(|amount| Command::Transfer {
                        to,
                        asset,
                        wallet,
                        amount,
                    }),
                },
                None => Step::refused(RejectCode::Unsupported, NO_ASSET),
            },
            Self::Send { destination, to, asset, wallet, amount } => {
                let unknown =
                    Refusal { code: RejectCode::Unsupported, message: NO_ASSET, have_need: None };
                let asset = rules.asset_named(&asset).ok_or(unknown);
                let sending = asset.and_then(|asset| {
                    let (way, purse) = ((destination, to), (asset, wallet));
                    Sending::new(identity, spec, way, purse, amount_of(amount)?)
                });
                return sending.into();
            }
            Self::Move { to, amount } => Step {
                target_market: None,
                command: amount_of(amount).map(|amount| Command::Move {
                    asset: rules.spec().collateral,
                    to,
                    amount,
                }),
            },
            Self::MoveAsset { to, asset, amount } => match rules.asset_named(&asset) {
                Some(asset) => Step {
                    target_market: None,
                    command: amount_of(amount).map(|amount| Command::Move { asset, to, amount }),
                },
                None => Step::refused(RejectCode::Unsupported, NO_ASSET),
            },
        };
        Action::Commands(alloc::vec![step])
    }
}

impl Encode for AtollMessage {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::ApproveAgent { agent, name, valid_until_ms } => {
                out.push(0);
                out.extend_from_slice(agent.as_slice());
                put_bytes(out, name.as_bytes());
                out.extend_from_slice(&valid_until_ms.to_le_bytes());
            }
            Self::Transfer { to, asset, wallet, amount } => {
                out.push(1);
                out.extend_from_slice(to.as_slice());
                put_bytes(out, asset.as_bytes());
                wallet.encode(out);
                put_varint128(out, *amount);
            }
            Self::Move { to, amount } => {
                out.push(2);
                to.encode(out);
                put_varint128(out, *amount);
            }
            Self::MoveAsset { to, asset, amount } => {
                out.push(4);
                to.encode(out);
                put_bytes(out, asset.as_bytes());
                put_varint128(out, *amount);
            }
            Self::Send { destination, to, asset, wallet, amount } => {
                out.push(3);
                out.extend_from_slice(&destination.0.to_le_bytes());
                out.extend_from_slice(to.as_slice());
                put_bytes(out, asset.as_bytes());
                wallet.encode(out);
                put_varint128(out, *amount);
            }
        }
    }
}

fn text(r: &mut Reader<'_>, what: &'static str, bound: u32) -> Result<String, CodecError> {
    let bytes = r.bytes(what, bound)?;
    core::str::from_utf8(bytes).map(Into::into).map_err(|_| CodecError::Invalid(what))
}

impl Decode for AtollMessage {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::ApproveAgent {
                agent: r.address()?,
                name: text(r, "agent name", AGENT_NAME_BYTES_MAX)?,
                valid_until_ms: r.u64()?,
            },
            1 => Self::Transfer {
                to: r.address()?,
                asset: text(r, "asset symbol", SYMBOL_BYTES_MAX)?,
                wallet: Wallet::decode(r)?,
                amount: r.varint128()?,
            },
            2 => Self::Move { to: Wallet::decode(r)?, amount: r.varint128()? },
            3 => Self::Send {
                destination: EnvironmentId(r.u32()?),
                to: r.address()?,
                asset: text(r, "asset symbol", SYMBOL_BYTES_MAX)?,
                wallet: Wallet::decode(r)?,
                amount: r.varint128()?,
            },
            4 => Self::MoveAsset {
                to: Wallet::decode(r)?,
                asset: text(r, "asset symbol", SYMBOL_BYTES_MAX)?,
                amount: r.varint128()?,
            },
            _ => return Err(CodecError::Invalid("message type")),
        })
    }
}

/// Prices of the oracle at one time, in ticks; markets in ascending order, each at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OraclePrices {
    /// Market and price in ticks.
    pub prices: Vec<(MarketId, Price)>,
}

impl Encode for OraclePrices {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.prices.len() as u64);
        for (market, price) in &self.prices {
            market.encode(out);
            put_varint(out, *price);
        }
    }
}

impl Decode for OraclePrices {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut prices: Vec<(MarketId, Price)> = Vec::new();
        for _ in 0..r.length("oracle prices", MARKETS_BOUND)? {
            let (market, price) = (MarketId::decode(r)?, r.varint()?);
            if prices.last().is_some_and(|(last, _)| *last >= market) {
                return Err(CodecError::Invalid("order of the oracle's markets"));
            }
            prices.push((market, price));
        }
        Ok(Self { prices })
    }
}
