//! The settlement engine's way to the hub: one thread that does what the engine asks, over JSON-RPC,
//! and hands the hub's queue to the sequencer.

use super::published::PublishedStore;
use super::view::HubView;
use crate::node::Shared;
use alloy_sol_types::SolCall;
use anyhow::{Context, Result};
use atoll_ethereum::abi::{Addresses, IAnchor};
use atoll_ethereum::{BlockId, Client, ClientError, SendRefusal, Transaction, hub};
use atoll_sequencer::HubQueue;
use atoll_settlement::{
    Action, AnchorView, BlockRef, Call, Class, Config, Cursor, Engine, Event, Failure, LoggedEntry,
    Next, Observation, Prepared, Purpose, QueueView, Receipt, Sent, SignedTransaction,
    TransactionRequest, Wallet,
};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, U256};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest sleep between two looks at what there is to do.
const SLEEP: Duration = Duration::from_millis(50);
/// Wait before the queue is read again after a final block was replaced.
const DERIVE_RETRY: Duration = Duration::from_secs(1);
/// Blocks read at once then.
const BLOCKS_AT_ONCE: u64 = 1_000;
/// Entries handed to the sequencer that it has not ordered yet.
const ENTRIES_AHEAD: u64 = 1_024;
/// Gas allowed for anchoring: fixed costs, and what each statement and transfer adds.
const ANCHOR_GAS: (u64, u64) = (1_200_000, 150_000);
/// Gas allowed for settling.
const SETTLE_GAS: (u64, u64) = (600_000, 60_000);

/// Where the hub is and who speaks to it.
pub(crate) struct Hub {
    pub(crate) client: Client,
    pub(crate) chain_id: u64,
    pub(crate) key: SigningKey,
    pub(crate) contracts: Addresses,
    /// A block that no entry is before.
    pub(crate) deployed: BlockRef,
}

/// The engine with its surroundings.
pub(crate) struct Settler {
    pub(crate) hub: Hub,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<PublishedStore>,
    pub(crate) view: Arc<HubView>,
    /// The engine's checkpoint.
    pub(crate) checkpoint: PathBuf,
    pub(crate) config: Config,
}

struct Key(SigningKey, u64);

impl Wallet for Key {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign(&self, request: &TransactionRequest) -> SignedTransaction {
        let TransactionRequest { nonce, fees, call } = request;
        let signed = Transaction {
            chain_id: self.1,
            nonce: *nonce,
            tip_wei: fees.tip_wei,
            max_fee_wei: fees.max_fee_wei,
            gas_limit: call.gas_limit,
            to: Some(call.to),
            value: call.value,
            input: call.data.clone(),
        }
        .sign(&self.0);
        SignedTransaction { hash: signed.hash, raw: signed.raw }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn failure(error: &ClientError) -> Failure {
    let class = if error.is_temporary() { Class::Temporary } else { Class::Critical };
    Failure { class, what: error.to_string() }
}

fn temporary(what: impl Into<String>) -> Failure {
    Failure { class: Class::Temporary, what: what.into() }
}

impl Settler {
    /// Runs until `stopped`. `ready` tells of each commitment made.
    pub(crate) fn run(self, stopped: &AtomicBool, ready: &Receiver<u64>) -> Result<()> {
        let checkpoint = match std::fs::read(&self.checkpoint) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| self.checkpoint.display().to_string());
            }
        };
        let wallet = Key(self.hub.key.clone(), self.hub.chain_id);
        let cursor = self.cursor()?;
        let mut handed = cursor.index;
        let mut engine = Engine::new(self.config.clone(), wallet, checkpoint.as_deref(), cursor)?;
        while !stopped.load(Relaxed) {
            while let Ok(last) = ready.try_recv() {
                engine.on_event(now_ms(), Event::Ready { last });
            }
            for action in engine.poll(now_ms()) {
                if let Some(event) = self.act(action)? {
                    engine.on_event(now_ms(), event);
                }
            }
            if engine.status().queue_halted.is_some() {
                self.derive_again(&mut engine, handed)?;
            }
            self.hand_over(&mut engine, &mut handed)?;
            self.note(&engine);
            let wait = engine.next_deadline_ms().saturating_sub(now_ms());
            std::thread::sleep(SLEEP.min(Duration::from_millis(wait.max(1))));
        }
        Ok(())
    }

    /// Where the queue is to be read from: behind what is ordered.
    fn cursor(&self) -> Result<Cursor> {
        let index = self.shared.head.read().hub_cursor;
        match index.checked_sub(1) {
            None => Ok(Cursor { index, queue_hash: B256::ZERO, block: self.hub.deployed }),
            Some(last) => {
                let kept = self.store.queue_mark(last)?;
                let (queue_hash, number, hash) = kept.with_context(|| {
                    format!("entry {last} of the hub's queue is ordered, and its place is not kept")
                })?;
                Ok(Cursor { index, queue_hash, block: BlockRef { number, hash } })
            }
        }
    }

    /// A block that was final is gone. Where the chain that took its place has the same queue as far
    /// as it was ordered, everything goes on from there; where it has not, what is confirmed stands
    /// on entries that do not exist any more, and nothing more is taken or posted.
    fn derive_again<W: Wallet>(&self, engine: &mut Engine<W>, handed: u64) -> Result<()> {
        let found = match self.same_queue(handed) {
            Ok(found) => found,
            Err(error) => {
                self.view.note("problem", json!(format!("deriving again: {error:#}")));
                std::thread::sleep(DERIVE_RETRY);
                return Ok(());
            }
        };
        match found {
            Some(cursor) => {
                tracing::warn!(
                    entries = handed,
                    "a final block of the hub was replaced; its queue is the same, going on"
                );
                self.view.note("problem", serde_json::Value::Null);
                engine.rederive(cursor);
            }
            None => std::thread::sleep(DERIVE_RETRY),
        }
        Ok(())
    }

    /// Reads the whole queue again at the hub's finalised block. The place behind the entries handed
    /// over, if they are all there as they were; their new places are durable then.
    fn same_queue(&self, handed: u64) -> Result<Option<Cursor>> {
        let client = &self.hub.client;
        let finalized = client.block(BlockId::Finalized)?.context("the hub has no final block")?;
        let mut cursor = Cursor {
            index: 0,
            queue_hash: B256::ZERO,
            block: BlockRef { number: self.hub.deployed.number, hash: B256::ZERO },
        };
        let mut marks = Vec::new();
        let mut from = self.hub.deployed.number;
        while from <= finalized.number && cursor.index < handed {
            let to = finalized.number.min(from + BLOCKS_AT_ONCE - 1);
            let (logged, _) = hub::entries(client, self.hub.contracts.queue, from, to)?;
            for logged in logged.into_iter().filter(|logged| logged.entry.index < handed) {
                let entry = super::calls::entry(&logged.entry).map_err(anyhow::Error::msg)?;
                let entry = super::calls::from_engine(entry);
                anyhow::ensure!(entry.index == cursor.index, "the hub's node leaves entries out");
                let queue_hash = entry.extend(&cursor.queue_hash);
                if self.store.queue_mark(entry.index)?.map(|mark| mark.0) != Some(queue_hash) {
                    self.view.note(
                        "queue_replaced",
                        json!(format!(
                            "entry {} of the hub's queue is another than the one that was ordered",
                            entry.index
                        )),
                    );
                    return Ok(None);
                }
                let block = BlockRef { number: logged.block, hash: logged.block_hash };
                cursor = Cursor { index: entry.index + 1, queue_hash, block };
                marks.push((entry.index, queue_hash, block.number, block.hash));
            }
            from = to + 1;
        }
        if cursor.index < handed {
            self.view.note(
                "queue_replaced",
                json!(format!(
                    "the hub's queue has {} final entries; {handed} were ordered",
                    cursor.index
                )),
            );
            return Ok(None);
        }
        self.store.mark_queue(marks.into_iter())?;
        self.view.note("queue_replaced", serde_json::Value::Null);
        if handed == 0 {
            let first = client.block(BlockId::Number(self.hub.deployed.number))?;
            let first = first.context("the hub has lost the block of the deployment")?;
            cursor.block = BlockRef { number: first.number, hash: first.hash };
        }
        Ok(Some(cursor))
    }

    /// Gives the sequencer what is final in the queue, as far as it keeps up.
    fn hand_over<W: Wallet>(&self, engine: &mut Engine<W>, handed: &mut u64) -> Result<()> {
        let ordered = self.shared.head.read().hub_cursor;
        let room = ENTRIES_AHEAD.saturating_sub(handed.saturating_sub(ordered));
        let entries = engine.next_entries(room as usize, 8 << 20);
        let finalized = engine.status().finalized.number;
        if entries.is_empty() {
            // A block that brought nothing is progress too: the slot says that it was looked at.
            if finalized > self.shared.head.read().hub_block
                && engine.status().queue_lag_blocks == 0
            {
                self.shared.hub_queue(HubQueue { block: finalized, entries: Vec::new() });
            }
            return Ok(());
        }
        // Where each stands is durable before anything is ordered.
        let marks =
            entries.iter().map(|e| (e.entry.index, e.queue_hash, e.block.number, e.block.hash));
        self.store.mark_queue(marks)?;
        let block = entries.last().map_or(0, |entry| entry.block.number);
        *handed = entries.last().map_or(*handed, |entry| entry.entry.index + 1);
        let entries = entries.into_iter().map(|entry| super::calls::from_engine(entry.entry));
        let entries = entries.collect();
        self.shared.hub_queue(HubQueue { block, entries });
        Ok(())
    }

    fn note<W: Wallet>(&self, engine: &Engine<W>) {
        let status = engine.status();
        if status.observed_ms.is_none() {
            return;
        }
        self.view.set_numbers(status.anchored_number, status.settled_number);
        self.shared.settled.store(status.settled_slot, Relaxed);
        let text = |halt: &Option<atoll_settlement::Halt>| halt.as_ref().map(ToString::to_string);
        self.view.note(
            "engine",
            json!({
                "hub_head": status.head.number,
                "hub_finalized": status.finalized.number,
                "ready": status.ready_number,
                "anchored_final": status.anchored_final_number,
                "in_flight": status.waiting.len(),
                "unfinal": status.unfinal,
                "balance_wei": status.balance_wei.to_string(),
                "queue_count": status.queue_count,
                "queue_read": status.queue_read,
                "queue_lag_blocks": status.queue_lag_blocks,
                "posting_halted": text(&status.posting_halted),
                "queue_halted": text(&status.queue_halted),
                "problem": status.problem,
            }),
        );
    }

    fn act(&self, action: Action) -> Result<Option<Event>> {
        let failed = |id| move |failure| Event::Failed { id, failure };
        Ok(match action {
            Action::Persist(bytes) => {
                self.persist(&bytes)?;
                None
            }
            Action::Observe { id, blocks, transactions } => Some(
                self.observe(&blocks, &transactions)
                    .map(|observation| Event::Observed { id, observation: Box::new(observation) })
                    .unwrap_or_else(failed(id)),
            ),
            Action::Prepare { id, purpose } => Some(
                self.prepare(purpose)
                    .map(|prepared| Event::Prepared { id, prepared })
                    .unwrap_or_else(failed(id)),
            ),
            Action::Broadcast { id, nonce, purpose, transaction } => {
                tracing::debug!(nonce, ?purpose, hash = %transaction.hash, "to the hub");
                Some(
                    self.broadcast(&transaction)
                        .map(|sent| Event::Sent { id, sent })
                        .unwrap_or_else(failed(id)),
                )
            }
            Action::Logs { id, from, to } => Some(
                self.logs(from, to)
                    .map(|(last_hash, entries)| Event::Logs { id, last_hash, entries })
                    .unwrap_or_else(failed(id)),
            ),
            Action::Halted(halt) => {
                tracing::error!("settlement has stopped: {halt}");
                None
            }
        })
    }

    fn persist(&self, bytes: &[u8]) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let new = self.checkpoint.with_extension("new");
            std::fs::write(&new, bytes)?;
            std::fs::File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &self.checkpoint)?;
            match self.checkpoint.parent() {
                Some(folder) => std::fs::File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().with_context(|| format!("cannot write {}", self.checkpoint.display()))
    }

    /// All of one look is at two blocks, which are named by their hashes: a node that has moved on
    /// in between answers with an error, and is asked again.
    /// The Anchor as of a block. A node that is just taking in the next block may tell of either for
    /// the same hash: a last commitment without a record is no state of any block.
    fn anchor_at(&self, block: B256) -> Result<hub::AnchorState, Failure> {
        let read = hub::anchor_at(&self.hub.client, &self.hub.contracts, block);
        let anchor = read.map_err(|error| failure(&error))?;
        if anchor.last_record.as_ref().is_some_and(|record| record.hash.is_zero()) {
            return Err(temporary("the hub's node mixed the states of two blocks; asking again"));
        }
        Ok(anchor)
    }

    fn observe(&self, blocks: &[u64], transactions: &[B256]) -> Result<Observation, Failure> {
        let client = &self.hub.client;
        let ask = |error: ClientError| failure(&error);
        let block = |id: BlockId| {
            let found = client.block(id).map_err(ask)?;
            found.ok_or_else(|| temporary("the hub's node has no such block yet"))
        };
        let head = block(BlockId::Latest)?;
        let finalized = block(BlockId::Finalized)?;
        let (at, at_final) = (BlockId::Hash(head.hash), BlockId::Hash(finalized.hash));
        let address = self.hub.key.address();
        let by_number = |number: &u64| match client.block(BlockId::Number(*number)) {
            Ok(Some(block)) => Ok(Some(BlockRef { number: block.number, hash: block.hash })),
            Ok(None) => Ok(None),
            Err(error) => Err(ask(error)),
        };
        let anchor = self.anchor_at(head.hash)?;
        let next = match anchor.settle_from_s() {
            _ if anchor.is_challenged() => Some(Next::Challenged),
            settle_from_s => settle_from_s.map(|settle_from_s| Next::Window { settle_from_s }),
        };
        let same = head.hash == finalized.hash;
        let anchor_finalized = match same {
            true => view(&anchor),
            false => view(&self.anchor_at(finalized.hash)?),
        };
        let queue = hub::queue_at(client, self.hub.contracts.queue, finalized.hash);
        let (count, queue_hash) = queue.map_err(ask)?;
        let receipt = |hash: &B256| match client.receipt(*hash) {
            Ok(Some(found)) if found.block <= head.number => {
                Ok(Some((*hash, Receipt { block: found.block, success: found.success })))
            }
            Ok(_) => Ok(None),
            Err(error) => Err(ask(error)),
        };
        let nonce = client.nonce(address, at).map_err(ask)?;
        Ok(Observation {
            head: BlockRef { number: head.number, hash: head.hash },
            head_time_s: head.time_s,
            base_fee_wei: head.base_fee_wei,
            tip_wei: client.suggested_tip_wei().map_err(ask)?,
            finalized: BlockRef { number: finalized.number, hash: finalized.hash },
            blocks: blocks
                .iter()
                .filter_map(|number| by_number(number).transpose())
                .collect::<Result<_, _>>()?,
            nonce,
            nonce_finalized: if same {
                nonce
            } else {
                client.nonce(address, at_final).map_err(ask)?
            },
            nonce_pending: client.nonce(address, BlockId::Pending).map_err(ask)?,
            balance_wei: client.balance(address, at).map_err(ask)?,
            anchor: view(&anchor),
            anchor_finalized,
            next,
            queue_finalized: QueueView { count, hash: queue_hash },
            receipts: transactions
                .iter()
                .filter_map(|hash| receipt(hash).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    fn prepare(&self, purpose: Purpose) -> Result<Prepared, Failure> {
        let broken = |what: String| Failure { class: Class::Critical, what };
        let (number, settles) = match purpose {
            Purpose::Commit(number) => (number, false),
            Purpose::Settle(number) => (number, true),
            Purpose::Fill => return Err(broken("a filler has no content".into())),
        };
        let published = self
            .store
            .commitment(number)
            .map_err(|error| broken(format!("{error:#}")))?
            .ok_or_else(|| temporary(format!("commitment {number} is not made yet")))?;
        let transfers = super::calls::transfers(&published.transfers);
        let (gas, data, parts) = if settles {
            let data = IAnchor::settleCall { number, t: transfers }.abi_encode();
            (SETTLE_GAS, data, published.transfers.len())
        } else {
            let parts = published.statements.len() + published.transfers.len();
            (ANCHOR_GAS, super::calls::anchor(&published), parts)
        };
        let commitment = &published.commitment;
        Ok(Prepared {
            number,
            commitment: commitment.hash(),
            first_slot: commitment.slots.0,
            last_slot: commitment.slots.1,
            call: Call {
                to: self.hub.contracts.anchor,
                data,
                value: U256::ZERO,
                gas_limit: gas.0 + gas.1 * parts as u64,
            },
        })
    }

    fn broadcast(&self, transaction: &SignedTransaction) -> Result<Sent, Failure> {
        match self.hub.client.send_raw(&transaction.raw) {
            Ok(_) => Ok(Sent::Accepted),
            Err(error) => match error.send_refusal() {
                SendRefusal::AlreadyKnown => Ok(Sent::Accepted),
                SendRefusal::NonceTooLow => Ok(Sent::NonceTooLow),
                SendRefusal::Underpriced => Ok(Sent::Underpriced),
                SendRefusal::InsufficientFunds => Ok(Sent::InsufficientFunds),
                SendRefusal::Other => Err(failure(&error)),
            },
        }
    }

    fn logs(&self, from: u64, to: u64) -> Result<(B256, Vec<LoggedEntry>), Failure> {
        let read = hub::entries(&self.hub.client, self.hub.contracts.queue, from, to);
        let (logged, last) = read.map_err(|error| failure(&error))?;
        let broken = |what| Failure { class: Class::Critical, what };
        let entry = |logged: &hub::Enqueued| {
            Ok(LoggedEntry {
                entry: super::calls::entry(&logged.entry).map_err(broken)?,
                block: BlockRef { number: logged.block, hash: logged.block_hash },
            })
        };
        Ok((last.hash, logged.iter().map(entry).collect::<Result<_, Failure>>()?))
    }
}

fn view(anchor: &hub::AnchorState) -> AnchorView {
    let last = anchor.last_record.as_ref();
    AnchorView {
        last_number: anchor.last,
        last_hash: last.map_or(B256::ZERO, |record| record.hash),
        last_slot: last.map_or(0, |record| record.lastSlot),
        settled_number: anchor.settled,
        settled_slot: anchor.settled_slot,
        // What was rejected and taken back shows in the last number, which falls.
        rejections: u64::from(anchor.unwind_from != 0),
        escaped: anchor.closed,
    }
}
