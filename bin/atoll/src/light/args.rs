//! The command line of `atoll light`.

use crate::cli::parse_duration;
use atoll_types::Address;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Where a light client learns of a network, and whom it trusts.
#[derive(Debug, Clone, Args)]
pub(crate) struct LightSource {
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// A node of the hub's chain [default: the one that the gateway names, with a warning]
    #[arg(long, value_name = "URL")]
    pub(crate) hub_rpc: Option<String>,
    /// The hub's Anchor contract [default: the one that the gateway names, with a warning]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) anchor: Option<Address>,
    /// Folder of the environments' spec files [default: those built in]
    #[arg(long, value_name = "DIR")]
    pub(crate) environments: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Where it begins: at the last commitment that the hub has settled, because what the \
hub settled needs no second opinion of the slots before; with --from-genesis, or before anything is \
settled, at the first slot, of which the network's id is all that is taken on trust. A later run goes \
on where the last one was (--data-dir).

Examples:
  atoll light                                 follow until Ctrl-C
  atoll light --for 60s --json                a minute, summary as JSON on the last line
  atoll light --until-settled --prove perps:0x02
  atoll light prove --environment perps --account 0xf39F…2266 --asset USDC
  atoll light prove --environment perps --account 0xf39F…2266 --position BTC
  atoll light prove --environment evm --account 0xf39F…2266"
)]
pub(crate) struct LightArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LightCommand>,
    #[command(flatten)]
    pub(crate) source: LightSource,
    /// The sequencer's address [default: what the gateway says, with a warning]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sequencer: Option<Address>,
    /// An adversary who withholds enough of a span gets by with a chance below 1 in 2^BITS
    #[arg(long, default_value_t = 20, value_name = "BITS",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) confidence: u32,
    /// Where it keeps how far it was
    #[arg(long, default_value = ".atoll-light", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Another gateway, whose headers must be the same; may be given several times
    #[arg(long, value_name = "URL")]
    pub(crate) also: Vec<String>,
    /// A proof that a span is badly encoded, from `atoll da sample --reconstruct`; may be given
    /// several times
    #[arg(long, value_name = "FILE")]
    pub(crate) fraud_proof: Vec<PathBuf>,
    /// Begin at the first slot instead of the last settled commitment
    #[arg(long)]
    pub(crate) from_genesis: bool,
    /// End after this long (30s, 5m, 1h)
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_for: Option<Duration>,
    /// End after following this many slots
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u64>,
    /// End as soon as the hub has settled a commitment that this run checked
    #[arg(long)]
    pub(crate) until_settled: bool,
    /// Prove the object at this key whenever a commitment is settled; may be given several times
    #[arg(long, value_name = "ENVIRONMENT:KEY")]
    pub(crate) prove: Vec<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LightCommand {
    /// Prove a balance, a position, an order or any object against what the hub has settled
    Prove(LightProveArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LightProveArgs {
    #[command(flatten)]
    pub(crate) source: LightSource,
    /// The environment, by name or number
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,
    /// Whose balance, position or order
    #[arg(long, value_name = "ADDRESS", required_unless_present = "key")]
    pub(crate) account: Option<Address>,
    /// Balance of this asset [default: of every asset]
    #[arg(long, value_name = "SYMBOL", requires = "account")]
    pub(crate) asset: Option<String>,
    /// Position in this market
    #[arg(long, value_name = "MARKET", requires = "account", conflicts_with = "asset")]
    pub(crate) position: Option<String>,
    /// An open order by its number
    #[arg(long, value_name = "ID", requires = "account", conflicts_with_all = ["asset", "position"])]
    pub(crate) order: Option<u64>,
    /// The encoded key of an object
    #[arg(long, value_name = "HEX", conflicts_with = "account")]
    pub(crate) key: Option<String>,
}
