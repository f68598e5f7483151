//! What is fuzzed, and a network that gives the corpus.

use super::Target;
use super::doors;
use crate::cli::{Cli, Command};
use crate::market::{Venue, builtin};
use crate::node::{Hosted, driver, witness};
use crate::{dev, specs};
use atoll_exchange::Event;
use atoll_executor::{Claim, EnvironmentSpec, VmSpec, verify};
use atoll_feed::{Feed, Options};
use atoll_sequencer::LogRecord;
use atoll_state::{Resident, WriteSet};
use atoll_storage::{DataDirView, LogReader};
use atoll_types::{Decode, Encode, EnvironmentId, NetworkId, SlotHeader, TickConfirmation};
use atoll_vm::evm::{EvmReceipt, EvmVm};
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVm};
use atoll_vm::{Identity, Receipt, Vm};
use clap::Parser;
use std::sync::Arc;
use std::time::Duration;

/// What a network wrote in a second of trading.
pub(super) struct World {
    pub(super) network: NetworkId,
    pub(super) specs: Vec<EnvironmentSpec>,
    records: Vec<LogRecord>,
    claims: Vec<(EnvironmentSpec, Claim)>,
    receipts: Vec<Receipt>,
    genesis: Vec<(EnvironmentId, WriteSet)>,
    events: Vec<Event>,
}

impl World {
    /// Trades for a second and reads back what that left.
    pub(super) fn record() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut specs = specs::load_all(None).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(trade(specs.clone(), &data));
        drop(runtime);
        specs.push(specs::router(&specs));
        let network = specs::network("fuzz", &specs);
        let mut reader = LogReader::open(DataDirView::open(&data).unwrap().log_dir(), 1).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(driver::decode_record(&record.payload).unwrap());
        }
        let mut world = Self {
            network,
            specs: specs.clone(),
            records,
            claims: Vec::new(),
            receipts: Vec::new(),
            genesis: Vec::new(),
            events: Vec::new(),
        };
        let last = world.records.iter().map(LogRecord::slot).max().unwrap_or(0);
        for spec in specs {
            for slot in [last - 1, last - 3, last - 6] {
                let claim = witness::regenerate(&data, slot, spec.id, None).unwrap();
                let outcome = verify(network, &spec, &claim).unwrap();
                world.receipts.extend(outcome.receipts);
                world.claims.push((spec.clone(), claim));
            }
            let hosted = crate::node::host(network, &spec, 1);
            world.genesis.push((spec.id, hosted.environment().genesis()));
        }
        for receipt in &world.receipts {
            world
                .events
                .extend(ExchangeReceipt::of(receipt).map_or(Vec::new(), |done| done.events));
        }
        world
    }

    fn transactions(&self, environment: EnvironmentId) -> Vec<Vec<u8>> {
        let ticks = self.records.iter().filter_map(|record| match record {
            LogRecord::Tick(tick, _) => Some(&tick.transactions),
            _ => None,
        });
        let own = ticks.flatten().filter(|t| t.environment == environment);
        own.take(60).map(|t| t.bytes.clone()).collect()
    }
}

async fn trade(specs: Vec<EnvironmentSpec>, data: &std::path::Path) {
    let line = ["atoll", "dev", "--rate", "0", "--listen", "127.0.0.1:0", "--hub", "none"];
    let Command::Dev(args) = Cli::parse_from(line).command else { unreachable!("dev") };
    let network = dev::boot(&args, specs, "fuzz", data).await.unwrap();
    let (shared, stopped) = (network.shared.clone(), network.stopped.clone());
    for hosted in &shared.environments {
        match hosted {
            Hosted::Exchange(live) => {
                let venue = Venue { shared: shared.clone(), live: live.clone() };
                tokio::spawn(builtin::run(venue, 1, 600, stopped.clone()));
            }
            Hosted::Evm(live) => {
                tokio::spawn(builtin::run_evm(shared.clone(), live.clone(), stopped.clone()));
            }
            Hosted::Router(_) => {}
        }
    }
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let node = network.close().await.unwrap();
    drop(shared);
    tokio::task::block_in_place(|| node.stop()).unwrap();
}

/// A decoder that must give back what it read.
fn canonical<T: Decode + Encode>(name: &'static str, corpus: Vec<Vec<u8>>) -> Target {
    Target::new(name, corpus, |bytes| match T::from_bytes(bytes) {
        Ok(value) => {
            assert_eq!(value.to_bytes(), bytes, "read is not what is written");
            true
        }
        Err(_) => false,
    })
}

fn encoded<'a, T: Encode + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = items.map(Encode::to_bytes).collect();
    all.sort();
    all.dedup();
    all.truncate(60);
    all
}

pub(super) fn all(world: &World) -> Vec<Target> {
    let ticks = || {
        world.records.iter().filter_map(|record| match record {
            LogRecord::Tick(tick, confirmation) => Some((tick, confirmation)),
            _ => None,
        })
    };
    let headers = world.records.iter().filter_map(|record| match record {
        LogRecord::Sealed(sealed) => Some(&sealed.header),
        _ => None,
    });
    let mut targets = vec![
        canonical::<LogRecord>("log-record", encoded(world.records.iter())),
        canonical::<SlotHeader>("slot-header", encoded(headers)),
        canonical::<TickConfirmation>("confirmation", encoded(ticks().map(|(_, c)| c))),
        canonical::<atoll_types::Tick>("tick", encoded(ticks().map(|(tick, _)| tick))),
        canonical::<EnvironmentSpec>("spec", encoded(world.specs.iter())),
        canonical::<Receipt>("receipt", encoded(world.receipts.iter())),
        canonical::<Event>("exchange-event", encoded(world.events.iter())),
        canonical::<Claim>("claim", encoded(world.claims.iter().map(|(_, claim)| claim))),
    ];
    targets.extend([claims(world), spec_files(), feeds(), receipts(world)]);
    for spec in &world.specs {
        let identity = Identity { network: world.network, environment: spec.id };
        let transactions = world.transactions(spec.id);
        match &spec.vm {
            VmSpec::Exchange(vm) => {
                let vm = vm.clone();
                targets.push(Target::new("exchange-transaction", transactions, move |bytes| {
                    ExchangeVm::<Resident>::check(&identity, &vm, bytes).is_ok()
                }));
            }
            VmSpec::Evm(vm) => {
                let vm = vm.clone();
                targets.push(Target::new("evm-transaction", transactions, move |bytes| {
                    EvmVm::<Resident>::check(&identity, &vm, bytes).is_ok()
                }));
            }
            VmSpec::Router(_) => {}
        }
        targets.push(objects(world, spec));
    }
    targets.push(doors::target());
    targets
}

/// A claim that was changed is refused; one that is not differs in nothing that is claimed.
fn claims(world: &World) -> Target {
    let (network, specs) = (world.network, world.specs.clone());
    let corpus = encoded(world.claims.iter().map(|(_, claim)| claim));
    let honest: Vec<Claim> = world.claims.iter().map(|(_, claim)| claim.clone()).collect();
    Target::new("verify", corpus, move |bytes| {
        let Ok(claim) = Claim::from_bytes(bytes) else { return false };
        let own = specs.iter().find(|spec| spec.id == claim.range.environment);
        let Some(spec) = own else { return false };
        if verify(network, spec, &claim).is_err() {
            return false;
        }
        // Parts of honest claims may fit together; nothing else does.
        assert!(
            honest.iter().any(|honest| honest.statement == claim.statement),
            "a statement that nobody made was accepted"
        );
        true
    })
}

/// Objects of a snapshot: refused, or written again as they were read.
fn objects(world: &World, spec: &EnvironmentSpec) -> Target {
    let name = match spec.vm {
        VmSpec::Exchange(_) => "exchange-object",
        VmSpec::Evm(_) => "evm-object",
        VmSpec::Router(_) => "router-object",
    };
    let own = world.claims.iter().filter(|(s, _)| s.id == spec.id);
    let pairs = own.flat_map(|(_, claim)| claim.witness.objects.iter());
    let pairs = pairs.filter_map(|(key, value)| Some((key, value?)));
    let genesis = world.genesis.iter().filter(|(id, _)| *id == spec.id);
    let genesis = genesis.flat_map(|(_, writes)| writes.iter());
    let joined = |key: &[u8], value: &[u8]| [&[key.len() as u8][..], key, value].concat();
    let mut corpus: Vec<Vec<u8>> = pairs.map(|(key, value)| joined(key, value)).collect();
    corpus.extend(genesis.filter_map(|(key, value)| Some(joined(key, value?))));
    corpus.sort();
    corpus.dedup();
    let (network, spec) = (world.network, spec.clone());
    Target::new(name, corpus, move |bytes| {
        let Some((length, rest)) = bytes.split_first() else { return false };
        let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else { return false };
        let environment = crate::node::host(network, &spec, 1).environment();
        environment.load(key, value).is_ok()
    })
}

fn receipts(world: &World) -> Target {
    Target::new("receipt-payload", encoded(world.receipts.iter()), |bytes| {
        let Ok(receipt) = Receipt::from_bytes(bytes) else { return false };
        let exchange = ExchangeReceipt::of(&receipt).is_ok();
        let evm = EvmReceipt::from_bytes(&receipt.payload).is_ok();
        // The router's says no more than what it passes on, but for withdrawals.
        let router = receipt.payload.is_empty();
        exchange || evm || router || receipt.rejection().is_some()
    })
}

fn spec_files() -> Target {
    let corpus = specs::BUILT_IN.map(|(_, text)| text.as_bytes().to_vec()).to_vec();
    Target::new("spec-file", corpus, |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| specs::parse("fuzz.toml", text).is_ok())
    })
}

/// Recorded markets, plain and damaged; compressed ones are in the tests of crate `feed`.
fn feeds() -> Target {
    let bitstamp = "id,timestamp,exchange.timestamp,price,volume,action,direction\n\
        1,1000,999,236.47,200000000,created,bid\n2,1001,999,236.5,150000000,created,ask\n\
        1,1002,999,236.47,50000000,changed,bid\n2,1003,999,236.50,150000000,deleted,ask\n";
    let lobster =
        "34200.1,1,10,100,5853300,1\n34200.2,4,10,40,5853300,1\n34200.4,3,10,50,5853300,1\n";
    let binance = "10 {\"lastUpdateId\":4,\"E\":6,\"T\":5,\"bids\":[[\"2.10\",\"1\"]],\"asks\":[[\"3\",\"1.500\"]]}\n\
        {\"e\":\"trade\",\"E\":6,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"3\",\"q\":\"0.5\",\"X\":\"MARKET\",\"m\":false}\n";
    let corpus = [bitstamp, lobster, binance].map(|text| text.as_bytes().to_vec()).to_vec();
    Target::new("feed", corpus, |bytes| {
        let bytes: Arc<[u8]> = Arc::from(bytes);
        let Ok(mut feed) = Feed::from_bytes("fuzz.csv", bytes, &Options::default()) else {
            return false;
        };
        feed.by_ref().count() > 0
    })
}
