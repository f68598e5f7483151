//! Hyperliquid's margin actions: `updateLeverage`, `updateIsolatedMargin`.

use super::action::{Action, Decoder, Fields, Step, malformed, refusal};
use alloc::vec;
use atoll_exchange::{AssetId, Command, MarketId, Refusal, Rules};
use atoll_types::{Reject, RejectCode};

/// Decimals of `ntli`, Hyperliquid's margin amounts.
const NTLI_DECIMALS: u32 = 6;

impl Decoder<'_> {
    /// `{asset, isCross, leverage}`.
    pub(super) fn leverage(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || {
            let asset = fields.take("asset")?.unsigned()?;
            Ok((asset, fields.take("isCross")?.bool()?, fields.take("leverage")?.unsigned()?))
        };
        let (asset, cross, leverage) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        // A leverage that no byte holds is above every market's maximum.
        let leverage = u8::try_from(leverage).unwrap_or(u8::MAX);
        let set = |market| Command::SetLeverage { market, leverage, isolated: !cross };
        let command = self.market(asset).map(set);
        Ok(Action::Commands(vec![Step { target_market: None, command }]))
    }

    /// `{asset, isBuy, ntli}`: `ntli` millionths of the asset that the position settles in go into
    /// an isolated position, or out of it if it is negative. `isBuy` says nothing, as on
    /// Hyperliquid, where it waits for positions on both sides.
    pub(super) fn isolated_margin(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || {
            let asset = fields.take("asset")?.unsigned()?;
            fields.take("isBuy")?.bool()?;
            Ok((asset, fields.take("ntli")?.signed()?))
        };
        let (asset, ntli) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let adjust = |market| {
            let amount = millionths(self.rules, market, ntli)?;
            Ok(Command::AdjustMargin { market, amount })
        };
        let command = self.market(asset).and_then(adjust);
        Ok(Action::Commands(vec![Step { target_market: None, command }]))
    }
}

/// Millionths of a market's quote asset in its smallest unit.
fn millionths(rules: &Rules, market: MarketId, ntli: i64) -> Result<i128, Refusal> {
    let quote = rules.market(market).map_or(AssetId(0), |rules| rules.quote);
    let decimals = rules.spec().assets.get(usize::from(quote.0)).map_or(0, |asset| asset.decimals);
    let (decimals, ntli) = (u32::from(decimals), i128::from(ntli));
    if decimals >= NTLI_DECIMALS {
        return Ok(ntli * 10i128.pow(decimals - NTLI_DECIMALS));
    }
    let step = 10i128.pow(NTLI_DECIMALS - decimals);
    if ntli % step != 0 {
        let message = "the amount has more decimals than the asset; see the spec";
        return Err(refusal(RejectCode::OffLot, message));
    }
    Ok(ntli / step)
}
