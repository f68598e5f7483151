//! Why a feed could not be opened.

use std::io;
use std::path::PathBuf;

/// Why a feed could not be opened. Damage inside an opened feed is never an error: it is counted
/// in the [`FeedReport`](crate::FeedReport).
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be opened.
    #[error("cannot open the recording {path}: {source}; check the path and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder, pipe or device: a feed reads its file twice.
    #[error(
        "{path} is not a regular file; the recording is read twice (units first), \
         so save a pipe to a file first"
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Nothing could be read: no lines, or the stream is broken before the first.
    #[error(
        "{path} holds no readable line{}; check that the download is complete",
        cause.as_ref().map(|c| format!(" ({c})")).unwrap_or_default()
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// The error of the reader or decompressor, if there was one.
        cause: Option<io::Error>,
    },
    /// None of the first lines is in a known format.
    #[error(
        "{path}: unknown recording format; its first line is `{first_line}`; expected one of: \
         Bitstamp L3 CSV with the header \
         `id,timestamp,exchange.timestamp,price,volume,action,direction`; \
         Binance JSON lines `[receive time ns] {{\"e\":\"bookTicker\"|\"trade\"|\"depthUpdate\",…}}`; \
         LOBSTER *message* CSV `seconds,type,order id,size,price×10000,direction` (not the \
         orderbook file); each plain or compressed with gzip, xz or zstd"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Beginning of its first line that is not blank.
        first_line: String,
    },
    /// The format is known, but no line of the scan gives an event.
    #[error(
        "{path}: no event in the first {lines} lines of this {format} file{}; \
         check that it is the right file",
        symbol.as_ref().map(|s| format!(" for the symbol {s}")).unwrap_or_default()
    )]
    NoEvents {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: crate::Format,
        /// Lines looked at.
        lines: u64,
        /// The symbol that was asked for.
        symbol: Option<String>,
    },
}
