//! Proof that a square is badly encoded.
//!
//! Sampling shows that shares are there; it cannot show that they belong to the code. If they do
//! not, nobody can rebuild the square, and whoever holds half of a line can prove it: `width`
//! shares of one row or column, each proven *at its place* under a root of the header, give the
//! whole line by the code; if the line so rebuilt does not have the root that the header states,
//! no encoder made this header.
//!
//! * **Place.** A share that stands in row r, column c is accepted only under row root r as leaf
//!   c, or under column root c as leaf r, of a tree as wide as the square. (The proof of
//!   `celestia-types` 1.3 accepts a share at any leaf, so that shares of a good square, moved
//!   around, accuse it; its documentation says not to use it.)
//! * **Both axes.** Roots of the other axis are needed where rows and columns commit to different
//!   squares, each well encoded; roots of the line itself are as good an accusation and often the
//!   only ones at hand.
//! * **Soundness.** In an honest square both roots commit to the same share at each place, any
//!   `width` of a line give that line, and its root is the header's: it cannot be accused short
//!   of a collision of SHA-256.
//! * **Completeness.** Whoever cannot rebuild a square of which enough shares are available can
//!   accuse it: see [`crate::repair`].

use crate::axis::{Axis, Position};
use crate::code;
use crate::error::DaError;
use crate::header::{DaHeader, WIDTH_MAX};
use crate::nmt::{Node, Tree};
use crate::sample::{Sample, get_path, put_path};
use crate::share::{SHARE_BYTES, Share};
use crate::square::leaf;
use atoll_types::codec::put_varint;
use atoll_types::{CodecError, Decode, Encode, Reader};

/// A share of the accused line and the proof of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineShare {
    /// Its number in the line, from 0.
    pub position: u16,
    /// Whether its row's or its column's root proves it.
    pub by: Axis,
    /// The share.
    pub share: Share,
    /// Siblings from the leaf upward.
    pub path: Vec<Node>,
}

/// Proof that a row or column is not what its own shares make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEncodingProof {
    /// The square of the span.
    pub square: u16,
    /// Whether a row or a column is accused.
    pub axis: Axis,
    /// Which one.
    pub index: u16,
    /// As many shares as the original square is wide, by ascending position.
    pub shares: Vec<LineShare>,
}

/// Why a proof of bad encoding proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// It does not have the form of a proof for this header.
    #[error("it is not a proof of bad encoding for this header: {0}")]
    Malformed(&'static str),
    /// One of its shares is not where it says.
    #[error("a share of the proof is not proven: {0}")]
    Share(#[from] DaError),
    /// The line it accuses is well encoded.
    #[error("{axis} {index} is well encoded; the accuser is at fault")]
    WellEncoded {
        /// The accused axis.
        axis: Axis,
        /// The accused line.
        index: u16,
    },
}

impl BadEncodingProof {
    /// Checks the proof. `Ok` means: this header is badly encoded, its span cannot be rebuilt,
    /// and no commitment to it may be settled.
    pub fn verify(&self, header: &DaHeader) -> Result<(), NotProven> {
        let Self { square, axis, index, .. } = *self;
        let header = header.square(square).ok_or(NotProven::Malformed("no such square"))?;
        let root = *header.root(axis, index).ok_or(NotProven::Malformed("no such line"))?;
        if self.shares.len() != usize::from(header.width()) {
            return Err(NotProven::Malformed("it needs half of the line"));
        }
        if !self.shares.is_sorted_by(|a, b| a.position < b.position) {
            return Err(NotProven::Malformed("its positions are not ascending"));
        }
        let mut line = vec![Vec::new(); usize::from(header.extended_width())];
        for share in &self.shares {
            let slot = line
                .get_mut(usize::from(share.position))
                .ok_or(NotProven::Malformed("a position is outside of the line"))?;
            let (row, column) = axis.cell(index, share.position);
            let position = Position { square, row, column };
            let LineShare { by, share, path, .. } = share.clone();
            Sample { position, axis: by, share: share.clone(), path }.verify_in(header)?;
            *slot = share.0.to_vec();
        }
        if code::fill(&mut line) && line_root(axis, index, &line) == Some(root) {
            return Err(NotProven::WellEncoded { axis, index });
        }
        Ok(())
    }
}

/// The root of a full line; none if its namespaces are out of order.
pub(crate) fn line_root(axis: Axis, index: u16, line: &code::Line) -> Option<Node> {
    let extended = line.len();
    let mut leaves = Vec::with_capacity(extended);
    for (position, share) in (0u16..).zip(line) {
        let (row, column) = axis.cell(index, position);
        let share: &[u8; SHARE_BYTES] = share.as_slice().try_into().ok()?;
        leaves.push(leaf(extended, usize::from(row), usize::from(column), share));
    }
    Tree::new(&leaves).map(|tree| tree.root())
}

impl Encode for BadEncodingProof {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.square.to_le_bytes());
        self.axis.encode(out);
        out.extend_from_slice(&self.index.to_le_bytes());
        put_varint(out, self.shares.len() as u64);
        for share in &self.shares {
            out.extend_from_slice(&share.position.to_le_bytes());
            share.by.encode(out);
            share.share.encode(out);
            put_path(out, &share.path);
        }
    }
}

impl Decode for BadEncodingProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (square, axis, index) = (r.u16()?, Axis::decode(r)?, r.u16()?);
        let mut shares = Vec::new();
        for _ in 0..r.length("shares of a line", u32::from(WIDTH_MAX))? {
            shares.push(LineShare {
                position: r.u16()?,
                by: Axis::decode(r)?,
                share: Share::decode(r)?,
                path: get_path(r)?,
            });
        }
        Ok(Self { square, axis, index, shares })
    }
}
