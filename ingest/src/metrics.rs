//! What the door counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::port::Refusal;

/// Handles to every metric of this room.
#[derive(Clone)]
pub struct IngestMetrics {
    pub sockets: IntGauge,
    pub messages: IntCounterVec,
    pub bytes: IntCounterVec,
    pub refusals: IntCounterVec,
    pub closed: IntCounterVec,
    pub jumps: IntCounter,
}

impl IngestMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a name is taken in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vec = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let refusals = vec("sotto_refusals_total", "Calls not taken, by reason.", "reason")?;
        // from nothing on, so that the first of each is a rise
        for refusal in Refusal::ALL {
            refusals.with_label_values(&[refusal.code()]);
        }
        let sockets = IntGauge::new("sotto_sockets", "WebSockets that are open.")?;
        registry.register(Box::new(sockets.clone()))?;
        let jumps = IntCounter::new("sotto_clock_jumps_total", "Timestamps of a platform too far off to be a gap.")?;
        registry.register(Box::new(jumps.clone()))?;
        Ok(Self {
            sockets,
            jumps,
            messages: vec("sotto_messages_total", "WebSocket messages that came, by dialect.", "dialect")?,
            bytes: vec("sotto_audio_bytes_total", "Bytes of encoded audio that came, by dialect.", "dialect")?,
            refusals,
            closed: vec("sotto_sockets_closed_total", "WebSockets that ended, by reason.", "reason")?,
        })
    }
}
