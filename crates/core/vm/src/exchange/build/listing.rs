//! Builds the actions around listed markets.

use super::super::decimal::format_units;
use super::super::listing_action::STATUSES;
use super::super::msgpack::MsgpackWriter;
use super::action;
use alloc::format;
use alloc::vec::Vec;
use atoll_exchange::{
    AssetId, AssetSpec, Contract, ListedOracle, Listing, MarkRule, MarketRisk, MarketSpec,
    MarketStatus, PriceSpec, Product, VolatilityModel,
};

/// Lists a market of a venue with these assets.
pub fn list_market(assets: &[AssetSpec], collateral: AssetId, listing: &Listing) -> Vec<u8> {
    let mut w = action("listMarket", 3);
    w.string("market");
    market(&mut w, assets, &listing.market);
    w.string("oracle");
    match &listing.oracle {
        Some(own) => oracle(&mut w, own),
        None => {
            w.nil();
        }
    }
    let decimals = assets.get(usize::from(collateral.0)).map_or(0, |asset| asset.decimals);
    w.string("bond").string(&format_units(listing.bond.into(), decimals));
    w.into_bytes()
}

/// Changes what the market with this asset number is doing.
pub fn set_market_status(asset: u64, status: MarketStatus) -> Vec<u8> {
    let mut w = action("setMarketStatus", 2);
    let name = STATUSES.iter().find(|(of, _)| *of == status).map_or("", |(_, name)| name);
    w.string("asset").unsigned(asset).string("status").string(name);
    w.into_bytes()
}

/// Gives the bond of the settled market with this asset number back.
pub fn claim_bond(asset: u64) -> Vec<u8> {
    let mut w = action("claimBond", 1);
    w.string("asset").unsigned(asset);
    w.into_bytes()
}

/// Takes the bond of the market with this asset number for the insurance fund.
pub fn forfeit_bond(asset: u64) -> Vec<u8> {
    let mut w = action("forfeitBond", 1);
    w.string("asset").unsigned(asset);
    w.into_bytes()
}

fn numbers(w: &mut MsgpackWriter, of: &[(&str, u64)]) {
    for (key, value) in of {
        w.string(key).unsigned(*value);
    }
}

fn market(w: &mut MsgpackWriter, assets: &[AssetSpec], of: &MarketSpec) {
    w.map(14).string("name").string(&of.name).string("product");
    product(w, assets, &of.product);
    numbers(
        w,
        &[
            ("priceDecimals", of.price_decimals.into()),
            ("sizeDecimals", of.size_decimals.into()),
            ("tick", of.tick),
            ("lot", of.lot),
            ("priceMax", of.price_max),
            ("orderSizeMax", of.order_size_max),
            ("notionalMin", of.notional_min),
            ("priceBandPpm", of.price_band_ppm.into()),
        ],
    );
    w.string("makerFeePpm").signed(of.maker_fee_ppm.into());
    w.string("takerFeePpm").unsigned(of.taker_fee_ppm.into()).string("risk");
    risk(w, &of.risk);
    w.string("prices");
    prices(w, &of.prices);
}

fn product(w: &mut MsgpackWriter, assets: &[AssetSpec], product: &Product) {
    let symbol = |asset: AssetId| {
        let asset = assets.get(usize::from(asset.0));
        asset.map_or("", |asset| asset.symbol.as_str())
    };
    match *product {
        Product::Spot { base, quote } => {
            w.map(2).string("base").string(symbol(base)).string("quote").string(symbol(quote));
        }
        Product::Perpetual {
            contract,
            initial_margin_ppm,
            maintenance_margin_ppm,
            mark_band_ppm,
        } => {
            match contract {
                Contract::Linear => w.map(3),
                Contract::Inverse { settle, face } => {
                    w.map(5).string("settle").string(symbol(settle));
                    w.string("face").unsigned(face.into())
                }
            };
            w.string("initialMarginPpm").unsigned(initial_margin_ppm.into());
            w.string("maintenanceMarginPpm").unsigned(maintenance_margin_ppm.into());
            w.string("markBandPpm").unsigned(mark_band_ppm.into());
        }
    }
}

fn risk(w: &mut MsgpackWriter, risk: &MarketRisk) {
    w.map(4).string("tiers").array(risk.tiers.len());
    for tier in &risk.tiers {
        w.map(3).string("lowerBound").unsigned(tier.lower_bound);
        w.string("initialMarginPpm").unsigned(tier.initial_margin_ppm.into());
        w.string("maintenanceMarginPpm").unsigned(tier.maintenance_margin_ppm.into());
    }
    w.string("openInterestMax").unsigned(risk.open_interest_max);
    w.string("concentrationPpm").unsigned(risk.concentration_ppm.into());
    w.string("isolatedOnly").bool(risk.isolated_only);
}

fn prices(w: &mut MsgpackWriter, prices: &PriceSpec) {
    w.map(4).string("markIntervalUs");
    match prices.mark {
        MarkRule::Book => w.nil(),
        MarkRule::Robust { interval_us } => w.unsigned(interval_us),
    };
    w.string("funding");
    match &prices.funding {
        None => {
            w.nil();
        }
        Some(of) => {
            w.map(4).string("impactNotional").unsigned(of.impact_notional);
            w.string("interestPpb").unsigned(of.interest_ppb.into());
            w.string("clampPpb").unsigned(of.clamp_ppb.into());
            w.string("capPpb").unsigned(of.cap_ppb.into());
        }
    }
    w.string("volatility");
    match &prices.volatility {
        None => {
            w.nil();
        }
        Some(of) => {
            match of.model {
                VolatilityModel::Ewma { lambda_ppm } => {
                    w.map(6).string("lambdaPpm").unsigned(lambda_ppm.into())
                }
                VolatilityModel::Garch { alpha_ppm, beta_ppm } => {
                    w.map(7).string("alphaPpm").unsigned(alpha_ppm.into());
                    w.string("betaPpm").unsigned(beta_ppm.into())
                }
            };
            w.string("intervalUs").unsigned(of.interval_us);
            w.string("referencePpm").unsigned(of.reference_ppm.into());
            w.string("scaleMaxPpm").unsigned(of.scale_max_ppm.into());
            w.string("graceUs").unsigned(of.grace_us);
            w.string("risePpm").unsigned(of.rise_ppm.into());
        }
    }
    w.string("sanity");
    match &prices.sanity {
        None => {
            w.nil();
        }
        Some(of) => {
            w.map(7);
            numbers(
                w,
                &[
                    ("jumpPpm", of.jump_ppm.into()),
                    ("confirmUs", of.confirm_us),
                    ("ratePpm", of.rate_ppm.into()),
                    ("holdUs", of.hold_us),
                    ("limitUs", of.limit_us),
                    ("auctionUs", of.auction_us),
                    ("wideUs", of.wide_us),
                ],
            );
        }
    }
}

fn oracle(w: &mut MsgpackWriter, own: &ListedOracle) {
    w.map(5).string("sources").array(own.keys.len());
    for (key, weight) in own.keys.iter().zip(&own.rules.weights) {
        w.map(2).string("key").string(&format!("{key:#x}"));
        w.string("weight").unsigned((*weight).into());
    }
    numbers(
        w,
        &[
            ("staleUs", own.rules.stale_us),
            ("deviationPpm", own.rules.deviation_ppm.into()),
            ("quorum", own.rules.quorum.into()),
            ("reduceOnlyAfterUs", own.rules.reduce_only_after_us),
        ],
    );
}
