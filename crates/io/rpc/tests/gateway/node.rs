//! A node of plain values behind the gateway's ports.

use alloy_primitives::{Address, B256, Bytes, U256};
use atoll_rpc::port::*;
use atoll_rpc::{Config, EvmEnvironment, Gateway, Limits, Ports};
use atoll_types::{
    Confirmation, EnvironmentId, Lane, NetworkId, Reject, RejectCode, Signature, SlotHeader,
    TickConfirmation,
};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const EVM: EnvironmentId = EnvironmentId(2);

/// What a test moves.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) heads: broadcast::Sender<Arc<EvmHead>>,
    pub(crate) arrivals: broadcast::Sender<Arc<Vec<EvmTransaction>>>,
    /// The last block; each has one transaction and one log.
    pub(crate) head: Arc<AtomicU64>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            heads: broadcast::Sender::new(1024),
            arrivals: broadcast::Sender::new(1024),
            head: Arc::new(AtomicU64::new(7)),
        }
    }
}

/// Hash of a block, and of its transaction.
pub(crate) fn hash_of(number: u64) -> B256 {
    B256::with_last_byte(number as u8)
}

pub(crate) fn ready<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(value))
}

pub(crate) fn place() -> BlockPlace {
    BlockPlace { number: 7, hash: B256::repeat_byte(7), timestamp: 1_700_000_000, index: 0 }
}

pub(crate) fn transaction() -> EvmTransaction {
    EvmTransaction {
        hash: B256::repeat_byte(0xaa),
        place: Some(place()),
        kind: 2,
        chain_id: Some(4242),
        nonce: 3,
        from: Address::repeat_byte(1),
        to: Some(Address::repeat_byte(2)),
        value: U256::from(1000),
        gas: 21_000,
        gas_price: 1_000_000_000,
        dynamic_fees: Some((2_000_000_000, 1)),
        input: Bytes::from_static(&[1, 2]),
        access_list: Some(vec![AccessListItem {
            address: Address::repeat_byte(3),
            storage_keys: vec![B256::ZERO],
        }]),
        authorization_list: None,
        signature: (U256::from(17), U256::from(18), true),
    }
}

pub(crate) fn log() -> EvmLog {
    EvmLog {
        address: Address::repeat_byte(9),
        topics: vec![B256::repeat_byte(1), B256::repeat_byte(2)],
        data: Bytes::from_static(&[0xff]),
        place: place(),
        transaction_hash: B256::repeat_byte(0xaa),
        log_index: 0,
    }
}

pub(crate) fn block() -> EvmBlock {
    EvmBlock {
        number: 7,
        hash: B256::repeat_byte(7),
        parent_hash: B256::repeat_byte(6),
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        gas_used: 21_000,
        base_fee_per_gas: 1_000_000_000,
        size: 600,
        transactions: BlockTransactions::Hashes(vec![transaction().hash]),
        ..EvmBlock::default()
    }
}

pub(crate) fn receipt() -> EvmReceipt {
    EvmReceipt {
        transaction_hash: B256::repeat_byte(0xaa),
        place: place(),
        kind: 2,
        from: Address::repeat_byte(1),
        to: Some(Address::repeat_byte(2)),
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 21_000,
        effective_gas_price: 1_000_000_000,
        logs: vec![log()],
        ..EvmReceipt::default()
    }
}

pub(crate) fn confirmation() -> Confirmation {
    let signature = Signature { r: [1; 32], s: [2; 32], y_parity: 1 };
    let tick = TickConfirmation {
        term: 1,
        slot: 7,
        tick: 2,
        time_us: 99,
        before: B256::repeat_byte(4),
        after: B256::repeat_byte(5),
        signature,
    };
    Confirmation { tick, index: 3, running: B256::repeat_byte(5) }
}

impl Submit for Node {
    /// The first byte chooses a reject code, less 100; 0xee panics, 0xdd never answers, 0xff
    /// succeeds, 0xfe is executed and reverts.
    fn submit(
        &self,
        _: EnvironmentId,
        bytes: Vec<u8>,
        wait: Wait,
    ) -> Pending<'_, Result<Accepted, Reject>> {
        Box::pin(async move {
            let byte = bytes.first().copied().unwrap_or_default();
            assert_ne!(byte, 0xee, "a bug");
            if byte == 0xdd {
                std::future::pending::<()>().await;
            }
            if byte < 0xfe {
                let code = u16::from_be_bytes([bytes[0], bytes[1]]);
                let code = RejectCode::from_number(code).expect("a code");
                return Err(Reject::new(code, "the sentence"));
            }
            let execution = wait == Wait::Execution;
            Ok(Accepted {
                hash: B256::repeat_byte(8),
                confirmation: (wait != Wait::Admission).then(confirmation),
                receipt: execution.then(|| ReceiptView {
                    code: (byte == 0xfe).then_some(RejectCode::Reverted),
                    ..ReceiptView::default()
                }),
            })
        })
    }
}

impl AtollPort for Node {
    fn environments(&self) -> Vec<EnvironmentInfo> {
        let info = |id: u32, name: &str, kind: &str, chain_id| EnvironmentInfo {
            id: EnvironmentId(id),
            name: name.to_owned(),
            kind: kind.to_owned(),
            spec_hash: B256::repeat_byte(id as u8),
            program_id: B256::ZERO,
            chain_id,
            commit_interval_slots: 10,
        };
        vec![info(1, "perps", "exchange", None), info(2, "evm", "evm", Some(4242))]
    }

    fn status(&self) -> Pending<'_, Result<Status, QueryError>> {
        ready(Ok(Status {
            network: NetworkId(B256::repeat_byte(1)),
            sequencer: Address::repeat_byte(5),
            term: 1,
            head_slot: 7,
            finalised_slot: 6,
            head_time_us: 99,
            environments: vec![EnvironmentStatus {
                environment: EnvironmentId(1),
                commands: 12,
                root_slot: 5,
                state_root: B256::repeat_byte(2),
                halted: None,
                conserved: true,
            }],
        }))
    }

    fn slot(&self, slot: SlotId) -> Pending<'_, Result<SlotView, QueryError>> {
        if slot == SlotId::Number(1) {
            return ready(Err(QueryError::NotKept("slot 1 is pruned".to_owned())));
        }
        ready(Ok(SlotView {
            header: SlotHeader { slot: 7, ticks: 3, ..SlotHeader::default() },
            transactions: 9,
            finalised: true,
            environments: vec![SlotEnvironment {
                environment: EnvironmentId(2),
                commands: 4,
                batch: B256::repeat_byte(1),
                receipts: B256::repeat_byte(2),
                outbox: B256::ZERO,
                state_root: None,
            }],
        }))
    }

    fn roots(
        &self,
        environment: Option<EnvironmentId>,
        slot: Option<u64>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<RootView>, QueryError>> {
        let root = RootView {
            environment: environment.unwrap_or(EVM),
            slot: slot.unwrap_or(5),
            state_root: B256::repeat_byte(3),
        };
        ready(Ok(vec![root; limit.min(2)]))
    }

    fn liquidatable(
        &self,
        environment: Option<EnvironmentId>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<LiquidatableView>, QueryError>> {
        let unit = LiquidatableView {
            environment: environment.unwrap_or(EVM),
            user: Address::repeat_byte(7),
            market: Some((3, "SOL".into())),
        };
        let cross = LiquidatableView { market: None, ..unit.clone() };
        let mut units = vec![unit, cross];
        units.truncate(limit);
        ready(Ok(units))
    }

    fn transaction(&self, hash: B256) -> Pending<'_, Result<TransactionView, QueryError>> {
        if hash.is_zero() {
            return ready(Err(QueryError::NotFound("no such transaction".to_owned())));
        }
        ready(Ok(TransactionView {
            hash,
            environment: EVM,
            lane: Lane::PostOnly,
            bytes: Bytes::from_static(&[1]),
            confirmation: confirmation(),
            finalised: false,
        }))
    }

    fn receipt(&self, hash: B256) -> Pending<'_, Result<PlacedReceipt, QueryError>> {
        ready(Ok(PlacedReceipt {
            transaction: hash,
            environment: EnvironmentId(1),
            slot: 7,
            command: 2,
            receipt: ReceiptView {
                code: Some(RejectCode::OffTick),
                message: "off tick".to_owned(),
                bytes: Bytes::from_static(&[4]),
            },
        }))
    }

    fn witness(
        &self,
        slot: u64,
        _: EnvironmentId,
        commands: Option<Range<u32>>,
    ) -> Pending<'_, Result<Chunks, QueryError>> {
        let (sender, chunks) = mpsc::channel(2);
        tokio::spawn(async move {
            for index in commands.unwrap_or(0..3) {
                let _ = sender.send(Ok(vec![index as u8; slot as usize].into())).await;
            }
        });
        ready(Ok(chunks))
    }
}

impl EvmPort for Node {
    fn chain_id(&self) -> u64 {
        4242
    }

    fn symbol(&self) -> String {
        "ETH".to_owned()
    }

    fn fee_tokens(&self) -> Vec<(Address, u128)> {
        vec![(Address::repeat_byte(0xfe), 3_000_000_000)]
    }

    fn object_keys(&self, address: Address, slots: &[U256]) -> (Bytes, Vec<Bytes>) {
        let slot = |slot: &U256| slot.to_be_bytes::<32>().to_vec().into();
        (address.to_vec().into(), slots.iter().map(slot).collect())
    }

    fn block_number(&self) -> u64 {
        self.head.load(Relaxed)
    }

    fn gas_price(&self) -> u128 {
        1_000_000_001
    }

    fn max_priority_fee(&self) -> u128 {
        1
    }

    fn balance(&self, _: Address, block: BlockId) -> Pending<'_, Result<U256, QueryError>> {
        ready(match block {
            BlockId::Number(3) => {
                Err(QueryError::NotKept("state of block 3 is not kept; ask for latest".to_owned()))
            }
            _ => Ok(U256::from(255)),
        })
    }

    fn nonce(&self, _: Address, block: BlockId) -> Pending<'_, Result<u64, QueryError>> {
        ready(Ok(if block == BlockId::Pending { 4 } else { 3 }))
    }

    fn code(&self, _: Address, _: BlockId) -> Pending<'_, Result<Bytes, QueryError>> {
        ready(Ok(Bytes::from_static(&[0x60, 0x01])))
    }

    fn storage(&self, _: Address, key: U256, _: BlockId) -> Pending<'_, Result<B256, QueryError>> {
        ready(Ok(B256::from(key)))
    }

    /// The first byte of the data says what happens; with overrides it returns what they are.
    fn call(&self, on: On, request: CallRequest) -> Pending<'_, Result<Bytes, CallError>> {
        if on != (On { block: on.block, ..On::default() }) {
            return ready(Ok(format!("{on:?}").into_bytes().into()));
        }
        ready(match request.data.first() {
            Some(0xee) => panic!("a bug"),
            Some(0x08) => Err(CallError::Reverted(request.data)),
            Some(0x01) => Err(CallError::Halted("out of gas".to_owned())),
            _ => Ok(request.data),
        })
    }

    fn estimate_gas(&self, on: On, request: CallRequest) -> Pending<'_, Result<u64, CallError>> {
        let otherwise = on.state.len() as u64;
        ready(Ok(21_000 + request.data.len() as u64 + otherwise))
    }

    fn access_list(
        &self,
        _: On,
        request: CallRequest,
    ) -> Pending<'_, Result<AccessListView, CallError>> {
        let error = (!request.data.is_empty()).then(|| "execution reverted".to_owned());
        let list = transaction().access_list.expect("a list");
        ready(Ok(AccessListView { list, gas_used: 30_000, error }))
    }

    /// Each call returns its data; one with 0x08 in front reverts, one with 0x01 halts, one that
    /// names a reject code less 100 is refused.
    fn simulate(
        &self,
        block: BlockId,
        request: SimulateRequest,
    ) -> Pending<'_, Result<Vec<SimulatedBlock>, SimulateError>> {
        if block == BlockId::Number(3) {
            return ready(Err(QueryError::NotKept("not kept".to_owned()).into()));
        }
        let mut done = Vec::new();
        for asked in &request.blocks {
            let mut calls = Vec::new();
            for call in &asked.calls {
                if let [0xff, code @ ..] = &call.data[..] {
                    let code = u16::from_be_bytes([code[0], code[1]]);
                    let code = RejectCode::from_number(code).expect("a code");
                    let reject = Reject::new(code, "the sentence");
                    return ready(Err(SimulateError::Rejected(reject)));
                }
                let failure = match call.data.first() {
                    Some(0x08) => Some(SimulatedFailure::Reverted),
                    Some(0x01) => Some(SimulatedFailure::Halted("out of gas".to_owned())),
                    Some(0x02) => return ready(Err(SimulateError::BlockGas("gas".to_owned()))),
                    Some(0x03) => return ready(Err(SimulateError::TooMuch("much".to_owned()))),
                    _ => None,
                };
                let logs = if request.transfers { vec![log()] } else { Vec::new() };
                let (output, gas_used) = (call.data.clone(), 21_000);
                calls.push(SimulatedCall { output, gas_used, logs, failure });
            }
            let number = asked.block.number.map_or(8, |number| number.to());
            let transactions = BlockTransactions::Full(vec![transaction(); calls.len()]);
            let block = EvmBlock { number, transactions, ..crate::node::block() };
            done.push(SimulatedBlock { block, calls });
        }
        ready(Ok(done))
    }

    fn trace_call(
        &self,
        on: On,
        _: CallRequest,
        options: TraceOptions,
    ) -> Pending<'_, Result<Value, CallError>> {
        ready(Ok(json!([format!("{options:?}"), on.state.len(), format!("{:?}", on.block)])))
    }

    fn trace_transaction(
        &self,
        hash: B256,
        options: TraceOptions,
    ) -> Pending<'_, Result<Option<Value>, QueryError>> {
        ready(Ok((!hash.is_zero()).then(|| json!(format!("{:?}", options.tracer)))))
    }

    fn trace_block(
        &self,
        block: BlockId,
        _: TraceOptions,
    ) -> Pending<'_, Result<Option<BlockTraces>, QueryError>> {
        ready(match block {
            BlockId::Number(99) => Ok(None),
            BlockId::Number(98) => Err(QueryError::TooLarge("trace too large".to_owned())),
            _ => Ok(Some(vec![(transaction().hash, json!({ "type": "CALL" }))])),
        })
    }

    fn conflicts(&self, block: BlockId) -> Pending<'_, Result<Option<BlockConflicts>, QueryError>> {
        let key = KeyConflict {
            key: "0x07 balance".into(),
            writers: vec![0],
            readers: vec![1, 2],
            clashes: 3,
        };
        let found = BlockConflicts {
            block: 12,
            transactions: vec![transaction().hash],
            gas: vec![21_000],
            chain: vec![0],
            speedup_max: 1.5,
            keys: vec![key],
            keys_left_out: 4,
        };
        ready(Ok((block != BlockId::Number(99)).then_some(found)))
    }

    fn block(&self, id: BlockId, full: bool) -> Pending<'_, Result<Option<EvmBlock>, QueryError>> {
        let mut found = block();
        if full {
            found.transactions = BlockTransactions::Full(vec![transaction()]);
        }
        ready(Ok((id != BlockId::Number(99)).then_some(found)))
    }

    fn block_receipts(
        &self,
        _: BlockId,
    ) -> Pending<'_, Result<Option<Vec<EvmReceipt>>, QueryError>> {
        ready(Ok(Some(vec![receipt()])))
    }

    fn transaction(&self, hash: B256) -> Pending<'_, Result<Option<EvmTransaction>, QueryError>> {
        ready(Ok((!hash.is_zero()).then(transaction)))
    }

    fn receipt(&self, hash: B256) -> Pending<'_, Result<Option<EvmReceipt>, QueryError>> {
        ready(Ok((!hash.is_zero()).then(receipt)))
    }

    fn logs(
        &self,
        filter: LogFilter,
        limit: usize,
    ) -> Pending<'_, Result<Vec<EvmLog>, QueryError>> {
        let too_large = || {
            let sentence = format!("query returned more than {limit} results");
            ready(Err(QueryError::TooLarge(sentence)))
        };
        let (first, last) = match filter.blocks {
            LogBlocks::Range(0, 7) => return too_large(),
            // What is behind the head of the beginning has a log in each block.
            LogBlocks::Range(first, last) if last > 7 => (first, last),
            LogBlocks::Range(..) | LogBlocks::Hash(_) => (7, 7),
        };
        let at = |number| EvmLog { place: BlockPlace { number, ..place() }, ..log() };
        let found: Vec<EvmLog> = (first..=last).map(at).filter(|log| filter.matches(log)).collect();
        if found.len() > limit { too_large() } else { ready(Ok(found)) }
    }

    fn fee_history(
        &self,
        count: u64,
        _: BlockId,
        percentiles: Vec<f64>,
    ) -> Pending<'_, Result<FeeHistory, QueryError>> {
        let blocks = count as usize;
        let reward = vec![vec![1; percentiles.len()]; blocks];
        ready(Ok(FeeHistory {
            oldest_block: 8 - count,
            base_fee_per_gas: vec![1_000_000_000; blocks + 1],
            gas_used: vec![(15_000_000, 30_000_000); blocks],
            reward: (!percentiles.is_empty()).then_some(reward),
        }))
    }

    fn block_hashes(&self, from: u64, to: u64) -> Pending<'_, Result<Vec<B256>, QueryError>> {
        ready(Ok((from..=to).map(hash_of).collect()))
    }

    fn sender(&self, raw: &[u8]) -> Option<(Address, u64)> {
        Some((Address::repeat_byte(1), u64::from(*raw.last()?)))
    }

    fn pending(&self) -> Vec<EvmTransaction> {
        vec![EvmTransaction { place: None, ..transaction() }]
    }

    fn ordered_end(&self) -> OrderedPlace {
        OrderedPlace { block: self.head.load(Relaxed) + 1, transactions: 0 }
    }

    fn ordered_since(
        &self,
        place: OrderedPlace,
        limit: usize,
    ) -> Pending<'_, Result<(Vec<B256>, OrderedPlace), QueryError>> {
        let end = self.ordered_end().block.min(place.block + limit as u64);
        let hashes = (place.block..end).map(hash_of).collect();
        ready(Ok((hashes, OrderedPlace { block: end, transactions: 0 })))
    }

    fn arrivals(&self) -> broadcast::Receiver<Arc<Vec<EvmTransaction>>> {
        self.arrivals.subscribe()
    }

    fn heads(&self) -> broadcast::Receiver<Arc<EvmHead>> {
        self.heads.subscribe()
    }
}

/// A running gateway.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) feeds: Node,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<()>,
}

impl Running {
    /// The value of a metric's first sample that begins so.
    pub(crate) async fn metric(&self, begins: &str) -> f64 {
        let text = crate::client::get(self.address, "/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(begins));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

pub(crate) fn quick() -> Limits {
    Limits {
        head_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        handler_timeout: Duration::from_millis(500),
        write_timeout: Duration::from_millis(400),
        idle_timeout: Duration::from_millis(700),
        shutdown_grace: Duration::from_millis(500),
        ..Limits::default()
    }
}

pub(crate) fn ports_of(feeds: &Node) -> Ports {
    let node = Arc::new(feeds.clone());
    let hub = Arc::new(Node::new());
    let evm = EvmEnvironment {
        name: "evm".to_owned(),
        id: EVM,
        port: node.clone(),
        submit: node.clone(),
    };
    Ports {
        submit: node.clone(),
        atoll: node,
        hub: Some(EvmEnvironment { port: hub, ..evm.clone() }),
        evm: vec![evm],
        hyperliquid: None,
        settlement: None,
        metrics: Vec::new(),
    }
}

pub(crate) fn ports() -> Ports {
    ports_of(&Node::new())
}

pub(crate) async fn start(limits: Limits) -> Running {
    let feeds = Node::new();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config { listen, client_version: "atoll/test".to_owned(), limits };
    let gateway = Gateway::bind(config, ports_of(&feeds)).await.expect("bind");
    let address = gateway.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(gateway.serve(async move {
        let _ = stopped.await;
    }));
    Running { address, feeds, stop: Some(stop), served }
}
