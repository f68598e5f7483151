//! RLP of a transaction: a cursor over the items of a list, strict and with a code for each way
//! in which bytes are not what they should be.

use super::transaction::SignedAuthorization;
use alloc::vec::Vec;
use alloy_rlp::Header;
use atoll_types::{Address, B256, Reject, RejectCode, U256, keccak256};

pub(super) fn refuse<T>(
    code: RejectCode,
    message: impl Into<alloc::string::String>,
) -> Result<T, Reject> {
    Err(Reject::new(code, message))
}

pub(super) fn malformed<T>(what: &str) -> Result<T, Reject> {
    let message =
        alloc::format!("{what} is not canonical RLP of a transaction; send the signed bytes as is");
    refuse(RejectCode::Malformed, message)
}

/// A cursor over the items of an RLP list.
pub(super) struct Items<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, rest: all }
    }

    /// What was read so far.
    pub(super) fn before(&self) -> &'a [u8] {
        &self.all[..self.all.len() - self.rest.len()]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn bytes(&mut self, what: &str) -> Result<&'a [u8], Reject> {
        Header::decode_bytes(&mut self.rest, false).or_else(|_| malformed(what))
    }

    pub(super) fn list(&mut self, what: &str) -> Result<Self, Reject> {
        let inner = Header::decode_bytes(&mut self.rest, true).or_else(|_| malformed(what))?;
        Ok(Self::new(inner))
    }

    pub(super) fn u256(&mut self, what: &str) -> Result<U256, Reject> {
        let bytes = self.bytes(what)?;
        if bytes.len() > 32 || bytes.first() == Some(&0) {
            return malformed(what);
        }
        Ok(U256::from_be_slice(bytes))
    }

    /// A number that must fit its type; otherwise the code says what is wrong with it.
    pub(super) fn number<T: TryFrom<U256>>(
        &mut self,
        what: &str,
        code: RejectCode,
    ) -> Result<T, Reject> {
        let wide = self.u256(what)?;
        T::try_from(wide)
            .or_else(|_| refuse(code, alloc::format!("the {what} {wide} is out of range")))
    }

    pub(super) fn address(&mut self, what: &str) -> Result<Address, Reject> {
        let bytes = self.bytes(what)?;
        Address::try_from(bytes).or_else(|_| malformed(what))
    }

    pub(super) fn callee(&mut self) -> Result<Option<Address>, Reject> {
        let bytes = self.bytes("to")?;
        match bytes.len() {
            0 => Ok(None),
            _ => Address::try_from(bytes).map(Some).or_else(|_| malformed("to")),
        }
    }

    pub(super) fn access_list(&mut self) -> Result<Vec<(Address, Vec<B256>)>, Reject> {
        let mut items = self.list("access list")?;
        let mut list = Vec::new();
        while !items.is_empty() {
            let mut item = items.list("access list entry")?;
            let address = item.address("access list address")?;
            let mut keys = item.list("access list keys")?;
            let mut storage_keys = Vec::new();
            while !keys.is_empty() {
                let key = keys.bytes("access list key")?;
                storage_keys.push(B256::try_from(key).or_else(|_| malformed("access list key"))?);
            }
            item.finish("access list entry")?;
            list.push((address, storage_keys));
        }
        Ok(list)
    }

    pub(super) fn authorizations(&mut self) -> Result<Vec<SignedAuthorization>, Reject> {
        let mut items = self.list("authorization list")?;
        let mut list = Vec::new();
        while !items.is_empty() {
            let mut item = items.list("authorization")?;
            list.push(SignedAuthorization {
                chain_id: item.u256("authorization chain id")?,
                address: item.address("authorization address")?,
                nonce: item.number("authorization nonce", RejectCode::Malformed)?,
                y_parity: item.number("authorization parity", RejectCode::Malformed)?,
                r: item.u256("authorization r")?,
                s: item.u256("authorization s")?,
            });
            item.finish("authorization")?;
        }
        Ok(list)
    }

    pub(super) fn finish(&self, what: &str) -> Result<(), Reject> {
        if self.is_empty() { Ok(()) } else { malformed(what) }
    }
}

/// Keccak-256 of `prefix` and an RLP list of the items encoded in `parts`.
pub(super) fn list_hash(prefix: &[u8], parts: &[&[u8]]) -> B256 {
    let payload_length = parts.iter().map(|part| part.len()).sum();
    let mut bytes = prefix.to_vec();
    Header { list: true, payload_length }.encode(&mut bytes);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    keccak256(&bytes)
}
