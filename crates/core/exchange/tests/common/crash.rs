//! Plans that make crashes: pairs of positions, violent marks, liquidations of whoever is due.

use super::twin::Twin;
use super::*;

pub(crate) const ACCOUNTS: u32 = 7;
/// The last account, the spec's vault where it has one.
pub(crate) const VAULT: u32 = ACCOUNTS - 1;

#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Op(Op),
    /// Two accounts trade with each other at the mark.
    Pair(u32, u32, MarketId, u64),
    /// A resting order so far from the mark, as a bid or an ask, that perhaps only reduces.
    Rest(u32, MarketId, Side, u64, u64, bool),
    /// The oracle moves by so many thousandths, and the marks follow.
    Jump(MarketId, i64),
    Later(u64),
    /// Someone who is due, or not.
    Liquidate(usize),
    /// Something that was left.
    Deleverage(usize),
    /// All that is due, so many times, and all that is left.
    Storm(usize),
    /// A violent move, then such storms, with time between them.
    Crash(MarketId, i64, usize),
    /// A last move, and a market is settled, and all positions in it.
    End(MarketId, i64, usize),
}

pub(crate) fn tick(twin: &Twin, later: u64) -> Op {
    Op::In(Input::Tick { time_us: twin.time_us() + later })
}

/// What an order of a plan comes to now; an empty list when there is nothing to do it to.
pub(crate) fn concrete(plan: &Plan, twin: &Twin) -> Vec<Op> {
    let known = |market: MarketId| usize::from(market.0) < twin.markets_count();
    let command = |who: u32, command| Op::Do(AccountId(who), command);
    let due = |nth: usize| {
        let due = twin.due_now();
        let (n, market) = *due.get(nth % due.len().max(1))?;
        Some(command(0, Command::Liquidate { owner: address(n), market }))
    };
    let left = |nth: usize| {
        let left = twin.unfinished();
        let (market, side) = *left.get(nth % left.len().max(1))?;
        Some(command(1, Command::Deleverage { market, side }))
    };
    match *plan {
        Plan::Op(ref op) => vec![op.clone()],
        Plan::Pair(a, b, market, size) if known(market) => {
            let price = twin.mark(market);
            [(a, Side::Buy), (b, Side::Sell)]
                .map(|(n, side)| command(n, Command::Place(order(market, side, price, size))))
                .into()
        }
        Plan::Rest(n, market, side, off, size, reduce_only) if known(market) => {
            let mark = twin.mark(market);
            let price = if side == Side::Buy { mark.saturating_sub(off) } else { mark + off };
            let request = OrderRequest { reduce_only, ..order(market, side, price, size) };
            vec![command(n, Command::Place(request))]
        }
        Plan::Jump(market, by) if known(market) => {
            // Coins' collateral hangs on the first market, which goes with them.
            let price = (twin.mark(market) as i64 * (1000 + by) / 1000).clamp(100, 10_000) as u64;
            vec![Op::In(Input::Oracle(OracleReport::sole(market, price))), tick(twin, 500)]
        }
        Plan::Later(by) => vec![tick(twin, by)],
        Plan::Liquidate(nth) => due(nth).into_iter().collect(),
        Plan::Deleverage(nth) => left(nth).into_iter().collect(),
        Plan::Storm(n) => (0..n).filter_map(due).chain((0..2 * n).filter_map(left)).collect(),
        Plan::Crash(market, by, n) if known(market) => {
            let mut ops = concrete(&Plan::Jump(market, by), twin);
            let mut then = twin.clone();
            ops.iter().for_each(|op| drop(then.run(op)));
            for _ in 0..n {
                let mut more = concrete(&Plan::Storm(4), &then);
                more.push(tick(&then, 100_000));
                more.iter().for_each(|op| drop(then.run(op)));
                ops.extend(more);
            }
            ops
        }
        Plan::End(market, by, storm) if known(market) => {
            // Positions that the move finds.
            let pairs = (0..VAULT).map(|n| Plan::Pair(n, (n + 1 + n % 2) % VAULT, market, 900));
            let mut ops: Vec<Op> = pairs.flat_map(|pair| concrete(&pair, twin)).collect();
            ops.extend(concrete(&Plan::Jump(market, by), twin));
            let mut then = twin.clone();
            ops.iter().for_each(|op| drop(then.run(op)));
            // Some are left to their fate before, some after.
            let half = concrete(&Plan::Storm(storm), &then);
            half.iter().for_each(|op| drop(then.run(op)));
            ops.extend(half);
            let settle = Op::In(Input::SetStatus { market, status: MarketStatus::Settled });
            let each = (0..ACCOUNTS)
                .map(|n| command(2, Command::SettlePosition { owner: address(n), market }));
            let end: Vec<Op> = std::iter::once(settle).chain(each).collect();
            end.iter().for_each(|op| drop(then.run(op)));
            ops.extend(end);
            for _ in 0..4 {
                let more = concrete(&Plan::Storm(8), &then);
                more.iter().for_each(|op| drop(then.run(op)));
                ops.extend(more);
            }
            ops
        }
        _ => Vec::new(),
    }
}

/// These amounts, ten thousand coins each, some on isolated margin; marks at 1000 ticks.
pub(crate) fn begin(markets: usize, money: &[Amount], isolated: &[(u32, MarketId)]) -> Vec<Op> {
    let mut ops = Vec::new();
    for (n, money) in (0..).zip(money) {
        for (asset, wallet, amount) in
            [(USDC, Wallet::Collateral, *money), (COIN, Wallet::Spot, 10_000_000_000)]
        {
            ops.push(Op::In(Input::Credit { address: address(n), asset, wallet, amount }));
        }
    }
    for market in [BTC, ETH, INV] {
        if usize::from(market.0) < markets {
            ops.push(Op::In(Input::Oracle(OracleReport::sole(market, 1000))));
        }
    }
    ops.push(Op::In(Input::Tick { time_us: 1_000_000 }));
    for (n, market) in isolated {
        let leverage = Command::SetLeverage { market: *market, leverage: 20, isolated: true };
        ops.push(Op::Do(AccountId(*n), leverage));
        // Coins, so that inverse positions can be opened there.
        let (asset, to, amount) = (COIN, Wallet::Collateral, 1_000_000);
        ops.push(Op::Do(AccountId(*n), Command::Move { asset, to, amount }));
    }
    ops
}
