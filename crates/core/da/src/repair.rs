//! Rebuilding a square from what is left of it.
//!
//! A line (row or column) with at least half of its shares is filled by the code and must then be
//! a codeword with the root of the header; every line so filled adds a share to each line across.
//! This ends with the whole square, or with a set of shares missing in which every line that
//! lacks any lacks more than half: at least (width + 1)², so never after the loss of a quarter or
//! less.
//!
//! A line that does not check is a proof of bad encoding: each known share was added with a proof,
//! or stands in a line across that was filled and checked.
//!
//! Memory at full width: 32 MiB of shares, and some 0.8 KiB of proof for each share added.

use crate::axis::{Axis, Position};
use crate::code::{self, Line};
use crate::error::DaError;
use crate::fraud::{BadEncodingProof, LineShare, line_root};
use crate::header::SquareHeader;
use crate::nmt::{Node, Tree};
use crate::sample::Sample;
use crate::share::{SHARE_BYTES, Share, leaf_namespace};
use crate::square::Square;
use std::collections::BTreeMap;

/// Why a square is not rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrepaired {
    /// Too much is missing. More samples may be added.
    #[error("{} shares are missing and cannot be rebuilt; sample more of them", .0.len())]
    Missing(
        /// (row, column) of each share that is missing.
        Vec<(u16, u16)>,
    ),
    /// The square is badly encoded, and this proves it.
    #[error("the square is badly encoded: {} {} is not what its shares make it", .0.axis, .0.index)]
    BadEncoding(Box<BadEncodingProof>),
}

/// A square that is being rebuilt.
#[derive(Clone, Debug)]
pub struct Repair {
    square: u16,
    header: SquareHeader,
    shares: Vec<u8>,
    /// Hashes of the leaves of known shares.
    hashes: Vec<Option<[u8; 32]>>,
    /// Proofs of the shares that were added.
    proofs: BTreeMap<(u16, u16), (Axis, Vec<Node>)>,
    /// Lines that are full and checked, by axis.
    checked: [Vec<bool>; 2],
}

impl Repair {
    /// Nothing known yet of square number `square` of a span, whose roots are `header`.
    pub fn new(square: u16, header: SquareHeader) -> Self {
        let extended = usize::from(header.extended_width());
        Self {
            square,
            shares: vec![0; extended * extended * SHARE_BYTES],
            hashes: vec![None; extended * extended],
            proofs: BTreeMap::new(),
            checked: [vec![false; extended], vec![false; extended]],
            header,
        }
    }

    /// Adds a share after checking its proof; false if the position was known already.
    pub fn add(&mut self, sample: &Sample) -> Result<bool, DaError> {
        let Position { square, row, column } = sample.position;
        if square != self.square || row.max(column) >= self.header.extended_width() {
            return Err(DaError::OutOfRange { square, row, column });
        }
        if self.hashes[self.cell(row, column)].is_some() {
            return Ok(false);
        }
        let leaf = sample.verify_in(&self.header)?;
        self.set(row, column, &sample.share.0, leaf.hash);
        self.proofs.insert((row, column), (sample.axis, sample.path.clone()));
        Ok(true)
    }

    /// Shares known so far.
    pub fn known(&self) -> usize {
        self.hashes.iter().flatten().count()
    }

    /// Rebuilds as much as can be rebuilt; the whole square, if that is all of it.
    pub fn run(&mut self) -> Result<Square, Unrepaired> {
        let mut progress = true;
        while progress {
            progress = false;
            for axis in [Axis::Row, Axis::Column] {
                for index in 0..self.header.extended_width() {
                    if !self.checked[axis as usize][usize::from(index)] {
                        progress |= self.line(axis, index)?;
                    }
                }
            }
        }
        let hashes: Vec<[u8; 32]> = self.hashes.iter().flatten().copied().collect();
        if hashes.len() == self.hashes.len() {
            return Ok(Square::checked(self.shares.clone(), hashes, self.header.clone()));
        }
        let extended = self.hashes.len().isqrt();
        let missing = self.hashes.iter().enumerate().filter(|(_, hash)| hash.is_none());
        let cell = |(i, _)| ((i / extended) as u16, (i % extended) as u16);
        Err(Unrepaired::Missing(missing.map(cell).collect()))
    }

    /// Fills and checks a line if half of it is known; whether it did.
    fn line(&mut self, axis: Axis, index: u16) -> Result<bool, Unrepaired> {
        let extended = self.header.extended_width();
        let mut line: Line = vec![Vec::new(); usize::from(extended)];
        let mut holes = Vec::new();
        for position in 0..extended {
            match self.known_share(axis, index, position) {
                Some(share) => line[usize::from(position)] = share.to_vec(),
                None => holes.push(position),
            }
        }
        if holes.len() > usize::from(self.header.width()) {
            return Ok(false);
        }
        if !holes.is_empty() && !code::fill(&mut line) {
            return Ok(false);
        }
        // Shares of no one codeword fill the holes with anything, so the root alone is no check.
        if !code::is_codeword(&line) {
            return Err(self.accuse(axis, index));
        }
        let leaves: Vec<Node> = (0..extended)
            .map(|position| self.leaf(axis, index, position, &line[usize::from(position)]))
            .collect();
        let root = Tree::new(&leaves).map(|tree| tree.root());
        if root.as_ref() != self.header.root(axis, index) {
            return Err(self.accuse(axis, index));
        }
        for position in holes {
            let (row, column) = axis.cell(index, position);
            let at = usize::from(position);
            self.set(row, column, &line[at], leaves[at].hash);
        }
        self.checked[axis as usize][usize::from(index)] = true;
        Ok(true)
    }

    /// The proof against a line that did not check.
    fn accuse(&self, axis: Axis, index: u16) -> Unrepaired {
        let width = usize::from(self.header.width());
        let known: Vec<u16> = (0..self.header.extended_width())
            .filter(|position| self.known_share(axis, index, *position).is_some())
            .collect();
        let mut chosen: Vec<u16> = known.iter().copied().take(width).collect();
        let rebuilt = self.rebuilt_from(axis, index, &chosen);
        if line_root(axis, index, &rebuilt).as_ref() == self.header.root(axis, index) {
            // What was chosen gives the line of the header; another known share then does not
            // belong to it, and with that one among the chosen they give another line.
            let strange = known.iter().copied().find(|position| {
                let share = self.known_share(axis, index, *position);
                share.is_some_and(|share| share[..] != rebuilt[usize::from(*position)])
            });
            if let Some(strange) = strange {
                chosen.pop();
                chosen.push(strange);
                chosen.sort_unstable();
            }
        }
        let shares = chosen.iter().filter_map(|at| self.line_share(axis, index, *at)).collect();
        Unrepaired::BadEncoding(Box::new(BadEncodingProof {
            square: self.square,
            axis,
            index,
            shares,
        }))
    }

    fn rebuilt_from(&self, axis: Axis, index: u16, positions: &[u16]) -> Line {
        let mut line: Line = vec![Vec::new(); usize::from(self.header.extended_width())];
        for position in positions {
            if let Some(share) = self.known_share(axis, index, *position) {
                line[usize::from(*position)] = share.to_vec();
            }
        }
        code::fill(&mut line);
        line
    }

    /// A known share with the proof it came with, or one under a checked line that it stands in.
    fn line_share(&self, axis: Axis, index: u16, position: u16) -> Option<LineShare> {
        let share = Share(*self.known_share(axis, index, position)?);
        let (row, column) = axis.cell(index, position);
        if let Some((by, path)) = self.proofs.get(&(row, column)) {
            return Some(LineShare { position, by: *by, share, path: path.clone() });
        }
        let by = axis.orthogonal();
        let (line, at) = by.line(row, column);
        let leaves: Option<Vec<Node>> = (0..self.header.extended_width())
            .map(|p| Some(self.leaf(by, line, p, self.known_share(by, line, p)?)))
            .collect();
        Some(LineShare { position, by, share, path: Tree::new(&leaves?)?.path(at) })
    }

    fn leaf(&self, axis: Axis, index: u16, position: u16, share: &[u8]) -> Node {
        let (row, column) = axis.cell(index, position);
        let mut bytes = [0; SHARE_BYTES];
        bytes.copy_from_slice(share);
        let namespace = leaf_namespace(self.header.width(), row, column, &bytes);
        match self.hashes[self.cell(row, column)] {
            Some(hash) => Node { min: namespace, max: namespace, hash },
            None => Node::leaf(namespace, share),
        }
    }

    fn known_share(&self, axis: Axis, index: u16, position: u16) -> Option<&[u8; SHARE_BYTES]> {
        let (row, column) = axis.cell(index, position);
        let cell = self.cell(row, column);
        self.hashes[cell]?;
        self.shares.as_chunks().0.get(cell)
    }

    fn set(&mut self, row: u16, column: u16, share: &[u8], hash: [u8; 32]) {
        let cell = self.cell(row, column);
        self.shares[cell * SHARE_BYTES..][..SHARE_BYTES].copy_from_slice(share);
        self.hashes[cell] = Some(hash);
    }

    fn cell(&self, row: u16, column: u16) -> usize {
        usize::from(row) * usize::from(self.header.extended_width()) + usize::from(column)
    }
}
