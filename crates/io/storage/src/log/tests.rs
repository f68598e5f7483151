//! The log under torn writes, damage, full disks and killed processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fs_util::fault;

fn small() -> LogOptions {
    LogOptions { segment_bytes: 400, ..LogOptions::default() }
}

fn payload(slot: u64, index: u64) -> Vec<u8> {
    vec![(slot * 7 + index) as u8; (slot * 13 + index * 5) as usize % 90]
}

/// Writes three records for each slot and returns them.
fn fill(log: &mut Log, slots: std::ops::Range<u64>) -> Vec<Record> {
    let mut records = Vec::new();
    for slot in slots {
        for index in 0..3u64 {
            let record = Record { kind: 1 + index as u8, slot, payload: payload(slot, index) };
            log.append(record.kind, slot, &record.payload, Durability::Written).unwrap();
            records.push(record);
        }
    }
    records
}

fn read(dir: &Path, from: u64) -> Result<Vec<Record>> {
    LogReader::open(dir, from)?.collect()
}

fn last_file(dir: &Path) -> PathBuf {
    list_segments(dir).unwrap().pop().unwrap().path
}

#[test]
fn records_come_back_across_segments_and_reopening() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    assert_eq!((log.last_slot(), log.cut()), (None, None));
    let mut all = fill(&mut log, 5..20);
    assert!(log.segments().unwrap().len() > 3);
    drop(log);
    let mut log = Log::open(dir.path(), small()).unwrap();
    assert_eq!((log.last_slot(), log.cut()), (Some(19), None));
    all.extend(fill(&mut log, 20..30));
    assert_eq!(read(dir.path(), 0).unwrap(), all);
    for from in 0..31 {
        let wanted: Vec<_> = all.iter().filter(|record| record.slot >= from).cloned().collect();
        assert_eq!(log.iter_from(from).unwrap().collect::<Result<Vec<_>>>().unwrap(), wanted);
    }
}

#[test]
fn a_segment_ends_at_a_slot_boundary_only() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    for _ in 0..40 {
        log.append(1, 3, &[7; 100], Durability::Written).unwrap();
    }
    assert_eq!(log.segments().unwrap(), [3]);
    log.append(1, 9, &[7; 100], Durability::Written).unwrap();
    assert_eq!(log.segments().unwrap(), [3, 9]);
}

#[test]
fn a_segment_ends_inside_a_batch_that_crosses_a_slot_boundary() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    let payload = [7; 100];
    // As a sequencer writes: the end of a slot and the beginning of the next come together.
    let record = |slot| RecordRef { kind: 1, slot, payload: &payload };
    for slot in 1..30 {
        let batch = [record(slot), record(slot), record(slot + 1)];
        log.append_batch(&batch, Durability::Written).unwrap();
    }
    let segments = log.segments().unwrap();
    assert!(segments.len() > 3, "{segments:?}");
    let slots: Vec<u64> = read(dir.path(), 0).unwrap().iter().map(|record| record.slot).collect();
    assert_eq!(slots.len(), 87);
    assert!(slots.is_sorted());
    // What is pruned is whole slots, and what is asked for is still there.
    let removed = log.prune_before(segments[2]).unwrap();
    assert_eq!(removed, 2);
    let left = read(dir.path(), segments[2]).unwrap();
    assert_eq!(left.len(), slots.iter().filter(|slot| **slot >= segments[2]).count());
    drop(log);
    let log = Log::open(dir.path(), small()).unwrap();
    assert_eq!((log.last_slot(), log.cut()), (Some(30), None));
}

#[test]
fn a_batch_is_one_write_and_bad_records_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    let batch = [
        RecordRef { kind: 1, slot: 4, payload: b"a" },
        RecordRef { kind: 2, slot: 4, payload: b"" },
        RecordRef { kind: 1, slot: 5, payload: b"b" },
    ];
    let position = log.append_batch(&batch, Durability::Synced).unwrap();
    assert_eq!(log.sync_handle().synced(), position);
    let back = |kind, slot| {
        log.append_batch(&[RecordRef { kind, slot, payload: b"x" }], Durability::Written)
    };
    let mut back = back;
    assert!(matches!(back(1, 4), Err(StorageError::SlotOrder { slot: 4, last: 5 })));
    assert!(matches!(back(0, 6), Err(StorageError::ReservedKind)));
    let huge = vec![0; RECORD_BYTES_MAX as usize + 1];
    let refused = log.append(1, 6, &huge, Durability::Written);
    assert!(matches!(refused, Err(StorageError::TooLarge { .. })));
    let kinds: Vec<_> = read(dir.path(), 0).unwrap().iter().map(|r| (r.kind, r.slot)).collect();
    assert_eq!(kinds, [(1, 4), (2, 4), (1, 5)]);
}

#[test]
fn an_interrupted_last_write_is_cut_at_every_byte() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    let mut all = fill(&mut log, 1..4);
    let file = last_file(dir.path());
    let before = fs::metadata(&file).unwrap().len();
    log.append(9, 4, &[0xEE; 40], Durability::Written).unwrap();
    drop(log);
    let whole = fs::read(&file).unwrap();
    for length in before..whole.len() as u64 {
        fs::write(&file, &whole[..length as usize]).unwrap();
        assert_eq!(read(dir.path(), 0).unwrap(), all, "read-only at {length}");
        let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
        match log.cut() {
            None => assert_eq!(length, before),
            Some(cut) => {
                let wanted = (before, length - before, 0);
                assert_eq!((cut.offset, cut.bytes, cut.records), wanted);
            }
        }
        assert_eq!(log.last_slot(), Some(3));
        let more = fill(&mut log, 4..5);
        all.extend(more);
        assert_eq!(read(dir.path(), 0).unwrap(), all);
        all.truncate(all.len() - 3);
    }
    // Space that the file system gave out and the process never wrote.
    let mut zeros = whole[..before as usize].to_vec();
    zeros.resize(before as usize + 5000, 0);
    fs::write(&file, &zeros).unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(log.cut().unwrap().bytes, 5000);
}

/// A stale tail: the old bytes behind a new, shorter end are no records.
#[test]
fn the_tail_of_a_reused_file_is_no_record() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    fill(&mut log, 1..6);
    drop(log);
    let file = last_file(dir.path());
    let old = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    let all = fill(&mut log, 1..4);
    drop(log);
    let mut new = fs::read(&file).unwrap();
    new.extend_from_slice(&old[new.len()..]);
    fs::write(&file, &new).unwrap();
    let log = Log::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(log.cut().map(|cut| cut.records), Some(0));
    assert_eq!(read(dir.path(), 0).unwrap(), all);
}

#[test]
fn every_flipped_byte_before_the_last_record_is_an_error() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    fill(&mut log, 1..4);
    let file = last_file(dir.path());
    let before = fs::metadata(&file).unwrap().len() as usize;
    log.sync_handle().sync().unwrap();
    log.append(9, 4, b"the last one", Durability::Written).unwrap();
    drop(log);
    let whole = fs::read(&file).unwrap();
    for at in 0..before {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        match Log::open(dir.path(), LogOptions::default()) {
            Err(StorageError::LogDamaged { file: named, offset, synced, .. }) => {
                assert_eq!((&named, synced), (&file, true));
                assert!(offset as usize <= at);
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert!(read(dir.path(), 0).is_err(), "read-only at {at}");
    }
}

/// Every byte that is left is right, and still something is missing.
#[test]
fn a_record_cut_out_of_the_middle_is_an_error() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    fill(&mut log, 1..3);
    let file = last_file(dir.path());
    let from = fs::metadata(&file).unwrap().len() as usize;
    log.append(1, 3, b"cut out", Durability::Written).unwrap();
    let to = fs::metadata(&file).unwrap().len() as usize;
    fill(&mut log, 3..5);
    drop(log);
    let mut bytes = fs::read(&file).unwrap();
    bytes.drain(from..to);
    fs::write(&file, &bytes).unwrap();
    let wanted = from as u64;
    let refused = Log::open(dir.path(), LogOptions::default());
    assert!(matches!(refused, Err(StorageError::LogDamaged { offset, .. }) if offset == wanted));
    assert!(read(dir.path(), 0).is_err());
}

#[test]
fn unsynced_damage_is_refused_or_cut_and_synced_damage_never_cut() {
    let cut = LogOptions { unsynced_damage: UnsyncedDamage::Cut, ..LogOptions::default() };
    for synced in [false, true] {
        let dir = TempDir::new().unwrap();
        let mut log = Log::open(dir.path(), cut).unwrap();
        let all = fill(&mut log, 1..4);
        let file = last_file(dir.path());
        let damage = fs::metadata(&file).unwrap().len() as usize;
        fill(&mut log, 4..5);
        if synced {
            log.sync_handle().sync().unwrap();
        }
        fill(&mut log, 5..6);
        drop(log);
        let mut bytes = fs::read(&file).unwrap();
        bytes[damage + 4] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let refused = Log::open(dir.path(), LogOptions::default());
        assert!(matches!(refused, Err(StorageError::LogDamaged { synced: s, .. }) if s == synced));
        let opened = Log::open(dir.path(), cut);
        if synced {
            assert!(matches!(opened, Err(StorageError::LogDamaged { .. })));
        } else {
            let report = opened.unwrap().cut().cloned().unwrap();
            assert_eq!((report.offset, report.records), (damage as u64, 5));
            assert_eq!(read(dir.path(), 0).unwrap(), all);
        }
    }
}

#[test]
fn damage_in_an_earlier_segment_and_lost_segments_are_found() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    let all = fill(&mut log, 1..20);
    drop(log);
    let second = list_segments(dir.path()).unwrap()[1].path.clone();
    let whole = fs::read(&second).unwrap();
    // Cut exactly behind a record: only the chain across segments tells.
    let first_record = 44 + 29 + payload(list_segments(dir.path()).unwrap()[1].first_slot, 0).len();
    for bytes in [&whole[..first_record], &whole[..whole.len() - 1]] {
        fs::write(&second, bytes).unwrap();
        assert!(matches!(read(dir.path(), 0), Err(StorageError::LogDamaged { synced: true, .. })));
    }
    fs::remove_file(&second).unwrap();
    assert!(matches!(read(dir.path(), 0), Err(StorageError::LogDamaged { .. })));
    fs::write(&second, &whole).unwrap();
    assert_eq!(read(dir.path(), 0).unwrap(), all);
}

#[test]
fn an_empty_last_segment_is_taken_back() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), small()).unwrap();
    let all = fill(&mut log, 1..8);
    let count = log.segments().unwrap().len();
    drop(log);
    let files = list_segments(dir.path()).unwrap();
    let last = fs::read(&files[count - 1].path).unwrap();
    fs::write(&files[count - 1].path, &last[..44 + 10]).unwrap();
    let log = Log::open(dir.path(), small()).unwrap();
    assert_eq!(log.segments().unwrap().len(), count - 1);
    assert_eq!(log.last_slot(), Some(files[count - 1].first_slot - 1));
    let kept = all.iter().filter(|record| record.slot < files[count - 1].first_slot);
    assert_eq!(read(dir.path(), 0).unwrap(), kept.cloned().collect::<Vec<_>>());
    drop(log);
    // The same with a record missing before it: that one was synced, so it is no torn tail.
    fs::write(&files[count - 1].path, &last[..44]).unwrap();
    let before = fs::read(&files[count - 2].path).unwrap();
    fs::write(&files[count - 2].path, &before[..before.len() - 1]).unwrap();
    let refused = Log::open(dir.path(), small());
    assert!(matches!(refused, Err(StorageError::LogDamaged { synced: true, .. })));
}

#[test]
fn pruning_removes_only_whole_older_segments() {
    for slot in 0..25 {
        let dir = TempDir::new().unwrap();
        let mut log = Log::open(dir.path(), small()).unwrap();
        let all = fill(&mut log, 1..20);
        let before = log.segments().unwrap();
        let removed = log.prune_before(slot).unwrap();
        let after = log.segments().unwrap();
        assert_eq!(after, before[removed..]);
        assert!(!after.is_empty());
        let from = slot.max(after[0]);
        let kept = all.iter().filter(|record| record.slot >= from);
        assert_eq!(read(dir.path(), from).unwrap(), kept.cloned().collect::<Vec<_>>());
        if removed > 0 {
            assert!(slot >= after[0]);
            assert!(matches!(read(dir.path(), 0), Err(StorageError::LogPruned { .. })));
        }
        fill(&mut log, 20..21);
        drop(log);
        assert_eq!(Log::open(dir.path(), small()).unwrap().last_slot(), Some(20));
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_no_trace() {
    let dir = TempDir::new().unwrap();
    let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
    let mut all = fill(&mut log, 1..3);
    fault::fail_after(Some(0));
    let full = log.append(1, 3, b"lost", Durability::Written);
    fault::fail_after(None);
    assert!(matches!(full, Err(StorageError::DiskFull { .. })), "{full:?}");
    all.extend(fill(&mut log, 3..4));
    assert_eq!(read(dir.path(), 0).unwrap(), all);
    // A failed sync is different: what the system holds is unknown.
    log.append(1, 4, b"written", Durability::Written).unwrap();
    fault::fail_after(Some(0));
    assert!(log.sync_handle().sync().is_err());
    fault::fail_after(None);
    let stopped = log.append(1, 4, b"after", Durability::Written);
    assert!(matches!(stopped, Err(StorageError::LogFailed { .. })));
}

#[test]
fn a_failed_rotation_is_settled_by_reopening() {
    for steps in 0..8 {
        let dir = TempDir::new().unwrap();
        let mut log = Log::open(dir.path(), small()).unwrap();
        let mut all = Vec::new();
        let mut slot = 1;
        while log.current.as_ref().is_none_or(|current| current.length < 400) {
            all.extend(fill(&mut log, slot..slot + 1));
            slot += 1;
        }
        fault::fail_after(Some(steps));
        let outcome = log.append(1, slot, b"in the next segment", Durability::Written);
        fault::fail_after(None);
        if steps == 0 {
            // Nothing is begun before everything behind it is on disk.
            assert!(matches!(outcome, Err(StorageError::DiskFull { action: "sync", .. })));
        }
        if outcome.is_err() {
            // Up to the step that makes the segment durable, what is in the folder is unknown
            // until it is opened again; the write of the record itself (step 6) is taken back.
            let after = log.append(1, slot + 1, b"after", Durability::Written);
            if steps == 6 {
                after.unwrap();
                all.push(Record { kind: 1, slot: slot + 1, payload: b"after".to_vec() });
            } else {
                assert!(matches!(after, Err(StorageError::LogFailed { .. })), "{steps} steps");
            }
        }
        drop(log);
        let mut log = Log::open(dir.path(), small()).unwrap();
        if outcome.is_ok() {
            all.push(Record { kind: 1, slot, payload: b"in the next segment".to_vec() });
        }
        assert_eq!(read(dir.path(), 0).unwrap(), all, "{steps} steps: {outcome:?}");
        all.extend(fill(&mut log, slot + 3..slot + 5));
        assert_eq!(read(dir.path(), 0).unwrap(), all);
    }
}

#[test]
fn a_reader_follows_the_writer() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_path_buf();
    let total = 3 * 400;
    let follower = std::thread::spawn(move || {
        let mut reader = LogReader::open(&path, 1).unwrap();
        let mut records = Vec::new();
        while records.len() < total {
            records.extend(reader.next_record().unwrap());
        }
        records
    });
    let mut log = Log::open(dir.path(), small()).unwrap();
    let handle = log.sync_handle();
    let syncer = std::thread::spawn(move || {
        for _ in 0..20 {
            handle.sync().unwrap();
        }
    });
    let all = fill(&mut log, 1..401);
    syncer.join().unwrap();
    assert_eq!(follower.join().unwrap(), all);
}

const LIMITED_CHILD: &str = "ATOLL_STORAGE_TEST_LOG_LIMITED";

/// Not a test by itself: a process whose files may not grow past a limit, so that the system
/// itself cuts a write in two.
#[test]
fn child_with_a_file_size_limit() {
    let Some(dir) = std::env::var_os(LIMITED_CHILD) else { return };
    let dir = PathBuf::from(dir);
    let mut log = Log::open(&dir, LogOptions::default()).unwrap();
    let mut count = 0u64;
    while log.append(1, 1, &[7; 5000], Durability::Written).is_ok() {
        count += 1;
        assert!(count < 1000, "the limit does not hold");
    }
    let length = fs::metadata(last_file(&dir)).unwrap().len();
    assert_eq!(length, 44 + count * 5029, "part of a failed write is left");
    log.append(2, 1, b"this fits", Durability::Synced).unwrap();
    println!("\nlimited after {count}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_write_that_the_system_cuts_in_two_leaves_no_trace() {
    let dir = TempDir::new().unwrap();
    let out = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["child_with_a_file_size_limit", "--nocapture", "--test-threads=1"])
        .env(LIMITED_CHILD, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let count = text.lines().find_map(|line| line.strip_prefix("limited after ")?.parse().ok());
    let count: usize = count.unwrap_or_else(|| panic!("{text}"));
    let records = read(dir.path(), 0).unwrap();
    assert!(count > 2);
    assert_eq!(records.len(), count + 1);
    assert_eq!(records[count].payload, b"this fits");
}

const CHILD: &str = "ATOLL_STORAGE_TEST_LOG";

/// Not a test by itself: the process that the next test kills.
#[test]
fn child_that_appends_until_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let options = LogOptions { segment_bytes: 20_000, ..LogOptions::default() };
    let mut log = Log::open(PathBuf::from(dir), options).unwrap();
    let first = log.last_slot().map_or(1, |slot| slot + 1);
    for slot in first.. {
        for index in 0..3 {
            log.append(1 + index as u8, slot, &payload(slot, index), Durability::Written).unwrap();
        }
        // Straight to the pipe: an acknowledgement must not be held back by a buffer.
        let mut out = fs::OpenOptions::new().write(true).open("/dev/stdout").unwrap();
        out.write_all(format!("\nack {slot}\n").as_bytes()).unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_acknowledged_survives_sigkill() {
    let dir = TempDir::new().unwrap();
    let mut acknowledged = std::collections::BTreeSet::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_appends_until_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let acks = out.lines().map_while(std::io::Result::ok);
        let mut acks = acks.filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok());
        acknowledged.extend(acks.by_ref().take(20 + round * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(acks);
        let log = Log::open(dir.path(), LogOptions::default()).unwrap();
        assert!(log.last_slot() >= acknowledged.last().copied());
        let records = read(dir.path(), 0).unwrap();
        for &slot in &acknowledged {
            let found: Vec<_> = records.iter().filter(|record| record.slot == slot).collect();
            assert_eq!(found.len(), 3, "slot {slot}");
            for (index, record) in found.iter().enumerate() {
                assert_eq!(record.payload, payload(slot, index as u64));
            }
        }
    }
    assert!(acknowledged.len() > 8 * 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written over a log: opening and reading never panic, and what is read is a
    /// prefix of what was written.
    #[test]
    fn any_damage_leaves_a_prefix_or_an_error(
        edits in proptest::collection::vec((0usize..2500, any::<u8>()), 1..6),
        length in 0usize..3000,
        cut: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let mut log = Log::open(dir.path(), LogOptions::default()).unwrap();
        let all = fill(&mut log, 1..12);
        drop(log);
        let file = last_file(dir.path());
        let mut bytes = fs::read(&file).unwrap();
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.resize(length, 0xA5);
        fs::write(&file, &bytes).unwrap();
        let unsynced_damage = if cut { UnsyncedDamage::Cut } else { UnsyncedDamage::Refuse };
        let options = LogOptions { unsynced_damage, ..LogOptions::default() };
        if Log::open(dir.path(), options).is_ok() {
            let records = read(dir.path(), 0).unwrap();
            prop_assert_eq!(&records[..], &all[..records.len()]);
        }
    }
}
