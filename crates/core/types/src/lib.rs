//! Identifiers, codec, signatures, slots, confirmations and statements: the words every other crate uses.
