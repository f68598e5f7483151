//! Which of many sockets have something to read.
//!
//! `poll` looks at every socket each time it is asked, which at ten thousand requests a second takes more
//! time than sending them. Linux remembers them; elsewhere `poll` has to do.

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::TcpStream;
use std::time::Duration;

/// Waits until one of these has something; false if the time is over.
fn wait_for(fds: &mut [PollFd<'_>], wait: Duration) -> Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(fds, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(error).context("cannot wait for answers"),
    }
}

#[cfg(target_os = "linux")]
mod sockets {
    use super::*;
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::fd::OwnedFd;

    /// Sockets that are looked at, by their indices.
    pub(in crate::bench::load) struct Sockets {
        epoll: OwnedFd,
        events: Vec<Event>,
    }

    impl Sockets {
        pub(in crate::bench::load) fn new(streams: &[&TcpStream]) -> Result<Self> {
            let epoll = epoll::create(CreateFlags::CLOEXEC).context("no epoll instance")?;
            for (at, stream) in streams.iter().enumerate() {
                epoll::add(&epoll, stream, EventData::new_u64(at as u64), EventFlags::IN)
                    .context("a socket cannot be waited for")?;
            }
            Ok(Self { epoll, events: Vec::with_capacity(streams.len().max(1)) })
        }

        /// Those that have something, at the latest after so long.
        pub(in crate::bench::load) fn ready(&mut self, wait: Duration) -> Result<Vec<usize>> {
            // epoll waits for whole milliseconds; poll, for its descriptor, to the nanosecond.
            if !wait_for(&mut [PollFd::new(&self.epoll, PollFlags::IN)], wait)? {
                return Ok(Vec::new());
            }
            self.events.clear();
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&now))
                .context("cannot wait for answers")?;
            Ok(self.events.iter().map(|event| event.data.u64() as usize).collect())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sockets {
    use super::*;

    /// Sockets that are looked at, by their indices.
    pub(in crate::bench::load) struct Sockets(Vec<TcpStream>);

    impl Sockets {
        pub(in crate::bench::load) fn new(streams: &[&TcpStream]) -> Result<Self> {
            let cloned = streams.iter().map(|stream| stream.try_clone());
            Ok(Self(cloned.collect::<Result<_, _>>()?))
        }

        /// Those that have something, at the latest after so long.
        pub(in crate::bench::load) fn ready(&mut self, wait: Duration) -> Result<Vec<usize>> {
            let mut fds: Vec<PollFd<'_>> =
                self.0.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
            wait_for(&mut fds, wait)?;
            let ready = fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
            Ok(ready.map(|(at, _)| at).collect())
        }
    }
}

pub(super) use sockets::Sockets;
