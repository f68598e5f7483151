//! Adapters: the gateway's ports on a running node.

mod atoll;
mod evm;
pub(crate) mod exchange;
mod metrics;

pub(crate) use atoll::AtollAdapter;
pub(crate) use evm::{EvmAdapter, EvmFeeds, EvmObserver, Workshop, index as evm_index};
pub(crate) use metrics::NodeMetrics;

use super::Shared;
use super::driver;
use super::environment::Live;
use atoll_rpc::port::{Accepted, Pending, QueryError, ReceiptView, Submit, Wait};
use atoll_state::Resident;
use atoll_types::{Encode, EnvironmentId, Reject, RejectCode, Transaction};
use atoll_vm::Receipt;
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVm};
use std::sync::Arc;

/// An exchange environment of this node.
pub(crate) type LiveExchange = Arc<Live<ExchangeVm<Resident>>>;

/// The way in.
pub(crate) struct SubmitAdapter(pub(crate) Arc<Shared>);

impl Submit for SubmitAdapter {
    fn submit(
        &self,
        environment: EnvironmentId,
        bytes: Vec<u8>,
        wait: Wait,
    ) -> Pending<'_, Result<Accepted, Reject>> {
        Box::pin(async move {
            let hash = Transaction::hash_parts(environment, &bytes);
            let wait = match wait {
                Wait::Admission => driver::Wait::Admission,
                Wait::Confirmation => driver::Wait::Confirmation,
                Wait::Execution => driver::Wait::Execution,
            };
            let answer = self.0.submit(environment, bytes, wait)?;
            let stopped = || Reject::new(RejectCode::Busy, "the node is shutting down");
            let (confirmation, receipt) = answer.await.map_err(|_| stopped())??;
            let receipt = receipt.map(|receipt| receipt_view(&receipt));
            Ok(Accepted { hash, confirmation, receipt })
        })
    }
}

/// A receipt for the gateway.
pub(crate) fn receipt_view(receipt: &Receipt) -> ReceiptView {
    let code = receipt.rejection();
    let message = match code {
        None => String::new(),
        Some(code) => match ExchangeReceipt::of(receipt) {
            Err(reject) => reject.message,
            Ok(_) => code.label().to_string(),
        },
    };
    ReceiptView { code, message, bytes: receipt.to_bytes().into() }
}

/// A failure of the node's own storage.
pub(crate) fn internal(error: anyhow::Error) -> QueryError {
    QueryError::Internal(format!("{error:#}"))
}

/// Runs work that holds a thread for long on the pool that is there for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(QueryError::Internal("the query failed inside the node".into())),
    }
}
