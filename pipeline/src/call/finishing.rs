//! An utterance that has ended, on its way to its final.
//!
//! **Two passes.** Where partials and finals have a recogniser each, the whole window goes to the second, with the first
//! one's last hypothesis as a draft. The second sometimes answers a window with nothing; then the first one's words for
//! that window are kept, unless it is in doubt itself, so that no speech is lost by it.

use std::{sync::Arc, time::Instant};

use sotto_events::{Final, Word};
use tokio::sync::oneshot;

use crate::{
    SPEECH_RATE,
    channel::Utterance,
    engine::{Engine, EngineError, Heard, Pass, Purpose, Request},
    recogniser::Job,
    transcript::{Rolling, Window, words},
};

/// Below this confidence the first recogniser's words do not stand against the silence of the second: it hears words in
/// noise and music, and is then in doubt.
const DOUBTFUL: f32 = 0.5;

/// A rolling hypothesis that has been asked for.
pub(super) struct InFlight {
    pub purpose: Purpose,
    pub window: Window,
    /// Whether the final will be made of the same window, should nothing more be said.
    pub whole: bool,
    pub since: Instant,
    pub degraded: bool,
    pub answer: oneshot::Receiver<Result<Heard, EngineError>>,
}

/// The second pass, asked for when so much silence had passed that its window was complete, but the utterance not yet over.
/// When speech goes on, it is withdrawn.
pub(super) struct Ahead {
    /// Samples of its window.
    pub length: usize,
    pub answer: oneshot::Receiver<Result<Heard, EngineError>>,
}

/// What to ask the second recogniser about a whole window.
pub(super) fn second(tenant: u64, audio: Vec<f32>, rolling: &Rolling) -> Request {
    // both recognisers have the same tokens
    let draft = rolling.latest.tokens.clone();
    let job = Job { length: audio.len(), audio, draft, ..Job::default() };
    Request { purpose: Purpose::Final, pass: Pass::Second, tenant, paced: true, job }
}

pub(super) struct Finishing {
    pub engine: Engine,
    pub tenant: u64,
    pub channel: u8,
    /// How the final is made of windows.
    pub grid: Arc<str>,
    /// Samples beyond which nothing is committed.
    pub limit: usize,
    pub utterance: Utterance,
    pub rolling: Rolling,
}

impl Finishing {
    /// Makes the final; `None` when no word was heard.
    pub async fn run(
        mut self,
        in_flight: Option<InFlight>,
        ahead: Option<Ahead>,
    ) -> Result<Option<Final>, EngineError> {
        let since = Instant::now();
        let heard = if self.engine.two_passes() {
            self.second_pass(in_flight, ahead).await?
        } else {
            self.first_pass(in_flight).await?;
            std::mem::take(&mut self.rolling.latest)
        };
        let metrics = self.engine.metrics();
        let took = since.elapsed().as_secs_f64();
        metrics.final_latency.observe(took);
        metrics.real_time_factor.observe(took / (self.length() as f64 / f64::from(SPEECH_RATE)));
        Ok(self.finish(heard))
    }

    fn length(&self) -> usize {
        self.utterance.audio.len()
    }

    /// Makes the commits that are still missing, in order, then hears the whole window. What was heard already is not
    /// asked again.
    async fn first_pass(&mut self, in_flight: Option<InFlight>) -> Result<(), EngineError> {
        let length = self.length();
        let limit = self.utterance.voiced_length.min(self.limit).min(length);
        match in_flight {
            Some(job) if job.purpose == Purpose::Commit || job.window.length == length => {
                let heard = job.answer.await.unwrap_or(Err(EngineError::Stopped))?;
                self.rolling.heard(job.window, heard);
            }
            // whoever makes it still has the stem
            Some(_) => self.rolling.forget_stem(),
            None => {}
        }
        self.rolling.settle(limit);
        while self.rolling.next_commit() <= limit {
            self.hear(self.rolling.next_commit()).await?;
            self.rolling.settle(limit);
        }
        if !self.rolling.knows(length) {
            self.hear(length).await?;
        }
        Ok(())
    }

    async fn second_pass(&mut self, in_flight: Option<InFlight>, ahead: Option<Ahead>) -> Result<Heard, EngineError> {
        let answer = match ahead {
            Some(ahead) if ahead.length == self.length() => ahead.answer,
            _ => self.engine.transcribe(second(self.tenant, self.utterance.audio.clone(), &self.rolling))?,
        };
        let heard = answer.await.unwrap_or(Err(EngineError::Stopped))?;
        if heard.tokens.is_empty() {
            self.first_pass(in_flight).await?;
            let first = std::mem::take(&mut self.rolling.latest);
            return Ok(if first.confidence < DOUBTFUL { Heard::default() } else { first });
        }
        Ok(heard)
    }

    async fn hear(&mut self, length: usize) -> Result<(), EngineError> {
        let window = Window { length, prefix: self.rolling.committed.len() };
        let from = self.rolling.needs_from().min(length);
        let job = self.rolling.job(window, &self.utterance.audio[from..length]);
        let request = Request { purpose: Purpose::Final, pass: Pass::First, tenant: self.tenant, paced: true, job };
        let heard = self.engine.transcribe(request)?.await.unwrap_or(Err(EngineError::Stopped))?;
        self.rolling.heard(window, heard);
        Ok(())
    }

    fn finish(self, heard: Heard) -> Option<Final> {
        let utterance = self.utterance;
        let text = heard.text();
        if text.is_empty() {
            return None;
        }
        // whoever folds kept finals must come to what was folded here
        let kept = |word: Word| Word { start: word.start.kept(), end: word.end.kept(), ..word };
        let words = words(&text, utterance.start, utterance.end, &utterance.voiced);
        Some(Final {
            channel: self.channel,
            utterance: utterance.number,
            start: utterance.start.kept(),
            end: utterance.end.kept(),
            words: words.into_iter().map(kept).collect(),
            text,
            confidence: heard.confidence,
            model: format!("{}+{}", heard.version, self.grid),
        })
    }
}
