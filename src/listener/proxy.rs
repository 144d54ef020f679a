//! The PROXY protocol, version 2: a load balancer's word on who its client is, in front of everything else on a connection.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.2. Only from proxies that are trusted; version 1, a
//! line of text, is not spoken: every balancer that sends it can send version 2 too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What no other protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Of addresses and extensions. Senders keep the header within one segment of the smallest MTU, which is this.
const MOST_VARIABLE: usize = 536;

/// The header of a connection that speaks for nobody but the one who opens it (LOCAL).
pub const LOCAL: [u8; FIXED] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who the proxy speaks for; none: for itself, as when it checks our health.
    pub client: Option<SocketAddr>,
    /// Bytes of the header. What follows is the client's.
    pub length: usize,
}

/// How far a header got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All of it is there.
    Complete(Header),
    /// There must be so many bytes in all; more than were given.
    Needs(usize),
}

/// Not a header of this protocol, or not one that makes sense here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Something else begins the connection.
    #[error("the connection does not begin with a PROXY protocol header of version 2: switch it on in the proxy (`send-proxy-v2`)")]
    Signature,
    /// Neither LOCAL nor PROXY of version 2.
    #[error("unknown PROXY protocol version or command {0:#04x}")]
    Command(u8),
    /// Not TCP over IPv4 or IPv6.
    #[error("PROXY protocol for something else than TCP over IP: {0:#04x}")]
    Family(u8),
    /// Shorter than its addresses, or too long.
    #[error("PROXY protocol header of {0} bytes")]
    Length(usize),
}

/// Reads a header from the beginning of `bytes`. Extensions (TLVs) are skipped: what they say is not needed.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let start = bytes.len().min(SIGNATURE.len());
    if bytes[..start] != SIGNATURE[..start] {
        return Err(ProxyError::Signature);
    }
    let Some((fixed, variable)) = bytes.split_at_checked(FIXED) else { return Ok(Parsed::Needs(FIXED)) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if !matches!(command, 0x20 | 0x21) {
        return Err(ProxyError::Command(command));
    }
    if length > MOST_VARIABLE {
        return Err(ProxyError::Length(FIXED + length));
    }
    let Some(variable) = variable.get(..length) else { return Ok(Parsed::Needs(FIXED + length)) };
    let client = if command == 0x20 { None } else { Some(client(family, variable)?) };
    Ok(Parsed::Complete(Header { client, length: FIXED + length }))
}

/// The source: address and port stand before, and beside, those of the destination. A proxy that does not know it (family 0x00)
/// is refused, as the protocol allows: whoever is behind it would pass for the proxy, whose word on others counts.
fn client(family: u8, addresses: &[u8]) -> Result<SocketAddr, ProxyError> {
    let too_short = ProxyError::Length(FIXED + addresses.len());
    let (ip, port): (IpAddr, _) = match family {
        0x11 => {
            let addresses: &[u8; 12] = addresses.first_chunk().ok_or(too_short)?;
            let [a, b, c, d, ..] = *addresses;
            (Ipv4Addr::new(a, b, c, d).into(), [addresses[8], addresses[9]])
        }
        0x21 => {
            let addresses: &[u8; 36] = addresses.first_chunk().ok_or(too_short)?;
            let source: [u8; 16] = *addresses.first_chunk().expect("16 are fewer than 36");
            (Ipv6Addr::from(source).into(), [addresses[32], addresses[33]])
        }
        other => return Err(ProxyError::Family(other)),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

/// Takes a header off a connection, and not a byte more. The caller bounds the time.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut buffer = [0; FIXED + MOST_VARIABLE];
    let mut have = 0;
    loop {
        match parse(&buffer[..have]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Parsed::Complete(header) => return Ok(header.client),
            Parsed::Needs(all) => {
                stream.read_exact(&mut buffer[have..all]).await?;
                have = all;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
        let length = u16::try_from(variable.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, variable].concat()
    }

    fn v4() -> Vec<u8> {
        header(0x21, 0x11, &[203, 0, 113, 9, 10, 0, 0, 5, 0x12, 0x67, 0x20, 0xfb])
    }

    fn client_of(bytes: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
        match parse(bytes)? {
            Parsed::Complete(header) => Ok(header.client),
            Parsed::Needs(all) => panic!("needs {all}"),
        }
    }

    #[test]
    fn the_source_is_the_client() {
        assert_eq!(client_of(&v4()), Ok("203.0.113.9:4711".parse().ok()));
        let source: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let variable = [&source.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0x12, 0x67, 0x20, 0xfb]].concat();
        assert_eq!(client_of(&header(0x21, 0x21, &variable)), Ok("[2001:db8::9]:4711".parse().ok()));
    }

    #[test]
    fn extensions_are_skipped() {
        let variable = [&v4()[FIXED..], &[0x03, 0, 4, 1, 2, 3, 4], &[0xff; 3]].concat();
        assert_eq!(client_of(&header(0x21, 0x11, &variable)), Ok("203.0.113.9:4711".parse().ok()));
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(parse(&LOCAL), Ok(Parsed::Complete(Header { client: None, length: FIXED })));
        for bytes in [header(0x20, 0x00, b""), header(0x20, 0x11, &v4()[FIXED..]), header(0x20, 0xff, b"x")] {
            assert_eq!(client_of(&bytes), Ok(None));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bytes, want) in [
            (b"POST / HTTP/1.1\r\n".to_vec(), ProxyError::Signature),
            (b"PROXY TCP4 203.0.113.9 10.0.0.5 4711 8443\r\n".to_vec(), ProxyError::Signature),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), ProxyError::Signature),
            (header(0x11, 0x11, &[0; 12]), ProxyError::Command(0x11)),
            (header(0x22, 0x11, &[0; 12]), ProxyError::Command(0x22)),
            (header(0x21, 0x00, b""), ProxyError::Family(0x00)),
            (header(0x21, 0x12, &[0; 12]), ProxyError::Family(0x12)),
            (header(0x21, 0x31, &[0; 216]), ProxyError::Family(0x31)),
            (header(0x21, 0x11, &[0; 11]), ProxyError::Length(27)),
            (header(0x21, 0x21, &[0; 35]), ProxyError::Length(51)),
            (header(0x21, 0x11, &[0; 537]), ProxyError::Length(553)),
        ] {
            assert_eq!(parse(&bytes), Err(want), "{bytes:02x?}");
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_header_is_taken() {
        let bytes = [v4(), b"POST".to_vec()].concat();
        let mut rest = &bytes[..];
        assert_eq!(read(&mut rest).await.unwrap(), "203.0.113.9:4711".parse().ok());
        assert_eq!(rest, b"POST");
        assert_eq!(read(&mut &v4()[..20]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut &b"GET / HTTP/1.1\r\nhost: a\r\n"[..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_header_is_longer_than_it_may_be(start in 0..=FIXED, rest: Vec<u8>) {
            let bytes = [&header(0x21, 0x11, b"")[..start], &rest].concat();
            match parse(&bytes) {
                Ok(Parsed::Complete(header)) => prop_assert!(header.length <= bytes.len()),
                Ok(Parsed::Needs(all)) => prop_assert!(all > bytes.len() && all <= FIXED + MOST_VARIABLE),
                Err(_) => {}
            }
        }

        #[test]
        fn a_part_of_a_good_header_needs_more(at in 0..28usize, tail: [u8; 8]) {
            prop_assert!(matches!(parse(&v4()[..at]), Ok(Parsed::Needs(all)) if all > at && all <= 28));
            prop_assert_eq!(parse(&[v4(), tail.to_vec()].concat()), parse(&v4()));
        }

        #[test]
        fn any_client_is_read_as_written(ip: [u8; 16], port: u16, tlvs in prop::collection::vec(any::<u8>(), 0..200)) {
            let variable = [&ip[..], &[0; 16], &port.to_be_bytes(), &[0, 80], &tlvs].concat();
            prop_assert_eq!(client_of(&header(0x21, 0x21, &variable)), Ok(Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port))));
        }
    }
}
