//! What the state knows about signers, read in the two ways that [`Signers`] is asked in.

use super::ExchangeVm;
use super::authority::{Domain, SignedAction, Signers};
use super::objects::{Agent, Nonces, SignerKey};
use atoll_exchange::Exchange;
use atoll_state::{Source, Table};
use atoll_types::{Address, Reject};

/// Signers as recorded reads.
pub(super) struct Recorded<'a, S: Source> {
    pub(super) exchange: &'a mut Exchange<S>,
    pub(super) agents: &'a mut Table<Agent, S>,
    pub(super) nonces: &'a mut Table<Nonces, S>,
    pub(super) now_ms: u64,
}

fn check_nonce(nonces: &Nonces, signed: &SignedAction, now_ms: u64) -> Result<(), Reject> {
    match signed.domain {
        Domain::Oracle => nonces.check_rising(signed.nonce, now_ms),
        _ => nonces.check(signed.nonce, now_ms),
    }
}

impl<S: Source> Signers for Recorded<'_, S> {
    fn has_account(&mut self, address: &Address) -> bool {
        self.exchange.account(address).is_some()
    }

    fn agent(&mut self, address: &Address) -> Agent {
        self.agents.get(&SignerKey(*address)).clone()
    }

    fn is_listed_source(&mut self, address: &Address) -> bool {
        self.exchange.follow();
        self.exchange.rules().is_listed_source(address)
    }

    fn check_nonce(&mut self, signer: &Address, signed: &SignedAction) -> Result<(), Reject> {
        check_nonce(self.nonces.get(&SignerKey(*signer)), signed, self.now_ms)
    }
}

/// Signers as unrecorded reads.
pub(super) struct Peeked<'a, S: Source>(pub(super) &'a ExchangeVm<S>);

impl<S: Source> Signers for Peeked<'_, S> {
    fn has_account(&mut self, address: &Address) -> bool {
        self.0.account_of(address).is_some()
    }

    fn agent(&mut self, address: &Address) -> Agent {
        self.0.agent(address).cloned().unwrap_or_default()
    }

    fn is_listed_source(&mut self, address: &Address) -> bool {
        self.0.exchange().rules().is_listed_source(address)
    }

    fn check_nonce(&mut self, signer: &Address, signed: &SignedAction) -> Result<(), Reject> {
        let none = Nonces::default();
        let nonces = self.0.nonces.peek(&SignerKey(*signer)).unwrap_or(&none);
        check_nonce(nonces, signed, self.0.now_ms())
    }
}
