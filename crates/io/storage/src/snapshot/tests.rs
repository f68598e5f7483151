//! Snapshots: merging against a naive map, interrupted publication, damage.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fs_util::fault;

const NETWORK: Network = [7; 32];

/// Any order that is not the keys' own will do.
fn path(key: &[u8]) -> [u8; 32] {
    let mut path = [0; 32];
    path[..4].copy_from_slice(&crc32fast::hash(key).to_be_bytes());
    path[4..4 + key.len().min(28)].copy_from_slice(&key[..key.len().min(28)]);
    path
}

type ByPath<V> = BTreeMap<[u8; 32], (Vec<u8>, V)>;
type Naive = ByPath<Vec<u8>>;
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn sorted(changes: &Changes) -> ByPath<Option<Vec<u8>>> {
    changes.iter().map(|(key, value)| (path(key), (key.clone(), value.clone()))).collect()
}

fn apply(state: &mut Naive, changes: &Changes) {
    for (path, (key, value)) in sorted(changes) {
        match value {
            Some(value) => state.insert(path, (key, value)),
            None => state.remove(&path),
        };
    }
}

/// Snapshot of `slot` with two environments: 0 holds the changes on `previous`, 1 nothing.
fn write(
    store: &SnapshotStore,
    previous: Option<&Snapshot>,
    slot: u64,
    changes: &Changes,
) -> Result<()> {
    let builder = store.begin(slot)?;
    let mut zero = builder.environment(0, [slot as u8; 32], b"meta")?;
    let reader = previous.map(|snapshot| snapshot.reader(0)).transpose()?;
    let delta = sorted(changes).into_iter().map(|(path, (key, value))| (path, key, value));
    merge(reader, delta, path, &mut zero)?;
    let one = builder.environment(1, [0; 32], b"")?;
    builder.publish(&[one.finish()?, zero.finish()?])
}

fn load(snapshot: &Snapshot) -> Result<Naive> {
    let mut reader = snapshot.reader(0)?;
    let mut state = Naive::new();
    while reader.advance()? {
        let (key, value) = (reader.key().to_vec(), reader.value().to_vec());
        state.insert(path(&key), (key, value));
    }
    assert!(!reader.advance()?, "the end stays the end");
    assert_eq!(reader.records(), state.len() as u64);
    Ok(state)
}

fn numbered(keys: std::ops::Range<u32>, fill: u8) -> Changes {
    keys.map(|key| (key.to_le_bytes().to_vec(), Some(vec![fill; key as usize % 300]))).collect()
}

fn fresh() -> (TempDir, SnapshotStore) {
    let dir = TempDir::new().unwrap();
    let store = SnapshotStore::open(dir.path(), NETWORK).unwrap();
    (dir, store)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn merging_equals_a_map(rounds in proptest::collection::vec(
        proptest::collection::vec(
            (proptest::collection::vec(0u8..6, 0..4),
             proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))),
            0..60),
        1..5,
    )) {
        let (_dir, store) = fresh();
        let mut naive = Naive::new();
        let mut previous = None;
        for (slot, changes) in rounds.iter().enumerate() {
            apply(&mut naive, changes);
            write(&store, previous.as_ref(), slot as u64, changes).unwrap();
            let snapshot = store.latest_complete().unwrap().snapshot.unwrap();
            prop_assert_eq!(snapshot.slot(), slot as u64);
            prop_assert_eq!(&load(&snapshot).unwrap(), &naive);
            previous = Some(snapshot);
        }
    }

    #[test]
    fn decoders_take_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        keep in 0usize..200,
        blocks: bool,
    ) {
        let (_dir, store) = fresh();
        write(&store, None, 1, &numbered(0..20, 3)).unwrap();
        let file = file_path(&store.folder(1), 0);
        let mut whole = fs::read(&file).unwrap();
        whole.truncate(if blocks { FIXED_HEADER_AND_META + keep } else { keep });
        whole.extend_from_slice(&bytes);
        fs::write(&file, &whole).unwrap();
        let mut snapshot = store.snapshot(1).unwrap();
        snapshot.files[0].bytes = whole.len() as u64;
        prop_assert!(load(&snapshot).is_err());
        prop_assert!(format::decode_manifest(&NETWORK, 1, &bytes).is_err());
        // With a fitting checksum too.
        let mut sealed = format::MANIFEST_MAGIC.to_vec();
        sealed.extend_from_slice(&1u32.to_le_bytes());
        sealed.extend_from_slice(&NETWORK);
        sealed.extend_from_slice(&1u64.to_le_bytes());
        sealed.extend_from_slice(&bytes);
        let crc = crc32fast::hash(&sealed);
        sealed.extend_from_slice(&crc.to_le_bytes());
        let _ = format::decode_manifest(&NETWORK, 1, &sealed);
    }
}

const FIXED_HEADER_AND_META: usize = format::FIXED_HEADER + 4 + 4;

#[test]
fn large_values_cross_blocks_and_limits_hold() {
    let (_dir, store) = fresh();
    let mut changes = numbered(0..3000, 1);
    changes.push((vec![9; KEY_BYTES_MAX], Some(vec![8; VALUE_BYTES_MAX])));
    write(&store, None, 4, &changes).unwrap();
    let snapshot = store.latest_complete().unwrap().snapshot.unwrap();
    let mut naive = Naive::new();
    apply(&mut naive, &changes);
    assert!(load(&snapshot).unwrap() == naive);
    let header = snapshot.reader(0).unwrap().header().clone();
    assert_eq!((header.slot, header.state_root, &header.meta[..]), (4, [4; 32], &b"meta"[..]));
    let builder = store.begin(5).unwrap();
    let mut writer = builder.environment(0, [0; 32], b"").unwrap();
    let too_large = writer.push([1; 32], &[0; KEY_BYTES_MAX + 1], b"");
    assert!(matches!(too_large, Err(StorageError::TooLarge { .. })));
    writer.push([1; 32], b"a", b"").unwrap();
    let again = writer.push([1; 32], b"b", b"");
    assert!(matches!(again, Err(StorageError::SnapshotOrder { .. })));
    let meta = builder.environment(1, [0; 32], &vec![0; META_BYTES_MAX + 1]);
    assert!(matches!(meta, Err(StorageError::TooLarge { .. })));
    assert!(matches!(store.begin(4), Err(StorageError::SnapshotExists { slot: 4 })));
    assert!(matches!(store.snapshot(5), Err(StorageError::SnapshotMissing { .. })));
    assert!(matches!(snapshot.reader(2), Err(StorageError::SnapshotMissing { .. })));
}

/// The process dies between any two steps: the snapshot is there whole, or the one before is.
#[test]
fn publication_interrupted_at_any_step() {
    let mut published = 0;
    for steps in 0.. {
        let (dir, store) = fresh();
        let mut naive = Naive::new();
        apply(&mut naive, &numbered(0..700, 1));
        write(&store, None, 1, &numbered(0..700, 1)).unwrap();
        let previous = store.snapshot(1).unwrap();
        fault::fail_after(Some(steps));
        let outcome = write(&store, Some(&previous), 2, &numbered(600..900, 2));
        fault::fail_after(None);
        let store = SnapshotStore::open(dir.path(), NETWORK).unwrap();
        let latest = store.latest_complete().unwrap();
        assert!(latest.damaged.is_empty());
        let snapshot = latest.snapshot.unwrap();
        if snapshot.slot() == 2 {
            apply(&mut naive, &numbered(600..900, 2));
            published += 1;
        } else {
            assert!(outcome.is_err(), "published, and not there after {steps} steps");
        }
        assert_eq!(load(&snapshot).unwrap(), naive, "{steps} steps");
        if snapshot.slot() == 1 {
            write(&store, Some(&snapshot), 2, &numbered(600..900, 2)).unwrap();
        }
        if outcome.is_ok() {
            assert!(steps > 10 && published > 1, "the steps are not injected");
            break;
        }
    }
}

#[test]
fn removal_interrupted_at_any_step_leaves_no_half_snapshot() {
    for steps in 0..6 {
        let (dir, store) = fresh();
        for slot in 1..4 {
            write(&store, None, slot, &numbered(0..50, slot as u8)).unwrap();
        }
        fault::fail_after(Some(steps));
        let outcome = store.retain(1);
        fault::fail_after(None);
        let store = SnapshotStore::open(dir.path(), NETWORK).unwrap();
        let latest = store.latest_complete().unwrap();
        assert!(latest.damaged.is_empty());
        assert_eq!(latest.snapshot.unwrap().slot(), 3);
        for slot in store.slots().unwrap() {
            store.snapshot(slot).unwrap().verify().unwrap();
        }
        assert!(outcome.is_err());
        store.retain(1).unwrap();
        assert_eq!(store.slots().unwrap(), [3]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn every_flipped_byte_and_every_cut_falls_back_to_the_snapshot_before() {
    let (_dir, store) = fresh();
    write(&store, None, 1, &numbered(0..3, 1)).unwrap();
    write(&store, None, 2, &numbered(0..6, 2)).unwrap();
    let folder = store.folder(2);
    for file in [folder.join(MANIFEST), file_path(&folder, 0), file_path(&folder, 1)] {
        let whole = fs::read(&file).unwrap();
        let mut damages: Vec<Option<Vec<u8>>> = vec![None];
        for at in 0..whole.len() {
            damages.push(Some(whole[..at].to_vec()));
            let mut flipped = whole.clone();
            flipped[at] ^= 0x40;
            damages.push(Some(flipped));
        }
        damages.push(Some([&whole[..], b"x"].concat()));
        for damage in damages {
            match &damage {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                // Without its manifest a snapshot is none, which is no damage.
                None if file.ends_with(MANIFEST) => continue,
                None => fs::remove_file(&file).unwrap(),
            }
            let latest = store.latest_complete().unwrap();
            assert_eq!(latest.snapshot.unwrap().slot(), 1, "{file:?}");
            assert!(matches!(latest.damaged[..], [(2, StorageError::SnapshotDamaged { .. })]));
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(store.latest_complete().unwrap().snapshot.unwrap().slot(), 2);
    // Another network's snapshots are not taken either.
    let other = SnapshotStore::view(store.dir, [8; 32]).latest_complete().unwrap();
    assert!(other.snapshot.is_none() && other.damaged.len() == 2);
}

#[test]
fn golden_file() {
    let (_dir, store) = fresh();
    let builder = store.begin(2).unwrap();
    let mut writer = builder.environment(3, [4; 32], b"m").unwrap();
    writer.push([1; 32], b"key", b"value").unwrap();
    let file = writer.finish().unwrap();
    let bytes = fs::read(file_path(&store.folder(2), 3)).unwrap();
    assert_eq!(file.bytes, bytes.len() as u64);
    let golden = [
        "41544f4c534e41500100000007070707070707070707070707070707070707070707070707070707",
        "07070707030000000200000000000000040404040404040404040404040404040404040404040404",
        "0404040404040404010000006d47189ed20e000000010000008738e4160300050000006b65797661",
        "6c75650000000000000000a97cf01c0100000000000000b0b5a0fc",
    ];
    assert_eq!(crate::error::hex(&bytes), golden.concat());
}
