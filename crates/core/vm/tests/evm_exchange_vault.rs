//! The example vault through its life, on the contracts that are committed: the test is the exchange.
//! Who attacks it is in `contracts/test/ExchangeVault.t.sol`.

mod evm_common;

use atoll_types::hub::MessageKind;
use atoll_types::{Address, Message, RejectCode, U256};
use atoll_vm::Receipt;
use atoll_vm::evm::{BRIDGE_ADDRESS, EXCHANGE_PORT_ADDRESS};
use evm_common::bridge::*;
use evm_common::exchange::*;
use evm_common::*;

const DELAY: u64 = 2;
const USDC: u64 = 1_000_000;
/// 10^8 times the price.
const MARK: u128 = 50_000 * 100_000_000;

fn label(address: &str) -> Address {
    key(address).address()
}

/// An EVM environment, and an exchange with one account.
struct Network {
    chain: Chain,
    vault: Address,
    /// Value of the account on the exchange, all of it free.
    value: i128,
    /// What arrives here, by slot.
    arriving: Vec<(u64, Message)>,
    /// What arrives there.
    leaving: Vec<(u64, Message)>,
    /// Actions that are neither money nor questions.
    done: Vec<Vec<u8>>,
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = [word(text.len() as u64), text.as_bytes().to_vec()].concat();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}

impl Network {
    fn new() -> Self {
        let mut chain = Chain::new(exchange_spec());
        chain.thorough = false;
        let holders = ["b", "c"].map(label);
        chain.deliver(&holders.map(|to| arriving(0, USD, to, U256::from(10_000 * USDC))));
        let words =
            [word(192), word(256), padded(USD), padded(label("a")), word(0), word(100_000_000)];
        let code = hex(artifact("ExchangeVault")["bytecode"].as_str().unwrap());
        let input = [code, words.concat(), text("Example"), text("EX")].concat();
        let nonce = chain.nonce("a");
        let born = label("a").create(nonce);
        let draft = Draft { to: None, nonce, input, gas: 5_000_000, ..Draft::default() };
        let receipt = chain.block(&[draft.sign(&key("a"))]).remove(0);
        assert_eq!((receipt.code, payload(&receipt).contract_address), (0, Some(born)));
        let (arriving, leaving, done) = Default::default();
        Self { chain, vault: born, value: 0, arriving, leaving, done }
    }

    /// The exchange's opening of a slot.
    fn exchange_opens(&mut self, slot: u64, time_us: u64) {
        let (now, later) = self.leaving.drain(..).partition(|(at, _)| *at == slot);
        self.leaving = later;
        let now: Vec<(u64, Message)> = now;
        for (_, message) in now {
            if message.kind.is_money() {
                assert_eq!((message.to, message.token), (own_account(self.vault), USD));
                self.value += message.amount.to::<u128>() as i128;
                continue;
            }
            assert_eq!((message.kind, message.destination), (MessageKind::Action, EXCHANGE));
            let words: Vec<U256> = message.data[4..].chunks(32).map(U256::from_be_slice).collect();
            match message.data[..4] {
                [1, 0, 1, 0] => {
                    let amount = words[4].to::<u128>() as i128;
                    assert_eq!(words[1], U256::from_be_slice(&padded(self.vault)));
                    if amount <= self.value {
                        self.value -= amount;
                        let back = from_exchange(self.vault, words[4]);
                        self.arriving.push((slot + DELAY, back));
                    }
                }
                [1, 0, 1, 1] => {
                    let shown = Shown {
                        slot,
                        time_us,
                        account: Address::from_slice(&words[0].to_be_bytes::<32>()[12..]),
                        exists: true,
                        value: self.value,
                        free: self.value.max(0),
                        positions: vec![(0, 10_000_000, 5_000 * i128::from(USDC))],
                        balances: vec![],
                    };
                    self.arriving.push((slot + DELAY, observation(account_shown(&shown))));
                }
                _ => self.done.push(message.data),
            }
        }
        if slot.is_multiple_of(5) {
            let market = Market { asset: 0, oracle: MARK, mark: MARK, state: 0 };
            self.arriving.push((slot + DELAY, observation(markets_of(slot, time_us, &[market]))));
        }
    }

    /// The next slot, with these transactions.
    fn slot(&mut self, transactions: &[(&str, Address, Vec<u8>)]) -> Vec<Receipt> {
        let context = self.chain.next();
        self.exchange_opens(context.slot, context.time_us);
        let (now, later): (Vec<_>, Vec<_>) =
            self.arriving.drain(..).partition(|(at, _)| *at == context.slot);
        self.arriving = later;
        let mut steps = vec![Step::Open(context)];
        let delivered = now.len();
        steps.extend(now.into_iter().map(|(_, message)| Step::Receive(message)));
        for (from, to, input) in transactions {
            let (nonce, input) = (self.chain.nonce(from), input.clone());
            let draft = Draft { to: Some(*to), nonce, input, ..Draft::default() };
            steps.push(Step::Send(draft.sign(&key(from))));
        }
        let mut receipts = self.chain.run(&steps);
        assert!(receipts[..delivered].iter().all(|receipt| receipt.code == 0));
        let sent = receipts.iter().flat_map(|receipt| receipt.messages.clone());
        self.leaving.extend(sent.map(|message| (context.slot + DELAY, message)));
        receipts.split_off(delivered)
    }

    fn wait(&mut self, slots: u64) {
        for _ in 0..slots {
            self.slot(&[]);
        }
    }

    fn call(&mut self, from: &str, signature: &str, words: &[Vec<u8>]) -> Receipt {
        self.slot(&[(from, self.vault, call_data(signature, words))]).remove(0)
    }

    /// The same, which must succeed.
    fn must(&mut self, from: &str, signature: &str, words: &[Vec<u8>]) -> u64 {
        let receipt = self.call(from, signature, words);
        let seen = payload(&receipt);
        assert_eq!(receipt.code, 0, "{signature}: {:?}", seen.output);
        if seen.output.len() == 32 { U256::from_be_slice(&seen.output).to() } else { 0 }
    }

    fn request_deposit(&mut self, from: &str, amount: u64) {
        let usd = self.chain.vm.bridged_token(USD).unwrap();
        let approve = call_data("approve(address,uint256)", &[padded(self.vault), word(amount)]);
        let request = call_data("requestDeposit(uint256)", &[word(amount)]);
        self.slot(&[(from, usd, approve)]);
        let receipt = self.slot(&[(from, self.vault, request)]).remove(0);
        assert_eq!(receipt.code, 0, "{:?}", payload(&receipt).output);
        // The request asks for the observation that prices it.
        assert_eq!(receipt.messages.len(), 1);
        assert_eq!(receipt.messages[0].from, self.vault);
    }

    fn balance(&self, who: &str) -> u64 {
        self.chain.token_balance(USD, label(who)).to()
    }
}

/// Money from the exchange.
fn from_exchange(to: Address, amount: U256) -> Message {
    arriving(EXCHANGE.0, USD, to, amount)
}

#[test]
fn from_the_first_deposit_to_the_last_redemption() {
    let mut network = Network::new();
    let owner = |who: &str| vec![padded(label(who))];
    // A deposit waits for an observation made after it, and gets shares by it.
    network.request_deposit("b", 1_000 * USDC);
    assert_eq!(
        network.call("c", "settleDeposit(address)", &owner("b")).rejection(),
        Some(RejectCode::Reverted)
    );
    network.wait(2 * DELAY);
    let first = network.must("c", "settleDeposit(address)", &owner("b"));
    assert_eq!(first, 1_000 * USDC * 1_000_000);
    // The manager takes most of it to the exchange and trades.
    network.must("a", "toExchange(uint128)", &[word(800 * USDC)]);
    // Under way there is no price, and the manager alone may move anything.
    network.request_deposit("c", 120 * USDC);
    assert_eq!(
        network.call("b", "settleDeposit(address)", &owner("c")).rejection(),
        Some(RejectCode::Reverted)
    );
    assert_eq!(
        network.call("b", "fromExchange(uint128)", &[word(1)]).rejection(),
        Some(RejectCode::Reverted)
    );
    network.wait(10);
    assert_eq!(network.value, 800 * i128::from(USDC));
    let signature = "order(bool,uint64,uint64,bool,uint8)";
    let order = [word(1), word(MARK as u64), word(10_000_000), word(0), word(3)];
    network.must("a", signature, &order);
    let far = [word(1), word(2 * MARK as u64), word(10_000_000), word(0), word(3)];
    assert_eq!(network.call("a", signature, &far).rejection(), Some(RejectCode::Reverted));
    network.wait(DELAY);
    let words = [word(0), word(1), word(MARK as u64), word(10_000_000), word(0), word(3), word(1)];
    assert_eq!(network.done, [[vec![1, 0, 0, 1], words.concat()].concat()]);
    // A fifth more: who comes now pays for it.
    network.value = 1_000 * i128::from(USDC);
    network.must("b", "observe()", &[]);
    network.wait(2 * DELAY);
    let second = network.must("b", "settleDeposit(address)", &owner("c"));
    assert!(second.abs_diff(100 * USDC * 1_000_000) <= 1_000_000, "{second}");
    let position = network
        .chain
        .port("position(address,uint32)", &[padded(own_account(network.vault)), word(0)]);
    assert_eq!(position.unwrap()[0], U256::from(10_000_000));
    // Everybody leaves; what lacks is brought back first.
    network.must("b", "requestRedemption(uint256)", &[word(first)]);
    network.must("c", "requestRedemption(uint256)", &[word(second)]);
    network.wait(2 * DELAY);
    assert_eq!(
        network.call("c", "settleRedemption(address)", &owner("b")).rejection(),
        Some(RejectCode::Reverted)
    );
    // Not before the pause between moves is over.
    network.wait(600);
    network.must("a", "fromExchange(uint128)", &[word(1_000 * USDC)]);
    network.wait(10);
    assert_eq!(network.value, 0);
    network.must("a", "observe()", &[]);
    network.wait(2 * DELAY);
    network.must("a", "settleRedemption(address)", &owner("b"));
    network.must("a", "settleRedemption(address)", &owner("c"));
    let (b, c) = (network.balance("b"), network.balance("c"));
    assert!(b.abs_diff(10_200 * USDC) <= 1 && c.abs_diff(10_000 * USDC) <= 1, "{b} {c}");
    // What was rounded stays in the vault.
    let rest: u64 = network.chain.token_balance(USD, network.vault).to();
    assert_eq!(rest, 20_200 * USDC - b - c);
    let sent = [BRIDGE_ADDRESS, EXCHANGE_PORT_ADDRESS].map(|who| network.chain.vm.balance(who));
    assert_eq!(sent, [U256::ZERO; 2]);
}
