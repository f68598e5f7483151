//! `atoll da`: checks for oneself that the data of a slot is there, and all of it.

use crate::cli::{DaCommand, SampleArgs};
use crate::gateway::Gateway;
use crate::hub::spans::{read_batches, read_headers};
use crate::light::accusation::Accusation;
use crate::light::commitments;
use crate::light::sampling::{self, Fetch};
use anyhow::{Context, Result, bail, ensure};
use atoll_da::{
    DaHeader, EncodedSpan, Namespace, Owner, Part, Position, Repair, Unrepaired, confidence_bits,
    sample_positions, samples_for_confidence,
};
use atoll_types::slot::Parts;
use atoll_types::{Address, B256, NetworkId, sha256};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) fn run(command: &DaCommand) -> Result<()> {
    match command {
        DaCommand::Sample(args) => sample(args),
        DaCommand::Fetch(args) => crate::layers::fetch::run(args),
    }
}

/// The network behind a gateway, and its sequencer: on the gateway's word if nobody was named.
pub(crate) fn of_network(
    gateway: &Gateway,
    sequencer: Option<Address>,
) -> Result<(NetworkId, Address)> {
    let settlement = gateway.get("/atoll/settlement")?;
    let network: B256 = settlement["network"].as_str().unwrap_or_default().parse()?;
    let said: Address = settlement["sequencer"].as_str().unwrap_or_default().parse()?;
    if sequencer.is_none() {
        eprintln!("trusting the gateway's own word that {said} is the sequencer: --sequencer");
    }
    Ok((NetworkId(network), sequencer.unwrap_or(said)))
}

fn sample(args: &SampleArgs) -> Result<()> {
    let gateway = Gateway::new(&args.url)?;
    let (network, sequencer) = of_network(&gateway, args.sequencer)?;
    let span = gateway.get(&format!("/atoll/da/{}", args.slot))?;
    let number = span["commitment"].as_u64().context("the span is in no commitment")?;
    let published = commitments::signed(&gateway, number, sequencer)?;
    ensure!(published.commitment.network == network, "the commitment is of another network");
    let slots = published.spans.iter().find(|s| (s.slots.0..=s.slots.1).contains(&args.slot));
    let slots = slots.context("the commitment does not cover the slot")?;
    let (header, bytes) = sampling::roots(&gateway, args.slot, slots.data_root)?;

    let mut fetch = Fetch { gateway: &gateway, header: &header, slot: args.slot, bytes };
    let wanted = samples_for_confidence(args.confidence);
    let seed = match args.seed {
        Some(seed) => sha256(&[&seed.to_le_bytes()]),
        None => sampling::secret_seed(),
    };
    let positions = sample_positions(&header, seed, wanted);
    for position in &positions {
        fetch.sample(*position)?;
    }
    let mut value = json!({
        "slot": args.slot,
        "commitment": number,
        "first_slot": slots.slots.0,
        "last_slot": slots.slots.1,
        "data_root": slots.data_root.to_string(),
        "squares": header.squares().iter().map(|s| s.width()).collect::<Vec<_>>(),
        "samples": positions.len(),
        "confidence_bits": confidence_bits(wanted),
        "bytes": fetch.bytes,
    });
    if !args.json {
        println!(
            "slots {} to {}, data root {}: {} samples, an adversary who withholds enough gets by \
             with a chance below 1 in 2^{}, {} bytes fetched",
            slots.slots.0,
            slots.slots.1,
            slots.data_root,
            positions.len(),
            confidence_bits(wanted),
            fetch.bytes
        );
        picture(&header, &positions);
    }
    if args.reconstruct {
        let named = args.fraud_proof.clone();
        let proof = named.unwrap_or_else(|| format!("slot-{}.fraud", args.slot).into());
        let rebuilt = reconstruct(&mut fetch, seed, &proof)?;
        let found = decode(&rebuilt, network, sequencer, slots.slots)?;
        if !args.json {
            println!("rebuilt after the loss of a quarter: {found}");
        }
        value["rebuilt"] = found;
    }
    if args.json {
        println!("{}", serde_json::to_string(&value)?);
    }
    Ok(())
}

/// The first square, small: what was asked for.
fn picture(header: &DaHeader, positions: &[Position]) {
    let Some(square) = header.squares().first() else { return };
    let width = square.extended_width();
    let scale = width.div_ceil(32).max(1);
    let asked: BTreeSet<(u16, u16)> = positions
        .iter()
        .filter(|p| p.square == 0)
        .map(|p| (p.row / scale, p.column / scale))
        .collect();
    for row in 0..width.div_ceil(scale) {
        let line: String = (0..width.div_ceil(scale))
            .map(|column| if asked.contains(&(row, column)) { "■ " } else { "· " })
            .collect();
        println!("  {line}");
    }
}

/// Fetches three quarters of the shares, chosen at random, and rebuilds the rest. That it cannot be
/// done although all is there is proven to others in a file.
fn reconstruct(fetch: &mut Fetch<'_>, seed: B256, file: &Path) -> Result<EncodedSpan> {
    let mut squares = Vec::new();
    for (index, header) in (0u16..).zip(fetch.header.squares()) {
        let width = header.extended_width();
        let mut all: Vec<Position> = (0..width)
            .flat_map(|row| (0..width).map(move |column| Position { square: index, row, column }))
            .collect();
        // A permutation that nobody chose.
        all.sort_by_key(|p| sha256(&[&seed[..], &p.row.to_le_bytes(), &p.column.to_le_bytes()]));
        let kept = all.len() * 3 / 4;
        let mut repair = Repair::new(index, header.clone());
        let (kept, lost) = all.split_at(kept);
        for position in kept {
            repair.add(&fetch.sample(*position)?)?;
        }
        // A random quarter may hold what a line cannot do without: then a few more are asked for.
        let mut more = lost.iter();
        let square = loop {
            match repair.run() {
                Ok(square) => break square,
                Err(Unrepaired::BadEncoding(proof)) => {
                    let data_root = fetch.header.data_root();
                    Accusation { data_root, proof: *proof }.write(file)?;
                    bail!(
                        "the span is badly encoded: its commitment must be challenged; the proof is \
                         in {}: atoll light --fraud-proof",
                        file.display()
                    )
                }
                Err(Unrepaired::Missing(_)) => match more.next() {
                    Some(position) => {
                        repair.add(&fetch.sample(*position)?)?;
                    }
                    None => bail!("the square cannot be rebuilt from all of its shares"),
                },
            }
        };
        squares.push(square);
    }
    let rebuilt = EncodedSpan::from_squares(squares)?;
    ensure!(rebuilt.data_root() == fetch.header.data_root(), "what was rebuilt has another root");
    Ok(rebuilt)
}

/// Reads every stream of a span and holds the batches against the signed headers.
pub(crate) fn decode(
    span: &EncodedSpan,
    network: NetworkId,
    sequencer: Address,
    slots: (u64, u64),
) -> Result<Value> {
    let stream = |owner: Owner| -> Result<Option<Vec<u8>>> {
        let namespace = Namespace::of(network, owner).context("an owner without a namespace")?;
        let stream = span.namespace_proof(namespace).verify(span.header(), namespace)?;
        stream.map(|stream| Ok(Part::from_stream(&stream)?.data)).transpose()
    };
    let headers = stream(Owner::Headers)?.context("the span has no headers")?;
    let headers = read_headers(&headers)?;
    ensure!(
        headers.iter().map(|h| h.sealed.header.slot).eq(slots.0..=slots.1),
        "the headers are not those of the span"
    );
    let mut environments = BTreeSet::new();
    let mut parent = None;
    for record in &headers {
        let header = &record.sealed.header;
        let signer = record.sealed.signature.recover(&header.digest(&network));
        ensure!(signer == Ok(sequencer), "the header of slot {} is forged", header.slot);
        ensure!(record.holds(), "the parts of slot {} are not its header's", header.slot);
        ensure!(parent.is_none_or(|p| p == header.parent), "slot {} forks", header.slot);
        parent = Some(header.hash());
        environments.extend(record.parts.iter().map(|(id, _)| *id));
    }
    let (mut batches, mut steps) = (0, 0);
    for id in environments {
        let data = stream(Owner::Environment(id))?.unwrap_or_default();
        let ranges = if data.is_empty() { Vec::new() } else { read_batches(&data)? };
        for range in &ranges {
            let record = headers.iter().find(|h| h.sealed.header.slot == range.context.slot);
            let record = record.context("a batch of a slot outside of the span")?;
            let own = record.parts.iter().find(|(part, _)| *part == id).map(|(_, hash)| *hash);
            let header = &record.sealed.header;
            let mut parts = Parts::begin(header.slot, header.time_us, header.parent);
            range.add_to(&mut parts);
            ensure!(
                parts.of(id) == own,
                "the batch of environment {id} in slot {} is not the one ordered",
                header.slot
            );
            batches += 1;
            steps += range.steps.len();
        }
        let ordered = headers.iter().filter(|h| h.parts.iter().any(|(part, _)| *part == id));
        let missing = ordered.filter(|record| {
            !ranges.iter().any(|range| range.context.slot == record.sealed.header.slot)
        });
        ensure!(missing.count() == 0, "batches of environment {id} are missing");
    }
    Ok(json!({ "slots": headers.len(), "batches": batches, "steps": steps }))
}
