//! One full square, from shares to roots and back.

use crate::bench::median;
use anyhow::{Context, Result, ensure};
use atoll_da::{
    Axis, EncodedSpan, Namespace, Owner, Position, Repair, Sample, Share, SpanData, Square,
    sample_positions,
};
use atoll_types::{B256, Encode, EnvironmentId, NetworkId};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::time::Instant;

const NETWORK: NetworkId = NetworkId(B256::ZERO);
/// Samples verified in a run.
const SAMPLES: u32 = 1_000;
/// Data in a share that continues a sequence, less what a sequence's beginning takes.
const SHARE_DATA: usize = 478;

/// Seconds that something takes, and what it gives.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let made = work();
    (began.elapsed().as_secs_f64(), made)
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A span of two parts that fills a square of this width; nothing in it can be compressed.
fn full(width: u16) -> Result<EncodedSpan> {
    let shares = usize::from(width) * usize::from(width);
    // Two parts, each of which begins a share of its own and ends within one.
    let length = (shares - 4) / 2 * SHARE_DATA;
    let parts = [1, 2].map(|id| (Owner::Environment(EnvironmentId(id)), noise(id.into(), length)));
    let data = SpanData { first_slot: 1, last_slot: 50, parts: parts.to_vec() };
    let span = EncodedSpan::encode(NETWORK, &data, 1)?;
    let [square] = span.squares() else { anyhow::bail!("the data fill more than one square") };
    ensure!(square.width() == width, "the data fill a square of width {}", square.width());
    Ok(span)
}

fn originals(square: &Square) -> Vec<u8> {
    let width = square.width();
    let cells = (0..width).flat_map(|row| (0..width).map(move |column| (row, column)));
    cells.filter_map(|(row, column)| square.share(row, column)).flatten().copied().collect()
}

pub(super) fn measure(width: u16, runs: usize) -> Result<Value> {
    let span = full(width)?;
    let square = &span.squares()[0];
    let original = originals(square);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    #[cfg(feature = "bench-peers")]
    let mut theirs = Vec::new();
    // In turns, so that whatever else the machine does falls on all alike.
    for _ in 0..runs {
        for (threads, times) in [(1, &mut one), (2, &mut two)] {
            let (time, made) = timed(|| Square::extend(&original, threads));
            ensure!(made?.header() == square.header(), "another square came out");
            times.push(time);
        }
        #[cfg(feature = "bench-peers")]
        theirs.push(super::peer::extend(&original, span.data_root())?);
    }
    let extend = median(one.clone());
    let mut report = json!({
        "width": width,
        "bytes": original.len(),
        "extend_s": extend,
        "extend_runs_s": one,
        "extend_two_threads_s": median(two),
        "rebuild_s": {
            "scattered": rebuild(square, runs.min(3), |row, column| (row * 7 + column * 13) % 4 == 0)?,
            "quadrant": rebuild(square, runs.min(3), |row, column| row < width && column < width)?,
        },
        "namespace": namespace(&span, runs)?,
    });
    #[cfg(feature = "bench-peers")]
    {
        let peer = median(theirs.clone());
        report["celestia_types"] =
            json!({ "extend_s": peer, "extend_runs_s": theirs, "ratio": peer / extend });
    }
    let (per_s, bytes) = samples(&span, runs)?;
    report["samples_verified_per_s"] = json!(per_s);
    report["sample_bytes"] = json!(bytes);
    Ok(report)
}

/// Samples verified per second, and the mean bytes of one.
fn samples(span: &EncodedSpan, runs: usize) -> Result<(f64, usize)> {
    let positions = sample_positions(span.header(), B256::ZERO, SAMPLES);
    let samples: Vec<Sample> = positions
        .iter()
        .map(|position| span.sample(*position, Axis::Row))
        .collect::<Result<_, _>>()?;
    let bytes: usize = samples.iter().map(|sample| sample.to_bytes().len()).sum();
    let mut rates = Vec::new();
    for _ in 0..runs {
        let (time, verified) =
            timed(|| samples.iter().try_for_each(|sample| sample.verify(span.header())));
        verified?;
        rates.push(samples.len() as f64 / time);
    }
    Ok((median(rates), bytes / samples.len()))
}

/// Seconds to rebuild a square from the shares that are not lost.
fn rebuild(square: &Square, runs: usize, lost: impl Fn(u16, u16) -> bool) -> Result<f64> {
    let mut repair = Repair::new(0, square.header().clone());
    let width = square.extended_width();
    for row in 0..width {
        let tree = square.tree(Axis::Row, row).context("a row of the square")?;
        for column in (0..width).filter(|column| !lost(row, *column)) {
            let share = *square.share(row, column).context("a share of the square")?;
            repair.add(&Sample {
                position: Position { square: 0, row, column },
                axis: Axis::Row,
                share: Share(share),
                path: tree.path(column),
            })?;
        }
    }
    let mut times = Vec::new();
    for _ in 0..runs.max(1) {
        let mut repair = repair.clone();
        let (time, rebuilt) = timed(|| repair.run());
        let rebuilt = rebuilt.ok().context("the square cannot be rebuilt")?;
        ensure!(rebuilt.header() == square.header(), "another square came out");
        times.push(time);
    }
    Ok(median(times))
}

/// All of one environment's data, proven and verified.
fn namespace(span: &EncodedSpan, runs: usize) -> Result<Value> {
    let owner = Owner::Environment(EnvironmentId(1));
    let namespace = Namespace::of(NETWORK, owner).context("an owner without a namespace")?;
    let (mut prove, mut verify) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..runs {
        let (time, proof) = timed(|| span.namespace_proof(namespace));
        prove.push(time);
        bytes = proof.to_bytes().len();
        let (time, stream) = timed(|| proof.verify(span.header(), namespace));
        stream?.context("the span has data of this environment")?;
        verify.push(time);
    }
    Ok(json!({ "prove_s": median(prove), "verify_s": median(verify), "bytes": bytes }))
}
