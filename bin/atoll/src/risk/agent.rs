//! The agent: sends liquidations that the index finds, and goes on with deleveraging.

use super::venue;
use super::world::{World, thread_us};
use anyhow::{Result, bail, ensure};
use atoll_exchange::{Command, Event, LiquidationStep, MarketId, Side};
use atoll_liquidator::Unit;
use atoll_types::RejectCode;

/// Steps of one account's liquidation in a slot.
const STEPS: usize = 8;

impl World<'_> {
    /// Goes on with one liquidation as far as it goes. Gives the steps done, whether the slot is
    /// full, and the time that noting it took.
    pub(super) fn liquidate(&mut self, unit: Unit) -> Result<(u64, bool, f64)> {
        let (owner, market) = (venue::address(unit.account.0), unit.market);
        let command = Command::Liquidate { owner, market };
        let (mut steps, mut noted) = (0, 0.0);
        for _ in 0..STEPS {
            match self.execute(self.crowd.agent, &command) {
                Ok(_) => {
                    let before = thread_us();
                    steps += 1;
                    self.record.liquidation(&self.events);
                    let first = self.events.first();
                    if let Some(Event::Liquidated { step, .. }) = first {
                        self.check_ended(unit, *step)?;
                    }
                    noted += thread_us() - before;
                }
                Err(refusal) => match refusal.code {
                    RejectCode::NotLiquidatable | RejectCode::NoLiquidity => break,
                    RejectCode::LiquidationsBusy => return Ok((steps, true, noted)),
                    _ => bail!("liquidation of {unit:?}: {refusal}"),
                },
            }
        }
        Ok((steps, false, noted))
    }

    /// Whoever has no positions any more owes nothing: what was missing is booked.
    fn check_ended(&self, unit: Unit, step: LiquidationStep) -> Result<()> {
        if matches!(step, LiquidationStep::Insurance | LiquidationStep::Deleveraging)
            && unit.market.is_none()
        {
            let left = self.exchange.peek_owner(unit.account).map_or(0, |owner| owner.collateral);
            ensure!(left >= 0, "account {} is left with {left} that nobody booked", unit.account);
        }
        Ok(())
    }

    /// Goes on with all that bankrupt accounts left.
    pub(super) fn deleverage(&mut self) -> Result<(u64, f64)> {
        let (mut steps, mut noted) = (0, 0.0);
        let agent = self.crowd.agent;
        for n in 0..self.scenario.markets.len() as u16 {
            let market = MarketId(n);
            for side in [Side::Buy, Side::Sell] {
                loop {
                    if self.exchange.peek_estate(market, side).size == 0 {
                        break;
                    }
                    match self.execute(agent, &Command::Deleverage { market, side }) {
                        Ok(_) => {
                            let before = thread_us();
                            steps += 1;
                            self.winners(market);
                            noted += thread_us() - before;
                        }
                        Err(refusal) => match refusal.code {
                            RejectCode::MarketPaused | RejectCode::LiquidationsBusy => break,
                            _ => bail!("deleveraging of {market}: {refusal}"),
                        },
                    }
                }
            }
        }
        Ok((steps, noted))
    }

    /// Notes what winners gave up.
    fn winners(&mut self, market: MarketId) {
        let mark = self.exchange.peek_prices(market).mark;
        for event in &self.events {
            let Event::PositionTaken { from: None, to: Some(to), size, value, taker_pnl, .. } =
                event
            else {
                continue;
            };
            let Some(rules) = self.exchange.rules().market(market) else { continue };
            let forgone = value - rules.value(mark, *size);
            let left = self.held(*to, market).map_or(0, |held| held.1);
            let worth = rules.value(mark, *size).abs();
            self.record.winner(*to, market, left + taker_pnl + forgone, forgone, worth);
        }
        self.record.note(&self.events);
    }
}
