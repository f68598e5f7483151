//! One store in a process of its own, told over standard input what to do next.
//!
//! A process of its own makes the memory it holds measurable and keeps a store's failure from
//! ending the benchmark (NOMT's panics in a thread of its own where io_uring is forbidden). The
//! one that measures lets the stores work in turns, so that other load on the machine hits all.
//!
//! Protocol, one line each: the store builds its first state and says
//! `ready BUILD_SECONDS RESIDENT_BYTES COMPUTED_BYTES ROOT`; at each `commit ROUND` it applies that
//! round's updates and says `done SECONDS UPDATES ROOT`. It ends when its input does.

use super::{resident_bytes, work};
use crate::cli::StateArgs;
use anyhow::{Context, Result};
use atoll_state::WriteSet;
use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_types::B256;
use std::io::{BufRead, Write};
use std::time::Instant;

/// A store under measurement.
pub(super) trait Store {
    /// Applies a batch and returns the root.
    fn commit(&mut self, writes: &WriteSet) -> Result<B256>;
    /// What it says it holds in memory; 0 if it does not say.
    fn computed_bytes(&self) -> usize;
    /// The root.
    fn root(&self) -> B256;
}

impl Store for MemoryDb {
    fn commit(&mut self, writes: &WriteSet) -> Result<B256> {
        Ok(StateDb::commit(self, writes))
    }
    fn computed_bytes(&self) -> usize {
        self.memory_bytes()
    }
    fn root(&self) -> B256 {
        StateDb::root(self)
    }
}

fn memory_db(keys: u64) -> MemoryDb {
    let leaf =
        |index: u64| (db::key_path(&work::key(index)), db::value_hash(&work::value(index, 0)));
    MemoryDb::from_leaves((0..keys).map(leaf).collect())
}

/// Serves the store named by the arguments until standard input ends.
pub(super) fn run(args: &StateArgs, name: &str) -> Result<()> {
    // A store that panics in a thread of its own would leave everyone waiting.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::exit(70);
    }));
    let keys = *args.keys.first().context("--serve needs one --keys")?;
    let before = resident_bytes();
    let begin = Instant::now();
    let mut store: Box<dyn Store> = match name {
        super::ATOLL => Box::new(memory_db(keys)),
        #[cfg(all(unix, feature = "bench-peers"))]
        super::NOMT => Box::new(super::nomt_store::open(
            args.dir.as_deref().context("--dir for the store")?,
            keys,
        )?),
        _ => anyhow::bail!("no store is called {name}"),
    };
    let built = begin.elapsed().as_secs_f64();
    let resident = resident_bytes().saturating_sub(before);
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {built} {resident} {} {}", store.computed_bytes(), store.root())?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let round = line.strip_prefix("commit ").and_then(|round| round.parse().ok());
        let round = round.with_context(|| format!("expected commit ROUND, and got {line:?}"))?;
        let writes = work::updates(keys, args.batch, round);
        let begin = Instant::now();
        let root = store.commit(&writes)?;
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(out, "done {seconds} {} {root}", writes.len())?;
        out.flush()?;
    }
    Ok(())
}
