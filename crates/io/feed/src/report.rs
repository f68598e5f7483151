//! What was read, what was left out, and why.

use std::collections::BTreeMap;
use std::fmt;

/// Lines kept as samples of damage.
pub(crate) const SAMPLES_MAX: usize = 8;
/// Characters of a line kept in a sample.
const SAMPLE_CHARS_MAX: usize = 120;

/// Why a line was skipped as damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DamageReason {
    /// Longer than the limit of a line.
    LineTooLong,
    /// Not the number of comma-separated fields that the format has.
    FieldCount,
    /// Not one JSON object, or a field has another type than the format says.
    BadJson,
    /// A field that the message must have is missing.
    MissingField,
    /// The time is not a number, or out of range.
    BadTime,
    /// The order id is not an unsigned number.
    BadId,
    /// Neither side of the book.
    BadSide,
    /// An action or event type that the format does not know.
    BadAction,
    /// The price is not a positive decimal.
    BadPrice,
    /// The size is not a decimal, or zero where it must not be.
    BadSize,
    /// More decimals than the instrument's units have.
    TooPrecise,
    /// The number does not fit 64 bits in the instrument's units.
    Overflow,
    /// Best bid at or above best ask.
    CrossedQuote,
    /// The file cannot be read or decompressed any further: cut short or corrupt.
    BrokenStream,
}

impl DamageReason {
    /// Stable code, e.g. for JSON reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::FieldCount => "field_count",
            Self::BadJson => "bad_json",
            Self::MissingField => "missing_field",
            Self::BadTime => "bad_time",
            Self::BadId => "bad_id",
            Self::BadSide => "bad_side",
            Self::BadAction => "bad_action",
            Self::BadPrice => "bad_price",
            Self::BadSize => "bad_size",
            Self::TooPrecise => "too_precise",
            Self::Overflow => "overflow",
            Self::CrossedQuote => "crossed_quote",
            Self::BrokenStream => "broken_stream",
        }
    }
}

impl fmt::Display for DamageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a sound line gave no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IgnoredReason {
    /// Nothing on it.
    Blank,
    /// The column names.
    Header,
    /// A message type that carries no order flow, e.g. a mark price.
    OtherMessage,
    /// A message of another symbol than the feed's.
    OtherSymbol,
    /// A quote with one side empty.
    OneSidedQuote,
    /// A trade outside the book (insurance fund, auto-deleveraging).
    OffBookTrade,
}

impl IgnoredReason {
    /// Stable code, e.g. for JSON reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Header => "header",
            Self::OtherMessage => "other_message",
            Self::OtherSymbol => "other_symbol",
            Self::OneSidedQuote => "one_sided_quote",
            Self::OffBookTrade => "off_book_trade",
        }
    }
}

/// One damaged line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageSample {
    /// Line number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: DamageReason,
    /// Its beginning, with control characters escaped; or the error of a broken stream.
    pub text: String,
}

/// What a feed has read so far.
///
/// `lines` = `events` + all of `ignored` + all of `damaged` (a broken stream counts as the line
/// it cuts).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedReport {
    /// Lines read.
    pub lines: u64,
    /// Events given out.
    pub events: u64,
    /// Events by [`EventKind::name`](crate::EventKind::name).
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Sound lines without an event, by reason.
    pub ignored: BTreeMap<IgnoredReason, u64>,
    /// Damaged lines by reason.
    pub damaged: BTreeMap<DamageReason, u64>,
    /// The first few damaged lines.
    pub samples: Vec<DamageSample>,
    /// Time of the first event.
    pub first_time_ns: Option<u64>,
    /// Greatest time of an event.
    pub last_time_ns: Option<u64>,
    /// Events with a time before the greatest so far; they keep their place.
    pub out_of_order: u64,
}

impl FeedReport {
    /// Damaged lines of all kinds.
    pub fn damaged_total(&self) -> u64 {
        self.damaged.values().sum()
    }

    pub(crate) fn count_event(&mut self, event: &crate::Event) {
        self.events += 1;
        *self.by_kind.entry(event.kind.name()).or_default() += 1;
        self.first_time_ns.get_or_insert(event.time_ns);
        match self.last_time_ns {
            Some(last) if event.time_ns < last => self.out_of_order += 1,
            _ => self.last_time_ns = Some(event.time_ns),
        }
    }

    pub(crate) fn count_ignored(&mut self, reason: IgnoredReason) {
        *self.ignored.entry(reason).or_default() += 1;
    }

    pub(crate) fn count_damage(&mut self, reason: DamageReason, text: &[u8]) {
        *self.damaged.entry(reason).or_default() += 1;
        if self.samples.len() < SAMPLES_MAX {
            let shown = &text[..text.len().min(SAMPLE_CHARS_MAX)];
            let shown = String::from_utf8_lossy(shown);
            let shown = shown.chars().flat_map(char::escape_debug);
            let text = shown.take(SAMPLE_CHARS_MAX).collect();
            self.samples.push(DamageSample { line: self.lines, reason, text });
        }
    }
}
