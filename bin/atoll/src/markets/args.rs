//! The command line of `atoll market` and `atoll account`.

use atoll_exchange::MarketStatus;
use atoll_types::Address;
use atoll_types::crypto::SigningKey;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Which venue is asked, and how it is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct VenueArgs {
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// The exchange, by the name of its environment
    #[arg(long, default_value = "perps", value_name = "NAME")]
    pub(crate) environment: String,
    /// Print the gateway's answer as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MarketCommand {
    /// Every market: prices, status, open interest, funding, leverage
    List(ListArgs),
    /// One market: every parameter with its unit, then its live state
    #[command(after_help = "Examples:
  atoll market show BTC
  atoll market show ATOLL/USDC --json")]
    Show(ShowArgs),
    /// Check a new market and put it into an environment's spec file
    ///
    /// A market is data: the same keys as in [[exchange.markets]] of environments/perps.toml. It is
    /// checked together with the whole spec by what the node itself checks with, the proof that no
    /// amount can overflow included, and takes effect with the environment's next version.
    ///
    /// With --list it is listed on the running venue at once, signed by --key: by one of the
    /// authorities of [exchange.listing] of the venue's spec, or by anyone who leaves a bond where
    /// that section lets them. The file may then name oracle sources of the market's own.
    #[command(after_help = "Examples:
  atoll market open --spec environments/perps.toml --from market.toml --dry-run
  atoll market open --spec environments/perps.toml --from market.toml
  atoll market open --list --key development:agent-0 --from market.toml
  atoll market open --list --key development:agent-1 --bond 10000 --from market.toml

market.toml:
  name = \"DOGE\"
  product = \"perpetual\"
  tick = \"0.00001\"
  lot = \"1\"
  price_max = \"1000\"
  order_size_max = \"50000000\"
  notional_min = \"10\"
  price_band = \"0.5\"
  initial_margin = \"0.1\"
  maintenance_margin = \"0.05\"
  mark_band = \"0.005\"
  maker_fee = \"0.00015\"
  taker_fee = \"0.00045\"
  [funding]
  impact_notional = \"6000\"

For --list, sources of its own:
  [[oracles]]
  key = \"development:doge-oracle\"
  weight = 1")]
    Open(OpenArgs),
    /// Change what a market does: its lister may, and the authorities of the venue's spec
    #[command(after_help = "Examples:
  atoll market status DOGE halted --key development:agent-0
  atoll market status DOGE settled --key development:agent-0 --json")]
    Status(StatusArgs),
    /// Claim the bond of a listed market that is settled and empty, or take it for the insurance
    /// fund
    #[command(after_help = "Examples:
  atoll market bond claim DOGE --key development:agent-1
  atoll market bond forfeit DOGE --key development:agent-0")]
    Bond(BondArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// The market's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OpenArgs {
    /// The environment's spec file, which gets the market
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub(crate) spec: Option<PathBuf>,
    /// A file with the keys of one market
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Check and print, and write nothing
    #[arg(long, conflicts_with = "list")]
    pub(crate) dry_run: bool,
    /// List it on the running venue at once
    #[arg(long, requires = "key", conflicts_with = "spec")]
    pub(crate) list: bool,
    /// The key that signs: 64 hex digits, or development:NAME
    #[arg(long, value_name = "KEY", requires = "list")]
    pub(crate) key: Option<String>,
    /// What is left as a bond, in the collateral asset, out of the spot wallet
    #[arg(long, value_name = "AMOUNT", requires = "list")]
    pub(crate) bond: Option<String>,
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArgs {
    /// The market's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it does from now on
    #[arg(value_enum, value_name = "STATUS")]
    pub(crate) status: StatusName,
    /// The key that signs: 64 hex digits, or development:NAME
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

/// A status as the command line has it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum StatusName {
    /// Trades
    Open,
    /// Takes post-only orders
    PostOnly,
    /// Takes orders that reduce a position
    ReduceOnly,
    /// Takes no orders; cancels are possible
    CancelOnly,
    /// Gathers orders until it is opened at one price
    Auction,
    /// Does nothing; cancels are possible
    Halted,
    /// Ends at its last mark, for good
    Settled,
}

impl From<StatusName> for MarketStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Open => Self::Open,
            StatusName::PostOnly => Self::PostOnly,
            StatusName::ReduceOnly => Self::ReduceOnly,
            StatusName::CancelOnly => Self::CancelOnly,
            StatusName::Auction => Self::Auction,
            StatusName::Halted => Self::Halted,
            StatusName::Settled => Self::Settled,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BondArgs {
    /// Where it goes
    #[arg(value_enum, value_name = "STEP")]
    pub(crate) step: BondStep,
    /// The market's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The key that signs: 64 hex digits, or development:NAME
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

/// Where a bond goes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum BondStep {
    /// Back to who listed the market, who signs
    Claim,
    /// To the insurance fund; an authority signs
    Forfeit,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// What an account has: margin, collateral, positions, orders, balances, agents
    #[command(after_help = "Examples:
  atoll account show 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
  atoll account show development:agent-0 --json")]
    Show(AccountArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AccountArgs {
    /// The account's address, or development:NAME
    #[arg(value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) venue: VenueArgs,
}

fn parse_address(text: &str) -> Result<Address, String> {
    if let Some(label) = text.strip_prefix("development:") {
        return Ok(SigningKey::from_label(label).address());
    }
    text.parse().map_err(|_| {
        "expected an address of 40 hex digits with 0x, as \
         0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, or development:NAME"
            .to_string()
    })
}
