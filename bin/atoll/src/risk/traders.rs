//! Who trades during a crash, besides those who are liquidated: makers, desks that cover, and the
//! vault that gets rid of what it took over.
//!
//! * **Makers** quote around the price outside anew with every oracle price: eight levels a side,
//!   spread out to 2 %. Depth is the scenario's; the spread widens as depth shrinks (a basis point
//!   a side in usual times, 100 at most). What they hold moves their quotes against it and takes
//!   size off that side, to nothing at their limit.
//! * **Desks** close hedged shorts: they buy what is offered below the price outside, and while
//!   that is 5 % below its start they also bid for as much, a tenth of a percent below it.
//! * **The vault** sells a twentieth of what it holds with each oracle price, at up to 0.5 % below.
//!
//! Nobody else trades on purpose: no stop orders, no dip buyers, no new accounts.

use super::crowd::maker_limit;
use super::path::Step;
use super::world::World;
use atoll_exchange::{
    AccountId, Command, MarketId, MarketStatus, OrderRequest, Price, Side, Size, Tif,
};

const LEVELS: i32 = 8;
/// How far from the middle makers quote.
const REACH: f64 = 0.02;
/// Half the spread in usual times, and the most it grows to.
const HALF_SPREAD: f64 = 0.0001;
const HALF_SPREAD_MAX: f64 = 0.01;
/// Desks take turns.
const TURNS: usize = 8;

impl World<'_> {
    /// Everybody's orders after a new oracle price.
    pub(super) fn trade(&mut self, turn: usize, step: &Step) {
        for n in 0..self.crowd.makers.len() {
            let (account, market) = self.crowd.makers[n];
            self.quote(account, market, step);
        }
        for n in 0..self.scenario.markets.len() {
            let market = MarketId(n as u16);
            let first = self.scenario.markets[n].ticks(self.scenario.markets[n].price);
            let fallen = (self.prices[n] as f64) < 0.95 * first as f64;
            self.cover(turn, market, step, fallen);
            self.unwind(market);
        }
    }

    fn status(&self, market: MarketId) -> MarketStatus {
        self.exchange.peek_prices(market).status
    }

    fn quote(&mut self, account: AccountId, market: MarketId, step: &Step) {
        let status = self.status(market);
        self.try_do(account, &Command::CancelAll { market: Some(market) });
        let tif = match status {
            MarketStatus::Open => Tif::PostOnly,
            MarketStatus::Auction | MarketStatus::ReduceOnly => Tif::Gtc,
            _ => return,
        };
        let reduces = status == MarketStatus::ReduceOnly;
        let limit = maker_limit(&self.crowd, &self.catalogue.venue, market).max(1.0);
        let held = self.position(account, market);
        let part = (held as f64 / limit).clamp(-1.0, 1.0);
        let half = (HALF_SPREAD / step.depth).min(HALF_SPREAD_MAX);
        let growth = ((REACH.max(4.0 * half)) / half).powf(1.0 / f64::from(LEVELS - 1));
        let price = self.prices[usize::from(market.0)] as f64;
        let middle = price * (1.0 - 4.0 * half * part);
        // What a maker shows on a side, in lots: the deeper, the more.
        let venue = &self.catalogue.venue;
        let shown = limit / venue.maker_limit * venue.maker_depth * step.depth;
        let weights: i32 = (1..=LEVELS).sum();
        for side in [Side::Buy, Side::Sell] {
            let (sign, room) = match side {
                Side::Buy => (-1.0, 1.0 - part),
                Side::Sell => (1.0, 1.0 + part),
            };
            let against = held.unsigned_abs();
            if reduces && (held == 0 || (held > 0) != (side == Side::Sell)) {
                continue;
            }
            let mut left = if reduces { against } else { u64::MAX };
            for level in 0..LEVELS {
                let away = half * growth.powi(level);
                let at = (middle * (1.0 + sign * away)).round().max(1.0) as Price;
                let size = shown * f64::from(level + 1) / f64::from(weights) * room.min(1.0);
                let size = (size as Size).min(left);
                left -= size;
                let order = OrderRequest {
                    market,
                    side,
                    price: at,
                    size,
                    tif,
                    reduce_only: reduces,
                    ..OrderRequest::default()
                };
                if size > 0 {
                    self.try_do(account, &Command::Place(order));
                }
            }
        }
    }

    fn cover(&mut self, turn: usize, market: MarketId, step: &Step, fallen: bool) {
        let rate = self.catalogue.venue.cover_per_hour * step.for_s as f64 / 3600.0;
        let part = (rate * TURNS as f64).min(1.0);
        for n in (turn % TURNS..self.crowd.desks.len()).step_by(TURNS) {
            let desk = self.crowd.desks[n];
            let size = self.position(desk, market);
            if size < 0 {
                let lots = (size.unsigned_abs() as f64 * part) as Size;
                self.reduce(desk, market, Side::Buy, lots, (1.0, 0));
                if fallen {
                    let until_us = self.time_us + step.for_s * 1_000_000;
                    self.reduce(desk, market, Side::Buy, lots, (0.999, until_us));
                }
            }
        }
    }

    fn unwind(&mut self, market: MarketId) {
        let vault = self.crowd.vault;
        let size = self.position(vault, market);
        let lots = size.unsigned_abs().div_ceil(20);
        match size {
            0 => {}
            1.. => self.reduce(vault, market, Side::Sell, lots, (0.995, 0)),
            _ => self.reduce(vault, market, Side::Buy, lots, (1.005, 0)),
        }
    }

    /// Reduces a position at up to `at` times the price outside: at once, or by an order that rests
    /// until a time.
    fn reduce(
        &mut self,
        account: AccountId,
        market: MarketId,
        side: Side,
        size: Size,
        (at, expires_us): (f64, u64),
    ) {
        let price = (self.prices[usize::from(market.0)] as f64 * at).round().max(1.0) as Price;
        let tif = if expires_us == 0 { Tif::Ioc } else { Tif::Gtc };
        let order = OrderRequest {
            market,
            side,
            price,
            size,
            tif,
            reduce_only: true,
            expires_us,
            ..OrderRequest::default()
        };
        if size > 0 {
            self.try_do(account, &Command::Place(order));
        }
    }
}
