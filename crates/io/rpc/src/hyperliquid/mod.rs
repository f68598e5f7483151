//! The Hyperliquid-compatible doors: `/info`, `/exchange` and `/ws`.

use crate::server::Shared;
use axum::Router;
use std::sync::Arc;

/// The routes of this API.
pub fn routes(_shared: Arc<Shared>) -> Router {
    Router::new()
}
