//! The command line.

mod bench;
mod money;

pub(crate) use bench::{
    BenchCommand, DaBenchArgs, Door, E2eArgs, ExchangeArgs, Rate, SettleArgs, StateArgs, StatePart,
    Workload,
};
pub(crate) use money::{
    ClaimArgs, DepositArgs, EscapeArgs, EscapeCommand, MoneyArgs, OutsideArgs, ProofArgs, TourArgs,
    WatchArgs, WithdrawArgs,
};

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

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.strip_suffix('x').and_then(|n| n.parse::<f64>().ok()) {
        Some(times) if times > 0.0 && times.is_finite() => Ok(Speed::Times(times)),
        _ => Err("expected a multiple like 1x, 10x, 0.5x, or max".into()),
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
