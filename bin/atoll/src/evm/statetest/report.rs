//! What came of all tests, for people and for machines.

use super::case::Outcome;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) left_out: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Failure {
    pub(super) file: String,
    pub(super) test: String,
    pub(super) fork: String,
    /// Of data, gas limit and value.
    pub(super) indexes: [usize; 3],
    pub(super) what: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) files: usize,
    pub(super) tests: usize,
    forks: BTreeMap<String, Count>,
    folders: BTreeMap<String, Count>,
    left_out: BTreeMap<&'static str, usize>,
    pub(super) failures: Vec<Failure>,
}

fn folder(file: &str) -> String {
    file.rsplit_once('/').map_or_else(|| ".".to_string(), |(folder, _)| folder.to_string())
}

impl Tally {
    pub(super) fn of_one_file() -> Self {
        Self { files: 1, ..Self::default() }
    }

    pub(super) fn count(&mut self, file: &str, fork: &str, outcome: &Outcome) {
        let count = |count: &mut Count| match outcome {
            Outcome::Passed => count.passed += 1,
            Outcome::Failed(_) => count.failed += 1,
            Outcome::LeftOut(_) => count.left_out += 1,
        };
        count(self.forks.entry(fork.to_string()).or_default());
        count(self.folders.entry(folder(file)).or_default());
        if let Outcome::LeftOut(why) = outcome {
            *self.left_out.entry(why).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        let merge = |into: &mut BTreeMap<String, Count>, from: BTreeMap<String, Count>| {
            for (name, more) in from {
                let count = into.entry(name).or_default();
                count.passed += more.passed;
                count.failed += more.failed;
                count.left_out += more.left_out;
            }
        };
        self.files += other.files;
        self.tests += other.tests;
        merge(&mut self.forks, other.forks);
        merge(&mut self.folders, other.folders);
        for (why, times) in other.left_out {
            *self.left_out.entry(why).or_default() += times;
        }
        self.failures.extend(other.failures);
    }

    pub(super) fn total(&self) -> Count {
        self.forks.values().fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            left_out: sum.left_out + count.left_out,
        })
    }
}

fn table(out: &mut String, title: &str, counts: &BTreeMap<String, Count>) {
    let width = counts.keys().map(String::len).chain([title.len()]).max().unwrap_or_default();
    let _ = writeln!(out, "{title:width$}  {:>8}  {:>8}  {:>8}", "passed", "failed", "left out");
    for (name, Count { passed, failed, left_out }) in counts {
        let _ = writeln!(out, "{name:width$}  {passed:>8}  {failed:>8}  {left_out:>8}");
    }
    out.push('\n');
}

/// The summary for people, with so many failures described.
pub(super) fn text(tally: &Tally, seconds: f64, failures: usize) -> String {
    let mut out = String::new();
    table(&mut out, "folder", &tally.folders);
    table(&mut out, "fork", &tally.forks);
    for (why, times) in &tally.left_out {
        let _ = writeln!(out, "left out, {times}: {why}");
    }
    for failure in tally.failures.iter().take(failures) {
        let [data, gas, value] = failure.indexes;
        let _ = writeln!(
            out,
            "failed: {} {} under {}, data {data}, gas {gas}, value {value}: {}",
            failure.file, failure.test, failure.fork, failure.what
        );
    }
    if tally.failures.len() > failures {
        let _ = writeln!(out, "and {} more (--failures N)", tally.failures.len() - failures);
    }
    let Count { passed, failed, left_out } = tally.total();
    let _ = writeln!(
        out,
        "{} files, {} tests: {passed} passed, {failed} failed, {left_out} left out, {seconds:.1} s",
        tally.files, tally.tests
    );
    out
}

/// The summary for machines.
pub(super) fn json(tally: &Tally, seconds: f64) -> serde_json::Value {
    let total = tally.total();
    json!({
        "files": tally.files,
        "tests": tally.tests,
        "passed": total.passed,
        "failed": total.failed,
        "left_out": total.left_out,
        "reasons": tally.left_out,
        "forks": tally.forks,
        "folders": tally.folders,
        "failures": tally.failures,
        "seconds": seconds,
    })
}
