//! What the payload of an EVM receipt says.

use super::bridge::DELIVERY_KIND;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes, put_varint, put_varint128};
use atoll_types::{Address, B256, Decode, Encode, Reader};
use revm::primitives::Bytes;

/// Most bytes of output that a receipt keeps: enough for any revert reason that is read.
pub const OUTPUT_BYTES_MAX: u32 = 1024;
/// Most logs of one transaction; a log costs at least 375 gas.
pub const LOGS_MAX: u32 = 1 << 19;
/// Most bytes of data in one log; a byte costs 8 gas.
pub const LOG_DATA_BYTES_MAX: u32 = 1 << 24;

/// How an executed transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It ran out of gas, met an invalid opcode, …: all its gas is used.
    Halted = 0,
    /// It ran to its end.
    Success = 1,
    /// It reverted; the output says why.
    Reverted = 2,
}

/// A log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvmLog {
    /// The contract that emitted it.
    pub address: Address,
    /// Up to four topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
}

/// Outcome of a transaction that was executed: the payload of its receipt. A transaction that was
/// refused has a code and no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmReceipt {
    /// How it ended.
    pub status: Status,
    /// EIP-2718 type: 0, 1, 2 or 4; [`DELIVERY_KIND`] for money that came in.
    pub kind: u8,
    /// Ethereum hash of the transaction (Keccak-256 of the signed bytes), or of the delivery.
    pub transaction_hash: B256,
    /// Index in the block.
    pub transaction_index: u32,
    /// Sender.
    pub from: Address,
    /// Callee; none where a contract was to be created.
    pub to: Option<Address>,
    /// The contract it created.
    pub contract_address: Option<Address>,
    /// Gas it used.
    pub gas_used: u64,
    /// Gas used in the block up to and with it.
    pub cumulative_gas_used: u64,
    /// Wei paid per gas.
    pub effective_gas_price: u128,
    /// Index in the block of its first log.
    pub first_log_index: u32,
    /// Its logs.
    pub logs: Vec<EvmLog>,
    /// What it returned or why it reverted: the first [`OUTPUT_BYTES_MAX`] bytes. Empty for a
    /// created contract, whose code is in the state.
    pub output: Bytes,
}

fn put_option(out: &mut Vec<u8>, address: &Option<Address>) {
    out.push(u8::from(address.is_some()));
    if let Some(address) = address {
        out.extend_from_slice(address.as_slice());
    }
}

fn option(r: &mut Reader<'_>) -> Result<Option<Address>, CodecError> {
    Ok(if r.bool()? { Some(r.address()?) } else { None })
}

impl Encode for EvmLog {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.address.as_slice());
        put_varint(out, self.topics.len() as u64);
        for topic in &self.topics {
            out.extend_from_slice(topic.as_slice());
        }
        put_bytes(out, &self.data);
    }
}

impl Decode for EvmLog {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let address = r.address()?;
        let topics = (0..r.length("topics", 4)?).map(|_| r.b256()).collect::<Result<_, _>>()?;
        let data = Bytes::copy_from_slice(r.bytes("log data", LOG_DATA_BYTES_MAX)?);
        Ok(Self { address, topics, data })
    }
}

impl Encode for EvmReceipt {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.status as u8);
        out.push(self.kind);
        out.extend_from_slice(self.transaction_hash.as_slice());
        put_varint(out, u64::from(self.transaction_index));
        out.extend_from_slice(self.from.as_slice());
        put_option(out, &self.to);
        put_option(out, &self.contract_address);
        put_varint(out, self.gas_used);
        put_varint(out, self.cumulative_gas_used);
        put_varint128(out, self.effective_gas_price);
        put_varint(out, u64::from(self.first_log_index));
        put_varint(out, self.logs.len() as u64);
        for log in &self.logs {
            log.encode(out);
        }
        put_bytes(out, &self.output);
    }
}

impl Decode for EvmReceipt {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let status = match r.u8()? {
            0 => Status::Halted,
            1 => Status::Success,
            2 => Status::Reverted,
            _ => return Err(CodecError::Invalid("status")),
        };
        let kind = r.u8()?;
        if !matches!(kind, 0 | 1 | 2 | 4 | DELIVERY_KIND) {
            return Err(CodecError::Invalid("transaction type"));
        }
        Ok(Self {
            status,
            kind,
            transaction_hash: r.b256()?,
            transaction_index: r.length("transaction index", u32::MAX)?,
            from: r.address()?,
            to: option(r)?,
            contract_address: option(r)?,
            gas_used: r.varint()?,
            cumulative_gas_used: r.varint()?,
            effective_gas_price: r.varint128()?,
            first_log_index: r.length("log index", u32::MAX)?,
            logs: (0..r.length("logs", LOGS_MAX)?)
                .map(|_| EvmLog::decode(r))
                .collect::<Result<_, _>>()?,
            output: Bytes::copy_from_slice(r.bytes("output", OUTPUT_BYTES_MAX)?),
        })
    }
}
