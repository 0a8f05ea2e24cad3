//! The vocabulary every room of Sotto shares: identifiers, media time, audio formats, utterances and call events.
//! Plain data: no I/O, no async, no cryptography.

mod audio;
mod call;
mod clock;
mod ids;
mod input;
mod measures;
mod media;
mod redaction;
mod scorecard;
mod scores;
mod utterance;

pub use audio::{
    AudioFormat, ChannelRole, Encoding, FormatError, MAX_CHANNELS, MAX_OPUS_CHANNELS, OPUS_RATES, SAMPLE_RATES,
};
pub use call::{CallEvent, EndReason, EventBody, RetentionClass, SafePoint, StartedCall};
pub use clock::{Clock, Timestamp};
pub use ids::{CallId, IdError, TenantId};
pub use input::{Audio, CallInput, Finish};
pub use measures::{ChannelMeasures, Evidence, Measures, Stretch};
pub use media::MediaTime;
pub use redaction::Redaction;
pub use scorecard::{
    Criterion, LONGEST_PHRASE, Measure, MomentRule, PaceLimits, Scorecard, ScorecardError, Speaker, Step,
};
pub use scores::{
    CriterionScore, Level, LiveScores, Moment, MomentCount, Pace, Prompt, ScorecardName, Scores, Sentiment, StepScore,
    StepState, Trend,
};
pub use utterance::{Final, Partial, Word};
