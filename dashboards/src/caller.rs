//! Who asks: a key in the header, a short-lived token, or the cookie of a session.

use axum::http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
    request::Parts,
};
use sotto_access::{Action, Denied, Principal, Purpose, SESSION_SECONDS, Scope, Session};

use crate::{
    api::Api,
    problem::{Answer, Problem},
};

/// Over TLS with a prefix by which browsers take it from this host alone.
const SESSION_COOKIE: &str = "sotto_session";
const SECURE_PREFIX: &str = "__Host-";

/// Somebody who has shown who they are.
pub struct Caller {
    pub principal: Principal,
    credential: Credential,
}

/// What they showed, to ask again while a stream is open.
enum Credential {
    Key {
        secret: String,
        purpose: Purpose,
    },
    /// Dies by itself; a stream that it opened goes on, unless it is taken back.
    Token {
        secret: String,
    },
    Session {
        secret: String,
    },
}

impl Caller {
    /// Whoever may do `action` on somebody's calls.
    ///
    /// # Errors
    /// 401 for nobody, 403 for somebody who may not.
    pub fn with(api: &Api, parts: &Parts, action: Action) -> Answer<Self> {
        let purpose = match action {
            Action::Erase => Purpose::Erase,
            Action::Speak => Purpose::Ingest,
            _ => Purpose::Read,
        };
        let caller = Self::identify(api, parts, purpose)?;
        if caller.principal.scope(action) == Scope::Nobody {
            return Err(Problem::forbidden());
        }
        Ok(caller)
    }

    /// Whoever holds a key or token with `purpose`, or is logged in.
    ///
    /// # Errors
    /// 401 for nobody, 403 for a key of other purposes.
    pub fn identify(api: &Api, parts: &Parts, purpose: Purpose) -> Answer<Self> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let in_header = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let pairs = || parts.uri.query().unwrap_or_default().split('&');
        if let Some(secret) = in_header.or_else(|| pairs().find_map(|pair| pair.strip_prefix("token="))) {
            return Self::by_key(api, secret, purpose, in_header.is_none());
        }
        let secret = cookie(&parts.headers).ok_or(Denied::Missing)?;
        let session = known(api, secret)?;
        if !parts.method.is_safe() && !same_origin(&parts.headers) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "cross_origin",
                "with a session, changes need content-type: application/json from a page of this server",
            ));
        }
        let credential = Credential::Session { secret: secret.to_owned() };
        Ok(Self { principal: Principal::Person(session.user), credential })
    }

    fn by_key(api: &Api, secret: &str, purpose: Purpose, in_url: bool) -> Answer<Self> {
        let holder = api.keys.authenticate(secret, purpose, api.clock.now())?;
        // what stands in a URL is written to logs on its way: only what dies by itself may
        if in_url && !holder.token {
            return Err(Denied::Unknown.into());
        }
        let credential = if holder.token {
            Credential::Token { secret: secret.to_owned() }
        } else {
            Credential::Key { secret: secret.to_owned(), purpose }
        };
        Ok(Self { principal: Principal::Key(holder), credential })
    }

    /// Whether they would still be let in: sessions end and keys are revoked while streams are open.
    pub fn still(&self, api: &Api) -> bool {
        match &self.credential {
            Credential::Key { secret, purpose } => {
                // a store that cannot be read ends no stream
                matches!(api.keys.authenticate(secret, *purpose, api.clock.now()), Ok(_) | Err(Denied::Store))
            }
            Credential::Token { secret } => api.keys.stands(secret, api.clock.now()),
            Credential::Session { secret } => {
                match api.users.session(secret, api.clock.now()) {
                    Ok(session) => session.is_some_and(|session| Principal::Person(session.user) == self.principal),
                    // nor logs anybody out
                    Err(_) => true,
                }
            }
        }
    }
}

pub fn no_session() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "no_session", "nobody is logged in; POST /v1/session")
}

/// The session of a request.
pub fn session(api: &Api, headers: &HeaderMap) -> Answer<Session> {
    let secret = cookie(headers).ok_or_else(no_session)?;
    known(api, secret)
}

fn known(api: &Api, secret: &str) -> Answer<Session> {
    let session = api.users.session(secret, api.clock.now()).map_err(|error| {
        tracing::error!(%error, "a session cannot be looked up");
        Problem::store()
    })?;
    session.ok_or_else(no_session)
}

/// The secret of the session.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let named = |pair: &str| {
        let name = pair.split('=').next()?;
        (name.strip_prefix(SECURE_PREFIX).unwrap_or(name) == SESSION_COOKIE).then_some(name.len() + 1)
    };
    pairs.flat_map(|value| value.split(';').map(str::trim)).find_map(|pair| pair.get(named(pair)?..))
}

/// Sets the cookie, or takes it away for an empty secret.
pub fn set_cookie(secret: &str, secure: bool) -> Option<HeaderValue> {
    let age = if secret.is_empty() { 0 } else { SESSION_SECONDS };
    let (prefix, secure) = if secure { (SECURE_PREFIX, "; Secure") } else { ("", "") };
    let text = format!("{prefix}{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    HeaderValue::from_str(&text).ok()
}

/// A form or link of another page can send neither.
pub fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let json = text(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/json"));
    json && text("sec-fetch-site").is_none_or(|site| site == "same-origin")
}
