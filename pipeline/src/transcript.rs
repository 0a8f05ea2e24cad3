//! The rolling text of one utterance: what its hypotheses say, and the words of the final.

use std::{
    iter::repeat,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sotto_events::{MediaTime, Word};

use crate::{
    SPEECH_RATE,
    engine::Heard,
    recogniser::{Job, Kept, draft::agreement},
    vad::FRAME,
};

/// Tokens at the end of an agreement that stay open.
const OPEN: usize = 4;

/// Text state of the utterance that is being spoken.
#[derive(Debug)]
pub struct Rolling {
    /// The last hypothesis: the next draft.
    pub latest: Heard,
    /// Tokens on which two hypotheses in a row agree, all but the last ones: the next hypotheses begin with them.
    settled: Vec<u32>,
    /// What the recogniser keeps of the sound.
    kept: Arc<Mutex<Kept>>,
    /// Samples of the longest window that a rolling hypothesis was asked of.
    longest: usize,
    /// Partials shown.
    pub revisions: u32,
}

impl Rolling {
    /// Of an utterance whose final is made by the same recogniser, or by another.
    pub fn new(final_too: bool) -> Self {
        let kept = Arc::new(Mutex::new(Kept::new(!final_too)));
        Self { latest: Heard::default(), settled: Vec::new(), kept, longest: 0, revisions: 0 }
    }

    /// The first sample that is needed for the next hypothesis. Ask while none is under way.
    pub fn needs_from(&self) -> usize {
        let mut kept = self.kept();
        kept.mend();
        kept.needs_from()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to ask of the recogniser for the next hypothesis, of a window of `length` samples, given its sound from
    /// [`needs_from`](Self::needs_from) on.
    pub fn next(&mut self, length: usize, sound: &[f32]) -> Job {
        self.longest = self.longest.max(length);
        let draft = self.latest.tokens.get(self.settled.len()..).unwrap_or_default().to_vec();
        Job { rolling: true, prefix: self.settled.clone(), draft, ..self.job(length, sound) }
    }

    /// What to ask for the exact hypothesis of a window, given all of its sound. The last rolling one is a draft for every
    /// recogniser, since they have the same tokens.
    pub fn exact(&self, sound: &[f32]) -> Job {
        let length = sound.len();
        let draft = self.latest.tokens.clone();
        // of an utterance that was cut more is known than is to be heard, and its end would be that instead of silence
        let known = self.kept().known_to_exact();
        if let Some(known) = known.filter(|_| length >= self.longest) {
            Job { draft, ..self.job(length, &sound[known.min(length)..]) }
        } else {
            Job { draft, audio: sound.to_vec(), length, ..Job::default() }
        }
    }

    fn job(&self, length: usize, sound: &[f32]) -> Job {
        let (kept, audio) = (Arc::clone(&self.kept), sound.to_vec());
        Job { kept, audio, from: length - sound.len(), length, ..Job::default() }
    }

    /// Nothing more is said: only exact hypotheses follow, but for one that has been asked for.
    pub fn close(&self, asked: bool) {
        self.kept().close(asked);
    }

    /// Takes in a hypothesis; as the latest it has the probabilities of all its tokens, NaN where one is not known.
    pub fn heard(&mut self, mut heard: Heard) {
        let keep = agreement(&self.latest.tokens, &heard.tokens).saturating_sub(OPEN);
        if keep > self.settled.len() {
            self.settled = heard.tokens[..keep].to_vec();
        }
        // what it was to begin with was judged before, but for what a shorter one between lacked
        let given = heard.tokens.len().saturating_sub(heard.log_probabilities.len());
        let before = self.latest.log_probabilities.iter().copied().chain(repeat(f32::NAN)).take(given);
        heard.log_probabilities = before.chain(heard.log_probabilities).collect();
        self.latest = heard;
    }
}

/// The letters and digits of a word, in lower case.
pub(crate) fn bare(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Words of `text` with estimated times: voiced time is shared out by length in characters, pauses are kept out.
/// `voiced` has a flag a 32 ms frame from `start` on.
pub fn words(text: &str, start: MediaTime, end: MediaTime, voiced: &[bool]) -> Vec<Word> {
    let frame = 1_000_000 * FRAME as u64 / u64::from(SPEECH_RATE);
    let mut frames: Vec<u64> = (0..voiced.len() as u64)
        .filter(|&index| voiced[index as usize])
        .map(|index| start.micros() + index * frame)
        .collect();
    if frames.is_empty() {
        frames.push(start.micros());
    }
    let at = |share: f64, closing: bool| {
        let place = share * frames.len() as f64;
        // a word that closes at a frame border ends with the frame before it, not with the one after a pause
        let index = if closing { (place.ceil() as usize).max(1) - 1 } else { place as usize }.min(frames.len() - 1);
        let micros = frames[index] + ((place - index as f64) * frame as f64) as u64;
        MediaTime::from_micros(micros.min(end.micros()))
    };
    let weight = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).count().max(1) as f64 + 1.0;
    let total: f64 = text.split_whitespace().map(weight).sum();
    let mut spent = 0.0;
    text.split_whitespace()
        .map(|word| {
            let from = at(spent / total, false);
            spent += weight(word);
            Word { text: word.to_owned(), start: from, end: at(spent / total, true).max(from) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(tokens: std::ops::Range<u32>) -> Heard {
        Heard { tokens: tokens.collect(), ..Heard::default() }
    }

    #[test]
    fn what_two_hypotheses_agree_on_is_settled_but_for_its_end() {
        let mut rolling = Rolling::new(true);
        let asked = |rolling: &mut Rolling| {
            let job = rolling.next(16_000, &[]);
            (job.prefix.len(), job.draft.len())
        };
        rolling.heard(heard(10..22));
        assert_eq!(asked(&mut rolling), (0, 12));
        rolling.heard(heard(10..30));
        assert_eq!(asked(&mut rolling), (8, 12));
        // a shorter one takes nothing back
        rolling.heard(heard(10..18));
        assert_eq!(asked(&mut rolling), (8, 0));
        // of less than was asked before, all of the sound is given: what follows it is known, and is not to be heard
        assert_eq!(rolling.exact(&[0.0; 15_000]).audio.len(), 15_000);
        let exact = rolling.exact(&[0.0; 16_000]);
        assert_eq!((exact.prefix.len(), exact.draft.len(), exact.rolling), (0, 8, false));
    }

    #[test]
    fn what_a_hypothesis_was_to_begin_with_keeps_its_probabilities() {
        let mut rolling = Rolling::new(true);
        let judged = |tokens, values: &[f32]| Heard { log_probabilities: values.to_vec(), ..heard(tokens) };
        rolling.heard(judged(10..13, &[-0.1, -0.2, -0.3]));
        rolling.heard(judged(10..14, &[-0.5, -0.4]));
        assert_eq!(rolling.latest.log_probabilities, [-0.1, -0.2, -0.5, -0.4]);
        // what a shorter one between lacked is not known any more
        rolling.heard(judged(10..11, &[-0.1]));
        rolling.heard(judged(10..13, &[-0.3]));
        assert_eq!(rolling.latest.log_probabilities[0], -0.1);
        assert!(rolling.latest.log_probabilities[1].is_nan());
        assert_eq!(rolling.latest.log_probabilities[2], -0.3);
    }

    #[test]
    fn word_times_skip_pauses_and_stay_in_order() {
        let voiced = [vec![true; 10], vec![false; 20], vec![true; 10]].concat();
        let words = words("abcd efgh", MediaTime::ZERO, MediaTime::from_micros(1_280_000), &voiced);
        assert_eq!(words[0].start.micros(), 0);
        assert_eq!(words[0].end.micros(), 320_000);
        assert_eq!(words[1].start.micros(), 960_000);
        assert_eq!(words[1].end.micros(), 1_280_000);
    }

    #[test]
    fn text_without_voice_still_has_times() {
        assert_eq!(words("a b", MediaTime::ZERO, MediaTime::ZERO, &[]).len(), 2);
        assert!(words("", MediaTime::ZERO, MediaTime::ZERO, &[]).is_empty());
    }
}
