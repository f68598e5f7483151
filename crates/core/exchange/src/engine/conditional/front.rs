//! Which triggers the marks have reached.
//!
//! A mark that reaches a trigger price sets a *front* in that direction: the mark, the time and the
//! number of the tick. All triggers armed before the tick and up to that mark become due at that
//! time, nearest first, as many a tick as the spec allows; the front stays until they all are, and
//! remembers where it is. A mark that comes back does not undo it; a mark that goes on farther
//! moves it there and begins anew, with a new time for what is left. What is armed behind a front
//! waits for a mark of its own; a front with nothing armed in its direction is over. Only markets that are open or reduce-only have their fronts moved: a
//! stop does not go lost because its market is halted.

use crate::conditional::{Direction, TriggerState};
use crate::engine::Engine;
use crate::ids::{MarketStatus, OrderId, Price};
use crate::objects::conditional::{trigger_prices, triggers_at};
use crate::objects::{DueEntry, DueKind, Front, MarketKey, OrderKey, TriggerTop};
use crate::rules::MarketRules;
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    pub(super) fn advance_fronts(&mut self) {
        let mut budget = self.rules.spec().limits.triggers_per_tick;
        for rules in &self.rules.markets {
            let key = MarketKey(rules.market);
            if *self.state.trigger_tops.get(&key) == TriggerTop::default() {
                continue;
            }
            let prices = *self.state.prices.get(&key);
            let trades = matches!(prices.status, MarketStatus::Open | MarketStatus::ReduceOnly);
            if prices.mark == 0 || !trades {
                continue;
            }
            for direction in Direction::ALL {
                self.advance(rules, direction, prices.mark, &mut budget);
            }
        }
    }

    fn advance(
        &mut self,
        rules: &MarketRules,
        direction: Direction,
        mark: Price,
        budget: &mut u32,
    ) {
        let (market, at) = (MarketKey(rules.market), direction as usize);
        let TriggerTop { nearest, fronts } = *self.state.trigger_tops.get(&market);
        let before = fronts[at];
        let mut front = before;
        let farther = match front.mark {
            0 => nearest[at] != 0 && direction.reached(mark, nearest[at]),
            reached => mark != reached && direction.reached(mark, reached),
        };
        if farther {
            let price = match direction {
                Direction::Above => 0,
                Direction::Below => rules.price_max,
            };
            let (at_ms, command) = (self.now_ms(), self.command);
            front = Front { mark, at_ms, command, price, order: OrderId(0) };
        }
        while front.mark != 0 {
            let next = self.next_armed(rules, direction, &front);
            let Some((price, order)) = next.filter(|n| direction.reached(front.mark, n.0)) else {
                front = Front::default();
                break;
            };
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            (front.price, front.order) = (price, OrderId(order.0 + 1));
            let found = self.state.triggers.get(&OrderKey(order));
            if found.armed < front.command {
                let account = found.account;
                self.disarm(rules.market, direction, price, order);
                self.state.triggers.get_mut(&OrderKey(order)).trigger.state = TriggerState::Due;
                let entry = DueEntry { account, kind: DueKind::Trigger, at_ms: front.at_ms };
                self.enqueue(order, entry);
            }
        }
        if front != before {
            self.state.trigger_tops.get_mut(&market).fronts[at] = front;
        }
    }

    /// The next armed trigger from where a front is.
    fn next_armed(
        &mut self,
        rules: &MarketRules,
        direction: Direction,
        front: &Front,
    ) -> Option<(Price, OrderId)> {
        let pages = &mut self.state.pages;
        let (market, prices) = (rules.market, trigger_prices(rules.market, direction));
        let mut from = Some(front.price);
        if front.order.0 != 0 {
            let here = triggers_at(market, direction, front.price);
            if let Some(order) = here.first_from(pages, front.order.0) {
                return Some((front.price, OrderId(order)));
            }
            from = match direction {
                Direction::Above => Some(front.price + 1),
                Direction::Below => front.price.checked_sub(1),
            };
        }
        let price = match direction {
            Direction::Above => prices.first_from(pages, from?),
            Direction::Below => prices.last_to(pages, from?),
        }?;
        let order = triggers_at(market, direction, price).first(pages)?;
        Some((price, OrderId(order)))
    }
}
