//! The HTTP API. Every path needs a key; everything asked for is of the key's tenant. `openapi.json` describes it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{
        Path, Query, Request, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{
        HeaderValue, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
        request::Parts,
    },
    middleware::Next,
    response::{
        IntoResponse, Response,
        sse::{KeepAlive, Sse},
    },
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sotto_access::{ApiKeys, Denied, Principal, Purpose, TOKEN_LIFE_SECONDS};
use sotto_events::{AudioFormat, CallEvent, CallId, Clock, Timestamp};
use sotto_storage::{CallSummary, Reader, StorageError, vault::CallState};

use crate::{
    export::{Export, lines, render},
    live::follow,
};

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// What the API needs.
pub struct Api {
    pub reader: Reader,
    pub keys: Arc<ApiKeys>,
    pub clock: Arc<dyn Clock>,
}

type Shared = State<Arc<Api>>;

/// The routes under `/v1`, and `/openapi.json`.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/calls", get(list))
        .route("/v1/calls/{call}", get(show).delete(erase))
        .route("/v1/calls/{call}/events", get(events))
        .route("/v1/calls/{call}/live", get(live))
        .route("/v1/calls/{call}/export", get(export))
        .route("/v1/tokens", post(token))
        .route("/openapi.json", get(openapi))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "no such path; see /openapi.json") })
        .with_state(api)
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
        response.headers_mut().insert(name, value);
    }
    response
}

struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": { "code": self.code, "message": self.message } }))).into_response()
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, code) = match denied {
            Denied::Missing => (StatusCode::UNAUTHORIZED, "no_key"),
            Denied::Unknown => (StatusCode::UNAUTHORIZED, "unknown_key"),
            Denied::Purpose => (StatusCode::FORBIDDEN, "forbidden"),
        };
        Self::new(status, code, denied.to_string())
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        let (status, code) = match error {
            StorageError::NoSuchCall => (StatusCode::NOT_FOUND, "no_such_call"),
            StorageError::Erased => (StatusCode::GONE, "erased"),
            StorageError::OnAir => (StatusCode::CONFLICT, "on_air"),
            _ => {
                tracing::error!(%error, "a request could not be answered");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "storage cannot answer now");
            }
        };
        Self::new(status, code, error.to_string())
    }
}

type Answer<T> = Result<T, Problem>;

fn allow(api: &Api, parts: &Parts, purpose: Purpose) -> Answer<Principal> {
    let query = parts.uri.query().unwrap_or_default();
    let in_url = query.split('&').find_map(|pair| pair.strip_prefix("token="));
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let secret = in_header.or(in_url).ok_or(Denied::Missing)?;
    let principal = api.keys.authenticate(secret, purpose, api.clock.now())?;
    // what stands in a URL is written to logs on its way: only what dies by itself may
    if in_header.is_none() && !principal.token {
        return Err(Denied::Unknown.into());
    }
    Ok(principal)
}

/// The query, or what is wrong with it.
fn checked<T>(query: Result<Query<T>, QueryRejection>) -> Answer<T> {
    let Query(query) = query.map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "query", "a query parameter is not of its type; see /openapi.json")
    })?;
    Ok(query)
}

fn call_id(text: &str) -> Answer<CallId> {
    text.parse().map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "call_id", format!("call id: {error}")))
}

/// One call, as the API gives it.
#[derive(Debug, Serialize)]
struct CallView {
    call_id: CallId,
    state: &'static str,
    dialect: String,
    format: AudioFormat,
    created_at: String,
    ended_at: Option<String>,
    /// When nothing of it is left.
    expires_at: String,
    seq: u64,
    metadata: BTreeMap<String, String>,
}

fn view(call: CallSummary) -> CallView {
    CallView {
        call_id: call.call,
        state: match call.state {
            CallState::Open => "open",
            CallState::Ended => "ended",
            CallState::Erased => "erased",
        },
        dialect: call.dialect,
        format: call.format,
        created_at: rfc3339(call.created_at),
        ended_at: call.ended_at.map(rfc3339),
        expires_at: rfc3339(call.expires_at),
        seq: call.seq,
        metadata: call.metadata,
    }
}

fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

async fn list(
    State(api): Shared,
    query: Result<Query<ListQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Json<serde_json::Value>> {
    let principal = allow(&api, &parts, Purpose::Read)?;
    let query = checked(query)?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let before = query.before.as_deref().map(cursor).transpose()?;
    let calls = api.reader.calls(&principal.tenant, before, limit).await?;
    let next = (calls.len() == limit).then(|| calls.last().map(|call| format!("{}~{}", call.created_at.0, call.call)));
    let calls: Vec<CallView> = calls.into_iter().map(view).collect();
    Ok(Json(json!({ "calls": calls, "next": next.flatten() })))
}

fn cursor(text: &str) -> Answer<(Timestamp, CallId)> {
    let bad = || Problem::new(StatusCode::BAD_REQUEST, "before", "before must be the `next` of an earlier page");
    let (at, call) = text.split_once('~').ok_or_else(bad)?;
    Ok((Timestamp(at.parse().map_err(|_| bad())?), call_id(call)?))
}

async fn show(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<CallView>> {
    let principal = allow(&api, &parts, Purpose::Read)?;
    Ok(Json(view(api.reader.call(&principal.tenant, &call_id(&call)?).await?)))
}

async fn erase(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<serde_json::Value>> {
    let principal = allow(&api, &parts, Purpose::Erase)?;
    let erasure = api.reader.erase(&principal.tenant, &call_id(&call)?).await?;
    tracing::info!(tenant = %principal.tenant, key = principal.key, call = %erasure.call, "call erased");
    Ok(Json(json!({ "call_id": erasure.call, "erased_at": rfc3339(erasure.at), "rows": erasure.rows })))
}

#[derive(Debug, Deserialize)]
struct EventsQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn events(
    State(api): Shared,
    Path(call): Path<String>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Json<serde_json::Value>> {
    let principal = allow(&api, &parts, Purpose::Read)?;
    let query = checked(query)?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let events = api.reader.events(&principal.tenant, &call_id(&call)?, query.after, limit).await?;
    Ok(Json(json!({ "events": events })))
}

async fn live(
    State(api): Shared,
    Path(call): Path<String>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Response> {
    let principal = allow(&api, &parts, Purpose::Read)?;
    let query = checked(query)?;
    let last = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = last.unwrap_or(query.after);
    let stream = follow(api.reader.clone(), principal.tenant, call_id(&call)?, after).await?;
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

#[derive(Debug, Deserialize)]
struct ExportQuery {
    format: Option<String>,
}

async fn export(
    State(api): Shared,
    Path(call): Path<String>,
    query: Result<Query<ExportQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Response> {
    let principal = allow(&api, &parts, Purpose::Read)?;
    let query = checked(query)?;
    let format: Export = query
        .format
        .as_deref()
        .unwrap_or("json")
        .parse()
        .map_err(|why: String| Problem::new(StatusCode::BAD_REQUEST, "format", why))?;
    let call = call_id(&call)?;
    let summary = api.reader.call(&principal.tenant, &call).await?;
    let events = every_event(&api, &principal, &call).await?;
    let roles = summary.format.channels.clone();
    let body = match format {
        Export::Json => json!({ "call": view(summary), "events": events }).to_string(),
        _ => render(format, &lines(&events, &roles)),
    };
    Ok(([(CONTENT_TYPE, format.media_type())], body).into_response())
}

async fn every_event(api: &Api, principal: &Principal, call: &CallId) -> Answer<Vec<CallEvent>> {
    let mut all: Vec<CallEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let page = api.reader.events(&principal.tenant, call, after, LARGEST_PAGE).await?;
        let full = page.len() == LARGEST_PAGE;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// A short-lived token with the purposes that are asked for, which the key must have itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    purpose: Purpose,
}

async fn token(
    State(api): Shared,
    parts: Parts,
    wanted: Result<Json<TokenRequest>, JsonRejection>,
) -> Answer<Response> {
    let Json(wanted) = wanted.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            "body",
            "the body must be JSON such as {\"purpose\": \"read\"}; see /openapi.json",
        )
    })?;
    let principal = allow(&api, &parts, wanted.purpose)?;
    if principal.token {
        return Err(Denied::Purpose.into());
    }
    let purposes = sotto_access::Purposes::new(vec![wanted.purpose]);
    let (_, secret) = api.keys.create_token(&principal.tenant, &purposes, api.clock.now()).map_err(|error| {
        tracing::error!(%error, "a token could not be made");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a token cannot be made now")
    })?;
    let body = json!({ "token": secret.reveal(), "expires_in": TOKEN_LIFE_SECONDS });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json")).into_response()
}
