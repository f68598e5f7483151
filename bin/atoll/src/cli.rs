//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A modular execution layer for on-chain markets: one binary that boots, runs, verifies and
/// measures a network of execution environments.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot a whole network in one process and trade on it
    ///
    /// Starts the sequencer, every environment of the spec folder and the gateway, and drives the
    /// exchange with built-in agents or a recorded market. Run it again and it goes on where it
    /// was. Stop it with Ctrl-C, or kill it: nothing confirmed is lost.
    #[command(after_help = "Examples:
  atoll dev                                   run until Ctrl-C, data in ./.atoll
  atoll dev --for 30s --json                  thirty seconds, summary as JSON on the last line
  atoll dev --reset                           start over
  atoll dev --replay trades.jsonl.gz --speed max
  curl -s localhost:3001/info -d '{\"type\":\"l2Book\",\"coin\":\"BTC\"}'
  cast block-number --rpc-url http://127.0.0.1:3001/evm/evm")]
    Dev(DevArgs),
    /// Re-execute a slot, or part of it, from its witness alone and compare every root
    ///
    /// The witness is regenerated from the nearest snapshot and the log, then checked by the same
    /// code that a challenger or a proof guest runs: no database, nothing but spec, batch and
    /// witness.
    Verify(VerifyArgs),
    /// Walk the whole way of money: from the hub in, trade, transfer, out again
    ///
    /// With `atoll dev` running, or starting a node of its own. Every step prints its hashes, checks
    /// the balances on both sides and explains itself.
    Tour(TourArgs),
    /// Deposit money from the hub into an environment
    Deposit(DepositArgs),
    /// Withdraw money from an environment to the hub, or send it to another environment
    Withdraw(WithdrawArgs),
    /// Claim a settled withdrawal on the hub
    Claim(ClaimArgs),
    /// Print the proof of a withdrawal, or of an object of the last settled state
    Proof(ProofArgs),
    /// Execute again what is published, and challenge what is committed wrongly
    ///
    /// Reads the contracts on the hub and the published data; takes no other word of the operator.
    /// What others anchor in a silent operator's place (`atoll escape derive`) is derived again and
    /// judged as well, and no gateway is needed for it. What it has read it keeps: `atoll escape`
    /// needs no more than that folder and the hub. Exits with an error if anything was wrong,
    /// withheld, or could not be judged.
    Watch(WatchArgs),
    /// Get money out although the operator has vanished
    ///
    /// Needs the hub, the network's spec files and the published data that somebody has kept: a
    /// folder of `atoll watch`, a node's data folder, or a gateway that still answers.
    #[command(subcommand)]
    Escape(EscapeCommand),
    /// Check for oneself that published data is there
    #[command(subcommand)]
    Da(DaCommand),
    /// Deploy the hub's contracts to a chain, or look at them
    #[command(subcommand)]
    Hub(HubCommand),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// What crashes do to a venue: liquidations, funds, deleveraging, time per slot
    #[command(subcommand)]
    Risk(RiskCommand),
    /// Look at a venue's markets, or open a new one
    #[command(subcommand)]
    Market(crate::markets::MarketCommand),
    /// Look at an account: margin, collateral, positions, orders, balances
    #[command(subcommand)]
    Account(crate::markets::AccountCommand),
    /// Run recorded Ethereum through an EVM environment's executor: state tests, mainnet blocks
    #[command(subcommand)]
    Evm(crate::evm::EvmCommand),
    /// Why the transactions of an EVM block had to follow one another, or what one of them did
    #[command(after_help = "Examples:
  atoll trace latest --conflicts              which keys made transactions wait for one another
  atoll trace 1204 --conflicts --json
  atoll trace 0x5c50…                         calls, gas and logs of a transaction")]
    Trace(crate::trace::TraceArgs),
    /// Check environment spec files and print what they define
    Spec(SpecArgs),
    /// Follow a network without trusting who serves it: headers, data samples, settled state
    ///
    /// Every slot's header is checked by signature and hash, every commitment against its headers
    /// and the hub, its data by samples. What is withheld, forged or contradictory ends the run with
    /// an error that says what, where, and what proves it.
    Light(crate::light::LightArgs),
}

/// What a dishonest operator does, for tests of what protects against it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Hostile {
    /// Lie about a state root in this commitment
    #[arg(long, hide = true, value_name = "N")]
    pub(crate) false_root: Option<u64>,
    /// Take no transaction from this signer
    #[arg(long, hide = true, value_name = "ADDRESS")]
    pub(crate) censor: Option<atoll_types::Address>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DevArgs {
    /// Where the network lives [default: ./.atoll, or ./.atoll/replay-NAME with --replay]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Delete what is in the data folder and start from genesis
    #[arg(long)]
    pub(crate) reset: bool,
    /// Address of the gateway
    #[arg(long, default_value = "127.0.0.1:3001", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Folder of spec files to use instead of the two built in (perps.toml, evm.toml)
    #[arg(long, value_name = "DIR")]
    pub(crate) environments: Option<PathBuf>,
    /// Drive the book with a recorded market: Bitstamp L3 CSV, Binance JSON lines, LOBSTER CSV;
    /// plain, .gz, .xz or .zst
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// How fast to replay: as recorded (1x), a multiple (10x), or as fast as possible (max)
    #[arg(long, default_value = "1x", value_name = "SPEED", value_parser = parse_speed)]
    pub(crate) speed: Speed,
    /// End by itself after this long (30s, 5m, 1h) and print a summary
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_for: Option<Duration>,
    /// End by itself after this many slots and print a summary
    #[arg(long, value_name = "N", conflicts_with = "run_for")]
    pub(crate) slots: Option<u64>,
    /// Print the summary as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
    /// The chain that the network settles on: embedded, none, or the address of a node of any EVM
    /// chain; the contracts are deployed there if they are missing
    #[arg(long, default_value = "embedded", value_name = "HUB", value_parser = parse_hub)]
    pub(crate) hub: HubChoice,
    /// Windows, deadlines and bonds on the hub, fixed when the contracts are deployed
    #[arg(long, value_enum, default_value_t = TermsChoice::Development, value_name = "TERMS")]
    pub(crate) terms: TermsChoice,
    /// How long a commitment is [default: 5s with development terms, 1h with production terms]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) commitment_interval: Option<Duration>,
    /// The key that deploys to the hub and posts commitments: 64 hex digits, or development:NAME
    #[arg(
        long,
        env = "ATOLL_HUB_KEY",
        hide_env_values = true,
        value_name = "KEY",
        default_value = "development:operator"
    )]
    pub(crate) hub_key: String,
    /// Publish each span to another layer as well: celestia:URL[,token=…][,trusted=HASH] or
    /// blobs:URL[,beacon=URL][,key=KEY]; may be given once for each. Secrets may come from
    /// ATOLL_CELESTIA_TOKEN and ATOLL_BLOBS_KEY instead
    #[arg(long, value_name = "LAYER", value_parser = crate::layers::parse)]
    pub(crate) also_publish: Vec<crate::layers::LayerChoice>,
    #[command(flatten)]
    pub(crate) hostile: Hostile,
    /// Seed of the built-in agents
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Orders per second of the built-in agents, over all markets; 0 for none
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) rate: u32,
    /// When a tick counts as logged: handed to the operating system, or on disk
    #[arg(long, value_enum, default_value_t = Durability::Written)]
    pub(crate) durability: Durability,
    /// Slots from one snapshot to the next
    #[arg(long, default_value_t = 600, value_name = "SLOTS")]
    pub(crate) snapshot_interval: u64,
    /// Keep the whole log instead of pruning it behind snapshots
    #[arg(long)]
    pub(crate) keep_log: bool,
    /// After a loss of power with --durability written: go on before the damaged end of the log,
    /// without what was confirmed behind it
    #[arg(long)]
    pub(crate) accept_log_damage: bool,
}

/// When a tick counts as logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// Written to the operating system: survives the death of the process
    Written,
    /// On disk: survives the loss of power
    Synced,
}

/// The chain that a network settles on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HubChoice {
    /// A chain in this process, at /hub.
    Embedded,
    /// None: nothing comes in and nothing goes out.
    None,
    /// Any EVM chain, by the address of a node.
    Url(String),
}

fn parse_hub(text: &str) -> Result<HubChoice, String> {
    match text {
        "embedded" => Ok(HubChoice::Embedded),
        "none" => Ok(HubChoice::None),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            Ok(HubChoice::Url(url.into()))
        }
        _ => Err("expected embedded, none, or the http address of an Ethereum node".into()),
    }
}

/// Speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// A multiple of the recorded pace.
    Times(f64),
    /// No waiting.
    Max,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DaCommand {
    /// Sample the data of a slot's span until a stated confidence, and rebuild it on request
    ///
    /// Every share proves itself against the roots, the roots against the commitment, the
    /// commitment against the sequencer's signature.
    Sample(SampleArgs),
    /// Retrieve a slot's span from another layer that the network also publishes to
    ///
    /// What comes from there is laid out again and its data root compared with the one in the
    /// commitment, which the sequencer has signed; that the layer's chain includes it is checked;
    /// then everything in it is read.
    Fetch(FetchArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll da fetch --slot 100 --from blobs:http://127.0.0.1:8545,beacon=http://127.0.0.1:3500
  atoll da fetch --slot 100 --from celestia:http://127.0.0.1:26658")]
pub(crate) struct FetchArgs {
    /// The network's gateway, which knows the commitment and the receipt
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// Any slot of the span
    #[arg(long, value_name = "N")]
    pub(crate) slot: u64,
    /// The layer: celestia:URL[,token=…][,trusted=HASH] or blobs:URL[,beacon=URL]
    #[arg(long, value_name = "LAYER", value_parser = crate::layers::parse)]
    pub(crate) from: crate::layers::LayerChoice,
    /// The sequencer's address [default: what the gateway says, with a warning]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sequencer: Option<atoll_types::Address>,
    /// Write the span's bytes to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll da sample --slot 100
  atoll da sample --slot 100 --reconstruct       after the loss of a random quarter
  atoll da sample --slot 100 --confidence 40 --json")]
pub(crate) struct SampleArgs {
    /// The network's gateway
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    pub(crate) url: String,
    /// Any slot of the span
    #[arg(long, value_name = "N")]
    pub(crate) slot: u64,
    /// The sequencer's address [default: what the gateway says, with a warning]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sequencer: Option<atoll_types::Address>,
    /// An adversary who withholds enough gets by with a chance below 1 in 2^BITS
    #[arg(long, default_value_t = 20, value_name = "BITS",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) confidence: u32,
    /// Fetch three quarters of the shares, rebuild the rest, and read everything
    #[arg(long)]
    pub(crate) reconstruct: bool,
    /// Where the proof is written if the span turns out to be badly encoded [default: slot-N.fraud]
    #[arg(long, value_name = "FILE", requires = "reconstruct")]
    pub(crate) fraud_proof: Option<PathBuf>,
    /// Which shares are asked for [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Deploy the contracts, register the environments, fund the escrows of genesis balances
    ///
    /// What is there already is left as it is: a deployment that was cut off goes on when it is run
    /// again. Everything is verified on the chain afterwards, and each step says what it cost.
    Deploy(HubArgs),
    /// Verify the contracts on a chain and say where settlement stands
    Status(HubArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  anvil &
  atoll hub deploy --rpc-url http://127.0.0.1:8545 --key 0xac09…ff80
  atoll hub status --rpc-url http://127.0.0.1:8545 --key 0xac09…ff80
  atoll dev --hub http://127.0.0.1:8545 --hub-key 0xac09…ff80")]
pub(crate) struct HubArgs {
    /// A node of the chain
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_url: String,
    /// The operator's key, which deploys: 64 hex digits, or development:NAME
    #[arg(
        long,
        env = "ATOLL_HUB_KEY",
        hide_env_values = true,
        value_name = "KEY",
        default_value = "development:operator"
    )]
    pub(crate) key: String,
    /// Folder of spec files [default: those built in]
    #[arg(long, value_name = "DIR")]
    pub(crate) environments: Option<PathBuf>,
    /// The network's name, part of its identity
    #[arg(long, default_value = "dev", value_name = "NAME")]
    pub(crate) network: String,
    /// The sequencer's address [default: the development sequencer's]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sequencer: Option<atoll_types::Address>,
    /// Windows, deadlines and bonds: development (seconds) or production (days)
    #[arg(long, value_enum, default_value_t = TermsChoice::Development, value_name = "TERMS")]
    pub(crate) terms: TermsChoice,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Terms of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TermsChoice {
    /// Everything within minutes
    Development,
    /// Seven days to challenge, a day to include
    Production,
}

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

#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// Where the network lives; it may be running
    #[arg(long, default_value = ".atoll", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The slot
    #[arg(long, value_name = "N", required_unless_present = "claim")]
    pub(crate) slot: Option<u64>,
    /// One environment by name [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// Only steps A up to but without B of the environment's batch
    #[arg(long, value_name = "A..B", value_parser = parse_range, requires = "environment")]
    pub(crate) commands: Option<(u32, u32)>,
    /// Write the claim (statement, batch, witness) to a file
    #[arg(long, value_name = "FILE", requires = "environment")]
    pub(crate) save: Option<PathBuf>,
    /// Check a saved claim instead of regenerating one; still needs the specs of the data folder
    #[arg(long, value_name = "FILE", conflicts_with_all = ["slot", "commands", "save"])]
    pub(crate) claim: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The exchange core on one thread, margin checks and object tracking included
    Exchange(ExchangeArgs),
    /// Signed orders over loopback HTTP and WebSocket through a whole node
    E2e(E2eArgs),
    /// Authenticated state: object updates per second with root
    State(StateArgs),
    /// Data availability: extend, sample, rebuild a full square; bytes of data an order
    Da(DaBenchArgs),
    /// EVM transactions serially, in parallel and by revm alone; through JSON-RPC; worst cases
    Evm(crate::bench::EvmBenchArgs),
    /// Settlement: gas of every call on the hub, time until settled, gas per order
    Settle(SettleArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench settle
  atoll bench settle --commitments 10 --rate 2000 --json")]
pub(crate) struct SettleArgs {
    /// Commitments to follow until they are settled
    #[arg(long, default_value_t = 4, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) commitments: u64,
    /// Orders per second of the built-in agents meanwhile
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) rate: u32,
    /// Folder for the network, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench exchange                        the mix: 1 and 100 markets, 100,000 accounts
  atoll bench exchange --workload uniform --workload exchange-core
  atoll bench exchange --workload uniform --peer $(.ci/liquibook)
  atoll bench exchange --workload memory --json
  atoll bench exchange --markets 100 --threads 2 --threads 16
  cargo run --release --features bench-peers -- bench exchange --workload uniform")]
pub(crate) struct ExchangeArgs {
    /// What to run; may be given several times
    #[arg(long, value_enum, default_values_t = [Workload::Mix], value_name = "NAME")]
    pub(crate) workload: Vec<Workload>,
    /// Commands to run [default: mix 500,000; uniform and exchange-core 2,000,000; memory 100,000
    /// in each slot]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) commands: Option<u64>,
    /// Accounts of mix, memory and marks [default: 100,000; 1,000,000; 1,000,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) accounts: Option<u32>,
    /// Markets of mix, memory and marks; several times for mix [default: 1 and 100; 100; 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) markets: Vec<u16>,
    /// Threads of mix, market by market, beside one by one on one thread; may be given several times.
    /// For more than the machine has the parts of a batch run in turn, and the longest counts
    #[arg(long, value_name = "N", default_values_t = [1],
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) threads: Vec<usize>,
    /// Run the parts of batches in turn, whatever the machine has
    #[arg(long)]
    pub(crate) in_turn: bool,
    /// Orders that rest when the commands begin, in mix and memory [default: 30,000; 1,000,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pub(crate) orders: Option<u64>,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 7, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub(crate) runs: usize,
    /// A program with another book, which gets the orders of uniform and exchange-core in turns
    /// with ours (see docs/CLI.md); may be given several times
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) peer: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A workload of `atoll bench exchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 45 % place, 45 % cancel, 10 % cross, in many markets with full margin checks
    Mix,
    /// Alternating buys and sells around one price, beside other people's books
    Uniform,
    /// 9 % GTC, 3 % IOC, 6 % cancel, 82 % move with a thousand open orders, beside other books
    ExchangeCore,
    /// Peak memory with a million accounts; what a slot writes, and how long its root takes
    Memory,
    /// Who can be liquidated after marks moved, among a million accounts
    Marks,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench state                           everything, in a few minutes
  atoll bench state --only root-lag --root-lag 10m
  atoll bench state --keys 1000000 --only updates --json
  cargo run --release --features bench-peers -- bench state --only updates")]
pub(crate) struct StateArgs {
    /// Keys in the state; may be given several times
    #[arg(long, default_values_t = [1_000_000, 5_000_000], value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) keys: Vec<u64>,
    /// Updates per commit
    #[arg(long, default_value_t = 10_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) batch: u64,
    /// Measure only this; may be given several times [default: all]
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Vec<StatePart>,
    /// How long a node is put under full load to see how far roots lag behind execution
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) root_lag: Duration,
    /// Folder for files, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// A program that serves another store, measured in turns with ours (see docs/CLI.md); may be
    /// given several times
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) peer: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
    /// Be the store of this name, told what to do over standard input
    #[arg(long, hide = true, value_name = "STORE")]
    pub(crate) serve: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench da                              a full square of 8 MiB; 1,000 and 100,000 orders/s
  atoll bench da --rate 20000 --json
  cargo run --release --features bench-peers -- bench da")]
pub(crate) struct DaBenchArgs {
    /// Width of the square in shares of 512 bytes: a power of two
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = parse_width)]
    pub(crate) width: u16,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 9, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub(crate) runs: usize,
    /// Orders per second whose data is counted; may be given several times
    #[arg(long, default_values_t = [1_000, 100_000], value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Vec<u32>,
    /// Orders to make at each rate
    #[arg(long, default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) orders: u64,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A part of `atoll bench state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatePart {
    /// Updates per second with root, memory per key, other stores beside ours
    Updates,
    /// Snapshots: writing, merging, restarting from them
    Snapshots,
    /// How far roots lag behind execution in a node under full load
    RootLag,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench e2e                             5,000 orders/s on each door for ten seconds
  atoll bench e2e --rate max                  the highest rate that each door sustains
  atoll bench e2e --rate 2000 --for 30s --json")]
pub(crate) struct E2eArgs {
    /// Orders per second offered, or max: steps upward to the highest rate that is sustained
    #[arg(long, default_value = "5000", value_name = "N", value_parser = parse_rate)]
    pub(crate) rate: Rate,
    /// How long to offer them on each door; with --rate max the length of a step, 3 s at most
    #[arg(long = "for", default_value = "10s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_for: Duration,
    /// Connections
    #[arg(long, default_value_t = 32, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) connections: usize,
    /// Only one door [default: both]
    #[arg(long, value_enum, value_name = "DOOR")]
    pub(crate) door: Option<Door>,
    /// Folder for the network, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How fast orders are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// So many a second.
    PerSecond(u32),
    /// As many as are answered in time.
    Max,
}

/// A door that takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Door {
    /// `POST /exchange` on connections that are kept; one request at a time on each
    Http,
    /// `/ws` with `post`; requests are answered beside one another
    #[value(name = "websocket")]
    WebSocket,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RiskCommand {
    /// Run a crash end to end and write a report with plots
    ///
    /// Prices go the way they went on the day, as published, at random in between; leveraged
    /// accounts, makers, an insurance fund and a backstop vault meet them on the exchange that a
    /// node runs, with every rule of risk switched on. The books are balanced after every slot. The
    /// same seed gives the same state root.
    Crash(CrashArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Scenarios:
  2020-03-12  Black Thursday: half of Bitcoin's price in sixteen hours
  2021-05-19  30 % in thirteen hours, and back by the evening
  2025-10-10  altcoins lose half to nine tenths in ten minutes
  glitch      an oracle tells zero: nobody may be liquidated
  all         one after the other, in one report

Examples:
  atoll risk crash --scenario 2025-10-10
  atoll risk crash --scenario all --out crashes.html --json
  atoll risk crash --scenario 2020-03-12 --accounts 5000 --seed 7")]
pub(crate) struct CrashArgs {
    /// Which crash
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: String,
    /// Leveraged accounts
    #[arg(long, default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) accounts: u32,
    /// Seed of accounts and of the ways of prices
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Where the report is written: one HTML file
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SpecArgs {
    /// Spec files; the two built in when none is given
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

fn parse_width(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(width) if width.is_power_of_two() && (4..=128).contains(&width) => Ok(width),
        _ => Err("expected a power of two from 4 to 128".into()),
    }
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.strip_suffix('x').and_then(|n| n.parse::<f64>().ok()) {
        Some(times) if times > 0.0 && times.is_finite() => Ok(Speed::Times(times)),
        _ => Err("expected a multiple like 1x, 10x, 0.5x, or max".into()),
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(Rate::Max),
        (_, Ok(rate @ 1..=1_000_000)) => Ok(Rate::PerSecond(rate)),
        _ => Err("expected a number of orders per second up to 1000000, or max".into()),
    }
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || "expected a time like 500ms, 30s, 5m or 1h".to_string();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| error())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| error())
}

fn parse_range(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match parsed {
        Some((a, b)) if a < b => Ok((a, b)),
        _ => Err("expected A..B with A below B, like 0..100".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parse_and_refusals_say_what_was_expected() {
        assert_eq!(parse_speed("10x"), Ok(Speed::Times(10.0)));
        assert_eq!(parse_speed("max"), Ok(Speed::Max));
        assert!(parse_speed("0x").is_err() && parse_speed("fast").is_err());
        assert_eq!(parse_rate("5000"), Ok(Rate::PerSecond(5_000)));
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert!(parse_rate("0").is_err() && parse_rate("fast").is_err());
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("-1s").is_err() && parse_duration("10").is_err());
        assert_eq!(parse_range("3..9"), Ok((3, 9)));
        assert!(parse_range("9..3").is_err() && parse_range("3").is_err());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
