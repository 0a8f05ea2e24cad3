//! `sotto-bench`: what the pipeline costs, how soon it answers, how right it is. Writes JSON with the machine, the
//! commit and the command; prints the same as a table.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use serde::Serialize;
use sotto_ingest::file::{self, Recording};
use sotto_loadtest::bench::{
    self, Failure,
    accuracy::{self, Accuracy},
    corpus,
    cost::{self, Cost},
    machine::{Machine, machine},
    replay::{self, Replay},
};
use sotto_pipeline::{Engine, PipelineSettings, Recognisers, RedactionSettings};

/// As the server has it.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures cost, latency and accuracy of the speech pipeline on this machine.
#[derive(Debug, Parser)]
#[command(name = "sotto-bench", version)]
struct Options {
    /// Folder of the speech models.
    #[arg(long, env = "SOTTO_MODELS")]
    models: PathBuf,
    /// Recording that the calls play; each begins elsewhere in it.
    #[arg(long, default_value = "tests/audio/sample_call.flac")]
    audio: PathBuf,
    /// How many calls at once, for each measurement of cost.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    calls: Vec<usize>,
    /// Seconds of the recording that each call plays; longer than the recording: all of it.
    #[arg(long, default_value_t = 45)]
    seconds: usize,
    /// Recogniser of the partials.
    #[arg(long, default_value = "tiny")]
    partials_by: String,
    /// Recogniser of the finals.
    #[arg(long, default_value = "base")]
    finals_by: String,
    /// Settings of the pipeline as TOML, with the names that `[pipeline]` of the configuration has.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Speech threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Seconds of media time between two partials.
    #[arg(long, default_value_t = 0.5)]
    interval: f64,
    /// Folder with recordings and transcripts (manifest.tsv, or a .txt beside each): word error rates are measured too.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Plays the corpus alone and beside so many live calls instead, and tells whether any final came out otherwise.
    #[arg(long, requires = "corpus", value_name = "CALLS")]
    replay: Option<usize>,
    /// Leaves out cost and latency.
    #[arg(long, requires = "corpus")]
    accuracy_only: bool,
    /// Leaves out the latency at half of capacity.
    #[arg(long)]
    cost_only: bool,
    /// The commit that is measured, for the record.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where the JSON goes.
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    at: String,
    commit: String,
    command: String,
    machine: Machine,
    recognisers: Recognisers,
    settings: PipelineSettings,
    audio: String,
    cost: Vec<Cost>,
    /// At half as many calls as the processor has room for, by the cost measured.
    half_capacity: Option<Cost>,
    accuracy: BTreeMap<String, Accuracy>,
    replay: Option<Replay>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let machine = machine()?;
    let threads = if options.threads == 0 { machine.cores } else { options.threads };
    let recognisers = Recognisers { partials: options.partials_by.clone(), finals: options.finals_by.clone() };
    let engine = bench::engine(&options.models, threads, recognisers.clone())?;
    let mut settings = bench::settings(options.settings.as_deref())?;
    // the same on a quiet machine as on a busy one
    (settings.partials.interval, settings.partials.fastest) = (options.interval, options.interval);
    // what was heard is measured, not what is shown of it
    settings.redaction = RedactionSettings::NONE;
    settings.validate()?;
    let mut report = Report {
        at: jiff::Timestamp::now().to_string(),
        commit: options.commit.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        recognisers,
        settings: settings.clone(),
        audio: options.audio.display().to_string(),
        cost: Vec::new(),
        half_capacity: None,
        accuracy: BTreeMap::new(),
        replay: None,
        machine,
    };
    if let (Some(others), Some(folder)) = (options.replay, &options.corpus) {
        let recording = file::read(&options.audio)?;
        let replay = replay::measure(&engine, &settings, &corpus::read(folder)?, &recording, others).await?;
        let Replay { clips, finals, clips_that_differ, .. } = &replay;
        println!("replay: {clips} clips, {finals} finals, alone and beside {others} live calls");
        println!("  {} clips differ {}", clips_that_differ.len(), clips_that_differ.join(" "));
        report.replay = Some(replay);
        return write(&options, &report);
    }
    if !options.accuracy_only {
        costs(&engine, &settings, &options, threads, &mut report).await?;
    }
    if let Some(folder) = &options.corpus {
        let clips = corpus::read(folder)?;
        println!("accuracy: {} clips, offline and streaming", clips.len());
        report.accuracy = accuracy::measure(&engine, &settings, &clips, threads * 2).await?;
        for (set, figures) in &report.accuracy {
            println!(
                "  {set:<26} {:>4} clips {:>6} words   offline {:>5.2} %   streaming {:>5.2} %   {} clips differ",
                figures.clips,
                figures.offline.words,
                figures.offline_percent,
                figures.streaming_percent,
                figures.clips_that_differ
            );
        }
    }
    write(&options, &report)
}

fn write(options: &Options, report: &Report) -> Result<(), Failure> {
    fs::create_dir_all(&options.out)?;
    let file = options.out.join(format!("{}.json", report.at.replace(':', "-")));
    fs::write(&file, serde_json::to_string_pretty(report)?)?;
    println!("written: {}", file.display());
    Ok(())
}

async fn costs(
    engine: &Engine,
    settings: &PipelineSettings,
    options: &Options,
    threads: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let recording = file::read(&options.audio)?;
    println!("cost: real-time calls of {:.0} s each", recording.seconds().min(options.seconds as f64));
    println!(
        "  {:>5} {:>8} {:>12} {:>13} {:>7}   {:>21} {:>21} {:>9} {:>8}",
        "calls",
        "partials",
        "ms/audio s",
        "ms/speech s",
        "cores",
        "partial p50/p95/p99",
        "final p50/p95/p99",
        "unstable",
        "degraded"
    );
    let finals_only = {
        let mut settings = settings.clone();
        settings.partials.enabled = false;
        settings
    };
    for settings in [settings, &finals_only] {
        for &calls in &options.calls {
            let figures = cost::measure(engine, settings, copies(&recording, calls, options.seconds)).await?;
            print(&figures);
            report.cost.push(figures);
        }
    }
    if options.cost_only {
        return Ok(());
    }
    let dearest = report.cost.iter().filter(|cost| cost.partials).max_by_key(|cost| cost.calls);
    if let Some(cost) = dearest {
        let a_call = cost.cpu_seconds / (cost.audio_seconds / recording.channels.len() as f64);
        let half = ((0.5 * threads as f64 / a_call) as usize).max(1);
        println!("latency at half of capacity: {half} calls");
        let figures = cost::measure(engine, settings, copies(&recording, half, options.seconds)).await?;
        print(&figures);
        report.half_capacity = Some(figures);
    }
    Ok(())
}

/// The recording for each call, turned so that calls do not say the same at the same time.
fn copies(recording: &Recording, calls: usize, seconds: usize) -> Vec<Recording> {
    let length = seconds * recording.rate as usize;
    (0..calls)
        .map(|index| {
            let mut copy = recording.clone();
            for channel in &mut copy.channels {
                let by = index * 37_777 % channel.len().max(1);
                channel.rotate_left(by);
                channel.truncate(length);
            }
            copy
        })
        .collect()
}

fn print(cost: &Cost) {
    let shown = |percentiles: &Option<cost::Percentiles>| {
        percentiles.as_ref().map_or("-".to_owned(), |p| format!("{:.0}/{:.0}/{:.0} ms", p.p50, p.p95, p.p99))
    };
    println!(
        "  {:>5} {:>8} {:>12.2} {:>13.2} {:>7.2}   {:>21} {:>21} {:>5.1}+{:.1} % {:>6.1} %   {}",
        cost.calls,
        if cost.partials { "yes" } else { "no" },
        cost.cpu_ms_per_audio_second,
        cost.cpu_ms_per_speech_second,
        cost.cores_used,
        shown(&cost.partial_latency_ms),
        shown(&cost.final_latency_ms),
        cost.unstable_words_percent,
        cost.changed_by_finals_percent,
        cost.degraded_percent,
        cost.stages_ms_per_speech_second
            .iter()
            .map(|(name, ms)| format!("{name} {ms:.1}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
}
