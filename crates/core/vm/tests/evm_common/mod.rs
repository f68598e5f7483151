//! What the EVM tests share: a signer of transactions, and a chain that runs every range twice,
//! on full state and on nothing but the witness.
#![allow(dead_code)]

pub(crate) mod bridge;
pub(crate) mod exchange;

use alloy_rlp::{Encodable, Header};
use atoll_state::object::{self, ReadSet};
use atoll_state::{Resident, Source, Witnessed, WriteSet};
use atoll_types::crypto::SigningKey;
use atoll_types::{
    Address, B256, Decode, EnvironmentId, Message, NetworkId, Reject, U256, keccak256, sha256,
};
use atoll_vm::evm::{
    BaseFee, Bytes, EvmReceipt, EvmSpec, EvmTransaction, EvmVm, GasOverrides, GenesisAccount,
    Hardfork, PrecompileSet,
};
use atoll_vm::{Checked, Identity, Receipt, SlotContext, Vm};

pub(crate) const CHAIN_ID: u64 = 7_001;
pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Stores and logs its argument and returns it; reverts with 99 where that is zero.
pub(crate) const STORE: &str = "5f3580600e5760635f5260205ffd5b805f555f52602a60205fa160205ff3";
/// Creates with CREATE2 what the call data gives as init code, salt 0, and returns the address;
/// reverts where that fails.
pub(crate) const FACTORY: &str = "365f5f375f365f5ff5806010575f5ffd5b5f5260205ff3";
/// Destroys itself in favour of the caller.
pub(crate) const SUICIDE: &str = "33ff";
/// Returns the hash of the block whose number is the argument.
pub(crate) const BLOCK_HASH: &str = "5f35405f5260205ff3";

pub(crate) fn identity() -> Identity {
    Identity { network: NetworkId(B256::repeat_byte(1)), environment: EnvironmentId(2) }
}

pub(crate) fn key(label: &str) -> SigningKey {
    SigningKey::from_label(label)
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Init code that deploys `runtime`.
pub(crate) fn init_code(runtime: &str) -> Vec<u8> {
    let runtime = hex(runtime);
    let mut code = vec![0x61];
    code.extend_from_slice(&(runtime.len() as u16).to_be_bytes());
    code.extend_from_slice(&[0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3]);
    code.extend_from_slice(&runtime);
    code
}

pub(crate) fn word(value: u64) -> Vec<u8> {
    U256::from(value).to_be_bytes::<32>().to_vec()
}

pub(crate) fn spec() -> EvmSpec {
    let rich = |label: &str| GenesisAccount {
        address: key(label).address(),
        balance: U256::from(1_000u64) * U256::from(ETHER),
        ..GenesisAccount::default()
    };
    let contract = |byte: u8, code: &str| GenesisAccount {
        address: Address::repeat_byte(byte),
        balance: U256::from(5),
        nonce: 1,
        code: Bytes::from(hex(code)),
        storage: if code == STORE { vec![(U256::from(9), U256::from(10))] } else { vec![] },
    };
    EvmSpec {
        chain_id: CHAIN_ID,
        hardfork: Hardfork::Osaka,
        symbol: "ETH".into(),
        block_gas_limit: 30_000_000,
        base_fee: BaseFee::Fixed(1_000_000_000),
        fee_tokens: vec![],
        fee_recipient: Address::repeat_byte(0xfe),
        bridge: None,
        exchange: None,
        precompiles: PrecompileSet::ALL,
        gas: GasOverrides::default(),
        genesis: vec![
            rich("a"),
            rich("b"),
            rich("c"),
            contract(0x51, STORE),
            contract(0x52, FACTORY),
            contract(0x53, SUICIDE),
            contract(0x54, BLOCK_HASH),
        ],
    }
}

/// A transaction to sign.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: u8,
    pub(crate) chain_id: Option<u64>,
    pub(crate) nonce: u64,
    pub(crate) tip: u128,
    pub(crate) max_fee: u128,
    pub(crate) gas: u64,
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) input: Vec<u8>,
    pub(crate) access_list: Vec<(Address, Vec<B256>)>,
    /// Encoded EIP-7702 authorizations.
    pub(crate) authorizations: Vec<Vec<u8>>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            kind: 2,
            chain_id: Some(CHAIN_ID),
            nonce: 0,
            tip: GWEI,
            max_fee: 3 * GWEI,
            gas: 1_000_000,
            to: Some(Address::repeat_byte(0x77)),
            value: U256::ZERO,
            input: vec![],
            access_list: vec![],
            authorizations: vec![],
        }
    }
}

pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![];
    Header { list: true, payload_length: items.iter().map(Vec::len).sum() }.encode(&mut out);
    out.extend(items.concat());
    out
}

pub(crate) fn rlp(item: &dyn Encodable) -> Vec<u8> {
    let mut out = vec![];
    item.encode(&mut out);
    out
}

impl Draft {
    /// The fields that are signed, each encoded.
    pub(crate) fn fields(&self) -> Vec<Vec<u8>> {
        let to = self.to.map_or(vec![0x80], |to| rlp(&to));
        let tail = [rlp(&self.gas), to, rlp(&self.value), rlp(&self.input.as_slice())];
        let access = self.access_list.iter().map(|(address, keys)| {
            list(&[rlp(address), list(&keys.iter().map(|key| rlp(key)).collect::<Vec<_>>())])
        });
        let access = list(&access.collect::<Vec<_>>());
        let chain_id = rlp(&self.chain_id.unwrap_or(0));
        let mut fields = match self.kind {
            0 => vec![rlp(&self.nonce), rlp(&self.max_fee)],
            1 => vec![chain_id, rlp(&self.nonce), rlp(&self.max_fee)],
            _ => vec![chain_id, rlp(&self.nonce), rlp(&self.tip), rlp(&self.max_fee)],
        };
        fields.extend(tail);
        if self.kind > 0 {
            fields.push(access);
        }
        if self.kind == 4 {
            fields.push(list(&self.authorizations));
        }
        fields
    }

    pub(crate) fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut fields = self.fields();
        let mut signed = fields.clone();
        if let (0, Some(chain_id)) = (self.kind, self.chain_id) {
            signed.extend([rlp(&chain_id), vec![0x80], vec![0x80]]);
        }
        let mut prefix = if self.kind == 0 { vec![] } else { vec![self.kind] };
        let signature = key.sign(&keccak256([prefix.clone(), list(&signed)].concat()));
        let parity = u64::from(signature.y_parity);
        let v = match (self.kind, self.chain_id) {
            (0, Some(chain_id)) => 35 + 2 * chain_id + parity,
            (0, None) => 27 + parity,
            _ => parity,
        };
        fields.push(rlp(&v));
        fields.push(rlp(&U256::from_be_bytes(signature.r)));
        fields.push(rlp(&U256::from_be_bytes(signature.s)));
        prefix.extend(list(&fields));
        prefix
    }
}

/// A signed EIP-7702 authorization, encoded.
pub(crate) fn authorize(key: &SigningKey, chain_id: u64, address: Address, nonce: u64) -> Vec<u8> {
    let mut fields = vec![rlp(&chain_id), rlp(&address), rlp(&nonce)];
    let signature = key.sign(&keccak256([vec![5], list(&fields)].concat()));
    fields.push(rlp(&u64::from(signature.y_parity)));
    fields.push(rlp(&U256::from_be_bytes(signature.r)));
    fields.push(rlp(&U256::from_be_bytes(signature.s)));
    list(&fields)
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open(SlotContext),
    Resume(SlotContext),
    Send(Vec<u8>),
    Receive(Message),
}

pub(crate) fn check(spec: &EvmSpec, bytes: &[u8]) -> Result<Checked<EvmTransaction>, Reject> {
    <EvmVm<Resident> as Vm<Resident>>::check(&identity(), spec, bytes)
}

fn execute<S: Source>(vm: &mut EvmVm<S>, spec: &EvmSpec, steps: &[Step]) -> Vec<Receipt> {
    let mut receipts = vec![];
    for step in steps {
        match step {
            Step::Open(context) => vm.open_slot(context),
            Step::Resume(context) => vm.resume(context, None),
            Step::Receive(message) => receipts.push(vm.receive(message.hash(), message)),
            Step::Send(bytes) => match check(spec, bytes) {
                Ok(checked) => receipts.push(vm.execute(&checked)),
                Err(reject) => panic!("refused by the static check: {reject}"),
            },
        }
    }
    receipts
}

pub(crate) fn seal<S: Source>(vm: &mut EvmVm<S>) -> (WriteSet, ReadSet) {
    vm.sealing();
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(vm, &mut writes, Some(&mut reads));
    object::begin(vm);
    (writes, reads)
}

fn from_witness(spec: &EvmSpec, reads: &ReadSet, leave_out: Option<usize>) -> EvmVm<Witnessed> {
    let mut alone = EvmVm::new(identity(), spec.clone(), 99);
    for (i, (key, value)) in reads.iter().enumerate() {
        if Some(i) != leave_out {
            object::load(&mut alone, key, value).unwrap();
        }
    }
    object::begin(&mut alone);
    alone
}

pub(crate) struct Chain {
    pub(crate) spec: EvmSpec,
    pub(crate) vm: EvmVm<Resident>,
    pub(crate) context: SlotContext,
    /// Whether a witness that leaves out any one object is tried, too.
    pub(crate) thorough: bool,
    /// Whether money is counted; foreign genesis states may hold more than 2^256.
    pub(crate) audited: bool,
}

impl Chain {
    pub(crate) fn new(spec: EvmSpec) -> Self {
        spec.validate().unwrap();
        Self::unvalidated(spec)
    }

    pub(crate) fn unvalidated(spec: EvmSpec) -> Self {
        let mut vm = EvmVm::new(identity(), spec.clone(), 7);
        object::begin(&mut vm);
        vm.genesis();
        seal(&mut vm);
        Self { spec, vm, context: SlotContext::default(), thorough: true, audited: true }
    }

    /// Context of the next slot.
    pub(crate) fn next(&mut self) -> SlotContext {
        let slot = self.context.slot + 1;
        let time_us = 1_800_000_000_000_000 + 100_000 * slot;
        self.context = SlotContext { slot, time_us, parent: header_hash(slot - 1) };
        self.context
    }

    /// Runs one range on full state and on its witness, and checks that money is conserved.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Vec<Receipt> {
        let receipts = execute(&mut self.vm, &self.spec, steps);
        let (writes, reads) = seal(&mut self.vm);

        let mut alone = from_witness(&self.spec, &reads, None);
        assert_eq!(execute(&mut alone, &self.spec, steps), receipts);
        assert_eq!(object::fault(&mut alone), None);
        let (writes_alone, reads_alone) = seal(&mut alone);
        assert_eq!(writes_alone, writes);
        assert_eq!(reads_alone, reads);
        for leave_out in (0..reads.len()).filter(|_| self.thorough) {
            let mut alone = from_witness(&self.spec, &reads, Some(leave_out));
            execute(&mut alone, &self.spec, steps);
            assert!(object::fault(&mut alone).is_some(), "object {leave_out} was not needed");
        }

        let audit = self.vm.audit();
        assert!(audit.iter().all(|a| a.conserved) || !self.audited, "{audit:?}");
        receipts
    }

    /// Runs a whole block.
    pub(crate) fn block(&mut self, transactions: &[Vec<u8>]) -> Vec<Receipt> {
        let mut steps = vec![Step::Open(self.next())];
        steps.extend(transactions.iter().cloned().map(Step::Send));
        self.run(&steps)
    }

    /// Runs a block of one transaction that is executed.
    pub(crate) fn send(&mut self, draft: Draft, from: &str) -> EvmReceipt {
        let receipts = self.block(&[draft.sign(&key(from))]);
        payload(&receipts[0])
    }

    pub(crate) fn nonce(&self, from: &str) -> u64 {
        self.vm.nonce(key(from).address())
    }
}

pub(crate) fn payload(receipt: &Receipt) -> EvmReceipt {
    EvmReceipt::from_bytes(&receipt.payload).unwrap()
}

pub(crate) fn header_hash(slot: u64) -> B256 {
    sha256(&[b"header", &slot.to_le_bytes()])
}
