//! What is counted of those who watch.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Handles.
#[derive(Clone)]
pub struct DashboardMetrics {
    /// By what they watch: board, call, overlay.
    pub watchers: IntGaugeVec,
    pub lag: IntCounter,
    /// By outcome: ok, link, wrong, locked, busy, failed.
    pub logins: IntCounterVec,
    pub acknowledged: IntCounter,
}

impl DashboardMetrics {
    /// # Errors
    /// When the names are taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            watchers: IntGaugeVec::new(Opts::new("sotto_watchers", "Open live streams."), &["kind"])?,
            lag: IntCounter::new(
                "sotto_watcher_lag_total",
                "Times a board fell behind and was given everything anew.",
            )?,
            logins: IntCounterVec::new(Opts::new("sotto_logins_total", "Attempts to log in."), &["outcome"])?,
            acknowledged: IntCounter::new("sotto_alerts_acknowledged_total", "Alerts that somebody took in hand.")?,
        };
        // from nothing on, so that the first of each is a rise
        for kind in ["board", "call", "overlay"] {
            metrics.watchers.with_label_values(&[kind]);
        }
        for outcome in ["ok", "link", "wrong", "locked", "busy", "failed"] {
            metrics.logins.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.watchers.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.logins.clone()))?;
        registry.register(Box::new(metrics.acknowledged.clone()))?;
        Ok(metrics)
    }
}
