//! Rows and columns, and where a share stands.

use atoll_types::{CodecError, Decode, Encode, Reader};
use std::fmt;

/// A direction in the square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Axis {
    /// Rows: left to right.
    Row = 0,
    /// Columns: top to bottom.
    Column = 1,
}

impl Axis {
    /// The other one.
    pub fn orthogonal(self) -> Self {
        match self {
            Self::Row => Self::Column,
            Self::Column => Self::Row,
        }
    }

    /// (row, column) of the share at `position` on line `index` of this axis.
    pub fn cell(self, index: u16, position: u16) -> (u16, u16) {
        match self {
            Self::Row => (index, position),
            Self::Column => (position, index),
        }
    }

    /// (index, position) on this axis of the share at (`row`, `column`).
    pub fn line(self, row: u16, column: u16) -> (u16, u16) {
        // The map is its own inverse.
        self.cell(row, column)
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Row => "row",
            Self::Column => "column",
        })
    }
}

impl Encode for Axis {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for Axis {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Row),
            1 => Ok(Self::Column),
            _ => Err(CodecError::Invalid("axis")),
        }
    }
}

/// Where a share stands in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which square of the span, from 0.
    pub square: u16,
    /// Row of the extended square.
    pub row: u16,
    /// Column of the extended square.
    pub column: u16,
}

impl Encode for Position {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in [self.square, self.row, self.column] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

impl Decode for Position {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { square: r.u16()?, row: r.u16()?, column: r.u16()? })
    }
}
