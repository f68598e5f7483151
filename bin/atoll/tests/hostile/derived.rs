//! Whoever watches judges also what others anchor in the operator's place, and needs no gateway.

use crate::common::*;
use crate::support::*;
use alloy_sol_types::SolCall;
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::{IAnchor, Status};
use atoll_types::{Address, B256, U256};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

const DAY: u64 = 86_400;
/// Ether for one entry of the hub's queue.
const ETHER: u128 = 1_000_000_000_000_000_000;
/// Calls the address in its first word with the rest, and its value: `calldatacopy(0, 32, n − 32)`,
/// `call(gas, word 0, value, 0, n − 32, 0, 0)`, `revert(0, 0)` where that fails.
const FORWARDER: &str = "0x60203603806020600037600060008260003460003\
                         55af1601f5760006000fd5b00";
/// The second account that every anvil funds, its key, and that of the third, which are public.
const SECOND: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const THIRD_KEY: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const SECOND_KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

impl Abandoned {
    /// A network of which slots are published and in no commitment, with a week to challenge what
    /// is derived from them. The first commitment has slots 1 to 50.
    fn with_published() -> Option<Self> {
        let args = ["--rate", "50", "--terms", "production"];
        Self::when(&args, None, |node, watched| {
            let end = Instant::now() + Duration::from_secs(60);
            while spans_in(watched).len() < 4 {
                assert!(Instant::now() < end, "nothing more is published");
                std::thread::sleep(Duration::from_millis(100));
            }
            // Their certificates are noted, and the only commitment is on the hub.
            std::thread::sleep(Duration::from_millis(500));
            let now = node.eventually_get("/atoll/settlement", |now| now["anchored"] == 1);
            assert_eq!(now["latest"]["number"], 1, "{now}");
        })
    }

    fn watched(&self) -> PathBuf {
        self.folder.path().join("watch")
    }

    /// A copy of what was watched, without the spans behind a slot.
    fn without(&self, name: &str, last_slot: u64) -> PathBuf {
        let folder = self.folder.path().join(name);
        copy(&self.watched(), &folder);
        lose(&folder, last_slot);
        folder
    }

    /// Anchors what can be derived from a folder.
    fn derive(&self, from: &Path) -> Value {
        let mut command = self.outside(&["escape", "derive"]);
        last_json(&command.arg("--from").arg(from).output().unwrap())
    }

    /// Watches with the gateway gone.
    fn watch(&self, folder: &Path, args: &[&str]) -> Output {
        self.watching(folder, args).output().unwrap()
    }

    fn watching(&self, folder: &Path, args: &[&str]) -> std::process::Command {
        let mut command = self.outside(&["watch", "--url", "http://127.0.0.1:9", "--for", "90s"]);
        command.args(args).arg("--data-dir").arg(folder);
        command
    }

    fn snapshot(&self) -> Value {
        rpc(&self.anvil.1, "/", "evm_snapshot", json!([])).unwrap()
    }

    fn revert(&self, to: Value) {
        assert_eq!(rpc(&self.anvil.1, "/", "evm_revert", json!([to])), Some(true.into()));
    }

    fn view<C: SolCall>(&self, call: &C) -> C::Return {
        self.client().view(self.anchor.parse().unwrap(), call, BlockId::Latest).unwrap()
    }

    fn status_of(&self, number: u64) -> Status {
        self.view(&IAnchor::statusOfCall { number })
    }

    /// The call of a transaction that anchored.
    fn anchored_by(&self, hash: &Value) -> IAnchor::anchorCall {
        let sent = rpc(&self.anvil.1, "/", "eth_getTransactionByHash", json!([hash])).unwrap();
        let input = alloy_primitives::hex::decode(sent["input"].as_str().unwrap()).unwrap();
        IAnchor::anchorCall::abi_decode(&input).unwrap()
    }

    /// Anchors a derived commitment as somebody dishonest makes it of an honest one, through a
    /// contract, so that the transaction's own calldata is nothing that anchors.
    fn forge(&self, mut call: IAnchor::anchorCall, change: impl FnOnce(&mut IAnchor::anchorCall)) {
        change(&mut call);
        let contract = address("a contract in between");
        rpc(&self.anvil.1, "/", "anvil_setCode", json!([contract.to_string(), FORWARDER]));
        let anchor: Address = self.anchor.parse().unwrap();
        let bond = U256::from(self.view(&IAnchor::derivedBondCall {}));
        let data = [anchor.into_word().as_slice(), &call.abi_encode()].concat();
        self.call(contract, bond, data);
    }
}

/// Removes the spans behind a slot.
fn lose(folder: &Path, last_slot: u64) {
    let lost = spans_in(folder).into_iter().filter(|(_, last, _)| *last > last_slot);
    lost.for_each(|(.., path)| std::fs::remove_file(path).unwrap());
}

/// What a watch says on its last line, whether it is content or not.
fn said(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{said}\n{error}"))
}

fn transaction(done: &Value, step: &str) -> Value {
    let list = done["transactions"].as_array().unwrap();
    let found = list.iter().find(|t| t["step"] == step);
    found.unwrap_or_else(|| panic!("no {step}: {done}"))["transaction"].clone()
}

fn alarms(said: &Value) -> Vec<&str> {
    said["alarms"].as_array().unwrap().iter().map(|alarm| alarm.as_str().unwrap()).collect()
}

#[test]
fn what_a_stranger_derives_honestly_is_followed_across_restarts() {
    let Some(left) = Abandoned::with_published() else { return };
    let stranger = left.without("stranger", u64::MAX);
    left.deposit_ether(1, address("carol"), ETHER);
    left.pass(8 * DAY);
    let done = left.derive(&stranger);
    assert_eq!((&done["derived"], &done["refused"]), (&3.into(), &json!([])), "{done}");
    // The first commitment, published slots, and five of the queue.
    let slots = 50 + done["slots"].as_u64().unwrap() + 5;
    for _ in 0..2 {
        let seen = last_json(&left.watch(&left.watched(), &["--slots", &slots.to_string()]));
        assert_eq!((&seen["commitments"], &seen["derived"]), (&3.into(), &2.into()), "{seen}");
        assert_eq!((&seen["alarms"], &seen["challenges"]), (&json!([]), &json!([])));
        assert_eq!(seen["last_slot"], slots);
    }
    // What comes after it is judged by it: while it can be challenged, and once it is settled.
    left.deposit_ether(2, address("carol"), ETHER);
    assert_eq!(left.derive(&stranger)["derived"], 4);
    let seen = last_json(&left.watch(&left.watched(), &["--slots", &(slots + 5).to_string()]));
    assert_eq!((&seen["commitments"], &seen["derived"]), (&4.into(), &3.into()), "{seen}");
    left.pass(8 * DAY);
    left.deposit_ether(1, address("carol"), ETHER);
    let done = left.derive(&stranger);
    assert_eq!((&done["derived"], &done["settled"]), (&5.into(), &4.into()), "{done}");
    let seen = last_json(&left.watch(&left.watched(), &["--slots", "5"]));
    assert_eq!((&seen["commitments"], &seen["derived"]), (&1.into(), &1.into()), "{seen}");
    assert_eq!(seen["last_slot"], slots + 10);

    // Who has nothing says what is missing, and where it was looked for.
    let nothing = left.folder.path().join("nothing");
    let args = ["--patience", "1s", "--exit-on-alarm"];
    let seen = said(&left.watch(&nothing, &args));
    let why = alarms(&seen)[0];
    assert!(why.contains("commitment 1 is WITHHELD or cannot be checked"), "{why}");
    assert!(why.contains("slots 1 to 50; none are kept in") && why.contains("nothing"), "{why}");
    assert!(why.contains("http://127.0.0.1:9 does not answer"), "{why}");
    let poor = left.without("poor", 100);
    let seen = said(&left.watch(&poor, &args));
    let why = alarms(&seen)[0];
    assert!(why.contains("commitment 2 is WITHHELD or cannot be checked"), "{why}");
    assert!(why.contains("the data of slots 101 to 150 is not kept in"), "{why}");
    assert_eq!(seen["challenges"], json!([]), "{seen}");
    // Somebody else's folder has it.
    let stranger = stranger.to_str().unwrap();
    let seen = last_json(&left.watch(&nothing, &["--from", stranger, "--slots", "5"]));
    assert_eq!((&seen["commitments"], &seen["alarms"]), (&1.into(), &json!([])), "{seen}");
}

#[test]
fn what_is_derived_falsely_is_challenged_with_the_gateway_gone() {
    let Some(left) = Abandoned::with_published() else { return };
    let stranger = left.without("stranger", u64::MAX);
    let before = left.snapshot();
    left.pass(8 * DAY);
    let honest = left.derive(&stranger);
    let call = left.anchored_by(&transaction(&honest, "anchor 2, derived"));
    left.revert(before);
    left.pass(8 * DAY);
    left.forge(call, |call| call.s[2].postRoot = B256::repeat_byte(7));

    let found = said(&left.watch(&left.watched(), &["--exit-on-alarm"]));
    let why = alarms(&found)[0];
    assert!(why.contains("commitment 2 is WRONG: it says that evm has state root 0x0707"), "{why}");
    let challenge = &found["challenges"][0];
    assert_eq!((&challenge["commitment"], &challenge["environment"]), (&2.into(), &2.into()));
    assert_eq!(challenge["claim"], "statement", "{challenge}");
    assert_eq!(left.status_of(2), Status::Challenged);

    // One that begins only now knows it too. The challenge comes to an end, and what is derived
    // anew is right.
    let slots = (50 + honest["slots"].as_u64().unwrap()).to_string();
    let mut watching = left.watching(&left.watched(), &["--slots", &slots]);
    let watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    left.pass(31 * DAY);
    let expire = IAnchor::expireFreezeCall { number: 2 }.abi_encode();
    left.call(left.anchor.parse().unwrap(), U256::ZERO, expire);
    assert_eq!(left.status_of(2), Status::Rejected);
    assert_eq!(left.derive(&stranger)["derived"], 2);
    let seen = said(&watching.wait_with_output().unwrap());
    assert_eq!((&seen["commitments"], &seen["derived"]), (&2.into(), &1.into()), "{seen}");
    assert_eq!((alarms(&seen).len(), &seen["challenges"]), (1, &json!([])), "{seen}");
}

#[test]
fn what_leaves_out_published_slots_is_challenged_with_their_certificate() {
    let Some(left) = Abandoned::with_published() else { return };
    let last = spans_in(&left.watched()).iter().map(|(_, last, _)| *last).max().unwrap();
    left.deposit_ether(1, address("carol"), ETHER);
    let before = left.snapshot();
    let challenged = |kept: u64| {
        left.pass(8 * DAY);
        let done = left.derive(&left.without(&format!("until-{kept}"), kept));
        assert_eq!(done["slots"], kept - 50, "{done}");
        let found = said(&left.watch(&left.watched(), &["--exit-on-alarm"]));
        let why = alarms(&found)[0];
        let leaves = format!(
            "commitment 2 is WRONG: it was derived without the sequencer and leaves out slots {} \
             to {last}",
            kept + 1
        );
        assert!(why.contains(&leaves), "{why}");
        let challenge = &found["challenges"][0];
        assert_eq!(
            (&challenge["commitment"], &challenge["claim"]),
            (&2.into(), &"certificate".into())
        );
        assert_eq!(left.status_of(2), Status::Challenged);
    };
    // All of them, for the queue; and the last ones.
    challenged(50);
    left.revert(before);
    let before = left.snapshot();
    challenged(100);
    left.revert(before);

    // Nobody says that the certificates in the operator's own folder were ever shown to anyone.
    left.pass(8 * DAY);
    left.derive(&left.without("again", 100));
    let operators = left.folder.path().join("data");
    let args = ["--from", operators.to_str().unwrap(), "--slots", "105"];
    let seen = said(&left.watch(&left.folder.path().join("late"), &args));
    assert_eq!((&seen["commitments"], &seen["challenges"]), (&3.into(), &json!([])), "{seen}");
    let [why] = alarms(&seen)[..] else { panic!("one alarm: {seen}") };
    assert!(why.contains("commitment 2") && why.contains("leaves out slots 101 to"), "{why}");
    assert!(why.contains("not challenged, because they are not known to have been published"));
    assert_eq!(left.status_of(2), Status::Anchored);
}

#[test]
fn whoever_feigns_silence_cannot_have_its_own_slots_forgotten() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let fixed = ["--hub", &anvil.url(), "--hub-key", SECOND_KEY, "--rate", "0"];
    let args = [&fixed[..], &["--commitment-interval", "40s"]].concat();
    let mut node = Node::start(&folder.path().join("data"), &args);
    let settlement = deployed(&node);
    let gateway = format!("http://{}", node.address);
    let anchor = settlement["contracts"]["anchor"].as_str().unwrap().to_string();
    let left = Abandoned { anvil, anchor, folder };
    let early = left.folder.path().join("early");
    let watch = |folder: &Path, args: &[&str]| {
        let args_of = ["watch", "--url", &gateway, "--for", "90s"];
        let mut command = left.outside_as(THIRD_KEY, &args_of);
        command.args(args).arg("--data-dir").arg(folder);
        command
    };
    last_json(&watch(&early, &["--slots", "50"]).output().unwrap());
    lose(&early, 50);

    // It signs and publishes on, and nothing of it gets to the hub any more.
    rpc(&left.anvil.1, "/", "anvil_setBalance", json!([SECOND, "0x0"]));
    let mut watching = watch(&left.watched(), &["--exit-on-alarm"]);
    let watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    node.eventually_get("/atoll/settlement", |now| now["latest"]["number"] == 2);
    std::thread::sleep(Duration::from_secs(1));
    left.deposit_ether(1, address("carol"), ETHER);
    left.pass(700);
    let done = left.derive(&early);
    assert_eq!((&done["derived"], &done["slots"]), (&2.into(), &0.into()), "{done}");
    let found = said(&watching.wait_with_output().unwrap());
    let why = alarms(&found)[0];
    assert!(why.contains("commitment 2 is WRONG") && why.contains("leaves out slots 51"), "{why}");
    assert_eq!(found["challenges"][0]["claim"], "certificate", "{found}");
    node.kill();
}
