//! What storage counts.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::sqlite::DatabaseMetrics;

/// Requests that a driver sent again, of which it tells the sum now and then.
pub(crate) struct Retries {
    counter: IntCounter,
    seen: AtomicU64,
}

impl Retries {
    pub fn up_to(&self, sum: u64) {
        // each caller adds what it raised the sum by, so nothing counts twice
        let before = self.seen.fetch_max(sum, Ordering::Relaxed);
        self.counter.inc_by(sum.saturating_sub(before));
    }
}

/// Handles to every metric of this room.
#[derive(Clone)]
pub struct StorageMetrics {
    pub bus_append: Histogram,
    database_commit: HistogramVec,
    database_queue_depth: IntGaugeVec,
    database_queue_full: IntCounterVec,
    pub live_missed: IntCounter,
    pub live_dropped: IntCounter,
    pub live_unreadable: IntCounter,
    pub bus_failures: IntCounter,
    pub spooled: IntCounter,
    pub spool_full: IntCounter,
    pub spool_bytes: IntGauge,
    pub bus_lag: IntGauge,
    driver_retries: IntCounterVec,
    pub vault_write: Histogram,
    pub rows: IntCounter,
    pub seals: IntCounter,
    pub sweeps: IntCounter,
    pub swept: IntCounterVec,
    pub write_failures: IntCounter,
    pub sweep_failures: IntCounter,
    pub oldest_row_age: GaugeVec,
}

const LATENCY: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl StorageMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a name is taken in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(LATENCY.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let swept = IntCounterVec::new(Opts::new("sotto_swept_total", "Expired things removed."), &["kind"])?;
        registry.register(Box::new(swept.clone()))?;
        let oldest_row_age = GaugeVec::new(
            Opts::new(
                "sotto_oldest_row_age_seconds",
                "Age of the oldest row of a retention class that is still there; 0 when there is none.",
            ),
            &["class"],
        )?;
        registry.register(Box::new(oldest_row_age.clone()))?;
        let database_commit = HistogramVec::new(
            HistogramOpts::new("sotto_database_commit_seconds", "Time of one commit of an embedded database.")
                .buckets(LATENCY.to_vec()),
            &["database"],
        )?;
        registry.register(Box::new(database_commit.clone()))?;
        let database_queue_depth = IntGaugeVec::new(
            Opts::new("sotto_database_queue_depth", "Jobs waiting for an embedded database."),
            &["database"],
        )?;
        registry.register(Box::new(database_queue_depth.clone()))?;
        let database_queue_full = IntCounterVec::new(
            Opts::new("sotto_database_queue_full_total", "Times the queue of an embedded database was full."),
            &["database"],
        )?;
        registry.register(Box::new(database_queue_full.clone()))?;
        let spool_bytes = IntGauge::new("sotto_spool_bytes", "Sealed bytes on this machine that wait for the bus.")?;
        registry.register(Box::new(spool_bytes.clone()))?;
        let driver_retries = IntCounterVec::new(
            Opts::new("sotto_driver_retries_total", "Requests that the driver of an engine sent again."),
            &["driver"],
        )?;
        registry.register(Box::new(driver_retries.clone()))?;
        // there from the start, so that their first is a change
        for driver in ["kafka", "cql"] {
            driver_retries.with_label_values(&[driver]).reset();
        }
        let bus_lag = IntGauge::new("sotto_bus_lag_records", "Records on the bus that are not yet in rows.")?;
        registry.register(Box::new(bus_lag.clone()))?;
        Ok(Self {
            database_commit,
            database_queue_depth,
            database_queue_full,
            live_missed: counter("sotto_live_missed_total", "Live updates that a slow watcher had to read from rows.")?,
            live_dropped: counter(
                "sotto_live_dropped_total",
                "Live updates not sent to other nodes because the bus takes none.",
            )?,
            live_unreadable: counter(
                "sotto_live_unreadable_total",
                "Live updates of other nodes that could not be read.",
            )?,
            bus_failures: counter("sotto_bus_failures_total", "Appends that the brokers did not acknowledge in time.")?,
            spooled: counter("sotto_spooled_total", "Records kept on this machine because the bus was away.")?,
            spool_full: counter("sotto_spool_full_total", "Records refused because the spool was full.")?,
            spool_bytes,
            bus_lag,
            driver_retries,
            bus_append: histogram("sotto_bus_append_seconds", "Time until an append was durable.")?,
            vault_write: histogram("sotto_vault_write_seconds", "Time until a batch of rows was durable.")?,
            rows: counter("sotto_vault_rows_total", "Event rows written.")?,
            seals: counter("sotto_seals_total", "Fields sealed.")?,
            sweeps: counter("sotto_sweeps_total", "Sweeps done.")?,
            write_failures: counter("sotto_vault_write_failures_total", "Batches of rows that had to be tried again.")?,
            sweep_failures: counter("sotto_sweep_failures_total", "Sweeps that failed.")?,
            swept,
            oldest_row_age,
        })
    }

    /// Follows what a driver counts by itself.
    pub(crate) fn retries(&self, driver: &str) -> Retries {
        Retries { counter: self.driver_retries.with_label_values(&[driver]), seen: AtomicU64::new(0) }
    }

    /// What is counted of the embedded database with this name.
    pub fn database(&self, name: &str) -> DatabaseMetrics {
        DatabaseMetrics {
            commit: self.database_commit.with_label_values(&[name]),
            depth: self.database_queue_depth.with_label_values(&[name]),
            full: self.database_queue_full.with_label_values(&[name]),
        }
    }
}
