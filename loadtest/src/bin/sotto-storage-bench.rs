//! `sotto-storage-bench`: what the engines of storage do, and the seal.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use prometheus::Registry;
use serde::Serialize;
use sotto_loadtest::bench::{
    Failure,
    machine::{Machine, machine},
    storage::{Figures, Sealing, engine, sealing},
};
use sotto_storage::{
    StorageMetrics,
    bus::{
        embedded::EmbeddedBus,
        kafka::{KafkaBus, KafkaSettings},
    },
    clock::SystemClock,
    vault::{
        embedded::EmbeddedVault,
        scylla::{ScyllaSettings, ScyllaVault},
    },
};

/// Measures how soon events are durable and in rows, how many a second, and what sealing costs: the embedded engines,
/// and Kafka and a CQL server where they are said.
#[derive(Debug, Parser)]
#[command(name = "sotto-storage-bench", version)]
struct Options {
    /// Calls that record at once.
    #[arg(long, default_value_t = 64)]
    calls: usize,
    /// Events of each.
    #[arg(long, default_value_t = 300)]
    events: u64,
    /// Brokers, `host:port`; `make engines` starts one and says where.
    #[arg(long, env = "SOTTO_TEST_KAFKA")]
    kafka: Option<String>,
    /// CQL nodes, `host:port`, with commas between.
    #[arg(long, env = "SOTTO_TEST_CQL", value_delimiter = ',')]
    cql: Vec<String>,
    /// Copies of each record and row.
    #[arg(long, default_value_t = 1)]
    replicas: u32,
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
    sealing: Sealing,
    engines: Vec<Figures>,
}

fn main() -> ExitCode {
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
    eprintln!("sotto-storage-bench: {error}");
    ExitCode::FAILURE
}

async fn run(options: &Options) -> Result<(), Failure> {
    let sealing = sealing(Duration::from_secs(2))?;
    println!(
        "seal, {} bytes: {:.0} a second and core; open: {:.0}",
        sealing.bytes, sealing.seals_a_second, sealing.opens_a_second
    );
    let metrics = StorageMetrics::new(&Registry::new())?;
    let folder = tempfile::tempdir_in(".")?;
    let bus = Arc::new(EmbeddedBus::open(&folder.path().join("bus.db"), &metrics).await?);
    let vault = Arc::new(EmbeddedVault::open(&folder.path().join("vault.db"), &metrics)?);
    let mut engines = vec![engine("embedded", bus, vault, options.calls, options.events).await?];
    say(&engines[0]);
    if let (Some(brokers), false) = (&options.kafka, options.cql.is_empty()) {
        let name = format!("bench_{:x}", jiff::Timestamp::now().as_millisecond());
        let kafka = KafkaSettings {
            brokers: brokers.clone(),
            prefix: name.clone(),
            replicas: options.replicas,
            ..KafkaSettings::default()
        };
        let scylla = ScyllaSettings {
            nodes: options.cql.clone(),
            keyspace: name,
            replicas: options.replicas,
            ..ScyllaSettings::default()
        };
        let bus = Arc::new(KafkaBus::open(&kafka, &metrics).await?);
        let vault = Arc::new(ScyllaVault::open(&scylla, Arc::new(SystemClock), &metrics).await?);
        let figures = engine("kafka and cql", bus, vault, options.calls, options.events).await?;
        say(&figures);
        engines.push(figures);
    }
    let report = Report {
        at: jiff::Timestamp::now().to_string(),
        commit: options.commit.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: machine()?,
        sealing,
        engines,
    };
    fs::create_dir_all(&options.out)?;
    let file = options.out.join(format!("storage-{}.json", report.at.replace(':', "-")));
    fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    println!("written: {}", file.display());
    Ok(())
}

fn say(figures: &Figures) {
    let Figures { engine, append, write, durable_row_milliseconds: durable, .. } = figures;
    println!(
        "{engine}: append {:.0} a second ({:.0} a CPU second), p50 {:.1} p99 {:.1} ms; into rows {:.0} a second \
         ({:.0} a CPU second); append to row p50 {:.1} p95 {:.1} p99 {:.1} ms",
        append.events_a_second,
        append.events_a_cpu_second,
        append.latency_milliseconds.p50,
        append.latency_milliseconds.p99,
        write.events_a_second,
        write.events_a_cpu_second,
        durable.p50,
        durable.p95,
        durable.p99
    );
}
