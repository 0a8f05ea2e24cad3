//! Sound to meaning: resample, voice activity, utterances, recogniser, rolling transcript.
//!
//! One task a call ([`call`]) owns the state of its channels ([`channel`]); the speech work of all calls is shared out
//! by one [`engine`] with its own bounded threads. Nothing here knows sockets or databases.
//!
//! **Media time rules.** Endpointing, utterances and finals are functions of the samples alone. A channel's state is
//! started afresh where a stretch of speech ends, and in lasting quiet, so that a call can be taken up again from there (a
//! *safe point*) and comes out the same. Only the cadence of partials knows how fast audio arrives.

pub mod call;
pub mod channel;
pub mod endpoint;
pub mod engine;
pub mod metrics;
pub mod models;
pub mod recogniser;
pub mod redact;
pub mod resample;
pub mod score;
pub mod settings;
mod shown;
pub mod transcript;
pub mod vad;
mod vectors;

pub use call::{CallOutput, CallTask, Resume};
pub use engine::{Engine, EngineSettings};
pub use metrics::PipelineMetrics;
pub use models::{ModelError, Models};
pub use redact::RedactionSettings;
pub use settings::{EndpointSettings, PartialSettings, PipelineSettings, Recognisers};

/// The rate everything after the resampler runs at, in samples a second.
pub const SPEECH_RATE: u32 = 16_000;
