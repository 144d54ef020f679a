//! What the machine can do at most: reads each POST's body to its end and answers a fixed 200.
//!
//! Allocator and threads are the gateway's. Timeouts and limits, which cost the gateway something too, are left out: nothing
//! that speaks HTTP through hyper can be faster. Usage: `bare ADDRESS [CERTIFICATE KEY]`, the latter two being PEM files: TLS,
//! and HTTP/2 for who asks for it.

use std::net::TcpListener;
use std::sync::Arc;
use std::{error, io, thread};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections on their way from the acceptor to a worker.
const HANDOVER: usize = 64;

/// As long as the gateway's answer for one incident, so that both put the same bytes on the wire.
const ANSWER: &[u8] = &[b' '; 200];

/// The gateway's settings of HTTP/2.
const MAX_STREAMS: u32 = 32;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_BUFFER: usize = 64 * 1024;

type Failure = Box<dyn error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (address, tls) = match &*arguments {
        [address] => (address, None),
        [address, certificate, key] => (address, Some(acceptor(certificate, key)?)),
        _ => return Err("usage: bare ADDRESS [CERTIFICATE KEY]".into()),
    };
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let cores = thread::available_parallelism()?.get();
    let workers = (0..cores).map(|_| worker(tls.clone())).collect::<io::Result<Vec<_>>>()?;
    Ok(runtime()?.block_on(accept(listener, workers))?)
}

/// TLS as the gateway has it: ring, TLS 1.2 and 1.3, no session tickets, HTTP/2 before HTTP/1.1.
fn acceptor(certificate: &str, key: &str) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The one acceptor: deals connections out in turn.
async fn accept(listener: TcpListener, workers: Vec<Sender<std::net::TcpStream>>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    for worker in workers.iter().cycle() {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        worker.send(socket.into_std()?).await.map_err(io::Error::other)?;
    }
    Ok(())
}

/// A thread with a runtime of its own that serves the connections it is given.
fn worker(tls: Option<TlsAcceptor>) -> io::Result<Sender<std::net::TcpStream>> {
    let (sender, receiver) = channel(HANDOVER);
    let runtime = runtime()?;
    thread::spawn(move || LocalSet::new().block_on(&runtime, serve_all(receiver, tls)));
    Ok(sender)
}

async fn serve_all(mut sockets: Receiver<std::net::TcpStream>, tls: Option<TlsAcceptor>) {
    while let Some(socket) = sockets.recv().await {
        let Ok(socket) = TcpStream::from_std(socket) else { continue };
        spawn_local(serve(socket, tls.clone()));
    }
}

/// A client that goes away, also in the middle of a request, is the benchmark ending.
async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>) {
    let Some(tls) = tls else { return serve_http1(TokioIo::new(socket)).await };
    let Ok(stream) = tls.accept(socket).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(TokioIo::new(stream)).await;
    } else {
        serve_http1(TokioIo::new(stream)).await;
    }
}

async fn serve_http1(io: impl Read + Write + Unpin + 'static) {
    let _ = http1::Builder::new().serve_connection(io, service_fn(answer)).await;
}

async fn serve_http2(io: impl Read + Write + Unpin + 'static) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(MAX_STREAMS).max_send_buf_size(MAX_BUFFER);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let _ = builder.serve_connection(io, service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
}
