//! The spec of an exchange environment: the venue, and who may sign what.

use crate::router::Funding;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_exchange::spec::ASSETS_BOUND;
use atoll_exchange::{Amount, AssetId, MarketSpec, Product, Rules, SpecError, Wallet};
use atoll_types::codec::{CodecError, put_signed, put_varint, put_varint128};
use atoll_types::{Address, Decode, Encode, Reader, Reject, RejectCode, U256};

/// Most genesis balances.
pub const GENESIS_BALANCES_MAX: u32 = 1 << 24;
/// Bound of [`ExchangeVmSpec::commands_per_action_max`]: what fits a transaction.
pub const COMMANDS_PER_ACTION_BOUND: u32 = 2_000;
/// Bound of [`ExchangeVmSpec::agents_per_account_max`].
pub const AGENTS_PER_ACCOUNT_BOUND: u32 = 32;
/// Bound of [`ExchangeVmSpec::claims_per_slot`].
pub const CLAIMS_PER_SLOT_BOUND: u32 = 10_000;
/// Most claims that a slot's opening renews: accounts times hub assets.
pub const CLAIMS_BOUND: usize = 100_000;
/// Most decimals that a token has on the hub beyond those of its asset.
pub const HUB_UNIT_DIGITS_MAX: u32 = 18;
/// Bound of [`ExchangeVmSpec::chain_id`]: what JSON and wallets represent exactly.
pub const CHAIN_ID_BOUND: u64 = 1 << 53;

/// Money that an account has from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisBalance {
    /// Whose account.
    pub address: Address,
    /// The asset.
    pub asset: AssetId,
    /// The wallet that holds it.
    pub wallet: Wallet,
    /// How much, in the asset's smallest unit; above zero.
    pub amount: Amount,
}

/// An asset that has a token on the hub: it can come in and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubAsset {
    /// The asset.
    pub asset: AssetId,
    /// The token, by its address on the hub; zero is the hub's native currency.
    pub token: Address,
    /// The token's smallest units on the hub in one smallest unit of the asset: 10 to the power of
    /// the difference of their decimals.
    pub unit: u128,
}

impl HubAsset {
    /// An amount, not negative, in the token's smallest unit on the hub.
    pub fn to_hub(&self, amount: Amount) -> U256 {
        // Below 2¹²⁷ × 2⁶⁰.
        U256::from(amount.unsigned_abs()).saturating_mul(U256::from(self.unit))
    }

    /// An amount of the hub in the asset's smallest unit, if it is a whole number of them.
    pub fn from_hub(&self, amount: U256) -> Result<Amount, Reject> {
        let (units, rest) = amount.div_rem(U256::from(self.unit.max(1)));
        if !rest.is_zero() {
            let message = format!(
                "{amount} of the hub's token {} is not a multiple of {}, the smallest unit here",
                self.token, self.unit,
            );
            return Err(Reject::new(RejectCode::OffLot, message));
        }
        u128::try_from(units).ok().and_then(|units| Amount::try_from(units).ok()).ok_or_else(|| {
            let message = format!("{amount} of the hub's token {} is too much", self.token);
            Reject::new(RejectCode::Overflow, message)
        })
    }
}

/// The spec of an exchange environment. Decoding validates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeVmSpec {
    /// The venue: assets, markets, limits; valid by construction.
    pub exchange: Rules,
    /// The key whose oracle prices are believed.
    pub oracle: Address,
    /// Chain id of the Atoll signing domain; what wallets show. Replay protection does not rest
    /// on it: the domain's salt names network and environment.
    pub chain_id: u64,
    /// Whether a master key may sign Hyperliquid actions itself.
    ///
    /// Hyperliquid's signing domains name no venue: such an action is valid on every venue that
    /// accepts it. For development networks only; elsewhere a master key approves an agent key
    /// with an Atoll message, which names network and environment, and the agent signs.
    pub accept_hyperliquid_master: bool,
    /// Most orders, cancels or modifications in one action.
    pub commands_per_action_max: u32,
    /// Most agent keys of one account.
    pub agents_per_account_max: u32,
    /// The assets that have a token on the hub, in order of their numbers.
    pub hub_assets: Vec<HubAsset>,
    /// How many accounts' claims a slot's opening renews.
    pub claims_per_slot: u32,
    /// Balances at genesis.
    pub genesis: Vec<GenesisBalance>,
}

impl ExchangeVmSpec {
    /// Whether an environment can run with it; the error names the key.
    pub fn validate(&self) -> Result<(), SpecError> {
        let bound = COMMANDS_PER_ACTION_BOUND;
        ensure(
            (1..=bound).contains(&self.commands_per_action_max),
            "commands_per_action_max",
            self.commands_per_action_max,
            &format!("1 to {bound}"),
        )?;
        let bound = AGENTS_PER_ACCOUNT_BOUND;
        ensure(
            (1..=bound).contains(&self.agents_per_account_max),
            "agents_per_account_max",
            self.agents_per_account_max,
            &format!("1 to {bound}"),
        )?;
        ensure(
            (1..CHAIN_ID_BOUND).contains(&self.chain_id),
            "chain_id",
            self.chain_id,
            "1 to 2^53 - 1",
        )?;
        ensure(!self.oracle.is_zero(), "oracle", self.oracle, "the address of the oracle's key")?;
        let bound = CLAIMS_PER_SLOT_BOUND;
        ensure(
            (1..=bound).contains(&self.claims_per_slot),
            "claims_per_slot",
            self.claims_per_slot,
            &format!("1 to {bound}"),
        )?;
        let claims = self.hub_assets.len() * self.claims_per_slot as usize;
        let expected = format!("at most {CLAIMS_BOUND} claims, accounts × hub assets");
        ensure(claims <= CLAIMS_BOUND, "claims_per_slot", self.claims_per_slot, &expected)?;
        self.validate_hub_assets()?;
        let count = self.genesis.len();
        ensure(
            count <= GENESIS_BALANCES_MAX as usize,
            "genesis",
            count,
            &format!("at most {GENESIS_BALANCES_MAX} balances"),
        )?;
        let markets = &self.exchange.spec().markets;
        let perpetual = |m: &MarketSpec| matches!(m.product, Product::Perpetual { .. });
        let sorted = markets.is_sorted_by_key(|market| !perpetual(market));
        let expected =
            "perpetual markets before spot markets: their asset numbers are their places";
        ensure(sorted, "exchange.markets", "a spot market before a perpetual one", expected)?;
        self.validate_genesis()
    }

    fn validate_hub_assets(&self) -> Result<(), SpecError> {
        for (i, hub) in self.hub_assets.iter().enumerate() {
            let key = |name: &str| format!("hub_assets[{i}].{name}");
            let before = &self.hub_assets[..i];
            let fits = self.exchange.has_asset(hub.asset)
                && before.last().is_none_or(|last| last.asset < hub.asset);
            let expected = "the number of an asset, above that of the entry before";
            ensure(fits, &key("asset"), hub.asset, expected)?;
            let unique = before.iter().all(|other| other.token != hub.token);
            ensure(unique, &key("token"), hub.token, "a token of this asset alone")?;
            let power = (0..=HUB_UNIT_DIGITS_MAX).any(|digits| 10u128.pow(digits) == hub.unit);
            let expected = format!("a power of ten, 1 to 10^{HUB_UNIT_DIGITS_MAX}");
            ensure(power, &key("unit"), hub.unit, &expected)?;
        }
        Ok(())
    }

    /// An asset's token on the hub, if it has one.
    pub fn hub_asset(&self, asset: AssetId) -> Option<&HubAsset> {
        self.hub_assets.iter().find(|hub| hub.asset == asset)
    }

    /// The asset of a token of the hub, if there is one.
    pub fn hub_asset_of(&self, token: &Address) -> Option<&HubAsset> {
        self.hub_assets.iter().find(|hub| hub.token == *token)
    }

    /// What the genesis balances are of each token of the hub, where that is more than nothing:
    /// what the environment's escrow has to be funded with. In order of the assets.
    pub fn funded(&self) -> Vec<Funding> {
        let total = |hub: &HubAsset| {
            let of = self.genesis.iter().filter(|balance| balance.asset == hub.asset);
            hub.to_hub(of.map(|balance| balance.amount).sum())
        };
        let funding = |hub: &HubAsset| Funding { token: hub.token, amount: total(hub) };
        self.hub_assets.iter().map(funding).filter(|funding| !funding.amount.is_zero()).collect()
    }

    fn validate_genesis(&self) -> Result<(), SpecError> {
        let spec = self.exchange.spec();
        let mut totals = alloc::vec![0 as Amount; spec.assets.len()];
        for (i, balance) in self.genesis.iter().enumerate() {
            let key = |name: &str| format!("genesis[{i}].{name}");
            let Some(total) = totals.get_mut(usize::from(balance.asset.0)) else {
                return Err(error(&key("asset"), balance.asset, "the number of an asset"));
            };
            let wallet_ok = balance.wallet == Wallet::Spot
                || balance.asset == spec.collateral
                || self.exchange.pledge(balance.asset).is_some();
            let expected = "spot, or collateral for an asset that is collateral";
            ensure(wallet_ok, &key("wallet"), format!("{:?}", balance.wallet), expected)?;
            let amount = balance.amount;
            ensure(amount > 0, &key("amount"), amount, "above zero")?;
            *total = total.saturating_add(amount);
            let expected = "a total below 2^96 for each asset";
            let bound = atoll_exchange::spec::SUPPLY_MAX;
            ensure(*total < bound, &key("amount"), amount, expected)?;
            ensure(!balance.address.is_zero(), &key("address"), balance.address, "not zero")?;
        }
        Ok(())
    }
}

fn error(key: &str, found: impl ToString, expected: &str) -> SpecError {
    SpecError { key: String::from(key), found: found.to_string(), expected: expected.into() }
}

fn ensure(ok: bool, key: &str, found: impl ToString, expected: &str) -> Result<(), SpecError> {
    if ok { Ok(()) } else { Err(error(key, found, expected)) }
}

impl Encode for ExchangeVmSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        self.exchange.encode(out);
        out.extend_from_slice(self.oracle.as_slice());
        put_varint(out, self.chain_id);
        out.push(u8::from(self.accept_hyperliquid_master));
        put_varint(out, u64::from(self.commands_per_action_max));
        put_varint(out, u64::from(self.agents_per_account_max));
        put_varint(out, self.hub_assets.len() as u64);
        for hub in &self.hub_assets {
            hub.asset.encode(out);
            out.extend_from_slice(hub.token.as_slice());
            put_varint128(out, hub.unit);
        }
        put_varint(out, u64::from(self.claims_per_slot));
        put_varint(out, self.genesis.len() as u64);
        for balance in &self.genesis {
            out.extend_from_slice(balance.address.as_slice());
            balance.asset.encode(out);
            balance.wallet.encode(out);
            put_signed(out, balance.amount);
        }
    }
}

impl Decode for ExchangeVmSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let exchange = Rules::decode(r)?;
        let (oracle, chain_id) = (r.address()?, r.varint()?);
        let accept_hyperliquid_master = r.bool()?;
        let commands_per_action_max = r.length("commands per action", COMMANDS_PER_ACTION_BOUND)?;
        let agents_per_account_max = r.length("agents per account", AGENTS_PER_ACCOUNT_BOUND)?;
        let mut hub_assets = Vec::new();
        for _ in 0..r.length("hub assets", ASSETS_BOUND)? {
            hub_assets.push(HubAsset {
                asset: AssetId::decode(r)?,
                token: r.address()?,
                unit: r.varint128()?,
            });
        }
        let claims_per_slot = r.length("claims per slot", CLAIMS_PER_SLOT_BOUND)?;
        let mut genesis = Vec::new();
        for _ in 0..r.length("genesis balances", GENESIS_BALANCES_MAX)? {
            genesis.push(GenesisBalance {
                address: r.address()?,
                asset: AssetId::decode(r)?,
                wallet: Wallet::decode(r)?,
                amount: r.signed()?,
            });
        }
        let spec = Self {
            exchange,
            oracle,
            chain_id,
            accept_hyperliquid_master,
            commands_per_action_max,
            agents_per_account_max,
            hub_assets,
            claims_per_slot,
            genesis,
        };
        spec.validate().map_err(|_| CodecError::Invalid("exchange environment spec"))?;
        Ok(spec)
    }
}
