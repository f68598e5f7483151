//! The VM: accounts, agents and nonces around the exchange's state.

use super::action::{self, Action, Step};
use super::authority::{self, Domain, SignedAction};
use super::claims::Claims;
use super::objects::{Agent, AgentList, Nonces, SignerKey};
use super::signers::{Peeked, Recorded};
use super::{ExchangeReceipt, ExchangeVmSpec, OraclePrices, Status};
use crate::{AssetAudit, Checked, Identity, Receipt, SlotContext, Vm};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_exchange::objects::{AddressKey, ClientKey, OrderPage};
use atoll_exchange::{
    AccountId, Command, Event, Exchange, Input, Listing, MarketId, OracleReport, OrderRequest,
    OrderSelector, Outcome, Placed, Refusal, TriggerRequest,
};
use atoll_state::object::{self, Source, Table, TableVisitor, Tables};
use atoll_types::{Address, B256, Encode, Message, MessageKind, Reject, RejectCode, U256};

/// The exchange over its objects.
#[derive(Debug)]
pub struct ExchangeVm<S: Source> {
    pub(super) identity: Identity,
    pub(super) spec: ExchangeVmSpec,
    pub(super) exchange: Exchange<S>,
    pub(super) agents: Table<Agent, S>,
    pub(super) agent_lists: Table<AgentList, S>,
    pub(super) nonces: Table<Nonces, S>,
    pub(super) claims: Claims<S>,
    /// The slot.
    pub(super) slot: u64,
    /// Time of the latest tick, or of the slot before its first one.
    pub(super) now_us: u64,
    /// What the latest slot opening or tick did: for observers, never read in execution.
    tick_events: Vec<Event>,
}

impl<S: Source> Tables<S> for ExchangeVm<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        self.exchange.visit(visitor);
        visitor.visit(&mut self.agents);
        visitor.visit(&mut self.agent_lists);
        visitor.visit(&mut self.nonces);
        self.claims.visit(visitor);
    }
}

impl<S: Source> ExchangeVm<S> {
    /// The spec it runs.
    pub fn spec(&self) -> &ExchangeVmSpec {
        &self.spec
    }

    /// The exchange, for queries; its tables are [`Exchange::state`].
    pub fn exchange(&self) -> &Exchange<S> {
        &self.exchange
    }

    /// Time that nonces and expiries are held against: of the latest tick, or of the slot before
    /// its first tick, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// What the latest opening of a slot or tick did: marks that moved, what was due.
    pub fn tick_events(&self) -> &[Event] {
        &self.tick_events
    }

    /// The account number of an address. For queries.
    pub fn account_of(&self, address: &Address) -> Option<AccountId> {
        let entry = self.exchange.state().addresses.peek(&AddressKey(*address))?;
        entry.number.checked_sub(1).map(AccountId)
    }

    /// The agents of a master account, each with its address. For queries.
    pub fn agents_of(&self, master: &Address) -> impl Iterator<Item = (Address, &Agent)> {
        let list = self.agent_lists.peek(&SignerKey(*master));
        let addresses = list.map_or(&[][..], |list| list.0.as_slice());
        let found = |agent: &Address| Some((*agent, self.agents.peek(&SignerKey(*agent))?));
        addresses.iter().filter_map(found)
    }

    /// The approval of an agent, if the address is one. For queries.
    pub fn agent(&self, address: &Address) -> Option<&Agent> {
        self.agents.peek(&SignerKey(*address)).filter(|agent| !agent.master.is_zero())
    }

    /// What an account may claim of a token, in the token's smallest unit on the hub. For queries.
    pub fn claim(&self, account: Address, token: Address) -> U256 {
        self.claims.of(account, token)
    }

    /// The sum of all claims of a token. For queries.
    pub fn claim_total(&self, token: Address) -> U256 {
        self.claims.total(token)
    }

    /// Whether books, accounts and claims agree with themselves; says what does not. Walks
    /// everything, so for audits and tests only.
    pub fn inconsistencies(&self) -> Vec<String> {
        let mut wrong = self.exchange.inconsistencies();
        wrong.extend(self.claims.mismatches().into_iter().map(|(_, told)| told));
        wrong
    }

    /// The account a transaction would act for, or why it would not reach the exchange. For
    /// admission: it reads without recording.
    pub fn precheck(&self, checked: &Checked<SignedAction>) -> Result<Address, Reject> {
        authority::explain(&self.spec, self.now_ms(), checked, &mut Peeked(self))
    }

    fn reach(
        &mut self,
        checked: &Checked<SignedAction>,
        messages: &mut Vec<Message>,
    ) -> Result<ExchangeReceipt, Reject> {
        let now_ms = self.now_ms();
        let spec = &self.spec;
        let (exchange, agents, nonces) = (&mut self.exchange, &mut self.agents, &mut self.nonces);
        let mut signers = Recorded { exchange, agents, nonces, now_ms };
        let account = authority::authorize(spec, now_ms, checked, &mut signers)?;
        let action = &checked.transaction.action;
        let late = match action {
            Action::Late { body, .. } => {
                self.exchange.follow();
                let rules = self.exchange.rules();
                let steps = action::decode_late(&self.identity, &self.spec, rules, body)?;
                Some(Action::Commands(steps))
            }
            _ => None,
        };
        let nonces = self.nonces.get_mut(&SignerKey(checked.signer));
        let nonce = checked.transaction.nonce;
        if let Action::Oracle(prices) = action {
            nonces.advance(nonce);
            return Ok(self.report(checked, prices));
        }
        nonces.insert(nonce);
        Ok(self.perform(account, late.as_ref().unwrap_or(action), messages))
    }

    /// Takes in the prices of an oracle source.
    fn report(
        &mut self,
        checked: &Checked<SignedAction>,
        prices: &OraclePrices,
    ) -> ExchangeReceipt {
        let mut receipt = ExchangeReceipt::default();
        let time_us = checked.transaction.nonce.saturating_mul(1000);
        self.exchange.follow();
        for (market, price, external) in prices.told() {
            // No source of this market has a number that no market has a source for.
            let source = self.source(market, &checked.signer).unwrap_or(u8::MAX);
            let report = OracleReport { market, source, price, external, time_us };
            let outcome = self.exchange.apply(&Input::Oracle(report), &mut receipt.events);
            receipt.statuses.push(status(outcome, None));
        }
        receipt
    }

    /// Does what an account asks for, whichever way it asked: signed, or through a message.
    pub(super) fn perform(
        &mut self,
        account: Address,
        action: &Action,
        messages: &mut Vec<Message>,
    ) -> ExchangeReceipt {
        let mut receipt = ExchangeReceipt::default();
        match action {
            Action::ApproveAgent { agent, name, valid_until_ms } => {
                let approval =
                    Agent { master: account, valid_until_ms: *valid_until_ms, name: name.clone() };
                let outcome = self.approve(*agent, approval);
                receipt.statuses.push(status(outcome.map(|()| Outcome::Done), None));
            }
            Action::Send(sending) => {
                let status = self.send(account, sending, &mut receipt.events, messages);
                receipt.statuses.push(status);
            }
            Action::Commands(steps) => {
                let Some(caller) = self.exchange.account(&account) else {
                    // Only on a witness that leaves the account out: nobody believes the result.
                    return receipt;
                };
                for step in steps {
                    match &step.command {
                        Ok(command @ (Command::PlaceGroup { .. } | Command::AttachTriggers(_))) => {
                            self.group(caller, command, &mut receipt)
                        }
                        _ => {
                            let status = self.step(caller, step, &mut receipt.events);
                            receipt.statuses.push(status);
                        }
                    }
                }
                if steps.is_empty() {
                    receipt.statuses.push(Status::Success);
                }
            }
            // Prices are no account's, and what was late has been read by now.
            Action::Oracle(_) | Action::Late { .. } => {}
        }
        receipt
    }

    /// The number of an oracle source of a market with this key.
    fn source(&self, market: MarketId, signer: &Address) -> Option<u8> {
        match self.exchange.rules().own_oracle(market) {
            None => self.spec.oracle_source(signer),
            Some(own) => own.keys.iter().position(|key| key == signer).map(|place| place as u8),
        }
    }

    /// What a refused listing says in full.
    fn invalid_market(&mut self, caller: AccountId, listing: &Listing) -> Option<Status> {
        let owner = self.exchange.owner(caller);
        let rules = self.exchange.rules();
        let authority = rules.spec().is_authority(&owner);
        let wrong = rules.check_listing(listing, authority).err()?;
        Some(Status::Rejected { code: RejectCode::InvalidMarket, detail: wrong.to_string() })
    }

    /// Orders that belong together: a status for each.
    fn group(&mut self, caller: AccountId, command: &Command, receipt: &mut ExchangeReceipt) {
        let (parent, members) = match command {
            Command::PlaceGroup { parent, children } => (Some(parent.client_id), children),
            Command::AttachTriggers(orders) => (None, orders),
            _ => return,
        };
        let outcome = self.exchange.execute(caller, command, &mut receipt.events);
        let statuses = &mut receipt.statuses;
        let grouped = match outcome {
            Ok(Outcome::Grouped(grouped)) => grouped,
            other => {
                let orders = members.iter().flatten().count() + usize::from(parent.is_some());
                statuses.extend((0..orders).map(|_| status(other, None)));
                return;
            }
        };
        if let (Some(placed), Some(client_id)) = (grouped.parent, parent) {
            statuses.push(status(Ok(Outcome::Placed(placed)), client_id));
        }
        for (order, member) in grouped.children.iter().zip(members) {
            if let (Some(order), Some(TriggerRequest { client_id, .. })) = (*order, *member) {
                statuses.push(Status::Waiting { order, client_id, parent: grouped.waiting });
            }
        }
    }

    fn step(&mut self, caller: AccountId, step: &Step, events: &mut Vec<Event>) -> Status {
        let command = match &step.command {
            Ok(command) => command,
            Err(refusal) => return status(Err(*refusal), None),
        };
        let client_id = match command {
            Command::Place(OrderRequest { client_id, .. }) => *client_id,
            Command::Modify { order, .. } => order.client_id,
            Command::PlaceTrigger(order) | Command::ModifyTrigger { order, .. } => order.client_id,
            Command::PlaceMarket(order) => order.client_id,
            _ => None,
        };
        if let (
            Some(market),
            Command::Cancel(target)
            | Command::Modify { target, .. }
            | Command::ModifyTrigger { target, .. },
        ) = (step.target_market, command)
            && self.open_market(caller, target).is_some_and(|found| found != market)
        {
            // What was peeked at must be in the witness: cancel for its reads, and undo.
            let point = object::savepoint(self);
            let kept = events.len();
            let _ = self.exchange.execute(caller, &Command::Cancel(*target), events);
            object::rollback(self, point);
            events.truncate(kept);
            let message = "this account has no such open order in this market";
            let refusal = Refusal { code: RejectCode::UnknownOrder, message, have_need: None };
            return status(Err(refusal), None);
        }
        let outcome = self.exchange.execute(caller, command, events);
        match (&outcome, command) {
            (Ok(_), Command::Transfer { to, .. }) => {
                self.renew_claims(caller);
                self.renew_claims_of(to);
            }
            // A bond is no balance.
            (Ok(_), Command::ListMarket(_) | Command::ClaimBond { .. }) => {
                self.renew_claims(caller);
            }
            (Err(refusal), Command::ListMarket(listing))
                if refusal.code == RejectCode::InvalidMarket =>
            {
                if let Some(status) = self.invalid_market(caller, listing) {
                    return status;
                }
            }
            _ => {}
        }
        status(outcome, client_id)
    }

    /// The market of an open order. Reads without recording: what the command itself then reads
    /// covers it.
    fn open_market(&self, account: AccountId, target: &OrderSelector) -> Option<MarketId> {
        let state = self.exchange.state();
        let order = match target {
            OrderSelector::Order(order) => *order,
            OrderSelector::Client(client_id) => {
                state.clients.peek(&ClientKey { account, client_id: *client_id })?.order
            }
        };
        let (key, place) = OrderPage::of(account, order.slot());
        state.orders.peek(&key)?.get(place, order).map(|found| found.market)
    }
}

pub(super) fn status(
    outcome: Result<Outcome, Refusal>,
    client_id: Option<atoll_exchange::ClientId>,
) -> Status {
    match outcome {
        Ok(Outcome::Placed(Placed { order, filled, notional, resting })) if filled > 0 => {
            Status::Filled { order, client_id, size: filled, notional, resting }
        }
        Ok(Outcome::Placed(Placed { order, resting, .. })) if resting > 0 => {
            Status::Resting { order, client_id }
        }
        Ok(Outcome::Placed(_)) => Status::Rejected {
            code: RejectCode::NoLiquidity,
            detail: "the order could not trade at once and was cancelled".into(),
        },
        Ok(Outcome::Waiting(order)) => Status::Resting { order, client_id },
        Ok(Outcome::Done | Outcome::Cancelled(_) | Outcome::Grouped(_)) => Status::Success,
        Err(refusal) => Status::Rejected { code: refusal.code, detail: refusal.to_string() },
    }
}

/// Commands of a transaction that are looked at ahead: by the time of later ones, what was asked
/// for might be out of the cache again.
const STEPS_AHEAD: usize = 2;

impl<S: Source> Vm<S> for ExchangeVm<S> {
    type Spec = ExchangeVmSpec;
    type Transaction = SignedAction;
    const PROGRAM: &'static str = "exchange 9";

    fn new(identity: Identity, spec: ExchangeVmSpec, seed: u64) -> Self {
        Self {
            identity,
            exchange: Exchange::new(spec.exchange.clone(), seed),
            spec,
            agents: Table::new(seed),
            agent_lists: Table::new(seed),
            nonces: Table::new(seed),
            claims: Claims::new(seed),
            slot: 0,
            now_us: 0,
            tick_events: Vec::new(),
        }
    }

    fn genesis(&mut self) {
        let mut events = Vec::new();
        for balance in &self.spec.genesis {
            let super::GenesisBalance { address, asset, wallet, amount } = *balance;
            // Refused is only what the spec's validation refuses.
            let _ =
                self.exchange.apply(&Input::Credit { address, asset, wallet, amount }, &mut events);
            events.clear();
        }
        self.claims.renew_all(&self.spec, &mut self.exchange);
    }

    fn check(
        identity: &Identity,
        spec: &ExchangeVmSpec,
        bytes: &[u8],
    ) -> Result<Checked<SignedAction>, Reject> {
        authority::check(identity, spec, bytes)
    }

    fn open_slot(&mut self, context: &SlotContext) {
        self.resume(context, None);
        // What is due is not to depend on somebody trading.
        if self.exchange.is_due(context.time_us) {
            let _ = self
                .exchange
                .apply(&Input::Tick { time_us: context.time_us }, &mut self.tick_events);
        }
        self.claims.renew_next(&self.spec, &mut self.exchange);
    }

    fn resume(&mut self, context: &SlotContext, tick_time_us: Option<u64>) {
        self.slot = context.slot;
        self.now_us = tick_time_us.unwrap_or(context.time_us);
        self.tick_events.clear();
    }

    fn open_tick(&mut self, time_us: u64) {
        self.now_us = time_us;
        self.tick_events.clear();
        // A tick is never refused.
        let _ = self.exchange.apply(&Input::Tick { time_us }, &mut self.tick_events);
    }

    const AHEAD: usize = atoll_exchange::AHEAD;

    fn prefetch(&self, checked: &Checked<SignedAction>, ahead: usize) {
        let Action::Commands(steps) = &checked.transaction.action else { return };
        let agent = self.agents.peek(&SignerKey(checked.signer));
        let owner = agent.map_or(checked.signer, |agent| agent.master);
        let Some(caller) = self.exchange.peek_account(&owner) else { return };
        for command in steps.iter().take(STEPS_AHEAD).filter_map(|step| step.command.as_ref().ok())
        {
            self.exchange.prefetch(caller, command, ahead);
        }
    }

    fn execute(&mut self, checked: &Checked<SignedAction>) -> Receipt {
        let mut messages = Vec::new();
        let outcome = self.reach(checked, &mut messages);
        Receipt { messages, ..receipt(checked.hash, outcome) }
    }

    fn execute_input(&mut self, checked: &Checked<SignedAction>) -> Receipt {
        if checked.transaction.domain == Domain::Oracle {
            return self.execute(checked);
        }
        let message = "only the oracle's prices may open a slot; submit this as a transaction";
        receipt(checked.hash, Err(Reject::new(RejectCode::NotAllowed, message)))
    }

    fn receive(&mut self, hash: B256, message: &Message) -> Receipt {
        match message.kind {
            MessageKind::Transfer | MessageKind::Bounce => self.receive_money(hash, message),
            MessageKind::Action => self.receive_action(hash, message),
            MessageKind::Observe => self.show_markets(hash, message),
            MessageKind::Observation => {
                let said = "an exchange observes nobody; this is for an environment that does";
                receipt(hash, Err(Reject::new(RejectCode::Unsupported, said)))
            }
        }
    }

    fn loaded(&mut self) {
        self.exchange.loaded();
    }

    fn audit(&self) -> Vec<AssetAudit> {
        audit(&self.spec, &self.exchange, &self.claims.mismatches())
    }
}

pub(super) fn receipt(hash: B256, outcome: Result<ExchangeReceipt, Reject>) -> Receipt {
    let (code, payload) = match outcome {
        Ok(receipt) => (0, receipt.to_bytes()),
        Err(reject) => (reject.code.number(), String::into_bytes(reject.message)),
    };
    Receipt { hash, code, payload, messages: Vec::new() }
}

fn audit<S: Source>(
    spec: &ExchangeVmSpec,
    exchange: &Exchange<S>,
    wrong_claims: &[(Address, String)],
) -> Vec<AssetAudit> {
    let conservation = exchange.audit();
    // Positions that do not sum to zero owe or are owed collateral that nobody holds.
    let (rules, balanced) = (exchange.rules().spec(), conservation.unbalanced.is_empty());
    let of = |found: &atoll_exchange::AssetConservation| {
        let token = spec.hub_asset(found.asset).map(|hub| hub.token);
        let claims_hold = wrong_claims.iter().all(|(wrong, _)| Some(*wrong) != token);
        AssetAudit {
            asset: rules
                .assets
                .get(usize::from(found.asset.0))
                .map_or(String::new(), |asset| asset.symbol.clone()),
            owed: found.owed.to_string(),
            held: found.held.to_string(),
            conserved: found.holds && (balanced || found.asset != rules.collateral) && claims_hold,
        }
    };
    conservation.assets.iter().map(of).collect()
}
