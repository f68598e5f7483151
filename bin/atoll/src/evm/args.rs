//! The command line of `atoll evm`.

use clap::{Args, Subcommand};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum EvmCommand {
    /// Run Ethereum's state tests through the executor of an EVM environment
    ///
    /// A state test is a state, a transaction and, for each hardfork, the root of the state afterwards
    /// and the hash of the logs. A PATH is a file of tests (.json), a folder of them, or an archive
    /// (.tar); files may be compressed (.gz, .xz). A transaction that a test expects to be refused
    /// must be. Forks that this EVM does not have are left out, counted, and named. The exit code is
    /// 1 if anything differs.
    #[command(after_help = "Examples:
  atoll evm statetest GeneralStateTests.tar.xz
  atoll evm statetest tests/GeneralStateTests/stCreate2 --fork Berlin
  atoll evm statetest GeneralStateTests.tar.xz --only stRandom/ --json")]
    Statetest(StatetestArgs),
    /// Execute recorded blocks of Ethereum's mainnet and compare what their headers say
    ///
    /// A record is {\"block\": …, \"pre_state\": …}: the block as eth_getBlockByHash gives it with full
    /// transactions, and what of the state it touches (balance, nonce, code, storage). With
    /// \"block_hashes\": {NUMBER: HASH} it names hashes that the opcode BLOCKHASH asks for beyond the
    /// parent's; --hashes gives a file of them for all records. For one that is missing something
    /// else stands, and the block says so. A PATH is a record (.json, .json.gz, .json.xz), a folder of
    /// them, or an archive. Each block runs under the hardfork of its height; gas, logs bloom, and,
    /// since Byzantium, the receipts root must be the header's. The exit code is 1 if anything differs.
    #[command(after_help = "Examples:
  atoll evm replay blocks/
  atoll evm replay blocks/19426587.json.gz --runs 9
  atoll evm replay blocks/ --threads 2 --runs 9
  atoll evm replay blocks/19426587.json.gz --conflicts
  atoll evm replay blocks/ --hashes testdata/mainnet-block-hashes.json
  atoll evm replay blocks/ --json")]
    Replay(ReplayArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StatetestArgs {
    /// Files, folders, archives
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this hardfork, as the files name it (may be given several times)
    #[arg(long, value_name = "NAME")]
    pub(crate) fork: Vec<String>,
    /// Only tests whose file and name, as FILE/NAME, contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// How many files run at once [default: the machine's cores]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Execute each transaction once more through the parallel scheduler, on so many threads
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How many failures are described
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) failures: usize,
    /// Print the outcome as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// Files, folders, archives
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How often each block is executed, from the same state; the median time counts
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) runs: NonZeroUsize,
    /// Execute each block in parallel too, on so many threads, and by revm on a state of its own;
    /// results, state and reads must be the same
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// A file {NUMBER: HASH} of block hashes that records leave out
    #[arg(long, value_name = "FILE")]
    pub(crate) hashes: Option<PathBuf>,
    /// Show which keys made transactions of a block depend on one another
    #[arg(long)]
    pub(crate) conflicts: bool,
    /// Print the outcome as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}
