//! Encoding of the fields that the crate's records are made of.
//!
//! The bytes are those of [`atoll_types::codec`]: varints in their shortest form, zigzag for
//! signed numbers. The paths for 64-bit numbers exist because sealing a range encodes hundreds of
//! them per command batch.

use alloc::string::String;
use alloc::vec::Vec;
use atoll_types::Address;
use atoll_types::codec::{CodecError, Reader, put_bytes, put_varint128};

/// A value inside a record.
pub(crate) trait Field: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads the value.
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// Appends a varint in its shortest form.
///
/// Below 2⁵⁶ without a branch, because nobody can predict the lengths: groups of 28, 14 and 7 bits
/// move apart until each has a byte of its own.
#[inline(always)]
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    if value >> 56 != 0 {
        return put_varint128(out, value.into());
    }
    let mut x = value;
    x = x & 0x0fff_ffff | (x & 0x00ff_ffff_f000_0000) << 4;
    x = x & 0x0000_3fff_0000_3fff | (x & 0x0fff_c000_0fff_c000) << 2;
    x = x & 0x007f_007f_007f_007f | (x & 0x3f80_3f80_3f80_3f80) << 1;
    // The last byte's place: bits / 7, for numbers below 64.
    let last = (63 - (value | 1).leading_zeros()).wrapping_mul(37) >> 8 & 7;
    let more = 0x0080_8080_8080_8080 & !(u64::MAX << (8 * last));
    // A copy of constant length is a move; one of the exact length is a call.
    let end = out.len() + last as usize + 1;
    out.extend_from_slice(&(x | more).to_le_bytes());
    out.truncate(end);
}

impl Field for u64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, *self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.varint()
    }
}

impl Field for u32 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, u64::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.length("32-bit number", u32::MAX)
    }
}

impl Field for u16 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, u64::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(r.length("16-bit number", u32::from(u16::MAX))? as u16)
    }
}

impl Field for u8 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.u8()
    }
}

impl Field for bool {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.bool()
    }
}

impl Field for u128 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match u64::try_from(*self) {
            Ok(small) => put_u64(out, small),
            Err(_) => put_varint128(out, *self),
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.varint128()
    }
}

impl Field for i128 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        (((*self << 1) ^ (*self >> 127)) as u128).put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.signed()
    }
}

impl Field for i64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, ((*self << 1) ^ (*self >> 63)) as u64);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bound = CodecError::Bound { what: "signed 64-bit number", bound: i64::MAX as u64 };
        i64::try_from(r.signed()?).map_err(|_| bound)
    }
}

impl Field for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        i64::from(*self).put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bound = CodecError::Bound { what: "signed 32-bit number", bound: i32::MAX as u64 };
        i32::try_from(r.signed()?).map_err(|_| bound)
    }
}

impl Field for [u8; 16] {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.array()
    }
}

impl Field for Address {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_slice());
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.address()
    }
}

/// Names and symbols.
impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bytes = r.bytes("name", 64)?;
        let text = core::str::from_utf8(bytes).map_err(|_| CodecError::Invalid("UTF-8 name"))?;
        Ok(Self::from(text))
    }
}

impl<T: Field> Field for Option<T> {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.bool()? { T::get(r).map(Some) } else { Ok(None) }
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok((A::get(r)?, B::get(r)?))
    }
}

/// Implements [`Field`], `Encode` and `Decode` for a record: its fields in the order given.
macro_rules! record {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::field::Field for $name {
            #[inline]
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::field::Field::put(&self.$field, out);)*
            }
            fn get(
                r: &mut atoll_types::Reader<'_>,
            ) -> Result<Self, atoll_types::CodecError> {
                Ok(Self { $($field: $crate::field::Field::get(r)?),* })
            }
        }
        $crate::field::codec!($name);
    };
}

/// Implements `Encode` and `Decode` by [`Field`].
macro_rules! codec {
    ($name:ident) => {
        impl atoll_types::Encode for $name {
            #[inline]
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                $crate::field::Field::put(self, out);
            }
        }
        impl atoll_types::Decode for $name {
            fn decode(r: &mut atoll_types::Reader<'_>) -> Result<Self, atoll_types::CodecError> {
                $crate::field::Field::get(r)
            }
        }
    };
}

/// Implements [`Field`], `Encode` and `Decode` for an enum without fields.
macro_rules! enumeration {
    ($name:ident: $what:literal { $($variant:ident = $value:literal),* $(,)? }) => {
        impl $crate::field::Field for $name {
            #[inline]
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                out.push(match self { $(Self::$variant => $value),* });
            }
            fn get(
                r: &mut atoll_types::Reader<'_>,
            ) -> Result<Self, atoll_types::CodecError> {
                match r.u8()? {
                    $($value => Ok(Self::$variant),)*
                    _ => Err(atoll_types::CodecError::Invalid($what)),
                }
            }
        }
        $crate::field::codec!($name);
    };
}

pub(crate) use {codec, enumeration, record};

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::codec::put_varint;

    #[test]
    fn varints_of_every_length_are_those_of_the_codec() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, (1 << shift) + 1, u64::MAX >> shift] {
                let (mut ours, mut theirs) = (Vec::from([7]), Vec::from([7]));
                put_u64(&mut ours, value);
                put_varint(&mut theirs, value);
                assert_eq!(ours, theirs, "{value:#x}");
            }
        }
    }
}
