//! An utterance that has ended, on its way to its final: an exact hypothesis of the whole window.
//!
//! **Two passes.** Where partials and finals have a recogniser each, the window goes to the second. It sometimes answers
//! with nothing; then the first one's words for that window are kept, unless it is in doubt itself, so that no speech is
//! lost by it.

use std::time::Instant;

use sotto_events::{Final, Word};
use tokio::sync::oneshot;

use crate::{
    SPEECH_RATE,
    channel::Utterance,
    engine::{Engine, EngineError, Heard, Owner, Pass, Purpose, Request, Slack},
    recogniser::Job,
    transcript::{Rolling, words},
};

/// Below this confidence the first recogniser's words do not stand against the silence of the second: it hears words in
/// noise and music, and is then in doubt.
const DOUBTFUL: f32 = 0.5;

/// A rolling hypothesis that has been asked for.
pub(super) struct InFlight {
    /// Samples of its window.
    pub length: usize,
    pub since: Instant,
    pub degraded: bool,
    pub answer: oneshot::Receiver<Result<Heard, EngineError>>,
}

/// What the final will be made of, asked for when so much silence had passed that its window was complete, but the
/// utterance not yet over. When speech goes on, it is withdrawn.
pub(super) struct Ahead {
    /// Samples of its window.
    pub length: usize,
    pub answer: oneshot::Receiver<Result<Heard, EngineError>>,
}

/// What to ask about a whole window and `padding` samples of silence behind it.
pub(super) fn exact(
    (pass, owner): (Pass, Owner),
    slack: Slack,
    (sound, padding): (&[f32], usize),
    rolling: &Rolling,
) -> Request {
    let job = Job { padding, ..rolling.exact(sound) };
    Request { purpose: Purpose::Final, pass, owner, slack, job }
}

pub(super) struct Finishing {
    pub engine: Engine,
    pub owner: Owner,
    pub channel: u8,
    pub utterance: Utterance,
    /// Samples of silence to be heard behind it.
    pub padding: usize,
    pub rolling: Rolling,
}

impl Finishing {
    /// Makes the final; `None` when no word was heard.
    pub async fn run(self, ahead: Option<Ahead>) -> Result<Option<Final>, EngineError> {
        let since = Instant::now();
        let length = self.utterance.audio.len();
        let pass = self.engine.finals_pass();
        let heard = match ahead {
            Some(ahead) if ahead.length == length => ahead.answer.await.unwrap_or(Err(EngineError::Stopped))?,
            _ => self.hear(pass).await?,
        };
        let heard = match pass {
            Pass::Second if heard.tokens.is_empty() => self.second_opinion().await?,
            _ => heard,
        };
        let metrics = self.engine.metrics();
        let took = since.elapsed().as_secs_f64();
        // one that hurries waits for the others, and nobody for it
        if !self.owner.hurried {
            metrics.final_latency.observe(took);
            metrics.real_time_factor.observe(took / (length as f64 / f64::from(SPEECH_RATE)));
        }
        Ok(self.finish(heard))
    }

    /// What the first recogniser says where the second one says nothing.
    async fn second_opinion(&self) -> Result<Heard, EngineError> {
        let first = self.hear(Pass::First).await?;
        Ok(if first.confidence < DOUBTFUL { Heard::default() } else { first })
    }

    async fn hear(&self, pass: Pass) -> Result<Heard, EngineError> {
        let window = (self.utterance.audio.as_slice(), self.padding);
        let request = exact((pass, self.owner), Slack::default(), window, &self.rolling);
        self.engine.transcribe(request)?.await.unwrap_or(Err(EngineError::Stopped))
    }

    fn finish(self, heard: Heard) -> Option<Final> {
        let utterance = self.utterance;
        let Heard { text, confidence, version, .. } = heard;
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
            confidence,
            model: version.to_string(),
        })
    }
}
