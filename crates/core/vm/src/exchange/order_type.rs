//! The `t` of an order. Hyperliquid's, and what goes beyond it:
//!
//! | `t` | |
//! | --- | --- |
//! | `{"limit": {"tif": "Gtc" \| "Alo" \| "Ioc"}}` | as on Hyperliquid |
//! | `{"trigger": {"isMarket": true, "triggerPx": "0.5", "tpsl": "sl"}}` | as on Hyperliquid |
//! | `{"limit": {"tif": "Fok"}}` | all of it at once, or nothing |
//! | `{"limit": {"tif": …, "expires": 1767225600000}}` | good till date, milliseconds |
//! | `{"limit": {"tif": …, "display": "0.5"}}` | iceberg: the size that shows at a time |
//! | `{"market": {"slippage": "0.01"}}` | at up to so much from the mark; `p` must be `"0"` |

use super::action::{decimal, once};
use super::conditional::TriggerType;
use super::decimal::Decimal;
use super::msgpack::{MsgpackError, MsgpackReader};
use atoll_exchange::Tif;

/// How an order is to trade.
#[derive(Clone, Copy, Debug)]
pub(super) enum OrderType {
    /// At its price or better.
    Limit { tif: Tif, expires_ms: u64, display: Option<Decimal> },
    /// At up to so much from the mark.
    Market { slippage: Decimal },
    /// Once the mark is there.
    Trigger(TriggerType),
}

impl OrderType {
    pub(super) fn read(reader: &mut MsgpackReader<'_>) -> Result<Self, MsgpackError> {
        let mut found = None;
        reader.entries(|key, r| {
            Ok(match key {
                "limit" => once(&mut found, Self::limit(r)?),
                "market" => {
                    let mut slippage = None;
                    r.entries(|key, r| {
                        Ok(key == "slippage" && once(&mut slippage, decimal("slippage", r)?))
                    })?;
                    let slippage = slippage.ok_or(MsgpackError::Missing("slippage"))?;
                    once(&mut found, Self::Market { slippage })
                }
                "trigger" => once(&mut found, Self::Trigger(TriggerType::read(r)?)),
                _ => false,
            })
        })?;
        found.ok_or(MsgpackError::Missing("limit"))
    }

    fn limit(reader: &mut MsgpackReader<'_>) -> Result<Self, MsgpackError> {
        let (mut tif, mut expires, mut display) = (None, None, None);
        reader.entries(|key, r| {
            Ok(match key {
                "tif" => once(&mut tif, self::tif(r)?),
                "expires" => once(&mut expires, r.unsigned()?),
                "display" => once(&mut display, decimal("display", r)?),
                _ => false,
            })
        })?;
        let tif = tif.ok_or(MsgpackError::Missing("tif"))?;
        Ok(Self::Limit { tif, expires_ms: expires.unwrap_or(0), display })
    }
}

fn tif(reader: &mut MsgpackReader<'_>) -> Result<Tif, MsgpackError> {
    match reader.string()? {
        "Gtc" => Ok(Tif::Gtc),
        "Ioc" => Ok(Tif::Ioc),
        "Alo" => Ok(Tif::PostOnly),
        "Fok" => Ok(Tif::Fok),
        _ => {
            let expected = "\"Gtc\", \"Ioc\", \"Alo\" or \"Fok\"";
            Err(MsgpackError::Value { key: "tif", expected })
        }
    }
}
