//! The documents that paths name: files, folders, archives, compressed or not.
//!
//! One document is in memory at a time, and none above [`BYTES_MAX`]; decoders have windows up to
//! [`WINDOW_KIB_MAX`].

use anyhow::{Context, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest document, decompressed.
const BYTES_MAX: u64 = 1 << 30;
/// Largest window of a decoder, in KiB: what `xz -9` makes, and as much again.
const WINDOW_KIB_MAX: u32 = 1 << 17;

/// A JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// Its path, or that inside of its archive.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Hands every document that a path names to `take`, in the order of their names, as long as it says
/// so.
pub(super) fn each(
    paths: &[PathBuf],
    take: &mut dyn FnMut(Document) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for path in paths {
        ensure!(path.exists(), "{}: there is no such file or folder", path.display());
        if !visit(path, true, take)? {
            return Ok(());
        }
    }
    Ok(())
}

type Take<'a> = dyn FnMut(Document) -> anyhow::Result<bool> + 'a;

fn visit(path: &Path, named: bool, take: &mut Take<'_>) -> anyhow::Result<bool> {
    if !path.is_dir() {
        // What was named is read whatever it is called; in folders other files may lie about.
        return if named || is_document(path) { open(path, take) } else { Ok(true) };
    }
    let read = || format!("{}: the folder cannot be read", path.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).with_context(read)? {
        entries.push(entry.with_context(read)?.path());
    }
    entries.sort_by_cached_key(|path| by_number(path));
    for entry in entries {
        // A link to a folder may lead back here.
        if entry.is_symlink() && entry.is_dir() {
            continue;
        }
        if !visit(&entry, false, take)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Files named by a number (blocks) come in the order of the numbers.
fn by_number(path: &Path) -> (u64, PathBuf) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.split('.').next().unwrap_or_default();
    (digits.parse().unwrap_or(u64::MAX), path.to_path_buf())
}

fn is_document(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".xz")).unwrap_or(name);
    bare.ends_with(".json") && !bare.starts_with('.')
}

fn open(path: &Path, take: &mut Take<'_>) -> anyhow::Result<bool> {
    let context = || format!("{}: cannot be read", path.display());
    let mut file = BufReader::new(File::open(path).with_context(context)?);
    let head = file.fill_buf().with_context(context)?;
    // By the first bytes, whatever the file is called.
    let reader: Box<dyn Read> = match head {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(XzReader::new_mem_limit(file, true, WINDOW_KIB_MAX))
        }
        _ => Box::new(file),
    };
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    // A tar archive has its magic in the middle of the first block, where JSON has text.
    if reader.fill_buf().with_context(context)?.get(257..262) == Some(b"ustar") {
        return archive(path, reader, take);
    }
    let name = path.display().to_string();
    let bytes = read(&mut reader, &name)?;
    take(Document { name, bytes })
}

fn read(reader: &mut dyn Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(BYTES_MAX + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("{name}: cannot be read to its end; is it complete?"))?;
    if bytes.len() as u64 > BYTES_MAX {
        bail!("{name}: has more than {BYTES_MAX} bytes; split it");
    }
    Ok(bytes)
}

fn archive(path: &Path, reader: impl Read, take: &mut Take<'_>) -> anyhow::Result<bool> {
    let broken = || format!("{}: the archive cannot be read to its end", path.display());
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().with_context(broken)? {
        let mut entry = entry.with_context(broken)?;
        let inside = entry.path().with_context(broken)?.into_owned();
        if !entry.header().entry_type().is_file() || !is_document(&inside) {
            continue;
        }
        let name = inside.display().to_string();
        let bytes = read(&mut entry, &name)?;
        if !take(Document { name, bytes })? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(paths: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        each(paths, &mut |document| {
            found.push(format!("{}={}", document.name, String::from_utf8_lossy(&document.bytes)));
            Ok(true)
        })?;
        Ok(found)
    }

    #[test]
    fn folders_archives_and_compressed_files_give_the_same_documents() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        };
        std::fs::create_dir(at("in")).expect("a folder");
        std::fs::write(at("in/10.json.gz"), gzip(b"{10}")).expect("written");
        std::fs::write(at("in/9.json"), b"{9}").expect("written");
        std::fs::write(at("in/notes.txt"), b"not a document").expect("written");
        let found = names(&[at("in")]).expect("read");
        let ends = |found: &[String], ends: [&str; 2]| {
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found.iter().zip(ends).all(|(found, end)| found.ends_with(end)), "{found:?}");
        };
        ends(&found, ["in/9.json={9}", "in/10.json.gz={10}"]);

        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in [("t/a.json", "{a}"), ("t/readme.md", "no"), ("t/b.json", "{b}")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, name, text.as_bytes()).expect("memory");
        }
        let bytes = builder.into_inner().expect("memory");
        std::fs::write(at("plain"), &bytes).expect("written");
        std::fs::write(at("small.tgz"), gzip(&bytes)).expect("written");
        for archive in ["plain", "small.tgz"] {
            ends(&names(&[at(archive)]).expect("read"), ["t/a.json={a}", "t/b.json={b}"]);
        }
    }

    #[test]
    fn what_is_missing_or_cut_off_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("none.json");
        let error = names(&[missing]).expect_err("missing").to_string();
        assert!(error.contains("none.json: there is no such file or folder"), "{error}");
        let cut = folder.path().join("cut.json.gz");
        std::fs::write(&cut, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]).expect("written");
        let error = format!("{:#}", names(&[cut]).expect_err("cut off"));
        assert!(error.contains("cut.json.gz: cannot be read"), "{error}");
    }
}
