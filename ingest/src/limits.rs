//! Every bound of the door, with its default.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest WebSocket message, in bytes.
    pub message_bytes: usize,
    /// Messages a second, of one socket.
    pub messages_per_second: u32,
    /// Until the first `start`.
    pub start_seconds: u64,
    /// Without any message.
    pub idle_seconds: u64,
    /// Between two pings.
    pub ping_seconds: u64,
    /// For one message to leave, after which the client counts as not reading.
    pub send_seconds: u64,
    /// Longest call, in seconds of audio.
    pub call_seconds: u64,
    /// How long a shutdown waits for an utterance to end.
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            messages_per_second: 400,
            start_seconds: 10,
            idle_seconds: 30,
            ping_seconds: 10,
            send_seconds: 10,
            call_seconds: 8 * 3600,
            drain_seconds: 5,
        }
    }
}

impl Limits {
    /// Says what is out of range.
    ///
    /// # Errors
    /// A sentence for the person who wrote the setting.
    pub fn validate(&self) -> Result<(), String> {
        let ranges = [
            ("message_bytes", self.message_bytes as u64, 1024, 1 << 20),
            ("messages_per_second", u64::from(self.messages_per_second), 10, 10_000),
            ("start_seconds", self.start_seconds, 1, 300),
            ("idle_seconds", self.idle_seconds, 1, 3600),
            ("ping_seconds", self.ping_seconds, 1, 300),
            ("send_seconds", self.send_seconds, 1, 60),
            ("call_seconds", self.call_seconds, 1, 24 * 3600),
            ("drain_seconds", self.drain_seconds, 0, 60),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(format!("limits.{name} is {value}, must be between {low} and {high}"));
            }
        }
        Ok(())
    }
}

/// Counts messages in windows of one second; a burst of two seconds' worth passes.
#[derive(Debug)]
pub struct MessageRate {
    per_second: f64,
    credit: f64,
    last: Instant,
}

impl MessageRate {
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, credit: 2.0 * per_second, last: now }
    }

    /// False when there are too many.
    pub fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.last).as_secs_f64() * self.per_second;
        self.credit = (self.credit + earned).min(2.0 * self.per_second) - 1.0;
        self.last = now;
        self.credit >= 0.0
    }
}

impl Limits {
    pub(crate) fn send(&self) -> Duration {
        Duration::from_secs(self.send_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let now = Instant::now();
        let mut rate = MessageRate::new(10, now);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 20);
        let mut rate = MessageRate::new(10, now);
        assert!((0..100).all(|index| rate.take(now + Duration::from_millis(100 * index))));
    }
}
