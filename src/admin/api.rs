//! The routes and what stands behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{BoxError, RequestPartsExt, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::answer::{Problem, RejectionJson, Remark, json, list, to_json, write_incidents};
use super::guard::{Guard, let_in};
use super::{Gateway, Options, query};
use crate::incident::IncidentId;
use crate::log::Quota;
use crate::metrics::Metrics;
use crate::store::{ReadError, Reader};

/// Reads of the store at the same time. One may hold a page of 16 MiB twice, as rows and as JSON.
const READS: usize = 2;
/// A little more than the store itself needs to find out.
const READY_PATIENCE: Duration = Duration::from_secs(3);
/// What the entrance sends too.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The description of all this, embedded.
const OPENAPI: &str = include_str!("openapi.json");
/// What `prometheus-client` writes (OpenMetrics 1.0).
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What the handlers share.
pub(super) struct Api {
    reader: Reader,
    metrics: Arc<Metrics>,
    gateway: Arc<dyn Gateway>,
    reads: Arc<Semaphore>,
    was_ready: AtomicBool,
}

type Shared = State<Arc<Api>>;
type Answer = Result<Response, Problem>;

/// Every address, in one place so that a test can compare them with the description.
pub(super) fn routes() -> [(&'static str, MethodRouter<Arc<Api>>); 9] {
    [
        ("/healthz", get(async || "ok\n")),
        ("/readyz", get(ready)),
        ("/metrics", get(metrics)),
        ("/api/v1/incidents", get(incidents)),
        ("/api/v1/incidents/{id}", get(incident)),
        ("/api/v1/instances", get(instances)),
        ("/api/v1/instances/{name}/samples", get(samples)),
        ("/api/v1/instances/{name}/rejections", get(rejections)),
        ("/api/v1/openapi.json", get(openapi)),
    ]
}

/// The routes behind the guard.
pub(super) fn router(options: Options, guard: Arc<Guard>) -> Router {
    let api = Api {
        reader: options.reader,
        metrics: options.metrics,
        gateway: options.gateway,
        reads: Arc::new(Semaphore::new(READS)),
        was_ready: AtomicBool::new(true),
    };
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .fallback(async || Problem::NotFound("There is nothing at this address. See /api/v1/openapi.json."))
        .method_not_allowed_fallback(async || Problem::Method)
        .with_state(Arc::new(api))
        // The last one added is the first to see a request, and the guard sees those to unknown addresses too.
        .layer(from_fn_with_state(guard, let_in))
        .layer(from_fn_with_state(Quota::default(), common_headers))
}

/// What every answer carries: an id that is also in the log, and that nobody may keep it or take it for something else.
async fn common_headers(State(quota): State<Quota>, request: Request, next: Next) -> Response {
    let id = format!("{:016x}", fastrand::u64(..));
    let mut response = next.run(request).await;
    if let Some(remark) = response.extensions_mut().remove::<Remark>() {
        remark.log(&id, &quota);
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, HeaderValue::from_str(&id).expect("hexadecimal digits are a header value"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Says only whether: the reason may name files, and anybody may ask. The log has it, once each time it changes.
async fn ready(State(api): Shared) -> Response {
    let outcome = tokio::time::timeout(READY_PATIENCE, api.gateway.ready()).await;
    let reason = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some("no answer in time".to_owned()),
    };
    let was_ready = api.was_ready.swap(reason.is_none(), Ordering::Relaxed);
    match reason {
        None => "ok\n".into_response(),
        Some(reason) => {
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, "not ready: events cannot be stored now\n").into_response();
            if was_ready {
                response.extensions_mut().insert(Remark::NotReady { reason });
            }
            response
        }
    }
}

async fn metrics(State(api): Shared) -> Response {
    ([(CONTENT_TYPE, OPENMETRICS)], api.metrics.encode()).into_response()
}

async fn openapi(RawQuery(query): RawQuery) -> Answer {
    query::nothing(&query.unwrap_or_default())?;
    Ok(json(OPENAPI))
}

async fn incidents(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    let filter = query::filter(&query.unwrap_or_default())?;
    let document = api.read(move |reader| {
        let page = reader.page(&filter)?;
        let mut out = b"{\"incidents\":".to_vec();
        write_incidents(&page.incidents, &mut out);
        out.extend_from_slice(b",\"next\":");
        out.extend_from_slice(&to_json(&page.next.map(|cursor| cursor.to_string())));
        out.push(b'}');
        Ok(out)
    });
    Ok(json(document.await?))
}

async fn incident(State(api): Shared, Segment(id): Segment, RawQuery(query): RawQuery) -> Answer {
    const NONE: Problem = Problem::NotFound("There is no incident of this id.");
    query::nothing(&query.unwrap_or_default())?;
    let id: IncidentId = id.parse().map_err(|_| NONE)?;
    let document = api.read(move |reader| {
        Ok(reader.incident(id)?.map(|incident| {
            let mut out = Vec::new();
            incident.write_json(&mut out);
            out
        }))
    });
    document.await?.map(json).ok_or(NONE)
}

async fn instances(State(api): Shared, RawQuery(query): RawQuery) -> Answer {
    query::nothing(&query.unwrap_or_default())?;
    Ok(list("instances", &api.gateway.instances()))
}

async fn samples(State(api): Shared, Segment(name): Segment, RawQuery(query): RawQuery) -> Answer {
    query::nothing(&query.unwrap_or_default())?;
    if !api.gateway.instances().iter().any(|instance| instance.name == name) {
        return Err(NO_INSTANCE);
    }
    let document = api.read(move |reader| {
        let mut out = b"{\"samples\":".to_vec();
        write_incidents(&reader.samples(&name)?, &mut out);
        out.push(b'}');
        Ok(out)
    });
    Ok(json(document.await?))
}

async fn rejections(State(api): Shared, Segment(name): Segment, RawQuery(query): RawQuery) -> Answer {
    query::nothing(&query.unwrap_or_default())?;
    let rejections = api.gateway.rejections(&name).ok_or(NO_INSTANCE)?;
    let items: Vec<RejectionJson<'_>> = rejections.iter().map(Into::into).collect();
    Ok(list("rejections", &items))
}

const NO_INSTANCE: Problem = Problem::NotFound("There is no instance of this name.");

/// The variable part of an address. One that is not UTF-8 names nothing.
struct Segment(String);

impl<S: Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(text) = parts.extract::<Path<String>>().await.map_err(|_| Problem::NotFound("There is nothing of this name."))?;
        Ok(Self(text))
    }
}

impl Api {
    /// Reads the store off the async thread, a few at a time.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static) -> Result<T, Problem> {
        let internal = |error: BoxError| Problem::Internal(error.to_string());
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|closed| internal(closed.into()))?;
        let reader = self.reader.clone();
        // If the caller hangs up, the read goes on: the permit goes with it.
        let work = spawn_blocking(move || {
            let result = read(&reader);
            drop(permit);
            result
        });
        match work.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ReadError::WrongOrder)) => Err(query::wrong("cursor".into(), "belongs to a page in the other order")),
            Ok(Err(error)) => Err(internal(error.into())),
            Err(panicked) => Err(internal(panicked.into())),
        }
    }
}
