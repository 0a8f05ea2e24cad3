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
pub mod storage;
pub mod word_error;

use std::{
    fs,
    path::{Path, PathBuf},
};

use prometheus::Registry;
use sotto_pipeline::{Engine, EngineSettings, Models, PipelineMetrics, PipelineSettings, Recognisers};

/// An engine for a measurement.
///
/// # Errors
/// When a model cannot be loaded.
pub fn engine(models: &Path, threads: usize, recognisers: Recognisers) -> Result<Engine, Failure> {
    let settings = EngineSettings { threads, max_partials: 1024, slowest_partials: f64::INFINITY, recognisers };
    Ok(Engine::start(&Models::open(models)?, &settings, PipelineMetrics::new(&Registry::new())?)?)
}

/// Settings of the pipeline from a TOML file; what it leaves out, and all without one, is as it comes.
///
/// # Errors
/// When the file cannot be read, or has something else in it.
pub fn settings(file: Option<&Path>) -> Result<PipelineSettings, Failure> {
    let Some(file) = file else { return Ok(PipelineSettings::default()) };
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// The WAV files of a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn wavs(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = paths.collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    Ok(files)
}

/// The name of a file, for an answer.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Samples as the recogniser takes them, -1..1.
pub fn scaled(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

/// What ends a measurement early, in a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
