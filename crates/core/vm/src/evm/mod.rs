//! The Ethereum virtual machine, by revm, over objects.
