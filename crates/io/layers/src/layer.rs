//! The port that every layer implements.

use crate::batch::SpanBatch;
use crate::receipt::{Layer, Receipt};
use atoll_da::{DaError, EncodedSpan, SpanStreams};
use atoll_types::{B256, CodecError, NetworkId};

/// Keeps a receipt durably; called before a step is made and after it.
pub type Keep<'a> = dyn FnMut(&Receipt) -> Result<(), LayerError> + 'a;

/// A layer that takes spans, gives them back, and proves that it has them.
pub trait DataLayer: Send {
    /// Which layer it is.
    fn layer(&self) -> Layer;

    /// Publishes a batch, or goes on with it from a receipt that was kept, until all of it is in
    /// the layer's blocks. `receipt` is [`Receipt::new`] at first.
    ///
    /// After an error that [`LayerError::is_temporary`] names, it may be called again with the
    /// receipt as it is then; so after a restart, with the receipt kept last. Called with a
    /// receipt that is complete it looks whether that still holds, and publishes again what a
    /// reorganisation has taken out.
    ///
    /// # Errors
    /// See [`LayerError`].
    fn publish(
        &mut self,
        batch: &SpanBatch,
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError>;

    /// Retrieves what a receipt names, and checks that it is that.
    ///
    /// # Errors
    /// See [`LayerError`].
    fn retrieve(&self, receipt: &Receipt) -> Result<SpanBatch, LayerError>;

    /// Checks that the layer's chain includes a batch as its receipt says. All names are computed
    /// from `batch`.
    ///
    /// # Errors
    /// See [`LayerError`].
    fn verify(&self, receipt: &Receipt, batch: &SpanBatch) -> Result<Inclusion, LayerError>;
}

/// That a batch is in a layer's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The first block with a part of it.
    pub first_block: u64,
    /// The last block with a part of it.
    pub last_block: u64,
    /// Whether none of these blocks can be replaced any more, as far as the layer promises that.
    pub finalised: bool,
}

/// Whether these streams are the span that a commitment names.
///
/// # Errors
/// Streams that no squares can be made of.
pub fn matches_root(
    network: NetworkId,
    span: &SpanStreams,
    data_root: B256,
) -> Result<bool, LayerError> {
    Ok(EncodedSpan::from_streams(network, span, 1)?.data_root() == data_root)
}

/// Why a layer did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The layer's node was not reached, or failed: try again.
    #[error("the layer's node does not answer as it should: {0}")]
    Unreachable(String),
    /// It takes longer: call again.
    #[error("not in a block yet: {0}")]
    Waiting(String),
    /// The layer's node refused.
    #[error("the layer's node refuses: {0}")]
    Refused(String),
    /// The layer has no such data, or not any more.
    #[error("the layer does not have it (any more): {0}; ask an archive of the layer")]
    Missing(String),
    /// What the layer's node gave is not what the receipt names.
    #[error("what the layer's node gives is not what was published: {0}; ask another node")]
    Forged(String),
    /// The receipt's data is not in the layer's chain.
    #[error("the layer's chain does not include it: {0}; publish again")]
    NotIncluded(String),
    /// A receipt that is not about this batch, or cannot be one.
    #[error("the receipt cannot be used: {0}")]
    BadReceipt(&'static str),
    /// The layer cannot be used as configured.
    #[error("the layer cannot be used like this: {0}")]
    Config(String),
    /// The receipt could not be kept, so nothing was sent.
    #[error("the receipt cannot be kept: {0}")]
    Keep(String),
    /// The data is not a span.
    #[error(transparent)]
    Data(#[from] DaError),
}

impl LayerError {
    /// Whether it may pass by itself, so that the same may be asked again.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Waiting(_))
    }
}

impl From<CodecError> for LayerError {
    fn from(error: CodecError) -> Self {
        Self::Forged(error.to_string())
    }
}
