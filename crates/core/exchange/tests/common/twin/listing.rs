//! The twin's listing: what was listed, by whom, with what bond, in one list.

use super::*;

/// Markets listed after those of the spec.
#[derive(Clone, Default)]
pub(crate) struct Listed {
    /// Lister, bond that is still there, own sources.
    markets: Vec<(usize, i128, Option<ListedOracle>)>,
}

impl Twin {
    /// What is believed of a market's sources.
    pub(super) fn judges(&self, n: usize) -> OracleSpec {
        let own = n.checked_sub(self.spec_markets()).and_then(|at| self.listed.markets.get(at));
        own.and_then(|(.., oracle)| oracle.clone())
            .map_or(self.spec.oracle.clone(), |own| own.rules)
    }

    fn spec_markets(&self) -> usize {
        self.spec.markets.len() - self.listed.markets.len()
    }

    /// Bonds that are still there, by listed market.
    pub(crate) fn bonds(&self) -> Vec<i128> {
        self.listed.markets.iter().map(|(_, bond, _)| *bond).collect()
    }

    fn governs(&self, at: usize) -> bool {
        self.spec.listing.authorities.contains(&address(at as u32))
    }

    /// The twin knows linear perpetuals of a quote unit a tick and lot.
    fn is_sound(&self, listing: &Listing) -> bool {
        let m = &listing.market;
        let Product::Perpetual { contract, initial_margin_ppm, maintenance_margin_ppm, .. } =
            m.product
        else {
            return false;
        };
        let named = |c: char| c.is_ascii_alphanumeric() || "-._/@".contains(c);
        let oracle = listing.oracle.as_ref().is_none_or(|own| {
            let weights = &own.rules.weights;
            own.keys.len() == weights.len()
                && !weights.is_empty()
                && own.rules.quorum >= 1
                && own.rules.quorum <= weights.iter().sum()
        });
        contract == Contract::Linear
            && (1..=16).contains(&m.name.len())
            && m.name.chars().all(named)
            && self.spec.markets.iter().all(|other| other.name != m.name)
            && (3922..=1_000_000).contains(&initial_margin_ppm)
            && maintenance_margin_ppm > 0
            && maintenance_margin_ppm < initial_margin_ppm
            && m.taker_fee_ppm <= 100_000
            && m.maker_fee_ppm + m.taker_fee_ppm as i32 >= 0
            && (m.risk.concentration_ppm == 0 || m.risk.open_interest_max > 0)
            && m.price_max > 0
            && m.price_max < 1 << 40
            && m.prices.sanity.is_none_or(|sanity| (1..=500_000).contains(&sanity.jump_ppm))
            && (m.prices.sanity.is_none() || m.prices.mark != MarkRule::Book)
            && oracle
    }

    /// What anyone may list, who is no authority.
    fn is_harmless(&self, listing: &Listing, open: &Permissionless) -> bool {
        let m = &listing.market;
        let Product::Perpetual { initial_margin_ppm, .. } = m.product else { return false };
        let most = u128::from(m.risk.open_interest_max) * u128::from(m.price_max);
        u64::from(initial_margin_ppm) * u64::from(open.leverage_max) >= 1_000_000
            && m.risk.isolated_only
            && m.prices.sanity.is_some_and(|sanity| sanity.jump_ppm <= open.jump_ppm_max)
            && most > 0
            && most <= open.open_interest_max
            && listing.oracle.is_some()
            && listing.bond >= open.bond
    }

    pub(super) fn list_market(&mut self, at: usize, listing: &Listing) -> Reply {
        let governs = self.governs(at);
        let Some(open) = self.spec.listing.permissionless.or(governs.then_some(Permissionless {
            bond: 0,
            leverage_max: 1,
            jump_ppm_max: 1,
            open_interest_max: 1,
        })) else {
            return Err(RejectCode::NotAllowed);
        };
        if self.listed.markets.len() >= self.spec.listing.markets_max as usize {
            return Err(RejectCode::AtCap);
        }
        if !self.is_sound(listing) || !(governs || self.is_harmless(listing, &open)) {
            return Err(RejectCode::InvalidMarket);
        }
        let (bond, market) = (i128::from(listing.bond), MarketId(self.spec.markets.len() as u16));
        if bond > 0 {
            self.give(at, USDC, Wallet::Spot, -bond, BalanceCause::Bond)?;
        }
        self.spec.markets.push(listing.market.clone());
        self.venues.push(Venue::default());
        self.listed.markets.push((at, bond, listing.oracle.clone()));
        let account = AccountId(at as u32);
        self.events.push(Event::MarketListed { market, account, bond });
        Ok(Outcome::Done)
    }

    pub(super) fn ask_for_status(
        &mut self,
        at: usize,
        market: MarketId,
        status: MarketStatus,
    ) -> Reply {
        let n = usize::from(market.0);
        if n >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        let own = n >= self.spec_markets() && self.listed.markets[n - self.spec_markets()].0 == at;
        if !own && !self.governs(at) {
            return Err(RejectCode::NotAllowed);
        }
        self.told_status(market, status)
    }

    /// Place in the list of a market that has a bond.
    fn bonded(&self, market: MarketId) -> Result<usize, RejectCode> {
        let n = usize::from(market.0);
        if n >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        let place = n.checked_sub(self.spec_markets()).ok_or(RejectCode::Unsupported)?;
        if self.listed.markets[place].1 == 0 {
            return Err(RejectCode::Unsupported);
        }
        Ok(place)
    }

    pub(super) fn claim_bond(&mut self, at: usize, market: MarketId) -> Reply {
        let place = self.bonded(market)?;
        let n = usize::from(market.0);
        if self.listed.markets[place].0 != at {
            return Err(RejectCode::NotAllowed);
        }
        let held = self.owners.iter().any(|owner| owner.positions[n].size != 0);
        let left = [Side::Buy, Side::Sell].iter().any(|side| self.ladder.left(market, *side) != 0);
        if self.venues[n].status != MarketStatus::Settled || held || left {
            return Err(RejectCode::PositionOpen);
        }
        let amount = std::mem::take(&mut self.listed.markets[place].1);
        self.give(at, USDC, Wallet::Spot, amount, BalanceCause::Bond)?;
        let account = AccountId(at as u32);
        self.events.push(Event::BondReleased { market, account, amount, forfeited: false });
        Ok(Outcome::Done)
    }

    pub(super) fn forfeit_bond(&mut self, at: usize, market: MarketId) -> Reply {
        let place = self.bonded(market)?;
        if !self.governs(at) {
            return Err(RejectCode::NotAllowed);
        }
        let (lister, amount, _) = self.listed.markets[place].clone();
        self.listed.markets[place].1 = 0;
        self.fund_gets(0, amount);
        let account = AccountId(lister as u32);
        self.events.push(Event::BondReleased { market, account, amount, forfeited: true });
        Ok(Outcome::Done)
    }

    /// Whether a market's positions have a margin of their own and this order's would not.
    pub(super) fn lacks_isolation(&self, order: &Order) -> bool {
        let n = usize::from(order.market.0);
        let pos = self.owners[order.account.0 as usize].positions[n];
        let (bids, asks, ..) = self.open(order.account, order.market);
        let same = if order.side == Side::Buy { bids } else { asks };
        let reduces = same + i128::from(order.remaining) <= i128::from(self.reducible(order));
        self.spec.markets[n].risk.isolated_only && !pos.isolated && !order.reduce_only && !reduces
    }
}
