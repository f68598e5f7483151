//! What anyone may do for the venue's safety, from its msgpack to what becomes of it.

use crate::common::{BTC, ETH, IDENTITY, START_MS, Venue, key, marks, order};
use atoll_exchange::{Command, Event, LiquidationStep, Side, Tif};
use atoll_types::{Address, Encode, RejectCode};
use atoll_vm::Vm;
use atoll_vm::exchange::sign::{sign_action, sign_oracle};
use atoll_vm::exchange::{Action, Status, asset_of_market, build};

fn command(venue: &Venue, action: Vec<u8>) -> Command {
    let signed = sign_action(&key("carol"), action, START_MS + 1);
    match venue.check(&signed.to_bytes()).unwrap().transaction.action {
        Action::Commands(steps) => steps[0].command.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_built_is_what_is_read() {
    let venue = Venue::new(true);
    let owner = Address::repeat_byte(0xab);
    let asset = |market| asset_of_market(&venue.spec.exchange, market);
    for market in [None, Some(ETH), Some(BTC)] {
        let built = build::liquidate(&owner, market.map(asset));
        assert_eq!(command(&venue, built), Command::Liquidate { owner, market });
    }
    for side in [Side::Buy, Side::Sell] {
        let built = build::deleverage(asset(BTC), side == Side::Buy);
        assert_eq!(command(&venue, built), Command::Deleverage { market: BTC, side });
    }
    // The bytes, written by hand: {"type":"liquidate","user":"0x…","asset":null}.
    let text = |text: &str| [&[0xa0 | text.len() as u8][..], text.as_bytes()].concat();
    let user = format!("{owner:#x}");
    let user = [&[0xd9, user.len() as u8][..], user.as_bytes()].concat();
    let parts = [text("type"), text("liquidate"), text("user"), user, text("asset"), vec![0xc0]];
    assert_eq!(build::liquidate(&owner, None), [vec![0x83], parts.concat()].concat());
}

#[test]
fn anyone_liquidates_whoever_no_longer_covers_the_maintenance_margin() {
    let mut venue = Venue::new(true);
    // 900 contracts of 2000 on a million of collateral, less 0.04 % of 1,800,000.
    venue.place("bob", order(Side::Sell, 200_000, 9_000_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 9_000_000, Tif::Gtc));
    let owner = key("alice").address();
    let liquidate = |venue: &mut Venue| {
        let receipt = venue.act("carol", build::liquidate(&owner, None)).unwrap();
        (receipt.statuses[0].clone(), receipt.events)
    };
    let (refused, _) = liquidate(&mut venue);
    let code = RejectCode::NotLiquidatable;
    assert!(matches!(refused, Status::Rejected { code: found, .. } if found == code));

    // At 912: 999,280 − 900 × 1088 = 20,080, and 2.5 % of 820,800 are 20,520.
    let time_ms = START_MS + 1_000;
    let oracle = sign_oracle(&key("oracle"), &IDENTITY, time_ms, &marks(91_200, 60_000));
    let checked = venue.check(&oracle.to_bytes()).unwrap();
    venue.vm.execute_input(&checked);
    venue.vm.open_tick(time_ms * 1000);
    // Somebody to sell to, within the bankruptcy price.
    venue.place("carol", order(Side::Buy, 91_100, 9_000_000, Tif::Gtc));
    let (done, events) = liquidate(&mut venue);
    assert_eq!(done, Status::Success);
    let book = |event: &Event| {
        matches!(event, Event::Liquidated { step: LiquidationStep::Book, market: None, .. })
    };
    assert!(book(&events[0]), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Filled(_))), "{events:?}");
    assert!(venue.vm.audit().iter().all(|asset| asset.conserved));
}
