//! What contracts of other environments ask for: actions that messages carry.
//!
//! A message of kind [`MessageKind::Action`] holds one action: a version, a number of three bytes, and
//! words of 32 bytes as Solidity's ABI has them (the layout is that of Hyperliquid's CoreWriter; numbers
//! below 0x100 mean what they mean there). It is done for [`Message::account`], as if that account had
//! signed for it: the same rules, the same statuses and events. Nothing else of the venue can be
//! reached this way.
//!
//! What cannot be read, and what an account without money asks for, has a receipt with a code and a
//! sentence; what the venue refuses has a status. Neither is told to the contract: it observes.

use super::action::{Action, Decoder, Step, refusal};
use super::decimal::Decimal;
use super::vm::receipt;
use super::{ExchangeReceipt, ExchangeVm, ExchangeVmSpec, Sending};
use crate::{Identity, Receipt};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{
    ClientId, Command, OrderId, OrderRequest, OrderSelector, Refusal, Rules, Side, Tif, Wallet,
};
use atoll_state::Source;
use atoll_types::words::Word;
use atoll_types::{Address, B256, EnvironmentId, Message, Reject, RejectCode, U256};
use core::cell::Cell;

#[cfg(doc)]
use atoll_types::MessageKind;

/// Version of the layout of actions: the first byte.
pub const ACTION_VERSION: u8 = 1;
/// Most assets, and most tokens, that one observation of an account shows.
pub const OBSERVED_MAX: u8 = 8;
/// Decimals of prices and sizes in actions and observations.
pub const SCALE: u32 = 8;
/// The name of the agent that an account approves by an action.
pub const AGENT_NAME: &str = "contract";

const HEAD_BYTES: usize = 4;

mod number {
    pub(super) const LIMIT_ORDER: u32 = 1;
    pub(super) const MOVE: u32 = 7;
    pub(super) const APPROVE_AGENT: u32 = 9;
    pub(super) const CANCEL: u32 = 10;
    pub(super) const CANCEL_BY_CLIENT_ID: u32 = 11;
    pub(super) const SEND: u32 = 0x100;
    pub(super) const OBSERVE: u32 = 0x101;
}

/// One action of a contract. Assets are the numbers of the API
/// ([`market_of_asset`](super::market_of_asset)), prices and sizes 10⁸ × the decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractAction {
    /// 1: `uint32 asset, bool isBuy, uint64 limitPx, uint64 sz, bool reduceOnly, uint8 tif,
    /// uint128 cloid`.
    LimitOrder {
        /// The market.
        asset: u32,
        /// Which side.
        side: Side,
        /// The worst price.
        price: u64,
        /// How much.
        size: u64,
        /// Whether it may only make a position smaller.
        reduce_only: bool,
        /// 1 post-only, 2 good until cancelled, 3 immediate or cancel; there is no fill-or-kill.
        tif: Tif,
        /// The contract's own identifier; 0 for none.
        client_id: Option<ClientId>,
    },
    /// 7: `uint64 amount, bool toPerp`: moves collateral between the account's own wallets.
    Move {
        /// How much, in the collateral asset's smallest unit.
        amount: u64,
        /// The wallet that receives it.
        to: Wallet,
    },
    /// 9: `address agent, uint64 validUntilMs`: lets a key sign orders for the account.
    ApproveAgent {
        /// The key's address.
        agent: Address,
        /// Milliseconds since the Unix epoch until which it may sign; 0 revokes.
        valid_until_ms: u64,
    },
    /// 10: `uint32 asset, uint64 oid`.
    Cancel {
        /// The market that the order must be in.
        asset: u32,
        /// The order.
        order: OrderId,
    },
    /// 11: `uint32 asset, uint128 cloid`.
    CancelByClientId {
        /// The market that the order must be in.
        asset: u32,
        /// The contract's own identifier.
        client_id: ClientId,
    },
    /// 0x100: `uint32 destination, address to, address token, bool spotWallet, uint128 amount`: money
    /// leaves the environment.
    Send {
        /// Where it goes; 0 is out to the hub.
        destination: EnvironmentId,
        /// Who receives it there.
        to: Address,
        /// The token, by its address on the hub.
        token: Address,
        /// The wallet that it leaves.
        wallet: Wallet,
        /// How much, in the token's smallest unit on the hub.
        amount: u128,
    },
    /// 0x101: `address account`, then `uint8 n` and n `uint32 asset`, then `uint8 m` and m
    /// `address token`.
    Observe(Asked),
}

/// What an observation of an account is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whose; anybody's.
    pub account: Address,
    /// Of which markets the positions, at most [`OBSERVED_MAX`].
    pub assets: Vec<u32>,
    /// Of which tokens of the hub the spot balances, at most [`OBSERVED_MAX`].
    pub tokens: Vec<Address>,
}

fn malformed(message: String) -> Reject {
    Reject::new(RejectCode::Malformed, message)
}

/// Words that are still to be read.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    /// The next word, if its value has so few bits.
    fn next(&mut self, name: &'static str, bits: usize) -> Result<U256, Reject> {
        let Some((word, rest)) = self.0.split_first_chunk::<32>() else {
            return Err(malformed(format!("the action ends before its word \"{name}\"")));
        };
        let value = U256::from_be_bytes(*word);
        if value.bit_len() > bits {
            return Err(malformed(format!("the word \"{name}\" has more than {bits} bits")));
        }
        self.0 = rest;
        Ok(value)
    }

    fn bool(&mut self, name: &'static str) -> Result<bool, Reject> {
        self.next(name, 1).map(|value| !value.is_zero())
    }

    fn u32(&mut self, name: &'static str) -> Result<u32, Reject> {
        self.next(name, 32).map(|value| value.to())
    }

    fn u64(&mut self, name: &'static str) -> Result<u64, Reject> {
        self.next(name, 64).map(|value| value.to())
    }

    fn u128(&mut self, name: &'static str) -> Result<u128, Reject> {
        self.next(name, 128).map(|value| value.to())
    }

    fn address(&mut self, name: &'static str) -> Result<Address, Reject> {
        self.next(name, 160).map(|value| Address::from_word(value.word()))
    }

    fn tif(&mut self) -> Result<Tif, Reject> {
        match self.next("tif", 8)?.to::<u8>() {
            1 => Ok(Tif::PostOnly),
            2 => Ok(Tif::Gtc),
            3 => Ok(Tif::Ioc),
            _ => Err(malformed("\"tif\" is 1 (post-only), 2 (GTC) or 3 (IOC)".into())),
        }
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        item: impl Fn(&mut Self) -> Result<T, Reject>,
    ) -> Result<Vec<T>, Reject> {
        let count = self.next(name, 8)?.to::<u8>();
        if count > OBSERVED_MAX {
            let message =
                format!("\"{name}\" is {count}, at most {OBSERVED_MAX} are shown at once");
            return Err(Reject::new(RejectCode::Oversized, message));
        }
        (0..count).map(|_| item(self)).collect()
    }
}

impl ContractAction {
    /// Reads an action: its exact bytes and nothing behind them, every word inside the range of its
    /// type.
    pub fn decode(data: &[u8]) -> Result<Self, Reject> {
        let Some(([version, number @ ..], words)) = data.split_first_chunk::<HEAD_BYTES>() else {
            let message = "the action has no head: a byte of version and three of its number";
            return Err(malformed(message.into()));
        };
        if *version != ACTION_VERSION {
            let message = format!("the action has version {version}; this is {ACTION_VERSION}");
            return Err(Reject::new(RejectCode::Unsupported, message));
        }
        let number = u32::from_be_bytes([0, number[0], number[1], number[2]]);
        let mut words = Words(words);
        let action = Self::read(number, &mut words)?;
        match words.0.len() {
            0 => Ok(action),
            left => Err(malformed(format!("{left} byte(s) are left over behind the action"))),
        }
    }

    fn read(number: u32, words: &mut Words<'_>) -> Result<Self, Reject> {
        Ok(match number {
            number::LIMIT_ORDER => Self::LimitOrder {
                asset: words.u32("asset")?,
                side: if words.bool("isBuy")? { Side::Buy } else { Side::Sell },
                price: words.u64("limitPx")?,
                size: words.u64("sz")?,
                reduce_only: words.bool("reduceOnly")?,
                tif: words.tif()?,
                client_id: Some(words.u128("cloid")?).filter(|id| *id != 0).map(u128::to_be_bytes),
            },
            number::MOVE => Self::Move {
                amount: words.u64("amount")?,
                to: if words.bool("toPerp")? { Wallet::Collateral } else { Wallet::Spot },
            },
            number::APPROVE_AGENT => Self::ApproveAgent {
                agent: words.address("agent")?,
                valid_until_ms: words.u64("validUntilMs")?,
            },
            number::CANCEL => {
                Self::Cancel { asset: words.u32("asset")?, order: OrderId(words.u64("oid")?) }
            }
            number::CANCEL_BY_CLIENT_ID => Self::CancelByClientId {
                asset: words.u32("asset")?,
                client_id: words.u128("cloid")?.to_be_bytes(),
            },
            number::SEND => Self::Send {
                destination: EnvironmentId(words.u32("destination")?),
                to: words.address("to")?,
                token: words.address("token")?,
                wallet: if words.bool("spotWallet")? { Wallet::Spot } else { Wallet::Collateral },
                amount: words.u128("amount")?,
            },
            number::OBSERVE => Self::Observe(Asked {
                account: words.address("account")?,
                assets: words.list("n", |words| words.u32("asset"))?,
                tokens: words.list("m", |words| words.address("token"))?,
            }),
            _ => {
                let message = format!("there is no action with the number {number:#x}");
                return Err(Reject::new(RejectCode::Unsupported, message));
            }
        })
    }

    /// The bytes that [`Self::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let flag = |wallet: &Wallet, of: Wallet| *wallet == of;
        let cloid = |id: &ClientId| u128::from_be_bytes(*id);
        match self {
            Self::LimitOrder { asset, side, price, size, reduce_only, tif, client_id } => {
                let tif = match tif {
                    Tif::PostOnly => 1,
                    Tif::Gtc => 2,
                    Tif::Ioc => 3,
                    // Has no number, and is not read.
                    Tif::Fok => 0u8,
                };
                let (buy, id) = (*side == Side::Buy, client_id.as_ref().map_or(0, cloid));
                put(number::LIMIT_ORDER, &[asset, &buy, price, size, reduce_only, &tif, &id])
            }
            Self::Move { amount, to } => {
                put(number::MOVE, &[amount, &flag(to, Wallet::Collateral)])
            }
            Self::ApproveAgent { agent, valid_until_ms } => {
                put(number::APPROVE_AGENT, &[agent, valid_until_ms])
            }
            Self::Cancel { asset, order } => put(number::CANCEL, &[asset, &order.0]),
            Self::CancelByClientId { asset, client_id } => {
                put(number::CANCEL_BY_CLIENT_ID, &[asset, &cloid(client_id)])
            }
            Self::Send { destination, to, token, wallet, amount } => {
                let spot = flag(wallet, Wallet::Spot);
                put(number::SEND, &[&destination.0, to, token, &spot, amount])
            }
            Self::Observe(Asked { account, assets, tokens }) => {
                let counts = (assets.len() as u64, tokens.len() as u64);
                let mut words: Vec<&dyn Word> = alloc::vec![account, &counts.0];
                words.extend(assets.iter().map(|asset| asset as &dyn Word));
                words.push(&counts.1);
                words.extend(tokens.iter().map(|token| token as &dyn Word));
                put(number::OBSERVE, &words)
            }
        }
    }

    /// What a user would have signed. What the venue's rules refuse is a refused step, as there.
    fn into_signed(self, identity: &Identity, spec: &ExchangeVmSpec, rules: &Rules) -> Action {
        let never = Cell::new(None);
        let decoder = Decoder::of_one(rules, &never);
        let step = match self {
            Self::LimitOrder { asset, side, price, size, reduce_only, tif, client_id } => {
                let order = || {
                    let market = decoder.market(asset.into())?;
                    let price = decoder.ticks(market, Decimal::fixed(price, SCALE))?;
                    let size = decoder.lots(market, Decimal::fixed(size, SCALE))?;
                    let plain = OrderRequest { market, side, price, size, ..Default::default() };
                    Ok(Command::Place(OrderRequest { reduce_only, tif, client_id, ..plain }))
                };
                Step { target_market: None, command: order() }
            }
            Self::Move { amount, to } => {
                Command::Move { asset: rules.spec().collateral, to, amount: amount.into() }.into()
            }
            Self::ApproveAgent { agent, valid_until_ms } => {
                return Action::ApproveAgent { agent, name: AGENT_NAME.into(), valid_until_ms };
            }
            Self::Cancel { asset, order } => {
                decoder.cancel_step(asset.into(), OrderSelector::Order(order))
            }
            Self::CancelByClientId { asset, client_id } => {
                decoder.cancel_step(asset.into(), OrderSelector::Client(client_id))
            }
            Self::Send { destination, to, token, wallet, amount } => {
                return sending(identity, spec, (destination, to), (token, wallet), amount).into();
            }
            // Asks for nothing that a user could sign.
            Self::Observe(_) => return Action::Commands(Vec::new()),
        };
        Action::Commands(alloc::vec![step])
    }
}

fn put(number: u32, words: &[&dyn Word]) -> Vec<u8> {
    let mut data = Vec::with_capacity(HEAD_BYTES + 32 * words.len());
    data.extend_from_slice(&(u32::from(ACTION_VERSION) << 24 | number).to_be_bytes());
    words.iter().for_each(|word| data.extend_from_slice(word.word().as_slice()));
    data
}

fn sending(
    identity: &Identity,
    spec: &ExchangeVmSpec,
    way: (EnvironmentId, Address),
    (token, wallet): (Address, Wallet),
    amount: u128,
) -> Result<Sending, Refusal> {
    let Some(hub) = spec.hub_asset_of(&token) else {
        return Err(refusal(
            RejectCode::Unsupported,
            "this venue has no asset for the hub's token",
        ));
    };
    let amount = hub.from_hub(U256::from(amount)).map_err(|reject| {
        let message = match reject.code {
            RejectCode::OffLot => "the amount is not a multiple of the asset's smallest unit here",
            _ => "the amount is above every limit of the venue",
        };
        refusal(reject.code, message)
    })?;
    Sending::new(identity, spec, way, (hub.asset, wallet), amount)
}

impl<S: Source> ExchangeVm<S> {
    /// [`crate::Vm::receive`] of an action.
    pub(super) fn receive_action(&mut self, hash: B256, message: &Message) -> Receipt {
        let mut messages = Vec::new();
        let outcome = self.act(message, &mut messages);
        Receipt { messages, ..receipt(hash, outcome) }
    }

    fn act(
        &mut self,
        message: &Message,
        messages: &mut Vec<Message>,
    ) -> Result<ExchangeReceipt, Reject> {
        let action = ContractAction::decode(&message.data)?;
        self.exchange.follow();
        if let ContractAction::Observe(asked) = &action {
            return Ok(self.show_account(message, asked, messages));
        }
        let account = message.account();
        if self.exchange.account(&account).is_none() {
            let message = format!(
                "{account} has no account here, through which {} of environment {} acts; deposit \
                 to it first",
                message.from, message.source,
            );
            return Err(Reject::new(RejectCode::UnknownAccount, message));
        }
        let action = action.into_signed(&self.identity, &self.spec, self.exchange.rules());
        Ok(self.perform(account, &action, messages))
    }
}
