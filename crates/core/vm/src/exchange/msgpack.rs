//! MessagePack, as much of it as Hyperliquid's actions use: a bounded reader that allocates
//! nothing, and a writer that packs as the venue's SDKs do (every value in its shortest form).
//!
//! Refused: floats, extensions, binary strings, keys that are no strings, text that is not UTF-8.

use alloc::string::String;
use alloc::vec::Vec;

/// Why bytes are not the MessagePack expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsgpackError {
    /// The input ended inside a value.
    #[error("the input ends inside a value")]
    Truncated,
    /// Another type was expected.
    #[error("expected {expected}, found type byte 0x{found:02x}")]
    Type {
        /// What was expected.
        expected: &'static str,
        /// The type byte found.
        found: u8,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Bytes are left over after the value.
    #[error("{0} byte(s) left over after the value")]
    Trailing(usize),
    /// A map has a key that does not belong there.
    #[error("key \"{0}\" is unknown or given twice")]
    Key(String),
    /// A map leaves a key out.
    #[error("key \"{0}\" is missing")]
    Missing(&'static str),
    /// A value is of the right type and still not one.
    #[error("\"{key}\" is not {expected}")]
    Value {
        /// Where.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

/// A cursor over MessagePack.
#[derive(Clone, Debug)]
pub struct MsgpackReader<'a> {
    rest: &'a [u8],
}

impl<'a> MsgpackReader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Fails unless everything was read.
    pub fn finish(&self) -> Result<(), MsgpackError> {
        if self.rest.is_empty() { Ok(()) } else { Err(MsgpackError::Trailing(self.rest.len())) }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], MsgpackError> {
        if n > self.rest.len() {
            return Err(MsgpackError::Truncated);
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, MsgpackError> {
        Ok(self.take(1)?[0])
    }

    fn big_endian(&mut self, bytes: usize) -> Result<u64, MsgpackError> {
        Ok(self.take(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The number of elements of an array; at most as many as bytes are left.
    pub fn array(&mut self) -> Result<u32, MsgpackError> {
        let count = match self.byte()? {
            byte @ 0x90..=0x9f => u64::from(byte & 0xf),
            0xdc => self.big_endian(2)?,
            0xdd => self.big_endian(4)?,
            found => return Err(MsgpackError::Type { expected: "an array", found }),
        };
        self.fits(count)
    }

    /// The number of entries of a map; at most as many as bytes are left.
    pub fn map(&mut self) -> Result<u32, MsgpackError> {
        let count = match self.byte()? {
            byte @ 0x80..=0x8f => u64::from(byte & 0xf),
            0xde => self.big_endian(2)?,
            0xdf => self.big_endian(4)?,
            found => return Err(MsgpackError::Type { expected: "a map", found }),
        };
        self.fits(count)
    }

    fn fits(&self, count: u64) -> Result<u32, MsgpackError> {
        if count > self.rest.len() as u64 {
            return Err(MsgpackError::Truncated);
        }
        Ok(count as u32)
    }

    /// A string.
    pub fn string(&mut self) -> Result<&'a str, MsgpackError> {
        let length = match self.byte()? {
            byte @ 0xa0..=0xbf => u64::from(byte & 0x1f),
            0xd9 => self.big_endian(1)?,
            0xda => self.big_endian(2)?,
            0xdb => self.big_endian(4)?,
            found => return Err(MsgpackError::Type { expected: "a string", found }),
        };
        let length = self.fits(length)?;
        core::str::from_utf8(self.take(length as usize)?).map_err(|_| MsgpackError::Utf8)
    }

    /// An integer that is not negative.
    pub fn unsigned(&mut self) -> Result<u64, MsgpackError> {
        let found = self.byte()?;
        let error = MsgpackError::Type { expected: "an integer that is not negative", found };
        let signed =
            |value: u64, bits: u32| if value >> (bits - 1) == 0 { Some(value) } else { None };
        match found {
            0..=0x7f => Ok(u64::from(found)),
            0xcc => self.big_endian(1),
            0xcd => self.big_endian(2),
            0xce => self.big_endian(4),
            0xcf => self.big_endian(8),
            0xd0 => signed(self.big_endian(1)?, 8).ok_or(error),
            0xd1 => signed(self.big_endian(2)?, 16).ok_or(error),
            0xd2 => signed(self.big_endian(4)?, 32).ok_or(error),
            0xd3 => signed(self.big_endian(8)?, 64).ok_or(error),
            _ => Err(error),
        }
    }

    /// An integer.
    pub fn signed(&mut self) -> Result<i64, MsgpackError> {
        let found = self.rest.first().copied().unwrap_or_default();
        let error = MsgpackError::Type { expected: "an integer", found };
        let bits = match found {
            0xe0..=0xff => {
                self.byte()?;
                return Ok(i64::from(found as i8));
            }
            0xd0 => 8,
            0xd1 => 16,
            0xd2 => 32,
            0xd3 => 64,
            _ => return i64::try_from(self.unsigned()?).map_err(|_| error),
        };
        self.byte()?;
        let value = self.big_endian(bits / 8)?;
        // The sign is that of the number as long as it was written.
        Ok((value << (64 - bits)) as i64 >> (64 - bits))
    }

    /// A boolean.
    pub fn bool(&mut self) -> Result<bool, MsgpackError> {
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            found => Err(MsgpackError::Type { expected: "a boolean", found }),
        }
    }

    /// Whether nil comes next; if so it is read.
    pub fn nil(&mut self) -> bool {
        let nil = self.rest.first() == Some(&0xc0);
        if nil {
            self.rest = &self.rest[1..];
        }
        nil
    }

    /// Whether a string comes next.
    pub fn at_string(&self) -> bool {
        matches!(self.rest.first(), Some(0xa0..=0xbf | 0xd9..=0xdb))
    }

    /// Passes over one value and gives its bytes. Takes a time linear in the value's length and
    /// no stack, however deep the value is.
    pub fn skip(&mut self) -> Result<&'a [u8], MsgpackError> {
        let start = self.rest;
        // Each value adds at most twice as many as bytes are left: far from overflow.
        let mut open = 1u64;
        while open > 0 {
            open -= 1;
            let Some(found) = self.rest.first().copied() else {
                return Err(MsgpackError::Truncated);
            };
            match found {
                0x80..=0x8f | 0xde | 0xdf => open += 2 * u64::from(self.map()?),
                0x90..=0x9f | 0xdc | 0xdd => open += u64::from(self.array()?),
                0xa0..=0xbf | 0xd9..=0xdb => drop(self.string()?),
                0xc0 | 0xc2 | 0xc3 | 0..=0x7f | 0xe0..=0xff => drop(self.take(1)?),
                0xcc | 0xd0 => drop(self.take(2)?),
                0xcd | 0xd1 => drop(self.take(3)?),
                0xce | 0xd2 => drop(self.take(5)?),
                0xcf | 0xd3 => drop(self.take(9)?),
                _ => {
                    let expected = "nil, a boolean, an integer, a string, an array or a map";
                    return Err(MsgpackError::Type { expected, found });
                }
            }
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Reads a map: `entry` is given each key and must read its value; `false` refuses the key.
    pub fn entries(
        &mut self,
        mut entry: impl FnMut(&'a str, &mut Self) -> Result<bool, MsgpackError>,
    ) -> Result<(), MsgpackError> {
        for _ in 0..self.map()? {
            let key = self.string()?;
            if !entry(key, self)? {
                return Err(MsgpackError::Key(key.chars().take(32).collect()));
            }
        }
        Ok(())
    }
}

/// Writes MessagePack, every value in its shortest form.
#[derive(Clone, Debug, Default)]
pub struct MsgpackWriter {
    bytes: Vec<u8>,
}

impl MsgpackWriter {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How much was written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn sized(&mut self, small: (u8, usize), wide: [Option<u8>; 3], length: usize) -> &mut Self {
        if length < small.1 {
            self.bytes.push(small.0 | length as u8);
        } else if let (Some(tag), true) = (wide[0], length < 1 << 8) {
            self.bytes.extend_from_slice(&[tag, length as u8]);
        } else if let (Some(tag), true) = (wide[1], length < 1 << 16) {
            self.bytes.push(tag);
            self.bytes.extend_from_slice(&(length as u16).to_be_bytes());
        } else if let Some(tag) = wide[2] {
            self.bytes.push(tag);
            self.bytes.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self
    }

    /// Begins a map of so many entries; keys and values follow in turn.
    pub fn map(&mut self, entries: usize) -> &mut Self {
        self.sized((0x80, 16), [None, Some(0xde), Some(0xdf)], entries)
    }

    /// Begins an array of so many elements.
    pub fn array(&mut self, elements: usize) -> &mut Self {
        self.sized((0x90, 16), [None, Some(0xdc), Some(0xdd)], elements)
    }

    /// A string.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.sized((0xa0, 32), [Some(0xd9), Some(0xda), Some(0xdb)], text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// An integer that is not negative.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        match value {
            0..=0x7f => self.bytes.push(value as u8),
            0x80..=0xff => self.bytes.extend_from_slice(&[0xcc, value as u8]),
            0x100..=0xffff => {
                self.bytes.push(0xcd);
                self.bytes.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(0xce);
                self.bytes.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(0xcf);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }

    /// An integer of either sign.
    pub fn signed(&mut self, value: i64) -> &mut Self {
        match value {
            0.. => return self.unsigned(value as u64),
            -32..0 => self.bytes.push(value as u8),
            -0x80..-32 => self.bytes.extend_from_slice(&[0xd0, value as u8]),
            -0x8000..-0x80 => {
                self.bytes.push(0xd1);
                self.bytes.extend_from_slice(&(value as i16).to_be_bytes());
            }
            -0x8000_0000..-0x8000 => {
                self.bytes.push(0xd2);
                self.bytes.extend_from_slice(&(value as i32).to_be_bytes());
            }
            _ => {
                self.bytes.push(0xd3);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(0xc2 | u8::from(value));
        self
    }

    /// Nil.
    pub fn nil(&mut self) -> &mut Self {
        self.bytes.push(0xc0);
        self
    }
}
