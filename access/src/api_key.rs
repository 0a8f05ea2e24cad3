//! API keys: scoped by tenant and purpose, shown once, stored hashed, revocable. Short-lived tokens for browsers are
//! keys that expire, and the only ones that may come in a query parameter.

use std::{fmt, path::Path, str::FromStr};

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sotto_events::{TenantId, Timestamp};

use crate::{
    AccessError,
    database::{Database, parsed},
    replica::{Replica, Table},
    secret::{self, Secret},
};

/// How long a stream that a token opened may go on.
const STREAM_SECONDS: u64 = 12 * 3600;
/// How long a browser's token lives.
pub const TOKEN_LIFE_SECONDS: u64 = 300;
/// Longest name of a key, in bytes.
const LONGEST_NAME: usize = 100;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, purposes TEXT NOT NULL, hash BLOB NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER, token INTEGER NOT NULL, agent TEXT,
    parent TEXT
) WITHOUT ROWID;
";

const SHARED: [Table; 1] = [Table {
    name: "api_keys",
    key: "id",
    columns: &[
        "id",
        "tenant",
        "name",
        "purposes",
        "hash",
        "created_at",
        "expires_at",
        "revoked_at",
        "token",
        "agent",
        "parent",
    ],
    blobs: &["hash"],
}];

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Send calls.
    Ingest,
    /// Read what is kept.
    Read,
    /// Erase calls.
    Erase,
    /// Show one agent the own call.
    Overlay,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Erase, Self::Overlay];

    /// The name in configuration, rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Erase => "erase",
            Self::Overlay => "overlay",
        }
    }
}

impl FromStr for Purpose {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|purpose| purpose.name() == text);
        found.ok_or_else(|| format!("unknown purpose {text:?}; use ingest, read, erase or overlay"))
    }
}

/// A set of purposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purposes(Vec<Purpose>);

impl Purposes {
    pub fn new(mut purposes: Vec<Purpose>) -> Self {
        purposes.sort_unstable();
        purposes.dedup();
        Self(purposes)
    }

    pub fn allow(&self, purpose: Purpose) -> bool {
        self.0.contains(&purpose)
    }
}

impl fmt::Display for Purposes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|purpose| purpose.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Purposes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::new)
    }
}

/// Whoever holds a key that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    pub tenant: TenantId,
    pub key: String,
    pub purposes: Purposes,
    /// A short-lived token, not a key.
    pub token: bool,
    /// A token may be bound to one agent.
    pub agent: Option<String>,
}

/// A key as listed: nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    pub id: String,
    pub tenant: TenantId,
    pub name: String,
    pub purposes: Purposes,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Why a key is not accepted. Says no more than this, so that nothing can be learnt by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("no API key; send the header Authorization: Bearer <key>")]
    Missing,
    #[error("the API key is unknown, revoked or expired")]
    Unknown,
    #[error("the API key is not allowed to do this")]
    Purpose,
    #[error("keys cannot be looked up now; try again")]
    Store,
}

/// What is special about a token.
struct Token<'a> {
    expires_at: Timestamp,
    agent: Option<&'a str>,
    /// Id of the key it comes from; none for a person's.
    parent: Option<&'a str>,
}

/// The store of keys. Opened by the server and, at the same time, by the command line.
pub struct ApiKeys {
    database: Database,
}

impl ApiKeys {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it is not a sound database.
    pub fn open(file: &Path) -> Result<Self, AccessError> {
        let database = Database::open(file, SCHEMA)?;
        let connection = database.write();
        let bound: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info('api_keys') WHERE name = 'agent')",
            [],
            |row| row.get(0),
        )?;
        if !bound {
            // made before tokens could be bound to an agent and knew the key they come from
            connection.execute_batch(
                "ALTER TABLE api_keys ADD COLUMN agent TEXT; ALTER TABLE api_keys ADD COLUMN parent TEXT",
            )?;
        }
        drop(connection);
        Ok(Self { database })
    }

    /// As other nodes share it.
    pub fn replica(&self) -> Replica<'_> {
        Replica { database: &self.database, tables: &SHARED }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn create(
        &self,
        tenant: &TenantId,
        name: &str,
        purposes: &Purposes,
        now: Timestamp,
    ) -> Result<(KeyInfo, Secret), AccessError> {
        self.insert(tenant, name, purposes, now, None)
    }

    /// Makes a token that lives [`TOKEN_LIFE_SECONDS`], bound to one agent when that is given, and gone with the key it
    /// comes from.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub fn create_token(
        &self,
        tenant: &TenantId,
        purposes: &Purposes,
        (agent, parent): (Option<&str>, Option<&str>),
        now: Timestamp,
    ) -> Result<(KeyInfo, Secret), AccessError> {
        // tokens are many and short: those that are over, and the streams they opened too, make room
        let over = Timestamp(now.0 - 1000 * STREAM_SECONDS as i64);
        self.database.write().execute("DELETE FROM api_keys WHERE token = 1 AND expires_at <= ?1", [over.0])?;
        self.insert(
            tenant,
            "browser token",
            purposes,
            now,
            Some(Token { expires_at: now.plus_seconds(TOKEN_LIFE_SECONDS), agent, parent }),
        )
    }

    fn insert(
        &self,
        tenant: &TenantId,
        name: &str,
        purposes: &Purposes,
        now: Timestamp,
        token: Option<Token<'_>>,
    ) -> Result<(KeyInfo, Secret), AccessError> {
        if name.len() > LONGEST_NAME {
            return Err(AccessError::Line("key name"));
        }
        let (id, secret) = Secret::new(if token.is_some() { "st" } else { "sk" })?;
        let expires_at = token.as_ref().map(|token| token.expires_at);
        self.database.write().execute(
            "INSERT INTO api_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8, ?9, ?10)",
            params![
                id,
                tenant.as_str(),
                name,
                purposes.to_string(),
                secret.hash(),
                now.0,
                expires_at.map(|at| at.0),
                expires_at.is_some(),
                token.as_ref().and_then(|token| token.agent),
                token.as_ref().and_then(|token| token.parent)
            ],
        )?;
        let info = KeyInfo {
            id,
            tenant: tenant.clone(),
            name: name.to_owned(),
            purposes: purposes.clone(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        Ok((info, secret))
    }

    /// Every key, newest first; tokens are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<KeyInfo>, AccessError> {
        let connection = self.database.read();
        let mut statement = connection.prepare(
            "SELECT id, tenant, name, purposes, created_at, expires_at, revoked_at FROM api_keys WHERE token = 0
             ORDER BY created_at DESC",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(KeyInfo {
                id: row.get(0)?,
                tenant: parsed(row, 1)?,
                name: row.get(2)?,
                purposes: parsed(row, 3)?,
                created_at: Timestamp(row.get(4)?),
                expires_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                revoked_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes a key useless from now on.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn revoke(&self, id: &str, now: Timestamp) -> Result<(), AccessError> {
        let changed = self
            .database
            .write()
            .execute("UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1", params![id, now.0])?;
        if changed == 0 { Err(AccessError::NoSuchKey(id.to_owned())) } else { Ok(()) }
    }

    /// Checks a secret for a purpose.
    ///
    /// # Errors
    /// [`Denied`], saying as little as possible. A store that cannot be read denies too.
    pub fn authenticate(&self, secret: &str, purpose: Purpose, now: Timestamp) -> Result<KeyHolder, Denied> {
        let id = secret::id(secret).ok_or(Denied::Unknown)?;
        let (holder, stored) = self.lookup(id, now).map_err(|_| Denied::Store)?.ok_or(Denied::Unknown)?;
        if !secret::matches(secret, &stored) {
            return Err(Denied::Unknown);
        }
        if holder.purposes.allow(purpose) { Ok(holder) } else { Err(Denied::Purpose) }
    }

    /// Whether a token that was good when it opened a stream has not been taken back since.
    pub fn stands(&self, secret: &str, now: Timestamp) -> bool {
        let before = Timestamp(now.0 - 1000 * STREAM_SECONDS as i64);
        let found = secret::id(secret).map(|id| self.lookup(id, before));
        match found {
            Some(Ok(Some((_, stored)))) => secret::matches(secret, &stored),
            // a store that cannot be read ends no stream
            Some(Err(_)) => true,
            _ => false,
        }
    }

    /// Takes back every token that is bound to an agent.
    ///
    /// # Errors
    /// When the store cannot be changed.
    pub fn revoke_tokens_of(&self, tenant: &TenantId, agent: &str) -> Result<(), AccessError> {
        let sql = "DELETE FROM api_keys WHERE token = 1 AND tenant = ?1 AND agent = ?2";
        self.database.write().execute(sql, params![tenant.as_str(), agent])?;
        Ok(())
    }

    fn lookup(&self, id: &str, now: Timestamp) -> Result<Option<(KeyHolder, Vec<u8>)>, rusqlite::Error> {
        self.database
            .read()
            .prepare_cached(
                "SELECT tenant, purposes, token, hash, agent FROM api_keys
                 WHERE id = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2) AND (parent IS NULL
                 OR EXISTS (SELECT 1 FROM api_keys AS key WHERE key.id = api_keys.parent AND key.revoked_at IS NULL))",
            )?
            .query_row(params![id, now.0], |row| {
                let (tenant, purposes) = (parsed(row, 0)?, parsed(row, 1)?);
                let holder = KeyHolder { tenant, key: id.to_owned(), purposes, token: row.get(2)?, agent: row.get(4)? };
                Ok((holder, row.get(3)?))
            })
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ApiKeys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = ApiKeys::open(&folder.path().join("access.db")).unwrap();
        (folder, keys)
    }

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    #[test]
    fn mr4_a_key_is_scoped_shown_once_stored_hashed_and_revocable() {
        let (folder, keys) = store();
        let purposes = "ingest".parse().unwrap();
        let (info, secret) = keys.create(&tenant(), "pbx", &purposes, Timestamp(5)).unwrap();
        let secret = secret.reveal();
        let principal = keys.authenticate(secret, Purpose::Ingest, Timestamp(6)).unwrap();
        assert_eq!((principal.tenant, principal.token), (tenant(), false));
        assert_eq!(keys.authenticate(secret, Purpose::Read, Timestamp(6)), Err(Denied::Purpose));
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(20).any(|window| window == &secret.as_bytes()[secret.len() - 20..]));
        }
        keys.revoke(&info.id, Timestamp(7)).unwrap();
        assert_eq!(keys.authenticate(secret, Purpose::Ingest, Timestamp(8)), Err(Denied::Unknown));
    }

    #[test]
    fn deny_by_default() {
        let (_folder, keys) = store();
        let (_, secret) = keys.create(&tenant(), "a", &"read".parse().unwrap(), Timestamp(0)).unwrap();
        let mut changed = secret.reveal().to_owned();
        changed.pop();
        for wrong in ["", "x", "sk__", "sk_00_00", &changed] {
            assert_eq!(keys.authenticate(wrong, Purpose::Read, Timestamp(1)), Err(Denied::Unknown), "{wrong}");
        }
    }

    #[test]
    fn a_token_dies_by_itself() {
        let (_folder, keys) = store();
        let (_, secret) = keys.create_token(&tenant(), &"read".parse().unwrap(), (None, None), Timestamp(0)).unwrap();
        let end = Timestamp(0).plus_seconds(TOKEN_LIFE_SECONDS);
        assert!(keys.authenticate(secret.reveal(), Purpose::Read, Timestamp(end.0 - 1)).unwrap().token);
        assert_eq!(keys.authenticate(secret.reveal(), Purpose::Read, end), Err(Denied::Unknown));
    }

    #[test]
    fn ci14_a_token_goes_with_its_key_and_with_its_agent() {
        let (_folder, keys) = store();
        let read = "read".parse().unwrap();
        let (key, _) = keys.create(&tenant(), "crm", &read, Timestamp(0)).unwrap();
        let token = |agent| keys.create_token(&tenant(), &read, (agent, Some(&key.id)), Timestamp(0)).unwrap().1;
        let (plain, bound) = (token(None), token(Some("ana")));
        let good = |secret: &Secret| keys.authenticate(secret.reveal(), Purpose::Read, Timestamp(1)).is_ok();
        assert!(good(&plain) && good(&bound) && keys.stands(bound.reveal(), Timestamp(1)));
        // a stream outlives the token that opened it
        assert!(keys.stands(bound.reveal(), Timestamp(0).plus_seconds(2 * TOKEN_LIFE_SECONDS)));
        keys.revoke_tokens_of(&tenant(), "ana").unwrap();
        assert!(good(&plain) && !good(&bound) && !keys.stands(bound.reveal(), Timestamp(1)));
        keys.revoke(&key.id, Timestamp(1)).unwrap();
        assert!(!good(&plain) && !keys.stands(plain.reveal(), Timestamp(2)));
    }
}
