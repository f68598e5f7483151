//! The spec of an exchange environment: the venue, and who may sign what.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_exchange::{Amount, AssetId, MarketSpec, Product, Rules, SpecError, Wallet};
use atoll_types::codec::{CodecError, put_signed, put_varint};
use atoll_types::{Address, Decode, Encode, Reader};

/// Most genesis balances.
pub const GENESIS_BALANCES_MAX: u32 = 1 << 24;
/// Bound of [`ExchangeVmSpec::commands_per_action_max`]: what fits a transaction.
pub const COMMANDS_PER_ACTION_BOUND: u32 = 2_000;
/// Bound of [`ExchangeVmSpec::agents_per_account_max`].
pub const AGENTS_PER_ACCOUNT_BOUND: u32 = 32;
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

    fn validate_genesis(&self) -> Result<(), SpecError> {
        let spec = self.exchange.spec();
        let mut totals = alloc::vec![0 as Amount; spec.assets.len()];
        for (i, balance) in self.genesis.iter().enumerate() {
            let key = |name: &str| format!("genesis[{i}].{name}");
            let Some(total) = totals.get_mut(usize::from(balance.asset.0)) else {
                return Err(error(&key("asset"), balance.asset, "the number of an asset"));
            };
            let wallet_ok = balance.wallet == Wallet::Spot || balance.asset == spec.collateral;
            let expected = "spot, or collateral for the collateral asset";
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
            genesis,
        };
        spec.validate().map_err(|_| CodecError::Invalid("exchange environment spec"))?;
        Ok(spec)
    }
}
