//! The address that a sender posts to, as it was told to the sender.

use std::borrow::Cow;

use http::Uri;

use super::refusal::UrlFault;
use super::spec::InvalidSignatureSpec;

/// What HubSpot undoes before it signs, upper case only as its own libraries have it.
const UNESCAPED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

/// The configured address, without a query. Never taken from a request: whoever sends one chooses its Host.
#[derive(Clone, Debug)]
pub(super) struct PublicUrl {
    text: String,
    scheme: &'static str,
    authority: String,
    /// With what follows it.
    path: String,
}

impl PublicUrl {
    pub(super) fn new(text: String) -> Result<Self, InvalidSignatureSpec> {
        let uri: Uri = text.parse().map_err(|_| InvalidSignatureSpec::Url)?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(InvalidSignatureSpec::Url),
        };
        let authority = uri.authority().ok_or(InvalidSignatureSpec::Url)?.to_string();
        if text.contains(['?', '#']) || authority.contains('@') {
            return Err(InvalidSignatureSpec::Url);
        }
        let start = scheme.len() + "://".len() + authority.len();
        let path = text.get(start..).ok_or(InvalidSignatureSpec::Url)?.to_owned();
        Ok(Self { text, scheme, authority, path })
    }

    /// What follows the host.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The address of a request with this query.
    pub(super) fn with_query(&self, query: Option<&str>) -> String {
        append(&self.text, query)
    }

    /// The same with its default port if that is left out, and without it if it is there.
    pub(super) fn with_other_port(&self, query: Option<&str>) -> Option<String> {
        let port = if self.scheme == "https" { ":443" } else { ":80" };
        let authority: Cow<'_, str> = match self.authority.strip_suffix(port) {
            Some(bare) => bare.into(),
            // A colon behind the brackets of an IPv6 address, or any other one, is that of a port.
            None if self.authority.rsplit(']').next().is_some_and(|end| end.contains(':')) => return None,
            None => format!("{}{port}", self.authority).into(),
        };
        Some(append(&format!("{}://{authority}{}", self.scheme, self.path), query))
    }

    /// Addresses that may have been meant, and what is then wrong with `public_url`.
    pub(super) fn guesses(&self, query: Option<&str>, host: Option<&str>) -> Vec<(String, UrlFault)> {
        let Self { scheme, authority, path, .. } = self;
        let full = |scheme: &str, authority: &str, path: &str| append(&format!("{scheme}://{authority}{path}"), query);
        let other_scheme = if *scheme == "https" { "http" } else { "https" };
        let mut guesses = vec![
            (full(other_scheme, authority, path), UrlFault::Scheme(other_scheme)),
            match path.strip_suffix('/') {
                Some(shorter) => (full(scheme, authority, shorter), UrlFault::Slash),
                None => (full(scheme, authority, &format!("{path}/")), UrlFault::NoSlash),
            },
        ];
        guesses.extend(query.map(|_| (self.text.clone(), UrlFault::Query)));
        guesses.extend(self.with_other_port(query).map(|address| (address, UrlFault::Port)));
        if let Some(host) = host.filter(|host| host != authority) {
            guesses.extend(["https", "http"].map(|scheme| (full(scheme, host, path), UrlFault::Host(host.to_owned()))));
        }
        guesses
    }
}

/// The address with the twelve escapes undone that HubSpot undoes.
pub(super) fn unescaped(url: &str) -> String {
    let mut plain = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let escape = UNESCAPED.iter().find(|(escape, _)| after.starts_with(escape));
        plain.push(escape.map_or('%', |(_, char)| *char));
        rest = &after[escape.map_or(1, |(escape, _)| escape.len())..];
    }
    plain + rest
}

fn append(url: &str, query: Option<&str>) -> String {
    query.map_or_else(|| url.to_owned(), |query| format!("{url}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PublicUrl {
        PublicUrl::new(text.to_owned()).unwrap()
    }

    #[test]
    fn the_address_stays_as_written_and_the_query_is_added() {
        assert_eq!(url("https://Hooks.example.com").with_query(None), "https://Hooks.example.com");
        assert_eq!(url("https://h.example/a/").with_query(Some("x=%41")), "https://h.example/a/?x=%41");
        assert_eq!(url("https://h.example/a").with_query(Some("")), "https://h.example/a?");
        for text in ["", "h.example/a", "ftp://h.example/", "https://h.example/a?b", "https://h.example/#a", "https://u@h.example/"] {
            assert!(PublicUrl::new(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_port_comes_and_goes() {
        let other = |text: &str| url(text).with_other_port(Some("q"));
        assert_eq!(other("https://h.example/a").as_deref(), Some("https://h.example:443/a?q"));
        assert_eq!(other("https://h.example:443/a").as_deref(), Some("https://h.example/a?q"));
        assert_eq!(other("http://h.example").as_deref(), Some("http://h.example:80?q"));
        assert_eq!(other("https://h.example:8443/a"), None);
        assert_eq!(other("https://[::1]/a").as_deref(), Some("https://[::1]:443/a?q"));
        assert_eq!(other("https://[::1]:8443/a"), None);
    }

    #[test]
    fn twelve_escapes_are_undone_and_no_others() {
        assert_eq!(unescaped("https://h/a%3Ab%2Fc%3Fd%40%21%24%27%28%29%2A%2C%3B"), "https://h/a:b/c?d@!$'()*,;");
        assert_eq!(unescaped("%20%26%3d%3a%25%"), "%20%26%3d%3a%25%");
        assert_eq!(unescaped("%253A%é"), "%253A%é");
    }
}
