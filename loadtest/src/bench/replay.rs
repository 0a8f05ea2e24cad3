//! Whether finals depend on the sound alone: a corpus played alone, and again while other calls are on air.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sotto_events::Final;
use sotto_ingest::file::Recording;
use sotto_pipeline::{Engine, PipelineSettings};
use tokio::task::JoinSet;

use super::{
    Failure,
    corpus::Clip,
    feed::{self, Pace, play},
};

/// What came out.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Replay {
    pub clips: usize,
    pub finals: usize,
    /// Live calls that were on air meanwhile.
    pub others: usize,
    /// Clips whose finals were not the same in every word, time and digit of confidence.
    pub clips_that_differ: Vec<String>,
}

/// Plays every clip alone, then two at a time beside `others` live calls that play `recording` over and over.
///
/// # Errors
/// When a clip cannot be read or the engine fails.
pub async fn measure(
    engine: &Engine,
    settings: &PipelineSettings,
    clips: &[Clip],
    recording: &Recording,
    others: usize,
) -> Result<Replay, Failure> {
    let alone = finals(engine, settings, clips, 1).await?;
    let mut air = JoinSet::new();
    for index in 0..others {
        let (engine, settings, recording) = (engine.clone(), settings.clone(), recording.clone());
        air.spawn(async move {
            let offset = Duration::from_millis(index as u64 * 97 % 5_000);
            while play(engine.clone(), settings.clone(), recording.clone(), Pace::RealTime { offset }).await.is_ok() {}
        });
    }
    let beside = finals(engine, settings, clips, 2).await?;
    air.shutdown().await;
    let differ = clips.iter().zip(alone.iter().zip(&beside)).filter(|(_, (alone, beside))| alone != beside);
    Ok(Replay {
        clips: clips.len(),
        finals: alone.iter().map(Vec::len).sum(),
        others,
        clips_that_differ: differ.map(|(clip, _)| clip.audio.display().to_string()).collect(),
    })
}

async fn finals(
    engine: &Engine,
    settings: &PipelineSettings,
    clips: &[Clip],
    side_by_side: usize,
) -> Result<Vec<Vec<Final>>, Failure> {
    let work = clips.iter().map(|clip| feed::finals(engine, settings.clone(), &clip.audio));
    stream::iter(work).buffered(side_by_side).try_collect().await
}
