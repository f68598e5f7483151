//! Bounded admission of transactions, with lanes.
