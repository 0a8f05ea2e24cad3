//! `sotto-redaction-bench`: how much of made-up personal data is hidden, and what is hidden without need.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use serde::Serialize;
use sotto_loadtest::bench::{
    Failure, corpus,
    machine::{Machine, machine},
    redaction::{self, Outcome},
    spoken::{Saying, sayings},
};
use sotto_pipeline::RedactionSettings;

/// Measures redaction on generated sayings, and on the transcripts of a corpus.
#[derive(Debug, Parser)]
#[command(name = "sotto-redaction-bench", version)]
struct Options {
    /// Sayings of each kind, and harmless ones.
    #[arg(long, default_value_t = 1000)]
    count: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints every saying that came out wrong, and everything hidden in the corpus.
    #[arg(long)]
    show: bool,
    /// Only prints the sayings, one JSON object a line: to have them spoken.
    #[arg(long)]
    print: bool,
    /// Folder with transcripts: what is hidden in them is counted.
    #[arg(long)]
    corpus: Option<PathBuf>,
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
    generated: Outcome,
    /// Markers in the transcripts of the corpus, by kind, and the words there.
    corpus: BTreeMap<String, usize>,
    corpus_words: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-redaction-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let sayings = sayings(options.seed, options.count);
    if options.print {
        for saying in &sayings {
            println!("{}", serde_json::to_string(saying)?);
        }
        return Ok(());
    }
    let generated = redaction::measure(&sayings, &RedactionSettings::default());
    for (kind, figures) in generated.kinds.iter().filter(|(_, figures)| figures.said > 0) {
        println!(
            "{kind:<14} {:>5} said   {:>6.2} % hidden   {:>6.2} % of markers right",
            figures.said, figures.recall_percent, figures.precision_percent
        );
    }
    println!(
        "harmless       {:>5} said   {:>6.2} % with something hidden",
        generated.harmless, generated.false_alarm_percent
    );
    if options.show {
        for (kind, said, shown) in &generated.wrong {
            println!("{kind:?}\n  {said}\n  {shown}");
        }
    }
    let (mut markers, mut words) = (BTreeMap::new(), 0);
    if let Some(folder) = &options.corpus {
        for clip in corpus::read(folder)? {
            words += clip.transcript.split_whitespace().count();
            let saying = Saying {
                kind: None,
                question: None,
                utterances: vec![clip.transcript.clone()],
                secrets: vec![Vec::new()],
            };
            let outcome = redaction::measure(&[saying], &RedactionSettings::default());
            for (kind, figures) in outcome.kinds {
                *markers.entry(kind).or_insert(0) += figures.markers;
            }
            for (_, _, shown) in outcome.wrong.iter().filter(|_| options.show) {
                println!("{}: {shown}", clip.set);
            }
        }
        println!("corpus: {words} words, hidden: {markers:?}");
    }
    let at = jiff::Timestamp::now().to_string();
    let report = Report {
        commit: options.commit.clone(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: machine()?,
        generated,
        corpus: markers,
        corpus_words: words,
        at: at.clone(),
    };
    fs::create_dir_all(&options.out)?;
    let file = options.out.join(format!("redaction-{}.json", at.replace(':', "-")));
    fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    println!("written: {}", file.display());
    Ok(())
}
