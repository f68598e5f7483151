//! `atoll evm statetest`: Ethereum's state tests.

mod case;
mod format;
mod report;

use super::args::StatetestArgs;
use super::input::{self, Document};
use anyhow::{Context, bail, ensure};
use atoll_executor::parallel::{EvmParallel, Limits};
use case::Outcome;
use format::{Post, StateTest};
use report::{Failure, Tally};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Runs the tests of a document.
fn run_document(
    document: &Document,
    args: &StatetestArgs,
    mut parallel: Option<&mut EvmParallel>,
) -> anyhow::Result<Tally> {
    let tests: BTreeMap<String, StateTest> = serde_json::from_slice(&document.bytes)
        .with_context(|| format!("{}: is not a file of state tests", document.name))?;
    let mut tally = Tally::of_one_file();
    for (name, test) in &tests {
        let full = format!("{}/{name}", document.name);
        if args.only.as_ref().is_some_and(|text| !full.contains(text.as_str())) {
            continue;
        }
        tally.tests += 1;
        for (fork, posts) in &test.post {
            if !args.fork.is_empty() && !args.fork.contains(fork) {
                continue;
            }
            for post in posts {
                let outcome = run_both(test, fork, post, parallel.as_deref_mut());
                tally.count(&document.name, fork, &outcome);
                if let Outcome::Failed(what) = outcome {
                    let (file, test, fork) = (document.name.clone(), name.clone(), fork.clone());
                    let indexes = [post.indexes.data, post.indexes.gas, post.indexes.value];
                    tally.failures.push(Failure { file, test, fork, indexes, what });
                }
            }
        }
    }
    Ok(tally)
}

/// Runs a test serially, and in parallel if that is asked for.
fn run_both(
    test: &StateTest,
    fork: &str,
    post: &Post,
    parallel: Option<&mut EvmParallel>,
) -> Outcome {
    let run = |parallel: Option<&mut EvmParallel>| {
        // A panic on one test must not hide what the others say.
        let outcome = catch_unwind(AssertUnwindSafe(|| case::run(test, fork, post, parallel)));
        outcome.unwrap_or_else(|_| {
            Outcome::Failed("the executor panicked; its message is above".into())
        })
    };
    match (run(None), parallel) {
        (Outcome::Passed, Some(parallel)) => match run(Some(parallel)) {
            Outcome::Failed(what) => Outcome::Failed(format!("in parallel alone: {what}")),
            passed => passed,
        },
        (outcome, _) => outcome,
    }
}

/// Threads that execute everything in parallel, however small, if the command asks for it.
fn parallel(args: &StatetestArgs) -> anyhow::Result<Option<EvmParallel>> {
    let Some(threads) = args.threads else { return Ok(None) };
    let parallel = EvmParallel::new(threads.get(), 0).context("a thread cannot be started")?;
    Ok(Some(parallel.with_limits(Limits::always())))
}

fn progress(tally: &Tally, shown: &mut Instant, last: bool) {
    if !std::io::stderr().is_terminal() || (!last && shown.elapsed().as_millis() < 200) {
        return;
    }
    *shown = Instant::now();
    let (passed, failed) = (tally.total().passed, tally.total().failed);
    eprint!("\r{} files, {passed} passed, {failed} failed", tally.files);
    if last {
        eprintln!();
    }
    let _ = std::io::stderr().flush();
}

pub(super) fn run(args: &StatetestArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let tally = run_all(args)?;
    let seconds = started.elapsed().as_secs_f64();
    print!("{}", report::text(&tally, seconds, args.failures));
    if args.json {
        println!("{}", report::json(&tally, seconds));
    }
    let total = tally.total();
    if total.passed + total.failed == 0 {
        bail!(
            "nothing was run: {} files hold {} tests that were asked for; look at PATH, --fork and --only",
            tally.files,
            tally.tests
        );
    }
    ensure!(total.failed == 0, "{} of {} failed", total.failed, total.failed + total.passed);
    Ok(())
}

/// Reads on this thread, runs on others.
fn run_all(args: &StatetestArgs) -> anyhow::Result<Tally> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = args.jobs.map_or_else(cores, NonZeroUsize::get);
    let parallel = (0..jobs).map(|_| parallel(args)).collect::<anyhow::Result<Vec<_>>>()?;
    let (sender, receiver) = sync_channel::<Document>(2 * jobs);
    let receiver = Mutex::new(receiver);
    let state = Mutex::new((Tally::default(), Instant::now(), None::<anyhow::Error>));
    let read = std::thread::scope(|scope| {
        for mut parallel in parallel {
            let (receiver, state) = (&receiver, &state);
            scope.spawn(move || {
                loop {
                    let next = receiver.lock().unwrap_or_else(|lock| lock.into_inner()).recv();
                    let Ok(document) = next else { break };
                    let outcome = run_document(&document, args, parallel.as_mut());
                    let mut state = state.lock().unwrap_or_else(|lock| lock.into_inner());
                    let (tally, shown, error) = &mut *state;
                    match outcome {
                        Ok(one) => {
                            tally.add(one);
                            progress(tally, shown, false);
                        }
                        Err(found) => *error = error.take().or(Some(found)),
                    }
                }
            });
        }
        let read = input::each(&args.paths, &mut |document| {
            let stop = state.lock().unwrap_or_else(|lock| lock.into_inner()).2.is_some();
            Ok(!stop && sender.send(document).is_ok())
        });
        drop(sender);
        read
    });
    let (mut tally, mut shown, error) = state.into_inner().unwrap_or_else(|lock| lock.into_inner());
    progress(&tally, &mut shown, true);
    read?;
    match error {
        Some(error) => Err(error),
        None => {
            tally.failures.sort();
            Ok(tally)
        }
    }
}

#[cfg(test)]
fn args_for(only: Option<&str>) -> StatetestArgs {
    StatetestArgs {
        paths: Vec::new(),
        fork: Vec::new(),
        only: only.map(str::to_string),
        jobs: None,
        threads: None,
        failures: 20,
        json: false,
    }
}

#[cfg(test)]
mod tests;
