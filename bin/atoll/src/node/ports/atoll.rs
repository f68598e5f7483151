//! `/atoll/…` on a running node.

use super::{blocking, internal, receipt_view};
use crate::node::liquidations::{Liquidatable, Liquidations};
use crate::node::{Hosted, Shared, witness};
use atoll_executor::machine::outbox_root;
use atoll_executor::spec::VmSpec;
use atoll_executor::{Batch, Step};
use atoll_rpc::port::{
    AtollPort, Chunks, EnvironmentInfo, EnvironmentStatus, LiquidatableView, Pending,
    PlacedReceipt, QueryError, RootView, SlotEnvironment, SlotId, SlotView, Status,
    TransactionView,
};
use atoll_types::{B256, Confirmation, Encode, EnvironmentId};
use atoll_vm::SlotContext;
use atoll_vm::exchange::asset_of_market;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of a witness in one chunk.
const CHUNK_BYTES: usize = 64 << 10;

pub(crate) struct AtollAdapter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) data_dir: PathBuf,
    /// What can be liquidated, by exchange.
    pub(crate) liquidations: BTreeMap<EnvironmentId, Arc<Liquidations>>,
}

fn not_found(what: String) -> QueryError {
    QueryError::NotFound(what)
}

impl AtollAdapter {
    fn slot_view(shared: &Shared, id: SlotId) -> Result<SlotView, QueryError> {
        let head = shared.head.read().clone();
        let finalised = shared.finalised.load(Relaxed);
        let number = match id {
            SlotId::Latest => head.slot,
            SlotId::Finalised => finalised,
            SlotId::Number(number) => number,
        };
        let header = match shared.archive.header(number).map_err(internal)? {
            Some(header) => header,
            None if number == head.slot => head,
            None => {
                return Err(not_found(format!(
                    "slot {number} is not here: the last sealed slot is {}",
                    head.slot
                )));
            }
        };
        let mut transactions = 0;
        let mut environments = Vec::new();
        for hosted in &shared.environments {
            let id = hosted.environment().id();
            let record = shared.archive.record(id, number).map_err(internal)?;
            let state_root = shared.archive.root(id, number).map_err(internal)?;
            let context =
                SlotContext { slot: number, time_us: header.time_us, parent: header.parent };
            let after = header.hub_cursor;
            let hub_cursor = match number.checked_sub(1) {
                Some(before) => {
                    let before = shared.archive.header(before).map_err(internal)?;
                    (before.map_or(0, |before| before.hub_cursor), after)
                }
                None => (0, after),
            };
            let empty = Batch { environment: id, context, hub_cursor, steps: Vec::new() };
            let part = match &record {
                Some(record) => SlotEnvironment {
                    environment: id,
                    commands: record.range.steps.len() as u32,
                    batch: record.range.hash(),
                    receipts: record.receipts_root(),
                    outbox: outbox_root(&record.receipts),
                    state_root,
                },
                None => SlotEnvironment {
                    environment: id,
                    commands: 0,
                    batch: empty.whole().hash(),
                    receipts: B256::ZERO,
                    outbox: B256::ZERO,
                    state_root,
                },
            };
            transactions += record.map_or(0, |record| record.receipts.len() as u64);
            environments.push(part);
        }
        Ok(SlotView { header, transactions, finalised: number <= finalised, environments })
    }

    fn transaction_view(shared: &Shared, hash: B256) -> Result<TransactionView, QueryError> {
        let missing = || not_found(format!("no ordered transaction has hash {hash}"));
        let located = shared.archive.locate(&hash).map_err(internal)?.ok_or_else(missing)?;
        let record = shared
            .archive
            .record(located.environment, located.slot)
            .map_err(internal)?
            .ok_or_else(missing)?;
        let input = || {
            QueryError::Invalid(format!(
                "{hash} is an input of slot {}'s opening: inputs have no confirmation",
                located.slot
            ))
        };
        let place =
            located.place.and_then(|at| record.places.get(at as usize)).ok_or_else(input)?;
        let bytes = match record.range.steps.get(located.step as usize) {
            Some(Step::Transaction(bytes)) => bytes.clone(),
            _ => return Err(missing()),
        };
        let tick =
            shared.archive.tick(located.slot, place.tick).map_err(internal)?.ok_or_else(missing)?;
        let lane = shared
            .environment(located.environment)
            .and_then(|environment| environment.prepare(&bytes).ok())
            .map_or(atoll_types::Lane::Rest, |checked| checked.lane());
        let receipt = record.receipts.get(located.receipt as usize).ok_or_else(missing)?;
        Ok(TransactionView {
            hash: receipt.hash,
            environment: located.environment,
            lane,
            bytes: bytes.into(),
            confirmation: Confirmation { tick, index: place.index, running: place.running },
            finalised: located.slot <= shared.finalised.load(Relaxed),
        })
    }
}

impl AtollPort for AtollAdapter {
    fn environments(&self) -> Vec<EnvironmentInfo> {
        let info = |hosted: &Hosted| {
            let environment = hosted.environment();
            let spec = environment.spec();
            EnvironmentInfo {
                id: spec.id,
                name: spec.name.clone(),
                kind: spec.vm.kind().to_string(),
                spec_hash: spec.hash(),
                program_id: spec.vm.program_id(),
                chain_id: match &spec.vm {
                    VmSpec::Evm(evm) => Some(evm.chain_id),
                    VmSpec::Exchange(exchange) => Some(exchange.chain_id),
                    VmSpec::Router(_) => None,
                },
                commit_interval_slots: u64::from(spec.commit_interval_slots),
            }
        };
        self.shared.environments.iter().map(info).collect()
    }

    fn status(&self) -> Pending<'_, Result<Status, QueryError>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || {
            let head = shared.head.read().clone();
            let roots = shared.roots.lock().clone();
            let environments = shared.environments.iter().map(|hosted| {
                let environment = hosted.environment();
                let root = roots.get(&environment.id()).copied().unwrap_or_default();
                EnvironmentStatus {
                    environment: environment.id(),
                    commands: environment.gate().commands.load(Relaxed),
                    root_slot: root.slot,
                    state_root: root.root,
                    halted: environment.gate().halted(),
                    conserved: environment.audit().iter().all(|asset| asset.conserved),
                }
            });
            Ok(Status {
                network: shared.network,
                sequencer: shared.leader,
                term: shared.term,
                head_slot: head.slot,
                finalised_slot: shared.finalised.load(Relaxed),
                head_time_us: head.time_us,
                environments: environments.collect(),
            })
        }))
    }

    fn slot(&self, slot: SlotId) -> Pending<'_, Result<SlotView, QueryError>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || Self::slot_view(&shared, slot)))
    }

    fn roots(
        &self,
        environment: Option<EnvironmentId>,
        slot: Option<u64>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<RootView>, QueryError>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || {
            let mut views = Vec::new();
            for hosted in &shared.environments {
                let id = hosted.environment().id();
                if environment.is_some_and(|wanted| wanted != id) {
                    continue;
                }
                let found = match slot {
                    Some(slot) => {
                        let root = shared.archive.root(id, slot).map_err(internal)?;
                        root.map(|root| (slot, root)).into_iter().collect()
                    }
                    None => shared.archive.roots(id, limit).map_err(internal)?,
                };
                views.extend(found.into_iter().map(|(slot, state_root)| RootView {
                    environment: id,
                    slot,
                    state_root,
                }));
            }
            views.sort_by_key(|view| (std::cmp::Reverse(view.slot), view.environment));
            views.truncate(limit);
            Ok(views)
        }))
    }

    fn transaction(&self, hash: B256) -> Pending<'_, Result<TransactionView, QueryError>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || Self::transaction_view(&shared, hash)))
    }

    fn receipt(&self, hash: B256) -> Pending<'_, Result<PlacedReceipt, QueryError>> {
        let shared = self.shared.clone();
        Box::pin(blocking(move || {
            let missing = || not_found(format!("no executed transaction has hash {hash}"));
            let located = shared.archive.locate(&hash).map_err(internal)?.ok_or_else(missing)?;
            let record = shared.archive.record(located.environment, located.slot);
            let record = record.map_err(internal)?.ok_or_else(missing)?;
            let receipt = record.receipts.get(located.receipt as usize).ok_or_else(missing)?;
            Ok(PlacedReceipt {
                transaction: receipt.hash,
                environment: located.environment,
                slot: located.slot,
                command: located.step,
                receipt: receipt_view(receipt),
            })
        }))
    }

    fn liquidatable(
        &self,
        environment: Option<EnvironmentId>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<LiquidatableView>, QueryError>> {
        let mut views = Vec::new();
        for hosted in &self.shared.environments {
            let Hosted::Exchange(live) = hosted else { continue };
            let id = live.spec.id;
            let Some(found) = self.liquidations.get(&id).map(|followed| followed.found()) else {
                continue;
            };
            if environment.is_some_and(|asked| asked != id) {
                continue;
            }
            let rules = live.machine.read().vm().exchange().rules().clone();
            let view = |unit: &Liquidatable| LiquidatableView {
                environment: id,
                user: unit.owner,
                market: unit.market.and_then(|market| {
                    let name = rules.market_spec(market)?.name.clone();
                    Some((asset_of_market(&rules, market), name))
                }),
            };
            views.extend(found.iter().take(limit - views.len()).map(view));
        }
        Box::pin(async move { Ok(views) })
    }

    fn witness(
        &self,
        slot: u64,
        environment: EnvironmentId,
        commands: Option<Range<u32>>,
    ) -> Pending<'_, Result<Chunks, QueryError>> {
        let data_dir = self.data_dir.clone();
        let sealed = self.shared.head.read().slot;
        Box::pin(async move {
            if slot > sealed {
                return Err(not_found(format!("slot {slot} is not sealed; the last is {sealed}")));
            }
            let claim = blocking(move || {
                let commands = commands.map(|range| (range.start, range.end));
                witness::regenerate(&data_dir, slot, environment, commands)
                    .map_err(|error| QueryError::NotKept(format!("{error:#}")))
            })
            .await?;
            let (sender, chunks) = tokio::sync::mpsc::channel(4);
            tokio::spawn(async move {
                let bytes: alloy_primitives::Bytes = claim.to_bytes().into();
                for start in (0..bytes.len()).step_by(CHUNK_BYTES) {
                    let chunk = bytes.slice(start..bytes.len().min(start + CHUNK_BYTES));
                    if sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
            });
            Ok(chunks)
        })
    }
}
