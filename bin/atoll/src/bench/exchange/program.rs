//! A peer that is a program: other people's engines that nobody wants in this workspace.
//!
//! It is started with the name of a file of steps ([`super::stream::write`]) and how many of them
//! are not timed. At each line on its standard input it runs the stream on a fresh book and says
//! `SECONDS RESTING OPEN TRADES`: seconds of its thread for the timed steps, orders that rest in
//! the end, what is open of them, and trades.

use super::stream::{self, Stream};
use super::streams::End;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running peer.
pub(super) struct Program {
    pub(super) name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    file: PathBuf,
}

impl Program {
    /// Writes the stream to a temporary file and starts the program on it.
    pub(super) fn start(path: &Path, stream: &Stream) -> Result<Self> {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().to_string();
        let file = format!("atoll-bench-{}-{name}-{}", stream.name, std::process::id());
        let file = std::env::temp_dir().join(file);
        let at = || format!("cannot write {}", file.display());
        let mut out = BufWriter::new(std::fs::File::create(&file).with_context(at)?);
        stream::write(stream, &mut out).and_then(|()| out.flush()).with_context(at)?;
        let mut child = Command::new(path)
            .arg(&file)
            .arg(stream.untimed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let input = child.stdin.take().context("a peer's standard input")?;
        let output = BufReader::new(child.stdout.take().context("a peer's standard output")?);
        Ok(Self { name, child, input, output, file })
    }

    /// One run.
    pub(super) fn once(&mut self) -> Result<(f64, End)> {
        let told = writeln!(self.input, "run").and_then(|()| self.input.flush());
        told.with_context(|| format!("{} has ended", self.name))?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let expected =
            || format!("{}: expected SECONDS RESTING OPEN TRADES, and got {line:?}", self.name);
        let mut words = line.split_whitespace();
        let mut word = || words.next().with_context(expected);
        let seconds = word()?.parse().with_context(expected)?;
        let resting = word()?.parse().with_context(expected)?;
        let open = word()?.parse().with_context(expected)?;
        let trades = Some(word()?.parse().with_context(expected)?);
        Ok((seconds, End { resting, open, trades }))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends with its input; one that does not is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}
