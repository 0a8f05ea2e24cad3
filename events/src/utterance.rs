//! What was heard in one stretch of speech: rolling partials, then one final.

use serde::{Deserialize, Serialize};

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
    /// Geometric mean of the token probabilities, 0 to 1.
    pub confidence: f32,
    /// Names models, graphs and grids that made this text.
    pub model: String,
}
