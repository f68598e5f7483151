//! Binding the listening socket, and how many sockets the process can afford.

use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait for `accept` in the kernel.
const BACKLOG: u32 = 1024;
/// Open files left to the log, the stores and everything else.
const FILES_RESERVED: u64 = 256;

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error(
        "{address} is in use by {holder}; stop it, or choose another address with --listen HOST:PORT"
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// The process that has it.
        holder: String,
    },
    /// The system refuses for another reason.
    #[error("cannot listen on {address}: {source}; choose another address with --listen HOST:PORT")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

pub(super) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the last run's sockets in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            let holder = holder(address.port()).unwrap_or_else(|| "another process".to_owned());
            BindError::InUse { address, holder }
        }
        _ => BindError::Refused { address, source },
    })
}

/// Lowers a wish for connections to what the process may open.
pub(super) fn affordable_connections(wanted: usize) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    // Below twice the reserve, half of what there is: a gateway must at least answer.
    let affordable = files.saturating_sub(FILES_RESERVED).max(files / 2).max(1);
    let affordable = usize::try_from(affordable).unwrap_or(usize::MAX);
    if affordable < wanted {
        tracing::warn!(
            wanted,
            affordable,
            "the limit on open files (ulimit -n) allows fewer connections than configured"
        );
    }
    wanted.min(affordable)
}

/// Raises the process's soft limit on open files to its hard limit and returns what holds now.
/// For the composition root, before anything else is opened.
pub fn raise_open_files_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    // Some systems refuse "unlimited": then what was there stays.
    if setrlimit(Resource::Nofile, limit).is_ok() { limit.maximum } else { before }
}

/// Names the process that listens on a TCP port, where the system tells (Linux, own processes).
fn holder(port: u16) -> Option<String> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(&"0A"), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            if local.ends_with(&format!(":{port:04X}")) {
                inodes.push(format!("socket:[{inode}]"));
            }
        }
    }
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        if !process.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = std::fs::read_link(file.path()) else { continue };
            if inodes.iter().any(|inode| target.as_os_str() == inode.as_str()) {
                let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
                let id = process.file_name();
                return Some(format!("{} (process {})", name.trim(), id.to_string_lossy()));
            }
        }
    }
    None
}
