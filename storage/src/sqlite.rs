//! SQLite behind a thread of its own: jobs that wait are done in one transaction, so that many calls share one sync to
//! disk, and nobody hears of success before it is on disk.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use prometheus::{Histogram, IntCounter, IntGauge};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::{Result, StorageError};

/// Most jobs in one transaction.
const BATCH: usize = 256;
/// Jobs that may wait before callers do.
const QUEUE: usize = 1_024;
/// How often a checkpoint is tried while someone reads; each waits for the reader as long as SQLite's busy timeout.
const CHECKPOINT_TRIES: usize = 3;

type Reply = Box<dyn FnOnce(Result<()>) + Send>;
/// Does its work, says whether it worked, and gives what to call once it is on disk.
type Work = Box<dyn FnOnce(&Connection) -> (bool, Reply) + Send>;

struct Job {
    work: Work,
    /// Must run outside a transaction.
    alone: bool,
}

/// What is counted of one database.
#[derive(Clone)]
pub struct DatabaseMetrics {
    /// Seconds a commit takes.
    pub commit: Histogram,
    /// Jobs that wait.
    pub depth: IntGauge,
    /// Times the queue was full.
    pub full: IntCounter,
}

/// A database that is written by one thread.
#[derive(Clone)]
pub struct Database {
    jobs: mpsc::Sender<Job>,
    metrics: DatabaseMetrics,
}

impl Database {
    /// Opens or makes the file and brings it to `schema`.
    ///
    /// # Errors
    /// When the file is not a sound database.
    pub fn open(file: &Path, schema: &str, metrics: DatabaseMetrics) -> Result<Self> {
        let connection = connect(file, schema)
            .map_err(|error| StorageError::Open { file: file.display().to_string(), why: error.to_string() })?;
        let commit = metrics.commit.clone();
        Self::spawn(connection, metrics, move |connection, jobs| write(connection, jobs, &commit))
    }

    /// Opens the same file a second time, for reading only.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_reader(file: &Path, metrics: DatabaseMetrics) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Self::spawn(connection, metrics, |connection, jobs| {
            for job in jobs {
                let (_, reply) = (job.work)(connection);
                reply(Ok(()));
            }
        })
    }

    fn spawn(
        mut connection: Connection,
        metrics: DatabaseMetrics,
        work: impl Fn(&mut Connection, Vec<Job>) + Send + 'static,
    ) -> Result<Self> {
        let depth = metrics.depth.clone();
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                let mut batch = Vec::new();
                while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
                    depth.set(queue.len() as i64);
                    work(&mut connection, std::mem::take(&mut batch));
                }
            })
            .map_err(|_| StorageError::Stopped)?;
        Ok(Self { jobs, metrics })
    }

    /// Does `job` and waits until it is on disk.
    ///
    /// # Errors
    /// What the job or the commit failed with.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(job, false).await
    }

    /// Does `job` outside any transaction.
    ///
    /// # Errors
    /// What the job failed with.
    pub async fn run_alone<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(job, true).await
    }

    /// Moves the write-ahead log into the file and empties it, so that removed rows are nowhere on disk. While someone
    /// reads, that has to wait; what the log holds is sealed in any case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self) -> Result<()> {
        for _ in 0..CHECKPOINT_TRIES {
            let checkpoint =
                |db: &Connection| Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?);
            let busy: bool = self.run_alone(checkpoint).await?;
            if !busy {
                return Ok(());
            }
        }
        tracing::warn!("the write-ahead log could not be emptied now");
        Ok(())
    }

    async fn send<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        alone: bool,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let done = job(connection);
            // a caller that has gone away does not need the answer
            (done.is_ok(), Box::new(move |committed| drop(reply.send(committed.and(done)))))
        });
        let job = match self.jobs.try_send(Job { work, alone }) {
            Ok(()) => None,
            Err(TrySendError::Full(job)) => {
                self.metrics.full.inc();
                Some(job)
            }
            Err(TrySendError::Closed(_)) => return Err(StorageError::Stopped),
        };
        if let Some(job) = job {
            self.jobs.send(job).await.map_err(|_| StorageError::Stopped)?;
        }
        answer.await.map_err(|_| StorageError::Stopped)?
    }
}

fn write(connection: &mut Connection, jobs: Vec<Job>, commit: &Histogram) {
    let (alone, together): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.alone);
    if !together.is_empty() {
        write_together(connection, together, commit);
    }
    for job in alone {
        let (_, reply) = (job.work)(connection);
        reply(Ok(()));
    }
}

fn write_together(connection: &mut Connection, jobs: Vec<Job>, commit: &Histogram) {
    let started = Instant::now();
    let transaction = match connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return refuse(jobs, &error),
    };
    let replies: Vec<Reply> = jobs.into_iter().map(|job| apart(&transaction, job)).collect();
    let outcome = transaction.commit();
    commit.observe(started.elapsed().as_secs_f64());
    if let Err(error) = &outcome {
        tracing::error!(%error, "database commit failed");
    }
    for reply in replies {
        reply(match &outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(again(error)),
        });
    }
}

/// A job that fails leaves nothing behind and its neighbours alone.
fn apart(connection: &Connection, job: Job) -> Reply {
    let begun = connection.execute_batch("SAVEPOINT job");
    let (worked, reply) = (job.work)(connection);
    let ended = connection.execute_batch(if worked { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" });
    match begun.and(ended) {
        Ok(()) => reply,
        Err(error) if worked => Box::new(move |_| reply(Err(again(&error)))),
        Err(_) => reply,
    }
}

fn refuse(jobs: Vec<Job>, error: &rusqlite::Error) {
    tracing::error!(%error, "database cannot begin a transaction");
    let Ok(nowhere) = Connection::open_in_memory() else { return };
    for job in jobs {
        // the job runs against nothing only to get at its reply
        let (_, reply) = (job.work)(&nowhere);
        reply(Err(again(error)));
    }
}

/// The same error for every job: rusqlite's cannot be cloned.
fn again(error: &rusqlite::Error) -> StorageError {
    StorageError::Commit(error.to_string())
}

fn connect(file: &Path, schema: &str) -> std::result::Result<Connection, rusqlite::Error> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.execute_batch(schema)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> DatabaseMetrics {
        crate::StorageMetrics::new(&prometheus::Registry::new()).unwrap().database("test")
    }

    #[tokio::test]
    async fn one_failing_job_does_not_spoil_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let database =
            Database::open(&file, "CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY)", metrics()).unwrap();
        let insert = |x: i64| database.run(move |db| Ok(db.execute("INSERT INTO t VALUES (?1)", [x])?));
        let (a, b, c) = tokio::join!(insert(1), insert(1), insert(2));
        assert_eq!([a.is_ok(), b.is_ok(), c.is_ok()], [true, false, true]);
        let reader = Database::open_reader(&file, metrics()).unwrap();
        let count: i64 =
            reader.run(|db| Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)).await.unwrap();
        assert_eq!(count, 2);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(&file, vec![7; 9_000]).unwrap();
        let error = Database::open(&file, "", metrics()).err().unwrap().to_string();
        assert!(error.contains("a.db") && error.contains("restore"), "{error}");
    }
}
