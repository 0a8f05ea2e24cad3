//! `sotto-tokens`: Sotto's part of `loadtest/peers/bench shipped`. Writes each recording of a folder down as one window, by
//! itself, and gives its tokens.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use sotto_ingest::file;
use sotto_loadtest::bench::{self, Failure, scaled};
use sotto_pipeline::{
    Models, SPEECH_RATE,
    recogniser::{Job, Moonshine},
};

/// Writes recordings down, each as one window, and gives their tokens.
#[derive(Debug, Parser)]
#[command(name = "sotto-tokens", version)]
struct Options {
    /// Folder of the speech models.
    #[arg(long, env = "SOTTO_MODELS")]
    models: PathBuf,
    /// Folder of mono WAV files at 16 kHz.
    #[arg(long)]
    windows: PathBuf,
    /// The recogniser.
    #[arg(long, default_value = "tiny")]
    recogniser: String,
    /// Where the answer goes: the tokens of each file.
    #[arg(long)]
    json: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-tokens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut model = Models::open(&options.models)?.recogniser(&options.recogniser)?;
    let mut tokens = BTreeMap::new();
    for path in bench::wavs(&options.windows)? {
        tokens.insert(bench::name_of(&path), write_down(&mut model, &path)?);
    }
    fs::write(&options.json, serde_json::to_string(&tokens)?)?;
    Ok(())
}

fn write_down(model: &mut Moonshine, path: &Path) -> Result<Vec<u32>, Failure> {
    let recording = file::read(path)?;
    let [sound] = &recording.channels[..] else { return Err(format!("{} is not mono", path.display()).into()) };
    if recording.rate != SPEECH_RATE {
        return Err(format!("{} is not at {SPEECH_RATE} Hz", path.display()).into());
    }
    let audio = scaled(sound);
    let job = Job { length: audio.len(), audio, ..Job::default() };
    let fed = model.front_end.feed(vec![(0, job)])?;
    model.decoder.admit(model.encoder.encode(fed)?);
    loop {
        if let Some(done) = model.decoder.pass()?.pop() {
            return Ok(done.hypothesis.tokens);
        }
    }
}
