//! The Reed–Solomon code of a row or column: `width` shares and as many of parity, any `width` of
//! which give all. It is Leopard's over GF(2⁸), as in Celestia.

use crate::share::SHARE_BYTES;

/// Replaces the parity behind the first half of `shards`, all of one length that 64 divides.
///
/// The code is defined for every width a square may have, so this cannot fail.
pub(crate) fn encode(shards: &mut [&mut [u8]]) {
    let width = shards.len() / 2;
    leopard_codec::encode(shards, width).expect("a width and a length that the code has");
}

/// A line with holes.
pub(crate) type Line = Vec<Vec<u8>>;

/// Fills the holes (empty shares) of a line; false if fewer than half are there. What comes out
/// of shares that belong to no one codeword is no codeword either: see [`is_codeword`].
pub(crate) fn fill(line: &mut Line) -> bool {
    let width = line.len() / 2;
    leopard_codec::reconstruct(line, width).is_ok()
}

/// Whether the second half of a full line is the parity of the first.
pub(crate) fn is_codeword(line: &Line) -> bool {
    let width = line.len() / 2;
    let mut again: Line = line[..width].to_vec();
    again.resize(line.len(), vec![0; SHARE_BYTES]);
    leopard_codec::encode(&mut again, width).is_ok() && again == *line
}
