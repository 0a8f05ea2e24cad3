//! Routes and handshakes: whoever may not send a call learns it before a WebSocket exists.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            AUTHORIZATION, CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
            UPGRADE,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    limits::Limits,
    metrics::IngestMetrics,
    native,
    port::{Calls, ConnectionPlace, Refusal, Sender},
    socket::Socket,
    twilio,
};

/// Seconds after which a refused caller may try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

struct Door {
    calls: Arc<dyn Calls>,
    limits: Limits,
    metrics: IngestMetrics,
}

/// `/v1/stream` and `/v1/twilio/{account}`.
pub fn router(calls: Arc<dyn Calls>, limits: Limits, metrics: IngestMetrics) -> Router {
    Router::new()
        .route("/v1/stream", get(stream))
        .route("/v1/twilio/{account}", get(twilio_stream))
        .with_state(Arc::new(Door { calls, limits, metrics }))
}

async fn stream(State(door): State<Arc<Door>>, request: Request) -> Response {
    let sender = match secret(&request) {
        Some((secret, in_url)) => door.calls.authenticate(&secret, in_url),
        None => Err(Refusal::NoKey),
    };
    let known = parameter(&request, "resume").and_then(|call| call.parse().ok());
    let admitted = sender.and_then(|sender| door.calls.admit(&sender.tenant, known.as_ref()).map(|()| sender));
    match admitted {
        Ok(sender) => door.upgrade(request, "native", sender),
        Err(refusal) => door.refuse(refusal),
    }
}

async fn twilio_stream(State(door): State<Arc<Door>>, Path(account): Path<String>, request: Request) -> Response {
    let Some(account) = door.calls.twilio(&account) else { return door.refuse(Refusal::UnknownKey) };
    let signature =
        request.headers().get("x-twilio-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !twilio::signed(&account.auth_token, &account.url, signature) {
        return door.refuse(Refusal::Signature);
    }
    match door.calls.admit(&account.tenant, None) {
        Ok(()) => door.upgrade(request, "twilio", Sender { tenant: account.tenant, agent: None }),
        Err(refusal) => door.refuse(refusal),
    }
}

/// The secret of a request and whether it came in the URL.
fn secret(request: &Request) -> Option<(String, bool)> {
    if let Some(value) = request.headers().get(AUTHORIZATION) {
        let key = value.to_str().ok()?.strip_prefix("Bearer ")?;
        return Some((key.trim().to_owned(), false));
    }
    parameter(request, "token").map(|token| (token, true))
}

/// A query parameter that needs no decoding: tokens and call ids have a narrow alphabet.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.replace("%3A", ":")).next()
}

impl Door {
    fn refuse(&self, refusal: Refusal) -> Response {
        self.metrics.refusals.with_label_values(&[refusal.code()]).inc();
        let status = match refusal {
            Refusal::NoKey | Refusal::UnknownKey => StatusCode::UNAUTHORIZED,
            Refusal::Purpose | Refusal::Signature => StatusCode::FORBIDDEN,
            Refusal::OnAir | Refusal::Over | Refusal::Format => StatusCode::CONFLICT,
            Refusal::TenantFull => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Full | Refusal::Draining | Refusal::Storage => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = error(status, refusal.code(), &refusal.to_string());
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }

    /// Answers the handshake and serves the socket in a task of its own.
    fn upgrade(self: &Arc<Self>, mut request: Request, dialect: &'static str, sender: Sender) -> Response {
        let (accept, upgrade) = match (accept_key(request.headers()), request.extensions_mut().remove::<OnUpgrade>()) {
            (Some(accept), Some(upgrade)) => (accept, upgrade),
            _ => {
                self.metrics.refusals.with_label_values(&["not_a_websocket"]).inc();
                let mut response =
                    error(StatusCode::UPGRADE_REQUIRED, "not_a_websocket", "this address speaks WebSocket, version 13");
                response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
                return response;
            }
        };
        let door = Arc::clone(self);
        let place = request.extensions_mut().remove::<ConnectionPlace>();
        tokio::spawn(async move {
            // held until the socket has ended
            let _place = place;
            match upgrade.await {
                Ok(upgraded) => door.serve(upgraded, dialect, sender).await,
                Err(error) => tracing::debug!(%error, "a WebSocket handshake was not completed"),
            }
        });
        let headers = [
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
    }

    async fn serve(&self, upgraded: Upgraded, dialect: &'static str, sender: Sender) {
        let socket = Socket::new(upgraded, self.limits.clone(), self.metrics.clone(), dialect).await;
        if dialect == "twilio" {
            twilio::serve(socket, sender, self.calls.as_ref()).await;
        } else {
            native::serve(socket, sender, self.calls.as_ref()).await;
        }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let says = |name, wanted: &str| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    let asks = says(CONNECTION, "upgrade") && says(UPGRADE, "websocket") && says(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}
