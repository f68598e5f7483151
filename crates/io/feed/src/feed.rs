//! Opening a recording, settling its units, and reading it as events.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{collections::VecDeque, fmt, io};

use crate::decimal::Decimal;
use crate::error::FeedError;
use crate::event::{Event, Format, Instrument};
use crate::format::{Decoded, Decoder, FixedUnits, Units, day_from_name};
use crate::report::{DamageReason, FeedReport};
use crate::source::{Compression, Line, Lines, Opened, Origin, Position};

/// Lines that the format is looked for in.
const DETECT_LINES_MAX: usize = 32;
/// Characters of the first line in an error.
const SHOWN_CHARS_MAX: usize = 160;
/// Currencies that end a symbol, longest first where one ends another.
const QUOTES: [&str; 17] = [
    "USDT", "FDUSD", "TUSD", "BUSD", "USDC", "USDE", "USD", "EUR", "GBP", "JPY", "TRY", "BRL",
    "DAI", "BTC", "ETH", "BNB", "XRP",
];

/// How a recording is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Symbol to read, and its name where the format has none; by default the first found.
    pub symbol: Option<String>,
    /// Lines that the units are settled from. A later number with more decimals is damage.
    pub scan_lines_max: u64,
    /// Bytes of a line; a longer one is damage.
    pub line_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { symbol: None, scan_lines_max: 1_000_000, line_bytes_max: 1 << 20 }
    }
}

/// A recording being read: an iterator over its events, in file order.
///
/// Damaged lines are skipped and counted, never guessed at; [`Feed::report`] tells how many and
/// why. After the last event the report covers the whole file.
pub struct Feed {
    lines: Lines,
    position: Position,
    decoder: Decoder,
    units: FixedUnits,
    instrument: Instrument,
    compression: Compression,
    report: FeedReport,
}

impl Feed {
    /// Opens a recording; format and compression are recognised by content.
    ///
    /// Reads the beginning (`scan_lines_max`) once to settle the instrument's units.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, FeedError> {
        let path = path.as_ref().to_path_buf();
        let metadata = std::fs::metadata(&path)
            .map_err(|source| FeedError::Open { path: path.clone(), source })?;
        if !metadata.is_file() {
            return Err(FeedError::NotAFile { path });
        }
        let origin = Origin::File(path.clone());
        Self::from_origin(&path, &origin, options)
    }

    /// The same for a recording in memory; `name` stands for its file name.
    pub fn from_bytes(name: &str, bytes: Arc<[u8]>, options: &Options) -> Result<Self, FeedError> {
        Self::from_origin(Path::new(name), &Origin::Bytes(bytes), options)
    }

    fn from_origin(path: &Path, origin: &Origin, options: &Options) -> Result<Self, FeedError> {
        let open = || {
            let Opened { compression, position, plain } = origin
                .open()
                .map_err(|source| FeedError::Open { path: path.to_path_buf(), source })?;
            Ok::<_, FeedError>((compression, position, Lines::new(plain, options.line_bytes_max)))
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (compression, _, mut lines) = open()?;
        let mut decoder = detect(path, &name, &mut lines)?;
        let (_, _, mut lines) = open()?;
        let scan = Scan::run(&mut decoder, &mut lines, options);
        if scan.events == 0 {
            return Err(FeedError::NoEvents {
                path: path.to_path_buf(),
                format: decoder.format(),
                lines: scan.lines,
                symbol: options.symbol.clone(),
            });
        }
        let instrument = scan.instrument(&decoder, &name, options);
        let units = FixedUnits {
            price_decimals: instrument.price_decimals,
            size_decimals: instrument.size_decimals,
        };
        let (_, position, lines) = open()?;
        let report = FeedReport::default();
        Ok(Self { lines, position, decoder, units, instrument, compression, report })
    }

    /// What is traded, and the units of prices and sizes.
    pub fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// The recognised format.
    pub fn format(&self) -> Format {
        self.decoder.format()
    }

    /// The recognised compression.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How much of the file was read, from 0 to 1: for a display of progress.
    pub fn progress(&self) -> f64 {
        self.position.fraction()
    }

    /// What was read so far.
    pub fn report(&self) -> &FeedReport {
        &self.report
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("format", &self.format())
            .field("compression", &self.compression)
            .field("instrument", &self.instrument)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Iterator for Feed {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let line = self.lines.next();
            if matches!(line, Line::End) {
                return None;
            }
            self.report.lines += 1;
            let text = self.lines.text();
            match line {
                Line::Broken(error) => {
                    let reason = error.to_string();
                    self.report.count_damage(DamageReason::BrokenStream, reason.as_bytes());
                }
                Line::TooLong => self.report.count_damage(DamageReason::LineTooLong, text),
                Line::Whole | Line::End => match self.decoder.decode(text, &mut self.units) {
                    Ok(Decoded::Event(event)) => {
                        self.report.count_event(&event);
                        return Some(event);
                    }
                    Ok(Decoded::Ignored(reason)) => self.report.count_ignored(reason),
                    Err(reason) => self.report.count_damage(reason, text),
                },
            }
        }
    }
}

/// Finds the format in the first lines.
fn detect(path: &Path, name: &str, lines: &mut Lines) -> Result<Decoder, FeedError> {
    let mut first = VecDeque::new();
    let mut shown = None;
    let mut cause: Option<io::Error> = None;
    while first.len() < DETECT_LINES_MAX {
        let line = lines.next();
        if matches!(line, Line::Whole | Line::TooLong) && !lines.text().trim_ascii().is_empty() {
            shown.get_or_insert_with(|| {
                let text = lines.text();
                let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN_CHARS_MAX)]);
                text.chars().flat_map(char::escape_debug).take(SHOWN_CHARS_MAX).collect::<String>()
            });
        }
        match line {
            Line::Whole if !lines.text().trim_ascii().is_empty() => {
                first.push_back(lines.text().to_vec());
            }
            Line::Whole => {}
            // Takes a place, so that a file of nothing but such lines is not read to its end.
            Line::TooLong => first.push_back(Vec::new()),
            Line::Broken(error) => {
                cause = Some(error);
                break;
            }
            Line::End => break,
        }
    }
    first.retain(|line| !line.is_empty());
    let path = PathBuf::from(path);
    let Some(first_line) = shown else {
        return Err(FeedError::Empty { path, cause });
    };
    let midnight_ns = day_from_name(name).unwrap_or(0);
    Decoder::detect(&first, midnight_ns).ok_or(FeedError::UnknownFormat { path, first_line })
}

/// The first pass: which units fit, and which symbol comes first.
#[derive(Debug, Default)]
struct Scan {
    lines: u64,
    events: u64,
    whole_file: bool,
    prices: Grid,
    sizes: Grid,
}

impl Scan {
    /// Also settles the decoder's symbol.
    fn run(decoder: &mut Decoder, lines: &mut Lines, options: &Options) -> Self {
        let mut scan = Self::default();
        let mut seen = Seen::default();
        if let Decoder::Binance { symbol } = decoder {
            *symbol = options.symbol.as_ref().map(|s| s.to_ascii_uppercase());
        }
        while scan.lines < options.scan_lines_max {
            let line = lines.next();
            match line {
                Line::Whole => {}
                Line::TooLong => {
                    scan.lines += 1;
                    continue;
                }
                Line::Broken(_) | Line::End => {
                    scan.whole_file = true;
                    break;
                }
            }
            scan.lines += 1;
            seen.clear();
            if let Ok(Decoded::Event(_)) = decoder.decode(lines.text(), &mut seen) {
                scan.events += 1;
                seen.prices.iter().for_each(|&price| scan.prices.add(price));
                seen.sizes.iter().for_each(|&size| scan.sizes.add(size));
                if let Decoder::Binance { symbol: None } = decoder
                    && let Some(found) = decoder.symbol_of(lines.text())
                {
                    *decoder = Decoder::Binance { symbol: Some(found) };
                }
            }
        }
        scan
    }

    fn instrument(&self, decoder: &Decoder, name: &str, options: &Options) -> Instrument {
        let named = match decoder {
            Decoder::Binance { symbol } => symbol.clone(),
            Decoder::Bitstamp => name
                .split(|c: char| !c.is_ascii_alphanumeric())
                .map(str::to_ascii_uppercase)
                .find(|part| split_symbol(part).is_some()),
            Decoder::Lobster { .. } => name
                .split(['_', '.'])
                .next()
                .filter(|part| part.len() <= 6 && part.bytes().all(|b| b.is_ascii_uppercase()))
                .map(str::to_owned),
        };
        let asked = options.symbol.as_ref().map(|s| s.to_ascii_uppercase());
        let symbol = asked.or(named).unwrap_or_default();
        let (base, quote) = match decoder {
            Decoder::Lobster { .. } => (symbol.clone(), "USD".to_owned()),
            _ => split_symbol(&symbol).unwrap_or_else(|| (symbol.clone(), String::new())),
        };
        Instrument {
            symbol,
            base,
            quote,
            price_decimals: self.prices.decimals,
            size_decimals: self.sizes.decimals,
            tick: self.prices.step(),
            lot: self.sizes.step(),
            whole_file: self.whole_file,
        }
    }
}

/// `BTCUSDT` as `BTC` and `USDT`.
fn split_symbol(symbol: &str) -> Option<(String, String)> {
    QUOTES.iter().find_map(|quote| {
        let base = symbol.strip_suffix(quote).filter(|base| base.len() >= 2)?;
        Some((base.to_owned(), (*quote).to_owned()))
    })
}

/// The numbers of one line, taken into account only when all of the line is sound.
#[derive(Debug, Default)]
struct Seen {
    prices: Vec<Decimal>,
    sizes: Vec<Decimal>,
}

impl Seen {
    fn clear(&mut self) {
        self.prices.clear();
        self.sizes.clear();
    }
}

impl Units for Seen {
    fn price(&mut self, price: Decimal) -> Result<u64, DamageReason> {
        self.prices.push(price);
        Ok(1)
    }

    fn size(&mut self, size: Decimal) -> Result<u64, DamageReason> {
        self.sizes.push(size);
        Ok(1)
    }
}

/// The coarsest grid that all numbers so far lie on.
#[derive(Debug, Default)]
struct Grid {
    decimals: u8,
    /// Greatest common divisor, in units of `10^-decimals`.
    divisor: u64,
}

impl Grid {
    fn add(&mut self, number: Decimal) {
        if number.is_zero() {
            return;
        }
        if number.decimals() > self.decimals {
            let factor = 10u64.checked_pow(u32::from(number.decimals() - self.decimals));
            // Coarser numbers that overflow here are reported as damage when they are read.
            self.divisor = factor.and_then(|f| self.divisor.checked_mul(f)).unwrap_or(1);
            self.decimals = number.decimals();
        }
        if let Some(units) = number.to_units(self.decimals) {
            let (mut a, mut b) = (units, self.divisor);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            self.divisor = a;
        }
    }

    fn step(&self) -> u64 {
        self.divisor.max(1)
    }
}
