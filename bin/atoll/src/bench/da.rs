//! Data availability: extending and committing a square beside `celestia-types`, sampling,
//! rebuilding, proofs of namespaces; and what an order costs in data.

mod orders;
#[cfg(feature = "bench-peers")]
mod peer;
mod squares;

use crate::cli::DaBenchArgs;
use anyhow::Result;
use serde_json::{Value, json};

/// Runs the benchmark.
pub(crate) fn run(args: &DaBenchArgs) -> Result<()> {
    if !cfg!(feature = "bench-peers") {
        eprintln!("build with --features bench-peers to measure celestia-types beside it");
    }
    let squares = squares::measure(args.width, args.runs)?;
    if !args.json {
        print_squares(&squares);
    }
    let mut rates = Vec::new();
    for rate in &args.rate {
        let measured = orders::measure(*rate, args.orders)?;
        if !args.json {
            println!("\n{}", orders::arithmetic(&measured));
        }
        rates.push(measured.render());
    }
    if args.json {
        println!("{}", json!({ "bench": "da", "squares": squares, "orders": rates }));
    }
    Ok(())
}

fn print_squares(report: &Value) {
    let ms = |value: &Value| format!("{:.1} ms", value.as_f64().unwrap_or(0.0) * 1e3);
    let width = &report["width"];
    let mut lines = vec![
        (format!("extend and commit {width} × {width}, one thread"), ms(&report["extend_s"])),
        ("the same, two threads".into(), ms(&report["extend_two_threads_s"])),
    ];
    if report["celestia_types"].is_object() {
        let peer = &report["celestia_types"];
        let times = peer["ratio"].as_f64().unwrap_or(0.0);
        let theirs = format!("{} ({times:.2} × our time)", ms(&peer["extend_s"]));
        lines.push(("the same by celestia-types".into(), theirs));
    }
    let verified = report["samples_verified_per_s"].as_f64().unwrap_or(0.0);
    let sample = format!("{:.0} a second, {} bytes each", verified, report["sample_bytes"]);
    lines.extend([
        ("samples verified".into(), sample),
        ("rebuild, a quarter lost, scattered".into(), ms(&report["rebuild_s"]["scattered"])),
        ("rebuild, one quadrant lost".into(), ms(&report["rebuild_s"]["quadrant"])),
        ("proof of a namespace made".into(), ms(&report["namespace"]["prove_s"])),
        (
            format!("and verified: {} bytes", report["namespace"]["bytes"]),
            ms(&report["namespace"]["verify_s"]),
        ),
    ]);
    for (what, figure) in lines {
        println!("{what:<44} {figure}");
    }
}
