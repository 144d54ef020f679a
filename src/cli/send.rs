//! `send`: the "test connection" button.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::body;
use super::client::{self, Answer, Introduction, Question, Trust};
use super::entrance::{self, Credentials, MaySpeak};
use super::output::stdout;
use super::terminal::visible_json;
use crate::config::{Config, Instance, Signing, Tls};
use crate::incident::Timestamp;
use crate::listener;
use crate::secret::Secret;
use crate::senders::signature::Signed;

/// Longer than the gateway's own limits on a body and a commit, so that its answer is seen rather than this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a password may come from when the configuration holds only its hash.
const PASSWORD_VARIABLE: &str = "HOOKGATE_PASSWORD";

/// Post a file to an instance with the instance's own credentials and signature: a test of the connection
///
/// The body goes to the address in the configuration, its path token included. Prints the status and the answer; succeeds when the status is 200.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate send my_instance_01 event.json\n  \
                        echo '{\"name\": \"Test\"}' | hookgate send my_instance_01\n\n\
                        Where the configuration holds only the hash of a password, give the password itself in the\n\
                        environment variable HOOKGATE_PASSWORD or with --password-stdin.\n\n\
                        Over TLS the other end must have exactly the configured certificate, whatever name it was reached by;\n\
                        for a proxy in front: --url https://hooks.example.com/instance/execute/NAME --cacert its-ca.pem\n\n\
                        A listener with client_ca wants a client certificate: --cert client.crt --key client.key. One that\n\
                        speaks the PROXY protocol gets its header, if this machine is one of trusted_proxies.")]
pub(super) struct Args {
    /// The instance
    name: String,
    /// The body; standard input when absent or -
    file: Option<PathBuf>,
    /// Post to this address instead of the configured one
    #[arg(long)]
    url: Option<Uri>,
    /// Trust these authorities (PEM) and check the host name, rather than expect exactly the configured certificate
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Show this certificate (PEM), where the listener demands one with `client_ca`
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Begin with a PROXY protocol header also at the address of --url
    #[arg(long, requires = "url")]
    proxy_protocol: bool,
    /// Read the password from standard input (one line)
    #[arg(long, requires = "file")]
    password_stdin: bool,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let config = Config::load(config)?;
        let instance = entrance::find(&config, &self.name)?;
        let url = self.url(entrance::url(&config, instance))?;
        let mut credentials = Credentials::of(instance);
        let given = self.given_password(&credentials)?;
        if let Some(password) = &given {
            credentials = credentials.with_password(password);
        }
        let mut headers = headers(&credentials)?;
        let introduction = self.introduction(&config, instance)?;
        let body = body::read(self.file.as_deref())?;
        sign(&instance.sender.signing, &mut headers, url.query(), &body)?;
        let answer = client::ask(&url, Question { method: Method::POST, headers, body }, introduction, ANSWER_TIMEOUT)?;
        print(&answer)?;
        verdict(answer.status)
    }

    fn url(&self, configured: Option<String>) -> anyhow::Result<Uri> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let text = configured.context("the configured port is 0, so only the running gateway knows it: give what it printed with --url")?;
        text.parse().context("cannot post to the configured address")
    }

    /// What the listener wants to see first. At another address than the configured one the person knows.
    fn introduction(&self, config: &Config, instance: &Instance) -> anyhow::Result<Introduction> {
        let tls = entrance::tls(config, instance);
        let files = self.cert.as_deref().zip(self.key.as_deref());
        let identity = files.map(|(certificate, key)| listener::identity(certificate, key)).transpose()?;
        let is_configured_address = self.url.is_none();
        if is_configured_address && identity.is_none() && tls.is_some_and(|tls| tls.client_ca.is_some()) {
            bail!("this listener demands a client certificate (client_ca): give one with --cert FILE --key FILE");
        }
        let proxy_protocol = match entrance::proxy_protocol(config, instance).filter(|_| is_configured_address) {
            None => self.proxy_protocol,
            Some(MaySpeak::Yes) => true,
            Some(MaySpeak::No { source }) => bail!(
                "this listener speaks the PROXY protocol and lets nobody connect but trusted_proxies, and {source} is none: add it \
                 there, or post by way of the proxy with --url"
            ),
        };
        Ok(Introduction { trust: self.trust(tls)?, identity, proxy_protocol })
    }

    /// The gateway is known by its certificate, unless the person says otherwise.
    fn trust(&self, tls: Option<&Tls>) -> anyhow::Result<Option<Trust>> {
        match (&self.cacert, tls) {
            (Some(authorities), _) => Trust::authorities(authorities).map(Some),
            (None, Some(tls)) => Trust::pin(&tls.certificate).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The person's, if it is needed or insisted on.
    fn given_password(&self, configured: &Credentials<'_>) -> anyhow::Result<Option<Secret>> {
        if !self.password_stdin {
            let variable = || std::env::var(PASSWORD_VARIABLE).ok().map(Secret::new);
            return Ok(if configured.lack_password() { variable() } else { None });
        }
        if self.file.as_deref() == Some(Path::new("-")) {
            bail!("standard input cannot be both the password and the body: name a file");
        }
        let mut line = String::new();
        io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(Some(Secret::new(line)))
    }
}

fn headers(credentials: &Credentials<'_>) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("hookgate/", env!("CARGO_PKG_VERSION"))));
    match credentials {
        Credentials::Open => {}
        Credentials::Basic { username, password } => {
            let pair = Secret::new(format!("{username}:{}", known(*password)?.expose()));
            headers.insert(header::AUTHORIZATION, secret_value(&format!("Basic {}", BASE64_STANDARD.encode(pair.expose())))?);
        }
        Credentials::Header { name, password } => {
            headers.insert(*name, secret_value(known(*password)?.expose())?);
        }
    }
    Ok(headers)
}

/// Adds what the sender would sign with. The signature may cover headers that are only the sender's; those are added as well.
fn sign(signing: &Signing, headers: &mut HeaderMap, query: Option<&str>, body: &[u8]) -> anyhow::Result<()> {
    let Some(signatures) = signing.verifier()? else { return Ok(()) };
    let request = Signed { method: &Method::POST, query, headers, body };
    let signed = signatures.sign(&request, Timestamp::now()).context(
        "this sender's requests cannot be made here: it signs with a key of its own, or inside the body. Post one that it sent, \
         with curl, or have it send one",
    )?;
    for (name, mut value) in signed {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

fn known(password: Option<&Secret>) -> anyhow::Result<&Secret> {
    password.with_context(|| {
        format!("the configuration holds only the hash of this password: give the password in {PASSWORD_VARIABLE} or with --password-stdin")
    })
}

fn secret_value(text: &str) -> anyhow::Result<HeaderValue> {
    // The error of `http` does not repeat the value.
    let mut value = HeaderValue::from_bytes(text.as_bytes()).context("the password cannot be sent as a header")?;
    value.set_sensitive(true);
    Ok(value)
}

fn print(answer: &Answer) -> io::Result<()> {
    let mut out = stdout();
    let body = if io::stdout().is_terminal() { visible_json(&answer.body) } else { answer.body.as_str().into() };
    writeln!(out, "{}\n{}", answer.status, body.trim_end())?;
    out.flush()
}

fn verdict(status: StatusCode) -> anyhow::Result<()> {
    let advice = match status {
        StatusCode::OK => return Ok(()),
        StatusCode::UNAUTHORIZED => "does the running gateway have this instance and these credentials? Its log says which was wrong",
        StatusCode::NOT_FOUND => "is the address that of a gateway?",
        StatusCode::TOO_MANY_REQUESTS => "too many failed logins from here; wait a minute",
        StatusCode::SERVICE_UNAVAILABLE => "the gateway cannot store at the moment; its log says why",
        _ => "the line above says why",
    };
    bail!("not accepted ({status}): {advice}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn credentials_become_headers() {
        let password = secret("open:sesame");
        let basic = headers(&Credentials::Basic { username: "Aladdin", password: Some(&password) }).unwrap();
        assert_eq!(basic[header::AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==");
        assert!(basic[header::AUTHORIZATION].is_sensitive());
        let name = http::HeaderName::from_static("x-api-key");
        let header = headers(&Credentials::Header { name: &name, password: Some(&password) }).unwrap();
        assert_eq!(header["x-api-key"], "open:sesame");
    }

    #[test]
    fn a_hash_alone_is_not_enough() {
        let error = headers(&Credentials::Basic { username: "a", password: None }).unwrap_err();
        assert!(error.to_string().contains("HOOKGATE_PASSWORD"), "{error}");
    }

    #[test]
    fn a_password_that_is_no_header_is_not_repeated() {
        let name = http::HeaderName::from_static("x-api-key");
        let password = secret("top\nsecret");
        let error = headers(&Credentials::Header { name: &name, password: Some(&password) }).unwrap_err();
        assert!(!format!("{error:?}").contains("top"), "{error:?}");
    }

    #[test]
    fn only_200_is_success() {
        assert!(verdict(StatusCode::OK).is_ok());
        for status in [201, 204, 302, 400, 401, 503] {
            assert!(verdict(StatusCode::from_u16(status).unwrap()).is_err(), "{status}");
        }
    }
}
