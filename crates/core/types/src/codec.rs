//! The canonical binary codec.
//!
//! Fixed-width integers are little-endian; lengths and small counters are LEB128 varints in their
//! shortest form; a decoder never allocates more than its input is long.

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, U256};

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The input ended inside a value.
    #[error("input ended {missing} byte(s) early")]
    Truncated {
        /// How many bytes were missing.
        missing: u32,
    },
    /// Bytes were left over after the value.
    #[error("{0} byte(s) left over after the value")]
    Trailing(u32),
    /// A length or a number is above its bound.
    #[error("{what} is above its bound of {bound}")]
    Bound {
        /// What was too large.
        what: &'static str,
        /// The largest value allowed.
        bound: u64,
    },
    /// The value has another, shorter or canonical encoding, or is not a value at all.
    #[error("{0} is not canonical")]
    Invalid(&'static str),
}

/// A value with a canonical encoding.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The encoding alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// A value that can be read back from its canonical encoding.
pub trait Decode: Sized {
    /// Reads one value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError>;

    /// Reads one value that fills all of `bytes`.
    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// A cursor over bytes that came from anywhere.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fails unless everything was read.
    pub fn finish(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Trailing(self.rest.len() as u32))
        }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        if n > self.rest.len() {
            return Err(CodecError::Truncated { missing: (n - self.rest.len()) as u32 });
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    /// A boolean: 0 or 1, nothing else.
    pub fn bool(&mut self) -> Result<bool, CodecError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CodecError::Invalid("boolean")),
        }
    }

    /// A 16-bit integer.
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A 32-bit integer.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A 64-bit integer.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A varint in its shortest form.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let wide = self.varint128()?;
        u64::try_from(wide).map_err(|_| CodecError::Bound { what: "varint", bound: u64::MAX })
    }

    /// A varint of up to 128 bits in its shortest form.
    pub fn varint128(&mut self) -> Result<u128, CodecError> {
        let mut value = 0u128;
        for index in 0..19u32 {
            let byte = self.u8()?;
            let part = u128::from(byte & 0x7f);
            if index == 18 && part > 0b11 {
                return Err(CodecError::Bound { what: "varint", bound: u64::MAX });
            }
            value |= part << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(CodecError::Invalid("varint"));
                }
                return Ok(value);
            }
        }
        Err(CodecError::Invalid("varint"))
    }

    /// A zigzag-coded signed integer of up to 128 bits.
    pub fn signed(&mut self) -> Result<i128, CodecError> {
        let raw = self.varint128()?;
        Ok(((raw >> 1) as i128) ^ -((raw & 1) as i128))
    }

    /// A length-prefixed byte string of at most `bound` bytes.
    pub fn bytes(&mut self, what: &'static str, bound: u32) -> Result<&'a [u8], CodecError> {
        let length = self.length(what, bound)?;
        self.take(length as usize)
    }

    /// A count of at most `bound`.
    pub fn length(&mut self, what: &'static str, bound: u32) -> Result<u32, CodecError> {
        match u32::try_from(self.varint()?) {
            Ok(length) if length <= bound => Ok(length),
            _ => Err(CodecError::Bound { what, bound: u64::from(bound) }),
        }
    }

    /// A 32-byte hash.
    pub fn b256(&mut self) -> Result<B256, CodecError> {
        Ok(B256::from(self.array::<32>()?))
    }

    /// A 20-byte address.
    pub fn address(&mut self) -> Result<Address, CodecError> {
        Ok(Address::from(self.array::<20>()?))
    }

    /// A 256-bit integer, 32 bytes big-endian.
    pub fn u256(&mut self) -> Result<U256, CodecError> {
        Ok(U256::from_be_bytes(self.array::<32>()?))
    }
}

/// Writes `value` as a varint in its shortest form.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    put_varint128(out, u128::from(value));
}

/// Writes `value` as a varint in its shortest form.
pub fn put_varint128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a signed integer zigzag-coded.
pub fn put_signed(out: &mut Vec<u8>, value: i128) {
    put_varint128(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Writes a length-prefixed byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_only_in_their_shortest_form() {
        for value in [0, 1, 127, 128, 300, u64::MAX as u128, u128::MAX] {
            let mut out = Vec::new();
            put_varint128(&mut out, value);
            assert_eq!(Reader::new(&out).varint128(), Ok(value));
        }
        assert_eq!(Reader::new(&[0x80, 0]).varint(), Err(CodecError::Invalid("varint")));
        assert!(Reader::new(&[0xff; 19]).varint128().is_err());
        assert_eq!(Reader::new(&[0x80]).varint(), Err(CodecError::Truncated { missing: 1 }));
    }

    #[test]
    fn signed_integers_round_trip() {
        for value in [0, 1, -1, i128::MAX, i128::MIN, -300] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            assert_eq!(Reader::new(&out).signed(), Ok(value));
        }
    }
}
