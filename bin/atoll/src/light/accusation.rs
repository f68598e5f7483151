//! Proofs that a span is badly encoded, as they go from hand to hand: whoever cannot rebuild a span
//! makes one, and whoever only samples refuses the span by it.

use super::refusal::{Kind, Refusal};
use anyhow::{Context, Result};
use atoll_da::{BadEncodingProof, DaHeader};
use atoll_types::{B256, CodecError, Decode, Encode, Reader};
use std::path::Path;

/// A proof, and the span that it accuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accusation {
    pub(crate) data_root: B256,
    pub(crate) proof: BadEncodingProof,
}

impl Accusation {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file);
        let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("{} is no fraud proof", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let written = std::fs::write(file, self.to_bytes());
        written.with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Encode for Accusation {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.data_root.as_slice());
        self.proof.encode(out);
    }
}

impl Decode for Accusation {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { data_root: r.b256()?, proof: BadEncodingProof::decode(r)? })
    }
}

/// Whether the span with this header, which has this slot, stands as accused by nobody who proves
/// it.
pub(crate) fn judge(
    accusations: &[Accusation],
    header: &DaHeader,
    slot: u64,
) -> Result<(), Refusal> {
    for accusation in accusations.iter().filter(|a| a.data_root == header.data_root()) {
        let BadEncodingProof { square, axis, index, .. } = accusation.proof;
        match accusation.proof.verify(header) {
            Ok(()) => {
                let message = format!(
                    "the span of slot {slot} is badly encoded: {axis} {index} of square {square} is \
                     not what its own shares make it, nobody can rebuild it"
                );
                let refusal = Refusal::new(Kind::BadEncoding, message).slot(slot);
                return Err(refusal.evidence("fraud_proof", accusation.to_bytes()));
            }
            Err(why) => eprintln!("a fraud proof against the span of slot {slot} is void: {why}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_da::{
        Axis, EncodedSpan, Node, Owner, Position, Repair, SHARE_BYTES, Sample, Share, SpanData,
        SquareHeader, Tree, Unrepaired, share,
    };
    use atoll_types::NetworkId;

    /// The first square of a span with one share of its parity changed, committed to as it is then.
    struct Forged {
        width: u16,
        shares: Vec<[u8; SHARE_BYTES]>,
    }

    impl Forged {
        fn tree(&self, axis: Axis, index: u16) -> Tree {
            let leaf = |position| {
                let (row, column) = axis.cell(index, position);
                let share = &self.shares[usize::from(row * 2 * self.width + column)];
                Node::leaf(share::leaf_namespace(self.width, row, column, share), share)
            };
            let leaves: Vec<Node> = (0..2 * self.width).map(leaf).collect();
            Tree::new(&leaves).unwrap()
        }

        fn header(&self) -> SquareHeader {
            let roots =
                |axis| (0..2 * self.width).map(|index| self.tree(axis, index).root()).collect();
            SquareHeader::new(roots(Axis::Row), roots(Axis::Column)).unwrap()
        }

        fn sample(&self, row: u16, column: u16) -> Sample {
            let (index, position) = Axis::Row.line(row, column);
            Sample {
                position: Position { square: 0, row, column },
                axis: Axis::Row,
                share: Share(self.shares[usize::from(row * 2 * self.width + column)]),
                path: self.tree(Axis::Row, index).path(position),
            }
        }
    }

    fn honest() -> EncodedSpan {
        let noise: Vec<u8> =
            (0..4_000u32).flat_map(|n| atoll_types::sha256(&[&n.to_le_bytes()]).0).collect();
        let parts = vec![(Owner::Headers, noise)];
        let network = NetworkId(B256::repeat_byte(7));
        EncodedSpan::encode(network, &SpanData { first_slot: 1, last_slot: 50, parts }, 1).unwrap()
    }

    #[test]
    fn a_badly_encoded_span_is_refused_by_whoever_is_given_the_proof() {
        let honest = honest();
        let square = &honest.squares()[0];
        let extended = square.extended_width();
        let cells = (0..extended).flat_map(|row| (0..extended).map(move |column| (row, column)));
        let shares = cells.clone().map(|(row, column)| *square.share(row, column).unwrap());
        let mut forged = Forged { width: square.width(), shares: shares.collect() };
        *forged.shares.last_mut().unwrap().last_mut().unwrap() ^= 1;
        let header = DaHeader::new(vec![forged.header()]).unwrap();

        // Each share proves itself: sampling finds nothing. Who rebuilds it does.
        let mut repair = Repair::new(0, forged.header());
        for (row, column) in cells {
            let sample = forged.sample(row, column);
            sample.verify(&header).unwrap();
            repair.add(&sample).unwrap();
        }
        let Err(Unrepaired::BadEncoding(proof)) = repair.run() else {
            panic!("it is badly encoded")
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proof");
        let accusation = Accusation { data_root: header.data_root(), proof: *proof };
        accusation.write(&file).unwrap();
        let given = [Accusation::read(&file).unwrap()];
        let refusal = judge(&given, &header, 50).unwrap_err();
        assert_eq!((refusal.kind.label(), refusal.slot), ("bad_encoding", Some(50)));
        assert_eq!(refusal.evidence, [("fraud_proof", accusation.to_bytes())]);
        // It says nothing of another span, and cannot be turned against one.
        judge(&given, honest.header(), 50).unwrap();
        let turned = Accusation { data_root: honest.data_root(), ..accusation };
        judge(&[turned], honest.header(), 50).unwrap();
        std::fs::write(&file, [1, 2, 3]).unwrap();
        assert!(
            format!("{:#}", Accusation::read(&file).unwrap_err()).contains("is no fraud proof")
        );
    }
}
