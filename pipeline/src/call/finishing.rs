//! An utterance that has ended, on its way to its final: an exact hypothesis of the whole window.
//!
//! **Two passes.** Where partials and finals have a recogniser each, the window goes to the second. It sometimes answers
//! with nothing; then the first one's words for that window are kept, unless it is in doubt itself, so that no speech is
//! lost by it.

use std::time::Instant;

use sotto_events::{Final, Word};
use tokio::sync::watch;

use crate::{
    SPEECH_RATE,
    channel::Utterance,
    engine::{Answer, Engine, EngineError, Heard, Owner, Pass, Purpose, Request, Slack},
    recogniser::{Job, Tokenizer},
    transcript::{Rolling, words},
};

/// Below this confidence the first recogniser's words do not stand against the silence of the second: it hears words in
/// noise and music, and is then in doubt.
const DOUBTFUL: f32 = 0.5;
/// Marks behind the last word of a sentence or a part of one.
const CLOSING: [char; 8] = ['.', ',', '?', '!', ';', ':', '-', '…'];

/// A rolling hypothesis that has been asked for.
pub(super) struct InFlight {
    /// Samples of its window.
    pub length: usize,
    pub since: Instant,
    pub degraded: bool,
    pub answer: Answer<Heard>,
}

/// What the final will be made of, asked for when so much silence had passed that its window was complete, but the
/// utterance not yet over. When speech goes on, it is withdrawn.
pub(super) struct Ahead {
    /// Samples of its window.
    pub length: usize,
    pub answer: Answer<Heard>,
}

/// What to ask with `padding` samples of silence behind the window.
pub(super) fn exact((pass, owner): (Pass, Owner), slack: Slack, padding: usize, job: Job) -> Request {
    let job = Job { padding, ..job };
    Request { purpose: Purpose::Final, pass, owner, slack, job }
}

/// What was said on a channel since its last safe point.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// First sample of what the tokens were heard in, since the safe point.
    pub from: usize,
    pub tokens: Vec<u32>,
}

impl Said {
    pub fn has_words(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether what ends at a sample is to be heard along with it: what is long enough needs nothing before it.
    pub fn belongs_to(&self, end: usize, longest: usize) -> bool {
        self.has_words() && end - self.from <= longest
    }

    /// The tokens that what follows is to begin with. Whether a sentence has ended shows in what follows.
    fn open(&self, tokenizer: &Tokenizer) -> &[u32] {
        let closing = |token: &&u32| tokenizer.text(&[**token]).chars().all(|c| CLOSING.contains(&c));
        &self.tokens[..self.tokens.len() - self.tokens.iter().rev().take_while(closing).count()]
    }

    /// What to ask about a window that begins with what was said.
    pub fn goes_on(&self, window: &[f32], rolling: &Rolling, tokenizer: &Tokenizer) -> Job {
        Job {
            audio: window.to_vec(),
            length: window.len(),
            prefix: self.open(tokenizer).to_vec(),
            draft: rolling.latest.tokens.clone(),
            ..Job::default()
        }
    }
}

pub(super) struct Finishing {
    pub engine: Engine,
    pub owner: Owner,
    pub channel: u8,
    pub utterance: Utterance,
    /// What was said before, once it is known.
    pub said: Option<watch::Receiver<Option<Said>>>,
    /// Is told what was said when this is known.
    pub tell: watch::Sender<Option<Said>>,
    /// Samples of silence to be heard behind it.
    pub padding: usize,
    /// Most samples that are heard together.
    pub longest: usize,
    pub rolling: Rolling,
}

impl Finishing {
    /// Makes the final; `None` when no word was heard.
    pub async fn run(mut self, ahead: Option<Ahead>) -> Result<Option<Final>, EngineError> {
        let since = Instant::now();
        let length = self.utterance.length();
        let pass = self.engine.finals_pass();
        let before = match self.said.take() {
            // whoever does not tell has failed
            Some(mut said) => said.wait_for(Option::is_some).await.ok().and_then(|said| said.clone()),
            None => None,
        };
        let end = self.utterance.begun + self.utterance.audio.len();
        let before = before.filter(|said| said.belongs_to(end, self.longest));
        let ahead = ahead.filter(|ahead| ahead.length == length);
        let heard = match (ahead, &before) {
            (Some(ahead), _) => ahead.answer.await.unwrap_or(Err(EngineError::Stopped))?,
            (None, Some(before)) => self.hear_on(pass, before).await?,
            (None, None) => self.hear(pass).await?,
        };
        let (heard, said) = match before {
            None => (heard, None),
            Some(before) => match self.apart(pass, &before, heard) {
                (heard, said) if said.has_words() => (heard, Some(said)),
                // of what follows nothing was heard: alone it may be
                _ => (self.hear(pass).await?, None),
            },
        };
        let heard = match pass {
            Pass::Second if heard.tokens.is_empty() => self.second_opinion().await?,
            _ => heard,
        };
        let alone = || Said { from: self.utterance.from, tokens: self.words_of(pass, &heard) };
        self.tell.send_replace(Some(said.unwrap_or_else(alone)));
        let metrics = self.engine.metrics();
        let took = since.elapsed().as_secs_f64();
        // one that hurries waits for the others, and nobody for it
        if !self.owner.hurried && !self.utterance.again {
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

    /// Takes apart what was said before and what is new of a hypothesis that goes on from that, and gives what is new and
    /// everything; no words of that when there is nothing new.
    fn apart(&self, pass: Pass, before: &Said, heard: Heard) -> (Heard, Said) {
        let tokenizer = self.engine.tokenizer(pass);
        let new = heard.tokens.get(before.open(tokenizer).len()..).unwrap_or_default().to_vec();
        let text =
            tokenizer.text(&new).trim_start_matches(|c: char| CLOSING.contains(&c) || c.is_whitespace()).to_owned();
        let tokens = if text.is_empty() { Vec::new() } else { heard.tokens };
        (Heard { tokens: new, text, ..heard }, Said { from: before.from, tokens })
    }

    /// The tokens that what follows may begin with: none where there are but marks, or where another recogniser wrote some
    /// that this one lacks.
    fn words_of(&self, pass: Pass, heard: &Heard) -> Vec<u32> {
        let known = |&token: &u32| (token as usize) < self.engine.tokenizer(pass).len();
        let said = heard.text.chars().any(char::is_alphanumeric) && heard.tokens.iter().all(known);
        if said { heard.tokens.clone() } else { Vec::new() }
    }

    /// Hears it along with what was said before.
    async fn hear_on(&self, pass: Pass, before: &Said) -> Result<Heard, EngineError> {
        let window = &self.utterance.audio[before.from - self.utterance.begun..];
        self.ask(pass, before.goes_on(window, &self.rolling, self.engine.tokenizer(pass))).await
    }

    /// Hears it alone.
    async fn hear(&self, pass: Pass) -> Result<Heard, EngineError> {
        let window = &self.utterance.audio[self.utterance.from - self.utterance.begun..];
        self.ask(pass, self.rolling.exact(window)).await
    }

    async fn ask(&self, pass: Pass, job: Job) -> Result<Heard, EngineError> {
        let request = exact((pass, self.owner), Slack::default(), self.padding, job);
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
