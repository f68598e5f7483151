//! Who may sign: agents, masters, and where Hyperliquid's domain is not enough.

use crate::common::{CHAIN_ID, IDENTITY, START_MS, Venue, key, order};
use atoll_exchange::{Side, Tif, Wallet};
use atoll_types::{Address, RejectCode};
use atoll_vm::Vm;
use atoll_vm::exchange::sign::{sign_action, sign_message};
use atoll_vm::exchange::{AtollMessage, Status, build};

fn approve(venue: &mut Venue, master: &str, agent: &str, name: &str, until: u64) -> Status {
    let message = AtollMessage::ApproveAgent {
        agent: if agent.is_empty() { Address::ZERO } else { key(agent).address() },
        name: name.into(),
        valid_until_ms: until,
    };
    let nonce = venue.next_nonce();
    let signed = sign_message(&key(master), &IDENTITY, CHAIN_ID, &message, nonce);
    venue.send(&signed).unwrap().statuses.remove(0)
}

fn code(status: &Status) -> RejectCode {
    match status {
        Status::Rejected { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

const LATER: u64 = START_MS + 3_600_000;

#[test]
fn outside_dev_only_approved_agents_trade() {
    let mut venue = Venue::new(false);
    let refused = venue.act("alice", build::noop()).unwrap_err();
    assert_eq!(refused.code, RejectCode::WrongDomain);
    let refused = venue.act("agent", build::noop()).unwrap_err();
    assert_eq!(refused.code, RejectCode::UnknownAccount);
    assert_eq!(approve(&mut venue, "alice", "agent", "bot", LATER), Status::Success);
    let status = venue.place("agent", order(Side::Buy, 199_000, 10, Tif::Gtc));
    assert!(matches!(status, Status::Resting { .. }));
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    assert_eq!(venue.vm.exchange().peek_orders(alice, 10).len(), 1);
    // What the master signed is still of no venue.
    let refused = venue.act("alice", build::noop()).unwrap_err();
    assert_eq!(refused.code, RejectCode::WrongDomain);
}

#[test]
fn agents_trade_and_do_nothing_else() {
    let mut venue = Venue::new(true);
    assert_eq!(approve(&mut venue, "alice", "agent", "bot", LATER), Status::Success);
    assert!(venue.act("agent", build::noop()).is_ok());
    for message in [
        AtollMessage::Move { to: Wallet::Spot, amount: 1 },
        AtollMessage::ApproveAgent {
            agent: key("friend").address(),
            name: "friend".into(),
            valid_until_ms: LATER,
        },
    ] {
        let nonce = venue.next_nonce();
        let signed = sign_message(&key("agent"), &IDENTITY, CHAIN_ID, &message, nonce);
        assert_eq!(venue.send(&signed).unwrap_err().code, RejectCode::NotAllowed);
    }
    venue.vm.open_tick(LATER * 1000);
    assert!(venue.act("agent", build::noop()).is_ok());
    venue.vm.open_tick((LATER + 1) * 1000);
    assert_eq!(venue.act("agent", build::noop()).unwrap_err().code, RejectCode::NotAllowed);
}

#[test]
fn agents_are_replaced_by_name_revoked_and_bounded() {
    let mut venue = Venue::new(true);
    let names = |venue: &Venue| -> Vec<(Address, String)> {
        let alice = key("alice").address();
        venue.vm.agents_of(&alice).map(|(a, agent)| (a, agent.name.clone())).collect()
    };
    let of = |agent: &str, name: &str| (key(agent).address(), name.to_string());
    assert_eq!(approve(&mut venue, "alice", "one", "", LATER), Status::Success);
    assert_eq!(approve(&mut venue, "alice", "two", "bot", LATER), Status::Success);
    // Another key under the name, then another name for the key.
    assert_eq!(approve(&mut venue, "alice", "three", "bot", LATER), Status::Success);
    assert_eq!(names(&venue), [of("one", ""), of("three", "bot")]);
    assert_eq!(venue.act("two", build::noop()).unwrap_err().code, RejectCode::UnknownAccount);
    assert_eq!(approve(&mut venue, "alice", "three", "maker", LATER), Status::Success);
    assert_eq!(names(&venue), [of("one", ""), of("three", "maker")]);
    assert_eq!(approve(&mut venue, "alice", "four", "taker", LATER), Status::Success);
    let full = approve(&mut venue, "alice", "five", "more", LATER);
    assert_eq!(code(&full), RejectCode::NotAllowed);
    // One approval that ends both: the name's key and the key's name.
    assert_eq!(approve(&mut venue, "alice", "three", "", LATER), Status::Success);
    assert_eq!(names(&venue), [of("four", "taker"), of("three", "")]);
    assert!(venue.vm.agent(&key("one").address()).is_none());

    assert_eq!(approve(&mut venue, "alice", "", "taker", 0), Status::Success);
    assert_eq!(names(&venue), [of("three", "")]);
    assert_eq!(venue.act("four", build::noop()).unwrap_err().code, RejectCode::UnknownAccount);
    let none = approve(&mut venue, "alice", "", "taker", 0);
    assert_eq!(code(&none), RejectCode::UnknownAccount);

    for (master, agent, until, expected) in [
        ("bob", "three", LATER, RejectCode::NotAllowed),
        ("bob", "carol", LATER, RejectCode::NotAllowed),
        ("bob", "", LATER, RejectCode::NotAllowed),
        ("bob", "six", START_MS - 1, RejectCode::Expired),
    ] {
        assert_eq!(code(&approve(&mut venue, master, agent, "x", until)), expected);
    }
}

#[test]
fn a_revoked_agents_actions_stay_used_when_it_is_approved_again() {
    let mut venue = Venue::new(true);
    assert_eq!(approve(&mut venue, "alice", "agent", "bot", LATER), Status::Success);
    let nonce = venue.next_nonce();
    let signed = sign_action(&key("agent"), build::noop(), nonce);
    venue.send(&signed).unwrap();
    assert_eq!(approve(&mut venue, "alice", "", "bot", 0), Status::Success);
    assert_eq!(venue.send(&signed).unwrap_err().code, RejectCode::UnknownAccount);
    assert_eq!(approve(&mut venue, "alice", "agent", "bot", LATER), Status::Success);
    assert_eq!(venue.send(&signed).unwrap_err().code, RejectCode::NonceUsed);
}
