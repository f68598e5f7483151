//! Asking the memory for what is needed soon.
//!
//! State is larger than any cache, and what a command touches lies all over it. A prefetch starts
//! the transfer and does not wait for it, so the latencies of several objects pass together. It
//! changes nothing but time: no result depends on it, and where the processor has no such
//! instruction (the proof guest) it is nothing at all.

/// Asks for the cache line in which `at` begins.
#[inline(always)]
pub fn line<T>(at: &T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    safe_arch::prefetch_t0(at);
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
    let _ = at;
}
