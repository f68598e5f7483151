//! What benchmarks of a whole node share: its folder, and what it is started with.

use crate::cli::{Cli, Command, DevArgs};
use anyhow::{Result, bail};
use clap::Parser;
use std::path::{Path, PathBuf};

/// A folder that is removed in the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// A folder of this process in `parent`, or in the system's temporary folder.
    pub(super) fn new(parent: Option<&Path>, bench: &str) -> Self {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        Self(parent.join(format!("atoll-bench-{bench}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What `atoll dev --rate N` is started with.
pub(super) fn dev_args(rate: u32) -> Result<DevArgs> {
    let rate = rate.to_string();
    let line = ["atoll", "dev", "--rate", &rate, "--listen", "127.0.0.1:0", "--reset"];
    match Cli::try_parse_from(line)?.command {
        Command::Dev(args) => Ok(args),
        _ => bail!("the command line says dev"),
    }
}
