//! Authenticated state: updates per second with root beside other stores, memory, snapshots and
//! restarts, and how far roots lag behind execution in a node under full load.

mod load;
#[cfg(all(unix, feature = "bench-peers"))]
mod nomt_store;
mod root_lag;
mod serve;
mod snapshots;
mod updates;
mod work;

use crate::cli::{StateArgs, StatePart};
use anyhow::{Context, Result};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The store of this node.
const ATOLL: &str = "atoll";
/// NOMT's own store.
const NOMT: &str = "nomt";

/// Runs the benchmark.
pub(crate) fn run(args: &StateArgs) -> Result<()> {
    if let Some(name) = &args.serve {
        return serve::run(args, name);
    }
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut report = serde_json::json!({ "bench": "state" });
    if wanted(StatePart::Updates) {
        if !cfg!(feature = "bench-peers") {
            eprintln!(
                "only our own store: build with --features bench-peers to measure NOMT's beside it"
            );
        }
        let mut sizes = Vec::new();
        for keys in &args.keys {
            let folder = Folder::new(args.dir.as_deref())?;
            sizes.push(updates::measure(args, &folder.0, *keys)?);
        }
        report["updates"] = sizes.into();
    }
    if wanted(StatePart::Snapshots) {
        let mut sizes = Vec::new();
        for keys in &args.keys {
            let folder = Folder::new(args.dir.as_deref())?;
            sizes.push(snapshots::measure(&folder.0, *keys)?);
        }
        report["snapshots"] = sizes.into();
    }
    if wanted(StatePart::RootLag) {
        let folder = Folder::new(args.dir.as_deref())?;
        report["root_lag"] = root_lag::measure(args, &folder.0)?;
        if args.root_lag < std::time::Duration::from_secs(600) {
            eprintln!("for the long run: atoll bench state --only root-lag --root-lag 10m");
        }
    }
    if args.json {
        println!("{report}");
    }
    Ok(())
}

/// A temporary folder, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let name = |n: u32| format!("atoll-bench-{}-{n}", std::process::id());
        let free = (0..u32::MAX).map(|n| parent.join(name(n))).find(|path| !path.exists());
        let path = free.context("a free name for a folder")?;
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}; choose another --dir", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in a temporary folder, and its name says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One line that says what is going on, on a terminal alone; empty to clear it.
fn progress(text: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{text}");
        let _ = err.flush();
    }
}

/// Memory of this process that is resident; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    status_kib("VmRSS:") * 1024
}

/// The most that was ever resident; 0 where the system does not tell.
pub(crate) fn resident_peak_bytes() -> u64 {
    status_kib("VmHWM:") * 1024
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
