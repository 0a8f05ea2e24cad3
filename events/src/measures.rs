//! How a conversation went, in numbers without words: who talked how much, over whom, how fast, and where nobody did.

use serde::{Deserialize, Serialize};

use crate::MediaTime;

/// A stretch of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    pub start: MediaTime,
    pub end: MediaTime,
}

impl Stretch {
    /// Length in microseconds.
    pub const fn micros(self) -> u64 {
        self.end.micros().saturating_sub(self.start.micros())
    }
}

/// Where a measure comes from: an utterance of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub channel: u8,
    pub utterance: u64,
    pub at: MediaTime,
}

/// Measures of one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelMeasures {
    /// Time this channel spoke.
    pub talk: MediaTime,
    /// Of the time that all channels spoke, 0 to 1; three decimals.
    pub talk_share: f64,
    pub words: u64,
    /// Words in a minute of this channel's speech; one decimal.
    pub words_per_minute: f64,
    /// Longest stretch that nobody else broke into; none for a channel that said nothing.
    pub longest_monologue: Option<Stretch>,
    /// Times this channel began to speak while another was speaking, and went on with more than a word.
    pub interruptions: u64,
    /// The first of them.
    pub interrupted_at: Vec<Evidence>,
}

/// Measures of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Names the definitions behind the numbers, so that comparisons over time stay honest.
    pub version: String,
    pub channels: Vec<ChannelMeasures>,
    /// Time in which more than one channel spoke.
    pub overlap: MediaTime,
    /// Time in which nobody spoke for five seconds and more, between the first word and the last.
    pub dead_air: MediaTime,
    pub longest_silence: Option<Stretch>,
}
