//! The calls that are kept: list, search, show, follow, export, erase.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sotto_access::{Action, Principal, Scope};
use sotto_events::{CallEvent, CallId};
use sotto_storage::CallSummary;

use crate::{
    api::{Api, Shared, call_id},
    caller::Caller,
    export::{Export, lines, render},
    live::Follow,
    problem::{Answer, Problem, body, query},
    search::{Filter, History, search},
    sse::tell,
    view::{CallView, Labels, rfc3339},
};

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// A call that `caller` may do `action` with; whoever may not is told that there is none.
async fn found(api: &Api, caller: &Caller, call: &str, action: Action) -> Answer<(CallSummary, Labels)> {
    let principal = &caller.principal;
    let summary = api.reader.call(principal.tenant(), &call_id(call)?).await?;
    let labels = Labels::new(&api.users, principal.tenant(), &summary.metadata);
    if !principal.may(action, &labels.owners) {
        return Err(Problem::no_such_call());
    }
    Ok((summary, labels))
}

pub fn view(api: &Api, principal: &Principal, summary: CallSummary, labels: &Labels) -> CallView {
    CallView::new(summary, api.policies.of(principal.tenant()), labels.user.as_ref())
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// GET /v1/calls
pub async fn list(
    State(api): Shared,
    wanted: Result<Query<ListQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Json<History>> {
    let caller = Caller::with(&api, &parts, Action::SeeCalls)?;
    let ListQuery { limit, before } = query(wanted)?;
    let filter = Filter { limit: Some(limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)), before, ..Filter::default() };
    Ok(Json(search(&api, &caller.principal, &filter).await?))
}

/// POST /v1/calls/search: what is searched for is said in the body, since URLs are logged on their way.
pub async fn find(
    State(api): Shared,
    parts: Parts,
    wanted: Result<Json<Filter>, JsonRejection>,
) -> Answer<Json<History>> {
    let caller = Caller::with(&api, &parts, Action::SeeCalls)?;
    let filter = body(wanted, "{\"queue\": \"cards\", \"words\": \"cancel my contract\"}")?;
    Ok(Json(search(&api, &caller.principal, &filter).await?))
}

/// GET /v1/calls/{call}
pub async fn show(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<CallView>> {
    let caller = Caller::with(&api, &parts, Action::SeeCalls)?;
    let (summary, labels) = found(&api, &caller, &call, Action::SeeCalls).await?;
    Ok(Json(view(&api, &caller.principal, summary, &labels)))
}

/// DELETE /v1/calls/{call}
pub async fn erase(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<Value>> {
    let (principal, call) = over_life(&api, &parts, &call).await?;
    let erasure = api.reader.erase(principal.tenant(), &call).await?;
    tracing::info!(tenant = %principal.tenant(), by = name(&principal), call = %erasure.call, "call erased");
    Ok(Json(json!({ "call_id": erasure.call, "erased_at": rfc3339(erasure.at), "rows": erasure.rows })))
}

/// PUT /v1/calls/{call}/hold
pub async fn hold(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<Value>> {
    let (principal, call) = over_life(&api, &parts, &call).await?;
    let held_at = api.reader.hold(principal.tenant(), &call).await?;
    tracing::info!(tenant = %principal.tenant(), by = name(&principal), %call, "call held");
    Ok(Json(json!({ "call_id": call, "held_at": rfc3339(held_at) })))
}

/// DELETE /v1/calls/{call}/hold
pub async fn release(State(api): Shared, Path(call): Path<String>, parts: Parts) -> Answer<Json<Value>> {
    let (principal, call) = over_life(&api, &parts, &call).await?;
    api.reader.release(principal.tenant(), &call).await?;
    tracing::info!(tenant = %principal.tenant(), by = name(&principal), %call, "call released");
    Ok(Json(json!({ "call_id": call, "held_at": null })))
}

/// Who decides how long a call lives, and that call.
async fn over_life(api: &Api, parts: &Parts, call: &str) -> Answer<(Principal, CallId)> {
    let caller = Caller::with(api, parts, Action::Erase)?;
    // a call whose metadata has expired is reached too, by whoever reaches any
    let call = match caller.principal.scope(Action::Erase) {
        Scope::Tenant => call_id(call)?,
        _ => found(api, &caller, call, Action::Erase).await?.0.call,
    };
    Ok((caller.principal, call))
}

/// For the log: people are not named there.
fn name(principal: &Principal) -> &str {
    match principal {
        Principal::Key(key) => key.key.as_str(),
        Principal::Person(_) => "a person",
    }
}

#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// GET /v1/calls/{call}/events
pub async fn events(
    State(api): Shared,
    Path(call): Path<String>,
    wanted: Result<Query<EventsQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Json<Value>> {
    let caller = Caller::with(&api, &parts, Action::ReadCalls)?;
    let wanted = query(wanted)?;
    let (summary, _) = found(&api, &caller, &call, Action::ReadCalls).await?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let events = api.reader.events(caller.principal.tenant(), &summary.call, wanted.after, limit).await?;
    Ok(Json(json!({ "events": events })))
}

/// GET /v1/calls/{call}/live
pub async fn live(
    State(api): Shared,
    Path(call): Path<String>,
    wanted: Result<Query<EventsQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Response> {
    let caller = Caller::with(&api, &parts, Action::ReadCalls)?;
    let wanted = query(wanted)?;
    let (summary, _) = found(&api, &caller, &call, Action::ReadCalls).await?;
    let last = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = last.unwrap_or(wanted.after).min(i64::MAX as u64);
    let tenant = caller.principal.tenant().clone();
    // followed first, so that no score falls between
    let follow = Follow::open(api.reader.clone(), tenant.clone(), summary.call.clone(), after).await?;
    let follow = follow.with_scores(api.hub.scores(&tenant, &summary.call));
    Ok(tell(Arc::clone(&api), caller, "call", follow))
}

#[derive(Debug, Deserialize)]
pub struct ExportQuery {
    format: Option<String>,
}

/// GET /v1/calls/{call}/export
pub async fn export(
    State(api): Shared,
    Path(call): Path<String>,
    wanted: Result<Query<ExportQuery>, QueryRejection>,
    parts: Parts,
) -> Answer<Response> {
    let caller = Caller::with(&api, &parts, Action::ReadCalls)?;
    let format = query(wanted)?.format;
    let format: Export =
        format.as_deref().unwrap_or("json").parse().map_err(|why: String| Problem::bad("format", why))?;
    let (summary, labels) = found(&api, &caller, &call, Action::ReadCalls).await?;
    let _place = api.places.searches.acquire().await;
    let events = every_event(&api, &caller.principal, &summary.call).await?;
    let roles = summary.format.channels.clone();
    let body = match format {
        Export::Json => {
            json!({ "call": view(&api, &caller.principal, summary, &labels), "events": events }).to_string()
        }
        _ => render(format, &lines(&events, &roles)),
    };
    Ok(([(CONTENT_TYPE, format.media_type())], body).into_response())
}

/// All events of a call, oldest first.
pub async fn every_event(api: &Api, principal: &Principal, call: &CallId) -> Answer<Vec<CallEvent>> {
    let mut all: Vec<CallEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let page = api.reader.events(principal.tenant(), call, after, LARGEST_PAGE).await?;
        let full = page.len() == LARGEST_PAGE;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}
