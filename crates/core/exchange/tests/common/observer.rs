//! Somebody who is told the rules and every event, and never sees the state: what it can keep of
//! orders, positions, balances and the fund is compared with the state after each range. On the way
//! it holds every fill to the limits of both orders.

use super::*;
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Observer {
    /// Open orders, and those that are being matched.
    orders: BTreeMap<u64, Order>,
    /// Of what rests, when it came to the end of its level, and what the book shows of it.
    resting: BTreeMap<OrderId, (u64, Size)>,
    arrivals: u64,
    /// Size and cost.
    positions: BTreeMap<(AccountId, MarketId), (i64, Amount)>,
    /// Of isolated positions.
    margins: BTreeMap<(AccountId, MarketId), Amount>,
    wallets: BTreeMap<(AccountId, AssetId, u8), Amount>,
    /// What the insurance fund has, and what is booked as missing.
    fund: BTreeMap<AssetId, (Amount, Amount)>,
    pub fills: u64,
}

impl Observer {
    /// Takes note of what a command told.
    pub(crate) fn see(&mut self, rules: &Rules, events: &[Event]) {
        for event in events {
            self.note(rules, event);
        }
    }

    fn note(&mut self, rules: &Rules, event: &Event) {
        let base = rules.spec().collateral;
        let quote = |market: MarketId| rules.market(market).map_or(base, |of| of.quote);
        match *event {
            Event::Accepted(order) | Event::TriggerSet(order) => {
                self.orders.insert(order.order.0, order);
            }
            Event::Rested(order) => {
                self.orders.insert(order.order.0, order);
                self.arrive(order.order, order.remaining);
            }
            Event::Displayed { order, displayed, .. } => {
                self.arrive(order, displayed);
            }
            Event::Resized { order, .. } => {
                let known = self.orders.insert(order.order.0, order);
                let known = known.expect("an unknown order is resized");
                self.show_less(order.order, known.remaining - order.remaining);
            }
            Event::TriggerFired(order) | Event::TriggerRefused { order, .. } => {
                self.orders.remove(&order.order.0);
            }
            Event::Cancelled { order, .. } => {
                let known = self.orders.remove(&order.order.0);
                assert!(known.is_some(), "unknown order cancelled: {order:?}");
                self.resting.remove(&order.order);
            }
            Event::Filled(ref fill) => self.filled(rules, fill),
            Event::BalanceChanged { account, asset, wallet, change, balance, cause } => {
                let held = self.wallet(account, asset, wallet);
                *held += change;
                assert_eq!(*held, balance, "{event:?}");
                if cause == BalanceCause::Insurance {
                    self.fund_gets(asset, -change);
                }
            }
            Event::FundingPaid { account, market, amount, .. } => {
                *self.wallet(account, quote(market), Wallet::Collateral) -= amount;
            }
            Event::InterestPaid { account, asset, amount } => {
                *self.wallet(account, asset, Wallet::Collateral) -= amount;
                self.fund_gets(asset, amount);
            }
            Event::IsolatedMargin { account, market, change, margin } => {
                let known = self.margins.entry((account, market)).or_default();
                *known += change;
                assert_eq!(*known, margin, "{event:?}");
                *self.wallet(account, quote(market), Wallet::Collateral) -= change;
            }
            Event::PositionSettled { account, market, size, closed_pnl, .. } => {
                let held = self.positions.remove(&(account, market)).unwrap_or_default();
                assert_eq!(held.0, size, "{event:?}");
                *self.wallet(account, quote(market), Wallet::Collateral) += closed_pnl;
            }
            Event::PositionTaken { market, from, to, size, value, closed_pnl, taker_pnl } => {
                if let Some(from) = from {
                    let held = self.positions.remove(&(from, market)).unwrap_or_default();
                    assert_eq!(held.0, size, "{event:?}");
                    *self.wallet(from, quote(market), Wallet::Collateral) += closed_pnl;
                }
                if let Some(to) = to {
                    let held = self.positions.entry((to, market)).or_default();
                    *held = (held.0 + size, held.1 + value + taker_pnl);
                    *self.wallet(to, quote(market), Wallet::Collateral) += taker_pnl;
                }
            }
            Event::InsurancePaid { asset, amount, .. } => {
                self.fund.entry(asset).or_default().0 -= amount;
            }
            Event::ShortfallBooked { asset, amount, .. } => {
                self.fund.entry(asset).or_default().1 += amount;
            }
            Event::InsuranceChanged { asset, amount } if amount >= 0 => {
                self.fund_gets(asset, amount);
            }
            Event::InsuranceChanged { asset, amount } => {
                let fund = self.fund.entry(asset).or_default();
                let paid = fund.0.min(-amount);
                *fund = (fund.0 - paid, fund.1 - amount - paid);
            }
            Event::BondReleased { amount, forfeited: true, .. } => self.fund_gets(base, amount),
            _ => {}
        }
    }

    fn arrive(&mut self, order: OrderId, shown: Size) {
        self.arrivals += 1;
        self.resting.insert(order, (self.arrivals, shown));
    }

    /// What leaves a resting order leaves what the book shows of it.
    fn show_less(&mut self, order: OrderId, by: Size) {
        if let Some((_, shown)) = self.resting.get_mut(&order) {
            *shown -= by;
        }
    }

    fn wallet(&mut self, account: AccountId, asset: AssetId, wallet: Wallet) -> &mut Amount {
        self.wallets.entry((account, asset, wallet as u8)).or_default()
    }

    fn fund_gets(&mut self, asset: AssetId, amount: Amount) {
        let fund = self.fund.entry(asset).or_default();
        let repaid = amount.min(fund.1);
        *fund = (fund.0 + amount - repaid, fund.1 - repaid);
    }

    fn filled(&mut self, rules: &Rules, fill: &Fill) {
        self.fills += 1;
        let of = rules.market(fill.market).unwrap();
        let sides = [(fill.maker, fill.taker_side.opposite()), (fill.taker, fill.taker_side)];
        for (party, side) in sides {
            let order = self.orders.get_mut(&party.order.0).expect("a fill of an unknown order");
            assert_eq!(
                (order.account, order.market, order.side),
                (party.account, fill.market, side)
            );
            assert_eq!(order.remaining, party.remaining + fill.size, "{fill:?}");
            let within = match side {
                Side::Buy => fill.price <= order.price,
                Side::Sell => fill.price >= order.price,
            };
            assert!(within, "worse than its limit: {order:?}, {fill:?}");
            order.remaining = party.remaining;
            self.show_less(party.order, fill.size);
            if party.remaining == 0 {
                self.orders.remove(&party.order.0);
                self.resting.remove(&party.order);
            }
            match of.kind {
                ProductRules::Perpetual { .. } => {
                    let held = self.positions.entry((party.account, fill.market)).or_default();
                    assert_eq!(held.0, party.start_position, "{fill:?}");
                    let paid = of.paid(side, fill.notional);
                    *held = (held.0 + side.signed(fill.size), held.1 + paid + party.closed_pnl);
                    let wallet = self.wallet(party.account, of.quote, Wallet::Collateral);
                    *wallet += party.closed_pnl - party.fee;
                }
                ProductRules::Spot { base, lot_units } => {
                    let sign = if side == Side::Buy { 1 } else { -1 };
                    let units = Amount::from(lot_units) * Amount::from(fill.size);
                    *self.wallet(party.account, base, Wallet::Spot) += sign * units;
                    *self.wallet(party.account, of.quote, Wallet::Spot) -= sign * fill.notional;
                    *self.wallet(party.account, party.fee_asset, Wallet::Spot) -= party.fee;
                }
            }
        }
        // The fund's part of what the taker pays.
        let (asset, amount) = match of.kind {
            ProductRules::Spot { base, lot_units } if fill.taker_side == Side::Buy => {
                (base, Amount::from(lot_units) * Amount::from(fill.size))
            }
            _ => (of.quote, fill.notional),
        };
        let fee = amount * Amount::from(of.taker_fee_ppm) / 1_000_000;
        let insurance_ppm = rules.spec().liquidation.insurance_ppm;
        self.fund_gets(asset, fee * Amount::from(insurance_ppm) / 1_000_000);
    }

    /// Compares what it knows with what there is.
    pub(crate) fn compare(&self, full: &Exchange<Resident>) {
        let none = |amount: &&Amount| **amount != 0;
        let mut found = BTreeMap::new();
        let (mut positions, mut margins) = (BTreeMap::new(), BTreeMap::new());
        let mut orders = BTreeMap::new();
        let base = full.rules().spec().collateral;
        for account in (0..full.peek_global().accounts).map(AccountId) {
            let owner = full.peek_owner(account).unwrap();
            for asset in (0..full.rules().spec().assets.len() as u16).map(AssetId) {
                let spot = full.peek_balance(account, asset).total;
                found.insert((account, asset, Wallet::Spot as u8), spot);
                let held = if asset == base {
                    owner.collateral
                } else {
                    full.peek_holdings(account).of(asset).amount
                };
                found.insert((account, asset, Wallet::Collateral as u8), held);
            }
            for view in full.peek_positions(account) {
                let at = (account, view.market);
                positions.insert(at, (view.position.size, view.position.cost));
            }
            for (slot, market) in (0u8..).zip(owner.markets()) {
                let margin = full.peek_isolated_margin(account, slot);
                *margins.entry((account, *market)).or_default() += margin;
            }
            for order in full.peek_orders(account, usize::MAX) {
                orders.insert(order.order.0, order);
            }
        }
        let some = |all: &BTreeMap<_, Amount>| -> Vec<_> {
            all.iter().filter(|(_, amount)| none(amount)).map(|(k, v)| (*k, *v)).collect()
        };
        assert_eq!(some(&self.wallets), some(&found), "balances");
        let some = |all: &BTreeMap<_, Amount>| -> Vec<_> {
            all.iter().filter(|(_, amount)| none(amount)).map(|(k, v)| (*k, *v)).collect()
        };
        assert_eq!(some(&self.margins), some(&margins), "isolated margins");
        let held = |all: &BTreeMap<_, (i64, Amount)>| -> Vec<_> {
            all.iter().filter(|(_, held)| held.0 != 0).map(|(k, v)| (*k, *v)).collect()
        };
        assert_eq!(held(&self.positions), held(&positions), "positions");
        let known = |all: &BTreeMap<u64, Order>| -> Vec<_> {
            let what = |o: &Order| {
                // What an attached trigger would trade is its position.
                let remaining = if o.trigger.is_some() { 0 } else { o.remaining };
                (o.order, o.account, o.market, o.side, o.price, remaining, o.client_id)
            };
            all.values().map(what).collect()
        };
        assert_eq!(known(&self.orders), known(&orders), "open orders");
        let mut resting: Vec<_> = self.resting.iter().collect();
        resting.sort_by_key(|(_, (arrival, _))| *arrival);
        let mut queues = BTreeMap::<_, Vec<_>>::new();
        for (order, (_, shown)) in resting {
            let known = &self.orders[&order.0];
            let level = (known.market.0, known.side as u8, known.price);
            queues.entry(level).or_default().push((known.account, *order, *shown));
        }
        let mut found = BTreeMap::new();
        for market in (0..full.rules().spec().markets.len() as u16).map(MarketId) {
            for side in [Side::Buy, Side::Sell] {
                for level in full.peek_levels(market, side, usize::MAX) {
                    let queue = full.peek_queue(market, side, level.price, usize::MAX);
                    found.insert((market.0, side as u8, level.price), queue);
                }
            }
        }
        assert_eq!(queues, found, "the queues of the levels");
        for asset in (0..full.rules().spec().assets.len() as u16).map(AssetId) {
            let ledger = full.peek_ledger(asset);
            let fund = self.fund.get(&asset).copied().unwrap_or_default();
            assert_eq!(fund, (ledger.insurance, ledger.shortfall), "the fund of {asset:?}");
        }
    }
}
