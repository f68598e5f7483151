//! Orders transactions into ticks and slots and signs the chain of confirmations.
