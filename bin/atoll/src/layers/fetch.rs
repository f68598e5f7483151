//! `atoll da fetch`: a span from another layer, checked from end to end.

use crate::cli::FetchArgs;
use crate::da::{decode, of_network};
use crate::gateway::Gateway;
use crate::hub::source::bytes_of;
use crate::light::commitments::signed;
use anyhow::{Context, Result, ensure};
use atoll_da::EncodedSpan;
use atoll_layers::Receipt;
use atoll_types::{Decode, Encode};
use serde_json::json;

pub(crate) fn run(args: &FetchArgs) -> Result<()> {
    args.from.check()?;
    let gateway = Gateway::new(&args.url)?;
    let (network, sequencer) = of_network(&gateway, args.sequencer)?;
    let answer = gateway.get(&format!("/atoll/da/{}", args.slot))?;
    let number = answer["commitment"].as_u64().context("the span is in no commitment")?;
    let published = signed(&gateway, number, sequencer)?;
    ensure!(published.commitment.network == network, "the commitment is of another network");
    let span = published.spans.iter().find(|s| (s.slots.0..=s.slots.1).contains(&args.slot));
    let span = span.context("the commitment does not cover the slot")?;

    let name = args.from.layer.name();
    let receipts = answer["layers"].as_array();
    let found = receipts.into_iter().flatten().find(|layer| layer["layer"] == name);
    let found = found.with_context(|| {
        format!("the network has no receipt from {name} for slot {} (yet)", args.slot)
    })?;
    let receipt = Receipt::from_bytes(&bytes_of(&found["receipt"], "receipt")?)
        .context("the receipt cannot be read")?;

    let layer = args.from.open(network, false)?;
    let batch = layer.retrieve(&receipt).with_context(|| format!("{name} gives no span"))?;
    let streams = batch.spans().iter().find(|streams| streams.slots() == span.slots);
    let streams = streams.with_context(|| format!("{name} has other slots in that batch"))?;
    let encoded = EncodedSpan::from_streams(network, streams, 1)?;
    ensure!(
        encoded.data_root() == span.data_root,
        "what {name} has is not the span that commitment {number} names: its data root is {}, not \
         {}",
        encoded.data_root(),
        span.data_root
    );
    let inclusion = layer.verify(&receipt, &batch).context("not proven to be in the layer")?;
    let read = decode(&encoded, network, sequencer, span.slots)?;
    let bytes = streams.to_bytes();
    if let Some(file) = &args.out {
        std::fs::write(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match args.json {
        true => {
            let value = json!({
                "slot": args.slot, "commitment": number, "layer": name,
                "first_slot": span.slots.0, "last_slot": span.slots.1,
                "data_root": span.data_root.to_string(), "bytes": bytes.len(),
                "first_block": inclusion.first_block, "last_block": inclusion.last_block,
                "finalised": inclusion.finalised, "read": read,
            });
            println!("{}", serde_json::to_string(&value)?);
        }
        false => println!(
            "slots {} to {}: {} bytes from {name}, blocks {} to {}{}; data root {} as committed; {read}",
            span.slots.0,
            span.slots.1,
            bytes.len(),
            inclusion.first_block,
            inclusion.last_block,
            if inclusion.finalised { ", final" } else { ", not final yet" },
            span.data_root,
        ),
    }
    Ok(())
}
