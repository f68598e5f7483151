//! What a fill does to a position.

use crate::engine::reducible;
use crate::ids::{Amount, Side, Size};
use crate::objects::Position;
use crate::rules::MarketRules;

/// What a fill did to a position.
pub(crate) struct Traded {
    pub(crate) pnl: Amount,
    pub(crate) start: i64,
    /// Whether orders are attached to it.
    pub(crate) attached: bool,
    /// Change of the lots held long.
    pub(crate) long: i128,
}

/// Applies a fill to a position. The cost basis is signed quote paid; what is closed takes its
/// share of the cost with it (rounded toward zero: what one realises less now, one realises more
/// later, so this rounding moves no money), and the difference to the proceeds is realised.
#[inline]
pub(crate) fn trade(
    rules: &MarketRules,
    position: &mut Position,
    side: Side,
    size: Size,
    notional: Amount,
) -> Traded {
    let start = position.size;
    let change = side.signed(size);
    let paid = rules.paid(side, notional);
    let closed = reducible(start, side).min(size);
    position.size = start + change;
    let mut pnl = 0;
    if closed == 0 {
        position.cost += paid;
    } else {
        // Shares of cost and of proceeds that belong to what is closed.
        let share = |amount: Amount, of: Amount| part_of(amount, Amount::from(closed), of);
        let released = share(position.cost, Amount::from(start.unsigned_abs()));
        let proceeds = share(paid, Amount::from(size));
        pnl = -(released + proceeds);
        position.cost += paid + pnl;
    }
    let long = |size: i64| i128::from(size.max(0));
    Traded { pnl, start, attached: position.attached, long: long(position.size) - long(start) }
}

/// `amount × part / whole` rounded toward zero, without a product that could overflow:
/// `amount = q × whole + r` gives `q × part + r × part / whole`, with |r| < whole < 2⁴¹.
#[inline]
pub(crate) fn part_of(amount: Amount, part: Amount, whole: Amount) -> Amount {
    if part == whole {
        return amount;
    }
    if let (Ok(amount), Ok(part), Ok(whole)) =
        (i64::try_from(amount), i64::try_from(part), i64::try_from(whole))
    {
        let (q, r) = (amount / whole, amount % whole);
        if let (Some(high), Some(low)) = (q.checked_mul(part), r.checked_mul(part)) {
            return Amount::from(high) + Amount::from(low / whole);
        }
    }
    amount / whole * part + amount % whole * part / whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AssetId, MarketId};
    use crate::rules::ProductRules;

    fn rules(inverse: bool) -> MarketRules {
        MarketRules {
            market: MarketId(0),
            kind: ProductRules::Perpetual {
                initial_margin_ppm: 100_000,
                maintenance_margin_ppm: 50_000,
                mark_band_ppm: 0,
                leverage_max: 10,
            },
            inverse,
            multiplier: if inverse { 1_000_000 } else { 1 },
            quote: AssetId(0),
            price_max: 1_000_000,
            order_size_max: 1_000,
            notional_min: 0,
            price_band_ppm: 1,
            maker_fee_ppm: 0,
            taker_fee_ppm: 0,
            tiers: alloc::vec::Vec::new(),
            open_interest_max: 0,
            position_max: 0,
            robust_mark: false,
            isolated_only: false,
        }
    }

    #[test]
    fn a_share_is_exact_whatever_the_width() {
        for amount in [0, 7, -7, 1 << 62, -(1 << 62), 1 << 80, (1 << 87) - 1, 3 - (1 << 87)] {
            for (part, whole) in [(1, 3), (2, 3), (3, 3), ((1 << 39) + 1, (1 << 40) - 1)] {
                let got = part_of(amount, part, whole);
                // |amount × part / whole − got| < 1, toward zero.
                let (q, r) = (amount / whole, amount % whole);
                assert_eq!(got, q * part + r * part / whole);
                assert!(got.abs() <= amount.abs() && got.signum() * amount.signum() >= 0);
            }
        }
    }

    #[test]
    fn a_position_that_flips_realises_what_it_closes_and_keeps_the_rest() {
        let mut position = Position { size: 10, cost: 1000, ..Position::default() };
        let traded = trade(&rules(false), &mut position, Side::Sell, 15, 15 * 110);
        assert_eq!((traded.pnl, traded.start, traded.long), (100, 10, -10));
        assert_eq!((position.size, position.cost), (-5, -550));
    }

    #[test]
    fn realising_moves_no_money() {
        let mut position = Position { size: -7, cost: -1000, ..Position::default() };
        let paid = 333;
        let before = -position.cost;
        let traded = trade(&rules(false), &mut position, Side::Buy, 3, paid);
        // What the account has besides the mark: collateral − cost, less what was paid.
        assert_eq!(before - paid, traded.pnl - position.cost);
    }

    #[test]
    fn an_inverse_long_gains_in_coin_as_the_price_rises() {
        let rules = rules(true);
        let mut position = Position::default();
        // Ten lots at 500: 20,000 units of coin are owed; out at 800: 12,500 settle that.
        assert_eq!(rules.notional(500, 10), 20_000);
        trade(&rules, &mut position, Side::Buy, 10, rules.notional(500, 10));
        assert_eq!(position.cost, -20_000);
        assert_eq!(rules.value(800, 10) - position.cost, 7_500);
        let traded = trade(&rules, &mut position, Side::Sell, 10, rules.notional(800, 10));
        assert_eq!((traded.pnl, position.cost), (7_500, 0));
        // Values are rounded against the account, notionals the same for both.
        assert_eq!((rules.value(3, 1), rules.value(3, -1)), (-333_334, 333_333));
        assert_eq!((rules.notional(3, 1), rules.exposure(3, 1)), (333_333, 333_334));
    }
}
