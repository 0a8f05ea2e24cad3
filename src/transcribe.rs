//! `sotto transcribe`: recorded calls through the live pipeline, as fast as the machine can.

use std::path::Path;

use futures_util::{StreamExt, stream};
use prometheus::Registry;
use serde_json::{Value, json};
use sotto_events::{AudioFormat, CallInput, ChannelRole, Encoding, EndReason, EventBody, Finish, Partial};
use sotto_ingest::file::{self, Recording};
use sotto_pipeline::{CallOutput, CallTask, Engine, PipelineMetrics, PipelineSettings, Resume};
use tokio::sync::mpsc;

use crate::{
    cli::Transcribe,
    config::Config,
    failure::{Failure, failure},
    print::{error, out},
    server::start_engine,
};

/// Without `--partials` hypotheses are asked for as rarely as can be set; finals are the same.
const RARELY: f64 = 5.0;

pub async fn run(config: &Config, options: &Transcribe) -> Result<(), Failure> {
    let engine = start_engine(config, PipelineMetrics::new(&Registry::new())?)?;
    let mut settings = config.pipeline.clone();
    if !options.partials {
        settings.partials.interval = RARELY;
    }
    let several = options.files.len() > 1;
    let work = options.files.iter().map(|file| one(engine.clone(), settings.clone(), file, options, several));
    let mut results = stream::iter(work).buffered(config.speech_threads());
    let mut failed = 0;
    while let Some(result) = results.next().await {
        if let Err(failure) = result {
            error(&failure.message);
            failed += 1;
        }
    }
    if failed > 0 {
        Err(failure(format!("{failed} of {} files could not be written down", options.files.len())))
    } else {
        Ok(())
    }
}

async fn one(
    engine: Engine,
    settings: PipelineSettings,
    path: &Path,
    options: &Transcribe,
    several: bool,
) -> Result<(), Failure> {
    let recording = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || file::read(&path)).await.map_err(|error| failure(error.to_string()))??
    };
    let mut held = Vec::new();
    let mut outputs = transcribe(engine, settings, recording, Resume::default())?;
    while let Some(output) = outputs.recv().await {
        for line in lines(&output, path, options, several) {
            // the lines of several files must not mix
            if several { held.push(line) } else { out(&line) }
        }
    }
    held.iter().for_each(|line| out(line));
    Ok(())
}

/// Roles of the channels of a file: by custom the agent is on the left.
pub fn roles(channels: usize) -> Vec<ChannelRole> {
    match channels {
        2 => vec![ChannelRole::Agent, ChannelRole::Customer],
        count => vec![ChannelRole::Other; count],
    }
}

/// Feeds a recording to a call of its own.
pub fn transcribe(
    engine: Engine,
    settings: PipelineSettings,
    recording: Recording,
    resume: Resume,
) -> Result<mpsc::Receiver<CallOutput>, Failure> {
    let format = AudioFormat::new(Encoding::S16le, recording.rate, roles(recording.channels.len()))
        .map_err(|error| failure(error.to_string()))?;
    let task = CallTask::new(engine, settings, &format, resume).map_err(|error| failure(error.to_string()))?.in_step();
    let (inputs, input) = mpsc::channel(8);
    let (output, outputs) = mpsc::channel(64);
    tokio::spawn(async move {
        if let Err(failure) = task.run(None, input, output).await {
            error(&failure.to_string());
        }
    });
    tokio::spawn(async move {
        // one channel after another, so that there is one order in which partials of both come
        for audio in recording.pieces(recording.rate as usize / 10).flatten() {
            if inputs.send(CallInput::Audio(vec![audio])).await.is_err() {
                return;
            }
        }
        drop(inputs.send(CallInput::Finish(Finish::End(EndReason::Stopped))).await);
    });
    Ok(outputs)
}

fn lines(output: &CallOutput, path: &Path, options: &Transcribe, several: bool) -> Vec<String> {
    match output {
        CallOutput::Partial(partial) if options.partials => vec![partial_line(partial, path, options, several)],
        CallOutput::Partial(_) | CallOutput::Scores(_) => Vec::new(),
        CallOutput::Record { events, .. } => events
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::Final(made) if options.json => Some(with_file(json!(event.body), path, several)),
                EventBody::Final(made) => Some(format!(
                    "{}{:>8.2} {}: {}",
                    name(path, several),
                    made.start.seconds(),
                    made.channel,
                    made.text
                )),
                _ => None,
            })
            .collect(),
    }
}

fn partial_line(partial: &Partial, path: &Path, options: &Transcribe, several: bool) -> String {
    if options.json {
        let mut value = json!(partial);
        value["type"] = json!("partial");
        return with_file(value, path, several);
    }
    let Partial { start, channel, stable, tail, .. } = partial;
    format!("{}{:>8.2} {channel}~ {stable} | {tail}", name(path, several), start.seconds())
}

fn with_file(mut value: Value, path: &Path, several: bool) -> String {
    if several {
        value["file"] = json!(path.display().to_string());
    }
    value.to_string()
}

fn name(path: &Path, several: bool) -> String {
    if several { format!("{}: ", path.display()) } else { String::new() }
}
