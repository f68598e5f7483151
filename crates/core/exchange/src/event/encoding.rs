//! How events are encoded: a number, then the fields in order.

use super::Event;
use crate::field::Field;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Reader};

impl Field for Event {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accepted(order) => {
                out.push(0);
                order.put(out);
            }
            Self::Rested(order) => {
                out.push(1);
                order.put(out);
            }
            Self::Filled(fill) => {
                out.push(2);
                fill.put(out);
            }
            Self::Cancelled { order, reason } => {
                out.push(3);
                order.put(out);
                reason.put(out);
            }
            Self::Modified { old, new } => {
                out.push(4);
                old.put(out);
                new.put(out);
            }
            Self::AccountOpened { account, address } => {
                out.push(5);
                account.put(out);
                address.put(out);
            }
            Self::BalanceChanged { account, asset, wallet, change, balance, cause } => {
                out.push(6);
                account.put(out);
                asset.put(out);
                wallet.put(out);
                change.put(out);
                balance.put(out);
                cause.put(out);
            }
            Self::MarkChanged { market, mark, oracle } => {
                out.push(7);
                market.put(out);
                mark.put(out);
                oracle.put(out);
            }
            Self::LeverageSet { account, market, leverage, isolated } => {
                out.push(8);
                account.put(out);
                market.put(out);
                leverage.put(out);
                isolated.put(out);
            }
            Self::Liquidated { account, market, step, equity, maintenance } => {
                out.push(50);
                account.put(out);
                market.put(out);
                step.put(out);
                equity.put(out);
                maintenance.put(out);
            }
            Self::PositionTaken { market, from, to, size, value, closed_pnl, taker_pnl } => {
                out.push(51);
                market.put(out);
                from.put(out);
                to.put(out);
                size.put(out);
                value.put(out);
                closed_pnl.put(out);
                taker_pnl.put(out);
            }
            Self::InsurancePaid { account, asset, amount } => {
                out.push(52);
                account.put(out);
                asset.put(out);
                amount.put(out);
            }
            Self::ShortfallBooked { account, asset, amount } => {
                out.push(53);
                account.put(out);
                asset.put(out);
                amount.put(out);
            }
            Self::Ranked { market, side, count, done } => {
                out.push(54);
                market.put(out);
                side.put(out);
                count.put(out);
                done.put(out);
            }
            Self::InsuranceChanged { asset, amount } => {
                out.push(55);
                asset.put(out);
                amount.put(out);
            }
            Self::FundingPaid { account, market, size, amount, change } => {
                out.push(40);
                account.put(out);
                market.put(out);
                size.put(out);
                amount.put(out);
                change.put(out);
            }
            Self::InterestPaid { account, asset, amount } => {
                out.push(41);
                account.put(out);
                asset.put(out);
                amount.put(out);
            }
            Self::IsolatedMargin { account, market, change, margin } => {
                out.push(42);
                account.put(out);
                market.put(out);
                change.put(out);
                margin.put(out);
            }
            Self::MarketListed { market, account, bond } => {
                out.push(60);
                market.put(out);
                account.put(out);
                bond.put(out);
            }
            Self::BondReleased { market, account, amount, forfeited } => {
                out.push(61);
                market.put(out);
                account.put(out);
                amount.put(out);
                forfeited.put(out);
            }
            Self::StatusChanged { market, status } => {
                out.push(9);
                market.put(out);
                status.put(out);
            }
            Self::Resized { order, reason } => {
                out.push(10);
                order.put(out);
                reason.put(out);
            }
            Self::Displayed { market, order, displayed } => {
                out.push(12);
                market.put(out);
                order.put(out);
                displayed.put(out);
            }
            Self::PositionSettled { account, market, size, price, closed_pnl } => {
                out.push(11);
                account.put(out);
                market.put(out);
                size.put(out);
                price.put(out);
                closed_pnl.put(out);
            }
            Self::TriggerSet(order) => {
                out.push(20);
                order.put(out);
            }
            Self::TriggerFired(order) => {
                out.push(21);
                order.put(out);
            }
            Self::TriggerRefused { order, code } => {
                out.push(22);
                order.put(out);
                code.put(out);
            }
            Self::TwapStarted(twap) => {
                out.push(23);
                twap.put(out);
            }
            Self::TwapSlice { twap, size, refused } => {
                out.push(24);
                twap.put(out);
                size.put(out);
                refused.put(out);
            }
            Self::TwapEnded { twap, reason } => {
                out.push(25);
                twap.put(out);
                reason.put(out);
            }
            Self::CancelScheduled { account, at_ms } => {
                out.push(26);
                account.put(out);
                at_ms.put(out);
            }
            Self::ScheduleDone { account } => {
                out.push(27);
                account.put(out);
            }
            Self::FundingAccrued { market, rate, premium, oracle, index } => {
                out.push(30);
                market.put(out);
                rate.put(out);
                premium.put(out);
                oracle.put(out);
                index.put(out);
            }
            Self::MarginScaled { market, initial_ppm, maintenance_ppm } => {
                out.push(31);
                market.put(out);
                initial_ppm.put(out);
                maintenance_ppm.put(out);
            }
            Self::SourceIgnored { market, source, price, median, ignored } => {
                out.push(32);
                market.put(out);
                source.put(out);
                price.put(out);
                median.put(out);
                ignored.put(out);
            }
            Self::OracleStale { market, stale } => {
                out.push(33);
                market.put(out);
                stale.put(out);
            }
            Self::Guarded { market, reason, from, to } => {
                out.push(34);
                market.put(out);
                reason.put(out);
                from.put(out);
                to.put(out);
            }
            Self::Uncrossed { market, price, volume } => {
                out.push(35);
                market.put(out);
                price.put(out);
                volume.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match r.u8()? {
            0 => Self::Accepted(Field::get(r)?),
            1 => Self::Rested(Field::get(r)?),
            2 => Self::Filled(Field::get(r)?),
            3 => Self::Cancelled { order: Field::get(r)?, reason: Field::get(r)? },
            4 => Self::Modified { old: Field::get(r)?, new: Field::get(r)? },
            5 => Self::AccountOpened { account: Field::get(r)?, address: Field::get(r)? },
            6 => Self::BalanceChanged {
                account: Field::get(r)?,
                asset: Field::get(r)?,
                wallet: Field::get(r)?,
                change: Field::get(r)?,
                balance: Field::get(r)?,
                cause: Field::get(r)?,
            },
            7 => Self::MarkChanged {
                market: Field::get(r)?,
                mark: Field::get(r)?,
                oracle: Field::get(r)?,
            },
            8 => Self::LeverageSet {
                account: Field::get(r)?,
                market: Field::get(r)?,
                leverage: Field::get(r)?,
                isolated: Field::get(r)?,
            },
            50 => Self::Liquidated {
                account: Field::get(r)?,
                market: Field::get(r)?,
                step: Field::get(r)?,
                equity: Field::get(r)?,
                maintenance: Field::get(r)?,
            },
            51 => Self::PositionTaken {
                market: Field::get(r)?,
                from: Field::get(r)?,
                to: Field::get(r)?,
                size: Field::get(r)?,
                value: Field::get(r)?,
                closed_pnl: Field::get(r)?,
                taker_pnl: Field::get(r)?,
            },
            52 => Self::InsurancePaid {
                account: Field::get(r)?,
                asset: Field::get(r)?,
                amount: Field::get(r)?,
            },
            53 => Self::ShortfallBooked {
                account: Field::get(r)?,
                asset: Field::get(r)?,
                amount: Field::get(r)?,
            },
            54 => Self::Ranked {
                market: Field::get(r)?,
                side: Field::get(r)?,
                count: Field::get(r)?,
                done: Field::get(r)?,
            },
            55 => Self::InsuranceChanged { asset: Field::get(r)?, amount: Field::get(r)? },
            60 => Self::MarketListed {
                market: Field::get(r)?,
                account: Field::get(r)?,
                bond: Field::get(r)?,
            },
            61 => Self::BondReleased {
                market: Field::get(r)?,
                account: Field::get(r)?,
                amount: Field::get(r)?,
                forfeited: Field::get(r)?,
            },
            40 => Self::FundingPaid {
                account: Field::get(r)?,
                market: Field::get(r)?,
                size: Field::get(r)?,
                amount: Field::get(r)?,
                change: Field::get(r)?,
            },
            41 => Self::InterestPaid {
                account: Field::get(r)?,
                asset: Field::get(r)?,
                amount: Field::get(r)?,
            },
            42 => Self::IsolatedMargin {
                account: Field::get(r)?,
                market: Field::get(r)?,
                change: Field::get(r)?,
                margin: Field::get(r)?,
            },
            9 => Self::StatusChanged { market: Field::get(r)?, status: Field::get(r)? },
            10 => Self::Resized { order: Field::get(r)?, reason: Field::get(r)? },
            11 => Self::PositionSettled {
                account: Field::get(r)?,
                market: Field::get(r)?,
                size: Field::get(r)?,
                price: Field::get(r)?,
                closed_pnl: Field::get(r)?,
            },
            12 => Self::Displayed {
                market: Field::get(r)?,
                order: Field::get(r)?,
                displayed: Field::get(r)?,
            },
            20 => Self::TriggerSet(Field::get(r)?),
            21 => Self::TriggerFired(Field::get(r)?),
            22 => Self::TriggerRefused { order: Field::get(r)?, code: Field::get(r)? },
            23 => Self::TwapStarted(Field::get(r)?),
            24 => Self::TwapSlice {
                twap: Field::get(r)?,
                size: Field::get(r)?,
                refused: Field::get(r)?,
            },
            25 => Self::TwapEnded { twap: Field::get(r)?, reason: Field::get(r)? },
            26 => Self::CancelScheduled { account: Field::get(r)?, at_ms: Field::get(r)? },
            27 => Self::ScheduleDone { account: Field::get(r)? },
            30 => Self::FundingAccrued {
                market: Field::get(r)?,
                rate: Field::get(r)?,
                premium: Field::get(r)?,
                oracle: Field::get(r)?,
                index: Field::get(r)?,
            },
            31 => Self::MarginScaled {
                market: Field::get(r)?,
                initial_ppm: Field::get(r)?,
                maintenance_ppm: Field::get(r)?,
            },
            32 => Self::SourceIgnored {
                market: Field::get(r)?,
                source: Field::get(r)?,
                price: Field::get(r)?,
                median: Field::get(r)?,
                ignored: Field::get(r)?,
            },
            33 => Self::OracleStale { market: Field::get(r)?, stale: Field::get(r)? },
            34 => Self::Guarded {
                market: Field::get(r)?,
                reason: Field::get(r)?,
                from: Field::get(r)?,
                to: Field::get(r)?,
            },
            35 => Self::Uncrossed {
                market: Field::get(r)?,
                price: Field::get(r)?,
                volume: Field::get(r)?,
            },
            _ => return Err(CodecError::Invalid("exchange event")),
        })
    }
}
