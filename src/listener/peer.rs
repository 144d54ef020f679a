//! Who a request comes from, when proxies stand between.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address: the connection's other end, unless that is a trusted proxy.
///
/// `X-Forwarded-For` is read from the right, over all its lines: each trusted proxy vouches for the entry that it appended,
/// and the first address that is not a trusted proxy is the client. Whatever stands further left was the client's to invent.
/// At an entry that is no address the reading stops with the last that was vouched for.
pub fn client_address(remote: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let mut client = remote.to_canonical();
    if trusted.is_empty() {
        return client;
    }
    let lines: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    // In bytes: one that is no ASCII, further left, must not hide what a proxy appended.
    let mut entries = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    while trusted.iter().any(|net| net.contains(&client)) {
        match entries.next().and_then(parse) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`: all are in use.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(remote: &str, trusted: &[&str], forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let headers = forwarded.iter().map(|line| (X_FORWARDED_FOR, line.parse().unwrap())).collect();
        client_address(remote.parse().unwrap(), &trusted, &headers).to_string()
    }

    #[test]
    fn a_stranger_cannot_speak_for_others() {
        assert_eq!(seen("203.0.113.9", &["10.0.0.0/8"], &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &[], &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn the_chain_is_read_from_the_right() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &trusted, &["1.1.1.1", "203.0.113.9:80"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &trusted, &["203.0.113.9, [2001:db8::1]:443"]), "2001:db8::1");
    }

    #[test]
    fn nonsense_stops_the_reading() {
        assert_eq!(seen("10.0.0.1", &["10.0.0.0/8"], &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.0/8"], &[]), "10.0.0.1");
    }

    #[test]
    fn nonsense_hides_nothing_that_a_proxy_appended() {
        let trusted: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
        for invented in [&b"\xe9"[..], b"\x80\xff, 10.0.0.9", b"unknown, ,", b"\t"] {
            let line = [invented, b", 203.0.113.9"].concat();
            let headers = [(X_FORWARDED_FOR, HeaderValue::from_bytes(&line).unwrap())].into_iter().collect();
            assert_eq!(client_address("10.0.0.1".parse().unwrap(), &trusted, &headers).to_string(), "203.0.113.9", "{line:?}");
        }
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        assert_eq!(seen("::ffff:10.0.0.1", &["10.0.0.0/8"], &["::ffff:203.0.113.9"]), "203.0.113.9");
    }
}
