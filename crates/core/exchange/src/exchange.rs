//! The exchange: rules, state, and one command after another.

use crate::command::{Command, Input, Outside};
use crate::engine::{BareBook, Border, Engine, book_mark};
use crate::event::{Event, Outcome, Refusal};
use crate::ids::{AccountId, MarketId, MarketStatus};
use crate::objects::{AccountKey, AddressKey, GlobalKey, MarketKey, State};
use crate::rules::Rules;
use alloc::vec::Vec;
use atoll_state::{Source, TableVisitor, Tables};
use atoll_types::{Address, RejectCode};

/// For how long at most debts cost nothing while nobody sends a command.
const INTEREST_US: u64 = 60_000_000;

/// Why nobody's command is refused.
pub(crate) const NO_ACCOUNT: Refusal = Refusal::new(
    RejectCode::UnknownAccount,
    "there is no account with this number; the first deposit opens one",
);

/// An exchange over a source of objects.
///
/// Commands run between [`atoll_state::object::begin`] and [`atoll_state::object::seal`]; the
/// state is a pure function of spec, inputs and commands in their order.
#[derive(Debug)]
pub struct Exchange<S: Source> {
    pub(crate) rules: Rules,
    pub(crate) state: State<S>,
    /// Epoch of the range in which the rules were last held against the state.
    pub(crate) followed: u32,
    /// Whether a market was listed in that range: what was listed may be rolled back.
    pub(crate) listed: bool,
}

impl<S: Source> Tables<S> for Exchange<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        self.state.visit(visitor);
    }
}

impl<S: Source> Exchange<S> {
    /// An exchange with an empty state. `seed` keys in-memory indexes and never changes results.
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self { rules, state: State::new(seed), followed: 0, listed: false }
    }

    /// From how many positions on a bound of an account's margin is remembered (see
    /// `headroom.rs`), if not from three. Results do not depend on it: for tests, which have small
    /// accounts.
    pub fn remember_from(&mut self, positions: usize) {
        self.state.headroom.at_once = positions.saturating_sub(1);
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The tables, to peek into.
    pub fn state(&self) -> &State<S> {
        &self.state
    }

    /// The account of an address, as a recorded read: for state transitions.
    pub fn account(&mut self, address: &Address) -> Option<AccountId> {
        self.state.addresses.get(&AddressKey(*address)).number.checked_sub(1).map(AccountId)
    }

    /// How many accounts there are, as a recorded read: they are numbered from 0.
    pub fn accounts(&mut self) -> u32 {
        self.state.global.get(&GlobalKey).accounts
    }

    /// Whose account it is, as a recorded read; zero if there is no such account.
    pub fn owner(&mut self, account: AccountId) -> Address {
        self.state.accounts.get(&AccountKey(account)).address
    }

    /// Whether a tick at this time has something to do even if nobody sends a command, as recorded
    /// reads: something that waits is due or waits for a mark, a market has prices to work on or a
    /// book that has moved since its mark was made, or debts have cost nothing for a minute.
    pub fn is_due(&mut self, time_us: u64) -> bool {
        self.follow();
        let head = *self.state.due_head.get(&GlobalKey);
        if head.armed != 0 || (head.next_ms != 0 && head.next_ms <= time_us / 1000) {
            return true;
        }
        let (rules, state) = (&self.rules, &mut self.state);
        if rules.spec().assets.iter().any(|asset| asset.borrow_ppm != 0) {
            let ticked_us = state.global.get(&GlobalKey).time_us;
            if ticked_us.saturating_add(INTEREST_US) <= time_us {
                return true;
            }
        }
        rules.markets.iter().any(|rules| {
            let key = MarketKey(rules.market);
            let prices = *state.prices.get(&key);
            match prices.status {
                MarketStatus::Halted | MarketStatus::Settled => false,
                _ if prices.is_due(time_us) => true,
                _ if rules.robust_mark => false,
                _ => book_mark(rules, state.tops.get(&key), prices.oracle) != prices.mark,
            }
        })
    }

    /// Executes a command of an account; appends what happened to `events`. A refusal changes
    /// nothing but the count of commands, and appends nothing.
    pub fn execute(
        &mut self,
        caller: AccountId,
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, Refusal> {
        self.follow();
        // Accounts are numbered from 0 and stay: the counters say whether there is one.
        let known = caller.0 < self.accounts();
        let mut engine = self.engine(events);
        if !known {
            return Err(NO_ACCOUNT);
        }
        if let Command::ListMarket(listing) = command {
            let lister = engine.list_market(caller, listing)?;
            self.listed_now(listing, &lister);
            return Ok(Outcome::Done);
        }
        engine.execute(caller, command)
    }

    /// Executes an input of the environment. A refusal changes nothing but the count of commands.
    pub fn apply(&mut self, input: &Input, events: &mut Vec<Event>) -> Result<Outcome, Refusal> {
        self.follow();
        let mut engine = self.engine(events);
        match input {
            Input::Credit { address, asset, wallet, amount } => {
                engine.credit(Border::Deposit, address, *asset, *wallet, *amount)?;
            }
            Input::Debit { address, asset, wallet, amount } => {
                engine.debit(Outside::Hub, address, *asset, *wallet, *amount)?;
            }
            Input::Oracle(report) => engine.report(report)?,
            Input::SetStatus { market, status } => engine.set_status(*market, *status)?,
            Input::Tick { time_us } => engine.tick(*time_us),
            Input::Receive { address, asset, wallet, amount } => {
                engine.credit(Border::Inbound, address, *asset, *wallet, *amount)?;
            }
            Input::Send { address, asset, wallet, amount } => {
                engine.debit(Outside::Environment, address, *asset, *wallet, *amount)?;
            }
            Input::Return { outside, address, asset, wallet, amount } => {
                engine.credit(Border::Back(*outside), address, *asset, *wallet, *amount)?;
            }
            Input::Funding { market, change } => engine.add_funding(*market, *change)?,
            Input::MarginScale { market, scale_ppm } => {
                engine.set_margin_scale(*market, *scale_ppm)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// One market's book alone, without accounts, margin and rules; see [`BareBook`].
    pub fn bare_book<'a>(
        &'a mut self,
        market: MarketId,
        events: &'a mut Vec<Event>,
    ) -> BareBook<'a, S> {
        BareBook::new(&self.rules, &mut self.state, events, market)
    }

    fn engine<'a>(&'a mut self, events: &'a mut Vec<Event>) -> Engine<'a, S> {
        let global = self.state.global.get_mut(&GlobalKey);
        global.commands += 1;
        let (command, time_us) = (global.commands, global.time_us);
        Engine { rules: &self.rules, state: &mut self.state, events, command, time_us }
    }
}
