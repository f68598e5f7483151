//! What is written down of a crash.

use super::venue::DOLLAR;
use atoll_exchange::objects::BookTop;
use atoll_exchange::{
    AccountId, Event, LiquidationStep, MarketId, MarketPrices, MarketStatus, Price,
};
use std::collections::BTreeMap;

/// Rungs of the ladder, as they are counted.
pub(super) const RUNGS: [&str; 5] =
    ["book, in part", "book, all", "backstop", "insurance", "deleveraging"];

/// What a slot took, in microseconds of the thread's time, and how much it did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    pub(super) tick: f64,
    pub(super) trade: f64,
    pub(super) index: f64,
    pub(super) liquidate: f64,
    pub(super) seal: f64,
    pub(super) root: f64,
    pub(super) looked_at: u64,
    pub(super) objects: u64,
}

impl Took {
    /// All but the root, which a node computes beside the next slots.
    pub(super) fn total(&self) -> f64 {
        self.tick + self.trade + self.index + self.liquidate + self.seal
    }
}

/// A market at the end of a slot. Prices in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) outside: Price,
    pub(super) oracle: Price,
    pub(super) mark: Price,
    /// Middle of the book; none if a side is empty.
    pub(super) mid: Option<f64>,
    pub(super) status: MarketStatus,
    /// What initial and maintenance requirements are multiplied by, parts per million.
    pub(super) scale_ppm: (u32, u32),
    pub(super) open_interest: u128,
}

/// A slot.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at_s: f64,
    pub(super) markets: Vec<View>,
    /// Liquidation steps of each rung.
    pub(super) rungs: [u64; 5],
    /// Their value, in dollars.
    pub(super) values: [f64; 5],
    /// In dollars, at its end.
    pub(super) fund: f64,
    pub(super) vault: f64,
    pub(super) shortfall: f64,
    pub(super) outstanding: u64,
    pub(super) took: Took,
    /// Whether liquidations did all that a slot may do.
    pub(super) full: bool,
}

/// Sums over a crash. Money in dollars.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// By rung.
    pub(super) steps: [u64; 5],
    pub(super) values: [f64; 5],
    /// Liquidations in which open orders were cancelled first.
    pub(super) cancelled: u64,
    /// Book liquidations that met nobody.
    pub(super) unfilled: u64,
    /// What the fund paid for bankrupt accounts.
    pub(super) insured: f64,
    /// What was booked because nobody covered it.
    pub(super) booked: f64,
    /// Accounts that were liquidated at least once.
    pub(super) accounts: std::collections::BTreeSet<u32>,
    /// Prices not believed, by market.
    pub(super) guarded: Vec<u64>,
    /// Times that a market was made to only reduce, and auctions that traded.
    pub(super) halts: u64,
    pub(super) auctions: u64,
    /// Oracle sources ignored.
    pub(super) ignored: u64,
}

impl Totals {
    /// Steps of all rungs.
    pub(super) fn liquidated(&self) -> u64 {
        self.steps.iter().sum()
    }
}

/// A position that was taken from by deleveraging. In smallest units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Winner {
    /// The most that it had gained whenever it was taken from.
    pub(super) profit: i128,
    /// What it gave up of it.
    pub(super) forgone: i128,
    /// What was taken, at its mark.
    pub(super) value: i128,
}

/// Everything that is written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) samples: Vec<Sample>,
    pub(super) totals: Totals,
    pub(super) winners: BTreeMap<(u32, u16), Winner>,
    pub(super) commands: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Oracle reports of zero that were refused.
    pub(super) zeros: u64,
    /// Accounts below zero at the end.
    pub(super) negative: u64,
    rungs: [u64; 5],
    values: [f64; 5],
}

impl Record {
    pub(super) fn new(markets: usize) -> Self {
        let totals = Totals { guarded: vec![0; markets], ..Totals::default() };
        Self { totals, ..Self::default() }
    }

    /// Takes note of events of any command.
    pub(super) fn note(&mut self, events: &[Event]) {
        let totals = &mut self.totals;
        for event in events {
            match event {
                Event::InsurancePaid { amount, .. } => totals.insured += *amount as f64 / DOLLAR,
                Event::ShortfallBooked { amount, .. } => totals.booked += *amount as f64 / DOLLAR,
                Event::Guarded { market, .. } => {
                    if let Some(count) = totals.guarded.get_mut(usize::from(market.0)) {
                        *count += 1;
                    }
                }
                Event::StatusChanged { status: MarketStatus::ReduceOnly, .. } => totals.halts += 1,
                Event::Uncrossed { .. } => totals.auctions += 1,
                Event::SourceIgnored { ignored: true, .. } => totals.ignored += 1,
                _ => {}
            }
        }
    }

    /// Takes note of a step of a liquidation.
    pub(super) fn liquidation(&mut self, events: &[Event]) {
        self.note(events);
        let Some(Event::Liquidated { account, step, .. }) = events.first() else { return };
        self.totals.accounts.insert(account.0);
        let mut value = 0.0;
        let (mut size, mut held) = (0, 0);
        for event in events {
            match event {
                Event::Accepted(order) if order.account == *account => size = order.size,
                Event::Filled(fill) if fill.taker.account == *account => {
                    value += fill.notional as f64 / DOLLAR;
                    held = held.max(fill.taker.start_position.unsigned_abs());
                }
                // Into the vault or an estate: at the price that ends the account.
                Event::PositionTaken { from: Some(from), value: paid, .. } if from == account => {
                    value += paid.abs() as f64 / DOLLAR;
                }
                _ => {}
            }
        }
        let rung = match step {
            LiquidationStep::Orders => {
                self.totals.cancelled += 1;
                return;
            }
            LiquidationStep::Book if held == 0 => {
                self.totals.unfilled += 1;
                return;
            }
            LiquidationStep::Book if size < held => 0,
            LiquidationStep::Book => 1,
            LiquidationStep::Backstop => 2,
            LiquidationStep::Insurance => 3,
            LiquidationStep::Deleveraging => 4,
        };
        self.rungs[rung] += 1;
        self.values[rung] += value;
        self.totals.steps[rung] += 1;
        self.totals.values[rung] += value;
    }

    /// Takes note of what a winner gave up.
    pub(super) fn winner(
        &mut self,
        account: AccountId,
        market: MarketId,
        profit: i128,
        forgone: i128,
        value: i128,
    ) {
        let winner = self.winners.entry((account.0, market.0)).or_default();
        winner.profit = winner.profit.max(profit);
        winner.forgone += forgone;
        winner.value += value;
    }

    /// Ends a slot.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn sample(
        &mut self,
        at_s: f64,
        markets: &[(Price, MarketPrices, BookTop)],
        (fund, vault, shortfall): (i128, i128, i128),
        outstanding: u64,
        took: Took,
        full: bool,
    ) {
        let view = |(outside, prices, top): &(Price, MarketPrices, BookTop)| View {
            outside: *outside,
            oracle: prices.oracle,
            mark: prices.mark,
            mid: (top.bid != 0 && top.ask != 0).then(|| (top.bid + top.ask) as f64 / 2.0),
            status: prices.status,
            scale_ppm: prices.margin_scale_ppm,
            open_interest: top.open_interest,
        };
        self.samples.push(Sample {
            at_s,
            markets: markets.iter().map(view).collect(),
            rungs: std::mem::take(&mut self.rungs),
            values: std::mem::take(&mut self.values),
            fund: fund as f64 / DOLLAR,
            vault: vault as f64 / DOLLAR,
            shortfall: shortfall as f64 / DOLLAR,
            outstanding,
            took,
            full,
        });
    }
}

/// What deleveraging cost winners, for one mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forgone {
    /// Positions taken from.
    pub(super) winners: usize,
    /// What was taken, at its mark, in dollars.
    pub(super) value: f64,
    /// Given up of their profit, in dollars.
    pub(super) forgone: f64,
    /// The profit that they had, in dollars.
    pub(super) profit: f64,
    /// The largest part that one gave up of its profit.
    pub(super) largest_share: f64,
    /// The largest sum that one gave up, in dollars.
    pub(super) largest: f64,
}

impl Forgone {
    pub(super) fn of(record: &Record) -> Self {
        let mut sums = Self::default();
        for winner in record.winners.values() {
            let forgone = winner.forgone as f64 / DOLLAR;
            sums.winners += 1;
            sums.value += winner.value as f64 / DOLLAR;
            sums.forgone += forgone;
            sums.profit += winner.profit.max(0) as f64 / DOLLAR;
            sums.largest = sums.largest.max(forgone);
            if winner.profit > 0 {
                let share = winner.forgone as f64 / winner.profit as f64;
                sums.largest_share = sums.largest_share.max(share);
            }
        }
        sums
    }
}
