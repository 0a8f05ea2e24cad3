//! The events of a call that are kept: one order, `seq` from 1 without gaps.

use serde::{Deserialize, Serialize};

use crate::{AudioFormat, Final, Measures, MediaTime, Moment, Scorecard, Scores};

/// How long something is kept, by what it holds. Each tenant sets the lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionClass {
    /// Utterances and words.
    Transcript,
    /// Names, numbers and contact fields: a call's metadata.
    Personal,
    /// Scores and what holds no verbatim text: starts, gaps, ends.
    Score,
}

impl RetentionClass {
    /// Every class, for metrics and sweeps.
    pub const ALL: [Self; 3] = [Self::Transcript, Self::Personal, Self::Score];

    /// The name used in rows, metrics and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transcript => "transcript",
            Self::Personal => "personal",
            Self::Score => "score",
        }
    }
}

/// Why a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The caller said stop.
    Stopped,
    /// The socket broke and nobody came back in time.
    Lost,
    /// The call reached the longest length that is allowed.
    TooLong,
    /// No audio came for longer than is allowed.
    Idle,
    /// The server was shutting down and the dialect cannot resume.
    Drained,
}

/// What a call is, said once at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedCall {
    pub format: AudioFormat,
    /// Where the call came from: `native`, `twilio`, ...
    pub dialect: String,
    /// What it is judged by, to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorecard: Option<Box<Scorecard>>,
}

/// The content of one kept event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    Started(StartedCall),
    Final(Final),
    /// Nothing was written down between these times: the audio never arrived, or the recogniser failed on it.
    Gap {
        channel: u8,
        start: MediaTime,
        end: MediaTime,
    },
    /// A phrase of the scorecard was said; follows the final it is in.
    Moment(Moment),
    /// How the conversation went, said just before its end.
    Measured(Measures),
    /// How the call did, said just before its end.
    Scored(Scores),
    Ended {
        reason: EndReason,
        /// Length of the audio that was heard.
        duration: MediaTime,
    },
}

impl EventBody {
    /// The name used in rows, the sealing context and the API.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Final(_) => "final",
            Self::Gap { .. } => "gap",
            Self::Moment(_) => "moment",
            Self::Measured(_) => "measured",
            Self::Scored(_) => "scored",
            Self::Ended { .. } => "ended",
        }
    }

    /// How long this is kept.
    pub const fn class(&self) -> RetentionClass {
        match self {
            Self::Final(_) => RetentionClass::Transcript,
            Self::Started(_)
            | Self::Gap { .. }
            | Self::Moment(_)
            | Self::Measured(_)
            | Self::Scored(_)
            | Self::Ended { .. } => RetentionClass::Score,
        }
    }
}

/// One kept event with its place in the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    #[serde(flatten)]
    pub body: EventBody,
}

/// Where a channel can be taken up again: everything before `position` is in events, and the pipeline's state there is
/// that of a fresh start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SafePoint {
    /// Index of the first sample not yet in an event, at the call's own rate.
    pub position: u64,
    /// Media time of the last decision on this channel, which orders its events among the other channels'. Whole
    /// microseconds when kept: a rounded one could order events otherwise after a resume.
    #[serde(with = "micros")]
    pub decided_at: MediaTime,
    /// How many utterances the channel has had.
    pub utterances: u64,
    /// What was said before this sample is in events too, though it lies after `position`: it is heard again, along with
    /// what follows. Not after `position` when there is no such thing.
    #[serde(default)]
    pub told: u64,
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::MediaTime;

    pub fn serialize<S: Serializer>(time: &MediaTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.micros())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MediaTime, D::Error> {
        u64::deserialize(deserializer).map(MediaTime::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_point_is_kept_to_the_microsecond() {
        let safe = SafePoint { position: 7, decided_at: MediaTime::from_micros(1_234_567), utterances: 2, told: 9 };
        let text = serde_json::to_string(&safe).unwrap();
        assert_eq!(serde_json::from_str::<SafePoint>(&text).unwrap(), safe);
    }
}
