//! Who may: tenants, API keys and short-lived tokens. Deny by default.

mod api_key;
pub mod tls;

pub use api_key::{AccessError, ApiKeys, Denied, KeyInfo, Principal, Purpose, Purposes, Secret, TOKEN_LIFE_SECONDS};
