//! Media time: how far into a call's audio something lies, counted in samples, never read from a clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A position in a call's audio, in microseconds from its first sample. Serialised as seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The very start of the audio.
    pub const ZERO: Self = Self(0);

    /// From whole microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The time of sample `index` at `rate` samples a second.
    pub const fn of_sample(index: u64, rate: u32) -> Self {
        Self((index as u128 * 1_000_000 / rate as u128) as u64)
    }

    /// As it is when it has been kept: events hold whole milliseconds.
    #[must_use]
    pub const fn kept(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }

    /// Whole microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Seconds, for people and protocols.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Serialize for MediaTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0 / 1000) as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for MediaTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.0..1e9).contains(&seconds) {
            return Err(serde::de::Error::custom("a media time must lie between 0 and 1e9 seconds"));
        }
        Ok(Self((seconds * 1e6).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_samples_without_drift() {
        assert_eq!(MediaTime::of_sample(44_100 * 3_600 * 24, 44_100).micros(), 86_400_000_000);
        assert_eq!(MediaTime::of_sample(4, 8_000).micros(), 500);
    }

    #[test]
    fn is_seconds_in_json() {
        let json = serde_json::to_string(&MediaTime::from_micros(1_234_567)).unwrap();
        assert_eq!(json, "1.234");
        assert_eq!(serde_json::from_str::<MediaTime>("1.5").unwrap().micros(), 1_500_000);
        assert!(serde_json::from_str::<MediaTime>("-1").is_err());
    }
}
