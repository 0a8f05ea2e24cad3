//! People: logins with a role and teams. Passwords are kept as argon2id; who guesses is locked out for a while.

use std::{fmt, path::Path, str::FromStr, sync::LazyLock};

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sotto_events::{TenantId, Timestamp};

use crate::{
    AccessError,
    database::{Database, parsed},
    lockout::Lockout,
    replica::{Replica, Table},
    secret::{self, Secret},
};

/// Sessions end after this long without a sign of life, in seconds.
pub const IDLE_SECONDS: u64 = 2 * 3600;
/// And after this long in any case.
pub const SESSION_SECONDS: u64 = 12 * 3600;
/// How long a one-time link can be opened, in seconds.
pub const LINK_SECONDS: u64 = 15 * 60;
const SHORTEST_PASSWORD: usize = 12;
const LONGEST: usize = 100;
const MOST_TEAMS: usize = 50;
/// Sessions a person may have; the oldest makes room.
const SESSIONS: i64 = 20;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS users (
    login TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, teams TEXT NOT NULL,
    password TEXT, created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, hash BLOB NOT NULL, login TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_login ON sessions (login);
CREATE TABLE IF NOT EXISTS links (
    id TEXT PRIMARY KEY, hash BLOB NOT NULL, login TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA foreign_keys = ON;
";

const SHARED: [Table; 3] = [
    Table {
        name: "users",
        key: "login",
        columns: &["login", "tenant", "name", "role", "teams", "password", "created_at"],
        blobs: &[],
    },
    Table { name: "sessions", key: "id", columns: &["id", "hash", "login", "seen_at", "expires_at"], blobs: &["hash"] },
    Table { name: "links", key: "id", columns: &["id", "hash", "login", "expires_at"], blobs: &["hash"] },
];

/// What a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Supervisor,
    Agent,
    Viewer,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Supervisor, Self::Agent, Self::Viewer];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Supervisor => "supervisor",
            Self::Agent => "agent",
            Self::Viewer => "viewer",
        })
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| format!("unknown role {text:?}; use admin, supervisor, agent or viewer"))
    }
}

/// A person. Calls are an agent's own when their metadata has the login as `agent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub login: String,
    pub tenant: TenantId,
    pub name: String,
    pub role: Role,
    pub teams: Vec<String>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("login or password is wrong")]
    Wrong,
    #[error("too many wrong passwords; try again in {0} s")]
    Locked(u64),
    #[error("the link is used up or expired; ask for another one")]
    Link,
    #[error("logging in is not possible now")]
    Store,
}

impl From<rusqlite::Error> for LoginError {
    fn from(_: rusqlite::Error) -> Self {
        Self::Store
    }
}

/// A session that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub user: User,
    pub expires_at: Timestamp,
}

/// The store of people and their sessions.
pub struct Users {
    database: Database,
    lockout: Lockout,
}

/// Checked when there is no such login, so that trying takes as long as with one.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hashed("nobody's password").ok());

fn hashed(password: &str) -> Result<String, AccessError> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| AccessError::Random(error.to_string()))?;
    Ok(hash.to_string())
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let teams: String = row.get(4)?;
    Ok(User {
        login: row.get(0)?,
        tenant: parsed(row, 1)?,
        name: row.get(2)?,
        role: parsed(row, 3)?,
        teams: teams.split('\n').filter(|team| !team.is_empty()).map(str::to_owned).collect(),
    })
}

fn line(what: &'static str, text: &str) -> Result<(), AccessError> {
    let sound = !text.trim().is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(AccessError::Line(what)) }
}

impl Users {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it is not a sound database.
    pub fn open(file: &Path) -> Result<Self, AccessError> {
        Ok(Self { database: Database::open(file, SCHEMA)?, lockout: Lockout::default() })
    }

    /// As other nodes share it.
    pub fn replica(&self) -> Replica<'_> {
        Replica { database: &self.database, tables: &SHARED }
    }

    /// Adds a person, or changes name, role and teams of one.
    ///
    /// # Errors
    /// When something is no sound line of text, or the login is of another tenant.
    pub fn put(&self, user: &User, now: Timestamp) -> Result<(), AccessError> {
        line("login", &user.login)?;
        if user.login != user.login.to_lowercase() || user.login.contains(char::is_whitespace) {
            return Err(AccessError::Login);
        }
        line("name", &user.name)?;
        user.teams.iter().try_for_each(|team| line("team", team))?;
        if user.teams.len() > MOST_TEAMS {
            return Err(AccessError::Line("list of teams"));
        }
        let changed = self.database.write().execute(
            "INSERT INTO users (login, tenant, name, role, teams, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (login) DO UPDATE SET name = ?3, role = ?4, teams = ?5 WHERE tenant = ?2",
            params![user.login, user.tenant.as_str(), user.name, user.role.to_string(), user.teams.join("\n"), now.0],
        )?;
        if changed == 0 { Err(AccessError::Taken(user.login.clone())) } else { Ok(()) }
    }

    /// Sets a password; sessions and links that there are end.
    ///
    /// # Errors
    /// When it is too short or there is no such login.
    pub fn set_password(&self, login: &str, password: &str) -> Result<(), AccessError> {
        if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST {
            return Err(AccessError::Password);
        }
        let hash = hashed(password)?;
        let mut connection = self.database.write();
        let change = connection.transaction()?;
        let changed = change.execute("UPDATE users SET password = ?2 WHERE login = ?1", params![login, hash])?;
        change.execute("DELETE FROM sessions WHERE login = ?1", [login])?;
        change.execute("DELETE FROM links WHERE login = ?1", [login])?;
        change.commit()?;
        drop(connection);
        self.lockout.forget(login);
        if changed == 0 { Err(AccessError::NoSuchUser(login.to_owned())) } else { Ok(()) }
    }

    /// Removes a person with all sessions and links; says whose they were.
    ///
    /// # Errors
    /// When there is no such login.
    pub fn remove(&self, login: &str) -> Result<TenantId, AccessError> {
        let sql = "DELETE FROM users WHERE login = ?1 RETURNING tenant";
        let tenant = self.database.write().query_row(sql, [login], |row| parsed(row, 0)).optional()?;
        tenant.ok_or_else(|| AccessError::NoSuchUser(login.to_owned()))
    }

    /// Everybody, by login.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<User>, AccessError> {
        let connection = self.database.read();
        let mut statement = connection.prepare("SELECT login, tenant, name, role, teams FROM users ORDER BY login")?;
        let rows = statement.query_map([], user)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One person of a tenant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, tenant: &TenantId, login: &str) -> Result<Option<User>, AccessError> {
        let connection = self.database.read();
        let sql = "SELECT login, tenant, name, role, teams FROM users WHERE login = ?1 AND tenant = ?2";
        Ok(connection.prepare_cached(sql)?.query_row([login, tenant.as_str()], user).optional()?)
    }

    /// Begins a session with a password. Takes some tens of milliseconds of a core on purpose.
    ///
    /// # Errors
    /// [`LoginError`], saying as little as possible.
    pub fn log_in(&self, login: &str, password: &str, now: Timestamp) -> Result<Secret, LoginError> {
        let login = login.trim().to_lowercase();
        if let Some(seconds) = self.lockout.locked(&login, now) {
            return Err(LoginError::Locked(seconds));
        }
        let kept = self.password_of(&login)?;
        let fallback = NOBODY.as_deref().unwrap_or_default();
        let hash = PasswordHash::new(kept.as_deref().unwrap_or(fallback)).map_err(|_| LoginError::Store)?;
        let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        match kept.filter(|_| right) {
            Some(kept) => {
                self.lockout.forget(&login);
                self.begin(&login, Some(&kept), now)
            }
            None => {
                self.lockout.failed(&login, now);
                Err(LoginError::Wrong)
            }
        }
    }

    fn password_of(&self, login: &str) -> Result<Option<String>, rusqlite::Error> {
        let connection = self.database.read();
        let mut statement = connection.prepare_cached("SELECT password FROM users WHERE login = ?1")?;
        Ok(statement.query_row([login], |row| row.get(0)).optional()?.flatten())
    }

    /// A session of whoever has this login and, when that was checked, still this password.
    fn begin(&self, login: &str, password: Option<&str>, now: Timestamp) -> Result<Secret, LoginError> {
        let (id, secret) = Secret::new("ss").map_err(|_| LoginError::Store)?;
        let mut connection = self.database.write();
        let change = connection.transaction()?;
        change.execute(
            "DELETE FROM sessions WHERE expires_at <= ?1 OR id IN
                 (SELECT id FROM sessions WHERE login = ?2 ORDER BY seen_at DESC LIMIT -1 OFFSET ?3)",
            params![now.0, login, SESSIONS - 1],
        )?;
        let begun = change.execute(
            "INSERT INTO sessions SELECT ?1, ?2, login, ?4, ?5 FROM users
                 WHERE login = ?3 AND (?6 IS NULL OR password = ?6)",
            params![id, secret.hash(), login, now.0, now.plus_seconds(SESSION_SECONDS).0, password],
        )?;
        change.commit()?;
        if begun == 1 { Ok(secret) } else { Err(LoginError::Wrong) }
    }

    /// A link secret that begins one session without a password.
    ///
    /// # Errors
    /// When there is no such login.
    pub fn one_time_link(&self, login: &str, now: Timestamp) -> Result<Secret, AccessError> {
        let (id, secret) = Secret::new("sl")?;
        let connection = self.database.write();
        connection.execute("DELETE FROM links WHERE expires_at <= ?1", [now.0])?;
        let kept = connection.execute(
            "INSERT INTO links SELECT ?1, ?2, login, ?4 FROM users WHERE login = ?3",
            params![id, secret.hash(), login, now.plus_seconds(LINK_SECONDS).0],
        )?;
        if kept == 0 { Err(AccessError::NoSuchUser(login.to_owned())) } else { Ok(secret) }
    }

    /// Begins a session with a link, which is used up.
    ///
    /// # Errors
    /// [`LoginError::Link`].
    pub fn open_link(&self, secret: &str, now: Timestamp) -> Result<Secret, LoginError> {
        let id = secret::id(secret).ok_or(LoginError::Link)?;
        // whoever tries uses it up: a link is guessed once at most
        let row: Option<(String, Vec<u8>, i64)> = self
            .database
            .write()
            .query_row("DELETE FROM links WHERE id = ?1 RETURNING login, hash, expires_at", [id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        match row {
            Some((login, hash, expires_at)) if secret::matches(secret, &hash) && expires_at > now.0 => {
                self.begin(&login, None, now)
            }
            _ => Err(LoginError::Link),
        }
    }

    /// Whose session a secret is, if it is one; counts as a sign of life.
    ///
    /// # Errors
    /// When the store cannot be read: nobody is let in, and nobody is logged out.
    pub fn session(&self, secret: &str, now: Timestamp) -> Result<Option<Session>, AccessError> {
        let Some(id) = secret::id(secret) else { return Ok(None) };
        let idle = Timestamp(now.0 - 1000 * IDLE_SECONDS as i64);
        let row = self
            .database
            .read()
            .prepare_cached(
                "SELECT users.login, tenant, name, role, teams, hash, expires_at, seen_at FROM sessions
                 JOIN users USING (login) WHERE id = ?1 AND expires_at > ?2 AND seen_at > ?3",
            )?
            .query_row(params![id, now.0, idle.0], |row| {
                Ok((user(row)?, row.get::<_, Vec<u8>>(5)?, Timestamp(row.get(6)?), row.get::<_, i64>(7)?))
            })
            .optional()?;
        let Some((user, hash, expires_at, seen_at)) = row else { return Ok(None) };
        if !secret::matches(secret, &hash) {
            return Ok(None);
        }
        // once a minute is enough to tell idle from not; one that cannot be kept is tried again with the next request
        if now.0 - seen_at > 60_000
            && let Some(connection) = self.database.try_write()
        {
            drop(connection.execute("UPDATE sessions SET seen_at = ?2 WHERE id = ?1", params![id, now.0]));
        }
        Ok(Some(Session { user, expires_at }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store cannot be changed.
    pub fn log_out(&self, secret: &str) -> Result<(), AccessError> {
        self.database.write().execute("DELETE FROM sessions WHERE hash = ?1", [secret::hash(secret)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockout::{FAILURES, LOCK_SECONDS};

    const PASSWORD: &str = "correct horse battery";

    fn store() -> (tempfile::TempDir, Users) {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::open(&folder.path().join("users.db")).unwrap();
        users.put(&ana(), Timestamp(0)).unwrap();
        users.set_password("ana", PASSWORD).unwrap();
        (folder, users)
    }

    fn ana() -> User {
        User {
            login: "ana".to_owned(),
            tenant: "acme".parse().unwrap(),
            name: "Ana Ruiz".to_owned(),
            role: Role::Supervisor,
            teams: vec!["cards".to_owned(), "loans".to_owned()],
        }
    }

    #[test]
    fn mm5_a_password_is_hashed_with_argon2id_and_opens_a_session() {
        let (folder, users) = store();
        let secret = users.log_in("ana", PASSWORD, Timestamp(1)).unwrap();
        assert_eq!(users.session(secret.reveal(), Timestamp(2)).unwrap().unwrap().user, ana());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!holds(PASSWORD) && !holds(&secret.reveal()[25..]));
        }
        assert!(users.password_of("ana").unwrap().unwrap().starts_with("$argon2id$"));
    }

    #[test]
    fn ci9_five_wrong_passwords_lock_the_login_for_a_while() {
        let (_folder, users) = store();
        for _ in 0..FAILURES {
            assert_eq!(users.log_in("ana", "wrong", Timestamp(0)).err(), Some(LoginError::Wrong));
        }
        assert!(matches!(users.log_in("ana", PASSWORD, Timestamp(1_000)), Err(LoginError::Locked(899))));
        assert!(users.log_in("ana", PASSWORD, Timestamp(0).plus_seconds(LOCK_SECONDS)).is_ok());
        // a login that nobody has looks the same
        for _ in 0..FAILURES {
            assert_eq!(users.log_in("nobody", PASSWORD, Timestamp(0)).err(), Some(LoginError::Wrong));
        }
        assert!(matches!(users.log_in("nobody", PASSWORD, Timestamp(1_000)), Err(LoginError::Locked(899))));
    }

    #[test]
    fn mh8_a_session_ends_when_idle_when_old_and_when_told() {
        let (_folder, users) = store();
        let begin = || users.log_in("ana", PASSWORD, Timestamp(0)).unwrap();
        let idle = begin();
        assert!(users.session(idle.reveal(), Timestamp(0).plus_seconds(IDLE_SECONDS)).unwrap().is_none());
        let busy = begin();
        for hour in 1..12 {
            assert!(users.session(busy.reveal(), Timestamp(0).plus_seconds(hour * 3600)).unwrap().is_some(), "{hour}");
        }
        assert!(users.session(busy.reveal(), Timestamp(0).plus_seconds(SESSION_SECONDS)).unwrap().is_none());
        let ended = begin();
        users.log_out(ended.reveal()).unwrap();
        assert!(users.session(ended.reveal(), Timestamp(1)).unwrap().is_none());
        let changed = begin();
        let link = users.one_time_link("ana", Timestamp(0)).unwrap();
        users.set_password("ana", PASSWORD).unwrap();
        assert!(users.session(changed.reveal(), Timestamp(1)).unwrap().is_none());
        assert_eq!(users.open_link(link.reveal(), Timestamp(1)).err(), Some(LoginError::Link));
        let removed = begin();
        users.remove("ana").unwrap();
        assert!(users.session(removed.reveal(), Timestamp(1)).unwrap().is_none());
    }

    #[test]
    fn a_link_opens_once_and_not_for_ever() {
        let (_folder, users) = store();
        let link = users.one_time_link("ana", Timestamp(0)).unwrap();
        let session = users.open_link(link.reveal(), Timestamp(1)).unwrap();
        assert!(users.session(session.reveal(), Timestamp(2)).unwrap().is_some());
        assert_eq!(users.open_link(link.reveal(), Timestamp(3)).err(), Some(LoginError::Link));
        let late = users.one_time_link("ana", Timestamp(0)).unwrap();
        let end = Timestamp(0).plus_seconds(LINK_SECONDS);
        assert_eq!(users.open_link(late.reveal(), end).err(), Some(LoginError::Link));
        assert!(users.one_time_link("nobody", Timestamp(0)).is_err());
    }

    #[test]
    fn mh10_a_login_cannot_be_taken_over_by_another_tenant() {
        let (_folder, users) = store();
        let other = User { tenant: "umbrella".parse().unwrap(), role: Role::Admin, ..ana() };
        assert!(matches!(users.put(&other, Timestamp(1)), Err(AccessError::Taken(_))));
        assert_eq!(users.find(&other.tenant, "ana").unwrap(), None);
        assert_eq!(users.list().unwrap(), [ana()]);
    }
}
