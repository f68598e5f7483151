//! The native exchange as a VM.
