//! The vault in an SQLite file: WAL, `secure_delete`, an index on expiry.

use std::path::Path;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sotto_events::{CallId, RetentionClass, SafePoint, TenantId, Timestamp};

use super::{CallRow, CallState, EventRow, MAX_HOLDS, Swept, Vault};
use crate::{
    Result, StorageError, StorageMetrics,
    bus::{Delivered, progress},
    sqlite::Database,
};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tenant_keys (tenant TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    tenant TEXT NOT NULL, call TEXT NOT NULL, state INTEGER NOT NULL, dialect TEXT NOT NULL, format TEXT NOT NULL,
    created_at INTEGER NOT NULL, ended_at INTEGER, expires_at INTEGER NOT NULL, wrapped_key BLOB,
    metadata BLOB, metadata_expires_at INTEGER, seq INTEGER NOT NULL, safe TEXT NOT NULL,
    PRIMARY KEY (tenant, call)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (tenant, created_at, call);
CREATE INDEX IF NOT EXISTS calls_by_expiry ON calls (expires_at);
CREATE INDEX IF NOT EXISTS calls_open ON calls (state) WHERE state = 0;
CREATE INDEX IF NOT EXISTS metadata_by_expiry ON calls (metadata_expires_at) WHERE metadata IS NOT NULL;
CREATE TABLE IF NOT EXISTS events (
    tenant TEXT NOT NULL, call TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, class TEXT NOT NULL,
    sealed BLOB NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, call, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_expiry ON events (class, expires_at);
CREATE INDEX IF NOT EXISTS events_by_age ON events (class, created_at);
";

/// Of its own, for a vault from before there were holds.
pub(crate) const HOLDS: &str = "CREATE TABLE IF NOT EXISTS holds (
    tenant TEXT NOT NULL, call TEXT NOT NULL, held_at INTEGER NOT NULL, PRIMARY KEY (tenant, call)
) WITHOUT ROWID;
";

const CALL: &str = "SELECT tenant, call, state, dialect, format, created_at, ended_at, expires_at, wrapped_key, \
                    metadata, metadata_expires_at, seq, safe, held_at FROM calls LEFT JOIN holds USING (tenant, call)";

/// The embedded vault.
pub struct EmbeddedVault {
    writer: Database,
    reader: Database,
}

impl EmbeddedVault {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When the file is not a sound vault.
    pub fn open(file: &Path, metrics: &StorageMetrics) -> Result<Self> {
        let writer = Database::open(file, &format!("{SCHEMA}{HOLDS}"), metrics.database("vault"))?;
        Ok(Self { writer, reader: Database::open_reader(file, metrics.database("vault_reader"))? })
    }
}

fn state_of(number: i64) -> CallState {
    match number {
        0 => CallState::Open,
        1 => CallState::Ended,
        _ => CallState::Erased,
    }
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

fn call_row(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<CallRow> {
    let text = |index: usize| row.get::<_, String>(index);
    let held_at = row.get::<_, Option<i64>>(13)?.map(Timestamp);
    let metadata: Option<(Vec<u8>, Timestamp)> = row
        .get::<_, Option<Vec<u8>>>(9)?
        .zip(row.get::<_, Option<i64>>(10)?.map(Timestamp))
        .filter(|(_, expires_at)| *expires_at > now || held_at.is_some());
    Ok(CallRow {
        tenant: text(0)?.parse().map_err(corrupt)?,
        call: text(1)?.parse().map_err(corrupt)?,
        state: state_of(row.get(2)?),
        dialect: text(3)?,
        format: serde_json::from_str(&text(4)?).map_err(corrupt)?,
        created_at: Timestamp(row.get(5)?),
        ended_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        expires_at: Timestamp(row.get(7)?),
        wrapped_key: row.get(8)?,
        metadata,
        seq: row.get::<_, i64>(11)? as u64,
        safe: serde_json::from_str(&text(12)?).map_err(corrupt)?,
        held_at,
    })
}

/// Which calls are to be seen at the time of that parameter: a call on air is there however short its data lives.
fn seen(now: usize) -> String {
    format!("(expires_at > ?{now} OR state = 0 OR held_at IS NOT NULL)")
}

fn find(db: &Connection, tenant: &TenantId, call: &CallId, now: Timestamp) -> Result<Option<CallRow>> {
    Ok(db
        .prepare_cached(&format!("{CALL} WHERE tenant = ?1 AND call = ?2 AND {SEEN}", SEEN = seen(3)))?
        .query_row(params![tenant.as_str(), call.as_str(), now.0], |row| call_row(row, now))
        .optional()?)
}

fn insert(db: &Connection, row: &CallRow) -> Result<()> {
    let (metadata, metadata_expires_at) = row.metadata.clone().unzip();
    // a call that has expired but is not yet swept gives its id free
    db.execute("DELETE FROM calls WHERE tenant = ?1 AND call = ?2", params![row.tenant.as_str(), row.call.as_str()])?;
    db.execute("DELETE FROM events WHERE tenant = ?1 AND call = ?2", params![row.tenant.as_str(), row.call.as_str()])?;
    db.prepare_cached("INSERT INTO calls VALUES (?1, ?2, 0, ?3, ?4, ?5, NULL, ?6, ?7, ?8, ?9, 0, ?10)")?.execute(
        params![
            row.tenant.as_str(),
            row.call.as_str(),
            row.dialect,
            serde_json::to_string(&row.format)?,
            row.created_at.0,
            row.expires_at.0,
            row.wrapped_key,
            metadata,
            metadata_expires_at.map(|at| at.0),
            serde_json::to_string(&row.safe)?,
        ],
    )?;
    Ok(())
}

fn write(db: &Connection, delivered: &Delivered) -> Result<()> {
    let record = &delivered.record;
    let (tenant, call) = (record.tenant.as_str(), record.call.as_str());
    let reached: Option<(i64, String)> = db
        .prepare_cached("SELECT seq, safe FROM calls WHERE tenant = ?1 AND call = ?2 AND state = 0")?
        .query_row([tenant, call], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // none: seen before, or erased since
    let Some((seq, safe)) = reached else { return Ok(()) };
    if record.progress() < progress(seq as u64, &serde_json::from_str::<Vec<SafePoint>>(&safe)?) {
        // one that came late, and has come before
        return Ok(());
    }
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for event in &record.events {
        let (seq, class) = (event.seq as i64, event.class.name());
        insert.execute(params![tenant, call, seq, event.kind, class, event.sealed, record.at.0, event.expires_at.0])?;
    }
    // a call lives as long as the last of its events
    let last = record.events.iter().map(|event| event.expires_at.0).max().unwrap_or(0);
    db.prepare_cached(
        "UPDATE calls SET seq = ?3, safe = ?4, state = CASE WHEN ?5 THEN 1 ELSE state END,
         ended_at = CASE WHEN ?5 THEN ?6 ELSE ended_at END, expires_at = max(expires_at, ?7)
         WHERE tenant = ?1 AND call = ?2",
    )?
    .execute(params![
        tenant,
        call,
        record.seq as i64,
        serde_json::to_string(&record.safe)?,
        record.ended,
        record.at.0,
        last
    ])?;
    Ok(())
}

fn hold(db: &Connection, tenant: &TenantId, call: &CallId, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(row) = find(db, tenant, call, now)? else { return Ok(None) };
    if row.state == CallState::Erased {
        return Err(StorageError::Erased);
    }
    if row.held_at.is_some() {
        return Ok(row.held_at);
    }
    let held: i64 =
        db.query_row("SELECT count(*) FROM holds WHERE tenant = ?1", [tenant.as_str()], |row| row.get(0))?;
    if held as usize >= MAX_HOLDS {
        return Err(StorageError::TooManyHolds);
    }
    db.execute("INSERT INTO holds VALUES (?1, ?2, ?3)", params![tenant.as_str(), call.as_str(), now.0])?;
    Ok(Some(now))
}

fn erase(db: &Connection, tenant: &TenantId, call: &CallId) -> Result<Option<u64>> {
    let key = params![tenant.as_str(), call.as_str()];
    if db.query_row("SELECT EXISTS (SELECT 1 FROM holds WHERE tenant = ?1 AND call = ?2)", key, |row| row.get(0))? {
        return Err(StorageError::Held);
    }
    let changed = db.execute(
        "UPDATE calls SET state = 2, wrapped_key = NULL, metadata = NULL WHERE tenant = ?1 AND call = ?2",
        key,
    )?;
    let rows = db.execute("DELETE FROM events WHERE tenant = ?1 AND call = ?2", key)?;
    Ok((changed > 0).then_some(rows as u64))
}

/// Of a table with calls.
fn not_held(table: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM holds WHERE holds.tenant = {table}.tenant AND holds.call = {table}.call)")
}

fn sweep(db: &Connection, now: Timestamp, limit: usize) -> Result<Swept> {
    let mut swept = Swept::default();
    for class in RetentionClass::ALL {
        let sql = format!(
            "DELETE FROM events WHERE (tenant, call, seq) IN
             (SELECT tenant, call, seq FROM events WHERE class = ?1 AND expires_at <= ?2 AND {} LIMIT ?3)",
            not_held("events")
        );
        swept.events += db.execute(&sql, params![class.name(), now.0, limit as i64])? as u64;
    }
    let free = not_held("calls");
    let sql = format!(
        "UPDATE calls SET metadata = NULL WHERE (tenant, call) IN
         (SELECT tenant, call FROM calls WHERE metadata IS NOT NULL AND metadata_expires_at <= ?1 AND {free} LIMIT ?2)"
    );
    swept.metadata = db.execute(&sql, params![now.0, limit as i64])? as u64;
    let sql = format!(
        "DELETE FROM calls WHERE (tenant, call) IN
         (SELECT tenant, call FROM calls WHERE expires_at <= ?1 AND state != 0 AND {free} LIMIT ?2)"
    );
    swept.calls = db.execute(&sql, params![now.0, limit as i64])? as u64;
    Ok(swept)
}

impl Vault for EmbeddedVault {
    fn create(&self, row: CallRow) -> BoxFuture<'_, Result<Option<CallRow>>> {
        Box::pin(self.writer.run(move |db| {
            let found = find(db, &row.tenant, &row.call, row.created_at)?;
            if found.is_none() {
                insert(db, &row)?;
            }
            Ok(found)
        }))
    }

    fn write(&self, records: Vec<Delivered>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.writer.run(move |db| records.iter().try_for_each(|record| write(db, record))))
    }

    fn call(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<CallRow>>> {
        Box::pin(self.reader.run(move |db| find(db, &tenant, &call, now)))
    }

    fn calls(
        &self,
        tenant: TenantId,
        before: Option<(Timestamp, CallId)>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CallRow>>> {
        Box::pin(self.reader.run(move |db| {
            let (time, call) = before.map_or((i64::MAX, String::new()), |(time, call)| (time.0, call.to_string()));
            let mut statement = db.prepare_cached(&format!(
                "{CALL} WHERE tenant = ?1 AND (created_at, call) < (?2, ?3) AND {SEEN} \
                 ORDER BY created_at DESC, call DESC LIMIT ?5",
                SEEN = seen(4)
            ))?;
            let rows = statement
                .query_map(params![tenant.as_str(), time, call, now.0, limit as i64], |row| call_row(row, now))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        }))
    }

    fn open_calls(&self) -> BoxFuture<'_, Result<Vec<CallRow>>> {
        Box::pin(self.reader.run(move |db| {
            let mut statement = db.prepare_cached(&format!("{CALL} WHERE state = 0"))?;
            let rows = statement.query_map([], |row| call_row(row, Timestamp(0)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        }))
    }

    fn events(
        &self,
        tenant: TenantId,
        call: CallId,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<EventRow>>> {
        Box::pin(self.reader.run(move |db| {
            let mut statement = db.prepare_cached(
                "SELECT seq, kind, class, sealed, expires_at FROM events
                 WHERE tenant = ?1 AND call = ?2 AND seq > ?3
                 AND (expires_at > ?4 OR EXISTS (SELECT 1 FROM holds WHERE tenant = ?1 AND call = ?2))
                 ORDER BY seq LIMIT ?5",
            )?;
            let key = params![tenant.as_str(), call.as_str(), after as i64, now.0, limit as i64];
            let rows = statement.query_map(key, |row| {
                let class: String = row.get(2)?;
                let class = RetentionClass::ALL.into_iter().find(|known| known.name() == class);
                Ok(EventRow {
                    seq: row.get::<_, i64>(0)? as u64,
                    kind: row.get(1)?,
                    class: class.ok_or_else(|| corrupt(StorageError::NoSuchCall))?,
                    sealed: row.get(3)?,
                    expires_at: Timestamp(row.get(4)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        }))
    }

    fn hold(&self, tenant: TenantId, call: CallId, now: Timestamp) -> BoxFuture<'_, Result<Option<Timestamp>>> {
        Box::pin(self.writer.run(move |db| hold(db, &tenant, &call, now)))
    }

    fn release(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(self.writer.run(move |db| {
            let sql = "DELETE FROM holds WHERE tenant = ?1 AND call = ?2";
            Ok(db.execute(sql, params![tenant.as_str(), call.as_str()])? > 0)
        }))
    }

    fn erase(&self, tenant: TenantId, call: CallId) -> BoxFuture<'_, Result<Option<u64>>> {
        Box::pin(async move {
            let erased = self.writer.run(move |db| erase(db, &tenant, &call)).await?;
            self.writer.forget().await?;
            Ok(erased)
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Swept>> {
        Box::pin(async move {
            let swept = self.writer.run(move |db| sweep(db, now, limit)).await?;
            if swept != Swept::default() {
                self.writer.forget().await?;
            }
            Ok(swept)
        })
    }

    fn oldest(&self, class: RetentionClass) -> BoxFuture<'_, Result<Option<Timestamp>>> {
        Box::pin(self.reader.run(move |db| {
            let sql = match class {
                RetentionClass::Personal => format!(
                    "SELECT min(created_at) FROM calls WHERE metadata IS NOT NULL AND ?1 = 'personal' AND {}",
                    not_held("calls")
                ),
                _ => format!("SELECT min(created_at) FROM events WHERE class = ?1 AND {}", not_held("events")),
            };
            let first: Option<i64> = db.prepare_cached(&sql)?.query_row([class.name()], |row| row.get(0))?;
            Ok(first.map(Timestamp))
        }))
    }

    fn has_keys(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(
            self.reader.run(|db| Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM tenant_keys)", [], |row| row.get(0))?)),
        )
    }

    fn tenant_key(&self, tenant: TenantId) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(self.reader.run(move |db| {
            let sql = "SELECT wrapped FROM tenant_keys WHERE tenant = ?1";
            Ok(db.query_row(sql, [tenant.as_str()], |row| row.get(0)).optional()?)
        }))
    }

    fn keep_tenant_key(&self, tenant: TenantId, wrapped: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(self.writer.run(move |db| {
            db.execute("INSERT OR IGNORE INTO tenant_keys VALUES (?1, ?2)", params![tenant.as_str(), wrapped])?;
            let sql = "SELECT wrapped FROM tenant_keys WHERE tenant = ?1";
            Ok(db.query_row(sql, [tenant.as_str()], |row| row.get(0))?)
        }))
    }
}
