//! A sender as the world has them: it is refused, cut off, comes again. The harness's own client takes nothing but answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::PATIENCE;

/// The gateway that [`post`] talks to: one instance `in` of alice, who sends `{"key": …}`.
pub(crate) const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = \"secret\"\n\
                                 store_samples = true\nduplication_key = [\"key\"]\n";

/// What a sender learns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// 200 with these ids.
    Stored(Vec<String>),
    /// Another status.
    Refused(u16),
    /// The connection broke before the whole answer was there.
    Nothing,
}

/// Posts to instance `in` as alice, on a connection of its own.
pub(crate) fn post(address: SocketAddr, body: &str) -> Told {
    exchange(address, body).unwrap_or(Told::Nothing)
}

/// Sends a whole request and does not wait for the answer.
pub(crate) fn begin(address: SocketAddr, body: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = "POST /instance/execute/in HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Basic YWxpY2U6c2VjcmV0\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).ok()?;
    Some(stream)
}

fn exchange(address: SocketAddr, body: &str) -> Option<Told> {
    let mut answer = Vec::new();
    // A reset may follow on what was read before it, and that counts.
    let _ = begin(address, body)?.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let length: usize = head.split("content-length: ").nth(1)?.split('\r').next()?.parse().ok()?;
    if answer.len() < end + 4 + length {
        return None;
    }
    match head.split(' ').nth(1)?.parse().ok()? {
        200 => {
            let json: serde_json::Value = serde_json::from_slice(&answer[end + 4..]).ok()?;
            Some(Told::Stored(json.as_array()?.iter().filter_map(|one| Some(one["id"].as_str()?.to_owned())).collect()))
        }
        status => Some(Told::Refused(status)),
    }
}
