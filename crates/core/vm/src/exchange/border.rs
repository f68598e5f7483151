//! Money that crosses the environment's border: deposits, transfers from and to other
//! environments, withdrawals, and what comes back.
//!
//! Money comes into the collateral wallet where the asset is the collateral, else into the spot
//! wallet. What cannot be credited (no such token here, not a whole number of the asset's smallest
//! unit, more than the venue can hold, the zero address, an agent's key) goes back where it came
//! from; what already came back goes out to the hub.

use super::objects::{Agent, SignerKey};
use super::vm::status;
use super::{ExchangeReceipt, ExchangeVm, ExchangeVmSpec, HubAsset, Status};
use crate::{Identity, Receipt, router};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{AccountId, Amount, AssetId, Event, Input, Outside, Refusal, Wallet};
use atoll_state::Source;
use atoll_types::hub::ROUTER;
use atoll_types::{Address, B256, Encode, EnvironmentId, Message, MessageKind, Reject, RejectCode};

/// Money that is to leave the environment: a withdrawal to the hub, or a transfer to another
/// environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Where it goes; [`ROUTER`] is the hub.
    pub destination: EnvironmentId,
    /// Who receives it there.
    pub to: Address,
    /// The asset and its token.
    pub asset: HubAsset,
    /// The wallet it leaves.
    pub wallet: Wallet,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
}

impl Sending {
    /// What was asked for, or why that can never leave.
    pub(super) fn new(
        identity: &Identity,
        spec: &ExchangeVmSpec,
        (destination, to): (EnvironmentId, Address),
        (asset, wallet): (AssetId, Wallet),
        amount: Amount,
    ) -> Result<Self, Refusal> {
        let refuse = |code, message| Err(Refusal { code, message, have_need: None });
        if destination == identity.environment {
            let message = "this is the environment's own number; a Transfer pays accounts in it";
            return refuse(RejectCode::UnknownEnvironment, message);
        }
        if to.is_zero() {
            let message = "the receiver is the zero address; name the address to be paid";
            return refuse(RejectCode::NotAllowed, message);
        }
        let Some(asset) = spec.hub_asset(asset).copied() else {
            let message = "the asset has no token on the hub, so it cannot leave the environment";
            return refuse(RejectCode::Unsupported, message);
        };
        if asset.to_hub(amount).bit_len() > router::AMOUNT_BITS_MAX {
            let message = "the amount is above what one message carries; send it in parts";
            return refuse(RejectCode::Overflow, message);
        }
        Ok(Self { destination, to, asset, wallet, amount })
    }
}

impl<S: Source> ExchangeVm<S> {
    /// Takes money off the signer's account and puts it on its way.
    pub(super) fn send(
        &mut self,
        from: Address,
        sending: &Sending,
        events: &mut Vec<Event>,
        messages: &mut Vec<Message>,
    ) -> Status {
        let Sending { destination, to, asset: HubAsset { asset, token, .. }, wallet, amount } =
            *sending;
        let input = match destination {
            ROUTER => Input::Debit { address: from, asset, wallet, amount },
            _ => Input::Send { address: from, asset, wallet, amount },
        };
        let outcome = self.exchange.apply(&input, events);
        if outcome.is_ok() {
            self.renew_claims_of(&from);
            messages.push(Message {
                kind: MessageKind::Transfer,
                number: 0,
                source: self.identity.environment,
                destination,
                from,
                to,
                token,
                amount: sending.asset.to_hub(amount),
                data: Vec::new(),
            });
        }
        status(outcome, None)
    }

    /// [`crate::Vm::receive`].
    pub(super) fn receive_money(&mut self, hash: B256, message: &Message) -> Receipt {
        match self.credit(message) {
            Ok(receipt) => Receipt { hash, payload: receipt.to_bytes(), ..Receipt::default() },
            Err(reject) => Receipt {
                hash,
                code: reject.code.number(),
                payload: String::into_bytes(reject.message),
                messages: self.onward(message),
            },
        }
    }

    fn credit(&mut self, message: &Message) -> Result<ExchangeReceipt, Reject> {
        let Message { kind, source, to: address, token, amount, .. } = *message;
        let Some(hub) = self.spec.hub_asset_of(&token).copied() else {
            let message = format!("this venue has no asset for the hub's token {token}");
            return Err(Reject::new(RejectCode::Unsupported, message));
        };
        let amount = hub.from_hub(amount)?;
        let mut keyless = false;
        if self.exchange.account(&address).is_none() {
            let Agent { master, .. } = self.agents.get(&SignerKey(address));
            // No key signs for the account of a contract: to approve it as an agent keeps the
            // contract's money out, and does nothing else.
            keyless = !master.is_zero() && address == message.account();
            if !master.is_zero() && !keyless {
                let message = format!("{address} is an agent's key: it can have no account here");
                return Err(Reject::new(RejectCode::NotAllowed, message));
            }
        }
        let asset = hub.asset;
        let wallet = if asset == self.spec.exchange.spec().collateral {
            Wallet::Collateral
        } else {
            Wallet::Spot
        };
        let input = match (kind, source) {
            (MessageKind::Bounce, source) => {
                let outside = if source == ROUTER { Outside::Hub } else { Outside::Environment };
                Input::Return { outside, address, asset, wallet, amount }
            }
            (_, ROUTER) => Input::Credit { address, asset, wallet, amount },
            _ => Input::Receive { address, asset, wallet, amount },
        };
        let mut events = Vec::new();
        self.exchange.apply(&input, &mut events)?;
        if keyless {
            self.disapprove(address);
        }
        self.renew_claims_of(&address);
        Ok(ExchangeReceipt { statuses: alloc::vec![Status::Success], events })
    }

    /// Where money goes that cannot be credited. Nothing follows from a message without money.
    fn onward(&self, message: &Message) -> Vec<Message> {
        if message.amount.is_zero() {
            return Vec::new();
        }
        alloc::vec![match message.kind {
            MessageKind::Bounce => Message {
                kind: MessageKind::Transfer,
                number: 0,
                source: self.identity.environment,
                destination: ROUTER,
                from: message.to,
                ..message.clone()
            },
            _ => message.bounced(),
        }]
    }

    /// Renews the claims of an address, if it has an account.
    pub(super) fn renew_claims_of(&mut self, address: &Address) {
        if let Some(account) = self.exchange.account(address) {
            self.renew_claims(account);
        }
    }

    /// Renews the claims of an account.
    pub(super) fn renew_claims(&mut self, account: AccountId) {
        self.claims.renew(&self.spec, &mut self.exchange, account);
    }
}
