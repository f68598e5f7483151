//! `atoll light`: a client that trusts no node, holds no state and needs little memory.
//!
//! * [`headers`]: every slot's header, signed by the sequencer and naming the one before;
//! * [`commitments`]: the chain of commitments over them, each with everything it commits to;
//! * [`sampling`]: shares of the published data, until withholding it would have been noticed;
//! * [`anchor`]: what the hub says of all this, asked for without the gateway;
//! * [`proofs`], [`objects`]: values of the settled state;
//! * [`follow`]: all of it in order; [`store`]: where to go on.
//!
//! Known limitations: one key signs headers, so there is no quorum to check; what the hub's node
//! says is believed.

pub(crate) mod accusation;
mod anchor;
mod args;
pub(crate) mod commitments;
mod follow;
mod headers;
mod objects;
mod proofs;
mod refusal;
mod report;
pub(crate) mod sampling;
mod store;

pub(crate) use args::{LightArgs, LightCommand, LightProveArgs, LightSource};

use crate::gateway::Gateway;
use crate::specs;
use accusation::Accusation;
use anchor::Anchor;
use anyhow::{Context, Result, bail};
use atoll_executor::EnvironmentSpec;
use atoll_types::{Address, EnvironmentId, NetworkId};
use follow::{Checked, Follower, Options};
use objects::Question;
use proofs::Prover;
use refusal::Refusal;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use store::Store;

/// Time between two looks for something new.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at the hub while nothing happens.
const LOOK_AT_HUB: Duration = Duration::from_secs(3);
/// How long gateway and hub may be away before a run ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// A header older than this is worth a warning.
const STALE: Duration = Duration::from_secs(30);
/// Longest JSON that is read: the largest object in hex, with its proof.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Runs the command.
pub(crate) fn run(args: &LightArgs) -> Result<()> {
    match &args.command {
        Some(LightCommand::Prove(prove)) => prove_one(prove),
        None => follow_network(args),
    }
}

/// A gateway, the hub behind it, and what had to be taken on the gateway's word.
struct Sources {
    gateway: Gateway,
    anchor: Anchor,
    settlement: Value,
    trusted: Vec<&'static str>,
}

impl Sources {
    fn open(args: &LightSource) -> Result<Self> {
        let gateway = Gateway::new(&args.url)?.limited(ANSWER_BYTES_MAX);
        let began = Instant::now();
        let settlement = loop {
            // A network that was only just started deploys its contracts first.
            let settlement = gateway.get("/atoll/settlement");
            match settlement {
                Ok(told) if args.anchor.is_some() || told["contracts"].is_object() => break told,
                Err(error) if began.elapsed() > PATIENCE => return Err(error),
                Ok(_) if began.elapsed() > PATIENCE => bail!("the network's hub is not there"),
                _ => std::thread::sleep(LOOK / 4),
            }
        };
        let mut trusted = Vec::new();
        let rpc_url = match (&args.hub_rpc, settlement["rpc_url"].as_str()) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => {
                trusted.push("hub_rpc");
                eprintln!("trusting the gateway's own word that {url} is the hub: --hub-rpc");
                url.to_string()
            }
            (None, None) => bail!("the gateway does not say where its hub is: use --hub-rpc"),
        };
        let address = match args.anchor {
            Some(address) => address,
            None => {
                let address = address(&settlement["contracts"]["anchor"], "the Anchor")?;
                trusted.push("anchor");
                eprintln!("trusting the gateway's own word that {address} is the Anchor: --anchor");
                address
            }
        };
        Ok(Self { gateway, anchor: Anchor::new(&rpc_url, address)?, settlement, trusted })
    }

    fn network(&self) -> Result<NetworkId> {
        let network = self.settlement["network"].as_str().and_then(|text| text.parse().ok());
        network.map(NetworkId).context("the gateway does not say which network it serves")
    }

    fn sequencer(&mut self, given: Option<Address>) -> Result<Address> {
        if let Some(given) = given {
            return Ok(given);
        }
        let said = address(&self.settlement["sequencer"], "the sequencer")?;
        self.trusted.push("sequencer");
        eprintln!("trusting the gateway's own word that {said} is the sequencer: --sequencer");
        Ok(said)
    }
}

fn address(value: &Value, what: &str) -> Result<Address> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.with_context(|| format!("the gateway gives no address of {what}"))
}

/// The specs of a network's environments, the router's among them.
fn all_specs(args: &LightSource) -> Result<Vec<EnvironmentSpec>> {
    let mut all = specs::load_all(args.environments.as_deref())?;
    all.push(specs::router(&all));
    Ok(all)
}

/// An environment by name or number; its spec if it is known here.
fn environment<'a>(
    specs: &'a [EnvironmentSpec],
    name: &str,
) -> Result<(EnvironmentId, Option<&'a EnvironmentSpec>)> {
    let id = name.parse().ok().map(EnvironmentId);
    let found = specs.iter().find(|spec| spec.name == name || Some(spec.id) == id);
    let known = || {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        format!("there is no spec of '{name}'; known are {}: --environments", names.join(", "))
    };
    Ok((found.map(|spec| spec.id).or(id).with_context(known)?, found))
}

fn key_of(text: &str) -> Result<Vec<u8>> {
    let key = alloy_primitives::hex::decode(text).ok().filter(|key| !key.is_empty());
    key.with_context(|| format!("'{text}' is no key: it is hex, the object's type first"))
}

/// Asks one question, and tells what came of it in JSON.
fn ask(
    sources: (&Gateway, &Anchor),
    specs: &[EnvironmentSpec],
    name: &str,
    question: &Question,
) -> Result<Value> {
    let (id, spec) = environment(specs, name)?;
    let mut prover = Prover::new(sources.0, sources.1, id, spec);
    let facts = objects::answer(&mut prover, spec, question)?;
    let at = prover.standpoint();
    Ok(json!({
        "environment": name,
        "commitment": at.map(|at| at.commitment),
        "first_slot": at.map(|at| at.slots.0),
        "last_slot": at.map(|at| at.slots.1),
        "state_root": at.map(|at| at.state_root.to_string()),
        "facts": facts,
        "objects": prover.proven.iter().map(proofs::Proven::render).collect::<Vec<_>>(),
    }))
}

/// A proof for people.
fn tell(proof: &Value) {
    match proof["commitment"].as_u64() {
        Some(number) => println!(
            "{} in commitment {number}, settled on the hub: state root {} after slot {}",
            proof["environment"].as_str().unwrap_or_default(),
            proof["state_root"].as_str().unwrap_or_default(),
            proof["last_slot"]
        ),
        None => println!("nothing is proven"),
    }
    for (name, value) in proof["facts"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        println!("  {:<20} {value}", name.replace('_', " "));
    }
}

fn prove_one(args: &LightProveArgs) -> Result<()> {
    let question = match (args.account, &args.position, args.order, &args.key) {
        (_, _, _, Some(key)) => Question::Key(key_of(key)?),
        (Some(account), Some(market), ..) => Question::Position { account, market: market.clone() },
        (Some(account), None, Some(order), _) => Question::Order { account, order },
        (Some(account), ..) => Question::Balance { account, asset: args.asset.clone() },
        (None, ..) => bail!("name --account ADDRESS or --key HEX"),
    };
    let specs = all_specs(&args.source)?;
    let sources = Sources::open(&args.source)?;
    let proof = ask((&sources.gateway, &sources.anchor), &specs, &args.environment, &question)?;
    match args.source.json {
        true => println!("{}", serde_json::to_string(&proof)?),
        false => tell(&proof),
    }
    Ok(())
}

/// Set by Ctrl-C or SIGTERM.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(crate::dev::shutdown_signal());
        set.store(true, Relaxed);
    })?;
    Ok(stop)
}

/// What a run is to prove, and did.
struct Proofs {
    specs: Vec<EnvironmentSpec>,
    wanted: Vec<(String, Question)>,
    done: Vec<Value>,
}

impl Proofs {
    fn of(args: &LightArgs) -> Result<Self> {
        let specs = all_specs(&args.source)?;
        let wanted = args.prove.iter().map(|text| {
            let (name, key) = text.split_once(':').context("--prove takes ENVIRONMENT:KEY")?;
            environment(&specs, name)?;
            Ok((name.to_string(), Question::Key(key_of(key)?)))
        });
        let wanted = wanted.collect::<Result<_>>()?;
        Ok(Self { specs, wanted, done: Vec::new() })
    }

    /// Proves everything again, as of now.
    fn run(&mut self, follower: &Follower, json: bool) -> Result<()> {
        let sources = (&follower.gateway, &follower.anchor);
        let all = self.wanted.iter().map(|(name, key)| ask(sources, &self.specs, name, key));
        self.done = all.collect::<Result<_>>()?;
        if !json {
            self.done.iter().for_each(tell);
        }
        Ok(())
    }
}

fn follow_network(args: &LightArgs) -> Result<()> {
    let json = args.source.json;
    let mut proofs = Proofs::of(args)?;
    let stop = interrupted()?;
    let began = Instant::now();
    let mut sources = Sources::open(&args.source)?;
    let options = Options {
        network: sources.network()?,
        sequencer: sources.sequencer(args.sequencer)?,
        confidence: args.confidence,
        slots: args.slots,
        accusations: args
            .fraud_proof
            .iter()
            .map(|file| Accusation::read(file))
            .collect::<Result<_>>()?,
    };
    let store = Store::open(&args.data_dir)?;
    let Sources { gateway, anchor, trusted, .. } = sources;
    let mut follower = Follower::open(gateway, anchor, store, options)?;
    follower.others = args.also.iter().map(|url| Gateway::new(url)).collect::<Result<_>>()?;
    let outcome = follower.begin(args.from_genesis).and_then(|first| {
        if !json {
            tell_beginning(&follower, first.as_ref(), args.confidence);
        }
        let outcome = watch(&mut follower, &mut proofs, args, &stop, began);
        // What was followed counts, whatever ended the run.
        follower.save().and(outcome)
    });
    let refused = outcome.as_ref().err().and_then(|error| error.downcast_ref::<Refusal>());
    let elapsed = began.elapsed();
    let summary = report::summary(&follower, &trusted, &proofs.done, elapsed, refused);
    match json {
        true => println!("{}", serde_json::to_string(&summary)?),
        false => println!("{}", report::text(&summary)),
    }
    outcome
}

fn tell_beginning(follower: &Follower, first: Option<&Checked>, confidence: u32) {
    match (first, follower.last().number) {
        (Some(first), _) => println!("{}", report::line(first, confidence, "begun with")),
        (None, 0) => println!("from the first slot of network {}", follower.options.network.0),
        (None, number) => println!("going on after commitment {number}"),
    }
}

/// Follows until the run is over.
fn watch(
    follower: &mut Follower,
    proofs: &mut Proofs,
    args: &LightArgs,
    stop: &AtomicBool,
    began: Instant,
) -> Result<()> {
    let first = follower.last().number + 1;
    let mut well = Instant::now();
    let mut hub_asked: Option<Instant> = None;
    let mut warned = false;
    loop {
        let settled = follower.settled();
        let step = step(follower, &mut hub_asked, |checked| {
            if !args.source.json {
                println!("{}", report::line(checked, args.confidence, "checked"));
            }
        });
        let more = match step {
            Ok(more) => more,
            Err(error) if error.is::<Refusal>() || well.elapsed() > PATIENCE => return Err(error),
            Err(error) => {
                eprintln!("trying again: {error:#}");
                std::thread::sleep(LOOK);
                continue;
            }
        };
        well = Instant::now();
        if follower.settled() > settled {
            if !args.source.json {
                println!("commitment {} is settled", follower.settled());
            }
            proofs.run(follower, args.source.json)?;
        }
        let over = args.run_for.is_some_and(|time| began.elapsed() >= time)
            || (args.until_settled && follower.settled() >= first)
            || (follower.has_all() && !more)
            || stop.load(Relaxed);
        if over {
            return Ok(());
        }
        if !more {
            warn_if_stale(follower, &mut warned);
            std::thread::sleep(LOOK);
        }
    }
}

/// Says once that no new slot comes: a gateway can stop telling without telling anything wrong.
fn warn_if_stale(follower: &Follower, warned: &mut bool) {
    let behind = follower.behind();
    let stale = behind.is_some_and(|behind| behind > STALE);
    if let Some(behind) = behind.filter(|_| stale && !*warned) {
        let seconds = behind.as_secs();
        eprintln!(
            "the last header is {seconds} s old: the network stands still, or the gateway does"
        );
    }
    *warned = stale;
}

/// One round. Whether there may be more at once.
fn step(
    follower: &mut Follower,
    hub_asked: &mut Option<Instant>,
    mut tell: impl FnMut(&Checked),
) -> Result<bool> {
    let headers = follower.headers()?;
    let checked = follower.commitment()?;
    checked.iter().for_each(&mut tell);
    if checked.is_some() || hub_asked.is_none_or(|asked| asked.elapsed() > LOOK_AT_HUB) {
        follower.hub()?;
        *hub_asked = Some(Instant::now());
    }
    Ok(headers || checked.is_some())
}
