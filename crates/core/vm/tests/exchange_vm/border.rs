//! Money that crosses the border: deposits, transfers, withdrawals, and what comes back.

use crate::common::{
    CHAIN_ID, ETH, IDENTITY, START_MS, UBTC, UBTC_TOKEN, UBTC_UNIT, USDC, USDC_TOKEN, Venue, key,
    naive_claim, order, transfer,
};
use atoll_exchange::{BalanceCause, Event, Side, Tif, Wallet, objects::Ledger, objects::LedgerKey};
use atoll_state::{WriteSet, object};
use atoll_types::hub::ROUTER;
use atoll_types::{Address, Encode, EnvironmentId, Message, MessageKind, RejectCode, U256};
use atoll_vm::Identity;
use atoll_vm::exchange::msgpack::MsgpackWriter;
use atoll_vm::exchange::sign::sign_message;
use atoll_vm::exchange::{AtollMessage, Status};

const OTHER: u32 = 9;

fn ledger(venue: &Venue, asset: atoll_exchange::AssetId) -> (i128, i128, i128, i128) {
    let found = venue.vm.exchange().state().ledgers.peek(&LedgerKey(asset)).copied();
    let Ledger { deposits, withdrawals, inbound, outbound, .. } = found.unwrap_or_default();
    (deposits, withdrawals, inbound, outbound)
}

/// Collateral and spot balance of an asset.
fn purse(venue: &Venue, who: Address, asset: atoll_exchange::AssetId) -> (i128, i128) {
    let account = venue.vm.account_of(&who).unwrap();
    let exchange = venue.vm.exchange();
    let collateral = exchange.peek_owner(account).unwrap().collateral;
    (collateral, exchange.peek_balance(account, asset).total)
}

fn claims_are_current(venue: &Venue, who: Address) {
    for token in [USDC_TOKEN, UBTC_TOKEN] {
        assert_eq!(venue.vm.claim(who, token), naive_claim(&venue.vm, who, token));
    }
}

fn send(destination: u32, asset: &str, wallet: Wallet, amount: u128) -> AtollMessage {
    let (destination, to) = (EnvironmentId(destination), Address::repeat_byte(0xee));
    AtollMessage::Send { destination, to, asset: asset.into(), wallet, amount }
}

fn code(status: &Status) -> RejectCode {
    match status {
        Status::Rejected { code, detail } => {
            assert!(detail.len() > 20, "{detail}");
            *code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn money_comes_in_and_opens_accounts() {
    let mut venue = Venue::new(true);
    let (alice, fresh) = (key("alice").address(), key("fresh").address());
    let genesis = 1_000_000_000_000;
    let deposit = transfer(0, alice, USDC_TOKEN, U256::from(5_000_000));
    let receipt = venue.receive(&deposit).unwrap();
    let cause = BalanceCause::Credit;
    assert_eq!(receipt.statuses, [Status::Success]);
    assert!(matches!(receipt.events[..], [Event::BalanceChanged {
        wallet: Wallet::Collateral, change: 5_000_000, cause: found, ..
    }] if found == cause));
    assert!(venue.sent.is_empty());
    assert_eq!(purse(&venue, alice, USDC), (genesis + 5_000_000, 0));
    assert_eq!(ledger(&venue, USDC), (3 * genesis + 5_000_000, 0, 0, 0));
    claims_are_current(&venue, alice);

    let bitcoin = transfer(OTHER, fresh, UBTC_TOKEN, U256::from(3 * UBTC_UNIT));
    let receipt = venue.receive(&bitcoin).unwrap();
    assert!(matches!(receipt.events[..], [
        Event::AccountOpened { address, .. },
        Event::BalanceChanged { wallet: Wallet::Spot, cause: BalanceCause::Receive, .. },
    ] if address == fresh));
    assert_eq!(purse(&venue, fresh, UBTC), (0, 3));
    assert_eq!(ledger(&venue, UBTC), (0, 0, 3, 0));
    claims_are_current(&venue, fresh);
    assert_eq!(venue.vm.claim(fresh, UBTC_TOKEN), U256::from(3 * UBTC_UNIT));
}

#[test]
fn what_cannot_be_credited_goes_back_or_out_and_changes_nothing() {
    let mut venue = Venue::new(true);
    let alice = key("alice").address();
    let approve = AtollMessage::ApproveAgent {
        agent: key("agent").address(),
        name: String::new(),
        valid_until_ms: START_MS + 1_000_000,
    };
    assert_eq!(venue.tell("alice", &approve), Ok(Status::Success));
    let unknown = Address::repeat_byte(0x77);
    let cases = [
        (alice, unknown, U256::from(1), RejectCode::Unsupported),
        (alice, UBTC_TOKEN, U256::from(UBTC_UNIT + 1), RejectCode::OffLot),
        (alice, UBTC_TOKEN, U256::from(1), RejectCode::OffLot),
        (alice, USDC_TOKEN, U256::MAX, RejectCode::Overflow),
        (alice, USDC_TOKEN, U256::from(1) << 127, RejectCode::Overflow),
        (alice, USDC_TOKEN, U256::from(1) << 96, RejectCode::Overflow),
        (alice, USDC_TOKEN, U256::ZERO, RejectCode::Overflow),
        (Address::ZERO, USDC_TOKEN, U256::from(1), RejectCode::UnknownAccount),
        (key("agent").address(), USDC_TOKEN, U256::from(1), RejectCode::NotAllowed),
    ];
    for (to, token, amount, code) in cases {
        for source in [0, OTHER] {
            let message = transfer(source, to, token, amount);
            let bounce = Message { kind: MessageKind::Bounce, ..message.clone() };
            let out = Message {
                kind: MessageKind::Transfer,
                number: 0,
                source: IDENTITY.environment,
                destination: ROUTER,
                from: to,
                ..message.clone()
            };
            for (message, onward) in [(&message, message.bounced()), (&bounce, out)] {
                object::seal(&mut venue.vm, &mut WriteSet::default(), None);
                object::begin(&mut venue.vm);
                let reject = venue.receive(message).unwrap_err();
                assert_eq!(reject.code, code, "{message:?}: {reject}");
                assert!(reject.message.len() > 20, "{reject}");
                let expected = if amount.is_zero() { vec![] } else { vec![onward] };
                assert_eq!(venue.sent, expected);
                let mut writes = WriteSet::default();
                object::seal(&mut venue.vm, &mut writes, None);
                assert!(writes.len() <= 1, "more than the count of commands was written");
                object::begin(&mut venue.vm);
            }
        }
    }
    // What came back without ever having left.
    let never =
        Message { kind: MessageKind::Bounce, ..transfer(OTHER, alice, USDC_TOKEN, U256::from(1)) };
    assert_eq!(venue.receive(&never).unwrap_err().code, RejectCode::Overflow);
    assert_eq!(venue.sent[0].destination, ROUTER);
}

#[test]
fn money_leaves_to_the_hub_and_to_others_and_comes_back() {
    let mut venue = Venue::new(true);
    let alice = key("alice").address();
    venue.receive(&transfer(0, alice, UBTC_TOKEN, U256::from(100 * UBTC_UNIT))).unwrap();
    for (destination, asset, symbol, wallet, amount, token, unit) in [
        (0, USDC, "USDC", Wallet::Collateral, 7_000_000, USDC_TOKEN, 1),
        (OTHER, USDC, "USDC", Wallet::Collateral, 9_000_000, USDC_TOKEN, 1),
        (0, UBTC, "UBTC", Wallet::Spot, 60, UBTC_TOKEN, UBTC_UNIT),
        (OTHER, UBTC, "UBTC", Wallet::Spot, 40, UBTC_TOKEN, UBTC_UNIT),
    ] {
        let before = (purse(&venue, alice, asset), ledger(&venue, asset));
        let message = send(destination, symbol, wallet, amount);
        assert_eq!(venue.tell("alice", &message), Ok(Status::Success));
        let sent = Message {
            kind: MessageKind::Transfer,
            number: 0,
            source: IDENTITY.environment,
            destination: EnvironmentId(destination),
            from: alice,
            to: Address::repeat_byte(0xee),
            token,
            amount: U256::from(amount) * U256::from(unit),
            data: Vec::new(),
        };
        assert_eq!(venue.sent.first(), Some(&sent));
        assert_eq!(venue.sent.len(), 1);
        claims_are_current(&venue, alice);
        let (deposits, withdrawals, inbound, outbound) = before.1;
        let amount = amount as i128;
        let after = match destination {
            0 => (deposits, withdrawals + amount, inbound, outbound),
            _ => (deposits, withdrawals, inbound, outbound + amount),
        };
        assert_eq!(ledger(&venue, asset), after);
        let (collateral, spot) = before.0;
        let after = match wallet {
            Wallet::Collateral => (collateral - amount, spot),
            Wallet::Spot => (collateral, spot - amount),
        };
        assert_eq!(purse(&venue, alice, asset), after);

        let mut back = sent.bounced();
        back.number = 55;
        let receipt = venue.receive(&back).unwrap();
        assert!(matches!(receipt.events[..], [Event::BalanceChanged {
            cause: BalanceCause::Return, change, ..
        }] if change == amount));
        assert_eq!((purse(&venue, alice, asset), ledger(&venue, asset)), before);
        claims_are_current(&venue, alice);
        // It comes back once.
        assert_eq!(venue.receive(&back).unwrap_err().code, RejectCode::Overflow);
    }
}

#[test]
fn what_may_not_leave_stays() {
    let mut venue = Venue::new(true);
    let own = IDENTITY.environment.0;
    let genesis = 1_000_000_000_000;
    let points = transfer(0, key("alice").address(), UBTC_TOKEN, U256::from(UBTC_UNIT));
    venue.receive(&points).unwrap();
    let zero = AtollMessage::Send {
        destination: ROUTER,
        to: Address::ZERO,
        asset: "USDC".into(),
        wallet: Wallet::Collateral,
        amount: 1,
    };
    let (collateral, spot) = (Wallet::Collateral, Wallet::Spot);
    for (message, expected) in [
        (send(own, "USDC", collateral, 1), RejectCode::UnknownEnvironment),
        (send(0, "POINTS", spot, 1), RejectCode::Unsupported),
        (send(0, "DOGE", spot, 1), RejectCode::Unsupported),
        (send(0, "UBTC", collateral, 1), RejectCode::Unsupported),
        (send(0, "USDC", collateral, 0), RejectCode::Overflow),
        (send(0, "USDC", collateral, u128::MAX), RejectCode::Overflow),
        (send(0, "USDC", collateral, 1 << 96), RejectCode::Overflow),
        (send(0, "UBTC", spot, (1 << 96) / UBTC_UNIT + 1), RejectCode::Overflow),
        (send(0, "USDC", collateral, genesis + 1), RejectCode::InsufficientBalance),
        (send(OTHER, "USDC", spot, 1), RejectCode::InsufficientBalance),
        (send(OTHER, "UBTC", spot, 2), RejectCode::InsufficientBalance),
        (zero, RejectCode::NotAllowed),
    ] {
        let before = ledger(&venue, USDC);
        let status = venue.tell("alice", &message).unwrap();
        assert_eq!(code(&status), expected, "{message:?}");
        assert!(venue.sent.is_empty());
        assert_eq!(ledger(&venue, USDC), before);
    }
}

#[test]
fn margin_of_positions_and_orders_stays() {
    let mut venue = Venue::new(true);
    // 40,000 ETH-lots of 2,000 dollars / 10,000: eight million dollars' worth at 5 %.
    venue.place("bob", order(Side::Sell, 200_000, 40_000_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 40_000_000, Tif::Gtc));
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    let free = venue.vm.exchange().peek_margin(alice).withdrawable();
    assert!(free > 0 && free < 1_000_000_000_000);
    let more = send(0, "USDC", Wallet::Collateral, free as u128 + 1);
    let status = venue.tell("alice", &more).unwrap();
    assert_eq!(code(&status), RejectCode::InsufficientMargin);
    assert!(venue.sent.is_empty());
    let all = send(0, "USDC", Wallet::Collateral, free as u128);
    assert_eq!(venue.tell("alice", &all), Ok(Status::Success));
    claims_are_current(&venue, key("alice").address());
    assert_eq!(venue.vm.exchange().peek_margin(alice).withdrawable(), 0);
    assert_eq!(venue.vm.exchange().peek_positions(alice)[0].market, ETH);
}

#[test]
fn only_the_master_sends_and_only_once_and_only_here() {
    let mut venue = Venue::new(false);
    let approve = AtollMessage::ApproveAgent {
        agent: key("agent").address(),
        name: "bot".into(),
        valid_until_ms: START_MS + 1_000_000,
    };
    assert_eq!(venue.tell("alice", &approve), Ok(Status::Success));
    let message = send(0, "USDC", Wallet::Collateral, 5);
    assert_eq!(venue.tell("agent", &message).unwrap_err().code, RejectCode::NotAllowed);
    assert_eq!(venue.tell("stranger", &message).unwrap_err().code, RejectCode::UnknownAccount);
    assert!(venue.sent.is_empty());
    let other = Identity { environment: EnvironmentId(4), ..IDENTITY };
    let nonce = venue.next_nonce();
    for (identity, chain_id) in [(&other, CHAIN_ID), (&IDENTITY, CHAIN_ID + 1)] {
        let signed = sign_message(&key("alice"), identity, chain_id, &message, nonce);
        assert_eq!(venue.send(&signed).unwrap_err().code, RejectCode::UnknownAccount);
    }
    let signed = sign_message(&key("alice"), &IDENTITY, CHAIN_ID, &message, nonce);
    assert!(venue.send(&signed).is_ok());
    assert_eq!(venue.sent.len(), 1);
    assert_eq!(venue.send(&signed).unwrap_err().code, RejectCode::NonceUsed);
    assert!(venue.sent.is_empty());
    assert!(venue.vm.inconsistencies().is_empty());
    // A destination that differs in the body only is somebody else's signature.
    let mut forged = sign_message(&key("alice"), &IDENTITY, CHAIN_ID, &message, nonce + 1);
    forged.body = send(OTHER, "USDC", Wallet::Collateral, 5).to_bytes();
    assert_eq!(venue.send(&forged).unwrap_err().code, RejectCode::UnknownAccount);
}

#[test]
fn hyperliquids_withdrawals_are_read_as_its_transfers_are() {
    let venue = Venue::new(true);
    let action = |destination: &str, amount: &str| {
        let mut w = MsgpackWriter::new();
        w.map(6).string("destination").string(destination).string("amount").string(amount);
        w.string("time").unsigned(START_MS).string("type").string("withdraw3");
        w.string("signatureChainId").string("0x66eee");
        w.string("hyperliquidChain").string("Testnet");
        atoll_vm::exchange::sign::sign_action(&key("alice"), w.into_bytes(), START_MS)
    };
    let to = "0x5e9ee1089755c3435139848e47e6635505d5a13a";
    let steps = |amount: &str, to: &str| {
        let checked = venue.check(&action(to, amount).to_bytes()).map_err(|reject| reject.code)?;
        match checked.transaction.action {
            atoll_vm::exchange::Action::Send(sending) => Ok(sending.amount),
            atoll_vm::exchange::Action::Commands(steps) => {
                Err(steps[0].command.as_ref().unwrap_err().code)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(steps("1.5", to), Ok(1_500_000));
    assert_eq!(steps("1.0000001", to), Err(RejectCode::OffLot));
    assert_eq!(steps("1e3", to), Err(RejectCode::Malformed));
    assert_eq!(steps("1", "0x12"), Err(RejectCode::Malformed));
    assert_eq!(steps("1", &format!("0x{}", "0".repeat(40))), Err(RejectCode::NotAllowed));
    let mut without = venue.spec.clone();
    without.hub_assets.remove(0);
    let checked = crate::common::check(&without, &action(to, "1").to_bytes()).unwrap();
    let atoll_vm::exchange::Action::Commands(steps) = checked.transaction.action else { panic!() };
    assert_eq!(steps[0].command.as_ref().unwrap_err().code, RejectCode::Unsupported);
}
