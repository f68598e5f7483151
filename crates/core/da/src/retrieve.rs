//! Retrieval by namespace, with proof that nothing of it was left out.
//!
//! Namespaces are sorted along a row and every node states the range below it. A row whose root
//! covers the namespace comes with its shares and the nodes around them, all of which lie outside
//! of the namespace; or, if it has none, with the first leaf beyond it. Rows whose root does not
//! cover it hold none of it. Only the upper half of the rows holds data.

use crate::axis::Axis;
use crate::error::DaError;
use crate::header::{DaHeader, SQUARES_MAX, SquareHeader, WIDTH_MAX};
use crate::namespace::Namespace;
use crate::nmt::{self, DEPTH_MAX, Node};
use crate::share::{Share, read_sequence};
use crate::span::EncodedSpan;
use crate::square::Square;
use atoll_types::codec::put_varint;
use atoll_types::{CodecError, Decode, Encode, Reader};

/// What one row holds of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRow {
    /// The row.
    pub row: u16,
    /// Column of the first share, or of `absent`.
    pub start: u16,
    /// All shares of the namespace in the row.
    pub shares: Vec<Share>,
    /// If there are none: the first leaf whose namespace is greater.
    pub absent: Option<Node>,
    /// The nodes left and right of the above, left to right.
    pub nodes: Vec<Node>,
}

/// All that a span holds of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceProof {
    /// For each square, the rows whose root covers the namespace, ascending.
    pub squares: Vec<Vec<NamespaceRow>>,
}

impl EncodedSpan {
    /// All that the span holds of `namespace`, with proof.
    pub fn namespace_proof(&self, namespace: Namespace) -> NamespaceProof {
        let rows_of = |square: &Square| {
            let rows = covering(square.header(), namespace);
            rows.filter_map(|row| NamespaceRow::of(square, row, namespace)).collect()
        };
        NamespaceProof { squares: self.squares().iter().map(rows_of).collect() }
    }
}

/// The rows that may hold shares of `namespace`.
fn covering(header: &SquareHeader, namespace: Namespace) -> impl Iterator<Item = u16> {
    let roots = header.roots(Axis::Row).iter().take(usize::from(header.width()));
    (0u16..).zip(roots).filter(move |(_, root)| root.covers(namespace)).map(|(row, _)| row)
}

impl NamespaceRow {
    fn of(square: &Square, row: u16, namespace: Namespace) -> Option<Self> {
        let tree = square.tree(Axis::Row, row)?;
        let column_where = |beyond: &dyn Fn(Namespace) -> bool| {
            let beyond =
                |column: &u16| tree.leaf(usize::from(*column)).is_none_or(|leaf| beyond(leaf.min));
            (0..square.extended_width()).find(beyond).unwrap_or(square.extended_width())
        };
        let start = column_where(&|min| min >= namespace);
        let end = column_where(&|min| min > namespace);
        let absent = if start == end { tree.leaf(usize::from(start)).copied() } else { None };
        let shares = (start..end).filter_map(|column| square.share(row, column).copied());
        let nodes = tree.range(start, end.max(start + 1));
        Some(Self { row, start, shares: shares.map(Share).collect(), absent, nodes })
    }

    fn verify(&self, header: &SquareHeader, namespace: Namespace) -> Result<(), DaError> {
        let Self { row, start, .. } = *self;
        let refuse = |what| Err(DaError::BadNamespaceProof { row, what });
        let Some(root) = header.root(Axis::Row, row) else {
            return refuse("it is outside of the square");
        };
        let leaves: Vec<Node> = match self.absent {
            Some(_) if !self.shares.is_empty() => {
                return refuse("it proves presence and absence at once");
            }
            Some(leaf) if leaf.min <= namespace || leaf.max < leaf.min => {
                return refuse("the leaf that is to prove absence does not");
            }
            Some(leaf) => vec![leaf],
            None if self.shares.iter().any(|share| share.namespace() != namespace) => {
                return refuse("a share of another namespace is among its shares");
            }
            None if usize::from(start) + self.shares.len() > usize::from(header.width()) => {
                return refuse("parity is among its shares");
            }
            None => self.shares.iter().map(|share| Node::leaf(namespace, &share.0)).collect(),
        };
        let depth = header.depth();
        if nmt::verify_complete(root, depth, namespace, start, &leaves, &self.nodes) {
            Ok(())
        } else {
            refuse("its shares are not all of the namespace under the row's root")
        }
    }
}

impl NamespaceProof {
    /// Checks the proof against the span's roots and gives the stream of the namespace's part (see
    /// [`crate::Part::from_stream`]), or none if the span has no such part.
    pub fn verify(
        &self,
        header: &DaHeader,
        namespace: Namespace,
    ) -> Result<Option<Vec<u8>>, DaError> {
        if self.squares.len() != header.squares().len() {
            let what = "the proof is of another number of squares";
            return Err(DaError::BadNamespaceProof { row: 0, what });
        }
        let mut stream = Vec::new();
        let mut present = false;
        for (header, rows) in header.squares().iter().zip(&self.squares) {
            let mut expected = covering(header, namespace);
            for row in rows {
                if expected.next() != Some(row.row) {
                    let what = "it is not the next row that covers the namespace";
                    return Err(DaError::BadNamespaceProof { row: row.row, what });
                }
                row.verify(header, namespace)?;
            }
            if let Some(row) = expected.next() {
                let what = "it covers the namespace and is missing";
                return Err(DaError::BadNamespaceProof { row, what });
            }
            let shares: Vec<&Share> = rows.iter().flat_map(|row| &row.shares).collect();
            read_sequence(&shares, &mut stream)?;
            present |= !shares.is_empty();
        }
        Ok(present.then_some(stream))
    }
}

impl Encode for NamespaceRow {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.row.to_le_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
        out.push(self.shares.len() as u8);
        self.shares.iter().for_each(|share| share.encode(out));
        out.push(u8::from(self.absent.is_some()));
        self.absent.iter().for_each(|leaf| leaf.encode(out));
        out.push(self.nodes.len() as u8);
        self.nodes.iter().for_each(|node| node.encode(out));
    }
}

impl Decode for NamespaceRow {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (row, start) = (r.u16()?, r.u16()?);
        // Collected one by one: nothing is allocated for what is not there.
        let mut shares = Vec::new();
        for _ in 0..bounded(r, "shares in a row", u32::from(WIDTH_MAX))? {
            shares.push(Share::decode(r)?);
        }
        let absent = if r.bool()? { Some(Node::decode(r)?) } else { None };
        let mut nodes = Vec::new();
        for _ in 0..bounded(r, "nodes in a row", 2 * DEPTH_MAX)? {
            nodes.push(Node::decode(r)?);
        }
        Ok(Self { row, start, shares, absent, nodes })
    }
}

fn bounded(r: &mut Reader<'_>, what: &'static str, bound: u32) -> Result<u32, CodecError> {
    let count = u32::from(r.u8()?);
    if count > bound {
        return Err(CodecError::Bound { what, bound: u64::from(bound) });
    }
    Ok(count)
}

impl Encode for NamespaceProof {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.squares.len() as u64);
        for rows in &self.squares {
            put_varint(out, rows.len() as u64);
            rows.iter().for_each(|row| row.encode(out));
        }
    }
}

impl Decode for NamespaceProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut squares = Vec::new();
        for _ in 0..r.length("squares of a span", u32::from(SQUARES_MAX))? {
            let mut rows = Vec::new();
            for _ in 0..r.length("rows of a square", u32::from(WIDTH_MAX))? {
                rows.push(NamespaceRow::decode(r)?);
            }
            squares.push(rows);
        }
        Ok(Self { squares })
    }
}
