//! Who may use the admin API: whoever has the token.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::answer::{Problem, Remark};
use crate::auth::keyed::{Key, Tag};
use crate::auth::{RetryAfter, Throttle};
use crate::log::excerpt;
use crate::secret::Secret;

/// Wrong tokens a minute from one address: plenty for a person, nothing for a guesser.
const WRONG_TOKENS_PER_MINUTE: u32 = 60;
/// The throttle counts per address and instance; the admin listener is one of its own.
const THROTTLED_AS: &str = "";

/// Served without a token, because whatever asks for them (a load balancer, an orchestrator) should not have to know one.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Stands for the peer of a request that did not come through the server.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where a connection comes from; the server puts it into every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// The token, ready to be compared, and who failed to give it.
pub(super) struct Guard {
    key: Key,
    token: ArcSwap<Tag>,
    throttle: Throttle,
}

/// Why a request is not let in.
enum Refusal {
    Missing,
    Repeated,
    Scheme,
    Token,
    Throttled(RetryAfter),
}

impl Refusal {
    /// For the log.
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "there is no Authorization header",
            Self::Repeated => "there is more than one Authorization header",
            Self::Scheme => "the Authorization header is not of the Bearer scheme",
            Self::Token => "wrong token",
            Self::Throttled(_) => "too many wrong tokens from this address",
        }
    }
}

impl Guard {
    pub(super) fn new(token: &Secret) -> Self {
        let key = Key::random();
        let token = ArcSwap::from_pointee(key.tag(token.expose().as_bytes()));
        Self { key, token, throttle: Throttle::new(WRONG_TOKENS_PER_MINUTE) }
    }

    /// From here on this token is asked for.
    pub(super) fn set_token(&self, token: &Secret) {
        self.token.store(Arc::new(self.key.tag(token.expose().as_bytes())));
    }

    /// Only a wrong token counts as a failure: a monitor that was given none must not lock out its neighbours.
    fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        self.throttle.check(peer, THROTTLED_AS).map_err(Refusal::Throttled)?;
        if self.key.tag(bearer(headers)?).matches(&self.token.load()).into() {
            return Ok(());
        }
        self.throttle.failed(peer, THROTTLED_AS);
        Err(Refusal::Token)
    }
}

/// The token in the one `Authorization` header (RFC 6750, section 2.1). The scheme's name may be in any case.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?.as_bytes();
    if values.next().is_some() {
        return Err(Refusal::Repeated);
    }
    let (scheme, token) = value.split_at_checked(b"Bearer ".len()).ok_or(Refusal::Scheme)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(Refusal::Scheme);
    }
    Ok(token.trim_ascii_start())
}

/// Lets a request pass to the API, or answers in its place.
pub(super) async fn let_in(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().map_or(NOBODY, |peer| peer.0);
    match guard.admit(peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let remark = Remark::Refused { peer, path: excerpt(request.uri().path()).into_owned(), reason: refusal.reason() };
            let mut response = match refusal {
                Refusal::Throttled(after) => Problem::Throttled(after).into_response(),
                Refusal::Missing | Refusal::Repeated | Refusal::Scheme | Refusal::Token => Problem::Unauthorized.into_response(),
            };
            response.extensions_mut().insert(remark);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn admits(guard: &Guard, values: &[&'static str]) -> Result<(), &'static str> {
        let headers = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect();
        guard.admit(PEER, &headers).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn one_header_with_the_token() {
        let guard = Guard::new(&Secret::new("tok en".into()));
        for value in ["Bearer tok en", "bearer  tok en", "BEARER tok en"] {
            assert_eq!(admits(&guard, &[value]), Ok(()), "{value}");
        }
        for (values, reason) in [
            (&[][..], Refusal::Missing),
            (&["Bearer tok en", "Bearer tok en"], Refusal::Repeated),
            (&["Basic tok en"], Refusal::Scheme),
            (&["Bearer"], Refusal::Scheme),
            (&["Bearertok en"], Refusal::Scheme),
            (&["Bearer "], Refusal::Token),
            (&["Bearer tok"], Refusal::Token),
            (&["Bearer tok en "], Refusal::Token),
            (&["Bearer Tok en"], Refusal::Token),
        ] {
            assert_eq!(admits(&guard, values), Err(reason.reason()), "{values:?}");
        }
    }

    #[test]
    fn guessing_ends_soon_and_asking_without_a_token_does_not_count() {
        let guard = Guard::new(&Secret::new("t".into()));
        for _ in 0..2 * WRONG_TOKENS_PER_MINUTE {
            assert_eq!(admits(&guard, &[]), Err(Refusal::Missing.reason()));
        }
        for _ in 0..WRONG_TOKENS_PER_MINUTE {
            assert_eq!(admits(&guard, &["Bearer guess"]), Err(Refusal::Token.reason()));
        }
        let headers = [(AUTHORIZATION, HeaderValue::from_static("Bearer t"))].into_iter().collect();
        assert!(matches!(guard.admit(PEER, &headers), Err(Refusal::Throttled(_))));
        assert!(guard.admit([192, 0, 2, 1].into(), &headers).is_ok());
    }
}
