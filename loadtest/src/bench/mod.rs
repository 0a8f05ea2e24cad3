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

use std::path::Path;

use prometheus::Registry;
use sotto_pipeline::{Engine, EngineSettings, Models, PipelineMetrics, Recognisers};

/// An engine for a measurement.
///
/// # Errors
/// When a model cannot be loaded.
pub fn engine(models: &Path, threads: usize, recognisers: Recognisers) -> Result<Engine, Failure> {
    let settings = EngineSettings { threads, max_partials: 1024, recognisers };
    Ok(Engine::start(&Models::open(models)?, &settings, PipelineMetrics::new(&Registry::new())?)?)
}

/// What ends a measurement early, in a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
