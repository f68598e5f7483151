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

/// An answer: facts in order, by name. What is not proven says so.
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

const ABSENT: &str = "none, says the gateway: that something is absent is not proven";

fn raw(prover: &mut Prover<'_>, key: &[u8]) -> Result<Facts> {
    let value = prover.value(key)?;
    let value = value.map_or(json!(ABSENT), |value| json!(super::refusal::hex(&value)));
    Ok(Map::from_iter([("value".to_string(), value)]))
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
    let found = prover.object::<Account>(&AccountKey(account))?;
    let mut facts = Facts::new();
    facts.insert("account".into(), json!(account.to_string()));
    match found {
        None => facts.insert("balance".into(), json!(ABSENT)),
        Some(found) => {
            let balance = format!("{} {symbol}", units(found.balance, NATIVE_DECIMALS));
            facts.insert("nonce".into(), json!(found.nonce));
            facts.insert("code_hash".into(), json!(found.code_hash.to_string()));
            facts.insert("balance".into(), json!(balance))
        }
    };
    Ok(facts)
}

/// An exchange's account: its number, and itself.
fn number(prover: &mut Prover<'_>, account: Address) -> Result<(AccountId, Account)> {
    let entry = prover.object::<AccountEntry>(&AddressKey(account))?;
    let number = entry.and_then(|entry| entry.number.checked_sub(1));
    let number = number.with_context(|| {
        format!("the gateway says that {account} has no account, which is not proven")
    })?;
    let id = AccountId(number);
    let found = prover.object::<Account>(&AccountKey(id))?;
    Ok((id, found.context("the gateway does not prove the account that it says there is")?))
}

fn facts(account: Address, id: AccountId) -> Facts {
    let fields = [("account", json!(account.to_string())), ("number", json!(id.0))];
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
    let (id, owner) = number(prover, account)?;
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
            facts.insert("collateral".into(), json!(text(owner.collateral)));
        }
        let spot = prover.object::<SpotBalance>(&BalanceKey { account: id, asset })?;
        let name = format!("spot_{}", symbol.to_lowercase());
        facts.insert(name.clone(), spot.map_or(json!(ABSENT), |spot| json!(text(spot.total))));
        if let Some(spot) = spot.filter(|spot| spot.hold != 0) {
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
    let (id, owner) = number(prover, account)?;
    let mut facts = facts(account, id);
    facts.insert("market".into(), json!(name));
    // The list of markets is part of the proven account: no place in it is no position, proven.
    let Some(slot) = owner.slot(atoll_exchange::MarketId(at as u16)) else {
        facts.insert("size".into(), json!("0"));
        return Ok(facts);
    };
    let group = (slot / PositionGroup::SLOTS) as u8;
    let found = prover.object::<PositionGroup>(&GroupKey { account: id, group })?;
    let Some(found) = found else {
        facts.insert("size".into(), json!(ABSENT));
        return Ok(facts);
    };
    let position = found.0[(slot % PositionGroup::SLOTS) as usize];
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
    let (id, _) = number(prover, account)?;
    let mut facts = facts(account, id);
    facts.insert("order".into(), json!(order.0));
    let (key, place) = OrderPage::of(id, order.slot());
    let page = prover.object::<OrderPage>(&key)?;
    let Some(listed) = page.as_ref().and_then(|page| page.get(place, order)) else {
        // A page that is proven and holds no such order proves that it is not open.
        let said = if page.is_some() { json!("not open") } else { json!(ABSENT) };
        facts.insert("state".into(), said);
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
    facts.insert("open".into(), open.map_or(json!(ABSENT), |open| json!(open)));
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
