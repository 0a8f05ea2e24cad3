//! `sotto-board-bench`: how soon a change of a call reaches those who watch the board, and what watching costs.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use serde::Serialize;
use sotto_loadtest::bench::{
    Failure,
    board::{Board, Latency, watch},
    machine::{Machine, machine},
};

/// Measures the board: calls that change, and many who watch them over HTTP, in another process.
#[derive(Debug, Parser)]
#[command(name = "sotto-board-bench", version)]
struct Options {
    /// Calls on air.
    #[arg(long, default_value_t = 500)]
    calls: usize,
    /// How many watch; one run for each.
    #[arg(long, value_delimiter = ',', default_value = "1,200")]
    watchers: Vec<usize>,
    /// Length of a run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The commit that is measured, for the record.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where the JSON goes.
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
    /// Only watches this address, as one of the others' processes.
    #[arg(long, hide = true, requires = "key")]
    watch: Option<String>,
    #[arg(long, hide = true)]
    key: Option<String>,
}

#[derive(Debug, Serialize)]
struct Run {
    watchers: usize,
    /// From a score being published to a watcher having its row.
    latency_milliseconds: Latency,
    /// Of one core, in percent: sealing, bus, hub and streams.
    server_cpu_percent: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    at: String,
    commit: String,
    command: String,
    machine: Machine,
    calls: usize,
    partials_a_second: f64,
    scores_a_second: f64,
    /// The same calls with nobody watching.
    unwatched_cpu_percent: f64,
    runs: Vec<Run>,
}

fn main() -> ExitCode {
    // nothing here speaks TLS, but the client wants to know how
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(&Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("sotto-board-bench: {error}");
    ExitCode::FAILURE
}

async fn run(options: &Options) -> Result<(), Failure> {
    let length = Duration::from_secs(options.seconds);
    if let (Some(address), Some(key), Some(&count)) = (&options.watch, &options.key, options.watchers.first()) {
        println!("{}", serde_json::to_string(&watch(address, key, count, length).await?)?);
        return Ok(());
    }
    let board = Board::start(options.calls).await?;
    let unwatched = board.cpu_percent(length).await?;
    let mut runs = Vec::new();
    for &watchers in &options.watchers {
        let child = std::process::Command::new(std::env::current_exe()?)
            .args(["--watch", &board.address, "--key", &board.key])
            .args(["--watchers", &watchers.to_string(), "--seconds", &options.seconds.to_string()])
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let server_cpu_percent = board.cpu_percent(length).await?;
        let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await??;
        let latency: Latency = serde_json::from_slice(&output.stdout)?;
        println!(
            "{watchers:>4} watchers, {} calls: p50 {:.1} ms, p99 {:.1} ms, {server_cpu_percent:.1} % of a core \
             ({unwatched:.1} % with nobody watching)",
            options.calls, latency.p50, latency.p99
        );
        runs.push(Run { watchers, latency_milliseconds: latency, server_cpu_percent });
    }
    let report = Report {
        at: jiff::Timestamp::now().to_string(),
        commit: options.commit.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: machine()?,
        calls: options.calls,
        partials_a_second: board.partials_a_second(),
        scores_a_second: board.scores_a_second(),
        unwatched_cpu_percent: unwatched,
        runs,
    };
    fs::create_dir_all(&options.out)?;
    let file = options.out.join(format!("board-{}.json", report.at.replace(':', "-")));
    fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    println!("written: {}", file.display());
    Ok(())
}
