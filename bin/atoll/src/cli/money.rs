//! Commands that move money, watch those who hold it, and get it out.

use super::parse_duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What all commands that move money need.
#[derive(Debug, Clone, Args)]
pub(crate) struct MoneyArgs {
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// The hub's node [default: the one that the gateway names]
    #[arg(long, value_name = "URL")]
    pub(crate) hub_rpc: Option<String>,
    /// The key that signs: 64 hex digits, or development:NAME
    #[arg(
        long,
        env = "ATOLL_KEY",
        hide_env_values = true,
        default_value = "development:tour",
        value_name = "KEY"
    )]
    pub(crate) key: String,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TourArgs {
    #[command(flatten)]
    pub(crate) money: MoneyArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll deposit --environment perps --token USDC --amount 100 --fund
  atoll deposit --environment evm --token ETH --amount 0.5 --to 0xf39F…2266")]
pub(crate) struct DepositArgs {
    #[command(flatten)]
    pub(crate) money: MoneyArgs,
    /// The environment, by name or number
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,
    /// The token, by symbol or by its address on the hub
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: String,
    /// How much, as a decimal number
    #[arg(long, value_name = "N")]
    pub(crate) amount: String,
    /// Who is credited [default: the key's address]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<atoll_types::Address>,
    /// On a development hub: get what is missing from the faucet first
    #[arg(long)]
    pub(crate) fund: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll withdraw --environment perps --token USDC --amount 50
  atoll withdraw --environment perps --token USDC --amount 50 --destination evm")]
pub(crate) struct WithdrawArgs {
    #[command(flatten)]
    pub(crate) money: MoneyArgs,
    /// The environment, by name or number
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: String,
    /// The token, by symbol or by its address on the hub
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: String,
    /// How much, as a decimal number
    #[arg(long, value_name = "N")]
    pub(crate) amount: String,
    /// Who receives it [default: the key's address]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<atoll_types::Address>,
    /// Where it goes: hub, or another environment
    #[arg(long, default_value = "hub", value_name = "NAME")]
    pub(crate) destination: String,
    /// Do not wait until the withdrawal is settled
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Put the transaction into the hub's queue, from where the sequencer has to take it: for when
    /// the gateway does not
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ClaimArgs {
    #[command(flatten)]
    pub(crate) money: MoneyArgs,
    /// The withdrawal's number
    #[arg(long, value_name = "N")]
    pub(crate) index: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProofArgs {
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// A withdrawal's number
    #[arg(long, value_name = "N", conflicts_with_all = ["environment", "claim", "key"])]
    pub(crate) withdrawal: Option<u64>,
    /// An environment whose state is asked
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// What an account of an exchange could take out of --token
    #[arg(long, value_name = "ADDRESS", conflicts_with = "key")]
    pub(crate) claim: Option<atoll_types::Address>,
    /// The token of --claim, by its address on the hub; zero is its native currency
    #[arg(
        long,
        default_value = "0x0000000000000000000000000000000000000000",
        value_name = "ADDRESS"
    )]
    pub(crate) token: String,
    /// The encoded key of an object
    #[arg(long, value_name = "HEX")]
    pub(crate) key: Option<String>,
}

/// How somebody who does not trust the operator reaches a network.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutsideArgs {
    /// A node of the hub's chain [default: the one that the gateway names]
    #[arg(long, value_name = "URL")]
    pub(crate) hub_rpc: Option<String>,
    /// The network's Anchor contract on the hub [default: the one that the gateway names]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) anchor: Option<atoll_types::Address>,
    /// A block of the hub that the contracts were not deployed before [default: looked for]
    #[arg(long, value_name = "N")]
    pub(crate) from_block: Option<u64>,
    /// Folder of the network's spec files [default: those built in]
    #[arg(long, value_name = "DIR")]
    pub(crate) environments: Option<PathBuf>,
    /// The network's name, part of its identity
    #[arg(long, default_value = "dev", value_name = "NAME")]
    pub(crate) network: String,
    /// The network's gateway [default: http://127.0.0.1:3001]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll watch --url http://127.0.0.1:3001
  atoll watch --url http://127.0.0.1:3001 --key development:watcher --for 1m --json
  atoll watch --url http://203.0.113.7:3001 --hub-rpc http://127.0.0.1:8545 --anchor 0x5FbD…0aa3
  atoll watch --from ../friend/.atoll-watch --key 0xac09…ff80")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) outside: OutsideArgs,
    /// The key that challenges, with a bond: 64 hex digits, or development:NAME
    #[arg(long, env = "ATOLL_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Where what was read is kept
    #[arg(long, default_value = ".atoll-watch", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Another folder of published data, of a watch or a node that is not running; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Vec<PathBuf>,
    /// How long data of a commitment on the hub may be missing before that is an alarm
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) patience: Duration,
    /// End by itself after this long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_for: Option<Duration>,
    /// End by itself after so many slots
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u64>,
    /// End at the first alarm, once what is wrong is challenged
    #[arg(long)]
    pub(crate) exit_on_alarm: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EscapeCommand {
    /// Say how long the operator has been silent, what can be done, and what an account has
    Status(EscapeArgs),
    /// Anchor what the operator left: commitments it signed, slots it published, the hub's queue
    ///
    /// Signed commitments can be brought to the hub at any time. After the stated silence anyone may
    /// also anchor the slots that were published with a certificate and never committed, exactly as
    /// they were, and after them slots of the queue's entries alone: deposits are credited and forced
    /// transactions executed as if the operator had done it. Each takes a bond that comes back when
    /// it is settled.
    Derive(EscapeArgs),
    /// Open the snapshot exit and take out what an account has in the last settled state
    ///
    /// Withdrawals that are settled are claimed, deposits that nobody consumed come back, and each
    /// account is paid its claim once: in full where there is enough, in proportion where not.
    /// Opening is final.
    Exit(EscapeArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll escape status --from .atoll-watch --key development:tour
  atoll escape derive --from .atoll --hub-rpc http://127.0.0.1:8545 --anchor 0x5FbD…0aa3 --wait
  atoll escape exit --from .atoll-watch --key 0xac09…ff80")]
pub(crate) struct EscapeArgs {
    #[command(flatten)]
    pub(crate) outside: OutsideArgs,
    /// Where published data was kept: a folder of `atoll watch`, or a node's data folder
    #[arg(long, default_value = ".atoll-watch", value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The key that pays for transactions on the hub: 64 hex digits, or development:NAME
    #[arg(
        long,
        env = "ATOLL_KEY",
        hide_env_values = true,
        default_value = "development:tour",
        value_name = "KEY"
    )]
    pub(crate) key: String,
    /// Whose money it is; it is paid to the same address on the hub [default: the key's address]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) account: Option<atoll_types::Address>,
    /// Wait for what takes time: challenge windows
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}
