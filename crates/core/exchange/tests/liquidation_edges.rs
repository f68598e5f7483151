//! Liquidations at the edges: a market that ends, a book that is empty, what hangs on a position.

use crate::common::*;
use atoll_exchange::*;

/// A venue where accounts have what they are given; account 1 is long 10,000 lots of BTC at 1000
/// against account 2.
fn venue_of(collateral: &[Amount], isolated: bool, liquidation: LiquidationSpec) -> Harness {
    let mut h = Harness::new(ExchangeSpec { liquidation, ..spec() });
    for (n, amount) in (0..).zip(collateral) {
        let (asset, wallet, amount) = (USDC, Wallet::Collateral, *amount);
        h.input(Input::Credit { address: address(n), asset, wallet, amount }).0.unwrap();
    }
    for market in [BTC, ETH] {
        h.mark(market, 1000);
    }
    let leverage = Command::SetLeverage { market: BTC, leverage: 20, isolated };
    h.one(1, leverage).0.unwrap();
    h.place(1, buy(1000, 10_000));
    h.place(2, sell(1000, 10_000));
    h
}

fn fund(h: &Harness) -> (Amount, Amount) {
    let ledger = h.full.peek_ledger(USDC);
    (ledger.insurance, ledger.shortfall)
}

fn settle(h: &mut Harness) {
    let status = MarketStatus::Settled;
    h.input(Input::SetStatus { market: BTC, status }).0.unwrap();
}

const MONEY: [Amount; 4] = [1_000_000_000, 599_500, 1_000_000_000, 1_000_000_000];

#[test]
fn what_nobody_took_over_is_settled_with_its_market() {
    let mut h = venue_of(&MONEY, false, LiquidationSpec::default());
    h.leave_out = true;
    h.mark(BTC, 930);
    h.one(3, Command::Liquidate { owner: address(1), market: None }).0.unwrap();
    settle(&mut h);
    h.one(0, Command::SettlePosition { owner: address(2), market: BTC }).0.unwrap();
    // 10,000 lots that cost 940 each are worth 930: nobody gives up the difference.
    let (answer, events) = h.one(0, Command::Deleverage { market: BTC, side: Side::Buy });
    assert_eq!(answer, Ok(Outcome::Done));
    assert_eq!(
        events,
        [
            Event::PositionTaken {
                market: BTC,
                from: None,
                to: None,
                size: 10_000,
                value: 9_400_000,
                closed_pnl: 0,
                taker_pnl: 0,
            },
            Event::InsuranceChanged { asset: USDC, amount: -100_000 },
        ]
    );
    assert_eq!(fund(&h), (0, 100_000));
    assert_eq!(h.full.peek_top(BTC).open_interest, 0);
    let again = Command::Deleverage { market: BTC, side: Side::Buy };
    h.refused(0, again, atoll_types::RejectCode::NotReducing);
}

#[test]
fn an_isolated_position_that_is_settled_takes_nothing_else_with_it() {
    let mut h = venue_of(&[1_000_000_000, 5_000_000, 1_000_000_000], true, Default::default());
    h.mark(BTC, 930);
    settle(&mut h);
    let collateral = |h: &Harness| h.full.peek_owner(AccountId(1)).unwrap().collateral;
    let before = collateral(&h);
    h.one(0, Command::FundInsurance { asset: USDC, amount: 50_000 }).0.unwrap();
    // 500,000 of margin less 700,000 lost: the fund has a quarter of what is missing.
    h.one(0, Command::SettlePosition { owner: address(1), market: BTC }).0.unwrap();
    assert_eq!((collateral(&h), fund(&h)), (before, (0, 150_000)));
}

#[test]
fn an_empty_book_does_not_keep_other_positions_from_being_closed() {
    let mut h = venue_of(&[1_000_000_000, 899_500, 1_000_000_000], false, Default::default());
    h.place(1, order(ETH, Side::Buy, 1000, 5_000));
    h.place(2, order(ETH, Side::Sell, 1000, 5_000));
    h.mark(BTC, 950);
    let liquidate = Command::Liquidate { owner: address(1), market: None };
    // Due: 400,000 less a fee of 500 is left, 362,500 must be; at 946 it is less.
    h.mark(BTC, 945);
    h.refused(2, liquidate.clone(), atoll_types::RejectCode::NoLiquidity);
    h.place(0, order(ETH, Side::Buy, 995, 5_000));
    h.one(2, liquidate).0.unwrap();
    let sizes: Vec<_> =
        h.full.peek_positions(AccountId(1)).iter().map(|p| p.position.size).collect();
    assert_eq!(sizes, [10_000]);
}

#[test]
fn what_is_attached_to_the_vaults_position_ends_with_it() {
    let backstop = Some(address(3));
    let mut h = venue_of(&MONEY, false, LiquidationSpec { backstop, ..Default::default() });
    h.place(3, sell(1000, 4_000));
    h.place(0, buy(1000, 4_000));
    let stop = TriggerRequest {
        market: BTC,
        side: Side::Buy,
        trigger_price: 1100,
        kind: TriggerKind::Stop,
        limit: None,
        size: 0,
        reduce_only: true,
        client_id: None,
    };
    h.one(3, Command::AttachTriggers([Some(stop), None])).0.unwrap();
    h.mark(BTC, 955);
    let (_, events) = h.one(0, Command::Liquidate { owner: address(1), market: None });
    let ended = events.iter().any(|event| {
        matches!(event, Event::Cancelled { order, reason: CancelReason::PositionClosed }
            if order.account == AccountId(3))
    });
    assert!(ended, "{events:#?}");
}

#[test]
fn many_small_fills_leave_nobody_with_less_than_nothing() {
    let mut h = Harness::new(spec());
    for (n, amount) in (0..).zip([1_000_000_000, 5_935, 1_000_000_000]) {
        let (asset, wallet) = (USDC, Wallet::Collateral);
        h.input(Input::Credit { address: address(n), asset, wallet, amount }).0.unwrap();
    }
    h.mark(BTC, 1000);
    h.place(1, buy(1000, 100));
    h.place(2, sell(1000, 100));
    h.mark(BTC, 960);
    // At 941, 5,940 − 5,900 = 40 are left, enough for a fee of 33 on all of it, and not for fifty
    // fees of 1 on parts of two lots.
    let liquidate = Command::Liquidate { owner: address(1), market: None };
    for _ in 0..50 {
        h.place(0, buy(941, 2));
    }
    h.refused(2, liquidate.clone(), atoll_types::RejectCode::NoLiquidity);
    for _ in 0..50 {
        h.place(0, buy(942, 2));
    }
    h.one(2, liquidate).0.unwrap();
    assert!(h.full.peek_positions(AccountId(1)).iter().all(|p| p.position.size == 0));
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), 140 - 50);
}
