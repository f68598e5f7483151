//! What anyone may do for the venue's safety; not Hyperliquid's.
//!
//! | action | |
//! | --- | --- |
//! | `{"type":"liquidate","user":"0x…","asset":N}` | next step for an isolated position |
//! | `{"type":"liquidate","user":"0x…","asset":null}` | next step for a cross account |
//! | `{"type":"deleverage","asset":N,"isBuy":true}` | goes on with what bankrupt longs left |
//! | `{"type":"settlePosition","user":"0x…","asset":N}` | closes a position in a settled market |
//! | `{"type":"fundInsurance","amount":"12.5"}` | gives collateral to the insurance fund |

use super::action::{Action, Decoder, Fields, Step, decimal, hex, malformed, step_refusal};
use super::msgpack::{MsgpackError, MsgpackReader};
use alloc::vec;
use atoll_exchange::{Command, Refusal, Side};
use atoll_types::{Address, Reject, RejectCode};

impl Decoder<'_> {
    pub(super) fn liquidate(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || {
            let owner = user(&mut fields.take("user")?)?;
            let mut asset = fields.take("asset")?;
            Ok((owner, if asset.nil() { None } else { Some(asset.unsigned()?) }))
        };
        let (owner, asset) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let market = asset.map(|asset| self.market(asset)).transpose();
        Ok(only(market.map(|market| Command::Liquidate { owner, market })))
    }

    pub(super) fn deleverage(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || Ok((fields.take("asset")?.unsigned()?, fields.take("isBuy")?.bool()?));
        let (asset, buy) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let side = if buy { Side::Buy } else { Side::Sell };
        Ok(only(self.market(asset).map(|market| Command::Deleverage { market, side })))
    }

    pub(super) fn settle_position(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || Ok((user(&mut fields.take("user")?)?, fields.take("asset")?.unsigned()?));
        let (owner, asset) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        Ok(only(self.market(asset).map(|market| Command::SettlePosition { owner, market })))
    }

    pub(super) fn fund_insurance(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let amount = fields.take("amount").and_then(|mut r| decimal("amount", &mut r));
        let amount = amount.map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let asset = self.rules.spec().collateral;
        let spec = self.rules.spec().assets.get(usize::from(asset.0));
        let units = amount.steps(spec.map_or(0, |asset| asset.decimals), 1);
        const OFF: &str = "the amount has more decimals than the collateral asset; see the spec";
        let command = units
            .map(|units| Command::FundInsurance { asset, amount: units.into() })
            .map_err(|error| step_refusal(error, RejectCode::OffLot, OFF));
        Ok(only(command))
    }
}

fn only(command: Result<Command, Refusal>) -> Action {
    Action::Commands(vec![Step { target_market: None, command }])
}

fn user(reader: &mut MsgpackReader<'_>) -> Result<Address, MsgpackError> {
    let expected = "an address: 0x and 40 hexadecimal digits";
    let bytes = hex(reader.string()?).ok_or(MsgpackError::Value { key: "user", expected })?;
    Ok(Address::new(bytes))
}
