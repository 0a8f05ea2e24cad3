//! What can be set about the speech pipeline, with the defaults.

use serde::{Deserialize, Serialize};

use crate::redact::RedactionSettings;

/// When speech begins and ends. All lengths in seconds of media time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSettings {
    /// Silence that ends an utterance.
    pub silence: f64,
    /// Longest utterance; a longer one is cut at its quietest place.
    pub max_length: f64,
    /// Audio taken in before the first voiced frame.
    pub pre_roll: f64,
    /// Audio kept after the last voiced frame.
    pub post_roll: f64,
    /// Silence that the recogniser hears behind that, when it makes a final.
    pub padding: f64,
    /// Voiced audio below which a burst is not an utterance.
    pub min_speech: f64,
    /// Voice probability that starts speech.
    pub threshold: f32,
    /// Voice probability below which speech pauses.
    pub release: f32,
    /// Quiet time after which a channel gets a safe point of its own.
    pub quiet_point: f64,
    /// Pause up to which what was said before is heard along with an utterance; not longer than `silence` for never.
    pub context_pause: f64,
    /// When what was said has come to this length, what follows is heard without it.
    pub context_length: f64,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            silence: 0.25,
            max_length: 10.0,
            pre_roll: 0.3,
            post_roll: 0.1,
            padding: 0.4,
            min_speech: 0.1,
            threshold: 0.5,
            release: 0.35,
            quiet_point: 5.0,
            context_pause: 0.7,
            context_length: 5.0,
        }
    }
}

impl EndpointSettings {
    /// Says what is out of range, and the range.
    pub fn validate(&self) -> Result<(), String> {
        let ranges = [
            ("silence", self.silence, 0.1, 3.0),
            ("max_length", self.max_length, 3.0, 30.0),
            ("pre_roll", self.pre_roll, 0.0, 1.0),
            ("post_roll", self.post_roll, 0.0, 1.0),
            ("padding", self.padding, 0.0, 1.0),
            ("min_speech", self.min_speech, 0.0, 1.0),
            ("threshold", f64::from(self.threshold), 0.05, 0.95),
            ("release", f64::from(self.release), 0.01, 0.95),
            ("quiet_point", self.quiet_point, 2.0, 60.0),
            ("context_pause", self.context_pause, 0.0, 3.0),
            ("context_length", self.context_length, 0.0, 20.0),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(format!("endpoint.{name} is {value}, must be between {low} and {high}"));
            }
        }
        if self.post_roll > self.silence {
            return Err("endpoint.post_roll must not be longer than endpoint.silence".to_owned());
        }
        if self.release > self.threshold {
            return Err("endpoint.release must not be above endpoint.threshold".to_owned());
        }
        Ok(())
    }
}

/// Rolling hypotheses while someone speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartialSettings {
    /// False for finals only.
    pub enabled: bool,
    /// Seconds of media time between two partials of one utterance; under load they come less often, and say so.
    pub interval: f64,
    /// Seconds between them on a machine that has little to do.
    pub fastest: f64,
}

impl Default for PartialSettings {
    fn default() -> Self {
        Self { enabled: true, interval: 0.5, fastest: 0.2 }
    }
}

/// Which recogniser writes what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recognisers {
    /// Writes partials.
    pub partials: String,
    /// Writes finals.
    pub finals: String,
}

impl Default for Recognisers {
    fn default() -> Self {
        Self { partials: "tiny".to_owned(), finals: "base".to_owned() }
    }
}

/// Everything that shapes what a call comes out as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineSettings {
    pub endpoint: EndpointSettings,
    pub partials: PartialSettings,
    pub redaction: RedactionSettings,
}

impl PipelineSettings {
    /// Says what is out of range, and the range.
    pub fn validate(&self) -> Result<(), String> {
        self.endpoint.validate()?;
        let PartialSettings { interval, fastest, .. } = self.partials;
        if !(0.1..=5.0).contains(&interval) {
            return Err(format!("partials.interval is {interval}, must be between 0.1 and 5"));
        }
        if !(0.1..=5.0).contains(&fastest) {
            return Err(format!("partials.fastest is {fastest}, must be between 0.1 and 5"));
        }
        Ok(())
    }
}
