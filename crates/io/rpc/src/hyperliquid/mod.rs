//! The Hyperliquid-compatible doors: `/info`, `/exchange` and `/ws`.

use crate::server::Shared;
use atoll_types::EnvironmentId;
use axum::Router;
use std::sync::Arc;

/// The exchange environment behind these doors.
pub trait Venue: Send + Sync + 'static {
    /// The environment that orders go to.
    fn environment(&self) -> EnvironmentId;
}

/// The routes of this API.
pub fn routes(_shared: Arc<Shared>) -> Router {
    Router::new()
}
