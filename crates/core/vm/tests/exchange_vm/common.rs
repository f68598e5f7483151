//! A small venue with three accounts, and shorthands to trade on it.

use atoll_exchange::{
    AssetId, AssetSpec, Contract, ExchangeSpec, Limits, ListingSpec, MarketId, MarketRisk,
    MarketSpec, OracleSpec, OrderRequest, PriceSpec, Product, Rules, SelfTrade, Side, Tif, Wallet,
};
use atoll_state::{Resident, Source, object};
use atoll_types::crypto::SigningKey;
use atoll_types::{
    Address, B256, Encode, EnvironmentId, Message, MessageKind, NetworkId, Reject, RejectCode, U256,
};
use atoll_vm::exchange::sign::{sign_action, sign_message, sign_oracle};
use atoll_vm::exchange::{
    AtollMessage, ExchangeReceipt, ExchangeTransaction, ExchangeVm, ExchangeVmSpec, GenesisBalance,
    HubAsset, OraclePrices, Status, build,
};
use atoll_vm::{Identity, Receipt, SlotContext, Vm};

/// Time of the first tick, in milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;
pub(crate) const CHAIN_ID: u64 = 4242;
pub(crate) const ETH: MarketId = MarketId(0);
pub(crate) const BTC: MarketId = MarketId(1);
pub(crate) const USDC: AssetId = AssetId(0);
pub(crate) const UBTC: AssetId = AssetId(1);
pub(crate) const USDC_TOKEN: Address = Address::repeat_byte(0xcc);
/// The hub's native currency, with 18 decimals.
pub(crate) const UBTC_TOKEN: Address = Address::ZERO;
pub(crate) const UBTC_UNIT: u128 = 10_000_000_000;
pub(crate) const IDENTITY: Identity =
    Identity { network: NetworkId(B256::repeat_byte(7)), environment: EnvironmentId(3) };

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_label(name)
}

fn market(name: &str, product: Product, (price_decimals, tick): (u8, u64), lot: u64) -> MarketSpec {
    MarketSpec {
        name: name.into(),
        product,
        price_decimals,
        size_decimals: 4,
        tick,
        lot,
        price_max: 10_000_000,
        order_size_max: 1_000_000_000,
        notional_min: 1_000_000,
        price_band_ppm: 900_000,
        maker_fee_ppm: 100,
        taker_fee_ppm: 400,
        risk: MarketRisk::default(),
        prices: PriceSpec::default(),
    }
}

fn asset(symbol: &str, decimals: u8) -> AssetSpec {
    AssetSpec { symbol: symbol.into(), decimals, pledge: None, borrow_ppm: 0 }
}

/// A venue that takes actions of master keys (`dev`) or only those of agents.
pub(crate) fn spec(dev: bool) -> ExchangeVmSpec {
    let perpetual = Product::Perpetual {
        contract: Contract::Linear,
        initial_margin_ppm: 50_000,
        maintenance_margin_ppm: 25_000,
        mark_band_ppm: 10_000,
    };
    let spot = Product::Spot { base: AssetId(1), quote: AssetId(0) };
    let exchange = ExchangeSpec {
        assets: vec![asset("USDC", 6), asset("UBTC", 8), asset("POINTS", 0)],
        collateral: AssetId(0),
        markets: vec![
            market("ETH", perpetual.clone(), (2, 1), 1),
            market("BTC", perpetual, (1, 5), 10),
            market("UBTC/USDC", spot, (1, 1), 10),
        ],
        self_trade: SelfTrade::CancelTaker,
        limits: Limits::default(),
        liquidation: atoll_exchange::LiquidationSpec::default(),
        oracle: OracleSpec::default(),
        listing: ListingSpec::default(),
    };
    let balance = |name: &str| GenesisBalance {
        address: key(name).address(),
        asset: AssetId(0),
        wallet: Wallet::Collateral,
        amount: 1_000_000_000_000,
    };
    ExchangeVmSpec {
        exchange: Rules::new(exchange).unwrap(),
        oracles: vec![key("oracle").address()],
        chain_id: CHAIN_ID,
        accept_hyperliquid_master: dev,
        commands_per_action_max: 100,
        agents_per_account_max: 3,
        hub_assets: vec![
            HubAsset { asset: USDC, token: USDC_TOKEN, unit: 1 },
            HubAsset { asset: UBTC, token: UBTC_TOKEN, unit: UBTC_UNIT },
        ],
        claims_per_slot: 2,
        genesis: ["alice", "bob", "carol"].map(balance).into(),
    }
}

pub(crate) fn context() -> SlotContext {
    SlotContext { slot: 1, time_us: START_MS * 1000, parent: B256::ZERO }
}

/// A venue past its first tick, with marks of 2000 (ETH) and 30000 (BTC).
pub(crate) struct Venue {
    pub(crate) spec: ExchangeVmSpec,
    pub(crate) vm: ExchangeVm<Resident>,
    pub(crate) nonce: u64,
    /// The messages of the latest receipt.
    pub(crate) sent: Vec<Message>,
}

impl Venue {
    pub(crate) fn new(dev: bool) -> Self {
        Self::of(spec(dev))
    }

    pub(crate) fn of(spec: ExchangeVmSpec) -> Self {
        let mut vm = ExchangeVm::new(IDENTITY, spec.clone(), 1);
        object::begin(&mut vm);
        vm.genesis();
        vm.open_slot(&context());
        let mut venue = Self { spec, vm, nonce: START_MS, sent: Vec::new() };
        let oracle = sign_oracle(&key("oracle"), &IDENTITY, START_MS, &marks(200_000, 60_000));
        let checked = venue.check(&oracle.to_bytes()).unwrap();
        let receipt = ExchangeReceipt::of(&venue.vm.execute_input(&checked)).unwrap();
        assert_eq!(receipt.statuses, [Status::Success, Status::Success]);
        venue.vm.open_tick(START_MS * 1000);
        let marked = if venue.spec.oracles.len() == 1 { 2 } else { 0 };
        assert_eq!(venue.vm.tick_events().len(), marked);
        venue
    }

    pub(crate) fn check(&self, bytes: &[u8]) -> Result<Checked, Reject> {
        check(&self.spec, bytes)
    }

    /// Through check, admission and execution; admission and execution must agree.
    pub(crate) fn submit(&mut self, bytes: &[u8]) -> Result<ExchangeReceipt, Reject> {
        let checked = self.check(bytes)?;
        let admitted = self.vm.precheck(&checked);
        let receipt = self.vm.execute(&checked);
        let done = ExchangeReceipt::of(&receipt);
        self.sent = receipt.messages;
        match (admitted, done) {
            (Ok(_), done) => {
                let done = done.expect("what was admitted reaches the exchange");
                assert!(self.vm.audit().iter().all(|asset| asset.conserved));
                Ok(done)
            }
            (Err(reject), Err(refused)) => {
                // Admission may say more than execution about who signed for another venue.
                if reject.code != RejectCode::WrongDomain {
                    assert_eq!(reject, refused);
                }
                Err(reject)
            }
            (Err(reject), Ok(_)) => panic!("executed what admission refuses: {reject}"),
        }
    }

    pub(crate) fn send(
        &mut self,
        transaction: &ExchangeTransaction,
    ) -> Result<ExchangeReceipt, Reject> {
        self.submit(&transaction.to_bytes())
    }

    /// Takes in a message; a receipt without success must say why.
    pub(crate) fn receive(&mut self, message: &Message) -> Result<ExchangeReceipt, Reject> {
        let hash = message.hash();
        let receipt = self.vm.receive(hash, message);
        assert_eq!(receipt.hash, hash);
        assert!(self.vm.audit().iter().all(|asset| asset.conserved));
        let done = ExchangeReceipt::of(&receipt);
        self.sent = receipt.messages;
        done
    }

    /// Signs a message of Atoll's own with a fresh nonce and submits it.
    pub(crate) fn tell(&mut self, signer: &str, message: &AtollMessage) -> Result<Status, Reject> {
        let nonce = self.next_nonce();
        let signed = sign_message(&key(signer), &IDENTITY, CHAIN_ID, message, nonce);
        self.send(&signed).map(|mut receipt| receipt.statuses.remove(0))
    }

    pub(crate) fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// Signs an action with a fresh nonce and submits it.
    pub(crate) fn act(&mut self, signer: &str, action: Vec<u8>) -> Result<ExchangeReceipt, Reject> {
        let nonce = self.next_nonce();
        self.send(&sign_action(&key(signer), action, nonce))
    }

    /// Places one order; gives its status.
    pub(crate) fn place(&mut self, signer: &str, order: OrderRequest) -> Status {
        let action = build::orders(&[wire(&self.spec, &order)]);
        self.act(signer, action).unwrap().statuses.remove(0)
    }
}

/// A transfer from another environment, or a deposit.
pub(crate) fn transfer(source: u32, to: Address, token: Address, amount: U256) -> Message {
    Message {
        kind: MessageKind::Transfer,
        number: 7,
        source: EnvironmentId(source),
        destination: IDENTITY.environment,
        from: Address::repeat_byte(0xf0),
        to,
        token,
        amount,
        data: Vec::new(),
    }
}

/// What an account could take out, added up anew.
pub(crate) fn naive_claim(vm: &ExchangeVm<Resident>, address: Address, token: Address) -> U256 {
    let Some(account) = vm.account_of(&address) else { return U256::ZERO };
    let exchange = vm.exchange();
    if token == UBTC_TOKEN {
        let total = exchange.peek_balance(account, UBTC).total;
        return U256::from(total as u128) * U256::from(UBTC_UNIT);
    }
    let mut worth = exchange.peek_owner(account).unwrap().collateral;
    worth += exchange.peek_balance(account, USDC).total;
    for view in exchange.peek_positions(account) {
        worth += view.value - view.position.cost;
    }
    U256::from(worth.max(0) as u128)
}

pub(crate) type Checked = atoll_vm::Checked<atoll_vm::exchange::SignedAction>;

pub(crate) fn check(spec: &ExchangeVmSpec, bytes: &[u8]) -> Result<Checked, Reject> {
    <ExchangeVm<Resident> as Vm<Resident>>::check(&IDENTITY, spec, bytes)
}

pub(crate) fn execute<S: Source>(
    vm: &mut ExchangeVm<S>,
    spec: &ExchangeVmSpec,
    bytes: &[u8],
) -> Receipt {
    match check(spec, bytes) {
        Ok(checked) => vm.execute(&checked),
        Err(reject) => Receipt { code: reject.code.number(), ..Receipt::default() },
    }
}

pub(crate) fn marks(eth: u64, btc: u64) -> OraclePrices {
    OraclePrices { prices: vec![(ETH, eth), (BTC, btc)], marks: Vec::new() }
}

pub(crate) fn wire(spec: &ExchangeVmSpec, order: &OrderRequest) -> build::OrderWire {
    build::OrderWire::of(&spec.exchange, order).unwrap()
}

pub(crate) fn order(side: Side, price: u64, size: u64, tif: Tif) -> OrderRequest {
    let (market, reduce_only, client_id) = (ETH, false, None);
    OrderRequest {
        market,
        side,
        price,
        size,
        tif,
        reduce_only,
        client_id,
        ..OrderRequest::default()
    }
}
