//! What a verifier needs besides the batch: every object that a range touches, with its value
//! before, and a proof of all of them against the root before.

use alloc::vec::Vec;
use atoll_state::object::{KEY_BYTES_MAX, ReadSet, VALUE_BYTES_MAX};
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{Decode, Encode, Reader};

/// Most objects in one witness.
pub const OBJECTS_MAX: u32 = 1 << 24;
/// Longest proof, in bytes.
pub const PROOF_BYTES_MAX: u32 = 1 << 30;

/// Objects with their values before a range, and the proof of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// Every object touched: its encoded key and its value, `None` where it is absent.
    pub objects: ReadSet,
    /// The encoded multi-proof of all of them against the root before.
    pub proof: Vec<u8>,
}

impl Encode for Witness {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.objects.len() as u64);
        for (key, value) in self.objects.iter() {
            put_bytes(out, key);
            match value {
                None => out.push(0),
                Some(value) => {
                    out.push(1);
                    put_bytes(out, value);
                }
            }
        }
        put_bytes(out, &self.proof);
    }
}

impl Decode for Witness {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut objects = ReadSet::default();
        for _ in 0..r.length("witness objects", OBJECTS_MAX)? {
            let key = r.bytes("object key", KEY_BYTES_MAX)?;
            let value =
                if r.bool()? { Some(r.bytes("object value", VALUE_BYTES_MAX)?) } else { None };
            objects.push(key, value);
        }
        let proof = r.bytes("witness proof", PROOF_BYTES_MAX)?.to_vec();
        Ok(Self { objects, proof })
    }
}
