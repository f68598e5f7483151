//! Listing markets and what becomes of them; Atoll's own, in the form of Hyperliquid's actions.
//!
//! | action | |
//! | --- | --- |
//! | `{"type":"listMarket","market":{…},"oracle":{…}\|null,"bond":"10000"}` | lists a market |
//! | `{"type":"setMarketStatus","asset":N,"status":"halted"}` | changes what a market is doing |
//! | `{"type":"claimBond","asset":N}` | gives the bond of a settled market back |
//! | `{"type":"forfeitBond","asset":N}` | takes a bond for the insurance fund |
//!
//! The market's keys are those of [`MarketSpec`] in camel case, in the units that it says; assets
//! are named by their symbols. A part that is left out of a spec (`funding`, `volatility`, `sanity`,
//! `oracle`) is null.

use super::action::{
    Action, Decoder, Fields, Step, decimal, hex, malformed, refusal, step_refusal,
};
use super::msgpack::{MsgpackError, MsgpackReader};
use alloc::boxed::Box;
use alloc::vec::Vec;
use atoll_exchange::spec::TIERS_BOUND;
use atoll_exchange::spec::prices::SOURCES_BOUND;
use atoll_exchange::{
    AssetId, Command, Contract, FundingSpec, ListedOracle, Listing, MarginTier, MarkRule,
    MarketRisk, MarketSpec, MarketStatus, OracleSpec, PriceSpec, Product, Refusal, SanitySpec,
    VolatilityModel, VolatilitySpec,
};
use atoll_types::{Address, Reject, RejectCode};

type Read<T> = Result<T, MsgpackError>;

/// The statuses by their names on the wire.
pub(super) const STATUSES: [(MarketStatus, &str); 7] = [
    (MarketStatus::Open, "open"),
    (MarketStatus::PostOnly, "postOnly"),
    (MarketStatus::ReduceOnly, "reduceOnly"),
    (MarketStatus::CancelOnly, "cancelOnly"),
    (MarketStatus::Auction, "auction"),
    (MarketStatus::Halted, "halted"),
    (MarketStatus::Settled, "settled"),
];

impl Decoder<'_> {
    pub(super) fn set_market_status(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || Ok((fields.take("asset")?.unsigned()?, status(&mut fields)?));
        let (asset, status) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        Ok(only(self.market(asset).map(|market| Command::SetStatus { market, status })))
    }

    pub(super) fn claim_bond(&self, fields: Fields<'_>) -> Result<Action, Reject> {
        let asset = asset(fields)?;
        Ok(only(self.market(asset).map(|market| Command::ClaimBond { market })))
    }

    pub(super) fn forfeit_bond(&self, fields: Fields<'_>) -> Result<Action, Reject> {
        let asset = asset(fields)?;
        Ok(only(self.market(asset).map(|market| Command::ForfeitBond { market })))
    }

    pub(super) fn list_market(&self, mut fields: Fields<'_>) -> Result<Action, Reject> {
        let mut read = || {
            let bond = decimal("bond", &mut fields.take("bond")?)?;
            let oracle = fields.table("oracle")?.map(oracle).transpose()?;
            let market = fields.table("market")?.ok_or(MsgpackError::Missing("market"))?;
            Ok((bond, oracle, self.listed(market)?))
        };
        let (bond, oracle, market) = read().map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let spec = self.rules.spec();
        let decimals = spec.assets.get(usize::from(spec.collateral.0)).map_or(0, |a| a.decimals);
        const OFF: &str = "the bond has more decimals than the collateral asset; see the spec";
        let units = bond.steps(decimals, 1);
        let command = units
            .map_err(|error| step_refusal(error, RejectCode::OffLot, OFF))
            .and_then(|bond| Ok(Listing { market: market?, oracle, bond }))
            .map(|listing| Command::ListMarket(Box::new(listing)));
        Ok(only(command))
    }

    /// A market; refused where it names an asset that there is not.
    fn listed(&self, mut of: Fields<'_>) -> Read<Result<MarketSpec, Refusal>> {
        let name = of.take("name")?.string()?.into();
        let product = of.table("product")?.ok_or(MsgpackError::Missing("product"))?;
        let product = self.product(product)?;
        let risk = of.table("risk")?.map_or(Ok(MarketRisk::default()), risk)?;
        let prices = of.table("prices")?.map_or(Ok(PriceSpec::default()), prices)?;
        let mut market = MarketSpec {
            name,
            product: Product::Spot { base: AssetId(0), quote: AssetId(0) },
            price_decimals: of.number("priceDecimals")?,
            size_decimals: of.number("sizeDecimals")?,
            tick: of.number("tick")?,
            lot: of.number("lot")?,
            price_max: of.number("priceMax")?,
            order_size_max: of.number("orderSizeMax")?,
            notional_min: of.number("notionalMin")?,
            price_band_ppm: of.number("priceBandPpm")?,
            maker_fee_ppm: {
                let fee = of.take("makerFeePpm")?.signed()?;
                let expected = "a 32-bit number";
                let wrong = MsgpackError::Value { key: "makerFeePpm", expected };
                i32::try_from(fee).map_err(|_| wrong)?
            },
            taker_fee_ppm: of.number("takerFeePpm")?,
            risk,
            prices,
        };
        of.finish()?;
        Ok(product.map(|product| {
            market.product = product;
            market
        }))
    }

    fn product(&self, mut of: Fields<'_>) -> Read<Result<Product, Refusal>> {
        const UNKNOWN: &str = "there is no such asset; spotMeta names the assets";
        let named = |symbol: &str| {
            let unknown = refusal(RejectCode::InvalidMarket, UNKNOWN);
            self.rules.asset_named(symbol).ok_or(unknown)
        };
        if of.has("base") {
            let base = named(of.take("base")?.string()?);
            let quote = named(of.take("quote")?.string()?);
            of.finish()?;
            return Ok(base.and_then(|base| Ok(Product::Spot { base, quote: quote? })));
        }
        let contract = match of.has("settle") {
            true => {
                let settle = named(of.take("settle")?.string()?);
                let face = of.number("face")?;
                settle.map(|settle| Contract::Inverse { settle, face })
            }
            false => Ok(Contract::Linear),
        };
        let initial_margin_ppm = of.number("initialMarginPpm")?;
        let maintenance_margin_ppm = of.number("maintenanceMarginPpm")?;
        let mark_band_ppm = of.number("markBandPpm")?;
        of.finish()?;
        Ok(contract.map(|contract| Product::Perpetual {
            contract,
            initial_margin_ppm,
            maintenance_margin_ppm,
            mark_band_ppm,
        }))
    }
}

fn only(command: Result<Command, Refusal>) -> Action {
    Action::Commands(alloc::vec![Step { target_market: None, command }])
}

fn asset(mut fields: Fields<'_>) -> Result<u64, Reject> {
    let asset = fields.take("asset").and_then(|mut r| r.unsigned()).map_err(malformed)?;
    fields.finish().map_err(malformed)?;
    Ok(asset)
}

fn status(fields: &mut Fields<'_>) -> Read<MarketStatus> {
    let mut reader = fields.take("status")?;
    let name = reader.string()?;
    let found = STATUSES.iter().find(|(_, known)| *known == name);
    let expected = "open, postOnly, reduceOnly, cancelOnly, auction, halted or settled";
    found.map(|(status, _)| *status).ok_or(MsgpackError::Value { key: "status", expected })
}

fn list<T>(
    mut reader: MsgpackReader<'_>,
    key: &'static str,
    most: u32,
    mut item: impl FnMut(Fields<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let count = reader.array()?;
    if count > most {
        let expected = "a shorter list; see the bounds of the spec";
        return Err(MsgpackError::Value { key, expected });
    }
    (0..count).map(|_| item(Fields::read(reader.skip()?)?)).collect()
}

fn risk(mut of: Fields<'_>) -> Read<MarketRisk> {
    let tier = |mut of: Fields<'_>| {
        let tier = MarginTier {
            lower_bound: of.number("lowerBound")?,
            initial_margin_ppm: of.number("initialMarginPpm")?,
            maintenance_margin_ppm: of.number("maintenanceMarginPpm")?,
        };
        of.finish()?;
        Ok(tier)
    };
    let risk = MarketRisk {
        tiers: list(of.take("tiers")?, "tiers", TIERS_BOUND, tier)?,
        open_interest_max: of.number("openInterestMax")?,
        concentration_ppm: of.number("concentrationPpm")?,
        isolated_only: of.take("isolatedOnly")?.bool()?,
    };
    of.finish()?;
    Ok(risk)
}

fn prices(mut of: Fields<'_>) -> Read<PriceSpec> {
    let mut interval = of.take("markIntervalUs")?;
    let mark = match interval.nil() {
        true => MarkRule::Book,
        false => MarkRule::Robust { interval_us: interval.unsigned()? },
    };
    let prices = PriceSpec {
        mark,
        funding: of.table("funding")?.map(funding).transpose()?,
        volatility: of.table("volatility")?.map(volatility).transpose()?,
        sanity: of.table("sanity")?.map(sanity).transpose()?,
    };
    of.finish()?;
    Ok(prices)
}

fn funding(mut of: Fields<'_>) -> Read<FundingSpec> {
    let funding = FundingSpec {
        impact_notional: of.number("impactNotional")?,
        interest_ppb: of.number("interestPpb")?,
        clamp_ppb: of.number("clampPpb")?,
        cap_ppb: of.number("capPpb")?,
    };
    of.finish()?;
    Ok(funding)
}

fn volatility(mut of: Fields<'_>) -> Read<VolatilitySpec> {
    let model = match of.has("lambdaPpm") {
        true => VolatilityModel::Ewma { lambda_ppm: of.number("lambdaPpm")? },
        false => VolatilityModel::Garch {
            alpha_ppm: of.number("alphaPpm")?,
            beta_ppm: of.number("betaPpm")?,
        },
    };
    let volatility = VolatilitySpec {
        model,
        interval_us: of.number("intervalUs")?,
        reference_ppm: of.number("referencePpm")?,
        scale_max_ppm: of.number("scaleMaxPpm")?,
        grace_us: of.number("graceUs")?,
        rise_ppm: of.number("risePpm")?,
    };
    of.finish()?;
    Ok(volatility)
}

fn sanity(mut of: Fields<'_>) -> Read<SanitySpec> {
    let sanity = SanitySpec {
        jump_ppm: of.number("jumpPpm")?,
        confirm_us: of.number("confirmUs")?,
        rate_ppm: of.number("ratePpm")?,
        hold_us: of.number("holdUs")?,
        limit_us: of.number("limitUs")?,
        auction_us: of.number("auctionUs")?,
        wide_us: of.number("wideUs")?,
    };
    of.finish()?;
    Ok(sanity)
}

fn oracle(mut of: Fields<'_>) -> Read<ListedOracle> {
    let source = |mut of: Fields<'_>| {
        let expected = "an address: 0x and 40 hexadecimal digits";
        let key = hex(of.take("key")?.string()?);
        let key = key.ok_or(MsgpackError::Value { key: "key", expected })?;
        let weight: u32 = of.number("weight")?;
        of.finish()?;
        Ok((Address::new(key), weight))
    };
    let sources = list(of.take("sources")?, "sources", SOURCES_BOUND, source)?;
    let (keys, weights): (Vec<Address>, Vec<u32>) = sources.into_iter().unzip();
    let rules = OracleSpec {
        weights,
        stale_us: of.number("staleUs")?,
        deviation_ppm: of.number("deviationPpm")?,
        quorum: of.number("quorum")?,
        reduce_only_after_us: of.number("reduceOnlyAfterUs")?,
    };
    of.finish()?;
    Ok(ListedOracle { keys, rules })
}
