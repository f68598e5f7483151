//! Money in and out of the EVM, with the contracts that are committed: every range runs on full
//! state and again from its witness, and is audited.

mod evm_common;

use atoll_state::object;
use atoll_types::hub::{MessageKind, ROUTER};
use atoll_types::{Address, B256, EnvironmentId, Message, RejectCode, U256, keccak256};
use atoll_vm::Receipt;
use atoll_vm::evm::bridge::RECEIVE_GAS;
use atoll_vm::evm::{BRIDGE_ADDRESS, CallRequest, DELIVERY_KIND, SYSTEM_ADDRESS, Status};
use evm_common::bridge::*;
use evm_common::*;

const SELF: EnvironmentId = EnvironmentId(2);
const THERE: Address = Address::repeat_byte(0x99);

fn a() -> Address {
    key("a").address()
}

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

fn draft(chain: &Chain, to: Address, value: U256, input: Vec<u8>) -> Draft {
    Draft { to: Some(to), nonce: chain.nonce("a"), value, input, ..Draft::default() }
}

/// Runs one transaction of `a`'s in a block of its own.
fn run(chain: &mut Chain, to: Address, value: U256, input: Vec<u8>) -> Receipt {
    let bytes = draft(chain, to, value, input).sign(&key("a"));
    chain.block(&[bytes]).remove(0)
}

fn sent(destination: u32, from: Address, token: Address, amount: U256) -> Message {
    let destination = EnvironmentId(destination);
    let kind = MessageKind::Transfer;
    Message {
        kind,
        number: 0,
        source: SELF,
        destination,
        from,
        to: THERE,
        token,
        amount,
        data: Vec::new(),
    }
}

#[test]
fn native_currency_comes_in_and_is_seen() {
    let mut chain = Chain::new(bridged_spec());
    let to = Address::repeat_byte(0x78);
    let messages = [
        arriving(0, Address::ZERO, to, n(70)),
        arriving(1, Address::ZERO, to, n(7)),
        arriving(1, Address::ZERO, to, n(0)),
    ];
    let receipts = chain.deliver(&messages);
    assert_eq!(chain.vm.balance(to), n(77));
    for (index, (receipt, message)) in receipts.iter().zip(&messages).enumerate() {
        assert_eq!((receipt.code, receipt.hash), (0, message.hash()));
        assert!(receipt.messages.is_empty());
        let seen = payload(receipt);
        assert_eq!((seen.status, seen.kind), (Status::Success, DELIVERY_KIND));
        assert_eq!((seen.from, seen.to), (SYSTEM_ADDRESS, Some(to)));
        assert_eq!((seen.transaction_hash, seen.gas_used), (message.hash(), 0));
        assert_eq!(seen.transaction_index, index as u32);
        assert!(seen.logs.is_empty());
    }
    // It goes before the transactions of its block.
    let mut steps = vec![Step::Open(chain.next()), Step::Receive(messages[0].clone())];
    steps.push(Step::Send(Draft::default().sign(&key("a"))));
    let receipts = chain.run(&steps);
    assert_eq!(payload(&receipts[1]).transaction_index, 1);
}

#[test]
fn a_token_is_created_when_it_first_arrives_and_minted_from_then_on() {
    let mut chain = Chain::new(bridged_spec());
    let contract = chain.vm.bridged_token(USD).unwrap();
    assert!(chain.vm.code(contract).is_empty());
    let receipts = chain.deliver(&[arriving(0, USD, a(), n(1_000)), arriving(3, USD, a(), n(500))]);
    let [created, minted] = [0, 1].map(|at| payload(&receipts[at]));
    assert!(!chain.vm.code(contract).is_empty());
    assert_eq!((created.kind, created.to), (DELIVERY_KIND, Some(BRIDGE_ADDRESS)));
    let transfer = keccak256(b"Transfer(address,address,uint256)");
    for (receipt, amount) in [(&created, 1_000), (&minted, 500)] {
        let log = receipt.logs.iter().find(|log| log.address == contract).unwrap();
        assert_eq!(log.topics, [transfer, B256::ZERO, a().into_word()]);
        assert_eq!(log.data.to_vec(), word(amount));
    }
    assert_eq!((created.logs.len(), minted.logs.len()), (2, 1));
    assert_eq!(minted.first_log_index, 2);
    assert_eq!(chain.token_balance(USD, a()), n(1_500));
    assert_eq!((chain.vm.block().gas_used, chain.vm.block().logs), (0, 3));

    let ask = |signature: &str| {
        let input = call_data(signature, &[]).into();
        let call = CallRequest { to: Some(contract), input, ..CallRequest::default() };
        chain.vm.call(&call).unwrap().output
    };
    assert_eq!(ask("decimals()").to_vec(), word(6));
    assert_eq!(ask("hubToken()").to_vec(), padded(USD));
    assert!(ask("name()").windows(8).any(|part| part == b"USD Coin"));
    assert!(ask("symbol()").windows(4).any(|part| part == b"USDC"));

    // An ordinary token inside.
    let input = call_data("transfer(address,uint256)", &[padded(THERE), word(400)]);
    assert_eq!(run(&mut chain, contract, U256::ZERO, input).code, 0);
    let held = [a(), THERE].map(|holder| chain.token_balance(USD, holder));
    assert_eq!(held, [n(1_100), n(400)]);
}

#[test]
fn balances_are_where_a_snapshot_exit_reads_them() {
    for (label, slot) in [("_balances", "0"), ("_totalSupply", "2")] {
        let layout = artifact("BridgedToken")["storageLayout"].clone();
        let layout = layout["storage"].as_array().or(layout.as_array()).unwrap().clone();
        let found = layout.iter().find(|entry| entry["label"] == label).unwrap();
        assert_eq!(found["slot"].to_string().trim_matches('"'), slot);
    }
    let mut chain = Chain::new(bridged_spec());
    chain.deliver(&[arriving(0, USD, a(), n(0x1234)), arriving(0, Address::ZERO, THERE, n(5))]);
    let contract = chain.vm.bridged_token(USD).unwrap();
    let slot = keccak256([padded(a()), word(0)].concat());
    let token = [&[2][..], contract.as_slice(), slot.as_slice()].concat();
    let native = [&[1][..], THERE.as_slice()].concat();
    let all = object::export(&mut chain.vm);
    let find = |key: &[u8]| all.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v);
    assert_eq!(find(&token), Some(&hex("021234")[..]));
    assert_eq!(find(&native), Some(&hex("000105")[..]));
}

#[test]
fn the_gas_of_an_arrival_suffices_for_the_longest_names() {
    let chain = Chain::new(bridged_spec());
    let text = |text: &str| {
        let mut bytes = word(text.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes
    };
    let (name, symbol) = (text(&"n".repeat(64)), text(&"s".repeat(16)));
    let second = 6 * 32 + name.len() as u64;
    let words =
        [padded(USD), word(192), word(second), word(36), padded(a()), vec![0xff; 32], name, symbol];
    let signature = "receiveToken(address,string,string,uint8,address,uint256)";
    let input: Vec<u8> = call_data(signature, &words);
    let to = Some(BRIDGE_ADDRESS);
    let call = CallRequest { to, input: input.clone().into(), ..CallRequest::default() };
    let outcome = chain.vm.call(&CallRequest { from: SYSTEM_ADDRESS, ..call.clone() }).unwrap();
    assert!(outcome.gas_used < RECEIVE_GAS / 2, "{}", outcome.gas_used);
    // Nobody else may.
    assert!(chain.vm.call(&CallRequest { from: a(), ..call }).is_err());
}

#[test]
fn native_currency_goes_out_and_is_burned() {
    let mut chain = Chain::new(bridged_spec());
    let before = chain.vm.balance(a());
    for destination in [0, 1] {
        let input = send(destination, Address::ZERO, THERE, n(600));
        let receipt = run(&mut chain, BRIDGE_ADDRESS, n(600), input);
        assert_eq!(receipt.messages, [sent(destination, a(), Address::ZERO, n(600))]);
        assert_eq!(payload(&receipt).logs.len(), 1);
    }
    assert_eq!(chain.vm.balance(BRIDGE_ADDRESS), U256::ZERO);
    assert!(before - chain.vm.balance(a()) > n(1_200));
    // The value must be the amount, and nothing is not sent.
    for (value, amount) in [(5, 6), (6, 5), (0, 0)] {
        let input = send(1, Address::ZERO, THERE, n(amount));
        let receipt = run(&mut chain, BRIDGE_ADDRESS, n(value), input);
        assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
        assert!(receipt.messages.is_empty());
    }
    // A contract may send, too; it is the sender then.
    let receipt = run(&mut chain, PROXY, n(9), send(1, Address::ZERO, THERE, n(9)));
    assert_eq!(receipt.messages, [sent(1, PROXY, Address::ZERO, n(9))]);
}

#[test]
fn tokens_go_out_exactly() {
    let mut chain = Chain::new(bridged_spec());
    let much = U256::MAX - n(1);
    chain.deliver(&[arriving(0, USD, a(), much), arriving(0, BTC, a(), n(10))]);
    let receipt = run(&mut chain, BRIDGE_ADDRESS, U256::ZERO, send(0, USD, THERE, much - n(1)));
    assert_eq!(receipt.messages, [sent(0, a(), USD, much - n(1))]);
    let receipt = run(&mut chain, BRIDGE_ADDRESS, U256::ZERO, send(u32::MAX, BTC, THERE, n(10)));
    assert_eq!(receipt.messages, [sent(u32::MAX, a(), BTC, n(10))]);
    assert_eq!([USD, BTC].map(|token| chain.token_balance(token, a())), [n(1), n(0)]);
    // More than one has, or what never came.
    for (token, amount) in [(USD, 2), (BTC, 1), (UNLISTED, 1)] {
        let input = send(1, token, THERE, n(amount));
        let receipt = run(&mut chain, BRIDGE_ADDRESS, U256::ZERO, input);
        assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
        assert!(receipt.messages.is_empty());
    }
}

#[test]
fn what_the_router_sends_back_is_credited_again() {
    let mut chain = Chain::new(bridged_spec());
    chain.deliver(&[arriving(0, USD, a(), n(10))]);
    let out = run(&mut chain, BRIDGE_ADDRESS, U256::ZERO, send(7, USD, THERE, n(10))).messages;
    let native = run(&mut chain, BRIDGE_ADDRESS, n(5), send(7, Address::ZERO, THERE, n(5)));
    let (usd, before) = (chain.token_balance(USD, a()), chain.vm.balance(a()));
    assert_eq!(usd, U256::ZERO);
    let receipts = chain.deliver(&[out[0].bounced(), native.messages[0].bounced()]);
    assert!(receipts.iter().all(|receipt| receipt.code == 0 && receipt.messages.is_empty()));
    assert_eq!(chain.token_balance(USD, a()), n(10));
    assert_eq!(chain.vm.balance(a()), before + n(5));
}

#[test]
fn what_cannot_be_credited_goes_back_and_then_out_to_the_hub() {
    let mut chain = Chain::new(bridged_spec());
    chain.deliver(&[arriving(0, USD, a(), n(10))]);
    let (token, usd) = (Address::ZERO, chain.vm.bridged_token(USD).unwrap());
    let cases = [
        (UNLISTED, a(), n(1), RejectCode::Unsupported),
        (token, Address::ZERO, n(1), RejectCode::NotAllowed),
        (token, BRIDGE_ADDRESS, n(1), RejectCode::NotAllowed),
        (token, a(), U256::MAX, RejectCode::Overflow),
        (USD, Address::ZERO, n(1), RejectCode::NotAllowed),
        (USD, a(), U256::MAX, RejectCode::Overflow),
    ];
    for (token, to, amount, code) in cases {
        let transfer = arriving(1, token, to, amount);
        let bounce = Message { kind: MessageKind::Bounce, ..transfer.clone() };
        let out = Message { token, amount, ..sent(0, to, token, amount) };
        let out = Message { to, ..out };
        for (message, back) in [(&transfer, transfer.bounced()), (&bounce, out)] {
            let before = chain.vm.audit_all();
            let receipt = chain.deliver(std::slice::from_ref(message)).remove(0);
            assert_eq!((receipt.rejection(), receipt.hash), (Some(code), message.hash()));
            assert!(receipt.payload.is_empty());
            assert_eq!(receipt.messages, [back]);
            assert_eq!(receipt.messages[0].source, SELF);
            assert_eq!(chain.vm.audit_all(), before);
            assert_eq!(chain.vm.block().transactions, 0);
        }
    }
    // The contract itself refuses; nothing is kept of the call.
    let supply = (usd, U256::from(2));
    let mut spec = bridged_spec();
    let code = hex("5f5ffd");
    spec.bridge.as_mut().unwrap().code = code.into();
    let mut broken = Chain::new(spec);
    broken.audited = false;
    let message = arriving(0, USD, a(), n(1));
    let receipt = broken.deliver(std::slice::from_ref(&message)).remove(0);
    assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
    assert_eq!(receipt.messages, [message.bounced()]);
    assert_eq!(receipt.messages[0].destination, ROUTER);
    assert_eq!(chain.vm.storage(supply.0, supply.1), n(10));
    // Without a bridge nothing comes in at all.
    let mut closed = Chain::new(spec_without_bridge());
    let message = arriving(0, Address::ZERO, a(), n(1));
    let receipt = closed.deliver(std::slice::from_ref(&message)).remove(0);
    assert_eq!(receipt.rejection(), Some(RejectCode::Unsupported));
    assert_eq!(receipt.messages, [message.bounced()]);
}

fn spec_without_bridge() -> atoll_vm::evm::EvmSpec {
    atoll_vm::evm::EvmSpec { bridge: None, ..bridged_spec() }
}

#[test]
fn a_revert_sends_nothing() {
    let mut chain = Chain::new(bridged_spec());
    let input = send(1, Address::ZERO, THERE, n(9));
    let receipt = run(&mut chain, REVERTER, n(9), input.clone());
    assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
    assert!(receipt.messages.is_empty());
    // One gas less than it takes.
    let gas = payload(&run(&mut chain, BRIDGE_ADDRESS, n(9), input.clone())).gas_used - 1;
    let short = Draft { gas, ..draft(&chain, BRIDGE_ADDRESS, n(9), input) };
    let receipt = chain.block(&[short.sign(&key("a"))]).remove(0);
    assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
    assert!(receipt.messages.is_empty());
    assert_eq!(chain.vm.balance(BRIDGE_ADDRESS), U256::ZERO);
}

#[test]
fn only_the_bridge_itself_speaks_for_it() {
    let mut chain = Chain::new(bridged_spec());
    let signature = keccak256(b"MessageSent(uint32,address,address,address,uint256)");
    let forged =
        [signature.to_vec(), word(1), padded(USD), padded(a()), padded(THERE), word(9)].concat();
    let receipt = run(&mut chain, FORGER, U256::ZERO, forged);
    let log = payload(&receipt).logs.remove(0);
    assert_eq!((log.address, log.topics.len()), (FORGER, 4));
    assert!(receipt.messages.is_empty());
    // The bridge's own code in another contract's name.
    let receipt = run(&mut chain, IMPOSTOR, n(9), send(1, Address::ZERO, THERE, n(9)));
    let log = payload(&receipt).logs.remove(0);
    assert_eq!((log.address, log.topics[0]), (IMPOSTOR, signature));
    assert!(receipt.messages.is_empty());
    assert_eq!(chain.vm.balance(IMPOSTOR), n(9));
    // A chain without a bridge has nothing there to listen to.
    let mut closed = Chain::new(spec_without_bridge());
    let input = send(1, Address::ZERO, THERE, n(9));
    assert!(run(&mut closed, BRIDGE_ADDRESS, n(9), input).messages.is_empty());
    assert_eq!(closed.vm.balance(BRIDGE_ADDRESS), n(9));
}

#[test]
fn self_destruction_and_sending_in_one_transaction_conserve_money() {
    let mut chain = Chain::new(bridged_spec());
    let bridge = format!("{BRIDGE_ADDRESS:x}").replace("0x", "");
    // Sends 600 of its 1000 to the hub in its own creation, and destroys itself with the rest.
    let call = send(0, Address::ZERO, THERE, n(600));
    let code = format!("6084602b5f395f5f60845f61025873{bridge}5af15030ff");
    let mut input = hex(&code);
    input.resize(0x2b, 0);
    input.extend(call);
    let draft = Draft { to: None, value: n(1_000), input, ..Draft::default() };
    let born = a().create(0);
    let receipt = chain.block(&[draft.sign(&key("a"))]).remove(0);
    assert_eq!(receipt.code, 0);
    assert_eq!(receipt.messages, [sent(0, born, Address::ZERO, n(600))]);
    assert_eq!((chain.vm.balance(born), chain.vm.balance(BRIDGE_ADDRESS)), (n(0), n(0)));
    // Money forced on the bridge stays there and is nobody's message.
    let input = hex(&format!("73{bridge}ff"));
    let draft = Draft { to: None, nonce: 1, value: n(50), input, ..Draft::default() };
    let receipt = chain.block(&[draft.sign(&key("a"))]).remove(0);
    assert!(receipt.code == 0 && receipt.messages.is_empty());
    let receipt = run(&mut chain, BRIDGE_ADDRESS, n(7), send(1, Address::ZERO, THERE, n(7)));
    assert_eq!(receipt.messages.len(), 1);
    assert_eq!(chain.vm.balance(BRIDGE_ADDRESS), n(50));
}

trait AuditAll {
    fn audit_all(&self) -> Vec<atoll_vm::AssetAudit>;
}

impl AuditAll for atoll_vm::evm::EvmVm<atoll_state::Resident> {
    fn audit_all(&self) -> Vec<atoll_vm::AssetAudit> {
        use atoll_vm::Vm;
        self.audit()
    }
}
