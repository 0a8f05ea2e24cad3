//! Word error rate of a corpus: streaming (finals beside partials) and offline (each utterance once, no partials).

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sotto_pipeline::{Engine, PipelineSettings};

use super::{Failure, corpus::Clip, feed, normalise, word_error::WordErrors};

/// Figures of one set, or of all.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Accuracy {
    pub clips: usize,
    pub offline: WordErrors,
    pub offline_percent: f64,
    pub streaming: WordErrors,
    pub streaming_percent: f64,
    /// Clips whose streaming text is not the offline text to the letter.
    pub clips_that_differ: usize,
}

impl Accuracy {
    fn add(&mut self, offline: WordErrors, streaming: WordErrors, differs: bool) {
        self.clips += 1;
        self.offline += offline;
        self.streaming += streaming;
        self.offline_percent = self.offline.percent();
        self.streaming_percent = self.streaming.percent();
        self.clips_that_differ += usize::from(differs);
    }
}

/// Measures every clip; the set `all` adds them up. Clips run side by side, which changes no final.
///
/// # Errors
/// When a clip cannot be read or the engine fails.
pub async fn measure(
    engine: &Engine,
    settings: &PipelineSettings,
    clips: &[Clip],
    side_by_side: usize,
) -> Result<BTreeMap<String, Accuracy>, Failure> {
    let work = clips.iter().map(|clip| async move {
        let mut offline = settings.clone();
        offline.partials.enabled = false;
        let mut streaming = settings.clone();
        streaming.partials.enabled = true;
        let texts = (text(engine, offline, clip).await?, text(engine, streaming, clip).await?);
        Ok::<_, Failure>((clip, texts))
    });
    let done: Vec<_> = stream::iter(work).buffer_unordered(side_by_side).try_collect().await?;
    let mut sets: BTreeMap<String, Accuracy> = BTreeMap::new();
    for (clip, (offline, streaming)) in done {
        let said = normalise::words(&clip.transcript);
        let errors = |written: &str| WordErrors::between(&said, &normalise::words(written));
        for set in [clip.set.as_str(), "all"] {
            let differs = offline != streaming;
            sets.entry(set.to_owned()).or_default().add(errors(&offline), errors(&streaming), differs);
        }
    }
    Ok(sets)
}

/// The finals of all channels in the order they began, as a transcript of both sides has them.
async fn text(engine: &Engine, settings: PipelineSettings, clip: &Clip) -> Result<String, Failure> {
    let mut finals = feed::finals(engine, settings, &clip.audio).await?;
    finals.sort_by_key(|made| made.start);
    Ok(finals.into_iter().map(|made| made.text).collect::<Vec<_>>().join(" "))
}
