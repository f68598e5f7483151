//! The built-in liquidator: sends the liquidations that the node's own index finds, with a key of
//! its own and through the same admission as everyone.

use super::{Trader, Venue};
use crate::node::liquidations::Liquidations;
use atoll_types::crypto::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// Most liquidations at a time: a slot does only so many.
const BATCH: usize = 32;

/// Liquidates until told to stop.
pub(crate) async fn run(
    venue: Venue,
    liquidations: Arc<Liquidations>,
    mut stop: watch::Receiver<bool>,
) {
    let mut trader = Trader::new(SigningKey::from_label("liquidator"));
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        for unit in liquidations.found().iter().take(BATCH) {
            // What is refused (by then it may cover its margin) is found again if it has to be.
            let _ = venue.liquidate(&mut trader, &unit.owner, unit.market);
        }
    }
}
