//! The built-in liquidator: sends the liquidations that the node's own index finds, and goes on with
//! what bankrupt accounts left, with a key of its own and through the same admission as everyone.

use super::{Trader, Venue};
use crate::node::liquidations::Liquidations;
use atoll_exchange::{MarketId, Side};
use atoll_types::crypto::SigningKey;
use atoll_vm::exchange::{ExchangeReceipt, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// Most liquidations at a time, and most steps with what was left in a market: a slot does only so
/// many.
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
        for (market, side) in waiting(&venue) {
            deleverage(&venue, &mut trader, market, side).await;
        }
    }
}

/// Where bankrupt accounts left something that nobody has taken over yet.
fn waiting(venue: &Venue) -> Vec<(MarketId, Side)> {
    let machine = venue.live.machine.read();
    let exchange = machine.vm().exchange();
    let markets = exchange.rules().spec().markets.len();
    let markets = (0..markets as u16).map(MarketId);
    let sides = markets.flat_map(|market| [Side::Buy, Side::Sell].map(|side| (market, side)));
    sides.filter(|(market, side)| exchange.peek_estate(*market, *side).size != 0).collect()
}

/// Goes on with it step by step; a step that is refused is tried again with the next look.
async fn deleverage(venue: &Venue, trader: &mut Trader, market: MarketId, side: Side) {
    for _ in 0..BATCH {
        let Ok(answer) = venue.deleverage(trader, market, side) else { return };
        let Ok(Ok((_, Some(receipt)))) = answer.await else { return };
        let refused = ExchangeReceipt::of(&receipt)
            .map_or(true, |done| matches!(done.statuses[..], [Status::Rejected { .. }, ..]));
        if refused || !waiting(venue).contains(&(market, side)) {
            return;
        }
    }
}
