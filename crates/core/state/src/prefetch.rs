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

/// Asks for all of what is at an address, at most four lines, whatever is there: an address may be
/// out of date.
#[inline(always)]
pub(crate) fn all<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    for line in 0..size_of::<T>().div_ceil(64).min(4) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[allow(unsafe_code, reason = "of an address alone, without a reference to what is there")]
        // SAFETY: a prefetch reads nothing that the program can see, and takes any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast::<i8>().wrapping_add(64 * line));
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
    let _ = at;
}
