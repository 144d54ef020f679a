//! Addresses to listen on, networks to trust, the URL outside.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::de::DeValue;

use super::reader::string;
use super::report::{Context, Place};

/// An IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`.
pub(super) fn listen_address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = string(value)?;
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is not an address: write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\""))?;
    if address.ip().is_multicast() {
        return Err(format!("{text:?} is a multicast address, where nothing can be accepted"));
    }
    Ok(address)
}

/// A network (`10.0.0.0/8`) or a single address.
pub(super) fn network(value: &DeValue<'_>) -> Result<IpNet, String> {
    let text = string(value)?;
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network
        .map(|network| network.trunc())
        .ok_or_else(|| format!("{text:?} is neither an address nor a network: write \"10.0.0.7\" or \"10.0.0.0/8\""))
}

/// `https://host[:port][/path]` without a trailing slash.
pub(super) fn public_url(value: &DeValue<'_>) -> Result<String, String> {
    full_url(value).map(|url| url.trim_end_matches('/').to_owned())
}

/// Likewise to the letter, as a signature may cover it. Its value is not repeated in errors: it might hold a password.
pub(super) fn full_url(value: &DeValue<'_>) -> Result<String, String> {
    let text = string(value)?;
    let malformed = || "must be a URL such as \"https://hooks.example.com\"".to_owned();
    let url: http::Uri = text.parse().map_err(|_| malformed())?;
    let authority = url.authority().ok_or_else(malformed)?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
        return Err(malformed());
    }
    if authority.as_str().contains('@') {
        return Err("must not hold a user or password".into());
    }
    if text.contains(['?', '#']) {
        return Err("must end with its path: no ? and no #".into());
    }
    Ok(text.to_owned())
}

/// Reports every address that one further up in the file has already taken.
pub(super) fn refuse_shared(context: &Context<'_>, addresses: &mut [(Place, SocketAddr)]) {
    addresses.sort_by_key(|(place, _)| place.line);
    for (index, (place, address)) in addresses.iter().enumerate() {
        let earlier = addresses[..index].iter().find(|(_, other)| is_shared(*address, *other));
        if let Some((other_place, other)) = earlier {
            context.error(place, format!("{address} is already taken by {} ({other})", other_place.key));
        }
    }
}

/// Whether the second listener would fail: the same port, and the same address or the wildcard of its family. Port 0 is a
/// different one each time.
fn is_shared(a: SocketAddr, b: SocketAddr) -> bool {
    let is_same_ip = a.ip() == b.ip() || a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && is_same_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn addresses_have_an_ip_and_a_port() {
        for good in ["127.0.0.1:0", "0.0.0.0:8443", "[::]:8080", "[fe80::1%2]:80"] {
            assert!(listen_address(&text(good)).is_ok(), "{good}");
        }
        for bad in
            ["", "8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:65536", "::1:80", "1.2.3:80", "224.0.0.1:80", "[ff02::1]:80"]
        {
            assert!(listen_address(&text(bad)).is_err(), "{bad}");
        }
        assert!(listen_address(&DeValue::Boolean(true)).is_err());
    }

    #[test]
    fn networks_may_be_single_addresses() {
        for (given, want) in [("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("::1", "::1/128")] {
            assert_eq!(network(&text(given)).unwrap().to_string(), want);
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/-1"] {
            assert!(network(&text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_url_is_a_plain_prefix() {
        for (given, want) in [
            ("https://hooks.example.com", "https://hooks.example.com"),
            ("https://hooks.example.com/", "https://hooks.example.com"),
            ("http://10.0.0.1:8080/gate/", "http://10.0.0.1:8080/gate"),
        ] {
            assert_eq!(public_url(&text(given)).unwrap(), want);
        }
        for bad in [
            "",
            "hooks.example.com",
            "/gate",
            "ftp://example.com",
            "https://",
            "https://a b",
            "https://u:s3cret@example.com",
            "https://example.com?a=1",
            "https://example.com/#top",
            "https://:443",
        ] {
            let error = public_url(&text(bad)).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn shared_addresses() {
        for (a, b, want) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "[::]:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(is_shared(a.parse().unwrap(), b.parse().unwrap()), want, "{a} {b}");
        }
    }
}
