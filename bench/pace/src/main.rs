//! Posts one request over and over at a fixed pace, and prints how long the answers took as one line of JSON.
//!
//! A client that asks only when it has its answer goes easy on a server that stalls, and its percentiles know nothing of the requests
//! it would have sent meanwhile. Here every request has a moment when it is due, and its time counts from then.
//! One thread a connection, since a thread wakes from its sleep more exactly than a runtime's timer fires.
//!
//! Usage: `pace ADDRESS PATH RATE SECONDS CONNECTIONS BODY-FILE [HEADER…]`

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What is left out at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);
/// For all connections to be there before the first request is due.
const GATHER: Duration = Duration::from_millis(500);
/// A server that is silent for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

struct Plan {
    address: String,
    request: Vec<u8>,
    /// Between two requests of one connection.
    interval: Duration,
    begin: Instant,
    /// With the warm-up.
    length: Duration,
}

/// What one connection saw, warm-up aside.
#[derive(Default)]
struct Seen {
    microseconds: Vec<u64>,
    refused: u64,
    /// Of all, the warm-up included.
    answered: u64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, path, rate, seconds, connections, body, headers @ ..] = &*arguments else {
        return Err("usage: pace ADDRESS PATH RATE SECONDS CONNECTIONS BODY-FILE [HEADER…]".into());
    };
    let (rate, connections): (f64, u32) = (rate.parse()?, connections.parse()?);
    let plan = Plan {
        request: request(address, path, headers, &fs::read(body)?),
        address: address.clone(),
        interval: Duration::from_secs_f64(f64::from(connections) / rate),
        begin: Instant::now() + GATHER,
        length: WARM_UP + Duration::from_secs_f64(seconds.parse()?),
    };
    let all = thread::scope(|scope| {
        // Spread evenly over one interval, so that they do not all come at once.
        let start = |number| {
            scope.spawn({
                let plan = &plan;
                move || connection(plan, plan.interval * number / connections)
            })
        };
        let threads: Vec<_> = (0..connections).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection's thread does not panic")).collect::<Outcome<Vec<Seen>>>()
    })?;
    println!("{}", summary(all, plan.length - WARM_UP));
    Ok(())
}

fn request(address: &str, path: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends what is due, one after the other; who is late sends at once.
#[expect(clippy::disallowed_methods, reason = "here it is time itself that is waited for")]
fn connection(plan: &Plan, offset: Duration) -> Outcome<Seen> {
    let mut stream = TcpStream::connect(&plan.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut seen = Seen::default();
    for number in 0.. {
        let due = offset + plan.interval * number;
        if due >= plan.length {
            break;
        }
        let due = plan.begin + due;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&plan.request)?;
        let is_ok = answer(&mut answers)?;
        seen.answered += u64::from(is_ok);
        if due >= plan.begin + WARM_UP {
            seen.refused += u64::from(!is_ok);
            seen.microseconds.push(due.elapsed().as_micros() as u64);
        }
    }
    Ok(seen)
}

/// Reads one answer to its end; whether it is a 200.
fn answer(answers: &mut impl BufRead) -> io::Result<bool> {
    let (mut line, mut is_ok, mut length) = (String::new(), false, 0);
    for number in 0.. {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if number == 0 {
            is_ok = text.starts_with("HTTP/1.1 200");
        } else if text.is_empty() {
            break;
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut answers.take(length), &mut io::sink())?;
    Ok(is_ok)
}

fn summary(all: Vec<Seen>, length: Duration) -> String {
    let refused: u64 = all.iter().map(|seen| seen.refused).sum();
    let answered: u64 = all.iter().map(|seen| seen.answered).sum();
    let mut times: Vec<u64> = all.into_iter().flat_map(|seen| seen.microseconds).collect();
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0);
    format!(
        r#"{{"requests":{},"answered":{answered},"seconds":{},"refused":{refused},"p50_us":{},"p99_us":{},"p999_us":{},"max_us":{}}}"#,
        times.len(),
        length.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}
