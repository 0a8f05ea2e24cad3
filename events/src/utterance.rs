//! What was heard in one stretch of speech: rolling partials, then one final.

use serde::{Deserialize, Serialize, Serializer};

use crate::MediaTime;

/// One word of a final. Times are estimates, see `docs/transcripts.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    pub text: String,
    pub start: MediaTime,
    pub end: MediaTime,
}

/// A revision of an utterance that is still being spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    pub channel: u8,
    /// Number of the utterance on its channel, from 1.
    pub utterance: u64,
    /// Number of this revision, from 1.
    pub revision: u32,
    pub start: MediaTime,
    /// How much of the audio this revision has heard.
    pub end: MediaTime,
    /// Text that no later revision and no final changes.
    pub stable: String,
    /// Text that may still change.
    pub tail: String,
    /// True when load has stretched the declared cadence.
    pub degraded: bool,
}

/// What an utterance came to. Depends on the sound alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Final {
    pub channel: u8,
    /// Number of the utterance on its channel, from 1.
    pub utterance: u64,
    pub start: MediaTime,
    pub end: MediaTime,
    pub text: String,
    pub words: Vec<Word>,
    /// Geometric mean of the token probabilities, 0 to 1; four decimals are kept.
    #[serde(serialize_with = "four_decimals")]
    pub confidence: f32,
    /// Names models, graphs and grids that made this text.
    pub model: String,
}

/// More digits would only show how a 32-bit number looks as a 64-bit one, differently in every reader.
fn four_decimals<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((f64::from(*value) * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_reads_the_same_everywhere() {
        let made = Final {
            channel: 0,
            utterance: 1,
            start: MediaTime::ZERO,
            end: MediaTime::ZERO,
            text: String::new(),
            words: Vec::new(),
            confidence: 0.831_486_05,
            model: String::new(),
        };
        let text = serde_json::to_string(&made).unwrap();
        assert!(text.contains(r#""confidence":0.8315"#), "{text}");
        assert_eq!(
            serde_json::to_value(&made).unwrap().to_string(),
            serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string()
        );
    }
}
