//! The venue that every workload runs on: its spec, and the orders' shape.

use anyhow::{Context, Result};
use atoll_exchange::{
    AccountId, AssetId, AssetSpec, Command, Contract, Exchange, ExchangeSpec, Input, Limits,
    LiquidationSpec, MarketId, MarketRisk, MarketSpec, OracleReport, OracleSpec, OrderRequest,
    PriceSpec, Product, Rules, SelfTrade, Side, Tif, Wallet,
};
use atoll_state::Source;
use atoll_types::Address;

/// Perpetual markets of 40× leverage, one collateral asset.
pub(super) fn rules(markets: u16, limits: Limits) -> Result<Rules> {
    let market = |n: u16| MarketSpec {
        name: format!("M{n}"),
        product: Product::Perpetual {
            contract: Contract::Linear,
            initial_margin_ppm: 25_000,
            maintenance_margin_ppm: 12_500,
            mark_band_ppm: 5_000,
        },
        price_decimals: 1,
        size_decimals: 5,
        tick: 1,
        lot: 1,
        price_max: 100_000_000,
        order_size_max: 100_000_000,
        notional_min: 0,
        price_band_ppm: 500_000,
        maker_fee_ppm: 150,
        taker_fee_ppm: 450,
        risk: MarketRisk::default(),
        prices: PriceSpec::default(),
    };
    let spec = ExchangeSpec {
        assets: vec![AssetSpec { symbol: "USDC".into(), decimals: 6, pledge: None, borrow_ppm: 0 }],
        collateral: AssetId(0),
        markets: (0..markets).map(market).collect(),
        self_trade: SelfTrade::CancelTaker,
        limits,
        liquidation: LiquidationSpec::default(),
        oracle: OracleSpec::default(),
        listing: Default::default(),
    };
    Rules::new(spec).context("the benchmark's spec")
}

/// A limit order.
pub(super) fn order(market: u16, side: Side, price: u64, size: u64, tif: Tif) -> Command {
    Command::Place(request(market, side, price, size, tif))
}

/// What a limit order asks for.
pub(super) fn request(market: u16, side: Side, price: u64, size: u64, tif: Tif) -> OrderRequest {
    let market = MarketId(market);
    OrderRequest { market, side, price, size, tif, ..OrderRequest::default() }
}

/// Opens an account with this much collateral: the one with the next number.
pub(super) fn deposit(account: u32, amount: i128) -> Input {
    let mut bytes = [0; 20];
    bytes[16..].copy_from_slice(&(account + 1).to_be_bytes());
    let (asset, wallet) = (AssetId(0), Wallet::Collateral);
    Input::Credit { address: Address::from(bytes), asset, wallet, amount }
}

/// A market's oracle price.
pub(super) fn oracle(market: u16, price: u64) -> Input {
    Input::Oracle(OracleReport::sole(MarketId(market), price))
}

/// Orders that rest in all books, by the levels' own counts.
pub(super) fn resting<S: Source>(exchange: &Exchange<S>) -> u64 {
    exchange.state().levels.local_iter().map(|(_, level)| u64::from(level.count)).sum()
}

/// How many positions an account has open.
pub(super) fn open_positions<S: Source>(exchange: &Exchange<S>, account: u32) -> usize {
    let views = exchange.peek_positions(AccountId(account));
    views.iter().filter(|view| view.position.size != 0).count()
}
