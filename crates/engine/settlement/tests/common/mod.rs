//! A model of a hub: blocks, forks, a mempool, contracts as few numbers, and nodes that fail.
#![allow(dead_code, unreachable_pub)]

use atoll_settlement::queue;
use atoll_settlement::*;
use atoll_types::{Address, B256, EnvironmentId, U256, sha256};
use std::collections::BTreeMap;
use std::rc::Rc;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub const FINALITY: u64 = 12;
pub const WINDOW_S: u64 = 30;
pub const HUB: Address = Address::repeat_byte(0xaa);
pub const OURS: Address = Address::repeat_byte(0x01);

/// What the node would post: a function of the number alone.
pub fn content(purpose: Purpose) -> Prepared {
    let (kind, number) = match purpose {
        Purpose::Commit(number) => (1u8, number),
        Purpose::Settle(number) => (2, number),
        Purpose::Fill => unreachable!("never asked for"),
    };
    let mut data = vec![kind];
    data.extend_from_slice(&number.to_be_bytes());
    data.extend_from_slice(commitment(number).as_slice());
    Prepared {
        number,
        commitment: commitment(number),
        first_slot: number * 10 - 9,
        last_slot: number * 10,
        call: Call { to: HUB, data, value: U256::ZERO, gas_limit: 1_000_000 },
    }
}

pub fn commitment(number: u64) -> B256 {
    sha256(&[b"commitment", &number.to_be_bytes()])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tx {
    pub hash: B256,
    pub request: TransactionRequest,
}

/// Signs by writing everything down.
#[derive(Clone, Copy, Debug)]
pub struct TestWallet;

impl Wallet for TestWallet {
    fn address(&self) -> Address {
        OURS
    }

    fn sign(&self, request: &TransactionRequest) -> SignedTransaction {
        let mut raw = request.nonce.to_be_bytes().to_vec();
        raw.extend_from_slice(&request.fees.max_fee_wei.to_be_bytes());
        raw.extend_from_slice(&request.fees.tip_wei.to_be_bytes());
        raw.extend_from_slice(request.call.to.as_slice());
        raw.extend_from_slice(&request.call.gas_limit.to_be_bytes());
        raw.extend_from_slice(&request.call.data);
        SignedTransaction { hash: sha256(&[&raw]), raw }
    }
}

pub fn decode(transaction: &SignedTransaction) -> Tx {
    let raw = &transaction.raw;
    let fees = Fees {
        max_fee_wei: u128::from_be_bytes(raw[8..24].try_into().unwrap()),
        tip_wei: u128::from_be_bytes(raw[24..40].try_into().unwrap()),
    };
    let call = Call {
        to: Address::from_slice(&raw[40..60]),
        data: raw[68..].to_vec(),
        value: U256::ZERO,
        gas_limit: u64::from_be_bytes(raw[60..68].try_into().unwrap()),
    };
    let nonce = u64::from_be_bytes(raw[..8].try_into().unwrap());
    Tx { hash: transaction.hash, request: TransactionRequest { nonce, fees, call } }
}

/// A block with the state after it.
#[derive(Clone, Debug)]
pub struct Block {
    pub at: BlockRef,
    pub time_s: u64,
    pub base_fee: u128,
    /// Of our key, with whether they took effect.
    pub txs: Vec<(Tx, bool)>,
    pub entries: Vec<Entry>,
    pub nonce: u64,
    pub anchor: AnchorView,
    /// When each commitment may be settled.
    pub settle_from: BTreeMap<u64, u64>,
    pub queue: QueueView,
}

pub type Chain = Rc<Vec<Block>>;

pub struct Hub {
    pub chain: Chain,
    /// Forks and lengths that lagging nodes still show.
    pub stale: Vec<Chain>,
    pub pool: BTreeMap<u64, Tx>,
    /// Everything that any node ever took: a builder may use it, replaced or not.
    pub ever: Vec<Tx>,
    pub salt: u64,
    pub base_fee: u128,
    /// Finality as the hub's nodes state it.
    pub finalized: u64,
    /// Blocks until a block is final.
    pub finality: u64,
    /// A transaction of our key by somebody else waits for a block.
    pub stranger_pending: bool,
}

impl Hub {
    pub fn new(time_s: u64) -> Self {
        let genesis = Block {
            at: BlockRef { number: 0, hash: sha256(&[b"genesis"]) },
            time_s,
            base_fee: 100,
            txs: Vec::new(),
            entries: Vec::new(),
            nonce: 0,
            anchor: AnchorView::default(),
            settle_from: BTreeMap::new(),
            queue: QueueView::default(),
        };
        Self {
            chain: Rc::new(vec![genesis]),
            stale: Vec::new(),
            pool: BTreeMap::new(),
            ever: Vec::new(),
            salt: 0,
            base_fee: 100,
            finalized: 0,
            finality: FINALITY,
            stranger_pending: false,
        }
    }

    pub fn head(&self) -> &Block {
        self.chain.last().unwrap()
    }

    pub fn remember_stale(&mut self) {
        self.stale.push(self.chain.clone());
        if self.stale.len() > 4 {
            self.stale.remove(0);
        }
    }

    /// Mines one block. `foreign` uses up our next nonce, `entries` go into the queue.
    pub fn mine(&mut self, random: &mut Random, time_s: u64, entries: u64, foreign: bool) {
        let parent = self.head().clone();
        self.salt += 1;
        let number = parent.at.number + 1;
        let salt = self.salt.to_be_bytes();
        let at = BlockRef { number, hash: sha256(&[parent.at.hash.as_slice(), &salt]) };
        let mut block = Block {
            at,
            time_s: time_s.max(parent.time_s),
            base_fee: self.base_fee,
            txs: Vec::new(),
            entries: Vec::new(),
            ..parent
        };
        if foreign {
            block.nonce += 1;
            self.stranger_pending = false;
        }
        // Once in a while somebody else settles what is due.
        if random.once_in(40) {
            settle(&mut block, parent.anchor.settled_number + 1);
        }
        while !random.once_in(4) {
            let waiting = self.pool.get(&block.nonce).cloned();
            let old: Vec<&Tx> =
                self.ever.iter().filter(|tx| tx.request.nonce == block.nonce).collect();
            let chosen = match random.once_in(8) && !old.is_empty() {
                true => Some(old[random.below(old.len() as u64) as usize].clone()),
                false => waiting,
            };
            let Some(tx) = chosen.filter(|tx| tx.request.fees.max_fee_wei >= self.base_fee) else {
                break;
            };
            block.nonce += 1;
            let success = apply(&mut block, &tx);
            block.txs.push((tx, success));
        }
        for _ in 0..entries {
            let index = block.queue.count;
            let forced = random.once_in(3);
            let entry = Entry {
                index,
                kind: if forced { EntryKind::Forced } else { EntryKind::Deposit },
                environment: EnvironmentId(1),
                from: Address::repeat_byte(7),
                to: Address::ZERO,
                token: Address::ZERO,
                amount: U256::from(random.below(1 << 40)),
                data: vec![7; if forced { random.below(200) as usize } else { 0 }],
                time_s: block.time_s,
            };
            block.queue =
                QueueView { count: index + 1, hash: queue::extend(block.queue.hash, entry.hash()) };
            block.entries.push(entry);
        }
        let nonce = block.nonce;
        self.pool.retain(|at, _| *at >= nonce);
        Rc::make_mut(&mut self.chain).push(block);
        self.finalized = self.finalized.max(number.saturating_sub(self.finality));
    }

    /// Takes off the last `depth` blocks; what was in them waits again, or is lost.
    pub fn reorg(&mut self, random: &mut Random, depth: u64) {
        self.remember_stale();
        let chain = Rc::make_mut(&mut self.chain);
        for _ in 0..depth.min(chain.len() as u64 - 1) {
            let block = chain.pop().unwrap();
            for (tx, _) in block.txs {
                if !random.once_in(3) {
                    self.pool.insert(tx.request.nonce, tx);
                }
            }
        }
        self.finalized = self.finalized.min(self.head().at.number);
    }

    pub fn send(&mut self, tx: Tx) -> Sent {
        if tx.request.nonce < self.head().nonce {
            return Sent::NonceTooLow;
        }
        if let Some(there) = self.pool.get(&tx.request.nonce) {
            let (old, new) = (there.request.fees, tx.request.fees);
            if there.hash == tx.hash {
                return Sent::Accepted;
            }
            if new.max_fee_wei * 10 < old.max_fee_wei * 11 || new.tip_wei * 10 < old.tip_wei * 11 {
                return Sent::Underpriced;
            }
        }
        self.pool.insert(tx.request.nonce, tx.clone());
        self.ever.push(tx);
        Sent::Accepted
    }

    pub fn logs(chain: &Chain, from: u64, to: u64) -> Vec<LoggedEntry> {
        let blocks = chain.iter().filter(|block| (from..=to).contains(&block.at.number));
        blocks
            .flat_map(|block| block.entries.iter().map(|e| (block.at, e)))
            .map(|(block, entry)| LoggedEntry { entry: entry.clone(), block })
            .collect()
    }

    /// What a node that has `chain` says.
    pub fn observe(&self, chain: &Chain, blocks: &[u64], txs: &[B256]) -> Observation {
        let head = chain.last().unwrap();
        let finalized = self.finalized.min(head.at.number.saturating_sub(self.finality));
        let last_final = &chain[finalized as usize];
        let canonical = |n: &u64| chain.get(*n as usize).map(|block| block.at);
        let mined = chain.iter().flat_map(|block| block.txs.iter().map(|tx| (block.at.number, tx)));
        let waiting = self.pool.keys().filter(|nonce| **nonce >= head.nonce).count() as u64;
        Observation {
            head: head.at,
            head_time_s: head.time_s,
            base_fee_wei: head.base_fee,
            tip_wei: 2,
            finalized: last_final.at,
            blocks: blocks.iter().filter_map(canonical).collect(),
            nonce: head.nonce,
            nonce_finalized: last_final.nonce,
            nonce_pending: head.nonce + waiting + u64::from(self.stranger_pending),
            balance_wei: U256::from(1u64 << 60),
            anchor: head.anchor,
            anchor_finalized: last_final.anchor,
            next: (head.settle_from.get(&(head.anchor.settled_number + 1)))
                .map(|from| Next::Window { settle_from_s: *from }),
            queue_finalized: last_final.queue,
            receipts: mined
                .filter(|(_, (tx, _))| txs.contains(&tx.hash))
                .map(|(block, (tx, success))| (tx.hash, Receipt { block, success: *success }))
                .collect(),
        }
    }
}

fn apply(block: &mut Block, tx: &Tx) -> bool {
    match carried(tx) {
        Some(Purpose::Commit(number)) if block.anchor.last_number + 1 == number => {
            block.anchor.last_number = number;
            block.anchor.last_slot = number * 10;
            block.anchor.last_hash = B256::from_slice(&tx.request.call.data[9..]);
            block.settle_from.insert(number, block.time_s + WINDOW_S);
            true
        }
        Some(Purpose::Settle(number)) => settle(block, number),
        Some(_) => false,
        None => true,
    }
}

fn settle(block: &mut Block, number: u64) -> bool {
    let due = block.settle_from.get(&number).is_some_and(|from| block.time_s >= *from);
    let next = block.anchor.settled_number + 1 == number;
    if due && next {
        block.anchor.settled_number = number;
        block.anchor.settled_slot = number * 10;
    }
    due && next
}

/// What a transaction carries, read from its calldata; `None` for a plain transfer.
pub fn carried(tx: &Tx) -> Option<Purpose> {
    let data = &tx.request.call.data;
    let number = u64::from_be_bytes(data.get(1..9)?.try_into().unwrap());
    Some(if data[0] == 1 { Purpose::Commit(number) } else { Purpose::Settle(number) })
}
