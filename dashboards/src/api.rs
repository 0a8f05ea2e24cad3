//! The HTTP API. Every path needs a key, a token or a session; everything asked for is of its tenant, and of those whose
//! calls the policy lets it reach. `openapi.json` describes it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State, rejection::JsonRejection},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
        request::Parts,
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::json;
use sotto_access::{Action, ApiKeys, Denied, Principal, Purpose, Purposes, Scope, TOKEN_LIFE_SECONDS, Users};
use sotto_events::{CallId, Clock};
use sotto_storage::{Reader, RetentionPolicies};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    board,
    caller::Caller,
    calls,
    hub::Hub,
    metrics::DashboardMetrics,
    overlay, people,
    problem::{Answer, Problem, body},
    trends,
};

/// Of a request, in bytes.
const LARGEST_BODY: usize = 16 * 1024;
/// Until a body is there.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// Longest login in a token, in bytes.
const LONGEST_AGENT: usize = 100;

/// What the API needs.
pub struct Api {
    pub reader: Reader,
    pub keys: Arc<ApiKeys>,
    pub users: Arc<Users>,
    pub clock: Arc<dyn Clock>,
    pub policies: RetentionPolicies,
    pub hub: Arc<Hub>,
    pub metrics: DashboardMetrics,
    /// Browsers reach this server over TLS.
    pub secure_cookies: bool,
    pub places: Places,
}

/// How much of what is dear is done at once.
pub struct Places {
    /// Passwords hashed.
    pub logins: Arc<Semaphore>,
    /// Searches, trends and exports.
    pub searches: Semaphore,
}

impl Default for Places {
    fn default() -> Self {
        Self { logins: Arc::new(Semaphore::new(2)), searches: Semaphore::new(2) }
    }
}

pub type Shared = State<Arc<Api>>;

/// The routes under `/v1`, and `/openapi.json`.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/calls", get(calls::list))
        .route("/v1/calls/search", post(calls::find))
        .route("/v1/calls/{call}", get(calls::show).delete(calls::erase))
        .route("/v1/calls/{call}/hold", put(calls::hold).delete(calls::release))
        .route("/v1/calls/{call}/events", get(calls::events))
        .route("/v1/calls/{call}/live", get(calls::live))
        .route("/v1/calls/{call}/export", get(calls::export))
        .route("/v1/calls/{call}/alerts/{seq}/acknowledge", post(board::acknowledge))
        .route("/v1/board/live", get(board::live))
        .route("/v1/overlay/live", get(overlay::live).options(overlay::preflight))
        .route("/v1/trends", get(trends::trends))
        .route("/v1/session", get(people::who).post(people::log_in).delete(people::log_out))
        .route("/v1/session/link", post(people::open_link))
        .route("/v1/tokens", post(token))
        .route("/openapi.json", get(openapi))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "no such path; see /openapi.json") })
        .layer(from_fn(small_body))
        .with_state(api)
}

/// Takes the whole body before anything else does: bodies here are small, and whoever sends one slowly gives up its
/// place.
async fn small_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match timeout(BODY_PATIENCE, to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => {
            let why = format!("a body may have {LARGEST_BODY} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", why).into_response()
        }
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "body", "the body did not come in time").into_response(),
    }
}

/// What every answer says: never cache, sniff, frame or tell where one came from; always come back over TLS.
const GUARDS: [(HeaderName, HeaderValue); 7] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // browsers heed it only on answers that came over TLS
    (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains; preload")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// Adds the headers that every answer carries.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in GUARDS {
        // pages and streams say some of it in their own way
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

pub fn call_id(text: &str) -> Answer<CallId> {
    text.parse().map_err(|error| Problem::bad("call_id", format!("call id: {error}")))
}

/// A short-lived token for one purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    purpose: Purpose,
    /// The agent it is bound to; an overlay token needs one.
    agent: Option<String>,
}

/// POST /v1/tokens: a key gives tokens with its own purposes, and one that may read gives overlay tokens; a person who
/// may speak gets one to send the own calls with.
async fn token(
    State(api): Shared,
    parts: Parts,
    wanted: Result<Json<TokenRequest>, JsonRejection>,
) -> Answer<Response> {
    let TokenRequest { purpose, agent } = body(wanted, "{\"purpose\": \"read\"}")?;
    let needed = if purpose == Purpose::Overlay { Purpose::Read } else { purpose };
    let caller = Caller::identify(&api, &parts, needed)?;
    let agent = agent.map(|agent| agent.trim().to_lowercase()).filter(|agent| !agent.is_empty());
    if agent.as_ref().is_some_and(|agent| agent.len() > LONGEST_AGENT || agent.chars().any(char::is_control)) {
        return Err(Problem::bad("agent", format!("agent must be a login of at most {LONGEST_AGENT} bytes")));
    }
    let agent = match &caller.principal {
        Principal::Key(key) if key.token => return Err(Denied::Purpose.into()),
        Principal::Key(_) if purpose == Purpose::Overlay && agent.is_none() => {
            return Err(Problem::bad("agent", "an overlay token needs the agent it is for"));
        }
        Principal::Key(_) => agent,
        Principal::Person(user) => {
            let may = purpose == Purpose::Ingest && caller.principal.scope(Action::Speak) > Scope::Nobody;
            Some(may.then(|| user.login.clone()).ok_or_else(Problem::forbidden)?)
        }
    };
    let purposes = Purposes::new(vec![purpose]);
    let shared = Arc::clone(&api);
    let parent = match &caller.principal {
        Principal::Key(key) => Some(key.key.clone()),
        Principal::Person(_) => None,
    };
    let making = move || {
        let tenant = caller.principal.tenant();
        shared.keys.create_token(tenant, &purposes, (agent.as_deref(), parent.as_deref()), shared.clock.now())
    };
    let secret = match tokio::task::spawn_blocking(making).await {
        Ok(Ok((_, secret))) => secret,
        Ok(Err(error)) => {
            tracing::error!(%error, "a token could not be made");
            return Err(Problem::internal("a token cannot be made now"));
        }
        Err(_) => return Err(Problem::internal("a token cannot be made now")),
    };
    let answer = json!({ "token": secret.reveal(), "expires_in": TOKEN_LIFE_SECONDS });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json")).into_response()
}
