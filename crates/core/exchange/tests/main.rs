//! All tests of the exchange through its public API, in one program: the engine is generic over where
//! objects come from, and compiling it for each file took longer than running them.
#![allow(missing_docs)]

mod common;

mod books;
mod conditional;
mod corpus;
mod deleveraging;
mod events;
mod headroom;
mod liquidation;
mod liquidation_edges;
mod listing;
mod margin;
mod orders;
mod parallel;
mod prices;
mod random;
mod random_liquidation;
mod random_listing;
mod recorded;
mod spec;
mod trading;
