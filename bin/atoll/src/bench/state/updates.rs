//! Updates per second with root: our trie, and its peers on the same updates in turns.

use super::super::median;
use super::{ATOLL, progress};
use crate::cli::StateArgs;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 40;
/// Fewer rounds than this are no measurement.
const ROUNDS_MIN: u64 = 5;
/// With slow peers the rounds end after this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every store is given to do.
struct Work<'a> {
    keys: u64,
    batch: u64,
    folder: &'a Path,
}

/// A store in a process of its own.
struct Store {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    build_s: f64,
    resident_bytes: u64,
    computed_bytes: u64,
    rates: Vec<f64>,
    root: String,
}

impl Store {
    /// Starts a program that serves a store, for so many keys, with a folder for its files.
    fn start(name: &str, mut command: Command, work: &Work<'_>) -> Result<Self> {
        command.args(["--keys", &work.keys.to_string(), "--batch", &work.batch.to_string()]);
        command.arg("--dir").arg(work.folder);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot start the store {name}"))?;
        let input = child.stdin.take().context("a pipe to the store")?;
        let output = BufReader::new(child.stdout.take().context("a pipe from the store")?);
        let mut store = Self {
            name: name.to_string(),
            child,
            input,
            output,
            build_s: 0.0,
            resident_bytes: 0,
            computed_bytes: 0,
            rates: Vec::new(),
            root: String::new(),
        };
        let said = store.hear("ready")?;
        let [build_s, resident, computed, root] = said.as_slice() else {
            bail!("the store {name} says {said:?} when ready");
        };
        store.build_s = build_s.parse()?;
        store.resident_bytes = resident.parse()?;
        store.computed_bytes = computed.parse()?;
        store.root.clone_from(root);
        Ok(store)
    }

    /// The next line, without the word it has to begin with.
    fn hear(&mut self, word: &str) -> Result<Vec<String>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_string);
        if words.next().as_deref() != Some(word) {
            let status = self.child.wait()?;
            bail!("the store {} ended with {status} and no answer; see above", self.name);
        }
        Ok(words.collect())
    }

    fn commit(&mut self, round: u64) -> Result<()> {
        writeln!(self.input, "commit {round}")?;
        self.input.flush()?;
        let said = self.hear("done")?;
        let [seconds, updates, root] = said.as_slice() else {
            bail!("the store {} says {said:?} after a commit", self.name);
        };
        self.rates.push(updates.parse::<f64>()? / seconds.parse::<f64>()?);
        self.root.clone_from(root);
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A store that has ended already is as good as one that is ended here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This binary as the store of that name.
fn own(name: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the path of this binary")?);
    command.args(["bench", "state", "--serve", name]);
    Ok(command)
}

/// Measures one size; the peers that fail are reported and left out.
pub(super) fn measure(args: &StateArgs, folder: &Path, keys: u64) -> Result<Value> {
    progress(&format!("{keys} keys: building …"));
    let work = Work { keys, batch: args.batch, folder };
    let mut stores = vec![Store::start(ATOLL, own(ATOLL)?, &work)?];
    let mut failed = Vec::new();
    let mut peers: Vec<(String, Command)> = Vec::new();
    if cfg!(all(unix, feature = "bench-peers")) {
        peers.push((super::NOMT.into(), own(super::NOMT)?));
    }
    for path in &args.peer {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().to_string();
        peers.push((name, Command::new(path)));
    }
    for (name, command) in peers {
        progress(&format!("{keys} keys: building {name} …"));
        match Store::start(&name, command, &work) {
            Ok(store) => stores.push(store),
            Err(error) => failed.push((name, format!("{error:#}"))),
        }
    }
    let begin = Instant::now();
    for round in 1..=ROUNDS {
        if round > ROUNDS_MIN && begin.elapsed() > PATIENCE {
            break;
        }
        progress(&format!("{keys} keys: round {round} of {ROUNDS}"));
        for store in &mut stores {
            store.commit(round)?;
        }
        for store in stores.iter().filter(|store| store.name == super::NOMT) {
            if store.root != stores[0].root {
                bail!("round {round}: our root {} is not NOMT's {}", stores[0].root, store.root);
            }
        }
    }
    progress("");
    Ok(report(args, keys, &stores, &failed))
}

fn report(args: &StateArgs, keys: u64, stores: &[Store], failed: &[(String, String)]) -> Value {
    let ours = median(stores[0].rates.clone());
    let mut list = Vec::new();
    for store in stores {
        let rate = median(store.rates.clone());
        let per_key = |bytes: u64| bytes as f64 / keys as f64;
        println!(
            "{keys} keys, {:<6} {rate:>9.0} updates/s with root (median of {} batches of {}), \
             built in {:.1} s, {:.0} bytes a key resident{}",
            store.name,
            store.rates.len(),
            args.batch,
            store.build_s,
            per_key(store.resident_bytes),
            match store.computed_bytes {
                0 => String::new(),
                bytes => format!(" ({:.0} computed)", per_key(bytes)),
            },
        );
        list.push(json!({
            "name": store.name,
            "updates_per_s": rate,
            "atoll_ratio": ours / rate,
            "runs_per_s": store.rates,
            "build_s": store.build_s,
            "resident_bytes_per_key": per_key(store.resident_bytes),
            "computed_bytes_per_key": match store.computed_bytes {
                0 => Value::Null,
                bytes => json!(per_key(bytes)),
            },
            "root": store.root,
        }));
    }
    for store in &stores[1..] {
        println!("{keys} keys, atoll / {}: {:.2}", store.name, ours / median(store.rates.clone()));
    }
    for (name, error) in failed {
        eprintln!("{keys} keys, {name}: not measured: {error}");
        list.push(json!({ "name": name, "error": error }));
    }
    json!({ "keys": keys, "batch": args.batch, "updates_per_s": ours, "stores": list })
}
