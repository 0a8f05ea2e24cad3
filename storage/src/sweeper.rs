//! Removes what has expired, again and again, and says how old the oldest living row is.

use std::{sync::Arc, time::Duration};

use sotto_events::{Clock, RetentionClass};

use crate::{Result, StorageMetrics, bus::Bus, vault::Swept, vault::Vault, writer::CONSUMER};

/// Rows of a kind removed in one transaction, so that writers are never held up long.
const BATCH: usize = 1_000;

/// The sweeper.
pub struct Sweeper {
    pub bus: Arc<dyn Bus>,
    pub vault: Arc<dyn Vault>,
    pub clock: Arc<dyn Clock>,
    pub metrics: StorageMetrics,
}

impl Sweeper {
    /// Sweeps every `interval`, for ever.
    pub async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep().await {
                self.metrics.sweep_failures.inc();
                tracing::error!(%error, "sweep failed; what has expired is unreadable all the same");
            }
        }
    }

    /// Sweeps until nothing expired is left; says what was removed.
    ///
    /// # Errors
    /// When vault or bus fail.
    pub async fn sweep(&self) -> Result<Swept> {
        let mut total = Swept::default();
        loop {
            let swept = self.vault.sweep(self.clock.now(), BATCH).await?;
            if swept == Swept::default() {
                break;
            }
            total.events += swept.events;
            total.metadata += swept.metadata;
            total.calls += swept.calls;
        }
        self.bus.trim(CONSUMER).await?;
        self.metrics.sweeps.inc();
        for (kind, count) in [("event", total.events), ("metadata", total.metadata), ("call", total.calls)] {
            self.metrics.swept.with_label_values(&[kind]).inc_by(count);
        }
        let now = self.clock.now();
        for class in RetentionClass::ALL {
            let oldest = self.vault.oldest(class).await?;
            let age = oldest.map_or(0.0, |oldest| (now.0 - oldest.0) as f64 / 1000.0);
            self.metrics.oldest_row_age.with_label_values(&[class.name()]).set(age);
        }
        Ok(total)
    }
}
