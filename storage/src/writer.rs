//! From the bus to rows: takes records in order, keeps them, and only then moves its position. A crash between the two
//! repeats a record, which changes nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Result, StorageError, StorageMetrics,
    bus::{Bus, Consumer, Delivered, lag, settled},
    vault::Vault,
};

/// The name under which the position is kept.
pub const CONSUMER: &str = "writer";
/// Most records in one transaction.
const BATCH: usize = 256;
/// Pause before trying again after a failure, doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Between two measurements of the lag.
const MEASURE: Duration = Duration::from_secs(5);

/// The consumer that fills the vault.
pub struct Writer {
    bus: Arc<dyn Bus>,
    vault: Arc<dyn Vault>,
    metrics: StorageMetrics,
}

impl Writer {
    pub fn new(bus: Arc<dyn Bus>, vault: Arc<dyn Vault>, metrics: StorageMetrics) -> Arc<Self> {
        Arc::new(Self { bus, vault, metrics })
    }

    /// Runs until the bus stops; a failure is logged, counted and tried again.
    pub async fn run(self: Arc<Self>) {
        let mut pause = PAUSE;
        loop {
            let consumed = match self.bus.consumer(CONSUMER).await {
                Ok(mut consumer) => self.consume(consumer.as_mut(), &mut pause).await,
                Err(error) => error,
            };
            if matches!(consumed, StorageError::Stopped) {
                return;
            }
            self.stumble(&consumed, &mut pause).await;
        }
    }

    /// Writes what comes, until the bus fails. What was not committed then comes again.
    async fn consume(&self, consumer: &mut dyn Consumer, pause: &mut Duration) -> StorageError {
        loop {
            let records = match consumer.next(BATCH).await {
                Ok(records) => records,
                Err(error) => return error,
            };
            while let Err(error) = self.write(&records).await {
                if matches!(error, StorageError::Stopped) {
                    return error;
                }
                self.stumble(&error, pause).await;
            }
            if let Err(error) = consumer.commit().await {
                return error;
            }
            *pause = PAUSE;
        }
    }

    async fn write(&self, records: &[Delivered]) -> Result<()> {
        let rows: usize = records.iter().map(|delivered| delivered.record.events.len()).sum();
        let started = Instant::now();
        self.vault.write(records.to_vec()).await?;
        self.metrics.vault_write.observe(started.elapsed().as_secs_f64());
        self.metrics.rows.inc_by(rows as u64);
        Ok(())
    }

    async fn stumble(&self, error: &StorageError, pause: &mut Duration) {
        self.metrics.write_failures.inc();
        tracing::error!(%error, "rows could not be written; trying again");
        sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    /// Measures how far rows are behind the bus, for ever.
    pub async fn measure(self: Arc<Self>) {
        loop {
            let ends = self.bus.ends(None).await;
            let lag = match ends {
                Ok(ends) => lag(self.bus.as_ref(), CONSUMER, &ends).await,
                Err(error) => Err(error),
            };
            match lag {
                Ok(lag) => self.metrics.bus_lag.set(i64::try_from(lag).unwrap_or(i64::MAX)),
                Err(error) => tracing::debug!(%error, "the bus does not say how far it is"),
            }
            sleep(MEASURE).await;
        }
    }

    /// Waits until everything that is on the bus now is in rows.
    ///
    /// # Errors
    /// When the bus cannot be asked.
    pub async fn catch_up(&self) -> Result<()> {
        settled(self.bus.as_ref(), CONSUMER, None).await
    }
}
