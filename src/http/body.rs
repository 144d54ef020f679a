//! Reading a body within its limits: size, time, and a [budget](super::budget) over all requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::budget::Reserved;
use super::error::Refused;
use super::traffic::Traffic;
use crate::buffer::Buffer;

/// How much of a refused body is still read, so that the caller, who may write it all before reading, sees the answer.
const DRAIN_BYTES: u64 = 1 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// A third of the total time without a single byte means that nobody is there any more.
const IDLE_SHARE: u32 = 3;

/// What ends the reading of a body before its own end.
#[derive(Debug)]
pub(super) struct Bounds<'a> {
    /// Bytes.
    pub(super) max: u64,
    /// For all of it; a third of that without a byte is enough as well.
    pub(super) time: Duration,
    /// Turns true when the gateway is about to end: no body is waited for any more.
    pub(super) last_call: &'a watch::Sender<bool>,
}

/// Reads the whole body within its bounds.
pub(super) async fn collect(
    body: &mut Incoming,
    bounds: &Bounds<'_>,
    reserved: &mut Reserved,
    traffic: &Traffic,
) -> Result<Bytes, Refused> {
    let max = bounds.max;
    let announced = body.size_hint().exact();
    if body.size_hint().lower() > max {
        return Err(Refused::BodyTooLarge { limit: max });
    }
    let start = Instant::now();
    let mut first = Bytes::new();
    let mut all = Buffer::new(usize::try_from(announced.unwrap_or(max)).unwrap_or(usize::MAX));
    loop {
        let received = (first.len() + all.len()) as u64;
        let Some(frame) = next_frame(body, start, bounds, received).await? else { break };
        // Trailers are not headers: what they say is not looked at.
        let Ok(data) = frame.into_data() else { continue };
        if received + data.len() as u64 > max {
            return Err(Refused::BodyTooLarge { limit: max });
        }
        reserved.grow(data.len() as u64)?;
        if !data.is_empty() {
            traffic.explain();
        }
        if received == 0 {
            first = data;
            if announced == Some(first.len() as u64) {
                break;
            }
            continue;
        }
        if all.is_empty() {
            all.append(&std::mem::take(&mut first));
        }
        all.append(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

async fn next_frame(body: &mut Incoming, start: Instant, bounds: &Bounds<'_>, received: u64) -> Result<Option<Frame<Bytes>>, Refused> {
    // Most bodies arrive together with their head: then no timer is needed.
    let mut frame = std::pin::pin!(body.frame());
    let at_once = std::future::poll_fn(|cx| std::task::Poll::Ready(frame.as_mut().poll(cx))).await;
    let frame = match at_once {
        std::task::Poll::Ready(frame) => frame,
        std::task::Poll::Pending => {
            let deadline = (start + bounds.time).min(Instant::now() + bounds.time / IDLE_SHARE);
            let mut last_call = bounds.last_call.subscribe();
            tokio::select! {
                frame = timeout_at(deadline, frame) => frame.map_err(|_| Refused::BodyTooSlow { received, after: start.elapsed() })?,
                _ = last_call.wait_for(|is_made| *is_made) => return Err(Refused::Stopping { received }),
            }
        }
    };
    frame.transpose().map_err(|source| Refused::BodyBroken { received, source })
}

/// Reads on after a refusal, in the background and within bounds, then drops the body (hyper closes what is not read).
pub(super) fn drain(mut body: Incoming, traffic: Arc<Traffic>) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let deadline = Instant::now() + DRAIN_TIME;
        let mut drained = 0;
        while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
            let more = frame.data_ref().map_or(0, |data| data.len() as u64);
            if more > 0 {
                // It belongs to a request, and there is an end to it.
                traffic.explain();
            }
            drained += more;
            if drained > DRAIN_BYTES {
                return;
            }
        }
    });
}
