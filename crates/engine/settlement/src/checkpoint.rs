//! What must survive a restart: small, versioned, bounded.

use crate::port::{BlockRef, Fees, Purpose};
use atoll_types::codec::put_varint;
use atoll_types::{B256, CodecError, Decode, Encode, Reader};

const VERSION: u8 = 1;
/// Most transactions in a checkpoint.
const POSTS_MAX: u32 = 1 << 17;
/// Attempts whose hashes are kept.
pub(crate) const HASHES_MAX: usize = 8;

/// A transaction that was, or was about to be, sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its nonce.
    pub nonce: u64,
    /// What it does.
    pub purpose: Purpose,
    /// No longer wanted: replaced by a transfer of nothing, if it is not too late.
    pub withdrawn: bool,
    /// SHA-256 of the call.
    pub digest: B256,
    /// The commitment's hash; zero for [`Purpose::Fill`].
    pub commitment: B256,
    /// The commitment's last slot.
    pub last_slot: u64,
    /// Fees of the last attempt.
    pub fees: Fees,
    /// Hashes of the last attempts, oldest first.
    pub hashes: Vec<B256>,
}

/// What was final when the engine last looked. No later observation may be behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The finalised block.
    pub block: BlockRef,
    /// Our nonce there.
    pub nonce: u64,
    /// The last commitment there.
    pub last_number: u64,
    /// Commitments rejected, as far as a person has taken note.
    pub rejections: u64,
}

/// The engine's durable state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// What was final; `None` before the first observation.
    pub floor: Option<Floor>,
    /// Transactions that are not final, by nonce.
    pub posts: Vec<Post>,
}

impl Encode for Checkpoint {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(self.floor.is_some().into());
        if let Some(floor) = &self.floor {
            put_varint(out, floor.block.number);
            out.extend_from_slice(floor.block.hash.as_slice());
            put_varint(out, floor.nonce);
            put_varint(out, floor.last_number);
            put_varint(out, floor.rejections);
        }
        put_varint(out, self.posts.len() as u64);
        for post in &self.posts {
            put_varint(out, post.nonce);
            let (kind, number) = match post.purpose {
                Purpose::Commit(number) => (1, number),
                Purpose::Settle(number) => (2, number),
                Purpose::Fill => (3, 0),
            };
            out.push(kind);
            put_varint(out, number);
            out.push(post.withdrawn.into());
            out.extend_from_slice(post.digest.as_slice());
            out.extend_from_slice(post.commitment.as_slice());
            put_varint(out, post.last_slot);
            out.extend_from_slice(&post.fees.max_fee_wei.to_le_bytes());
            out.extend_from_slice(&post.fees.tip_wei.to_le_bytes());
            put_varint(out, post.hashes.len() as u64);
            for hash in &post.hashes {
                out.extend_from_slice(hash.as_slice());
            }
        }
    }
}

impl Decode for Checkpoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.u8()? != VERSION {
            return Err(CodecError::Invalid("version of the settlement checkpoint"));
        }
        let floor = match reader.bool()? {
            false => None,
            true => Some(Floor {
                block: BlockRef { number: reader.varint()?, hash: reader.b256()? },
                nonce: reader.varint()?,
                last_number: reader.varint()?,
                rejections: reader.varint()?,
            }),
        };
        let count = reader.length("settlement transactions", POSTS_MAX)?;
        let mut posts: Vec<Post> = Vec::new();
        for _ in 0..count {
            let post = decode_post(reader)?;
            if posts.last().is_some_and(|last| last.nonce >= post.nonce) {
                return Err(CodecError::Invalid("order of nonces"));
            }
            posts.push(post);
        }
        Ok(Self { floor, posts })
    }
}

fn decode_post(reader: &mut Reader<'_>) -> Result<Post, CodecError> {
    let nonce = reader.varint()?;
    let (kind, number) = (reader.u8()?, reader.varint()?);
    let purpose = match (kind, number) {
        (1, number) => Purpose::Commit(number),
        (2, number) => Purpose::Settle(number),
        (3, 0) => Purpose::Fill,
        _ => return Err(CodecError::Invalid("purpose of a transaction")),
    };
    let withdrawn = reader.bool()?;
    let (digest, commitment) = (reader.b256()?, reader.b256()?);
    let last_slot = reader.varint()?;
    let fees = Fees {
        max_fee_wei: u128::from_le_bytes(reader.array()?),
        tip_wei: u128::from_le_bytes(reader.array()?),
    };
    let count = reader.length("attempts", HASHES_MAX as u32)?;
    let hashes = (0..count).map(|_| reader.b256()).collect::<Result<_, _>>()?;
    Ok(Post { nonce, purpose, withdrawn, digest, commitment, last_slot, fees, hashes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::sha256;

    fn sample() -> Checkpoint {
        let post = |nonce, purpose| Post {
            nonce,
            purpose,
            withdrawn: nonce == 8,
            digest: B256::repeat_byte(1),
            commitment: B256::repeat_byte(2),
            last_slot: 600,
            fees: Fees { max_fee_wei: 3_000_000_000, tip_wei: 1_000_000 },
            hashes: vec![B256::repeat_byte(3); nonce as usize - 6],
        };
        Checkpoint {
            floor: Some(Floor {
                block: BlockRef { number: 1_000, hash: B256::repeat_byte(4) },
                nonce: 7,
                last_number: 5,
                rejections: 0,
            }),
            posts: vec![
                post(7, Purpose::Commit(6)),
                post(8, Purpose::Settle(2)),
                post(9, Purpose::Fill),
            ],
        }
    }

    #[test]
    fn bytes_are_stable_and_read_back() {
        let bytes = sample().to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes), Ok(sample()));
        assert_eq!(sha256(&[&bytes]).to_string(), GOLDEN);
        assert_eq!(Checkpoint::from_bytes(&Checkpoint::default().to_bytes()).unwrap().floor, None);
    }

    #[test]
    fn every_cut_and_every_wrong_order_is_refused() {
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let mut swapped = sample();
        swapped.posts.swap(0, 1);
        assert!(Checkpoint::from_bytes(&swapped.to_bytes()).is_err());
    }

    const GOLDEN: &str = "0xb5215181788cd25ed7a9e5cdbbed68fc18483289d5e96b227bec528da2d69aae";
}
