//! Squares: original shares laid out row by row, extended to twice their width both ways, and
//! committed to by a namespaced Merkle tree over each row and column.
//!
//! ```text
//!  original │ row parity
//! ──────────┼─────────── every row and every column is a codeword
//!  column   │ both
//!  parity   │
//! ```

use crate::axis::{Axis, Position};
use crate::code;
use crate::error::DaError;
use crate::header::{SquareHeader, WIDTH_MAX};
use crate::namespace::Namespace;
use crate::nmt::{Node, Tree};
use crate::sample::Sample;
use crate::share::{SHARE_BYTES, Share, leaf_namespace};

/// Columns that are encoded together, so that the work stays in the second-level cache.
const STRIPE_COLUMNS: usize = 8;

/// An extended square with its commitments: 32 MiB and 2 MiB of hashes at full width.
#[derive(Clone, Debug)]
pub struct Square {
    shares: Vec<u8>,
    /// The hash of each share's leaf, the same in its row and its column.
    hashes: Vec<[u8; 32]>,
    header: SquareHeader,
}

impl Square {
    /// Extends and commits original shares, row by row; `threads` is how many may work on it. The
    /// result does not depend on it.
    ///
    /// Refused are shares whose number is no square of a power of two up to [`WIDTH_MAX`], and
    /// namespaces out of order.
    pub fn extend(original: &[u8], threads: usize) -> Result<Self, DaError> {
        let width = width_of(original.len()).ok_or(DaError::BadSquare(
            "the number of its shares is no square of a power of two up to 128",
        ))?;
        let (row_bytes, extended) = (width * SHARE_BYTES, 2 * width);
        let mut shares = vec![0; extended * extended * SHARE_BYTES];
        for (row, from) in shares.chunks_mut(2 * row_bytes).zip(original.chunks(row_bytes)) {
            row[..row_bytes].copy_from_slice(from);
        }
        let top = shares[..width * 2 * row_bytes].chunks_mut(2 * row_bytes).collect();
        spread(threads, top, |row: &mut [u8]| {
            code::encode(&mut row.chunks_mut(SHARE_BYTES).collect::<Vec<_>>());
        });
        // A stripe is a few columns over all rows; each of its rows is a shard of the code.
        let stripe = STRIPE_COLUMNS.min(extended) * SHARE_BYTES;
        let mut stripes: Vec<Vec<&mut [u8]>> = Vec::new();
        stripes.resize_with(2 * row_bytes / stripe, Vec::new);
        for row in shares.chunks_mut(2 * row_bytes) {
            for (stripe, part) in stripes.iter_mut().zip(row.chunks_mut(stripe)) {
                stripe.push(part);
            }
        }
        spread(threads, stripes, |mut stripe| code::encode(&mut stripe));
        Self::commit(shares, threads)
    }

    /// Commits to extended shares, whose number is right.
    pub(crate) fn commit(shares: Vec<u8>, threads: usize) -> Result<Self, DaError> {
        let extended = (shares.len() / SHARE_BYTES).isqrt();
        let mut hashes = vec![[0; 32]; extended * extended];
        let mut rows = vec![None; extended];
        let lines: Vec<_> = shares
            .chunks(extended * SHARE_BYTES)
            .zip(hashes.chunks_mut(extended))
            .zip(&mut rows)
            .enumerate()
            .collect();
        spread(threads, lines, |(row, ((line, hashes), root))| {
            let mut leaves = Vec::with_capacity(extended);
            for (column, share) in line.as_chunks::<SHARE_BYTES>().0.iter().enumerate() {
                leaves.push(leaf(extended, row, column, share));
                hashes[column] = leaves[column].hash;
            }
            *root = Tree::new(&leaves).map(|tree| tree.root());
        });
        let mut columns = vec![None; extended];
        let lines: Vec<_> = columns.iter_mut().enumerate().collect();
        spread(threads, lines, |(column, root)| {
            let leaves: Vec<Node> = (0..extended)
                .map(|row| known_leaf(&shares, &hashes, extended, row, column))
                .collect();
            *root = Tree::new(&leaves).map(|tree| tree.root());
        });
        let all = |roots: Vec<Option<Node>>| roots.into_iter().collect::<Option<Vec<_>>>();
        let (Some(rows), Some(columns)) = (all(rows), all(columns)) else {
            return Err(DaError::BadSquare("its namespaces are out of order"));
        };
        let header = SquareHeader::new(rows, columns)?;
        Ok(Self { shares, hashes, header })
    }

    /// A square whose every root was checked against `header`.
    pub(crate) fn checked(shares: Vec<u8>, hashes: Vec<[u8; 32]>, header: SquareHeader) -> Self {
        Self { shares, hashes, header }
    }

    /// The roots.
    pub fn header(&self) -> &SquareHeader {
        &self.header
    }

    /// Width of the original square, in shares.
    pub fn width(&self) -> u16 {
        self.header.width()
    }

    /// Width of the extended square, in shares.
    pub fn extended_width(&self) -> u16 {
        self.header.extended_width()
    }

    /// A share; none outside of the square.
    pub fn share(&self, row: u16, column: u16) -> Option<&[u8; SHARE_BYTES]> {
        let extended = self.extended_width();
        if row.max(column) >= extended {
            return None;
        }
        let index = usize::from(row) * usize::from(extended) + usize::from(column);
        self.shares.as_chunks().0.get(index)
    }

    /// The tree of a row or column; none outside of the square. Costs 2 × width hashes.
    pub fn tree(&self, axis: Axis, index: u16) -> Option<Tree> {
        let extended = self.extended_width();
        if index >= extended {
            return None;
        }
        let leaves: Vec<Node> = (0..extended)
            .map(|position| {
                let (row, column) = axis.cell(index, position);
                let (row, column) = (usize::from(row), usize::from(column));
                known_leaf(&self.shares, &self.hashes, usize::from(extended), row, column)
            })
            .collect();
        Tree::new(&leaves)
    }

    /// The share at `position` with its proof under a root of `axis`; none outside of the square.
    /// `position.square` is taken as it is.
    pub fn sample(&self, position: Position, axis: Axis) -> Option<Sample> {
        let share = Share(*self.share(position.row, position.column)?);
        let (index, at) = axis.line(position.row, position.column);
        let path = self.tree(axis, index)?.path(at);
        Some(Sample { position, axis, share, path })
    }
}

/// Width of the square of originals that `bytes` bytes are.
fn width_of(bytes: usize) -> Option<usize> {
    let width = (bytes / SHARE_BYTES).isqrt();
    let fits = width.is_power_of_two() && width <= usize::from(WIDTH_MAX);
    (fits && width * width * SHARE_BYTES == bytes).then_some(width)
}

/// The leaf of a share, hashed.
pub(crate) fn leaf(extended: usize, row: usize, column: usize, share: &[u8; SHARE_BYTES]) -> Node {
    Node::leaf(namespace_at(extended, row, column, share), share)
}

fn namespace_at(
    extended: usize,
    row: usize,
    column: usize,
    share: &[u8; SHARE_BYTES],
) -> Namespace {
    leaf_namespace((extended / 2) as u16, row as u16, column as u16, share)
}

/// The leaf of a share whose hash is known.
fn known_leaf(
    shares: &[u8],
    hashes: &[[u8; 32]],
    extended: usize,
    row: usize,
    column: usize,
) -> Node {
    let index = row * extended + column;
    let share = &shares.as_chunks::<SHARE_BYTES>().0[index];
    let namespace = namespace_at(extended, row, column, share);
    Node { min: namespace, max: namespace, hash: hashes[index] }
}

/// Does `work` on every item, on up to `threads` threads.
fn spread<T: Send>(threads: usize, mut items: Vec<T>, work: impl Fn(T) + Sync) {
    let share = items.len().div_ceil(threads.max(1));
    if share >= items.len() {
        return items.into_iter().for_each(work);
    }
    std::thread::scope(|scope| {
        while !items.is_empty() {
            let batch = items.split_off(items.len().saturating_sub(share));
            scope.spawn(|| batch.into_iter().for_each(&work));
        }
    });
}
