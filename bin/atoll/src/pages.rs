//! Huge pages for state.
//!
//! A venue's state is larger than any cache and what a command touches lies all over it, so the
//! processor looks up where pages are as often as it waits for memory. With pages of 2 MiB the
//! exchange does a tenth to a fifth more commands a second (docs/PERFORMANCE.md). glibc asks the
//! kernel for them, but only if it is told so before the process starts: so the process starts
//! itself again, once, as the same process with the same arguments.

/// What glibc reads, and what it is to find there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Starts the process again with huge pages, unless it has them, the kernel has none, or somebody
/// has set glibc's tunables and so chosen.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn huge() {
    use std::os::unix::process::CommandExt;
    const KERNEL: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    let some = std::fs::read_to_string(KERNEL).is_ok_and(|modes| !modes.contains("[never]"));
    if !some || std::env::var_os(TUNABLES.0).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Returns only if it fails; then small pages do.
    let error = again.args(arguments).env(TUNABLES.0, TUNABLES.1).exec();
    tracing::debug!("no huge pages: {error}");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn huge() {}
