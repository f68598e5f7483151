//! Answers questions about settlement and data availability on a running node.

use super::published::{Published, PublishedStore, SpanRoot};
use super::spans::SpanStore;
use super::view::HubView;
use crate::layers::relay::RelayView;
use crate::node::Shared;
use crate::node::ports::{blocking, internal};
use crate::node::witness::{self, Past};
use atoll_da::{Axis, EncodedSpan, Namespace, Owner, Position};
use atoll_rpc::port::{CommitmentId, Pending, QueryError, SettlementPort, SettlementQuery};
use atoll_state::proof::VerifiedWitness;
use atoll_types::statement::statements_root;
use atoll_types::{Address, B256, Encode, EnvironmentId, Statement, Withdrawal};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Most withdrawals in one answer, and how many are looked through for them.
const WITHDRAWALS_MAX: usize = 100;
const WITHDRAWALS_SEARCHED: u64 = 100_000;

pub(crate) struct SettlementAdapter {
    pub(crate) inner: Arc<Inner>,
}

/// What a query on the blocking pool needs.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<PublishedStore>,
    pub(crate) spans: Arc<SpanStore>,
    pub(crate) view: Arc<HubView>,
    pub(crate) data_dir: PathBuf,
    /// The other layers that spans are published to.
    pub(crate) layers: Vec<Arc<RelayView>>,
    /// The network at a settled slot, made again when it is first asked for.
    pub(crate) past: Mutex<Option<Past>>,
}

impl SettlementPort for SettlementAdapter {
    fn answer(&self, query: SettlementQuery) -> Pending<'_, Result<Value, QueryError>> {
        let inner = self.inner.clone();
        Box::pin(blocking(move || inner.answer(query)))
    }
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

/// What cannot be unless files were changed.
fn broken(what: &str) -> QueryError {
    QueryError::Internal(what.into())
}

fn not_found(what: impl Into<String>) -> QueryError {
    QueryError::NotFound(what.into())
}

impl Inner {
    fn answer(&self, query: SettlementQuery) -> Result<Value, QueryError> {
        match query {
            SettlementQuery::Status => Ok(self.status()),
            SettlementQuery::Commitment(id) => self.commitment(id),
            SettlementQuery::Withdrawal(index) => self.withdrawal(index),
            SettlementQuery::Withdrawals(to) => self.withdrawals(to),
            SettlementQuery::Header(slot) => self.header(slot),
            SettlementQuery::Headers { from, count } => self.headers(from, count),
            SettlementQuery::Span(slot) => self.span(slot),
            SettlementQuery::Sample { slot, square, row, column } => {
                self.sample(slot, Position { square, row, column })
            }
            SettlementQuery::Namespace { slot, environment } => self.namespace(slot, environment),
            SettlementQuery::Proof { environment, key } => self.proof(environment, &key),
        }
    }

    fn status(&self) -> Value {
        let latest = self.store.latest();
        let head = self.shared.head.read().clone();
        let commitment = |published: &Published| {
            json!({
                "number": published.commitment.number,
                "last_slot": published.commitment.slots.1,
            })
        };
        let mut value = self.view.render();
        value["network"] = json!(text(self.shared.network.0));
        value["sequencer"] = json!(text(self.shared.leader));
        value["hub_block"] = json!(head.hub_block);
        value["hub_cursor"] = json!(head.hub_cursor);
        value["latest"] = latest.as_deref().map_or(Value::Null, commitment);
        value["withdrawals"] = json!(self.store.withdrawals());
        if !self.layers.is_empty() {
            value["layers"] = self.layers.iter().map(|layer| layer.render()).collect();
        }
        value
    }

    fn settled(&self) -> Result<Published, QueryError> {
        let number = self.view.settled_number();
        let found = self.store.commitment(number).map_err(internal)?;
        found.ok_or_else(|| {
            not_found("nothing is settled yet: the first commitment is on its way to the hub")
        })
    }

    fn commitment(&self, id: CommitmentId) -> Result<Value, QueryError> {
        let published = match id {
            CommitmentId::Settled => self.settled()?,
            CommitmentId::Latest => {
                let latest = self.store.latest();
                let latest = latest.ok_or_else(|| not_found("there is no commitment yet"))?;
                (*latest).clone()
            }
            CommitmentId::Number(number) => {
                let found = self.store.commitment(number).map_err(internal)?;
                let last = self.store.latest().map_or(0, |latest| latest.commitment.number);
                found.ok_or_else(|| {
                    not_found(format!("there is no commitment {number}; the last is {last}"))
                })?
            }
        };
        Ok(self.render(&published))
    }

    fn render(&self, published: &Published) -> Value {
        let c = &published.commitment;
        debug_assert_eq!(c.statements, statements_root(&published.statements));
        let transfers = published.transfers.iter().map(|t| {
            json!({
                "environment": t.environment.0, "token": text(t.token), "delta": text(t.delta),
            })
        });
        let spans = published.spans.iter().map(|span| {
            json!({
                "first_slot": span.slots.0, "last_slot": span.slots.1,
                "data_root": text(span.data_root),
            })
        });
        json!({
            "number": c.number,
            "hash": text(c.hash()),
            "previous": text(c.previous),
            "network": text(c.network.0),
            "first_slot": c.slots.0,
            "last_slot": c.slots.1,
            "slot_hash": text(c.slot_hash),
            "cursor": c.cursor,
            "queue_hash": text(c.queue_hash),
            "withdrawals_root": text(c.withdrawals_root),
            "withdrawals_count": c.withdrawals_count,
            "statements_root": text(c.statements),
            "statements": published.statements.iter().map(statement).collect::<Vec<_>>(),
            "transfers": transfers.collect::<Vec<_>>(),
            "data": text(c.data),
            "spans": spans.collect::<Vec<_>>(),
            "signature": hex(&published.signature.to_bytes()),
            "availability": hex(&published.availability.to_bytes()),
            "bytes": hex(&published.to_bytes()),
            "status": self.view.status_of(c.number),
        })
    }

    fn withdrawal(&self, index: u64) -> Result<Value, QueryError> {
        let found = self.store.withdrawal(index).map_err(internal)?;
        let withdrawal = found.ok_or_else(|| {
            not_found(format!(
                "there is no withdrawal {index} in a commitment yet; {} are",
                self.store.withdrawals()
            ))
        })?;
        let mut value = render_withdrawal(&withdrawal);
        let settled = match self.settled() {
            Ok(settled) => Some(settled),
            Err(QueryError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let settled = settled.filter(|settled| index < settled.commitment.withdrawals_count);
        value["settled"] = json!(settled.is_some());
        if let Some(settled) = settled {
            let count = settled.commitment.withdrawals_count;
            let proof = self.store.proof(index, count);
            let proof = proof.ok_or_else(|| broken("the tree of withdrawals is incomplete"))?;
            value["commitment"] = json!(settled.commitment.number);
            value["root"] = json!(text(settled.commitment.withdrawals_root));
            value["proof"] = proof.iter().map(|sibling| json!(text(sibling))).collect();
        }
        Ok(value)
    }

    fn withdrawals(&self, to: Address) -> Result<Value, QueryError> {
        let count = self.store.withdrawals();
        let oldest = count.saturating_sub(WITHDRAWALS_SEARCHED);
        let mut list = Vec::new();
        for index in (oldest..count).rev() {
            let found = self.store.withdrawal(index).map_err(internal)?;
            list.extend(found.filter(|w| w.to == to).as_ref().map(render_withdrawal));
            if list.len() == WITHDRAWALS_MAX {
                break;
            }
        }
        Ok(json!({ "to": text(to), "withdrawals": list }))
    }

    fn header(&self, slot: u64) -> Result<Value, QueryError> {
        let sealed = self.shared.archive.sealed(slot).map_err(internal)?;
        let sealed = sealed.ok_or_else(|| not_found(format!("slot {slot} is not sealed")))?;
        Ok(json!({
            "slot": slot,
            "hash": text(sealed.header.hash()),
            "finalised": slot <= self.shared.finalised.load(Relaxed),
            "bytes": hex(&sealed.to_bytes()),
        }))
    }

    fn headers(&self, from: u64, count: u64) -> Result<Value, QueryError> {
        let mut bytes = Vec::new();
        let mut found = 0;
        while found < count
            && let Some(slot) = from.checked_add(found)
            && let Some(sealed) = self.shared.archive.sealed(slot).map_err(internal)?
        {
            sealed.encode(&mut bytes);
            found += 1;
        }
        Ok(json!({ "from": from, "count": found, "bytes": hex(&bytes) }))
    }

    /// The span of a slot, and the commitment that it is in, once it is.
    fn covering(&self, slot: u64) -> Result<(Option<u64>, SpanRoot), QueryError> {
        let Some(published) = self.store.covering(slot).map_err(internal)? else {
            let certificate = self.store.certificate(slot).map_err(internal)?;
            let certificate = certificate.ok_or_else(|| {
                not_found(format!("slot {slot} is not published yet; ask again in some seconds"))
            })?;
            return Ok((None, certificate.span));
        };
        let mut spans = published.spans.iter();
        let span = spans.find(|span| (span.slots.0..=span.slots.1).contains(&slot)).cloned();
        let span = span.ok_or_else(|| broken("a commitment without the span of its slot"))?;
        Ok((Some(published.commitment.number), span))
    }

    fn published_span(&self, slot: u64) -> Result<(Option<u64>, Arc<EncodedSpan>), QueryError> {
        let (commitment, at) = self.covering(slot)?;
        let span = self.spans.span(at.slots);
        let span = span.map_err(|error| QueryError::NotKept(format!("{error:#}")))?;
        if span.data_root() != at.data_root {
            return Err(broken("the data of the slot's span is damaged on disk"));
        }
        Ok((commitment, span))
    }

    fn span(&self, slot: u64) -> Result<Value, QueryError> {
        let (commitment, span) = self.published_span(slot)?;
        let certificate = self.store.certificate(slot).map_err(internal)?;
        let certificate = certificate.filter(|c| c.span.data_root == span.data_root());
        let certificate = certificate.map(|certificate| {
            let (first, last) = certificate.slots();
            json!({
                "first_slot": first, "last_slot": last, "data": text(certificate.data),
                "signature": hex(&certificate.signature.to_bytes()),
                "bytes": hex(&certificate.to_bytes()),
            })
        });
        let widths: Vec<u16> =
            span.header().squares().iter().map(|square| square.width()).collect();
        Ok(json!({
            "slot": slot,
            "commitment": commitment,
            "data_root": text(span.data_root()),
            "widths": widths,
            "header": hex(&span.header().to_bytes()),
            "certificate": certificate,
            "layers": self.receipts(slot)?,
        }))
    }

    /// Where else the span of a slot is.
    fn receipts(&self, slot: u64) -> Result<Vec<Value>, QueryError> {
        let (_, span) = self.covering(slot)?;
        let mut found = Vec::new();
        for layer in &self.layers {
            let receipt = layer.receipts.receipt(span.slots.0).map_err(internal)?;
            if let Some(receipt) = receipt.filter(|receipt| receipt.is_complete()) {
                let (first, last) = receipt.blocks().unwrap_or_default();
                found.push(json!({
                    "layer": receipt.layer.name(), "first_block": first, "last_block": last,
                    "bytes": receipt.bytes, "receipt": hex(&receipt.to_bytes()),
                }));
            }
        }
        Ok(found)
    }

    fn sample(&self, slot: u64, position: Position) -> Result<Value, QueryError> {
        let (_, span) = self.published_span(slot)?;
        let sample = span
            .sample(position, Axis::Row)
            .map_err(|error| QueryError::Invalid(error.to_string()))?;
        Ok(json!({ "sample": hex(&sample.to_bytes()) }))
    }

    fn namespace(
        &self,
        slot: u64,
        environment: Option<EnvironmentId>,
    ) -> Result<Value, QueryError> {
        let (commitment, span) = self.published_span(slot)?;
        let owner = environment.map_or(Owner::Headers, Owner::Environment);
        let namespace = Namespace::of(self.shared.network, owner);
        let namespace = namespace.ok_or_else(|| QueryError::Invalid("no such owner".into()))?;
        Ok(json!({
            "commitment": commitment,
            "namespace": hex(namespace.as_bytes()),
            "data_root": text(span.data_root()),
            "proof": hex(&span.namespace_proof(namespace).to_bytes()),
        }))
    }

    fn proof(&self, environment: EnvironmentId, key: &[u8]) -> Result<Value, QueryError> {
        let settled = self.settled()?;
        let commitment = &settled.commitment;
        let at = settled.statements.iter().position(|s| s.environment == environment);
        let at = at.ok_or_else(|| not_found("the commitment has no such environment"))?;
        let slot = commitment.slots.1;
        let not_kept = |error: anyhow::Error| QueryError::NotKept(format!("{error:#}"));
        let mut kept = self.past.lock();
        let reusable = kept.take().filter(|past| past.slot() <= slot);
        let mut past = match reusable {
            Some(past) => past,
            None => {
                let (network, specs) = witness::specs(&self.data_dir).map_err(internal)?;
                Past::restore(&self.data_dir, network, &specs, slot + 1).map_err(not_kept)?
            }
        };
        past.run_through(&self.data_dir, slot).map_err(not_kept)?;
        let found = past.object(environment, key).map_err(internal)?;
        let absence = match found {
            Some(_) => None,
            None => Some(past.absence(environment, key).map_err(internal)?),
        };
        *kept = Some(past);
        drop(kept);
        let path = atoll_state::db::key_path(key);
        let root = settled.statements[at].post_root;
        let holds = match (&found, &absence) {
            (Some((value, proof)), _) => {
                proof.verify(&root, &path, &atoll_state::db::value_hash(value))
            }
            (None, Some(proof)) => VerifiedWitness::verify(root.0, proof, &[(path, None)]).is_ok(),
            (None, None) => false,
        };
        if !holds {
            return Err(broken("the state made again is not the one that was settled"));
        }
        let siblings = found.iter().flat_map(|(_, proof)| &proof.0);
        Ok(json!({
            "commitment": commitment.number,
            "slot": slot,
            "environment": environment.0,
            "root": text(root),
            "key": hex(key),
            "value": found.as_ref().map(|(value, _)| hex(value)),
            "siblings": siblings.map(text).collect::<Vec<_>>(),
            "absence": absence.map(|proof| hex(&proof)),
            "statement": statement(&settled.statements[at]),
            "statement_index": at,
            "statement_hashes":
                settled.statements.iter().map(|s| text(s.hash())).collect::<Vec<_>>(),
        }))
    }
}

fn render_withdrawal(w: &Withdrawal) -> Value {
    json!({
        "index": w.index, "environment": w.environment.0, "from": text(w.from), "to": text(w.to),
        "token": text(w.token), "amount": text(w.amount), "leaf": text(w.leaf()),
    })
}

fn statement(s: &Statement) -> Value {
    let word = |hash: B256| text(hash);
    json!({
        "environment": s.environment.0, "hash": word(s.hash()),
        "protocol_version": s.protocol_version,
        "spec_hash": word(s.spec_hash), "program_id": word(s.program_id),
        "first_slot": s.slots.0, "last_slot": s.slots.1,
        "first_time_us": s.times_us.0, "last_time_us": s.times_us.1,
        "pre_root": word(s.pre_root), "post_root": word(s.post_root), "batch": word(s.batch),
        "cursor_before": s.hub_cursor.0, "cursor_after": s.hub_cursor.1,
        "inbox": word(s.inbox), "outbox": word(s.outbox), "receipts": word(s.receipts),
        "foreign_roots": word(s.foreign_roots),
    })
}
