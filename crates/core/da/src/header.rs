//! What a span commits to: the roots of all rows and columns of its squares.
//!
//! The data root of a square is Celestia's: the RFC 6962 Merkle root over its row roots, then its
//! column roots, 90 bytes each. The data root of a span of one square is the square's; that of a
//! span of several is the RFC 6962 Merkle root over theirs (32-byte leaves, so neither passes for
//! the other).

use crate::axis::{Axis, Position};
use crate::error::DaError;
use crate::nmt::{NODE_BYTES, Node};
use atoll_types::{B256, CodecError, Decode, Encode, Reader, merkle_root};

/// Width of the widest original square, in shares: the code has 256 points.
pub const WIDTH_MAX: u16 = 128;
/// Most squares in a span: 128 MiB of shares.
pub const SQUARES_MAX: u16 = 16;
/// Version of the header's encoding.
pub const HEADER_VERSION: u8 = 1;

/// The roots of one square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SquareHeader {
    rows: Vec<Node>,
    columns: Vec<Node>,
}

impl SquareHeader {
    /// The header with these roots: as many of rows as of columns, twice a width that a square
    /// may have.
    pub fn new(rows: Vec<Node>, columns: Vec<Node>) -> Result<Self, DaError> {
        let extended = rows.len();
        if extended != columns.len() {
            return Err(DaError::BadHeader("rows and columns differ in number"));
        }
        let most = 2 * usize::from(WIDTH_MAX);
        if !extended.is_power_of_two() || !(2..=most).contains(&extended) {
            return Err(DaError::BadHeader("no square has this width"));
        }
        Ok(Self { rows, columns })
    }

    /// Width of the original square, in shares.
    pub fn width(&self) -> u16 {
        (self.rows.len() / 2) as u16
    }

    /// Width of the extended square, in shares.
    pub fn extended_width(&self) -> u16 {
        self.rows.len() as u16
    }

    /// Levels of its trees.
    pub fn depth(&self) -> u32 {
        self.rows.len().trailing_zeros()
    }

    /// All roots of an axis.
    pub fn roots(&self, axis: Axis) -> &[Node] {
        match axis {
            Axis::Row => &self.rows,
            Axis::Column => &self.columns,
        }
    }

    /// The root of a row or column; none outside of the square.
    pub fn root(&self, axis: Axis, index: u16) -> Option<&Node> {
        self.roots(axis).get(usize::from(index))
    }

    /// The square's data root.
    pub fn data_root(&self) -> B256 {
        let leaves: Vec<[u8; NODE_BYTES]> =
            self.rows.iter().chain(&self.columns).map(Node::bytes).collect();
        merkle_root(leaves.iter().map(|leaf| leaf.as_slice()))
    }
}

impl Encode for SquareHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.depth() as u8);
        self.rows.iter().chain(&self.columns).for_each(|root| root.encode(out));
    }
}

impl Decode for SquareHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let depth = r.u8()?;
        if !(1..=8).contains(&depth) {
            return Err(CodecError::Bound { what: "depth of a square", bound: 8 });
        }
        let mut roots = |count: usize| -> Result<Vec<Node>, CodecError> {
            (0..count).map(|_| Node::decode(r)).collect()
        };
        Ok(Self { rows: roots(1 << depth)?, columns: roots(1 << depth)? })
    }
}

/// The roots of a span: of one square, or of several if its data fit into no one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaHeader {
    squares: Vec<SquareHeader>,
}

impl DaHeader {
    /// The header of these squares, at least one.
    pub fn new(squares: Vec<SquareHeader>) -> Result<Self, DaError> {
        if squares.is_empty() || squares.len() > usize::from(SQUARES_MAX) {
            return Err(DaError::BadHeader("a span has 1 to 16 squares"));
        }
        Ok(Self { squares })
    }

    /// The squares in order.
    pub fn squares(&self) -> &[SquareHeader] {
        &self.squares
    }

    /// A square; none beyond the last.
    pub fn square(&self, index: u16) -> Option<&SquareHeader> {
        self.squares.get(usize::from(index))
    }

    /// The square of a position inside of the span.
    pub(crate) fn square_at(&self, position: Position) -> Result<&SquareHeader, DaError> {
        let Position { square, row, column } = position;
        self.square(square)
            .filter(|header| row.max(column) < header.extended_width())
            .ok_or(DaError::OutOfRange { square, row, column })
    }

    /// What the commitment names.
    pub fn data_root(&self) -> B256 {
        if let [square] = &self.squares[..] {
            return square.data_root();
        }
        let roots: Vec<B256> = self.squares.iter().map(SquareHeader::data_root).collect();
        merkle_root(roots.iter().map(|root| root.as_slice()))
    }
}

impl Encode for DaHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(HEADER_VERSION);
        out.push(self.squares.len() as u8);
        self.squares.iter().for_each(|square| square.encode(out));
    }
}

impl Decode for DaHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.u8()? != HEADER_VERSION {
            return Err(CodecError::Invalid("version of the availability header"));
        }
        let count = r.u8()?;
        if count == 0 || u16::from(count) > SQUARES_MAX {
            let bound = u64::from(SQUARES_MAX);
            return Err(CodecError::Bound { what: "squares of a span", bound });
        }
        let squares = (0..count).map(|_| SquareHeader::decode(r)).collect::<Result<_, _>>()?;
        Ok(Self { squares })
    }
}
