//! The exchange state machine: books, margin, accounts and risk as a pure function (state, command) -> events.
