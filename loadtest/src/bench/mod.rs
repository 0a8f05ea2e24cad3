//! The benchmark's parts, each one idea.

pub mod accuracy;
pub mod board;
pub mod corpus;
pub mod cost;
pub mod feed;
pub mod machine;
pub mod normalise;
pub mod redaction;
pub mod replay;
pub mod spoken;
pub mod word_error;

/// What ends a measurement early, in a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
