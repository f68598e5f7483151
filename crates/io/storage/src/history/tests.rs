//! The history index: ranges against a map, atomic commits, crashes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const FILLS: Table = Table::new("fills");
const ORDERS: Table = Table::new("orders");

fn fresh() -> (TempDir, History) {
    let dir = TempDir::new().unwrap();
    let history = History::open(dir.path(), HistoryOptions::default()).unwrap();
    (dir, history)
}

#[test]
fn a_batch_is_there_whole_with_its_slot() {
    let (_dir, history) = fresh();
    assert_eq!(history.indexed_slot().unwrap(), None);
    assert_eq!(history.get(FILLS, b"a").unwrap(), None);
    let mut batch = HistoryBatch::new(3);
    batch.put(FILLS, *b"a", *b"1");
    batch.put(FILLS, *b"b", *b"2");
    batch.put(ORDERS, *b"a", *b"3");
    history.commit(&batch, false).unwrap();
    let view = history.view().unwrap();
    let mut batch = HistoryBatch::new(4);
    batch.delete(FILLS, *b"a");
    batch.delete(FILLS, *b"b");
    batch.put(FILLS, *b"b", *b"4");
    history.commit(&batch, true).unwrap();
    // The writer did not wait for the view, and the view did not move.
    assert_eq!(view.indexed_slot().unwrap(), Some(3));
    assert_eq!(view.get(FILLS, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(history.indexed_slot().unwrap(), Some(4));
    assert_eq!(history.get(FILLS, b"a").unwrap(), None);
    assert_eq!(history.get(FILLS, b"b").unwrap(), Some(b"4".to_vec()));
    assert_eq!(history.get(ORDERS, b"a").unwrap(), Some(b"3".to_vec()));
    let back = history.commit(&HistoryBatch::new(3), false);
    assert!(matches!(back, Err(StorageError::HistoryOrder { slot: 3, indexed: 4 })));
    let mut batch = HistoryBatch::new(5);
    batch.put(FILLS, vec![0; KEY_BYTES_MAX + 1], *b"");
    assert!(matches!(history.commit(&batch, false), Err(StorageError::TooLarge { .. })));
    history.clear().unwrap();
    assert_eq!(history.indexed_slot().unwrap(), None);
    assert_eq!(history.get(ORDERS, b"a").unwrap(), None);
    history.commit(&HistoryBatch::new(1), false).unwrap();
}

#[test]
fn a_second_process_or_a_foreign_file_is_refused() {
    let (dir, _history) = fresh();
    let second = History::open(dir.path(), HistoryOptions::default());
    assert!(matches!(second, Err(StorageError::History { .. })));
    let other = TempDir::new().unwrap();
    std::fs::write(other.path().join(FILE), vec![0x55; 9000]).unwrap();
    let foreign = History::open(other.path(), HistoryOptions::default());
    assert!(foreign.unwrap_err().to_string().contains("rebuilt from the log"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ranges_equal_a_map(
        keys in proptest::collection::btree_set(proptest::collection::vec(0u8..4, 0..4), 0..50),
        queries in proptest::collection::vec(
            (proptest::collection::vec(0u8..4, 0..4), proptest::collection::vec(0u8..4, 0..4),
             0usize..20, any::<bool>(), any::<bool>()),
            1..12),
    ) {
        let (_dir, history) = fresh();
        let mut naive = BTreeMap::new();
        let mut batch = HistoryBatch::new(1);
        for key in keys {
            batch.put(FILLS, key.clone(), [key.clone(), key.clone()].concat());
            naive.insert(key.clone(), [key.clone(), key].concat());
        }
        history.commit(&batch, false).unwrap();
        for (from, to, limit, reverse, delete) in queries {
            let inside: Vec<Entry> = naive
                .iter()
                .filter(|(key, _)| **key >= from && **key < to)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let mut wanted = inside.clone();
            if reverse {
                wanted.reverse();
            }
            wanted.truncate(limit);
            let found = history.range(FILLS, &from[..]..&to[..], limit, reverse).unwrap();
            prop_assert_eq!(found, wanted);
            if delete {
                let removed = history.delete_range(FILLS, &from[..]..&to[..], limit).unwrap();
                prop_assert_eq!(removed, inside.len().min(limit));
                for (key, _) in &inside[..removed] {
                    naive.remove(key);
                }
            }
            let all = history.range(FILLS, .., usize::MAX, false).unwrap();
            prop_assert_eq!(all, naive.clone().into_iter().collect::<Vec<_>>());
        }
    }
}

const CHILD: &str = "ATOLL_STORAGE_TEST_HISTORY";

fn slot_batch(slot: u64) -> HistoryBatch {
    let mut batch = HistoryBatch::new(slot);
    for index in 0..20u64 {
        let key = [slot.to_be_bytes(), index.to_be_bytes()].concat();
        batch.put(FILLS, key.clone(), vec![slot as u8; 100]);
        batch.put(ORDERS, [index.to_be_bytes(), slot.to_be_bytes()].concat(), key);
    }
    batch
}

/// Not a test by itself: the process that the next test kills.
#[test]
fn child_that_commits_until_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let history = History::open(PathBuf::from(dir), HistoryOptions::default()).unwrap();
    let first = history.indexed_slot().unwrap().map_or(1, |slot| slot + 1);
    for slot in first.. {
        let durable = slot % 7 == 0;
        history.commit(&slot_batch(slot), durable).unwrap();
        if durable {
            println!("\nack {slot}");
        }
    }
}

#[test]
fn a_killed_process_leaves_the_index_at_a_whole_slot() {
    let dir = TempDir::new().unwrap();
    let mut durable = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_commits_until_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let acks = out.lines().map_while(std::io::Result::ok);
        let mut acks = acks.filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok());
        durable = acks.by_ref().take(2 + round).last().unwrap_or(durable);
        child.kill().unwrap();
        child.wait().unwrap();
        durable = acks.last().unwrap_or(durable);
        let history = History::open(dir.path(), HistoryOptions::default()).unwrap();
        let indexed = history.indexed_slot().unwrap().unwrap();
        assert!(indexed >= durable, "{indexed} of {durable}");
        let fills = history.range(FILLS, .., usize::MAX, false).unwrap();
        assert_eq!(fills.len() as u64, (20 * indexed).min(RANGE_ENTRIES_MAX as u64));
        for slot in [1, indexed / 2 + 1, indexed] {
            for (table, key, value) in slot_batch(slot).puts {
                assert_eq!(history.get(table, &key).unwrap(), Some(value));
            }
        }
        let next = (indexed + 1).to_be_bytes();
        assert!(history.range(FILLS, &next[..].., 1, false).unwrap().is_empty());
    }
}
