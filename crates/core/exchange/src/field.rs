//! Encoding of the fields that the crate's records are made of.
//!
//! The bytes are those of [`atoll_types::codec`]: varints in their shortest form, zigzag for
//! signed numbers.

mod run;

use alloc::string::String;
use alloc::vec::Vec;
use atoll_types::Address;
use atoll_types::codec::{CodecError, Reader, put_bytes};
pub(crate) use run::{Run, Short, append};

/// A value inside a record.
pub(crate) trait Field: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads the value.
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError>;
}

/// Implements [`Short`] and [`Field`] for numbers: the longest encoding, how they are written and read.
macro_rules! number {
    ($type:ident: $bytes:literal, |$run:ident, $value:ident| $write:expr, |$r:ident| $get:expr) => {
        impl Short for $type {
            const BYTES_MAX: usize = $bytes;
            #[inline(always)]
            fn write(&self, $run: &mut Run<'_>) {
                let $value = *self;
                $write
            }
        }
        impl Field for $type {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                append::<$bytes>(out, |run| self.write(run));
            }
            fn get($r: &mut Reader<'_>) -> Result<Self, CodecError> {
                $get
            }
        }
    };
}

number!(u64: 10, |run, n| run.number(n), |r| r.varint());
number!(u32: 5, |run, n| run.number(n.into()), |r| r.length("32-bit number", u32::MAX));
// Markets and assets: few.
number!(u16: 3, |run, n| run.small(n.into()), |r| {
    Ok(r.length("16-bit number", u32::from(u16::MAX))? as u16)
});
number!(u128: 19, |run, n| run.wide(n), |r| r.varint128());
number!(i128: 19, |run, n| run.signed(n), |r| r.signed());
number!(i64: 10, |run, n| run.signed(n.into()), |r| {
    let bound = CodecError::Bound { what: "signed 64-bit number", bound: i64::MAX as u64 };
    i64::try_from(r.signed()?).map_err(|_| bound)
});
number!(i32: 5, |run, n| run.signed(n.into()), |r| {
    let bound = CodecError::Bound { what: "signed 32-bit number", bound: i32::MAX as u64 };
    i32::try_from(r.signed()?).map_err(|_| bound)
});

impl Field for u8 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.u8()
    }
}

impl Short for u8 {
    const BYTES_MAX: usize = 1;
    #[inline(always)]
    fn write(&self, run: &mut Run<'_>) {
        run.byte(*self);
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

/// The same as [`record!`], for one whose fields are all [`Short`]. `as small` is for a number that nearly
/// always is below 128 ([`Run::small`]).
macro_rules! short {
    ($name:ident { $($field:ident: $type:ty $(as $how:ident)?),* $(,)? }) => {
        impl $crate::field::Short for $name {
            const BYTES_MAX: usize = 0 $(+ <$type as $crate::field::Short>::BYTES_MAX)*;
            #[inline(always)]
            fn write(&self, run: &mut $crate::field::Run<'_>) {
                $($crate::field::short!(@write self.$field, run $(, $how)?);)*
            }
        }
        impl $crate::field::Field for $name {
            #[inline]
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                $crate::field::append::<{ <$name as $crate::field::Short>::BYTES_MAX }>(
                    out,
                    |run| $crate::field::Short::write(self, run),
                );
            }
            fn get(
                r: &mut atoll_types::Reader<'_>,
            ) -> Result<Self, atoll_types::CodecError> {
                Ok(Self { $($field: $crate::field::Field::get(r)?),* })
            }
        }
        $crate::field::codec!($name);
    };
    (@write $value:expr, $run:ident) => {
        $crate::field::Short::write(&$value, $run)
    };
    (@write $value:expr, $run:ident, $how:ident) => {
        $run.$how($value.into())
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

pub(crate) use {codec, enumeration, record, short};
