//! The embedded hub: an EVM chain of the project's own kind, on a network and in a data folder of
//! its own, in the node's process. Its contracts are the same bytecode as anywhere, and the node
//! reaches it through its own gateway like any other chain.

use crate::node::ports::{EvmAdapter, EvmFeeds, EvmObserver, SubmitAdapter, Workshop};
use crate::node::{Hosted, Node, NodeConfig};
use crate::specs;
use crate::stats::Stats;
use anyhow::{Context, Result};
use atoll_executor::VmSpec;
use atoll_rpc::EvmEnvironment;
use atoll_types::crypto::SigningKey;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The spec of the embedded hub.
const SPEC: (&str, &str) =
    ("environments/hub/dev.toml", include_str!("../../../../environments/hub/dev.toml"));
/// Four blocks a second: a tour should not wait for blocks, and an empty one costs next to nothing.
const BLOCK_US: u64 = 250_000;
/// Blocks from one snapshot to the next.
const SNAPSHOT_INTERVAL: u64 = 2_400;
/// Blocks that a slow subscriber may lag behind.
const HEADS_BUFFER: usize = 64;

/// A running hub.
pub(crate) struct Embedded {
    pub(crate) node: Node,
    /// What the gateway serves.
    pub(crate) chain: EvmEnvironment,
}

/// Boots the hub; it goes on where it was.
pub(crate) fn boot(data_dir: &Path, reset: bool) -> Result<Embedded> {
    let spec = specs::parse(SPEC.0, SPEC.1)?;
    let VmSpec::Evm(vm) = &spec.vm else { anyhow::bail!("{} is not an EVM chain", SPEC.0) };
    let network = specs::network("hub", std::slice::from_ref(&spec));
    let stats = Arc::new(Stats::new());
    let feeds = EvmFeeds::new(HEADS_BUFFER);
    let observer = EvmObserver { stats: stats.clone(), spec: vm.clone(), feeds: feeds.clone() };
    let config = NodeConfig {
        network,
        data_dir: data_dir.to_path_buf(),
        reset,
        durability: atoll_storage::Durability::Written,
        snapshot_interval_slots: SNAPSHOT_INTERVAL,
        keep_log: false,
        accept_log_damage: false,
        key: SigningKey::from_label("hub"),
        slot_us: BLOCK_US,
        settles: false,
        censored: None,
        observers: BTreeMap::from([(spec.id, Arc::new(observer) as Arc<_>)]),
        stats,
        specs: vec![spec],
    };
    let node = Node::boot(config).context("the embedded hub does not start")?;
    let shared = node.shared.clone();
    let Some(Hosted::Evm(live)) = shared.environments.first() else {
        anyhow::bail!("the embedded hub hosts no EVM chain")
    };
    let workshop = Workshop::new(data_dir);
    let port = EvmAdapter { shared: shared.clone(), live: live.clone(), feeds, workshop };
    let chain = EvmEnvironment {
        name: "hub".into(),
        id: live.spec.id,
        port: Arc::new(port),
        submit: Arc::new(SubmitAdapter(shared.clone())),
    };
    Ok(Embedded { node, chain })
}
