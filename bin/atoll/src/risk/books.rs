//! The books, balanced after every slot.
//!
//! Adding up a hundred thousand accounts takes longer than most slots. So sums are kept of what each
//! account has, and after a slot only those whom its events name are looked at again. An account
//! that changed without an event naming it would leave the books unbalanced, and be seen. Every
//! fiftieth slot, and at the end, everything is added up anew by the exchange's own audit.

use super::venue::USDC;
use anyhow::{Result, ensure};
use atoll_exchange::objects::{GroupKey, PositionGroup};
use atoll_exchange::{AccountId, Event, Exchange, MarketId, Side};
use atoll_liquidator::touched;
use atoll_state::Resident;

/// Slots from one look at everything to the next.
const EVERYTHING: usize = 50;
/// Most markets of a scenario.
pub(super) const MARKETS_MAX: usize = 8;
/// Cumulative funding counts units × 10⁹.
const FUNDING_SCALE: i128 = 1_000_000_000;

/// What an account has, or all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Collateral and margins less what positions cost.
    money: i128,
    /// By market, lots.
    size: [i128; MARKETS_MAX],
    /// By market, lots × cumulative funding when it was settled.
    settled: [i128; MARKETS_MAX],
}

impl Part {
    fn of(exchange: &Exchange<Resident>, account: AccountId) -> Self {
        let mut part = Self::default();
        let Some(owner) = exchange.peek_owner(account) else { return part };
        part.money = owner.collateral;
        for (slot, market) in (0u8..).zip(owner.markets()) {
            let group = slot / PositionGroup::SLOTS as u8;
            let Some(found) = exchange.state().positions.peek(&GroupKey { account, group }) else {
                continue;
            };
            let position = &found.0[usize::from(slot) % PositionGroup::SLOTS as usize];
            let size = i128::from(position.size);
            part.money -= position.cost;
            if position.isolated {
                part.money += exchange.peek_isolated_margin(account, slot);
            }
            part.size[usize::from(market.0)] += size;
            part.settled[usize::from(market.0)] += size * position.funding;
        }
        part
    }

    fn add(&mut self, other: &Self, sign: i128) {
        self.money += sign * other.money;
        for n in 0..MARKETS_MAX {
            self.size[n] += sign * other.size[n];
            self.settled[n] += sign * other.settled[n];
        }
    }
}

/// What everybody has, as it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Books {
    parts: Vec<Part>,
    all: Part,
    changed: Vec<u32>,
    balanced: usize,
}

impl Books {
    /// Looks at everybody.
    pub(super) fn new(exchange: &Exchange<Resident>) -> Self {
        let mut books = Self::default();
        let accounts = exchange.peek_global().accounts;
        books.parts.resize(accounts as usize, Part::default());
        books.changed.extend(0..accounts);
        books
    }

    /// Takes note of whom an event names.
    pub(super) fn note(&mut self, event: &Event) {
        let accounts = touched(event).into_iter().flatten();
        self.changed.extend(accounts.map(|account| account.0));
    }

    /// Balances the books.
    pub(super) fn balance(&mut self, exchange: &Exchange<Resident>) -> Result<()> {
        self.changed.sort_unstable();
        self.changed.dedup();
        for account in self.changed.drain(..) {
            if let Some(part) = self.parts.get_mut(account as usize) {
                self.all.add(part, -1);
                *part = Part::of(exchange, AccountId(account));
                self.all.add(part, 1);
            }
        }
        let mut all = self.all;
        let (mut due, mut lots) = (0, Vec::new());
        for n in 0..exchange.rules().spec().markets.len() {
            let market = MarketId(n as u16);
            for estate in [Side::Buy, Side::Sell].map(|side| exchange.peek_estate(market, side)) {
                all.money -= estate.cost;
                all.size[n] += i128::from(estate.size);
                all.settled[n] += i128::from(estate.size) * estate.funding;
            }
            due += exchange.peek_prices(market).funding * all.size[n] - all.settled[n];
            lots.push(all.size[n]);
        }
        let ledger = exchange.peek_ledger(USDC);
        let held = all.money + ledger.fees + ledger.rounding + ledger.insurance + ledger.funding
            - ledger.shortfall;
        let owed = ledger.balance();
        ensure!(held == owed, "the books do not balance: there is {held}, owed is {owed}");
        ensure!(lots.iter().all(|lots| *lots == 0), "longs are not shorts: {lots:?} lots are over");
        let booked = i128::from(ledger.funding_dust) - ledger.funding * FUNDING_SCALE;
        ensure!(due == booked, "funding due is {due}, the ledger has {booked}");
        if self.balanced.is_multiple_of(EVERYTHING) {
            Self::everything(exchange)?;
        }
        self.balanced += 1;
        Ok(())
    }

    /// Adds up everything anew.
    pub(super) fn everything(exchange: &Exchange<Resident>) -> Result<()> {
        let audit = exchange.audit();
        ensure!(audit.holds(), "the books do not balance: {audit:?}");
        Ok(())
    }
}
