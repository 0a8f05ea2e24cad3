//! The log in an SQLite file of the same process.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use rusqlite::{OptionalExtension, params};
use tokio::sync::{broadcast, watch};

use super::{Bus, CallKey, Consumer, Delivered, Live, Offset, Record};
use crate::{Result, StorageError, StorageMetrics, sqlite::Database};

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
        Self::open_as(file, "bus", metrics).await
    }

    /// The same, counted under another name.
    pub(super) async fn open_as(file: &Path, name: &str, metrics: &StorageMetrics) -> Result<Self> {
        let log = Database::open(file, SCHEMA, metrics.database(name))?;
        let end = log.run(last_offset).await?;
        Ok(Self { log, end: watch::Sender::new(end), live: broadcast::Sender::new(LIVE_CAPACITY) })
    }

    /// Bytes of all records.
    pub(super) async fn bytes(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(length(record)), 0) FROM log";
        self.log.run(move |db| Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)).await
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

/// The log has one partition.
const fn at(number: u64) -> Offset {
    Offset { partition: 0, number }
}

impl Bus for EmbeddedBus {
    fn append(&self, record: Record) -> BoxFuture<'_, Result<Offset>> {
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
            Ok(at(offset))
        })
    }

    fn consumer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let of = name.clone();
            let given = self.log.run(move |db| position(db, &of)).await? as u64;
            let consumer = EmbeddedConsumer { log: self.log.clone(), end: self.end.subscribe(), name, given };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn ends<'a>(&'a self, _call: Option<CallKey<'a>>) -> BoxFuture<'a, Result<Vec<Offset>>> {
        Box::pin(async { Ok(vec![at(self.log.run(last_offset).await?)]) })
    }

    fn positions<'a>(&'a self, consumer: &'a str, of: &'a [Offset]) -> BoxFuture<'a, Result<Vec<Offset>>> {
        let name = consumer.to_owned();
        Box::pin(async move {
            let position = self.log.run(move |db| position(db, &name)).await? as u64;
            Ok(vec![at(position); of.len()])
        })
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

struct EmbeddedConsumer {
    log: Database,
    end: watch::Receiver<u64>,
    name: String,
    /// Offset of the last record given.
    given: u64,
}

impl Consumer for EmbeddedConsumer {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivered>>> {
        Box::pin(async move {
            loop {
                self.end.mark_unchanged();
                let given = self.given;
                let found = self.log.run(move |db| read(db, given, limit)).await?;
                if let Some(last) = found.last() {
                    self.given = last.offset.number;
                    return Ok(found);
                }
                self.end.changed().await.map_err(|_| StorageError::Stopped)?;
            }
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        let (name, given) = (self.name.clone(), self.given as i64);
        Box::pin(self.log.run(move |db| {
            db.prepare_cached(
                "INSERT INTO consumers VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET position = max(position, ?2)",
            )?
            .execute(params![name, given])?;
            Ok(())
        }))
    }
}

fn read(db: &rusqlite::Connection, after: u64, limit: usize) -> Result<Vec<Delivered>> {
    let mut statement =
        db.prepare_cached("SELECT offset, record FROM log WHERE offset > ?1 ORDER BY offset LIMIT ?2")?;
    let mut rows = statement.query(params![after as i64, limit as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let offset = at(row.get::<_, i64>(0)? as u64);
        let record = serde_json::from_slice(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        found.push(Delivered { offset, record });
    }
    Ok(found)
}
