//! Who may: tenants, people with roles and teams, API keys and short-lived tokens. Deny by default.

mod api_key;
mod database;
mod lockout;
mod policy;
mod replica;
mod secret;
pub mod tls;
mod user;

pub use api_key::{ApiKeys, Denied, KeyHolder, KeyInfo, Purpose, Purposes, TOKEN_LIFE_SECONDS};
pub use policy::{Action, Owners, Principal, Scope, scope};
pub use replica::{Change, Replica};
pub use secret::Secret;
pub use user::{LoginError, Role, SESSION_SECONDS, Session, User, Users};

/// Why keys or people cannot be managed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("the database {0}")]
    Open(String),
    #[error("the database of keys and people: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    #[error("a {0} must be a line of 1 to 100 bytes")]
    Line(&'static str),
    #[error("no key has the id {0}; list them with `sotto keys list`")]
    NoSuchKey(String),
    #[error("nobody has the login {0}; list them with `sotto users list`")]
    NoSuchUser(String),
    #[error("a login has no capital letters and no spaces")]
    Login,
    #[error("the login {0} is taken")]
    Taken(String),
    #[error("a password must have at least 12 characters and at most 100 bytes")]
    Password,
}
