//! `/_fleethand/objects/BUCKET/KEY?...`: where the URLs lead that devices get in the place of presigned placeholders.

use axum::body::Body;
use axum::http::{Response, StatusCode, Uri, header};
use service_core::S3Object;
use tokio::sync::oneshot;

use super::Front;
use crate::engine::{Event, Management};
use crate::jobs::Refusal;

/// What all of the URLs' paths begin with.
pub(crate) const PREFIX: &str = "/_fleethand/objects/";

/// Answers with the object, or says why not.
pub(super) async fn serve(front: &Front, uri: &Uri) -> Response<Body> {
    match read(front, uri).await {
        Ok(bytes) => answer(StatusCode::OK, "application/octet-stream", bytes.into()),
        Err(refusal) => {
            tracing::info!(path = uri.path(), "An object is refused: {}", refusal.message);
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            answer(status, "text/plain", format!("{}: {}\n", refusal.error, refusal.message).into())
        }
    }
}

async fn read(front: &Front, uri: &Uri) -> Result<Vec<u8>, Refusal> {
    let missing = |message: String| Refusal::new(404, "NoSuchKey", message);
    let rest = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let object = S3Object::parse(&format!("s3://{rest}"))
        .ok_or_else(|| missing("The path is not that of an object.".to_owned()))?;
    let (answer, outcome) = oneshot::channel();
    let query = uri.query().unwrap_or_default().to_owned();
    let what = Management::Fetch { object: object.clone(), query };
    front.events.send(Event::Manage { what, answer }).await.map_err(|_| Refusal::stopping())?;
    outcome.await.map_err(|_| Refusal::stopping())??;
    let documents = front.documents.clone();
    let file = tokio::task::spawn_blocking(move || documents.served(&object));
    let file = file.await.map_err(|error| Refusal::new(500, "InternalError", error.to_string()))?;
    file.map_err(|error| missing(format!("The object cannot be served: {error}.")))
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
