//! Logging in and out.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sotto_access::{Action, LoginError, Principal, Scope, Secret};
use tokio::time::timeout;

use crate::{
    api::{Api, Shared},
    caller::{cookie, no_session, same_origin, session, set_cookie},
    problem::{Answer, Problem, body},
    view::rfc3339,
};

/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    login: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    secret: String,
}

/// POST /v1/session
pub async fn log_in(
    State(api): Shared,
    headers: HeaderMap,
    wanted: Result<Json<Credentials>, JsonRejection>,
) -> Answer<Response> {
    let wanted = body(wanted, "{\"login\": \"ana\", \"password\": \"…\"}")?;
    refuse_foreign(&headers)?;
    // hashing is dear on purpose: few at a time, so that guessing slows no call
    let place = timeout(PATIENCE, Arc::clone(&api.places.logins).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        api.metrics.logins.with_label_values(&["busy"]).inc();
        let busy = Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too many logins at once; try again");
        return Err(busy.retry_after(1));
    };
    let shared = Arc::clone(&api);
    let hashing = move || {
        // held until the work is done, whether or not somebody still waits for it
        let _place = place;
        shared.users.log_in(&wanted.login, &wanted.password, shared.clock.now())
    };
    let done = tokio::task::spawn_blocking(hashing).await;
    begun(&api, "ok", done.unwrap_or(Err(LoginError::Store)))
}

/// POST /v1/session/link
pub async fn open_link(
    State(api): Shared,
    headers: HeaderMap,
    wanted: Result<Json<Link>, JsonRejection>,
) -> Answer<Response> {
    let wanted = body(wanted, "{\"secret\": \"sl_…\"}")?;
    refuse_foreign(&headers)?;
    let shared = Arc::clone(&api);
    let opening = move || shared.users.open_link(&wanted.secret, shared.clock.now());
    let done = tokio::task::spawn_blocking(opening).await;
    begun(&api, "link", done.unwrap_or(Err(LoginError::Store)))
}

fn refuse_foreign(headers: &HeaderMap) -> Answer<()> {
    if same_origin(headers) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", "log in and out from a page of this server"))
}

fn begun(api: &Api, outcome: &'static str, secret: Result<Secret, LoginError>) -> Answer<Response> {
    let counted = match &secret {
        Ok(_) => outcome,
        Err(LoginError::Locked(_)) => "locked",
        Err(LoginError::Store) => "failed",
        Err(LoginError::Wrong | LoginError::Link) => "wrong",
    };
    if counted == "failed" {
        tracing::error!("people cannot be looked up; nobody can log in");
    }
    api.metrics.logins.with_label_values(&[counted]).inc();
    Ok(with_cookie(api, secret?.reveal()))
}

fn with_cookie(api: &Api, secret: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = set_cookie(secret, api.secure_cookies) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// GET /v1/session
pub async fn who(State(api): Shared, headers: HeaderMap) -> Answer<Json<serde_json::Value>> {
    let session = session(&api, &headers)?;
    let principal = Principal::Person(session.user.clone());
    let allowed = Action::ALL.into_iter().filter(|action| principal.scope(*action) > Scope::Nobody);
    let may: Vec<&str> = allowed.map(Action::name).collect();
    Ok(Json(json!({ "user": session.user, "may": may, "expires_at": rfc3339(session.expires_at) })))
}

/// DELETE /v1/session
pub async fn log_out(State(api): Shared, headers: HeaderMap) -> Answer<Response> {
    refuse_foreign(&headers)?;
    let secret = cookie(&headers).ok_or_else(no_session)?;
    api.users.log_out(secret).map_err(|error| {
        tracing::error!(%error, "a session could not be ended");
        Problem::internal("logging out is not possible now")
    })?;
    Ok(with_cookie(&api, ""))
}
