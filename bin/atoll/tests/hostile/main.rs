//! A dishonest operator, through the binary: one that lies, one that censors, one that vanishes.

#[path = "../common/mod.rs"]
mod common;
mod derived;
mod support;

use atoll_ethereum::BlockId;
use atoll_ethereum::abi::IEscapeHatch;
use atoll_exchange::{Tif, Wallet};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, Encode, EnvironmentId, U256};
use atoll_vm::exchange::{AtollMessage, sign};
use common::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::*;

#[test]
fn whoever_watches_sees_a_false_root_and_challenges_it_within_a_slot_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("data"), &["--rate", "100", "--false-root", "3"]);
    let url = format!("http://{}", node.address);
    let kept = folder.path().join("watch");
    let watch = |more: &[&str]| {
        let mut command = atoll();
        command.args(["watch", "--url", &url, "--json", "--key", "development:operator"]);
        command.arg("--data-dir").arg(&kept).args(more).output().unwrap()
    };
    // What is right agrees, and is known the next time.
    let before = last_json(&watch(&["--slots", "50", "--for", "30s"]));
    assert_eq!((before["commitments"].as_u64(), before["agreed"].as_bool()), (Some(1), Some(true)));

    let found = watch(&["--exit-on-alarm", "--for", "60s"]);
    assert!(!found.status.success());
    let said = String::from_utf8_lossy(&found.stdout);
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let alarms = found["alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 1, "{found}");
    let alarm = alarms[0].as_str().unwrap();
    assert!(alarm.contains("commitment 3 is WRONG: it says that evm has state root"), "{alarm}");
    let challenge = &found["challenges"][0];
    assert_eq!(
        (challenge["commitment"].as_u64(), challenge["environment"].as_u64()),
        (Some(3), Some(2))
    );
    let seconds = |name: &str| challenge[name].as_u64().unwrap();
    assert!(seconds("challenged_s") - seconds("anchored_s") < 12, "{challenge}");

    // The window of five seconds passes, and nothing from there on is settled.
    node.eventually_get("/atoll/settlement", |now| now["settled"] == 2);
    std::thread::sleep(Duration::from_secs(7));
    let now = node.get("/atoll/settlement").1;
    assert_eq!(now["settled"], 2, "{now}");
    assert!(now["anchored"].as_u64() >= Some(3));
}

#[test]
fn who_is_censored_gets_out_through_the_hubs_queue() {
    let folder = tempfile::tempdir().unwrap();
    let censored = address("censored").to_string();
    let node = Node::start(folder.path(), &["--rate", "0", "--censor", &censored]);
    for (environment, token, amount) in [("perps", "USDC", "100"), ("evm", "ETH", "2")] {
        let args = ["--environment", environment, "--token", token];
        let deposit = money(
            &node,
            "deposit",
            "censored",
            &[&args[..], &["--amount", amount, "--fund"]].concat(),
        );
        assert_eq!(last_json(&deposit)["credited"], true);
        let out = [&args[..], &["--amount", "1"]].concat();
        // The EVM's door retries for a minute before it gives up.
        if environment == "perps" {
            let refused = error(&money(&node, "withdraw", "censored", &out));
            assert!(refused.contains("try again in a moment"), "{refused}");
        }
        let forced = money(&node, "withdraw", "censored", &[&out[..], &["--force"]].concat());
        let withdrawal = last_json(&forced)["withdrawal"].clone();
        assert_eq!(withdrawal["settled"], true, "{withdrawal}");
        let index = withdrawal["index"].to_string();
        last_json(&money(&node, "claim", "censored", &["--index", &index]));
    }
}

#[test]
fn a_vanished_operator_keeps_nobodys_money() {
    let mut usdc = Address::ZERO;
    let Some(left) = Abandoned::after(&["--rate", "50"], None, |node| {
        let tokens = node.get("/atoll/settlement").1["tokens"].clone();
        let found = tokens.as_array().unwrap().iter().find(|token| token["symbol"] == "USDC");
        usdc = found.unwrap()["token"].as_str().unwrap().parse().unwrap();
        let put = |who: &str, environment: &str, token: &str, amount: &str| {
            let args = ["--environment", environment, "--token", token, "--amount", amount];
            let done = money(node, "deposit", who, &[&args[..], &["--fund"]].concat());
            assert_eq!(last_json(&done)["credited"], true);
        };
        put("alice", "perps", "USDC", "250");
        put("alice", "evm", "ETH", "3");
        put("bob", "evm", "USDC", "40");
        // Settled and never claimed.
        let args = ["--environment", "perps", "--token", "USDC", "--amount", "50"];
        last_json(&money(node, "withdraw", "alice", &args));
    }) else {
        return;
    };
    let (alice, bob, carol) = (address("alice"), address("bob"), address("carol"));
    let refused = error(&left.escape("exit", "alice", None));
    assert!(refused.contains("the exit can be opened after 1200 s"), "{refused}");

    // What is in the queue is executed although nobody orders any more.
    left.deposit_ether(1, carol, 7_000_000_000_000_000_000);
    left.pass(700);
    let derived = last_json(&left.escape("derive", "carol", None));
    assert_eq!(derived["entries"], 1, "{derived}");
    assert_eq!(derived["settled"], derived["derived"], "{derived}");
    let status = last_json(&left.escape("status", "carol", None));
    assert_eq!(status["holdings"][0]["amount"], "7000000000000000000", "{status}");

    // A deposit that nobody takes any more goes back to who made it.
    left.deposit_ether(2, bob, 5_000_000_000_000_000_000);
    left.pass(1_300);
    let before = |token: Address, who: Address| left.balance(token, who);
    let (alice_usdc, alice_eth) = (before(usdc, alice), before(Address::ZERO, alice));
    let escaped = last_json(&left.escape("exit", "alice", None));
    assert_eq!(escaped["claimed"].as_array().unwrap().len(), 1, "{escaped}");
    let (claim, got) = paid(&escaped, 1, "USDC");
    assert_eq!(claim, U256::from(200_000_000));
    assert_eq!(got, claim, "the network is solvent");
    assert_eq!(left.balance(usdc, alice) - alice_usdc, U256::from(250_000_000));
    let three = U256::from(3_000_000_000_000_000_000u128);
    assert_eq!(paid(&escaped, 2, "ETH"), (three, three));
    assert_eq!(left.balance(Address::ZERO, alice) - alice_eth, three);

    let bobs = last_json(&left.escape("exit", "bob", None));
    assert_eq!(paid(&bobs, 2, "USDC").1, U256::from(40_000_000));
    let (carols, had) = (left.balance(Address::ZERO, carol), left.escape("exit", "carol", None));
    let (claim, got) = paid(&last_json(&had), 1, "ETH");
    assert_eq!((claim, got), (U256::from(7_000_000_000_000_000_000u128), claim));
    assert_eq!(left.balance(Address::ZERO, carol) - carols, got);

    // The depositor of what nobody took is the one who paid for it.
    let anvil: Address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
    let refunds = last_json(&left.escape_for("exit", anvil, None));
    assert_eq!(refunds["refunded"][0]["amount"], "5000000000000000000", "{refunds}");

    // Once is once.
    for who in [alice, bob, carol, anvil] {
        let again = last_json(&left.escape_for("exit", who, None));
        assert_eq!(again["paid"], json!([]), "{again}");
        assert_eq!(again["refunded"], json!([]));
        assert_eq!(again["claimed"], json!([]));
    }
}

#[test]
fn what_was_published_and_never_committed_is_anchored_by_a_stranger() {
    let specs = tempfile::tempdir().unwrap();
    specs_with_own_oracle(specs.path());
    let specs = Some(specs.path());
    let mut usdc = Address::ZERO;
    let mut value_usdc = 0.0;
    // The first commitment comes at once, the second after an hour: never.
    let args = ["--rate", "0", "--commitment-interval", "1h"];
    let Some(left) = Abandoned::when(&args, specs, |node, watched| {
        let perps = Perps::open(node, &[("long", "1000"), ("short", "1000")]);
        usdc = perps.usdc;
        // The short side wins 300 USDC and sends 100 to the other environment.
        perps.oracle(500_000);
        perps.order("short", false, "0.1", Tif::Gtc);
        perps.order("long", true, "0.1", Tif::Ioc);
        perps.oracle(470_000);
        let message = AtollMessage::Send {
            destination: EnvironmentId(2),
            to: address("short"),
            asset: "USDC".into(),
            wallet: Wallet::Collateral,
            amount: 100_000_000,
        };
        let key = SigningKey::from_label("short");
        let sent = sign::sign_message(&key, &perps.identity, 3001, &message, now_ms());
        perps.submit(sent.to_bytes());
        let user = json!({"type": "clearinghouseState", "user": address("short").to_string()});
        let value = |state: &Value| {
            let value = state["marginSummary"]["accountValue"].as_str().unwrap_or("0");
            value.parse::<f64>().unwrap()
        };
        let state = node
            .eventually_post("/info", &user, |state| (1_190.0..1_210.0).contains(&value(state)));
        value_usdc = value(&state);
        let head = node.get("/atoll/status").1["head_slot"].as_u64().expect("a slot");
        // All of it is in spans that somebody has kept, two seconds of waiting for claims included.
        let end = Instant::now() + Duration::from_secs(60);
        while !spans_in(watched).iter().any(|(_, last, _)| *last > head + 20) {
            assert!(Instant::now() < end, "nothing more is published");
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(node.get("/atoll/settlement").1["latest"]["number"], 1);
    }) else {
        return;
    };
    let (short, carol) = (address("short"), address("carol"));
    // Queued after the operator vanished, and overdue when anyone may anchor.
    left.deposit_ether(1, carol, 7_000_000_000_000_000_000);
    left.pass(700);
    let now = || rpc(&left.anvil.1, "/", "evm_snapshot", json!([])).unwrap();
    let before = now();

    // Where what was published is lost, its slots are: what is in the queue is executed anyway.
    let poor = left.folder.path().join("poor");
    copy(&left.folder.path().join("watch"), &poor);
    let lost = spans_in(&poor).into_iter().filter(|(first, ..)| *first > 50);
    let lost = lost.map(|(.., path)| std::fs::remove_file(path).unwrap()).count();
    assert!(lost > 1, "spans were kept");
    let derived = last_json(&left.escape_from(&poor, "derive", short, specs));
    assert_eq!((&derived["slots"], &derived["entries"]), (&0.into(), &3.into()), "{derived}");
    let why = derived["refused"][0].as_str().unwrap();
    assert!(why.contains("from slot 51 on: the data of slots 51 to 100 is not kept"), "{why}");
    let status = last_json(&left.escape_from(&poor, "status", short, specs));
    assert_eq!(status["holdings"][0]["amount"], "1000000000", "{status}");
    rpc(&left.anvil.1, "/", "evm_revert", json!([before])).unwrap();
    left.pass(100);

    // Where it was kept, a stranger anchors it all, and then what is in the queue.
    let derived = last_json(&left.escape("derive", "carol", specs));
    assert_eq!((&derived["refused"], &derived["entries"]), (&json!([]), &1.into()), "{derived}");
    assert!(derived["slots"].as_u64() > Some(50), "{derived}");
    assert_eq!((&derived["derived"], &derived["settled"]), (&3.into(), &3.into()), "{derived}");
    left.pass(1_300);
    let had = left.balance(usdc, short);
    let escaped = last_json(&left.escape("exit", "short", specs));
    let (claim, got) = paid(&escaped, 1, "USDC");
    assert_eq!(claim, got, "the network is solvent: {escaped}");
    let off = claim.to::<u64>() as f64 / 1e6 - value_usdc;
    assert!(off.abs() < 0.01, "{off}: {escaped}");
    let hundred = U256::from(100_000_000);
    assert_eq!(paid(&escaped, 2, "USDC"), (hundred, hundred));
    assert_eq!(left.balance(usdc, short) - had, got + hundred);
    let (claim, got) = paid(&last_json(&left.escape("exit", "carol", specs)), 1, "ETH");
    assert_eq!((claim, got), (U256::from(7_000_000_000_000_000_000u128), claim));
}

#[test]
fn where_money_is_missing_everyone_is_paid_in_proportion() {
    let specs = tempfile::tempdir().unwrap();
    specs_with_own_oracle(specs.path());
    let mut usdc = Address::ZERO;
    let Some(left) = Abandoned::after(&["--rate", "0"], Some(specs.path()), |node| {
        let money = [("long", "1000"), ("short", "1000"), ("holder", "500")];
        let perps = Perps::open(node, &money);
        usdc = perps.usdc;
        perps.oracle(500_000);
        perps.order("short", false, "0.2", Tif::Gtc);
        perps.order("long", true, "0.2", Tif::Ioc);
        // The long side owes 1,600 USDC and has 1,000.
        perps.oracle(420_000);
        let user = json!({"type": "clearinghouseState", "user": address("short").to_string()});
        node.eventually_post("/info", &user, |state| {
            let value = state["marginSummary"]["accountValue"].as_str().unwrap_or("0");
            value.parse::<f64>().unwrap() > 2_500.0
        });
    }) else {
        return;
    };
    left.pass(1_300);
    let long = last_json(&left.escape("exit", "long", Some(specs.path())));
    assert_eq!(long["paid"], json!([]), "who owes has no claim: {long}");
    let mut sum = U256::ZERO;
    let mut ratios = Vec::new();
    for who in ["short", "holder"] {
        let before = left.balance(usdc, address(who));
        let escaped = last_json(&left.escape("exit", who, Some(specs.path())));
        let (claim, got) = paid(&escaped, 1, "USDC");
        assert!(got < claim, "{escaped}");
        assert_eq!(left.balance(usdc, address(who)) - before, got);
        ratios.push((claim, got));
        sum += got;
    }
    // In proportion to the claims, and never more than was there: 2,500 USDC.
    let call = IEscapeHatch::exitOfCall { environment: 1, token: usdc };
    let exit = left.client().view(left.contracts().hatch, &call, BlockId::Latest).unwrap();
    assert_eq!(exit.pool, U256::from(2_500_000_000u64));
    assert!(exit.total > exit.pool && sum <= exit.pool, "{exit:?}");
    for (claim, got) in ratios {
        assert_eq!(got, claim * exit.pool / exit.total);
    }
}
