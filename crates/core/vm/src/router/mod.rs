//! The router: environment 0 of every network. It keeps the ledger of what each environment may
//! pay out, carries messages between environments, and grows the tree of withdrawals.
//!
//! In slot n it takes the deposits of the slot's opening, then what the environments sent in slot
//! n, in order of environment and receipt. What it delivers stands in the opening of slot
//! n + [`RouterSpec::message_delay_slots`]: so an environment that is slow for a moment does not
//! hold up the others. No one signs for it: it has no transactions.
//!
//! * **Rule 4.** An outflow above its environment's balance, or to nowhere, is bounced before it is
//!   delivered: a broken environment cannot make another's escrow pay.
//! * What carries no money is delivered or dropped: nothing of it has to come back.
//! * Before all that, an environment that is to show itself to another one is asked to: in the slots
//!   that [`Observes`] says, in the name of the one that it is shown to. Nobody else can ask so.
//! * A deposit for an environment that this network does not run goes back out at once.

pub mod objects;
mod spec;

pub use spec::{Funding, OBSERVE_EVERY_SLOTS_MAX, Observes, RoutedEnvironment, RouterSpec};

use crate::{AssetAudit, Checked, Identity, Receipt, SlotContext, Vm};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use atoll_state::{Source, Table, TableVisitor, Tables};
use atoll_types::hub::{MESSAGE_DATA_BYTES_MAX, MessageKind, ROUTER, WithdrawalTree};
use atoll_types::{
    Address, B256, Encode, EnvironmentId, Message, NetTransfer, Reject, RejectCode, U256,
    Withdrawal,
};
use objects::{Counter, Deliveries, DeliveryKey, Ledger, LedgerKey, Singleton, Withdrawals};

/// Largest amount that one message may move: sums of 2³⁰ of them stay inside an `i128`.
pub const AMOUNT_BITS_MAX: usize = 96;

const DATA_BYTES_MAX: usize = MESSAGE_DATA_BYTES_MAX as usize;

/// The router over its objects.
#[derive(Debug)]
pub struct RouterVm<S: Source> {
    spec: RouterSpec,
    slot: u64,
    ledgers: Table<Ledger, S>,
    withdrawals: Table<Withdrawals, S>,
    counter: Table<Counter, S>,
    deliveries: Table<Deliveries, S>,
}

impl<S: Source> Tables<S> for RouterVm<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        visitor.visit(&mut self.ledgers);
        visitor.visit(&mut self.withdrawals);
        visitor.visit(&mut self.counter);
        visitor.visit(&mut self.deliveries);
    }
}

impl<S: Source> RouterVm<S> {
    /// The spec it runs.
    pub fn spec(&self) -> &RouterSpec {
        &self.spec
    }

    /// What stands in an environment's opening of a slot. For the node.
    pub fn deliveries(&self, slot: u64, environment: EnvironmentId) -> Vec<Message> {
        let pages = (0..).map_while(|page| {
            let page = self.deliveries.peek(&DeliveryKey { slot, environment, page })?;
            (!page.0.is_empty()).then_some(&page.0)
        });
        pages.flatten().cloned().collect()
    }

    /// The ledger of an environment and token. For queries.
    pub fn ledger(&self, environment: EnvironmentId, token: Address) -> Ledger {
        self.ledgers.peek(&LedgerKey { environment, token }).copied().unwrap_or_default()
    }

    /// All ledgers. For queries.
    pub fn ledgers(&self) -> impl Iterator<Item = (&LedgerKey, &Ledger)> {
        self.ledgers.local_iter()
    }

    /// The tree of withdrawals. For queries and statements.
    pub fn withdrawals(&self) -> WithdrawalTree {
        self.withdrawals.peek(&Singleton).map(|w| w.0.clone()).unwrap_or_default()
    }

    /// Asks each environment that another one observes to show itself, if it is time.
    fn ask(&mut self) {
        for at in 0..self.spec.environments.len() {
            let RoutedEnvironment { id, observes: Some(observes), .. } = self.spec.environments[at]
            else {
                continue;
            };
            if self.slot.is_multiple_of(observes.every_slots.into()) {
                self.deliver(Message {
                    kind: MessageKind::Observe,
                    number: 0,
                    source: id,
                    destination: observes.environment,
                    from: Address::ZERO,
                    to: Address::ZERO,
                    token: Address::ZERO,
                    amount: U256::ZERO,
                    data: Vec::new(),
                });
            }
        }
    }

    fn runs(&self, environment: EnvironmentId) -> bool {
        self.spec.environments.iter().any(|routed| routed.id == environment)
    }

    fn add(
        &mut self,
        environment: EnvironmentId,
        token: Address,
        change: impl FnOnce(&mut Ledger),
    ) {
        change(self.ledgers.get_mut(&LedgerKey { environment, token }));
    }

    /// Puts a message into the opening of a later slot.
    fn deliver(&mut self, mut message: Message) -> Message {
        let counter = self.counter.get_mut(&Singleton);
        counter.messages += 1;
        message.number = counter.messages;
        let slot = self.slot + u64::from(self.spec.message_delay_slots);
        let mut key = DeliveryKey { slot, environment: message.destination, page: 0 };
        while self.deliveries.get(&key).0.len() >= objects::PAGE_MESSAGES {
            key.page += 1;
        }
        self.deliveries.get_mut(&key).0.push(message.clone());
        message
    }

    fn withdraw(&mut self, message: &Message) -> Result<Withdrawal, RejectCode> {
        let tree = &mut self.withdrawals.get_mut(&Singleton).0;
        let withdrawal = Withdrawal {
            index: tree.count(),
            environment: message.source,
            from: message.from,
            to: message.to,
            token: message.token,
            amount: message.amount,
        };
        tree.push(withdrawal.leaf()).ok_or(RejectCode::Overflow)?;
        Ok(withdrawal)
    }

    /// Why a message cannot go where it wants to.
    fn refusal(&mut self, message: &Message) -> Option<RejectCode> {
        let Message { source, destination, token, amount, .. } = *message;
        if destination != ROUTER && (destination == source || !self.runs(destination)) {
            return Some(RejectCode::UnknownEnvironment);
        }
        if amount.bit_len() > AMOUNT_BITS_MAX {
            return Some(RejectCode::Overflow);
        }
        let ledger = self.ledgers.get(&LedgerKey { environment: source, token });
        (ledger.balance() < amount).then_some(RejectCode::InsufficientBalance)
    }

    /// The same for a message without money, of which nothing has to come back.
    fn refusal_of_data(&self, message: &Message) -> Option<RejectCode> {
        if message.kind == MessageKind::Observe || message.data.len() > DATA_BYTES_MAX {
            return Some(RejectCode::NotAllowed);
        }
        let Message { source, destination, .. } = *message;
        let known = destination != source && self.runs(destination);
        (!known).then_some(RejectCode::UnknownEnvironment)
    }

    fn take_deposit(&mut self, hash: B256, message: &Message) -> Receipt {
        let Message { destination, token, amount, .. } = *message;
        self.add(destination, token, |ledger| grow(&mut ledger.deposits, amount));
        let mut receipt = Receipt { hash, ..Receipt::default() };
        if !self.runs(destination) {
            let back = message.bounced();
            receipt.code = RejectCode::UnknownEnvironment.number();
            match self.withdraw(&back) {
                Ok(withdrawal) => {
                    self.add(destination, token, |ledger| grow(&mut ledger.withdrawals, amount));
                    receipt.payload = withdrawal.to_bytes();
                }
                Err(code) => receipt.code = code.number(),
            }
        }
        receipt
    }

    fn route(&mut self, hash: B256, message: &Message) -> Receipt {
        let Message { source, destination, token, amount, .. } = *message;
        let mut receipt = Receipt { hash, ..Receipt::default() };
        if !message.kind.is_money() {
            match self.refusal_of_data(message) {
                Some(code) => receipt.code = code.number(),
                None => receipt.messages.push(self.deliver(message.clone())),
            }
            return receipt;
        }
        let outcome = match self.refusal(message) {
            Some(code) => Err(code),
            None if destination == ROUTER => self.withdraw(message).map(Some),
            None => Ok(None),
        };
        match outcome {
            Err(code) => {
                receipt.code = code.number();
                receipt.messages.push(self.deliver(message.bounced()));
            }
            Ok(Some(withdrawal)) => {
                self.add(source, token, |ledger| grow(&mut ledger.withdrawals, amount));
                receipt.payload = withdrawal.to_bytes();
            }
            Ok(None) => {
                self.add(source, token, |ledger| grow(&mut ledger.outbound, amount));
                self.add(destination, token, |ledger| grow(&mut ledger.inbound, amount));
                receipt.messages.push(self.deliver(message.clone()));
            }
        }
        receipt
    }
}

/// A token that claims to have more than 2²⁵⁶ of itself fools nobody but its own holders.
fn grow(sum: &mut U256, amount: U256) {
    *sum = sum.saturating_add(amount);
}

/// What a range of the router's receipts moved between environments, net: sorted by environment
/// and token, nothing that is zero.
pub fn net_transfers<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> Vec<NetTransfer> {
    let mut sums: BTreeMap<(EnvironmentId, Address), i128> = BTreeMap::new();
    for receipt in receipts.filter(|receipt| receipt.code == 0) {
        for message in &receipt.messages {
            // Below 2⁹⁶: the router bounces what is above.
            let amount = message.amount.to::<u128>() as i128;
            *sums.entry((message.source, message.token)).or_default() -= amount;
            *sums.entry((message.destination, message.token)).or_default() += amount;
        }
    }
    let moved = sums.into_iter().filter(|(_, delta)| *delta != 0);
    moved.map(|((environment, token), delta)| NetTransfer { environment, token, delta }).collect()
}

impl<S: Source> Vm<S> for RouterVm<S> {
    type Spec = RouterSpec;
    type Transaction = ();
    const PROGRAM: &'static str = "router 3";

    fn new(_: Identity, spec: RouterSpec, seed: u64) -> Self {
        Self {
            spec,
            slot: 0,
            ledgers: Table::new(seed),
            withdrawals: Table::new(seed),
            counter: Table::new(seed),
            deliveries: Table::new(seed),
        }
    }

    fn genesis(&mut self) {
        let environments = core::mem::take(&mut self.spec.environments);
        for routed in &environments {
            for Funding { token, amount } in &routed.funded {
                self.add(routed.id, *token, |ledger| grow(&mut ledger.deposits, *amount));
            }
        }
        self.spec.environments = environments;
    }

    fn check(_: &Identity, _: &RouterSpec, _: &[u8]) -> Result<Checked<()>, Reject> {
        let message = "the router has no transactions; send to one of the other environments";
        Err(Reject::new(RejectCode::Unsupported, message))
    }

    fn open_slot(&mut self, context: &SlotContext) {
        self.slot = context.slot;
        // Delivered in this slot.
        for at in 0..self.spec.environments.len() {
            let environment = self.spec.environments[at].id;
            for page in 0.. {
                let key = DeliveryKey { slot: context.slot, environment, page };
                if self.deliveries.get(&key).0.is_empty() {
                    break;
                }
                self.deliveries.remove(&key);
            }
        }
        self.ask();
    }

    fn resume(&mut self, context: &SlotContext, _: Option<u64>) {
        self.slot = context.slot;
    }

    fn open_tick(&mut self, _: u64) {}

    fn execute(&mut self, transaction: &Checked<()>) -> Receipt {
        let code = RejectCode::Unsupported.number();
        Receipt { hash: transaction.hash, code, ..Receipt::default() }
    }

    fn receive(&mut self, hash: B256, message: &Message) -> Receipt {
        match message.source {
            ROUTER => self.take_deposit(hash, message),
            _ => self.route(hash, message),
        }
    }

    fn audit(&self) -> Vec<AssetAudit> {
        let mut tokens: BTreeMap<Address, (U256, U256)> = BTreeMap::new();
        for (key, ledger) in self.ledgers.local_iter() {
            let (inbound, outbound) = tokens.entry(key.token).or_default();
            *inbound = inbound.saturating_add(ledger.inbound);
            *outbound = outbound.saturating_add(ledger.outbound);
        }
        let audit = |(token, (inbound, outbound)): (Address, (U256, U256))| AssetAudit {
            asset: token.to_string(),
            owed: outbound.to_string(),
            held: inbound.to_string(),
            conserved: inbound == outbound,
        };
        tokens.into_iter().map(audit).collect()
    }
}
