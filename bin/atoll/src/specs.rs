//! Environment spec files: TOML in, checked specs out.
//!
//! Every error names the file, the key and what was expected. Decimal numbers are strings, so that
//! nothing is ever rounded. `environments/*.toml` document each key.

mod evm;
mod fees;
mod gas;
mod liquidation;
pub(crate) mod listers;
pub(crate) mod listing;
mod margin;
mod predeploys;
mod prices;

use anyhow::{Context, Result, anyhow, bail};
use atoll_exchange::{
    AssetId, AssetSpec, Contract, ExchangeSpec, Limits, MarketSpec, Product, Rules, SelfTrade,
    Wallet,
};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::{NAME_BYTES_MAX, Ordering, VmSpec};
use atoll_types::crypto::SigningKey;
use atoll_types::hub::ROUTER;
use atoll_types::{Address, EnvironmentId, NetworkId, U256};
use atoll_vm::exchange::{ExchangeVmSpec, GenesisBalance, HubAsset};
use atoll_vm::router::{Funding, RoutedEnvironment, RouterSpec};
use margin::{PledgeTable, TierTable};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The specs built into the binary: `atoll dev` needs no files.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    ("environments/perps.toml", include_str!("../../../environments/perps.toml")),
    ("environments/evm.toml", include_str!("../../../environments/evm.toml")),
];
/// Prefix of accounts whose keys anyone can derive.
const DEVELOPMENT: &str = "development:";
/// Slots from sending a message to its delivery: one more than it must be, so that an environment
/// may be a slot behind before the others wait for it.
const MESSAGE_DELAY_SLOTS: u32 = 2;
/// Decimals of the EVM's native currency.
const NATIVE_DECIMALS: u32 = 18;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    id: u32,
    vm: Kind,
    commit_interval_slots: u32,
    root_lag_slots_max: u32,
    ordering: OrderingKey,
    exchange: Option<ExchangeTable>,
    evm: Option<evm::EvmTable>,
    #[serde(default)]
    genesis: Vec<GenesisTable>,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Exchange,
    Evm,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OrderingKey {
    Lanes,
    Arrival,
    Hyperliquid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeTable {
    chain_id: u64,
    collateral: String,
    self_trade: SelfTradeKey,
    oracle: Option<String>,
    #[serde(default)]
    oracles: Vec<prices::SourceTable>,
    oracle_rules: Option<prices::OracleTable>,
    accept_hyperliquid_master: bool,
    limits: LimitsTable,
    #[serde(default)]
    liquidation: liquidation::LiquidationTable,
    listing: Option<listers::ListingTable>,
    assets: Vec<AssetTable>,
    markets: Vec<MarketTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SelfTradeKey {
    CancelTaker,
    CancelMaker,
    Decrement,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    orders_per_account: u32,
    positions_per_account: u32,
    fills_per_command: u32,
    due_per_tick: Option<u32>,
    triggers_per_tick: Option<u32>,
    ranked_per_command: Option<u32>,
    liquidation_per_slot: Option<u32>,
    commands_per_action: u32,
    agents_per_account: u32,
    claims_per_slot: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetTable {
    symbol: String,
    decimals: u8,
    hub_token: Option<String>,
    hub_decimals: Option<u8>,
    pledge: Option<PledgeTable>,
    borrow_rate: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketTable {
    name: String,
    product: ProductKey,
    base: Option<String>,
    quote: Option<String>,
    tick: String,
    lot: String,
    price_max: String,
    order_size_max: String,
    notional_min: String,
    price_band: String,
    initial_margin: Option<String>,
    maintenance_margin: Option<String>,
    mark_band: Option<String>,
    maker_fee: String,
    taker_fee: String,
    settle: Option<String>,
    face: Option<u32>,
    #[serde(default)]
    tiers: Vec<TierTable>,
    open_interest_max: Option<String>,
    concentration: Option<String>,
    #[serde(default)]
    isolated_only: bool,
    mark: Option<prices::MarkKey>,
    mark_interval_ms: Option<u64>,
    funding: Option<prices::FundingTable>,
    volatility: Option<prices::VolatilityTable>,
    sanity: Option<prices::SanityTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProductKey {
    Perpetual,
    Spot,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisTable {
    account: String,
    count: Option<u32>,
    #[serde(default)]
    balances: BTreeMap<String, String>,
    balance: Option<String>,
    nonce: Option<u64>,
    code: Option<String>,
    #[serde(default)]
    storage: BTreeMap<String, String>,
}

/// A decimal number without a sign: digits and how many of them stand behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u128,
    decimals: u32,
}

impl Decimal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, decimals: fraction.len() as u32 })
    }

    /// The number in units of 10^-decimals, if it is a whole number of them.
    pub(crate) fn scaled(self, decimals: u32) -> Option<u128> {
        let more = decimals.checked_sub(self.decimals)?;
        self.digits.checked_mul(10u128.checked_pow(more)?)
    }
}

/// A name that is none of those that are known.
fn unknown(key: &str, found: &str, known: impl IntoIterator<Item = &'static str>) -> anyhow::Error {
    let known: Vec<_> = known.into_iter().collect();
    wrong(key, found, &format!("one of: {}", known.join(", ")))
}

fn wrong(key: &str, found: &str, expected: &str) -> anyhow::Error {
    anyhow!("{key} is \"{found}\"; expected {expected}")
}

fn number(key: &str, text: &str) -> Result<Decimal> {
    Decimal::parse(text).ok_or_else(|| wrong(key, text, "a decimal number like \"0.25\""))
}

fn units(key: &str, text: &str, decimals: u32) -> Result<u128> {
    let expected = format!("a number with at most {decimals} decimals");
    number(key, text)?.scaled(decimals).ok_or_else(|| wrong(key, text, &expected))
}

fn narrow<T: TryFrom<u128>>(key: &str, text: &str, value: u128) -> Result<T> {
    T::try_from(value).map_err(|_| wrong(key, text, "a smaller number"))
}

/// A fraction like "0.00045" in parts per million; a leading minus where `signed`.
fn ppm(key: &str, text: &str) -> Result<u32> {
    narrow(key, text, units(key, text, 6)?)
}

fn account(key: &str, text: &str) -> Result<Address> {
    if let Some(label) = text.strip_prefix(DEVELOPMENT) {
        return Ok(SigningKey::from_label(label).address());
    }
    let expected = "an address of 40 hex digits with 0x, or development:NAME";
    text.parse().map_err(|_| wrong(key, text, expected))
}

/// A token of the hub.
fn token(key: &str, text: &str) -> Result<Address> {
    if let Some(name) = text.strip_prefix(DEVELOPMENT) {
        return crate::hub::artifacts::development_token(name)
            .map_err(|error| wrong(key, text, &format!("a token that exists: {error:#}")));
    }
    let expected = "a token's address of 40 hex digits with 0x (all zeros for the hub's native \
                    currency), or development:NAME";
    text.parse().map_err(|_| wrong(key, text, expected))
}

/// The accounts of a genesis entry: one, or `count` numbered development keys.
fn accounts(key: &str, entry: &GenesisTable) -> Result<Vec<Address>> {
    match entry.count {
        None => Ok(vec![account(key, &entry.account)?]),
        Some(_) if !entry.account.starts_with(DEVELOPMENT) => {
            bail!("{key} has a count; expected a count only with development:NAME")
        }
        Some(count) if count > 1_000_000 => bail!("{key}: count is {count}; expected ≤ 1000000"),
        Some(count) => {
            (0..count).map(|i| account(key, &format!("{}-{i}", entry.account))).collect()
        }
    }
}

fn asset_id(key: &str, symbol: &str, assets: &[AssetSpec]) -> Result<AssetId> {
    let at = assets.iter().position(|asset| asset.symbol == symbol);
    at.map(|at| AssetId(at as u16)).ok_or_else(|| {
        let known: Vec<_> = assets.iter().map(|asset| asset.symbol.as_str()).collect();
        wrong(key, symbol, &format!("one of the assets: {}", known.join(", ")))
    })
}

fn market(at: usize, table: &MarketTable, assets: &[AssetSpec]) -> Result<MarketSpec> {
    let key = |name: &str| format!("exchange.markets[{at}].{name}");
    let need = |name: &str, value: &Option<String>| {
        value.clone().ok_or_else(|| anyhow!("{} is missing", key(name)))
    };
    let tick = number(&key("tick"), &table.tick)?;
    let lot = number(&key("lot"), &table.lot)?;
    let (price_decimals, size_decimals) = (tick.decimals, lot.decimals);
    let (tick_units, lot_units) = (tick.digits, lot.digits);
    if tick_units == 0 || lot_units == 0 {
        bail!("{} and {} must be above zero", key("tick"), key("lot"));
    }
    let steps = |name: &str, text: &str, decimals: u32, step: u128, what: &str| -> Result<u64> {
        let value = units(&key(name), text, decimals)?;
        if value % step != 0 {
            return Err(wrong(&key(name), text, &format!("a multiple of the {what}")));
        }
        narrow(&key(name), text, value / step)
    };
    let (product, quote) = match table.product {
        ProductKey::Perpetual => {
            let fraction =
                |name: &str, value: &Option<String>| ppm(&key(name), &need(name, value)?);
            let contract = margin::contract(&key, (&table.settle, table.face), assets)?;
            let initial_margin_ppm = fraction("initial_margin", &table.initial_margin)?;
            let product = Product::Perpetual {
                contract,
                initial_margin_ppm,
                maintenance_margin_ppm: margin::maintenance(
                    &key("maintenance_margin"),
                    table.maintenance_margin.as_ref(),
                    initial_margin_ppm,
                )?,
                mark_band_ppm: fraction("mark_band", &table.mark_band)?,
            };
            let quote = match contract {
                Contract::Linear => None,
                Contract::Inverse { settle, .. } => Some(settle),
            };
            (product, quote)
        }
        ProductKey::Spot => {
            let base = asset_id(&key("base"), &need("base", &table.base)?, assets)?;
            let quote = asset_id(&key("quote"), &need("quote", &table.quote)?, assets)?;
            (Product::Spot { base, quote }, Some(quote))
        }
    };
    // The collateral is checked by the caller to be the first thing known of the exchange.
    let quote = quote.unwrap_or(AssetId(0));
    let quote_decimals = u32::from(assets[usize::from(quote.0)].decimals);
    let maker = table.maker_fee.strip_prefix('-').unwrap_or(&table.maker_fee);
    let maker_ppm: i32 =
        narrow(&key("maker_fee"), maker, u128::from(ppm(&key("maker_fee"), maker)?))?;
    Ok(MarketSpec {
        name: table.name.clone(),
        product,
        price_decimals: narrow(&key("tick"), &table.tick, u128::from(price_decimals))?,
        size_decimals: narrow(&key("lot"), &table.lot, u128::from(size_decimals))?,
        tick: narrow(&key("tick"), &table.tick, tick_units)?,
        lot: narrow(&key("lot"), &table.lot, lot_units)?,
        price_max: steps("price_max", &table.price_max, price_decimals, tick_units, "tick")?,
        order_size_max: steps(
            "order_size_max",
            &table.order_size_max,
            size_decimals,
            lot_units,
            "lot",
        )?,
        notional_min: narrow(
            &key("notional_min"),
            &table.notional_min,
            units(&key("notional_min"), &table.notional_min, quote_decimals)?,
        )?,
        price_band_ppm: ppm(&key("price_band"), &table.price_band)?,
        maker_fee_ppm: if table.maker_fee.starts_with('-') { -maker_ppm } else { maker_ppm },
        taker_fee_ppm: ppm(&key("taker_fee"), &table.taker_fee)?,
        risk: margin::risk(
            &key,
            &table.tiers,
            (&table.open_interest_max, &table.concentration),
            table.isolated_only,
            quote_decimals,
            (size_decimals, lot_units),
        )?,
        prices: prices::market(&key, table, quote_decimals)?,
    })
}

/// The assets that have a token on the hub, in order of their numbers.
fn hub_assets(tables: &[AssetTable], assets: &[AssetSpec]) -> Result<Vec<HubAsset>> {
    let mut found = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let key = |name: &str| format!("exchange.assets[{at}].{name}");
        let (address, decimals) = match (&table.hub_token, table.hub_decimals) {
            (None, None) => continue,
            (Some(address), Some(decimals)) => (address, decimals),
            _ => bail!(
                "{} and {} come together or not at all",
                key("hub_token"),
                key("hub_decimals")
            ),
        };
        let more = decimals.checked_sub(table.decimals).map(u32::from);
        let unit = more.and_then(|more| 10u128.checked_pow(more)).ok_or_else(|| {
            let expected = format!("decimals ({}) to decimals + 18", table.decimals);
            anyhow!("{} is {decimals}; expected {expected}", key("hub_decimals"))
        })?;
        let asset = asset_id(&key("symbol"), &table.symbol, assets)?;
        found.push(HubAsset { asset, token: token(&key("hub_token"), address)?, unit });
    }
    found.sort_by_key(|hub| hub.asset);
    Ok(found)
}

fn exchange(table: &ExchangeTable, genesis: &[GenesisTable]) -> Result<ExchangeVmSpec> {
    let mut assets: Vec<AssetSpec> = table
        .assets
        .iter()
        .map(|asset| AssetSpec {
            symbol: asset.symbol.clone(),
            decimals: asset.decimals,
            pledge: None,
            borrow_ppm: 0,
        })
        .collect();
    let collateral = asset_id("exchange.collateral", &table.collateral, &assets)?;
    // The collateral comes first, so that perpetuals find their quote decimals at one place.
    assets.swap(0, usize::from(collateral.0));
    let names: Vec<&str> = table.markets.iter().map(|market| market.name.as_str()).collect();
    for (at, found) in table.assets.iter().enumerate() {
        let key = |name: &str| format!("exchange.assets[{at}].{name}");
        let asset = asset_id(&key("symbol"), &found.symbol, &assets)?;
        let asset = &mut assets[usize::from(asset.0)];
        if let Some(rate) = &found.borrow_rate {
            asset.borrow_ppm = ppm(&key("borrow_rate"), rate)?;
        }
        if let Some(pledge) = &found.pledge {
            asset.pledge = Some(margin::pledge(&key("pledge"), pledge, found.decimals, &names)?);
        }
    }
    let hub_assets = hub_assets(&table.assets, &assets)?;
    let markets: Result<Vec<_>> =
        table.markets.iter().enumerate().map(|(at, m)| market(at, m, &assets)).collect();
    let mut balances = Vec::new();
    for (at, entry) in genesis.iter().enumerate() {
        let key = format!("genesis[{at}]");
        if entry.balance.is_some() || entry.code.is_some() || !entry.storage.is_empty() {
            bail!("{key} has balance, code or storage; expected balances = {{ ASSET = \"…\" }}");
        }
        for address in accounts(&format!("{key}.account"), entry)? {
            for (symbol, amount) in &entry.balances {
                let key = format!("{key}.balances.{symbol}");
                let asset = asset_id(&key, symbol, &assets)?;
                let decimals = u32::from(assets[usize::from(asset.0)].decimals);
                let amount = narrow(&key, amount, units(&key, amount, decimals)?)?;
                let wallet = if asset.0 == 0 { Wallet::Collateral } else { Wallet::Spot };
                balances.push(GenesisBalance { address, asset, wallet, amount });
            }
        }
    }
    let (decimals, usual) = (u32::from(assets[0].decimals), Limits::default());
    let (oracles, oracle) = prices::oracle(table)?;
    let spec = ExchangeVmSpec {
        exchange: Rules::new(ExchangeSpec {
            assets,
            collateral: AssetId(0),
            markets: markets?,
            self_trade: match table.self_trade {
                SelfTradeKey::CancelTaker => SelfTrade::CancelTaker,
                SelfTradeKey::CancelMaker => SelfTrade::CancelMaker,
                SelfTradeKey::Decrement => SelfTrade::Decrement,
            },
            limits: Limits {
                orders_per_account: table.limits.orders_per_account,
                positions_per_account: table.limits.positions_per_account,
                fills_per_command: table.limits.fills_per_command,
                due_per_tick: table.limits.due_per_tick.unwrap_or(usual.due_per_tick),
                triggers_per_tick: table
                    .limits
                    .triggers_per_tick
                    .unwrap_or(usual.triggers_per_tick),
                ranked_per_command: table
                    .limits
                    .ranked_per_command
                    .unwrap_or(usual.ranked_per_command),
                liquidation_per_slot: table
                    .limits
                    .liquidation_per_slot
                    .unwrap_or(usual.liquidation_per_slot),
            },
            liquidation: liquidation::liquidation(&table.liquidation, decimals)?,
            oracle,
            listing: listers::listing(table.listing.as_ref(), decimals)?,
        })
        .map_err(|error| anyhow!("exchange.{error}"))?,
        oracles,
        chain_id: table.chain_id,
        accept_hyperliquid_master: table.accept_hyperliquid_master,
        commands_per_action_max: table.limits.commands_per_action,
        agents_per_account_max: table.limits.agents_per_account,
        hub_assets,
        claims_per_slot: table.limits.claims_per_slot,
        genesis: balances,
    };
    spec.validate().map_err(|error| anyhow!("exchange.{error}"))?;
    Ok(spec)
}

fn parse_inner(text: &str) -> Result<EnvironmentSpec> {
    let file: File = toml::from_str(text)?;
    let name_ok = !file.name.is_empty()
        && file.name.len() <= NAME_BYTES_MAX as usize
        && file.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_ok {
        let expected = format!("1 to {NAME_BYTES_MAX} lower-case letters, digits and dashes");
        return Err(wrong("name", &file.name, &expected));
    }
    if file.id == ROUTER.0 {
        bail!("id is 0; expected 1 or more: 0 is the network's router");
    }
    for (key, value, max) in [
        ("commit_interval_slots", file.commit_interval_slots, 10_000),
        ("root_lag_slots_max", file.root_lag_slots_max, 100_000),
    ] {
        if value == 0 || value > max {
            bail!("{key} is {value}; expected 1 to {max}");
        }
    }
    if file.root_lag_slots_max <= file.commit_interval_slots {
        bail!(
            "root_lag_slots_max is {}; expected more than commit_interval_slots ({}), which is how \
             far behind a root is at best",
            file.root_lag_slots_max,
            file.commit_interval_slots
        );
    }
    let vm = match (file.vm, &file.exchange, &file.evm) {
        (Kind::Exchange, Some(table), None) => VmSpec::Exchange(exchange(table, &file.genesis)?),
        (Kind::Evm, None, Some(table)) => VmSpec::Evm(evm::spec(file.id, table, &file.genesis)?),
        (Kind::Exchange, ..) => {
            bail!("vm is \"exchange\"; expected a table [exchange] and no other")
        }
        (Kind::Evm, ..) => bail!("vm is \"evm\"; expected a table [evm] and no other"),
    };
    Ok(EnvironmentSpec {
        id: EnvironmentId(file.id),
        name: file.name,
        commit_interval_slots: file.commit_interval_slots,
        root_lag_slots_max: file.root_lag_slots_max,
        ordering: match file.ordering {
            OrderingKey::Lanes => Ordering::Lanes,
            OrderingKey::Arrival => Ordering::Arrival,
            OrderingKey::Hyperliquid => Ordering::Hyperliquid,
        },
        vm,
    })
}

/// Reads one spec; errors name the file.
pub(crate) fn parse(file: &str, text: &str) -> Result<EnvironmentSpec> {
    parse_inner(text).with_context(|| format!("{file} is not a valid environment spec"))
}

/// Reads one spec file.
pub(crate) fn load(path: &Path) -> Result<EnvironmentSpec> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the spec file {}", path.display()))?;
    parse(&path.display().to_string(), &text)
}

/// The specs built in, or those of a folder; in order of id, names and ids unique.
pub(crate) fn load_all(folder: Option<&Path>) -> Result<Vec<EnvironmentSpec>> {
    let mut specs = Vec::new();
    match folder {
        None => {
            for (file, text) in BUILT_IN {
                specs.push(parse(file, text)?);
            }
        }
        Some(folder) => {
            let entries = std::fs::read_dir(folder)
                .with_context(|| format!("cannot read the spec folder {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|e| e == "toml") {
                    specs.push(load(&path)?);
                }
            }
        }
    }
    if specs.is_empty() {
        bail!("no environment: expected at least one .toml file in the spec folder");
    }
    specs.sort_by_key(|spec| spec.id);
    for (i, a) in specs.iter().enumerate() {
        for b in &specs[i + 1..] {
            if a.id == b.id || a.name == b.name {
                bail!(
                    "{} (id {}) and {} (id {}) share an id or a name; both must be unique",
                    a.name,
                    a.id,
                    b.name,
                    b.id
                );
            }
        }
    }
    evm::check_ports(&specs)?;
    Ok(specs)
}

/// The router of a network with these environments: it has a root whenever one of them has.
pub(crate) fn router(specs: &[EnvironmentSpec]) -> EnvironmentSpec {
    let environments = specs.iter().map(|spec| RoutedEnvironment {
        id: spec.id,
        funded: funding(spec),
        observes: evm::observes(spec, specs),
    });
    let interval = specs.iter().map(|spec| spec.commit_interval_slots).min().unwrap_or(1);
    let lag = specs.iter().map(|spec| spec.root_lag_slots_max).max().unwrap_or(2);
    EnvironmentSpec {
        id: ROUTER,
        name: "router".into(),
        commit_interval_slots: interval,
        root_lag_slots_max: lag.max(interval + 1),
        ordering: Ordering::Arrival,
        vm: VmSpec::Router(RouterSpec {
            message_delay_slots: MESSAGE_DELAY_SLOTS,
            environments: environments.collect(),
        }),
    }
}

/// The tokens that may enter an environment, each with the smallest amount: deposits are multiples.
pub(crate) fn hub_tokens(spec: &EnvironmentSpec) -> Vec<(Address, U256)> {
    match &spec.vm {
        VmSpec::Exchange(exchange) => {
            let assets = exchange.hub_assets.iter();
            assets.map(|asset| (asset.token, U256::from(asset.unit))).collect()
        }
        VmSpec::Evm(evm) => match &evm.bridge {
            None => Vec::new(),
            Some(bridge) => {
                let tokens = bridge.tokens.iter().map(|token| (token.token, U256::from(1)));
                [(Address::ZERO, U256::from(1))].into_iter().chain(tokens).collect()
            }
        },
        VmSpec::Router(_) => Vec::new(),
    }
}

/// The same for people: symbol, address on the hub, decimals there, smallest amount.
pub(crate) fn hub_token_names(spec: &EnvironmentSpec) -> Vec<(String, Address, u32, U256)> {
    match &spec.vm {
        VmSpec::Exchange(exchange) => {
            let assets = &exchange.exchange.spec().assets;
            let listed = exchange.hub_assets.iter().filter_map(|hub| {
                let asset = assets.get(usize::from(hub.asset.0))?;
                let decimals = u32::from(asset.decimals) + hub.unit.ilog10();
                Some((asset.symbol.clone(), hub.token, decimals, U256::from(hub.unit)))
            });
            listed.collect()
        }
        VmSpec::Evm(evm) => match &evm.bridge {
            None => Vec::new(),
            Some(bridge) => {
                let one = U256::from(1);
                let native = (evm.symbol.clone(), Address::ZERO, NATIVE_DECIMALS, one);
                let tokens = bridge.tokens.iter().map(|token| {
                    (token.symbol.clone(), token.token, u32::from(token.decimals), one)
                });
                [native].into_iter().chain(tokens).collect()
            }
        },
        VmSpec::Router(_) => Vec::new(),
    }
}

/// What an environment's genesis holds of each token that can leave it.
pub(crate) fn funding(spec: &EnvironmentSpec) -> Vec<Funding> {
    let mut sums: BTreeMap<Address, U256> = BTreeMap::new();
    match &spec.vm {
        VmSpec::Evm(evm) => {
            let total = evm.genesis.iter().fold(U256::ZERO, |sum, account| sum + account.balance);
            sums.insert(Address::ZERO, total);
        }
        VmSpec::Exchange(exchange) => {
            sums.extend(exchange.funded().into_iter().map(|f| (f.token, f.amount)));
        }
        VmSpec::Router(_) => {}
    }
    let funded = sums.into_iter().filter(|(_, amount)| !amount.is_zero());
    funded.map(|(token, amount)| Funding { token, amount }).collect()
}

/// The network that these specs make.
pub(crate) fn network(name: &str, specs: &[EnvironmentSpec]) -> NetworkId {
    let hashes: Vec<_> = specs.iter().map(|spec| (spec.id, spec.hash())).collect();
    NetworkId::derive(name, &hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_exchange::MarkRule;

    #[test]
    fn the_built_in_specs_are_valid() {
        let specs = load_all(None).unwrap();
        assert_eq!(specs.iter().map(|s| s.vm.kind()).collect::<Vec<_>>(), ["exchange", "evm"]);
    }

    #[test]
    fn every_perpetual_has_funding_a_robust_mark_and_sanity_bounds() {
        let spec = load_all(None).unwrap().swap_remove(0);
        let VmSpec::Exchange(spec) = &spec.vm else { panic!("an exchange") };
        let markets = &spec.exchange.spec().markets;
        let perpetuals =
            markets.iter().filter(|market| matches!(market.product, Product::Perpetual { .. }));
        for market in perpetuals.clone() {
            let prices = &market.prices;
            let funding = prices.funding.unwrap();
            // Hyperliquid's baseline: an eighth of 0.01 % an hour.
            assert_eq!((funding.interest_ppb / 8, funding.clamp_ppb), (12_500, 500_000));
            assert!(prices.sanity.is_some() && prices.mark != MarkRule::Book, "{}", market.name);
        }
        assert_eq!(perpetuals.count(), 3);
    }

    #[test]
    fn the_price_rules_that_a_file_shows_are_valid() {
        let text = BUILT_IN[0].1.replace("#~ ", "");
        let one = "oracle = \"development:oracle\"\n";
        let rules = "[exchange.oracle_rules]\nstale_ms = 10000\ndeviation = \"0.02\"\nquorum = 2\n";
        let source =
            |name| format!("[[exchange.oracles]]\nkey = \"development:{name}\"\nweight = 1\n");
        let many = [source("one"), source("two"), rules.into()].concat();
        let text = text.replacen(one, "", 1).replacen(
            "[exchange.limits]",
            &(many + "[exchange.limits]"),
            1,
        );
        let spec = parse("x.toml", &text).unwrap();
        let VmSpec::Exchange(spec) = &spec.vm else { panic!("an exchange") };
        let exchange = spec.exchange.spec();
        assert_eq!((spec.oracles.len(), exchange.oracle.stale_us), (2, 10_000_000));
        let prices = &exchange.markets[0].prices;
        assert_eq!(prices.funding.unwrap().impact_notional, 20_000_000_000);
        assert_eq!(prices.funding.unwrap().cap_ppb, 40_000_000);
        assert_eq!(prices.volatility.unwrap().scale_max_ppm, 3_000_000);
        assert_eq!(prices.sanity.unwrap().jump_ppm, 50_000);
        let wrong = text.replacen("jump = \"0.05\"", "jump = \"0.6\"", 1);
        let error = format!("{:#}", parse("x.toml", &wrong).unwrap_err());
        assert!(error.contains("exchange.markets[0].prices.sanity.jump_ppm"), "{error}");
    }

    #[test]
    fn errors_name_file_key_and_what_was_expected() {
        let good = BUILT_IN[0].1;
        for (from, to, expected) in [
            ("id = 1 ", "id = -1 ", "id"),
            ("tick = \"0.1\" ", "tick = \"a\" ", "exchange.markets[0].tick is \"a\"; expected"),
            ("tick = \"0.1\" ", "tick = \"0.01\" ", "markets[0]"),
            ("price_max = \"10000000\"", "price_max = \"0.05\"", "exchange.markets[0].price_max"),
            (
                "collateral = \"USDC\"",
                "collateral = \"USD\"",
                "one of the assets: USDC, ATOLL, ETH",
            ),
            ("hub_decimals = 6", "hub_decimals = 5", "exchange.assets[0].hub_decimals is 5"),
            ("hub_decimals = 6", "hub_decimals = 25", "exchange.hub_assets[0].unit"),
            ("hub_decimals = 6 ", "", "exchange.assets[0].hub_token and"),
            ("\"development:USDC\"", "\"USDC\"", "exchange.assets[0].hub_token is \"USDC\""),
            ("\"development:USDC\"", "\"development:ATOLL\"", "exchange.hub_assets[1].token"),
            ("name = \"perps\"", "name = \"Perps\"", "lower-case"),
            ("vm = \"exchange\"", "vm = \"evm\"", "expected a table [evm]"),
            ("vm = \"exchange\"", "vm = \"wasm\"", "wasm"),
            ("ordering = \"lanes\"", "colour = \"red\"", "colour"),
            ("0xf39F", "0xzz9F", "genesis[3].account"),
            ("USDC = \"1000000\"", "USDC = \"0.0000001\"", "genesis[3].balances.USDC"),
            ("commit_interval_slots = 10", "commit_interval_slots = 0", "commit_interval_slots"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse("x.toml", &good.replacen(from, to, 1)).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains("x.toml") && text.contains(expected), "{to}: {text}");
        }
    }

    #[test]
    fn decimals_scale_exactly_or_not_at_all() {
        let d = |s| Decimal::parse(s).unwrap();
        assert_eq!(d("0.10").scaled(1), Some(1));
        assert_eq!(d("0.15").scaled(1), None);
        assert_eq!(d("12").scaled(3), Some(12_000));
        assert!(Decimal::parse("1.").is_none() && Decimal::parse(".5").is_none());
        assert!(Decimal::parse("-1").is_none() && Decimal::parse("1e3").is_none());
    }
}
