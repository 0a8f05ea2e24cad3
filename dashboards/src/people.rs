//! Logging in and out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sotto_access::{Action, LoginError, Principal, Scope, Secret};

use crate::{
    api::{Api, Shared},
    caller::{cookie, no_session, same_origin, session, set_cookie},
    problem::{Answer, Problem, body},
    view::rfc3339,
};

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
    begin(&api, &headers, "ok", move |api| api.users.log_in(&wanted.login, &wanted.password, api.clock.now())).await
}

/// POST /v1/session/link
pub async fn open_link(
    State(api): Shared,
    headers: HeaderMap,
    wanted: Result<Json<Link>, JsonRejection>,
) -> Answer<Response> {
    let wanted = body(wanted, "{\"secret\": \"sl_…\"}")?;
    begin(&api, &headers, "link", move |api| api.users.open_link(&wanted.secret, api.clock.now())).await
}

async fn begin(
    api: &Arc<Api>,
    headers: &HeaderMap,
    outcome: &'static str,
    log_in: impl FnOnce(&Api) -> Result<Secret, LoginError> + Send + 'static,
) -> Answer<Response> {
    if !same_origin(headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", "log in from a page of this server"));
    }
    // hashing is dear on purpose: few at a time, so that guessing slows no call
    let place = api.logins.try_acquire().map_err(|_| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "too many logins at once; try again").retry_after(1)
    })?;
    let shared = Arc::clone(api);
    let done = tokio::task::spawn_blocking(move || log_in(&shared)).await;
    drop(place);
    let secret = done.unwrap_or(Err(LoginError::Store));
    let counted = match &secret {
        Ok(_) => outcome,
        Err(LoginError::Locked(_)) => "locked",
        Err(_) => "wrong",
    };
    api.metrics.logins.with_label_values(&[counted]).inc();
    let secret = secret?;
    Ok(with_cookie(api, secret.reveal()))
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
    let secret = cookie(&headers).filter(|_| same_origin(&headers)).ok_or_else(no_session)?;
    api.users.log_out(secret).map_err(|error| {
        tracing::error!(%error, "a session could not be ended");
        Problem::internal("logging out is not possible now")
    })?;
    Ok(with_cookie(&api, ""))
}
