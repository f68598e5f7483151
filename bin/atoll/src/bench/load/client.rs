//! An open-loop client: it sends by the clock, whether answers come or not.
//!
//! Send times are those of a Poisson process, fixed before the first is sent. A latency begins at
//! the scheduled time, so an order that had to wait (for a connection, for the sender) shows that
//! wait: nothing is hidden by a sender that slows down with what it measures. One thread, no
//! runtime: it polls its sockets and writes what is due.

use super::ready::Sockets;
use super::wire::{self, Destination, Door, Message};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long after the last send answers are waited for.
const GRACE: Duration = Duration::from_secs(5);
/// Longest wait in one poll.
const POLL_MAX: Duration = Duration::from_millis(100);
/// How long a full socket is left alone.
const FULL_PAUSE: Duration = Duration::from_millis(1);
const READ_BYTES: usize = 64 * 1024;

/// A request, ready to be written.
pub(in crate::bench) struct Request {
    /// Which account sends it: over WebSockets, one account keeps to one connection.
    pub(in crate::bench) account: usize,
    pub(in crate::bench) bytes: Vec<u8>,
}

/// What came of an offer.
pub(in crate::bench) struct Offer {
    pub(in crate::bench) offered: usize,
    pub(in crate::bench) accepted: usize,
    pub(in crate::bench) refused: BTreeMap<String, usize>,
    /// Requests that were refused or never answered.
    pub(in crate::bench) failed: Vec<usize>,
    pub(in crate::bench) unanswered: usize,
    /// From the first scheduled send to the last one.
    pub(in crate::bench) send_s: f64,
    /// From the first scheduled send to the last answer.
    pub(in crate::bench) answer_s: f64,
    /// From scheduled send to answer.
    pub(in crate::bench) latency_us: Histogram<u64>,
    /// From scheduled send to write.
    pub(in crate::bench) lag_us: Histogram<u64>,
    /// Processor time of this thread, seconds.
    pub(in crate::bench) generator_s: f64,
    /// Processor time of the rest of the process meanwhile.
    pub(in crate::bench) node_s: f64,
}

impl Offer {
    pub(in crate::bench) fn answered(&self) -> usize {
        self.offered - self.unanswered
    }

    pub(in crate::bench) fn answered_per_s(&self) -> f64 {
        self.answered() as f64 / self.answer_s.max(f64::EPSILON)
    }
}

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Where the input that is not read yet begins.
    read: usize,
    /// Over HTTP: the request that is being answered.
    current: Option<usize>,
}

impl Connection {
    fn open(destination: Destination) -> Result<Self> {
        let Destination { door, address, .. } = destination;
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let mut input = Vec::new();
        if door == Door::WebSocket {
            stream.write_all(&destination.handshake())?;
            let mut buffer = [0; 1024];
            let end = loop {
                if let Some(end) = wire::head_end(&input) {
                    break end;
                }
                let n = stream.read(&mut buffer)?;
                if n == 0 {
                    bail!("the node closed the connection during the WebSocket handshake");
                }
                input.extend_from_slice(&buffer[..n]);
            };
            if !input.starts_with(b"HTTP/1.1 101") {
                bail!("no WebSocket: {}", String::from_utf8_lossy(&input));
            }
            input.drain(..end);
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, out: Vec::new(), input, read: 0, current: None })
    }

    /// Writes what the socket takes.
    fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => drop(self.out.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the node closed a connection"),
            }
        }
        Ok(())
    }

    /// Reads what there is.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.drain(..std::mem::take(&mut self.read));
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the node closed a connection"),
                Ok(n) => {
                    self.input.extend_from_slice(&buffer[..n]);
                    if n < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read from the node"),
            }
        }
    }
}

fn cpu_s(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

/// When to send each request: exponential gaps with this mean rate.
fn schedule(count: usize, rate_per_s: f64) -> Vec<Duration> {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut at = 0.0;
    let next = |_| {
        at += -(1.0 - rng.random::<f64>()).ln() / rate_per_s;
        Duration::from_secs_f64(at)
    };
    (0..count).map(next).collect()
}

struct Client {
    destination: Destination,
    connections: Vec<Connection>,
    sockets: Sockets,
    /// Connections without a request, over HTTP.
    free: Vec<usize>,
    due: Vec<Duration>,
    done: Vec<bool>,
    begin: Instant,
    offer: Offer,
}

/// Offers the requests at this rate and waits for their answers.
pub(in crate::bench) fn offer(
    destination: Destination,
    connections: usize,
    requests: &[Request],
    rate_per_s: f64,
) -> Result<Offer> {
    let open = |_| Connection::open(destination);
    let connections = (0..connections).map(open).collect::<Result<Vec<_>>>()?;
    let streams: Vec<&TcpStream> = connections.iter().map(|c| &c.stream).collect();
    let sockets = Sockets::new(&streams)?;
    let due = schedule(requests.len(), rate_per_s);
    let send_s = due.last().map_or(0.0, Duration::as_secs_f64);
    let client = Client {
        destination,
        free: (0..connections.len()).collect(),
        connections,
        sockets,
        due,
        done: vec![false; requests.len()],
        begin: Instant::now() + Duration::from_millis(10),
        offer: Offer {
            offered: requests.len(),
            accepted: 0,
            refused: BTreeMap::new(),
            failed: Vec::new(),
            unanswered: requests.len(),
            send_s,
            answer_s: 0.0,
            latency_us: histogram()?,
            lag_us: histogram()?,
            generator_s: 0.0,
            node_s: 0.0,
        },
    };
    client.run(requests)
}

impl Client {
    fn run(mut self, requests: &[Request]) -> Result<Offer> {
        let (own, all) = (cpu_s(ClockId::ThreadCPUTime), cpu_s(ClockId::ProcessCPUTime));
        let end = self.due.last().copied().unwrap_or_default() + GRACE;
        let mut buffer = vec![0; READ_BYTES];
        let mut next = 0;
        while self.offer.unanswered > 0 {
            let mut now = self.now();
            let mut wait = POLL_MAX;
            while let (Some(request), Some(due)) = (requests.get(next), self.due.get(next)) {
                if *due > now {
                    now = self.now();
                    if *due > now {
                        wait = wait.min(*due - now);
                        break;
                    }
                }
                if !self.send(next, request, now)? {
                    // Every connection is waiting for an answer: so does the request.
                    break;
                }
                next += 1;
            }
            if now > end {
                break;
            }
            for connection in &mut self.connections {
                connection.flush()?;
            }
            self.receive(wait, &mut buffer)?;
        }
        let own = cpu_s(ClockId::ThreadCPUTime) - own;
        self.offer.generator_s = own;
        self.offer.node_s = cpu_s(ClockId::ProcessCPUTime) - all - own;
        let lost = self.done.iter().enumerate().filter(|(_, done)| !**done);
        self.offer.failed.extend(lost.map(|(request, _)| request));
        Ok(self.offer)
    }

    /// Time since the beginning; zero before it.
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.begin)
    }

    /// Puts a request on its way; false if no connection is free for it.
    fn send(&mut self, number: usize, request: &Request, now: Duration) -> Result<bool> {
        let at = match self.destination.door {
            Door::Http => match self.free.pop() {
                Some(at) => at,
                None => return Ok(false),
            },
            Door::WebSocket => request.account % self.connections.len(),
        };
        let connection = &mut self.connections[at];
        connection.out.extend_from_slice(&request.bytes);
        if self.destination.door == Door::Http {
            connection.current = Some(number);
            connection.flush()?;
        }
        debug_assert!(now >= self.due[number], "sent before its time");
        let lag = now.saturating_sub(self.due[number]);
        self.offer.lag_us.saturating_record(micros(lag));
        Ok(true)
    }

    /// Waits for something to read and takes the answers.
    fn receive(&mut self, wait: Duration, buffer: &mut [u8]) -> Result<()> {
        // What a full socket did not take is tried again soon.
        let is_full = self.connections.iter().any(|connection| !connection.out.is_empty());
        let wait = if is_full { wait.min(FULL_PAUSE) } else { wait };
        let ready = self.sockets.ready(wait)?;
        for at in ready {
            self.connections[at].fill(buffer)?;
            self.answers(at)?;
        }
        Ok(())
    }

    /// Takes the whole answers that a connection has received.
    fn answers(&mut self, at: usize) -> Result<()> {
        let now = self.now();
        let connection = &mut self.connections[at];
        while let Some((message, length)) =
            self.destination.door.next_message(&connection.input[connection.read..])?
        {
            connection.read += length;
            match message {
                Message::Answer(answer) => {
                    let number = match self.destination.door {
                        Door::Http => connection.current.take(),
                        Door::WebSocket => wire::id_of(answer),
                    };
                    let number = number.filter(|number| self.done.get(*number) == Some(&false));
                    let number = number.with_context(|| {
                        let text = String::from_utf8_lossy(answer);
                        format!("an answer to nothing that was asked: {text}")
                    })?;
                    self.done[number] = true;
                    let offer = &mut self.offer;
                    offer.unanswered -= 1;
                    offer.answer_s = offer.answer_s.max(now.as_secs_f64());
                    let latency = now.saturating_sub(self.due[number]);
                    offer.latency_us.saturating_record(micros(latency));
                    match self.destination.api.refusal(answer) {
                        None => offer.accepted += 1,
                        Some(reason) => {
                            *offer.refused.entry(reason).or_default() += 1;
                            offer.failed.push(number);
                        }
                    }
                    if self.destination.door == Door::Http {
                        self.free.push(at);
                    }
                }
                Message::Ping(payload) => {
                    let pong = wire::pong(payload);
                    connection.out.extend_from_slice(&pong);
                }
                Message::Other => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Api;
    use super::*;
    use std::net::TcpListener;

    /// Answers every request with success, and says how many there were.
    fn serve(listener: TcpListener) -> usize {
        let clients = listener.incoming().take(4).map(|stream| {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let (mut buffer, mut served) = ([0; 1024], 0);
                while let Ok(1..) = stream.read(&mut buffer) {
                    served += 1;
                    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";
                    stream.write_all(ok).unwrap();
                }
                served
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    }

    #[test]
    fn nothing_is_sent_before_its_time_and_everything_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || serve(listener));
        let destination = Destination { api: Api::Exchange, door: Door::Http, address };
        let request = |id| Request { account: id, bytes: destination.request(id, "{}") };
        let requests: Vec<Request> = (0..1_500).map(request).collect();
        let offer = offer(destination, 4, &requests, 5_000.0).unwrap();
        assert_eq!(server.join().unwrap(), 1_500);
        assert_eq!((offer.accepted, offer.unanswered, offer.failed.len()), (1_500, 0, 0));
        assert_eq!((offer.latency_us.len(), offer.lag_us.len()), (1_500, 1_500));
        assert!(offer.answer_s > offer.send_s, "{} {}", offer.answer_s, offer.send_s);
        assert!((0.2..0.4).contains(&offer.send_s), "{}", offer.send_s);
    }
}
