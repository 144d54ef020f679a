//! Whom an address stands for, where addresses are counted.

use std::net::IpAddr;

/// What is taken for one party: an IPv4 address, mapped into IPv6 or not, or the /64 an IPv6 address is in, which is what one
/// customer gets.
pub fn party(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str) -> String {
        party(peer.parse().unwrap()).to_string()
    }

    #[test]
    fn an_ipv4_address_or_a_64() {
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
