//! The order flow: what is sent, signed before any of it is sent.
//!
//! 45 % post-only orders behind the touch, 45 % cancels by client id of the order that has rested
//! longest, 10 % orders that cross against standing makers. Cancels name orders placed thousands
//! of orders earlier, so that neither lanes nor races between connections decide what succeeds.

use crate::dev::Network;
use crate::market::builtin;
use crate::node::Hosted;
use crate::node::ports::LiveExchange;
use anyhow::{Context, Result};
use atoll_exchange::{ClientId, MarketId, OrderRequest, Product, Side, Tif, Wallet};
use atoll_executor::{EnvironmentSpec, VmSpec};
use atoll_types::crypto::SigningKey;
use atoll_vm::exchange::build::{OrderWire, client_id_text};
use atoll_vm::exchange::{GenesisBalance, sign};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{HashSet, VecDeque};

/// Traders; each order is of another one.
pub(super) const ACCOUNTS: usize = 1_000;
/// Accounts whose large orders stand at the touch, a pair for each market and side.
const MAKERS: usize = 8;
/// Orders that rest at any time, besides those of the makers.
pub(super) const RESTING: usize = 2_000;
/// Collateral of each account, in units of the collateral asset.
const FUNDS: i128 = 1_000_000_000_000_000;
/// Levels over which orders spread behind the touch, in half-spreads.
const LEVELS: u64 = 40;
/// A maker's order, in usual sizes.
const MAKER_SIZES: u64 = 20_000;

/// A signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// Who sends it.
    pub(super) account: usize,
    /// The body of a request to `/exchange`.
    pub(super) payload: String,
    /// The order that rests if it succeeds.
    pub(super) rests: Option<ClientId>,
}

/// An action before it is signed.
struct Draft {
    account: usize,
    action: String,
    nonce: u64,
    rests: Option<ClientId>,
}

struct Market {
    id: MarketId,
    asset: u64,
    /// Where its oracle starts, in ticks.
    mid: u64,
    /// In ticks.
    half_spread: u64,
    /// A usual order, in lots.
    size: u64,
}

/// Gives the traders and makers money at genesis.
pub(super) fn fund(spec: &mut EnvironmentSpec) {
    let VmSpec::Exchange(vm) = &mut spec.vm else { return };
    let asset = vm.exchange.spec().collateral;
    let balance = |key: SigningKey| GenesisBalance {
        address: key.address(),
        asset,
        wallet: Wallet::Collateral,
        amount: FUNDS,
    };
    vm.genesis.extend(keys().map(balance));
}

fn keys() -> impl Iterator<Item = SigningKey> {
    let key = |n| SigningKey::from_label(&format!("bench-{n}"));
    (0..ACCOUNTS + MAKERS).map(key)
}

/// Makes and signs orders.
pub(super) struct Flow {
    live: LiveExchange,
    keys: Vec<SigningKey>,
    markets: Vec<Market>,
    rng: SmallRng,
    /// Orders that rest, longest first.
    resting: VecDeque<(usize, u64, ClientId)>,
    next_client_id: u128,
    next_nonce: u64,
    /// The next trader to act: each in turn, so that no nonce waits long for an earlier one.
    turn: usize,
}

impl Flow {
    pub(super) fn new(network: &Network) -> Result<Self> {
        let exchange = network.shared.environments.iter().find_map(|hosted| match hosted {
            Hosted::Exchange(live) => Some(live.clone()),
            Hosted::Evm(_) | Hosted::Router(_) => None,
        });
        let live = exchange.context("the built-in specs have an exchange")?;
        let markets = live.vm_spec.exchange.spec().markets.iter().enumerate();
        let perpetuals = markets.filter(|(_, spec)| {
            // Spot needs the base asset, which these accounts have none of.
            matches!(spec.product, Product::Perpetual { .. })
        });
        let markets = perpetuals.map(|(i, spec)| {
            let scale = builtin::scale(spec);
            let id = MarketId(i as u16);
            Market {
                id,
                asset: atoll_vm::exchange::asset_of_market(&live.vm_spec.exchange, id),
                mid: scale.anchor,
                half_spread: scale.half_spread,
                size: (scale.lot / 4).max(1),
            }
        });
        Ok(Self {
            markets: markets.collect(),
            live: live.clone(),
            keys: keys().collect(),
            rng: SmallRng::seed_from_u64(1),
            resting: VecDeque::new(),
            next_client_id: 0,
            next_nonce: crate::node::driver::now_us() / 1_000,
            turn: 0,
        })
    }

    /// Whether every market has a price from the oracle.
    pub(super) fn priced(&self) -> bool {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        self.markets.iter().all(|market| exchange.peek_prices(market.id).mark > 0)
    }

    /// What stands before anything is measured: the makers' orders and the first that rest.
    pub(super) fn opening(&mut self) -> Result<Vec<Signed>> {
        let mut drafts = Vec::new();
        for market in 0..self.markets.len() {
            for maker in 0..MAKERS {
                let Market { mid, half_spread, size, .. } = self.markets[market];
                let buy = maker % 2 == 0;
                let price = if buy { mid - half_spread } else { mid + half_spread };
                let size = size * MAKER_SIZES;
                drafts.push(self.order(
                    ACCOUNTS + maker,
                    market,
                    buy,
                    price,
                    size,
                    Tif::PostOnly,
                )?);
            }
        }
        for _ in 0..RESTING {
            drafts.push(self.passive()?);
        }
        sign_all(&self.keys, drafts)
    }

    /// The next `count` requests of the mix.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<Signed>> {
        // Nonces are times; time has passed since the last ones.
        self.next_nonce = self.next_nonce.max(crate::node::driver::now_us() / 1_000);
        let mut drafts = Vec::with_capacity(count);
        for _ in 0..count {
            let draft = match self.rng.random_range(0..100) {
                0..45 => self.passive()?,
                45..90 => match self.resting.pop_front() {
                    Some((account, asset, client_id)) => self.cancel(account, asset, client_id),
                    None => self.passive()?,
                },
                _ => self.crossing()?,
            };
            drafts.push(draft);
        }
        sign_all(&self.keys, drafts)
    }

    /// Forgets orders that were refused: nobody shall cancel them.
    pub(super) fn forget(&mut self, refused: &HashSet<ClientId>) {
        self.resting.retain(|(_, _, client_id)| !refused.contains(client_id));
    }

    fn trader(&mut self) -> usize {
        self.turn = (self.turn + 1) % ACCOUNTS;
        self.turn
    }

    fn nonce(&mut self) -> u64 {
        // Unique over all accounts, which is more than is asked for.
        self.next_nonce += 1;
        self.next_nonce
    }

    fn passive(&mut self) -> Result<Draft> {
        let (account, market) = (self.trader(), self.rng.random_range(0..self.markets.len()));
        let buy = self.rng.random_bool(0.5);
        let Market { mid, half_spread, size, asset, .. } = self.markets[market];
        let away = half_spread + self.rng.random_range(1..=half_spread * LEVELS);
        let price = if buy { mid.saturating_sub(away).max(1) } else { mid + away };
        let size = self.rng.random_range(size..=size * 4);
        let draft = self.order(account, market, buy, price, size, Tif::PostOnly)?;
        self.resting.extend(draft.rests.map(|client_id| (account, asset, client_id)));
        Ok(draft)
    }

    fn crossing(&mut self) -> Result<Draft> {
        let (account, market) = (self.trader(), self.rng.random_range(0..self.markets.len()));
        let buy = self.rng.random_bool(0.5);
        let Market { mid, half_spread, size, .. } = self.markets[market];
        let price = if buy { mid + half_spread * 2 } else { mid - half_spread * 2 };
        self.order(account, market, buy, price, size, Tif::Ioc)
    }

    fn order(
        &mut self,
        account: usize,
        market: usize,
        buy: bool,
        price: u64,
        size: u64,
        tif: Tif,
    ) -> Result<Draft> {
        self.next_client_id += 1;
        let client_id = self.next_client_id.to_be_bytes();
        let rests = (tif != Tif::Ioc).then_some(client_id);
        let side = if buy { Side::Buy } else { Side::Sell };
        let (market, reduce_only) = (self.markets[market].id, false);
        let client_id = Some(client_id);
        let plain = OrderRequest::default();
        let order =
            OrderRequest { market, side, price, size, tif, reduce_only, client_id, ..plain };
        let wire = OrderWire::of(&self.live.vm_spec.exchange, &order).context("a market")?;
        Ok(Draft { account, action: order_json(&wire), nonce: self.nonce(), rests })
    }

    fn cancel(&mut self, account: usize, asset: u64, client_id: ClientId) -> Draft {
        let action = cancel_json(asset, &client_id);
        Draft { account, action, nonce: self.nonce(), rests: None }
    }
}

/// An order as Hyperliquid's SDKs write it; the order of keys is what is signed.
fn order_json(order: &OrderWire) -> String {
    let OrderWire { asset, buy, price, size, reduce_only, tif, client_id, .. } = order;
    let tif = match tif {
        Tif::Gtc => "Gtc",
        Tif::Ioc => "Ioc",
        Tif::PostOnly => "Alo",
        Tif::Fok => "Fok",
    };
    let client_id =
        client_id.map_or(String::new(), |id| format!(r#","c":"{}""#, client_id_text(&id)));
    format!(
        r#"{{"type":"order","orders":[{{"a":{asset},"b":{buy},"p":"{price}","s":"{size}","r":{reduce_only},"t":{{"limit":{{"tif":"{tif}"}}}}{client_id}}}],"grouping":"na"}}"#
    )
}

fn cancel_json(asset: u64, client_id: &ClientId) -> String {
    let client_id = client_id_text(client_id);
    format!(r#"{{"type":"cancelByCloid","cancels":[{{"asset":{asset},"cloid":"{client_id}"}}]}}"#)
}

/// Signs on all cores.
fn sign_all(keys: &[SigningKey], drafts: Vec<Draft>) -> Result<Vec<Signed>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = drafts.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let work = |drafts| {
            let thread = std::thread::Builder::new().name("signer".into());
            thread.spawn_scoped(scope, move || sign_some(keys, drafts))
        };
        let signing: Vec<_> = drafts.chunks(chunk).map(work).collect::<Result<_, _>>()?;
        let mut signed = Vec::with_capacity(drafts.len());
        for part in signing {
            signed.extend(part.join().map_err(|_| anyhow::anyhow!("signing panicked"))??);
        }
        Ok(signed)
    })
}

fn sign_some(keys: &[SigningKey], drafts: &[Draft]) -> Result<Vec<Signed>> {
    let sign = |draft: &Draft| {
        let Draft { account, action, nonce, rests } = draft;
        let packed = atoll_rpc::hyperliquid::to_msgpack(action)?;
        let signature = sign::sign_action(&keys[*account], packed, *nonce).signature;
        let payload = format!(
            r#"{{"action":{action},"nonce":{nonce},"signature":{{"r":"0x{}","s":"0x{}","v":{}}},"vaultAddress":null}}"#,
            alloy_primitives::hex::encode(signature.r),
            alloy_primitives::hex::encode(signature.s),
            27 + signature.y_parity,
        );
        Ok(Signed { account: *account, payload, rests: *rests })
    };
    drafts.iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_vm::exchange::build;

    #[test]
    fn the_json_packs_to_what_the_builders_sign() {
        let order = OrderWire {
            asset: 3,
            buy: true,
            price: "61800.5".into(),
            size: "0.01".into(),
            reduce_only: false,
            tif: Tif::PostOnly,
            client_id: Some([7; 16]),
            ..Default::default()
        };
        let pack = |json: &str| atoll_rpc::hyperliquid::to_msgpack(json).unwrap();
        assert_eq!(pack(&order_json(&order)), build::orders(std::slice::from_ref(&order)));
        let plain = OrderWire { client_id: None, tif: Tif::Ioc, ..order };
        assert_eq!(pack(&order_json(&plain)), build::orders(std::slice::from_ref(&plain)));
        let cancel = pack(&cancel_json(2, &[9; 16]));
        assert_eq!(cancel, build::cancels_by_client_id(&[(2, [9; 16])]));
    }
}
