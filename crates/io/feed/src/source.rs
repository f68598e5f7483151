//! Bytes of a recording, decompressed on the way, cut into lines of bounded length.
//!
//! Memory is bounded: decoder windows by [`WINDOW_BYTES_MAX`], lines by the caller's limit. A
//! line over the limit is read past without being kept, but not further than
//! [`SKIP_BYTES_MAX`]: a stream that expands for ever without a line break ends there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lzma_rust2::XzReader;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// Greatest window of a decompressor.
const WINDOW_BYTES_MAX: u32 = 128 << 20;
/// Bytes read past for one line that is over the limit.
const SKIP_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a read from the file or the decompressor.
const BUFFER_BYTES: usize = 64 << 10;

/// How a recording is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one member or many.
    Gzip,
    /// xz, one stream or many.
    Xz,
    /// Zstandard, one frame or many.
    Zstd,
}

impl Compression {
    /// By the first bytes, whatever the file is called.
    fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Where the bytes come from; opened once per pass.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// How much of a recording was read, before decompression.
#[derive(Debug, Clone, Default)]
pub(crate) struct Position {
    read: Arc<AtomicU64>,
    bytes: u64,
}

impl Position {
    /// From 0 to 1.
    pub(crate) fn fraction(&self) -> f64 {
        self.read.load(Relaxed) as f64 / self.bytes.max(1) as f64
    }
}

struct Counted {
    source: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// A recording's plain bytes.
pub(crate) struct Opened {
    pub(crate) compression: Compression,
    pub(crate) position: Position,
    pub(crate) plain: Box<dyn BufRead + Send>,
}

impl Origin {
    pub(crate) fn open(&self) -> io::Result<Opened> {
        let (source, bytes): (Box<dyn Read + Send>, u64) = match self {
            Self::File(path) => {
                let file = File::open(path)?;
                let bytes = file.metadata()?.len();
                (Box::new(file), bytes)
            }
            Self::Bytes(bytes) => {
                (Box::new(io::Cursor::new(Arc::clone(bytes))), bytes.len() as u64)
            }
        };
        let position = Position { read: Arc::default(), bytes };
        let raw = Counted { source, read: position.read.clone() };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, raw);
        let compression = Compression::detect(raw.fill_buf()?);
        let plain: Box<dyn Read + Send> = match compression {
            Compression::Plain => {
                return Ok(Opened { compression, position, plain: Box::new(raw) });
            }
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Compression::Xz => Box::new(XzReader::new_mem_limit(raw, true, WINDOW_BYTES_MAX >> 10)),
            Compression::Zstd => Box::new(ZstdReader::new(raw)),
        };
        let plain = Box::new(BufReader::with_capacity(BUFFER_BYTES, plain));
        Ok(Opened { compression, position, plain })
    }
}

/// All frames of a Zstandard stream, checksums verified.
struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(u64::from(WINDOW_BYTES_MAX));
        Self { source, decoder, in_frame: false }
    }

    /// Begins the next frame; `false` at the end of the stream.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn check_frame(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(recorded), Some(calculated)) if recorded != calculated => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "zstd checksum does not match"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.check_frame()?;
            self.in_frame = false;
        }
    }
}

/// What [`Lines::next`] found.
#[derive(Debug)]
pub(crate) enum Line {
    /// A line is in the buffer, without its line break.
    Whole,
    /// A line over the limit was read past; its beginning is in the buffer.
    TooLong,
    /// The stream is broken; what stood before it on its line is dropped.
    Broken(io::Error),
    /// The end.
    End,
}

/// Lines of a stream.
pub(crate) struct Lines {
    source: Box<dyn BufRead + Send>,
    bytes_max: usize,
    buffer: Vec<u8>,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(source: Box<dyn BufRead + Send>, bytes_max: usize) -> Self {
        Self { source, bytes_max, buffer: Vec::new(), ended: false }
    }

    /// The line that [`Lines::next`] found last.
    pub(crate) fn text(&self) -> &[u8] {
        let text = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
    }

    pub(crate) fn next(&mut self) -> Line {
        self.buffer.clear();
        if self.ended {
            return Line::End;
        }
        let mut length = 0u64;
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    return Line::Broken(error);
                }
            };
            if available.is_empty() {
                self.ended = true;
                return if length == 0 { Line::End } else { self.found(length) };
            }
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = self.bytes_max.saturating_sub(self.buffer.len()).min(part.len());
            self.buffer.extend_from_slice(&part[..room]);
            length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            if end.is_some() {
                return self.found(length);
            }
            if length > SKIP_BYTES_MAX {
                self.ended = true;
                let why = "no line break in 64 MiB: not a recording, or a decompression bomb";
                return Line::Broken(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }

    fn found(&self, length: u64) -> Line {
        if length > self.bytes_max as u64 { Line::TooLong } else { Line::Whole }
    }
}
