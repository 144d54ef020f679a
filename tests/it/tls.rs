//! TLS as senders meet it: keys, versions, protocols, client certificates.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rcgen::DnType;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::harness::{Answer, BASIC, Running, connect, eventually};
use crate::pki::{Authority, H2, HTTP1, Issued, ask, client, post, shake_hands};

const TLS: &str = "certificate = \"server.crt\"\nprivate_key = \"server.key\"\n";
const MUTUAL: &str = "certificate = \"server.crt\"\nprivate_key = \"server.key\"\nclient_ca = \"clients.pem\"\n";

fn start(authority: &Authority) -> Running {
    let folder = TempDir::new().unwrap();
    authority.server(|_| {}).write(folder.path(), "server");
    Running::start_in(folder, TLS, BASIC)
}

fn start_mutual(authority: &Authority, clients: &Authority) -> Running {
    let folder = TempDir::new().unwrap();
    authority.server(|_| {}).write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
    Running::start_in(folder, MUTUAL, BASIC)
}

async fn good(address: SocketAddr, config: &rustls::ClientConfig, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Answer {
    ask(address, config, request).await.unwrap()
}

fn keys() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/keys")
}

#[tokio::test]
async fn keys_may_be_pkcs8_pkcs1_or_sec1() {
    let authority = Authority::new("root");
    let running = start(&authority); // rcgen writes PKCS#8
    assert_eq!(good(running.address, &authority.trusting(None, H2), post("{}")).await.status, 200);
    for (certificate, key) in [("rsa.crt", "rsa.pkcs1.key"), ("ec.crt", "ec.sec1.key")] {
        let folder = TempDir::new().unwrap();
        std::fs::copy(keys().join(certificate), folder.path().join("server.crt")).unwrap();
        std::fs::copy(keys().join(key), folder.path().join("server.key")).unwrap();
        let running = Running::start_in(folder, TLS, BASIC);
        let trusted = CertificateDer::from_pem_file(keys().join(certificate)).unwrap();
        for version in [&TLS12, &TLS13] {
            let config = client(trusted.clone(), &[version], None, H2);
            assert_eq!(good(running.address, &config, post("{}")).await.status, 200, "{key} {version:?}");
        }
    }
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let authority = Authority::new("root");
    let running = start(&authority);
    for version in [&TLS12, &TLS13] {
        for (asked, agreed) in [(H2, Some(H2)), (HTTP1, Some(HTTP1)), (b"", None)] {
            let config = authority.trusting_by(&[version], None, asked);
            let stream = shake_hands(running.address, &config).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(version.version), agreed));
            assert_eq!(good(running.address, &config, post("{}")).await.status, 200);
        }
    }
    let odd = authority.trusting(None, b"http/0.9");
    assert!(shake_hands(running.address, &odd).await.is_err(), "no protocol in common");
    assert_eq!(running.incidents().len(), 6);
}

#[test]
fn tls_1_1_and_plain_text_get_no_further_than_an_alert() {
    let running = start(&Authority::new("root"));
    // A ClientHello of TLS 1.1 (RFC 4346): version 3.2, two common suites, and signature_algorithms.
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x09, 0x00, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    let answer = running.raw(&record);
    assert_eq!((answer.first(), answer.last()), (Some(&21), Some(&70)), "alert protocol_version: {answer:?}");
    let answer = running.raw(b"POST /instance/execute/in HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(!running.admin("/metrics").text().contains("status=\"400\""), "nothing was taken for a request");
}

#[tokio::test]
async fn http2_follows_the_same_contract() {
    let authority = Authority::new("root");
    let running = start(&authority);
    let config = authority.trusting(None, H2);
    let request = |change: fn(http::request::Builder) -> http::request::Builder, body: &'static str| {
        let request = http::Request::post("https://localhost/instance/execute/in").header("authorization", "Basic YWxpY2U6c2VjcmV0");
        change(request).body(http_body_util::Full::from(body)).unwrap()
    };
    let stored =
        request(|it| it.header("cookie", "a=1").header("cookie", "b=2").header("x-many", "1").header("x-many", "2"), "{\"name\":\"two\"}");
    let answer = good(running.address, &config, stored).await;
    assert_eq!(answer.ids().len(), 1);
    let headers = running.incidents()[0]["rawJson"]["headers"].clone();
    assert_eq!((&headers["host"], &headers["x-many"]), (&"localhost".into(), &"1, 2".into()), "{headers}");
    assert!(headers.get("cookie").is_none() && headers.get("authorization").is_none() && headers.get(":authority").is_none(), "{headers}");

    for (status, credentials) in [(200, "Basic YWxpY2U6c2VjcmV0"), (401, "Basic YWxpY2U6d3Jvbmc=")] {
        let probe = |method| {
            http::Request::builder().method(method).uri("https://localhost/instance/execute/in").header("authorization", credentials)
        };
        let probe = |method| probe(method).body(http_body_util::Full::default()).unwrap();
        let (got, asked) = (good(running.address, &config, probe("GET")).await, good(running.address, &config, probe("HEAD")).await);
        assert_eq!((got.status, asked.status), (status, status));
        let length = got.body.len().to_string();
        assert_eq!((asked.body.len(), asked.header("content-length")), (0, Some(&*length)), "of GET's answer the head alone");
    }

    let cases: [(u16, http::Request<http_body_util::Full<bytes::Bytes>>); 7] = [
        (200, request(|it| it.method("GET"), "")),
        (400, request(|it| it, "nonsense")),
        (400, request(|it| it.header("host", "elsewhere"), "{}")),
        (401, request(|it| it.header("authorization", "Basic YWxpY2U6d3Jvbmc="), "{}")),
        (404, request(|it| it.uri("https://localhost/"), "{}")),
        (405, request(|it| it.method("PUT"), "{}")),
        (415, request(|it| it.header("content-encoding", "br"), "{}")),
    ];
    for (status, request) in cases {
        let asked = format!("{request:?}");
        assert_eq!(good(running.address, &config, request).await.status, status, "{asked}");
    }
    let problem = good(running.address, &config, request(|it| it.header("accept", "application/json"), "[1]")).await;
    assert_eq!((problem.header("content-type"), problem.json()["status"].as_u64()), (Some("application/problem+json"), Some(400)));
    assert!(problem.header("connection").is_none(), "HTTP/2 has none");
}

#[tokio::test]
async fn http2_bodies_are_bounded_packed_or_not() {
    let authority = Authority::new("root");
    let folder = TempDir::new().unwrap();
    authority.server(|_| {}).write(folder.path(), "server");
    let running = Running::start_in(folder, &format!("{TLS}max_body = \"100KiB\""), BASIC);
    let config = authority.trusting(None, H2);
    assert_eq!(good(running.address, &config, post(vec![b' '; 200 * 1024])).await.status, 413);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 100 << 20]).unwrap();
    let mut packed = post(bomb.finish().unwrap());
    packed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(good(running.address, &config, packed).await.status, 413);
    assert_eq!(good(running.address, &config, post("{}")).await.status, 200);
}

#[tokio::test]
async fn without_the_right_client_certificate_nobody_gets_to_http() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let running = start_mutual(&authority, &clients);
    let stranger = Authority::new("clients").client(&[(DnType::CommonName, "alice")]);
    for identity in [None, Some(&stranger)] {
        for version in [&TLS12, &TLS13] {
            let config = authority.trusting_by(&[version], identity, H2);
            // In TLS 1.3 the client's side ends first: the refusal is then the first thing it reads.
            if let Ok(mut stream) = shake_hands(running.address, &config).await {
                let read = stream.read(&mut [0; 64]).await;
                assert!(read.is_err(), "{read:?}");
            }
            assert!(ask(running.address, &config, post("{}")).await.is_err());
        }
    }
    assert_eq!(running.incidents().len(), 0);
    assert!(!running.admin("/metrics").text().contains("status=\"401\""), "nobody came as far as credentials");
    let counted = || running.metric("hookgate_rejections_total{instance=\"\",reason=\"client_certificate\"}");
    eventually("all are counted", || counted() == 8.0);
}

#[tokio::test]
async fn the_verified_subject_is_recorded_and_cannot_be_claimed() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let alice = clients.client(&[(DnType::OrganizationName, "Example, Inc."), (DnType::CommonName, "alice")]);
    let running = start_mutual(&authority, &clients);
    for protocol in [H2, HTTP1] {
        let mut request = post("{}");
        request.headers_mut().append("Hookgate-Client-Subject", "CN=root".parse().unwrap());
        let config = authority.trusting(Some(&alice), protocol);
        assert_eq!(good(running.address, &config, request).await.status, 200);
    }
    for incident in running.incidents() {
        assert_eq!(incident["rawJson"]["headers"]["hookgate-client-subject"], "CN=alice,O=Example\\, Inc.");
    }
    let plain = start(&authority);
    let mut request = post("{}");
    request.headers_mut().append("hookgate-client-subject", "CN=root".parse().unwrap());
    assert_eq!(good(plain.address, &authority.trusting(None, H2), request).await.status, 200);
    assert!(plain.incidents()[0]["rawJson"]["headers"].get("hookgate-client-subject").is_none());
}

#[tokio::test]
async fn a_port_of_its_own_may_have_a_certificate_of_its_own() {
    let (authority, own, clients) = (Authority::new("root"), Authority::new("own root"), Authority::new("clients"));
    let folder = TempDir::new().unwrap();
    authority.server(|_| {}).write(folder.path(), "server");
    own.server(|_| {}).write(folder.path(), "own");
    std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
    let second = BASIC.replace("\"in\"", "\"second\"");
    let keys = "listen = \"127.0.0.1:0\"\ncertificate = \"own.crt\"\nprivate_key = \"own.key\"\nclient_ca = \"clients.pem\"\n";
    let instances = format!("{BASIC}{keys}{second}listen = \"127.0.0.1:0\"\n");
    let running = Running::start_in(folder, TLS, &instances);
    let alice = clients.client(&[(DnType::CommonName, "alice")]);
    let at = |address, trusted: &Authority, identity: Option<&Issued>| {
        let config = trusted.trusting(identity, H2);
        async move { ask(address, &config, post("{}")).await.map(|answer| answer.status) }
    };
    assert_eq!(at(running.own_address("in"), &own, Some(&alice)).await, Ok(200));
    assert!(at(running.own_address("in"), &own, None).await.is_err(), "its own client_ca");
    assert!(at(running.own_address("in"), &authority, Some(&alice)).await.is_err(), "not the server's certificate");
    assert_eq!(at(running.address, &authority, None).await, Ok(200), "the server asks for no client certificate");
    assert_eq!(at(running.own_address("second"), &authority, None).await, Ok(401), "the server's certificate; no such instance there");
}

#[test]
fn curl_gets_through() {
    let authority = Authority::new("root");
    let running = start(&authority);
    std::fs::write(running.folder().join("ca.pem"), authority.pem()).unwrap();
    for (flags, version) in [(["--http2", "--tlsv1.3"], "2"), (["--http1.1", "--tlsv1.2"], "1.1")] {
        let url = format!("https://localhost:{}/instance/execute/in", running.address.port());
        let output = Command::new("curl")
            .args(flags)
            .args(["-sS", "--resolve", &format!("localhost:{}:127.0.0.1", running.address.port()), "--cacert", "ca.pem"])
            .args(["-u", "alice:secret", "-d", "{}", "-o", "answer", "-w", "%{http_code} %{http_version}", &url])
            .current_dir(running.folder())
            .output();
        let Ok(output) = output else { return eprintln!("no curl here: left out") };
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("200 {version}"), "{output:?}");
    }
}

#[test]
fn a_handshake_that_stalls_ends_in_time() {
    let folder = TempDir::new().unwrap();
    Authority::new("root").server(|_| {}).write(folder.path(), "server");
    let running = Running::start_in(folder, &format!("{TLS}handshake_timeout = \"300ms\"\n"), BASIC);
    let mut silent = connect(running.address);
    let mut rest = Vec::new();
    assert_eq!(silent.read_to_end(&mut rest).unwrap_or(0), 0);
}
