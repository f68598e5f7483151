//! Where a light client was: one small file, replaced as a whole.

use super::commitments::Last;
use anyhow::{Context, Result, ensure};
use atoll_types::codec::{CodecError, put_bytes};
use atoll_types::{B256, Decode, Encode, NetworkId, Reader, SignedHeader};
use std::fs::{File, rename};
use std::io::Write;
use std::path::{Path, PathBuf};

/// First bytes of the file, its version among them.
const MAGIC: &[u8; 12] = b"atoll light1";
const NAME: &str = "light.state";
/// Longest encoding of a header.
const HEADER_BYTES_MAX: u32 = 1 << 12;

/// What a later run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) network: NetworkId,
    /// The last commitment that was checked.
    pub(crate) last: Last,
    /// The header that it ends with; none before the first.
    pub(crate) base: Option<SignedHeader>,
    /// The last header that was followed.
    pub(crate) tip: Option<SignedHeader>,
}

impl Encode for State {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.network.0.as_slice());
        out.extend_from_slice(&self.last.number.to_le_bytes());
        out.extend_from_slice(self.last.hash.as_slice());
        out.extend_from_slice(&self.last.slot.to_le_bytes());
        for header in [&self.base, &self.tip] {
            put_bytes(out, &header.as_ref().map(Encode::to_bytes).unwrap_or_default());
        }
    }
}

impl Decode for State {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if &r.array::<12>()? != MAGIC {
            return Err(CodecError::Invalid("version of a light client's state"));
        }
        let network = NetworkId(r.b256()?);
        let last = Last { number: r.u64()?, hash: r.b256()?, slot: r.u64()? };
        let mut header = || match r.bytes("header", HEADER_BYTES_MAX)? {
            [] => Ok::<_, CodecError>(None),
            bytes => SignedHeader::from_bytes(bytes).map(Some),
        };
        Ok(Self { network, last, base: header()?, tip: header()? })
    }
}

/// The file.
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// What is there, checked with a checksum.
    pub(crate) fn load(&self) -> Result<Option<State>> {
        let path = self.folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let damaged = || format!("{} is damaged: remove it to begin again", path.display());
        let (sum, body) = bytes.split_at_checked(32).with_context(damaged)?;
        ensure!(atoll_types::sha256(&[body]) == B256::from_slice(sum), damaged());
        State::from_bytes(body).map(Some).with_context(damaged)
    }

    /// Replaces it: after a crash there is the old one or the new one.
    pub(crate) fn save(&self, state: &State) -> Result<()> {
        let path = self.folder.join(NAME);
        let new = path.with_extension("new");
        let failed = || format!("cannot write {}", path.display());
        let body = state.to_bytes();
        let mut file = File::create(&new).with_context(failed)?;
        file.write_all(atoll_types::sha256(&[&body]).as_slice()).with_context(failed)?;
        file.write_all(&body).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        rename(&new, &path).with_context(failed)?;
        File::open(&self.folder)?.sync_all().with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::crypto::SigningKey;
    use atoll_types::{SlotHeader, sha256};

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.load().unwrap(), None);
        let signature = SigningKey::from_label("sequencer").sign(&B256::ZERO);
        let header = SignedHeader { header: SlotHeader::default(), signature };
        let state = State {
            network: NetworkId(B256::repeat_byte(1)),
            last: Last { number: 3, hash: sha256(&[b"x"]), slot: 150 },
            base: Some(header),
            tip: None,
        };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), Some(state));
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(store.load().unwrap_err().to_string().contains("remove it"));
    }
}
