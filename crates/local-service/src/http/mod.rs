//! The HTTP front: what boto3, the AWS CLI and the SDKs send to `iot` and `iot-jobs-data`, on plain HTTP.
//!
//! Here a request becomes an operation's name and one object of members, and the outcome becomes a response in the
//! shape those clients parse; below `/_fleethand/` the service itself is spoken to. Which operations there are and what
//! they do is the Jobs service's matter. Signatures are not checked; web pages are kept out.

mod access;
mod answer;
mod browser;
mod management;
pub(crate) mod objects;
mod request;
pub(crate) mod routes;
mod websocket;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use tokio::sync::{mpsc, oneshot};

use crate::broker::connection::ConnectionIds;
use crate::documents::Documents;
use crate::engine::Event;
use crate::jobs::{Plane, Refusal};

/// Largest body of a request, in bytes: a job document has at most 32 KB, a request with it little more.
const MAX_BODY: usize = 1_000_000;

/// What requests are answered with.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) documents: Documents,
    /// For MQTT within HTTP.
    pub(crate) ids: ConnectionIds,
    /// The only plane that is served; `None`: both, and the service's own paths.
    pub(crate) plane: Option<Plane>,
    /// Whether this is served on a loopback address.
    pub(crate) loopback: bool,
}

/// The service for all requests.
pub(crate) fn router(front: Front) -> Router {
    Router::new().fallback(handle).with_state(front)
}

async fn handle(State(front): State<Front>, request: Request) -> Response {
    let allowed = browser::check(request.headers(), front.loopback);
    if allowed.is_ok() && front.plane.is_none() && request.uri().path().starts_with(objects::PREFIX) {
        return objects::serve(&front, request.uri()).await;
    }
    if request.uri().path() == websocket::PATH && request.headers().contains_key(header::UPGRADE) {
        return websocket::accept(&front, request).await;
    }
    let outcome = match allowed {
        Ok(()) => perform(&front, request).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &outcome {
        tracing::info!(status = refusal.status, error = %refusal.error, "Refused: {}", refusal.message);
    }
    answer::response(outcome)
}

async fn perform(front: &Front, request: Request) -> Result<serde_json::Value, Refusal> {
    let (parts, body) = request.into_parts();
    // Before anything is kept for it.
    access::at_all(&parts)?;
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let message = format!("The body is not complete, or larger than {MAX_BODY} bytes.");
        Refusal::new(413, "RequestEntityTooLargeException", message)
    })?;
    let (answer, outcome) = oneshot::channel();
    let event = if front.plane.is_none() && parts.uri.path().starts_with(management::PREFIX) {
        Event::Manage { what: management::read(&parts.method, parts.uri.path(), &body)?, answer }
    } else {
        let call = request::call(&parts, &body, front.plane)?;
        access::to_operation(&parts, &call, &front.events).await?;
        let request::Call { plane, operation, params } = call;
        tracing::debug!(?plane, operation, "Called");
        Event::Call { plane, operation: operation.into(), params, answer }
    };
    front.events.send(event).await.map_err(|_| Refusal::stopping())?;
    outcome.await.map_err(|_| Refusal::stopping())?
}
