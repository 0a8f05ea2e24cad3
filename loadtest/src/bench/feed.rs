//! Plays audio to calls of the pipeline, in real time or as fast as they take it, and notes when what came out.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use sotto_events::{AudioFormat, CallInput, ChannelRole, Encoding, EndReason, EventBody, Final, Finish, Partial};
use sotto_ingest::file::{self, Recording};
use sotto_pipeline::{CallOutput, CallTask, Engine, PipelineSettings, Resume};
use tokio::{sync::mpsc, time::sleep_until};

use super::Failure;

const FRAME: Duration = Duration::from_millis(20);

/// How fast audio comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As a telephone sends it, beginning this much later.
    RealTime { offset: Duration },
    /// As fast as the call takes it in.
    Unpaced,
}

/// Something a call gave out, and when, counted from the moment its audio began.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: Duration,
    pub what: Utterance,
}

/// A revision or the end of an utterance.
#[derive(Debug, Clone)]
pub enum Utterance {
    Partial(Partial),
    Final(Final),
}

/// Plays one recording as one call.
///
/// # Errors
/// When the format or the engine fails.
pub async fn play(
    engine: Engine,
    settings: PipelineSettings,
    recording: Recording,
    pace: Pace,
) -> Result<Vec<Heard>, Failure> {
    let roles = vec![ChannelRole::Other; recording.channels.len()];
    let format = AudioFormat::new(Encoding::S16le, recording.rate, roles)?;
    let task = CallTask::new(engine, settings, &format, Resume::default())?;
    let (inputs, input) = mpsc::channel(64);
    let (output, mut outputs) = mpsc::channel(64);
    let call = tokio::spawn(task.run(None, input, output));
    let began = Instant::now() + if let Pace::RealTime { offset } = pace { offset } else { Duration::ZERO };
    let feeder = tokio::spawn(feed(recording, inputs, pace, began));
    let mut heard = Vec::new();
    while let Some(output) = outputs.recv().await {
        let at = began.elapsed();
        match output {
            CallOutput::Partial(partial) => heard.push(Heard { at, what: Utterance::Partial(partial) }),
            CallOutput::Scores(_) => {}
            CallOutput::Record { events, .. } => {
                heard.extend(events.into_iter().filter_map(|event| match event.body {
                    EventBody::Final(made) => Some(Heard { at, what: Utterance::Final(made) }),
                    _ => None,
                }))
            }
        }
    }
    feeder.await?;
    call.await??;
    Ok(heard)
}

/// The finals of one recording, played as fast as the call takes it.
///
/// # Errors
/// When the file cannot be read, or the engine fails.
pub async fn finals(engine: &Engine, settings: PipelineSettings, audio: &Path) -> Result<Vec<Final>, Failure> {
    let audio = audio.to_owned();
    let recording = tokio::task::spawn_blocking(move || file::read(&audio)).await??;
    let heard = play(engine.clone(), settings, recording, Pace::Unpaced).await?;
    let finals = heard.into_iter().filter_map(|heard| match heard.what {
        Utterance::Final(made) => Some(made),
        Utterance::Partial(_) => None,
    });
    Ok(finals.collect())
}

/// Plays recordings as live calls, one each, all at once but not beginning together.
///
/// # Errors
/// When a call fails.
pub async fn play_together(
    engine: &Engine,
    settings: &PipelineSettings,
    recordings: Vec<Recording>,
) -> Result<Vec<Vec<Heard>>, Failure> {
    let count = recordings.len() as u64;
    let plays = recordings.into_iter().zip(0..).map(|(recording, index)| {
        let offset = Duration::from_millis(index * 1000 / count);
        tokio::spawn(play(engine.clone(), settings.clone(), recording, Pace::RealTime { offset }))
    });
    try_join_all(plays).await?.into_iter().collect()
}

async fn feed(recording: Recording, inputs: mpsc::Sender<CallInput>, pace: Pace, began: Instant) {
    let step = (u128::from(recording.rate) * FRAME.as_millis() / 1000) as usize;
    for (index, audio) in (1..).zip(recording.pieces(step)) {
        if let Pace::RealTime { .. } = pace {
            // a frame is there when its last sample has been spoken
            sleep_until((began + FRAME * index).into()).await;
        }
        // a call that has failed says so itself
        if inputs.send(CallInput::Audio(audio)).await.is_err() {
            return;
        }
    }
    drop(inputs.send(CallInput::Finish(Finish::End(EndReason::Stopped))).await);
}
