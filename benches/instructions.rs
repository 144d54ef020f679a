//! Goes through a stage of the plain path N times, for a program that counts instructions: `bench/instructions` runs it.
//!
//! Deterministic as far as can be: one request at a time, no socket, no timer that matters. Usage: `instructions STAGE N`

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use hookgate::activity::Activity;
use hookgate::auth::Verifier;
use hookgate::http::{
    CoarseTimer, Door, Entrance, Instance, InstanceOptions, Limits, PasswordUses, Proof, Protocol, Site, Traffic, Visit, Waiting,
};
use hookgate::intake::headers_json;
use hookgate::metrics::Metrics;
use hookgate::rejections::Rejections;
use hookgate::store::{Options, Store};
use http::Method;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

mod plain;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What the pipe between client and entrance holds: more than a request or an answer has.
const PIPE: usize = 64 * 1024;

fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [stage, count] = &*arguments else {
        println!("instructions: left out, bench/instructions runs it");
        return Ok(());
    };
    let count: usize = count.parse()?;
    Builder::new_current_thread().enable_all().build()?.block_on(run(stage, count))
}

async fn run(stage: &str, count: usize) -> Outcome {
    match stage {
        "credentials" => credentials(count).await,
        "intake" => intake(&plain::event(300).into(), count),
        "intake_array" => intake(&format!("[{}]", vec![plain::event(300); 100].join(",")).into(), count),
        // An empty array is nothing to store: the whole way but the store.
        "entrance" => entrance("[]", count).await,
        "stored" => entrance(&plain::event(300), count).await,
        other => Err(format!("there is no stage {other}").into()),
    }
}

async fn credentials(count: usize) -> Outcome {
    let verifier = Verifier::new();
    let access = plain::access(&verifier);
    let headers = plain::headers();
    for _ in 0..count {
        verifier.verify(Some(&access), &headers).await.map_err(|refusal| format!("{refusal:?}"))?;
    }
    Ok(())
}

fn intake(bytes: &Bytes, count: usize) -> Outcome {
    let (headers, rules) = (plain::headers(), plain::rules());
    for _ in 0..count {
        let drafts = plain::read(bytes, &headers, &rules)?;
        std::hint::black_box((drafts, headers_json(&headers, None)));
    }
    Ok(())
}

/// HTTP, credentials, intake, a commit of its own for each request, answer.
async fn entrance(body: &str, count: usize) -> Outcome {
    let folder = tempfile::tempdir()?;
    let metrics = Arc::new(Metrics::new());
    let path = folder.path().join("bench.db");
    let store = Store::open(Options { path, retention: None, samples: 0, metrics: Arc::clone(&metrics) })?;
    let (mut client, server) = tokio::io::duplex(PIPE);
    let (_running, stop) = watch::channel(false);
    let visit = Visit {
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        door: Door::Shared,
        lane: store.lane(),
        timer: CoarseTimer::start(),
        client: None,
        traffic: Arc::new(Traffic::default()),
    };
    tokio::spawn(open(&metrics).serve(TokioIo::new(server), Protocol::Http1, visit, stop));
    let request = request(body)?;
    for _ in 0..count {
        post(&mut client, &request).await?;
    }
    Ok(())
}

/// An entrance with one instance.
fn open(metrics: &Arc<Metrics>) -> Arc<Entrance> {
    let verifier = Arc::new(Verifier::new());
    let options = InstanceOptions {
        name: "bench".into(),
        access: plain::access(&verifier),
        asks_for_basic: true,
        allow_from: None,
        secret_header: None,
        proof: Proof { methods: vec![Method::POST], ..Proof::default() },
        rules: plain::rules(),
        keep_samples: false,
        duplicates_of: "bench".into(),
        duplication_window: std::time::Duration::from_secs(1),
        activity: Arc::new(Activity::default()),
        password_uses: PasswordUses::default(),
        waiting: Waiting::default(),
    };
    let instance = Arc::new(Instance::new(options, metrics));
    let site = Site::new([("bench".into(), instance)].into(), limits());
    Arc::new(Entrance::new(site, verifier, Arc::clone(metrics), Arc::new(Rejections::new(["bench"]))))
}

/// The default configuration's.
fn limits() -> Limits {
    let seconds = std::time::Duration::from_secs;
    Limits {
        max_body: 10 << 20,
        max_body_in_flight: 128 << 20,
        header_timeout: seconds(10),
        body_timeout: seconds(30),
        max_requests_per_client: 1000,
        failed_logins_per_minute: 60,
        trusted_proxies: Vec::new(),
    }
}

/// The bytes of a request.
fn request(body: &str) -> Outcome<Vec<u8>> {
    let mut text = "POST /instance/execute/bench HTTP/1.1\r\n".to_owned();
    for (name, value) in &plain::headers() {
        text += &format!("{name}: {}\r\n", value.to_str()?);
    }
    Ok(format!("{text}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Sends a request and reads its answer to the end, which must be 200.
async fn post(client: &mut DuplexStream, request: &[u8]) -> Outcome {
    client.write_all(request).await?;
    let mut answer = Vec::with_capacity(4096);
    while client.read_buf(&mut answer).await? > 0 {
        if is_whole(&answer)? {
            return Ok(());
        }
    }
    Err(format!("no answer: {}", String::from_utf8_lossy(&answer)).into())
}

fn is_whole(answer: &[u8]) -> Outcome<bool> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(text.into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no content-length")?;
    Ok(body.len() == length.parse::<usize>()?)
}
