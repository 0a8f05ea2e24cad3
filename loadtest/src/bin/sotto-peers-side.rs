//! `sotto-peers-side`: Sotto's part of `make bench-peers`. Plays a folder of recordings as live calls, all at once, and
//! tells what that took and what was written down.

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use serde::Serialize;
use sotto_ingest::file;
use sotto_loadtest::bench::{
    self, Failure,
    cost::{Percentiles, batches, final_latency, multiply_adds, stages, unstable},
    feed::{Utterance, play_together},
    machine::cpu_seconds,
};
use sotto_pipeline::{PipelineSettings, Recognisers, RedactionSettings};

/// As the server has it.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Plays recordings as live calls and tells the processor time they took.
#[derive(Debug, Parser)]
#[command(name = "sotto-peers-side", version)]
struct Options {
    /// Folder of the speech models.
    #[arg(long, env = "SOTTO_MODELS")]
    models: PathBuf,
    /// Folder of mono WAV files; the first ones by name are played.
    #[arg(long)]
    streams: PathBuf,
    /// How many of them, each a call of one channel.
    #[arg(long)]
    calls: usize,
    /// Seconds between two partials, or `off`.
    #[arg(long)]
    partials: String,
    /// Recogniser of the partials; the peers have tiny.
    #[arg(long, default_value = "tiny")]
    partials_by: String,
    /// Recogniser of the finals.
    #[arg(long, default_value = "tiny")]
    finals_by: String,
    /// TOML file with settings of the pipeline that differ from what they are by themselves.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Where the answer goes.
    #[arg(long)]
    json: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// User and system time of all threads while the calls were on air.
    cpu_seconds: f64,
    /// Finals of each recording.
    texts: BTreeMap<String, String>,
    /// Partials that came less often than asked for, in percent.
    degraded_percent: f64,
    /// Shown words that a later partial changed or withdrew, in percent of the words of the finals.
    unstable_words_percent: f64,
    /// The same for words that the final changed or left out.
    changed_by_finals_percent: f64,
    /// Seconds of the engine's threads by what they did.
    stages: BTreeMap<String, f64>,
    /// Thousand millions of multiply-adds in the products of these stages.
    multiply_adds: BTreeMap<String, f64>,
    /// From the end of an utterance being noticed to its final, milliseconds.
    final_latency_ms: Option<Percentiles>,
    /// Mean sizes of batches.
    batches: BTreeMap<String, f64>,
    recognisers: Recognisers,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-peers-side: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let settings = settings(&options)?;
    let recognisers = Recognisers { partials: options.partials_by.clone(), finals: options.finals_by.clone() };
    let threads = std::thread::available_parallelism()?.get();
    let engine = bench::engine(&options.models, threads, recognisers.clone())?;
    let mut files = bench::wavs(&options.streams)?;
    files.truncate(options.calls);
    let recordings = files.iter().map(|path| file::read(path)).collect::<Result<Vec<_>, _>>()?;
    let before = cpu_seconds()?;
    let heard = play_together(&engine, &settings, recordings).await?;
    let cpu = cpu_seconds()? - before;
    let final_latency_ms = final_latency(&heard, &settings)?;
    let (unstable_words_percent, changed_by_finals_percent) = unstable(&heard);
    let (mut texts, mut partials, mut degraded) = (BTreeMap::new(), 0, 0);
    for (path, heard) in files.iter().zip(heard) {
        let mut said = Vec::new();
        for heard in heard {
            match heard.what {
                Utterance::Final(made) => said.push(made.text),
                Utterance::Partial(partial) => {
                    partials += 1;
                    degraded += u64::from(partial.degraded);
                }
            }
        }
        texts.insert(bench::name_of(path), said.join(" "));
    }
    let degraded_percent = 100.0 * degraded as f64 / partials.max(1) as f64;
    let (stages, batches) = (stages(&engine), batches(&engine));
    let answer = Answer {
        cpu_seconds: cpu,
        texts,
        degraded_percent,
        unstable_words_percent,
        changed_by_finals_percent,
        stages,
        multiply_adds: multiply_adds(&engine),
        final_latency_ms,
        batches,
        recognisers,
    };
    fs::write(&options.json, serde_json::to_string_pretty(&answer)?)?;
    Ok(())
}

/// The same cadence on a quiet machine as on a busy one; what was heard is compared, not what is shown of it.
fn settings(Options { settings, partials, .. }: &Options) -> Result<PipelineSettings, Failure> {
    let mut settings = PipelineSettings { redaction: RedactionSettings::NONE, ..bench::settings(settings.as_deref())? };
    if partials == "off" {
        settings.partials.enabled = false;
    } else {
        let interval = partials.parse().map_err(|_| format!("--partials is {partials}, must be seconds or `off`"))?;
        (settings.partials.interval, settings.partials.fastest) = (interval, interval);
    }
    settings.validate()?;
    Ok(settings)
}
