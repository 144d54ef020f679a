//! What the machine can do at most: reads each POST's body to its end and answers a fixed 200.
//!
//! Allocator and threads are the gateway's. Timeouts and limits, which cost the gateway something too, are left out: nothing
//! that speaks HTTP through hyper can be faster. Usage: `bare ADDRESS`

use std::io;
use std::net::TcpListener;
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{LocalSet, spawn_local};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections on their way from the acceptor to a worker.
const HANDOVER: usize = 64;

/// As long as the gateway's answer for one incident, so that both put the same bytes on the wire.
const ANSWER: &[u8] = &[b' '; 200];

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: bare ADDRESS"))?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let cores = thread::available_parallelism()?.get();
    let workers = (0..cores).map(|_| worker()).collect::<io::Result<Vec<_>>>()?;
    runtime()?.block_on(accept(listener, workers))
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
fn worker() -> io::Result<Sender<std::net::TcpStream>> {
    let (sender, receiver) = channel(HANDOVER);
    let runtime = runtime()?;
    thread::spawn(move || LocalSet::new().block_on(&runtime, serve(receiver)));
    Ok(sender)
}

async fn serve(mut sockets: Receiver<std::net::TcpStream>) {
    while let Some(socket) = sockets.recv().await {
        let Ok(socket) = tokio::net::TcpStream::from_std(socket) else { continue };
        spawn_local(async move {
            // A client that goes away mid-request is the benchmark ending.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
}
