//! `debug_trace…`: what an execution did.

use super::args::{block, call as call_object, field, number};
use super::error::RpcError;
use super::methods::boolean;
use super::overrides;
use super::parse::{Params, hash, kind, quantity_u64};
use super::render;
use crate::port::{BlockId, EvmPort, KeyConflict, On, StepOptions, TraceOptions, Tracer};
use serde_json::{Map, Value, json};
use std::time::Duration;

type Answer = Result<Value, RpcError>;

/// The tracers there are, beside the one that shows every instruction.
const TRACERS: &str = "callTracer, flatCallTracer, prestateTracer, 4byteTracer; \
                       or none for every instruction";

pub(super) async fn transaction(port: &dyn EvmPort, params: &Params) -> Answer {
    let (named, options) = (params.required(0, hash)?, params.optional(1, options)?);
    let traced = port.trace_transaction(named, options).await?;
    traced.ok_or_else(|| RpcError::server("transaction not found"))
}

pub(super) async fn block_by_number(port: &dyn EvmPort, params: &Params) -> Answer {
    let (at, options) = (params.required(0, number)?, params.optional(1, options)?);
    one_block(port, at, options).await
}

pub(super) async fn block_by_hash(port: &dyn EvmPort, params: &Params) -> Answer {
    let (named, options) = (params.required(0, hash)?, params.optional(1, options)?);
    one_block(port, BlockId::Hash(named), options).await
}

async fn one_block(port: &dyn EvmPort, at: BlockId, options: TraceOptions) -> Answer {
    let Some(traced) = port.trace_block(at, options).await? else {
        let name = match at {
            BlockId::Number(number) => format!("block #{number} not found"),
            BlockId::Hash(hash) => format!("block {hash} not found"),
            _ => "block not found".to_owned(),
        };
        return Err(RpcError::server(name));
    };
    let shown = |(hash, result)| json!({ "txHash": hash, "result": result });
    Ok(traced.into_iter().map(shown).collect())
}

/// `atoll_getConflicts`: why the transactions of a block have to follow one another.
pub(super) async fn conflicts(port: &dyn EvmPort, params: &Params) -> Answer {
    let found = port.conflicts(params.required(0, block)?).await?;
    let Some(found) = found else { return Ok(Value::Null) };
    let key = |conflict: &KeyConflict| {
        json!({
            "key": conflict.key,
            "writers": conflict.writers,
            "readers": conflict.readers,
            "clashes": conflict.clashes,
        })
    };
    Ok(json!({
        "block": render::quantity(found.block),
        "transactions": found.transactions,
        "gas": found.gas,
        "chain": found.chain,
        "speedupMax": found.speedup_max,
        "keys": found.keys.iter().map(key).collect::<Value>(),
        "keysLeftOut": found.keys_left_out,
    }))
}

pub(super) async fn call(port: &dyn EvmPort, params: &Params) -> Answer {
    let request = params.required(0, |value| call_object(value, port.chain_id()))?;
    let at = params.optional(1, block)?;
    let options = params.optional(2, options)?;
    let on = params.optional(2, |value| {
        let asked = overrides::object(value)?;
        if asked.get("txIndex").is_some_and(|value| !value.is_null()) {
            return Err("txIndex is not supported: a call is traced behind its block".to_owned());
        }
        Ok(On {
            block: at,
            state: field(asked, "stateOverrides", overrides::state)?.unwrap_or_default(),
            block_override: field(asked, "blockOverrides", overrides::block)?.unwrap_or_default(),
        })
    })?;
    Ok(port.trace_call(On { block: at, ..on }, request, options).await?)
}

fn options(value: &Value) -> Result<TraceOptions, String> {
    let asked = overrides::object(value)?;
    let timeout = field(asked, "timeout", duration)?;
    let named = field(asked, "tracer", |value| match value.as_str() {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!("expected a string, got {}", kind(value))),
    })?;
    let empty = Map::new();
    let config = match asked.get("tracerConfig").filter(|value| !value.is_null()) {
        Some(value) => overrides::object(value).map_err(|why| format!("tracerConfig: {why}"))?,
        None => &empty,
    };
    let flag = |object: &Map<String, Value>, name| {
        field(object, name, boolean).map(Option::unwrap_or_default)
    };
    let tracer = match named.as_deref().unwrap_or_default() {
        "" => Tracer::Steps(StepOptions {
            memory: flag(asked, "enableMemory")?,
            stack: !flag(asked, "disableStack")?,
            storage: !flag(asked, "disableStorage")?,
            return_data: flag(asked, "enableReturnData")?,
            limit: field(asked, "limit", |value| match value.as_u64() {
                Some(limit) => Ok(limit),
                None => quantity_u64(value),
            })?
            .filter(|limit| *limit > 0),
        }),
        "callTracer" => {
            Tracer::Calls { only_top: flag(config, "onlyTopCall")?, logs: flag(config, "withLog")? }
        }
        "flatCallTracer" => Tracer::FlatCalls { precompiles: flag(config, "includePrecompiles")? },
        "prestateTracer" => Tracer::Prestate {
            diff: flag(config, "diffMode")?,
            code: !flag(config, "disableCode")?,
            storage: !flag(config, "disableStorage")?,
        },
        "4byteTracer" => Tracer::FourByte,
        other => {
            let other: String = other.chars().take(64).collect();
            return Err(format!("no tracer \"{other}\"; there are: {TRACERS}"));
        }
    };
    Ok(TraceOptions { tracer, timeout })
}

/// A time such as `10s`, `300ms` or `2m`.
fn duration(value: &Value) -> Result<Duration, String> {
    let refused = || "expected a time such as \"10s\" or \"300ms\"".to_owned();
    let text = value.as_str().ok_or_else(refused)?;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().map_err(|_| refused())?;
    let milliseconds = match unit {
        "ms" => Some(count),
        "s" => count.checked_mul(1_000),
        "m" => count.checked_mul(60_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(duration(&json!("10s")), Ok(Duration::from_secs(10)));
        assert_eq!(duration(&json!("300ms")), Ok(Duration::from_millis(300)));
        assert_eq!(duration(&json!("2m")), Ok(Duration::from_secs(120)));
        for refused in ["", "s", "10", "1h", "-1s", "99999999999999999999s", "1.5s"] {
            assert!(duration(&json!(refused)).is_err(), "{refused}");
        }
        assert!(duration(&json!(10)).is_err());
    }
}
