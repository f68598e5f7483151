//! What an account is worth above what it must cover, and how that is split over its positions.

use crate::motion::{Motion, scale};
use atoll_exchange::margin::{funding::interest, isolated::IsolatedView};
use atoll_exchange::objects::{
    Account, AccountKey, GroupKey, MarketPrices, Position, PositionGroup,
};
use atoll_exchange::{
    AccountId, Amount, AssetId, Exchange, Margin, MarketId, MarketRules, PPM, PledgeRules, Price,
};
use atoll_state::Source;

/// Parts of slack that positions share; the rest is for those that move further.
const SHARED: (Amount, Amount) = (1, 3);
/// Parts of what is shared that go by value; the rest is shared by heads, so that a small position
/// is not looked at for every tick of its market.
const BY_VALUE: (Amount, Amount) = (7, 8);
/// Most slack that is split: what bounds are computed of stays below 2¹²⁷.
const SLACK_MAX: Amount = 1 << 72;
/// How far an asset's oracle price may rise before accounts that owe or settle in it are looked at.
const RISE: (Amount, Amount) = (5, 4);
/// For how long interest is set aside, microseconds: after that an account that owes is looked at.
pub(crate) const INTEREST_US: u64 = 3_600_000_000;

/// What an exact look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Whether the cross account can be liquidated.
    pub(crate) cross: bool,
    /// The isolated positions that can be.
    pub(crate) isolated: Vec<MarketId>,
}

impl Look {
    pub(crate) fn is_quiet(&self) -> bool {
        !self.cross && self.isolated.is_empty()
    }
}

/// A bound to be set: so much more danger on a side of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) line: usize,
    pub(crate) side: usize,
    pub(crate) inner: i128,
    pub(crate) outer: i128,
}

/// What follows for an account.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) bounds: Vec<Bound>,
    /// No bounds hold: to be looked at whenever anything moves.
    pub(crate) watch: bool,
    /// It owes: to be looked at again after [`INTEREST_US`].
    pub(crate) owes: bool,
}

/// What a loss on one line costs, to be given a share of the slack.
#[derive(Clone, Copy, Debug)]
struct Part {
    line: usize,
    side: usize,
    weight: Amount,
    /// Danger for a unit of the collateral asset: numerator and denominator.
    rate: (Amount, Amount),
    /// Most danger, whatever the share.
    most: i128,
}

/// `amount × numerator / denominator` of what is not negative, rounded down, or less.
fn portion(amount: Amount, (numerator, denominator): (Amount, Amount)) -> Amount {
    match amount.checked_mul(numerator) {
        Some(product) => product / denominator,
        None => (amount / denominator).saturating_mul(numerator),
    }
}

/// A rate whose product with [`SLACK_MAX`] fits, rounded down.
fn rate((numerator, denominator): (Amount, Amount)) -> (Amount, Amount) {
    let shift = (128 - numerator.leading_zeros()).saturating_sub(54);
    if shift == 0 {
        return (numerator, denominator.max(1));
    }
    (numerator >> shift, (denominator >> shift) + 1)
}

/// An account's positions, as the index reads them.
fn positions<'a, S: Source>(
    exchange: &'a Exchange<S>,
    account: AccountId,
    owner: &'a Account,
) -> impl Iterator<Item = (u8, &'a MarketRules, &'a Position)> {
    let size = PositionGroup::SLOTS as usize;
    (0u8..).zip(owner.markets().chunks(size)).flat_map(move |(group, markets)| {
        let found = exchange.state().positions.peek(&GroupKey { account, group });
        let positions = found.map_or(&[][..], |group| &group.0);
        let slots = (group * size as u8..).zip(markets.iter().zip(positions));
        slots.filter(|(_, (_, position))| position.size != 0).filter_map(|(slot, at)| {
            exchange.rules().market(*at.0).map(|rules| (slot, rules, at.1))
        })
    })
}

/// Accounts ahead of the one looked at whose positions are asked for; those twice as far ahead are
/// asked for themselves.
const AHEAD: usize = 8;

/// Asks the memory for what looks at the next accounts of a list will read.
pub(crate) fn prefetch<S: Source>(
    exchange: &Exchange<S>,
    nth: usize,
    list: impl Fn(usize) -> Option<u32>,
) {
    if let Some(account) = list(nth + 2 * AHEAD) {
        exchange.state().accounts.prefetch(&AccountKey(AccountId(account)));
    }
    let Some(account) = list(nth + AHEAD).map(AccountId) else { return };
    let Some(owner) = exchange.peek_owner(account) else { return };
    let groups = owner.markets().len().div_ceil(PositionGroup::SLOTS as usize);
    for group in 0..groups as u8 {
        exchange.state().positions.prefetch(&GroupKey { account, group });
    }
}

/// Looks at an account exactly, and splits what it has above its requirement.
pub(crate) struct Splitter<'a, S: Source> {
    pub(crate) exchange: &'a Exchange<S>,
    pub(crate) motions: &'a [Motion],
    /// The lines of oracle prices: where they begin, and whose they are.
    pub(crate) oracles: &'a [AssetId],
}

impl<S: Source> Splitter<'_, S> {
    /// Whether an account and its isolated positions can be liquidated.
    pub(crate) fn look(&self, account: AccountId) -> Look {
        let mut look = Look::default();
        let Some(owner) = self.exchange.peek_owner(account) else { return look };
        let mut margin = Margin::default();
        margin.collateral = owner.collateral;
        let mut plain = !owner.has_holdings();
        for (slot, rules, position) in positions(self.exchange, account, owner) {
            let prices = &self.motions[usize::from(rules.market.0)].prices;
            if position.isolated {
                let own = self.exchange.peek_isolated_margin(account, slot);
                let view = IsolatedView::new(rules, position, own, prices);
                if view.equity < view.maintenance {
                    look.isolated.push(rules.market);
                }
            } else if rules.inverse {
                plain = false;
            } else {
                margin.add(rules, position, prices);
            }
        }
        if !plain {
            margin = self.exchange.peek_margin(account);
        }
        look.cross = margin.is_liquidatable();
        look
    }

    /// Bounds within which nothing of the account can be liquidated that [`Splitter::look`] did
    /// not find.
    pub(crate) fn split(&self, account: AccountId, look: &Look, split: &mut Split) {
        split.bounds.clear();
        (split.watch, split.owes) = (false, false);
        let Some(owner) = self.exchange.peek_owner(account) else { return };
        let mut parts = Vec::with_capacity(owner.markets().len());
        let mut margin = Margin::default();
        margin.collateral = owner.collateral;
        let mut plain = !owner.has_holdings();
        // What roundings may cost.
        let mut rounding: Amount = 4;
        for (slot, rules, position) in positions(self.exchange, account, owner) {
            let motion = &self.motions[usize::from(rules.market.0)];
            if position.isolated {
                if !look.isolated.contains(&rules.market) {
                    self.isolated(account, slot, rules, position, split);
                }
                continue;
            }
            rounding += roundings(position);
            if rules.inverse {
                plain = false;
            } else {
                margin.add(rules, position, &motion.prices);
            }
            parts.push(part(rules, position, motion));
        }
        if look.cross {
            return;
        }
        if !plain {
            margin = self.exchange.peek_margin(account);
            match self.others(account, owner, &mut parts, split) {
                Some(aside) => rounding = rounding.saturating_add(aside),
                None => split.watch = true,
            }
        }
        let slack = margin.equity().saturating_sub(margin.maintenance()).saturating_sub(rounding);
        split.watch |= slack <= 0 && (!parts.is_empty() || split.owes);
        distribute(slack.clamp(0, SLACK_MAX), &parts, split);
    }

    /// All of an isolated position's slack is for its own market.
    fn isolated(
        &self,
        account: AccountId,
        slot: u8,
        rules: &MarketRules,
        position: &Position,
        split: &mut Split,
    ) {
        let motion = &self.motions[usize::from(rules.market.0)];
        let own = self.exchange.peek_isolated_margin(account, slot);
        let view = IsolatedView::new(rules, position, own, &motion.prices);
        let slack = view.equity - view.maintenance - roundings(position) - 4;
        split.watch |= slack <= 0;
        let part = part(rules, position, motion);
        let bound = portion(slack.clamp(0, SLACK_MAX), part.rate).min(part.most);
        split.bounds.push(Bound { line: part.line, side: part.side, inner: bound, outer: bound });
    }

    /// What settles in or is held of other assets. Gives what is to be set aside; none if nothing
    /// can be said.
    fn others(
        &self,
        account: AccountId,
        owner: &Account,
        parts: &mut Vec<Part>,
        split: &mut Split,
    ) -> Option<Amount> {
        let rules = self.exchange.rules();
        let mut aside: Amount = 0;
        let holdings = self.exchange.peek_holdings(account);
        let yearly = |asset: AssetId| {
            let spec = &rules.spec().assets[usize::from(asset.0)];
            u128::from(spec.borrow_ppm) * u128::from(INTEREST_US)
        };
        if owner.has_holdings() && owner.collateral < 0 {
            aside += interest(-owner.collateral, yearly(rules.spec().collateral));
            split.owes = true;
        }
        for (nth, asset) in self.oracles.iter().enumerate() {
            let Some(pledge) = rules.pledge(*asset) else { continue };
            let mut own = Margin::default();
            let held = holdings.of(*asset);
            let index = self.exchange.peek_interest(*asset).saturating_sub(held.index);
            own.collateral = held.amount - interest(-held.amount, index);
            let mut settles = false;
            for (_, rules, position) in positions(self.exchange, account, owner) {
                if rules.inverse && !position.isolated && rules.quote == *asset {
                    own.add(rules, position, &self.motions[usize::from(rules.market.0)].prices);
                    settles = true;
                }
            }
            if held.amount == 0 && !settles {
                continue;
            }
            let MarketPrices { oracle, .. } = self.exchange.peek_prices(pledge.market);
            if oracle == 0 {
                return None;
            }
            let line = self.motions.len() + nth;
            let unit = Unit::new(pledge, oracle);
            // A unit of the coin more or less, and roundings of conversion.
            aside += 8 + unit.cost(4);
            if held.amount < 0 {
                aside = aside.saturating_add(unit.cost(interest(-own.collateral, yearly(*asset))));
                split.owes = true;
            }
            // What losses in coin cost counts at the highest price allowed for.
            for part in parts.iter_mut() {
                let inverse = rules.market(MarketId(part.line as u16)).filter(|r| r.inverse);
                if part.line < self.motions.len() && inverse.is_some_and(|r| r.quote == *asset) {
                    part.weight = unit.cost(part.weight);
                    part.rate = unit.per_base(part.rate);
                }
            }
            let counted = counted(own.equity(), pledge) - own.maintenance();
            parts.extend(unit.part(line, counted));
            if counted >= 0 && (settles || held.amount < 0) {
                let most = unit.rise();
                split.bounds.push(Bound { line, side: 1, inner: most, outer: most });
            }
        }
        Some(aside)
    }
}

/// What roundings of a position's value, funding and requirement may cost.
fn roundings(position: &Position) -> Amount {
    4 + Amount::from(position.size.unsigned_abs() >> 26)
}

/// What coins count for, in coins: less their haircut, or in full where they are owed.
fn counted(equity: Amount, pledge: &PledgeRules) -> Amount {
    if equity <= 0 {
        return equity;
    }
    let keep = Amount::from(PPM - pledge.haircut_ppm.min(PPM));
    equity / Amount::from(PPM) * keep + equity % Amount::from(PPM) * keep / Amount::from(PPM)
}

/// What a position's losses do, its share being in the asset that it settles in.
fn part(rules: &MarketRules, position: &Position, motion: &Motion) -> Part {
    let lots = Amount::from(position.size.unsigned_abs());
    let long = position.size > 0;
    let mark = motion.prices.mark;
    let exposure = rules.exposure(mark, position.size.unsigned_abs());
    let million = Amount::from(PPM);
    // Where the contract is worth more as things get worse, so is its requirement: up to twice
    // what it is worth now, by its tier there.
    let mut slope = million;
    if long == rules.inverse {
        let far = 2 * exposure + 1;
        let tier = rules.tier(far).map(|tier| Amount::from(tier.maintenance_ppm));
        let rate = tier.unwrap_or_else(|| rules.maintenance_weighted(1));
        slope += rate * scale(&motion.prices) / million + 1;
    }
    let scaled = atoll_exchange::margin::funding::FUNDING_SCALE * million;
    Part {
        line: rules.market.0.into(),
        side: usize::from(!long),
        weight: exposure,
        rate: (scaled, (lots * slope).max(1)),
        most: motion.lot(),
    }
}

/// An asset's unit at its oracle price.
struct Unit {
    oracle: Price,
    price: Amount,
    divisor: Amount,
}

impl Unit {
    fn new(pledge: &PledgeRules, oracle: Price) -> Self {
        // Below 2⁶⁴.
        let price = Amount::from(oracle) * Amount::from(pledge.numerator);
        Self { oracle, price, divisor: pledge.divisor }
    }

    /// How far the price may rise, in ticks.
    fn rise(&self) -> i128 {
        i128::from(self.oracle) * (RISE.0 - RISE.1) / RISE.1
    }

    /// What an amount costs at the highest price allowed for, or more.
    fn cost(&self, amount: Amount) -> Amount {
        let price = self.price * RISE.0 / RISE.1 + 1;
        match amount.checked_mul(price) {
            Some(product) => product / self.divisor + 1,
            None => (amount / self.divisor + 1).saturating_mul(price),
        }
    }

    /// A rate per unit of the asset as one per unit of the collateral asset.
    fn per_base(&self, (numerator, denominator): (Amount, Amount)) -> (Amount, Amount) {
        // A unit of the collateral asset pays for divisor / price units.
        let price = self.price * RISE.0 / RISE.1 + 1;
        match (numerator.checked_mul(self.divisor), denominator.checked_mul(price)) {
            (Some(numerator), Some(denominator)) => rate((numerator, denominator)),
            _ => (0, 1),
        }
    }

    /// What movements of the price do to so much of the asset.
    fn part(&self, line: usize, counted: Amount) -> Option<Part> {
        let amount = counted.unsigned_abs().min(1 << 98) as Amount;
        if amount == 0 {
            return None;
        }
        // A tick of the price costs amount × price / oracle / divisor.
        let tick = self.price / Amount::from(self.oracle);
        let rate = match amount.checked_mul(tick) {
            Some(cost) => rate((self.divisor, cost)),
            None => (0, 1),
        };
        let falls = counted > 0;
        let most = if falls { i128::from(self.oracle) } else { self.rise() };
        Some(Part { line, side: usize::from(!falls), weight: self.cost(amount), rate, most })
    }
}

/// Splits slack over the parts.
fn distribute(slack: Amount, parts: &[Part], split: &mut Split) {
    if parts.is_empty() {
        return;
    }
    // Weights as 32 bits of the largest.
    let largest = parts.iter().map(|part| part.weight).max().unwrap_or(1).max(1);
    let shift = (128 - largest.leading_zeros()).saturating_sub(32);
    let all: Amount = parts.iter().map(|part| part.weight >> shift).sum::<Amount>().max(1);
    let shared = slack * SHARED.0 / SHARED.1;
    let free = slack - shared;
    let by_value = shared * BY_VALUE.0 / BY_VALUE.1;
    let by_head = (shared - by_value) / parts.len() as Amount;
    for part in parts {
        // Below 2⁷² × 2³².
        let inner = by_value * (part.weight >> shift) / all + by_head;
        let danger = |share: Amount| portion(share, part.rate).min(part.most);
        let (inner, outer) = (danger(inner), danger(inner + free));
        split.bounds.push(Bound { line: part.line, side: part.side, inner, outer });
    }
}
