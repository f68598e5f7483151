//! Authenticated state: the trie with NOMT roots, proofs, witnesses, typed objects and ordered sets.
