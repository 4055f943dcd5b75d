//! MQTT over WebSocket, at `/mqtt` as at AWS: the bytes of MQTT in binary messages, however they are cut.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::{Front, access, answer, browser};
use crate::broker::connection;

/// Where it is.
pub(super) const PATH: &str = "/mqtt";

/// What clients ask for as the subprotocol.
const PROTOCOL: &str = "mqtt";
/// Largest message of a client, in bytes. One may hold several packets.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Bytes on their way between WebSocket and MQTT, each way.
const BETWEEN: usize = 64 * 1024;
/// Time for the last messages of a connection that is being closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Makes a WebSocket of a request and serves MQTT on it.
pub(super) async fn accept(front: &Front, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let tls = access::shown(&parts).is_some();
    let allowed = browser::check_socket(&parts.headers, front.loopback, tls);
    if let Err(refusal) = allowed.and_then(|()| access::at_all(&parts)) {
        tracing::info!(status = refusal.status, error = %refusal.error, "Refused: {}", refusal.message);
        return answer::response(Err(refusal));
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    // Who has no certificate has come with a signature, which no policy is about.
    let shown = access::shown(&parts).filter(|shown| shown.is_certificate()).cloned();
    let (id, events) = (front.ids.next(), front.events.clone());
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.on_upgrade(async move |socket| {
        let (ours, theirs) = tokio::io::duplex(BETWEEN);
        let talk = connection::serve_within(ours, id, events, shown.as_ref());
        let passing = pass(socket, theirs);
        tokio::pin!(talk, passing);
        tokio::select! {
            // What was written last still goes out.
            () = &mut talk => if timeout(CLOSING, passing).await.is_err() {
                tracing::debug!(connection = id.0, "A client does not take its last messages");
            },
            () = &mut passing => talk.await,
        }
    })
}

/// Passes bytes on in both directions until one side ends.
async fn pass(mut socket: WebSocket, mut mqtt: DuplexStream) {
    let mut outgoing = BytesMut::new();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if mqtt.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                // Answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // MQTT is binary (MQTT 5, section 6.0).
                Some(Ok(Message::Text(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            read = mqtt.read_buf(&mut outgoing) => {
                let goes_on = matches!(read, Ok(1..));
                let message = if goes_on { Message::Binary(outgoing.split().freeze()) } else { Message::Close(None) };
                if socket.send(message).await.is_err() || !goes_on {
                    return;
                }
            }
        }
    }
}
