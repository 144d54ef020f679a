//! Posts one request over and over at a fixed pace, and prints how long the answers took as one line of JSON.
//!
//! A client that asks only when it has its answer goes easy on a server that stalls, and its percentiles know nothing of the requests
//! it would have sent meanwhile. Here every request has a moment when it is due, and its time counts from then.
//! One thread and one epoll for all connections: client and server share the processors, and with a thread a connection the client
//! took more of them than the server it measured.
//!
//! Usage: `pace ADDRESS PATH RATE SECONDS CONNECTIONS BODY-FILE [HEADER…]`

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{env, fs, str};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is left out at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);
/// A server that is silent for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer answers are not expected.
const ANSWER_BYTES: usize = 4096;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, path, rate, seconds, connections, body, headers @ ..] = &*arguments else {
        return Err("usage: pace ADDRESS PATH RATE SECONDS CONNECTIONS BODY-FILE [HEADER…]".into());
    };
    let request = request(address, path, headers, &fs::read(body)?);
    let measured = Duration::from_secs_f64(seconds.parse()?);
    let connections = (0..connections.parse()?).map(|_| Connection::open(address)).collect::<io::Result<_>>()?;
    let seen = Client::new(request, rate.parse()?, connections)?.run(WARM_UP + measured)?;
    println!("{}", seen.summary(measured));
    Ok(())
}

fn request(address: &str, path: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What was seen, warm-up aside.
#[derive(Default)]
struct Seen {
    microseconds: Vec<u64>,
    refused: u64,
    /// Of all, the warm-up included.
    answered: u64,
}

impl Seen {
    fn summary(mut self, length: Duration) -> String {
        let times = &mut self.microseconds;
        times.sort_unstable();
        let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0);
        format!(
            r#"{{"requests":{},"answered":{},"seconds":{},"refused":{},"p50_us":{},"p99_us":{},"p999_us":{},"max_us":{}}}"#,
            times.len(),
            self.answered,
            length.as_secs_f64(),
            self.refused,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        )
    }
}

struct Connection {
    stream: TcpStream,
    /// When the requests were due that have no answer yet; the first of them is on its way.
    due: VecDeque<Duration>,
    /// What came of its answer.
    answer: Vec<u8>,
    /// What is left to send of it.
    unsent: usize,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: VecDeque::new(), answer: Vec::with_capacity(ANSWER_BYTES), unsent: 0 })
    }

    /// Sends as much of the request as the connection takes now.
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&request[request.len() - self.unsent..]) {
                Ok(sent) => self.unsent -= sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; whether the answer is complete, and then whether it is a 200.
    fn receive(&mut self) -> io::Result<Option<bool>> {
        let mut buffer = [0; ANSWER_BYTES];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some((is_ok, length)) = complete(&self.answer)? {
                self.answer.drain(..length);
                return Ok(Some(is_ok));
            }
        }
    }
}

/// Whether a complete answer is a 200, and its length; None as long as it is not complete.
fn complete(answer: &[u8]) -> io::Result<Option<(bool, usize)>> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let lines = str::from_utf8(&answer[..head]).map_err(io::Error::other)?;
    let is_length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    };
    let body = lines.lines().find_map(is_length).unwrap_or(Ok(0)).map_err(io::Error::other)?;
    let length = head + 4 + body;
    Ok((answer.len() >= length).then(|| (lines.starts_with("HTTP/1.1 200"), length)))
}

struct Client {
    request: Vec<u8>,
    /// Between two requests, whichever connection they go over: the connections take turns.
    interval: Duration,
    connections: Vec<Connection>,
    epoll: rustix::fd::OwnedFd,
    begin: Instant,
    seen: Seen,
}

impl Client {
    fn new(request: Vec<u8>, rate: f64, connections: Vec<Connection>) -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, connection) in connections.iter().enumerate() {
            // Edges: whoever is woken reads and writes until the connection gives no more.
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&epoll, &connection.stream, EventData::new_u64(number as u64), flags)?;
        }
        Ok(Self {
            request,
            interval: Duration::from_secs_f64(1.0 / rate),
            connections,
            epoll,
            begin: Instant::now(),
            seen: Seen::default(),
        })
    }

    /// Sends whatever is due within `length`, and waits for every answer.
    fn run(mut self, length: Duration) -> Outcome<Seen> {
        let mut number = 0;
        let mut waiting = 0;
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            let now = self.begin.elapsed();
            let next = loop {
                let due = self.interval.mul_f64(f64::from(number));
                if due > now || due >= length {
                    break due;
                }
                let connection = number as usize % self.connections.len();
                self.ask(connection, due)?;
                (number, waiting) = (number + 1, waiting + 1);
            };
            let is_over = next >= length;
            if is_over && waiting == 0 {
                return Ok(self.seen);
            }
            let patience = if is_over { PATIENCE } else { next.saturating_sub(self.begin.elapsed()) };
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::try_from(patience)?)) {
                Ok(_) => {}
                // Stopped and continued.
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if is_over && events.is_empty() {
                return Err(format!("{waiting} requests without an answer after {PATIENCE:?}").into());
            }
            for event in &events {
                waiting -= usize::from(self.serve(event.data.u64() as usize)?);
            }
        }
    }

    /// A request is due: it goes out at once if its connection has nothing on its way.
    fn ask(&mut self, connection: usize, due: Duration) -> io::Result<()> {
        let connection = &mut self.connections[connection];
        connection.due.push_back(due);
        if connection.due.len() == 1 {
            connection.unsent = self.request.len();
            connection.send(&self.request)?;
        }
        Ok(())
    }

    /// A connection has something to tell; whether it was an answer. One at most is on its way, so nothing stands behind it.
    fn serve(&mut self, connection: usize) -> io::Result<bool> {
        let connection = &mut self.connections[connection];
        connection.send(&self.request)?;
        let Some(is_ok) = connection.receive()? else { return Ok(false) };
        let Some(due) = connection.due.pop_front() else { return Err(io::Error::other("an answer that nobody asked for")) };
        self.seen.answered += u64::from(is_ok);
        if due >= WARM_UP {
            self.seen.refused += u64::from(!is_ok);
            self.seen.microseconds.push((self.begin.elapsed() - due).as_micros() as u64);
        }
        if !connection.due.is_empty() {
            connection.unsent = self.request.len();
            connection.send(&self.request)?;
        }
        Ok(true)
    }
}
