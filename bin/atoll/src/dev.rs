//! `atoll dev`: a whole network in one process, with a market on it.

use crate::cli::{DevArgs, Durability, HubChoice};
use crate::hub::deployment::Terms;
use crate::hub::embedded;
use crate::hub::service::{Keys, Service};
use crate::market::{Venue, builtin, liquidator, replay};
use crate::node::liquidations::Liquidations;
use crate::node::ports::exchange::{ExchangeAdapter, ExchangeObserver};
use crate::node::ports::{
    AtollAdapter, EvmAdapter, EvmFeeds, EvmObserver, NodeMetrics, SubmitAdapter, Workshop,
};
use crate::node::{Hosted, Node, NodeConfig, Shared};
use crate::stats::Stats;
use crate::status::{Progress, Screen};
use crate::summary::{AssetSummary, EnvironmentSummary, ReplaySummary, Summary};
use crate::{node, specs};
use anyhow::{Context, Result};
use atoll_executor::{EnvironmentSpec, VmSpec};
use atoll_rpc::{Config, EvmEnvironment, Gateway, Ports};
use atoll_types::EnvironmentId;
use atoll_types::crypto::SigningKey;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Blocks that a slow subscriber may lag behind.
const HEADS_BUFFER: usize = 256;

/// Runs until Ctrl-C, the end of the replay, or the end that the arguments name.
pub(crate) fn run(args: &DevArgs) -> Result<()> {
    atoll_rpc::raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run_async(args))
}

/// What the specs and the recording say, before anything is opened.
struct Plan {
    specs: Vec<EnvironmentSpec>,
    name: String,
    data_dir: PathBuf,
    recording: Option<replay::Recording>,
}

fn plan(args: &DevArgs) -> Result<Plan> {
    let mut specs = specs::load_all(args.environments.as_deref())?;
    let root = PathBuf::from(".atoll");
    let Some(file) = &args.replay else {
        let data_dir = args.data_dir.clone().unwrap_or(root);
        return Ok(Plan { specs, name: "dev".into(), data_dir, recording: None });
    };
    let recording =
        replay::open(file).with_context(|| format!("cannot replay {}", file.display()))?;
    // The recording's market takes the exchange's place; the other environments stay.
    specs.retain(|spec| !matches!(spec.vm, VmSpec::Exchange(_)) && spec.id != EnvironmentId(1));
    specs.insert(0, recording.spec.clone());
    let stem = file.file_name().map(|name| name.to_string_lossy().to_string()).unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or("market").to_string();
    let data_dir = args.data_dir.clone().unwrap_or_else(|| root.join(format!("replay-{stem}")));
    Ok(Plan { specs, name: format!("dev-replay-{stem}"), data_dir, recording: Some(recording) })
}

/// A running network: the node and its gateway.
pub(crate) struct Network {
    pub(crate) node: Node,
    pub(crate) shared: Arc<Shared>,
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// The last slot before this run.
    pub(crate) start_slot: u64,
    /// The last slot of the run before this one; 0 for none.
    pub(crate) resumed_slot: u64,
    /// The hub in this process, if there is one.
    pub(crate) hub: Option<Node>,
    /// What settles, if anything does.
    pub(crate) settlement: Option<Service>,
    stop: watch::Sender<bool>,
    pub(crate) stopped: watch::Receiver<bool>,
    serving: tokio::task::JoinHandle<()>,
    /// What can be liquidated, by exchange.
    liquidations: BTreeMap<EnvironmentId, Arc<Liquidations>>,
}

impl Network {
    /// Stops the gateway, the hub and whoever watches `stopped`; the node goes on.
    pub(crate) async fn close(self) -> Result<Node> {
        if let Some(settlement) = self.settlement {
            // While the gateway still answers: the hub is behind it.
            tokio::task::block_in_place(|| settlement.stop());
        }
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.serving).await;
        if let Some(hub) = self.hub {
            tokio::task::block_in_place(|| hub.stop())?;
        }
        Ok(self.node)
    }
}

/// Boots node and gateway.
pub(crate) async fn boot(
    args: &DevArgs,
    mut specs: Vec<EnvironmentSpec>,
    name: &str,
    data_dir: &Path,
) -> Result<Network> {
    specs.push(specs::router(&specs));
    let network = specs::network(name, &specs);
    let stats = Arc::new(Stats::new());

    let mut observers: BTreeMap<EnvironmentId, Arc<dyn node::environment::Observer>> =
        BTreeMap::new();
    let mut exchange_observers = BTreeMap::new();
    let mut feeds = BTreeMap::new();
    for spec in &specs {
        match &spec.vm {
            VmSpec::Exchange(vm) => {
                let observer = ExchangeObserver::new(stats.clone(), vm);
                observers.insert(spec.id, observer.clone());
                exchange_observers.insert(spec.id, observer);
            }
            VmSpec::Evm(vm) => {
                let sent = EvmFeeds::new(HEADS_BUFFER);
                let observer =
                    EvmObserver { stats: stats.clone(), spec: vm.clone(), feeds: sent.clone() };
                observers.insert(spec.id, Arc::new(observer));
                feeds.insert(spec.id, sent);
            }
            VmSpec::Router(_) => {}
        }
    }
    let config = NodeConfig {
        network,
        specs,
        data_dir: data_dir.to_path_buf(),
        reset: args.reset,
        durability: match args.durability {
            Durability::Written => atoll_storage::Durability::Written,
            Durability::Synced => atoll_storage::Durability::Synced,
        },
        snapshot_interval_slots: args.snapshot_interval,
        keep_log: args.keep_log,
        accept_log_damage: args.accept_log_damage,
        key: SigningKey::from_label("sequencer"),
        slot_us: node::SLOT_US,
        settles: args.hub != HubChoice::None,
        censored: args.hostile.censor,
        observers,
        stats: stats.clone(),
    };
    let node = tokio::task::block_in_place(|| Node::boot(config))?;
    let shared = node.shared.clone();
    // What recovery executed was counted by another process.
    stats.reset();
    let resumed_slot = shared.head.read().slot;

    let hub = match args.hub {
        HubChoice::Embedded => {
            let folder = data_dir.join("hub");
            Some(tokio::task::block_in_place(|| embedded::boot(&folder, args.reset))?)
        }
        HubChoice::None | HubChoice::Url(_) => None,
    };
    let operator = crate::money::parse_key(&args.hub_key).context("--hub-key")?;
    let mut terms = Terms::of(args.terms);
    if let Some(interval) = args.commitment_interval {
        let seconds = interval.as_secs().try_into().ok().filter(|seconds| *seconds > 0);
        terms.commitment_s = seconds.context("--commitment-interval takes a second or more")?;
    }
    terms.check().context("--commitment-interval")?;
    let keys = || Keys {
        terms,
        sequencer: SigningKey::from_label("sequencer"),
        operator: operator.clone(),
        false_root: args.hostile.false_root,
    };
    let mut settlement = match args.hub {
        HubChoice::None if !args.also_publish.is_empty() => {
            anyhow::bail!("--also-publish needs a hub: without one nothing is published")
        }
        HubChoice::None => None,
        _ => {
            let layers = &args.also_publish;
            let start = || Service::start(&shared, data_dir, &keys(), layers);
            Some(tokio::task::block_in_place(start)?)
        }
    };
    let mut ports = ports(&shared, data_dir, &exchange_observers, &feeds);
    ports.metrics.extend(settlement.as_ref().map(|s| s.metrics() as Arc<_>));
    ports.settlement = settlement.as_ref().map(|s| s.adapter() as Arc<_>);
    ports.hub = hub.as_ref().map(|hub| hub.chain.clone());
    let gateway_config = Config {
        listen: args.listen,
        client_version: format!("atoll/{}", env!("CARGO_PKG_VERSION")),
        ..Config::default()
    };
    let gateway = Gateway::bind(gateway_config, ports).await?;
    let address = gateway.local_addr();
    let (stop, stopped) = watch::channel(false);
    let mut gateway_stop = stopped.clone();
    let serving = tokio::spawn(gateway.serve(async move {
        let _ = gateway_stop.wait_for(|stop| *stop).await;
    }));
    if let Some(settlement) = &mut settlement {
        let local = match address.ip().is_unspecified() {
            true => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port()),
            false => address,
        };
        let url = match &args.hub {
            HubChoice::Url(url) => url.clone(),
            _ => format!("http://{local}/hub"),
        };
        settlement.settle(url, keys())?;
    }
    let hub = hub.map(|hub| hub.node);
    let start_slot = shared.head.read().slot;
    Ok(Network {
        node,
        shared,
        address,
        start_slot,
        resumed_slot,
        hub,
        settlement,
        stop,
        stopped,
        serving,
        liquidations: followed(&exchange_observers),
    })
}

/// What the observers follow.
fn followed(
    observers: &BTreeMap<EnvironmentId, Arc<ExchangeObserver>>,
) -> BTreeMap<EnvironmentId, Arc<Liquidations>> {
    observers.iter().map(|(id, observer)| (*id, observer.liquidations.clone())).collect()
}

/// Starts a liquidator for every exchange.
fn start_liquidators(network: &Network) {
    for hosted in &network.shared.environments {
        let Hosted::Exchange(live) = hosted else { continue };
        let Some(liquidations) = network.liquidations.get(&live.spec.id) else { continue };
        let venue = Venue { shared: network.shared.clone(), live: live.clone() };
        let stopped = network.stopped.clone();
        tokio::spawn(liquidator::run(venue, liquidations.clone(), stopped));
    }
}

async fn run_async(args: &DevArgs) -> Result<()> {
    let began = Instant::now();
    let Plan { specs, name, data_dir, recording } = plan(args)?;
    let network = boot(args, specs, &name, &data_dir).await?;
    let (shared, address) = (network.shared.clone(), network.address);
    let start_slot = network.start_slot;
    let resumed = match network.resumed_slot {
        0 => "a new network".to_string(),
        slot => format!("going on after slot {slot}"),
    };
    println!(
        "atoll: {resumed} in {}, ready after {} ms; gateway on http://{address}",
        data_dir.display(),
        began.elapsed().as_millis()
    );
    println!("{}", guide(&shared, &address.to_string()));

    let progress = Arc::new(Mutex::new(Progress::default()));
    let market = start_market(args, &shared, recording, &network.stopped, &progress);
    start_liquidators(&network);
    let screen = Screen::new(args.json);
    let replay = wait(args, &shared, &screen, market, &progress, start_slot, &network.stop).await;
    let seconds = began.elapsed().as_secs_f64();
    let node = network.close().await?;
    screen.close();
    let mut summary = tokio::task::block_in_place(|| finish(node, seconds))?;
    if let (Some(file), Some(mut replayed)) = (&args.replay, replay) {
        replayed.file = file.display().to_string();
        summary.replay = Some(replayed);
    }
    println!("{}", summary.text());
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    }
    if let Some((name, why)) = summary.halted() {
        anyhow::bail!("environment {name} is halted: {why}");
    }
    if !summary.conserved {
        anyhow::bail!("money is not conserved: see the summary");
    }
    Ok(())
}

fn guide(shared: &Shared, address: &str) -> String {
    let mut lines = Vec::new();
    for hosted in &shared.environments {
        let environment = hosted.environment();
        let spec = environment.spec();
        lines.push(match &spec.vm {
            VmSpec::Router(_) => continue,
            VmSpec::Exchange(vm) => {
                let markets: Vec<_> =
                    vm.exchange.spec().markets.iter().map(|m| m.name.as_str()).collect();
                format!(
                    "       exchange {}: {} (Hyperliquid API at http://{address})",
                    spec.name,
                    markets.join(", ")
                )
            }
            VmSpec::Evm(vm) => format!(
                "       EVM chain {}: chain id {} at http://{address}/evm/{}",
                spec.name, vm.chain_id, spec.name
            ),
        });
    }
    lines.join("\n")
}

fn ports(
    shared: &Arc<Shared>,
    data_dir: &Path,
    observers: &BTreeMap<EnvironmentId, Arc<ExchangeObserver>>,
    feeds: &BTreeMap<EnvironmentId, Arc<EvmFeeds>>,
) -> Ports {
    let mut evm = Vec::new();
    let mut venue: Option<Arc<dyn atoll_rpc::hyperliquid::Venue>> = None;
    for hosted in &shared.environments {
        match hosted {
            Hosted::Evm(live) => {
                let adapter = EvmAdapter {
                    shared: shared.clone(),
                    live: live.clone(),
                    feeds: feeds[&live.spec.id].clone(),
                    workshop: Workshop::new(data_dir),
                };
                let name = live.spec.name.clone();
                let submit = Arc::new(SubmitAdapter(shared.clone()));
                let (id, port) = (live.spec.id, Arc::new(adapter));
                evm.push(EvmEnvironment { name, id, port, submit });
            }
            Hosted::Exchange(live) if venue.is_none() => {
                let observer = observers[&live.spec.id].clone();
                venue = Some(ExchangeAdapter::new(shared.clone(), live.clone(), observer));
            }
            Hosted::Exchange(_) | Hosted::Router(_) => {}
        }
    }
    Ports {
        submit: Arc::new(SubmitAdapter(shared.clone())),
        atoll: Arc::new(AtollAdapter {
            shared: shared.clone(),
            data_dir: data_dir.to_path_buf(),
            liquidations: followed(observers),
        }),
        evm,
        hub: None,
        settlement: None,
        hyperliquid: venue,
        metrics: vec![Arc::new(NodeMetrics(shared.clone()))],
    }
}

/// Whoever drives the exchanges; there is something to wait for when it is a replay.
pub(crate) type Market = tokio::task::JoinHandle<Option<ReplaySummary>>;

/// Starts the recording, or the built-in agents; with a rate of 0 only the oracle speaks.
pub(crate) fn start_market(
    args: &DevArgs,
    shared: &Arc<Shared>,
    recording: Option<replay::Recording>,
    stopped: &watch::Receiver<bool>,
    progress: &Arc<Mutex<Progress>>,
) -> Option<Market> {
    let mut market = None;
    let mut recording = recording;
    for hosted in &shared.environments {
        match hosted {
            Hosted::Exchange(live) => {
                let venue = Venue { shared: shared.clone(), live: live.clone() };
                let (stopped, seed, rate) = (stopped.clone(), args.seed, args.rate);
                if let Some(recording) = recording.take() {
                    let (speed, progress) = (args.speed, progress.clone());
                    let replay = replay::Replay::new(venue, recording);
                    market = Some(tokio::spawn(async move {
                        let tell = |events, read| {
                            *progress.lock() = Progress { events, share: Some(read) };
                        };
                        Some(replay.run(speed, stopped, tell).await)
                    }));
                } else if builtin::can_trade(&venue) {
                    tokio::spawn(builtin::run(venue, seed, rate, stopped));
                }
            }
            Hosted::Evm(live) if args.rate > 0 => {
                tokio::spawn(builtin::run_evm(shared.clone(), live.clone(), stopped.clone()));
            }
            Hosted::Evm(_) | Hosted::Router(_) => {}
        }
    }
    market
}

/// Waits for the end of the run, showing where it stands.
async fn wait(
    args: &DevArgs,
    shared: &Shared,
    screen: &Screen,
    market: Option<Market>,
    progress: &Mutex<Progress>,
    start_slot: u64,
    stop: &watch::Sender<bool>,
) -> Option<ReplaySummary> {
    let began = Instant::now();
    let mut market = market;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let signal = shutdown_signal();
    tokio::pin!(signal);
    loop {
        let interrupted = tokio::select! {
            _ = tick.tick() => false,
            () = &mut signal => true,
        };
        let mut progress = *progress.lock();
        let slots = shared.head.read().slot - start_slot;
        let time = args.run_for.map(|time| began.elapsed().div_duration_f64(time));
        let run = time.or(args.slots.map(|n| slots as f64 / n.max(1) as f64));
        // Whichever end comes first.
        progress.share = [progress.share, run].into_iter().flatten().reduce(f64::max);
        screen.show(shared, began.elapsed(), progress);
        let ended = interrupted || run.is_some_and(|share| share >= 1.0);
        if market.as_ref().is_some_and(|market| market.is_finished()) {
            return market?.await.ok().flatten();
        }
        if ended {
            // A replay stops at its next event and says how far it got.
            let _ = stop.send(true);
            return match market.take() {
                Some(market) => market.await.ok().flatten(),
                None => None,
            };
        }
    }
}

pub(crate) async fn shutdown_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

/// Stops the node and says what it did.
fn finish(node: Node, seconds: f64) -> Result<Summary> {
    let shared = node.shared.clone();
    node.stop()?;
    let mut decimals = BTreeMap::new();
    for hosted in &shared.environments {
        if let Hosted::Exchange(live) = hosted {
            for asset in &live.vm_spec.exchange.spec().assets {
                decimals.insert(asset.symbol.clone(), u32::from(asset.decimals));
            }
        }
    }
    let mut summary = Summary::of(&shared.stats, seconds, &decimals);
    summary.head_slot = shared.head.read().slot;
    summary.finalised_slot = shared.finalised.load(Relaxed);
    let roots = shared.roots.lock().clone();
    for hosted in &shared.environments {
        let environment = hosted.environment();
        let root = roots.get(&environment.id()).copied().unwrap_or_default();
        let mut assets = BTreeMap::new();
        let halted = environment.gate().halted();
        // In a halted environment a command broke off in the middle: there is nothing to count.
        for asset in if halted.is_some() { Vec::new() } else { environment.audit() } {
            summary.conserved &= asset.conserved;
            let entry =
                AssetSummary { owed: asset.owed, held: asset.held, conserved: asset.conserved };
            assets.insert(asset.asset, entry);
        }
        let entry = EnvironmentSummary {
            kind: environment.spec().vm.kind(),
            root_slot: root.slot,
            state_root: root.root.to_string(),
            halted,
            assets,
        };
        summary.environments.insert(environment.spec().name.clone(), entry);
    }
    Ok(summary)
}
