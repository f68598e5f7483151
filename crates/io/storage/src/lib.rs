//! What is on disk: the slot log, snapshots, the history index and the lock on a data folder.
