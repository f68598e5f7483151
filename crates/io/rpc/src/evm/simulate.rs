//! Messages that are run and not ordered: calls, estimates, access lists, simulated blocks.

use super::args::{block, call as call_object, field, list};
use super::error::RpcError;
use super::methods::boolean;
use super::parse::Params;
use super::{Context, overrides, render};
use crate::port::{
    BlockTransactions, EvmPort, On, SimulateBlock, SimulateError, SimulateRequest, SimulatedBlock,
    SimulatedCall, SimulatedFailure,
};
use atoll_types::RejectCode;
use serde_json::{Value, json};

type Answer = Result<Value, RpcError>;

/// Most blocks that one simulation names; those between them count too, at the node.
const BLOCKS_MAX: usize = 256;
/// Most calls of one simulated block.
const CALLS_MAX: usize = 1000;

/// The first four parameters of a call: message, block, state overrides, block overrides.
fn on(params: &Params) -> Result<On, RpcError> {
    Ok(On {
        block: params.optional(1, block)?,
        state: params.optional(2, overrides::state)?,
        block_override: params.optional(3, overrides::block)?,
    })
}

pub(super) async fn call(port: &dyn EvmPort, params: &Params) -> Answer {
    let request = params.required(0, |value| call_object(value, port.chain_id()))?;
    Ok(json!(port.call(on(params)?, request).await?))
}

pub(super) async fn estimate_gas(port: &dyn EvmPort, params: &Params) -> Answer {
    let request = params.required(0, |value| call_object(value, port.chain_id()))?;
    Ok(render::quantity(port.estimate_gas(on(params)?, request).await?))
}

pub(super) async fn access_list(port: &dyn EvmPort, params: &Params) -> Answer {
    let request = params.required(0, |value| call_object(value, port.chain_id()))?;
    let touched = port.access_list(on(params)?, request).await?;
    let mut answer = json!({
        "accessList": render::access_list(&touched.list),
        "gasUsed": render::quantity(touched.gas_used),
    });
    if let Some(error) = touched.error {
        answer["error"] = json!(error);
    }
    Ok(answer)
}

/// `eth_simulateV1`.
pub(super) async fn blocks(context: &Context, params: &Params) -> Answer {
    let port = context.environment.port.as_ref();
    let (request, full) = params.required(0, |value| payload(value, port.chain_id()))?;
    let at = params.optional(1, block)?;
    let done = port.simulate(at, request).await?;
    Ok(done.into_iter().map(|block| shown(block, full)).collect())
}

fn payload(value: &Value, chain_id: u64) -> Result<(SimulateRequest, bool), String> {
    let asked = overrides::object(value)?;
    let blocks = field(asked, "blockStateCalls", |value| {
        let blocks = list(value)?;
        if blocks.is_empty() {
            return Err("empty input".to_owned());
        }
        if blocks.len() > BLOCKS_MAX {
            return Err(format!("too many blocks: {}, at most {BLOCKS_MAX}", blocks.len()));
        }
        let one = |(index, value)| {
            one_block(value, chain_id).map_err(|refused| format!("[{index}].{refused}"))
        };
        blocks.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()
    })?;
    let flag = |name| field(asked, name, boolean).map(Option::unwrap_or_default);
    let request = SimulateRequest {
        blocks: blocks.ok_or("blockStateCalls is missing")?,
        transfers: flag("traceTransfers")?,
        validate: flag("validation")?,
    };
    Ok((request, flag("returnFullTransactions")?))
}

fn one_block(value: &Value, chain_id: u64) -> Result<SimulateBlock, String> {
    let asked = overrides::object(value)?;
    let calls = field(asked, "calls", |value| {
        let calls = list(value)?;
        if calls.len() > CALLS_MAX {
            return Err(format!("too many calls: {}, at most {CALLS_MAX}", calls.len()));
        }
        calls.iter().map(|call| call_object(call, chain_id)).collect()
    })?;
    Ok(SimulateBlock {
        block: field(asked, "blockOverrides", overrides::block)?.unwrap_or_default(),
        state: field(asked, "stateOverrides", overrides::state)?.unwrap_or_default(),
        calls: calls.unwrap_or_default(),
    })
}

fn shown(done: SimulatedBlock, full: bool) -> Value {
    let SimulatedBlock { mut block, calls } = done;
    if let (false, BlockTransactions::Full(list)) = (full, &block.transactions) {
        let hashes = list.iter().map(|transaction| transaction.hash).collect();
        block.transactions = BlockTransactions::Hashes(hashes);
    }
    let mut value = render::block(&block);
    value["calls"] = calls.iter().map(one_call).collect();
    value
}

fn one_call(call: &SimulatedCall) -> Value {
    let mut value = json!({
        "returnData": call.output,
        "logs": call.logs.iter().map(render::log).collect::<Value>(),
        "gasUsed": render::quantity(call.gas_used),
        "status": if call.failure.is_none() { "0x1" } else { "0x0" },
    });
    match &call.failure {
        None => {}
        Some(SimulatedFailure::Reverted) => {
            value["error"] = RpcError::reverted(&call.output).to_json();
        }
        Some(SimulatedFailure::Halted(why)) => {
            value["error"] = RpcError::new(VM_ERROR, why.clone()).to_json();
        }
    }
    value
}

/// A simulated call halted.
const VM_ERROR: i64 = -32015;

/// The codes of the execution API specification for simulations.
impl From<SimulateError> for RpcError {
    fn from(error: SimulateError) -> Self {
        let (code, sentence) = match error {
            SimulateError::Number(sentence) => (-38020, sentence),
            SimulateError::Timestamp(sentence) => (-38021, sentence),
            SimulateError::BlockGas(sentence) => (-38015, sentence),
            SimulateError::BaseFee(sentence) => (-38012, sentence),
            SimulateError::TooMuch(sentence) => (-38026, sentence),
            SimulateError::Query(error) => return error.into(),
            SimulateError::Rejected(reject) => {
                let code = match reject.code {
                    RejectCode::NonceTooLow => -38010,
                    RejectCode::NonceTooHigh => -38011,
                    RejectCode::FeeTooLow => -38012,
                    RejectCode::GasLimit => -38013,
                    RejectCode::InsufficientBalance => -38014,
                    RejectCode::NotAllowed => -38024,
                    RejectCode::Oversized => -38025,
                    _ => return reject.into(),
                };
                return Self { code, ..reject.into() };
            }
        };
        Self::new(code, sentence)
    }
}
