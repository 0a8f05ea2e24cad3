//! From the bus to rows: takes records in order, keeps them, and only then moves its position. A crash between the two
//! repeats a record, which changes nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{Result, StorageError, StorageMetrics, bus::Bus, vault::Vault};

/// The name under which the position is kept.
pub const CONSUMER: &str = "writer";
/// Most records in one transaction.
const BATCH: usize = 256;
/// Pause before trying again after a failure, doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The consumer that fills the vault.
pub struct Writer {
    bus: Arc<dyn Bus>,
    vault: Arc<dyn Vault>,
    metrics: StorageMetrics,
    written: watch::Sender<u64>,
}

impl Writer {
    pub fn new(bus: Arc<dyn Bus>, vault: Arc<dyn Vault>, metrics: StorageMetrics) -> Arc<Self> {
        Arc::new(Self { bus, vault, metrics, written: watch::Sender::new(0) })
    }

    /// Runs for ever; a failure is logged, counted and tried again.
    pub async fn run(self: Arc<Self>) {
        let mut pause = PAUSE;
        loop {
            match self.step().await {
                Ok(()) => pause = PAUSE,
                Err(StorageError::Stopped) => return,
                Err(error) => {
                    self.metrics.write_failures.inc();
                    tracing::error!(%error, "rows could not be written; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Writes the next records.
    ///
    /// # Errors
    /// When bus or vault fail; nothing is lost.
    pub async fn step(&self) -> Result<()> {
        let records = self.bus.next(CONSUMER, BATCH).await?;
        let Some(last) = records.last().map(|delivered| delivered.offset) else { return Ok(()) };
        let rows: usize = records.iter().map(|delivered| delivered.record.events.len()).sum();
        let started = Instant::now();
        self.vault.write(records).await?;
        self.metrics.vault_write.observe(started.elapsed().as_secs_f64());
        self.metrics.rows.inc_by(rows as u64);
        self.bus.commit(CONSUMER, last).await?;
        self.written.send_replace(last);
        Ok(())
    }

    /// Waits until everything that is on the bus now is in rows.
    ///
    /// # Errors
    /// When the bus cannot be asked.
    pub async fn catch_up(&self) -> Result<()> {
        let end = self.bus.end().await?;
        let mut written = self.written.subscribe();
        while self.bus.position(CONSUMER).await? < end {
            written.changed().await.map_err(|_| StorageError::Stopped)?;
        }
        Ok(())
    }
}
