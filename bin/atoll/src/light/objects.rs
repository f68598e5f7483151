//! What people ask for (a balance, a position, an order), found in proven objects and told in
//! units.

use super::proofs::Prover;
use anyhow::{Context, Result, bail};
use atoll_exchange::decimal::format as decimal;
use atoll_exchange::objects::{
    Account, AccountEntry, AccountKey, AddressKey, BalanceKey, BookId, ChunkKey, GroupKey,
    OrderChunk, OrderPage, PositionGroup, SpotBalance,
};
use atoll_exchange::{AccountId, ExchangeSpec, OrderId, Side};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::VmSpec;
use atoll_types::{Address, U256};
use atoll_vm::evm;
use serde_json::{Map, Value, json};

/// Decimals of an EVM's native currency.
const NATIVE_DECIMALS: usize = 18;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// What an account has of an asset; of all that it may have without one.
    Balance { account: Address, asset: Option<String> },
    /// An account's position in a market.
    Position { account: Address, market: String },
    /// An account's open order.
    Order { account: Address, order: u64 },
    /// The bytes at a key.
    Key(Vec<u8>),
}

/// An answer: facts by name.
pub(crate) type Facts = Map<String, Value>;

pub(crate) fn answer(
    prover: &mut Prover<'_>,
    spec: Option<&EnvironmentSpec>,
    question: &Question,
) -> Result<Facts> {
    prover.attempt(|prover| match (question, spec.map(|spec| &spec.vm)) {
        (Question::Key(key), _) => raw(prover, key),
        (_, None) => bail!("without the environment's spec only --key can be read"),
        (Question::Balance { account, asset }, Some(VmSpec::Exchange(vm))) => {
            balance(prover, vm.exchange.spec(), *account, asset.as_deref())
        }
        (Question::Position { account, market }, Some(VmSpec::Exchange(vm))) => {
            position(prover, vm.exchange.spec(), *account, market)
        }
        (Question::Order { account, order }, Some(VmSpec::Exchange(vm))) => {
            open_order(prover, vm.exchange.spec(), *account, OrderId(*order))
        }
        (Question::Balance { account, asset }, Some(VmSpec::Evm(vm))) => match asset {
            Some(asset) if *asset != vm.symbol => {
                bail!("of an EVM's state this reads {} alone; ask by --key", vm.symbol)
            }
            _ => native(prover, &vm.symbol, *account),
        },
        _ => bail!("this environment has no such thing; ask by --key"),
    })
}

fn raw(prover: &mut Prover<'_>, key: &[u8]) -> Result<Facts> {
    let value = prover.value(key)?;
    let value = value.as_deref().map(super::refusal::hex);
    Ok(Map::from_iter([("value".to_string(), json!(value))]))
}

/// A U256 with a decimal point.
fn units(amount: U256, decimals: usize) -> String {
    let digits = format!("{:0>width$}", amount.to_string(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

fn native(prover: &mut Prover<'_>, symbol: &str, account: Address) -> Result<Facts> {
    use evm::objects::{Account, AccountKey};
    // An account without balance, nonce and code has no object.
    let found = prover.object::<Account>(&AccountKey(account))?.unwrap_or_default();
    let mut facts = Facts::new();
    let balance = format!("{} {symbol}", units(found.balance, NATIVE_DECIMALS));
    facts.insert("account".into(), json!(account.to_string()));
    facts.insert("nonce".into(), json!(found.nonce));
    facts.insert("code_hash".into(), json!(found.code_hash.to_string()));
    facts.insert("balance".into(), json!(balance));
    Ok(facts)
}

/// An exchange's account: its number, and itself. Without one everything is zero.
fn number(prover: &mut Prover<'_>, account: Address) -> Result<Option<(AccountId, Account)>> {
    let entry = prover.object::<AccountEntry>(&AddressKey(account))?;
    let Some(id) = entry.and_then(|entry| entry.number.checked_sub(1)).map(AccountId) else {
        return Ok(None);
    };
    let found = prover.object::<Account>(&AccountKey(id))?;
    Ok(Some((id, found.unwrap_or_default())))
}

fn facts(account: Address, id: Option<AccountId>) -> Facts {
    let fields = [("account", json!(account.to_string())), ("number", json!(id.map(|id| id.0)))];
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn balance(
    prover: &mut Prover<'_>,
    spec: &ExchangeSpec,
    account: Address,
    wanted: Option<&str>,
) -> Result<Facts> {
    let known: Vec<&str> = spec.assets.iter().map(|asset| asset.symbol.as_str()).collect();
    if let Some(wanted) = wanted.filter(|wanted| !known.contains(wanted)) {
        bail!("there is no asset {wanted}; there are: {}", known.join(", "));
    }
    let found = number(prover, account)?;
    let id = found.as_ref().map(|(id, _)| *id);
    let mut facts = facts(account, id);
    for (asset, listed) in (0u16..).zip(&spec.assets) {
        let symbol = &listed.symbol;
        if wanted.is_some_and(|wanted| wanted != symbol) {
            continue;
        }
        let text = |amount| format!("{} {symbol}", decimal(amount, listed.decimals));
        let asset = atoll_exchange::AssetId(asset);
        if asset == spec.collateral {
            // Settled: open profit and loss is not in it.
            facts.insert(
                "collateral".into(),
                json!(text(found.as_ref().map_or(0, |f| f.1.collateral))),
            );
        }
        let spot = match id {
            Some(account) => prover.object::<SpotBalance>(&BalanceKey { account, asset })?,
            None => None,
        };
        let spot = spot.unwrap_or_default();
        let name = format!("spot_{}", symbol.to_lowercase());
        facts.insert(name.clone(), json!(text(spot.total)));
        if spot.hold != 0 {
            facts.insert(format!("{name}_held_by_orders"), json!(text(spot.hold)));
        }
    }
    Ok(facts)
}

fn position(
    prover: &mut Prover<'_>,
    spec: &ExchangeSpec,
    account: Address,
    name: &str,
) -> Result<Facts> {
    let at = spec.markets.iter().position(|market| market.name == name);
    let (at, market) = at.and_then(|at| Some((at, spec.markets.get(at)?))).with_context(|| {
        let known: Vec<&str> = spec.markets.iter().map(|market| market.name.as_str()).collect();
        format!("there is no market {name}; there are: {}", known.join(", "))
    })?;
    let found = number(prover, account)?;
    let mut facts = facts(account, found.as_ref().map(|(id, _)| *id));
    facts.insert("market".into(), json!(name));
    // The list of markets is part of the account: no place in it is no position.
    let market_id = atoll_exchange::MarketId(at as u16);
    let place = found.and_then(|(id, owner)| Some((id, owner.slot(market_id)?)));
    let Some((account, slot)) = place else {
        facts.insert("size".into(), json!("0"));
        return Ok(facts);
    };
    let group = (slot / PositionGroup::SLOTS) as u8;
    let found = prover.object::<PositionGroup>(&GroupKey { account, group })?;
    let position = found.unwrap_or_default().0[(slot % PositionGroup::SLOTS) as usize];
    let quote = spec.assets.get(usize::from(spec.collateral.0));
    let (symbol, decimals) = quote.map_or(("", 0), |q| (q.symbol.as_str(), q.decimals));
    facts.insert("size".into(), json!(market.format_size(position.size.into())));
    facts.insert("paid".into(), json!(format!("{} {symbol}", decimal(position.cost, decimals))));
    facts.insert("open_orders".into(), json!(position.orders));
    facts.insert("open_bids".into(), json!(market.format_size(position.bids.into())));
    facts.insert("open_asks".into(), json!(market.format_size(position.asks.into())));
    Ok(facts)
}

fn open_order(
    prover: &mut Prover<'_>,
    spec: &ExchangeSpec,
    account: Address,
    order: OrderId,
) -> Result<Facts> {
    let id = number(prover, account)?.map(|(id, _)| id);
    let mut facts = facts(account, id);
    facts.insert("order".into(), json!(order.0));
    let page = match id.map(|id| OrderPage::of(id, order.slot())) {
        Some((key, place)) => prover.object::<OrderPage>(&key)?.map(|page| (page, place)),
        None => None,
    };
    let Some(listed) = page.as_ref().and_then(|(page, place)| page.get(*place, order)) else {
        facts.insert("open".into(), json!("0"));
        return Ok(facts);
    };
    let market = spec.markets.get(usize::from(listed.market.0));
    let market = market.context("the order is in a market that the spec does not have")?;
    let side = if listed.side == Side::Buy { "buy" } else { "sell" };
    facts.insert("market".into(), json!(market.name));
    facts.insert("side".into(), json!(side));
    facts.insert("price".into(), json!(market.format_price(listed.price)));
    facts.insert("size".into(), json!(market.format_size(i128::from(listed.size))));
    facts.insert("time_us".into(), json!(listed.time_us));
    let book = BookId::new(listed.market, listed.side);
    let (key, place) = ChunkKey::of(book, listed.price, listed.sequence);
    let chunk = prover.object::<OrderChunk>(&key)?;
    let resting = chunk.as_ref().and_then(|chunk| chunk.get(place));
    let open = resting.filter(|resting| resting.order == order);
    let open = open.map(|resting| market.format_size(i128::from(resting.size)));
    facts.insert("open".into(), json!(open.unwrap_or_else(|| "0".into())));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wei_are_told_in_ether() {
        assert_eq!(units(U256::from(1), 18), "0.000000000000000001");
        assert_eq!(units(U256::from(10).pow(U256::from(18)), 18), "1");
        assert_eq!(units(U256::from(1_500_000), 6), "1.5");
        assert_eq!(units(U256::ZERO, 6), "0");
    }
}
