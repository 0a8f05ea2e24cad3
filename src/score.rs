//! `sotto score`: the measures of a conversation on a recorded call.

use prometheus::Registry;
use sotto_events::{EventBody, Measures, Stretch};
use sotto_ingest::file;
use sotto_pipeline::{CallOutput, PipelineMetrics};

use crate::{
    cli::Score,
    config::Config,
    failure::{Failure, failure},
    print::out,
    server::start_engine,
    transcribe::{roles, transcribe},
};

pub async fn run(config: &Config, options: &Score) -> Result<(), Failure> {
    let recording = file::read(&options.file)?;
    let roles = roles(recording.channels.len());
    let engine = start_engine(config, PipelineMetrics::new(&Registry::new())?)?;
    let mut outputs = transcribe(engine, config.pipeline.clone(), recording)?;
    let mut measured = None;
    while let Some(output) = outputs.recv().await {
        let CallOutput::Record { events, .. } = output else { continue };
        for event in events {
            if let EventBody::Measured(measures) = event.body {
                measured = Some(measures);
            }
        }
    }
    let measures = measured.ok_or_else(|| failure("the call did not come to its end"))?;
    if options.json {
        out(&serde_json::to_string(&measures)?);
    } else {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        table(&measures, &roles);
    }
    Ok(())
}

fn table(measures: &Measures, roles: &[String]) {
    out("channel  role      talk      share  words  a minute  monologue  interruptions");
    for (index, (channel, role)) in measures.channels.iter().zip(roles).enumerate() {
        out(&format!(
            "{index:>7}  {role:<8} {:>5.1} s  {:>6.1} %  {:>5}  {:>8.1}  {:>7.1} s  {:>13}",
            channel.talk.seconds(),
            100.0 * channel.talk_share,
            channel.words,
            channel.words_per_minute,
            length(channel.longest_monologue),
            channel.interruptions
        ));
    }
    out(&format!(
        "overlap {:.1} s, dead air {:.1} s, longest silence {:.1} s ({})",
        measures.overlap.seconds(),
        measures.dead_air.seconds(),
        length(measures.longest_silence),
        measures.version
    ));
}

/// Seconds.
fn length(stretch: Option<Stretch>) -> f64 {
    stretch.map_or(0.0, |stretch| stretch.micros() as f64 / 1e6)
}
