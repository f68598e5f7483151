//! Markets that are listed, priced, settled and undone, out of bytes.

use super::super::listed;
use super::*;

/// Who may list, and how much.
pub(super) fn rules(b: &mut Bytes<'_>) -> ListingSpec {
    let byte = b.byte();
    let most = [2, 2, 2, 2, 2, 2, 1, 0][usize::from(byte & 7)];
    listed::rules(byte & 24 != 24, byte & 96 != 96, most)
}

impl Shape {
    /// Mostly what its lister may list, with something wrong now and then.
    fn listed(&self, b: &mut Bytes<'_>) -> Listing {
        let (name, flags, flaw) = (b.byte(), b.byte(), b.byte());
        let name = match name {
            0..=239 => ["AVA", "BNB", "DOGE", "all.marks-_/@"][usize::from(name & 3)],
            240..=246 => "BTC",
            247..=249 => "",
            250..=252 => "with space",
            _ => "longer than sixteen letters",
        };
        let initial = match b.byte() {
            far @ 0..=7 => {
                [1, 3_921, 3_922, 99_999, 100_000, 999_999, 1_000_000, 1_000_001][usize::from(far)]
            }
            8..=40 => b.between(3_922, 100_000) as u32,
            _ => b.between(100_000, 1_000_001) as u32,
        };
        let prices = if flags & 1 == 0 {
            let mark = MarkRule::Robust { interval_us: SECOND };
            let sanity = Some(listed::sanity(b.between(1, 100_001) as u32));
            PriceSpec { mark, sanity, ..PriceSpec::default() }
        } else {
            price_spec(b)
        };
        let mut market = listed::market(name, initial, prices);
        market.taker_fee_ppm = [350, 350, 0, 100_000][usize::from(flags >> 1 & 3)];
        market.risk.isolated_only = flags & 24 != 24;
        market.risk.open_interest_max = match b.byte() {
            0..=9 => 0,
            10..=59 => b.between(1, 60),
            60..=79 => b.below(1_000_000_000_000),
            _ => b.between(1, 100_001),
        };
        if flags & 32 != 0 {
            market.risk.concentration_ppm = 600_000;
        }
        if self.extreme {
            market.order_size_max = LOTS - 1;
        }
        let mut oracle = (flags & 192 != 192).then(|| match flags & 64 {
            0 => OracleSpec::default(),
            _ => oracle_spec(b),
        });
        // Mostly nothing.
        match (flaw, &mut market.product, &mut oracle) {
            (1, ..) => market.taker_fee_ppm = 100_001,
            (2, ..) => market.price_max = 1 << 40,
            (3, ..) => market.prices.sanity = Some(listed::sanity(500_001)),
            (4, ..) => market.prices.mark = MarkRule::Book,
            (5, Product::Perpetual { maintenance_margin_ppm, .. }, _) => {
                *maintenance_margin_ppm = initial;
            }
            (6, Product::Perpetual { maintenance_margin_ppm, .. }, _) => {
                *maintenance_margin_ppm = 0;
            }
            (7, _, Some(rules)) => rules.quorum = 0,
            (8, _, Some(rules)) => rules.quorum = 100,
            (9, _, Some(rules)) => rules.weights.clear(),
            _ => {}
        }
        let bond = match b.byte() {
            0..=9 => 0,
            10..=19 => 999,
            20..=29 => 1 << 61,
            30..=99 => b.between(1_000, 1_000_000_000_000),
            _ => 1_000,
        };
        listed::listing(market, oracle, bond)
    }

    /// A command of listing, or several of a market's life at once.
    pub(super) fn listing(&self, b: &mut Bytes<'_>, twin: &Twin) -> Vec<Op> {
        let (kind, who) = (b.byte(), self.who(b));
        let command = |who, command| Op::Do(AccountId(who), command);
        if kind % 16 <= 3 {
            return vec![command(who, Command::ListMarket(Box::new(self.listed(b))))];
        }
        let market = b.market();
        let settle = Command::SetStatus { market, status: MarketStatus::Settled };
        let settle_all =
            (0..self.accounts).map(|n| Command::SettlePosition { owner: address(n), market });
        let one = match kind % 16 {
            4 | 5 => Command::SetStatus { market, status: Self::status(b) },
            6 => settle,
            7 | 8 => Command::ClaimBond { market },
            9 => Command::ForfeitBond { market },
            // Everybody can trade it.
            10..=13 => {
                let price = b.between(990, 1011);
                let told = |source| {
                    let time_us = twin.time_us() + 500;
                    OracleReport { source, time_us, ..OracleReport::sole(market, price) }
                };
                let reports = (0..3).map(|source| Op::In(Input::Oracle(told(source))));
                let leverage = b.between(1, 11) as u8;
                let isolate = Command::SetLeverage { market, leverage, isolated: true };
                let everybody = (0..self.accounts).map(|n| command(n, isolate.clone()));
                let tick = crash::tick(twin, SECOND);
                return reports.chain([tick]).chain(everybody).collect();
            }
            // Nobody holds anything there any more.
            14 => return settle_all.map(|settle| command(who, settle)).collect(),
            _ => {
                let end = [settle].into_iter().chain(settle_all);
                let end = end.chain([Command::ClaimBond { market }]);
                return end.map(|each| command(who, each)).collect();
            }
        };
        vec![command(who, one)]
    }
}
