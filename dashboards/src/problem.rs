//! What an answer says when something is wrong: a code for programs, a sentence for people.

use axum::{
    Json,
    extract::{
        Query,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;
use sotto_access::{Denied, LoginError};
use sotto_storage::StorageError;

/// An error answer.
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which trying again may help.
    retry: Option<u64>,
}

pub type Answer<T> = Result<T, Problem>;

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry: None }
    }

    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn internal(message: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Somebody is known, but may not do this.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "your role does not allow this")
    }

    /// The same answer for what is not there and for what one may not know of.
    pub fn no_such_call() -> Self {
        StorageError::NoSuchCall.into()
    }

    /// Nobody can be looked up now.
    pub fn store() -> Self {
        let why = "who asks cannot be looked up now; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", why).retry_after(5)
    }

    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry: Some(seconds), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, code) = match denied {
            Denied::Missing => (StatusCode::UNAUTHORIZED, "no_key"),
            Denied::Unknown => (StatusCode::UNAUTHORIZED, "unknown_key"),
            Denied::Purpose => (StatusCode::FORBIDDEN, "forbidden"),
            Denied::Store => return Self::store(),
        };
        Self::new(status, code, denied.to_string())
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::Wrong => Self::new(StatusCode::UNAUTHORIZED, "wrong", message),
            LoginError::Link => Self::new(StatusCode::UNAUTHORIZED, "link", message),
            LoginError::Locked(seconds) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "locked", message).retry_after(seconds)
            }
            LoginError::Store => Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", message).retry_after(5),
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        let (status, code) = match error {
            StorageError::NoSuchCall => (StatusCode::NOT_FOUND, "no_such_call"),
            StorageError::Erased => (StatusCode::GONE, "erased"),
            StorageError::OnAir => (StatusCode::CONFLICT, "on_air"),
            StorageError::Held => (StatusCode::CONFLICT, "held"),
            StorageError::TooManyHolds => (StatusCode::CONFLICT, "too_many_holds"),
            _ => {
                tracing::error!(%error, "a request could not be answered");
                return Self::internal("storage cannot answer now");
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// The query, or what is wrong with it.
pub fn query<T>(query: Result<Query<T>, QueryRejection>) -> Answer<T> {
    let Query(query) =
        query.map_err(|_| Problem::bad("query", "a query parameter is not of its type; see /openapi.json"))?;
    Ok(query)
}

/// The body, or what would be right. A rejection may quote the body, so it is not passed on.
pub fn body<T>(body: Result<Json<T>, JsonRejection>, example: &str) -> Answer<T> {
    let Json(body) = body.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            "body",
            format!("the body must be JSON such as {example}, with content-type: application/json; see /openapi.json"),
        )
    })?;
    Ok(body)
}
