//! The data folder under two processes, two networks and interrupted resets.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::fs_util::fault;

const ONE: Network = [1; 32];
const TWO: Network = [0xAB; 32];

#[test]
fn one_network_per_folder_until_reset() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("deep/data");
    let dir = DataDir::open(&path, ONE).unwrap();
    std::fs::write(dir.log_dir().join("x"), b"x").unwrap();
    std::fs::write(path.join("mine.txt"), b"x").unwrap();
    assert_eq!(DataDirView::open(&path).unwrap().network(), ONE);
    drop(dir);
    let error = DataDir::open(&path, TWO).unwrap_err();
    assert!(matches!(error, StorageError::WrongNetwork { found: ONE, expected: TWO, .. }));
    assert!(error.to_string().contains("--reset"));
    assert!(DataDir::open(&path, ONE).unwrap().log_dir().join("x").exists());
    let dir = DataDir::reset(&path, TWO).unwrap();
    assert!(!dir.log_dir().join("x").exists());
    assert!(path.join("mine.txt").exists());
    drop(dir);
    assert_eq!(DataDir::open(&path, TWO).unwrap().network(), TWO);
}

#[test]
fn newer_formats_and_foreign_folders_are_refused() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("data");
    drop(DataDir::open(&path, ONE).unwrap());
    std::fs::write(path.join("format"), "atoll data folder, format 2\nanything\n").unwrap();
    let error = DataDir::open(&path, ONE).unwrap_err();
    assert!(matches!(error, StorageError::NewerFormat { found: 2, supported: 1, .. }));
    assert!(matches!(DataDirView::open(&path), Err(StorageError::NewerFormat { .. })));
    drop(DataDir::reset(&path, ONE).unwrap());
    for text in
        ["", "other", "atoll data folder, format 1", "atoll data folder, format 1\nnetwork 00"]
    {
        std::fs::write(path.join("format"), text).unwrap();
        assert!(matches!(DataDir::open(&path, ONE), Err(StorageError::NotADataDir { .. })));
    }
    let home = root.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("thesis"), b"years of work").unwrap();
    assert!(matches!(DataDir::open(&home, ONE), Err(StorageError::NotADataDir { .. })));
    assert!(matches!(DataDir::reset(&home, ONE), Err(StorageError::NotADataDir { .. })));
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
    assert!(matches!(DataDirView::open(&home), Err(StorageError::NotADataDir { .. })));
}

#[test]
fn an_interrupted_start_or_reset_is_completed() {
    for steps in 0..20 {
        let root = TempDir::new().unwrap();
        let path = root.path().join("data");
        fault::fail_after(Some(steps));
        let first = DataDir::open(&path, ONE);
        fault::fail_after(None);
        drop(first);
        let dir = DataDir::open(&path, ONE).unwrap();
        std::fs::write(dir.log_dir().join("x"), b"x").unwrap();
        std::fs::write(dir.history_dir().join("x"), b"x").unwrap();
        drop(dir);
        fault::fail_after(Some(steps));
        drop(DataDir::reset(&path, ONE));
        fault::fail_after(None);
        let dir = DataDir::open(&path, ONE).unwrap();
        let left = [dir.log_dir().join("x").exists(), dir.history_dir().join("x").exists()];
        assert!(left == [false; 2] || left == [true; 2], "half a reset after {steps} steps");
    }
}

const CHILD: &str = "ATOLL_STORAGE_TEST_LOCK";

/// Not a test by itself: the process that holds the lock in the next one.
#[test]
fn child_that_holds_the_lock() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let _dir = DataDir::open(PathBuf::from(path), ONE).unwrap();
    println!("\nlocked");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_second_process_is_refused_until_the_first_dies() {
    let root = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_holds_the_lock", "--nocapture", "--test-threads=1"])
        .env(CHILD, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(std::io::Result::ok).any(|line| line == "locked"));
    for attempt in [DataDir::open(root.path(), ONE), DataDir::reset(root.path(), TWO)] {
        let error = attempt.unwrap_err();
        assert!(matches!(error, StorageError::AlreadyInUse { pid, .. } if pid == Some(child.id())));
        assert!(error.to_string().contains("--data-dir"));
    }
    assert_eq!(DataDirView::open(root.path()).unwrap().network(), ONE);
    child.kill().unwrap();
    child.wait().unwrap();
    DataDir::open(root.path(), ONE).unwrap();
}
