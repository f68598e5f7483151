//! The state transition of a slot, and its verification from a witness alone.
