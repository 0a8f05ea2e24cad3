//! The log in an SQLite file of the same process.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use rusqlite::{OptionalExtension, params};
use tokio::sync::{broadcast, watch};

use super::{Bus, Delivered, Live, Record};
use crate::{Result, StorageMetrics, sqlite::Database};

/// What a watcher may lag behind before it is told that it missed something.
const LIVE_CAPACITY: usize = 4_096;

// AUTOINCREMENT: an offset is never given twice, though trimming may empty the table
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS log (offset INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS consumers (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
";

/// The embedded bus.
pub struct EmbeddedBus {
    log: Database,
    end: watch::Sender<u64>,
    live: broadcast::Sender<Arc<Live>>,
}

impl EmbeddedBus {
    /// Opens or makes the log.
    ///
    /// # Errors
    /// When the file is not a sound log.
    pub async fn open(file: &Path, metrics: &StorageMetrics) -> Result<Self> {
        let log = Database::open(file, SCHEMA, metrics.database("bus"))?;
        let end = log.run(last_offset).await?;
        Ok(Self { log, end: watch::Sender::new(end), live: broadcast::Sender::new(LIVE_CAPACITY) })
    }
}

fn last_offset(db: &rusqlite::Connection) -> Result<u64> {
    let last: Option<i64> =
        db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'log'", [], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0) as u64)
}

fn position(db: &rusqlite::Connection, consumer: &str) -> Result<i64> {
    let found =
        db.query_row("SELECT position FROM consumers WHERE name = ?1", [consumer], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}

impl Bus for EmbeddedBus {
    fn append(&self, record: Record) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let bytes = serde_json::to_vec(&record)?;
            let offset = self
                .log
                .run(move |db| {
                    db.prepare_cached("INSERT INTO log (record) VALUES (?1)")?.execute([bytes])?;
                    Ok(db.last_insert_rowid() as u64)
                })
                .await?;
            self.end.send_if_modified(|end| {
                let newer = offset > *end;
                *end = offset.max(*end);
                newer
            });
            Ok(offset)
        })
    }

    fn next<'a>(&'a self, consumer: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Delivered>>> {
        Box::pin(async move {
            let mut end = self.end.subscribe();
            loop {
                end.mark_unchanged();
                let name = consumer.to_owned();
                let found = self.log.run(move |db| read(db, &name, limit)).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
                end.changed().await.map_err(|_| crate::StorageError::Stopped)?;
            }
        })
    }

    fn commit<'a>(&'a self, consumer: &'a str, offset: u64) -> BoxFuture<'a, Result<()>> {
        let name = consumer.to_owned();
        Box::pin(self.log.run(move |db| {
            db.prepare_cached(
                "INSERT INTO consumers VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET position = max(position, ?2)",
            )?
            .execute(params![name, offset as i64])?;
            Ok(())
        }))
    }

    fn position<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>> {
        let name = consumer.to_owned();
        Box::pin(self.log.run(move |db| Ok(position(db, &name)? as u64)))
    }

    fn end(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.log.run(last_offset))
    }

    fn trim<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<u64>> {
        let name = consumer.to_owned();
        Box::pin(async move {
            let trim = move |db: &rusqlite::Connection| {
                let position = position(db, &name)?;
                Ok(db.execute("DELETE FROM log WHERE offset <= ?1", [position])? as u64)
            };
            let trimmed = self.log.run(trim).await?;
            if trimmed > 0 {
                self.log.forget().await?;
            }
            Ok(trimmed)
        })
    }

    fn publish(&self, live: Arc<Live>) {
        // nobody watching is no failure
        drop(self.live.send(live));
    }

    fn watch(&self) -> broadcast::Receiver<Arc<Live>> {
        self.live.subscribe()
    }
}

fn read(db: &rusqlite::Connection, consumer: &str, limit: usize) -> Result<Vec<Delivered>> {
    let mut statement =
        db.prepare_cached("SELECT offset, record FROM log WHERE offset > ?1 ORDER BY offset LIMIT ?2")?;
    let mut rows = statement.query(params![position(db, consumer)?, limit as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let offset: i64 = row.get(0)?;
        let record = serde_json::from_slice(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        found.push(Delivered { offset: offset as u64, record });
    }
    Ok(found)
}
